/* sim: run one seed, many, the mutations, or the measured promises. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/wait.h>

#include "seal/seal.h"
#include "cluster/mutation.h"
#include "tests/sim/sim.h"

static struct sim sim;

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* What a node believed at the end. */
static void
node_print(uint16_t node)
{
	const struct sim_node *n = &sim.nodes[node];
	const struct authority *authority = &n->cluster.authority;
	const struct ring_topology *ring = &authority->committed.ring;

	printf("n%u %s, floor %" PRIu64, node + 1u, n->up ? n->paused ? "paused" : "up" : "down", n->floor);
	if (n->up) {
		printf(", epoch %" PRIu64 " digest %016" PRIx64 ", health %u, votes on %" PRIu64 ", phase %d, voters:", ring->epoch,
		    authority->committed.digest, n->cluster.health, authority->instance, authority->phase);
		for (uint16_t i = 0; i < ring->count; i++) {
			const struct member *member = members_find(&n->cluster.members, ring->members[i].id);

			printf(" n%u:%u%s", sim_find(&sim, ring->members[i].id) + 1u, ring->members[i].state,
			    member && member->record.boot == authority->committed.boots[i] ? "" : "(former)");
		}
	}
	if (n->up)
		printf("; differs %.3f changed %.3f retry %.3f now %.3f", (double)authority->differs_ns / 1e9,
		    (double)authority->changed_ns / 1e9, (double)authority->retry_ns / 1e9, (double)n->cluster.now_ns / 1e9);
	printf("\n");
}

static int
run_one(uint64_t seed, bool verbose, uint32_t mutation,
    bool (*run)(struct sim *, uint64_t, uint32_t, bool))
{
	bool good = run(&sim, seed, mutation, verbose);

	printf("seed %" PRIu64 ": %s, %u nodes, %.1f simulated s, %" PRIu64 " packets, %zu epochs, trace %016" PRIx64 "\n", seed,
	    good ? "ok" : sim.failure, sim.node_count, (double)sim.now_ns / 1e9, sim.delivered, sim.epoch_count, sim.trace);
	for (uint16_t i = 0; verbose && i < sim.node_count; i++)
		node_print(i);
	sim_close(&sim);
	return good ? 0 : 1;
}

/* `count` seeds from `first` on, or as many as fit `limit` seconds. Counts failures. */
static int
run_many(uint64_t first, uint64_t count, double limit, bool (*run)(struct sim *, uint64_t, uint32_t, bool))
{
	const char *how = run == swarm_traffic ? "sim-traffic" : "sim";
	double begin = seconds(), simulated = 0, took;
	uint64_t done = 0, failed = 0;

	for (; done < count && (limit <= 0 || seconds() < begin + limit); done++) {
		uint64_t seed = first + done;
		bool good = run(&sim, seed, MUTATION_NONE, false);

		simulated += (double)sim.now_ns / 1e9;
		if (!good) {
			printf("  FAIL  seed %" PRIu64 ": %s\n        replay: make %s SEED=%" PRIu64 "\n", seed, sim.failure, how, seed);
			failed++;
		}
		sim_close(&sim);
	}
	took = seconds() - begin;
	printf("%" PRIu64 " seeds from %" PRIu64 ", %" PRIu64 " failed; %.0f simulated s in %.1f s: %.0f times real time\n", done,
	    first, failed, simulated, took, simulated / took);
	return failed > 0;
}

/* The same seed twice gives the same trace, another one another. */
static int
run_twice(uint64_t seed)
{
	uint64_t trace[3];

	for (int i = 0; i < 3; i++) {
		swarm_run(&sim, seed + (i == 2), MUTATION_NONE, false);
		trace[i] = sim.trace;
		sim_close(&sim);
	}
	printf("seed %" PRIu64 " twice: %016" PRIx64 " %016" PRIx64 ", next seed: %016" PRIx64 "\n", seed, trace[0], trace[1], trace[2]);
	return trace[0] != trace[1] || trace[0] == trace[2];
}

