/*
 * Counts visits, and shows what a write can come to: done, refused, or unknown.
 * Usage: counter [HOST [PORT]]
 */
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
	options.deadline_us = 1000000;
	if (argc > 2)
		options.port = (uint16_t)atoi(argv[2]);
	cache = slipring_open(argc > 1 ? argv[1] : "n1", &options);
	if (!cache)
		return EXIT_FAILURE;
	/* The first visit creates the number as 1; later ones add 1. Kept for a day after its creation. */
	switch (slipring_incr_create(cache, "visits", 6, 1, 1, 86400000, &result)) {
	case SLIPRING_OK:
		printf("visit number %llu\n", (unsigned long long)result.number);
		break;
	case SLIPRING_OUTCOME_UNKNOWN:
		/* Counted or not: the node fell silent in between. Adding again might count twice. */
		printf("a visit, perhaps counted\n");
		break;
	default:
		fprintf(stderr, "counter: %s\n", slipring_error(cache));
	}
	slipring_close(cache);
	return result.status == SLIPRING_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
