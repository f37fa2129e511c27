/* The link's peers, what is posted to them, and what is due when. */
#include "cluster/link_core.h"

#include <stdlib.h>
#include <string.h>

enum { BUFFERS_MIN = 2, SMALL_PER_LARGE = 4 };
_Static_assert((int)LINK_MESSAGE_MAX == (int)CLUSTER_MESSAGE_MAX, "one limit");

/* --- memory -------------------------------------------------------------------------- */

static void
buffers_init(struct link *link)
{
	uint8_t *at = link->buffer_bytes;

	link->small_free = link->large_free = link->spent = LINK_NONE;
	for (uint32_t i = 0; i < link->buffer_count; i++) {
		struct link_buffer *buffer = &link->buffers[i];
		uint32_t *list = i < link->small_count ? &link->small_free : &link->large_free;

		buffer->data = at;
		buffer->size = i < link->small_count ? (uint32_t)LINK_SMALL_SIZE : (uint32_t)LINK_MESSAGE_MAX;
		buffer->next = *list;
		*list = i;
		at += buffer->size;
	}
}

/* Pages that are never touched cost nothing: most of it is reached by heavy traffic only. */
bool
link_init(struct link *link, uint16_t peers_max, uint64_t bytes)
{
	uint32_t large = (uint32_t)(bytes / LINK_MESSAGE_MAX) + BUFFERS_MIN;

	memset(link, 0, sizeof *link);
	link->peers_max = peers_max;
	link->segments_max = (uint32_t)(bytes / sizeof *link->segments);
	link->free_count = link->segments_max;
	link->free = link->losing.first = link->losing.last = LINK_NONE;
	link->ready_first = link->ready_last = LINK_NONE;
	link->small_count = large * SMALL_PER_LARGE;
	link->buffer_count = large + link->small_count;
	link->peers = calloc(peers_max, sizeof *link->peers);
	link->segments = malloc(bytes ? bytes : 1);
	link->buffers = calloc(link->buffer_count, sizeof *link->buffers);
	link->buffer_bytes = malloc((size_t)large * LINK_MESSAGE_MAX + (size_t)link->small_count * LINK_SMALL_SIZE);
	link->heap = calloc(peers_max, sizeof *link->heap);
	link->attached = calloc(peers_max, sizeof *link->attached);
	if (!link->peers || !link->segments || !link->buffers || !link->buffer_bytes || !link->heap || !link->attached) {
		link_deinit(link);
		return false;
	}
	buffers_init(link);
	return true;
}

void
link_deinit(struct link *link)
{
	free(link->peers);
	free(link->segments);
	free(link->buffers);
	free(link->buffer_bytes);
	free(link->heap);
	free(link->attached);
	memset(link, 0, sizeof *link);
}

uint32_t
link_take(struct link *link, struct link_peer *peer)
{
	uint32_t index = link->free;
	struct link_segment *segment;

	if (!link_allowed(link, peer, 1))
		return LINK_NONE;
	if (index != LINK_NONE)
		link->free = segment_at(link, index)->next;
	else
		index = link->segments_fresh++;
	link->free_count--;
	peer->held++;
	segment = segment_at(link, index);
	segment->next = LINK_NONE;
	segment->owner = peer->id;
	segment->len = 0;
	segment->transmissions = segment->count = 0;
	segment->acknowledged = segment->lost = false;
	return index;
}

/* peer NULL: it is nobody's any more. */
void
link_give(struct link *link, struct link_peer *peer, uint32_t index)
{
	segment_at(link, index)->next = link->free;
	link->free = index;
	link->free_count++;
	if (peer)
		peer->held--;
}

void
link_append(struct link *link, struct link_list *list, uint32_t index)
{
	segment_at(link, index)->next = LINK_NONE;
	if (list->count++ == 0)
		list->first = index;
	else
		segment_at(link, list->last)->next = index;
	list->last = index;
}

uint32_t
link_remove_first(struct link *link, struct link_list *list)
{
	uint32_t index = list->first;

	list->first = segment_at(link, index)->next;
	if (--list->count == 0)
		list->first = list->last = LINK_NONE;
	return index;
}

/* --- what is due --------------------------------------------------------------------- */

