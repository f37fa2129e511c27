/* Link, events and the run of one seed. */
#include "tests/tcpsim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

const char *const sim_kind_names[SIM_KINDS] = { "linux", "windows", "macos", "freebsd", "evil", "pair" };

enum { FIRST_PORT = 20000, HEAL_S = 60, OVER_S = 800, STALL_S = 300 };

void
sim_fail(struct sim *sim, const char *format, ...)
{
	va_list args;

	if (sim->failure[0])
		return;
	va_start(args, format);
	vsnprintf(sim->failure, sizeof sim->failure, format, args);
	va_end(args);
}

void
sim_say(struct sim *sim, const char *format, ...)
{
	va_list args;

	if (!sim->verbose)
		return;
	printf("%10.3f  ", (double)sim->now_ns / 1e9 - 1000);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

struct sim_conn *
sim_conn_of(struct sim *sim, uint16_t port)
{
	uint32_t i = (uint32_t)port - FIRST_PORT;

	return i < sim->conn_count ? &sim->conns[i] : NULL;
}

/* --- the link ------------------------------------------------------------------------------ */

static bool
sooner(const struct packet *a, const struct packet *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void
heap_put(struct sim *sim, struct packet *packet)
{
	uint32_t i = sim->heap_count++;

	if (sim->heap_count > sim->heap_size) {
		sim->heap_size = sim->heap_size ? 2 * sim->heap_size : 256;
		sim->heap = realloc(sim->heap, sim->heap_size * sizeof *sim->heap);
		CHECK(sim->heap);
	}
	for (; i && sooner(packet, sim->heap[(i - 1) / 2]); i = (i - 1) / 2)
		sim->heap[i] = sim->heap[(i - 1) / 2];
	sim->heap[i] = packet;
}

static struct packet *
heap_take(struct sim *sim)
{
	struct packet *top = sim->heap[0], *last = sim->heap[--sim->heap_count];
	uint32_t i = 0;

	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child >= sim->heap_count)
			break;
		if (child + 1 < sim->heap_count && sooner(sim->heap[child + 1], sim->heap[child]))
			child++;
		if (!sooner(sim->heap[child], last))
			break;
		sim->heap[i] = sim->heap[child];
		i = child;
	}
	sim->heap[i] = last;
	return top;
}

static bool
chance(struct sim *sim, double p)
{
	return prng_unit(&sim->prng) < p && sim->now_ns < sim->heal_ns;
}

static void
deliver(struct sim *sim, uint32_t conn, uint8_t to, const uint8_t *bytes, uint32_t len, uint64_t extra_ns)
{
	struct link *link = &sim->link;
	struct packet *packet = malloc(sizeof *packet + len);
	uint64_t at = sim->now_ns + 1000 + link->delay_ns + extra_ns;

	CHECK(packet);
	if (link->byte_ns) {
		uint64_t *busy = &link->busy_until_ns[to];

		if (*busy < sim->now_ns)
			*busy = sim->now_ns;
		if (*busy - sim->now_ns > link->queue_ns) {
			free(packet);
			sim->lost++;
			return;
		}
		*busy += (len + 58) * link->byte_ns;
		at += *busy - sim->now_ns;
	}
	if (link->grid_ns)
		at = (at + link->grid_ns - 1) / link->grid_ns * link->grid_ns;
	*packet = (struct packet){ .at_ns = at, .order = sim->order++, .conn = (uint16_t)conn, .to = to, .len = len };
	memcpy(packet->bytes, bytes, len);
	if (chance(sim, link->corrupt))
		packet->bytes[prng_below(&sim->prng, len)] ^= (uint8_t)(1 << prng_below(&sim->prng, 8));
	heap_put(sim, packet);
}

