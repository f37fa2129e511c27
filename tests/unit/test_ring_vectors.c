/* tests/vectors/ring.json, which the Python implementation wrote: C must compute the same. Run from the top of the tree. */
#include "tests/unit/ring_rig.h"

#include <jansson.h>

#include "ring/slot.h"

static json_t *vectors;
static struct ring_snapshot snapshot;

static uint64_t
hex(const json_t *value)
{
	assert_true(json_is_string(value));
	return strtoull(json_string_value(value), NULL, 16);
}

static uint32_t
number(const json_t *array, size_t i)
{
	assert_true(json_is_integer(json_array_get(array, i)));
	return (uint32_t)json_integer_value(json_array_get(array, i));
}

static void
read_topology(const json_t *vector)
{
	const json_t *members = json_object_get(vector, "members");

	memset(&snapshot.topology, 0, sizeof snapshot.topology);
	snapshot.topology.replication = (uint8_t)json_integer_value(json_object_get(vector, "replication"));
	for (size_t i = 0; i < json_array_size(members); i++) {
		const json_t *from = json_array_get(members, i);
		struct ring_member member = { .id = hex(json_array_get(from, 0)), .index = (uint16_t)number(from, 1),
			.weight = (uint16_t)number(from, 2), .rack = number(from, 3), .state = (uint8_t)number(from, 4) };

		assert_true(ring_topology_add(&snapshot.topology, &member));
	}
	snapshot.topology.digest = ring_topology_digest(&snapshot.topology);
	assert_int_equal(ring_topology_check(&snapshot.topology), RING_OK);
}

static void
expect_shares(const json_t *vector)
{
	static uint16_t capacities[RING_MEMBERS_MAX];
	static uint32_t slots[RING_MEMBERS_MAX], firsts[RING_MEMBERS_MAX];

	ring_capacities(&snapshot.topology, capacities);
	ring_shares(&snapshot.table, slots, firsts);
	for (uint16_t i = 0; i < snapshot.topology.count; i++) {
		assert_int_equal(capacities[i], number(json_object_get(vector, "capacities"), i));
		assert_int_equal(slots[i], number(json_object_get(vector, "slots"), i));
		assert_int_equal(firsts[i], number(json_object_get(vector, "firsts"), i));
	}
}

static void
expect_table(const json_t *vector)
{
	const char *name = json_string_value(json_object_get(vector, "name")), *slot;
	json_t *owners;

	read_topology(vector);
	ring_rig_build(&snapshot);
	ring_rig_check(&snapshot);
	if (snapshot.topology.digest != hex(json_object_get(vector, "topology_digest")))
		fail_msg("%s: another topology digest", name);
	expect_shares(vector);
	json_object_foreach(json_object_get(vector, "owners"), slot, owners) {
		assert_int_equal(json_array_size(owners), snapshot.table.owner_count);
		for (unsigned n = 0; n < snapshot.table.owner_count; n++)
			if (ring_owner(&snapshot.table, (uint16_t)atoi(slot), n) != number(owners, n))
				fail_msg("%s: owner %u of slot %s is %u, not %u", name, n, slot,
				    ring_owner(&snapshot.table, (uint16_t)atoi(slot), n), number(owners, n));
	}
	if (ring_table_digest(&snapshot.table) != hex(json_object_get(vector, "table_digest")))
		fail_msg("%s: another table", name);
}

static void
tables_are_those_of_the_vectors(void **state)
{
	const json_t *tables = json_object_get(vectors, "tables");

	(void)state;
	assert_true(json_array_size(tables) >= 60);
	for (size_t i = 0; i < json_array_size(tables); i++)
		expect_table(json_array_get(tables, i));
}

static void
ids_and_slots_are_those_of_the_vectors(void **state)
{
	const char *text;
	json_t *value;

	(void)state;
	assert_true(json_object_size(json_object_get(vectors, "member_ids")) >= 5);
	json_object_foreach(json_object_get(vectors, "member_ids"), text, value)
		assert_true(ring_member_id(text, strlen(text)) == hex(value));
	assert_true(json_object_size(json_object_get(vectors, "slots")) >= 5);
	json_object_foreach(json_object_get(vectors, "slots"), text, value)
		assert_int_equal(slot_of_key(view_text(text)), json_integer_value(value));
}

static int
read_vectors(void **state)
{
	json_error_t error;

	(void)state;
	vectors = json_load_file("tests/vectors/ring.json", 0, &error);
	if (!vectors)
		fprintf(stderr, "tests/vectors/ring.json:%d: %s (run from the top of the tree)\n", error.line, error.text);
	return vectors ? 0 : -1;
}

static int
drop_vectors(void **state)
{
	(void)state;
	json_decref(vectors);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_those_of_the_vectors),
		cmocka_unit_test(ids_and_slots_are_those_of_the_vectors),
	};

	return cmocka_run_group_tests_name("ring_vectors", tests, read_vectors, drop_vectors);
}
