/* Connections through serve: passes, their order, several in a burst, ends; with a small protocol (support/lines.h). */
#include "tests/unit/stream_rig.h"

#include "base/prng.h"
#include "serve/stream.h"

static int
start_one(void **state)
{
	(void)state;
	rig_streams_start(1);
	return 0;
}

static int
start_four(void **state)
{
	(void)state;
	rig_streams_start(4);
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
	struct turn turn = { .id = { 3, 1 }, .service = SERVICE_NATIVE, .opened = true, .blocks = &rig_blocks[0] };

	(void)state;
	rig.before = NULL;
	rig.workers[0]->s.burst.turns = &turn;
	rig.workers[0]->s.burst.turn_count = 1;
	rig_poll(0);
	assert_true(turn.abort);
	rig.before = rig_streams_before;
}

/* Text of a command with a key of each worker. */
static const char *
keyed(const char *format, uint32_t worker)
{
	static char texts[16][128];
	static uint32_t at;
	char *text = texts[at++ % 16];

	snprintf(text, sizeof texts[0], format, rig_key_of(worker, 0));
	return text;
}

static void
writes_of_other_workers_keys_are_asked_for_and_answered_in_order(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);

	(void)state;
	for (uint32_t w = 0; w < 4; w++)
		rig_write(s, keyed("get %s\n", w));
	for (uint32_t w = 0; w < 4; w++)
		rig_write(s, keyed("set %s 1\n", w));
	for (uint32_t w = 0; w < 4; w++)
		rig_write(s, keyed("append %s 2\n", w));
	for (uint32_t w = 0; w < 4; w++)
		rig_write(s, keyed("get %s\n", w));
	rig_write(s, "ping\n");
	rig_talk(s, keyed("incr %s 5\n", 3), "not_found\nnot_found\nnot_found\nnot_found\nok\nok\nok\nok\nok\nok\nok\nok\n"
	    "=12\n=12\n=12\n=12\nok\n17\n");
	assert_int_equal(rig_counter(COUNTER_MAIL_SENT), 3 * 4 + 1);
}

static void
a_flush_is_between_what_is_before_and_behind_it(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);
	uint64_t flushes = rig_counter(COUNTER_CMD_FLUSH);

	(void)state;
	for (uint32_t w = 0; w < 4; w++)
		rig_write(s, keyed("set %s 1\n", w));
	for (uint32_t w = 0; w < 4; w++)
		rig_write(s, keyed("get %s\n", w));
	rig_write(s, "flush\n");
	for (uint32_t w = 0; w < 4; w++)
		rig_write(s, keyed("get %s\n", w));
	for (uint32_t w = 0; w < 4; w++)
		rig_write(s, keyed("set %s 2\n", w));
	rig_write(s, "flush\nping\n");
	for (uint32_t w = 0; w < 4; w++)
		rig_write(s, keyed("get %s\n", w));
	rig_talk(s, "", "ok\nok\nok\nok\n=1\n=1\n=1\n=1\nok\nnot_found\nnot_found\nnot_found\nnot_found\nok\nok\nok\nok\nok\nok\n"
	    "not_found\nnot_found\nnot_found\nnot_found\n");
	assert_int_equal(rig_counter(COUNTER_CMD_FLUSH) - flushes, 2);
}

static void
what_a_guard_guards_is_run_with_it_or_not_at_all(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);
	char text[256];

	(void)state;
	for (uint32_t w = 0; w < 4; w++) {
		const char *key = rig_key_of(w, 0);

		snprintf(text, sizeof text, "guard %s 0 3;set %s 1;get %s;append %s 2;get %s\n", key, key, key, key, key);
		rig_talk(s, text, "ok\nok\n=1\nok\n=12\n");
		rig_talk(s, text, "changed\nchanged\nchanged\nchanged\n=12\n");
		snprintf(text, sizeof text, "ping\nguard %s 99 100;set %s 7\nget %s\n", key, key, key);
		rig_talk(s, text, "ok\nchanged\nchanged\nchanged\n"); /* to the end of the pass, not further */
		snprintf(text, sizeof text, "get %s\n", key);
		rig_talk(s, text, "=12\n");
	}
}

