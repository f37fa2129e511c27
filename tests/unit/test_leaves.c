/* The models of the store's leaves keep the leaves' promises. */
#include "tests/conformance/leaves.h"

int
main(void)
{
	return cmocka_run_group_tests_name("leaf models", leaf_tests, NULL, NULL);
}
