#include "proto/memcached_stream.h"

#include "base/bytes.h"
#include "base/check.h"
#include "proto/memcached.h"

struct memcached_stream
memcached_stream_of_spares(struct spares *spares, struct reply *replies,
    const struct endpoint *peer)
{
	return (struct memcached_stream){
		.reserve = true, .spares = spares, .replies = replies, .peer = peer,
	};
}

struct memcached_stream
memcached_stream_of_buffer(void *buffer, uint32_t size)
{
	return (struct memcached_stream){
		.at = buffer, .end = (uint8_t *)buffer + size, .reserve = true,
	};
}

struct memcached_stream
memcached_stream_of_outq(struct blocks *blocks, struct outq *out, void *gather)
{
	return (struct memcached_stream){
		.at = gather, .end = (uint8_t *)gather + MEMCACHED_STREAM_GATHER, .out = out, .blocks = blocks,
		.gathered = gather,
	};
}

bool
memcached_stream_flush(struct memcached_stream *stream)
{
	uint32_t len = (uint32_t)(stream->at - stream->gathered);

	stream->at = stream->gathered;
	if (!stream->full && len > 0)
		stream->full = !outq_put(stream->blocks, stream->out, stream->gathered, len);
	return !stream->full;
}

/* Bytes that may go in without another datagram. */
static size_t
room(const struct memcached_stream *stream)
{
	size_t left = (size_t)(stream->end - stream->at);

	if (stream->spares || stream->out || !stream->reserve)
		return left;
	return left > MEMCACHED_STREAM_RESERVE ? left - MEMCACHED_STREAM_RESERVE : 0;
}

/* Begins another datagram, if the stream is one of datagrams and a spare may be taken. */
static bool
grow(struct memcached_stream *stream)
{
	struct pkt *pkt;

	if (stream->out)
		return memcached_stream_flush(stream);
	if (!stream->spares ||
	    stream->spares->size - stream->spares->used <= (stream->reserve ? 1u : 0u))
		return false;
	pkt = spares_take(stream->spares);
	CHECK(pkt->room >= PKT_UDP_PAYLOAD_OFFSET + MEMCACHED_UDP_REPLY_MAX);
	stream->replies[stream->count++] = (struct reply){
		.pkt = pkt, .payload_len = MEMCACHED_UDP_REPLY_MAX, .peer = stream->peer,
	};
	stream->at = pkt->data + PKT_UDP_PAYLOAD_OFFSET + MEMCACHED_UDP_HEADER_LEN;
	stream->end = pkt->data + PKT_UDP_PAYLOAD_OFFSET + MEMCACHED_UDP_REPLY_MAX;
	return true;
}

void
memcached_stream_put(struct memcached_stream *stream, struct view bytes)
{
	while (bytes.len > 0 && !stream->full) {
		size_t len = room(stream);

		if (len > bytes.len)
			len = bytes.len;
		if (len == 0) {
			stream->full = !grow(stream);
			continue;
		}
		memcpy(stream->at, bytes.data, len);
		stream->at += len;
		bytes = view_of(bytes.data + len, bytes.len - (uint32_t)len);
	}
}

void
memcached_stream_value(struct memcached_stream *stream, struct view bytes, uint16_t *pins)
{
	if (!stream->out || bytes.len < MEMCACHED_STREAM_GATHER) {
		memcached_stream_put(stream, bytes);
	} else if (!memcached_stream_flush(stream)) {
		return;
	} else if (bytes.len < OUTQ_PIN_MIN || !pins || !outq_pin(pins)) {
		stream->full = !outq_put(stream->blocks, stream->out, bytes.data, bytes.len);
	} else if (!outq_put_pinned(stream->blocks, stream->out, bytes, pins)) {
		outq_unpin(pins);
		stream->full = true;
	}
}

void
memcached_stream_text(struct memcached_stream *stream, const char *text)
{
	memcached_stream_put(stream, view_text(text));
}

void
memcached_stream_char(struct memcached_stream *stream, char c)
{
	memcached_stream_put(stream, view_of(&c, 1));
}

void
memcached_stream_number(struct memcached_stream *stream, uint64_t number)
{
	char digits[20];
	uint32_t at = sizeof digits;

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	memcached_stream_put(stream, view_of(digits + at, (uint32_t)sizeof digits - at));
}

struct memcached_stream_mark
memcached_stream_mark(const struct memcached_stream *stream)
{
	return (struct memcached_stream_mark){ stream->at, stream->end, stream->count };
}

void
memcached_stream_rewind(struct memcached_stream *stream, const struct memcached_stream_mark *mark)
{
	if (stream->spares)
		stream->spares->used -= stream->count - mark->count;
	stream->at = mark->at;
	stream->end = mark->end;
	stream->count = mark->count;
	stream->full = false;
}

uint32_t
memcached_stream_finish(struct memcached_stream *stream, uint16_t request_id)
{
	for (uint32_t i = 0; i < stream->count; i++) {
		uint8_t *header = stream->replies[i].pkt->data + PKT_UDP_PAYLOAD_OFFSET;

		store_be16(header, request_id);
		store_be16(header + 2, (uint16_t)i);
		store_be16(header + 4, (uint16_t)stream->count);
		store_be16(header + 6, 0);
	}
	if (stream->count > 0)
		stream->replies[stream->count - 1].payload_len -= (uint16_t)(stream->end - stream->at);
	return stream->count;
}
