/* Unit tests of lib/proto/topology.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/topology.h"

static struct view
composed_topology(uint8_t *bytes, size_t size, uint16_t node_count)
{
	struct topology topology = {
		.epoch = 7, .rule = TOPOLOGY_ONE_NODE, .slot_count = SLOT_COUNT, .node_count = node_count,
	};
	struct writer out = writer_of(bytes, size);

	topology_compose(&out, &topology);
	for (uint16_t i = 0; i < node_count; i++) {
		struct topology_node node = {
			.ip = { [10] = 0xff, [11] = 0xff, [12] = 10, [15] = (uint8_t)i }, .index = i,
			.first_port = 7411, .worker_count = 4, .state = TOPOLOGY_NODE_ALIVE,
		};

		topology_node_compose(&out, &node);
	}
	assert_false(out.failed);
	return view_of(bytes, (uint32_t)(out.at - bytes));
}

static void
a_topology_is_read_as_it_was_written(void **state)
{
	static uint8_t bytes[TOPOLOGY_SIZE_MAX];
	struct topology topology;
	struct topology_node node;

	(void)state;
	assert_true(topology_parse(composed_topology(bytes, sizeof bytes, TOPOLOGY_NODES_MAX), &topology));
	assert_int_equal(topology.epoch, 7);
	assert_int_equal(topology.rule, TOPOLOGY_ONE_NODE);
	assert_int_equal(topology.slot_count, SLOT_COUNT);
	assert_int_equal(topology.node_count, TOPOLOGY_NODES_MAX);
	topology_node(&topology, 1023, &node);
	assert_int_equal(node.index, 1023);
	assert_int_equal(node.ip[15], 255);
	assert_int_equal(topology_port(&node, 6), 7413);
}

static void
a_topology_with_longer_entries_is_read(void **state)
{
	uint8_t bytes[TOPOLOGY_HEADER_LEN + 2 * 30];
	struct view value = composed_topology(bytes, sizeof bytes, 2);
	struct topology topology;
	struct topology_node node;

	(void)state;
	(void)value;
	memmove(bytes + TOPOLOGY_HEADER_LEN + 30, bytes + TOPOLOGY_HEADER_LEN + TOPOLOGY_NODE_LEN, TOPOLOGY_NODE_LEN);
	store_le16(bytes + 10, 30);
	assert_true(topology_parse(view_of(bytes, sizeof bytes), &topology));
	topology_node(&topology, 1, &node);
	assert_int_equal(node.index, 1);
	assert_int_equal(node.first_port, 7411);
}

static void
a_topology_that_makes_no_sense_is_refused(void **state)
{
	const struct {
		uint8_t at, value;
	} bad[] = {
		{ 4, 0 }, { 6, 0 }, { 6, 1 }, { 6, 3 }, { 9, 0 }, { 10, 23 }, { 12, 1 },
		{ 16 + 16, 1 } /* order */, { 16 + 24 + 17, 4 } /* index over 1023 */, { 16 + 20, 0 }, { 16 + 20, 17 },
		{ 16 + 22, 1 },
	};
	uint8_t bytes[TOPOLOGY_HEADER_LEN + 2 * TOPOLOGY_NODE_LEN];
	struct view value = composed_topology(bytes, sizeof bytes, 2);
	struct topology topology;

	(void)state;
	assert_true(topology_parse(value, &topology));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		uint8_t was = bytes[bad[i].at];

		bytes[bad[i].at] = bad[i].value;
		if (topology_parse(value, &topology))
			fail_msg("byte %u = %u was taken", bad[i].at, bad[i].value);
		bytes[bad[i].at] = was;
	}
	for (uint32_t len = 0; len < value.len; len++)
		assert_false(topology_parse(view_of(bytes, len), &topology));
	store_le16(bytes + 16 + 24 + 16, TOPOLOGY_NODES_MAX);
	assert_false(topology_parse(value, &topology));
	store_le16(bytes + 16 + 24 + 16, TOPOLOGY_NODES_MAX - 1);
	assert_true(topology_parse(value, &topology));
	bytes[16 + 20] = WORKER_MAX;
	store_le16(bytes + 16 + 18, 65536 - WORKER_MAX); /* the last port is 65535 */
	assert_true(topology_parse(value, &topology));
	bytes[16 + 20] = 4;
	store_le16(bytes + 16 + 18, 65533); /* four workers would pass port 65535 */
	assert_false(topology_parse(value, &topology));
}

/* Three members, with everything that rule 2 has. */
static struct view
composed_members(uint8_t *bytes, size_t size)
{
	struct topology topology = { .epoch = 9, .rule = TOPOLOGY_RENDEZVOUS, .slot_count = SLOT_COUNT,
		.node_count = 3, .replication = 2 };
	struct writer out = writer_of(bytes, size);

	topology_compose(&out, &topology);
	for (uint16_t i = 0; i < 3; i++) {
		struct topology_node node = { .ip = { [15] = (uint8_t)(i + 1) }, .index = (uint16_t)(5 * i),
			.first_port = 7411, .worker_count = 2, .state = (uint8_t)(TOPOLOGY_NODE_ALIVE + i),
			.weight = (uint16_t)(64 + i), .rack = 0x1000000u + i, .id = 0x1122334455667788ull + i };

		topology_member_compose(&out, &node);
	}
	assert_false(out.failed);
	return view_of(bytes, (uint32_t)(out.at - bytes));
}

