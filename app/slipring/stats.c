/* The node's statistics, lines "name value", as JSON objects in the node's order. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static void
set_figure(json_t *object, const char *name, const char *value)
{
	uint64_t number;

	if (number_parse(value, UINT64_MAX, &number))
		json_set_number(object, name, number);
	else
		json_set_text(object, name, "%s", value);
}

/* One line without its newline. */
static void
take_line(json_t *object, const char *line, size_t len)
{
	char text[512];
	char *blank;

	snprintf(text, sizeof text, "%.*s", (int)len, line);
	blank = strchr(text, ' ');
	if (blank)
		*blank = '\0';
	set_figure(object, text, blank ? blank + 1 : "");
}

json_t *
stats_object(struct cli *cli, const char *group, enum slipring_status *status)
{
	struct slipring_result result;
	const char *at, *end, *newline;
	json_t *object;

	*status = slipring_stats(cli->cache, group, &result);
	if (*status != SLIPRING_OK)
		return NULL;
	object = json_object();
	at = result.value;
	for (end = at + result.value_len; at < end; at = newline + 1) {
		newline = memchr(at, '\n', (size_t)(end - at));
		if (!newline)
			break;
		take_line(object, at, (size_t)(newline - at));
	}
	return object;
}

/* "worker3_rx_frames" -> 3 and "rx_frames". */
static bool
split_worker(const char *name, unsigned *worker, const char **figure)
{
	int used = 0;

	if (sscanf(name, "worker%u_%n", worker, &used) != 1 || used == 0 || *worker >= SLIPRING_WORKERS_MAX)
		return false;
	*figure = name + used;
	return true;
}

json_t *
stats_workers(struct cli *cli, enum slipring_status *status)
{
	json_t *all = stats_object(cli, "workers", status), *workers, *value;
	const char *name, *figure;
	unsigned worker;

	if (!all)
		return NULL;
	workers = json_array();
	json_object_foreach(all, name, value) {
		if (!split_worker(name, &worker, &figure))
			continue;
		while (json_array_size(workers) <= worker)
			json_array_append_new(workers, json_object());
		json_object_set(json_array_get(workers, worker), figure, value);
	}
	json_decref(all);
	return workers;
}
