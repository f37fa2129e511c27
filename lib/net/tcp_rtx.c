/*
 * What is in flight: records of segments, the retransmission timer, and recovery.
 * RFC 6298 (timer), RFC 6675 (loss recovery by SACK), RFC 6582 (without it), RFC 3042 (limited transmit).
 */
#include <string.h>

#include "base/check.h"
#include "net/tcp_state.h"

enum {
	RTO_INITIAL_US = 1000000,    /* RFC 6298 (2.1) */
	RTO_MAX_US = 60000000,       /* RFC 6298 (2.5) */
	CLOCK_US = 1000,             /* G: the wheel's tick */
	DUP_THRESH = 3,              /* RFC 5681 3.2 */
	TIMEOUTS_MAX = 15,           /* and give_up_s; 200 ms doubled up to 60 s take 8 min for so many */
};

struct tcp_record *
tcp_rtx_at(struct tcp_rtx *rtx, uint32_t i)
{
	uint32_t at = rtx->head + i;

	return &rtx->ring[at < rtx->size ? at : at - rtx->size];
}

uint32_t
tcp_rtx_flight(const struct tcp_conn *conn)
{
	return conn->snd_nxt - conn->snd_una;
}

static uint32_t
block_bytes(uint32_t records)
{
	return (uint32_t)(sizeof(struct tcp_rtx) + records * sizeof(struct tcp_record));
}

bool
tcp_rtx_reserve(struct tcp *tcp, struct tcp_conn *conn)
{
	struct tcp_rtx *rtx = conn->rtx, *larger;
	uint32_t bytes, size;

	if (rtx && rtx->count < rtx->size)
		return true;
	if (rtx && rtx->size >= TCP_RECORDS_MAX)
		return false;
	bytes = rtx ? 2 * blocks_rounded(block_bytes(rtx->size)) : 128;
	size = (bytes - (uint32_t)sizeof *rtx) / (uint32_t)sizeof(struct tcp_record);
	larger = blocks_take(&tcp->blocks, bytes);
	if (!larger)
		return false;
	if (!rtx) {
		*larger = (struct tcp_rtx){ .size = (uint16_t)size };
	} else {
		*larger = *rtx;
		larger->size = (uint16_t)size;
		larger->head = 0;
		for (uint32_t i = 0; i < rtx->count; i++)
			larger->ring[i] = *tcp_rtx_at(rtx, i);
		blocks_give(&tcp->blocks, rtx, block_bytes(rtx->size));
	}
	conn->rtx = larger;
	return true;
}

void
tcp_rtx_clear(struct tcp *tcp, struct tcp_conn *conn)
{
	if (conn->rtx)
		blocks_give(&tcp->blocks, conn->rtx, block_bytes(conn->rtx->size));
	conn->rtx = NULL;
}

/* Marks change here and nowhere else, so that pipe and the counts follow (RFC 6675 4, SetPipe). */
static void
mark(struct tcp_rtx *rtx, struct tcp_record *record, uint8_t flags)
{
	uint8_t old = record->flags;
	bool was = !(old & RECORD_SACKED) && (!(old & RECORD_LOST) || (old & RECORD_RETRANSMITTED));
	bool is = !(flags & RECORD_SACKED) && (!(flags & RECORD_LOST) || (flags & RECORD_RETRANSMITTED));

	rtx->pipe += (is ? record->len : 0u) - (was ? record->len : 0u);
	rtx->sacked = (uint16_t)(rtx->sacked + !!(flags & RECORD_SACKED) - !!(old & RECORD_SACKED));
	rtx->lost = (uint16_t)(rtx->lost + !!(flags & RECORD_LOST) - !!(old & RECORD_LOST));
	record->flags = flags;
}

void
tcp_rtx_sent(struct tcp *tcp, struct tcp_conn *conn, uint32_t len, bool fin)
{
	struct tcp_rtx *rtx = conn->rtx;

	*tcp_rtx_at(rtx, rtx->count++) = (struct tcp_record){ .seq = conn->snd_nxt, .tx_us = tcp->now_us,
		.len = (uint16_t)len, .flags = fin ? RECORD_FIN : 0 };
	rtx->pipe += len;
	rtx->prr_out += len;
	conn->snd_nxt += len;
}

