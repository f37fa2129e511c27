#include "cluster/forward.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cluster/forward_state.h"
#include "proto/native.h"
#include "ring/slot.h"

/* --- lists -------------------------------------------------------------------------------- */

void
forward_line_add(struct forward_line *line, struct deferred *slot)
{
	slot->next_free = NULL;
	if (line->last)
		line->last->next_free = slot;
	else
		line->first = slot;
	line->last = slot;
}

struct deferred *
forward_line_take(struct forward_line *line)
{
	struct deferred *slot = line->first;

	if (!slot)
		return NULL;
	line->first = slot->next_free;
	if (!line->first)
		line->last = NULL;
	slot->next_free = NULL;
	return slot;
}

void
forward_mail_to(struct forward *forward, struct deferred *slot, uint8_t to)
{
	slot->to = to;
	forward_line_add(&forward->mail, slot);
}

static void
queue_add(struct forward_queue *queue, struct forward_call *call)
{
	call->next = NULL;
	if (queue->last)
		queue->last->next = call;
	else
		queue->first = call;
	queue->last = call;
}

struct forward_call *
forward_queue_take(struct forward_queue *queue)
{
	struct forward_call *call = queue->first;

	queue->first = call->next;
	if (!queue->first)
		queue->last = NULL;
	call->next = NULL;
	return call;
}

/* --- calls -------------------------------------------------------------------------------- */

enum { INDEX_BITS = 12, INDEX_MASK = (1 << INDEX_BITS) - 1 };
_Static_assert(FORWARD_CALLS_MAX <= 1 << INDEX_BITS, "a call's index is part of its number");

void
forward_call_release(struct forward *forward, struct forward_call *call)
{
	call->state = FORWARD_FREE;
	call->id += 1 << INDEX_BITS; /* what is still said to the old number is late */
	call->next = forward->free_calls;
	forward->free_calls = call;
}

static struct forward_call *
call_take(struct forward *forward, struct forward_job *job, uint64_t member, uint64_t ops)
{
	struct forward_call *call = forward->free_calls;

	if (!call)
		return NULL;
	forward->free_calls = call->next;
	call->next = NULL;
	call->job = job;
	call->member = member;
	call->ops = ops;
	call->frame = 0;
	call->pull = false;
	call->before = NULL;
	call->after = job->calls;
	if (job->calls)
		job->calls->before = call;
	job->calls = call;
	return call;
}

/* Out of its job. While it stands in a queue, the queue lets go of it later. */
void
forward_call_end(struct forward *forward, struct forward_call *call)
{
	if (call->before)
		call->before->after = call->after;
	else
		call->job->calls = call->after;
	if (call->after)
		call->after->before = call->before;
	call->job = NULL;
	if (call->state == FORWARD_ASKED)
		forward_call_release(forward, call);
}

static struct forward_call *
call_find(struct forward *forward, uint64_t id)
{
	struct forward_call *call = &forward->calls[id & INDEX_MASK];

	return call->id == id && call->state == FORWARD_ASKED ? call : NULL;
}

/* --- jobs --------------------------------------------------------------------------------- */

static void
tell(struct forward_job *job, uint64_t ops, enum op_status status)
{
	if (job->inner) {
		forward_memcached_tell(job, ops, status);
		return;
	}
	if (job->ask) {
		forward_ask_tell(job, ops, status);
		return;
	}
	job->told |= ops;
	for (; ops != 0; ops &= ops - 1)
		job->statuses[__builtin_ctzll(ops)] = (uint8_t)status;
}

/* A flush of which a member does not take part is still one; it is told at the end what it was. */
void
forward_fail(struct forward_job *job, uint64_t ops, enum op_status status)
{
	tell(job, ops & job->flushes, OP_STATUS_PARTIAL);
	tell(job, ops & ~job->flushes, status);
}

/* The same of a call's; a range that fails is a matter of its round. */
void
forward_call_fail(const struct forward_call *call, uint64_t ops, enum op_status status)
{
	if (!call->pull)
		forward_fail(call->job, ops, status);
	else if (ops != 0 && call->job->pull_status == OP_STATUS_OK)
		call->job->pull_status = (uint8_t)status;
}

