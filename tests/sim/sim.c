/* The engine: a queue of events, links, clocks, lives. */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/check.h"
#include "tests/sim/stack.h"

struct peer_address
sim_address(uint16_t node)
{
	struct peer_address address = { .port = 7946 };

	address.ip[10] = address.ip[11] = 0xff;
	address.ip[12] = 10;
	address.ip[14] = (uint8_t)(node >> 8);
	address.ip[15] = (uint8_t)(node + 1);
	return address;
}

static uint16_t
node_at(const struct sim *sim, const struct peer_address *address)
{
	uint16_t node = (uint16_t)(address->ip[14] << 8 | (uint8_t)(address->ip[15] - 1));

	return node < sim->node_count && peer_address_equal(&sim->nodes[node].config.address, address) ? node : SIM_NOBODY;
}

uint16_t
sim_find(const struct sim *sim, uint64_t id)
{
	for (uint32_t at = (uint32_t)id & sim->by_id_mask; sim->by_id[at]; at = (at + 1) & sim->by_id_mask)
		if (sim->nodes[sim->by_id[at] - 1].id == id)
			return (uint16_t)(sim->by_id[at] - 1);
	return SIM_NOBODY;
}

static void
ids_note(struct sim *sim)
{
	sim->by_id_mask = 4 * SIM_NODES_MAX - 1;
	if (sim->node_count < 32)
		sim->by_id_mask = 127;
	sim->by_id = calloc(sim->by_id_mask + 1, sizeof *sim->by_id);
	CHECK(sim->by_id);
	for (uint16_t i = 0; i < sim->node_count; i++) {
		uint32_t at = (uint32_t)sim->nodes[i].id & sim->by_id_mask;

		while (sim->by_id[at])
			at = (at + 1) & sim->by_id_mask;
		sim->by_id[at] = (uint16_t)(i + 1);
	}
}

void
sim_fail(struct sim *sim, const char *format, ...)
{
	va_list list;
	int used;

	if (sim->failure[0])
		return;
	used = snprintf(sim->failure, sizeof sim->failure, "%.3f s: ", (double)sim->now_ns / 1e9);
	va_start(list, format);
	vsnprintf(sim->failure + used, sizeof sim->failure - (size_t)used, format, list);
	va_end(list);
}

/* --- queue ---------------------------------------------------------------------------- */

static bool
before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void
queue_push(struct sim *sim, struct sim_event event)
{
	size_t i = sim->heap_count++;

	if (sim->heap_count > sim->heap_size) {
		sim->heap_size = sim->heap_size ? sim->heap_size * 2 : 1024;
		sim->heap = realloc(sim->heap, sim->heap_size * sizeof *sim->heap);
		CHECK(sim->heap);
	}
	event.order = sim->order++;
	for (; i > 0 && before(&event, &sim->heap[(i - 1) / 2]); i = (i - 1) / 2)
		sim->heap[i] = sim->heap[(i - 1) / 2];
	sim->heap[i] = event;
}

static struct sim_event
queue_pop(struct sim *sim)
{
	struct sim_event first = sim->heap[0], last = sim->heap[--sim->heap_count];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= sim->heap_count)
			break;
		if (child + 1 < sim->heap_count && before(&sim->heap[child + 1], &sim->heap[child]))
			child++;
		if (!before(&sim->heap[child], &last))
			break;
		sim->heap[i] = sim->heap[child];
		i = child;
	}
	sim->heap[i] = last;
	return first;
}

static struct sim_packet *
packet_take(struct sim *sim)
{
	struct sim_packet *packet = sim->free_packets;

	if (packet)
		sim->free_packets = packet->next;
	else
		packet = malloc(sizeof *packet);
	CHECK(packet);
	packet->next = NULL;
	return packet;
}

static void
packet_give(struct sim *sim, struct sim_packet *packet)
{
	packet->next = sim->free_packets;
	sim->free_packets = packet;
}

static void
trace_add(struct sim *sim, const void *data, size_t len)
{
	sim->trace = XXH3_64bits_withSeed(data, len, sim->trace ^ sim->now_ns);
}

/* --- clocks --------------------------------------------------------------------------- */

struct now
sim_now(const struct sim *sim, uint16_t node)
{
	const struct sim_node *n = &sim->nodes[node];
	uint64_t lived = sim->now_ns - n->anchor_ns;

	return (struct now){ .mono_ns = n->mono_base + lived / 1000 * n->rate + lived % 1000 * n->rate / 1000,
		.wall_ms = 1700000000000ull + n->wall_offset_ms + sim->now_ns / NS_PER_MS };
}

