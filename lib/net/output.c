#include <string.h>

#include "base/check.h"
#include "net/stages.h"
#include "wire/checksum.h"

static void
write_ipv4(struct net *net, struct wire_ipv4 *ip, const struct endpoint *peer, uint16_t udp_len)
{
	ip->version_ihl = 0x45;
	ip->tos = 0;
	ip->total_len = be16((uint16_t)(sizeof *ip + udp_len));
	ip->id = be16(net->next_id++);
	ip->fragment = be16(WIRE_IPV4_DF);
	ip->ttl = 64;
	ip->protocol = WIRE_PROTOCOL_UDP;
	ip->checksum = 0;
	memcpy(ip->source, net->config.ipv4, 4);
	memcpy(ip->destination, peer->ip + 12, 4);
	if (!net->config.tx_checksum_offload)
		ip->checksum = checksum_finish(checksum_add(0, ip, sizeof *ip));
}

static void
write_udp(const struct net *net, const struct wire_ipv4 *ip, struct wire_udp *udp,
    const struct endpoint *peer, uint16_t udp_len)
{
	uint64_t pseudo;

	udp->source_port = be16(peer->local_port);
	udp->destination_port = be16(peer->port);
	udp->len = be16(udp_len);
	udp->checksum = 0;
	pseudo = checksum_pseudo_ipv4(ip, udp_len);
	if (net->config.tx_checksum_offload) {
		/* The NIC adds the payload to the pseudo-header's sum that stands here. */
		udp->checksum = (uint16_t)~checksum_finish(pseudo);
		return;
	}
	udp->checksum = checksum_finish(checksum_add(pseudo, udp, udp_len));
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

	CHECK(PKT_UDP_PAYLOAD_OFFSET + reply->payload_len <= pkt->room);
	memcpy(ethernet->destination, reply->peer->mac, 6);
	memcpy(ethernet->source, net->config.mac, 6);
	ethernet->type = be16(WIRE_ETHERTYPE_IPV4);
	write_ipv4(net, ip, reply->peer, udp_len);
	write_udp(net, ip, (struct wire_udp *)(ip + 1), reply->peer, udp_len);
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
