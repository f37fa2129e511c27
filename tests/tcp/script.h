/*
 * script.h - conversations with TCP-lite as text, on virtual time.
 *
 * Purpose: a rule of an RFC is a dozen lines that a person can check against it. doc/TESTING.md has the words.
 * How: tests/conversations/tcp holds them; each `== NAME` begins one, on an instance of its own.
 */
#ifndef TESTS_TCP_SCRIPT_H
#define TESTS_TCP_SCRIPT_H

#include "tests/tcp/rig.h"

struct script_text {
	char **lines;
	uint32_t count;
	const char *file;
};

struct script_result {
	char failure[2 * RIG_TEXT_MAX]; /* "": it went as written */
	uint64_t digest;                /* of all that was sent */
};

/* Reads a file; stops the process when it cannot. */
void script_load(struct script_text *text, const char *path);
void script_free(struct script_text *text);
/* The line of the next conversation's `==` from `from` on, or text->count. */
uint32_t script_next(const struct script_text *text, uint32_t from);
/* Runs the conversation whose `==` is at line `at`. */
void script_run(const struct script_text *text, uint32_t at, const struct tcp_api *api, bool verbose,
    struct script_result *result);

#endif
