/*
 * request.h - what every protocol parses into, and composes from.
 *
 * Purpose: one execution path for all protocols. A parser turns bytes into
 *   `struct request`s; serve fills one `struct response` each; a composer turns
 *   them into bytes again.
 * Memory: views borrow from the frame (requests) or from an item under RCU
 *   (responses) and die at the end of the burst.
 * Invariants: 1. key.len is 1..KEY_LEN_MAX (RESP: RESP_KEY_LEN_MAX) for every operation
 *   that has a key (op_has_key). 2. value.len <= VALUE_LEN_MAX. 3. A request with op OP_NONE is
 *   not executed: its response is already decided by the parser (local).
 */
#ifndef PROTO_REQUEST_H
#define PROTO_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/view.h"

enum op_status {
#define OP_STATUS(suffix, number, name, text) OP_STATUS_##suffix = number,
#include "proto/op_status.def"
#undef OP_STATUS
};

const char *op_status_name(enum op_status status); /* "unknown" for a number without a name */
const char *op_status_text(enum op_status status);

/* Operations; the numbers are the native protocol's opcodes. */
enum op {
	OP_NONE = 0,
	OP_GET = 1,      /* with REQUEST_RANGE: version, offset, length; else offset 0 */
	OP_SET = 2,      /* REQUEST_ADD, REQUEST_REPLACE, REQUEST_CAS */
	OP_DELETE = 3,   /* REQUEST_CAS */
	OP_TOUCH = 4,
	OP_GAT = 5,      /* get and touch */
	OP_INCR = 6,     /* REQUEST_CREATE: initial and expiry when missing */
	OP_DECR = 7,
	OP_APPEND = 8,   /* REQUEST_CAS */
	OP_PREPEND = 9,  /* REQUEST_CAS */
	OP_META = 10,    /* version, expiry, flags, size; not the value; not a hit */
	OP_PING = 11,
	OP_TOPOLOGY = 12,
	OP_STATS = 13,   /* key names a group, may be empty; pages from line `offset` on */
	OP_UPLOAD_BEGIN = 14,
	OP_UPLOAD_CHUNK = 15,
	OP_UPLOAD_COMMIT = 16, /* REQUEST_ADD, REQUEST_REPLACE, REQUEST_CAS, as SET */
	OP_UPLOAD_ABORT = 17,
	OP_FLUSH = 18,   /* expiry_ms: when, 0 now */
	/* On the shard that `slot` names (slot mod workers), a part a call. */
	OP_KEYS = 19,    /* keys that begin with `key`, from `handle` on, `length` of them at most */
	OP_EVICT = 20,   /* `length` items go, by the store's own rule */
	OP_EXPIRE = 21,  /* what has expired is taken back, from `handle` on */
	OP_COUNT,
	OP_ANSWERED = OP_COUNT, /* serve: another node has answered; the response is there */
	/* Not in the native protocol: for protocols over streams, and between nodes on their behalf. */
	OP_SETRANGE,     /* value at `offset`, zeros before it; creates */
	/*
	 * The key's version is `version` (0: there is none); with REQUEST_COMPARE, its value is `value`. If not, the `length`
	 * requests behind it are not run and answered CHANGED. They are of the guard's own worker (the parser's part).
	 */
	OP_GUARD,
	OP_END,
};

const char *op_name(enum op op); /* "get", ...; "unknown" for a number without a name */

enum request_flag {
	REQUEST_ADD = 1,       /* SET, UPLOAD_COMMIT only when missing */
	REQUEST_REPLACE = 2,   /* SET, UPLOAD_COMMIT, SIGNED INCR only when present */
	REQUEST_CAS = 4,       /* only when the version is `version` */
	REQUEST_CREATE = 8,    /* INCR, DECR: create from `initial` when missing */
	REQUEST_RANGE = 16,    /* GET: from `offset` of `version` */
	REQUEST_ONCE = 32,     /* (client, sequence) names this write: at most once */
	REQUEST_FOREIGN = 64,  /* serve: belongs to another worker, mailed; no response here */
	REQUEST_TRUST_SLOT = 128, /* slot came from the wire; a miss recomputes it, a write verifies it */
	/* memcached meta: the rest of what changes execution */
	REQUEST_NO_VALUE = 256, /* GET: hit or miss only */
	REQUEST_KEEP_WIDTH = 512, /* INCR, DECR in memcached's way: see memcached.h */
	REQUEST_NO_BUMP = 1024, /* GET: not to be counted for eviction */
	/* a cluster */
	REQUEST_WITH_TTL = 2048, /* GET, GAT of another node: the answer tells the time left */
	REQUEST_SLOT_KNOWN = 4096, /* serve has computed the slot */
	REQUEST_STATE = 8192, /* GET, GAT: `options` are read, and the response tells the item's state (memcached meta) */
};

