#include "serve/route.h"

#include "proto/answers.h"
#include "ring/slot.h"

struct route {
	struct serve *serve;
	struct burst *burst;
	const struct serve_ring *ring; /* NULL: no topology yet */
	uint16_t self;
};

/* A position that no slot's owner has, when this node has none. */
static uint16_t
self_of(const struct serve_ring *ring)
{
	return !ring || ring->self == RING_NOBODY ? RING_NOBODY - 1 : ring->self;
}

bool
route_is_away(const struct serve *serve, uint16_t slot)
{
	return serve->ring && ring_owner(&serve->ring->snapshot.table, slot, 0) != self_of(serve->ring);
}

/* Operations that only the owner of a slot may run, or that concern all. */
static inline bool
is_routed(const struct request *request)
{
	return op_has_key(request->op) || op_is_write(request->op) || request->op == OP_FLUSH;
}

static inline bool
is_away(const struct route *route, uint16_t slot)
{
	return !route->ring || ring_owner(&route->ring->snapshot.table, slot, 0) != route->self;
}

/* The key's own slot decides. A write that names another one is refused here, as its owner would. */
static bool
is_away_by_key(const struct route *route, struct request *request)
{
	uint16_t slot = slot_of_key(request->key);

	if (slot == request->slot)
		return true;
	if (op_is_write(request->op)) {
		request->op = OP_NONE;
		request->local = OP_STATUS_WRONG_SLOT;
		return false;
	}
	request->slot = slot;
	request->flags &= (uint16_t)~REQUEST_TRUST_SLOT;
	request->flags |= REQUEST_SLOT_KNOWN;
	return is_away(route, slot);
}

static bool
belongs_elsewhere(const struct route *route, struct request *request)
{
	if (request->op == OP_FLUSH)
		return true;
	if (op_has_key(request->op) && !(request->flags & REQUEST_TRUST_SLOT)) {
		request->slot = slot_of_key(request->key);
		request->flags |= REQUEST_SLOT_KNOWN;
	}
	if (!is_away(route, request->slot))
		return false;
	if (!route->ring || !(request->flags & REQUEST_TRUST_SLOT) || !op_has_key(request->op))
		return true;
	return is_away_by_key(route, request);
}

/* Operations of a frame that other nodes are to run, by index. */
static uint64_t
find_away(const struct route *route, const struct frame *frame)
{
	struct request *requests = route->burst->requests + frame->first;
	uint64_t away = 0;

	for (uint32_t i = 0; i < frame->count; i++)
		if (is_routed(&requests[i]) && belongs_elsewhere(route, &requests[i]))
			away |= 1ull << requests[i].index;
	return away;
}

/* A slot for the core, unless too many wait already. */
static struct deferred *
take_slot(struct serve *serve, const struct datagram *datagram)
{
	return serve->defer.out < DEFERRED_FOREIGN_MAX ? defer_take(&serve->defer, datagram) : NULL;
}

/* Takes the operations named out of a native frame; a flush is run here, too. */
static void
take_out(const struct route *route, const struct frame *frame, uint64_t away)
{
	struct request *requests = route->burst->requests + frame->first;

	for (uint32_t i = 0; i < frame->count; i++) {
		if (!(away >> requests[i].index & 1))
			continue;
		requests[i].flags |= REQUEST_FOREIGN;
		if (requests[i].op != OP_FLUSH)
			requests[i].op = OP_NONE;
	}
}

/* A status of its own for each operation named. */
static void
refuse(const struct route *route, const struct frame *frame, uint64_t away, enum op_status status)
{
	struct request *requests = route->burst->requests + frame->first;
	struct response *responses = route->burst->responses + frame->first;
	bool native = frame->service == SERVICE_NATIVE;

	for (uint32_t i = 0; i < frame->count; i++) {
		if (!(away >> requests[i].index & 1))
			continue;
		requests[i].op = native ? OP_NONE : OP_ANSWERED;
		requests[i].local = native ? (uint8_t)status : requests[i].local;
		respond(&responses[i], status);
	}
}

/* The slots of keys that are on the wire have been found true by find_away. */
static bool
slots_true(const struct route *route, const struct frame *frame, uint64_t away)
{
	const struct request *requests = route->burst->requests + frame->first;
	bool computed = false;

	for (uint32_t i = 0; i < frame->count; i++)
		computed |= (away >> requests[i].index & 1) && (requests[i].flags & REQUEST_SLOT_KNOWN);
	return !computed;
}

static void
count_sent(const struct route *route, uint64_t away)
{
	counter_add(route->serve->config.counters, COUNTER_FORWARD_SENT, (uint64_t)__builtin_popcountll(away));
}

/* Another node asks, so what is not ours is said and not mailed; a flush is this node's part of one. */
static void
route_forwarded(const struct route *route, const struct frame *frame, uint64_t away)
{
	struct request *requests = route->burst->requests + frame->first;

	for (uint32_t i = 0; i < frame->count; i++)
		if (requests[i].op == OP_FLUSH)
			away &= ~(1ull << requests[i].index);
	frame->datagram->deferred->stale = away;
	take_out(route, frame, away);
}

