/*
 * wire.h - Ethernet, VLAN, ARP, IPv4, IPv6, ICMP, ICMPv6 and UDP headers as they stand in a frame.
 *
 * Purpose: packed layouts with big-endian fields; read with be16/be32, write
 *   the same way. No parsing decisions here: those are net's.
 * Sources: IEEE 802.3, IEEE 802.1Q (tags), RFC 826 (ARP), RFC 791 (IPv4), RFC 792 (ICMP), RFC 768 (UDP),
 *   RFC 8200 (IPv6 and its extension headers), RFC 4443 (ICMPv6), RFC 4861 (neighbour discovery),
 *   RFC 2710 and RFC 3810 (multicast listeners), RFC 2711 (router alert).
 */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include <stdint.h>

#define WIRE_PACKED __attribute__((packed, may_alias))

enum {
	WIRE_ETHERTYPE_IPV4 = 0x0800,
	WIRE_ETHERTYPE_ARP = 0x0806,
	WIRE_ETHERTYPE_VLAN = 0x8100,
	WIRE_ETHERTYPE_IPV6 = 0x86dd,
	WIRE_ETHERTYPE_QINQ = 0x88a8,
	WIRE_VLAN_TAG_LEN = 4,
	WIRE_VLAN_ID_MASK = 0x0fff, /* the rest of a tag is priority and drop eligibility */
	WIRE_ARP_REQUEST = 1,
	WIRE_ARP_REPLY = 2,
	WIRE_PROTOCOL_ICMP = 1,
	WIRE_PROTOCOL_TCP = 6,
	WIRE_PROTOCOL_UDP = 17,
	WIRE_PROTOCOL_ICMPV6 = 58,
	WIRE_ICMP_ECHO_REPLY = 0,
	WIRE_ICMP_UNREACHABLE = 3,
	WIRE_ICMP_SOURCE_QUENCH = 4,
	WIRE_ICMP_REDIRECT = 5,
	WIRE_ICMP_ECHO_REQUEST = 8,
	WIRE_ICMP_TIME_EXCEEDED = 11,
	WIRE_ICMP_PARAMETER_PROBLEM = 12,
	WIRE_ICMP_CODE_PROTOCOL = 2,    /* of UNREACHABLE */
	WIRE_ICMP_CODE_PORT = 3,
	WIRE_ICMP_CODE_FRAGMENTATION = 4,
	WIRE_IPV4_DF = 0x4000,
	WIRE_IPV4_MF = 0x2000,
	WIRE_IPV4_OFFSET_MASK = 0x1fff,   /* in units of 8 bytes */
	WIRE_IPV4_FRAGMENT_MASK = 0x3fff, /* MF and offset */
	WIRE_IPV4_OPTION_END = 0,
	WIRE_IPV4_OPTION_NOP = 1,
	WIRE_IPV4_OPTION_LOOSE_ROUTE = 131,
	WIRE_IPV4_OPTION_STRICT_ROUTE = 137,
};

/* RFC 8200: next headers, and what is in them. */
enum {
	WIRE_IPV6_HOP_BY_HOP = 0,
	WIRE_IPV6_ROUTING = 43,
	WIRE_IPV6_FRAGMENT = 44,
	WIRE_IPV6_NO_NEXT = 59,
	WIRE_IPV6_DESTINATION = 60,
	WIRE_IPV6_MTU_MIN = 1280,
	WIRE_IPV6_FRAGMENT_MORE = 1,
	WIRE_IPV6_OFFSET_MASK = 0xfff8,   /* in bytes */
	WIRE_IPV6_OPTION_PAD1 = 0,
	WIRE_IPV6_OPTION_ROUTER_ALERT = 5,
	WIRE_IPV6_OPTION_ACTION = 0xc0,   /* of who does not know an option: 0 skips it */
};

