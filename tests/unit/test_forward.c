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

/* What is said of a key is the same, whichever node is asked: the owner itself, or one that has to ask it. */
static void
memcached_datagrams_ask_other_nodes_for_what_native_has_no_word_for(void **state)
{
	static const char *const frames[] = { "mg K N30 t\r\nmg K v\r\nmg K h\r\n", "ms K 2 T90\r\nhi\r\nmg K R1000 h v\r\nmg K R1000 t h\r\nmg K t\r\n",
		"md K I\r\nmg K t v\r\nmg K v\r\n", "md K I q\r\nmd K q\r\nmn\r\nmg K\r\n", "ma K N60 J5 v t\r\nma K T300 t v\r\nincr K 2\r\ntouch K 60\r\n",
		"ms K 1 I C1\r\n9\r\nmg K v t\r\nmg K T500 t\r\n", "set K 0 0 1\r\nx\r\nflush_all\r\nmg K v\r\nmg K N0\r\nflush_all\r\nget K\r\nmg K N0 t s\r\n" };
	static const char *const said[] = { "HD t30 W\r\nVA 0 Z\r\n\r\nHD h1 Z\r\n", "HD\r\nVA 2 h0 W\r\nhi\r\nHD t90 h1 Z\r\nHD t90 Z\r\n",
		"HD\r\nVA 2 t90 X W\r\nhi\r\nVA 2 Z X\r\nhi\r\n", "MN\r\nEN\r\n", "VA 1 t60\r\n5\r\nVA 1 t300\r\n6\r\n8\r\nTOUCHED\r\n",
		"HD\r\nVA 1 t60 X W\r\n9\r\nHD t500 Z X\r\n", "STORED\r\nOK\r\nEN\r\nHD W\r\nOK\r\nEND\r\nHD t-1 s0 W\r\n" };
	const char *keys[] = { fleet_key_of(1, 0), fleet_key_of(1, 1) };
	char text[512];

	(void)state;
	for (uint32_t i = 0; i < sizeof frames / sizeof *frames; i++)
		for (unsigned away = 0; away < 2; away++) {
			char *to = text;

			for (const char *from = frames[i]; *from; from++)
				to += *from == 'K' ? sprintf(to, "%s", keys[away]) : sprintf(to, "%c", *from);
			assert_string_equal(fleet_say(1 - away, text), said[i]);
		}
}

/* --- what goes wrong ------------------------------------------------------------------------ */

static void
a_dead_owner_is_said_at_once(void **state)
{
	const char *key = fleet_key_of(1, 0);

	(void)state;
	fleet.dead[1] = true;
	assert_status(fleet_do(0, rig_request(OP_GET, key)), OP_STATUS_OWNER_DEAD);
	assert_status(fleet_do(0, rig_set(key, "x")), OP_STATUS_OWNER_DEAD);
	assert_int_equal(fleet.forwards[0].counters.owner_dead, 2);
	assert_status(fleet_do(0, rig_request(OP_GET, fleet_key_of(2, 0))), OP_STATUS_NOT_FOUND);
}

static void
memcached_has_a_miss_for_a_dead_owner_and_an_error_for_a_write(void **state)
{
	char text[256];

	(void)state;
	fleet.dead[1] = true;
	snprintf(text, sizeof text, "get %s %s\r\ngat 10 %s\r\nset %s 0 0 1\r\nx\r\nmg %s v\r\n", fleet_key_of(1, 0),
	    fleet_key_of(1, 1), fleet_key_of(1, 2), fleet_key_of(1, 0), fleet_key_of(1, 0));
	assert_string_equal(fleet_say(0, text), "END\r\nEND\r\n"
	    "SERVER_ERROR owner_dead: the node that owns the key is dead; nothing was executed\r\nEN\r\n");
	rig_node = 0;
	assert_int_equal(rig_counter(COUNTER_GET_OWNER_DEAD), 4);
	assert_int_equal(rig_counter(COUNTER_GET_MISSES), 4);
}

static void
an_owner_that_dies_over_an_operation_is_dead_to_a_read_and_silent_to_a_write(void **state)
{
	struct native_result result;
	uint64_t sequence;

	(void)state;
	fleet.deaf[1] = true;
	rig_node = 0;
	rig_clear();
	rig_frame();
	rig_add(rig_request(OP_GET, fleet_key_of(1, 0)));
	rig_add(rig_set(fleet_key_of(1, 1), "x"));
	rig_add(rig_request(OP_META, fleet_key_of(1, 2)));
	rig_send_frame(0);
	sequence = rig.header.sequence;
	rig_next_frame();
	fleet_settle();
	assert_int_equal(rig.reply_count, 0);
	fleet.dead[1] = true;
	forward_gone(&fleet.forwards[0], rig.now, fleet.ids[1]);
	fleet_settle();
	assert_true(rig_result(sequence, 0, &result));
	assert_status(result, OP_STATUS_OWNER_DEAD);
	assert_true(rig_result(sequence, 1, &result));
	assert_status(result, OP_STATUS_OWNER_TIMEOUT);
	assert_true(rig_result(sequence, 2, &result));
	assert_status(result, OP_STATUS_OWNER_DEAD);
	assert_int_equal(rig.reply_count, 1);
}

