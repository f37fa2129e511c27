/*
 * Unit tests of the resolver: who is looked up, who is told, and that nobody waits for a lookup that hangs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/slipringd/resolver.h"

static _Atomic uint32_t absent_bits, last_byte, lookups, hanging;
static _Atomic uint32_t told[3]; /* last byte of the address told of each name, plus one */

static bool
lookup(const char *host, struct peer_address *address)
{
	lookups++;
	while (hanging)
		usleep(1000);
	if (strcmp(host, "nowhere") == 0)
		return false;
	address->ip[15] = (uint8_t)last_byte;
	return true;
}

static uint32_t
absent(void *context)
{
	assert_ptr_equal(context, &told);
	return absent_bits;
}

static void
tell(void *context, uint32_t i, const struct resolver_name *name)
{
	assert_ptr_equal(context, &told);
	assert_int_equal(name->address.port, 7946 + i);
	told[i] = name->address.ip[15] + 1u;
}

static struct resolver *
start(const char *first, const char *second, const char *third)
{
	const char *hosts[] = { first, second, third };
	struct resolver_config config = { .count = 3, .step_ms = 2, .lookup = lookup, .absent = absent, .tell = tell,
		.context = &told };
	struct resolver *resolver;
	struct error error;

	for (uint32_t i = 0; i < 3; i++) {
		snprintf(config.names[i].host, sizeof config.names[i].host, "%s", hosts[i]);
		config.names[i].address = (struct peer_address){ .ip = { [15] = 1 }, .port = (uint16_t)(7946 + i) };
		told[i] = 0;
	}
	last_byte = 1;
	absent_bits = lookups = 0;
	assert_int_equal(resolver_start(&config, &resolver, &error), STATUS_OK);
	return resolver;
}

static bool
comes_true(_Atomic uint32_t *figure, uint32_t least)
{
	for (int ms = 0; ms < 5000; ms++) {
		if (*figure >= least)
			return true;
		usleep(1000);
	}
	return false;
}

static void
addresses_need_no_resolver(void **state)
{
	(void)state;
	assert_null(start("", "", ""));
}

static void
a_seed_that_lives_is_left_alone(void **state)
{
	struct resolver *resolver = start("a", "b", "c");

	(void)state;
	last_byte = 9;
	usleep(30000);
	resolver_stop(resolver);
	assert_int_equal(lookups, 0);
}

static void
who_is_absent_is_looked_up_and_a_new_address_told(void **state)
{
	struct resolver *resolver = start("a", "", "nowhere");

	(void)state;
	absent_bits = 7;
	assert_true(comes_true(&lookups, 6));
	assert_int_equal(told[0] + told[1] + told[2], 0); /* nothing new */
	last_byte = 9;
	assert_true(comes_true(&told[0], 10));
	told[0] = 0;
	assert_true(comes_true(&lookups, lookups + 6));
	assert_int_equal(told[0], 0); /* once */
	assert_int_equal(told[1] + told[2], 0);
	resolver_stop(resolver);
}

static void
a_lookup_that_hangs_holds_nobody_up(void **state)
{
	struct resolver *resolver = start("a", "b", "c");
	struct timespec before, after;

	(void)state;
	hanging = 1;
	absent_bits = 7;
	last_byte = 9;
	assert_true(comes_true(&lookups, 1));
	clock_gettime(CLOCK_MONOTONIC, &before);
	resolver_stop(resolver);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_in_range((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000,
	    RESOLVER_STOP_MS - 10, 4 * RESOLVER_STOP_MS);
	hanging = 0; /* it ends, and tells nobody */
	usleep(50000);
	assert_int_equal(told[0] + told[1] + told[2], 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_need_no_resolver),
		cmocka_unit_test(a_seed_that_lives_is_left_alone),
		cmocka_unit_test(who_is_absent_is_looked_up_and_a_new_address_told),
		cmocka_unit_test(a_lookup_that_hangs_holds_nobody_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
