/*
 * cluster.h - membership of a cluster and its numbered topology, as one state machine.
 *
 * Purpose: time, packets and commands come in; packets to send, news of members and new
 *   topologies come out. No clock, no socket, no thread: the caller has them. So the same
 *   code runs in a daemon and, many nodes in one process, in a simulator.
 * Parts: member (what is believed), gossip (how it spreads), probe and phi (who is silent),
 *   join (who may enter), authority (which topology is in force), envelope (what is genuine),
 *   link (messages of the caller between members).
 * Threads: none of its own; one caller at a time.
 * Memory: cluster_init() allocates for members_max and link_bytes; nothing grows after.
 * Time: only now.mono_ns is looked at; a wall clock may say what it likes.
 * Invariants: those of the parts; cluster_check() asserts them all. 1. this node is a member of
 *   its own table. 2. the epoch never falls.
 * Bounds: CLUSTER_MEMBERS_MAX members, CLUSTER_ACTIONS_MAX actions and CLUSTER_PACKETS_MAX
 *   packets a step; what does not fit is counted in `cut` and said again later.
 */
#ifndef CLUSTER_CLUSTER_H
#define CLUSTER_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/now.h"
#include "base/prng.h"
#include "cluster/authority.h"
#include "cluster/envelope.h"
#include "cluster/link.h"
#include "cluster/member.h"
#include "cluster/phi.h"
#include "proto/peer.h"
#include "ring/table.h"

enum {
	CLUSTER_MEMBERS_MAX = RING_MEMBERS_MAX,
	CLUSTER_SEEDS_MAX = 16,
	CLUSTER_ACTIONS_MAX = 256,
	CLUSTER_PACKETS_MAX = 64, /* a step */
	CLUSTER_HEALTH_MAX = 8,
	CLUSTER_MESSAGE_MAX = LINK_MESSAGE_MAX,
};

struct cluster_config {
	char id[PEER_ID_MAX + 1];
	uint64_t boot;             /* nonce of this life: random, never 0, never used before */
	struct peer_address address, api; /* where packets reach this node; where clients do */
	struct peer_address seeds[CLUSTER_SEEDS_MAX];
	uint8_t seed_count;
	uint8_t replication;       /* owners wanted a slot */
	uint16_t weight;           /* virtual_nodes */
	uint8_t workers;           /* native ports from api.port on */
	uint32_t rack;
	uint16_t members_max;
	uint16_t watchers_max;     /* how many watch one node; all do in clusters up to one more than this */
	bool dead_node_removal_enabled; /* false: monitor only */
	double phi_threshold;
	uint64_t heartbeat_ns;     /* between heartbeats */
	uint64_t gossip_ns;        /* between comparisons of tables */
	uint64_t join_ns;          /* between greetings of the seeds while joining */
	uint64_t reconnect_ns;     /* between attempts to reach dead members and absent seeds */
	uint64_t suspicion_min_ns, suspicion_max_ns; /* Suspected for so long: Dead; min when others agree */
	uint64_t pause_ns;         /* called so much too late: the process was stopped */
	uint64_t dead_delay_ns;    /* Dead for so long: its slots move */
	uint64_t tombstone_ns;     /* Dead and Left are remembered so long */
	uint64_t settle_ns, found_delay_ns; /* authority.h */
	uint64_t leave_ns;         /* a leaving node waits so long for an epoch without it */
	uint64_t epoch_floor;
	uint8_t keys[ENVELOPE_KEYS_MAX][AEAD_CLUSTER_KEY_LEN];
	uint8_t key_count;
	uint8_t algorithm;         /* enum aead_algorithm; AEAD_NONE: the best */
	bool insecure;             /* clear text */
	char name[ENVELOPE_NAME_MAX + 1]; /* of the cluster */
	uint64_t link_bytes;       /* memory of messages on their way, and as much of those that arrive in pieces */
	uint32_t mutation;         /* mutation.h */
};

