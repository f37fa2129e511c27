/* Requests of connections: in batches to their owners, and the owner's half of that. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/outq.h"
#include "base/pkt.h"
#include "cluster/forward_state.h"

enum { BODY_MAX = LINK_MESSAGE_MAX - CALL_RECORD_LEN - BATCH_HEAD_LEN };

_Static_assert(BODY_MAX >= BATCH_REQUEST_LEN + RESP_KEY_LEN_MAX + VALUE_LEN_MAX, "any one request fits a message");
_Static_assert(BODY_MAX >= BATCH_RESPONSE_LEN + VALUE_LEN_MAX, "any one response does");

bool
forward_ask_init(struct forward *forward)
{
	forward->batch = malloc(LINK_MESSAGE_MAX);
	forward->lents = calloc(FORWARD_LENT_MAX, sizeof *forward->lents);
	return forward->batch && forward->lents && blocks_init(&forward->blocks, FORWARD_BLOCKS);
}

void
forward_ask_deinit(struct forward *forward)
{
	free(forward->batch);
	free(forward->lents);
	blocks_deinit(&forward->blocks);
}

/* --- pieces ------------------------------------------------------------------------------------- */

static void
give_pieces(struct forward *forward, struct forward_piece *piece)
{
	while (piece) {
		struct forward_piece *next = piece->next;

		blocks_give(&forward->blocks, piece, piece->size);
		piece = next;
	}
}

/* What workers have let go of. */
static void
take_back(struct forward *forward)
{
	for (uint32_t i = 0; i < FORWARD_LENT_MAX && forward->lent_count > 0; i++) {
		struct forward_lent *lent = &forward->lents[i];

		if (!lent->pieces || atomic_load_explicit(&lent->out, memory_order_acquire))
			continue;
		give_pieces(forward, lent->pieces);
		lent->pieces = NULL;
		forward->lent_count--;
	}
}

/* A piece for `len` bytes and what is needed to find it again; NULL: too much is kept already. */
static struct forward_piece *
take_piece(struct forward *forward, uint32_t len)
{
	uint32_t size = (uint32_t)sizeof(struct forward_piece) + len;
	struct forward_piece *piece = size <= BLOCK_MAX ? blocks_take(&forward->blocks, size) : NULL;

	if (!piece && size <= BLOCK_MAX && forward->lent_count > 0) {
		take_back(forward);
		piece = blocks_take(&forward->blocks, size);
	}
	if (piece)
		*piece = (struct forward_piece){ .size = size };
	return piece;
}

/* --- asking --------------------------------------------------------------------------------------- */

uint32_t
forward_ask_parse(struct forward *forward, const struct forward_job *job)
{
	uint32_t count = 0;

	for (uint64_t left = job->slot->ops; left != 0; left &= left - 1)
		forward->requests[count++] = job->ask->requests[__builtin_ctzll(left)];
	return count;
}

void
forward_ask_tell(struct forward_job *job, uint64_t ops, enum op_status status)
{
	job->told |= ops;
	for (; ops != 0; ops &= ops - 1)
		job->ask->responses[__builtin_ctzll(ops)] = (struct response){ .status = (uint8_t)status };
}

/* The request, and all that it guards. */
static uint64_t
group_at(const struct ask *ask, uint32_t i, uint64_t ops)
{
	uint32_t end = i + 1;

	for (uint32_t k = i; k < end && k < ask->count; k++)
		if (ask->requests[k].op == OP_GUARD && k + 1 + ask->requests[k].length > end)
			end = k + 1 + ask->requests[k].length;
	return ops & (end >= 64 ? UINT64_MAX : (1ull << end) - 1) & ~((1ull << i) - 1);
}

static uint64_t
size_of(const struct ask *ask, uint64_t ops)
{
	uint64_t size = 0;

	for (; ops != 0; ops &= ops - 1)
		size += batch_request_size(&ask->requests[__builtin_ctzll(ops)]);
	return size;
}

/*
 * As many as a message holds. Messages may overtake each other on the link, so the next one is asked for when this one
 * has been answered.
 */
