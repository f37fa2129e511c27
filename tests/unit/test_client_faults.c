/*
 * libslipring when the node falls silent, restarts, refuses or is not there. Where a
 * conversation must go wrong at one certain datagram, the test plays the node itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <time.h>

#include "base/bytes.h"
#include "proto/native.h"
#include "tests/unit/loopback.h"

#define KEY(text) text, sizeof text - 1

/* A node played by the test: a socket, and the request last received. */
struct puppet {
	int fd;
	uint16_t port;
	struct sockaddr_in peer;
	struct native_header header;
	uint8_t op; /* of the first operation */
	uint64_t boot;
};

static struct puppet
puppet_open(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval timeout = { 2, 0 };
	socklen_t len = sizeof address;
	struct puppet puppet = { .fd = socket(AF_INET, SOCK_DGRAM, 0), .boot = 1 };

	assert_int_equal(bind(puppet.fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(getsockname(puppet.fd, (struct sockaddr *)&address, &len), 0);
	setsockopt(puppet.fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
	puppet.port = ntohs(address.sin_port);
	return puppet;
}

/* The next request; false when none comes in time. */
static bool
puppet_hear(struct puppet *puppet, int flags)
{
	uint8_t bytes[2048];
	socklen_t peer_len = sizeof puppet->peer;
	ssize_t len = recvfrom(puppet->fd, bytes, sizeof bytes, flags, (struct sockaddr *)&puppet->peer, &peer_len);

	if (len < NATIVE_HEADER_LEN + 1)
		return false;
	puppet->op = bytes[NATIVE_HEADER_LEN];
	puppet->header = (struct native_header){ .op_count = bytes[4], .client = load_le64(bytes + 8),
		.sequence = load_le64(bytes + 16), .cookie = load_le64(bytes + 24), .window = load_le32(bytes + 36) };
	return true;
}

static void
puppet_say(struct puppet *puppet, const uint8_t *bytes, size_t len)
{
	assert_int_equal(sendto(puppet->fd, bytes, len, 0, (struct sockaddr *)&puppet->peer, sizeof puppet->peer), len);
}

static void
compose_header(const struct puppet *puppet, enum op_status error, uint8_t count, uint8_t *bytes)
{
	bool challenge = error == OP_STATUS_UNPROVEN || error == OP_STATUS_STALE_BOOT;
	const struct native_header header = { .version = NATIVE_VERSION, .op_count = count, .error = error,
		.flags = NATIVE_FLAG_RESPONSE | (challenge ? NATIVE_FLAG_CHALLENGE : 0), .client = puppet->header.client,
		.sequence = puppet->header.sequence, .cookie = puppet->boot << 48 | 0xabcdef, .epoch = 0 };

	native_header_compose(&header, bytes);
}

static void
puppet_refuse(struct puppet *puppet, enum op_status error)
{
	uint8_t bytes[NATIVE_HEADER_LEN];

	compose_header(puppet, error, 0, bytes);
	puppet_say(puppet, bytes, sizeof bytes);
}

/* One result, for operation `index` of the frame heard. */
static void
puppet_answer(struct puppet *puppet, uint8_t op, uint8_t index, enum op_status status)
{
	uint8_t bytes[NATIVE_HEADER_LEN + NATIVE_RESPONSE_OP_LEN] = { 0 };

	compose_header(puppet, OP_STATUS_OK, 1, bytes);
	bytes[NATIVE_HEADER_LEN] = op;
	bytes[NATIVE_HEADER_LEN + 1] = (uint8_t)status;
	bytes[NATIVE_HEADER_LEN + 2] = index;
	puppet_say(puppet, bytes, sizeof bytes);
}

static void
hasty(struct slipring_options *options)
{
	options->try_timeout_us = 20000;
	options->deadline_us = 400000;
}

static void
note(void *context, const struct slipring_result *result)
{
	*(int *)context = (int)result->status;
}

enum { NOTHING = -1 };

/* Fetches what comes until it is a PING of a lane that has no cookie, and gives it one. */
static void
lead_past_probe(struct puppet *puppet)
{
	assert_true(puppet_hear(puppet, 0));
	assert_int_equal(puppet->op, OP_PING);
	assert_true(puppet->header.cookie == 0);
	puppet_refuse(puppet, OP_STATUS_UNPROVEN);
}

/*
 * Submits one operation and leads it past the probes and TOPOLOGY, which goes by a lane of its
 * own and before which nothing else is sent, until it stands alone in a frame.
 */
static struct slipring *
open_with(struct puppet *puppet, enum slipring_op op, int *outcome)
{
	struct slipring *cache = loopback_handle(puppet->port, hasty);
	struct slipring_request request = { .op = op, .key = "k", .key_len = 1, .delta = 1, .done = note, .context = outcome };

	*outcome = NOTHING;
	assert_int_equal(slipring_submit(cache, &request), SLIPRING_OK);
	slipring_poll(cache, 0);
	lead_past_probe(puppet);
	lead_past_probe(puppet);
	slipring_poll(cache, 1000); /* takes the cookies */
	slipring_poll(cache, 0);    /* sends what waited for them */
	assert_true(puppet_hear(puppet, 0));
	assert_int_equal(puppet->op, OP_TOPOLOGY);
	assert_int_equal(puppet->header.op_count, 1);
	assert_false(puppet_hear(puppet, MSG_DONTWAIT));
	puppet_answer(puppet, OP_TOPOLOGY, 0, OP_STATUS_UNKNOWN_OP);
	slipring_poll(cache, 1000);
	slipring_poll(cache, 0);
	assert_true(puppet_hear(puppet, 0));
	assert_int_equal(puppet->op, op);
	return cache;
}

static void
nobody_listening_is_unreachable(void **state)
{
	struct puppet puppet = puppet_open();
	struct slipring *cache = loopback_handle(puppet.port, hasty);
	struct slipring_result r;

	(void)state;
	close(puppet.fd);
	assert_int_equal(slipring_get(cache, KEY("k"), &r), SLIPRING_UNREACHABLE);
	assert_non_null(strstr(slipring_error(cache), "Connection refused"));
	assert_int_equal(slipring_set(cache, KEY("k"), "v", 1, 0, 0, NULL), SLIPRING_UNREACHABLE);
	slipring_close(cache);
}

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void
silence_is_a_timeout_at_the_deadline(void **state)
{
	struct puppet puppet = puppet_open();
	struct slipring *cache = loopback_handle(puppet.port, hasty);
	uint64_t start = now_ms();
	struct slipring_result r;
	char expected[64];
	int heard = 0;

	(void)state;
	/* No cookie was ever had, so nothing can have been executed: even a write says TIMEOUT. */
	assert_int_equal(slipring_set(cache, KEY("k"), "v", 1, 0, 0, &r), SLIPRING_TIMEOUT);
	assert_in_range(now_ms() - start, 390, 3000);
	snprintf(expected, sizeof expected, "no answer from 127.0.0.1:%u within 400 ms", puppet.port);
	assert_string_equal(slipring_error(cache), expected);
	while (puppet_hear(&puppet, MSG_DONTWAIT))
		heard++;
	assert_in_range(heard, 4, 14); /* two lanes; 20, 40, 80 ms and so on: they back off */
	slipring_close(cache);
	close(puppet.fd);
}

static void
a_write_without_an_answer_is_outcome_unknown_a_read_a_timeout(void **state)
{
	static const struct {
		enum slipring_op op;
		int outcome;
	} cases[] = { { SLIPRING_OP_INCR, SLIPRING_OUTCOME_UNKNOWN }, { SLIPRING_OP_DELETE, SLIPRING_OUTCOME_UNKNOWN },
		{ SLIPRING_OP_GET, SLIPRING_TIMEOUT }, { SLIPRING_OP_META, SLIPRING_TIMEOUT } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct puppet puppet = puppet_open();
		int outcome;
		struct slipring *cache = open_with(&puppet, cases[i].op, &outcome);

		slipring_flush(cache);
		assert_int_equal(outcome, cases[i].outcome);
		slipring_close(cache);
		close(puppet.fd);
	}
}

/* Polls until a request is heard. */
static bool
hear_repeat(struct puppet *puppet, struct slipring *cache)
{
	for (int i = 0; i < 1000; i++) {
		slipring_poll(cache, 1000);
		if (puppet_hear(puppet, MSG_DONTWAIT))
			return true;
	}
	return false;
}

static void
a_repeat_keeps_its_number_and_tells_the_floor(void **state)
{
	struct puppet puppet = puppet_open();
	int outcome;
	struct slipring *cache = open_with(&puppet, SLIPRING_OP_INCR, &outcome);
	uint64_t sequence = puppet.header.sequence;

	(void)state;
	assert_true(hear_repeat(&puppet, cache));
	assert_int_equal(puppet.op, OP_INCR);
	assert_true(puppet.header.sequence == sequence);
	assert_int_equal(puppet.header.window, 0); /* it is the oldest unsettled */
	puppet_answer(&puppet, OP_INCR, 0, OP_STATUS_NOT_FOUND);
	slipring_flush(cache);
	assert_int_equal(outcome, SLIPRING_NOT_FOUND);
	slipring_close(cache);
	close(puppet.fd);
}

/* Whether a request comes with a cookie of the puppet's present boot. */
static bool
hear_boot(struct puppet *puppet, struct slipring *cache)
{
	for (int i = 0; i < 100; i++) {
		while (puppet_hear(puppet, MSG_DONTWAIT))
			if (puppet->header.cookie >> 48 == puppet->boot)
				return true;
		if (slipring_poll(cache, 1000) == 0)
			break;
	}
	return puppet_hear(puppet, MSG_DONTWAIT);
}

static void
a_restart_makes_a_sent_write_unknown_and_a_read_go_again(void **state)
{
	static const enum slipring_op ops[] = { SLIPRING_OP_INCR, SLIPRING_OP_GET };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct puppet puppet = puppet_open();
		int outcome;
		struct slipring *cache = open_with(&puppet, ops[i], &outcome);

		assert_true(hear_repeat(&puppet, cache)); /* the first went unanswered */
		while (puppet_hear(&puppet, MSG_DONTWAIT))
			;
		puppet.boot = 2;
		puppet_refuse(&puppet, OP_STATUS_STALE_BOOT);
		if (ops[i] == SLIPRING_OP_INCR) {
			slipring_flush(cache);
			assert_int_equal(outcome, SLIPRING_OUTCOME_UNKNOWN);
			assert_false(hear_boot(&puppet, cache)); /* it is never sent to the new boot */
		} else {
			assert_true(hear_boot(&puppet, cache));
			puppet_answer(&puppet, OP_GET, 0, OP_STATUS_NOT_FOUND);
			slipring_flush(cache);
			assert_int_equal(outcome, SLIPRING_NOT_FOUND);
		}
		slipring_close(cache);
		close(puppet.fd);
	}
}

static void
a_write_refused_at_its_only_send_goes_again_after_a_restart(void **state)
{
	struct puppet puppet = puppet_open();
	int outcome;
	struct slipring *cache = open_with(&puppet, SLIPRING_OP_INCR, &outcome);
	struct slipring_request request = { .op = SLIPRING_OP_INCR, .key = "k", .key_len = 1, .delta = 1, .done = note,
		.context = &outcome };

	(void)state;
	puppet_answer(&puppet, OP_INCR, 0, OP_STATUS_NOT_FOUND);
	slipring_flush(cache);
	outcome = NOTHING;
	assert_int_equal(slipring_submit(cache, &request), SLIPRING_OK);
	slipring_poll(cache, 0);
	assert_true(puppet_hear(&puppet, 0));
	puppet.boot = 2;
	puppet_refuse(&puppet, OP_STATUS_STALE_BOOT);
	assert_true(hear_boot(&puppet, cache));
	assert_int_equal(puppet.op, OP_INCR);
	puppet_answer(&puppet, OP_INCR, 0, OP_STATUS_NOT_FOUND);
	slipring_flush(cache);
	assert_int_equal(outcome, SLIPRING_NOT_FOUND);
	slipring_close(cache);
	close(puppet.fd);
}

static void
an_expired_cookie_costs_a_round_trip_and_no_outcome(void **state)
{
	struct puppet puppet = puppet_open();
	int outcome;
	struct slipring *cache = open_with(&puppet, SLIPRING_OP_INCR, &outcome);
	uint64_t cookie;

	(void)state;
	/* sent at least twice; the same boot remembers what it executed, so it may go again */
	assert_true(hear_repeat(&puppet, cache));
	puppet_refuse(&puppet, OP_STATUS_UNPROVEN);
	assert_true(hear_repeat(&puppet, cache));
	cookie = puppet.header.cookie;
	assert_true(cookie >> 48 == 1);
	puppet_answer(&puppet, OP_INCR, 0, OP_STATUS_NOT_FOUND);
	slipring_flush(cache);
	assert_int_equal(outcome, SLIPRING_NOT_FOUND);
	slipring_close(cache);
	close(puppet.fd);
}

struct again {
	struct slipring *cache;
	int cancelled;
	enum slipring_status refused;
};

static void
submit_again(void *context, const struct slipring_result *result)
{
	struct again *again = context;

	again->cancelled += result->status == SLIPRING_CANCELLED;
	again->refused = slipring_submit(again->cache, &(struct slipring_request){ .op = SLIPRING_OP_GET, .key = "k",
	    .key_len = 1, .done = submit_again, .context = again });
}

static void
closing_ends_even_with_completions_that_submit_again(void **state)
{
	struct puppet puppet = puppet_open();
	struct again again = { .cache = loopback_handle(puppet.port, hasty) };

	(void)state;
	assert_int_equal(slipring_submit(again.cache, &(struct slipring_request){ .op = SLIPRING_OP_GET, .key = "k",
	    .key_len = 1, .done = submit_again, .context = &again }), SLIPRING_OK);
	slipring_close(again.cache);
	assert_int_equal(again.cancelled, 1);
	assert_int_equal(again.refused, SLIPRING_CANCELLED);
	close(puppet.fd);
}

static void
busy_is_tried_again_and_told_when_it_lasts(void **state)
{
	struct puppet puppet = puppet_open();
	int outcome;
	struct slipring *cache = open_with(&puppet, SLIPRING_OP_INCR, &outcome);
	int heard = 0;

	(void)state;
	puppet_answer(&puppet, OP_INCR, 0, OP_STATUS_BUSY);
	while (outcome == NOTHING) {
		slipring_poll(cache, 1000);
		while (puppet_hear(&puppet, MSG_DONTWAIT)) {
			heard++;
			puppet_answer(&puppet, OP_INCR, 0, OP_STATUS_BUSY);
		}
	}
	assert_int_equal(outcome, SLIPRING_BUSY); /* each send came back unexecuted: not unknown */
	assert_in_range(heard, 1, 9);
	slipring_close(cache);
	close(puppet.fd);
}

static void
another_protocol_version_is_said_at_once(void **state)
{
	struct puppet puppet = puppet_open();
	struct slipring *cache = loopback_handle(puppet.port, hasty);
	struct slipring_request request = { .op = SLIPRING_OP_GET, .key = "k", .key_len = 1 };
	uint8_t bytes[NATIVE_HEADER_LEN];
	int outcome = NOTHING;

	(void)state;
	request.done = note;
	request.context = &outcome;
	assert_int_equal(slipring_submit(cache, &request), SLIPRING_OK);
	slipring_poll(cache, 0);
	assert_true(puppet_hear(&puppet, 0));
	compose_header(&puppet, OP_STATUS_UNSUPPORTED_VERSION, 0, bytes);
	bytes[2] = NATIVE_VERSION + 1;
	puppet_say(&puppet, bytes, sizeof bytes);
	slipring_poll(cache, 10000);
	assert_int_equal(outcome, SLIPRING_UNSUPPORTED_VERSION);
	slipring_close(cache);
	close(puppet.fd);
}

static void
strangers_answers_are_not_believed(void **state)
{
	struct puppet puppet = puppet_open();
	int outcome;
	struct slipring *cache = open_with(&puppet, SLIPRING_OP_GET, &outcome);
	struct slipring_counters counters;
	uint8_t noise[64];

	(void)state;
	puppet.header.client++; /* a guess that is off by one */
	puppet_answer(&puppet, OP_GET, 0, OP_STATUS_NOT_FOUND);
	puppet.header.client--;
	puppet_answer(&puppet, OP_META, 0, OP_STATUS_NOT_FOUND); /* not the operation asked */
	puppet_answer(&puppet, OP_GET, 9, OP_STATUS_NOT_FOUND);  /* not an operation of the frame */
	memset(noise, 0xa5, sizeof noise);
	puppet_say(&puppet, noise, sizeof noise);
	for (int i = 0; i < 4; i++)
		slipring_poll(cache, 1000);
	assert_int_equal(outcome, NOTHING);
	slipring_counters(cache, &counters);
	assert_int_equal(counters.strays, 3);
	assert_int_equal(counters.bad_frames, 1);
	puppet_answer(&puppet, OP_GET, 0, OP_STATUS_NOT_FOUND);
	slipring_poll(cache, 10000);
	assert_int_equal(outcome, SLIPRING_NOT_FOUND);
	slipring_close(cache);
	close(puppet.fd);
}

static void
an_application_that_was_away_repeats_nothing(void **state)
{
	struct puppet puppet = puppet_open();
	int outcome;
	struct slipring *cache = open_with(&puppet, SLIPRING_OP_GET, &outcome);

	(void)state;
	puppet_answer(&puppet, OP_GET, 0, OP_STATUS_NOT_FOUND);
	usleep(100000); /* it is overdue, but its answer has come */
	slipring_poll(cache, 0);
	assert_int_equal(outcome, SLIPRING_NOT_FOUND);
	assert_false(puppet_hear(&puppet, MSG_DONTWAIT));
	slipring_close(cache);
	close(puppet.fd);
}

static void
closing_completes_what_is_in_flight(void **state)
{
	struct puppet puppet = puppet_open();
	int outcome[3] = { NOTHING, NOTHING, NOTHING };
	struct slipring *cache = open_with(&puppet, SLIPRING_OP_GET, &outcome[0]);
	uint8_t *value = calloc(1, 100000);

	(void)state;
	for (int i = 1; i < 3; i++)
		assert_int_equal(slipring_submit(cache, &(struct slipring_request){ .op = SLIPRING_OP_SET, .key = "k",
		    .key_len = 1, .value = value, .value_len = i == 1 ? 10 : 100000, .done = note, .context = &outcome[i] }),
		    SLIPRING_OK);
	slipring_poll(cache, 0);
	slipring_close(cache);
	for (int i = 0; i < 3; i++)
		assert_int_equal(outcome[i], SLIPRING_CANCELLED);
	free(value);
	close(puppet.fd);
}

/*
 * The first contact with a new boot is a write that no boot has seen. On a busy machine it may be sent
 * twice before the first answer comes, and then nobody can tell whether the earlier boot had it.
 */
static enum slipring_status
write_after_restart(struct slipring *cache, struct loopback *node)
{
	enum slipring_status status = SLIPRING_OUTCOME_UNKNOWN;

	for (int round = 0; round < 20 && status == SLIPRING_OUTCOME_UNKNOWN; round++) {
		loopback_kill(node, SIGKILL);
		*node = loopback_start(node->port, "--workers 2");
		status = slipring_set(cache, KEY("k"), "x", 1, 0, 0, NULL);
	}
	return status;
}

static void
a_real_node_killed_and_started_again_is_found_again(void **state)
{
	struct loopback node = loopback_start(0, "--workers 2");
	struct slipring *cache = loopback_handle(node.port, NULL);
	struct slipring_result r;

	(void)state;
	assert_int_equal(slipring_set(cache, KEY("k"), "v", 1, 0, 0, NULL), SLIPRING_OK);
	loopback_kill(&node, SIGKILL);
	node = loopback_start(node.port, "--workers 2");
	assert_int_equal(slipring_get(cache, KEY("k"), &r), SLIPRING_NOT_FOUND);
	assert_int_equal(slipring_set(cache, KEY("k"), "w", 1, 0, 0, NULL), SLIPRING_OK);
	assert_int_equal(write_after_restart(cache, &node), SLIPRING_OK);
	assert_int_equal(slipring_get(cache, KEY("k"), &r), SLIPRING_OK);
	assert_memory_equal(r.value, "x", 1);
	slipring_close(cache);
	loopback_kill(&node, SIGTERM);
}

/* Numbers of the second boot start here, so that each answer tells which boot gave it. */
enum { SECOND_BOOT = 1000000, WRITES = 200 };

struct boots {
	unsigned first, second, unknown, other;
};

static void
tell_boot(void *context, const struct slipring_result *result)
{
	struct boots *boots = context;

	if (result->status == SLIPRING_OUTCOME_UNKNOWN)
		boots->unknown++;
	else if (result->status != SLIPRING_OK)
		boots->other++;
	else if (result->number < SECOND_BOOT)
		boots->first++;
	else
		boots->second++;
}

static void
submit_writes(struct slipring *cache, struct boots *boots, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(slipring_submit(cache, &(struct slipring_request){ .op = SLIPRING_OP_INCR, .key = "n",
		    .key_len = 1, .delta = 1, .done = tell_boot, .context = boots }), SLIPRING_OK);
}

static void
a_kill_amid_writes_lets_none_run_twice(void **state)
{
	unsigned second = 0, unknown = 0;

	(void)state;
	for (int polls = 0; polls < 6; polls++) {
		struct loopback node = loopback_start(0, "");
		struct slipring *cache = loopback_handle(node.port, NULL), *other;
		struct boots boots = { 0 };
		struct slipring_result r;

		assert_int_equal(slipring_set(cache, KEY("n"), "0", 1, 0, 0, NULL), SLIPRING_OK);
		submit_writes(cache, &boots, WRITES - 20);
		for (int i = 0; i < polls; i++)
			slipring_poll(cache, 0);
		loopback_kill(&node, SIGKILL);
		submit_writes(cache, &boots, 20);
		node = loopback_start(node.port, "");
		other = loopback_handle(node.port, NULL);
		assert_int_equal(slipring_set(other, KEY("n"), "1000000", 7, 0, 0, NULL), SLIPRING_OK);
		slipring_flush(cache);
		assert_int_equal(boots.other, 0);
		assert_int_equal(boots.first + boots.second + boots.unknown, WRITES);
		second += boots.second;
		unknown += boots.unknown;
		assert_int_equal(slipring_incr(other, KEY("n"), 0, &r), SLIPRING_OK);
		/* what may have run before the kill did not run again after it */
		assert_int_equal(r.number - SECOND_BOOT, boots.second);
		print_message("%u before the kill, %u after it, %u unknown\n", boots.first, boots.second, boots.unknown);
		slipring_close(other);
		slipring_close(cache);
		loopback_kill(&node, SIGTERM);
	}
	assert_true(second > 0 && unknown > 0); /* else the kill hit nothing */
}

static void
with_key(struct slipring_options *options)
{
	hasty(options);
	options->authenticate = true;
	memset(options->shared_key, 0x11, sizeof options->shared_key);
}

static void
with_wrong_key(struct slipring_options *options)
{
	with_key(options);
	options->shared_key[31] ^= 1;
}

static void
a_shared_key_admits_only_who_has_it(void **state)
{
	char path[] = "/tmp/slipring-key-XXXXXX", options[64];
	int fd = mkstemp(path);
	uint8_t *value = malloc(100000);
	struct slipring_result r;
	struct loopback node;
	struct slipring *cache;

	(void)state;
	for (int i = 0; i < 32; i++)
		assert_int_equal(write(fd, "11", 2), 2);
	snprintf(options, sizeof options, "--key-file %s", path);
	node = loopback_start(0, options);
	cache = loopback_handle(node.port, with_key);
	memset(value, 7, 100000);
	assert_int_equal(slipring_set(cache, KEY("k"), value, 100000, 0, 0, NULL), SLIPRING_OK);
	assert_int_equal(slipring_get(cache, KEY("k"), &r), SLIPRING_OK);
	assert_int_equal(r.value_len, 100000);
	assert_memory_equal(r.value, value, 100000);
	slipring_close(cache);
	cache = loopback_handle(node.port, with_wrong_key);
	assert_int_equal(slipring_get(cache, KEY("k"), &r), SLIPRING_TIMEOUT);
	slipring_close(cache);
	cache = loopback_handle(node.port, hasty);
	assert_int_equal(slipring_get(cache, KEY("k"), &r), SLIPRING_TIMEOUT);
	slipring_close(cache);
	loopback_kill(&node, SIGTERM);
	unlink(path);
	close(fd);
	free(value);
}

static void
an_ipv6_address_has_brackets_before_a_port(void **state)
{
	static const struct {
		const char *hosts;
		enum slipring_status ready;
	} cases[] = {
		{ "::1", SLIPRING_OK }, { "[::1]", SLIPRING_OK }, { "[::1]:7411", SLIPRING_OK },
		{ "fd09::1,[fd09::2]:7412,127.0.0.1:7411", SLIPRING_OK }, { "[::1", SLIPRING_BAD_ARGUMENT },
		{ "[::1]x", SLIPRING_BAD_ARGUMENT }, { "[::1]:", SLIPRING_BAD_ARGUMENT }, { "[::1]:70000", SLIPRING_BAD_ARGUMENT },
		{ "[]:1", SLIPRING_BAD_ARGUMENT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct slipring *cache = slipring_open(cases[i].hosts, NULL);

		assert_non_null(cache);
		if (slipring_ready(cache) != cases[i].ready)
			fail_msg("%s: %s", cases[i].hosts, slipring_error(cache));
		slipring_close(cache);
	}
}

static void
bad_options_and_hosts_say_what_is_wrong(void **state)
{
	struct slipring_options options;
	struct slipring_result r;
	struct slipring *cache;

	(void)state;
	slipring_options_init(&options);
	options.window = 0;
	cache = slipring_open("127.0.0.1", &options);
	assert_int_equal(slipring_ready(cache), SLIPRING_BAD_ARGUMENT);
	assert_string_equal(slipring_error(cache), "window 0 is not 1 to 4096");
	assert_int_equal(slipring_get(cache, KEY("k"), &r), SLIPRING_BAD_ARGUMENT);
	assert_int_equal(slipring_poll(cache, 0), 0);
	slipring_close(cache);
	cache = slipring_open("no-such-host.invalid", NULL);
	assert_int_equal(slipring_ready(cache), SLIPRING_NO_HOST);
	assert_non_null(strstr(slipring_error(cache), "no-such-host.invalid"));
	assert_int_equal(slipring_set(cache, KEY("k"), "v", 1, 0, 0, NULL), SLIPRING_NO_HOST);
	slipring_close(cache);
	cache = slipring_open(NULL, NULL);
	assert_int_equal(slipring_ready(cache), SLIPRING_BAD_ARGUMENT);
	slipring_close(cache);
	slipring_close(NULL);
}

static void
every_status_has_a_name_and_a_text(void **state)
{
	(void)state;
	for (int status = SLIPRING_OK; status <= SLIPRING_UPLOAD_INCOMPLETE; status++)
		assert_string_not_equal(slipring_status_name(status), "unknown");
	for (int status = SLIPRING_TIMEOUT; status <= SLIPRING_BAD_REPLY; status++)
		assert_true(slipring_status_name(status)[0] && slipring_status_text(status)[0]);
	assert_string_equal(slipring_status_name(63), "unknown");
	assert_string_equal(slipring_status_name(72), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_listening_is_unreachable),
		cmocka_unit_test(silence_is_a_timeout_at_the_deadline),
		cmocka_unit_test(a_write_without_an_answer_is_outcome_unknown_a_read_a_timeout),
		cmocka_unit_test(a_repeat_keeps_its_number_and_tells_the_floor),
		cmocka_unit_test(a_restart_makes_a_sent_write_unknown_and_a_read_go_again),
		cmocka_unit_test(a_write_refused_at_its_only_send_goes_again_after_a_restart),
		cmocka_unit_test(an_expired_cookie_costs_a_round_trip_and_no_outcome),
		cmocka_unit_test(closing_ends_even_with_completions_that_submit_again),
		cmocka_unit_test(busy_is_tried_again_and_told_when_it_lasts),
		cmocka_unit_test(another_protocol_version_is_said_at_once),
		cmocka_unit_test(strangers_answers_are_not_believed),
		cmocka_unit_test(an_application_that_was_away_repeats_nothing),
		cmocka_unit_test(closing_completes_what_is_in_flight),
		cmocka_unit_test(a_real_node_killed_and_started_again_is_found_again),
		cmocka_unit_test(a_kill_amid_writes_lets_none_run_twice),
		cmocka_unit_test(a_shared_key_admits_only_who_has_it),
		cmocka_unit_test(an_ipv6_address_has_brackets_before_a_port),
		cmocka_unit_test(bad_options_and_hosts_say_what_is_wrong),
		cmocka_unit_test(every_status_has_a_name_and_a_text),
	};

	return cmocka_run_group_tests_name("client and faults", tests, NULL, NULL);
}
