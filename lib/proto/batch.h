/*
 * batch.h - requests of connections, and their responses, from one node to another as they are.
 *
 * Purpose: body of a call (proto/call.h) about requests that have no frame of their own: what protocols over streams ask
 *   can say more than the native protocol does, and keys and values are longer there.
 * Format, little-endian: a head of 16 bytes
 *    0 u8 version (1)  1 u8 0  2 u16 records  4 u32 0  8 u64 the sender's wall clock, ms
 *   and records one behind the other. Request:
 *    0 u32 length of the record, these 72 bytes included
 *    4 u8 index, its bit in the call's ops  5 u8 op  6 u16 flags  8 u16 slot  10 u16 key length
 *   12 u32 options  16 u32 value length  20 u32 client flags  24 u64 version  32 u64 expiry
 *   40 u64 delta  48 u64 initial  56 u64 handle  64 u32 offset  68 u32 length  72 key, value
 *   Response:
 *    0 u32 length of the record, these 48 bytes included
 *    4 u8 index  5 u8 status  6 u8 has_item  7 u8 state  8 u64 version  16 u64 expiry  24 u64 number
 *   32 u32 offset  36 u32 total length  40 u32 client flags  44 u32 value length  48 value
 * Time: points in time are the sender's; readers move them by the difference of both clocks, so that what is left of a
 *   lifetime stays what it was. Clocks no further apart than a way takes on a busy machine agree: then a time is what the
 *   client said, to the millisecond (PEXPIREAT, PEXPIRETIME).
 * Threads: any. Memory: borrowed; views die with the bytes.
 * Invariants: 1. readers never touch a byte outside. 2. a request that was read keeps request.h's invariants, names an
 *   operation that a node runs for another, and no flag of serve's own.
 */
#ifndef PROTO_BATCH_H
#define PROTO_BATCH_H

#include "base/bytes.h"
#include "base/now.h"
#include "proto/request.h"

enum {
	BATCH_VERSION = 1,
	BATCH_HEAD_LEN = 16,
	BATCH_REQUEST_LEN = 72,
	BATCH_RESPONSE_LEN = 48,
	BATCH_CLOCKS_AGREE_MS = 20,
};

static inline uint32_t
batch_request_size(const struct request *request)
{
	return BATCH_REQUEST_LEN + request->key.len + request->value.len;
}

static inline uint32_t
batch_response_size(const struct response *response)
{
	return BATCH_RESPONSE_LEN + response->value.len;
}

void batch_head_compose(struct writer *out, uint32_t records, struct now now);
void batch_request_compose(struct writer *out, uint32_t index, const struct request *request);
void batch_response_compose(struct writer *out, uint32_t index, const struct response *response);

struct batch_reader {
	struct reader in;
	uint32_t left;  /* records */
	int64_t ahead;  /* our wall clock less the sender's, ms */
};

/* False: of another version, or no batch. */
bool batch_open(struct batch_reader *batch, struct view bytes, struct now now);
/* The next one, its index in request->index; false at the end, and when the rest makes no sense (in.failed). */
bool batch_request_next(struct batch_reader *batch, struct request *request);
bool batch_response_next(struct batch_reader *batch, uint32_t *index, struct response *response);

#endif
