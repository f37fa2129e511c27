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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_key_written_at_any_node_is_found_from_every_other, three_nodes, stop),
	};

	(void)incr;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