static void
jobs_of_a_shard_are_run_by_its_worker(void **state)
{
	struct rig_stream *s = rig_connect(1, 0);

	(void)state;
	for (uint32_t w = 0; w < 4; w++)
		for (uint32_t n = 0; n <= w; n++) {
			char text[64];

			snprintf(text, sizeof text, "set %s 1\n", rig_key_of(w, n));
			rig_talk(s, text, "ok\n");
		}
	rig_talk(s, "keys 0\nkeys 1\nkeys 2\nkeys 3\n", "1 keys 6 bytes\n2 keys 12 bytes\n3 keys 19 bytes\n4 keys 26 bytes\n");
}

static void
a_connection_that_ends_while_it_waits_leaves_nothing(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);
	uint32_t away;

	(void)state;
	rig_settle();
	away = 2;
	rig.workers[away]->stuck = true;
	rig_write(s, keyed("set %s 1\n", 1));
	rig_write(s, keyed("set %s 1\n", away));
	rig_settle();
	assert_true(s->paused);
	assert_int_equal(s->out.len, 0);
	rig_hang_up(s);
	assert_true(rig_blocks[0].used > 0);
	rig.workers[away]->stuck = false;
	rig_settle();
	assert_int_equal(rig_blocks[0].used, 0);
	/* The index is another connection's by then. */
	s = rig_connect(0, 0);
	rig_talk(s, keyed("get %s\n", away), "=1\n");
}

static void
what_finds_no_slot_waits_for_one(void **state)
{
	static struct rig_stream *s[RIG_STREAMS];

	(void)state;
	for (uint32_t k = 0; k < RIG_STREAMS; k++)
		s[k] = rig_connect(0, k);
	rig_settle();
	rig.workers[1]->stuck = rig.workers[2]->stuck = true;
	for (uint32_t k = 0; k < RIG_STREAMS; k++) {
		rig_write(s[k], keyed("incr %s 1\n", 1));
		rig_write(s[k], keyed("set %s 1\n", 2));
	}
	rig_settle();
	assert_int_equal(rig.workers[1]->inbox_count, DEFERRED_MAX / 2);
	for (uint32_t k = 0; k < RIG_STREAMS; k += 7)
		rig_hang_up(s[k]);
	rig.workers[1]->stuck = rig.workers[2]->stuck = false;
	rig_settle();
	for (uint32_t k = 0; k < RIG_STREAMS; k++)
		if (k % 7 != 0)
			assert_string_equal(rig_read(s[k]), "not_found\nok\n");
}

static void
memory_used_up_is_told_to_who_would_have_to_be_asked(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);
	void *pieces[64];
	uint32_t sizes[64], count = 0;

	(void)state;
	rig_talk(s, "ping\n", "ok\n");
	rig_write(s, "ping\n");
	rig_settle(); /* its output has a block with some room now */
	for (uint32_t size = BLOCK_MAX; size >= BLOCK_MIN; size /= 2)
		while ((pieces[count] = blocks_take(&rig_blocks[0], size)))
			sizes[count++] = size;
	rig_write(s, keyed("get %s\n", 1));
	rig_write(s, keyed("set %s 1\n", 1));
	rig_write(s, keyed("set %s 1\n", 0));
	rig_settle();
	assert_string_equal(rig_read(s), "ok\nnot_found\nbusy\nok\n");
	while (count-- > 0)
		blocks_give(&rig_blocks[0], pieces[count], sizes[count]);
}

static void
an_asked_worker_that_had_no_packet_is_busy(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);
	struct deferred *slot;

	(void)state;
	rig_settle();
	rig.workers[1]->stuck = true;
	rig_write(s, keyed("set %s 1\n", 1));
	rig_settle();
	assert_int_equal(rig.workers[1]->inbox_count, 1);
	slot = rig.workers[1]->inbox[0];
	rig.workers[1]->inbox_count = 0;
	slot->done = true;
	rig.workers[0]->inbox[rig.workers[0]->inbox_count++] = slot;
	rig_settle();
	assert_string_equal(rig_read(s), "busy\n");
}

/* --- large values --- */

static char *
large(uint32_t len)
{
	char *value = malloc(len + 1);

	for (uint32_t i = 0; i < len; i++)
		value[i] = (char)('a' + i * 7 % 26);
	value[len] = 0;
	return value;
}

