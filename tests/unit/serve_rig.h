/*
 * serve_rig.h - several workers' serves in one thread, exchanging outboxes, and a
 * client that speaks native frames to them. For tests; no I/O, time by hand.
 */
#ifndef TESTS_SERVE_RIG_H
#define TESTS_SERVE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/deferred.h"
#include "base/prng.h"
#include "proto/native.h"
#include "proto/topology.h"
#include "ring/slot.h"
#include "serve/serve.h"
#include "store/reclaim.h"
#include "tests/support/serving.h"

enum { RIG_WORKERS = 4, RIG_SPARES = 64, RIG_ROOM = 2048, RIG_REPLIES = 256, RIG_MAIL = 4096 };

struct rig_worker {
	struct serving s;
	uint8_t buffers[BURST_MAX][RIG_ROOM];
	struct pkt pkts[BURST_MAX];
	struct deferred *inbox[RIG_MAIL];
	uint32_t inbox_count;
	bool stuck; /* does not poll: mail waits */
};

/* What came back over the wire. */
struct rig_reply {
	uint8_t payload[UDP_PAYLOAD_MAX + 1];
	uint16_t len;
	uint8_t worker;
	struct endpoint peer;
};

struct serve_rig {
	uint32_t worker_count;
	struct store *store;
	struct rig_worker *workers[RIG_WORKERS];
	struct serve_config config;
	struct now now;
	struct rig_reply replies[RIG_REPLIES];
	uint32_t reply_count;
	uint32_t locals_home; /* slots of DEFERRED_HOME_LOCAL that came back */
	struct deferred *core_mail[RIG_MAIL]; /* slots for the control core */
	uint32_t core_count;
	/* connections (stream_rig.h): around a worker's burst; whether there was something to do, or will be */
	bool (*before)(uint32_t worker);
	bool (*after)(uint32_t worker);
	/* the client */
	struct endpoint peer;
	struct native_header header;
	uint8_t frame[UDP_PAYLOAD_MAX];
	struct writer out;
};

/* Several nodes, of which one is spoken to at a time. */
#ifndef RIG_NODES
#define RIG_NODES 1
#endif
static struct serve_rig rigs[RIG_NODES];
static unsigned rig_node;
#define rig (rigs[rig_node])

static inline void
rig_start(uint32_t worker_count, void (*configure)(struct serve_config *))
{
	struct store_config store_config = { .shard_count = worker_count, .memory_bytes = 64ull << 20,
		.items_max = 65536, .expected_item_size = 256, .node = (uint16_t)(3 + rig_node), .secret = "store's secret.." };
	struct serving *servings[RIG_WORKERS];
	struct error error;

	memset(&rig, 0, sizeof rig);
	rig.worker_count = worker_count;
	rig.now = (struct now){ .mono_ns = 1000 * NS_PER_SEC, .wall_ms = 1700000000000 };
	if (rig_node == 0)
		reclaim_register();
	rig.store = store_create(&store_config, &error);
	assert_non_null(rig.store);
	rig.config = (struct serve_config){ .worker_count = worker_count, .store = rig.store,
		.start_wall_ms = rig.now.wall_ms, .native_port = 7411, .epoch = 9, .cookie_secret = "cookie's secret",
		.boot = (uint16_t)(0xb007 + rig_node), .version = "1.2.3" };
	rig.config.cookie_secret[0] ^= (uint8_t)rig_node;
	if (configure)
		configure(&rig.config);
	for (uint32_t i = 0; i < worker_count; i++) {
		rig.workers[i] = calloc(1, sizeof *rig.workers[i]);
		assert_non_null(rig.workers[i]);
		servings[i] = &rig.workers[i]->s;
	}
	assert_true(serving_start(servings, worker_count, &rig.config, &error));
	endpoint_map_ipv4(rig.peer.ip, "\x0a\0\0\x07");
	rig.peer.port = 40000;
	rig.peer.local_port = 7411;
	rig.header = (struct native_header){ .version = NATIVE_VERSION, .client = 0xc11e47 + rig_node, .sequence = 1000,
		.window = 100 };
}

static inline void
rig_stop(void)
{
	for (uint32_t i = 0; i < rig.worker_count; i++) {
		serve_destroy(rig.workers[i]->s.serve);
		free(rig.workers[i]);
	}
	store_destroy(rig.store);
	if (rig_node == 0)
		reclaim_unregister();
}

