/* resp_string.c - commands on values: GET, SET and their kin, counters, ranges, several keys at once. */
#include "proto/resp.h"

/* --- expiries ----------------------------------------------------------------------- */

/* What an item has room for: 48 bits of milliseconds, until the year 10889. */
static uint64_t
clamp_expiry(uint64_t ms)
{
	return ms >> 48 ? (1ull << 48) - 1 : ms;
}

bool
resp_expiry(struct resp_parse *p, struct view arg, bool seconds, bool absolute, uint64_t *expiry_ms)
{
	int64_t number;

	if (!resp_number(arg, &number)) {
		resp_refuse(p, RESP_REPLY_NOT_INTEGER);
		return false;
	}
	if (number <= 0 || (seconds && number > INT64_MAX / 1000) ||
	    (seconds && (number *= 1000, false)) ||
	    (!absolute && __builtin_add_overflow(number, (int64_t)p->pass->now->wall_ms, &number))) {
		resp_refuse(p, RESP_REPLY_BAD_EXPIRY);
		return false;
	}
	*expiry_ms = clamp_expiry((uint64_t)number);
	return true;
}

/* One of EX PX EXAT PXAT, with what it says of the number behind it. */
static bool
is_expiry_word(struct view word, bool *seconds, bool *absolute)
{
	*seconds = resp_is(word, "ex") || resp_is(word, "exat");
	*absolute = resp_is(word, "exat") || resp_is(word, "pxat");
	return *seconds || *absolute || resp_is(word, "px");
}

bool
resp_set_options(struct resp_parse *p, const struct view *args, uint32_t count, bool getex,
    struct resp_set_options *options)
{
	bool seconds = false, absolute = false, was_seconds = false, was_absolute = false;
	struct view expiry = view_of(NULL, 0);

	for (uint32_t i = 0; i < count; i++) {
		bool has_expiry = expiry.data != NULL;

		if (!getex && resp_is(args[i], "nx") && !options->xx) {
			options->nx = true;
		} else if (!getex && resp_is(args[i], "xx") && !options->nx) {
			options->xx = true;
		} else if (!getex && resp_is(args[i], "get")) {
			options->get = true;
		} else if (!getex && resp_is(args[i], "keepttl") && !has_expiry) {
			options->keep_ttl = true;
		} else if (getex && resp_is(args[i], "persist") && !has_expiry) {
			options->persist = true;
		} else if (is_expiry_word(args[i], &seconds, &absolute) && i + 1 < count && !options->keep_ttl &&
		    !options->persist && (!has_expiry || (seconds == was_seconds && absolute == was_absolute))) {
			expiry = args[++i];
			was_seconds = seconds;
			was_absolute = absolute;
		} else {
			resp_refuse(p, RESP_REPLY_SYNTAX);
			return false;
		}
	}
	options->has_expiry = expiry.data != NULL;
	options->absolute = was_absolute;
	return !options->has_expiry || resp_expiry(p, expiry, was_seconds, was_absolute, &options->expiry_ms);
}

/* --- one value ---------------------------------------------------------------------- */

void
resp_set_request(struct request *request, enum resp_verb verb, const struct resp_set_options *options)
{
	request->op = OP_SET;
	request->flags = 0;
	if (options->nx || verb == RESP_SETNX)
		request->flags |= REQUEST_ADD;
	if (options->xx)
		request->flags |= REQUEST_REPLACE;
	request->options = 0;
	if (options->get || verb == RESP_GETSET)
		request->options |= REQUEST_OLD;
	if (options->keep_ttl)
		request->options |= REQUEST_KEEP_TTL;
	request->expiry_ms = options->has_expiry ? options->expiry_ms : 0;
}

void
resp_parse_get(struct resp_parse *p)
{
	resp_key_request(p, OP_GET, p->args.at[1]);
}

