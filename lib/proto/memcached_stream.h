/*
 * memcached_stream.h - reply text on its way into datagrams, or into one buffer.
 *
 * Purpose: the composer writes one run of bytes; the stream cuts it into
 *   datagrams of MEMCACHED_UDP_REPLY_MAX bytes taken from spares as they fill,
 *   and numbers them at the end, when their total is known.
 * Threads: the caller's. Memory: the caller's spares, replies or buffer.
 * Invariants: 1. Every datagram but the last is full. 2. After a put that did not
 *   fit, `full` stays set and nothing more is written until a rewind.
 * Bounds: the last spare, or the last MEMCACHED_STREAM_RESERVE bytes of a buffer,
 *   are for error lines only (`reserve` cleared), so that a reply that does
 *   not fit can still be answered.
 */
#ifndef PROTO_MEMCACHED_STREAM_H
#define PROTO_MEMCACHED_STREAM_H

#include "base/pkt.h"
#include "base/view.h"

enum { MEMCACHED_STREAM_RESERVE = 256 };

struct memcached_stream {
	uint8_t *at, *end;       /* room left in the present datagram or buffer */
	bool full;               /* something did not fit */
	bool reserve;            /* keep the reserve */
	/* datagrams; spares is NULL for a buffer */
	struct spares *spares;
	struct reply *replies;
	uint32_t count;          /* of replies begun */
	const struct endpoint *peer;
};

/* Where a stream stood; later text can be taken back to it. */
struct memcached_stream_mark {
	uint8_t *at, *end;
	uint32_t count;
};

struct memcached_stream memcached_stream_of_spares(struct spares *spares, struct reply *replies,
    const struct endpoint *peer);
struct memcached_stream memcached_stream_of_buffer(void *buffer, uint32_t size);

void memcached_stream_put(struct memcached_stream *stream, struct view bytes);
void memcached_stream_text(struct memcached_stream *stream, const char *text);
void memcached_stream_char(struct memcached_stream *stream, char c);
void memcached_stream_number(struct memcached_stream *stream, uint64_t number);

struct memcached_stream_mark memcached_stream_mark(const struct memcached_stream *stream);
/* Takes back what was written since the mark; spares go back, and `full` is cleared. */
void memcached_stream_rewind(struct memcached_stream *stream,
    const struct memcached_stream_mark *mark);

/* Writes the UDP headers, now that the total is known. Returns how many datagrams. */
uint32_t memcached_stream_finish(struct memcached_stream *stream, uint16_t request_id);

#endif
