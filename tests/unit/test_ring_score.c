/* Unit tests of lib/ring/score.h: what makes the table's shortcut right, and its chances fair. */
#include "tests/unit/ring_rig.h"

#include "ring/score.h"

static struct score_log logs;

/* 2^26 * log2(1 + i / 256), computed elsewhere to 40 digits and cut to whole numbers. */
static void
logarithms_known_from_elsewhere(void **state)
{
	(void)state;
	assert_int_equal(logs.at[0], 0);
	assert_int_equal(logs.at[256], 1 << 26);
	/* Exactly 39256168.9 and 21604228.7; truncation 26 times loses a little. */
	assert_in_range(logs.at[128], 39256166, 39256168);
	assert_in_range(logs.at[64], 21604226, 21604228);
	for (int i = 0; i < 256; i++)
		assert_true(logs.at[i] < logs.at[i + 1]);
}

/* So that members of one weight may be compared by their draws: no two draws cost the same. */
static void
the_cost_falls_strictly_as_the_draw_grows(void **state)
{
	uint32_t last = UINT32_MAX;

	(void)state;
	for (uint32_t draw = 0; draw < 1u << SCORE_DRAW_BITS; draw++) {
		uint32_t cost = score_log2(&logs, draw << SCORE_POSITION_BITS);

		if (cost >= last)
			fail_msg("draw %u costs %u, the one before %u", draw, cost, last);
		last = cost;
	}
	assert_true(last > 0);
}

static void
the_position_has_no_part_in_the_cost(void **state)
{
	(void)state;
	for (uint32_t draw = 0; draw < 1u << SCORE_DRAW_BITS; draw += 997) {
		uint32_t key = draw << SCORE_POSITION_BITS;

		assert_int_equal(score_log2(&logs, key), score_log2(&logs, key | 1023));
		assert_int_equal(score_position(score_key(key, 1023 - 5)), 5);
	}
}

/* Each of the 22 bits is set half the time, for ids that differ by little and for those that are mixed. */
static void
draws_are_even(void **state)
{
	enum { IDS = 64 };

	(void)state;
	for (int bit = SCORE_POSITION_BITS; bit < 32; bit++) {
		uint32_t plain = 0, mixed = 0;

		for (uint32_t id = 0; id < IDS; id++)
			for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
				uint64_t good = score_mix(id + 1);

				plain += score_draw(score_slot(slot), id, 0) >> bit & 1;
				mixed += score_draw(score_slot(slot), (uint32_t)good, (uint32_t)(good >> 32)) >> bit & 1;
			}
		/* 2^19 of 2^20, five deviations either way. */
		assert_in_range(plain, (1 << 19) - 2560, (1 << 19) + 2560);
		assert_in_range(mixed, (1 << 19) - 2560, (1 << 19) + 2560);
	}
}

/* Of two members the one of thrice the weight costs less three times of four. */
static void
chances_follow_weights(void **state)
{
	uint64_t one = score_mix(1), two = score_mix(2);
	uint32_t wins = 0;

	(void)state;
	for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
		uint32_t base = score_slot(slot);
		uint64_t light = score_cost(&logs, score_draw(base, (uint32_t)one, (uint32_t)(one >> 32)), score_inverse(64));
		uint64_t heavy = score_cost(&logs, score_draw(base, (uint32_t)two, (uint32_t)(two >> 32)), score_inverse(192));

		wins += heavy < light;
	}
	assert_in_range(wins, 12288 - 277, 12288 + 277); /* five deviations */
}

static int
make_logs(void **state)
{
	(void)state;
	score_log_init(&logs);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logarithms_known_from_elsewhere),
		cmocka_unit_test(the_cost_falls_strictly_as_the_draw_grows),
		cmocka_unit_test(the_position_has_no_part_in_the_cost),
		cmocka_unit_test(draws_are_even),
		cmocka_unit_test(chances_follow_weights),
	};

	return cmocka_run_group_tests_name("ring_score", tests, make_logs, NULL);
}
