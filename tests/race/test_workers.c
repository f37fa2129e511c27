/*
 * Race test of lib/serve: two workers on threads of their own, two clients that send
 * every native frame several times and to either worker, or hold memcached conversations. Writes cross by mailboxes, reads of
 * the other's shard run in place, workers sleep whenever they can. Run by the thread sanitizer.
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

#include "base/bytes.h"
#include "base/prng.h"
#include "proto/native.h"
#include "ring/slot.h"
#include "serve/serve.h"
#include "store/reclaim.h"
#include "tests/race/lane.h"
#include "tests/support/serving.h"

enum {
	WORKERS = 2, CLIENTS = 2, KEYS = 6, OPS = 4, SPARES = 32, ROOM = 2048,
	FRAMES = 4000,    /* a client's */
	STALL_MS = 20000, /* longer than the client waits */
};
#define RESEND_NS (5 * NS_PER_SEC) /* an answer that took this long had lost its wake-up */

/* A frame on the wire, either way. Allocated by the sender, freed by the receiver. */
struct letter {
	uint16_t len;
	uint8_t service; /* to a worker: enum service */
	uint8_t payload[UDP_PAYLOAD_MAX];
};

struct worker {
	uint32_t index;
	struct serving s;
	uint8_t buffers[BURST_MAX][ROOM];
	struct pkt pkts[BURST_MAX];
	struct bell bell;
	struct lane mail[WORKERS]; /* from each worker */
	struct lane wire[CLIENTS]; /* from each client */
	uint32_t stalls, sleeps;
	struct prng prng;
	uint32_t pause; /* turns of an empty loop between the last look and the sleep, at most */
	pthread_t thread;
};

struct client {
	uint32_t index;
	struct lane wire[WORKERS]; /* from each worker */
	struct prng prng;
	struct native_header header;
	uint32_t ops, copies;      /* a frame has; it is sent up to so often */
	uint32_t pause;            /* turns of an empty loop before a frame, at most */
	uint64_t increments[KEYS]; /* executed, as this client knows */
	uint64_t resent, answers;
	uint32_t faults;
	pthread_t thread;
};

static struct store *store;
static struct worker *workers[WORKERS];
static struct client *clients[CLIENTS];
static atomic_bool stop;
static char names[KEYS][16]; /* of counters; of texts: the same with 't' before */

static void
loiter(struct prng *prng, uint32_t turns_max)
{
	for (volatile uint64_t turns = prng_below(prng, turns_max + 1); turns > 0; turns--)
		;
}

static uint64_t
mono_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

/* --- workers ------------------------------------------------------------------------ */

static bool
has_work(void *argument)
{
	struct worker *w = argument;
	bool work = atomic_load(&stop);

	for (uint32_t i = 0; i < WORKERS; i++)
		work |= !lane_is_empty(&w->mail[i]);
	for (uint32_t i = 0; i < CLIENTS; i++)
		work |= !lane_is_empty(&w->wire[i]);
	return work;
}

static void
receive_mail(struct worker *w)
{
	struct deferred *slot;

	for (uint32_t from = 0; from < WORKERS; from++)
		while (w->s.burst.datagram_count < BURST_MAX / 2 && (slot = lane_take(&w->mail[from])) != NULL)
			serving_mail(&w->s, slot);
}

static void
receive_wire(struct worker *w)
{
	struct letter *letter;

	for (uint32_t from = 0; from < CLIENTS; from++)
		while (w->s.burst.datagram_count < BURST_MAX && (letter = lane_take(&w->wire[from])) != NULL) {
			uint32_t i = w->s.burst.datagram_count++;
			uint8_t *payload = w->buffers[i] + PKT_UDP_PAYLOAD_OFFSET;

			memcpy(payload, letter->payload, letter->len);
			w->s.burst.datagrams[i] = (struct datagram){ .pkt = &w->pkts[i], .payload = payload,
				.payload_len = letter->len, .service = letter->service,
				.peer = { .ip = { 10, (uint8_t)from }, .port = (uint16_t)(1 + from) } };
			free(letter);
		}
}

