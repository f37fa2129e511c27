#include "ring/table.h"

#include <string.h>

#include "base/check.h"
#include "ring/score.h"

uint64_t
ring_member_id(const char *text, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325ull; /* FNV-1a, 64 bits */

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)text[i]) * 0x100000001b3ull;
	hash = score_mix(hash);
	return hash ? hash : 1;
}

static enum ring_fault
member_check(const struct ring_member *member)
{
	if (member->index >= RING_MEMBERS_MAX)
		return RING_BAD_INDEX;
	if (member->weight == 0)
		return RING_BAD_WEIGHT;
	return member->state < RING_ALIVE || member->state > RING_LEFT ? RING_BAD_STATE : RING_OK;
}

enum ring_fault
ring_topology_check(const struct ring_topology *topology)
{
	uint64_t seen[RING_MEMBERS_MAX / 64] = { 0 };

	if (topology->count > RING_MEMBERS_MAX)
		return RING_BAD_COUNT;
	if (topology->replication == 0 || topology->replication > RING_OWNERS_MAX)
		return RING_BAD_REPLICATION;
	for (uint16_t i = 0; i < topology->count; i++) {
		const struct ring_member *member = &topology->members[i];
		enum ring_fault fault = member_check(member);

		if (fault != RING_OK)
			return fault;
		if (i > 0 && member->id <= member[-1].id)
			return RING_BAD_ORDER;
		if (seen[member->index / 64] >> member->index % 64 & 1)
			return RING_BAD_INDEX;
		seen[member->index / 64] |= 1ull << member->index % 64;
	}
	return RING_OK;
}

const char *
ring_fault_text(enum ring_fault fault)
{
	switch (fault) {
	case RING_OK:
		return "no fault";
	case RING_BAD_COUNT:
		return "more than 1024 members";
	case RING_BAD_REPLICATION:
		return "replication factor not 1 to 5";
	case RING_BAD_ORDER:
		return "two members have one id, or ids do not ascend";
	case RING_BAD_INDEX:
		return "node index above 1023, or given to two members";
	case RING_BAD_WEIGHT:
		return "weight 0";
	case RING_BAD_STATE:
		return "unknown state";
	}
	return "unknown fault";
}

static uint64_t
digest_add(uint64_t digest, uint64_t word)
{
	return score_mix((digest ^ word) + 0x9e3779b97f4a7c15ull);
}

uint64_t
ring_topology_digest(const struct ring_topology *topology)
{
	uint64_t digest = digest_add(topology->replication, topology->count);

	for (uint16_t i = 0; i < topology->count; i++) {
		const struct ring_member *member = &topology->members[i];

		digest = digest_add(digest, member->id);
		digest = digest_add(digest, (uint64_t)member->rack << 32 | (uint32_t)member->index << 16 |
		    member->weight);
		digest = digest_add(digest, member->state);
	}
	return digest;
}

/* Where a member of this id is, or would be. */
static uint16_t
place_of(const struct ring_topology *topology, uint64_t id)
{
	uint16_t low = 0, high = topology->count;

	while (low < high) {
		uint16_t middle = (uint16_t)((low + high) / 2);

		if (topology->members[middle].id < id)
			low = (uint16_t)(middle + 1);
		else
			high = middle;
	}
	return low;
}

uint16_t
ring_find_id(const struct ring_topology *topology, uint64_t id)
{
	uint16_t place = place_of(topology, id);

	return place < topology->count && topology->members[place].id == id ? place : RING_NOBODY;
}

uint16_t
ring_find_index(const struct ring_topology *topology, uint16_t index)
{
	for (uint16_t i = 0; i < topology->count; i++)
		if (topology->members[i].index == index)
			return i;
	return RING_NOBODY;
}

bool
ring_topology_add(struct ring_topology *topology, const struct ring_member *member)
{
	uint16_t place = place_of(topology, member->id);
	struct ring_member *at = &topology->members[place];

	if (topology->count >= RING_MEMBERS_MAX || (place < topology->count && at->id == member->id))
		return false;
	memmove(at + 1, at, (size_t)(topology->count - place) * sizeof *at);
	*at = *member;
	topology->count++;
	topology->digest = ring_topology_digest(topology);
	return true;
}

bool
ring_topology_remove(struct ring_topology *topology, uint64_t id)
{
	uint16_t place = ring_find_id(topology, id);

	if (place == RING_NOBODY)
		return false;
	topology->count--;
	memmove(&topology->members[place], &topology->members[place + 1],
	    (size_t)(topology->count - place) * sizeof topology->members[0]);
	topology->members[topology->count] = (struct ring_member){ 0 };
	topology->digest = ring_topology_digest(topology);
	return true;
}

uint32_t
ring_size(const struct ring_topology *topology)
{
	uint32_t sum = 0;

	for (uint16_t i = 0; i < topology->count; i++)
		if (ring_state_owns(topology->members[i].state))
			sum += topology->members[i].weight;
	return sum;
}

void
ring_shares(const struct ring_table *table, uint32_t *slots, uint32_t *firsts)
{
	for (uint16_t i = 0; i < table->member_count; i++) {
		if (slots)
			slots[i] = 0;
		if (firsts)
			firsts[i] = 0;
	}
	for (unsigned n = 0; n < table->owner_count; n++)
		for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
			if (slots)
				slots[table->owners[n][slot]]++;
			if (firsts && n == 0)
				firsts[table->owners[n][slot]]++;
		}
}

struct ring_movement
ring_moved(const struct ring_snapshot *from, const struct ring_snapshot *to)
{
	struct ring_movement moved = { 0, 0 };
	uint16_t was[RING_MEMBERS_MAX]; /* position in `from` of a position in `to` */

	for (uint16_t i = 0; i < to->topology.count; i++)
		was[i] = ring_find_id(&from->topology, to->topology.members[i].id);
	for (uint16_t slot = 0; slot < SLOT_COUNT; slot++)
		for (unsigned n = 0; n < to->table.owner_count; n++) {
			uint16_t before = was[ring_owner(&to->table, slot, n)];

			if (before == RING_NOBODY || !ring_owns(&from->table, slot, before))
				moved.copies++;
			if (n == 0 && (before == RING_NOBODY || ring_owner(&from->table, slot, 0) != before))
				moved.firsts++;
		}
	return moved;
}

uint64_t
ring_table_digest(const struct ring_table *table)
{
	uint64_t digest = digest_add(table->owner_count, SLOT_COUNT);

	for (uint32_t slot = 0; slot < SLOT_COUNT; slot++)
		for (unsigned n = 0; n < table->owner_count; n++)
			digest = digest_add(digest, table->owners[n][slot]);
	return digest;
}
