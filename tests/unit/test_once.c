/* Unit tests of lib/serve/once: the rules of its header, and a long random run of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/prng.h"
#include "serve/once.h"

static struct now now;
static struct once *once;
static struct once_result result;

static int
setup(void **state)
{
	(void)state;
	now = (struct now){ .mono_ns = 77 * NS_PER_SEC };
	once = once_create(99);
	assert_non_null(once);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	once_destroy(once);
	return 0;
}

/* Asks, and when told to run, remembers `number` as the result. */
static enum once_verdict
write_once(uint64_t client, uint64_t sequence, uint64_t floor, uint64_t number)
{
	enum once_verdict verdict = once_ask(once, &now, client, sequence, floor, &result);

	if (verdict == ONCE_RUN)
		once_tell(once, client, sequence, &(struct once_result){ number + 1, number, 3 });
	return verdict;
}

static void
a_repetition_gets_the_first_result(void **state)
{
	(void)state;
	assert_int_equal(write_once(1, 10, 0, 500), ONCE_RUN);
	assert_int_equal(write_once(1, 10, 0, 501), ONCE_REPLAY);
	assert_int_equal(result.number, 500);
	assert_int_equal(result.version, 501);
	assert_int_equal(result.status, 3);
	assert_int_equal(write_once(2, 10, 0, 502), ONCE_RUN);
	assert_int_equal(write_once(1, 9, 0, 503), ONCE_RUN); /* late, but never seen */
	assert_int_equal(write_once(1, 0, 0, 504), ONCE_RUN);
}

static void
a_write_that_was_not_told_runs_again(void **state)
{
	(void)state;
	assert_int_equal(once_ask(once, &now, 1, 10, 0, &result), ONCE_RUN);
	assert_int_equal(once_ask(once, &now, 1, 10, 0, &result), ONCE_RUN);
}

static void
below_the_floor_nothing_runs(void **state)
{
	(void)state;
	assert_int_equal(write_once(1, 100, 50, 0), ONCE_RUN);
	assert_int_equal(write_once(1, 49, 0, 0), ONCE_UNKNOWN); /* the floor does not fall */
	assert_int_equal(write_once(1, 50, 0, 0), ONCE_RUN);
	assert_int_equal(write_once(1, 200, 101, 0), ONCE_RUN);
	assert_int_equal(write_once(1, 100, 50, 0), ONCE_UNKNOWN);
	assert_int_equal(write_once(1, 300, 900, 0), ONCE_RUN); /* a floor above itself is its own */
	assert_int_equal(write_once(1, 300, 0, 0), ONCE_REPLAY);
}

static void
a_window_wider_than_half_a_sequence_number_is_cut(void **state)
{
	uint64_t newest = 5ull << 32;

	(void)state;
	assert_int_equal(write_once(1, newest - ONCE_WINDOW_MAX, 0, 1), ONCE_RUN);
	assert_int_equal(write_once(1, newest, 0, 2), ONCE_RUN);
	assert_int_equal(write_once(1, newest - ONCE_WINDOW_MAX, 0, 0), ONCE_REPLAY);
	assert_int_equal(write_once(1, newest + 1, 0, 3), ONCE_RUN);
	assert_int_equal(write_once(1, newest - ONCE_WINDOW_MAX, 0, 0), ONCE_UNKNOWN);
	/* The same half of a number, 2^32 later, is another write. */
	assert_int_equal(write_once(1, newest + (1ull << 32), newest, 4), ONCE_RUN);
	assert_int_equal(write_once(1, newest + (1ull << 32), newest, 0), ONCE_REPLAY);
	assert_int_equal(result.number, 4);
}

static void
what_is_forgotten_is_unknown_and_never_runs_again(void **state)
{
	enum { WRITES = 3 * ONCE_RESULTS };
	uint32_t replayed = 0;

	(void)state;
	for (uint64_t i = 0; i < WRITES; i++)
		assert_int_equal(write_once(1, i, 0, i), ONCE_RUN);
	for (uint64_t i = 0; i < WRITES; i++) {
		enum once_verdict verdict = write_once(1, i, 0, 0);

		assert_int_not_equal(verdict, ONCE_RUN);
		if (verdict == ONCE_REPLAY) {
			assert_int_equal(result.number, i);
			replayed++;
		}
	}
	assert_true(replayed > ONCE_RESULTS / 16); /* sets fill unevenly, and the fullest raises the floor */
}

