/*
 * Race test of connections (serve/stream.h): two workers on threads of their own, each with connections whose commands
 * name keys of both. Passes wait for the other worker, values are pinned there and read here, connections end
 * while they wait. Run by the thread sanitizer.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/prng.h"
#include "serve/state.h"
#include "store/reclaim.h"
#include "tests/race/lane.h"
#include "tests/support/lines.h"
#include "tests/support/serving.h"

enum { WORKERS = 2, CONNECTIONS = 12, KEYS = 8, SPARES = 64, TALKS = 2000, INPUT = 65536, VALUE = 6000 };

/* A connection and its client, both on the worker's thread. */
struct connected {
	struct connection id;
	bool open, fresh, paused, again, waiting, leaving;
	uint8_t input[INPUT];
	uint32_t len, lines; /* lines of answers to come */
	uint32_t counted;    /* increments among what was sent */
	struct outq out;
};

struct worker {
	uint32_t index;
	struct serving s;
	struct lane mail[WORKERS];
	struct blocks blocks;
	struct turn turns[CONNECTIONS];
	struct connected connections[CONNECTIONS];
	uint32_t generation, talks, faults, large;
	uint64_t acknowledged, doubtful; /* increments */
	struct prng prng;
	pthread_t thread;
};

static struct store *store;
static struct worker *workers[WORKERS];
static atomic_uint quiet;

static struct now
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (struct now){ (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec, 1700000000000 + (uint64_t)t.tv_sec * 1000 };
}

/* --- the client ------------------------------------------------------------------------------ */

/* A text is one character over and over; a torn one gives itself away. */
static void
say(struct worker *w, struct connected *c)
{
	uint32_t commands = 1 + (uint32_t)prng_below(&w->prng, 8);
	char *at = (char *)c->input;

	for (uint32_t i = 0; i < commands; i++) {
		uint32_t key = (uint32_t)prng_below(&w->prng, KEYS), len = 1 + (uint32_t)prng_below(&w->prng, VALUE);

		switch (prng_below(&w->prng, 4)) {
		case 0:
			at += sprintf(at, "incr c%u 1\n", key);
			c->counted++;
			break;
		case 1:
			at += sprintf(at, "set t%u ", key);
			memset(at, 'a' + (int)prng_below(&w->prng, 26), len);
			at += len;
			*at++ = '\n';
			break;
		default:
			at += sprintf(at, "get t%u\n", key);
			break;
		}
	}
	c->len = (uint32_t)(at - (char *)c->input);
	c->lines = commands;
	c->waiting = true;
}

static bool
is_good(struct worker *w, const uint8_t *line, uint32_t len)
{
	if (line[0] == '=') {
		for (uint32_t i = 2; i < len; i++)
			if (line[i] != line[1])
				return false;
		w->large += len > OUTQ_PIN_MIN;
		return len > 1;
	}
	return (line[0] >= '0' && line[0] <= '9') || (len == 2 && memcmp(line, "ok", 2) == 0) ||
	    (len == 9 && memcmp(line, "not_found", 9) == 0);
}

