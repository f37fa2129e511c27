/*
 * api_rig.h - the control plane over its real sockets, with a node made of fixed
 * figures in place of ports, workers and store; and a client.
 *
 * Included by one test program each: it defines the node's functions.
 */
#ifndef TESTS_API_RIG_H
#define TESTS_API_RIG_H

#include <ctype.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "control/openapi.h"
#include "control/percent.h"
#include "control/route.h"
#include "app/slipringd/api.h"
#include "app/slipringd/cache.h"
#include "app/slipringd/core.h"
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
static struct counters fixed_counters[2], fixed_core_counters;
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

const struct counters *
node_core_counters(const struct node *node)
{
	(void)node;
	return &fixed_core_counters;
}

void
node_port_info(const struct node *node, uint32_t worker, struct port_info *info)
{
	(void)node;
	*info = (struct port_info){ .device = "net_af_xdp0", .driver = "net_af_xdp", .interface = "e0",
		.port = (uint16_t)worker, .numa_node = -1, .rx_missed = 5, .tails = PORT_TAILS_MEMORY };
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

void
store_stats(struct store *store, struct shard_stats *sum)
{
	(void)store;
	*sum = (struct shard_stats){ .items = 20, .item_bytes = 1ull << 34, .refused_memory = 3, .refused_retired = 4 };
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

/* --- the cluster: none, unless a program fills these before start ------------------------ */

static bool clustered;
static struct core_view fixed_view;
static struct ring_snapshot fixed_ring;
static bool fixed_placed;
static struct core_event fixed_events[2000]; /* sequence is the index + 1 */
static _Atomic uint32_t fixed_event_count;
static struct core_command command_given; /* the last one */
static bool core_is_busy;

struct core *
node_core(const struct node *node)
{
	(void)node;
	return clustered ? (struct core *)&fixed_view : NULL;
}

void
core_view(struct core *core, struct core_view *view)
{
	(void)core;
	*view = fixed_view;
}

bool
core_ring(struct core *core, struct ring_snapshot *snapshot)
{
	(void)core;
	if (fixed_placed)
		*snapshot = fixed_ring;
	return fixed_placed;
}

/* Keeps the last 1024, as the core does. */
uint32_t
core_events(struct core *core, uint64_t *sequence, struct core_event *events, uint32_t n)
{
	uint32_t count = fixed_event_count, given = 0;
	uint64_t from = count > CORE_EVENTS ? count - CORE_EVENTS : 0;

	(void)core;
	if (*sequence > from)
		from = *sequence;
	for (; from < count && given < n; from++)
		events[given++] = fixed_events[from];
	if (given)
		*sequence = events[given - 1].sequence;
	return given;
}

bool
core_command(struct core *core, const struct core_command *command)
{
	(void)core;
	command_given = *command;
	return !core_is_busy;
}

const char *
core_phase_name(enum core_phase phase)
{
	static const char *const names[] = { "joining", "member", "draining", "leaving", "left", "refused" };

	return names[phase];
}

/* --- the cache --------------------------------------------------------------------------- */

/* A cache of one operation's answer, given at once or refused. */
static struct cache_op cache_answer;
static struct cache_op cache_asked; /* the last operation; its views are dead */
static bool cache_full;

struct cache *
cache_start(const struct node *node, struct error *error)
{
	(void)node;
	(void)error;
	return (struct cache *)&cache_answer;
}

void
cache_stop(struct cache *cache)
{
	(void)cache;
}

void
cache_free(struct cache *cache)
{
	(void)cache;
}

/* A job for many nodes: what a program's own function says; by default OK, and nothing done. */
static void (*on_together)(struct cache_op *op);

static inline void
answer_together(struct cache_job *job)
{
	for (uint32_t i = 0; i < job->count; i++) {
		struct cache_op *op = &job->ops[i];

		cache_asked = *op;
		op->items = op->total_len = 0;
		if (on_together) {
			on_together(op);
			continue;
		}
		op->status = OP_STATUS_OK;
		op->shards = 1;
		op->cursor = 0;
		op->data = op->op == OP_KEYS ? calloc(1, 1) : NULL;
	}
	job->done(job);
}

bool
cache_submit(struct cache *cache, struct cache_job *job)
{
	(void)cache;
	if (cache_full)
		return false;
	if (job->together) {
		answer_together(job);
		return true;
	}
	for (uint32_t i = 0; i < job->count; i++) {
		struct cache_op *op = &job->ops[i];

		cache_asked = *op;
		op->status = cache_answer.status;
		op->version = cache_answer.version;
		op->ttl_ms = cache_answer.ttl_ms;
		op->total_len = cache_answer.total_len;
		if (op->op == OP_GET && op->status == OP_STATUS_OK)
			op->data = (uint8_t *)strndup("value", op->total_len);
	}
	job->done(job);
	return true;
}

/* --- a client ------------------------------------------------------------------------ */

static char path[64], tokens_path[64];
static uint16_t tcp_port;
static struct faults faults;
static char answer[1 << 20]; /* to the last request */

static inline int
open_unix(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static inline int
open_tcp(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(tcp_port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

/* Sends these bytes, reads to the end; returns the status, 0 without one. */
static inline int
send_raw(int fd, const char *request)
{
	size_t len = 0;
	int status = 0;

	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	for (ssize_t got; (got = read(fd, answer + len, sizeof answer - 1 - len)) > 0;)
		len += (size_t)got;
	close(fd);
	answer[len] = '\0';
	sscanf(answer, "HTTP/1.1 %d", &status);
	return status;
}

static inline const char *
body_of_answer(void)
{
	const char *at = strstr(answer, "\r\n\r\n");

	return at ? at + 4 : "";
}

/* Sends a request, returns status; *body is the parsed body, to be decref'd, or NULL. */
static inline int
ask(const char *method, const char *url, const char *data, json_t **body)
{
	char request[4096];

	snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: n1\r\nConnection: close\r\n"
	    "Content-Length: %zu\r\n\r\n%s", method, url, strlen(data), data);
	int status = send_raw(open_unix(), request);
	if (body)
		*body = json_loads(body_of_answer(), JSON_ALLOW_NUL, NULL);
	return status;
}

/* Over TCP; fields is whole lines. Returns the status; *code is the error's, or "". */
static inline int
ask_tcp(const char *method, const char *url, const char *fields_given, char code[32])
{
	char request[4096];

	snprintf(request, sizeof request, "%s %s HTTP/1.1\r\n%sConnection: close\r\n\r\n", method, url, fields_given);
	int status = send_raw(open_tcp(), request);
	json_t *body = json_loads(body_of_answer(), JSON_ALLOW_NUL, NULL);
	const char *given = json_string_value(json_object_get(body, "code"));
	snprintf(code, 32, "%s", given ? given : "");
	json_decref(body);
	return status;
}

/* --- replies against the openapi document ------------------------------------------------- */

static inline bool
has_type(json_t *value, const char *type)
{
	if (strcmp(type, "string") == 0)
		return json_is_string(value);
	if (strcmp(type, "integer") == 0)
		return json_is_integer(value);
	if (strcmp(type, "number") == 0)
		return json_is_number(value);
	if (strcmp(type, "boolean") == 0)
		return json_is_boolean(value);
	return strcmp(type, "array") == 0 ? json_is_array(value) : json_is_object(value);
}

/* A reply has exactly the members that the openapi document lists, of their types. */
static inline void
expect_members(const char *where, json_t *object, json_t *schema)
{
	json_t *properties = json_object_get(schema, "properties"), *property;
	const char *name;

	assert_true(json_object_size(properties) > 0);
	assert_int_equal(json_array_size(json_object_get(schema, "required")), json_object_size(properties));
	if (json_object_size(object) != json_object_size(properties))
		fail_msg("%s: %zu members, not %zu", where, json_object_size(object), json_object_size(properties));
	json_object_foreach(properties, name, property) {
		json_t *value = json_object_get(object, name);

		if (json_is_null(value) && json_is_true(json_object_get(property, "nullable")))
			continue;
		if (!value || !has_type(value, json_string_value(json_object_get(property, "type"))))
			fail_msg("%s: member %s is missing or of another type", where, name);
	}
}

static inline json_t *
at(json_t *object, const char *const *keys)
{
	for (; *keys; keys++)
		object = json_object_get(object, *keys);
	return object;
}

static struct api *api;
static struct config config;
static struct security *security;

static inline void
write_file(const char *name, const char *text, mode_t mode)
{
	unlink(name);
	FILE *file = fopen(name, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	chmod(name, mode);
}

/* A port that was free a moment ago. */
static inline uint16_t
free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static inline void
configure(void)
{
	struct schema schema = config_schema(0);

	schema_defaults(&schema, &config);
	snprintf(path, sizeof path, "/tmp/test_api.%d.sock", (int)getpid());
	snprintf(tokens_path, sizeof tokens_path, "/tmp/test_api.%d.tokens", (int)getpid());
	write_file(tokens_path, "# name scope token\nreader read read-token\n\nwriter\twrite write-token # of the job\n"
	    "boss admin boss-token\n", 0600);
	tcp_port = free_port();
	snprintf(config.node_id, sizeof config.node_id, "n1");
	snprintf(config.control_socket, sizeof config.control_socket, "%s", path);
	snprintf(config.control_listen, sizeof config.control_listen, "127.0.0.1:%u", tcp_port);
	snprintf(config.control_tokens_file, sizeof config.control_tokens_file, "%s", tokens_path);
	config.control_host_names.count = 1;
	snprintf(config.control_host_names.values[0], VALUE_ITEM_SIZE, "cache.example");
}

static inline int
start(void **state)
{
	struct error error;

	(void)state;
	configure();
	fixed.serve.start_wall_ms = (uint64_t)time(NULL) * 1000 - 100000;
	for (int w = 0; w < 2; w++) {
		counter_add(&fixed_counters[w], COUNTER_POLLS, 100 + (uint64_t)w);
		counter_add(&fixed_counters[w], COUNTER_CMD_GET, 7);
		counters_bump(&fixed_counters[w].drops[DROP_RUNT], 1);
	}
	if (api_security(&config, &security, &error) != STATUS_OK)
		return -1;
	api = api_start(&(struct api_config){ &config, NULL, &faults, security }, &error);
	return api ? 0 : -1;
}

static inline int
stop(void **state)
{
	(void)state;
	api_stop(api);
	security_free(security);
	unlink(tokens_path);
	return access(path, F_OK) == 0 ? -1 : 0; /* the socket is gone */
}

#endif
