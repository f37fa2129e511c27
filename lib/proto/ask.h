/*
 * ask.h - requests of a connection's pass that others are to run: another worker, or another node.
 *
 * Purpose: a pass whose requests are not all this worker's to run waits as a whole: those of others are asked for, all
 *   at once; when all have come home, the pass is run with their responses in place. So replies keep
 *   their order and nobody merges. The connection is paused meanwhile, its pass's bytes are kept here.
 * How: one deferred slot for each worker asked, and one for the control core, all naming this ask; a slot's `ops` says which
 *   requests are meant. Who runs one writes responses[i], and pins the item its value stands in or copies it into the
 *   slot's reply. The home worker lets go of both when it has composed the replies.
 *   For another node's requests the control core has asks of its own (cluster/forward.h), which its workers run likewise.
 * Threads: requests are written before the slots are mailed and read-only until all are home; responses[i] belongs to who has the
 *   slot that names i. The mailboxes' release/acquire hands them over.
 * Memory: a block of the home's, and another one with the pass's bytes.
 * Invariants: 1. responses[i].pins is NULL or holds one pin.
 * Bounds: blocks, and deferred slots; an ask that finds no slot waits for one, and its connection with it.
 */
#ifndef PROTO_ASK_H
#define PROTO_ASK_H

#include "base/turn.h"
#include "proto/request.h"
#include "proto/stream.h"

struct deferred;
struct stream_body;

struct ask {
	struct ask *next;          /* among those that wait for slots */
	struct connection id;      /* who waits */
	struct deferred *slots;    /* home again: values of responses may stand in their replies */
	uint64_t answered;         /* requests whose response is there */
	uint64_t ops;              /* asked for now; they are answered when all slots are home */
	uint32_t count;            /* requests of the pass */
	uint32_t out;              /* slots not home yet */
	uint32_t size, bytes_len;  /* of the blocks */
	bool ready;                /* nothing is left to be asked for */
	bool abandoned;            /* the connection is gone, and has left what follows */
	uint8_t service;           /* the pass's protocol */
	uint8_t *bytes;            /* the pass's input; NULL: empty */
	struct stream_state state;
	struct stream_body *body;
	struct request *requests;  /* views into bytes, blocks and items that stay */
	struct response *responses;
};

#endif
