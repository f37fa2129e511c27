/*
 * stream_feed.h - one connection's protocol without execution: input in any portions, responses made up, and a digest
 * of all that was parsed and composed. The same input has the same digest, however it is cut.
 */
#ifndef TESTS_STREAM_FEED_H
#define TESTS_STREAM_FEED_H

#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/prng.h"
#include "proto/memcached_parser.h"
#include "proto/memcached_session.h"
#include "proto/stream_facts.h"

enum { FEED_BLOCKS = 8 << 20 };

struct feed {
	struct stream_state state;
	struct stream_facts facts;
	struct blocks *blocks;
	struct outq out;
	const uint8_t *at, *unread; /* of the input: what has come ends at `at`, what was not consumed begins at `unread` */
	uint32_t wanted;
	bool closed;
	struct request body_request;
	uint8_t key[KEY_LEN_MAX];
	uint8_t *body;
	uint32_t body_len, body_at;
	uint64_t digest;
	uint64_t requests;
};

static const struct now feed_now = { .mono_ns = 5, .wall_ms = 1700000000123ull };
static struct request feed_requests[FRAME_OPS_MAX];
static struct response feed_responses[FRAME_OPS_MAX];
static uint8_t feed_value[4096];

static inline void
feed_mix(struct feed *f, const void *data, size_t len)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++)
		f->digest = (f->digest ^ bytes[i]) * 1099511628211ull; /* FNV-1a */
}

static inline void
feed_number(struct feed *f, uint64_t number)
{
	feed_mix(f, &number, sizeof number);
}

/* Any status with any item, the same for the same request of the conversation. */
static inline void
feed_respond(struct feed *f, struct response *response, bool counts)
{
	struct prng prng = { 1000 + f->requests };
	uint32_t len = (uint32_t)prng_below(&prng, prng_below(&prng, 4) ? 60 : sizeof feed_value);

	f->requests += counts;
	*response = (struct response){ .value = view_of(feed_value, len), .total_len = len, .has_item = true,
		.version = prng_next(&prng), .number = prng_next(&prng), .expiry_ms = prng_below(&prng, 2) ? 0 : feed_now.wall_ms + 90000,
		.client_flags = (uint32_t)prng_next(&prng), .state = (uint8_t)prng_below(&prng, 32),
		.status = prng_below(&prng, 3) ? 0 : (uint8_t)prng_below(&prng, 20) };
}

static inline void
feed_check(const struct request *request, const uint8_t *input, uint32_t len, const struct feed *f)
{
	CHECK(request->op < OP_END && request->value.len <= VALUE_LEN_MAX);
	CHECK(request->value.len == 0 || request->value.data == f->body ||
	    (request->value.data >= input && request->value.data + request->value.len <= input + len));
	if (op_has_key(request->op)) {
		CHECK(request->key.len >= 1 && request->key.len <= KEY_LEN_MAX);
		feed_number((struct feed *)(uintptr_t)f, request->key.data[request->key.len - 1]); /* read it */
	}
}

/* A command in error whose value came apart has its request, which is silent; whole it has none. */
static inline bool
feed_is_silent(const struct request *request, bool binary)
{
	return !binary && request->op == OP_NONE && (request->verb & VERB_QUIET);
}

static inline void
feed_take(struct feed *f, struct stream_pass *pass, bool binary)
{
	struct stream_reply reply = { .input = view_of(pass->input.data, pass->consumed), .requests = feed_requests,
		.responses = feed_responses, .count = pass->count, .now = &feed_now, .state = &f->state, .blocks = f->blocks,
		.out = &f->out, .facts = &f->facts };

	for (uint32_t i = 0; i < pass->count; i++) {
		const struct request *r = &feed_requests[i];
		bool silent = feed_is_silent(r, binary);

		CHECK(r->index == i);
		feed_check(r, pass->input.data, pass->input.len, f);
		feed_respond(f, &feed_responses[i], !silent);
		if (silent)
			continue;
		feed_number(f, (uint64_t)r->op << 24 | (uint64_t)r->verb << 16 | r->local);
		if (r->op == OP_NONE)
			continue;
		feed_mix(f, r->key.data, r->key.len);
		feed_mix(f, r->value.data, r->value.len);
		feed_number(f, r->flags | (uint64_t)r->options << 32);
		feed_number(f, r->version ^ r->expiry_ms << 1 ^ r->delta << 2 ^ r->initial << 3 ^ r->handle << 4 ^ r->client_flags);
	}
	CHECK(memcached_stream_protocol.compose(&reply));
}