enum cluster_event_kind {
	CLUSTER_TICK = 0, /* the deadline passed (or nothing happened) */
	CLUSTER_PACKET,   /* from, data, len; data is decrypted in place */
	CLUSTER_JOIN,     /* from: address of a node to join by */
	CLUSTER_LEAVE,    /* leave for good */
	CLUSTER_DRAIN,    /* give slots away and stay */
	CLUSTER_SEED,     /* id: position of a seed, from: where it is to be looked for now */
	CLUSTER_PROBE,    /* id: ping this member now, directly and through others */
};

struct cluster_event {
	enum cluster_event_kind kind;
	struct peer_address from;
	uint8_t *data;
	size_t len;
	uint64_t id;
};

enum cluster_action_kind {
	CLUSTER_SEND = 1, /* packet of len bytes to `to` */
	CLUSTER_NEWS,     /* something happened to a member */
	CLUSTER_TOPOLOGY, /* cluster_topology() is another one */
	CLUSTER_MESSAGE,  /* from member id's life `boot`; it lies in the event's data or here, until the next step */
	CLUSTER_LOST,     /* the message posted to member id with `tag` will not be acknowledged: it arrived once or never */
};

enum cluster_news {
	CLUSTER_STATE = 1,    /* a member's state is another one */
	CLUSTER_RESTARTED,    /* a member lives a new life */
	CLUSTER_FORGOTTEN,    /* a tombstone's time is over */
	CLUSTER_DUPLICATE,    /* another process uses a member's node id (this node's: see `id`) */
	CLUSTER_REFUSED,      /* this node may not enter: its id is taken, or the table is full */
	CLUSTER_PAUSED,       /* this process was stopped for ns */
	CLUSTER_LEFT,         /* this node has left: stop calling */
	CLUSTER_PROBED,       /* the member that was to be probed answered, after ns */
};

struct cluster_action {
	enum cluster_action_kind kind;
	struct peer_address to; /* SEND; NEWS: of the member, or of the other process that uses its id */
	const uint8_t *packet; /* in cluster_actions.packets */
	uint16_t len;
	bool priority;         /* probes, heartbeats, gossip: before any data */
	enum cluster_news news;
	uint64_t id, ns;
	uint64_t boot, tag;
	struct view message;
	uint32_t incarnation;
	uint8_t state, state_before; /* enum peer_state */
};

/* The caller's; emptied at the start of each step. */
struct cluster_actions {
	uint32_t count, packet_count;
	bool genuine; /* the packet that came in proved itself */
	struct cluster_action list[CLUSTER_ACTIONS_MAX];
	uint8_t packets[CLUSTER_PACKETS_MAX][UDP_PAYLOAD_MAX];
};

struct cluster_counters {
	uint64_t packets_in, packets_out, bytes_in, bytes_out;
	uint64_t refused[ENVELOPE_VERDICT_COUNT]; /* by enum envelope_verdict */
	uint64_t malformed;  /* genuine, but not to be read */
	uint64_t former_life;/* meant for a former life of this node, or not for it at all */
	uint64_t unknown;    /* from a life that is not in the table */
	uint64_t unknown_sections;
	uint64_t cut;        /* actions or packets that did not fit the step */
	uint64_t records_cut;/* records that did not fit their packet */
	uint64_t refutations, suspicions, convictions, probes, pauses, duplicates, full;
	uint64_t changes;    /* of any member's state: the membership version */
	struct link_counters link;
};

struct cluster {
	struct cluster_config config;
	struct envelope envelope;
	struct members members;
	struct authority authority;
	struct link link;
	struct prng prng;
	struct member *self;
	uint8_t standing;      /* enum peer_state that this node claims when nobody contradicts */
	bool begun, refused, left;
	struct cluster_counters counters;
	double quantile_probe, quantile_suspect;
	uint32_t health;       /* 0: fine; up to CLUSTER_HEALTH_MAX: doubt yourself first */
	uint64_t heartbeat_next_ns, gossip_next_ns, reconnect_next_ns, watch_next_ns, leave_at_ns;
	uint64_t urgent_ns;    /* own news goes out then; 0: none */
	uint64_t deadline_ns, last_ns, guard_until_ns;
	uint64_t former_ns;    /* last asked whether a former life of this node lives */
	uint64_t digest_from;  /* id where the next comparison of tables begins */
	uint16_t hot_from;     /* position where passing on goes on */
	uint16_t recent;       /* slot of the member that was asked for last */
	bool watch_dirty;
	/* of the step in progress */
	uint64_t now_ns;
	struct cluster_actions *actions;
};

