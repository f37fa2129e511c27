/*
 * Model of the keymap leaf: chained hashing in C11 atomics, so that TSan sees
 * every access. Same header, same promises: one writer, readers without locks, a
 * removed position keeps its digest and its link until keymap_free.
 */
#include "store/keymap.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"

enum { NONE = UINT32_MAX };

struct slot {
	uint64_t digest; /* written only while unlinked and past its grace period */
	_Atomic(struct item *) item;
	_Atomic uint32_t next;
	uint32_t next_free;
	bool live;
};

struct keymap {
	uint32_t entries, bucket_mask;
	uint32_t first_free, last_free; /* a queue, like rte_hash's ring */
	struct slot *slots;
	_Atomic uint32_t heads[];
};

struct keymap *
keymap_create(uint32_t entries, struct error *error)
{
	struct keymap *map = calloc(1, sizeof *map + (entries + 1) * sizeof map->heads[0]);

	CHECK(entries >= KEYMAP_ENTRIES_MIN && (entries & (entries + 1)) == 0);
	if (map)
		map->slots = calloc(entries, sizeof map->slots[0]);
	if (!map || !map->slots) {
		free(map);
		error_set(error, STATUS_NO_MEMORY, "store: no memory for a table of %u entries", entries);
		return NULL;
	}
	map->entries = entries;
	map->bucket_mask = entries;
	for (uint32_t i = 0; i <= entries; i++)
		atomic_init(&map->heads[i], NONE);
	for (uint32_t i = 0; i < entries; i++)
		map->slots[i].next_free = i + 1 < entries ? i + 1 : NONE;
	map->last_free = entries - 1;
	return map;
}

void
keymap_destroy(struct keymap *map)
{
	free(map->slots);
	free(map);
}

static uint32_t
slot_of(const struct keymap *map, uint64_t digest)
{
	uint32_t at = atomic_load_explicit(&map->heads[digest & map->bucket_mask], memory_order_acquire);

	while (at != NONE && map->slots[at].digest != digest)
		at = atomic_load_explicit(&map->slots[at].next, memory_order_acquire);
	return at;
}

struct item *
keymap_find(const struct keymap *map, uint64_t digest)
{
	uint32_t at = slot_of(map, digest);

	return at == NONE ? NULL : atomic_load_explicit(&map->slots[at].item, memory_order_acquire);
}

void
keymap_find_bulk(const struct keymap *map, const uint64_t *const digests[], uint32_t n,
    struct item *items[])
{
	CHECK(n > 0 && n <= LOOKUP_BATCH_MAX);
	for (uint32_t i = 0; i < n; i++)
		items[i] = keymap_find(map, *digests[i]);
}

bool
keymap_put(struct keymap *map, uint64_t digest, struct item *item, uint32_t *position)
{
	_Atomic uint32_t *head = &map->heads[digest & map->bucket_mask];
	uint32_t at = map->first_free;
	struct slot *slot;

	CHECK(digest != 0 && slot_of(map, digest) == NONE);
	if (at == NONE)
		return false;
	slot = &map->slots[at];
	map->first_free = slot->next_free;
	if (map->first_free == NONE)
		map->last_free = NONE;
	slot->digest = digest;
	slot->live = true;
	atomic_store_explicit(&slot->item, item, memory_order_relaxed);
	atomic_store_explicit(&slot->next, atomic_load_explicit(head, memory_order_relaxed),
	    memory_order_relaxed);
	atomic_store_explicit(head, at, memory_order_release);
	*position = at;
	return true;
}

void
keymap_replace(struct keymap *map, uint64_t digest, struct item *item)
{
	uint32_t at = slot_of(map, digest);

	CHECK(at != NONE);
	atomic_store_explicit(&map->slots[at].item, item, memory_order_release);
}

uint32_t
keymap_position(const struct keymap *map, uint64_t digest)
{
	uint32_t at = slot_of(map, digest);

	CHECK(at != NONE);
	return at;
}

uint32_t
keymap_remove(struct keymap *map, uint64_t digest)
{
	_Atomic uint32_t *link = &map->heads[digest & map->bucket_mask];
	uint32_t at = atomic_load_explicit(link, memory_order_relaxed);

	while (at != NONE && map->slots[at].digest != digest) {
		link = &map->slots[at].next;
		at = atomic_load_explicit(link, memory_order_relaxed);
	}
	CHECK(at != NONE);
	/* The removed slot keeps its own link: a reader may stand on it. */
	atomic_store_explicit(link, atomic_load_explicit(&map->slots[at].next, memory_order_relaxed),
	    memory_order_release);
	map->slots[at].live = false;
	return at;
}

void
keymap_free(struct keymap *map, uint32_t position)
{
	CHECK(position < map->entries && !map->slots[position].live);
	map->slots[position].next_free = NONE;
	if (map->last_free == NONE)
		map->first_free = position;
	else
		map->slots[map->last_free].next_free = position;
	map->last_free = position;
}

struct item *
keymap_at(const struct keymap *map, uint32_t position, uint64_t *digest)
{
	const struct slot *slot = &map->slots[position];

	if (!slot->live)
		return NULL;
	*digest = slot->digest;
	return atomic_load_explicit(&slot->item, memory_order_relaxed);
}
