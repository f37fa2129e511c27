/*
 * Unit tests of lib/serve/admit and of what serve_parse does with it: cookies, boots,
 * tags, prefixes; no source gets more bytes than it sent before it is proven.
 */
#include "serve/admit.h"
#include "seal/seal.h"
#include "tests/unit/serve_rig.h"

static const uint8_t secret[16] = "the node's one.";

static struct endpoint
peer_of(const char ipv4[4], uint16_t port)
{
	struct endpoint peer = { .port = port };

	endpoint_map_ipv4(peer.ip, ipv4);
	return peer;
}

static void
a_cookie_proves_one_address_and_port(void **state)
{
	struct endpoint peer = peer_of("\x0a\0\0\1", 40000), port = peer, ip = peer;
	struct now now = { .mono_ns = 5 * ADMIT_PERIOD_NS };
	struct admit admit;
	uint64_t cookie;

	(void)state;
	admit_init(&admit, secret, 0xb007);
	admit_turn(&admit, &now);
	cookie = admit_cookie(&admit, &peer);
	assert_int_equal(native_cookie_boot(cookie), 0xb007);
	assert_true(admit_proves(&admit, &peer, cookie));
	port.port++;
	ip.ip[15]++;
	assert_false(admit_proves(&admit, &port, cookie));
	assert_false(admit_proves(&admit, &ip, cookie));
	for (int bit = 0; bit < 64; bit++)
		assert_false(admit_proves(&admit, &peer, cookie ^ 1ull << bit));
}

static void
a_cookie_lives_to_the_end_of_the_next_period(void **state)
{
	struct endpoint peer = peer_of("\x0a\0\0\1", 40000);
	struct now now = { .mono_ns = 5 * ADMIT_PERIOD_NS };
	struct admit giver, other;
	uint64_t cookie;

	(void)state;
	admit_init(&giver, secret, 1);
	admit_init(&other, secret, 1); /* another worker of the node */
	admit_turn(&giver, &now);
	cookie = admit_cookie(&giver, &peer);
	now.mono_ns += 2 * ADMIT_PERIOD_NS - 1;
	admit_turn(&other, &now);
	assert_true(admit_proves(&other, &peer, cookie));
	assert_int_not_equal(admit_cookie(&other, &peer), cookie);
	now.mono_ns += 1;
	admit_turn(&other, &now);
	assert_false(admit_proves(&other, &peer, cookie));
}

static void
prefixes_compare_their_bits_only(void **state)
{
	struct serve_prefix prefixes[] = {
		{ { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 128, 0 }, 96 + 17 },
		{ { 0xfd }, 8 },
	};
	struct endpoint in = peer_of("\x0a\x01\xff\x01", 1), out = peer_of("\x0a\x01\x7f\x01", 1);
	uint8_t ula[16] = { 0xfd, 1, 2, 3 };

	(void)state;
	assert_true(admit_listed(prefixes, 2, in.ip));
	assert_false(admit_listed(prefixes, 2, out.ip));
	assert_true(admit_listed(prefixes, 2, ula));
	assert_false(admit_listed(prefixes, 1, ula));
	assert_false(admit_listed(prefixes, 0, in.ip));
}

static int
stop(void **state)
{
	(void)state;
	rig_stop();
	return 0;
}

static int
one_worker(void **state)
{
	(void)state;
	rig_start(1, NULL);
	return 0;
}

static int
several_workers(void **state)
{
	(void)state;
	rig_start(3, NULL);
	return 0;
}

/* The only reply's header; checks that it is no longer than the frame that was sent. */
static struct native_header
only_refusal(void)
{
	struct native_header header = { 0 };

	assert_int_equal(rig.reply_count, 1);
	assert_true(native_header_parse(view_of(rig.replies[0].payload, rig.replies[0].len), &header));
	assert_true(rig.replies[0].len <= rig_frame_len());
	return header;
}

