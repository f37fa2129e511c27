/*
 * Unit tests of what the control plane tells of a node, and of the shared key file.
 */
#include "api_rig.h"

static void
the_socket_is_its_owners_only(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void
health_is_lost_when_a_worker_stalls(void **state)
{
	json_t *body;

	(void)state;
	assert_int_equal(ask("GET", "/healthz", "", &body), 200);
	assert_string_equal(json_string_value(json_object_get(body, "status")), "ok");
	json_decref(body);
	faults.stalled = 2;
	assert_int_equal(ask("GET", "/healthz", "", &body), 503);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(body, "stalled_workers"), 0)), 1);
	json_decref(body);
	faults.stalled = 0;
}

static void
health_is_lost_when_a_worker_is_deaf(void **state)
{
	json_t *body;

	(void)state;
	faults.deaf = 1;
	assert_int_equal(ask("GET", "/healthz", "", &body), 503);
	assert_string_equal(json_string_value(json_object_get(body, "status")), "deaf");
	assert_int_equal(json_array_size(json_object_get(body, "deaf_workers")), 1);
	assert_int_equal(json_array_size(json_object_get(body, "stalled_workers")), 0);
	json_decref(body);
	assert_int_equal(ask("GET", "/readyz", "", NULL), 503);
	assert_non_null(strstr(answer, "worker 0 does not receive what comes to its port"));
	assert_int_equal(ask("GET", "/metrics", "", NULL), 200);
	assert_non_null(strstr(answer, "slipring_worker_deaf{worker=\"0\"} 1\n"));
	faults.deaf = 0;
	assert_int_equal(ask("GET", "/healthz", "", NULL), 200);
}

static json_int_t
figure(json_t *body, const char *group, const char *name)
{
	json_t *value = json_object_get(json_object_get(body, group), name);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

static void
statistics_are_summed_and_told_for_each_worker(void **state)
{
	json_t *body, *worker;

	(void)state;
	assert_int_equal(ask("GET", "/stats", "", &body), 200);
	assert_int_equal(figure(body, "counters", "polls"), 201);
	assert_int_equal(figure(body, "counters", "cmd_get"), 14);
	assert_int_equal(figure(body, "drops", "runt"), 2);
	assert_int_equal(figure(body, "store", "items"), 20);
	assert_true(figure(body, "store", "item_bytes") == 1ll << 34);
	assert_int_equal(figure(body, "store", "refused_memory"), 3);
	assert_int_equal(figure(body, "store", "refused_retired"), 4);
	assert_in_range(json_integer_value(json_object_get(body, "uptime_seconds")), 100, 110);
	worker = json_array_get(json_object_get(body, "workers"), 1);
	assert_int_equal(figure(worker, "counters", "polls"), 101);
	assert_int_equal(figure(worker, "drops", "runt"), 1);
	assert_int_equal(json_object_size(json_object_get(body, "counters")), COUNTER_COUNT);
	assert_int_equal(json_object_size(json_object_get(body, "drops")), DROP_COUNT - 1);
	json_decref(body);
}

static void
workers_say_where_they_sit(void **state)
{
	json_t *body, *worker;

	(void)state;
	assert_int_equal(ask("GET", "/workers", "", &body), 200);
	assert_int_equal(json_array_size(body), 2);
	worker = json_array_get(body, 1);
	assert_int_equal(json_integer_value(json_object_get(worker, "lcore")), 2);
	assert_string_equal(json_string_value(json_object_get(worker, "cpus")), "4");
	assert_int_equal(json_integer_value(json_object_get(worker, "numa")), -1);
	assert_int_equal(json_integer_value(json_object_get(worker, "queue")), 1);
	assert_int_equal(json_integer_value(json_object_get(worker, "rx_missed")), 5);
	assert_string_equal(json_string_value(json_object_get(worker, "mac")), "02:00:00:00:09:01");
	assert_string_equal(json_string_value(json_object_get(worker, "large_values")), "copied:memory");
	json_decref(body);
}

static double
ratio_of_worker_0(void)
{
	json_t *body;
	double ratio;

	assert_int_equal(ask("GET", "/workers", "", &body), 200);
	ratio = json_real_value(json_object_get(json_array_get(body, 0), "busy_ratio"));
	json_decref(body);
	return ratio;
}

/* The clock has 1000 cycles a second here. */
static void
the_busy_ratio_is_of_the_last_seconds(void **state)
{
	(void)state;
	cycles += 2000;
	counter_add(&fixed_counters[0], COUNTER_BUSY_CYCLES, 500);
	assert_true(ratio_of_worker_0() == 0.25);
	cycles += 500; /* too soon for a new sample */
	assert_true(ratio_of_worker_0() == 0.2);
	cycles += 10000;
	ratio_of_worker_0();
	cycles += 2000; /* idle since */
	assert_true(ratio_of_worker_0() == 0);
}

static void
sockets_list_what_the_kernel_cannot_know(void **state)
{
	json_t *body;

	(void)state;
	assert_int_equal(ask("GET", "/sockets", "", &body), 200);
	assert_int_equal(json_array_size(body), 5); /* native twice, memcached, control twice; echo is off */
	assert_string_equal(json_string_value(json_object_get(json_array_get(body, 1), "local")), "10.9.0.1:7412");
	assert_string_equal(json_string_value(json_object_get(json_array_get(body, 2), "service")), "memcached");
	assert_string_equal(json_string_value(json_object_get(json_array_get(body, 3), "local")), path);
	json_decref(body);
}

static void
the_log_level_changes_by_a_word(void **state)
{
	static const char *const bad[] = { "", "loud", "debugdebugdebugdebugdebug" };
	json_t *body;

	(void)state;
	log_level_set(LOG_LEVEL_ERROR);
	assert_int_equal(ask("PUT", "/log-level", "Warn\n", &body), 200);
	assert_string_equal(json_string_value(json_object_get(body, "level")), "warn");
	json_decref(body);
	assert_int_equal(log_level_get(), LOG_LEVEL_WARN);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(ask("PUT", "/log-level", bad[i], &body), 400);
		assert_string_equal(json_string_value(json_object_get(body, "error")),
		    "the body must be one of error, warn, info, debug");
		json_decref(body);
	}
	assert_int_equal(ask("PUT", "/log-level", "debugdebugdebugdebugdebugdebugdebugdebugdebugdebugdebugdebugdebug", NULL), 413);
	assert_int_equal(log_level_get(), LOG_LEVEL_WARN);
	assert_int_equal(ask("GET", "/log-level", "", &body), 200);
	assert_string_equal(json_string_value(json_object_get(body, "level")), "warn");
	json_decref(body);
}

