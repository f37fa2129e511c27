/*
 * memcached_text.h - lines, tokens and numbers as memcached 1.6.18 reads them.
 *
 * Purpose: what parser and composer share (internal to the protocol). The
 *   composer reads a command line again instead of keeping its flags.
 * Threads: any; no state. Memory: borrowed; views into the line.
 * Bounds: MEMCACHED_TOKENS_MAX tokens at a time; the rest can be cut again.
 */
#ifndef PROTO_MEMCACHED_TEXT_H
#define PROTO_MEMCACHED_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/now.h"
#include "base/view.h"

enum memcached_line {
	LINE_NONE = 0,
#define LINE(suffix, text) LINE_##suffix,
#include "proto/memcached_line.def"
#undef LINE
	LINE_COUNT
};

/* The text of a line with its CRLF. */
struct view memcached_text_fixed(enum memcached_line line);

/*
 * The line that starts at `at`: up to LF, without LF, one CR before it (unless the
 * line is but that CR), and whatever follows a NUL. False when there is no LF.
 * *next is where the following line or data block starts.
 */
bool memcached_text_line(struct view payload, uint32_t at, struct view *line, uint32_t *next);

enum { MEMCACHED_TOKENS_MAX = 23 };

struct memcached_tokens {
	struct view at[MEMCACHED_TOKENS_MAX];
	uint32_t count;
	struct view rest; /* what was not cut: empty unless count is MEMCACHED_TOKENS_MAX */
};

/* Cuts a line at its blanks (0x20 only); runs of blanks count as one. */
void memcached_text_tokens(struct view line, struct memcached_tokens *tokens);

/*
 * Decimal numbers by the rules of strtoull(3), strtoul(3) and strtol(3) as memcached
 * applies them: leading white space and a sign are allowed, white space may follow.
 * 32-bit ones are cut to 32 bits, as there.
 */
bool memcached_text_u64(struct view token, uint64_t *number);
bool memcached_text_u32(struct view token, uint32_t *number);
bool memcached_text_i32(struct view token, int32_t *number);

/*
 * An exptime as absolute wall ms: 0 never, negative already past, up to 30 days
 * relative, above that seconds since 1970.
 */
uint64_t memcached_text_expiry(int32_t exptime, const struct now *now);

/*
 * Base64 as memcached reads it (RFC 4648, but for these: bytes of no meaning are skipped, the end is where
 * padding is). `out` has room for 3 bytes out of 4. Returns how many; 0: not base64.
 */
uint32_t memcached_text_unbase64(struct view text, uint8_t *out);
/* `out` has room for 4 bytes out of 3, rounded up. Returns how many. */
uint32_t memcached_text_base64(struct view bytes, char *out);

static inline bool
memcached_text_is(struct view token, const char *word)
{
	return token.len == strlen(word) && memcmp(token.data, word, token.len) == 0;
}

#endif
