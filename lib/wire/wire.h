/*
 * wire.h - Ethernet, ARP, IPv4, ICMP and UDP headers as they stand in a frame.
 *
 * Purpose: packed layouts with big-endian fields; read with be16/be32, write
 *   the same way. No parsing decisions here: those are net's.
 * Sources: IEEE 802.3, RFC 826 (ARP), RFC 791 (IPv4), RFC 792 (ICMP), RFC 768 (UDP).
 */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include <stdint.h>

#define WIRE_PACKED __attribute__((packed, may_alias))

enum {
	WIRE_ETHERTYPE_IPV4 = 0x0800,
	WIRE_ETHERTYPE_ARP = 0x0806,
	WIRE_ETHERTYPE_VLAN = 0x8100,
	WIRE_ETHERTYPE_QINQ = 0x88a8,
	WIRE_ARP_REQUEST = 1,
	WIRE_ARP_REPLY = 2,
	WIRE_PROTOCOL_ICMP = 1,
	WIRE_PROTOCOL_UDP = 17,
	WIRE_ICMP_ECHO_REPLY = 0,
	WIRE_ICMP_ECHO_REQUEST = 8,
	WIRE_IPV4_DF = 0x4000,
	WIRE_IPV4_FRAGMENT_MASK = 0x3fff, /* MF and offset */
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

struct wire_icmp {
	uint8_t type, code;
	uint16_t checksum;
} WIRE_PACKED;

struct wire_udp {
	uint16_t source_port, destination_port, len, checksum;
} WIRE_PACKED;

_Static_assert(sizeof(struct wire_ethernet) == 14 && sizeof(struct wire_arp) == 28 &&
    sizeof(struct wire_ipv4) == 20 && sizeof(struct wire_udp) == 8, "wire layouts");

static inline uint16_t
be16(uint16_t v)
{
	return __builtin_bswap16(v);
}

#endif
