/*
 * sim.h - a cluster in one process: network, clocks and crashes made from one seed.
 *
 * Purpose: runs N real cluster cores under simulated time. The same seed gives the same
 *   run to the bit: trace is a hash of every packet delivered and all news. Faults
 *   (swarm.c, scenario.c) set what stands here; checkers (checker.c) only look.
 * Threads: none. Memory: grows with packets in flight; ends with sim_close().
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/prng.h"
#include "cluster/cluster.h"

enum { SIM_NODES_MAX = 1024, SIM_NOBODY = SIM_NODES_MAX, SIM_TEXT_MAX = 400 };

struct sim_network {
	double loss, duplicate, corrupt, replay; /* chances a packet */
	uint64_t delay_min_ns, delay_max_ns;
};

struct sim_node {
	struct cluster cluster;
	struct cluster_config config;
	uint64_t id;        /* ring_member_id() of config.id */
	bool made;          /* cluster_init() was called and cluster_deinit() not */
	bool up, paused;
	bool duplicate;     /* was told that another process uses its id */
	bool leaving, removed; /* told to leave or drain; has left */
	uint64_t leave_boot; /* the last life that was told so */
	uint64_t started_ns;/* simulated time of this life's start */
	uint64_t anchor_ns; /* simulated time at which its clock showed mono_base */
	uint64_t mono_base, wall_offset_ms;
	uint32_t rate;      /* clock ticks in thousandths of true time */
	uint64_t timer_ns;  /* simulated time of its next timer in the queue */
	uint64_t clog_from_ns, clog_until_ns; /* what is sent to it or by it then arrives afterwards */
	uint64_t starved_until_ns; /* until then it lacks buffers: few packets leave a step, half of what arrives is lost */
	uint64_t disturbed_ns; /* last time a fault touched it or its links */
	uint64_t epoch;     /* in force at its last step in this life */
	uint64_t floor;     /* cluster_epoch_floor(), kept over restarts, unless a fault takes it away */
	uint32_t lives;
	uint64_t probed;    /* answers to probes that it told of */
	struct sim_packet *held; /* arrived while paused, oldest first */
	struct sim_packet **held_end;
};

/* Of one node about another, or from one to another. */
struct sim_pair {
	bool cut;            /* nothing gets through */
	uint64_t clogged_ns; /* packets wait until then */
	/* for checkers */
	uint64_t dead_at;    /* holds it for Dead since then; 0: does not */
	uint64_t saw_suspected, saw_dead; /* first time ever */
	struct { uint64_t boot; uint32_t incarnation; uint8_t state; } seen; /* what it believed last */
	struct { uint64_t boot; uint32_t incarnation; } accused; /* what it last suspected of its own */
};

struct sim_packet {
	struct sim_packet *next;
	uint64_t number;    /* copies of one packet share it */
	uint64_t sent_ns;
	uint16_t from, to, len;
	bool corrupted;
	uint8_t bytes[UDP_PAYLOAD_MAX];
};

struct sim_event {
	uint64_t at_ns, order;
	struct sim_packet *packet; /* NULL: a timer */
	uint16_t node;
};

struct sim_epoch {
	uint64_t epoch, digest, first_ns;
	struct ring_topology *ring;
	uint64_t *boots; /* by position in the ring */
};

/* One life of a member at one incarnation was suspected by a node of its own, or (SIM_NOBODY) declared Dead. */
struct sim_claim {
	uint64_t boot;
	uint32_t incarnation;
	uint16_t by, about;
};

/* A table that somebody proposed, and the epoch it was to follow. */
struct sim_proposal {
	uint64_t digest, base;
};

/* A vote of one life. */
struct sim_vote {
	uint64_t epoch, digest, boot, base_digest;
	uint16_t node;
};

struct stack; /* stack.h */

