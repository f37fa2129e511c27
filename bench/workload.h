/*
 * workload.h - the keys, values and request sequences that every benchmark uses.
 *
 * Purpose: one data set (keys 0..n-1 of 16 bytes, values that follow from the
 *   key), so that any reply can be checked and figures can be compared.
 * Threads: a trace is read-only once made. Memory: a trace is 4 bytes an entry,
 *   drawn before measuring: a draw of the Zipf law costs more than a lookup.
 * Source: Zipf draws after Gray et al., "Quickly Generating Billion-Record
 *   Synthetic Databases" (SIGMOD 1994).
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/prng.h"

enum { WORKLOAD_KEY_LEN = 16, TRACE_LEN = 1 << 21 };

/* "slipring" and the index in eight hexadecimal digits. */
static inline void
workload_key(uint8_t out[WORKLOAD_KEY_LEN], uint32_t index)
{
	uint64_t digits = index;

	digits = (digits | digits << 16) & 0x0000ffff0000ffffull;
	digits = (digits | digits << 8) & 0x00ff00ff00ff00ffull;
	digits = (digits | digits << 4) & 0x0f0f0f0f0f0f0f0full;
	/* A nibble above 9 carries into bit 4 when 6 is added; 'a' - '9' - 1 is 39. */
	digits += 0x3030303030303030ull + (((digits + 0x0606060606060606ull) >> 4) & 0x0101010101010101ull) * 39;
	digits = __builtin_bswap64(digits);
	memcpy(out, "slipring", 8);
	memcpy(out + 8, &digits, 8);
}

static inline uint64_t
workload_word(uint32_t index, uint32_t at)
{
	uint64_t word = (index + 1) * 0x9e3779b97f4a7c15ull + at * 0xd1b54a32d192ed03ull;

	return word ^ word >> 29;
}

static inline void
workload_value(uint8_t *out, uint32_t len, uint32_t index)
{
	uint32_t at = 0;

	for (; at + 8 <= len; at += 8) {
		uint64_t word = workload_word(index, at);

		memcpy(out + at, &word, 8);
	}
	for (; at < len; at++)
		out[at] = (uint8_t)workload_word(index, at);
}

/* Whether these bytes are the value of key `index`, every byte of it. */
static inline bool
workload_value_is(const uint8_t *value, uint32_t len, uint32_t index)
{
	uint64_t wrong = 0;
	uint32_t at = 0;

	for (; at + 8 <= len; at += 8) {
		uint64_t word;

		memcpy(&word, value + at, 8);
		wrong |= word ^ workload_word(index, at);
	}
	for (; at < len; at++)
		wrong |= (uint8_t)(value[at] ^ (uint8_t)workload_word(index, at));
	return wrong == 0;
}

struct zipf {
	double n, theta, alpha, zeta, eta, second;
};

static inline struct zipf
zipf_of(uint32_t n, double theta)
{
	struct zipf zipf = { .n = n, .theta = theta, .alpha = 1 / (1 - theta) };

	for (uint32_t i = 1; i <= n; i++)
		zipf.zeta += pow(i, -theta);
	zipf.second = 1 + pow(0.5, theta);
	zipf.eta = (1 - pow(2.0 / n, 1 - theta)) / (1 - zipf.second / zipf.zeta);
	return zipf;
}

/* A rank, 0 the most frequent. */
static inline uint32_t
zipf_draw(const struct zipf *zipf, struct prng *prng)
{
	double u = prng_unit(prng), uz = u * zipf->zeta;
	uint32_t rank;

	if (uz < 1)
		return 0;
	if (uz < zipf->second)
		return 1;
	rank = (uint32_t)(zipf->n * pow(zipf->eta * u - zipf->eta + 1, zipf->alpha));
	return rank < (uint32_t)zipf->n ? rank : (uint32_t)zipf->n - 1;
}

static inline uint32_t
common_divisor(uint32_t a, uint32_t b)
{
	return b ? common_divisor(b, a % b) : a;
}

/*
 * TRACE_LEN key indexes, uniform (theta 0) or Zipf. Ranks are spread over the
 * keys: hot keys stored one after another would share cache lines and pages.
 */
static inline uint32_t *
trace_create(uint32_t keys, double theta, uint64_t seed)
{
	uint32_t *trace = malloc(TRACE_LEN * sizeof *trace), stride = 0x9e3779b1u % keys | 1;
	struct prng prng = { seed };
	struct zipf zipf;

	CHECK(trace && keys > 2);
	while (common_divisor(stride, keys) != 1)
		stride++;
	if (theta > 0)
		zipf = zipf_of(keys, theta);
	for (uint32_t i = 0; i < TRACE_LEN; i++)
		trace[i] = theta > 0 ? (uint32_t)((uint64_t)zipf_draw(&zipf, &prng) * stride % keys)
		                     : (uint32_t)prng_below(&prng, keys);
	return trace;
}

/* Nanoseconds to the next arrival of a Poisson process of `rate` a second. */
static inline double
poisson_gap_ns(double rate, struct prng *prng)
{
	return -log(1 - prng_unit(prng)) * 1e9 / rate;
}

#endif
