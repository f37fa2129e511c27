/*
 * l3.h - the headers before layer 4: Ethernet, an 802.1Q tag, IPv4 or IPv6.
 *
 * Purpose: one way to write them, for UDP, ICMP and TCP alike. Headers grow towards the
 *   front of a packet: layer 4 stands at a fixed place, and the frame begins as many bytes
 *   before it as family and tag need (l3_len).
 * Threads: any; no state. Memory: the caller's.
 * Bounds: L3_LEN_MAX bytes.
 * Sources: IEEE 802.3, IEEE 802.1Q; RFC 791, RFC 6864 (an IPv4 packet that may not be
 *   fragmented may have any identification); RFC 8200.
 */
#ifndef NET_L3_H
#define NET_L3_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/endpoint.h"
#include "base/limits.h"
#include "wire/checksum.h"
#include "wire/wire.h"

enum {
	L3_TTL = 64,
	L3_LEN_MIN = ETHERNET_HEADER_LEN + IPV4_HEADER_LEN,
	L3_LEN_MAX = ETHERNET_HEADER_LEN + VLAN_TAG_LEN + IPV6_HEADER_LEN,
};

/* Both ends of a packet's way. The family is the addresses': both IPv4 (mapped), or both IPv6. */
struct l3 {
	uint8_t source_mac[6], destination_mac[6];
	uint16_t vlan; /* 0: no tag */
	uint8_t source[16], destination[16];
};

static inline bool
l3_is_ipv6(const struct l3 *l3)
{
	return !endpoint_is_mapped(l3->destination);
}

/* Bytes before layer 4. */
static inline uint16_t
l3_len(bool ipv6, uint16_t vlan)
{
	return (uint16_t)(ETHERNET_HEADER_LEN + (vlan ? VLAN_TAG_LEN : 0) + (ipv6 ? IPV6_HEADER_LEN : IPV4_HEADER_LEN));
}

/* Most bytes of layer 4 in a frame of MTU bytes. */
static inline uint16_t
l3_room(bool ipv6)
{
	return ipv6 ? MTU - IPV6_HEADER_LEN : MTU - IPV4_HEADER_LEN;
}

static inline uint8_t *
l3_write_ethernet(uint8_t *frame, const uint8_t source[6], const uint8_t destination[6], uint16_t vlan, uint16_t type)
{
	struct wire_ethernet *ethernet = (struct wire_ethernet *)frame;
	struct wire_vlan *tag = (struct wire_vlan *)(ethernet + 1);

	memcpy(ethernet->destination, destination, 6);
	memcpy(ethernet->source, source, 6);
	if (!vlan) {
		ethernet->type = be16(type);
		return (uint8_t *)(ethernet + 1);
	}
	ethernet->type = be16(WIRE_ETHERTYPE_VLAN);
	tag->tag = be16(vlan);
	tag->type = be16(type);
	return (uint8_t *)(tag + 1);
}

/*
 * The sum of both addresses (as memory holds them), for the checksums that need it. They are made
 * from values, not read back from the frame: loads across stores of another width wait
 * until those have left the core.
 */
static inline uint64_t
l3_sum_ipv4(const uint8_t source[4], const uint8_t destination[4])
{
	return checksum_add(checksum_add(0, source, 4), destination, 4);
}

/* addresses: their sum. checksum false: left 0, for the NIC to fill. Returns where layer 4 starts. */
static inline uint8_t *
l3_write_ipv4(uint8_t *at, const uint8_t source[4], const uint8_t destination[4], uint64_t addresses, uint8_t protocol,
    uint16_t l4_len, uint16_t id, bool checksum)
{
	enum { VERSION_4_NO_OPTIONS = 0x45 };
	struct wire_ipv4 *ip = (struct wire_ipv4 *)at;
	uint16_t total_len = be16((uint16_t)(sizeof *ip + l4_len));

	memcpy(ip->source, source, 4);
	memcpy(ip->destination, destination, 4);
	ip->version_ihl = VERSION_4_NO_OPTIONS;
	ip->tos = 0;
	ip->total_len = total_len;
	ip->id = be16(id);
	ip->fragment = be16(WIRE_IPV4_DF);
	ip->ttl = L3_TTL;
	ip->protocol = protocol;
	ip->checksum = 0;
	if (checksum)
		ip->checksum = checksum_finish(addresses + be16(VERSION_4_NO_OPTIONS << 8) + total_len + be16(id) +
		    be16(WIRE_IPV4_DF) + be16((uint16_t)(L3_TTL << 8 | protocol)));
	return (uint8_t *)(ip + 1);
}

static inline uint8_t *
l3_write_ipv6(uint8_t *at, const uint8_t source[16], const uint8_t destination[16], uint8_t protocol, uint16_t l4_len)
{
	struct wire_ipv6 *ip = (struct wire_ipv6 *)at;

	ip->version_class = 6 << 4;
	ip->class_flow = 0;
	ip->flow = 0;
	ip->payload_len = be16(l4_len);
	ip->next_header = protocol;
	ip->hop_limit = L3_TTL;
	memcpy(ip->source, source, 16);
	memcpy(ip->destination, destination, 16);
	return (uint8_t *)(ip + 1);
}

/*
 * Writes all headers of a frame that begins at `frame`; layer 4 will have l4_len bytes. id: of
 * an IPv4 packet. checksum false: IPv4's own is the NIC's to fill. Returns where layer 4 starts:
 * frame + l3_len(l3_is_ipv6(l3), l3->vlan).
 */
static inline uint8_t *
l3_write(uint8_t *frame, const struct l3 *l3, uint8_t protocol, uint16_t l4_len, uint16_t id, bool checksum)
{
	bool ipv6 = l3_is_ipv6(l3);
	uint8_t *at = l3_write_ethernet(frame, l3->source_mac, l3->destination_mac, l3->vlan,
	    ipv6 ? WIRE_ETHERTYPE_IPV6 : WIRE_ETHERTYPE_IPV4);

	if (ipv6)
		return l3_write_ipv6(at, l3->source, l3->destination, protocol, l4_len);
	return l3_write_ipv4(at, l3->source + 12, l3->destination + 12,
	    l3_sum_ipv4(l3->source + 12, l3->destination + 12), protocol, l4_len, id, checksum);
}

/*
 * The sum of the pseudo-header (RFC 9293 3.1, RFC 768, RFC 8200 8.1): layer 4's checksum is
 * checksum_finish(checksum_add(l3_pseudo(...), layer 4 with a checksum of 0, l4_len)).
 */
static inline uint64_t
l3_pseudo(const struct l3 *l3, uint8_t protocol, uint16_t l4_len)
{
	uint64_t sum = (uint64_t)be16(l4_len) + be16(protocol);

	if (l3_is_ipv6(l3))
		return checksum_add(checksum_add(sum, l3->source, 16), l3->destination, 16);
	return sum + l3_sum_ipv4(l3->source + 12, l3->destination + 12);
}

#endif
