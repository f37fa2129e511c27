/* libslipring against a real lib/serve on loopback sockets: every call, on a link without faults. */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/native.h"
#include "tests/unit/loopback.h"

struct fixture {
	struct loopback node;
	struct slipring *cache;
};

static int
setup_with(void **state, const char *options)
{
	struct fixture *f = calloc(1, sizeof *f);

	f->node = loopback_start(0, options);
	f->cache = loopback_handle(f->node.port, NULL);
	*state = f;
	return 0;
}

static int
setup(void **state)
{
	return setup_with(state, "");
}

static int
setup_workers(void **state)
{
	return setup_with(state, "--workers 3");
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	slipring_close(f->cache);
	loopback_kill(&f->node, SIGTERM);
	free(f);
	return 0;
}

#define KEY(text) text, sizeof text - 1

static void
every_operation_does_what_it_says(void **state)
{
	struct slipring *cache = ((struct fixture *)*state)->cache;
	struct slipring_result r;
	uint64_t version;

	assert_int_equal(slipring_get(cache, KEY("k"), &r), SLIPRING_NOT_FOUND);
	assert_int_equal(slipring_replace(cache, KEY("k"), "x", 1, 0, 0, NULL), SLIPRING_NOT_STORED);
	assert_int_equal(slipring_set(cache, KEY("k"), "hello", 5, 77, 0, &r), SLIPRING_OK);
	version = r.version;
	assert_true(version != 0);
	assert_int_equal(slipring_get(cache, KEY("k"), &r), SLIPRING_OK);
	assert_int_equal(r.value_len, 5);
	assert_memory_equal(r.value, "hello", 5);
	assert_int_equal(r.flags, 77);
	assert_true(r.version == version);
	assert_int_equal(slipring_add(cache, KEY("k"), "x", 1, 0, 0, NULL), SLIPRING_NOT_STORED);
	assert_int_equal(slipring_cas(cache, KEY("k"), "x", 1, 0, 0, version + 1, NULL), SLIPRING_EXISTS);
	assert_int_equal(slipring_cas(cache, KEY("k"), "bye", 3, 0, 0, version, NULL), SLIPRING_OK);
	assert_int_equal(slipring_append(cache, KEY("k"), "!", 1, NULL), SLIPRING_OK);
	assert_int_equal(slipring_prepend(cache, KEY("k"), "good", 4, NULL), SLIPRING_OK);
	assert_int_equal(slipring_get(cache, KEY("k"), &r), SLIPRING_OK);
	assert_int_equal(r.value_len, 8);
	assert_memory_equal(r.value, "goodbye!", 8);
	assert_int_equal(slipring_delete(cache, KEY("k"), 1), SLIPRING_EXISTS);
	assert_int_equal(slipring_delete(cache, KEY("k"), 0), SLIPRING_OK);
	assert_int_equal(slipring_delete(cache, KEY("k"), 0), SLIPRING_NOT_FOUND);
	assert_int_equal(slipring_append(cache, KEY("k"), "!", 1, NULL), SLIPRING_NOT_STORED);
}

