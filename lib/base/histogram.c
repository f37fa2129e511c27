#include "base/histogram.h"

#include <string.h>

#include "base/check.h"

_Static_assert(sizeof(struct histogram) < 38 * 1024, "documented in the header");

void
histogram_init(struct histogram *histogram)
{
	memset(histogram, 0, sizeof *histogram);
	histogram->min = UINT64_MAX;
}

uint64_t
histogram_low(uint32_t index)
{
	uint32_t shift = index >> HISTOGRAM_SUB_BITS;

	CHECK(index < HISTOGRAM_BUCKETS);
	/* Shift 0 has the first two runs of 128; every later one is the upper half of 256. */
	shift = shift > 0 ? shift - 1 : 0;
	return (uint64_t)(index - (shift << HISTOGRAM_SUB_BITS)) << shift;
}

uint64_t
histogram_high(uint32_t index)
{
	return index + 1 < HISTOGRAM_BUCKETS ? histogram_low(index + 1) - 1 : HISTOGRAM_VALUE_MAX;
}

/* How many values, counted from the smallest, make up `percent`: at least one. */
static uint64_t
rank_of(const struct histogram *histogram, double percent)
{
	double exact = percent / 100 * (double)histogram->count;
	uint64_t rank;

	if (!(exact > 1))
		return 1;
	if (exact >= (double)histogram->count)
		return histogram->count;
	/* 99.9 / 100 is a little under 0.999: what lies within rounding of a rank is that rank. */
	rank = (uint64_t)exact;
	return exact - (double)rank > 1e-9 * exact ? rank + 1 : rank;
}

uint64_t
histogram_percentile(const struct histogram *histogram, double percent)
{
	uint64_t seen = 0, rank;

	if (histogram->count == 0)
		return 0;
	rank = rank_of(histogram, percent);
	if (rank == histogram->count)
		return histogram->max;
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen >= rank)
			return histogram_high(i) < histogram->max ? histogram_high(i) : histogram->max;
	}
	return histogram->max;
}

double
histogram_mean(const struct histogram *histogram)
{
	return histogram->count ? (double)histogram->sum / (double)histogram->count : 0;
}

void
histogram_merge(struct histogram *into, const struct histogram *from)
{
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
	into->count += from->count;
	into->sum += from->sum;
	if (from->min < into->min)
		into->min = from->min;
	if (from->max > into->max)
		into->max = from->max;
}
