/* Jobs of memcached frames: commands in native words to their owners, results as the slot's answers. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/pkt.h"
#include "cluster/forward_state.h"
#include "proto/memcached.h"
#include "proto/native.h"
#include "ring/slot.h"

/* Value bytes of a range in a response frame of its own: an inner answer has 8 bytes more than a native one. */
enum { PULL_LEN = NATIVE_GET_VALUE_MAX - 8 };

_Static_assert(DEFERRED_REPLY_MAX % _Alignof(struct answers) == 0 &&
    DEFERRED_REPLY_CLUSTER % _Alignof(struct answers) == 0, "answers stand behind the reply's text");

bool
forward_memcached_init(struct forward *forward)
{
	forward->message = malloc(FORWARD_MESSAGE_MAX);
	forward->loans = malloc((size_t)FORWARD_LOANS * FORWARD_LOAN_SIZE); /* pages come with their first use */
	return forward->message && forward->loans;
}

void
forward_memcached_deinit(struct forward *forward)
{
	free(forward->message);
	free(forward->loans);
}

uint32_t
forward_memcached_parse(struct forward *forward, struct now now, struct deferred *slot)
{
	struct datagram datagram = { .payload = slot->payload, .payload_len = slot->payload_len,
		.service = SERVICE_MEMCACHED, .deferred = slot };
	struct frame frame;
	bool whole = memcached_parse(&datagram, &now, &frame, forward->requests, FRAME_OPS_MAX);

	CHECK(whole); /* the worker has parsed it before */
	return frame.count;
}

/* --- answers ---------------------------------------------------------------------------------- */

void
forward_memcached_open(struct forward_job *job)
{
	struct deferred *slot = job->slot;

	CHECK(slot->reply_size >= DEFERRED_REPLY_MAX + sizeof *job->answers);
	job->inner = true;
	job->answers = (struct answers *)(void *)(slot->reply + DEFERRED_REPLY_MAX);
	job->answers->ops = 0;
	job->bytes_used = 0;
	job->bytes_size = slot->reply_size - DEFERRED_REPLY_MAX - (uint32_t)sizeof *job->answers;
}

void
forward_memcached_tell(struct forward_job *job, uint64_t ops, enum op_status status)
{
	job->answers->ops |= ops;
	for (; ops != 0; ops &= ops - 1)
		job->answers->responses[__builtin_ctzll(ops)] = (struct response){ .status = (uint8_t)status };
}

/* Time is up: what is not whole, and what was to come later. */
void
forward_memcached_cut(struct forward_job *job)
{
	forward_memcached_tell(job, job->partial, OP_STATUS_OWNER_TIMEOUT);
	forward_fail(job, job->later, OP_STATUS_BUSY);
	job->partial = job->later = 0;
}

void
forward_memcached_finish(const struct forward_job *job)
{
	job->slot->answers = job->answers;
}

/* The answers move into a loan, values and all. False: none is free. */
static bool
borrow(struct forward *forward, struct forward_job *job)
{
	uint8_t *before = (uint8_t *)(job->answers + 1), *bytes;
	uint32_t i = 0;

	while (i < FORWARD_LOANS && atomic_load_explicit(&forward->lent[i], memory_order_acquire))
		i++;
	if (i == FORWARD_LOANS)
		return false;
	atomic_store_explicit(&forward->lent[i], true, memory_order_relaxed);
	job->slot->lent = &forward->lent[i];
	bytes = forward->loans + (size_t)i * FORWARD_LOAN_SIZE;
	memcpy(bytes, job->answers, sizeof *job->answers + job->bytes_used);
	job->answers = (struct answers *)(void *)bytes;
	job->bytes_size = FORWARD_LOAN_SIZE - (uint32_t)sizeof *job->answers;
	for (uint64_t ops = job->answers->ops; ops != 0; ops &= ops - 1) {
		struct response *response = &job->answers->responses[__builtin_ctzll(ops)];

		if (response->value.len > 0)
			response->value.data = bytes + sizeof *job->answers + (response->value.data - before);
	}
	return true;
}

/* Room for a value among the answers; NULL, and the status told, when there is none. */
static uint8_t *
make_room(struct forward *forward, struct forward_job *job, uint32_t op, uint32_t len)
{
	uint8_t *room;

	if (len > FORWARD_LOAN_SIZE - sizeof *job->answers - job->bytes_used) {
		forward_memcached_tell(job, 1ull << op, OP_STATUS_OUT_OF_MEMORY);
		return NULL;
	}
	if (len > job->bytes_size - job->bytes_used && (job->slot->lent || !borrow(forward, job))) {
		forward_memcached_tell(job, 1ull << op, OP_STATUS_BUSY);
		return NULL;
	}
	room = (uint8_t *)(job->answers + 1) + job->bytes_used;
	job->bytes_used += len;
	return room;
}

