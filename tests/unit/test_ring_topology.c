/* Unit tests of lib/ring/table: topologies, their faults and digests, and what is read from a table. */
#include "tests/unit/ring_rig.h"

static struct ring_snapshot one, two;

static void
members_stand_by_id_however_they_came(void **state)
{
	(void)state;
	ring_rig_named(&one.topology, "n", 50, 3);
	memset(&two.topology, 0, sizeof two.topology);
	two.topology.replication = 3;
	for (int i = 49; i >= 0; i--) {
		struct ring_member member = one.topology.members[i * 7 % 50];

		assert_true(ring_topology_add(&two.topology, &member));
	}
	assert_int_equal(ring_topology_check(&two.topology), RING_OK);
	assert_memory_equal(&one.topology, &two.topology, sizeof one.topology);
}

static void
a_member_comes_once_and_goes_once(void **state)
{
	struct ring_member member = ring_rig_member("n3", 9);
	struct ring_topology *topology = &one.topology;
	uint64_t digest;

	(void)state;
	ring_rig_named(topology, "n", 5, 3);
	digest = topology->digest;
	assert_false(ring_topology_add(topology, &member));
	assert_true(ring_topology_remove(topology, member.id));
	assert_int_equal(topology->count, 4);
	assert_int_equal(ring_find_id(topology, member.id), RING_NOBODY);
	assert_int_equal(ring_find_index(topology, 2), RING_NOBODY);
	assert_false(ring_topology_remove(topology, member.id));
	member.index = 2;
	assert_true(ring_topology_add(topology, &member));
	assert_true(topology->digest == digest);
	assert_true(topology->members[ring_find_index(topology, 2)].id == member.id);
	assert_int_equal(ring_find_index(topology, 2), ring_find_id(topology, member.id));
}

static void
a_topology_holds_1024_members(void **state)
{
	struct ring_member member = ring_rig_member("one more", 0);

	(void)state;
	ring_rig_named(&one.topology, "n", RING_MEMBERS_MAX, 3);
	assert_int_equal(ring_topology_check(&one.topology), RING_OK);
	assert_false(ring_topology_add(&one.topology, &member));
	ring_rig_build(&one);
	ring_rig_check(&one);
}

static void
every_fault_is_named(void **state)
{
	struct ring_topology *t = &one.topology;
	const struct ring_topology *good = &two.topology;

	(void)state;
	ring_rig_named(&two.topology, "n", 5, 3);
#define EXPECT(change, fault) \
	*t = *good, change, assert_int_equal(ring_topology_check(t), fault), \
	    assert_true(strlen(ring_fault_text(fault)) > 5)
	EXPECT((void)0, RING_OK);
	EXPECT(t->count = RING_MEMBERS_MAX + 1, RING_BAD_COUNT);
	EXPECT(t->replication = 0, RING_BAD_REPLICATION);
	EXPECT(t->replication = RING_OWNERS_MAX + 1, RING_BAD_REPLICATION);
	EXPECT(t->replication = RING_OWNERS_MAX, RING_OK);
	EXPECT(t->members[2].id = t->members[1].id, RING_BAD_ORDER);
	EXPECT(t->members[2].id = t->members[3].id + 1, RING_BAD_ORDER);
	EXPECT(t->members[2].index = t->members[4].index, RING_BAD_INDEX);
	EXPECT(t->members[2].index = RING_MEMBERS_MAX, RING_BAD_INDEX);
	EXPECT(t->members[2].index = RING_MEMBERS_MAX - 1, RING_OK);
	EXPECT(t->members[4].weight = 0, RING_BAD_WEIGHT);
	EXPECT(t->members[0].state = 0, RING_BAD_STATE);
	EXPECT(t->members[0].state = RING_LEFT + 1, RING_BAD_STATE);
#undef EXPECT
}

static void
the_digest_tells_every_field_but_the_epoch(void **state)
{
	struct ring_topology *t = &one.topology;
	const struct ring_topology *good = &two.topology;

	(void)state;
	ring_rig_named(&two.topology, "n", 5, 3);
#define EXPECT_OTHER(change) *t = *good, change, assert_true(ring_topology_digest(t) != good->digest)
	EXPECT_OTHER(t->replication = 2);
	EXPECT_OTHER(t->count = 4);
	EXPECT_OTHER(t->members[0].id--);
	EXPECT_OTHER(t->members[1].rack = 1);
	EXPECT_OTHER(t->members[2].index = 77);
	EXPECT_OTHER(t->members[3].weight++);
	EXPECT_OTHER(t->members[4].state = RING_SUSPECTED);
#undef EXPECT_OTHER
	*t = *good;
	t->epoch = 99;
	assert_true(ring_topology_digest(t) == good->digest);
}