static void
a_read_lost_with_a_life_is_asked_of_the_next_one(void **state)
{
	const char *key = fleet_key_of(1, 0);
	struct native_result result;

	(void)state;
	assert_status(fleet_do(1, rig_set(key, "kept")), OP_STATUS_OK);
	fleet.deaf[1] = true;
	rig_node = 0;
	rig_clear();
	rig_frame();
	rig_add(rig_request(OP_GET, key));
	rig_send_frame(0);
	fleet_settle();
	assert_int_equal(rig.reply_count, 0);
	fleet.deaf[1] = false;
	forward_gone(&fleet.forwards[0], rig.now, fleet.ids[1]);
	fleet_settle();
	assert_true(rig_result(rig.header.sequence, 0, &result));
	assert_value(result, "kept");
	assert_int_equal(fleet.forwards[0].counters.retried, 1);
}

static void
no_answer_in_time_is_owner_timeout(void **state)
{
	(void)state;
	fleet.deaf[1] = true;
	assert_status(fleet_do_late(0, rig_request(OP_GET, fleet_key_of(1, 0)), FORWARD_PATIENCE_NS), OP_STATUS_OWNER_TIMEOUT);
	assert_status(fleet_do_late(0, rig_set(fleet_key_of(1, 1), "x"), FORWARD_PATIENCE_NS), OP_STATUS_OWNER_TIMEOUT);
	assert_int_equal(fleet.forwards[0].counters.owner_timeout, 2);
	assert_int_equal(forward_deadline(&fleet.forwards[0]), UINT64_MAX);
}

static void
an_answer_that_comes_too_late_disturbs_nobody(void **state)
{
	struct rig_worker *w;

	(void)state;
	for (rig_node = 1; rig_node == 1; rig_node--)
		for (uint32_t i = 0; i < 2; i++)
			rig.workers[i]->stuck = true; /* takes the frame and runs it later */
	rig_node = 0;
	assert_status(fleet_do_late(0, rig_set(fleet_key_of(1, 0), "x"), FORWARD_PATIENCE_NS), OP_STATUS_OWNER_TIMEOUT);
	rig_node = 1;
	for (uint32_t i = 0; i < 2; i++) {
		w = rig.workers[i];
		w->stuck = false;
	}
	rig_node = 0;
	rig_clear();
	fleet_settle();
	assert_int_equal(rig.reply_count, 0);
	assert_int_equal(fleet.forwards[0].counters.late, 1);
	assert_value(fleet_do(0, rig_request(OP_GET, fleet_key_of(1, 0))), "x");
}

static void
a_full_link_is_busy(void **state)
{
	(void)state;
	fleet.full = true;
	assert_status(fleet_do(0, rig_request(OP_GET, fleet_key_of(1, 0))), OP_STATUS_BUSY);
	assert_status(fleet_do(0, rig_set(fleet_key_of(1, 0), "x")), OP_STATUS_BUSY);
	fleet.full = false;
	assert_status(fleet_do(0, rig_request(OP_GET, fleet_key_of(1, 0))), OP_STATUS_NOT_FOUND);
}

static void
an_answer_waits_while_the_link_is_full(void **state)
{
	struct native_result result;

	(void)state;
	rig_node = 0;
	rig_clear();
	rig_frame();
	rig_add(rig_request(OP_GET, fleet_key_of(1, 0)));
	rig_send_frame(0);
	rig_settle();
	fleet_core();           /* asked */
	fleet.full = true;
	fleet_settle();
	assert_int_equal(rig.reply_count, 0);
	assert_true(forward_deadline(&fleet.forwards[1]) <= rig.now.mono_ns + FORWARD_AGAIN_NS);
	fleet.full = false;
	fleet_wait(FORWARD_AGAIN_NS);
	assert_true(rig_result(rig.header.sequence, 0, &result));
	assert_status(result, OP_STATUS_NOT_FOUND);
}

