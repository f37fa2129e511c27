/*
 * bench_pipeline - the worker's stages on prebuilt frames, without a NIC.
 *
 * What it measures: TSC cycles of each stage from net_input to net_output, for
 * GET or SET frames of one or more operations, over a store of many keys. Each
 * burst of 32 frames is timed; the median burst is reported, because on a
 * shared machine the mean contains other people's time slices.
 *
 * It is also what callgrind runs (`--rounds N`, collecting only measured_round):
 * the difference of two runs with N and 2N rounds is what the rounds cost.
 */
#include <getopt.h>
#include <stdio.h>

#include <rte_cycles.h>

#include "base/histogram.h"
#include "bench/frames.h"
#include "bench/rig.h"
#include "net/net.h"

enum {
	WARM_ROUNDS = 2000,
	VERIFY_EVERY = 64,   /* rounds between two in which every reply is checked */
};

enum stage { STAGE_INPUT, STAGE_PARSE, STAGE_RUN, STAGE_COMPOSE, STAGE_OUTPUT, STAGE_TICK, STAGE_COUNT };
static const char *const stage_names[] = { "net_input", "serve_parse", "serve_run", "serve_compose",
	"net_output", "tick" };

struct options {
	uint32_t keys, rounds;
	uint16_t value_len, ops;
	enum op op;
	double theta;
	bool huge, checksums;
};

struct pipeline {
	struct options options;
	struct rig rig;
	struct net net;
	struct pkt pkts[BURST_MAX];
	struct link link;
	uint64_t cookie, sequence;
	uint16_t *slots;
	uint32_t keys[BURST_MAX][FRAME_OPS_MAX]; /* asked for by the frame in pkts[i] */
	struct histogram stages[STAGE_COUNT], rounds;
	uint64_t frames, replies, checked, wrong;
};


/* Stands for port_rx: the frames are in the first-level cache, as after a copy from a ring. */
static void
receive(struct pipeline *p, const struct template *t, const uint32_t *trace, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		p->pkts[i] = rig_pkt(&p->rig);
		p->pkts[i].len = t->len;
		memcpy(p->keys[i], trace + i * t->ops, t->ops * sizeof *trace);
		template_write(t, p->pkts[i].data, p->sequence, p->cookie, p->keys[i], p->slots);
		if (p->options.checksums)
			frame_checksum(p->pkts[i].data, t->len);
		p->sequence += t->ops;
	}
	rig_refill(&p->rig);
}

/* One round of the worker's loop between port_rx and port_tx. */
__attribute__((noinline)) static void
measured_round(struct pipeline *p, uint32_t n, uint64_t *at)
{
	struct burst *burst = &p->rig.burst;

	at[0] = rte_rdtsc();
	burst->datagram_count = net_input(&p->net, burst->now.mono_ns, p->pkts, n, burst->datagrams);
	at[1] = rte_rdtsc();
	burst->frame_count = burst->request_count = burst->reply_count = burst->outbox.count = 0;
	serve_parse(p->rig.serve, burst);
	at[2] = rte_rdtsc();
	serve_run(p->rig.serve, burst);
	at[3] = rte_rdtsc();
	serve_compose(p->rig.serve, burst);
	at[4] = rte_rdtsc();
	net_output(&p->net, burst->replies, burst->reply_count);
	at[5] = rte_rdtsc();
	serve_tick(p->rig.serve, &burst->now, BURST_MAX);
	reclaim_quiescent();
	at[6] = rte_rdtsc();
}

/* Checks every result of one reply; returns the number of results. */
static uint32_t
check_reply(struct pipeline *p, const struct pkt *pkt, uint64_t first_sequence, uint16_t ops)
{
	struct view payload = view_of(pkt->data + TEMPLATE_NATIVE, (uint32_t)(pkt->len - TEMPLATE_NATIVE));
	struct reader in = reader_of(payload.data + NATIVE_HEADER_LEN, payload.len - NATIVE_HEADER_LEN);
	struct native_header header;
	struct native_result result;
	uint32_t results = 0, frame;

	if (!native_header_parse(payload, &header) || header.error)
		rig_fail("a reply is malformed or refuses its request");
	frame = (uint32_t)(header.sequence - first_sequence) / ops;
	for (; results < header.op_count && native_result_parse(&in, &result); results++) {
		bool get = p->options.op == OP_GET;

		if (frame >= BURST_MAX || result.status != OP_STATUS_OK
		    || (get && (result.value.len != p->options.value_len
		        || !workload_value_is(result.value.data, result.value.len, p->keys[frame][result.index]))))
			p->wrong++;
	}
	return results;
}

