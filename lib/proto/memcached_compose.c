/*
 * How: commands are composed one after another into a stream. A command whose
 * reply does not fit is taken back and answered by an error line instead, so the
 * commands behind it keep their place.
 */
#include "base/check.h"
#include "proto/memcached_composer.h"
#include "proto/memcached_session.h"

/* deferred->reply_state */
enum {
	REPLY_WHOLE = 0,
	REPLY_COMMAND_FAILED, /* the command that goes on has its error line: its other keys are silent */
	REPLY_FULL,           /* not even an error line fits any more */
};

void
memcached_composer_line(struct memcached_composer *c, enum memcached_line line)
{
	memcached_stream_put(&c->stream, memcached_text_fixed(line));
}

/* A status that memcached has no word for; of a cluster's, a sentence. */
static void
put_server_error(struct memcached_composer *c, enum op_status status)
{
	memcached_stream_text(&c->stream, "SERVER_ERROR ");
	memcached_stream_text(&c->stream, op_status_name(status));
	if (status >= OP_STATUS_OWNER_DEAD) {
		memcached_stream_text(&c->stream, ": ");
		memcached_stream_text(&c->stream, op_status_text(status));
	}
	memcached_composer_crlf(c);
}

enum memcached_line
memcached_composer_line_of(const struct request *request, enum op_status status, enum memcached_line ok)
{
	bool extends = request->op == OP_APPEND || request->op == OP_PREPEND;

	switch (status) {
	case OP_STATUS_OK: return ok;
	case OP_STATUS_NOT_FOUND: return LINE_NOT_FOUND;
	case OP_STATUS_EXISTS: return LINE_EXISTS;
	case OP_STATUS_NOT_STORED: return LINE_NOT_STORED;
	case OP_STATUS_NOT_A_NUMBER: return LINE_NOT_A_NUMBER;
	case OP_STATUS_OUT_OF_MEMORY: return LINE_NO_MEMORY;
	case OP_STATUS_TOO_LARGE: return extends ? LINE_NOT_STORED : LINE_TOO_LARGE;
	default: return LINE_NONE;
	}
}

void
memcached_composer_status(struct memcached_composer *c, const struct request *request, enum op_status status,
    enum memcached_line ok)
{
	enum memcached_line line = memcached_composer_line_of(request, status, ok);

	if (line)
		memcached_composer_line(c, line);
	else
		put_server_error(c, status);
}

/* One key of a get. False: the command has failed and its error line is written. */
static bool
put_value(struct memcached_composer *c, const struct request *request, const struct response *response)
{
	if (response->status == OP_STATUS_OK) {
		memcached_stream_text(&c->stream, "VALUE ");
		memcached_stream_put(&c->stream, request->key);
		memcached_stream_char(&c->stream, ' ');
		memcached_stream_number(&c->stream, response->client_flags);
		memcached_stream_char(&c->stream, ' ');
		memcached_stream_number(&c->stream, response->value.len);
		if ((request->verb & VERB_MASK) == VERB_GETS) {
			memcached_stream_char(&c->stream, ' ');
			memcached_stream_number(&c->stream, response->version);
		}
		memcached_composer_crlf(c);
		memcached_stream_value(&c->stream, response->value, response->pins);
		memcached_composer_crlf(c);
	} else if (response->status != OP_STATUS_NOT_FOUND) {
		memcached_composer_status(c, request, response->status, LINE_END);
		return false;
	}
	if (request->verb & VERB_END)
		memcached_composer_line(c, LINE_END);
	return true;
}

/* Lines "name value" become "STAT name value", and END closes them. */
static void
put_stats(struct memcached_composer *c, const struct response *response)
{
	struct view text = response->value;

	if (response->status != OP_STATUS_OK) {
		put_server_error(c, response->status);
		return;
	}
	while (text.len > 0) {
		const uint8_t *lf = memchr(text.data, '\n', text.len);
		uint32_t len = lf ? (uint32_t)(lf - text.data) : text.len;
		uint32_t shown = len > 0 && text.data[len - 1] == '\r' ? len - 1 : len;

		if (shown > 0) {
			memcached_stream_text(&c->stream, "STAT ");
			memcached_stream_put(&c->stream, view_of(text.data, shown));
			memcached_composer_crlf(c);
		}
		len += lf ? 1 : 0;
		text = view_of(text.data + len, text.len - len);
	}
	memcached_composer_line(c, LINE_END);
}

static void
put_number(struct memcached_composer *c, const struct request *request, const struct response *response)
{
	if (response->status != OP_STATUS_OK) {
		memcached_composer_status(c, request, response->status, LINE_NONE);
		return;
	}
	memcached_stream_number(&c->stream, response->number);
	memcached_composer_crlf(c);
}

/* One request. False: its command has failed and has its error line. */
static bool
put_response(struct memcached_composer *c, const struct request *request, const struct response *response)
{
	uint8_t verb = request->verb & VERB_MASK, status = response->status;

	if (verb == VERB_META_GET)
		memcached_composer_meta_get(c, request, response);
	else if (verb == VERB_META_SET || verb == VERB_META_DELETE)
		memcached_composer_meta_status(c, request, response);
	else if (verb == VERB_META_COUNT)
		memcached_composer_meta_count(c, request, response);
	else if (verb == VERB_META_DEBUG)
		memcached_composer_meta_debug(c, request, response);
	else if (request->verb & VERB_QUIET)
		return true;
	else if (verb == VERB_GET || verb == VERB_GETS)
		return put_value(c, request, response);
	else if (verb == VERB_ARITHMETIC)
		put_number(c, request, response);
	else if (verb == VERB_STATS)
		put_stats(c, response);
	else if (verb == VERB_LINE)
		memcached_composer_line(c, request->local);
	else if (verb == VERB_TOO_LARGE)
		memcached_composer_line(c, LINE_TOO_LARGE);
	else
		memcached_composer_status(c, request, status, verb == VERB_STORE ? LINE_STORED :
		    verb == VERB_DELETE ? LINE_DELETED : verb == VERB_TOUCH ? LINE_TOUCHED : LINE_OK);
	return true;
}