/* SET, SETNX, SETEX, PSETEX, GETSET. */
void
resp_parse_set(struct resp_parse *p)
{
	enum resp_verb verb = p->command->verb;
	const struct view *args = p->args.at;
	struct resp_set_options options = { 0 };
	bool has_ttl = verb == RESP_SETEX || verb == RESP_PSETEX;
	struct request *request;

	if (has_ttl) {
		options.has_expiry = true;
		if (!resp_expiry(p, args[2], verb == RESP_SETEX, false, &options.expiry_ms))
			return;
	} else if (p->args.count > p->args.held) {
		resp_refuse(p, RESP_REPLY_SYNTAX);
		return;
	} else if (p->args.count > 3 && !resp_set_options(p, args + 3, p->args.count - 3, false, &options)) {
		return;
	}
	request = resp_key_request(p, OP_SET, args[1]);
	if (!request)
		return;
	resp_set_request(request, verb, &options);
	request->value = args[has_ttl ? 3 : 2];
}

void
resp_compose_set(struct resp_compose *c, const struct resp_run *run)
{
	const struct response *response = run->responses;

	if (resp_failed(c, response))
		return;
	if (run->command->verb == RESP_SETNX)
		resp_integer(&c->out, response->status == OP_STATUS_OK);
	else if ((run->requests->options & REQUEST_OLD) && response->has_item)
		resp_value(c, response);
	else if ((run->requests->options & REQUEST_OLD) || response->status != OP_STATUS_OK)
		resp_null(c);
	else
		resp_simple(&c->out, "OK");
}

void
resp_compose_value(struct resp_compose *c, const struct resp_run *run)
{
	const struct response *response = run->responses;

	if (response->status == OP_STATUS_OK)
		resp_value(c, response);
	else if (!resp_failed(c, response))
		resp_null(c);
}

void
resp_compose_getex(struct resp_compose *c, const struct resp_run *run)
{
	struct request complaint = { .op = OP_NONE, .local = (uint8_t)run->requests->length, .text_at = run->requests->text_at };
	struct resp_run alone = { .command = run->command, .requests = &complaint, .responses = run->responses, .count = 1 };

	if (run->requests->length != 0 && run->responses->status == OP_STATUS_OK)
		resp_compose_reply(c, &alone);
	else
		resp_compose_value(c, run);
}

void
resp_parse_getdel(struct resp_parse *p)
{
	struct request *request = resp_key_request(p, OP_DELETE, p->args.at[1]);

	if (request)
		request->options = REQUEST_OLD;
}

void
resp_parse_getex(struct resp_parse *p)
{
	struct resp_set_options options = { 0 };
	struct request *request;

	if (p->args.count > p->args.held) {
		resp_refuse(p, RESP_REPLY_SYNTAX);
		return;
	}
	if (!resp_set_options(p, p->args.at + 2, p->args.count - 2, true, &options)) {
		request = &p->pass->requests[p->pass->count - 1];
		if (request->local == RESP_REPLY_SYNTAX || p->args.at[1].len == 0 || p->args.at[1].len > RESP_KEY_LEN_MAX)
			return;
		/* Redis looks for the key before it looks at the time: the complaint is for a key that is there. */
		request->op = OP_META;
		request->key = p->args.at[1];
		request->length = request->local;
		request->local = 0;
		return;
	}
	request = resp_key_request(p, options.has_expiry || options.persist ? OP_GAT : OP_GET, p->args.at[1]);
	if (!request)
		return;
	request->expiry_ms = options.expiry_ms;
	request->options = options.absolute ? REQUEST_PAST : 0;
}

/* --- counters ----------------------------------------------------------------------- */

/* INCR, DECR, INCRBY, DECRBY. */
void
resp_parse_count(struct resp_parse *p)
{
	enum resp_verb verb = p->command->verb;
	bool down = verb == RESP_DECR || verb == RESP_DECRBY;
	struct request *request;
	int64_t delta = 1;

	if (p->args.count == 3 && !resp_number(p->args.at[2], &delta)) {
		resp_refuse(p, RESP_REPLY_NOT_INTEGER);
		return;
	}
	if (down && delta == INT64_MIN) {
		resp_refuse(p, RESP_REPLY_DECR_OVERFLOW);
		return;
	}
	request = resp_key_request(p, OP_INCR, p->args.at[1]);
	if (!request)
		return;
	request->options = REQUEST_SIGNED;
	request->delta = (uint64_t)(down ? -delta : delta);
}

