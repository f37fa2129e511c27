/*
 * lane.h - one worker of a node, as the client sees it: a way there, and the
 *   operations in flight.
 *
 * Purpose: queue operations, pack them into frames, repeat what is overdue,
 *   match answers, and settle each operation exactly once.
 * How: operations have consecutive sequence numbers; operation i of a frame is
 *   `sequence + i`, and an answer names its frame and index, so that it finds
 *   its slot by number alone, whatever was lost, repeated or reordered. A
 *   repeated write keeps its number; the node executes a number at most once.
 *   The oldest unsettled number is the floor told to the node in `window`.
 *   When the node is down, the same numbers go by way of another one (`detour`), which
 *   passes them on: at-most-once is the owner's business, whoever brings the frame.
 * Threads: the handle's. Memory: taken by lane_create and as operations are queued,
 *   up to the window x 1.6 KiB.
 * Invariants: 1. floor <= unsent <= next, and next - floor <= size.
 *   2. A slot in [floor, next) is settled exactly when its sequence differs from
 *   its place. 3. in_flight counts the slots in [floor, unsent) not settled.
 *   4. Operations are sent only with a cookie (a probe fetches the first), and each write
 *   names the boot of its owner, the only one that may run it; another one only when
 *   every sending came back unexecuted.
 */
#ifndef CLIENT_LANE_H
#define CLIENT_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "client/path.h"
#include "client/slipring.h"
#include "proto/native.h"

enum {
	/* One operation's bytes: what a frame holds beside its header. */
	WIRE_MAX = NATIVE_FRAME_MAX - NATIVE_HEADER_LEN,
	/* Operations in flight at first and at least; answers raise it, timeouts halve it. */
	CONGESTION_FIRST = 64,
	CONGESTION_MIN = 8,
	/* Slots of a new lane; more when they are needed. */
	LANE_SLOTS_FIRST = 16,
};

/* How one operation ended; result is zero unless the node answered it. */
struct completion {
	enum slipring_status status;
	struct native_result result; /* its value borrows from the receive buffer */
	struct view key;             /* as sent; dies at the next submit */
	struct lane *lane;
	const struct node *by;       /* that answered; NULL nobody */
	uint32_t epoch;              /* of the answer */
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
	uint16_t boot;        /* of the owner when it was sent; 0 not sent, or not known */
	uint8_t said;         /* enum op_status that asks for the operation again: BUSY and the like; 0 none */
	bool clean;           /* every send but the last came back unexecuted */
	bool refused;         /* so did the last */
	bool told;            /* boot was told by an owner that refused it */
	bool turned;          /* due because its path changed, not because nobody answered */
	bool hedged;          /* a read that was asked of a second node as well */
};

struct lane {
	struct slipring *handle;
	struct node *node;    /* whose worker it leads to */
	uint32_t worker;
	struct path direct, detour; /* the second is closed unless in use */
	struct path *path;    /* the one in use */
	uint64_t client;
	uint64_t floor, unsent, next;
	uint64_t retry_ns;    /* no sent slot is due before */
	uint64_t early_ns;    /* a deadline before that of the oldest; UINT64_MAX none */
	uint64_t hedge_ns;    /* when a read may be due for a hedge; UINT64_MAX never */
	uint64_t backed_off_ns; /* congestion was last halved */
	uint64_t quantile_ns; /* 95 % of reads were answered sooner; 0 not known; with hedging only */
	uint64_t used;        /* handle's ticks when last queued to */
	uint32_t most;        /* slots that it may have: a power of two not below the window */
	uint32_t size, mask;  /* slots that it has */
	uint32_t in_flight;
	uint32_t congestion;  /* operations allowed in flight */
	uint32_t threshold;   /* slow start ends */
	uint32_t grown;       /* answers counted towards the next step past threshold */
	uint32_t queued_bytes;
	uint32_t pins;        /* uploads under way */
	uint16_t boot;        /* of the owner, as its own answers last had it; 0 unknown */
	bool active;          /* in the handle's list of lanes to look at */
	bool restless;        /* its path was found dead: another is to be had at once */
	bool own;             /* the refresh's: not the application's */
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

/* NULL with the handle's error set. */
struct lane *lane_create(struct slipring *handle, struct node *node, uint32_t worker, uint32_t window);
/* Settles everything as CANCELLED, then closes and frees. */
void lane_destroy(struct lane *lane);

/* Whether one more operation finds a slot; makes room if need be. */
bool lane_ready(struct lane *lane);

static inline bool
lane_busy(const struct lane *lane)
{
	return lane->next > lane->floor;
}

/* Queues one operation; lane_ready said yes. False: it does not fit a frame. */
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
/* One datagram of one of the lane's sockets. */
void lane_receive(struct path *path, const uint8_t *payload, uint32_t len, uint64_t now_ns);
/* The lane's path proved dead by the network itself: repeat at once, which finds another. */
void lane_turn(struct lane *lane, uint64_t now_ns);
/* Moves what another lane leads to its owner by now, as far as it certainly was not executed. */
void lane_reroute(struct lane *lane);
/* The way through another node, if there is one, ends. */
void lane_detour_close(struct lane *lane);
void lane_check(const struct lane *lane);

#endif
