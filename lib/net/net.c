#include "net/net.h"

#include <string.h>

#include "base/check.h"
#include "net/stages.h"

enum { MACS_LEN = 12, PRIORITY_ONLY = 0 /* a tag with this ID names no network (802.1Q 9.6) */ };

const uint8_t net_unspecified[16] = { 0 };
const uint8_t net_all_nodes[16] = { 0xff, 2, [15] = 1 };

/* Bursts keep their share of the rate; one is always let through. */
static struct net_pace
pace_of(uint32_t per_s, uint32_t preset, uint32_t burst)
{
	uint32_t rate = per_s ? per_s : preset, share = (uint32_t)((uint64_t)rate * burst / preset);

	CHECK(rate <= NET_RATE_MAX);
	return (struct net_pace){ .interval_ns = (uint32_t)(NS_PER_SEC / rate), .burst = share ? share : 1 };
}

void
net_init(struct net *net, const struct net_config *config, struct counters *counters)
{
	CHECK(config->port_count <= NET_PORTS_MAX && config->ipv6_count <= NET_IPV6_MAX);
	CHECK(config->vlan <= WIRE_VLAN_ID_MASK && config->ipv4_len <= 32);
	memset(net, 0, sizeof *net);
	net->config = *config;
	if (!config->shared)
		net->config.shared = &net->alone;
	if (!config->announces)
		net->due_ns = UINT64_MAX;
	net->counters = counters;
	net->echo = pace_of(config->echoes_per_s, NET_ECHO_RATE, NET_ECHO_BURST);
	net->unreachable = pace_of(config->unreachables_per_s, NET_UNREACHABLE_RATE, NET_UNREACHABLE_BURST);
	for (uint32_t i = 0; i < config->port_count; i++)
		net->services[config->ports[i].port] = config->ports[i].service;
}

void
net_link_local(const uint8_t mac[6], uint8_t ip[16])
{
	const uint8_t made[16] = { 0xfe, 0x80, [8] = mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5] };

	memcpy(ip, made, 16);
}

void
net_address(const struct net *net, uint8_t local, uint8_t ip[16])
{
	CHECK(local <= net->config.ipv6_count);
	if (local == ENDPOINT_IPV4)
		endpoint_map_ipv4(ip, net->config.ipv4);
	else
		memcpy(ip, net->config.ipv6[local - 1], 16);
}

void
settle_answer(struct net *net, struct pkt *pkt, uint16_t len)
{
	pkt->len = len;
	pkt->disposition = PKT_SEND;
	if (net->config.vlan) {
		pkt_widen(pkt, MACS_LEN, VLAN_TAG_LEN);
		ethernet_of(pkt)->type = be16(WIRE_ETHERTYPE_VLAN);
		((struct wire_vlan *)(ethernet_of(pkt) + 1))->tag = be16(net->config.vlan);
	}
}

/*
 * Takes off the tag that is due, or one that only says how urgent the frame is. A frame of another
 * network, or without a tag where one is due, is not ours to see.
 */
static bool
untag(struct net *net, struct pkt *pkt)
{
	const struct wire_vlan *tag = (const struct wire_vlan *)(ethernet_of(pkt) + 1);
	bool tagged = be16(ethernet_of(pkt)->type) == WIRE_ETHERTYPE_VLAN;
	uint16_t id;

	if (tagged && pkt->len < ETHERNET_HEADER_LEN + VLAN_TAG_LEN) {
		pkt_drop(pkt, net->counters, DROP_RUNT);
		return false;
	}
	id = tagged ? be16(tag->tag) & WIRE_VLAN_ID_MASK : PRIORITY_ONLY;
	if (id != net->config.vlan || be16(ethernet_of(pkt)->type) == WIRE_ETHERTYPE_QINQ) {
		pkt_drop(pkt, net->counters, DROP_VLAN);
		return false;
	}
	if (tagged)
		pkt_cut(pkt, MACS_LEN, VLAN_TAG_LEN);
	return true;
}

static bool
is_broadcast(const uint8_t mac[6])
{
	static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	return memcmp(mac, broadcast, 6) == 0;
}

/* RFC 2464 7: an IPv6 group's frames. */
static bool
is_ipv6_group(const uint8_t mac[6])
{
	return mac[0] == 0x33 && mac[1] == 0x33;
}

/*
 * By type, once the tag is off. RFC 1122 3.3.6: what came by a broadcast of the link and is
 * meant for one host is not listened to; only ARP and IPv6's groups come so.
 */
static __attribute__((noinline)) bool
other_input(struct net *net, struct pkt *pkt, struct datagram *datagram)
{
	const uint8_t *to = ethernet_of(pkt)->destination;
	bool ours = is_our_mac(net, to);
	enum drop why = DROP_NOT_FOR_US;

	switch (be16(ethernet_of(pkt)->type)) {
	case WIRE_ETHERTYPE_IPV4:
		if (ours)
			return ipv4_input(net, pkt, datagram);
		break;
	case WIRE_ETHERTYPE_IPV6:
		if (net->config.ipv6_count == 0)
			why = DROP_ETHERTYPE;
		else if (ours || is_ipv6_group(to))
			return ipv6_input(net, pkt, datagram);
		break;
	case WIRE_ETHERTYPE_ARP:
		if (ours || is_broadcast(to))
			return arp_input(net, pkt, datagram);
		break;
	case WIRE_ETHERTYPE_VLAN:
	case WIRE_ETHERTYPE_QINQ:
		why = DROP_VLAN; /* a second tag */
		break;
	default:
		why = ours || is_broadcast(to) ? DROP_ETHERTYPE : DROP_NOT_FOR_US;
	}
	pkt_drop(pkt, net->counters, why);
	return false;
}

static inline bool
frame_input(struct net *net, struct pkt *pkt, struct datagram *datagram)
{
	uint16_t type;

	if (pkt->len < ETHERNET_HEADER_LEN) {
		pkt_drop(pkt, net->counters, DROP_RUNT);
		return false;
	}
	type = ethernet_of(pkt)->type;
	if (__builtin_expect(type == be16(WIRE_ETHERTYPE_IPV4) && net->config.vlan == 0 &&
	        is_our_mac(net, ethernet_of(pkt)->destination), 1))
		return ipv4_input(net, pkt, datagram);
	if (net->config.vlan || type == be16(WIRE_ETHERTYPE_VLAN) || type == be16(WIRE_ETHERTYPE_QINQ))
		return untag(net, pkt) && other_input(net, pkt, datagram);
	return other_input(net, pkt, datagram);
}

uint32_t
net_input(struct net *net, uint64_t now_ns, struct pkt *pkts, uint32_t n, struct datagram *datagrams)
{
	uint32_t count = 0;

	CHECK(n <= BURST_MAX);
	net->now_ns = now_ns;
	net->error_count = net->segment_count = 0;
	if (net->config.frags)
		frags_release(net->config.frags);
	for (uint32_t i = 0; i < n; i++)
		count += frame_input(net, &pkts[i], &datagrams[count]);
	return count;
}
