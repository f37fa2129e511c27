/* Neighbour discovery (RFC 4861), duplicate addresses (RFC 4862) and multicast listeners (RFC 3810). */
#include <string.h>

#include "net/stages.h"

enum {
	GROUP_PREFIX_LEN = 13, /* ff02::1:ff00:0/104: an address is asked for in the group of its last 24 bits */
	MLD_VERSION_1_LEN = 24,
	MLD_DELAY_MS_MAX = 10000,
	SUFFIX = 13,           /* where those bits start in an address */
};

static const uint8_t group_prefix[GROUP_PREFIX_LEN] = { 0xff, 2, [11] = 1, 0xff };
static const uint8_t report_group[16] = { 0xff, 2, [15] = 0x16 };

static void
group_of(const uint8_t ip[16], uint8_t group[16])
{
	memcpy(group, group_prefix, GROUP_PREFIX_LEN);
	memcpy(group + SUFFIX, ip + SUFFIX, 16 - SUFFIX);
}

/* RFC 2464 7. */
static void
mac_of_group(const uint8_t group[16], uint8_t mac[6])
{
	mac[0] = mac[1] = 0x33;
	memcpy(mac + 2, group + 12, 4);
}

uint8_t
nd_ours(const struct net *net, const uint8_t ip[16])
{
	uint32_t duplicates = atomic_load_explicit(&net->config.shared->duplicates, memory_order_relaxed);

	for (uint8_t i = 0; i < net->config.ipv6_count; i++)
		if (memcmp(net->config.ipv6[i], ip, 16) == 0)
			return duplicates >> i & 1 ? 0 : (uint8_t)(i + 1);
	return 0;
}

static bool
is_detecting(const struct net *net)
{
	return !atomic_load_explicit(&net->config.shared->ipv6_usable, memory_order_relaxed);
}

bool
nd_is_usable(const struct net *net, uint8_t local)
{
	return local && !is_detecting(net) && nd_ours(net, net->config.ipv6[local - 1]);
}

bool
nd_is_our_group(const struct net *net, const uint8_t ip[16])
{
	if (memcmp(ip, net_all_nodes, 16) == 0)
		return true;
	if (memcmp(ip, group_prefix, GROUP_PREFIX_LEN) != 0)
		return false;
	for (uint8_t i = 0; i < net->config.ipv6_count; i++)
		if (memcmp(net->config.ipv6[i] + SUFFIX, ip + SUFFIX, 16 - SUFFIX) == 0)
			return true;
	return false;
}

/* --- in --------------------------------------------------------------------------------- */

/* RFC 4861 7.1: no option of length 0, none beyond the end. *found: whether there is one of `type`. */
static bool
options_hold(const struct wire_nd *nd, uint16_t len, uint8_t type, bool *found)
{
	const uint8_t *option = (const uint8_t *)(nd + 1), *end = (const uint8_t *)nd + len;

	*found = false;
	while (option < end) {
		if (end - option < 2 || option[1] == 0 || option[1] * 8 > end - option)
			return false;
		*found |= option[0] == type;
		option += option[1] * 8;
	}
	return true;
}

/* RFC 4861 7.1.1 and 7.1.2: a router lowers the hop limit, so 255 has come from this link. */
static bool
is_valid(const struct wire_ipv6 *ip, const struct wire_nd *nd, uint16_t len, bool multicast)
{
	bool nobody = memcmp(ip->source, net_unspecified, 16) == 0, found;
	bool asks = nd->icmp.type == WIRE_ICMPV6_NEIGHBOUR_SOLICITATION;

	if (ip->hop_limit != WIRE_ND_HOP_LIMIT || nd->icmp.code != 0 || len < sizeof *nd || nd->target[0] == 0xff ||
	    !options_hold(nd, len, WIRE_ND_SOURCE_MAC, &found))
		return false;
	if (asks)
		return !nobody || (!found && memcmp(ip->destination, group_prefix, GROUP_PREFIX_LEN) == 0);
	return !nobody && !(multicast && nd->flags & WIRE_ND_SOLICITED);
}

/* Somebody else has the address, or tries it at the same time (RFC 4862 5.4.3, 5.4.4): it is never used then. */
static void
conflict(struct net *net, struct pkt *pkt, uint8_t local)
{
	if (is_detecting(net))
		atomic_fetch_or_explicit(&net->config.shared->duplicates, 1u << (local - 1), memory_order_relaxed);
	note(net, COUNTER_ADDRESS_CONFLICTS);
	pkt->disposition = PKT_DONE;
}