/* More frames than may wait: each is answered, none twice, those in excess at once. */
static void
too_many_at_once_are_busy_and_the_rest_is_served(void **state)
{
	enum { FRAMES = 600 };
	uint32_t busy = 0, found = 0;

	(void)state;
	fleet.deaf[1] = true;
	rig_node = 0;
	rig_clear();
	for (uint32_t i = 0; i < FRAMES; i++) {
		rig_frame();
		rig_add(rig_request(OP_GET, fleet_key_of(1, i % 3)));
		rig_send_frame(0);
		rig_next_frame();
		rig_settle();
		if (i % 64 == 63)
			fleet_core();
		for (uint32_t r = 0; r < rig.reply_count; r++)
			busy += rig.replies[r].payload[NATIVE_HEADER_LEN + 1] == OP_STATUS_BUSY;
		rig_clear();
	}
	fleet_settle();
	assert_int_equal(busy, FRAMES - DEFERRED_FOREIGN_MAX);
	fleet_wait(FORWARD_PATIENCE_NS / 2);
	rig_clear();
	for (uint64_t ns = 0; ns < FORWARD_PATIENCE_NS; ns += FORWARD_PATIENCE_NS / 16) {
		for (unsigned n = 0; n < 3; n++)
			rigs[n].now.mono_ns += FORWARD_PATIENCE_NS / 16;
		forward_tick(&fleet.forwards[0], rig.now);
		fleet_core();
		for (uint32_t moved = 1; moved;) {
			moved = rig.workers[0]->inbox_count;
			rig_poll(0);
			found += rig.reply_count;
			rig_clear();
		}
	}
	assert_int_equal(found, DEFERRED_FOREIGN_MAX);
	fleet.deaf[1] = false;
	assert_status(fleet_do(0, rig_request(OP_GET, fleet_key_of(1, 0))), OP_STATUS_NOT_FOUND);
}

/* --- tables that differ ----------------------------------------------------------------------- */

static const uint8_t without_n2[3] = { RING_ALIVE, RING_LEFT, RING_ALIVE };

static void
a_node_that_no_longer_owns_says_so_and_its_successor_is_asked(void **state)
{
	const char *key = fleet_key_of(1, 0);
	struct native_result result;

	(void)state;
	fleet_publish(1, 2, 3, without_n2); /* the owner knows before the one that asks */
	fleet_publish(2, 2, 3, without_n2);
	rig_node = 0;
	rig_clear();
	rig_frame();
	rig_add(rig_set(key, "moved"));
	rig_send_frame(0);
	fleet_settle();
	assert_int_equal(rig.reply_count, 0); /* it waits for the table */
	assert_int_equal(fleet.forwards[0].counters.stale, 1);
	fleet_publish(0, 2, 3, without_n2);
	fleet_settle();
	assert_true(rig_result(rig.header.sequence, 0, &result));
	assert_status(result, OP_STATUS_OK);
	rig_next_frame();
	assert_value(fleet_do(2, rig_request(OP_GET, key)), "moved");
	assert_int_not_equal(fleet_owner(key), 1);
}

static void
an_owner_that_does_not_know_yet_is_asked_again_soon(void **state)
{
	const char *key;
	struct native_result result;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		fleet_publish(i, 1, 3, without_n2);
	key = fleet_key_of(0, 0);
	for (uint32_t i = 1; fleet_owner(key) != 0 || i == 1; i++) /* a key that becomes n2's */
		key = fleet_key_of(0, i);
	fleet_publish(0, 2, 3, NULL);
	for (uint32_t i = 0; fleet_owner(key) != 1; i++)
		key = fleet_key_of(1, i);
	rig_node = 0;
	rig_clear();
	rig_frame();
	rig_add(rig_set(key, "soon"));
	rig_send_frame(0);
	fleet_settle();
	assert_int_equal(rig.reply_count, 0);
	fleet_publish(1, 2, 3, NULL);
	fleet_wait(FORWARD_RETRY_NS);
	assert_true(rig_result(rig.header.sequence, 0, &result));
	assert_status(result, OP_STATUS_OK);
}

static void
tables_that_never_agree_end_as_stale_epoch(void **state)
{
	(void)state;
	fleet_publish(1, 2, 3, without_n2);
	rig_node = 0;
	rig_clear();
	rig_frame();
	rig_add(rig_request(OP_GET, fleet_key_of(1, 0)));
	rig_send_frame(0);
	fleet_settle();
	for (uint64_t ns = 0; ns < FORWARD_PATIENCE_NS; ns += FORWARD_RETRY_NS) {
		assert_int_equal(rig.reply_count, 0);
		fleet_wait(FORWARD_RETRY_NS);
	}
	assert_int_equal(rig.reply_count, 1);
	assert_int_equal(rig.replies[0].payload[NATIVE_HEADER_LEN + 1], OP_STATUS_STALE_EPOCH);
	assert_int_equal(fleet.forwards[0].counters.stale_epoch, 1);
	assert_int_equal(fleet.forwards[1].counters.asked, 0); /* it never asked on */
}

