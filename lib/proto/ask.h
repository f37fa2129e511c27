/*
 * ask.h - requests of a connection's pass that others are to run: another worker, or another node.
 *
 * Purpose: a pass whose requests are not all this worker's to run waits as a whole: those of others are asked for, all
 *   at once; when all have come home, the pass is run with their responses in place. So replies keep
 *   their order and nobody merges. The connection is paused meanwhile, its pass's bytes are kept here.
 * How: one deferred slot for each worker asked, and one for the control core, all naming this ask; a slot's `ops` says which
 *   requests are meant. Who runs one writes responses[i], and pins the item its value stands in or copies it into the
 *   slot's reply. The home worker lets go of both when it has composed the replies.
 * Threads: requests are written before the slots are mailed and read-only until all are home; responses[i] belongs to who has the
 *   slot that names i. The mailboxes' release/acquire hands them over.
 * Memory: the home worker's table of asks; `bytes` is a block of its own.
 * Bounds: ASK_MAX a worker; when there is none left, the connection waits with its input unread.
 */
#ifndef PROTO_ASK_H
#define PROTO_ASK_H

#include "base/limits.h"
#include "base/turn.h"
#include "proto/request.h"

enum { ASK_MAX = 256 };

struct ask {
	struct ask *next_free;
	struct connection id;      /* who waits */
	uint64_t ops;              /* requests asked for */
	uint32_t count;            /* requests of the pass */
	uint32_t out;              /* slots not home yet */
	uint8_t service;           /* the pass's protocol */
	uint8_t *bytes;            /* a block with the pass's input */
	uint32_t bytes_len;
	struct request requests[FRAME_OPS_MAX];   /* views into bytes, blocks and items that stay */
	struct response responses[FRAME_OPS_MAX];
};

#endif
