/* slipring: the command line tool. Finds the command, parses options, opens the node, runs. */
#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control.h"

enum { TIMEOUT_MS = 2000, TRY_TIMEOUT_MS = 200 };

struct owned {
	struct owned *next;
	max_align_t bytes[];
};

void *
cli_alloc(struct cli *cli, size_t size)
{
	struct owned *owned = calloc(1, sizeof *owned + size);

	if (!owned)
		exit(cli_fail(cli, EXIT_REFUSED, "out of memory"));
	owned->next = cli->owned;
	cli->owned = owned;
	return owned->bytes;
}

static void
free_owned(struct cli *cli)
{
	struct owned *owned;

	while ((owned = cli->owned)) {
		cli->owned = owned->next;
		free(owned);
	}
}

int
cli_fail(const struct cli *cli, int code, const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	if (cli->json) {
		json_t *object = json_object();

		json_set_text(object, "error", "%s", text);
		json_set_number(object, "exit", (uint64_t)code);
		json_print(object);
	} else {
		fprintf(stderr, "slipring: %s\n", text);
	}
	return code;
}

int
exit_code_of(enum slipring_status status)
{
	switch (status) {
	case SLIPRING_OK:
		return EXIT_OK;
	case SLIPRING_NOT_FOUND:
	case SLIPRING_NOT_STORED:
	case SLIPRING_EXISTS:
		return EXIT_NO;
	case SLIPRING_BAD_KEY:
	case SLIPRING_TOO_LARGE:
	case SLIPRING_BAD_ARGUMENT:
		return EXIT_USAGE;
	case SLIPRING_TIMEOUT:
	case SLIPRING_UNREACHABLE:
	case SLIPRING_NO_HOST:
	case SLIPRING_OWNER_DEAD:
		return EXIT_UNREACHABLE;
	case SLIPRING_OUTCOME_UNKNOWN:
	case SLIPRING_OWNER_TIMEOUT:
		return EXIT_UNKNOWN;
	default:
		return EXIT_REFUSED;
	}
}

int
cli_fail_status(const struct cli *cli, enum slipring_status status)
{
	const char *text = slipring_error(cli->cache);
	int code = exit_code_of(status);
	json_t *object;

	if (!text[0])
		text = slipring_status_text(status);
	if (!cli->json)
		return cli_fail(cli, code, "%s", text);
	object = json_object();
	json_set_text(object, "status", "%s", slipring_status_name(status));
	json_set_text(object, "error", "%s", text);
	json_set_number(object, "exit", (uint64_t)code);
	json_print(object);
	return code;
}

void
cli_print_place(char *text, size_t size, const char *host, unsigned port)
{
	snprintf(text, size, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
}

static bool
resolves(const char *name)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM };
	struct addrinfo *found;

	if (getaddrinfo(name, NULL, &hints, &found) != 0)
		return false;
	freeaddrinfo(found);
	return true;
}

/*
 * "n1:7411" and "[fd09::1]:7411" name the port, too; --port goes before it. An IPv6 address needs no
 * brackets when no port follows. False after complaining.
 */
static bool
split_port(struct cli *cli)
{
	bool bracketed = cli->host[0] == '[';
	const char *start = cli->host + bracketed, *end = strchr(start, bracketed ? ']' : ':'), *colon;
	uint64_t port;
	char *host;

	if (!end || (!bracketed && strchr(end + 1, ':')))
		return true;
	colon = end + bracketed;
	if (*colon && (*colon != ':' || !number_parse(colon + 1, UINT16_MAX, &port) || port == 0))
		return cli_fail(cli, EXIT_USAGE, "%s: no port from 1 to 65535 behind the colon", cli->host) == EXIT_OK;
	host = cli_alloc(cli, (size_t)(end - start) + 1);
	memcpy(host, start, (size_t)(end - start));
	cli->host = host;
	if (*colon && !cli->port)
		cli->port = (uint16_t)port;
	return true;
}

/* -H, else the environment, else the lab's first node when we are in the lab. */
static bool
find_host(struct cli *cli)
{
	const char *host = getenv("SLIPRING_HOST");

	if (!cli->host && host && host[0])
		cli->host = host;
	if (!cli->host && resolves("n1"))
		cli->host = "n1";
	return cli->host != NULL;
}

static bool
read_shared_key(const struct cli *cli, uint8_t key[SLIPRING_SHARED_KEY_LEN])
{
	FILE *file = fopen(cli->key_file, "r");
	char text[2 * SLIPRING_SHARED_KEY_LEN + 1] = "";
	bool good = file && fscanf(file, "%64s", text) == 1 && strlen(text) == sizeof text - 1;

	for (size_t i = 0; good && i < SLIPRING_SHARED_KEY_LEN; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		good = high >= 0 && low >= 0;
		key[i] = (uint8_t)(high << 4 | low);
	}
	if (!file)
		cli_fail(cli, EXIT_USAGE, "--key-file %s: %s", cli->key_file, strerror(errno));
	else if (!good)
		cli_fail(cli, EXIT_USAGE, "--key-file %s: not 64 hexadecimal digits", cli->key_file);
	if (file)
		fclose(file);
	return good;
}

