/*
 * Unit tests of hearing: who is deaf, who is idle, and that nobody stays what he was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/slipringd/hearing.h"

static struct hearing hearing;
static struct hearing_figures now[2];

static int
start(void **state)
{
	(void)state;
	hearing_init(&hearing, 2);
	now[0] = (struct hearing_figures){ 100, 120 };
	now[1] = (struct hearing_figures){ 7, 7 };
	assert_int_equal(hearing_step(&hearing, now), 0);
	return 0;
}

/* Steps in which so many frames come to the ports of both. */
static uint32_t
steps(int n, uint64_t heard, uint64_t offered)
{
	uint32_t deaf = 0;

	for (int i = 0; i < n; i++) {
		now[0].offered += offered;
		now[1].offered += offered;
		now[1].heard += heard;
		deaf = hearing_step(&hearing, now);
	}
	return deaf;
}

static void
who_hears_nothing_of_what_comes_is_deaf(void **state)
{
	(void)state;
	assert_int_equal(steps(1, 5, 5), 0);
	assert_int_equal(steps(1, 5, 5), 1);
	assert_int_equal(steps(20, 5, 5), 1);
}

static void
one_frame_ends_it(void **state)
{
	(void)state;
	assert_int_equal(steps(5, 1, 100), 1);
	now[0].heard++;
	assert_int_equal(steps(1, 1, 100), 0);
	assert_int_equal(steps(1, 1, 100), 0);
	assert_int_equal(steps(1, 1, 100), 1);
}

static void
who_is_sent_nothing_is_idle(void **state)
{
	(void)state;
	assert_int_equal(steps(1000, 0, 0), 0);
}

/* Frames that were lost while others arrived say nothing; nor do one or two that nobody else heard. */
static void
some_loss_is_not_deafness(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		now[0].heard++;
		assert_int_equal(steps(1, 1, 1000), 0);
	}
	now[0].offered += HEARING_FRAMES - 1;
	assert_int_equal(steps(10, 0, 0), 0);
	assert_int_equal(steps(HEARING_FRAMES, 1, 1), 1);
}

/* An interface's figures begin again at 0 when it is made anew. */
static void
figures_that_fall_begin_again(void **state)
{
	(void)state;
	now[0].offered = 3;
	assert_int_equal(hearing_step(&hearing, now), 0);
	assert_int_equal(steps(1, 1, 50), 0);
	assert_int_equal(steps(1, 1, 50), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(who_hears_nothing_of_what_comes_is_deaf, start),
		cmocka_unit_test_setup(one_frame_ends_it, start),
		cmocka_unit_test_setup(who_is_sent_nothing_is_idle, start),
		cmocka_unit_test_setup(some_loss_is_not_deafness, start),
		cmocka_unit_test_setup(figures_that_fall_begin_again, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
