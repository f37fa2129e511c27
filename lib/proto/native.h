/*
 * native.h - native UDP protocol v1: bytes <-> requests and responses, both sides.
 *
 * Purpose: the server parses requests and composes responses; the client
 *   library composes requests and parses responses. doc/PROTOCOL.md is the
 *   specification, byte by byte; all integers are little-endian.
 * Threads: any; no state. Memory: borrowed.
 *
 *  Frame header, 40 bytes:
 *    0 u16 magic 0x5253 ("SR")      8 u64 client    id of the client, random
 *    2 u8  version 1               16 u64 sequence  of operation 0; operation i has sequence + i
 *    3 u8  flags                   24 u64 cookie    16 bits boot id | 48 bits MAC; 0 none
 *    4 u8  op_count                32 u32 epoch     ring epoch the sender knows; 0 none
 *    5 u8  error (responses)       36 u32 window    requests: sequence - window is the floor
 *    6 u16 reserved 0                               responses: 0
 *
 *  Request operation, 12 bytes then extras, key, value:
 *    0 u8 opcode  1 u8 flags  2 u16 slot  4 u16 key_len  6 u16 reserved  8 u32 value_len
 *    extras: GET with RANGE: version u64, offset u32, length u32
 *            SET: client_flags u32, ttl_ms u64, [version u64 with CAS]
 *            DELETE, APPEND, PREPEND: [version u64 with CAS]
 *            TOUCH, GAT: ttl_ms u64
 *            INCR, DECR: delta u64, [initial u64, ttl_ms u64 with CREATE]
 *            STATS: offset u32
 *            UPLOAD_BEGIN: client_flags u32, ttl_ms u64, total_len u32
 *            UPLOAD_CHUNK: handle u64, offset u32;  UPLOAD_COMMIT, UPLOAD_ABORT: handle u64
 *    ttl_ms: relative, 0 never. Upload operations after BEGIN carry no key but the slot.
 *
 *  Response operation, 16 bytes then extras, value:
 *    0 u8 opcode  1 u8 status  2 u8 index  3 u8 flags  4 u32 value_len  8 u64 version
 *    extras, only with status OK: GET, GAT: client_flags u32, total_len u32
 *            META: client_flags u32, total_len u32, ttl_ms u64 (left; all ones: never)
 *            INCR, DECR: number u64;  UPLOAD_BEGIN: handle u64;  STATS: total_len u32
 *
 *  With flag AUTH the frame ends with a 16-byte tag: keyed MAC of all bytes before it.
 */
#ifndef PROTO_NATIVE_H
#define PROTO_NATIVE_H

#include <stddef.h>

#include "base/now.h"
#include "base/pkt.h"
#include "proto/request.h"

enum {
	NATIVE_MAGIC = 0x5253,
	NATIVE_VERSION = 1,
	NATIVE_HEADER_LEN = 40,
	NATIVE_TAG_LEN = 16,
	NATIVE_REQUEST_OP_LEN = 12,
	NATIVE_RESPONSE_OP_LEN = 16,
};

enum native_flag {
	NATIVE_FLAG_RESPONSE = 1,
	NATIVE_FLAG_AUTH = 2,
	NATIVE_FLAG_CHALLENGE = 4, /* response: nothing was executed; cookie is the one to use */
};

/* flags of an operation on the wire, request side */
enum native_op_flag {
	NATIVE_OP_ADD = 1,
	NATIVE_OP_REPLACE = 2,
	NATIVE_OP_CAS = 4,
	NATIVE_OP_CREATE = 8,
	NATIVE_OP_RANGE = 16,
};

struct native_header {
	uint8_t version, flags, op_count, error; /* error: enum op_status */
	uint64_t client, sequence, cookie;
	uint32_t epoch, window;
};

/* What parsing a frame's header came to. */
enum native_verdict {
	NATIVE_OK = 0,
	NATIVE_MALFORMED,       /* not ours at all, or reserved fields set: drop, or an error when proven */
	NATIVE_WRONG_VERSION,   /* our magic, another version */
};

/*
 * Parses one request frame. On NATIVE_OK fills *frame and up to `size` requests
 * (FRAME_OPS_MAX are enough) and sets frame->count. A malformed operation
 * becomes an OP_NONE request whose `local` is its enum op_status (BAD_REQUEST,
 * BAD_KEY, TOO_LARGE, UNKNOWN_OP); when lengths no longer lead anywhere, the
 * rest of the frame is one such request. With datagram->deferred set, only
 * operations in deferred->ops are returned.
 * Does not check cookie or tag: serve's admission does (admit.h).
 */
enum native_verdict native_parse(struct datagram *datagram, const struct now *now,
    struct frame *frame, struct request *requests, uint32_t size);

/* What the composer needs to know of the node. */
struct native_context {
	uint64_t cookie;  /* fresh, for this peer; sent in every response */
	uint32_t epoch;   /* of the ring */
	const uint8_t *key; /* shared key's MAC state is serve's: NULL, or room is left for a tag */
};

/*
 * Composes the responses of one frame into its own packet and, when they do
 * not fit, into spares; appends to replies. Skips REQUEST_FOREIGN requests.
 * A GET value that does not fit a frame is cut: value_len < total_len, and the
 * client pulls the rest by ranges. Returns how many replies were appended; an
 * operation for which no spare was left goes unanswered and DROP_NO_SPARE counts it.
 * The requests' bytes may be overwritten: nothing of them is used after the
 * first byte is written but opcode and index.
 */
uint32_t native_compose(const struct frame *frame, const struct native_context *context,
    const struct request *requests, const struct response *responses, const struct now *now,
    struct spares *spares, struct counters *counters, struct reply *replies);

/* A response that executes nothing: challenge, wrong version, stale boot. 40 bytes. */
uint16_t native_compose_refusal(const struct frame *frame, const struct native_context *context,
    enum op_status error, uint8_t *payload);

/* Client side: writes the header; operations follow with native_request_op. */
void native_header_compose(const struct native_header *header, uint8_t out[NATIVE_HEADER_LEN]);
bool native_header_parse(struct view payload, struct native_header *header);

/* Bytes that native_request_op will write for this request (flags, key, value set). */
size_t native_request_size(const struct request *request);

/*
 * Appends one request operation. Expiry travels as ttl_ms = request->expiry_ms,
 * taken as relative here: clients need not share the server's clock.
 */
struct writer;
void native_request_compose(struct writer *out, const struct request *request);

/* One response operation parsed; value borrows from the payload. */
struct native_result {
	uint8_t op, status, index, flags;
	uint64_t version;
	struct view value;
	uint32_t client_flags, total_len;
	uint64_t ttl_ms; /* META; UINT64_MAX never */
	uint64_t number; /* INCR, DECR, UPLOAD_BEGIN */
};

struct reader;
/* The next result, or false at the end or when malformed (in->failed). */
bool native_result_parse(struct reader *in, struct native_result *result);

#endif
