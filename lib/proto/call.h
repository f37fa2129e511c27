/*
 * call.h - operations that one node asks another to run, and what became of them.
 *
 * Purpose: bytes of the messages by which a key's owner is asked (cluster/forward.h). What is
 *   asked is a native request frame, as the client sent it or as a memcached command reads in
 *   native words; what is answered are native response frames.
 * Format, little-endian: records one behind the other, each
 *    0 u32 length of the record, these 40 bytes included
 *    4 u8 version (1)  5 u8 kind  6 u8 flags
 *    7 u8 call: how often it was forwarded (1); answer: enum op_status of the whole
 *    8 u64 call    the asker's number, copied by the answer
 *   16 u64 epoch   of the sender's ring
 *   24 u64 ops     bit i: operation i of the frame is asked for, or answered here
 *   32 u64 stale   answer: of `ops` those that were not run, as their keys are not the answerer's
 *   40 call: the request frame. Answer: response frames, each behind its length in two bytes.
 *   Kinds: 1 call, 2 answer; 3 and 4 are the same about requests of connections, and hold batches (proto/batch.h)
 *   of requests and of responses.
 *   An answer may hold some of a call's operations; the others come in another one. One whose
 *   status is not OK has no frames: nothing of `ops` was run.
 * Versions: a record of another version or kind is skipped by its length.
 * Threads: any. Memory: borrowed; views die with the message.
 * Invariants: 1. readers never touch a byte outside the message. 2. ops is not 0 and holds
 *   stale; a frame has 1..CALL_FRAME_MAX bytes.
 */
#ifndef PROTO_CALL_H
#define PROTO_CALL_H

#include "base/bytes.h"
#include "base/deferred.h"
#include "proto/request.h"

enum {
	CALL_VERSION = 1,
	CALL_RECORD_LEN = 40,
	CALL_FRAME_MAX = DEFERRED_PAYLOAD_MAX,
	CALL_HOPS_MAX = 1, /* a node that was asked never asks on */
};

enum call_kind { CALL_ASK = 1, CALL_ANSWER = 2, CALL_BATCH = 3, CALL_BATCH_ANSWER = 4 };

enum call_flag {
	CALL_INNER = 1, /* ask: for a memcached client: inner flags, and answers with the time left */
};

struct call_record {
	uint8_t kind;   /* enum call_kind */
	uint8_t flags;
	uint8_t hops;   /* ask */
	uint8_t status; /* answer: enum op_status */
	uint64_t call, epoch, ops, stale;
	struct view body;
};

/* The next record of this version; false at the end, and when the rest makes no sense (in->failed). */
bool call_record_next(struct reader *in, struct call_record *record);

/* Writes the 40 bytes of a record whose body of record->body.len bytes follows. */
void call_record_compose(const struct call_record *record, uint8_t out[CALL_RECORD_LEN]);

/*
 * The response frame that answers operations of a request frame (well-formed) with statuses:
 * of each in `ops`, by index. Not more than fits one frame. Cookie and epoch are 0; a tag's room is left.
 */
void call_statuses_compose(struct writer *out, struct view request, uint64_t ops, const uint8_t *statuses);

#endif
