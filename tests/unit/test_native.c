/*
 * Unit tests of lib/proto/native*.c and topology.c: each half against the other, and
 * every malformed input with its named outcome.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/deferred.h"
#include "base/prng.h"
#include "proto/native.h"
#include "proto/topology.h"

enum { PKT_ROOM = 2048, SPARES = 8, WALL_MS = 1000000 };

/* A packet with a request in it, and what the server makes of it. */
static struct {
	uint8_t buffers[1 + SPARES][PKT_ROOM];
	struct pkt pkt, spare_pkts[SPARES];
	struct datagram datagram;
	struct frame frame;
	struct request requests[FRAME_OPS_MAX];
	struct response responses[FRAME_OPS_MAX];
	struct spares spares;
	struct counters counters;
	struct reply replies[1 + SPARES];
	struct writer out;
	uint32_t written;
} t;

static const struct now now = { 0, WALL_MS };
static const struct native_context context = { 0xb007112233445566, 3 };
static const struct native_header plain = {
	.version = NATIVE_VERSION, .client = 0xc11e, .sequence = 1000, .cookie = 0xb007aaaaaaaaaaaa,
	.epoch = 2, .window = 10,
};

static int
setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	memset(t.buffers, 0xee, sizeof t.buffers);
	t.pkt = (struct pkt){ .data = t.buffers[0], .room = PKT_ROOM };
	for (int i = 0; i < SPARES; i++)
		t.spare_pkts[i] = (struct pkt){ .data = t.buffers[1 + i], .room = PKT_ROOM };
	t.spares = (struct spares){ t.spare_pkts, SPARES, 0 };
	t.datagram = (struct datagram){ .pkt = &t.pkt, .payload = t.pkt.data + PKT_UDP_PAYLOAD_OFFSET };
	t.out = writer_of(t.datagram.payload + NATIVE_HEADER_LEN, UDP_PAYLOAD_MAX - NATIVE_HEADER_LEN);
	return 0;
}

static struct request
request(enum op op, const char *key)
{
	return (struct request){ .op = (uint8_t)op, .key = view_text(key), .slot = key[0] ? 77 : 0 };
}

static void
write_request(struct request r)
{
	size_t left = writer_left(&t.out);

	native_request_compose(&t.out, &r);
	assert_false(t.out.failed);
	assert_int_equal(left - writer_left(&t.out), native_request_size(&r));
	t.written++;
}

/* The first byte of operation 0 on the wire. */
static uint8_t *
op(void)
{
	return t.datagram.payload + NATIVE_HEADER_LEN;
}

static enum native_verdict
parse_again(void)
{
	return native_parse(&t.datagram, &now, &t.frame, t.requests, FRAME_OPS_MAX);
}

static enum native_verdict
parse_with(struct native_header header)
{
	header.op_count = (uint8_t)t.written;
	native_header_compose(&header, t.datagram.payload);
	if (header.flags & NATIVE_FLAG_AUTH)
		writer_bytes(&t.out, "0123456789abcdef", NATIVE_TAG_LEN);
	t.datagram.payload_len = (uint16_t)(t.out.at - t.datagram.payload);
	return parse_again();
}

static void
parse_ok(void)
{
	assert_int_equal(parse_with(plain), NATIVE_OK);
	assert_int_equal(t.frame.count, t.written);
}

static void
compose(void)
{
	uint32_t n = native_compose(&t.frame, &context, t.requests, t.responses, &now, &t.spares,
	    &t.counters, t.replies);

	assert_in_range(n, 0, 1 + SPARES);
	memset(&t.replies[n], 0, sizeof t.replies[0]);
}

static struct view
payload_of(uint32_t reply)
{
	return view_of(t.replies[reply].pkt->data + PKT_UDP_PAYLOAD_OFFSET, t.replies[reply].payload_len);
}

/* Opens the results of a reply, whose header must be right. */
static struct reader
results_of(uint32_t reply, uint32_t count)
{
	struct native_header header;
	struct view payload = payload_of(reply);

	assert_true(native_header_parse(payload, &header));
	assert_int_equal(header.op_count, count);
	assert_int_equal(header.client, plain.client);
	assert_int_equal(header.sequence, plain.sequence);
	assert_int_equal(header.cookie, context.cookie);
	assert_int_equal(header.epoch, context.epoch);
	assert_true(payload.len <= UDP_PAYLOAD_MAX);
	return reader_of(payload.data + NATIVE_HEADER_LEN, payload.len - NATIVE_HEADER_LEN);
}

static struct native_result
next_result(struct reader *in)
{
	struct native_result result;

	assert_true(native_result_parse(in, &result));
	return result;
}

static void
answer_value(uint32_t i, const void *value, uint32_t len)
{
	t.responses[i] = (struct response){
		.status = OP_STATUS_OK, .has_item = true, .version = 900 + i, .client_flags = 5,
		.value = view_of(value, len), .total_len = len,
	};
}

