#include "base/check.h"
#include "ring/slot.h"
#include "serve/ask.h"
#include "serve/list.h"
#include "serve/owner.h"
#include "serve/read.h"
#include "serve/route.h"
#include "serve/state.h"
#include "serve/stats.h"

/*
 * The burst is taken in batches of LOOKUP_BATCH_MAX requests: one bulk lookup for
 * the keys a batch reads, then its requests in order. A read that follows a write
 * of the same key finds it: in a later batch by itself, in the same batch by
 * looking up again (`written` names the digests in doubt), and when the write was
 * mailed to another worker by being mailed after it (`mailed`).
 */
struct run {
	struct serve *serve;
	struct burst *burst;
	const struct now *now;
	struct frame *frame;  /* of the request at hand */
	uint32_t next;        /* index of the frame after it */
	uint32_t frame_end;   /* behind its last request */
	uint32_t from;        /* its requests before this one have been answered by another worker */
	uint64_t written;     /* digests written in this batch, one bit each of 64 */
	uint32_t barred;      /* requests before this one are not run: their guard has failed */
	uint64_t mailed;      /* digests of this frame's mailed writes, likewise */
	uint32_t targets;     /* bit w: mails[w] is set for this frame */
	struct deferred *mails[WORKER_MAX];
	struct read_tally tally;
	uint64_t mis_steered, mail_run;
};

struct batch {
	struct lookup lookups[LOOKUP_BATCH_MAX];
	const struct item *found[LOOKUP_BATCH_MAX]; /* by lookup */
	uint8_t places[LOOKUP_BATCH_MAX];           /* lookup -> request of the batch */
	const struct item *items[LOOKUP_BATCH_MAX]; /* by request; for writes a hint at most */
};

static inline uint64_t
bit_of(uint64_t digest)
{
	return 1ull << (digest & 63);
}

/* Digests that a write puts in doubt: its key's, or any, when it is an upload's step and names none. */
static inline uint64_t
doubts(const struct request *request)
{
	return op_has_key(request->op) ? bit_of(request->digest) : UINT64_MAX;
}

/*
 * Slot, shard and digest of the request's key; whether it is to be looked up. A write
 * run here is looked up for the sake of its cache lines: it then finds table and item near.
 */
static inline bool
prepare(struct run *run, struct request *request)
{
	uint32_t worker = run->serve->config.worker, owner;

	if (!op_has_key(request->op))
		return false;
	if (!(request->flags & (REQUEST_TRUST_SLOT | REQUEST_SLOT_KNOWN)))
		request->slot = slot_of_key(request->key);
	request->digest = store_digest(run->serve->config.store, request->key);
	owner = serve_owner(run->serve, request->slot);
	run->mis_steered += owner != worker;
	if (request->op == OP_GET || request->op == OP_META)
		return true;
	if (owner == worker && (request->flags & REQUEST_ONCE))
		once_prefetch(run->serve->once, request->client, request->sequence);
	return owner == worker;
}

/*
 * The lookup has brought in an item's head; its value is copied when the whole burst
 * has run. Two lines more hold most values, and the hardware sees long copies coming.
 * Measured with 64-byte values of a million keys: 440 cycles a GET without, 300 with.
 */
static inline void
prefetch_value(const struct item *item)
{
	const uint8_t *head = (const uint8_t *)item;
	size_t size = item_size(item->key_len, item->value_len);

	__builtin_prefetch(head + 64);
	__builtin_prefetch(head + (size < 192 ? size - 1 : 128));
}

static ON_WORKER void
look_up(struct run *run, struct request *requests, uint32_t n, struct batch *batch)
{
	uint64_t expired = 0, gets = 0;
	uint32_t wanted = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct request *request = &requests[i];

		if (!prepare(run, request))
			continue;
		gets |= (uint64_t)(request->op == OP_GET) << wanted;
		batch->places[wanted] = (uint8_t)i;
		batch->lookups[wanted++] = (struct lookup){ request->key, request->digest,
			serve_owner(run->serve, request->slot) };
	}
	if (wanted == 0)
		return;
	store_find(run->serve->config.store, run->now, batch->lookups, wanted, batch->found, &expired);
	for (uint32_t i = 0; i < wanted; i++) {
		const struct item *item = batch->found[i];

		batch->items[batch->places[i]] = item;
		if (item)
			prefetch_value(item);
	}
	run->tally.expired += (uint64_t)__builtin_popcountll(expired & gets);
}

static ON_WORKER const struct item *
find_one(struct run *run, const struct request *request)
{
	struct lookup lookup = { request->key, request->digest, serve_owner(run->serve, request->slot) };
	const struct item *item;
	uint64_t expired = 0;

	store_find(run->serve->config.store, run->now, &lookup, 1, &item, &expired);
	return item;
}