/* Behind all others: none has a later deadline. */
static void
job_append(struct forward *forward, struct now now, struct forward_job *job)
{
	job->deadline_ns = now.mono_ns + FORWARD_PATIENCE_NS;
	job->before = forward->last_job;
	job->after = NULL;
	if (forward->last_job)
		forward->last_job->after = job;
	else
		forward->first_job = job;
	forward->last_job = job;
}

static void
job_unlink(struct forward *forward, struct forward_job *job)
{
	if (job->before)
		job->before->after = job->after;
	else
		forward->first_job = job->after;
	if (job->after)
		job->after->before = job->before;
	else
		forward->last_job = job->before;
}

static struct forward_job *
job_take(struct forward *forward, struct now now, struct deferred *slot)
{
	struct forward_job *job = forward->free_jobs;

	if (!job)
		return NULL;
	forward->free_jobs = job->after;
	*job = (struct forward_job){ .slot = slot, .ask = slot->ask };
	job_append(forward, now, job);
	return job;
}

static void
job_release(struct forward *forward, struct forward_job *job)
{
	job_unlink(forward, job);
	job->slot = NULL;
	job->after = forward->free_jobs;
	forward->free_jobs = job;
}

void
forward_extend(struct forward *forward, struct now now, struct forward_job *job)
{
	job_unlink(forward, job);
	job_append(forward, now, job);
}

static void
count_told(struct forward *forward, const struct forward_job *job)
{
	struct forward_counters *counters = &forward->counters;

	for (uint64_t left = job->inner ? job->answers->ops : job->told; left != 0; left &= left - 1) {
		uint32_t op = (uint32_t)__builtin_ctzll(left);
		uint8_t status = job->inner ? job->answers->responses[op].status :
		    job->ask ? job->ask->responses[op].status : job->statuses[op];

		counters->owner_dead += status == OP_STATUS_OWNER_DEAD;
		counters->owner_timeout += status == OP_STATUS_OWNER_TIMEOUT;
		counters->stale_epoch += status == OP_STATUS_STALE_EPOCH;
		counters->busy += status == OP_STATUS_BUSY;
		counters->partial += status == OP_STATUS_PARTIAL;
	}
}

/* Response frame for the operations whose status is told; it has room unless the slot is full of others'. */
static void
put_statuses(struct deferred *slot, const struct forward_job *job)
{
	struct writer out = writer_of(slot->reply + slot->reply_len, slot->reply_size - slot->reply_len);
	uint8_t *len = writer_take(&out, 2), *frame = out.at;

	call_statuses_compose(&out, view_of(slot->payload, slot->payload_len), job->told, job->statuses);
	if (out.failed)
		return;
	store_le16(len, (uint16_t)(out.at - frame));
	slot->reply_len = (uint32_t)(out.at - slot->reply);
}

/* The slot goes home with what it has; a memcached frame is then run there. */
static void
go_home(struct forward *forward, struct forward_job *job)
{
	struct deferred *slot = job->slot;

	count_told(forward, job);
	if (job->told != 0 && !job->ask)
		put_statuses(slot, job);
	if (job->inner)
		forward_memcached_finish(job);
	if (job->ask)
		forward_ask_finish(forward, job);
	slot->done = !job->inner;
	slot->answered = !job->inner && !job->ask && slot->home < DEFERRED_HOME_LOCAL;
	forward_mail_to(forward, slot, slot->home);
}

static void
job_finish(struct forward *forward, struct forward_job *job)
{
	go_home(forward, job);
	job_release(forward, job);
}

void
forward_finish_if_done(struct forward *forward, struct now now, struct forward_job *job)
{
	while (!job->calls && job->ask && forward_ask_next(forward, now, job))
		;
	if (!job->calls && !(job->inner && forward_memcached_next(forward, now, job)))
		job_finish(forward, job);
}

/* --- who is asked what ---------------------------------------------------------------------- */

bool
forward_parse(struct forward *forward, struct now now, struct deferred *slot, uint32_t *count)
{
	struct datagram datagram = { .payload = slot->payload, .payload_len = slot->payload_len,
		.service = SERVICE_NATIVE, .deferred = slot };
	struct frame frame;

	*count = 0;
	if (native_parse(&datagram, &now, &frame, forward->requests, FRAME_OPS_MAX) != NATIVE_OK)
		return false;
	*count = frame.count;
	return true;
}

