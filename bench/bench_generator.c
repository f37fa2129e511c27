/*
 * bench_generator - native requests, or TCP's, over any DPDK port, as fast as a core can.
 *
 * How: one lcore. It resolves the server's MAC by ARP, takes a cookie, preloads
 *   every key (and reads all of them back), then runs for a fixed time:
 *   closed  - W frames in flight, replaced in bursts of 32;
 *   open    - Poisson arrivals at a fixed rate; a latency counts from the moment
 *             a request was due, whether or not it could be sent then;
 *   tcp     - on each of so many TCP connections one segment of requests in flight;
 *   connect - on each of so many ports a connection, which is opened, asks once, and is closed: set-up rate; a latency
 *             counts from the SYN to the server's FIN.
 *   Every value that comes back is compared byte by byte with what its key implies.
 *   A request unanswered for 500 ms is lost; losses are reported, never removed.
 * echo: the same frames against a server that only turns frames around
 *   (testpmd's macswap), to price the transport itself; or against a node's echo
 *   service (--echo-port), to price everything but parsing, lookup and composing.
 * Server figures come from the server: counters by STATS before and after.
 */
#include <getopt.h>
#include <stdio.h>

#include <rte_eal.h>
#include <rte_ethdev.h>

#include "bench/generator/generator.h"
#include "bench/report.h"

struct result {
	double seconds;
	uint64_t answered, results; /* by the end of the interval, what was drained left out */
	struct server_counters server;
};

/* Whether the other end is a node, and not a mere mirror. */
static bool
has_counters(const struct options *o)
{
	return (o->mode != MODE_ECHO || o->echo_port) && !o->foreign;
}

static struct result
measure(struct generator *g)
{
	struct server_counters before = { 0 }, after = { 0 };
	struct result result;
	bool server = has_counters(&g->options);
	uint64_t start;

	phases_begin(g, g->trace, TRACE_LEN, g->options.ops, false);
	phases_run_for(g, g->options.warm_seconds);
	phases_drain(g);
	if (server)
		before = node_counters(g);
	phases_begin(g, g->trace, TRACE_LEN, g->options.ops, true);
	start = rte_rdtsc();
	phases_run_for(g, g->options.seconds);
	result.seconds = (double)(rte_rdtsc() - start) / (double)g->tsc_hz;
	result.answered = g->stats.answered;
	result.results = g->stats.results;
	phases_drain(g);
	if (server)
		after = node_counters(g);
	result.server = (struct server_counters){ after.rx_frames - before.rx_frames,
		after.busy_cycles - before.busy_cycles, after.polls_busy - before.polls_busy,
		after.get_hits - before.get_hits, after.cmd_set - before.cmd_set };
	return result;
}

static void
print_report(const struct generator *g, const struct result *r)
{
	static const char *const modes[] = { "closed", "open", "echo", "tcp", "connect" };
	const struct options *o = &g->options;
	const struct stats *s = &g->stats;

	printf("{\"bench\":\"generator\",\"mode\":\"%s\",\"set_percent\":%u,\"ops_per_frame\":%u,"
	    "\"keys\":%u,\"value_len\":%u,\"theta\":%.2f,\"seed\":%lu,\"frame_len\":%u,", modes[o->mode], o->set_percent,
	    o->ops, o->keys, o->value_len, o->theta, o->seed, o->set_percent == 100 ? g->set.len : g->get.len);
	if (is_tcp(o))
		printf("\"protocol\":\"%s\",\"connections\":%u,", o->memcached ? "memcached" : "resp", o->connections);
	else if (o->mode == MODE_OPEN)
		printf("\"offered_frames_per_s\":%.0f,\"overrun\":%lu,", o->rate, s->overrun);
	else
		printf("\"window\":%u,", o->window);
	printf("\"seconds\":%.3f,\"frames_per_s\":%.0f,\"ops_per_s\":%.0f,\"results\":%lu,\"sent\":%lu,\"lost\":%lu,"
	    "\"wrong\":%lu,\"not_found\":%lu,\"refused\":%lu,\"tx_full\":%lu,\"rx_burst_mean\":%.1f,",
	    r->seconds, (double)r->answered / r->seconds, (double)r->results / r->seconds, s->results, s->sent, s->lost,
	    s->wrong, s->not_found, s->refused, s->tx_full,
	    s->rx_bursts ? (double)s->rx_frames / (double)s->rx_bursts : 0);
	if (has_counters(o) && r->server.rx_frames)
		printf("\"server\":{\"rx_frames\":%lu,\"busy_cycles_per_frame\":%.1f,\"busy_cycles_per_op\":%.1f,"
		    "\"frames_per_busy_poll\":%.1f,\"get_hits\":%lu,\"cmd_set\":%lu},", r->server.rx_frames,
		    (double)r->server.busy_cycles / (double)r->server.rx_frames,
		    (double)r->server.busy_cycles / (double)(s->results ? s->results : s->answered),
		    (double)r->server.rx_frames / (double)(r->server.polls_busy ? r->server.polls_busy : 1),
		    r->server.get_hits, r->server.cmd_set);
	report_latencies(&g->latencies);
	printf("}\n");
}