/* The slots become this node's own while their operation is on its way elsewhere. */
static void
what_has_become_our_own_is_run_here(void **state)
{
	const uint8_t alone[3] = { RING_ALIVE, RING_LEFT, RING_LEFT };
	const char *a = fleet_key_of(1, 0), *b = fleet_key_of(2, 0);
	char text[256], expected[256];
	struct native_result result;

	(void)state;
	fleet_publish(1, 2, 3, alone);
	fleet_publish(2, 2, 3, alone);
	rig_node = 0;
	rig_clear();
	rig_frame();
	rig_add(rig_set(a, "1"));
	rig_add(rig_set(b, "2"));
	rig_add(rig_request(OP_GET, a));
	rig_send_frame(0);
	fleet_settle();
	assert_int_equal(rig.reply_count, 0);
	snprintf(text, sizeof text, "set m%s 0 0 1\r\nm\r\nget m%s\r\n", a, a);
	snprintf(expected, sizeof expected, "STORED\r\nVALUE m%s 0 1\r\nm\r\nEND\r\n", a);
	fleet_publish(0, 2, 3, alone);
	fleet_settle();
	for (uint32_t i = 0; i < 3; i++)
		assert_true(rig_result(rig.header.sequence, i, &result) && result.status == OP_STATUS_OK);
	assert_value(result, "1");
	rig_next_frame();
	assert_string_equal(fleet_say(0, text), expected);
}

static void
a_memcached_frame_whose_owner_changes_is_asked_of_the_next_one(void **state)
{
	const char *a = fleet_key_of(1, 0), *b = fleet_key_of(1, 1);
	char text[256], expected[256];

	(void)state;
	fleet_publish(1, 2, 3, without_n2);
	fleet_publish(2, 2, 3, without_n2);
	snprintf(text, sizeof text, "set %s 0 0 1\r\n1\r\nset %s 0 0 1\r\n2\r\nget %s %s\r\n", a, b, a, b);
	snprintf(expected, sizeof expected, "STORED\r\nSTORED\r\nVALUE %s 0 1\r\n1\r\nVALUE %s 0 1\r\n2\r\nEND\r\n", a, b);
	assert_string_equal(fleet_say(0, text), "");
	fleet_publish(0, 2, 3, without_n2);
	fleet_settle();
	assert_string_equal(fleet_text(), expected);
}

/* The same in a batch. */
static void
a_batch_of_memcached_whose_owner_changes_is_asked_of_the_next_one(void **state)
{
	const char *a = fleet_key_of(1, 0), *b = fleet_key_of(1, 1);
	char text[256];

	(void)state;
	fleet_publish(1, 2, 3, without_n2);
	fleet_publish(2, 2, 3, without_n2);
	snprintf(text, sizeof text, "ms %s 1\r\n1\r\nmg %s N30\r\nmg %s v h\r\nmg %s N30 t\r\n", a, b, a, b);
	assert_string_equal(fleet_say(0, text), "");
	fleet_publish(0, 2, 3, without_n2);
	fleet_settle();
	assert_string_equal(fleet_text(), "HD\r\nHD W\r\nVA 1 h0\r\n1\r\nHD t30 Z\r\n");
}

static void
a_node_without_a_table_is_busy(void **state)
{
	(void)state;
	atomic_store(&fleet.published[0], NULL);
	assert_status(fleet_do(0, rig_request(OP_GET, "any")), OP_STATUS_BUSY);
	assert_status(fleet_do(0, rig_set("any", "x")), OP_STATUS_BUSY);
	assert_status(fleet_do(0, rig_request(OP_PING, "")), OP_STATUS_OK);
	assert_string_equal(fleet_say(0, "get any\r\nset any 0 0 1\r\nx\r\nverbosity 1\r\n"),
	    "SERVER_ERROR busy\r\nSERVER_ERROR busy\r\nOK\r\n");
}

/* --- frames -------------------------------------------------------------------------------------- */

static void
a_frame_of_64_operations_over_all_owners_is_answered_whole(void **state)
{
	char keys[64][16];
	struct native_result result;
	uint64_t sequence;

	(void)state;
	for (uint32_t i = 0; i < 64; i++) {
		snprintf(keys[i], sizeof keys[i], "%u", i);
		assert_status(fleet_do(i % 3, incr(keys[i], i + 1)), OP_STATUS_OK);
	}
	for (unsigned round = 0; round < 6; round++) {
		rig_node = round % 3;
		rig_clear();
		rig_frame();
		for (uint32_t i = 0; i < 64; i++)
			rig_add(rig_request(round < 3 ? OP_TOUCH : OP_GET, keys[i]));
		rig_send_frame(1);
		sequence = rig.header.sequence;
		rig_next_frame();
		fleet_settle();
		for (uint32_t i = 0; i < 64; i++) {
			assert_true(rig_result(sequence, i, &result));
			assert_status(result, OP_STATUS_OK);
			if (round >= 3)
				assert_int_equal(atoi((const char *)result.value.data), i + 1);
		}
	}
}

