/*
 * memcached_parser.h - the cursor over one datagram, or one pass of a connection, that the command parsers share.
 *
 * Purpose: internal to the protocol. memcached_parse.c reads the classic commands,
 *   memcached_meta.c the meta commands; memcached_parse.c cuts datagrams into lines, memcached_session.c passes.
 * Memory: borrowed.
 * Invariants: 1. count <= FRAME_OPS_MAX. 2. at <= payload.len.
 */
#ifndef PROTO_MEMCACHED_PARSER_H
#define PROTO_MEMCACHED_PARSER_H

#include "base/limits.h"
#include "proto/memcached_text.h"
#include "proto/request.h"

/* What the composer is to make of a request's response (request->verb), with flags. */
enum memcached_verb {
	VERB_LINE = 0,  /* OP_NONE: `local` is an enum memcached_line */
	VERB_GET,       /* get and gat: one key of a command */
	VERB_GETS,      /* the same with the CAS value */
	VERB_STORE,
	VERB_DELETE,
	VERB_TOUCH,
	VERB_ARITHMETIC,
	VERB_STATS,
	VERB_FLUSH,
	VERB_TOO_LARGE, /* a delete, so that no stale value stays, answered as an oversized set */
	VERB_META_GET,
	VERB_META_SET,
	VERB_META_DELETE,
	VERB_META_COUNT,
	VERB_META_DEBUG,

	VERB_MASK = 31,
	VERB_END = 64,    /* last key of a get command */
	VERB_QUIET = 128, /* noreply; meta's q */
};

/* frame->verdict: commands behind the limit of operations were left out. */
enum { MEMCACHED_CUT = 1 };

struct memcached_parser {
	struct view payload;
	uint32_t at;           /* of the next line or data block */
	uint32_t text_at;      /* of the command line being parsed */
	const struct now *now;
	struct request *requests;
	uint32_t count;
	uint32_t command_first; /* index of the present command's first request */
	bool full;             /* the present command did not fit FRAME_OPS_MAX */
	bool stop;             /* nothing behind this command is to be parsed */
	/* a connection; session is NULL for a datagram */
	struct memcached_session *session;
	struct blocks *blocks;
	uint32_t line_end;     /* of the command line being parsed, LF included */
	uint32_t wanted;       /* the command needs its value, which ends there: it is given back until then */
	bool first;            /* ... or until it is the first of its pass */
	bool value;            /* the last request's value comes later, straight to its item */
};

enum memcached_data {
	DATA_WHOLE,
	DATA_BAD,   /* cut off, or without its CRLF; what there is of it is taken all the same */
	DATA_LATER, /* a connection: the command is parsed again when there is more */
	DATA_APART, /* a connection: the request is added without its value, which goes to its item */
};

/* The next request, emptied but for op, verb and text_at, or NULL when full. */
struct request *memcached_parser_add(struct memcached_parser *p, enum op op, uint32_t verb);

/* A request that is but a fixed line; none at all when quiet. */
void memcached_parser_line(struct memcached_parser *p, enum memcached_line line, bool quiet);

/* Takes a data block of len bytes and its CRLF. */
enum memcached_data memcached_parser_data(struct memcached_parser *p, uint32_t len, struct view *data);
/* Throws them away; of a connection also those that are still to come. */
void memcached_parser_skip(struct memcached_parser *p, uint32_t len);

/* One command line; the command's data block follows at p->at. */
void memcached_parser_command(struct memcached_parser *p, struct view line);
/* A connection: the keys of p->session's get that goes on, as many as there is room for. */
void memcached_parser_go_on(struct memcached_parser *p);

/*
 * A connection: room for a decoded key, which stays until the pass is answered. NULL: there is none; p->full
 * when there is in the next pass.
 */
uint8_t *memcached_parser_room(struct memcached_parser *p, uint32_t len);

/* mg, ms, md, ma: tokens->count >= 2; me: any. */
void memcached_meta_get(struct memcached_parser *p, struct memcached_tokens *tokens);
void memcached_meta_set(struct memcached_parser *p, struct memcached_tokens *tokens);
void memcached_meta_delete(struct memcached_parser *p, struct memcached_tokens *tokens);
void memcached_meta_count(struct memcached_parser *p, struct memcached_tokens *tokens);
void memcached_meta_debug(struct memcached_parser *p, struct memcached_tokens *tokens);

#endif
