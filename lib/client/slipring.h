/*
 * slipring.h - libslipring, the client library of the Slipring cache.
 *
 * Purpose: get and store values on a Slipring node or cluster over its native UDP
 *   protocol: one operation at a time, or many in flight with completions. Of a cluster
 *   each operation goes to the node that owns its key, or round that one when it is silent.
 * Threads: one handle a thread. A handle may move to another thread, but two
 *   threads never use one at the same time. The library starts no threads and
 *   keeps no global state, so any number of handles may live side by side.
 * Memory: a handle takes 30 KiB per worker that it talks to, growing with the operations
 *   in flight up to window x 1.6 KiB (window: see options), plus at most
 *   SLIPRING_LARGE_MAX buffers of 1 MiB while values over one frame are on their way.
 *   Of a large cluster it keeps at most 128 idle workers, and talks to 512 at once.
 * Time: timeouts and TTLs say their unit in their name. TTLs are relative.
 * Reads may be retried freely. A write carries a client id and a sequence
 *   number, so that the node executes it at most once however often it is sent
 *   again; when the library cannot learn whether it was executed, it says
 *   SLIPRING_OUTCOME_UNKNOWN and never guesses.
 *
 * The smallest program:
 *
 *	struct slipring *cache = slipring_open("n1", NULL);
 *	struct slipring_result r;
 *	if (slipring_get(cache, "greeting", 8, &r) == SLIPRING_OK)
 *		fwrite(r.value, 1, r.value_len, stdout);
 *	else
 *		fprintf(stderr, "%s\n", slipring_error(cache));
 *	slipring_close(cache);
 */
#ifndef SLIPRING_H
#define SLIPRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SLIPRING_VERSION_MAJOR 0
#define SLIPRING_VERSION_MINOR 1

enum {
	SLIPRING_PORT = 7411,              /* UDP port of worker 0 */
	SLIPRING_KEY_MAX = 250,            /* bytes of a key; at least 1; any octets */
	SLIPRING_VALUE_MAX = 1 << 20,      /* bytes of a value; 0 is allowed */
	SLIPRING_APPEND_MAX = 1024,        /* bytes one append or prepend carries */
	SLIPRING_WINDOW_MAX = 4096,        /* operations in flight per worker */
	SLIPRING_LARGE_MAX = 4,            /* values over one frame on their way at once; more wait */
	SLIPRING_SHARED_KEY_LEN = 32,      /* bytes */
	SLIPRING_WORKERS_MAX = 16
};

/* TTL limit: a hundred years, in milliseconds. 0 means "never expires". */
#define SLIPRING_TTL_MS_MAX (100ull * 365 * 24 * 3600 * 1000)
/* ttl_ms of an item that never expires, in results of slipring_meta. */
#define SLIPRING_TTL_NEVER UINT64_MAX

/* How an operation ended. Below 64: the node's answer, numbered as on the wire. */
enum slipring_status {
	SLIPRING_OK = 0,
	SLIPRING_NOT_FOUND = 1,
	SLIPRING_EXISTS = 2,           /* cas: the item's version is not the one given */
	SLIPRING_NOT_STORED = 3,       /* add of a present key; replace, append, prepend of a missing one */
	SLIPRING_TOO_LARGE = 4,        /* value over the limit; found before sending where possible */
	SLIPRING_BAD_KEY = 5,          /* empty or over SLIPRING_KEY_MAX bytes */
	SLIPRING_BAD_REQUEST = 6,
	SLIPRING_UNKNOWN_OP = 7,       /* the node's version does not know this operation */
	SLIPRING_NOT_A_NUMBER = 8,     /* incr, decr of a value that is no unsigned decimal number */
	SLIPRING_OUT_OF_MEMORY = 9,    /* the node has no room even after evicting */
	SLIPRING_BUSY = 10,            /* the node was too busy until the deadline */
	SLIPRING_CHANGED = 11,         /* a large value kept changing while it was read */
	SLIPRING_OUTCOME_UNKNOWN = 12, /* a write: executed or not, nobody can tell any more */
	SLIPRING_WRONG_SLOT = 13,
	SLIPRING_STALE_EPOCH = 14,
	SLIPRING_UPLOAD_UNKNOWN = 15,  /* the node forgot a large value half way up */
	SLIPRING_BAD_RANGE = 16,
	SLIPRING_UNPROVEN = 17,
	SLIPRING_STALE_BOOT = 18,
	SLIPRING_UNSUPPORTED_VERSION = 19, /* the node speaks another protocol version */
	SLIPRING_UPLOAD_INCOMPLETE = 20, /* the node lacks parts of a large value; nothing was changed */
	SLIPRING_OWNER_DEAD = 21,      /* cluster: the key's node is dead, and its keys have no other yet; nothing was executed */
	SLIPRING_OWNER_TIMEOUT = 22,   /* cluster: the key's node did not answer the one asked; a write may have happened */
	SLIPRING_PARTIAL = 23,         /* cluster: some nodes did not take part */

