/*
 * Unit tests of lib/proto/native_compose.c against the client's reader: in place, in
 * spares, cut, refused, and what a client makes of nonsense.
 */
#include "tests/support/native_fixture.h"

static void
a_get_is_answered_in_its_own_packet(void **state)
{
	uint8_t value[NATIVE_GET_VALUE_MAX];
	struct prng prng = { 5 };

	(void)state;
	for (size_t i = 0; i < sizeof value; i++)
		value[i] = (uint8_t)prng_next(&prng);
	/* Every length, so that the copy in blocks is seen at all its edges. */
	for (uint32_t len = 0; len <= NATIVE_GET_VALUE_MAX; len++) {
		struct native_result result;
		struct reader in;

		setup(NULL);
		t.written = 0;
		write_request(request(OP_GET, "key"));
		parse_ok();
		answer_value(0, value, len);
		compose();
		assert_ptr_equal(t.replies[0].pkt, &t.pkt);
		assert_ptr_equal(t.replies[0].peer, &t.datagram.peer);
		assert_int_equal(t.replies[0].payload_len, 64 + len);
		assert_null(t.replies[1].pkt);
		in = results_of(0, 1);
		result = next_result(&in);
		assert_int_equal(result.op, OP_GET);
		assert_int_equal(result.status, OP_STATUS_OK);
		assert_int_equal(result.version, 900);
		assert_int_equal(result.client_flags, 5);
		assert_int_equal(result.total_len, len);
		assert_true(view_equal(result.value, view_of(value, len)));
		assert_int_equal(t.pkt.data[PKT_UDP_PAYLOAD_OFFSET + 64 + len], 0xee);
		assert_int_equal(reader_left(&in), 0);
	}
}

static void
a_large_value_is_cut_to_the_frame(void **state)
{
	static uint8_t value[VALUE_LEN_MAX];
	struct native_result result;
	struct reader in;

	(void)state;
	value[0] = 1, value[NATIVE_GET_VALUE_MAX - 1] = 2;
	write_request(request(OP_GET, "key"));
	parse_ok();
	answer_value(0, value, VALUE_LEN_MAX);
	compose();
	assert_int_equal(t.replies[0].payload_len, NATIVE_FRAME_MAX);
	in = results_of(0, 1);
	result = next_result(&in);
	assert_int_equal(result.total_len, VALUE_LEN_MAX);
	assert_true(view_equal(result.value, view_of(value, NATIVE_GET_VALUE_MAX)));
}

/* Pins of the value that answers the only GET, after composing with that least length. */
static uint16_t
pins_after(uint32_t len, uint32_t refer_min, uint8_t flags, uint16_t pins)
{
	static uint16_t counted;
	struct native_header header = plain;
	struct native_context referring = context;
	static uint8_t value[NATIVE_GET_VALUE_MAX];

	setup(NULL);
	for (uint32_t i = 0; i < sizeof value; i++)
		value[i] = (uint8_t)(i * 7);
	write_request(request(OP_GET, "key"));
	header.flags = flags;
	assert_int_equal(parse_with(header), NATIVE_OK);
	t.frame.authenticated = flags & NATIVE_FLAG_AUTH;
	answer_value(0, value, len);
	counted = pins;
	t.responses[0].pins = &counted;
	referring.refer_min = refer_min;
	t.replies[0].tail_len = 99; /* of a burst before */
	assert_int_equal(native_compose(&t.frame, &referring, t.requests, t.responses, &now, &t.spares, &t.counters, t.replies), 1);
	if (t.replies[0].tail_len) {
		uint8_t *place = t.pkt.data + PKT_UDP_PAYLOAD_OFFSET + t.replies[0].payload_len - len;
		struct pkt_tail tail = pkt_tail_at(place);

		assert_ptr_equal(tail.data, value);
		assert_ptr_equal(tail.pins, &counted);
		assert_true(tail.len == len && t.replies[0].tail_len == len);
		memcpy(place, value, len); /* there is room for them, too */
	}
	if (!t.frame.authenticated) {
		struct reader in = results_of(0, 1);
		struct native_result result = next_result(&in);

		assert_true(view_equal(result.value, view_of(value, len)));
	}
	return counted;
}

