/* Promises with figures, and drills with one fault each whose outcome is known exactly. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

static struct sim sim;

static void
all_start(uint64_t seed, uint16_t nodes, uint32_t mutation)
{
	struct cluster_config config;

	swarm_config(&config);
	config.mutation = mutation;
	sim.verbose = false;
	sim_open(&sim, seed, nodes, &config);
	for (uint16_t i = 0; i < nodes; i++)
		sim_start(&sim, i);
}

static void
run_ms(uint64_t ms)
{
	sim_run(&sim, sim.now_ns + ms * NS_PER_MS);
}

/* Milliseconds until all agree; the limit when they do not. */
static uint64_t
agreement_ms(uint64_t limit_ms)
{
	uint64_t waited = 0;

	while (waited < limit_ms && !sim.failure[0] && checker_disagreement(&sim)) {
		run_ms(10);
		waited += 10;
	}
	return waited;
}

/* All members Alive in all views, whatever the topology. */
static bool
all_alive(void)
{
	for (uint16_t a = 0; a < sim.node_count; a++)
		for (uint16_t b = 0; b < sim.node_count; b++) {
			const struct member *member = members_find(&sim.nodes[a].cluster.members, sim_id(&sim, b));

			if (!member || member->record.state != PEER_ALIVE || member->record.boot != sim.nodes[b].config.boot)
				return false;
		}
	return true;
}

static uint64_t
alive_ms(uint64_t limit_ms)
{
	uint64_t waited = 0;

	while (waited < limit_ms && !sim.failure[0] && !all_alive()) {
		run_ms(10);
		waited += 10;
	}
	return waited;
}

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int
verdict(bool good, const char *what, double worst, const char *unit, double limit)
{
	good = good && !sim.failure[0] && worst <= limit;
	printf("  %s  %-58s %8.1f %s (limit %.0f)%s%s\n", good ? "ok  " : "FAIL", what, worst, unit, limit,
	    sim.failure[0] ? "; " : "", sim.failure);
	return !good;
}

/* --- promises ---------------------------------------------------------------------------- */

static int
crash_detection(uint64_t seed, uint32_t runs)
{
	uint64_t suspected[4 * 200], dead[4 * 200];
	size_t count = 0;
	bool good = true;
	int failed;

	for (uint32_t k = 0; k < runs && good; k++) {
		all_start(seed + k, 5, 0);
		run_ms(5000 + k * 7 % 50);
		good = !checker_disagreement(&sim);
		uint64_t crashed_ns = sim.now_ns;
		uint16_t victim = (uint16_t)(k % 5);

		sim_crash(&sim, victim);
		run_ms(2000);
		for (uint16_t i = 0; i < 5; i++)
			if (i != victim) {
				good = good && sim.saw_dead[i][victim] && sim.saw_suspected[i][victim];
				suspected[count] = sim.saw_suspected[i][victim] - crashed_ns;
				dead[count++] = sim.saw_dead[i][victim] - crashed_ns;
			}
		if (sim.failure[0])
			break;
		sim_close(&sim);
	}
	qsort(suspected, count, sizeof suspected[0], by_value);
	qsort(dead, count, sizeof dead[0], by_value);
	failed = verdict(good, "crash to Suspected at every survivor, p99", (double)suspected[count * 99 / 100] / 1e6, "ms", 300);
	return failed + verdict(good, "crash to Dead at every survivor, worst", (double)dead[count - 1] / 1e6, "ms", 1000);
}

static int
restart_visible(uint64_t seed, uint32_t runs)
{
	uint64_t worst = 0;

	for (uint32_t k = 0; k < runs && !sim.failure[0]; k++) {
		uint16_t victim = (uint16_t)(k % 5);
		uint64_t took;

		all_start(seed + k, 5, 0);
		run_ms(5000);
		sim_crash(&sim, victim);
		run_ms(k % 2 ? 100 : 3000); /* back before anybody noticed, or long Dead */
		sim_start(&sim, victim);
		took = alive_ms(5000);
		worst = took > worst ? took : worst;
		if (!sim.failure[0])
			sim_close(&sim);
	}
	return verdict(true, "restart to Alive in every view, worst", (double)worst, "ms", 2000);
}

