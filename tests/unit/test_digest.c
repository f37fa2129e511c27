/*
 * Unit tests of lib/seal/digest: against libsodium's SipHash-2-4, and vectors of
 * 1-3 from elsewhere: with a zero secret CPython 3.11's hash() of bytes under
 * PYTHONHASHSEED=0, the rest from a separate implementation that agrees with it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sodium.h>

#include "seal/digest.h"

static void
with_2_and_4_rounds_it_is_what_libsodium_computes(void **state)
{
	uint8_t secret[16], data[100];

	(void)state;
	for (uint8_t i = 0; i < sizeof secret; i++)
		secret[i] = (uint8_t)(i * 7);
	for (uint8_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 13);
	for (size_t len = 0; len <= sizeof data; len++) {
		unsigned char expected[8];

		crypto_shorthash(expected, data, len, secret);
		assert_true(digest_sip(secret, data, len, 2, 4) == load_le64(expected));
	}
}

static void
with_1_and_3_rounds_it_is_the_published_vector(void **state)
{
	static const uint8_t expected[8] = { 0xdc, 0xc4, 0x0f, 0x05, 0x58, 0x01, 0xac, 0xab };
	uint8_t secret[16];

	(void)state;
	for (uint8_t i = 0; i < sizeof secret; i++)
		secret[i] = i;
	assert_true(digest_siphash13(secret, "", 0) == load_le64(expected));
}

static void
with_1_and_3_rounds_it_agrees_with_python_under_a_zero_secret(void **state)
{
	const uint8_t zero[16] = { 0 };
	const struct {
		const char *text;
		uint64_t digest;
	} cases[] = {
		{ "a", 0x407448d2b89b1813 },
		{ "hello", 0xe2e77b41cb4e1f9e },
		{ "12345678", 0x3489982430560a87 },
		{ "a longer key, of more than 16 bytes", 0xa6c12cf44287ec16 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_true(digest_siphash13(zero, cases[i].text, strlen(cases[i].text)) == cases[i].digest);
}

static void
with_1_and_3_rounds_every_kind_of_length_agrees_with_a_second_implementation(void **state)
{
	const struct {
		size_t len;
		uint64_t digest;
	} cases[] = {
		{ 1, 0xc9f49bf37d57ca93 },
		{ 7, 0xd3927d989bb11140 },
		{ 8, 0x369095118d299a8e },
		{ 15, 0xd320d86d2a519956 },
		{ 16, 0xcc4fdd1a7d908b66 },
		{ 63, 0x9d199062b7bbb3a8 },
		{ 250, 0x4cfb9e1ed3073560 },
	};
	uint8_t data[250];

	(void)state;
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_true(digest_siphash13(data, data, cases[i].len) == cases[i].digest);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_2_and_4_rounds_it_is_what_libsodium_computes),
		cmocka_unit_test(with_1_and_3_rounds_it_is_the_published_vector),
		cmocka_unit_test(with_1_and_3_rounds_it_agrees_with_python_under_a_zero_secret),
		cmocka_unit_test(with_1_and_3_rounds_every_kind_of_length_agrees_with_a_second_implementation),
	};

	return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
