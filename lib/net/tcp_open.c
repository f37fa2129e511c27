/* Passive open: LISTEN and SYN-RECEIVED (RFC 9293 3.10.7.2, 3.10.7.4). */
#include <string.h>

#include "base/check.h"
#include "net/tcp_state.h"
#include "seal/digest.h"

enum {
	SYN_ACK_FIRST_MS = 1000,   /* RFC 6298 (2.1); doubled each time */
	SYN_ACK_REPEAT_MS = 200,   /* between answers to a SYN that comes again */
	PRESSED_TRIES = 2,         /* under pressure a record stays for 7 s */
	ISN_TICK_NS = 4000,        /* RFC 6528 3: M is the 4 microsecond timer */
	TRIES_COOKIE = UINT8_MAX,  /* the record was a cookie */
	WINDOW_LEN_MAX = UINT16_MAX,
	SCALE_NONE = 0xff,
};

static uint64_t
tuple_digest(const struct tcp *tcp, const struct endpoint *peer, uint64_t purpose)
{
	uint64_t words[4];

	memcpy(words, peer->ip, 16);
	words[2] = (uint64_t)peer->port << 32 | (uint64_t)peer->local_port << 16 | peer->local;
	words[3] = purpose;
	return digest_siphash13(tcp->config.secret, words, sizeof words);
}

/* RFC 6528 3: ISN = M + F(localip, localport, remoteip, remoteport, secretkey). */
uint32_t
tcp_isn(const struct tcp *tcp, const struct endpoint *peer)
{
	return (uint32_t)(tcp->now_ns / ISN_TICK_NS) + (uint32_t)tuple_digest(tcp, peer, 1);
}

/* RFC 7323 5.4: an offset of its own for each pair of addresses, so that stamps do not tell of our uptime or of others. */
uint32_t
tcp_ts_offset(const struct tcp *tcp, const struct endpoint *peer)
{
	struct endpoint pair = *peer;

	pair.port = pair.local_port = 0;
	return (uint32_t)tuple_digest(tcp, &pair, 2);
}

uint16_t
tcp_our_mss(const struct tcp *tcp, bool ipv6)
{
	return (uint16_t)(tcp->config.mtu - (ipv6 ? IPV6_HEADER_LEN : IPV4_HEADER_LEN) - TCP_HEADER_LEN);
}

static uint16_t
first_window(const struct tcp *tcp)
{
	/* RFC 7323 2.2: "The window field in a segment where the SYN bit is set MUST NOT be scaled." */
	return (uint16_t)least(tcp->config.input_max, WINDOW_LEN_MAX);
}

uint8_t
tcp_open_service(const struct tcp *tcp, uint16_t port)
{
	for (uint32_t i = 0; i < tcp->config.listen_count; i++)
		if (tcp->config.listen[i].port == port)
			return tcp->config.listen[i].service;
	return SERVICE_NONE;
}

static void
syn_ack(struct tcp *tcp, const struct tcp_half *half, uint32_t tsval)
{
	bool ipv6 = half->flags & CONN_IPV6;

	tcp_loose(tcp, &(struct tcp_loose){ .peer = half->peer, .seq = half->iss, .ack = half->irs + 1,
		.window = first_window(tcp), .mss = tcp_our_mss(tcp, ipv6), .flags = TCP_SYN | TCP_ACK,
		.scale = half->flags & CONN_SCALED ? TCP_RCV_SHIFT : SCALE_NONE,
		.has_sack_permitted = half->flags & CONN_SACK, .has_timestamps = half->flags & CONN_TIMESTAMPS,
		.tsval = tsval, .tsecr = half->ts_recent });
}

static void
send_syn_ack(struct tcp *tcp, struct tcp_half *half)
{
	half->sent_us = tcp->now_us;
	syn_ack(tcp, half, conn_timestamp(tcp, tcp_ts_offset(tcp, &half->peer)));
}

/* --- records -------------------------------------------------------------------------------- */