static void
numbers_count_and_keys_expire(void **state)
{
	struct slipring *cache = ((struct fixture *)*state)->cache;
	struct slipring_result r;

	assert_int_equal(slipring_incr(cache, KEY("n"), 1, &r), SLIPRING_NOT_FOUND);
	assert_int_equal(slipring_incr_create(cache, KEY("n"), 5, 40, 60000, &r), SLIPRING_OK);
	assert_int_equal(r.number, 40);
	assert_int_equal(slipring_incr(cache, KEY("n"), 2, &r), SLIPRING_OK);
	assert_int_equal(r.number, 42);
	assert_int_equal(slipring_decr(cache, KEY("n"), 50, &r), SLIPRING_OK);
	assert_int_equal(r.number, 0);
	assert_int_equal(slipring_set(cache, KEY("text"), "abc", 3, 0, 0, NULL), SLIPRING_OK);
	assert_int_equal(slipring_incr(cache, KEY("text"), 1, &r), SLIPRING_NOT_A_NUMBER);
	assert_string_equal(slipring_error(cache), slipring_status_text(SLIPRING_NOT_A_NUMBER));

	assert_int_equal(slipring_meta(cache, KEY("text"), &r), SLIPRING_OK);
	assert_true(r.ttl_ms == SLIPRING_TTL_NEVER && r.total_len == 3 && !r.value);
	assert_int_equal(slipring_touch(cache, KEY("text"), 50000), SLIPRING_OK);
	assert_int_equal(slipring_meta(cache, KEY("text"), &r), SLIPRING_OK);
	assert_in_range(r.ttl_ms, 40000, 50000);
	assert_int_equal(slipring_gat(cache, KEY("text"), 30, &r), SLIPRING_OK);
	assert_int_equal(r.value_len, 3);
	usleep(60000);
	assert_int_equal(slipring_get(cache, KEY("text"), &r), SLIPRING_NOT_FOUND);
}

static void
the_node_tells_about_itself(void **state)
{
	struct slipring *cache = ((struct fixture *)*state)->cache;
	struct slipring_topology topology;
	struct slipring_result r;

	assert_int_equal(slipring_topology(cache, &topology), SLIPRING_OK);
	assert_int_equal(topology.slot_count, 16384);
	for (unsigned i = 0; i < topology.worker_count; i++)
		assert_int_equal(slipring_ping(cache, i), SLIPRING_OK);
	assert_int_equal(slipring_ping(cache, topology.worker_count), SLIPRING_BAD_ARGUMENT);
	/* "workers" is longer than a frame: its pages must join without a seam */
	assert_int_equal(slipring_stats(cache, "workers", &r), SLIPRING_OK);
	assert_true(r.value_len > UDP_PAYLOAD_MAX || topology.worker_count == 1);
	assert_int_equal(((const char *)r.value)[r.value_len - 1], '\n');
	for (const char *at = r.value, *end = at + r.value_len; at < end;) {
		assert_memory_equal(at, "worker", 6);
		at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
	}
	assert_int_equal(slipring_stats(cache, "no such group", &r), SLIPRING_NOT_FOUND);
}

static void
values_of_every_size_come_back_byte_exact(void **state)
{
	static const size_t sizes[] = { 0, 1, 63, 64, 1000, 1300, 1350, 1387, 1388, 1389, 1400, 1407, 1408, 1409, 1432, 1471, 1472, 1473,
		2816, 2817, 10000, 65535, 65536, 1 << 20 };
	struct slipring *cache = ((struct fixture *)*state)->cache;
	uint8_t *value = malloc(SLIPRING_VALUE_MAX);
	struct slipring_result r;

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		for (size_t at = 0; at < sizes[i]; at++)
			value[at] = (uint8_t)(at * 31 + at / 251 + i);
		assert_int_equal(slipring_set(cache, KEY("v"), value, sizes[i], (uint32_t)i, 0, NULL), SLIPRING_OK);
		assert_int_equal(slipring_get(cache, KEY("v"), &r), SLIPRING_OK);
		assert_int_equal(r.value_len, sizes[i]);
		assert_int_equal(r.flags, i);
		if (sizes[i])
			assert_memory_equal(r.value, value, sizes[i]);
	}
	assert_int_equal(slipring_add(cache, KEY("v"), value, 5000, 0, 0, NULL), SLIPRING_NOT_STORED);
	assert_int_equal(slipring_cas(cache, KEY("v"), value, 5000, 0, 0, 1, NULL), SLIPRING_EXISTS);
	assert_int_equal(slipring_gat(cache, KEY("v"), 60000, &r), SLIPRING_OK);
	assert_int_equal(r.value_len, 1 << 20);
	free(value);
}

