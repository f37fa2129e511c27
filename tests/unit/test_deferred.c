/*
 * Unit tests of what travels between workers: a memcached datagram whose writes belong
 * to three workers, slots and their generations, statistics of all.
 */
#include "serve/defer.h"
#include "tests/unit/serve_rig.h"

static void
everybody(struct serve_config *config)
{
	config->memcached_allow_count = 1; /* ::/0 */
}

static int
three_workers(void **state)
{
	(void)state;
	rig_start(3, everybody);
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	rig_stop();
	return 0;
}

/* Sends memcached text to a worker. */
static void
ask(uint32_t worker, const char *text)
{
	uint8_t payload[UDP_PAYLOAD_MAX] = { 0xca, 0xfe, 0, 0, 0, 1, 0, 0 };
	size_t len = strlen(text);

	memcpy(payload + 8, text, len);
	rig_send(worker, SERVICE_MEMCACHED, payload, (uint16_t)(8 + len));
}

/* All replies of one worker, by their order in the frame. */
static void
assert_answer(uint32_t worker, const char *text)
{
	static char whole[8192];
	size_t len = 0;

	for (uint32_t i = 0; i < rig.reply_count; i++) {
		struct rig_reply *reply = &rig.replies[i];

		assert_int_equal(reply->worker, worker);
		assert_int_equal(load_be16(reply->payload), 0xcafe);
		memcpy(whole + len, reply->payload + 8, reply->len - 8);
		len += reply->len - 8;
	}
	whole[len] = '\0';
	assert_string_equal(whole, text);
}

static void
a_datagram_visits_each_owner_in_turn(void **state)
{
	char text[512];
	const char *a = rig_key_of(0, 0), *b = rig_key_of(1, 0), *c = rig_key_of(2, 0);

	(void)state;
	snprintf(text, sizeof text, "set %s 1 0 2\r\nAA\r\nset %s 2 0 2\r\nBB\r\nget %s %s\r\nset %s 3 0 2\r\nCC\r\n"
	    "append %s 0 0 1\r\n+\r\nget %s %s %s\r\n", a, b, a, b, c, a, a, b, c);
	ask(0, text);
	rig_settle();
	snprintf(text, sizeof text, "STORED\r\nSTORED\r\nVALUE %s 1 2\r\nAA\r\nVALUE %s 2 2\r\nBB\r\nEND\r\nSTORED\r\n"
	    "STORED\r\nVALUE %s 1 3\r\nAA+\r\nVALUE %s 2 2\r\nBB\r\nVALUE %s 3 2\r\nCC\r\nEND\r\n", a, b, a, b, c);
	assert_answer(0, text); /* the append brought it home, and home answers */
	assert_int_equal(rig_counter(COUNTER_MAIL_SENT), 3);
}

static void
the_last_owner_answers_in_order(void **state)
{
	char text[512];
	const char *b = rig_key_of(1, 0), *c = rig_key_of(2, 0);

	(void)state;
	snprintf(text, sizeof text, "set %s 0 0 1\r\n7\r\nincr %s 5\r\nset %s 0 0 1\r\nx\r\nversion\r\ndelete %s\r\n",
	    c, c, b, b);
	ask(0, text);
	rig_settle();
	assert_answer(1, "STORED\r\n12\r\nSTORED\r\nVERSION 1.6.18-slipring-" SLIPRING_VERSION "\r\nDELETED\r\n");
}

static void
a_silent_datagram_leaves_no_reply_and_no_slot(void **state)
{
	char text[512];

	(void)state;
	snprintf(text, sizeof text, "set %s 0 0 1 noreply\r\nx\r\n", rig_key_of(2, 0));
	for (uint32_t i = 0; i < 3 * DEFERRED_MAX; i++) {
		ask(0, text);
		rig_settle();
	}
	assert_int_equal(rig.reply_count, 0);
	assert_int_equal(rig_counter(COUNTER_CMD_SET), 3 * DEFERRED_MAX);
}

static void
without_a_slot_memcached_hears_busy_in_its_place(void **state)
{
	char text[512];
	const char *a = rig_key_of(0, 0), *b = rig_key_of(1, 0);

	(void)state;
	rig.workers[1]->stuck = true;
	snprintf(text, sizeof text, "delete %s\r\n", b);
	for (uint32_t i = 0; i < DEFERRED_MAX; i++) {
		ask(0, text);
		rig_settle();
	}
	assert_int_equal(rig.reply_count, 0);
	snprintf(text, sizeof text, "set %s 0 0 1\r\nx\r\ndelete %s\r\nget %s\r\n", a, b, a);
	ask(0, text);
	rig_settle();
	snprintf(text, sizeof text, "STORED\r\nSERVER_ERROR busy\r\nVALUE %s 0 1\r\nx\r\nEND\r\n", a);
	assert_answer(0, text);
}

