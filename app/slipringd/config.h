/*
 * config.h - what slipringd was told to do, and by whom.
 *
 * Purpose: one struct from defaults, then the YAML file, then the environment,
 *   then flags; each later source overrides the earlier. Mistakes are gathered,
 *   not just the first told.
 * Threads: main thread at start; afterwards read-only.
 * Memory: by value.
 * Invariants: 1. config_load() left no error => every field is within the
 *   bounds of config.def and config_verify()'s rules hold.
 */
#ifndef SLIPRINGD_CONFIG_H
#define SLIPRINGD_CONFIG_H

#include <stdio.h>

#include "ring/table.h"
#include "schema.h"

#define FIELD_TEXT(name) char name[VALUE_TEXT_SIZE]
#define FIELD_NAME(name) char name[VALUE_NAME_SIZE]
#define FIELD_CHOICE(name) uint32_t name
#define FIELD_BOOL(name) bool name
#define FIELD_NUMBER(name) uint32_t name
#define FIELD_SIZE(name) uint64_t name
#define FIELD_DURATION(name) uint64_t name
#define FIELD_NUMBERS(name) struct numbers name
#define FIELD_TEXTS(name) struct texts name
#define FIELD_IPV4_PREFIX(name) struct ipv4_prefix name
#define FIELD_PREFIXES(name) struct prefixes name
#define FIELD_MAC(name) uint8_t name[6]

enum config_key {
#define KEY(field, path, kind, preset, min, max, more, help) CONFIG_##field,
#include "config.def"
#undef KEY
	CONFIG_KEY_COUNT
};

/* Values of choices, in config.def's order; log_level's are enum log_level. */
enum config_log_format { LOG_FORMAT_TEXT = 0, LOG_FORMAT_JSON };
enum config_idle { IDLE_BUSY = 0, IDLE_ADAPTIVE };
enum config_core { CORE_AUTO = 0, CORE_THREAD, CORE_WORKER };
enum config_resp_cluster { RESP_FORWARD = 0, RESP_REDIRECT };
enum config_huge_pages { HUGE_PAGES_AUTO = 0, HUGE_PAGES_YES, HUGE_PAGES_NO };

struct config {
#define KEY(field, path, kind, preset, min, max, more, help) FIELD_##kind(field);
#include "config.def"
#undef KEY
	struct origin origins[CONFIG_KEY_COUNT];
	char file[VALUE_TEXT_SIZE]; /* the YAML file read, or "" */
};

enum config_action {
	CONFIG_RUN = 0,
	CONFIG_CHECK,    /* --check-config */
	CONFIG_PRINT,    /* --print-config */
	CONFIG_HELP,
	CONFIG_VERSION,
	CONFIG_MANUAL,   /* --dump-config-scd: source of slipring.yaml(5) */
	CONFIG_HTTP,     /* --dump-http-md: doc/HTTP.md */
};

/* The table; percentages are of ram_bytes. */
struct schema config_schema(uint64_t ram_bytes);

/*
 * Fills *config and *action. argv[0] is skipped; environment is NULL-ended as
 * environ(7). Without --config the file is $SLIPRING_CONFIG, else
 * CONFIG_FILE_DEFAULT when it exists. Errors are in *problems.
 */
#define CONFIG_FILE_DEFAULT "/etc/slipring/slipring.yaml"
void config_load(struct config *config, int argc, char *const *argv, char *const *environment,
    enum config_action *action, struct problems *problems);

/* Rules between keys; called by config_load. The port counts, sockets and lists fit together. */
void config_verify(const struct schema *schema, struct config *config, struct problems *problems);

/* Where a key's value was given: "FILE:3:10", "SLIPRING_WORKERS", "--workers", "default". */
void config_place(const struct config *config, const struct schema *schema, uint32_t index,
    char *text, size_t size);
/* SLIPRING_NATIVE__PORT and --native.port. */
void config_environment_name(const char *path, char *text, size_t size);
void config_flag_name(const char *path, char *text, size_t size);

/* Room for any value as schema_print_value prints it. */
enum { CONFIG_VALUE_SIZE = 4096 };

/* The effective configuration as YAML, each value with its origin as a comment. */
void config_print(const struct config *config, FILE *out);
void config_print_help(FILE *out);
/* scdoc source of slipring.yaml(5). */
void config_print_manual(FILE *out);

#endif