static void
keys_hold_any_octets_and_250_of_them(void **state)
{
	struct slipring *cache = ((struct fixture *)*state)->cache;
	uint8_t key[SLIPRING_KEY_MAX];
	struct slipring_result r;

	for (size_t i = 0; i < sizeof key; i++)
		key[i] = (uint8_t)i;
	for (size_t len = 1; len <= sizeof key; len += 83) {
		assert_int_equal(slipring_set(cache, key, len, &len, sizeof len, 0, 0, NULL), SLIPRING_OK);
		assert_int_equal(slipring_get(cache, key, len, &r), SLIPRING_OK);
		assert_memory_equal(r.value, &len, sizeof len);
	}
}

static void
what_is_wrong_is_refused_before_anything_is_sent(void **state)
{
	struct slipring *cache = ((struct fixture *)*state)->cache;
	struct slipring_counters before, after;
	struct slipring_request request = { .op = 99, .key = "k", .key_len = 1 };
	uint8_t key[251] = { 1 }, *value = calloc(1, SLIPRING_VALUE_MAX + 1);

	slipring_counters(cache, &before);
	assert_int_equal(slipring_get(cache, "", 0, NULL), SLIPRING_BAD_KEY);
	assert_int_equal(slipring_get(cache, key, 251, NULL), SLIPRING_BAD_KEY);
	assert_string_equal(slipring_error(cache), "the key has 251 bytes; the limit is 250");
	assert_int_equal(slipring_set(cache, KEY("k"), value, SLIPRING_VALUE_MAX + 1, 0, 0, NULL), SLIPRING_TOO_LARGE);
	assert_string_equal(slipring_error(cache), "the value has 1048577 bytes; the limit is 1048576 (1 MiB)");
	assert_int_equal(slipring_append(cache, KEY("k"), value, SLIPRING_APPEND_MAX + 1, NULL), SLIPRING_TOO_LARGE);
	assert_int_equal(slipring_set(cache, KEY("k"), NULL, 1, 0, 0, NULL), SLIPRING_BAD_ARGUMENT);
	assert_int_equal(slipring_touch(cache, KEY("k"), SLIPRING_TTL_MS_MAX + 1), SLIPRING_BAD_ARGUMENT);
	assert_int_equal(slipring_cas(cache, KEY("k"), "", 0, 0, 0, 0, NULL), SLIPRING_BAD_ARGUMENT);
	assert_int_equal(slipring_submit(cache, &request), SLIPRING_BAD_ARGUMENT);
	request = (struct slipring_request){ .op = SLIPRING_OP_GET, .mode = SLIPRING_ADD, .key = "k", .key_len = 1 };
	assert_int_equal(slipring_submit(cache, &request), SLIPRING_BAD_ARGUMENT);
	slipring_counters(cache, &after);
	assert_int_equal(before.frames_sent, after.frames_sent);
	assert_int_equal(slipring_poll(cache, 0), 0);
	free(value);
}

struct tally {
	unsigned calls, ok, missing;
	struct slipring *cache;
};

static void
tally_done(void *context, const struct slipring_result *result)
{
	struct tally *tally = context;

	tally->calls++;
	tally->ok += result->status == SLIPRING_OK;
	tally->missing += result->status == SLIPRING_NOT_FOUND;
}

static void
submit(struct slipring *cache, const struct slipring_request *request)
{
	enum slipring_status status;

	while ((status = slipring_submit(cache, request)) == SLIPRING_WINDOW_FULL)
		slipring_poll(cache, 1000);
	assert_int_equal(status, SLIPRING_OK);
}

