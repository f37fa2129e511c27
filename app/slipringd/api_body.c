#include "slipringd/api_body.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "slipringd/api_cluster.h"
#include "slipringd/api_process.h"
#include "slipringd/facts.h"

static uint32_t
worker_count(const struct api_config *config)
{
	return node_config(config->node)->io.worker_count;
}

uint32_t
api_stalled(const struct api_config *config)
{
	return atomic_load_explicit(&config->faults->stalled, memory_order_relaxed);
}

uint32_t
api_deaf(const struct api_config *config)
{
	return atomic_load_explicit(&config->faults->deaf, memory_order_relaxed);
}

static json_t *
workers_array(const struct api_config *config, uint32_t bits)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < worker_count(config); i++)
		if (bits >> i & 1)
			json_array_append_new(list, json_integer(i));
	return list;
}

json_t *
api_body_health(const struct api_config *config, bool *healthy)
{
	uint32_t stalled = api_stalled(config), deaf = api_deaf(config);

	*healthy = stalled == 0 && deaf == 0;
	return json_pack("{s:s, s:s, s:o, s:o}", "status", stalled ? "stalled" : deaf ? "deaf" : "ok", "node",
	    config->config->node_id, "stalled_workers", workers_array(config, stalled), "deaf_workers",
	    workers_array(config, deaf));
}

json_t *
api_body_ready(struct api_view *view, bool *ready)
{
	const struct api_config *config = view->config;
	uint32_t stalled = api_stalled(config), deaf = api_deaf(config);
	json_t *reasons = json_array();
	const char *unready;

	api_view_take(view);
	unready = api_cluster_unready(view);
	if (unready)
		json_array_append_new(reasons, json_string(unready));
	for (uint32_t i = 0; i < worker_count(config); i++) {
		if (stalled >> i & 1)
			json_array_append_new(reasons, json_sprintf("worker %u does not poll", i));
		if (deaf >> i & 1)
			json_array_append_new(reasons, json_sprintf("worker %u does not receive what comes to its port", i));
	}
	*ready = json_array_size(reasons) == 0;
	return json_pack("{s:s, s:s, s:o}", "status", *ready ? "ready" : "unready", "node", config->config->node_id,
	    "reasons", reasons);
}

/* --- statistics ------------------------------------------------------------------ */

static void
add_counters(struct counters *sum, const struct counters *one)
{
	for (int i = 0; i < COUNTER_COUNT; i++)
		sum->values[i] += counter_read(one, i);
	for (int i = 0; i < DROP_COUNT; i++)
		sum->drops[i] += drop_read(one, i);
}

static json_t *
counters_object(const struct counters *counters)
{
	json_t *object = json_object();

	for (int i = 0; i < COUNTER_COUNT; i++)
		json_object_set_new(object, counter_name(i), json_integer((json_int_t)counter_read(counters, i)));
	return object;
}

static json_t *
drops_object(const struct counters *counters)
{
	json_t *object = json_object();

	for (int i = DROP_NONE + 1; i < DROP_COUNT; i++)
		json_object_set_new(object, drop_name(i), json_integer((json_int_t)drop_read(counters, i)));
	return object;
}

static json_t *
store_object(const struct node *node)
{
	json_t *object = json_object();
	struct shard_stats sum;

	store_stats(node_store(node), &sum);
#define FIGURE(name, metric, type, text) json_object_set_new(object, #name, json_integer((json_int_t)sum.name));
#include "store/figure.def"
#undef FIGURE
	return object;
}

static json_int_t
uptime_seconds(const struct api_config *config)
{
	uint64_t now = (uint64_t)time(NULL), start = node_config(config->node)->serve.start_wall_ms / MS_PER_SEC;

	return now > start ? (json_int_t)(now - start) : 0;
}

json_t *
api_body_stats(const struct api_config *config)
{
	struct counters sum = { 0 };
	json_t *workers = json_array();

	for (uint32_t i = 0; i < worker_count(config); i++) {
		const struct counters *counters = node_counters(config->node, i);

		add_counters(&sum, counters);
		json_array_append_new(workers, json_pack("{s:i, s:o, s:o}", "worker", (int)i, "counters",
		    counters_object(counters), "drops", drops_object(counters)));
	}
	if (node_core_counters(config->node))
		add_counters(&sum, node_core_counters(config->node));
	return json_pack("{s:s, s:s, s:I, s:o, s:o, s:o, s:o}", "node", config->config->node_id, "version", SLIPRING_VERSION,
	    "uptime_seconds", uptime_seconds(config), "counters", counters_object(&sum), "drops", drops_object(&sum),
	    "store", store_object(config->node), "workers", workers);
}

/* --- workers ----------------------------------------------------------------------- */

void
api_sample_take(struct api_sample *sample, const struct node *node)
{
	sample->cycles = io_cycles();
	for (uint32_t i = 0; i < node_config(node)->io.worker_count; i++)
		sample->busy[i] = counter_read(node_counters(node, i), COUNTER_BUSY_CYCLES);
}

double
api_busy_ratio(const struct api_config *config, const struct api_sample *since, uint32_t worker)
{
	uint64_t busy = counter_read(node_counters(config->node, worker), COUNTER_BUSY_CYCLES) - since->busy[worker];
	uint64_t all = io_cycles() - since->cycles;

	return all ? (double)(busy * 10000 / all) / 10000 : 0;
}

