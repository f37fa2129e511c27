/* Connections through serve: passes, their order, several in a burst, ends; with a small protocol (support/lines.h). */
#include "tests/unit/stream_rig.h"

#include "serve/stream.h"

static int
start_one(void **state)
{
	(void)state;
	rig_streams_start(1);
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	rig_streams_stop();
	return 0;
}

static void
commands_are_answered_in_order(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);

	(void)state;
	rig_talk(s, "get a\n", "not_found\n");
	rig_talk(s, "set a 1\nget a\nset a 2\nget a\ndel a\nget a\n", "ok\n=1\nok\n=2\nok\nnot_found\n");
	rig_talk(s, "set n 5\nincr n 37\nget n;get a\nnonsense\nping\n", "ok\n42\n=42\nnot_found\nbad_request\nok\n");
}

static void
portions_make_no_difference(void **state)
{
	static const char text[] = "set a 1\nget a;get b\nappend a 23\nget a\nflush\nget a\n";
	struct prng prng = { 7 };

	(void)state;
	for (uint32_t round = 0; round < 50; round++) {
		struct rig_stream *s = rig_connect(0, round);
		uint32_t at = 0, len = sizeof text - 1;

		while (at < len) {
			uint32_t part = 1 + prng_below(&prng, round + 1);

			part = part < len - at ? part : len - at;
			rig_put(s, text + at, part);
			at += part;
			rig_settle();
		}
		assert_string_equal(rig_read(s), "ok\n=1\nnot_found\nok\n=123\nok\nnot_found\n");
	}
}

static void
a_command_of_many_operations_takes_several_passes(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);
	char text[8192] = "", answer[8192] = "";

	(void)state;
	for (unsigned i = 0; i < 500; i++) {
		sprintf(text + strlen(text), "%sget k%u", i ? ";" : "", i);
		strcat(answer, i == 400 ? "=x\n" : "not_found\n");
	}
	strcat(text, "\n");
	rig_talk(s, "set k400 x\n", "ok\n");
	rig_talk(s, text, answer);
}

static void
one_turn_has_a_few_passes_in_a_burst_and_others_are_not_held_up(void **state)
{
	struct rig_stream *s = rig_connect(0, 0), *other = rig_connect(0, 1);

	(void)state;
	rig_settle();
	for (unsigned i = 0; i < 10 * FRAME_OPS_MAX; i++)
		rig_write(s, "ping\n");
	rig_write(other, "ping\n");
	rig_poll(0);
	assert_int_equal(s->out.len, 3 * STREAM_PASSES_MAX * FRAME_OPS_MAX);
	assert_int_equal(other->out.len, 3);
	rig_settle();
	assert_int_equal(s->out.len, 3 * 10 * FRAME_OPS_MAX);
}

static void
many_connections_with_full_passes_share_the_burst(void **state)
{
	(void)state;
	for (uint32_t k = 0; k < 100; k++) {
		struct rig_stream *s = rig_connect(0, k);

		for (unsigned i = 0; i < 2 * FRAME_OPS_MAX + 1; i++)
			rig_write(s, "get a\n");
	}
	rig_settle();
	for (uint32_t k = 0; k < 100; k++)
		assert_int_equal(rig_streams[k].out.len, 10 * (2 * FRAME_OPS_MAX + 1));
}

static void
what_is_to_be_settled_is_answered_before_more_is_parsed(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);

	(void)state;
	rig_settle();
	rig_write(s, "ping\nsettle\nping\n");
	rig_poll(0);
	assert_string_equal(rig_read(s), "ok\nok\n");
	rig_settle();
	assert_string_equal(rig_read(s), "ok\n");
}

static void
large_values_are_referred_to_and_stay(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);
	char *value = malloc(100001), *text = malloc(100100);

	(void)state;
	memset(value, 'v', 100000);
	value[100000] = 0;
	sprintf(text, "body big 100000\n%s\n", value);
	rig_talk(s, text, "ok\n");
	rig_write(s, "get big\n");
	rig_settle();
	assert_true(rig_blocks[0].used < 32768);
	/* Meanwhile it is replaced: what is on its way is the old one. */
	rig_write(s, "set big small\n");
	for (unsigned i = 0; i < 100; i++)
		rig_poll(0);
	sprintf(text, "=%s\nok\n", value);
	assert_string_equal(rig_read(s), text);
	free(value);
	free(text);
}

static void
a_connection_ends_when_it_asks_or_the_client_has_finished(void **state)
{
	struct rig_stream *a = rig_connect(0, 0), *b = rig_connect(0, 1);

	(void)state;
	rig_talk(a, "ping\nclose\nping\n", "ok\n");
	assert_true(a->closing);
	rig_write(b, "ping\npi");
	b->finished = true;
	rig_settle();
	assert_string_equal(rig_read(b), "ok\n");
	assert_true(b->closing);
	rig_hang_up(b);
	assert_true(a->open);
}

static void
memory_used_up_ends_the_connection_that_wants_more(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);
	void *pieces[64];
	uint32_t sizes[64], count = 0;

	(void)state;
	rig_talk(s, "ping\n", "ok\n");
	for (uint32_t size = BLOCK_MAX; size >= BLOCK_MIN; size /= 2)
		while ((pieces[count] = blocks_take(&rig_blocks[0], size)))
			sizes[count++] = size;
	rig_write(s, "ping\n");
	rig_settle();
	assert_false(s->open);
	while (count-- > 0)
		blocks_give(&rig_blocks[0], pieces[count], sizes[count]);
}

static void
a_service_without_a_protocol_is_refused(void **state)
{
	struct turn turn = { .id = { 3, 1 }, .service = SERVICE_MEMCACHED_STREAM, .opened = true, .blocks = &rig_blocks[0] };

	(void)state;
	rig.before = NULL;
	rig.workers[0]->burst.turns = &turn;
	rig.workers[0]->burst.turn_count = 1;
	rig_poll(0);
	assert_true(turn.abort);
	rig.before = rig_streams_before;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, start_one, stop)
		TEST(commands_are_answered_in_order),
		TEST(portions_make_no_difference),
		TEST(a_command_of_many_operations_takes_several_passes),
		TEST(one_turn_has_a_few_passes_in_a_burst_and_others_are_not_held_up),
		TEST(many_connections_with_full_passes_share_the_burst),
		TEST(what_is_to_be_settled_is_answered_before_more_is_parsed),
		TEST(large_values_are_referred_to_and_stay),
		TEST(a_connection_ends_when_it_asks_or_the_client_has_finished),
		TEST(memory_used_up_ends_the_connection_that_wants_more),
		TEST(a_service_without_a_protocol_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