static void
send_out(struct worker *w)
{
	for (uint32_t i = 0; i < w->s.burst.reply_count; i++) {
		struct reply *reply = &w->s.replies[i];
		struct letter *letter = malloc(sizeof *letter);

		CHECK(letter);
		letter->len = reply->payload_len;
		memcpy(letter->payload, reply->pkt->data + PKT_UDP_PAYLOAD_OFFSET, reply->payload_len);
		if (!lane_put(&clients[reply->peer->port - 1]->wire[w->index], letter))
			free(letter); /* the network may lose it */
	}
	for (uint32_t i = 0; i < w->s.burst.outbox.count; i++) {
		struct worker *to = workers[w->s.burst.outbox.mails[i].to];

		CHECK(lane_put(&to->mail[w->index], w->s.burst.outbox.mails[i].slot));
		bell_ring(&to->bell);
	}
}

static uint32_t
poll_once(struct worker *w)
{
	for (uint32_t i = 0; i < BURST_MAX; i++)
		w->pkts[i] = (struct pkt){ .data = w->buffers[i], .room = ROOM };
	serving_begin(&w->s, (struct now){ mono_ns(), 1700000000000 + mono_ns() / NS_PER_MS }, SPARES);
	w->s.burst.datagram_count = 0;
	receive_mail(w);
	receive_wire(w);
	serving_run(&w->s);
	send_out(w);
	serve_tick(w->s.serve, &w->s.burst.now, 8);
	reclaim_quiescent();
	return w->s.burst.datagram_count;
}

static void *
worker_thread(void *argument)
{
	struct worker *w = argument;

	reclaim_register();
	while (!atomic_load(&stop)) {
		if (poll_once(w) > 0 || has_work(w))
			continue;
		reclaim_offline();
		w->sleeps++;
		loiter(&w->prng, w->pause); /* whoever sends now finds nobody asleep yet */
		w->stalls += !bell_sleep(&w->bell, has_work, w, STALL_MS);
		reclaim_online();
	}
	while (poll_once(w) > 0) /* what is still in the lanes */
		;
	reclaim_unregister();
	return NULL;
}

/* --- clients ------------------------------------------------------------------------ */

/* A frame under way: increments and texts, and what its operations answered. */
struct frame_sent {
	uint8_t payload[UDP_PAYLOAD_MAX];
	uint16_t len;
	struct request ops[OPS];
	uint32_t keys[OPS];
	char values[OPS][200];
	struct native_result first[OPS];
	bool answered[OPS];
	uint32_t left;
};

/* A text says in every byte who wrote it; a torn or foreign one gives itself away. */
static void
choose(struct client *c, struct frame_sent *frame, uint32_t i)
{
	struct request *op = &frame->ops[i];
	static const uint8_t kinds[] = { OP_INCR, OP_INCR, OP_SET, OP_GET };
	uint32_t key = frame->keys[i] = (uint32_t)prng_below(&c->prng, KEYS), len;

	*op = (struct request){ .op = kinds[prng_below(&c->prng, 4)] };
	op->key = op->op == OP_INCR ? view_text(names[key] + 1) : view_text(names[key]);
	op->slot = slot_of_key(op->key);
	if (op->op == OP_INCR) {
		op->flags = REQUEST_CREATE;
		op->delta = op->initial = 1;
	} else if (op->op == OP_SET) {
		len = 1 + (uint32_t)prng_below(&c->prng, sizeof frame->values[0]);
		memset(frame->values[i], 'a' + (int)prng_below(&c->prng, 26), len);
		frame->values[i][0] = (char)len;
		op->value = view_of(frame->values[i], len);
	}
}

static void
build(struct client *c, struct frame_sent *frame)
{
	struct writer out = writer_of(frame->payload + NATIVE_HEADER_LEN, sizeof frame->payload - NATIVE_HEADER_LEN);

	memset(frame->answered, 0, sizeof frame->answered);
	frame->left = c->ops;
	c->header.op_count = (uint8_t)c->ops;
	for (uint32_t i = 0; i < c->ops; i++) {
		choose(c, frame, i);
		native_request_compose(&out, &frame->ops[i]);
	}
	CHECK(!out.failed);
	frame->len = (uint16_t)(out.at - frame->payload);
	native_header_compose(&c->header, frame->payload);
}