	SLIPRING_TIMEOUT = 64,         /* no answer before the deadline; nothing was changed */
	SLIPRING_UNREACHABLE = 65,     /* as TIMEOUT, and the network said why (slipring_error) */
	SLIPRING_BAD_ARGUMENT = 66,    /* refused before sending; slipring_error names the argument */
	SLIPRING_WINDOW_FULL = 67,     /* submit: too many in flight; poll first */
	SLIPRING_NO_HOST = 68,         /* the host name does not resolve */
	SLIPRING_NO_MEMORY = 69,       /* this process has none */
	SLIPRING_CANCELLED = 70,       /* the handle is being closed */
	SLIPRING_BAD_REPLY = 71        /* the node answered something this library cannot read */
};

/* A short name ("not_found") and a sentence for a person; never NULL. Any thread. */
const char *slipring_status_name(enum slipring_status status);
const char *slipring_status_text(enum slipring_status status);

/* Fill with slipring_options_init, then change what is to differ. */
struct slipring_options {
	size_t size;               /* sizeof this struct; set by slipring_options_init */
	uint16_t port;             /* UDP port of worker 0, of hosts given without one; default SLIPRING_PORT */
	uint32_t try_timeout_us;   /* 100..60000000, default 200000: first wait for an answer; measured
	                              round trips shorten it, and each retry doubles it with jitter */
	uint32_t deadline_us;      /* at least try_timeout_us, default 2000000: then an operation gives
	                              up; for large values: without progress */
	uint32_t window;           /* 1..SLIPRING_WINDOW_MAX, default 256: operations in flight per worker */
	bool spin;                 /* default false: wait by spinning on the socket instead of sleeping */
	bool authenticate;         /* default false: sign frames with shared_key, and demand it back */
	uint8_t shared_key[SLIPRING_SHARED_KEY_LEN];
	uint64_t seed;             /* of retry jitter; default 0: random */
	uint32_t hedge_percent;    /* 0..50, default 0: at most so many reads in a hundred are asked of a second
	                              node as well, when the first is late; the first answer counts */
	uint32_t hedge_after_percent; /* 10..1000, default 100: late is a read that takes longer than so many
	                              percent of what 95 % of its owner's reads take */
};

void slipring_options_init(struct slipring_options *options);

struct slipring; /* a handle */

/*
 * Opens a handle to a node or a cluster: hosts is a name, an IPv4 or an IPv6 address, with ":port"
 * or without (an IPv6 address before a port is in brackets: [fd09::1]:7411; a name that has
 * addresses of both families is taken by IPv4), or up to 16 of them separated by commas: of a cluster any node will do, and
 * the first that answers is asked for the others. options may be NULL for the defaults.
 * Resolves the names, which may take its time; sends nothing yet: the first operation
 * makes contact. NULL only when memory is short; else slipring_ready, or the first
 * operation, tells what is wrong.
 */
struct slipring *slipring_open(const char *hosts, const struct slipring_options *options);
/* SLIPRING_OK, or why this handle cannot work: NO_HOST, BAD_ARGUMENT, UNREACHABLE (no socket). */
enum slipring_status slipring_ready(const struct slipring *handle);
/*
 * Completes what is in flight as SLIPRING_CANCELLED, then frees. Completions run;
 * what they submit is refused as SLIPRING_CANCELLED. NULL is allowed.
 */
