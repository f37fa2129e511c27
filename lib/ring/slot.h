/*
 * slot.h - the slot of a key, as Redis Cluster computes it.
 *
 * Purpose: slot = CRC-16/XMODEM of the hashed part of the key, mod 16384. The hashed
 *   part is what stands between the first '{' and the first '}' after it, when
 *   that is not empty; otherwise the whole key. Cluster-aware clients agree.
 * How: eight bytes a step by eight tables of 256 entries (4 KiB, read-only).
 * Threads: any. Memory: borrowed. Pure.
 * Source: Redis Cluster specification, "Hash tags"; CRC-16/XMODEM: polynomial
 *   0x1021, initial 0, no reflection, no final xor.
 */
#ifndef RING_SLOT_H
#define RING_SLOT_H

#include <stdint.h>

#include "base/view.h"

/* CRC-16/XMODEM of len bytes. */
uint16_t slot_crc16(const void *data, uint32_t len);

/* The part of a key that is hashed: its tag, or all of it. Dies with the key. */
struct view slot_hashed_part(struct view key);

/* 0..SLOT_COUNT-1. */
uint16_t slot_of_key(struct view key);

#endif
