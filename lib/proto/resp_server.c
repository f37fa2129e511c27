/* resp_server.c - commands about the node: INFO, CONFIG, TIME, and the diagnostics that tools ask for. */
#include <stdio.h>

#include "proto/resp.h"

/* --- INFO --------------------------------------------------------------------------- */

struct info {
	struct resp_out out;
	const struct stream_facts *facts;
	const struct now *now;
};

static uint64_t
sum(const struct stream_facts *facts, enum counter counter)
{
	return counters_sum(facts->counters, facts->worker_count, counter);
}

static void
line(struct info *info, const char *name, uint64_t number)
{
	resp_format(&info->out, "%s:%llu\r\n", name, (unsigned long long)number);
}

static void
line_text(struct info *info, const char *name, const char *text)
{
	resp_format(&info->out, "%s:%s\r\n", name, text);
}

static uint64_t
uptime_s(const struct info *info)
{
	uint64_t start = info->facts->start_wall_ms;

	return info->now->wall_ms > start ? (info->now->wall_ms - start) / MS_PER_SEC : 0;
}

static void
server(struct info *info)
{
	line_text(info, "redis_version", RESP_REDIS_VERSION);
	line_text(info, "slipring_version", info->facts->version);
	line_text(info, "redis_mode", info->facts->ring ? "cluster" : "standalone");
	line_text(info, "os", "Linux");
	line(info, "arch_bits", 64);
	line(info, "process_id", info->facts->process_id);
	line_text(info, "run_id", info->facts->node_name);
	line(info, "tcp_port", info->facts->resp_port);
	line(info, "server_time_usec", info->now->wall_ms * 1000);
	line(info, "uptime_in_seconds", uptime_s(info));
	line(info, "uptime_in_days", uptime_s(info) / 86400);
	line(info, "io_threads_active", info->facts->worker_count);
}

static void
clients(struct info *info)
{
	line(info, "connected_clients", info->facts->connections);
	line(info, "maxclients", info->facts->connections_max);
	line(info, "blocked_clients", 0);
	line(info, "tracking_clients", 0);
}

static void
memory(struct info *info)
{
	const struct stream_store_figures *store = &info->facts->store;

	line(info, "used_memory", store->active_bytes + store->table_bytes);
	line(info, "used_memory_dataset", store->item_bytes);
	line(info, "used_memory_overhead", store->table_bytes);
	line(info, "maxmemory", info->facts->memory_bytes);
	line_text(info, "maxmemory_policy", "allkeys-lfu");
	line_text(info, "mem_allocator", "jemalloc");
}

/* Nothing is written to disk; tools look for these lines all the same. */
static void
persistence(struct info *info)
{
	line(info, "loading", 0);
	line(info, "async_loading", 0);
	line(info, "rdb_bgsave_in_progress", 0);
	line(info, "aof_enabled", 0);
	line(info, "aof_rewrite_in_progress", 0);
}

static uint64_t
operations(const struct stream_facts *facts)
{
	return counters_operations(facts->counters, facts->worker_count);
}

static void
stats(struct info *info)
{
	const struct stream_facts *facts = info->facts;

	line(info, "total_connections_received", facts->connections_total);
	line(info, "total_commands_processed", operations(facts));
	line(info, "instantaneous_ops_per_sec", facts->operations_per_second);
	line(info, "total_net_input_bytes", sum(facts, COUNTER_RX_BYTES));
	line(info, "total_net_output_bytes", sum(facts, COUNTER_TX_BYTES));
	line(info, "rejected_connections", 0);
	line(info, "expired_keys", facts->store.expired_reclaimed);
	line(info, "evicted_keys", facts->store.evictions);
	line(info, "keyspace_hits", sum(facts, COUNTER_GET_HITS));
	line(info, "keyspace_misses", sum(facts, COUNTER_GET_MISSES));
	line(info, "pubsub_channels", 0);
	line(info, "pubsub_patterns", 0);
	line(info, "latest_fork_usec", 0);
}

/* To clients every node is a master without replicas: owners of a slot are equals. */
static void
replication(struct info *info)
{
	line_text(info, "role", "master");
	line(info, "connected_slaves", 0);
	line(info, "master_repl_offset", 0);
}

