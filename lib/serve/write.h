/*
 * write.h - operations that change one key, run by the owner of its shard.
 *
 * Purpose: SET, DELETE, TOUCH, GAT, INCR, DECR, APPEND, PREPEND. Items are
 *   immutable once published, so every change makes a new item, but for a TOUCH
 *   that leaves the expiry as it is.
 * Semantics where memcached has the command: memcached 1.6.18's. A failed write
 *   leaves the old value.
 * Threads: the owner's lcore. Memory: shard_take; views into items, until the burst ends.
 */
#ifndef SERVE_WRITE_H
#define SERVE_WRITE_H

#include "serve/state.h"

/* Executes one write; fills the response. */
void write_execute(struct serve *serve, const struct now *now, const struct request *request,
    struct response *response) ON_WORKER;

/* What ADD, REPLACE and CAS of a request say about the present item (NULL: none); counts. */
enum op_status write_allowed(struct serve *serve, const struct request *request, const struct item *present);

/* Takes an item, or says in the response why not. */
struct item *write_take(struct serve *serve, const struct now *now, struct view key, uint32_t value_len,
    struct response *response) ON_WORKER;

/* Takes a new item like `old`, with room for value_len bytes, which the caller fills. */
struct item *write_take_like(struct serve *serve, const struct now *now, const struct item *old, uint32_t value_len,
    struct response *response) ON_WORKER;

/* Gives a present item another expiry; answers with it, for GAT with the value. */
void write_touch(struct serve *serve, const struct now *now, const struct request *request, struct item *old,
    uint64_t expiry_ms, struct response *response) ON_WORKER;

/* Publishes an item whose value and fields are set; answers with it. */
void write_publish(struct serve *serve, const struct now *now, struct item *item, uint64_t digest,
    struct response *response) ON_WORKER;

#endif