void
forward_ask_member(struct forward *forward, struct forward_job *job, uint64_t member, uint64_t ops)
{
	uint64_t batch = 0, size = 0, left = ops;

	while (left != 0) {
		uint64_t group = group_at(job->ask, (uint32_t)__builtin_ctzll(left), left);
		uint64_t more = size_of(job->ask, group);

		if (more > BODY_MAX) { /* what must stay together is too long */
			forward_fail(job, group, OP_STATUS_OUT_OF_MEMORY);
		} else if (size + more > BODY_MAX) {
			break;
		} else {
			batch |= group;
			size += more;
		}
		left &= ~group;
	}
	job->later |= left;
	if (batch != 0)
		forward_call_add(forward, job, member, batch);
}

bool
forward_ask_next(struct forward *forward, struct now now, struct forward_job *job)
{
	uint64_t ops = job->later;

	if (ops == 0)
		return false;
	job->later = 0;
	if (forward->ring) {
		forward_extend(forward, now, job);
		forward_ask_owners(forward, job, forward_ask_parse(forward, job), ops);
	} else {
		forward_fail(job, ops, OP_STATUS_BUSY);
	}
	return true;
}

void
forward_ask_cut(struct forward_job *job)
{
	forward_fail(job, job->later, OP_STATUS_BUSY);
	job->later = 0;
}

struct call_record
forward_ask_compose(struct forward *forward, struct now now, const struct forward_call *call)
{
	const struct request *requests = call->job->ask ? call->job->ask->requests : forward->requests;
	struct writer out = writer_of(forward->batch + CALL_RECORD_LEN, LINK_MESSAGE_MAX - CALL_RECORD_LEN);
	struct call_record record = { .kind = CALL_BATCH, .hops = 1, .call = call->id,
		.epoch = forward->ring ? forward->ring->topology.epoch : 0, .ops = call->ops };

	if (call->job->inner)
		forward_memcached_parse(forward, now, call->job->slot);
	batch_head_compose(&out, (uint32_t)__builtin_popcountll(call->ops), now);
	for (uint64_t left = call->ops; left != 0; left &= left - 1) {
		uint32_t i = (uint32_t)__builtin_ctzll(left);

		batch_request_compose(&out, i, &requests[i]);
	}
	CHECK(!out.failed);
	record.body = view_of(forward->batch + CALL_RECORD_LEN, (uint32_t)(out.at - forward->batch) - CALL_RECORD_LEN);
	call_record_compose(&record, forward->batch);
	return record;
}

uint64_t
forward_ask_results(struct forward *forward, struct now now, struct forward_job *job, uint64_t ops, struct view body)
{
	struct forward_piece *piece = body.len > 0 ? take_piece(forward, body.len) : NULL;
	struct batch_reader batch;
	struct response response;
	uint64_t had = 0;
	uint32_t index;

	if (!piece)
		return 0;
	piece->next = job->pieces;
	job->pieces = piece;
	memcpy(piece->bytes, body.data, body.len);
	if (!batch_open(&batch, view_of(piece->bytes, body.len), now))
		return 0;
	while (batch_response_next(&batch, &index, &response)) {
		if (!(ops & ~had & 1ull << index))
			continue;
		response.key = job->ask->requests[index].key;
		job->ask->responses[index] = response;
		had |= 1ull << index;
	}
	return had;
}

/* Without a place to say where they are, values are lost. */
static void
drop_values(struct forward *forward, struct forward_job *job)
{
	for (uint64_t left = job->slot->ops; left != 0; left &= left - 1) {
		struct response *response = &job->ask->responses[__builtin_ctzll(left)];

		if (response->value.len > 0)
			*response = (struct response){ .status = OP_STATUS_BUSY };
	}
	give_pieces(forward, job->pieces);
}