static int
cluster_restart(uint64_t seed, uint32_t runs)
{
	uint64_t worst = 0;

	all_start(seed, 5, 0);
	run_ms(3000);
	for (uint32_t k = 0; k < runs && !sim.failure[0]; k++) {
		uint16_t order[5] = { 0, 1, 2, 3, 4 };
		uint64_t took;

		for (uint16_t i = 4; i > 0; i--) {
			uint16_t j = (uint16_t)prng_below(&sim.prng, i + 1u), kept = order[i];

			order[i] = order[j];
			order[j] = kept;
		}
		for (uint16_t i = 0; i < 5; i++)
			sim_crash(&sim, order[i]);
		uint64_t begin_ns = sim.now_ns;

		for (uint16_t i = 0; i < 5; i++) {
			run_ms(prng_below(&sim.prng, 200));
			sim_start(&sim, order[4 - i]);
		}
		alive_ms(8000);
		took = (sim.now_ns - begin_ns) / NS_PER_MS;
		worst = took > worst ? took : worst;
		agreement_ms(10000);
	}
	return verdict(true, "whole cluster restarted in any order, all Alive, worst", (double)worst, "ms", 5000) +
	    (sim_close(&sim), 0);
}

/* 20 % loss, and one node stands still for 200 ms again and again. */
static int
lossy(uint64_t seed, uint64_t seconds)
{
	uint64_t dead = 0;

	all_start(seed, 5, 0);
	run_ms(3000);
	sim.network.loss = 0.2;
	for (uint64_t end = sim.now_ns + seconds * NS_PER_SEC; sim.now_ns < end && !sim.failure[0];) {
		sim_pause(&sim, 2);
		run_ms(200);
		sim_resume(&sim, 2);
		run_ms(prng_below(&sim.prng, 2000));
		for (uint16_t i = 0; i < 5; i++)
			for (uint16_t k = 0; k < 5; k++)
				dead += sim.saw_dead[i][k] != 0;
		if (dead)
			break;
	}
	printf("        (%" PRIu64 " simulated s at 20 %% loss, %" PRIu64 " suspicions)\n", seconds, sim.suspected_count);
	return verdict(true, "false Dead at 20 % loss with stalls of 200 ms", (double)dead, "  ", 0) + (sim_close(&sim), 0);
}

int
scenarios_run(uint64_t seed, bool quick)
{
	return crash_detection(seed, quick ? 50 : 200) + restart_visible(seed, quick ? 10 : 100) +
	    cluster_restart(seed, 20) + lossy(seed, quick ? 1800 : 24 * 3600);
}

/* --- drills ------------------------------------------------------------------------------ */

static void
cut_both(uint16_t a, uint16_t b, bool is_cut)
{
	sim.cut[a][b] = sim.cut[b][a] = is_cut;
	sim_disturb(&sim, a);
	sim_disturb(&sim, b);
}

/* One link of five nodes' is cut: nobody is even suspected, since others vouch. */
static void
drill_link(uint64_t seed, uint32_t mutation)
{
	all_start(seed, 5, mutation);
	run_ms(5000);
	cut_both(0, 1, true);
	run_ms(10000);
	if (sim.saw_suspected[0][1] || sim.saw_suspected[1][0])
		sim_fail(&sim, "n1 or n2 suspects the other, though three nodes reach both");
}

/* A node is stopped for two seconds: on waking it accuses nobody. */
static void
drill_stopped(uint64_t seed, uint32_t mutation)
{
	all_start(seed, 5, mutation);
	run_ms(5000);
	sim_pause(&sim, 0);
	run_ms(2000);
	sim_resume(&sim, 0);
	run_ms(3000);
	for (uint16_t i = 1; i < 5; i++)
		if (sim.saw_suspected[0][i])
			sim_fail(&sim, "n1 was stopped and blames n%u", i + 1u);
	if (agreement_ms(3000) >= 3000)
		sim_fail(&sim, "no agreement after a stop of 2 s");
}

