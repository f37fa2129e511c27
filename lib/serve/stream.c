#include "serve/stream.h"

#include <stdlib.h>

#include "base/check.h"
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

static void
end(struct serve *serve, struct stream *stream)
{
	if (stream->service == 0)
		return;
	protocol_of(serve, stream->service)->release(&stream->state, serve->streams.blocks);
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

/* Parses from what is unread. False: nothing more of this turn in this burst. */
static bool
take_pass(struct visit *v)
{
	struct turn *turn = v->turn;
	struct view input = view_of(turn->input.data + turn->consumed, turn->input.len - turn->consumed);
	struct stream_pass pass = { .now = &v->burst->now, .input = input, .finished = turn->finished,
		.state = &v->stream->state, .blocks = turn->blocks, .facts = v->serve->streams.facts,
		.requests = v->burst->requests + v->burst->request_count };

	v->protocol->parse(&pass);
	CHECK(pass.consumed <= input.len && pass.count <= FRAME_OPS_MAX);
	turn->consumed += pass.consumed;
	turn->wanted = pass.wanted;
	turn->close = pass.close;
	if (pass.count > 0)
		add_frame(v, view_of(input.data, pass.consumed), pass.count);
	if (pass.close)
		return false;
	if (!pass.more || pass.count + pass.consumed == 0) {
		turn->close = turn->finished; /* no whole command will come any more */
		return false;
	}
	turn->again = pass.settle;
	return !pass.settle;
}

static void
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

static void
begin(struct visit *v)
{
	CHECK(v->stream->service == 0);
	*v->stream = (struct stream){ .generation = v->turn->id.generation, .service = v->turn->service };
}

static void
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
	else
		take_passes(&v);
}

void
streams_parse(struct serve *serve, struct burst *burst)
{
	serve->streams.blocks = burst->turns[0].blocks;
	for (uint32_t i = 0; i < burst->turn_count; i++) {
		if (i + 1 < burst->turn_count)
			__builtin_prefetch(&serve->streams.table[burst->turns[i + 1].id.index]);
		take_turn(serve, burst, &burst->turns[i]);
	}
}

void
stream_compose(struct serve *serve, struct burst *burst, struct frame *frame)
{
	struct turn *turn = frame->turn;
	struct stream_reply reply = { .frame = frame, .input = frame->input, .requests = burst->requests + frame->first,
		.responses = burst->responses + frame->first, .count = frame->count, .now = &burst->now,
		.state = &serve->streams.table[turn->id.index].state, .blocks = turn->blocks, .out = turn->out,
		.facts = serve->streams.facts };

	if (!turn->abort && !protocol_of(serve, frame->service)->compose(&reply))
		turn->abort = true;
}
