/* resp_parse.c - a pass: commands from the connection's text or its input, each made into requests by its own parser. */
#include <stdio.h>

#include "proto/resp.h"

#include "base/check.h"
#include "ring/slot.h"

/* --- memory ------------------------------------------------------------------------- */

struct resp_memory *
resp_memory(struct resp_state *state, struct blocks *blocks)
{
	if (!state->memory) {
		state->memory = blocks_take(blocks, sizeof *state->memory);
		if (state->memory)
			memset(state->memory, 0, sizeof *state->memory);
	}
	return state->memory;
}

static bool
piece_reserve(struct resp_piece *piece, struct blocks *blocks, uint64_t size)
{
	uint8_t *bytes;

	if (size <= piece->size)
		return true;
	if (size > BLOCK_MAX)
		return false;
	bytes = blocks_take(blocks, (uint32_t)size);
	if (!bytes)
		return false;
	if (piece->len > 0)
		memcpy(bytes, piece->bytes, piece->len);
	if (piece->bytes)
		blocks_give(blocks, piece->bytes, piece->size);
	piece->bytes = bytes;
	piece->size = blocks_rounded((uint32_t)size);
	return true;
}

bool
resp_piece_add(struct resp_piece *piece, struct blocks *blocks, const void *bytes, uint32_t len)
{
	if (!piece_reserve(piece, blocks, (uint64_t)piece->len + len))
		return false;
	if (len > 0)
		memcpy(piece->bytes + piece->len, bytes, len);
	piece->len += len;
	return true;
}

void
resp_piece_give(struct resp_piece *piece, struct blocks *blocks)
{
	if (piece->bytes)
		blocks_give(blocks, piece->bytes, piece->size);
	*piece = (struct resp_piece){ 0 };
}

void
resp_forget_watched(struct resp_state *state, struct blocks *blocks)
{
	if (!state->memory)
		return;
	resp_piece_give(&state->memory->watched, blocks);
	state->memory->watched_count = 0;
}

void
resp_forget_transaction(struct resp_state *state, struct blocks *blocks)
{
	state->mode &= (uint8_t)~(RESP_MODE_MULTI | RESP_MODE_ABORTED);
	resp_forget_watched(state, blocks);
	if (!state->memory)
		return;
	resp_piece_give(&state->memory->queue, blocks);
	state->memory->queue_count = 0;
}

/* Text that has been run, and whatever the command that went on has gathered. */
static void
forget_text(struct resp_memory *memory, struct blocks *blocks)
{
	resp_piece_give(&memory->text, blocks);
	resp_piece_give(&memory->spent, blocks);
	memory->text_at = memory->text_count = 0;
	memory->text_exec = false;
	memory->going = RESP_NONE;
}

static void
release(struct stream_state *stream_state, struct blocks *blocks)
{
	struct resp_state *state = resp_state(stream_state);

	resp_forget_transaction(state, blocks);
	if (state->memory) {
		forget_text(state->memory, blocks);
		outq_clear(blocks, &state->memory->gathered);
		resp_piece_give(&state->memory->words, blocks);
		blocks_give(blocks, state->memory, sizeof *state->memory);
	}
	memset(stream_state, 0, sizeof *stream_state);
}

/* --- requests ----------------------------------------------------------------------- */

struct request *
resp_request(struct resp_parse *p, enum op op)
{
	struct request *request;

	CHECK(p->pass->count < FRAME_OPS_MAX);
	request = &p->pass->requests[p->pass->count++];
	memset(request, 0, sizeof *request);
	request->op = (uint8_t)op;
	request->verb = p->command ? p->command->verb : RESP_NONE;
	request->text_at = p->text_at;
	return request;
}

void
resp_refuse(struct resp_parse *p, enum resp_reply_code code)
{
	resp_request(p, OP_NONE)->local = (uint8_t)code;
}

struct request *
resp_key_request(struct resp_parse *p, enum op op, struct view key)
{
	struct request *request;

	if (key.len == 0 || key.len > RESP_KEY_LEN_MAX) {
		resp_refuse(p, RESP_REPLY_BAD_KEY);
		return NULL;
	}
	request = resp_request(p, op);
	request->key = key;
	return request;
}

bool
resp_room(struct resp_parse *p, uint32_t n)
{
	CHECK(n <= FRAME_OPS_MAX);
	p->retry = p->pass->count + n > FRAME_OPS_MAX;
	return !p->retry;
}

