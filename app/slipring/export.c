/*
 * slipring export: values, flags and TTLs of the keys in a list, many in flight.
 *
 * A key is asked for twice, value and metadata, since only the latter tells the TTL;
 * when the versions differ, it was written in between and is asked again. Lines come
 * out in the order of the keys: what answered early waits in its place of a ring.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "transfer.h"

enum { WINDOW = 64 /* each may hold a value of 1 MiB */, TRIES_MAX = 4, POLL_US = 1000000 };

struct place {
	struct export *export;
	uint64_t line;
	struct record record;
	enum slipring_status status; /* first failure of the two */
	char why[256];
	uint64_t value_version, meta_version;
	unsigned waiting, tries;
};

struct export {
	struct cli *cli;
	struct lines lines;
	struct progress progress;
	struct place places[WINDOW];
	uint64_t first, next; /* places in use: first..next-1, mod WINDOW */
	uint64_t exported, missing;
	bool ended;
};

static void
note_failure(struct place *place, enum slipring_status status)
{
	const char *why = slipring_error(place->export->cli->cache);

	if (place->status != SLIPRING_OK)
		return;
	place->status = status;
	snprintf(place->why, sizeof place->why, "%s", why[0] ? why : slipring_status_text(status));
}

static void
got_value(void *context, const struct slipring_result *result)
{
	struct place *place = context;
	struct record *record = &place->record;

	place->waiting--;
	if (result->status != SLIPRING_OK) {
		note_failure(place, result->status);
		return;
	}
	free(record->value);
	record->value = malloc(result->value_len + 1);
	CHECK(record->value);
	if (result->value_len)
		memcpy(record->value, result->value, result->value_len);
	record->value_len = result->value_len;
	record->flags = result->flags;
	place->value_version = result->version;
}

static void
got_meta(void *context, const struct slipring_result *result)
{
	struct place *place = context;

	place->waiting--;
	if (result->status != SLIPRING_OK)
		note_failure(place, result->status);
	place->meta_version = result->version;
	place->record.ttl_ms = result->ttl_ms == SLIPRING_TTL_NEVER ? 0 : result->ttl_ms ? result->ttl_ms : 1;
}

static void
ask(struct place *place, enum slipring_op op, slipring_done done)
{
	struct slipring *cache = place->export->cli->cache;
	const struct slipring_request request = { .op = op, .key = place->record.key, .key_len = place->record.key_len,
		.done = done, .context = place };
	enum slipring_status status;

	place->waiting++;
	while ((status = slipring_submit(cache, &request)) == SLIPRING_WINDOW_FULL)
		slipring_poll(cache, POLL_US);
	if (status != SLIPRING_OK)
		done(place, &(struct slipring_result){ .status = status });
}

static void
ask_both(struct place *place)
{
	place->tries++;
	ask(place, SLIPRING_OP_GET, got_value);
	ask(place, SLIPRING_OP_META, got_meta);
}

