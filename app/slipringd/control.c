#include "control.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "notify.h"
#include "watchdog.h"

enum { STATUS_FORCED = 130, PATIENCE_MS = 1000 };

static struct timespec asked; /* when the first signal came; set before the handler is */

static void
stop_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
}

void
control_block_signals(void)
{
	sigset_t set;

	stop_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN); /* a reader of our log or socket may leave */
}

/* timeout(1) and shells signal a process and then its group: at once, that is one wish, not two. */
static void
force(int number)
{
	struct timespec now;

	(void)number;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if ((now.tv_sec - asked.tv_sec) * 1000 + (now.tv_nsec - asked.tv_nsec) / 1000000 >= PATIENCE_MS)
		_exit(STATUS_FORCED);
}

/* From here on a signal is impatience. */
static void
arm_force(const sigset_t *set)
{
	struct sigaction action = { .sa_handler = force, .sa_flags = SA_RESTART };

	clock_gettime(CLOCK_MONOTONIC, &asked);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	pthread_sigmask(SIG_UNBLOCK, set, NULL);
}

static void
watch(struct watchdog *watchdog, const struct node *node, _Atomic uint32_t *published)
{
	static struct log_limit limit = LOG_LIMIT(10000);
	uint64_t polls[WORKER_MAX];

	for (uint32_t i = 0; i < watchdog->worker_count; i++)
		polls[i] = counter_read(node_counters(node, i), COUNTER_POLLS);
	uint32_t stalled = watchdog_step(watchdog, polls);
	atomic_store_explicit(published, stalled, memory_order_relaxed);
	if (!stalled) {
		notify_send("WATCHDOG=1");
		return;
	}
	log_limited(&limit, LOG_LEVEL_ERROR, "worker %d has not polled for %d ms", __builtin_ctz(stalled),
	    WATCHDOG_STEP_MS);
	notify_send("STATUS=worker %d has stalled", __builtin_ctz(stalled));
}

int
control_run(const struct node *node, _Atomic uint32_t *stalled)
{
	const struct timespec step = { WATCHDOG_STEP_MS / 1000, WATCHDOG_STEP_MS % 1000 * 1000000l };
	struct watchdog watchdog;
	sigset_t set;
	int number;

	stop_signals(&set);
	watchdog_init(&watchdog, node_config(node)->io.worker_count);
	do {
		number = sigtimedwait(&set, NULL, &step);
		if (number < 0 && errno == EAGAIN) {
			watch(&watchdog, node, stalled);
			store_trim(node_store(node));
		}
		if (node_core(node) && core_phase(node_core(node)) == CORE_REFUSED)
			return 0;
	} while (number < 0);
	arm_force(&set);
	log_info("stopping: %s", strsignal(number));
	notify_send("STOPPING=1");
	return number;
}