static void
strange_requests_are_refused(void **state)
{
	(void)state;
	assert_int_equal(ask("GET", "/", "", NULL), 404);
	assert_int_equal(ask("GET", "/stats/", "", NULL), 404);
	assert_int_equal(ask("POST", "/stats", "x", NULL), 405);
	assert_int_equal(ask("PUT", "/stats", "x", NULL), 405);
	assert_int_equal(ask("HEAD", "/stats", "", NULL), 200);
}

static void
a_socket_in_use_is_not_taken(void **state)
{
	struct error error;

	(void)state;
	assert_null(api_start(&(struct api_config){ &config, NULL, &faults, NULL }, &error));
	assert_non_null(strstr(error.text, "another process listens on"));
	assert_int_equal(ask("GET", "/healthz", "", NULL), 200); /* the first still answers */
}

static void
a_stale_socket_is_taken_and_a_file_is_not(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct error error;

	(void)state;
	snprintf(address.sun_path, sizeof address.sun_path, "/tmp/test_api.%d.stale", (int)getpid());
	int dead = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(dead, (struct sockaddr *)&address, sizeof address), 0);
	close(dead);
	assert_false(usocket_is_listening(address.sun_path));
	int fd = usocket_listen(address.sun_path, &error);
	assert_true(fd >= 0 && usocket_is_listening(address.sun_path));
	close(fd);
	unlink(address.sun_path);
	close(creat(address.sun_path, 0600));
	assert_int_equal(usocket_listen(address.sun_path, &error), -1);
	assert_non_null(strstr(error.text, "is in the way"));
	unlink(address.sun_path);
	assert_int_equal(usocket_listen("/nonexistent/s", &error), -1);
	assert_non_null(strstr(error.text, "No such file or directory"));
}

