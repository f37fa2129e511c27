/*
 * bench_generator - native requests over any DPDK port, as fast as a core can.
 *
 * How: one lcore. It resolves the server's MAC by ARP, takes a cookie, preloads
 *   every key (and reads all of them back), then runs for a fixed time:
 *   closed  - W frames in flight, replaced in bursts of 32;
 *   open    - Poisson arrivals at a fixed rate; a latency counts from the moment
 *             a request was due, whether or not it could be sent then.
 *   Every value that comes back is compared byte by byte with what its key implies.
 *   A request unanswered for 500 ms is lost; losses are reported, never removed.
 * echo: the same frames against a server that only turns frames around
 *   (testpmd's macswap), to price the transport itself; or against a node's echo
 *   service (--echo-port), to price everything but parsing, lookup and composing.
 * Server figures come from the server: counters by STATS before and after.
 */
#include <getopt.h>
#include <stdio.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "base/histogram.h"
#include "bench/frames.h"
#include "bench/report.h"

enum {
	PORT = 0,
	RING_SIZE = 1024,
	POOL_SIZE = 16383,
	POOL_CACHE = 256,
	FLIGHTS = 1 << 16, /* frames remembered; a power of two, above any window */
	LOSS_MS = 500, /* far above any queue: what takes longer was dropped */
	PRELOAD_OPS = 8,
	PRELOAD_WINDOW = 128,
};

enum mode { MODE_CLOSED, MODE_OPEN, MODE_ECHO };

struct options {
	enum mode mode;
	uint32_t keys, window, set_percent;
	uint64_t seed; /* of keys and arrivals */
	uint16_t ops, value_len;
	double theta, rate, seconds, warm_seconds;
	bool checksums, skip_preload;
	uint16_t echo_port; /* of a node's echo service; 0: the other end turns every frame around */
	struct link link;
};

/* One frame on its way: which keys, since when, how many results are to come. */
struct flight {
	uint64_t due_tsc;
	uint32_t trace_at;
	uint16_t left;
	bool set;
};

struct stats {
	uint64_t sent, answered, results, lost, wrong, not_found, refused, overrun, tx_full;
	uint64_t rx_bursts, rx_frames;
};

struct generator {
	struct options options;
	struct rte_mempool *pool;
	uint16_t *slots;
	uint32_t *trace;   /* keys of the measured run */
	const uint32_t *keys; /* what is being asked for now: the trace or the sequence 0..n-1 */
	uint32_t keys_len, keys_at;
	struct template get, set;
	struct flight *flights;
	uint64_t next, oldest; /* frame numbers; flights[number % FLIGHTS] */
	uint64_t base;         /* sequence of frame `first` */
	uint64_t cookie, client, sequence;
	uint64_t tsc_hz, loss_tsc;
	uint32_t in_flight;
	uint8_t *missing;      /* preload: keys that did not come back */
	bool measuring;
	struct stats stats;
	struct histogram latencies;
	struct prng prng;
};

static void
fail(const char *text)
{
	fprintf(stderr, "bench_generator: %s\n", text);
	exit(1);
}

/* ---- port ---- */

static void
port_start(struct generator *g)
{
	struct rte_eth_conf conf = { 0 };
	struct rte_ether_addr mac;

	if (rte_eth_dev_count_avail() == 0)
		fail("no port: give one with --vdev");
	g->pool = rte_pktmbuf_pool_create("generator", POOL_SIZE, POOL_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
	    (int)rte_socket_id());
	if (!g->pool || rte_eth_dev_configure(PORT, 1, 1, &conf)
	    || rte_eth_rx_queue_setup(PORT, 0, RING_SIZE, 0, NULL, g->pool)
	    || rte_eth_tx_queue_setup(PORT, 0, RING_SIZE, 0, NULL) || rte_eth_dev_start(PORT))
		fail("the port does not start");
	rte_eth_promiscuous_enable(PORT);
	rte_eth_macaddr_get(PORT, &mac);
	memcpy(g->options.link.mac, mac.addr_bytes, 6);
}

