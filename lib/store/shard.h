/*
 * shard.h - inside of one shard; only files of lib/store include it.
 *
 * Threads: the owner writes; `map`, `floor` and `store->flush` are read by
 *   every worker, figures by anyone (relaxed).
 * Invariants: 1. every item in `map` came from `arena` and is in no other table.
 *   2. an item leaves `map` before it is retired, and `arena` gets it back only
 *   after a grace period with pins == 0. 3. a position is freed together with
 *   the item that was removed from it. 4. arena_active + table_bytes <=
 *   budget_bytes. 5. items <= items_limit.
 */
#ifndef STORE_SHARD_H
#define STORE_SHARD_H

#include "base/version.h"
#include "store/arena.h"
#include "store/chain.h"
#include "store/expiry.h"
#include "store/keymap.h"
#include "store/s3fifo.h"
#include "store/store.h"

/* Evictions one SET may cost before it answers "out of memory". */
enum { EVICTIONS_PER_SET = 64 };

/*
 * Items that readers may still see: unlinked, waiting for a grace period. They go in and
 * out in order, so one stamp covers a batch: a stamp costs a full fence, which would
 * make every SET wait for its own cache misses.
 */
enum { RETIRE_BATCH = 64, RETIRE_STAMPS = 64 };

struct retire_stamp {
	uint64_t upto;          /* covers the items put before this many */
	uint64_t stamp;         /* reclaim_stamp() after the last of them was unlinked */
};

struct retire_list {
	struct chain chain;     /* records: item low, item high, position */
	struct chain_pool pool;
	uint64_t limit;         /* replaced items; removals always find room */
	uint64_t bytes;         /* sizes as allocated */
	uint64_t put, freed;    /* items ever */
	uint32_t first_stamp, stamp_count;
	struct retire_stamp stamps[RETIRE_STAMPS]; /* a ring, oldest first */
};

struct shard {
	/* set once */
	struct keymap *map;
	struct arena *arena;
	const struct flush *flush;  /* the store's */
	uint32_t entries;           /* positions of map */
	uint32_t items_limit;       /* 80 % of them */
	uint64_t budget_bytes;      /* this shard's part */
	uint64_t map_bytes;
	uint64_t floor; /* atomic: versions below were flushed */

	/* owner */
	struct version_clock clock __attribute__((aligned(64)));
	struct retire_list retired;
	struct s3fifo queue;
	struct expiry expiry;
	uint64_t wanted_bytes; /* a SET was refused for want of these; the tick makes room */
	uint64_t wanted_until_ms;
	uint64_t stale_floor;  /* items below this version, `stale` of them, were flushed and are here still */
	uint64_t stale;
	uint64_t swept_floor;  /* flushes up to this one were swept out */
	uint64_t sweep_floor;  /* the flush the sweep under way is for */
	uint32_t sweep_position;
	bool sweep_main;       /* which queue is thinned out next */
	bool cache_flushed;    /* nothing was taken since the arena's cache was emptied */

	/* figures: owner writes, anyone reads (relaxed) */
	uint64_t last_clock __attribute__((aligned(64)));
	uint64_t items, item_bytes, table_bytes, retired_count;
	uint64_t evictions, evictions_table_full, expired_reclaimed, total_items;
	uint64_t refused_memory, refused_retired;
} __attribute__((aligned(64)));

enum status shard_init(struct shard *shard, const struct store_config *config,
    const struct flush *flush, struct error *error) MUST_USE;
void shard_deinit(struct shard *shard);

/* Versions below this are flushed at wall_ms. Any thread. */
uint64_t shard_flushed_below(const struct shard *shard, uint64_t wall_ms);

/* Unlinks the item at a digest and retires it with its position. */
void shard_unlink(struct shard *shard, struct item *item, uint64_t digest);

/* Evicts one item, an expired one first; false when there is none. */
bool evict(struct shard *shard, const struct now *now);
/* Looks at up to `limit` positions whose time has come; returns how many items it took back. */
uint32_t evict_expired(struct shard *shard, const struct now *now, uint32_t limit);
/* Takes flushed and forgotten expired items back, `limit` positions a call, when there may be any. */
void evict_swept(struct shard *shard, const struct now *now, uint32_t limit);
/* Thins one chunk of a queue out when many of its entries are stale. */
void evict_sweep_queue(struct shard *shard);

enum { POSITION_NONE = UINT32_MAX };

enum status retire_init(struct retire_list *list, uint32_t positions, struct error *error) MUST_USE;
/* There is room for an item without position. */
bool retire_has_room(const struct retire_list *list);
void retire_put(struct retire_list *list, struct item *item, uint32_t position);
/* Asks for a grace period for what was put since the last stamp. Once a poll. */
void retire_stamp(struct retire_list *list);
/* Frees up to `limit` items whose grace period is over. */
void retire_free(struct shard *shard, uint32_t limit);

static inline void
figure_set(uint64_t *figure, uint64_t value)
{
	__atomic_store_n(figure, value, __ATOMIC_RELAXED);
}

static inline void
figure_add(uint64_t *figure, uint64_t n)
{
	figure_set(figure, __atomic_load_n(figure, __ATOMIC_RELAXED) + n);
}

static inline uint64_t
figure_read(const uint64_t *figure)
{
	return __atomic_load_n(figure, __ATOMIC_RELAXED);
}

/* As the arena counts it. */
static inline uint64_t
item_bytes(const struct item *item)
{
	return arena_rounded(item_size(item->key_len, item->value_len));
}

static inline bool
item_expired(const struct item *item, uint64_t wall_ms)
{
	uint64_t expiry_ms = item_expiry_ms(item);

	return expiry_ms != 0 && expiry_ms <= wall_ms;
}

#endif
