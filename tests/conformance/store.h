/* store.h - what a store promises, over the leaves or over their models. */
#ifndef TESTS_CONFORMANCE_STORE_H
#define TESTS_CONFORMANCE_STORE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "store/reclaim.h"
#include "store/store.h"

static const struct store_config small_config = {
	.shard_count = 2,
	.memory_bytes = 8 << 20,
	.items_max = 4000,
	.node = 5,
	.secret = "sixteen bytes..",
};

static struct store *
new_store(struct store_config config)
{
	struct error error = { 0 };
	struct store *store = store_create(&config, &error);

	if (!store)
		fail_msg("%s", error.text);
	return store;
}

static struct now
at_ms(uint64_t ms)
{
	return (struct now){ ms * NS_PER_MS, 1700000000000 + ms };
}

/* Tests put every key into shard 0 or 1 by its last byte. */
static uint32_t
shard_of(const struct store *store, struct view key)
{
	return key.data[key.len - 1] % store_shard_count(store);
}

static enum store_result
set(struct store *store, struct now now, const char *key, struct view value, uint64_t expiry_ms)
{
	struct view k = view_text(key);
	struct shard *shard = store_shard(store, shard_of(store, k));
	struct item *item;
	enum store_result result = shard_take(shard, &now, k, value.len, &item);

	if (result != STORE_OK)
		return result;
	memcpy(item->bytes + item->key_len, value.data, value.len);
	item_set_expiry_ms(item, expiry_ms);
	return shard_publish(shard, &now, item, store_digest(store, k));
}

static const struct item *
get(const struct store *store, struct now now, const char *key)
{
	struct lookup lookup = { .key = view_text(key) };
	const struct item *item;
	uint64_t expired;

	lookup.digest = store_digest(store, lookup.key);
	lookup.shard = shard_of(store, lookup.key);
	store_find(store, &now, &lookup, 1, &item, &expired);
	return item;
}

static bool
holds(const struct item *item, const char *value)
{
	return item && view_equal(item_value(item), view_text(value));
}

/* Lets the grace period pass and frees what it let go. */
static void
settle(struct store *store, struct now now)
{
	const struct timespec pause = { 0, 1000000 };
	struct shard_stats stats;

	for (uint32_t i = 0; i < store_shard_count(store); i++) {
		for (int wait = 0; wait < 2000; wait++) {
			reclaim_quiescent();
			shard_tick(store_shard(store, i), &now, 1000);
			shard_stats(store_shard(store, i), &stats);
			if (stats.retired == 0)
				break;
			nanosleep(&pause, NULL);
		}
		assert_int_equal(stats.retired, 0);
	}
}

static void
what_is_set_is_read_back_by_owner_and_reader(void **state)
{
	struct store *store = new_store(small_config);
	struct now now = at_ms(0);
	struct view key = view_text("apple");
	struct item *item;

	(void)state;
	assert_null(get(store, now, "apple"));
	assert_int_equal(set(store, now, "apple", view_text("red"), 0), STORE_OK);
	assert_true(holds(get(store, now, "apple"), "red"));
	item = shard_find(store_shard(store, shard_of(store, key)), &now, key, store_digest(store, key));
	assert_true(holds(item, "red"));
	assert_null(get(store, now, "apples"));
	store_destroy(store);
}

static void
an_update_gets_a_higher_version_and_the_old_item_stays_readable(void **state)
{
	struct store *store = new_store(small_config);
	struct now now = at_ms(0);
	const struct item *old, *new;

	(void)state;
	assert_int_equal(set(store, now, "k", view_text("one"), 0), STORE_OK);
	old = get(store, now, "k");
	assert_int_equal(set(store, now, "k", view_text("two"), 0), STORE_OK);
	new = get(store, now, "k");
	assert_true(holds(old, "one") && holds(new, "two"));
	assert_true(new->version > old->version);
	assert_int_equal(new->version & 1023, 5);
	settle(store, now);
	assert_true(holds(get(store, now, "k"), "two"));
	store_destroy(store);
}

