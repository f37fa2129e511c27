#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"
#include "proto/memcached_binary.h"
#include "proto/stream_facts.h"

struct header {
	uint8_t opcode, extras_len; /* opcode: the loud one */
	uint16_t key_len;
	uint32_t body_len, opaque;
	uint64_t cas;
	uint8_t wire_opcode;
};

struct parser {
	struct stream_pass *pass;
	struct memcached_session *session;
	struct view input;
	uint32_t at;         /* of the next packet */
	uint32_t count;
	struct header header;
	const uint8_t *extras;
	struct view key;
	uint32_t value_len;  /* what the body has behind extras and key */
};

uint8_t
memcached_binary_loud(uint8_t opcode, bool *quiet)
{
	*quiet = true;
	switch (opcode) {
	case BINARY_GETQ: return BINARY_GET;
	case BINARY_GETKQ: return BINARY_GETK;
	case BINARY_SETQ: return BINARY_SET;
	case BINARY_ADDQ: return BINARY_ADD;
	case BINARY_REPLACEQ: return BINARY_REPLACE;
	case BINARY_DELETEQ: return BINARY_DELETE;
	case BINARY_INCREMENTQ: return BINARY_INCREMENT;
	case BINARY_DECREMENTQ: return BINARY_DECREMENT;
	case BINARY_QUITQ: return BINARY_QUIT;
	case BINARY_FLUSHQ: return BINARY_FLUSH;
	case BINARY_APPENDQ: return BINARY_APPEND;
	case BINARY_PREPENDQ: return BINARY_PREPEND;
	case BINARY_GATQ: return BINARY_GAT;
	case BINARY_GATKQ: return BINARY_GATK;
	default:
		*quiet = false;
		return opcode;
	}
}

static struct request *
add(struct parser *p, enum op op)
{
	struct request *request = &p->pass->requests[p->count];

	CHECK(p->count < FRAME_OPS_MAX);
	*request = (struct request){
		.op = (uint8_t)op, .verb = p->header.wire_opcode, .index = (uint8_t)p->count, .length = p->header.opaque,
		.text_at = p->at, .key = op_has_key(op) ? p->key : view_of(NULL, 0),
	};
	p->count++;
	return request;
}

static void
add_reply(struct parser *p, enum binary_reply reply)
{
	add(p, OP_NONE)->local = (uint8_t)reply;
}

/* The connection ends after an error. */
static void
refuse(struct parser *p, enum binary_reply reply)
{
	add_reply(p, reply);
	p->pass->close = true;
}

/* Throws the value away, also what is still to come of it. */
static void
skip_value(struct parser *p)
{
	uint32_t left = p->input.len - p->at, rest = left < p->value_len ? p->value_len - left : 0;

	p->at += p->value_len - rest;
	p->session->skip = rest;
}

/* The value that is thrown away has not come yet: the reply shall not come before. What is deleted goes at once. */
static void
owe_reply(struct parser *p)
{
	struct request *last = &p->pass->requests[p->count - 1];

	p->session->owed = last->local;
	p->session->get_verb = p->header.wire_opcode;
	p->session->owed_opaque = p->header.opaque;
	if (last->op == OP_NONE)
		p->count--;
	else
		last->local = BINARY_LATER;
}

/* What of a value is to be thrown away; then its reply is due. */
static void
skip_rest(struct parser *p)
{
	struct memcached_session *session = p->session;

	p->at = session->skip < p->input.len ? session->skip : p->input.len;
	session->skip -= p->at;
	if (session->skip > 0 || session->owed == BINARY_EMPTY)
		return;
	p->header = (struct header){ .wire_opcode = session->get_verb, .opaque = session->owed_opaque };
	add_reply(p, session->owed);
	session->owed = BINARY_EMPTY;
}

/* memcached's realtime(): up to 30 days relative, above that seconds since 1970. */
static uint64_t
expiry_of(const struct parser *p, const uint8_t *bytes)
{
	enum { RELATIVE_MAX_S = 30 * 24 * 3600 };
	uint64_t seconds = load_be32(bytes);

	if (seconds == 0)
		return 0;
	return (seconds > RELATIVE_MAX_S ? 0 : p->pass->now->wall_ms) + seconds * MS_PER_SEC;
}