/* A client that repeats itself: the owner remembers, whichever node passes it on. */
static void
a_repeated_write_is_executed_once_through_any_node(void **state)
{
	const char *key = fleet_key_of(2, 0);
	struct native_header header;
	struct native_result result;

	(void)state;
	assert_int_equal(fleet_do(0, incr(key, 1)).number, 1);
	header = rigs[0].header;
	header.sequence--;
	for (unsigned node = 0; node < 3; node++)
		for (uint32_t worker = 0; worker < 2; worker++) {
			uint64_t cookie;

			rig_node = node;
			cookie = rig.header.cookie;
			rig_clear();
			rig_frame();
			rig_add(incr(key, 1));
			rig.header = header;
			rig.header.cookie = cookie;
			rig.header.op_count = 1;
			rig_send_frame(worker);
			fleet_settle();
			assert_true(rig_result(header.sequence, 0, &result));
			assert_int_equal(result.number, 1);
		}
}

static void
answers_carry_the_cookie_and_epoch_of_the_node_that_was_asked(void **state)
{
	struct native_header header;

	(void)state;
	fleet_do(0, rig_request(OP_GET, fleet_key_of(1, 0)));
	assert_true(native_header_parse(view_of(rig.replies[0].payload, rig.replies[0].len), &header));
	assert_int_equal(native_cookie_boot(header.cookie), rig.config.boot);
	assert_int_equal(header.epoch, 1);
	rig.header.cookie = header.cookie; /* and it is good */
	assert_status(fleet_do(0, rig_request(OP_PING, "")), OP_STATUS_OK);
}

static void
a_slip_in_the_slot_does_not_lead_astray(void **state)
{
	const char *mine = fleet_key_of(0, 0), *theirs = fleet_key_of(1, 0);
	struct request request;

	(void)state;
	assert_status(fleet_do(0, rig_set(mine, "mine")), OP_STATUS_OK);
	assert_status(fleet_do(0, rig_set(theirs, "theirs")), OP_STATUS_OK);
	request = rig_request(OP_GET, mine);
	request.slot = slot_of_key(view_text(theirs));
	assert_value(fleet_do(0, request), "mine");
	request = rig_request(OP_GET, theirs);
	request.slot = slot_of_key(view_text(fleet_key_of(2, 0)));
	assert_value(fleet_do(0, request), "theirs");
	request.slot = slot_of_key(view_text(mine)); /* this node is led to think that the key is its own */
	assert_status(fleet_do(0, request), OP_STATUS_WRONG_SLOT);
	request = rig_set(mine, "x");
	request.slot = slot_of_key(view_text(theirs));
	assert_status(fleet_do(0, request), OP_STATUS_WRONG_SLOT);
	request.slot = NATIVE_SLOT_NONE;
	assert_status(fleet_do(1, request), OP_STATUS_OK);
	assert_value(fleet_do(0, rig_request(OP_GET, mine)), "x");
}

/* --- memcached ------------------------------------------------------------------------------------ */

/* A value stored at its owner by an upload. */
static void
upload(unsigned owner, const char *key, uint32_t len, uint8_t salt)
{
	static uint8_t bytes[NATIVE_CHUNK_MAX];
	struct request request = rig_request(OP_UPLOAD_BEGIN, key);
	struct native_result result;
	uint64_t handle;

	for (unsigned i = 0; i < 3; i++) { /* one client, whose numbers do not meet */
		rigs[i].header.client = 99;
		rigs[i].header.sequence += 1000000ull * (i + 1);
	}
	request.length = len;
	result = fleet_do(owner, request);
	assert_status(result, OP_STATUS_OK);
	handle = result.number;
	for (uint32_t at = 0; at < len; at += sizeof bytes) {
		uint32_t n = len - at < sizeof bytes ? len - at : (uint32_t)sizeof bytes;

		for (uint32_t i = 0; i < n; i++)
			bytes[i] = (uint8_t)((at + i) * 2654435761u >> 13 ^ salt);
		request = (struct request){ .op = OP_UPLOAD_CHUNK, .slot = slot_of_key(view_text(key)), .handle = handle,
			.offset = at, .value = view_of(bytes, n) };
		assert_status(fleet_do((owner + 1) % 3, request), OP_STATUS_OK); /* through one that does not own it */
	}
	request = (struct request){ .op = OP_UPLOAD_COMMIT, .slot = slot_of_key(view_text(key)), .handle = handle };
	assert_status(fleet_do((owner + 2) % 3, request), OP_STATUS_OK);
}

