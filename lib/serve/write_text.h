/*
 * write_text.h - writes that protocols over streams ask for beside write.h's: Redis' counters and ranges, and guards.
 *
 * Semantics: Redis 7.0's. A missing key counts as 0, or as empty; the expiry stays. A failed write leaves the old value.
 * Threads: the owner's lcore. Memory: shard_take; views into items, until the burst ends.
 */
#ifndef SERVE_WRITE_TEXT_H
#define SERVE_WRITE_TEXT_H

#include "serve/state.h"

/* INCR with REQUEST_SIGNED. NOT_FOUND: with REPLACE; NOT_A_NUMBER: the value is none; BAD_RANGE: the sum is none of 64 bits. */
void write_signed(struct serve *serve, const struct now *now, const struct request *request,
    struct response *response) ON_WORKER;
/* INCR with REQUEST_FLOAT. NOT_A_NUMBER: one of both is none; BAD_RANGE: the sum is infinite, or none. */
void write_float(struct serve *serve, const struct now *now, const struct request *request,
    struct response *response) ON_WORKER;
/* SETRANGE. */
void write_range(struct serve *serve, const struct now *now, const struct request *request,
    struct response *response) ON_WORKER;

/* What of SET's, DELETE's and TOUCH's options leads here. */
enum {
	WRITE_SET_OLD = REQUEST_OLD | REQUEST_KEEP_TTL | REQUEST_COMPARE,
	WRITE_DELETE_OLD = REQUEST_OLD | REQUEST_COMPARE,
	WRITE_TOUCH_IF = REQUEST_COMPARE | REQUEST_TTL_NONE | REQUEST_TTL_SOME | REQUEST_TTL_LATER | REQUEST_TTL_EARLIER |
	    REQUEST_TTL_ADD | REQUEST_PAST,
};

/*
 * SET with OLD, KEEP_TTL or COMPARE. NOT_STORED: ADD or REPLACE says no; EXISTS: the value is another. With OLD, has_item
 * tells whether there was a value, which the response has, also when it was not replaced.
 */
void write_set_old(struct serve *serve, const struct now *now, const struct request *request,
    struct response *response) ON_WORKER;
/* DELETE with OLD or COMPARE: as above. */
void write_delete_old(struct serve *serve, const struct now *now, const struct request *request,
    struct response *response) ON_WORKER;
/* TOUCH, GAT with a condition; an expiry that has passed deletes. NOT_STORED: the present expiry says no. */
void write_touch_if(struct serve *serve, const struct now *now, const struct request *request,
    struct response *response) ON_WORKER;

#endif
