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

/* Takes a chunk out of a chain; `previous` is its predecessor, NONE when it is the first. */
static void
unlink_chunk(struct chain_pool *pool, struct chain *chain, uint32_t previous, uint32_t at)
{
	uint32_t next = pool->chunks[at].next;

	if (previous == NONE)
		chain->first = next;
	else
		pool->chunks[previous].next = next;
	if (chain->last == at)
		chain->last = previous;
	if (chain->swept == at)
		chain->swept = previous;
	chunk_give(pool, at);
}

void
chain_init(struct chain *chain, uint32_t record_words)
{
	CHECK(record_words > 0 && CHAIN_CHUNK_WORDS % record_words == 0);
	*chain = (struct chain){ .first = NONE, .last = NONE, .swept = NONE, .record_words = record_words };
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
	unlink_chunk(pool, chain, NONE, at);
}

static uint32_t
next_to_sweep(const struct chain_pool *pool, const struct chain *chain)
{
	return chain->swept == NONE ? chain->first : pool->chunks[chain->swept].next;
}

uint32_t *
chain_sweep_begin(struct chain_pool *pool, struct chain *chain, uint32_t *count)
{
	uint32_t at = next_to_sweep(pool, chain);
	struct chain_chunk *chunk;

	if (at == NONE) {
		chain->swept = NONE;
		return NULL;
	}
	chunk = &pool->chunks[at];
	*count = (chunk->end - chunk->begin) / chain->record_words;
	return &chunk->words[chunk->begin];
}

/* Fills the predecessor up from the front of chunk `at`. */
static void
move_back(struct chain_pool *pool, uint32_t previous, uint32_t at)
{
	struct chain_chunk *to = &pool->chunks[previous], *from = &pool->chunks[at];
	uint32_t have = to->end - to->begin, more = from->end - from->begin;

	if (more > CHAIN_CHUNK_WORDS - have)
		more = CHAIN_CHUNK_WORDS - have;
	memmove(to->words, &to->words[to->begin], have * sizeof to->words[0]);
	memcpy(&to->words[have], &from->words[from->begin], more * sizeof to->words[0]);
	to->begin = 0;
	to->end = have + more;
	from->begin += more;
}

void
chain_sweep_end(struct chain_pool *pool, struct chain *chain, uint32_t kept)
{
	uint32_t previous = chain->swept, at = next_to_sweep(pool, chain);
	struct chain_chunk *chunk = &pool->chunks[at];
	uint32_t count = (chunk->end - chunk->begin) / chain->record_words;

	CHECK(kept <= count);
	chain->count -= count - kept;
	chunk->end = chunk->begin + kept * chain->record_words;
	if (kept > 0 && previous != NONE)
		move_back(pool, previous, at);
	if (chunk->begin == chunk->end)
		unlink_chunk(pool, chain, previous, at);
	else
		chain->swept = at;
}
