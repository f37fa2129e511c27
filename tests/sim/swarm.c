/* Faults drawn from the seed: every run has its own mix, then heals and must come to rest. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/stack.h"

void
swarm_config(struct cluster_config *config)
{
	cluster_config_default(config);
	config->members_max = 64;
	config->key_count = 1;
	memset(config->keys[0], 7, sizeof config->keys[0]);
	snprintf(config->name, sizeof config->name, "sim");
	config->dead_delay_ns = 2 * NS_PER_SEC;
	config->link_bytes = 1 << 20;
}

/* Which kinds of faults a run has. */
struct mix {
	bool partition, one_way, link, star, clog, swizzle, crash, forget, pause, starve, clock, leave;
	uint64_t gap_ns;    /* mean time between faults */
	uint64_t stable_ns; /* a partition stays at least so long, and so does the whole network afterwards */
	uint64_t links_until_ns; /* nobody touches links before */
};

static bool
chance(struct sim *sim, double p)
{
	return prng_unit(&sim->prng) < p;
}

static void
network_draw(struct sim *sim)
{
	struct sim_network *network = &sim->network;

	network->loss = chance(sim, 0.5) ? prng_unit(&sim->prng) * 0.3 : 0;
	network->duplicate = chance(sim, 0.5) ? prng_unit(&sim->prng) * 0.5 : 0;
	network->corrupt = chance(sim, 0.5) ? prng_unit(&sim->prng) * 0.02 : 0;
	network->replay = chance(sim, 0.5) ? prng_unit(&sim->prng) * 0.05 : 0;
	network->delay_min_ns = 50 * NS_PER_US + prng_below(&sim->prng, 500 * NS_PER_US);
	network->delay_max_ns = network->delay_min_ns + prng_below(&sim->prng, chance(sim, 0.5) ? NS_PER_MS : 40 * NS_PER_MS);
}

static struct mix
mix_draw(struct sim *sim)
{
	return (struct mix){
		.partition = chance(sim, 0.5), .one_way = chance(sim, 0.4), .link = chance(sim, 0.4), .star = chance(sim, 0.2),
		.clog = chance(sim, 0.3), .swizzle = chance(sim, 0.2), .crash = chance(sim, 0.6), .forget = chance(sim, 0.3),
		.pause = chance(sim, 0.5), .starve = chance(sim, 0.2), .clock = chance(sim, 0.3), .leave = chance(sim, 0.2),
		.gap_ns = 200 * NS_PER_MS + prng_below(&sim->prng, 3 * NS_PER_SEC),
		.stable_ns = chance(sim, 0.5) ? prng_below(&sim->prng, 8 * NS_PER_SEC) : 0 };
}

static void
clocks_draw(struct sim *sim)
{
	for (uint16_t i = 0; i < sim->node_count; i++) {
		sim->nodes[i].rate = chance(sim, 0.3) ? (uint32_t)(950 + prng_below(&sim->prng, 101)) : 1000;
		sim->nodes[i].wall_offset_ms = chance(sim, 0.3) ? prng_below(&sim->prng, 10ull * 365 * 86400 * 1000) : 0;
	}
}

/* --- faults ------------------------------------------------------------------------------ */

static void
links_heal(struct sim *sim)
{
	for (uint16_t a = 0; a < sim->node_count; a++)
		for (uint16_t b = 0; b < sim->node_count; b++)
			if (sim_pair(sim, a, b)->cut) {
				sim_pair(sim, a, b)->cut = false;
				sim_disturb(sim, a);
				sim_disturb(sim, b);
			}
}

static void
cut(struct sim *sim, uint16_t a, uint16_t b)
{
	sim_pair(sim, a, b)->cut = a != b;
	sim_disturb(sim, a);
	sim_disturb(sim, b);
}

