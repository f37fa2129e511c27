/* The owner's half: frames of other nodes as slots for our workers. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/pkt.h"
#include "cluster/forward_state.h"
#include "proto/native.h"
#include "ring/slot.h"

bool
forward_slots_init(struct forward *forward)
{
	forward->slots = calloc(FORWARD_SLOTS_MAX, sizeof *forward->slots);
	forward->replies = calloc(FORWARD_SLOTS_MAX, DEFERRED_REPLY_CLUSTER); /* pages come with their first use */
	if (!forward->slots || !forward->replies)
		return false;
	for (uint32_t i = FORWARD_SLOTS_MAX; i-- > 0;) {
		struct deferred *slot = &forward->slots[i].deferred;

		slot->home = DEFERRED_HOME_CORE;
		slot->reply = forward->replies + (size_t)i * DEFERRED_REPLY_CLUSTER;
		slot->reply_size = DEFERRED_REPLY_CLUSTER;
		slot->next_free = forward->free_slots;
		forward->free_slots = slot;
	}
	return true;
}

void
forward_slots_deinit(struct forward *forward)
{
	free(forward->slots);
	free(forward->replies);
}

struct deferred *
forward_slot_take(struct forward *forward, uint64_t from, const struct call_record *record)
{
	struct deferred *slot = forward->free_slots;

	if (!slot)
		return NULL;
	forward->free_slots = slot->next_free;
	deferred_reset(slot);
	slot->forwarded = true;
	slot->inner = record->flags & CALL_INNER;
	slot->service = record->kind == CALL_BATCH ? SERVICE_ASK : SERVICE_NATIVE;
	if (record->kind != CALL_BATCH) {
		slot->payload_len = (uint16_t)record->body.len;
		memcpy(slot->payload, record->body.data, record->body.len);
	}
	((struct forward_slot *)slot)->member = from;
	((struct forward_slot *)slot)->call = record->call;
	return slot;
}

void
forward_slot_give(struct forward *forward, struct deferred *slot)
{
	slot->next_free = forward->free_slots;
	forward->free_slots = slot;
}

void
forward_refuse(struct forward *forward, uint64_t member, uint64_t call, uint64_t ops, enum op_status status)
{
	uint32_t at = (forward->refusal_first + forward->refusal_count) % FORWARD_REFUSALS_MAX;

	forward->counters.refused += (uint64_t)__builtin_popcountll(ops);
	if (forward->refusal_count == FORWARD_REFUSALS_MAX)
		return; /* whoever asks so much more than is answered finds out by the clock */
	forward->refusals[at] = (struct forward_refusal){ member, call, ops, (uint8_t)status };
	forward->refusal_count++;
}

void
forward_refuse_call(struct forward *forward, struct now now, uint64_t from, const struct call_record *record, uint64_t ops,
    enum op_status status)
{
	if (from == forward->config.self)
		forward_answer(forward, now, from, &(struct call_record){ .kind = record->kind + 1, .status = (uint8_t)status,
			.call = record->call, .ops = ops });
	else
		forward_refuse(forward, from, record->call, ops, status);
}

uint32_t
forward_worker_of(const struct forward *forward, const struct request *request)
{
	if (op_has_key(request->op)) /* a worker sees through a slot that is not the key's, as with any client's */
		return (request->flags & REQUEST_TRUST_SLOT ? request->slot : slot_of_key(request->key)) % forward->config.worker_count;
	return op_is_write(request->op) || op_is_shard_job(request->op) ? request->slot % forward->config.worker_count : 0;
}

/* Which operations each worker is to run. */
static uint64_t
divide(const struct forward *forward, uint32_t count, uint64_t shares[WORKER_MAX])
{
	uint64_t all = 0;

	memset(shares, 0, WORKER_MAX * sizeof *shares);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t bit = 1ull << forward->requests[i].index;

		shares[forward_worker_of(forward, &forward->requests[i])] |= bit;
		all |= bit;
	}
	return all;
}

/* A slot a worker; the first one is there already. */
static void
mail_shares(struct forward *forward, struct now now, uint64_t from, const struct call_record *record,
    struct deferred *slot, const uint64_t shares[WORKER_MAX])
{
	for (uint32_t w = 0; w < forward->config.worker_count; w++) {
		if (shares[w] == 0)
			continue;
		if (!slot)
			slot = forward_slot_take(forward, from, record);
		if (!slot) {
			forward_refuse_call(forward, now, from, record, shares[w], OP_STATUS_BUSY);
			continue;
		}
		slot->ops = shares[w];
		forward_mail_to(forward, slot, (uint8_t)w);
		slot = NULL;
	}
}

void
forward_run(struct forward *forward, struct now now, uint64_t from, const struct call_record *record)
{
	uint64_t shares[WORKER_MAX], found = 0;
	struct deferred *slot;
	uint32_t count;

	if (record->hops > CALL_HOPS_MAX) {
		forward_refuse_call(forward, now, from, record, record->ops, OP_STATUS_STALE_EPOCH);
		return;
	}
	slot = forward->ring ? forward_slot_take(forward, from, record) : NULL;
	if (!slot) {
		forward_refuse_call(forward, now, from, record, record->ops, OP_STATUS_BUSY);
		return;
	}
	slot->ops = record->ops;
	if (forward_parse(forward, now, slot, &count))
		found = divide(forward, count, shares);
	forward->counters.run += (uint64_t)__builtin_popcountll(found);
	if (found == 0)
		forward_slot_give(forward, slot);
	else
		mail_shares(forward, now, from, record, slot, shares);
	if (found != record->ops)
		forward_refuse_call(forward, now, from, record, record->ops & ~found, OP_STATUS_BAD_REQUEST);
}

void
forward_ran(struct forward *forward, struct now now, struct deferred *slot)
{
	const struct forward_slot *own = (const struct forward_slot *)slot;
	struct call_record record;

	if (slot->ask) {
		forward_ask_ran(forward, now, slot);
		return;
	}
	if (own->member != forward->config.self) {
		forward_line_add(&forward->home, slot);
		return;
	}
	record = (struct call_record){ .kind = CALL_ANSWER, .call = own->call, .ops = slot->ops, .stale = slot->stale,
		.body = view_of(slot->reply, slot->reply_len) };
	if (slot->reply_len == 0 && slot->stale != slot->ops)
		record.status = OP_STATUS_BUSY;
	forward_slot_give(forward, slot);
	forward_answer(forward, now, own->member, &record);
}
