/* Connections to a node of a cluster: keys of other nodes, asked for in batches. */
#include "tests/unit/forward_rig.h"

#include "base/prng.h"
#include "tests/unit/stream_rig.h"

static int
start(void **state)
{
	(void)state;
	fleet_also = rig_stream_config;
	fleet_start(3, 2);
	for (uint32_t w = 0; w < 2; w++)
		assert_true(blocks_init(&rig_blocks[w], 16 << 20));
	rigs[0].before = rig_streams_before;
	rigs[0].after = rig_streams_after;
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	rig_node = 0;
	for (uint32_t k = 0; k < RIG_STREAMS; k++)
		rig_streams[k].dead |= rig_streams[k].open;
	fleet_settle();
	for (uint32_t w = 0; w < 2; w++) {
		assert_int_equal(rig_blocks[w].used, 0);
		blocks_deinit(&rig_blocks[w]);
		assert_int_equal(rigs[0].workers[w]->s.serve->defer.out, 0);
	}
	memset(rig_blocks, 0, sizeof rig_blocks);
	for (unsigned node = 0; node < 3; node++) { /* what workers have let go of is found when there is need */
		struct forward *forward = &fleet.forwards[node];

		for (uint32_t i = 0; i < FORWARD_LENT_MAX; i++)
			assert_false(atomic_load(&forward->lents[i].out));
		blocks_check(&forward->blocks);
	}
	fleet_stop();
	return 0;
}

static void
talk(struct rig_stream *s, const char *text, const char *answer)
{
	rig_node = 0;
	rig_write(s, text);
	fleet_settle();
	assert_string_equal(rig_read(s), answer);
}

static const char *
keyed(const char *format, unsigned node)
{
	static char texts[16][128];
	static uint32_t at;
	char *text = texts[at++ % 16];

	snprintf(text, sizeof texts[0], format, fleet_key_of(node, 0));
	return text;
}

static void
keys_of_other_nodes_are_asked_for_and_answered_in_order(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);

	(void)state;
	for (unsigned n = 0; n < 3; n++) {
		rig_write(s, keyed("get %s\n", n));
		rig_write(s, keyed("set %s 1\n", n));
	}
	rig_write(s, "ping\n");
	for (unsigned n = 0; n < 3; n++) {
		rig_write(s, keyed("get %s\n", n));
		rig_write(s, keyed("append %s 2\n", n));
		rig_write(s, keyed("get %s\n", n));
		rig_write(s, keyed("incr %s 30\n", n));
	}
	talk(s, "", "not_found\nok\nnot_found\nok\nnot_found\nok\nok\n=1\nok\n=12\n42\n=1\nok\n=12\n42\n=1\nok\n=12\n42\n");
	assert_true(fleet.forwards[1].counters.run > 0 && fleet.forwards[2].counters.run > 0);
}

static void
large_values_go_to_other_nodes_and_come_from_them(void **state)
{
	static const uint32_t lens[] = { 1024, 5000, 100000, VALUE_LEN_MAX - 1, VALUE_LEN_MAX };
	struct rig_stream *s = rig_connect(1, 0);
	char *value = malloc(VALUE_LEN_MAX + 10);

	(void)state;
	for (unsigned n = 0; n < 3; n++)
		for (uint32_t i = 0; i < sizeof lens / sizeof *lens; i++) {
			char head[128];

			snprintf(head, sizeof head, "body %s %u\n", fleet_key_of(n, 0), lens[i]);
			value[0] = '=';
			memset(value + 1, 'a' + (int)i, lens[i]);
			strcpy(value + 1 + lens[i], "\n");
			rig_node = 0;
			rig_write(s, head);
			rig_put(s, value + 1, 700);
			fleet_settle();
			rig_put(s, value + 701, lens[i] + 1 - 700);
			talk(s, "", "ok\n");
			talk(s, keyed("get %s\n", n), value);
		}
	free(value);
}

