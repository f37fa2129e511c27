/* The store over rte_hash, jemalloc and liburcu. */
#include "tests/conformance/store.h"

#include "tests/dpdk/eal.h"

int
main(void)
{
	eal_start();
	return cmocka_run_group_tests_name("store", store_tests, start_reader, stop_reader);
}
