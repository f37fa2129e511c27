/*
 * status.h - errors of start-up and of the control side.
 *
 * Purpose: what may fail before packets flow returns a struct error that
 *   says what failed, where, and how to mend it, in one line for a person.
 * Threads: any. Memory: fixed size, by value.
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdbool.h>

enum status {
	STATUS_OK = 0,
	STATUS_INVALID,     /* bad input: the text names it */
	STATUS_UNAVAILABLE, /* a resource is missing or in use */
	STATUS_NO_MEMORY,
	STATUS_IO,
};

struct error {
	enum status status;
	char text[400]; /* what, where, how to mend it; NUL-terminated, no newline */
};

/* Fills *error with a formatted text and returns its status. */
enum status error_set(struct error *error, enum status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define MUST_USE __attribute__((warn_unused_result))

#endif