static void
many_in_flight_complete_once_each(void **state)
{
	struct slipring *cache = ((struct fixture *)*state)->cache;
	struct tally sets = { 0 }, gets = { 0 };
	char key[16];

	for (unsigned i = 0; i < 5000; i++) {
		struct slipring_request request = { .op = SLIPRING_OP_SET, .key = key, .value = key, .done = tally_done,
			.context = &sets };

		request.key_len = request.value_len = (size_t)sprintf(key, "key%u", i);
		submit(cache, &request);
	}
	slipring_flush(cache);
	for (unsigned i = 0; i < 10000; i++) {
		struct slipring_request request = { .op = SLIPRING_OP_GET, .key = key, .done = tally_done, .context = &gets };

		request.key_len = (size_t)sprintf(key, "key%u", i);
		submit(cache, &request);
	}
	slipring_flush(cache);
	assert_int_equal(sets.calls, 5000);
	assert_int_equal(sets.ok, 5000);
	assert_int_equal(gets.calls, 10000);
	assert_int_equal(gets.ok, 5000);
	assert_int_equal(gets.missing, 5000);
}

static void
chain_done(void *context, const struct slipring_result *result)
{
	struct tally *tally = context;

	tally_done(context, result);
	if (tally->calls < 100)
		submit(tally->cache, &(struct slipring_request){ .op = SLIPRING_OP_INCR, .key = "chain", .key_len = 5,
		    .delta = 1, .done = chain_done, .context = tally });
}

static void
a_completion_may_submit_the_next_operation(void **state)
{
	struct slipring *cache = ((struct fixture *)*state)->cache;
	struct tally tally = { .cache = cache };
	struct slipring_result r;

	assert_int_equal(slipring_set(cache, KEY("chain"), "0", 1, 0, 0, NULL), SLIPRING_OK);
	chain_done(&tally, &(struct slipring_result){ .status = SLIPRING_NOT_FOUND });
	slipring_flush(cache);
	assert_int_equal(tally.calls, 100);
	assert_int_equal(slipring_incr(cache, KEY("chain"), 0, &r), SLIPRING_OK);
	assert_int_equal(r.number, 99);
}

enum { MANY = 600 };

static void
a_multi_get_shares_frames(void **state)
{
	struct fixture *f = *state;
	struct slipring_item *items = calloc(MANY, sizeof *items);
	struct slipring_counters before, after;
	struct slipring_topology topology;
	char keys[MANY][8], buffer[MANY * 8];

	for (int i = 0; i < MANY; i++) {
		items[i].key = keys[i];
		items[i].key_len = (size_t)sprintf(keys[i], "m%d", i);
		if (i % 3)
			assert_int_equal(slipring_set(f->cache, keys[i], items[i].key_len, keys[i], items[i].key_len, 0, 0, NULL),
			    SLIPRING_OK);
	}
	assert_int_equal(slipring_topology(f->cache, &topology), SLIPRING_OK);
	slipring_counters(f->cache, &before);
	assert_int_equal(slipring_mget(f->cache, items, MANY, buffer, sizeof buffer), SLIPRING_OK);
	slipring_counters(f->cache, &after);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(items[i].result.status, i % 3 ? SLIPRING_OK : SLIPRING_NOT_FOUND);
		if (i % 3)
			assert_memory_equal(items[i].result.value, keys[i], items[i].key_len);
	}
	/* 64 operations a frame; each worker's last frame of a chunk of 256 may be short. On a slow machine some are asked again. */
	assert_true(after.frames_sent - before.frames_sent <=
	    3 * (256 / 64 + 1) * topology.worker_count + after.retries - before.retries);
	assert_int_equal(slipring_mget(f->cache, items, MANY, buffer, 10), SLIPRING_TOO_LARGE);
	free(items);
}

static void
large_values_in_flight_together_do_not_mix(void **state)
{
	struct slipring *cache = ((struct fixture *)*state)->cache;
	enum { COUNT = 12, SIZE = 30000 };
	struct slipring_item items[COUNT];
	uint8_t keys[COUNT], *values = malloc(COUNT * SIZE), *buffer = malloc(COUNT * SIZE);
	struct tally tally = { 0 };

	for (int i = 0; i < COUNT; i++) {
		keys[i] = (uint8_t)i;
		memset(values + i * SIZE, 'a' + i, SIZE);
		items[i] = (struct slipring_item){ .key = &keys[i], .key_len = 1 };
		submit(cache, &(struct slipring_request){ .op = SLIPRING_OP_SET, .key = &keys[i], .key_len = 1,
		    .value = values + i * SIZE, .value_len = SIZE - (size_t)i, .done = tally_done, .context = &tally });
	}
	slipring_flush(cache);
	assert_int_equal(tally.ok, COUNT);
	assert_int_equal(slipring_mget(cache, items, COUNT, buffer, COUNT * SIZE), SLIPRING_OK);
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(items[i].result.value_len, SIZE - i);
		assert_memory_equal(items[i].result.value, values + i * SIZE, SIZE - i);
	}
	free(values);
	free(buffer);
}

