/*
 * serve.h - execution of requests, whatever protocol they came in.
 *
 * Purpose: route each request (this worker, another worker, later another
 *   node), look up a whole burst at once, execute in order, and hand what
 *   cannot be answered here to a deferred slot (base/deferred.h).
 * Threads: one struct serve a worker, on its lcore only.
 * Memory: all taken at creation; items by shard_take.
 */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include "base/counters.h"
#include "base/deferred.h"
#include "base/now.h"
#include "base/pkt.h"
#include "base/status.h"
#include "proto/request.h"
#include "store/store.h"

struct serve;

struct serve_config {
	uint32_t worker, worker_count;
	struct store *store;
	struct counters *counters;                    /* this worker's */
	const struct counters *all_counters[WORKER_MAX]; /* of every worker, for STATS */
	uint64_t start_wall_ms;
	uint16_t native_port;                         /* of worker 0; worker i listens on + i */
	uint32_t epoch;
	uint8_t cookie_secret[16];                    /* the same on all workers; random per boot */
	uint16_t boot;                                /* boot id in cookies, random, not 0 */
	bool require_auth;
	uint8_t shared_key[32];
	const char *version;                          /* text of the release */
};

struct serve *serve_create(const struct serve_config *config, struct error *error) MUST_USE;
void serve_destroy(struct serve *serve);

/* One burst's way through serve; arrays are the caller's, sized BURST_MAX and BURST_REQUESTS_MAX. */
struct burst {
	struct now now;
	struct datagram datagrams[BURST_MAX];
	uint32_t datagram_count;
	struct frame frames[BURST_MAX];
	uint32_t frame_count;
	struct request *requests;
	struct response *responses;
	uint32_t request_count;
	struct spares spares;
	struct reply *replies; /* BURST_MAX + SPARE_MAX */
	uint32_t reply_count;
	struct outbox outbox;
};

/* Parses every datagram into frames and requests; drops and refuses what cannot be. */
void serve_parse(struct serve *serve, struct burst *burst);
/* Executes the burst's requests in order, one response each; fills the outbox. */
void serve_run(struct serve *serve, struct burst *burst);
/* Composes replies: in place, in spares, or into a travelling slot. */
void serve_compose(struct serve *serve, struct burst *burst);

/* A slot came home: done. */
void serve_release(struct serve *serve, struct deferred *slot);
/* Background: uploads that timed out, at-most-once entries that aged, shard_tick. */
void serve_tick(struct serve *serve, const struct now *now, uint32_t steps);

#endif