static void
fault_partition(struct sim *sim, bool one_way)
{
	uint64_t side = prng_below(&sim->prng, 1ull << sim->node_count);

	links_heal(sim);
	for (uint16_t a = 0; a < sim->node_count; a++)
		for (uint16_t b = 0; b < sim->node_count; b++)
			if ((side >> a & 1) != (side >> b & 1) && (!one_way || side >> a & 1))
				cut(sim, a, b);
}

/* All but one hub hear the hub only: who reaches whom is not transitive. */
static void
fault_star(struct sim *sim, uint16_t hub)
{
	links_heal(sim);
	for (uint16_t a = 0; a < sim->node_count; a++)
		for (uint16_t b = 0; b < sim->node_count; b++)
			if (a != hub && b != hub)
				cut(sim, a, b);
}

/* Some nodes clog one after the other, and come loose in another order. */
static void
fault_swizzle(struct sim *sim)
{
	for (uint16_t i = 0; i < sim->node_count; i++)
		if (chance(sim, 0.5)) {
			struct sim_node *n = &sim->nodes[i];

			n->clog_from_ns = sim->now_ns + prng_below(&sim->prng, 2 * NS_PER_SEC);
			n->clog_until_ns = sim->now_ns + 2 * NS_PER_SEC + prng_below(&sim->prng, 2 * NS_PER_SEC);
			n->disturbed_ns = n->clog_until_ns;
		}
}

static void
fault_starve(struct sim *sim, uint16_t a)
{
	sim->nodes[a].starved_until_ns = sim->now_ns + prng_below(&sim->prng, 3 * NS_PER_SEC);
	sim->nodes[a].disturbed_ns = sim->nodes[a].starved_until_ns;
}

static void
fault_clog(struct sim *sim, uint16_t a)
{
	for (uint16_t b = 0; b < sim->node_count; b++)
		if (b != a && chance(sim, 0.5)) {
			sim_pair(sim, a, b)->clogged_ns = sim->now_ns + prng_below(&sim->prng, 3 * NS_PER_SEC);
			sim_disturb(sim, a);
			sim_disturb(sim, b);
		}
}

/* May a node lose its epoch floor? Not while it knows of a higher epoch, or vote, than any other: doc/CLUSTER.md. */
static bool
may_forget(const struct sim *sim, uint16_t a)
{
	for (uint16_t b = 0; b < sim->node_count; b++)
		if (sim->nodes[b].floor < sim->nodes[a].floor)
			return false;
	return true;
}

static void
start(struct sim *sim, const struct mix *mix, uint16_t a)
{
	if (mix->forget && chance(sim, 0.5) && may_forget(sim, a))
		sim->nodes[a].floor = 0;
	sim_start(sim, a);
}

static void
fault_life(struct sim *sim, const struct mix *mix, uint16_t a)
{
	struct sim_node *n = &sim->nodes[a];

	if (n->up && n->cluster.left)
		return;
	if (n->paused)
		sim_resume(sim, a);
	else if (n->up)
		sim_crash(sim, a);
	else
		start(sim, mix, a);
}

static void
fault_pause(struct sim *sim, uint16_t a)
{
	if (sim->nodes[a].paused)
		sim_resume(sim, a);
	else if (sim->nodes[a].up)
		sim_pause(sim, a);
}

/* The wall clock jumps by years, forth or back. */
static void
fault_wall(struct sim *sim, uint16_t a)
{
	uint64_t years_ms = 20ull * 365 * 86400 * 1000;

	sim->nodes[a].wall_offset_ms = prng_below(&sim->prng, 2 * years_ms) - years_ms;
}

/* The monotonic clock goes slow or fast from now on. */
static void
fault_rate(struct sim *sim, uint16_t a)
{
	if (!sim->nodes[a].paused)
		sim_rate(sim, a, (uint32_t)(800 + prng_below(&sim->prng, 401)));
}

