/*
 * Conversations of tests/conversations/tcp, one test each, named by the rule that it shows; with and without the
 * fast path, which must send the same bytes at the same times. SCRIPT=NAME runs those whose name has it, told line by line.
 */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/tcp/script.h"

enum { FILES_MAX = 64, TESTS_MAX = 1000 };

struct conversation {
	const struct script_text *text;
	uint32_t at;
};

static void
run(void **state)
{
	const struct conversation *conversation = *state;
	const char *only = getenv("SCRIPT");
	struct script_result fast = { 0 }, slow = { 0 };

	script_run(conversation->text, conversation->at, &tcp_fast_api, only != NULL, &fast);
	script_run(conversation->text, conversation->at, &tcp_slow_api, false, &slow);
	if (fast.failure[0])
		fail_msg("%s: %s", tcp_fast_api.name, fast.failure);
	if (slow.failure[0])
		fail_msg("%s: %s", tcp_slow_api.name, slow.failure);
	assert_int_equal(fast.digest, slow.digest);
}

int
main(void)
{
	static struct script_text texts[FILES_MAX];
	static struct conversation conversations[TESTS_MAX];
	static struct CMUnitTest tests[TESTS_MAX];
	const char *only = getenv("SCRIPT");
	size_t count = 0;
	glob_t files;
	int failed;

	if (glob("tests/conversations/tcp/*.txt", 0, NULL, &files) != 0)
		return 1;
	for (size_t i = 0; i < files.gl_pathc && i < FILES_MAX; i++) {
		script_load(&texts[i], files.gl_pathv[i]);
		for (uint32_t at = script_next(&texts[i], 0); at < texts[i].count; at = script_next(&texts[i], at + 1)) {
			const char *name = texts[i].lines[at] + 3;

			if ((only && !strstr(name, only)) || count == TESTS_MAX)
				continue;
			conversations[count] = (struct conversation){ &texts[i], at };
			tests[count].name = name;
			tests[count].test_func = run;
			tests[count].initial_state = &conversations[count];
			count++;
		}
	}
	failed = _cmocka_run_group_tests("conversations with TCP", tests, count, NULL, NULL);
	for (size_t i = 0; i < files.gl_pathc && i < FILES_MAX; i++)
		script_free(&texts[i]);
	globfree(&files);
	return failed;
}
