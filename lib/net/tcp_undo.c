/*
 * Taking back a reduction that was needless: what was sent again had not been lost, only late. RFC 3522 (Eifel: the echo of
 * a timestamp tells which of two copies arrived), RFC 3708 (DSACK tells that both did), RFC 4015 (what to do then).
 *
 * How: a recovery, or a timeout, remembers what it reduced and counts what it sent again. When the peer has proved
 * of each of these that it had the original, the window grows back, as far as one initial window a step: not in one burst.
 * Both proofs are counted apart, since one copy may be told of by both. Not done: F-RTO (RFC 5682), which would find late
 * originals behind a timeout where there are no timestamps.
 */
#include "net/tcp_state.h"

void
tcp_undo_begin(struct tcp_conn *conn)
{
	struct tcp_rtx *rtx = conn->rtx;

	/* A timeout in the midst of recovery: both must have been needless. */
	if (rtx->undo_cwnd && conn_is(conn, CONN_RECOVERY | CONN_LOSS))
		return;
	rtx->undo_cwnd = conn->cwnd;
	rtx->undo_ssthresh = conn->ssthresh;
	rtx->undo_max = conn->cubic_max;
	rtx->undo_una = conn->snd_una;
	rtx->undo_resent = rtx->undo_late = rtx->undo_twice = 0;
}

void
tcp_undo_resent(struct tcp_rtx *rtx)
{
	if (rtx->undo_resent == UINT16_MAX)
		rtx->undo_cwnd = 0;
	else
		rtx->undo_resent++;
}

/* Our timestamp on the segment that was sent at tx_us. */
static uint32_t
stamp_of(const struct tcp *tcp, const struct tcp_conn *conn, uint32_t tx_us)
{
	uint64_t us = tcp->now_ns / 1000 - (tcp->now_us - tx_us);

	return (uint32_t)(us / 1000) + conn->ts_offset;
}

/*
 * RFC 3522 3.2 (4): the echo is older than the retransmission, so it was the original that arrived. Or its news came sooner
 * than any round trip ever took. `p`: the ACK that acknowledges it; NULL: SACK does, whose echo is of another segment.
 */
void
tcp_undo_delivered(const struct tcp *tcp, struct tcp_conn *conn, const struct tcp_record *record, const struct tcp_parsed *p)
{
	bool stamped = p && conn_is(conn, CONN_TIMESTAMPS) && p->options.has_timestamps && p->options.tsecr;

	if (!conn->rtx->undo_cwnd || !(record->flags & RECORD_RETRANSMITTED))
		return;
	if (tcp->now_us - record->tx_us < conn->min_rtt_us ||
	    (stamped && seq_lt(p->options.tsecr, stamp_of(tcp, conn, record->tx_us))))
		conn->rtx->undo_late++;
}

/* RFC 3708 2: a block below the ACK, or inside of the next one, is of bytes that came twice (RFC 2883 4). */
bool
tcp_undo_is_dsack(const struct tcp_parsed *p)
{
	const struct tcp_options *options = &p->options;

	if (options->sack_count == 0 || !seq_lt(options->sack[0].start, options->sack[0].end))
		return false;
	if (seq_le(options->sack[0].end, p->ack))
		return true;
	return options->sack_count > 1 && seq_le(options->sack[1].start, options->sack[0].start) &&
	    seq_le(options->sack[0].end, options->sack[1].end);
}

void
tcp_undo_dsack(struct tcp_conn *conn, const struct tcp_parsed *p)
{
	uint32_t start = p->options.sack[0].start, len = p->options.sack[0].end - start;
	uint32_t max = conn->mss - (conn_is(conn, CONN_TIMESTAMPS) ? TCP_TIMESTAMP_LEN : 0u), segments = (len + max - 1) / max;
	struct tcp_rtx *rtx = conn->rtx;

	if (!rtx->undo_cwnd || seq_lt(start, rtx->undo_una) || seq_lt(rtx->recover, start + len))
		return;
	/* More than were sent again: it is the network that doubles, and nothing can be told from that. */
	if (segments > (uint32_t)rtx->undo_resent - rtx->undo_twice)
		rtx->undo_cwnd = 0;
	else
		rtx->undo_twice = (uint16_t)(rtx->undo_twice + segments);
}

/* RFC 4015 3: ssthresh is what the window was, and slow start leads there from what is in flight. */
void
tcp_undo_try(struct tcp *tcp, struct tcp_conn *conn)
{
	struct tcp_rtx *rtx = conn->rtx;

	if (!rtx->undo_cwnd || rtx->undo_resent == 0 ||
	    (rtx->undo_late != rtx->undo_resent && rtx->undo_twice != rtx->undo_resent))
		return;
	conn->ssthresh = most(rtx->undo_ssthresh, rtx->undo_cwnd);
	conn->cwnd = most(conn->cwnd, least(rtx->undo_cwnd, rtx->pipe + tcp_cc_initial(conn)));
	conn->cubic_max = most(conn->cubic_max, rtx->undo_max);
	conn->cubic_est = 0;
	conn->acked = 0;
	if (!conn_is(conn, CONN_LOSS)) /* no timeout: they were overtaken */
		conn->flags |= CONN_REORDERED;
	tcp_rtx_found(rtx);
	conn->flags &= ~(CONN_RECOVERY | CONN_LOSS | CONN_RETRANSMIT);
	rtx->undo_cwnd = 0;
	counter_add(tcp->counters, COUNTER_TCP_UNDONE, 1);
}