void
forward_ask_finish(struct forward *forward, struct forward_job *job)
{
	struct forward_lent *lent = forward->lents;

	if (!job->pieces)
		return;
	if (forward->lent_count == FORWARD_LENT_MAX)
		take_back(forward);
	if (forward->lent_count == FORWARD_LENT_MAX) {
		drop_values(forward, job);
		job->pieces = NULL;
		return;
	}
	while (lent->pieces)
		lent++;
	lent->pieces = job->pieces;
	job->pieces = NULL;
	forward->lent_count++;
	atomic_store_explicit(&lent->out, true, memory_order_relaxed);
	job->slot->lent = &lent->out;
}

/* --- the owner's half -------------------------------------------------------------------------------- */

/* Memory for an ask of requests up to bit `count`, and the batch. */
static struct forward_ask *
ask_take(struct forward *forward, uint64_t from, const struct call_record *record, uint32_t count)
{
	uint32_t room = (uint32_t)sizeof(struct forward_ask) +
	    count * (uint32_t)(sizeof(struct request) + sizeof(struct response));
	struct forward_piece *piece = take_piece(forward, room + record->body.len);
	struct forward_ask *own;

	if (!piece)
		return NULL;
	own = (struct forward_ask *)(void *)piece->bytes;
	*own = (struct forward_ask){ .member = from, .call = record->call, .piece = piece };
	own->ask.count = count;
	own->ask.requests = (struct request *)(void *)(own + 1);
	own->ask.responses = (struct response *)(void *)(own->ask.requests + count);
	own->ask.bytes = piece->bytes + room;
	own->ask.bytes_len = record->body.len;
	memset(own->ask.responses, 0, count * sizeof *own->ask.responses);
	memcpy(own->ask.bytes, record->body.data, record->body.len);
	return own;
}

/* Requests by their index; false: not those that the record names. */
static bool
ask_read(struct forward_ask *own, struct now now, uint64_t ops)
{
	struct batch_reader batch;
	struct request request;

	if (!batch_open(&batch, view_of(own->ask.bytes, own->ask.bytes_len), now))
		return false;
	while (batch_request_next(&batch, &request)) {
		if (!(ops & ~own->ops & 1ull << request.index))
			return false;
		own->ask.requests[request.index] = request;
		own->ops |= 1ull << request.index;
	}
	return !batch.in.failed && own->ops == ops;
}

static void
ask_give(struct forward *forward, struct forward_ask *own)
{
	for (uint64_t left = own->ops; left != 0; left &= left - 1)
		if (own->ask.responses[__builtin_ctzll(left)].pins)
			outq_unpin(own->ask.responses[__builtin_ctzll(left)].pins);
	while (own->ask.slots) {
		struct deferred *slot = own->ask.slots;

		own->ask.slots = slot->next_free;
		forward_slot_give(forward, slot);
	}
	blocks_give(&forward->blocks, own->piece, own->piece->size);
}

/* Each worker's part; what a guard guards goes with it. */
static void
divide(const struct forward *forward, const struct forward_ask *own, uint64_t shares[WORKER_MAX])
{
	uint64_t left = own->ops;

	memset(shares, 0, WORKER_MAX * sizeof *shares);
	while (left != 0) {
		uint32_t i = (uint32_t)__builtin_ctzll(left);
		uint64_t group = group_at(&own->ask, i, left);

		shares[forward_worker_of(forward, &own->ask.requests[i])] |= group;
		left &= ~group;
	}
}

static void
mail(struct forward *forward, struct forward_ask *own, const struct call_record *record, uint64_t ops, uint32_t worker)
{
	struct deferred *slot = forward_slot_take(forward, own->member, record);

	for (uint64_t left = ops; left != 0; left &= left - 1)
		own->ask.responses[__builtin_ctzll(left)] = (struct response){ .status = OP_STATUS_BUSY };
	if (!slot)
		return;
	slot->ask = &own->ask;
	slot->ops = ops;
	own->ask.out++;
	forward_mail_to(forward, slot, (uint8_t)worker);
}

static void ask_finish(struct forward *forward, struct now now, struct forward_ask *own);