/* Copies the frame for a worker, once, and names the operation to run there. False: no slot left. */
static bool
mail(struct run *run, struct request *request, uint32_t to)
{
	if (!(run->targets & 1u << to)) {
		struct deferred *slot = defer_take(&run->serve->defer, run->frame->datagram);

		if (!slot)
			return false;
		run->targets |= 1u << to;
		run->mails[to] = slot;
		outbox_add(&run->burst->outbox, slot, to);
	}
	run->mails[to]->ops |= 1ull << request->index;
	request->flags |= REQUEST_FOREIGN;
	serve_count(run->serve, COUNTER_MAIL_SENT);
	return true;
}

/* memcached answers in order, so the whole rest of the frame moves on to the owner. */
static bool
travel(struct run *run, uint32_t place, uint32_t to)
{
	struct datagram *datagram = run->frame->datagram;

	if (!datagram->deferred)
		datagram->deferred = defer_take(&run->serve->defer, datagram);
	if (!datagram->deferred)
		return false;
	run->frame->travels = true;
	run->frame->travel_to = (uint8_t)to;
	run->frame->travel_from = (uint16_t)(place - run->frame->first);
	serve_count(run->serve, COUNTER_MAIL_SENT);
	return true;
}

/* An operation that belongs to another worker. */
static void
hand_over(struct run *run, struct request *request, uint32_t place, struct response *response)
{
	uint32_t to = serve_owner(run->serve, request->slot);
	bool native = run->frame->service == SERVICE_NATIVE;

	if (run->frame->turn || run->frame->service == SERVICE_ASK) { /* others were asked before, as far as there was room */
		respond(response, OP_STATUS_BUSY);
		return;
	}
	CHECK(!native || !run->frame->datagram->deferred); /* its home knew the owner */
	if (native ? mail(run, request, to) : travel(run, place, to))
		run->mailed |= doubts(request);
	else
		respond(response, OP_STATUS_BUSY);
}

static void
bar(struct run *run, const struct request *guard, uint32_t place)
{
	uint32_t left = run->frame_end - place - 1;

	run->barred = place + 1 + (guard->length < left ? guard->length : left);
}

/* A request whose guard has failed. */
static ON_WORKER void
skip(struct run *run, const struct request *request, struct response *response)
{
	if (request->op == OP_ANSWERED)
		return;
	if (op_is_write(request->op) && (request->options & REQUEST_ITEM))
		shard_give(run->serve->shard, request->item);
	respond(response, OP_STATUS_CHANGED);
}

static ON_WORKER void
run_write(struct run *run, struct request *request, uint32_t place, struct response *response)
{
	struct serve *serve = run->serve;

	if ((request->flags & REQUEST_TRUST_SLOT) && op_has_key(request->op) &&
	    slot_of_key(request->key) != request->slot) {
		respond(response, OP_STATUS_WRONG_SLOT);
	} else if (serve_owner(serve, request->slot) != serve->config.worker) {
		hand_over(run, request, place, response);
	} else {
		run->written |= doubts(request);
		owner_execute(serve, run->now, run->frame, request, response);
		if (request->op == OP_GUARD && response->status != OP_STATUS_OK)
			bar(run, request, place);
	}
}

/* A slot from the wire was trusted; before saying that there is no such key, look where it belongs. */
static ON_WORKER const struct item *
find_by_key(struct run *run, struct request *request)
{
	uint16_t slot = slot_of_key(request->key);

	request->flags &= (uint16_t)~REQUEST_TRUST_SLOT;
	if (slot == request->slot)
		return NULL;
	request->slot = slot;
	return find_one(run, request);
}

/* The rare turns of a read. False: it was mailed, or is answered. */
static ON_WORKER bool
read_again(struct run *run, struct request *request, const struct item **item, struct response *response)
{
	if ((run->mailed & bit_of(request->digest)) && run->frame->service == SERVICE_NATIVE) {
		uint32_t to = serve_owner(run->serve, request->slot);

		if (to != run->serve->config.worker && (run->targets & 1u << to))
			return !mail(run, request, to);
	}
	if (run->written & bit_of(request->digest))
		*item = find_one(run, request);
	if (!*item && (request->flags & REQUEST_TRUST_SLOT)) {
		*item = find_by_key(run, request);
		if (!*item && route_is_away(run->serve, request->slot)) {
			respond(response, OP_STATUS_WRONG_SLOT);
			return false;
		}
	}
	return true;
}

static ON_WORKER void
run_read(struct run *run, struct request *request, const struct item *item, struct response *response)
{
	if (__builtin_expect(!item || (run->written | run->mailed) != 0, 0) &&
	    !read_again(run, request, &item, response))
		return;
	if (request->op == OP_GET && !(request->flags & (REQUEST_RANGE | REQUEST_NO_VALUE | REQUEST_STATE)))
		read_get(&run->tally, item, response);
	else
		read_other(&run->tally, request, item, response);
}

