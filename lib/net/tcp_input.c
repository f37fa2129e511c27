/*
 * Segments that come in: a burst is parsed, looked up and processed in three passes, so that the loads of one segment
 * wait beside those of the others. Then RFC 9293 3.10.7.4, step by step, with RFC 5961 and RFC 7323 in their places.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "net/tcp_state.h"

enum {
	CHALLENGE_MS = 500,            /* between two challenge ACKs of a connection */
	LINGER_MS = 2000, LINGER_KB = 64, /* input that is thrown away behind our FIN */
	PAWS_VALID_MS = 24 * 24 * 3600 * 1000, /* RFC 7323 5.5: a stamp older than 24 days says nothing */
};

/* RFC 5961 10: challenge ACKs are limited; the limit of all connections is drawn anew (CVE-2016-5696). */
static void
challenge(struct tcp *tcp, struct tcp_conn *conn)
{
	uint32_t rate = tcp->config.challenges_per_s, burst = rate / 2 + (uint32_t)prng_below(&tcp->prng, rate + 1);

	if (tcp->now_ms - conn->challenge_ms < CHALLENGE_MS)
		return;
	if (!tcp_bucket_take(tcp, &tcp->challenges, most(burst, 1), most(rate, 1)))
		return;
	conn->challenge_ms = tcp->now_ms;
	conn->flags |= CONN_ACK;
	counter_add(tcp->counters, COUNTER_TCP_CHALLENGES, 1);
}

/*
 * An ACK that another one has overtaken: nothing in it is older than the network may keep it, and it can do no more than mark
 * what has arrived. Were it taken for a duplicate of long ago, each would be answered, over a way that reorders.
 */
static bool
is_overtaken(const struct tcp *tcp, const struct tcp_conn *conn, const struct tcp_parsed *p)
{
	return p->len == 0 && !(p->flags & (TCP_FIN | TCP_SYN)) && p->seq == conn->rcv_nxt && seq_le(p->ack, conn->snd_una) &&
	    conn->ts_recent - p->options.tsval <= tcp_rto_us(tcp, conn) / 1000;
}

/*
 * RFC 7323 5.3, R1: "If there is a Timestamps option in the arriving segment, SEG.TSval < TS.Recent, TS.Recent is valid
 * ... and if the RST bit is not set, then treat the arriving segment as not acceptable". 3.2: one without
 * the option is dropped, but a RST.
 */
static enum drop
check_timestamps(struct tcp *tcp, struct tcp_conn *conn, const struct tcp_parsed *p)
{
	if (!conn_is(conn, CONN_TIMESTAMPS) || p->flags & TCP_RST)
		return DROP_NONE;
	if (!p->options.has_timestamps)
		return DROP_TCP_NO_TIMESTAMP;
	if (!seq_lt(p->options.tsval, conn->ts_recent) || is_overtaken(tcp, conn, p) || tcp->now_ms - conn->last_rx_ms > PAWS_VALID_MS)
		return DROP_NONE;
	conn->flags |= CONN_ACK;
	return DROP_TCP_PAWS;
}

/*
 * First check: RFC 9293 3.10.7.4, the table of four cases. A zero window lets the ACK of an empty-handed
 * segment through ("special allowance should be made to accept valid ACKs, URGs, and RSTs").
 */
static enum drop
check_sequence(struct tcp *tcp, struct tcp_conn *conn, struct tcp_parsed *p)
{
	uint32_t window = conn->rcv_adv - conn->rcv_nxt, first = p->seq - conn->rcv_nxt;
	uint32_t len = p->len + !!(p->flags & TCP_SYN) + !!(p->flags & TCP_FIN);

	if (first < window || (len > 0 && window > 0 && first + len - 1 < window) || (len == 0 && first == 0))
		return DROP_NONE;
	/* A segment that begins before the window and ends beyond it: neither end is inside. */
	if (window > 0 && seq_lt(p->seq, conn->rcv_nxt) && seq_lt(conn->rcv_nxt, p->seq + len))
		return DROP_NONE;
	if (first == 0) { /* the window is closed: a probe, and perhaps more */
		p->len = 0;
		p->flags &= (uint8_t)~TCP_FIN;
		conn->flags |= CONN_ACK;
		return DROP_NONE;
	}
	/* "If an incoming segment is not acceptable, an acknowledgment should be sent in reply (unless the RST bit is set ...)" */
	if (!(p->flags & TCP_RST)) {
		if (p->len > 0 && seq_lt(p->seq, conn->rcv_nxt)) {
			tcp_ooo_duplicate(tcp, conn, p->seq, p->seq + p->len);
			counter_add(tcp->counters, COUNTER_TCP_DUPLICATES, 1);
			conn->flags |= CONN_ACK;
		} else if (len > 0 || tcp_bucket_take(tcp, &tcp->challenges, most(tcp->config.challenges_per_s, 1),
		               most(tcp->config.challenges_per_s, 1))) {
			conn->flags |= CONN_ACK; /* two peers out of step must not answer each other for ever */
		}
	}
	return DROP_TCP_SEQUENCE;
}