/* Writes an advertisement's layer 4 behind its headers: 32 bytes. */
static void
write_advertisement(const struct net *net, struct l3 *l3, const uint8_t target[16], uint8_t flags, uint8_t *frame)
{
	struct wire_nd *nd;
	struct wire_nd_option *option;
	uint16_t len = sizeof *nd + sizeof *option;

	memcpy(l3->source_mac, net->config.mac, 6);
	nd = (struct wire_nd *)l3_write(frame, l3, WIRE_PROTOCOL_ICMPV6, len, 0, true);
	option = (struct wire_nd_option *)(nd + 1);
	((struct wire_ipv6 *)nd - 1)->hop_limit = WIRE_ND_HOP_LIMIT;
	*nd = (struct wire_nd){ .icmp = { WIRE_ICMPV6_NEIGHBOUR_ADVERTISEMENT, 0, 0 }, .flags = flags };
	memcpy(nd->target, target, 16);
	option->type = WIRE_ND_TARGET_MAC;
	option->len = 1;
	memcpy(option->mac, net->config.mac, 6);
	nd->icmp.checksum = checksum_finish(checksum_add(l3_pseudo(l3, WIRE_PROTOCOL_ICMPV6, len), nd, len));
}

/* RFC 4861 7.2.4; who has no address yet is answered by way of all nodes. */
static void
answer(struct net *net, struct pkt *pkt, uint8_t local)
{
	enum { LEN = ETHERNET_HEADER_LEN + IPV6_HEADER_LEN + sizeof(struct wire_nd) + sizeof(struct wire_nd_option) };
	const struct wire_ipv6 *ip = ipv6_of(pkt);
	bool nobody = memcmp(ip->source, net_unspecified, 16) == 0;
	struct l3 l3 = { 0 };

	if (pkt->room < LEN) {
		pkt_drop(pkt, net->counters, DROP_NEIGHBOUR);
		return;
	}
	memcpy(l3.source, net->config.ipv6[local - 1], 16);
	memcpy(l3.destination, nobody ? net_all_nodes : ip->source, 16);
	if (nobody)
		mac_of_group(net_all_nodes, l3.destination_mac);
	else
		memcpy(l3.destination_mac, ethernet_of(pkt)->source, 6);
	write_advertisement(net, &l3, net->config.ipv6[local - 1],
	    nobody ? WIRE_ND_OVERRIDE : WIRE_ND_OVERRIDE | WIRE_ND_SOLICITED, pkt->data);
	settle_answer(net, pkt, LEN);
	note(net, COUNTER_ND_REPLIES);
}

static void
neighbour_input(struct net *net, struct pkt *pkt, const struct wire_nd *nd)
{
	bool asks = nd->icmp.type == WIRE_ICMPV6_NEIGHBOUR_SOLICITATION;
	uint8_t local = nd_ours(net, nd->target);

	/* Our own probe, come in at another port of ours, says nothing (RFC 4862 5.4.3). */
	if (!local || is_our_mac(net, ethernet_of(pkt)->source))
		pkt_drop(pkt, net->counters, DROP_NOT_FOR_US);
	else if (!asks || nd_ours(net, ipv6_of(pkt)->source) ||
	    (is_detecting(net) && memcmp(ipv6_of(pkt)->source, net_unspecified, 16) == 0))
		conflict(net, pkt, local);
	else if (!nd_is_usable(net, local))
		pkt_drop(pkt, net->counters, DROP_NOT_FOR_US);
	else
		answer(net, pkt, local);
}

/* RFC 3810 5.1, 6.2: a switch that asks forgets who does not answer in time; the MAC spreads the answers. */
static void
query_input(struct net *net, struct pkt *pkt, uint16_t len)
{
	const struct wire_ipv6 *ip = ipv6_of(pkt);
	const uint8_t *mld = (const uint8_t *)(ip + 1), *group = mld + 8;
	uint64_t most_ms, at_ns;

	if (len < MLD_VERSION_1_LEN || ip->hop_limit != 1 || ip->source[0] != 0xfe || (ip->source[1] & 0xc0) != 0x80) {
		pkt_drop(pkt, net->counters, DROP_NEIGHBOUR);
		return;
	}
	if (memcmp(group, net_unspecified, 16) != 0 && !nd_is_our_group(net, group)) {
		pkt_drop(pkt, net->counters, DROP_NOT_FOR_US);
		return;
	}
	most_ms = (uint64_t)mld[4] << 8 | mld[5];
	if (most_ms > MLD_DELAY_MS_MAX)
		most_ms = MLD_DELAY_MS_MAX;
	at_ns = net->now_ns + most_ms * NS_PER_MS * net->config.mac[5] / 256 + 1;
	if (!net->report_ns || at_ns < net->report_ns)
		net->report_ns = at_ns;
	if (net->report_ns < net->due_ns)
		net->due_ns = net->report_ns;
	pkt->disposition = PKT_DONE;
}