static void
a_value_of_the_only_get_is_referred_to_from_a_length_on(void **state)
{
	(void)state;
	assert_int_equal(pins_after(1024, 1024, 0, 5), 6);
	assert_int_equal(pins_after(NATIVE_GET_VALUE_MAX, 1024, 0, 0), 1);
	assert_int_equal(pins_after(1023, 1024, 0, 5), 5);
	assert_int_equal(pins_after(NATIVE_GET_VALUE_MAX, 0, 0, 5), 5);
	assert_int_equal(pins_after(0, 0, 0, 5), 5);
	assert_int_equal(pins_after(1200, 1024, 0, UINT16_MAX), UINT16_MAX); /* no more can be counted */
	assert_int_equal(pins_after(1200, 1024, NATIVE_FLAG_AUTH, 5), 5); /* the tag stands behind it */
}

static void
the_last_value_of_each_frame_is_referred_to_and_the_others_are_copied(void **state)
{
	static uint8_t values[6][1200];
	static const uint32_t lens[] = { 100, 1100, 1200, 1050, 200, 30 }; /* frames: 100 and 1100; 1200; 1050 and 200 and 30 */
	struct native_context referring = context;
	uint16_t pins[6] = { 0 };
	uint32_t op = 0;

	(void)state;
	for (uint32_t i = 0; i < 6; i++) {
		memset(values[i], (int)i + 1, sizeof values[i]);
		write_request(request(OP_GET, "key"));
	}
	parse_ok();
	for (uint32_t i = 0; i < 6; i++) {
		answer_value(i, values[i], lens[i]);
		t.responses[i].pins = &pins[i];
	}
	referring.refer_min = 1024;
	assert_int_equal(native_compose(&t.frame, &referring, t.requests, t.responses, &now, &t.spares, &t.counters, t.replies), 3);
	assert_true(pins[1] == 1 && pins[2] == 1);
	assert_true(pins[0] + pins[3] + pins[4] + pins[5] == 0);
	for (uint32_t i = 0; i < 3; i++) {
		struct view payload = payload_of(i);
		uint32_t count = i == 0 ? 2 : i == 1 ? 1 : 3;
		struct reader in;

		assert_int_equal(t.replies[i].tail_len, i == 0 ? 1100 : i == 1 ? 1200 : 0);
		if (t.replies[i].tail_len) {
			uint8_t *place = (uint8_t *)(uintptr_t)payload.data + payload.len - t.replies[i].tail_len;

			memcpy(place, pkt_tail_at(place).data, t.replies[i].tail_len);
		}
		in = results_of(i, count);
		for (; count > 0; count--, op++)
			assert_true(view_equal(next_result(&in).value, view_of(values[op], lens[op])));
	}
}

static void
a_small_packet_cuts_sooner(void **state)
{
	static uint8_t value[600];
	struct native_result result;
	struct reader in;

	(void)state;
	t.pkt.room = PKT_UDP_PAYLOAD_OFFSET + 300;
	write_request(request(OP_GET, "key"));
	parse_ok();
	answer_value(0, value, sizeof value);
	compose();
	assert_int_equal(t.replies[0].payload_len, 300);
	in = results_of(0, 1);
	result = next_result(&in);
	assert_int_equal(result.value.len, 300 - 64);
	assert_int_equal(result.total_len, sizeof value);
	assert_int_equal(t.pkt.data[PKT_UDP_PAYLOAD_OFFSET + 300], 0xee);
}

static void
sixty_four_results_fit_a_frame(void **state)
{
	struct reader in;

	(void)state;
	for (int i = 0; i < FRAME_OPS_MAX; i++)
		write_request(request(OP_PING, ""));
	parse_ok();
	compose();
	in = results_of(0, FRAME_OPS_MAX);
	for (int i = 0; i < FRAME_OPS_MAX; i++)
		assert_int_equal(next_result(&in).index, i);
	assert_null(t.replies[1].pkt);
}