void slipring_close(struct slipring *handle);
/* What the last failure on this handle was, in a sentence; "" when none. Valid until the next call. */
const char *slipring_error(const struct slipring *handle);

/* What came back. Fields that an operation does not return are zero. */
struct slipring_result {
	enum slipring_status status;
	const void *value;      /* get, gat, stats; borrowed, see below */
	size_t value_len;       /* bytes */
	size_t total_len;       /* meta: bytes of the value, which is not in the result */
	uint64_t version;       /* cas token of the item read or written */
	uint64_t ttl_ms;        /* meta: time left, or SLIPRING_TTL_NEVER */
	uint64_t number;        /* incr, decr: the new number */
	uint32_t flags;         /* get, gat, meta: the application's flags */
};

/*
 * Synchronous calls. Each waits for its own answer, deadline_us at most, and
 * returns result->status. result may be NULL where only the status matters.
 * result->value is valid until the next call on the handle. Completions of
 * operations submitted before may run meanwhile.
 * Errors common to all: BAD_KEY, BAD_ARGUMENT, TIMEOUT, UNREACHABLE, BUSY; for
 * writes OUTCOME_UNKNOWN instead of TIMEOUT once they may have been executed.
 */
enum slipring_status slipring_get(struct slipring *handle, const void *key, size_t key_len,
    struct slipring_result *result);
/* Get, and set a new TTL (0: never expires). */
enum slipring_status slipring_gat(struct slipring *handle, const void *key, size_t key_len,
    uint64_t ttl_ms, struct slipring_result *result);
/* Stores; value_len 0..SLIPRING_VALUE_MAX; ttl_ms 0: never expires, else up to SLIPRING_TTL_MS_MAX. */
enum slipring_status slipring_set(struct slipring *handle, const void *key, size_t key_len,
    const void *value, size_t value_len, uint32_t flags, uint64_t ttl_ms,
    struct slipring_result *result);
/* Stores only when the key is missing; else NOT_STORED. */
enum slipring_status slipring_add(struct slipring *handle, const void *key, size_t key_len,
    const void *value, size_t value_len, uint32_t flags, uint64_t ttl_ms,
    struct slipring_result *result);
/* Stores only when the key is present; else NOT_STORED. */
enum slipring_status slipring_replace(struct slipring *handle, const void *key, size_t key_len,
    const void *value, size_t value_len, uint32_t flags, uint64_t ttl_ms,
    struct slipring_result *result);
/* Stores only when the item's version is still `version`; else EXISTS, or NOT_FOUND. */
enum slipring_status slipring_cas(struct slipring *handle, const void *key, size_t key_len,
    const void *value, size_t value_len, uint32_t flags, uint64_t ttl_ms, uint64_t version,
    struct slipring_result *result);
/* version 0: whatever it is; else only that version, or EXISTS. */
enum slipring_status slipring_delete(struct slipring *handle, const void *key, size_t key_len,
    uint64_t version);
enum slipring_status slipring_touch(struct slipring *handle, const void *key, size_t key_len,
    uint64_t ttl_ms);
/* Adds to an unsigned decimal number and wraps at 2^64; NOT_FOUND when missing. */
enum slipring_status slipring_incr(struct slipring *handle, const void *key, size_t key_len,
    uint64_t delta, struct slipring_result *result);
/* Subtracts; stops at 0. */
enum slipring_status slipring_decr(struct slipring *handle, const void *key, size_t key_len,
    uint64_t delta, struct slipring_result *result);
/* As incr, but a missing key is created with `initial` (delta is then not added). */
enum slipring_status slipring_incr_create(struct slipring *handle, const void *key, size_t key_len,
    uint64_t delta, uint64_t initial, uint64_t ttl_ms, struct slipring_result *result);
/* Up to SLIPRING_APPEND_MAX bytes at the end, or at the start, of a present value. */
enum slipring_status slipring_append(struct slipring *handle, const void *key, size_t key_len,
    const void *value, size_t value_len, struct slipring_result *result);
