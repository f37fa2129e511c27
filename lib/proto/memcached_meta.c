#include "proto/memcached_parser.h"

enum { META_TOKENS_MAX = 19, META_OPAQUE_LEN_MAX = 32 };

struct flags {
	bool quiet, value, has_ttl, has_cas, no_bump, stale, opaque_too_long;
	uint8_t mode;
	uint32_t client_flags;
	uint64_t expiry_ms, cas;
	enum memcached_line error; /* something wrong that does not end the scan */
};

/* The number behind a flag's letter; a bad one is an error that lets the scan go on. */
static bool
argument_i32(struct view token, struct flags *flags, int32_t *number)
{
	if (memcached_text_i32(view_of(token.data + 1, token.len - 1), number))
		return true;
	flags->error = LINE_META_BAD_TOKEN;
	return false;
}

static bool
argument_u64(struct view token, struct flags *flags, enum memcached_line error, uint64_t *number)
{
	if (memcached_text_u64(view_of(token.data + 1, token.len - 1), number))
		return true;
	flags->error = error;
	return false;
}

/*
 * One flag. False for a letter that is unknown, or that needs state an item does
 * not keep here: b (binary keys), N and R (tokens of refill), h and l (access times).
 */
static bool
scan_flag(struct view token, const struct now *now, struct flags *flags)
{
	struct view argument = view_of(token.data + 1, token.len - 1);
	uint64_t unused;
	int32_t exptime;

	switch (token.data[0]) {
	case 'k': case 's': case 't': case 'c': case 'f': case 'P': case 'L':
		break;
	case 'O': flags->opaque_too_long = token.len > META_OPAQUE_LEN_MAX; break;
	case 'v': flags->value = true; break;
	case 'q': flags->quiet = true; break;
	case 'u': flags->no_bump = true; break;
	case 'I': flags->stale = true; break;
	case 'T':
		if (argument_i32(token, flags, &exptime)) {
			flags->expiry_ms = memcached_text_expiry(exptime, now);
			flags->has_ttl = true;
		}
		break;
	case 'F': /* the only bad argument without a text of its own */
		if (!memcached_text_u32(argument, &flags->client_flags) && !flags->error)
			flags->error = LINE_BAD_FORMAT;
		break;
	case 'C':
		flags->has_cas = argument_u64(token, flags, LINE_META_BAD_TOKEN, &flags->cas);
		break;
	case 'M':
		if (argument.len == 1)
			flags->mode = argument.data[0];
		else
			flags->error = LINE_META_MODE_LENGTH;
		break;
	case 'J': argument_u64(token, flags, LINE_META_INITIAL, &unused); break;
	case 'D': argument_u64(token, flags, LINE_META_DELTA, &unused); break;
	default: return false;
	}
	return true;
}

/* All flags from token `first` on; LINE_NONE or what is wrong with them. */
static enum memcached_line
scan_flags(const struct memcached_tokens *tokens, uint32_t first, const struct now *now,
    struct flags *flags)
{
	uint64_t seen[2] = { 0, 0 };

	*flags = (struct flags){ 0 };
	for (uint32_t i = first; i < tokens->count; i++) {
		uint8_t letter = tokens->at[i].data[0];

		if (letter >= 127 || (seen[letter / 64] >> letter % 64 & 1))
			return LINE_META_DUPLICATE;
		seen[letter / 64] |= 1ull << letter % 64;
		if (!scan_flag(tokens->at[i], now, flags))
			return LINE_META_INVALID;
	}
	return flags->error;
}

static uint32_t
quiet_verb(const struct flags *flags, enum memcached_verb verb)
{
	return verb | (flags->quiet ? VERB_QUIET : 0);
}

/* mg key flags*: T makes it a get-and-touch. */
void
memcached_meta_get(struct memcached_parser *p, const struct memcached_tokens *tokens)
{
	struct flags flags;
	enum memcached_line error;
	struct request *request;

	if (tokens->at[1].len > KEY_LEN_MAX)
		error = LINE_BAD_FORMAT;
	else if (tokens->count > META_TOKENS_MAX)
		error = LINE_META_MANY_FLAGS_GET;
	else
		error = scan_flags(tokens, 2, p->now, &flags);
	if (!error && flags.opaque_too_long)
		error = LINE_META_OPAQUE;
	if (error) {
		memcached_parser_line(p, error, false);
		return;
	}
	request = memcached_parser_add(p, flags.has_ttl ? OP_GAT : OP_GET,
	    quiet_verb(&flags, VERB_META_GET));
	if (!request)
		return;
	request->key = tokens->at[1];
	request->expiry_ms = flags.expiry_ms;
	request->flags = (uint16_t)((flags.value ? 0 : REQUEST_NO_VALUE) |
	    (flags.no_bump ? REQUEST_NO_BUMP : 0));
}

