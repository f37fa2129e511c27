/*
 * The budget under overload and while the size mix shifts: 64 B to 1 KiB, then
 * 64 KiB to 1 MiB, and back, twice. Active pages and tables may never pass the
 * budget by 2 %. Prints how much live data each shift costs.
 */
#include "tests/conformance/store.h"
#include "tests/dpdk/eal.h"

#include "base/prng.h"

/* The address sanitizer's build takes items from malloc, and keeps what was freed for a while. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FROM_MALLOC true
#endif
#endif
#ifndef FROM_MALLOC
#define FROM_MALLOC false
#endif

enum { BUDGET = 128 << 20 };

struct mix {
	const char *name;
	uint32_t value_min, value_max; /* sizes are uniform */
	uint32_t keys;                 /* twice what fits */
	uint32_t operations;
	uint32_t poll_every;           /* operations of one round of the poll loop */
	uint32_t polls;                /* rounds then: a large value takes many frames to arrive */
};

static const struct mix small_mix = { "64 B..1 KiB", 64, 1024, 400000, 900000, 32, 1 };
static const struct mix large_mix = { "64 KiB..1 MiB", 65536, 1 << 20, 480, 4000, 1, 10 };

struct run {
	struct store *store;
	struct now now;
	struct prng prng;
	uint64_t resident_empty; /* of the process, with empty tables */
	uint64_t worst;         /* active + tables */
	uint64_t live_min;      /* item bytes, after the phase's first write */
	uint64_t refused, refused_late, sets, hits, gets; /* late: in the second half of a phase */
};

static uint8_t values[1 << 20];

static void
look(struct run *run)
{
	struct shard_stats stats;

	shard_stats(store_shard(run->store, 0), &stats);
	if (stats.active_bytes + stats.table_bytes > run->worst)
		run->worst = stats.active_bytes + stats.table_bytes;
	if (stats.item_bytes < run->live_min)
		run->live_min = stats.item_bytes;
}

static void
operate(struct run *run, const struct mix *mix)
{
	uint64_t rank = prng_below(&run->prng, mix->keys);
	const struct item *item;
	char key[32];

	/* Two draws' minimum: low numbers are asked for more often. */
	if (prng_below(&run->prng, mix->keys) < rank)
		rank = prng_below(&run->prng, rank + 1);
	snprintf(key, sizeof key, "%u:%u", mix->value_max, (unsigned)rank);
	run->gets++;
	item = get(run->store, run->now, key);
	if (item) {
		item_read(item);
		run->hits++;
		return;
	}
	run->sets++;
	if (set(run->store, run->now, key, view_of(values,
	    mix->value_min + (uint32_t)prng_below(&run->prng, mix->value_max - mix->value_min + 1)), 0) != STORE_OK)
		run->refused++;
}

static void
poll(struct run *run, uint32_t rounds)
{
	const struct timespec pause = { 0, 10000 };

	while (rounds-- > 0) {
		run->now.mono_ns += 60 * NS_PER_US;
		run->now.wall_ms = at_ms(0).wall_ms + run->now.mono_ns / NS_PER_MS;
		reclaim_quiescent();
		shard_tick(store_shard(run->store, 0), &run->now, 64);
		nanosleep(&pause, NULL);
	}
}

static uint64_t
resident(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long long size, pages;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%llu %llu", &size, &pages), 2);
	fclose(file);
	return pages * 4096;
}

/* Once trimmed, the process is little larger than what its items need. */
static void
trim(struct run *run)
{
	struct shard_stats stats;
	uint64_t before = resident(), after;

	store_trim(run->store);
	after = resident();
	shard_stats(store_shard(run->store, 0), &stats);
	print_message("%-14s  resident %.1f MiB, after trimming %.1f\n", "", before / 1048576.0, after / 1048576.0);
	assert_true(FROM_MALLOC ||
	    after <= run->resident_empty + stats.active_bytes + stats.active_bytes / 8 + (16 << 20));
}

static void
phase(struct run *run, const struct mix *mix)
{
	struct shard_stats before, after;

	shard_stats(store_shard(run->store, 0), &before);
	run->live_min = UINT64_MAX;
	run->refused = run->sets = run->hits = run->gets = 0;
	for (uint32_t i = 0; i < mix->operations; i++) {
		operate(run, mix);
		if (i == mix->operations / 2)
			run->refused_late = run->refused;
		if (i % mix->poll_every == 0)
			poll(run, mix->polls);
		look(run);
	}
	shard_stats(store_shard(run->store, 0), &after);
	print_message("%-14s  items %7llu  item bytes %6.1f MiB (min %6.1f)  active %6.1f  tables %5.1f  "
	    "worst %6.2f%%  hits %4.1f%%  sets %llu refused %llu + %llu\n",
	    mix->name, (unsigned long long)after.items, after.item_bytes / 1048576.0, run->live_min / 1048576.0,
	    after.active_bytes / 1048576.0, after.table_bytes / 1048576.0,
	    100.0 * run->worst / after.budget_bytes, 100.0 * run->hits / run->gets,
	    (unsigned long long)run->sets, (unsigned long long)run->refused_late,
	    (unsigned long long)(run->refused - run->refused_late));
	assert_true(run->worst <= after.budget_bytes + after.budget_bytes / 50);
	trim(run);
}

static void
memory_keeps_to_the_budget_while_the_size_mix_shifts(void **state)
{
	struct run run = { .now = at_ms(0), .prng = { 11 } };
	(void)state;
	run.store = new_store((struct store_config){ .shard_count = 1, .memory_bytes = BUDGET,
	    .items_max = 200000, .secret = "sixteen bytes.." });
	run.resident_empty = resident();
	for (int round = 0; round < 2; round++) {
		phase(&run, &small_mix);
		phase(&run, &large_mix);
	}
	phase(&run, &small_mix);
	store_destroy(run.store);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_keeps_to_the_budget_while_the_size_mix_shifts),
	};

	eal_start();
	return cmocka_run_group_tests_name("size mix", tests, start_reader, stop_reader);
}
