/*
 * native.h - native UDP protocol v1: bytes <-> requests and responses, both sides.
 *
 * Purpose: the server parses requests and composes responses; the client
 *   library composes requests and parses responses. doc/PROTOCOL.md is the
 *   specification, byte by byte; all integers are little-endian.
 * Threads: any; no state. Memory: borrowed.
 *
 *  Frame header, 40 bytes:
 *    0 u16 magic 0x5253 ("SR")      8 u64 client    id of the client, random; 0: no uploads, and writes
 *    2 u8  version 1                                are not remembered: a retry may execute again
 *    3 u8  flags                   16 u64 sequence  of operation 0; operation i has sequence + i
 *    4 u8  op_count 1..64          24 u64 cookie    high 16 bits boot id, 48 bits MAC; 0 none
 *      (responses: 0 with error)   32 u32 epoch     ring epoch the sender knows; 0 none
 *    5 u8  error (responses)       36 u32 window    requests: sequence - window is the floor
 *    6 u16 boot (requests)                          responses: 0
 *  boot: the only one that may run the frame's writes; 0: any. Where one was not run and
 *  the owner has another boot, it is not run either: STALE_BOOT, whose version is the boot.
 *
 *  Request operation, 12 bytes, then extras, key, value:
 *    0 u8 opcode  1 u8 flags  2 u16 slot  4 u16 key_len  6 u8 extras_len  7 u8 reserved 0  8 u32 value_len
 *    extras (extras_len is exactly their sum):
 *            GET: [RANGE: version u64, offset u32, length u32]
 *            SET: client_flags u32, ttl_ms u64, [CAS: version u64]     flags: one of ADD, REPLACE, CAS
 *            DELETE, APPEND, PREPEND: [CAS: version u64]
 *            TOUCH, GAT: ttl_ms u64
 *            INCR, DECR: delta u64, [CREATE: initial u64, ttl_ms u64]
 *            TOPOLOGY: offset u32 (bytes); STATS: offset u32 (lines)
 *            UPLOAD_BEGIN: client_flags u32, ttl_ms u64, total_len u32
 *            UPLOAD_CHUNK: handle u64, offset u32;  UPLOAD_ABORT: handle u64
 *            UPLOAD_COMMIT: handle u64, [CAS: version u64]              flags: as SET
 *            FLUSH: delay_ms u64 (0 now)
 *            KEYS: cursor u64, limit u32;  EVICT: count u32;  EXPIRE: cursor u64
 *    ttl_ms: relative, 0 never. Slot: of the key, or NATIVE_SLOT_NONE and the server
 *    computes it. Upload operations after BEGIN carry no key but the key's slot, never
 *    NONE. KEYS carries a prefix of keys, and like EVICT and EXPIRE a slot that names a
 *    worker's shard. Other operations without a key have slot 0.
 *
 *  Response operation, 16 bytes, then extras, value:
 *    0 u8 opcode  1 u8 status  2 u8 index  3 u8 extras_len  4 u32 value_len  8 u64 version (0 none)
 *    extras, only with status OK: GET, GAT: client_flags u32, total_len u32
 *            META: client_flags u32, total_len u32, ttl_ms u64 (left; all ones: never)
 *            INCR, DECR: number u64;  UPLOAD_BEGIN: handle u64
 *            TOPOLOGY: total_len u32 (bytes); STATS: total_len u32 (lines)
 *            KEYS, EVICT, EXPIRE: next cursor u64 (0: the end), items u32, shards of the node u32
 *    value of KEYS: keys, each behind its length in one byte
 *
 *  With flag AUTH the frame ends with a 16-byte tag: keyed MAC of all bytes before it.
 *  A tagged request has tagged responses.
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
	/*
	 * Most bytes of a frame that we send, tag included, by whichever family: what fits an Ethernet frame behind IPv6
	 * headers. Owners answer for clients whom another node knows, so one limit for all is what cannot be wrong; it
	 * costs IPv4 20 bytes. Up to UDP_PAYLOAD_MAX is received.
	 */
	NATIVE_FRAME_MAX = MTU - IPV6_HEADER_LEN - UDP_HEADER_LEN,
	NATIVE_REQUEST_OP_LEN = 12,
	NATIVE_RESPONSE_OP_LEN = 16,
	/* Slot of a request whose sender cannot compute it. */
	NATIVE_SLOT_NONE = 0xffff,
	/* A boot that no node has: whoever names it only asks for the owner's. */
	NATIVE_BOOT_NOBODY = 0xffff,
	/* Most value bytes of a GET in one response frame, and of an UPLOAD_CHUNK in one
	 * request frame; NATIVE_TAG_LEN less when the frame is tagged. */
	NATIVE_GET_VALUE_MAX = NATIVE_FRAME_MAX - NATIVE_HEADER_LEN - NATIVE_RESPONSE_OP_LEN - 8,
	/* Most value bytes of KEYS: never cut, tagged or not. */
	NATIVE_KEYS_MAX = NATIVE_FRAME_MAX - NATIVE_HEADER_LEN - NATIVE_RESPONSE_OP_LEN - 16 - NATIVE_TAG_LEN,
	NATIVE_CHUNK_MAX = NATIVE_FRAME_MAX - NATIVE_HEADER_LEN - NATIVE_REQUEST_OP_LEN - 12,
};

