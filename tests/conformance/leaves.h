/*
 * leaves.h - one suite for the store's leaves and for their models.
 *
 * Purpose: tests/unit/test_leaves.c runs it against the models, tests/dpdk/
 *   test_store_leaves.c against rte_hash, jemalloc and liburcu. What the store
 *   relies on is written down here.
 */
#ifndef TESTS_CONFORMANCE_LEAVES_H
#define TESTS_CONFORMANCE_LEAVES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/prng.h"
#include "store/arena.h"
#include "store/keymap.h"
#include "store/reclaim.h"

/* Pointers that stand for items; the leaf never looks inside. */
static struct item *
token(uint64_t n)
{
	return (struct item *)(uintptr_t)(n * 16);
}

static struct keymap *
new_map(uint32_t entries)
{
	struct error error;
	struct keymap *map = keymap_create(entries, &error);

	assert_non_null(map);
	return map;
}

static void
what_is_put_is_found_singly_and_in_bulk_of_any_size(void **state)
{
	struct keymap *map = new_map(1023);
	uint64_t digests[LOOKUP_BATCH_MAX];
	const uint64_t *keys[LOOKUP_BATCH_MAX];
	struct item *items[LOOKUP_BATCH_MAX];
	uint32_t position;

	(void)state;
	for (uint64_t i = 1; i <= 800; i++)
		assert_true(keymap_put(map, i * 0x9e3779b97f4a7c15, token(i), &position));
	for (uint32_t n = 1; n <= LOOKUP_BATCH_MAX; n++) {
		for (uint32_t i = 0; i < n; i++) {
			digests[i] = (i % 3 == 2 ? 900 + i : 50 * n + i) * 0x9e3779b97f4a7c15;
			keys[i] = &digests[i];
		}
		keymap_find_bulk(map, keys, n, items);
		for (uint32_t i = 0; i < n; i++) {
			struct item *expected = i % 3 == 2 || 50 * n + i > 800 ? NULL : token(50 * n + i);

			assert_ptr_equal(items[i], expected);
			assert_ptr_equal(keymap_find(map, digests[i]), expected);
		}
	}
	keymap_destroy(map);
}

static void
digests_that_share_their_low_half_stay_apart(void **state)
{
	struct keymap *map = new_map(63);
	uint32_t position;

	(void)state;
	/* One signature and one pair of buckets for all: 16 fit. */
	for (uint64_t i = 1; i <= 12; i++)
		assert_true(keymap_put(map, i << 32 | 0x12345678, token(i), &position));
	for (uint64_t i = 1; i <= 12; i++)
		assert_ptr_equal(keymap_find(map, i << 32 | 0x12345678), token(i));
	assert_null(keymap_find(map, 13ull << 32 | 0x12345678));
	keymap_destroy(map);
}

static void
a_removed_position_stays_taken_until_it_is_freed(void **state)
{
	struct keymap *map = new_map(15);
	uint32_t positions[15], count = 0, position;
	uint64_t digest, key = 0;

	(void)state;
	/* Fill it to the last position; a bucket pair may be full for some digests. */
	for (; count < 15 && key < 4000; key++)
		if (keymap_put(map, (key + 1) * 0x9e3779b97f4a7c15, token(key + 1), &positions[count]))
			count++;
	assert_int_equal(count, 15);
	assert_non_null(keymap_at(map, positions[3], &digest));
	assert_int_equal(keymap_remove(map, digest), positions[3]);
	assert_null(keymap_find(map, digest));
	assert_null(keymap_at(map, positions[3], &digest));
	assert_false(keymap_put(map, digest, token(1), &position));
	keymap_free(map, positions[3]);
	assert_true(keymap_put(map, digest, token(1), &position));
	assert_int_equal(position, positions[3]);
	keymap_destroy(map);
}

static void
replacing_keeps_the_position(void **state)
{
	struct keymap *map = new_map(15);
	uint64_t digest = 0;
	uint32_t position;

	(void)state;
	assert_true(keymap_put(map, 77, token(1), &position));
	keymap_replace(map, 77, token(2));
	assert_ptr_equal(keymap_find(map, 77), token(2));
	assert_ptr_equal(keymap_at(map, position, &digest), token(2));
	assert_int_equal(digest, 77);
	assert_int_equal(keymap_remove(map, 77), position);
	keymap_destroy(map);
}

