/*
 * Loss by time: RACK and the tail loss probe (RFC 8985), for connections with SACK. A segment is lost when one that was sent
 * later has arrived and a reordering window has passed. So a retransmission that is lost is found too, and a
 * tail of one or two segments needs no timeout.
 */
#include "base/check.h"
#include "net/tcp_state.h"

enum {
	DUP_THRESH = 3,
	TLP_MIN_US = 10000,       /* below it peers that delay their ACK of an odd segment would get it twice */
	MAX_ACK_DELAY_US = 200000, /* 7.2: of a peer that holds back the ACK of a single segment */
	REORDERING_MIN_US = 1000, /* the timer's tick: three segments that are told in less time are evidence as before */
	REO_PERSIST = 16,         /* 6.2 step 4: recoveries without DSACK, then the reordering window is as it was */
	TLP_PROBED = 1, TLP_RETRANSMITTED = 2,
};

/* 6.2 step 1, 2: "if the segment was sent later than RACK.segment", it takes its place. */
void
tcp_rack_delivered(const struct tcp *tcp, struct tcp_conn *conn, const struct tcp_record *record)
{
	struct tcp_rtx *rtx = conn->rtx;
	uint32_t rtt_us = most(tcp->now_us - record->tx_us, 1), end = record->seq + record->len;

	/* An ACK too soon after a retransmission is of the original. */
	bool first = record->tries == 0 || rtt_us < conn->min_rtt_us;

	/* 6.2 step 3: what arrives behind one that is beyond it, and was sent but once, was reordered. Those that one ACK
	 * tells of together have come in whichever order: an ACK before it may have been lost. */
	if (rtx->rack_rtt && seq_lt(end, rtx->fack_before) && first && !(record->flags & RECORD_SACKED))
		conn->flags |= CONN_REORDERED;
	rtx->fack = rtx->rack_rtt ? seq_max(rtx->fack, end) : end;
	if (record->tries > 0 && first)
		return;
	if (rtx->rack_rtt && (seq_lt(record->tx_us, rtx->rack_us) ||
	        (record->tx_us == rtx->rack_us && seq_le(end, rtx->rack_end))))
		return;
	rtx->rack_us = record->tx_us;
	rtx->rack_end = end;
	rtx->rack_rtt = rtt_us;
}

/*
 * 6.2 step 4: none while nothing was reordered and there is evidence enough, else a quarter of the least round trip, and
 * another one for each round in which DSACK said that something was sent again needlessly.
 */
static uint32_t
reordering_us(const struct tcp_conn *conn)
{
	uint64_t quarters = 1u + conn->reo_more;

	if (!conn_is(conn, CONN_REORDERED) && (conn_is(conn, CONN_RECOVERY | CONN_LOSS) || conn->rtx->sacked >= DUP_THRESH))
		return 0;
	quarters *= conn->min_rtt_us / 4;
	return most(quarters < conn->srtt_us ? (uint32_t)quarters : conn->srtt_us, REORDERING_MIN_US);
}

/* "Grow the reordering window per round that sees DSACK." */
void
tcp_rack_dsack(struct tcp_conn *conn)
{
	struct tcp_rtx *rtx = conn->rtx;

	if (rtx && rtx->in_dsack_round && seq_lt(conn->snd_una, rtx->dsack_round))
		return;
	if (rtx) {
		rtx->in_dsack_round = true;
		rtx->dsack_round = conn->snd_nxt;
	}
	if (conn->reo_more < UINT8_MAX)
		conn->reo_more++;
	conn->reo_persist = REO_PERSIST;
}

/* "Reset the window after 16 DSACK-free recoveries." */
void
tcp_rack_recovered(struct tcp_conn *conn)
{
	if (conn->reo_persist && --conn->reo_persist == 0)
		conn->reo_more = 0;
}

