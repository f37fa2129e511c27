/* How much may be in the network: RFC 5681 with RFC 6928 (first window), RFC 3465 (counting bytes). */
#include "net/tcp_state.h"

enum { CWND_MAX = 1 << 24 };

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

void
tcp_cc_acked(struct tcp *tcp, struct tcp_conn *conn, uint32_t bytes)
{
	(void)tcp;
	/* RFC 7661 in its simplest form: a window that was not used proves nothing. */
	if (!conn_is(conn, CONN_LIMITED))
		return;
	if (conn->cwnd < conn->ssthresh) {
		/* RFC 3465 2.2, 2.3: L = 2 MSS a segment acknowledged, L = 1 after a timeout. */
		conn->cwnd += least(bytes, (conn_is(conn, CONN_LOSS) ? 1u : 2u) * conn->mss);
	} else {
		/* RFC 3465 2.1: a segment more when a whole window was acknowledged. */
		conn->acked += bytes;
		if (conn->acked >= conn->cwnd) {
			conn->acked -= conn->cwnd;
			conn->cwnd += conn->mss;
		}
	}
	conn->cwnd = least(conn->cwnd, CWND_MAX);
}

/* RFC 5681 (4): ssthresh = max (FlightSize / 2, 2*SMSS). */
static void
halve(struct tcp_conn *conn)
{
	conn->ssthresh = most(tcp_rtx_flight(conn) / 2, 2u * conn->mss);
	conn->acked = 0;
}

void
tcp_cc_enter_recovery(struct tcp *tcp, struct tcp_conn *conn)
{
	(void)tcp;
	halve(conn);
	conn->cwnd = conn->ssthresh; /* RFC 6675 5 (4.2) */
}

void
tcp_cc_exit_recovery(struct tcp *tcp, struct tcp_conn *conn)
{
	(void)tcp;
	/* RFC 6582 3.2 (3) option 1: min (ssthresh, max(FlightSize, SMSS) + SMSS), so that no burst follows. */
	conn->cwnd = least(conn->ssthresh, most(tcp_rtx_flight(conn), conn->mss) + conn->mss);
	conn->acked = 0;
}

void
tcp_cc_timeout(struct tcp *tcp, struct tcp_conn *conn)
{
	(void)tcp;
	/* RFC 5681 3.1: ssthresh is not touched when a retransmission is lost again; cwnd is the loss window, one segment. */
	if (conn->timeouts == 1)
		halve(conn);
	conn->cwnd = conn->mss;
}

/* RFC 5681 4.1: after an idle time of more than one RTO cwnd is at most the restart window. */
void
tcp_cc_restart(struct tcp *tcp, struct tcp_conn *conn)
{
	(void)tcp;
	conn->cwnd = least(conn->cwnd, tcp_cc_initial(conn));
	conn->acked = 0;
}