static void
timer_set(struct sim *sim, uint16_t node)
{
	struct sim_node *n = &sim->nodes[node];
	uint64_t deadline = cluster_deadline(&n->cluster), lived, at;

	if (sim->stack && !n->cluster.left && stack_deadline(sim, node) < deadline)
		deadline = stack_deadline(sim, node);
	if (deadline == UINT64_MAX)
		return;
	lived = deadline > n->mono_base ? deadline - n->mono_base : 0;
	at = n->anchor_ns + lived / n->rate * 1000 + lived % n->rate * 1000 / n->rate + 1;
	if (at <= sim->now_ns)
		at = sim->now_ns + 1;
	if (n->timer_ns > sim->now_ns && n->timer_ns <= at)
		return; /* an earlier one will look again */
	n->timer_ns = at;
	queue_push(sim, (struct sim_event){ .at_ns = at, .node = node });
}

/* --- network -------------------------------------------------------------------------- */

/* A packet to or from a clogged node waits until that is over. */
static uint64_t
clog_end(const struct sim *sim, uint16_t node)
{
	const struct sim_node *n = &sim->nodes[node];

	return sim->now_ns >= n->clog_from_ns ? n->clog_until_ns : 0;
}

static void
packet_fly(struct sim *sim, const struct sim_packet *packet)
{
	const struct sim_network *network = &sim->network;
	uint64_t clogged = sim_pair(sim, packet->from, packet->to)->clogged_ns;
	uint64_t spread = network->delay_max_ns - network->delay_min_ns;
	uint64_t at = sim->now_ns + network->delay_min_ns + (spread ? prng_below(&sim->prng, spread) : 0);
	struct sim_packet *copy;

	if (prng_unit(&sim->prng) < network->loss)
		return;
	if (clogged < clog_end(sim, packet->from))
		clogged = clog_end(sim, packet->from);
	if (clogged < clog_end(sim, packet->to))
		clogged = clog_end(sim, packet->to);
	if (at < clogged)
		at = clogged + prng_below(&sim->prng, NS_PER_MS);
	copy = packet_take(sim);
	memcpy(copy, packet, offsetof(struct sim_packet, bytes) + packet->len);
	copy->next = NULL; /* the original may be in a list */
	copy->corrupted = prng_unit(&sim->prng) < network->corrupt;
	if (copy->corrupted) /* one bit, anywhere */
		copy->bytes[prng_below(&sim->prng, copy->len)] ^= (uint8_t)(1u << prng_below(&sim->prng, 8));
	queue_push(sim, (struct sim_event){ .at_ns = at, .node = packet->to, .packet = copy });
}

static void
packet_send(struct sim *sim, uint16_t from, const struct cluster_action *action)
{
	struct sim_packet packet;

	packet.next = NULL;
	packet.corrupted = false;
	packet.from = from;
	packet.to = node_at(sim, &action->to);
	packet.len = action->len;
	packet.number = ++sim->packet_number;
	packet.sent_ns = sim->now_ns;
	memcpy(packet.bytes, action->packet, action->len);
	if (packet.to == SIM_NOBODY) {
		struct peer_address stranger = sim_address(SIM_NOBODY);

		if (sim->stranger && peer_address_equal(&stranger, &action->to))
			sim->stranger(sim, from, packet.bytes, packet.len);
		return;
	}
	if (sim_pair(sim, from, packet.to)->cut)
		return;
	packet_fly(sim, &packet);
	if (prng_unit(&sim->prng) < sim->network.duplicate)
		packet_fly(sim, &packet);
	if (sim->network.replay > 0 && prng_unit(&sim->prng) < sim->network.replay) {
		struct sim_packet *old = &sim->captured[prng_below(&sim->prng, 64)];

		if (old->len)
			packet_fly(sim, old);
		memcpy(old, &packet, offsetof(struct sim_packet, bytes) + packet.len);
	}
}

void
sim_stranger_send(struct sim *sim, uint16_t to, const uint8_t *bytes, uint16_t len)
{
	struct sim_packet *packet = packet_take(sim);

	packet->from = SIM_NOBODY;
	packet->to = to;
	packet->len = len;
	packet->corrupted = false;
	packet->number = ++sim->packet_number;
	packet->sent_ns = sim->now_ns;
	memcpy(packet->bytes, bytes, len);
	queue_push(sim, (struct sim_event){ .at_ns = sim->now_ns + sim->network.delay_min_ns, .node = to, .packet = packet });
}

/* --- nodes ---------------------------------------------------------------------------- */

static bool
starved(const struct sim *sim, uint16_t node)
{
	return sim->now_ns < sim->nodes[node].starved_until_ns;
}

