#include "proto/call.h"

#include "base/check.h"
#include "proto/native.h"

/* What both kinds promise. */
static bool
makes_sense(const struct call_record *record)
{
	if (record->ops == 0 || record->stale & ~record->ops)
		return false;
	if (record->kind == CALL_BATCH)
		return record->hops >= 1 && record->stale == 0 && record->body.len >= 1;
	if (record->kind == CALL_ASK)
		return record->hops >= 1 && record->stale == 0 && record->body.len >= 1 && record->body.len <= CALL_FRAME_MAX;
	return record->status == OP_STATUS_OK || record->body.len == 0;
}

static void
read_record(struct view bytes, struct call_record *record)
{
	const uint8_t *at = bytes.data;
	bool ask = at[5] == CALL_ASK || at[5] == CALL_BATCH;

	*record = (struct call_record){ .kind = at[5], .flags = at[6], .hops = ask ? at[7] : 0,
		.status = ask ? 0 : at[7], .call = load_le64(at + 8), .epoch = load_le64(at + 16), .ops = load_le64(at + 24),
		.stale = load_le64(at + 32), .body = view_of(at + CALL_RECORD_LEN, bytes.len - CALL_RECORD_LEN) };
}

bool
call_record_next(struct reader *in, struct call_record *record)
{
	while (!in->failed && reader_left(in) > 0) {
		struct view bytes = { .data = in->at };

		bytes.len = reader_left(in) >= CALL_RECORD_LEN ? load_le32(in->at) : 0;
		if (bytes.len < CALL_RECORD_LEN || !reader_take(in, bytes.len)) {
			in->failed = true;
			return false;
		}
		if (bytes.data[4] != CALL_VERSION || bytes.data[5] < CALL_ASK || bytes.data[5] > CALL_BATCH_ANSWER)
			continue;
		read_record(bytes, record);
		in->failed = !makes_sense(record);
		return !in->failed;
	}
	return false;
}

void
call_record_compose(const struct call_record *record, uint8_t out[CALL_RECORD_LEN])
{
	store_le32(out, CALL_RECORD_LEN + record->body.len);
	out[4] = CALL_VERSION;
	out[5] = record->kind;
	out[6] = record->flags;
	out[7] = record->kind == CALL_ASK || record->kind == CALL_BATCH ? record->hops : record->status;
	store_le64(out + 8, record->call);
	store_le64(out + 16, record->epoch);
	store_le64(out + 24, record->ops);
	store_le64(out + 32, record->stale);
}

static void
put_result(struct writer *out, uint8_t op, uint8_t status, uint8_t index)
{
	uint8_t *at = writer_take(out, NATIVE_RESPONSE_OP_LEN);

	if (!at)
		return;
	memset(at, 0, NATIVE_RESPONSE_OP_LEN);
	at[0] = op;
	at[1] = status;
	at[2] = index;
}

void
call_statuses_compose(struct writer *out, struct view request, uint64_t ops, const uint8_t *statuses)
{
	uint8_t *header = writer_take(out, NATIVE_HEADER_LEN);
	const uint8_t *op = request.data + NATIVE_HEADER_LEN;
	bool tagged = request.data[3] & NATIVE_FLAG_AUTH;

	if (!header)
		return;
	native_header_compose(&(struct native_header){ .version = NATIVE_VERSION,
		.flags = (uint8_t)(NATIVE_FLAG_RESPONSE | (tagged ? NATIVE_FLAG_AUTH : 0)),
		.op_count = (uint8_t)__builtin_popcountll(ops), .client = load_le64(request.data + 8),
		.sequence = load_le64(request.data + 16) }, header);
	for (uint32_t i = 0; i < request.data[4]; i++) {
		if (ops >> i & 1)
			put_result(out, op[0], statuses[i], (uint8_t)i);
		op += NATIVE_REQUEST_OP_LEN + op[6] + load_le16(op + 4) + load_le32(op + 8);
	}
	if (tagged)
		writer_take(out, NATIVE_TAG_LEN);
}