/* The key of the line read; false after complaining. */
static bool
take_key(struct export *export, struct record *record)
{
	const struct lines *lines = &export->lines;
	size_t len = export->cli->hex ? lines->len / 2 : lines->len;

	if (len < 1 || len > SLIPRING_KEY_MAX) {
		cli_fail(export->cli, EXIT_USAGE, "%s:%llu: the key has %zu bytes; keys have 1 to %d", lines->name,
		    (unsigned long long)lines->number, len, SLIPRING_KEY_MAX);
		return false;
	}
	record->key_len = len;
	if (!export->cli->hex) {
		memcpy(record->key, lines->text, len);
		return true;
	}
	for (size_t i = 0; i < len; i++) {
		int high = hex_digit(lines->text[2 * i]), low = hex_digit(lines->text[2 * i + 1]);

		if (lines->len % 2 != 0 || high < 0 || low < 0) {
			cli_fail(export->cli, EXIT_USAGE, "%s:%llu: with --hex a key is an even number of hexadecimal digits",
			    lines->name, (unsigned long long)lines->number);
			return false;
		}
		record->key[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* Reads keys and asks for them while there is a place; false after complaining. */
static bool
fill(struct export *export)
{
	struct lines *lines = &export->lines;
	char problem[PROBLEM_SIZE];

	while (!export->ended && export->next - export->first < WINDOW) {
		struct place *place = &export->places[export->next % WINDOW];
		enum line line = lines_next(lines, problem);

		if (line == LINE_BAD)
			return cli_fail(export->cli, EXIT_USAGE, "%s:%llu: %s", lines->name, (unsigned long long)lines->number,
			    problem) == EXIT_OK;
		export->ended = line == LINE_END;
		if (export->ended || lines->len == 0 || lines->number < export->cli->from)
			continue;
		*place = (struct place){ .export = export, .line = lines->number };
		if (!take_key(export, &place->record))
			return false;
		export->next++;
		ask_both(place);
	}
	return true;
}

static int
fail_at(struct export *export, const struct place *place)
{
	progress_end(&export->progress);
	return cli_fail(export->cli, exit_code_of(place->status), "%s:%llu: %s; %llu exported. Go on with --from %llu",
	    export->lines.name, (unsigned long long)place->line, place->why, (unsigned long long)export->exported,
	    (unsigned long long)place->line);
}

static void
name_missing(struct export *export, const struct place *place)
{
	export->missing++;
	progress_clear(&export->progress);
	fprintf(stderr, "slipring: %s:%llu: no such key", export->lines.name, (unsigned long long)place->line);
	if (!export->cli->hex)
		fprintf(stderr, ": %.*s", (int)place->record.key_len, place->record.key);
	putc('\n', stderr);
}

/* The first place is done with when this says EXIT_OK and first has moved. */
static int
settle(struct export *export)
{
	struct place *place = &export->places[export->first % WINDOW];
	bool good = true;

	while (place->waiting > 0)
		slipring_poll(export->cli->cache, POLL_US);
	if (place->status == SLIPRING_OK && place->value_version != place->meta_version) {
		if (place->tries < TRIES_MAX) {
			ask_both(place);
			return EXIT_OK;
		}
		note_failure(place, SLIPRING_CHANGED);
	}
	if (place->status == SLIPRING_NOT_FOUND)
		name_missing(export, place);
	else if (place->status != SLIPRING_OK)
		return fail_at(export, place);
	else if ((good = record_write(stdout, &place->record)))
		export->exported++;
	free(place->record.value);
	place->record.value = NULL;
	export->first++;
	return good ? EXIT_OK : cli_fail(export->cli, EXIT_REFUSED, "cannot write the output; %llu exported",
	    (unsigned long long)export->exported);
}

static int
run(struct export *export)
{
	int code = EXIT_OK;

	while (code == EXIT_OK && !interrupted()) {
		if (!fill(export))
			return EXIT_USAGE;
		if (interrupted())
			break;
		if (export->first == export->next)
			return export->missing ? EXIT_NO : EXIT_OK;
		code = settle(export);
		progress_show(&export->progress, &export->lines, export->exported);
	}
	if (code != EXIT_OK)
		return code;
	progress_end(&export->progress);
	return cli_fail(export->cli, EXIT_INTERRUPTED, "interrupted; %llu exported. Go on with --from %llu",
	    (unsigned long long)export->exported, (unsigned long long)(export->first == export->next ? export->lines.number :
	    export->places[export->first % WINDOW].line));
}

int
command_export(struct cli *cli, int argc, char **argv)
{
	struct export *export = cli_alloc(cli, sizeof *export);
	int code;

	(void)argc;
	export->cli = cli;
	if (!lines_open(cli, &export->lines, argv[0]))
		return EXIT_USAGE;
	interrupt_catch();
	progress_start(&export->progress, "exported", !isatty(STDOUT_FILENO));
	code = run(export);
	/* What is still in flight fills places: it has to end before they do. */
	slipring_flush(cli->cache);
	for (uint64_t at = export->first; at < export->next; at++)
		free(export->places[at % WINDOW].record.value);
	progress_end(&export->progress);
	lines_close(&export->lines);
	return code;
}
