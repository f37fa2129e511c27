/*
 * How: a pass takes whole commands as long as there is room for their requests. A command that is
 * not whole, or has no room, is given back and read again in a later pass; only what may be
 * long is not: a get of many keys goes on where it stopped, a large value goes to its item, and data
 * that is of no use is thrown away as it comes.
 */
#include "proto/memcached_session.h"

#include "base/blocks.h"
#include "base/bytes.h"
#include "base/check.h"
#include "proto/memcached_binary.h"
#include "proto/memcached_parser.h"
#include "proto/stream_facts.h"

_Static_assert(MEMCACHED_LINE_MAX + 2 * KEY_LEN_MAX < MEMCACHED_HELD_SIZE, "a line and its key");

uint8_t *
memcached_parser_room(struct memcached_parser *p, uint32_t len)
{
	struct memcached_held *held = p->session->held;

	if (!held) {
		held = p->session->held = blocks_take(p->blocks, sizeof *held);
		if (!held)
			return NULL;
		held->used = held->line_at = held->line_len = 0;
	}
	if (len > MEMCACHED_HELD_SIZE - held->used) {
		p->full = true;
		return NULL;
	}
	held->used += len;
	return held->bytes + held->used - len;
}

/* Keeps the line of an ms. */
static bool
hold(struct memcached_parser *p, struct view line)
{
	uint8_t *room = memcached_parser_room(p, line.len);

	if (!room)
		return false;
	memcpy(room, line.data, line.len);
	p->session->held->line_at = (uint32_t)(room - p->session->held->bytes);
	p->session->held->line_len = line.len;
	return true;
}

static void
let_go(struct memcached_session *session, struct blocks *blocks)
{
	if (session->held)
		blocks_give(blocks, session->held, sizeof *session->held);
	session->held = NULL;
}

/* Whether a line that is not whole yet begins like a get, of which only its memory limits the keys. */
static bool
begins_a_get(const uint8_t *at, uint32_t len)
{
	static const char *const words[] = { "get ", "gets ", "gat ", "gats " };
	uint32_t blanks = 0;

	while (blanks < len && at[blanks] == ' ')
		blanks++;
	if (blanks > MEMCACHED_LEADING_BLANKS_MAX || len - blanks < sizeof "gets ")
		return false;
	for (uint32_t i = 0; i < sizeof words / sizeof *words; i++)
		if (memcmp(at + blanks, words[i], strlen(words[i])) == 0)
			return true;
	return false;
}

/* The next line. False: it is not whole yet, or so long that the connection is closed. */
static bool
next_line(struct memcached_parser *p, struct stream_pass *pass, struct view *line, uint32_t *next)
{
	struct memcached_session *session = p->session;
	const uint8_t *start = p->payload.data + p->at, *lf;
	uint32_t left = p->payload.len - p->at, known = p->at == 0 ? session->scanned : 0;

	lf = left > known ? memchr(start + known, '\n', left - known) : NULL;
	if (lf)
		left = (uint32_t)(lf - start);
	session->scanned = lf ? 0 : left;
	if (left > MEMCACHED_LINE_MAX && (left > MEMCACHED_GET_LINE_MAX || !begins_a_get(start, left)))
		pass->close = true;
	if (!lf && left > MEMCACHED_LINE_MAX)
		pass->wanted = left + 1; /* or a connection that holds as much as it may unasked would wait for us */
	return lf && !pass->close && memcached_text_line(p->payload, p->at, line, next);
}

/* The request stands alone in this pass; its value is asked for. */
static void
ask_for_value(struct memcached_parser *p, struct stream_pass *pass, struct view line)
{
	struct request *request = &p->requests[0];
	uint32_t len = request->value.len;

	request->value = view_of(NULL, 0);
	if ((request->verb & VERB_MASK) == VERB_META_SET) {
		if (!hold(p, line)) {
			memcached_parser_skip(p, len);
			request->op = OP_NONE;
			request->verb = VERB_LINE;
			request->local = LINE_NO_MEMORY;
			return;
		}
		request->text_at = MEMCACHED_HELD;
	}
	p->session->step = STEP_VALUE;
	p->count = 0;
	pass->body = true;
	pass->body_request = *request;
	pass->body_len = len;
}

/* The value has come; what is behind it says whether it counts. False: that is still to come. */
static bool
take_value(struct memcached_parser *p, struct stream_pass *pass)
{
	struct request *request = &p->requests[0];
	bool meta;

	if (!pass->body_done)
		return false;
	if (p->payload.len < 2) {
		pass->wanted = 2;
		return false;
	}
	p->session->step = STEP_COMMAND;
	p->at = 2;
	p->count = 1;
	*request = pass->body_request;
	request->value = pass->body_value;
	meta = (request->verb & VERB_MASK) == VERB_META_SET;
	if (p->payload.data[0] != '\r' || p->payload.data[1] != '\n') {
		request->op = OP_NONE;
		request->local = LINE_BAD_CHUNK;
		request->verb = VERB_LINE | (meta ? 0 : request->verb & VERB_QUIET);
	}
	return true;
}