/* Step 5. Arms the timer for segments whose window has not passed yet. */
void
tcp_rack_detect(struct tcp *tcp, struct tcp_conn *conn)
{
	struct tcp_rtx *rtx = conn->rtx;
	uint32_t window_us, wait_us = 0;

	if (!conn_is(conn, CONN_SACK) || rtx->rack_rtt == 0)
		return;
	window_us = rtx->rack_rtt + reordering_us(conn);
	for (uint32_t i = 0; i < rtx->count; i++) {
		const struct tcp_record *record = tcp_rtx_at(rtx, i);
		uint32_t age_us = tcp->now_us - record->tx_us;

		if (record->flags & RECORD_SACKED ||
		    (record->flags & (RECORD_LOST | RECORD_RETRANSMITTED)) == RECORD_LOST)
			continue;
		if (seq_lt(rtx->rack_us, record->tx_us) ||
		    (record->tx_us == rtx->rack_us && seq_le(rtx->rack_end, record->seq + record->len)))
			continue;
		if (age_us >= window_us)
			tcp_rtx_lose(rtx, i);
		else
			wait_us = most(wait_us, window_us - age_us);
	}
	if (wait_us) {
		uint32_t due = tcp->now_ms + (wait_us + 999) / 1000;

		if (!conn_is(conn, CONN_TIMER) || seq_lt(due, conn->rtx_due)) {
			conn->rtx_due = due;
			conn->flags = (conn->flags & ~(CONN_PERSIST | CONN_TLP)) | CONN_TIMER | CONN_RACK;
			tcp_timers_arm(tcp, conn);
		}
	}
}

/* 7.2: how long the last segment may be without an answer before it is probed for; 0: no probe. */
uint32_t
tcp_rack_probe_us(const struct tcp *tcp, const struct tcp_conn *conn)
{
	const struct tcp_rtx *rtx = conn->rtx;
	uint32_t pto_us;

	if (!conn_is(conn, CONN_SACK) || !rtx || rtx->sacked || rtx->tlp || conn->srtt_us == 0 || conn->backoff ||
	    conn_is(conn, CONN_RECOVERY | CONN_LOSS | CONN_ZERO))
		return 0;
	pto_us = most(2 * conn->srtt_us, TLP_MIN_US);
	if (rtx->count == 1)
		pto_us += MAX_ACK_DELAY_US;
	return pto_us < tcp_rto_us(tcp, conn) ? pto_us : 0;
}

/* 7.3: a new segment if there is one, else the last one again; in any case the ACK tells what is missing. */
void
tcp_rack_probe(struct tcp *tcp, struct tcp_conn *conn)
{
	struct tcp_rtx *rtx = conn->rtx;
	uint32_t edge = conn->snd_una + conn->snd_wnd, flight = conn->snd_nxt - conn->snd_una;
	uint32_t queued = conn->out.len > flight ? conn->out.len - flight : 0;

	rtx->tlp = TLP_PROBED;
	rtx->tlp_end = conn->snd_nxt;
	counter_add(tcp->counters, COUNTER_TCP_TAIL_PROBES, 1);
	tcp_list_output(tcp, conn);
	if (queued > 0 && seq_lt(conn->snd_nxt, edge) && edge - conn->snd_nxt >= least(queued, conn->mss)) {
		rtx->tlp_new = true;
		return;
	}
	rtx->tlp = TLP_RETRANSMITTED;
	rtx->tlp_old = true;
}

/*
 * 7.4.2: the probe is acknowledged. When it was a retransmission, and the peer does not say that it had the segment
 * already, it has mended a loss, and that is a sign of congestion.
 */
void
tcp_rack_acked(struct tcp *tcp, struct tcp_conn *conn, const struct tcp_parsed *p, uint32_t tlp, uint32_t tlp_end)
{
	bool duplicate = p->options.sack_count && seq_lt(p->options.sack[0].start, p->ack);

	if (tlp == 0 || seq_lt(p->ack, tlp_end))
		return;
	if (conn->rtx)
		conn->rtx->tlp = 0;
	if (tlp == TLP_RETRANSMITTED && !duplicate && !conn_is(conn, CONN_RECOVERY | CONN_LOSS))
		tcp_cc_enter_recovery(tcp, conn);
}
