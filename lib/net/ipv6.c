#include <string.h>

#include "net/stages.h"

enum { EXTENSIONS_MAX = 8 /* nobody sends more than three */, HEADERS_LEN = ETHERNET_HEADER_LEN + IPV6_HEADER_LEN };

/*
 * RFC 4291 2.5.2, 2.5.3, 2.7: groups and the loopback address are no sources, ours is not somebody else's, and
 * nobody has no address; but neighbour discovery hears by just these two of others who want ours. An IPv4 address in
 * an IPv6 header (2.5.5.2) would pass for one that came by IPv4.
 */
static bool
is_bad_source(const struct net *net, const struct wire_ipv6 *ip)
{
	static const uint8_t loopback[16] = { [15] = 1 };

	if (memcmp(ip->source, net_unspecified, 15) == 0)
		return ip->source[15] != 0 ? memcmp(ip->source, loopback, 16) == 0 : ip->next_header != WIRE_PROTOCOL_ICMPV6;
	return ip->source[0] == 0xff || endpoint_is_mapped(ip->source) ||
	    (nd_ours(net, ip->source) && ip->next_header != WIRE_PROTOCOL_ICMPV6);
}

/* --- extension headers ------------------------------------------------------------------ */

/* RFC 8200 4.2: options that one does not know may be skipped when their highest bits say so. */
static bool
options_pass(const uint8_t *option, const uint8_t *end)
{
	while (option < end) {
		if (*option == WIRE_IPV6_OPTION_PAD1) {
			option++;
			continue;
		}
		if (end - option < 2 || option[1] > end - option - 2 || *option & WIRE_IPV6_OPTION_ACTION)
			return false;
		option += 2 + option[1];
	}
	return true;
}

/*
 * Takes out one header of options behind the IPv6 header. RFC 8200 4.1: hop-by-hop options stand first or nowhere.
 */
static enum drop
skip_options(struct pkt *pkt, bool first)
{
	struct wire_ipv6 *ip = ipv6_of(pkt);
	const struct wire_ipv6_extension *extension = (const struct wire_ipv6_extension *)(ip + 1);
	uint16_t payload_len = be16(ip->payload_len), len;

	if (payload_len < sizeof *extension || (extension->len + 1) * 8 > payload_len)
		return DROP_IPV6_HEADER;
	len = (uint16_t)((extension->len + 1) * 8);
	if ((ip->next_header == WIRE_IPV6_HOP_BY_HOP && !first) ||
	    !options_pass((const uint8_t *)extension + 2, (const uint8_t *)extension + len))
		return DROP_IPV6_EXTENSION;
	ip->next_header = extension->next_header;
	ip->payload_len = be16((uint16_t)(payload_len - len));
	pkt_cut(pkt, HEADERS_LEN, len);
	return DROP_NONE;
}

/* RFC 5095: routing headers are not followed, nor is anything behind one looked at. */
static enum drop
skip_extensions(struct pkt *pkt)
{
	enum drop why = DROP_NONE;
	int count = 0;

	while (why == DROP_NONE) {
		switch (ipv6_of(pkt)->next_header) {
		case WIRE_IPV6_HOP_BY_HOP:
		case WIRE_IPV6_DESTINATION:
			why = count < EXTENSIONS_MAX ? skip_options(pkt, count == 0) : DROP_IPV6_EXTENSION;
			count++;
			break;
		case WIRE_IPV6_ROUTING:
			return DROP_IPV6_EXTENSION;
		default:
			return DROP_NONE;
		}
	}
	return why;
}

/* --- layer 4 ---------------------------------------------------------------------------- */

static bool
dispatch(struct net *net, struct pkt *pkt, uint8_t local, struct datagram *datagram)
{
	bool multicast = local == 0;

	if (ipv6_of(pkt)->next_header == WIRE_PROTOCOL_ICMPV6)
		icmp6_input(net, pkt, local, multicast);
	else if (multicast || !nd_is_usable(net, local))
		pkt_drop(pkt, net->counters, DROP_NOT_FOR_US);
	else if (ipv6_of(pkt)->next_header == WIRE_PROTOCOL_UDP)
		return udp_input_ipv6(net, pkt, local, datagram);
	else if (ipv6_of(pkt)->next_header == WIRE_PROTOCOL_TCP)
		tcp_segment_input(net, pkt, local, pkt->data + HEADERS_LEN, be16(ipv6_of(pkt)->payload_len));
	else
		pkt_drop(pkt, net->counters, DROP_IP_PROTOCOL);
	return false;
}

