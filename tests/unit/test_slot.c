/* Unit tests of lib/ring/slot: published vectors, and the tables against the definition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/prng.h"
#include "ring/slot.h"

/* The definition, bit by bit. */
static uint16_t
crc16_by_bits(const uint8_t *data, uint32_t len)
{
	uint16_t crc = 0;

	for (uint32_t i = 0; i < len; i++) {
		crc ^= (uint16_t)(data[i] << 8);
		for (int bit = 0; bit < 8; bit++)
			crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
	}
	return crc;
}

static void
the_check_value_of_crc16_xmodem(void **state)
{
	(void)state;
	assert_int_equal(slot_crc16("123456789", 9), 0x31c3);
	assert_int_equal(slot_crc16("", 0), 0);
}

static void
slots_known_from_redis_cluster(void **state)
{
	(void)state;
	assert_int_equal(slot_of_key(view_text("123456789")), 12739);
	assert_int_equal(slot_of_key(view_text("foo")), 12182);
	assert_int_equal(slot_of_key(view_text("bar")), 5061);
	assert_int_equal(slot_of_key(view_text("hello")), 866);
}

static void
every_length_and_alignment_equals_the_definition(void **state)
{
	uint8_t bytes[KEY_LEN_MAX + 8];
	struct prng prng = { 11 };

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)prng_next(&prng);
	for (uint32_t at = 0; at < 8; at++)
		for (uint32_t len = 0; len <= KEY_LEN_MAX; len++)
			assert_int_equal(slot_crc16(bytes + at, len), crc16_by_bits(bytes + at, len));
}

static void
every_table_entry_is_used_and_right(void **state)
{
	uint8_t bytes[8] = { 0 };

	(void)state;
	for (int place = 0; place < 8; place++) {
		for (int value = 0; value < 256; value++) {
			bytes[place] = (uint8_t)value;
			assert_int_equal(slot_crc16(bytes, 8), crc16_by_bits(bytes, 8));
		}
		bytes[place] = 0;
	}
}

static void
keys_of_one_tag_share_their_slot(void **state)
{
	(void)state;
	assert_int_equal(slot_of_key(view_text("{user1000}.following")), slot_of_key(view_text("user1000")));
	assert_int_equal(slot_of_key(view_text("{user1000}.followers")), slot_of_key(view_text("user1000")));
	assert_int_equal(slot_of_key(view_text("a{b}c")), slot_of_key(view_text("b")));
}

static void
the_first_tag_counts_and_an_empty_one_does_not(void **state)
{
	const struct {
		const char *key, *part;
	} cases[] = {
		{ "foo{}{bar}", "foo{}{bar}" }, { "foo{{bar}}zap", "{bar" }, { "foo{bar}{zap}", "bar" },
		{ "{", "{" }, { "}", "}" }, { "}{", "}{" }, { "{}", "{}" }, { "a{b", "a{b" },
		{ "a}b{c}", "c" }, { "{x}", "x" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_true(view_equal(slot_hashed_part(view_text(cases[i].key)), view_text(cases[i].part)));
}

static void
slots_spread_evenly(void **state)
{
	static uint32_t hits[SLOT_COUNT];
	char key[32];

	(void)state;
	for (int i = 0; i < 64 * SLOT_COUNT; i++) {
		snprintf(key, sizeof key, "key:%d", i);
		hits[slot_of_key(view_text(key))]++;
	}
	for (int i = 0; i < SLOT_COUNT; i++)
		assert_in_range(hits[i], 16, 160);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_check_value_of_crc16_xmodem),
		cmocka_unit_test(slots_known_from_redis_cluster),
		cmocka_unit_test(every_length_and_alignment_equals_the_definition),
		cmocka_unit_test(every_table_entry_is_used_and_right),
		cmocka_unit_test(keys_of_one_tag_share_their_slot),
		cmocka_unit_test(the_first_tag_counts_and_an_empty_one_does_not),
		cmocka_unit_test(slots_spread_evenly),
	};

	return cmocka_run_group_tests_name("slot", tests, NULL, NULL);
}
