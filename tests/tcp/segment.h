/*
 * segment.h - TCP segments as tests write and read them; a second reading of RFC 9293 3.1, independent of lib/net.
 *
 * Purpose: compose any segment, sound or not, and parse what our stack sends. Anything that a
 *   sound stack would not send is said in `complaint`.
 * Memory: a parsed segment's payload is a view of the bytes it was read from.
 */
#ifndef TESTS_TCP_SEGMENT_H
#define TESTS_TCP_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

enum { SEG_FIN = 1, SEG_SYN = 2, SEG_RST = 4, SEG_PSH = 8, SEG_ACK = 16, SEG_URG = 32, SEG_ECE = 64, SEG_CWR = 128 };
enum { SEG_SACKS_MAX = 4, SEG_BYTES_MAX = 9216 };

struct seg {
	uint8_t source[16], destination[16]; /* IPv4 mapped */
	uint16_t source_port, destination_port;
	uint32_t seq, ack;
	uint8_t flags, reserved;
	uint16_t window, urgent;
	uint16_t mss;         /* 0: none */
	int8_t wscale;        /* -1: none */
	bool sack_ok, ts;
	uint32_t ts_value, ts_echo;
	uint32_t sacks[SEG_SACKS_MAX][2], sack_count;
	const uint8_t *raw;   /* composing: these option bytes, and no others, padded with EOL */
	uint8_t raw_len;
	uint8_t data_offset;  /* composing: 0: the right one, in words */
	bool bad_checksum;    /* composing */
	bool lead_nops;       /* composing: options begin at an odd place */
	const uint8_t *payload;
	uint32_t payload_len;
	const char *complaint; /* parsing: what is wrong with it; NULL: nothing */
};

static inline struct seg
seg_none(void)
{
	return (struct seg){ .wscale = -1 };
}

/* Octets of the sequence space (RFC 9293 3.4: SEG.LEN). */
static inline uint32_t
seg_len(const struct seg *seg)
{
	return seg->payload_len + !!(seg->flags & SEG_SYN) + !!(seg->flags & SEG_FIN);
}

/* Writes header and payload; returns their length. `out` has SEG_BYTES_MAX bytes. */
uint32_t seg_compose(const struct seg *seg, uint8_t *out);
/* Reads a segment that was sent from `source` to `destination`. */
void seg_parse(struct seg *seg, const uint8_t source[16], const uint8_t destination[16], const uint8_t *bytes, uint32_t len);
/* RFC 1071 over pseudo-header and segment, the slow way; 0 when the segment's own sum is right. */
uint16_t seg_checksum(const uint8_t source[16], const uint8_t destination[16], const uint8_t *bytes, uint32_t len);
/* One line for a person. `base` is subtracted from seq, `ack_base` from ack and SACK blocks. */
void seg_print(const struct seg *seg, uint32_t base, uint32_t ack_base, char *out, uint32_t size);

#endif