void
tcp_rtx_resent(struct tcp *tcp, struct tcp_conn *conn, uint32_t i, bool lost)
{
	struct tcp_record *record = tcp_rtx_at(conn->rtx, i);

	record->tx_us = tcp->now_us;
	conn->rtx->prr_out += record->len;
	if (record->tries < UINT8_MAX)
		record->tries++;
	if (lost) {
		mark(conn->rtx, record, record->flags | RECORD_RETRANSMITTED);
		tcp_undo_resent(conn->rtx);
	}
	counter_add(tcp->counters, COUNTER_TCP_RETRANSMITS, 1);
}

bool
tcp_rtx_split(struct tcp *tcp, struct tcp_conn *conn, uint32_t i, uint32_t len)
{
	struct tcp_record *record, *rest;
	struct tcp_rtx *rtx;

	if (!tcp_rtx_reserve(tcp, conn))
		return false;
	rtx = conn->rtx;
	rtx->count++;
	for (uint32_t k = rtx->count - 1; k > i + 1; k--)
		*tcp_rtx_at(rtx, k) = *tcp_rtx_at(rtx, k - 1);
	record = tcp_rtx_at(rtx, i);
	rest = tcp_rtx_at(rtx, i + 1);
	*rest = *record;
	rest->seq += len;
	rest->len = (uint16_t)(record->len - len);
	record->len = (uint16_t)len;
	record->flags &= (uint8_t)~RECORD_FIN;
	rtx->sacked = (uint16_t)(rtx->sacked + !!(rest->flags & RECORD_SACKED));
	rtx->lost = (uint16_t)(rtx->lost + !!(rest->flags & RECORD_LOST));
	return true;
}

/* RFC 6675 4, NextSeg rule 1: the first segment that is lost and was not sent again. */
int32_t
tcp_rtx_next(struct tcp_conn *conn)
{
	struct tcp_rtx *rtx = conn->rtx;

	if (!rtx || rtx->lost == 0)
		return TCP_NONE;
	for (; rtx->hint < rtx->count; rtx->hint++)
		if ((tcp_rtx_at(rtx, rtx->hint)->flags & (RECORD_LOST | RECORD_RETRANSMITTED | RECORD_SACKED)) == RECORD_LOST)
			return rtx->hint;
	return TCP_NONE;
}

/* RFC 9293 3.8.3, R2: a peer of whom nothing was heard for so long is given up. */
static bool
is_silent(const struct tcp *tcp, const struct tcp_conn *conn)
{
	return tcp->now_ms - conn->last_rx_ms > tcp->config.give_up_s * 1000;
}

void
tcp_rtx_lose(struct tcp_rtx *rtx, uint32_t i)
{
	struct tcp_record *record = tcp_rtx_at(rtx, i);

	mark(rtx, record, (uint8_t)((record->flags | RECORD_LOST) & ~RECORD_RETRANSMITTED));
	if (i < rtx->hint)
		rtx->hint = (uint16_t)i;
}

void
tcp_rtx_found(struct tcp_rtx *rtx)
{
	for (uint32_t i = 0; i < rtx->count && rtx->lost; i++) {
		struct tcp_record *record = tcp_rtx_at(rtx, i);

		if ((record->flags & (RECORD_LOST | RECORD_RETRANSMITTED)) == RECORD_LOST)
			mark(rtx, record, record->flags & (uint8_t)~RECORD_LOST);
	}
}

/* --- round-trip time ------------------------------------------------------------------------ */

void
tcp_rtt_sample(struct tcp_conn *conn, uint32_t rtt_us)
{
	if ((int32_t)rtt_us < 0)
		return;
	rtt_us = most(rtt_us, 1);
	if (conn->srtt_us == 0) {
		/* RFC 6298 (2.2): SRTT <- R, RTTVAR <- R/2 */
		conn->srtt_us = rtt_us;
		conn->rttvar_us = rtt_us / 2;
		conn->min_rtt_us = rtt_us;
	} else {
		uint32_t off = rtt_us > conn->srtt_us ? rtt_us - conn->srtt_us : conn->srtt_us - rtt_us;

		/* (2.3): RTTVAR <- 3/4 RTTVAR + 1/4 |SRTT - R'|, then SRTT <- 7/8 SRTT + 1/8 R' */
		conn->rttvar_us = conn->rttvar_us - conn->rttvar_us / 4 + off / 4;
		conn->srtt_us = most(conn->srtt_us - conn->srtt_us / 8 + rtt_us / 8, 1);
	}
}