static void
a_slot_counts_its_uses_and_keeps_its_bytes(void **state)
{
	uint8_t payload[UDP_PAYLOAD_MAX];
	struct datagram datagram = { .payload = payload, .payload_len = sizeof payload, .service = SERVICE_NATIVE };
	struct deferred *slots[DEFERRED_MAX];
	struct defer defer;

	(void)state;
	memset(payload, 0x77, sizeof payload);
	assert_true(defer_init(&defer, 5, DEFERRED_REPLY_MAX));
	for (uint32_t use = 1; use <= 3; use++) {
		for (uint32_t i = 0; i < DEFERRED_MAX; i++) {
			slots[i] = defer_take(&defer, &datagram);
			assert_int_equal(slots[i]->generation, use);
			assert_int_equal(slots[i]->home, 5);
			assert_memory_equal(slots[i]->payload, payload, sizeof payload);
		}
		assert_null(defer_take(&defer, &datagram));
		for (uint32_t i = 0; i < DEFERRED_MAX; i++) {
			slots[i]->done = true;
			defer_give(&defer, slots[i]);
		}
		assert_int_equal(defer.out, 0);
	}
	defer_deinit(&defer);
}

/* One figure of a STATS text. */
static uint64_t
figure(struct view text, const char *name)
{
	char copy[UDP_PAYLOAD_MAX + 1], *at;

	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	at = strstr(copy, name);
	assert_non_null(at);
	return strtoull(at + strlen(name), NULL, 10);
}

static void
statistics_sum_all_workers_and_page_by_lines(void **state)
{
	struct request stats = rig_request(OP_STATS, "");
	struct native_result result;
	uint32_t lines = 0, total;
	char text[16384];
	size_t len = 0;

	(void)state;
	rig_prove();
	for (uint32_t i = 0; i < 30; i++)
		assert_int_equal(rig_do(i % 3, rig_set(rig_key_of(i % 2, i), "v")).status, OP_STATUS_OK);
	do {
		stats.offset = lines;
		result = rig_do(1, stats);
		assert_int_equal(result.status, OP_STATUS_OK);
		total = result.total_len;
		for (uint32_t i = 0; i < result.value.len; i++)
			lines += result.value.data[i] == '\n';
		memcpy(text + len, result.value.data, result.value.len);
		len += result.value.len;
		assert_true(len < sizeof text && result.value.len > 0);
	} while (lines < total);
	text[len] = '\0';
	assert_int_equal(lines, total);
	assert_non_null(strstr(text, "\ncmd_set 30\n"));
	assert_non_null(strstr(text, "\nitems 30\n"));
	assert_non_null(strstr(text, "\ndrop_native_auth 0\n"));
	assert_memory_equal(text, "version 1.2.3\n", 14);
	stats = rig_request(OP_STATS, "store");
	assert_int_equal(figure(rig_do(2, stats).value, "\ntotal_items "), 30);
	assert_int_equal(rig_do(2, rig_request(OP_STATS, "nonsense")).status, OP_STATUS_NOT_FOUND);
	stats = rig_request(OP_STATS, "workers");
	assert_true(rig_do(0, stats).total_len > 3 * 20);
}

static void
memcached_sees_the_same_figures(void **state)
{
	char text[256];

	(void)state;
	snprintf(text, sizeof text, "set %s 0 0 1\r\nx\r\n", rig_key_of(2, 0));
	ask(0, text);
	rig_settle();
	rig_clear();
	ask(0, "stats\r\n");
	rig_settle();
	assert_true(rig.reply_count >= 1);
	rig.replies[0].payload[rig.replies[0].len] = '\0';
	assert_non_null(strstr((char *)rig.replies[0].payload + 8, "\r\nSTAT cmd_set 1\r\n"));
}

static void
memcached_settings_tell_the_limits(void **state)
{
	(void)state;
	ask(0, "stats settings\r\n");
	rig_settle();
	assert_answer(0, "STAT maxbytes 67108863\r\nSTAT maxconns 0\r\nSTAT tcpport 0\r\nSTAT evictions on\r\n"
	    "STAT num_threads 3\r\nSTAT cas_enabled yes\r\nSTAT auth_enabled_sasl no\r\n"
	    "STAT binding_protocol auto-negotiate\r\nSTAT flush_enabled yes\r\nSTAT lru_crawler no\r\n"
	    "STAT lru_maintainer_thread no\r\nSTAT detail_enabled no\r\nSTAT dump_enabled no\r\n"
	    "STAT item_size_max 1048576\r\nEND\r\n");
}

static void
memcached_numbers_keep_their_width(void **state)
{
	char text[256];
	const char *key = rig_key_of(2, 0);

	(void)state;
	snprintf(text, sizeof text, "set %s 0 0 3\r\n100\r\ndecr %s 1\r\nget %s\r\nincr %s 5\r\n", key, key, key, key);
	ask(2, text);
	rig_settle();
	snprintf(text, sizeof text, "STORED\r\n99\r\nVALUE %s 0 3\r\n99 \r\nEND\r\n104\r\n", key);
	assert_answer(2, text);
}

