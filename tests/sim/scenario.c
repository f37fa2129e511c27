/* Promises with figures. */
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
				good = good && sim_pair(&sim, i, victim)->saw_dead && sim_pair(&sim, i, victim)->saw_suspected;
				suspected[count] = sim_pair(&sim, i, victim)->saw_suspected - crashed_ns;
				dead[count++] = sim_pair(&sim, i, victim)->saw_dead - crashed_ns;
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
				dead += sim_pair(&sim, i, k)->saw_dead != 0;
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