static void
values_that_do_not_fit_go_into_spares(void **state)
{
	static uint8_t value[NATIVE_GET_VALUE_MAX];

	(void)state;
	for (int i = 0; i < 5; i++)
		write_request(request(OP_GET, "key"));
	parse_ok();
	answer_value(0, value, 700);
	answer_value(1, value, 600);
	answer_value(2, value, 100); /* does not fit behind the first two */
	answer_value(3, value, NATIVE_GET_VALUE_MAX);
	t.responses[4].status = OP_STATUS_NOT_FOUND;
	compose();
	for (uint32_t reply = 0, index = 0; reply < 4; reply++) {
		uint32_t count = reply == 0 ? 2 : 1;
		struct reader in = results_of(reply, count);

		for (uint32_t i = 0; i < count; i++) {
			struct native_result result = next_result(&in);

			assert_int_equal(result.index, index++);
			assert_int_equal(result.value.len, result.total_len);
		}
		assert_int_equal(reader_left(&in), 0);
	}
	assert_int_equal(t.spares.used, 3);
	assert_null(t.replies[4].pkt);
}

static void
a_frame_is_filled_to_its_last_byte(void **state)
{
	static uint8_t value[NATIVE_GET_VALUE_MAX];
	struct reader in;

	(void)state;
	write_request(request(OP_GET, "key"));
	write_request(request(OP_GET, "key"));
	parse_ok();
	answer_value(0, value, 1000);
	answer_value(1, value, NATIVE_GET_VALUE_MAX - 1000 - NATIVE_RESPONSE_OP_LEN - 8);
	compose();
	assert_int_equal(t.replies[0].payload_len, NATIVE_FRAME_MAX);
	in = results_of(0, 2);
	next_result(&in);
	assert_int_equal(next_result(&in).index, 1);
	assert_int_equal(t.spares.used, 0);
}

static void
without_a_spare_the_rest_goes_unanswered_and_is_counted(void **state)
{
	static uint8_t value[1000];
	struct reader in;

	(void)state;
	t.spares.size = 1;
	for (int i = 0; i < 5; i++)
		write_request(request(OP_GET, "key"));
	parse_ok();
	for (uint32_t i = 0; i < 4; i++)
		answer_value(i, value, sizeof value);
	t.responses[4].status = OP_STATUS_NOT_FOUND; /* small: still fits behind */
	compose();
	in = results_of(0, 1);
	assert_int_equal(next_result(&in).index, 0);
	in = results_of(1, 2);
	assert_int_equal(next_result(&in).index, 1);
	assert_int_equal(next_result(&in).index, 4);
	assert_int_equal(drop_read(&t.counters, DROP_NO_SPARE), 2);
}

static void
every_status_travels_without_extras_or_value(void **state)
{
	(void)state;
#define OP_STATUS(suffix, number, name, text) \
	if (number != 0) { \
		struct native_result result; \
		struct reader in; \
		setup(NULL); \
		t.written = 0; \
		write_request(request(OP_GET, "key")); \
		parse_ok(); \
		memset(&t.responses[0], 0xcc, sizeof t.responses[0]); /* nothing of it may be looked at */ \
		t.responses[0].status = OP_STATUS_##suffix; \
		t.responses[0].has_item = false; \
		compose(); \
		assert_int_equal(t.replies[0].payload_len, 56); \
		in = results_of(0, 1); \
		result = next_result(&in); \
		assert_int_equal(result.status, number); \
		assert_int_equal(result.version, 0); \
		assert_string_equal(op_status_name(number), name); \
		assert_string_equal(op_status_text(number), text); \
	}
#include "proto/op_status.def"
#undef OP_STATUS
}