/* The command's data has not come yet: its reply shall not come before. What it deletes goes at once. */
static void
owe_reply(struct memcached_parser *p)
{
	struct request *last = p->count > p->command_first ? &p->requests[p->count - 1] : NULL;

	if (!last || (last->verb & VERB_QUIET))
		return;
	if (last->verb == VERB_TOO_LARGE) {
		last->verb |= VERB_QUIET;
		p->session->owed = LINE_TOO_LARGE;
	} else {
		p->session->owed = last->local;
		p->count--;
	}
}

/* One whole command. False: there is none, or no room for it. */
static bool
take_command(struct memcached_parser *p, struct stream_pass *pass)
{
	struct view line;
	uint32_t next;

	if (!next_line(p, pass, &line, &next))
		return false;
	p->text_at = p->at;
	p->command_first = p->count;
	p->at = p->line_end = next;
	memcached_parser_command(p, line);
	if (p->value) {
		p->value = false;
		ask_for_value(p, pass, line);
	}
	if (p->session->skip > 0)
		owe_reply(p);
	if (pass->body)
		return false;
	if (p->full || p->wanted) {
		p->count = p->command_first;
		p->at = p->text_at;
		pass->more = p->full || p->first;
		pass->wanted = pass->more ? 0 : p->wanted - p->at;
		return false;
	}
	return true;
}

/* Data that is of no use. */
static void
skip_data(struct memcached_parser *p)
{
	uint32_t left = p->payload.len - p->at, len = p->session->skip < left ? p->session->skip : left;

	p->at += len;
	p->session->skip -= len;
	if (p->session->skip == 0 && p->session->owed != LINE_NONE) {
		memcached_parser_line(p, p->session->owed, false);
		p->session->owed = LINE_NONE;
	}
}

static void
parse_text(struct stream_pass *pass)
{
	struct memcached_session *session = memcached_session_of(pass->state);
	struct memcached_parser p = {
		.payload = pass->input, .now = pass->now, .requests = pass->requests, .session = session,
		.blocks = pass->blocks,
	};
	bool on = true;

	skip_data(&p);
	if (session->step == STEP_VALUE)
		on = take_value(&p, pass);
	else if (session->get_op != 0)
		memcached_parser_go_on(&p);
	while (on && !p.stop && session->skip == 0 && p.at < p.payload.len && p.count < FRAME_OPS_MAX)
		on = take_command(&p, pass);
	pass->count = p.count;
	pass->consumed = p.at;
	if (session->get_op != 0 || (session->held && session->step == STEP_COMMAND))
		pass->settle = true; /* an error would make the rest of a get silent; what is held is let go then */
	if (session->get_op != 0 || (p.count == FRAME_OPS_MAX && p.at < p.payload.len))
		pass->more = true;
	else if (p.stop)
		pass->close = true;
}

static void
parse(struct stream_pass *pass)
{
	struct memcached_session *session = memcached_session_of(pass->state);

	pass->count = pass->consumed = pass->wanted = pass->body_len = 0;
	pass->close = pass->more = pass->settle = pass->body = false;
	if (session->step != STEP_VALUE)
		let_go(session, pass->blocks);
	if (session->language == LANGUAGE_UNKNOWN && pass->input.len > 0)
		session->language = pass->input.data[0] == MEMCACHED_BINARY_MAGIC ? LANGUAGE_BINARY : LANGUAGE_TEXT;
	if (session->language == LANGUAGE_TEXT && pass->facts && pass->facts->password)
		pass->close = true; /* as memcached -S: the binary protocol alone can ask who is there */
	else if (session->language == LANGUAGE_TEXT)
		parse_text(pass);
	else if (session->language == LANGUAGE_BINARY)
		memcached_binary_parse(pass);
	if (pass->finished && !pass->more && !pass->body)
		pass->close = true; /* what is left of the input is no whole command */
}

static bool
compose(struct stream_reply *reply)
{
	if (memcached_session_of(reply->state)->language == LANGUAGE_BINARY)
		return memcached_binary_compose(reply);
	return memcached_compose_pass(reply);
}

static void
release(struct stream_state *state, struct blocks *blocks)
{
	let_go(memcached_session_of(state), blocks);
}

const struct stream_protocol memcached_stream_protocol = { "memcached", parse, compose, release };
