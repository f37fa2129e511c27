/* tcpsim: run one seed, many, for a while, or measure throughput beside loss. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/tcpsim/sim.h"

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
	bool good = sim_run(&sim, &tcp_fast_api, seed, verbose);

	printf("seed %" PRIu64 ": %s, %u connections, %.1f simulated s, %" PRIu64 " packets, %" PRIu64 " lost, trace %016" PRIx64 "\n",
	    seed, good ? "ok" : sim.failure, sim.conn_count, (double)sim.now_ns / 1e9 - 1000, sim.packets, sim.lost, sim.trace);
	return !good;
}

/* Every eighth seed also without the fast path: the trace must be the same. */
static bool
run_both(uint64_t seed)
{
	uint64_t trace;

	if (!sim_run(&sim, &tcp_fast_api, seed, false))
		return false;
	trace = sim.trace;
	if (seed % 8)
		return true;
	if (!sim_run(&sim, &tcp_slow_api, seed, false))
		return false;
	if (sim.trace != trace)
		sim_fail(&sim, "another run without the fast path");
	return sim.trace == trace;
}

static int
run_many(uint64_t first, uint64_t count, double limit)
{
	double begin = seconds(), simulated = 0;
	uint64_t done = 0, failed = 0, packets = 0;

	for (; done < count && (limit <= 0 || seconds() < begin + limit); done++) {
		if (!run_both(first + done)) {
			printf("  FAIL  seed %" PRIu64 ": %s\n        replay: make tcp-sim SEED=%" PRIu64 "\n", first + done, sim.failure,
			    first + done);
			failed++;
		}
		simulated += (double)sim.now_ns / 1e9 - 1000;
		packets += sim.packets;
	}
	printf("%" PRIu64 " seeds from %" PRIu64 ", %" PRIu64 " failed; %" PRIu64 " packets, %.0f simulated s in %.1f s\n", done, first,
	    failed, packets, simulated, seconds() - begin);
	return failed > 0;
}

static int
run_twice(uint64_t seed)
{
	uint64_t trace[3];

	for (int i = 0; i < 3; i++) {
		sim_run(&sim, &tcp_fast_api, seed + (i == 2), false);
		trace[i] = sim.trace;
	}
	printf("seed %" PRIu64 " twice: %016" PRIx64 " %016" PRIx64 ", next seed: %016" PRIx64 "\n", seed, trace[0], trace[1], trace[2]);
	return trace[0] != trace[1] || trace[0] == trace[2];
}

/* The median of three seeds, KB/s; 0: one failed. */
static uint64_t
goodput(enum personality kind, double loss, bool down)
{
	enum { SEEDS = 3, BYTES = 1000000 };
	uint64_t rates[SEEDS];

	for (uint32_t i = 0; i < SEEDS; i++) {
		rates[i] = sim_transfer(&sim, &tcp_fast_api, 1000 + i, kind, loss, kind == SIM_EVIL ? BYTES / 20 : BYTES, down,
		    false) / 1000;
		if (sim.failure[0]) {
			fprintf(stderr, "%s, loss %g, %s: %s\n", sim_kind_names[kind], loss, down ? "down" : "up", sim.failure);
			return 0;
		}
	}
	for (uint32_t i = 1; i < SEEDS; i++)
		for (uint32_t k = i; k && rates[k] < rates[k - 1]; k--) {
			uint64_t other = rates[k];

			rates[k] = rates[k - 1];
			rates[k - 1] = other;
		}
	return rates[SEEDS / 2];
}

static int
run_table(void)
{
	static const double losses[] = { 0, 0.001, 0.01, 0.05, 0.2 };
	int failed = 0;

	printf("# Goodput in KB/s of 1 MB (evil: 50 KB) over 100 Mbit/s with 10 ms of round trip, 50 ms of queue, and loss each way.\n");
	printf("# down: our stack sends; up: the client does. The median of three seeds; `make tcp-sim-table` writes it anew.\n");
	printf("%-8s %-5s", "peer", "way");
	for (uint32_t i = 0; i < sizeof losses / sizeof *losses; i++)
		printf(" %6g%%", 100 * losses[i]);
	printf("\n");
	for (int kind = 0; kind < SIM_KINDS; kind++) {
		for (int down = 1; down >= 0; down--) {
			printf("%-8s %-5s", sim_kind_names[kind], down ? "down" : "up");
			for (uint32_t i = 0; i < sizeof losses / sizeof *losses; i++) {
				uint64_t rate = goodput((enum personality)kind, losses[i], down);

				failed |= rate == 0;
				printf(" %7" PRIu64, rate);
			}
			printf("\n");
		}
	}
	return failed;
}

int
main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);
	uint64_t count = argc > 3 ? strtoull(argv[3], NULL, 0) : 100;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(mode, "seed") == 0)
		return run_one(seed, argc > 3 && strcmp(argv[3], "-v") == 0);
	if (strcmp(mode, "many") == 0)
		return run_many(seed, count, 0);
	if (strcmp(mode, "for") == 0)
		return run_many(seed, UINT64_MAX, (double)count);
	if (strcmp(mode, "twice") == 0)
		return run_twice(seed);
	if (strcmp(mode, "table") == 0)
		return run_table();
	if (strcmp(mode, "transfer") == 0 && argc > 5) {
		int kind = 0;

		while (kind < SIM_KINDS - 1 && strcmp(sim_kind_names[kind], argv[3]) != 0)
			kind++;
		sim_transfer(&sim, &tcp_fast_api, seed, (enum personality)kind, atof(argv[4]), 1000000, strcmp(argv[5], "down") == 0, true);
		return sim.failure[0] != 0;
	}
	fprintf(stderr, "tcpsim seed N [-v] | many FIRST COUNT | for FIRST SECONDS | twice N | table | transfer SEED KIND LOSS up|down\n");
	return 2;
}
