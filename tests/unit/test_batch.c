/* Batches: requests and responses between nodes, as they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/limits.h"
#include "proto/batch.h"

static uint8_t bytes[4096];
static const struct now sender = { .wall_ms = 1700000000000 }, receiver = { .wall_ms = 1700000005000 };

static struct batch_reader
written_request(const struct request *request)
{
	struct writer out = writer_of(bytes, sizeof bytes);
	struct batch_reader batch;

	batch_head_compose(&out, 1, sender);
	batch_request_compose(&out, 17, request);
	assert_false(out.failed);
	assert_true(batch_open(&batch, view_of(bytes, (uint32_t)(out.at - bytes)), receiver));
	return batch;
}

static struct request
through(struct request request)
{
	struct batch_reader batch = written_request(&request);
	struct request read;

	assert_true(batch_request_next(&batch, &read));
	assert_false(batch_request_next(&batch, &request));
	assert_false(batch.in.failed);
	return read;
}

static void
a_request_says_all_that_it_asks(void **state)
{
	struct request request = { .op = OP_SET, .key = view_text("key"), .value = view_text("value"), .slot = 99,
		.flags = REQUEST_ADD | REQUEST_CAS, .options = REQUEST_OLD | REQUEST_KEEP_TTL, .version = 1, .delta = 2, .initial = 3,
		.handle = 4, .client_flags = 5, .offset = 6, .length = 7 };
	struct request read = through(request);

	(void)state;
	assert_int_equal(read.index, 17);
	assert_int_equal(read.op, OP_SET);
	assert_true(view_equal(read.key, request.key) && view_equal(read.value, request.value));
	assert_int_equal(read.flags, request.flags);
	assert_int_equal(read.options, request.options);
	assert_int_equal(read.slot, 99);
	assert_int_equal(read.version, 1);
	assert_int_equal(read.delta, 2);
	assert_int_equal(read.initial, 3);
	assert_int_equal(read.handle, 4);
	assert_int_equal(read.client_flags, 5);
	assert_int_equal(read.offset, 6);
	assert_int_equal(read.length, 7);
}

static void
what_is_serves_own_does_not_travel(void **state)
{
	struct request request = { .op = OP_SET, .key = view_text("key"), .options = REQUEST_ITEM | REQUEST_OLD,
		.flags = REQUEST_SLOT_KNOWN | REQUEST_FOREIGN | REQUEST_TRUST_SLOT | REQUEST_ONCE | REQUEST_REPLACE };
	struct request read = through(request);

	(void)state;
	assert_int_equal(read.options, REQUEST_OLD);
	assert_int_equal(read.flags, REQUEST_REPLACE);
}

static void
points_in_time_move_with_the_clock(void **state)
{
	struct request request = { .op = OP_SET, .key = view_text("k"), .expiry_ms = sender.wall_ms + 100 };

	(void)state;
	assert_int_equal(through(request).expiry_ms, receiver.wall_ms + 100);
	request.expiry_ms = 0;
	assert_int_equal(through(request).expiry_ms, 0);
	request.op = OP_TOUCH;
	request.options = REQUEST_TTL_ADD | REQUEST_TTL_SOME;
	request.expiry_ms = 500; /* a difference */
	assert_int_equal(through(request).expiry_ms, 500);
	request.op = OP_GAT;
	request.options = REQUEST_VIVIFY | REQUEST_RECACHE;
	request.expiry_ms = 0;
	request.initial = sender.wall_ms + 1;
	request.handle = sender.wall_ms + 2;
	assert_int_equal(through(request).initial, receiver.wall_ms + 1);
	assert_int_equal(through(request).handle, receiver.wall_ms + 2);
}

