/* resp_read.c - bytes to arguments: multibulk and inline commands, as Redis' networking.c takes them. */
#include <ctype.h>

#include "proto/resp.h"

bool
resp_number(struct view text, int64_t *number)
{
	bool negative = text.len > 0 && text.data[0] == '-';
	uint32_t i = negative;
	uint64_t n = 0;

	if (text.len == i || text.len > 20)
		return false;
	if (text.data[i] == '0' && (negative || text.len > 1))
		return false;
	for (; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9' || __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, text.data[i] - '0', &n))
			return false;
	}
	if (n > (uint64_t)INT64_MAX + negative)
		return false;
	*number = negative ? (int64_t)(0 - n) : (int64_t)n;
	return true;
}

bool
resp_is(struct view arg, const char *word)
{
	return arg.len == strlen(word) && strncasecmp((const char *)arg.data, word, arg.len) == 0;
}

/* One step of a set [...] of a pattern; *at stands on the '[' and then on its last byte. */
static bool
glob_set(struct view pattern, uint32_t *at, int c, bool ignore_case)
{
	uint32_t i = *at + 1;
	bool negated = i < pattern.len && pattern.data[i] == '^', match = false;

	i += negated;
	for (;; i++) {
		if (i >= pattern.len) {
			i--; /* no end: what there is counts */
			break;
		}
		if (pattern.data[i] == '\\' && pattern.len - i >= 2) {
			match |= pattern.data[++i] == c;
		} else if (pattern.data[i] == ']') {
			break;
		} else if (pattern.len - i >= 3 && pattern.data[i + 1] == '-') {
			int low = pattern.data[i], high = pattern.data[i + 2], seen = c;

			if (low > high) {
				low = high;
				high = pattern.data[i];
			}
			if (ignore_case) {
				low = tolower(low);
				high = tolower(high);
				seen = tolower(c);
			}
			i += 2;
			match |= seen >= low && seen <= high;
		} else {
			match |= ignore_case ? tolower(pattern.data[i]) == tolower(c) : pattern.data[i] == c;
		}
	}
	*at = i;
	return match != negated;
}

static bool
glob_one(struct view pattern, uint32_t *at, int c, bool ignore_case)
{
	int p = pattern.data[*at];

	if (p == '?')
		return true;
	if (p == '[')
		return glob_set(pattern, at, c, ignore_case);
	if (p == '\\' && pattern.len - *at >= 2)
		p = pattern.data[++*at];
	return ignore_case ? tolower(p) == tolower(c) : p == c;
}

/*
 * Without recursion: of several stars only the last one may have to take more, as what matched before it would
 * match then, too. Time is the product of the lengths at worst.
 */
