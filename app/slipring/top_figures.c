/* Two looks at a node's counters as rates and shares. */
#include <string.h>

#include "clock.h"
#include "top_nodes.h"

/* A cluster answers as long as one of its nodes does. */
static void
look_around(struct cli *cli, struct top_nodes *nodes, struct look *look)
{
	struct slipring_topology topology;
	json_t *one;
	size_t index;

	look->status = slipring_topology(cli->cache, &topology); /* who is there now */
	look->nodes = top_nodes_look(nodes);
	json_array_foreach(look->nodes, index, one)
		if (json_object_get(one, "stats"))
			look->status = SLIPRING_OK;
	if (look->status != SLIPRING_OK)
		snprintf(look->why, sizeof look->why, "%s", slipring_error(cli->cache));
	look->taken_ns = clock_ns();
}

struct look
look_take(struct cli *cli, struct top_nodes *nodes)
{
	struct look look = { .node = NULL };

	if (nodes) {
		look_around(cli, nodes, &look);
		return look;
	}
	look.node = stats_object(cli, "", &look.status);
	if (look.node)
		look.workers = stats_workers(cli, &look.status);
	if (look.status != SLIPRING_OK) {
		const char *why = slipring_error(cli->cache);

		snprintf(look.why, sizeof look.why, "%s", why[0] ? why : slipring_status_text(look.status));
		json_decref(look.node);
		look.node = NULL;
	}
	look.taken_ns = clock_ns();
	return look;
}

void
look_free(struct look *look)
{
	json_decref(look->node);
	json_decref(look->workers);
	json_decref(look->nodes);
	*look = (struct look){ .node = NULL };
}

static double
number(const json_t *object, const char *name)
{
	return (double)json_integer_value(json_object_get(object, name));
}

/* Growth of a counter. One that fell was reset by a restart: what it has is what grew. */
static double
growth(const json_t *before, const json_t *now, const char *name)
{
	double grown = number(now, name) - number(before, name);

	return grown >= 0 ? grown : number(now, name);
}

static void
set_share(json_t *object, const char *name, double part, double all)
{
	json_object_set_new(object, name, all > 0 ? json_real(part / all) : json_null());
}

static double
operations(const json_t *before, const json_t *now)
{
	static const char *const names[] = { "cmd_get", "cmd_set", "cmd_delete", "cmd_touch", "incr_hits", "incr_misses",
		"decr_hits", "decr_misses" };
	double sum = 0;

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		sum += growth(before, now, names[i]);
	return sum;
}

/* What node and worker have in common. */
static void
set_rates(json_t *figures, const json_t *before, const json_t *now, double seconds)
{
	static const struct {
		const char *counter, *name;
	} rates[] = { { "cmd_get", "gets_per_second" }, { "cmd_set", "sets_per_second" }, { "rx_frames", "rx_frames_per_second" },
		{ "tx_frames", "tx_frames_per_second" }, { "mail_run", "mails_per_second" }, { "sleeps", "sleeps_per_second" } };

	json_object_set_new(figures, "operations_per_second", json_real(operations(before, now) / seconds));
	for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
		json_object_set_new(figures, rates[i].name, json_real(growth(before, now, rates[i].counter) / seconds));
	set_share(figures, "hit_ratio", growth(before, now, "get_hits"),
	    growth(before, now, "get_hits") + growth(before, now, "get_misses"));
}

static json_t *
worker_figures(const json_t *before, const json_t *now, double seconds)
{
	json_t *figures = json_object(), *cpus = json_object_get(now, "cpus");
	double hz = number(now, "cycles_hz");

	if (cpus)
		json_object_set(figures, "cpus", cpus);
	set_rates(figures, before, now, seconds);
	set_share(figures, "busy_ratio", growth(before, now, "busy_cycles"), hz * seconds);
	return figures;
}

/* {"udp_port": {"total": 12, "per_second": 3}}: reasons that ever happened. */
static json_t *
drop_figures(const json_t *before, const json_t *now, double seconds, double *per_second)
{
	json_t *drops = json_object(), *value, *drop;
	const char *name;

	*per_second = 0;
	json_object_foreach((json_t *)now, name, value) {
		if (strncmp(name, "drop_", 5) != 0 || json_integer_value(value) == 0)
			continue;
		drop = json_object();
		json_object_set(drop, "total", value);
		json_object_set_new(drop, "per_second", json_real(growth(before, now, name) / seconds));
		*per_second += growth(before, now, name) / seconds;
		json_object_set_new(drops, name + 5, drop);
	}
	return drops;
}

