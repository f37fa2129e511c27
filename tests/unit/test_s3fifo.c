/*
 * The store's eviction beside a plain S3-FIFO: miss ratios on traces, over the
 * whole store. And what the queue alone promises.
 */
#include "tests/conformance/store.h"
#include "tests/conformance/traces.h"

#include "store/s3fifo.h"

static uint32_t trace[TRACE_LEN];

static double
store_miss_ratio(struct store *store)
{
	struct shard_stats stats;
	uint32_t misses = 0;

	for (uint32_t i = 0; i < TRACE_LEN; i++) {
		struct now now = at_ms(i / 1000);
		const struct item *item;
		char key[16];

		snprintf(key, sizeof key, "%010u", trace[i]);
		item = get(store, now, key);
		if (item) {
			item_read(item);
		} else {
			misses++;
			assert_int_equal(set(store, now, key, view_text("v"), 0), STORE_OK);
		}
		if (i % 8 == 0) {
			reclaim_quiescent();
			shard_tick(store_shard(store, 0), &now, 16);
		}
	}
	shard_stats(store_shard(store, 0), &stats);
	assert_int_equal(stats.evictions, stats.evictions_table_full);
	return (double)misses / TRACE_LEN;
}

/* items: the table's limit, 80 % of 2^k - 1. */
static void
compare(const char *name, uint32_t items)
{
	struct store *store = new_store((struct store_config){ .shard_count = 1, .memory_bytes = 64 << 20,
	    .items_max = items });
	double ours = 100 * store_miss_ratio(store), plain = 100 * reference_miss_ratio(trace, items);

	print_message("%-28s %6u items: store %.2f %%, reference %.2f %%\n", name, items, ours, plain);
	assert_true(fabs(ours - plain) <= 0.5);
	store_destroy(store);
}

static void
on_a_zipf_trace_it_misses_like_the_reference(void **state)
{
	(void)state;
	trace_zipf(trace);
	compare("zipf 0.99", 818);
	compare("zipf 0.99", 13106);
}

static void
on_a_trace_with_scans_it_misses_like_the_reference(void **state)
{
	(void)state;
	trace_scans(trace);
	compare("zipf 0.9, once, scans", 1637);
	compare("zipf 0.9, once, scans", 13106);
}

static struct s3fifo
new_queue(uint32_t positions)
{
	struct s3fifo queue;
	struct error error;

	assert_int_equal(s3fifo_init(&queue, positions, positions, 1 << 20, &error), STATUS_OK);
	return queue;
}

/* Pops until an item is evicted; the test's items are their positions, read `freqs` times. */
static uint32_t
evicted(struct s3fifo *queue, uint8_t *marks, uint8_t *freqs)
{
	struct s3fifo_entry entry;

	while (s3fifo_next(queue, &entry)) {
		uint32_t at = entry.position;

		if (marks[at] == entry.mark && s3fifo_judge(queue, &entry, at + 1, 100, &marks[at], &freqs[at])) {
			s3fifo_remove(queue, marks[at], 100);
			return at;
		}
	}
	return UINT32_MAX;
}

static void
one_hit_wonders_leave_first_and_return_to_main(void **state)
{
	struct s3fifo queue = new_queue(127);
	uint8_t marks[100], freqs[100] = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 20; i++)
		marks[i] = s3fifo_insert(&queue, i, i + 1, 100);
	freqs[0] = 2;
	freqs[1] = 1;
	assert_int_equal(evicted(&queue, marks, freqs), 1); /* 0 was read twice: promoted */
	assert_true(marks[0] & S3FIFO_MARK_MAIN);
	assert_int_equal(freqs[0], 0);
	marks[1] = s3fifo_insert(&queue, 50, 2, 100); /* the digest of 1 */
	assert_true(marks[1] & S3FIFO_MARK_MAIN);
	s3fifo_deinit(&queue);
}

static void
a_removed_items_entry_is_skipped(void **state)
{
	struct s3fifo queue = new_queue(127);
	uint8_t marks[100], freqs[100] = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		marks[i] = s3fifo_insert(&queue, i, i + 1, 100);
	s3fifo_remove(&queue, marks[0], 100);
	marks[0] = s3fifo_insert(&queue, 0, 77, 100); /* the position comes to another item */
	assert_int_equal(evicted(&queue, marks, freqs), 1);
	assert_int_equal(evicted(&queue, marks, freqs), 2);
	assert_int_equal(evicted(&queue, marks, freqs), 0);
	assert_int_equal(evicted(&queue, marks, freqs), UINT32_MAX);
	s3fifo_deinit(&queue);
}

static void
the_ghost_is_as_long_as_its_window_in_bytes(void **state)
{
	struct ghost ghost;
	struct error error;
	uint32_t known = 0, early = 0;

	(void)state;
	assert_int_equal(ghost_init(&ghost, 20000, 1 << 20, &error), STATUS_OK);
	for (uint64_t i = 1; i <= 30000; i++)
		ghost_put(&ghost, i * 0x9e3779b97f4a7c15, 100);
	/* The window reaches 10 000 keys of 100 bytes back. */
	for (uint64_t i = 1; i <= 30000; i++) {
		bool found = ghost_take(&ghost, i * 0x9e3779b97f4a7c15, 1000000);

		known += found && i > 20000;
		early += found && i < 19900;
	}
	assert_true(known > 9500);
	assert_true(early < 30);
	ghost_deinit(&ghost);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_hit_wonders_leave_first_and_return_to_main),
		cmocka_unit_test(a_removed_items_entry_is_skipped),
		cmocka_unit_test(the_ghost_is_as_long_as_its_window_in_bytes),
		cmocka_unit_test(on_a_zipf_trace_it_misses_like_the_reference),
		cmocka_unit_test(on_a_trace_with_scans_it_misses_like_the_reference),
	};

	return cmocka_run_group_tests_name("s3fifo", tests, start_reader, stop_reader);
}
