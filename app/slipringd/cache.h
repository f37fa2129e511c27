/*
 * cache.h - the control plane's way to the cache: operations by native frames to the workers.
 *
 * Purpose: gets, stores, deletes and flushes for HTTP, values up to VALUE_LEN_MAX. The
 *   thread of this module asks the owner of each key by slots (local.h), a window of
 *   CACHE_WINDOW of them for large values: ranges of one version down, an upload up.
 * How: mail is not lost, so nothing is repeated; what came home unexecuted, for want of a
 *   packet to answer in, is BUSY. Without an answer for CACHE_PATIENCE_MS an operation ends as
 *   CACHE_TIMEOUT, its outcome unknown when it writes; its slots are taken back whenever
 *   they come home.
 * A job of many nodes is asked of all at once (`together`), so that one that does not answer
 *   costs its patience once.
 * Threads: cache_start and cache_stop on the main thread; cache_submit on any. Jobs run
 *   on the module's thread, one after the other, and `done` is called there.
 * Memory: a job's is its maker's; each value read is malloc'ed, the job's from then on.
 * Bounds: CACHE_JOBS_MAX jobs wait; more are refused. A job reads at most CACHE_JOB_BYTES
 *   of values; what goes beyond ends as TOO_LARGE.
 */
#ifndef SLIPRINGD_CACHE_H
#define SLIPRINGD_CACHE_H

#include "proto/request.h"
#include "slipringd/node.h"

enum { CACHE_WINDOW = 32, CACHE_PATIENCE_MS = 1000, CACHE_JOBS_MAX = 64, CACHE_RESTARTS = 3,
	CACHE_JOB_BYTES = 2 << 20 };

/* Beside enum op_status. */
enum { CACHE_TIMEOUT = 256 };

/* One operation; key and value are the maker's until `done`. */
struct cache_op {
	enum op op;            /* OP_GET, OP_META, OP_SET, OP_DELETE, OP_FLUSH, OP_KEYS, OP_EVICT, OP_EXPIRE */
	struct view key, value; /* KEYS: the prefix */
	uint64_t target;       /* FLUSH and those after it: id of the member that is to do it; 0: this node */
	uint16_t slot;         /* KEYS, EVICT, EXPIRE: names a shard */
	uint32_t limit;        /* KEYS, EVICT */
	uint64_t cursor;       /* KEYS, EXPIRE; afterwards where to go on, 0 at the end */
	uint16_t flags;        /* REQUEST_ADD, REQUEST_CAS */
	uint64_t version;      /* CAS; afterwards the item's */
	uint64_t ttl_ms;       /* SET: 0 never; afterwards, of GET and META, what is left, UINT64_MAX never */
	uint32_t client_flags; /* SET; afterwards the item's */
	/* afterwards */
	int status;            /* enum op_status, or CACHE_TIMEOUT */
	uint8_t *data;         /* GET: the value, KEYS: as native_keys_next() reads them; never NULL with status OK */
	uint32_t total_len;    /* GET, META, KEYS: bytes */
	uint32_t items, shards; /* KEYS, EVICT, EXPIRE: keys told or items gone; shards of that node */
};

struct cache_job {
	struct cache_op *ops;
	uint32_t count;
	bool together;         /* FLUSH and those after it: at most CACHE_WINDOW, asked at once and not one by one */
	void (*done)(struct cache_job *job);
	struct cache_job *next; /* the module's */
};

struct cache;

struct cache *cache_start(const struct node *node, struct error *error) MUST_USE;
/* Jobs that wait end as CACHE_TIMEOUT; later ones are refused. The struct stays until cache_free. */
void cache_stop(struct cache *cache);
void cache_free(struct cache *cache); /* NULL is nothing */

/* False: too many wait, or the module has stopped; `done` will not be called. */
bool cache_submit(struct cache *cache, struct cache_job *job);

#endif
