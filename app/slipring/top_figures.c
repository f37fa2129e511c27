/* Two looks at a node's counters as rates and shares. */
#include <string.h>

#include "clock.h"
#include "top.h"

struct look
look_take(struct cli *cli)
{
	struct look look = { .node = NULL };

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
