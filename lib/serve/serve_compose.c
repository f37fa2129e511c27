#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
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
	const struct deferred *slot = frame->datagram->deferred;
	struct native_context context = { .cookie = frame->cookie, .epoch = serve->epoch };
	uint32_t n;

	if (frame->service == SERVICE_ASK) {
		ask_answer(burst, frame);
		return 0;
	}
	if (frame->service == SERVICE_MEMCACHED)
		return memcached_compose(frame, requests, responses, &burst->now, &burst->spares,
		    serve->config.counters, replies);
	if (!slot || !deferred_keeps(slot))
		context.refer_min = serve->config.refer_min;
	n = native_compose(frame, &context,
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
static ON_WORKER void
settle_slot(struct serve *serve, struct burst *burst, const struct frame *frame)
{
	struct deferred *slot = frame->datagram->deferred;

	if (frame->travels) {
		outbox_add(&burst->outbox, slot, frame->travel_to);
		return;
	}
	if (slot->asks != 0) {
		slot->ops = slot->asks;
		slot->asks = 0;
		outbox_add(&burst->outbox, slot, MAIL_CORE);
		return;
	}
	slot->done = true;
	if (slot->ask && slot->home == serve->config.worker)
		ask_home(serve, burst, slot);
	else if (slot->home == serve->config.worker)
		defer_give(&serve->defer, slot);
	else
		outbox_add(&burst->outbox, slot, slot->home);
}

/* A slot of the process itself brings its answers home; none goes to the network. Kept out of the burst's loop. */
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

/* A response frame of another node becomes this node's: its cookie and epoch, and its tag. */
static void
adopt(struct serve *serve, const struct deferred *slot, struct view frame, struct reply *reply)
{
	uint8_t *payload = reply->pkt->data + PKT_UDP_PAYLOAD_OFFSET;

	memcpy(payload, frame.data, frame.len);
	native_adopt(payload, &(struct native_context){ .cookie = admit_cookie(&serve->admit, &slot->peer), .epoch = serve->epoch });
	*reply = (struct reply){ .pkt = reply->pkt, .payload_len = (uint16_t)frame.len, .peer = &slot->peer };
	if (payload[3] & NATIVE_FLAG_AUTH)
		write_tags(serve, reply, 1);
}

/* Sends what other nodes have answered, each frame in a fresh packet; the slot is free then. */
static void
send_answered(struct serve *serve, struct burst *burst, struct deferred *slot)
{
	struct reader in = reader_of(slot->reply, slot->reply_len);

	while (reader_left(&in) > 0) {
		uint16_t len = reader_le16(&in);
		struct view frame = reader_view(&in, len);
		struct pkt *pkt = spares_take(&burst->spares);

		CHECK(!in.failed && frame.len >= NATIVE_HEADER_LEN && frame.len <= UDP_PAYLOAD_MAX);
		if (!pkt) {
			counters_bump(&serve->config.counters->drops[DROP_NO_SPARE], 1);
			break;
		}
		burst->replies[burst->reply_count].pkt = pkt;
		adopt(serve, slot, frame, &burst->replies[burst->reply_count++]);
	}
	defer_give(&serve->defer, slot);
}

void
serve_compose(struct serve *serve, struct burst *burst)
{
	for (uint32_t i = 0; i < burst->frame_count; i++) {
		struct frame *frame = &burst->frames[i];
		struct deferred *slot = frame->datagram->deferred;
		uint32_t n;

		if (frame->turn) {
			stream_compose(serve, burst, frame);
			continue;
		}
		n = compose(serve, burst, frame);
		if (__builtin_expect(slot != NULL, 0) && deferred_keeps(slot)) {
			keep_replies(slot, burst->replies + burst->reply_count, n);
			n = 0;
		}
		settle_packet(frame->datagram->pkt, burst->replies + burst->reply_count, n);
		burst->reply_count += n;
		if (slot)
			settle_slot(serve, burst, frame);
	}
	for (uint32_t i = 0; i < burst->answered_count; i++)
		send_answered(serve, burst, burst->answered[i]);
	burst->answered_count = 0;
}
