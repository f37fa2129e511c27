/*
 * check.h - assertions that stay on in every build.
 *
 * Purpose: a programmer's mistake stops the process at once, with the place
 *   and the broken condition. A bad packet is never a CHECK: it is a named
 *   drop (drop.h). What may fail at start-up returns a status (status.h).
 * Threads: any.
 * Memory: none.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

/* Prints "file:line: CHECK failed: condition" on stderr and aborts. */
_Noreturn void check_fail(const char *file, int line, const char *condition);

#define CHECK(condition) \
	(__builtin_expect(!!(condition), 1) ? (void)0 : check_fail(__FILE__, __LINE__, #condition))

#endif
