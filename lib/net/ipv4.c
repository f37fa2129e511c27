#include <string.h>

#include "net/stages.h"
#include "wire/checksum.h"

enum { VERSION_4_NO_OPTIONS = 0x45 };

/* RFC 1122 3.2.1.3: addresses that must not be a source. */
static bool
is_bad_source(const struct net *net, const uint8_t ip[4])
{
	return ip[0] == 0 || ip[0] == 127 || ip[0] >= 224 ||
	    memcmp(ip, net->config.ipv4, 4) == 0;
}

static enum drop
verdict(const struct net *net, const struct pkt *pkt, const struct wire_ipv4 *ip)
{
	uint16_t total_len = be16(ip->total_len);

	if (ip->version_ihl != VERSION_4_NO_OPTIONS)
		return ip->version_ihl >> 4 == 4 && (ip->version_ihl & 15) > 5 ?
		    DROP_IPV4_OPTIONS : DROP_IPV4_HEADER;
	if (total_len < sizeof *ip || total_len > pkt->len - ETHERNET_HEADER_LEN)
		return DROP_IPV4_HEADER;
	if (net->config.verify_checksums &&
	    checksum_finish(checksum_add(0, ip, sizeof *ip)) != 0)
		return DROP_IPV4_CHECKSUM;
	if (memcmp(ip->destination, net->config.ipv4, 4) != 0)
		return DROP_NOT_FOR_US;
	if (ip->fragment & be16(WIRE_IPV4_FRAGMENT_MASK))
		return DROP_FRAGMENT;
	if (is_bad_source(net, ip->source))
		return DROP_SOURCE_ADDRESS;
	return DROP_NONE;
}

bool
ipv4_input(struct net *net, struct pkt *pkt)
{
	enum drop why = DROP_RUNT;

	if (pkt->len >= ETHERNET_HEADER_LEN + IPV4_HEADER_LEN)
		why = verdict(net, pkt, ipv4_of(pkt));
	if (why != DROP_NONE)
		pkt_drop(pkt, net->counters, why);
	return why == DROP_NONE;
}
