/* Unit tests of the daemon's log lines, of sd_notify's datagrams and of the watchdog. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <pthread.h>

#include <cmocka.h>

#include "app/slipringd/log.h"
#include "app/slipringd/notify.h"
#include "app/slipringd/watchdog.h"

static char file_name[64];

static int
make_name(void **state)
{
	(void)state;
	snprintf(file_name, sizeof file_name, "/tmp/test_log.%d", (int)getpid());
	unlink(file_name);
	return 0;
}

static int
remove_file(void **state)
{
	(void)state;
	log_close();
	unlink(file_name);
	return 0;
}

static void
start(enum log_level level, bool json)
{
	struct error error;

	unlink(file_name);
	assert_int_equal(log_open("n1", level, json, file_name, &error), STATUS_OK);
}

/* The whole file; static buffer. */
static const char *
written(void)
{
	static char text[1 << 20];
	FILE *file = fopen(file_name, "r");

	assert_non_null(file);
	text[fread(text, 1, sizeof text - 1, file)] = '\0';
	fclose(file);
	return text;
}

static void
a_line_has_time_level_node_and_text(void **state)
{
	int year, month, day, hour, minute, second, ms, end = 0;

	(void)state;
	start(LOG_LEVEL_INFO, false);
	log_warn("port %d is %s", 7, "up");
	assert_int_equal(sscanf(written(), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ WARN n1 port 7 is up\n%n", &year, &month, &day,
	    &hour, &minute, &second, &ms, &end), 7);
	assert_int_equal(end, strlen(written()));
	assert_true(year >= 2024 && month >= 1 && month <= 12 && second <= 60);
}

static void
the_level_holds_lines_back_and_changes_live(void **state)
{
	enum log_level level;

	(void)state;
	start(LOG_LEVEL_WARN, false);
	log_info("first");
	log_error("second");
	log_level_set(LOG_LEVEL_DEBUG);
	log_debug("third");
	assert_null(strstr(written(), "first"));
	assert_non_null(strstr(written(), "ERROR n1 second\n"));
	assert_non_null(strstr(written(), "DEBUG n1 third\n"));
	assert_true(log_level_parse("Warn", &level) && level == LOG_LEVEL_WARN);
	assert_false(log_level_parse("loud", &level));
	assert_string_equal(log_level_name(LOG_LEVEL_DEBUG), "debug");
}

static void
nobody_can_forge_a_line(void **state)
{
	(void)state;
	start(LOG_LEVEL_INFO, false);
	log_info("key %s", "a\n2026-01-01T00:00:00.000Z ERROR n1 forged\x1b[2J\x7f");
	const char *newline = strchr(written(), '\n');
	assert_string_equal(newline, "\n"); /* the only one, at the end */
	assert_non_null(strstr(written(), "a\\x0a2026"));
	assert_non_null(strstr(written(), "forged\\x1b[2J\\x7f"));
}

static void
json_lines_are_objects(void **state)
{
	(void)state;
	start(LOG_LEVEL_INFO, true);
	log_info("say \"hi\" \\ \t");
	assert_memory_equal(written(), "{\"time\":\"", 9);
	assert_non_null(strstr(written(),
	    "\"level\":\"info\",\"node\":\"n1\",\"text\":\"say \\\"hi\\\" \\\\ \\u0009\"}\n"));
}

static void
a_long_line_is_cut_and_says_so(void **state)
{
	char text[3000];

	(void)state;
	for (int json = 0; json < 2; json++) {
		memset(text, 'x', sizeof text - 1);
		text[sizeof text - 1] = '\0';
		start(LOG_LEVEL_INFO, json);
		log_info("%s", text);
		assert_true(strlen(written()) <= LOG_LINE_MAX);
		assert_non_null(strstr(written(), json ? "xxx...\"}\n" : "xxx...\n"));
		start(LOG_LEVEL_INFO, json);
		memset(text, '\n', 900);
		log_info("%s", text);
		assert_true(strlen(written()) <= LOG_LINE_MAX);
		assert_non_null(strstr(written(), json ? "...\"}\n" : "...\n"));
	}
}

