#include <string.h>

#include "base/check.h"
#include "net/stages.h"

static inline void
write_udp(const struct net *net, struct wire_udp *udp, const struct reply *reply, uint64_t addresses, uint16_t udp_len)
{
	const struct endpoint *peer = reply->peer;
	uint32_t here = udp_len - (uint32_t)sizeof *udp - reply->tail_len;
	uint16_t source = be16(peer->local_port), destination = be16(peer->port), len = be16(udp_len);
	uint64_t sum = addresses + be16(WIRE_PROTOCOL_UDP) + len; /* the pseudo-header's */

	udp->source_port = source;
	udp->destination_port = destination;
	udp->len = len;
	if (net->config.tx_checksum_offload) {
		/* The NIC adds the payload to the pseudo-header's sum that stands here. */
		udp->checksum = (uint16_t)~checksum_finish(sum);
		return;
	}
	sum += (uint64_t)source + destination + len;
	sum = checksum_add(sum, udp + 1, here);
	if (__builtin_expect(reply->tail_len != 0, 0))
		sum = checksum_add_at(sum, here, pkt_tail_at((uint8_t *)(udp + 1) + here).data, reply->tail_len);
	udp->checksum = checksum_finish(sum);
	if (udp->checksum == 0) /* RFC 768: zero is sent as all ones */
		udp->checksum = 0xffff;
}

/* Writes the IP header, and returns the sum of its addresses. */
static inline uint64_t
write_ip(struct net *net, uint8_t *at, const struct endpoint *peer, uint16_t udp_len, bool ipv6)
{
	uint64_t addresses;

	if (ipv6) {
		const uint8_t *own = net->config.ipv6[peer->local - 1];

		addresses = checksum_add(checksum_add(0, own, 16), peer->ip, 16);
		l3_write_ipv6(at, own, peer->ip, WIRE_PROTOCOL_UDP, udp_len);
	} else {
		addresses = l3_sum_ipv4(net->config.ipv4, peer->ip + 12);
		l3_write_ipv4(at, net->config.ipv4, peer->ip + 12, addresses, WIRE_PROTOCOL_UDP, udp_len, net->next_id++,
		    !net->config.tx_checksum_offload);
	}
	return addresses;
}

/* Headers grow towards the front from where the payload stands. */
static inline __attribute__((always_inline)) void
write_headers(struct net *net, const struct reply *reply, bool ipv6, uint16_t vlan)
{
	const uint16_t headers_len = l3_len(ipv6, vlan);
	const int before = headers_len - L3_LEN_MIN;
	struct pkt *pkt = reply->pkt;
	uint16_t udp_len = (uint16_t)(reply->payload_len + sizeof(struct wire_udp));
	uint8_t *frame = pkt->data - before, *ip;
	uint64_t addresses;

	CHECK(PKT_UDP_PAYLOAD_OFFSET + reply->payload_len <= pkt->room);
	ip = l3_write_ethernet(frame, net->config.mac, reply->peer->mac, vlan, ipv6 ? WIRE_ETHERTYPE_IPV6 : WIRE_ETHERTYPE_IPV4);
	addresses = write_ip(net, ip, reply->peer, udp_len, ipv6);
	write_udp(net, (struct wire_udp *)(frame + headers_len), reply, addresses, udp_len);
	if (before != 0) {
		pkt->data = frame;
		pkt->room = (uint16_t)(pkt->room + before);
	}
	pkt->len = (uint16_t)(headers_len + udp_len - reply->tail_len);
	if (net->config.tx_checksum_offload) {
		pkt->tx_checksum = true;
		pkt->l2_len = (uint8_t)(ip - frame);
		pkt->l3_len = (uint8_t)(headers_len - (ip - frame));
		pkt->ipv6 = ipv6;
	}
	pkt->disposition = PKT_SEND;
}

static __attribute__((noinline)) void
output_other(struct net *net, const struct reply *reply)
{
	bool ipv6 = endpoint_is_ipv6(reply->peer);

	if (reply->payload_len + sizeof(struct wire_udp) > l3_room(ipv6))
		pkt_drop(reply->pkt, net->counters, DROP_TX_LARGE);
	else
		write_headers(net, reply, ipv6, net->config.vlan);
}

void
net_output(struct net *net, const struct reply *replies, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (__builtin_expect(endpoint_is_ipv6(replies[i].peer) || net->config.vlan, 0))
			output_other(net, &replies[i]);
		else
			write_headers(net, &replies[i], false, 0);
	}
}
