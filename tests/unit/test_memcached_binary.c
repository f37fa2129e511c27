/* memcached's binary protocol over a connection: the same packets in any portions give the same answers; who may come in. */
#include "proto/memcached_binary.h"
#include "tests/support/pass_driver.h"

struct bytes {
	uint8_t at[1 << 22];
	uint32_t len;
};

static void
add(struct bytes *out, const void *data, uint32_t len)
{
	if (len > 0)
		memcpy(out->at + out->len, data, len);
	out->len += len;
}

/* A request, or with magic 0x81 an answer: `status` is its status then. */
static void
packet(struct bytes *out, uint8_t magic, uint8_t opcode, uint16_t status, uint32_t opaque, struct view extras, struct view key,
    struct view value)
{
	uint8_t header[BINARY_HEADER_LEN] = { magic, opcode };

	store_be16(header + 2, (uint16_t)key.len);
	header[4] = (uint8_t)extras.len;
	store_be16(header + 6, status);
	store_be32(header + 8, extras.len + key.len + value.len);
	store_be32(header + 12, opaque);
	add(out, header, sizeof header);
	add(out, extras.data, extras.len);
	add(out, key.data, key.len);
	add(out, value.data, value.len);
}

#define V(text) view_of(text, sizeof text - 1)

static void
ask(struct bytes *out, uint8_t opcode, uint32_t opaque, struct view extras, struct view key, struct view value)
{
	packet(out, MEMCACHED_BINARY_MAGIC, opcode, 0, opaque, extras, key, value);
}

/* CAS values are the node's to choose: the answers' are taken out. */
static void
expect(const char *name, const struct bytes *sent, const struct bytes *answered, bool closes, const char *password)
{
	static const uint32_t most[] = { 0, 1, 7, 1000, 70000 };
	static struct bytes got;
	struct prng prng = { 7 };

	for (uint32_t i = sent->len > 100000 ? 3 : 0; i < 5; i++) {
		struct pass_driver d;

		rig_start(1, NULL);
		driver_open(&d, &memcached_stream_protocol);
		d.facts.password = password;
		for (uint32_t at = 0; at < sent->len && !d.closed;) {
			uint32_t part = most[i] == 0 ? sent->len : 1 + (uint32_t)prng_below(&prng, most[i]);

			if (part > sent->len - at)
				part = sent->len - at;
			driver_feed(&d, sent->at + at, part, false);
			at += part;
		}
		got.len = d.out.len;
		assert_true(got.len <= sizeof got.at);
		outq_read(&d.out, 0, got.at, got.len);
		for (uint32_t at = 0; at + BINARY_HEADER_LEN <= got.len; at += BINARY_HEADER_LEN + load_be32(got.at + at + 8))
			memset(got.at + at + 16, 0, 8);
		if (got.len != answered->len || memcmp(got.at, answered->at, got.len) != 0 || d.closed != closes)
			fail_msg("%s, in portions of %u: %u bytes for %u%s", name, most[i], got.len, answered->len,
			    d.closed ? ", closed" : "");
		driver_close(&d);
		rig_stop();
	}
}

static struct bytes sent, answered;

static void
answer(uint8_t opcode, uint16_t status, uint32_t opaque, struct view extras, struct view key, struct view value)
{
	packet(&answered, BINARY_RESPONSE_MAGIC, opcode, status, opaque, extras, key, value);
}

static void
start(void)
{
	sent.len = answered.len = 0;
}

