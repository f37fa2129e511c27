/*
 * resp_end.h - a node that speaks RESP, without connections: bytes in, bytes out.
 *
 * Purpose: the real parser, executor and composer on model leaves, one worker, for tests that compare bytes. Does what
 *   serve/stream.h does for a connection, and no more: nothing is ever asked of other workers or nodes.
 * Threads: one. Memory: malloc; blocks of its own.
 */
#ifndef TESTS_RESP_END_H
#define TESTS_RESP_END_H

#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/turn.h"
#include "proto/stream.h"
#include "proto/stream_facts.h"
#include "serve/serve.h"
#include "store/reclaim.h"
#include "store/store.h"

enum { RESP_END_BLOCKS = 64 << 20, RESP_END_CONNECTIONS = 4 };

/* One connection. */
struct resp_conn {
	struct stream_state state;
	struct stream_client client;
	uint8_t *input;
	uint32_t len, size, wanted;
	struct outq out;
	bool closed;
	/* a value that is not whole */
	struct request body_request;
	uint8_t *body, *body_key;
	uint32_t body_len, body_filled;
};

struct resp_node {
	struct store *store;
	struct serve *serve;
	struct counters counters;
	struct blocks blocks;
	struct stream_facts facts;
	struct burst burst;
	struct turn turn;
	struct request requests[BURST_REQUESTS_MAX];
	struct response responses[BURST_REQUESTS_MAX];
	struct resp_conn conns[RESP_END_CONNECTIONS];
	struct now now;
	bool real_time; /* now is read before each pass */
	bool still;     /* no memory of items comes back between passes, so that their places depend on requests alone */
	bool exact;     /* the parser sees its input in a piece of memory of just that size */
};

static inline void
resp_node_clock(struct resp_node *node)
{
	struct timespec mono, wall;

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &wall);
	node->now.mono_ns = (uint64_t)mono.tv_sec * NS_PER_SEC + (uint64_t)mono.tv_nsec;
	node->now.wall_ms = (uint64_t)wall.tv_sec * MS_PER_SEC + (uint64_t)wall.tv_nsec / NS_PER_MS;
}

/* Before the first node, and after the last one. */
static inline void
resp_end_start(void)
{
	struct error error = { STATUS_OK, "" };

	CHECK(reclaim_start(&error) == STATUS_OK);
	reclaim_register();
}

static inline void
resp_end_stop(void)
{
	reclaim_unregister();
	reclaim_stop();
}

static inline struct resp_node *
resp_node_create(const char *password)
{
	struct resp_node *node = calloc(1, sizeof *node);
	struct store_config store_config = { .shard_count = 1, .memory_bytes = 256 << 20, .items_max = 20000, .secret = { 1, 2, 3 } };
	struct serve_config config = { .worker_count = 1, .native_port = 7411, .epoch = 1, .boot = 1, .version = "0.0.0" };
	struct error error = { STATUS_OK, "" };

	CHECK(node);
	resp_node_clock(node);
	config.start_wall_ms = node->now.wall_ms;
	config.store = node->store = store_create(&store_config, &error);
	CHECK(node->store && blocks_init(&node->blocks, RESP_END_BLOCKS));
	config.counters = &node->counters;
	config.all_counters[0] = &node->counters;
	node->serve = serve_create(&config, &error);
	CHECK(node->serve);
	node->facts = (struct stream_facts){ .version = "0.0.0", .node_name = "n1", .password = password,
		.start_wall_ms = node->now.wall_ms, .process_id = 1, .memory_bytes = 256 << 20, .worker_count = 1,
		.connections_max = 1000, .resp_port = 6379, .ip = { [10] = 0xff, 0xff, 127, 0, 0, 1 }, .counters = { &node->counters },
		.connections = 1, .connections_total = 1, .self = RING_NOBODY };
	for (uint32_t i = 0; i < RESP_END_CONNECTIONS; i++) {
		node->conns[i].client = (struct stream_client){ .next = i > 0 ? &node->conns[i - 1].client : NULL, .id = i + 1,
			.opened_ns = node->now.mono_ns, .heard_ns = node->now.mono_ns, .service = SERVICE_RESP,
			.ip = { [10] = 0xff, 0xff, 127, 0, 0, 1 }, .state = &node->conns[i].state };
		memcpy(node->conns[i].client.peer.ip, node->conns[i].client.ip, 16);
	}
	node->facts.clients = &node->conns[RESP_END_CONNECTIONS - 1].client;
	return node;
}

static inline void
resp_conn_reset(struct resp_node *node, struct resp_conn *conn)
{
	resp_stream_protocol.release(&conn->state, &node->blocks);
	outq_clear(&node->blocks, &conn->out);
	free(conn->body);
	free(conn->body_key);
	conn->body = conn->body_key = NULL;
	conn->len = conn->wanted = conn->body_len = 0;
	conn->closed = false;
}

/* Every block is given back: checked. */
static inline void
resp_node_destroy(struct resp_node *node)
{
	for (uint32_t i = 0; i < RESP_END_CONNECTIONS; i++) {
		resp_conn_reset(node, &node->conns[i]);
		free(node->conns[i].input);
	}
	CHECK(node->blocks.used == 0);
	blocks_check(&node->blocks);
	serve_destroy(node->serve);
	store_destroy(node->store);
	blocks_deinit(&node->blocks);
	free(node);
}

