/*
 * memcached_binary.h - memcached's binary protocol over a connection (internal to the protocol).
 *
 * Purpose: packets of a fixed header, extras, key and value become requests, and responses become packets. What a
 *   reply repeats of its request travels in the request: the opcode in `verb`, the opaque field in `length`. So a
 *   reply needs nothing of the input, which may be gone when a large value went to its item directly.
 * Semantics: memcached 1.6.18's, its texts and its closing of connections included; doc/COMPATIBILITY.md lists what differs.
 * Threads: the owner lcore's. Memory: borrowed.
 * Bounds: header, extras and key are buffered (24 + 255 + KEY_LEN_MAX bytes); values are as in the text protocol.
 * Source: memcached 1.6.18 protocol_binary.h and proto_bin.c; docs/BinaryProtocolRevamped of memcached's wiki.
 */
#ifndef PROTO_MEMCACHED_BINARY_H
#define PROTO_MEMCACHED_BINARY_H

#include "proto/memcached_session.h"

enum {
	BINARY_HEADER_LEN = 24,
	BINARY_RESPONSE_MAGIC = 0x81,
	BINARY_MECHANISM_MAX = 32, /* MAX_SASL_MECH_LEN */
	BINARY_CHALLENGE_MAX = 1024, /* two names and a password */
};

enum binary_opcode {
	BINARY_GET = 0x00, BINARY_SET, BINARY_ADD, BINARY_REPLACE, BINARY_DELETE, BINARY_INCREMENT, BINARY_DECREMENT,
	BINARY_QUIT, BINARY_FLUSH, BINARY_GETQ, BINARY_NOOP, BINARY_VERSION, BINARY_GETK, BINARY_GETKQ, BINARY_APPEND,
	BINARY_PREPEND, BINARY_STAT, BINARY_SETQ, BINARY_ADDQ, BINARY_REPLACEQ, BINARY_DELETEQ, BINARY_INCREMENTQ,
	BINARY_DECREMENTQ, BINARY_QUITQ, BINARY_FLUSHQ, BINARY_APPENDQ, BINARY_PREPENDQ,
	BINARY_TOUCH = 0x1c, BINARY_GAT, BINARY_GATQ,
	BINARY_SASL_LIST = 0x20, BINARY_SASL_AUTH, BINARY_SASL_STEP, BINARY_GATK, BINARY_GATKQ,
};

/* request->local of OP_NONE and of OP_DELETE that stands for a set too large; and what statuses become. */
enum binary_reply {
	BINARY_EMPTY = 0,
#define BINARY_REPLY(suffix, status, text) BINARY_##suffix,
#include "proto/memcached_binary_reply.def"
#undef BINARY_REPLY
	BINARY_LATER, /* of OP_DELETE: none, the session owes it */
	BINARY_REPLY_COUNT
};

/* The loud opcode that a quiet one stands for; *quiet says whether it did. */
uint8_t memcached_binary_loud(uint8_t opcode, bool *quiet);

void memcached_binary_parse(struct stream_pass *pass);
bool memcached_binary_compose(struct stream_reply *reply);

#endif
