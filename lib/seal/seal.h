/*
 * seal.h - secrets: random bytes, frame tags, comparing without a clock to read (leaf: libsodium).
 *
 * Purpose: the tag that proves a native frame was made by someone who holds
 *   the shared key. One shared key (32 bytes, from configuration) serves several
 *   purposes, each under a key of its own derived by BLAKE2b with the purpose's
 *   name, so that a tag of one is worth nothing to another.
 * Threads: any, after seal_start on the main thread. Memory: the caller's.
 * Rejected: HMAC-SHA-256 as frame tag: about ten times the cycles for a 100-byte
 *   frame; the tag need only resist forging one frame online, and 128-bit
 *   SipHash-2-4 is a PRF for that.
 */
#ifndef SEAL_SEAL_H
#define SEAL_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SEAL_SHARED_KEY_LEN = 32, SEAL_TAG_LEN = 16 };

struct seal_key {
	uint8_t bytes[16];
};

/* Readies the library; false when the system yields no random bytes. Main thread, once or more. */
bool seal_start(void);

/* Unpredictable bytes from the operating system. */
void seal_random(void *out, size_t len);

/* The key of frame tags, derived from the shared key. */
void seal_tag_key(struct seal_key *key, const uint8_t shared[SEAL_SHARED_KEY_LEN]);

/* Tag of len bytes (SipHash-2-4, 128 bits; Aumasson and Bernstein, 2012). */
void seal_tag(const struct seal_key *key, const void *data, size_t len, uint8_t tag[SEAL_TAG_LEN]);

/* Whether len bytes are equal; the time taken does not tell where they differ. */
bool seal_equal(const void *a, const void *b, size_t len);

#endif
