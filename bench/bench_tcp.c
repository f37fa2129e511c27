/*
 * bench_tcp - the worker's stages on TCP segments, without a NIC: cycles a request.
 *
 * What it measures: TSC cycles of each stage, from net_input of the segments to the frames of their replies, for GETs over
 * many connections. A small client in this program opens them, sends whole requests, one segment a connection and
 * round, and acknowledges with its next segment what it got; it is not timed. Of the rounds of 32 segments the
 * median is told, because on a shared machine the mean contains other people's time slices.
 *
 * callgrind runs it as it runs bench_pipeline: collecting only measured_round.
 */
#include <getopt.h>

#include <rte_cycles.h>

#include "base/bytes.h"
#include "base/histogram.h"
#include "bench/rig.h"
#include "bench/tcp_client.h"
#include "net/net.h"
#include "net/tcp_frame.h"
#include "proto/stream.h"

enum {
	PIPELINE_MAX = 16,
	WARM_ROUNDS = 2000,
	FRAMES_MAX = 256,
};

enum stage { STAGE_INPUT, STAGE_TCP_IN, STAGE_PARSE, STAGE_RUN, STAGE_COMPOSE, STAGE_TCP_OUT, STAGE_TICK, STAGE_COUNT };
static const char *const stage_names[] = { "net_input", "tcp_input", "serve_parse", "serve_run", "serve_compose",
	"tcp_output", "tick" };

struct options {
	uint32_t keys, rounds, connections, pipeline;
	uint16_t value_len;
	bool memcached, huge, checksums;
};

struct bench {
	struct options options;
	struct rig rig;
	struct net net;
	struct tcp *tcp;
	struct pkt pkts[BURST_MAX];
	struct turn turns[BURST_MAX];
	struct tcp_frame frames[FRAMES_MAX];
	struct tcp_client client;
	struct tcp_conn *conns;
	uint32_t next;            /* connection whose turn it is */
	struct histogram stages[STAGE_COUNT], rounds;
	uint64_t replies, reply_bytes, sent_frames, short_rounds;
};

/* Connection i's address and port. */
static struct link
link_of(const struct bench *b, uint32_t i)
{
	uint32_t source = i / PORTS_A_SOURCE;
	struct link link = b->client.link;

	memcpy(link.ip, (uint8_t[4]){ 10, 9, (uint8_t)(1 + source / 250), (uint8_t)(2 + source % 250) }, 4);
	link.port = (uint16_t)(TCP_CLIENT_PORT + i % PORTS_A_SOURCE);
	return link;
}

/* One round of the worker's loop between port_rx and port_tx; returns how many frames TCP sends. */
__attribute__((noinline)) static uint32_t
measured_round(struct bench *b, uint32_t n, uint64_t *at)
{
	struct burst *burst = &b->rig.burst;
	uint64_t now_ns = burst->now.mono_ns;
	uint32_t frames;

	at[0] = rte_rdtsc();
	burst->datagram_count = net_input(&b->net, now_ns, b->pkts, n, burst->datagrams);
	at[1] = rte_rdtsc();
	tcp_input(b->tcp, now_ns, b->net.segments, b->net.segment_count);
	tcp_timers(b->tcp, now_ns);
	burst->turns = b->turns;
	burst->turn_count = tcp_turns(b->tcp, now_ns, b->turns, BURST_MAX);
	at[2] = rte_rdtsc();
	serve_parse(b->rig.serve, burst);
	at[3] = rte_rdtsc();
	serve_run(b->rig.serve, burst);
	at[4] = rte_rdtsc();
	serve_compose(b->rig.serve, burst);
	at[5] = rte_rdtsc();
	tcp_apply(b->tcp, now_ns, b->turns, burst->turn_count);
	frames = tcp_output(b->tcp, now_ns, &burst->spares, b->frames, FRAMES_MAX);
	tcp_frames_output(&b->net, b->frames, frames);
	at[6] = rte_rdtsc();
	serve_tick(b->rig.serve, &burst->now, BURST_MAX);
	reclaim_quiescent();
	at[7] = rte_rdtsc();
	return frames;
}

/* Which connection a frame of the server is for. */
static uint32_t
connection_of(const uint8_t *frame)
{
	const uint8_t *ip = frame + ETHERNET_HEADER_LEN;

	return ((ip[18] - 1u) * 250 + ip[19] - 2) * PORTS_A_SOURCE + load_be16(frame + TCP_CLIENT_AT + 2) - TCP_CLIENT_PORT;
}

/* Counts what is new in a segment. Of many connections, one's turn to acknowledge may be so long ago that all is sent again. */
static void
take(struct bench *b, struct tcp_conn *conn, const struct tcp_seen *seen)
{
	uint32_t end = seen->seq + seen->len, fresh = end - conn->ack;

	if (seen->flags & FLAG_SYN) {
		conn->ack = seen->seq + 1;
		return;
	}
	if ((int32_t)(seen->seq - conn->ack) > 0)
		rig_fail("a segment is missing");
	if ((int32_t)fresh <= 0)
		return;
	conn->ack = end;
	b->reply_bytes += fresh;
}

