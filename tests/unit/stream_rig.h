/*
 * stream_rig.h - connections to the workers of serve_rig.h: a client's bytes in, the replies' bytes out. Does to a turn
 * what net/tcp.h promises, in a simple way; no segments.
 */
#ifndef TESTS_STREAM_RIG_H
#define TESTS_STREAM_RIG_H

#include "tests/unit/serve_rig.h"
#include "serve/state.h"
#include "tests/support/lines.h"

enum { SERVICE_LINES = SERVICE_ECHO /* no other number is free */, RIG_STREAMS = 300, RIG_INPUT = 4 << 20, RIG_TURNS = BURST_MAX };

struct rig_stream {
	struct connection id;
	uint32_t worker;
	uint8_t service;
	bool open, opened, finished, paused, again, told, closing, aborted, dead;
	uint8_t *input;      /* RIG_INPUT, from the first unread byte on */
	uint32_t input_len, wanted, seen;
	uint8_t *room;
	uint32_t room_len, room_used;
	struct outq out;
};

static struct rig_stream rig_streams[RIG_STREAMS];
static struct blocks rig_blocks[RIG_WORKERS];
static struct turn rig_turns[RIG_WORKERS][RIG_TURNS];
static uint64_t rig_resumed;

static inline void
rig_stream_config(struct serve_config *config)
{
	config->connections_max = RIG_STREAMS;
	config->protocols[SERVICE_LINES] = &lines_protocol;
	config->protocols[SERVICE_RESP] = &resp_stream_protocol;
	config->protocols[SERVICE_MEMCACHED_STREAM] = &memcached_stream_protocol;
}

/* Bytes go to the room first. */
static inline void
rig_fill(struct rig_stream *s)
{
	uint32_t part = s->room_len - s->room_used < s->input_len ? s->room_len - s->room_used : s->input_len;

	if (!s->room || part == 0)
		return;
	memcpy(s->room + s->room_used, s->input, part);
	memmove(s->input, s->input + part, s->input_len - part);
	s->room_used += part;
	s->input_len -= part;
}

/* Whether it has a turn: the end; else input, unless paused or there is too little of it. */
static inline bool
rig_stream_ready(struct rig_stream *s)
{
	if (!s->open)
		return false;
	if (s->dead)
		return true;
	if (s->paused || s->closing || s->aborted)
		return false;
	rig_fill(s);
	if (s->room && s->room_used < s->room_len)
		return s->finished && !s->told;
	if (!s->opened || s->again || s->room || (s->finished && !s->told))
		return true;
	return s->input_len > s->seen && s->input_len >= s->wanted;
}

static inline struct turn
rig_turn_of(struct rig_stream *s)
{
	struct turn turn = { .id = s->id, .service = s->service, .opened = !s->opened, .finished = s->finished,
		.closed = s->dead, .input = view_of(s->input, s->input_len), .filled = s->room_used, .out = &s->out,
		.blocks = &rig_blocks[s->worker], .peer = rig.peer, .opened_ns = rig.now.mono_ns };

	if (s->room && s->room_used < s->room_len)
		turn.input.len = 0;
	s->opened = true;
	s->again = false;
	s->told |= s->finished;
	return turn;
}

static inline bool
rig_streams_before(uint32_t worker)
{
	struct burst *burst = &rig.workers[worker]->s.burst;

	for (uint32_t i = 0; i < burst->resumed_count; i++)
		for (uint32_t k = 0; k < RIG_STREAMS; k++) {
			struct rig_stream *s = &rig_streams[k];

			if (s->open && s->worker == worker && s->id.index == burst->resumed[i].index &&
			    s->id.generation == burst->resumed[i].generation) {
				assert_true(s->paused);
				s->paused = false;
				s->again = true;
				rig_resumed++;
			}
		}
	burst->resumed_count = 0;
	burst->turns = rig_turns[worker];
	burst->turn_count = 0;
	for (uint32_t k = 0; k < RIG_STREAMS && burst->turn_count < RIG_TURNS; k++)
		if (rig_streams[k].worker == worker && rig_stream_ready(&rig_streams[k]))
			burst->turns[burst->turn_count++] = rig_turn_of(&rig_streams[k]);
	return burst->turn_count > 0;
}

