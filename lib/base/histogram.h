/*
 * histogram.h - latencies counted in log-linear buckets.
 *
 * Purpose: percentiles up to p99.99 and beyond of millions of latencies in fixed
 *   memory, with a known error. Two histograms merge by adding their buckets.
 * Intuition: values up to 255 have a bucket each. Above, every power of two is cut
 *   into 128 equal buckets, so a bucket is at most 1/128 of its values wide: the
 *   figure read is never under the true one and at most 0.79 % over it.
 *   (The scheme is HdrHistogram's, by Gil Tene.)
 * Threads: one writer; a reader takes a copy or waits for the writer to stop.
 * Memory: 37 KiB by value, no allocation.
 * Invariants: 1. count is the sum of buckets. 2. min and max are exact, min <= max
 *   when count > 0.
 * Bounds: values over HISTOGRAM_VALUE_MAX (2.4 hours in ns) count in the last
 *   bucket; max still tells them.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

enum {
	HISTOGRAM_SUB_BITS = 7, /* 128 buckets a power of two */
	HISTOGRAM_SHIFT_MAX = 35,
	HISTOGRAM_BUCKETS = (HISTOGRAM_SHIFT_MAX + 2) << HISTOGRAM_SUB_BITS,
};
#define HISTOGRAM_VALUE_MAX ((1ull << (HISTOGRAM_SHIFT_MAX + HISTOGRAM_SUB_BITS + 1)) - 1)

struct histogram {
	uint64_t count;
	uint64_t sum; /* of the values recorded; wraps after 2^64 */
	uint64_t min, max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Empties it. */
void histogram_init(struct histogram *histogram);

/* Which bucket a value counts in. */
static inline uint32_t
histogram_index(uint64_t value)
{
	uint32_t shift;

	if (value > HISTOGRAM_VALUE_MAX)
		value = HISTOGRAM_VALUE_MAX;
	/* The top 8 significant bits choose; the rest is below the precision. */
	shift = 63 - (uint32_t)__builtin_clzll(value | 255) - HISTOGRAM_SUB_BITS;
	return (shift << HISTOGRAM_SUB_BITS) + (uint32_t)(value >> shift);
}

/* The smallest and the largest value of a bucket. */
uint64_t histogram_low(uint32_t index);
uint64_t histogram_high(uint32_t index);

/* Counts `n` values at once (n of them equal); any unit, as long as it is one. */
static inline void
histogram_record_many(struct histogram *histogram, uint64_t value, uint64_t n)
{
	histogram->buckets[histogram_index(value)] += n;
	histogram->count += n;
	histogram->sum += value * n;
	if (n > 0 && value < histogram->min)
		histogram->min = value;
	if (n > 0 && value > histogram->max)
		histogram->max = value;
}

static inline void
histogram_record(struct histogram *histogram, uint64_t value)
{
	histogram_record_many(histogram, value, 1);
}

/*
 * The value that `percent` (0..100) of the recorded ones do not exceed, rounded up
 * to its bucket's end and never over max; 0 when nothing was recorded.
 */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

/* Arithmetic mean; 0 when nothing was recorded. */
double histogram_mean(const struct histogram *histogram);

/* Adds what `from` counted to `into`. */
void histogram_merge(struct histogram *into, const struct histogram *from);

#endif
