#include "base/bytes.h"
#include "base/check.h"
#include "proto/memcached.h"
#include "proto/memcached_parser.h"
#include "proto/memcached_session.h"

_Static_assert(FRAME_OPS_MAX <= UINT8_MAX, "request->index and deferred->first_op are bytes");

struct request *
memcached_parser_add(struct memcached_parser *p, enum op op, uint32_t verb)
{
	struct request *request;

	if (p->count == FRAME_OPS_MAX) {
		p->full = true;
		return NULL;
	}
	request = &p->requests[p->count];
	*request = (struct request){
		.op = (uint8_t)op,
		.verb = (uint8_t)verb,
		.index = (uint8_t)p->count,
		.text_at = p->text_at,
	};
	p->count++;
	return request;
}

void
memcached_parser_line(struct memcached_parser *p, enum memcached_line line, bool quiet)
{
	struct request *request;

	if (quiet)
		return;
	request = memcached_parser_add(p, OP_NONE, VERB_LINE);
	if (request)
		request->local = (uint8_t)line;
}

enum memcached_data
memcached_parser_data(struct memcached_parser *p, uint32_t len, struct view *data)
{
	uint32_t left = p->payload.len - p->at;

	*data = view_of(p->payload.data + p->at, len);
	if (left < (uint64_t)len + 2 && p->session) {
		if (len >= STREAM_BODY_MIN && p->count == 0) {
			p->value = true;
			return DATA_APART;
		}
		p->wanted = p->at + len + 2;
		p->first = len >= STREAM_BODY_MIN;
		return DATA_LATER;
	}
	if (left < (uint64_t)len + 2) {
		p->at = p->payload.len;
		return DATA_BAD;
	}
	p->at += len + 2;
	return data->data[len] == '\r' && data->data[len + 1] == '\n' ? DATA_WHOLE : DATA_BAD;
}

void
memcached_parser_skip(struct memcached_parser *p, uint32_t len)
{
	uint32_t left = p->payload.len - p->at, rest = left < len + 2 ? len + 2 - left : 0;

	p->at += len + 2 - rest;
	if (p->session)
		p->session->skip = rest;
}

/* A request for one key, or an error line when the key is too long. */
static struct request *
add_keyed(struct memcached_parser *p, enum op op, uint32_t verb, struct view key)
{
	struct request *request;

	if (key.len > KEY_LEN_MAX) {
		memcached_parser_line(p, LINE_BAD_FORMAT, verb & VERB_QUIET);
		return NULL;
	}
	request = memcached_parser_add(p, op, verb);
	if (request)
		request->key = key;
	return request;
}

/*
 * There is no room for a key in this pass: the connection's next ones go on there, once it
 * is known that all keys are good.
 */
static bool
leave_keys(struct memcached_parser *p, struct view key, enum op op, uint32_t verb, uint64_t expiry_ms)
{
	struct memcached_tokens tokens;
	struct view line;
	uint32_t at = (uint32_t)(key.data - p->payload.data), next;

	if (p->session->get_op == 0 && memcached_text_line(p->payload, at, &line, &next)) {
		do {
			memcached_text_tokens(line, &tokens);
			for (uint32_t i = 0; i < tokens.count; i++)
				if (tokens.at[i].len > KEY_LEN_MAX)
					return false;
			line = tokens.rest;
		} while (line.len > 0);
	}
	p->full = false;
	p->stop = true;
	p->session->get_op = (uint8_t)op;
	p->session->get_verb = (uint8_t)verb;
	p->session->get_expiry_ms = expiry_ms;
	p->session->line_left = p->line_end - at;
	p->at = at;
	return true;
}

/* The keys of a get command from token `first` on; they may be more than one set of tokens. */
static bool
add_keys(struct memcached_parser *p, struct memcached_tokens *tokens, uint32_t first,
    enum op op, uint32_t verb, uint64_t expiry_ms)
{
	struct request *request = NULL;

	for (;;) {
		for (uint32_t i = first; i < tokens->count; i++) {
			if (tokens->at[i].len > KEY_LEN_MAX)
				return false;
			request = memcached_parser_add(p, op, verb);
			if (!request)
				return !p->session || leave_keys(p, tokens->at[i], op, verb, expiry_ms);
			request->key = tokens->at[i];
			request->expiry_ms = expiry_ms;
		}
		if (tokens->rest.len == 0)
			break;
		memcached_text_tokens(tokens->rest, tokens);
		first = 0;
	}
	if (request)
		request->verb |= VERB_END;
	else
		memcached_parser_line(p, LINE_END, false);
	return true;
}

