/*
 * store.h - the shards of a node: tables, memory, eviction, expiry.
 *
 * Purpose: any worker reads any shard under RCU; the owner alone writes it.
 * Threads: "owner" functions only on the shard's owner lcore; "reader"
 *   functions on any registered RCU reader (reclaim.h), and what they return
 *   lives until that reader's next quiescent state. No locks.
 * Memory: every item comes from its shard's arena; the budget bounds arenas'
 *   active pages + tables + uploads (items taken and not yet published).
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/now.h"
#include "base/roles.h"
#include "base/status.h"
#include "store/item.h"

struct store_config {
	uint32_t shard_count;        /* 1..WORKER_MAX */
	uint64_t memory_bytes;       /* budget of all shards together */
	uint64_t items_max;          /* all shards; 0: from memory and expected_item_size */
	uint32_t expected_item_size; /* bytes of key + value, for sizing tables */
	uint16_t node;               /* node index in versions, 0..1023 */
	uint8_t secret[16];          /* of the keyed hash; random per process */
	bool (*share)(void *memory, uint64_t len); /* makes items' pages known to devices (arena.h); NULL: none reads items */
};

struct store;
struct shard;

enum { SHARD_EVICT_MAX = 64 }; /* as many as one SET may evict */

enum store_result {
	STORE_OK = 0,
	STORE_NO_MEMORY, /* even after the evictions allowed */
	STORE_TOO_LARGE,
};

/* Creates all shards, or NULL with *error. Main thread, after EAL start. */
struct store *store_create(const struct store_config *config, struct error *error) MUST_USE ON_MAIN;
/* No reader or owner may be left. */
void store_destroy(struct store *store) ON_MAIN;
struct shard *store_shard(struct store *store, uint32_t index);
uint32_t store_shard_count(const struct store *store);

/* Bytes of DPDK memory that store_create needs for its tables, to size EAL's with. */
uint64_t store_table_bytes(const struct store_config *config);

/* Keyed digest of a key (SipHash-1-3 under the secret). Any thread. */
uint64_t store_digest(const struct store *store, struct view key);

/* A key to look up; shard = slot mod shard_count. */
struct lookup {
	struct view key;
	uint64_t digest;
	uint32_t shard;
};

/*
 * Reader. Looks up n <= LOOKUP_BATCH_MAX keys at once with prefetching;
 * items[i] is the live item (full key compared, not expired at now, not
 * flushed) or NULL; *expired gets bit i when a miss was an expired item.
 */
void store_find(const struct store *store, const struct now *now, const struct lookup *lookups,
    uint32_t n, const struct item **items, uint64_t *expired) ON_WORKER;

/* Reader. Counts a read for eviction: one relaxed store below saturation, else nothing. */
void item_read(const struct item *item) ON_WORKER;

/*
 * Any thread: everything stored before when_ms is gone from then on; 0, or what is past,
 * is now. Then whatever was stored before the call is gone when it returns, and whatever
 * is stored after it stays, though the workers' clocks may differ by FLUSH_SKEW_MS.
 */
void store_flush(struct store *store, const struct now *now, uint64_t when_ms);

/* Owner. The live item of a key, or NULL. */
struct item *shard_find(struct shard *shard, const struct now *now, struct view key, uint64_t digest) ON_WORKER;

/*
 * Owner. Takes memory for an unpublished item with key copied in, evicting
 * (expired first) while over budget. The caller fills value, flags and expiry.
 */
enum store_result shard_take(struct shard *shard, const struct now *now, struct view key,
    uint32_t value_len, struct item **item) MUST_USE ON_WORKER;
/* Owner. Gives an unpublished item back. */
void shard_give(struct shard *shard, struct item *item) ON_WORKER;

/*
 * Owner. Publishes an item under its key, replacing and retiring the present one, with a
 * fresh version (returned in item->version). A full table evicts first and counts it.
 * Fails only with STORE_NO_MEMORY; the item is then given back.
 */
enum store_result shard_publish(struct shard *shard, const struct now *now, struct item *item,
    uint64_t digest) MUST_USE ON_WORKER;

/* Owner. Removes and retires a published item found by shard_find. */
void shard_remove(struct shard *shard, struct item *item, uint64_t digest) ON_WORKER;

/*
 * Owner. Walks of all items, a part a call: a position belongs to one key from its first store
 * until it is removed, so who goes through all positions sees every key that was there all
 * the time. *position is where to go on, 0 at first, shard_positions() at the end; at most
 * *steps positions are looked at, and *steps is what is left of them.
 */
uint32_t shard_positions(const struct shard *shard);
/* Owner. Items that are there: not flushed; those that have expired count until they are taken back. */
uint64_t shard_live(struct shard *shard, const struct now *now) ON_WORKER;
/* The next live item, or NULL when steps or positions are used up. */
const struct item *shard_walk(struct shard *shard, const struct now *now, uint32_t *position, uint32_t *steps) ON_WORKER;
/* Takes back what has expired or was flushed; returns how many items. */
uint32_t shard_expire(struct shard *shard, const struct now *now, uint32_t *position, uint32_t *steps) ON_WORKER;
/* Owner. Evicts up to count (at most SHARD_EVICT_MAX) items by the store's own rule; returns how many. */
uint32_t shard_evict(struct shard *shard, const struct now *now, uint32_t count) ON_WORKER;

/*
 * Owner. Background work bounded by `steps`: frees what the grace period let
 * go, sweeps expired items. Call once a poll with a small budget, more when idle.
 */
void shard_tick(struct shard *shard, const struct now *now, uint32_t steps) ON_WORKER;

/*
 * Hands pages that hold no item back to the system when they are many. Items come and go without
 * it, inside the budget; the process only looks larger. Any thread that may wait for
 * some milliseconds, never a worker: the control loop calls it at every step.
 */
void store_trim(struct store *store);

/* Any thread; figures are relaxed snapshots. Sizes in bytes; figure.def tells what each is. */
struct shard_stats {
#define FIGURE(name, metric, type, text) uint64_t name;
#include "store/figure.def"
#undef FIGURE
};
void shard_stats(const struct shard *shard, struct shard_stats *stats);
/* All shards together. Any thread. */
void store_stats(struct store *store, struct shard_stats *sum);

#endif