/* "VALUE key 0 len" and the bytes, at `text`; returns what is behind. */
static const char *
take_value(const char *text, const char *key, uint32_t len, uint8_t salt)
{
	char head[64];
	int head_len = snprintf(head, sizeof head, "VALUE %s 0 %u\r\n", key, len);

	assert_memory_equal(text, head, (size_t)head_len);
	text += head_len;
	for (uint32_t i = 0; i < len; i++)
		assert_int_equal((uint8_t)text[i], (uint8_t)(i * 2654435761u >> 13 ^ salt));
	assert_memory_equal(text + len, "\r\n", 2);
	return text + len + 2;
}

static void
large_values_of_other_nodes_are_gathered_whole(void **state)
{
	const char *a = fleet_key_of(1, 0), *b = fleet_key_of(2, 0), *c = fleet_key_of(1, 1), *text;
	char command[128];

	(void)state;
	upload(1, a, 9000, 1);
	upload(2, b, 40000, 2);
	upload(1, c, 20001, 3);
	snprintf(command, sizeof command, "get %s nix %s %s\r\n", a, b, c);
	text = fleet_say(0, command);
	text = take_value(text, a, 9000, 1);
	text = take_value(text, b, 40000, 2);
	text = take_value(text, c, 20001, 3);
	assert_string_equal(text, "END\r\n");
	assert_true(fleet.forwards[0].counters.pulls >= 48);
}

/* More than a slot has room for: the core lends a buffer, and has it back when the answer is out. */
static void
a_value_that_needs_a_loan_gives_it_back(void **state)
{
	const char *key = fleet_key_of(1, 0);
	char command[64], meta[64];
	uint32_t lent = 0;

	(void)state;
	upload(1, key, 300000, 5);
	snprintf(command, sizeof command, "get %s\r\nmn\r\n", key);
	snprintf(meta, sizeof meta, "mg %s s v\r\nmg %s s\r\n", key, key); /* in a batch: no ranges are pulled */
	for (int i = 0; i < 2 * FORWARD_LOANS; i++) { /* the rig's packets do not hold so much: an error line, and the loan is back */
		assert_string_equal(fleet_say(0, meta), "SERVER_ERROR out of memory writing response\r\nHD s300000\r\n");
		assert_string_equal(fleet_say(0, command), "SERVER_ERROR out of memory writing response\r\nMN\r\n");
	}
	for (uint32_t i = 0; i < FORWARD_LOANS; i++)
		lent += atomic_load(&fleet.forwards[0].lent[i]);
	assert_int_equal(lent, 0);
	assert_true(fleet.forwards[0].counters.pulls >= 200);
}

static void
meta_commands_keep_their_flags_on_the_way(void **state)
{
	const char *key = fleet_key_of(1, 0), *other = fleet_key_of(1, 1);
	char text[512], expected[512];

	(void)state;
	snprintf(text, sizeof text, "ms %s 3 T90 F7 O1\r\nabc\r\nmg %s v s f t k O2\r\nmg %s s t q\r\nmg %s v q\r\nmd %s q\r\nmn\r\n",
	    key, key, key, other, key);
	snprintf(expected, sizeof expected, "HD O1\r\nVA 3 s3 f7 t90 k%s O2\r\nabc\r\nHD s3 t90\r\nMN\r\n", key);
	assert_string_equal(fleet_say(0, text), expected);
	snprintf(text, sizeof text, "set %s 0 0 3\r\n100\r\ndecr %s 1\r\nget %s\r\nincr %s 5\r\nappend %s 0 0 1\r\n!\r\nincr %s 1\r\n",
	    key, key, key, key, key, key);
	snprintf(expected, sizeof expected, "STORED\r\n99\r\nVALUE %s 0 3\r\n99 \r\nEND\r\n104\r\nSTORED\r\n"
	    "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n", key);
	assert_string_equal(fleet_say(0, text), expected);
	snprintf(text, sizeof text, "set %s 0 -1 1\r\nx\r\nget %s\r\nset %s 0 0 1\r\ny\r\ntouch %s -1\r\nget %s\r\n"
	    "set %s 0 0 1 noreply\r\nz\r\ngat 0 %s\r\n", key, key, other, other, other, key, key);
	snprintf(expected, sizeof expected, "STORED\r\nEND\r\nSTORED\r\nTOUCHED\r\nEND\r\nVALUE %s 0 1\r\nz\r\nEND\r\n", key);
	assert_string_equal(fleet_say(0, text), expected);
}

static void
a_value_as_long_as_a_datagram_can_carry_reaches_its_owner(void **state)
{
	const char *key = fleet_key_of(2, 0);
	char command[UDP_PAYLOAD_MAX], value[1430];
	int head;

	(void)state;
	memset(value, 'v', sizeof value);
	head = snprintf(command, sizeof command, "set %s 0 0 1430\r\n", key);
	assert_true((size_t)head + sizeof value + 2 + 8 <= UDP_PAYLOAD_MAX);
	memcpy(command + head, value, sizeof value);
	memcpy(command + head + sizeof value, "\r\n", 3);
	assert_string_equal(fleet_say(0, command), "STORED\r\n");
	assert_int_equal(fleet_do(2, rig_request(OP_META, key)).total_len, 1430);
}