static const char usage[] =
    "usage: bench_generator EAL-ARGUMENTS -- [options]\n"
    "  --mode closed|open|echo   window, Poisson arrivals, or a window against macswap (closed)\n"
    "  --mode tcp|connect        TCP: on each connection --ops requests in flight; or one connection after the other\n"
    "  --connections N  TCP (256)                 --protocol resp|memcached\n"
    "  --foreign      TCP: the server is not a node of ours (Redis, memcached)\n"
    "  --window N     frames in flight (256)      --rate N       frames a second when open (100000)\n"
    "  --set PERCENT  share of SET frames (0)     --ops N        operations a frame (1)\n"
    "  --keys N       keys (1000000)              --value BYTES  (64)\n"
    "  --zipf THETA   0 is uniform (0)            --seconds S    measured (2)\n"
    "  --warm S       before measuring (0.5)      --loaded       the keys are there already\n"
    "  --checksums    write UDP checksums         --server IP    (10.9.0.1)\n"
    "  --client IP    (10.9.0.2)                  --port N       (7411)\n"
    "  --echo-port N  echo against this service of a node, not against macswap\n"
    "  --seed N       of keys and arrivals (42)\n"
    "One line of JSON on stdout.\n";

static const struct option long_options[] = { { "mode", 1, 0, 'm' }, { "window", 1, 0, 'w' },
	{ "rate", 1, 0, 'r' }, { "set", 1, 0, 's' }, { "ops", 1, 0, 'n' }, { "keys", 1, 0, 'k' },
	{ "value", 1, 0, 'v' }, { "zipf", 1, 0, 'z' }, { "seconds", 1, 0, 't' }, { "warm", 1, 0, 'W' },
	{ "loaded", 0, 0, 'L' }, { "checksums", 0, 0, 'C' }, { "server", 1, 0, 'S' }, { "client", 1, 0, 'c' },
	{ "port", 1, 0, 'p' }, { "echo-port", 1, 0, 'e' }, { "seed", 1, 0, 'd' },
	{ "connections", 1, 0, 'i' }, { "protocol", 1, 0, 'o' }, { "foreign", 0, 0, 'f' }, { 0 } };

static void
bad_usage(void)
{
	fputs(usage, stderr);
	exit(2);
}

static enum mode
parse_mode(const char *text)
{
	static const char *const names[] = { "closed", "open", "echo", "tcp", "connect" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(text, names[i]) == 0)
			return (enum mode)i;
	bad_usage();
	return MODE_CLOSED;
}

static void
parse_ip(const char *text, uint8_t ip[4])
{
	if (sscanf(text, "%hhu.%hhu.%hhu.%hhu", &ip[0], &ip[1], &ip[2], &ip[3]) != 4)
		bad_usage();
}