/* A job's operations, in whatever protocol; its worker has parsed them before. */
static uint32_t
parse(struct forward *forward, struct now now, const struct forward_job *job)
{
	uint32_t count;

	if (job->inner)
		return forward_memcached_parse(forward, now, job->slot);
	if (job->ask)
		return forward_ask_parse(forward, job);
	if (!forward_parse(forward, now, job->slot, &count))
		CHECK(!"a frame that a worker has parsed");
	return count;
}

/* The position of the member that is to run a request; RING_NOBODY: nobody owns its slot. */
static uint16_t
owner_of(const struct forward *forward, const struct deferred *asked, const struct request *request)
{
	bool known = asked->slots_true && (request->flags & REQUEST_TRUST_SLOT);
	uint16_t slot = op_has_key(request->op) && !known ? slot_of_key(request->key) : request->slot;

	return slot < SLOT_COUNT ? ring_owner(&forward->ring->table, slot, 0) : RING_NOBODY;
}

struct forward_call *
forward_call_add(struct forward *forward, struct forward_job *job, uint64_t member, uint64_t ops)
{
	struct forward_call *call = call_take(forward, job, member, ops);

	if (!call) {
		forward_fail(job, ops, OP_STATUS_BUSY);
		return NULL;
	}
	call->state = FORWARD_QUEUED;
	queue_add(&forward->queued, call);
	return call;
}

static void
ask(struct forward *forward, struct forward_job *job, uint64_t member, uint64_t ops)
{
	if (job->inner)
		forward_memcached_ask(forward, job, member, ops);
	else if (job->ask)
		forward_ask_member(forward, job, member, ops);
	else
		forward_call_add(forward, job, member, ops);
}

/* Every other member that may have items; those that are dead do not take part. */
void
forward_ask_all(struct forward *forward, struct forward_job *job, uint64_t ops)
{
	const struct ring_topology *topology = &forward->ring->topology;

	tell(job, ops, OP_STATUS_OK);
	for (uint16_t i = 0; i < topology->count; i++)
		if (i != forward->self && ring_state_owns(topology->members[i].state))
			ask(forward, job, topology->members[i].id, ops);
}

/* Calls for requests [0, count) in forward->requests of the operations `ops`, one for each owner. */
void
forward_ask_owners(struct forward *forward, struct forward_job *job, uint32_t count, uint64_t ops)
{
	const struct ring_topology *topology = &forward->ring->topology;
	uint16_t owners[FRAME_OPS_MAX];
	uint64_t left = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (!(ops >> forward->requests[i].index & 1))
			continue;
		owners[i] = owner_of(forward, job->slot, &forward->requests[i]);
		left |= 1ull << i;
	}
	while (left != 0) {
		uint16_t owner = owners[__builtin_ctzll(left)];
		uint64_t same = 0;

		for (uint64_t at = left; at != 0; at &= at - 1) {
			uint32_t i = (uint32_t)__builtin_ctzll(at);

			if (owners[i] != owner)
				continue;
			same |= 1ull << forward->requests[i].index;
			left &= ~(1ull << i);
		}
		if (owner == RING_NOBODY)
			forward_fail(job, same, OP_STATUS_BUSY);
		else
			ask(forward, job, topology->members[owner].id, same);
	}
}

void
forward_note_kinds(struct forward *forward, struct forward_job *job, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct request *request = &forward->requests[i];
		uint64_t bit = 1ull << request->index;

		if (request->op == OP_FLUSH && !job->slot->target) /* of one member it is a write as any */
			job->flushes |= bit;
		else if (!op_is_write(request->op) && request->op != OP_FLUSH)
			job->reads |= bit;
	}
}

/* A job's first calls, or its statuses. */
static void
job_start(struct forward *forward, struct now now, struct forward_job *job)
{
	struct deferred *slot = job->slot;
	uint32_t count = parse(forward, now, job);

	forward_note_kinds(forward, job, count);
	forward->counters.asked += count;
	if (!forward->ring) {
		forward_fail(job, slot->ops, OP_STATUS_BUSY);
	} else if (slot->target != 0) {
		forward_call_add(forward, job, slot->target, slot->ops);
	} else {
		if (job->flushes != 0)
			forward_ask_all(forward, job, job->flushes);
		forward_ask_owners(forward, job, count, slot->ops & ~job->flushes);
	}
	forward_finish_if_done(forward, now, job);
}