static void
receive(struct bench *b, uint32_t frames)
{
	for (uint32_t f = 0; f < frames; f++) {
		const uint8_t *frame = b->frames[f].pkt->data;
		struct tcp_conn *conn = &b->conns[connection_of(frame)];
		struct tcp_seen seen = tcp_client_read(conn, frame, b->frames[f].len);

		if (seen.flags & FLAG_RST)
			rig_fail("the server reset a connection");
		take(b, conn, &seen);
	}
	b->sent_frames += frames;
	rig_refill(&b->rig);
}

static void
exchange(struct bench *b, uint32_t n)
{
	uint64_t at[STAGE_COUNT + 1];

	rig_now(&b->rig.burst.now);
	receive(b, measured_round(b, n, at));
}

static void
open_connections(struct bench *b)
{
	for (uint32_t first = 0; first < b->options.connections; first += BURST_MAX) {
		uint32_t n = b->options.connections - first < BURST_MAX ? b->options.connections - first : BURST_MAX;

		for (uint32_t i = 0; i < n; i++) {
			struct link link = link_of(b, first + i);

			b->pkts[i] = rig_pkt(&b->rig);
			b->pkts[i].len = tcp_client_syn(&b->client, &b->conns[first + i], &link, b->pkts[i].data);
		}
		exchange(b, n);
		for (uint32_t i = 0; i < n; i++) {
			struct link link = link_of(b, first + i);

			b->pkts[i] = rig_pkt(&b->rig);
			b->pkts[i].len = tcp_client_ack(&b->client, &b->conns[first + i], &link, b->pkts[i].data, 0);
		}
		exchange(b, n);
	}
}

/* One segment of `per` requests on each of the next connections. */
static uint32_t
requests(struct bench *b, const uint32_t *keys, uint32_t per, bool set)
{
	uint32_t n = b->options.connections < BURST_MAX ? b->options.connections : BURST_MAX;

	b->client.tick++;
	for (uint32_t i = 0; i < n; i++) {
		struct link link = link_of(b, b->next);

		b->pkts[i] = rig_pkt(&b->rig);
		b->pkts[i].len = tcp_client_requests(&b->client, &b->conns[b->next], &link, b->pkts[i].data, keys + i * per, per, set);
		b->next = b->next + 1 < b->options.connections ? b->next + 1 : 0;
	}
	return n;
}

static void
preload(struct bench *b)
{
	uint32_t keys[BURST_MAX * 8];

	for (uint32_t first = 0; first < b->options.keys; first += BURST_MAX * 8) {
		for (uint32_t i = 0; i < BURST_MAX * 8; i++)
			keys[i] = (first + i) % b->options.keys;
		exchange(b, requests(b, keys, 8, true));
	}
}

static void
run(struct bench *b, const uint32_t *trace, uint32_t rounds, bool measure)
{
	uint64_t at[STAGE_COUNT + 1];
	uint32_t position = 0, step = BURST_MAX * b->options.pipeline;

	for (uint32_t round = 0; round < rounds; round++) {
		uint64_t bytes = b->reply_bytes;
		uint32_t n;

		rig_now(&b->rig.burst.now);
		n = requests(b, trace + position, b->options.pipeline, false);
		position = position + 2 * step <= TRACE_LEN ? position + step : 0;
		receive(b, measured_round(b, n, at));
		if (b->reply_bytes - bytes < (uint64_t)n * b->options.pipeline * b->options.value_len)
			b->short_rounds++; /* a stall of the machine: what nobody acknowledged meanwhile is sent again first */
		b->replies += n * b->options.pipeline;
		for (int i = 0; i < STAGE_COUNT && measure; i++)
			histogram_record(&b->stages[i], at[i + 1] - at[i]);
		if (measure)
			histogram_record(&b->rounds, at[STAGE_COUNT] - at[0]);
	}
}

static void
start_net(struct bench *b)
{
	struct net_config config = { .mac = { 2, 0, 0, 0, 0, 1 }, .ipv4 = { 10, 9, 0, 1 },
		.verify_checksums = b->options.checksums, .tx_checksum_offload = !b->options.checksums, .tcp = true };
	struct tcp_config tcp;
	struct error error;

	net_init(&b->net, &config, &b->rig.counters);
	tcp_defaults(&tcp);
	tcp.listen[0].port = 6379;
	tcp.listen[0].service = SERVICE_RESP;
	tcp.listen[1].port = 11211;
	tcp.listen[1].service = SERVICE_MEMCACHED_STREAM;
	tcp.listen_count = 2;
	tcp.connections_max = b->options.connections + 64;
	rig_now(&b->rig.burst.now);
	b->tcp = tcp_create(&tcp, &b->rig.counters, b->rig.burst.now.mono_ns, 1, &error);
	if (!b->tcp)
		rig_fail(error.text);
}

