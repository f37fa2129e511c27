/* What forwarding wants posted on the link, one message at a time, and what becomes of it. */
#include <string.h>

#include "base/check.h"
#include "cluster/forward_state.h"

static void
post_refusal(struct forward *forward, struct forward_post *post)
{
	const struct forward_refusal *refusal = &forward->refusals[forward->refusal_first];
	const struct call_record record = { .kind = CALL_ANSWER, .status = refusal->status, .call = refusal->call,
		.epoch = forward->ring ? forward->ring->topology.epoch : 0, .ops = refusal->ops };

	call_record_compose(&record, forward->head);
	post->member = refusal->member;
	forward->posting = FORWARD_REFUSAL;
}

/* What a worker has run. Nothing in the slot: it had no packet to answer in. */
static void
post_home(struct forward *forward, struct forward_post *post)
{
	const struct forward_slot *slot = (const struct forward_slot *)forward->home.first;
	const struct deferred *deferred = &slot->deferred;
	bool empty = deferred->reply_len == 0 && deferred->stale != deferred->ops;
	const struct call_record record = { .kind = CALL_ANSWER, .status = empty ? OP_STATUS_BUSY : OP_STATUS_OK,
		.call = slot->call, .epoch = forward->ring ? forward->ring->topology.epoch : 0, .ops = deferred->ops,
		.stale = deferred->stale, .body = view_of(deferred->reply, deferred->reply_len) };

	call_record_compose(&record, forward->head);
	post->member = slot->member;
	post->body = record.body;
	forward->posting = FORWARD_HOME;
}

/* What workers have run of another node's batch: as much of it as a message holds. */
static void
post_answer(struct forward *forward, struct now now, struct forward_post *post)
{
	const struct call_record record = forward_ask_answer(forward, now);

	post->member = forward->first_ask->member;
	post->head = view_of(forward->batch, CALL_RECORD_LEN + record.body.len);
	forward->posting = FORWARD_BATCH;
}

static struct call_record
record_of(const struct forward *forward, const struct forward_call *call)
{
	const struct deferred *slot = call->job->slot;

	return (struct call_record){ .kind = CALL_ASK, .hops = 1, .call = call->id,
		.epoch = forward->ring ? forward->ring->topology.epoch : 0, .ops = call->ops,
		.body = view_of(slot->payload, slot->payload_len) };
}

/* The calls of one memcached job to one member, as they stand in the queue: frames keep their order. */
static void
compose_message(struct forward *forward, struct now now, struct forward_post *post)
{
	const struct forward_call *first = forward->queued.first, *call = first;
	struct writer out = writer_of(forward->message, FORWARD_MESSAGE_MAX);

	forward_memcached_parse(forward, now, first->job->slot);
	forward->posting_count = 0;
	while (call && call->job == first->job && call->member == first->member &&
	    forward_memcached_compose(forward, now, call, &out)) {
		forward->posting_count++;
		call = call->next;
	}
	CHECK(forward->posting_count > 0);
	post->head = view_of(forward->message, (uint32_t)(out.at - forward->message));
}

static void
post_call(struct forward *forward, struct now now, struct forward_post *post)
{
	const struct forward_call *call = forward->queued.first;
	struct call_record record;

	forward->posting = FORWARD_CALL;
	post->member = call->member;
	post->tag = call->id;
	if (call->job->inner && !call->job->batch) {
		compose_message(forward, now, post);
		return;
	}
	forward->posting_count = 1;
	if (call->job->ask || call->job->batch) {
		record = forward_ask_compose(forward, now, call);
		post->head = view_of(forward->batch, CALL_RECORD_LEN + record.body.len);
		return;
	}
	record = record_of(forward, call);
	call_record_compose(&record, forward->head);
	post->body = record.body;
}

static struct call_record
own_record(struct forward *forward, struct now now, const struct forward_call *call)
{
	struct writer out = writer_of(forward->message, FORWARD_MESSAGE_MAX);
	struct call_record record;
	struct reader in;

	forward_memcached_parse(forward, now, call->job->slot);
	if (!forward_memcached_compose(forward, now, call, &out))
		CHECK(!"a call is smaller than a message");
	in = reader_of(forward->message, (size_t)(out.at - forward->message));
	if (!call_record_next(&in, &record))
		CHECK(!"a record that has just been composed");
	return record;
}

/* Slots that have become our own since they were asked for are run here. */
static bool
run_own(struct forward *forward, struct now now)
{
	struct forward_call *call = forward->queued.first;
	struct call_record record;

	if (!call->job) {
		forward_call_release(forward, forward_queue_take(&forward->queued));
		return true;
	}
	if (call->member != forward->config.self)
		return false;
	record = record_of(forward, call);
	if (call->job->ask || call->job->batch)
		record = forward_ask_compose(forward, now, call);
	else if (call->job->inner)
		record = own_record(forward, now, call);
	forward_queue_take(&forward->queued);
	call->state = FORWARD_ASKED;
	call->epoch = record.epoch;
	if (record.kind == CALL_BATCH)
		forward_ask_run(forward, now, forward->config.self, &record);
	else
		forward_run(forward, now, forward->config.self, &record);
	return true;
}

bool
forward_post(struct forward *forward, struct now now, struct forward_post *post)
{
	CHECK(forward->posting == FORWARD_NOTHING);
	*post = (struct forward_post){ .head = view_of(forward->head, CALL_RECORD_LEN) };
	while (forward->queued.first && run_own(forward, now))
		;
	if (now.mono_ns >= forward->again_ns && forward->refusal_count > 0)
		post_refusal(forward, post);
	else if (now.mono_ns >= forward->again_ns && forward->home.first)
		post_home(forward, post);
	else if (now.mono_ns >= forward->again_ns && forward->first_ask)
		post_answer(forward, now, post);
	else if (forward->queued.first)
		post_call(forward, now, post);
	return forward->posting != FORWARD_NOTHING;
}

/* A call's message: taken, or not to be had. */
static void
call_posted(struct forward *forward, struct now now, struct forward_call *call, enum forward_result result)
{
	struct forward_job *job = call->job;

	call->state = FORWARD_ASKED;
	call->epoch = forward->ring ? forward->ring->topology.epoch : 0;
	if (result == FORWARD_SENT)
		return;
	forward_call_fail(call, call->ops, result == FORWARD_BUSY ? OP_STATUS_BUSY : OP_STATUS_OWNER_DEAD);
	forward_call_end(forward, call);
	forward_finish_if_done(forward, now, job);
}

void
forward_posted(struct forward *forward, struct now now, enum forward_result result)
{
	int posting = forward->posting;

	CHECK(posting != FORWARD_NOTHING);
	forward->posting = FORWARD_NOTHING;
	if (posting == FORWARD_CALL) {
		for (uint32_t n = forward->posting_count; n > 0; n--)
			call_posted(forward, now, forward_queue_take(&forward->queued), result);
	} else if (result == FORWARD_BUSY) {
		forward->again_ns = now.mono_ns + FORWARD_AGAIN_NS; /* answers stay, and so hold new frames off */
	} else if (posting == FORWARD_BATCH) {
		forward_ask_answered(forward, result != FORWARD_SENT);
	} else if (posting == FORWARD_REFUSAL) {
		forward->refusal_first = (forward->refusal_first + 1) % FORWARD_REFUSALS_MAX;
		forward->refusal_count--;
	} else {
		struct deferred *slot = forward_line_take(&forward->home);

		slot->next_free = forward->free_slots;
		forward->free_slots = slot;
	}
}
