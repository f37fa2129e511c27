/*
 * Unit tests of lib/serve/upload, through native frames at two workers: values larger
 * than a frame go in by chunks and come out by ranges.
 */
#include "serve/upload.h"
#include "tests/unit/serve_rig.h"

static uint8_t value[VALUE_LEN_MAX];

static int
two_workers(void **state)
{
	struct prng prng = { 42 };

	(void)state;
	for (uint32_t i = 0; i < sizeof value; i += 8)
		store_le64(value + i, prng_next(&prng));
	rig_start(2, NULL);
	rig_prove();
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	rig_stop();
	return 0;
}

static struct request
begin(const char *key, uint32_t len)
{
	struct request request = rig_request(OP_UPLOAD_BEGIN, key);

	request.length = len;
	request.client_flags = 5;
	return request;
}

/* CHUNK, COMMIT or ABORT of a key's upload. */
static struct request
step(enum op op, const char *key, uint64_t handle)
{
	struct request request = { .op = (uint8_t)op, .slot = slot_of_key(view_text(key)), .handle = handle };

	return request;
}

static struct request
chunk(const char *key, uint64_t handle, uint32_t offset, uint32_t len)
{
	struct request request = step(OP_UPLOAD_CHUNK, key, handle);

	request.offset = offset;
	request.value = view_of(value + offset, len);
	return request;
}

static uint64_t
begun(const char *key, uint32_t len)
{
	struct native_result result = rig_do(0, begin(key, len));

	assert_int_equal(result.status, OP_STATUS_OK);
	return result.number;
}

/* Reads all of a key by ranges and compares it with the first len bytes of `value`. */
static void
assert_stored(const char *key, uint32_t len)
{
	struct request range = rig_request(OP_GET, key);
	struct native_result result;

	range.flags = REQUEST_RANGE;
	range.length = UINT32_MAX;
	range.version = rig_do(0, rig_request(OP_META, key)).version;
	do {
		result = rig_do(0, range);
		assert_int_equal(result.status, OP_STATUS_OK);
		assert_int_equal(result.total_len, len);
		assert_int_equal(result.client_flags, 5);
		assert_memory_equal(result.value.data, value + range.offset, result.value.len);
		range.offset += result.value.len;
	} while (range.offset < len && result.value.len > 0);
	assert_int_equal(range.offset, len);
}

static void
the_largest_value_goes_in_and_comes_out(void **state)
{
	const char *key = rig_key_of(1, 0); /* at the other worker: every step is mailed */
	uint64_t handle = begun(key, VALUE_LEN_MAX);

	(void)state;
	for (uint32_t at = 0; at < VALUE_LEN_MAX; at += 1400)
		assert_int_equal(rig_do(0, chunk(key, handle, at,
		    at + 1400 < VALUE_LEN_MAX ? 1400 : VALUE_LEN_MAX - at)).status, OP_STATUS_OK);
	assert_int_equal(rig_do(0, rig_request(OP_GET, key)).status, OP_STATUS_NOT_FOUND);
	assert_int_equal(rig_do(0, step(OP_UPLOAD_COMMIT, key, handle)).status, OP_STATUS_OK);
	assert_stored(key, VALUE_LEN_MAX);
}