/* A node was cut off and holds all others for Dead: coming back it convinces nobody. */
static void
drill_hearsay(uint64_t seed, uint32_t mutation)
{
	all_start(seed, 5, mutation);
	run_ms(5000);
	for (uint16_t i = 1; i < 5; i++)
		cut_both(0, i, true);
	run_ms(8000);
	for (uint16_t i = 1; i < 5; i++)
		cut_both(0, i, false);
	run_ms(5000);
	for (uint16_t a = 1; a < 5; a++)
		for (uint16_t b = 1; b < 5; b++)
			if (sim.saw_dead[a][b])
				sim_fail(&sim, "n%u believed that n%u is Dead, though it heard it", a + 1u, b + 1u);
	if (agreement_ms(8000) >= 8000)
		sim_fail(&sim, "no agreement after one node came back: %s", checker_disagreement(&sim));
}

/* Two and two: neither half decides anything. */
static void
drill_halves(uint64_t seed, uint32_t mutation)
{
	size_t epochs;

	all_start(seed, 4, mutation);
	run_ms(5000);
	epochs = sim.epoch_count;
	for (uint16_t a = 0; a < 2; a++)
		for (uint16_t b = 2; b < 4; b++)
			cut_both(a, b, true);
	run_ms(12000);
	if (sim.epoch_count != epochs)
		sim_fail(&sim, "half of the cluster decided on an epoch");
	for (uint16_t a = 0; a < 2; a++)
		for (uint16_t b = 2; b < 4; b++)
			cut_both(a, b, false);
	if (agreement_ms(10000) >= 10000)
		sim_fail(&sim, "no agreement after the halves met");
}

/* One leaves, another comes: it gets an index of its own. */
static void
drill_successor(uint64_t seed, uint32_t mutation)
{
	struct cluster_config config;

	swarm_config(&config);
	config.mutation = mutation;
	sim_open(&sim, seed, 5, &config);
	for (uint16_t i = 0; i < 4; i++)
		sim_start(&sim, i);
	run_ms(5000);
	sim_command(&sim, 1, CLUSTER_LEAVE);
	run_ms(6000);
	sim_start(&sim, 4);
	if (agreement_ms(6000) >= 6000)
		sim_fail(&sim, "no agreement after one left and another came");
}

/* Two processes with one id: the second is refused, both say so, the first stays. */
static void
drill_duplicate(uint64_t seed, uint32_t mutation)
{
	struct cluster_config config;

	swarm_config(&config);
	config.mutation = mutation;
	sim_open(&sim, seed, 5, &config);
	memcpy(sim.nodes[4].config.id, sim.nodes[0].config.id, sizeof config.id);
	for (uint16_t i = 0; i < 4; i++)
		sim_start(&sim, i);
	run_ms(4000);
	sim_start(&sim, 4);
	run_ms(4000);
	if (sim.nodes[4].cluster.standing == PEER_ALIVE || !sim.duplicates[4] || !sim.duplicates[0])
		sim_fail(&sim, "a second process with n1's id was let in, or one of the two was not told");
	for (uint16_t i = 1; i < 4; i++) {
		const struct member *member = members_find(&sim.nodes[i].cluster.members, sim_id(&sim, 0));

		if (!member || member->record.boot != sim.nodes[0].config.boot || member->record.state != PEER_ALIVE)
			sim_fail(&sim, "n%u does not hold on to the first n1", i + 1u);
	}
}

bool
drills_run(uint64_t seed, uint32_t mutation, char *failure, size_t size)
{
	static void (*const drills[])(uint64_t, uint32_t) = { drill_link, drill_stopped, drill_hearsay, drill_halves,
		drill_successor, drill_duplicate };
	bool good = true;

	for (size_t i = 0; i < sizeof drills / sizeof drills[0] && good; i++) {
		drills[i](seed, mutation);
		good = !sim.failure[0];
		snprintf(failure, size, "%s", sim.failure);
		sim_close(&sim);
	}
	return good;
}
