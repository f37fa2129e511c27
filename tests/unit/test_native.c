/*
 * Unit tests of lib/proto/native_parse.c against the client's composer, and every
 * malformed request with its named outcome.
 */
#include "tests/support/native_fixture.h"

static void
every_operation_arrives_as_it_was_sent(void **state)
{
	(void)state;
	for (int o = OP_GET; o < OP_COUNT; o++) {
		struct request sent = request(o, op_has_key(o) ? "key" : "");
		bool has_value = o == OP_SET || o == OP_APPEND || o == OP_PREPEND || o == OP_UPLOAD_CHUNK;
		const struct request *got = t.requests;

		setup(NULL);
		t.written = 0;
		if ((o >= OP_UPLOAD_CHUNK && o <= OP_UPLOAD_ABORT) || op_is_shard_job(o))
			sent.slot = 9;
		if (has_value)
			sent.value = view_text("value");
		sent.client_flags = 1, sent.expiry_ms = 2, sent.delta = 3, sent.handle = 4;
		sent.offset = 5, sent.length = 6, sent.version = 7, sent.initial = 8;
		write_request(sent);
		parse_ok();
		assert_int_equal(got->op, o);
		assert_int_equal(got->verb, o);
		assert_true(view_equal(got->key, sent.key));
		assert_int_equal(got->slot, sent.slot);
		assert_int_equal(!!(got->flags & REQUEST_TRUST_SLOT), sent.slot != 0);
		assert_int_equal(!!(got->flags & REQUEST_ONCE), op_is_once(o));
		if (o == OP_GET)
			continue;
		assert_true(view_equal(got->value, sent.value));
		assert_int_equal(got->client, plain.client);
		assert_int_equal(got->sequence, plain.sequence);
		assert_int_equal(got->floor, plain.sequence - plain.window);
		if (o == OP_SET || o == OP_UPLOAD_BEGIN)
			assert_int_equal(got->client_flags, 1);
		if (o == OP_SET || o == OP_UPLOAD_BEGIN || o == OP_TOUCH || o == OP_GAT || o == OP_FLUSH)
			assert_int_equal(got->expiry_ms, WALL_MS + 2);
		if (o == OP_INCR || o == OP_DECR)
			assert_int_equal(got->delta, 3);
		if ((o >= OP_UPLOAD_CHUNK && o <= OP_UPLOAD_ABORT) || o == OP_KEYS || o == OP_EXPIRE)
			assert_int_equal(got->handle, 4);
		if (o == OP_STATS || o == OP_TOPOLOGY || o == OP_UPLOAD_CHUNK)
			assert_int_equal(got->offset, 5);
		if (o == OP_UPLOAD_BEGIN || o == OP_KEYS || o == OP_EVICT)
			assert_int_equal(got->length, 6);
	}
}

static void
flags_carry_their_extras(void **state)
{
	struct request range = request(OP_GET, "big"), cas = request(OP_SET, "c"), create = request(OP_INCR, "n");
	struct request commit = request(OP_UPLOAD_COMMIT, "");

	(void)state;
	range.flags = REQUEST_RANGE, range.version = 11, range.offset = 12, range.length = 13;
	cas.flags = REQUEST_CAS, cas.version = 14;
	create.flags = REQUEST_CREATE, create.delta = 15, create.initial = 16, create.expiry_ms = 17;
	commit.flags = REQUEST_CAS, commit.version = 18, commit.handle = 19;
	write_request(range);
	write_request(cas);
	write_request(create);
	write_request(commit);
	parse_ok();
	assert_int_equal(t.requests[0].version, 11);
	assert_int_equal(t.requests[0].offset, 12);
	assert_int_equal(t.requests[0].length, 13);
	assert_true(t.requests[0].flags & REQUEST_RANGE);
	assert_int_equal(t.requests[1].version, 14);
	assert_int_equal(t.requests[2].delta, 15);
	assert_int_equal(t.requests[2].initial, 16);
	assert_int_equal(t.requests[2].expiry_ms, WALL_MS + 17);
	assert_int_equal(t.requests[3].version, 18);
	assert_int_equal(t.requests[3].handle, 19);
	for (int i = 0; i < 4; i++)
		assert_int_equal(t.requests[i].index, i);
	assert_int_equal(t.requests[3].sequence, plain.sequence + 3);
}

