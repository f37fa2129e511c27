/*
 * cli.h - the command line tool `slipring`.
 *
 * Purpose: one table of commands (command.c) with their help, one of options
 *   (options.c); a command is a function that gets its arguments checked.
 * Threads: one.
 */
#ifndef SLIPRING_CLI_H
#define SLIPRING_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/slipring.h"

/* Exit codes, documented in slipring(1). */
enum exit_code {
	EXIT_OK = 0,
	EXIT_NO = 1,          /* not found, not stored, version differs */
	EXIT_USAGE = 2,       /* the command line, or what it names; nothing was sent */
	EXIT_UNREACHABLE = 3, /* no answer in time */
	EXIT_REFUSED = 4,     /* the node answered with an error */
	EXIT_UNKNOWN = 5,     /* a write may or may not have happened */
	EXIT_INTERRUPTED = 130, /* as a shell says of SIGINT */
};

/* What the options say, as options_parse leaves it. */
struct cli {
	const struct command *command;
	struct slipring *cache; /* open, when the command talks to a node over its native protocol */
	struct slipring_options options; /* with which it was opened */
	struct control *control; /* open, when it talks to the control plane (control.h) */
	const char *control_at, *token_file, *ca_file;
	bool follow;          /* events */
	uint64_t limit;       /* keys */
	const char *host, *key_file, *pcap;
	uint16_t port;
	uint32_t timeout_ms;
	bool json, hex, raw, spin, help;
	uint64_t ttl_ms, cas, initial;
	uint32_t flags;
	bool add, replace, create;
	/* bench */
	bool quick;
	uint32_t duration_ms, keys, value_len, batch, reads, frames;
	double rate; /* operations a second; 0: what one at a time reached */
	uint64_t seed;
	/* import, export, top */
	uint64_t from;        /* first line to take */
	uint32_t window;      /* operations in flight */
	uint32_t interval_ms;
	bool once;
	struct owned *owned; /* freed at the end */
};

/* What a command talks to. */
enum command_way { WAY_NODE, WAY_NOBODY, WAY_CONTROL };

struct command {
	const char *name;
	int (*run)(struct cli *cli, int argc, char **argv); /* arguments behind the name */
	int arguments_min, arguments_max;
	enum command_way way;
	const char *options;  /* letters it takes beside the general ones */
	const char *synopsis; /* arguments */
	const char *summary;  /* one line */
	const char *text;     /* more, for --help */
};

extern const struct command commands[]; /* ends with a NULL name */
const struct command *command_find(const char *name);

/* Letters of the options every command takes, and of those that need a node. */
#define OPTIONS_GENERAL "hj"
#define OPTIONS_NODE "HptKs"
#define OPTIONS_CONTROL "HtUkA"
/* What a command takes beside those of its own. */
const char *options_of_way(enum command_way way);

/* Fills *cli from the options; returns the index of the first argument, or -1 after complaining. */
int options_parse(struct cli *cli, int argc, char **argv);
/* Prints the options whose letters are in `letters`. */
void options_help(const char *letters);
/* Calls `each` for the options whose letters are in `letters`; argument is NULL for those without. */
struct option_spec {
	char letter;     /* names it in the tables; no two have the same */
	char flag;       /* as it is typed: of two with one flag a command takes at most one */
	const char *name, *argument, *text;
};
void options_each(const char *letters, void (*each)(const struct option_spec *spec));

/* Opens cli->cache; EXIT_OK, or what to exit with after complaining. */
int cli_open(struct cli *cli);
/* "slipring: ..." on stderr, or {"error": ...} on stdout with --json; returns code. */
int cli_fail(const struct cli *cli, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Says why an operation failed and returns the exit code for it. */
int cli_fail_status(const struct cli *cli, enum slipring_status status);
int exit_code_of(enum slipring_status status);

/* Zeroed memory that lives until the command has ended; without memory the program ends. */
void *cli_alloc(struct cli *cli, size_t size);
/* "n1:7411", "[fd09::1]:7411". */
void cli_print_place(char *text, size_t size, const char *host, unsigned port);

/* A run of bytes, of cli_alloc. */
struct bytes {
	uint8_t *data;
	size_t len;
};
/* The key an argument names: as it is, or hexadecimal with --hex. False after complaining. */
bool key_parse(struct cli *cli, const char *argument, struct bytes *key);
/* VALUE, `-` for standard input, `@FILE`; `@@text` and `--` are for values that start so. */
bool value_read(struct cli *cli, const char *argument, struct bytes *value);
bool number_parse(const char *text, uint64_t max, uint64_t *number);
/* "90", "90s", "15m", "12h", "7d", "500ms" */
bool duration_parse(const char *text, uint64_t *ms);
int hex_digit(char c);

/* Output (print.c). Bytes are text when they are UTF-8, hexadecimal otherwise. */
void json_set_bytes(json_t *object, const char *name, const void *data, size_t len);
void json_set_number(json_t *object, const char *name, uint64_t number);
void json_set_text(json_t *object, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
int json_print(json_t *object); /* consumes it; returns EXIT_OK */
void print_bytes(const struct cli *cli, const void *data, size_t len);
void print_ttl(uint64_t ttl_ms);

/* The node's statistics (stats.c), to be freed; NULL: *status says why. Workers are an array of objects. */
json_t *stats_object(struct cli *cli, const char *group, enum slipring_status *status);
json_t *stats_workers(struct cli *cli, enum slipring_status *status);

/* Ctrl-C and the like end a command in good order (interrupt.c): from then on they only raise a flag. */
void interrupt_catch(void);
bool interrupted(void);

int command_get(struct cli *cli, int argc, char **argv);
int command_set(struct cli *cli, int argc, char **argv);
int command_del(struct cli *cli, int argc, char **argv);
int command_incr(struct cli *cli, int argc, char **argv);
int command_decr(struct cli *cli, int argc, char **argv);
int command_touch(struct cli *cli, int argc, char **argv);
int command_meta(struct cli *cli, int argc, char **argv);
int command_mget(struct cli *cli, int argc, char **argv);
int command_stats(struct cli *cli, int argc, char **argv);
int command_ping(struct cli *cli, int argc, char **argv);
int command_workers(struct cli *cli, int argc, char **argv);
int command_sockets(struct cli *cli, int argc, char **argv);
int command_bench(struct cli *cli, int argc, char **argv);
int command_top(struct cli *cli, int argc, char **argv);
int command_import(struct cli *cli, int argc, char **argv);
int command_export(struct cli *cli, int argc, char **argv);
int command_status(struct cli *cli, int argc, char **argv);
int command_members(struct cli *cli, int argc, char **argv);
int command_ring(struct cli *cli, int argc, char **argv);
int command_owners(struct cli *cli, int argc, char **argv);
int command_events(struct cli *cli, int argc, char **argv);
int command_metrics(struct cli *cli, int argc, char **argv);
int command_join(struct cli *cli, int argc, char **argv);
int command_leave(struct cli *cli, int argc, char **argv);
int command_drain(struct cli *cli, int argc, char **argv);
int command_probe(struct cli *cli, int argc, char **argv);
int command_keys(struct cli *cli, int argc, char **argv);
int command_completion(struct cli *cli, int argc, char **argv);
int command_help(struct cli *cli, int argc, char **argv);

#endif