void
sim_send_surely(struct sim *sim, uint32_t conn, uint8_t to, const uint8_t *bytes, uint32_t len)
{
	double corrupt = sim->link.corrupt;
	uint64_t byte_ns = sim->link.byte_ns;

	sim->link.corrupt = 0;
	sim->link.byte_ns = 0;
	deliver(sim, conn, to, bytes, len, 0);
	sim->link.corrupt = corrupt;
	sim->link.byte_ns = byte_ns;
}

void
sim_send(struct sim *sim, uint32_t conn, uint8_t to, const uint8_t *bytes, uint32_t len)
{
	struct link *link = &sim->link;
	uint64_t extra = link->jitter_ns ? prng_below(&sim->prng, link->jitter_ns) : 0;

	if (sim->verbose) {
		struct sim_conn *c = &sim->conns[conn];
		struct seg seg;
		char text[RIG_TEXT_MAX];

		seg_parse(&seg, to ? c->client.local : c->client.ip, to ? c->client.ip : c->client.local, bytes, len);
		seg.complaint = NULL;
		seg_print(&seg, to ? c->service[0].isn : c->client.iss, to ? c->client.iss : c->service[0].isn, text, sizeof text);
		sim_say(sim, "%s %u: %s", to ? "   <-" : "->   ", c->client.port, text);
	}
	sim->packets++;
	if (chance(sim, link->loss)) {
		sim->lost++;
		return;
	}
	if (chance(sim, link->reorder))
		extra += prng_below(&sim->prng, 4 * link->delay_ns + NS_PER_MS);
	deliver(sim, conn, to, bytes, len, extra);
	if (chance(sim, link->duplicate))
		deliver(sim, conn, to, bytes, len, extra + prng_below(&sim->prng, link->delay_ns + NS_PER_MS));
}

/* --- events -------------------------------------------------------------------------------- */

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return b && b < a ? b : a;
}

static uint64_t
next_event(struct sim *sim)
{
	uint64_t due = sim->heap_count ? sim->heap[0]->at_ns : UINT64_MAX;

	for (uint32_t i = 0; i < SIM_RIGS; i++)
		due = earlier(due, sim->rigs[i]->api->deadline(sim->rigs[i]->tcp));
	for (uint32_t i = 0; i < sim->conn_count; i++) {
		struct sim_conn *conn = &sim->conns[i];

		due = earlier(due, conn->kind == SIM_PAIR ? conn->pair_due : client_deadline(conn));
		for (uint32_t k = 0; k < SIM_RIGS; k++)
			due = conn->service[k].paused ? earlier(due, conn->service[k].resume_at) : due;
		if (conn->client.state == CLIENT_WAITS)
			due = earlier(due, conn->plan.began_ns);
		due = earlier(due, conn->plan.act_at_ns);
	}
	return due;
}

static void
packets_due(struct sim *sim)
{
	while (sim->heap_count && sim->heap[0]->at_ns <= sim->now_ns && !sim->failure[0]) {
		struct packet *packet = heap_take(sim);
		struct sim_conn *conn = &sim->conns[packet->conn];

		if (packet->to == 0 || conn->kind == SIM_PAIR)
			rig_in_raw(sim->rigs[packet->to], conn->client.ip, conn->client.local, packet->bytes, packet->len);
		else
			client_input(sim, conn, packet->bytes, packet->len);
		free(packet);
	}
}

static void
act(struct sim *sim, struct sim_conn *conn)
{
	conn->plan.act_at_ns = 0;
	if (conn->plan.ending == END_CLIENT_RESET)
		client_reset(sim, conn);
	else if (conn->service[0].open)
		sim->rigs[0]->api->abort(sim->rigs[0]->tcp, conn->service[0].id);
	else
		conn->plan.act_at_ns = sim->now_ns + 100 * NS_PER_MS;
	if (conn->service[0].closed)
		conn->plan.act_at_ns = 0;
}

