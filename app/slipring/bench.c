/* slipring bench: three measurements and their table, or a pcap of request frames. */
#include <stdio.h>
#include <string.h>

#include "base/now.h"
#include "cli.h"
#include "load.h"
#include "pcap.h"

static const struct {
	const char *name;
	double percent;
} columns[] = { { "p50", 50 }, { "p90", 90 }, { "p99", 99 }, { "p99.9", 99.9 }, { "p99.99", 99.99 } };

enum { COLUMN_COUNT = sizeof columns / sizeof columns[0], QUICK_MS = 2000 };

static double
per_second(const struct load_result *result)
{
	return result->elapsed_ns ? (double)result->operations * 1e9 / (double)result->elapsed_ns : 0;
}

static void
print_heading(void)
{
	printf("%-22s %10s %10s", "", "ops", "ops/s");
	for (int i = 0; i < COLUMN_COUNT; i++)
		printf(" %9s", columns[i].name);
	printf(" %9s %8s %8s\n", "max us", "misses", "failures");
}

static void
print_row(const char *name, const struct load_result *result)
{
	printf("%-22s %10llu %10.0f", name, (unsigned long long)result->operations, per_second(result));
	for (int i = 0; i < COLUMN_COUNT; i++)
		printf(" %9.1f", (double)histogram_percentile(&result->latency, columns[i].percent) / 1e3);
	printf(" %9.1f %8llu %8llu\n", (double)result->latency.max / 1e3, (unsigned long long)result->misses,
	    (unsigned long long)result->failures);
}

static json_t *
json_row(const char *name, const struct load_result *result)
{
	json_t *row = json_object(), *latency = json_object();

	json_set_text(row, "name", "%s", name);
	json_set_number(row, "operations", result->operations);
	json_object_set_new(row, "operations_per_second", json_real(per_second(result)));
	for (int i = 0; i < COLUMN_COUNT; i++)
		json_object_set_new(latency, columns[i].name,
		    json_real((double)histogram_percentile(&result->latency, columns[i].percent) / 1e3));
	json_object_set_new(latency, "max", json_real((double)result->latency.max / 1e3));
	json_object_set_new(row, "latency_us", latency);
	json_set_number(row, "misses", result->misses);
	json_set_number(row, "failures", result->failures);
	json_set_number(row, "started_late", result->late);
	return row;
}

/* One row; returns whether to go on. */
static bool
report(struct cli *cli, json_t *rows, const char *name, const struct load_result *result)
{
	if (rows)
		json_array_append_new(rows, json_row(name, result));
	else
		print_row(name, result);
	fflush(stdout);
	if (result->failures < result->operations)
		return true;
	json_decref(rows);
	cli_fail_status(cli, result->failure);
	return false;
}

static int
measure(struct cli *cli, struct load *load)
{
	struct load_result *result = cli_alloc(cli, sizeof *result);
	json_t *rows = NULL;
	double rate = cli->rate;
	char name[64];

	load_fill(load, result);
	if (result->failures > 0)
		return cli_fail_status(cli, result->failure);
	if (cli->json)
		rows = json_array();
	else
		print_heading();
	load_serial(load, result);
	if (rate == 0)
		rate = per_second(result);
	if (!report(cli, rows, "one at a time", result))
		return exit_code_of(result->failure);
	load_closed(load, result);
	snprintf(name, sizeof name, "%u in flight", load->batch);
	if (!report(cli, rows, name, result))
		return exit_code_of(result->failure);
	load_open(load, rate, result);
	snprintf(name, sizeof name, "open loop %.0f/s", rate);
	if (!report(cli, rows, name, result))
		return exit_code_of(result->failure);
	if (!rows && result->late * 100 > result->operations)
		printf("%.1f %% of the open loop started over 1 ms late: node, link or this client cannot keep the rate\n",
		    (double)result->late * 100 / (double)result->operations);
	return rows ? json_print(rows) : EXIT_OK;
}

int
command_bench(struct cli *cli, int argc, char **argv)
{
	struct load load = { .cache = cli->cache, .prng = { cli->seed }, .keys = cli->keys, .value_len = cli->value_len,
		.batch = cli->batch, .reads = cli->reads,
		.duration_ns = (cli->duration_ms ? cli->duration_ms : QUICK_MS) * NS_PER_MS };
	uint8_t *value;

	(void)argc;
	(void)argv;
	if (cli->quick && cli->duration_ms)
		return cli_fail(cli, EXIT_USAGE, "--quick and --duration exclude each other");
	value = cli_alloc(cli, load.value_len + 1);
	memset(value, 'v', load.value_len);
	load.value = value;
	return cli->pcap ? pcap_write(cli, &load) : measure(cli, &load);
}
