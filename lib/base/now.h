/*
 * now.h - time as an argument.
 *
 * Purpose: pure code never asks a clock; it is told. Timers use mono_ns,
 *   expiries and versions use wall_ms.
 */
#ifndef BASE_NOW_H
#define BASE_NOW_H

#include <stdint.h>

struct now {
	uint64_t mono_ns; /* monotonic, arbitrary origin */
	uint64_t wall_ms; /* milliseconds since 1970-01-01 UTC */
};

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_SEC 1000000000ull
#define MS_PER_SEC 1000ull

#endif