uint32_t
tcp_rto_us(const struct tcp *tcp, const struct tcp_conn *conn)
{
	uint64_t rto = RTO_INITIAL_US;

	if (conn->srtt_us) /* RFC 6298 (2.3): RTO <- SRTT + max (G, K*RTTVAR), K = 4 */
		rto = (uint64_t)conn->srtt_us + most(CLOCK_US, 4 * conn->rttvar_us);
	if (rto < tcp->config.rto_min_us)
		rto = tcp->config.rto_min_us;
	rto <<= conn->backoff < 16 ? conn->backoff : 16; /* (5.5) */
	return rto > RTO_MAX_US ? RTO_MAX_US : (uint32_t)rto;
}

/* What the ACK says about the time that a segment took: the last sent one counts (Karn: never one sent twice). */
static void
sample(const struct tcp_record *record, uint32_t now_us, uint32_t *rtt_us)
{
	if (record->tries == 0)
		*rtt_us = least(*rtt_us, now_us - record->tx_us);
}

/* --- acknowledgements ----------------------------------------------------------------------- */

static bool
is_full(const struct tcp_conn *conn, const struct tcp_record *record)
{
	return record->len + (conn_is(conn, CONN_TIMESTAMPS) ? TCP_TIMESTAMP_LEN : 0u) + 8 >= conn->mss;
}

/* Everything before `ack` goes. Returns the bytes of it that were not SACKed before. */
static uint32_t
acknowledge(struct tcp *tcp, struct tcp_conn *conn, const struct tcp_parsed *p, uint32_t *rtt_us)
{
	struct tcp_rtx *rtx = conn->rtx;
	uint32_t delivered = 0, ack = p->ack;
	bool again = false;

	while (rtx->count > 0) {
		struct tcp_record *record = tcp_rtx_at(rtx, 0);

		if (seq_le(ack, record->seq))
			break;
		if (seq_lt(ack, record->seq + record->len)) { /* a part of it */
			uint32_t part = ack - record->seq;
			uint8_t flags = record->flags;

			delivered += flags & RECORD_SACKED ? 0 : part;
			mark(rtx, record, RECORD_SACKED | (flags & RECORD_FIN)); /* out of pipe, and in again shorter */
			record->seq = ack;
			record->len = (uint16_t)(record->len - part);
			mark(rtx, record, flags);
			break;
		}
		again |= record->tries > 0;
		if (is_full(conn, record))
			conn->flags |= CONN_WIDE;
		if (!(record->flags & RECORD_SACKED)) {
			sample(record, tcp->now_us, rtt_us);
			tcp_undo_delivered(tcp, conn, record, p);
			tcp_rack_delivered(tcp, conn, record);
			delivered += record->len;
		}
		mark(rtx, record, RECORD_SACKED);
		mark(rtx, record, 0);
		rtx->pipe -= record->len;
		rtx->head = (uint16_t)(rtx->head + 1 == rtx->size ? 0 : rtx->head + 1);
		rtx->count--;
		rtx->hint = (uint16_t)(rtx->hint ? rtx->hint - 1 : 0);
	}
	if (again) /* those behind one that was sent again have waited in the peer for it */
		*rtt_us = UINT32_MAX;
	tcp_undo_try(tcp, conn);
	if (rtx->count == 0)
		tcp_rtx_clear(tcp, conn);
	return delivered;
}