static struct rte_mbuf *
frame_mbuf(struct generator *g, const void *frame, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(g->pool);

	if (!m)
		fail("out of packet buffers");
	memcpy(rte_pktmbuf_append(m, len), frame, len);
	return m;
}

/* ---- replies ---- */

static uint32_t
stride_shift(uint16_t ops)
{
	return ops > 1 ? 32 - (uint32_t)__builtin_clz((uint32_t)ops - 1) : 0;
}

static void
settle(struct generator *g, struct flight *flight, uint16_t results, uint64_t now)
{
	flight->left -= results < flight->left ? results : flight->left;
	if (flight->left)
		return;
	g->in_flight--;
	g->stats.answered++;
	if (g->measuring)
		histogram_record(&g->latencies,
		    (uint64_t)((double)(now - flight->due_tsc) * 1e9 / (double)g->tsc_hz));
}

/* The flight of a sequence, or NULL when it is not awaited (late, or repeated). */
static struct flight *
flight_of(struct generator *g, uint64_t sequence)
{
	uint64_t number = (sequence - g->base) >> stride_shift(g->get.ops);
	struct flight *flight = &g->flights[number % FLIGHTS];

	return number >= g->oldest && number < g->next && flight->left ? flight : NULL;
}

static void
check_result(struct generator *g, const struct flight *flight, const struct native_result *result)
{
	uint32_t key = g->keys[flight->trace_at + result->index];

	g->stats.results++;
	if (result->status == OP_STATUS_NOT_FOUND) {
		g->stats.not_found++;
		return;
	}
	if (result->status != OP_STATUS_OK) {
		g->stats.refused++;
		return;
	}
	if (!flight->set && (result->value.len != g->options.value_len
	    || !workload_value_is(result->value.data, result->value.len, key))) {
		g->stats.wrong++;
		return;
	}
	if (g->missing)
		g->missing[key] = 0;
}

static void
take_reply(struct generator *g, const uint8_t *frame, uint32_t len, uint64_t now)
{
	struct view payload = view_of(frame + TEMPLATE_NATIVE, len - TEMPLATE_NATIVE);
	struct reader in = reader_of(payload.data + NATIVE_HEADER_LEN, payload.len - NATIVE_HEADER_LEN);
	struct native_header header;
	struct native_result result;
	struct flight *flight;
	uint16_t results = 0;

	if (!native_header_parse(payload, &header) || !(flight = flight_of(g, header.sequence)))
		return;
	if (header.cookie)
		g->cookie = header.cookie;
	if (header.error) {
		g->stats.refused++;
		settle(g, flight, UINT16_MAX, now);
		return;
	}
	while (results < header.op_count && native_result_parse(&in, &result)) {
		check_result(g, flight, &result);
		results++;
	}
	settle(g, flight, results, now);
}

static void
take_frame(struct generator *g, const uint8_t *frame, uint32_t len, uint64_t now)
{
	struct flight *flight;

	if (len < TEMPLATE_OPS || load_be16(frame + 12) != 0x0800 || frame[ETHERNET_HEADER_LEN + 9] != 17)
		return;
	if (g->options.mode != MODE_ECHO) {
		take_reply(g, frame, len, now);
		return;
	}
	flight = flight_of(g, load_le64(frame + TEMPLATE_SEQUENCE));
	if (flight)
		settle(g, flight, UINT16_MAX, now);
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
	for (uint16_t i = 0; i < n; i++)
		take_frame(g, rte_pktmbuf_mtod(mbufs[i], uint8_t *), rte_pktmbuf_data_len(mbufs[i]), now);
	rte_pktmbuf_free_bulk(mbufs, n);
}

static void
expire(struct generator *g)
{
	uint64_t now = rte_rdtsc();

	for (; g->oldest < g->next; g->oldest++) {
		struct flight *flight = &g->flights[g->oldest % FLIGHTS];

		if (flight->left && now - flight->due_tsc < g->loss_tsc)
			return;
		if (flight->left) {
			flight->left = 0;
			g->in_flight--;
			g->stats.lost++;
		}
	}
}

