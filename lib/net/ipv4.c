#include <string.h>

#include "net/stages.h"

enum { VERSION_4_NO_OPTIONS = 0x45 };

/* RFC 1122 3.2.1.3: addresses that must not be a source. */
static bool
is_bad_source(const struct net *net, const uint8_t ip[4])
{
	uint32_t source, ours, rest;

	if (ip[0] == 0 || ip[0] == 127 || ip[0] >= 224)
		return true;
	if (ip[0] != net->config.ipv4[0])
		return false;
	memcpy(&source, ip, 4);
	memcpy(&ours, net->config.ipv4, 4);
	if (source == ours)
		return true;
	if (net->config.ipv4_len < 1 || net->config.ipv4_len > 30) /* RFC 3021: no broadcast address in /31 */
		return false;
	rest = be32(UINT32_MAX >> net->config.ipv4_len);
	return ((source ^ ours) & ~rest) == 0 && ((source & rest) == rest || (source & rest) == 0);
}

static inline enum drop
verdict(const struct net *net, const struct pkt *pkt, const struct wire_ipv4 *ip)
{
	uint16_t total_len = be16(ip->total_len);

	if (ip->version_ihl != VERSION_4_NO_OPTIONS)
		return DROP_IPV4_HEADER;
	if (total_len < sizeof *ip || total_len > pkt->len - ETHERNET_HEADER_LEN)
		return DROP_IPV4_HEADER;
	if (net->config.verify_checksums &&
	    checksum_finish(checksum_add(0, ip, sizeof *ip)) != 0)
		return DROP_IPV4_CHECKSUM;
	if (memcmp(ip->destination, net->config.ipv4, 4) != 0)
		return DROP_NOT_FOR_US;
	if (is_bad_source(net, ip->source))
		return DROP_SOURCE_ADDRESS;
	return DROP_NONE;
}

/* --- options ---------------------------------------------------------------------------- */

/* RFC 7126 4.3, 4.4: a packet that says by which way to answer it is dropped; all other options can be skipped. */
static bool
options_pass(const uint8_t *option, const uint8_t *end)
{
	while (option < end && *option != WIRE_IPV4_OPTION_END) {
		if (*option == WIRE_IPV4_OPTION_NOP) {
			option++;
			continue;
		}
		if (*option == WIRE_IPV4_OPTION_LOOSE_ROUTE || *option == WIRE_IPV4_OPTION_STRICT_ROUTE)
			return false;
		if (end - option < 2 || option[1] < 2 || option[1] > end - option)
			return false;
		option += option[1];
	}
	return true;
}

/* Takes the options out: what follows sees a header of 20 bytes, with a checksum of its own. */
static __attribute__((noinline)) enum drop
skip_options(const struct net *net, struct pkt *pkt)
{
	struct wire_ipv4 *ip = ipv4_of(pkt);
	uint16_t header_len = (uint16_t)((ip->version_ihl & 15) * 4), skip = (uint16_t)(header_len - sizeof *ip);
	uint16_t total_len = be16(ip->total_len);

	if (ip->version_ihl >> 4 != 4 || header_len <= sizeof *ip || total_len < header_len ||
	    total_len > pkt->len - ETHERNET_HEADER_LEN)
		return DROP_IPV4_HEADER;
	if (net->config.verify_checksums && checksum_finish(checksum_add(0, ip, header_len)) != 0)
		return DROP_IPV4_CHECKSUM;
	if (!options_pass((const uint8_t *)(ip + 1), (const uint8_t *)ip + header_len))
		return DROP_IPV4_OPTIONS;
	pkt_cut(pkt, ETHERNET_HEADER_LEN + IPV4_HEADER_LEN, skip);
	ip = ipv4_of(pkt);
	ip->version_ihl = VERSION_4_NO_OPTIONS;
	ip->total_len = be16((uint16_t)(total_len - skip));
	ip->checksum = 0;
	ip->checksum = checksum_finish(checksum_add(0, ip, sizeof *ip));
	return DROP_NONE;
}

/* --- layer 4 ---------------------------------------------------------------------------- */

static inline bool
dispatch(struct net *net, struct pkt *pkt, struct datagram *datagram)
{
	switch (ipv4_of(pkt)->protocol) {
	case WIRE_PROTOCOL_UDP:
		return udp_input_ipv4(net, pkt, datagram);
	case WIRE_PROTOCOL_TCP:
		tcp_segment_input(net, pkt, ENDPOINT_IPV4, pkt->data + L3_LEN_MIN, (uint16_t)(be16(ipv4_of(pkt)->total_len) - IPV4_HEADER_LEN));
		return false;
	case WIRE_PROTOCOL_ICMP:
		icmp_input(net, pkt);
		return false;
	default:
		pkt_drop(pkt, net->counters, DROP_IP_PROTOCOL);
		return false;
	}
}

static __attribute__((noinline)) bool
fragment_input(struct net *net, struct pkt *pkt, struct datagram *datagram)
{
	struct wire_ipv4 *ip = ipv4_of(pkt);
	uint16_t fragment = be16(ip->fragment);
	struct frag frag = { .id = ip->id, .protocol = ip->protocol, .more = fragment & WIRE_IPV4_MF,
		.offset = (uint16_t)((fragment & WIRE_IPV4_OFFSET_MASK) * 8u),
		.bytes = view_of(ip + 1, (uint32_t)(be16(ip->total_len) - sizeof *ip)) };
	struct view whole;

	endpoint_map_ipv4(frag.source, ip->source);
	endpoint_map_ipv4(frag.destination, ip->destination);
	if (!fragment_take(net, pkt, &frag, L3_LEN_MIN, &whole))
		return false;
	if (whole.data)
		return udp_input_large(net, pkt, ENDPOINT_IPV4, whole, datagram);
	ip->total_len = be16((uint16_t)(sizeof *ip + whole.len));
	ip->fragment = 0;
	return dispatch(net, pkt, datagram);
}

bool
ipv4_input(struct net *net, struct pkt *pkt, struct datagram *datagram)
{
	enum drop why = DROP_RUNT;

	if (pkt->len >= ETHERNET_HEADER_LEN + IPV4_HEADER_LEN) {
		why = DROP_NONE;
		if (__builtin_expect(ipv4_of(pkt)->version_ihl != VERSION_4_NO_OPTIONS, 0))
			why = skip_options(net, pkt);
		if (why == DROP_NONE)
			why = verdict(net, pkt, ipv4_of(pkt));
	}
	if (why != DROP_NONE) {
		pkt_drop(pkt, net->counters, why);
		return false;
	}
	if (__builtin_expect((ipv4_of(pkt)->fragment & be16(WIRE_IPV4_FRAGMENT_MASK)) != 0, 0))
		return fragment_input(net, pkt, datagram);
	return dispatch(net, pkt, datagram);
}