static uint32_t
slot_of(const struct link *link, const struct link_peer *peer)
{
	return (uint32_t)(peer - link->peers);
}

static void
heap_place(struct link *link, uint32_t at, uint16_t slot)
{
	link->heap[at] = slot;
	link->peers[slot].heap_at = at + 1;
}

static void
heap_up(struct link *link, uint32_t at)
{
	uint16_t slot = link->heap[at];

	for (; at > 0; at = (at - 1) / 2) {
		uint16_t above = link->heap[(at - 1) / 2];

		if (link->peers[above].due_ns <= link->peers[slot].due_ns)
			break;
		heap_place(link, at, above);
	}
	heap_place(link, at, slot);
}

static void
heap_down(struct link *link, uint32_t at)
{
	uint16_t slot = link->heap[at];

	for (uint32_t below = 2 * at + 1; below < link->heap_count; below = 2 * at + 1) {
		if (below + 1 < link->heap_count &&
		    link->peers[link->heap[below + 1]].due_ns < link->peers[link->heap[below]].due_ns)
			below++;
		if (link->peers[slot].due_ns <= link->peers[link->heap[below]].due_ns)
			break;
		heap_place(link, at, link->heap[below]);
		at = below;
	}
	heap_place(link, at, slot);
}

static void
heap_remove(struct link *link, struct link_peer *peer)
{
	uint32_t at = peer->heap_at - 1;
	uint16_t last = link->heap[--link->heap_count];

	peer->heap_at = 0;
	if (at == link->heap_count)
		return;
	heap_place(link, at, last);
	heap_up(link, at);
	heap_down(link, link->peers[last].heap_at - 1);
}

static inline uint64_t
sooner(uint64_t due_ns, uint64_t at_ns)
{
	return at_ns != 0 && at_ns < due_ns ? at_ns : due_ns;
}

void
link_schedule(struct link *link, struct link_peer *peer)
{
	uint64_t due = sooner(UINT64_MAX, peer->timer_ns);

	due = sooner(due, peer->loss_ns);
	due = sooner(due, peer->pace_ns);
	due = sooner(due, peer->ack_ns);
	due = sooner(due, peer->stall_ns);
	due = sooner(due, peer->expiry_ns);
	if (due == peer->due_ns)
		return;
	peer->due_ns = due;
	if (due == UINT64_MAX) {
		heap_remove(link, peer);
	} else if (peer->heap_at == 0) {
		heap_place(link, link->heap_count, (uint16_t)slot_of(link, peer));
		heap_up(link, link->heap_count++);
	} else if (link->heap_count > 1) {
		heap_up(link, peer->heap_at - 1);
		heap_down(link, peer->heap_at - 1);
	}
}

void
link_ready(struct link *link, struct link_peer *peer)
{
	uint32_t slot = slot_of(link, peer);

	if (peer->ready)
		return;
	peer->ready = true;
	peer->ready_next = LINK_NONE;
	if (link->ready_first == LINK_NONE)
		link->ready_first = slot;
	else
		link->peers[link->ready_last].ready_next = slot;
	link->ready_last = slot;
}

static struct link_peer *
ready_pop(struct link *link)
{
	struct link_peer *peer = &link->peers[link->ready_first];

	link->ready_first = peer->ready_next;
	if (link->ready_first == LINK_NONE)
		link->ready_last = LINK_NONE;
	peer->ready = false;
	return peer;
}

static void
ready_remove(struct link *link, struct link_peer *gone)
{
	uint32_t at = link->ready_first;

	if (!gone->ready)
		return;
	link->ready_first = link->ready_last = LINK_NONE;
	while (at != LINK_NONE) {
		struct link_peer *peer = &link->peers[at];

		at = peer->ready_next;
		peer->ready = false;
		if (peer != gone)
			link_ready(link, peer);
	}
}

uint64_t
link_deadline(const struct link *link)
{
	if (link->ready_first != LINK_NONE || link->losing.count > 0)
		return link->now_ns;
	return link->heap_count > 0 ? link->peers[link->heap[0]].due_ns : UINT64_MAX;
}

/* --- peers --------------------------------------------------------------------------- */

