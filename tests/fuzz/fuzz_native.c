/*
 * Fuzzes the native protocol's server side. The input is one datagram, so a corpus
 * file is a packet anyone can send; its client id seeds the responses composed.
 *
 * Checked: requests keep their invariants and borrow only from the datagram; what
 * parsed without complaint composes to the same bytes again, so there is one way to
 * write a request; a refusal is no longer than what it refuses; every request is
 * answered once, or counted, in frames that the client's half reads.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/deferred.h"
#include "base/prng.h"
#include "proto/native.h"

enum { SPARES = FRAME_OPS_MAX, PKT_ROOM = 1536, GUARD = 0xa5 };

static const struct now epoch = { 0, 0 };
static const struct native_context context = { .cookie = 0x1234000000000001, .epoch = 9 };
static struct request requests[FRAME_OPS_MAX], again[FRAME_OPS_MAX];
static struct response responses[FRAME_OPS_MAX];
static uint8_t rooms[SPARES + 1][PKT_ROOM], value[4096];
static struct pkt pkts[SPARES + 1];
static struct reply replies[SPARES + 1];
static struct counters counters;

static bool
within(struct view part, const struct datagram *datagram)
{
	return part.len == 0 || (part.data >= datagram->payload &&
	    part.data + part.len <= datagram->payload + datagram->payload_len);
}

static void
check_request(const struct request *request, const struct datagram *datagram)
{
	CHECK(request->op < OP_COUNT && request->index < FRAME_OPS_MAX);
	if (request->op == OP_NONE) {
		CHECK(request->local != OP_STATUS_OK);
		return;
	}
	CHECK(request->key.len <= KEY_LEN_MAX && within(request->key, datagram));
	CHECK(request->key.len > 0 || !op_has_key(request->op));
	CHECK(request->slot < SLOT_COUNT || (request->slot == NATIVE_SLOT_NONE && op_has_key(request->op)));
	CHECK(!(request->flags & REQUEST_TRUST_SLOT) == (request->slot == NATIVE_SLOT_NONE ||
	    (!op_has_key(request->op) && !op_is_write(request->op) && !op_is_shard_job(request->op))));
	if (request->op == OP_GET && !(request->flags & REQUEST_RANGE))
		return; /* the rest is not filled */
	CHECK(request->value.len <= VALUE_LEN_MAX && within(request->value, datagram));
	CHECK(request->floor <= request->sequence || request->sequence < request->index);
	CHECK(request->expiry_ms < 1ull << 48);
}

/* An expiry that was cut, or an operation that was refused, is not what was sent. */
static bool
is_as_sent(const struct frame *frame)
{
	for (uint32_t i = 0; i < frame->count; i++) {
		bool plain = requests[i].op == OP_GET && !(requests[i].flags & REQUEST_RANGE);

		if (requests[i].op == OP_NONE || (!plain && requests[i].expiry_ms == (1ull << 48) - 1))
			return false;
	}
	return true;
}

static void
check_one_way_to_write(const struct frame *frame, const struct datagram *datagram)
{
	uint8_t bytes[UDP_PAYLOAD_MAX];
	uint32_t tag_len = frame->authenticated ? NATIVE_TAG_LEN : 0;
	struct native_header header = {
		NATIVE_VERSION, frame->authenticated ? NATIVE_FLAG_AUTH : 0, (uint8_t)frame->count, 0,
		frame->client, frame->sequence, frame->cookie, frame->epoch, load_le32(datagram->payload + 36),
		load_le16(datagram->payload + 6),
	};
	struct writer out = writer_of(bytes + NATIVE_HEADER_LEN, sizeof bytes - NATIVE_HEADER_LEN);

	native_header_compose(&header, bytes);
	for (uint32_t i = 0; i < frame->count; i++)
		native_request_compose(&out, &requests[i]);
	CHECK(!out.failed && out.at + tag_len == bytes + datagram->payload_len);
	CHECK(memcmp(bytes, datagram->payload, datagram->payload_len - tag_len) == 0);
}

/* A mailed frame yields the same requests, less those not named. */
static void
check_mailed(struct datagram *datagram, const struct frame *whole, uint64_t ops)
{
	static struct deferred slot;
	struct frame frame;
	uint32_t n = 0;

	slot.ops = ops;
	datagram->deferred = &slot;
	CHECK(native_parse(datagram, &epoch, &frame, again, FRAME_OPS_MAX) == NATIVE_OK);
	datagram->deferred = NULL;
	for (uint32_t i = 0; i < whole->count; i++) {
		if (!(ops >> i & 1))
			continue;
		CHECK(again[n].index == i && again[n].op == requests[i].op);
		CHECK(view_equal(again[n].key, requests[i].key) || again[n].op == OP_NONE);
		n++;
	}
	CHECK(frame.count == n);
}

static void
script_responses(const struct frame *frame, struct prng *prng)
{
	for (uint32_t i = 0; i < frame->count; i++) {
		uint32_t len = (uint32_t)prng_below(prng, prng_below(prng, 4) ? 80 : sizeof value);

		responses[i] = (struct response){
			.value = view_of(value, len), .total_len = len, .has_item = prng_below(prng, 8) > 0,
			.version = prng_next(prng) | 1, .number = prng_next(prng), .expiry_ms = prng_below(prng, 3),
			.client_flags = (uint32_t)prng_next(prng), .status = (uint8_t)(prng_below(prng, 3) ? 0 : prng_below(prng, 22)),
		};
		if (prng_below(prng, 8) == 0)
			requests[i].flags |= REQUEST_FOREIGN;
	}
}

