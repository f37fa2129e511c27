/*
 * digest.h - SipHash: the keyed hash of short inputs (keys, addresses).
 *
 * Purpose: SipHash-1-3 under a secret spreads keys over a table, and proves
 *   addresses in cookies, so that nobody without the secret can aim at a bucket
 *   or make a cookie. Inlined: a 16-byte key costs some tens of cycles, and the
 *   compiler sees constant lengths.
 * Threads: any. Memory: borrowed. Pure.
 * Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012); 1-3 is
 *   the variant hash tables of Rust and Python use. Frame tags take 2-4 (seal.h).
 */
#ifndef SEAL_DIGEST_H
#define SEAL_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

static inline uint64_t
digest_rotate(uint64_t v, int bits)
{
	return v << bits | v >> (64 - bits);
}

static inline __attribute__((always_inline)) void
digest_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = digest_rotate(v[1], 13) ^ v[0];
	v[3] = digest_rotate(v[3], 16) ^ v[2];
	v[0] = digest_rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = digest_rotate(v[1], 17) ^ v[2];
	v[3] = digest_rotate(v[3], 21) ^ v[0];
	v[2] = digest_rotate(v[2], 32);
}

/* The last len % 8 bytes and the length, as the final word. */
static inline uint64_t
digest_tail(const uint8_t *at, size_t len)
{
	uint64_t word = (uint64_t)len << 56;

	for (size_t i = 0; i < (len & 7); i++)
		word |= (uint64_t)at[i] << (8 * i);
	return word;
}

static inline __attribute__((always_inline)) uint64_t
digest_sip(const uint8_t secret[16], const void *data, size_t len, int rounds, int last_rounds)
{
	uint64_t k0 = load_le64(secret), k1 = load_le64(secret + 8);
	uint64_t v[4] = { k0 ^ 0x736f6d6570736575ull, k1 ^ 0x646f72616e646f6dull,
		k0 ^ 0x6c7967656e657261ull, k1 ^ 0x7465646279746573ull };
	const uint8_t *at = data, *end = at + (len & ~(size_t)7);

	for (; at < end; at += 8) {
		v[3] ^= load_le64(at);
		for (int i = 0; i < rounds; i++)
			digest_round(v);
		v[0] ^= load_le64(at);
	}
	uint64_t tail = digest_tail(at, len);

	v[3] ^= tail;
	for (int i = 0; i < rounds; i++)
		digest_round(v);
	v[0] ^= tail;
	v[2] ^= 0xff;
	for (int i = 0; i < last_rounds; i++)
		digest_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* SipHash-1-3 of len bytes under the secret. */
static inline uint64_t
digest_siphash13(const uint8_t secret[16], const void *data, size_t len)
{
	return digest_sip(secret, data, len, 1, 3);
}

#endif
