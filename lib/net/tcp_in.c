/*
 * Received bytes in order. They are offered where they stand in the frame as long as the connection has one
 * frame and nothing unread; else, and when the application leaves some, they are in one block that grows.
 */
#include <string.h>

#include "base/check.h"
#include "net/tcp_state.h"

static struct tcp_offer *
offer_of(const struct tcp *tcp, const struct tcp_conn *conn)
{
	return conn->offer ? (struct tcp_offer *)&tcp->offers[conn->offer - 1] : NULL;
}

uint32_t
tcp_in_unread(const struct tcp *tcp, const struct tcp_conn *conn)
{
	if (conn->offer)
		return offer_of(tcp, conn)->len;
	return conn->in ? conn->in->len : 0;
}

struct view
tcp_in_view(const struct tcp *tcp, const struct tcp_conn *conn)
{
	if (conn->offer)
		return view_of(offer_of(tcp, conn)->data, offer_of(tcp, conn)->len);
	if (conn->in)
		return view_of(conn->in->bytes + conn->in->start, conn->in->len);
	return view_of(NULL, 0);
}

/* The frame is let go. */
static void
close_offer(struct tcp *tcp, struct tcp_conn *conn)
{
	struct tcp_offer *offer = offer_of(tcp, conn);

	offer->pkt->disposition = PKT_DONE;
	offer->pkt = NULL;
	offer->len = 0;
	conn->offer = 0;
}

/* Room for `more` bytes behind the unread ones. */
static bool
grow(struct tcp *tcp, struct tcp_conn *conn, uint32_t more)
{
	struct tcp_in *in = conn->in, *larger;
	uint32_t need = (in ? in->len : 0) + more + (uint32_t)sizeof *in;
	uint32_t size;

	if (in && in->start + need <= in->size)
		return true;
	if (in && need <= in->size) {
		memmove(in->bytes, in->bytes + in->start, in->len);
		in->start = 0;
		return true;
	}
	if (need > BLOCK_MAX)
		return false;
	size = blocks_rounded(need);
	larger = blocks_take(&tcp->blocks, size);
	if (!larger)
		return false;
	*larger = (struct tcp_in){ .size = size };
	if (in) {
		*larger = *in;
		larger->size = size;
		larger->start = 0;
		memcpy(larger->bytes, in->bytes + in->start, in->len);
		blocks_give(&tcp->blocks, in, in->size);
	}
	conn->in = larger;
	return true;
}

/* The block goes when nothing is in it and nothing was asked for. */
static void
shrink(struct tcp *tcp, struct tcp_conn *conn)
{
	struct tcp_in *in = conn->in;

	if (!in || in->len || in->wanted || conn_is(conn, CONN_ROOM))
		return;
	blocks_give(&tcp->blocks, in, in->size);
	conn->in = NULL;
}

static bool
append(struct tcp *tcp, struct tcp_conn *conn, const uint8_t *data, uint32_t len)
{
	struct tcp_in *in;

	if (len == 0)
		return true;
	if (!grow(tcp, conn, len))
		return false;
	in = conn->in;
	memcpy(in->bytes + in->start + in->len, data, len);
	in->len += len;
	return true;
}

bool
tcp_in_settle(struct tcp *tcp, struct tcp_conn *conn)
{
	struct tcp_offer *offer = offer_of(tcp, conn);

	if (!offer)
		return true;
	if (!append(tcp, conn, offer->data, offer->len))
		return false;
	close_offer(tcp, conn);
	return true;
}

/* What goes straight to where the application wants it. */
static uint32_t
fill_room(struct tcp_conn *conn, const uint8_t *data, uint32_t len)
{
	struct tcp_in *in = conn->in;
	uint32_t part;

	if (!conn_is(conn, CONN_ROOM))
		return 0;
	part = least(len, in->room_len - in->filled);
	if (part)
		memcpy(in->room + in->filled, data, part);
	in->filled += part;
	return part;
}

