/*
 * From a new topology to its table, and how even and how stable the tables are.
 *
 *   bench_ring [REPEATS]   prints a JSON object a line (of the kinds "build" and "join")
 *
 * build: milliseconds of this thread's CPU time for ring_build(), for cluster sizes and
 *   replication factors, members equal, of four weights, and in ten racks.
 * join: what one member more moves, as a multiple of what it must (copies: any owner,
 *   firsts: the first owner), and how full the fullest member is, over several clusters.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "ring/table.h"

enum { REPEATS_MAX = 1000, JOINS = 20 };

enum kind { EQUAL, WEIGHTS, RACKS, KINDS };
static const char *const kind_names[KINDS] = { "equal", "4 weights", "10 racks" };

static struct ring_snapshot before, after;

static double
milliseconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

static void
make_topology(struct ring_topology *topology, enum kind kind, uint16_t count, uint8_t replication, int cluster)
{
	memset(topology, 0, sizeof *topology);
	topology->replication = replication;
	for (uint16_t i = 0; i < count; i++) {
		char name[32];
		int len = snprintf(name, sizeof name, "c%d-n%u", cluster, i + 1);
		struct ring_member member = { .id = ring_member_id(name, (size_t)len), .index = i,
			.weight = (uint16_t)(kind == WEIGHTS ? 32 * (1 + i % 4) : RING_WEIGHT_DEFAULT),
			.rack = kind == RACKS ? 1u + i % 10 : 0, .state = RING_ALIVE };

		CHECK(ring_topology_add(topology, &member));
	}
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
measure_build(void *scratch, enum kind kind, uint16_t count, uint8_t replication, uint32_t repeats)
{
	static double took[REPEATS_MAX];

	make_topology(&before.topology, kind, count, replication, 0);
	for (uint32_t i = 0; i < repeats; i++) {
		double start = milliseconds();

		ring_build(&before.topology, scratch, &before.table);
		took[i] = milliseconds() - start;
	}
	qsort(took, repeats, sizeof took[0], by_value);
	printf("{\"bench\":\"ring\",\"kind\":\"build\",\"members\":\"%s\",\"nodes\":%u,\"replication\":%u,"
	    "\"repeats\":%u,\"ms\":%.3f,\"ms_min\":%.3f,\"table_digest\":\"%016lx\"}\n",
	    kind_names[kind], count, replication, repeats, took[repeats / 2], took[0],
	    ring_table_digest(&before.table));
}

struct spread {
	double sum, worst;
};

static void
spread_add(struct spread *spread, double value)
{
	spread->sum += value;
	spread->worst = value > spread->worst ? value : spread->worst;
}

static void
measure_join(void *scratch, uint16_t count, uint8_t replication)
{
	static uint32_t slots[RING_MEMBERS_MAX], firsts[RING_MEMBERS_MAX];
	struct spread copies = { 0, 0 }, moved_firsts = { 0, 0 };
	double fullest = 0, fullest_first = 0;

	for (int cluster = 0; cluster < JOINS; cluster++) {
		struct ring_movement moved;
		double fair, fair_first = (double)SLOT_COUNT / (count + 1);

		make_topology(&before.topology, EQUAL, count, replication, cluster);
		make_topology(&after.topology, EQUAL, (uint16_t)(count + 1), replication, cluster);
		ring_build(&before.topology, scratch, &before.table);
		ring_build(&after.topology, scratch, &after.table);
		moved = ring_moved(&before, &after);
		fair = fair_first * after.table.owner_count;
		spread_add(&copies, moved.copies / fair);
		spread_add(&moved_firsts, moved.firsts / fair_first);
		ring_shares(&after.table, slots, firsts);
		for (uint16_t i = 0; i <= count; i++) {
			fullest = slots[i] / fair > fullest ? slots[i] / fair : fullest;
			fullest_first = firsts[i] / fair_first > fullest_first ? firsts[i] / fair_first : fullest_first;
		}
	}
	printf("{\"bench\":\"ring\",\"kind\":\"join\",\"nodes\":%u,\"replication\":%u,\"clusters\":%d,"
	    "\"copies_moved\":%.3f,\"copies_moved_worst\":%.3f,\"firsts_moved\":%.3f,\"firsts_moved_worst\":%.3f,"
	    "\"fullest\":%.4f,\"fullest_first\":%.4f}\n",
	    count, replication, JOINS, copies.sum / JOINS, copies.worst, moved_firsts.sum / JOINS,
	    moved_firsts.worst, fullest, fullest_first);
}

int
main(int argc, char **argv)
{
	static const uint16_t sizes[] = { 5, 33, 100, 1000 }, joins[] = { 1, 2, 3, 4, 5, 9, 16, 32, 64, 100 };
	uint32_t repeats = argc > 1 ? (uint32_t)atoi(argv[1]) : 21;
	void *scratch = aligned_alloc(64, (ring_scratch_size() + 63) / 64 * 64);

	CHECK(scratch && repeats > 0 && repeats <= REPEATS_MAX);
	for (enum kind kind = EQUAL; kind < KINDS; kind++)
		for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
			measure_build(scratch, kind, sizes[i], 3, repeats);
	for (uint8_t replication = 1; replication <= 3; replication += 2)
		for (size_t i = 0; i < sizeof joins / sizeof joins[0]; i++)
			measure_join(scratch, joins[i], replication);
	free(scratch);
	return 0;
}