static void
each_operation_answers_with_its_extras(void **state)
{
	struct response *r = t.responses;
	struct native_result result;
	struct reader in;

	(void)state;
	for (int o = OP_GET; o < OP_COUNT; o++) {
		struct request sent = request(o, op_has_key(o) ? "key" : "");

		setup(NULL);
		t.written = 0;
		if ((o >= OP_UPLOAD_CHUNK && o <= OP_UPLOAD_ABORT) || op_is_shard_job(o))
			sent.slot = 9;
		write_request(sent);
		parse_ok();
		*r = (struct response){
			.has_item = true, .version = 70, .client_flags = 71, .total_len = 72, .number = 73,
			.expiry_ms = WALL_MS + 74, .value = view_text("name 5\n"),
		};
		compose();
		in = results_of(0, 1);
		result = next_result(&in);
		assert_int_equal(reader_left(&in), 0);
		assert_int_equal(result.op, o);
		assert_int_equal(result.version, 70);
		if (o == OP_GET || o == OP_GAT || o == OP_META)
			assert_int_equal(result.client_flags, 71);
		if (o == OP_GET || o == OP_GAT || o == OP_TOPOLOGY || o == OP_STATS || o == OP_KEYS) {
			assert_int_equal(result.total_len, 72);
			assert_true(view_equal(result.value, view_text("name 5\n")));
		} else {
			assert_int_equal(result.value.len, 0);
		}
		if (o == OP_META)
			assert_int_equal(result.ttl_ms, 74);
		if (o == OP_INCR || o == OP_DECR || o == OP_UPLOAD_BEGIN || op_is_shard_job(o))
			assert_int_equal(result.number, 73);
		if (op_is_shard_job(o)) {
			assert_int_equal(result.total_len, 72);
			assert_int_equal(result.client_flags, 71);
		}
	}
}

static void
meta_tells_never_and_now_apart(void **state)
{
	struct reader in;

	(void)state;
	write_request(request(OP_META, "a"));
	write_request(request(OP_META, "b"));
	parse_ok();
	t.responses[0] = (struct response){ .has_item = true };
	t.responses[1] = (struct response){ .has_item = true, .expiry_ms = WALL_MS - 1 };
	compose();
	in = results_of(0, 2);
	assert_true(next_result(&in).ttl_ms == UINT64_MAX);
	assert_int_equal(next_result(&in).ttl_ms, 0);
}

static void
malformed_operations_are_answered_with_opcode_and_status(void **state)
{
	struct native_result result;
	struct reader in;

	(void)state;
	write_request(request(OP_GET, "a"));
	write_request(request(OP_PING, ""));
	parse_ok();
	op()[0] = 200;
	assert_int_equal(parse_again(), NATIVE_OK);
	memset(&t.responses[0], 0xcc, sizeof t.responses[0]);
	compose();
	in = results_of(0, 2);
	result = next_result(&in);
	assert_int_equal(result.op, 200);
	assert_int_equal(result.status, OP_STATUS_UNKNOWN_OP);
	assert_int_equal(next_result(&in).op, OP_PING);
}

static void
operations_of_other_workers_are_left_out(void **state)
{
	struct reader in;

	(void)state;
	write_request(request(OP_SET, "a"));
	write_request(request(OP_SET, "b"));
	parse_ok();
	t.requests[0].flags |= REQUEST_FOREIGN;
	compose();
	in = results_of(0, 1);
	assert_int_equal(next_result(&in).index, 1);
	t.requests[1].flags |= REQUEST_FOREIGN;
	compose();
	assert_null(t.replies[0].pkt);
}

static void
a_get_of_another_worker_is_left_out_though_its_response_looks_ready(void **state)
{
	(void)state;
	write_request(request(OP_GET, "a"));
	parse_ok();
	answer_value(0, "value", 5);
	t.requests[0].flags |= REQUEST_FOREIGN;
	compose();
	assert_null(t.replies[0].pkt);
}

static void
a_page_of_stats_ends_with_a_whole_line(void **state)
{
	static char text[4000];
	struct native_result result;
	struct reader in;

	(void)state;
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = i % 10 == 9 ? '\n' : 'x';
	write_request(request(OP_STATS, ""));
	parse_ok();
	t.responses[0] = (struct response){ .value = view_of(text, sizeof text), .total_len = 400 };
	compose();
	in = results_of(0, 1);
	result = next_result(&in);
	assert_int_equal(result.value.len, 1390); /* 1392 would fit */
	assert_int_equal(result.value.data[1389], '\n');
	assert_int_equal(result.total_len, 400);
	memset(text, 'x', sizeof text); /* a line longer than a frame */
	compose();
	in = results_of(0, 1);
	assert_int_equal(next_result(&in).value.len, 0);
}