/* Requests i - 1 and i are of one command. */
static bool
goes_on(const struct memcached_composer *c, uint32_t i)
{
	return i > 0 && i < c->count && c->requests[i].text_at == c->requests[i - 1].text_at;
}

/* A connection's pass may end inside a get, which goes on in the next one. */
static bool
is_cut(const struct memcached_composer *c, uint32_t i)
{
	return c->session && c->session->get_op != 0 && i == c->count;
}

/* Takes back what did not fit; the error line goes there, or the reply ends. */
static void
put_no_room(struct memcached_composer *c, const struct memcached_stream_mark *mark, enum memcached_line line)
{
	memcached_stream_rewind(&c->stream, mark);
	c->stream.reserve = false;
	memcached_composer_line(c, line);
	c->stream.reserve = true;
	c->state = REPLY_COMMAND_FAILED;
	if (c->stream.full) {
		memcached_stream_rewind(&c->stream, mark);
		c->state = REPLY_FULL;
	}
}

/* The requests of one command from i on, but none from `stop` on. Returns the next command's. */
static uint32_t
compose_command(struct memcached_composer *c, uint32_t i, uint32_t stop)
{
	struct memcached_stream_mark mark = memcached_stream_mark(&c->stream);

	do {
		if (c->state == REPLY_WHOLE && !put_response(c, &c->requests[i], &c->responses[i]))
			c->state = REPLY_COMMAND_FAILED;
		if (c->stream.full && c->session)
			return c->count; /* no half of a reply: the connection ends */
		if (c->stream.full)
			put_no_room(c, &mark, LINE_NO_ROOM);
		i++;
	} while (i < stop && goes_on(c, i));
	if (c->state == REPLY_COMMAND_FAILED && !goes_on(c, i) && !is_cut(c, i))
		c->state = REPLY_WHOLE;
	return i;
}

static void
compose_commands(struct memcached_composer *c, uint32_t first, uint32_t stop)
{
	struct memcached_stream_mark mark;

	for (uint32_t i = first; i < stop && c->state != REPLY_FULL;)
		i = compose_command(c, i, stop);
	if (stop < c->count || !c->frame || c->frame->verdict != MEMCACHED_CUT || c->state == REPLY_FULL)
		return;
	mark = memcached_stream_mark(&c->stream);
	memcached_composer_line(c, LINE_TOO_MANY);
	if (c->stream.full)
		put_no_room(c, &mark, LINE_TOO_MANY);
}

static void
compose_into_slot(struct memcached_composer *c)
{
	struct deferred *slot = c->frame->datagram->deferred;

	CHECK(slot && slot->first_op <= c->frame->travel_from);
	c->stream = memcached_stream_of_buffer(slot->reply + slot->reply_len,
	    DEFERRED_REPLY_MAX - slot->reply_len);
	compose_commands(c, slot->first_op, c->frame->travel_from);
	slot->reply_len = (uint32_t)(c->stream.at - slot->reply);
	slot->first_op = (uint8_t)c->frame->travel_from;
	slot->reply_state = c->state;
}

uint32_t
memcached_compose(const struct frame *frame, const struct request *requests,
    const struct response *responses, const struct now *now, struct spares *spares,
    struct counters *counters, struct reply *replies)
{
	const struct deferred *slot = frame->datagram->deferred;
	struct memcached_composer c = {
		.frame = frame, .text = view_of(frame->datagram->payload, frame->datagram->payload_len),
		.requests = requests, .responses = responses, .count = frame->count, .now = now,
		.state = slot ? slot->reply_state : REPLY_WHOLE,
	};
	uint8_t before = c.state;

	if (frame->travels) {
		compose_into_slot(&c);
	} else {
		c.stream = memcached_stream_of_spares(spares, replies, &frame->datagram->peer);
		c.stream.reserve = !slot;
		if (slot)
			memcached_stream_put(&c.stream, view_of(slot->reply, slot->reply_len));
		c.stream.reserve = true;
		if (c.stream.full)
			c.state = REPLY_FULL;
		compose_commands(&c, slot ? slot->first_op : 0, frame->count);
	}
	if (c.state == REPLY_FULL && before != REPLY_FULL)
		counters_bump(&counters->drops[DROP_NO_SPARE], 1);
	return frame->travels ? 0 : memcached_stream_finish(&c.stream, frame->request_id);
}

bool
memcached_compose_pass(struct stream_reply *reply)
{
	struct memcached_session *session = memcached_session_of(reply->state);
	uint8_t gather[MEMCACHED_STREAM_GATHER];
	struct memcached_composer c = {
		.session = session, .text = reply->input, .requests = reply->requests, .responses = reply->responses,
		.count = reply->count, .now = reply->now, .state = session->failed ? REPLY_COMMAND_FAILED : REPLY_WHOLE,
		.stream = memcached_stream_of_outq(reply->blocks, reply->out, gather),
	};

	compose_commands(&c, 0, reply->count);
	session->failed = c.state == REPLY_COMMAND_FAILED;
	return memcached_stream_flush(&c.stream);
}
