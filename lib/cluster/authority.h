/*
 * authority.h - who decides the next epoch, behind one small interface.
 *
 * Purpose: a topology is numbered; this module decides what stands under each number.
 *   Everything else only asks for the table in force and passes messages on, so that
 *   another authority can take this one's place.
 * How: this one has no leader and no disk. Epoch n+1 is one decision by the members that
 *   own slots in epoch n, each counting with the life (boot nonce) that epoch n names:
 *   two rounds of ballots, PREPARE / PROMISE and ACCEPT / ACCEPTED, as in Lamport's
 *   "Paxos made simple" (2001), a value being a table's digest. Two majorities of one
 *   set share a voter, and that voter remembers; so a number has one table, ever.
 *   Normally the live voter with the lowest id proposes, the next one a little later.
 *   What is proposed is what membership says, and only while a majority of the known
 *   members is in view and nothing has changed for a moment.
 * Restarts: a voter that restarted has forgotten its promises. It is a new life and
 *   counts again from the next epoch on, which its return brings about. When so many
 *   restarted (or are Dead for dead_delay) that the others are no majority, any lives of
 *   epoch n's members may decide, still by a majority of them all, but under a number at
 *   least RECOVERY_SKIP further on, so that an epoch that the forgotten ones may have
 *   decided is not given twice. Numbers of recoveries depend on the table they start
 *   from (recovery_class): who votes on one number is of one electorate.
 * Founding: epoch 0 has no voters; there the configured seeds and the node itself stand
 *   for them, and a majority of that list must be in view. Nodes vote only for lists
 *   equal to their own. Numbers start above every floor: the highest epoch that a voter
 *   knew in a former life, when whoever runs it kept that number.
 * Dead takes slots away only after dead_delay, and never in monitor-only mode. A node
 *   index stays with its member (RING_LEFT) and is given to no other.
 * Threads: none. Memory: by value, some 140 KiB.
 * Invariants: 1. committed.ring.epoch never falls. 2. what was accepted was promised.
 *   3. votes counted belong to the ballot in progress. 4. every table held is without fault.
 * Bounds: AUTHORITY_OUT_MAX messages a call; who was left out is asked again later.
 */
#ifndef CLUSTER_AUTHORITY_H
#define CLUSTER_AUTHORITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/prng.h"
#include "cluster/member.h"
#include "proto/peer.h"
#include "ring/table.h"

enum {
	AUTHORITY_FOUNDERS_MAX = 17,  /* 16 seeds and the node itself */
	AUTHORITY_OUT_MAX = 32,
	AUTHORITY_RECOVERY_SKIP = 64,
};

struct authority_config {
	uint64_t id, boot; /* of this node */
	struct peer_address founders[AUTHORITY_FOUNDERS_MAX]; /* seeds and the node itself, each once */
	uint8_t founder_count;
	uint8_t replication;
	bool removal;               /* false: monitor only */
	uint64_t dead_delay_ns;     /* Dead so long: its slots move */
	uint64_t settle_ns;         /* nothing new for so long: propose */
	uint64_t found_delay_ns;    /* after start: found a cluster, vote with a new life */
	uint64_t epoch_floor;       /* highest epoch known from former lives; 0: none */
	uint32_t mutation;
};

/* A topology with the lives that may vote on the next one. */
struct authority_table {
	struct ring_topology ring;
	uint64_t boots[RING_MEMBERS_MAX]; /* by position */
	uint64_t digest;                  /* of epoch, ring and boots */
};

struct authority_ballot {
	uint32_t round; /* 0: none */
	uint64_t proposer;
};

enum authority_phase { AUTHORITY_IDLE = 0, AUTHORITY_PREPARING, AUTHORITY_FETCHING, AUTHORITY_ACCEPTING };

struct authority {
	struct authority_config config;
	struct prng prng;
	struct authority_table committed;
	uint64_t start_ns, floor, founding_digest, conflicts;
	/* acceptor of epoch `instance` */
	uint64_t instance;
	struct authority_ballot promised, accepted_ballot;
	struct authority_table accepted;
	/* proposer */
	enum authority_phase phase;
	struct authority_ballot ballot, best;
	uint64_t best_digest, best_from;
	struct authority_table proposal;
	uint64_t votes[RING_MEMBERS_MAX / 64];
	uint32_t vote_count, round_seen;
	uint64_t round_ns, resend_ns, retry_ns; /* round began; send again; not before */
	uint64_t differs_ns, wanted_digest, changed_ns; /* since when the table is not what is wanted */
	/* a table on its way here */
	struct authority_table coming;
	uint64_t here[RING_MEMBERS_MAX / 64];
	uint32_t here_count;
	uint64_t asked_ns, next_ns;
	uint64_t now_ns; /* of the call in progress */
};

enum authority_out_kind {
	AUTHORITY_BALLOT = 1, /* send `ballot` */
	AUTHORITY_BALLOT_TABLE = 2, /* the same, and the proposed table with it */
	AUTHORITY_ASK = 3,    /* ask for the table of ballot.epoch and ballot.digest */
};

struct authority_out {
	struct {
		uint64_t to; /* id */
		uint8_t kind; /* enum authority_out_kind */
		struct peer_ballot ballot;
	} list[AUTHORITY_OUT_MAX];
	uint32_t count;
	bool committed; /* the table in force is another one */
};

void authority_init(struct authority *authority, const struct authority_config *config, uint64_t now_ns, uint64_t seed);

/* Other founders. Nothing changes once there is a table, or a vote was given here on the first one. */
void authority_founders(struct authority *authority, const struct peer_address *founders, uint8_t count);

/* Time passed, or membership changed. */
void authority_tick(struct authority *authority, const struct members *members, uint64_t now_ns,
    struct authority_out *out);

/* When to tick next, mono_ns. */
uint64_t authority_deadline(const struct authority *authority);

/* A ballot from a member (whose life is boot). */
void authority_ballot(struct authority *authority, const struct members *members, uint64_t now_ns, uint64_t from,
    uint64_t boot, const struct peer_ballot *ballot, struct authority_out *out);

/* A member says which table it has in force. */
void authority_heard(struct authority *authority, uint64_t now_ns, uint64_t from, uint64_t epoch, uint64_t digest,
    struct authority_out *out);

/* Part of a table arrived; voters stands at the first of part->here voters. */
void authority_part(struct authority *authority, const struct members *members, uint64_t now_ns,
    const struct peer_part *part, struct reader *voters, bool committed, struct authority_out *out);

/* The table of this epoch and digest, if it is at hand; *committed says whether it is in force. */
const struct authority_table *authority_find(const struct authority *authority, uint64_t epoch, uint64_t digest,
    bool *committed);

void authority_check(const struct authority *authority);

#endif
