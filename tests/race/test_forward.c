/*
 * Race test of forwarding: two nodes, each with a worker and a control core on threads of their own. Slots go
 * from worker to core and back, messages from core to core, tables are published meanwhile, buffers are lent. Each
 * worker sends frames of the other node's keys, native and memcached. Run by the thread sanitizer.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "cluster/forward.h"
#include "proto/native.h"
#include "ring/slot.h"
#include "serve/serve.h"
#include "store/reclaim.h"
#include "tests/race/lane.h"

enum { NODES = 2, FRAMES = 1500, WINDOW = 32, KEYS = 8, SPARES = 256, ROOM = 2048, LARGE = 60000, SECONDS_MAX = 60 };

struct letter {
	uint64_t tag;
	uint32_t len;
	uint8_t bytes[];
};

struct node {
	uint32_t index;
	uint64_t id;
	struct store *store;
	struct serve *serve;
	struct counters counters;
	struct burst burst;
	struct request requests[BURST_REQUESTS_MAX];
	struct response responses[BURST_REQUESTS_MAX];
	struct reply replies[BURST_MAX + SPARE_MAX];
	uint8_t buffers[BURST_MAX + SPARES][ROOM];
	struct pkt pkts[BURST_MAX + SPARES];
	struct forward forward;
	struct lane to_core, to_worker, from_other; /* slots, slots, letters */
	struct serve_ring rings[2];
	const struct serve_ring *_Atomic published;
	char keys[KEYS][16]; /* the other node's */
	uint64_t cookie;
	uint32_t sent, answered, served;
	pthread_t worker, core;
};

static struct node *nodes[NODES];
static atomic_bool stop;
static atomic_uint finished;