static void
an_item_is_gone_from_its_expiry_on_and_says_so(void **state)
{
	struct store *store = new_store(small_config);
	struct lookup lookup = { .key = view_text("k") };
	struct now now = at_ms(0), then = at_ms(1000);
	const struct item *item;
	uint64_t expired;

	(void)state;
	assert_int_equal(set(store, now, "k", view_text("v"), then.wall_ms), STORE_OK);
	lookup.digest = store_digest(store, lookup.key);
	lookup.shard = shard_of(store, lookup.key);
	now = at_ms(999);
	store_find(store, &now, &lookup, 1, &item, &expired);
	assert_true(item && expired == 0);
	store_find(store, &then, &lookup, 1, &item, &expired);
	assert_true(!item && expired == 1);
	assert_null(shard_find(store_shard(store, lookup.shard), &then, lookup.key, lookup.digest));
	store_destroy(store);
}

static void
a_removed_item_is_gone_and_its_memory_comes_back(void **state)
{
	struct store *store = new_store(small_config);
	struct now now = at_ms(0);
	struct view key = view_text("k");
	struct shard *shard = store_shard(store, shard_of(store, key));
	struct item *item;
	struct shard_stats before, after;

	(void)state;
	shard_stats(shard, &before);
	assert_int_equal(set(store, now, "k", view_text("v"), 0), STORE_OK);
	item = shard_find(shard, &now, key, store_digest(store, key));
	shard_remove(shard, item, store_digest(store, key));
	assert_null(get(store, now, "k"));
	shard_remove(shard, item, store_digest(store, key)); /* no longer there: nothing happens */
	settle(store, now);
	shard_stats(shard, &after);
	assert_int_equal(after.items, before.items);
	assert_int_equal(after.item_bytes, before.item_bytes);
	store_destroy(store);
}

static void
the_stores_figures_are_the_sum_of_its_shards(void **state)
{
	struct store *store = new_store(small_config);
	struct shard_stats sum, one;
	uint64_t items = 0, bytes = 0, budget = 0;
	char key[8];

	(void)state;
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof key, "k%d", i);
		assert_int_equal(set(store, at_ms(0), key, view_text("value"), 0), STORE_OK);
	}
	for (uint32_t i = 0; i < store_shard_count(store); i++) {
		shard_stats(store_shard(store, i), &one);
		assert_true(one.items > 0 && one.items < 40); /* else it would be no sum */
		items += one.items;
		bytes += one.item_bytes;
		budget += one.budget_bytes;
	}
	store_stats(store, &sum);
	assert_int_equal(items, 40);
	assert_int_equal(sum.items, items);
	assert_int_equal(sum.item_bytes, bytes);
	assert_int_equal(sum.budget_bytes, budget);
	assert_int_equal(sum.refused_memory, 0);
	store_destroy(store);
}

static void
a_batch_over_two_shards_finds_each_key_where_it_belongs(void **state)
{
	struct store *store = new_store(small_config);
	struct now now = at_ms(0);
	struct lookup lookups[LOOKUP_BATCH_MAX];
	const struct item *items[LOOKUP_BATCH_MAX];
	char keys[LOOKUP_BATCH_MAX][8];
	uint64_t expired;

	(void)state;
	for (uint32_t i = 0; i < LOOKUP_BATCH_MAX; i++) {
		snprintf(keys[i], sizeof keys[i], "key%u", i * 7);
		if (i % 4 != 1)
			assert_int_equal(set(store, now, keys[i], view_text(keys[i]), 0), STORE_OK);
		lookups[i].key = view_text(keys[i]);
		lookups[i].digest = store_digest(store, lookups[i].key);
		lookups[i].shard = shard_of(store, lookups[i].key);
	}
	store_find(store, &now, lookups, LOOKUP_BATCH_MAX, items, &expired);
	for (uint32_t i = 0; i < LOOKUP_BATCH_MAX; i++)
		assert_true(i % 4 == 1 ? items[i] == NULL : holds(items[i], keys[i]));
	store_destroy(store);
}

static void
a_flush_takes_what_came_before_it_even_in_its_own_millisecond(void **state)
{
	struct store *store = new_store(small_config);
	struct now now = at_ms(0);

	(void)state;
	assert_int_equal(set(store, now, "a", view_text("1"), 0), STORE_OK);
	store_flush(store, &now, 0);
	assert_null(get(store, now, "a"));
	assert_int_equal(set(store, now, "a", view_text("2"), 0), STORE_OK);
	assert_int_equal(set(store, now, "b", view_text("2"), 0), STORE_OK);
	assert_true(holds(get(store, now, "a"), "2"));
	store_flush(store, &now, 0); /* a second one in the same millisecond */
	assert_null(get(store, now, "a"));
	assert_null(get(store, now, "b"));
	assert_int_equal(set(store, now, "b", view_text("3"), 0), STORE_OK);
	assert_true(holds(get(store, now, "b"), "3"));
	store_destroy(store);
}