static void
command_stats(struct info *info)
{
	const struct stream_facts *facts = info->facts;

	resp_format(&info->out, "cmdstat_get:calls=%llu\r\n", (unsigned long long)sum(facts, COUNTER_CMD_GET));
	resp_format(&info->out, "cmdstat_set:calls=%llu\r\n", (unsigned long long)sum(facts, COUNTER_CMD_SET));
	resp_format(&info->out, "cmdstat_del:calls=%llu\r\n", (unsigned long long)sum(facts, COUNTER_CMD_DELETE));
	resp_format(&info->out, "cmdstat_expire:calls=%llu\r\n", (unsigned long long)sum(facts, COUNTER_CMD_TOUCH));
	resp_format(&info->out, "cmdstat_incr:calls=%llu\r\n",
	    (unsigned long long)(sum(facts, COUNTER_INCR_HITS) + sum(facts, COUNTER_INCR_MISSES)));
	resp_format(&info->out, "cmdstat_flushall:calls=%llu\r\n", (unsigned long long)sum(facts, COUNTER_CMD_FLUSH));
}

static void
cluster(struct info *info)
{
	line(info, "cluster_enabled", info->facts->ring != NULL);
}

static void
keyspace(struct info *info)
{
	if (info->facts->store.items > 0)
		resp_format(&info->out, "db0:keys=%llu,expires=0,avg_ttl=0\r\n", (unsigned long long)info->facts->store.items);
}

static const struct {
	const char *name, *title;
	void (*put)(struct info *);
	bool usual; /* without being asked for */
} sections[] = {
	{ "server", "Server", server, true }, { "clients", "Clients", clients, true }, { "memory", "Memory", memory, true },
	{ "persistence", "Persistence", persistence, true }, { "stats", "Stats", stats, true },
	{ "replication", "Replication", replication, true }, { "commandstats", "Commandstats", command_stats, false },
	{ "cluster", "Cluster", cluster, true }, { "keyspace", "Keyspace", keyspace, true },
};

static bool
is_wanted(uint32_t section, const struct resp_args *args)
{
	if (args->count == 1)
		return sections[section].usual;
	for (uint32_t i = 1; i < args->held; i++) {
		if (resp_is(args->at[i], "all") || resp_is(args->at[i], "everything") ||
		    (resp_is(args->at[i], "default") && sections[section].usual) ||
		    resp_is(args->at[i], sections[section].name))
			return true;
	}
	return false;
}

void
resp_compose_info(struct resp_compose *c, const struct resp_run *run)
{
	struct info info = { .facts = c->reply->facts, .now = c->reply->now };
	struct outq queue = { 0 };
	struct resp_args args;
	bool begun = false;

	resp_args_of(c, run, &args);
	resp_out_begin(&info.out, c->reply->blocks, &queue);
	for (uint32_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
		if (!is_wanted(i, &args))
			continue;
		resp_format(&info.out, "%s# %s\r\n", begun ? "\r\n" : "", sections[i].title);
		sections[i].put(&info);
		begun = true;
	}
	resp_verbatim(c, &info.out);
}

/* --- CONFIG ------------------------------------------------------------------------- */

enum { SETTING_SIZE = 48 };

struct setting {
	const char *name;
	const char *text;                                                    /* or */
	uint64_t (*number)(const struct stream_facts *facts);
};

static uint64_t maxmemory(const struct stream_facts *facts) { return facts->memory_bytes; }
static uint64_t maxclients(const struct stream_facts *facts) { return facts->connections_max; }
static uint64_t port(const struct stream_facts *facts) { return facts->resp_port; }

/* What clients and tools ask for, by name; nothing that has no counterpart here. */
static const struct setting settings[] = {
	{ "appendonly", "no", NULL },
	{ "databases", "1", NULL },
	{ "io-threads", "1", NULL },
	{ "latency-monitor-threshold", "0", NULL },
	{ "lfu-log-factor", "0", NULL },
	{ "maxclients", NULL, maxclients },
	{ "maxmemory", NULL, maxmemory },
	{ "maxmemory-policy", "allkeys-lfu", NULL },
	{ "notify-keyspace-events", "", NULL },
	{ "port", NULL, port },
	{ "proto-max-bulk-len", "1048576", NULL },
	{ "save", "", NULL },
	{ "slowlog-log-slower-than", "-1", NULL },
	{ "slowlog-max-len", "0", NULL },
	{ "timeout", "0", NULL },
};

enum { SETTINGS = sizeof settings / sizeof settings[0] };