static void
parse_option(struct options *o, int c)
{
	switch (c) {
	case 'm': o->mode = parse_mode(optarg); break;
	case 'w': o->window = (uint32_t)atoi(optarg); break;
	case 'r': o->rate = atof(optarg); break;
	case 's': o->set_percent = (uint32_t)atoi(optarg); break;
	case 'n': o->ops = (uint16_t)atoi(optarg); break;
	case 'k': o->keys = (uint32_t)atoi(optarg); break;
	case 'v': o->value_len = (uint16_t)atoi(optarg); break;
	case 'z': o->theta = atof(optarg); break;
	case 't': o->seconds = atof(optarg); break;
	case 'W': o->warm_seconds = atof(optarg); break;
	case 'L': o->skip_preload = true; break;
	case 'C': o->checksums = true; break;
	case 'S': parse_ip(optarg, o->link.peer_ip); break;
	case 'c': parse_ip(optarg, o->link.ip); break;
	case 'p': o->link.peer_port = (uint16_t)atoi(optarg); break;
	case 'd': o->seed = strtoull(optarg, NULL, 10); break;
	case 'e': o->echo_port = (uint16_t)atoi(optarg); break;
	case 'i': o->connections = (uint32_t)atoi(optarg); break;
	case 'o': o->memcached = strcmp(optarg, "memcached") == 0; break;
	case 'f': o->foreign = true; break;
	default: bad_usage();
	}
}

static struct options
parse_options(int argc, char **argv)
{
	struct options o = { .mode = MODE_CLOSED, .keys = 1000000, .window = 256, .ops = 1, .value_len = 64,
		.seed = 42, .connections = 256,
		.rate = 100000, .seconds = 2, .warm_seconds = 0.5,
		.link = { .peer_mac = { 2, 0, 0, 0, 0, 1 }, .ip = { 10, 9, 0, 2 }, .peer_ip = { 10, 9, 0, 1 },
		    .port = 40000, .peer_port = 7411 } };

	for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) != -1;)
		parse_option(&o, c);
	if (o.keys < 1024 || o.window < BURST_MAX || o.window > FLIGHTS / 2 || o.ops < 1
	    || o.ops > FRAME_OPS_MAX || o.rate <= 0 || o.seconds <= 0 || o.set_percent > 100)
		bad_usage();
	if (is_tcp(&o) && (o.connections < 1 || o.connections > PORTS_A_SOURCE || o.ops > 16 || o.keys % 16 != 0 ||
	    o.value_len > 100 || o.set_percent % 100 != 0)) /* eight SETs, and sixteen GETs and their replies, fit a segment */
		bad_usage();
	return o;
}

int
main(int argc, char **argv)
{
	static struct generator generator;
	struct generator *g = &generator;
	struct result result;
	int eal = rte_eal_init(argc, argv);

	if (eal < 0)
		generator_fail("EAL does not start");
	g->options = parse_options(argc - eal, argv + eal);
	g->tsc_hz = rte_get_tsc_hz();
	g->loss_tsc = g->tsc_hz / 1000 * LOSS_MS;
	g->client = rte_rdtsc() | 1;
	g->prng.state = g->options.seed;
	g->flights = calloc(FLIGHTS, sizeof *g->flights);
	CHECK(g->flights);
	g->slots = slots_create(g->options.keys);
	g->trace = trace_create(g->options.keys, g->options.theta, g->options.seed);
	nic_start(g);
	if (has_counters(&g->options) || g->options.foreign)
		node_meet(g);
	if (is_tcp(&g->options))
		streams_create(g);
	if (g->options.mode != MODE_ECHO && !g->options.skip_preload)
		phases_preload(g);
	result = measure(g);
	print_report(g, &result);
	if (is_tcp(&g->options))
		streams_abort(g);
	rte_eth_dev_stop(PORT);
	rte_eth_dev_close(PORT);
	rte_eal_cleanup();
	return g->stats.wrong ? 1 : 0;
}