static void
a_full_frame_of_gets_arrives_in_order(void **state)
{
	char key[8];

	(void)state;
	for (int i = 0; i < FRAME_OPS_MAX; i++) {
		snprintf(key, sizeof key, "k%d", i);
		write_request(request(OP_GET, key));
	}
	parse_ok();
	for (int i = 0; i < FRAME_OPS_MAX; i++) {
		snprintf(key, sizeof key, "k%d", i);
		assert_true(view_equal(t.requests[i].key, view_text(key)));
		assert_int_equal(t.requests[i].index, i);
		assert_int_equal(t.requests[i].slot, 77);
	}
}

static void
a_plain_get_and_its_general_way_agree(void **state)
{
	struct request fast, with_tag;
	struct native_header tagged = plain;

	(void)state;
	write_request(request(OP_GET, "agreed"));
	parse_ok();
	fast = t.requests[0];
	tagged.flags = NATIVE_FLAG_AUTH;
	assert_int_equal(parse_with(tagged), NATIVE_OK);
	with_tag = t.requests[0];
	assert_true(view_equal(fast.key, with_tag.key));
	assert_int_equal(fast.slot, with_tag.slot);
	assert_int_equal(fast.flags, with_tag.flags);
	assert_int_equal(fast.index, with_tag.index);
	assert_int_equal(fast.op, with_tag.op);
	assert_true(t.frame.authenticated);
}

static void
a_client_without_crc_leaves_the_slot_to_the_server(void **state)
{
	struct request r = request(OP_GET, "key");

	(void)state;
	r.slot = NATIVE_SLOT_NONE;
	write_request(r);
	parse_ok();
	assert_false(t.requests[0].flags & REQUEST_TRUST_SLOT);
	assert_int_equal(t.requests[0].op, OP_GET);
}

static void
client_zero_is_not_remembered(void **state)
{
	struct native_header anonymous = plain;

	(void)state;
	anonymous.client = 0;
	write_request(request(OP_SET, "k"));
	assert_int_equal(parse_with(anonymous), NATIVE_OK);
	assert_false(t.requests[0].flags & REQUEST_ONCE);
}

static void
client_zero_cannot_upload(void **state)
{
	struct native_header anonymous = plain;

	(void)state;
	anonymous.client = 0;
	for (int o = OP_UPLOAD_BEGIN; o <= OP_UPLOAD_ABORT; o++)
		write_request(request(o, o == OP_UPLOAD_BEGIN ? "k" : ""));
	assert_int_equal(parse_with(anonymous), NATIVE_OK);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(t.requests[i].op, OP_NONE);
		assert_int_equal(t.requests[i].local, OP_STATUS_BAD_REQUEST);
	}
	assert_int_equal(parse_with(plain), NATIVE_OK);
	for (int i = 0; i < 4; i++)
		assert_int_equal(t.requests[i].op, OP_UPLOAD_BEGIN + i);
}

static void
a_window_longer_than_the_sequence_has_floor_zero(void **state)
{
	struct native_header young = plain;

	(void)state;
	young.sequence = 3;
	write_request(request(OP_DELETE, "k"));
	assert_int_equal(parse_with(young), NATIVE_OK);
	assert_int_equal(t.requests[0].floor, 0);
}

static void
ttl_is_relative_and_never_overflows_an_item(void **state)
{
	struct request r = request(OP_TOUCH, "k");

	(void)state;
	r.expiry_ms = 0;
	write_request(r);
	r.expiry_ms = UINT64_MAX;
	write_request(r);
	r.expiry_ms = (1ull << 48) - WALL_MS;
	write_request(r);
	parse_ok();
	assert_int_equal(t.requests[0].expiry_ms, 0);
	assert_int_equal(t.requests[1].expiry_ms, (1ull << 48) - 1);
	assert_int_equal(t.requests[2].expiry_ms, (1ull << 48) - 1);
}

static void
a_mailed_frame_yields_only_the_operations_named(void **state)
{
	static struct deferred slot;

	(void)state;
	write_request(request(OP_SET, "a"));
	write_request(request(OP_SET, "b"));
	write_request(request(OP_GET, "c"));
	slot.ops = 1 << 1;
	slot.proven = true;
	t.datagram.deferred = &slot;
	assert_int_equal(parse_with(plain), NATIVE_OK);
	assert_int_equal(t.frame.count, 1);
	assert_true(t.frame.proven);
	assert_true(view_equal(t.requests[0].key, view_text("b")));
	assert_int_equal(t.requests[0].index, 1);
	assert_int_equal(t.requests[0].sequence, plain.sequence + 1);
}

/* Malformed requests, each with its name */

