#include "proto/memcached_parser.h"

enum { META_TOKENS_MAX = 19, META_OPAQUE_LEN_MAX = 32 };

struct flags {
	bool quiet, value, has_ttl, has_cas, no_bump, stale, opaque_too_long, binary;
	bool vivify, recache;
	bool vivify_last; /* N stands behind T, and so has the last word on an item made here */
	uint8_t mode;
	uint32_t client_flags;
	uint64_t expiry_ms, vivify_ms, recache_ms, cas, initial, delta;
	enum memcached_line error; /* something wrong that does not end the scan */
};

/* The number behind a flag's letter as wall ms; a bad one is an error that lets the scan go on. */
static bool
argument_expiry(struct view token, const struct now *now, struct flags *flags, uint64_t *wall_ms)
{
	int32_t exptime;

	if (memcached_text_i32(view_of(token.data + 1, token.len - 1), &exptime)) {
		*wall_ms = memcached_text_expiry(exptime, now);
		return true;
	}
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

/* The flags that have an argument. False: no such flag. */
static bool
scan_argument(struct view token, const struct now *now, struct flags *flags)
{
	struct view argument = view_of(token.data + 1, token.len - 1);

	switch (token.data[0]) {
	case 'O': flags->opaque_too_long = token.len > META_OPAQUE_LEN_MAX; break;
	case 'N':
		flags->vivify = true;
		flags->vivify_last = flags->has_ttl;
		argument_expiry(token, now, flags, &flags->vivify_ms);
		break;
	case 'T': flags->has_ttl = argument_expiry(token, now, flags, &flags->expiry_ms); break;
	case 'R': flags->recache = argument_expiry(token, now, flags, &flags->recache_ms); break;
	case 'F': /* the only bad argument without a text of its own */
		if (!memcached_text_u32(argument, &flags->client_flags) && !flags->error)
			flags->error = LINE_BAD_FORMAT;
		break;
	case 'C': flags->has_cas = argument_u64(token, flags, LINE_META_BAD_TOKEN, &flags->cas); break;
	case 'M':
		if (argument.len == 1)
			flags->mode = argument.data[0];
		else
			flags->error = LINE_META_MODE_LENGTH;
		break;
	case 'J': argument_u64(token, flags, LINE_META_INITIAL, &flags->initial); break;
	case 'D': argument_u64(token, flags, LINE_META_DELTA, &flags->delta); break;
	default: return false;
	}
	return true;
}

static bool
scan_flag(struct view token, const struct now *now, struct flags *flags)
{
	switch (token.data[0]) {
	case 'k': case 's': case 't': case 'c': case 'f': case 'h': case 'l': case 'P': case 'L':
		break;
	case 'b': flags->binary = true; break;
	case 'v': flags->value = true; break;
	case 'q': flags->quiet = true; break;
	case 'u': flags->no_bump = true; break;
	case 'I': flags->stale = true; break;
	default: return scan_argument(token, now, flags);
	}
	return true;
}

/* The key as it is kept: decoded, when it came as base64. NULL data: p->full, or *error. */
static struct view
key_of(struct memcached_parser *p, struct view token, bool binary, enum memcached_line *error)
{
	uint8_t *room;
	uint32_t len;

	if (!binary)
		return token;
	room = memcached_parser_room(p, KEY_LEN_MAX);
	if (!room) {
		*error = LINE_NO_MEMORY;
		return view_of(NULL, 0);
	}
	len = memcached_text_unbase64(token, room);
	if (len == 0)
		*error = LINE_META_KEY;
	return view_of(len > 0 ? room : NULL, len);
}

/* All flags from token `first` on; LINE_NONE or what is wrong with them. */
static enum memcached_line
scan_flags(struct memcached_parser *p, struct memcached_tokens *tokens, uint32_t first, struct flags *flags)
{
	uint64_t seen[2] = { 0, 0 };

	*flags = (struct flags){ .delta = 1 };
	for (uint32_t i = first; i < tokens->count; i++) {
		uint8_t letter = tokens->at[i].data[0];

		if (letter >= 127 || (seen[letter / 64] >> letter % 64 & 1))
			return LINE_META_DUPLICATE;
		seen[letter / 64] |= 1ull << letter % 64;
		if (letter == 'b' && !p->session)
			return LINE_META_INVALID; /* a datagram has no room for a decoded key */
		if (!scan_flag(tokens->at[i], p->now, flags))
			return LINE_META_INVALID;
		if (letter == 'b')
			tokens->at[1] = key_of(p, tokens->at[1], true, &flags->error);
	}
	return flags->error;
}

static uint32_t
quiet_verb(const struct flags *flags, enum memcached_verb verb)
{
	return verb | (flags->quiet ? VERB_QUIET : 0);
}

/* What mg asks for beyond the value. */
static void
get_options(struct request *request, const struct flags *flags)
{
	request->flags = (uint16_t)(REQUEST_STATE | (flags->value ? 0 : REQUEST_NO_VALUE) |
	    (flags->no_bump ? REQUEST_NO_BUMP : 0));
	request->expiry_ms = flags->expiry_ms;
	request->initial = flags->has_ttl && !flags->vivify_last ? flags->expiry_ms : flags->vivify_ms;
	request->handle = flags->recache_ms;
	request->options = (flags->vivify ? REQUEST_VIVIFY : 0) | (flags->recache ? REQUEST_RECACHE : 0) |
	    (flags->has_ttl ? 0 : REQUEST_KEEP_TTL);
}

/* mg key flags*: with T or N the owner of the key runs it. */
void
memcached_meta_get(struct memcached_parser *p, struct memcached_tokens *tokens)
{
	struct flags flags;
	enum memcached_line error;
	struct request *request;

	if (tokens->at[1].len > KEY_LEN_MAX)
		error = LINE_BAD_FORMAT;
	else if (tokens->count > META_TOKENS_MAX)
		error = LINE_META_MANY_FLAGS_GET;
	else
		error = scan_flags(p, tokens, 2, &flags);
	if (!error && flags.opaque_too_long)
		error = LINE_META_OPAQUE;
	if (error) {
		memcached_parser_line(p, error, false);
		return;
	}
	request = memcached_parser_add(p, flags.has_ttl || flags.vivify ? OP_GAT : OP_GET,
	    quiet_verb(&flags, VERB_META_GET));
	if (!request)
		return;
	request->key = tokens->at[1];
	get_options(request, &flags);
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
set_error(struct memcached_parser *p, struct memcached_tokens *tokens, struct flags *flags,
    enum op *op, uint16_t *request_flags)
{
	enum memcached_line error = scan_flags(p, tokens, 3, flags);

	if (error)
		return error;
	if (!set_mode(flags, op, request_flags))
		return LINE_META_MODE;
	return flags->opaque_too_long ? LINE_META_OPAQUE : LINE_NONE;
}

/* ms key length flags* and a data block, which errors in the flags swallow. */
void
memcached_meta_set(struct memcached_parser *p, struct memcached_tokens *tokens)
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
	error = set_error(p, tokens, &flags, &op, &request_flags);
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
	/* I lets a CAS value that is too old store an item marked stale. */
	if (flags.stale && op == OP_SET && request_flags == REQUEST_CAS)
		request->options = REQUEST_STALE;
	request->value = data;
	request->client_flags = flags.client_flags;
	request->expiry_ms = flags.expiry_ms;
	request->version = flags.cas;
}

/* What md and ma have in common, key flags*: whatever is wrong with the flags has one text. */
static enum memcached_line
scan_key_and_flags(struct memcached_parser *p, struct memcached_tokens *tokens, struct flags *flags)
{
	if (tokens->at[1].len > KEY_LEN_MAX)
		return LINE_BAD_FORMAT;
	if (tokens->count > META_TOKENS_MAX)
		return LINE_META_MANY_FLAGS;
	return scan_flags(p, tokens, 2, flags) ? LINE_META_INVALID_OR_DUPLICATE : LINE_NONE;
}

/* md key flags* */
void
memcached_meta_delete(struct memcached_parser *p, struct memcached_tokens *tokens)
{
	struct flags flags;
	enum memcached_line error = scan_key_and_flags(p, tokens, &flags);
	struct request *request;

	if (!error && flags.opaque_too_long)
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
	if (!flags.stale)
		return;
	request->options = REQUEST_STALE | (flags.has_ttl ? 0 : REQUEST_KEEP_TTL);
	request->expiry_ms = flags.expiry_ms;
}

/* The operation of an ma mode. False: no such mode. */
static bool
count_mode(uint8_t mode, enum op *op)
{
	*op = mode == 'D' || mode == '-' ? OP_DECR : OP_INCR;
	return mode == 0 || mode == 'I' || mode == '+' || *op == OP_DECR;
}

/* ma key flags* */
void
memcached_meta_count(struct memcached_parser *p, struct memcached_tokens *tokens)
{
	struct flags flags;
	enum memcached_line error = scan_key_and_flags(p, tokens, &flags);
	struct request *request;
	enum op op = OP_INCR;

	if (!error && !count_mode(flags.mode, &op))
		error = LINE_META_COUNT_MODE;
	else if (!error && flags.opaque_too_long)
		error = LINE_META_OPAQUE;
	if (error) {
		memcached_parser_line(p, error, false);
		return;
	}
	request = memcached_parser_add(p, op, quiet_verb(&flags, VERB_META_COUNT));
	if (!request)
		return;
	request->key = tokens->at[1];
	request->flags = (uint16_t)(REQUEST_KEEP_WIDTH | (flags.cas ? REQUEST_CAS : 0) |
	    (flags.vivify ? REQUEST_CREATE : 0) | (flags.value ? 0 : REQUEST_NO_VALUE));
	request->version = flags.cas;
	request->delta = flags.delta;
	request->initial = flags.initial;
	request->expiry_ms = flags.has_ttl && !flags.vivify_last ? flags.expiry_ms : flags.vivify_ms;
	request->options = flags.has_ttl ? REQUEST_RENEW : 0;
	request->handle = flags.expiry_ms;
}

/* me key [b] */
void
memcached_meta_debug(struct memcached_parser *p, struct memcached_tokens *tokens)
{
	enum memcached_line error = tokens->count < 2 || tokens->at[1].len > KEY_LEN_MAX ? LINE_BAD_FORMAT : LINE_NONE;
	bool binary = tokens->count > 2 && memcached_text_is(tokens->at[2], "b") && p->session;
	struct request *request;
	struct view key = { NULL, 0 };

	if (!error)
		key = key_of(p, tokens->at[1], binary, &error);
	if (error) {
		memcached_parser_line(p, error == LINE_META_KEY ? LINE_BAD_FORMAT : error, false);
		return;
	}
	request = memcached_parser_add(p, OP_META, VERB_META_DEBUG);
	if (request)
		request->key = key;
}
