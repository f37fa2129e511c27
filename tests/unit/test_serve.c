/*
 * Unit tests of lib/serve: one worker, and two and three that exchange mail, as
 * clients of the native protocol see them.
 */
#include "tests/unit/serve_rig.h"

static int
stop(void **state)
{
	(void)state;
	rig_stop();
	return 0;
}

static int
one_worker(void **state)
{
	(void)state;
	rig_start(1, NULL);
	rig_prove();
	return 0;
}

static int
two_workers(void **state)
{
	(void)state;
	rig_start(2, NULL);
	rig_prove();
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
with_version(struct request request, uint64_t version)
{
	request.flags |= REQUEST_CAS;
	request.version = version;
	return request;
}

static struct request
with_flags(struct request request, uint16_t flags)
{
	request.flags |= flags;
	return request;
}

static struct request
with_ttl(struct request request, uint64_t ttl_ms)
{
	request.expiry_ms = ttl_ms;
	return request;
}

static struct request
number(enum op op, const char *key, uint64_t delta)
{
	struct request request = rig_request(op, key);

	request.delta = delta;
	return request;
}

static void
what_is_set_is_read_and_deleted(void **state)
{
	(void)state;
	assert_status(rig_do(0, rig_request(OP_GET, "a")), OP_STATUS_NOT_FOUND);
	assert_status(rig_do(0, rig_set("a", "one")), OP_STATUS_OK);
	assert_value(rig_do(0, rig_request(OP_GET, "a")), "one");
	assert_status(rig_do(0, rig_set("a", "")), OP_STATUS_OK);
	assert_value(rig_do(0, rig_request(OP_GET, "a")), "");
	assert_status(rig_do(0, rig_request(OP_DELETE, "a")), OP_STATUS_OK);
	assert_status(rig_do(0, rig_request(OP_DELETE, "a")), OP_STATUS_NOT_FOUND);
	assert_status(rig_do(0, rig_request(OP_GET, "a")), OP_STATUS_NOT_FOUND);
	assert_int_equal(rig_counter(COUNTER_CMD_GET), 4);
	assert_int_equal(rig_counter(COUNTER_GET_HITS), 2);
	assert_int_equal(rig_counter(COUNTER_GET_MISSES), 2);
	assert_int_equal(rig_counter(COUNTER_CMD_SET), 2);
	assert_int_equal(rig_counter(COUNTER_DELETE_HITS), 1);
	assert_int_equal(rig_counter(COUNTER_DELETE_MISSES), 1);
}

static void
a_ping_is_answered(void **state)
{
	(void)state;
	assert_status(rig_do(0, rig_request(OP_PING, "")), OP_STATUS_OK);
}

static void
add_replace_and_cas_look_at_what_is_there(void **state)
{
	struct native_result first;

	(void)state;
	assert_status(rig_do(0, with_flags(rig_set("a", "1"), REQUEST_REPLACE)), OP_STATUS_NOT_STORED);
	assert_status(rig_do(0, with_version(rig_set("a", "1"), 7)), OP_STATUS_NOT_FOUND);
	first = rig_do(0, with_flags(rig_set("a", "1"), REQUEST_ADD));
	assert_status(first, OP_STATUS_OK);
	assert_int_not_equal(first.version, 0);
	assert_status(rig_do(0, with_flags(rig_set("a", "2"), REQUEST_ADD)), OP_STATUS_NOT_STORED);
	assert_status(rig_do(0, with_flags(rig_set("a", "3"), REQUEST_REPLACE)), OP_STATUS_OK);
	assert_status(rig_do(0, with_version(rig_set("a", "4"), first.version)), OP_STATUS_EXISTS);
	assert_value(rig_do(0, rig_request(OP_GET, "a")), "3");
	first = rig_do(0, rig_request(OP_META, "a"));
	assert_status(rig_do(0, with_version(rig_set("a", "5"), first.version)), OP_STATUS_OK);
	assert_status(rig_do(0, with_version(rig_request(OP_DELETE, "a"), first.version)), OP_STATUS_EXISTS);
	assert_value(rig_do(0, rig_request(OP_GET, "a")), "5");
	assert_int_equal(rig_counter(COUNTER_CAS_HITS), 1);
	assert_int_equal(rig_counter(COUNTER_CAS_MISSES), 1);
	assert_int_equal(rig_counter(COUNTER_CAS_BADVAL), 1);
}

static void
numbers_count_wrap_and_stop_at_zero(void **state)
{
	struct request create = with_flags(number(OP_INCR, "n", 5), REQUEST_CREATE);
	struct native_result result;

	(void)state;
	create.initial = 40;
	assert_status(rig_do(0, number(OP_INCR, "n", 5)), OP_STATUS_NOT_FOUND);
	assert_int_equal(rig_do(0, create).number, 40);
	assert_int_equal(rig_do(0, create).number, 45);
	assert_value(rig_do(0, rig_request(OP_GET, "n")), "45");
	assert_int_equal(rig_do(0, number(OP_DECR, "n", 5)).number, 40);
	assert_int_equal(rig_do(0, number(OP_DECR, "n", 41)).number, 0);
	assert_value(rig_do(0, rig_request(OP_GET, "n")), "0");
	rig_do(0, rig_set("n", "18446744073709551615"));
	result = rig_do(0, number(OP_INCR, "n", 2));
	assert_int_equal(result.number, 1);
	assert_value(rig_do(0, rig_request(OP_GET, "n")), "1");
	rig_do(0, rig_set("n", "18446744073709551616"));
	assert_status(rig_do(0, number(OP_INCR, "n", 1)), OP_STATUS_NOT_A_NUMBER);
	rig_do(0, rig_set("n", "12x"));
	assert_status(rig_do(0, number(OP_INCR, "n", 1)), OP_STATUS_NOT_A_NUMBER);
	rig_do(0, rig_set("n", ""));
	assert_status(rig_do(0, number(OP_DECR, "n", 1)), OP_STATUS_NOT_A_NUMBER);
}

static void
append_and_prepend_keep_flags_and_expiry(void **state)
{
	struct request set = with_ttl(rig_set("a", "mid"), 5000), more = rig_request(OP_APPEND, "a");
	struct native_result meta;

	(void)state;
	more.value = view_text("-end");
	assert_status(rig_do(0, more), OP_STATUS_NOT_STORED);
	set.client_flags = 77;
	rig_do(0, set);
	assert_status(rig_do(0, more), OP_STATUS_OK);
	more = rig_request(OP_PREPEND, "a");
	more.value = view_text("start-");
	assert_status(rig_do(0, more), OP_STATUS_OK);
	assert_value(rig_do(0, rig_request(OP_GET, "a")), "start-mid-end");
	meta = rig_do(0, rig_request(OP_META, "a"));
	assert_int_equal(meta.client_flags, 77);
	assert_int_equal(meta.ttl_ms, 5000);
	assert_int_equal(meta.total_len, 13);
}

static void
touch_moves_the_expiry_and_gat_reads_as_well(void **state)
{
	(void)state;
	assert_status(rig_do(0, with_ttl(rig_request(OP_TOUCH, "a"), 10)), OP_STATUS_NOT_FOUND);
	rig_do(0, with_ttl(rig_set("a", "v"), 1000));
	assert_status(rig_do(0, with_ttl(rig_request(OP_TOUCH, "a"), 3000)), OP_STATUS_OK);
	rig.now.wall_ms += 2000;
	assert_value(rig_do(0, with_ttl(rig_request(OP_GAT, "a"), 5000)), "v");
	rig.now.wall_ms += 4000;
	assert_value(rig_do(0, rig_request(OP_GET, "a")), "v");
	assert_value(rig_do(0, rig_request(OP_GAT, "a")), "v");
	assert_true(rig_do(0, rig_request(OP_META, "a")).ttl_ms == UINT64_MAX);
	assert_value(rig_do(0, with_ttl(rig_request(OP_GAT, "a"), 10)), "v");
	rig.now.wall_ms += 10;
	assert_status(rig_do(0, rig_request(OP_GET, "a")), OP_STATUS_NOT_FOUND);
	assert_status(rig_do(0, rig_request(OP_GAT, "a")), OP_STATUS_NOT_FOUND);
	assert_int_equal(rig_counter(COUNTER_TOUCH_HITS), 4);
	assert_int_equal(rig_counter(COUNTER_TOUCH_MISSES), 2);
	assert_int_equal(rig_counter(COUNTER_GET_EXPIRED), 1);
}

static void
ranges_name_a_version_and_only_their_start_is_a_hit(void **state)
{
	struct request range = with_flags(rig_request(OP_GET, "a"), REQUEST_RANGE);
	struct native_result result;

	(void)state;
	range.length = 4;
	assert_status(rig_do(0, range), OP_STATUS_NOT_FOUND);
	range.version = rig_do(0, rig_set("a", "0123456789")).version;
	assert_value(rig_do(0, range), "0123");
	range.offset = 8;
	result = rig_do(0, range);
	assert_value(result, "89");
	assert_int_equal(result.total_len, 10);
	range.offset = 10;
	assert_value(rig_do(0, range), "");
	range.offset = 11;
	assert_status(rig_do(0, range), OP_STATUS_BAD_RANGE);
	assert_int_equal(rig_counter(COUNTER_GET_HITS), 1);
	assert_int_equal(rig_counter(COUNTER_CMD_GET), 2);
	rig_do(0, rig_set("a", "abcdefghij"));
	range.offset = 4;
	assert_status(rig_do(0, range), OP_STATUS_CHANGED);
	rig_do(0, rig_request(OP_DELETE, "a"));
	assert_status(rig_do(0, range), OP_STATUS_NOT_FOUND);
}

static void
a_flush_ends_what_was_stored_before_it(void **state)
{
	(void)state;
	rig_do(0, rig_set("a", "old"));
	assert_status(rig_do(0, rig_request(OP_FLUSH, "")), OP_STATUS_OK);
	assert_status(rig_do(0, rig_request(OP_GET, "a")), OP_STATUS_NOT_FOUND);
	rig_do(0, rig_set("a", "new"));
	assert_value(rig_do(0, rig_request(OP_GET, "a")), "new");
}

static void
a_wrong_slot_still_reads_but_does_not_write(void **state)
{
	struct request get, set;

	(void)state;
	set = rig_set(rig_key_of(1, 0), "v");
	set.slot ^= 1;
	assert_status(rig_do(0, set), OP_STATUS_WRONG_SLOT);
	assert_status(rig_do(0, rig_set(rig_key_of(1, 0), "v")), OP_STATUS_OK);
	get = rig_request(OP_GET, rig_key_of(1, 0));
	get.slot ^= 1; /* another worker's: the trusted shard does not have it */
	assert_value(rig_do(0, get), "v");
	get.slot = NATIVE_SLOT_NONE;
	assert_value(rig_do(0, get), "v");
	set.slot = NATIVE_SLOT_NONE;
	assert_status(rig_do(0, set), OP_STATUS_OK);
}

static void
a_write_runs_at_its_owner_who_answers(void **state)
{
	const char *mine = rig_key_of(0, 0), *theirs = rig_key_of(1, 0);

	(void)state;
	rig_do(0, rig_set(mine, "here"));
	assert_int_equal(rig.replies[0].worker, 0);
	rig_do(0, rig_set(theirs, "there"));
	assert_int_equal(rig.replies[0].worker, 1);
	assert_memory_equal(&rig.replies[0].peer, &rig.peer, sizeof rig.peer);
	assert_value(rig_do(0, rig_request(OP_GET, theirs)), "there");
	assert_int_equal(rig.replies[0].worker, 0); /* read in place */
	assert_int_equal(rig_counter(COUNTER_MAIL_SENT), 1);
	assert_int_equal(rig_counter(COUNTER_MAIL_RUN), 1);
	assert_int_equal(rig_counter(COUNTER_MIS_STEERED), 2);
}

static void
a_frame_reads_its_own_writes_wherever_they_run(void **state)
{
	const char *mine = rig_key_of(0, 0), *theirs = rig_key_of(1, 0);
	struct native_result result;

	(void)state;
	rig_frame();
	rig_add(rig_request(OP_GET, theirs));
	rig_add(rig_set(mine, "m1"));
	rig_add(rig_set(theirs, "t1"));
	rig_add(rig_request(OP_GET, mine));
	rig_add(rig_request(OP_GET, theirs));
	rig_add(rig_request(OP_META, theirs));
	rig_add(rig_request(OP_DELETE, mine));
	rig_add(rig_request(OP_GET, mine));
	rig_send_frame(0);
	rig_settle();
	assert_int_equal(rig.reply_count, 2);
	assert_true(rig_result(1000, 0, &result));
	assert_status(result, OP_STATUS_NOT_FOUND);
	assert_true(rig_result(1000, 3, &result));
	assert_value(result, "m1");
	assert_true(rig_result(1000, 4, &result));
	assert_value(result, "t1");
	assert_true(rig_result(1000, 5, &result));
	assert_int_equal(result.total_len, 2);
	assert_true(rig_result(1000, 7, &result));
	assert_status(result, OP_STATUS_NOT_FOUND);
	for (uint32_t i = 0; i < 8; i++)
		assert_true(rig_result(1000, i, &result));
}

static void
a_repeated_frame_executes_once_at_every_worker(void **state)
{
	const char *mine = rig_key_of(0, 0), *theirs = rig_key_of(1, 0);
	struct native_result result;

	(void)state;
	rig_do(0, rig_set(mine, "10"));
	rig_do(0, rig_set(theirs, "20"));
	rig_clear();
	rig_frame();
	rig_add(number(OP_INCR, mine, 1));
	rig_add(number(OP_INCR, theirs, 1));
	for (int i = 0; i < 3; i++) {
		rig_send_frame(0);
		rig_send_frame(1);
	}
	rig_settle();
	assert_int_equal(rig.reply_count, 12);
	for (uint32_t i = 0; i < rig.reply_count; i++) {
		struct reader in = reader_of(rig.replies[i].payload + NATIVE_HEADER_LEN,
		    rig.replies[i].len - NATIVE_HEADER_LEN);

		assert_true(native_result_parse(&in, &result));
		assert_int_equal(result.number, result.index == 0 ? 11 : 21);
	}
	rig_next_frame();
	assert_value(rig_do(0, rig_request(OP_GET, mine)), "11");
	assert_value(rig_do(0, rig_request(OP_GET, theirs)), "21");
	assert_int_equal(rig_counter(COUNTER_ONCE_REPLAYED), 10);
}

static void
a_write_below_the_floor_is_not_executed(void **state)
{
	(void)state;
	rig_do(0, rig_set("a", "1"));
	rig.header.sequence += 1000;
	rig_do(0, rig_set("b", "2"));
	rig.header.sequence -= 500;
	rig.header.window = 1000; /* a delayed frame of before */
	assert_status(rig_do(0, rig_set("a", "late")), OP_STATUS_OUTCOME_UNKNOWN);
	assert_value(rig_do(0, rig_request(OP_GET, "a")), "1");
	assert_int_equal(rig_counter(COUNTER_ONCE_UNKNOWN), 1);
}

static void
a_client_without_a_name_is_not_remembered(void **state)
{
	(void)state;
	rig.header.client = 0;
	rig_do(0, rig_set("n", "1"));
	rig_do(0, number(OP_INCR, "n", 1));
	rig.header.sequence--;
	assert_int_equal(rig_do(0, number(OP_INCR, "n", 1)).number, 3);
}

static void
a_repeated_get_and_touch_answers_the_value_again(void **state)
{
	(void)state;
	rig_do(0, rig_set("a", "v"));
	rig_do(0, with_ttl(rig_request(OP_GAT, "a"), 1000));
	rig.header.sequence--;
	rig.now.wall_ms += 600;
	assert_value(rig_do(0, with_ttl(rig_request(OP_GAT, "a"), 1000)), "v");
	rig.now.wall_ms += 600; /* the second did not touch */
	assert_status(rig_do(0, rig_request(OP_GET, "a")), OP_STATUS_NOT_FOUND);
}

static void
a_full_table_of_slots_answers_busy_and_recovers(void **state)
{
	const char *theirs = rig_key_of(1, 0);
	struct native_result result;
	uint32_t busy = 0;

	(void)state;
	rig.workers[1]->stuck = true;
	for (uint32_t i = 0; i < DEFERRED_MAX + 5; i++) {
		rig_frame();
		rig_add(rig_set(theirs, "v"));
		rig_send_frame(0);
		rig_settle();
		busy += rig_result(rig.header.sequence, 0, &result);
		rig_next_frame();
	}
	assert_int_equal(busy, 5);
	assert_status(result, OP_STATUS_BUSY);
	assert_int_equal(rig.reply_count, 5);
	rig.workers[1]->stuck = false;
	for (uint32_t i = 0; i < DEFERRED_MAX / BURST_MAX; i++) {
		rig_clear();
		rig_poll(1);
		assert_int_equal(rig.reply_count, BURST_MAX);
	}
	rig_settle();
	for (uint32_t i = 0; i < DEFERRED_MAX; i++)
		assert_status(rig_do(0, rig_set(theirs, "again")), OP_STATUS_OK);
}

static void
a_burst_larger_than_a_batch_is_run_in_order(void **state)
{
	struct native_result result;
	char key[16];

	(void)state;
	for (uint32_t frame = 0; frame < 3; frame++) {
		rig_frame();
		for (uint32_t i = 0; i < 20; i++) {
			snprintf(key, sizeof key, "k%u", i % 7);
			rig_add(i % 3 == 2 ? rig_request(OP_GET, key) : rig_set(key, i % 2 ? "odd" : "even"));
		}
		rig_send_frame(0);
		rig_next_frame();
	}
	rig_settle();
	for (uint32_t i = 2; i < 20; i += 3) {
		uint32_t last = UINT32_MAX;

		for (uint32_t j = 0; j < i; j++)
			if (j % 7 == i % 7 && j % 3 != 2)
				last = j;
		for (uint32_t frame = 0; frame < 3; frame++) {
			assert_true(rig_result(1000 + 20 * frame, i, &result));
			if (last != UINT32_MAX)
				assert_value(result, last % 2 ? "odd" : "even");
		}
	}
}

int
main(void)
{
#define ONE(test) cmocka_unit_test_setup_teardown(test, one_worker, stop)
#define TWO(test) cmocka_unit_test_setup_teardown(test, two_workers, stop)
	const struct CMUnitTest tests[] = {
		ONE(what_is_set_is_read_and_deleted),
		ONE(a_ping_is_answered),
		ONE(add_replace_and_cas_look_at_what_is_there),
		ONE(numbers_count_wrap_and_stop_at_zero),
		ONE(append_and_prepend_keep_flags_and_expiry),
		ONE(touch_moves_the_expiry_and_gat_reads_as_well),
		ONE(ranges_name_a_version_and_only_their_start_is_a_hit),
		TWO(a_flush_ends_what_was_stored_before_it),
		TWO(a_wrong_slot_still_reads_but_does_not_write),
		TWO(a_write_runs_at_its_owner_who_answers),
		TWO(a_frame_reads_its_own_writes_wherever_they_run),
		TWO(a_repeated_frame_executes_once_at_every_worker),
		ONE(a_write_below_the_floor_is_not_executed),
		ONE(a_client_without_a_name_is_not_remembered),
		ONE(a_repeated_get_and_touch_answers_the_value_again),
		TWO(a_full_table_of_slots_answers_busy_and_recovers),
		ONE(a_burst_larger_than_a_batch_is_run_in_order),
	};

	return cmocka_run_group_tests_name("serve", tests, NULL, NULL);
}