/* --- loss ----------------------------------------------------------------------------------------- */

/* The link loses a tenth of its messages, asks and answers, and says so of asks; the client repeats. */
static void
a_number_counts_each_increment_once_through_a_link_that_loses(void **state)
{
	enum { INCREMENTS = 400 };
	uint64_t unknown = 0, last = 0;
	const char *key = fleet_key_of(2, 0);

	(void)state;
	fleet.loss = 0.1;
	for (int i = 0; i < INCREMENTS; i++) {
		struct native_result result = { .status = OP_STATUS_OWNER_TIMEOUT };

		rig_node = i % 2;
		rigs[rig_node].header.client = 4711; /* one client, at two nodes */
		rigs[rig_node].header.sequence = 5000 + (uint64_t)i;
		for (int tries = 0; tries < 20 && result.status != OP_STATUS_OK; tries++) {
			rig_clear();
			rig_frame();
			rig_add(incr(key, 1));
			rig_send_frame(0);
			fleet_settle();
			if (rig.reply_count == 0)
				fleet_wait(FORWARD_PATIENCE_NS);
			assert_int_equal(rig.reply_count, 1);
			assert_true(rig_result(rig.header.sequence, 0, &result));
			unknown += result.status == OP_STATUS_OWNER_TIMEOUT;
		}
		assert_status(result, OP_STATUS_OK);
		assert_int_equal(result.number, last + 1);
		last = result.number;
	}
	assert_true(unknown > INCREMENTS / 20);
}

/* --- for all nodes, and for one ------------------------------------------------------------------- */

static void
a_flush_is_every_nodes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_status(fleet_do(i, rig_set(fleet_key_of(i, 0), "x")), OP_STATUS_OK);
	assert_status(fleet_do(0, rig_request(OP_FLUSH, "")), OP_STATUS_OK);
	for (unsigned i = 0; i < 3; i++)
		assert_status(fleet_do(i, rig_request(OP_GET, fleet_key_of(i, 0))), OP_STATUS_NOT_FOUND);
	fleet.dead[2] = true;
	assert_status(fleet_do(0, rig_request(OP_FLUSH, "")), OP_STATUS_PARTIAL);
	assert_string_equal(fleet_say(0, "flush_all\r\n"), "SERVER_ERROR partial: some nodes did not take part\r\n");
	assert_int_equal(fleet.forwards[0].counters.partial, 2);
}

static void
commands_around_a_flush_keep_their_order(void **state)
{
	char text[256], expected[256];

	(void)state;
	for (unsigned node = 0; node < 3; node++) {
		const char *a = fleet_key_of(0, 0), *b = fleet_key_of(1, 0), *c = fleet_key_of(2, 0);

		snprintf(text, sizeof text, "set %s 0 0 1\r\n1\r\nset %s 0 0 1\r\n2\r\nget %s %s\r\nflush_all\r\nget %s %s\r\n"
		    "set %s 0 0 1\r\n3\r\nget %s %s\r\n", a, b, a, b, a, b, c, c, b);
		snprintf(expected, sizeof expected, "STORED\r\nSTORED\r\nVALUE %s 0 1\r\n1\r\nVALUE %s 0 1\r\n2\r\nEND\r\nOK\r\nEND\r\n"
		    "STORED\r\nVALUE %s 0 1\r\n3\r\nEND\r\n", a, b, c);
		assert_string_equal(fleet_say(node, text), expected);
	}
}

/* A slot of the control plane at a worker of node 0. */
static struct deferred *
mail_local(uint64_t target, struct request request, uint32_t worker)
{
	static struct deferred slot;
	static uint8_t reply[DEFERRED_REPLY_MAX];
	struct writer out = writer_of(slot.payload, sizeof slot.payload);

	rig_node = 0;
	slot = (struct deferred){ .ops = UINT64_MAX, .service = SERVICE_NATIVE, .home = DEFERRED_HOME_LOCAL, .proven = true,
		.target = target, .reply = reply, .reply_size = sizeof reply };
	native_header_compose(&(struct native_header){ .version = NATIVE_VERSION, .op_count = 1, .client = 77, .sequence = 5 },
	    writer_take(&out, NATIVE_HEADER_LEN));
	native_request_compose(&out, &request);
	slot.payload_len = (uint16_t)(out.at - slot.payload);
	rig.locals_home = 0;
	rig.workers[worker]->inbox[rig.workers[worker]->inbox_count++] = &slot;
	fleet_settle();
	assert_int_equal(rig.locals_home, 1);
	assert_true(slot.done && !slot.answered);
	return &slot;
}

