#include <string.h>

#include "net/stages.h"
#include "wire/checksum.h"

static void
swap_addresses(const struct net *net, struct pkt *pkt)
{
	struct wire_ethernet *ethernet = ethernet_of(pkt);
	struct wire_ipv4 *ip = ipv4_of(pkt);

	memcpy(ethernet->destination, ethernet->source, 6);
	memcpy(ethernet->source, net->config.mac, 6);
	memcpy(ip->destination, ip->source, 4);
	memcpy(ip->source, net->config.ipv4, 4);
	ip->ttl = 64;
	ip->checksum = 0;
	ip->checksum = checksum_finish(checksum_add(0, ip, sizeof *ip));
}

void
icmp_input(struct net *net, struct pkt *pkt)
{
	struct wire_ipv4 *ip = ipv4_of(pkt);
	struct wire_icmp *icmp = (struct wire_icmp *)(ip + 1);
	uint16_t len = (uint16_t)(be16(ip->total_len) - sizeof *ip);

	if (len < 8) {
		pkt_drop(pkt, net->counters, DROP_RUNT);
		return;
	}
	if (checksum_finish(checksum_add(0, icmp, len)) != 0) {
		pkt_drop(pkt, net->counters, DROP_ICMP_CHECKSUM);
		return;
	}
	if (icmp->type != WIRE_ICMP_ECHO_REQUEST || icmp->code != 0) {
		pkt_drop(pkt, net->counters, DROP_ICMP_TYPE);
		return;
	}
	icmp->type = WIRE_ICMP_ECHO_REPLY;
	icmp->checksum = 0;
	icmp->checksum = checksum_finish(checksum_add(0, icmp, len));
	swap_addresses(net, pkt);
	pkt->len = (uint16_t)(ETHERNET_HEADER_LEN + sizeof *ip + len); /* without Ethernet padding */
	pkt->disposition = PKT_SEND;
	counter_add(net->counters, COUNTER_ICMP_REPLIES, 1);
}
