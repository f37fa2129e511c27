/*
 * Fuzzes memcached's binary protocol over a connection, without and with a password: however the input is cut, the
 * same requests and the same replies come of it; nothing is read past what has come; all memory is given back.
 */
#include "tests/fuzz/stream_feed.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 4096)
		return 0;
	for (int i = 0; i < 2; i++) {
		const char *password = i ? "ada:lovelace" : NULL;
		uint64_t whole = feed_all(data, (uint32_t)size, 0, password, true);

		CHECK(whole == feed_all(data, (uint32_t)size, size < 400 ? 1 : 40, password, true));
		CHECK(whole == feed_all(data, (uint32_t)size, 200, password, true));
	}
	return 0;
}
