#include "serve/ask.h"

#include "base/check.h"
#include "ring/slot.h"
#include "serve/body.h"
#include "serve/route.h"
#include "serve/state.h"

/* --- who is asked --------------------------------------------------------------------------- */

enum { PLACE_CORE = WORKER_MAX, PLACE_HERE /* any worker, so this one */, PLACE_NOWHERE /* no topology yet */ };

struct plan {
	uint64_t places[WORKER_MAX]; /* requests by worker */
	uint64_t core;
	uint64_t nowhere;
	uint32_t workers; /* bit w: places[w] is not 0 */
};

static uint32_t
place_of(const struct serve *serve, struct request *request)
{
	bool keyed = op_has_key(request->op), cluster = serve->config.ring != NULL;

	if (request->op == OP_FLUSH)
		return !cluster ? PLACE_HERE : serve->ring ? PLACE_CORE : PLACE_NOWHERE;
	if (!keyed && !op_is_write(request->op) && !op_is_shard_job(request->op))
		return PLACE_HERE;
	if (keyed && !(request->flags & REQUEST_SLOT_KNOWN)) {
		request->slot = slot_of_key(request->key);
		request->flags |= REQUEST_SLOT_KNOWN;
	}
	if (cluster && !op_is_shard_job(request->op)) {
		if (!serve->ring)
			return PLACE_NOWHERE;
		if (route_is_away(serve, request->slot))
			return PLACE_CORE;
	}
	return serve_owner(serve, request->slot);
}

/* Reads of this node's shards, which every worker can do. */
static bool
is_read(const struct request *request)
{
	return request->op == OP_GET || request->op == OP_META;
}

static void
plan_add(const struct serve *serve, struct plan *plan, uint32_t i, uint32_t place, bool all)
{
	uint64_t bit = 1ull << i;

	if (place == PLACE_CORE) {
		plan->core |= bit;
	} else if (place == PLACE_NOWHERE) {
		plan->nowhere |= bit;
	} else if (place < WORKER_MAX && (all || place != serve->config.worker)) {
		plan->places[place] |= bit;
		plan->workers |= 1u << place;
	}
}

/* Reads go where others of their pass are run: a write behind one may not overtake it. */
static void
add_reads(const struct serve *serve, struct plan *plan, struct request *requests, uint32_t count, uint64_t ops)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t place;

		if (!(ops >> i & 1) || !is_read(&requests[i]))
			continue;
		place = place_of(serve, &requests[i]);
		if (place < WORKER_MAX && (plan->workers >> place & 1))
			plan->places[place] |= 1ull << i;
	}
}

/* Where the requests `ops` are to be run, if not here; with `all`, also those of this worker's shard. False: all here. */
static bool
plan_make(const struct serve *serve, struct request *requests, uint32_t count, uint64_t ops, bool all, struct plan *plan)
{
	uint32_t guarded = 0, place = PLACE_HERE;
	bool reads = false;

	*plan = (struct plan){ 0 };
	for (uint32_t i = 0; i < count; i++) {
		struct request *request = &requests[i];

		if (!(ops >> i & 1))
			continue;
		if (i >= guarded) {
			if (is_read(request) && !serve->config.ring && !all) {
				reads = true;
				continue;
			}
			place = place_of(serve, request);
			reads |= is_read(request);
			if (is_read(request) && !all && place < WORKER_MAX)
				continue;
		}
		if (request->op == OP_GUARD && i + 1 + request->length > guarded)
			guarded = i + 1 + request->length;
		plan_add(serve, plan, i, place, all);
	}
	if (reads && plan->workers != 0)
		add_reads(serve, plan, requests, count, ops);
	return plan->workers != 0 || plan->core != 0 || plan->nowhere != 0;
}

static uint64_t
first_bits(uint32_t count)
{
	return count == 64 ? UINT64_MAX : (1ull << count) - 1;
}

/* --- rounds ---------------------------------------------------------------------------------- */

static void
line_add(struct ask_line *line, struct ask *ask)
{
	ask->next = NULL;
	if (line->last)
		line->last->next = ask;
	else
		line->first = ask;
	line->last = ask;
}

static struct ask *
line_take(struct ask_line *line)
{
	struct ask *ask = line->first;

	line->first = ask->next;
	if (!line->first)
		line->last = NULL;
	return ask;
}