static uint64_t
expiry_of(uint64_t ttl_ms, struct now now)
{
	return ttl_ms == UINT64_MAX ? 0 : now.wall_ms + ttl_ms;
}

/* One result becomes a response; of a value that is not whole, the room for all of it. */
static void
keep_result(struct forward *forward, struct now now, struct forward_job *job, uint32_t op,
    const struct native_result *result)
{
	bool read = result->op == OP_GET || result->op == OP_GAT;
	uint32_t total = result->total_len > result->value.len ? result->total_len : result->value.len;
	struct response response = { .version = result->version, .number = result->number, .total_len = total,
		.client_flags = result->client_flags, .status = result->status, .has_item = result->version != 0 };
	uint8_t *room;

	if (result->status == OP_STATUS_OK && read && result->value.len > 0) {
		room = make_room(forward, job, op, total);
		if (!room)
			return;
		memcpy(room, result->value.data, result->value.len);
		response.value = view_of(room, total);
		if (result->value.len < total) {
			response.number = result->value.len;
			job->partial |= 1ull << op;
		}
	}
	if (read)
		response.expiry_ms = expiry_of(result->ttl_ms, now);
	job->answers->ops |= 1ull << op;
	job->answers->responses[op] = response;
}

uint64_t
forward_memcached_batch(struct forward *forward, struct now now, struct forward_job *job, uint64_t ops, struct view body)
{
	struct batch_reader batch;
	struct response response;
	uint64_t had = 0;
	uint32_t op;

	if (!batch_open(&batch, body, now))
		return 0;
	while (batch_response_next(&batch, &op, &response)) {
		uint8_t *room = NULL;

		if (op >= FRAME_OPS_MAX || !(ops & ~had & 1ull << op))
			continue;
		had |= 1ull << op;
		if (response.value.len > 0) {
			room = make_room(forward, job, op, response.value.len);
			if (!room)
				continue; /* why is told */
			memcpy(room, response.value.data, response.value.len);
		}
		response.value = view_of(room, response.value.len);
		job->answers->ops |= 1ull << op;
		job->answers->responses[op] = response;
	}
	return had;
}

/* A range goes where it belongs in its value. */
static bool
keep_range(struct forward_job *job, const struct forward_call *call, uint32_t k, const struct native_result *result)
{
	struct response *response = &job->answers->responses[job->pull_op];
	uint32_t from = call->pull_from + k * PULL_LEN, left = response->value.len - from;

	if (result->status != OP_STATUS_OK) {
		job->pull_status = result->status;
		return false;
	}
	if (result->value.len != (left < PULL_LEN ? left : PULL_LEN))
		return false;
	memcpy((uint8_t *)(uintptr_t)response->value.data + from, result->value.data, result->value.len);
	return true;
}

/* The operation (or range) that stands at place k in a call's frame; 64: none. */
static uint32_t
op_at(const struct forward_call *call, uint32_t k)
{
	uint64_t left = call->frame;

	for (; k > 0 && left != 0; k--)
		left &= left - 1;
	return left != 0 ? (uint32_t)__builtin_ctzll(left) : FRAME_OPS_MAX;
}

uint64_t
forward_memcached_ops(const struct forward_call *call, uint64_t bits)
{
	uint64_t ops = 0, left = call->frame;

	for (; left != 0; left &= left - 1, bits >>= 1)
		if (bits & 1)
			ops |= left & -left;
	return ops;
}

uint64_t
forward_memcached_bits(const struct forward_call *call, uint64_t ops)
{
	uint64_t bits = 0, left = call->frame;

	for (uint32_t k = 0; left != 0; left &= left - 1, k++)
		if (ops & left & -left)
			bits |= 1ull << k;
	return bits;
}

uint64_t
forward_memcached_results(struct forward *forward, struct now now, struct forward_call *call, struct view body)
{
	struct reader frames = reader_of(body.data, body.len);
	uint64_t had = 0;

	while (reader_left(&frames) > 0) {
		uint16_t len = reader_le16(&frames);
		struct view frame = reader_view(&frames, len);
		struct reader in = reader_of(frame.data + NATIVE_HEADER_LEN, frame.len - NATIVE_HEADER_LEN);
		struct native_result result;

		while (native_result_parse(&in, &result)) {
			uint32_t op = op_at(call, result.index);

			if (op == FRAME_OPS_MAX || !(call->ops & ~had & 1ull << op))
				continue;
			if (call->pull && !keep_range(call->job, call, result.index, &result))
				continue;
			if (!call->pull)
				keep_result(forward, now, call->job, op, &result);
			had |= 1ull << op;
		}
	}
	return had;
}