/* The answers so far; once all are there they are looked at. */
static void
listen(struct worker *w, struct connected *c)
{
	static _Thread_local uint8_t text[8 * (VALUE + 16)];
	uint32_t len = c->out.len, lines = 0, from = 0;

	CHECK(len <= sizeof text);
	if (len > 0)
		outq_read(&c->out, 0, text, len);
	for (uint32_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	if (lines < c->lines)
		return;
	for (uint32_t i = 0; i < len; i++) {
		if (text[i] != '\n')
			continue;
		w->faults += !is_good(w, text + from, i - from);
		from = i + 1;
	}
	outq_drop(&w->blocks, &c->out, len);
	w->acknowledged += c->counted;
	c->counted = c->lines = 0;
	c->waiting = false;
}

static void
open_connection(struct worker *w, uint32_t index)
{
	struct connected *c = &w->connections[index];

	memset(c, 0, offsetof(struct connected, input));
	c->id = (struct connection){ index, ++w->generation };
	c->len = c->lines = c->counted = 0;
	c->out = (struct outq){ 0 };
	c->open = c->fresh = true;
}

static void
act(struct worker *w, uint32_t index)
{
	struct connected *c = &w->connections[index];

	if (!c->open) {
		if (w->talks < TALKS)
			open_connection(w, index);
	} else if (c->waiting) {
		listen(w, c);
		if (c->waiting && prng_below(&w->prng, 200) == 0)
			c->leaving = true;
	} else if (w->talks < TALKS) {
		w->talks++;
		say(w, c);
	} else {
		c->leaving = true;
	}
}

/* --- what TCP does ---------------------------------------------------------------------------- */

static void
take_turns(struct worker *w)
{
	struct burst *b = &w->s.burst;

	for (uint32_t i = 0; i < b->resumed_count; i++) {
		struct connected *c = &w->connections[b->resumed[i].index];

		if (c->open && c->id.generation == b->resumed[i].generation) {
			c->paused = false;
			c->again = true;
		}
	}
	b->resumed_count = b->turn_count = 0;
	b->turns = w->turns;
	for (uint32_t i = 0; i < CONNECTIONS; i++) {
		struct connected *c = &w->connections[i];

		act(w, i);
		if (!c->open || !(c->leaving || (!c->paused && (c->fresh || c->again || c->len > 0))))
			continue;
		b->turns[b->turn_count++] = (struct turn){ .id = c->id, .service = SERVICE_RESP, .opened = c->fresh,
			.closed = c->leaving, .input = view_of(c->input, c->len), .out = &c->out, .blocks = &w->blocks };
		c->fresh = c->again = false;
	}
}

static void
apply_turns(struct worker *w)
{
	for (uint32_t i = 0; i < w->s.burst.turn_count; i++) {
		struct turn *turn = &w->turns[i];
		struct connected *c = &w->connections[turn->id.index];

		if (turn->closed) {
			w->doubtful += c->counted;
			outq_clear(&w->blocks, &c->out);
			c->open = false;
			continue;
		}
		memmove(c->input, c->input + turn->consumed, c->len - turn->consumed);
		c->len -= turn->consumed;
		c->paused = turn->pause;
		c->again = turn->again;
		w->faults += turn->abort;
	}
}

/* --- the workers -------------------------------------------------------------------------------- */

static void
poll_once(struct worker *w)
{
	struct burst *b = &w->s.burst;
	struct deferred *slot;

	serving_begin(&w->s, now(), SPARES);
	b->datagram_count = 0;
	for (uint32_t from = 0; from < WORKERS; from++)
		while (b->datagram_count < BURST_MAX / 2 && (slot = lane_take(&w->mail[from])) != NULL)
			serving_mail(&w->s, slot);
	take_turns(w);
	serving_run(&w->s);
	apply_turns(w);
	for (uint32_t i = 0; i < b->outbox.count; i++)
		CHECK(lane_put(&workers[b->outbox.mails[i].to]->mail[w->index], b->outbox.mails[i].slot));
	serve_tick(w->s.serve, &b->now, 8);
	reclaim_quiescent();
}

static bool
is_busy(const struct worker *w)
{
	if (w->talks < TALKS || w->s.serve->defer.out > 0)
		return true;
	for (uint32_t i = 0; i < CONNECTIONS; i++)
		if (w->connections[i].open)
			return true;
	return false;
}

static void *
worker_thread(void *argument)
{
	struct worker *w = argument;

	reclaim_register();
	while (is_busy(w))
		poll_once(w);
	atomic_fetch_add(&quiet, 1);
	while (atomic_load(&quiet) < WORKERS) /* the other one may still ask */
		poll_once(w);
	reclaim_unregister();
	return NULL;
}

static void
make_worker(uint32_t i)
{
	struct worker *w = calloc(1, sizeof *w);

	assert_non_null(w);
	workers[i] = w;
	w->index = i;
	w->prng.state = 77 + i;
	assert_true(blocks_init(&w->blocks, 16 << 20));
}

static uint64_t
counter_value(uint32_t key)
{
	char name[16];
	struct lookup lookup;
	const struct item *item;
	struct now moment = now();
	uint64_t expired = 0;

	snprintf(name, sizeof name, "c%u", key);
	lookup.key = view_text(name);
	lookup.digest = store_digest(store, lookup.key);
	lookup.shard = slot_of_key(lookup.key) % WORKERS;
	store_find(store, &moment, &lookup, 1, &item, &expired);
	assert_non_null(item);
	return lines_number(item_value(item));
}

/* Counters begin at 0; their owner is the thread that calls. */
static void
put_counters(void)
{
	struct now moment = now();

	for (uint32_t key = 0; key < KEYS; key++) {
		char name[16];
		struct item *item;
		struct view view;
		struct shard *shard;

		snprintf(name, sizeof name, "c%u", key);
		view = view_text(name);
		shard = store_shard(store, slot_of_key(view) % WORKERS);
		assert_int_equal(shard_take(shard, &moment, view, 1, &item), STORE_OK);
		item->bytes[item->key_len] = '0';
		assert_int_equal(shard_publish(shard, &moment, item, store_digest(store, view)), STORE_OK);
	}
}

static void
connections_of_two_workers_write_each_others_keys(void **state)
{
	struct store_config store_config = { .shard_count = WORKERS, .memory_bytes = 64 << 20, .items_max = 4096,
		.expected_item_size = 256, .secret = "store's secret.." };
	struct serve_config config = { .worker_count = WORKERS, .boot = 1, .version = "race", .connections_max = CONNECTIONS,
		.protocols = { [SERVICE_RESP] = &lines_protocol } };
	uint64_t acknowledged = 0, doubtful = 0, sum = 0, large = 0;
	struct serving *servings[WORKERS];
	struct error error;

	(void)state;
	store = store_create(&store_config, &error);
	assert_non_null(store);
	config.store = store;
	for (uint32_t i = 0; i < WORKERS; i++) {
		make_worker(i);
		servings[i] = &workers[i]->s;
	}
	assert_true(serving_start(servings, WORKERS, &config, &error));
	reclaim_register();
	put_counters();
	reclaim_offline();
	for (uint32_t i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&workers[i]->thread, NULL, worker_thread, workers[i]), 0);
	for (uint32_t i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_join(workers[i]->thread, NULL), 0);
	reclaim_online();
	for (uint32_t key = 0; key < KEYS; key++)
		sum += counter_value(key);
	for (uint32_t i = 0; i < WORKERS; i++) {
		struct worker *w = workers[i];

		assert_int_equal(w->faults, 0);
		assert_int_equal(w->blocks.used, 0);
		assert_true(counter_read(&w->s.counters, COUNTER_MAIL_SENT) > 0);
		acknowledged += w->acknowledged;
		doubtful += w->doubtful;
		large += w->large;
	}
	assert_in_range(sum, acknowledged, acknowledged + doubtful);
	assert_true(large > 0);
	print_message("%llu increments known, %llu in doubt, %llu found; %llu values referred to\n", (unsigned long long)acknowledged,
	    (unsigned long long)doubtful, (unsigned long long)sum, (unsigned long long)large);
	reclaim_quiescent();
	for (uint32_t i = 0; i < WORKERS; i++) {
		serve_destroy(workers[i]->s.serve);
		blocks_deinit(&workers[i]->blocks);
		free(workers[i]);
	}
	store_destroy(store);
	reclaim_unregister();
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(connections_of_two_workers_write_each_others_keys) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
