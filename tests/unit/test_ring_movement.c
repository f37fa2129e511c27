/* What a join, a leave or a change of weight may move. */
#include "tests/unit/ring_rig.h"

static struct ring_snapshot before, after;

/* A member more, then its table: copies moved, of the fewest that could. */
static double
join(const char *prefix, uint16_t count, uint8_t replication)
{
	uint32_t owners = count + 1u < replication ? count + 1u : replication;

	ring_rig_named(&before.topology, prefix, count, replication);
	ring_rig_named(&after.topology, prefix, (uint16_t)(count + 1), replication);
	ring_rig_build(&before);
	ring_rig_build(&after);
	return ring_moved(&before, &after).copies * (count + 1.0) / ((double)owners * SLOT_COUNT);
}

static void
expect_joins(uint16_t from, uint16_t to, double most)
{
	for (uint16_t count = from; count <= to; count++)
		for (int trial = 0; trial < 6; trial++) {
			char prefix[16];
			double moved;

			snprintf(prefix, sizeof prefix, "t%d-n", trial);
			moved = join(prefix, count, 3);
			if (moved > most)
				fail_msg("join of member %d (%s) moves %.3f of the ideal", count + 1, prefix, moved);
		}
}

static void
a_join_of_up_to_10_moves_at_most_5_percent_more_than_it_must(void **state)
{
	(void)state;
	expect_joins(1, 9, 1.05);
}

static void
a_join_of_up_to_33_moves_at_most_10_percent_more_than_it_must(void **state)
{
	(void)state;
	expect_joins(10, 32, 1.10);
}

/* What a join brings, a leave takes back: a table knows no history. */
static void
a_leave_undoes_a_join(void **state)
{
	(void)state;
	join("n", 7, 3);
	assert_true(ring_topology_remove(&after.topology, ring_member_id("n8", 2)));
	ring_rig_build(&after);
	assert_memory_equal(&before.topology, &after.topology, sizeof before.topology);
	assert_memory_equal(&before.table, &after.table, sizeof before.table);
}

/* A member that leaves hands on what it had; hardly anything moves between those that stay. */
static void
a_leave_moves_what_the_leaver_had(void **state)
{
	uint32_t slots[10];
	struct ring_movement moved;

	(void)state;
	ring_rig_named(&before.topology, "n", 10, 3);
	after.topology = before.topology;
	after.topology.members[4].state = RING_LEAVING;
	ring_rig_build(&before);
	ring_rig_build(&after);
	ring_shares(&before.table, slots, NULL);
	moved = ring_moved(&before, &after);
	assert_true(moved.copies >= slots[4]);
	assert_true(moved.copies <= slots[4] * 1.05);
}

/* From 64 to 65 of 640: a thousandth or so of all copies have to go there. */
static void
a_little_weight_moves_little(void **state)
{
	struct ring_movement moved;

	(void)state;
	ring_rig_named(&before.topology, "n", 10, 3);
	after.topology = before.topology;
	after.topology.members[0].weight = 65;
	ring_rig_build(&before);
	ring_rig_build(&after);
	ring_rig_check(&after);
	moved = ring_moved(&before, &after);
	assert_true(moved.copies < 3 * SLOT_COUNT / 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_join_of_up_to_10_moves_at_most_5_percent_more_than_it_must),
		cmocka_unit_test(a_join_of_up_to_33_moves_at_most_10_percent_more_than_it_must),
		cmocka_unit_test(a_leave_undoes_a_join),
		cmocka_unit_test(a_leave_moves_what_the_leaver_had),
		cmocka_unit_test(a_little_weight_moves_little),
	};

	return cmocka_run_group_tests_name("ring_movement", tests, NULL, NULL);
}