/* What protocols over streams ask beyond request_flag; `options` is only read of operations other than a plain GET. */
enum request_option {
	REQUEST_OLD = 1,          /* SET, DELETE: answer with the value that was there (RESP: SET GET, GETDEL) */
	REQUEST_KEEP_TTL = 2,     /* SET, GAT; DELETE with STALE: the present expiry stays */
	REQUEST_COMPARE = 4,      /* DELETE, TOUCH, SET: only when the present value is `value`; SET: or when there is none, without REPLACE */
	REQUEST_TTL_NONE = 8,     /* TOUCH: only without expiry */
	REQUEST_TTL_SOME = 16,    /* TOUCH: only with one */
	REQUEST_TTL_LATER = 32,   /* TOUCH: only when the new expiry is later (no expiry is the latest) */
	REQUEST_TTL_EARLIER = 64, /* TOUCH: only when it is earlier */
	REQUEST_SIGNED = 128,     /* INCR: by the signed `delta`; a missing key counts as 0, without REPLACE; keeps the expiry; overflow is an error */
	REQUEST_FLOAT = 256,      /* INCR: by the decimal number in `value`; the response's value is the new one's text */
	REQUEST_CREATE_EMPTY = 512, /* APPEND, PREPEND: a missing key counts as empty */
	REQUEST_ITEM = 1024,      /* SET and the like: the value stands in `item` already, which is published */
	/* memcached meta */
	REQUEST_STALE = 2048,     /* DELETE: mark as stale instead; SET: with CAS that is too old, store marked as stale */
	REQUEST_VIVIFY = 4096,    /* GAT: make an empty item with expiry `initial` when missing; it has the token to refill */
	REQUEST_RECACHE = 8192,   /* GET, GAT: of what ends a second before `handle` (wall ms), one reader gets the token */
	REQUEST_RENEW = 16384,    /* INCR, DECR: a number that is there has expiry `handle` from now on */
	/* RESP */
	REQUEST_TTL_ADD = 1 << 20, /* TOUCH: `expiry_ms` milliseconds are added to the present expiry (with TTL_SOME) */
	REQUEST_WIDE = 1 << 21,    /* KEYS: lengths of keys have two bytes, little-endian, and pages KEYS_WIDE_MAX */
	REQUEST_TALLY = 1 << 22,   /* KEYS: the shard's items are only counted, all at once */
	REQUEST_RANDOM = 1 << 23,  /* KEYS: any key; by `version`, a random number; `offset` 1: it stands at `handle` or behind */
	REQUEST_IN_SLOT = 1 << 24, /* KEYS: only keys of this very slot */
	REQUEST_PAST = 1 << 25,    /* TOUCH, GAT: an expiry that has passed deletes at once */
};

/* Bytes of a page of KEYS with REQUEST_WIDE: a key of RESP_KEY_LEN_MAX fits. */
enum { KEYS_WIDE_MAX = 16384 };

struct request {
	struct view key;
	uint64_t digest;      /* keyed hash; set by serve */
	uint16_t slot;        /* 0..16383 */
	uint16_t flags;       /* enum request_flag */
	uint8_t op;           /* enum op */
	uint8_t index;        /* position in its frame */
	uint8_t local;        /* OP_NONE: the protocol's own reply code */
	uint8_t verb;         /* the protocol's own command code, for its composer */
	/* Only for operations other than a plain GET: */
	struct view value;    /* SET, APPEND, PREPEND, UPLOAD_CHUNK */
	uint64_t version;     /* CAS, RANGE */
	uint64_t expiry_ms;   /* absolute wall ms; 0 never; SET, TOUCH, GAT, CREATE, FLUSH, UPLOAD_BEGIN */
	uint64_t delta;       /* INCR, DECR */
	uint64_t initial;     /* CREATE; VIVIFY: expiry */
	uint64_t handle;      /* UPLOAD_*; KEYS, EXPIRE: cursor; RECACHE, RENEW: wall ms */
	uint64_t client;      /* ONCE */
	uint64_t sequence;    /* ONCE */
	uint64_t floor;       /* ONCE: sequences below it are settled and will not come again */
	uint32_t client_flags;
	uint32_t offset;      /* RANGE, UPLOAD_CHUNK, TOPOLOGY: bytes; STATS: lines */
	uint32_t length;      /* RANGE: most bytes wanted; UPLOAD_BEGIN: total length; KEYS, EVICT: most items */
	uint32_t text_at;     /* memcached, RESP: where in the datagram or pass the command starts */
	uint32_t options;     /* enum request_option */
	struct item *item;    /* REQUEST_ITEM: unpublished, of the shard's own arena */
};