static void
mail(struct serve *serve, struct burst *burst, struct ask *ask, uint64_t ops, uint32_t to)
{
	struct datagram datagram = { .payload = ask->state.bytes, .service = SERVICE_ASK };
	struct deferred *slot = defer_take(&serve->defer, &datagram);

	CHECK(slot);
	slot->ask = ask;
	slot->ops = ops;
	ask->out++;
	ask->ops |= ops;
	for (uint64_t left = ops; left != 0; left &= left - 1)
		respond(&ask->responses[__builtin_ctzll(left)], OP_STATUS_BUSY); /* unless somebody says something else */
	counter_add(serve->config.counters, to == MAIL_CORE ? COUNTER_FORWARD_SENT : COUNTER_MAIL_SENT,
	    (uint64_t)__builtin_popcountll(ops));
	outbox_add(&burst->outbox, slot, to);
}

static void
answer(struct ask *ask, uint64_t ops, enum op_status status)
{
	ask->answered |= ops;
	for (; ops != 0; ops &= ops - 1)
		respond(&ask->responses[__builtin_ctzll(ops)], status);
}

/* A slot for each place. False: not as many are free. */
static bool
mail_plan(struct serve *serve, struct burst *burst, struct ask *ask, const struct plan *plan)
{
	uint32_t slots = (uint32_t)__builtin_popcount(plan->workers) + (plan->core != 0);

	if (DEFERRED_MAX - serve->defer.out < slots || (plan->core != 0 && serve->defer.out >= DEFERRED_FOREIGN_MAX))
		return false;
	answer(ask, plan->nowhere, OP_STATUS_BUSY);
	for (uint32_t w = 0; w < serve->config.worker_count; w++)
		if (plan->places[w] != 0)
			mail(serve, burst, ask, plan->places[w], w);
	if (plan->core != 0)
		mail(serve, burst, ask, plan->core, MAIL_CORE);
	return true;
}

/* What a flush's stage needs: first all before it, then itself. The bits to plan for; 0: no flush is left. */
static uint64_t
stage_of(const struct ask *ask, bool *flush)
{
	uint64_t left = first_bits(ask->count) & ~ask->answered, before = 0;

	*flush = false;
	for (uint32_t i = 0; i < ask->count; i++) {
		if (!(left >> i & 1))
			continue;
		if (ask->requests[i].op == OP_FLUSH) {
			*flush = before == 0;
			return *flush ? 1ull << i : before;
		}
		if (op_has_key(ask->requests[i].op) || op_is_write(ask->requests[i].op) || op_is_shard_job(ask->requests[i].op))
			before |= 1ull << i;
	}
	return 0;
}

/* A flush is run here when the others have done so. */
static void
flush(struct serve *serve, const struct now *now, struct ask *ask, uint64_t bit, enum op_status status)
{
	serve_count(serve, COUNTER_CMD_FLUSH);
	store_flush(serve->config.store, now, ask->requests[__builtin_ctzll(bit)].expiry_ms);
	answer(ask, bit, status);
}

/* What is to be asked for next; flushes of a node by itself are run on the way. False: nothing. */
static bool
plan_next(struct serve *serve, const struct now *now, struct ask *ask, struct plan *plan)
{
	uint64_t stage;
	bool alone;

	while ((stage = stage_of(ask, &alone)) != 0) {
		if (plan_make(serve, ask->requests, ask->count, stage, true, plan))
			return true;
		CHECK(alone); /* of anything else somebody is asked */
		flush(serve, now, ask, stage, OP_STATUS_OK);
	}
	return plan_make(serve, ask->requests, ask->count, first_bits(ask->count) & ~ask->answered, false, plan);
}

/* Nothing is left to be asked for, or nobody wants to know. */
static ON_WORKER void
finish(struct serve *serve, struct burst *burst, struct ask *ask)
{
	if (ask->abandoned) {
		ask_release(serve, ask);
		return;
	}
	CHECK(burst->resumed_count < sizeof burst->resumed / sizeof *burst->resumed);
	ask->ready = true;
	burst->resumed[burst->resumed_count++] = ask->id;
}

/* Who wants one of the few slots for other nodes does not hold up the rest. */
static struct ask_line *
line_of(struct serve *serve, const struct plan *plan)
{
	return plan->core != 0 ? &serve->asks.foreign : &serve->asks.local;
}

