/*
 * aead.h - authenticated encryption of packets between nodes (leaf: libsodium, and gcm.h).
 *
 * Purpose: seals and opens one packet under a key that belongs to one life of one
 *   sender. Each life (boot nonce) has a sub-key derived from the cluster key, so that a
 *   96-bit nonce made of a counter alone can never repeat under a key, whatever a
 *   restarted node forgot. AES-256-GCM where the CPU has it, else
 *   ChaCha20-Poly1305-IETF; the packet names which, so both kinds of machine talk.
 *   AES-256-GCM is done by gcm.h where that is ready, else by libsodium: the bytes are the same.
 * Threads: any, after seal_start and aead_start. Memory: the caller's; a key is 1088 bytes,
 *   because AES keeps its schedule ready, and wants its alignment: not from calloc.
 * Invariants: a key keeps the kind of AES that it was derived for.
 * Rejected: random nonces: 96 bits collide after 2^32 packets and give no replay window.
 */
#ifndef SEAL_AEAD_H
#define SEAL_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AEAD_CLUSTER_KEY_LEN = 32, AEAD_TAG_LEN = 16 };

/* On the wire. */
enum aead_algorithm {
	AEAD_NONE = 0,       /* clear text; not for aead_seal */
	AEAD_AES256_GCM = 1,
	AEAD_CHACHA20_POLY1305 = 2,
};

struct aead_key {
	uint8_t schedule[1024] __attribute__((aligned(64))); /* AES only */
	uint8_t bytes[32];
	uint8_t algorithm; /* enum aead_algorithm */
	bool wide;         /* expanded by gcm.h */
	uint8_t pad[30];
};

/* Readies gcm.h. Main thread, after seal_start, once or more; without it libsodium does everything. */
void aead_start(void);

/* Whether this machine can do it. */
bool aead_supported(enum aead_algorithm algorithm);

/* The faster one of those supported. */
enum aead_algorithm aead_best(void);

/* The key of one life of one sender. The algorithm must be supported. */
void aead_derive(struct aead_key *key, const uint8_t cluster_key[AEAD_CLUSTER_KEY_LEN], uint64_t boot,
    enum aead_algorithm algorithm);

/* Leaves nothing of the key. */
void aead_wipe(struct aead_key *key);

/* A byte that tells two cluster keys apart, most likely; it tells nothing else of the key. */
uint8_t aead_key_tag(const uint8_t cluster_key[AEAD_CLUSTER_KEY_LEN]);

/* Encrypts len bytes in place and writes AEAD_TAG_LEN bytes behind them. counter must not repeat under a key. */
void aead_seal(const struct aead_key *key, uint64_t counter, const void *ad, size_t ad_len, uint8_t *data, size_t len);

/* Decrypts len bytes in place, the tag behind them; false, and the data is wiped: not made by a holder of the key. */
bool aead_open(const struct aead_key *key, uint64_t counter, const void *ad, size_t ad_len, uint8_t *data, size_t len);

#endif
