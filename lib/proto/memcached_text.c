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

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value of a digit, 0 for padding; -1: no digit. */
static int
base64_digit(uint8_t c)
{
	const char *at = c != 0 ? strchr(base64_digits, c) : NULL;

	return at ? (int)(at - base64_digits) : c == '=' ? 0 : -1;
}

uint32_t
memcached_text_unbase64(struct view text, uint8_t *out)
{
	uint32_t count = 0, len = 0, pad = 0, group = 0;

	for (uint32_t i = 0; i < text.len; i++)
		count += base64_digit(text.data[i]) >= 0;
	if (count % 4 != 0)
		return 0;
	count = 0;
	for (uint32_t i = 0; i < text.len && pad == 0; i++) {
		int digit = base64_digit(text.data[i]);

		if (digit < 0)
			continue;
		group = group << 6 | (uint32_t)digit;
		count += 1 + (text.data[i] == '=' ? 0x100 : 0);
		if ((count & 0xff) < 4)
			continue;
		pad = count >> 8;
		out[len++] = (uint8_t)(group >> 16);
		out[len++] = (uint8_t)(group >> 8);
		out[len++] = (uint8_t)group;
		group = count = 0;
	}
	return pad > 2 ? 0 : len - pad;
}

uint32_t
memcached_text_base64(struct view bytes, char *out)
{
	uint32_t len = 0;

	for (uint32_t i = 0; i < bytes.len; i += 3) {
		uint32_t left = bytes.len - i, group = (uint32_t)bytes.data[i] << 16;

		group |= left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0;
		group |= left > 2 ? bytes.data[i + 2] : 0;
		out[len++] = base64_digits[group >> 18];
		out[len++] = base64_digits[group >> 12 & 63];
		out[len++] = left > 1 ? base64_digits[group >> 6 & 63] : '=';
		out[len++] = left > 2 ? base64_digits[group & 63] : '=';
	}
	return len;
}