static ON_WORKER void
start_line(struct serve *serve, struct burst *burst, struct ask_line *line)
{
	while (line->first && burst->resumed_count < BURST_MAX) {
		struct ask *ask = line->first;
		struct plan plan;
		bool left = !ask->abandoned && plan_next(serve, &burst->now, ask, &plan);

		if (left && !mail_plan(serve, burst, ask, &plan))
			return;
		line_take(line);
		if (!left)
			finish(serve, burst, ask);
		else if (ask->out == 0) /* the ring is gone: on with what else there is */
			line_add(line, ask);
	}
}

void
asks_start(struct serve *serve, struct burst *burst)
{
	start_line(serve, burst, &serve->asks.local);
	start_line(serve, burst, &serve->asks.foreign);
}

/* --- at home ---------------------------------------------------------------------------------- */

static struct view
moved(struct view view, struct view from, const uint8_t *to)
{
	if (view.len == 0 || view.data < from.data || view.data >= from.data + from.len)
		return view;
	return view_of(to + (view.data - from.data), view.len);
}

static struct ask *
take(const struct turn *turn, struct view input, const struct request *requests, uint32_t count)
{
	uint32_t size = (uint32_t)sizeof(struct ask) + count * (uint32_t)(sizeof(struct request) + sizeof(struct response));
	struct ask *ask = blocks_take(turn->blocks, size);

	if (!ask)
		return NULL;
	*ask = (struct ask){ .id = turn->id, .count = count, .size = size, .service = turn->service,
		.bytes_len = input.len, .requests = (struct request *)(void *)(ask + 1) };
	ask->responses = (struct response *)(void *)(ask->requests + count);
	ask->bytes = input.len > 0 && input.len <= BLOCK_MAX ? blocks_take(turn->blocks, input.len) : NULL;
	if (input.len > 0 && !ask->bytes) {
		blocks_give(turn->blocks, ask, size);
		return NULL;
	}
	if (input.len > 0)
		memcpy(ask->bytes, input.data, input.len);
	memset(ask->responses, 0, count * sizeof *ask->responses);
	for (uint32_t i = 0; i < count; i++) {
		ask->requests[i] = requests[i];
		ask->requests[i].index = (uint8_t)i;
		ask->requests[i].key = moved(requests[i].key, input, ask->bytes);
		ask->requests[i].value = moved(requests[i].value, input, ask->bytes);
	}
	return ask;
}

/* Nobody can be asked: what is not ours is answered here. Reads of this node's shards are run, though they were to be asked for. */
static void
refuse(struct burst *burst, const struct plan *plan, uint32_t count)
{
	uint64_t elsewhere = plan->core | plan->nowhere, here = 0;

	for (uint32_t w = 0; w < WORKER_MAX; w++)
		here |= plan->places[w];
	for (uint32_t i = 0; i < count; i++) {
		struct request *request = &burst->requests[burst->request_count + i];

		if (!(elsewhere >> i & 1) && !((here >> i & 1) && !is_read(request)))
			continue;
		request->op = OP_ANSWERED;
		respond(&burst->responses[burst->request_count + i], OP_STATUS_BUSY);
	}
}

struct ask *
ask_pass(struct serve *serve, struct burst *burst, const struct turn *turn, struct view input, uint32_t count)
{
	struct request *requests = burst->requests + burst->request_count;
	struct plan plan;
	struct ask *ask;

	if (serve->config.worker_count == 1 && !serve->config.ring)
		return NULL;
	if (!plan_make(serve, requests, count, first_bits(count), false, &plan))
		return NULL;
	ask = plan.core != 0 || plan.workers != 0 ? take(turn, input, requests, count) : NULL;
	if (!ask) {
		refuse(burst, &plan, count);
		return NULL;
	}
	for (uint32_t i = 0; i < count; i++) /* the parser's own, and what serve has answered in its place */
		if (requests[i].op == OP_ANSWERED) {
			ask->answered |= 1ull << i;
			ask->responses[i] = burst->responses[burst->request_count + i];
		}
	line_add(line_of(serve, &plan), ask);
	return ask;
}