static void
actions_run(struct sim *sim, uint16_t node)
{
	uint64_t buffers = starved(sim, node) ? prng_below(&sim->prng, 3) : CLUSTER_PACKETS_MAX;

	for (uint32_t i = 0; i < sim->actions.count; i++) {
		const struct cluster_action *action = &sim->actions.list[i];
		uint64_t told[4] = { (uint64_t)action->kind << 32 | node, action->id, action->news, action->state };

		if (action->kind == CLUSTER_SEND) {
			if (buffers > 0) {
				buffers--;
				packet_send(sim, node, action);
			}
			continue;
		}
		trace_add(sim, told, sizeof told);
		checker_action(sim, node, action);
		if (sim->stack)
			stack_action(sim, node, action);
	}
}

static void
step(struct sim *sim, uint16_t node, const struct cluster_event *event)
{
	struct sim_node *n = &sim->nodes[node];

	cluster_step(&n->cluster, sim_now(sim, node), event, &sim->actions);
	sim->steps++;
	actions_run(sim, node);
	if (sim->stack)
		stack_pump(sim, node);
	n->floor = cluster_epoch_floor(&n->cluster);
	checker_step(sim, node);
	timer_set(sim, node);
}

static uint64_t
refused_sum(const struct cluster *cluster)
{
	uint64_t sum = 0;

	for (int i = 0; i < ENVELOPE_VERDICT_COUNT; i++)
		sum += cluster->counters.refused[i];
	return sum;
}

static void
packet_arrive(struct sim *sim, struct sim_packet *packet)
{
	struct sim_node *n = &sim->nodes[packet->to];
	struct cluster_event event = { .kind = CLUSTER_PACKET, .from = sim_address(packet->from),
		.data = packet->bytes, .len = packet->len };
	uint64_t refused, former;

	if (!n->up || n->cluster.left || (starved(sim, packet->to) && prng_below(&sim->prng, 2))) {
		packet_give(sim, packet);
		return;
	}
	if (n->paused) { /* the socket's buffer keeps them */
		*n->held_end = packet;
		n->held_end = &packet->next;
		return;
	}
	trace_add(sim, packet->bytes, packet->len);
	sim->delivered++;
	refused = refused_sum(&n->cluster);
	former = n->cluster.counters.former_life;
	step(sim, packet->to, &event);
	checker_packet(sim, packet->to, packet, refused_sum(&n->cluster) == refused);
	if (packet->sent_ns < n->started_ns && refused_sum(&n->cluster) == refused && !packet->corrupted &&
	    n->cluster.counters.former_life == former && n->cluster.counters.malformed == 0)
		sim_fail(sim, "n%u took a packet that is older than its life", packet->to + 1u);
	packet_give(sim, packet);
}

void
sim_disturb(struct sim *sim, uint16_t node)
{
	sim->nodes[node].disturbed_ns = sim->now_ns;
}

void
sim_start(struct sim *sim, uint16_t node)
{
	struct sim_node *n = &sim->nodes[node];

	CHECK(!n->up && !n->made);
	n->lives++;
	do
		n->config.boot = prng_next(&sim->prng);
	while (n->config.boot == 0);
	n->config.epoch_floor = n->floor;
	n->started_ns = n->anchor_ns = sim->now_ns;
	n->mono_base = prng_below(&sim->prng, 1000000 * NS_PER_SEC);
	n->timer_ns = n->epoch = 0;
	n->leaving = n->removed = false;
	CHECK(cluster_init(&n->cluster, &n->config, sim_now(sim, node), prng_next(&sim->prng)));
	n->made = n->up = true;
	if (sim->stack)
		stack_start(sim, node);
	n->paused = false;
	sim_disturb(sim, node);
	for (uint16_t i = 0; i < sim->node_count; i++) {
		memset(&sim_pair(sim, node, i)->seen, 0, sizeof sim_pair(sim, node, i)->seen);
		sim_pair(sim, node, i)->dead_at = 0;
	}
	sim_command(sim, node, CLUSTER_TICK);
}

static void
held_drop(struct sim *sim, struct sim_node *n)
{
	while (n->held) {
		struct sim_packet *next = n->held->next;

		packet_give(sim, n->held);
		n->held = next;
	}
	n->held_end = &n->held;
}

void
sim_crash(struct sim *sim, uint16_t node)
{
	struct sim_node *n = &sim->nodes[node];

	CHECK(n->up);
	if (sim->stack)
		stack_stop(sim, node);
	n->up = n->paused = n->made = false;
	cluster_deinit(&n->cluster);
	held_drop(sim, n);
	sim_disturb(sim, node);
}

void
sim_pause(struct sim *sim, uint16_t node)
{
	sim->nodes[node].paused = true;
	sim_disturb(sim, node);
}

