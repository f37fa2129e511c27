/* Unit tests of lib/cluster/envelope and lib/seal/aead: who may speak, once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/envelope.h"
#include "seal/seal.h"

static struct envelope_config
config_of(uint8_t key, const char *name)
{
	struct envelope_config config = { .key_count = 1, .lives_max = 4 };

	memset(config.keys[0], key, sizeof config.keys[0]);
	snprintf(config.name, sizeof config.name, "%s", name);
	return config;
}

static size_t
seal_text(struct envelope *envelope, uint8_t *packet, const char *text)
{
	memcpy(packet + ENVELOPE_HEADER_LEN, text, strlen(text));
	return envelope_seal(envelope, packet, strlen(text), ENVELOPE_CONTROL);
}

static enum envelope_verdict
open_copy(struct envelope *envelope, const uint8_t *packet, size_t len)
{
	uint8_t copy[256], *payload;
	size_t payload_len;
	uint64_t boot;

	memcpy(copy, packet, len);
	return envelope_open(envelope, copy, len, &boot, &payload, &payload_len);
}

static void
what_is_sealed_is_opened_by_both_algorithms(void **state)
{
	(void)state;
	for (uint8_t algorithm = AEAD_NONE; algorithm <= AEAD_CHACHA20_POLY1305; algorithm++) {
		struct envelope_config config = config_of(1, "a");
		struct envelope from, to;
		uint8_t packet[256], *payload;
		size_t len, payload_len;
		uint64_t boot;

		if (algorithm && !aead_supported(algorithm))
			continue;
		config.algorithm = algorithm;
		assert_true(envelope_init(&from, &config, 77) && envelope_init(&to, &config, 78));
		len = seal_text(&from, packet, "hello");
		assert_int_equal(len, ENVELOPE_OVERHEAD_MAX + 5);
		assert_null(memmem(packet, len, "hello", 5));
		assert_int_equal(envelope_open(&to, packet, len, &boot, &payload, &payload_len), ENVELOPE_OK);
		assert_int_equal(boot, 77);
		assert_int_equal(payload_len, 5);
		assert_memory_equal(payload, "hello", 5);
		envelope_check(&to);
		envelope_deinit(&from);
		envelope_deinit(&to);
	}
}

static void
every_changed_bit_is_noticed(void **state)
{
	(void)state;
	for (int insecure = 0; insecure < 2; insecure++) {
		struct envelope_config config = config_of(1, "a");
		struct envelope from, to;
		uint8_t packet[256];
		size_t len;

		config.insecure = insecure;
		assert_true(envelope_init(&from, &config, 77) && envelope_init(&to, &config, 78));
		len = seal_text(&from, packet, "hello");
		for (size_t bit = 0; bit < len * 8; bit++) {
			packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
			assert_int_not_equal(open_copy(&to, packet, len), ENVELOPE_OK);
			packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		for (size_t cut = 0; cut < len; cut++)
			assert_int_not_equal(open_copy(&to, packet, cut), ENVELOPE_OK);
		assert_int_equal(to.life_count, 0); /* nothing is kept of strangers */
		assert_int_equal(open_copy(&to, packet, len), ENVELOPE_OK);
		envelope_deinit(&from);
		envelope_deinit(&to);
	}
}

static void
another_key_another_cluster_and_clear_text_are_refused(void **state)
{
	struct envelope_config right = config_of(1, "a"), key = config_of(2, "a"), name = config_of(1, "b"), clear = right;
	struct envelope to, from;
	uint8_t packet[256];
	enum envelope_verdict verdict;

	(void)state;
	clear.insecure = true;
	assert_true(envelope_init(&to, &right, 1));
	assert_true(envelope_init(&from, &key, 2));
	verdict = open_copy(&to, packet, seal_text(&from, packet, "x"));
	assert_true(verdict == ENVELOPE_KEY_UNKNOWN || verdict == ENVELOPE_FORGED);
	envelope_deinit(&from);
	assert_true(envelope_init(&from, &name, 2));
	assert_int_equal(open_copy(&to, packet, seal_text(&from, packet, "x")), ENVELOPE_FORGED);
	envelope_deinit(&from);
	assert_true(envelope_init(&from, &clear, 2));
	assert_int_equal(open_copy(&to, packet, seal_text(&from, packet, "long enough for a tag")), ENVELOPE_CLEAR);
	envelope_deinit(&from);
	envelope_deinit(&to);
}

static void
a_packet_is_taken_once_in_any_order_within_the_window(void **state)
{
	struct envelope_config config = config_of(1, "a");
	static uint8_t packets[ENVELOPE_WINDOW + 2][ENVELOPE_OVERHEAD_MAX + 1];
	struct envelope from, to;
	size_t len = 0;

	(void)state;
	assert_true(envelope_init(&from, &config, 7) && envelope_init(&to, &config, 8));
	for (int i = 0; i < ENVELOPE_WINDOW + 2; i++)
		len = seal_text(&from, packets[i], "x");
	for (int i = ENVELOPE_WINDOW + 1; i >= 2; i--)
		assert_int_equal(open_copy(&to, packets[i], len), ENVELOPE_OK);
	assert_int_equal(open_copy(&to, packets[1], len), ENVELOPE_REPLAYED); /* older than the window */
	for (int i = 0; i < ENVELOPE_WINDOW + 2; i++)
		assert_int_equal(open_copy(&to, packets[i], len), ENVELOPE_REPLAYED);
	envelope_check(&to);
	envelope_deinit(&from);
	envelope_deinit(&to);
}

static void
a_new_key_is_rolled_out_without_a_gap(void **state)
{
	struct envelope_config old = config_of(1, "a"), both = old, new = config_of(2, "a");
	struct envelope a, b, c;
	uint8_t packet[256];

	(void)state;
	both.key_count = 2;
	memset(both.keys[1], 2, sizeof both.keys[1]);
	assert_true(envelope_init(&a, &old, 1) && envelope_init(&b, &both, 2) && envelope_init(&c, &new, 3));
	assert_int_equal(open_copy(&b, packet, seal_text(&a, packet, "x")), ENVELOPE_OK);
	assert_int_equal(open_copy(&b, packet, seal_text(&c, packet, "x")), ENVELOPE_OK);
	assert_int_equal(open_copy(&a, packet, seal_text(&b, packet, "x")), ENVELOPE_OK);
	envelope_deinit(&a);
	envelope_deinit(&b);
	envelope_deinit(&c);
}

static void
lives_are_bounded(void **state)
{
	struct envelope_config config = config_of(1, "a");
	struct envelope from, to;
	uint8_t packet[256];

	(void)state;
	assert_true(envelope_init(&to, &config, 1000));
	for (uint64_t boot = 1; boot <= 20; boot++) {
		assert_true(envelope_init(&from, &config, boot));
		assert_int_equal(open_copy(&to, packet, seal_text(&from, packet, "x")), ENVELOPE_OK);
		envelope_check(&to);
		envelope_deinit(&from);
	}
	assert_int_equal(to.life_count, 4);
	envelope_deinit(&to);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sealed_is_opened_by_both_algorithms),
		cmocka_unit_test(every_changed_bit_is_noticed),
		cmocka_unit_test(another_key_another_cluster_and_clear_text_are_refused),
		cmocka_unit_test(a_packet_is_taken_once_in_any_order_within_the_window),
		cmocka_unit_test(a_new_key_is_rolled_out_without_a_gap),
		cmocka_unit_test(lives_are_bounded),
	};

	if (!seal_start())
		return 1;
	aead_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