static void
print_report(const struct bench *b)
{
	uint32_t n = b->options.connections < BURST_MAX ? b->options.connections : BURST_MAX;
	const double per = (double)n * b->options.pipeline;
	struct tcp_figures figures;

	tcp_figures(b->tcp, &figures);
	printf("{\"bench\":\"tcp\",\"protocol\":\"%s\",\"connections\":%u,\"pipeline\":%u,\"keys\":%u,\"value_len\":%u,"
	    "\"checksums\":%s,\"rounds\":%u,\"replies\":%lu,\"frames\":%lu,\"short_rounds\":%lu,\"blocks_peak\":%lu,\"cycles_per_op\":{",
	    b->options.memcached ? "memcached" : "resp", b->options.connections, b->options.pipeline, b->options.keys,
	    b->options.value_len, b->options.checksums ? "true" : "false", b->options.rounds, b->replies, b->sent_frames, b->short_rounds,
	    figures.blocks_peak);
	for (int i = 0; i < STAGE_COUNT; i++)
		printf("\"%s\":%.1f,", stage_names[i], (double)histogram_percentile(&b->stages[i], 50) / per);
	printf("\"all\":%.1f,\"all_p10\":%.1f,\"all_p90\":%.1f},\"tsc_hz\":%lu}\n",
	    (double)histogram_percentile(&b->rounds, 50) / per, (double)histogram_percentile(&b->rounds, 10) / per,
	    (double)histogram_percentile(&b->rounds, 90) / per, rte_get_tsc_hz());
}

static const char usage[] =
    "usage: bench_tcp [--protocol resp|memcached] [--connections N] [--pipeline N] [--keys N] [--value BYTES]\n"
    "                 [--rounds N] [--checksums] [--huge]\n"
    "Times the worker's stages on 32 TCP segments of GETs a round; one line of JSON on stdout.\n"
    "--checksums: verified and written in software, as on a port without offload.\n";

static struct options
parse_options(int argc, char **argv)
{
	static const struct option longs[] = { { "protocol", 1, 0, 'p' }, { "connections", 1, 0, 'c' }, { "pipeline", 1, 0, 'n' },
		{ "keys", 1, 0, 'k' }, { "value", 1, 0, 'v' }, { "rounds", 1, 0, 'r' }, { "huge", 0, 0, 'H' },
		{ "checksums", 0, 0, 'C' }, { 0 } };
	struct options options = { .keys = 1000000, .rounds = 20000, .value_len = 64, .connections = 1024, .pipeline = 1 };

	for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
		switch (c) {
		case 'p': options.memcached = strcmp(optarg, "memcached") == 0; break;
		case 'c': options.connections = (uint32_t)atoi(optarg); break;
		case 'n': options.pipeline = (uint32_t)atoi(optarg); break;
		case 'k': options.keys = (uint32_t)atoi(optarg); break;
		case 'v': options.value_len = (uint16_t)atoi(optarg); break;
		case 'r': options.rounds = (uint32_t)atoi(optarg); break;
		case 'H': options.huge = true; break;
		case 'C': options.checksums = true; break;
		default: fputs(usage, stderr); exit(2);
		}
	}
	if (options.pipeline < 1 || options.pipeline > PIPELINE_MAX || options.keys < 1024 || options.connections < BURST_MAX ||
	    options.value_len > 100) { /* eight SETs and sixteen replies each fit a segment */
		fputs(usage, stderr);
		exit(2);
	}
	return options;
}

int
main(int argc, char **argv)
{
	static struct bench bench;
	struct bench *b = &bench;
	uint32_t *trace;

	b->options = parse_options(argc, argv);
	b->rig.config.connections_max = b->options.connections + 64;
	b->rig.config.protocols[SERVICE_MEMCACHED_STREAM] = &memcached_stream_protocol;
	b->rig.config.protocols[SERVICE_RESP] = &resp_stream_protocol;
	rig_start(&b->rig, "bench_tcp", b->options.huge, b->options.keys, b->options.value_len);
	b->client = (struct tcp_client){ .link = { .mac = { 2, 0, 0, 0, 0, 2 }, .peer_mac = { 2, 0, 0, 0, 0, 1 }, .peer_ip = { 10, 9, 0, 1 } },
		.memcached = b->options.memcached, .checksums = b->options.checksums, .value_len = b->options.value_len };
	b->conns = calloc(b->options.connections, sizeof *b->conns);
	CHECK(b->conns);
	start_net(b);
	trace = trace_create(b->options.keys, 0, 1);
	for (int i = 0; i < STAGE_COUNT; i++)
		histogram_init(&b->stages[i]);
	histogram_init(&b->rounds);
	open_connections(b);
	preload(b);
	run(b, trace, WARM_ROUNDS < b->options.rounds ? WARM_ROUNDS : b->options.rounds, false);
	run(b, trace, b->options.rounds, true);
	if (b->short_rounds > b->options.rounds / 10)
		rig_fail("too many rounds had too few reply bytes");
	print_report(b);
	return 0;
}
