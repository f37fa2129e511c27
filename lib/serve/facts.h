/*
 * facts.h - what protocols over streams may know of node and connection, kept up to date (proto/stream_facts.h).
 *
 * Purpose: INFO, CLIENT, CLUSTER, stats and AUTH read plain data; this fills it. What moves is summed up at most every
 *   FACTS_PERIOD_NS, the ring is that of the burst.
 * Threads: the worker's lcore; other workers' counters are read relaxed.
 * Memory: an entry a connection, taken at creation and touched by its first turn.
 * Invariants: 1. the list of clients holds each open connection of this worker once.
 */
#ifndef SERVE_FACTS_H
#define SERVE_FACTS_H

#include "base/turn.h"
#include "proto/stream_facts.h"
#include "serve/serve.h"

#define FACTS_PERIOD_NS (100 * NS_PER_MS)

struct facts_client {
	struct stream_client client; /* first: stream_client.next leads to the next one's */
	struct facts_client *before;
};

struct facts {
	struct stream_facts facts;
	struct facts_client *table; /* by index of connection */
	struct facts_client *first;
	uint64_t opened;            /* connections of this worker, ever */
	uint64_t due_ns;
	uint64_t operations, summed_ns; /* at the last summing */
};

/* False: no memory. */
bool facts_init(struct facts *facts, const struct serve_config *config);
void facts_deinit(struct facts *facts);

/* Before the turns of a burst. */
void facts_refresh(struct serve *serve, const struct now *now) ON_WORKER;
void facts_open(struct serve *serve, const struct turn *turn, const struct stream_state *state) ON_WORKER;
void facts_close(struct serve *serve, uint32_t index) ON_WORKER;
/* The facts as this connection's pass is to see them. */
const struct stream_facts *facts_visit(struct serve *serve, const struct turn *turn, const struct now *now) ON_WORKER;

#endif
