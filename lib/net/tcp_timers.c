/*
 * Deadlines of connections. Each connection is in the wheel at most once, at its earliest deadline or before;
 * what comes out too early goes back in.
 */
#include "net/tcp_state.h"

enum {
	FIN_WAIT_2_MS = 60000,
	KEEPALIVE_STEP_MS = 15000, KEEPALIVES_MAX = 5, /* probes without an answer before it is given up */
};

struct deadline {
	bool is_set;
	uint32_t due_ms;
};

static void
earlier(struct deadline *deadline, uint32_t due_ms)
{
	if (!deadline->is_set || seq_lt(due_ms, deadline->due_ms))
		*deadline = (struct deadline){ true, due_ms };
}

static uint32_t
keepalive_due(const struct tcp *tcp, const struct tcp_conn *conn)
{
	return conn->last_rx_ms + tcp->config.keepalive_s * 1000 + conn->keepalives * (uint32_t)KEEPALIVE_STEP_MS;
}

/* RFC 9293 3.8.4: a keepalive is of connections with nothing in flight, which has a timer of its own. */
static bool
has_keepalive(const struct tcp *tcp, const struct tcp_conn *conn)
{
	return tcp->config.keepalive_s && !conn->rtx &&
	    (conn->state == TCP_ESTABLISHED || conn->state == TCP_CLOSE_WAIT);
}

static struct deadline
deadline_of(const struct tcp *tcp, const struct tcp_conn *conn)
{
	const struct tcp_config *config = &tcp->config;
	struct deadline deadline = { 0 };

	if (conn_is(conn, CONN_TIMER))
		earlier(&deadline, conn->rtx_due);
	if (has_keepalive(tcp, conn))
		earlier(&deadline, keepalive_due(tcp, conn));
	if (config->idle_timeout_s && !conn_is(conn, CONN_CLOSE))
		earlier(&deadline, conn->last_data_ms + config->idle_timeout_s * 1000);
	if (conn->state == TCP_FIN_WAIT_2)
		earlier(&deadline, conn->state_ms + FIN_WAIT_2_MS);
	if (conn_is(conn, CONN_ZERO) && config->zero_window_s)
		earlier(&deadline, conn->zero_ms + config->zero_window_s * 1000);
	if (conn_is(conn, CONN_OVER) && config->backlog_s)
		earlier(&deadline, conn->over_ms + config->backlog_s * 1000);
	if (conn_is(conn, CONN_PARTIAL) && config->partial_s)
		earlier(&deadline, conn->state_ms + config->partial_s * 1000);
	return deadline;
}

void
tcp_timers_arm(struct tcp *tcp, struct tcp_conn *conn)
{
	struct deadline deadline = deadline_of(tcp, conn);
	uint32_t index = conn_index(tcp, conn);

	if (deadline.is_set && (!wheel_armed(&tcp->wheel, index) || seq_lt(deadline.due_ms, conn->node.due)))
		wheel_put(&tcp->wheel, index, deadline.due_ms);
}

static bool
is_over(const struct tcp *tcp, uint32_t since_ms, uint32_t limit_s)
{
	return limit_s && tcp->now_ms - since_ms >= limit_s * 1000;
}

static void
keepalive(struct tcp *tcp, struct tcp_conn *conn)
{
	if (conn->keepalives == KEEPALIVES_MAX) {
		tcp_close_reset(tcp, conn, TCP_TIMED_OUT);
		return;
	}
	conn->keepalives++;
	conn->flags |= CONN_KEEPALIVE;
	tcp_list_output(tcp, conn);
}

static void
expire(struct tcp *tcp, struct tcp_conn *conn)
{
	const struct tcp_config *config = &tcp->config;

	if (conn_is(conn, CONN_TIMER) && seq_le(conn->rtx_due, tcp->now_ms))
		tcp_rtx_timeout(tcp, conn);
	if (conn->state == TCP_GONE)
		return;
	if (conn->state == TCP_FIN_WAIT_2 && tcp->now_ms - conn->state_ms >= FIN_WAIT_2_MS) {
		counter_add(tcp->counters, COUNTER_TCP_FIN_TIMED_OUT, 1);
		tcp_close_gone(tcp, conn, TCP_CLOSED);
	} else if (conn_is(conn, CONN_ZERO) && is_over(tcp, conn->zero_ms, config->zero_window_s)) {
		tcp_close_reset(tcp, conn, TCP_LIMIT);
	} else if (conn_is(conn, CONN_OVER) && is_over(tcp, conn->over_ms, config->backlog_s)) {
		tcp_close_reset(tcp, conn, TCP_LIMIT);
	} else if (conn_is(conn, CONN_PARTIAL) && is_over(tcp, conn->state_ms, config->partial_s)) {
		tcp_close_reset(tcp, conn, TCP_LIMIT);
	} else if (!conn_is(conn, CONN_CLOSE) && is_over(tcp, conn->last_data_ms, config->idle_timeout_s)) {
		tcp_close_reset(tcp, conn, TCP_IDLE);
	} else if (has_keepalive(tcp, conn) && seq_le(keepalive_due(tcp, conn), tcp->now_ms)) {
		keepalive(tcp, conn);
	}
}

void
tcp_timers(struct tcp *tcp, uint64_t now_ns)
{
	int64_t index;

	tcp_now(tcp, now_ns);
	while ((index = wheel_expire(&tcp->wheel, tcp->now_ms)) != WHEEL_NONE) {
		struct tcp_conn *conn = &tcp->conns[index];

		expire(tcp, conn);
		if (conn->state != TCP_GONE)
			tcp_timers_arm(tcp, conn);
	}
	tcp_open_timers(tcp);
	tcp_close_timers(tcp);
}

/* A tick of 32 bits near to now, as nanoseconds. */
static uint64_t
ns_of(const struct tcp *tcp, uint32_t tick)
{
	int64_t ms = (int64_t)(tcp->now_ns / NS_PER_MS) + (int32_t)(tick - tcp->now_ms);

	return ms < 0 ? 0 : (uint64_t)ms * NS_PER_MS;
}

uint64_t
tcp_deadline(const struct tcp *tcp)
{
	uint64_t deadline = UINT64_MAX, at;
	uint32_t tick;

	if (wheel_deadline(&tcp->wheel, &tick))
		deadline = ns_of(tcp, tick);
	for (uint32_t i = 0; i <= TCP_SYN_TRIES; i++)
		if (tcp->half_queues[i].first) {
			at = ns_of(tcp, tcp->halves[tcp->half_queues[i].first - 1].due_ms);
			deadline = at < deadline ? at : deadline;
		}
	if (tcp->wait_queue.first) {
		at = ns_of(tcp, tcp->waits[tcp->wait_queue.first - 1].due_ms);
		deadline = at < deadline ? at : deadline;
	}
	return deadline;
}