/* RFC 4443, RFC 4861, RFC 2710, RFC 3810. */
enum {
	WIRE_ICMPV6_UNREACHABLE = 1,
	WIRE_ICMPV6_PACKET_TOO_BIG = 2,
	WIRE_ICMPV6_TIME_EXCEEDED = 3,
	WIRE_ICMPV6_PARAMETER_PROBLEM = 4,
	WIRE_ICMPV6_ERROR_MAX = 127,      /* types up to it are errors */
	WIRE_ICMPV6_ECHO_REQUEST = 128,
	WIRE_ICMPV6_ECHO_REPLY = 129,
	WIRE_ICMPV6_LISTENER_QUERY = 130,
	WIRE_ICMPV6_NEIGHBOUR_SOLICITATION = 135,
	WIRE_ICMPV6_NEIGHBOUR_ADVERTISEMENT = 136,
	WIRE_ICMPV6_LISTENER_REPORT = 143, /* version 2 */
	WIRE_ICMPV6_CODE_PORT = 4,        /* of UNREACHABLE */
	WIRE_ND_SOURCE_MAC = 1,           /* options of neighbour discovery */
	WIRE_ND_TARGET_MAC = 2,
	WIRE_ND_SOLICITED = 0x40,         /* flags of an advertisement */
	WIRE_ND_OVERRIDE = 0x20,
	WIRE_ND_HOP_LIMIT = 255,
	WIRE_MLD_IS_EXCLUDE = 2,          /* kinds of records in a report */
	WIRE_MLD_TO_EXCLUDE = 4,
};

struct wire_ethernet {
	uint8_t destination[6], source[6];
	uint16_t type;
} WIRE_PACKED;

struct wire_arp {
	uint16_t hardware, protocol;
	uint8_t hardware_len, protocol_len;
	uint16_t operation;
	uint8_t sender_mac[6], sender_ip[4];
	uint8_t target_mac[6], target_ip[4];
} WIRE_PACKED;

struct wire_ipv4 {
	uint8_t version_ihl, tos;
	uint16_t total_len, id, fragment;
	uint8_t ttl, protocol;
	uint16_t checksum;
	uint8_t source[4], destination[4];
} WIRE_PACKED;

struct wire_vlan {
	uint16_t tag, type; /* behind an Ethernet header whose type is WIRE_ETHERTYPE_VLAN */
} WIRE_PACKED;

struct wire_ipv6 {
	uint8_t version_class, class_flow;
	uint16_t flow;
	uint16_t payload_len;
	uint8_t next_header, hop_limit;
	uint8_t source[16], destination[16];
} WIRE_PACKED;

/* Hop-by-hop options, destination options, routing. */
struct wire_ipv6_extension {
	uint8_t next_header, len; /* in units of 8 bytes, without the first */
	uint8_t rest[6];
} WIRE_PACKED;

struct wire_ipv6_fragment {
	uint8_t next_header, reserved;
	uint16_t offset; /* in bytes; the low bit: more fragments follow */
	uint32_t id;
} WIRE_PACKED;

struct wire_icmp {
	uint8_t type, code;
	uint16_t checksum;
} WIRE_PACKED;

/* Behind type, code and checksum: 4 bytes that errors use (RFC 792; RFC 1191: the low half is an MTU). */
struct wire_icmp_error {
	struct wire_icmp icmp;
	uint16_t unused, mtu;
} WIRE_PACKED;

/* The target's MAC, as the option of a solicitation or an advertisement. */
struct wire_nd_option {
	uint8_t type, len; /* in units of 8 bytes */
	uint8_t mac[6];
} WIRE_PACKED;

struct wire_nd {
	struct wire_icmp icmp;
	uint8_t flags, reserved[3];
	uint8_t target[16];
} WIRE_PACKED;

struct wire_mld_report {
	struct wire_icmp icmp;
	uint16_t reserved, record_count;
} WIRE_PACKED;

struct wire_mld_record {
	uint8_t kind, auxiliary_len;
	uint16_t source_count;
	uint8_t group[16];
} WIRE_PACKED;

struct wire_udp {
	uint16_t source_port, destination_port, len, checksum;
} WIRE_PACKED;

_Static_assert(sizeof(struct wire_ethernet) == 14 && sizeof(struct wire_arp) == 28 &&
    sizeof(struct wire_ipv4) == 20 && sizeof(struct wire_udp) == 8, "wire layouts");
_Static_assert(sizeof(struct wire_ipv6) == 40 && sizeof(struct wire_ipv6_extension) == 8 &&
    sizeof(struct wire_ipv6_fragment) == 8 && sizeof(struct wire_icmp_error) == 8 && sizeof(struct wire_nd) == 24 &&
    sizeof(struct wire_nd_option) == 8 && sizeof(struct wire_mld_report) == 8 &&
    sizeof(struct wire_mld_record) == 20, "wire layouts");

static inline uint16_t
be16(uint16_t v)
{
	return __builtin_bswap16(v);
}

static inline uint32_t
be32(uint32_t v)
{
	return __builtin_bswap32(v);
}

#endif
