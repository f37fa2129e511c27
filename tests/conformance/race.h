/*
 * race.h - owners writing and workers reading at once, over leaves or models.
 *
 * Every value carries its key's number and a sequence that grows with each SET of
 * the key, and is filled with bytes that follow from both; so a reader can tell
 * a torn value, another key's value, one that was overwritten or removed before
 * the lookup began, and one that had expired. Run under the thread and address
 * sanitizers over the models (make race, make asan), and plainly over the leaves.
 */
#ifndef TESTS_CONFORMANCE_RACE_H
#define TESTS_CONFORMANCE_RACE_H

#include "tests/conformance/store.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/prng.h"

enum {
	RACE_OPERATIONS = 60000, /* of every owner */
	RACE_KEYS = 4000,
	RACE_SHARDS = 2,
	RACE_READERS = 2,
	STAMP_LEN = 16,
	RACE_VALUE_MAX = 3000,
};

struct race {
	struct store *store;
	_Atomic uint64_t wall_ms;        /* the test's clock; any owner moves it on */
	_Atomic uint64_t published[RACE_KEYS], removed[RACE_KEYS]; /* sequences */
	atomic_bool stop;
	_Atomic uint64_t found, stored, refused;
};

struct racer {
	struct race *race;
	uint32_t index;
	pthread_t thread;
};

static void
race_key(uint32_t number, char text[16])
{
	snprintf(text, 16, "k%04u%c", number, 'a' + (int)(number % RACE_SHARDS));
}

static struct now
race_now(struct race *race)
{
	uint64_t ms = atomic_load(&race->wall_ms);

	return (struct now){ ms * NS_PER_MS, 1700000000000 + ms };
}

static void
race_fill(uint8_t *value, uint32_t len, uint64_t number, uint64_t sequence)
{
	store_le64(value, number);
	store_le64(value + 8, sequence);
	for (uint32_t i = STAMP_LEN; i < len; i++)
		value[i] = (uint8_t)(number * 7 + sequence * 13 + i);
}

/* What a reader knows before it looks a key up. */
struct known {
	uint32_t number;
	uint64_t published, removed;
};

static void
race_verify(const struct known *known, const struct item *item, struct now now)
{
	struct view value = item_value(item);
	uint64_t number = load_le64(value.data), sequence = load_le64(value.data + 8);

	CHECK(value.len >= STAMP_LEN && value.len <= RACE_VALUE_MAX);
	CHECK(number == known->number);
	CHECK(sequence >= known->published && sequence > known->removed);
	CHECK(item_expiry_ms(item) == 0 || item_expiry_ms(item) > now.wall_ms);
	for (uint32_t i = STAMP_LEN; i < value.len; i++)
		CHECK(value.data[i] == (uint8_t)(number * 7 + sequence * 13 + i));
}

static void *
race_read(void *argument)
{
	struct racer *me = argument;
	struct race *race = me->race;
	struct prng prng = { me->index + 100 };

	reclaim_register();
	while (!atomic_load(&race->stop)) {
		struct lookup lookups[LOOKUP_BATCH_MAX];
		const struct item *items[LOOKUP_BATCH_MAX];
		struct known known[LOOKUP_BATCH_MAX];
		char keys[LOOKUP_BATCH_MAX][16];
		uint64_t expired;
		struct now now = race_now(race);
		uint32_t n = 1 + (uint32_t)prng_below(&prng, LOOKUP_BATCH_MAX);

		for (uint32_t i = 0; i < n; i++) {
			uint32_t number = (uint32_t)prng_below(&prng, RACE_KEYS);

			known[i] = (struct known){ number, atomic_load(&race->published[number]),
				atomic_load(&race->removed[number]) };
			race_key(number, keys[i]);
			lookups[i].key = view_text(keys[i]);
			lookups[i].digest = store_digest(race->store, lookups[i].key);
			lookups[i].shard = number % RACE_SHARDS;
		}
		store_find(race->store, &now, lookups, n, items, &expired);
		for (uint32_t i = 0; i < n; i++) {
			if (!items[i])
				continue;
			item_read(items[i]);
			race_verify(&known[i], items[i], now);
			atomic_fetch_add(&race->found, 1);
		}
		reclaim_quiescent();
	}
	reclaim_unregister();
	return NULL;
}