static void
a_flush_in_the_future_waits_for_its_time(void **state)
{
	struct store *store = new_store(small_config);
	struct now now = at_ms(0);

	(void)state;
	assert_int_equal(set(store, now, "a", view_text("1"), 0), STORE_OK);
	store_flush(store, &now, at_ms(500).wall_ms);
	assert_int_equal(set(store, at_ms(499), "b", view_text("1"), 0), STORE_OK);
	assert_true(holds(get(store, at_ms(499), "a"), "1"));
	assert_null(get(store, at_ms(500), "a"));
	assert_null(get(store, at_ms(500), "b"));
	assert_int_equal(set(store, at_ms(500), "c", view_text("1"), 0), STORE_OK);
	assert_true(holds(get(store, at_ms(500), "c"), "1"));
	store_destroy(store);
}

/* A worker's clock may be behind the one that flushed: what it stores afterwards stays. */
static void
what_a_slower_clock_stores_after_a_flush_stays(void **state)
{
	struct store *store = new_store(small_config);
	struct now now = at_ms(20);

	(void)state;
	assert_int_equal(set(store, at_ms(21), "a", view_text("1"), 0), STORE_OK); /* a faster one */
	store_flush(store, &now, 0);
	assert_null(get(store, at_ms(17), "a"));
	assert_int_equal(set(store, at_ms(17), "a", view_text("2"), 0), STORE_OK);
	assert_true(holds(get(store, at_ms(17), "a"), "2"));
	assert_true(holds(get(store, at_ms(30), "a"), "2"));
	store_destroy(store);
}

static void
a_later_flush_brings_nothing_back(void **state)
{
	struct store *store = new_store(small_config);
	struct now now = at_ms(0);

	(void)state;
	assert_int_equal(set(store, now, "a", view_text("1"), 0), STORE_OK);
	store_flush(store, &now, 0);
	store_flush(store, &now, at_ms(500).wall_ms);
	assert_null(get(store, now, "a"));
	assert_int_equal(set(store, now, "b", view_text("1"), 0), STORE_OK);
	assert_true(holds(get(store, at_ms(499), "b"), "1"));
	assert_null(get(store, at_ms(500), "b"));
	store_destroy(store);
}

static void
a_value_over_the_limit_is_refused(void **state)
{
	struct store *store = new_store(small_config);
	struct now now = at_ms(0);
	struct item *item;
	struct shard *shard = store_shard(store, 0);

	(void)state;
	assert_int_equal(shard_take(shard, &now, view_text("k"), VALUE_LEN_MAX, &item), STORE_OK);
	shard_give(shard, item);
	assert_int_equal(shard_take(shard, &now, view_text("k"), VALUE_LEN_MAX + 1, &item), STORE_TOO_LARGE);
	assert_null(item);
	store_destroy(store);
}

static void
a_full_table_evicts_and_says_so(void **state)
{
	struct store *store = new_store((struct store_config){ .shard_count = 1, .memory_bytes = 8 << 20,
	    .items_max = 800 });
	struct now now = at_ms(0);
	struct shard_stats stats;
	char key[16];
	uint32_t live = 0;

	(void)state;
	for (int i = 0; i < 5000; i++) {
		snprintf(key, sizeof key, "key%d", i);
		assert_int_equal(set(store, now, key, view_text("v"), 0), STORE_OK);
		assert_true(holds(get(store, now, key), "v"));
		if (i % 50 == 0)
			settle(store, now);
	}
	for (int i = 0; i < 5000; i++) {
		snprintf(key, sizeof key, "key%d", i);
		live += get(store, now, key) != NULL;
	}
	shard_stats(store_shard(store, 0), &stats);
	assert_int_equal(stats.items, live);
	assert_true(live >= 800 && live <= 1023 * 4 / 5);
	assert_int_equal(stats.evictions_table_full, 5000 - live);
	store_destroy(store);
}