/* Random puts, replaces and removes beside a plain array. */
static void
a_keymap_does_what_a_plain_array_does(void **state)
{
	enum { KEYS = 3000 };
	static struct {
		struct item *item;
		uint32_t position;
	} plain[KEYS];
	struct keymap *map = new_map(2047);
	struct prng prng = { 20 };
	uint32_t live = 0;

	(void)state;
	memset(plain, 0, sizeof plain);
	for (uint64_t step = 1; step <= 400000; step++) {
		uint64_t key = prng_below(&prng, KEYS), digest = (key + 1) * 0x9e3779b97f4a7c15, at_digest;

		assert_ptr_equal(keymap_find(map, digest), plain[key].item);
		if (plain[key].item && prng_below(&prng, 2)) {
			assert_int_equal(keymap_remove(map, digest), plain[key].position);
			keymap_free(map, plain[key].position);
			plain[key].item = NULL;
			live--;
		} else if (plain[key].item) {
			plain[key].item = token(step);
			keymap_replace(map, digest, token(step));
			assert_ptr_equal(keymap_at(map, plain[key].position, &at_digest), token(step));
			assert_true(at_digest == digest);
		} else if (live < 1637) { /* 80 % */
			assert_true(keymap_put(map, digest, token(step), &plain[key].position));
			plain[key].item = token(step);
			live++;
		}
	}
	keymap_destroy(map);
}

static void
an_arena_gives_apart_memory_and_counts_it(void **state)
{
	enum { BLOCKS = 4000 };
	static uint8_t *blocks[BLOCKS];
	static size_t sizes[BLOCKS];
	struct error error;
	struct arena *arena = arena_create(NULL, &error);
	struct prng prng = { 3 };
	uint64_t total = 0;

	(void)state;
	assert_non_null(arena);
	assert_true(arena_active(arena) < 65536);
	for (int i = 0; i < BLOCKS; i++) {
		sizes[i] = 1 + prng_below(&prng, i % 40 == 0 ? 300000 : 1500);
		blocks[i] = arena_take(arena, sizes[i]);
		assert_non_null(blocks[i]);
		memset(blocks[i], i & 0xff, sizes[i]);
		assert_true(arena_rounded(sizes[i]) >= sizes[i]);
		total += arena_rounded(sizes[i]);
	}
	assert_true(arena_active(arena) >= total);
	for (int i = 0; i < BLOCKS; i++) {
		assert_int_equal(blocks[i][0], i & 0xff);
		assert_int_equal(blocks[i][sizes[i] - 1], i & 0xff);
		arena_give(arena, blocks[i], sizes[i]);
	}
	arena_flush(arena);
	arena_trim(arena);
	assert_true(arena_active(arena) < 65536);
	arena_destroy(arena);
}

static void
destroying_an_arena_gives_everything_back(void **state)
{
	struct error error;
	struct arena *arena = arena_create(NULL, &error);

	(void)state;
	assert_non_null(arena);
	for (int i = 0; i < 100; i++)
		assert_non_null(arena_take(arena, 100 + 1000 * (size_t)i));
	arena_destroy(arena); /* the sanitizers look for leaks */
}

/* True once the stamp's grace period is over; waits up to a second for it. */
static bool
completes(uint64_t stamp, bool quiescent)
{
	const struct timespec pause = { 0, 1000000 };

	for (int i = 0; i < (quiescent ? 1000 : 50); i++) {
		if (quiescent)
			reclaim_quiescent();
		if (reclaim_completed() > stamp)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

static void
a_grace_period_waits_for_readers_online_only(void **state)
{
	struct error error;
	uint64_t stamp;

	(void)state;
	assert_int_equal(reclaim_start(&error), STATUS_OK);
	reclaim_register();
	stamp = reclaim_stamp();
	assert_false(completes(stamp, false));
	assert_true(completes(stamp, true));
	stamp = reclaim_stamp();
	reclaim_offline();
	assert_true(completes(stamp, false));
	reclaim_online();
	stamp = reclaim_stamp();
	assert_false(completes(stamp, false));
	reclaim_unregister();
	assert_true(completes(stamp, false));
	reclaim_stop();
}

static const struct CMUnitTest leaf_tests[] = {
	cmocka_unit_test(what_is_put_is_found_singly_and_in_bulk_of_any_size),
	cmocka_unit_test(digests_that_share_their_low_half_stay_apart),
	cmocka_unit_test(a_removed_position_stays_taken_until_it_is_freed),
	cmocka_unit_test(replacing_keeps_the_position),
	cmocka_unit_test(a_keymap_does_what_a_plain_array_does),
	cmocka_unit_test(an_arena_gives_apart_memory_and_counts_it),
	cmocka_unit_test(destroying_an_arena_gives_everything_back),
	cmocka_unit_test(a_grace_period_waits_for_readers_online_only),
};

#endif