/* Of an item before the request: memcached's meta commands. */
enum response_state {
	RESPONSE_FETCHED = 1,    /* it was read since it was stored */
	RESPONSE_STALE = 2,
	RESPONSE_TOKEN_SENT = 4, /* another reader was told to refill it */
	RESPONSE_WON = 8,        /* this one is */
	RESPONSE_MADE = 16,      /* INCR, DECR: it was not there */
};

struct response {
	struct view key;      /* in the item, when there is one: the frame may be overwritten */
	struct view value;    /* in the item (GET, GAT), in serve's scratch (STATS, TOPOLOGY, KEYS) */
	uint64_t version;
	uint64_t expiry_ms;   /* absolute; 0 never */
	uint64_t number;      /* INCR, DECR: new value; UPLOAD_BEGIN: handle; KEYS, EXPIRE: next cursor, 0 at the end; META: uses of late */
	uint32_t offset;      /* where value starts in the whole value */
	uint32_t total_len;   /* of the whole value; STATS: number of lines; KEYS, EVICT, EXPIRE: items */
	uint32_t client_flags; /* KEYS, EVICT, EXPIRE: shards of the node */
	uint8_t status;       /* enum op_status */
	bool has_item;        /* version, expiry, flags, total_len and key are set */
	uint8_t state;        /* enum response_state, of what asked for it */
	uint16_t *pins;       /* of the item that value stands in; NULL: it stands elsewhere, until the burst ends */
};

/* Whether an operation names one key. */
static inline bool
op_has_key(enum op op)
{
	return (op >= OP_GET && op <= OP_META) || op == OP_UPLOAD_BEGIN || op == OP_SETRANGE || op == OP_GUARD;
}

/* Whether an operation changes the store, and so runs on its shard's owner. */
static inline bool
op_is_write(enum op op)
{
	return (op >= OP_SET && op <= OP_PREPEND) || (op >= OP_UPLOAD_BEGIN && op <= OP_UPLOAD_ABORT) ||
	    op == OP_SETRANGE || op == OP_GUARD;
}

/* Whether an operation is for one shard as a whole, which its slot names, and so runs on its owner. */
static inline bool
op_is_shard_job(enum op op)
{
	return op >= OP_KEYS && op <= OP_EXPIRE;
}

/* Whether an update executes twice with a different outcome and so is remembered. */
static inline bool
op_is_once(enum op op)
{
	return (op >= OP_SET && op <= OP_PREPEND) || op == OP_UPLOAD_COMMIT;
}

/*
 * One datagram parsed: a run of requests that are answered together.
 * The protocol's own header fields stay in here for its composer.
 */
struct frame {
	struct datagram *datagram;
	uint32_t first;       /* index of its first request in the burst's array */
	uint16_t count;       /* requests */
	uint8_t service;      /* enum service */
	uint8_t verdict;      /* native: enum native_verdict; others 0 */
	bool proven;          /* the source owns its address: replies may be larger than the request */
	bool authenticated;   /* native: carries a tag */
	bool travels;         /* memcached: goes on at worker `travel_to` from request `travel_from` */
	uint8_t travel_to;
	uint16_t travel_from;
	/* native */
	uint64_t client, sequence, cookie;
	uint32_t epoch;
	uint16_t boot;        /* the only one that may execute its writes; 0 any */
	/* memcached UDP */
	uint16_t request_id;
	/* streams */
	struct turn *turn;    /* the connection's; NULL: a datagram */
	struct view input;    /* the pass's bytes */
};

#endif