/* Too many wait: every operation is answered BUSY. */
static void
refuse_slot(struct forward *forward, struct deferred *slot)
{
	struct forward_job job = { .slot = slot, .ask = slot->ask };

	if (slot->service == SERVICE_MEMCACHED)
		forward_memcached_open(&job);
	tell(&job, slot->ops, OP_STATUS_BUSY);
	go_home(forward, &job);
}

void
forward_slot(struct forward *forward, struct now now, struct deferred *slot)
{
	struct forward_job *job;

	if (slot->home == DEFERRED_HOME_CORE) {
		CHECK(slot->done);
		forward_ran(forward, now, slot);
		return;
	}
	job = job_take(forward, now, slot);
	if (!job) {
		refuse_slot(forward, slot);
	} else if (slot->service == SERVICE_MEMCACHED) {
		forward_memcached_open(job);
		forward_memcached_start(forward, now, job);
		forward_finish_if_done(forward, now, job);
	} else {
		job_start(forward, now, job);
	}
}

/* --- what calls come to ---------------------------------------------------------------------- */

/* To whom it concerns by the table as it is now. */
static void
ask_again(struct forward *forward, struct now now, struct forward_job *job, uint64_t ops)
{
	uint32_t count = parse(forward, now, job);

	forward->counters.retried += (uint64_t)__builtin_popcountll(ops);
	forward_ask_owners(forward, job, count, ops);
}

static void
wait(struct forward *forward, struct now now, struct forward_job *job, uint64_t member, uint64_t ops)
{
	struct forward_call *call = call_take(forward, job, member, ops);

	if (!call) {
		forward_fail(job, ops, OP_STATUS_BUSY);
		return;
	}
	call->state = FORWARD_WAITING;
	call->retry_ns = now.mono_ns + FORWARD_RETRY_NS;
	queue_add(&forward->waiting, call);
}

/* Not the owner, it says. If our table is another one by now, that is why; else time will tell. */
static void
on_stale(struct forward *forward, struct now now, const struct forward_call *call, uint64_t ops)
{
	struct forward_job *job = call->job;

	forward->counters.stale += (uint64_t)__builtin_popcountll(ops);
	if (call->pull)
		job->pull_status = OP_STATUS_CHANGED; /* its new owner is asked for all of it */
	else if (job->slot->target != 0 || !forward->ring)
		forward_fail(job, ops, OP_STATUS_STALE_EPOCH);
	else if (forward->ring->topology.epoch != call->epoch)
		ask_again(forward, now, job, ops);
	else
		wait(forward, now, job, call->member, ops);
}

/* Frames of lengths that a packet can have, a tag's room included, to the last byte. */
static bool
frames_fit(struct view body)
{
	struct reader in;

	if (body.len == 0)
		return true;
	in = reader_of(body.data, body.len);
	while (reader_left(&in) > 0) {
		struct view frame;
		uint16_t len = reader_le16(&in);

		frame = reader_view(&in, len);
		if (in.failed || len < NATIVE_HEADER_LEN || len > UDP_PAYLOAD_MAX)
			return false;
		if ((frame.data[3] & NATIVE_FLAG_AUTH) && len < NATIVE_HEADER_LEN + NATIVE_TAG_LEN)
			return false;
	}
	return true;
}

/* Response frames as they came, as far as there is room: what is left out, the client asks for again. */
static void
keep_frames(struct deferred *slot, struct view body)
{
	if (body.len > slot->reply_size - slot->reply_len)
		return;
	memcpy(slot->reply + slot->reply_len, body.data, body.len);
	slot->reply_len += body.len;
}

/* Bits of a record as operations of the call. */
static uint64_t
ops_of(const struct forward_call *call, uint64_t bits)
{
	return call->job->inner && !call->job->batch ? forward_memcached_ops(call, bits) : bits;
}

/* A flush is told at the end what it was; of the others there are results, or one status for all. */
static void
take_results(struct forward *forward, struct now now, struct forward_call *call, uint64_t ops,
    const struct call_record *record)
{
	struct forward_job *job = call->job;

	if (record->status != OP_STATUS_OK)
		forward_call_fail(call, ops, record->status);
	else if ((call->pull ? ops : ops & ~job->flushes) == 0)
		return;
	else if (job->ask)
		forward_fail(job, ops & ~job->flushes & ~forward_ask_results(forward, now, job, ops & ~job->flushes, record->body),
		    OP_STATUS_BUSY);
	else if (job->batch)
		forward_fail(job, ops & ~job->flushes & ~forward_memcached_batch(forward, now, job, ops & ~job->flushes, record->body),
		    OP_STATUS_BUSY);
	else if (job->inner) /* what was left out for want of packets is as good as not taken */
		forward_call_fail(call, ops & ~forward_memcached_results(forward, now, call, record->body), OP_STATUS_BUSY);
	else
		keep_frames(job->slot, record->body);
}

