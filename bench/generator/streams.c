#include <rte_ethdev.h>

#include "bench/generator/generator.h"

enum { DRAIN_TRIES = 20 };

/* Connection i's address and port. */
static struct link
link_of(const struct generator *g, uint32_t i)
{
	struct link link = g->options.link;

	link.port = (uint16_t)(TCP_CLIENT_PORT + i);
	return link;
}

static void
make_ready(struct generator *g, uint32_t i)
{
	g->ready[(g->ready_first + g->ready_count++) % g->options.connections] = i;
}

static uint32_t
take_ready(struct generator *g)
{
	uint32_t i = g->ready[g->ready_first];

	g->ready_first = (g->ready_first + 1) % g->options.connections;
	g->ready_count--;
	return i;
}

/* --- segments out ------------------------------------------------------------------- */

/* The stream's next segment, by what it waits for. */
static uint16_t
write_segment(struct generator *g, uint32_t i, uint8_t *frame)
{
	struct stream *stream = &g->streams[i];
	struct link link = link_of(g, i);

	stream->conn.seq = stream->seq;
	switch (stream->phase) {
	case STREAM_SYN:
		return tcp_client_syn(&g->tcp, &stream->conn, &link, frame);
	case STREAM_ASKED:
		return tcp_client_requests(&g->tcp, &stream->conn, &link, frame, g->keys + stream->trace_at, g->segment_ops,
		    g->segment_set);
	case STREAM_FIN:
		return tcp_client_ack(&g->tcp, &stream->conn, &link, frame, FLAG_FIN);
	case STREAM_ABORTED:
		return tcp_client_ack(&g->tcp, &stream->conn, &link, frame, FLAG_RST);
	default:
		return tcp_client_ack(&g->tcp, &stream->conn, &link, frame, 0);
	}
}

static void
transmit(struct generator *g, const uint32_t *which, uint16_t n)
{
	struct rte_mbuf *mbufs[BURST_MAX];

	if (rte_pktmbuf_alloc_bulk(g->pool, mbufs, n))
		generator_fail("out of packet buffers");
	for (uint16_t i = 0; i < n; i++)
		rte_pktmbuf_append(mbufs[i], write_segment(g, which[i], rte_pktmbuf_mtod(mbufs[i], uint8_t *)));
	g->stats.sent += n;
	nic_transmit(g, mbufs, n);
}

static void
ask(struct generator *g, struct stream *stream, uint64_t now)
{
	if (g->keys_at + g->segment_ops > g->keys_len)
		g->keys_at = 0;
	stream->phase = STREAM_ASKED;
	stream->seq = stream->conn.seq;
	stream->trace_at = g->keys_at;
	stream->reply_len = 0;
	stream->since_tsc = now;
	g->keys_at += g->segment_ops;
	g->in_flight++;
}

/* The stream begins with a number far beyond what it sent before; its address and port are used again. */
static void
start_stream(struct stream *stream, uint64_t now)
{
	stream->seq = stream->conn.seq + 100000;
	stream->phase = STREAM_SYN;
	stream->since_tsc = stream->due_tsc = now;
	stream->conn.ack = stream->conn.stamp = 0;
}

static void
send_ready(struct generator *g)
{
	uint64_t now = rte_rdtsc();

	g->tcp.tick++;
	while (g->ready_count > 0) {
		uint32_t which[BURST_MAX];
		uint16_t n = 0;

		for (; n < BURST_MAX && g->ready_count > 0; n++) {
			struct stream *stream = &g->streams[which[n] = take_ready(g)];

			if (stream->phase == STREAM_CLOSED)
				start_stream(stream, now);
			else if (stream->phase == STREAM_OPEN)
				ask(g, stream, now);
		}
		transmit(g, which, n);
	}
}

/* --- segments in -------------------------------------------------------------------- */

/* Replies to GETs of keys that are there have one length: what is before the value, and behind it. */
static void
reply_shape(struct generator *g)
{
	if (g->tcp.memcached) {
		g->reply_head = (uint16_t)snprintf(NULL, 0, "VALUE %0*d 0 %u\r\n", WORKLOAD_KEY_LEN, 0, g->options.value_len);
		g->reply_tail = "\r\nEND\r\n";
	} else {
		g->reply_head = (uint16_t)snprintf(NULL, 0, "$%u\r\n", g->options.value_len);
		g->reply_tail = "\r\n";
	}
	if (g->segment_set) {
		g->reply_head = 0;
		g->reply_tail = g->tcp.memcached ? "STORED\r\n" : "+OK\r\n";
	}
	g->reply_size = g->reply_head + (g->segment_set ? 0 : g->options.value_len) + (uint32_t)strlen(g->reply_tail);
	if (g->reply_size * g->segment_ops > STREAM_REPLY_MAX)
		generator_fail("so many replies do not fit a connection's buffer");
}