/* Second to fourth check: RST and SYN as RFC 5961 3.2 and 4.2 have them. */
static enum drop
check_flags(struct tcp *tcp, struct tcp_conn *conn, const struct tcp_parsed *p)
{
	if (p->flags & TCP_RST) {
		/* "If the RST bit is set and the sequence number exactly matches the next expected sequence number
		 * (RCV.NXT), then TCP MUST reset the connection"; inside of the window: a challenge ACK. */
		if (p->seq == conn->rcv_nxt)
			tcp_close_gone(tcp, conn, conn_is(conn, CONN_CLOSE) && conn->state != TCP_FIN_WAIT_1 ? TCP_CLOSED : TCP_RESET);
		else
			challenge(tcp, conn);
		return DROP_TCP_RST;
	}
	if (p->flags & TCP_SYN) {
		/* "irrespective of the sequence number, TCP MUST send an ACK (also referred to as challenge ACK)" */
		challenge(tcp, conn);
		return DROP_TCP_SYN;
	}
	/* "If the ACK bit is off, drop the segment" */
	return p->flags & TCP_ACK ? DROP_NONE : DROP_TCP_FLAGS;
}

/*
 * RFC 9293 3.10.7.4: "If (SND.WL1 < SEG.SEQ or (SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK)), set SND.WND". Also when
 * the ACK is newer than any: data that is sent again has an old number, and without its window the edge
 * would move with SND.UNA beyond what the peer has offered (found by the simulator, seed 50261).
 */
static void
update_window(struct tcp *tcp, struct tcp_conn *conn, const struct tcp_parsed *p)
{
	uint32_t window = (uint32_t)p->window << conn->snd_shift, old = conn->snd_wnd;

	if (!seq_lt(conn->snd_una, p->ack) && !seq_lt(conn->snd_wl1, p->seq) &&
	    !(conn->snd_wl1 == p->seq && seq_le(conn->snd_wl2, p->ack)))
		return;
	conn->snd_wnd = window;
	conn->snd_wl1 = seq_max(conn->snd_wl1, p->seq);
	conn->snd_wl2 = p->ack;
	conn->max_wnd = most(conn->max_wnd, window);
	if (window != old)
		tcp_list_output(tcp, conn);
	/* A window opens that was closed over what is in flight: it was thrown away, and goes again at once. */
	if (old == 0 && window > 0 && conn->rtx && p->ack == conn->snd_una && conn_is(conn, CONN_ZERO)) {
		tcp_rtx_reopened(tcp, conn);
		conn->backoff = 0;
	}
}

/* Our FIN has been acknowledged. False: the connection is gone. */
static bool
fin_acked(struct tcp *tcp, struct tcp_conn *conn)
{
	switch (conn->state) {
	case TCP_FIN_WAIT_1:
		conn->state = TCP_FIN_WAIT_2;
		conn->state_ms = tcp->now_ms;
		tcp_timers_arm(tcp, conn);
		return true;
	case TCP_CLOSING:
		tcp_close_wait(tcp, conn);
		return false;
	case TCP_LAST_ACK:
		tcp_close_gone(tcp, conn, TCP_CLOSED);
		return false;
	default:
		return true;
	}
}

