/*
 * admit.h - who may speak: address cookies and source prefixes.
 *
 * Purpose: UDP sources can be forged, and an answer larger than its request
 *   would make us a weapon. A native frame must carry a cookie that we gave to
 *   its address; memcached clients cannot, so their prefixes are listed.
 * How: cookie = boot id (16 bits) | keyed MAC of the peer's address and port
 *   (48 bits). The MAC's key turns over every ADMIT_PERIOD_NS and follows from
 *   the node's secret and the period's number, so that all workers agree without
 *   talking. Cookies of the current and the previous period hold: a client that
 *   speaks once a period never sees a challenge, as every reply brings a fresh one.
 *   A guess succeeds with probability 2^-47; guessing costs a frame each.
 * Threads: one struct a worker. Memory: fixed. Pure.
 * Source: RFC 9018 (interoperable DNS cookies) for rotation and the fields hashed.
 */
#ifndef SERVE_ADMIT_H
#define SERVE_ADMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/limits.h"
#include "base/now.h"
#include "serve/serve.h"

#define ADMIT_PERIOD_NS (COOKIE_PERIOD_S * NS_PER_SEC)

struct admit {
	/* set once */
	uint8_t secret[16];
	uint16_t boot;
	/* owner lcore */
	uint64_t period;      /* number of the current one */
	uint8_t current[16];  /* its key */
	uint8_t previous[16];
};

void admit_init(struct admit *admit, const uint8_t secret[16], uint16_t boot);

/* Turns the keys over when a new period has begun. Once a burst, before any other. */
void admit_turn(struct admit *admit, const struct now *now);

/* The cookie to give to a peer now. */
uint64_t admit_cookie(const struct admit *admit, const struct endpoint *peer);

/* Whether we gave this cookie to this peer, in this period or the one before. */
bool admit_proves(const struct admit *admit, const struct endpoint *peer, uint64_t cookie);

/* Whether an address lies in one of `count` prefixes. */
bool admit_listed(const struct serve_prefix *prefixes, uint32_t count, const uint8_t ip[16]);

#endif