/* --- calls ------------------------------------------------------------------------------------- */

/* As many frames as the operations need, in their order: they travel in one message. */
void
forward_memcached_ask(struct forward *forward, struct forward_job *job, uint64_t member, uint64_t ops)
{
	if (job->batch) {
		forward_call_add(forward, job, member, ops);
		return;
	}
	while (ops != 0) {
		size_t size = NATIVE_HEADER_LEN;
		uint64_t frame = 0;
		struct forward_call *call;

		for (; ops != 0; ops &= ops - 1) {
			size += native_request_size(&forward->requests[__builtin_ctzll(ops)]);
			if (size > CALL_FRAME_MAX)
				break;
			frame |= ops & -ops;
		}
		CHECK(frame != 0);
		call = forward_call_add(forward, job, member, frame);
		if (call)
			call->frame = frame;
	}
}

static uint64_t
ttl_of(const struct request *request, struct now now)
{
	return request->expiry_ms > now.wall_ms ? request->expiry_ms - now.wall_ms : 0;
}

/* Appends a command as an operation, with what only nodes tell each other. */
static void
put_command(struct writer *out, const struct request *command, struct now now)
{
	struct request request = *command;
	uint8_t *op = out->at, inner = 0;
	bool stored = command->op == OP_SET || command->op == OP_TOUCH || command->op == OP_GAT;

	request.expiry_ms = ttl_of(command, now);
	if (op_has_key(command->op))
		request.slot = slot_of_key(command->key);
	if (stored && command->expiry_ms != 0 && request.expiry_ms == 0)
		inner = NATIVE_OP_EXPIRED;
	if (command->op == OP_GET)
		inner = (uint8_t)((command->flags & REQUEST_NO_VALUE ? NATIVE_OP_NO_VALUE : 0) |
		    (command->flags & REQUEST_NO_BUMP ? NATIVE_OP_NO_BUMP : 0));
	if (command->flags & REQUEST_KEEP_WIDTH)
		inner = NATIVE_OP_KEEP_WIDTH;
	native_request_compose(out, &request);
	if (!out->failed)
		op[1] |= inner;
}

static void
put_ranges(struct writer *out, const struct forward *forward, const struct forward_call *call)
{
	const struct forward_job *job = call->job;
	const struct response *response = &job->answers->responses[job->pull_op];
	struct request request = { .op = OP_GET, .flags = REQUEST_RANGE, .key = forward->requests[job->pull_op].key,
		.version = response->version, .offset = call->pull_from };

	request.slot = slot_of_key(request.key);
	for (uint64_t left = call->frame; left != 0; left &= left - 1) {
		uint32_t rest = response->value.len - request.offset;

		request.length = rest < PULL_LEN ? rest : PULL_LEN;
		native_request_compose(out, &request);
		request.offset += request.length;
	}
}

bool
forward_memcached_compose(struct forward *forward, struct now now, const struct forward_call *call,
    struct writer *out)
{
	struct call_record record = { .kind = CALL_ASK, .flags = CALL_INNER, .hops = 1, .call = call->id,
		.epoch = forward->ring ? forward->ring->topology.epoch : 0, .ops = forward_memcached_bits(call, call->ops) };
	struct native_header header = { .version = NATIVE_VERSION,
		.op_count = (uint8_t)__builtin_popcountll(call->frame) };
	uint8_t *at = out->at, *head = writer_take(out, CALL_RECORD_LEN), *frame = writer_take(out, NATIVE_HEADER_LEN);

	if (frame) {
		native_header_compose(&header, frame);
		if (call->pull)
			put_ranges(out, forward, call);
		for (uint64_t left = call->pull ? 0 : call->frame; left != 0; left &= left - 1)
			put_command(out, &forward->requests[__builtin_ctzll(left)], now);
	}
	if (out->failed || (size_t)(out->at - frame) > CALL_FRAME_MAX) {
		CHECK(out->failed);
		out->at = at;
		return false;
	}
	record.body = view_of(frame, (uint32_t)(out->at - frame));
	call_record_compose(&record, head);
	return true;
}

/* --- stages -------------------------------------------------------------------------------------- */

/* The operations before the next flush, or the flush. */
static void
start_stage(struct forward *forward, struct forward_job *job, uint32_t count)
{
	uint64_t flush = job->later & job->flushes & -(job->later & job->flushes);
	uint64_t stage = flush == 0 ? job->later : flush == (job->later & -job->later) ? flush : job->later & (flush - 1);

	job->later &= ~stage;
	if (stage == flush)
		forward_ask_all(forward, job, stage);
	else
		forward_ask_owners(forward, job, count, stage);
}

