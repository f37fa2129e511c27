/*
 * The server's half of reading: request frames become requests.
 *
 * One plain GET is most of the traffic, so it has a way of its own: its whole
 * frame header is one comparison. Everything else goes by the table of rules.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "base/deferred.h"
#include "proto/native_rule.h"

/* Expiries have 48 bits in an item; a time beyond is cut to the last one. */
#define EXPIRY_MAX ((1ull << 48) - 1)

_Static_assert(KEY_LEN_MAX < 256, "a key_len with extras_len 0 is below 256 as one number");

/* Bytes 0..7 of a plain header: magic, version, no flags, one operation, no error, no boot. */
#define PLAIN_ONE_OP (NATIVE_MAGIC | (uint64_t)NATIVE_VERSION << 16 | 1ull << 32)

static void
read_identity(struct frame *frame, const uint8_t *header)
{
	frame->client = load_le64(header + 8);
	frame->sequence = load_le64(header + 16);
	frame->cookie = load_le64(header + 24);
	frame->epoch = load_le32(header + 32);
	frame->boot = load_le16(header + 6);
}

static void
start_frame(struct frame *frame, struct datagram *datagram)
{
	frame->datagram = datagram;
	frame->count = 0;
	frame->service = SERVICE_NATIVE;
	frame->proven = datagram->deferred && datagram->deferred->proven;
	frame->authenticated = false;
	frame->travels = false;
}

/* Whether the operation is a GET without flags and extras, with slot, key and nothing wrong. */
static inline bool
is_plain_get(const uint8_t *op)
{
	/* key_len, extras_len and reserved at once: the upper two are 0 when it is <= KEY_LEN_MAX. */
	uint32_t lengths = load_le32(op + 4);

	return load_le16(op) == OP_GET && load_le16(op + 2) < SLOT_COUNT &&
	    lengths - 1 < KEY_LEN_MAX && load_le32(op + 8) == 0;
}

static inline void
read_plain_get(const uint8_t *op, uint32_t index, struct request *request)
{
	request->key = view_of(op + NATIVE_REQUEST_OP_LEN, load_le16(op + 4));
	request->slot = load_le16(op + 2);
	request->flags = REQUEST_TRUST_SLOT;
	request->op = request->verb = OP_GET;
	request->index = (uint8_t)index;
	request->local = 0;
}

/* A frame of exactly one such GET, with no header flag. */
static inline bool
is_plain_frame(const uint8_t *payload, uint16_t len)
{
	const uint8_t *op = payload + NATIVE_HEADER_LEN;

	return len > NATIVE_HEADER_LEN + NATIVE_REQUEST_OP_LEN && load_le64(payload) == PLAIN_ONE_OP &&
	    is_plain_get(op) && len == NATIVE_HEADER_LEN + NATIVE_REQUEST_OP_LEN + load_le16(op + 4);
}

/* Whether what the slot names of such a frame is that GET, with nothing more to read of it. */
static inline bool
asks_for_it(const struct deferred *slot)
{
	return slot->ops == 1 && !slot->inner;
}

/* What a header that is not a plain GET's comes to; the operations' lengths are not looked at. */
static enum native_verdict
judge_header(const uint8_t *header, uint16_t len)
{
	uint8_t flags;

	if (len < NATIVE_HEADER_LEN || load_le16(header) != NATIVE_MAGIC)
		return NATIVE_NO_REQUEST;
	/* A response is never answered, whatever its version: two servers could answer each other for ever. */
	flags = header[3];
	if (flags & NATIVE_FLAG_RESPONSE)
		return NATIVE_NO_REQUEST;
	if (header[2] != NATIVE_VERSION)
		return NATIVE_WRONG_VERSION;
	if (flags & ~NATIVE_FLAG_AUTH || header[5] != 0)
		return NATIVE_MALFORMED;
	return header[4] >= 1 && header[4] <= FRAME_OPS_MAX ? NATIVE_OK : NATIVE_MALFORMED;
}

/* Whether `count` operations fill what is left exactly. */
static bool
lengths_add_up(struct reader in, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *op = reader_take(&in, NATIVE_REQUEST_OP_LEN);

		if (!op || !reader_take(&in, (size_t)op[6] + load_le16(op + 4) + load_le32(op + 8)))
			return false;
	}
	return reader_left(&in) == 0;
}

static inline bool
is_upload(uint8_t op)
{
	return op >= OP_UPLOAD_BEGIN && op <= OP_UPLOAD_ABORT;
}

