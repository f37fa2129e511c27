/*
 * counters.h - drops and counters of one worker.
 *
 * Purpose: drop.def and counter.def are at once enum, counter, metric and text.
 * Threads: the owner lcore adds; any thread may read (relaxed), sums are made
 *   by the reader. No atomics read-modify-write: there is one writer.
 */
#ifndef BASE_COUNTERS_H
#define BASE_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

enum drop {
	DROP_NONE = 0,
#define DROP(suffix, name, text) DROP_##suffix,
#include "base/drop.def"
#undef DROP
	DROP_COUNT
};

enum counter {
#define COUNTER(suffix, name, text) COUNTER_##suffix,
#include "base/counter.def"
#undef COUNTER
	COUNTER_COUNT
};

/* Counters of the control core, not of a worker; they stand in one piece of counter.def. */
static inline bool
counter_is_core(enum counter counter)
{
	return counter >= COUNTER_CORE_BUSY_CYCLES && counter <= COUNTER_CLUSTER_FLOOR_FAILURES;
}

struct counters {
	uint64_t drops[DROP_COUNT];
	uint64_t values[COUNTER_COUNT];
} __attribute__((aligned(64)));

/* Sums over `count` workers: of one counter; of the operations they have run; of the connections that have ended. */
uint64_t counters_sum(const struct counters *const *all, uint32_t count, enum counter counter);
uint64_t counters_operations(const struct counters *const *all, uint32_t count);
uint64_t counters_ended(const struct counters *const *all, uint32_t count);

const char *drop_name(enum drop drop);          /* metric name, "none" for DROP_NONE */
const char *drop_text(enum drop drop);          /* a sentence for a person */
/* true: the figure counts cycles, which only this machine understands. */
static inline bool
counter_is_cycles(enum counter counter)
{
	return counter == COUNTER_BUSY_CYCLES || counter == COUNTER_CORE_BUSY_CYCLES;
}

const char *counter_name(enum counter counter); /* metric name */
const char *counter_text(enum counter counter); /* a sentence for a person */

static inline void
counters_bump(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline void
counter_add(struct counters *counters, enum counter counter, uint64_t n)
{
	counters_bump(&counters->values[counter], n);
}

static inline uint64_t
counter_read(const struct counters *counters, enum counter counter)
{
	return __atomic_load_n(&counters->values[counter], __ATOMIC_RELAXED);
}

static inline uint64_t
drop_read(const struct counters *counters, enum drop drop)
{
	return __atomic_load_n(&counters->drops[drop], __ATOMIC_RELAXED);
}

#endif