static void
race_set(struct race *race, struct shard *shard, uint32_t number, uint64_t sequence, struct prng *prng)
{
	char text[16];
	struct now now = race_now(race);
	struct item *item;
	uint32_t len = STAMP_LEN + (uint32_t)prng_below(prng, RACE_VALUE_MAX - STAMP_LEN);
	struct view key;
	bool expires = prng_below(prng, 3) == 0;

	race_key(number, text);
	key = view_text(text);
	if (shard_take(shard, &now, key, len, &item) != STORE_OK) {
		/* All memory waits for a reader that is not running: let it run. */
		atomic_fetch_add(&race->refused, 1);
		reclaim_quiescent();
		sched_yield();
		return;
	}
	race_fill(item->bytes + item->key_len, len, number, sequence);
	if (expires)
		item_set_expiry_ms(item, now.wall_ms + 1 + prng_below(prng, 3000));
	if (shard_publish(shard, &now, item, store_digest(race->store, key)) == STORE_OK) {
		atomic_store(&race->published[number], sequence);
		atomic_fetch_add(&race->stored, 1);
	} else {
		atomic_fetch_add(&race->refused, 1);
	}
}

static void
race_remove(struct race *race, struct shard *shard, uint32_t number)
{
	char text[16];
	struct now now = race_now(race);
	struct view key;
	struct item *item;
	uint64_t digest;

	race_key(number, text);
	key = view_text(text);
	digest = store_digest(race->store, key);
	item = shard_find(shard, &now, key, digest);
	if (!item)
		return;
	shard_remove(shard, item, digest);
	atomic_store(&race->removed[number], load_le64(item_value(item).data + 8));
}

static void *
race_own(void *argument)
{
	struct racer *me = argument;
	struct race *race = me->race;
	struct shard *shard = store_shard(race->store, me->index);
	struct prng prng = { me->index + 1 };

	reclaim_register();
	for (uint64_t step = 1; step <= RACE_OPERATIONS; step++) {
		uint32_t number = (uint32_t)prng_below(&prng, RACE_KEYS / RACE_SHARDS) * RACE_SHARDS + me->index;
		struct now now;

		if (prng_below(&prng, 8) == 0)
			race_remove(race, shard, number);
		else
			race_set(race, shard, number, step, &prng);
		if (step % 4 == 0) {
			atomic_fetch_add(&race->wall_ms, 1);
			now = race_now(race);
			shard_tick(shard, &now, 16);
			reclaim_quiescent();
		}
		if (step % 20000 == 0) {
			now = race_now(race);
			store_flush(race->store, &now, 0);
		}
	}
	reclaim_unregister();
	return NULL;
}

static void
race_start(struct racer *racer, struct race *race, uint32_t index, void *(*run)(void *))
{
	*racer = (struct racer){ .race = race, .index = index };
	assert_int_equal(pthread_create(&racer->thread, NULL, run, racer), 0);
}

static void
readers_never_see_a_torn_foreign_old_or_expired_value(void **state)
{
	static struct race race;
	struct racer owners[RACE_SHARDS], readers[RACE_READERS];
	struct shard_stats stats;
	uint64_t evictions = 0, expired = 0;

	(void)state;
	memset(&race, 0, sizeof race);
	/* Room for about half the keys, so that evictions are part of it. */
	race.store = new_store((struct store_config){ .shard_count = RACE_SHARDS, .memory_bytes = 4 << 20,
	    .items_max = 6000 });
	reclaim_offline();
	for (uint32_t i = 0; i < RACE_READERS; i++)
		race_start(&readers[i], &race, i, race_read);
	for (uint32_t i = 0; i < RACE_SHARDS; i++)
		race_start(&owners[i], &race, i, race_own);
	for (uint32_t i = 0; i < RACE_SHARDS; i++)
		pthread_join(owners[i].thread, NULL);
	atomic_store(&race.stop, true);
	for (uint32_t i = 0; i < RACE_READERS; i++)
		pthread_join(readers[i].thread, NULL);
	reclaim_online();
	for (uint32_t i = 0; i < RACE_SHARDS; i++) {
		shard_stats(store_shard(race.store, i), &stats);
		assert_true(stats.active_bytes + stats.table_bytes <= stats.budget_bytes + stats.budget_bytes / 50);
		evictions += stats.evictions;
		expired += stats.expired_reclaimed;
	}
	print_message("found %llu, stored %llu, refused %llu, evicted %llu, expired or flushed %llu\n",
	    (unsigned long long)race.found, (unsigned long long)race.stored, (unsigned long long)race.refused,
	    (unsigned long long)evictions, (unsigned long long)expired);
	assert_true(race.found > 100 && evictions > 100 && expired > 100);
	store_destroy(race.store);
}