/* Sends a value in pieces, and reads it back from another connection. */
static void
send_body(struct rig_stream *s, const char *key, uint32_t len, uint32_t piece)
{
	char *value = large(len), *text = malloc(len + 100);

	sprintf(text, "ping\nbody %s %u\n", key, len);
	rig_write(s, text);
	for (uint32_t at = 0; at < len; at += piece) {
		rig_put(s, value + at, piece < len - at ? piece : len - at);
		rig_settle();
	}
	rig_talk(s, "\nping\n", "ok\nok\nok\n");
	sprintf(text, "get %s\n", key);
	rig_write(s, text);
	rig_settle();
	sprintf(text, "=%s\n", value);
	assert_string_equal(rig_read(s), text);
	free(value);
	free(text);
}

static void
large_values_go_straight_into_their_item_or_to_their_owner(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);

	(void)state;
	for (uint32_t w = 0; w < 4; w++) {
		send_body(s, rig_key_of(w, 0), 1024, 100);
		send_body(s, rig_key_of(w, 1), 100000, 1460);
		send_body(s, rig_key_of(w, 2), VALUE_LEN_MAX, 65536);
	}
}

/* The last bytes of a value, commands behind it and the end of the client's words may come at once. */
static void
what_stands_behind_a_large_value_is_answered_when_the_client_has_finished(void **state)
{
	enum { LEN = 100000 };
	static const struct {
		enum service service;
		const char *behind, *answers;
	} cases[] = {
		{ SERVICE_RESP, "\r\nSTRLEN %s\r\nPING\r\n", "+OK\r\n:100000\r\n+PONG\r\n" },
		{ SERVICE_MEMCACHED_STREAM, "\r\nmg %s s\r\nmn\r\n", "STORED\r\nHD s100000\r\nMN\r\n" },
	};
	char *value = large(LEN);

	(void)state;
	for (uint32_t i = 0; i < 8; i++) { /* keys of this worker, and of others */
		const char *key = rig_key_of(i / 2, i);
		struct rig_stream *s = rig_connect(0, i);
		char text[200];

		s->service = cases[i % 2].service;
		if (i % 2)
			snprintf(text, sizeof text, "set %s 0 0 %u\r\n", key, LEN);
		else
			snprintf(text, sizeof text, "*3\r\n$3\r\nSET\r\n$%u\r\n%s\r\n$%u\r\n", (unsigned)strlen(key), key, LEN);
		rig_write(s, text);
		rig_put(s, value, LEN / 2);
		rig_settle();
		rig_put(s, value + LEN / 2, LEN / 2);
		snprintf(text, sizeof text, cases[i % 2].behind, key);
		rig_write(s, text);
		s->finished = true;
		rig_settle();
		assert_string_equal(rig_read(s), cases[i % 2].answers);
		assert_true(s->closing);
	}
	free(value);
}

static void
a_large_value_behind_a_pass_that_waits_has_its_room_afterwards(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);
	char *value = large(5000), text[6000];

	(void)state;
	rig_settle();
	rig.workers[1]->stuck = true;
	rig_write(s, keyed("set %s 1\n", 1));
	rig_write(s, keyed("body %s 5000\n", 2));
	rig_put(s, value, 4000);
	rig_settle();
	assert_true(s->paused);
	rig.workers[1]->stuck = false;
	rig_settle();
	assert_string_equal(rig_read(s), "ok\n");
	rig_put(s, value + 4000, 1000);
	rig_talk(s, "\n", "ok\n");
	rig_write(s, keyed("get %s\n", 2));
	rig_settle();
	snprintf(text, sizeof text, "=%s\n", value);
	assert_string_equal(rig_read(s), text);
	free(value);
}

static void
a_value_without_room_is_swallowed_and_the_stream_stays_in_step(void **state)
{
	struct rig_stream *s = rig_connect(0, 0);
	void *pieces[64];
	uint32_t sizes[64], count = 0;
	char *value = large(300000);

	(void)state;
	rig_talk(s, "ping\n", "ok\n");
	/* All but small pieces. */
	for (uint32_t size = BLOCK_MAX; size > 65536; size /= 2)
		while ((pieces[count] = blocks_take(&rig_blocks[0], size)))
			sizes[count++] = size;
	blocks_give(&rig_blocks[0], pieces[--count], 131072);
	rig_write(s, keyed("body %s 300000\n", 1));
	rig_settle();
	rig_put(s, value, 300000);
	rig_write(s, "\n");
	rig_talk(s, keyed("get %s\nping\n", 1), "out_of_memory\nnot_found\nok\n");
	while (count-- > 0)
		blocks_give(&rig_blocks[0], pieces[count], sizes[count]);
	free(value);
}

