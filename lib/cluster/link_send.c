/* Segments out: what may leave, what has arrived, what was lost. */
#include "cluster/link_core.h"

#include <string.h>

static uint32_t
stamp_of(uint64_t ns)
{
	return (uint32_t)(ns / NS_PER_US);
}

/* --- packets ------------------------------------------------------------------------- */

/* One packet: a segment or none, and what has arrived. False: the step has no room. */
static bool
packet_send(struct cluster *c, struct link_peer *peer, const struct link_segment *segment)
{
	struct link_header header;
	struct draft draft;
	uint8_t *section, *at;
	uint32_t len;

	if (c->actions->packet_count == CLUSTER_PACKETS_MAX || action_room(c) == 0)
		return false;
	header.sequence = segment ? segment->sequence : 0;
	header.back = segment ? (uint16_t)(segment->sequence - peer->oldest) : 0;
	header.generation = peer->generation;
	header.stamp = stamp_of(c->now_ns);
	link_ack_fill(peer, c->now_ns, &header);
	len = link_header_len(&header);
	draft_open_member(&draft, c, peer->member);
	section = peer_section_begin(&draft.out, PEER_LINK, 0);
	at = writer_take(&draft.out, len + (segment ? segment->len : 0));
	CHECK(at);
	link_header_compose(at, &header);
	if (segment)
		memcpy(at + len, segment->data, segment->len);
	peer_section_end(&draft.out, section);
	draft_seal(&draft, ENVELOPE_DATA);
	c->counters.link.acks_out += segment == NULL;
	return true;
}

static bool
transmit(struct cluster *c, struct link_peer *peer, struct link_segment *segment)
{
	if (!packet_send(c, peer, segment))
		return false;
	segment->order = ++peer->order;
	segment->sent_ns = c->now_ns;
	if (segment->transmissions == 0)
		segment->first_ns = c->now_ns;
	c->counters.link.segments_out += segment->transmissions == 0;
	c->counters.link.retransmitted += segment->transmissions > 0;
	if (segment->transmissions < UINT8_MAX)
		segment->transmissions++;
	if (peer->timer_ns == 0)
		peer->timer_ns = c->now_ns + window_timeout_ns(&peer->window);
	window_sent(&peer->window, c->now_ns);
	return true;
}

/* The next one that leaves: lost ones first. */
static bool
send_next(struct cluster *c, struct link_peer *peer)
{
	struct link *link = &c->link;
	struct link_segment *segment;

	if (peer->lost > 0) {
		while (!segment_out(link, peer, peer->lost_from)->lost)
			peer->lost_from++;
		segment = segment_out(link, peer, peer->lost_from);
		if (!transmit(c, peer, segment))
			return false;
		segment->lost = false;
		peer->lost--;
		peer->in_flight++;
		return true;
	}
	segment = segment_at(link, peer->queue.first);
	segment->sequence = peer->next;
	if (!transmit(c, peer, segment))
		return false;
	peer->out[peer->next++ % LINK_WINDOW] = link_remove_first(link, &peer->queue);
	peer->in_flight++;
	return true;
}

static bool
more_to_send(const struct link_peer *peer)
{
	return peer->lost > 0 || (peer->queue.count > 0 && peer->next - peer->oldest < LINK_WINDOW);
}

bool
link_flush(struct cluster *c, struct link_peer *peer)
{
	uint32_t sent = 0;

	peer->full = false;
	peer->pace_ns = 0;
	if (peer->queue.count > 0 && peer->in_flight == 0)
		window_idle(&peer->window, c->now_ns);
	while (more_to_send(peer)) {
		if (peer->in_flight >= peer->window.size) {
			peer->full = true;
			break;
		}
		if (window_pace_at(&peer->window) > c->now_ns) {
			peer->pace_ns = window_pace_at(&peer->window);
			break;
		}
		if (sent == LINK_TURN || !send_next(c, peer))
			return true;
		sent++;
	}
	if (peer->queue.count > 0 && peer->next - peer->oldest == LINK_WINDOW)
		peer->full = true;
	return peer->ack_now && !packet_send(c, peer, NULL);
}