static void
many_large_values_of_one_pass_come_in_several_messages(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);
	uint32_t len = 300000;
	char *text = malloc(len + 200), *answer = calloc(1, 10 * (len + 2) + 1);

	(void)state;
	for (uint32_t k = 0; k < 10; k++) {
		uint32_t head = (uint32_t)sprintf(text, "body %s %u\n", fleet_key_of(1, k), len);

		memset(text + head, 'a' + (int)k, len);
		strcpy(text + head + len, "\n");
		sprintf(answer + strlen(answer), "=%.*s", (int)len + 1, text + head);
		talk(s, text, "ok\n");
	}
	for (uint32_t k = 0; k < 10; k++) {
		sprintf(text, "get %s\n", fleet_key_of(1, k));
		rig_write(s, text);
	}
	talk(s, "", answer);
	free(text);
	free(answer);
}

static void
writes_that_need_several_messages_keep_their_order(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);
	uint32_t len = 400000;
	const char *key = fleet_key_of(1, 0);
	char *text = malloc(len + 200);

	(void)state;
	fleet.backwards = true;
	rig_node = 0;
	for (uint32_t k = 0; k < 5; k++) {
		uint32_t head = (uint32_t)sprintf(text, "%s %s ", k ? "append" : "set", key);

		memset(text + head, 'a' + (int)k, k < 2 ? len : 10000);
		strcpy(text + head + (k < 2 ? len : 10000), "\n");
		rig_write(s, text);
	}
	sprintf(text, "set %s last\nget %s\n", key, key);
	rig_write(s, text);
	rig_poll(0);
	fleet_settle();
	assert_string_equal(rig_read(s), "ok\nok\nok\nok\nok\nok\n=last\n");
	free(text);
}

static void
a_flush_is_every_members(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);

	(void)state;
	for (unsigned n = 0; n < 3; n++)
		rig_write(s, keyed("set %s 1\n", n));
	rig_write(s, "flush\n");
	for (unsigned n = 0; n < 3; n++)
		rig_write(s, keyed("get %s\n", n));
	rig_write(s, keyed("set %s 2\n", 1));
	talk(s, keyed("get %s\n", 1), "ok\nok\nok\nok\nnot_found\nnot_found\nnot_found\nok\n=2\n");
	fleet.dead[2] = true;
	talk(s, "flush\nping\n", "partial\nok\n");
	talk(s, keyed("get %s\n", 1), "not_found\n");
	fleet.dead[2] = false;
}

static void
a_guard_holds_on_another_node(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);
	char text[256];

	(void)state;
	for (unsigned n = 0; n < 3; n++) {
		const char *key = fleet_key_of(n, 0);

		snprintf(text, sizeof text, "guard %s 0 2;set %s 1;get %s;ping\n", key, key, key);
		talk(s, text, "ok\nok\n=1\nok\n");
		talk(s, text, "changed\nchanged\nchanged\nok\n");
	}
}

static void
what_is_not_answered_says_why(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);

	(void)state;
	talk(s, keyed("set %s 1\n", 1), "ok\n");
	/* Dead: a get is a miss, a write is told. */
	fleet.dead[1] = true;
	rig_write(s, keyed("get %s\n", 1));
	talk(s, keyed("set %s 2\n", 1), "not_found\nowner_dead\n");
	fleet.dead[1] = false;
	/* Silent. */
	fleet.deaf[1] = true;
	talk(s, keyed("set %s 3\n", 1), "");
	assert_true(s->paused);
	fleet_wait(FORWARD_PATIENCE_NS);
	rig_node = 0;
	assert_string_equal(rig_read(s), "owner_timeout\n");
	fleet.deaf[1] = false;
	/* The link is full for as long as there is patience. */
	fleet.full = true;
	talk(s, keyed("set %s 4\n", 1), "busy\n");
	fleet.full = false;
	talk(s, keyed("get %s\n", 1), "=1\n");
}

