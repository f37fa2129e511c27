/* slipring events: what has happened in the cluster, and with --follow what happens. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "control.h"

enum { IDLE_MS = 60000, PATH_SIZE = 128, AGAIN_MS = 500 };

struct follower {
	struct cli *cli;
	uint64_t last; /* number of the last event seen */
};

static const char *
text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static void
print_time(json_int_t ms)
{
	time_t seconds = (time_t)(ms / 1000);
	char text[32] = "";
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
	printf("%s.%03d  ", text, (int)(ms % 1000));
}

static void
print_event(const json_t *event)
{
	const char *name = text_of(event, "event"), *node = text_of(event, "node_id"), *before = text_of(event, "status_before");
	double duration_ms = json_number_value(json_object_get(event, "duration_ms"));

	print_time(json_integer_value(json_object_get(event, "time_ms")));
	if (strcmp(name, "state") == 0)
		printf("%s %s%s%s (incarnation %lld)\n", node, before, *before ? " -> " : "is ", text_of(event, "status"),
		    (long long)json_integer_value(json_object_get(event, "incarnation")));
	else if (strcmp(name, "epoch") == 0)
		printf("epoch %lld is in force\n", (long long)json_integer_value(json_object_get(event, "epoch")));
	else if (strcmp(name, "paused") == 0)
		printf("the node's process was stopped for %.0f ms\n", duration_ms);
	else if (strcmp(name, "probed") == 0)
		printf("%s answered a probe after %.2f ms\n", node, duration_ms);
	else
		printf("%s %s\n", *node ? node : "this node", name);
}

/* "event: missed" and the like come before their data; only data is looked at. */
static bool
take_line(void *context, const char *line)
{
	struct follower *follower = context;
	json_t *event;

	if (strncmp(line, "data: ", 6) != 0)
		return true;
	event = json_loads(line + 6, 0, NULL);
	if (json_object_get(event, "sequence")) {
		follower->last = (uint64_t)json_integer_value(json_object_get(event, "sequence"));
		if (follower->cli->json)
			json_dumpf(event, stdout, JSON_COMPACT), putchar('\n');
		else
			print_event(event);
	} else if (json_object_get(event, "from")) {
		fprintf(stderr, "slipring: events %lld to %lld are no longer kept\n",
		    (long long)json_integer_value(json_object_get(event, "from")),
		    (long long)json_integer_value(json_object_get(event, "to")));
	} else {
		fprintf(stderr, "slipring: the node has restarted and counts its events anew\n");
	}
	json_decref(event);
	fflush(stdout);
	return !ferror(stdout) && !interrupted();
}

/* A stream that ends is taken up again behind the last event, as long as the node is there. */
int
command_events(struct cli *cli, int argc, char **argv)
{
	struct follower follower = { .cli = cli };
	const struct timespec pause = { 0, AGAIN_MS * 1000000l };
	char path[PATH_SIZE];
	int code;

	(void)argc;
	(void)argv;
	interrupt_catch();
	do {
		snprintf(path, sizeof path, "/cluster/events?since=%llu%s", (unsigned long long)follower.last,
		    cli->follow ? "" : "&follow=false");
		code = control_lines(cli, path, IDLE_MS, take_line, &follower);
		if (cli->follow && code == EXIT_OK && !interrupted())
			nanosleep(&pause, NULL);
	} while (cli->follow && code == EXIT_OK && !interrupted() && !ferror(stdout));
	return code;
}
