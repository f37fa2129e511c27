/* The options of all commands in one table; each command says which it takes. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const struct option_spec specs[] = {
	{ 'H', 'H', "host", "HOST[:PORT]", "node to talk to; default $SLIPRING_HOST; n1 inside the lab" },
	{ 'p', 'p', "port", "PORT", "its UDP port; default 7411" },
	{ 't', 't', "timeout", "TIME", "give up after this long without an answer; default 2s" },
	{ 'K', 'K', "key-file", "FILE", "shared key, 64 hexadecimal digits: frames are signed" },
	{ 's', 's', "spin", NULL, "wait by spinning: lowest latency, a whole CPU" },
	{ 'j', 'j', "json", NULL, "answer as one JSON object" },
	{ 'h', 'h', "help", NULL, "this text" },
	{ 'x', 'x', "hex", NULL, "keys are given, and keys and values shown, as hexadecimal digits" },
	{ 'r', 'r', "raw", NULL, "exactly the value's bytes, also to a terminal" },
	{ 'T', 'T', "ttl", "TIME", "expires after TIME: 90, 90s, 15m, 12h, 7d, 500ms; default: never" },
	{ 'F', 'F', "flags", "N", "32-bit number kept with the value for the application" },
	{ 'c', 'c', "cas", "VERSION", "only when the item's version is still VERSION" },
	{ 'a', 'a', "add", NULL, "only when the key is missing" },
	{ 'R', 'R', "replace", NULL, "only when the key is present" },
	{ 'C', 'C', "create", "N", "a missing key becomes N (with --ttl)" },
	{ 'q', 'q', "quick", NULL, "two seconds a measurement (the default)" },
	{ 'd', 'd', "duration", "TIME", "length of each measurement, 100ms to 1h" },
	{ 'n', 'n', "keys", "N", "keys used; default 10000" },
	{ 'v', 'v', "value-size", "BYTES", "bytes a value; default 64" },
	{ 'b', 'b', "batch", "N", "operations in flight in the batched measurement; default 64" },
	{ 'g', 'g', "reads", "PERCENT", "share of gets, the rest are sets; default 90" },
	{ 'o', 'o', "rate", "N", "open loop: N operations a second at Poisson times; default: what one at a time reached" },
	{ 'P', 'P', "pcap", "FILE", "write request frames for packet generators instead of measuring" },
	{ 'N', 'N', "frames", "N", "frames in the pcap; default 10000" },
	{ 'S', 'S', "seed", "N", "of keys and times; default 1" },
	{ 'f', 'f', "from", "LINE", "begin with this line of the file; what came before is skipped" },
	{ 'w', 'w', "window", "N", "operations in flight, 1 to 4096; default 256" },
	{ 'i', 'i', "interval", "TIME", "time between two looks, 100ms to 1h; default 1s" },
	{ 'U', 'U', "control", "SOCKET|URL", "the node's control plane; default $SLIPRING_CONTROL, else HOST.sock in $SLIPRING_RUN_DIR" },
	{ 'k', 'k', "token-file", "FILE", "bearer token for a control plane over TCP; default $SLIPRING_TOKEN" },
	{ 'A', 'A', "ca", "FILE", "certificate of the authority that signed the control plane's, PEM" },
	{ 'L', 'f', "follow", NULL, "go on with what happens, until Ctrl-C" },
	{ 'm', 'm', "limit", "N", "at most so many keys" },
	{ 'O', 'O', "once", NULL, "look once and end" },
};

enum { SPEC_COUNT = sizeof specs / sizeof specs[0], UNKNOWN = -1, LONG = 256 /* and its place: what getopt gives for a long option */ };

void
options_help(const char *letters)
{
	for (int i = 0; i < SPEC_COUNT; i++) {
		char left[40];

		if (!strchr(letters, specs[i].letter))
			continue;
		snprintf(left, sizeof left, "-%c, --%s%s%s", specs[i].flag, specs[i].name,
		    specs[i].argument ? " " : "", specs[i].argument ? specs[i].argument : "");
		printf("  %-26s %s\n", left, specs[i].text);
	}
}

