/* Segments in: what is taken, handed over, put together and acknowledged. */
#include "cluster/link_core.h"

#include <string.h>

/* --- buffers ------------------------------------------------------------------------- */

static uint32_t
buffer_pop(struct link *link, uint32_t *list)
{
	uint32_t index = *list;

	if (index != LINK_NONE)
		*list = link->buffers[index].next;
	return index;
}

static uint32_t
buffer_take(struct link *link, uint32_t size)
{
	uint32_t index = size <= LINK_SMALL_SIZE ? buffer_pop(link, &link->small_free) : LINK_NONE;

	return index != LINK_NONE ? index : buffer_pop(link, &link->large_free);
}

static void
buffer_give(struct link *link, uint32_t index)
{
	uint32_t *list = index < link->small_count ? &link->small_free : &link->large_free;

	link->buffers[index].next = *list;
	*list = index;
}

void
link_buffers_free(struct link *link)
{
	while (link->spent != LINK_NONE)
		buffer_give(link, buffer_pop(link, &link->spent));
}

/* --- messages ------------------------------------------------------------------------ */

static void
hand_over(struct cluster *c, const struct link_peer *peer, struct view message)
{
	struct cluster_action *action = action_add(c, CLUSTER_MESSAGE);

	CHECK(action);
	action->id = peer->id;
	action->boot = peer->boot;
	action->message = message;
	c->counters.link.messages_in++;
}

enum outcome {
	TAKEN,
	STALLED, /* no buffer or no action is left: later */
	BROKEN,  /* no sender of ours writes this */
};

/* The next piece of a long message, in order. */
static enum outcome
piece_take(struct cluster *c, struct link_peer *peer, const struct link_chunk *piece)
{
	struct link *link = &c->link;
	bool last = piece->kind == LINK_TAIL;

	if ((piece->kind == LINK_HEAD) != (peer->buffer == LINK_NONE))
		return BROKEN;
	if (last && action_room(c) == 0)
		return STALLED;
	if (piece->kind == LINK_HEAD) {
		peer->buffer = buffer_take(link, piece->total);
		if (peer->buffer == LINK_NONE)
			return STALLED;
		peer->total = piece->total;
		peer->filled = 0;
	}
	if (piece->data.len > peer->total - peer->filled || last != (piece->data.len == peer->total - peer->filled))
		return BROKEN;
	memcpy(link->buffers[peer->buffer].data + peer->filled, piece->data.data, piece->data.len);
	peer->filled += piece->data.len;
	if (last) {
		hand_over(c, peer, view_of(link->buffers[peer->buffer].data, peer->total));
		link->buffers[peer->buffer].next = link->spent;
		link->spent = peer->buffer;
		peer->buffer = LINK_NONE;
	}
	return TAKEN;
}

/* --- order --------------------------------------------------------------------------- */

static inline bool
ahead_has(const struct link_peer *peer, uint64_t sequence)
{
	return peer->ahead[sequence % LINK_WINDOW / 64] >> sequence % 64 & 1;
}

static inline void
ahead_flip(struct link_peer *peer, uint64_t sequence)
{
	peer->ahead[sequence % LINK_WINDOW / 64] ^= 1ull << sequence % 64;
}

/* A piece that waits for those before. */
static bool
piece_hold(struct link *link, struct link_peer *peer, uint64_t sequence, const struct link_chunk *piece)
{
	uint32_t index = link_take(link, peer);
	struct link_segment *segment;
	uint8_t *at;

	if (index == LINK_NONE)
		return false;
	segment = segment_at(link, index);
	at = link_chunk_compose(segment->data, piece->kind, piece->data.len, piece->total);
	memcpy(at, piece->data.data, piece->data.len);
	segment->len = (uint16_t)(at + piece->data.len - segment->data);
	peer->in[sequence % LINK_WINDOW] = index + 1;
	peer->held_in++;
	return true;
}