bool
tcp_in_take(struct tcp *tcp, struct tcp_conn *conn, struct tcp_segment *segment, const uint8_t *data, uint32_t len)
{
	uint32_t room = conn_is(conn, CONN_ROOM) ? least(len, conn->in->room_len - conn->in->filled) : 0;
	bool unread = conn->offer || (conn->in && conn->in->len);

	if (len > room && (!segment || unread || tcp->offer_count == TCP_OFFERS_MAX)) {
		/* Memory first: either all of the bytes are taken or none. */
		if (!tcp_in_settle(tcp, conn) || !append(tcp, conn, data + room, len - room))
			return false;
		fill_room(conn, data, room);
		return true;
	}
	fill_room(conn, data, room);
	if (len > room) {
		tcp->offers[tcp->offer_count++] = (struct tcp_offer){ segment->pkt, data + room, len - room, conn_index(tcp, conn) };
		conn->offer = (uint16_t)tcp->offer_count;
	}
	return true;
}

void
tcp_in_consume(struct tcp *tcp, struct tcp_conn *conn, uint32_t len)
{
	struct tcp_offer *offer = offer_of(tcp, conn);

	if (offer) {
		offer->data += len;
		offer->len -= len;
		if (offer->len == 0)
			close_offer(tcp, conn);
	} else if (len) {
		conn->in->start += len;
		conn->in->len -= len;
		if (conn->in->len == 0)
			conn->in->start = 0;
	}
}

/* Unread bytes that the new room is for go there. */
static void
move_to_room(struct tcp *tcp, struct tcp_conn *conn)
{
	struct view unread = tcp_in_view(tcp, conn);
	uint32_t part = fill_room(conn, unread.data, unread.len);

	tcp_in_consume(tcp, conn, part);
}

bool
tcp_in_set(struct tcp *tcp, struct tcp_conn *conn, uint32_t wanted, uint8_t *room, uint32_t room_len)
{
	bool keep = !room && conn_is(conn, CONN_ROOM) && conn->in->filled < conn->in->room_len;

	if (keep) { /* it is being filled; the turn was for something else */
		conn->in->wanted = least(wanted, BLOCK_MAX - (uint32_t)sizeof *conn->in);
		return true;
	}
	conn->flags &= ~CONN_ROOM;
	if ((wanted || room) && !conn->in && !grow(tcp, conn, 0))
		return false;
	if (conn->in) {
		conn->in->wanted = least(wanted, BLOCK_MAX - (uint32_t)sizeof *conn->in);
		conn->in->room = room;
		conn->in->room_len = room ? room_len : 0;
		conn->in->filled = 0;
	}
	if (room) {
		conn->flags |= CONN_ROOM;
		move_to_room(tcp, conn);
		if (conn->in->filled == room_len)
			conn->flags |= CONN_NEWS;
	}
	shrink(tcp, conn);
	return true;
}

void
tcp_in_clear(struct tcp *tcp, struct tcp_conn *conn)
{
	if (conn->offer)
		close_offer(tcp, conn);
	if (conn->in)
		blocks_give(&tcp->blocks, conn->in, conn->in->size);
	conn->in = NULL;
	conn->flags &= ~CONN_ROOM;
}

uint32_t
tcp_in_space(const struct tcp *tcp, const struct tcp_conn *conn)
{
	uint32_t limit = tcp->config.input_max, unread = tcp_in_unread(tcp, conn), room = 0;

	/* A connection that takes in a large value is offered all of it; one whose application waits for more bytes than
	 * the window would hold, those and two segments, or 3.8.6.2.2 keeps closed what must open by less than one. */
	if (conn->in) {
		if (conn->in->wanted > unread)
			limit = most(limit, conn->in->wanted + 2u * conn->mss);
		if (conn_is(conn, CONN_ROOM))
			room = conn->in->room_len - conn->in->filled;
	}
	limit = least(limit, BLOCK_MAX - (uint32_t)sizeof *conn->in);
	return room + (limit > unread ? limit - unread : 0);
}
