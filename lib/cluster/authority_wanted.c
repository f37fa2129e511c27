/* Which table membership calls for. */
#include "cluster/authority_state.h"

#include <string.h>

#include "cluster/mutation.h"

/* What the table should say of a member that it has already. */
static uint8_t
state_wanted(const struct authority *authority, const struct member *member, uint8_t now, uint64_t now_ns)
{
	const struct authority_config *config = &authority->config;
	uint64_t delay = MUTATED(config, DEAD_MOVES_AT_ONCE) ? 0 : config->dead_delay_ns;

	switch (member->record.state) {
	case PEER_ALIVE:
		return RING_ALIVE;
	case PEER_LEAVING:
		return RING_LEAVING;
	case PEER_LEFT:
		return RING_LEFT;
	case PEER_DEAD:
		if ((config->removal || MUTATED(config, REMOVAL_FORCED)) && now_ns >= member->since_ns + delay)
			return RING_LEFT;
		return now;
	default: /* Suspected keeps what it has; so does a former life whose successor is still joining */
		return now;
	}
}

/* The smallest index nobody has; RING_NOBODY: all are taken. */
static uint16_t
index_free(const struct authority *authority, const struct ring_topology *ring)
{
	uint64_t taken[RING_MEMBERS_MAX / 64] = { 0 };

	for (uint16_t i = 0; i < ring->count; i++)
		if (ring->members[i].state != RING_LEFT || !MUTATED(&authority->config, INDEX_REUSED))
			taken[ring->members[i].index / 64] |= 1ull << ring->members[i].index % 64;
	for (uint16_t i = 0; i < RING_MEMBERS_MAX; i++)
		if (!(taken[i / 64] >> i % 64 & 1))
			return i;
	return RING_NOBODY;
}

/* Makes room: forgets one that left and that membership has forgotten too. */
static void
left_forget(struct authority_table *wanted, const struct members *members)
{
	for (uint16_t i = 0; i < wanted->ring.count; i++)
		if (wanted->ring.members[i].state == RING_LEFT && !members_find(members, wanted->ring.members[i].id)) {
			memmove(wanted->boots + i, wanted->boots + i + 1,
			    (size_t)(wanted->ring.count - i - 1) * sizeof wanted->boots[0]);
			ring_topology_remove(&wanted->ring, wanted->ring.members[i].id);
			return;
		}
}

static bool
member_new(const struct authority *authority, const struct members *members, const struct member *member,
    struct authority_table *wanted)
{
	struct ring_member entry = { .id = member->id, .rack = member->record.rack, .weight = member->record.weight,
		.state = RING_ALIVE };
	uint16_t position;

	if (wanted->ring.count == RING_MEMBERS_MAX)
		left_forget(wanted, members);
	entry.index = index_free(authority, &wanted->ring);
	if (entry.index == RING_NOBODY || !ring_topology_add(&wanted->ring, &entry))
		return false;
	position = ring_find_id(&wanted->ring, entry.id);
	memmove(wanted->boots + position + 1, wanted->boots + position,
	    (size_t)(wanted->ring.count - 1 - position) * sizeof wanted->boots[0]);
	wanted->boots[position] = member->record.boot;
	return true;
}

/* Brings an entry in line with its member; whether anything changed. */
static bool
member_known(const struct authority *authority, const struct member *member, struct ring_member *entry, uint64_t *boot,
    uint64_t now_ns)
{
	struct ring_member before = *entry;
	uint64_t boot_before = *boot;

	entry->state = state_wanted(authority, member, entry->state, now_ns);
	if (member->record.state == PEER_ALIVE) {
		*boot = member->record.boot;
		entry->weight = member->record.weight;
		entry->rack = member->record.rack;
	}
	return memcmp(&before, entry, sizeof before) != 0 || boot_before != *boot;
}

bool
authority_wanted(const struct authority *authority, const struct members *members, uint64_t now_ns,
    struct authority_table *wanted)
{
	bool changed = false;
	uint32_t owning = 0;

	authority_table_copy(wanted, &authority->committed);
	for (uint16_t i = 0; i < members->count; i++) {
		const struct member *member = members_at(members, i);
		uint16_t position = ring_find_id(&wanted->ring, member->id);

		if (position != RING_NOBODY)
			changed |= member_known(authority, member, &wanted->ring.members[position], &wanted->boots[position], now_ns);
		else if (member->record.state == PEER_ALIVE)
			changed |= member_new(authority, members, member, wanted);
	}
	for (uint16_t i = 0; i < wanted->ring.count; i++)
		owning += ring_state_owns(wanted->ring.members[i].state);
	return changed && owning > 0;
}