void
forward_answer(struct forward *forward, struct now now, uint64_t from, const struct call_record *record)
{
	struct forward_call *call = call_find(forward, record->call);
	uint64_t ops = call ? ops_of(call, record->ops) & call->ops : 0, stale;
	struct forward_job *job;
	bool batch;

	if (ops == 0 || call->member != from) {
		forward->counters.late++;
		return;
	}
	job = call->job;
	batch = job->ask || job->batch;
	if (record->body.len > 0 && ((record->kind == CALL_BATCH_ANSWER) != batch || (!batch && !frames_fit(record->body)))) {
		forward->counters.malformed++;
		return;
	}
	stale = record->status == OP_STATUS_STALE_EPOCH ? ops : ops_of(call, record->stale) & ops;
	forward->counters.answered += (uint64_t)__builtin_popcountll(ops & ~stale);
	take_results(forward, now, call, ops & ~stale, record);
	call->ops &= ~ops;
	if (stale != 0)
		on_stale(forward, now, call, stale);
	if (call->ops == 0)
		forward_call_end(forward, call);
	forward_finish_if_done(forward, now, job);
}

/* It will not answer: what only reads is asked again, of what writes nobody knows. */
static void
on_lost(struct forward *forward, struct now now, struct forward_call *call)
{
	struct forward_job *job = call->job;
	uint64_t reads = job->slot->target || call->pull ? 0 : call->ops & job->reads;

	if (call->pull)
		job->pull_status = OP_STATUS_CHANGED; /* as for a new owner */
	else
		forward_fail(job, call->ops & ~reads, OP_STATUS_OWNER_TIMEOUT);
	forward_call_end(forward, call);
	if (reads != 0 && forward->ring)
		ask_again(forward, now, job, reads);
	else
		forward_fail(job, reads, OP_STATUS_OWNER_TIMEOUT);
	forward_finish_if_done(forward, now, job);
}

void
forward_lost(struct forward *forward, struct now now, uint64_t tag)
{
	struct forward_call *call = call_find(forward, tag), *next;
	uint64_t member;

	if (!call)
		return;
	if (!call->job->inner || call->job->batch) {
		on_lost(forward, now, call);
		return;
	}
	/* The frames of one memcached job to one member share a message. */
	member = call->member;
	call = call->job->calls;
	for (; call; call = next) {
		next = call->after;
		if (call->member == member && call->state == FORWARD_ASKED)
			on_lost(forward, now, call);
	}
}

void
forward_gone(struct forward *forward, struct now now, uint64_t member)
{
	for (uint32_t i = 0; i < FORWARD_CALLS_MAX; i++)
		if (forward->calls[i].state == FORWARD_ASKED && forward->calls[i].member == member)
			on_lost(forward, now, &forward->calls[i]);
}

void
forward_message(struct forward *forward, struct now now, uint64_t from, struct view message)
{
	struct reader in = reader_of(message.data, message.len);
	struct call_record record;

	while (call_record_next(&in, &record)) {
		if (record.kind == CALL_ASK)
			forward_run(forward, now, from, &record);
		else if (record.kind == CALL_BATCH)
			forward_ask_run(forward, now, from, &record);
		else
			forward_answer(forward, now, from, &record);
	}
	forward->counters.malformed += in.failed;
}

struct deferred *
forward_mail(struct forward *forward)
{
	return forward_line_take(&forward->mail);
}

/* --- time ------------------------------------------------------------------------------------ */

static enum op_status
status_of(const struct forward_call *call)
{
	return call->state == FORWARD_ASKED ? OP_STATUS_OWNER_TIMEOUT :
	    call->state == FORWARD_WAITING ? OP_STATUS_STALE_EPOCH : OP_STATUS_BUSY;
}

