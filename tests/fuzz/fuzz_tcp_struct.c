/*
 * Fuzzes TCP-lite by steps that mean something (tests/tcp/storm.h): segments relative to a connection's state, calls of the
 * application, time. With and without its fast path, which must send the same.
 */
#include <stdio.h>

#include "base/check.h"
#include "tests/tcp/storm.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char failure[RIG_TEXT_MAX];

	if (size > 2000)
		return 0;
	if (!storm_run(data, size, failure, NULL)) {
		fprintf(stderr, "%s\n", failure);
		CHECK(!"the storm failed");
	}
	return 0;
}