void
memcached_parser_go_on(struct memcached_parser *p)
{
	struct memcached_session *session = p->session;
	enum op op = session->get_op;
	struct memcached_tokens tokens;
	struct view line;
	bool good = memcached_text_line(p->payload, p->at, &line, &p->at);

	CHECK(good && p->at == session->line_left);
	p->line_end = p->at;
	memcached_text_tokens(line, &tokens);
	good = add_keys(p, &tokens, 0, op, session->get_verb, session->get_expiry_ms);
	CHECK(good); /* leave_keys has looked */
	if (!p->stop)
		session->get_op = 0;
}

static void
parse_get(struct memcached_parser *p, struct memcached_tokens *tokens, enum op op, uint32_t verb)
{
	uint64_t expiry_ms = 0;
	int32_t exptime;

	if (op == OP_GAT) {
		if (!memcached_text_i32(tokens->at[1], &exptime)) {
			memcached_parser_line(p, LINE_BAD_EXPTIME, false);
			return;
		}
		expiry_ms = memcached_text_expiry(exptime, p->now);
	}
	if (!add_keys(p, tokens, op == OP_GAT ? 2 : 1, op, verb, expiry_ms)) {
		/* One key too long: the error is all the command answers. */
		p->count = p->command_first;
		p->full = false;
		memcached_parser_line(p, LINE_BAD_FORMAT, false);
	}
}

static bool
has_noreply(const struct memcached_tokens *tokens)
{
	return memcached_text_is(tokens->at[tokens->count - 1], "noreply");
}

/* What is too large is thrown away, and by a set also what was there, so that no stale value stays. */
static void
store_too_large(struct memcached_parser *p, struct view key, bool set, uint32_t quiet, uint32_t len)
{
	memcached_parser_skip(p, len);
	if (set)
		add_keyed(p, OP_DELETE, VERB_TOO_LARGE | quiet, key);
	else
		memcached_parser_line(p, LINE_TOO_LARGE, quiet);
}

/* set, add, replace, append, prepend: command key flags exptime bytes [cas] [noreply] */
static void
parse_store(struct memcached_parser *p, const struct memcached_tokens *tokens, enum op op,
    uint16_t flags)
{
	uint32_t quiet = has_noreply(tokens) ? VERB_QUIET : 0, client_flags;
	int32_t exptime, len;
	uint64_t cas = 0;
	struct view data;
	enum memcached_data state;
	struct request *request;

	if (tokens->at[1].len > KEY_LEN_MAX || !memcached_text_u32(tokens->at[2], &client_flags) ||
	    !memcached_text_i32(tokens->at[3], &exptime) || !memcached_text_i32(tokens->at[4], &len) ||
	    ((flags & REQUEST_CAS) && !memcached_text_u64(tokens->at[5], &cas)) ||
	    len < 0 || len > INT32_MAX - 2) {
		/* The length is not to be trusted: what follows is read as commands. */
		memcached_parser_line(p, LINE_BAD_FORMAT, quiet);
		return;
	}
	if (len > VALUE_LEN_MAX) {
		store_too_large(p, tokens->at[1], op == OP_SET && flags == 0, quiet, (uint32_t)len);
		return;
	}
	state = memcached_parser_data(p, (uint32_t)len, &data);
	if (state == DATA_LATER)
		return;
	if (state == DATA_BAD) {
		memcached_parser_line(p, LINE_BAD_CHUNK, quiet);
		return;
	}
	request = add_keyed(p, op, VERB_STORE | quiet, tokens->at[1]);
	if (!request)
		return;
	request->flags = flags;
	request->value = data;
	request->client_flags = client_flags;
	request->expiry_ms = memcached_text_expiry(exptime, p->now);
	request->version = cas;
}

/* delete key [0] [noreply]: the 0 is a hold time of long ago, and its only value. */
static void
parse_delete(struct memcached_parser *p, const struct memcached_tokens *tokens)
{
	bool zero = tokens->count > 2 && memcached_text_is(tokens->at[2], "0");
	bool quiet = tokens->count > 2 && has_noreply(tokens);

	if ((tokens->count == 3 && !zero && !quiet) || (tokens->count == 4 && !(zero && quiet)))
		memcached_parser_line(p, LINE_DELETE_USAGE, quiet);
	else
		add_keyed(p, OP_DELETE, VERB_DELETE | (quiet ? VERB_QUIET : 0), tokens->at[1]);
}