/* Fifth check, the ACK field. */
static enum drop
check_ack(struct tcp *tcp, struct tcp_conn *conn, const struct tcp_parsed *p)
{
	bool window_same = (uint32_t)p->window << conn->snd_shift == conn->snd_wnd;

	/* RFC 5961 5.2: "((SND.UNA - MAX.SND.WND) <= SEG.ACK <= SND.NXT)"; all others get an ACK back, which is limited. */
	if (seq_lt(p->ack, conn->snd_una - conn->max_wnd) || seq_lt(conn->snd_nxt, p->ack)) {
		challenge(tcp, conn);
		return DROP_TCP_ACK;
	}
	/* RFC 7323 4.3 (2): "If: SEG.TSval >= TS.Recent and SEG.SEQ <= Last.ACK.sent then SEG.TSval is copied to TS.Recent". */
	if (conn_is(conn, CONN_TIMESTAMPS) && p->options.has_timestamps && seq_le(p->seq, conn->last_ack) &&
	    !seq_lt(p->options.tsval, conn->ts_recent))
		conn->ts_recent = p->options.tsval;
	/* "If the ACK is a duplicate (SEG.ACK =< SND.UNA), it can be ignored" - its text is not. */
	if (seq_lt(p->ack, conn->snd_una))
		return DROP_NONE;
	update_window(tcp, conn, p);
	if (conn->rtx) {
		if (p->ack != conn->snd_una) {
			uint32_t bytes = p->ack - conn->snd_una;

			conn->last_data_ms = tcp->now_ms;
			conn->over_ms = seq_lt(conn->over_ms + bytes, tcp->now_ms) ? conn->over_ms + bytes : tcp->now_ms;
		}
		tcp_rtx_ack(tcp, conn, p, window_same);
		if (conn_is(conn, CONN_OVER) && conn->out.len <= tcp->config.output_max) {
			conn->flags &= ~CONN_OVER;
			tcp_news(tcp, conn);
		}
	}
	return DROP_NONE;
}

/* The application has closed: what still comes in is acknowledged and thrown away, for a while. False: gone. */
static bool
discard(struct tcp *tcp, struct tcp_conn *conn, uint32_t len)
{
	conn->rcv_nxt += len;
	conn->flags |= CONN_ACK;
	counter_add(tcp->counters, COUNTER_TCP_DISCARDED, len);
	/* A RST before our FIN is acknowledged could destroy the last reply in the peer. */
	if (conn->state != TCP_FIN_WAIT_2)
		return true;
	conn->discarded = (uint8_t)least(conn->discarded + len / 1024 + 1, UINT8_MAX);
	if (conn->discarded <= LINGER_KB && tcp->now_ms - conn->state_ms <= LINGER_MS)
		return true;
	tcp_close_reset(tcp, conn, TCP_CLOSED);
	return false;
}

/* A request may take partial_s, and 1 ms a byte. */
static inline void
note_progress(const struct tcp *tcp, struct tcp_conn *conn, uint32_t len)
{
	if (conn_is(conn, CONN_PARTIAL))
		conn->state_ms = seq_lt(conn->state_ms + len, tcp->now_ms) ? conn->state_ms + len : tcp->now_ms;
}

/*
 * In-order bytes. Where segments beyond the gap have some of them, those came first and count (tcp_ooo.c); *kept_fin is set when
 * FIN came with those. False: no memory for all; what was taken is acknowledged.
 */
static bool
take_in_order(struct tcp *tcp, struct tcp_conn *conn, struct tcp_parsed *p, bool *kept_fin)
{
	uint32_t end = p->seq + p->len;

	while (seq_lt(p->seq, end)) {
		const struct tcp_slice *slice = conn->ooo ? conn->ooo->first : NULL;
		uint32_t part = slice && seq_lt(slice->seq, end) ? slice->seq - p->seq : end - p->seq;

		if (!tcp_in_take(tcp, conn, p->segment, p->payload, part))
			return false;
		conn->rcv_nxt += part;
		if (conn->ooo && tcp_ooo_drain(tcp, conn))
			*kept_fin = true;
		if (!seq_lt(p->seq, conn->rcv_nxt))
			return false; /* the slice has found no memory */
		part = least(conn->rcv_nxt - p->seq, end - p->seq);
		p->seq += part;
		p->payload += part;
	}
	p->len = 0;
	return true;
}