void
resp_compose_number(struct resp_compose *c, const struct resp_run *run)
{
	const struct response *response = run->responses;

	if (response->status == OP_STATUS_BAD_RANGE)
		resp_reply(c, RESP_REPLY_OVERFLOW);
	else if (!resp_failed(c, response))
		resp_integer(&c->out, (int64_t)response->number);
}

void
resp_parse_incrbyfloat(struct resp_parse *p)
{
	struct request *request = resp_key_request(p, OP_INCR, p->args.at[1]);

	if (!request)
		return;
	request->options = REQUEST_FLOAT;
	request->value = p->args.at[2];
}

void
resp_compose_float(struct resp_compose *c, const struct resp_run *run)
{
	const struct response *response = run->responses;

	if (response->status == OP_STATUS_NOT_A_NUMBER)
		resp_reply(c, RESP_REPLY_NOT_FLOAT);
	else if (response->status == OP_STATUS_BAD_RANGE)
		resp_reply(c, RESP_REPLY_NOT_FINITE);
	else if (!resp_failed(c, response))
		resp_bulk(&c->out, response->value);
}

/* --- parts of a value --------------------------------------------------------------- */

void
resp_parse_append(struct resp_parse *p)
{
	struct request *request = resp_key_request(p, OP_APPEND, p->args.at[1]);

	if (!request)
		return;
	request->options = REQUEST_CREATE_EMPTY;
	request->value = p->args.at[2];
}

void
resp_compose_append(struct resp_compose *c, const struct resp_run *run)
{
	if (!resp_failed(c, run->responses))
		resp_integer(&c->out, run->responses->total_len);
}

void
resp_compose_strlen(struct resp_compose *c, const struct resp_run *run)
{
	if (!resp_failed(c, run->responses))
		resp_integer(&c->out, run->responses->status == OP_STATUS_OK ? run->responses->total_len : 0);
}

void
resp_parse_getrange(struct resp_parse *p)
{
	int64_t number;

	if (!resp_number(p->args.at[2], &number) || !resp_number(p->args.at[3], &number))
		resp_refuse(p, RESP_REPLY_NOT_INTEGER);
	else
		resp_key_request(p, OP_GET, p->args.at[1]);
}

void
resp_compose_getrange(struct resp_compose *c, const struct resp_run *run)
{
	struct response part = *run->responses;
	struct resp_args args;
	int64_t from, to, len = part.value.len;

	if (part.status != OP_STATUS_OK) {
		if (!resp_failed(c, &part))
			resp_bulk_text(&c->out, "");
		return;
	}
	resp_args_of(c, run, &args);
	resp_number(args.at[2], &from);
	resp_number(args.at[3], &to);
	if (from < 0 && to < 0 && from > to) {
		resp_bulk_text(&c->out, "");
		return;
	}
	from = from < 0 ? from + len : from;
	to = to < 0 ? to + len : to;
	from = from < 0 ? 0 : from;
	to = to < 0 ? 0 : to;
	to = to >= len ? len - 1 : to;
	if (from > to || len == 0) {
		resp_bulk_text(&c->out, "");
		return;
	}
	part.value = view_of(part.value.data + from, (uint32_t)(to - from + 1));
	resp_value(c, &part);
}