static const char *const mutation_texts[] = { "none",
#define MUTATION(suffix, text) #suffix ": " text,
#include "cluster/mutation.def"
#undef MUTATION
};

/* Looks for one bug with up to `tries` seeds, in a process of its own: a broken CHECK finds it too. */
static bool
mutant_found(uint32_t mutation, uint64_t first, uint64_t tries)
{
	pid_t child;
	int status = 0;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		char failure[SIM_TEXT_MAX];

		if (!drills_run(first, mutation, failure, sizeof failure)) {
			printf("      drill: %s\n", failure);
			exit(1);
		}
		for (uint64_t k = 0; k < tries; k++) {
			bool traffic = k % 8 == 7;

			alarm(60); /* one that never ends is found as well */
			if (!(traffic ? swarm_traffic : swarm_run)(&sim, first + k, mutation, false)) {
				printf("      %sseed %" PRIu64 " (try %" PRIu64 "): %s\n", traffic ? "with traffic, " : "", first + k, k + 1, sim.failure);
				exit(1);
			}
			sim_close(&sim);
		}
		exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return false;
	if (WIFSIGNALED(status))
		printf("      stopped by signal %d (a CHECK)\n", WTERMSIG(status));
	return WIFSIGNALED(status) || WEXITSTATUS(status) == 1;
}

/* Every deliberate bug; fails when fewer than 95 % show. */
static int
run_mutants(uint64_t first, uint64_t tries, int only)
{
	int found = 0, total = 0;

	for (int m = MUTATION_NONE + 1; m < MUTATION_COUNT; m++) {
		bool shown;

		if (only && m != only)
			continue;
		shown = mutant_found((uint32_t)m, first, tries);
		total++;
		found += shown;
		printf("  %s %2d %s\n", shown ? "found" : "MISS ", m, mutation_texts[m]);
	}
	printf("%d of %d deliberate bugs found, %.0f %%\n", found, total, 100.0 * found / total);
	return found * 100 < total * 95;
}

int
main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);
	uint64_t count = argc > 3 ? strtoull(argv[3], NULL, 0) : 100;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!seal_start())
		return 1;
	aead_start();
	if (strcmp(mode, "seed") == 0)
		return run_one(seed, argc > 3 && strcmp(argv[3], "-v") == 0, argc > 4 ? (uint32_t)atoi(argv[4]) : MUTATION_NONE, swarm_run);
	if (strcmp(mode, "traffic") == 0)
		return argc > 3 && strcmp(argv[3], "-v") == 0 ? run_one(seed, true, MUTATION_NONE, swarm_traffic) :
		    run_many(seed, count, 0, swarm_traffic);
	if (strcmp(mode, "many") == 0)
		return run_many(seed, count, 0, swarm_run);
	if (strcmp(mode, "for") == 0)
		return run_many(seed, UINT64_MAX, (double)count, swarm_run);
	if (strcmp(mode, "scale") == 0)
		return scale_run(seed, (uint16_t)(argc > 3 ? count : 1000));
	if (strcmp(mode, "twice") == 0)
		return run_twice(seed);
	if (strcmp(mode, "promises") == 0)
		return scenarios_run(seed, argc <= 3 || strcmp(argv[3], "long") != 0) > 0;
	if (strcmp(mode, "drills") == 0) {
		char failure[SIM_TEXT_MAX];
		bool good = drills_run(seed, MUTATION_NONE, failure, sizeof failure);

		printf("  %s  drills, seed %" PRIu64 " %s\n", good ? "ok  " : "FAIL", seed, failure);
		return !good;
	}
	if (strcmp(mode, "mutants") == 0)
		return run_mutants(seed, count, argc > 4 ? atoi(argv[4]) : 0);
	fprintf(stderr, "sim seed N [-v [MUTATION]] | many FIRST COUNT | traffic FIRST COUNT | for FIRST SECONDS | twice N | drills N | promises N [long] | scale N [NODES] | mutants FIRST TRIES [WHICH]\n");
	return 2;
}