/* Seventh, the segment text. DROP_NONE: taken, wholly or in part. */
static enum drop
take_text(struct tcp *tcp, struct tcp_conn *conn, struct tcp_parsed *p, bool *fin, bool *kept_fin)
{
	uint32_t window = conn->rcv_adv - conn->rcv_nxt;

	if (seq_lt(p->seq, conn->rcv_nxt)) { /* what came before */
		uint32_t old = least(conn->rcv_nxt - p->seq, p->len);

		tcp_ooo_duplicate(tcp, conn, p->seq, p->seq + old);
		p->payload += old;
		p->len -= old;
		p->seq += old;
		conn->flags |= CONN_ACK;
	}
	if (p->len > window - least(window, p->seq - conn->rcv_nxt)) { /* "segments ... trimmed to fit" */
		p->len = window - least(window, p->seq - conn->rcv_nxt);
		*fin = false;
		conn->flags |= CONN_ACK;
	}
	if (p->seq != conn->rcv_nxt) {
		conn->dup_due = (uint8_t)(conn->dup_due < UINT8_MAX ? conn->dup_due + 1 : UINT8_MAX);
		if (conn_is(conn, CONN_CLOSE))
			return DROP_TCP_CLOSED;
		counter_add(tcp->counters, COUNTER_TCP_OUT_OF_ORDER, 1);
		return tcp_ooo_put(tcp, conn, p->seq, p->payload, p->len, *fin) ? DROP_NONE : DROP_TCP_OOO_LIMIT;
	}
	if (p->len == 0)
		return DROP_NONE;
	conn->last_data_ms = tcp->now_ms;
	if (conn_is(conn, CONN_CLOSE))
		return discard(tcp, conn, p->len) ? DROP_NONE : DROP_TCP_CLOSED;
	conn->flags |= CONN_ACK;
	note_progress(tcp, conn, p->len);
	if (take_in_order(tcp, conn, p, kept_fin))
		return DROP_NONE;
	*fin = false;
	return DROP_TCP_MEMORY;
}

/* Eighth, the FIN bit, behind all text. */
static void
take_fin(struct tcp *tcp, struct tcp_conn *conn)
{
	conn->rcv_nxt++;
	conn->rcv_adv = seq_max(conn->rcv_adv, conn->rcv_nxt);
	conn->flags |= CONN_FIN_IN | CONN_ACK;
	switch (conn->state) {
	case TCP_ESTABLISHED:
		conn->state = TCP_CLOSE_WAIT;
		tcp_news(tcp, conn);
		break;
	case TCP_FIN_WAIT_1:
		conn->state = TCP_CLOSING;
		break;
	case TCP_FIN_WAIT_2:
		tcp_close_wait(tcp, conn);
		break;
	default:
		break;
	}
}

static enum drop
text_and_fin(struct tcp *tcp, struct tcp_conn *conn, struct tcp_parsed *p)
{
	bool fin = p->flags & TCP_FIN, kept_fin = false;
	uint32_t before = conn->rcv_nxt;
	enum drop why;

	if ((p->len == 0 && !fin) || conn_is(conn, CONN_FIN_IN))
		return DROP_NONE;
	why = take_text(tcp, conn, p, &fin, &kept_fin);
	if (conn->state == TCP_GONE)
		return why;
	fin = kept_fin || (fin && why == DROP_NONE && p->seq + p->len == conn->rcv_nxt);
	if (conn->rcv_nxt != before && !conn_is(conn, CONN_CLOSE))
		tcp_news(tcp, conn);
	if (fin)
		take_fin(tcp, conn);
	return why;
}

#ifndef TCP_NO_FASTPATH
/*
 * Header prediction (Jacobson, 1990): the next segment of an undisturbed connection, for which every check of process()
 * would pass. Nothing is done here that is not done there; a build without this gives the same bytes.
 */
static inline bool
is_expected(const struct tcp_conn *conn, const struct tcp_parsed *p)
{
	enum { DISTURBED = CONN_RECOVERY | CONN_LOSS | CONN_ZERO | CONN_CLOSE | CONN_FIN_IN };

	return conn->state == TCP_ESTABLISHED && (p->flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)) == TCP_ACK &&
	    p->seq == conn->rcv_nxt && p->len <= conn->rcv_adv - conn->rcv_nxt && !conn->ooo &&
	    p->ack - conn->snd_una <= conn->snd_nxt - conn->snd_una && !conn_is(conn, DISTURBED) &&
	    (!conn_is(conn, CONN_TIMESTAMPS) || (p->options.has_timestamps && !seq_lt(p->options.tsval, conn->ts_recent)));
}

