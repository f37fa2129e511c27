#include "proto/batch.h"

#include "base/limits.h"

/* What a request may carry from node to node. */
enum {
	FLAGS = REQUEST_ADD | REQUEST_REPLACE | REQUEST_CAS | REQUEST_CREATE | REQUEST_RANGE | REQUEST_NO_VALUE |
	    REQUEST_KEEP_WIDTH | REQUEST_NO_BUMP | REQUEST_STATE,
};

void
batch_head_compose(struct writer *out, uint32_t records, struct now now)
{
	uint8_t *at = writer_take(out, BATCH_HEAD_LEN);

	if (!at)
		return;
	memset(at, 0, BATCH_HEAD_LEN);
	at[0] = BATCH_VERSION;
	store_le16(at + 2, (uint16_t)records);
	store_le64(at + 8, now.wall_ms);
}

void
batch_request_compose(struct writer *out, uint32_t index, const struct request *request)
{
	uint8_t *at = writer_take(out, BATCH_REQUEST_LEN);

	if (!at)
		return;
	store_le32(at, batch_request_size(request));
	at[4] = (uint8_t)index;
	at[5] = request->op;
	store_le16(at + 6, request->flags & FLAGS);
	store_le16(at + 8, request->slot);
	store_le16(at + 10, (uint16_t)request->key.len);
	store_le32(at + 12, request->options & ~(uint32_t)REQUEST_ITEM);
	store_le32(at + 16, request->value.len);
	store_le32(at + 20, request->client_flags);
	store_le64(at + 24, request->version);
	store_le64(at + 32, request->expiry_ms);
	store_le64(at + 40, request->delta);
	store_le64(at + 48, request->initial);
	store_le64(at + 56, request->handle);
	store_le32(at + 64, request->offset);
	store_le32(at + 68, request->length);
	writer_bytes(out, request->key.data, request->key.len);
	writer_bytes(out, request->value.data, request->value.len);
}

void
batch_response_compose(struct writer *out, uint32_t index, const struct response *response)
{
	uint8_t *at = writer_take(out, BATCH_RESPONSE_LEN);

	if (!at)
		return;
	store_le32(at, batch_response_size(response));
	at[4] = (uint8_t)index;
	at[5] = response->status;
	at[6] = response->has_item;
	at[7] = response->state;
	store_le64(at + 8, response->version);
	store_le64(at + 16, response->expiry_ms);
	store_le64(at + 24, response->number);
	store_le32(at + 32, response->offset);
	store_le32(at + 36, response->total_len);
	store_le32(at + 40, response->client_flags);
	store_le32(at + 44, response->value.len);
	writer_bytes(out, response->value.data, response->value.len);
}

bool
batch_open(struct batch_reader *batch, struct view bytes, struct now now)
{
	const uint8_t *head;

	*batch = (struct batch_reader){ .in = reader_of(bytes.data, bytes.len) };
	head = reader_take(&batch->in, BATCH_HEAD_LEN);
	if (!head || head[0] != BATCH_VERSION)
		return false;
	batch->left = load_le16(head + 2);
	batch->ahead = (int64_t)(now.wall_ms - load_le64(head + 8));
	if (batch->ahead >= -BATCH_CLOCKS_AGREE_MS && batch->ahead <= BATCH_CLOCKS_AGREE_MS)
		batch->ahead = 0;
	return true;
}

/* A point in time by our clock; 0, which is none, stays, and nothing becomes it. */
static uint64_t
moved(const struct batch_reader *batch, uint64_t wall_ms)
{
	int64_t here = (int64_t)(wall_ms + (uint64_t)batch->ahead);

	if (wall_ms == 0)
		return 0;
	return here > 0 ? (uint64_t)here : 1;
}

/* The next record's bytes, which its lengths have to add up to. */
static const uint8_t *
next_record(struct batch_reader *batch, uint32_t fixed, uint32_t key_at, uint32_t value_at)
{
	const uint8_t *at = batch->in.at;
	uint64_t len = fixed;

	if (batch->left == 0 || batch->in.failed)
		return NULL;
	batch->left--;
	if (reader_left(&batch->in) >= fixed) {
		len += (key_at ? load_le16(at + key_at) : 0) + (uint64_t)load_le32(at + value_at);
		batch->in.failed = load_le32(at) != len || load_le32(at + value_at) > VALUE_LEN_MAX || at[4] >= FRAME_OPS_MAX;
	}
	return batch->in.failed ? NULL : reader_take(&batch->in, len);
}

static bool
makes_sense(const struct request *request)
{
	if (request->op == OP_FLUSH)
		return request->key.len == 0;
	if (!op_has_key(request->op) || request->op == OP_UPLOAD_BEGIN)
		return false;
	return request->key.len >= 1 && request->key.len <= RESP_KEY_LEN_MAX;
}

bool
batch_request_next(struct batch_reader *batch, struct request *request)
{
	const uint8_t *at = next_record(batch, BATCH_REQUEST_LEN, 10, 16);

	if (!at)
		return false;
	*request = (struct request){ .index = at[4], .op = at[5], .flags = load_le16(at + 6) & FLAGS,
		.slot = load_le16(at + 8), .key = view_of(at + BATCH_REQUEST_LEN, load_le16(at + 10)),
		.options = load_le32(at + 12) & ~(uint32_t)REQUEST_ITEM, .client_flags = load_le32(at + 20),
		.version = load_le64(at + 24), .expiry_ms = load_le64(at + 32), .delta = load_le64(at + 40),
		.initial = load_le64(at + 48), .handle = load_le64(at + 56), .offset = load_le32(at + 64),
		.length = load_le32(at + 68) };
	request->value = view_of(request->key.data + request->key.len, load_le32(at + 16));
	if (!(request->op == OP_TOUCH && (request->options & REQUEST_TTL_ADD)))
		request->expiry_ms = moved(batch, request->expiry_ms);
	if (request->options & REQUEST_VIVIFY)
		request->initial = moved(batch, request->initial);
	if (request->options & (REQUEST_RECACHE | REQUEST_RENEW))
		request->handle = moved(batch, request->handle);
	batch->in.failed = !makes_sense(request);
	return !batch->in.failed;
}

bool
batch_response_next(struct batch_reader *batch, uint32_t *index, struct response *response)
{
	const uint8_t *at = next_record(batch, BATCH_RESPONSE_LEN, 0, 44);

	if (!at)
		return false;
	*index = at[4];
	*response = (struct response){ .status = at[5], .has_item = at[6] != 0, .state = at[7], .version = load_le64(at + 8),
		.expiry_ms = moved(batch, load_le64(at + 16)), .number = load_le64(at + 24), .offset = load_le32(at + 32),
		.total_len = load_le32(at + 36), .client_flags = load_le32(at + 40),
		.value = view_of(at + BATCH_RESPONSE_LEN, load_le32(at + 44)) };
	return true;
}