/* Puts a payload into a worker's next burst. */
static inline void
rig_send(uint32_t worker, uint8_t service, const void *payload, uint16_t len)
{
	struct rig_worker *w = rig.workers[worker];
	uint32_t i = w->s.burst.datagram_count++;

	assert_true(i < BURST_MAX);
	w->pkts[i] = (struct pkt){ .data = w->buffers[i], .room = RIG_ROOM,
		.len = (uint16_t)(PKT_UDP_PAYLOAD_OFFSET + len) };
	memcpy(w->buffers[i] + PKT_UDP_PAYLOAD_OFFSET, payload, len);
	w->s.burst.datagrams[i] = (struct datagram){ .pkt = &w->pkts[i], .service = service,
		.payload = w->buffers[i] + PKT_UDP_PAYLOAD_OFFSET, .payload_len = len, .peer = rig.peer };
}

/* Mail joins the burst as far as there is room. */
static inline void
rig_take_mail(struct rig_worker *w)
{
	uint32_t taken = 0;

	while (taken < w->inbox_count && w->s.burst.datagram_count < BURST_MAX && w->s.burst.answered_count < BURST_MAX)
		serving_mail(&w->s, w->inbox[taken++]);
	memmove(w->inbox, w->inbox + taken, (w->inbox_count - taken) * sizeof *w->inbox);
	w->inbox_count -= taken;
}

static inline void
rig_collect(struct rig_worker *w, uint32_t worker)
{
	for (uint32_t i = 0; i < w->s.burst.reply_count; i++) {
		struct reply *reply = &w->s.replies[i];
		struct rig_reply *kept = &rig.replies[rig.reply_count++];

		assert_true(rig.reply_count <= RIG_REPLIES && reply->payload_len <= UDP_PAYLOAD_MAX);
		memcpy(kept->payload, reply->pkt->data + PKT_UDP_PAYLOAD_OFFSET, reply->payload_len);
		kept->len = reply->payload_len;
		kept->worker = (uint8_t)worker;
		kept->peer = *reply->peer;
		assert_int_equal(reply->pkt->disposition, PKT_PENDING);
		reply->pkt->disposition = PKT_SEND;
	}
	for (uint32_t i = 0; i < w->s.burst.datagram_count; i++)
		assert_int_not_equal(w->s.burst.datagrams[i].pkt->disposition, PKT_PENDING);
	for (uint32_t i = 0; i < w->s.burst.outbox.count; i++) {
		if (w->s.burst.outbox.mails[i].to == DEFERRED_HOME_LOCAL) {
			rig.locals_home++;
			continue;
		}
		if (w->s.burst.outbox.mails[i].to == MAIL_CORE) {
			assert_true(rig.core_count < RIG_MAIL);
			rig.core_mail[rig.core_count++] = w->s.burst.outbox.mails[i].slot;
			continue;
		}
		struct rig_worker *to = rig.workers[w->s.burst.outbox.mails[i].to];

		assert_true(to->inbox_count < RIG_MAIL);
		to->inbox[to->inbox_count++] = w->s.burst.outbox.mails[i].slot;
	}
}

/* One round of a worker's loop. Returns whether there is something to do because of it. */
static inline bool
rig_poll(uint32_t worker)
{
	struct rig_worker *w = rig.workers[worker];
	bool busy = false;

	if (w->stuck)
		return false;
	serving_begin(&w->s, rig.now, RIG_SPARES);
	rig_take_mail(w);
	if (rig.before)
		busy = rig.before(worker);
	serving_run(&w->s);
	if (rig.after)
		busy |= rig.after(worker);
	rig_collect(w, worker);
	busy |= w->s.burst.outbox.count > 0;
	w->s.burst.datagram_count = 0;
	serve_tick(w->s.serve, &rig.now, 4);
	reclaim_quiescent();
	return busy;
}

/* Polls all until nothing moves. */
static inline void
rig_settle(void)
{
	bool moved = true;

	while (moved) {
		moved = false;
		for (uint32_t i = 0; i < rig.worker_count; i++) {
			if (rig.workers[i]->stuck)
				continue;
			moved |= rig.workers[i]->s.burst.datagram_count + rig.workers[i]->inbox_count > 0;
			moved |= rig_poll(i);
		}
	}
}

