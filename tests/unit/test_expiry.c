/* Unit tests of lib/store/expiry: found in time, moved later and earlier, far ahead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/now.h"
#include "base/prng.h"
#include "store/expiry.h"

#define START_MS 1700000000123ull

static struct expiry
new_expiry(uint32_t positions)
{
	struct expiry expiry;
	struct error error;

	assert_int_equal(expiry_init(&expiry, positions, &error), STATUS_OK);
	return expiry;
}

/* What a shard does: looks at every position that is due, and queues what is early again. */
static uint32_t
drain(struct expiry *expiry, const uint64_t *expiries, uint64_t *taken_ms, uint64_t wall_ms)
{
	uint32_t looked = 0, position;

	for (; expiry_next(expiry, wall_ms, &position); looked++) {
		if (expiries[position] == 0 || taken_ms[position] != 0)
			continue;
		if (expiries[position] <= wall_ms)
			taken_ms[position] = wall_ms;
		else
			expiry_put(expiry, position, expiries[position], wall_ms);
	}
	return looked;
}

static void
every_expiry_is_found_within_two_seconds(void **state)
{
	enum { POSITIONS = 3000 };
	static uint64_t expiries[POSITIONS], taken_ms[POSITIONS];
	struct expiry expiry = new_expiry(POSITIONS);
	struct prng prng = { 9 };
	uint64_t looked = 0;

	(void)state;
	for (uint32_t i = 0; i < POSITIONS; i++) {
		/* Up to 2 minutes, 2 hours, or 20 hours away. */
		uint64_t reach = i % 3 == 0 ? 120 : i % 3 == 1 ? 7200 : 72000;

		expiries[i] = START_MS + 1 + prng_below(&prng, reach * MS_PER_SEC);
		expiry_put(&expiry, i, expiries[i], START_MS);
	}
	for (uint64_t ms = START_MS; ms < START_MS + 72010 * MS_PER_SEC; ms += 500)
		looked += drain(&expiry, expiries, taken_ms, ms);
	for (uint32_t i = 0; i < POSITIONS; i++)
		assert_true(taken_ms[i] >= expiries[i] && taken_ms[i] < expiries[i] + 2 * MS_PER_SEC);
	assert_true(looked <= POSITIONS * EXPIRY_LEVELS);
	assert_int_equal(expiry.pool.used, 0);
	expiry_deinit(&expiry);
}

static void
an_expiry_that_moves_is_found_at_its_new_time(void **state)
{
	uint64_t expiries[2] = { START_MS + 10000, START_MS + 500000 }, taken_ms[2] = { 0 };
	struct expiry expiry = new_expiry(2);

	(void)state;
	expiry_put(&expiry, 0, expiries[0], START_MS);
	expiry_put(&expiry, 1, expiries[1], START_MS);
	expiries[0] = START_MS + 700000; /* later: looked at early, then moved on */
	expiry_put(&expiry, 0, expiries[0], START_MS);
	expiries[1] = START_MS + 20000; /* earlier: queued anew */
	expiry_put(&expiry, 1, expiries[1], START_MS);
	for (uint64_t ms = START_MS; ms < START_MS + 800000; ms += 100)
		drain(&expiry, expiries, taken_ms, ms);
	for (int i = 0; i < 2; i++)
		assert_true(taken_ms[i] >= expiries[i] && taken_ms[i] < expiries[i] + 2 * MS_PER_SEC);
	expiry_deinit(&expiry);
}

static void
an_expiry_written_again_and_again_takes_one_record(void **state)
{
	struct expiry expiry = new_expiry(10);

	(void)state;
	for (uint64_t i = 0; i < 100000; i++)
		expiry_put(&expiry, 3, START_MS + 60000 + 1000 * (i % 50), START_MS);
	assert_int_equal(expiry.pool.used, 1);
	assert_int_equal(expiry.missed, 0);
	expiry_deinit(&expiry);
}

static void
years_ahead_and_long_past_are_in_order_too(void **state)
{
	const uint64_t year_ms = 366ull * 24 * 3600 * MS_PER_SEC;
	uint64_t expiries[2] = { START_MS + 3 * year_ms, START_MS - 5000 }, taken_ms[2] = { 0 };
	struct expiry expiry = new_expiry(2);

	(void)state;
	expiry_put(&expiry, 0, expiries[0], START_MS);
	expiry_put(&expiry, 1, expiries[1], START_MS);
	drain(&expiry, expiries, taken_ms, START_MS + 2000);
	assert_int_equal(taken_ms[1], START_MS + 2000);
	/* An hour a step: what was slept through is due at once. */
	for (uint64_t ms = START_MS; ms < START_MS + 3 * year_ms + 7200000; ms += 3600000)
		drain(&expiry, expiries, taken_ms, ms);
	assert_true(taken_ms[0] >= expiries[0] && taken_ms[0] <= expiries[0] + 3600000);
	expiry_deinit(&expiry);
}

static void
without_room_for_records_the_misses_are_counted(void **state)
{
	struct expiry expiry = new_expiry(70000);
	uint64_t puts = 0;

	(void)state;
	/* Each earlier expiry leaves a stale record behind, until no chunk is left. */
	for (uint64_t second = 900; second > 0 && expiry.missed == 0; second -= 20)
		for (uint32_t i = 0; i < 70000; i++, puts++)
			expiry_put(&expiry, i, START_MS + second * MS_PER_SEC, START_MS);
	assert_true(expiry.missed > 0 && puts > 70000);
	expiry_deinit(&expiry);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_expiry_is_found_within_two_seconds),
		cmocka_unit_test(an_expiry_that_moves_is_found_at_its_new_time),
		cmocka_unit_test(an_expiry_written_again_and_again_takes_one_record),
		cmocka_unit_test(years_ahead_and_long_past_are_in_order_too),
		cmocka_unit_test(without_room_for_records_the_misses_are_counted),
	};

	return cmocka_run_group_tests_name("expiry", tests, NULL, NULL);
}