static bool
is_asked(const struct setting *setting, const struct resp_args *args)
{
	struct resp_walk walk = resp_walk_from(args, 2);
	struct view pattern;

	while (resp_walk_next(&walk, &pattern))
		if (resp_glob(pattern, view_text(setting->name), true))
			return true;
	return false;
}

void
resp_compose_config_get(struct resp_compose *c, const struct resp_run *run)
{
	struct resp_args args;
	uint32_t count = 0;

	resp_args_of(c, run, &args);
	for (uint32_t i = 0; i < SETTINGS; i++)
		count += is_asked(&settings[i], &args);
	resp_map(c, count);
	for (uint32_t i = 0; i < SETTINGS; i++) {
		char number[SETTING_SIZE];

		if (!is_asked(&settings[i], &args))
			continue;
		resp_bulk_text(&c->out, settings[i].name);
		if (settings[i].number)
			snprintf(number, sizeof number, "%llu", (unsigned long long)settings[i].number(c->reply->facts));
		resp_bulk_text(&c->out, settings[i].text ? settings[i].text : number);
	}
}

void
resp_parse_config_refused(struct resp_parse *p)
{
	resp_refuse(p, p->command->verb == RESP_CONFIG_RESETSTAT ? RESP_REPLY_RESET_REFUSED : RESP_REPLY_CONFIG_REFUSED);
}

void
resp_parse_debug(struct resp_parse *p)
{
	resp_refuse(p, RESP_REPLY_DEBUG_REFUSED);
}

/* --- the rest ----------------------------------------------------------------------- */

void
resp_compose_time(struct resp_compose *c, const struct resp_run *run)
{
	uint64_t ms = c->reply->now->wall_ms;
	char text[24];

	(void)run;
	resp_array(&c->out, 2);
	snprintf(text, sizeof text, "%llu", (unsigned long long)(ms / 1000));
	resp_bulk_text(&c->out, text);
	snprintf(text, sizeof text, "%llu", (unsigned long long)(ms % 1000 * 1000));
	resp_bulk_text(&c->out, text);
}

void
resp_parse_wait(struct resp_parse *p)
{
	int64_t replicas, timeout;

	if (!resp_number(p->args.at[1], &replicas))
		resp_refuse(p, RESP_REPLY_NOT_INTEGER);
	else if (!resp_number(p->args.at[2], &timeout))
		resp_refuse(p, RESP_REPLY_BAD_TIMEOUT);
	else
		resp_refuse(p, timeout < 0 ? RESP_REPLY_NEGATIVE_TIMEOUT : RESP_REPLY_ZERO);
}

void
resp_compose_role(struct resp_compose *c, const struct resp_run *run)
{
	(void)run;
	resp_array(&c->out, 3);
	resp_bulk_text(&c->out, "master");
	resp_integer(&c->out, 0);
	resp_array(&c->out, 0);
}

/* Nothing is logged: CONFIG GET says that logging is off (slowlog-log-slower-than -1). */
void
resp_parse_slowlog(struct resp_parse *p)
{
	int64_t count = 0;

	if (p->args.count > 3)
		resp_refuse(p, RESP_REPLY_SUB_ARITY);
	else if (p->args.count == 3 && !resp_number(p->args.at[2], &count))
		resp_refuse(p, RESP_REPLY_SLOWLOG_COUNT);
	else
		resp_refuse(p, count < -1 ? RESP_REPLY_SLOWLOG_COUNT : RESP_REPLY_COMPOSED);
}

void
resp_compose_slowlog(struct resp_compose *c, const struct resp_run *run)
{
	if (run->command->verb == RESP_SLOWLOG_LEN)
		resp_integer(&c->out, 0);
	else
		resp_array(&c->out, 0);
}

/* Nothing is recorded either (latency-monitor-threshold 0); the node's own histograms are elsewhere. */
void
resp_compose_latency(struct resp_compose *c, const struct resp_run *run)
{
	struct outq queue = { 0 };
	struct resp_out text;

	switch (run->command->verb) {
	case RESP_LATENCY_RESET:
		resp_integer(&c->out, 0);
		break;
	case RESP_LATENCY_HISTOGRAM:
		resp_map(c, 0);
		break;
	case RESP_LATENCY_DOCTOR:
		resp_out_begin(&text, c->reply->blocks, &queue);
		resp_text(&text, "Latency monitoring is not a part of this server's RESP; see its metrics.\n");
		resp_verbatim(c, &text);
		break;
	default:
		resp_array(&c->out, 0);
		break;
	}
}
