/*
 * How much may be in the network: RFC 5681's slow start with RFC 6928 (first window) and RFC 3465 (bytes are counted), CUBIC
 * (RFC 9438) beyond it, proportional rate reduction (RFC 6937) in recovery.
 */
#include "net/tcp_state.h"

enum {
	CWND_MAX = 1 << 24,
	BETA_TENTHS = 7,          /* RFC 9438 4.6 */
	CUBIC_SPAN_MS = 50000,    /* further from K the window is at its bound anyway */
};

/* RFC 6928 2: min(10 * MSS, max(2 * MSS, 14600)). */
uint32_t
tcp_cc_initial(const struct tcp_conn *conn)
{
	return least(10u * conn->mss, most(2u * conn->mss, 14600));
}

void
tcp_cc_init(struct tcp *tcp, struct tcp_conn *conn)
{
	(void)tcp;
	conn->cwnd = tcp_cc_initial(conn);
	/* RFC 5681 3.1: "The initial value of ssthresh SHOULD be set arbitrarily high". */
	conn->ssthresh = UINT32_MAX / 2;
}

/* --- CUBIC ---------------------------------------------------------------------------------- */

static uint32_t
cube_root(uint64_t value)
{
	uint64_t root = 0;

	for (int bit = 20; bit >= 0; bit--) { /* up to 2^63 */
		uint64_t more = root | 1ull << bit;

		if (more * more * more <= value)
			root = more;
	}
	return (uint32_t)root;
}

/* RFC 9438 4.2: K is how long W_max is away: cube root of (W_max - cwnd) / C, C = 0.4 segments a second cubed. */
static void
begin_epoch(const struct tcp *tcp, struct tcp_conn *conn)
{
	uint64_t below = conn->cubic_max > conn->cwnd ? conn->cubic_max - conn->cwnd : 0;

	conn->cubic_epoch_ms = tcp->now_ms;
	conn->cubic_est = conn->cwnd;
	conn->cubic_k_ms = cube_root(below * 10 / 4 * 1000000000ull / conn->mss);
	if (below == 0)
		conn->cubic_max = conn->cwnd;
}

/* (1): W_cubic(t) = C * (t - K)^3 + W_max, in bytes. */
static uint32_t
cubic(const struct tcp_conn *conn, uint32_t t_ms)
{
	int64_t d = (int64_t)t_ms - conn->cubic_k_ms, bytes;

	d = d > CUBIC_SPAN_MS ? CUBIC_SPAN_MS : d < -CUBIC_SPAN_MS ? -CUBIC_SPAN_MS : d;
	bytes = conn->cubic_max + d * d * d / 1000000 * conn->mss / 2500;
	return bytes < conn->mss ? conn->mss : bytes > CWND_MAX ? CWND_MAX : (uint32_t)bytes;
}

static void
avoid(const struct tcp *tcp, struct tcp_conn *conn, uint32_t bytes)
{
	uint32_t t_ms, target, step;

	if (conn->cubic_est == 0)
		begin_epoch(tcp, conn);
	/* 4.3: what Reno would have with this decrease: alpha = 3 * (1 - beta) / (1 + beta), and 1 once it is past W_max. */
	step = (uint32_t)((uint64_t)conn->mss * bytes / conn->cwnd);
	conn->cubic_est += conn->cubic_est < conn->cubic_max ? step * 9 / 17 : step;
	t_ms = tcp->now_ms - conn->cubic_epoch_ms;
	if (cubic(conn, t_ms) < conn->cubic_est) {
		conn->cwnd = most(conn->cwnd, conn->cubic_est);
		return;
	}
	/* 4.4, 4.5: cwnd += (target - cwnd) / cwnd for each segment, target = W_cubic(t + RTT) between cwnd and 1.5 cwnd. */
	target = least(most(cubic(conn, t_ms + conn->srtt_us / 1000), conn->cwnd), conn->cwnd + conn->cwnd / 2);
	conn->acked += (uint32_t)((uint64_t)(target - conn->cwnd) * bytes / conn->cwnd);
	if (conn->acked >= conn->mss) {
		conn->cwnd += conn->acked;
		conn->acked = 0;
	}
}