static void
under_overload_memory_keeps_to_the_budget(void **state)
{
	static const uint8_t value[1000];
	struct store *store = new_store((struct store_config){ .shard_count = 1, .memory_bytes = 16 << 20,
	    .items_max = 50000 });
	struct now now = at_ms(0);
	struct shard_stats stats;
	char key[16];

	(void)state;
	for (int i = 0; i < 40000; i++) {
		snprintf(key, sizeof key, "key%d", i);
		assert_int_equal(set(store, now, key, view_of(value, 500 + i % 500), 0), STORE_OK);
		if (i % 32 == 0)
			settle(store, now);
		shard_stats(store_shard(store, 0), &stats);
		assert_true(stats.active_bytes + stats.table_bytes <= stats.budget_bytes + stats.budget_bytes / 50);
	}
	assert_true(stats.evictions > 1000);
	assert_true(stats.item_bytes > stats.budget_bytes / 2);
	store_destroy(store);
}

/* Two keys with one digest: made by passing the same digest for both. */
static void
keys_with_one_digest_cost_an_entry_and_never_a_wrong_answer(void **state)
{
	enum { DIGEST = 12345 };
	struct store *store = new_store(small_config);
	struct shard *shard = store_shard(store, 0);
	struct now now = at_ms(0);
	struct lookup lookups[2] = { { view_text("first"), DIGEST, 0 }, { view_text("other"), DIGEST, 0 } };
	const struct item *items[2];
	struct shard_stats stats;
	uint64_t expired;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct item *item;

		assert_int_equal(shard_take(shard, &now, lookups[i].key, 1, &item), STORE_OK);
		item->bytes[item->key_len] = (uint8_t)('1' + i);
		assert_int_equal(shard_publish(shard, &now, item, DIGEST), STORE_OK);
	}
	store_find(store, &now, lookups, 2, items, &expired);
	assert_null(items[0]);
	assert_true(holds(items[1], "2"));
	assert_null(shard_find(shard, &now, lookups[0].key, DIGEST));
	shard_stats(shard, &stats);
	assert_true(stats.items == 1 && stats.evictions == 1);
	store_destroy(store);
}

static void
fill(struct store *store, struct now now, const char *prefix, uint32_t count, uint32_t value_len,
    uint64_t expiry_ms)
{
	static const uint8_t value[2000];
	char key[24];

	for (uint32_t i = 0; i < count; i++) {
		snprintf(key, sizeof key, "%s%u", prefix, i);
		assert_int_equal(set(store, now, key, view_of(value, value_len), expiry_ms), STORE_OK);
		if (i % 32 == 0) {
			reclaim_quiescent();
			shard_tick(store_shard(store, 0), &now, 32);
		}
	}
}

static uint32_t
present(struct store *store, struct now now, const char *prefix, uint32_t count)
{
	uint32_t found = 0;
	char key[24];

	for (uint32_t i = 0; i < count; i++) {
		snprintf(key, sizeof key, "%s%u", prefix, i);
		found += get(store, now, key) != NULL;
	}
	return found;
}

static const struct store_config one_shard = { .shard_count = 1, .memory_bytes = 16 << 20, .items_max = 13000 };

static void
expired_items_go_before_anything_still_good(void **state)
{
	struct store *store = new_store(one_shard);
	struct shard *shard = store_shard(store, 0);
	struct now now = at_ms(0), later = at_ms(30000);
	struct shard_stats stats;

	(void)state;
	/* 5000 that never expire, first in line to be evicted; then 8000 that do; a full table. */
	fill(store, now, "good", 5000, 10, 0);
	fill(store, now, "brief", 8106, 10, now.wall_ms + 10000);
	settle(store, now);
	for (uint32_t i = 0; i < 3000; i++) {
		char key[24];

		snprintf(key, sizeof key, "new%u", i);
		assert_int_equal(set(store, later, key, view_text("v"), 0), STORE_OK);
		reclaim_quiescent();
		nanosleep(&(struct timespec){ 0, 1000 }, NULL);
		shard_tick(shard, &later, 0); /* no background work at all */
	}
	shard_stats(shard, &stats);
	assert_int_equal(stats.evictions, 0);
	assert_true(stats.expired_reclaimed >= 2900);
	assert_int_equal(present(store, later, "good", 5000), 5000);
	store_destroy(store);
}