enum slipring_status slipring_prepend(struct slipring *handle, const void *key, size_t key_len,
    const void *value, size_t value_len, struct slipring_result *result);
/* Version, TTL left, flags and size, without the value and without counting as a read. */
enum slipring_status slipring_meta(struct slipring *handle, const void *key, size_t key_len,
    struct slipring_result *result);
/* One round trip to worker `worker` (0 when in doubt) of the host first reached. */
enum slipring_status slipring_ping(struct slipring *handle, unsigned worker);
/* Statistics of the host first reached as lines "name value\n"; group "" or NULL for the general ones. */
enum slipring_status slipring_stats(struct slipring *handle, const char *group,
    struct slipring_result *result);

/* What TOPOLOGY said, of the host first reached. */
struct slipring_topology {
	uint32_t epoch;                          /* of the ring */
	uint32_t slot_count;                     /* 16384 */
	uint32_t worker_count;
	uint16_t ports[SLIPRING_WORKERS_MAX];    /* UDP port of each worker */
};

/* Asks, and goes by the answer; *topology is filled with SLIPRING_OK only. */
enum slipring_status slipring_topology(struct slipring *handle, struct slipring_topology *topology);
/* Slot 0..16383 of a key, CRC-16 of the key or of its {tag}, as Redis Cluster has it. Any thread. */
unsigned slipring_slot(const void *key, size_t key_len);

/*
 * A cluster, as a handle knows it. It learns the topology on its first operation and
 * again when a reply shows a newer epoch, an owner is silent, or an answer says STALE_EPOCH.
 */
struct slipring_cluster {
	uint32_t epoch;        /* of the topology in force; 0: none yet */
	uint32_t member_count; /* 0: a single node */
	uint32_t owner_count;  /* owners of each slot; 0 with a single node */
	uint32_t lanes;        /* workers talked to */
	uint64_t topologies;   /* that took effect */
	uint64_t failovers;    /* times that a node was found silent */
	uint64_t hedges;       /* reads asked of a second node as well */
	uint64_t hedge_wins;   /* of those, answered by the second first */
	uint64_t reserved[4];
};
void slipring_cluster(const struct slipring *handle, struct slipring_cluster *cluster);

/* A node that a handle knows. */
struct slipring_node {
	char host[64];         /* as given to slipring_open, or its address */
	uint64_t id;           /* doc/RING.md computes it of the node's name; 0: no topology named it */
	uint32_t slots;        /* of which it is the first owner */
	uint32_t rtt_us;       /* smoothed round trip time, 0 when unknown */
	uint32_t failures;     /* times in a row that it was found silent; 0: up, as far as known */
	uint32_t in_flight;    /* operations sent to it and not answered */
	uint16_t port;         /* UDP port of worker 0 */
	uint16_t index;        /* in versions */
	uint8_t worker_count;
	uint8_t state;         /* 1 alive, 2 suspected, 3 dead, 4 joining, 5 leaving, 6 left; 0: not told */
	uint8_t pad[2];
	uint64_t reserved[2];
};
/* Fills up to `size` entries; returns how many nodes are known, which may be more. Sends nothing. */
size_t slipring_nodes(const struct slipring *handle, struct slipring_node *nodes, size_t size);
/*
 * The owner of a key to whom the handle sends: rank 0 the first, 1 the next one. Asks for the
 * topology if there is none yet. NOT_FOUND: the key has no owner of that rank.
 */
enum slipring_status slipring_owner(struct slipring *handle, const void *key, size_t key_len, unsigned rank,
    struct slipring_node *node);

/* Operations for slipring_submit. */
enum slipring_op {
	SLIPRING_OP_GET = 1,
	SLIPRING_OP_SET = 2,
	SLIPRING_OP_DELETE = 3,
	SLIPRING_OP_TOUCH = 4,
	SLIPRING_OP_GAT = 5,
	SLIPRING_OP_INCR = 6,
	SLIPRING_OP_DECR = 7,
	SLIPRING_OP_APPEND = 8,
	SLIPRING_OP_PREPEND = 9,
	SLIPRING_OP_META = 10,
	SLIPRING_OP_PING = 11
};

