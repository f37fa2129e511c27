/*
 * core.h - what the parts of the cluster share within a step.
 *
 * Purpose: prototypes between cluster.c (dispatch), draft.c (packets out), gossip.c,
 *   probe.c and join.c. Nobody else includes this.
 * Threads: none. Memory: the cluster's; c->actions and c->now_ns are set during a step.
 */
#ifndef CLUSTER_CORE_H
#define CLUSTER_CORE_H

#include "cluster/cluster.h"
#include "cluster/mutation.h"

/* A packet being written. */
struct draft {
	struct cluster *c;
	struct member *member; /* whom it is for, or NULL for an address only */
	struct peer_address to;
	uint8_t *packet;       /* NULL: the step has no packet left */
	uint8_t *start;        /* behind the header */
	struct writer out;
	bool accusation_told;  /* the receiver's own record is in it */
};

/* The packet that was received, and the answer being written to it. */
struct arrival {
	struct cluster *c;
	struct peer_header header;
	struct peer_address from;
	uint64_t boot;
	struct member *member; /* the sender, when its life is the one in the table */
	bool for_us;           /* names our life */
	struct draft answer;
};

/* members_find(), for who is asked for again and again. */
static inline struct member *
member_of(struct cluster *c, uint64_t id)
{
	struct member *member = &c->members.slots[c->recent];

	if (member->used && member->id == id)
		return member;
	member = members_find(&c->members, id);
	if (member)
		c->recent = (uint16_t)(member - c->members.slots);
	return member;
}

/* draft.c */
void draft_open(struct draft *draft, struct cluster *c, const struct peer_address *to, uint64_t to_boot,
    struct member *member);
void draft_open_member(struct draft *draft, struct cluster *c, struct member *member);
bool draft_empty(const struct draft *draft);
/* Fills the room left with news, seals and sends; gives the packet back when nothing was written. */
void draft_send(struct draft *draft);
void draft_record(struct draft *draft, struct member *member);
struct cluster_action *action_add(struct cluster *c, enum cluster_action_kind kind);
/* Of DUPLICATE and REFUSED: where the other process lives. */
void news_conflict(struct cluster *c, enum cluster_news news, const struct member *member, const struct peer_address *other);
void news_add(struct cluster *c, enum cluster_news news, const struct member *member, uint8_t state_before, uint64_t ns);

/* gossip.c */
void gossip_learn(struct arrival *arrival, const struct peer_record *record);
void gossip_records(struct arrival *arrival, struct view body);
void gossip_digest(struct arrival *arrival, struct view body);
void gossip_want(struct arrival *arrival, struct view body);
void gossip_tick(struct cluster *c);
/* Changes a member's state in our table, tells the caller, and spreads it. */
void gossip_state(struct cluster *c, struct member *member, const struct peer_record *record);
/* This node says something new of itself: at a higher incarnation than `above`. */
void gossip_self(struct cluster *c, uint8_t state, uint32_t above);
void gossip_sweep(struct cluster *c);
/* This node's own record goes out in a millisecond, not with the next heartbeat. */
void gossip_urgent(struct cluster *c);
void gossip_urgent_tick(struct cluster *c);
/* Tells a member what it is accused of. */
void gossip_tell(struct cluster *c, struct member *member);

/* Seals and sends what is written, as it is. */
void draft_seal(struct draft *draft, enum envelope_class class);

/* link.c. False: no memory. */
bool link_init(struct link *link, uint16_t peers_max, uint64_t bytes);
void link_deinit(struct link *link);
/* A step begins: what it handed over last may go. */
void link_begin(struct cluster *c);
/* A PEER_LINK section of a life that is in the table, for ours. */
void link_section(struct arrival *arrival, struct view body);
/* A step ends: sends what may leave, tells what is lost. */
void link_end(struct cluster *c);
uint64_t link_deadline(const struct link *link);
/* This process was stopped: nobody's patience ends by that. */
void link_pause(struct cluster *c);

/* probe.c */
void probe_tick(struct cluster *c);
void probe_section(struct arrival *arrival, const struct peer_section *section);
void probe_heartbeat(struct arrival *arrival, const struct peer_heartbeat *heartbeat);
void probe_start(struct cluster *c, struct member *member);
/* Somebody wants to know: its answer is news, whatever else is heard from the member meanwhile. */
void probe_order(struct cluster *c, struct member *member);
void probe_pause(struct cluster *c, uint64_t late_ns);
void probe_watch(struct cluster *c);
uint64_t probe_deadline(const struct cluster *c);
/* Our own detector finds nothing wrong with it, or it spoke to us a moment ago. */
bool probe_fresh(const struct cluster *c, const struct member *member);
struct phi_config probe_phi(const struct cluster *c, const struct member *member);

/* join.c */
void join_hello(struct arrival *arrival, const struct peer_section *section);
void join_refused(struct arrival *arrival, const struct peer_section *section);
void join_send(struct cluster *c, const struct peer_address *to, uint64_t to_boot);
void join_tick(struct cluster *c);
/* A packet of another process with this node's id, meant for this life: both live. */
void join_duplicate(struct arrival *arrival);

#endif