static json_t *
worker_object(const struct api_config *config, const struct api_sample *since, uint32_t worker)
{
	static const enum counter shown[] = { COUNTER_POLLS, COUNTER_POLLS_BUSY, COUNTER_SLEEPS, COUNTER_RX_FRAMES,
		COUNTER_TX_FRAMES };
	const struct counters *counters = node_counters(config->node, worker);
	struct facts_worker facts;
	struct port_info port;

	node_port_info(config->node, worker, &port);
	facts_worker(node_config(config->node), &port, worker, &facts);
	json_t *object = json_pack("{s:i, s:i, s:s, s:i, s:i, s:i, s:s, s:s, s:s, s:s, s:s, s:f, s:I, s:I, s:I}",
	    "worker", (int)worker, "lcore", (int)facts.lcore, "cpus", facts.cpus, "numa", facts.numa, "port",
	    (int)facts.port, "queue", (int)facts.queue, "interface", facts.interface, "device", facts.device,
	    "driver", facts.driver, "large_values", facts.large_values, "mac", facts.mac, "busy_ratio", api_busy_ratio(config, since, worker),
	    "rx_missed", (json_int_t)port.rx_missed, "rx_nombuf", (json_int_t)port.rx_nombuf, "tx_errors",
	    (json_int_t)port.tx_errors);
	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
		json_object_set_new(object, counter_name(shown[i]),
		    json_integer((json_int_t)counter_read(counters, shown[i])));
	return object;
}

json_t *
api_body_workers(const struct api_config *config, const struct api_sample *since)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < worker_count(config); i++)
		json_array_append_new(array, worker_object(config, since, i));
	return array;
}

/* --- sockets ------------------------------------------------------------------------- */

static void
add_socket(json_t *array, const char *protocol, const char *local, const char *service, const char *detail)
{
	json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:s}", "protocol", protocol, "local", local,
	    "service", service, "detail", detail));
}

json_t *
api_body_sockets(const struct api_config *config)
{
	struct facts_socket sockets[FACTS_SOCKETS_MAX];
	uint32_t count = facts_sockets(node_config(config->node), sockets);
	json_t *array = json_array();

	for (uint32_t i = 0; i < count; i++)
		add_socket(array, sockets[i].protocol, sockets[i].local, sockets[i].service, sockets[i].detail);
	add_socket(array, "unix", config->config->control_socket, "control", "HTTP");
	if (*config->config->control_listen)
		add_socket(array, "tcp", config->config->control_listen, "control",
		    *config->config->control_tls_cert ? "HTTPS" : "HTTP");
	return array;
}

/* --- the configuration --------------------------------------------------------------------- */

json_t *
api_body_config(const struct api_config *config)
{
	const struct schema schema = config_schema(0);
	json_t *array = json_array();
	char value[CONFIG_VALUE_SIZE], place[PLACE_SIZE];

	for (uint32_t i = 0; i < schema.count; i++) {
		schema_print_value(&schema.keys[i], config->config, value, sizeof value);
		config_place(config->config, &schema, i, place, sizeof place);
		json_array_append_new(array, json_pack("{s:s, s:s, s:s}", "key", schema.keys[i].path, "value", value, "origin",
		    place));
	}
	return array;
}

/* --- the process --------------------------------------------------------------------------- */

static json_t *
arguments_list(void)
{
	json_t *array = json_array();
	char text[4096];
	size_t len = process_arguments(text, sizeof text);

	for (size_t at = 0; at < len; at += strlen(text + at) + 1)
		json_array_append_new(array, json_string_nocheck(text + at));
	return array;
}

static json_t *
process_object(void)
{
	struct process_figures p;

	process_figures(&p);
	return json_pack("{s:f, s:I, s:I, s:I, s:I, s:I, s:I}", "cpu_seconds", p.cpu_seconds, "resident_bytes",
	    (json_int_t)p.resident_bytes, "virtual_bytes", (json_int_t)p.virtual_bytes, "open_fds", (json_int_t)p.open_fds,
	    "max_fds", (json_int_t)p.max_fds, "threads", (json_int_t)p.threads, "start_seconds", (json_int_t)p.start_seconds);
}

static json_t *
http_object(const struct http_figures *http)
{
	json_t *requests = json_object();
	char status[16];

	for (int i = 0; i < HTTP_STATUS_MAX; i++) {
		if (!http->by_status[i])
			continue;
		snprintf(status, sizeof status, "%d", i);
		json_object_set_new(requests, status, json_integer((json_int_t)http->by_status[i]));
	}
	return json_pack("{s:o, s:i, s:I}", "requests", requests, "connections", (int)http->connections, "overdue",
	    (json_int_t)http->overdue);
}

json_t *
api_body_debug(struct api_view *view, const struct http_figures *http)
{
	api_view_take(view);
	return json_pack("{s:o, s:s, s:I, s:o, s:o}", "cmdline", arguments_list(), "version", SLIPRING_VERSION, "era",
	    (json_int_t)view->now.cluster.epoch, "process", process_object(), "http", http_object(http));
}