static enum op
store_op(uint8_t opcode)
{
	return opcode == BINARY_APPEND ? OP_APPEND : opcode == BINARY_PREPEND ? OP_PREPEND : OP_SET;
}

/* SET, ADD, REPLACE, APPEND, PREPEND. False: its value is not whole, and the packet is given back or asked for. */
static bool
parse_store(struct parser *p)
{
	const struct header *h = &p->header;
	struct request *request;
	bool whole = p->input.len - p->at >= p->value_len, set = store_op(h->opcode) == OP_SET;

	if (p->value_len > VALUE_LEN_MAX) {
		skip_value(p);
		/* A set leaves no stale value behind. */
		add(p, h->opcode == BINARY_SET ? OP_DELETE : OP_NONE)->local = BINARY_TOO_LARGE;
		return true;
	}
	if (!whole && (p->value_len < STREAM_BODY_MIN || p->count > 0)) {
		p->pass->more = p->value_len >= STREAM_BODY_MIN; /* it has to be the first of its pass */
		p->pass->wanted = p->pass->more ? 0 : BINARY_HEADER_LEN + h->body_len;
		return false;
	}
	request = add(p, store_op(h->opcode));
	request->client_flags = set ? load_be32(p->extras) : 0;
	request->expiry_ms = set ? expiry_of(p, p->extras + 4) : 0;
	request->version = h->cas;
	/* With a CAS value add and replace are sets under it. */
	request->flags = h->cas ? REQUEST_CAS : h->opcode == BINARY_ADD ? REQUEST_ADD :
	    h->opcode == BINARY_REPLACE ? REQUEST_REPLACE : 0;
	if (whole) {
		request->value = view_of(p->input.data + p->at, p->value_len);
		p->at += p->value_len;
		return true;
	}
	p->count = 0;
	p->session->step = STEP_VALUE;
	p->pass->body = true;
	p->pass->body_request = *request;
	p->pass->body_len = p->value_len;
	return true;
}

static void
parse_count(struct parser *p)
{
	enum { NEVER_CREATE = 0xffffffff };
	struct request *request = add(p, p->header.opcode == BINARY_INCREMENT ? OP_INCR : OP_DECR);

	request->delta = load_be64(p->extras);
	request->initial = load_be64(p->extras + 8);
	request->flags = REQUEST_KEEP_WIDTH | (p->header.cas ? REQUEST_CAS : 0);
	request->version = p->header.cas;
	if (load_be32(p->extras + 16) != NEVER_CREATE) {
		request->flags |= REQUEST_CREATE;
		request->expiry_ms = expiry_of(p, p->extras + 16);
	}
}

static bool
begins(struct view text, const char *word)
{
	return text.len >= strlen(word) && memcmp(text.data, word, strlen(word)) == 0;
}

/* The group of STATS that a key names, with what is longer than its name, as memcached compares them. */
static void
parse_stat(struct parser *p)
{
	struct view group = view_of(p->key.data, p->header.key_len);
	const char *name = NULL;

	if (group.len == 0)
		name = "memcached";
	else if (begins(group, "settings"))
		name = "memcached settings";
	else if (memcached_text_is(group, "slabs"))
		name = "memcached slabs";
	else if (memcached_text_is(group, "sizes"))
		name = "memcached sizes";
	else if (memcached_text_is(group, "items"))
		name = "memcached items";
	else if (memcached_text_is(group, "conns"))
		name = "memcached conns";
	else if (begins(group, "reset") || begins(group, "detail on") || begins(group, "detail off"))
		add_reply(p, BINARY_UNSUPPORTED);
	else
		add_reply(p, begins(group, "detail dump") ? BINARY_EMPTY : BINARY_NOT_FOUND);
	if (name)
		add(p, OP_STATS)->key = view_text(name);
}

/* Compares in a time that tells nothing of the secret. */
static bool
is_secret(struct view word, struct view secret)
{
	uint8_t differs = word.len != secret.len;

	for (uint32_t i = 0; i < word.len; i++)
		differs |= word.data[i] ^ secret.data[secret.len > 0 ? i % secret.len : 0];
	return differs == 0;
}