/* RFC 2018 5: which records are covered. Returns bytes that are news. */
static uint32_t
mark_sacked(struct tcp *tcp, struct tcp_conn *conn, const struct tcp_options *options, uint32_t *rtt_us)
{
	struct tcp_rtx *rtx = conn->rtx;
	uint32_t bytes = 0;

	for (uint32_t b = 0; b < options->sack_count; b++) {
		uint32_t start = options->sack[b].start, end = options->sack[b].end;

		/* RFC 2883 4: a block that is not beyond the ACK tells of a duplicate. Nonsense is not looked at. */
		if (!seq_lt(start, end) || !seq_lt(conn->snd_una, start) || seq_lt(conn->snd_nxt, end))
			continue;
		for (uint32_t i = 0; i < rtx->count; i++) {
			struct tcp_record *record = tcp_rtx_at(rtx, i);

			if (!seq_lt(record->seq, end))
				break;
			if (record->flags & RECORD_SACKED || seq_lt(record->seq, start) || seq_lt(end, record->seq + record->len))
				continue;
			sample(record, tcp->now_us, rtt_us);
			tcp_undo_delivered(tcp, conn, record, NULL);
			tcp_rack_delivered(tcp, conn, record);
			if (is_full(conn, record))
				conn->flags |= CONN_WIDE;
			bytes += record->len;
			mark(rtx, record, (record->flags & RECORD_FIN) | RECORD_SACKED);
		}
	}
	return bytes;
}

/*
 * RFC 6675 4, IsLost: "returns true when either DupThresh discontiguous SACKed sequences have arrived above
 * 'SeqNum' or more than (DupThresh - 1) * SMSS bytes with sequence numbers greater than 'SeqNum' have been SACKed".
 * Segments are counted for sequences, as that RFC's implementers do where boundaries of segments are known.
 */
static void
find_lost(struct tcp_conn *conn)
{
	struct tcp_rtx *rtx = conn->rtx;
	uint32_t segments = 0, bytes = 0;

	if (rtx->sacked == 0 || conn_is(conn, CONN_REORDERED))
		return;
	for (uint32_t i = rtx->count; i-- > 0;) {
		const struct tcp_record *record = tcp_rtx_at(rtx, i);

		if (record->flags & RECORD_SACKED) {
			segments++;
			bytes += record->len;
		} else if (!(record->flags & RECORD_LOST) && (segments >= DUP_THRESH || bytes > (DUP_THRESH - 1) * conn->mss)) {
			tcp_rtx_lose(rtx, i);
		}
	}
}

static void
enter_recovery(struct tcp *tcp, struct tcp_conn *conn)
{
	conn->rtx->recover = conn->snd_nxt;
	tcp_undo_begin(conn);
	tcp_cc_enter_recovery(tcp, conn);
	conn->flags |= CONN_RECOVERY | CONN_RETRANSMIT;
	counter_add(tcp->counters, COUNTER_TCP_RECOVERIES, 1);
}

/* A duplicate ACK, or an ACK with news of SACK, that acknowledges nothing. */
static void
on_duplicate(struct tcp *tcp, struct tcp_conn *conn, bool reported)
{
	struct tcp_rtx *rtx = conn->rtx;

	counter_add(tcp->counters, COUNTER_TCP_DUP_ACKS_IN, 1);
	if (conn->dupacks < UINT8_MAX)
		conn->dupacks++;
	if (conn_is(conn, CONN_SACK)) {
		if (conn_is(conn, CONN_RECOVERY | CONN_LOSS | CONN_REORDERED)) /* RFC 8985 6.2 step 4: then time alone tells */
			return;
		/* RFC 6675 5 (1), (2): DupThresh duplicates, or the first segment is lost by what SACK says. */
		if (conn->dupacks >= DUP_THRESH && reported && !(tcp_rtx_at(rtx, 0)->flags & (RECORD_LOST | RECORD_SACKED)))
			tcp_rtx_lose(rtx, 0);
		return;
	}
	/* Each says that a segment has left the network (RFC 5681 3.2 (4)). */
	rtx->reno = least(rtx->reno + conn->mss, rtx->pipe);
	if (conn->dupacks == DUP_THRESH && !conn_is(conn, CONN_RECOVERY | CONN_LOSS))
		tcp_rtx_lose(rtx, 0);
}

