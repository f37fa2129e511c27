/*
 * schema.h - a table of keys, and everything that follows from it.
 *
 * Purpose: config.def and profile.def are tables of keys; from a table follow
 *   defaults, reading YAML with good errors, overriding by text (environment,
 *   flags), printing back, and the manual. A key is added in one line.
 * How: a key names a field by offset and a kind; key_set() is the only writer
 *   of fields, whatever the text came from. Defaults are texts too.
 * Threads: any, on the caller's objects. Memory: the caller's; the YAML reader
 *   takes its own and gives it back.
 * Invariants: 1. A field changes only by a value that is valid for its key.
 *   2. Problems name place, key, what is wrong and what is allowed.
 * Bounds: SCHEMA_KEYS_MAX keys, PROBLEMS_MAX problems kept (more are counted).
 */
#ifndef SLIPRINGD_SCHEMA_H
#define SLIPRINGD_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "value.h"

enum {
	SCHEMA_KEYS_MAX = 96,
	SCHEMA_PATH_SIZE = 64,
	PROBLEMS_MAX = 16,
	PLACE_SIZE = 120,
	YAML_SIZE_MAX = 1 << 20, /* bytes of a file; ours have a few thousand */
};

/* A number field whose key allows "auto" holds this for it. */
#define NUMBER_AUTO UINT32_MAX

enum kind {
	KIND_TEXT,        /* char[]; min..max bytes */
	KIND_NAME,        /* char[VALUE_NAME_SIZE] */
	KIND_CHOICE,      /* uint32_t: index into `more`, "first|second" */
	KIND_BOOL,        /* bool */
	KIND_NUMBER,      /* uint16_t or uint32_t by size; min..max; `more` may be "auto" */
	KIND_SIZE,        /* uint64_t bytes; min..max; `more` may be "percent": of the RAM */
	KIND_DURATION,    /* uint64_t ns; min..max */
	KIND_NUMBERS,     /* struct numbers; each min..max */
	KIND_TEXTS,       /* struct texts */
	KIND_IPV4_PREFIX, /* struct ipv4_prefix; "" for none */
	KIND_PREFIXES,    /* struct prefixes */
	KIND_MAC,         /* uint8_t[6]; "" for none: all zero */
};

struct key {
	const char *path; /* "native.port" */
	enum kind kind;
	uint16_t offset, size; /* of the field */
	uint64_t min, max;
	const char *more;   /* of the kind */
	const char *preset; /* default, as text; lists by comma */
	const char *help;   /* one line */
};

struct schema {
	const char *title; /* "configuration", "profile" */
	const struct key *keys;
	uint32_t count;
	uint64_t ram_bytes; /* what percentages are of */
};

enum source { SOURCE_DEFAULT = 0, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_FLAG };

/* Where a key's value came from. */
struct origin {
	enum source source;
	uint32_t line, column; /* SOURCE_FILE, from 1 */
};

struct problem {
	bool warning;
	char text[400]; /* one line for a person, no newline */
};

struct problems {
	uint32_t count;    /* kept in list */
	uint32_t errors;   /* counted, kept or not */
	struct problem list[PROBLEMS_MAX];
};

void problems_add(struct problems *problems, bool warning, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The first error as a struct error, for callers that tell only one. */
enum status problems_error(const struct problems *problems, struct error *error);

/* One or several texts for a key; `list` when they were written as a list. */
struct given {
	const char *const *texts;
	uint32_t count;
	bool list;
};

/* Index of the key with this path, or -1. */
int schema_find(const struct schema *schema, const char *path);
/* True when keys lie below this path ("native" of "native.port"). */
bool schema_is_group(const struct schema *schema, const char *path);
/* The path most like this one, for "did you mean", or NULL when none is near. */
const char *schema_suggest(const struct schema *schema, const char *path);

/* Sets every field to its default. A bad default is a programmer's mistake: CHECK. */
void schema_defaults(const struct schema *schema, void *object);
/* Sets one field; on false `why` says what is wrong. */
bool schema_set(const struct schema *schema, uint32_t index, void *object, const struct given *given,
    struct why *why);
/* The same for one text; a list is cut at commas. */
bool schema_set_text(const struct schema *schema, uint32_t index, void *object, const char *text,
    struct why *why);
/* Adds "place: path: why (allowed: ...)". */
void schema_problem(const struct schema *schema, uint32_t index, const char *place, const struct why *why,
    struct problems *problems);
/* What the key accepts: "1..16", "busy, adaptive", "true, false". */
void schema_allowed(const struct key *key, char *text, size_t size);
/* The field as YAML text: 64M, "", [a, b]. */
void schema_print_value(const struct key *key, const void *object, char *text, size_t size);

/*
 * Reads a YAML document into object. Problems carry "name:line:column". Keys
 * set get their origin; the same key twice is a problem. schema_yaml.c.
 */
void schema_read_yaml(const struct schema *schema, const char *name, const void *bytes, size_t len,
    void *object, struct origin *origins, struct problems *problems);
/* The same for a file. */
void schema_read_file(const struct schema *schema, const char *path, void *object,
    struct origin *origins, struct problems *problems);

#endif
