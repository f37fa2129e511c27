#include "base/check.h"
#include "proto/memcached.h"
#include "proto/native.h"
#include "serve/state.h"

/* Answers a frame of which nothing is executed; never with more bytes than it had. */
static void
refuse(struct serve *serve, struct burst *burst, const struct frame *frame, enum op_status error)
{
	struct datagram *datagram = frame->datagram;
	uint8_t *payload = datagram->pkt->data + PKT_UDP_PAYLOAD_OFFSET;
	struct native_context context = { .cookie = admit_cookie(&serve->admit, &datagram->peer), .epoch = serve->epoch };
	uint16_t len = native_compose_refusal(frame, &context, error, payload);

	CHECK(len <= datagram->payload_len);
	if (frame->authenticated)
		seal_tag(&serve->tag_key, payload, len - SEAL_TAG_LEN, payload + len - SEAL_TAG_LEN);
	burst->replies[burst->reply_count++] = (struct reply){ .pkt = datagram->pkt, .payload_len = len, .peer = &datagram->peer };
}

static void
challenge(struct serve *serve, struct burst *burst, const struct frame *frame)
{
	uint16_t boot = native_cookie_boot(frame->cookie);

	serve_count(serve, COUNTER_CHALLENGES);
	if (boot != 0 && boot != serve->config.boot) {
		serve_count(serve, COUNTER_ONCE_UNKNOWN);
		refuse(serve, burst, frame, OP_STATUS_STALE_BOOT);
	} else {
		refuse(serve, burst, frame, OP_STATUS_UNPROVEN);
	}
}

/* A tag that is there must be right; whether it must be there, the configuration says. */
static bool
tag_holds(const struct serve *serve, const struct frame *frame)
{
	const struct datagram *datagram = frame->datagram;
	uint8_t tag[SEAL_TAG_LEN];
	uint16_t len;

	if (!frame->authenticated)
		return !serve->config.require_auth;
	if (datagram->payload_len < NATIVE_HEADER_LEN + SEAL_TAG_LEN)
		return false;
	len = datagram->payload_len - SEAL_TAG_LEN;
	seal_tag(&serve->tag_key, datagram->payload, len, tag);
	return seal_equal(tag, datagram->payload + len, SEAL_TAG_LEN);
}

/* Whether the frame's requests are to be executed; else it is answered or dropped here. */
static bool
admit_native(struct serve *serve, struct burst *burst, struct frame *frame, enum native_verdict verdict,
    uint64_t fresh)
{
	struct pkt *pkt = frame->datagram->pkt;
	struct counters *counters = serve->config.counters;

	if (verdict == NATIVE_NO_REQUEST) {
		pkt_drop(pkt, counters, DROP_NATIVE_HEADER);
	} else if (verdict == NATIVE_WRONG_VERSION) {
		frame->authenticated = false; /* another version may keep its tag elsewhere */
		refuse(serve, burst, frame, OP_STATUS_UNSUPPORTED_VERSION);
	} else if (!tag_holds(serve, frame)) {
		pkt_drop(pkt, counters, DROP_NATIVE_AUTH);
	} else if (frame->cookie == fresh || admit_proves(&serve->admit, &frame->datagram->peer, frame->cookie)) {
		if (verdict == NATIVE_OK)
			return true;
		refuse(serve, burst, frame, OP_STATUS_BAD_REQUEST);
	} else if (verdict == NATIVE_MALFORMED) {
		pkt_drop(pkt, counters, DROP_NATIVE_HEADER);
	} else {
		challenge(serve, burst, frame);
	}
	return false;
}

static bool
parse_native(struct serve *serve, struct burst *burst, struct frame *frame)
{
	struct datagram *datagram = frame->datagram;
	enum native_verdict verdict = native_parse(datagram, &burst->now, frame,
	    burst->requests + burst->request_count, FRAME_OPS_MAX);
	/* The answer carries the present cookie; most requests do too, so it is computed once for both. Another node puts its own there. */
	uint64_t fresh = datagram->deferred && datagram->deferred->forwarded ? 0 : admit_cookie(&serve->admit, &datagram->peer);

	if (!datagram->deferred && !admit_native(serve, burst, frame, verdict, fresh))
		return false;
	CHECK(verdict == NATIVE_OK); /* the home worker has parsed a deferred frame before */
	frame->cookie = fresh;
	return true;
}

static bool
parse_memcached(struct serve *serve, struct burst *burst, struct frame *frame)
{
	struct datagram *datagram = frame->datagram;

	if (!datagram->deferred && !admit_listed(serve->config.memcached_allow,
	    serve->config.memcached_allow_count, datagram->peer.ip)) {
		pkt_drop(datagram->pkt, serve->config.counters, DROP_MEMCACHED_SOURCE);
		return false;
	}
	if (!memcached_parse(datagram, &burst->now, frame, burst->requests + burst->request_count,
	    FRAME_OPS_MAX)) {
		CHECK(!datagram->deferred);
		pkt_drop(datagram->pkt, serve->config.counters, DROP_MEMCACHED_HEADER);
		return false;
	}
	return true;
}

static bool
parse(struct serve *serve, struct burst *burst, struct frame *frame)
{
	struct datagram *datagram = frame->datagram;

	if (datagram->service == SERVICE_NATIVE)
		return parse_native(serve, burst, frame);
	if (datagram->service == SERVICE_MEMCACHED)
		return parse_memcached(serve, burst, frame);
	if (datagram->service == SERVICE_ASK) {
		ask_parse(burst, frame);
		return true;
	}
	return false; /* another stage answers it */
}

/* The table in force is the same for a whole burst; the worker's grace period keeps it alive so long. */
static void
ring_load(struct serve *serve)
{
	serve->ring = atomic_load_explicit(serve->config.ring, memory_order_acquire);
	serve->epoch = serve->ring ? serve->ring->epoch : 0;
}

void
serve_parse(struct serve *serve, struct burst *burst)
{
	if (__builtin_expect(serve->config.ring != NULL, 0))
		ring_load(serve);
	burst->frame_count = burst->request_count = burst->reply_count = burst->outbox.count = burst->pass_count = 0;
	admit_turn(&serve->admit, &burst->now);
	for (uint32_t i = 0; i < burst->datagram_count; i++) {
		struct frame *frame = &burst->frames[burst->frame_count];

		frame->datagram = &burst->datagrams[i];
		frame->first = burst->request_count;
		frame->service = burst->datagrams[i].service;
		frame->travels = false;
		frame->turn = NULL;
		if (!parse(serve, burst, frame))
			continue;
		frame->proven = true;
		burst->request_count += frame->count;
		burst->frame_count++;
	}
	if (burst->turn_count > 0)
		streams_parse(serve, burst);
}

void
serve_accept(struct deferred *slot, struct pkt *spare, struct datagram *datagram)
{
	datagram->pkt = spare;
	datagram->payload = slot->payload;
	datagram->payload_len = slot->payload_len;
	datagram->service = slot->service;
	datagram->deferred = slot;
	datagram->peer = slot->peer;
}