bool
resp_same_place(const struct resp_parse *p, struct view a, struct view b)
{
	const struct stream_facts *facts = p->pass->facts;
	uint16_t slot_a = slot_of_key(a), slot_b = slot_of_key(b);

	if (slot_a == slot_b)
		return true;
	return !facts->ring && slot_a % facts->worker_count == slot_b % facts->worker_count;
}

/* A command as a client would send it, however it came. */
static bool
add_command(struct resp_parse *p, struct resp_piece *piece)
{
	struct blocks *blocks = p->pass->blocks;
	uint32_t len = piece->len;
	bool done;
	char head[24];

	if (!p->args.is_inline)
		return resp_piece_add(piece, blocks, p->args.text.data, p->args.text.len);
	done = resp_piece_add(piece, blocks, head, (uint32_t)snprintf(head, sizeof head, "*%u\r\n", p->args.count));
	for (uint32_t i = 0; done && i < p->args.count; i++) {
		uint32_t head_len = (uint32_t)snprintf(head, sizeof head, "$%u\r\n", p->args.at[i].len);

		done = resp_piece_add(piece, blocks, head, head_len) &&
		    resp_piece_add(piece, blocks, p->args.at[i].data, p->args.at[i].len) &&
		    resp_piece_add(piece, blocks, "\r\n", 2);
	}
	if (!done)
		piece->len = len;
	return done;
}

bool
resp_go_on(struct resp_parse *p)
{
	struct resp_memory *memory = resp_memory(p->state, p->pass->blocks);

	if (memory && !p->replayed) {
		if (!add_command(p, &memory->text)) {
			resp_refuse(p, RESP_REPLY_NO_BLOCK);
			return false;
		}
		memory->text_count = 1;
	} else if (!memory) {
		resp_refuse(p, RESP_REPLY_NO_BLOCK);
		return false;
	}
	memory->going = p->command->verb;
	memory->phase = memory->ends = 0;
	memory->failed = memory->finished = false;
	memory->next = memory->next_at = memory->total = memory->done = 0;
	memory->sum = memory->cursor = memory->gathered_count = 0;
	memory->shard = 0;
	p->stop = true;
	p->stay = p->replayed; /* from the input: it is behind us */
	return true;
}

void
resp_went_on(struct resp_parse *p)
{
	p->state->memory->going = RESP_NONE;
	p->stay = false;
	p->stop = true;
}

/* --- one command -------------------------------------------------------------------- */

static void
queue_command(struct resp_parse *p)
{
	struct resp_memory *memory = resp_memory(p->state, p->pass->blocks);

	if (memory && add_command(p, &memory->queue)) {
		memory->queue_count++;
		resp_refuse(p, RESP_REPLY_QUEUED);
		return;
	}
	p->state->mode |= RESP_MODE_ABORTED;
	resp_refuse(p, memory && memory->queue.len + p->args.text.len > BLOCK_MAX ? RESP_REPLY_EXEC_TOO_LONG
	    : RESP_REPLY_NO_BLOCK);
}

/* Its first key is another node's, and clients are to go there. */
static bool
is_elsewhere(const struct resp_parse *p)
{
	const struct resp_command *command = p->command;
	const struct stream_facts *facts = p->pass->facts;
	uint32_t first = (uint32_t)command->first;
	int64_t keys;

	if (!facts->ring || !facts->redirect || (p->state->mode & RESP_MODE_ASKING))
		return false;
	if ((command->flags & RESP_FLAG_NUMKEYS) && p->args.held > 3 && resp_number(p->args.at[2], &keys) && keys > 0)
		first = 3;
	return first > 0 && first < p->args.held && resp_elsewhere(facts, slot_of_key(p->args.at[first]));
}

/* Why a command is not even queued, or COMPOSED. */
static enum resp_reply_code
objection(struct resp_parse *p)
{
	const struct resp_command *container;

	p->command = resp_command_find(p->args.at, p->args.held, &container);
	if (!p->command) {
		p->command = container;
		return container ? RESP_REPLY_UNKNOWN_SUB : RESP_REPLY_UNKNOWN;
	}
	if (!resp_command_arity(p->command, p->args.count))
		return RESP_REPLY_ARITY;
	if (!(p->state->mode & RESP_MODE_KNOWN) && !(p->command->flags & RESP_FLAG_NO_AUTH))
		return RESP_REPLY_NO_AUTH;
	if (is_elsewhere(p))
		return RESP_REPLY_MOVED;
	return RESP_REPLY_COMPOSED;
}

