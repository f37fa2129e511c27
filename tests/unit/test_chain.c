/* Unit tests of lib/store/chain: order, chunks that pass between chains, sweeping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/prng.h"
#include "store/chain.h"

static struct chain_pool
new_pool(uint64_t records, uint32_t words, uint32_t chains)
{
	struct chain_pool pool;
	struct error error;

	assert_int_equal(chain_pool_init(&pool, records, words, chains, &error), STATUS_OK);
	return pool;
}

static void
records_come_out_in_order_and_chunks_go_back(void **state)
{
	struct chain_pool pool = new_pool(1000, 4, 1);
	struct chain chain;

	(void)state;
	chain_init(&chain, 4);
	assert_null(chain_peek(&pool, &chain));
	for (uint32_t round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < 1000; i++) {
			uint32_t record[4] = { i, i + 1, i + 2, round };

			assert_true(chain_push(&pool, &chain, record));
		}
		for (uint32_t i = 0; i < 1000; i++) {
			const uint32_t *record = chain_peek(&pool, &chain);

			assert_true(record[0] == i && record[2] == i + 2 && record[3] == round);
			chain_drop(&pool, &chain);
		}
		assert_int_equal(chain.count, 0);
		assert_int_equal(pool.used, 0);
	}
	/* A thousand records of 4 words need 67 chunks, whatever the rounds. */
	assert_int_equal(chain_pool_bytes(&pool), 67 * CHAIN_CHUNK_BYTES);
	chain_pool_deinit(&pool);
}

static void
a_pool_without_chunks_says_so(void **state)
{
	struct chain_pool pool = new_pool(60, 1, 1);
	struct chain chain;
	uint32_t record = 7, pushed = 0;

	(void)state;
	chain_init(&chain, 1);
	while (chain_push(&pool, &chain, &record))
		pushed++;
	assert_int_equal(pushed, pool.chunk_count * CHAIN_CHUNK_WORDS);
	chain_drop(&pool, &chain);
	assert_false(chain_push(&pool, &chain, &record)); /* the first chunk still holds records */
	chain_pool_deinit(&pool);
}

static bool
keeps(uint32_t value, uint32_t dropped)
{
	return value % 8 >= dropped;
}

/* Sweeps `chunks` chunks, dropping values whose remainder by 8 is below `dropped`. */
static void
sweep(struct chain_pool *pool, struct chain *chain, uint32_t chunks, uint32_t dropped)
{
	while (chunks-- > 0) {
		uint32_t count, kept = 0;
		uint32_t *records = chain_sweep_begin(pool, chain, &count);

		if (!records)
			continue;
		for (uint32_t i = 0; i < count; i++)
			if (keeps(records[i], dropped))
				records[kept++] = records[i];
		chain_sweep_end(pool, chain, kept);
	}
}

static void
a_sweep_keeps_the_order_and_gives_chunks_back(void **state)
{
	struct chain_pool pool = new_pool(6000, 1, 1);
	struct chain chain;

	(void)state;
	for (uint32_t dropped = 0; dropped <= 8; dropped++) {
		chain_init(&chain, 1);
		for (uint32_t i = 0; i < 6000; i++)
			assert_true(chain_push(&pool, &chain, &i));
		for (uint32_t i = 0; i < 37; i++)
			chain_drop(&pool, &chain);
		sweep(&pool, &chain, 102, dropped);
		assert_true(pool.used <= chain.count / CHAIN_CHUNK_WORDS + 2);
		for (uint32_t i = 37; i < 6000; i++) {
			if (!keeps(i, dropped))
				continue;
			assert_int_equal(*chain_peek(&pool, &chain), i);
			chain_drop(&pool, &chain);
		}
		assert_int_equal(chain.count, 0);
		assert_int_equal(pool.used, 0);
	}
	chain_pool_deinit(&pool);
}

/* Pushes, drops and sweeps in any order: what stays comes out in order. */
static void
sweeping_while_the_queue_moves_loses_nothing(void **state)
{
	struct chain_pool pool = new_pool(4000, 1, 1);
	struct prng prng = { 5 };
	struct chain chain;
	uint32_t next = 0, last = 0;
	uint64_t keepers = 0; /* queued values that no sweep may drop */

	(void)state;
	chain_init(&chain, 1);
	for (int step = 0; step < 300000; step++) {
		uint64_t choice = prng_below(&prng, 20);

		if (choice < 10 && keepers < 2000) {
			next++;
			assert_true(chain_push(&pool, &chain, &next));
			keepers += keeps(next, 5);
		} else if (choice < 17 && chain.count > 0) {
			uint32_t value = *chain_peek(&pool, &chain);

			assert_true(value > last);
			last = value;
			keepers -= keeps(value, 5);
			chain_drop(&pool, &chain);
		} else {
			sweep(&pool, &chain, 1, 5);
		}
		assert_true(chain.count >= keepers);
	}
	sweep(&pool, &chain, 400, 5);
	assert_int_equal(chain.count, keepers);
	chain_pool_deinit(&pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_come_out_in_order_and_chunks_go_back),
		cmocka_unit_test(a_pool_without_chunks_says_so),
		cmocka_unit_test(a_sweep_keeps_the_order_and_gives_chunks_back),
		cmocka_unit_test(sweeping_while_the_queue_moves_loses_nothing),
	};

	return cmocka_run_group_tests_name("chain", tests, NULL, NULL);
}
