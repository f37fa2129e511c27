/*
 * pass_driver.h - one connection's protocol against one worker's serve, without TCP: bytes in, in any portions,
 * bytes out. Values that come apart are gathered in a buffer. For tests; uses serve_rig.h with one worker.
 */
#ifndef TESTS_PASS_DRIVER_H
#define TESTS_PASS_DRIVER_H

#include "proto/stream.h"
#include "proto/stream_facts.h"
#include "tests/unit/serve_rig.h"

enum { DRIVER_SIZE = 4 << 20 };

struct pass_driver {
	const struct stream_protocol *protocol;
	struct stream_state state;
	struct stream_facts facts;
	struct blocks blocks;
	struct outq out;
	uint8_t *input;      /* unread */
	uint32_t len;
	uint32_t wanted;     /* a parser that asked for more than it needs would wait for ever */
	bool closed;
	/* a value on its way */
	struct request body_request;
	uint8_t body_key[KEY_LEN_MAX];
	uint8_t *body;
	uint32_t body_len, body_at;
	uint64_t passes;
};

static inline void
driver_open(struct pass_driver *d, const struct stream_protocol *protocol)
{
	memset(d, 0, sizeof *d);
	d->protocol = protocol;
	d->input = malloc(DRIVER_SIZE);
	d->facts = (struct stream_facts){ .version = "1.2.3", .node_name = "n1", .worker_count = 1, .connections_max = 1024 };
	assert_non_null(d->input);
	assert_true(blocks_init(&d->blocks, 16 << 20));
}

/* Nothing may be left of it but what it answered. */
static inline void
driver_close(struct pass_driver *d)
{
	d->protocol->release(&d->state, &d->blocks);
	outq_clear(&d->blocks, &d->out);
	blocks_check(&d->blocks);
	assert_int_equal(d->blocks.used, 0);
	blocks_deinit(&d->blocks);
	free(d->input);
	free(d->body);
}

static inline void
driver_run(struct pass_driver *d, const struct stream_pass *pass)
{
	struct serving *worker = &rig.workers[0]->s;
	struct burst *burst = &worker->burst;
	struct datagram datagram = { .service = SERVICE_MEMCACHED };
	struct stream_reply reply;

	burst->now = rig.now;
	burst->requests = worker->requests;
	burst->responses = worker->responses;
	burst->frame_count = 1;
	burst->request_count = pass->count;
	burst->outbox.count = 0;
	burst->frames[0] = (struct frame){ .datagram = &datagram, .count = (uint16_t)pass->count,
		.service = SERVICE_MEMCACHED, .proven = true, .input = view_of(pass->input.data, pass->consumed) };
	serve_run(worker->serve, burst);
	reply = (struct stream_reply){ .frame = &burst->frames[0], .input = burst->frames[0].input,
		.requests = burst->requests, .responses = burst->responses, .count = pass->count, .now = &rig.now,
		.state = &d->state, .blocks = &d->blocks, .out = &d->out, .facts = &d->facts };
	if (!d->protocol->compose(&reply))
		d->closed = true;
	serve_tick(worker->serve, &rig.now, 16);
	reclaim_quiescent();
}

/* One pass over a copy of what is unread, in a block of its own, so that a read past its end is seen. */
static inline bool
driver_pass(struct pass_driver *d, bool finished)
{
	uint8_t *copy = malloc(d->len ? d->len : 1);
	struct stream_pass pass = { .now = &rig.now, .input = view_of(copy, d->len), .finished = finished, .state = &d->state,
		.blocks = &d->blocks, .facts = &d->facts, .requests = rig.workers[0]->s.requests };

	memcpy(copy, d->input, d->len);
	if (d->body && d->body_at == d->body_len) {
		pass.body_done = true;
		pass.body_request = d->body_request;
		pass.body_value = view_of(d->body, d->body_len);
	}
	d->passes++;
	d->protocol->parse(&pass);
	assert_true(pass.consumed <= d->len && pass.count <= FRAME_OPS_MAX);
	if (pass.count > 0)
		driver_run(d, &pass);
	if (pass.body_done && pass.consumed + pass.count > 0) {
		free(d->body);
		d->body = NULL;
	}
	d->len -= pass.consumed;
	memmove(d->input, d->input + pass.consumed, d->len);
	d->wanted = pass.wanted;
	d->closed |= pass.close;
	if (pass.body) {
		assert_true(pass.body_len >= 1 && pass.body_len <= VALUE_LEN_MAX);
		d->body_request = pass.body_request;
		memcpy(d->body_key, pass.body_request.key.data, pass.body_request.key.len);
		d->body_request.key.data = d->body_key;
		d->body = malloc(pass.body_len);
		d->body_len = pass.body_len;
		d->body_at = 0;
	}
	free(copy);
	return pass.more || pass.settle || pass.body;
}

/* More bytes come in. */
static inline void
driver_feed(struct pass_driver *d, const void *data, uint32_t len, bool finished)
{
	assert_true(d->len + len <= DRIVER_SIZE);
	memcpy(d->input + d->len, data, len);
	d->len += len;
	do {
		uint32_t part = d->body ? d->body_len - d->body_at : 0;

		if (part > d->len)
			part = d->len;
		if (part > 0) {
			memcpy(d->body + d->body_at, d->input, part);
			d->body_at += part;
			d->len -= part;
			memmove(d->input, d->input + part, d->len);
		}
		if ((d->body && d->body_at < d->body_len) || (d->len < d->wanted && !finished))
			return;
	} while (!d->closed && driver_pass(d, finished));
}

#endif
