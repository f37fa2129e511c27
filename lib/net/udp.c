#include <string.h>

#include "net/stages.h"
#include "wire/checksum.h"

static enum drop
verdict(const struct net *net, const struct wire_ipv4 *ip, const struct wire_udp *udp)
{
	uint16_t room = (uint16_t)(be16(ip->total_len) - sizeof *ip);
	uint16_t len;

	if (room < sizeof *udp)
		return DROP_UDP_LENGTH;
	len = be16(udp->len);
	if (len < sizeof *udp || len > room)
		return DROP_UDP_LENGTH;
	/* RFC 768: a checksum of zero means that the sender computed none. */
	if (net->config.verify_checksums && udp->checksum != 0 &&
	    checksum_finish(checksum_add(checksum_pseudo_ipv4(ip, len), udp, len)) != 0)
		return DROP_UDP_CHECKSUM;
	if (udp->source_port == 0 || net->services[be16(udp->destination_port)] == SERVICE_NONE)
		return DROP_UDP_PORT;
	return DROP_NONE;
}

bool
udp_input(struct net *net, struct pkt *pkt, struct datagram *datagram)
{
	const struct wire_ipv4 *ip = ipv4_of(pkt);
	const struct wire_udp *udp = (const struct wire_udp *)(ip + 1);
	enum drop why = verdict(net, ip, udp);

	if (why != DROP_NONE) {
		pkt_drop(pkt, net->counters, why);
		return false;
	}
	datagram->pkt = pkt;
	datagram->payload = pkt->data + PKT_UDP_PAYLOAD_OFFSET;
	datagram->payload_len = (uint16_t)(be16(udp->len) - sizeof *udp);
	datagram->service = net->services[be16(udp->destination_port)];
	datagram->deferred = NULL;
	endpoint_map_ipv4(datagram->peer.ip, ip->source);
	datagram->peer.port = be16(udp->source_port);
	datagram->peer.local_port = be16(udp->destination_port);
	memcpy(datagram->peer.mac, ethernet_of(pkt)->source, 6);
	return true;
}

uint32_t
net_echo(const struct datagram *datagrams, uint32_t n, struct reply *replies)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++)
		if (datagrams[i].service == SERVICE_ECHO)
			replies[count++] = (struct reply){ datagrams[i].pkt,
				datagrams[i].payload_len, &datagrams[i].peer };
	return count;
}