static enum outcome
held_take(struct cluster *c, struct link_peer *peer, uint64_t sequence)
{
	uint32_t *held = &peer->in[sequence % LINK_WINDOW];
	const struct link_segment *segment;
	struct link_content content;
	enum outcome outcome;
	struct reader in;

	if (*held == 0) /* it held whole messages, which are gone */
		return peer->buffer == LINK_NONE ? TAKEN : BROKEN;
	segment = segment_at(&c->link, *held - 1);
	in = reader_of(segment->data, segment->len);
	CHECK(link_content_parse(&in, &content));
	outcome = piece_take(c, peer, &content.piece);
	if (outcome == TAKEN) {
		link_give(&c->link, peer, *held - 1);
		*held = 0;
		peer->held_in--;
	}
	return outcome;
}

/* Goes on as far as all has arrived. */
static void
advance(struct cluster *c, struct link_peer *peer)
{
	peer->stall_ns = 0;
	while (peer->ahead_count > 0 && ahead_has(peer, peer->arrived + 1)) {
		enum outcome outcome = held_take(c, peer, peer->arrived + 1);

		if (outcome == BROKEN) {
			c->counters.link.malformed++;
			link_close(&c->link, peer);
			return;
		}
		if (outcome == STALLED) {
			c->counters.link.stalled++;
			peer->stall_ns = c->now_ns + LINK_STALL_NS;
			return;
		}
		ahead_flip(peer, ++peer->arrived);
		peer->ahead_count--;
	}
}

void
link_close(struct link *link, struct link_peer *peer)
{
	for (uint32_t i = 0; i < LINK_WINDOW && peer->held_in > 0; i++)
		if (peer->in[i]) {
			link_give(link, peer, peer->in[i] - 1);
			peer->in[i] = 0;
			peer->held_in--;
		}
	if (peer->buffer != LINK_NONE)
		buffer_give(link, peer->buffer);
	peer->buffer = LINK_NONE;
	memset(peer->ahead, 0, sizeof peer->ahead);
	peer->ahead_count = 0;
	peer->stall_ns = peer->expiry_ns = peer->ack_ns = 0;
	peer->ack_count = peer->ack_long = 0;
	peer->closed = true;
	peer->ack_now = false;
}

/* --- acknowledging ------------------------------------------------------------------- */

void
link_ack_fill(struct link_peer *peer, uint64_t now_ns, struct link_header *header)
{
	uint64_t delay_us = (now_ns - peer->arrived_ns) / NS_PER_US;
	uint32_t shift = (peer->arrived + 1) % 64, word = (uint32_t)((peer->arrived + 1) / 64 % LINK_WORDS_MAX);

	header->ack = peer->arrived;
	header->ack_generation = peer->generation_in;
	header->echo = peer->stamp_in;
	header->delay = delay_us < UINT32_MAX ? (uint32_t)delay_us : UINT32_MAX;
	header->flags = peer->closed && peer->generation_in ? LINK_REFUSED : 0;
	header->words = 0;
	if (peer->ahead_count > 0)
		for (uint32_t i = 0; i < LINK_WORDS_MAX; i++) {
			uint64_t low = peer->ahead[(word + i) % LINK_WORDS_MAX] >> shift;
			uint64_t high = peer->ahead[(word + i + 1) % LINK_WORDS_MAX];

			header->bitmap[i] = low | (shift ? high << (64 - shift) : 0);
			if (header->bitmap[i])
				header->words = (uint8_t)(i + 1);
		}
	peer->ack_ns = 0;
	peer->ack_now = false;
	peer->ack_count = peer->ack_long = 0;
}

static void
ack_owe(struct cluster *c, struct link_peer *peer, size_t len)
{
	peer->ack_count++;
	peer->ack_long += len > LINK_SEGMENT_MAX / 2;
	if (peer->ahead_count > 0 || peer->ack_long >= LINK_ACK_EVERY || peer->ack_count >= LINK_ACK_COUNT)
		peer->ack_now = true; /* something is missing, or much is there */
	else if (peer->ack_ns == 0)
		peer->ack_ns = c->now_ns + LINK_ACK_DELAY_NS;
}

/* --- segments ------------------------------------------------------------------------ */

