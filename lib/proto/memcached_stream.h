/*
 * memcached_stream.h - reply text on its way into datagrams, into one buffer, or to a connection.
 *
 * Purpose: the composer writes one run of bytes; the stream cuts it into
 *   datagrams of MEMCACHED_UDP_REPLY_MAX bytes taken from spares as they fill,
 *   and numbers them at the end, when their total is known. Of a connection it gathers
 *   small pieces and appends them to the output queue; large values are referred to there.
 * Threads: the caller's. Memory: the caller's spares, replies, buffer or blocks.
 * Invariants: 1. Every datagram but the last is full. 2. After a put that did not
 *   fit, `full` stays set and nothing more is written until a rewind. A connection's queue
 *   is not rewound: when it is full, the connection ends.
 * Bounds: the last spare, or the last MEMCACHED_STREAM_RESERVE bytes of a buffer,
 *   are for error lines only (`reserve` cleared), so that a reply that does
 *   not fit can still be answered.
 */
#ifndef PROTO_MEMCACHED_STREAM_H
#define PROTO_MEMCACHED_STREAM_H

#include "base/outq.h"
#include "base/pkt.h"
#include "base/view.h"

enum {
	MEMCACHED_STREAM_RESERVE = 256,
	MEMCACHED_STREAM_GATHER = 2048, /* what a connection's replies are gathered in */
};

struct memcached_stream {
	uint8_t *at, *end;       /* room left in the present datagram or buffer */
	bool full;               /* something did not fit */
	bool reserve;            /* keep the reserve */
	/* datagrams; spares is NULL for a buffer */
	struct spares *spares;
	struct reply *replies;
	uint32_t count;          /* of replies begun */
	const struct endpoint *peer;
	/* a connection; out is NULL for the others */
	struct outq *out;
	struct blocks *blocks;
	uint8_t *gathered;       /* [gathered, at) is not in the queue yet */
};

/* Where a stream stood; later text can be taken back to it. */
struct memcached_stream_mark {
	uint8_t *at, *end;
	uint32_t count;
};

struct memcached_stream memcached_stream_of_spares(struct spares *spares, struct reply *replies,
    const struct endpoint *peer);
struct memcached_stream memcached_stream_of_buffer(void *buffer, uint32_t size);
/* `gather` has MEMCACHED_STREAM_GATHER bytes. */
struct memcached_stream memcached_stream_of_outq(struct blocks *blocks, struct outq *out, void *gather);

void memcached_stream_put(struct memcached_stream *stream, struct view bytes);
/* An item's bytes: referred to when they are many and the stream can; pins: the item's, or NULL. */
void memcached_stream_value(struct memcached_stream *stream, struct view bytes, uint16_t *pins);
void memcached_stream_text(struct memcached_stream *stream, const char *text);
void memcached_stream_char(struct memcached_stream *stream, char c);
void memcached_stream_number(struct memcached_stream *stream, uint64_t number);

struct memcached_stream_mark memcached_stream_mark(const struct memcached_stream *stream);
/* Takes back what was written since the mark; spares go back, and `full` is cleared. */
void memcached_stream_rewind(struct memcached_stream *stream,
    const struct memcached_stream_mark *mark);

/* Writes the UDP headers, now that the total is known. Returns how many datagrams. */
uint32_t memcached_stream_finish(struct memcached_stream *stream, uint16_t request_id);
/* A connection's: what was gathered goes into the queue. False: not all of the reply found room. */
bool memcached_stream_flush(struct memcached_stream *stream);

#endif
