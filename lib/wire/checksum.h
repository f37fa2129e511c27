/*
 * checksum.h - the Internet checksum.
 *
 * Purpose: one's-complement sums over headers and payloads. Sums are kept in
 *   64 bits and folded at the end; byte order does not matter to the sum as long
 *   as loads and the final store agree (RFC 1071 section 2 (B)).
 * Sources: RFC 1071, RFC 768 (UDP pseudo-header; 0 is sent as 0xffff).
 */
#ifndef WIRE_CHECKSUM_H
#define WIRE_CHECKSUM_H

#include <stdint.h>
#include <string.h>

#include "wire/wire.h"

/* Adds len bytes to a running sum; len up to 64 KiB cannot overflow 64 bits. */
static inline uint64_t
checksum_add(uint64_t sum, const void *data, uint32_t len)
{
	const uint8_t *p = data;

	/* Whole words of 32 bits: a loop that compilers turn into vector additions. */
	uint32_t words = len / 4;

	for (uint32_t i = 0; i < words; i++) {
		uint32_t word;

		memcpy(&word, p + 4 * i, sizeof word);
		sum += word;
	}
	p += 4 * words;
	len &= 3;
	if (len) {
		uint32_t word = 0;

		memcpy(&word, p, len);
		sum += word;
	}
	return sum;
}

/* Folds a running sum to its 16-bit complement, ready to be stored as it is. */
static inline uint16_t
checksum_finish(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Adds data that stands `at` bytes behind where the sum began: what lies at an odd place counts swapped (RFC 1071 2 (B)). */
static inline uint64_t
checksum_add_at(uint64_t sum, uint32_t at, const void *data, uint32_t len)
{
	uint16_t part;

	if (at % 2 == 0)
		return checksum_add(sum, data, len);
	part = (uint16_t)~checksum_finish(checksum_add(0, data, len));
	return sum + __builtin_bswap16(part);
}

/* Sum of the IPv4 pseudo-header of a UDP datagram of udp_len bytes, header included. */
static inline uint64_t
checksum_pseudo_ipv4(const struct wire_ipv4 *ip, uint16_t udp_len)
{
	return checksum_add((uint64_t)be16(udp_len) + be16(ip->protocol), ip->source, 8);
}

#endif
