/*
 * An arena whose pages devices read: every block stands in pages that were made known, no page is given back or emptied, and
 * addresses that were reserved are all there are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "store/arena.h"

enum { BLOCKS = 3000, ROUNDS = 12, MIB = 1 << 20, BYTES_MAX = 96 * MIB, LIVE_MAX = 24 * MIB };

static uint8_t *first, *end; /* what was made known; one piece */
static uint64_t allowed;     /* bytes that may be */
static uint32_t calls;

static bool
share(void *memory, uint64_t len)
{
	uint8_t *at = memory;

	calls++;
	if (len > allowed)
		return false;
	allowed -= len;
	if (!first)
		first = end = at;
	assert_ptr_equal(at, end); /* one behind the other: DPDK's list of them is short */
	assert_int_equal((uintptr_t)at % (2 * MIB), 0);
	assert_int_equal(len % (2 * MIB), 0);
	end = at + len;
	return true;
}

/* Under the address sanitizer items come from malloc, of which no device knows. */
static void
needs_jemalloc(void)
{
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
	skip();
#endif
#endif
}

static struct arena *
create_of(uint64_t bytes_max, uint64_t allow)
{
	struct arena_pages pages = { share, bytes_max };
	struct error error;
	struct arena *arena;

	needs_jemalloc();
	first = end = NULL;
	allowed = allow;
	calls = 0;
	arena = arena_create(&pages, &error);
	return arena;
}

static struct arena *
create(uint64_t allow)
{
	return create_of(BYTES_MAX, allow);
}

static void
is_shared(const uint8_t *block, size_t size)
{
	assert_true(block >= first && block + size <= end);
}

/* The mix of sizes shifts from round to round; what was taken stays the arena's, and is used again. */
static void
every_block_stands_in_pages_that_were_made_known(void **state)
{
	static uint8_t *blocks[BLOCKS];
	static size_t sizes[BLOCKS];
	struct arena *arena = create(BYTES_MAX);
	struct prng prng = { 11 };
	uint8_t *after_two = NULL;

	(void)state;
	assert_non_null(arena);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		uint64_t live = 0;
		uint32_t count = 0, bound = round % 2 ? 1200000 : 3000;

		for (; count < BLOCKS && live < LIVE_MAX - 2 * MIB; count++) {
			sizes[count] = 1 + prng_below(&prng, bound);
			blocks[count] = arena_take(arena, sizes[count]);
			assert_non_null(blocks[count]);
			is_shared(blocks[count], sizes[count]);
			memset(blocks[count], (int)(count & 0xff), sizes[count]);
			live += sizes[count];
		}
		for (uint32_t i = 0; i < count; i++) {
			assert_int_equal(blocks[i][0], i & 0xff);
			assert_int_equal(blocks[i][sizes[i] - 1], i & 0xff);
			arena_give(arena, blocks[i], sizes[i]);
		}
		arena_flush(arena);
		arena_trim(arena);
		assert_true(arena_active(arena) < 65536 * 4);
		if (round == 3)
			after_two = end;
	}
	/* Small and large have each had their time twice; from then on nothing more was taken, but for a little that fits badly. */
	assert_true(end - after_two <= 8 * MIB);
	assert_true(end - first <= 3 * (LIVE_MAX + 8 * MIB));
	arena_destroy(arena);
}

static void
what_cannot_be_made_known_is_no_memory(void **state)
{
	uint8_t *blocks[64];
	uint32_t count = 0;
	struct arena *arena = create(32 * MIB);

	(void)state;
	assert_non_null(arena);
	while (count < 64 && (blocks[count] = arena_take(arena, MIB)) != NULL)
		is_shared(blocks[count++], MIB);
	assert_true(count >= 16 && count < 32);
	arena_give(arena, blocks[--count], MIB);
	assert_non_null(blocks[count] = arena_take(arena, MIB)); /* what there is can be used again */
	count++;
	while (count > 0)
		arena_give(arena, blocks[--count], MIB);
	arena_destroy(arena);
}

/* A cache of 100 GiB needs no more pieces than one of 1 GiB; nothing of it is taken before it is used. */
static void
large_arenas_are_shared_in_larger_pieces(void **state)
{
	const uint64_t bytes_max = 100ull << 30;
	struct arena *arena = create_of(bytes_max, 600ull * MIB);
	uint8_t *block;

	(void)state;
	assert_non_null(arena);
	block = arena_take(arena, MIB);
	assert_non_null(block);
	is_shared(block, MIB);
	assert_true((uint64_t)(end - first) / calls >= bytes_max / 512);
	arena_give(arena, block, MIB);
	arena_destroy(arena);
}

static void
a_system_that_shares_nothing_makes_no_arena(void **state)
{
	(void)state;
	assert_null(create(0));
	assert_int_equal(calls, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_block_stands_in_pages_that_were_made_known),
		cmocka_unit_test(what_cannot_be_made_known_is_no_memory),
		cmocka_unit_test(large_arenas_are_shared_in_larger_pieces),
		cmocka_unit_test(a_system_that_shares_nothing_makes_no_arena),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
