/*
 * core.h - the control core: who speaks to the other nodes.
 *
 * Purpose: runs lib/cluster on the packets that workers mail to it and on time, sends what
 *   comes out through worker 0, and publishes each topology to the workers (serve_ring).
 * Threads: created and destroyed on the main thread; the core has a thread of its own, or worker 0
 *   runs its rounds where both would share a CPU: "the core's thread" is the one that does. The
 *   functions that look in are for any thread: they copy under a mutex that the core only
 *   tries to take, so that it waits for nobody.
 * Memory: all taken at creation but for the published rings, two or three of 240 KiB.
 * Invariants: 1. only the core's thread touches the cluster, the neighbours and the calls.
 *   2. a ring that workers may see is freed only after a grace period. 3. an epoch is on
 *   disk before a packet of the step that raised the floor leaves.
 * Bounds: CORE_EVENTS events are kept; CORE_COMMANDS commands wait.
 */
#ifndef SLIPRINGD_CORE_H
#define SLIPRINGD_CORE_H

#include "cluster/cluster.h"

enum { CORE_EVENTS = 1024, CORE_COMMANDS = 16 };

enum core_phase { CORE_JOINING = 0, CORE_MEMBER, CORE_DRAINING, CORE_LEAVING, CORE_LEFT, CORE_REFUSED };

struct core; /* NULL when cluster.enabled is off */

/* Refreshed at least every 100 ms, and at once on news. */
struct core_view {
	struct cluster_view cluster;
	struct cluster_counters counters;
	enum core_phase phase;
	uint64_t mono_ns; /* when it was taken */
};

/* Something that happened in the cluster, as this node saw it. */
struct core_event {
	uint64_t sequence; /* from 1 */
	uint64_t wall_ms;
	enum cluster_news news; /* 0: a new epoch */
	char id[PEER_ID_MAX + 1];
	uint8_t state, state_before; /* enum peer_state */
	uint32_t incarnation;
	uint64_t epoch, ns;
	struct peer_address address; /* of the member; DUPLICATE, REFUSED: of the other process */
};

struct core_command {
	enum cluster_event_kind kind; /* CLUSTER_JOIN, CLUSTER_LEAVE, CLUSTER_DRAIN, CLUSTER_PROBE, CLUSTER_SEED */
	struct peer_address address;  /* JOIN, SEED */
	uint64_t id;                  /* PROBE: ring_member_id(); SEED: its position */
};

void core_view(struct core *core, struct core_view *view);
/* False: no topology yet. */
bool core_ring(struct core *core, struct ring_snapshot *snapshot);
/* Events after *sequence (0: the oldest kept), at most n; *sequence moves on to the last one told. */
uint32_t core_events(struct core *core, uint64_t *sequence, struct core_event *events, uint32_t n);
/* False: busy. What became of it is seen in view and events. */
bool core_command(struct core *core, const struct core_command *command);
const char *core_phase_name(enum core_phase phase);

#endif
