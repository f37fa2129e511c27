/*
 * worker.h - one worker lcore: its port, its mailbox, its poll loop.
 *
 * Threads: worker_create, worker_destroy on the main thread; worker_main on
 *   the worker's lcore; worker_stop from any thread, or a signal handler's flag.
 * Memory: everything is taken at creation.
 */
#ifndef SLIPRINGD_WORKER_H
#define SLIPRINGD_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "io/io.h"
#include "net/net.h"

struct worker_config {
	uint32_t index;
	bool busy;            /* poll without pause; else adaptive: sleep after idle rounds */
	struct net_config net;
};

struct worker {
	/* set once */
	struct worker_config config;
	struct port *port;
	struct mailbox *mailbox;
	/* owner lcore */
	struct net net;
	struct pkt pkts[BURST_MAX];
	struct datagram datagrams[BURST_MAX];
	struct reply replies[BURST_MAX + SPARE_MAX];
	struct pkt spare_pkts[SPARE_MAX];
	struct spares spares;
	uint32_t idle_rounds;
	struct counters counters;
	/* written by the main thread */
	atomic_bool stop;
};

struct worker *worker_create(const struct worker_config *config, struct port *port,
    struct error *error) MUST_USE;
void worker_destroy(struct worker *worker);
int worker_main(void *worker); /* returns 0 after worker_stop */
void worker_stop(struct worker *worker);

#endif
