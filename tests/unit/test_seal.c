/* Unit tests of lib/seal/seal: published vectors of the tag, key separation, comparing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "seal/seal.h"

static void
the_tag_is_siphash_2_4_of_128_bits(void **state)
{
	/* Vector of 15 bytes 00..0e under the key 00..0f, from the reference's test table. */
	static const uint8_t expected[16] = { 0x54, 0x93, 0xe9, 0x99, 0x33, 0xb0, 0xa8, 0x11,
		0x7e, 0x08, 0xec, 0x0f, 0x97, 0xcf, 0xc3, 0xd9 };
	struct seal_key key;
	uint8_t data[15], tag[SEAL_TAG_LEN];

	(void)state;
	for (uint8_t i = 0; i < 16; i++)
		key.bytes[i] = i;
	for (uint8_t i = 0; i < 15; i++)
		data[i] = i;
	seal_tag(&key, data, sizeof data, tag);
	assert_memory_equal(tag, expected, sizeof tag);
}

static void
another_shared_key_gives_another_tag_key(void **state)
{
	uint8_t shared[SEAL_SHARED_KEY_LEN] = { 1 };
	struct seal_key a, b, again;

	(void)state;
	seal_tag_key(&a, shared);
	seal_tag_key(&again, shared);
	shared[31] ^= 1;
	seal_tag_key(&b, shared);
	assert_memory_equal(&a, &again, sizeof a);
	assert_memory_not_equal(&a, &b, sizeof a);
	assert_memory_not_equal(&a, shared, sizeof a);
}

static void
equal_means_every_byte(void **state)
{
	uint8_t a[16] = { 0 }, b[16] = { 0 };

	(void)state;
	assert_true(seal_equal(a, b, sizeof a));
	for (size_t i = 0; i < sizeof a; i++) {
		b[i] = 1;
		assert_false(seal_equal(a, b, sizeof a));
		b[i] = 0;
	}
}

static void
random_bytes_do_not_repeat(void **state)
{
	uint8_t a[16], b[16];

	(void)state;
	assert_true(seal_start());
	seal_random(a, sizeof a);
	seal_random(b, sizeof b);
	assert_memory_not_equal(a, b, sizeof a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tag_is_siphash_2_4_of_128_bits),
		cmocka_unit_test(another_shared_key_gives_another_tag_key),
		cmocka_unit_test(equal_means_every_byte),
		cmocka_unit_test(random_bytes_do_not_repeat),
	};

	return cmocka_run_group_tests_name("seal", tests, NULL, NULL);
}