/* What the native protocol, in which an owner is asked else, has no word for, or its answers have none. */
static bool
is_beyond_native(const struct request *request)
{
	enum { BEYOND = REQUEST_STALE | REQUEST_VIVIFY | REQUEST_RECACHE | REQUEST_RENEW };
	bool read = request->op == OP_GET || request->op == OP_GAT;

	return (request->options & BEYOND) || (read && (request->flags & REQUEST_STATE));
}

void
forward_memcached_start(struct forward *forward, struct now now, struct forward_job *job)
{
	uint32_t count = forward_memcached_parse(forward, now, job->slot);

	forward_note_kinds(forward, job, count);
	forward->counters.asked += (uint64_t)__builtin_popcountll(job->slot->ops);
	if (!forward->ring) {
		forward_memcached_tell(job, job->slot->ops, OP_STATUS_BUSY);
		return;
	}
	for (uint64_t left = job->slot->ops; left != 0; left &= left - 1)
		job->batch |= is_beyond_native(&forward->requests[__builtin_ctzll(left)]);
	job->later = job->slot->ops;
	start_stage(forward, job, count);
}

/* Some frames of ranges, from where the value is whole. */
static void
start_pulls(struct forward *forward, struct now now, struct forward_job *job)
{
	uint32_t count = forward_memcached_parse(forward, now, job->slot);
	uint32_t op = (uint32_t)__builtin_ctzll(job->partial), size, most;
	const struct response *response = &job->answers->responses[op];
	uint32_t at = (uint32_t)response->number, total = response->value.len;
	struct request *request = &forward->requests[op];
	uint16_t owner = ring_owner(&forward->ring->table, slot_of_key(request->key), 0);

	CHECK(op < count && owner != RING_NOBODY);
	size = NATIVE_REQUEST_OP_LEN + 16 + request->key.len;
	most = (CALL_FRAME_MAX - NATIVE_HEADER_LEN) / size;
	most = (most < FRAME_OPS_MAX ? most : FRAME_OPS_MAX) >> job->pull_shift;
	most = most > 0 ? most : 1;
	job->pull_op = (uint8_t)op;
	job->pull_status = OP_STATUS_OK;
	forward_extend(forward, now, job);
	for (uint32_t i = 0; i < FORWARD_PULLS && at < total; i++) {
		uint32_t ranges = (total - at + PULL_LEN - 1) / PULL_LEN, n = ranges < most ? ranges : most;
		uint64_t frame = n == 64 ? UINT64_MAX : (1ull << n) - 1;
		struct forward_call *call = forward_call_add(forward, job, forward->ring->topology.members[owner].id, 0);

		if (!call) {
			job->pull_status = OP_STATUS_BUSY;
			break;
		}
		call->ops = call->frame = frame;
		call->pull = true;
		call->pull_from = at;
		at += n * PULL_LEN;
		forward->counters.pulls += n;
	}
	job->pull_end = at < total ? at : total;
}

/*
 * A round of ranges has ended. A value that changed is asked for from the start. What was too much for
 * the owner's packets, or for the link, is asked for again with half as many ranges in a frame.
 */
static void
end_pulls(struct forward *forward, struct now now, struct forward_job *job)
{
	struct response *response = &job->answers->responses[job->pull_op];
	uint64_t bit = 1ull << job->pull_op;

	if (job->pull_status == OP_STATUS_OK) {
		response->number = job->pull_end;
		if (job->pull_end == response->value.len)
			job->partial &= ~bit;
	} else if (job->pull_status == OP_STATUS_BUSY ? ++job->pull_shift > FORWARD_SHIFT_MAX : ++job->tries > FORWARD_TRIES) {
		job->partial &= ~bit;
		forward_memcached_tell(job, bit, job->pull_status == OP_STATUS_CHANGED ? OP_STATUS_BUSY : job->pull_status);
	} else if (job->pull_status != OP_STATUS_BUSY) {
		job->partial &= ~bit;
		job->answers->ops &= ~bit;
		forward_ask_owners(forward, job, forward_memcached_parse(forward, now, job->slot), bit);
	}
	job->pull_end = 0;
}

bool
forward_memcached_next(struct forward *forward, struct now now, struct forward_job *job)
{
	while (!job->calls) {
		if (job->pull_end != 0)
			end_pulls(forward, now, job);
		else if (job->partial != 0)
			start_pulls(forward, now, job);
		else if (job->later != 0)
			start_stage(forward, job, forward_memcached_parse(forward, now, job->slot));
		else
			return false;
	}
	return true;
}