/* snd_una has moved. */
static void
on_progress(struct tcp *tcp, struct tcp_conn *conn, uint32_t bytes, uint32_t recover)
{
	struct tcp_rtx *rtx = conn->rtx;

	conn->dupacks = 0;
	if (conn_is(conn, CONN_RECOVERY | CONN_LOSS)) {
		if (!rtx || seq_le(recover, conn->snd_una)) {
			if (conn_is(conn, CONN_RECOVERY))
				tcp_cc_exit_recovery(tcp, conn);
			tcp_rack_recovered(conn);
			conn->flags &= ~(CONN_RECOVERY | CONN_LOSS | CONN_RETRANSMIT);
			if (rtx)
				rtx->reno = 0;
		} else if (!conn_is(conn, CONN_SACK)) {
			/* RFC 6582 3.2 (3), a partial ACK: "retransmit the first unacknowledged segment". */
			rtx->reno -= least(rtx->reno, bytes);
			if (!(tcp_rtx_at(rtx, 0)->flags & RECORD_LOST) && conn_is(conn, CONN_RECOVERY)) {
				tcp_rtx_lose(rtx, 0);
				conn->flags |= CONN_RETRANSMIT;
			}
		}
	} else if (rtx) {
		rtx->reno = 0;
	}
	if (!conn_is(conn, CONN_RECOVERY))
		tcp_cc_acked(tcp, conn, bytes);
}

static void
find_and_recover(struct tcp *tcp, struct tcp_conn *conn, uint32_t delivered, bool forward)
{
	if (conn_is(conn, CONN_SACK)) {
		find_lost(conn);
		tcp_rack_detect(tcp, conn);
	}
	if (conn->rtx->lost && !conn_is(conn, CONN_RECOVERY | CONN_LOSS))
		enter_recovery(tcp, conn);
	if (conn_is(conn, CONN_RECOVERY) && conn_is(conn, CONN_SACK))
		tcp_cc_recover(conn, delivered, forward);
}

/*
 * RFC 6298 (5.3): new data acknowledged, the timer starts anew. But "for the first partial ACK that arrives during fast
 * recovery" only (RFC 6582 3.2 (3), 4: impatient): without SACK it tells of one hole in each round trip, and
 * where hundreds are missing, a timeout and slow start are sooner done.
 */
static void
restart_timer(struct tcp_conn *conn)
{
	bool reno = conn_is(conn, CONN_RECOVERY) && !conn_is(conn, CONN_SACK);

	if (!reno || !conn_is(conn, CONN_IMPATIENT))
		conn->flags &= ~CONN_TIMER;
	conn->flags = reno ? conn->flags | CONN_IMPATIENT : conn->flags & ~CONN_IMPATIENT;
}

/* What came twice, unless it was a probe's doing: the reordering window learns, and a recovery may have been needless. */
static void
learn_twice(struct tcp_conn *conn, const struct tcp_parsed *p)
{
	const struct tcp_rtx *rtx = conn->rtx;

	if (!conn_is(conn, CONN_SACK) || !tcp_undo_is_dsack(p) || (rtx->tlp && p->options.sack[0].end == rtx->tlp_end))
		return;
	tcp_rack_dsack(conn);
	tcp_undo_dsack(conn, p);
}

void
tcp_rtx_ack(struct tcp *tcp, struct tcp_conn *conn, const struct tcp_parsed *p, bool window_same)
{
	uint32_t bytes = p->ack - conn->snd_una, rtt_us = UINT32_MAX, sacked = 0, delivered = 0, recover, tlp, tlp_end;

	if (!conn->rtx)
		return;
	recover = conn->rtx->recover;
	tlp = conn->rtx->tlp;
	tlp_end = conn->rtx->tlp_end;
	conn->rtx->fack_before = conn->rtx->rack_rtt ? conn->rtx->fack : conn->snd_una;
	learn_twice(conn, p);
	if (bytes > 0) {
		uint32_t fin = conn_is(conn, CONN_FIN_SENT) && p->ack == conn->snd_nxt;

		delivered = acknowledge(tcp, conn, p, &rtt_us);
		conn->snd_una = p->ack;
		outq_drop(&tcp->blocks, &conn->out, bytes - fin);
		conn->backoff = 0;
		conn->timeouts = 0;
	}
	if (conn->rtx && conn_is(conn, CONN_SACK) && p->options.sack_count)
		sacked = mark_sacked(tcp, conn, &p->options, &rtt_us);
	if (conn->rtx)
		tcp_undo_try(tcp, conn);
	if (rtt_us != UINT32_MAX) {
		tcp_rtt_sample(conn, rtt_us);
		/* RFC 8985 6.2 step 1. Echoes are too coarse for it; 0: none since an idle time (tcp_cc_restart). */
		conn->min_rtt_us = least(conn->min_rtt_us ? conn->min_rtt_us : UINT32_MAX, most(rtt_us, 1));
	} else if (bytes > 0 && conn_is(conn, CONN_TIMESTAMPS) && p->options.has_timestamps && p->options.tsecr) {
		/* RFC 7323 4.1: the echo says which of two transmissions it was. */
		tcp_rtt_sample(conn, (conn_timestamp(tcp, conn->ts_offset) - p->options.tsecr) * 1000);
	}
	tcp_rack_acked(tcp, conn, p, tlp, tlp_end);
	if (bytes > 0)
		on_progress(tcp, conn, bytes, recover);
	/* RFC 5681 2: what a duplicate is; with SACK (RFC 6675 2) whatever brings news of SACK. */
	else if (sacked || (p->len == 0 && window_same && !(p->flags & (TCP_SYN | TCP_FIN))))
		on_duplicate(tcp, conn, sacked > 0 || !conn_is(conn, CONN_SACK));
	/* RFC 6298 (5.2): when all is acknowledged, it stops. Before RACK, whose window may be what it is set to next. */
	if (bytes > 0)
		restart_timer(conn);
	if (conn->rtx)
		find_and_recover(tcp, conn, delivered + sacked, bytes > 0);
	tcp_rtx_arm(tcp, conn);
	tcp_list_output(tcp, conn);
}

