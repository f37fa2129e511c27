/*
 * worker.h - one worker lcore: its port, its mailbox, its poll loop.
 *
 * Threads: worker_create, worker_destroy on the main thread; worker_main on
 *   the worker's lcore; worker_stop from any thread; counters are read by any.
 * Memory: everything is taken at creation.
 * Invariants: 1. every packet of a round is sent or freed in that round.
 *   2. nothing read under RCU is kept across worker_poll. 3. a mailbox never
 *   overflows: it has room for every slot of every worker.
 */
#ifndef SLIPRINGD_WORKER_H
#define SLIPRINGD_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "io/io.h"
#include "net/net.h"
#include "net/tcp_frame.h"
#include "serve/serve.h"
#include "slipringd/peer_io.h"

/* Who has no CPU of its own runs a round between the worker's: the control core (core_node.h). */
struct worker_guest {
	bool (*round)(void *context);       /* whether there was anything to do; NULL: there is no guest */
	uint32_t (*wait_us)(void *context); /* how long there is nothing to do unless mail comes */
	void *context;
};

enum {
	WORKER_TURNS_MAX = BURST_MAX,   /* connections whose input is looked at in a round */
	WORKER_TCP_FRAMES_MAX = 128,    /* segments sent in a round; what is left goes with the next */
};

enum worker_idle {
	WORKER_BUSY,     /* poll without pause */
	WORKER_ADAPTIVE, /* sleep on port and mailbox after idle rounds */
};

struct worker_config {
	enum worker_idle idle;
	uint32_t idle_polls;    /* empty rounds before an adaptive worker sleeps */
	uint32_t idle_sleep_ms; /* longest sleep */
	struct net_config net;  /* but frags, which the worker creates */
	uint8_t fragment_secret[16];
	struct serve_config serve; /* names the worker: serve.worker of serve.worker_count */
	struct tcp_config tcp;     /* listen_count 0: no TCP */
};

struct worker {
	/* set once */
	struct worker_config config;
	struct port *port;
	struct mailbox *mailbox;
	struct mailbox *mailboxes[DEFERRED_HOMES]; /* of every worker, this one's too; the process's own (local.h); the core's */
	struct peer_io *peer_io; /* NULL: a single node */
	struct frags *frags;
	struct worker_guest guest;
	struct serve *serve;
	struct tcp *tcp;         /* NULL: none is served */
	/* owner lcore */
	uint32_t idle_rounds;
	struct net net;
	struct pkt pkts[BURST_MAX];
	uint32_t stray_count;        /* of pkts, from the first on: frames that other workers handed over */
	uint8_t stray_hops[BURST_MAX];
	struct burst burst;
	struct peer_out peer_out;
	struct turn turns[WORKER_TURNS_MAX];
	struct tcp_frame tcp_frames[WORKER_TCP_FRAMES_MAX];
	struct counters *counters;
	/* written by the main thread */
	atomic_bool stop;
};

/* counters: of all workers, indexed; the worker writes its own. */
struct worker *worker_create(const struct worker_config *config, struct port *port,
    struct counters *counters, struct error *error) MUST_USE ON_MAIN;
/* Tells a worker where to mail; before worker_main starts on any. */
void worker_connect(struct worker *worker, struct worker *const *workers, uint32_t count);
/* Where slots of DEFERRED_HOME_LOCAL go home; before worker_main starts. */
void worker_connect_local(struct worker *worker, struct mailbox *local);
/* A node of a cluster: where packets and slots for other nodes go; before worker_main starts. */
void worker_connect_core(struct worker *worker, struct peer_io *io, struct mailbox *slots);
/* Before worker_main starts. */
void worker_connect_guest(struct worker *worker, const struct worker_guest *guest);
void worker_destroy(struct worker *worker) ON_MAIN;
int worker_main(void *worker); /* returns 0 after worker_stop */
void worker_stop(struct worker *worker);

#endif