/* What is wrong with an operation's fixed fields, or OK. */
static enum op_status
judge_op(const uint8_t *op, uint8_t flags, uint64_t client)
{
	const struct native_rule *rule = native_rule(op[0]);
	uint8_t one_of = flags & (NATIVE_OP_ADD | NATIVE_OP_REPLACE | NATIVE_OP_CAS);
	uint16_t slot = load_le16(op + 2), key_len = load_le16(op + 4);

	if (op[0] == OP_NONE || op[0] >= OP_COUNT)
		return OP_STATUS_UNKNOWN_OP;
	if (flags & ~rule->flags || one_of & (one_of - 1) || op[7] != 0 ||
	    op[6] != native_extras_len(rule, flags) || (!rule->has_value && load_le32(op + 8) != 0))
		return OP_STATUS_BAD_REQUEST;
	/* An upload belongs to its client, and nobody is client 0. */
	if (client == 0 && is_upload(op[0]))
		return OP_STATUS_BAD_REQUEST;
	switch (rule->key) {
	case NATIVE_KEY_NEEDED:
		if (key_len == 0 || key_len > KEY_LEN_MAX)
			return OP_STATUS_BAD_KEY;
		return slot < SLOT_COUNT || slot == NATIVE_SLOT_NONE ? OP_STATUS_OK : OP_STATUS_WRONG_SLOT;
	case NATIVE_KEY_GROUP:
		if (key_len > KEY_LEN_MAX)
			return OP_STATUS_BAD_KEY;
		return slot == 0 ? OP_STATUS_OK : OP_STATUS_BAD_REQUEST;
	case NATIVE_KEY_PREFIX:
	case NATIVE_KEY_SLOT:
		if (key_len > (rule->key == NATIVE_KEY_PREFIX ? KEY_LEN_MAX : 0))
			return rule->key == NATIVE_KEY_PREFIX ? OP_STATUS_BAD_KEY : OP_STATUS_BAD_REQUEST;
		return slot < SLOT_COUNT ? OP_STATUS_OK : OP_STATUS_WRONG_SLOT;
	default:
		return key_len == 0 && slot == 0 ? OP_STATUS_OK : OP_STATUS_BAD_REQUEST;
	}
}

static uint64_t
expiry_of(uint64_t ttl_ms, const struct now *now)
{
	if (ttl_ms == 0)
		return 0;
	return ttl_ms < EXPIRY_MAX - now->wall_ms ? now->wall_ms + ttl_ms : EXPIRY_MAX;
}

/* Extras, whose length has been checked; wire order is the order of these lines. */
static void
read_extras(struct reader in, const struct now *now, struct request *request)
{
	switch (request->op) {
	case OP_SET:
	case OP_UPLOAD_BEGIN:
		request->client_flags = reader_le32(&in);
		request->expiry_ms = expiry_of(reader_le64(&in), now);
		if (request->op == OP_UPLOAD_BEGIN)
			request->length = reader_le32(&in);
		break;
	case OP_TOUCH:
	case OP_GAT:
	case OP_FLUSH:
		request->expiry_ms = expiry_of(reader_le64(&in), now);
		break;
	case OP_INCR:
	case OP_DECR:
		request->delta = reader_le64(&in);
		if (request->flags & REQUEST_CREATE) {
			request->initial = reader_le64(&in);
			request->expiry_ms = expiry_of(reader_le64(&in), now);
		}
		break;
	case OP_TOPOLOGY:
	case OP_STATS:
		request->offset = reader_le32(&in);
		break;
	case OP_UPLOAD_CHUNK:
	case OP_UPLOAD_COMMIT:
	case OP_UPLOAD_ABORT:
	case OP_KEYS:
	case OP_EXPIRE:
		request->handle = reader_le64(&in);
		if (request->op == OP_UPLOAD_CHUNK)
			request->offset = reader_le32(&in);
		if (request->op == OP_KEYS)
			request->length = reader_le32(&in);
		break;
	case OP_EVICT:
		request->length = reader_le32(&in);
		break;
	}
	if (request->flags & (REQUEST_CAS | REQUEST_RANGE))
		request->version = reader_le64(&in);
	if (request->flags & REQUEST_RANGE) {
		request->offset = reader_le32(&in);
		request->length = reader_le32(&in);
	}
}

/* Flags that serve reads besides those of the wire. */
static uint16_t
execution_flags(const uint8_t *op, uint64_t client)
{
	bool names_slot = native_names_slot(native_rule(op[0]));

	return (uint16_t)((names_slot && load_le16(op + 2) != NATIVE_SLOT_NONE ? REQUEST_TRUST_SLOT : 0) |
	    (client != 0 && op_is_once(op[0]) ? REQUEST_ONCE : 0));
}

