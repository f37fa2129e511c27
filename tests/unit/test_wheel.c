/* The timer wheel against a list of deadlines; the seed is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/prng.h"
#include "base/wheel.h"

enum { THINGS = 500 };

struct thing {
	uint64_t other;
	struct wheel_node node;
	uint32_t pad;
};

static struct thing things[THINGS];
static uint32_t due[THINGS];
static bool armed[THINGS];

static uint32_t
random_ahead(struct prng *prng)
{
	static const uint32_t ranges[] = { 3, 300, 70000, 20000000, 1u << 30 };

	return (uint32_t)prng_below(prng, ranges[prng_below(prng, 5)]);
}

/* The earliest tick there is, or false. */
static bool
least_due(uint32_t now, uint32_t *tick)
{
	bool any = false;

	for (uint32_t i = 0; i < THINGS; i++)
		if (armed[i] && (!any || due[i] - now < *tick - now)) {
			*tick = due[i];
			any = true;
		}
	return any;
}

static void
expire_to(struct wheel *wheel, uint32_t from, uint32_t now)
{
	int64_t index;

	while ((index = wheel_expire(wheel, now)) != WHEEL_NONE) {
		assert_true(armed[index]);
		assert_true(due[index] - from <= now - from);
		armed[index] = false;
	}
	for (uint32_t i = 0; i < THINGS; i++)
		assert_true(!armed[i] || (int32_t)(due[i] - now) > 0);
}

static void
run(uint64_t seed, uint32_t start)
{
	struct prng prng = { seed };
	struct wheel wheel;
	uint32_t now = start;

	for (uint32_t i = 0; i < THINGS; i++) {
		things[i].node = (struct wheel_node){ 0 };
		armed[i] = false;
	}
	wheel_init(&wheel, &things[0].node, sizeof *things, now);
	for (uint32_t step = 0; step < 5000; step++) {
		uint32_t i = (uint32_t)prng_below(&prng, THINGS), tick, expected = 0, before = now;

		switch (prng_below(&prng, 4)) {
		case 0:
		case 1:
			due[i] = now + 1 + random_ahead(&prng);
			wheel_put(&wheel, i, due[i]);
			armed[i] = true;
			break;
		case 2:
			wheel_remove(&wheel, i);
			armed[i] = false;
			break;
		default:
			/* A deadline is never late, and the last one that is named before a due tick is that tick. */
			if (least_due(now, &expected)) {
				assert_true(wheel_deadline(&wheel, &tick));
				assert_true(tick - now <= expected - now);
			} else {
				assert_false(wheel_deadline(&wheel, &tick));
			}
			now += random_ahead(&prng) % (prng_below(&prng, 8) ? 2000 : 1u << 28);
			expire_to(&wheel, before, now);
		}
		assert_int_equal(wheel_armed(&wheel, i), armed[i]);
		if (step % 64 == 0)
			wheel_check(&wheel);
	}
}

static void
what_is_due_comes_out_and_nothing_else(void **state)
{
	const char *text = getenv("SLIPRING_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);

	(void)state;
	printf("seed %llu\n", (unsigned long long)seed);
	run(seed, 0);
	run(seed + 1, 0xfffff000);
	run(seed + 2, 0x7fff0000);
	run(seed + 3, (uint32_t)seed);
}

static void
following_deadlines_reaches_every_tick_in_few_steps(void **state)
{
	static const uint32_t at[] = { 1, 255, 256, 257, 65535, 65536, 16777216, 1u << 30 };
	struct wheel wheel;

	(void)state;
	for (uint32_t i = 0; i < sizeof at / sizeof *at; i++) {
		uint32_t tick, steps = 0, start = 0xffffff80;

		things[0].node = (struct wheel_node){ 0 };
		wheel_init(&wheel, &things[0].node, sizeof *things, start);
		wheel_put(&wheel, 0, start + at[i]);
		do {
			assert_true(wheel_deadline(&wheel, &tick));
			assert_true(steps++ < 8);
		} while (wheel_expire(&wheel, tick) == WHEEL_NONE);
		assert_int_equal(tick, start + at[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_due_comes_out_and_nothing_else),
		cmocka_unit_test(following_deadlines_reaches_every_tick_in_few_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