/* ---- requests ---- */

/* Frames not taken by the port after many tries are freed; they will count as lost. */
static void
transmit(struct generator *g, struct rte_mbuf **mbufs, uint16_t n)
{
	uint16_t sent = 0;

	for (int tries = 0; sent < n && tries < 1000; tries++)
		sent += rte_eth_tx_burst(PORT, 0, mbufs + sent, n - sent);
	g->stats.tx_full += n - sent;
	while (sent < n)
		rte_pktmbuf_free(mbufs[sent++]);
}

static const struct template *
choose(struct generator *g)
{
	uint32_t percent = g->options.set_percent;

	if (percent == 0 || percent == 100)
		return percent ? &g->set : &g->get;
	return prng_below(&g->prng, 100) < percent ? &g->set : &g->get;
}

static struct rte_mbuf *
request_mbuf(struct generator *g, struct rte_mbuf *m, uint64_t due_tsc)
{
	const struct template *t = choose(g);
	struct flight *flight = &g->flights[g->next % FLIGHTS];
	uint8_t *frame = (uint8_t *)rte_pktmbuf_append(m, t->len);

	if (g->keys_at + t->ops > g->keys_len)
		g->keys_at = 0;
	*flight = (struct flight){ .due_tsc = due_tsc, .trace_at = g->keys_at, .left = t->ops,
		.set = t == &g->set };
	template_write(t, frame, g->base + (g->next << stride_shift(t->ops)), g->cookie,
	    g->keys + g->keys_at, g->slots);
	if (g->options.checksums)
		frame_checksum(frame, t->len);
	g->keys_at += t->ops;
	g->next++;
	return m;
}

/* Sends n requests, due_tsc[i] each. */
static void
launch(struct generator *g, const uint64_t *due_tsc, uint16_t n)
{
	struct rte_mbuf *mbufs[BURST_MAX];

	if (rte_pktmbuf_alloc_bulk(g->pool, mbufs, n))
		fail("out of packet buffers");
	for (uint16_t i = 0; i < n; i++)
		request_mbuf(g, mbufs[i], due_tsc[i]);
	g->in_flight += n;
	g->stats.sent += n;
	transmit(g, mbufs, n);
}

static void
send_now(struct generator *g, uint16_t n)
{
	uint64_t due[BURST_MAX], now = rte_rdtsc();

	for (uint16_t i = 0; i < n; i++)
		due[i] = now;
	launch(g, due, n);
}

/* ---- phases ---- */

/* Begins a phase: its frames are numbered from 0, and no earlier reply is taken for one of them. */
static void
begin(struct generator *g, const uint32_t *keys, uint32_t keys_len, uint16_t ops, bool measuring)
{
	struct options *o = &g->options;
	struct link link = o->link;

	if (o->mode == MODE_ECHO && o->echo_port)
		link.peer_port = o->echo_port;
	g->base += (g->next + 1) << stride_shift(g->get.ops ? g->get.ops : 1);
	g->next = g->oldest = g->in_flight = g->keys_at = 0;
	g->keys = keys;
	g->keys_len = keys_len;
	g->measuring = measuring;
	memset(&g->stats, 0, sizeof g->stats);
	histogram_init(&g->latencies);
	if (!template_init(&g->get, &link, g->client, OP_GET, ops, o->value_len)
	    || (o->set_percent && !template_init(&g->set, &link, g->client, OP_SET, ops, o->value_len)))
		fail("so many operations do not fit a frame");
}

static void
drain(struct generator *g)
{
	while (g->in_flight) {
		receive(g);
		expire(g);
	}
}

/* Until `end` with W frames in flight. */
static void
closed_loop(struct generator *g, uint64_t end)
{
	while (rte_rdtsc() < end) {
		receive(g);
		while (g->in_flight + BURST_MAX <= g->options.window)
			send_now(g, BURST_MAX);
		expire(g);
	}
}