static void
chunks_come_in_any_order_and_twice(void **state)
{
	enum { LEN = 30000, PIECE = 97, PIECES = (LEN + PIECE - 1) / PIECE };
	const char *key = rig_key_of(0, 0);
	uint64_t handle = begun(key, LEN);
	uint32_t order[PIECES];
	struct prng prng = { 7 };

	(void)state;
	for (uint32_t i = 0; i < PIECES; i++)
		order[i] = i;
	for (uint32_t i = PIECES - 1; i > 0; i--) { /* neighbours only: a window of 40 */
		uint32_t j = i - (uint32_t)prng_below(&prng, i < 40 ? i + 1 : 40), swapped = order[i];

		order[i] = order[j];
		order[j] = swapped;
	}
	for (uint32_t i = 0; i < PIECES; i++) {
		uint32_t at = order[i] * PIECE, len = at + PIECE < LEN ? PIECE : LEN - at;

		if (i > 0)
			assert_int_equal(rig_do(0, step(OP_UPLOAD_COMMIT, key, handle)).status, OP_STATUS_UPLOAD_INCOMPLETE);
		for (uint64_t times = 1 + prng_below(&prng, 2); times > 0; times--)
			assert_int_equal(rig_do(0, chunk(key, handle, at, len)).status, OP_STATUS_OK);
		if (at > 50)
			assert_int_equal(rig_do(0, chunk(key, handle, at - 50, 60 < len ? 60 : len)).status, OP_STATUS_OK);
	}
	assert_int_equal(rig_do(0, step(OP_UPLOAD_COMMIT, key, handle)).status, OP_STATUS_OK);
	assert_stored(key, LEN);
}

static void
an_empty_value_needs_no_chunk(void **state)
{
	const char *key = rig_key_of(1, 0);

	(void)state;
	assert_int_equal(rig_do(0, step(OP_UPLOAD_COMMIT, key, begun(key, 0))).status, OP_STATUS_OK);
	assert_stored(key, 0);
}

static void
a_repeated_begin_answers_the_same_handle(void **state)
{
	const char *key = rig_key_of(1, 0);
	uint64_t handle = begun(key, 100);

	(void)state;
	rig.header.sequence--;
	assert_int_equal(begun(key, 100), handle);
	assert_int_not_equal(begun(key, 100), handle);
}

static void
a_repeated_commit_answers_its_version_and_publishes_once(void **state)
{
	const char *key = rig_key_of(1, 0);
	uint64_t handle = begun(key, 100), version;

	(void)state;
	rig_do(0, chunk(key, handle, 0, 100));
	version = rig_do(0, step(OP_UPLOAD_COMMIT, key, handle)).version;
	assert_int_not_equal(version, 0);
	rig_do(0, rig_set(key, "newer"));
	rig.header.sequence -= 2;
	assert_true(rig_do(0, step(OP_UPLOAD_COMMIT, key, handle)).version == version);
	rig.header.sequence++;
	assert_int_equal(rig_do(0, rig_request(OP_META, key)).total_len, 5);
	assert_int_equal(rig_do(0, step(OP_UPLOAD_COMMIT, key, handle)).status, OP_STATUS_UPLOAD_UNKNOWN);
}

static void
a_frame_reads_what_it_committed(void **state)
{
	(void)state;
	for (uint32_t owner = 0; owner < 2; owner++) {
		const char *key = rig_key_of(owner, 0);
		uint64_t handle = begun(key, 8);
		struct native_result result;

		rig_do(0, chunk(key, handle, 0, 8));
		rig_clear();
		rig_frame();
		rig_add(rig_request(OP_GET, key));
		rig_add(step(OP_UPLOAD_COMMIT, key, handle));
		rig_add(rig_request(OP_GET, key));
		rig_send_frame(0);
		rig_settle();
		assert_true(rig_result(rig.header.sequence, 0, &result));
		assert_int_equal(result.status, OP_STATUS_NOT_FOUND);
		assert_true(rig_result(rig.header.sequence, 2, &result));
		assert_int_equal(result.status, OP_STATUS_OK);
		assert_memory_equal(result.value.data, value, 8);
		rig_next_frame();
	}
}

