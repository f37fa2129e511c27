#include "bench/generator/generator.h"

void
phases_begin(struct generator *g, const uint32_t *keys, uint32_t keys_len, uint16_t ops, bool measuring)
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
		generator_fail("so many operations do not fit a frame");
	if (is_tcp(o))
		streams_begin(g, o->set_percent == 100);
}

void
phases_drain(struct generator *g)
{
	if (is_tcp(&g->options)) {
		streams_drain(g);
		return;
	}
	while (g->in_flight) {
		replies_receive(g);
		replies_expire(g);
	}
}

/* Until `end` with W frames in flight. */
static void
closed_loop(struct generator *g, uint64_t end)
{
	while (rte_rdtsc() < end) {
		replies_receive(g);
		while (g->in_flight + BURST_MAX <= g->options.window)
			requests_send_now(g, BURST_MAX);
		replies_expire(g);
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
			requests_send(g, dues, n);
		else
			g->stats.overrun += n;
		replies_receive(g);
		replies_expire(g);
	}
}

void
phases_run_for(struct generator *g, double seconds)
{
	uint64_t end = rte_rdtsc() + (uint64_t)(seconds * (double)g->tsc_hz);

	if (is_tcp(&g->options))
		streams_run_until(g, end);
	else if (g->options.mode == MODE_OPEN)
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
	phases_begin(g, keys, n, PRELOAD_OPS, false);
	while (g->next < frames || g->in_flight) {
		uint64_t left = frames - g->next;

		replies_receive(g);
		if (left && g->in_flight < PRELOAD_WINDOW)
			requests_send_now(g, (uint16_t)(left < BURST_MAX ? left : BURST_MAX));
		replies_expire(g);
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

void
phases_preload(struct generator *g)
{
	uint32_t *keys, n;

	if (is_tcp(&g->options)) {
		streams_preload(g);
		return;
	}
	keys = malloc((g->options.keys + PRELOAD_OPS) * sizeof *keys);
	g->missing = malloc(g->options.keys);
	CHECK(keys && g->missing);
	memset(g->missing, 1, g->options.keys);
	for (int tries = 0; tries < 8 && (n = collect_missing(g, keys)) > 0; tries++) {
		pass(g, keys, n, true);
		memset(g->missing, 1, g->options.keys);
		n = collect_missing(g, keys);
		pass(g, keys, n, false);
		if (g->stats.wrong)
			generator_fail("the server answers with a wrong value");
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
