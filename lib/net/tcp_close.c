/* How connections end: RST, TIME-WAIT, and what is told of it. */
#include <string.h>

#include "base/check.h"
#include "net/tcp_state.h"

enum {
	WAIT_MS = 60000,           /* 2 MSL as Linux has it; RFC 9293 MUST-13 would have 4 min (doc/TCP.md) */
	WAIT_ACK_MS = 100,         /* between two ACKs of one record */
	RESETS_BURST = 100,
	ISN_STEP = 1 << 17,        /* a new connection begins so far beyond the old one's last byte */
};

static const enum counter end_counters[] = {
	[TCP_CLOSED] = COUNTER_TCP_CLOSED, [TCP_RESET] = COUNTER_TCP_RESETS_IN, [TCP_TIMED_OUT] = COUNTER_TCP_TIMED_OUT,
	[TCP_IDLE] = COUNTER_TCP_IDLE, [TCP_ABORTED] = COUNTER_TCP_ABORTED, [TCP_NO_MEMORY] = COUNTER_TCP_NO_MEMORY,
	[TCP_LIMIT] = COUNTER_TCP_LIMIT,
};

/* All but the table, where something else may stand for it. */
static void
over(struct tcp *tcp, struct tcp_conn *conn, enum tcp_reason reason)
{
	wheel_remove(&tcp->wheel, conn_index(tcp, conn));
	tcp_sources_give(tcp, conn->peer.ip);
	tcp_in_clear(tcp, conn);
	tcp_ooo_clear(tcp, conn);
	tcp_rtx_clear(tcp, conn);
	outq_clear(&tcp->blocks, &conn->out);
	conn->state = TCP_GONE;
	conn->reason = (uint8_t)reason;
	conn->flags &= ~(CONN_TIMER | CONN_PERSIST | CONN_ACK | CONN_ZERO | CONN_PARTIAL);
	counter_add(tcp->counters, end_counters[reason], 1);
	tcp_list_turn(tcp, conn);
}

void
tcp_close_gone(struct tcp *tcp, struct tcp_conn *conn, enum tcp_reason reason)
{
	tcp_table_remove(tcp, &conn->peer, tcp_ref(TCP_KIND_CONN, conn_index(tcp, conn)));
	over(tcp, conn, reason);
}

void
tcp_close_reset(struct tcp *tcp, struct tcp_conn *conn, enum tcp_reason reason)
{
	/* RFC 9293 3.10.5: <SEQ=SND.NXT><CTL=RST> */
	tcp_loose(tcp, &(struct tcp_loose){ .peer = conn->peer, .seq = conn->snd_nxt, .ack = conn->rcv_nxt,
		.flags = TCP_RST | TCP_ACK, .scale = 0xff });
	counter_add(tcp->counters, COUNTER_TCP_RESETS_OUT, 1);
	tcp_close_gone(tcp, conn, reason);
}

void
tcp_close_unknown(struct tcp *tcp, const struct tcp_parsed *p)
{
	struct tcp_loose loose = { .peer = p->peer, .flags = TCP_RST, .scale = 0xff };

	/* RFC 9293 3.10.7.1: "An incoming segment containing a RST is discarded." */
	if (p->flags & TCP_RST)
		return;
	if (!tcp_bucket_take(tcp, &tcp->resets, least(RESETS_BURST, tcp->config.resets_per_s), tcp->config.resets_per_s)) {
		counter_add(tcp->counters, COUNTER_TCP_RESETS_HELD, 1);
		return;
	}
	if (p->flags & TCP_ACK) { /* <SEQ=SEG.ACK><CTL=RST> */
		loose.seq = p->ack;
	} else { /* <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK> */
		loose.ack = p->seq + p->len + !!(p->flags & TCP_SYN) + !!(p->flags & TCP_FIN);
		loose.flags |= TCP_ACK;
	}
	tcp_loose(tcp, &loose);
	counter_add(tcp->counters, COUNTER_TCP_RESETS_OUT, 1);
}

/* --- TIME-WAIT ------------------------------------------------------------------------------ */

static void
enqueue(struct tcp *tcp, struct tcp_wait *wait)
{
	struct tcp_queue *queue = &tcp->wait_queue;
	uint32_t position = (uint32_t)(wait - tcp->waits) + 1;

	wait->due_ms = tcp->now_ms + WAIT_MS;
	wait->next = 0;
	wait->prev = queue->last;
	*(queue->last ? &tcp->waits[queue->last - 1].next : &queue->first) = position;
	queue->last = position;
}

static void
dequeue(struct tcp *tcp, struct tcp_wait *wait)
{
	struct tcp_queue *queue = &tcp->wait_queue;

	*(wait->prev ? &tcp->waits[wait->prev - 1].next : &queue->first) = wait->next;
	*(wait->next ? &tcp->waits[wait->next - 1].prev : &queue->last) = wait->prev;
}