static enum drop
process_expected(struct tcp *tcp, struct tcp_conn *conn, struct tcp_parsed *p)
{
	enum drop why = check_ack(tcp, conn, p);

	conn->last_rx_ms = tcp->now_ms;
	conn->keepalives = 0;
	memcpy(conn->peer.mac, p->segment->mac, 6);
	if (p->len == 0)
		return why;
	conn->last_data_ms = tcp->now_ms;
	conn->flags |= CONN_ACK;
	if (!tcp_in_take(tcp, conn, p->segment, p->payload, p->len))
		return DROP_TCP_MEMORY;
	conn->rcv_nxt += p->len;
	note_progress(tcp, conn, p->len);
	tcp_news(tcp, conn);
	return DROP_NONE;
}
#endif

static enum drop
process(struct tcp *tcp, struct tcp_conn *conn, struct tcp_parsed *p)
{
	enum drop why = check_timestamps(tcp, conn, p);

	if (why == DROP_NONE)
		why = check_sequence(tcp, conn, p);
	if (why == DROP_NONE)
		why = check_flags(tcp, conn, p);
	if (why == DROP_NONE)
		why = check_ack(tcp, conn, p);
	if (why != DROP_NONE)
		return why;
	conn->last_rx_ms = tcp->now_ms;
	conn->keepalives = 0;
	/* The way back is the way that it came: a router that takes over is followed at once. */
	memcpy(conn->peer.mac, p->segment->mac, 6);
	if (conn_is(conn, CONN_FIN_SENT) && conn->snd_una == conn->snd_nxt && !fin_acked(tcp, conn))
		return DROP_NONE;
	/* Sixth, the URG bit, is not looked at: urgent data is data (doc/TCP.md). */
	return text_and_fin(tcp, conn, p);
}

void
tcp_input_conn(struct tcp *tcp, struct tcp_conn *conn, struct tcp_parsed *p)
{
	enum drop why;

#ifndef TCP_NO_FASTPATH
	if (__builtin_expect(is_expected(conn, p), 1))
		why = process_expected(tcp, conn, p);
	else
#endif
		why = process(tcp, conn, p);
	/* One that is offered in part stays until the application has seen it. */
	if (why != DROP_NONE && !(conn->offer && tcp->offers[conn->offer - 1].pkt == p->segment->pkt))
		tcp_drop(tcp, p->segment, why);
	if (conn->state != TCP_GONE && (conn->dup_due || conn_is(conn, CONN_ACK)))
		tcp_list_output(tcp, conn);
}

/* --- bursts --------------------------------------------------------------------------------- */

static inline bool
parse_options(const uint8_t *at, struct tcp_parsed *p)
{
#ifndef TCP_NO_FASTPATH
	/* NOP NOP TS and nothing else: what nearly every segment has (RFC 7323 appendix A). */
	if (p->header_len == TCP_HEADER_LEN + TCP_TIMESTAMP_LEN && load_be32(at) == 0x0101080a) {
		memset(&p->options, 0, offsetof(struct tcp_options, sack));
		p->options.has_timestamps = true;
		p->options.tsval = load_be32(at + 4);
		p->options.tsecr = load_be32(at + 8);
		return true;
	}
#endif
	return tcp_options_parse(at, p->header_len - TCP_HEADER_LEN, p->flags & TCP_SYN, &p->options);
}

static bool
parse(struct tcp *tcp, struct tcp_segment *segment, struct tcp_parsed *p)
{
	const uint8_t *header = segment->header;
	enum drop why = DROP_NONE;

	if (segment->len < TCP_HEADER_LEN || (header[12] >> 4) * 4 < TCP_HEADER_LEN || (header[12] >> 4) * 4 > segment->len) {
		tcp_drop(tcp, segment, DROP_TCP_HEADER);
		return false;
	}
	p->segment = segment;
	memcpy(p->peer.ip, segment->source, 16);
	p->peer.port = load_be16(header);
	p->peer.local_port = load_be16(header + 2);
	memcpy(p->peer.mac, segment->mac, 6);
	p->peer.pad = 0;
	p->peer.local = segment->local;
	if (segment->local == ENDPOINT_IPV4 && !endpoint_is_mapped(segment->source))
		p->peer.local = ENDPOINT_IPV4 + 1;
	p->seq = load_be32(header + 4);
	p->ack = load_be32(header + 8);
	p->header_len = (uint8_t)((header[12] >> 4) * 4);
	p->flags = header[13] & (TCP_FIN | TCP_SYN | TCP_RST | TCP_PSH | TCP_ACK | TCP_URG);
	p->window = load_be16(header + 14);
	p->payload = segment->header + p->header_len;
	p->len = segment->len - p->header_len;
	if (p->peer.port == 0)
		why = DROP_TCP_HEADER;
	else if ((p->flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)) == 0 ||
	    (p->flags & TCP_SYN && p->flags & (TCP_FIN | TCP_RST)))
		why = DROP_TCP_FLAGS;
	else if (!parse_options(header + TCP_HEADER_LEN, p))
		why = DROP_TCP_OPTIONS;
	if (why != DROP_NONE)
		tcp_drop(tcp, segment, why);
	return why == DROP_NONE;
}