static void
enqueue(struct tcp *tcp, struct tcp_half *half)
{
	struct tcp_queue *queue = &tcp->half_queues[half->tries];
	uint32_t position = (uint32_t)(half - tcp->halves) + 1;

	half->due_ms = tcp->now_ms + (SYN_ACK_FIRST_MS << half->tries);
	half->next = 0;
	half->prev = queue->last;
	*(queue->last ? &tcp->halves[queue->last - 1].next : &queue->first) = position;
	queue->last = position;
}

static void
dequeue(struct tcp *tcp, struct tcp_half *half)
{
	struct tcp_queue *queue = &tcp->half_queues[half->tries];

	*(half->prev ? &tcp->halves[half->prev - 1].next : &queue->first) = half->next;
	*(half->next ? &tcp->halves[half->next - 1].prev : &queue->last) = half->prev;
}

void
tcp_half_give(struct tcp *tcp, struct tcp_half *half)
{
	uint32_t index = (uint32_t)(half - tcp->halves);

	tcp_table_remove(tcp, &half->peer, tcp_ref(TCP_KIND_HALF, index));
	dequeue(tcp, half);
	half->next = tcp->half_free;
	tcp->half_free = index + 1;
	tcp->half_count--;
}

static struct tcp_half *
take_half(struct tcp *tcp)
{
	struct tcp_half *half;

	if (tcp->half_free) {
		half = &tcp->halves[tcp->half_free - 1];
		tcp->half_free = half->next;
	} else if (tcp->half_next < tcp->config.half_open_max) {
		half = &tcp->halves[tcp->half_next++];
	} else {
		return NULL;
	}
	tcp->half_count++;
	return half;
}

/* What a SYN says. */
static struct tcp_half
half_of(const struct tcp *tcp, const struct tcp_parsed *p, uint8_t service)
{
	const struct tcp_options *options = &p->options;
	bool ipv6 = !endpoint_is_mapped(p->peer.ip);
	struct tcp_half half = { .peer = p->peer, .irs = p->seq, .window = p->window, .service = service,
		.flags = ipv6 ? CONN_IPV6 : 0 };

	(void)tcp;
	/* RFC 9293 3.7.1, MUST-15: "If an MSS Option is not received at connection setup ... 536 (576 - 40) for IPv4 or 1220 for IPv6". */
	half.mss = options->has_mss ? options->mss : ipv6 ? TCP_MSS_DEFAULT_IPV6 : TCP_MSS_DEFAULT;
	half.mss = half.mss < TCP_MSS_MIN ? TCP_MSS_MIN : half.mss;
	if (options->has_timestamps) {
		half.flags |= CONN_TIMESTAMPS;
		half.ts_recent = options->tsval;
	}
	if (options->has_sack_permitted)
		half.flags |= CONN_SACK;
	if (options->has_scale) {
		half.flags |= CONN_SCALED;
		half.shift = options->scale;
	}
	return half;
}

void
tcp_open_listen(struct tcp *tcp, struct tcp_parsed *p, bool reused, uint32_t past_seq)
{
	uint8_t service = tcp_open_service(tcp, p->peer.local_port);
	struct tcp_half *half, made;

	/* RFC 9293 3.10.7.2: first RST is ignored, second an ACK is answered by a RST, third a SYN opens, fourth all else is dropped. */
	if (service == SERVICE_NONE || p->flags & (TCP_ACK | TCP_RST)) {
		tcp_close_unknown(tcp, p);
		tcp_drop(tcp, p->segment, service == SERVICE_NONE ? DROP_TCP_PORT : DROP_TCP_UNKNOWN);
		return;
	}
	if (!(p->flags & TCP_SYN)) {
		tcp_drop(tcp, p->segment, DROP_TCP_UNKNOWN);
		return;
	}
	/* Data in the SYN is not kept: the peer sends it again, as only the SYN is acknowledged. */
	made = half_of(tcp, p, service);
	half = take_half(tcp);
	if (!half) {
		tcp_cookie_send(tcp, p, &made);
		syn_ack(tcp, &made, made.sent_us);
		return;
	}
	*half = made;
	half->iss = tcp_isn(tcp, &p->peer);
	/* RFC 9293 3.6.1: "its initial sequence number ... larger than the largest sequence number it used". */
	if (reused && seq_lt(half->iss, past_seq))
		half->iss = past_seq;
	enqueue(tcp, half);
	tcp_table_put(tcp, p->hash, tcp_ref(TCP_KIND_HALF, (uint32_t)(half - tcp->halves)));
	counter_add(tcp->counters, COUNTER_TCP_SYNS, 1);
	send_syn_ack(tcp, half);
}

