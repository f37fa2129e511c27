/* Unit tests of the epoch on disk: what is written is read, whatever a crash left beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "slipringd/floor.h"

static char directory[] = "/tmp/slipring-floor-XXXXXX", path[64], fresh[80];
static struct error error;

static void
put(const char *file, const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int
begin(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof path, "%s/n1.epoch", directory);
	snprintf(fresh, sizeof fresh, "%s.new", path);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	unlink(path);
	unlink(fresh);
	return rmdir(directory);
}

static void
what_is_written_is_read(void **state)
{
	uint64_t epoch = 9;

	(void)state;
	assert_int_equal(floor_read(path, &epoch, &error), STATUS_OK);
	assert_int_equal(epoch, 0); /* nothing yet */
	for (uint64_t n = 1; n != 0; n *= 10) {
		assert_int_equal(floor_write(path, n, &error), STATUS_OK);
		assert_int_equal(floor_read(path, &epoch, &error), STATUS_OK);
		assert_int_equal(epoch, n);
		if (n > UINT64_MAX / 10)
			break;
	}
	assert_int_not_equal(access(fresh, F_OK), 0);
}

static void
a_write_that_was_cut_leaves_the_former_number(void **state)
{
	uint64_t epoch;

	(void)state;
	assert_int_equal(floor_write(path, 41, &error), STATUS_OK);
	put(fresh, "4"); /* of 42 */
	assert_int_equal(floor_read(path, &epoch, &error), STATUS_OK);
	assert_int_equal(epoch, 41);
	assert_int_equal(floor_write(path, 43, &error), STATUS_OK);
	assert_int_equal(floor_read(path, &epoch, &error), STATUS_OK);
	assert_int_equal(epoch, 43);
}

static void
what_is_no_number_is_refused(void **state)
{
	static const char *const texts[] = { "", "\n", "twelve\n", "12", "12 \n", "-3\n", "99999999999999999999\n" };
	uint64_t epoch;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		put(path, texts[i]);
		assert_int_equal(floor_read(path, &epoch, &error), STATUS_INVALID);
		assert_non_null(strstr(error.text, "does not hold an epoch's number"));
	}
}

static void
a_directory_that_is_not_there_is_named(void **state)
{
	uint64_t epoch;

	(void)state;
	assert_int_equal(floor_write("/nonexistent/n1.epoch", 1, &error), STATUS_IO);
	assert_non_null(strstr(error.text, "state_dir: /nonexistent/n1.epoch: No such file"));
	assert_int_equal(floor_read("/tmp", &epoch, &error), STATUS_INVALID);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(a_write_that_was_cut_leaves_the_former_number),
		cmocka_unit_test(what_is_no_number_is_refused),
		cmocka_unit_test(a_directory_that_is_not_there_is_named),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