static void
ring_size_is_the_weight_of_those_that_own(void **state)
{
	(void)state;
	ring_rig_named(&one.topology, "n", 5, 3);
	assert_int_equal(ring_size(&one.topology), 320);
	for (int i = 0; i < 5; i++)
		one.topology.members[i].weight = (uint16_t)(1 << i);
	one.topology.members[0].state = RING_SUSPECTED;
	one.topology.members[1].state = RING_DEAD;
	one.topology.members[2].state = RING_JOINING;
	one.topology.members[3].state = RING_LEAVING;
	assert_int_equal(ring_size(&one.topology), 1 + 2 + 16);
}

static void
owners_and_their_ranks_are_told(void **state)
{
	(void)state;
	ring_rig_named(&one.topology, "n", 9, 3);
	ring_rig_build(&one);
	for (uint16_t slot = 0; slot < SLOT_COUNT; slot++) {
		uint32_t owners = 0;

		for (uint16_t position = 0; position < 9; position++)
			owners += ring_owns(&one.table, slot, position);
		assert_int_equal(owners, 3);
		assert_true(ring_owns(&one.table, slot, ring_owner(&one.table, slot, 2)));
		assert_int_equal(ring_owner(&one.table, slot, 3), RING_NOBODY);
	}
}

static void
nothing_moves_between_equal_tables_and_all_to_the_first_member(void **state)
{
	struct ring_movement moved;

	(void)state;
	ring_rig_named(&one.topology, "n", 5, 3);
	ring_rig_build(&one);
	two = one;
	moved = ring_moved(&one, &two);
	assert_int_equal(moved.copies, 0);
	assert_int_equal(moved.firsts, 0);
	ring_rig_named(&one.topology, "n", 0, 3);
	ring_rig_build(&one);
	moved = ring_moved(&one, &two);
	assert_int_equal(moved.copies, 3 * SLOT_COUNT);
	assert_int_equal(moved.firsts, SLOT_COUNT);
	moved = ring_moved(&two, &one);
	assert_int_equal(moved.copies, 0);
}

static void
movement_is_what_counting_by_id_says(void **state)
{
	uint32_t copies = 0, firsts = 0;
	struct ring_movement moved;

	(void)state;
	ring_rig_named(&one.topology, "n", 6, 2);
	two = one;
	assert_true(ring_topology_remove(&two.topology, one.topology.members[2].id)); /* positions behind it shift */
	ring_rig_build(&one);
	ring_rig_build(&two);
	for (uint16_t slot = 0; slot < SLOT_COUNT; slot++)
		for (unsigned n = 0; n < 2; n++) {
			uint64_t id = two.topology.members[ring_owner(&two.table, slot, n)].id;
			bool first = one.topology.members[ring_owner(&one.table, slot, 0)].id == id;
			bool second = one.topology.members[ring_owner(&one.table, slot, 1)].id == id;

			copies += !first && !second;
			firsts += n == 0 && !first;
		}
	moved = ring_moved(&one, &two);
	assert_int_equal(moved.copies, copies);
	assert_int_equal(moved.firsts, firsts);
	assert_true(copies > SLOT_COUNT / 6 && firsts > 0);
}

static void
the_table_digest_tells_one_owner_changed(void **state)
{
	uint64_t digest;

	(void)state;
	ring_rig_named(&one.topology, "n", 5, 2);
	ring_rig_build(&one);
	digest = ring_table_digest(&one.table);
	one.table.owners[1][16383] ^= 1;
	assert_true(ring_table_digest(&one.table) != digest);
	one.table.owners[1][16383] ^= 1;
	assert_true(ring_table_digest(&one.table) == digest);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_stand_by_id_however_they_came),
		cmocka_unit_test(a_member_comes_once_and_goes_once),
		cmocka_unit_test(a_topology_holds_1024_members),
		cmocka_unit_test(every_fault_is_named),
		cmocka_unit_test(the_digest_tells_every_field_but_the_epoch),
		cmocka_unit_test(ring_size_is_the_weight_of_those_that_own),
		cmocka_unit_test(owners_and_their_ranks_are_told),
		cmocka_unit_test(nothing_moves_between_equal_tables_and_all_to_the_first_member),
		cmocka_unit_test(movement_is_what_counting_by_id_says),
		cmocka_unit_test(the_table_digest_tells_one_owner_changed),
	};

	return cmocka_run_group_tests_name("ring_topology", tests, NULL, NULL);
}