void
tcp_cc_acked(struct tcp *tcp, struct tcp_conn *conn, uint32_t bytes)
{
	/* RFC 7661 in its simplest form: a window that was not used proves nothing. */
	if (!conn_is(conn, CONN_LIMITED))
		return;
	if (conn->cwnd < conn->ssthresh) /* RFC 3465 2.2, 2.3: L = 2 MSS a segment acknowledged, L = 1 after a timeout */
		conn->cwnd += least(bytes, (conn_is(conn, CONN_LOSS) ? 1u : 2u) * conn->mss);
	else
		avoid(tcp, conn, bytes);
	conn->cwnd = least(conn->cwnd, CWND_MAX);
}

/* RFC 9438 4.6, 4.7: what was reached is remembered, a little less when it falls from time to time. */
static void
reduce(struct tcp_conn *conn)
{
	uint32_t flight = tcp_rtx_flight(conn), cwnd = least(conn->cwnd, most(flight, conn->mss));

	conn->cubic_max = conn->cwnd < conn->cubic_max ? cwnd / 20 * (10 + BETA_TENTHS) : cwnd;
	conn->ssthresh = most(cwnd / 10 * BETA_TENTHS, 2u * conn->mss);
	conn->cubic_est = 0;
	conn->acked = 0;
}

/* --- recovery ------------------------------------------------------------------------------- */

void
tcp_cc_enter_recovery(struct tcp *tcp, struct tcp_conn *conn)
{
	(void)tcp;
	reduce(conn);
	if (conn->rtx && conn_is(conn, CONN_SACK)) {
		conn->rtx->prr_delivered = conn->rtx->prr_out = 0;
		conn->rtx->prr_flight = most(tcp_rtx_flight(conn), 1);
	} else {
		conn->cwnd = conn->ssthresh;
	}
}

/*
 * RFC 6937 3.1: while more is in the network than ssthresh, send in proportion to what arrives; below it, as much as
 * arrives and a segment more (slow start, PRR-SSRB), up to ssthresh.
 */
void
tcp_cc_recover(struct tcp_conn *conn, uint32_t delivered, bool forward)
{
	struct tcp_rtx *rtx = conn->rtx;
	uint32_t due, limit;

	rtx->prr_delivered += delivered;
	if (rtx->pipe > conn->ssthresh) {
		due = (uint32_t)(((uint64_t)rtx->prr_delivered * conn->ssthresh + rtx->prr_flight - 1) / rtx->prr_flight);
		due = due > rtx->prr_out ? due - rtx->prr_out : 0;
	} else {
		limit = rtx->prr_delivered > rtx->prr_out ? rtx->prr_delivered - rtx->prr_out : 0;
		limit = most(limit, delivered) + (forward ? conn->mss : 0);
		due = least(conn->ssthresh - rtx->pipe, limit);
	}
	conn->cwnd = rtx->pipe + due;
}

void
tcp_cc_exit_recovery(struct tcp *tcp, struct tcp_conn *conn)
{
	(void)tcp;
	conn->acked = 0;
	conn->cwnd = conn->ssthresh;
	/* RFC 6582 3.2 (3) option 1: min (ssthresh, max(FlightSize, SMSS) + SMSS), so that no burst follows. */
	if (!conn_is(conn, CONN_SACK))
		conn->cwnd = least(conn->ssthresh, most(tcp_rtx_flight(conn), conn->mss) + conn->mss);
}

void
tcp_cc_timeout(struct tcp *tcp, struct tcp_conn *conn)
{
	(void)tcp;
	/* RFC 5681 3.1: ssthresh is not touched when a retransmission is lost again; cwnd is the loss window, one segment. */
	if (conn->timeouts == 1)
		reduce(conn);
	conn->cwnd = conn->mss;
}

/* RFC 5681 4.1: after an idle time of more than one RTO cwnd is at most the restart window. */
void
tcp_cc_restart(struct tcp *tcp, struct tcp_conn *conn)
{
	(void)tcp;
	conn->cwnd = least(conn->cwnd, tcp_cc_initial(conn));
	conn->min_rtt_us = 0; /* the way may be another one */
	conn->cubic_est = 0;
	conn->acked = 0;
}