/* --- what has arrived ---------------------------------------------------------------- */

struct news {
	uint32_t count;
	uint64_t order; /* of the newest transmission that is known to have arrived */
};

static void
arrived(struct cluster *c, struct link_peer *peer, struct link_segment *segment, uint32_t echo, struct news *news)
{
	segment->acknowledged = true;
	news->count++;
	if (segment->lost) {
		segment->lost = false;
		peer->lost--;
	} else {
		peer->in_flight--;
	}
	/* Nothing sent that late has arrived yet: it was a former transmission (Eifel, RFC 3522). */
	if (segment->transmissions > 1 && (int32_t)(echo - stamp_of(segment->sent_ns)) < 0) {
		c->counters.link.spurious++;
		window_spurious(&peer->window);
		return;
	}
	if (segment->order > news->order)
		news->order = segment->order;
	window_acknowledged(&peer->window, segment->order, peer->full);
}

static void
lose(struct link_peer *peer, struct link_segment *segment)
{
	segment->lost = true;
	peer->lost++;
	peer->in_flight--;
	if (segment->sequence < peer->lost_from)
		peer->lost_from = segment->sequence;
}

/* What should have been acknowledged before something that was sent later. */
static void
losses(struct cluster *c, struct link_peer *peer)
{
	uint64_t wait = window_overtaken_ns(&peer->window);

	peer->loss_ns = 0;
	for (uint64_t sequence = peer->oldest; sequence < peer->next; sequence++) {
		struct link_segment *segment = segment_out(&c->link, peer, sequence);

		if (segment->acknowledged || segment->lost || segment->order > peer->order_acknowledged)
			continue;
		if (segment->order + peer->window.reorder <= peer->order_acknowledged || c->now_ns >= segment->sent_ns + wait) {
			lose(peer, segment);
			window_lost(&peer->window, segment->order, peer->order);
		} else if (peer->loss_ns == 0 || segment->sent_ns + wait < peer->loss_ns) {
			peer->loss_ns = segment->sent_ns + wait;
		}
	}
}

static void
acknowledged_up_to(struct cluster *c, struct link_peer *peer, uint64_t ack, uint32_t echo, struct news *news)
{
	for (; peer->oldest <= ack; peer->oldest++) {
		struct link_segment *segment = segment_out(&c->link, peer, peer->oldest);

		if (!segment->acknowledged)
			arrived(c, peer, segment, echo, news);
		link_give(&c->link, peer, peer->out[peer->oldest % LINK_WINDOW]);
	}
	if (peer->lost_from < peer->oldest)
		peer->lost_from = peer->oldest;
}

static void
acknowledged_bitmap(struct cluster *c, struct link_peer *peer, const struct link_header *header, struct news *news)
{
	for (uint32_t i = 0; i < header->words; i++)
		for (uint64_t word = header->bitmap[i]; word; word &= word - 1) {
			uint64_t sequence = header->ack + 1 + i * 64 + (uint32_t)__builtin_ctzll(word);
			struct link_segment *segment;

			if (sequence < peer->oldest || sequence >= peer->next)
				continue;
			segment = segment_out(&c->link, peer, sequence);
			if (!segment->acknowledged)
				arrived(c, peer, segment, header->echo, news);
		}
}

static void
measure(struct cluster *c, struct link_peer *peer, const struct link_header *header)
{
	uint32_t rtt_us = stamp_of(c->now_ns) - header->echo - header->delay;

	if (rtt_us < 60 * 1000000u) /* else a clock runs wrong */
		window_measured(&peer->window, rtt_us * NS_PER_US);
}