void
sim_resume(struct sim *sim, uint16_t node)
{
	struct sim_node *n = &sim->nodes[node];
	struct sim_packet *held = n->held;

	n->paused = false;
	n->held = NULL;
	n->held_end = &n->held;
	sim_disturb(sim, node);
	while (held && n->up) {
		struct sim_packet *next = held->next;

		held->next = NULL;
		packet_arrive(sim, held);
		held = next;
	}
	sim_command(sim, node, CLUSTER_TICK);
}

void
sim_rate(struct sim *sim, uint16_t node, uint32_t rate)
{
	struct sim_node *n = &sim->nodes[node];

	n->mono_base = sim_now(sim, node).mono_ns;
	n->anchor_ns = sim->now_ns;
	n->rate = rate;
	sim_disturb(sim, node);
	if (n->up && !n->paused)
		sim_command(sim, node, CLUSTER_TICK);
}

void
sim_command(struct sim *sim, uint16_t node, enum cluster_event_kind kind)
{
	struct cluster_event event = { .kind = kind };

	if (kind == CLUSTER_LEAVE || kind == CLUSTER_DRAIN) {
		sim->nodes[node].leaving = true;
		sim->nodes[node].leave_boot = sim->nodes[node].config.boot;
	}
	step(sim, node, &event);
}

void
sim_probe(struct sim *sim, uint16_t node, uint16_t about)
{
	const struct cluster_event event = { .kind = CLUSTER_PROBE, .id = sim_id(sim, about) };

	step(sim, node, &event);
}

void
sim_open(struct sim *sim, uint64_t seed, uint16_t node_count, const struct cluster_config *config)
{
	bool verbose = sim->verbose;

	memset(sim, 0, sizeof *sim);
	sim->verbose = verbose;
	sim->seed = seed;
	sim->prng.state = seed;
	sim->node_count = node_count;
	sim->nodes = aligned_alloc(_Alignof(struct sim_node), node_count * sizeof *sim->nodes);
	sim->pairs = calloc((size_t)node_count * node_count, sizeof *sim->pairs);
	CHECK(node_count <= SIM_NODES_MAX && sim->nodes && sim->pairs);
	memset(sim->nodes, 0, node_count * sizeof *sim->nodes);
	sim->network = (struct sim_network){ .delay_min_ns = 100 * NS_PER_US, .delay_max_ns = 500 * NS_PER_US };
	sim->now_ns = NS_PER_SEC;
	for (uint16_t i = 0; i < node_count; i++) {
		struct sim_node *n = &sim->nodes[i];

		n->config = *config;
		snprintf(n->config.id, sizeof n->config.id, "n%u", i + 1u);
		n->id = ring_member_id(n->config.id, strlen(n->config.id));
		n->config.address = sim_address(i);
		n->config.api = n->config.address;
		n->rate = 1000;
		n->held_end = &n->held;
		n->config.seed_count = 0;
		for (uint16_t k = 0; k < node_count && k < 5; k++)
			n->config.seeds[n->config.seed_count++] = sim_address(k);
	}
	ids_note(sim);
}

void
sim_call(struct sim *sim, uint64_t at_ns)
{
	queue_push(sim, (struct sim_event){ .at_ns = at_ns, .node = SIM_NOBODY });
}

void
sim_close(struct sim *sim)
{
	stack_close(sim);
	for (uint16_t i = 0; i < sim->node_count; i++)
		if (sim->nodes[i].up)
			sim_crash(sim, i);
	while (sim->heap_count > 0)
		free(sim->heap[--sim->heap_count].packet);
	while (sim->free_packets) {
		struct sim_packet *next = sim->free_packets->next;

		free(sim->free_packets);
		sim->free_packets = next;
	}
	for (size_t i = 0; i < sim->epoch_count; i++) {
		free(sim->epochs[i].ring);
		free(sim->epochs[i].boots);
	}
	free(sim->epochs);
	free(sim->proposals);
	free(sim->votes);
	free(sim->claims);
	free(sim->taken);
	free(sim->heap);
	free(sim->nodes);
	free(sim->pairs);
	free(sim->by_id);
}

void
sim_run(struct sim *sim, uint64_t until_ns)
{
	while (sim->heap_count > 0 && sim->heap[0].at_ns <= until_ns && !sim->failure[0]) {
		struct sim_event event = queue_pop(sim);
		struct sim_node *n = event.node == SIM_NOBODY ? NULL : &sim->nodes[event.node];

		sim->now_ns = event.at_ns;
		if (event.node == SIM_NOBODY) {
			uint64_t next = stack_issue(sim);

			if (next)
				sim_call(sim, next);
		} else if (event.packet) {
			packet_arrive(sim, event.packet);
		} else if (n->up && !n->paused && event.at_ns == n->timer_ns) {
			n->timer_ns = 0;
			sim_command(sim, event.node, CLUSTER_TICK);
		}
	}
	if (!sim->failure[0])
		sim->now_ns = until_ns;
}
