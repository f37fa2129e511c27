/*
 * peer_io.h - packets between the workers, who have the NIC, and the control core.
 *
 * Purpose: a worker copies what came for the port of the peers (and ARP news) into a frame
 *   and mails it to the core; the core's frames go out through worker 0.
 * How: two mailboxes each way, so that gossip and probes pass data: the core empties
 *   that of control packets before it looks at the other, and worker 0 sends them first. What a
 *   packet is, its envelope says in the clear (cluster/envelope.h); that is believed only of
 *   lives that are known, so that a flood of lies cannot take the place of the truth. Strangers
 *   go with the data, and ask again when that is too much. Frames come from two pools and go
 *   back through mailboxes nobody sleeps on, so that returning one wakes nobody.
 * Threads: created and destroyed on the main thread. peer_io_in and peer_io_out: workers;
 *   peer_io_take, _send, _flush, _receive, _give: the core.
 * Memory: all taken at creation: PEER_IN_FRAMES a worker and PEER_OUT_FRAMES frames of 1.5 KiB.
 * Invariants: 1. a frame is in one pool, one mailbox or one hand. 2. data can fill neither the
 *   pool nor the mailbox of control packets: each class has its own.
 * Bounds: a full pool or mailbox drops by name (control_full, peer_full).
 */
#ifndef SLIPRINGD_PEER_IO_H
#define SLIPRINGD_PEER_IO_H

#include "base/deferred.h"
#include "base/pkt.h"
#include "base/roles.h"
#include "base/status.h"
#include "io/io.h"

enum {
	PEER_IN_FRAMES = 512,   /* of each class, a worker */
	PEER_OUT_FRAMES = 1024, /* of each class */
	PEER_OUT_BURST = BURST_MAX, /* frames a round of worker 0 takes from the core */
	PEER_LIVES = 4096,      /* room of the table of known lives: twice what envelopes remember */
};

enum peer_class { PEER_CLASS_CONTROL = 0, PEER_CLASS_DATA, PEER_CLASS_COUNT };

enum peer_kind {
	PEER_KIND_UDP = 1, /* bytes: a UDP payload; peer: where from, where to */
	PEER_KIND_ARP,     /* in: an ARP packet of NEIGHBOUR_ARP_LEN bytes */
	PEER_KIND_RAW,     /* out: a whole Ethernet frame */
};

struct peer_frame {
	struct endpoint peer;
	uint16_t len;
	uint8_t kind;  /* enum peer_kind */
	uint8_t class; /* enum peer_class: whose pool it is from */
	uint8_t home;  /* worker whose pool it is from; the core's: WORKER_MAX */
	uint8_t bytes[UDP_PAYLOAD_MAX] __attribute__((aligned(8)));
};

struct peer_io;

struct peer_io *peer_io_create(uint32_t workers, struct error *error) MUST_USE;
void peer_io_destroy(struct peer_io *io); /* all threads have stopped; NULL is nothing */

/* What the core sleeps on: wakes for control, data, and whatever is attached to it. */
struct mailbox *peer_io_bell(struct peer_io *io);
/* Worker 0's mailbox wakes for frames to be sent. Before any thread runs. */
void peer_io_connect(struct peer_io *io, struct mailbox *worker0);

/* Workers: mails the peers' datagrams and ARP news of a burst to the core; returns how many. */
uint32_t peer_io_in(struct peer_io *io, uint32_t worker, const struct datagram *datagrams, uint32_t n,
    struct counters *counters) ON_WORKER;
/*
 * Worker 0: takes frames to be sent into fresh packets, before anything else of the round
 * takes those. Returns how many; peer_io_reply appends their replies, and peer_io_done
 * gives the frames back when net_output is through with their addresses.
 */
struct peer_out {
	struct peer_frame *frames[PEER_OUT_BURST];
	struct pkt *pkts[PEER_OUT_BURST]; /* NULL: a raw frame, or there was no packet */
	uint32_t count;
};
uint32_t peer_io_out(struct peer_io *io, struct peer_out *out, struct spares *spares, struct counters *counters) ON_WORKER;
uint32_t peer_io_replies(const struct peer_out *out, struct reply *replies) ON_WORKER;
void peer_io_done(struct peer_io *io, struct peer_out *out) ON_WORKER;

/* The core: these lives (boot nonces, not 0) are known, and no others; at most PEER_LIVES / 2. */
void peer_io_lives(struct peer_io *io, const uint64_t *boots, uint32_t n) ON_CORE;
/* At most n frames of a class. */
uint32_t peer_io_receive(struct peer_io *io, enum peer_class class, struct peer_frame **frames, uint32_t n) ON_CORE;
/* Gives frames back to where they came from. */
void peer_io_give(struct peer_io *io, struct peer_frame *const *frames, uint32_t n);
/* An empty frame to fill; NULL: all are on their way. */
struct peer_frame *peer_io_take(struct peer_io *io, enum peer_class class) ON_CORE;
/* Sends a frame; it leaves with the next flush, or when a burst is full. */
void peer_io_send(struct peer_io *io, struct peer_frame *frame) ON_CORE;
void peer_io_flush(struct peer_io *io) ON_CORE;

#endif
