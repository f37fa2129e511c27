#include "net/net.h"

#include <string.h>

#include "base/check.h"
#include "net/stages.h"

void
net_init(struct net *net, const struct net_config *config, struct counters *counters)
{
	CHECK(config->port_count <= NET_PORTS_MAX);
	memset(net, 0, sizeof *net);
	net->config = *config;
	net->counters = counters;
	for (uint32_t i = 0; i < config->port_count; i++)
		net->services[config->ports[i].port] = config->ports[i].service;
}

static bool
is_ours_or_broadcast(const struct net *net, const uint8_t mac[6])
{
	static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	return memcmp(mac, net->config.mac, 6) == 0 || memcmp(mac, broadcast, 6) == 0;
}

/* Everything that is not IPv4 for us: settled here, off the straight line. */
static __attribute__((noinline)) bool
other_input(struct net *net, struct pkt *pkt, struct datagram *datagram)
{
	switch (be16(ethernet_of(pkt)->type)) {
	case WIRE_ETHERTYPE_ARP:
		return arp_input(net, pkt, datagram);
	case WIRE_ETHERTYPE_VLAN:
	case WIRE_ETHERTYPE_QINQ:
		pkt_drop(pkt, net->counters, DROP_VLAN);
		break;
	default:
		pkt_drop(pkt, net->counters, DROP_ETHERTYPE);
	}
	return false;
}

static bool
frame_input(struct net *net, struct pkt *pkt, struct datagram *datagram)
{
	if (pkt->len < ETHERNET_HEADER_LEN) {
		pkt_drop(pkt, net->counters, DROP_RUNT);
		return false;
	}
	if (!is_ours_or_broadcast(net, ethernet_of(pkt)->destination)) {
		pkt_drop(pkt, net->counters, DROP_NOT_FOR_US);
		return false;
	}
	if (be16(ethernet_of(pkt)->type) != WIRE_ETHERTYPE_IPV4)
		return other_input(net, pkt, datagram);
	if (!ipv4_input(net, pkt))
		return false;
	switch (ipv4_of(pkt)->protocol) {
	case WIRE_PROTOCOL_UDP:
		return udp_input(net, pkt, datagram);
	case WIRE_PROTOCOL_ICMP:
		icmp_input(net, pkt);
		return false;
	default:
		pkt_drop(pkt, net->counters, DROP_IP_PROTOCOL);
		return false;
	}
}

uint32_t
net_input(struct net *net, struct pkt *pkts, uint32_t n, struct datagram *datagrams)
{
	uint32_t count = 0;

	CHECK(n <= BURST_MAX);
	for (uint32_t i = 0; i < n; i++)
		count += frame_input(net, &pkts[i], &datagrams[count]);
	return count;
}
