/* Segments to send: what is lost, what is new, what acknowledges. Once a round, after all replies of the burst. */
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "net/tcp_state.h"

/* Where frames go; `full`: no packet or no place is left. */
struct sink {
	struct spares *spares;
	struct tcp_frame *frames;
	uint32_t count, max;
	bool full;
};

enum { OPTION_NOP = 1, OPTION_MSS = 2, OPTION_SCALE = 3, OPTION_SACK_PERMITTED = 4, OPTIONS_MAX = 40, SCALE_NONE = 0xff };

static uint8_t *
take(struct sink *sink)
{
	struct pkt *pkt;

	if (sink->count == sink->max || !(pkt = spares_take(sink->spares))) {
		sink->full = true;
		return NULL;
	}
	sink->frames[sink->count].pkt = pkt;
	sink->frames[sink->count].tail = (struct pkt_tail){ 0 };
	return pkt->data + TCP_FRAME_OFFSET;
}

/* The header without its checksum, which is L3's to know; then the frame is done. */
static void
finish(struct sink *sink, const struct endpoint *peer, uint8_t *at, uint32_t seq, uint32_t ack, uint8_t flags,
    uint32_t window, uint32_t options_len, uint32_t len)
{
	struct tcp_frame *frame = &sink->frames[sink->count++];

	store_be16(at, peer->local_port);
	store_be16(at + 2, peer->port);
	store_be32(at + 4, seq);
	store_be32(at + 8, flags & TCP_ACK ? ack : 0);
	at[12] = (uint8_t)((TCP_HEADER_LEN + options_len) / 4 << 4);
	at[13] = flags;
	store_be16(at + 14, (uint16_t)window);
	store_be32(at + 16, 0);
	frame->len = (uint16_t)(TCP_HEADER_LEN + options_len + len);
	frame->peer = *peer;
	CHECK((uint32_t)TCP_FRAME_OFFSET + frame->len <= frame->pkt->room); /* tail included: there must be room to copy it */
}

/* --- segments of no connection -------------------------------------------------------------- */

static uint32_t
loose_options(const struct tcp_loose *loose, uint8_t *at)
{
	uint32_t len = 0;

	if (loose->mss) {
		at[0] = OPTION_MSS;
		at[1] = 4;
		store_be16(at + 2, loose->mss);
		len = 4;
	}
	if (loose->has_sack_permitted) { /* with timestamps: two and ten bytes; without: padded */
		at[len++] = OPTION_SACK_PERMITTED;
		at[len++] = 2;
		if (!loose->has_timestamps) {
			at[len++] = OPTION_NOP;
			at[len++] = OPTION_NOP;
		}
	}
	if (loose->has_timestamps) {
		uint8_t option[TCP_TIMESTAMP_LEN];
		uint32_t pad = loose->has_sack_permitted ? 2 : 0;

		tcp_options_timestamps(option, loose->tsval, loose->tsecr);
		memcpy(at + len, option + pad, TCP_TIMESTAMP_LEN - pad);
		len += TCP_TIMESTAMP_LEN - pad;
	}
	if (loose->scale != SCALE_NONE) {
		at[len++] = OPTION_NOP;
		at[len++] = OPTION_SCALE;
		at[len++] = 3;
		at[len++] = loose->scale;
	}
	return len;
}

static void
send_loose(struct tcp *tcp, struct sink *sink)
{
	while (tcp->loose_count > 0) {
		const struct tcp_loose *loose = &tcp->loose[tcp->loose_first];
		uint8_t *at = take(sink);

		if (!at)
			return;
		finish(sink, &loose->peer, at, loose->seq, loose->ack, loose->flags, loose->window,
		    loose_options(loose, at + TCP_HEADER_LEN), 0);
		tcp->loose_first = (tcp->loose_first + 1) % TCP_LOOSE_MAX;
		tcp->loose_count--;
	}
}