/* How a SET, DELETE, INCR or DECR differs from the plain one; at most one of them. */
enum slipring_mode {
	SLIPRING_PLAIN = 0,
	SLIPRING_ADD = 1,       /* SET */
	SLIPRING_REPLACE = 2,   /* SET */
	SLIPRING_CAS = 4,       /* SET, DELETE, APPEND, PREPEND: only when the version is `version` */
	SLIPRING_CREATE = 8     /* INCR, DECR: a missing key becomes `initial` with ttl_ms */
};

/*
 * Called once for each submitted operation, from within slipring_poll,
 * slipring_flush, slipring_close or a synchronous call on the same handle.
 * result and its value die when it returns. It may submit more operations; it
 * must not poll, flush, close or make synchronous calls on this handle.
 */
typedef void (*slipring_done)(void *context, const struct slipring_result *result);

/* One operation; zero what it does not use. */
struct slipring_request {
	enum slipring_op op;
	enum slipring_mode mode;
	const void *key;        /* copied at submit */
	size_t key_len;
	const void *value;      /* copied at submit when it fits a frame (1 KiB always does);
	                           else it must stay until the completion */
	size_t value_len;
	uint64_t ttl_ms;        /* SET, TOUCH, GAT, CREATE */
	uint64_t version;       /* CAS */
	uint64_t delta;         /* INCR, DECR */
	uint64_t initial;       /* CREATE */
	uint32_t flags;         /* SET: kept with the value for the application */
	slipring_done done;     /* may be NULL: the outcome is not wanted */
	void *context;
};

/*
 * Queues an operation. It is sent with the next poll, flush or synchronous
 * call, or as soon as a frame is full: as many as fit share one. OK means that
 * `done` will be called exactly once; anything else that it will not be:
 * WINDOW_FULL (poll, then submit again), BAD_KEY, TOO_LARGE, BAD_ARGUMENT.
 */
enum slipring_status slipring_submit(struct slipring *handle, const struct slipring_request *request);
/*
 * Sends what is queued, receives what has come, repeats what is overdue, runs
 * completions. Waits up to timeout_us for the first completion (0: not at
 * all). Returns how many operations are still in flight.
 */
size_t slipring_poll(struct slipring *handle, uint32_t timeout_us);
/* Polls until nothing is in flight. Every operation ends by its own deadline. */
void slipring_flush(struct slipring *handle);

/* One key of a multi-get; fill key and key_len. */
struct slipring_item {
	const void *key;
	size_t key_len;
	struct slipring_result result; /* value as below */
};

/*
 * Gets many keys in as few frames as they fit. Values are copied to buffer one
 * behind the other; when it is too small for one, that item's status is
 * TOO_LARGE and its total_len tells the size. Returns OK when every item has an
 * answer of the node (found or not), else the first failure.
 */
enum slipring_status slipring_mget(struct slipring *handle, struct slipring_item *items, size_t count,
    void *buffer, size_t buffer_size);

/* What a handle has done so far. */
struct slipring_counters {
	uint64_t frames_sent, frames_received;
	uint64_t operations;      /* completed */
	uint64_t retries;         /* operations sent again */
	uint64_t challenges;      /* cookies asked for and refreshed */
	uint64_t strays;          /* answers to nothing in flight: late or duplicated */
	uint64_t bad_frames;      /* unreadable, or with a wrong tag */
	uint32_t rtt_us;          /* smoothed round trip time of the first host's worker 0, 0 when unknown */
};
void slipring_counters(const struct slipring *handle, struct slipring_counters *counters);

/*
 * Writes the bytes of one request frame with these operations, for packet
 * generators and tests: no cookie, sequence 1. Returns its length, 0 when they
 * do not fit `size` or are invalid. No handle, any thread.
 */
size_t slipring_compose_frame(const struct slipring_request *requests, size_t count, uint64_t client,
    uint64_t cookie, void *frame, size_t size);

#ifdef __cplusplus
}
#endif

#endif
