/*
 * lines.h - a protocol over streams for tests: a line a command, a word an argument, operations of one command
 * behind each other with ';'. Answers a line an operation. It shows all that proto/stream.h allows:
 * commands that need several passes, values that go straight into their item, passes that are to be settled.
 *
 *   get K | meta K | set K V | add K V | del K | incr K N | append K V | flush | ping | guard K VERSION COUNT
 *   body K LEN, the next line is the value | keys SLOT | settle (a ping) | close
 */
#ifndef TESTS_LINES_H
#define TESTS_LINES_H

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "proto/stream.h"
#include "ring/slot.h"

struct lines_state {
	uint64_t in_line;   /* a command goes on */
	uint64_t *held;     /* memory of the connection's own: released with it */
	uint64_t commands;
};

static inline struct lines_state *
lines_state(struct stream_state *state)
{
	return (struct lines_state *)(void *)state->bytes;
}

static inline bool
lines_is(struct view word, const char *text)
{
	return view_equal(word, view_text(text));
}

static inline uint64_t
lines_number(struct view word)
{
	uint64_t number = 0;

	for (uint32_t i = 0; i < word.len; i++)
		number = number * 10 + (uint64_t)(word.data[i] - '0');
	return number;
}

static const struct {
	const char *name;
	uint8_t op;
	uint16_t flags;
} lines_ops[] = {
	{ "get", OP_GET, 0 }, { "meta", OP_META, 0 }, { "set", OP_SET, 0 }, { "add", OP_SET, REQUEST_ADD },
	{ "del", OP_DELETE, 0 }, { "incr", OP_INCR, 0 }, { "append", OP_APPEND, 0 }, { "flush", OP_FLUSH, 0 },
	{ "ping", OP_PING, 0 }, { "settle", OP_PING, 0 }, { "guard", OP_GUARD, 0 }, { "keys", OP_KEYS, 0 },
	{ "body", OP_SET, 0 },
};

static inline void
lines_request(struct request *request, const struct view *words, uint32_t count, uint32_t text_at)
{
	*request = (struct request){ .op = OP_NONE, .local = OP_STATUS_BAD_REQUEST, .text_at = text_at };
	for (uint32_t i = 0; i < sizeof lines_ops / sizeof *lines_ops; i++) {
		if (!lines_is(words[0], lines_ops[i].name))
			continue;
		request->op = request->verb = lines_ops[i].op;
		request->flags = lines_ops[i].flags;
		request->local = 0;
	}
	if (count > 1 && op_has_key(request->op))
		request->key = words[1];
	if (count > 2 && (request->op == OP_SET || request->op == OP_APPEND))
		request->value = words[2];
	if (count > 2 && request->op == OP_INCR)
		request->delta = lines_number(words[2]);
	if (count > 2 && request->op == OP_GUARD)
		request->version = lines_number(words[2]);
	if (count > 3 && request->op == OP_GUARD)
		request->length = (uint32_t)lines_number(words[3]);
	if (request->op == OP_KEYS) {
		request->slot = (uint16_t)lines_number(words[1]);
		request->length = 100;
	}
}

/* The words of one operation; returns the bytes they take with their separator. */
static inline uint32_t
lines_words(struct view text, struct view *words, uint32_t *count)
{
	uint32_t at = 0, from = 0;

	*count = 0;
	for (;; at++) {
		if (text.data[at] != ' ' && text.data[at] != ';' && text.data[at] != '\n')
			continue;
		if (*count < 4)
			words[(*count)++] = view_of(text.data + from, at - from);
		from = at + 1;
		if (text.data[at] != ' ')
			return at + 1;
	}
}

static inline void
lines_body(struct stream_pass *pass, struct request request, const struct view *words, uint32_t behind)
{
	uint32_t len = (uint32_t)lines_number(words[2]);

	request.value = view_of(NULL, 0);
	if (pass->input.len - behind > len) {
		CHECK(pass->input.data[behind + len] == '\n');
		request.value = view_of(pass->input.data + behind, len);
		pass->requests[pass->count++] = request;
		pass->consumed = behind + len + 1;
		pass->more = true;
	} else if (len >= STREAM_BODY_MIN) {
		pass->body = true;
		pass->body_len = len;
		pass->body_request = request;
		pass->consumed = behind;
	} else {
		pass->wanted = behind - pass->consumed + len + 1;
	}
}