static void
frames_that_are_not_ours(void **state)
{
	(void)state;
	write_request(request(OP_GET, "k"));
	parse_ok();
	for (uint16_t len = 0; len < NATIVE_HEADER_LEN; len++) {
		t.datagram.payload_len = len;
		assert_int_equal(parse_again(), NATIVE_NO_REQUEST);
	}
	t.datagram.payload_len = NATIVE_HEADER_LEN + 13;
	t.datagram.payload[0] ^= 1;
	assert_int_equal(parse_again(), NATIVE_NO_REQUEST);
	t.datagram.payload[0] ^= 1;
	t.datagram.payload[3] = NATIVE_FLAG_RESPONSE; /* two servers must not answer each other */
	assert_int_equal(parse_again(), NATIVE_NO_REQUEST);
	t.datagram.payload[2] = 9;
	assert_int_equal(parse_again(), NATIVE_NO_REQUEST);
}

static void
another_version_keeps_what_a_refusal_needs(void **state)
{
	struct native_header header = plain;

	(void)state;
	header.version = 2;
	write_request(request(OP_GET, "k"));
	assert_int_equal(parse_with(header), NATIVE_WRONG_VERSION);
	assert_int_equal(t.frame.client, plain.client);
	assert_int_equal(t.frame.sequence, plain.sequence);
	assert_int_equal(t.frame.count, 0);
}

static void
reserved_header_fields_are_checked(void **state)
{
	const struct {
		uint8_t at, value;
	} bad[] = { { 3, 4 }, { 3, 8 }, { 3, 128 }, { 4, 0 }, { 4, 65 }, { 5, 1 } };

	(void)state;
	write_request(request(OP_GET, "k"));
	parse_ok();
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		uint8_t was = t.datagram.payload[bad[i].at];

		t.datagram.payload[bad[i].at] = bad[i].value;
		assert_int_equal(parse_again(), NATIVE_MALFORMED);
		assert_int_equal(t.frame.count, 0);
		assert_int_equal(t.frame.cookie, plain.cookie);
		t.datagram.payload[bad[i].at] = was;
	}
	assert_int_equal(parse_again(), NATIVE_OK);
}

/* A frame of `n` pings, whatever the header may say of it. */
static enum native_verdict
parse_pings(uint8_t n)
{
	setup(NULL);
	t.written = 0;
	for (uint8_t i = 0; i < n; i++)
		write_request(request(OP_PING, ""));
	return parse_with(plain);
}

static void
a_frame_has_one_to_sixty_four_operations(void **state)
{
	(void)state;
	assert_int_equal(parse_pings(0), NATIVE_MALFORMED);
	assert_int_equal(parse_pings(1), NATIVE_OK);
	assert_int_equal(parse_pings(FRAME_OPS_MAX), NATIVE_OK);
	assert_int_equal(t.frame.count, FRAME_OPS_MAX);
	assert_int_equal(parse_pings(FRAME_OPS_MAX + 1), NATIVE_MALFORMED);
	assert_int_equal(t.frame.count, 0);
}

static void
every_truncation_is_refused_whole(void **state)
{
	uint16_t whole;

	(void)state;
	write_request(request(OP_GET, "first"));
	write_request(request(OP_SET, "second"));
	parse_ok();
	whole = t.datagram.payload_len;
	for (uint16_t len = NATIVE_HEADER_LEN; len < whole; len++) {
		t.datagram.payload_len = len;
		assert_int_equal(parse_again(), NATIVE_MALFORMED);
		assert_int_equal(t.frame.count, 0);
	}
	t.datagram.payload_len = whole + 1; /* a byte nobody asked for */
	assert_int_equal(parse_again(), NATIVE_MALFORMED);
}

static void
lengths_that_overflow_are_refused(void **state)
{
	(void)state;
	write_request(request(OP_SET, "k"));
	parse_ok();
	store_le32(op() + 8, UINT32_MAX);
	assert_int_equal(parse_again(), NATIVE_MALFORMED);
	store_le32(op() + 8, VALUE_LEN_MAX + 1);
	assert_int_equal(parse_again(), NATIVE_MALFORMED);
}

static void
a_frame_too_short_for_its_tag(void **state)
{
	struct native_header tagged = plain;

	(void)state;
	t.written = 1; /* claims an operation, has none */
	tagged.flags = NATIVE_FLAG_AUTH;
	parse_with(tagged);
	t.datagram.payload_len = NATIVE_HEADER_LEN + NATIVE_TAG_LEN - 1;
	assert_int_equal(parse_again(), NATIVE_MALFORMED);
	assert_false(t.frame.authenticated);
	t.datagram.payload_len = NATIVE_HEADER_LEN + NATIVE_TAG_LEN;
	assert_int_equal(parse_again(), NATIVE_MALFORMED);
	assert_true(t.frame.authenticated);
}

