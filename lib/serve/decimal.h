/*
 * decimal.h - unsigned 64-bit numbers as decimal text, as INCR and DECR keep them.
 *
 * Threads: any. Memory: the caller's. Pure.
 */
#ifndef SERVE_DECIMAL_H
#define SERVE_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/view.h"

enum { DECIMAL_LEN_MAX = 20 }; /* 2^64 - 1 has 20 digits */

/* Digits, with nothing but blanks around them (memcached pads). False: anything else, or over 2^64 - 1. */
static inline bool
decimal_parse(struct view text, uint64_t *number)
{
	uint64_t n = 0;
	uint32_t i = 0, first;

	while (i < text.len && text.data[i] == ' ')
		i++;
	for (first = i; i < text.len && text.data[i] >= '0' && text.data[i] <= '9'; i++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, text.data[i] - '0', &n))
			return false;
	if (i == first)
		return false;
	for (; i < text.len; i++)
		if (text.data[i] != ' ')
			return false;
	*number = n;
	return true;
}

/* Writes the digits, no NUL; returns how many. */
static inline uint32_t
decimal_compose(uint64_t number, char out[DECIMAL_LEN_MAX])
{
	char digits[DECIMAL_LEN_MAX];
	uint32_t at = DECIMAL_LEN_MAX;

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	memcpy(out, digits + at, DECIMAL_LEN_MAX - at);
	return DECIMAL_LEN_MAX - at;
}

#endif