static void
a_tagged_request_leaves_room_for_tags(void **state)
{
	static uint8_t value[NATIVE_GET_VALUE_MAX];
	struct native_header tagged = plain, header;
	struct native_result result;
	struct reader in;

	(void)state;
	tagged.flags = NATIVE_FLAG_AUTH;
	write_request(request(OP_GET, "key"));
	assert_int_equal(parse_with(tagged), NATIVE_OK);
	answer_value(0, value, NATIVE_GET_VALUE_MAX);
	compose();
	assert_int_equal(t.replies[0].payload_len, NATIVE_FRAME_MAX);
	assert_true(native_header_parse(payload_of(0), &header));
	assert_int_equal(header.flags, NATIVE_FLAG_RESPONSE | NATIVE_FLAG_AUTH);
	in = reader_of(payload_of(0).data + NATIVE_HEADER_LEN, NATIVE_FRAME_MAX - NATIVE_HEADER_LEN - NATIVE_TAG_LEN);
	result = next_result(&in);
	assert_int_equal(result.value.len, NATIVE_GET_VALUE_MAX - NATIVE_TAG_LEN);
	assert_int_equal(result.total_len, NATIVE_GET_VALUE_MAX);
	/* A value as long as the tag leaves is not cut. */
	answer_value(0, value, NATIVE_GET_VALUE_MAX - NATIVE_TAG_LEN);
	compose();
	assert_int_equal(t.replies[0].payload_len, NATIVE_FRAME_MAX);
}

static void
a_refusal_is_never_longer_than_its_request(void **state)
{
	const enum op_status errors[] = {
		OP_STATUS_UNPROVEN, OP_STATUS_STALE_BOOT, OP_STATUS_UNSUPPORTED_VERSION, OP_STATUS_BAD_REQUEST,
	};
	uint8_t payload[NATIVE_HEADER_LEN + NATIVE_TAG_LEN];

	(void)state;
	/* Any bytes whatever behind the magic, of any length that has a header. */
	for (uint16_t len = NATIVE_HEADER_LEN; len < 80; len++) {
		for (int flags = 0; flags < 256; flags++) {
			t.datagram.payload_len = len;
			native_header_compose(&plain, t.datagram.payload);
			t.datagram.payload[3] = (uint8_t)flags;
			if (parse_again() == NATIVE_NO_REQUEST)
				continue;
			for (size_t i = 0; i < 4; i++) {
				struct native_header header;
				uint16_t answer_len = native_compose_refusal(&t.frame, &context, errors[i], payload);

				assert_true(answer_len <= len);
				assert_true(native_header_parse(view_of(payload, answer_len), &header));
				assert_int_equal(header.error, errors[i]);
				assert_int_equal(header.op_count, 0);
				assert_int_equal(header.client, plain.client);
				assert_int_equal(header.sequence, plain.sequence);
				assert_int_equal(header.cookie, context.cookie);
				assert_int_equal(!!(header.flags & NATIVE_FLAG_CHALLENGE), i < 2);
			}
		}
	}
}

/* The client's reader */

static void
a_client_refuses_headers_that_make_no_sense(void **state)
{
	const struct {
		uint8_t at, value;
	} bad[] = {
		{ 0, 0 }, { 1, 0 }, { 3, 0 }, { 3, 9 }, { 3, 5 }, { 4, 0 }, { 4, 65 }, { 5, 6 }, { 6, 1 },
		{ 36, 1 },
	};
	struct native_header header;
	uint8_t *payload;

	(void)state;
	write_request(request(OP_PING, ""));
	parse_ok();
	compose();
	payload = t.pkt.data + PKT_UDP_PAYLOAD_OFFSET;
	assert_true(native_header_parse(payload_of(0), &header));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		uint8_t was = payload[bad[i].at];

		payload[bad[i].at] = bad[i].value;
		assert_false(native_header_parse(payload_of(0), &header));
		payload[bad[i].at] = was;
	}
	assert_false(native_header_parse(view_of(payload, NATIVE_HEADER_LEN - 1), &header));
	payload[2] = 2; /* another version: only what never changes is told */
	assert_true(native_header_parse(payload_of(0), &header));
	assert_int_equal(header.version, 2);
	assert_int_equal(header.cookie, 0);
	assert_int_equal(header.sequence, plain.sequence);
}

