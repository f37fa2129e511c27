/*
 * load.h - load for `slipring bench`: what to send, when, and how long it took.
 *
 * Purpose: three ways to load a node through the library. Closed loops measure what
 *   a caller sees that waits; the open loop measures what arrives on its own:
 *   times of start are drawn beforehand, and a late start counts as latency.
 * Threads: one. Memory: by value, and one slot per operation in flight.
 */
#ifndef SLIPRING_LOAD_H
#define SLIPRING_LOAD_H

#include "base/histogram.h"
#include "base/prng.h"
#include "client/slipring.h"

struct load {
	struct slipring *cache;
	struct prng prng;
	uint32_t keys, value_len, batch;
	uint32_t reads;           /* percent */
	uint64_t duration_ns;
	const uint8_t *value;     /* value_len bytes */
};

struct load_result {
	struct histogram latency; /* ns */
	uint64_t operations, misses, failures;
	uint64_t late;            /* open loop: started over 1 ms after their time */
	uint64_t elapsed_ns;
	enum slipring_status failure; /* the first one */
};

/* Key number i: its text and length (at most LOAD_KEY_SIZE - 1). */
enum { LOAD_KEY_SIZE = 24 };
size_t load_key(uint32_t i, char key[LOAD_KEY_SIZE]);

/* Stores every key once. */
void load_fill(struct load *load, struct load_result *result);
/* One synchronous operation after the other. */
void load_serial(struct load *load, struct load_result *result);
/* load->batch operations in flight. */
void load_closed(struct load *load, struct load_result *result);
/* Poisson arrivals, `rate` operations a second on average. */
void load_open(struct load *load, double rate, struct load_result *result);

#endif