/* Until `end` with Poisson arrivals; what cannot be remembered is an overrun, and counted. */
static void
open_loop(struct generator *g, uint64_t end)
{
	double gap_tsc = (double)g->tsc_hz / 1e9, due = (double)rte_rdtsc();
	uint64_t dues[BURST_MAX], now;

	while ((now = rte_rdtsc()) < end) {
		uint16_t n = 0;

		while (n < BURST_MAX && (uint64_t)due <= now) {
			dues[n++] = (uint64_t)due;
			due += poisson_gap_ns(g->options.rate, &g->prng) * gap_tsc;
		}
		if (n && g->next - g->oldest < FLIGHTS - BURST_MAX)
			launch(g, dues, n);
		else
			g->stats.overrun += n;
		receive(g);
		expire(g);
	}
}

static void
run_for(struct generator *g, double seconds)
{
	uint64_t end = rte_rdtsc() + (uint64_t)(seconds * (double)g->tsc_hz);

	if (g->options.mode == MODE_OPEN)
		open_loop(g, end);
	else
		closed_loop(g, end);
}

/* Asks for each of keys[0..n) once, n a multiple of PRELOAD_OPS. */
static void
pass(struct generator *g, const uint32_t *keys, uint32_t n, bool set)
{
	uint32_t percent = g->options.set_percent;
	uint64_t frames = n / PRELOAD_OPS;

	g->options.set_percent = set ? 100 : 0;
	begin(g, keys, n, PRELOAD_OPS, false);
	while (g->next < frames || g->in_flight) {
		uint64_t left = frames - g->next;

		receive(g);
		if (left && g->in_flight < PRELOAD_WINDOW)
			send_now(g, (uint16_t)(left < BURST_MAX ? left : BURST_MAX));
		expire(g);
	}
	g->options.set_percent = percent;
}

/* The keys still missing, filled up with the last of them to whole frames. */
static uint32_t
collect_missing(const struct generator *g, uint32_t *keys)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->options.keys; i++)
		if (g->missing[i])
			keys[n++] = i;
	while (n % PRELOAD_OPS) {
		keys[n] = keys[n - 1];
		n++;
	}
	return n;
}

/* Stores every key and reads every key back; what is missing or lost is tried again. */
static void
preload(struct generator *g)
{
	uint32_t *keys = malloc((g->options.keys + PRELOAD_OPS) * sizeof *keys), n;

	g->missing = malloc(g->options.keys);
	CHECK(keys && g->missing);
	memset(g->missing, 1, g->options.keys);
	for (int tries = 0; tries < 8 && (n = collect_missing(g, keys)) > 0; tries++) {
		pass(g, keys, n, true);
		memset(g->missing, 1, g->options.keys);
		n = collect_missing(g, keys);
		pass(g, keys, n, false);
		if (g->stats.wrong)
			fail("the server answers with a wrong value");
	}
	n = collect_missing(g, keys);
	if (n)
		fprintf(stderr, "bench_generator: %u of %u keys do not stay (memory budget too small?)\n",
		    n, g->options.keys);
	free(keys);
	free(g->missing);
	g->missing = NULL;
	if (n)
		exit(1);
}

/* ---- meeting the server ---- */

static void
arp_request(const struct link *link, uint8_t frame[42])
{
	memset(frame, 0, 42);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, link->mac, 6);
	store_be16(frame + 12, 0x0806);
	store_be16(frame + 14, 1);
	store_be16(frame + 16, 0x0800);
	frame[18] = 6;
	frame[19] = 4;
	store_be16(frame + 20, 1);
	memcpy(frame + 22, link->mac, 6);
	memcpy(frame + 28, link->ip, 4);
	memcpy(frame + 38, link->peer_ip, 4);
}

static bool
is_arp_answer(const uint8_t *frame, uint32_t len, const struct link *link)
{
	return len >= 42 && load_be16(frame + 12) == 0x0806 && load_be16(frame + 20) == 2
	    && memcmp(frame + 28, link->peer_ip, 4) == 0;
}