void
ask_home(struct serve *serve, struct burst *burst, struct deferred *slot)
{
	struct ask *ask = slot->ask;
	struct plan plan;

	CHECK(ask->out > 0 && slot->done);
	slot->next_free = ask->slots;
	ask->slots = slot;
	if (--ask->out > 0)
		return;
	for (uint64_t left = ask->ops; left != 0; left &= left - 1) {
		uint32_t i = (uint32_t)__builtin_ctzll(left);

		if (ask->requests[i].op == OP_FLUSH)
			flush(serve, &burst->now, ask, left & -left, ask->responses[i].status);
	}
	ask->answered |= ask->ops;
	ask->ops = 0;
	if (ask->abandoned || !plan_next(serve, &burst->now, ask, &plan))
		finish(serve, burst, ask);
	else
		line_add(line_of(serve, &plan), ask);
}

void
ask_restore(struct serve *serve, struct burst *burst, const struct ask *ask)
{
	struct request *requests = burst->requests + burst->request_count;
	struct response *responses = burst->responses + burst->request_count;

	memcpy(requests, ask->requests, ask->count * sizeof *requests);
	for (uint64_t left = ask->answered; left != 0; left &= left - 1) {
		uint32_t i = (uint32_t)__builtin_ctzll(left);

		responses[i] = ask->responses[i];
		if (responses[i].status == OP_STATUS_OWNER_DEAD)
			route_miss_dead(serve, &requests[i], &responses[i]);
		requests[i].op = OP_ANSWERED;
	}
}

void
ask_release(struct serve *serve, struct ask *ask)
{
	struct blocks *blocks = serve->streams.blocks;

	CHECK(ask->out == 0);
	for (uint32_t i = 0; i < ask->count; i++)
		if (ask->responses[i].pins)
			outq_unpin(ask->responses[i].pins);
	while (ask->slots) {
		struct deferred *slot = ask->slots;

		ask->slots = slot->next_free;
		slot->next_free = NULL;
		defer_give(&serve->defer, slot);
	}
	if (ask->abandoned)
		stream_leave(serve, ask->service, &ask->state, ask->body);
	if (ask->bytes)
		blocks_give(blocks, ask->bytes, ask->bytes_len);
	blocks_give(blocks, ask, ask->size);
}

/* --- where asked ------------------------------------------------------------------------------- */

void
ask_parse(struct burst *burst, struct frame *frame)
{
	const struct deferred *slot = frame->datagram->deferred;
	struct request *requests = burst->requests + frame->first;

	frame->count = 0;
	for (uint64_t left = slot->ops; left != 0; left &= left - 1)
		requests[frame->count++] = slot->ask->requests[__builtin_ctzll(left)];
}

/* Only a value that stands in the item it was found in is kept by the item's pins. */
static bool
stands_in_item(const struct response *response)
{
	const struct item *item;

	if (!response->pins)
		return false;
	item = (const struct item *)(const void *)((const uint8_t *)response->pins - offsetof(struct item, pins));
	return response->value.data >= item->bytes && response->value.data < item->bytes + item->key_len + item->value_len;
}

/* The response outlives the burst: its value is pinned, or copied. */
static void
keep(struct deferred *slot, struct response *kept, const struct response *response, struct view key)
{
	*kept = *response;
	kept->key = key;
	kept->pins = NULL;
	if (response->value.len == 0) {
		kept->value = view_of(NULL, 0);
	} else if (stands_in_item(response) && outq_pin(response->pins)) {
		kept->pins = response->pins;
	} else if (response->value.len <= slot->reply_size - slot->reply_len) {
		memcpy(slot->reply + slot->reply_len, response->value.data, response->value.len);
		kept->value.data = slot->reply + slot->reply_len;
		slot->reply_len += response->value.len;
	} else {
		respond(kept, OP_STATUS_BUSY);
	}
}

void
ask_answer(struct burst *burst, const struct frame *frame)
{
	struct deferred *slot = frame->datagram->deferred;
	const struct request *requests = burst->requests + frame->first;
	const struct response *responses = burst->responses + frame->first;

	for (uint32_t i = 0; i < frame->count; i++) {
		uint32_t at = requests[i].index;

		if (!(requests[i].flags & REQUEST_FOREIGN))
			keep(slot, &slot->ask->responses[at], &responses[i], slot->ask->requests[at].key);
	}
}