static void
a_commit_looks_at_what_is_there_and_ends_the_upload(void **state)
{
	const char *key = rig_key_of(1, 0);
	uint64_t handle = begun(key, 10);
	struct request commit = step(OP_UPLOAD_COMMIT, key, handle);

	(void)state;
	rig_do(0, rig_set(key, "there"));
	rig_do(0, chunk(key, handle, 0, 10));
	commit.flags = REQUEST_ADD;
	assert_int_equal(rig_do(0, commit).status, OP_STATUS_NOT_STORED);
	assert_int_equal(rig_do(0, commit).status, OP_STATUS_UPLOAD_UNKNOWN);
	handle = begun(key, 10);
	rig_do(0, chunk(key, handle, 0, 10));
	commit = step(OP_UPLOAD_COMMIT, key, handle);
	commit.flags = REQUEST_CAS;
	commit.version = rig_do(0, rig_request(OP_META, key)).version;
	assert_int_equal(rig_do(0, commit).status, OP_STATUS_OK);
	assert_stored(key, 10);
}

static void
chunks_outside_the_value_are_refused(void **state)
{
	const char *key = rig_key_of(1, 0);
	uint64_t handle = begun(key, 100);

	(void)state;
	assert_int_equal(rig_do(0, chunk(key, handle, 90, 11)).status, OP_STATUS_BAD_RANGE);
	assert_int_equal(rig_do(0, chunk(key, handle, 101, 0)).status, OP_STATUS_BAD_RANGE);
	assert_int_equal(rig_do(0, chunk(key, handle, 90, 10)).status, OP_STATUS_OK);
	assert_int_equal(rig_do(0, begin(key, VALUE_LEN_MAX + 1)).status, OP_STATUS_TOO_LARGE);
}

static void
handles_are_good_for_their_client_only(void **state)
{
	const char *key = rig_key_of(1, 0);
	uint64_t handle = begun(key, 10);

	(void)state;
	rig.header.client++;
	assert_int_equal(rig_do(0, chunk(key, handle, 0, 10)).status, OP_STATUS_UPLOAD_UNKNOWN);
	assert_int_equal(rig_do(0, step(OP_UPLOAD_ABORT, key, handle)).status, OP_STATUS_UPLOAD_UNKNOWN);
	rig.header.client--;
	assert_int_equal(rig_do(0, chunk(key, handle ^ 1ull << 40, 0, 10)).status, OP_STATUS_UPLOAD_UNKNOWN);
	assert_int_equal(rig_do(0, chunk(key, handle | 0xffff, 0, 10)).status, OP_STATUS_UPLOAD_UNKNOWN);
	assert_int_equal(rig_do(0, step(OP_UPLOAD_ABORT, key, handle)).status, OP_STATUS_OK);
	assert_int_equal(rig_do(0, chunk(key, handle, 0, 10)).status, OP_STATUS_UPLOAD_UNKNOWN);
}

static void
a_silent_upload_is_given_up_and_its_memory_comes_back(void **state)
{
	const char *key = rig_key_of(1, 0);
	struct shard_stats before, during, after;
	uint64_t handle;

	(void)state;
	shard_stats(store_shard(rig.store, 1), &before);
	handle = begun(key, 500000);
	shard_stats(store_shard(rig.store, 1), &during);
	assert_true(during.active_bytes >= before.active_bytes + 500000);
	rig.now.mono_ns += UPLOAD_IDLE_NS;
	assert_int_equal(rig_do(0, chunk(key, handle, 0, 10)).status, OP_STATUS_OK);
	rig.now.mono_ns += UPLOAD_IDLE_NS + 1;
	rig_poll(1);
	assert_int_equal(rig_do(0, chunk(key, handle, 0, 10)).status, OP_STATUS_UPLOAD_UNKNOWN);
	shard_stats(store_shard(rig.store, 1), &after);
	assert_int_equal(after.active_bytes, before.active_bytes);
}

static void
a_full_table_of_uploads_answers_busy(void **state)
{
	const char *key = rig_key_of(1, 0);
	uint64_t handle = 0;

	(void)state;
	for (uint32_t i = 0; i < UPLOAD_MAX; i++)
		handle = begun(key, 100);
	assert_int_equal(rig_do(0, begin(key, 100)).status, OP_STATUS_BUSY);
	assert_int_equal(rig_do(0, step(OP_UPLOAD_ABORT, key, handle)).status, OP_STATUS_OK);
	begun(key, 100);
}

