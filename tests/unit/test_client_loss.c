/*
 * libslipring over a link that loses, doubles and reorders datagrams, both ways:
 * values byte-exact, every write executed once, nothing answered by another's answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/prng.h"
#include "tests/unit/loopback.h"

#define KEY(text) text, sizeof text - 1

struct fixture {
	struct loopback node;
	struct slipring *cache;
	unsigned loss; /* percent, each way */
};

static int
setup(void **state)
{
	unsigned loss = *(const unsigned *)*state;
	struct fixture *f = calloc(1, sizeof *f);
	const char *seed = getenv("SLIPRING_SEED"); /* another one than the usual, to look for trouble */
	char options[128];

	f->loss = loss;
	snprintf(options, sizeof options, "--workers 2 --seed %u --loss %u --duplicate %u --reorder %u",
	    seed ? (unsigned)atoi(seed) : 7 + loss, loss,
	    loss ? 5 : 0, loss ? 10 : 0);
	print_message("link: %s\n", options);
	f->node = loopback_start(0, options);
	f->cache = loopback_handle(f->node.port, NULL);
	*state = f;
	return 0;
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

static void
a_mebibyte_is_byte_exact_both_ways(void **state)
{
	struct fixture *f = *state;
	struct slipring *cache = f->cache;
	uint64_t *value = malloc(SLIPRING_VALUE_MAX);
	struct prng prng = { 42 };
	struct slipring_result r;

	for (int round = 0; round < (f->loss < 20 ? 2 : 1); round++) {
		for (size_t i = 0; i < SLIPRING_VALUE_MAX / sizeof *value; i++)
			value[i] = prng_next(&prng);
		assert_int_equal(slipring_set(cache, KEY("mebibyte"), value, SLIPRING_VALUE_MAX, 9, 0, NULL), SLIPRING_OK);
		assert_int_equal(slipring_get(cache, KEY("mebibyte"), &r), SLIPRING_OK);
		assert_int_equal(r.value_len, SLIPRING_VALUE_MAX);
		assert_int_equal(r.flags, 9);
		assert_memory_equal(r.value, value, SLIPRING_VALUE_MAX);
	}
	free(value);
}

static void
every_increment_executes_once(void **state)
{
	struct fixture *f = *state;
	struct slipring_counters counters;
	struct slipring_result r;

	assert_int_equal(slipring_set(f->cache, KEY("n"), "0", 1, 0, 0, NULL), SLIPRING_OK);
	for (unsigned i = 1; i <= (f->loss < 20 ? 200 : 80); i++) {
		assert_int_equal(slipring_incr(f->cache, KEY("n"), 1, &r), SLIPRING_OK);
		assert_int_equal(r.number, i); /* a repeat that executed again would skip one */
	}
	slipring_counters(f->cache, &counters);
	print_message("%llu operations, %llu sent again, %llu strays\n", (unsigned long long)counters.operations,
	    (unsigned long long)counters.retries, (unsigned long long)counters.strays);
	/* the test is worth nothing unless the link was as bad as asked for */
	assert_true(f->loss < 5 || counters.retries > 0);
	assert_true(f->loss == 0 || counters.strays > 0);
}

enum { KEYS = 16, WRITES = 2000 };

struct tally {
	unsigned done, failed;
	char key[KEYS];
};

static void
count_done(void *context, const struct slipring_result *result)
{
	struct tally *tally = context;

	tally->done++;
	tally->failed += result->status != SLIPRING_OK;
}

static void
submit(struct slipring *cache, const struct slipring_request *request)
{
	enum slipring_status status;

	while ((status = slipring_submit(cache, request)) == SLIPRING_WINDOW_FULL)
		slipring_poll(cache, 1000);
	assert_int_equal(status, SLIPRING_OK);
}

/* APPEND is the write that shows both a lost and a doubled execution, as does INCR. */
static void
concurrent_writes_execute_once_each(void **state)
{
	struct slipring *cache = ((struct fixture *)*state)->cache;
	struct tally tally = { 0 };
	struct slipring_result r;

	for (unsigned k = 0; k < KEYS; k++) {
		tally.key[k] = (char)('A' + k);
		assert_int_equal(slipring_set(cache, &tally.key[k], 1, k % 2 ? "0" : "", k % 2, 0, 0, NULL), SLIPRING_OK);
	}
	for (unsigned i = 0; i < WRITES; i++) {
		unsigned k = i % KEYS;
		struct slipring_request request = { .op = k % 2 ? SLIPRING_OP_INCR : SLIPRING_OP_APPEND, .key = &tally.key[k],
			.key_len = 1, .value = "x", .value_len = k % 2 ? 0 : 1, .delta = 1, .done = count_done, .context = &tally };

		submit(cache, &request);
	}
	slipring_flush(cache);
	assert_int_equal(tally.done, WRITES);
	assert_int_equal(tally.failed, 0);
	for (unsigned k = 0; k < KEYS; k++) {
		assert_int_equal(slipring_get(cache, &tally.key[k], 1, &r), SLIPRING_OK);
		assert_int_equal(k % 2 ? strtoul(r.value, NULL, 10) : r.value_len, WRITES / KEYS);
	}
}

static void
every_read_gets_its_own_answer(void **state)
{
	struct fixture *f = *state;
	struct slipring *cache = f->cache;
	enum { COUNT = 500 };
	struct tally tally = { 0 };
	struct slipring_item *items = calloc(COUNT, sizeof *items);
	uint32_t *keys = calloc(COUNT, sizeof *keys);
	char *buffer = malloc(COUNT * 400);

	for (uint32_t i = 0; i < COUNT; i++) {
		uint32_t value[100];

		for (int at = 0; at < 100; at++)
			value[at] = i;
		keys[i] = i;
		items[i] = (struct slipring_item){ .key = &keys[i], .key_len = sizeof keys[i] };
		/* lengths differ, so that some answers need a frame of their own */
		submit(cache, &(struct slipring_request){ .op = SLIPRING_OP_SET, .key = &keys[i], .key_len = sizeof keys[i],
		    .value = value, .value_len = 4 + i % 97 * 4, .flags = i, .done = count_done, .context = &tally });
	}
	slipring_flush(cache);
	assert_true(tally.done == COUNT && tally.failed == 0);
	for (int round = 0; round < (f->loss < 20 ? 3 : 1); round++) {
		assert_int_equal(slipring_mget(cache, items, COUNT, buffer, COUNT * 400), SLIPRING_OK);
		for (uint32_t i = 0; i < COUNT; i++) {
			const uint32_t *value = items[i].result.value;

			assert_int_equal(items[i].result.value_len, 4 + i % 97 * 4);
			assert_int_equal(items[i].result.flags, i);
			assert_memory_equal(&value[items[i].result.value_len / 4 - 1], &i, 4);
		}
	}
	free(items);
	free(keys);
	free(buffer);
}

/*
 * Random operations on a few keys, each compared with a model: an operation lost,
 * executed twice, or answered by another's answer shows in a status, version or value.
 */
struct model {
	bool present;
	uint64_t version;
	uint32_t flags, len;
	uint8_t value[512];
};

enum { MODEL_KEYS = 6, MODEL_STEPS = 600 };

static enum slipring_status
model_store(struct model *model, enum slipring_mode mode, uint64_t version, const uint8_t *value, uint32_t len,
    uint32_t flags)
{
	if (mode == SLIPRING_CAS && !model->present)
		return SLIPRING_NOT_FOUND;
	if (mode == SLIPRING_CAS && model->version != version)
		return SLIPRING_EXISTS;
	if ((mode == SLIPRING_ADD && model->present) || (mode == SLIPRING_REPLACE && !model->present))
		return SLIPRING_NOT_STORED;
	model->present = true;
	model->flags = flags;
	model->len = len;
	memcpy(model->value, value, len);
	return SLIPRING_OK;
}

static enum slipring_status
model_extend(struct model *model, bool front, const uint8_t *value, uint32_t len)
{
	if (!model->present)
		return SLIPRING_NOT_STORED;
	if (front)
		memmove(model->value + len, model->value, model->len);
	memcpy(front ? model->value : model->value + model->len, value, len);
	model->len += len;
	return SLIPRING_OK;
}

static enum slipring_status
store_by(struct slipring *cache, const char *key, enum slipring_mode mode, uint64_t version, const uint8_t *value,
    uint32_t len, uint32_t flags, struct slipring_result *r)
{
	switch (mode) {
	case SLIPRING_ADD: return slipring_add(cache, key, 1, value, len, flags, 0, r);
	case SLIPRING_REPLACE: return slipring_replace(cache, key, 1, value, len, flags, 0, r);
	case SLIPRING_CAS: return slipring_cas(cache, key, 1, value, len, flags, 0, version, r);
	default: return slipring_set(cache, key, 1, value, len, flags, 0, r);
	}
}

static void
check_value(struct slipring *cache, const char *key, const struct model *model)
{
	struct slipring_result r;

	assert_int_equal(slipring_get(cache, key, 1, &r), model->present ? SLIPRING_OK : SLIPRING_NOT_FOUND);
	if (!model->present)
		return;
	assert_int_equal(r.value_len, model->len);
	assert_int_equal(r.flags, model->flags);
	assert_true(r.version == model->version);
	assert_memory_equal(r.value, model->value, model->len);
}

static void
step(struct slipring *cache, struct model *model, const char *key, struct prng *prng)
{
	static const enum slipring_mode modes[] = { SLIPRING_PLAIN, SLIPRING_ADD, SLIPRING_REPLACE, SLIPRING_CAS };
	enum slipring_mode mode = modes[prng_below(prng, 4)];
	uint8_t value[16];
	uint32_t len = (uint32_t)prng_below(prng, sizeof value), flags = (uint32_t)prng_next(prng);
	uint64_t version = model->version + (prng_below(prng, 3) == 0) + !model->version;
	struct slipring_result r;
	enum slipring_status want;

	for (uint32_t i = 0; i < len; i++)
		value[i] = (uint8_t)prng_next(prng);
	switch (prng_below(prng, 6)) {
	case 0:
	case 1:
		want = model_store(model, mode, version, value, len, flags);
		assert_int_equal(store_by(cache, key, mode, version, value, len, flags, &r), want);
		break;
	case 2:
		want = model->present ? SLIPRING_OK : SLIPRING_NOT_FOUND;
		assert_int_equal(slipring_delete(cache, key, 1, 0), want);
		*model = (struct model){ 0 };
		return;
	case 3:
	case 4:
		if (model->len + len > sizeof model->value)
			return;
		want = model_extend(model, flags & 1, value, len);
		assert_int_equal(flags & 1 ? slipring_prepend(cache, key, 1, value, len, &r) :
		    slipring_append(cache, key, 1, value, len, &r), want);
		break;
	default:
		check_value(cache, key, model);
		return;
	}
	if (want != SLIPRING_OK)
		return;
	assert_true(r.version > model->version);
	model->version = r.version;
}

static void
any_conversation_goes_as_without_faults(void **state)
{
	struct fixture *f = *state;
	struct model models[MODEL_KEYS] = { 0 };
	struct prng prng = { 5 };

	for (int i = 0; i < (f->loss < 20 ? MODEL_STEPS : MODEL_STEPS / 4); i++) {
		uint32_t k = (uint32_t)prng_below(&prng, MODEL_KEYS);
		char key = (char)('a' + k);

		step(f->cache, &models[k], &key, &prng);
	}
	for (uint32_t k = 0; k < MODEL_KEYS; k++)
		check_value(f->cache, &(char){ (char)('a' + k) }, &models[k]);
}

static unsigned losses[] = { 0, 1, 5, 20 };

#define AT(test, i, name) { #test " at " name " loss", test, setup, teardown, &losses[i] }
#define AT_EACH(test) AT(test, 0, "0 %"), AT(test, 1, "1 %"), AT(test, 2, "5 %"), AT(test, 3, "20 %")

int
main(void)
{
	const struct CMUnitTest tests[] = {
		AT_EACH(a_mebibyte_is_byte_exact_both_ways),
		AT_EACH(every_increment_executes_once),
		AT_EACH(concurrent_writes_execute_once_each),
		AT_EACH(any_conversation_goes_as_without_faults),
		AT_EACH(every_read_gets_its_own_answer),
	};

	return cmocka_run_group_tests_name("client over a bad link", tests, NULL, NULL);
}