/* Spoils one byte of a SET between two GETs; the GETs must still be executed. */
static void
expect_bad_op(enum op o, uint8_t at, uint8_t value, enum op_status status)
{
	struct request bad = request(o, op_has_key(o) ? "key" : "");
	size_t first_len;

	setup(NULL);
	t.written = 0;
	write_request(request(OP_GET, "a"));
	first_len = NATIVE_REQUEST_OP_LEN + 1;
	if (o >= OP_UPLOAD_CHUNK && o <= OP_UPLOAD_ABORT)
		bad.slot = 1;
	write_request(bad);
	write_request(request(OP_GET, "b"));
	parse_ok();
	assert_int_equal(t.requests[1].op, o);
	op()[first_len + at] = value;
	assert_int_equal(parse_again(), NATIVE_OK);
	assert_int_equal(t.frame.count, 3);
	assert_int_equal(t.requests[0].op, OP_GET);
	if (t.requests[1].op != OP_NONE || t.requests[1].local != status)
		fail_msg("%s with byte %u = %u: local %s", op_name(o), at, value,
		    op_status_name(t.requests[1].local));
	assert_int_equal(t.requests[1].index, 1);
	assert_int_equal(t.requests[1].verb, at == 0 ? value : o);
	assert_int_equal(t.requests[2].op, OP_GET);
}

static void
each_malformed_operation_has_its_status(void **state)
{
	(void)state;
	expect_bad_op(OP_SET, 0, 0, OP_STATUS_UNKNOWN_OP);
	expect_bad_op(OP_SET, 0, OP_COUNT, OP_STATUS_UNKNOWN_OP);
	expect_bad_op(OP_SET, 0, 255, OP_STATUS_UNKNOWN_OP);
	expect_bad_op(OP_GET, 1, NATIVE_OP_CAS, OP_STATUS_BAD_REQUEST);
	expect_bad_op(OP_SET, 1, 32, OP_STATUS_BAD_REQUEST);
	expect_bad_op(OP_SET, 1, 128, OP_STATUS_BAD_REQUEST);
	expect_bad_op(OP_SET, 1, NATIVE_OP_ADD | NATIVE_OP_REPLACE, OP_STATUS_BAD_REQUEST);
	expect_bad_op(OP_SET, 1, NATIVE_OP_RANGE, OP_STATUS_BAD_REQUEST);
	expect_bad_op(OP_SET, 1, NATIVE_OP_CAS, OP_STATUS_BAD_REQUEST); /* without the version */
	expect_bad_op(OP_GET, 1, NATIVE_OP_RANGE, OP_STATUS_BAD_REQUEST);
	expect_bad_op(OP_UPLOAD_COMMIT, 1, NATIVE_OP_ADD | NATIVE_OP_REPLACE, OP_STATUS_BAD_REQUEST);
	expect_bad_op(OP_SET, 7, 1, OP_STATUS_BAD_REQUEST);
	expect_bad_op(OP_GET, 7, 1, OP_STATUS_BAD_REQUEST);
	expect_bad_op(OP_GET, 3, 0x40, OP_STATUS_WRONG_SLOT); /* 16384 + 77 */
	expect_bad_op(OP_UPLOAD_CHUNK, 3, 0x40, OP_STATUS_WRONG_SLOT);
	expect_bad_op(OP_PING, 2, 1, OP_STATUS_BAD_REQUEST);
	expect_bad_op(OP_STATS, 2, 1, OP_STATUS_BAD_REQUEST);
	expect_bad_op(OP_FLUSH, 3, 1, OP_STATUS_BAD_REQUEST);
}

/* One operation, written raw: lengths that add up, but are wrong. */
static void
expect_bad_lengths(enum op o, uint16_t key_len, uint8_t extras_len, uint32_t value_len, enum op_status status)
{
	size_t body = (size_t)extras_len + key_len + value_len;

	setup(NULL);
	store_le64(op(), (uint64_t)o | (uint64_t)key_len << 32 | (uint64_t)extras_len << 48);
	store_le32(op() + 8, value_len);
	memset(op() + NATIVE_REQUEST_OP_LEN, 'x', body);
	t.out.at += NATIVE_REQUEST_OP_LEN + body;
	t.written = 1;
	parse_ok();
	if (t.requests[0].op != OP_NONE || t.requests[0].local != status)
		fail_msg("%s %u %u %u: local %s", op_name(o), key_len, extras_len, value_len,
		    op_status_name(t.requests[0].local));
}