/* RFC 6980 5: neighbour discovery is not listened to behind a fragment header. */
static bool
is_discovery(const struct pkt *pkt)
{
	const struct wire_icmp *icmp = (const struct wire_icmp *)(ipv6_of(pkt) + 1);

	return ipv6_of(pkt)->next_header == WIRE_PROTOCOL_ICMPV6 && be16(ipv6_of(pkt)->payload_len) >= sizeof *icmp &&
	    icmp->type > WIRE_ICMPV6_ECHO_REPLY;
}

/* What goes to a group is never so long as to be cut. */
static bool
fragment_input(struct net *net, struct pkt *pkt, uint8_t local, struct datagram *datagram)
{
	struct wire_ipv6 *ip = ipv6_of(pkt);
	const struct wire_ipv6_fragment *header = (const struct wire_ipv6_fragment *)(ip + 1);
	uint16_t payload_len = be16(ip->payload_len), offset;
	struct frag frag = { 0 };
	struct view whole;

	if (payload_len < sizeof *header || local == 0 || !nd_is_usable(net, local)) {
		pkt_drop(pkt, net->counters, payload_len < sizeof *header ? DROP_IPV6_HEADER : DROP_NOT_FOR_US);
		return false;
	}
	offset = be16(header->offset);
	frag.id = header->id;
	frag.protocol = header->next_header;
	frag.more = offset & WIRE_IPV6_FRAGMENT_MORE;
	frag.offset = offset & WIRE_IPV6_OFFSET_MASK;
	frag.bytes = view_of(header + 1, (uint32_t)(payload_len - sizeof *header));
	memcpy(frag.source, ip->source, 16);
	memcpy(frag.destination, ip->destination, 16);
	ip->next_header = frag.protocol;
	ip->payload_len = be16((uint16_t)frag.bytes.len);
	pkt_cut(pkt, HEADERS_LEN, sizeof *header);
	/* RFC 6946 4: one that is all of its datagram has nothing to do with others of the same number. */
	if (frag.offset != 0 || frag.more) {
		if (!fragment_take(net, pkt, &frag, HEADERS_LEN, &whole))
			return false;
		if (whole.data)
			return udp_input_large(net, pkt, local, whole, datagram);
		ipv6_of(pkt)->payload_len = be16((uint16_t)(pkt->len - HEADERS_LEN));
	}
	if (is_discovery(pkt)) {
		pkt_drop(pkt, net->counters, DROP_FRAGMENT);
		return false;
	}
	return dispatch(net, pkt, local, datagram);
}

static enum drop
verdict(const struct net *net, const struct pkt *pkt, uint8_t *local)
{
	const struct wire_ipv6 *ip = ipv6_of(pkt);

	if (pkt->len < HEADERS_LEN)
		return DROP_RUNT;
	if (ip->version_class >> 4 != 6 || be16(ip->payload_len) > pkt->len - HEADERS_LEN)
		return DROP_IPV6_HEADER;
	*local = nd_ours(net, ip->destination);
	if (!*local && !nd_is_our_group(net, ip->destination))
		return DROP_NOT_FOR_US;
	/* RFC 1122 3.3.6 in spirit: a group's frame carries a group's packet, and the reverse. */
	if (*local && !is_our_mac(net, ethernet_of(pkt)->destination))
		return DROP_NOT_FOR_US;
	return DROP_NONE;
}

bool
ipv6_input(struct net *net, struct pkt *pkt, struct datagram *datagram)
{
	uint8_t local = 0;
	enum drop why = verdict(net, pkt, &local);

	if (why == DROP_NONE)
		why = skip_extensions(pkt);
	if (why == DROP_NONE && is_bad_source(net, ipv6_of(pkt)))
		why = DROP_SOURCE_ADDRESS;
	if (why != DROP_NONE) {
		pkt_drop(pkt, net->counters, why);
		return false;
	}
	if (ipv6_of(pkt)->next_header == WIRE_IPV6_FRAGMENT)
		return fragment_input(net, pkt, local, datagram);
	return dispatch(net, pkt, local, datagram);
}
