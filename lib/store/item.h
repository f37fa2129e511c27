/*
 * item.h - one cached entry: header, key and value in one allocation.
 *
 * Invariants: 1. Immutable once published, but for freq (readers, relaxed,
 *   below saturation only) and pins. 2. An update publishes a new item; the old
 *   one is freed after a grace period and with pins == 0.
 * Layout: 28 bytes of header, then key_len bytes of key, then value_len bytes
 *   of value. No padding; the allocator rounds.
 */
#ifndef STORE_ITEM_H
#define STORE_ITEM_H

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
	uint8_t freq;          /* atomic; S3-FIFO's 2-bit counter */
	uint8_t mark;          /* owner's: queue and state */
	/* key, then value: item_key, item_value. offsetof is 28; sizeof would pad. */
	uint8_t bytes[];
};

enum { ITEM_HEADER_LEN = offsetof(struct item, bytes) };
_Static_assert(ITEM_HEADER_LEN == 28, "header budget");

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