/* Every STATS of a burst wants room for its text; what has none is told to ask again. */
static void
statistics_beyond_a_bursts_room_are_busy(void **state)
{
	uint32_t busy = 0, ok = 0;
	struct native_result result;

	(void)state;
	rig_prove();
	rig_frame();
	for (uint32_t i = 0; i < FRAME_OPS_MAX; i++)
		rig_add(rig_request(OP_STATS, ""));
	rig_send_frame(0);
	rig_settle();
	for (uint32_t i = 0; i < FRAME_OPS_MAX; i++) {
		assert_true(rig_result(rig.header.sequence, i, &result));
		busy += result.status == OP_STATUS_BUSY;
		ok += result.status == OP_STATUS_OK;
	}
	assert_true(busy > 0 && ok > 10 && busy + ok == FRAME_OPS_MAX);
}

static void
the_topology_names_the_workers_ports(void **state)
{
	struct native_result result;
	struct topology topology;
	struct topology_node node;

	(void)state;
	rig_prove();
	result = rig_do(2, rig_request(OP_TOPOLOGY, ""));
	assert_int_equal(result.status, OP_STATUS_OK);
	assert_true(topology_parse(result.value, &topology));
	assert_int_equal(topology.epoch, 9);
	assert_int_equal(topology.slot_count, SLOT_COUNT);
	topology_node(&topology, 0, &node);
	assert_int_equal(topology_port(&node, 5), 7411 + 5 % 3);
}

/* The client's frame, mailed to a worker in a slot that is no worker's. */
static struct deferred *
mail_local(uint32_t worker)
{
	static struct deferred slot;
	static uint8_t reply[DEFERRED_REPLY_MAX];

	native_header_compose(&rig.header, rig.frame);
	slot = (struct deferred){ .ops = UINT64_MAX, .service = SERVICE_NATIVE, .home = DEFERRED_HOME_LOCAL, .proven = true,
		.payload_len = rig_frame_len(), .reply = reply, .reply_size = sizeof reply };
	memcpy(slot.payload, rig.frame, slot.payload_len);
	rig.workers[worker]->inbox[rig.workers[worker]->inbox_count++] = &slot;
	rig.locals_home = 0;
	rig_settle();
	assert_int_equal(rig.locals_home, 1);
	assert_true(slot.done);
	return &slot;
}

/* Frames and results in a slot that came home; each is whole, or the test fails. */
static uint32_t
count_results(const struct deferred *slot, uint32_t *results)
{
	struct reader all = reader_of(slot->reply, slot->reply_len);
	uint32_t frames = 0;

	for (*results = 0; reader_left(&all) > 0; frames++) {
		uint16_t len = reader_le16(&all);
		struct view frame = reader_view(&all, len);
		struct native_header header;
		struct native_result result;

		assert_false(all.failed);
		assert_true(native_header_parse(frame, &header));
		struct reader in = reader_of(frame.data + NATIVE_HEADER_LEN, frame.len - NATIVE_HEADER_LEN);
		while (native_result_parse(&in, &result)) {
			assert_int_equal(result.status, OP_STATUS_OK);
			++*results;
		}
		assert_false(in.failed);
	}
	return frames;
}

static void
a_local_slot_brings_its_answers_home_and_none_to_the_network(void **state)
{
	static char value[1301];
	const char *key = rig_key_of(1, 0);
	uint32_t results;

	(void)state;
	memset(value, 'x', 1300);
	rig_frame();
	rig_add(rig_set(key, value));
	assert_int_equal(count_results(mail_local(1), &results), 1); /* no cookie was asked for */
	assert_int_equal(results, 1);
	rig_next_frame();
	rig_frame();
	for (int i = 0; i < 5; i++)
		rig_add(rig_request(OP_GET, key));
	assert_int_equal(count_results(mail_local(1), &results), 5); /* a frame each */
	assert_int_equal(results, 5);
	rig_frame();
	for (int i = 0; i < 30; i++)
		rig_add(rig_request(OP_GET, key));
	count_results(mail_local(1), &results);
	assert_int_equal(results, DEFERRED_REPLY_MAX / (2 + NATIVE_HEADER_LEN + NATIVE_RESPONSE_OP_LEN + 8 + 1300));
	assert_int_equal(rig.reply_count, 0);
	for (uint32_t w = 0; w < 3; w++)
		assert_int_equal(rig.workers[w]->inbox_count, 0);
}

int
main(void)
{
#define THREE(test) cmocka_unit_test_setup_teardown(test, three_workers, stop)
	const struct CMUnitTest tests[] = {
		THREE(a_datagram_visits_each_owner_in_turn),
		THREE(the_last_owner_answers_in_order),
		THREE(a_silent_datagram_leaves_no_reply_and_no_slot),
		THREE(without_a_slot_memcached_hears_busy_in_its_place),
		cmocka_unit_test(a_slot_counts_its_uses_and_keeps_its_bytes),
		THREE(statistics_sum_all_workers_and_page_by_lines),
		THREE(memcached_sees_the_same_figures),
		THREE(memcached_settings_tell_the_limits),
		THREE(memcached_numbers_keep_their_width),
		THREE(statistics_beyond_a_bursts_room_are_busy),
		THREE(the_topology_names_the_workers_ports),
		THREE(a_local_slot_brings_its_answers_home_and_none_to_the_network),
	};

	return cmocka_run_group_tests_name("deferred", tests, NULL, NULL);
}