static ON_WORKER void
run_shard_job(struct run *run, struct request *request, uint32_t place, struct response *response)
{
	if (serve_owner(run->serve, request->slot) != run->serve->config.worker) {
		if (run->frame->datagram->deferred)
			respond(response, OP_STATUS_WRONG_SLOT); /* another node does not know our workers well */
		else
			hand_over(run, request, place, response);
	} else {
		run->written = UINT64_MAX; /* whatever this batch has looked up may be gone */
		list_execute(run->serve, run->now, request, response);
	}
}

static ON_WORKER void
run_other(struct run *run, struct request *request, uint32_t place, struct response *response)
{
	switch (request->op) {
	case OP_NONE:
		respond(response, request->local);
		break;
	case OP_PING:
		respond(response, OP_STATUS_OK);
		break;
	case OP_FLUSH:
		serve_count(run->serve, COUNTER_CMD_FLUSH);
		store_flush(run->serve->config.store, run->now, request->expiry_ms);
		run->written = UINT64_MAX; /* whatever this batch has looked up may be flushed */
		respond(response, request->local); /* 0, or what it came to on other nodes */
		break;
	case OP_ANSWERED:
		break;
	case OP_STATS:
		stats_execute(run->serve, run->now, request, response);
		break;
	case OP_TOPOLOGY:
		stats_topology(run->serve, request, response);
		break;
	case OP_KEYS:
	case OP_EVICT:
	case OP_EXPIRE:
		run_shard_job(run, request, place, response);
		break;
	default:
		if (op_is_write(request->op))
			run_write(run, request, place, response);
		else
			respond(response, OP_STATUS_UNKNOWN_OP);
		break;
	}
}

static void
next_frame(struct run *run, uint32_t place)
{
	struct deferred *slot;

	do
		run->frame = &run->burst->frames[run->next++];
	while (place >= run->frame->first + run->frame->count);
	slot = run->frame->datagram->deferred;
	run->frame_end = run->frame->first + run->frame->count;
	run->from = run->frame->first + (slot ? slot->first_op : 0);
	run->mailed = 0;
	run->targets = 0;
}

static ON_WORKER void
run_batch(struct run *run, uint32_t first, uint32_t n)
{
	struct request *requests = run->burst->requests + first;
	struct response *responses = run->burst->responses + first;
	struct batch batch;

	run->written = 0;
	look_up(run, requests, n, &batch);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t place = first + i;

		if (place >= run->frame_end)
			next_frame(run, place);
		if (place < run->from || run->frame->travels)
			continue;
		run->mail_run += run->frame->datagram->deferred != NULL;
		if (__builtin_expect(place < run->barred, 0)) {
			skip(run, &requests[i], &responses[i]);
			continue;
		}
		if (requests[i].op == OP_GET || requests[i].op == OP_META)
			run_read(run, &requests[i], batch.items[i], &responses[i]);
		else
			run_other(run, &requests[i], place, &responses[i]);
	}
}

static void
add_counters(const struct run *run)
{
	struct counters *counters = run->serve->config.counters;
	const struct read_tally *tally = &run->tally;

	if (tally->gets > 0) {
		counter_add(counters, COUNTER_CMD_GET, tally->gets);
		counter_add(counters, COUNTER_GET_HITS, tally->hits);
		counter_add(counters, COUNTER_GET_MISSES, tally->gets - tally->hits);
		counter_add(counters, COUNTER_GET_EXPIRED, tally->expired);
	}
	if (run->mis_steered > 0)
		counter_add(counters, COUNTER_MIS_STEERED, run->mis_steered);
	if (run->mail_run > 0)
		counter_add(counters, COUNTER_MAIL_RUN, run->mail_run);
}

static ON_WORKER void
run_all(struct serve *serve, struct burst *burst)
{
	struct run run = { .serve = serve, .burst = burst, .now = &burst->now };

	for (uint32_t first = 0; first < burst->request_count; first += LOOKUP_BATCH_MAX) {
		uint32_t left = burst->request_count - first;

		run_batch(&run, first, left < LOOKUP_BATCH_MAX ? left : LOOKUP_BATCH_MAX);
	}
	add_counters(&run);
}

void
serve_run(struct serve *serve, struct burst *burst)
{
	serve->scratch_used = 0;
	if (serve->config.ring)
		route_burst(serve, burst);
	serve->list_left = LIST_POSITIONS_BURST;
	if (burst->request_count > 0) /* slots that come home answered have none */
		run_all(serve, burst);
	/* Behind the burst's own requests: a stream's flush may not overtake the passes before it. */
	if (serve->asks.local.first || serve->asks.foreign.first)
		asks_start(serve, burst);
}