static void
conn_due(struct sim *sim, struct sim_conn *conn)
{
	if (conn->client.state == CLIENT_WAITS && sim->now_ns >= conn->plan.began_ns) {
		if (conn->kind == SIM_PAIR)
			pair_start(sim, conn);
		else
			client_start(sim, conn);
	}
	if (conn->plan.act_at_ns && sim->now_ns >= conn->plan.act_at_ns)
		act(sim, conn);
	for (uint32_t k = 0; k < SIM_RIGS; k++) {
		struct server *s = &conn->service[k];

		if (s->paused && sim->now_ns >= s->resume_at) {
			s->paused = false;
			sim->rigs[k]->api->resume(sim->rigs[k]->tcp, s->id);
		}
	}
	if (conn->kind == SIM_PAIR)
		pair_timers(sim, conn);
	else
		client_timers(sim, conn);
}

static void
conn_over(struct sim *sim, struct sim_conn *conn)
{
	bool here = conn->service[0].closed || (!conn->service[0].was_open && conn->client.state == CLIENT_RESET);
	bool there = conn->kind == SIM_PAIR ? conn->service[1].closed :
	    conn->client.state == CLIENT_DONE || conn->client.state == CLIENT_RESET;

	/* A RST that is lost leaves a client that waits for an answer in the dark. */
	if (here && (conn->plan.ending == END_SERVER_ABORT || conn->plan.ending == END_SERVER_EARLY))
		there = true;
	if (here && there)
		conn->over = true;
	else if (conn->progress_ns && sim->now_ns - conn->progress_ns > STALL_S * NS_PER_SEC)
		sim_fail(sim, "connection %u (%s) stands still: %llu read, %llu written, client has %llu and %llu acknowledged",
		    conn->client.port, sim_kind_names[conn->kind], (unsigned long long)conn->service[0].seen,
		    (unsigned long long)conn->service[0].written, (unsigned long long)conn->client.rcv,
		    (unsigned long long)conn->client.una);
}

static void
step(struct sim *sim)
{
	uint64_t due = next_event(sim);

	if (due == UINT64_MAX) {
		sim_fail(sim, "nothing is to happen any more, and connections are not over");
		return;
	}
	if (due > sim->now_ns)
		sim->now_ns = due;
	sim->rigs[0]->now_ns = sim->rigs[1]->now_ns = sim->now_ns;
	packets_due(sim);
	for (uint32_t i = 0; i < sim->conn_count; i++)
		conn_due(sim, &sim->conns[i]);
	for (uint32_t i = 0; i < SIM_RIGS; i++) {
		rig_round(sim->rigs[i]);
		if (sim->rigs[i]->failure[0])
			sim_fail(sim, "%s", sim->rigs[i]->failure);
	}
	for (uint32_t i = 0; i < sim->conn_count; i++)
		if (!sim->conns[i].over)
			conn_over(sim, &sim->conns[i]);
	if (++sim->steps > 50000000)
		sim_fail(sim, "it does not end");
}

/* --- runs ---------------------------------------------------------------------------------- */

static void
begin(struct sim *sim, const struct tcp_api *api, uint64_t seed, bool verbose)
{
	struct rig_app app = { service_turn, service_segment, sim };
	struct tcp_config config;

	memset(sim, 0, sizeof *sim);
	sim->seed = seed;
	sim->verbose = verbose;
	sim->prng.state = seed;
	rig_config(api, &config);
	config.keepalive_s = 30;
	config.idle_timeout_s = 0;
	config.zero_window_s = 0;
	config.partial_s = 0;
	for (uint32_t i = 0; i < SIM_RIGS; i++) {
		sim->rigs[i] = malloc(sizeof *sim->rigs[i]);
		CHECK(sim->rigs[i]);
		rig_open(sim->rigs[i], api, &config, &app, seed + i);
	}
	sim->now_ns = sim->rigs[0]->now_ns;
	sim->heal_ns = sim->now_ns + HEAL_S * NS_PER_SEC;
}

