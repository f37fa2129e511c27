/* rte_hash, jemalloc and liburcu behind the store's leaves keep their promises. */
#include "tests/conformance/leaves.h"

#include "tests/dpdk/eal.h"

int
main(void)
{
	eal_start();
	return cmocka_run_group_tests_name("leaves", leaf_tests, NULL, NULL);
}
