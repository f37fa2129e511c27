/*
 * write_meta.h - what memcached's meta commands do to items beyond the classic ones, run by the owner.
 *
 * Purpose: items that are stale, or made empty so that one reader refills them (protocol.txt,
 *   "Stampeding herd", "Serve stale"); semantics of memcached 1.6.18.
 * Threads: the owner's lcore. Memory: shard_take; views into items, until the burst ends.
 */
#ifndef SERVE_WRITE_META_H
#define SERVE_WRITE_META_H

#include "serve/write.h"

/* GAT with STATE: mg with N or T. */
void write_meta_get(struct serve *serve, const struct now *now, const struct request *request,
    struct response *response) ON_WORKER;

/* DELETE with STALE: the item stays, marked, with a new version. */
void write_meta_mark_stale(struct serve *serve, const struct now *now, const struct request *request,
    const struct item *old, struct response *response) ON_WORKER;

/*
 * SET with CAS and STALE: of a version that is too old, the value is stored all the same, marked as stale. False: it is
 * not too old, or there is no item; an ordinary SET then.
 */
bool write_meta_set_stale(struct serve *serve, const struct now *now, const struct request *request,
    struct response *response) ON_WORKER;

#endif
