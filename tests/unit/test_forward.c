/*
 * Operations on other nodes' keys: cluster/forward, and its ends in lib/serve, as clients of
 * the nodes see them.
 */
#include "tests/unit/forward_rig.h"

static int
stop(void **state)
{
	(void)state;
	fleet_stop();
	return 0;
}

static int
three_nodes(void **state)
{
	(void)state;
	fleet_start(3, 2);
	return 0;
}

static void
assert_status(struct native_result result, enum op_status status)
{
	assert_string_equal(op_status_name(result.status), op_status_name(status));
}

static void
assert_value(struct native_result result, const char *text)
{
	assert_status(result, OP_STATUS_OK);
	assert_int_equal(result.value.len, strlen(text));
	assert_memory_equal(result.value.data, text, result.value.len);
}

static struct request
incr(const char *key, uint64_t delta)
{
	struct request request = rig_request(OP_INCR, key);

	request.flags = REQUEST_CREATE;
	request.delta = delta;
	request.initial = delta;
	return request;
}

static void
a_key_written_at_any_node_is_found_from_every_other(void **state)
{
	char key[16], value[16];

	(void)state;
	for (unsigned at = 0; at < 3; at++)
		for (unsigned i = 0; i < 40; i++) {
			snprintf(key, sizeof key, "k%u-%u", at, i);
			snprintf(value, sizeof value, "v%u-%u", at, i);
			assert_status(fleet_do(at, rig_set(key, value)), OP_STATUS_OK);
			for (unsigned from = 0; from < 3; from++)
				assert_value(fleet_do(from, rig_request(OP_GET, key)), value);
		}
	assert_true(fleet.messages_sent > 0);
	for (unsigned i = 0; i < 3; i++) /* both halves of each node had work */
		assert_true(fleet.forwards[i].counters.asked > 0 && fleet.forwards[i].counters.run > 0);
}

static void
memcached_commands_of_other_nodes_keys_are_answered_in_order(void **state)
{
	const char *a = fleet_key_of(0, 0), *b = fleet_key_of(1, 0), *c = fleet_key_of(2, 0);
	char text[512], expected[512];

	(void)state;
	snprintf(text, sizeof text, "set %s 1 0 2\r\naa\r\nset %s 2 0 2\r\nbb\r\nset %s 3 0 2\r\ncc\r\nget %s\r\nget %s %s nix %s\r\n",
	    a, b, c, b, a, b, c);
	snprintf(expected, sizeof expected, "STORED\r\nSTORED\r\nSTORED\r\nVALUE %s 2 2\r\nbb\r\nEND\r\n"
	    "VALUE %s 1 2\r\naa\r\nVALUE %s 2 2\r\nbb\r\nVALUE %s 3 2\r\ncc\r\nEND\r\n", b, a, b, c);
	for (unsigned at = 0; at < 3; at++)
		for (unsigned worker = 0; worker < 2; worker++)
			assert_string_equal(fleet_say_to(at, worker, text), expected);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(memcached_commands_of_other_nodes_keys_are_answered_in_order, three_nodes, stop),
		cmocka_unit_test_setup_teardown(a_key_written_at_any_node_is_found_from_every_other, three_nodes, stop),
	};

	(void)incr;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
