/*
 * The server's half of writing: responses become frames, in place where they fit.
 *
 * One plain GET is most of the traffic, so it has a way of its own: seven stores
 * and one copy of the value.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/outq.h"
#include "proto/native.h"

/* Frames in the making, the open one and where it ends. */
struct composer {
	const struct frame *frame;
	const struct native_context *context;
	struct spares *spares;
	struct reply *replies;
	uint32_t reply_count;
	struct pkt *pkt; /* of the open frame */
	uint8_t *at, *end;
	uint32_t results; /* in the open frame */
	struct view last; /* its last value, which is not written yet: at `at` - last.len */
	uint16_t *last_pins; /* of the item that it stands in; NULL: it must be copied */
};

/* One result before it is written. */
struct result {
	uint8_t op, status, index;
	uint8_t extras_len;
	uint64_t version;
	struct view value;
	uint16_t *pins; /* of the item that value stands in, if it may be referred to */
};

static inline void
put_header(uint8_t *payload, const struct frame *frame, const struct native_context *context,
    uint8_t flags, uint32_t op_count, enum op_status error)
{
	flags |= NATIVE_FLAG_RESPONSE | (frame->authenticated ? NATIVE_FLAG_AUTH : 0);
	store_le64(payload, NATIVE_MAGIC | NATIVE_VERSION << 16 | (uint64_t)flags << 24 |
	    (uint64_t)op_count << 32 | (uint64_t)error << 40);
	store_le64(payload + 8, frame->client);
	store_le64(payload + 16, frame->sequence);
	store_le64(payload + 24, context->cookie);
	store_le64(payload + 32, context->epoch); /* and window 0 */
}

static inline void
put_result(uint8_t *at, uint8_t op, uint8_t status, uint8_t index, uint8_t extras_len,
    uint32_t value_len, uint64_t version)
{
	store_le64(at, op | (uint32_t)status << 8 | (uint32_t)index << 16 |
	    (uint32_t)extras_len << 24 | (uint64_t)value_len << 32);
	store_le64(at + 8, version);
}

/*
 * Copies a value. Most values are short, and a call costs more than they do: up to
 * 512 bytes go in blocks of 32, the last of which overlaps the one before.
 */
static inline void
put_value(uint8_t *to, struct view value)
{
	const uint8_t *from = value.data;
	size_t len = value.len, done;

	if (len < 32 || len > 512) {
		if (len > 0)
			memcpy(to, from, len);
		return;
	}
	for (done = 0; done + 32 <= len; done += 32)
		memcpy(to + done, from + done, 32);
	memcpy(to + len - 32, from + len - 32, 32);
}

static inline uint8_t *
payload_of(const struct pkt *pkt)
{
	return pkt->data + PKT_UDP_PAYLOAD_OFFSET;
}

/* Bytes of a payload that results may fill: what is behind is the tag's. */
static inline uint32_t
room_of(const struct pkt *pkt, const struct frame *frame)
{
	uint32_t room = pkt->room - PKT_UDP_PAYLOAD_OFFSET;

	CHECK(pkt->room >= PKT_UDP_PAYLOAD_OFFSET + 128);
	return (room < NATIVE_FRAME_MAX ? room : NATIVE_FRAME_MAX) -
	    (frame->authenticated ? NATIVE_TAG_LEN : 0);
}

static __attribute__((noinline)) uint16_t
refer_large(uint8_t *place, struct view value, uint16_t *pins)
{
	struct pkt_tail tail = { value.data, pins, (uint16_t)value.len };

	if (!pins || !outq_pin(pins))
		return 0;
	memcpy(place, &tail, sizeof tail);
	return tail.len;
}

/* Where a value at the payload's end is referred to, what stands in its place tells where it is (base/pkt.h). 0: it is not. */
static inline uint16_t
refer(uint8_t *place, const struct native_context *context, struct view value, uint16_t *pins)
{
	/* 0 - 1 is more than any length. */
	if (__builtin_expect(context->refer_min - 1 >= value.len, 1))
		return 0;
	return refer_large(place, value, pins);
}

static void
copy_last(struct composer *composer)
{
	put_value(composer->at - composer->last.len, composer->last);
	composer->last = view_of(NULL, 0);
}