/* --- established ---------------------------------------------------------------------------- */

static void
first_rtt(struct tcp *tcp, struct tcp_conn *conn, const struct tcp_half *half, const struct tcp_parsed *p)
{
	tcp_cc_init(tcp, conn);
	if (half->tries == 0) {
		tcp_rtt_sample(conn, tcp->now_us - half->sent_us);
		return;
	}
	if (conn_is(conn, CONN_TIMESTAMPS) && p->options.tsecr) {
		uint32_t tsecr = p->options.tsecr;

		if (half->tries != TRIES_COOKIE)
			tcp_rtt_sample(conn, (conn_timestamp(tcp, conn->ts_offset) - tsecr) * 1000);
	} else if (half->tries != TRIES_COOKIE) {
		/* RFC 6298 (5.7): when a SYN-ACK was lost, "the RTO MUST be re-initialized to 3 seconds". */
		conn->srtt_us = 1000000;
		conn->rttvar_us = 500000;
		conn->min_rtt_us = conn->srtt_us;
	}
	/* RFC 5681 3.1: "If the SYN or SYN/ACK is lost, the initial window ... MUST be one segment". */
	if (half->tries != TRIES_COOKIE)
		conn->cwnd = conn->mss;
}

struct tcp_conn *
tcp_open_conn(struct tcp *tcp, const struct tcp_half *half, struct tcp_parsed *p)
{
	struct tcp_conn *conn;

	if (!tcp_sources_take(tcp, half->peer.ip)) {
		tcp_drop(tcp, p->segment, DROP_TCP_SOURCE_LIMIT);
		return NULL;
	}
	conn = tcp_conn_take(tcp, &p->peer, p->hash);
	if (!conn) {
		tcp_sources_give(tcp, half->peer.ip);
		tcp_drop(tcp, p->segment, DROP_TCP_CONNECTIONS);
		return NULL;
	}
	conn->flags = half->flags | (endpoint_is_mapped(half->peer.ip) ? 0 : CONN_IPV6);
	conn->service = half->service;
	conn->rcv_nxt = conn->last_ack = half->irs + 1;
	conn->rcv_adv = conn->rcv_nxt + first_window(tcp);
	conn->snd_una = conn->snd_nxt = half->iss + 1;
	conn->snd_shift = half->shift;
	conn->snd_wnd = conn->max_wnd = (uint32_t)p->window << half->shift;
	conn->snd_wl1 = p->seq;
	conn->snd_wl2 = p->ack;
	conn->ts_recent = half->ts_recent;
	conn->ts_offset = tcp_ts_offset(tcp, &half->peer);
	conn->mss = (uint16_t)least(half->mss, tcp_our_mss(tcp, conn_is(conn, CONN_IPV6)));
	conn->last_rx_ms = conn->last_tx_ms = conn->last_data_ms = conn->opened_ms = tcp->now_ms;
	conn->challenge_ms = tcp->now_ms - 60000;
	first_rtt(tcp, conn, half, p);
	tcp_timers_arm(tcp, conn);
	counter_add(tcp->counters, COUNTER_TCP_ACCEPTED, 1);
	return conn;
}

static void
acknowledge(struct tcp *tcp, struct tcp_half *half)
{
	tcp_loose(tcp, &(struct tcp_loose){ .peer = half->peer, .seq = half->iss + 1, .ack = half->irs + 1,
		.window = (uint16_t)(first_window(tcp) >> (half->flags & CONN_SCALED ? TCP_RCV_SHIFT : 0)), .flags = TCP_ACK, .scale = SCALE_NONE, .has_timestamps = half->flags & CONN_TIMESTAMPS,
		.tsval = conn_timestamp(tcp, tcp_ts_offset(tcp, &half->peer)), .tsecr = half->ts_recent });
}

