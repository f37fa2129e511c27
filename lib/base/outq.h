/*
 * outq.h - bytes on their way to a connection's peer: written, perhaps sent, not yet acknowledged.
 *
 * Purpose: composers append; TCP reads at any offset (for the first time or again) and drops what the
 *   peer has acknowledged. Small replies are copied into blocks. Large values are not:
 *   a run of an item's bytes is referred to, and its `pins` keep it (store/item.h), until it is dropped.
 * Threads: the owner lcore's; `pins` are counted atomically, as other lcores free items.
 * Memory: the caller's blocks.
 * Invariants (outq_check): 1. len is the sum of the runs less `skip`. 2. a pinned run holds exactly one pin; every frame
 *   that refers to its bytes (outq_refer) has one of its own, so that the run may go before the frame does.
 * Bounds: what blocks have; a put that finds no room appends nothing.
 */
#ifndef BASE_OUTQ_H
#define BASE_OUTQ_H

#include "base/blocks.h"
#include "base/pkt.h"
#include "base/view.h"

struct outq_run {
	struct outq_run *next;
	const uint8_t *data;
	uint16_t *pins;      /* what data is pinned by; NULL: it stands in this block */
	uint32_t len;
	uint32_t block_size; /* of the block that this header, and copied data, stand in */
	uint8_t bytes[];
};

struct outq {
	struct outq_run *first, *last;
	struct outq_run *at;  /* where the last read was: a run, and the offset where it begins */
	uint32_t at_offset;
	uint32_t len;         /* bytes from the first not yet dropped */
	uint32_t skip;        /* bytes of the first run that were dropped */
};

/* From this many bytes on a value is referred to rather than copied (measured: ../doc/BENCHMARKS.md). */
enum { OUTQ_PIN_MIN = 2048 };

/* Appends a copy. False: no block; nothing was appended. */
bool outq_put(struct blocks *blocks, struct outq *q, const void *data, uint32_t len);
/*
 * Appends bytes of an item that stay where they are; takes over one pin, which the caller has counted.
 * False: no block; the pin is the caller's again.
 */
bool outq_put_pinned(struct blocks *blocks, struct outq *q, struct view bytes, uint16_t *pins);
/* Counts a pin; false: there are as many as can be counted, so copy. */
bool outq_pin(uint16_t *pins);
void outq_unpin(uint16_t *pins);

/* Copies bytes [offset, offset + len) out, counted from the first not yet dropped; all are there. */
void outq_read(struct outq *q, uint32_t offset, uint8_t *out, uint32_t len);
/*
 * When at least `min` of the last of bytes [offset, offset + len) stand in one pinned run, and one more pin can be
 * counted: they become *tail, which holds that pin. Returns how many; 0: read them.
 */
uint16_t outq_refer(struct outq *q, uint32_t offset, uint16_t len, uint16_t min, struct pkt_tail *tail);
/* The first `len` bytes are not needed any more. */
void outq_drop(struct blocks *blocks, struct outq *q, uint32_t len);
/* Takes back what was appended after the queue had `len` bytes (a reply that does not fit). */
void outq_rewind(struct blocks *blocks, struct outq *q, uint32_t len);
/* Pinned runs become copies, so that a peer that does not answer holds no item. False: no room for all. */
bool outq_copy_out(struct blocks *blocks, struct outq *q);
/* Moves all of `from` to the end of `to`. */
void outq_splice(struct outq *to, struct outq *from);
void outq_clear(struct blocks *blocks, struct outq *q);

void outq_check(const struct outq *q);

#endif