enum native_flag {
	NATIVE_FLAG_RESPONSE = 1,
	NATIVE_FLAG_AUTH = 2,
	NATIVE_FLAG_CHALLENGE = 4, /* response: nothing was executed; cookie is the one to use */
};

/* flags of an operation on the wire, request side; the same bits as enum request_flag */
enum native_op_flag {
	NATIVE_OP_ADD = 1,
	NATIVE_OP_REPLACE = 2,
	NATIVE_OP_CAS = 4,
	NATIVE_OP_CREATE = 8,
	NATIVE_OP_RANGE = 16,
	/*
	 * Between nodes only (deferred->inner), for what a memcached command says beyond native ones;
	 * a GET and a GAT are then answered with 8 bytes of extras more, the time left as in META.
	 */
	NATIVE_OP_NO_VALUE = 32,   /* GET */
	NATIVE_OP_EXPIRED = 32,    /* SET, TOUCH, GAT: the item is to be past its time already */
	NATIVE_OP_KEEP_WIDTH = 64, /* INCR, DECR */
	NATIVE_OP_NO_BUMP = 128,   /* GET */
	NATIVE_OP_INNER = 32 | 64 | 128,
};

struct native_header {
	uint8_t version, flags, op_count, error; /* error: enum op_status */
	uint64_t client, sequence, cookie;
	uint32_t epoch, window;
	uint16_t boot; /* requests: the only one that may execute the writes; 0 any */
};

/* The boot a cookie was given in; 0 for no cookie. */
static inline uint16_t
native_cookie_boot(uint64_t cookie)
{
	return (uint16_t)(cookie >> 48);
}

/* What parsing a frame came to. */
enum native_verdict {
	NATIVE_OK = 0,
	NATIVE_MALFORMED,       /* shape wrong, reserved fields set: drop, or BAD_REQUEST when proven */
	NATIVE_WRONG_VERSION,   /* our magic, another version: answer UNSUPPORTED_VERSION */
	NATIVE_NO_REQUEST,      /* shorter than a header, another magic, or a response: always drop */
};

/*
 * Parses one request frame and fills *frame, but for `first`, which is the
 * caller's. On NATIVE_OK fills up to `size` (>= FRAME_OPS_MAX) requests and sets
 * frame->count. On any other verdict count is 0 and nothing is to be executed;
 * but for NATIVE_NO_REQUEST, client, sequence, cookie and epoch are set, so that a
 * refusal can be composed (authenticated is set when there is a tag to check).
 * A malformed operation in a frame whose lengths add up becomes an OP_NONE request
 * whose `local` is its enum op_status (BAD_REQUEST, BAD_KEY, TOO_LARGE, UNKNOWN_OP,
 * WRONG_SLOT); the others are executed. `verb` is the opcode as received.
 * REQUEST_TRUST_SLOT is set when the slot came from the wire (upload operations
 * after BEGIN always); otherwise slot is NATIVE_SLOT_NONE and serve computes it.
 * REQUEST_ONCE is set on op_is_once() operations unless client is 0. A plain GET
 * fills only the fields before `value`. With datagram->deferred set, only
 * operations in deferred->ops are returned.
 * Does not check cookie or tag: serve's admission does (admit.h).
 */
