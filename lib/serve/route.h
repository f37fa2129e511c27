/*
 * route.h - which operations of a burst belong to other nodes.
 *
 * Purpose: between parse and run, in a cluster only. An operation whose slot another member
 *   owns is taken out of the burst: its frame is mailed to the control core in a slot, once
 *   for all owners (base/deferred.h). What stays is run as on a single node, which pays one
 *   branch a burst for all of this.
 *   Native: results of own keys are answered at once, the others when they have come.
 *   memcached: the reply is one stream in order, so the frame waits before anything of it is
 *   run, and takes the answers from its slot afterwards.
 *   A flush is every member's: it runs here in its turn and is mailed as well.
 *   A frame of another node (`forwarded`) is never mailed again: what is not ours in it is
 *   named in the slot's `stale`.
 * Which slot counts: the one on the wire, unless it leads to another node; then the key's,
 *   as a slip must not send a key to a node that does not have it.
 * Threads: the worker's lcore. Memory: the ring is read under RCU.
 */
#ifndef SERVE_ROUTE_H
#define SERVE_ROUTE_H

#include "serve/state.h"

void route_burst(struct serve *serve, struct burst *burst) ON_WORKER;

/* Whether another node owns a slot: for the rare look at one more slot of a request. */
bool route_is_away(const struct serve *serve, uint16_t slot);

/* A cache whose node is dead has nothing: a get is a miss, and says so in the counters. */
void route_miss_dead(struct serve *serve, const struct request *request, struct response *response);

#endif
