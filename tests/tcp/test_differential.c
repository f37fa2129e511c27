/* Random storms of segments, calls and time on both builds: the same bytes at the same times. The seed is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/prng.h"
#include "tests/tcp/storm.h"

static uint64_t first_seed;

static void
storms(uint64_t seed, uint32_t count, uint32_t len)
{
	uint64_t sent = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct prng prng = { seed + i };
		uint8_t data[4096];
		char failure[RIG_TEXT_MAX];

		for (uint32_t k = 0; k < len; k++)
			data[k] = (uint8_t)prng_next(&prng);
		/* Each begins with a handshake of the first three peers. */
		for (uint32_t k = 0; k < 3; k++) {
			data[1 + 7 * k] = (uint8_t)(k << 4);
			data[3 + 7 * k] = 0;
			data[4 + 7 * k] = (uint8_t)(k << 4 | 6);
			data[5 + 7 * k] = 0;
		}
		if (!storm_run(data, len, failure, &sent))
			fail_msg("SLIPRING_SEED=%llu: %s", (unsigned long long)(seed + i), failure);
	}
	assert_true(sent > count);
}

static void
short_storms_are_the_same_with_and_without_the_fast_path(void **state)
{
	(void)state;
	storms(first_seed, 400, 200);
}

static void
long_storms_are_the_same_with_and_without_the_fast_path(void **state)
{
	(void)state;
	storms(first_seed + 1000000, 30, 4000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_storms_are_the_same_with_and_without_the_fast_path),
		cmocka_unit_test(long_storms_are_the_same_with_and_without_the_fast_path),
	};
	const char *text = getenv("SLIPRING_SEED");

	first_seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	printf("seed %llu\n", (unsigned long long)first_seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