static void
open_frame(struct composer *composer, struct pkt *pkt)
{
	composer->last = view_of(NULL, 0);
	composer->pkt = pkt;
	composer->at = payload_of(pkt) + NATIVE_HEADER_LEN;
	composer->end = payload_of(pkt) + room_of(pkt, composer->frame);
	composer->results = 0;
}

static void
close_frame(struct composer *composer)
{
	uint8_t *payload = payload_of(composer->pkt);
	size_t len = (size_t)(composer->at - payload);
	uint16_t tail_len = refer(composer->at - composer->last.len, composer->context, composer->last, composer->last_pins);

	if (tail_len == 0)
		copy_last(composer);
	put_header(payload, composer->frame, composer->context, 0, composer->results, OP_STATUS_OK);
	composer->replies[composer->reply_count++] = (struct reply){
		.pkt = composer->pkt,
		.tail_len = tail_len,
		.payload_len = (uint16_t)(len + (composer->frame->authenticated ? NATIVE_TAG_LEN : 0)),
		.peer = &composer->frame->datagram->peer,
	};
}

static uint8_t
extras_len_of(enum op op)
{
	switch (op) {
	case OP_GET:
	case OP_GAT:
	case OP_INCR:
	case OP_DECR:
	case OP_UPLOAD_BEGIN:
		return 8;
	case OP_META:
	case OP_KEYS:
	case OP_EVICT:
	case OP_EXPIRE:
		return 16;
	case OP_TOPOLOGY:
	case OP_STATS:
		return 4;
	default:
		return 0;
	}
}

static struct result
result_of(const struct request *request, const struct response *response)
{
	struct result result = { .op = request->verb, .status = request->local, .index = request->index };

	if (request->op == OP_NONE)
		return result;
	result.op = request->op;
	result.status = response->status;
	result.version = response->has_item ? response->version : 0;
	if (response->status != OP_STATUS_OK)
		return result;
	result.extras_len = extras_len_of(request->op);
	if (request->flags & REQUEST_WITH_TTL)
		result.extras_len += 8;
	if (request->op == OP_GET || request->op == OP_GAT || request->op == OP_TOPOLOGY ||
	    request->op == OP_STATS || request->op == OP_KEYS)
		result.value = response->value;
	if (request->op == OP_GET || request->op == OP_GAT)
		result.pins = response->pins;
	return result;
}

static inline uint64_t
flags_and_total(const struct response *response)
{
	return response->client_flags | (uint64_t)response->total_len << 32;
}

static uint64_t
ttl_left(const struct response *response, const struct now *now)
{
	if (response->expiry_ms == 0)
		return UINT64_MAX;
	return response->expiry_ms > now->wall_ms ? response->expiry_ms - now->wall_ms : 0;
}

static void
put_extras(uint8_t *at, const struct result *result, const struct response *response, const struct now *now)
{
	switch (result->op) {
	case OP_META:
	case OP_GET:
	case OP_GAT:
		store_le64(at, flags_and_total(response));
		if (result->extras_len > 8)
			store_le64(at + 8, ttl_left(response, now));
		break;
	case OP_TOPOLOGY:
	case OP_STATS:
		store_le32(at, response->total_len);
		break;
	case OP_KEYS:
	case OP_EVICT:
	case OP_EXPIRE:
		store_le64(at, response->number);
		store_le32(at + 8, response->total_len);
		store_le32(at + 12, response->client_flags);
		break;
	default:
		store_le64(at, response->number);
	}
}

/* A page of STATS ends with a whole line, so that pages of changing figures join. */
static struct view
cut_value(struct view value, size_t room, enum op op)
{
	const uint8_t *newline;

	if (value.len <= room)
		return value;
	value.len = (uint32_t)room;
	if (op != OP_STATS)
		return value;
	newline = memrchr(value.data, '\n', value.len);
	value.len = newline ? (uint32_t)(newline + 1 - value.data) : 0;
	return value;
}