static void
parse_arithmetic(struct memcached_parser *p, const struct memcached_tokens *tokens, enum op op)
{
	uint32_t quiet = has_noreply(tokens) ? VERB_QUIET : 0;
	uint64_t delta;
	struct request *request;

	if (tokens->at[1].len <= KEY_LEN_MAX && !memcached_text_u64(tokens->at[2], &delta)) {
		memcached_parser_line(p, LINE_BAD_DELTA, quiet);
		return;
	}
	request = add_keyed(p, op, VERB_ARITHMETIC | quiet, tokens->at[1]);
	if (!request)
		return;
	request->delta = delta;
	request->flags = REQUEST_KEEP_WIDTH;
}

static void
parse_touch(struct memcached_parser *p, const struct memcached_tokens *tokens)
{
	uint32_t quiet = has_noreply(tokens) ? VERB_QUIET : 0;
	int32_t exptime;
	struct request *request;

	if (tokens->at[1].len <= KEY_LEN_MAX && !memcached_text_i32(tokens->at[2], &exptime)) {
		memcached_parser_line(p, LINE_BAD_EXPTIME, quiet);
		return;
	}
	request = add_keyed(p, OP_TOUCH, VERB_TOUCH | quiet, tokens->at[1]);
	if (request)
		request->expiry_ms = memcached_text_expiry(exptime, p->now);
}

static void
add_stats(struct memcached_parser *p, const char *group)
{
	struct request *request = memcached_parser_add(p, OP_STATS, VERB_STATS);

	if (request)
		request->key = view_text(group);
}

/* stats cachedump CLASS LIMIT: there are no slab classes, so there is nothing to dump. */
static enum memcached_line
cachedump_line(const struct memcached_tokens *tokens)
{
	enum { SLAB_CLASSES = 64 };
	uint32_t class, limit;

	if (tokens->count < 4)
		return LINE_BAD_COMMAND_LINE;
	if (!memcached_text_u32(tokens->at[2], &class) || !memcached_text_u32(tokens->at[3], &limit))
		return LINE_BAD_FORMAT;
	return class < SLAB_CLASSES ? LINE_END : LINE_BAD_SLAB;
}

static enum memcached_line
detail_line(const struct memcached_tokens *tokens)
{
	if (tokens->count < 3)
		return LINE_DETAIL_USAGE;
	if (memcached_text_is(tokens->at[2], "dump"))
		return LINE_END;
	if (memcached_text_is(tokens->at[2], "on") || memcached_text_is(tokens->at[2], "off"))
		return LINE_NO_DETAIL;
	return LINE_DETAIL_USAGE;
}

static void
parse_stats(struct memcached_parser *p, const struct memcached_tokens *tokens)
{
	static const char *const groups[] = { "memcached settings", "memcached items", "memcached slabs", "memcached sizes",
		"memcached conns" };
	struct view group = tokens->count > 1 ? tokens->at[1] : view_text("");
	enum memcached_line line = LINE_ERROR;

	if (tokens->count == 1) {
		add_stats(p, "memcached");
		return;
	}
	for (uint32_t i = 0; i < sizeof groups / sizeof *groups; i++)
		if (memcached_text_is(group, groups[i] + sizeof "memcached")) {
			add_stats(p, groups[i]);
			return;
		}
	if (memcached_text_is(group, "reset"))
		line = LINE_NO_RESET;
	else if (memcached_text_is(group, "detail"))
		line = detail_line(tokens);
	else if (memcached_text_is(group, "cachedump"))
		line = cachedump_line(tokens);
	memcached_parser_line(p, line, false);
}

static void
parse_verbosity(struct memcached_parser *p, const struct memcached_tokens *tokens)
{
	uint32_t level;
	bool number = memcached_text_u32(tokens->at[1], &level);

	memcached_parser_line(p, number ? LINE_OK : LINE_BAD_FORMAT, has_noreply(tokens));
}

