#include "slipringd/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

enum {
	IDLE_ROUNDS_MAX = 10000, /* empty polls before sleeping: about 1 % of a core when idle (platform figures) */
	SLEEP_MS = 10,
	MAILBOX_SIZE = 4096,
};

/* One round: each stage takes the whole burst. Returns whether there was work. */
static bool
worker_poll(struct worker *w)
{
	uint32_t frames = port_rx(w->port, w->pkts, BURST_MAX, &w->counters);
	uint32_t datagrams = net_input(&w->net, w->pkts, frames, w->datagrams);
	uint32_t replies = net_echo(w->datagrams, datagrams, w->replies);

	net_output(&w->net, w->replies, replies);
	port_tx(w->port, w->pkts, frames, &w->counters);
	return frames > 0;
}

static void
idle(struct worker *w)
{
	if (w->config.busy || ++w->idle_rounds < IDLE_ROUNDS_MAX)
		return;
	w->idle_rounds = 0;
	counter_add(&w->counters, COUNTER_SLEEPS, 1);
	io_wait(w->port, w->mailbox, SLEEP_MS);
}

int
worker_main(void *argument)
{
	struct worker *w = argument;

	prctl(PR_SET_TIMERSLACK, 1); /* the default of 50 us would be added to every sleep */
	while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		uint64_t start = io_cycles();

		counter_add(&w->counters, COUNTER_POLLS, 1);
		if (worker_poll(w)) {
			w->idle_rounds = 0;
			counter_add(&w->counters, COUNTER_POLLS_BUSY, 1);
			counter_add(&w->counters, COUNTER_BUSY_CYCLES, io_cycles() - start);
		} else {
			idle(w);
		}
	}
	return 0;
}

struct worker *
worker_create(const struct worker_config *config, struct port *port, struct error *error)
{
	struct worker *w = aligned_alloc(64, (sizeof *w + 63) / 64 * 64);
	char name[32];

	if (!w) {
		error_set(error, STATUS_NO_MEMORY, "no memory for worker %u", config->index);
		return NULL;
	}
	memset(w, 0, sizeof *w);
	w->config = *config;
	w->port = port;
	w->spares.pkts = w->spare_pkts;
	net_init(&w->net, &config->net, &w->counters);
	snprintf(name, sizeof name, "mailbox%u", config->index);
	w->mailbox = mailbox_create(name, MAILBOX_SIZE, error);
	if (!w->mailbox) {
		free(w);
		return NULL;
	}
	return w;
}

void
worker_destroy(struct worker *w)
{
	mailbox_destroy(w->mailbox);
	free(w);
}

void
worker_stop(struct worker *w)
{
	atomic_store_explicit(&w->stop, true, memory_order_relaxed);
	mailbox_kick(w->mailbox);
}