static inline uint64_t
rig_counter(enum counter counter)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < rig.worker_count; i++)
		sum += counter_read(&rig.workers[i]->s.counters, counter);
	return sum;
}

static inline uint64_t
rig_drops(enum drop drop)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < rig.worker_count; i++)
		sum += drop_read(&rig.workers[i]->s.counters, drop);
	return sum;
}

/* A request with its slot as a good client computes it. */
static inline struct request
rig_request(enum op op, const char *key)
{
	struct request request = { .op = (uint8_t)op, .key = view_text(key) };

	if (op_has_key(op))
		request.slot = slot_of_key(request.key);
	return request;
}

static inline struct request
rig_set(const char *key, const char *value)
{
	struct request request = rig_request(OP_SET, key);

	request.value = view_text(value);
	return request;
}

/* Begins the client's next frame. */
static inline void
rig_frame(void)
{
	rig.header.op_count = 0;
	rig.out = writer_of(rig.frame + NATIVE_HEADER_LEN, sizeof rig.frame - NATIVE_HEADER_LEN);
}

static inline void
rig_add(struct request request)
{
	native_request_compose(&rig.out, &request);
	assert_false(rig.out.failed);
	rig.header.op_count++;
}

static inline uint16_t
rig_frame_len(void)
{
	return (uint16_t)(rig.out.at - rig.frame);
}

/* Sends the frame; its sequence numbers are used up unless it is sent as a repetition. */
static inline void
rig_send_frame(uint32_t worker)
{
	native_header_compose(&rig.header, rig.frame);
	rig_send(worker, SERVICE_NATIVE, rig.frame, rig_frame_len());
}

static inline void
rig_next_frame(void)
{
	rig.header.sequence += rig.header.op_count;
}

/* Forgets the replies so far. */
static inline void
rig_clear(void)
{
	rig.reply_count = 0;
}

/* Gets the cookie by being challenged. */
static inline void
rig_prove(void)
{
	struct native_header header;

	rig.header.cookie = 0;
	rig_clear();
	rig_frame();
	rig_add(rig_request(OP_PING, ""));
	rig_send_frame(0);
	rig_settle();
	assert_int_equal(rig.reply_count, 1);
	assert_true(native_header_parse(view_of(rig.replies[0].payload, rig.replies[0].len), &header));
	assert_int_equal(header.error, OP_STATUS_UNPROVEN);
	assert_int_equal(header.flags & NATIVE_FLAG_CHALLENGE, NATIVE_FLAG_CHALLENGE);
	rig.header.cookie = header.cookie;
	rig_clear();
}

/* The result of operation `index` of the frame whose sequence is `sequence`. False: none. */
static inline bool
rig_result(uint64_t sequence, uint32_t index, struct native_result *result)
{
	for (uint32_t i = 0; i < rig.reply_count; i++) {
		struct rig_reply *reply = &rig.replies[i];
		struct native_header header;
		struct reader in = reader_of(reply->payload + NATIVE_HEADER_LEN, reply->len - NATIVE_HEADER_LEN);

		assert_true(native_header_parse(view_of(reply->payload, reply->len), &header));
		if (header.sequence != sequence || header.error != 0)
			continue;
		while (native_result_parse(&in, result))
			if (result->index == index)
				return true;
		assert_false(in.failed);
	}
	return false;
}

/* Sends one operation to a worker, settles, and returns its only result. */
static inline struct native_result
rig_do(uint32_t worker, struct request request)
{
	struct native_result result;

	rig_clear();
	rig_frame();
	rig_add(request);
	rig_send_frame(worker);
	rig_settle();
	assert_int_equal(rig.reply_count, 1);
	assert_true(rig_result(rig.header.sequence, 0, &result));
	assert_int_equal(result.op, request.op);
	rig_next_frame();
	return result;
}

/* A key whose slot belongs to a worker; several by `number`. */
static inline const char *
rig_key_of(uint32_t worker, uint32_t number)
{
	static char keys[8][16];
	static uint32_t at;
	char *key = keys[at++ % 8];

	for (uint32_t i = 0;; i++) {
		snprintf(key, sizeof keys[0], "key-%u", i);
		if (slot_of_key(view_text(key)) % rig.worker_count == worker && number-- == 0)
			return key;
	}
}

#endif