static void
settled_results_make_room_for_those_that_are_not(void **state)
{
	(void)state;
	/* Another client's writes, unsettled, outlive any number that are settled as they go. */
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(write_once(2, i, 0, i), ONCE_RUN);
	for (uint64_t i = 0; i < 4 * ONCE_RESULTS; i++)
		assert_int_equal(write_once(1, i, i > 64 ? i - 64 : 0, i), ONCE_RUN);
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(write_once(2, i, 0, 0), ONCE_REPLAY);
}

static void
silent_clients_make_room_and_busy_ones_do_not(void **state)
{
	uint64_t client = 1, full = 0;

	(void)state;
	for (; client <= 2 * ONCE_CLIENTS; client++)
		full += write_once(client, 5, 0, client) == ONCE_FULL;
	assert_true(full >= ONCE_CLIENTS);
	assert_int_equal(write_once(1, 5, 0, 0), ONCE_REPLAY);
	now.mono_ns += (ONCE_IDLE_MS + 1) * NS_PER_MS;
	for (uint64_t i = 0; i < ONCE_CLIENTS / 2; i++)
		assert_int_equal(write_once(client++, 5, 0, 0), ONCE_RUN);
	assert_int_equal(write_once(client - 1, 5, 0, 0), ONCE_REPLAY);
	assert_int_equal(write_once(client - 1, 6, 0, 0), ONCE_RUN);
}

static void
an_entry_that_changed_hands_replays_nothing_of_its_former_client(void **state)
{
	(void)state;
	for (uint64_t client = 1; client <= 2 * ONCE_CLIENTS; client++)
		write_once(client, 5, 0, client);
	now.mono_ns += (ONCE_IDLE_MS + 1) * NS_PER_MS;
	for (uint64_t client = 1; client <= ONCE_CLIENTS / 2; client++) {
		uint64_t id = 1000000 + client;

		assert_int_equal(write_once(id, 5, 0, id), ONCE_RUN);
		assert_int_equal(write_once(id, 5, 0, 0), ONCE_REPLAY);
		assert_int_equal(result.number, id);
	}
}

/* Clients with windows over a network that loses, repeats and reorders: nothing runs twice. */
static void
nothing_runs_twice_in_a_random_run(void **state)
{
	enum { CLIENTS = 50, WRITES = 4000, STEPS = 1000000 };
	static uint8_t runs[CLIENTS][WRITES];
	static uint64_t next[CLIENTS];
	struct prng prng = { 20260101 };
	uint64_t replays = 0;

	(void)state;
	printf("seed %llu\n", (unsigned long long)prng.state);
	for (uint32_t step = 0; step < STEPS; step++) {
		uint64_t client = prng_below(&prng, CLIENTS), window = prng_below(&prng, 300), sequence;

		if (prng_below(&prng, 4) == 0 && next[client] < WRITES)
			next[client]++;
		if (next[client] == 0)
			continue;
		sequence = next[client] - 1 - prng_below(&prng, next[client] < 400 ? next[client] : 400);
		switch (write_once(client + 1, sequence, sequence > window ? sequence - window : 0, sequence)) {
		case ONCE_RUN:
			assert_int_equal(runs[client][sequence]++, 0);
			break;
		case ONCE_REPLAY:
			assert_int_equal(runs[client][sequence], 1);
			assert_int_equal(result.number, sequence);
			replays++;
			break;
		default:
			break;
		}
	}
	assert_true(replays > STEPS / 50);
}

int
main(void)
{
#define ONCE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		ONCE(a_repetition_gets_the_first_result),
		ONCE(a_write_that_was_not_told_runs_again),
		ONCE(below_the_floor_nothing_runs),
		ONCE(a_window_wider_than_half_a_sequence_number_is_cut),
		ONCE(what_is_forgotten_is_unknown_and_never_runs_again),
		ONCE(settled_results_make_room_for_those_that_are_not),
		ONCE(silent_clients_make_room_and_busy_ones_do_not),
		ONCE(an_entry_that_changed_hands_replays_nothing_of_its_former_client),
		ONCE(nothing_runs_twice_in_a_random_run),
	};

	return cmocka_run_group_tests_name("once", tests, NULL, NULL);
}
