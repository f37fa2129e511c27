/*
 * loopback_shim.h - a bad link: loses, doubles and reorders datagrams from a seed.
 *
 * Purpose: stands between a socket and lib/serve, both ways, so that a failing run
 *   can be repeated. Threads: one. Memory: by value.
 */
#ifndef TESTS_LOOPBACK_SHIM_H
#define TESTS_LOOPBACK_SHIM_H

#include <stdbool.h>
#include <string.h>

#include "base/endpoint.h"
#include "base/limits.h"
#include "base/prng.h"

enum { HELD_MAX = 8 };

struct worker;

/* A datagram kept back, to be overtaken by later ones. */
struct held {
	uint8_t bytes[UDP_PAYLOAD_MAX];
	uint16_t len;
	struct endpoint peer;
	uint32_t wait; /* datagrams that may still overtake it */
};

struct shim {
	double loss, duplicate, reorder; /* 0..1 */
	struct prng prng;
	struct held held[HELD_MAX];
};

typedef void (*shim_pass)(struct worker *worker, const uint8_t *bytes, uint16_t len, const struct endpoint *peer);

static inline bool
shim_chance(struct shim *shim, double probability)
{
	return probability > 0 && prng_unit(&shim->prng) < probability;
}

/* Lets out what has been overtaken often enough; `all` when the line is quiet. */
static inline void
shim_release(struct worker *worker, struct shim *shim, shim_pass pass, bool all)
{
	for (uint32_t i = 0; i < HELD_MAX; i++) {
		struct held *held = &shim->held[i];

		if (held->len == 0 || (!all && --held->wait > 0))
			continue;
		pass(worker, held->bytes, held->len, &held->peer);
		held->len = 0;
	}
}

static inline bool
shim_hold(struct shim *shim, const uint8_t *bytes, uint16_t len, const struct endpoint *peer)
{
	for (uint32_t i = 0; i < HELD_MAX; i++) {
		struct held *held = &shim->held[i];

		if (held->len != 0)
			continue;
		memcpy(held->bytes, bytes, len);
		held->len = len;
		held->peer = *peer;
		held->wait = 2 + (uint32_t)prng_below(&shim->prng, 6);
		return true;
	}
	return false;
}

static inline void
shim_take(struct worker *worker, struct shim *shim, shim_pass pass, const uint8_t *bytes, uint16_t len,
    const struct endpoint *peer)
{
	shim_release(worker, shim, pass, false);
	if (shim_chance(shim, shim->loss))
		return;
	if (shim_chance(shim, shim->duplicate))
		pass(worker, bytes, len, peer);
	if (!shim_chance(shim, shim->reorder) || !shim_hold(shim, bytes, len, peer))
		pass(worker, bytes, len, peer);
}

#endif