/* Writes one result, in a fresh frame when the open one has no room. False: no spare was left. */
static bool
compose_result(struct composer *composer, struct result *result, const struct response *response,
    const struct now *now)
{
	size_t fixed_len = NATIVE_RESPONSE_OP_LEN + result->extras_len;

	if (fixed_len + result->value.len > (size_t)(composer->end - composer->at) && composer->results > 0) {
		struct pkt *pkt = spares_take(composer->spares);

		if (!pkt)
			return false;
		close_frame(composer);
		open_frame(composer, pkt);
	}
	copy_last(composer); /* something follows it */
	result->value = cut_value(result->value, (size_t)(composer->end - composer->at) - fixed_len, result->op);
	put_result(composer->at, result->op, result->status, result->index, result->extras_len,
	    result->value.len, result->version);
	if (result->extras_len)
		put_extras(composer->at + NATIVE_RESPONSE_OP_LEN, result, response, now);
	composer->last = result->value;
	composer->last_pins = composer->frame->authenticated ? NULL : result->pins; /* the tag stands behind all */
	composer->at += fixed_len + result->value.len;
	composer->results++;
	return true;
}

/* Every frame but a plain hit; out of line, as a plain hit needs none of it. */
static __attribute__((noinline)) uint32_t
compose_all(struct composer *composer, const struct request *requests,
    const struct response *responses, const struct now *now, struct counters *counters)
{
	for (uint32_t i = 0; i < composer->frame->count; i++) {
		struct result result;

		if (requests[i].flags & REQUEST_FOREIGN)
			continue;
		if (!composer->pkt)
			open_frame(composer, composer->frame->datagram->pkt);
		result = result_of(&requests[i], &responses[i]);
		if (!compose_result(composer, &result, &responses[i], now))
			counters_bump(&counters->drops[DROP_NO_SPARE], 1);
	}
	if (composer->pkt)
		close_frame(composer);
	return composer->reply_count;
}

static inline bool
is_plain_hit(const struct frame *frame, const struct request *request, const struct response *response)
{
	return frame->count == 1 && !frame->authenticated && request->op == OP_GET &&
	    !(request->flags & (REQUEST_FOREIGN | REQUEST_WITH_TTL)) && response->status == OP_STATUS_OK &&
	    response->has_item && response->value.len <= NATIVE_GET_VALUE_MAX &&
	    frame->datagram->pkt->room >= PKT_UDP_PAYLOAD_OFFSET + NATIVE_FRAME_MAX;
}

static inline void
compose_plain_hit(const struct frame *frame, const struct native_context *context,
    const struct request *request, const struct response *response, struct reply *reply)
{
	uint8_t *payload = payload_of(frame->datagram->pkt);
	uint8_t *at = payload + NATIVE_HEADER_LEN;

	put_header(payload, frame, context, 0, 1, OP_STATUS_OK);
	put_result(at, OP_GET, OP_STATUS_OK, request->index, 8, response->value.len, response->version);
	store_le64(at + NATIVE_RESPONSE_OP_LEN, flags_and_total(response));
	reply->tail_len = refer(at + NATIVE_RESPONSE_OP_LEN + 8, context, response->value, response->pins);
	if (reply->tail_len == 0)
		put_value(at + NATIVE_RESPONSE_OP_LEN + 8, response->value);
	reply->pkt = frame->datagram->pkt;
	reply->payload_len = (uint16_t)(NATIVE_HEADER_LEN + NATIVE_RESPONSE_OP_LEN + 8 + response->value.len);
	reply->peer = &frame->datagram->peer;
}

uint32_t
native_compose(const struct frame *frame, const struct native_context *context,
    const struct request *requests, const struct response *responses, const struct now *now,
    struct spares *spares, struct counters *counters, struct reply *replies)
{
	struct composer composer;

	if (__builtin_expect(is_plain_hit(frame, requests, responses), 1)) {
		compose_plain_hit(frame, context, requests, responses, replies);
		return 1;
	}
	composer = (struct composer){
		.frame = frame, .context = context, .spares = spares, .replies = replies,
	};
	return compose_all(&composer, requests, responses, now, counters);
}

void
native_adopt(uint8_t *payload, const struct native_context *context)
{
	store_le64(payload + 24, context->cookie);
	store_le64(payload + 32, context->epoch); /* and window 0 */
}

uint16_t
native_compose_refusal(const struct frame *frame, const struct native_context *context,
    enum op_status error, uint8_t *payload)
{
	bool challenge = error == OP_STATUS_UNPROVEN || error == OP_STATUS_STALE_BOOT;

	put_header(payload, frame, context, challenge ? NATIVE_FLAG_CHALLENGE : 0, 0, error);
	return NATIVE_HEADER_LEN + (frame->authenticated ? NATIVE_TAG_LEN : 0);
}