static void
peer_detach(struct cluster *c, struct link_peer *peer)
{
	struct link *link = &c->link;
	uint16_t last = link->attached[--link->attached_count];

	link_reset(c, peer);
	link_close(link, peer);
	ready_remove(link, peer);
	if (peer->heap_at)
		heap_remove(link, peer);
	CHECK(peer->held == 0);
	link->attached[peer->attached_at] = last;
	link->peers[last].attached_at = peer->attached_at;
	memset(peer, 0, sizeof *peer);
}

static void
peer_attach(struct cluster *c, struct link_peer *peer, struct member *member)
{
	struct link *link = &c->link;

	memset(peer, 0, sizeof *peer);
	peer->id = member->id;
	peer->boot = member->record.boot;
	peer->member = member;
	peer->due_ns = UINT64_MAX;
	peer->generation = ++link->generation;
	peer->oldest = peer->next = peer->lost_from = 1;
	peer->queue.first = peer->queue.last = peer->buffer = LINK_NONE;
	peer->attached_at = link->attached_count;
	link->attached[link->attached_count++] = (uint16_t)slot_of(link, peer);
	window_init(&peer->window);
}

/* The peer of a member's present life. */
static struct link_peer *
peer_of(struct cluster *c, struct member *member)
{
	struct link_peer *peer = &c->link.peers[member - c->members.slots];

	if (peer->id == member->id && peer->boot == member->record.boot)
		return peer;
	if (peer->id)
		peer_detach(c, peer);
	peer_attach(c, peer, member);
	return peer;
}

/* Members are not what they were: what was posted to the dead and to former lives is lost. */
static void
members_look(struct cluster *c)
{
	struct link *link = &c->link;

	link->members_digest = c->members.digest;
	for (uint32_t i = link->attached_count; i-- > 0;) {
		struct link_peer *peer = &link->peers[link->attached[i]];

		if (!peer->member->used || peer->member->id != peer->id || peer->member->record.boot != peer->boot) {
			peer_detach(c, peer);
		} else if (!member_live(peer->member)) {
			link_reset(c, peer);
			link_close(link, peer);
			link_schedule(link, peer);
		}
	}
}

void
link_pause(struct cluster *c)
{
	for (uint32_t i = 0; i < c->link.attached_count; i++) {
		struct link_peer *peer = &c->link.peers[c->link.attached[i]];

		peer->patience_ns = c->now_ns;
		if (peer->expiry_ns)
			peer->arrived_ns = c->now_ns;
	}
}

/* --- posting ------------------------------------------------------------------------- */

/* What is left to copy of a message's two parts. */
struct source {
	struct view head, body;
};

static void
copy(uint8_t *out, struct source *source, uint32_t len)
{
	uint32_t first = len < source->head.len ? len : source->head.len;

	if (first > 0)
		memcpy(out, source->head.data, first);
	source->head.data += first;
	source->head.len -= first;
	if (len == first)
		return; /* a message may have no body at all */
	memcpy(out + first, source->body.data, len - first);
	source->body.data += len - first;
	source->body.len -= len - first;
}

/* The last segment that waits, when a message of this length goes into it; a new one; or NULL. */
static struct link_segment *
segment_for(struct link *link, struct link_peer *peer, uint32_t len)
{
	struct link_segment *segment;
	uint32_t index;

	if (peer->queue.count > 0) {
		segment = segment_at(link, peer->queue.last);
		if (segment->count < LINK_MESSAGES_MAX && segment->len + LINK_CHUNK_LEN + len <= LINK_SEGMENT_MAX)
			return segment;
	}
	index = link_take(link, peer);
	if (index == LINK_NONE)
		return NULL;
	link_append(link, &peer->queue, index);
	return segment_at(link, index);
}

static bool
post_whole(struct link *link, struct link_peer *peer, struct source *source, uint32_t len, uint64_t tag)
{
	struct link_segment *segment = segment_for(link, peer, len);

	if (!segment)
		return false;
	copy(link_chunk_compose(segment->data + segment->len, LINK_WHOLE, len, 0), source, len);
	segment->len = (uint16_t)(segment->len + LINK_CHUNK_LEN + len);
	segment->tags[segment->count++] = tag;
	return true;
}

