/*
 * frames.h - builds Ethernet frames for tests, field by field, independent of lib/net's own output.
 */
#ifndef TESTS_FRAMES_H
#define TESTS_FRAMES_H

#include <string.h>

#include "base/bytes.h"
#include "base/pkt.h"

enum { FRAME_ROOM = 2048 };

struct test_frame {
	struct pkt pkt;
	uint8_t bytes[FRAME_ROOM];
};

static const uint8_t frame_our_mac[6] = { 2, 0, 0, 0, 9, 1 };
static const uint8_t frame_peer_mac[6] = { 2, 0, 0, 0, 9, 2 };
static const uint8_t frame_our_ip[4] = { 10, 9, 0, 1 };
static const uint8_t frame_peer_ip[4] = { 10, 9, 0, 2 };

/* RFC 1071 the slow way: 16 bits at a time, big-endian. */
static inline uint16_t
frame_checksum(uint32_t sum, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)data[i] << 8 | (i + 1 < len ? data[i + 1] : 0);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Writes both checksums of a UDP frame anew, after a test changed a field. */
static inline void
frame_seal_udp(struct test_frame *f)
{
	uint8_t *ip = f->bytes + 14, *udp = ip + 20;
	uint16_t udp_len = load_be16(udp + 4);
	uint32_t pseudo = 17u + udp_len;

	store_be16(ip + 10, 0);
	store_be16(ip + 10, frame_checksum(0, ip, 20));
	for (int i = 12; i < 20; i += 2)
		pseudo += load_be16(ip + i);
	store_be16(udp + 6, 0);
	store_be16(udp + 6, frame_checksum(pseudo, udp, udp_len));
}

static inline void
frame_ethernet(struct test_frame *f, uint16_t type)
{
	memset(f, 0, sizeof *f);
	f->pkt.data = f->bytes;
	f->pkt.room = FRAME_ROOM;
	memcpy(f->bytes, frame_our_mac, 6);
	memcpy(f->bytes + 6, frame_peer_mac, 6);
	store_be16(f->bytes + 12, type);
}

static inline void
frame_ipv4(struct test_frame *f, uint8_t protocol, uint16_t payload_len)
{
	uint8_t *ip = f->bytes + 14;

	frame_ethernet(f, 0x0800);
	ip[0] = 0x45;
	store_be16(ip + 2, (uint16_t)(20 + payload_len));
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, frame_peer_ip, 4);
	memcpy(ip + 16, frame_our_ip, 4);
	store_be16(ip + 10, frame_checksum(0, ip, 20));
	f->pkt.len = (uint16_t)(34 + payload_len);
}

static inline void
frame_udp(struct test_frame *f, uint16_t from, uint16_t to, const void *payload, uint16_t len)
{
	uint8_t *udp = f->bytes + 34;

	frame_ipv4(f, 17, (uint16_t)(8 + len));
	store_be16(udp, from);
	store_be16(udp + 2, to);
	store_be16(udp + 4, (uint16_t)(8 + len));
	memcpy(udp + 8, payload, len);
	frame_seal_udp(f);
}

/* --- IPv6 ------------------------------------------------------------------------------- */

static const uint8_t frame_our_ip6[16] = { 0xfd, 9, [15] = 1 };
static const uint8_t frame_peer_ip6[16] = { 0xfd, 9, [15] = 2 };

/* Where layer 4 of a frame of frame_ipv6 starts. */
enum { FRAME_IPV6_L4 = 54 };

static inline void
frame_ipv6(struct test_frame *f, uint8_t next_header, uint16_t payload_len)
{
	uint8_t *ip = f->bytes + 14;

	frame_ethernet(f, 0x86dd);
	ip[0] = 0x60;
	store_be16(ip + 4, payload_len);
	ip[6] = next_header;
	ip[7] = 64;
	memcpy(ip + 8, frame_peer_ip6, 16);
	memcpy(ip + 24, frame_our_ip6, 16);
	f->pkt.len = (uint16_t)(FRAME_IPV6_L4 + payload_len);
}

/* The sum of `len` bytes of layer 4 and of its pseudo-header: 0 when the checksum in it is right. */
static inline uint16_t
frame_sum_ipv6(const uint8_t *ip, const uint8_t *l4, uint16_t len, uint8_t protocol)
{
	uint32_t pseudo = protocol + (uint32_t)len;

	for (int i = 8; i < 40; i += 2)
		pseudo += load_be16(ip + i);
	return frame_checksum(pseudo, l4, len);
}

/* Writes the checksum of layer 4, which starts at l4. */
static inline void
frame_seal_ipv6(struct test_frame *f, uint16_t l4, uint16_t len, uint8_t protocol)
{
	uint8_t *field = f->bytes + l4 + (protocol == 58 ? 2 : 6);

	store_be16(field, 0);
	store_be16(field, frame_sum_ipv6(f->bytes + 14, f->bytes + l4, len, protocol));
}

static inline void
frame_udp6(struct test_frame *f, uint16_t from, uint16_t to, const void *payload, uint16_t len)
{
	uint8_t *udp = f->bytes + FRAME_IPV6_L4;

	frame_ipv6(f, 17, (uint16_t)(8 + len));
	store_be16(udp, from);
	store_be16(udp + 2, to);
	store_be16(udp + 4, (uint16_t)(8 + len));
	memcpy(udp + 8, payload, len);
	frame_seal_ipv6(f, FRAME_IPV6_L4, (uint16_t)(8 + len), 17);
}

/* Puts `len` bytes in behind the first `at` of a frame. */
static inline void
frame_insert(struct test_frame *f, uint16_t at, const void *bytes, uint16_t len)
{
	memmove(f->bytes + at + len, f->bytes + at, f->pkt.len - at);
	memcpy(f->bytes + at, bytes, len);
	f->pkt.len += len;
}

static inline void
frame_tag(struct test_frame *f, uint16_t tag)
{
	const uint8_t bytes[4] = { 0x81, 0, (uint8_t)(tag >> 8), (uint8_t)tag };

	frame_insert(f, 12, bytes, 4);
}

#endif
