/*
 * gcm.h - AES-256-GCM with the widest instructions the CPU has (leaf: intel-ipsec-mb).
 *
 * Purpose: the same ciphertext and tag as any AES-256-GCM, for a packet of 200 bytes in a
 *   fraction of the time of libsodium 1.0.18, which has 128-bit instructions for it. Only
 *   aead.c calls this, and does without where gcm_start says so.
 * Threads: gcm_start on the main thread before others begin. Everything else from any
 *   thread: the library's manager is a table of functions here, and nothing writes to it
 *   after gcm_start; schedules are the caller's. The library has an error word of its own
 *   that its calls clear; as every thread may, it says nothing about one call and is not read.
 * Memory: the manager (some 100 KiB), for good.
 * Invariants: a schedule is used by the process that expanded it, on the CPU it was expanded
 *   on. gcm_open leaves zeros where the tag is wrong.
 * Rejected: the library's job queue: packets come one at a time, and a job would be
 *   flushed at once.
 */
#ifndef SEAL_GCM_H
#define SEAL_GCM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GCM_KEY_LEN = 32, GCM_NONCE_LEN = 12, GCM_TAG_LEN = 16, GCM_SCHEDULE_LEN = 1024, GCM_SCHEDULE_ALIGN = 64 };

/* Whether the CPU can and the library passes its own tests; once or more. Needs seal_start. */
bool gcm_start(void);

/* What gcm_start said; false before it. The rest may be called where this is true. */
bool gcm_ready(void);

/* schedule: GCM_SCHEDULE_LEN bytes, aligned to GCM_SCHEDULE_ALIGN. A secret like the key. */
void gcm_expand(uint8_t *schedule, const uint8_t key[GCM_KEY_LEN]);

/* Encrypts in place. */
void gcm_seal(const uint8_t *schedule, const uint8_t nonce[GCM_NONCE_LEN], const void *ad, size_t ad_len, uint8_t *data,
    size_t len, uint8_t tag[GCM_TAG_LEN]);

/* Decrypts in place; false, and the data zero: the tag is wrong. */
bool gcm_open(const uint8_t *schedule, const uint8_t nonce[GCM_NONCE_LEN], const void *ad, size_t ad_len, uint8_t *data,
    size_t len, const uint8_t tag[GCM_TAG_LEN]);

#endif
