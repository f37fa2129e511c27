/*
 * watchdog.h - is every worker still polling?
 *
 * Purpose: the service manager's watchdog is fed only while every worker moves.
 *   A process that is there but serves nothing is worse than one that is restarted.
 * How: each worker counts its polls; one whose count has not moved between two
 *   steps is stalled. An idle worker polls too (config idle_sleep, 1 s at most),
 *   so steps must be further apart than that.
 * Threads: one thread steps it; the counts are read relaxed. Memory: fixed.
 */
#ifndef SLIPRINGD_WATCHDOG_H
#define SLIPRINGD_WATCHDOG_H

#include <stdint.h>

#include "base/limits.h"

/* A worker that has not polled for this long is stalled. */
enum { WATCHDOG_STEP_MS = 2000 };

struct watchdog {
	uint32_t worker_count;
	uint64_t polls[WORKER_MAX]; /* at the last step */
};

void watchdog_init(struct watchdog *watchdog, uint32_t worker_count);

/* Compares with the last step; bit i of the result: worker i has not polled since. */
uint32_t watchdog_step(struct watchdog *watchdog, const uint64_t *polls);

#endif
