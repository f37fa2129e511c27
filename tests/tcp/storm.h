/*
 * storm.h - any bytes become a storm of segments, calls and time steps on both builds of TCP-lite at once.
 *
 * Purpose: whatever a peer and an application do, streams stay right, invariants hold, nothing leaks, and the fast
 *   path makes no difference: after every step both have sent the same bytes at the same times.
 * How: segments are drawn relative to the connection's state, so that most of them matter. Fuzzers bring
 *   the bytes, and a test brings random ones.
 */
#ifndef TESTS_TCP_STORM_H
#define TESTS_TCP_STORM_H

#include <stddef.h>

#include "tests/tcp/rig.h"

/* Runs it; false: `failure` (RIG_TEXT_MAX bytes) says what went wrong. `steps`, if not NULL: how many there were. */
bool storm_run(const uint8_t *data, size_t size, char *failure, uint64_t *sent);

#endif