static void
packets_in_portions(void **state)
{
	struct view none = { NULL, 0 }, zeros = V("\0\0\0\0\0\0\0\0");

	(void)state;
	start();
	ask(&sent, BINARY_SET, 1, V("\0\0\0\5\0\0\0\0"), V("k"), V("value"));
	answer(BINARY_SET, 0, 1, none, none, none);
	ask(&sent, BINARY_SETQ, 2, zeros, V("n"), V("10"));
	ask(&sent, BINARY_GET, 3, none, V("k"), none);
	answer(BINARY_GET, 0, 3, V("\0\0\0\5"), none, V("value"));
	ask(&sent, BINARY_GETKQ, 4, none, V("n"), none);
	answer(BINARY_GETKQ, 0, 4, V("\0\0\0\0"), V("n"), V("10"));
	ask(&sent, BINARY_GETKQ, 5, none, V("none"), none);
	ask(&sent, BINARY_GETK, 6, none, V("none"), none);
	answer(BINARY_GETK, 1, 6, none, V("none"), none);
	ask(&sent, BINARY_GET, 7, none, V("none"), none);
	answer(BINARY_GET, 1, 7, none, none, V("Not found"));
	ask(&sent, BINARY_INCREMENT, 8, V("\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0\0\0\0\0\0"), V("n"), none);
	answer(BINARY_INCREMENT, 0, 8, none, none, V("\0\0\0\0\0\0\0\17"));
	ask(&sent, BINARY_DECREMENT, 9, V("\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0\1\377\377\377\377"), V("m"), none);
	answer(BINARY_DECREMENT, 1, 9, none, none, V("Not found"));
	ask(&sent, BINARY_INCREMENT, 10, V("\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0\0\0\0\0\0"), V("k"), none);
	answer(BINARY_INCREMENT, 6, 10, none, none, V("Non-numeric server-side value for incr or decr"));
	ask(&sent, BINARY_ADD, 11, zeros, V("k"), V("x"));
	answer(BINARY_ADD, 2, 11, none, none, V("Data exists for key."));
	ask(&sent, BINARY_REPLACE, 12, zeros, V("none"), V("x"));
	answer(BINARY_REPLACE, 1, 12, none, none, V("Not found"));
	ask(&sent, BINARY_APPEND, 13, none, V("none"), V("x"));
	answer(BINARY_APPEND, 5, 13, none, none, V("Not stored."));
	ask(&sent, BINARY_PREPENDQ, 14, none, V("k"), V("a "));
	ask(&sent, BINARY_GATK, 15, V("\0\0\0\0"), V("k"), none);
	answer(BINARY_GATK, 0, 15, V("\0\0\0\5"), V("k"), V("a value"));
	ask(&sent, BINARY_TOUCH, 16, V("\0\0\0\11"), V("k"), none);
	answer(BINARY_TOUCH, 0, 16, V("\0\0\0\5"), none, none);
	ask(&sent, BINARY_DELETE, 17, none, V("k"), none);
	answer(BINARY_DELETE, 0, 17, none, none, none);
	ask(&sent, BINARY_DELETEQ, 18, none, V("k"), none);
	answer(BINARY_DELETEQ, 1, 18, none, none, V("Not found"));
	ask(&sent, 0x40, 19, none, none, V("to be skipped"));
	answer(0x40, 0x81, 19, none, none, V("Unknown command"));
	ask(&sent, BINARY_FLUSHQ, 20, none, none, none);
	ask(&sent, BINARY_SASL_LIST, 21, none, none, none);
	answer(BINARY_SASL_LIST, 0x81, 21, none, none, V("Unknown command"));
	ask(&sent, BINARY_NOOP, 22, none, none, none);
	answer(BINARY_NOOP, 0, 22, none, none, none);
	ask(&sent, BINARY_QUIT, 23, none, none, none);
	answer(BINARY_QUIT, 0, 23, none, none, none);
	ask(&sent, BINARY_NOOP, 24, none, none, none);
	expect("all kinds", &sent, &answered, true, NULL);
}

static void
large_values(void **state)
{
	static uint8_t value[(1 << 20) + 1];
	struct view none = { NULL, 0 }, zeros = V("\0\0\0\0\0\0\0\0");

	(void)state;
	for (uint32_t i = 0; i < sizeof value; i++)
		value[i] = (uint8_t)(i % 251);
	for (uint32_t len = 1024; len <= 1 << 20; len *= 32) {
		start();
		ask(&sent, BINARY_NOOP, 1, none, none, none);
		answer(BINARY_NOOP, 0, 1, none, none, none);
		ask(&sent, BINARY_SET, 2, zeros, V("k"), view_of(value, len));
		answer(BINARY_SET, 0, 2, none, none, none);
		ask(&sent, BINARY_SETQ, 3, zeros, V("q"), view_of(value, len));
		ask(&sent, BINARY_GETK, 4, none, V("q"), none);
		answer(BINARY_GETK, 0, 4, V("\0\0\0\0"), V("q"), view_of(value, len));
		expect("large", &sent, &answered, false, NULL);
	}
	start();
	ask(&sent, BINARY_SETQ, 2, zeros, V("k"), V("x"));
	ask(&sent, BINARY_SETQ, 2, zeros, V("k"), view_of(value, sizeof value));
	answer(BINARY_SETQ, 3, 2, none, none, V("Too large."));
	ask(&sent, BINARY_GET, 3, none, V("k"), none);
	answer(BINARY_GET, 1, 3, none, none, V("Not found"));
	ask(&sent, BINARY_APPEND, 4, none, V("k"), view_of(value, sizeof value));
	answer(BINARY_APPEND, 3, 4, none, none, V("Too large."));
	ask(&sent, BINARY_NOOP, 5, none, none, none);
	answer(BINARY_NOOP, 0, 5, none, none, none);
	expect("too large", &sent, &answered, false, NULL);
}

