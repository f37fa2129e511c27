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
 * Threads: a slot is touched by one worker at a time: the home worker, or the
 *   one whose mailbox it is in. The ring's release/acquire hands it over.
 * Bounds: DEFERRED_MAX a worker; a full table answers BUSY (native) or
 *   "SERVER_ERROR busy" (memcached).
 */
#ifndef BASE_DEFERRED_H
#define BASE_DEFERRED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/limits.h"

/*
 * Room for what a memcached frame was answered before it travels. With 2 KiB two
 * gets of 900 B before a write of another worker's key did not fit; slots are taken
 * last in, first out, so that only the few in use at once have their pages touched.
 */
enum { DEFERRED_REPLY_MAX = 16384 };

/*
 * Home of a slot that no worker took but the process itself, for the control plane:
 * what answers its frame stays in `reply`, each frame behind its length in two bytes,
 * and the slot goes home to a mailbox that is no worker's. Frames that find no room
 * are left out; a slot that comes home without a reply was not executed.
 */
enum { DEFERRED_HOME_LOCAL = WORKER_MAX };

struct deferred {
	struct deferred *next_free; /* home's free list */
	uint64_t ops;               /* bit i: run operation i of the frame (native) */
	uint32_t generation;        /* counts uses of the slot */
	uint16_t payload_len;
	uint16_t reply_len; /* memcached and local: bytes of `reply` composed so far */
	uint8_t first_op;   /* memcached: operations before this one are answered in `reply` */
	uint8_t reply_state;/* memcached's composer: what became of the reply so far; 0 in a fresh slot */
	uint8_t service;    /* enum service */
	uint8_t home;       /* worker that owns the slot, or DEFERRED_HOME_LOCAL */
	bool done;          /* set by the other worker before mailing it home */
	bool proven;        /* the home worker has checked cookie, tag and source */
	struct endpoint peer;
	uint8_t payload[UDP_PAYLOAD_MAX];
	uint8_t reply[DEFERRED_REPLY_MAX];
};

/* Mail to be sent after the burst: slot -> worker. */
struct outbox {
	struct {
		struct deferred *slot;
		uint8_t to;
	} mails[BURST_MAX * WORKER_MAX];
	uint32_t count;
};

#endif