static void
the_background_sweep_takes_expired_items_back(void **state)
{
	struct store *store = new_store(one_shard);
	struct shard_stats stats;

	(void)state;
	fill(store, at_ms(0), "a", 4000, 100, at_ms(5000).wall_ms);
	fill(store, at_ms(0), "b", 4000, 100, at_ms(4000000).wall_ms);
	fill(store, at_ms(0), "c", 1000, 100, 0);
	for (uint64_t ms = 0; ms < 8000; ms += 20) {
		struct now now = at_ms(ms);

		reclaim_quiescent();
		shard_tick(store_shard(store, 0), &now, 64);
	}
	settle(store, at_ms(8000));
	shard_stats(store_shard(store, 0), &stats);
	assert_int_equal(stats.items, 5000);
	assert_int_equal(stats.expired_reclaimed, 4000);
	for (int i = 0; i < 200; i++)
		settle(store, at_ms(4002000));
	shard_stats(store_shard(store, 0), &stats);
	assert_int_equal(stats.items, 1000);
	store_destroy(store);
}

static void
the_background_sweep_takes_flushed_items_back(void **state)
{
	struct store *store = new_store(one_shard);
	struct now flushed = at_ms(10);
	struct shard_stats stats;

	(void)state;
	fill(store, at_ms(0), "a", 4000, 100, 0);
	store_flush(store, &flushed, 0);
	fill(store, at_ms(20), "b", 1000, 100, 0);
	for (int i = 0; i < 40; i++)
		settle(store, at_ms(30));
	shard_stats(store_shard(store, 0), &stats);
	assert_int_equal(stats.items, 1000);
	assert_int_equal(present(store, at_ms(30), "b", 1000), 1000);
	store_destroy(store);
}

static void
memory_returns_to_its_baseline_after_everything_is_deleted(void **state)
{
	struct store *store = new_store(one_shard);
	struct shard *shard = store_shard(store, 0);
	struct now now = at_ms(0);
	struct shard_stats before, full, after;

	(void)state;
	shard_stats(shard, &before);
	for (int round = 0; round < 3; round++) {
		fill(store, now, "k", 6000, 1500, now.wall_ms + 3600000);
		shard_stats(shard, &full);
		assert_true(full.active_bytes > 8 << 20);
		for (uint32_t i = 0; i < 6000; i++) {
			char key[24];
			struct item *item;
			uint64_t digest;

			snprintf(key, sizeof key, "k%u", i);
			digest = store_digest(store, view_text(key));
			item = shard_find(shard, &now, view_text(key), digest);
			assert_non_null(item);
			shard_remove(shard, item, digest);
		}
		settle(store, now);
		store_trim(store);
		shard_stats(shard, &after);
		assert_int_equal(after.items, 0);
		assert_int_equal(after.item_bytes, 0);
		assert_true(after.active_bytes <= before.active_bytes + 65536);
	}
	store_destroy(store);
}

/* Goes through shard 1 and counts how often each key "k<n>5" is told. */
static void
walk_on(struct store *store, struct now now, uint32_t *position, uint32_t steps, uint8_t *told)
{
	struct shard *shard = store_shard(store, 1);
	const struct item *item;
	unsigned number;

	while ((item = shard_walk(shard, &now, position, &steps))) {
		assert_int_equal(sscanf((const char *)item->bytes, "k%u-5", &number), 1);
		told[number]++;
	}
}

/* Keys that come, go and change while one walks do not hide those that stay. */
static void
a_walk_tells_every_key_that_is_there_all_the_time(void **state)
{
	enum { KEYS = 900 };
	struct store *store = new_store(small_config);
	struct shard *shard = store_shard(store, 1);
	struct now now = at_ms(0);
	uint8_t told[KEYS] = { 0 };
	uint32_t position = 0, rounds = 0;
	char key[16];

	(void)state;
	for (unsigned i = 0; i < KEYS; i++) {
		snprintf(key, sizeof key, "k%u-5", i);
		assert_int_equal(set(store, now, key, view_text("v"), 0), STORE_OK);
	}
	while (position < shard_positions(shard)) {
		walk_on(store, now, &position, 40, told);
		for (unsigned i = rounds++ % 50; i < KEYS; i += 50) { /* every third stays as it is, the next is replaced, the next goes and comes */
			struct view k;

			snprintf(key, sizeof key, "k%u-5", i);
			k = view_text(key);
			if (i % 3 == 2) {
				shard_remove(shard, shard_find(shard, &now, k, store_digest(store, k)), store_digest(store, k));
				settle(store, now);
			}
			if (i % 3 > 0)
				assert_int_equal(set(store, now, key, view_text("w"), 0), STORE_OK);
		}
	}
	for (unsigned i = 0; i < KEYS; i++)
		if (told[i] == 0 && i % 3 != 2)
			fail_msg("k%u was never told", i);
		else if (told[i] > 1 && i % 3 != 2)
			fail_msg("k%u was told %u times", i, told[i]);
	store_destroy(store);
}