/* What mode and CAS make of a set: its operation and flags. False: no such mode. */
static bool
set_mode(const struct flags *flags, enum op *op, uint16_t *request_flags)
{
	uint16_t cas = flags->has_cas ? REQUEST_CAS : 0;

	*op = OP_SET;
	switch (flags->mode) {
	case 0: case 'S': *request_flags = cas; return true;
	/* With a CAS value replace is cas: the item is present or the answer is NF. */
	case 'R': *request_flags = cas ? cas : REQUEST_REPLACE; return true;
	case 'E': *request_flags = REQUEST_ADD; return true;
	case 'A': *op = OP_APPEND; break;
	case 'P': *op = OP_PREPEND; break;
	default: return false;
	}
	/* Appending under CAS 0 is appending without. */
	*request_flags = flags->cas ? cas : 0;
	return true;
}

/* Flags, mode and size of an ms whose length is known; LINE_NONE when it may be stored. */
static enum memcached_line
set_error(const struct memcached_tokens *tokens, const struct now *now, struct flags *flags,
    enum op *op, uint16_t *request_flags)
{
	enum memcached_line error = scan_flags(tokens, 3, now, flags);

	if (error)
		return error;
	if (!set_mode(flags, op, request_flags))
		return LINE_META_MODE;
	if (flags->opaque_too_long)
		return LINE_META_OPAQUE;
	/* I lets a lower CAS value store an item marked stale; items have no such mark here. */
	if (flags->stale && *op == OP_SET && *request_flags == REQUEST_CAS)
		return LINE_META_INVALID;
	return LINE_NONE;
}

/* ms key length flags* and a data block, which errors in the flags swallow. */
void
memcached_meta_set(struct memcached_parser *p, const struct memcached_tokens *tokens)
{
	struct flags flags;
	enum memcached_line error = LINE_BAD_FORMAT;
	struct request *request;
	uint16_t request_flags = 0;
	enum op op = OP_SET;
	int32_t len;
	struct view data = { NULL, 0 };
	enum memcached_data state;

	if (tokens->at[1].len <= KEY_LEN_MAX && tokens->count > META_TOKENS_MAX)
		error = LINE_META_MANY_FLAGS;
	if (tokens->at[1].len > KEY_LEN_MAX || tokens->count == 2 ||
	    tokens->count > META_TOKENS_MAX || !memcached_text_i32(tokens->at[2], &len) ||
	    len < 0 || len > INT32_MAX - 2) {
		memcached_parser_line(p, error, false);
		return;
	}
	error = set_error(tokens, p->now, &flags, &op, &request_flags);
	if (error || len > VALUE_LEN_MAX) {
		memcached_parser_skip(p, (uint32_t)len);
		state = DATA_WHOLE;
	} else {
		state = memcached_parser_data(p, (uint32_t)len, &data);
	}
	if (state == DATA_LATER)
		return;
	if (error || state == DATA_BAD) {
		memcached_parser_line(p, error ? error : LINE_BAD_CHUNK, false);
		return;
	}
	if (len > VALUE_LEN_MAX)
		request = memcached_parser_add(p, OP_DELETE, VERB_TOO_LARGE);
	else
		request = memcached_parser_add(p, op, quiet_verb(&flags, VERB_META_SET));
	if (!request)
		return;
	request->key = tokens->at[1];
	if (request->op == OP_DELETE)
		return;
	request->flags = request_flags;
	request->value = data;
	request->client_flags = flags.client_flags;
	request->expiry_ms = flags.expiry_ms;
	request->version = flags.cas;
}

/* md key flags*: whatever is wrong with the flags has one text. */
void
memcached_meta_delete(struct memcached_parser *p, const struct memcached_tokens *tokens)
{
	struct flags flags;
	enum memcached_line error = LINE_NONE;
	struct request *request;

	if (tokens->at[1].len > KEY_LEN_MAX)
		error = LINE_BAD_FORMAT;
	else if (tokens->count > META_TOKENS_MAX)
		error = LINE_META_MANY_FLAGS;
	else if (scan_flags(tokens, 2, p->now, &flags) || flags.stale)
		error = LINE_META_INVALID_OR_DUPLICATE;
	else if (flags.opaque_too_long)
		error = LINE_META_OPAQUE;
	if (error) {
		memcached_parser_line(p, error, false);
		return;
	}
	request = memcached_parser_add(p, OP_DELETE, quiet_verb(&flags, VERB_META_DELETE));
	if (!request)
		return;
	request->key = tokens->at[1];
	request->flags = flags.has_cas ? REQUEST_CAS : 0;
	request->version = flags.cas;
}