static bool
post_long(struct link *link, struct link_peer *peer, struct source *source, uint32_t len, uint64_t tag)
{
	uint32_t needed = (len + LINK_TOTAL_LEN + LINK_WHOLE_MAX - 1) / LINK_WHOLE_MAX;
	uint32_t left = len;

	if (!link_allowed(link, peer, needed))
		return false;
	for (uint32_t i = 0; i < needed; i++) {
		enum link_chunk_kind kind = i == 0 ? LINK_HEAD : i + 1 == needed ? LINK_TAIL : LINK_BODY;
		uint32_t room = i == 0 ? (uint32_t)LINK_WHOLE_MAX - LINK_TOTAL_LEN : (uint32_t)LINK_WHOLE_MAX;
		uint32_t here = left < room ? left : room, index = link_take(link, peer);
		struct link_segment *segment = segment_at(link, index);
		uint8_t *at = link_chunk_compose(segment->data, kind, here, len);

		copy(at, source, here);
		segment->len = (uint16_t)(at + here - segment->data);
		left -= here;
		if (kind == LINK_TAIL)
			segment->tags[segment->count++] = tag;
		link_append(link, &peer->queue, index);
	}
	CHECK(left == 0);
	return true;
}

enum cluster_post
cluster_post(struct cluster *c, struct now now, uint64_t id, struct view head, struct view body, uint64_t tag)
{
	struct member *member = member_of(c, id);
	uint32_t len = head.len + body.len;
	struct source source = { head, body };
	struct link_peer *peer;
	bool taken;

	CHECK(head.len <= CLUSTER_MESSAGE_MAX && body.len <= CLUSTER_MESSAGE_MAX - head.len && !c->actions);
	if (!member || member == c->self || !member_live(member) || c->left)
		return CLUSTER_POST_UNREACHABLE;
	peer = peer_of(c, member);
	taken = len <= LINK_WHOLE_MAX ? post_whole(&c->link, peer, &source, len, tag) :
	    post_long(&c->link, peer, &source, len, tag);
	if (!taken) {
		c->counters.link.busy++;
		return CLUSTER_POST_BUSY;
	}
	c->counters.link.messages_out++;
	c->link.now_ns = now.mono_ns;
	link_ready(&c->link, peer);
	return CLUSTER_POST_OK;
}

/* --- a step -------------------------------------------------------------------------- */

void
link_begin(struct cluster *c)
{
	c->link.now_ns = c->now_ns;
	if (c->link.spent != LINK_NONE)
		link_buffers_free(&c->link);
}

void
link_section(struct arrival *arrival, struct view body)
{
	struct cluster *c = arrival->c;
	struct reader in = reader_of(body.data, body.len);
	struct link_peer *peer = peer_of(c, arrival->member);
	struct link_header header;

	if (!link_header_parse(&in, &header) || !link_acknowledged(c, peer, &header)) {
		c->counters.link.malformed++;
		return;
	}
	if (header.sequence != 0)
		link_segment_in(c, peer, &header, &in);
	if (peer->ack_now || peer->queue.count > 0 || peer->lost > 0)
		link_ready(&c->link, peer);
	link_schedule(&c->link, peer);
}

static void
lost_tell(struct cluster *c)
{
	struct link *link = &c->link;

	while (link->losing.count > 0) {
		struct link_segment *segment = segment_at(link, link->losing.first);

		while (segment->count > 0 && action_room(c) > 0) {
			struct cluster_action *action = action_add(c, CLUSTER_LOST);

			action->id = segment->owner;
			action->tag = segment->tags[--segment->count];
			c->counters.link.messages_lost++;
		}
		if (segment->count > 0)
			return;
		link_give(link, NULL, link_remove_first(link, &link->losing));
	}
}