enum native_verdict native_parse(struct datagram *datagram, const struct now *now,
    struct frame *frame, struct request *requests, uint32_t size);

/* What the composer needs to know of the node. */
struct native_context {
	uint64_t cookie;  /* fresh, for this peer; sent in every response */
	uint32_t epoch;   /* of the ring */
	uint32_t refer_min; /* the last values of frames, from so many bytes (at least sizeof(struct pkt_tail)) on, are referred to (reply.tail_len); 0: all are copied */
};

/*
 * Composes the responses of one frame into its own packet and, when they do
 * not fit, into spares; appends to replies. Skips REQUEST_FOREIGN requests.
 * A value that does not fit a frame is cut: a GET's to what fits (value_len <
 * total_len, and the client pulls the rest by ranges), STATS' after a whole line.
 * When frame->authenticated, the last NATIVE_TAG_LEN bytes of every payload are
 * left for the caller to fill. Of a response only the fields that its status and
 * operation give a meaning are read; version only with has_item.
 * Returns how many replies were appended; 0 when all were foreign, and the packet
 * is then untouched. An operation for which no spare was left goes unanswered and
 * DROP_NO_SPARE counts it.
 * The requests' bytes may be overwritten: of requests only op, verb, local, flags
 * and index are read.
 */
uint32_t native_compose(const struct frame *frame, const struct native_context *context,
    const struct request *requests, const struct response *responses, const struct now *now,
    struct spares *spares, struct counters *counters, struct reply *replies);

/*
 * A response that executes nothing: challenge (UNPROVEN, STALE_BOOT), wrong version,
 * malformed frame. Returns its length: 40 bytes, with room for the tag 56 when
 * frame->authenticated; never more than the request had.
 */
uint16_t native_compose_refusal(const struct frame *frame, const struct native_context *context,
    enum op_status error, uint8_t *payload);

/* A response frame that another node has composed becomes this node's: its cookie and its epoch. */
void native_adopt(uint8_t *payload, const struct native_context *context);

/* Client side: writes the header; operations follow with native_request_compose. */
void native_header_compose(const struct native_header *header, uint8_t out[NATIVE_HEADER_LEN]);

/*
 * A response's header. False: too short, other magic, not a response, reserved fields
 * set, or op_count and error at odds. When version is not NATIVE_VERSION only version,
 * error, client and sequence are set, and only those may be believed.
 */
bool native_header_parse(struct view payload, struct native_header *header);

/* Bytes that native_request_compose will write for this request (op, flags, key, value set). */
size_t native_request_size(const struct request *request);

/*
 * Appends one request operation, or nothing and out->failed when it does not fit.
 * request->slot travels as it is. Expiry travels as ttl_ms = request->expiry_ms,
 * taken as relative here: clients need not share the server's clock.
 */
struct writer;
void native_request_compose(struct writer *out, const struct request *request);

/* One response operation parsed; value borrows from the payload. */
struct native_result {
	uint8_t op, status, index;
	uint64_t version;
	struct view value;
	uint32_t client_flags, total_len; /* total_len: GET, GAT, META, TOPOLOGY in bytes, STATS in lines; KEYS...: below */
	uint64_t ttl_ms; /* META, and inner GET and GAT; UINT64_MAX never */
	uint64_t number; /* INCR, DECR, UPLOAD_BEGIN */
	/* KEYS, EVICT, EXPIRE: number is the next cursor, total_len the items, client_flags the node's shards. */
};

/*
 * The next result, or false at the end or when malformed (in->failed). `in` holds
 * what is between header and tag. Extras longer than known are skipped.
 */
struct reader;
bool native_result_parse(struct reader *in, struct native_result *result);

/* The next key of KEYS' value; false at the end or when malformed (in->failed). */
bool native_keys_next(struct reader *in, struct view *key);

#endif