void
nd_input(struct net *net, struct pkt *pkt, bool multicast)
{
	const struct wire_nd *nd = (const struct wire_nd *)(ipv6_of(pkt) + 1);
	uint16_t len = be16(ipv6_of(pkt)->payload_len);

	if (nd->icmp.type == WIRE_ICMPV6_LISTENER_QUERY)
		query_input(net, pkt, len);
	else if (!is_valid(ipv6_of(pkt), nd, len, multicast))
		pkt_drop(pkt, net->counters, DROP_NEIGHBOUR);
	else
		neighbour_input(net, pkt, nd);
}

/* --- of our own accord ------------------------------------------------------------------ */

uint16_t
nd_probe(const struct net *net, uint8_t local, uint8_t *frame)
{
	struct l3 l3 = { .vlan = net->config.vlan };
	struct wire_nd *nd;

	memcpy(l3.source_mac, net->config.mac, 6);
	group_of(net->config.ipv6[local - 1], l3.destination);
	mac_of_group(l3.destination, l3.destination_mac);
	nd = (struct wire_nd *)l3_write(frame, &l3, WIRE_PROTOCOL_ICMPV6, sizeof *nd, 0, true);
	((struct wire_ipv6 *)nd - 1)->hop_limit = WIRE_ND_HOP_LIMIT;
	*nd = (struct wire_nd){ .icmp = { WIRE_ICMPV6_NEIGHBOUR_SOLICITATION, 0, 0 } };
	memcpy(nd->target, net->config.ipv6[local - 1], 16);
	nd->icmp.checksum = checksum_finish(checksum_add(l3_pseudo(&l3, WIRE_PROTOCOL_ICMPV6, sizeof *nd), nd, sizeof *nd));
	return (uint16_t)(l3_len(true, l3.vlan) + sizeof *nd);
}

/* RFC 4861 7.2.6: unasked, to all nodes. */
uint16_t
nd_advertisement(const struct net *net, uint8_t local, uint8_t *frame)
{
	struct l3 l3 = { .vlan = net->config.vlan };

	memcpy(l3.source, net->config.ipv6[local - 1], 16);
	memcpy(l3.destination, net_all_nodes, 16);
	mac_of_group(net_all_nodes, l3.destination_mac);
	write_advertisement(net, &l3, net->config.ipv6[local - 1], WIRE_ND_OVERRIDE, frame);
	return (uint16_t)(l3_len(true, l3.vlan) + sizeof(struct wire_nd) + sizeof(struct wire_nd_option));
}

/* The groups of our addresses, each once. Returns how many. */
static uint16_t
write_records(const struct net *net, uint8_t kind, struct wire_mld_record *records)
{
	uint16_t count = 0;

	for (uint8_t i = 0; i < net->config.ipv6_count; i++) {
		uint8_t group[16];
		bool known = false;

		group_of(net->config.ipv6[i], group);
		for (uint16_t j = 0; j < count; j++)
			known |= memcmp(records[j].group, group, 16) == 0;
		if (known)
			continue;
		records[count] = (struct wire_mld_record){ .kind = kind };
		memcpy(records[count++].group, group, 16);
	}
	return count;
}

/* RFC 3810 5.2: behind a router alert (RFC 2711); from no address as long as there is none (5.2.13). */
uint16_t
nd_report(const struct net *net, uint8_t kind, uint8_t *frame)
{
	static const struct wire_ipv6_extension alert = { WIRE_PROTOCOL_ICMPV6, 0,
		{ WIRE_IPV6_OPTION_ROUTER_ALERT, 2, 0, 0, 1, 0 } };
	struct l3 l3 = { .vlan = net->config.vlan };
	uint8_t *l4 = frame + l3_len(true, l3.vlan);
	struct wire_mld_report *report = (struct wire_mld_report *)(l4 + sizeof alert);
	uint16_t count = write_records(net, kind, (struct wire_mld_record *)(report + 1));
	uint16_t len = (uint16_t)(sizeof *report + count * sizeof(struct wire_mld_record));

	memcpy(l3.source_mac, net->config.mac, 6);
	if (nd_is_usable(net, 1))
		memcpy(l3.source, net->config.ipv6[0], 16);
	memcpy(l3.destination, report_group, 16);
	mac_of_group(report_group, l3.destination_mac);
	l3_write(frame, &l3, WIRE_IPV6_HOP_BY_HOP, (uint16_t)(sizeof alert + len), 0, true);
	((struct wire_ipv6 *)l4 - 1)->hop_limit = 1;
	memcpy(l4, &alert, sizeof alert);
	*report = (struct wire_mld_report){ .icmp = { WIRE_ICMPV6_LISTENER_REPORT, 0, 0 }, .record_count = be16(count) };
	report->icmp.checksum = checksum_finish(checksum_add(l3_pseudo(&l3, WIRE_PROTOCOL_ICMPV6, len), report, len));
	return (uint16_t)(l3_len(true, l3.vlan) + sizeof alert + len);
}