static void
fault_leave(struct sim *sim, uint16_t a)
{
	uint16_t leaving = 0;

	for (uint16_t i = 0; i < sim->node_count; i++)
		leaving = (uint16_t)(leaving + (sim->nodes[i].leaving || !sim->nodes[i].up));
	if (sim->nodes[a].up && !sim->nodes[a].paused && leaving == 0 && sim->nodes[a].cluster.standing == PEER_ALIVE)
		sim_command(sim, a, chance(sim, 0.5) ? CLUSTER_LEAVE : CLUSTER_DRAIN);
}

/* Faults of links: what is drawn stays for a while in runs that are so minded. */
static void
fault_links(struct sim *sim, struct mix *mix, uint16_t a, uint16_t b)
{
	if (sim->now_ns < mix->links_until_ns)
		return;
	mix->links_until_ns = sim->now_ns + mix->stable_ns;
	switch (prng_below(&sim->prng, 6)) {
	case 0: if (mix->partition) fault_partition(sim, false); break;
	case 1: if (mix->one_way) fault_partition(sim, true); break;
	case 2: if (mix->link) cut(sim, a, b), cut(sim, b, a); break;
	case 3: if (mix->star) fault_star(sim, a); break;
	default: links_heal(sim);
	}
}

static void
fault_draw(struct sim *sim, struct mix *mix)
{
	uint16_t a = (uint16_t)prng_below(&sim->prng, sim->node_count), b = (uint16_t)prng_below(&sim->prng, sim->node_count);

	switch (prng_below(&sim->prng, 14)) {
	case 0: if (mix->clog) fault_clog(sim, a); break;
	case 1: if (mix->swizzle) fault_swizzle(sim); break;
	case 2: case 3: if (mix->crash) fault_life(sim, mix, a); break;
	case 4: if (mix->pause) fault_pause(sim, a); break;
	case 5: if (mix->starve) fault_starve(sim, a); break;
	case 6: if (mix->clock) fault_rate(sim, a); break;
	case 7: if (mix->leave) fault_leave(sim, a); break;
	case 8: fault_wall(sim, a); break;
	default: fault_links(sim, mix, a, b);
	}
}

/* --- a run ------------------------------------------------------------------------------- */

static void
heal(struct sim *sim, const struct mix *mix)
{
	links_heal(sim);
	for (size_t i = 0; i < (size_t)sim->node_count * sim->node_count; i++)
		sim->pairs[i].clogged_ns = 0;
	sim->network.loss = sim->network.duplicate = sim->network.corrupt = sim->network.replay = 0;
	if (sim->network.delay_max_ns > sim->network.delay_min_ns + 2 * NS_PER_MS)
		sim->network.delay_max_ns = sim->network.delay_min_ns + 2 * NS_PER_MS;
	for (uint16_t i = 0; i < sim->node_count && !sim->failure[0]; i++) {
		sim->nodes[i].clog_until_ns = sim->nodes[i].starved_until_ns = 0;
		if (sim->nodes[i].paused)
			sim_resume(sim, i);
		if (sim->nodes[i].rate < 950 || sim->nodes[i].rate > 1050)
			sim_rate(sim, i, 1000);
		if (!sim->nodes[i].up && !sim->nodes[i].removed && chance(sim, 0.7))
			start(sim, mix, i);
	}
}

/* The newest table anybody decided on. */
static const struct ring_topology *
newest(const struct sim *sim)
{
	const struct ring_topology *found = NULL;

	for (size_t i = 0; i < sim->epoch_count; i++)
		if (!found || sim->epochs[i].epoch > found->epoch)
			found = sim->epochs[i].ring;
	return found;
}

static bool
here(const struct sim *sim, uint16_t node)
{
	return sim->nodes[node].up && !sim->nodes[node].cluster.left;
}

static void
bring_up(struct sim *sim, uint16_t node)
{
	if (sim->nodes[node].up) /* it left, while nobody could decide on a table without it */
		sim_crash(sim, node);
	sim_start(sim, node);
}