static struct sim_conn *
add_conn(struct sim *sim, enum personality kind)
{
	struct sim_conn *conn = &sim->conns[sim->conn_count];

	conn->kind = conn->client.kind = kind;
	memcpy(conn->client.local, sim->seed % 4 == 3 ? rig_our_ipv6 : rig_our_ipv4, 16); /* every fourth world is IPv6 */
	memcpy(conn->client.ip, conn->client.local, 16);
	conn->client.ip[15] = (uint8_t)(2 + sim->conn_count);
	conn->client.port = (uint16_t)(FIRST_PORT + sim->conn_count++);
	conn->plan.salt = prng_next(&sim->prng);
	conn->plan.began_ns = sim->now_ns;
	conn->plan.server_chunk = 1 << 16;
	return conn;
}

/* Sound endings moved every byte. */
static void
judge(struct sim *sim, struct sim_conn *conn)
{
	const struct plan *plan = &conn->plan;
	const struct server *s = &conn->service[0];
	uint64_t got = conn->kind == SIM_PAIR ? conn->service[1].seen : conn->client.rcv;

	if (plan->ending != END_CLIENT_FIN && plan->ending != END_SERVER_FIN)
		return;
	if (s->seen != plan->up_total || got != plan->down_total)
		sim_fail(sim, "connection %u: %llu of %llu bytes up, %llu of %llu down", conn->client.port, (unsigned long long)s->seen,
		    (unsigned long long)plan->up_total, (unsigned long long)got, (unsigned long long)plan->down_total);
}

static void
end(struct sim *sim)
{
	for (uint32_t i = 0; i < SIM_RIGS; i++) {
		sim->trace = (sim->trace ^ sim->rigs[i]->digest) * 0x100000001b3ull;
		if (!sim->failure[0]) {
			if (sim->rigs[i]->live_count)
				sim_fail(sim, "%u connections are left", sim->rigs[i]->live_count);
			if (!rig_close(sim->rigs[i]))
				sim_fail(sim, "%s", sim->rigs[i]->failure);
		} else {
			sim->rigs[i]->api->destroy(sim->rigs[i]->tcp);
			free(sim->rigs[i]->live);
		}
		free(sim->rigs[i]);
		for (uint32_t k = 0; k < sim->conn_count; k++)
			free(sim->conns[k].service[i].room);
	}
	while (sim->heap_count)
		free(heap_take(sim));
	free(sim->heap);
	sim->heap = NULL;
}

static void
run(struct sim *sim)
{
	uint32_t over = 0;

	while (over < sim->conn_count && !sim->failure[0]) {
		step(sim);
		over = 0;
		for (uint32_t i = 0; i < sim->conn_count; i++)
			over += sim->conns[i].over;
		if (sim->now_ns > sim->heal_ns + OVER_S * NS_PER_SEC)
			sim_fail(sim, "%u of %u connections are over, %u s after the link was healed", over, sim->conn_count, OVER_S);
	}
	/* What a late packet has opened after its client was gone. */
	while (sim->rigs[0]->live_count && sim->any_reset && !sim->failure[0] &&
	    sim->now_ns < sim->heal_ns + 2 * OVER_S * NS_PER_SEC)
		step(sim);
	for (uint32_t i = 0; i < sim->conn_count; i++)
		judge(sim, &sim->conns[i]);
}

static void
draw_link(struct sim *sim, struct prng *prng)
{
	static const double losses[] = { 0, 0, 0.001, 0.01, 0.03, 0.05, 0.1, 0.2 };
	struct link *link = &sim->link;

	link->loss = losses[prng_below(prng, 8)];
	link->duplicate = prng_below(prng, 2) ? 0 : losses[prng_below(prng, 8)];
	link->reorder = prng_below(prng, 2) ? 0 : losses[prng_below(prng, 8)];
	link->corrupt = prng_below(prng, 3) ? 0 : losses[prng_below(prng, 7)];
	link->delay_ns = (prng_below(prng, 2) ? 50 : 5000) * (1 + prng_below(prng, 10)) * NS_PER_US;
	link->jitter_ns = prng_below(prng, 2) ? prng_below(prng, link->delay_ns) : 0;
	link->grid_ns = prng_below(prng, 2) ? 0 : (20 + prng_below(prng, 500)) * NS_PER_US;
	if (prng_below(prng, 3) == 0) {
		link->byte_ns = 8 + prng_below(prng, 1000);
		link->queue_ns = (1 + prng_below(prng, 200)) * NS_PER_MS;
	}
	sim_say(sim, "link: loss %g, duplication %g, reordering %g, corruption %g, delay %.3f ms", link->loss, link->duplicate,
	    link->reorder, link->corrupt, (double)link->delay_ns / 1e6);
}

