/* Membership of many nodes: how soon they agree, what it costs, how soon a death is known, and who is accused wrongly. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/sim.h"

enum { VICTIMS = 5 };

static struct sim sim;

static void
run_ms(uint64_t ms)
{
	sim_run(&sim, sim.now_ns + ms * NS_PER_MS);
}

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double
ms_at(const uint64_t *sorted, size_t count, unsigned percent)
{
	return count ? (double)sorted[(count - 1) * percent / 100] / 1e6 : -1;
}

/* Sums over all nodes. */
struct totals {
	uint64_t bytes, packets, suspicions, convictions, refutations;
};

static struct totals
totals(void)
{
	struct totals sum = { 0 };

	for (uint16_t i = 0; i < sim.node_count; i++) {
		const struct cluster_counters *counters = &sim.nodes[i].cluster.counters;

		if (!sim.nodes[i].up)
			continue;
		sum.bytes += counters->bytes_out;
		sum.packets += counters->packets_out;
		sum.suspicions += counters->suspicions;
		sum.convictions += counters->convictions;
		sum.refutations += counters->refutations;
	}
	return sum;
}

/* All tables alike, with everybody in them, and one epoch that has them all. */
static bool
converged(bool epoch_too)
{
	const struct cluster *first = NULL;

	for (uint16_t i = 0; i < sim.node_count; i++) {
		const struct cluster *cluster = &sim.nodes[i].cluster;

		if (!sim.nodes[i].up)
			continue;
		if (!first)
			first = cluster;
		if (cluster->members.count != sim.node_count || cluster->members.digest != first->members.digest)
			return false;
		if (epoch_too && (cluster_topology(cluster)->count != sim.node_count ||
		    cluster->authority.committed.digest != first->authority.committed.digest))
			return false;
	}
	return true;
}

/* Simulated milliseconds until then, or -1. */
static double
convergence_ms(bool epoch_too, uint64_t limit_ms)
{
	uint64_t begin_ns = sim.now_ns;

	while (!converged(epoch_too))
		if (sim.now_ns > begin_ns + limit_ms * NS_PER_MS)
			return -1;
		else
			run_ms(20);
	return (double)(sim.now_ns - begin_ns) / 1e6;
}

/* No news is passed on any more. */
static bool
calm(void)
{
	for (uint16_t i = 0; i < sim.node_count; i++)
		if (sim.nodes[i].up && sim.nodes[i].cluster.members.hot_count > 0)
			return false;
	return true;
}

static void
cost(void)
{
	struct totals before, after;
	enum { MS = 2000 };

	for (int i = 0; i < 60 && !calm(); i++)
		run_ms(500);
	before = totals();
	run_ms(MS);
	after = totals();
	printf("\"idle_bytes_per_node_s\": %.0f, \"idle_packets_per_node_s\": %.1f, ",
	    (double)(after.bytes - before.bytes) / sim.node_count / (MS / 1e3),
	    (double)(after.packets - before.packets) / sim.node_count / (MS / 1e3));
}

/* Some die at once: when does each of the others hold them for Suspected, for Dead? */
static void
detection(void)
{
	uint16_t victims = sim.node_count >= 10 * VICTIMS ? VICTIMS : 1, step = (uint16_t)(sim.node_count / victims);
	size_t size = (size_t)victims * sim.node_count, suspected_count = 0, dead_count = 0, missing = 0;
	uint64_t *suspected = calloc(size, sizeof *suspected), *dead = calloc(size, sizeof *dead), crashed_ns = sim.now_ns;

	if (!suspected || !dead)
		return;
	for (uint16_t k = 0; k < victims; k++)
		sim_crash(&sim, (uint16_t)(k * step));
	run_ms(3000);
	for (uint16_t i = 0; i < sim.node_count; i++)
		for (uint16_t k = 0; k < victims && sim.nodes[i].up; k++) {
			const struct sim_pair *pair = sim_pair(&sim, i, (uint16_t)(k * step));

			if (pair->saw_suspected > crashed_ns)
				suspected[suspected_count++] = pair->saw_suspected - crashed_ns;
			if (pair->saw_dead > crashed_ns)
				dead[dead_count++] = pair->saw_dead - crashed_ns;
			else
				missing++;
		}
	qsort(suspected, suspected_count, sizeof *suspected, by_value);
	qsort(dead, dead_count, sizeof *dead, by_value);
	printf("\"suspected_ms\": {\"first\": %.0f, \"p50\": %.0f, \"p99\": %.0f}, ", ms_at(suspected, suspected_count, 0),
	    ms_at(suspected, suspected_count, 50), ms_at(suspected, suspected_count, 99));
	printf("\"dead_ms\": {\"first\": %.0f, \"p50\": %.0f, \"p99\": %.0f, \"last\": %.0f}, \"not_dead\": %zu, ",
	    ms_at(dead, dead_count, 0), ms_at(dead, dead_count, 50), ms_at(dead, dead_count, 99), ms_at(dead, dead_count, 100),
	    missing);
	free(suspected);
	free(dead);
}

