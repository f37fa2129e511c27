/*
 * lane.h - what two threads of a race test talk through: a ring, and a bell for sleepers.
 *
 * Purpose: the same protocol as lib/io's mailboxes in plain C11 atomics, which the
 *   thread sanitizer sees: a sleeper sets its flag, looks at every ring again, then
 *   polls; a producer enqueues, reads the flag, rings. All four are sequentially
 *   consistent operations (the sanitizer does not model fences), so one of the two
 *   sees the other.
 * Threads: one producer and one consumer a lane; one sleeper and any ringers a bell.
 */
#ifndef TESTS_LANE_H
#define TESTS_LANE_H

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"

enum { LANE_SIZE = 2048 };

struct lane {
	_Alignas(64) _Atomic uint32_t head; /* next to take */
	_Alignas(64) _Atomic uint32_t tail; /* next to put */
	void *mails[LANE_SIZE];
};

static inline bool
lane_put(struct lane *lane, void *mail)
{
	uint32_t tail = atomic_load_explicit(&lane->tail, memory_order_relaxed);

	if (tail - atomic_load_explicit(&lane->head, memory_order_acquire) == LANE_SIZE)
		return false;
	lane->mails[tail % LANE_SIZE] = mail;
	atomic_store(&lane->tail, tail + 1);
	return true;
}

static inline void *
lane_take(struct lane *lane)
{
	uint32_t head = atomic_load_explicit(&lane->head, memory_order_relaxed);
	void *mail;

	if (atomic_load(&lane->tail) == head)
		return NULL;
	mail = lane->mails[head % LANE_SIZE];
	atomic_store_explicit(&lane->head, head + 1, memory_order_release);
	return mail;
}

static inline bool
lane_is_empty(struct lane *lane)
{
	return atomic_load(&lane->tail) == atomic_load_explicit(&lane->head, memory_order_relaxed);
}

struct bell {
	atomic_bool sleeping;
	int fd;
};

static inline void
bell_init(struct bell *bell)
{
	atomic_init(&bell->sleeping, false);
	bell->fd = eventfd(0, EFD_NONBLOCK);
	CHECK(bell->fd >= 0);
}

static inline void
bell_ring(struct bell *bell)
{
	uint64_t one = 1;

	if (atomic_load(&bell->sleeping))
		CHECK(write(bell->fd, &one, sizeof one) == sizeof one);
}

/* Sleeps unless awake() finds work after the flag is up. False: nobody rang in timeout_ms. */
static inline bool
bell_sleep(struct bell *bell, bool (*awake)(void *), void *argument, int timeout_ms)
{
	struct pollfd fd = { .fd = bell->fd, .events = POLLIN };
	uint64_t rung;
	int n = 1;

	atomic_store(&bell->sleeping, true);
	if (!awake(argument))
		n = poll(&fd, 1, timeout_ms);
	atomic_store(&bell->sleeping, false);
	if (read(bell->fd, &rung, sizeof rung) < 0)
		rung = 0;
	return n > 0;
}

#endif
