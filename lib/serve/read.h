/*
 * read.h - operations that change nothing: GET, ranges, META.
 *
 * Purpose: turns an item found, or its absence, into a response. Served by any
 *   worker for any shard, under RCU.
 * Threads: the worker's lcore. Memory: views into items, until the burst ends.
 */
#ifndef SERVE_READ_H
#define SERVE_READ_H

#include "serve/state.h"

/* What a burst's reads came to; added to the counters once a burst. */
struct read_tally {
	uint64_t gets, hits, expired;
};

/* GET without RANGE, NO_VALUE or STATE: the path that must stay short. */
static inline ON_WORKER void
read_get(struct read_tally *tally, const struct item *item, struct response *response)
{
	tally->gets++;
	if (__builtin_expect(!item, 0)) {
		response->value = view_of(NULL, 0);
		response->pins = NULL;
		response->status = OP_STATUS_NOT_FOUND;
		response->has_item = false;
		return;
	}
	tally->hits++;
	item_read(item);
	respond_item(response, item);
	response->value = item_value(item);
}

/*
 * Tells the item's state as it was before this request, and gives the token to refill it away
 * when it is stale, or ends too soon (RECACHE), and nobody has it yet.
 */
void read_state(const struct request *request, const struct item *item, struct response *response) ON_WORKER;

/*
 * GET with RANGE, NO_VALUE or STATE, and META. Only a read from offset 0 counts as a get. A range
 * that names version 0 takes any version: the first read of a value of unknown length.
 */
void read_other(struct read_tally *tally, const struct request *request, const struct item *item,
    struct response *response) ON_WORKER;

#endif
