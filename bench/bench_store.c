/*
 * bench_store - batched lookups of the store beside raw rte_hash, in one process.
 *
 * What it does: KEYS keys of 16 bytes with 64-byte values in one shard; random
 *   lookups of present keys in batches. "raw" is rte_hash_lookup_with_hash_bulk_data
 *   on a table of the same shape with the same digests, which never touches an
 *   item; "store" is store_find: the same, and the item's header and key read and
 *   compared. "raw+own compare" is raw with the 8-byte comparison that the store
 *   gives rte_hash in memcmp's place. They take turns, round by round, so that all see the
 *   same machine; medians over rounds. Digests are computed beforehand.
 *   "digest" and "read" add what a GET does besides: the digest, and reading the
 *   value's bytes. Batches of 32 are two sub-batches of 16; never 64.
 * Prints one JSON object a line. Usage: bench_store [keys] [rounds]
 */
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_hash.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/prng.h"
#include "store/keymap.h"
#include "store/reclaim.h"
#include "store/store.h"

enum { KEY_LEN = 16, VALUE_LEN = 64, LOOKUPS = 1 << 20, ROUNDS_MAX = 101 };

struct bench {
	uint32_t keys, rounds;
	uint8_t (*requests)[KEY_LEN]; /* the key of every lookup, in order, as frames bring them */
	struct store *store;
	struct rte_hash *raw, *raw_own; /* comparing by memcmp, and like keymap.c */
	struct lookup *lookups; /* LOOKUPS random present keys */
	struct now now;
	uint64_t sum;           /* keeps the compiler from dropping work */
};

enum kind { RAW, RAW_OWN, STORE, STORE_DIGEST, STORE_DIGEST_READ, KINDS };

static const char *const kind_names[KINDS] = { "raw", "raw+own compare", "store", "store+digest", "store+digest+read" };

static uint32_t
low_half(const void *key, uint32_t key_len, uint32_t seed)
{
	uint32_t low;

	(void)key_len, (void)seed;
	memcpy(&low, key, sizeof low);
	return low;
}

static int
differ(const void *a, const void *b, size_t key_len)
{
	(void)key_len;
	return load_le64(a) != load_le64(b);
}

static struct rte_hash *
make_raw(const char *name, uint32_t keys)
{
	uint64_t entries = KEYMAP_ENTRIES_MIN;
	struct rte_hash *hash;

	while (entries * 4 / 5 < keys)
		entries = 2 * entries + 1;
	hash = rte_hash_create(&(struct rte_hash_parameters){
		.name = name,
		.entries = (uint32_t)entries,
		.key_len = 8,
		.hash_func = low_half,
		.socket_id = SOCKET_ID_ANY,
		.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF,
	});
	CHECK(hash);
	return hash;
}

static void
make_store(struct bench *bench)
{
	struct error error;
	struct store_config config = { .shard_count = 1, .items_max = bench->keys,
		.memory_bytes = (uint64_t)bench->keys * 320 + (64 << 20), .secret = "sixteen bytes.." };

	bench->store = store_create(&config, &error);
	if (!bench->store) {
		fprintf(stderr, "%s\n", error.text);
		exit(1);
	}
}

static struct view
key_of(uint8_t bytes[KEY_LEN], uint32_t number)
{
	char text[KEY_LEN + 1];

	snprintf(text, sizeof text, "key:%012u", number);
	memcpy(bytes, text, KEY_LEN);
	return view_of(bytes, KEY_LEN);
}

static void
fill(struct bench *bench)
{
	struct shard *shard = store_shard(bench->store, 0);

	for (uint32_t i = 0; i < bench->keys; i++) {
		uint8_t bytes[KEY_LEN];
		struct view key = key_of(bytes, i);
		struct item *item;
		uint64_t digest;

		digest = store_digest(bench->store, key);
		CHECK(shard_take(shard, &bench->now, key, VALUE_LEN, &item) == STORE_OK);
		memset(item->bytes + KEY_LEN, (int)i, VALUE_LEN);
		CHECK(shard_publish(shard, &bench->now, item, digest) == STORE_OK);
		CHECK(rte_hash_add_key_with_hash_data(bench->raw, &digest, (uint32_t)digest, item) == 0);
		CHECK(rte_hash_add_key_with_hash_data(bench->raw_own, &digest, (uint32_t)digest, item) == 0);
	}
}

static void
choose(struct bench *bench)
{
	struct prng prng = { 1 };

	for (uint32_t i = 0; i < LOOKUPS; i++) {
		struct view key = key_of(bench->requests[i], (uint32_t)prng_below(&prng, bench->keys));

		bench->lookups[i] = (struct lookup){ key, store_digest(bench->store, key), 0 };
	}
}

