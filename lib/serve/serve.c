#include "serve/serve.h"

#include <stdlib.h>

#include "base/check.h"
#include "serve/state.h"

static void
check_config(const struct serve_config *config)
{
	CHECK(config->worker_count >= 1 && config->worker_count <= WORKER_MAX);
	CHECK(config->worker < config->worker_count);
	CHECK(store_shard_count(config->store) == config->worker_count);
	CHECK(config->boot != 0);
	CHECK(config->memcached_allow_count <= SERVE_PREFIXES_MAX);
	for (uint32_t i = 0; i < config->memcached_allow_count; i++)
		CHECK(config->memcached_allow[i].bits <= 128);
}

struct serve *
serve_create(const struct serve_config *config, struct error *error)
{
	struct serve *serve = calloc(1, sizeof *serve);

	check_config(config);
	if (!serve || !defer_init(&serve->defer, (uint8_t)config->worker)) {
		free(serve);
		error_set(error, STATUS_NO_MEMORY, "no memory for the requests of worker %u", config->worker);
		return NULL;
	}
	serve->config = *config;
	serve->shard = store_shard(config->store, config->worker);
	seal_tag_key(&serve->tag_key, config->shared_key);
	admit_init(&serve->admit, config->cookie_secret, config->boot);
	return serve;
}

void
serve_destroy(struct serve *serve)
{
	defer_deinit(&serve->defer);
	free(serve);
}

void
serve_release(struct serve *serve, struct deferred *slot)
{
	defer_give(&serve->defer, slot);
}

void
serve_tick(struct serve *serve, const struct now *now, uint32_t steps)
{
	shard_tick(serve->shard, now, steps);
}