static inline void
resp_conn_run(struct resp_node *node, struct resp_conn *conn, struct stream_pass *pass)
{
	static struct datagram datagram = { .service = SERVICE_RESP };
	struct burst *burst = &node->burst;
	struct stream_reply reply = { .input = view_of(pass->input.data, pass->consumed), .requests = node->requests,
		.responses = node->responses, .count = pass->count, .now = &node->now, .state = &conn->state,
		.blocks = &node->blocks, .out = &conn->out, .facts = &node->facts, .frame = &burst->frames[0] };

	burst->now = node->now;
	burst->requests = node->requests;
	burst->responses = node->responses;
	burst->request_count = pass->count;
	burst->frame_count = 1;
	burst->outbox.count = burst->reply_count = 0;
	node->turn.id.index = 0;
	burst->frames[0] = (struct frame){ .datagram = &datagram, .count = (uint16_t)pass->count, .service = SERVICE_RESP,
		.proven = true, .turn = &node->turn, .input = reply.input };
	for (uint32_t i = 0; i < pass->count; i++)
		node->requests[i].index = (uint8_t)i;
	serve_run(node->serve, burst);
	CHECK(burst->outbox.count == 0);
	CHECK(resp_stream_protocol.compose(&reply));
	if (node->still)
		return;
	serve_tick(node->serve, &node->now, 16);
	reclaim_quiescent();
}

/* A pass. False: nothing more can be done with what there is. */
static inline bool
resp_conn_pass(struct resp_node *node, struct resp_conn *conn)
{
	struct stream_pass pass = { .now = &node->now, .input = view_of(conn->input, conn->len), .state = &conn->state,
		.blocks = &node->blocks, .facts = &node->facts, .requests = node->requests };
	uint8_t *exact = NULL;
	bool moved;

	if (node->real_time)
		resp_node_clock(node);
	if (conn->body_len > 0) {
		uint32_t part = conn->body_len - conn->body_filled < conn->len ? conn->body_len - conn->body_filled : conn->len;

		memcpy(conn->body + conn->body_filled, conn->input, part);
		conn->body_filled += part;
		conn->len -= part;
		memmove(conn->input, conn->input + part, conn->len);
		if (conn->body_filled < conn->body_len)
			return false;
		pass.input = view_of(conn->input, conn->len);
		pass.body_done = true;
		pass.body_request = conn->body_request;
		pass.body_value = view_of(conn->body, conn->body_len);
	} else if (conn->len < conn->wanted) {
		return false;
	}
	node->facts.client = &conn->client;
	if (node->exact) {
		exact = malloc(pass.input.len > 0 ? pass.input.len : 1);
		CHECK(exact);
		if (pass.input.len > 0)
			memcpy(exact, pass.input.data, pass.input.len);
		pass.input.data = exact;
	}
	resp_stream_protocol.parse(&pass);
	CHECK(pass.consumed <= conn->len && pass.count <= FRAME_OPS_MAX && pass.wanted <= BLOCK_MAX);
	if (pass.count > 0)
		resp_conn_run(node, conn, &pass);
	conn->wanted = pass.wanted;
	if (pass.body_done && pass.consumed > 0) {
		free(conn->body);
		free(conn->body_key);
		conn->body = conn->body_key = NULL;
		conn->body_len = 0;
	}
	if (pass.body) {
		CHECK(pass.body_len > 0 && pass.body_len <= VALUE_LEN_MAX);
		conn->body_request = pass.body_request;
		conn->body_key = malloc(pass.body_request.key.len);
		CHECK(conn->body_key);
		memcpy(conn->body_key, pass.body_request.key.data, pass.body_request.key.len);
		conn->body_request.key.data = conn->body_key;
		conn->body_len = pass.body_len;
		conn->body_filled = 0;
		conn->body = malloc(pass.body_len);
		CHECK(conn->body);
	}
	free(exact);
	conn->len -= pass.consumed;
	if (conn->len > 0)
		memmove(conn->input, conn->input + pass.consumed, conn->len);
	moved = pass.count > 0 || pass.consumed > 0;
	conn->closed = pass.close;
	if (conn->closed)
		conn->len = 0;
	return !conn->closed && moved;
}

static inline void
resp_conn_feed(struct resp_node *node, struct resp_conn *conn, const void *bytes, uint32_t len)
{
	if (conn->closed)
		return;
	if (conn->size - conn->len < len) {
		conn->size = (conn->len + len) * 2;
		conn->input = realloc(conn->input, conn->size);
		CHECK(conn->input);
	}
	if (len > 0)
		memcpy(conn->input + conn->len, bytes, len);
	conn->len += len;
	while (resp_conn_pass(node, conn))
		;
}

/* What was answered since the last time, as text; the caller frees it. */
static inline uint8_t *
resp_conn_take(struct resp_node *node, struct resp_conn *conn, uint32_t *len)
{
	uint8_t *bytes = malloc(conn->out.len + 1);

	CHECK(bytes);
	*len = conn->out.len;
	outq_read(&conn->out, 0, bytes, conn->out.len);
	bytes[conn->out.len] = 0;
	outq_drop(&node->blocks, &conn->out, conn->out.len);
	return bytes;
}

#endif