static void
post_bytes(struct client *c, uint8_t service, const void *payload, uint16_t len, uint32_t worker)
{
	struct letter *letter = malloc(sizeof *letter);

	CHECK(letter);
	letter->len = len;
	letter->service = service;
	memcpy(letter->payload, payload, len);
	if (!lane_put(&workers[worker]->wire[c->index], letter))
		free(letter);
	else
		bell_ring(&workers[worker]->bell);
}

static void
post(struct client *c, const struct frame_sent *frame, uint32_t worker)
{
	post_bytes(c, SERVICE_NATIVE, frame->payload, frame->len, worker);
}

static bool
is_whole_text(struct view value)
{
	if (value.len == 0 || value.data[0] != (uint8_t)value.len)
		return false;
	for (uint32_t i = 2; i < value.len; i++)
		if (value.data[i] != value.data[1])
			return false;
	return true;
}

/* One result of the frame under way; whatever is wrong counts as a fault. */
static void
take_result(struct client *c, struct frame_sent *frame, const struct native_result *result)
{
	uint32_t i = result->index;
	uint8_t op = frame->ops[i].op;

	c->answers++;
	if (result->status == OP_STATUS_BUSY)
		return;
	if (op == OP_GET) {
		c->faults += result->status == OP_STATUS_OK ? !is_whole_text(result->value) :
		    result->status != OP_STATUS_NOT_FOUND;
	} else if (result->status != OP_STATUS_OK) {
		c->faults++;
	} else if (frame->answered[i]) { /* executed once: every copy answers the same */
		c->faults += result->number != frame->first[i].number || result->version != frame->first[i].version;
	}
	if (frame->answered[i])
		return;
	frame->answered[i] = true;
	frame->first[i] = *result;
	frame->left--;
	c->increments[frame->keys[i]] += op == OP_INCR;
}

/* A challenge's cookie makes the frame good. */
static void
prove(struct client *c, struct frame_sent *frame, const struct native_header *header)
{
	if (header->error != OP_STATUS_UNPROVEN || c->header.cookie == header->cookie) {
		c->faults += header->error != OP_STATUS_UNPROVEN;
		return;
	}
	c->header.cookie = header->cookie;
	native_header_compose(&c->header, frame->payload);
	post(c, frame, 0);
}

static void
take_letter(struct client *c, struct frame_sent *frame, const struct letter *letter)
{
	struct reader in = reader_of(letter->payload + NATIVE_HEADER_LEN, letter->len - NATIVE_HEADER_LEN);
	struct native_header header;
	struct native_result result;

	if (!native_header_parse(view_of(letter->payload, letter->len), &header)) {
		c->faults++;
		return;
	}
	if (header.error != 0)
		prove(c, frame, &header);
	if (header.sequence != c->header.sequence)
		return; /* of an earlier frame */
	while (native_result_parse(&in, &result))
		take_result(c, frame, &result);
	c->faults += in.failed;
}

static void
await(struct client *c, struct frame_sent *frame)
{
	uint64_t sent = mono_ns();

	while (frame->left > 0) {
		struct letter *letter = NULL;

		for (uint32_t from = 0; from < WORKERS; from++)
			while ((letter = lane_take(&c->wire[from])) != NULL) {
				take_letter(c, frame, letter);
				free(letter);
			}
		sched_yield();
		if (mono_ns() - sent < RESEND_NS)
			continue;
		sent = mono_ns();
		c->resent++;
		post(c, frame, (uint32_t)prng_below(&c->prng, WORKERS));
	}
}

static void *
client_thread(void *argument)
{
	struct client *c = argument;
	static _Thread_local struct frame_sent frame;

	for (uint32_t i = 0; i < FRAMES; i++) {
		build(c, &frame);
		loiter(&c->prng, c->pause);
		for (uint64_t copies = 1 + prng_below(&c->prng, c->copies); copies > 0; copies--)
			post(c, &frame, (uint32_t)prng_below(&c->prng, WORKERS));
		await(c, &frame);
		c->header.sequence += c->ops;
	}
	return NULL;
}

