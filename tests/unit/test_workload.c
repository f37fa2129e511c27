/* Unit tests of bench/: what the benchmarks ask for is what they say they ask for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "bench/frames.h"

enum { KEYS = 10000 };

static void
keys_are_readable_and_distinct(void **state)
{
	uint8_t key[WORKLOAD_KEY_LEN], other[WORKLOAD_KEY_LEN];
	char text[WORKLOAD_KEY_LEN + 1];

	(void)state;
	for (uint64_t i = 0; i < 1ull << 32; i += 65537 * 11) {
		snprintf(text, sizeof text, "slipring%08x", (uint32_t)i);
		workload_key(key, (uint32_t)i);
		assert_memory_equal(key, text, WORKLOAD_KEY_LEN);
		workload_key(other, (uint32_t)i + 1);
		assert_memory_not_equal(key, other, WORKLOAD_KEY_LEN);
	}
}

static void
one_wrong_byte_makes_a_wrong_value(void **state)
{
	uint8_t value[77];

	(void)state;
	for (uint32_t len = 1; len <= sizeof value; len++) {
		workload_value(value, len, len);
		assert_true(workload_value_is(value, len, len));
		assert_false(workload_value_is(value, len, len + 1) && len > 1);
		for (uint32_t at = 0; at < len; at++) {
			value[at] ^= 1;
			assert_false(workload_value_is(value, len, len));
			value[at] ^= 1;
		}
	}
}

/* Under Zipf's law rank r has the share r^-theta / zeta. */
static void
a_zipf_trace_has_the_shares_of_the_law(void **state)
{
	const double theta = 0.99;
	uint32_t *trace = trace_create(KEYS, theta, 7), *counts = calloc(KEYS, sizeof *counts);
	uint32_t first = 0, second = 0, distinct = 0;
	double zeta = 0;

	(void)state;
	for (uint32_t i = 1; i <= KEYS; i++)
		zeta += pow(i, -theta);
	for (uint32_t i = 0; i < TRACE_LEN; i++) {
		assert_true(trace[i] < KEYS);
		counts[trace[i]]++;
	}
	for (uint32_t i = 0; i < KEYS; i++) {
		distinct += counts[i] > 0;
		if (counts[i] > first) {
			second = first;
			first = counts[i];
		} else if (counts[i] > second) {
			second = counts[i];
		}
	}
	assert_true(fabs(first / (TRACE_LEN / zeta) - 1) < 0.02);
	assert_true(fabs(second / (TRACE_LEN / zeta * pow(2, -theta)) - 1) < 0.03);
	assert_true(distinct > KEYS * 9 / 10); /* the tail is not cut off, nor do ranks share keys */
	free(trace);
	free(counts);
}

static void
a_uniform_trace_is_uniform(void **state)
{
	uint32_t *trace = trace_create(1024, 0, 7), counts[1024] = { 0 };

	(void)state;
	for (uint32_t i = 0; i < TRACE_LEN; i++)
		counts[trace[i]]++;
	for (uint32_t i = 0; i < 1024; i++) /* 2048 expected, deviation 45 */
		assert_true(counts[i] > 2048 - 5 * 46 && counts[i] < 2048 + 5 * 46);
	free(trace);
}

static void
poisson_arrivals_have_their_rate_and_spread(void **state)
{
	struct prng prng = { 3 };
	double sum = 0, squares = 0;
	const int n = 200000;

	(void)state;
	for (int i = 0; i < n; i++) {
		double gap = poisson_gap_ns(1e6, &prng);

		sum += gap;
		squares += gap * gap;
	}
	assert_true(fabs(sum / n / 1000 - 1) < 0.02);              /* mean 1 us */
	assert_true(fabs(squares / n / (2 * 1000 * 1000) - 1) < 0.05); /* E[x^2] = 2 mean^2 */
}

static const struct link link_ab = { .mac = { 2, 0, 0, 0, 0, 2 }, .peer_mac = { 2, 0, 0, 0, 0, 1 },
	.ip = { 10, 9, 0, 2 }, .peer_ip = { 10, 9, 0, 1 }, .port = 40000, .peer_port = 7411 };