void
tcp_loose(struct tcp *tcp, const struct tcp_loose *loose)
{
	if (tcp->loose_count == TCP_LOOSE_MAX) {
		counter_add(tcp->counters, COUNTER_TCP_LOOSE_FULL, 1);
		return;
	}
	tcp->loose[(tcp->loose_first + tcp->loose_count++) % TCP_LOOSE_MAX] = *loose;
}

/* --- the window that we offer --------------------------------------------------------------- */

/*
 * RFC 9293 3.8.6.2.2, MUST-39: the right edge stays where it is until it can move by at least
 * min( Fr * RCV.BUFF, Eff.snd.MSS ), Fr = 1/2. MUST-34 of the sender's side is why it never retreats.
 */
static uint32_t
right_edge(const struct tcp *tcp, const struct tcp_conn *conn)
{
	uint32_t edge = conn->rcv_nxt + tcp_in_space(tcp, conn);
	uint32_t step = least(tcp->config.input_max / 2, conn->mss);

	if (conn_is(conn, CONN_CLOSE)) /* what comes is discarded */
		edge = conn->rcv_nxt + tcp->config.input_max;
	if (!seq_lt(conn->rcv_adv, edge) || edge - conn->rcv_adv < step)
		return conn->rcv_adv;
	return edge;
}

/* The window field; moves the edge that was offered. */
static uint32_t
offer_window(struct tcp *tcp, struct tcp_conn *conn)
{
	uint32_t shift = conn_is(conn, CONN_SCALED) ? TCP_RCV_SHIFT : 0, edge = right_edge(tcp, conn), window;

	if (conn_is(conn, CONN_FIN_IN)) /* nothing more can come */
		edge = seq_max(conn->rcv_adv, conn->rcv_nxt);
	window = edge - conn->rcv_nxt;
	/* An edge that has moved is rounded down, one that stays up, or it would retreat by a part of a step. */
	window = (edge == conn->rcv_adv ? window + (1u << shift) - 1 : window) >> shift;
	window = least(window, UINT16_MAX);
	conn->rcv_adv = seq_max(conn->rcv_adv, conn->rcv_nxt + (window << shift));
	return window;
}

/* The application has read so much that the peer should know. */
static bool
wants_update(const struct tcp *tcp, const struct tcp_conn *conn)
{
	uint32_t edge;

	if (conn_is(conn, CONN_FIN_IN))
		return false;
	edge = right_edge(tcp, conn);
	return edge - conn->rcv_adv >= least(tcp->config.input_max / 2, 2u * conn->mss);
}

/* --- segments of a connection --------------------------------------------------------------- */

struct cut {
	uint32_t seq, len; /* payload: bytes from seq on */
	uint8_t flags;
	bool plain;        /* no SACK blocks (the payload leaves no room for them) */
};

static uint32_t
options_of(struct tcp *tcp, struct tcp_conn *conn, uint8_t *at, const struct cut *cut)
{
	uint32_t len = 0, room = least(OPTIONS_MAX, conn->mss - cut->len);

	if (conn_is(conn, CONN_TIMESTAMPS))
		len = tcp_options_timestamps(at, conn_timestamp(tcp, conn->ts_offset), conn->ts_recent);
	if (conn->ooo && !cut->plain && room > len)
		len += tcp_ooo_sack(tcp, conn, at + len, room - len);
	return len;
}

/* The payload: copied, but for bytes at its end that may be left where they are. */
static void
put_payload(struct tcp *tcp, struct tcp_conn *conn, struct tcp_frame *frame, const struct cut *cut, uint8_t *at)
{
	uint32_t offset = cut->seq - conn->snd_una, copied = cut->len;

	if (tcp->config.refer_min)
		copied -= outq_refer(&conn->out, offset, (uint16_t)cut->len, tcp->config.refer_min, &frame->tail);
	outq_read(&conn->out, offset, at, copied);
}