/* Requests */

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
		if (o >= OP_UPLOAD_CHUNK && o <= OP_UPLOAD_ABORT)
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
		if (o >= OP_UPLOAD_CHUNK && o <= OP_UPLOAD_ABORT)
			assert_int_equal(got->handle, 4);
		if (o == OP_STATS || o == OP_TOPOLOGY || o == OP_UPLOAD_CHUNK)
			assert_int_equal(got->offset, 5);
		if (o == OP_UPLOAD_BEGIN)
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
		assert_int_equal(parse_again(), NATIVE_FOREIGN);
	}
	t.datagram.payload_len = NATIVE_HEADER_LEN + 13;
	t.datagram.payload[0] ^= 1;
	assert_int_equal(parse_again(), NATIVE_FOREIGN);
	t.datagram.payload[0] ^= 1;
	t.datagram.payload[3] = NATIVE_FLAG_RESPONSE; /* two servers must not answer each other */
	assert_int_equal(parse_again(), NATIVE_FOREIGN);
	t.datagram.payload[2] = 9;
	assert_int_equal(parse_again(), NATIVE_FOREIGN);
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
	} bad[] = { { 3, 4 }, { 3, 8 }, { 3, 128 }, { 4, 0 }, { 4, 65 }, { 5, 1 }, { 6, 1 }, { 7, 1 } };

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

/* Responses */

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
	assert_int_equal(t.replies[0].payload_len, UDP_PAYLOAD_MAX);
	in = results_of(0, 1);
	result = next_result(&in);
	assert_int_equal(result.total_len, VALUE_LEN_MAX);
	assert_true(view_equal(result.value, view_of(value, NATIVE_GET_VALUE_MAX)));
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
		if (o >= OP_UPLOAD_CHUNK && o <= OP_UPLOAD_ABORT)
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
		if (o == OP_GET || o == OP_GAT || o == OP_TOPOLOGY || o == OP_STATS) {
			assert_int_equal(result.total_len, 72);
			assert_true(view_equal(result.value, view_text("name 5\n")));
		} else {
			assert_int_equal(result.value.len, 0);
		}
		if (o == OP_META)
			assert_int_equal(result.ttl_ms, 74);
		if (o == OP_INCR || o == OP_DECR || o == OP_UPLOAD_BEGIN)
			assert_int_equal(result.number, 73);
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
	assert_int_equal(result.value.len, 1410); /* 1412 would fit */
	assert_int_equal(result.value.data[1409], '\n');
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
	assert_int_equal(t.replies[0].payload_len, UDP_PAYLOAD_MAX);
	assert_true(native_header_parse(payload_of(0), &header));
	assert_int_equal(header.flags, NATIVE_FLAG_RESPONSE | NATIVE_FLAG_AUTH);
	in = reader_of(payload_of(0).data + NATIVE_HEADER_LEN, UDP_PAYLOAD_MAX - NATIVE_HEADER_LEN - NATIVE_TAG_LEN);
	result = next_result(&in);
	assert_int_equal(result.value.len, NATIVE_GET_VALUE_MAX - NATIVE_TAG_LEN);
	assert_int_equal(result.total_len, NATIVE_GET_VALUE_MAX);
	/* A value as long as the tag leaves is not cut. */
	answer_value(0, value, NATIVE_GET_VALUE_MAX - NATIVE_TAG_LEN);
	compose();
	assert_int_equal(t.replies[0].payload_len, UDP_PAYLOAD_MAX);
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
			if (parse_again() == NATIVE_FOREIGN)
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
	bytes[3] = 7; /* too few */
	in = reader_of(bytes, 16 + 7);
	assert_false(native_result_parse(&in, &result));
	assert_true(in.failed);
}

static void
a_request_that_does_not_fit_writes_nothing(void **state)
{
	uint8_t bytes[15];
	struct request r = request(OP_GET, "four");
	struct writer out = writer_of(bytes, sizeof bytes);

	(void)state;
	native_request_compose(&out, &r);
	assert_true(out.failed);
	assert_ptr_equal(out.at, bytes);
}

/* Topology */

static struct view
composed_topology(uint8_t *bytes, size_t size, uint16_t node_count)
{
	struct topology topology = {
		.epoch = 7, .rule = TOPOLOGY_ONE_NODE, .slot_count = SLOT_COUNT, .node_count = node_count,
	};
	struct writer out = writer_of(bytes, size);

	topology_compose(&out, &topology);
	for (uint16_t i = 0; i < node_count; i++) {
		struct topology_node node = {
			.ip = { [10] = 0xff, [11] = 0xff, [12] = 10, [15] = (uint8_t)i }, .index = i,
			.first_port = 7411, .worker_count = 4, .state = TOPOLOGY_NODE_ALIVE,
		};

		topology_node_compose(&out, &node);
	}
	assert_false(out.failed);
	return view_of(bytes, (uint32_t)(out.at - bytes));
}

