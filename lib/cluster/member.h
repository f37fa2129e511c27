/*
 * member.h - the table of members: what is believed of each, and which news holds.
 *
 * Purpose: one order of news about a member, the same everywhere: first the incarnation,
 *   then the boot nonce, then the state's rank (Alive < Suspected < Dead < Left, proto/peer.h).
 *   Only a member raises its own incarnation; a restarted one raises it over its former life.
 *   No clock decides anything. A digest over all of it tells in one comparison
 *   whether two nodes believe the same.
 * Threads: none. Memory: at init, for `max` members; slots keep their place while used.
 * Invariants: 1. order lists the used slots by ascending id. 2. digest is the xor over
 *   all members. 3. hot_count members are hot.
 * Bounds: max members, MEMBER_ACCUSERS_MAX accusers of one.
 */
#ifndef CLUSTER_MEMBER_H
#define CLUSTER_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "cluster/phi.h"
#include "proto/peer.h"

enum { MEMBER_ACCUSERS_MAX = 8 };

struct member {
	struct peer_record record;
	uint64_t id;           /* ring_member_id() of record.id */
	uint64_t since_ns;     /* in this state, by our clock */
	uint64_t heard_ns;     /* last packet from its present life that was meant for ours */
	uint64_t vouched_ns;   /* until then somebody's word counts: it answered a probe */
	uint64_t told_ns;      /* last told what it is accused of */
	uint64_t tried_ns;     /* Dead: last tried to reach */
	uint64_t table_digest; /* what it last said it believes */
	uint64_t interval_ns;  /* of its heartbeats */
	uint64_t sequence_in, sequence_out; /* of heartbeats */
	uint64_t probe_nonce;  /* of the probe in flight; 0: none */
	uint64_t probe_ns;     /* when it left */
	uint64_t accusers[MEMBER_ACCUSERS_MAX];
	uint8_t accuser_count;
	uint8_t hot;           /* how often its record is still to be passed on */
	bool used;
	bool watched;          /* we judge its heartbeats */
	bool watching;         /* it judges ours: we send it heartbeats */
	bool doubted;          /* our own detector suspects it */
	uint8_t probe_tries;   /* a probe that was ordered: pings left; 0: nobody waits for an answer */
	bool probe_nacked;     /* somebody who was asked to ping it answered */
	struct phi phi;
};

struct members {
	struct member *slots;
	uint16_t *order;
	uint64_t digest;
	uint16_t count, max, hot_count;
	uint32_t mutation;
};

/* False: no memory. */
bool members_init(struct members *members, uint16_t max);
void members_deinit(struct members *members);

/* Which of two records about one member holds: < 0, 0, > 0 as a is older, the same, newer than b. */
int member_compare(const struct peer_record *a, const struct peer_record *b);

/* A member by id, or NULL. */
struct member *members_find(const struct members *members, uint64_t id);

/* Position in the order of the first member whose id is at least `id`; count when there is none. */
uint16_t members_position(const struct members *members, uint64_t id);

static inline struct member *
members_at(const struct members *members, uint16_t position)
{
	return &members->slots[members->order[position]];
}

/* Takes in a new member; NULL: full. The id must not be there. */
struct member *members_add(struct members *members, const struct peer_record *record, uint64_t now_ns);
void members_remove(struct members *members, struct member *member);

/* Replaces what is believed of a member. Accusers of an older incarnation are forgotten. */
void members_set(struct members *members, struct member *member, const struct peer_record *record, uint64_t now_ns);

/* Passes its record on `times` times more. */
void members_heat(struct members *members, struct member *member, uint8_t times);
void members_cool(struct members *members, struct member *member);

/* Notes who suspects it; true when nobody knew of this accuser. 0 is nobody. */
bool member_accuse(struct member *member, uint64_t accuser);

/* Up or expected back: part of the watch, and to be gossiped with. */
static inline bool
member_live(const struct member *member)
{
	return member->record.state >= PEER_JOINING && member->record.state <= PEER_SUSPECTED;
}

const char *member_state_name(uint8_t state);

void members_check(const struct members *members);

#endif