static void
tables_that_differ_are_tried_again(void **state)
{
	static const uint8_t without[] = { RING_ALIVE, RING_LEFT, RING_ALIVE };
	struct rig_stream *s = rig_connect(0, 0);
	const char *key = fleet_key_of(1, 0);
	char text[64];

	(void)state;
	/* The others know already that node 1 owns nothing any more: it says so, and time tells. */
	fleet_publish(1, 2, 3, without);
	fleet_publish(2, 2, 3, without);
	snprintf(text, sizeof text, "set %s 1\n", key);
	talk(s, text, "");
	fleet_publish(0, 2, 3, without);
	fleet_settle();
	rig_node = 0;
	assert_string_equal(rig_read(s), "ok\n");
	snprintf(text, sizeof text, "get %s\n", key);
	talk(s, text, "=1\n");
	assert_true(fleet.forwards[0].counters.stale > 0);
}

static void
without_a_topology_all_is_busy(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);
	const struct serve_ring *ring = atomic_load(&fleet.published[0]);

	(void)state;
	atomic_store(&fleet.published[0], NULL);
	talk(s, "ping\nget a\nset a 1\nflush\n", "ok\nbusy\nbusy\nbusy\n");
	atomic_store(&fleet.published[0], ring);
}

static void
a_connection_that_ends_while_nodes_are_asked_leaves_nothing(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);

	(void)state;
	fleet.deaf[1] = true;
	talk(s, keyed("set %s 1\n", 1), "");
	s->dead = true;
	fleet_settle();
	assert_false(s->open);
	fleet_wait(FORWARD_PATIENCE_NS);
	fleet.deaf[1] = false;
}

/* Every connection's keys are its own, so that its answers are known. */
static void
messages_that_are_lost_are_told_or_asked_again(void **state)
{
	uint64_t seed = getenv("SLIPRING_SEED") ? strtoull(getenv("SLIPRING_SEED"), NULL, 10) : 5;
	struct prng prng = { seed };
	unsigned timeouts = 0;
	struct rig_stream *s = rig_connect(0, 0);

	(void)state;
	print_message("SLIPRING_SEED=%llu\n", (unsigned long long)seed);
	fleet.prng.state = seed;
	fleet.loss = 0.2;
	for (uint32_t round = 0; round < 300; round++) {
		unsigned node = (unsigned)prng_below(&prng, 3);
		char text[128], answer[64];
		const char *key = fleet_key_of(node, round % 5);

		snprintf(text, sizeof text, "set %s v%u\nget %s\n", key, round, key);
		snprintf(answer, sizeof answer, "ok\n=v%u\n", round);
		rig_node = 0;
		rig_write(s, text);
		fleet_settle();
		for (unsigned i = 0; i < 3 && s->paused; i++)
			fleet_wait(FORWARD_PATIENCE_NS);
		rig_node = 0;
		assert_false(s->paused);
		if (strcmp(rig_read(s), answer) != 0)
			timeouts++;
	}
	fleet.loss = 0;
	assert_in_range(timeouts, 1, 200);
	for (unsigned i = 0; i < 3; i++)
		fleet_wait(FORWARD_PATIENCE_NS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
		TEST(keys_of_other_nodes_are_asked_for_and_answered_in_order),
		TEST(large_values_go_to_other_nodes_and_come_from_them),
		TEST(many_large_values_of_one_pass_come_in_several_messages),
		TEST(writes_that_need_several_messages_keep_their_order),
		TEST(a_flush_is_every_members),
		TEST(a_guard_holds_on_another_node),
		TEST(what_is_not_answered_says_why),
		TEST(tables_that_differ_are_tried_again),
		TEST(without_a_topology_all_is_busy),
		TEST(a_connection_that_ends_while_nodes_are_asked_leaves_nothing),
		TEST(messages_that_are_lost_are_told_or_asked_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
