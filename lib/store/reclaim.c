/*
 * reclaim.c - the only file of the store that knows liburcu.
 *
 * How: `begun` counts grace periods begun, `completed` those over. What was
 * unlinked before reading begun == n may still be seen by readers that period n
 * does not wait for, so it is free once period n + 1 is over: completed > n.
 * The fences make either the owner see n + 1 already counted, or the unlink
 * visible before period n + 1 begins.
 */
#include "store/reclaim.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <urcu-qsbr.h>

#include "base/race.h"

enum { PAUSE_NS = 200 * 1000 }; /* between grace periods, so that batches gather */

static struct {
	pthread_t thread;
	atomic_bool stop;
	_Atomic uint64_t begun, completed, wanted; /* wanted: highest stamp given, plus 1 */
	_Atomic uint32_t asleep;                   /* futex: 1 while the thread waits for work */
} grace;

static bool
nothing_to_do(void)
{
	return atomic_load(&grace.wanted) <= atomic_load(&grace.completed) && !atomic_load(&grace.stop);
}

static void
sleep_until_wanted(void)
{
	atomic_store(&grace.asleep, 1);
	/* The producer's order is: wanted, then asleep; ours the reverse. */
	while (nothing_to_do() && atomic_load(&grace.asleep))
		syscall(SYS_futex, &grace.asleep, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
	atomic_store(&grace.asleep, 0);
}

static void
wake(void)
{
	if (atomic_load(&grace.asleep) && atomic_exchange(&grace.asleep, 0))
		syscall(SYS_futex, &grace.asleep, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *
grace_main(void *unused)
{
	const struct timespec pause = { 0, PAUSE_NS };

	(void)unused;
	pthread_setname_np(pthread_self(), "grace");
	while (!atomic_load(&grace.stop)) {
		sleep_until_wanted();
		while (!atomic_load(&grace.stop) && !nothing_to_do()) {
			uint64_t period = atomic_fetch_add(&grace.begun, 1) + 1;

			synchronize_rcu();
			RACE_ACQUIRE(&grace);
			atomic_store(&grace.completed, period);
			nanosleep(&pause, NULL);
		}
	}
	return NULL;
}

enum status
reclaim_start(struct error *error)
{
	int failed;

	atomic_store(&grace.stop, false);
	failed = pthread_create(&grace.thread, NULL, grace_main, NULL);
	if (failed)
		return error_set(error, STATUS_UNAVAILABLE, "store: cannot start the grace thread: %s",
		    strerror(failed));
	return STATUS_OK;
}

void
reclaim_stop(void)
{
	atomic_store(&grace.stop, true);
	wake();
	pthread_join(grace.thread, NULL);
}

void
reclaim_register(void)
{
	rcu_register_thread();
}

void
reclaim_unregister(void)
{
	RACE_RELEASE(&grace); /* what this reader did comes before the end of the period */
	rcu_unregister_thread();
}

void
reclaim_quiescent(void)
{
	RACE_RELEASE(&grace); /* what this reader did comes before the end of the period */
	rcu_quiescent_state();
}

void
reclaim_offline(void)
{
	RACE_RELEASE(&grace); /* what this reader did comes before the end of the period */
	rcu_thread_offline();
}

void
reclaim_online(void)
{
	rcu_thread_online();
}

uint64_t
reclaim_stamp(void)
{
	uint64_t stamp, seen;

	atomic_thread_fence(memory_order_seq_cst);
	stamp = atomic_load(&grace.begun);
	seen = atomic_load(&grace.wanted);
	while (seen < stamp + 1 && !atomic_compare_exchange_weak(&grace.wanted, &seen, stamp + 1))
		;
	wake();
	return stamp;
}

uint64_t
reclaim_completed(void)
{
	return atomic_load(&grace.completed);
}