/* A majority of all nodes and of the last table's owners must be up, or nothing can be decided. */
static void
majority_start(struct sim *sim)
{
	const struct ring_topology *ring = newest(sim);
	uint16_t up = 0, voters = 0, voters_up = 0;

	for (uint16_t i = 0; i < sim->node_count; i++)
		up = (uint16_t)(up + here(sim, i));
	for (uint16_t i = 0; i < sim->node_count && !sim->failure[0]; i++)
		if (!sim->nodes[i].up && up < sim->node_count - 1) {
			bring_up(sim, i);
			up++;
		}
	for (uint16_t i = 0; ring && i < ring->count; i++) {
		voters = (uint16_t)(voters + (ring->members[i].state == RING_ALIVE));
		voters_up = (uint16_t)(voters_up + (ring->members[i].state == RING_ALIVE && here(sim, sim_find(sim, ring->members[i].id))));
	}
	for (uint16_t i = 0; ring && i < ring->count && voters_up * 2 <= voters && !sim->failure[0]; i++)
		if (ring->members[i].state == RING_ALIVE && !here(sim, sim_find(sim, ring->members[i].id))) {
			bring_up(sim, sim_find(sim, ring->members[i].id));
			voters_up++;
		}
}

static void
settle(struct sim *sim)
{
	uint64_t limit = sim->now_ns + 25 * NS_PER_SEC;
	const char *why = "";

	while (why && sim->now_ns < limit && !sim->failure[0]) {
		sim_run(sim, sim->now_ns + 250 * NS_PER_MS);
		why = checker_disagreement(sim);
	}
	if (why)
		sim_fail(sim, "no agreement 25 s after healing: %s", why);
	sim_run(sim, sim->now_ns + 6 * NS_PER_SEC); /* delays of removal and leaving end */
	why = checker_disagreement(sim);
	if (why)
		sim_fail(sim, "agreement was lost again: %s", why);
}

static void
config_draw(struct prng *prng, struct cluster_config *config)
{
	swarm_config(config);
	config->dead_node_removal_enabled = prng_below(prng, 4) != 0;
	config->insecure = prng_below(prng, 8) == 0;
	config->algorithm = prng_below(prng, 4) == 0 ? AEAD_CHACHA20_POLY1305 : AEAD_NONE;
	config->replication = (uint8_t)(1 + prng_below(prng, 3));
	config->watchers_max = prng_below(prng, 4) == 0 ? 3 : 16;
}

static bool
run(struct sim *sim, uint64_t seed, uint32_t mutation, bool verbose, bool traffic)
{
	struct prng prng = { seed ^ 0x5a5a };
	struct cluster_config config;
	struct mix mix;
	uint64_t end;

	config_draw(&prng, &config);
	config.mutation = mutation;
	sim->verbose = verbose;
	sim_open(sim, seed, (uint16_t)(3 + prng_below(&prng, 5)), &config);
	if (traffic)
		stack_open(sim);
	network_draw(sim);
	clocks_draw(sim);
	mix = mix_draw(sim);
	for (uint16_t i = 0; i < sim->node_count; i++) {
		sim_start(sim, i);
		sim_run(sim, sim->now_ns + prng_below(&sim->prng, 300 * NS_PER_MS));
	}
	end = sim->now_ns + 10 * NS_PER_SEC + prng_below(&sim->prng, 15 * NS_PER_SEC);
	while (sim->now_ns < end && !sim->failure[0]) {
		sim_run(sim, sim->now_ns + prng_below(&sim->prng, 2 * mix.gap_ns));
		if (!sim->failure[0])
			fault_draw(sim, &mix);
	}
	heal(sim, &mix);
	majority_start(sim);
	settle(sim);
	if (traffic)
		stack_verify(sim);
	checker_quiet(sim, 5 * NS_PER_SEC);
	return !sim->failure[0];
}

bool
swarm_run(struct sim *sim, uint64_t seed, uint32_t mutation, bool verbose)
{
	return run(sim, seed, mutation, verbose, false);
}

bool
swarm_traffic(struct sim *sim, uint64_t seed, uint32_t mutation, bool verbose)
{
	return run(sim, seed, mutation, verbose, true);
}