static void
conditions_of_a_large_value_are_looked_at_when_it_is_there(void **state)
{
	struct rig_stream *s = rig_connect(0, 0), *other = rig_connect(0, 1);
	char *value = large(5000), text[128];
	const char *key = rig_key_of(0, 0);
	struct shard_stats before, after;

	(void)state;
	store_stats(rig.store, &before);
	snprintf(text, sizeof text, "guard %s 0 1;body %s 5000\n", key, key);
	rig_write(s, text);
	rig_put(s, value, 4999);
	rig_settle();
	snprintf(text, sizeof text, "set %s 1\n", key);
	rig_talk(other, text, "ok\n");
	rig_put(s, value + 4999, 1);
	rig_talk(s, "\n", "ok\nok\n"); /* the guard was asked before: it is the protocol's to keep a command together */
	store_stats(rig.store, &after);
	assert_int_equal(after.items, before.items + 1);
	free(value);
}

static void
a_connection_that_ends_in_a_value_gives_its_room_back(void **state)
{
	char *value = large(100000);

	(void)state;
	for (uint32_t w = 0; w < 4; w++) {
		struct rig_stream *s = rig_connect(0, w), *t = rig_connect(0, 10 + w);

		rig_write(s, keyed("body %s 100000\n", w));
		rig_put(s, value, 50000);
		rig_write(t, keyed("body %s 100000\n", w));
		rig_put(t, value, 50000);
		t->finished = true;
		rig_settle();
		assert_true(t->closing);
		rig_hang_up(s);
		rig_hang_up(t);
	}
	assert_int_equal(rig_blocks[0].used, 0);
	free(value);
}

/* --- the protocols that are served --- */

static const struct {
	uint8_t service;
	const char *text, *answer;
} conversations[] = {
	{ SERVICE_RESP, "SET a 1\r\nSET b 2\r\nSET c 3\r\nMGET a b c d\r\nINCR a\r\nDEL a b x\r\nDBSIZE\r\n",
	    "+OK\r\n+OK\r\n+OK\r\n*4\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$-1\r\n:2\r\n:2\r\n:1\r\n" },
	{ SERVICE_RESP, "MSET a 1 b 2 c 3 d 4\r\nGETSET c 5\r\nAPPEND d xyz\r\nEXISTS a b c d e\r\nFLUSHALL\r\nMGET a b\r\nSET a 7\r\nDBSIZE\r\n",
	    "+OK\r\n$1\r\n3\r\n:4\r\n:4\r\n+OK\r\n*2\r\n$-1\r\n$-1\r\n+OK\r\n:1\r\n" },
	{ SERVICE_RESP, "MULTI\r\nSET {t}a 1\r\nINCR {t}a\r\nGET {t}a\r\nEXEC\r\nMULTI\r\nSET x 1\r\nSET y 2\r\nSET z 3\r\nEXEC\r\nMGET x y z\r\n",
	    "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n:2\r\n$1\r\n2\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n+OK\r\n+OK\r\n"
	    "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n" },
	{ SERVICE_RESP, "MSETNX {u}a 1 {u}b 2\r\nMSETNX {u}b 3 {u}c 4\r\nMGET {u}a {u}b {u}c\r\nINCRBYFLOAT f 1.5\r\nINCRBYFLOAT f 1.25\r\nSETRANGE r 3 abc\r\nSTRLEN r\r\n",
	    ":1\r\n:0\r\n*3\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n$3\r\n1.5\r\n$4\r\n2.75\r\n:6\r\n:6\r\n" },
	{ SERVICE_RESP, "SET {w}k 1\r\nWATCH {w}k\r\nSET {w}k 2\r\nMULTI\r\nSET {w}k 3\r\nEXEC\r\nGET {w}k\r\nWATCH {w}k\r\nMULTI\r\nSET {w}k 4\r\nEXEC\r\nGET {w}k\r\n",
	    "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*-1\r\n$1\r\n2\r\n+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n$1\r\n4\r\n" },
	{ SERVICE_MEMCACHED_STREAM, "set a 0 0 1\r\n1\r\nset b 0 0 1\r\n2\r\nset c 0 0 1\r\n3\r\nget a b c d\r\nincr a 41\r\nappend b 0 0 1\r\nx\r\n"
	    "get b\r\ndelete c\r\nadd a 0 0 1\r\n9\r\nflush_all\r\nget a b\r\n",
	    "STORED\r\nSTORED\r\nSTORED\r\nVALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\nVALUE c 0 1\r\n3\r\nEND\r\n42\r\nSTORED\r\nVALUE b 0 2\r\n2x\r\nEND\r\n"
	    "DELETED\r\nNOT_STORED\r\nOK\r\nEND\r\n" },
	{ SERVICE_MEMCACHED_STREAM, "ms k 2 T0\r\nhi\r\nmg k v t\r\nmg n v\r\nma c N0 J5 v\r\nma c D2 v\r\nmd k\r\nmg k v\r\nmn\r\n",
	    "HD\r\nVA 2 t-1\r\nhi\r\nEN\r\nVA 1\r\n5\r\nVA 1\r\n7\r\nHD\r\nEN\r\nMN\r\n" },
};