/* --- sending -------------------------------------------------------------------------------- */

uint32_t
tcp_rtx_room(const struct tcp_conn *conn)
{
	uint32_t pipe = conn->rtx ? conn->rtx->pipe - least(conn->rtx->reno, conn->rtx->pipe) : 0;
	uint32_t cwnd = conn->cwnd;

	/* RFC 3042: the first two duplicate ACKs let a new segment out each. With SACK, pipe has shrunk by itself. */
	if (!conn_is(conn, CONN_RECOVERY | CONN_LOSS | CONN_SACK) && conn->rtx && conn->dupacks < DUP_THRESH)
		pipe = conn->rtx->pipe - least(conn->dupacks * conn->mss, conn->rtx->pipe);
	return cwnd > pipe ? cwnd - pipe : 0;
}

void
tcp_rtx_arm(struct tcp *tcp, struct tcp_conn *conn)
{
	bool waits = conn->rtx != NULL;
	/* Held back by the peer's window, and no ACK is on its way that could tell of another (RFC 9293 3.8.6.1). */
	bool persist = !waits && (conn->out.len > 0 || (conn_is(conn, CONN_CLOSE) && !conn_is(conn, CONN_FIN_SENT)));
	uint32_t probe_us;

	if (!waits && !persist) {
		conn->flags &= ~(CONN_TIMER | CONN_PERSIST | CONN_TLP | CONN_RACK);
		return;
	}
	if (conn_is(conn, CONN_TIMER) && conn_is(conn, CONN_PERSIST) == persist)
		return;
	probe_us = persist ? 0 : tcp_rack_probe_us(tcp, conn);
	conn->flags &= ~(CONN_PERSIST | CONN_TLP | CONN_RACK);
	conn->flags |= CONN_TIMER | (persist ? CONN_PERSIST : 0) | (probe_us ? CONN_TLP : 0);
	conn->rtx_due = tcp->now_ms + ((probe_us ? probe_us : tcp_rto_us(tcp, conn)) + 999) / 1000;
	tcp_timers_arm(tcp, conn);
}

/*
 * RFC 2018 8: the peer may have thrown away what it has SACKed. It has when its ACK stops right before a
 * segment that is marked so; then no mark counts.
 */
static void
lose_all(struct tcp_rtx *rtx)
{
	bool reneged = tcp_rtx_at(rtx, 0)->flags & RECORD_SACKED;

	for (uint32_t i = 0; i < rtx->count; i++) {
		struct tcp_record *record = tcp_rtx_at(rtx, i);

		if (reneged)
			mark(rtx, record, record->flags & (uint8_t)~RECORD_SACKED);
		if (!(record->flags & RECORD_SACKED))
			tcp_rtx_lose(rtx, i);
	}
}

void
tcp_rtx_reopened(struct tcp *tcp, struct tcp_conn *conn)
{
	lose_all(conn->rtx);
	conn->flags |= CONN_RETRANSMIT;
	tcp_list_output(tcp, conn);
}

