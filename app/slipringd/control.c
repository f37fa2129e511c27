#include "control.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>

#include "hearing.h"
#include "log.h"
#include "nic.h"
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
	sigaddset(&set, SIGHUP);
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

/* What came to a worker's port, by the driver and, for an interface that it has to itself, by the kernel. */
static uint64_t
offered(const struct node *node, uint32_t worker)
{
	const struct io_config *io = &node_config(node)->io;
	bool kernels = strcmp(io->profile.driver, "net_af_xdp") == 0 || strcmp(io->profile.driver, "net_af_packet") == 0;
	struct port_info info;

	for (uint32_t i = 0; i < io->worker_count; i++)
		kernels &= i == worker || strcmp(io->interfaces[i], io->interfaces[worker]) != 0;
	node_port_info(node, worker, &info);
	return info.rx_missed + info.rx_nombuf + (kernels ? nic_received(io->interfaces[worker]) : 0);
}

static uint32_t
find_stalled(struct watchdog *watchdog, const struct node *node)
{
	static struct log_limit limit = LOG_LIMIT(10000);
	uint64_t polls[WORKER_MAX];

	for (uint32_t i = 0; i < watchdog->worker_count; i++)
		polls[i] = counter_read(node_counters(node, i), COUNTER_POLLS);
	uint32_t stalled = watchdog_step(watchdog, polls);
	if (stalled) {
		log_limited(&limit, LOG_LEVEL_ERROR, "worker %d has not polled for %d ms", __builtin_ctz(stalled),
		    WATCHDOG_STEP_MS);
		notify_send("STATUS=worker %d has stalled", __builtin_ctz(stalled));
	}
	return stalled;
}

static uint32_t
find_deaf(struct hearing *hearing, const struct node *node)
{
	static struct log_limit limit = LOG_LIMIT(10000);
	struct hearing_figures figures[WORKER_MAX];

	for (uint32_t i = 0; i < hearing->worker_count; i++) {
		figures[i].offered = offered(node, i);
		figures[i].heard = counter_read(node_counters(node, i), COUNTER_RX_FRAMES);
	}
	uint32_t deaf = hearing_step(hearing, figures);
	if (deaf) {
		log_limited(&limit, LOG_LEVEL_ERROR, "worker %d does not receive what comes to its port %s: is its XDP program "
		    "still attached (ip link show)?", __builtin_ctz(deaf),
		    node_config(node)->io.interfaces[__builtin_ctz(deaf)]);
		notify_send("STATUS=worker %d is deaf", __builtin_ctz(deaf));
	}
	return deaf;
}

/* RFC 4862 5.4.5: an operator has to know. */
static void
tell_duplicates(const struct node *node, uint32_t *told)
{
	uint32_t found = node_duplicates(node), fresh = found & ~*told;
	char address[INET6_ADDRSTRLEN];

	for (; fresh; fresh &= fresh - 1) {
		inet_ntop(AF_INET6, node_config(node)->ipv6[__builtin_ctz(fresh)], address, sizeof address);
		log_error("address %s belongs to another host of this network; this node does not use it", address);
	}
	*told = found;
}

static void
watch(struct watchdog *watchdog, struct hearing *hearing, const struct control *control)
{
	uint32_t stalled = find_stalled(watchdog, control->node), deaf = find_deaf(hearing, control->node);

	atomic_store_explicit(&control->faults->stalled, stalled, memory_order_relaxed);
	atomic_store_explicit(&control->faults->deaf, deaf, memory_order_relaxed);
	if (!stalled && !deaf)
		notify_send("WATCHDOG=1");
}

int
control_run(const struct control *control)
{
	const struct timespec step = { WATCHDOG_STEP_MS / 1000, WATCHDOG_STEP_MS % 1000 * 1000000l };
	const struct node *node = control->node;
	struct watchdog watchdog;
	struct hearing hearing;
	uint32_t duplicates = 0;
	sigset_t set;
	int number;

	stop_signals(&set);
	sigaddset(&set, SIGHUP);
	watchdog_init(&watchdog, node_config(node)->io.worker_count);
	hearing_init(&hearing, node_config(node)->io.worker_count);
	do {
		number = sigtimedwait(&set, NULL, &step);
		if (number == SIGHUP) {
			control->reload(control->context);
		} else if (number < 0 && errno == EAGAIN) {
			watch(&watchdog, &hearing, control);
			tell_duplicates(node, &duplicates);
			store_trim(node_store(node));
		}
		if (node_core(node) && core_phase(node_core(node)) == CORE_REFUSED)
			return 0;
	} while (number < 0 || number == SIGHUP);
	sigdelset(&set, SIGHUP);
	arm_force(&set);
	log_info("stopping: %s", strsignal(number));
	notify_send("STOPPING=1");
	return number;
}
