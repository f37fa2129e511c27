/*
 * memcached_composer.h - what composes one frame's, or one pass's, replies (internal to the protocol).
 *
 * Purpose: memcached_compose.c writes the classic commands' replies and cuts between commands;
 *   memcached_compose_meta.c writes the meta commands'.
 * Threads: the caller's. Memory: borrowed.
 */
#ifndef PROTO_MEMCACHED_COMPOSER_H
#define PROTO_MEMCACHED_COMPOSER_H

#include "proto/memcached.h"
#include "proto/memcached_parser.h"
#include "proto/memcached_stream.h"

struct memcached_composer {
	const struct frame *frame;   /* of a datagram; NULL for a connection */
	const struct memcached_session *session; /* of a connection; NULL for a datagram */
	struct view text;            /* text_at counts from here */
	const struct request *requests;
	const struct response *responses;
	uint32_t count;
	const struct now *now;
	struct memcached_stream stream;
	uint8_t state;
};

void memcached_composer_line(struct memcached_composer *c, enum memcached_line line);
/* The line for a status, or LINE_NONE when memcached has none. */
enum memcached_line memcached_composer_line_of(const struct request *request, enum op_status status,
    enum memcached_line ok);
/* The line for a status, `ok` for OP_STATUS_OK; a sentence where memcached has none. */
void memcached_composer_status(struct memcached_composer *c, const struct request *request,
    enum op_status status, enum memcached_line ok);
static inline void
memcached_composer_crlf(struct memcached_composer *c)
{
	memcached_stream_put(&c->stream, view_of("\r\n", 2));
}

/* mg; ms and md; ma; me. */
void memcached_composer_meta_get(struct memcached_composer *c, const struct request *request,
    const struct response *response);
void memcached_composer_meta_status(struct memcached_composer *c, const struct request *request,
    const struct response *response);
void memcached_composer_meta_count(struct memcached_composer *c, const struct request *request,
    const struct response *response);
void memcached_composer_meta_debug(struct memcached_composer *c, const struct request *request,
    const struct response *response);

#endif
