/* Owners and readers at once over the models, whose every access the thread sanitizer sees. */
#include "tests/conformance/race.h"

int
main(void)
{
	return cmocka_run_group_tests_name("store race over models", race_tests, start_reader, stop_reader);
}