void
tcp_wait_give(struct tcp *tcp, struct tcp_wait *wait)
{
	uint32_t index = (uint32_t)(wait - tcp->waits);

	tcp_table_remove(tcp, &wait->peer, tcp_ref(TCP_KIND_WAIT, index));
	dequeue(tcp, wait);
	wait->next = tcp->wait_free;
	tcp->wait_free = index + 1;
	tcp->wait_count--;
}

static struct tcp_wait *
take_wait(struct tcp *tcp)
{
	struct tcp_wait *wait;

	if (!tcp->wait_free && tcp->wait_next == tcp->config.wait_max) {
		counter_add(tcp->counters, COUNTER_TCP_WAIT_FULL, 1);
		tcp_wait_give(tcp, &tcp->waits[tcp->wait_queue.first - 1]);
	}
	if (tcp->wait_free) {
		wait = &tcp->waits[tcp->wait_free - 1];
		tcp->wait_free = wait->next;
	} else {
		wait = &tcp->waits[tcp->wait_next++];
	}
	tcp->wait_count++;
	return wait;
}

static void
acknowledge(struct tcp *tcp, struct tcp_wait *wait)
{
	wait->acked_ms = tcp->now_ms;
	tcp_loose(tcp, &(struct tcp_loose){ .peer = wait->peer, .seq = wait->snd_nxt, .ack = wait->rcv_nxt,
		.window = wait->window, .flags = TCP_ACK, .scale = 0xff, .has_timestamps = wait->flags & CONN_TIMESTAMPS,
		.tsval = conn_timestamp(tcp, wait->ts_offset), .tsecr = wait->ts_recent });
}

void
tcp_close_wait(struct tcp *tcp, struct tcp_conn *conn)
{
	struct tcp_wait *wait = take_wait(tcp);
	uint32_t shift = conn_is(conn, CONN_SCALED) ? TCP_RCV_SHIFT : 0;

	*wait = (struct tcp_wait){ .peer = conn->peer, .snd_nxt = conn->snd_nxt, .rcv_nxt = conn->rcv_nxt,
		.ts_recent = conn->ts_recent, .ts_offset = conn->ts_offset, .flags = conn->flags & CONN_TIMESTAMPS,
		.window = (uint16_t)(tcp->config.input_max >> shift > UINT16_MAX ? UINT16_MAX : tcp->config.input_max >> shift) };
	enqueue(tcp, wait);
	if (conn_is(conn, CONN_ACK)) /* not when an ACK of our FIN has ended CLOSING */
		acknowledge(tcp, wait);
	tcp_table_replace(tcp, &conn->peer, tcp_ref(TCP_KIND_CONN, conn_index(tcp, conn)),
	    tcp_ref(TCP_KIND_WAIT, (uint32_t)(wait - tcp->waits)));
	over(tcp, conn, TCP_CLOSED);
}

bool
tcp_close_wait_input(struct tcp *tcp, struct tcp_wait *wait, struct tcp_parsed *p)
{
	/* RFC 1337 3: a RST does not end TIME-WAIT ("assassination"). */
	if (p->flags & TCP_RST)
		return false;
	/*
	 * RFC 9293 3.6.1 and RFC 6191: a SYN with a newer timestamp, or a sequence number beyond the last one, opens
	 * a new connection.
	 */
	if ((p->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		bool stamped = wait->flags & CONN_TIMESTAMPS && p->options.has_timestamps;

		if (stamped ? seq_lt(wait->ts_recent, p->options.tsval) ||
		        (wait->ts_recent == p->options.tsval && seq_lt(wait->rcv_nxt, p->seq)) :
		        seq_lt(wait->rcv_nxt, p->seq)) {
			uint32_t past = wait->snd_nxt + ISN_STEP;

			tcp_wait_give(tcp, wait);
			counter_add(tcp->counters, COUNTER_TCP_WAIT_REUSED, 1);
			tcp_open_listen(tcp, p, true, past);
			return true;
		}
	}
	/* RFC 9293 3.10.7.4: "the only thing that can arrive in this state is a retransmission of the remote FIN.
	 * Acknowledge it, and restart the 2 MSL timeout." */
	if (p->flags & TCP_FIN) {
		dequeue(tcp, wait);
		enqueue(tcp, wait);
	}
	if ((p->flags & (TCP_FIN | TCP_SYN) || p->len || p->seq != wait->rcv_nxt) &&
	    tcp->now_ms - wait->acked_ms >= WAIT_ACK_MS)
		acknowledge(tcp, wait);
	return false;
}

void
tcp_close_timers(struct tcp *tcp)
{
	while (tcp->wait_queue.first) {
		struct tcp_wait *wait = &tcp->waits[tcp->wait_queue.first - 1];

		if (seq_lt(tcp->now_ms, wait->due_ms))
			break;
		tcp_wait_give(tcp, wait);
	}
}