void
options_each(const char *letters, void (*each)(const struct option_spec *spec))
{
	for (int i = 0; i < SPEC_COUNT; i++)
		if (strchr(letters, specs[i].letter))
			each(&specs[i]);
}

static bool
complain(const struct cli *cli, const char *name, const char *value, const char *want)
{
	cli_fail(cli, EXIT_USAGE, "--%s %s: %s", name, value, want);
	return false;
}

static bool
take_number(const struct cli *cli, const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *number)
{
	char want[96];

	if (number_parse(text, max, number) && *number >= min)
		return true;
	snprintf(want, sizeof want, "not a whole number from %llu to %llu", (unsigned long long)min,
	    (unsigned long long)max);
	return complain(cli, name, text, want);
}

static bool
take_u32(const struct cli *cli, const char *name, const char *text, uint32_t min, uint32_t max, uint32_t *to)
{
	uint64_t number;

	if (!take_number(cli, name, text, min, max, &number))
		return false;
	*to = (uint32_t)number;
	return true;
}

static bool
take_ttl(struct cli *cli, const char *text)
{
	if (duration_parse(text, &cli->ttl_ms) && cli->ttl_ms > 0)
		return true;
	return complain(cli, "ttl", text, "not a time from 1ms to 36500d, as 90, 90s, 15m, 12h, 7d or 500ms "
	    "(without --ttl an item never expires)");
}

static bool
take_time(const struct cli *cli, const char *name, const char *text, uint64_t min_ms, uint64_t max_ms, uint32_t *to_ms)
{
	uint64_t ms;

	if (!duration_parse(text, &ms) || ms < min_ms || ms > max_ms)
		return complain(cli, name, text, min_ms == 1 ? "not a time from 1ms to 60s" : "not a time from 100ms to 1h");
	*to_ms = (uint32_t)ms;
	return true;
}

static bool
take_rate(struct cli *cli, const char *text)
{
	char *end;

	cli->rate = strtod(text, &end);
	return (*end == '\0' && end != text && cli->rate >= 1 && cli->rate <= 1e8) ||
	    complain(cli, "rate", text, "not a number from 1 to 100000000");
}

static bool
take_data(struct cli *cli, int letter, const char *text)
{
	switch (letter) {
	case 'T': return take_ttl(cli, text);
	case 'F': return take_u32(cli, "flags", text, 0, UINT32_MAX, &cli->flags);
	case 'c': return take_number(cli, "cas", text, 1, UINT64_MAX, &cli->cas);
	case 'a': return cli->add = true;
	case 'R': return cli->replace = true;
	case 'C': return cli->create = take_number(cli, "create", text, 0, UINT64_MAX, &cli->initial);
	default: return true;
	}
}

static bool
take_bench(struct cli *cli, int letter, const char *text)
{
	switch (letter) {
	case 'q': return cli->quick = true;
	case 'd': return take_time(cli, "duration", text, 100, 3600000, &cli->duration_ms);
	case 'n': return take_u32(cli, "keys", text, 1, 100000000, &cli->keys);
	case 'v': return take_u32(cli, "value-size", text, 0, SLIPRING_VALUE_MAX, &cli->value_len);
	case 'b': return take_u32(cli, "batch", text, 1, SLIPRING_WINDOW_MAX, &cli->batch);
	case 'g': return take_u32(cli, "reads", text, 0, 100, &cli->reads);
	case 'o': return take_rate(cli, text);
	case 'P': cli->pcap = text; return true;
	case 'N': return take_u32(cli, "frames", text, 1, 10000000, &cli->frames);
	case 'S': return take_number(cli, "seed", text, 0, UINT64_MAX, &cli->seed);
	default: return take_data(cli, letter, text);
	}
}

static bool
take_many(struct cli *cli, int letter, const char *text)
{
	switch (letter) {
	case 'f': return take_number(cli, "from", text, 1, UINT64_MAX, &cli->from);
	case 'w': return take_u32(cli, "window", text, 1, SLIPRING_WINDOW_MAX, &cli->window);
	case 'i': return take_time(cli, "interval", text, 100, 3600000, &cli->interval_ms);
	case 'O': return cli->once = true;
	default: return take_bench(cli, letter, text);
	}
}