static void
raw_batch(struct bench *bench, const struct rte_hash *hash, const struct lookup *lookups, uint32_t n)
{
	const void *keys[32];
	hash_sig_t signatures[32];
	void *items[32];
	uint64_t hits;

	for (uint32_t i = 0; i < n; i++) {
		keys[i] = &lookups[i].digest;
		signatures[i] = (uint32_t)lookups[i].digest;
	}
	rte_hash_lookup_with_hash_bulk_data(hash, keys, signatures, n, &hits, items);
	CHECK(hits == (1ull << n) - 1);
	for (uint32_t i = 0; i < n; i++)
		bench->sum += (uintptr_t)items[i];
}

static void
store_batch(struct bench *bench, struct lookup *lookups, uint32_t n, enum kind kind)
{
	const struct item *items[32];
	uint64_t expired;

	if (kind >= STORE_DIGEST)
		for (uint32_t i = 0; i < n; i++)
			lookups[i].digest = store_digest(bench->store, lookups[i].key);
	for (uint32_t at = 0; at < n; at += LOOKUP_BATCH_MAX) {
		uint32_t part = n - at < LOOKUP_BATCH_MAX ? n - at : LOOKUP_BATCH_MAX;

		store_find(bench->store, &bench->now, lookups + at, part, items + at, &expired);
	}
	for (uint32_t i = 0; i < n; i++) {
		CHECK(items[i]);
		bench->sum += (uintptr_t)items[i];
		if (kind == STORE_DIGEST_READ)
			for (uint32_t word = 0; word < VALUE_LEN; word += 8)
				bench->sum += load_le64(items[i]->bytes + KEY_LEN + word);
	}
}

/* Of this thread only: what others on the same core take does not count. */
static double
seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* TSC cycles a lookup of one pass over all lookups. */
static double
pass(struct bench *bench, enum kind kind, uint32_t batch)
{
	double start = seconds();

	for (uint32_t i = 0; i + batch <= LOOKUPS; i += batch) {
		if (kind <= RAW_OWN)
			raw_batch(bench, kind == RAW ? bench->raw : bench->raw_own, bench->lookups + i, batch);
		else
			store_batch(bench, bench->lookups + i, batch, kind);
		reclaim_quiescent();
	}
	return (seconds() - start) * (double)rte_get_tsc_hz() / (LOOKUPS - LOOKUPS % batch);
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
measure(struct bench *bench, uint32_t batch)
{
	static double cycles[KINDS][ROUNDS_MAX];
	double hz = (double)rte_get_tsc_hz(), raw = 0;

	for (uint32_t round = 0; round < bench->rounds; round++)
		for (enum kind kind = RAW; kind < KINDS; kind++)
			cycles[kind][round] = pass(bench, kind, batch);
	for (enum kind kind = RAW; kind < KINDS; kind++) {
		double median;

		qsort(cycles[kind], bench->rounds, sizeof cycles[kind][0], by_value);
		median = cycles[kind][bench->rounds / 2];
		raw = kind == RAW ? median : raw;
		printf("{\"bench\":\"store\",\"kind\":\"%s\",\"keys\":%u,\"batch\":%u,\"rounds\":%u,"
		    "\"cycles\":%.1f,\"cycles_min\":%.1f,\"mops\":%.2f,\"ratio_to_raw\":%.3f}\n",
		    kind_names[kind], bench->keys, batch, bench->rounds, median, cycles[kind][0],
		    hz / median / 1e6, raw / median);
	}
}

static void
start_eal(uint32_t keys)
{
	char megabytes[16];
	char *arguments[] = { "bench_store", "-l", "0", "--no-huge", "-m", megabytes, "--no-pci",
		"--no-telemetry", "--no-shconf", "--log-level", "lib.eal:4", "--iova-mode=va" };

	snprintf(megabytes, sizeof megabytes, "%u", 64 + keys / 4096);
	CHECK(rte_eal_init(sizeof arguments / sizeof arguments[0], arguments) >= 0);
}

int
main(int argc, char **argv)
{
	const uint32_t batches[] = { 8, 16, 32 };
	struct bench bench = {
		.keys = argc > 1 ? (uint32_t)atoi(argv[1]) : 1000000,
		.rounds = argc > 2 ? (uint32_t)atoi(argv[2]) : 11,
		.now = { 1, 1700000000000 },
	};
	struct error error;

	CHECK(bench.keys > 0 && bench.rounds > 0 && bench.rounds <= ROUNDS_MAX);
	bench.requests = calloc(LOOKUPS, KEY_LEN);
	bench.lookups = calloc(LOOKUPS, sizeof bench.lookups[0]);
	CHECK(bench.requests && bench.lookups);
	start_eal(bench.keys);
	CHECK(reclaim_start(&error) == STATUS_OK);
	reclaim_register();
	bench.raw = make_raw("raw", bench.keys);
	bench.raw_own = make_raw("raw_own", bench.keys);
	rte_hash_set_cmp_func(bench.raw_own, differ);
	make_store(&bench);
	fill(&bench);
	choose(&bench);
	for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++)
		measure(&bench, batches[i]);
	if (bench.sum == 0)
		printf("{}\n");
	reclaim_unregister();
	reclaim_stop();
	store_destroy(bench.store);
	rte_hash_free(bench.raw);
	rte_hash_free(bench.raw_own);
	return 0;
}