bool
link_acknowledged(struct cluster *c, struct link_peer *peer, const struct link_header *header)
{
	struct news news = { 0, peer->order_acknowledged };
	uint64_t oldest = peer->oldest;

	c->counters.link.acks_in += header->sequence == 0;
	if (header->ack_generation != peer->generation)
		return true; /* of what was given up, or nothing */
	if (header->flags & LINK_REFUSED) {
		c->counters.link.refused++;
		link_reset(c, peer);
		return true;
	}
	if (header->ack >= peer->next)
		return false;
	acknowledged_up_to(c, peer, header->ack, header->echo, &news);
	acknowledged_bitmap(c, peer, header, &news);
	if (news.count == 0 && peer->oldest == oldest)
		return true;
	if (news.count > 0)
		measure(c, peer, header);
	peer->order_acknowledged = news.order;
	peer->timer_ns = peer->oldest < peer->next ? c->now_ns + window_timeout_ns(&peer->window) : 0;
	/* All that was sent after it and no more is on its way: nothing was overtaken. */
	if (peer->in_flight + news.order == peer->order)
		peer->loss_ns = 0;
	else
		losses(c, peer);
	return true;
}

/* --- time ---------------------------------------------------------------------------- */

static void
timed_out(struct cluster *c, struct link_peer *peer)
{
	struct link_segment *oldest = segment_out(&c->link, peer, peer->oldest);
	uint64_t since = oldest->first_ns > peer->patience_ns ? oldest->first_ns : peer->patience_ns;

	c->counters.link.timeouts++;
	if (c->now_ns >= since + LINK_PATIENCE_NS) {
		link_reset(c, peer);
		return;
	}
	if (window_timed_out(&peer->window, peer->order))
		for (uint64_t sequence = peer->oldest; sequence < peer->next; sequence++) {
			struct link_segment *segment = segment_out(&c->link, peer, sequence);

			if (!segment->acknowledged && !segment->lost)
				lose(peer, segment);
		}
	peer->timer_ns = c->now_ns + window_timeout_ns(&peer->window);
	if (peer->lost > 0)
		return; /* the window lets them out */
	/* The oldest that is not known to be there; all are: the first, to be told that it can go. */
	for (uint64_t sequence = peer->oldest; sequence < peer->next; sequence++)
		if (!segment_out(&c->link, peer, sequence)->acknowledged) {
			oldest = segment_out(&c->link, peer, sequence);
			break;
		}
	c->counters.link.probes += transmit(c, peer, oldest);
}

void
link_send_timers(struct cluster *c, struct link_peer *peer)
{
	if (peer->loss_ns && c->now_ns >= peer->loss_ns)
		losses(c, peer);
	if (peer->timer_ns && c->now_ns >= peer->timer_ns)
		timed_out(c, peer);
	if (peer->pace_ns && c->now_ns >= peer->pace_ns)
		peer->pace_ns = 0;
	if (peer->lost > 0 || peer->queue.count > 0 || peer->ack_now)
		link_ready(&c->link, peer);
}

/* --- giving up ----------------------------------------------------------------------- */

static void
lose_messages(struct cluster *c, struct link_peer *peer, uint32_t index, bool all)
{
	struct link_segment *segment = segment_at(&c->link, index);

	/* A whole message was handed over when its segment arrived; a long one waits for all before it. */
	if (!all) {
		bool tail = link_chunk_kind(segment->data) == LINK_TAIL;

		segment->count = tail ? 1 : 0;
	}
	if (segment->count == 0) {
		link_give(&c->link, peer, index);
		return;
	}
	peer->held--;
	link_append(&c->link, &c->link.losing, index);
}

void
link_reset(struct cluster *c, struct link_peer *peer)
{
	if (peer->oldest == peer->next && peer->queue.count == 0)
		return;
	c->counters.link.resets++;
	for (; peer->oldest < peer->next; peer->oldest++)
		lose_messages(c, peer, peer->out[peer->oldest % LINK_WINDOW],
		    !segment_out(&c->link, peer, peer->oldest)->acknowledged);
	while (peer->queue.count > 0)
		lose_messages(c, peer, link_remove_first(&c->link, &peer->queue), true);
	peer->generation = ++c->link.generation;
	peer->oldest = peer->next = peer->lost_from = 1;
	peer->in_flight = peer->lost = 0;
	peer->order = peer->order_acknowledged = 0;
	peer->timer_ns = peer->loss_ns = peer->pace_ns = 0;
	peer->full = false;
	window_init(&peer->window);
}