/* RFC 4616: authorization id, NUL, name, NUL, password. Who may come in is NAME:PASSWORD, or a password under any name. */
static bool
plain_passes(struct view challenge, const char *password)
{
	const uint8_t *end = challenge.data + challenge.len, *name = memchr(challenge.data, 0, challenge.len), *word;
	const char *colon = strchr(password, ':');
	struct view user = view_of(password, colon ? (uint32_t)(colon - password) : 0);
	bool known;

	word = name && name + 1 < end ? memchr(name + 1, 0, (size_t)(end - name - 1)) : NULL;
	if (!word)
		return false;
	known = !colon || is_secret(view_of(name + 1, (uint32_t)(word - name - 1)), user);
	return is_secret(view_of(word + 1, (uint32_t)(end - word - 1)), view_text(colon ? colon + 1 : password)) & known;
}

/* AUTH and STEP. False: the challenge is not whole. */
static bool
parse_sasl(struct parser *p, const char *password)
{
	bool step = p->header.opcode == BINARY_SASL_STEP, plain = memcached_text_is(p->key, "PLAIN");
	struct view challenge = view_of(p->input.data + p->at, p->value_len);

	if (!password || p->key.len > BINARY_MECHANISM_MAX || p->value_len > BINARY_CHALLENGE_MAX) {
		add_reply(p, !password ? BINARY_UNKNOWN : p->key.len > BINARY_MECHANISM_MAX ? BINARY_INVALID : BINARY_NO_MEMORY);
		skip_value(p);
		return true;
	}
	if (p->input.len - p->at < p->value_len) {
		p->pass->wanted = BINARY_HEADER_LEN + p->header.body_len;
		return false;
	}
	p->at += p->value_len;
	p->session->authenticated = false;
	if (step && !p->session->sasl_started) {
		add_reply(p, BINARY_AUTH_FAILURE);
	} else if (plain && !step && p->value_len == 0) {
		p->session->sasl_started = true;
		add_reply(p, BINARY_AUTH_CONTINUE);
	} else {
		p->session->authenticated = plain && plain_passes(challenge, password);
		p->session->sasl_started = p->session->authenticated;
		add_reply(p, p->session->authenticated ? BINARY_AUTHENTICATED : BINARY_AUTH_FAILURE);
	}
	return true;
}

/* Whether extras, key and value are what the command takes. */
static bool
is_well_formed(const struct header *h, uint32_t value_len)
{
	bool key = h->key_len > 0, bare = h->extras_len == 0;

	switch (h->opcode) {
	case BINARY_SET: case BINARY_ADD: case BINARY_REPLACE: return h->extras_len == 8 && key;
	case BINARY_GET: case BINARY_GETK: case BINARY_DELETE: return bare && key && value_len == 0;
	case BINARY_INCREMENT: case BINARY_DECREMENT: return h->extras_len == 20 && key && value_len == 0;
	case BINARY_APPEND: case BINARY_PREPEND: case BINARY_SASL_AUTH: case BINARY_SASL_STEP: return bare && key;
	case BINARY_TOUCH: case BINARY_GAT: case BINARY_GATK: return h->extras_len == 4 && key;
	case BINARY_FLUSH: return (bare || h->extras_len == 4) && !key && value_len == 0;
	case BINARY_STAT: return bare;
	case BINARY_QUIT: case BINARY_NOOP: case BINARY_VERSION: case BINARY_SASL_LIST:
		return bare && !key && value_len == 0;
	default: return true; /* unknown */
	}
}

static void
parse_flush(struct parser *p)
{
	uint64_t when = p->header.extras_len > 0 ? expiry_of(p, p->extras) : 0;

	add(p, OP_FLUSH)->expiry_ms = when > p->pass->now->wall_ms ? when : 0;
}

/* One command whose header, extras and key are there. False: its value is not. */
static bool
parse_command(struct parser *p, const char *password)
{
	struct request *request;

	switch (p->header.opcode) {
	case BINARY_GET: case BINARY_GETK: add(p, OP_GET); break;
	case BINARY_SET: case BINARY_ADD: case BINARY_REPLACE: case BINARY_APPEND: case BINARY_PREPEND:
		return parse_store(p);
	case BINARY_DELETE:
		request = add(p, OP_DELETE);
		request->flags = p->header.cas ? REQUEST_CAS : 0;
		request->version = p->header.cas;
		break;
	case BINARY_INCREMENT: case BINARY_DECREMENT: parse_count(p); break;
	case BINARY_TOUCH: case BINARY_GAT: case BINARY_GATK:
		add(p, p->header.opcode == BINARY_TOUCH ? OP_TOUCH : OP_GAT)->expiry_ms = expiry_of(p, p->extras);
		break;
	case BINARY_FLUSH: parse_flush(p); break;
	case BINARY_STAT: parse_stat(p); break;
	case BINARY_NOOP: add_reply(p, BINARY_EMPTY); break;
	case BINARY_VERSION: add_reply(p, BINARY_VERSION_TEXT); break;
	case BINARY_QUIT: refuse(p, BINARY_EMPTY); break;
	case BINARY_SASL_LIST: add_reply(p, password ? BINARY_MECHANISMS : BINARY_UNKNOWN); break;
	case BINARY_SASL_AUTH: case BINARY_SASL_STEP: return parse_sasl(p, password);
	default:
		skip_value(p);
		add_reply(p, BINARY_UNKNOWN);
		break;
	}
	return true;
}