static void
a_walk_is_bounded_and_leaves_the_dead_out(void **state)
{
	struct store *store = new_store(small_config);
	struct shard *shard = store_shard(store, 1);
	struct now now = at_ms(0), later = at_ms(2000);
	uint32_t position = 0, steps = 7, all;

	(void)state;
	assert_int_equal(set(store, now, "short-5", view_text("v"), now.wall_ms + 1000), STORE_OK);
	assert_int_equal(set(store, now, "k1-5", view_text("v"), 0), STORE_OK);
	walk_on(store, later, &position, 0, NULL);
	assert_int_equal(position, 0);
	position = shard_positions(shard);
	assert_null(shard_walk(shard, &later, &position, &steps));
	assert_int_equal(steps, 7);
	position = 0, all = shard_positions(shard);
	assert_true(view_equal(item_key(shard_walk(shard, &later, &position, &all)), view_text("k1-5")));
	assert_null(shard_walk(shard, &later, &position, &all));
	assert_int_equal(all, 0);
	position = 0, all = shard_positions(shard);
	assert_int_equal(shard_expire(shard, &later, &position, &all), 1);
	assert_int_equal(position, shard_positions(shard));
	assert_int_equal(shard_evict(shard, &later, SHARD_EVICT_MAX), 1);
	assert_null(get(store, later, "k1-5"));
	settle(store, later);
	store_destroy(store);
}

static int
start_reader(void **state)
{
	struct error error;

	(void)state;
	if (reclaim_start(&error) != STATUS_OK)
		return -1;
	reclaim_register();
	return 0;
}

static int
stop_reader(void **state)
{
	(void)state;
	reclaim_unregister();
	reclaim_stop();
	return 0;
}

static const struct CMUnitTest store_tests[] = {
	cmocka_unit_test(what_is_set_is_read_back_by_owner_and_reader),
	cmocka_unit_test(an_update_gets_a_higher_version_and_the_old_item_stays_readable),
	cmocka_unit_test(an_item_is_gone_from_its_expiry_on_and_says_so),
	cmocka_unit_test(a_removed_item_is_gone_and_its_memory_comes_back),
	cmocka_unit_test(the_stores_figures_are_the_sum_of_its_shards),
	cmocka_unit_test(a_batch_over_two_shards_finds_each_key_where_it_belongs),
	cmocka_unit_test(a_flush_takes_what_came_before_it_even_in_its_own_millisecond),
	cmocka_unit_test(a_flush_in_the_future_waits_for_its_time),
	cmocka_unit_test(what_a_slower_clock_stores_after_a_flush_stays),
	cmocka_unit_test(a_later_flush_brings_nothing_back),
	cmocka_unit_test(a_value_over_the_limit_is_refused),
	cmocka_unit_test(a_full_table_evicts_and_says_so),
	cmocka_unit_test(under_overload_memory_keeps_to_the_budget),
	cmocka_unit_test(keys_with_one_digest_cost_an_entry_and_never_a_wrong_answer),
	cmocka_unit_test(expired_items_go_before_anything_still_good),
	cmocka_unit_test(the_background_sweep_takes_expired_items_back),
	cmocka_unit_test(the_background_sweep_takes_flushed_items_back),
	cmocka_unit_test(memory_returns_to_its_baseline_after_everything_is_deleted),
	cmocka_unit_test(a_walk_tells_every_key_that_is_there_all_the_time),
	cmocka_unit_test(a_walk_is_bounded_and_leaves_the_dead_out),
};

#endif