/* Writes a segment; false: no place for it. */
static bool
emit(struct tcp *tcp, struct tcp_conn *conn, struct sink *sink, const struct cut *cut)
{
	uint8_t *at = take(sink);
	uint32_t options_len;

	if (!at)
		return false;
	options_len = options_of(tcp, conn, at + TCP_HEADER_LEN, cut);
	if (cut->len)
		put_payload(tcp, conn, &sink->frames[sink->count], cut, at + TCP_HEADER_LEN + options_len);
	finish(sink, &conn->peer, at, cut->seq, conn->rcv_nxt, cut->flags | TCP_ACK, offer_window(tcp, conn), options_len,
	    cut->len);
	conn->last_ack = conn->rcv_nxt;
	conn->last_tx_ms = tcp->now_ms;
	conn->flags &= ~CONN_ACK;
	return true;
}

/* Payload of a segment at most: RFC 9293 3.7.1, Eff.snd.MSS less the options. */
static uint32_t
payload_max(const struct tcp_conn *conn)
{
	return conn->mss - (conn_is(conn, CONN_TIMESTAMPS) ? TCP_TIMESTAMP_LEN : 0);
}

static bool
resend(struct tcp *tcp, struct tcp_conn *conn, struct sink *sink, const struct tcp_record *record)
{
	uint32_t fin = record->flags & RECORD_FIN ? 1 : 0;
	struct cut cut = { .seq = record->seq, .len = record->len - fin, .plain = record->len > fin };

	cut.flags = (uint8_t)((fin ? TCP_FIN : 0) | (cut.len ? TCP_PSH : 0));
	return emit(tcp, conn, sink, &cut);
}

/* RFC 8985 7.3: the last segment again, as a probe; it is not taken for lost. */
static bool
send_tail(struct tcp *tcp, struct tcp_conn *conn, struct sink *sink)
{
	uint32_t last;

	if (!conn->rtx || !conn->rtx->tlp_old)
		return true;
	last = conn->rtx->count - 1u;
	if (!resend(tcp, conn, sink, tcp_rtx_at(conn->rtx, last)))
		return false;
	conn->rtx->tlp_old = false;
	tcp_rtx_resent(tcp, conn, last, false);
	return true;
}

/* Sends what is lost, as far as cwnd lets it. */
static bool
send_old(struct tcp *tcp, struct tcp_conn *conn, struct sink *sink, uint32_t *budget)
{
	int32_t next;

	while ((next = tcp_rtx_next(conn)) != TCP_NONE) {
		struct tcp_record *record = tcp_rtx_at(conn->rtx, (uint32_t)next);
		uint32_t fin = record->flags & RECORD_FIN ? 1 : 0;

		if (record->len - fin > payload_max(conn) &&
		    !tcp_rtx_split(tcp, conn, (uint32_t)next, payload_max(conn)))
			return true;
		record = tcp_rtx_at(conn->rtx, (uint32_t)next);
		if (!conn_is(conn, CONN_RETRANSMIT) && tcp_rtx_room(conn) < record->len)
			return true;
		if (!resend(tcp, conn, sink, record))
			return false;
		conn->flags &= ~CONN_RETRANSMIT;
		tcp_rtx_resent(tcp, conn, (uint32_t)next, true);
		*budget -= least(*budget, record->len);
		if (*budget == 0)
			return true;
	}
	return true;
}

/*
 * How much of what is queued goes into one segment now. RFC 9293 3.8.6.2.1, MUST-38, without Nagle: a full
 * segment; all there is; or at least half of the largest window that the peer ever offered.
 */
static uint32_t
new_len(const struct tcp_conn *conn, uint32_t queued, bool forced)
{
	uint32_t edge = conn->snd_una + conn->snd_wnd, max = payload_max(conn), usable, room;

	usable = seq_lt(conn->snd_nxt, edge) ? edge - conn->snd_nxt : 0;
	room = tcp_rtx_room(conn);
	/* Limited transmit and recovery count segments; a part of one stays for later. A tail loss probe goes beyond cwnd. */
	if (room < least(queued, max) && !(conn->rtx && conn->rtx->tlp_new))
		return 0;
	if (usable >= max && queued >= max)
		return max;
	if (usable >= queued)
		return least(queued, max);
	if (usable >= (conn->max_wnd + 1) / 2 || forced)
		return least(usable, max);
	return 0;
}