/* A memcached datagram of the client's own keys, and the only reply it may have. */
static void
converse(struct client *c, uint32_t round, char *text, char *expected, size_t size)
{
	char mine[2][24];

	for (uint32_t i = 0; i < 2; i++)
		snprintf(mine[i], sizeof mine[i], "m%u-%u", c->index, (uint32_t)prng_below(&c->prng, 40));
	snprintf(text, size, "set %s 1 0 4\r\n%04u\r\nset %s 2 0 5\r\n1%04u\r\nincr %s 1\r\nprepend %s 0 0 1\r\n+\r\n"
	    "get %s\r\ndelete %s\r\n", mine[0], round, mine[1], round, mine[1], mine[1], mine[1], mine[1]);
	snprintf(expected, size, "STORED\r\nSTORED\r\n%u\r\nSTORED\r\nVALUE %s 2 6\r\n+%u\r\nEND\r\nDELETED\r\n",
	    10001 + round, mine[1], 10001 + round);
}

static struct letter *
await_letter(struct client *c)
{
	uint64_t start = mono_ns();

	while (mono_ns() - start < RESEND_NS) {
		for (uint32_t from = 0; from < WORKERS; from++) {
			struct letter *letter = lane_take(&c->wire[from]);

			if (letter)
				return letter;
		}
		sched_yield();
	}
	return NULL;
}

static void *
memcached_thread(void *argument)
{
	struct client *c = argument;

	for (uint32_t round = 0; round < FRAMES; round++) {
		char payload[8 + 400] = { (char)(round >> 8), (char)round, 0, 0, 0, 1, 0, 0 }, expected[400];
		struct letter *letter;

		converse(c, round, payload + 8, expected, sizeof expected);
		post_bytes(c, SERVICE_MEMCACHED, payload, (uint16_t)(8 + strlen(payload + 8)),
		    (uint32_t)prng_below(&c->prng, WORKERS));
		letter = await_letter(c);
		c->resent += !letter;
		c->faults += letter && (letter->len != 8 + strlen(expected) || memcmp(letter->payload, payload, 2) != 0 ||
		    memcmp(letter->payload + 8, expected, letter->len - 8u) != 0);
		free(letter);
	}
	return NULL;
}

/* --- the run ------------------------------------------------------------------------ */

static void
start(uint32_t ops, uint32_t copies, uint32_t pause)
{
	struct store_config store_config = { .shard_count = WORKERS, .memory_bytes = 64 << 20, .items_max = 8192,
		.expected_item_size = 128, .secret = "secret of store" };
	struct serve_config config = { .worker_count = WORKERS, .start_wall_ms = 1700000000000,
		.native_port = 7411, .epoch = 1, .cookie_secret = "of the cookies.", .boot = 7, .version = "test",
		.memcached_allow_count = 1 };
	struct serving *servings[WORKERS];
	struct error error;

	config.store = store = store_create(&store_config, &error);
	assert_non_null(store);
	for (uint32_t i = 0; i < WORKERS; i++) {
		workers[i] = aligned_alloc(64, (sizeof *workers[i] + 63) / 64 * 64);
		assert_non_null(workers[i]);
		memset(workers[i], 0, sizeof *workers[i]);
		servings[i] = &workers[i]->s;
		workers[i]->index = i;
		workers[i]->pause = pause;
		workers[i]->prng.state = i;
		bell_init(&workers[i]->bell);
	}
	assert_true(serving_start(servings, WORKERS, &config, &error));
	for (uint32_t i = 0; i < CLIENTS; i++) {
		clients[i] = aligned_alloc(64, (sizeof *clients[i] + 63) / 64 * 64);
		assert_non_null(clients[i]);
		memset(clients[i], 0, sizeof *clients[i]);
		clients[i]->index = i;
		clients[i]->prng.state = 1000 + i;
		clients[i]->ops = ops;
		clients[i]->copies = copies;
		clients[i]->pause = pause;
		clients[i]->header = (struct native_header){ .version = NATIVE_VERSION, .client = 500 + i,
			.sequence = 1, .window = 64 };
	}
	for (uint32_t i = 0; i < KEYS; i++)
		snprintf(names[i], sizeof names[i], "tkey%u", i);
}

static void
run(uint32_t client_count, void *(*client)(void *))
{
	atomic_store(&stop, false);
	for (uint32_t i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&workers[i]->thread, NULL, worker_thread, workers[i]), 0);
	for (uint32_t i = 0; i < client_count; i++)
		assert_int_equal(pthread_create(&clients[i]->thread, NULL, client, clients[i]), 0);
	for (uint32_t i = 0; i < client_count; i++)
		pthread_join(clients[i]->thread, NULL);
	atomic_store(&stop, true);
	for (uint32_t i = 0; i < WORKERS; i++)
		bell_ring(&workers[i]->bell);
	for (uint32_t i = 0; i < WORKERS; i++)
		pthread_join(workers[i]->thread, NULL);
}

