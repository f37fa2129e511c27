/*
 * body.h - a large value on its way in over a connection.
 *
 * Purpose: a storage command whose value is not whole yet (proto/stream.h) gets room for it, and the value's bytes go there
 *   as they come: into the item that will be published, when the key is this worker's; else into a block, which the
 *   owner is asked with. What has no room is swallowed, and answered with the reason.
 * Threads: the worker's lcore. Memory: blocks, and an item taken and not yet published (counted in the store's budget).
 * Invariants: 1. `item` is unpublished and nobody else's. 2. at most one body a connection.
 * Bounds: one a connection; each VALUE_LEN_MAX. A connection that ends gives all of it back.
 */
#ifndef SERVE_BODY_H
#define SERVE_BODY_H

#include "serve/serve.h"

enum { BODY_SWALLOW = 16384 };

struct stream_body {
	struct request request; /* its key stands in `key` */
	struct item *item;      /* NULL: none, or given away */
	uint8_t *block;         /* NULL: none */
	uint32_t size;          /* of this struct's own block */
	uint32_t len;           /* of the value */
	uint32_t filled;        /* bytes that have come */
	uint32_t given;         /* bytes of the room that the connection has been given and not filled yet; 0: none */
	uint8_t status;         /* enum op_status: why it is swallowed; OK: it is not */
	bool parsed;            /* its request is in a pass */
	uint8_t key[];
};

/* What a pass asked for. NULL: no memory even for that. */
struct stream_body *body_begin(struct serve *serve, const struct now *now, struct blocks *blocks,
    const struct stream_pass *pass) ON_WORKER;
/* Where the next bytes go, at least one; there are such left. Any room that is swallowed is the same for all connections. */
uint8_t *body_room(struct serve *serve, struct stream_body *body, uint32_t *len);
/* All of the value; data NULL: swallowed. */
struct view body_value(const struct stream_body *body);
/*
 * The first request of a pass is the body's, about to be run in this burst: it takes the item along, or is answered
 * why there is none. Nothing when it is none of this worker's business.
 */
void body_claim(struct serve *serve, struct stream_body *body, struct request *request, struct response *response) ON_WORKER;
void body_release(struct serve *serve, struct blocks *blocks, struct stream_body *body) ON_WORKER;

#endif
