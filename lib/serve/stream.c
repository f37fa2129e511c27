#include "serve/stream.h"

#include <stdlib.h>

#include "base/check.h"
#include "serve/ask.h"
#include "serve/state.h"

/* A turn at work. */
struct visit {
	struct serve *serve;
	struct burst *burst;
	struct turn *turn;
	struct stream *stream;
	const struct stream_protocol *protocol;
};

bool
streams_init(struct streams *streams, uint32_t connections_max)
{
	*streams = (struct streams){ .size = connections_max };
	if (connections_max == 0)
		return true;
	streams->table = calloc(connections_max, sizeof *streams->table); /* pages come with their first use */
	return streams->table != NULL;
}

static const struct stream_protocol *
protocol_of(const struct serve *serve, uint8_t service)
{
	return service < SERVICE_ASK ? serve->config.protocols[service] : NULL;
}

void
stream_leave(struct serve *serve, uint8_t service, struct stream_state *state, struct stream_body *body)
{
	protocol_of(serve, service)->release(state, serve->streams.blocks);
	if (body)
		body_release(serve, serve->streams.blocks, body);
}

/* The connection is gone. What its ask may still refer to stays until that is home. */
static ON_WORKER void
end(struct serve *serve, struct stream *stream)
{
	struct ask *ask = stream->ask;

	if (stream->service == 0)
		return;
	facts_close(serve, (uint32_t)(stream - serve->streams.table));
	if (ask) {
		ask->abandoned = true;
		ask->state = stream->state;
		ask->body = stream->body;
		if (ask->ready)
			ask_release(serve, ask);
	} else {
		stream_leave(serve, stream->service, &stream->state, stream->body);
	}
	stream->service = 0;
}

void
streams_deinit(struct serve *serve)
{
	for (uint32_t i = 0; serve->streams.blocks && i < serve->streams.size; i++)
		end(serve, &serve->streams.table[i]);
	free(serve->streams.table);
}

static bool
has_room(const struct burst *burst)
{
	return burst->pass_count < BURST_PASSES_MAX && burst->request_count + FRAME_OPS_MAX <= BURST_REQUESTS_MAX;
}

static void
add_frame(struct visit *v, struct view input, uint32_t count)
{
	struct burst *burst = v->burst;
	struct datagram *datagram = &burst->passes[burst->pass_count++];
	struct frame *frame = &burst->frames[burst->frame_count++];

	*datagram = (struct datagram){ .service = v->stream->service, .peer = v->turn->peer };
	*frame = (struct frame){ .datagram = datagram, .first = burst->request_count, .count = (uint16_t)count,
		.service = v->stream->service, .proven = true, .turn = v->turn, .input = input };
	burst->request_count += count;
}

/* The pass waits for others, or becomes a frame. */
static ON_WORKER void
go(struct visit *v, struct view input, uint32_t count)
{
	struct burst *burst = v->burst;
	struct stream *stream = v->stream;

	stream->ask = ask_pass(v->serve, burst, v->turn, input, count);
	if (stream->ask) {
		v->turn->pause = true;
		return;
	}
	if (stream->body && stream->body->parsed)
		body_claim(v->serve, stream->body, &burst->requests[burst->request_count],
		    &burst->responses[burst->request_count]);
	add_frame(v, input, count);
}

/* The connection's next bytes are the value's; it ends when they will not come. */
static void
give_room(struct visit *v)
{
	struct stream_body *body = v->stream->body;
	struct turn *turn = v->turn;

	turn->room = body_room(v->serve, body, &body->given);
	turn->room_len = body->given;
	turn->close |= turn->finished && turn->input.len - turn->consumed < body->given;
}

static ON_WORKER void
begin_body(struct visit *v, const struct stream_pass *pass)
{
	v->stream->body = body_begin(v->serve, &v->burst->now, v->turn->blocks, pass);
	if (!v->stream->body)
		v->turn->abort = true;
	else if (!v->stream->ask)
		give_room(v);
}

/* Its request is the pass's first; a body without room is answered before anybody is asked. */
static ON_WORKER void
end_body(struct visit *v, uint32_t count)
{
	struct stream_body *body = v->stream->body;

	body->parsed = true;
	if (count == 0) {
		body_release(v->serve, v->turn->blocks, body);
		v->stream->body = NULL;
	} else if (body->status != OP_STATUS_OK) {
		body_claim(v->serve, body, &v->burst->requests[v->burst->request_count],
		    &v->burst->responses[v->burst->request_count]);
	}
}