struct sim {
	struct stack *stack; /* NULL: nodes are cluster cores and nothing else */
	uint64_t seed, now_ns, trace, order, packet_number, delivered, steps;
	struct prng prng;
	struct sim_network network;
	bool verbose;
	bool light;          /* checkers only count: for clusters too large to be compared at every step */
	uint16_t node_count;
	struct sim_node *nodes;
	struct sim_pair *pairs; /* sim_pair() */
	uint16_t *by_id;     /* open hash of nodes, by id; node + 1 */
	uint32_t by_id_mask;
	struct sim_event *heap;
	size_t heap_count, heap_size;
	struct cluster_actions actions;
	struct sim_packet *free_packets;
	struct sim_packet captured[64]; /* an attacker's: sent again later, whole */
	/* Gets what is sent to sim_address(SIM_NOBODY); may be NULL. */
	void (*stranger)(struct sim *sim, uint16_t from, const uint8_t *bytes, uint16_t len);
	/* for checkers */
	char failure[SIM_TEXT_MAX]; /* empty: none */
	struct sim_epoch *epochs;
	size_t epoch_count, epoch_size;
	struct sim_proposal *proposals; /* all that were drawn up */
	size_t proposal_count, proposal_size;
	struct sim_claim *claims;
	size_t claim_count, claim_size;
	struct sim_vote *votes; /* all that were given */
	size_t vote_count, vote_size;
	uint64_t index_owner[RING_MEMBERS_MAX];
	uint64_t *taken;    /* numbers of the packets that lives took, by hash */
	uint64_t false_dead, suspected_count;
};

static inline struct sim_pair *
sim_pair(const struct sim *sim, uint16_t from, uint16_t to)
{
	return &sim->pairs[(size_t)from * sim->node_count + to];
}

/* A cluster of node_count nodes that are down; config is their common part. */
void sim_open(struct sim *sim, uint64_t seed, uint16_t node_count, const struct cluster_config *config);
void sim_close(struct sim *sim);

void sim_start(struct sim *sim, uint16_t node);
void sim_crash(struct sim *sim, uint16_t node);
void sim_pause(struct sim *sim, uint16_t node);
void sim_resume(struct sim *sim, uint16_t node);
void sim_command(struct sim *sim, uint16_t node, enum cluster_event_kind kind);

/* The node is to ping another one. */
void sim_probe(struct sim *sim, uint16_t node, uint16_t about);

/* From now on its clock ticks in thousandths of true time. */
void sim_rate(struct sim *sim, uint16_t node, uint32_t rate);

/* stack_issue() is called then. */
void sim_call(struct sim *sim, uint64_t at_ns);

/* A packet from an address where no node is. */
void sim_stranger_send(struct sim *sim, uint16_t to, const uint8_t *bytes, uint16_t len);

/* Notes that a fault touches a node now. */
void sim_disturb(struct sim *sim, uint16_t node);

/* Runs until a simulated time, or a failure. */
void sim_run(struct sim *sim, uint64_t until_ns);

struct now sim_now(const struct sim *sim, uint16_t node);
struct peer_address sim_address(uint16_t node);

static inline uint64_t
sim_id(const struct sim *sim, uint16_t node)
{
	return sim->nodes[node].id;
}

/* The node with an id, or SIM_NOBODY. */
uint16_t sim_find(const struct sim *sim, uint64_t id);

/* First failure wins. */
void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* checker.c: looks at each action, and at all of it. */
void checker_action(struct sim *sim, uint16_t node, const struct cluster_action *action);
void checker_packet(struct sim *sim, uint16_t node, const struct sim_packet *packet, bool taken);
void checker_step(struct sim *sim, uint16_t node);
/* Why the views do not agree yet, or NULL. */
const char *checker_disagreement(struct sim *sim);
/* Nothing may move for a while; call when all agree. */
void checker_quiet(struct sim *sim, uint64_t ns);

/* swarm.c */
void swarm_config(struct cluster_config *config);
/* One run drawn from its seed; true when no checker objected. */
bool swarm_run(struct sim *sim, uint64_t seed, uint32_t mutation, bool verbose);
/* The same with stores on top, and operations all the while. */
bool swarm_traffic(struct sim *sim, uint64_t seed, uint32_t mutation, bool verbose);

/* scenario.c: the measured promises; number that failed. */
int scenarios_run(uint64_t seed, bool quick);
/* scale.c: figures of clusters of up to `largest` nodes, a line of JSON each. */
int scale_run(uint64_t seed, uint16_t largest);
/* drill.c: single faults with a known outcome; the first failure's text. */
bool drills_run(uint64_t seed, uint32_t mutation, char *failure, size_t size);

#endif
