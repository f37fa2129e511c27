/* The client's half: requests become frames, response frames become results. */
#include "base/bytes.h"
#include "proto/native_rule.h"

void
native_header_compose(const struct native_header *header, uint8_t out[NATIVE_HEADER_LEN])
{
	store_le16(out, NATIVE_MAGIC);
	out[2] = header->version;
	out[3] = header->flags;
	out[4] = header->op_count;
	out[5] = header->error;
	store_le16(out + 6, header->boot);
	store_le64(out + 8, header->client);
	store_le64(out + 16, header->sequence);
	store_le64(out + 24, header->cookie);
	store_le32(out + 32, header->epoch);
	store_le32(out + 36, header->window);
}

/* Whether the fields of a version 1 response agree with each other. */
static bool
header_makes_sense(const struct native_header *header, uint16_t reserved)
{
	bool challenge = header->error == OP_STATUS_UNPROVEN || header->error == OP_STATUS_STALE_BOOT;

	if (reserved != 0 || header->window != 0 ||
	    header->flags & ~(NATIVE_FLAG_RESPONSE | NATIVE_FLAG_AUTH | NATIVE_FLAG_CHALLENGE))
		return false;
	if (challenge != !!(header->flags & NATIVE_FLAG_CHALLENGE))
		return false;
	return header->error ? header->op_count == 0 :
	    header->op_count >= 1 && header->op_count <= FRAME_OPS_MAX;
}

bool
native_header_parse(struct view payload, struct native_header *header)
{
	const uint8_t *at = payload.data;

	if (payload.len < NATIVE_HEADER_LEN || load_le16(at) != NATIVE_MAGIC ||
	    !(at[3] & NATIVE_FLAG_RESPONSE))
		return false;
	*header = (struct native_header){
		.version = at[2], .error = at[5], .client = load_le64(at + 8), .sequence = load_le64(at + 16),
	};
	if (header->version != NATIVE_VERSION)
		return true;
	header->flags = at[3];
	header->op_count = at[4];
	header->cookie = load_le64(at + 24);
	header->epoch = load_le32(at + 32);
	header->window = load_le32(at + 36);
	return header_makes_sense(header, load_le16(at + 6));
}

static inline uint8_t
wire_flags(const struct request *request)
{
	return (uint8_t)(request->flags & native_rule(request->op)->flags);
}

/* What of a request travels as its value. */
static inline struct view
wire_value(const struct request *request)
{
	return native_rule(request->op)->has_value ? request->value : view_of(NULL, 0);
}

size_t
native_request_size(const struct request *request)
{
	return NATIVE_REQUEST_OP_LEN + native_extras_len(native_rule(request->op), wire_flags(request)) +
	    request->key.len + wire_value(request).len;
}

/* Extras; wire order is the order of these lines. */
static void
put_extras(struct writer *out, const struct request *request)
{
	uint8_t flags = wire_flags(request);

	switch (request->op) {
	case OP_SET:
	case OP_UPLOAD_BEGIN:
		writer_le32(out, request->client_flags);
		writer_le64(out, request->expiry_ms);
		if (request->op == OP_UPLOAD_BEGIN)
			writer_le32(out, request->length);
		break;
	case OP_TOUCH:
	case OP_GAT:
	case OP_FLUSH:
		writer_le64(out, request->expiry_ms);
		break;
	case OP_INCR:
	case OP_DECR:
		writer_le64(out, request->delta);
		if (flags & NATIVE_OP_CREATE) {
			writer_le64(out, request->initial);
			writer_le64(out, request->expiry_ms);
		}
		break;
	case OP_TOPOLOGY:
	case OP_STATS:
		writer_le32(out, request->offset);
		break;
	case OP_UPLOAD_CHUNK:
	case OP_UPLOAD_COMMIT:
	case OP_UPLOAD_ABORT:
	case OP_KEYS:
	case OP_EXPIRE:
		writer_le64(out, request->handle);
		if (request->op == OP_UPLOAD_CHUNK)
			writer_le32(out, request->offset);
		if (request->op == OP_KEYS)
			writer_le32(out, request->length);
		break;
	case OP_EVICT:
		writer_le32(out, request->length);
		break;
	}
	if (flags & (NATIVE_OP_CAS | NATIVE_OP_RANGE))
		writer_le64(out, request->version);
	if (flags & NATIVE_OP_RANGE) {
		writer_le32(out, request->offset);
		writer_le32(out, request->length);
	}
}

void
native_request_compose(struct writer *out, const struct request *request)
{
	const struct native_rule *rule = native_rule(request->op);
	struct view value = wire_value(request);
	uint8_t flags = wire_flags(request);

	if (writer_left(out) < native_request_size(request)) {
		out->failed = true;
		return;
	}
	writer_u8(out, request->op);
	writer_u8(out, flags);
	writer_le16(out, native_names_slot(rule) ? request->slot : 0);
	writer_le16(out, (uint16_t)request->key.len);
	writer_u8(out, (uint8_t)native_extras_len(rule, flags));
	writer_u8(out, 0);
	writer_le32(out, value.len);
	put_extras(out, request);
	writer_bytes(out, request->key.data, request->key.len);
	writer_bytes(out, value.data, value.len);
}

/* Reads the extras of a successful result; what a later server appends is skipped. */
static bool
read_extras(struct reader extras, struct native_result *result)
{
	switch (result->op) {
	case OP_GET:
	case OP_GAT:
	case OP_META:
		result->client_flags = reader_le32(&extras);
		result->total_len = reader_le32(&extras);
		if (result->op == OP_META || reader_left(&extras) >= 8)
			result->ttl_ms = reader_le64(&extras);
		break;
	case OP_TOPOLOGY:
	case OP_STATS:
		result->total_len = reader_le32(&extras);
		break;
	case OP_INCR:
	case OP_DECR:
	case OP_UPLOAD_BEGIN:
		result->number = reader_le64(&extras);
		break;
	case OP_KEYS:
	case OP_EVICT:
	case OP_EXPIRE:
		result->number = reader_le64(&extras);
		result->total_len = reader_le32(&extras);
		result->client_flags = reader_le32(&extras);
		break;
	}
	return !extras.failed;
}

bool
native_result_parse(struct reader *in, struct native_result *result)
{
	const uint8_t *extras;
	uint32_t extras_len, value_len;

	if (in->failed || reader_left(in) == 0)
		return false;
	*result = (struct native_result){ .op = reader_u8(in) };
	result->status = reader_u8(in);
	result->index = reader_u8(in);
	extras_len = reader_u8(in);
	value_len = reader_le32(in);
	result->version = reader_le64(in);
	extras = reader_take(in, extras_len);
	result->value = reader_view(in, value_len);
	if (in->failed)
		return false;
	if (result->status == OP_STATUS_OK && !read_extras(reader_of(extras, extras_len), result))
		in->failed = true;
	if (result->index >= FRAME_OPS_MAX)
		in->failed = true;
	return !in->failed;
}

bool
native_keys_next(struct reader *in, struct view *key)
{
	if (in->failed || reader_left(in) == 0)
		return false;
	*key = reader_view(in, reader_u8(in));
	if (key->len == 0 || key->len > KEY_LEN_MAX)
		in->failed = true;
	return !in->failed;
}
