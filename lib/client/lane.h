/*
 * lane.h - one worker of the node, as the client sees it: a socket, a cookie,
 *   and the operations in flight.
 *
 * Purpose: queue operations, pack them into frames, repeat what is overdue,
 *   match answers, and settle each operation exactly once.
 * How: operations have consecutive sequence numbers; operation i of a frame is
 *   `sequence + i`, and an answer names its frame and index, so that it finds
 *   its slot by number alone, whatever was lost, repeated or reordered. A
 *   repeated write keeps its number; the node executes a number at most once.
 *   The oldest unsettled number is the floor told to the node in `window`.
 * Threads: the handle's. Memory: all taken by lane_open; slots x 1.6 KiB.
 * Invariants: 1. floor <= unsent <= next, and next - floor <= size.
 *   2. A slot in [floor, next) is settled exactly when its sequence differs from
 *   its place. 3. in_flight counts the slots in [floor, unsent) not settled.
 *   4. Operations are sent only with a cookie (a probe fetches the first), and a
 *   write is never sent to a second boot of the node when the first may have run it.
 */
#ifndef CLIENT_LANE_H
#define CLIENT_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "client/slipring.h"
#include "proto/native.h"

enum {
	/* One operation's bytes: what a frame holds beside its header. */
	WIRE_MAX = UDP_PAYLOAD_MAX - NATIVE_HEADER_LEN,
	/* Shortest wait before a repeat: below it, a busy machine looks like loss. */
	RTO_US_MIN = 5000,
	RTO_US_MAX = 1000000,
	/* Operations in flight at first and at least; answers raise it, timeouts halve it. */
	CONGESTION_FIRST = 64,
	CONGESTION_MIN = 8,
};

/* How one operation ended; result is zero unless the node answered it. */
struct completion {
	enum slipring_status status;
	struct native_result result; /* its value borrows from the receive buffer */
	struct view key;             /* as sent; dies at the next submit */
	struct lane *lane;
	void *context;
	slipring_done done;          /* the application's, for run to call */
	uint32_t tag;                /* run's own */
};

typedef void (*lane_run)(struct slipring *handle, const struct completion *completion);

struct slot {
	uint64_t sequence;    /* differs from its place: settled */
	uint64_t deadline_ns;
	uint64_t due_ns;      /* when to send it (again) */
	uint64_t sent_ns;     /* last time */
	uint64_t frame;       /* sequence of operation 0 of the frame it last went in */
	lane_run run;
	void *context;
	slipring_done done;
	uint32_t tag;
	uint16_t wire_len;
	uint16_t key_len;
	uint8_t key_at;       /* where in wire the key starts */
	uint8_t op;           /* enum op */
	uint8_t tries;        /* times sent */
	uint16_t boot;        /* of the node when it was sent; 0 not sent */
	bool clean;           /* every send but the last came back unexecuted */
	bool refused;         /* so did the last */
	bool busy;            /* because the node was busy */
};

struct lane {
	struct slipring *handle;
	int fd;               /* connected; -1 not open */
	int network_error;    /* last errno of the socket, 0 none since the last answer */
	uint16_t port;
	uint16_t boot;        /* of the cookie */
	uint64_t cookie;      /* 0 none: only a probe may be sent */
	uint64_t probe_ns;    /* when to probe (again) */
	uint32_t probes;      /* since the last cookie */
	uint64_t client;
	uint64_t floor, unsent, next;
	uint64_t retry_ns;    /* no sent slot is due before */
	uint64_t backed_off_ns; /* congestion was last halved */
	uint32_t size, mask;
	uint32_t in_flight;
	uint32_t congestion;  /* operations allowed in flight */
	uint32_t threshold;   /* slow start ends */
	uint32_t grown;       /* answers counted towards the next step past threshold */
	uint32_t queued_bytes;
	uint64_t srtt_ns, rttvar_ns;
	struct slot *slots;
	uint8_t (*wires)[WIRE_MAX];
};

/* What to do with an operation that is queued. */
struct lane_order {
	lane_run run;
	void *context;
	slipring_done done;
	uint32_t tag;
};

/* Opens the socket to the handle's host; false with the handle's error set. */
bool lane_open(struct lane *lane, struct slipring *handle, uint16_t port);
/* Settles everything as CANCELLED, then closes and frees. */
void lane_close(struct lane *lane);

static inline uint32_t
lane_room(const struct lane *lane)
{
	return lane->size - (uint32_t)(lane->next - lane->floor);
}

static inline bool
lane_busy(const struct lane *lane)
{
	return lane->next > lane->floor;
}

/* Queues one operation; lane_room must not be 0. False: it does not fit a frame. */
bool lane_queue(struct lane *lane, const struct request *request, const struct lane_order *order,
    uint64_t now_ns);
/* Bytes of value one operation may carry up with this key. */
uint32_t lane_value_max(const struct lane *lane, const struct request *request);

/* Sends what was queued, as far as the congestion window allows. Runs no completion. */
void lane_push(struct lane *lane, uint64_t now_ns);
/* Gives up past deadlines, repeats what is overdue, probes if need be, then as lane_push. */
void lane_send(struct lane *lane, uint64_t now_ns);
/* Earliest time lane_send has something to do for what is queued or in flight; UINT64_MAX: nothing. */
uint64_t lane_deadline(const struct lane *lane);
/* One datagram of the lane's socket. */
void lane_receive(struct lane *lane, const uint8_t *payload, uint32_t len, uint64_t now_ns);
void lane_check(const struct lane *lane);

#endif