static struct now
now_is(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (struct now){ .mono_ns = (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec, .wall_ms = 1700000000000 };
}

/* --- the worker ------------------------------------------------------------------------------ */

static void
receive(struct node *node, uint8_t service, const uint8_t *bytes, size_t len)
{
	uint32_t i = node->burst.datagram_count++;

	memcpy(node->buffers[i] + PKT_UDP_PAYLOAD_OFFSET, bytes, len);
	node->pkts[i] = (struct pkt){ .data = node->buffers[i], .room = ROOM };
	node->burst.datagrams[i] = (struct datagram){ .pkt = &node->pkts[i], .service = service,
		.payload = node->buffers[i] + PKT_UDP_PAYLOAD_OFFSET, .payload_len = (uint16_t)len,
		.peer = { .port = 4000, .local_port = 7411 } };
}

/* Even frames are native, odd ones memcached; every 16th gets a large value. */
static void
send_frame(struct node *node)
{
	uint32_t number = node->sent++;
	const char *key = node->keys[number % KEYS];
	struct request request = { .op = number % 4 ? OP_GET : OP_TOUCH, .key = view_text(key), .slot = slot_of_key(view_text(key)) };
	uint8_t bytes[UDP_PAYLOAD_MAX] = { 0 };
	struct writer out = writer_of(bytes, sizeof bytes);

	if (number % 2) {
		bytes[5] = 1;
		out.at += 8;
		writer_text(&out, number % 16 == 15 ? "get large\r\n" : number % 4 == 1 ? "get " : "delete ");
		if (number % 16 != 15) {
			writer_text(&out, key);
			writer_text(&out, "\r\n");
		}
		receive(node, SERVICE_MEMCACHED, bytes, (size_t)(out.at - bytes));
		return;
	}
	native_header_compose(&(struct native_header){ .version = NATIVE_VERSION, .op_count = 1, .client = node->id,
		.sequence = 1 + number, .cookie = node->cookie, .window = 1024 }, writer_take(&out, NATIVE_HEADER_LEN));
	native_request_compose(&out, &request);
	receive(node, SERVICE_NATIVE, bytes, (size_t)(out.at - bytes));
}

static void
count_answers(struct node *node)
{
	for (uint32_t i = 0; i < node->burst.reply_count; i++) {
		const uint8_t *payload = node->burst.replies[i].pkt->data + PKT_UDP_PAYLOAD_OFFSET;
		bool native = load_le16(payload) == NATIVE_MAGIC;

		/* Of a memcached reply the first datagram counts. */
		if (native || (payload[2] == 0 && payload[3] == 0))
			node->answered++;
		if (native && load_le64(payload + 24) != 0)
			node->cookie = load_le64(payload + 24);
		if (native && payload[3] & NATIVE_FLAG_CHALLENGE) /* the first frames: they come again */
			node->answered--, node->sent--;
	}
}

static void
take_mail(struct node *node)
{
	struct deferred *slot;

	while (node->burst.datagram_count < BURST_MAX / 2 && node->burst.answered_count < BURST_MAX / 2 &&
	    (slot = lane_take(&node->to_worker)) != NULL) {
		if (slot->done) {
			serve_home(node->serve, &node->burst, slot);
			continue;
		}
		node->served += slot->forwarded;
		serve_accept(slot, spares_take(&node->burst.spares), &node->burst.datagrams[node->burst.datagram_count++]);
	}
}

static void
round_of(struct node *node)
{
	struct outbox *outbox = &node->burst.outbox;

	for (uint32_t i = 0; i < SPARES; i++)
		node->pkts[BURST_MAX + i] = (struct pkt){ .data = node->buffers[BURST_MAX + i], .room = ROOM };
	node->burst.spares = (struct spares){ node->pkts + BURST_MAX, SPARES, 0 };
	node->burst.datagram_count = 0;
	node->burst.now = now_is();
	take_mail(node);
	while (node->sent < FRAMES && node->sent - node->answered < WINDOW && node->burst.datagram_count < BURST_MAX)
		send_frame(node);
	serve_parse(node->serve, &node->burst);
	serve_run(node->serve, &node->burst);
	serve_compose(node->serve, &node->burst);
	count_answers(node);
	for (uint32_t i = 0; i < outbox->count; i++) {
		CHECK(outbox->mails[i].to == MAIL_CORE);
		CHECK(lane_put(&node->to_core, outbox->mails[i].slot));
	}
	reclaim_quiescent();
}

static void *
worker_main(void *argument)
{
	struct node *node = argument;
	bool done = false;

	reclaim_register();
	while (!atomic_load(&stop)) {
		round_of(node);
		if (!done && node->sent == FRAMES && node->answered == FRAMES) {
			done = true;
			atomic_fetch_add(&finished, 1);
		}
		if (node->burst.datagram_count == 0)
			sched_yield();
	}
	reclaim_unregister();
	return NULL;
}

/* --- the core -------------------------------------------------------------------------------- */

static enum forward_result
post(struct node *node, const struct forward_post *message)
{
	struct letter *letter = malloc(sizeof *letter + message->head.len + message->body.len);

	CHECK(letter && message->member == nodes[!node->index]->id);
	letter->len = message->head.len + message->body.len;
	memcpy(letter->bytes, message->head.data, message->head.len);
	if (message->body.len)
		memcpy(letter->bytes + message->head.len, message->body.data, message->body.len);
	if (lane_put(&nodes[!node->index]->from_other, letter))
		return FORWARD_SENT;
	free(letter);
	return FORWARD_BUSY;
}

static bool
core_round(struct node *node, uint32_t round)
{
	struct now now = now_is();
	struct forward_post message;
	struct deferred *slot;
	struct letter *letter;
	bool busy = false;

	for (; (letter = lane_take(&node->from_other)) != NULL; busy = true) {
		forward_message(&node->forward, now, nodes[!node->index]->id, view_of(letter->bytes, letter->len));
		free(letter);
	}
	for (; (slot = lane_take(&node->to_core)) != NULL; busy = true)
		forward_slot(&node->forward, now, slot);
	if (round % 64 == 0) { /* another table that says the same; its reader may have the former one a burst longer */
		struct serve_ring *ring = &node->rings[round / 64 % 2];

		atomic_store_explicit(&node->published, ring, memory_order_release);
		forward_ring(&node->forward, now, &ring->snapshot);
	}
	forward_tick(&node->forward, now);
	while (forward_post(&node->forward, now, &message))
		forward_posted(&node->forward, now, post(node, &message));
	while ((slot = forward_mail(&node->forward)) != NULL)
		CHECK(lane_put(&node->to_worker, slot));
	return busy;
}

static void *
core_main(void *argument)
{
	for (uint32_t round = 0; !atomic_load(&stop); round++)
		if (!core_round(argument, round))
			sched_yield();
	return NULL;
}

/* --- set-up ---------------------------------------------------------------------------------- */

static void
publish_first(struct node *node)
{
	void *scratch = aligned_alloc(64, (ring_scratch_size() + 63) / 64 * 64);

	for (int r = 0; r < 2; r++) {
		struct ring_snapshot *snapshot = &node->rings[r].snapshot;

		snapshot->topology.epoch = 1;
		snapshot->topology.replication = 1;
		for (uint16_t i = 0; i < NODES; i++)
			CHECK(ring_topology_add(&snapshot->topology, &(struct ring_member){ .id = ring_member_id(i ? "n2" : "n1", 2),
				.index = i, .weight = 64, .state = RING_ALIVE }));
		ring_build(&snapshot->topology, scratch, &snapshot->table);
		node->rings[r].self = ring_find_id(&snapshot->topology, node->id);
		node->rings[r].epoch = 1;
	}
	free(scratch);
	atomic_store(&node->published, &node->rings[0]);
	forward_ring(&node->forward, now_is(), &node->rings[0].snapshot);
}

static bool
owns(const struct node *node, const char *key)
{
	return ring_owner(&node->rings[0].snapshot.table, slot_of_key(view_text(key)), 0) == node->rings[0].self;
}

static void
store_value(struct node *node, const char *key, uint32_t len)
{
	struct now now = now_is();
	struct item *item;

	CHECK(shard_take(store_shard(node->store, 0), &now, view_text(key), len, &item) == STORE_OK);
	memset((uint8_t *)(uintptr_t)item_value(item).data, 'v', len);
	CHECK(shard_publish(store_shard(node->store, 0), &now, item, store_digest(node->store, view_text(key))) == STORE_OK);
}

static struct node *
node_create(uint32_t index)
{
	struct node *node = aligned_alloc(64, (sizeof *node + 63) / 64 * 64);
	struct error error;
	struct store_config store = { .shard_count = 1, .memory_bytes = 16 << 20, .items_max = 4096, .expected_item_size = 128,
		.node = (uint16_t)index, .secret = "store's secret.." };
	struct serve_config serve = { .worker_count = 1, .native_port = 7411, .cookie_secret = "cookie's secret",
		.boot = (uint16_t)(5 + index), .version = "1", .memcached_allow_count = 1 };

	CHECK(node);
	memset(node, 0, sizeof *node);
	node->index = index;
	node->id = ring_member_id(index ? "n2" : "n1", 2);
	node->store = serve.store = store_create(&store, &error);
	serve.counters = &node->counters;
	serve.all_counters[0] = &node->counters;
	serve.ring = &node->published;
	node->serve = serve_create(&serve, &error);
	CHECK(node->serve && forward_init(&node->forward, &(struct forward_config){ .self = node->id, .worker_count = 1 }));
	node->burst.requests = node->requests;
	node->burst.responses = node->responses;
	node->burst.replies = node->replies;
	publish_first(node);
	return node;
}

static void
fill(struct node *node, struct node *other)
{
	for (uint32_t i = 0, n = 0; n < KEYS; i++) {
		snprintf(node->keys[n], sizeof node->keys[n], "k%u", i);
		if (!owns(other, node->keys[n]))
			continue;
		store_value(other, node->keys[n++], 100);
	}
	if (owns(other, "large"))
		store_value(other, "large", LARGE);
}

static void
node_destroy(struct node *node)
{
	struct letter *letter;

	while ((letter = lane_take(&node->from_other)) != NULL)
		free(letter);
	serve_destroy(node->serve);
	store_destroy(node->store);
	forward_deinit(&node->forward);
	free(node);
}

static void
slots_and_messages_cross_threads(void **state)
{
	(void)state;
	reclaim_register();
	for (uint32_t i = 0; i < NODES; i++)
		nodes[i] = node_create(i);
	for (uint32_t i = 0; i < NODES; i++)
		fill(nodes[i], nodes[!i]);
	reclaim_unregister();
	for (uint32_t i = 0; i < NODES; i++) {
		CHECK(pthread_create(&nodes[i]->worker, NULL, worker_main, nodes[i]) == 0);
		CHECK(pthread_create(&nodes[i]->core, NULL, core_main, nodes[i]) == 0);
	}
	for (int ms = 0; atomic_load(&finished) < NODES && ms < SECONDS_MAX * 1000; ms += 10)
		nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
	atomic_store(&stop, true);
	for (uint32_t i = 0; i < NODES; i++) {
		pthread_join(nodes[i]->worker, NULL);
		pthread_join(nodes[i]->core, NULL);
	}
	reclaim_register();
	for (uint32_t i = 0; i < NODES; i++) {
		struct node *node = nodes[i];

		assert_int_equal(node->answered, FRAMES);
		assert_true(node->forward.counters.asked >= FRAMES / 2 && node->served > 0);
		forward_check(&node->forward);
	}
	for (uint32_t i = 0; i < NODES; i++)
		node_destroy(nodes[i]);
	reclaim_unregister();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots_and_messages_cross_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