/* False: not of the generation that is taken. */
static bool
generation_take(struct cluster *c, struct link_peer *peer, const struct link_header *header)
{
	if (header->generation < peer->generation_in) {
		c->counters.link.stale++;
		return false;
	}
	if (header->generation > peer->generation_in) {
		if (peer->generation_in)
			link_close(&c->link, peer);
		peer->generation_in = header->generation;
		peer->arrived = 0;
		peer->arrived_ns = c->now_ns;
		peer->stamp_in = header->stamp;
		/* Whoever was forgotten in its middle must begin anew: what it repeats may have been taken. */
		peer->closed = header->sequence - header->back != 1;
	}
	peer->ack_now |= peer->closed;
	return !peer->closed;
}

/* Takes a segment that is new. False: there is no room, and it is as if it had been lost. */
static bool
segment_take(struct cluster *c, struct link_peer *peer, uint64_t sequence, const struct link_content *content)
{
	bool next = sequence == peer->arrived + 1;
	enum outcome outcome = TAKEN;

	if (action_room(c) <= content->count)
		return false;
	if (next)
		outcome = content->piece.kind ? piece_take(c, peer, &content->piece) : peer->buffer == LINK_NONE ? TAKEN : BROKEN;
	if (outcome == BROKEN) {
		c->counters.link.malformed++;
		link_close(&c->link, peer);
		peer->ack_now = true;
		return false;
	}
	if (content->piece.kind && (!next || outcome == STALLED) && !piece_hold(&c->link, peer, sequence, &content->piece))
		return false;
	for (uint16_t i = 0; i < content->count; i++)
		hand_over(c, peer, content->messages[i]);
	if (next && outcome == TAKEN) {
		peer->arrived++;
		if (peer->ahead_count > 0)
			advance(c, peer);
	} else {
		ahead_flip(peer, sequence);
		peer->ahead_count++;
		if (next)
			advance(c, peer);
	}
	return true;
}

void
link_segment_in(struct cluster *c, struct link_peer *peer, const struct link_header *header, struct reader *in)
{
	struct link_content content;
	size_t len = reader_left(in);
	uint64_t sequence = header->sequence;

	if (!generation_take(c, peer, header))
		return;
	if (sequence > peer->arrived + LINK_WINDOW) {
		c->counters.link.out_of_window++;
		return;
	}
	if ((sequence <= peer->arrived || ahead_has(peer, sequence)) && !MUTATED(&c->config, LINK_TAKES_TWICE)) {
		c->counters.link.duplicates++;
		peer->ack_now = true;
		return;
	}
	if (!link_content_parse(in, &content)) {
		c->counters.link.malformed++;
		return;
	}
	if (!segment_take(c, peer, sequence, &content)) {
		c->counters.link.no_memory += !peer->closed;
		return;
	}
	c->counters.link.segments_in++;
	peer->stamp_in = header->stamp;
	peer->arrived_ns = c->now_ns;
	if (!peer->closed && peer->expiry_ns == 0 && (peer->held_in > 0 || peer->buffer != LINK_NONE))
		peer->expiry_ns = c->now_ns + 2 * LINK_PATIENCE_NS;
	if (peer->closed)
		peer->ack_now = true;
	else
		ack_owe(c, peer, len);
}

void
link_receive_timers(struct cluster *c, struct link_peer *peer)
{
	if (peer->stall_ns && c->now_ns >= peer->stall_ns) {
		advance(c, peer);
		peer->ack_now = true;
	}
	if (peer->expiry_ns && c->now_ns >= peer->expiry_ns) {
		peer->expiry_ns = peer->held_in > 0 || peer->buffer != LINK_NONE ? peer->arrived_ns + 2 * LINK_PATIENCE_NS : 0;
		if (peer->expiry_ns && c->now_ns >= peer->expiry_ns)
			link_close(&c->link, peer); /* it has given up long ago */
	}
	if (peer->ack_ns && c->now_ns >= peer->ack_ns)
		peer->ack_now = true;
	if (peer->ack_now) {
		peer->ack_ns = 0;
		link_ready(&c->link, peer);
	}
}