static void
drain(struct lane *lane)
{
	struct letter *letter;

	while ((letter = lane_take(lane)) != NULL)
		free(letter);
}

static void
finish(void)
{
	for (uint32_t i = 0; i < CLIENTS; i++) {
		for (uint32_t from = 0; from < WORKERS; from++)
			drain(&clients[i]->wire[from]);
		free(clients[i]);
	}
	for (uint32_t i = 0; i < WORKERS; i++) {
		for (uint32_t from = 0; from < CLIENTS; from++)
			drain(&workers[i]->wire[from]);
		serve_destroy(workers[i]->s.serve);
		close(workers[i]->bell.fd);
		free(workers[i]);
	}
	store_destroy(store);
}

/* The number a counter's key holds. */
static uint64_t
number_at(uint32_t key)
{
	struct view name = view_text(names[key] + 1);
	struct lookup lookup = { name, store_digest(store, name), slot_of_key(name) % WORKERS };
	struct now now = { mono_ns(), 1700000000000 + mono_ns() / NS_PER_MS };
	const struct item *item;
	char text[24] = { 0 };
	uint64_t expired;

	store_find(store, &now, &lookup, 1, &item, &expired);
	assert_non_null(item);
	memcpy(text, item_value(item).data, item_value(item).len);
	return strtoull(text, NULL, 10);
}

static void
assert_no_fault(void)
{
	for (uint32_t i = 0; i < CLIENTS; i++) {
		assert_int_equal(clients[i]->faults, 0);
		assert_int_equal(clients[i]->resent, 0);
	}
	for (uint32_t i = 0; i < WORKERS; i++)
		assert_int_equal(workers[i]->stalls, 0);
}

static void
assert_counted(void)
{
	reclaim_register();
	for (uint32_t key = 0; key < KEYS; key++)
		assert_int_equal(number_at(key), clients[0]->increments[key] + clients[1]->increments[key]);
	reclaim_unregister();
}

/* Sums over the workers, for the test to show that it tested something. */
static void
assert_busy(uint64_t mailed_min, uint64_t replayed_min, uint64_t sleeps_min)
{
	uint64_t mailed = 0, replayed = 0, sleeps = 0;

	for (uint32_t i = 0; i < WORKERS; i++) {
		mailed += counter_read(&workers[i]->s.counters, COUNTER_MAIL_RUN);
		replayed += counter_read(&workers[i]->s.counters, COUNTER_ONCE_REPLAYED);
		sleeps += workers[i]->sleeps;
	}
	printf("%llu mailed, %llu replayed, %llu sleeps\n", (unsigned long long)mailed,
	    (unsigned long long)replayed, (unsigned long long)sleeps);
	assert_true(mailed >= mailed_min && replayed >= replayed_min && sleeps >= sleeps_min);
}

static void
repeated_writes_across_two_workers_execute_once(void **state)
{
	(void)state;
	start(OPS, 3, 0);
	run(CLIENTS, client_thread);
	assert_no_fault();
	assert_counted();
	assert_busy(FRAMES, FRAMES, 100);
	finish();
}

/* One operation in flight at a time: nothing else can wake who sleeps through its mail. */
static void
no_wake_up_is_lost(void **state)
{
	(void)state;
	start(1, 1, 3000);
	run(1, client_thread);
	assert_no_fault();
	assert_counted();
	assert_busy(FRAMES / 8, 0, FRAMES);
	finish();
}

static void
memcached_datagrams_travel_and_answer_in_order(void **state)
{
	(void)state;
	start(1, 1, 0);
	run(CLIENTS, memcached_thread);
	assert_no_fault();
	assert_busy(FRAMES, 0, 100);
	finish();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(repeated_writes_across_two_workers_execute_once),
		cmocka_unit_test(no_wake_up_is_lost),
		cmocka_unit_test(memcached_datagrams_travel_and_answer_in_order),
	};

	return cmocka_run_group_tests_name("workers", tests, NULL, NULL);
}
