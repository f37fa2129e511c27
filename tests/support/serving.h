/*
 * serving.h - one worker's serve with a burst of its own, for tests that stand in for the rest of a worker.
 *
 * Purpose: what serve is given each round (base/deferred.h, serve/serve.h) is the same in every rig: here it is once. What comes
 *   in, and where replies and mail go, is the rig's own.
 * Threads: one a serving. Memory: the caller's; serves by serving_start().
 */
#ifndef TESTS_SERVING_H
#define TESTS_SERVING_H

#include "base/check.h"
#include "base/deferred.h"
#include "serve/serve.h"

enum { SERVING_SPARES = 128, SERVING_ROOM = 2048 };

struct serving {
	struct serve *serve;
	struct counters counters;
	struct burst burst;
	struct request requests[BURST_REQUESTS_MAX];
	struct response responses[BURST_REQUESTS_MAX];
	struct reply replies[BURST_MAX + SPARE_MAX];
	uint8_t spare_buffers[SERVING_SPARES][SERVING_ROOM];
	struct pkt spare_pkts[SERVING_SPARES];
};

/* The serves of all workers of a node, of which *config is the rest. False: *error says why. */
static inline bool
serving_start(struct serving *const *servings, uint32_t count, struct serve_config *config, struct error *error)
{
	for (uint32_t i = 0; i < count; i++)
		config->all_counters[i] = &servings[i]->counters;
	for (uint32_t i = 0; i < count; i++) {
		config->worker = i;
		config->counters = &servings[i]->counters;
		servings[i]->serve = serve_create(config, error);
		if (!servings[i]->serve)
			return false;
	}
	return true;
}

/* A round begins, with so many fresh packets to answer in; datagrams may be in the burst already. */
static inline void
serving_begin(struct serving *s, struct now now, uint32_t spares)
{
	CHECK(spares <= SERVING_SPARES);
	for (uint32_t i = 0; i < spares; i++)
		s->spare_pkts[i] = (struct pkt){ .data = s->spare_buffers[i], .room = SERVING_ROOM };
	s->burst.now = now;
	s->burst.spares = (struct spares){ s->spare_pkts, spares, 0 };
	s->burst.requests = s->requests;
	s->burst.responses = s->responses;
	s->burst.replies = s->replies;
}

/* A slot from the mailbox: home again, or another worker's. The burst has room for it. */
static inline void
serving_mail(struct serving *s, struct deferred *slot)
{
	CHECK(s->burst.datagram_count < BURST_MAX);
	if (slot->done)
		serve_home(s->serve, &s->burst, slot);
	else
		serve_accept(slot, spares_take(&s->burst.spares), &s->burst.datagrams[s->burst.datagram_count++]);
}

static inline void
serving_run(struct serving *s)
{
	serve_parse(s->serve, &s->burst);
	serve_run(s->serve, &s->burst);
	serve_compose(s->serve, &s->burst);
}

#endif
