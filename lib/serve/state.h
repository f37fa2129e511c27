/*
 * state.h - what the files of lib/serve share: one worker's struct serve.
 *
 * Threads: the worker's lcore. Memory: taken by serve_create.
 */
#ifndef SERVE_STATE_H
#define SERVE_STATE_H

#include "seal/seal.h"
#include "serve/admit.h"
#include "serve/ask.h"
#include "serve/defer.h"
#include "serve/facts.h"
#include "serve/once.h"
#include "serve/serve.h"
#include "serve/stream.h"
#include "serve/upload.h"

/* Text of one burst's STATS: several pages of everything, or one of 16 workers' counters. */
enum { SCRATCH_SIZE = 64 * 1024 };

struct serve {
	/* set once */
	struct serve_config config;
	struct shard *shard; /* this worker's */
	struct seal_key tag_key;
	/* owner lcore */
	struct admit admit;
	struct defer defer;
	struct once *once;
	struct uploads uploads;
	struct streams streams;
	struct facts facts;
	struct asks asks;
	const struct serve_ring *ring; /* in this burst; NULL: single node, or no topology yet */
	uint32_t epoch;                /* what frames of this burst carry */
	uint32_t scratch_used; /* in this burst */
	uint32_t list_left;    /* positions of the shard that KEYS and the like may still look at in this burst */
	uint8_t scratch[SCRATCH_SIZE];
};

/* The worker that owns a slot; its shard has the same number. */
static inline uint32_t
serve_owner(const struct serve *serve, uint16_t slot)
{
	return slot % serve->config.worker_count;
}

static inline void
serve_count(struct serve *serve, enum counter counter)
{
	counter_add(serve->config.counters, counter, 1);
}

static inline void
outbox_add(struct outbox *outbox, struct deferred *slot, uint32_t to)
{
	outbox->mails[outbox->count].slot = slot;
	outbox->mails[outbox->count].to = (uint8_t)to;
	outbox->count++;
}

/* An answer without an item. */
static inline void
respond(struct response *response, enum op_status status)
{
	*response = (struct response){ .status = (uint8_t)status };
}

/* An answer about an item; the value is left out. Views live as long as the burst. */
static inline void
respond_item(struct response *response, const struct item *item)
{
	response->key = item_key(item);
	response->value = view_of(NULL, 0);
	response->version = item->version;
	response->expiry_ms = item_expiry_ms(item);
	response->offset = 0;
	response->total_len = item->value_len;
	response->client_flags = item->client_flags;
	response->pins = (uint16_t *)(uintptr_t)&item->pins;
	response->status = OP_STATUS_OK;
	response->has_item = true;
}

#endif