static void
a_client_never_reads_past_a_truncated_result(void **state)
{
	struct native_result result;
	struct reader in;
	struct view payload;

	(void)state;
	write_request(request(OP_GET, "key"));
	parse_ok();
	answer_value(0, "some value", 10);
	compose();
	payload = payload_of(0);
	for (uint32_t len = 1; len < payload.len - NATIVE_HEADER_LEN; len++) {
		in = reader_of(payload.data + NATIVE_HEADER_LEN, len);
		assert_false(native_result_parse(&in, &result));
		assert_true(in.failed);
	}
	in = reader_of(payload.data + NATIVE_HEADER_LEN, 0);
	assert_false(native_result_parse(&in, &result));
	assert_false(in.failed); /* the end is no failure */
}

static void
a_client_skips_extras_it_does_not_know(void **state)
{
	uint8_t bytes[64] = { OP_INCR, OP_STATUS_OK, 3, 12 /* four more than today's */ };
	uint8_t unknown[64] = { 99, OP_STATUS_OK, 0, 5 };
	struct native_result result;
	struct reader in = reader_of(bytes, 16 + 12);

	(void)state;
	bytes[16] = 42;
	result = next_result(&in);
	assert_int_equal(result.number, 42);
	assert_int_equal(reader_left(&in), 0);
	in = reader_of(unknown, 16 + 5);
	assert_int_equal(next_result(&in).op, 99);
	bytes[2] = FRAME_OPS_MAX; /* no frame has such an operation */
	in = reader_of(bytes, 16 + 12);
	assert_false(native_result_parse(&in, &result));
	bytes[2] = 3;
	bytes[3] = 7; /* too few */
	in = reader_of(bytes, 16 + 7);
	assert_false(native_result_parse(&in, &result));
	assert_true(in.failed);
}

static void
a_request_that_does_not_fit_writes_nothing(void **state)
{
	uint8_t bytes[15], exact[16];
	struct request r = request(OP_GET, "four");
	struct writer out = writer_of(bytes, sizeof bytes);

	(void)state;
	native_request_compose(&out, &r);
	assert_true(out.failed);
	assert_ptr_equal(out.at, bytes);
	out = writer_of(exact, sizeof exact);
	native_request_compose(&out, &r);
	assert_false(out.failed);
	assert_int_equal(writer_left(&out), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_get_is_answered_in_its_own_packet),
		TEST(a_large_value_is_cut_to_the_frame),
		TEST(a_value_of_the_only_get_is_referred_to_from_a_length_on),
		TEST(the_last_value_of_each_frame_is_referred_to_and_the_others_are_copied),
		TEST(a_small_packet_cuts_sooner),
		TEST(sixty_four_results_fit_a_frame),
		TEST(values_that_do_not_fit_go_into_spares),
		TEST(a_frame_is_filled_to_its_last_byte),
		TEST(without_a_spare_the_rest_goes_unanswered_and_is_counted),
		TEST(every_status_travels_without_extras_or_value),
		TEST(each_operation_answers_with_its_extras),
		TEST(meta_tells_never_and_now_apart),
		TEST(malformed_operations_are_answered_with_opcode_and_status),
		TEST(operations_of_other_workers_are_left_out),
		TEST(a_get_of_another_worker_is_left_out_though_its_response_looks_ready),
		TEST(a_page_of_stats_ends_with_a_whole_line),
		TEST(a_tagged_request_leaves_room_for_tags),
		TEST(a_refusal_is_never_longer_than_its_request),
		TEST(a_client_refuses_headers_that_make_no_sense),
		TEST(a_client_never_reads_past_a_truncated_result),
		TEST(a_client_skips_extras_it_does_not_know),
		TEST(a_request_that_does_not_fit_writes_nothing),
	};

	return cmocka_run_group_tests_name("native_response", tests, NULL, NULL);
}
