/*
 * link.h - the body of a PEER_LINK section: messages between two nodes, and what has arrived.
 *
 * Purpose: one reader and one writer for the acknowledged datagrams between nodes.
 * Format, little-endian; a header of 40 bytes:
 *   0 u64 sequence: of the segment in this packet; 0: none, only an acknowledgement
 *   8 u64 ack: the segments 1 to ack have arrived
 *   16 u32 generation: of the sender's sequence numbers
 *   20 u32 ack_generation: of those acknowledged; 0: nothing has arrived yet
 *   24 u32 stamp: the sender's clock when this packet left, microseconds
 *   28 u32 echo: the stamp of the segment that arrived last
 *   32 u32 delay: microseconds since that arrived
 *   36 u16 back: sequence - back is the oldest segment that is not acknowledged
 *   38 u8 words: of the bitmap, 0..4  39 u8 flags: 1 LINK_REFUSED
 *   40 u64 bitmap[words]: bit i: segment ack + 1 + i has arrived
 * then, if sequence is not 0, the segment: chunks until the end.
 *   chunk: 0 u16 len  2 u8 kind  3 u8 0  4 [u32 total, HEAD only]  data[len]
 *   A WHOLE chunk is a message. A longer message begins with a HEAD (total: its length), goes on
 *   in BODYs and ends in a TAIL, in segments that follow one another. Such a piece stands first
 *   in its segment; after a TAIL whole messages may follow, after a HEAD or BODY nothing does.
 * Threads: any. Memory: borrowed; views die with the packet.
 * Invariants: 1. readers never touch a byte outside the view. 2. a segment that is accepted has
 *   at least one chunk, and at most LINK_MESSAGES_MAX messages. 3. total fits LINK_MESSAGE_MAX.
 * Bounds: those of the enum.
 */
#ifndef PROTO_LINK_H
#define PROTO_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "proto/peer.h"

enum {
	LINK_HEADER_LEN = 40,
	/* Segments on their way at once: 256 fill 1 ms at 2.6 Gbit/s, and a bitmap of 32 bytes tells all of them. */
	LINK_WINDOW = 256,
	LINK_WORDS_MAX = LINK_WINDOW / 64,
	LINK_CHUNK_LEN = 4,
	LINK_TOTAL_LEN = 4,
	/* A segment stays as it is when it is sent again, beside a bitmap of any length. */
	LINK_SEGMENT_MAX = PEER_PAYLOAD_MAX - PEER_HEADER_LEN - PEER_SECTION_LEN - LINK_HEADER_LEN - LINK_WORDS_MAX * 8,
	LINK_WHOLE_MAX = LINK_SEGMENT_MAX - LINK_CHUNK_LEN,
	/* Messages that end in one segment: each is an action of the receiver's step. */
	LINK_MESSAGES_MAX = 32,
	/* The largest value with what a request says around it. */
	LINK_MESSAGE_MAX = VALUE_LEN_MAX + 16384, /* a value with a key of RESP_KEY_LEN_MAX, and what is said about them */
};

enum link_chunk_kind {
	LINK_WHOLE = 1,
	LINK_HEAD = 2,
	LINK_BODY = 3,
	LINK_TAIL = 4,
};

enum link_flag {
	LINK_REFUSED = 1, /* segments of ack_generation are not taken (any more): begin a new one */
};

struct link_header {
	uint64_t sequence, ack;
	uint64_t bitmap[LINK_WORDS_MAX];
	uint32_t generation, ack_generation;
	uint32_t stamp, echo, delay;
	uint16_t back;
	uint8_t words, flags;
};

struct link_chunk {
	struct view data;
	uint32_t total; /* HEAD */
	uint8_t kind;   /* enum link_chunk_kind; 0: none */
};

/* What a segment holds. */
struct link_content {
	struct link_chunk piece; /* of a longer message */
	uint16_t count;          /* of whole messages */
	struct view messages[LINK_MESSAGES_MAX];
};

/* Reading. False: it makes no sense. */
bool link_header_parse(struct reader *in, struct link_header *header);
/* All of a segment: what is left in `in`. */
bool link_content_parse(struct reader *in, struct link_content *content);

/* Bytes that link_header_compose() writes. */
static inline uint32_t
link_header_len(const struct link_header *header)
{
	return LINK_HEADER_LEN + 8u * header->words;
}

/* Writes link_header_len() bytes. */
void link_header_compose(uint8_t *out, const struct link_header *header);

/* Writes a chunk's head of LINK_CHUNK_LEN bytes, with LINK_TOTAL_LEN more for a HEAD; returns where its data goes. */
static inline uint8_t *
link_chunk_compose(uint8_t *out, enum link_chunk_kind kind, uint32_t len, uint32_t total)
{
	store_le32(out, len | (uint32_t)kind << 16);
	if (kind != LINK_HEAD)
		return out + LINK_CHUNK_LEN;
	store_le32(out + LINK_CHUNK_LEN, total);
	return out + LINK_CHUNK_LEN + LINK_TOTAL_LEN;
}

/* Kind of the chunk that begins a segment. */
static inline uint8_t
link_chunk_kind(const uint8_t *segment)
{
	return segment[2];
}

#endif