/* Sends a frame every 100 ms until one comes back that `take` wants; ten seconds at most. */
static void
ask(struct generator *g, const uint8_t *frame, uint16_t len,
    bool (*take)(struct generator *, const uint8_t *, uint32_t), const char *otherwise)
{
	for (int tries = 0; tries < 100; tries++) {
		struct rte_mbuf *m = frame_mbuf(g, frame, len);
		uint64_t end = rte_rdtsc() + g->tsc_hz / 10;

		transmit(g, &m, 1);
		while (rte_rdtsc() < end) {
			bool taken;

			if (rte_eth_rx_burst(PORT, 0, &m, 1) == 0)
				continue;
			taken = take(g, rte_pktmbuf_mtod(m, uint8_t *), rte_pktmbuf_data_len(m));
			rte_pktmbuf_free(m);
			if (taken)
				return;
		}
	}
	fail(otherwise);
}

static bool
take_mac(struct generator *g, const uint8_t *frame, uint32_t len)
{
	if (!is_arp_answer(frame, len, &g->options.link))
		return false;
	memcpy(g->options.link.peer_mac, frame + 22, 6);
	return true;
}

static bool
take_cookie(struct generator *g, const uint8_t *frame, uint32_t len)
{
	struct native_header header;

	if (len < TEMPLATE_OPS || load_be16(frame + 12) != 0x0800
	    || !native_header_parse(view_of(frame + TEMPLATE_NATIVE, len - TEMPLATE_NATIVE), &header)
	    || header.cookie == 0)
		return false;
	g->cookie = header.cookie;
	return true;
}

static void
meet(struct generator *g)
{
	struct template get;
	const uint32_t key = 0;
	uint8_t frame[FRAME_LEN_MAX];

	arp_request(&g->options.link, frame);
	ask(g, frame, 42, take_mac, "the server does not answer ARP");
	CHECK(template_init(&get, &g->options.link, g->client, OP_GET, 1, 0));
	template_write(&get, frame, 0, 0, &key, g->slots);
	if (g->options.checksums)
		frame_checksum(frame, get.len);
	ask(g, frame, get.len, take_cookie, "the server gives no cookie");
}

/* ---- the server's own counters ---- */

/* What is read of STATS: lines "name value"; sums over workers are the server's. */
struct server_counters {
	uint64_t rx_frames, busy_cycles, polls_busy, get_hits, cmd_set;
};

struct stats_page {
	struct server_counters *into;
	uint32_t line, lines;
};

static struct stats_page page; /* being filled; `ask` has no argument for it */

static void
take_line(struct server_counters *c, const char *name, uint64_t value)
{
	static const struct {
		const char *name;
		size_t offset;
	} wanted[] = {
		{ "rx_frames", offsetof(struct server_counters, rx_frames) },
		{ "busy_cycles", offsetof(struct server_counters, busy_cycles) },
		{ "polls_busy", offsetof(struct server_counters, polls_busy) },
		{ "get_hits", offsetof(struct server_counters, get_hits) },
		{ "cmd_set", offsetof(struct server_counters, cmd_set) },
	};

	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
		if (strcmp(name, wanted[i].name) == 0)
			*(uint64_t *)((char *)c + wanted[i].offset) = value;
}

static void
take_lines(struct view text)
{
	char copy[UDP_PAYLOAD_MAX + 1], *line, *rest = copy;

	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	while ((line = strsep(&rest, "\n")) != NULL && *line) {
		char *value = strpbrk(line, " \t=:");

		if (value) {
			*value++ = '\0';
			take_line(page.into, line, strtoull(value, NULL, 10));
		}
		page.line++;
	}
}