/* False: nothing more can be made of what has come. */
static inline bool
feed_pass(struct feed *f, bool finished, bool binary)
{
	uint32_t len = (uint32_t)(f->at - f->unread);
	uint8_t *input = malloc(len ? len : 1); /* its own block, so that a read past its end is seen */
	struct stream_pass pass = { .now = &feed_now, .input = view_of(input, len), .finished = finished, .state = &f->state,
		.blocks = f->blocks, .facts = &f->facts, .requests = feed_requests };

	CHECK(input);
	memcpy(input, f->unread, len);
	pass.body_done = f->body != NULL;
	pass.body_value = view_of(f->body, f->body_len);
	if (f->body)
		pass.body_request = f->body_request;
	memcached_stream_protocol.parse(&pass);
	CHECK(pass.consumed <= len && pass.count <= FRAME_OPS_MAX);
	CHECK(!pass.more || pass.count + pass.consumed > 0); /* or it would go round for ever */
	CHECK(pass.wanted == 0 || pass.wanted > len - pass.consumed);
	if (pass.count > 0)
		feed_take(f, &pass, binary);
	if (pass.body_done && pass.count + pass.consumed > 0) {
		free(f->body);
		f->body = NULL;
	}
	f->unread += pass.consumed;
	f->wanted = pass.wanted;
	f->closed = pass.close;
	if (pass.body) {
		CHECK(!f->body && pass.body_len >= 1 && pass.body_len <= VALUE_LEN_MAX);
		f->body_request = pass.body_request;
		memcpy(f->key, pass.body_request.key.data, pass.body_request.key.len);
		f->body_request.key.data = f->key;
		f->body = malloc(pass.body_len);
		CHECK(f->body);
		f->body_len = pass.body_len;
		f->body_at = 0;
	}
	free(input);
	return pass.more || pass.settle || pass.body;
}

static inline void
feed_more(struct feed *f, uint32_t len, bool finished, bool binary)
{
	f->at += len;
	do {
		uint32_t left = (uint32_t)(f->at - f->unread), part = f->body ? f->body_len - f->body_at : 0;

		part = part < left ? part : left;
		if (part > 0) {
			memcpy(f->body + f->body_at, f->unread, part);
			f->body_at += part;
			f->unread += part;
			left -= part;
		}
		if (f->body && f->body_at < f->body_len)
			return;
		if (left < f->wanted && !finished)
			return;
	} while (!f->closed && feed_pass(f, finished, binary));
}

/* The digest of a whole conversation, its input in portions of at most `most` bytes (0: all at once). */
static inline uint64_t
feed_all(const uint8_t *data, uint32_t size, uint32_t most, const char *password, bool binary)
{
	static struct blocks blocks;
	struct feed f = { .blocks = &blocks, .at = data, .unread = data, .digest = 14695981039346656037ull };
	struct prng prng = { size };
	uint8_t byte;

	if (!blocks.region)
		CHECK(blocks_init(&blocks, FEED_BLOCKS));
	f.facts.password = password;
	memcached_session_of(&f.state)->language = binary ? LANGUAGE_BINARY : LANGUAGE_TEXT;
	while (f.at < data + size && !f.closed) {
		uint32_t left = (uint32_t)(data + size - f.at), part = most ? 1 + (uint32_t)prng_below(&prng, most) : left;

		feed_more(&f, part < left ? part : left, false, binary);
	}
	if (!f.closed)
		feed_more(&f, 0, true, binary);
	outq_check(&f.out);
	for (uint32_t i = 0; i < f.out.len; i++) {
		outq_read(&f.out, i, &byte, 1);
		feed_mix(&f, &byte, 1);
	}
	feed_number(&f, f.closed);
	memcached_stream_protocol.release(&f.state, &blocks);
	outq_clear(&blocks, &f.out);
	free(f.body);
	CHECK(blocks.used == 0);
	return f.digest;
}

#endif