void
link_end(struct cluster *c)
{
	struct link *link = &c->link;

	if (link->members_digest != c->members.digest)
		members_look(c);
	while (link->heap_count > 0 && link->peers[link->heap[0]].due_ns <= c->now_ns) {
		struct link_peer *peer = &link->peers[link->heap[0]];

		link_receive_timers(c, peer);
		link_send_timers(c, peer);
		link_schedule(link, peer);
		CHECK(peer->due_ns > c->now_ns);
	}
	while (link->ready_first != LINK_NONE && c->actions->packet_count < CLUSTER_PACKETS_MAX && action_room(c) > 0) {
		struct link_peer *peer = ready_pop(link);

		if (link_flush(c, peer))
			link_ready(link, peer);
		link_schedule(link, peer);
	}
	if (link->losing.count > 0)
		lost_tell(c);
}

bool
cluster_link_view(const struct cluster *c, uint64_t id, struct link_view *view)
{
	const struct member *member = members_find(&c->members, id);
	const struct link_peer *peer = member ? &c->link.peers[member - c->members.slots] : NULL;

	if (!peer || peer->id != id)
		return false;
	*view = (struct link_view){ .srtt_ns = peer->window.srtt_ns, .timeout_ns = window_timeout_ns(&peer->window),
		.window = peer->window.size, .in_flight = peer->in_flight, .queued = peer->queue.count, .held = peer->held };
	return true;
}

/* --- checks -------------------------------------------------------------------------- */

static void
peer_check(const struct link *link, const struct link_peer *peer)
{
	uint32_t in_flight = 0, lost = 0, held = peer->queue.count + peer->held_in, ahead = 0, held_in = 0;

	CHECK(peer->oldest <= peer->next && peer->next <= peer->oldest + LINK_WINDOW && peer->oldest >= 1);
	for (uint64_t sequence = peer->oldest; sequence < peer->next; sequence++) {
		const struct link_segment *segment = segment_out(link, peer, sequence);

		CHECK(segment->sequence == sequence && segment->owner == peer->id && segment->transmissions > 0);
		CHECK(segment->order <= peer->order && !(segment->lost && segment->acknowledged));
		CHECK(!segment->lost || sequence >= peer->lost_from);
		in_flight += !segment->lost && !segment->acknowledged;
		lost += segment->lost;
		held++;
	}
	for (uint32_t i = 0; i < LINK_WINDOW; i++) {
		ahead += peer->ahead[i / 64] >> i % 64 & 1;
		held_in += peer->in[i] != 0;
		CHECK(peer->in[i] == 0 || peer->ahead[i / 64] >> i % 64 & 1);
	}
	CHECK(in_flight == peer->in_flight && lost == peer->lost && held == peer->held);
	CHECK(ahead == peer->ahead_count && held_in == peer->held_in);
	CHECK(peer->oldest == peer->next || peer->timer_ns != 0);
	CHECK(peer->buffer == LINK_NONE || peer->filled < peer->total);
	CHECK((peer->due_ns == UINT64_MAX) == (peer->heap_at == 0));
	CHECK(peer->heap_at == 0 || &link->peers[link->heap[peer->heap_at - 1]] == peer);
	window_check(&peer->window);
}

void
link_check(const struct link *link)
{
	uint32_t held = link->losing.count, assembling = 0, buffers = 0, ready = 0;

	for (uint32_t i = 0; i < link->attached_count; i++) {
		const struct link_peer *peer = &link->peers[link->attached[i]];

		peer_check(link, peer);
		CHECK(peer->attached_at == i && peer->id != 0);
		held += peer->held;
		assembling += peer->buffer != LINK_NONE;
		ready += peer->ready;
	}
	CHECK(held + link->free_count == link->segments_max && link->segments_fresh <= link->segments_max);
	for (uint32_t i = 1; i < link->heap_count; i++)
		CHECK(link->peers[link->heap[(i - 1) / 2]].due_ns <= link->peers[link->heap[i]].due_ns);
	for (uint32_t at = link->ready_first; at != LINK_NONE; at = link->peers[at].ready_next)
		ready--;
	CHECK(ready == 0);
	for (uint32_t i = link->small_free; i != LINK_NONE; i = link->buffers[i].next)
		buffers++;
	for (uint32_t i = link->large_free; i != LINK_NONE; i = link->buffers[i].next)
		buffers++;
	for (uint32_t i = link->spent; i != LINK_NONE; i = link->buffers[i].next)
		buffers++;
	CHECK(buffers + assembling == link->buffer_count);
}
