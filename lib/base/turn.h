/*
 * turn.h - a connection's turn: what came in on it, and what the application makes of that.
 *
 * Purpose: the seam between a byte stream (net/tcp.h) and what serves it (serve/stream.h), which know nothing
 *   of each other. The stream fills the upper part, the application the lower one, and the
 *   stream then does what is asked there. Any stream of bytes can stand on the one side.
 * Threads: the owner lcore's. Memory: views die when the turn is given back (tcp_apply).
 */
#ifndef BASE_TURN_H
#define BASE_TURN_H

#include "base/endpoint.h"
#include "base/outq.h"

/* A connection; one that is gone is told by its generation. */
struct connection {
	uint32_t index, generation;
};

struct turn {
	/* by the stream */
	struct connection id;
	uint8_t service;          /* enum service, of the port it came to */
	bool opened;              /* its first turn */
	bool finished;            /* the peer sends no more after `input` */
	bool closed;              /* it is gone; its last turn, and nothing below is looked at */
	uint8_t reason;           /* closed: enum tcp_reason */
	struct view input;        /* unread bytes, in order, in one piece */
	uint32_t filled;          /* bytes in the room given earlier (below) */
	struct outq *out;         /* replies are appended here */
	struct blocks *blocks;    /* memory for them, and for whatever else the connection needs */
	struct endpoint peer;
	uint64_t opened_ns;       /* mono_ns of its first turn */

	/* by the application; all zero: nothing was read */
	uint32_t consumed;        /* bytes of input that it has read */
	/* It can do nothing with less than so many unread bytes (at most BLOCK_MAX): no turn for input before. */
	uint32_t wanted;
	/* The room_len bytes behind `consumed` go straight there; the next turn for input comes when all are. */
	uint8_t *room;
	uint32_t room_len;
	bool pause;               /* no turn for input until it is resumed (an answer is due from elsewhere) */
	bool again;               /* there is more that could be done with the input at once: next round */
	bool close;               /* FIN behind what is in `out`; what still comes in is discarded */
	bool abort;               /* RST */
};

#endif
