/* Commands about the node itself: stats, ping, workers, sockets. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "clock.h"

static void
print_figure(const char *name, const json_t *value)
{
	if (json_is_integer(value))
		printf("%-24s %lld\n", name, (long long)json_integer_value(value));
	else
		printf("%-24s %s\n", name, json_string_value(value));
}

int
command_stats(struct cli *cli, int argc, char **argv)
{
	const char *group = argc > 0 ? argv[0] : "", *name;
	enum slipring_status status;
	json_t *object = stats_object(cli, group, &status), *value;

	if (!object && status == SLIPRING_NOT_FOUND)
		return cli_fail(cli, EXIT_NO, "the node has no group of statistics \"%s\"", group);
	if (!object)
		return cli_fail_status(cli, status);
	if (cli->json)
		return json_print(object);
	json_object_foreach(object, name, value)
		print_figure(name, value);
	json_decref(object);
	return EXIT_OK;
}

static json_t *
json_ping(unsigned worker, uint16_t port, uint64_t us)
{
	json_t *object = json_object();

	json_set_number(object, "worker", worker);
	json_set_number(object, "port", port);
	json_set_number(object, "rtt_us", us);
	return object;
}

int
command_ping(struct cli *cli, int argc, char **argv)
{
	struct slipring_topology topology;
	enum slipring_status status = SLIPRING_OK;
	json_t *array = NULL;
	uint64_t count = 1;

	if (argc > 0 && (!number_parse(argv[0], 1000000, &count) || count == 0))
		return cli_fail(cli, EXIT_USAGE, "%s: not a count from 1 to 1000000", argv[0]);
	status = slipring_topology(cli->cache, &topology);
	if (status != SLIPRING_OK)
		return cli_fail_status(cli, status);
	if (cli->json)
		array = json_array();
	for (unsigned worker = 0; worker < topology.worker_count; worker++) {
		/* The first round trip also proves our address; it is not measured. */
		status = slipring_ping(cli->cache, worker);
		for (uint64_t i = 0; i < count && status == SLIPRING_OK; i++) {
			uint64_t start = clock_ns() / NS_PER_US, us;
			char where[300];

			status = slipring_ping(cli->cache, worker);
			us = clock_ns() / NS_PER_US - start;
			if (status == SLIPRING_OK && array)
				json_array_append_new(array, json_ping(worker, topology.ports[worker], us));
			else if (status == SLIPRING_OK) {
				cli_print_place(where, sizeof where, cli->host, topology.ports[worker]);
				printf("worker %u, %s: %llu us\n", worker, where, (unsigned long long)us);
			}
		}
		if (status != SLIPRING_OK) {
			json_decref(array);
			return cli_fail_status(cli, status);
		}
	}
	return array ? json_print(array) : EXIT_OK;
}

/* Columns of `slipring workers`, as the node names them behind "workerN_". */
static const struct {
	const char *name, *title;
	int width;
} columns[] = {
	{ "lcore", "LCORE", 6 }, { "cpus", "CPUS", 8 }, { "numa", "NUMA", 5 }, { "port", "PORT", 5 },
	{ "queue", "QUEUE", 6 }, { "interface", "INTERFACE", 16 }, { "driver", "DRIVER", 14 },
	{ "large_values", "LARGE-VALUES", 14 },
	{ "rx_frames", "RX-FRAMES", 12 }, { "tx_frames", "TX-FRAMES", 12 }, { "sleeps", "SLEEPS", 10 },
};

enum { COLUMN_COUNT = sizeof columns / sizeof columns[0] };

static void
print_cell(json_t *figures, int column)
{
	json_t *cell = json_object_get(figures, columns[column].name);

	if (json_is_integer(cell))
		printf("%-*lld ", columns[column].width, (long long)json_integer_value(cell));
	else
		printf("%-*s ", columns[column].width, cell ? json_string_value(cell) : "-");
}

static void
print_workers(json_t *workers)
{
	size_t index;
	json_t *figures;

	printf("WORKER ");
	for (int c = 0; c < COLUMN_COUNT; c++)
		printf("%-*s ", columns[c].width, columns[c].title);
	putchar('\n');
	json_array_foreach(workers, index, figures) {
		printf("%-6zu ", index);
		for (int c = 0; c < COLUMN_COUNT; c++)
			print_cell(figures, c);
		putchar('\n');
	}
}

int
command_workers(struct cli *cli, int argc, char **argv)
{
	enum slipring_status status;
	json_t *workers = stats_workers(cli, &status);

	(void)argc;
	(void)argv;
	if (!workers)
		return cli_fail_status(cli, status);
	if (cli->json)
		return json_print(workers);
	print_workers(workers);
	json_decref(workers);
	return EXIT_OK;
}

static void
add_socket(json_t *sockets, const char *where, const char *what)
{
	json_t *object = json_object();
	const char *slash = strchr(where, '/'), *blank = strchr(what, ' ');

	json_set_text(object, "protocol", "%.*s", (int)(slash ? slash - where : 0), where);
	json_set_text(object, "local", "%s", slash ? slash + 1 : where);
	json_set_text(object, "service", "%.*s", (int)(blank ? blank - what : (long)strlen(what)), what);
	json_set_text(object, "detail", "%s", blank ? blank + 1 : "");
	json_array_append_new(sockets, object);
}

/* A node that does not list its sockets still says where its workers listen. */
static enum slipring_status
sockets_of_topology(struct cli *cli, json_t *sockets)
{
	struct slipring_topology topology;
	enum slipring_status status = slipring_topology(cli->cache, &topology);
	char where[300], what[40];

	for (unsigned i = 0; status == SLIPRING_OK && i < topology.worker_count; i++) {
		memcpy(where, "udp/", 4);
		cli_print_place(where + 4, sizeof where - 4, cli->host, topology.ports[i]);
		snprintf(what, sizeof what, "native worker %u", i);
		add_socket(sockets, where, what);
	}
	return status;
}

static const char *
text_of(json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

/* The group "sockets": lines "udp/ADDRESS:PORT SERVICE DETAIL". */
int
command_sockets(struct cli *cli, int argc, char **argv)
{
	enum slipring_status status;
	json_t *lines = stats_object(cli, "sockets", &status), *sockets = json_array(), *object;
	const char *name;
	size_t index;

	(void)argc;
	(void)argv;
	json_object_foreach(lines, name, object)
		add_socket(sockets, name, json_string_value(object));
	json_decref(lines);
	if (!lines && status == SLIPRING_NOT_FOUND)
		status = sockets_of_topology(cli, sockets);
	if (status != SLIPRING_OK) {
		json_decref(sockets);
		return cli_fail_status(cli, status);
	}
	if (cli->json)
		return json_print(sockets);
	printf("%-6s %-26s %-10s %s\n", "PROTO", "LOCAL", "SERVICE", "DETAIL");
	json_array_foreach(sockets, index, object)
		printf("%-6s %-26s %-10s %s\n", text_of(object, "protocol"), text_of(object, "local"),
		    text_of(object, "service"), text_of(object, "detail"));
	json_decref(sockets);
	return EXIT_OK;
}
