/*
 * table.h - who owns which slot: the partition table and the topology it follows from.
 *
 * Purpose: a topology (numbered epoch, members, replication) gives a table of 16384
 *   slots, each with min(replication, owning members) distinct owners, best first. The
 *   table is a pure function of the topology: the same bytes in every node and client.
 *   doc/RING.md specifies it to the bit; tests/vectors/ring.json holds examples.
 * Threads: none of its own. A snapshot is written before it is published and never
 *   after; workers read it under RCU through one pointer.
 * Memory: everything is the caller's; nothing is allocated. A snapshot has 190 KiB.
 * Invariants: 1. members ascend by id, strictly; indexes are distinct.
 *   2. the owners of a slot are distinct members that own (ring_state_owns).
 *   3. ranks past owner_count hold RING_NOBODY. 4. a member owns at most its capacity.
 * Bounds: RING_MEMBERS_MAX members, RING_OWNERS_MAX owners a slot.
 */
#ifndef RING_TABLE_H
#define RING_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

enum {
	RING_MEMBERS_MAX = 1024, /* versions have 10 bits for the node index */
	RING_OWNERS_MAX = 5,
	RING_WEIGHT_DEFAULT = 64, /* virtual_nodes: the unit of weight */
	RING_NOBODY = 0xffff,
};

/* What a topology says of a member. On the wire of TOPOLOGY too. */
enum ring_state {
	RING_ALIVE = 1,     /* owns slots */
	RING_SUSPECTED = 2, /* owns slots and keeps its traffic */
	RING_DEAD = 3,      /* owns its slots until an epoch takes them away; to be skipped */
	RING_JOINING = 4,   /* known, owns nothing yet */
	RING_LEAVING = 5,   /* known, owns nothing more */
	RING_LEFT = 6,      /* remembered, so that its index is not given away */
};

struct ring_member {
	uint64_t id;     /* ring_member_id() of the node id */
	uint32_t rack;   /* 0: no rack, a failure domain of its own */
	uint16_t index;  /* node index in versions, below RING_MEMBERS_MAX */
	uint16_t weight; /* 1..65535 */
	uint8_t state;   /* enum ring_state */
	uint8_t pad[7];  /* 0 */
};

struct ring_topology {
	uint64_t epoch;  /* counter; never goes back */
	uint64_t digest; /* ring_topology_digest(): of all but epoch */
	uint16_t count;
	uint8_t replication; /* owners wanted a slot, 1..RING_OWNERS_MAX */
	uint8_t pad[5];      /* 0 */
	struct ring_member members[RING_MEMBERS_MAX];
};

struct ring_table {
	uint64_t epoch;
	uint64_t digest;       /* of the topology it was built from */
	uint16_t owner_count;  /* owners of every slot: min(replication, owning members) */
	uint16_t member_count; /* of the topology */
	uint32_t pad;          /* 0 */
	/* Positions in members, a row a rank: first owners fill 32 KiB, which a worker's cache can keep. */
	uint16_t owners[RING_OWNERS_MAX][SLOT_COUNT];
};

/* What workers read. */
struct ring_snapshot {
	struct ring_topology topology;
	struct ring_table table;
};

/* What is wrong with a topology. */
enum ring_fault {
	RING_OK = 0,
	RING_BAD_COUNT,       /* over RING_MEMBERS_MAX */
	RING_BAD_REPLICATION, /* not 1..RING_OWNERS_MAX */
	RING_BAD_ORDER,       /* ids do not ascend, or two are the same */
	RING_BAD_INDEX,       /* out of range, or given twice */
	RING_BAD_WEIGHT,      /* 0 */
	RING_BAD_STATE,       /* none of enum ring_state */
};

/* How much differs between two tables, in (slot, owner) pairs. */
struct ring_movement {
	uint32_t copies; /* owners of a slot that were not among its owners before */
	uint32_t firsts; /* slots whose first owner is another one */
};

static inline bool
ring_state_owns(uint8_t state)
{
	return state >= RING_ALIVE && state <= RING_DEAD;
}

/* The id of a node: FNV-1a (64 bits) of the node id's text, mixed. Never 0. */
uint64_t ring_member_id(const char *text, size_t len);

/* The first fault found; ring_build() wants RING_OK. */
enum ring_fault ring_topology_check(const struct ring_topology *topology);
const char *ring_fault_text(enum ring_fault fault);

/* Digest of replication and members; the same for the same members whatever the epoch. */
uint64_t ring_topology_digest(const struct ring_topology *topology);

/* Position of a member by id or by index; RING_NOBODY when there is none. */
uint16_t ring_find_id(const struct ring_topology *topology, uint64_t id);
uint16_t ring_find_index(const struct ring_topology *topology, uint16_t index);

/* Adds a member in its place and sets digest; false: full, or the id is there already. */
bool ring_topology_add(struct ring_topology *topology, const struct ring_member *member);
/* Takes a member out and sets digest; false: there is none of this id. */
bool ring_topology_remove(struct ring_topology *topology, uint64_t id);

/* Sum of the weights of owning members: `ring_size` of the status. */
uint32_t ring_size(const struct ring_topology *topology);

/* Bytes of scratch memory that ring_build() wants, aligned to 64. */
size_t ring_scratch_size(void);

/* Fills *table. topology must be without fault; with no owning member every rank is RING_NOBODY. */
void ring_build(const struct ring_topology *topology, void *scratch, struct ring_table *table);

/* The most slots each member may own by the rule (0 for those that own nothing), of count members. */
void ring_capacities(const struct ring_topology *topology, uint16_t *capacities);

/* Position of owner n (0 is the first) of a slot, or RING_NOBODY; n < RING_OWNERS_MAX. */
static inline uint16_t
ring_owner(const struct ring_table *table, uint16_t slot, unsigned n)
{
	return table->owners[n][slot];
}

/* Whether the member at a position is among a slot's owners. */
static inline bool
ring_owns(const struct ring_table *table, uint16_t slot, uint16_t position)
{
	for (unsigned n = 0; n < table->owner_count; n++)
		if (table->owners[n][slot] == position)
			return true;
	return false;
}

/* Slots owned at any rank, and slots owned first, by each of the member_count members. Either may be NULL. */
void ring_shares(const struct ring_table *table, uint32_t *slots, uint32_t *firsts);

/* What moves from one snapshot to the next. Members are told apart by id. */
struct ring_movement ring_moved(const struct ring_snapshot *from, const struct ring_snapshot *to);

/* Digest of the owners: 64 bits that differ when a byte differs. */
uint64_t ring_table_digest(const struct ring_table *table);

#endif