/* flush_all [delay] [noreply]; a delay of 0, or a time that is past, is now. */
static void
parse_flush(struct memcached_parser *p, const struct memcached_tokens *tokens)
{
	bool quiet = has_noreply(tokens);
	int32_t exptime = 0;
	uint64_t when = 0;
	struct request *request;

	if (tokens->count != (quiet ? 2u : 1u) && !memcached_text_i32(tokens->at[1], &exptime)) {
		memcached_parser_line(p, LINE_BAD_EXPTIME, quiet);
		return;
	}
	if (exptime > 0)
		when = memcached_text_expiry(exptime, p->now);
	request = memcached_parser_add(p, OP_FLUSH, VERB_FLUSH | (quiet ? VERB_QUIET : 0));
	if (request)
		request->expiry_ms = when > p->now->wall_ms ? when : 0;
}

enum kind {
	KIND_UNKNOWN = 0,
	KIND_GET, KIND_STORE, KIND_DELETE, KIND_ARITHMETIC, KIND_TOUCH,
	KIND_STATS, KIND_VERSION, KIND_VERBOSITY, KIND_FLUSH, KIND_QUIT, KIND_SHUTDOWN, KIND_WATCH,
	KIND_META_GET, KIND_META_SET, KIND_META_DELETE, KIND_META_COUNT, KIND_META_DEBUG, KIND_META_NOOP,
};

enum { ANY = UINT8_MAX };

/* Every command: its name, how many tokens a line may have, and what it becomes. */
static const struct command {
	char name[12];
	uint8_t least, most; /* tokens, the name included; fewer or more: ERROR */
	uint8_t kind, op, verb;
	uint16_t flags;
} commands[] = {
	{ "get", 2, ANY, KIND_GET, OP_GET, VERB_GET, 0 },
	{ "gets", 2, ANY, KIND_GET, OP_GET, VERB_GETS, 0 },
	{ "bget", 2, ANY, KIND_GET, OP_GET, VERB_GET, 0 },
	{ "gat", 2, ANY, KIND_GET, OP_GAT, VERB_GET, 0 },
	{ "gats", 2, ANY, KIND_GET, OP_GAT, VERB_GETS, 0 },
	{ "mg", 2, ANY, KIND_META_GET, 0, 0, 0 },
	{ "ms", 2, ANY, KIND_META_SET, 0, 0, 0 },
	{ "md", 2, ANY, KIND_META_DELETE, 0, 0, 0 },
	{ "ma", 2, ANY, KIND_META_COUNT, 0, 0, 0 },
	{ "me", 1, ANY, KIND_META_DEBUG, 0, 0, 0 },
	{ "mn", 1, ANY, KIND_META_NOOP, 0, 0, 0 },
	{ "set", 5, 6, KIND_STORE, OP_SET, 0, 0 },
	{ "add", 5, 6, KIND_STORE, OP_SET, 0, REQUEST_ADD },
	{ "replace", 5, 6, KIND_STORE, OP_SET, 0, REQUEST_REPLACE },
	{ "append", 5, 6, KIND_STORE, OP_APPEND, 0, 0 },
	{ "prepend", 5, 6, KIND_STORE, OP_PREPEND, 0, 0 },
	{ "cas", 6, 7, KIND_STORE, OP_SET, 0, REQUEST_CAS },
	{ "delete", 2, 4, KIND_DELETE, 0, 0, 0 },
	{ "incr", 3, 4, KIND_ARITHMETIC, OP_INCR, 0, 0 },
	{ "decr", 3, 4, KIND_ARITHMETIC, OP_DECR, 0, 0 },
	{ "touch", 3, 4, KIND_TOUCH, 0, 0, 0 },
	{ "stats", 1, ANY, KIND_STATS, 0, 0, 0 },
	{ "version", 1, ANY, KIND_VERSION, 0, 0, 0 },
	{ "verbosity", 2, 3, KIND_VERBOSITY, 0, 0, 0 },
	{ "flush_all", 1, 3, KIND_FLUSH, 0, 0, 0 },
	{ "quit", 1, ANY, KIND_QUIT, 0, 0, 0 },
	{ "shutdown", 1, ANY, KIND_SHUTDOWN, 0, 0, 0 },
	{ "watch", 1, ANY, KIND_WATCH, 0, 0, 0 },
};