static struct native_result
local_result(const struct deferred *slot)
{
	struct reader all = reader_of(slot->reply, slot->reply_len);
	uint16_t len = reader_le16(&all);
	struct view frame = reader_view(&all, len);
	struct reader in = reader_of(frame.data + NATIVE_HEADER_LEN, frame.len - NATIVE_HEADER_LEN);
	struct native_result result;

	assert_false(all.failed);
	assert_int_equal(reader_left(&all), 0);
	assert_true(native_result_parse(&in, &result));
	return result;
}

static void
the_control_planes_slots_go_to_the_owner_and_come_home(void **state)
{
	const char *key = fleet_key_of(2, 0);

	(void)state;
	assert_status(local_result(mail_local(0, rig_set(key, "by hand"), 0)), OP_STATUS_OK);
	assert_value(local_result(mail_local(0, rig_request(OP_GET, key), 1)), "by hand");
	assert_value(fleet_do(2, rig_request(OP_GET, key)), "by hand");
	fleet.dead[2] = true;
	assert_status(local_result(mail_local(0, rig_request(OP_GET, key), 0)), OP_STATUS_OWNER_DEAD);
}

static void
a_target_is_asked_whatever_it_owns(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_status(fleet_do(i, rig_set(fleet_key_of(i, 0), "x")), OP_STATUS_OK);
	assert_status(local_result(mail_local(fleet.ids[1], rig_request(OP_FLUSH, ""), 0)), OP_STATUS_OK);
	assert_value(fleet_do(0, rig_request(OP_GET, fleet_key_of(0, 0))), "x");
	assert_status(fleet_do(0, rig_request(OP_GET, fleet_key_of(1, 0))), OP_STATUS_NOT_FOUND);
	assert_value(fleet_do(0, rig_request(OP_GET, fleet_key_of(2, 0))), "x");
	assert_status(local_result(mail_local(fleet.ids[0], rig_request(OP_FLUSH, ""), 0)), OP_STATUS_OK);
	assert_status(fleet_do(0, rig_request(OP_GET, fleet_key_of(0, 0))), OP_STATUS_NOT_FOUND);
	assert_value(fleet_do(0, rig_request(OP_GET, fleet_key_of(2, 0))), "x");
	fleet.dead[2] = true;
	assert_status(local_result(mail_local(fleet.ids[2], rig_request(OP_FLUSH, ""), 0)), OP_STATUS_OWNER_DEAD);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, three_nodes, stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_key_written_at_any_node_is_found_from_every_other),
		CASE(memcached_commands_of_other_nodes_keys_are_answered_in_order),
		CASE(memcached_datagrams_ask_other_nodes_for_what_native_has_no_word_for),
		CASE(a_dead_owner_is_said_at_once),
		CASE(memcached_has_a_miss_for_a_dead_owner_and_an_error_for_a_write),
		CASE(an_owner_that_dies_over_an_operation_is_dead_to_a_read_and_silent_to_a_write),
		CASE(a_read_lost_with_a_life_is_asked_of_the_next_one),
		CASE(no_answer_in_time_is_owner_timeout),
		CASE(an_answer_that_comes_too_late_disturbs_nobody),
		CASE(a_full_link_is_busy),
		CASE(an_answer_waits_while_the_link_is_full),
		CASE(too_many_at_once_are_busy_and_the_rest_is_served),
		CASE(a_node_that_no_longer_owns_says_so_and_its_successor_is_asked),
		CASE(an_owner_that_does_not_know_yet_is_asked_again_soon),
		CASE(tables_that_never_agree_end_as_stale_epoch),
		CASE(what_has_become_our_own_is_run_here),
		CASE(a_memcached_frame_whose_owner_changes_is_asked_of_the_next_one),
		CASE(a_batch_of_memcached_whose_owner_changes_is_asked_of_the_next_one),
		CASE(a_node_without_a_table_is_busy),
		CASE(a_frame_of_64_operations_over_all_owners_is_answered_whole),
		CASE(a_repeated_write_is_executed_once_through_any_node),
		CASE(answers_carry_the_cookie_and_epoch_of_the_node_that_was_asked),
		CASE(a_slip_in_the_slot_does_not_lead_astray),

		CASE(commands_around_a_flush_keep_their_order),
		CASE(large_values_of_other_nodes_are_gathered_whole),
		CASE(a_value_that_needs_a_loan_gives_it_back),
		CASE(meta_commands_keep_their_flags_on_the_way),
		CASE(a_value_as_long_as_a_datagram_can_carry_reaches_its_owner),
		CASE(a_number_counts_each_increment_once_through_a_link_that_loses),
		CASE(a_flush_is_every_nodes),
		CASE(the_control_planes_slots_go_to_the_owner_and_come_home),
		CASE(a_target_is_asked_whatever_it_owns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
