#include <string.h>

#include "base/check.h"
#include "net/stages.h"
#include "wire/checksum.h"

enum { VERSION_4_NO_OPTIONS = 0x45, TTL = 64 };

/*
 * Checksums of the headers are made from the values, not read back from the frame:
 * loads across stores of another width wait until those have left the core.
 */
static void
write_ipv4(struct net *net, struct wire_ipv4 *ip, uint64_t addresses, uint16_t udp_len)
{
	uint16_t total_len = be16((uint16_t)(sizeof *ip + udp_len)), id = be16(net->next_id++);

	ip->version_ihl = VERSION_4_NO_OPTIONS;
	ip->tos = 0;
	ip->total_len = total_len;
	ip->id = id;
	ip->fragment = be16(WIRE_IPV4_DF);
	ip->ttl = TTL;
	ip->protocol = WIRE_PROTOCOL_UDP;
	ip->checksum = 0;
	if (!net->config.tx_checksum_offload)
		ip->checksum = checksum_finish(addresses + be16(VERSION_4_NO_OPTIONS << 8) + total_len + id +
		    be16(WIRE_IPV4_DF) + be16(TTL << 8 | WIRE_PROTOCOL_UDP));
}

static void
write_udp(const struct net *net, struct wire_udp *udp, const struct endpoint *peer, uint64_t addresses,
    uint16_t udp_len)
{
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
	udp->checksum = checksum_finish(checksum_add(sum, udp + 1, (uint32_t)(udp_len - sizeof *udp)));
	if (udp->checksum == 0) /* RFC 768: zero is sent as all ones */
		udp->checksum = 0xffff;
}

static void
output(struct net *net, const struct reply *reply)
{
	struct pkt *pkt = reply->pkt;
	struct wire_ethernet *ethernet = ethernet_of(pkt);
	struct wire_ipv4 *ip = ipv4_of(pkt);
	uint16_t udp_len = (uint16_t)(reply->payload_len + sizeof(struct wire_udp));
	uint64_t addresses = checksum_add(checksum_add(0, net->config.ipv4, 4), reply->peer->ip + 12, 4);

	CHECK(PKT_UDP_PAYLOAD_OFFSET + reply->payload_len <= pkt->room);
	memcpy(ethernet->destination, reply->peer->mac, 6);
	memcpy(ethernet->source, net->config.mac, 6);
	ethernet->type = be16(WIRE_ETHERTYPE_IPV4);
	memcpy(ip->source, net->config.ipv4, 4);
	memcpy(ip->destination, reply->peer->ip + 12, 4);
	write_ipv4(net, ip, addresses, udp_len);
	write_udp(net, (struct wire_udp *)(ip + 1), reply->peer, addresses, udp_len);
	pkt->len = (uint16_t)(PKT_UDP_PAYLOAD_OFFSET + reply->payload_len);
	pkt->tx_checksum = net->config.tx_checksum_offload;
	pkt->disposition = PKT_SEND;
}

void
net_output(struct net *net, const struct reply *replies, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		output(net, &replies[i]);
}
