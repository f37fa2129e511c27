/*
 * deferred.h - an operation that cannot be answered at once.
 *
 * Purpose: one mechanism for a write to another worker's shard, a key of
 *   another node, and a quorum in flight. The slot copies its request, so it
 *   holds no RX buffer, and travels by pointer through the workers' mailboxes.
 * How: the home worker takes a slot, copies the datagram, names the operations
 *   that the other side is to run (`ops`) and mails it. The other worker feeds
 *   it through the same stages as a datagram from the wire and answers the
 *   peer itself, through its own NIC queue, from the UDP port that was asked;
 *   then the slot is mailed home and freed.
 *   Native frames: each result carries its operation's index, so a frame may
 *   be answered by several workers and nobody merges. memcached: one reply
 *   stream in order, so the slot travels: `first_op` says where to go on and
 *   `reply` holds the text composed so far.
 * Another node's keys: the slot is mailed to the control core (MAIL_CORE), which asks the
 *   owners (cluster/forward.h). Native: their response frames come back in `reply`, and the
 *   home worker sends them on (`answered`). memcached: the responses come back in `answers`,
 *   and the home worker goes on with the frame.
 * Passes of connections: a slot names requests of an ask (proto/ask.h), and carries no bytes; it goes home when they are answered
 *   there.
 *   For another node the core takes slots of its own, `forwarded`: a worker that does not
 *   find its node to be the owner of a key says so in `stale`, and forwards nothing again.
 * Threads: a slot is touched by one thread at a time: the home worker, or the
 *   one whose mailbox it is in. The ring's release/acquire hands it over.
 * Bounds: DEFERRED_MAX a worker; a full table answers BUSY (native) or
 *   "SERVER_ERROR busy" (memcached).
 */
#ifndef BASE_DEFERRED_H
#define BASE_DEFERRED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/limits.h"

enum {
	/*
	 * Room for what a memcached frame was answered before it travels. With 2 KiB two
	 * gets of 900 B before a write of another worker's key did not fit; slots are taken
	 * last in, first out, so that only the few in use at once have their pages touched.
	 */
	DEFERRED_REPLY_MAX = 16384,
	/* In a cluster: what a frame is answered at most, each result in a frame of its own behind two bytes of length. */
	DEFERRED_REPLY_CLUSTER = FRAME_OPS_MAX * (UDP_PAYLOAD_MAX + 2) + DEFERRED_REPLY_MAX,
	/* A memcached operation written as a native one is up to 48 bytes longer. The pages of a long one come with
	 * its first use. */
	DEFERRED_PAYLOAD_MAX = DATAGRAM_LEN_MAX + 64,
	/* Of DEFERRED_MAX those that may wait for other nodes: the rest stays for other workers. */
	DEFERRED_FOREIGN_MAX = DEFERRED_MAX / 4 * 3,
};

enum {
	/*
	 * Home of a slot that no worker took but the process itself, for the control plane:
	 * what answers its frame stays in `reply`, each frame behind its length in two bytes,
	 * and the slot goes home to a mailbox that is no worker's. Frames that find no room
	 * are left out; a slot that comes home without a reply was not executed.
	 */
	DEFERRED_HOME_LOCAL = WORKER_MAX,
	/* Home of the control core's slots, by which it runs other nodes' operations; treated as local ones. */
	DEFERRED_HOME_CORE,
	DEFERRED_HOMES,
	/* Where slots with other nodes' keys are mailed. */
	MAIL_CORE = DEFERRED_HOME_CORE,
};

struct answers; /* proto/answers.h */
struct ask;     /* proto/ask.h */

struct deferred {
	struct deferred *next_free; /* home's free list; the core's lists */
	uint64_t ops;               /* bit i: run operation i of the frame; in the core's hands: ask for it */
	uint64_t asks;              /* operations for which the slot goes on to the core after this burst */
	uint64_t stale;             /* forwarded: operations whose keys are not this node's */
	uint64_t target;            /* local: id of the member the frame is for; 0: each key's owner */
	struct ask *ask;            /* SERVICE_ASK: whose requests `ops` names; there is no payload */
	struct answers *answers;    /* memcached: other nodes' responses; NULL none */
	_Atomic bool *lent;         /* answers are the core's: cleared when the slot is home; NULL: in `reply` */
	uint8_t *reply;
	uint32_t reply_size;
	uint32_t reply_len;         /* bytes of `reply` composed so far */
	uint32_t generation;        /* counts uses of the slot */
	uint16_t payload_len;
	uint8_t first_op;   /* memcached: operations before this one are answered in `reply` */
	uint8_t reply_state;/* memcached's composer: what became of the reply so far; 0 in a fresh slot */
	uint8_t service;    /* enum service */
	uint8_t home;       /* worker that owns the slot, DEFERRED_HOME_LOCAL or DEFERRED_HOME_CORE */
	uint8_t to;         /* in the core's list of mail: the mailbox */
	bool done;          /* set by the other side before mailing it home */
	bool proven;        /* the home worker has checked cookie, tag and source */
	bool forwarded;     /* another node asks: the frame is not forwarded again */
	bool inner;         /* forwarded: for a memcached client (proto/native.h, inner flags) */
	bool slots_true;    /* native: where operations of `ops` name slots in the frame, these are their keys' */
	bool answered;      /* native: response frames are in `reply`, to be sent by the home worker */
	struct endpoint peer;
	uint8_t payload[DEFERRED_PAYLOAD_MAX];
};

/* Makes a slot a fresh one, with an empty payload and no operations named. */
static inline void
deferred_reset(struct deferred *slot)
{
	slot->next_free = NULL;
	slot->ops = slot->asks = slot->stale = slot->target = 0;
	slot->ask = NULL;
	slot->answers = NULL;
	slot->lent = NULL;
	slot->reply_len = 0;
	slot->generation++;
	slot->payload_len = 0;
	slot->first_op = slot->reply_state = 0;
	slot->done = slot->forwarded = slot->inner = slot->slots_true = slot->answered = false;
	slot->proven = true;
}

/* Whether what answers the slot's frame is kept in the slot. */
static inline bool
deferred_keeps(const struct deferred *slot)
{
	return slot->home >= DEFERRED_HOME_LOCAL;
}

/* Mail to be sent after the burst: slot -> worker, or MAIL_CORE. A slot is this worker's, or came with a datagram. */
struct outbox {
	struct {
		struct deferred *slot;
		uint8_t to;
	} mails[DEFERRED_MAX + BURST_MAX];
	uint32_t count;
};

#endif
