/*
 * Property test of lib/serve: random frames of all operations at three workers, some
 * repeated, against a dictionary that does what the protocol says, and nothing else.
 */
#include <errno.h>
#include <string.h>

#include "tests/unit/serve_rig.h"

enum { KEYS = 12, FRAMES = 40000, OPS_MAX = 6, LEN_MAX = 1300 };

struct entry {
	bool present;
	uint8_t value[LEN_MAX];
	uint32_t len, client_flags;
	uint64_t expiry_ms, version;
};

static struct entry dictionary[KEYS];
static char names[KEYS][16];
static struct prng prng;

/* One operation of the frame under way. */
static struct {
	struct request request;
	struct native_result first; /* what it answered when it was executed */
	uint8_t value[64];
	uint32_t key;
} ops[OPS_MAX];

static struct entry *
live(uint32_t key)
{
	struct entry *entry = &dictionary[key];

	if (entry->present && entry->expiry_ms != 0 && entry->expiry_ms <= rig.now.wall_ms)
		entry->present = false;
	return entry;
}

static uint64_t
expiry_of(const struct request *request)
{
	return request->expiry_ms ? rig.now.wall_ms + request->expiry_ms : 0;
}

static void
put(struct entry *entry, const void *value, uint32_t len, uint64_t version)
{
	assert_true(len <= LEN_MAX);
	memmove(entry->value, value, len);
	entry->len = len;
	entry->present = true;
	assert_true(version > entry->version);
	entry->version = version;
}

/* By strtoull, which knows nothing of how serve does it; blanks around the digits are allowed. */
static bool
number_of(const struct entry *entry, uint64_t *number)
{
	char text[LEN_MAX + 1], *end = text;
	size_t blanks, digits;

	memcpy(text, entry->value, entry->len);
	text[entry->len] = '\0';
	if (strlen(text) != entry->len)
		return false;
	blanks = strspn(text, " ");
	digits = strspn(text + blanks, "0123456789");
	if (digits == 0 || blanks + digits + strspn(text + blanks + digits, " ") != entry->len)
		return false;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return errno == 0;
}

static void
put_number(struct entry *entry, uint64_t number, const struct native_result *result)
{
	char text[24];

	assert_true(result->number == number);
	put(entry, text, (uint32_t)snprintf(text, sizeof text, "%llu", (unsigned long long)number), result->version);
}

static enum op_status
model_set(struct entry *entry, const struct request *request, const struct native_result *result)
{
	if ((request->flags & REQUEST_ADD) && entry->present)
		return OP_STATUS_NOT_STORED;
	if ((request->flags & REQUEST_REPLACE) && !entry->present)
		return OP_STATUS_NOT_STORED;
	put(entry, request->value.data, request->value.len, result->version);
	entry->client_flags = request->client_flags;
	entry->expiry_ms = expiry_of(request);
	return OP_STATUS_OK;
}

static enum op_status
model_count(struct entry *entry, const struct request *request, const struct native_result *result)
{
	uint64_t number;

	if (!entry->present) {
		if (!(request->flags & REQUEST_CREATE))
			return OP_STATUS_NOT_FOUND;
		put_number(entry, request->initial, result);
		entry->client_flags = 0;
		entry->expiry_ms = expiry_of(request);
		return OP_STATUS_OK;
	}
	if (!number_of(entry, &number))
		return OP_STATUS_NOT_A_NUMBER;
	if (request->op == OP_INCR)
		number += request->delta;
	else
		number = number > request->delta ? number - request->delta : 0;
	put_number(entry, number, result);
	return OP_STATUS_OK;
}

static enum op_status
model_join(struct entry *entry, const struct request *request, const struct native_result *result)
{
	uint8_t joined[LEN_MAX];
	uint32_t len = entry->len + request->value.len;
	bool append = request->op == OP_APPEND;

	assert_true(len <= LEN_MAX);
	memcpy(joined + (append ? 0 : request->value.len), entry->value, entry->len);
	memcpy(joined + (append ? entry->len : 0), request->value.data, request->value.len);
	put(entry, joined, len, result->version);
	return OP_STATUS_OK;
}

static enum op_status
model_touch(struct entry *entry, const struct request *request, const struct native_result *result)
{
	if (!entry->present)
		return OP_STATUS_NOT_FOUND;
	if (entry->expiry_ms != expiry_of(request))
		put(entry, entry->value, entry->len, result->version);
	entry->expiry_ms = expiry_of(request);
	assert_true(result->version == entry->version);
	return OP_STATUS_OK;
}