static void
a_topology_is_read_as_it_was_written(void **state)
{
	static uint8_t bytes[TOPOLOGY_SIZE_MAX];
	struct topology topology;
	struct topology_node node;

	(void)state;
	assert_true(topology_parse(composed_topology(bytes, sizeof bytes, TOPOLOGY_NODES_MAX), &topology));
	assert_int_equal(topology.epoch, 7);
	assert_int_equal(topology.rule, TOPOLOGY_ONE_NODE);
	assert_int_equal(topology.slot_count, SLOT_COUNT);
	assert_int_equal(topology.node_count, TOPOLOGY_NODES_MAX);
	topology_node(&topology, 1023, &node);
	assert_int_equal(node.index, 1023);
	assert_int_equal(node.ip[15], 255);
	assert_int_equal(topology_port(&node, 6), 7413);
}

static void
a_topology_with_longer_entries_is_read(void **state)
{
	uint8_t bytes[TOPOLOGY_HEADER_LEN + 2 * 30];
	struct view value = composed_topology(bytes, sizeof bytes, 2);
	struct topology topology;
	struct topology_node node;

	(void)state;
	(void)value;
	memmove(bytes + TOPOLOGY_HEADER_LEN + 30, bytes + TOPOLOGY_HEADER_LEN + TOPOLOGY_NODE_LEN, TOPOLOGY_NODE_LEN);
	store_le16(bytes + 10, 30);
	assert_true(topology_parse(view_of(bytes, sizeof bytes), &topology));
	topology_node(&topology, 1, &node);
	assert_int_equal(node.index, 1);
	assert_int_equal(node.first_port, 7411);
}

static void
a_topology_that_makes_no_sense_is_refused(void **state)
{
	const struct {
		uint8_t at, value;
	} bad[] = {
		{ 4, 0 }, { 6, 0 }, { 6, 1 }, { 6, 3 }, { 9, 0 }, { 10, 23 }, { 12, 1 },
		{ 16 + 16, 1 } /* order */, { 16 + 17, 8 } /* index over 1023 */, { 16 + 20, 0 }, { 16 + 20, 17 },
		{ 16 + 22, 1 },
	};
	uint8_t bytes[TOPOLOGY_HEADER_LEN + 2 * TOPOLOGY_NODE_LEN];
	struct view value = composed_topology(bytes, sizeof bytes, 2);
	struct topology topology;

	(void)state;
	assert_true(topology_parse(value, &topology));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		uint8_t was = bytes[bad[i].at];

		bytes[bad[i].at] = bad[i].value;
		if (topology_parse(value, &topology))
			fail_msg("byte %u = %u was taken", bad[i].at, bad[i].value);
		bytes[bad[i].at] = was;
	}
	for (uint32_t len = 0; len < value.len; len++)
		assert_false(topology_parse(view_of(bytes, len), &topology));
	store_le16(bytes + 16 + 18, 65533); /* four workers would pass port 65535 */
	assert_false(topology_parse(value, &topology));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		TEST(every_operation_arrives_as_it_was_sent), TEST(flags_carry_their_extras),
		TEST(a_full_frame_of_gets_arrives_in_order), TEST(a_plain_get_and_its_general_way_agree),
		TEST(a_client_without_crc_leaves_the_slot_to_the_server), TEST(client_zero_is_not_remembered),
		TEST(client_zero_cannot_upload),
		TEST(a_window_longer_than_the_sequence_has_floor_zero),
		TEST(ttl_is_relative_and_never_overflows_an_item),
		TEST(a_mailed_frame_yields_only_the_operations_named),
		TEST(frames_that_are_not_ours), TEST(another_version_keeps_what_a_refusal_needs),
		TEST(reserved_header_fields_are_checked), TEST(every_truncation_is_refused_whole),
		TEST(lengths_that_overflow_are_refused), TEST(a_frame_too_short_for_its_tag),
		TEST(each_malformed_operation_has_its_status), TEST(lengths_that_add_up_and_are_still_wrong),
		TEST(the_longest_key_is_taken), TEST(an_upload_over_the_limit_is_refused_at_its_beginning),
		TEST(a_get_is_answered_in_its_own_packet), TEST(a_large_value_is_cut_to_the_frame),
		TEST(values_that_do_not_fit_go_into_spares),
		TEST(without_a_spare_the_rest_goes_unanswered_and_is_counted),
		TEST(every_status_travels_without_extras_or_value), TEST(each_operation_answers_with_its_extras),
		TEST(meta_tells_never_and_now_apart),
		TEST(malformed_operations_are_answered_with_opcode_and_status),
		TEST(operations_of_other_workers_are_left_out), TEST(a_page_of_stats_ends_with_a_whole_line),
		TEST(a_tagged_request_leaves_room_for_tags), TEST(a_refusal_is_never_longer_than_its_request),
		TEST(a_client_refuses_headers_that_make_no_sense),
		TEST(a_client_never_reads_past_a_truncated_result), TEST(a_client_skips_extras_it_does_not_know),
		TEST(a_request_that_does_not_fit_writes_nothing),
		TEST(a_topology_is_read_as_it_was_written), TEST(a_topology_with_longer_entries_is_read),
		TEST(a_topology_that_makes_no_sense_is_refused),
	};

	return cmocka_run_group_tests_name("native", tests, NULL, NULL);
}