static void
give_up(struct forward *forward, struct forward_job *job)
{
	while (job->calls) {
		forward_call_fail(job->calls, job->calls->ops, status_of(job->calls));
		forward_call_end(forward, job->calls);
	}
	if (job->inner)
		forward_memcached_cut(job);
	if (job->ask)
		forward_ask_cut(job);
	job_finish(forward, job);
}

static void
retry(struct forward *forward, struct now now)
{
	struct forward_call *call = forward_queue_take(&forward->waiting);
	struct forward_job *job = call->job;
	uint64_t ops = call->ops;

	call->state = FORWARD_ASKED; /* in no queue: it may end */
	if (!job) {
		forward_call_release(forward, call);
		return;
	}
	forward_call_end(forward, call);
	ask_again(forward, now, job, ops);
	forward_finish_if_done(forward, now, job);
}

void
forward_ring(struct forward *forward, struct now now, const struct ring_snapshot *ring)
{
	const struct forward_call *last = forward->waiting.last;

	forward->ring = ring;
	forward->self = ring_find_id(&ring->topology, forward->config.self);
	while (last && forward->waiting.first) {
		bool end = forward->waiting.first == last;

		retry(forward, now);
		if (end)
			break;
	}
}

void
forward_tick(struct forward *forward, struct now now)
{
	while (forward->first_job && forward->first_job->deadline_ns <= now.mono_ns)
		give_up(forward, forward->first_job);
	while (forward->waiting.first &&
	    (!forward->waiting.first->job || forward->waiting.first->retry_ns <= now.mono_ns))
		retry(forward, now);
}

uint64_t
forward_deadline(const struct forward *forward)
{
	uint64_t deadline = forward->first_job ? forward->first_job->deadline_ns : UINT64_MAX;

	if (forward->waiting.first && forward->waiting.first->retry_ns < deadline)
		deadline = forward->waiting.first->retry_ns;
	if ((forward->home.first || forward->first_ask || forward->refusal_count > 0) && forward->again_ns < deadline)
		deadline = forward->again_ns;
	return deadline;
}

/* --- life ------------------------------------------------------------------------------------ */

bool
forward_init(struct forward *forward, const struct forward_config *config)
{
	*forward = (struct forward){ .config = *config, .self = RING_NOBODY };
	CHECK(config->worker_count >= 1 && config->worker_count <= WORKER_MAX);
	forward->jobs = calloc(FORWARD_JOBS_MAX, sizeof *forward->jobs);
	forward->calls = calloc(FORWARD_CALLS_MAX, sizeof *forward->calls);
	forward->refusals = calloc(FORWARD_REFUSALS_MAX, sizeof *forward->refusals);
	forward->requests = calloc(FRAME_OPS_MAX, sizeof *forward->requests);
	if (!forward_slots_init(forward) || !forward_memcached_init(forward) || !forward_ask_init(forward) || !forward->jobs || !forward->calls || !forward->refusals ||
	    !forward->requests) {
		forward_deinit(forward);
		return false;
	}
	for (uint32_t i = FORWARD_JOBS_MAX; i-- > 0;) {
		forward->jobs[i].after = forward->free_jobs;
		forward->free_jobs = &forward->jobs[i];
	}
	for (uint32_t i = FORWARD_CALLS_MAX; i-- > 0;) {
		forward->calls[i].id = i;
		forward_call_release(forward, &forward->calls[i]);
	}
	return true;
}

void
forward_deinit(struct forward *forward)
{
	forward_slots_deinit(forward);
	forward_memcached_deinit(forward);
	forward_ask_deinit(forward);
	free(forward->jobs);
	free(forward->calls);
	free(forward->refusals);
	free(forward->requests);
}

static void
check_job(const struct forward_job *job)
{
	uint64_t ops = 0;

	CHECK(job->slot && job->calls);
	for (const struct forward_call *call = job->calls; call; call = call->after) {
		CHECK(call->job == job && call->ops != 0 && call->state != FORWARD_FREE);
		if (call->pull)
			continue;
		CHECK((ops & call->ops & ~job->flushes) == 0);
		CHECK((call->ops & job->told & ~job->flushes) == 0);
		ops |= call->ops;
	}
}

void
forward_check(const struct forward *forward)
{
	uint64_t deadline_ns = 0;

	for (const struct forward_job *job = forward->first_job; job; job = job->after) {
		CHECK(job->deadline_ns >= deadline_ns);
		deadline_ns = job->deadline_ns;
		check_job(job);
	}
}
