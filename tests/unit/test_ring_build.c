/* Unit tests of lib/ring/build and share: every rule of the table, on all small topologies and on random ones. */
#include "tests/unit/ring_rig.h"

static struct ring_snapshot one, two;

/* What is in the table or the scratch memory before has no part in the result. */
static void
the_table_follows_from_the_topology_alone(void **state)
{
	(void)state;
	ring_rig_named(&one.topology, "n", 9, 3);
	one.topology.members[4].weight = 100;
	one.topology.epoch = 7;
	two.topology = one.topology;
	memset(&one.table, 0x5a, sizeof one.table);
	memset(&two.table, 0, sizeof two.table);
	memset(ring_rig_scratch(), 0xc3, ring_scratch_size());
	ring_rig_build(&one);
	memset(ring_rig_scratch(), 0, ring_scratch_size());
	ring_rig_build(&two);
	assert_memory_equal(&one.table, &two.table, sizeof one.table);
	assert_int_equal(one.table.epoch, 7);
	assert_true(one.table.digest == ring_topology_digest(&one.topology));
}

static void
neither_epoch_nor_index_nor_suspicion_changes_owners(void **state)
{
	(void)state;
	ring_rig_named(&one.topology, "n", 9, 3);
	two.topology = one.topology;
	two.topology.epoch = 1000;
	for (int i = 0; i < 9; i++) {
		two.topology.members[i].index = (uint16_t)(1023 - i);
		two.topology.members[i].state = (uint8_t)(RING_ALIVE + i % 3);
	}
	ring_rig_build(&one);
	ring_rig_build(&two);
	assert_memory_equal(one.table.owners, two.table.owners, sizeof one.table.owners);
}

/* Those that own nothing might as well not be there. */
static void
members_that_do_not_own_change_nothing(void **state)
{
	struct ring_movement moved;

	(void)state;
	ring_rig_named(&one.topology, "n", 5, 3);
	two.topology = one.topology;
	for (uint8_t i = RING_JOINING; i <= RING_LEFT; i++) {
		char name[] = { 'x', (char)('0' + i), 0 };
		struct ring_member member = ring_rig_member(name, 100 + i);

		member.state = i;
		member.weight = 5000;
		assert_true(ring_topology_add(&two.topology, &member));
	}
	ring_rig_build(&one);
	ring_rig_build(&two);
	ring_rig_check(&two);
	moved = ring_moved(&one, &two);
	assert_int_equal(moved.copies, 0);
	assert_int_equal(moved.firsts, 0);
}

static void
without_owning_members_nobody_owns(void **state)
{
	(void)state;
	ring_rig_named(&one.topology, "n", 0, 3);
	ring_rig_build(&one);
	ring_rig_check(&one);
	assert_int_equal(ring_owner(&one.table, 0, 0), RING_NOBODY);
	ring_rig_named(&one.topology, "n", 2, 3);
	one.topology.members[0].state = RING_LEAVING;
	one.topology.members[1].state = RING_JOINING;
	ring_rig_build(&one);
	ring_rig_check(&one);
}

/* The exact rule for equal members: ceil(1.02 * 16384 * owners / members), never above 16384. */
static void
equal_members_may_own_two_percent_more_than_their_share(void **state)
{
	static uint16_t capacities[RING_MEMBERS_MAX];

	(void)state;
	for (uint8_t replication = 1; replication <= RING_OWNERS_MAX; replication++)
		for (uint16_t count = 1; count <= 128; count++) {
			uint32_t owners = count < replication ? count : replication;
			uint32_t most = (102 * SLOT_COUNT * owners + 100 * count - 1) / (100 * count);

			ring_rig_named(&one.topology, "n", count, replication);
			ring_capacities(&one.topology, capacities);
			for (uint16_t i = 0; i < count; i++)
				assert_int_equal(capacities[i], most < SLOT_COUNT ? most : SLOT_COUNT);
		}
}

static uint16_t
capacity_of(const struct ring_topology *topology, uint16_t index)
{
	static uint16_t capacities[RING_MEMBERS_MAX];

	ring_capacities(topology, capacities);
	return capacities[ring_find_index(topology, index)];
}

static void
set_member(struct ring_topology *topology, uint16_t index, uint16_t weight, uint32_t rack)
{
	struct ring_member *member = &topology->members[ring_find_index(topology, index)];

	member->weight = weight;
	member->rack = rack;
}