static bool
take_stats(struct generator *g, const uint8_t *frame, uint32_t len)
{
	struct view payload = view_of(frame + TEMPLATE_NATIVE, len - TEMPLATE_NATIVE);
	struct native_header header;
	struct native_result result;
	struct reader in;

	if (len < TEMPLATE_OPS || load_be16(frame + 12) != 0x0800 || !native_header_parse(payload, &header)
	    || header.sequence != g->sequence)
		return false;
	in = reader_of(payload.data + NATIVE_HEADER_LEN, payload.len - NATIVE_HEADER_LEN);
	if (header.error || !native_result_parse(&in, &result) || result.status != OP_STATUS_OK)
		fail("the server refuses STATS");
	page.lines = result.total_len;
	take_lines(result.value);
	return true;
}

static uint16_t
stats_frame(struct generator *g, uint8_t *frame, uint32_t line)
{
	struct native_header header = { .version = NATIVE_VERSION, .op_count = 1, .client = g->client,
		.sequence = g->sequence, .cookie = g->cookie };
	struct request request = { .op = OP_STATS, .offset = line };
	struct writer out = writer_of(frame + TEMPLATE_OPS, UDP_PAYLOAD_MAX - NATIVE_HEADER_LEN);
	uint16_t len;

	native_header_compose(&header, frame + TEMPLATE_NATIVE);
	native_request_compose(&out, &request);
	len = (uint16_t)(out.at - frame);
	link_headers(&g->options.link, frame, (uint16_t)(len - TEMPLATE_NATIVE));
	if (g->options.checksums)
		frame_checksum(frame, len);
	return len;
}

static struct server_counters
server_counters(struct generator *g)
{
	struct server_counters counters = { 0 };
	uint8_t frame[FRAME_LEN_MAX];

	page = (struct stats_page){ .into = &counters };
	do {
		uint32_t line = page.line;

		g->sequence = 1ull << 62 | (g->sequence + 1);
		ask(g, frame, stats_frame(g, frame, line), take_stats, "the server does not answer STATS");
		if (page.line == line)
			break;
	} while (page.line < page.lines);
	return counters;
}

/* ---- the run ---- */

struct result {
	double seconds;
	uint64_t answered, results; /* by the end of the interval, what was drained left out */
	struct server_counters server;
};

/* Whether the other end is a node, and not a mere mirror. */
static bool
has_counters(const struct options *o)
{
	return o->mode != MODE_ECHO || o->echo_port;
}

static struct result
measure(struct generator *g)
{
	struct server_counters before = { 0 }, after = { 0 };
	struct result result;
	bool server = has_counters(&g->options);
	uint64_t start;

	begin(g, g->trace, TRACE_LEN, g->options.ops, false);
	run_for(g, g->options.warm_seconds);
	drain(g);
	if (server)
		before = server_counters(g);
	begin(g, g->trace, TRACE_LEN, g->options.ops, true);
	start = rte_rdtsc();
	run_for(g, g->options.seconds);
	result.seconds = (double)(rte_rdtsc() - start) / (double)g->tsc_hz;
	result.answered = g->stats.answered;
	result.results = g->stats.results;
	drain(g);
	if (server)
		after = server_counters(g);
	result.server = (struct server_counters){ after.rx_frames - before.rx_frames,
		after.busy_cycles - before.busy_cycles, after.polls_busy - before.polls_busy,
		after.get_hits - before.get_hits, after.cmd_set - before.cmd_set };
	return result;
}