static void
an_unproven_frame_is_challenged_and_not_executed(void **state)
{
	struct native_header header;

	(void)state;
	rig_frame();
	rig_add(rig_set("a", "v"));
	rig_send_frame(0);
	rig_settle();
	header = only_refusal();
	assert_int_equal(header.error, OP_STATUS_UNPROVEN);
	assert_int_equal(rig_counter(COUNTER_CMD_SET), 0);
	assert_int_equal(rig_counter(COUNTER_CHALLENGES), 1);
	rig.header.cookie = header.cookie;
	assert_int_equal(rig_do(0, rig_set("a", "v")).status, OP_STATUS_OK);
	rig.peer.port++; /* the same cookie from another port */
	rig_clear();
	rig_send_frame(0);
	rig_settle();
	assert_int_equal(only_refusal().error, OP_STATUS_UNPROVEN);
}

static void
a_cookie_of_another_boot_is_told_so(void **state)
{
	struct native_header header;

	(void)state;
	rig_prove();
	rig.header.cookie ^= 1ull << 50;
	rig_frame();
	rig_add(rig_set("a", "v"));
	rig_send_frame(0);
	rig_settle();
	header = only_refusal();
	assert_int_equal(header.error, OP_STATUS_STALE_BOOT);
	assert_int_equal(header.flags & NATIVE_FLAG_CHALLENGE, NATIVE_FLAG_CHALLENGE);
	assert_int_equal(rig_counter(COUNTER_CMD_SET), 0);
	rig.header.cookie = header.cookie;
	assert_int_equal(rig_do(0, rig_set("a", "v")).status, OP_STATUS_OK);
}

/* The answer of a write whose number and first boot are given. */
static struct native_result
repeat_incr(uint64_t sequence, uint16_t boot)
{
	rig.header.sequence = sequence;
	rig.header.boot = boot;
	rig.header.window = 0;
	return rig_do(1, (struct request){ .op = OP_INCR, .key = view_text("n"), .slot = NATIVE_SLOT_NONE, .delta = 1 });
}

static void
a_write_that_another_boot_may_have_run_is_not_run(void **state)
{
	struct native_result result;

	(void)state;
	rig_prove();
	assert_int_equal(rig_do(0, rig_set("n", "0")).status, OP_STATUS_OK);
	assert_int_equal(repeat_incr(2000, 0xb007 + 1).status, OP_STATUS_STALE_BOOT);
	result = repeat_incr(2000, 0xb007 + 1);
	assert_int_equal(result.status, OP_STATUS_STALE_BOOT);
	assert_int_equal(result.version, 0xb007);
	result = repeat_incr(2000, (uint16_t)result.version); /* nobody ran it, so it may go to this boot */
	assert_int_equal(result.status, OP_STATUS_OK);
	assert_int_equal(result.number, 1);
	result = repeat_incr(2000, 0xb007 + 1); /* remembered: answered, whatever the boot */
	assert_int_equal(result.status, OP_STATUS_OK);
	assert_int_equal(result.number, 1);
	result = repeat_incr(2001, 0);
	assert_int_equal(result.number, 2);
	rig.header.boot = 1;
	assert_int_equal(rig_do(0, rig_request(OP_GET, "n")).status, OP_STATUS_OK); /* reads may go anywhere */
}

static void
every_reply_brings_a_fresh_cookie(void **state)
{
	struct native_header header;

	(void)state;
	rig_prove();
	for (int period = 0; period < 5; period++) {
		rig.now.mono_ns += ADMIT_PERIOD_NS;
		rig_do(0, rig_request(OP_PING, ""));
		native_header_parse(view_of(rig.replies[0].payload, rig.replies[0].len), &header);
		assert_int_not_equal(header.cookie, rig.header.cookie);
		rig.header.cookie = header.cookie;
	}
}

