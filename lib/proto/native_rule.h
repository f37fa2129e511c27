/*
 * native_rule.h - what each operation of the native protocol may and must carry.
 *
 * Purpose: the server's parser and the client's composer read the same table.
 * Threads: any. Memory: none. For lib/proto/native_*.c only.
 */
#ifndef PROTO_NATIVE_RULE_H
#define PROTO_NATIVE_RULE_H

#include "proto/native.h"

/* What an operation has for a key; where there is none, what its slot means. */
enum native_key {
	NATIVE_KEY_NONE = 0, /* slot 0 */
	NATIVE_KEY_NEEDED,   /* 1..KEY_LEN_MAX bytes; slot of the key or NONE */
	NATIVE_KEY_GROUP,    /* 0..KEY_LEN_MAX bytes that are no key; slot 0 */
	NATIVE_KEY_SLOT,     /* no key, but the slot of one */
	NATIVE_KEY_PREFIX,   /* 0..KEY_LEN_MAX bytes that keys begin with, and a slot */
};

struct native_rule {
	uint8_t key;        /* enum native_key */
	uint8_t flags;      /* NATIVE_OP_* allowed */
	uint8_t extras_len; /* without what flags add */
	bool has_value;
};

static inline const struct native_rule *
native_rule(uint8_t op)
{
	enum { SET_FLAGS = NATIVE_OP_ADD | NATIVE_OP_REPLACE | NATIVE_OP_CAS };
	static const struct native_rule rules[OP_COUNT] = {
		[OP_GET] = { NATIVE_KEY_NEEDED, NATIVE_OP_RANGE, 0, false },
		[OP_SET] = { NATIVE_KEY_NEEDED, SET_FLAGS, 12, true },
		[OP_DELETE] = { NATIVE_KEY_NEEDED, NATIVE_OP_CAS, 0, false },
		[OP_TOUCH] = { NATIVE_KEY_NEEDED, 0, 8, false },
		[OP_GAT] = { NATIVE_KEY_NEEDED, 0, 8, false },
		[OP_INCR] = { NATIVE_KEY_NEEDED, NATIVE_OP_CREATE, 8, false },
		[OP_DECR] = { NATIVE_KEY_NEEDED, NATIVE_OP_CREATE, 8, false },
		[OP_APPEND] = { NATIVE_KEY_NEEDED, NATIVE_OP_CAS, 0, true },
		[OP_PREPEND] = { NATIVE_KEY_NEEDED, NATIVE_OP_CAS, 0, true },
		[OP_META] = { NATIVE_KEY_NEEDED, 0, 0, false },
		[OP_PING] = { NATIVE_KEY_NONE, 0, 0, false },
		[OP_TOPOLOGY] = { NATIVE_KEY_NONE, 0, 4, false },
		[OP_STATS] = { NATIVE_KEY_GROUP, 0, 4, false },
		[OP_UPLOAD_BEGIN] = { NATIVE_KEY_NEEDED, 0, 16, false },
		[OP_UPLOAD_CHUNK] = { NATIVE_KEY_SLOT, 0, 12, true },
		[OP_UPLOAD_COMMIT] = { NATIVE_KEY_SLOT, SET_FLAGS, 8, false },
		[OP_UPLOAD_ABORT] = { NATIVE_KEY_SLOT, 0, 8, false },
		[OP_FLUSH] = { NATIVE_KEY_NONE, 0, 8, false },
		[OP_KEYS] = { NATIVE_KEY_PREFIX, 0, 12, false },
		[OP_EVICT] = { NATIVE_KEY_SLOT, 0, 4, false },
		[OP_EXPIRE] = { NATIVE_KEY_SLOT, 0, 8, false },
	};

	return &rules[op < OP_COUNT ? op : OP_NONE];
}

/* Whether the slot of an operation is to be looked at. */
static inline bool
native_names_slot(const struct native_rule *rule)
{
	return rule->key == NATIVE_KEY_NEEDED || rule->key == NATIVE_KEY_SLOT || rule->key == NATIVE_KEY_PREFIX;
}

/* Length of an operation's extras with these flags. */
static inline uint32_t
native_extras_len(const struct native_rule *rule, uint8_t flags)
{
	return rule->extras_len + (flags & NATIVE_OP_CAS ? 8u : 0) +
	    (flags & (NATIVE_OP_CREATE | NATIVE_OP_RANGE) ? 16u : 0);
}

_Static_assert((int)NATIVE_OP_ADD == REQUEST_ADD && (int)NATIVE_OP_REPLACE == REQUEST_REPLACE &&
    (int)NATIVE_OP_CAS == REQUEST_CAS && (int)NATIVE_OP_CREATE == REQUEST_CREATE &&
    (int)NATIVE_OP_RANGE == REQUEST_RANGE, "flags travel as they are");

#endif