static void
conversations_of_the_protocols(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < sizeof conversations / sizeof *conversations; i++)
		for (uint32_t piece = 7; piece < 10000; piece *= 1000) {
			struct rig_stream *s = rig_connect(i % rig.worker_count, 2 * i + (piece > 7));
			uint32_t len = (uint32_t)strlen(conversations[i].text);

			s->service = conversations[i].service;
			for (uint32_t at = 0; at < len; at += piece) {
				rig_put(s, conversations[i].text + at, piece < len - at ? piece : len - at);
				rig_settle();
			}
			assert_string_equal(rig_read(s), conversations[i].answer);
			store_flush(rig.store, &rig.now, 0);
		}
}

/* --- against a model --- */

enum { MODEL_KEYS = 12, MODEL_VALUE = 8000 };

struct model {
	char values[MODEL_KEYS][MODEL_VALUE * 3];
	bool there[MODEL_KEYS];
	char *answer;
	size_t answer_len;
};

static void
model_say(struct model *model, const char *text)
{
	size_t len = strlen(text);

	model->answer = realloc(model->answer, model->answer_len + len + 1);
	memcpy(model->answer + model->answer_len, text, len + 1);
	model->answer_len += len;
}

/* One random command: its text, and what it comes to. */
static void
model_command(struct model *model, struct rig_stream *s, struct prng *prng, uint32_t first, bool flushes)
{
	static char text[MODEL_VALUE + 200];
	uint32_t k = (uint32_t)prng_below(prng, MODEL_KEYS), what = (uint32_t)prng_below(prng, flushes ? 13 : 12);
	char *value = model->values[k];
	bool there = model->there[k];

	if (what < 5) {
		snprintf(text, sizeof text, "get m%u\n", first + k);
		model_say(model, there ? "=" : "not_found");
		model_say(model, there ? value : "");
		model_say(model, "\n");
	} else if (what < 8 || (what < 10 && !there)) {
		uint32_t len = (uint32_t)prng_below(prng, 10) == 0 ? 1 + (uint32_t)prng_below(prng, MODEL_VALUE) : 3;
		char *bytes = large(len);
		bool add = what == 7;

		snprintf(text, sizeof text, "%s m%u %s\n", add ? "add" : "set", first + k, bytes);
		if (!add || !there)
			strcpy(value, bytes);
		model_say(model, !add || !there ? "ok\n" : "not_stored\n");
		model->there[k] = true;
		free(bytes);
	} else if (what < 10 && strlen(value) < MODEL_VALUE * 2) {
		snprintf(text, sizeof text, "append m%u xyz\n", first + k);
		strcat(value, "xyz");
		model_say(model, "ok\n");
	} else if (what < 12) {
		if (prng_below(prng, 2)) {
			uint32_t len = 1 + (uint32_t)prng_below(prng, MODEL_VALUE);
			char *bytes = large(len);

			snprintf(text, sizeof text, "body m%u %u\n%s\n", first + k, len, bytes);
			strcpy(value, bytes);
			model->there[k] = true;
			model_say(model, "ok\n");
			free(bytes);
		} else {
			snprintf(text, sizeof text, "del m%u\n", first + k);
			model_say(model, there ? "ok\n" : "not_found\n");
			model->there[k] = false;
		}
	} else {
		strcpy(text, "flush\n");
		memset(model->there, 0, sizeof model->there);
		model_say(model, "ok\n");
	}
	rig_write(s, text);
}