void
resp_parse_setrange(struct resp_parse *p)
{
	struct view value = p->args.at[3];
	struct request *request;
	int64_t offset;

	if (!resp_number(p->args.at[2], &offset)) {
		resp_refuse(p, RESP_REPLY_NOT_INTEGER);
	} else if (offset < 0) {
		resp_refuse(p, RESP_REPLY_BAD_OFFSET);
	} else if (value.len == 0) {
		resp_key_request(p, OP_META, p->args.at[1]);
	} else if (offset > VALUE_LEN_MAX - value.len) {
		resp_refuse(p, RESP_REPLY_TOO_LARGE);
	} else if ((request = resp_key_request(p, OP_SETRANGE, p->args.at[1]))) {
		request->offset = (uint32_t)offset;
		request->value = value;
	}
}

void
resp_compose_setrange(struct resp_compose *c, const struct resp_run *run)
{
	resp_compose_strlen(c, run);
}

/* --- several keys ------------------------------------------------------------------- */

/* The operation for one key of a command of many. */
static enum op
op_of(enum resp_verb verb)
{
	switch (verb) {
	case RESP_DEL:
	case RESP_UNLINK:
		return OP_DELETE;
	case RESP_MSET:
		return OP_SET;
	case RESP_EXISTS:
	case RESP_WATCH:
		return OP_META;
	default: /* MGET, TOUCH */
		return OP_GET;
	}
}

/* Asks for as many keys as have room, from where the walk stands. */
static uint32_t
ask_keys(struct resp_parse *p, struct resp_walk *walk, uint8_t part)
{
	enum op op = op_of(p->command->verb);
	uint32_t asked = 0;
	struct view key, value;

	while (p->pass->count < FRAME_OPS_MAX && resp_walk_next(walk, &key)) {
		struct request *request = resp_request(p, op);

		request->key = key;
		request->initial = part;
		if (p->command->verb == RESP_TOUCH)
			request->flags = REQUEST_NO_VALUE;
		if (p->command->step == 2 && resp_walk_next(walk, &value))
			request->value = value;
		asked++;
	}
	return asked;
}

static bool
has_bad_key(struct resp_parse *p)
{
	struct resp_walk walk = resp_walk_from(&p->args, 1);
	struct view key, value;

	while (resp_walk_next(&walk, &key)) {
		if (key.len == 0 || key.len > RESP_KEY_LEN_MAX)
			return true;
		if (p->command->step == 2)
			resp_walk_next(&walk, &value);
	}
	return false;
}

/* DEL, UNLINK, EXISTS, TOUCH, MGET, MSET: one request a key. */
void
resp_parse_each(struct resp_parse *p)
{
	uint32_t step = (uint32_t)p->command->step, n = (p->args.count - 1) / step;
	struct resp_memory *memory = p->state->memory;
	struct resp_walk walk;

	if (p->replayed && memory->going != RESP_NONE) {
		walk = (struct resp_walk){ &p->args, 1 + memory->next * step, memory->next_at };
		if (memory->next == 0)
			walk = resp_walk_from(&p->args, 1);
		memory->total = n;
		memory->next += ask_keys(p, &walk, RESP_PART);
		memory->next_at = walk.at;
		p->stop = true;
		if (memory->next == n)
			resp_went_on(p);
	} else if (step == 2 && p->args.count % 2 == 0) {
		resp_refuse(p, RESP_REPLY_ARITY);
	} else if (has_bad_key(p)) {
		resp_refuse(p, RESP_REPLY_BAD_KEY);
	} else if (n > FRAME_OPS_MAX) {
		resp_go_on(p);
	} else if (resp_room(p, n)) {
		walk = resp_walk_from(&p->args, 1);
		ask_keys(p, &walk, 0);
	}
}

/* The first failure of a run is the whole command's; said once. */
static bool
any_failed(struct resp_compose *c, const struct resp_run *run)
{
	struct resp_memory *memory = c->state->memory;

	if (run->part && memory->failed)
		return true;
	for (uint32_t i = 0; i < run->count; i++) {
		if (!resp_failed(c, &run->responses[i]))
			continue;
		if (run->part)
			memory->failed = true;
		return true;
	}
	return false;
}