/* Commands that need no password. */
static bool
is_open(uint8_t opcode)
{
	return opcode == BINARY_VERSION || (opcode >= BINARY_SASL_LIST && opcode <= BINARY_SASL_STEP);
}

static void
read_header(struct parser *p, const uint8_t *at)
{
	bool quiet;

	p->header = (struct header){
		.wire_opcode = at[1], .opcode = memcached_binary_loud(at[1], &quiet), .key_len = load_be16(at + 2),
		.extras_len = at[4], .body_len = load_be32(at + 8), .opaque = load_be32(at + 12),
		.cas = (uint64_t)load_be32(at + 16) << 32 | load_be32(at + 20),
	};
	p->value_len = p->header.body_len - p->header.key_len - p->header.extras_len;
}

/* One packet. False: it is not whole, or the connection ends. */
static bool
take_packet(struct parser *p)
{
	const char *password = p->pass->facts ? p->pass->facts->password : NULL;
	const struct header *h = &p->header;
	const uint8_t *start = p->input.data + p->at;
	uint32_t left = p->input.len - p->at, begin = p->at, before = p->count;

	if (left < BINARY_HEADER_LEN) {
		p->pass->wanted = BINARY_HEADER_LEN;
		return false;
	}
	if (start[0] != MEMCACHED_BINARY_MAGIC) {
		p->pass->close = true;
		return false;
	}
	read_header(p, start);
	if (h->key_len + (uint32_t)h->extras_len > h->body_len)
		refuse(p, BINARY_UNKNOWN);
	else if (password && !p->session->authenticated && !is_open(h->opcode))
		refuse(p, BINARY_AUTH_FAILURE);
	else if (h->key_len > KEY_LEN_MAX)
		refuse(p, BINARY_INVALID);
	else if (!is_well_formed(h, p->value_len))
		refuse(p, BINARY_INVALID);
	if (p->pass->close)
		return false;
	if (left < BINARY_HEADER_LEN + (uint32_t)h->extras_len + h->key_len) {
		p->pass->wanted = BINARY_HEADER_LEN + (uint32_t)h->extras_len + h->key_len;
		return false;
	}
	p->extras = start + BINARY_HEADER_LEN;
	p->key = view_of(p->extras + h->extras_len, h->key_len);
	p->at += BINARY_HEADER_LEN + (uint32_t)h->extras_len + h->key_len;
	if (!parse_command(p, password)) {
		p->at = begin;
		p->count = before;
		return false;
	}
	if (p->session->skip > 0)
		owe_reply(p);
	return !p->pass->close && !p->pass->body;
}

void
memcached_binary_parse(struct stream_pass *pass)
{
	struct memcached_session *session = memcached_session_of(pass->state);
	struct parser p = { .pass = pass, .session = session, .input = pass->input };
	bool on = true;

	skip_rest(&p);
	if (session->step == STEP_VALUE && !pass->body_done) {
		on = false;
	} else if (session->step == STEP_VALUE) {
		session->step = STEP_COMMAND;
		pass->requests[0] = pass->body_request;
		pass->requests[0].value = pass->body_value;
		pass->requests[0].index = 0;
		p.count = 1;
	}
	while (on && session->skip == 0 && p.at < p.input.len && p.count < FRAME_OPS_MAX)
		on = take_packet(&p);
	if (p.count == FRAME_OPS_MAX && p.at < p.input.len && !pass->close)
		pass->more = true;
	pass->count = p.count;
	pass->consumed = p.at;
}
