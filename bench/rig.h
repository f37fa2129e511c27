/*
 * rig.h - a store, a serve and packets in one process: what benchmarks of the worker's stages run on.
 *
 * Purpose: the daemon's own stages without threads and without a NIC; buffers are reused as a port's
 *   pool reuses them.
 * Threads: one. Memory: until the process ends.
 */
#ifndef BENCH_RIG_H
#define BENCH_RIG_H

#include <stdio.h>
#include <time.h>

#include <rte_eal.h>

#include "base/check.h"
#include "bench/workload.h"
#include "serve/serve.h"
#include "store/reclaim.h"

enum {
	RIG_BUFFER_SIZE = 2048, RIG_BUFFER_HEADROOM = 128,
	RIG_RECEIVE_COUNT = 1024, /* as many as a port's pool keeps warm */
	RIG_BUFFER_COUNT = RIG_RECEIVE_COUNT + SPARE_MAX,
};

struct rig {
	const char *name;
	struct counters counters;
	struct serve_config config;
	struct serve *serve;
	struct store *store;
	struct burst burst;
	struct pkt spares[SPARE_MAX];
	uint8_t (*buffers)[RIG_BUFFER_SIZE];
	uint32_t next_buffer;
};

static inline void
rig_fail(const char *text)
{
	fprintf(stderr, "benchmark: %s\n", text);
	exit(1);
}

static inline void
rig_now(struct now *now)
{
	struct timespec mono, wall;

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &wall);
	now->mono_ns = (uint64_t)mono.tv_sec * NS_PER_SEC + (uint64_t)mono.tv_nsec;
	now->wall_ms = (uint64_t)wall.tv_sec * MS_PER_SEC + (uint64_t)wall.tv_nsec / NS_PER_MS;
}

static inline struct pkt
rig_pkt(struct rig *rig)
{
	uint8_t *buffer = rig->buffers[rig->next_buffer++ % RIG_RECEIVE_COUNT];

	return (struct pkt){ .data = buffer + RIG_BUFFER_HEADROOM, .room = RIG_BUFFER_SIZE - RIG_BUFFER_HEADROOM };
}

/* Spare i has a buffer of its own: many are in use at once. */
static inline struct pkt
rig_spare(struct rig *rig, uint32_t i)
{
	return (struct pkt){ .data = rig->buffers[RIG_RECEIVE_COUNT + i] + RIG_BUFFER_HEADROOM,
		.room = RIG_BUFFER_SIZE - RIG_BUFFER_HEADROOM };
}

/* Fresh packets in the place of those that replies took. */
static inline void
rig_refill(struct rig *rig)
{
	for (uint32_t i = 0; i < rig->burst.spares.used; i++)
		rig->spares[i] = rig_spare(rig, i);
	rig->burst.spares.used = 0;
}

static inline void
rig_start_eal(const char *name, bool huge)
{
	char program[32];
	char *on_huge[] = { program, "-l0", "--no-pci", "--no-telemetry", "--in-memory", "--iova-mode=va", "--log-level=error" };
	char *plain[] = { program, "-l0", "--no-pci", "--no-telemetry", "--no-huge", "--no-shconf", "-m768", "--log-level=error" };

	snprintf(program, sizeof program, "%s", name);
	if ((huge ? rte_eal_init(7, on_huge) : rte_eal_init(8, plain)) < 0)
		rig_fail("EAL does not start (with --huge: are there free huge pages?)");
}

static inline void
rig_start_burst(struct rig *rig)
{
	rig->buffers = aligned_alloc(4096, (size_t)RIG_BUFFER_COUNT * RIG_BUFFER_SIZE);
	rig->burst.requests = calloc(BURST_REQUESTS_MAX, sizeof *rig->burst.requests);
	rig->burst.responses = calloc(BURST_REQUESTS_MAX, sizeof *rig->burst.responses);
	rig->burst.replies = calloc(BURST_MAX + SPARE_MAX, sizeof *rig->burst.replies);
	CHECK(rig->buffers && rig->burst.requests && rig->burst.responses && rig->burst.replies);
	for (uint32_t i = 0; i < SPARE_MAX; i++)
		rig->spares[i] = rig_spare(rig, i);
	rig->burst.spares = (struct spares){ rig->spares, SPARE_MAX, 0 };
}

/* Room for `keys` items; what rig->config says beyond a single node's needs is kept. */
static inline void
rig_start(struct rig *rig, const char *name, bool huge, uint32_t keys, uint32_t value_len)
{
	struct error error;
	struct store_config store = { .shard_count = 1, .memory_bytes = 1ull << 30, .items_max = keys + keys / 8,
		.expected_item_size = WORKLOAD_KEY_LEN + value_len, .secret = "bench pipeline!" };
	struct serve_config *config = &rig->config;

	rig_start_eal(name, huge);
	rig_start_burst(rig);
	if (reclaim_start(&error) != STATUS_OK)
		rig_fail(error.text);
	reclaim_register();
	rig->store = store_create(&store, &error);
	if (!rig->store)
		rig_fail(error.text);
	rig_now(&rig->burst.now);
	config->worker_count = 1;
	config->counters = &rig->counters;
	config->all_counters[0] = &rig->counters;
	config->native_port = 7411;
	config->epoch = config->boot = 1;
	memcpy(config->cookie_secret, "bench pipeline?", 16);
	config->version = "bench";
	config->store = rig->store;
	config->start_wall_ms = rig->burst.now.wall_ms;
	rig->serve = serve_create(config, &error);
	if (!rig->serve)
		rig_fail(error.text);
}

#endif
