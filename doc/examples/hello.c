/* Stores a value, reads it back, prints it. Usage: hello [HOST [PORT]] */
#include <slipring.h>

#include <stdio.h>
#include <stdlib.h>

int
main(int argc, char **argv)
{
	struct slipring_options options;
	struct slipring_result result;
	struct slipring *cache;

	slipring_options_init(&options);
	if (argc > 2)
		options.port = (uint16_t)atoi(argv[2]);
	cache = slipring_open(argc > 1 ? argv[1] : "n1", &options);
	if (!cache)
		return EXIT_FAILURE;
	/* Gone after a minute. */
	if (slipring_set(cache, "greeting", 8, "hello, world", 12, 0, 60000, NULL) != SLIPRING_OK ||
	    slipring_get(cache, "greeting", 8, &result) != SLIPRING_OK) {
		fprintf(stderr, "hello: %s\n", slipring_error(cache));
		slipring_close(cache);
		return EXIT_FAILURE;
	}
	printf("%.*s\n", (int)result.value_len, (const char *)result.value);
	slipring_close(cache);
	return EXIT_SUCCESS;
}