static void
points_in_time_stay_when_the_clocks_agree(void **state)
{
	const struct request request = { .op = OP_SET, .key = view_text("k"), .expiry_ms = sender.wall_ms + 100 };
	const int ahead[] = { -BATCH_CLOCKS_AGREE_MS - 1, -BATCH_CLOCKS_AGREE_MS, 1, BATCH_CLOCKS_AGREE_MS, BATCH_CLOCKS_AGREE_MS + 1 };

	(void)state;
	for (size_t i = 0; i < sizeof ahead / sizeof *ahead; i++) {
		struct now here = { .wall_ms = sender.wall_ms + (uint64_t)ahead[i] };
		bool agree = ahead[i] >= -BATCH_CLOCKS_AGREE_MS && ahead[i] <= BATCH_CLOCKS_AGREE_MS;
		struct writer out = writer_of(bytes, sizeof bytes);
		struct batch_reader batch;
		struct request read;

		batch_head_compose(&out, 1, sender);
		batch_request_compose(&out, 0, &request);
		assert_true(batch_open(&batch, view_of(bytes, (uint32_t)(out.at - bytes)), here));
		assert_true(batch_request_next(&batch, &read));
		assert_int_equal(read.expiry_ms, (agree ? sender.wall_ms : here.wall_ms) + 100);
	}
}

static void
a_response_comes_as_it_was(void **state)
{
	struct response response = { .status = OP_STATUS_OK, .value = view_text("value"), .version = 1, .number = 3, .offset = 4,
		.total_len = 5, .client_flags = 6, .state = RESPONSE_WON, .has_item = true, .expiry_ms = sender.wall_ms + 9 }, read;
	struct writer out = writer_of(bytes, sizeof bytes);
	struct batch_reader batch;
	uint32_t index;

	(void)state;
	batch_head_compose(&out, 1, sender);
	batch_response_compose(&out, 63, &response);
	assert_true(batch_open(&batch, view_of(bytes, (uint32_t)(out.at - bytes)), receiver));
	assert_true(batch_response_next(&batch, &index, &read));
	assert_int_equal(index, 63);
	assert_true(view_equal(read.value, response.value));
	assert_int_equal(read.expiry_ms, receiver.wall_ms + 9);
	assert_int_equal(read.number, 3);
	assert_int_equal(read.state, RESPONSE_WON);
	assert_true(read.has_item && read.pins == NULL);
	assert_false(batch_response_next(&batch, &index, &read));
	assert_false(batch.in.failed);
}

static void
what_makes_no_sense_is_not_read(void **state)
{
	struct request good = { .op = OP_SET, .key = view_text("key"), .value = view_text("value") }, read;
	struct batch_reader batch = written_request(&good);
	uint32_t len = BATCH_HEAD_LEN + batch_request_size(&good);
	static const struct { uint32_t at; uint8_t value; } wrong[] = {
		{ BATCH_HEAD_LEN, 1 }, { BATCH_HEAD_LEN + 4, FRAME_OPS_MAX }, { BATCH_HEAD_LEN + 5, OP_PING },
		{ BATCH_HEAD_LEN + 5, OP_UPLOAD_COMMIT }, { BATCH_HEAD_LEN + 5, OP_FLUSH }, { BATCH_HEAD_LEN + 10, 0 },
		{ BATCH_HEAD_LEN + 11, 255 }, { BATCH_HEAD_LEN + 19, 255 },
	};

	(void)state;
	for (uint32_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		uint8_t was = bytes[wrong[i].at];

		bytes[wrong[i].at] = wrong[i].value;
		assert_true(batch_open(&batch, view_of(bytes, len), receiver));
		assert_false(batch_request_next(&batch, &read));
		assert_true(batch.in.failed);
		bytes[wrong[i].at] = was;
	}
	for (uint32_t cut = 0; cut < len; cut++)
		if (batch_open(&batch, view_of(bytes, cut), receiver))
			assert_false(batch_request_next(&batch, &read));
	bytes[0] = BATCH_VERSION + 1;
	assert_false(batch_open(&batch, view_of(bytes, len), receiver));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_says_all_that_it_asks),
		cmocka_unit_test(what_is_serves_own_does_not_travel),
		cmocka_unit_test(points_in_time_move_with_the_clock),
		cmocka_unit_test(points_in_time_stay_when_the_clocks_agree),
		cmocka_unit_test(a_response_comes_as_it_was),
		cmocka_unit_test(what_makes_no_sense_is_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