static void
check_replies(struct pipeline *p, uint64_t first_sequence, uint16_t ops, uint32_t expected)
{
	uint32_t results = 0;

	for (uint32_t i = 0; i < p->rig.burst.reply_count; i++)
		results += check_reply(p, p->rig.burst.replies[i].pkt, first_sequence, ops);
	p->checked += results;
	if (results != expected)
		rig_fail("a round has too few results");
}

static void
record(struct pipeline *p, const uint64_t *at)
{
	for (int i = 0; i < STAGE_COUNT; i++)
		histogram_record(&p->stages[i], at[i + 1] - at[i]);
	histogram_record(&p->rounds, at[STAGE_COUNT] - at[0]);
}

static void
run(struct pipeline *p, const struct template *t, const uint32_t *trace, uint32_t rounds, bool measure)
{
	uint64_t at[STAGE_COUNT + 1];
	uint32_t position = 0, step = BURST_MAX * t->ops;

	for (uint32_t round = 0; round < rounds; round++) {
		uint64_t first = p->sequence;

		if (round % 16 == 0)
			rig_now(&p->rig.burst.now);
		receive(p, t, trace + position, BURST_MAX);
		position = position + 2 * step <= TRACE_LEN ? position + step : 0;
		measured_round(p, BURST_MAX, at);
		p->frames += BURST_MAX;
		p->replies += p->rig.burst.reply_count;
		if (measure)
			record(p, at);
		if (round % VERIFY_EVERY == 0)
			check_replies(p, first, t->ops, step);
	}
}

/* A first request without a cookie: the challenge brings one. */
static void
handshake(struct pipeline *p)
{
	struct native_header header;
	struct template get;
	uint64_t at[STAGE_COUNT + 1];
	const uint32_t none[BURST_MAX] = { 0 };
	struct pkt *pkt;

	CHECK(template_init(&get, &p->link, 1, OP_GET, 1, 0));
	rig_now(&p->rig.burst.now);
	receive(p, &get, none, 1);
	measured_round(p, 1, at);
	if (p->rig.burst.reply_count != 1)
		rig_fail("no answer to the first request");
	pkt = p->rig.burst.replies[0].pkt;
	if (!native_header_parse(view_of(pkt->data + TEMPLATE_NATIVE, (uint32_t)(pkt->len - TEMPLATE_NATIVE)), &header)
	    || header.cookie == 0)
		rig_fail("the first answer brings no cookie");
	p->cookie = header.cookie;
}

static void
preload(struct pipeline *p)
{
	struct template set;
	uint64_t at[STAGE_COUNT + 1];
	uint32_t keys[BURST_MAX * 8], count = 0;
	enum op measured = p->options.op;

	CHECK(template_init(&set, &p->link, 1, OP_SET, 8, p->options.value_len));
	p->options.op = OP_SET;
	while (count < p->options.keys) {
		uint64_t first = p->sequence;

		for (uint32_t i = 0; i < BURST_MAX * 8; i++)
			keys[i] = (count + i) % p->options.keys;
		count += BURST_MAX * 8;
		receive(p, &set, keys, BURST_MAX);
		measured_round(p, BURST_MAX, at);
		check_replies(p, first, 8, BURST_MAX * 8);
		if (p->wrong)
			rig_fail("preloading a key failed");
	}
	p->options.op = measured;
}

static void
start_net(struct pipeline *p)
{
	struct net_config config = { .mac = { 2, 0, 0, 0, 0, 1 }, .ipv4 = { 10, 9, 0, 1 },
		.verify_checksums = p->options.checksums, .tx_checksum_offload = !p->options.checksums,
		.port_count = 1 };

	config.ports[0].port = 7411;
	config.ports[0].service = SERVICE_NATIVE;
	net_init(&p->net, &config, &p->rig.counters);
	p->link = (struct link){ .mac = { 2, 0, 0, 0, 0, 2 }, .peer_mac = { 2, 0, 0, 0, 0, 1 },
		.ip = { 10, 9, 0, 2 }, .peer_ip = { 10, 9, 0, 1 }, .port = 40000, .peer_port = 7411 };
}