int
cli_open(struct cli *cli)
{
	struct slipring_options options;

	slipring_options_init(&options);
	if (!find_host(cli))
		return cli_fail(cli, EXIT_USAGE, "no node named: say -H HOST or set SLIPRING_HOST. Inside the lab the node is n1: "
		    "scripts/lab exec slipring %s ...", cli->command->name);
	if (!split_port(cli))
		return EXIT_USAGE;
	if (cli->key_file && !read_shared_key(cli, options.shared_key))
		return EXIT_USAGE;
	options.authenticate = cli->key_file != NULL;
	options.port = cli->port ? cli->port : SLIPRING_PORT;
	options.deadline_us = 1000 * (cli->timeout_ms ? cli->timeout_ms : TIMEOUT_MS);
	options.try_timeout_us = 1000 * TRY_TIMEOUT_MS;
	if (options.try_timeout_us > options.deadline_us)
		options.try_timeout_us = options.deadline_us;
	options.spin = cli->spin;
	if (cli->batch > options.window)
		options.window = cli->batch;
	if (cli->window > options.window)
		options.window = cli->window;
	cli->options = options;
	cli->cache = slipring_open(cli->host, &options);
	if (!cli->cache)
		return cli_fail(cli, EXIT_USAGE, "out of memory");
	if (slipring_ready(cli->cache) != SLIPRING_OK)
		return cli_fail_status(cli, slipring_ready(cli->cache));
	return EXIT_OK;
}

static void
help_all(void)
{
	printf("usage: slipring [OPTION...] COMMAND [OPTION...] [ARGUMENT...]\n\n"
	    "Gets and stores values in a Slipring cache over its native UDP protocol, and looks after its\n"
	    "nodes over their control planes.\n\nCommands:\n");
	for (const struct command *c = commands; c->name; c++)
		printf("  %-10s %-22s %s\n", c->name, c->synopsis, c->summary);
	printf("\nOptions of all commands:\n");
	options_help(OPTIONS_GENERAL OPTIONS_NODE);
	printf("\nOptions of status, members, ring, owners, events, metrics, keys, join, leave, drain, probe:\n");
	options_help(OPTIONS_GENERAL OPTIONS_CONTROL);
	printf("\n`slipring COMMAND --help` tells more. Exit status: 0 done, 1 not found or not stored,\n"
	    "2 usage, 3 node not reached, 4 refused by the node, 5 outcome unknown. See slipring(1).\n");
}

static void
help_one(const struct command *command)
{
	printf("usage: slipring %s [OPTION...]%s%s\n\n%s.\n", command->name, command->synopsis[0] ? " " : "",
	    command->synopsis, command->summary);
	if (command->text[0])
		printf("\n%s\n", command->text);
	printf("\nOptions:\n");
	options_help(command->options);
	options_help(OPTIONS_GENERAL);
	options_help(options_of_way(command->way));
}

int
command_help(struct cli *cli, int argc, char **argv)
{
	const struct command *command = argc > 0 ? command_find(argv[0]) : NULL;

	if (argc > 0 && !command)
		return cli_fail(cli, EXIT_USAGE, "%s: no such command; slipring --help lists them", argv[0]);
	if (command)
		help_one(command);
	else
		help_all();
	return EXIT_OK;
}

static int
run(struct cli *cli, int argc, char **argv)
{
	const struct command *command = cli->command;
	int code = EXIT_OK;

	if (argc < command->arguments_min || argc > command->arguments_max)
		return cli_fail(cli, EXIT_USAGE, "%s takes %s%s; see slipring %s --help", command->name,
		    command->synopsis[0] ? command->synopsis : "no arguments", argc > command->arguments_max ? " and no more" : "",
		    command->name);
	if (command->way == WAY_NODE && !cli->pcap)
		code = cli_open(cli);
	else if (command->way == WAY_CONTROL)
		code = control_open(cli);
	if (code == EXIT_OK)
		code = command->run(cli, argc, argv);
	slipring_close(cli->cache);
	control_close(cli);
	free_owned(cli);
	if (fflush(stdout) != 0 && code == EXIT_OK)
		code = cli_fail(cli, EXIT_REFUSED, "cannot write the output: %s", strerror(errno));
	return code;
}

int
main(int argc, char **argv)
{
	struct cli cli = { .reads = 90, .keys = 10000, .value_len = 64, .batch = 64, .frames = 10000, .seed = 1 };
	int at = options_parse(&cli, argc, argv);

	if (at < 0)
		return EXIT_USAGE;
	if (at == argc) {
		if (!cli.help)
			cli_fail(&cli, EXIT_USAGE, "no command; slipring --help lists them");
		else
			help_all();
		return cli.help ? EXIT_OK : EXIT_USAGE;
	}
	cli.command = command_find(argv[at]);
	if (!cli.command)
		return cli_fail(&cli, EXIT_USAGE, "%s: no such command; slipring --help lists them", argv[at]);
	argc -= at;
	argv += at;
	at = options_parse(&cli, argc, argv);
	if (at < 0)
		return EXIT_USAGE;
	if (cli.help) {
		help_one(cli.command);
		return EXIT_OK;
	}
	return run(&cli, argc - at, argv + at);
}
