/* keymap.c - the only file of the store that knows rte_hash. */
#include "store/keymap.h"

#include <errno.h>
#include <rte_errno.h>
#include <rte_hash.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/race.h"

static uint32_t tables_made; /* rte_hash wants a unique name; main thread only */

/* struct keymap has no definition: a pointer to one is a pointer to an rte_hash. */
static inline struct rte_hash *
to_hash(const struct keymap *map)
{
	return (struct rte_hash *)(uintptr_t)map;
}

/* rte_hash's own hash of a key: the digest's low half, which callers also pass as signature. */
static uint32_t
low_half(const void *key, uint32_t key_len, uint32_t seed)
{
	uint32_t low;

	(void)key_len;
	(void)seed;
	memcpy(&low, key, sizeof low);
	return low;
}

/* rte_hash knows no 8-byte keys and would call memcmp; 0 when equal, as memcmp does. */
static RACE_UNSEEN int
digests_differ(const void *a, const void *b, size_t key_len)
{
	(void)key_len;
	return *(const uint64_t *)a != *(const uint64_t *)b;
}

struct keymap *
keymap_create(uint32_t entries, struct error *error)
{
	char name[RTE_HASH_NAMESIZE];
	struct rte_hash_parameters parameters = {
		.name = name,
		.entries = entries,
		.key_len = sizeof(uint64_t),
		.hash_func = low_half,
		.socket_id = SOCKET_ID_ANY,
		.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF,
	};
	struct rte_hash *hash;

	CHECK(entries >= KEYMAP_ENTRIES_MIN && entries <= KEYMAP_ENTRIES_MAX);
	CHECK((entries & (entries + 1)) == 0);
	snprintf(name, sizeof name, "shard_%u", tables_made++);
	hash = rte_hash_create(&parameters);
	if (hash)
		rte_hash_set_cmp_func(hash, digests_differ);
	else
		error_set(error, STATUS_NO_MEMORY,
		    "store: a table of %u entries needs %llu MiB of DPDK memory: %s; reserve more huge pages or lower items_max",
		    entries, ((unsigned long long)entries + 1) * KEYMAP_BYTES_PER_POSITION >> 20,
		    rte_strerror(rte_errno));
	return (struct keymap *)hash;
}

void
keymap_destroy(struct keymap *map)
{
	rte_hash_free(to_hash(map));
}

void
keymap_find_bulk(const struct keymap *map, const uint64_t *const digests[], uint32_t n,
    struct item *items[])
{
	hash_sig_t signatures[LOOKUP_BATCH_MAX];
	uint64_t hits = 0;

	CHECK(n > 0 && n <= LOOKUP_BATCH_MAX);
	for (uint32_t i = 0; i < n; i++)
		signatures[i] = (uint32_t)*digests[i];
	rte_hash_lookup_with_hash_bulk_data(to_hash(map), (const void **)(uintptr_t)digests, signatures,
	    n, &hits, (void **)items);
	for (uint32_t i = 0; i < n; i++) {
		if (!(hits >> i & 1))
			items[i] = NULL;
		RACE_ACQUIRE(items[i]);
	}
}

struct item *
keymap_find(const struct keymap *map, uint64_t digest)
{
	void *item;

	if (rte_hash_lookup_with_hash_data(to_hash(map), &digest, (uint32_t)digest, &item) < 0)
		return NULL;
	RACE_ACQUIRE(item); /* rte_hash loads it with acquire, and stores it with release */
	return item;
}

uint32_t
keymap_position(const struct keymap *map, uint64_t digest)
{
	int32_t at = rte_hash_lookup_with_hash(to_hash(map), &digest, (uint32_t)digest);

	CHECK(at >= 0);
	return (uint32_t)at;
}

bool
keymap_put(struct keymap *map, uint64_t digest, struct item *item, uint32_t *position)
{
	CHECK(digest != 0);
	RACE_RELEASE(item);
	/* The data variant returns 0, not the position: ask again for that. */
	if (rte_hash_add_key_with_hash_data(to_hash(map), &digest, (uint32_t)digest, item) != 0)
		return false;
	*position = keymap_position(map, digest);
	return true;
}

void
keymap_replace(struct keymap *map, uint64_t digest, struct item *item)
{
	RACE_RELEASE(item);
	/* For a present key this only swaps the pointer, so it cannot lack room. */
	CHECK(rte_hash_add_key_with_hash_data(to_hash(map), &digest, (uint32_t)digest, item) == 0);
}

uint32_t
keymap_remove(struct keymap *map, uint64_t digest)
{
	int32_t at = rte_hash_del_key_with_hash(to_hash(map), &digest, (uint32_t)digest);

	CHECK(at >= 0);
	return (uint32_t)at;
}

void
keymap_free(struct keymap *map, uint32_t position)
{
	CHECK(rte_hash_free_key_with_position(to_hash(map), (int32_t)position) == 0);
}

struct item *
keymap_at(const struct keymap *map, uint32_t position, uint64_t *digest)
{
	void *key;

	/* Looks the stored key up again and succeeds only if it lives at this very position. */
	if (rte_hash_get_key_with_position(to_hash(map), (int32_t)position, &key) != 0)
		return NULL;
	memcpy(digest, key, sizeof *digest);
	return keymap_find(map, *digest);
}