/* What a wrong packet is answered with before the connection ends. */
static void
ends(const char *name, uint16_t status, const char *text)
{
	if (text)
		answer(sent.at[1], status, 9, view_of(NULL, 0), view_of(NULL, 0), view_text(text));
	ask(&sent, BINARY_NOOP, 10, view_of(NULL, 0), view_of(NULL, 0), view_of(NULL, 0));
	expect(name, &sent, &answered, true, NULL);
	start();
}

static void
wrong_packets_end_the_connection(void **state)
{
	static uint8_t key[300];
	struct view none = { NULL, 0 };

	(void)state;
	start();
	ask(&sent, BINARY_GET, 9, none, none, none);
	ends("no key", 4, "Invalid arguments");
	ask(&sent, BINARY_GET, 9, none, V("k"), V("v"));
	ends("a value", 4, "Invalid arguments");
	ask(&sent, BINARY_SET, 9, V("\0\0\0\0"), V("k"), V("v"));
	ends("short extras", 4, "Invalid arguments");
	ask(&sent, BINARY_GET, 9, none, view_of(key, 251), none);
	ends("long key", 4, "Invalid arguments");
	ask(&sent, BINARY_GET, 9, none, V("k"), none);
	sent.at[11] = 0;
	ends("less body than key", 0x81, "Unknown command");
	ask(&sent, BINARY_NOOP, 1, none, none, none);
	answer(BINARY_NOOP, 0, 1, none, none, none);
	packet(&sent, 0x81, BINARY_NOOP, 0, 2, none, none, none);
	ends("an answer", 0, NULL);
}

static void
who_knows_the_password_may_come_in(void **state)
{
	struct view none = { NULL, 0 };
	const struct {
		struct view challenge;
		const char *password;
		bool passes;
	} tries[] = {
		{ V("\0ada\0lovelace"), "ada:lovelace", true }, { V("who\0ada\0lovelace"), "ada:lovelace", true },
		{ V("\0bob\0lovelace"), "ada:lovelace", false }, { V("\0ada\0lovelac"), "ada:lovelace", false },
		{ V("\0ada\0lovelace1"), "ada:lovelace", false }, { V("\0ada\0"), "ada:lovelace", false },
		{ V("ada:lovelace"), "ada:lovelace", false }, { V("\0\0"), "ada:lovelace", false }, { V("\0"), "ada:lovelace", false },
		{ V("\0anyone\0secret"), "secret", true }, { V("\0anyone\0secres"), "secret", false }, { V("\0\0a:b"), ":a:b", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
		bool passes = tries[i].passes;

		start();
		ask(&sent, BINARY_SASL_LIST, 1, none, none, none);
		answer(BINARY_SASL_LIST, 0, 1, none, none, V("PLAIN"));
		ask(&sent, BINARY_SASL_STEP, 2, none, V("PLAIN"), tries[i].challenge);
		answer(BINARY_SASL_STEP, 0x20, 2, none, none, V("Auth failure."));
		ask(&sent, BINARY_SASL_AUTH, 3, none, V("PLAIN"), tries[i].challenge);
		answer(BINARY_SASL_AUTH, passes ? 0 : 0x20, 3, none, none, passes ? V("Authenticated") : V("Auth failure."));
		ask(&sent, BINARY_NOOP, 4, none, none, none);
		answer(BINARY_NOOP, passes ? 0 : 0x20, 4, none, none, passes ? none : V("Auth failure."));
		expect("at once", &sent, &answered, !passes, tries[i].password);
		start();
		ask(&sent, BINARY_SASL_AUTH, 1, none, V("PLAIN"), none);
		answer(BINARY_SASL_AUTH, 0x21, 1, none, none, none);
		ask(&sent, BINARY_SASL_STEP, 2, none, V("PLAIN"), tries[i].challenge);
		answer(BINARY_SASL_STEP, passes ? 0 : 0x20, 2, none, none, passes ? V("Authenticated") : V("Auth failure."));
		expect("in two steps", &sent, &answered, false, tries[i].password);
		start();
		ask(&sent, BINARY_SASL_AUTH, 1, none, V("CRAM-MD5"), tries[i].challenge);
		answer(BINARY_SASL_AUTH, 0x20, 1, none, none, V("Auth failure."));
		expect("another mechanism", &sent, &answered, false, tries[i].password);
	}
	start();
	add(&sent, "mn\r\n", 4);
	expect("text", &sent, &answered, true, "secret");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_in_portions),
		cmocka_unit_test(large_values),
		cmocka_unit_test(wrong_packets_end_the_connection),
		cmocka_unit_test(who_knows_the_password_may_come_in),
	};

	return cmocka_run_group_tests_name("memcached binary", tests, NULL, NULL);
}