static const struct command *
command_of(const struct memcached_tokens *tokens)
{
	if (tokens->count == 0)
		return NULL;
	for (uint32_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (tokens->at[0].data[0] == commands[i].name[0] && memcached_text_is(tokens->at[0], commands[i].name))
			return &commands[i];
	return NULL;
}

/* Browsers and scanners that speak HTTP at the port get no answer, as from memcached. */
static bool
is_http(const struct memcached_tokens *tokens)
{
	struct view name, last;

	if (tokens->count == 0)
		return false;
	name = tokens->at[0];
	last = tokens->at[tokens->count - 1];
	/* What starts like a command is an error whatever it ends with. */
	if (name.len < 2 || memchr("gsacidt", name.data[0], 7) || (name.len == 2 && name.data[0] == 'm'))
		return false;
	return last.len >= 5 && memcmp(last.data, "HTTP/", 5) == 0;
}

static void
parse_command(struct memcached_parser *p, const struct command *command,
    struct memcached_tokens *tokens)
{
	switch ((enum kind)command->kind) {
	case KIND_GET: parse_get(p, tokens, command->op, command->verb); break;
	case KIND_STORE: parse_store(p, tokens, command->op, command->flags); break;
	case KIND_DELETE: parse_delete(p, tokens); break;
	case KIND_ARITHMETIC: parse_arithmetic(p, tokens, command->op); break;
	case KIND_TOUCH: parse_touch(p, tokens); break;
	case KIND_STATS: parse_stats(p, tokens); break;
	case KIND_VERSION: memcached_parser_line(p, LINE_VERSION, false); break;
	case KIND_VERBOSITY: parse_verbosity(p, tokens); break;
	case KIND_FLUSH: parse_flush(p, tokens); break;
	case KIND_QUIT: p->stop = true; break;
	case KIND_SHUTDOWN: memcached_parser_line(p, LINE_NO_SHUTDOWN, false); break;
	case KIND_WATCH: memcached_parser_line(p, LINE_NO_WATCH, false); break;
	case KIND_META_GET: memcached_meta_get(p, tokens); break;
	case KIND_META_SET: memcached_meta_set(p, tokens); break;
	case KIND_META_DELETE: memcached_meta_delete(p, tokens); break;
	case KIND_META_COUNT: memcached_meta_count(p, tokens); break;
	case KIND_META_DEBUG: memcached_meta_debug(p, tokens); break;
	case KIND_META_NOOP: memcached_parser_line(p, LINE_MN, false); break;
	case KIND_UNKNOWN: break;
	}
}

void
memcached_parser_command(struct memcached_parser *p, struct view line)
{
	struct memcached_tokens tokens;
	const struct command *command;

	memcached_text_tokens(line, &tokens);
	command = command_of(&tokens);
	if (command && tokens.count >= command->least && tokens.count <= command->most)
		parse_command(p, command, &tokens);
	else if (!command && is_http(&tokens))
		p->stop = true;
	else
		memcached_parser_line(p, LINE_ERROR, false);
}

/*
 * A command that did not fit leaves no half of it behind: when some of its keys
 * found room, its first request becomes the error line; when none did, the frame
 * says so and the composer adds the line.
 */
static void
mark_cut(struct memcached_parser *p, struct frame *frame)
{
	if (p->command_first < FRAME_OPS_MAX) {
		p->count = p->command_first;
		memcached_parser_line(p, LINE_TOO_MANY, false);
	} else {
		frame->verdict = MEMCACHED_CUT;
	}
}

bool
memcached_parse(struct datagram *datagram, const struct now *now,
    struct frame *frame, struct request *requests, uint32_t size)
{
	struct memcached_parser p = {
		.payload = view_of(datagram->payload, datagram->payload_len),
		.at = MEMCACHED_UDP_HEADER_LEN, .now = now, .requests = requests,
	};
	struct view line;
	uint32_t next;

	CHECK(size >= FRAME_OPS_MAX);
	/* memcached looks at nothing else: neither the sequence nor the reserved field. */
	if (p.payload.len <= MEMCACHED_UDP_HEADER_LEN || load_be16(p.payload.data + 4) != 1)
		return false;
	frame->datagram = datagram;
	frame->request_id = load_be16(p.payload.data);
	frame->verdict = 0;
	if (!memcached_text_line(p.payload, p.at, &line, &next))
		return false;
	while (!p.stop && !p.full && memcached_text_line(p.payload, p.at, &line, &next)) {
		p.text_at = p.at;
		p.command_first = p.count;
		p.at = next;
		memcached_parser_command(&p, line);
	}
	if (p.full)
		mark_cut(&p, frame);
	frame->count = (uint16_t)p.count;
	return true;
}