static void
print_report(const struct generator *g, const struct result *r)
{
	static const char *const modes[] = { "closed", "open", "echo" };
	const struct options *o = &g->options;
	const struct stats *s = &g->stats;

	printf("{\"bench\":\"generator\",\"mode\":\"%s\",\"set_percent\":%u,\"ops_per_frame\":%u,"
	    "\"keys\":%u,\"value_len\":%u,\"theta\":%.2f,\"seed\":%lu,\"frame_len\":%u,", modes[o->mode], o->set_percent,
	    o->ops, o->keys, o->value_len, o->theta, o->seed, o->set_percent == 100 ? g->set.len : g->get.len);
	if (o->mode == MODE_OPEN)
		printf("\"offered_frames_per_s\":%.0f,\"overrun\":%lu,", o->rate, s->overrun);
	else
		printf("\"window\":%u,", o->window);
	printf("\"seconds\":%.3f,\"frames_per_s\":%.0f,\"ops_per_s\":%.0f,\"sent\":%lu,\"lost\":%lu,"
	    "\"wrong\":%lu,\"not_found\":%lu,\"refused\":%lu,\"tx_full\":%lu,\"rx_burst_mean\":%.1f,",
	    r->seconds, (double)r->answered / r->seconds, (double)r->results / r->seconds, s->sent, s->lost,
	    s->wrong, s->not_found, s->refused, s->tx_full,
	    s->rx_bursts ? (double)s->rx_frames / (double)s->rx_bursts : 0);
	if (has_counters(o) && r->server.rx_frames)
		printf("\"server\":{\"rx_frames\":%lu,\"busy_cycles_per_frame\":%.1f,\"frames_per_busy_poll\":%.1f,"
		    "\"get_hits\":%lu,\"cmd_set\":%lu},", r->server.rx_frames,
		    (double)r->server.busy_cycles / (double)r->server.rx_frames,
		    (double)r->server.rx_frames / (double)(r->server.polls_busy ? r->server.polls_busy : 1),
		    r->server.get_hits, r->server.cmd_set);
	report_latencies(&g->latencies);
	printf("}\n");
}

static const char usage[] =
    "usage: bench_generator EAL-ARGUMENTS -- [options]\n"
    "  --mode closed|open|echo   window, Poisson arrivals, or a window against macswap (closed)\n"
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
	{ "port", 1, 0, 'p' }, { "echo-port", 1, 0, 'e' }, { "seed", 1, 0, 'd' }, { 0 } };

static void
bad_usage(void)
{
	fputs(usage, stderr);
	exit(2);
}

static enum mode
parse_mode(const char *text)
{
	if (strcmp(text, "closed") == 0)
		return MODE_CLOSED;
	if (strcmp(text, "open") == 0)
		return MODE_OPEN;
	if (strcmp(text, "echo") != 0)
		bad_usage();
	return MODE_ECHO;
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
	default: bad_usage();
	}
}

static struct options
parse_options(int argc, char **argv)
{
	struct options o = { .mode = MODE_CLOSED, .keys = 1000000, .window = 256, .ops = 1, .value_len = 64,
		.seed = 42,
		.rate = 100000, .seconds = 2, .warm_seconds = 0.5,
		.link = { .peer_mac = { 2, 0, 0, 0, 0, 1 }, .ip = { 10, 9, 0, 2 }, .peer_ip = { 10, 9, 0, 1 },
		    .port = 40000, .peer_port = 7411 } };

	for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) != -1;)
		parse_option(&o, c);
	if (o.keys < 1024 || o.window < BURST_MAX || o.window > FLIGHTS / 2 || o.ops < 1
	    || o.ops > FRAME_OPS_MAX || o.rate <= 0 || o.seconds <= 0 || o.set_percent > 100)
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
		fail("EAL does not start");
	g->options = parse_options(argc - eal, argv + eal);
	g->tsc_hz = rte_get_tsc_hz();
	g->loss_tsc = g->tsc_hz / 1000 * LOSS_MS;
	g->client = rte_rdtsc() | 1;
	g->prng.state = g->options.seed;
	g->flights = calloc(FLIGHTS, sizeof *g->flights);
	CHECK(g->flights);
	g->slots = slots_create(g->options.keys);
	g->trace = trace_create(g->options.keys, g->options.theta, g->options.seed);
	port_start(g);
	if (has_counters(&g->options))
		meet(g);
	if (g->options.mode != MODE_ECHO && !g->options.skip_preload)
		preload(g);
	result = measure(g);
	print_report(g, &result);
	rte_eth_dev_stop(PORT);
	rte_eth_dev_close(PORT);
	rte_eal_cleanup();
	return g->stats.wrong ? 1 : 0;
}