static void
check_result(const struct native_result *result, const struct request *request, const struct response *response)
{
	bool bad = request->op == OP_NONE;

	CHECK(result->op == request->verb);
	CHECK(result->status == (bad ? request->local : response->status));
	if (bad || response->status != OP_STATUS_OK)
		return;
	CHECK(result->version == (response->has_item ? response->version : 0));
	if (result->op != OP_GET && result->op != OP_GAT && result->op != OP_STATS && result->op != OP_TOPOLOGY)
		return;
	CHECK(result->total_len == response->total_len && result->value.len <= response->value.len);
	CHECK(memcmp(result->value.data, response->value.data, result->value.len) == 0);
	/* Only what no frame can hold is cut. */
	CHECK(result->value.len == response->value.len || result->op == OP_STATS ||
	    result->value.len >= NATIVE_GET_VALUE_MAX - NATIVE_TAG_LEN);
}

/* One reply: inside its room, read to its end; returns which operations it answers. */
static uint64_t
check_reply(const struct reply *reply, const struct frame *frame)
{
	const uint8_t *payload = reply->pkt->data + PKT_UDP_PAYLOAD_OFFSET;
	uint32_t tag_len = frame->authenticated ? NATIVE_TAG_LEN : 0;
	struct native_header header;
	struct native_result result;
	struct reader in;
	uint64_t answered = 0;

	CHECK(reply->payload_len <= UDP_PAYLOAD_MAX);
	CHECK(payload[reply->payload_len] == GUARD);
	CHECK(native_header_parse(view_of(payload, reply->payload_len), &header));
	CHECK(header.client == frame->client && header.sequence == frame->sequence);
	in = reader_of(payload + NATIVE_HEADER_LEN, reply->payload_len - NATIVE_HEADER_LEN - tag_len);
	for (uint32_t i = 0; i < header.op_count; i++) {
		CHECK(native_result_parse(&in, &result));
		CHECK(!(answered >> result.index & 1));
		answered |= 1ull << result.index;
		check_result(&result, &requests[result.index], &responses[result.index]);
	}
	CHECK(reader_left(&in) == 0);
	return answered;
}

static void
check_composed(struct frame *frame, uint32_t spare_count)
{
	struct spares spares = { pkts + 1, spare_count, 0 };
	uint64_t answered = 0, foreign = 0, dropped = drop_read(&counters, DROP_NO_SPARE);
	uint32_t n;

	memset(rooms, GUARD, sizeof rooms);
	for (uint32_t i = 0; i <= SPARES; i++)
		pkts[i] = (struct pkt){ .data = rooms[i], .room = PKT_ROOM };
	frame->datagram->pkt = &pkts[0];
	n = native_compose(frame, &context, requests, responses, &epoch, &spares, &counters, replies);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t here = check_reply(&replies[i], frame);

		CHECK(!(answered & here));
		answered |= here;
	}
	for (uint32_t i = 0; i < frame->count; i++)
		foreign |= (uint64_t)!!(requests[i].flags & REQUEST_FOREIGN) << i;
	CHECK(!(answered & foreign));
	dropped = drop_read(&counters, DROP_NO_SPARE) - dropped;
	CHECK((uint64_t)__builtin_popcountll(answered | foreign) + dropped == frame->count);
	CHECK(dropped == 0 || spares.used == spare_count);
}

static void
check_refusal(const struct frame *frame, size_t size)
{
	uint8_t payload[NATIVE_HEADER_LEN + NATIVE_TAG_LEN];
	struct native_header header;
	uint16_t len = native_compose_refusal(frame, &context, OP_STATUS_UNPROVEN, payload);

	CHECK(len <= size);
	CHECK(native_header_parse(view_of(payload, len), &header));
}

static void
fuzz_frame(struct frame *frame, struct datagram *datagram)
{
	struct prng prng = { frame->client ^ frame->sequence };

	CHECK(frame->count >= 1 && frame->count <= FRAME_OPS_MAX);
	for (uint32_t i = 0; i < frame->count; i++)
		check_request(&requests[i], datagram);
	if (is_as_sent(frame))
		check_one_way_to_write(frame, datagram);
	check_mailed(datagram, frame, prng_next(&prng));
	script_responses(frame, &prng);
	check_composed(frame, SPARES);
	check_composed(frame, (uint32_t)prng_below(&prng, 4));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct datagram datagram;
	struct frame frame;
	enum native_verdict verdict;
	uint8_t *payload;

	if (size > UDP_PAYLOAD_MAX)
		return 0;
	payload = malloc(size ? size : 1); /* its own block, so that a read past its end is seen */
	CHECK(payload);
	memcpy(payload, data, size);
	for (size_t i = 0; i < sizeof value; i++)
		value[i] = (uint8_t)(i % 40 == 39 ? '\n' : i);
	datagram = (struct datagram){ .payload = payload, .payload_len = (uint16_t)size };
	memset(requests, 0xcc, sizeof requests);
	verdict = native_parse(&datagram, &epoch, &frame, requests, FRAME_OPS_MAX);
	if (verdict == NATIVE_OK)
		fuzz_frame(&frame, &datagram);
	else
		CHECK(frame.count == 0);
	if (verdict != NATIVE_NO_REQUEST)
		check_refusal(&frame, size);
	CHECK(memcmp(payload, data, size) == 0); /* the parser writes nothing */
	free(payload);
	return 0;
}