static void
route_native(const struct route *route, const struct frame *frame, uint64_t away)
{
	struct deferred *slot = frame->datagram->deferred;

	if (slot && slot->forwarded) {
		route_forwarded(route, frame, away);
		return;
	}
	if (!route->ring) {
		refuse(route, frame, away, OP_STATUS_BUSY);
		return;
	}
	if (slot) {
		slot->asks = away; /* it goes on when the rest has been run */
	} else {
		slot = take_slot(route->serve, frame->datagram);
		if (!slot) {
			refuse(route, frame, away, OP_STATUS_BUSY);
			return;
		}
		slot->ops = away;
		slot->slots_true = slots_true(route, frame, away);
		outbox_add(&route->burst->outbox, slot, MAIL_CORE);
	}
	count_sent(route, away);
	take_out(route, frame, away);
}

/* The control plane names the member; whatever the frame asks is asked there. */
static void
route_target(const struct route *route, const struct frame *frame, struct deferred *slot)
{
	const struct ring_topology *topology = &route->ring->snapshot.topology;
	uint64_t all = 0;

	if (route->ring->self != RING_NOBODY && topology->members[route->ring->self].id == slot->target)
		return;
	for (uint32_t i = 0; i < frame->count; i++)
		all |= 1ull << route->burst->requests[frame->first + i].index;
	slot->asks = all;
	count_sent(route, all);
	for (uint32_t i = 0; i < frame->count; i++) { /* nothing of it runs here, no flush either */
		route->burst->requests[frame->first + i].flags |= REQUEST_FOREIGN;
		route->burst->requests[frame->first + i].op = OP_NONE;
	}
}

void
route_miss_dead(struct serve *serve, const struct request *request, struct response *response)
{
	if (request->op != OP_GET && request->op != OP_GAT)
		return;
	respond(response, OP_STATUS_NOT_FOUND);
	serve_count(serve, COUNTER_CMD_GET);
	serve_count(serve, COUNTER_GET_MISSES);
	serve_count(serve, COUNTER_GET_OWNER_DEAD);
}

/* What the core has brought takes the place of what would be run. */
static uint64_t
take_answers(const struct route *route, const struct frame *frame, const struct answers *answers, uint64_t away)
{
	struct request *requests = route->burst->requests + frame->first;
	struct response *responses = route->burst->responses + frame->first;

	for (uint32_t i = 0; i < frame->count; i++) {
		if (!(answers->ops >> i & 1))
			continue;
		responses[i] = answers->responses[i];
		if (responses[i].status == OP_STATUS_OWNER_DEAD)
			route_miss_dead(route->serve, &requests[i], &responses[i]);
		if (responses[i].status == OP_STATUS_TOO_LARGE && (requests[i].op == OP_APPEND || requests[i].op == OP_PREPEND))
			responses[i].status = OP_STATUS_NOT_STORED; /* memcached's word for it; the composer sees no op any more */
		if (requests[i].op == OP_FLUSH)
			requests[i].local = responses[i].status; /* what it came to elsewhere */
		else
			requests[i].op = OP_ANSWERED;
	}
	return away & ~answers->ops;
}

static void
route_memcached(const struct route *route, struct frame *frame, uint64_t away)
{
	struct datagram *datagram = frame->datagram;

	if (datagram->deferred && datagram->deferred->answers) {
		away = take_answers(route, frame, datagram->deferred->answers, away);
		if (away != 0) /* since the answers were fetched, the ring has moved once more */
			refuse(route, frame, away, OP_STATUS_STALE_EPOCH);
		return;
	}
	if (away == 0)
		return;
	if (!datagram->deferred && route->ring)
		datagram->deferred = take_slot(route->serve, datagram);
	if (!datagram->deferred || !route->ring) {
		refuse(route, frame, away, OP_STATUS_BUSY);
		return;
	}
	datagram->deferred->ops = away;
	frame->travels = true;
	frame->travel_to = MAIL_CORE;
	frame->travel_from = datagram->deferred->first_op;
	count_sent(route, away);
}

void
route_burst(struct serve *serve, struct burst *burst)
{
	const struct serve_ring *ring = serve->ring;
	const struct route route = { .serve = serve, .burst = burst, .ring = ring, .self = self_of(ring) };

	for (uint32_t f = 0; f < burst->frame_count; f++) {
		struct frame *frame = &burst->frames[f];
		struct deferred *slot = frame->datagram->deferred;
		uint64_t away;

		if (frame->turn)
			continue; /* others were asked before (ask.h) */
		if (slot && slot->target && ring && !slot->forwarded) {
			route_target(&route, frame, slot);
			continue;
		}
		away = find_away(&route, frame);
		if (frame->service == SERVICE_MEMCACHED)
			route_memcached(&route, frame, away);
		else if (away != 0)
			route_native(&route, frame, away);
	}
}