/* One operation, or the command's part that has room. False: no more in this pass. */
static inline bool
lines_one(struct stream_pass *pass, uint32_t line_at)
{
	struct lines_state *state = lines_state(pass->state);
	struct view rest = view_of(pass->input.data + pass->consumed, pass->input.len - pass->consumed), words[4];
	uint32_t count, len;
	struct request request;

	len = lines_words(rest, words, &count);
	state->in_line = rest.data[len - 1] == ';';
	if (lines_is(words[0], "close")) {
		pass->consumed += len;
		pass->close = true;
		return false;
	}
	lines_request(&request, words, count, line_at);
	if (lines_is(words[0], "body")) {
		lines_body(pass, request, words, pass->consumed + len);
		return pass->more && !(pass->more = false);
	}
	pass->consumed += len;
	pass->requests[pass->count++] = request;
	pass->settle = lines_is(words[0], "settle");
	return !pass->settle;
}

static inline void
lines_parse(struct stream_pass *pass)
{
	struct lines_state *state = lines_state(pass->state);
	uint32_t line_at = 0;

	if (!state->held) {
		state->held = blocks_take(pass->blocks, 64);
		CHECK(state->held);
	}
	if (pass->body_done) {
		if (pass->input.len < 1)
			return;
		pass->body_request.value = pass->body_value;
		pass->body_request.text_at = 0;
		pass->requests[pass->count++] = pass->body_request;
		pass->consumed = line_at = 1;
	}
	while (pass->consumed < pass->input.len) {
		if (!state->in_line) {
			line_at = pass->consumed;
			if (!memchr(pass->input.data + line_at, '\n', pass->input.len - line_at))
				return;
		}
		pass->more = pass->count == FRAME_OPS_MAX;
		if (pass->more || !lines_one(pass, line_at))
			break;
	}
	pass->more |= pass->settle;
}

static inline bool
lines_value(struct stream_reply *reply, const struct response *response)
{
	if (response->value.len >= OUTQ_PIN_MIN && response->pins && outq_pin(response->pins)) {
		if (outq_put_pinned(reply->blocks, reply->out, response->value, response->pins))
			return true;
		outq_unpin(response->pins);
		return false;
	}
	return outq_put(reply->blocks, reply->out, response->value.data, response->value.len);
}

static inline bool
lines_compose(struct stream_reply *reply)
{
	char text[64];

	for (uint32_t i = 0; i < reply->count; i++) {
		const struct request *request = &reply->requests[i];
		const struct response *response = &reply->responses[i];
		bool value = response->status == OP_STATUS_OK && request->verb == OP_GET;

		if (value && !(outq_put(reply->blocks, reply->out, "=", 1) && lines_value(reply, response) &&
		    outq_put(reply->blocks, reply->out, "\n", 1)))
			return false;
		if (value)
			continue;
		if (response->status == OP_STATUS_OK && request->verb == OP_INCR)
			snprintf(text, sizeof text, "%llu\n", (unsigned long long)response->number);
		else if (response->status == OP_STATUS_OK && request->verb == OP_META)
			snprintf(text, sizeof text, "version %llu\n", (unsigned long long)response->version);
		else if (response->status == OP_STATUS_OK && request->verb == OP_KEYS)
			snprintf(text, sizeof text, "%u keys %u bytes\n", response->total_len, response->value.len);
		else
			snprintf(text, sizeof text, "%s\n", op_status_name(response->status));
		if (!outq_put(reply->blocks, reply->out, text, (uint32_t)strlen(text)))
			return false;
	}
	return true;
}

static inline void
lines_release(struct stream_state *state, struct blocks *blocks)
{
	if (lines_state(state)->held)
		blocks_give(blocks, lines_state(state)->held, 64);
}

static const struct stream_protocol lines_protocol = { "lines", lines_parse, lines_compose, lines_release };

#endif
