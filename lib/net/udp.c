#include <string.h>

#include "net/stages.h"

/* room: bytes of the IP packet behind its header. addresses: the sum of both. */
static inline enum drop
verdict(const struct net *net, const struct wire_udp *udp, uint32_t room, uint64_t addresses, bool ipv6)
{
	uint16_t len;

	if (room < sizeof *udp)
		return DROP_UDP_LENGTH;
	len = be16(udp->len);
	if (len < sizeof *udp || len > room)
		return DROP_UDP_LENGTH;
	/* RFC 768: a checksum of zero means that the sender computed none; RFC 8200 8.1: over IPv6 it must. */
	if (udp->checksum == 0) {
		if (ipv6)
			return DROP_UDP_CHECKSUM;
	} else if (net->config.verify_checksums &&
	    checksum_finish(checksum_add(addresses + be16(len) + be16(WIRE_PROTOCOL_UDP), udp, len)) != 0) {
		return DROP_UDP_CHECKSUM;
	}
	if (udp->source_port == 0 || net->services[be16(udp->destination_port)] == SERVICE_NONE)
		return DROP_UDP_PORT;
	return DROP_NONE;
}

/* What a datagram says of itself; its payload and the peer's address are the caller's. */
static inline void
fill(const struct net *net, struct pkt *pkt, const struct wire_udp *udp, uint8_t local, struct datagram *datagram)
{
	datagram->pkt = pkt;
	datagram->payload_len = (uint16_t)(be16(udp->len) - sizeof *udp);
	datagram->service = net->services[be16(udp->destination_port)];
	datagram->deferred = NULL;
	datagram->peer.port = be16(udp->source_port);
	datagram->peer.local_port = be16(udp->destination_port);
	datagram->peer.local = local;
	memcpy(datagram->peer.mac, ethernet_of(pkt)->source, 6);
}

/* A peer's address and the place for its answer: IPv6's headers are longer, so the packet begins later. */
static void
fill_ipv6(struct pkt *pkt, struct datagram *datagram)
{
	memcpy(datagram->peer.ip, ipv6_of(pkt)->source, 16);
	pkt->data += IPV6_HEADER_LEN - IPV4_HEADER_LEN;
	pkt->len -= IPV6_HEADER_LEN - IPV4_HEADER_LEN;
	pkt->room -= IPV6_HEADER_LEN - IPV4_HEADER_LEN;
}

/* Nothing listens there: its sender is told (RFC 1122 4.1.3.1). */
static __attribute__((noinline)) bool
refuse(struct net *net, struct pkt *pkt, const struct wire_udp *udp, enum drop why, bool ipv6)
{
	if (why != DROP_UDP_PORT || udp->source_port == 0)
		pkt_drop(pkt, net->counters, why);
	else if (ipv6)
		icmp6_refuse(net, pkt);
	else
		icmp_refuse(net, pkt);
	return false;
}

bool
udp_input_ipv4(struct net *net, struct pkt *pkt, struct datagram *datagram)
{
	const struct wire_ipv4 *ip = ipv4_of(pkt);
	const struct wire_udp *udp = (const struct wire_udp *)(ip + 1);
	enum drop why = verdict(net, udp, (uint32_t)(be16(ip->total_len) - sizeof *ip), checksum_add(0, ip->source, 8), false);

	if (__builtin_expect(why != DROP_NONE, 0))
		return refuse(net, pkt, udp, why, false);
	fill(net, pkt, udp, ENDPOINT_IPV4, datagram);
	datagram->payload = pkt->data + PKT_UDP_PAYLOAD_OFFSET;
	endpoint_map_ipv4(datagram->peer.ip, ip->source);
	return true;
}

bool
udp_input_ipv6(struct net *net, struct pkt *pkt, uint8_t local, struct datagram *datagram)
{
	const struct wire_ipv6 *ip = ipv6_of(pkt);
	const struct wire_udp *udp = (const struct wire_udp *)(ip + 1);
	enum drop why = verdict(net, udp, be16(ip->payload_len), checksum_add(0, ip->source, 32), true);

	/* Nodes know each other by IPv4 addresses. */
	if (why == DROP_NONE && net->services[be16(udp->destination_port)] == SERVICE_PEER)
		why = DROP_UDP_PORT;
	if (why != DROP_NONE)
		return refuse(net, pkt, udp, why, true);
	fill(net, pkt, udp, local, datagram);
	fill_ipv6(pkt, datagram);
	datagram->payload = pkt->data + PKT_UDP_PAYLOAD_OFFSET;
	return true;
}

/*
 * Only memcached takes such: its answers go into fresh packets, so that the request's needs no
 * room for one. A native frame is never longer than a packet, and an echo could not go back.
 */
bool
udp_input_large(struct net *net, struct pkt *pkt, uint8_t local, struct view whole, struct datagram *datagram)
{
	const struct wire_udp *udp = (const struct wire_udp *)whole.data;
	bool ipv6 = local != ENDPOINT_IPV4;
	uint64_t addresses = ipv6 ? checksum_add(0, ipv6_of(pkt)->source, 32) : checksum_add(0, ipv4_of(pkt)->source, 8);
	enum drop why = verdict(net, udp, whole.len, addresses, ipv6);

	if (why == DROP_NONE && net->services[be16(udp->destination_port)] != SERVICE_MEMCACHED)
		why = DROP_UDP_LARGE;
	if (why != DROP_NONE) {
		pkt_drop(pkt, net->counters, why);
		return false;
	}
	fill(net, pkt, udp, local, datagram);
	datagram->payload = (uint8_t *)(uintptr_t)(udp + 1);
	if (ipv6)
		fill_ipv6(pkt, datagram);
	else
		endpoint_map_ipv4(datagram->peer.ip, ipv4_of(pkt)->source);
	return true;
}

uint32_t
net_echo(const struct datagram *datagrams, uint32_t n, struct reply *replies)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++)
		if (datagrams[i].service == SERVICE_ECHO)
			replies[count++] = (struct reply){ .pkt = datagrams[i].pkt, .payload_len = datagrams[i].payload_len,
				.peer = &datagrams[i].peer };
	return count;
}
