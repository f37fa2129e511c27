/*
 * bytes.h - unaligned loads and stores, and bounds-checked cursors over them.
 *
 * Purpose: every parser reads through a cursor, so that no length field can
 *   lead outside its frame. Native protocol: little-endian. Network headers
 *   and memcached's UDP header: big-endian.
 * Threads: any. Memory: borrowed.
 * Invariants: 1. at <= end. 2. once failed, a cursor stays failed and yields
 *   zeros, so a parser may read a whole header and look at `failed` once.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/view.h"

static inline uint16_t load_le16(const void *p) { uint16_t v; memcpy(&v, p, 2); return v; }
static inline uint32_t load_le32(const void *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static inline uint64_t load_le64(const void *p) { uint64_t v; memcpy(&v, p, 8); return v; }
static inline void store_le16(void *p, uint16_t v) { memcpy(p, &v, 2); }
static inline void store_le32(void *p, uint32_t v) { memcpy(p, &v, 4); }
static inline void store_le64(void *p, uint64_t v) { memcpy(p, &v, 8); }
static inline uint16_t load_be16(const void *p) { return __builtin_bswap16(load_le16(p)); }
static inline uint32_t load_be32(const void *p) { return __builtin_bswap32(load_le32(p)); }
static inline uint64_t load_be64(const void *p) { return __builtin_bswap64(load_le64(p)); }
static inline void store_be16(void *p, uint16_t v) { store_le16(p, __builtin_bswap16(v)); }
static inline void store_be32(void *p, uint32_t v) { store_le32(p, __builtin_bswap32(v)); }

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "loads assume a little-endian machine");

struct reader {
	const uint8_t *at;
	const uint8_t *end;
	bool failed;
};

static inline struct reader
reader_of(const void *data, size_t len)
{
	/* An empty view may be nowhere, and nothing may be added to NULL, not even 0 (C11 6.5.6). */
	return (struct reader){ data, len ? (const uint8_t *)data + len : data, false };
}

static inline size_t
reader_left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

/* The next len bytes, or NULL (and failed) when there are fewer. */
static inline const uint8_t *
reader_take(struct reader *r, size_t len)
{
	const uint8_t *at = r->at;

	if (r->failed || reader_left(r) < len) {
		r->failed = true;
		return NULL;
	}
	r->at += len;
	return at;
}

static inline struct view
reader_view(struct reader *r, uint32_t len)
{
	const uint8_t *at = reader_take(r, len);

	return at ? view_of(at, len) : view_of(NULL, 0);
}

static inline uint8_t
reader_u8(struct reader *r)
{
	const uint8_t *at = reader_take(r, 1);

	return at ? *at : 0;
}

static inline uint16_t
reader_le16(struct reader *r)
{
	const uint8_t *at = reader_take(r, 2);

	return at ? load_le16(at) : 0;
}

static inline uint32_t
reader_le32(struct reader *r)
{
	const uint8_t *at = reader_take(r, 4);

	return at ? load_le32(at) : 0;
}

static inline uint64_t
reader_le64(struct reader *r)
{
	const uint8_t *at = reader_take(r, 8);

	return at ? load_le64(at) : 0;
}

struct writer {
	uint8_t *at;
	uint8_t *end;
	bool failed; /* something did not fit; nothing of it was written */
};

static inline struct writer
writer_of(void *data, size_t size)
{
	return (struct writer){ data, (uint8_t *)data + size, false };
}

static inline size_t
writer_left(const struct writer *w)
{
	return (size_t)(w->end - w->at);
}

/* Room for the next len bytes, or NULL (and failed). */
static inline uint8_t *
writer_take(struct writer *w, size_t len)
{
	uint8_t *at = w->at;

	if (w->failed || writer_left(w) < len) {
		w->failed = true;
		return NULL;
	}
	w->at += len;
	return at;
}

static inline void
writer_bytes(struct writer *w, const void *data, size_t len)
{
	uint8_t *at = writer_take(w, len);

	if (at && len)
		memcpy(at, data, len);
}

static inline void
writer_text(struct writer *w, const char *text)
{
	writer_bytes(w, text, strlen(text));
}

static inline void
writer_u8(struct writer *w, uint8_t v)
{
	writer_bytes(w, &v, 1);
}

static inline void
writer_le16(struct writer *w, uint16_t v)
{
	writer_bytes(w, &v, 2);
}

static inline void
writer_le32(struct writer *w, uint32_t v)
{
	writer_bytes(w, &v, 4);
}

static inline void
writer_le64(struct writer *w, uint64_t v)
{
	writer_bytes(w, &v, 8);
}

#endif