/* Parses from what is unread. False: nothing more of this turn in this burst. */
static ON_WORKER bool
take_pass(struct visit *v)
{
	struct turn *turn = v->turn;
	struct stream *stream = v->stream;
	/* What has no input has no pointer either, to which C lets nobody add, not even 0. */
	const uint8_t *from = turn->consumed ? turn->input.data + turn->consumed : turn->input.data;
	struct view input = view_of(from, turn->input.len - turn->consumed);
	struct stream_pass pass;
	bool body = stream->body != NULL;

	pass.now = &v->burst->now;
	pass.input = input;
	pass.finished = turn->finished;
	pass.state = &stream->state;
	pass.blocks = turn->blocks;
	pass.facts = facts_visit(v->serve, turn, &v->burst->now);
	pass.requests = v->burst->requests + v->burst->request_count;
	pass.body_done = body;
	if (body) {
		pass.body_value = body_value(stream->body);
		pass.body_request = stream->body->request;
	}
	pass.count = pass.consumed = pass.wanted = pass.body_len = 0;
	pass.close = pass.more = pass.settle = pass.body = false;
	v->protocol->parse(&pass);
	CHECK(pass.consumed <= input.len && pass.count <= FRAME_OPS_MAX);
	turn->consumed += pass.consumed;
	turn->wanted = pass.wanted;
	if (body && pass.consumed + pass.count > 0)
		end_body(v, pass.count);
	if (pass.count > 0)
		go(v, view_of(input.data, pass.consumed), pass.count);
	if (pass.body && !pass.close)
		begin_body(v, &pass);
	/* No whole command will come any more. */
	stream->closing = pass.close || (turn->finished && !pass.more && !pass.body);
	if (stream->ask)
		return false;
	turn->close |= stream->closing;
	if (turn->close || turn->abort || stream->body || !pass.more || pass.count + pass.consumed == 0) {
		turn->again = !turn->close && (pass.more || (stream->body && stream->body->parsed)) && pass.count + pass.consumed > 0;
		return false;
	}
	turn->again = pass.settle;
	return !pass.settle;
}

static ON_WORKER void
take_passes(struct visit *v)
{
	for (uint32_t n = 0; n < STREAM_PASSES_MAX; n++) {
		if (!has_room(v->burst))
			break;
		if (!take_pass(v))
			return;
	}
	v->turn->again = true;
}

/* What was asked for is there: the pass is run. */
static ON_WORKER void
resume(struct visit *v)
{
	struct stream *stream = v->stream;
	struct ask *ask = stream->ask;
	struct turn *turn = v->turn;

	if (!ask->ready) {
		turn->pause = true;
		return;
	}
	turn->again = true;
	if (!has_room(v->burst))
		return;
	turn->again = !stream->closing;
	ask_restore(v->serve, v->burst, ask);
	if (stream->body && stream->body->parsed)
		body_claim(v->serve, stream->body, &v->burst->requests[v->burst->request_count],
		    &v->burst->responses[v->burst->request_count]);
	add_frame(v, view_of(ask->bytes, ask->bytes_len), ask->count);
	if (stream->body && !stream->body->parsed) {
		turn->again = false;
		give_room(v);
	}
	turn->close |= stream->closing;
}

/* More of the value. False: not all of it is there. */
static ON_WORKER bool
fill(struct visit *v)
{
	struct stream_body *body = v->stream->body;
	struct turn *turn = v->turn;

	if (body->given > 0 && turn->filled < body->given) {
		turn->close = turn->finished; /* the rest will not come */
		return false;
	}
	body->filled += body->given;
	body->given = 0;
	if (body->filled == body->len)
		return true;
	give_room(v);
	return false;
}

static ON_WORKER void
begin(struct visit *v)
{
	CHECK(v->stream->service == 0);
	*v->stream = (struct stream){ .generation = v->turn->id.generation, .service = v->turn->service };
	facts_open(v->serve, v->turn, &v->stream->state);
}

static ON_WORKER void
take_turn(struct serve *serve, struct burst *burst, struct turn *turn)
{
	struct visit v = { serve, burst, turn, &serve->streams.table[turn->id.index],
		protocol_of(serve, turn->service) };

	CHECK(turn->id.index < serve->streams.size);
	if (!v.protocol) {
		turn->abort = true;
		return;
	}
	if (turn->opened && !turn->closed)
		begin(&v);
	if (v.stream->service == 0 || v.stream->generation != turn->id.generation)
		return; /* it ended before it had a turn */
	if (turn->closed)
		end(serve, v.stream);
	else if (v.stream->ask)
		resume(&v);
	else if (!v.stream->body || fill(&v))
		take_passes(&v);
}

void
streams_parse(struct serve *serve, struct burst *burst)
{
	serve->streams.blocks = burst->turns[0].blocks;
	facts_refresh(serve, &burst->now);
	for (uint32_t i = 0; i < burst->turn_count; i++) {
		if (i + 1 < burst->turn_count)
			__builtin_prefetch(&serve->streams.table[burst->turns[i + 1].id.index]);
		take_turn(serve, burst, &burst->turns[i]);
	}
}

/* What a pass needed until its reply was composed. */
static ON_WORKER void
settle(struct serve *serve, struct turn *turn, struct stream *stream)
{
	if (stream->ask) {
		ask_release(serve, stream->ask);
		stream->ask = NULL;
	}
	if (stream->body && stream->body->parsed) {
		body_release(serve, turn->blocks, stream->body);
		stream->body = NULL;
	}
}

void
stream_compose(struct serve *serve, struct burst *burst, struct frame *frame)
{
	struct turn *turn = frame->turn;
	struct stream *stream = &serve->streams.table[turn->id.index];
	struct stream_reply reply = { .frame = frame, .input = frame->input, .requests = burst->requests + frame->first,
		.responses = burst->responses + frame->first, .count = frame->count, .now = &burst->now,
		.state = &stream->state, .blocks = turn->blocks, .out = turn->out, .facts = facts_visit(serve, turn, &burst->now) };

	if (!turn->abort && !protocol_of(serve, frame->service)->compose(&reply))
		turn->abort = true;
	if (stream->ask ? stream->ask->ready && stream->ask->bytes == frame->input.data : stream->body != NULL)
		settle(serve, turn, stream);
}
