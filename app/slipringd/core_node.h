/*
 * core_node.h - how the node starts and stops its control core.
 *
 * Threads: main thread. Memory: core_create takes all.
 */
#ifndef SLIPRINGD_CORE_NODE_H
#define SLIPRINGD_CORE_NODE_H

#include "net/neighbour.h"
#include "serve/serve.h"
#include "slipringd/core.h"
#include "slipringd/peer_io.h"
#include "slipringd/resolver.h"

struct core_config {
	struct cluster_config cluster; /* boot is drawn by the node */
	struct neighbour_config net;   /* mac is set by the node */
	char seed_hosts[RESOLVER_NAMES_MAX][VALUE_ITEM_SIZE]; /* names of cluster.seeds; "": given by address */
	uint16_t port;                 /* UDP port of the peers */
	uint16_t resp_port;            /* told to Redis clients for every node; 0: RESP is not served */
	char floor_file[224];          /* where the epoch floor is kept */
	bool on_worker;                /* no thread: worker 0 runs core_round between its own */
};

/* published: where workers look for the table in force. counters: the core's own. */
struct core *core_create(const struct core_config *config, struct peer_io *io,
    const struct serve_ring *_Atomic *published, struct counters *counters, struct error *error) MUST_USE ON_MAIN;
enum status core_start(struct core *core, struct error *error) MUST_USE ON_MAIN;
/* on_worker: a round, and for how long there is nothing to do unless mail comes. On worker 0's lcore, from its start on. */
bool core_round(void *core);
uint32_t core_wait_us(void *core);
/* Where workers mail slots that another node is to answer (base/deferred.h). */
struct mailbox *core_slots(struct core *core);
/* Where slots go from the core: to each worker, to the control plane. Before core_start. */
void core_connect(struct core *core, struct mailbox *const mailboxes[DEFERRED_HOMES]) ON_MAIN;
/* Tells the others that this node leaves, and waits until they know: at most cluster.leave_ns and a second. */
void core_leave(struct core *core) ON_MAIN;
void core_stop(struct core *core) ON_MAIN; /* ends the thread; rounds do nothing from now on */
/* The workers have stopped. NULL is nothing. */
void core_destroy(struct core *core) ON_MAIN;

/* Any thread. */
enum core_phase core_phase(const struct core *core);

#endif