/* A read that overlaps a write gives one version or the other, whole. */
static void
check_uniform(void *context, const struct slipring_result *result)
{
	const uint8_t *value = result->value;

	tally_done(context, result);
	for (size_t i = 1; i < result->value_len; i++)
		assert_int_equal(value[i], value[0]);
}

static void
a_large_value_that_changes_is_never_torn(void **state)
{
	struct fixture *f = *state;
	struct slipring *writer = loopback_handle(f->node.port, NULL);
	uint8_t *value = malloc(200000);
	struct tally tally = { 0 };

	for (int round = 0; round < 40; round++) {
		memset(value, round, 200000);
		assert_int_equal(slipring_set(writer, KEY("w"), value, 200000, 0, 0, NULL), SLIPRING_OK);
		submit(f->cache, &(struct slipring_request){ .op = SLIPRING_OP_GET, .key = "w", .key_len = 1,
		    .done = check_uniform, .context = &tally });
		for (int i = 0; i < round % 8; i++)
			slipring_poll(f->cache, 0);
		memset(value, round + 100, 200000);
		assert_int_equal(slipring_set(writer, KEY("w"), value, 200000, 0, 0, NULL), SLIPRING_OK);
		slipring_flush(f->cache);
	}
	assert_int_equal(tally.calls, 40);
	assert_int_equal(tally.ok, 40);
	slipring_close(writer);
	free(value);
}

static void
spin(struct slipring_options *options)
{
	options->spin = true;
}

static void
narrow(struct slipring_options *options)
{
	options->window = 1;
}

static void
spinning_and_a_window_of_one_work_as_well(void **state)
{
	void (*const changes[])(struct slipring_options *) = { spin, narrow };
	uint8_t *value = calloc(1, 100000);
	struct slipring_result r;

	for (int i = 0; i < 2; i++) {
		struct slipring *cache = loopback_handle(((struct fixture *)*state)->node.port, changes[i]);

		assert_int_equal(slipring_set(cache, KEY("s"), value, 100000, 0, 0, NULL), SLIPRING_OK);
		assert_int_equal(slipring_get(cache, KEY("s"), &r), SLIPRING_OK);
		assert_int_equal(r.value_len, 100000);
		slipring_close(cache);
	}
	free(value);
}

static void
only_slipring_names_are_exported(void **state)
{
	char path[PATH_MAX];
	void *library;

	(void)state;
	loopback_path(path, "libslipring.so.0");
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		fail_msg("%s", dlerror());
	assert_non_null(dlsym(library, "slipring_open"));
	assert_non_null(dlsym(library, "slipring_compose_frame"));
	assert_null(dlsym(library, "lane_open"));
	assert_null(dlsym(library, "native_parse"));
	assert_null(dlsym(library, "seal_tag"));
	dlclose(library);
}

static void
the_examples_run(void **state)
{
	struct fixture *f = *state;
	char path[PATH_MAX], command[PATH_MAX + 64];
	static const char *const names[] = { "hello", "batch", "counter" };

	for (int i = 0; i < 3; i++) {
		char name[64];

		snprintf(name, sizeof name, "examples/%s", names[i]);
		loopback_path(path, name);
		snprintf(command, sizeof command, "%s 127.0.0.1 %u >/dev/null", path, f->node.port);
		assert_int_equal(system(command), 0);
	}
}