struct cluster_member_view {
	char id[PEER_ID_MAX + 1];
	struct peer_address address, api;
	uint8_t state; /* enum peer_state */
	double phi;    /* 0 when others watch it */
	uint32_t incarnation, rack;
	uint64_t boot;
	uint64_t heard_ns; /* mono_ns of the last packet from it; 0: none yet */
	uint16_t weight;
	bool self, watched; /* watched: this node judges its heartbeats */
};

/* A plain snapshot for people and programs. */
struct cluster_view {
	uint64_t epoch, changes;
	uint64_t heartbeat_ns;
	double phi_threshold;
	uint32_t ring_size;
	uint8_t replication_factor;
	uint16_t count;
	struct cluster_member_view members[CLUSTER_MEMBERS_MAX];
};

/* Sensible values for everything but id, boot, address, name, seeds and keys. */
void cluster_config_default(struct cluster_config *config);
/* Sets what depends on the heartbeat interval. */
void cluster_config_interval(struct cluster_config *config, uint64_t heartbeat_ns);

/* False: no memory. cluster_deinit() wipes keys. */
bool cluster_init(struct cluster *cluster, const struct cluster_config *config, struct now now, uint64_t seed);
void cluster_deinit(struct cluster *cluster);

/* One event in, actions out. Packets in actions live until the next step with them. */
void cluster_step(struct cluster *cluster, struct now now, const struct cluster_event *event,
    struct cluster_actions *actions);

enum cluster_post {
	CLUSTER_POST_OK,
	CLUSTER_POST_BUSY,        /* so much waits already, for this member or for all; nothing was taken */
	CLUSTER_POST_UNREACHABLE, /* unknown, Dead or Left, or this node itself */
};

/*
 * Queues a message (head, then body; copied; at most CLUSTER_MESSAGE_MAX bytes together) for the life
 * of member `id` that is known now. Its packets leave with the next steps, and so cluster_deadline() is now:
 * post all there is, then step. It is handed over there at most once, in no promised order. `tag` comes back in
 * CLUSTER_LOST, exactly once, when it is known that it will not be acknowledged: the member died, left, restarted
 * or forgot, or LINK_PATIENCE_NS passed. Nothing comes back of one that arrived, or after CLUSTER_LEFT.
 * Not during a step.
 */
enum cluster_post cluster_post(struct cluster *cluster, struct now now, uint64_t id, struct view head, struct view body,
    uint64_t tag);

/* Somebody who is up, or expected back soon, has this address; this node itself, too. */
bool cluster_lives_at(const struct cluster *cluster, const struct peer_address *address);

/* False: nothing was ever sent to it or came from it. */
bool cluster_link_view(const struct cluster *cluster, uint64_t id, struct link_view *view);

/* When to step next though nothing happens: mono_ns. */
uint64_t cluster_deadline(const struct cluster *cluster);

/* The topology in force; epoch 0: none yet. Lives until the next step. */
static inline const struct ring_topology *
cluster_topology(const struct cluster *cluster)
{
	return &cluster->authority.committed.ring;
}

/*
 * What to keep for the next life's epoch_floor: the highest epoch in force or voted on here.
 * Kept before packets of the step are sent, it makes votes outlive a restart.
 */
uint64_t cluster_epoch_floor(const struct cluster *cluster);

void cluster_view(const struct cluster *cluster, struct now now, struct cluster_view *view);

void cluster_check(const struct cluster *cluster);

const char *cluster_news_name(enum cluster_news news);

#endif