/* Is it cwnd that bounds what is in flight? In slow start half of it is enough (RFC 7661 4.1). */
static void
note_limited(struct tcp_conn *conn, bool held)
{
	bool limited = held || tcp_rtx_room(conn) < conn->mss ||
	    (conn->cwnd < conn->ssthresh && tcp_rtx_flight(conn) > conn->cwnd / 2);

	conn->flags = limited ? conn->flags | CONN_LIMITED : conn->flags & ~CONN_LIMITED;
}

static bool
send_new(struct tcp *tcp, struct tcp_conn *conn, struct sink *sink, uint32_t *budget)
{
	for (;;) {
		uint32_t queued = conn->out.len - (conn->snd_nxt - conn->snd_una), len;
		bool close = conn_is(conn, CONN_CLOSE), fin;
		struct cut cut = { .seq = conn->snd_nxt, .plain = true };

		if (conn_is(conn, CONN_FIN_SENT) || (queued == 0 && !close) || *budget == 0)
			break;
		/* RFC 5681 4.1: what was learnt before an idle time of more than an RTO is old. */
		if (!conn->rtx && tcp->now_ms - conn->last_tx_ms > tcp_rto_us(tcp, conn) / 1000)
			tcp_cc_restart(tcp, conn);
		len = new_len(conn, queued, conn_is(conn, CONN_PROBE));
		if (len == 0 && queued > 0) {
			if (tcp_rtx_room(conn) < least(queued, payload_max(conn)))
				note_limited(conn, true);
			break;
		}
		/* The FIN goes with the last byte; it takes no room in the window that a peer would miss. */
		fin = close && len == queued;
		if (!tcp_rtx_reserve(tcp, conn))
			break;
		cut.len = len;
		cut.flags = (uint8_t)((fin ? TCP_FIN : 0) | (len && len == queued ? TCP_PSH : 0));
		if (!emit(tcp, conn, sink, &cut))
			return false;
		if (fin)
			conn->flags |= CONN_FIN_SENT;
		tcp_rtx_sent(tcp, conn, len + fin, fin);
		conn->rtx->tlp_new = false;
		note_limited(conn, false);
		*budget -= least(*budget, len);
	}
	if (conn->rtx && conn->rtx->count == 0)
		tcp_rtx_clear(tcp, conn);
	return true;
}

/*
 * RFC 9293 3.8.6.1, MUST-36: "must send at least one octet of new data (if available) even if the send window is
 * zero". It is in flight like any other; a window that opens over it lets it be sent again.
 */
static bool
send_probe(struct tcp *tcp, struct tcp_conn *conn, struct sink *sink)
{
	uint32_t queued = conn->out.len;
	struct cut cut = { .seq = conn->snd_una, .len = least(queued, 1), .flags = TCP_PSH, .plain = true };

	if (queued == 0)
		cut.flags = conn_is(conn, CONN_CLOSE) ? TCP_FIN : 0;
	if (!conn->rtx && !tcp_rtx_reserve(tcp, conn))
		return true;
	if (!emit(tcp, conn, sink, &cut))
		return false;
	if (conn->rtx->count == 0) {
		if (cut.flags & TCP_FIN)
			conn->flags |= CONN_FIN_SENT;
		tcp_rtx_sent(tcp, conn, 1, cut.flags & TCP_FIN);
	} else {
		tcp_rtx_at(conn->rtx, 0)->tries = 1; /* Karn: its time is not taken */
	}
	conn->flags &= ~CONN_PROBE;
	counter_add(tcp->counters, COUNTER_TCP_WINDOW_PROBES, 1);
	return true;
}