static void
print_report(const struct pipeline *p)
{
	const double per = BURST_MAX * p->options.ops;

	printf("{\"bench\":\"pipeline\",\"op\":\"%s\",\"ops_per_frame\":%u,\"keys\":%u,\"value_len\":%u,"
	    "\"theta\":%.2f,\"checksums\":%s,\"rounds\":%u,\"frames_per_round\":%d,\"results_checked\":%lu,"
	    "\"wrong\":%lu,\"cycles_per_op\":{", p->options.op == OP_GET ? "get" : "set", p->options.ops,
	    p->options.keys, p->options.value_len, p->options.theta,
	    p->options.checksums ? "true" : "false", p->options.rounds, BURST_MAX,
	    p->checked, p->wrong);
	for (int i = 0; i < STAGE_COUNT; i++)
		printf("\"%s\":%.1f,", stage_names[i], (double)histogram_percentile(&p->stages[i], 50) / per);
	printf("\"all\":%.1f,\"all_p10\":%.1f,\"all_p90\":%.1f},\"tsc_hz\":%lu}\n",
	    (double)histogram_percentile(&p->rounds, 50) / per, (double)histogram_percentile(&p->rounds, 10) / per,
	    (double)histogram_percentile(&p->rounds, 90) / per, rte_get_tsc_hz());
}

static const char usage[] =
    "usage: bench_pipeline [--op get|set] [--ops N] [--keys N] [--value BYTES] [--zipf THETA]\n"
    "                      [--rounds N] [--checksums] [--huge]\n"
    "Times the worker's stages on bursts of 32 prebuilt frames; one line of JSON on stdout.\n"
    "--checksums: verified and written in software, as on a port without offload.\n";

static struct options
parse_options(int argc, char **argv)
{
	static const struct option longs[] = { { "op", 1, 0, 'o' }, { "ops", 1, 0, 'n' }, { "keys", 1, 0, 'k' },
		{ "value", 1, 0, 'v' }, { "zipf", 1, 0, 'z' }, { "rounds", 1, 0, 'r' }, { "huge", 0, 0, 'H' },
		{ "checksums", 0, 0, 'C' }, { 0 } };
	struct options options = { .keys = 1000000, .rounds = 20000, .value_len = 64, .ops = 1, .op = OP_GET };

	for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
		switch (c) {
		case 'o': options.op = strcmp(optarg, "set") ? OP_GET : OP_SET; break;
		case 'n': options.ops = (uint16_t)atoi(optarg); break;
		case 'k': options.keys = (uint32_t)atoi(optarg); break;
		case 'v': options.value_len = (uint16_t)atoi(optarg); break;
		case 'z': options.theta = atof(optarg); break;
		case 'r': options.rounds = (uint32_t)atoi(optarg); break;
		case 'H': options.huge = true; break;
		case 'C': options.checksums = true; break;
		default: fputs(usage, stderr); exit(2);
		}
	}
	if (options.ops < 1 || options.ops > FRAME_OPS_MAX || options.keys < 1024) {
		fputs(usage, stderr);
		exit(2);
	}
	return options;
}

int
main(int argc, char **argv)
{
	static struct pipeline pipeline;
	struct pipeline *p = &pipeline;
	struct template t;
	uint32_t *trace;

	p->options = parse_options(argc, argv);
	rig_start(&p->rig, "bench_pipeline", p->options.huge, p->options.keys, p->options.value_len);
	p->slots = slots_create(p->options.keys);
	start_net(p);
	if (!template_init(&t, &p->link, 1, p->options.op, p->options.ops, p->options.value_len))
		rig_fail("so many operations do not fit a frame");
	trace = trace_create(p->options.keys, p->options.theta, 1);
	for (int i = 0; i < STAGE_COUNT; i++)
		histogram_init(&p->stages[i]);
	histogram_init(&p->rounds);
	handshake(p);
	preload(p);
	run(p, &t, trace, WARM_ROUNDS < p->options.rounds ? WARM_ROUNDS : p->options.rounds, false);
	run(p, &t, trace, p->options.rounds, true);
	print_report(p);
	return p->wrong ? 1 : 0;
}
