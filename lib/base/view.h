/*
 * view.h - a borrowed run of bytes.
 *
 * Purpose: keys and values travel as views; whoever makes one says when it dies.
 * Threads: any. Memory: none; a view owns nothing.
 */
#ifndef BASE_VIEW_H
#define BASE_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct view {
	const uint8_t *data;
	uint32_t len; /* bytes */
};

/* A view of a NUL-terminated text, without its NUL; dies with the text. */
static inline struct view
view_text(const char *text)
{
	return (struct view){ (const uint8_t *)text, (uint32_t)strlen(text) };
}

static inline struct view
view_of(const void *data, uint32_t len)
{
	return (struct view){ data, len };
}

static inline bool
view_equal(struct view a, struct view b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

#endif
