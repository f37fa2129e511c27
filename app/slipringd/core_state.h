/*
 * core_state.h - what the files of the control core share; nobody else includes this.
 *
 * Parts: core.c (thread and loop), core_net.c (packets in and out, neighbours), core_ring.c
 *   (tables for the workers), core_view.c (what other threads see), floor.c (the epoch on disk).
 * Threads: the core's own, but for what core_view.c guards with `mutex` and the atomics.
 */
#ifndef SLIPRINGD_CORE_STATE_H
#define SLIPRINGD_CORE_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "net/neighbour.h"
#include "serve/serve.h"
#include "slipringd/calls.h"
#include "slipringd/core.h"
#include "slipringd/core_node.h"

enum {
	CORE_RINGS = 4,    /* tables: the one in force, and what readers may still hold */
	CORE_NEWS_MAX = 256, /* events that wait for the mutex */
	CORE_BURST = 32,
};

struct core_table {
	struct serve_ring *ring;
	bool used;
	uint64_t stamp; /* used and not in force: free once reclaim_completed() > stamp */
};

/* What other threads see; all but `waiting` under the mutex. */
struct core_window {
	pthread_mutex_t mutex;
	struct core_view view;
	const struct serve_ring *ring; /* NULL: none yet */
	struct core_event events[CORE_EVENTS];
	uint64_t sequence; /* of the last event */
	struct core_command commands[CORE_COMMANDS];
	uint32_t command_count;
	_Atomic uint32_t waiting; /* commands: looked at without the mutex */
};

struct core {
	/* set once */
	struct core_config config;
	struct peer_io *io;
	struct mailbox *slots; /* deferred slots for other nodes, and those of the core that come home */
	const struct serve_ring *_Atomic *published;
	struct counters *counters;
	pthread_t thread; /* but on_worker */
	bool started;
	/* the core's */
	struct cluster cluster;
	struct cluster_actions actions;
	struct now now;
	struct neighbours neighbours;
	struct calls *calls;
	struct resolver *resolver;  /* main's; NULL: no seed was given by name */
	struct core_table tables[CORE_RINGS];
	int32_t in_force;      /* position in tables; -1: none */
	void *scratch;         /* of ring_build() */
	bool ring_dirty, view_dirty;
	uint64_t lives_digest; /* of the members whose lives the workers know */
	bool over;             /* refused or left: the cluster is not stepped any more */
	uint64_t view_ns;      /* next refresh */
	uint64_t told_ns;      /* joining: when the log is told so; 0: not yet set */
	uint64_t floor;        /* on disk */
	struct core_event news[CORE_NEWS_MAX];
	uint32_t news_count;
	struct core_window window;
	/* shared */
	_Atomic uint32_t phase; /* enum core_phase */
	_Atomic uint32_t absent; /* bit i: no live member is at seed i's address */
	atomic_bool stop;
};

/* core.c: one event into the cluster, and what comes out on its way. */
void core_step(struct core *core, const struct cluster_event *event) ON_CORE;
/* core.c: what the step that has just been made brought. */
void core_outcome(struct core *core) ON_CORE;

/* core_net.c */
/* Packets of peers and ARP news that wait; whether there were any. */
bool core_net_receive(struct core *core) ON_CORE;
/* What a step wants sent. */
void core_net_send(struct core *core, const struct cluster_action *action) ON_CORE;
void core_net_tick(struct core *core) ON_CORE;
/* Tells the workers whose packets are known. */
void core_net_lives(struct core *core) ON_CORE;

/* core_ring.c */
bool core_ring_init(struct core *core);
void core_ring_deinit(struct core *core);
/* Publishes a table when what it says has changed. */
void core_ring_tick(struct core *core) ON_CORE;

/* core_view.c */
void core_view_init(struct core *core);
void core_view_deinit(struct core *core);
/* Takes in something to be told: an event, and a log line. */
void core_view_news(struct core *core, const struct cluster_action *action) ON_CORE;
void core_view_epoch(struct core *core) ON_CORE;
/* Shows other threads how things are, when it is time or something happened; never waits. */
void core_view_tick(struct core *core) ON_CORE;
/* The next command that somebody gave; false: none. */
bool core_view_command(struct core *core, struct core_command *command) ON_CORE;

#endif
