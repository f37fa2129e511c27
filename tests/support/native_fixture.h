/*
 * native_fixture.h - a packet with a native request in it, and what the server makes of it.
 *
 * setup() empties it; write_request() appends operations, parse_ok() or parse_with() parses
 * them, compose() composes t.responses, and results_of() reads a reply as a client would.
 */
#ifndef TESTS_SUPPORT_NATIVE_FIXTURE_H
#define TESTS_SUPPORT_NATIVE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/deferred.h"
#include "base/prng.h"
#include "proto/native.h"

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
	struct reply replies[2 + SPARES]; /* one behind the last, to be empty */
	struct writer out;
	uint32_t written;
} t;

static const struct now now = { 0, WALL_MS };
static const struct native_context context = { .cookie = 0xb007112233445566, .epoch = 3 };
static const struct native_header plain = {
	.version = NATIVE_VERSION, .client = 0xc11e, .sequence = 1000, .cookie = 0xb007aaaaaaaaaaaa,
	.epoch = 2, .window = 10,
};

static inline int
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

static inline struct request
request(enum op op, const char *key)
{
	return (struct request){ .op = (uint8_t)op, .key = view_text(key), .slot = key[0] ? 77 : 0 };
}

static inline void
write_request(struct request r)
{
	size_t left = writer_left(&t.out);

	native_request_compose(&t.out, &r);
	assert_false(t.out.failed);
	assert_int_equal(left - writer_left(&t.out), native_request_size(&r));
	t.written++;
}

/* The first byte of operation 0 on the wire. */
static inline uint8_t *
op(void)
{
	return t.datagram.payload + NATIVE_HEADER_LEN;
}

static inline enum native_verdict
parse_again(void)
{
	return native_parse(&t.datagram, &now, &t.frame, t.requests, FRAME_OPS_MAX);
}

static inline enum native_verdict
parse_with(struct native_header header)
{
	header.op_count = (uint8_t)t.written;
	native_header_compose(&header, t.datagram.payload);
	if (header.flags & NATIVE_FLAG_AUTH)
		writer_bytes(&t.out, "0123456789abcdef", NATIVE_TAG_LEN);
	t.datagram.payload_len = (uint16_t)(t.out.at - t.datagram.payload);
	return parse_again();
}

static inline void
parse_ok(void)
{
	assert_int_equal(parse_with(plain), NATIVE_OK);
	assert_int_equal(t.frame.count, t.written);
}

static inline void
compose(void)
{
	uint32_t n = native_compose(&t.frame, &context, t.requests, t.responses, &now, &t.spares,
	    &t.counters, t.replies);

	assert_in_range(n, 0, 1 + SPARES);
	memset(&t.replies[n], 0, sizeof t.replies[0]);
}

static inline struct view
payload_of(uint32_t reply)
{
	return view_of(t.replies[reply].pkt->data + PKT_UDP_PAYLOAD_OFFSET, t.replies[reply].payload_len);
}

/* Opens the results of a reply, whose header must be right. */
static inline struct reader
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

static inline struct native_result
next_result(struct reader *in)
{
	struct native_result result;

	assert_true(native_result_parse(in, &result));
	return result;
}

static inline void
answer_value(uint32_t i, const void *value, uint32_t len)
{
	t.responses[i] = (struct response){
		.status = OP_STATUS_OK, .has_item = true, .version = 900 + i, .client_flags = 5,
		.value = view_of(value, len), .total_len = len,
	};
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

#endif