static void
facts_print_as_statistics(void **state)
{
	char text[FACTS_WORKERS_SIZE], sockets[FACTS_SOCKETS_SIZE];
	struct facts_worker facts;
	struct port_info info;
	size_t at = 0;

	(void)state;
	node_port_info(NULL, 1, &info);
	facts_worker(&fixed, &info, 1, &facts);
	facts_print_worker(&facts, 1, text, sizeof text, &at);
	assert_string_equal(text, "worker1_lcore 2\nworker1_cpus 4\nworker1_numa -1\nworker1_port 1\nworker1_queue 1\n"
	    "worker1_interface e0\nworker1_device net_af_xdp0\nworker1_driver net_af_xdp\n"
	    "worker1_mac 02:00:00:00:09:01\nworker1_large_values copied:memory\nworker1_cycles_hz 1000\n");
	facts_print_sockets(&fixed, sockets, sizeof sockets);
	assert_string_equal(sockets, "udp/10.9.0.1:7411 native worker 0\nudp/10.9.0.1:7412 native worker 1\n"
	    "udp/10.9.0.1:11211 memcached all workers\n");
}

/* --- the shared key --------------------------------------------------------------------- */

static enum status
read_key(const char *text, mode_t mode, uint8_t key[KEYFILE_KEY_LEN], struct error *error)
{
	char name[64];
	FILE *file;
	enum status status;

	snprintf(name, sizeof name, "/tmp/test_keyfile.%d", (int)getpid());
	unlink(name);
	file = fopen(name, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	chmod(name, mode);
	status = keyfile_read("native.shared_key_file", name, key, error);
	unlink(name);
	return status;
}

static void
a_shared_key_is_64_hex_digits_that_nobody_else_reads(void **state)
{
	static const char good[] = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F\n";
	uint8_t key[KEYFILE_KEY_LEN];
	struct error error;
	char text[128];

	(void)state;
	assert_int_equal(read_key(good, 0600, key, &error), STATUS_OK);
	for (int i = 0; i < KEYFILE_KEY_LEN; i++)
		assert_int_equal(key[i], i);
	assert_int_equal(read_key(good, 0400, key, &error), STATUS_OK);
	assert_int_equal(read_key(good, 0640, key, &error), STATUS_INVALID);
	assert_non_null(strstr(error.text, "others may read it (mode 0640): chmod 600"));
	snprintf(text, sizeof text, "%.63s", good);
	assert_int_equal(read_key(text, 0600, key, &error), STATUS_INVALID);
	assert_non_null(strstr(error.text, "must hold 64 hex digits"));
	snprintf(text, sizeof text, "%.64s0", good);
	assert_int_equal(read_key(text, 0600, key, &error), STATUS_INVALID);
	assert_int_equal(read_key("", 0600, key, &error), STATUS_INVALID);
	assert_int_equal(keyfile_read("cluster.key_file", "/nonexistent/key", key, &error), STATUS_INVALID);
	assert_int_equal(keyfile_read("cluster.key_file", "/tmp", key, &error), STATUS_INVALID);
	assert_non_null(strstr(error.text, "not a regular file"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_socket_is_its_owners_only),
		cmocka_unit_test(health_is_lost_when_a_worker_stalls),
		cmocka_unit_test(health_is_lost_when_a_worker_is_deaf),
		cmocka_unit_test(statistics_are_summed_and_told_for_each_worker),
		cmocka_unit_test(workers_say_where_they_sit),
		cmocka_unit_test(the_busy_ratio_is_of_the_last_seconds),
		cmocka_unit_test(sockets_list_what_the_kernel_cannot_know),
		cmocka_unit_test(the_log_level_changes_by_a_word),
		cmocka_unit_test(strange_requests_are_refused),
		cmocka_unit_test(a_socket_in_use_is_not_taken),
		cmocka_unit_test(a_stale_socket_is_taken_and_a_file_is_not),
		cmocka_unit_test(facts_print_as_statistics),
		cmocka_unit_test(a_shared_key_is_64_hex_digits_that_nobody_else_reads),
	};

	return cmocka_run_group_tests_name("api", tests, start, stop);
}
