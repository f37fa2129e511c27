/*
 * Unit tests of the control plane over its real socket, with a node made of
 * fixed figures in place of ports, workers and store; and of the shared key file.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "app/slipringd/api.h"
#include "app/slipringd/facts.h"
#include "app/slipringd/keyfile.h"
#include "app/slipringd/log.h"
#include "app/slipringd/usocket.h"

/* --- the node --------------------------------------------------------------------- */

static struct node_config fixed = {
	.io = { .worker_count = 2, .worker_cpus = { 3, 4 }, .interfaces = { "e0", "e0" } },
	.ipv4 = { 10, 9, 0, 1 }, .mac = { 2, 0, 0, 0, 9, 1 }, .memcached_port = 11211,
	.serve = { .native_port = 7411 },
};
static struct counters fixed_counters[2];
static uint64_t cycles;

const struct node_config *
node_config(const struct node *node)
{
	(void)node;
	return &fixed;
}

const struct counters *
node_counters(const struct node *node, uint32_t worker)
{
	(void)node;
	return &fixed_counters[worker];
}

void
node_port_info(const struct node *node, uint32_t worker, struct port_info *info)
{
	(void)node;
	*info = (struct port_info){ .device = "net_af_xdp0", .driver = "net_af_xdp", .interface = "e0",
		.port = (uint16_t)worker, .numa_node = -1, .rx_missed = 5 };
}

struct store *
node_store(const struct node *node)
{
	(void)node;
	return NULL;
}

uint32_t
store_shard_count(const struct store *store)
{
	(void)store;
	return 2;
}

struct shard *
store_shard(struct store *store, uint32_t index)
{
	(void)store;
	(void)index;
	return NULL;
}

void
shard_stats(const struct shard *shard, struct shard_stats *stats)
{
	(void)shard;
	*stats = (struct shard_stats){ .items = 10, .item_bytes = 1ull << 33, .budget_bytes = 1 << 20 };
}

uint32_t
io_queue_of(const struct io_config *config, uint32_t worker)
{
	(void)config;
	return worker;
}

uint64_t
io_cycles(void)
{
	return cycles;
}

uint64_t
io_cycles_hz(void)
{
	return 1000;
}

/* --- a client ------------------------------------------------------------------------ */

static char path[64];
static _Atomic uint32_t stalled;

/* Sends a request, returns status; *body is the parsed body, to be decref'd, or NULL. */
static int
ask(const char *method, const char *url, const char *data, json_t **body)
{
	static char answer[1 << 18];
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char request[4096];
	size_t len = 0;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), status = 0;

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	int n = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: n1\r\nConnection: close\r\n"
	    "Content-Length: %zu\r\n\r\n%s", method, url, strlen(data), data);
	assert_int_equal(write(fd, request, (size_t)n), n);
	for (ssize_t got; (got = read(fd, answer + len, sizeof answer - 1 - len)) > 0;)
		len += (size_t)got;
	close(fd);
	answer[len] = '\0';
	sscanf(answer, "HTTP/1.1 %d", &status);
	const char *at = strstr(answer, "\r\n\r\n");
	if (body)
		*body = at ? json_loads(at + 4, 0, NULL) : NULL;
	return status;
}

static struct api *api;

static int
start(void **state)
{
	const struct api_config config = { path, "n1", NULL, &stalled };
	struct error error;

	(void)state;
	snprintf(path, sizeof path, "/tmp/test_api.%d.sock", (int)getpid());
	fixed.serve.start_wall_ms = (uint64_t)time(NULL) * 1000 - 100000;
	for (int w = 0; w < 2; w++) {
		counter_add(&fixed_counters[w], COUNTER_POLLS, 100 + (uint64_t)w);
		counter_add(&fixed_counters[w], COUNTER_CMD_GET, 7);
		counters_bump(&fixed_counters[w].drops[DROP_RUNT], 1);
	}
	api = api_start(&config, &error);
	return api ? 0 : -1;
}

static int
stop(void **state)
{
	(void)state;
	api_stop(api);
	return access(path, F_OK) == 0 ? -1 : 0; /* the socket is gone */
}

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
	stalled = 2;
	assert_int_equal(ask("GET", "/healthz", "", &body), 503);
	assert_int_equal(json_integer_value(json_array_get(json_object_get(body, "stalled_workers"), 0)), 1);
	json_decref(body);
	stalled = 0;
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
	assert_int_equal(json_array_size(body), 4); /* native twice, memcached, control; echo is off */
	assert_string_equal(json_string_value(json_object_get(json_array_get(body, 1), "local")), "10.9.0.1:7412");
	assert_string_equal(json_string_value(json_object_get(json_array_get(body, 2), "service")), "memcached");
	assert_string_equal(json_string_value(json_object_get(json_array_get(body, 3), "local")), path);
	json_decref(body);
}

static void
the_log_level_changes_by_a_word(void **state)
{
	static const char *const bad[] = { "", "loud", "debugdebugdebugdebugdebugdebugdebugdebugdebugdebugdebugdebugdebug" };
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
	const struct api_config config = { path, "n1", NULL, &stalled };
	struct error error;

	(void)state;
	assert_null(api_start(&config, &error));
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
	    "worker1_mac 02:00:00:00:09:01\n");
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
	status = keyfile_read(name, key, error);
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
	assert_int_equal(keyfile_read("/nonexistent/key", key, &error), STATUS_INVALID);
	assert_int_equal(keyfile_read("/tmp", key, &error), STATUS_INVALID);
	assert_non_null(strstr(error.text, "not a regular file"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_socket_is_its_owners_only),
		cmocka_unit_test(health_is_lost_when_a_worker_stalls),
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