static void
repeated_messages_are_told_once_with_their_number(void **state)
{
	struct log_limit limit = LOG_LIMIT(50);

	(void)state;
	start(LOG_LEVEL_INFO, false);
	for (int i = 0; i < 1000; i++)
		log_limited(&limit, LOG_LEVEL_WARN, "full");
	const char *first = strchr(written(), '\n');
	assert_string_equal(first, "\n");
	usleep(70000);
	log_limited(&limit, LOG_LEVEL_WARN, "full");
	assert_non_null(strstr(written(), "full (and 999 more like it)\n"));
}

enum { THREADS = 4, LINES = 500 };

static void *
log_many(void *argument)
{
	for (int i = 0; i < LINES; i++)
		log_info("thread %ld line %d end", (long)(intptr_t)argument, i);
	return NULL;
}

static void
lines_of_several_threads_do_not_mix(void **state)
{
	pthread_t threads[THREADS];
	int count = 0;

	(void)state;
	start(LOG_LEVEL_INFO, false);
	for (long i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, log_many, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (const char *line = written(); *line; line = strchr(line, '\n') + 1) {
		int thread, number, end = 0;

		assert_true(sscanf(line + 24, " INFO n1 thread %d line %d end%n", &thread, &number, &end) == 2 && end);
		assert_int_equal(line[24 + end], '\n');
		count++;
	}
	assert_int_equal(count, THREADS * LINES);
}

static void
a_log_file_that_cannot_be_opened_says_why(void **state)
{
	struct error error;

	(void)state;
	assert_int_equal(log_open("n1", LOG_LEVEL_INFO, false, "/nonexistent/log", &error), STATUS_IO);
	assert_non_null(strstr(error.text, "/nonexistent/log: No such file or directory"));
}

static void
the_service_manager_gets_datagrams(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char text[64] = { 0 };

	(void)state;
	notify_send("READY=1"); /* nobody asked: nothing happens */
	snprintf(address.sun_path, sizeof address.sun_path, "/tmp/test_notify.%d", (int)getpid());
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	notify_send("READY=1\nSTATUS=%s", "serving");
	assert_int_equal(recv(fd, text, sizeof text, MSG_DONTWAIT), 22);
	assert_string_equal(text, "READY=1\nSTATUS=serving");
	unsetenv("NOTIFY_SOCKET");
	unlink(address.sun_path);
	close(fd);
	setenv("WATCHDOG_USEC", "10000000", 1);
	assert_int_equal(notify_watchdog_ns(), 10000000000);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(notify_watchdog_ns(), 0);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

static void
a_worker_that_stops_polling_is_named(void **state)
{
	struct watchdog watchdog;

	(void)state;
	watchdog_init(&watchdog, 3);
	assert_int_equal(watchdog_step(&watchdog, (uint64_t[]){ 1, 1, 1 }), 0);
	assert_int_equal(watchdog_step(&watchdog, (uint64_t[]){ 2, 1, 9 }), 2);
	assert_int_equal(watchdog_step(&watchdog, (uint64_t[]){ 2, 1, 9 }), 7);
	assert_int_equal(watchdog_step(&watchdog, (uint64_t[]){ 3, 2, 10 }), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_time_level_node_and_text),
		cmocka_unit_test(the_level_holds_lines_back_and_changes_live),
		cmocka_unit_test(nobody_can_forge_a_line),
		cmocka_unit_test(json_lines_are_objects),
		cmocka_unit_test(a_long_line_is_cut_and_says_so),
		cmocka_unit_test(repeated_messages_are_told_once_with_their_number),
		cmocka_unit_test(lines_of_several_threads_do_not_mix),
		cmocka_unit_test(a_log_file_that_cannot_be_opened_says_why),
		cmocka_unit_test(the_service_manager_gets_datagrams),
		cmocka_unit_test(a_worker_that_stops_polling_is_named),
	};

	return cmocka_run_group_tests_name("log", tests, make_name, remove_file);
}