/* HTTP on this port is somebody's browser, led here by somebody else: Redis closes at once, and so it is here. */
static bool
is_http(const struct resp_parse *p)
{
	return p->args.is_inline && (resp_is(p->args.at[0], "post") || resp_is(p->args.at[0], "host:"));
}

static void
run_command(struct resp_parse *p)
{
	enum resp_reply_code code = objection(p);
	bool queues = (p->state->mode & RESP_MODE_MULTI) && !p->replayed;

	if (code == RESP_REPLY_UNKNOWN && is_http(p)) {
		p->pass->close = true;
		p->stop = true;
	} else if (code != RESP_REPLY_COMPOSED && p->command && p->command->verb == RESP_EXEC) {
		resp_forget_transaction(p->state, p->pass->blocks);
		resp_refuse(p, code == RESP_REPLY_ARITY ? RESP_REPLY_EXEC_ARITY : RESP_REPLY_EXEC_NO_AUTH);
	} else if (code != RESP_REPLY_COMPOSED) {
		if (queues)
			p->state->mode |= RESP_MODE_ABORTED;
		resp_refuse(p, code);
	} else if (queues && !(p->command->flags & RESP_FLAG_IN_MULTI)) {
		queue_command(p);
	} else {
		bool asking = p->state->mode & RESP_MODE_ASKING;

		p->command->parse(p);
		if (asking && !p->retry)
			p->state->mode &= (uint8_t)~RESP_MODE_ASKING;
	}
}

/* --- the connection's text ---------------------------------------------------------- */

void
resp_parse_text(struct resp_parse *p)
{
	struct resp_memory *memory = p->state->memory;
	struct resp_hole hole;

	p->replayed = true;
	while (memory->text_at < memory->text.len && (!p->stop || p->pass->count == 0) && p->pass->count < FRAME_OPS_MAX) {
		struct view rest = view_of(memory->text.bytes + memory->text_at, memory->text.len - memory->text_at);
		enum resp_found found = resp_read(rest, true, NULL, &p->args, &hole);

		CHECK(found == RESP_WHOLE);
		p->text_at = RESP_IN_TEXT | memory->text_at;
		p->retry = p->stay = false;
		if (memory->going != RESP_NONE) {
			p->command = resp_command(memory->going);
			p->stay = true;
			p->command->parse(p);
		} else {
			run_command(p);
		}
		if (p->retry)
			break;
		if (!p->stay)
			memory->text_at += p->args.text.len;
	}
	p->replayed = false;
	p->pass->settle = true;
	p->pass->more = true;
	p->stop = true;
}

/* --- the input ---------------------------------------------------------------------- */

/* What is left of a command that was refused for its size. False: it goes on behind the input. */
static bool
skip(struct resp_parse *p)
{
	struct stream_pass *pass = p->pass;
	struct resp_state *state = p->state;

	for (;;) {
		uint32_t left = pass->input.len - pass->consumed;
		uint32_t len = state->skip_bytes < left ? state->skip_bytes : left;
		struct view rest;
		const uint8_t *end;
		int64_t number;

		pass->consumed += len;
		state->skip_bytes -= len;
		if (state->skip_bytes > 0)
			return false;
		if (state->skip_args == 0)
			return true;
		rest = view_of(pass->input.data + pass->consumed, pass->input.len - pass->consumed);
		end = rest.len > 0 ? memchr(rest.data, '\r', rest.len) : NULL;
		if ((!end && rest.len <= RESP_LINE_MAX) || (end && end + 2 > rest.data + rest.len))
			return false;
		if (!end || rest.data[0] != '$' || !resp_number(view_of(rest.data + 1, (uint32_t)(end - rest.data) - 1), &number) ||
		    number < 0 || number > RESP_BULK_MAX) {
			p->text_at = pass->consumed;
			p->command = NULL;
			resp_refuse(p, RESP_REPLY_BROKEN_BULK);
			pass->close = true;
			return false;
		}
		pass->consumed += (uint32_t)(end + 2 - rest.data);
		state->skip_bytes = (uint32_t)number + 2;
		state->skip_args--;
	}
}