static void
members_are_read_as_they_were_written(void **state)
{
	uint8_t bytes[TOPOLOGY_HEADER_LEN + 3 * TOPOLOGY_MEMBER_LEN];
	struct topology topology;
	struct topology_node node;

	(void)state;
	assert_true(topology_parse(composed_members(bytes, sizeof bytes), &topology));
	assert_int_equal(topology.rule, TOPOLOGY_RENDEZVOUS);
	assert_int_equal(topology.replication, 2);
	assert_int_equal(topology.node_len, TOPOLOGY_MEMBER_LEN);
	topology_node(&topology, 2, &node);
	assert_int_equal(node.ip[15], 3);
	assert_int_equal(node.index, 10);
	assert_int_equal(node.state, TOPOLOGY_NODE_DEAD);
	assert_int_equal(node.weight, 66);
	assert_int_equal(node.rack, 0x1000002);
	assert_true(node.id == 0x112233445566778aull);
}

static void
a_member_of_rule_1_has_no_weight(void **state)
{
	uint8_t bytes[TOPOLOGY_HEADER_LEN + TOPOLOGY_NODE_LEN];
	struct topology topology;
	struct topology_node node;

	(void)state;
	memset(&node, 0xff, sizeof node);
	assert_true(topology_parse(composed_topology(bytes, sizeof bytes, 1), &topology));
	topology_node(&topology, 0, &node);
	assert_int_equal(node.weight, 0);
	assert_int_equal(node.rack, 0);
	assert_true(node.id == 0);
}

static void
members_that_make_no_sense_are_refused(void **state)
{
	enum { SECOND = TOPOLOGY_HEADER_LEN + TOPOLOGY_MEMBER_LEN };
	const struct {
		uint8_t at, value;
	} bad[] = {
		{ 4, 1 } /* a replication without rule 2 */, { 9, 0x20 } /* other slots */, { 10, 39 }, { 10, 24 },
		{ 12, 0 }, { 12, 6 }, { 13, 1 }, { 14, 1 }, { 15, 1 }, { SECOND + 21, 0 }, { SECOND + 21, 7 },
		{ SECOND + 36, 0 } /* weight */, { SECOND + 38, 1 }, { SECOND + 39, 1 }, { SECOND + 16, 0 } /* order */,
	};
	uint8_t bytes[TOPOLOGY_HEADER_LEN + 3 * TOPOLOGY_MEMBER_LEN];
	struct view value = composed_members(bytes, sizeof bytes);
	struct topology topology;

	(void)state;
	assert_true(topology_parse(value, &topology));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		uint8_t was = bytes[bad[i].at];

		bytes[bad[i].at] = bad[i].value;
		if (topology_parse(value, &topology))
			fail_msg("byte %u = %u was taken", bad[i].at, bad[i].value);
		bytes[bad[i].at] = was;
	}
	for (uint32_t len = 0; len < value.len; len++)
		assert_false(topology_parse(view_of(bytes, len), &topology));
}

/* What a later version may add does not stop an older client. */
static void
members_with_longer_entries_are_read(void **state)
{
	enum { LONGER = TOPOLOGY_MEMBER_LEN + 4 };
	uint8_t bytes[TOPOLOGY_HEADER_LEN + 3 * LONGER];
	struct topology topology;
	struct topology_node node;

	(void)state;
	composed_members(bytes, sizeof bytes);
	for (int i = 2; i >= 0; i--)
		memmove(bytes + TOPOLOGY_HEADER_LEN + i * LONGER, bytes + TOPOLOGY_HEADER_LEN + i * TOPOLOGY_MEMBER_LEN,
		    TOPOLOGY_MEMBER_LEN);
	store_le16(bytes + 10, LONGER);
	assert_true(topology_parse(view_of(bytes, sizeof bytes), &topology));
	topology_node(&topology, 1, &node);
	assert_int_equal(node.index, 5);
	assert_int_equal(node.weight, 65);
}

/* It owns its slots all the same, so that everybody has one table. */
static void
a_member_may_be_nobody_knows_where(void **state)
{
	uint8_t bytes[TOPOLOGY_HEADER_LEN + 3 * TOPOLOGY_MEMBER_LEN];
	struct view value = composed_members(bytes, sizeof bytes);
	struct topology topology;
	struct topology_node node;

	(void)state;
	store_le16(bytes + TOPOLOGY_HEADER_LEN + TOPOLOGY_MEMBER_LEN + 18, 0);
	assert_true(topology_parse(value, &topology));
	topology_node(&topology, 1, &node);
	assert_int_equal(node.first_port, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_topology_is_read_as_it_was_written),
		cmocka_unit_test(a_topology_with_longer_entries_is_read),
		cmocka_unit_test(a_topology_that_makes_no_sense_is_refused),
		cmocka_unit_test(members_are_read_as_they_were_written),
		cmocka_unit_test(a_member_of_rule_1_has_no_weight),
		cmocka_unit_test(members_that_make_no_sense_are_refused),
		cmocka_unit_test(members_with_longer_entries_are_read),
		cmocka_unit_test(a_member_may_be_nobody_knows_where),
	};

	return cmocka_run_group_tests_name("topology", tests, NULL, NULL);
}