static void
malformed_frames_get_an_error_only_when_proven(void **state)
{
	(void)state;
	rig_frame();
	rig_add(rig_set("a", "v"));
	native_header_compose(&rig.header, rig.frame);
	rig.frame[5] = 1; /* a request has no error */
	rig_send(0, SERVICE_NATIVE, rig.frame, rig_frame_len());
	rig_send(0, SERVICE_NATIVE, rig.frame, 12);
	rig_send(0, SERVICE_NATIVE, "GET / HTTP/1.1", 14);
	rig_settle();
	assert_int_equal(rig.reply_count, 0);
	assert_int_equal(rig_drops(DROP_NATIVE_HEADER), 3);
	rig_prove();
	rig_frame();
	rig_add(rig_set("a", "v"));
	native_header_compose(&rig.header, rig.frame);
	rig.frame[5] = 1;
	rig_send(0, SERVICE_NATIVE, rig.frame, rig_frame_len());
	rig_settle();
	assert_int_equal(only_refusal().error, OP_STATUS_BAD_REQUEST);
	rig_clear();
	rig.frame[2] = 9;
	rig_send(0, SERVICE_NATIVE, rig.frame, rig_frame_len());
	rig_settle();
	assert_int_equal(only_refusal().error, OP_STATUS_UNSUPPORTED_VERSION);
	assert_int_equal(rig_counter(COUNTER_CMD_SET), 0);
}

static void
with_a_shared_key(struct serve_config *config)
{
	memset(config->shared_key, 0x5a, sizeof config->shared_key);
	config->require_auth = true;
}

static int
one_worker_with_a_key(void **state)
{
	(void)state;
	rig_start(1, with_a_shared_key);
	return 0;
}

/* Sends the frame with a tag under a shared key of `byte`s. */
static void
send_tagged(uint8_t byte)
{
	uint8_t shared[SEAL_SHARED_KEY_LEN];
	struct seal_key key;
	uint16_t len = rig_frame_len();

	memset(shared, byte, sizeof shared);
	seal_tag_key(&key, shared);
	rig.header.flags = NATIVE_FLAG_AUTH;
	native_header_compose(&rig.header, rig.frame);
	seal_tag(&key, rig.frame, len, rig.frame + len);
	rig.out.at += SEAL_TAG_LEN;
	rig_send(0, SERVICE_NATIVE, rig.frame, rig_frame_len());
	rig_settle();
	rig.out.at -= SEAL_TAG_LEN;
}

static void
assert_tagged(const struct rig_reply *reply)
{
	uint8_t shared[SEAL_SHARED_KEY_LEN], tag[SEAL_TAG_LEN];
	struct seal_key key;

	memset(shared, 0x5a, sizeof shared);
	seal_tag_key(&key, shared);
	seal_tag(&key, reply->payload, reply->len - SEAL_TAG_LEN, tag);
	assert_memory_equal(tag, reply->payload + reply->len - SEAL_TAG_LEN, SEAL_TAG_LEN);
}

static void
with_a_key_only_tagged_frames_are_served_and_replies_are_tagged(void **state)
{
	struct native_header header;

	(void)state;
	rig_frame();
	rig_add(rig_set("a", "v"));
	rig_send_frame(0); /* no tag */
	rig_settle();
	send_tagged(0x5b);
	assert_int_equal(rig.reply_count, 0);
	assert_int_equal(rig_drops(DROP_NATIVE_AUTH), 2);
	send_tagged(0x5a);
	assert_int_equal(rig.reply_count, 1);
	assert_tagged(&rig.replies[0]);
	assert_true(native_header_parse(view_of(rig.replies[0].payload, rig.replies[0].len), &header));
	assert_int_equal(header.error, OP_STATUS_UNPROVEN);
	rig.header.cookie = header.cookie;
	rig_clear();
	send_tagged(0x5a);
	assert_int_equal(rig.reply_count, 1);
	assert_tagged(&rig.replies[0]);
	assert_int_equal(rig_counter(COUNTER_CMD_SET), 1);
}