/* What the template writes, the server's own parser must read back. */
static void
frames_parse_as_what_they_ask_for(enum op op, uint16_t ops, uint16_t value_len)
{
	struct template t;
	uint8_t bytes[FRAME_LEN_MAX], key[WORKLOAD_KEY_LEN];
	uint16_t *slots = slots_create(KEYS);
	uint32_t keys[FRAME_OPS_MAX];
	struct request requests[FRAME_OPS_MAX];
	struct datagram datagram = { 0 };
	struct frame frame;
	const struct now now = { 1, 1 };

	assert_true(template_init(&t, &link_ab, 77, op, ops, value_len));
	for (uint16_t i = 0; i < ops; i++)
		keys[i] = (i * 977u) % KEYS;
	template_write(&t, bytes, 1000, 4711, keys, slots);
	datagram.payload = bytes + TEMPLATE_NATIVE;
	datagram.payload_len = t.len - TEMPLATE_NATIVE;
	assert_int_equal(native_parse(&datagram, &now, &frame, requests, FRAME_OPS_MAX), NATIVE_OK);
	assert_int_equal(frame.count, ops);
	assert_int_equal(frame.client, 77);
	assert_int_equal(frame.sequence, 1000);
	assert_int_equal(frame.cookie, 4711);
	for (uint16_t i = 0; i < ops; i++) {
		workload_key(key, keys[i]);
		assert_int_equal(requests[i].op, op);
		assert_true(view_equal(requests[i].key, view_of(key, sizeof key)));
		assert_int_equal(requests[i].slot, slot_of_key(view_of(key, sizeof key)));
		if (op == OP_SET)
			assert_true(requests[i].value.len == value_len
			    && workload_value_is(requests[i].value.data, value_len, keys[i]));
	}
	free(slots);
}

static void
templates_say_what_they_ask_for(void **state)
{
	(void)state;
	frames_parse_as_what_they_ask_for(OP_GET, 1, 64);
	frames_parse_as_what_they_ask_for(OP_GET, 16, 64);
	frames_parse_as_what_they_ask_for(OP_SET, 1, 64);
	frames_parse_as_what_they_ask_for(OP_SET, 8, 33);
	frames_parse_as_what_they_ask_for(OP_SET, 1, 0);
}

static void
a_frame_that_would_not_fit_is_refused(void **state)
{
	struct template t;

	(void)state;
	assert_false(template_init(&t, &link_ab, 1, OP_SET, 16, 64));
	assert_false(template_init(&t, &link_ab, 1, OP_SET, 1, UDP_PAYLOAD_MAX));
}

/* RFC 1071: the sum over everything, its own field included, is all ones. */
static void
checksums_of_a_finished_frame_add_up(void **state)
{
	struct template t;
	uint8_t bytes[FRAME_LEN_MAX];
	uint16_t *slots = slots_create(KEYS);
	const uint32_t key = 5;
	uint32_t pseudo = 17;

	(void)state;
	assert_true(template_init(&t, &link_ab, 1, OP_SET, 1, 33));
	template_write(&t, bytes, 1, 2, &key, slots);
	frame_checksum(bytes, t.len);
	assert_int_equal(internet_checksum(bytes + 14, 20, 0), 0);
	pseudo += t.len - 34u;
	for (int i = 26; i < 34; i += 2)
		pseudo += load_be16(bytes + i);
	assert_int_equal(internet_checksum(bytes + 34, t.len - 34, pseudo), 0);
	free(slots);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_readable_and_distinct),
		cmocka_unit_test(one_wrong_byte_makes_a_wrong_value),
		cmocka_unit_test(a_zipf_trace_has_the_shares_of_the_law),
		cmocka_unit_test(a_uniform_trace_is_uniform),
		cmocka_unit_test(poisson_arrivals_have_their_rate_and_spread),
		cmocka_unit_test(templates_say_what_they_ask_for),
		cmocka_unit_test(a_frame_that_would_not_fit_is_refused),
		cmocka_unit_test(checksums_of_a_finished_frame_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