/* Worked by hand: ceil(1.02 * 16384 * share). */
static void
shares_follow_weights_and_racks(void **state)
{
	struct ring_topology *t = &one.topology;

	(void)state;
	ring_rig_named(t, "n", 4, 1);
	set_member(t, 0, 1, 0), set_member(t, 1, 2, 0), set_member(t, 2, 2, 0), set_member(t, 3, 3, 0);
	assert_int_equal(capacity_of(t, 0), 2089); /* 1/8 */
	assert_int_equal(capacity_of(t, 3), 6267); /* 3/8 */
	/* Two owners: 5 of 8 would be 1.25 owners a slot; it has 1, and the others share the rest. */
	t->replication = 2;
	set_member(t, 0, 1, 0), set_member(t, 1, 1, 0), set_member(t, 2, 1, 0), set_member(t, 3, 5, 0);
	assert_int_equal(capacity_of(t, 3), SLOT_COUNT);
	assert_int_equal(capacity_of(t, 0), 5571); /* 1/3 */
	/* Racks of 1, 1 and 2 with three owners: each rack owns every slot. */
	t->replication = 3;
	set_member(t, 0, 64, 1), set_member(t, 1, 64, 2), set_member(t, 2, 64, 3), set_member(t, 3, 192, 3);
	assert_int_equal(capacity_of(t, 0), SLOT_COUNT);
	assert_int_equal(capacity_of(t, 2), 4178);  /* 1/4 */
	assert_int_equal(capacity_of(t, 3), 12534); /* 3/4 */
	/* Two racks, 1 and 3 members: the small one owns every slot once, the others 2/3 each. */
	set_member(t, 0, 64, 1), set_member(t, 1, 64, 2), set_member(t, 2, 64, 2), set_member(t, 3, 64, 2);
	assert_int_equal(capacity_of(t, 0), SLOT_COUNT);
	assert_int_equal(capacity_of(t, 1), 11142); /* 2/3 */
	/* The same by the smallest weights: the level of 1.5 lies between whole ones. */
	set_member(t, 0, 1, 1), set_member(t, 1, 1, 2), set_member(t, 2, 1, 2), set_member(t, 3, 1, 2);
	assert_int_equal(capacity_of(t, 0), SLOT_COUNT);
	assert_int_equal(capacity_of(t, 1), 11142);
	set_member(t, 1, 64, 2), set_member(t, 2, 64, 2), set_member(t, 3, 64, 2);
	/* Two racks of 2: no rack needs help, 3/4 each. */
	set_member(t, 0, 64, 1), set_member(t, 1, 64, 1);
	assert_int_equal(capacity_of(t, 1), 12534);
}

/* Builds with these weights and racks, one number each of the base given. */
static void
build_small(uint16_t count, uint8_t replication, uint32_t weights, uint32_t racks)
{
	static const uint16_t choices[] = { 1, 3, 17 };

	ring_rig_named(&one.topology, "small", count, replication);
	for (uint16_t i = 0; i < count; i++) {
		set_member(&one.topology, i, choices[weights % 3], racks % count);
		weights /= 3;
		racks /= count;
	}
	ring_rig_build(&one);
	ring_rig_check(&one);
}

/* All of up to three members: three weights each, every way to stand in racks, every replication. */
static void
all_small_topologies(void **state)
{
	static const uint32_t ways[] = { 0, 1, 4, 27 };
	static const uint32_t weighings[] = { 0, 3, 9, 27 };

	(void)state;
	for (uint16_t count = 1; count <= 3; count++)
		for (uint32_t racks = 0; racks < ways[count]; racks++)
			for (uint32_t weights = 0; weights < weighings[count]; weights += count < 3 ? 1 : 2)
				for (uint8_t replication = 1; replication <= (count < 4 ? count : 4); replication++)
					build_small(count, replication, weights, racks);
}

/* Four and five members: a part of the ways to stand in racks, equal weights and mixes. */
static void
racks_of_four_and_of_five_members(void **state)
{
	(void)state;
	for (uint32_t racks = 0; racks < 256; racks += 8)
		for (uint8_t replication = 2; replication <= 3; replication++)
			build_small(4, replication, racks % 3 ? 0 : 5 + racks % 70, racks);
	for (uint32_t racks = 0; racks < 3125; racks += 65)
		for (uint8_t replication = 2; replication <= 4; replication++)
			build_small(5, replication, racks % 3 ? 0 : 5 + racks % 200, racks);
}