void
tcp_rtx_too_big(struct tcp *tcp, struct tcp_conn *conn)
{
	uint32_t max = conn->mss - (conn_is(conn, CONN_TIMESTAMPS) ? TCP_TIMESTAMP_LEN : 0u);
	struct tcp_rtx *rtx = conn->rtx;

	for (uint32_t i = 0; i < rtx->count; i++) {
		const struct tcp_record *record = tcp_rtx_at(rtx, i);

		if (record->len > max && !(record->flags & RECORD_SACKED))
			tcp_rtx_lose(rtx, i);
	}
	conn->flags |= CONN_RETRANSMIT;
	tcp_list_output(tcp, conn);
}

/*
 * RFC 4821 and RFC 8899 in their lightest form: routers that drop large packets and say nothing. Not where a large
 * one has arrived before: there it is loss, and smaller segments for ever would make it worse (a third of
 * the goodput at 20 % in the simulator).
 */
static void
black_hole(struct tcp *tcp, struct tcp_conn *conn)
{
	uint16_t small = conn_is(conn, CONN_IPV6) ? 1220 : conn->mss > 1024 ? 1024 : 536;

	if (conn->timeouts < 2 || conn_is(conn, CONN_WIDE) || !is_full(conn, tcp_rtx_at(conn->rtx, 0)) || conn->mss <= small)
		return;
	conn->mss = small;
	counter_add(tcp->counters, COUNTER_TCP_BLACK_HOLES, 1);
}

/* The timer of RFC 8985: a tail loss probe is due, or a reordering window has passed. The next one is the RTO, or a later window. */
static void
on_early_timer(struct tcp *tcp, struct tcp_conn *conn)
{
	bool probe = conn_is(conn, CONN_TLP);

	conn->flags &= ~(CONN_TLP | CONN_RACK);
	if (probe) {
		tcp_rack_probe(tcp, conn);
	} else {
		tcp_rack_detect(tcp, conn);
		if (conn->rtx->lost && !conn_is(conn, CONN_RECOVERY | CONN_LOSS))
			enter_recovery(tcp, conn);
	}
	tcp_rtx_arm(tcp, conn);
	tcp_list_output(tcp, conn);
}

void
tcp_rtx_timeout(struct tcp *tcp, struct tcp_conn *conn)
{
	struct tcp_rtx *rtx = conn->rtx;

	conn->flags &= ~CONN_TIMER;
	if (rtx && conn_is(conn, CONN_TLP | CONN_RACK)) {
		on_early_timer(tcp, conn);
		return;
	}
	if (conn->backoff < 16)
		conn->backoff++;
	if (!rtx || seq_le(conn->snd_una + conn->snd_wnd, tcp_rtx_at(rtx, 0)->seq)) {
		/* Nothing in flight, or the window was closed over it: that is a probe, and no sign of congestion. */
		if (is_silent(tcp, conn)) {
			tcp_close_reset(tcp, conn, TCP_TIMED_OUT);
			return;
		}
		conn->flags |= CONN_PROBE;
		tcp_list_output(tcp, conn);
		return;
	}
	counter_add(tcp->counters, COUNTER_TCP_TIMEOUTS, 1);
	conn->timeouts++;
	if (conn->timeouts > TIMEOUTS_MAX || is_silent(tcp, conn)) {
		tcp_close_reset(tcp, conn, TCP_TIMED_OUT);
		return;
	}
	if (conn->timeouts == 1) /* a peer that does not answer holds no item */
		outq_copy_out(&tcp->blocks, &conn->out);
	black_hole(tcp, conn);
	if (conn->timeouts == 1)
		tcp_undo_begin(conn);
	/* RFC 6298 (5.4) to (5.6), RFC 6675 5.1: all that is not SACKed is taken for lost; what is SACKed stays so. */
	tcp_cc_timeout(tcp, conn);
	lose_all(rtx);
	rtx->recover = conn->snd_nxt;
	rtx->reno = 0;
	conn->dupacks = 0;
	conn->flags = (conn->flags & ~CONN_RECOVERY) | CONN_LOSS | CONN_RETRANSMIT;
	tcp_rtx_arm(tcp, conn);
	tcp_list_output(tcp, conn);
}