static void
a_composed_frame_is_what_the_server_parses(void **state)
{
	const struct slipring_request requests[] = {
		{ .op = SLIPRING_OP_GET, .key = "a", .key_len = 1 },
		{ .op = SLIPRING_OP_SET, .key = "b", .key_len = 1, .value = "v", .value_len = 1 },
	};
	uint8_t bytes[UDP_PAYLOAD_MAX];
	struct datagram datagram = { .payload = bytes };
	struct request parsed[FRAME_OPS_MAX];
	struct now now = { 1, 1 };
	struct frame frame;

	(void)state;
	datagram.payload_len = (uint16_t)slipring_compose_frame(requests, 2, 9, 0, bytes, sizeof bytes);
	assert_int_equal(native_parse(&datagram, &now, &frame, parsed, FRAME_OPS_MAX), NATIVE_OK);
	assert_int_equal(frame.count, 2);
	assert_int_equal(parsed[0].op, OP_GET);
	assert_int_equal(parsed[1].slot, slipring_slot("b", 1));
	assert_int_equal(slipring_compose_frame(requests, 2, 9, 0, bytes, 50), 0);
	assert_int_equal(slipring_compose_frame(requests, 0, 9, 0, bytes, sizeof bytes), 0);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define WITH_WORKERS(test) { #test " (3 workers)", test, setup_workers, teardown, NULL }

static void
a_value_read_outlasts_the_answers_of_other_workers(void **state)
{
	struct slipring *cache = ((struct fixture *)*state)->cache;
	enum { ROUNDS = 200, OTHERS = 30 };
	char value[1000], key[16];
	struct slipring_result r;

	for (unsigned k = 0; k < OTHERS; k++) {
		memset(value, 'a' + (int)(k % 26), sizeof value);
		assert_int_equal(slipring_set(cache, key, (size_t)snprintf(key, sizeof key, "k%u", k), value, sizeof value, 0, 0,
		    NULL), SLIPRING_OK);
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned k = 0; k < OTHERS; k++)
			assert_int_equal(slipring_submit(cache, &(struct slipring_request){ .op = SLIPRING_OP_GET, .key = key,
			    .key_len = (size_t)snprintf(key, sizeof key, "k%u", k) }), SLIPRING_OK);
		memset(value, 'a' + (int)(round % OTHERS % 26), sizeof value);
		assert_int_equal(slipring_get(cache, key, (size_t)snprintf(key, sizeof key, "k%u", round % OTHERS), &r), SLIPRING_OK);
		assert_int_equal(r.value_len, sizeof value);
		assert_memory_equal(r.value, value, sizeof value);
		slipring_flush(cache);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(every_operation_does_what_it_says),
		WITH_WORKERS(every_operation_does_what_it_says),
		WITH(numbers_count_and_keys_expire),
		WITH(the_node_tells_about_itself),
		WITH_WORKERS(the_node_tells_about_itself),
		WITH(values_of_every_size_come_back_byte_exact),
		WITH_WORKERS(values_of_every_size_come_back_byte_exact),
		WITH_WORKERS(keys_hold_any_octets_and_250_of_them),
		WITH(what_is_wrong_is_refused_before_anything_is_sent),
		WITH(many_in_flight_complete_once_each),
		WITH_WORKERS(many_in_flight_complete_once_each),
		WITH(a_completion_may_submit_the_next_operation),
		WITH(a_multi_get_shares_frames),
		WITH_WORKERS(a_multi_get_shares_frames),
		WITH(large_values_in_flight_together_do_not_mix),
		WITH_WORKERS(large_values_in_flight_together_do_not_mix),
		WITH(a_large_value_that_changes_is_never_torn),
		WITH(spinning_and_a_window_of_one_work_as_well),
		WITH_WORKERS(a_value_read_outlasts_the_answers_of_other_workers),
		WITH_WORKERS(the_examples_run),
		cmocka_unit_test(only_slipring_names_are_exported),
		cmocka_unit_test(a_composed_frame_is_what_the_server_parses),
	};

	return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