static enum op_status
model_write(struct entry *entry, const struct request *request, const struct native_result *result)
{
	bool join = request->op == OP_APPEND || request->op == OP_PREPEND;

	if (join && !entry->present)
		return OP_STATUS_NOT_STORED;
	if ((request->flags & REQUEST_CAS) && !entry->present)
		return OP_STATUS_NOT_FOUND;
	if ((request->flags & REQUEST_CAS) && entry->version != request->version)
		return OP_STATUS_EXISTS;
	switch (request->op) {
	case OP_SET:
		return model_set(entry, request, result);
	case OP_DELETE:
		if (!entry->present)
			return OP_STATUS_NOT_FOUND;
		entry->present = false;
		return OP_STATUS_OK;
	case OP_TOUCH:
	case OP_GAT:
		return model_touch(entry, request, result);
	case OP_INCR:
	case OP_DECR:
		return model_count(entry, request, result);
	default:
		return model_join(entry, request, result);
	}
}

static void
assert_reads(const struct entry *entry, const struct request *request, const struct native_result *result)
{
	uint32_t from = 0, len = entry->len;

	if (result->status != OP_STATUS_OK)
		return;
	assert_true(result->version == entry->version);
	assert_int_equal(result->client_flags, entry->client_flags);
	assert_int_equal(result->total_len, entry->len);
	if (request->op == OP_META) {
		assert_true(result->ttl_ms == (entry->expiry_ms ? entry->expiry_ms - rig.now.wall_ms : UINT64_MAX));
		return;
	}
	if (request->flags & REQUEST_RANGE) {
		from = request->offset;
		len = request->length < entry->len - from ? request->length : entry->len - from;
	}
	assert_int_equal(result->value.len, len);
	assert_memory_equal(result->value.data, entry->value + from, len);
}

static enum op_status
model_read(const struct entry *entry, const struct request *request)
{
	if (!entry->present)
		return OP_STATUS_NOT_FOUND;
	if ((request->flags & REQUEST_RANGE) && request->version != 0 && request->version != entry->version)
		return OP_STATUS_CHANGED;
	if ((request->flags & REQUEST_RANGE) && request->offset > entry->len)
		return OP_STATUS_BAD_RANGE;
	return OP_STATUS_OK;
}

/* What an operation must have answered; changes the dictionary. */
static void
check_first(uint32_t i)
{
	struct entry *entry = live(ops[i].key);
	const struct request *request = &ops[i].request;
	const struct native_result *result = &ops[i].first;
	bool write = op_is_write(request->op);
	enum op_status expected = write ? model_write(entry, request, result) : model_read(entry, request);

	assert_string_equal(op_status_name(result->status), op_status_name(expected));
	if (!write || request->op == OP_GAT)
		assert_reads(entry, request, result);
}

/* Repeated: writes answer what they answered first and change nothing; reads see what is there now. */
static void
check_again(uint32_t i, const struct native_result *result)
{
	struct entry *entry = live(ops[i].key);

	if (ops[i].request.op == OP_GAT) {
		enum op_status expected = ops[i].first.status == OP_STATUS_OK && !entry->present ?
		    OP_STATUS_NOT_FOUND : ops[i].first.status;

		assert_int_equal(result->status, expected);
		assert_reads(entry, &ops[i].request, result);
	} else if (op_is_write(ops[i].request.op)) {
		assert_int_equal(result->status, ops[i].first.status);
		assert_true(result->version == ops[i].first.version && result->number == ops[i].first.number);
	} else {
		assert_int_equal(result->status, model_read(entry, &ops[i].request));
		assert_reads(entry, &ops[i].request, result);
	}
}

static void
choose_value(uint32_t i, struct request *request)
{
	uint32_t len = (uint32_t)prng_below(&prng, sizeof ops[i].value);

	for (uint32_t at = 0; at < len; at++)
		ops[i].value[at] = (uint8_t)prng_next(&prng);
	if (prng_below(&prng, 2))
		len = (uint32_t)snprintf((char *)ops[i].value, sizeof ops[i].value, "%llu",
		    (unsigned long long)(prng_next(&prng) >> prng_below(&prng, 64)));
	request->value = view_of(ops[i].value, len);
}