static void
build_random(struct prng *prng)
{
	uint16_t count = (uint16_t)(1 + prng_below(prng, prng_below(prng, 4) ? 12 : 80));
	uint64_t racks = prng_below(prng, 3) ? 1 + prng_below(prng, 7) : 0;
	uint64_t heaviest = (const uint64_t[]){ 1, 4, 1000, 65535 }[prng_below(prng, 4)];

	memset(&one.topology, 0, sizeof one.topology);
	one.topology.replication = (uint8_t)(1 + prng_below(prng, RING_OWNERS_MAX));
	for (uint16_t i = 0; i < count; i++) {
		struct ring_member member = { .id = prng_next(prng), .index = i,
			.weight = (uint16_t)(1 + prng_below(prng, heaviest)),
			.rack = racks && prng_below(prng, 20) ? (uint32_t)(1 + prng_below(prng, racks)) : 0,
			.state = (uint8_t)(prng_below(prng, 10) ? RING_ALIVE : 1 + prng_below(prng, 6)) };

		assert_true(ring_topology_add(&one.topology, &member));
	}
	ring_rig_build(&one);
	ring_rig_check(&one);
}

static void
random_topologies(void **state)
{
	const char *given = getenv("RING_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : 1;
	struct prng prng = { seed };
	uint32_t rounds = given ? 5000 : 100;

	(void)state;
	print_message("RING_SEED=%lu, %u topologies\n", seed, rounds);
	for (uint32_t i = 0; i < rounds; i++)
		build_random(&prng);
}

/* The heaviest that there can be: level and capacities stay within their integers. */
static void
members_at_the_limits(void **state)
{
	(void)state;
	ring_rig_named(&one.topology, "n", RING_MEMBERS_MAX, 5);
	for (uint16_t i = 0; i < RING_MEMBERS_MAX; i++)
		set_member(&one.topology, i, i % 2 ? 65535 : 1, i % 3);
	ring_rig_build(&one);
	ring_rig_check(&one);
}

/* What each owns is as much as its weight says, from both sides. */
static void
slots_follow_weights(void **state)
{
	uint32_t slots[8], sum = 0;

	(void)state;
	ring_rig_named(&one.topology, "n", 8, 1);
	for (uint16_t i = 0; i < 8; i++) {
		set_member(&one.topology, i, (uint16_t)(32 * (i + 1)), 0);
		sum += 32u * (i + 1u);
	}
	ring_rig_build(&one);
	ring_rig_check(&one);
	ring_shares(&one.table, slots, NULL);
	for (uint16_t i = 0; i < 8; i++) {
		double fair = (double)SLOT_COUNT * one.topology.members[i].weight / sum;

		assert_true(slots[i] > fair * 0.85 - 1 && slots[i] <= fair * 1.02 + 1);
	}
}

/* Reads go to the first owner: no member is first of more than its part, but for a few slots. */
static void
first_owners_are_balanced_too(void **state)
{
	uint32_t firsts[33];

	(void)state;
	for (uint16_t count = 3; count <= 33; count += 5) {
		ring_rig_named(&one.topology, "n", count, 3);
		ring_rig_build(&one);
		ring_shares(&one.table, NULL, firsts);
		for (uint16_t i = 0; i < count; i++)
			assert_true(firsts[i] <= 1.04 * SLOT_COUNT / count + 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_follows_from_the_topology_alone),
		cmocka_unit_test(neither_epoch_nor_index_nor_suspicion_changes_owners),
		cmocka_unit_test(members_that_do_not_own_change_nothing),
		cmocka_unit_test(without_owning_members_nobody_owns),
		cmocka_unit_test(equal_members_may_own_two_percent_more_than_their_share),
		cmocka_unit_test(shares_follow_weights_and_racks),
		cmocka_unit_test(all_small_topologies),
		cmocka_unit_test(racks_of_four_and_of_five_members),
		cmocka_unit_test(random_topologies),
		cmocka_unit_test(members_at_the_limits),
		cmocka_unit_test(slots_follow_weights),
		cmocka_unit_test(first_owners_are_balanced_too),
	};

	return cmocka_run_group_tests_name("ring_build", tests, NULL, NULL);
}
