/*
 * ring_rig.h - topologies for the tests of lib/ring, and what must hold of every table.
 */
#ifndef TESTS_RING_RIG_H
#define TESTS_RING_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "ring/table.h"

static inline void *
ring_rig_scratch(void)
{
	static void *scratch;

	if (!scratch)
		scratch = aligned_alloc(64, (ring_scratch_size() + 63) / 64 * 64);
	assert_non_null(scratch);
	return scratch;
}

static inline struct ring_member
ring_rig_member(const char *name, uint16_t index)
{
	return (struct ring_member){ .id = ring_member_id(name, strlen(name)), .index = index,
		.weight = RING_WEIGHT_DEFAULT, .state = RING_ALIVE };
}

/* Members called PREFIX1 to PREFIXcount, with the default weight and no rack. */
static inline void
ring_rig_named(struct ring_topology *topology, const char *prefix, uint16_t count, uint8_t replication)
{
	memset(topology, 0, sizeof *topology);
	topology->replication = replication;
	for (uint16_t i = 0; i < count; i++) {
		char name[64];
		struct ring_member member;

		snprintf(name, sizeof name, "%s%u", prefix, i + 1);
		member = ring_rig_member(name, i);
		assert_true(ring_topology_add(topology, &member));
	}
	topology->digest = ring_topology_digest(topology);
}

static inline void
ring_rig_build(struct ring_snapshot *snapshot)
{
	ring_build(&snapshot->topology, ring_rig_scratch(), &snapshot->table);
}

/* A name for the failure domain of a member. */
static inline uint64_t
ring_rig_domain(const struct ring_topology *topology, uint16_t position)
{
	uint32_t rack = topology->members[position].rack;

	return rack ? rack : (1ull << 32) + position;
}

/* How many of the positions are in different domains. */
static inline uint32_t
ring_rig_domains(const struct ring_topology *topology, const uint16_t *positions, uint32_t count)
{
	uint32_t distinct = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t j = 0;

		while (j < i && ring_rig_domain(topology, positions[j]) != ring_rig_domain(topology, positions[i]))
			j++;
		distinct += j == i;
	}
	return distinct;
}

/* Owners of every slot: as many as wanted, owning, distinct, and in as many racks as there can be. */
static inline void
ring_rig_check_slots(const struct ring_snapshot *s)
{
	uint16_t owning[RING_MEMBERS_MAX], count = 0;
	uint32_t wanted, racks;

	for (uint16_t i = 0; i < s->topology.count; i++)
		if (ring_state_owns(s->topology.members[i].state))
			owning[count++] = i;
	wanted = count < s->topology.replication ? count : s->topology.replication;
	racks = ring_rig_domains(&s->topology, owning, count);
	racks = racks < wanted ? racks : wanted;
	assert_int_equal(s->table.owner_count, wanted);
	for (uint16_t slot = 0; slot < SLOT_COUNT; slot++) {
		uint16_t owners[RING_OWNERS_MAX];

		for (unsigned n = 0; n < RING_OWNERS_MAX; n++) {
			owners[n] = ring_owner(&s->table, slot, n);
			if (n >= wanted) {
				assert_int_equal(owners[n], RING_NOBODY);
				continue;
			}
			assert_true(owners[n] < s->topology.count);
			assert_true(ring_state_owns(s->topology.members[owners[n]].state));
			for (unsigned m = 0; m < n; m++)
				assert_int_not_equal(owners[m], owners[n]);
		}
		if (ring_rig_domains(&s->topology, owners, wanted) != racks)
			fail_msg("slot %u: not in %u racks", slot, racks);
	}
}

/* Nobody owns more than its capacity; shares add up. */
static inline void
ring_rig_check(const struct ring_snapshot *s)
{
	static uint16_t capacities[RING_MEMBERS_MAX];
	static uint32_t slots[RING_MEMBERS_MAX], firsts[RING_MEMBERS_MAX];
	uint32_t all = 0, all_firsts = 0;

	ring_rig_check_slots(s);
	ring_capacities(&s->topology, capacities);
	ring_shares(&s->table, slots, firsts);
	for (uint16_t i = 0; i < s->topology.count; i++) {
		if (slots[i] > capacities[i])
			fail_msg("member %u of %u owns %u slots, at most %u", i, s->topology.count, slots[i], capacities[i]);
		all += slots[i];
		all_firsts += firsts[i];
	}
	assert_int_equal(all, (uint32_t)s->table.owner_count * SLOT_COUNT);
	assert_int_equal(all_firsts, s->table.owner_count ? SLOT_COUNT : 0);
}

#endif