/* Uploads cannot be evicted: they end where the budget does, items make way, and an abort makes room. */
static void
uploads_are_held_to_the_budget(void **state)
{
	const char *key = rig_key_of(1, 0);
	struct native_result result = { .status = OP_STATUS_OK };
	struct shard_stats stats;
	uint64_t handle = 0;
	uint32_t count = 0;

	(void)state;
	rig_do(0, rig_set(rig_key_of(1, 1), "an item that makes way"));
	for (; count < UPLOAD_MAX; count++) {
		result = rig_do(0, begin(key, VALUE_LEN_MAX));
		if (result.status != OP_STATUS_OK)
			break;
		handle = result.number;
	}
	assert_int_equal(result.status, OP_STATUS_OUT_OF_MEMORY);
	assert_true(count > 16 && count < 32); /* half of 64 MiB is this worker's */
	shard_stats(store_shard(rig.store, 1), &stats);
	assert_true(stats.active_bytes + stats.table_bytes <= stats.budget_bytes);
	assert_int_equal(rig_counter(COUNTER_NO_MEMORY), 1);
	assert_int_equal(rig_do(0, step(OP_UPLOAD_ABORT, key, handle)).status, OP_STATUS_OK);
	assert_int_equal(rig_do(0, begin(key, VALUE_LEN_MAX)).status, OP_STATUS_OK);
}

static void
more_gaps_than_spans_answer_busy_until_some_close(void **state)
{
	const char *key = rig_key_of(1, 0);
	uint64_t handle = begun(key, 4 * UPLOAD_SPANS_MAX);

	(void)state;
	for (uint32_t i = 0; i < UPLOAD_SPANS_MAX; i++)
		assert_int_equal(rig_do(0, chunk(key, handle, 4 * i, 2)).status, OP_STATUS_OK);
	assert_int_equal(rig_do(0, chunk(key, handle, 4 * UPLOAD_SPANS_MAX - 1, 1)).status, OP_STATUS_BUSY);
	assert_int_equal(rig_do(0, chunk(key, handle, 0, 1000)).status, OP_STATUS_OK);
	assert_int_equal(rig_do(0, chunk(key, handle, 4 * UPLOAD_SPANS_MAX - 1, 1)).status, OP_STATUS_OK);
	assert_int_equal(rig_do(0, chunk(key, handle, 1000, 24)).status, OP_STATUS_OK);
	assert_int_equal(rig_do(0, step(OP_UPLOAD_COMMIT, key, handle)).status, OP_STATUS_OK);
	assert_stored(key, 4 * UPLOAD_SPANS_MAX);
}

int
main(void)
{
#define TWO(test) cmocka_unit_test_setup_teardown(test, two_workers, stop)
	const struct CMUnitTest tests[] = {
		TWO(the_largest_value_goes_in_and_comes_out),
		TWO(chunks_come_in_any_order_and_twice),
		TWO(an_empty_value_needs_no_chunk),
		TWO(a_repeated_begin_answers_the_same_handle),
		TWO(a_repeated_commit_answers_its_version_and_publishes_once),
		TWO(a_frame_reads_what_it_committed),
		TWO(a_commit_looks_at_what_is_there_and_ends_the_upload),
		TWO(chunks_outside_the_value_are_refused),
		TWO(handles_are_good_for_their_client_only),
		TWO(a_silent_upload_is_given_up_and_its_memory_comes_back),
		TWO(a_full_table_of_uploads_answers_busy),
		TWO(uploads_are_held_to_the_budget),
		TWO(more_gaps_than_spans_answer_busy_until_some_close),
	};

	return cmocka_run_group_tests_name("upload", tests, NULL, NULL);
}
