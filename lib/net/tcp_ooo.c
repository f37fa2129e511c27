/*
 * Segments beyond a gap: RFC 9293 SHLD-31, RFC 2018, RFC 2883. Copied out of their frames, a block each, sorted. Bytes
 * that came first win where segments overlap, so that nobody can change what was received.
 *
 * How much one connection may hold: half of what all have left, and never less than TCP_OOO_FLOOR (the dynamic threshold of
 * Choudhury and Hahne, 1998). Alone it has a third of the total, more than a window; the more hold something, the
 * less each may, and there is always some left for who comes. A fixed bound was 64 KB: a large value over a path that
 * loses 1 % then had six of ten that came behind a gap thrown away.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "net/tcp_state.h"

enum { OPTION_SACK = 5, OPTION_NOP = 1 };

static bool
is_within(const struct tcp *tcp, const struct tcp_ooo *ooo, uint32_t more)
{
	uint64_t left = tcp->config.ooo_bytes_max - tcp->ooo_bytes;
	uint64_t share = left / 2 > TCP_OOO_FLOOR ? left / 2 : TCP_OOO_FLOOR;

	return more <= left && ooo->bytes + more <= share;
}

static struct tcp_ooo *
head_of(struct tcp *tcp, struct tcp_conn *conn)
{
	if (!conn->ooo) {
		conn->ooo = blocks_take(&tcp->blocks, sizeof *conn->ooo);
		if (conn->ooo)
			*conn->ooo = (struct tcp_ooo){ 0 };
	}
	return conn->ooo;
}

static void
shrink(struct tcp *tcp, struct tcp_conn *conn)
{
	struct tcp_ooo *ooo = conn->ooo;

	if (!ooo || ooo->first || ooo->has_fin || ooo->dsack_start != ooo->dsack_end)
		return;
	blocks_give(&tcp->blocks, ooo, sizeof *ooo);
	conn->ooo = NULL;
}

static void
give_slice(struct tcp *tcp, struct tcp_ooo *ooo, struct tcp_slice *slice)
{
	ooo->count--;
	ooo->bytes -= slice->size;
	tcp->ooo_bytes -= slice->size;
	blocks_give(&tcp->blocks, slice, slice->size);
}

/*
 * A slice of the bytes, linked in at *link, behind `before` (or NULL). One that goes on where that one is full has twice
 * its size: hundreds of small segments in a row, behind one that was lost, are few slices.
 */
static bool
insert(struct tcp *tcp, struct tcp_ooo *ooo, const struct tcp_slice *before, struct tcp_slice **link, uint32_t seq,
    const uint8_t *data, uint32_t len)
{
	uint32_t size = blocks_rounded((uint32_t)sizeof(struct tcp_slice) + len);
	struct tcp_slice *slice;

	/* What is bounded is memory, not payload: 1-byte segments cost 64 (CVE-2018-5390). */
	if (ooo->count == TCP_SLICES_MAX || !is_within(tcp, ooo, size))
		return false;
	if (before && before->seq + before->len == seq && before->size < TCP_SLICE_MAX && is_within(tcp, ooo, 2 * before->size))
		size = most(size, 2 * before->size);
	slice = blocks_take(&tcp->blocks, size);
	if (!slice)
		return false;
	*slice = (struct tcp_slice){ .next = *link, .seq = seq, .len = len, .stamp = ooo->stamp, .size = size };
	memcpy(slice->bytes, data, len);
	*link = slice;
	if (!slice->next)
		ooo->last = slice;
	ooo->count++;
	ooo->bytes += size;
	tcp->ooo_bytes += size;
	return true;
}

/* Small pieces that follow each other share a block while it has room. */
static bool
extend(struct tcp_slice *slice, uint32_t seq, const uint8_t *data, uint32_t len, uint32_t stamp)
{
	if (slice->seq + slice->len != seq || slice->len + len > slice->size - sizeof *slice)
		return false;
	memcpy(slice->bytes + slice->len, data, len);
	slice->len += len;
	slice->stamp = stamp;
	return true;
}

/* The bytes [seq, seq + len) that no slice has yet. Returns how many were kept; *all false: not all that should be. */
static uint32_t
put_missing(struct tcp *tcp, struct tcp_ooo *ooo, uint32_t seq, const uint8_t *data, uint32_t len, bool *all)
{
	/* Most come behind all that is there. */
	struct tcp_slice *before = ooo->last && seq_le(ooo->last->seq, seq) ? ooo->last : NULL;
	uint32_t end = seq + len, fresh = 0, part;

	for (*all = true; seq != end; seq += part, data += part) {
		struct tcp_slice **link = before ? &before->next : &ooo->first;

		while (*link && seq_le((*link)->seq, seq)) {
			before = *link;
			link = &before->next;
		}
		if (before && seq_lt(seq, before->seq + before->len)) { /* these are there */
			part = least(end - seq, before->seq + before->len - seq);
			before->stamp = ooo->stamp;
			continue;
		}
		part = *link ? least(end - seq, (*link)->seq - seq) : end - seq;
		if (!(before && extend(before, seq, data, part, ooo->stamp)) && !insert(tcp, ooo, before, link, seq, data, part)) {
			*all = false;
			break;
		}
		fresh += part;
	}
	return fresh;
}

