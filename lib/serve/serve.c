#include "serve/serve.h"

#include <stdlib.h>

#include "base/check.h"
#include "proto/native.h"
#include "seal/digest.h"
#include "serve/state.h"

static void
check_config(const struct serve_config *config)
{
	CHECK(config->worker_count >= 1 && config->worker_count <= WORKER_MAX);
	CHECK(config->worker < config->worker_count);
	CHECK(store_shard_count(config->store) == config->worker_count);
	CHECK(config->boot != 0 && config->boot != NATIVE_BOOT_NOBODY);
	CHECK(config->memcached_allow_count <= SERVE_PREFIXES_MAX);
	for (uint32_t i = 0; i < config->memcached_allow_count; i++)
		CHECK(config->memcached_allow[i].bits <= 128);
}

/* A 64-bit secret of this worker, for `use`; cookies and seeds must not tell about each other. */
static uint64_t
seed_of(const struct serve_config *config, uint8_t use)
{
	uint8_t text[2] = { use, (uint8_t)config->worker };

	return digest_siphash13(config->cookie_secret, text, sizeof text);
}

struct serve *
serve_create(const struct serve_config *config, struct error *error)
{
	struct serve *serve = calloc(1, sizeof *serve);

	check_config(config);
	if (!serve)
		goto no_serve;
	if (!defer_init(&serve->defer, (uint8_t)config->worker,
	    config->ring ? DEFERRED_REPLY_CLUSTER : DEFERRED_REPLY_MAX))
		goto no_defer;
	serve->once = once_create(seed_of(config, 1));
	if (!serve->once)
		goto no_once;
	if (!streams_init(&serve->streams, config->connections_max))
		goto no_streams;
	if (!facts_init(&serve->facts, config))
		goto no_facts;
	serve->config = *config;
	serve->epoch = config->epoch;
	serve->shard = store_shard(config->store, config->worker);
	seal_tag_key(&serve->tag_key, config->shared_key);
	admit_init(&serve->admit, config->cookie_secret, config->boot);
	uploads_init(&serve->uploads, serve->shard, (uint8_t)config->worker, (uint32_t)seed_of(config, 2));
	return serve;

no_facts:
	free(serve->streams.table);
no_streams:
	once_destroy(serve->once);
no_once:
	defer_deinit(&serve->defer);
no_defer:
	free(serve);
no_serve:
	error_set(error, STATUS_NO_MEMORY, "no memory for the requests of worker %u", config->worker);
	return NULL;
}

void
serve_destroy(struct serve *serve)
{
	role_worker_begin(); /* the worker has stopped: main is the owner now */
	streams_deinit(serve);
	facts_deinit(&serve->facts);
	uploads_deinit(&serve->uploads);
	once_destroy(serve->once);
	defer_deinit(&serve->defer);
	free(serve);
}

void
serve_home(struct serve *serve, struct burst *burst, struct deferred *slot)
{
	CHECK(burst->answered_count < BURST_MAX);
	if (slot->ask)
		ask_home(serve, burst, slot);
	else if (slot->answered)
		burst->answered[burst->answered_count++] = slot;
	else
		defer_give(&serve->defer, slot);
}

struct deferred *
serve_slot(struct serve *serve, const struct datagram *datagram)
{
	return defer_take(&serve->defer, datagram);
}

void
serve_tick(struct serve *serve, const struct now *now, uint32_t steps)
{
	uploads_tick(&serve->uploads, now);
	shard_tick(serve->shard, now, steps);
}