/* Whether the argument that is not whole is a value to be asked for as a body; asks. */
static bool
ask_for_body(struct resp_parse *p, const struct resp_hole *hole)
{
	struct stream_pass *pass = p->pass;
	struct resp_set_options options = { 0 };
	uint32_t value;

	if (hole->arg_len < STREAM_BODY_MIN || (p->state->mode & RESP_MODE_MULTI) || p->args.held != hole->arg ||
	    p->args.held < 2 || objection(p) != RESP_REPLY_COMPOSED)
		return false;
	if (p->command->verb != RESP_SET && p->command->verb != RESP_SETNX && p->command->verb != RESP_GETSET &&
	    p->command->verb != RESP_SETEX && p->command->verb != RESP_PSETEX)
		return false;
	value = p->command->verb == RESP_SETEX || p->command->verb == RESP_PSETEX ? 3 : 2;
	if (hole->arg != value || p->args.at[1].len == 0 || p->args.at[1].len > RESP_KEY_LEN_MAX)
		return false;
	if (value == 3) {
		uint32_t count = pass->count;

		options.has_expiry = resp_expiry(p, p->args.at[2], p->command->verb == RESP_SETEX, false, &options.expiry_ms);
		pass->count = count;
		if (!options.has_expiry)
			return false; /* it is refused when it is whole */
	}
	memset(&pass->body_request, 0, sizeof pass->body_request);
	pass->body_request.verb = p->command->verb;
	pass->body_request.key = p->args.at[1];
	resp_set_request(&pass->body_request, p->command->verb, &options);
	p->state->mode &= (uint8_t)~RESP_MODE_ASKING;
	p->state->body_verb = p->command->verb;
	p->state->body_args = p->args.count - value - 1;
	p->state->mark = (struct resp_mark){ 0, 0 };
	pass->body = true;
	pass->body_len = hole->arg_len;
	pass->consumed = p->at + hole->arg_at;
	return true;
}

static void
stop_broken(struct resp_parse *p, const struct resp_hole *hole)
{
	p->command = NULL;
	resp_refuse(p, hole->error);
	p->pass->requests[p->pass->count - 1].length = hole->byte;
	p->pass->consumed = p->pass->input.len;
	p->pass->close = true;
	p->stop = true;
}

static void
stop_refused(struct resp_parse *p, const struct resp_hole *hole)
{
	p->command = NULL;
	if (p->state->mode & RESP_MODE_MULTI)
		p->state->mode |= RESP_MODE_ABORTED;
	resp_refuse(p, hole->error);
	p->state->skip_bytes = hole->skip_bytes;
	p->state->skip_args = hole->skip_args;
	p->pass->consumed = p->at + hole->consumed;
}

/* What stands behind a value that came as a body. */
static void
parse_behind_body(struct resp_parse *p)
{
	struct stream_pass *pass = p->pass;
	struct resp_args *args = &p->args;
	struct resp_set_options options = { 0 };
	struct resp_hole hole = { 0 };
	struct request *request;
	uint32_t at = 2;

	args->text = pass->input;
	args->count = p->state->body_args;
	args->held = 0;
	args->is_inline = args->quoted = false;
	pass->wanted = 2;
	if (pass->input.len < pass->wanted)
		return;
	p->command = resp_command(p->state->body_verb);
	p->text_at = 0;
	for (uint32_t i = 0; i < args->count; i++) {
		enum resp_found found = resp_read_bulk(pass->input, &at, i, true, args, &hole);

		if (found == RESP_CUT) {
			pass->wanted = hole.wanted;
			return;
		}
		if (found == RESP_REFUSED) {
			stop_refused(p, &hole);
			return;
		}
		if (found != RESP_WHOLE) {
			stop_broken(p, &hole);
			return;
		}
	}
	pass->wanted = 0;
	pass->consumed = at;
	if (args->count > args->held) {
		resp_refuse(p, RESP_REPLY_SYNTAX);
		return;
	}
	if (args->count > 0 && !resp_set_options(p, args->at, args->held, false, &options))
		return;
	request = resp_request(p, OP_SET);
	*request = pass->body_request;
	request->text_at = 0;
	request->value = pass->body_value;
	if (args->count > 0)
		resp_set_request(request, p->command->verb, &options);
}

