/*
 * log.h - the daemon's log lines.
 *
 * Purpose: one line a message, "2026-11-20T10:00:00.123Z INFO n1 text", to
 *   standard error or a file; or the same as one JSON object a line.
 * Threads: any, at any time; a line is one write(2), so lines do not mix.
 *   Workers log only through log_limited(): a write may block.
 * Memory: the stack. The level is one atomic; the rest is set once at start.
 * Invariants: 1. A message is one line: control characters in it are escaped,
 *   so nobody on the network can forge a line. 2. A line longer than
 *   LOG_LINE_MAX is cut and ends in "...".
 */
#ifndef SLIPRINGD_LOG_H
#define SLIPRINGD_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum log_level { LOG_LEVEL_ERROR = 0, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVEL_COUNT };

enum { LOG_LINE_MAX = 1024 };

/*
 * Main thread, before other threads: names the node, sets the level, opens
 * `file` for appending ("" or NULL: standard error). Before it, messages go to
 * standard error at INFO with node "-".
 */
enum status log_open(const char *node, enum log_level level, bool json, const char *file,
    struct error *error) MUST_USE;
void log_close(void);

void log_level_set(enum log_level level);
enum log_level log_level_get(void);
const char *log_level_name(enum log_level level); /* "info" */
bool log_level_parse(const char *text, enum log_level *level); /* any case */

/* True when a message of this level would be written. */
bool log_wanted(enum log_level level);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Something that may happen a million times a second is told once in interval_ms, with a count. */
struct log_limit {
	uint32_t interval_ms;
	_Atomic uint64_t next_ms; /* monotonic */
	_Atomic uint64_t held;    /* messages not written since the last one */
};

#define LOG_LIMIT(interval) { .interval_ms = (interval) }

void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
