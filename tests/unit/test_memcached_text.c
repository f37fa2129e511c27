/* Unit tests of memcached's lines, tokens and numbers; numbers beside the C library's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/prng.h"
#include "proto/memcached_text.h"

static struct view
line_at(struct view text, uint32_t at, uint32_t *next)
{
	struct view line;

	assert_true(memcached_text_line(text, at, &line, next));
	return line;
}

static void
a_line_ends_at_lf_cr_or_nul(void **state)
{
	const char bytes[] = "one\r\ntwo\n\r\n\nthree\0rest\r\nfour\r five";
	struct view text = view_of(bytes, sizeof bytes - 1), line;
	uint32_t at = 0;

	(void)state;
	assert_true(view_equal(line_at(text, at, &at), view_text("one")));
	assert_true(view_equal(line_at(text, at, &at), view_text("two")));
	assert_true(view_equal(line_at(text, at, &at), view_text("\r"))); /* a line that is but CR keeps it */
	assert_int_equal(line_at(text, at, &at).len, 0);
	assert_true(view_equal(line_at(text, at, &at), view_text("three")));
	assert_false(memcached_text_line(text, at, &line, &at)); /* no LF any more */
	assert_false(memcached_text_line(text, text.len, &line, &at));
}

static void
tokens_are_cut_at_blanks_only_and_23_at_a_time(void **state)
{
	struct memcached_tokens tokens;
	char many[200] = "";

	(void)state;
	memcached_text_tokens(view_text("  a  b\tc   d "), &tokens);
	assert_int_equal(tokens.count, 3);
	assert_true(memcached_text_is(tokens.at[1], "b\tc"));
	assert_int_equal(tokens.rest.len, 0);
	memcached_text_tokens(view_text("   "), &tokens);
	assert_int_equal(tokens.count, 0);
	for (int i = 0; i < 30; i++)
		strcat(many, i < 23 ? "x " : " yy");
	memcached_text_tokens(view_text(many), &tokens);
	assert_int_equal(tokens.count, 23);
	memcached_text_tokens(tokens.rest, &tokens);
	assert_int_equal(tokens.count, 7);
	assert_true(memcached_text_is(tokens.at[0], "yy"));
}

/* Whether the library takes the text, and nothing but white space follows its digits. */
static bool
ended(const char *text, const char *end)
{
	return errno != ERANGE && end != text && (*end == '\0' || isspace((unsigned char)*end));
}

static void
compare_with_the_library(const char *text)
{
	struct view token = view_text(text);
	uint64_t u64;
	uint32_t u32;
	int32_t i32;
	char *end;
	unsigned long long expected;
	long signed_expected;
	bool taken;

	errno = 0;
	expected = strtoull(text, &end, 10);
	taken = ended(text, end) && !((long long)expected < 0 && strchr(text, '-'));
	assert_int_equal(memcached_text_u64(token, &u64), taken);
	assert_int_equal(memcached_text_u32(token, &u32), taken);
	if (taken)
		assert_true(u64 == expected && u32 == (uint32_t)expected);
	errno = 0;
	signed_expected = strtol(text, &end, 10);
	taken = ended(text, end);
	assert_int_equal(memcached_text_i32(token, &i32), taken);
	if (taken)
		assert_int_equal(i32, (int32_t)signed_expected);
}

static void
numbers_are_what_the_library_makes_of_them(void **state)
{
	static const char *const edges[] = { "", "0", "-0", "+", "-", "+-1", "18446744073709551615", "18446744073709551616",
		"-18446744073709551615", "-18446744073709551616", "9223372036854775807", "9223372036854775808",
		"-9223372036854775808", "-9223372036854775809", "4294967296", "2147483648", "\v\f\n 7", "7\rx-", "0x10",
		"9223372036854775808\t-", "00000000000000000000000000000001" };
	struct prng prng = { 20 };
	char text[30];

	(void)state;
	for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++)
		compare_with_the_library(edges[i]);
	for (int i = 0; i < 200000; i++) {
		uint32_t len = (uint32_t)prng_below(&prng, sizeof text);

		for (uint32_t j = 0; j < len; j++)
			text[j] = prng_below(&prng, 12) ? "0123456789"[prng_below(&prng, 10)] : "+-\t x\r"[prng_below(&prng, 6)];
		text[len] = '\0';
		compare_with_the_library(text);
	}
}

static void
an_exptime_is_never_relative_past_or_a_date(void **state)
{
	struct now now = { .wall_ms = 1700000000500ull };

	(void)state;
	assert_int_equal(memcached_text_expiry(0, &now), 0);
	assert_int_equal(memcached_text_expiry(1, &now), now.wall_ms + 1000);
	assert_int_equal(memcached_text_expiry(2592000, &now), now.wall_ms + 2592000000ull);
	assert_int_equal(memcached_text_expiry(2592001, &now), 2592001000ull);
	assert_int_equal(memcached_text_expiry(INT32_MAX, &now), 2147483647000ull);
	for (int64_t past = -1; past >= INT32_MIN; past = past * 2 - 1)
		assert_in_range(memcached_text_expiry((int32_t)past, &now), 1, now.wall_ms - 1);
}

static void
every_fixed_line_ends_in_crlf_once(void **state)
{
	(void)state;
	for (int i = LINE_NONE + 1; i < LINE_COUNT; i++) {
		struct view line = memcached_text_fixed(i);

		assert_true(line.len > 2 && line.data[line.len - 2] == '\r');
		assert_ptr_equal(memchr(line.data, '\n', line.len), line.data + line.len - 1);
	}
}

/* RFC 4648, section 10; and what memcached makes of what is none. */
static void
base64_goes_there_and_back(void **state)
{
	static const char *const pairs[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };
	static const char *const bad[] = { "", "Z", "Zg", "Zg=", "====", "Z===", "!!!!", "Zm9vZ" };
	struct prng prng = { 9 };
	uint8_t bytes[250], back[256];
	char text[336];

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct view plain = view_text(pairs[i][0]), coded = view_text(pairs[i][1]);

		assert_int_equal(memcached_text_base64(plain, text), coded.len);
		assert_memory_equal(text, coded.data, coded.len);
		assert_int_equal(memcached_text_unbase64(coded, back), plain.len);
		assert_memory_equal(back, plain.data, plain.len);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(memcached_text_unbase64(view_text(bad[i]), back), 0);
	assert_int_equal(memcached_text_unbase64(view_text("Z\001m9v$"), back), 3); /* other bytes are skipped */
	assert_int_equal(memcached_text_unbase64(view_text("Zg==Zm9v"), back), 1); /* padding is the end */
	for (uint32_t len = 1; len <= sizeof bytes; len++) {
		for (uint32_t i = 0; i < len; i++)
			bytes[i] = (uint8_t)prng_next(&prng);
		assert_int_equal(memcached_text_unbase64(view_of(text, memcached_text_base64(view_of(bytes, len), text)), back), len);
		assert_memory_equal(back, bytes, len);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_ends_at_lf_cr_or_nul),
		cmocka_unit_test(tokens_are_cut_at_blanks_only_and_23_at_a_time),
		cmocka_unit_test(numbers_are_what_the_library_makes_of_them),
		cmocka_unit_test(an_exptime_is_never_relative_past_or_a_date),
		cmocka_unit_test(every_fixed_line_ends_in_crlf_once),
		cmocka_unit_test(base64_goes_there_and_back),
	};

	return cmocka_run_group_tests_name("memcached text", tests, NULL, NULL);
}
