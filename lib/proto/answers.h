/*
 * answers.h - other nodes' responses to operations of one memcached frame.
 *
 * Purpose: the control core fetches them before the frame is run; the worker that composes
 *   the reply takes them in place of its own (base/deferred.h).
 * Threads: as the slot's. Memory: in the slot's reply behind DEFERRED_REPLY_MAX, or lent by
 *   the core; views of the responses point behind the struct.
 */
#ifndef PROTO_ANSWERS_H
#define PROTO_ANSWERS_H

#include "base/limits.h"
#include "proto/request.h"

struct answers {
	uint64_t ops; /* bit i: operation i of the frame has its response here */
	struct response responses[FRAME_OPS_MAX];
};

#endif
