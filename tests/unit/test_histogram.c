/* Unit tests of lib/base/histogram: every percentile against sorted values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/histogram.h"
#include "base/prng.h"

enum { SAMPLES = 200000 };

static struct histogram histogram, other;
static uint64_t samples[SAMPLES];

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
buckets_tile_the_values_without_gap_or_overlap(void **state)
{
	(void)state;
	assert_int_equal(histogram_low(0), 0);
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		uint64_t low = histogram_low(i), high = histogram_high(i);

		assert_true(low <= high);
		assert_int_equal(histogram_index(low), i);
		assert_int_equal(histogram_index(high), i);
		assert_true((high - low) * 128 <= low || low < 256);
		if (i > 0)
			assert_int_equal(histogram_high(i - 1) + 1, low);
	}
	assert_int_equal(histogram_high(HISTOGRAM_BUCKETS - 1), HISTOGRAM_VALUE_MAX);
	assert_int_equal(histogram_index(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

/* Latencies as they look: most near 20 us, a tail over six orders of magnitude. */
static uint64_t
latency(struct prng *prng)
{
	uint64_t base = 10000 + prng_below(prng, 20000);

	return prng_below(prng, 100) ? base : base << prng_below(prng, 20);
}

static void
percentiles_are_within_a_bucket_of_the_sorted_values(void **state)
{
	const double percents[] = { 0, 0.01, 1, 25, 50, 75, 90, 99, 99.9, 99.99, 99.999, 100 };
	struct prng prng = { 42 };

	(void)state;
	histogram_init(&histogram);
	for (int i = 0; i < SAMPLES; i++) {
		samples[i] = latency(&prng);
		histogram_record(&histogram, samples[i]);
	}
	qsort(samples, SAMPLES, sizeof samples[0], by_value);
	for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
		/* In parts of 100000, so that the rank is exact integer arithmetic. */
		uint64_t parts = (uint64_t)(percents[i] * 1000 + 0.5);
		uint64_t rank = (parts * SAMPLES + 99999) / 100000;
		uint64_t truth = samples[rank ? rank - 1 : 0];
		uint64_t read = histogram_percentile(&histogram, percents[i]);

		if (read < truth || read - truth > truth / 128)
			fail_msg("p%g: read %lu, true %lu", percents[i], read, truth);
	}
	assert_int_equal(histogram.min, samples[0]);
	assert_int_equal(histogram.max, samples[SAMPLES - 1]);
	assert_int_equal(histogram_percentile(&histogram, 100), samples[SAMPLES - 1]);
}

static void
one_slow_value_of_ten_thousand_is_beyond_p99_99(void **state)
{
	(void)state;
	histogram_init(&histogram);
	histogram_record_many(&histogram, 100, 9999);
	histogram_record(&histogram, 5000000);
	assert_int_equal(histogram_percentile(&histogram, 99.99), 100);
	assert_int_equal(histogram_percentile(&histogram, 99.991), 5000000);
	assert_int_equal(histogram.count, 10000);
}

static void
merging_is_recording_everything_in_one(void **state)
{
	struct prng prng = { 7 };
	static struct histogram whole;

	(void)state;
	histogram_init(&histogram);
	histogram_init(&other);
	histogram_init(&whole);
	for (int i = 0; i < 10000; i++) {
		uint64_t value = latency(&prng);

		histogram_record(i % 3 ? &histogram : &other, value);
		histogram_record(&whole, value);
	}
	histogram_merge(&histogram, &other);
	assert_memory_equal(&histogram, &whole, sizeof whole);
}

static void
merging_an_empty_one_changes_nothing(void **state)
{
	(void)state;
	histogram_init(&histogram);
	histogram_init(&other);
	histogram_record(&histogram, 3);
	histogram_merge(&histogram, &other);
	assert_int_equal(histogram.min, 3);
	assert_int_equal(histogram.max, 3);
	histogram_merge(&other, &histogram);
	assert_int_equal(histogram_percentile(&other, 50), 3);
}

static void
an_empty_one_reads_as_zero(void **state)
{
	(void)state;
	histogram_init(&histogram);
	assert_int_equal(histogram_percentile(&histogram, 50), 0);
	assert_true(histogram_mean(&histogram) == 0);
}

static void
values_beyond_the_range_are_counted_and_told_by_max(void **state)
{
	(void)state;
	histogram_init(&histogram);
	histogram_record(&histogram, UINT64_MAX);
	histogram_record(&histogram, 1);
	assert_int_equal(histogram.buckets[HISTOGRAM_BUCKETS - 1], 1);
	assert_true(histogram_percentile(&histogram, 100) == UINT64_MAX);
	assert_int_equal(histogram_percentile(&histogram, 50), 1);
}

static void
the_mean_is_of_the_values_not_of_the_buckets(void **state)
{
	(void)state;
	histogram_init(&histogram);
	histogram_record(&histogram, 1000001);
	histogram_record(&histogram, 1000003);
	assert_true(histogram_mean(&histogram) == 1000002);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_tile_the_values_without_gap_or_overlap),
		cmocka_unit_test(percentiles_are_within_a_bucket_of_the_sorted_values),
		cmocka_unit_test(one_slow_value_of_ten_thousand_is_beyond_p99_99),
		cmocka_unit_test(merging_is_recording_everything_in_one),
		cmocka_unit_test(merging_an_empty_one_changes_nothing),
		cmocka_unit_test(an_empty_one_reads_as_zero),
		cmocka_unit_test(values_beyond_the_range_are_counted_and_told_by_max),
		cmocka_unit_test(the_mean_is_of_the_values_not_of_the_buckets),
	};

	return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