static void
check_replies(struct generator *g, const struct stream *stream)
{
	const uint8_t *at = stream->reply;
	uint32_t value_len = g->segment_set ? 0 : g->options.value_len;

	for (uint32_t k = 0; k < g->segment_ops; k++, at += g->reply_size) {
		bool right = memcmp(at + g->reply_head + value_len, g->reply_tail, strlen(g->reply_tail)) == 0;

		if (!g->segment_set)
			right = right && workload_value_is(at + g->reply_head, value_len, g->keys[stream->trace_at + k]);
		g->stats.wrong += !right;
		g->stats.results++;
	}
}

static void
settle(struct generator *g, uint32_t i, uint64_t now)
{
	struct stream *stream = &g->streams[i];

	check_replies(g, stream);
	g->in_flight--;
	g->stats.answered++;
	stream->seq = stream->conn.seq;
	stream->phase = g->options.mode == MODE_CONNECT ? STREAM_FIN : STREAM_OPEN;
	if (stream->phase == STREAM_FIN)
		stream->since_tsc = now;
	else if (g->measuring)
		histogram_record(&g->latencies, (uint64_t)((double)(now - stream->since_tsc) * 1e9 / (double)g->tsc_hz));
	if (!g->stopping || stream->phase == STREAM_FIN)
		make_ready(g, i);
}

static void
take_payload(struct generator *g, uint32_t i, const struct tcp_seen *seen, uint64_t now)
{
	struct stream *stream = &g->streams[i];

	if (seen->len == 0 || seen->seq != stream->conn.ack || stream->phase != STREAM_ASKED)
		return; /* sent again, or a gap: it comes again */
	stream->conn.ack += seen->len;
	if (stream->reply_len + seen->len > g->reply_size * g->segment_ops)
		generator_fail("a reply is longer than it should be");
	memcpy(stream->reply + stream->reply_len, seen->payload, seen->len);
	stream->reply_len += seen->len;
	if (stream->reply_len == g->reply_size * g->segment_ops)
		settle(g, i, now);
}

/* The server's end of the connection, which ours has asked for. */
static void
take_end(struct generator *g, uint32_t i, const struct tcp_seen *seen, uint64_t now)
{
	struct stream *stream = &g->streams[i];

	if (stream->phase != STREAM_FIN || seen->seq + seen->len != stream->conn.ack)
		return;
	stream->conn.ack++;
	stream->seq = ++stream->conn.seq;
	stream->phase = STREAM_LAST;
	transmit(g, &i, 1);
	stream->phase = STREAM_CLOSED;
	if (g->measuring)
		histogram_record(&g->latencies, (uint64_t)((double)(now - stream->due_tsc) * 1e9 / (double)g->tsc_hz));
	if (!g->stopping)
		make_ready(g, i);
}

static void
take_segment(struct generator *g, const uint8_t *frame, uint32_t len, uint64_t now)
{
	uint16_t ip_len = load_be16(frame + ETHERNET_HEADER_LEN + 2);
	uint32_t i = load_be16(frame + TCP_CLIENT_AT + 2) - (uint32_t)TCP_CLIENT_PORT;
	struct stream *stream;
	struct tcp_seen seen;

	if (i >= g->options.connections || ip_len < IPV4_HEADER_LEN + TCP_CLIENT_HEADER || ip_len + (uint32_t)ETHERNET_HEADER_LEN > len)
		return;
	stream = &g->streams[i];
	seen = tcp_client_read(&stream->conn, frame, (uint16_t)(ip_len - IPV4_HEADER_LEN));
	if (seen.flags & FLAG_RST)
		generator_fail("the server reset a connection");
	if (seen.flags & FLAG_SYN) {
		if (stream->phase != STREAM_SYN)
			return;
		stream->conn.ack = seen.seq + 1;
		stream->seq = stream->conn.seq;
		stream->phase = STREAM_OPEN;
		make_ready(g, i);
		return;
	}
	take_payload(g, i, &seen, now);
	if (seen.flags & FLAG_FIN)
		take_end(g, i, &seen, now);
}