static void
only_ours(struct serve_config *config)
{
	endpoint_map_ipv4(config->memcached_allow[0].ip, "\x0a\0\0\0");
	config->memcached_allow[0].bits = 96 + 8;
	config->memcached_allow_count = 1;
}

static int
one_worker_for_memcached(void **state)
{
	(void)state;
	rig_start(1, only_ours);
	return 0;
}

static void
memcached_is_for_listed_sources(void **state)
{
	static const char get[] = "\0\1\0\0\0\1\0\0get a\r\n";

	(void)state;
	rig_send(0, SERVICE_MEMCACHED, get, sizeof get - 1);
	rig_settle();
	assert_int_equal(rig.reply_count, 1);
	assert_memory_equal(rig.replies[0].payload + 8, "END\r\n", 5);
	rig.peer.ip[12] = 11;
	rig_send(0, SERVICE_MEMCACHED, get, sizeof get - 1);
	rig_settle();
	assert_int_equal(rig.reply_count, 1);
	assert_int_equal(rig_drops(DROP_MEMCACHED_SOURCE), 1);
	rig.peer.ip[12] = 10;
	rig_send(0, SERVICE_MEMCACHED, get, 7);
	rig_settle();
	assert_int_equal(rig.reply_count, 1);
	assert_int_equal(rig_drops(DROP_MEMCACHED_HEADER), 1);
}

/* Good frames with some bytes changed, or cut short. */
static void
no_unproven_frame_gets_more_than_it_sent(void **state)
{
	struct prng prng = { 0x5eed };

	(void)state;
	printf("seed %#llx\n", (unsigned long long)prng.state);
	for (int i = 0; i < 20000; i++) {
		uint16_t len;

		rig_clear();
		rig_frame();
		rig_add(rig_set("a", "v"));
		rig_add(rig_request(OP_STATS, ""));
		native_header_compose(&rig.header, rig.frame);
		len = rig_frame_len();
		for (uint64_t changes = prng_below(&prng, 3); changes > 0; changes--)
			rig.frame[2 + prng_below(&prng, len - 2)] = (uint8_t)prng_next(&prng);
		if (prng_below(&prng, 3) == 0)
			len = (uint16_t)prng_below(&prng, len + 1);
		rig_send(0, SERVICE_NATIVE, rig.frame, len);
		rig_settle();
		assert_true(rig.reply_count <= 1);
		if (rig.reply_count == 1)
			assert_true(rig.replies[0].len <= len);
	}
	assert_int_equal(rig_counter(COUNTER_CMD_SET), 0);
	assert_true(rig_counter(COUNTER_CHALLENGES) > 5000);
	assert_true(rig_drops(DROP_NATIVE_HEADER) > 5000);
}

int
main(void)
{
#define RIG(test, setup) cmocka_unit_test_setup_teardown(test, setup, stop)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cookie_proves_one_address_and_port),
		cmocka_unit_test(a_cookie_lives_to_the_end_of_the_next_period),
		cmocka_unit_test(prefixes_compare_their_bits_only),
		RIG(an_unproven_frame_is_challenged_and_not_executed, one_worker),
		RIG(a_cookie_of_another_boot_is_told_so, one_worker),
		RIG(a_write_that_another_boot_may_have_run_is_not_run, several_workers),
		RIG(every_reply_brings_a_fresh_cookie, one_worker),
		RIG(malformed_frames_get_an_error_only_when_proven, one_worker),
		RIG(with_a_key_only_tagged_frames_are_served_and_replies_are_tagged, one_worker_with_a_key),
		RIG(memcached_is_for_listed_sources, one_worker_for_memcached),
		RIG(no_unproven_frame_gets_more_than_it_sent, one_worker),
	};

	return cmocka_run_group_tests_name("admit", tests, NULL, NULL);
}