static void
choose_flags(struct request *request, const struct entry *entry)
{
	static const uint16_t conditions[] = { 0, 0, 0, REQUEST_ADD, REQUEST_REPLACE, REQUEST_CAS };
	uint16_t condition = conditions[prng_below(&prng, 6)];

	if (request->op == OP_SET || (condition == REQUEST_CAS && (request->op == OP_DELETE ||
	    request->op == OP_APPEND || request->op == OP_PREPEND)))
		request->flags |= condition;
	if ((request->op == OP_INCR || request->op == OP_DECR) && prng_below(&prng, 2)) {
		request->flags |= REQUEST_CREATE;
		request->initial = prng_below(&prng, 1000);
	}
	if (request->op == OP_GET && prng_below(&prng, 4) == 0) {
		request->flags |= REQUEST_RANGE;
		request->offset = (uint32_t)prng_below(&prng, entry->len + 2);
		request->length = (uint32_t)prng_below(&prng, 100);
	}
	request->version = entry->version - (prng_below(&prng, 8) == 0);
}

static void
choose(uint32_t i)
{
	static const uint8_t kinds[] = { OP_GET, OP_GET, OP_GET, OP_SET, OP_SET, OP_DELETE, OP_TOUCH, OP_GAT,
		OP_INCR, OP_DECR, OP_APPEND, OP_PREPEND, OP_META };
	uint32_t key = ops[i].key = (uint32_t)prng_below(&prng, KEYS);
	struct request request = rig_request(kinds[prng_below(&prng, sizeof kinds)], names[key]);

	if ((request.op == OP_APPEND || request.op == OP_PREPEND) && dictionary[key].len > 600)
		request = rig_request(OP_SET, names[key]);
	if (request.op == OP_SET || request.op == OP_APPEND || request.op == OP_PREPEND)
		choose_value(i, &request);
	request.client_flags = (uint32_t)prng_next(&prng);
	request.expiry_ms = prng_below(&prng, 3) ? 0 : 1 + prng_below(&prng, 500);
	request.delta = prng_next(&prng) >> prng_below(&prng, 64);
	choose_flags(&request, &dictionary[key]);
	if (!(request.flags & (REQUEST_CAS | REQUEST_RANGE)))
		request.version = 0;
	if (prng_below(&prng, 8) == 0)
		request.slot = NATIVE_SLOT_NONE;
	ops[i].request = request;
}

static void
send(uint32_t count)
{
	rig_clear();
	rig_frame();
	for (uint32_t i = 0; i < count; i++)
		rig_add(ops[i].request);
	rig_send_frame((uint32_t)prng_below(&prng, 3));
	rig_settle();
}

static void
flush(void)
{
	assert_int_equal(rig_do((uint32_t)prng_below(&prng, 3), rig_request(OP_FLUSH, "")).status, OP_STATUS_OK);
	for (uint32_t i = 0; i < KEYS; i++)
		dictionary[i].present = false;
}

static void
a_random_frame(void)
{
	uint32_t count = 1 + (uint32_t)prng_below(&prng, OPS_MAX);

	for (uint32_t i = 0; i < count; i++)
		choose(i);
	send(count);
	for (uint32_t i = 0; i < count; i++) {
		assert_true(rig_result(rig.header.sequence, i, &ops[i].first));
		check_first(i);
	}
	for (uint64_t again = prng_below(&prng, 3); again > 0; again--) {
		rig.now.wall_ms += prng_below(&prng, 20);
		send(count);
		for (uint32_t i = 0; i < count; i++) {
			struct native_result result;

			assert_true(rig_result(rig.header.sequence, i, &result));
			check_again(i, &result);
		}
	}
	rig_next_frame();
}

static void
random_frames_do_what_a_dictionary_does(void **state)
{
	const char *seed = getenv("SEED");

	(void)state;
	prng.state = seed ? strtoull(seed, NULL, 0) : 20261120;
	printf("seed %llu\n", (unsigned long long)prng.state);
	memset(dictionary, 0, sizeof dictionary);
	rig_start(3, NULL);
	rig_prove();
	for (uint32_t i = 0; i < KEYS; i++)
		snprintf(names[i], sizeof names[i], "key-%u", i);
	for (uint32_t i = 0; i < FRAMES; i++) {
		if (prng_below(&prng, 500) == 0)
			flush();
		a_random_frame();
		rig.now.wall_ms += prng_below(&prng, 10);
		rig.now.mono_ns += NS_PER_MS;
	}
	assert_true(rig_counter(COUNTER_MAIL_RUN) > FRAMES / 10);
	assert_true(rig_counter(COUNTER_ONCE_REPLAYED) > FRAMES / 10);
	rig_stop();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_frames_do_what_a_dictionary_does),
	};

	return cmocka_run_group_tests_name("serve_model", tests, NULL, NULL);
}
