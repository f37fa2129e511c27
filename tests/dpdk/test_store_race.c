/* Owners and readers at once over rte_hash, jemalloc and liburcu. */
#include "tests/conformance/race.h"

#include "tests/dpdk/eal.h"

int
main(void)
{
	eal_start();
	return cmocka_run_group_tests_name("store race", race_tests, start_reader, stop_reader);
}
