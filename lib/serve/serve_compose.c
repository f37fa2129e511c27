#include <string.h>

#include "base/bytes.h"
#include "proto/memcached.h"
#include "proto/native.h"
#include "serve/state.h"

/* The tag covers all that stands before it, so it comes last. */
static void
write_tags(const struct serve *serve, struct reply *replies, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *payload = replies[i].pkt->data + PKT_UDP_PAYLOAD_OFFSET;
		uint16_t len = replies[i].payload_len - SEAL_TAG_LEN;

		seal_tag(&serve->tag_key, payload, len, payload + len);
	}
}

static uint32_t
compose(struct serve *serve, struct burst *burst, struct frame *frame)
{
	struct request *requests = burst->requests + frame->first;
	struct response *responses = burst->responses + frame->first;
	struct reply *replies = burst->replies + burst->reply_count;
	uint32_t n;

	if (frame->service == SERVICE_MEMCACHED)
		return memcached_compose(frame, requests, responses, &burst->now, &burst->spares,
		    serve->config.counters, replies);
	n = native_compose(frame, &(struct native_context){ frame->cookie, serve->config.epoch },
	    requests, responses, &burst->now, &burst->spares, serve->config.counters, replies);
	if (frame->authenticated)
		write_tags(serve, replies, n);
	return n;
}

/* The request's packet is done with, unless a reply stands in it. */
static void
settle_packet(struct pkt *pkt, const struct reply *replies, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (replies[i].pkt == pkt)
			return;
	pkt->disposition = PKT_DONE;
}

/* Where a frame's slot goes now: on to the worker whose turn it is, or home. */
static void
settle_slot(struct serve *serve, struct burst *burst, const struct frame *frame)
{
	struct deferred *slot = frame->datagram->deferred;

	if (frame->travels) {
		outbox_add(&burst->outbox, slot, frame->travel_to);
		return;
	}
	slot->done = true;
	if (slot->home == serve->config.worker)
		defer_give(&serve->defer, slot);
	else
		outbox_add(&burst->outbox, slot, slot->home);
}

/* A local slot brings its answers home in itself; none goes to the network. Kept out of the burst's loop. */
static void __attribute__((noinline, cold))
keep_replies(struct deferred *slot, const struct reply *replies, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint16_t len = replies[i].payload_len;

		replies[i].pkt->disposition = PKT_DONE;
		if (slot->reply_len + sizeof len + len > slot->reply_size)
			continue;
		store_le16(slot->reply + slot->reply_len, len);
		memcpy(slot->reply + slot->reply_len + sizeof len, replies[i].pkt->data + PKT_UDP_PAYLOAD_OFFSET, len);
		slot->reply_len += (uint32_t)sizeof len + len;
	}
}

void
serve_compose(struct serve *serve, struct burst *burst)
{
	for (uint32_t i = 0; i < burst->frame_count; i++) {
		struct frame *frame = &burst->frames[i];
		uint32_t n = compose(serve, burst, frame);
		struct deferred *slot = frame->datagram->deferred;

		if (__builtin_expect(slot != NULL, 0) && slot->home == DEFERRED_HOME_LOCAL) {
			keep_replies(slot, burst->replies + burst->reply_count, n);
			n = 0;
		}
		settle_packet(frame->datagram->pkt, burst->replies + burst->reply_count, n);
		burst->reply_count += n;
		if (slot)
			settle_slot(serve, burst, frame);
	}
}