/* Room for an inline command that is quoted: one a pass, as composers read its words, too. */
static struct resp_piece *
words_of(struct resp_parse *p, uint32_t wanted)
{
	struct resp_memory *memory;

	if (p->pass->count > 0) {
		p->retry = true;
		return NULL;
	}
	memory = resp_memory(p->state, p->pass->blocks);
	if (!memory || !piece_reserve(&memory->words, p->pass->blocks, wanted)) {
		p->retry = true;
		resp_refuse(p, RESP_REPLY_NO_BLOCK);
		p->pass->close = true;
		return NULL;
	}
	return &memory->words;
}

/* The command at p->at. False: the pass ends before it. */
static bool
parse_one(struct resp_parse *p)
{
	struct stream_pass *pass = p->pass;
	struct view rest = view_of(pass->input.data + p->at, pass->input.len - p->at);
	bool known = p->state->mode & RESP_MODE_KNOWN;
	struct resp_hole hole = { 0 };
	enum resp_found found = resp_read_on(rest, known, NULL, &p->args, &hole, &p->state->mark);

	if (found != RESP_CUT)
		p->state->mark = (struct resp_mark){ 0, 0 };
	p->text_at = p->at;
	p->command = NULL;
	if (found == RESP_NEEDS_WORDS) {
		struct resp_piece *words = words_of(p, hole.wanted);

		if (!words)
			return false;
		found = resp_read(rest, known, words, &p->args, &hole);
		p->stop = true;
	}
	switch (found) {
	case RESP_WHOLE:
		if (p->args.count > 0)
			run_command(p);
		if (p->retry)
			return false;
		pass->consumed = p->at + p->args.text.len;
		return true;
	case RESP_REFUSED:
		stop_refused(p, &hole);
		return true;
	case RESP_CUT:
		if (!ask_for_body(p, &hole))
			pass->wanted = hole.wanted;
		return false;
	default:
		stop_broken(p, &hole);
		return false;
	}
}

static void
parse_input(struct resp_parse *p)
{
	struct stream_pass *pass = p->pass;

	if ((p->state->skip_bytes > 0 || p->state->skip_args > 0) && !skip(p))
		return;
	for (;;) {
		if (pass->consumed == pass->input.len)
			break;
		if (pass->count == FRAME_OPS_MAX || p->stop) {
			pass->more = !pass->close;
			break;
		}
		p->at = pass->consumed;
		p->retry = p->stay = false;
		if (!parse_one(p)) {
			pass->more = p->retry && !pass->close;
			break;
		}
		if ((p->state->skip_bytes > 0 || p->state->skip_args > 0) && !skip(p))
			break;
	}
	if (p->state->memory && p->state->memory->text_at < p->state->memory->text.len) {
		pass->more = true;
		pass->settle = true;
	}
	if (pass->more || pass->close)
		pass->wanted = 0;
}

static void
open_connection(struct resp_state *state, const struct stream_facts *facts)
{
	state->opened = true;
	if (!facts->password)
		state->mode |= RESP_MODE_KNOWN;
}

static void
parse(struct stream_pass *pass)
{
	struct resp_parse p = { .pass = pass, .state = resp_state(pass->state) };
	struct resp_memory *memory = p.state->memory;

	pass->count = pass->consumed = pass->wanted = 0;
	pass->close = pass->more = pass->settle = pass->body = false;
	if (!p.state->opened)
		open_connection(p.state, pass->facts);
	if (memory && memory->text_at < memory->text.len) {
		resp_parse_text(&p);
		if (pass->count > 0)
			return;
		p.stop = pass->more = pass->settle = false; /* what went on had its answer already */
	}
	if (memory && (memory->text.bytes || memory->spent.bytes) && memory->text_at >= memory->text.len)
		forget_text(memory, pass->blocks);
	if (!pass->body_done) {
		parse_input(&p);
		return;
	}
	parse_behind_body(&p);
	/* Commands behind the value are the next pass's: when nothing more comes from the peer, they are still to be answered. */
	pass->more = pass->consumed > 0 && pass->consumed < pass->input.len && !pass->close;
}

const struct stream_protocol resp_stream_protocol = {
	.name = "resp", .parse = parse, .compose = resp_compose_pass, .release = release,
};