/* Bytes that one more place in the tables costs a node, by what the allocator says. */
static double
member_bytes(const struct cluster_config *config)
{
	static struct cluster small, large;
	struct cluster_config one = *config;
	struct now now = { .mono_ns = NS_PER_SEC };
	size_t before, between, after;

	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	one.members_max = 64;
	before = mallinfo2().uordblks;
	if (!cluster_init(&small, &one, now, 1))
		return -1;
	between = mallinfo2().uordblks;
	one.members_max = CLUSTER_MEMBERS_MAX;
	if (!cluster_init(&large, &one, now, 1))
		return -1;
	after = mallinfo2().uordblks;
	cluster_deinit(&small);
	cluster_deinit(&large);
	return ((double)(after - between) - (double)(between - before)) / (CLUSTER_MEMBERS_MAX - 64);
}

static void
all_start(uint64_t seed, uint16_t nodes)
{
	struct cluster_config config;

	swarm_config(&config);
	config.members_max = CLUSTER_MEMBERS_MAX;
	sim.verbose = false;
	sim_open(&sim, seed, nodes, &config);
	sim.light = true;
	printf("{\"nodes\": %u, ", nodes);
	for (uint16_t i = 0; i < nodes; i++) {
		sim_start(&sim, i);
		if (i % 100 == 99)
			run_ms(100); /* a second for a thousand */
	}
}

/* A line of JSON: what such a cluster does without faults, then when some of it dies. */
static void
healthy(uint64_t seed, uint16_t nodes)
{
	double members_ms, epoch_ms;

	all_start(seed, nodes);
	members_ms = convergence_ms(false, 60000);
	epoch_ms = members_ms + convergence_ms(true, 60000);
	printf("\"kind\": \"healthy\", \"converged_ms\": %.0f, \"one_epoch_ms\": %.0f, ", members_ms, epoch_ms);
	cost();
	detection();
	printf("\"member_bytes\": %.0f, \"node_bytes\": %zu}\n", member_bytes(&sim.nodes[0].config), sizeof(struct cluster));
	sim_close(&sim);
}

/* And when packets are lost: who is suspected, who is held for Dead, and all of them live. */
static void
lossy(uint64_t seed, uint16_t nodes, unsigned percent, uint64_t ms)
{
	struct totals before, after;
	double hours = (double)nodes * (double)ms / 1e3 / 3600;

	all_start(seed, nodes);
	convergence_ms(false, 60000);
	run_ms(3000);
	sim.network.loss = percent / 100.0;
	sim.false_dead = 0;
	before = totals();
	run_ms(ms);
	after = totals();
	printf("\"kind\": \"loss\", \"loss_percent\": %u, \"suspicions_per_node_hour\": %.3f, \"false_dead\": %" PRIu64
	    ", \"node_hours\": %.2f, \"bytes_per_node_s\": %.0f}\n", percent,
	    (double)(after.suspicions - before.suspicions) / hours, sim.false_dead, hours,
	    (double)(after.bytes - before.bytes) / nodes / ((double)ms / 1e3));
	sim_close(&sim);
}

int
scale_run(uint64_t seed, uint16_t largest)
{
	static const uint16_t sizes[] = { 5, 10, 30, 100, 300, 1000 };
	static const unsigned losses[] = { 0, 1, 2, 5, 10, 15, 20, 30 };

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0] && sizes[i] <= largest; i++) {
		healthy(seed, sizes[i]);
		fflush(stdout);
	}
	for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++) {
		lossy(seed, largest < 100 ? largest : 100, losses[i], 60000);
		fflush(stdout);
	}
	if (largest >= 1000)
		for (size_t i = 3; i < sizeof losses / sizeof losses[0]; i += 3) { /* 5 and 20 % */
			lossy(seed, largest, losses[i], 5000);
			fflush(stdout);
		}
	return 0;
}
