/*
 * slipring import: stores the records of a file, many in flight.
 *
 * Lines are stored in any order, so on a failure the lowest line that is not stored
 * counts: reading stops, what is in flight ends, and from that line on it can be
 * repeated, since a set may be repeated.
 */
#include <stdlib.h>
#include <string.h>

#include "transfer.h"

enum { WINDOW = 256, BYTES_MAX = 16 << 20 /* of values in flight */, POLL_US = 1000000 };

struct entry {
	struct import *import;
	struct entry *next; /* in the list of free ones */
	struct record record;
	uint64_t line;
};

struct import {
	struct cli *cli;
	struct lines lines;
	struct progress progress;
	struct entry *free;
	uint64_t stored, skipped;
	size_t bytes; /* of values in flight */
	/* the lowest line that failed, 0: none; code 0: by status */
	uint64_t failed_line;
	int code;
	enum slipring_status status;
	char why[512];
};

static void
fail(struct import *import, uint64_t line, int code, enum slipring_status status, const char *why)
{
	if (import->failed_line != 0 && import->failed_line < line)
		return;
	import->failed_line = line;
	import->code = code;
	import->status = status;
	snprintf(import->why, sizeof import->why, "%s", why);
}

static void
stored(void *context, const struct slipring_result *result)
{
	struct entry *entry = context;
	struct import *import = entry->import;
	const char *why = slipring_error(import->cli->cache);

	if (result->status == SLIPRING_OK)
		import->stored++;
	else if (result->status == SLIPRING_NOT_STORED && import->cli->add)
		import->skipped++;
	else
		fail(import, entry->line, exit_code_of(result->status), result->status,
		    why[0] ? why : slipring_status_text(result->status));
	import->bytes -= entry->record.value_len;
	free(entry->record.value);
	entry->record.value = NULL;
	entry->next = import->free;
	import->free = entry;
}

static void
submit(struct import *import, struct entry *entry)
{
	const struct record *record = &entry->record;
	const struct slipring_request request = { .op = SLIPRING_OP_SET, .mode = import->cli->add ? SLIPRING_ADD : SLIPRING_PLAIN,
		.key = record->key, .key_len = record->key_len, .value = record->value, .value_len = record->value_len,
		.flags = record->flags, .ttl_ms = record->ttl_ms, .done = stored, .context = entry };
	enum slipring_status status;

	while ((status = slipring_submit(import->cli->cache, &request)) == SLIPRING_WINDOW_FULL)
		slipring_poll(import->cli->cache, POLL_US);
	if (status != SLIPRING_OK)
		stored(entry, &(struct slipring_result){ .status = status });
}

/* Parses the line read into a free entry and sends it. */
static void
take_line(struct import *import)
{
	struct slipring *cache = import->cli->cache;
	char problem[PROBLEM_SIZE];
	struct entry *entry;

	while (!import->free || import->bytes > BYTES_MAX)
		slipring_poll(cache, POLL_US);
	if (import->failed_line)
		return;
	entry = import->free;
	if (!record_parse(import->lines.text, import->lines.len, &entry->record, problem)) {
		fail(import, import->lines.number, EXIT_USAGE, SLIPRING_OK, problem);
		return;
	}
	import->free = entry->next;
	entry->line = import->lines.number;
	import->bytes += entry->record.value_len;
	submit(import, entry);
}

static void
run(struct import *import)
{
	char problem[PROBLEM_SIZE];
	enum line line;

	while (!import->failed_line && (line = lines_next(&import->lines, problem)) != LINE_END) {
		if (line == LINE_BAD)
			fail(import, import->lines.number, EXIT_USAGE, SLIPRING_OK, problem);
		else if (import->lines.number >= import->cli->from && import->lines.len > 0)
			take_line(import);
		progress_show(&import->progress, &import->lines, import->stored);
	}
	if (interrupted())
		fail(import, import->lines.number, EXIT_INTERRUPTED, SLIPRING_OK, "interrupted");
	slipring_flush(import->cli->cache);
	progress_end(&import->progress);
}

static void
set_counts(const struct import *import, json_t *object)
{
	json_set_number(object, "stored", import->stored);
	json_set_number(object, "skipped", import->skipped);
	json_object_set_new(object, "seconds", json_real(progress_seconds(&import->progress)));
}

static int
report_failure(const struct import *import)
{
	unsigned long long line = import->failed_line;
	json_t *object;

	if (!import->cli->json)
		return cli_fail(import->cli, import->code, "%s:%llu: %s; %llu stored, all lines before this one among them. "
		    "Go on with --from %llu", import->lines.name, line, import->why, (unsigned long long)import->stored, line);
	object = json_object();
	if (import->status != SLIPRING_OK)
		json_set_text(object, "status", "%s", slipring_status_name(import->status));
	json_set_text(object, "error", "%s", import->why);
	json_set_number(object, "exit", (uint64_t)import->code);
	json_set_number(object, "line", import->failed_line);
	set_counts(import, object);
	json_print(object);
	return import->code;
}

static int
report(const struct import *import)
{
	json_t *object;

	if (import->failed_line)
		return report_failure(import);
	if (import->cli->json) {
		object = json_object();
		set_counts(import, object);
		return json_print(object);
	}
	printf("%llu stored", (unsigned long long)import->stored);
	if (import->cli->add)
		printf(", %llu were there", (unsigned long long)import->skipped);
	putchar('\n');
	return EXIT_OK;
}

int
command_import(struct cli *cli, int argc, char **argv)
{
	uint32_t window = cli->window ? cli->window : WINDOW;
	struct import *import = cli_alloc(cli, sizeof *import);
	struct entry *entries = cli_alloc(cli, window * sizeof *entries);

	(void)argc;
	import->cli = cli;
	if (!lines_open(cli, &import->lines, argv[0]))
		return EXIT_USAGE;
	for (uint32_t i = 0; i < window; i++) {
		entries[i].import = import;
		entries[i].next = import->free;
		import->free = &entries[i];
	}
	interrupt_catch();
	progress_start(&import->progress, "stored", !cli->json);
	run(import);
	lines_close(&import->lines);
	return report(import);
}