static void
set_memory(json_t *figures, const json_t *now)
{
	static const char *const names[] = { "items", "active_bytes", "table_bytes", "budget_bytes" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		json_object_set(figures, names[i], json_object_get(now, names[i]));
	set_share(figures, "memory_ratio", number(now, "active_bytes") + number(now, "table_bytes"), number(now, "budget_bytes"));
}

json_t *
top_figures(const struct look *before, const struct look *now)
{
	json_t *figures, *workers, *worker;
	double seconds, drops_per_second;
	size_t index;

	if (!before->node || !now->node)
		return NULL;
	seconds = (double)(now->taken_ns - before->taken_ns) / 1e9;
	figures = json_object();
	json_object_set(figures, "version", json_object_get(now->node, "version"));
	json_object_set(figures, "uptime_seconds", json_object_get(now->node, "uptime_seconds"));
	json_object_set(figures, "epoch", json_object_get(now->node, "epoch"));
	json_object_set_new(figures, "interval_seconds", json_real(seconds));
	set_rates(figures, before->node, now->node, seconds);
	json_object_set_new(figures, "evictions_per_second", json_real(growth(before->node, now->node, "evictions") / seconds));
	set_memory(figures, now->node);
	json_object_set_new(figures, "drops", drop_figures(before->node, now->node, seconds, &drops_per_second));
	json_object_set_new(figures, "drops_per_second", json_real(drops_per_second));
	workers = json_array();
	json_array_foreach(now->workers, index, worker)
		json_array_append_new(workers, worker_figures(json_array_get(before->workers, index), worker, seconds));
	json_object_set_new(figures, "workers", workers);
	return figures;
}

/* --- several nodes ------------------------------------------------------------------------ */

static const json_t *
entry_of(const json_t *nodes, const char *where)
{
	size_t index;
	json_t *one;

	json_array_foreach((json_t *)nodes, index, one)
		if (strcmp(json_string_value(json_object_get(one, "node")), where) == 0)
			return one;
	return NULL;
}

static struct look
look_of(const json_t *one)
{
	return (struct look){ .node = json_object_get(one, "stats"), .workers = json_object_get(one, "workers"),
		.taken_ns = (uint64_t)json_integer_value(json_object_get(one, "taken_ns")) };
}

/* One node's figures, or that it does not answer. */
static json_t *
one_figures(const json_t *before, const json_t *now)
{
	struct look then = look_of(before), look = look_of(now);
	json_t *figures = top_figures(&then, &look), *rtt = json_object_get(now, "rtt_us");

	if (!figures)
		figures = json_object();
	json_object_set(figures, "node", json_object_get(now, "node"));
	json_object_set(figures, "status", json_object_get(now, "status"));
	if (rtt)
		json_object_set(figures, "rtt_us", rtt);
	if (json_object_get(now, "error"))
		json_object_set(figures, "error", json_object_get(now, "error"));
	return figures;
}

static double
sum_of(const json_t *nodes, const char *name)
{
	double sum = 0;
	size_t index;
	json_t *one;

	json_array_foreach((json_t *)nodes, index, one)
		sum += json_number_value(json_object_get(one, name));
	return sum;
}

/* Hits of all nodes over gets of all nodes. */
static void
set_hit_ratio(json_t *figures, const json_t *nodes)
{
	double hits = 0, gets = 0;
	size_t index;
	json_t *one;

	json_array_foreach((json_t *)nodes, index, one) {
		double rate = json_number_value(json_object_get(one, "gets_per_second"));

		gets += rate;
		hits += rate * json_number_value(json_object_get(one, "hit_ratio"));
	}
	set_share(figures, "hit_ratio", hits, gets);
}

json_t *
top_cluster_figures(const struct look *before, const struct look *now)
{
	static const char *const sums[] = { "operations_per_second", "gets_per_second", "sets_per_second",
		"rx_frames_per_second", "tx_frames_per_second", "drops_per_second", "evictions_per_second" };
	json_t *figures = json_object(), *nodes = json_array(), *one, *epoch = NULL;
	size_t index;

	if (!before->nodes || !now->nodes) {
		json_decref(figures);
		json_decref(nodes);
		return NULL;
	}
	json_array_foreach(now->nodes, index, one) {
		json_t *seen = json_object_get(json_object_get(one, "stats"), "epoch");

		if (seen && (!epoch || json_integer_value(seen) > json_integer_value(epoch)))
			epoch = seen;
		json_array_append_new(nodes, one_figures(entry_of(before->nodes, json_string_value(json_object_get(one, "node"))), one));
	}
	json_object_set(figures, "epoch", epoch ? epoch : json_null());
	json_object_set_new(figures, "interval_seconds", json_real((double)(now->taken_ns - before->taken_ns) / 1e9));
	for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++)
		json_object_set_new(figures, sums[i], json_real(sum_of(nodes, sums[i])));
	set_hit_ratio(figures, nodes);
	json_object_set_new(figures, "items", json_integer((json_int_t)sum_of(nodes, "items")));
	json_object_set_new(figures, "nodes", nodes);
	return figures;
}
