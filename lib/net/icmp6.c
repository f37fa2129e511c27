#include <string.h>

#include "net/stages.h"

/* RFC 4443 3. 0: an error that TCP cannot use. */
static enum icmp_reason
reason_of(uint8_t type, uint8_t code)
{
	switch (type) {
	case WIRE_ICMPV6_UNREACHABLE:
		return code == WIRE_ICMPV6_CODE_PORT ? ICMP_REFUSED : ICMP_UNREACHABLE;
	case WIRE_ICMPV6_PACKET_TOO_BIG:
		return ICMP_TOO_BIG;
	case WIRE_ICMPV6_TIME_EXCEEDED:
		return ICMP_EXPIRED;
	case WIRE_ICMPV6_PARAMETER_PROBLEM:
		return ICMP_MISUNDERSTOOD;
	default:
		return 0;
	}
}

/* We send no extension headers: layer 4 follows the quoted header. */
static void
error_input(struct net *net, struct pkt *pkt, const struct wire_icmp *icmp, uint16_t len)
{
	const struct wire_ipv6 *quoted = (const struct wire_ipv6 *)((const uint8_t *)icmp + sizeof(struct wire_icmp_error));
	struct icmp_error error = { .reason = reason_of(icmp->type, icmp->code), .type = icmp->type, .code = icmp->code };
	uint32_t mtu;

	if (len < sizeof(struct wire_icmp_error) + sizeof *quoted + 8) {
		pkt_drop(pkt, net->counters, DROP_RUNT);
		return;
	}
	error.local = nd_ours(net, quoted->source);
	if (!error.reason || quoted->version_class >> 4 != 6 || !error.local) {
		pkt_drop(pkt, net->counters, DROP_ICMP_TYPE);
		return;
	}
	memcpy(error.peer, quoted->destination, 16);
	memcpy(&mtu, icmp + 1, sizeof mtu);
	if (error.reason == ICMP_TOO_BIG)
		error.mtu = be32(mtu);
	icmp_error_note(net, pkt, &error, quoted->next_header, (const uint8_t *)(quoted + 1));
}

static uint64_t
pseudo(const struct wire_ipv6 *ip, uint16_t len)
{
	return checksum_add((uint64_t)be16(len) + be16(WIRE_PROTOCOL_ICMPV6), ip->source, 32);
}

/* RFC 4443 4.2; one to a group need not be answered, and is not. */
static void
echo(struct net *net, struct pkt *pkt, struct wire_icmp *icmp, uint16_t len)
{
	struct wire_ethernet *ethernet = ethernet_of(pkt);
	struct wire_ipv6 *ip = ipv6_of(pkt);
	uint8_t peer[16];

	if (!pace_allows(&net->echo, net->now_ns)) {
		pkt_drop(pkt, net->counters, DROP_ICMP_RATE);
		return;
	}
	memcpy(peer, ip->source, 16);
	memcpy(ip->source, ip->destination, 16);
	memcpy(ip->destination, peer, 16);
	ip->hop_limit = L3_TTL;
	memcpy(ethernet->destination, ethernet->source, 6);
	memcpy(ethernet->source, net->config.mac, 6);
	icmp->type = WIRE_ICMPV6_ECHO_REPLY;
	icmp->checksum = 0;
	icmp->checksum = checksum_finish(checksum_add(pseudo(ip, len), icmp, len));
	settle_answer(net, pkt, (uint16_t)(ETHERNET_HEADER_LEN + IPV6_HEADER_LEN + len));
	note(net, COUNTER_ICMP_REPLIES);
}

void
icmp6_input(struct net *net, struct pkt *pkt, uint8_t local, bool multicast)
{
	struct wire_ipv6 *ip = ipv6_of(pkt);
	struct wire_icmp *icmp = (struct wire_icmp *)(ip + 1);
	uint16_t len = be16(ip->payload_len);

	if (len < 8)
		pkt_drop(pkt, net->counters, DROP_RUNT);
	else if (checksum_finish(checksum_add(pseudo(ip, len), icmp, len)) != 0)
		pkt_drop(pkt, net->counters, DROP_ICMP_CHECKSUM);
	else if (icmp->type == WIRE_ICMPV6_LISTENER_QUERY || icmp->type == WIRE_ICMPV6_NEIGHBOUR_SOLICITATION ||
	    icmp->type == WIRE_ICMPV6_NEIGHBOUR_ADVERTISEMENT)
		nd_input(net, pkt, multicast);
	else if (nd_ours(net, ip->source))
		pkt_drop(pkt, net->counters, DROP_SOURCE_ADDRESS);
	else if (multicast || !nd_is_usable(net, local))
		pkt_drop(pkt, net->counters, DROP_ICMP_TYPE);
	else if (icmp->type == WIRE_ICMPV6_ECHO_REQUEST && icmp->code == 0)
		echo(net, pkt, icmp, len);
	else if (icmp->type <= WIRE_ICMPV6_ERROR_MAX)
		error_input(net, pkt, icmp, len);
	else
		pkt_drop(pkt, net->counters, DROP_ICMP_TYPE);
}

/* RFC 4443 2.4, 3.1: as much of the packet as keeps the error within the smallest MTU. */
void
icmp6_refuse(struct net *net, struct pkt *pkt)
{
	enum { AROUND = IPV6_HEADER_LEN + sizeof(struct wire_icmp_error) };
	struct wire_ipv6 *ip = ipv6_of(pkt);
	struct wire_icmp_error *icmp;
	uint8_t peer_mac[6], peer[16], own[16];
	uint32_t quote = IPV6_HEADER_LEN + (uint32_t)be16(ip->payload_len);
	uint16_t len;

	if (quote > WIRE_IPV6_MTU_MIN - AROUND)
		quote = WIRE_IPV6_MTU_MIN - AROUND;
	if (ETHERNET_HEADER_LEN + AROUND + quote > pkt->room ||
	    !pace_allows(&net->unreachable, net->now_ns)) {
		pkt_drop(pkt, net->counters, DROP_UDP_PORT);
		return;
	}
	memcpy(peer_mac, ethernet_of(pkt)->source, 6);
	memcpy(peer, ip->source, 16);
	memcpy(own, ip->destination, 16);
	memmove((uint8_t *)ip + AROUND, ip, quote);
	l3_write_ethernet(pkt->data, net->config.mac, peer_mac, 0, WIRE_ETHERTYPE_IPV6);
	len = (uint16_t)(sizeof *icmp + quote);
	icmp = (struct wire_icmp_error *)l3_write_ipv6((uint8_t *)ip, own, peer, WIRE_PROTOCOL_ICMPV6, len);
	*icmp = (struct wire_icmp_error){ .icmp = { WIRE_ICMPV6_UNREACHABLE, WIRE_ICMPV6_CODE_PORT, 0 } };
	icmp->icmp.checksum = checksum_finish(checksum_add(pseudo(ip, len), icmp, len));
	counters_bump(&net->counters->drops[DROP_UDP_PORT], 1);
	note(net, COUNTER_ICMP_UNREACHABLE);
	settle_answer(net, pkt, (uint16_t)(ETHERNET_HEADER_LEN + AROUND + quote));
}
