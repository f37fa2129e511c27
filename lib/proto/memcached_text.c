#include "proto/memcached_text.h"

#include "base/check.h"

struct view
memcached_text_fixed(enum memcached_line line)
{
	switch (line) {
#define LINE(suffix, text) \
	case LINE_##suffix: \
		return view_of(text "\r\n", sizeof text + 1);
#include "proto/memcached_line.def"
#undef LINE
	default:
		check_fail(__FILE__, __LINE__, "a line of memcached_line.def");
	}
}

bool
memcached_text_line(struct view payload, uint32_t at, struct view *line, uint32_t *next)
{
	const uint8_t *start = payload.data + at, *lf, *nul;
	uint32_t len;

	if (at >= payload.len)
		return false;
	lf = memchr(start, '\n', payload.len - at);
	if (!lf)
		return false;
	len = (uint32_t)(lf - start);
	*next = at + len + 1;
	if (len > 1 && start[len - 1] == '\r')
		len--;
	nul = memchr(start, '\0', len);
	*line = view_of(start, nul ? (uint32_t)(nul - start) : len);
	return true;
}

void
memcached_text_tokens(struct view line, struct memcached_tokens *tokens)
{
	const uint8_t *at = line.data, *end = line.data + line.len, *blank;

	tokens->count = 0;
	while (at < end && tokens->count < MEMCACHED_TOKENS_MAX) {
		if (*at == ' ') {
			at++;
			continue;
		}
		blank = memchr(at, ' ', (size_t)(end - at));
		if (!blank)
			blank = end;
		tokens->at[tokens->count++] = view_of(at, (uint32_t)(blank - at));
		at = blank;
	}
	tokens->rest = view_of(at, (uint32_t)(end - at));
}

static bool
is_white(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Sign and magnitude of a decimal number; false when malformed or over 64 bits. */
static bool
scan(struct view token, bool *negative, uint64_t *magnitude)
{
	const uint8_t *at = token.data, *end = token.data + token.len, *digits;

	*negative = false;
	*magnitude = 0;
	while (at < end && is_white(*at))
		at++;
	if (at < end && (*at == '-' || *at == '+'))
		*negative = *at++ == '-';
	for (digits = at; at < end && *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(*magnitude, 10, magnitude) ||
		    __builtin_add_overflow(*magnitude, *at - '0', magnitude))
			return false;
	return at > digits && (at == end || is_white(*at));
}

/* -1 wraps to a huge number and is refused; -18446744073709551615 wraps to 1 and is not. */
bool
memcached_text_u64(struct view token, uint64_t *number)
{
	bool negative;

	if (!scan(token, &negative, number))
		return false;
	if (negative)
		*number = -*number;
	return (int64_t)*number >= 0 || !memchr(token.data, '-', token.len);
}

bool
memcached_text_u32(struct view token, uint32_t *number)
{
	uint64_t wide;

	if (!memcached_text_u64(token, &wide))
		return false;
	*number = (uint32_t)wide;
	return true;
}

bool
memcached_text_i32(struct view token, int32_t *number)
{
	uint64_t magnitude;
	bool negative;

	if (!scan(token, &negative, &magnitude))
		return false;
	if (magnitude > (uint64_t)INT64_MAX + negative)
		return false;
	*number = (int32_t)(uint32_t)(negative ? -magnitude : magnitude);
	return true;
}

uint64_t
memcached_text_expiry(int32_t exptime, const struct now *now)
{
	enum { RELATIVE_MAX_S = 30 * 24 * 3600 };

	if (exptime == 0)
		return 0;
	if (exptime < 0)
		return 1;
	if (exptime > RELATIVE_MAX_S)
		return (uint64_t)exptime * MS_PER_SEC;
	return now->wall_ms + (uint64_t)exptime * MS_PER_SEC;
}
