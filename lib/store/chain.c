#include "store/chain.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { NONE = UINT32_MAX };

enum status
chain_pool_init(struct chain_pool *pool, uint64_t records, uint32_t record_words, uint32_t chains,
    struct error *error)
{
	/* A chain's first and last chunk may be nearly empty. */
	uint64_t chunk_count = records * record_words / CHAIN_CHUNK_WORDS + 1 + 2 * (uint64_t)chains;

	CHECK(chunk_count < NONE);
	*pool = (struct chain_pool){ .chunk_count = (uint32_t)chunk_count, .first_free = NONE };
	/* calloc, not malloc: untouched pages cost nothing and stay so. */
	pool->chunks = calloc(chunk_count, sizeof pool->chunks[0]);
	if (!pool->chunks)
		return error_set(error, STATUS_NO_MEMORY, "store: no memory for queues of %llu records",
		    (unsigned long long)records);
	return STATUS_OK;
}

void
chain_pool_deinit(struct chain_pool *pool)
{
	free(pool->chunks);
}

uint64_t
chain_pool_bytes(const struct chain_pool *pool)
{
	return (uint64_t)pool->fresh * CHAIN_CHUNK_BYTES;
}

static uint32_t
chunk_take(struct chain_pool *pool)
{
	uint32_t at = pool->first_free;

	if (at != NONE)
		pool->first_free = pool->chunks[at].next;
	else if (pool->fresh < pool->chunk_count)
		at = pool->fresh++;
	else
		return NONE;
	pool->used++;
	pool->chunks[at].next = NONE;
	pool->chunks[at].begin = pool->chunks[at].end = 0;
	return at;
}

static void
chunk_give(struct chain_pool *pool, uint32_t at)
{
	pool->chunks[at].next = pool->first_free;
	pool->first_free = at;
	pool->used--;
}

void
chain_init(struct chain *chain, uint32_t record_words)
{
	CHECK(record_words > 0 && CHAIN_CHUNK_WORDS % record_words == 0);
	*chain = (struct chain){ NONE, NONE, record_words, 0 };
}

bool
chain_push(struct chain_pool *pool, struct chain *chain, const uint32_t *record)
{
	struct chain_chunk *chunk;

	if (chain->last == NONE || pool->chunks[chain->last].end == CHAIN_CHUNK_WORDS) {
		uint32_t at = chunk_take(pool);

		if (at == NONE)
			return false;
		if (chain->last == NONE)
			chain->first = at;
		else
			pool->chunks[chain->last].next = at;
		chain->last = at;
	}
	chunk = &pool->chunks[chain->last];
	memcpy(&chunk->words[chunk->end], record, chain->record_words * sizeof *record);
	chunk->end += chain->record_words;
	chain->count++;
	return true;
}

const uint32_t *
chain_peek(const struct chain_pool *pool, const struct chain *chain)
{
	const struct chain_chunk *chunk;

	if (chain->first == NONE)
		return NULL;
	chunk = &pool->chunks[chain->first];
	return &chunk->words[chunk->begin];
}

void
chain_drop(struct chain_pool *pool, struct chain *chain)
{
	uint32_t at = chain->first;
	struct chain_chunk *chunk = &pool->chunks[at];

	CHECK(chain->count > 0);
	chain->count--;
	chunk->begin += chain->record_words;
	if (chunk->begin < chunk->end)
		return;
	chain->first = chunk->next;
	if (chain->first == NONE)
		chain->last = NONE;
	chunk_give(pool, at);
}