void
resp_compose_sum(struct resp_compose *c, const struct resp_run *run)
{
	uint64_t sum = 0;

	if (any_failed(c, run))
		return;
	for (uint32_t i = 0; i < run->count; i++)
		sum += run->responses[i].status == OP_STATUS_OK;
	if (run->part)
		sum = c->state->memory->sum += sum;
	if (run->last)
		resp_integer(&c->out, (int64_t)sum);
}

void
resp_compose_mget(struct resp_compose *c, const struct resp_run *run)
{
	if (run->first)
		resp_array(&c->out, run->part ? c->state->memory->total : run->count);
	for (uint32_t i = 0; i < run->count; i++) {
		if (run->responses[i].status == OP_STATUS_OK)
			resp_value(c, &run->responses[i]);
		else if (!resp_failed(c, &run->responses[i]))
			resp_null(c);
	}
}

void
resp_compose_mset(struct resp_compose *c, const struct resp_run *run)
{
	if (!any_failed(c, run) && run->last)
		resp_simple(&c->out, "OK");
}

/* --- MSETNX ------------------------------------------------------------------------- */

enum { GUARDS_FIRST, SETS_THEN };

/* What is asked of each pair: that its key is missing, or its value's SET. */
static void
ask_pairs(struct resp_parse *p, enum op op, uint8_t part)
{
	struct resp_walk walk = resp_walk_from(&p->args, 1);
	struct view key, value;

	while (resp_walk_next(&walk, &key) && resp_walk_next(&walk, &value)) {
		struct request *request = resp_request(p, op);

		request->key = key;
		request->initial = part;
		if (op == OP_SET)
			request->value = value;
	}
}

static bool
in_one_place(struct resp_parse *p)
{
	struct resp_walk walk = resp_walk_from(&p->args, 1);
	struct view key, value;

	while (resp_walk_next(&walk, &key) && resp_walk_next(&walk, &value))
		if (!resp_same_place(p, p->args.at[1], key))
			return false;
	return true;
}

/*
 * Guards, then SETs. Keys of one worker: in one pass, so that nobody comes between. Otherwise the guards are a pass of
 * their own, and somebody may.
 */
void
resp_parse_msetnx(struct resp_parse *p)
{
	uint32_t pairs = (p->args.count - 1) / 2, first = p->pass->count;
	struct resp_memory *memory = p->state->memory;

	if (p->replayed && memory->going != RESP_NONE) {
		if (memory->phase == GUARDS_FIRST) {
			memory->total = 2 * pairs;
			ask_pairs(p, OP_GUARD, RESP_PART);
			memory->phase = SETS_THEN;
			p->stop = true;
		} else if (memory->failed) {
			resp_refuse(p, RESP_REPLY_ZERO);
			resp_went_on(p);
		} else {
			ask_pairs(p, OP_SET, RESP_PART);
			resp_went_on(p);
		}
	} else if (p->args.count % 2 == 0) {
		resp_refuse(p, RESP_REPLY_ARITY);
	} else if (has_bad_key(p)) {
		resp_refuse(p, RESP_REPLY_BAD_KEY);
	} else if (pairs > FRAME_OPS_MAX) {
		resp_refuse(p, RESP_REPLY_MSETNX_MANY);
	} else if (2 * pairs > FRAME_OPS_MAX || !in_one_place(p)) {
		resp_go_on(p);
	} else if (resp_room(p, 2 * pairs)) {
		ask_pairs(p, OP_GUARD, 0);
		ask_pairs(p, OP_SET, 0);
		for (uint32_t i = 0; i < pairs; i++)
			p->pass->requests[first + i].length = 2 * pairs - i - 1;
	}
}

void
resp_compose_msetnx(struct resp_compose *c, const struct resp_run *run)
{
	bool failed = false;

	for (uint32_t i = 0; i < run->count; i++)
		failed |= run->responses[i].status != OP_STATUS_OK;
	if (run->part && c->state->memory->going == RESP_MSETNX)
		c->state->memory->failed = failed;
	else if (!any_failed(c, run))
		resp_integer(&c->out, !failed);
}