/* Holds an item without a quiescent state until it is told to stop. */
struct staller {
	struct store *store;
	atomic_bool holding, release;
	pthread_t thread;
};

static void *
stall(void *argument)
{
	struct staller *me = argument;
	const struct timespec pause = { 0, 1000000 };
	const struct item *item;

	reclaim_register();
	item = get(me->store, at_ms(0), "held");
	CHECK(item);
	atomic_store(&me->holding, true);
	while (!atomic_load(&me->release)) {
		CHECK(holds(item, "untouched"));
		nanosleep(&pause, NULL);
	}
	CHECK(holds(item, "untouched"));
	reclaim_unregister();
	return NULL;
}

/*
 * One reader stalls on an item; the owner overwrites, removes and fills until
 * nothing more goes. Then the reader moves on and the store recovers.
 */
static void
a_stalled_reader_keeps_its_item_and_costs_bounded_memory(void **state)
{
	struct store *store = new_store((struct store_config){ .shard_count = 1, .memory_bytes = 6 << 20,
	    .items_max = 12000 });
	struct staller staller = { .store = store };
	struct now now = at_ms(0);
	struct shard_stats stats;
	const struct timespec pause = { 0, 1000000 };
	uint64_t stored = 0, refused = 0;
	char key[16];

	(void)state;
	assert_int_equal(set(store, now, "held", view_text("untouched"), 0), STORE_OK);
	assert_int_equal(pthread_create(&staller.thread, NULL, stall, &staller), 0);
	while (!atomic_load(&staller.holding))
		nanosleep(&pause, NULL);
	for (int i = 0; i < 60000; i++) {
		enum store_result result;

		/* First the same few keys over and over, then ever new ones into a full table. */
		snprintf(key, sizeof key, "key%d", i < 20000 ? i % 100 : i);
		result = set(store, now, i == 5 ? "held" : key, view_text("another value"), 0);
		*(result == STORE_OK ? &stored : &refused) += 1;
		assert_true(result == STORE_OK || result == STORE_NO_MEMORY);
		reclaim_quiescent();
		shard_tick(store_shard(store, 0), &now, 8);
		shard_stats(store_shard(store, 0), &stats);
		assert_true(stats.retired <= 4096 + 16383);
		assert_true(stats.active_bytes + stats.table_bytes <= stats.budget_bytes + stats.budget_bytes / 50);
	}
	print_message("stalled: stored %llu, refused %llu, retired %llu\n", (unsigned long long)stored,
	    (unsigned long long)refused, (unsigned long long)stats.retired);
	assert_true(refused > 0 && stats.retired > 1000);
	assert_int_equal(refused, stats.refused_retired + stats.refused_memory);
	atomic_store(&staller.release, true);
	pthread_join(staller.thread, NULL);
	settle(store, now);
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "new%d", i);
		assert_int_equal(set(store, now, key, view_text("value"), 0), STORE_OK);
		assert_true(holds(get(store, now, key), "value"));
		settle(store, now);
	}
	store_destroy(store);
}

static void
a_pinned_item_outlives_its_grace_period(void **state)
{
	struct store *store = new_store(small_config);
	struct now now = at_ms(0);
	struct shard_stats stats;
	struct item *item;
	const struct timespec pause = { 0, 1000000 };
	struct view key = view_text("k");
	struct shard *shard = store_shard(store, shard_of(store, key));

	(void)state;
	assert_int_equal(set(store, now, "k", view_text("pinned"), 0), STORE_OK);
	item = shard_find(shard, &now, key, store_digest(store, key));
	__atomic_store_n(&item->pins, 1, __ATOMIC_RELAXED);
	shard_remove(shard, item, store_digest(store, key));
	for (int i = 0; i < 20; i++) {
		reclaim_quiescent();
		shard_tick(shard, &now, 10);
		nanosleep(&pause, NULL);
	}
	assert_true(holds(item, "pinned"));
	shard_stats(shard, &stats);
	assert_int_equal(stats.retired, 1);
	__atomic_store_n(&item->pins, 0, __ATOMIC_RELEASE);
	settle(store, now);
	store_destroy(store);
}

static const struct CMUnitTest race_tests[] = {
	cmocka_unit_test(readers_never_see_a_torn_foreign_old_or_expired_value),
	cmocka_unit_test(a_stalled_reader_keeps_its_item_and_costs_bounded_memory),
	cmocka_unit_test(a_pinned_item_outlives_its_grace_period),
};

#endif