static void
receive(struct generator *g)
{
	struct rte_mbuf *mbufs[BURST_MAX];
	uint16_t n = rte_eth_rx_burst(PORT, 0, mbufs, BURST_MAX);
	uint64_t now = rte_rdtsc();

	if (n == 0)
		return;
	g->stats.rx_bursts++;
	g->stats.rx_frames += n;
	for (uint16_t i = 0; i < n; i++) {
		const uint8_t *frame = rte_pktmbuf_mtod(mbufs[i], uint8_t *);
		uint32_t len = rte_pktmbuf_data_len(mbufs[i]);

		if (len >= TCP_CLIENT_AT + TCP_CLIENT_HEADER && load_be16(frame + 12) == 0x0800 && frame[ETHERNET_HEADER_LEN + 9] == 6)
			take_segment(g, frame, len, now);
	}
	rte_pktmbuf_free_bulk(mbufs, n);
}

/* What has waited too long is sent again, and counted as lost. Looks at all streams, so not often. */
static void
repeat_lost(struct generator *g)
{
	uint64_t now = rte_rdtsc();

	if (now - g->swept_tsc < g->loss_tsc / 4)
		return;
	g->swept_tsc = now;
	for (uint32_t i = 0; i < g->options.connections; i++) {
		struct stream *stream = &g->streams[i];

		if (stream->phase == STREAM_CLOSED || stream->phase == STREAM_OPEN || now - stream->since_tsc < g->loss_tsc)
			continue;
		stream->since_tsc = now;
		g->stats.lost++;
		transmit(g, &i, 1);
	}
}

/* --- phases ------------------------------------------------------------------------- */

void
streams_begin(struct generator *g, bool set)
{
	g->segment_set = set;
	g->segment_ops = set && g->options.ops > PRELOAD_OPS ? PRELOAD_OPS : g->options.ops;
	g->stopping = false;
	g->ready_first = g->ready_count = 0;
	reply_shape(g);
	for (uint32_t i = 0; i < g->options.connections; i++)
		make_ready(g, i);
}

void
streams_create(struct generator *g)
{
	const struct options *o = &g->options;

	g->tcp = (struct tcp_client){ .link = o->link, .memcached = o->memcached, .checksums = o->checksums, .value_len = o->value_len };
	g->streams = calloc(o->connections, sizeof *g->streams);
	g->ready = calloc(o->connections, sizeof *g->ready);
	CHECK(g->streams && g->ready);
	for (uint32_t i = 0; i < o->connections; i++)
		g->streams[i].conn.seq = (uint32_t)prng_next(&g->prng);
}

void
streams_run_until(struct generator *g, uint64_t end_tsc)
{
	while (rte_rdtsc() < end_tsc) {
		receive(g);
		send_ready(g);
		repeat_lost(g);
	}
}

static bool
is_quiet(const struct generator *g)
{
	for (uint32_t i = 0; i < g->options.connections; i++)
		if (g->streams[i].phase != STREAM_CLOSED && g->streams[i].phase != STREAM_OPEN)
			return false;
	return true;
}

/* One segment on each stream that is open. */
static void
transmit_open(struct generator *g, enum stream_phase phase)
{
	for (uint32_t i = 0; i < g->options.connections; i++) {
		if (g->streams[i].phase != STREAM_OPEN)
			continue;
		g->streams[i].phase = phase;
		transmit(g, &i, 1);
	}
}

void
streams_drain(struct generator *g)
{
	uint64_t end = rte_rdtsc() + DRAIN_TRIES * g->loss_tsc;

	g->stopping = true;
	while (!is_quiet(g)) {
		if (rte_rdtsc() > end)
			generator_fail("the server does not answer every request");
		receive(g);
		/* Nothing new; but what has begun to end, ends. */
		for (uint32_t left = g->ready_count; left > 0; left--) {
			uint32_t i = take_ready(g);

			if (g->streams[i].phase == STREAM_FIN)
				make_ready(g, i);
		}
		send_ready(g);
		repeat_lost(g);
	}
	transmit_open(g, STREAM_OPEN); /* acknowledges: nothing is sent again while nobody looks */
}

void
streams_abort(struct generator *g)
{
	transmit_open(g, STREAM_ABORTED);
}

/* Every key is set by SETs over the same connections. */
void
streams_preload(struct generator *g)
{
	uint32_t *keys = malloc(g->options.keys * sizeof *keys);

	CHECK(keys);
	for (uint32_t i = 0; i < g->options.keys; i++)
		keys[i] = i;
	phases_begin(g, keys, g->options.keys, g->options.ops, false);
	streams_begin(g, true);
	while (g->stats.results < g->options.keys)
		streams_run_until(g, rte_rdtsc() + g->tsc_hz / 100);
	streams_drain(g);
	if (g->stats.wrong)
		generator_fail("the server does not store every key");
	free(keys);
}