static void
draw_conn(struct sim *sim, struct prng *prng)
{
	struct sim_conn *conn = add_conn(sim, (enum personality)prng_below(prng, SIM_KINDS));
	struct plan *plan = &conn->plan;
	uint64_t most = conn->kind == SIM_EVIL ? 3000 : 1ull << (8 + prng_below(prng, 10));

	plan->up_total = 1 + prng_below(prng, most);
	plan->down_total = prng_below(prng, most);
	if (conn->kind != SIM_PAIR && prng_below(prng, 8) == 0)
		plan->up_total = 1;
	plan->ending = (enum ending)(prng_below(prng, 3) ? prng_below(prng, 2) : prng_below(prng, conn->kind == SIM_PAIR ? 2 : ENDINGS));
	if (plan->ending == END_CLIENT_RESET || plan->ending == END_SERVER_ABORT)
		plan->act_at_ns = sim->now_ns + prng_below(prng, 3000) * NS_PER_MS + 1;
	plan->server_chunk = 1 + (uint32_t)prng_below(prng, 1ull << (6 + prng_below(prng, 12)));
	if (plan->server_chunk < plan->down_total / 2000 || plan->server_chunk < plan->up_total / 2000)
		plan->server_chunk = 64; /* a turn each */
	plan->pause_percent = prng_below(prng, 3) ? 0 : (uint32_t)prng_below(prng, 30);
	plan->use_room = prng_below(prng, 3) == 0;
	plan->use_wanted = prng_below(prng, 3) == 0;
	plan->slow_reader = prng_below(prng, 6) == 0;
	plan->holds_window = !plan->slow_reader && prng_below(prng, 8) == 0;
	plan->began_ns = sim->now_ns + prng_below(prng, 2) * prng_below(prng, 200) * NS_PER_MS;
}

bool
sim_run(struct sim *sim, const struct tcp_api *api, uint64_t seed, bool verbose)
{
	struct prng prng = { seed ^ 0x5eed };
	uint32_t count = 1 + (uint32_t)prng_below(&prng, 8);

	begin(sim, api, seed, verbose);
	draw_link(sim, &prng);
	for (uint32_t i = 0; i < count; i++)
		draw_conn(sim, &prng);
	run(sim);
	end(sim);
	return !sim->failure[0];
}

uint64_t
sim_transfer(struct sim *sim, const struct tcp_api *api, uint64_t seed, enum personality kind, double loss, uint64_t bytes,
    bool down, bool verbose)
{
	struct sim_conn *conn;

	begin(sim, api, seed, verbose);
	sim->heal_ns = UINT64_MAX;
	sim->link = (struct link){ .loss = loss, .delay_ns = 5 * NS_PER_MS, .byte_ns = 80, .queue_ns = 50 * NS_PER_MS };
	conn = add_conn(sim, kind);
	conn->plan.up_total = down ? 1 : bytes;
	conn->plan.down_total = down ? bytes : 1;
	while (!conn->over && !sim->failure[0]) {
		step(sim);
		if (sim->now_ns - conn->plan.began_ns > 3600 * NS_PER_SEC)
			sim_fail(sim, "not over after an hour");
	}
	judge(sim, conn);
	bytes = bytes * NS_PER_SEC / (conn->progress_ns - conn->plan.began_ns);
	end(sim);
	return sim->failure[0] ? 0 : bytes;
}
