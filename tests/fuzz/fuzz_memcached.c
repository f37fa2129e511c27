/*
 * Fuzzes memcached's parser and composer. The input is one datagram, UDP frame
 * header included; the header's request id chooses responses, spares and where
 * the frame travels, so that a corpus file is a packet anyone can send.
 *
 * Checked: requests keep their invariants and borrow only from the datagram;
 * datagrams are numbered 0..n-1 of n and full but the last; a reply that
 * travelled through a slot is the reply that did not.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/deferred.h"
#include "base/prng.h"
#include "proto/memcached.h"

enum { SPARES = 256, PKT_ROOM = 1536, TEXT_MAX = SPARES * MEMCACHED_UDP_REPLY_MAX };

static const struct now now = { .mono_ns = 5, .wall_ms = 1700000000123ull };

static struct run {
	struct request requests[FRAME_OPS_MAX];
	struct response responses[FRAME_OPS_MAX];
	uint8_t rooms[SPARES][PKT_ROOM];
	struct pkt pkts[SPARES];
	struct reply replies[SPARES];
	uint8_t value[4096];
	struct deferred slot;
	uint8_t reply[DEFERRED_REPLY_MAX]; /* the slot's */
	struct counters counters;
} run;

struct text {
	uint8_t bytes[TEXT_MAX];
	uint32_t len;
};

static bool
within(struct view part, const uint8_t *data, size_t size)
{
	return part.len == 0 || (part.data >= data && part.data + part.len <= data + size);
}

static void
check_request(const struct request *request, uint32_t i, const uint8_t *data, size_t size)
{
	CHECK(request->op < OP_COUNT && request->index == i && request->text_at < size);
	CHECK(request->value.len <= VALUE_LEN_MAX && within(request->value, data, size));
	if (op_has_key(request->op)) {
		CHECK(request->key.len >= 1 && request->key.len <= KEY_LEN_MAX);
		CHECK(within(request->key, data, size));
	}
}

/* Any status with any item: more than execution would ever answer. */
static void
script_responses(uint32_t count, uint64_t seed)
{
	struct prng prng = { seed };

	for (uint32_t i = 0; i < count; i++) {
		struct response *response = &run.responses[i];
		uint32_t len = (uint32_t)prng_below(&prng, prng_below(&prng, 4) ? 60 : sizeof run.value);

		*response = (struct response){
			.value = view_of(run.value, len), .total_len = len, .has_item = true,
			.version = prng_next(&prng), .number = prng_next(&prng),
			.expiry_ms = prng_below(&prng, 2) ? 0 : now.wall_ms - 500 + prng_below(&prng, 90000),
			.client_flags = (uint32_t)prng_next(&prng),
			.status = prng_below(&prng, 3) ? 0 : (uint8_t)prng_below(&prng, 20),
		};
	}
}

static uint32_t
compose(const struct frame *frame, uint32_t spares)
{
	struct spares taken = { run.pkts, spares, 0 };
	uint32_t n;

	for (uint32_t i = 0; i < spares; i++)
		run.pkts[i] = (struct pkt){ .data = run.rooms[i], .room = PKT_ROOM };
	n = memcached_compose(frame, run.requests, run.responses, &now, &taken, &run.counters,
	    run.replies);
	CHECK(n == taken.used && n <= spares);
	return n;
}

/* Puts the datagrams together again. */
static void
collect(uint32_t n, uint16_t request_id, struct text *text)
{
	text->len = 0;
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *at = run.replies[i].pkt->data + PKT_UDP_PAYLOAD_OFFSET;
		uint32_t len = run.replies[i].payload_len;

		CHECK(load_be16(at) == request_id && load_be16(at + 2) == i);
		CHECK(load_be16(at + 4) == n && load_be16(at + 6) == 0);
		CHECK(len > 8 && (i == n - 1 ? len <= 1400 : len == 1400));
		memcpy(text->bytes + text->len, at + 8, len - 8);
		text->len += len - 8;
	}
	CHECK(text->len == 0 || text->bytes[text->len - 1] == '\n');
}

/* The same frame answered by two workers, the first up to request `from`. */
static void
travel(struct frame *frame, uint16_t from)
{
	run.slot = (struct deferred){ .reply = run.reply, .reply_size = sizeof run.reply };
	frame->datagram->deferred = &run.slot;
	frame->travels = true;
	frame->travel_from = from;
	CHECK(compose(frame, SPARES) == 0);
	CHECK(run.slot.first_op == from && run.slot.reply_len <= DEFERRED_REPLY_MAX);
	frame->travels = false;
}

static void
fuzz_frame(struct frame *frame, const uint8_t *data)
{
	static struct text whole, travelled;
	uint16_t id = load_be16(data);

	for (size_t i = 0; i < sizeof run.value; i++)
		run.value[i] = (uint8_t)('a' + i % 26);
	script_responses(frame->count, id);
	collect(compose(frame, SPARES), id, &whole);
	collect(compose(frame, id % 7), id, &travelled);
	if (frame->count == 0)
		return;
	travel(frame, id % frame->count);
	collect(compose(frame, SPARES), id, &travelled);
	/* Shorter than the slot less its reserve: nothing had to be left out. */
	if (whole.len < DEFERRED_REPLY_MAX - 256)
		CHECK(whole.len == travelled.len && memcmp(whole.bytes, travelled.bytes, whole.len) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *payload;
	struct datagram datagram;
	struct frame frame = { 0 };

	if (size > UDP_PAYLOAD_MAX)
		return 0;
	payload = malloc(size ? size : 1); /* its own block, so that a read past its end is seen */
	CHECK(payload);
	memcpy(payload, data, size);
	datagram = (struct datagram){ .payload = payload, .payload_len = (uint16_t)size };
	if (memcached_parse(&datagram, &now, &frame, run.requests, FRAME_OPS_MAX)) {
		CHECK(frame.count <= FRAME_OPS_MAX);
		for (uint32_t i = 0; i < frame.count; i++)
			check_request(&run.requests[i], i, payload, size);
		CHECK(memcmp(payload, data, size) == 0); /* the parser writes nothing */
		fuzz_frame(&frame, payload);
	}
	free(payload);
	return 0;
}
