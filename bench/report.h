/*
 * report.h - how a benchmark prints its latencies: members of a JSON object.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "base/histogram.h"

/* "latency_us":{...} of a histogram in nanoseconds. */
static inline void
report_latencies(const struct histogram *h)
{
	static const double percents[] = { 50, 90, 99, 99.9, 99.99 };

	printf("\"latency_us\":{\"samples\":%lu,\"mean\":%.2f", h->count, histogram_mean(h) / 1e3);
	for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++)
		printf(",\"p%g\":%.2f", percents[i], (double)histogram_percentile(h, percents[i]) / 1e3);
	printf(",\"max\":%.2f}", h->count ? (double)h->max / 1e3 : 0.0);
}

#endif
