/*
 * stats.h - figures of the node as text, and its topology as a value.
 *
 * Purpose: STATS and TOPOLOGY. Any worker answers for all: counters of every
 *   worker and shard are summed as they are read (relaxed; a figure may be a
 *   moment older than its neighbour).
 * Groups, named by the request's key: "" everything summed; "workers" each
 *   worker's place and counters, names prefixed by its number; "sockets" what
 *   listens on the NIC; "drops"; "store"; "memcached" and "memcached settings": the names memcached clients know.
 * Form: one "name value\n" a line; pages start at line `offset`.
 * Threads: the worker's lcore. Memory: the burst's scratch, SCRATCH_SIZE a burst;
 *   when it is used up, BUSY.
 */
#ifndef SERVE_STATS_H
#define SERVE_STATS_H

#include "serve/state.h"

void stats_execute(struct serve *serve, const struct now *now, const struct request *request,
    struct response *response);

void stats_topology(struct serve *serve, const struct request *request, struct response *response);

#endif
