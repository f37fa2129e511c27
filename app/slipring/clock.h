/*
 * clock.h - the monotonic clock of the tool's own measurements. The library reads its own.
 */
#ifndef SLIPRING_CLOCK_H
#define SLIPRING_CLOCK_H

#include <stdint.h>
#include <time.h>

#include "base/now.h"

static inline uint64_t
clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

#endif