/* RFC 9293 3.8.4: a segment with a sequence number that the peer has acknowledged, which it must answer. */
static bool
send_keepalive(struct tcp *tcp, struct tcp_conn *conn, struct sink *sink)
{
	struct cut cut = { .seq = conn->snd_nxt - 1 };

	if (!emit(tcp, conn, sink, &cut))
		return false;
	conn->flags &= ~CONN_KEEPALIVE;
	counter_add(tcp->counters, COUNTER_TCP_KEEPALIVES, 1);
	return true;
}

static bool
send_acks(struct tcp *tcp, struct tcp_conn *conn, struct sink *sink)
{
	struct cut cut = { .seq = conn->snd_nxt };

	/* RFC 5681 4.2: "an immediate duplicate ACK when an out-of-order segment arrives", one for each. */
	for (; conn->dup_due > 0; conn->dup_due--) {
		if (!emit(tcp, conn, sink, &cut))
			return false;
		counter_add(tcp->counters, COUNTER_TCP_DUP_ACKS_OUT, 1);
	}
	return true;
}

/* Is it the peer's window that holds back what is queued? */
static void
note_zero_window(struct tcp *tcp, struct tcp_conn *conn)
{
	uint32_t queued = conn->out.len - least(conn->out.len, conn->snd_nxt - conn->snd_una);
	bool held = (queued > 0 && !conn->rtx) || (conn->rtx && conn->snd_wnd == 0);

	if (!held) {
		conn->flags &= ~CONN_ZERO;
	} else if (!conn_is(conn, CONN_ZERO)) {
		conn->flags |= CONN_ZERO;
		conn->zero_ms = tcp->now_ms;
		counter_add(tcp->counters, COUNTER_TCP_ZERO_WINDOWS, 1);
	}
}

/* Everything that the connection may send now; false: the sink is full. */
static bool
send_conn(struct tcp *tcp, struct tcp_conn *conn, struct sink *sink, uint32_t *budget)
{
	bool window_closed = conn->rtx && conn->snd_wnd == 0;
	struct cut cut = { 0 };

	if (!send_acks(tcp, conn, sink) || !send_tail(tcp, conn, sink) || (!window_closed && !send_old(tcp, conn, sink, budget)) ||
	    !send_new(tcp, conn, sink, budget))
		return false;
	if (conn_is(conn, CONN_PROBE) && (!conn->rtx || window_closed) && !send_probe(tcp, conn, sink))
		return false;
	conn->flags &= ~CONN_PROBE;
	note_zero_window(tcp, conn);
	tcp_rtx_arm(tcp, conn);
	if (conn_is(conn, CONN_KEEPALIVE) && !send_keepalive(tcp, conn, sink))
		return false;
	if (!conn_is(conn, CONN_ACK) && !wants_update(tcp, conn))
		return true;
	cut.seq = conn->snd_nxt;
	counter_add(tcp->counters, COUNTER_TCP_PURE_ACKS, 1);
	return emit(tcp, conn, sink, &cut);
}

uint32_t
tcp_output(struct tcp *tcp, uint64_t now_ns, struct spares *spares, struct tcp_frame *frames, uint32_t max)
{
	struct sink sink = { .spares = spares, .frames = frames, .max = max };

	tcp_now(tcp, now_ns);
	send_loose(tcp, &sink);
	while (tcp->output_first && !sink.full) {
		struct tcp_conn *conn = &tcp->conns[tcp->output_first - 1];
		uint32_t budget = TCP_PASS_BYTES;

		if (conn->state != TCP_GONE && conn->state != TCP_FREE && !send_conn(tcp, conn, &sink, &budget))
			break;
		tcp->output_first = conn->output_next;
		if (!tcp->output_first)
			tcp->output_last = 0;
		conn->flags &= ~CONN_OUTPUT;
		if (conn->state == TCP_FREE)
			tcp_conn_free(tcp, conn);
		else if (budget == 0)
			tcp_list_output(tcp, conn); /* the others first */
	}
	counter_add(tcp->counters, COUNTER_TCP_SEGMENTS_OUT, sink.count);
	return sink.count;
}