void
forward_ask_run(struct forward *forward, struct now now, uint64_t from, const struct call_record *record)
{
	uint64_t shares[WORKER_MAX];
	struct forward_ask *own;
	bool good;

	if (record->hops > CALL_HOPS_MAX) {
		forward_refuse_call(forward, now, from, record, record->ops, OP_STATUS_STALE_EPOCH);
		return;
	}
	own = forward->ring && forward->free_slots ? ask_take(forward, from, record, 64 - (uint32_t)__builtin_clzll(record->ops)) : NULL;
	if (!own) {
		forward_refuse_call(forward, now, from, record, record->ops, OP_STATUS_BUSY);
		return;
	}
	good = ask_read(own, now, record->ops);
	if (!good) {
		own->ops = 0;
		ask_give(forward, own);
		forward_refuse_call(forward, now, from, record, record->ops, OP_STATUS_BAD_REQUEST);
		return;
	}
	forward->counters.run += (uint64_t)__builtin_popcountll(own->ops);
	divide(forward, own, shares);
	for (uint32_t w = 0; w < forward->config.worker_count; w++)
		if (shares[w] != 0)
			mail(forward, own, record, shares[w], w);
	if (own->ask.out == 0)
		ask_finish(forward, now, own);
}

void
forward_ask_ran(struct forward *forward, struct now now, struct deferred *slot)
{
	struct forward_ask *own = (struct forward_ask *)slot->ask;

	own->stale |= slot->stale;
	slot->next_free = own->ask.slots;
	own->ask.slots = slot;
	if (--own->ask.out == 0)
		ask_finish(forward, now, own);
}

/* As many responses as a message holds; those of others come in the next. */
static struct call_record
compose(struct forward *forward, struct now now, const struct forward_ask *own)
{
	struct writer out = writer_of(forward->batch + CALL_RECORD_LEN, LINK_MESSAGE_MAX - CALL_RECORD_LEN);
	struct call_record record = { .kind = CALL_BATCH_ANSWER, .call = own->call,
		.epoch = forward->ring ? forward->ring->topology.epoch : 0 };
	uint64_t size = 0;

	for (uint64_t left = own->ops & ~own->sent; left != 0; left &= left - 1) {
		if (!(own->stale & left & -left))
			size += batch_response_size(&own->ask.responses[__builtin_ctzll(left)]);
		if (size > BODY_MAX)
			break;
		record.ops |= left & -left;
	}
	record.stale = record.ops & own->stale;
	batch_head_compose(&out, (uint32_t)__builtin_popcountll(record.ops & ~record.stale), now);
	for (uint64_t left = record.ops & ~record.stale; left != 0; left &= left - 1)
		batch_response_compose(&out, (uint32_t)__builtin_ctzll(left), &own->ask.responses[__builtin_ctzll(left)]);
	CHECK(!out.failed && record.ops != 0);
	record.body = view_of(forward->batch + CALL_RECORD_LEN, (uint32_t)(out.at - forward->batch) - CALL_RECORD_LEN);
	call_record_compose(&record, forward->batch);
	return record;
}

/* All of it has been run: the answer waits to be posted, or is ours. */
static void
ask_finish(struct forward *forward, struct now now, struct forward_ask *own)
{
	if (own->member == forward->config.self) {
		while (own->ops & ~own->sent) {
			struct call_record record = compose(forward, now, own);

			own->sent |= record.ops;
			forward_answer(forward, now, own->member, &record);
		}
		ask_give(forward, own);
		return;
	}
	own->next = NULL;
	if (forward->last_ask)
		forward->last_ask->next = own;
	else
		forward->first_ask = own;
	forward->last_ask = own;
}

struct call_record
forward_ask_answer(struct forward *forward, struct now now)
{
	struct call_record record = compose(forward, now, forward->first_ask);

	forward->posting_ops = record.ops;
	return record;
}

void
forward_ask_answered(struct forward *forward, bool gone)
{
	struct forward_ask *own = forward->first_ask;

	own->sent |= forward->posting_ops;
	if (!gone && (own->ops & ~own->sent))
		return;
	forward->first_ask = own->next;
	if (!forward->first_ask)
		forward->last_ask = NULL;
	ask_give(forward, own);
}
