/* Unit tests of lib/base: cursors, versions, tables of names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/counters.h"
#include "base/prng.h"
#include "base/version.h"

static void
a_reader_never_leaves_its_bytes(void **state)
{
	const uint8_t bytes[] = { 1, 2, 3 };
	struct reader r = reader_of(bytes, sizeof bytes);

	(void)state;
	assert_int_equal(reader_le16(&r), 0x0201);
	assert_int_equal(reader_le16(&r), 0);
	assert_true(r.failed);
	assert_int_equal(reader_u8(&r), 0); /* stays failed, though a byte is left */
}

static void
a_writer_writes_whole_fields_or_nothing(void **state)
{
	uint8_t bytes[5] = { 0 };
	struct writer w = writer_of(bytes, sizeof bytes);

	(void)state;
	writer_le32(&w, 0x01020304);
	writer_le16(&w, 0xffff);
	assert_true(w.failed);
	assert_int_equal(bytes[4], 0);
}

static void
versions_only_grow_though_the_clock_steps_back(void **state)
{
	struct version_clock clock = { 0, 7 };
	struct prng prng = { 1 };
	uint64_t last = 0;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		uint64_t wall_ms = VERSION_EPOCH_MS + prng_below(&prng, 1000);
		uint64_t version = version_next(&clock, wall_ms);

		assert_true(version > last);
		assert_int_equal(version & 1023, 7);
		last = version;
	}
}

static void
every_drop_and_counter_has_a_name_and_a_text(void **state)
{
	(void)state;
	for (int i = 0; i < DROP_COUNT; i++)
		assert_true(drop_name(i)[0] && drop_text(i)[0]);
	for (int i = 0; i < COUNTER_COUNT; i++)
		assert_true(counter_name(i)[0] && counter_text(i)[0]);
}

static void
a_reader_of_nothing_has_nothing_left(void **state)
{
	struct reader r = reader_of(NULL, 0); /* the sanitizer watches the sum */

	(void)state;
	assert_int_equal(reader_left(&r), 0);
	assert_false(r.failed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reader_of_nothing_has_nothing_left),
		cmocka_unit_test(a_reader_never_leaves_its_bytes),
		cmocka_unit_test(a_writer_writes_whole_fields_or_nothing),
		cmocka_unit_test(versions_only_grow_though_the_clock_steps_back),
		cmocka_unit_test(every_drop_and_counter_has_a_name_and_a_text),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
