/*
 * What an item costs beyond its key and value, at table loads from 0.75 to 0.80,
 * with and without expiries: at most 80 bytes, allocator rounding apart.
 */
#include "tests/conformance/store.h"
#include "tests/dpdk/eal.h"

#include <math.h>

#include "store/shard.h"

enum { KEY_LEN = 16, VALUE_LEN = 64, METADATA_MAX = 80 };

static void
print_costs(const struct shard *shard, const char *expiries)
{
	double items = (double)shard->items;
	double header = ITEM_HEADER_LEN, map = shard->map_bytes / items;
	double queues = chain_pool_bytes(&shard->queue.pool) / items, ghost = ghost_bytes(&shard->queue.ghost) / items;
	double expiry = expiry_bytes(&shard->expiry) / items;
	double retired = chain_pool_bytes(&shard->retired.pool) / items;
	double rounding = shard->item_bytes / items - item_size(KEY_LEN, VALUE_LEN);
	double pages = arena_active(shard->arena) / items - shard->item_bytes / items;
	double sum = header + map + queues + ghost + expiry + retired;

	print_message("load %.3f, %s: %.1f bytes an item = header %.0f + table %.1f + queues %.1f + ghost %.1f"
	    " + expiry %.1f + retired %.1f; size class rounding %.1f, pages %.1f\n",
	    items / shard->entries, expiries, sum, header, map, queues, ghost, expiry, retired, rounding, pages);
	assert_true(sum <= METADATA_MAX);
	/* The sum is what the budget counts. */
	assert_true(fabs(sum - header - shard->table_bytes / items) < 0.1);
}

static void
fill_to(struct store *store, struct shard *shard, double load, bool expire)
{
	static const uint8_t value[VALUE_LEN];
	uint32_t number = (uint32_t)shard->items;

	while (shard->items < load * shard->entries) {
		struct now now = at_ms(number / 1000);
		char key[KEY_LEN + 1];

		snprintf(key, sizeof key, "key:%012u", number++);
		assert_int_equal(set(store, now, key, view_of(value, VALUE_LEN),
		    expire ? now.wall_ms + 60000 + (number * 7919ull) % 86400000 : 0), STORE_OK);
		if (number % 32 == 0) {
			reclaim_quiescent();
			shard_tick(shard, &now, 32);
		}
	}
}

static void
measure(bool expire)
{
	struct store *store = new_store((struct store_config){ .shard_count = 1, .memory_bytes = 192 << 20,
	    .items_max = 800000 });
	struct shard *shard = store_shard(store, 0);

	for (int percent = 75; percent <= 79; percent += 2) {
		fill_to(store, shard, percent / 100.0, expire);
		print_costs(shard, expire ? "all expire" : "none expires");
	}
	store_destroy(store);
}

static void
items_without_expiry_cost_at_most_80_bytes(void **state)
{
	(void)state;
	measure(false);
}

static void
items_that_expire_cost_at_most_80_bytes(void **state)
{
	(void)state;
	measure(true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_without_expiry_cost_at_most_80_bytes),
		cmocka_unit_test(items_that_expire_cost_at_most_80_bytes),
	};

	eal_start();
	return cmocka_run_group_tests_name("metadata", tests, start_reader, stop_reader);
}