/* Long texts: where they begin to differ. */
static void
assert_same(const char *said, const char *expected)
{
	size_t at = 0, from;

	while (said[at] && said[at] == expected[at])
		at++;
	if (said[at] == expected[at])
		return;
	from = at < 60 ? 0 : at - 60;
	fail_msg("at %zu: \"%.100s\" instead of \"%.100s\"", at, said + from, expected + from);
}

/* Commands come in any portions, while workers poll in any order. */
static void
run_model(uint32_t connections, bool flushes, uint64_t seed)
{
	static struct model models[8];
	struct prng prng = { seed };

	memset(models, 0, sizeof models);
	for (uint32_t c = 0; c < connections; c++)
		rig_connect((uint32_t)prng_below(&prng, 4), c);
	for (uint32_t round = 0; round < 200; round++) {
		for (uint32_t c = 0; c < connections; c++)
			for (uint64_t n = prng_below(&prng, 20); n > 0 && rig_streams[c].input_len < RIG_INPUT / 2; n--)
				model_command(&models[c], &rig_streams[c], &prng, c * MODEL_KEYS, flushes);
		for (uint64_t n = prng_below(&prng, 8); n > 0; n--)
			rig_poll((uint32_t)prng_below(&prng, 4));
		if (round % 10 == 9) {
			rig_settle();
			for (uint32_t c = 0; c < connections; c++) {
				assert_same(rig_read(&rig_streams[c]), models[c].answer ? models[c].answer : "");
				models[c].answer_len = 0;
				if (models[c].answer)
					models[c].answer[0] = 0;
			}
		}
	}
	for (uint32_t c = 0; c < connections; c++)
		free(models[c].answer);
}

static void
random_commands_are_answered_as_by_a_model(void **state)
{
	uint64_t seed = getenv("SLIPRING_SEED") ? strtoull(getenv("SLIPRING_SEED"), NULL, 10) : 11;

	(void)state;
	print_message("SLIPRING_SEED=%llu\n", (unsigned long long)seed);
	run_model(1, true, seed);
}

static void
random_commands_of_several_connections_are_answered_as_by_a_model(void **state)
{
	uint64_t seed = getenv("SLIPRING_SEED") ? strtoull(getenv("SLIPRING_SEED"), NULL, 10) : 12;

	(void)state;
	print_message("SLIPRING_SEED=%llu\n", (unsigned long long)seed);
	run_model(8, false, seed);
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
		TEST(conversations_of_the_protocols),
#define TEST4(f) cmocka_unit_test_setup_teardown(f, start_four, stop)
		TEST4(writes_of_other_workers_keys_are_asked_for_and_answered_in_order),
		TEST4(a_flush_is_between_what_is_before_and_behind_it),
		TEST4(what_a_guard_guards_is_run_with_it_or_not_at_all),
		TEST4(jobs_of_a_shard_are_run_by_its_worker),
		TEST4(a_connection_that_ends_while_it_waits_leaves_nothing),
		TEST4(what_finds_no_slot_waits_for_one),
		TEST4(memory_used_up_is_told_to_who_would_have_to_be_asked),
		TEST4(an_asked_worker_that_had_no_packet_is_busy),
		TEST4(large_values_go_straight_into_their_item_or_to_their_owner),
		TEST4(what_stands_behind_a_large_value_is_answered_when_the_client_has_finished),
		TEST4(a_large_value_behind_a_pass_that_waits_has_its_room_afterwards),
		TEST4(a_value_without_room_is_swallowed_and_the_stream_stays_in_step),
		TEST4(conditions_of_a_large_value_are_looked_at_when_it_is_there),
		TEST4(a_connection_that_ends_in_a_value_gives_its_room_back),
		TEST4(conversations_of_the_protocols),
		TEST4(random_commands_are_answered_as_by_a_model),
		TEST4(random_commands_of_several_connections_are_answered_as_by_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
