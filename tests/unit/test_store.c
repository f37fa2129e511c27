/* The store over the models of its leaves. */
#include "tests/conformance/store.h"

int
main(void)
{
	return cmocka_run_group_tests_name("store over models", store_tests, start_reader, stop_reader);
}