static bool
take_control(struct cli *cli, int letter, const char *text)
{
	switch (letter) {
	case 'U': cli->control_at = text; return true;
	case 'k': cli->token_file = text; return true;
	case 'A': cli->ca_file = text; return true;
	case 'L': return cli->follow = true;
	case 'm': return take_number(cli, "limit", text, 1, UINT64_MAX, &cli->limit);
	default: return take_many(cli, letter, text);
	}
}

static bool
take(struct cli *cli, int letter, const char *text)
{
	uint32_t port;

	switch (letter) {
	case 'H': cli->host = text; return true;
	case 'p':
		if (!take_u32(cli, "port", text, 1, UINT16_MAX, &port))
			return false;
		cli->port = (uint16_t)port;
		return true;
	case 't': return take_time(cli, "timeout", text, 1, 60000, &cli->timeout_ms);
	case 'K': cli->key_file = text; return true;
	case 's': return cli->spin = true;
	case 'j': return cli->json = true;
	case 'h': return cli->help = true;
	case 'x': return cli->hex = true;
	case 'r': return cli->raw = true;
	default: return take_control(cli, letter, text);
	}
}

static bool
accepted(const struct cli *cli, int letter)
{
	const struct command *command = cli->command;

	if (strchr(OPTIONS_GENERAL, letter))
		return true;
	if (!command) /* before the command's name */
		return strchr(OPTIONS_NODE OPTIONS_CONTROL, letter) != NULL;
	return strchr(command->options, letter) || strchr(options_of_way(command->way), letter);
}

const char *
options_of_way(enum command_way way)
{
	return way == WAY_NODE ? OPTIONS_NODE : way == WAY_CONTROL ? OPTIONS_CONTROL : "";
}

/* The option that a flag means here; one that the command takes goes before others. */
static int
spec_of_flag(const struct cli *cli, int flag)
{
	int found = UNKNOWN;

	for (int i = 0; i < SPEC_COUNT; i++)
		if (specs[i].flag == flag && (found == UNKNOWN || accepted(cli, specs[i].letter)))
			found = i;
	return found;
}

/*
 * getopt's tables, made of ours. `+` ends the general options at the command's
 * name; behind it options and arguments may mix. `:` leaves complaints to us.
 */
static void
fill_getopt(const struct cli *cli, struct option *longs, char *shorts)
{
	if (!cli->command)
		*shorts++ = '+';
	*shorts++ = ':';
	for (int i = 0; i < SPEC_COUNT; i++) {
		longs[i] = (struct option){ specs[i].name, specs[i].argument ? required_argument : no_argument, NULL,
			LONG + i };
		if (spec_of_flag(cli, specs[i].flag) != i)
			continue;
		*shorts++ = specs[i].flag;
		if (specs[i].argument)
			*shorts++ = ':';
	}
	longs[SPEC_COUNT] = (struct option){ 0 };
	*shorts = '\0';
}

static int
refuse(const struct cli *cli, const char *what, const char *why)
{
	const char *name = cli->command ? cli->command->name : "";

	cli_fail(cli, EXIT_USAGE, "%s: %s; see slipring %s%s--help", what, why, name, name[0] ? " " : "");
	return -1;
}

int
options_parse(struct cli *cli, int argc, char **argv)
{
	struct option longs[SPEC_COUNT + 1];
	char shorts[2 * SPEC_COUNT + 3];
	int letter;

	fill_getopt(cli, longs, shorts);
	optind = 0; /* getopt starts afresh: general options come before the command, too */
	opterr = 0;
	while ((letter = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (letter == '?')
			return refuse(cli, argv[optind - 1], "no such option (arguments that start with - go behind --)");
		if (letter == ':')
			return refuse(cli, argv[optind - 1], "needs an argument");
		int place = letter >= LONG ? letter - LONG : spec_of_flag(cli, letter);

		if (!accepted(cli, specs[place].letter))
			return refuse(cli, specs[place].name, "not an option of this command");
		if (!take(cli, specs[place].letter, optarg))
			return -1;
	}
	return optind;
}
