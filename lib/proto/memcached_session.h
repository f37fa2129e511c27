/*
 * memcached_session.h - one connection's place in memcached's protocols (internal to them).
 *
 * Purpose: what lies in a stream_state (proto/stream.h) between two passes: which protocol is
 *   spoken, the command whose value is on its way, the get that goes on, data that is to be skipped.
 * Threads: the owner lcore's. Memory: `held` is a block of the connection's.
 * Invariants: 1. held is there from the command to the pass behind its reply, which it waits for (settle).
 *   2. at most one of skip, get_op and STEP_VALUE is set. 3. owed is 0 when skip is.
 */
#ifndef PROTO_MEMCACHED_SESSION_H
#define PROTO_MEMCACHED_SESSION_H

#include "proto/memcached_text.h"
#include "proto/stream.h"

enum {
	/* memcached 1.6.18: without a line end in the first 2 KiB it is a get, or the connection is closed. */
	MEMCACHED_LINE_MAX = 2048,
	MEMCACHED_LEADING_BLANKS_MAX = 100,
	/* A get of very many keys; memcached has no limit. */
	MEMCACHED_GET_LINE_MAX = 1 << 20,
	MEMCACHED_BINARY_MAGIC = 0x80, /* protocol_binary.h: the first byte of a request */
	/* request->text_at: the command's line is in session->held. */
	MEMCACHED_HELD = INT32_MAX,
	MEMCACHED_HELD_SIZE = 8192 - 12,
};

enum memcached_language { LANGUAGE_UNKNOWN = 0, LANGUAGE_TEXT, LANGUAGE_BINARY };
enum memcached_step { STEP_COMMAND = 0, STEP_VALUE };

/*
 * What a pass needs until its reply is made and has no place in its input: keys that were base64, and the line of
 * an ms whose value goes straight to its item, as its reply is made of the flags there.
 */
struct memcached_held {
	uint32_t used;
	uint32_t line_at, line_len;
	uint8_t bytes[MEMCACHED_HELD_SIZE];
};

struct memcached_session {
	uint8_t language;       /* enum memcached_language */
	uint8_t step;           /* enum memcached_step */
	uint8_t get_op, get_verb; /* the get that goes on in the next pass; 0: none */
	bool failed;            /* composer: the get that goes on has its error line */
	bool authenticated, sasl_started;
	/*
	 * The reply to the command whose data is thrown away: it waits for the last byte, as memcached's does. There are
	 * clients that lose their place when they are answered before they have sent all.
	 */
	uint8_t owed;           /* enum memcached_line or binary_reply; 0: none */
	uint32_t skip;          /* bytes of data that are to be thrown away */
	uint32_t line_left;     /* bytes of the line of the get that goes on */
	uint32_t scanned;       /* unread bytes that are known to hold no line end */
	uint32_t owed_opaque;   /* binary, and its opcode stands in get_verb */
	uint64_t get_expiry_ms;
	struct memcached_held *held;
};

_Static_assert(sizeof(struct memcached_session) <= STREAM_STATE_SIZE, "it lies in a stream_state");

static inline struct memcached_session *
memcached_session_of(struct stream_state *state)
{
	return (struct memcached_session *)state->bytes;
}

/* Replies of the text protocol. */
bool memcached_compose_pass(struct stream_reply *reply);

#endif