/* One operation at `op`, whose lengths have been checked against the frame; flags in `inner` are read elsewhere. */
static void
read_op(const uint8_t *op, uint32_t index, const struct frame *frame, uint64_t floor, uint8_t inner,
    const struct now *now, struct request *request)
{
	const uint8_t *key = op + NATIVE_REQUEST_OP_LEN + op[6];
	uint8_t flags = op[1] & (uint8_t)~inner;
	enum op_status wrong;

	if (is_plain_get(op)) {
		read_plain_get(op, index, request);
		return;
	}
	wrong = judge_op(op, flags, frame->client);
	memset(request, 0, sizeof *request);
	request->verb = op[0];
	request->index = (uint8_t)index;
	if (wrong != OP_STATUS_OK) {
		request->local = (uint8_t)wrong;
		return;
	}
	request->op = op[0];
	request->key = view_of(key, load_le16(op + 4));
	request->value = view_of(key + request->key.len, load_le32(op + 8));
	request->slot = load_le16(op + 2);
	request->flags = flags | execution_flags(op, frame->client);
	request->client = frame->client;
	request->sequence = frame->sequence + index;
	request->floor = floor;
	read_extras(reader_of(op + NATIVE_REQUEST_OP_LEN, op[6]), now, request);
	if (request->op == OP_UPLOAD_BEGIN && request->length > VALUE_LEN_MAX) {
		request->op = OP_NONE;
		request->local = OP_STATUS_TOO_LARGE;
	}
}

/* What one node tells another of a memcached command. */
static void
read_inner(uint8_t flags, struct request *request)
{
	if (request->op == OP_GET || request->op == OP_GAT)
		request->flags |= REQUEST_WITH_TTL;
	if (request->op == OP_GET)
		request->flags |= (uint16_t)((flags & NATIVE_OP_NO_VALUE ? REQUEST_NO_VALUE : 0) |
		    (flags & NATIVE_OP_NO_BUMP ? REQUEST_NO_BUMP : 0));
	else if (request->op == OP_INCR || request->op == OP_DECR)
		request->flags |= flags & NATIVE_OP_KEEP_WIDTH ? REQUEST_KEEP_WIDTH : 0;
	else if (flags & NATIVE_OP_EXPIRED)
		request->expiry_ms = 1;
}

static enum native_verdict
parse_ops(struct frame *frame, const struct now *now, struct request *requests, uint32_t size)
{
	const struct datagram *datagram = frame->datagram;
	uint32_t count = datagram->payload[4];
	uint32_t window = load_le32(datagram->payload + 36);
	uint64_t floor = frame->sequence > window ? frame->sequence - window : 0;
	uint64_t wanted = datagram->deferred ? datagram->deferred->ops : ~0ull;
	uint32_t tag_len = frame->authenticated ? NATIVE_TAG_LEN : 0;
	uint8_t inner = datagram->deferred && datagram->deferred->inner ? NATIVE_OP_INNER : 0;
	const uint8_t *op = datagram->payload + NATIVE_HEADER_LEN;

	CHECK(size >= FRAME_OPS_MAX);
	if (datagram->payload_len < NATIVE_HEADER_LEN + tag_len ||
	    !lengths_add_up(reader_of(op, datagram->payload_len - NATIVE_HEADER_LEN - tag_len), count))
		return NATIVE_MALFORMED;
	for (uint32_t i = 0; i < count; i++) {
		if (wanted >> i & 1)
			read_op(op, i, frame, floor, inner, now, &requests[frame->count++]);
		if (inner && wanted >> i & 1)
			read_inner(op[1], &requests[frame->count - 1]);
		op += NATIVE_REQUEST_OP_LEN + op[6] + load_le16(op + 4) + load_le32(op + 8);
	}
	return NATIVE_OK;
}

/* Every frame but a plain one. Kept out of line, so that a plain one saves no registers for it. */
static __attribute__((noinline)) enum native_verdict
parse_general(struct frame *frame, const struct now *now, struct request *requests, uint32_t size)
{
	const struct datagram *datagram = frame->datagram;
	enum native_verdict verdict = judge_header(datagram->payload, datagram->payload_len);

	if (verdict != NATIVE_NO_REQUEST)
		read_identity(frame, datagram->payload);
	if (verdict == NATIVE_OK) {
		frame->authenticated = datagram->payload[3] & NATIVE_FLAG_AUTH;
		verdict = parse_ops(frame, now, requests, size);
	}
	/* A frame too short for its own tag gets no tagged answer: it would be the longer one. */
	if (verdict == NATIVE_MALFORMED && datagram->payload_len < NATIVE_HEADER_LEN + NATIVE_TAG_LEN)
		frame->authenticated = false;
	frame->verdict = (uint8_t)verdict;
	return verdict;
}

enum native_verdict
native_parse(struct datagram *datagram, const struct now *now, struct frame *frame,
    struct request *requests, uint32_t size)
{
	const uint8_t *payload = datagram->payload;

	start_frame(frame, datagram);
	if (__builtin_expect(!is_plain_frame(payload, datagram->payload_len) ||
	    (datagram->deferred && !asks_for_it(datagram->deferred)), 0))
		return parse_general(frame, now, requests, size);
	read_identity(frame, payload);
	read_plain_get(payload + NATIVE_HEADER_LEN, 0, requests);
	frame->count = 1;
	frame->verdict = NATIVE_OK;
	return NATIVE_OK;
}