static void
lengths_that_add_up_and_are_still_wrong(void **state)
{
	(void)state;
	expect_bad_lengths(OP_GET, 0, 0, 0, OP_STATUS_BAD_KEY);
	expect_bad_lengths(OP_GET, KEY_LEN_MAX + 1, 0, 0, OP_STATUS_BAD_KEY);
	expect_bad_lengths(OP_GET, 512, 0, 0, OP_STATUS_BAD_KEY);
	expect_bad_lengths(OP_SET, 0, 12, 5, OP_STATUS_BAD_KEY);
	expect_bad_lengths(OP_STATS, KEY_LEN_MAX + 1, 4, 0, OP_STATUS_BAD_KEY);
	expect_bad_lengths(OP_GET, 3, 1, 0, OP_STATUS_BAD_REQUEST);
	expect_bad_lengths(OP_GET, 3, 0, 1, OP_STATUS_BAD_REQUEST);
	expect_bad_lengths(OP_SET, 3, 11, 1, OP_STATUS_BAD_REQUEST);
	expect_bad_lengths(OP_SET, 3, 20, 1, OP_STATUS_BAD_REQUEST);
	expect_bad_lengths(OP_PING, 1, 0, 0, OP_STATUS_BAD_REQUEST);
	expect_bad_lengths(OP_PING, 0, 0, 1, OP_STATUS_BAD_REQUEST);
	expect_bad_lengths(OP_UPLOAD_CHUNK, 1, 12, 0, OP_STATUS_BAD_REQUEST);
	expect_bad_lengths(OP_TOPOLOGY, 0, 3, 0, OP_STATUS_BAD_REQUEST);
}

static void
the_longest_key_is_taken(void **state)
{
	char key[KEY_LEN_MAX + 1];

	(void)state;
	memset(key, 'k', KEY_LEN_MAX);
	key[KEY_LEN_MAX] = 0;
	write_request(request(OP_GET, key));
	parse_ok();
	assert_int_equal(t.requests[0].op, OP_GET);
	assert_int_equal(t.requests[0].key.len, KEY_LEN_MAX);
	setup(NULL);
	t.written = 0;
	write_request(request(OP_STATS, key));
	store_le16(op() + 2, 0); /* a group's name has no slot */
	parse_ok();
	assert_int_equal(t.requests[0].op, OP_STATS);
	assert_int_equal(t.requests[0].key.len, KEY_LEN_MAX);
}

static void
an_upload_over_the_limit_is_refused_at_its_beginning(void **state)
{
	struct request r = request(OP_UPLOAD_BEGIN, "big");

	(void)state;
	r.length = VALUE_LEN_MAX;
	write_request(r);
	r.length = VALUE_LEN_MAX + 1;
	write_request(r);
	parse_ok();
	assert_int_equal(t.requests[0].op, OP_UPLOAD_BEGIN);
	assert_int_equal(t.requests[1].op, OP_NONE);
	assert_int_equal(t.requests[1].local, OP_STATUS_TOO_LARGE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_operation_arrives_as_it_was_sent),
		TEST(flags_carry_their_extras),
		TEST(a_full_frame_of_gets_arrives_in_order),
		TEST(a_plain_get_and_its_general_way_agree),
		TEST(a_client_without_crc_leaves_the_slot_to_the_server),
		TEST(client_zero_is_not_remembered),
		TEST(client_zero_cannot_upload),
		TEST(a_window_longer_than_the_sequence_has_floor_zero),
		TEST(ttl_is_relative_and_never_overflows_an_item),
		TEST(a_mailed_frame_yields_only_the_operations_named),
		TEST(frames_that_are_not_ours),
		TEST(another_version_keeps_what_a_refusal_needs),
		TEST(reserved_header_fields_are_checked),
		TEST(a_frame_has_one_to_sixty_four_operations),
		TEST(every_truncation_is_refused_whole),
		TEST(lengths_that_overflow_are_refused),
		TEST(a_frame_too_short_for_its_tag),
		TEST(each_malformed_operation_has_its_status),
		TEST(lengths_that_add_up_and_are_still_wrong),
		TEST(the_longest_key_is_taken),
		TEST(an_upload_over_the_limit_is_refused_at_its_beginning),
	};

	return cmocka_run_group_tests_name("native", tests, NULL, NULL);
}
