/*
 * item.h - one cached entry: header, key and value in one allocation.
 *
 * Invariants: 1. Immutable once published, but for freq (readers, relaxed,
 *   below saturation only), mark and pins. 2. An update publishes a new item; the old
 *   one is freed after a grace period and with pins == 0.
 * Layout: 28 bytes of header, then key_len bytes of key, then value_len bytes
 *   of value. No padding; the allocator rounds.
 */
#ifndef STORE_ITEM_H
#define STORE_ITEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/view.h"

struct item {
	uint64_t version;      /* 0 only before publishing */
	uint32_t expiry_low;   /* absolute wall ms, 48 bits; 0 never */
	uint16_t expiry_high;
	uint16_t pins;         /* atomic; holders beyond RCU */
	uint32_t client_flags;
	uint32_t value_len;    /* 0..VALUE_LEN_MAX */
	uint16_t key_len;      /* 1.. */
	uint8_t freq;          /* atomic; S3-FIFO's 2-bit counter; ITEM_FETCHED */
	uint8_t mark;          /* atomic; the owner's: queue; ITEM_STALE; anybody's: ITEM_TOKEN_SENT */
	/* key, then value: item_key, item_value. offsetof is 28; sizeof would pad. */
	uint8_t bytes[];
};

enum { ITEM_HEADER_LEN = offsetof(struct item, bytes) };
_Static_assert(ITEM_HEADER_LEN == 28, "header budget");

/* What memcached's meta commands know of an item, in bits that eviction leaves free. */
enum item_state {
	ITEM_FETCHED = 0x04,    /* in freq: read since it was stored; two readers at once may lose it once */
	ITEM_STALE = 0x10,      /* in mark: set before it is published */
	ITEM_TOKEN_SENT = 0x20, /* in mark: one reader was told to refill it */
	ITEM_FREQ_MASK = 0x03,
	ITEM_MARK_STATES = ITEM_STALE | ITEM_TOKEN_SENT,
};

/* All of them, whichever byte they are in. Any reader. */
static inline uint8_t
item_state(const struct item *item)
{
	return (__atomic_load_n(&item->freq, __ATOMIC_RELAXED) & ITEM_FETCHED) |
	    (__atomic_load_n(&item->mark, __ATOMIC_RELAXED) & ITEM_MARK_STATES);
}

/* Of an item that is not published yet. */
static inline void
item_set_state(struct item *item, uint8_t state)
{
	item->freq = (uint8_t)((item->freq & ~ITEM_FETCHED) | (state & ITEM_FETCHED));
	item->mark = (uint8_t)((item->mark & ~ITEM_MARK_STATES) | (state & ITEM_MARK_STATES));
}

/* Any reader. Takes the token to refill it; false: another one has it. */
static inline bool
item_win(const struct item *item)
{
	uint8_t *mark = (uint8_t *)(uintptr_t)&item->mark;

	return !(__atomic_fetch_or(mark, ITEM_TOKEN_SENT, __ATOMIC_RELAXED) & ITEM_TOKEN_SENT);
}

/* The part of mark that is eviction's. The owner. */
static inline uint8_t
item_queue(const struct item *item)
{
	return __atomic_load_n(&item->mark, __ATOMIC_RELAXED) & (uint8_t)~ITEM_MARK_STATES;
}

static inline void
item_set_queue(struct item *item, uint8_t queue)
{
	uint8_t now = __atomic_load_n(&item->mark, __ATOMIC_RELAXED);

	while (!__atomic_compare_exchange_n(&item->mark, &now, (uint8_t)(queue | (now & ITEM_MARK_STATES)), true,
	    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

static inline size_t
item_size(uint32_t key_len, uint32_t value_len)
{
	return (size_t)ITEM_HEADER_LEN + key_len + value_len;
}

static inline struct view
item_key(const struct item *item)
{
	return view_of(item->bytes, item->key_len);
}

static inline struct view
item_value(const struct item *item)
{
	return view_of(item->bytes + item->key_len, item->value_len);
}

static inline uint64_t
item_expiry_ms(const struct item *item)
{
	return (uint64_t)item->expiry_high << 32 | item->expiry_low;
}

static inline void
item_set_expiry_ms(struct item *item, uint64_t expiry_ms)
{
	item->expiry_low = (uint32_t)expiry_ms;
	item->expiry_high = (uint16_t)(expiry_ms >> 32);
}

#endif