bool
resp_glob(struct view pattern, struct view text, bool ignore_case)
{
	uint32_t p = 0, t = 0, star = UINT32_MAX, star_text = 0;

	while (t < text.len) {
		uint32_t at = p;

		if (p < pattern.len && pattern.data[p] == '*') {
			star = p++;
			star_text = t;
		} else if (p < pattern.len && glob_one(pattern, &at, text.data[t], ignore_case)) {
			p = at + 1;
			t++;
		} else if (star != UINT32_MAX) {
			p = star + 1;
			t = ++star_text;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.data[p] == '*')
		p++;
	return p == pattern.len;
}

/* --- inline commands ---------------------------------------------------------------- */

static int
hex_of(int c)
{
	return c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
}

/* The byte that a backslash in double quotes stands for; *i moves to its last one. */
static uint8_t
unescape(struct view line, uint32_t *i)
{
	uint32_t left = line.len - *i;
	const uint8_t *at = line.data + *i;

	if (left >= 4 && at[1] == 'x' && isxdigit(at[2]) && isxdigit(at[3])) {
		*i += 3;
		return (uint8_t)(hex_of(at[2]) << 4 | hex_of(at[3]));
	}
	++*i;
	switch (at[1]) {
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case 'b':
		return '\b';
	case 'a':
		return '\a';
	default:
		return at[1];
	}
}

/* A word with quotes in it, unquoted to the piece. False: a quote is open, or text follows it. */
static bool
quoted_word(struct view line, uint32_t *i, struct resp_piece *words, struct view *word)
{
	uint8_t quote = 0;

	*word = view_of(words->bytes + words->len, 0);
	for (; *i < line.len; ++*i) {
		uint8_t c = line.data[*i];

		if (quote == 0 && isspace(c))
			break;
		if (quote == 0 && (c == '"' || c == '\'')) {
			quote = c;
			continue;
		}
		if (c == quote && quote != 0) {
			if (*i + 1 < line.len && !isspace(line.data[*i + 1]))
				return false;
			quote = 0;
			++*i;
			break;
		}
		if (c == '\\' && quote == '"' && *i + 1 < line.len)
			c = unescape(line, i);
		else if (c == '\\' && quote == '\'' && *i + 1 < line.len && line.data[*i + 1] == '\'')
			c = line.data[++*i];
		words->bytes[words->len++] = c;
		word->len++;
	}
	return quote == 0;
}

static enum resp_found
read_words(struct view line, struct resp_piece *words, struct resp_args *args, struct resp_hole *hole)
{
	uint32_t i = 0;

	args->is_inline = true;
	for (;;) {
		struct view word;
		uint32_t start;

		while (i < line.len && isspace(line.data[i]))
			i++;
		if (i == line.len)
			break;
		for (start = i; i < line.len && !isspace(line.data[i]); i++)
			if (line.data[i] == '"' || line.data[i] == '\'')
				break;
		word = view_of(line.data + start, i - start);
		if (i < line.len && !isspace(line.data[i])) {
			if (!words || words->size < line.len) {
				hole->wanted = line.len;
				return RESP_NEEDS_WORDS;
			}
			if (!args->quoted)
				words->len = 0;
			args->quoted = true;
			i = start;
			if (!quoted_word(line, &i, words, &word)) {
				hole->error = RESP_REPLY_BROKEN_QUOTES;
				return RESP_BROKEN;
			}
		}
		if (args->held == RESP_ARGS_HELD) {
			hole->error = RESP_REPLY_BROKEN_WORDS;
			return RESP_BROKEN;
		}
		args->at[args->held++] = word;
	}
	args->count = args->held;
	return RESP_WHOLE;
}

static enum resp_found
read_inline(struct view bytes, struct resp_piece *words, struct resp_args *args, struct resp_hole *hole)
{
	const uint8_t *end = memchr(bytes.data, '\n', bytes.len);
	uint32_t len;

	if (!end) {
		hole->error = RESP_REPLY_BROKEN_INLINE;
		hole->wanted = bytes.len + 1;
		return bytes.len > RESP_LINE_MAX ? RESP_BROKEN : RESP_CUT;
	}
	len = (uint32_t)(end - bytes.data);
	args->text.len = len + 1;
	if (len > 0 && bytes.data[len - 1] == '\r')
		len--;
	return read_words(view_of(bytes.data, len), words, args, hole);
}

/* --- multibulk commands ------------------------------------------------------------- */

/* The number behind the byte at `*at`, up to CR and one byte more. */
static enum resp_found
read_length(struct view bytes, uint32_t *at, int64_t *number, uint8_t too_big, uint8_t bad, struct resp_hole *hole)
{
	uint32_t left = bytes.len - *at;
	const uint8_t *start = bytes.data + *at, *end = left > 0 ? memchr(start, '\r', left) : NULL;

	hole->wanted = bytes.len + 1;
	if (!end) {
		hole->error = too_big;
		return left > RESP_LINE_MAX ? RESP_BROKEN : RESP_CUT;
	}
	if (end + 2 > bytes.data + bytes.len)
		return RESP_CUT;
	if (!resp_number(view_of(start + 1, (uint32_t)(end - start) - 1), number)) {
		hole->error = bad;
		return RESP_BROKEN;
	}
	*at = (uint32_t)(end + 2 - bytes.data);
	return RESP_WHOLE;
}

enum resp_found
resp_read_bulk(struct view bytes, uint32_t *at, uint32_t i, bool known, struct resp_args *args, struct resp_hole *hole)
{
	uint32_t left = args->count - i;
	enum resp_found found;
	int64_t len;

	hole->arg = i;
	hole->arg_len = 0;
	if (*at < bytes.len && bytes.data[*at] != '$' && memchr(bytes.data + *at, '\r', bytes.len - *at)) {
		hole->error = RESP_REPLY_NOT_DOLLAR;
		hole->byte = bytes.data[*at];
		return RESP_BROKEN;
	}
	found = read_length(bytes, at, &len, RESP_REPLY_BROKEN_BULK_COUNT, RESP_REPLY_BROKEN_BULK, hole);
	if (found != RESP_WHOLE)
		return found;
	if (len < 0 || len > RESP_BULK_MAX || (!known && len > 16384)) {
		hole->error = len >= 0 && len <= RESP_BULK_MAX ? RESP_REPLY_BROKEN_STRANGER_BULK : RESP_REPLY_BROKEN_BULK;
		return RESP_BROKEN;
	}
	hole->arg_at = *at;
	hole->arg_len = (uint32_t)len;
	/* Each argument to come takes six bytes at least: "$0", and CRLF twice. */
	if (len > VALUE_LEN_MAX || *at + (uint64_t)len + 2 + (left - 1) * 6ull > RESP_COMMAND_MAX) {
		hole->error = len > VALUE_LEN_MAX ? RESP_REPLY_TOO_LARGE : RESP_REPLY_TOO_LONG;
		hole->consumed = *at;
		hole->skip_bytes = (uint32_t)len + 2;
		hole->skip_args = left - 1;
		return RESP_REFUSED;
	}
	if (bytes.len - *at < (uint64_t)len + 2) {
		hole->wanted = *at + (uint32_t)len + 2;
		return RESP_CUT;
	}
	if (i < RESP_ARGS_HELD)
		args->at[args->held++] = view_of(bytes.data + *at, (uint32_t)len);
	*at += (uint32_t)len + 2;
	return RESP_WHOLE;
}

enum resp_found
resp_read(struct view bytes, bool known, struct resp_piece *words, struct resp_args *args, struct resp_hole *hole)
{
	struct resp_mark none = { 0, 0 };

	return resp_read_on(bytes, known, words, args, hole, &none);
}

enum resp_found
resp_read_on(struct view bytes, bool known, struct resp_piece *words, struct resp_args *args, struct resp_hole *hole,
    struct resp_mark *mark)
{
	enum resp_found found;
	uint32_t at = 0;
	int64_t count;

	args->text = view_of(bytes.data, 0);
	args->count = args->held = 0;
	args->quoted = args->is_inline = false;
	hole->arg = hole->arg_len = 0;
	if (bytes.len == 0) {
		hole->wanted = 1;
		return RESP_CUT;
	}
	if (bytes.data[0] != '*')
		return read_inline(bytes, words, args, hole);
	found = read_length(bytes, &at, &count, RESP_REPLY_BROKEN_COUNT, RESP_REPLY_BROKEN_MULTIBULK, hole);
	if (found != RESP_WHOLE)
		return found;
	if (count > INT32_MAX || (!known && count > 10)) {
		hole->error = count > INT32_MAX ? RESP_REPLY_BROKEN_MULTIBULK : RESP_REPLY_BROKEN_STRANGER;
		return RESP_BROKEN;
	}
	args->count = count > 0 ? (uint32_t)count : 0;
	for (uint32_t i = 0; i < args->count; i++) {
		uint32_t begin;

		if (i == RESP_ARGS_HELD && mark->arg > i) {
			i = mark->arg;
			at = mark->at;
		}
		begin = at;
		found = resp_read_bulk(bytes, &at, i, known, args, hole);
		if (found == RESP_CUT)
			*mark = (struct resp_mark){ i, begin };
		if (found != RESP_WHOLE)
			return found;
	}
	args->text.len = at;
	return RESP_WHOLE;
}

struct resp_walk
resp_walk_from(const struct resp_args *args, uint32_t first)
{
	struct resp_walk walk = { args, first, 0 };

	if (!args->is_inline && first > 0 && first < args->held)
		/* In front of a held argument stands its length. */
		walk.at = (uint32_t)(args->at[first - 1].data + args->at[first - 1].len + 2 - args->text.data);
	else if (!args->is_inline)
		walk.at = (uint32_t)((const uint8_t *)memchr(args->text.data, '\r', args->text.len) + 2 - args->text.data);
	return walk;
}

bool
resp_walk_next(struct resp_walk *walk, struct view *arg)
{
	const uint8_t *at = walk->args->text.data + walk->at;
	uint32_t len = 0;

	if (walk->index >= walk->args->count)
		return false;
	if (walk->args->is_inline) {
		*arg = walk->args->at[walk->index++];
		return true;
	}
	for (at++; *at != '\r'; at++)
		len = len * 10 + (*at - '0');
	*arg = view_of(at + 2, len);
	walk->at = (uint32_t)(at + 2 + len + 2 - walk->args->text.data);
	walk->index++;
	return true;
}
