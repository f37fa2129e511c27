/*
 * resp_sha1.c - SHA-1 (RFC 3174), by which RESP names scripts and cluster nodes. It protects nothing here.
 */
#include "proto/resp.h"

#include "base/bytes.h"

enum { BLOCK = 64 };

static uint32_t
rotate(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

/* RFC 3174, 6.1. */
static void
digest_block(uint32_t h[5], const uint8_t *block)
{
	uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

	for (uint32_t t = 0; t < 16; t++)
		w[t] = load_be32(block + 4 * t);
	for (uint32_t t = 16; t < 80; t++)
		w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
	for (uint32_t t = 0; t < 80; t++) {
		uint32_t f = t < 20 ? (b & c) | (~b & d) : t < 40 || t >= 60 ? b ^ c ^ d : (b & c) | (b & d) | (c & d);
		uint32_t k = t < 20 ? 0x5a827999 : t < 40 ? 0x6ed9eba1 : t < 60 ? 0x8f1bbcdc : 0xca62c1d6;
		uint32_t next = rotate(a, 5) + f + e + w[t] + k;

		e = d;
		d = c;
		c = rotate(b, 30);
		b = a;
		a = next;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
}

void
resp_sha1(struct view bytes, uint8_t digest[RESP_SHA1_LEN])
{
	uint32_t h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
	uint32_t at = 0, left;
	uint8_t last[2 * BLOCK] = { 0 };

	for (; bytes.len - at >= BLOCK; at += BLOCK)
		digest_block(h, bytes.data + at);
	left = bytes.len - at;
	if (left > 0)
		memcpy(last, bytes.data + at, left);
	last[left] = 0x80;
	left = left < BLOCK - 8 ? BLOCK : 2 * BLOCK;
	store_be32(last + left - 8, bytes.len >> 29);
	store_be32(last + left - 4, bytes.len << 3);
	for (at = 0; at < left; at += BLOCK)
		digest_block(h, last + at);
	for (uint32_t i = 0; i < 5; i++)
		store_be32(digest + 4 * i, h[i]);
}
