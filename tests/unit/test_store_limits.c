/* How a store sizes its tables, what it refuses to be, and that churn never fills its queues. */
#include "tests/conformance/store.h"

#include "base/prng.h"
#include "store/shard.h"

static void
tables_too_large_for_the_budget_are_refused_with_a_hint(void **state)
{
	struct store_config config = { .shard_count = 1, .memory_bytes = 8 << 20, .items_max = 1000000 };
	struct error error = { 0 };

	(void)state;
	assert_null(store_create(&config, &error));
	assert_int_equal(error.status, STATUS_INVALID);
	assert_non_null(strstr(error.text, "items_max"));
}

static void
tables_follow_from_memory_and_the_expected_size(void **state)
{
	const uint32_t sizes[] = { 40, 256, 4096, 100000 };

	(void)state;
	for (uint32_t shards = 1; shards <= WORKER_MAX; shards *= 4) {
		for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
			struct store_config config = { .shard_count = shards, .memory_bytes = 64 << 20,
				.expected_item_size = sizes[i] };
			struct store *store = new_store(config);
			const struct shard *shard = store_shard(store, 0);
			uint64_t fit = config.memory_bytes / shards / (sizes[i] + 80);

			/* Within a factor of 2 of what fits, and positions are 2^k - 1. */
			assert_true(shard->items_limit * 2ull >= fit && shard->items_limit <= 4 * fit + 16);
			assert_int_equal(shard->entries & (shard->entries + 1), 0);
			assert_int_equal(store_table_bytes(&config), shards * shard->map_bytes);
			store_destroy(store);
		}
	}
}

/* Puts and removes at random positions of a full and of a nearly empty table. */
static void
churn_leaves_no_more_queue_entries_than_positions(void **state)
{
	struct store *store = new_store((struct store_config){ .shard_count = 1, .memory_bytes = 8 << 20,
	    .items_max = 1600 });
	struct shard *shard = store_shard(store, 0);
	struct now now = at_ms(0);
	struct prng prng = { 77 };
	char key[16];

	(void)state;
	for (uint32_t step = 0; step < 300000; step++) {
		/* Long spells of mostly setting, and of mostly removing. */
		bool removing = prng_below(&prng, 10) < (step / 5000 % 2 ? 7 : 3);
		uint64_t digest;
		struct item *item;

		snprintf(key, sizeof key, "k%u", (unsigned)prng_below(&prng, 4000));
		digest = store_digest(store, view_text(key));
		item = shard_find(shard, &now, view_text(key), digest);
		if (removing && item)
			shard_remove(shard, item, digest);
		else if (!removing)
			assert_int_equal(set(store, now, key, view_text("v"), now.wall_ms + 1 + prng_below(&prng, 90000)), STORE_OK);
		now = at_ms(step / 3);
		reclaim_quiescent();
		shard_tick(shard, &now, 4);
		assert_true(shard->queue.items == shard->items);
		assert_true(shard->queue.small.count + shard->queue.main.count <= shard->entries);
		assert_true(shard->queue.small.count + shard->queue.main.count >= shard->items);
	}
	assert_true(shard->items_limit >= shard->items && shard->items > 0);
	assert_int_equal(shard->expiry.missed, 0);
	store_destroy(store);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_too_large_for_the_budget_are_refused_with_a_hint),
		cmocka_unit_test(tables_follow_from_memory_and_the_expected_size),
		cmocka_unit_test(churn_leaves_no_more_queue_entries_than_positions),
	};

	return cmocka_run_group_tests_name("store limits", tests, start_reader, stop_reader);
}
