/* sim: run one seed, many, the mutations, or the measured promises. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static int
run_one(uint64_t seed, bool verbose)
{
	bool good = swarm_run(&sim, seed, MUTATION_NONE, verbose);

	printf("seed %" PRIu64 ": %s, %u nodes, %.1f simulated s, %" PRIu64 " packets, %zu epochs, trace %016" PRIx64 "\n", seed,
	    good ? "ok" : sim.failure, sim.node_count, (double)sim.now_ns / 1e9, sim.delivered, sim.epoch_count, sim.trace);
	sim_close(&sim);
	return good ? 0 : 1;
}

/* `count` seeds from `first` on, or as many as fit `limit` seconds. Counts failures. */
static int
run_many(uint64_t first, uint64_t count, double limit)
{
	double begin = seconds(), simulated = 0, took;
	uint64_t done = 0, failed = 0;

	for (; done < count && (limit <= 0 || seconds() < begin + limit); done++) {
		uint64_t seed = first + done;
		bool good = swarm_run(&sim, seed, MUTATION_NONE, false);

		simulated += (double)sim.now_ns / 1e9;
		if (!good) {
			printf("  FAIL  seed %" PRIu64 ": %s\n        replay: make sim SEED=%" PRIu64 "\n", seed, sim.failure, seed);
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

/* Each deliberate bug, until a seed shows it or `tries` have not. */
static int
run_mutants(uint64_t first, uint64_t tries, int only)
{
	int found = 0, total = 0;

	for (int m = MUTATION_NONE + 1; m < MUTATION_COUNT; m++) {
		uint64_t k = 0;
		bool good = true;

		if (only && m != only)
			continue;
		total++;
		for (; k < tries && good; k++) {
			good = swarm_run(&sim, first + k, (uint32_t)m, false);
			if (good)
				sim_close(&sim);
		}
		found += !good;
		printf("  %s %2d %-72s %s\n", good ? "MISS " : "found", m, mutation_texts[m], good ? "" : sim.failure);
		if (!good) {
			printf("           by seed %" PRIu64 " (try %" PRIu64 ")\n", first + k - 1, k);
			sim_close(&sim);
		}
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
	if (strcmp(mode, "seed") == 0)
		return run_one(seed, argc > 3 && strcmp(argv[3], "-v") == 0);
	if (strcmp(mode, "many") == 0)
		return run_many(seed, count, 0);
	if (strcmp(mode, "for") == 0)
		return run_many(seed, UINT64_MAX, (double)count);
	if (strcmp(mode, "twice") == 0)
		return run_twice(seed);
	if (strcmp(mode, "mutants") == 0)
		return run_mutants(seed, count, argc > 4 ? atoi(argv[4]) : 0);
	fprintf(stderr, "sim seed N [-v] | many FIRST COUNT | for FIRST SECONDS | twice N | mutants FIRST TRIES [WHICH]\n");
	return 2;
}