/* Challenge ACKs (RFC 5961) of records have the limit of all connections, and the pace of repeated SYN-ACKs. */
static void
challenge(struct tcp *tcp, struct tcp_half *half)
{
	if (tcp->now_us - half->sent_us < SYN_ACK_REPEAT_MS * 1000u)
		return;
	half->sent_us = tcp->now_us;
	counter_add(tcp->counters, COUNTER_TCP_CHALLENGES, 1);
	acknowledge(tcp, half);
}

/* What is wrong with a segment for a record; DROP_NONE: it completes the handshake. */
static enum drop
half_verdict(struct tcp *tcp, struct tcp_half *half, const struct tcp_parsed *p)
{
	uint32_t offset = p->seq - (half->irs + 1);
	bool stamped = half->flags & CONN_TIMESTAMPS;

	if (!(p->flags & TCP_RST) && stamped && !p->options.has_timestamps)
		return DROP_TCP_NO_TIMESTAMP;
	if (!(p->flags & TCP_RST) && stamped && seq_lt(p->options.tsval, half->ts_recent)) {
		challenge(tcp, half);
		return DROP_TCP_PAWS;
	}
	if (offset >= first_window(tcp)) {
		if (!(p->flags & TCP_RST))
			challenge(tcp, half);
		return DROP_TCP_SEQUENCE;
	}
	if (p->flags & TCP_RST) {
		/* RFC 5961 3.2: only the very next number is believed. */
		if (offset != 0) {
			challenge(tcp, half);
			return DROP_TCP_RST;
		}
		counter_add(tcp->counters, COUNTER_TCP_HALF_RESET, 1);
		tcp_half_give(tcp, half);
		return DROP_TCP_RST;
	}
	if (p->flags & TCP_SYN) {
		challenge(tcp, half);
		return DROP_TCP_SYN;
	}
	if (!(p->flags & TCP_ACK))
		return DROP_TCP_FLAGS;
	/* "If SND.UNA < SEG.ACK =< SND.NXT, then enter ESTABLISHED ... otherwise <SEQ=SEG.ACK><CTL=RST>" */
	if (p->ack != half->iss + 1) {
		tcp_close_unknown(tcp, p);
		return DROP_TCP_ACK;
	}
	return DROP_NONE;
}

void
tcp_open_half(struct tcp *tcp, struct tcp_half *half, struct tcp_parsed *p)
{
	struct tcp_conn *conn;
	enum drop why;

	if ((p->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN && p->seq == half->irs) {
		/* It comes again: ours was lost, or is late. */
		if (tcp->now_us - half->sent_us >= SYN_ACK_REPEAT_MS * 1000u) {
			send_syn_ack(tcp, half);
			counter_add(tcp->counters, COUNTER_TCP_SYN_ACKS_AGAIN, 1);
		}
		return;
	}
	why = half_verdict(tcp, half, p);
	if (why != DROP_NONE) {
		tcp_drop(tcp, p->segment, why);
		return;
	}
	conn = tcp_open_conn(tcp, half, p);
	if (!conn)
		tcp_close_unknown(tcp, p);
	tcp_half_give(tcp, half);
	if (conn)
		tcp_input_conn(tcp, conn, p);
}

void
tcp_open_timers(struct tcp *tcp)
{
	uint32_t tries_max = tcp->half_count > tcp->config.half_open_max / 4 * 3 ? PRESSED_TRIES : TCP_SYN_TRIES;

	for (uint32_t tries = 0; tries <= TCP_SYN_TRIES; tries++)
		while (tcp->half_queues[tries].first) {
			struct tcp_half *half = &tcp->halves[tcp->half_queues[tries].first - 1];

			if (seq_lt(tcp->now_ms, half->due_ms))
				break;
			if (tries >= tries_max) {
				counter_add(tcp->counters, COUNTER_TCP_HALF_TIMED_OUT, 1);
				tcp_half_give(tcp, half);
				continue;
			}
			dequeue(tcp, half);
			half->tries++;
			enqueue(tcp, half);
			send_syn_ack(tcp, half);
			counter_add(tcp->counters, COUNTER_TCP_SYN_ACKS_AGAIN, 1);
		}
}
