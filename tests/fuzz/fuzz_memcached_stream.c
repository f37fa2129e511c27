/*
 * Fuzzes memcached's text protocol over a connection: however the input is cut, the same requests and the same
 * replies come of it; nothing is read past what has come; all memory is given back.
 */
#include "tests/fuzz/stream_feed.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t whole;

	if (size > 4096)
		return 0;
	whole = feed_all(data, (uint32_t)size, 0, NULL, false);
	CHECK(whole == feed_all(data, (uint32_t)size, size < 400 ? 1 : 40, NULL, false));
	CHECK(whole == feed_all(data, (uint32_t)size, 200, NULL, false));
	return 0;
}