bool
tcp_ooo_put(struct tcp *tcp, struct tcp_conn *conn, uint32_t seq, const uint8_t *data, uint32_t len, bool fin)
{
	struct tcp_ooo *ooo = head_of(tcp, conn);
	uint32_t fresh;
	bool all;

	if (!ooo)
		return false;
	ooo->stamp++;
	fresh = put_missing(tcp, ooo, seq, data, len, &all);
	if (all && fin) {
		ooo->has_fin = true;
		ooo->fin_seq = seq + len;
	}
	if (all && fresh == 0)
		tcp_ooo_duplicate(tcp, conn, seq, seq + len);
	shrink(tcp, conn);
	return all || fresh > 0;
}

void
tcp_ooo_duplicate(struct tcp *tcp, struct tcp_conn *conn, uint32_t start, uint32_t end)
{
	if (!conn_is(conn, CONN_SACK) || start == end || !head_of(tcp, conn))
		return;
	/* One that goes on where another of this burst ends is one with it, or a peer that counts would miss it. */
	if (conn->ooo->dsack_start != conn->ooo->dsack_end && conn->ooo->dsack_end == start)
		start = conn->ooo->dsack_start;
	conn->ooo->dsack_start = start;
	conn->ooo->dsack_end = end;
}

bool
tcp_ooo_drain(struct tcp *tcp, struct tcp_conn *conn)
{
	struct tcp_ooo *ooo = conn->ooo;
	bool fin = false;

	while (ooo->first && seq_le(ooo->first->seq, conn->rcv_nxt)) {
		struct tcp_slice *slice = ooo->first;
		uint32_t skip = conn->rcv_nxt - slice->seq;

		if (skip < slice->len) {
			/* Without memory it stays, and is handed on when the peer sends the next segment. */
			if (!tcp_in_take(tcp, conn, NULL, slice->bytes + skip, slice->len - skip))
				return false;
			conn->rcv_nxt += slice->len - skip;
		}
		ooo->first = slice->next;
		if (!slice->next)
			ooo->last = NULL;
		give_slice(tcp, ooo, slice);
	}
	if (ooo->has_fin && ooo->fin_seq == conn->rcv_nxt) {
		ooo->has_fin = false;
		fin = true;
	}
	shrink(tcp, conn);
	return fin;
}

struct range {
	uint32_t start, end, stamp;
};

/* Slices that touch are one range; the latest come first. Returns how many, at most TCP_SACK_MAX. */
static uint32_t
ranges_of(const struct tcp_ooo *ooo, struct range ranges[TCP_SACK_MAX])
{
	uint32_t count = 0;

	for (const struct tcp_slice *slice = ooo->first; slice;) {
		struct range range = { slice->seq, slice->seq, slice->stamp };
		uint32_t at;

		for (; slice && slice->seq == range.end; slice = slice->next) {
			range.end += slice->len;
			if (seq_lt(range.stamp, slice->stamp))
				range.stamp = slice->stamp;
		}
		for (at = count; at > 0 && seq_lt(ranges[at - 1].stamp, range.stamp); at--)
			if (at < TCP_SACK_MAX)
				ranges[at] = ranges[at - 1];
		if (at < TCP_SACK_MAX)
			ranges[at] = range;
		if (count < TCP_SACK_MAX)
			count++;
	}
	return count;
}

uint32_t
tcp_ooo_sack(struct tcp *tcp, struct tcp_conn *conn, uint8_t *at, uint32_t room)
{
	struct range ranges[TCP_SACK_MAX + 1];
	struct tcp_ooo *ooo = conn->ooo;
	uint32_t count = 0, max = room < 12 ? 0 : least((room - 4) / 8, TCP_SACK_MAX);

	if (!ooo || !conn_is(conn, CONN_SACK) || max == 0)
		return 0;
	/* RFC 2883 4: the first block is the duplicate; it is reported once. */
	if (ooo->dsack_start != ooo->dsack_end)
		ranges[count++] = (struct range){ ooo->dsack_start, ooo->dsack_end, 0 };
	ooo->dsack_start = ooo->dsack_end = 0;
	count += ranges_of(ooo, ranges + count);
	count = least(count, max);
	if (count > 0) {
		at[0] = at[1] = OPTION_NOP;
		at[2] = OPTION_SACK;
		at[3] = (uint8_t)(2 + 8 * count);
		for (uint32_t i = 0; i < count; i++) {
			store_be32(at + 4 + 8 * i, ranges[i].start);
			store_be32(at + 8 + 8 * i, ranges[i].end);
		}
	}
	shrink(tcp, conn);
	return count ? 4 + 8 * count : 0;
}

void
tcp_ooo_clear(struct tcp *tcp, struct tcp_conn *conn)
{
	struct tcp_ooo *ooo = conn->ooo;

	if (!ooo)
		return;
	while (ooo->first) {
		struct tcp_slice *slice = ooo->first;

		ooo->first = slice->next;
		give_slice(tcp, ooo, slice);
	}
	blocks_give(&tcp->blocks, ooo, sizeof *ooo);
	conn->ooo = NULL;
}
