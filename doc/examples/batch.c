/*
 * Keeps many operations in flight: stores a thousand values, reads them back in
 * shared frames, counts what came. Usage: batch [HOST [PORT]]
 */
#include <slipring.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 1000 };

static void
stored(void *context, const struct slipring_result *result)
{
	int *count = context;

	if (result->status == SLIPRING_OK)
		++*count;
	else
		fprintf(stderr, "batch: %s\n", slipring_status_text(result->status));
}

static void
store_all(struct slipring *cache, int *count)
{
	for (int i = 0; i < COUNT; i++) {
		char key[32];
		struct slipring_request request = { .op = SLIPRING_OP_SET, .key = key, .value = &i,
			.value_len = sizeof i, .ttl_ms = 60000, .done = stored, .context = count };
		enum slipring_status status;

		/* Key and (short) value are copied: both may go when submit returns. */
		request.key_len = (size_t)snprintf(key, sizeof key, "batch:%d", i);
		while ((status = slipring_submit(cache, &request)) == SLIPRING_WINDOW_FULL)
			slipring_poll(cache, 1000);
		if (status != SLIPRING_OK)
			fprintf(stderr, "batch: %s\n", slipring_error(cache));
	}
	slipring_flush(cache);
}

static int
read_all(struct slipring *cache)
{
	static struct slipring_item items[COUNT];
	static char keys[COUNT][32], buffer[COUNT * sizeof(int)];
	int right = 0;

	for (int i = 0; i < COUNT; i++) {
		items[i].key = keys[i];
		items[i].key_len = (size_t)snprintf(keys[i], sizeof keys[i], "batch:%d", i);
	}
	if (slipring_mget(cache, items, COUNT, buffer, sizeof buffer) != SLIPRING_OK)
		fprintf(stderr, "batch: %s\n", slipring_error(cache));
	for (int i = 0; i < COUNT; i++)
		right += items[i].result.value_len == sizeof i && memcmp(items[i].result.value, &i, sizeof i) == 0;
	return right;
}

int
main(int argc, char **argv)
{
	struct slipring_options options;
	struct slipring_counters counters;
	struct slipring *cache;
	int stored_count = 0, right;

	slipring_options_init(&options);
	if (argc > 2)
		options.port = (uint16_t)atoi(argv[2]);
	cache = slipring_open(argc > 1 ? argv[1] : "n1", &options);
	if (!cache)
		return EXIT_FAILURE;
	store_all(cache, &stored_count);
	right = read_all(cache);
	slipring_counters(cache, &counters);
	printf("%d stored, %d read back, %llu frames sent for %llu operations\n", stored_count, right,
	    (unsigned long long)counters.frames_sent, (unsigned long long)counters.operations);
	slipring_close(cache);
	return right == COUNT ? EXIT_SUCCESS : EXIT_FAILURE;
}