static inline void
rig_apply(struct rig_stream *s, const struct turn *turn)
{
	if (turn->closed) {
		outq_clear(turn->blocks, &s->out);
		free(s->input);
		memset(s, 0, sizeof *s);
		return;
	}
	assert_true(turn->consumed <= turn->input.len);
	memmove(s->input, s->input + turn->consumed, s->input_len - turn->consumed);
	s->input_len -= turn->consumed;
	s->seen = s->input_len;
	s->wanted = turn->wanted;
	if (s->room_used == s->room_len)
		s->room = NULL;
	if (turn->room_len > 0) {
		s->room = turn->room;
		s->room_len = turn->room_len;
		s->room_used = 0;
	}
	s->paused = turn->pause;
	s->again |= turn->again;
	s->closing |= turn->close;
	s->aborted |= turn->abort;
	s->dead |= turn->abort;
}

static inline bool
rig_streams_after(uint32_t worker)
{
	const struct serve *serve = rig.workers[worker]->s.serve;
	struct burst *burst = &rig.workers[worker]->s.burst;

	for (uint32_t i = 0; i < burst->turn_count; i++)
		for (uint32_t k = 0; k < RIG_STREAMS; k++)
			if (rig_streams[k].open && rig_streams[k].worker == worker && rig_streams[k].id.index == burst->turns[i].id.index) {
				rig_apply(&rig_streams[k], &burst->turns[i]);
				break;
			}
	burst->turn_count = 0;
	return burst->resumed_count > 0 || (serve->asks.local.first && serve->defer.out + RIG_WORKERS < DEFERRED_MAX);
}

static inline void
rig_streams_start(uint32_t workers)
{
	rig_start(workers, rig_stream_config);
	rig.before = rig_streams_before;
	rig.after = rig_streams_after;
	for (uint32_t i = 0; i < workers; i++)
		assert_true(blocks_init(&rig_blocks[i], 16 << 20));
}

/* Opens connection `k` to a worker. */
static inline struct rig_stream *
rig_connect(uint32_t worker, uint32_t k)
{
	static uint32_t generation;
	struct rig_stream *s = &rig_streams[k];

	assert_false(s->open);
	*s = (struct rig_stream){ .id = { k, ++generation }, .worker = worker, .service = SERVICE_LINES, .open = true };
	s->input = malloc(RIG_INPUT);
	assert_non_null(s->input);
	return s;
}

static inline void
rig_put(struct rig_stream *s, const void *data, uint32_t len)
{
	assert_true(s->input_len + len <= RIG_INPUT);
	if (len > 0)
		memcpy(s->input + s->input_len, data, len);
	s->input_len += len;
}

static inline void
rig_write(struct rig_stream *s, const char *text)
{
	rig_put(s, text, (uint32_t)strlen(text));
}

/* All that was answered, as a text; lives until the next call. */
static inline const char *
rig_read(struct rig_stream *s)
{
	static char *text;
	uint32_t len = s->out.len;

	free(text);
	text = malloc(len + 1);
	assert_non_null(text);
	if (len > 0)
		outq_read(&s->out, 0, (uint8_t *)text, len);
	outq_drop(&rig_blocks[s->worker], &s->out, len);
	text[len] = 0;
	return text;
}

/* Sends, lets all settle, and compares what was answered. */
static inline void
rig_talk(struct rig_stream *s, const char *text, const char *answer)
{
	rig_write(s, text);
	rig_settle();
	assert_string_equal(rig_read(s), answer);
}

static inline void
rig_hang_up(struct rig_stream *s)
{
	s->dead = true;
	rig_settle();
	assert_false(s->open);
}

/* Ends all connections; everything they had is given back. */
static inline void
rig_streams_stop(void)
{
	for (uint32_t k = 0; k < RIG_STREAMS; k++)
		rig_streams[k].dead |= rig_streams[k].open;
	rig_settle();
	for (uint32_t i = 0; i < rig.worker_count; i++) {
		blocks_check(&rig_blocks[i]);
		assert_int_equal(rig_blocks[i].used, 0);
	}
	rig_stop();
	for (uint32_t i = 0; i < RIG_WORKERS; i++)
		if (rig_blocks[i].region)
			blocks_deinit(&rig_blocks[i]);
	memset(rig_blocks, 0, sizeof rig_blocks);
}

#endif