static void
unknown(struct tcp *tcp, struct tcp_parsed *p)
{
	struct tcp_half half;
	struct tcp_conn *conn;

	if ((p->flags & (TCP_SYN | TCP_RST | TCP_ACK)) == TCP_ACK && tcp_cookie_accept(tcp, p, &half)) {
		half.service = tcp_open_service(tcp, p->peer.local_port);
		conn = tcp_open_conn(tcp, &half, p);
		if (conn)
			tcp_input_conn(tcp, conn, p);
		else
			tcp_close_unknown(tcp, p);
		return;
	}
	/* The NIC chose this worker, but a connection stays where it was opened: another one may have it. */
	if (p->flags & (TCP_ACK | TCP_RST) && p->segment->hops < tcp->config.hops_max &&
	    tcp_open_service(tcp, p->peer.local_port) != SERVICE_NONE) {
		p->segment->stray = true;
		return;
	}
	tcp_open_listen(tcp, p, false, 0);
}

static void
dispatch(struct tcp *tcp, struct tcp_parsed *p)
{
	uint32_t index = tcp_ref_index(p->ref), offers = tcp->offer_count;

	switch (tcp_ref_kind(p->ref)) {
	case TCP_KIND_CONN:
		tcp_input_conn(tcp, &tcp->conns[index], p);
		break;
	case TCP_KIND_HALF:
		tcp_open_half(tcp, &tcp->halves[index], p);
		break;
	case TCP_KIND_WAIT:
		if (!tcp_close_wait_input(tcp, &tcp->waits[index], p))
			tcp_drop(tcp, p->segment, DROP_TCP_TIME_WAIT);
		break;
	default:
		unknown(tcp, p);
	}
	/* The frame is done with, but when its bytes are offered where they stand, or it goes on to another worker. */
	if (p->segment->stray)
		return;
	if (tcp->offer_count == offers || tcp->offers[tcp->offer_count - 1].pkt != p->segment->pkt)
		tcp_done(p->segment);
}

static void
burst(struct tcp *tcp, struct tcp_segment *segments, uint32_t count)
{
	struct tcp_parsed parsed[BURST_MAX];
	uint32_t n = 0, changes;

	for (uint32_t i = 0; i < count; i++)
		if (parse(tcp, &segments[i], &parsed[n])) {
			parsed[n].hash = tcp_hash(tcp, &parsed[n].peer);
			__builtin_prefetch(&tcp->table.slots[parsed[n].hash & tcp->table.mask]);
			n++;
		}
	changes = tcp->table.changes;
	for (uint32_t i = 0; i < n; i++) {
		parsed[i].ref = tcp_table_find(tcp, &parsed[i].peer, parsed[i].hash);
		if (tcp_ref_kind(parsed[i].ref) == TCP_KIND_CONN) {
			const uint8_t *conn = (const uint8_t *)&tcp->conns[tcp_ref_index(parsed[i].ref)];

			__builtin_prefetch(conn + 64);
			__builtin_prefetch(conn + 128);
		}
	}
	for (uint32_t i = 0; i < n; i++) {
		/* Who opened or closed before it in the burst may have changed where it leads. */
		if (tcp->table.changes != changes)
			parsed[i].ref = tcp_table_find(tcp, &parsed[i].peer, parsed[i].hash);
		dispatch(tcp, &parsed[i]);
	}
	counter_add(tcp->counters, COUNTER_TCP_SEGMENTS_IN, count);
}

void
tcp_input(struct tcp *tcp, uint64_t now_ns, struct tcp_segment *segments, uint32_t count)
{
	tcp_now(tcp, now_ns);
	for (uint32_t at = 0; at < count; at += BURST_MAX)
		burst(tcp, segments + at, least(count - at, BURST_MAX));
}
