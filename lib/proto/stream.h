/*
 * stream.h - protocols over a byte stream: unread bytes <-> requests and responses.
 *
 * Purpose: what memcached over TCP (text, meta, binary) and RESP have in common, so that serve/stream.h can run
 *   either. One call of a parser takes a pass: as many whole commands from the front of the input as there is
 *   room for, at most FRAME_OPS_MAX requests. The composer then appends their replies, in order.
 *   A command of more requests than a pass has room for (mget) goes on in the next one: the state says where.
 * Large values: of a storage command whose value is not whole yet, the parser tells the request so far and the value's
 *   length (`body`), and consumes all before the value. The caller finds room for it, the value's bytes go there as they arrive,
 *   and the parser is called again with body_done until it has consumed something or yields requests: it then reads what follows the value, and
 *   yields the request as its first.
 * Threads: the owner lcore's. Memory: the connection's state is the caller's; views borrow from the input.
 * Invariants: 1. the same bytes in any portions give the same requests and replies. 2. a parser never reads past `input`.
 */
#ifndef PROTO_STREAM_H
#define PROTO_STREAM_H

#include "base/now.h"
#include "base/turn.h"
#include "proto/request.h"

enum {
	/* A value of at least so many bytes that is not whole yet goes to its item directly. */
	STREAM_BODY_MIN = 1024,
	STREAM_STATE_SIZE = 40,
};

/* One connection's place in its protocol; each protocol lays its own struct over `bytes`. All zero: just opened. */
struct stream_state {
	_Alignas(8) uint8_t bytes[STREAM_STATE_SIZE];
};

/* What a pass may need to know of the connection and its node, for CLIENT, INFO and the like. */
struct stream_facts;

struct stream_pass {
	/* in */
	const struct now *now;
	struct view input;           /* unread bytes */
	bool finished;               /* no more will come behind them */
	struct stream_state *state;
	struct blocks *blocks;       /* for what a state must keep longer (a transaction's queue) */
	const struct stream_facts *facts;
	struct request *requests;    /* room for FRAME_OPS_MAX; text_at counts from input */
	bool body_done;              /* the value asked for below has come, and body_request is what it was asked for with: */
	struct view body_value;      /* ... here; data NULL: there was no room, and serve answers in place of the request's execution */
	/* out */
	uint32_t count;              /* requests */
	uint32_t consumed;           /* bytes of input that they cover, or that can be forgotten */
	uint32_t wanted;             /* nothing more can be parsed before so many bytes are unread; 0: whatever comes */
	bool close;                  /* the connection ends after the replies */
	bool more;                   /* stopped for want of room: there may be another whole command behind */
	bool settle;                 /* what is behind is not to be parsed before this pass's reply is composed */
	/* A value that is not whole: `consumed` ends before its first byte. */
	bool body;
	struct request body_request; /* op, key, flags, expiry...; the caller copies its key, and hands it in again with body_done */
	uint32_t body_len;           /* 1..VALUE_LEN_MAX */
};

struct stream_reply {
	const struct frame *frame;
	struct view input;           /* the pass's bytes: text_at counts from here */
	const struct request *requests;
	const struct response *responses; /* a value of at least OUTQ_PIN_MIN bytes may be referred to when it has `pins` */
	uint32_t count;
	const struct now *now;
	struct stream_state *state;
	struct blocks *blocks;
	struct outq *out;
	const struct stream_facts *facts;
};

/* A protocol; constant. */
struct stream_protocol {
	const char *name;
	void (*parse)(struct stream_pass *pass);
	/* False: no room for all of it; the connection is then ended by RST, as its stream would be out of step. */
	bool (*compose)(struct stream_reply *reply);
	/* Gives back what the state holds. */
	void (*release)(struct stream_state *state, struct blocks *blocks);
};

/* Looks at the first bytes: text and meta, or binary (0x80). */
extern const struct stream_protocol memcached_stream_protocol;
extern const struct stream_protocol resp_stream_protocol;

#endif
