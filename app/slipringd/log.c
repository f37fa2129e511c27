#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

/* Set once by log_open, but for the level. */
static struct {
	char node[32];
	int fd;
	bool json;
	_Atomic int level;
} out = { "-", STDERR_FILENO, false, LOG_LEVEL_INFO };

static const char *const names[] = { "error", "warn", "info", "debug" }, *const shown[] = {
	"ERROR", "WARN", "INFO", "DEBUG"
};

enum status
log_open(const char *node, enum log_level level, bool json, const char *file, struct error *error)
{
	snprintf(out.node, sizeof out.node, "%s", node);
	out.json = json;
	log_level_set(level);
	if (!file || !*file)
		return STATUS_OK;
	int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (fd < 0)
		return error_set(error, STATUS_IO, "log_file %s: %s; give a file in a directory that exists "
		    "and may be written", file, strerror(errno));
	log_close();
	out.fd = fd;
	return STATUS_OK;
}

void
log_close(void)
{
	if (out.fd != STDERR_FILENO)
		close(out.fd);
	out.fd = STDERR_FILENO;
}

void
log_level_set(enum log_level level)
{
	atomic_store_explicit(&out.level, (int)level, memory_order_relaxed);
}

enum log_level
log_level_get(void)
{
	return (enum log_level)atomic_load_explicit(&out.level, memory_order_relaxed);
}

const char *
log_level_name(enum log_level level)
{
	return names[level];
}

bool
log_level_parse(const char *text, enum log_level *level)
{
	for (int i = 0; i < LOG_LEVEL_COUNT; i++) {
		if (strcasecmp(text, names[i]) != 0)
			continue;
		*level = (enum log_level)i;
		return true;
	}
	return false;
}

bool
log_wanted(enum log_level level)
{
	return level <= log_level_get();
}

/* A line under construction; keeps room for what must follow the message. */
struct line {
	char text[LOG_LINE_MAX];
	size_t len;
};

enum { LINE_TAIL = 8 }; /* "..." quote, brace, newline */

static void
put(struct line *line, const char *text)
{
	for (; *text && line->len < LOG_LINE_MAX - LINE_TAIL; text++)
		line->text[line->len++] = *text;
}

/* The message itself: control characters, and in JSON quotes, are escaped. */
static void
put_escaped(struct line *line, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		char escaped[8] = { (char)c };

		if (c < ' ' || c == 127)
			snprintf(escaped, sizeof escaped, out.json ? "\\u%04x" : "\\x%02x", c);
		else if (out.json && (c == '"' || c == '\\'))
			snprintf(escaped, sizeof escaped, "\\%c", c);
		if (line->len + strlen(escaped) >= LOG_LINE_MAX - LINE_TAIL) {
			memcpy(line->text + line->len, "...", 3);
			line->len += 3;
			return;
		}
		put(line, escaped);
	}
}

static void
put_time(struct line *line)
{
	char text[40];
	struct timespec now;
	struct tm utc;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(text + len, sizeof text - len, ".%03ldZ", now.tv_nsec / 1000000);
	put(line, text);
}

static void
emit(enum log_level level, const char *message)
{
	struct line line = { .len = 0 };

	if (out.json)
		put(&line, "{\"time\":\"");
	put_time(&line);
	put(&line, out.json ? "\",\"level\":\"" : " ");
	put(&line, out.json ? names[level] : shown[level]);
	put(&line, out.json ? "\",\"node\":\"" : " ");
	put(&line, out.node);
	put(&line, out.json ? "\",\"text\":\"" : " ");
	put_escaped(&line, message);
	if (out.json) {
		memcpy(line.text + line.len, "\"}", 2);
		line.len += 2;
	}
	line.text[line.len++] = '\n';
	/* A log that cannot be written must not stop the node: the result is of no use. */
	ssize_t written = write(out.fd, line.text, line.len);
	(void)written;
}

void
log_write(enum log_level level, const char *format, ...)
{
	char message[LOG_LINE_MAX];
	va_list arguments;
	int saved = errno; /* callers log first and return errno later */

	if (!log_wanted(level))
		return;
	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	emit(level, message);
	errno = saved;
}

static uint64_t
mono_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void
log_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
{
	char message[LOG_LINE_MAX];
	va_list arguments;

	if (!log_wanted(level))
		return;
	uint64_t now = mono_ms(), next = atomic_load_explicit(&limit->next_ms, memory_order_relaxed);
	/* Of several threads at once, the one that moves next_ms writes. */
	if (now < next || !atomic_compare_exchange_strong_explicit(&limit->next_ms, &next,
	    now + limit->interval_ms, memory_order_relaxed, memory_order_relaxed)) {
		atomic_fetch_add_explicit(&limit->held, 1, memory_order_relaxed);
		return;
	}
	uint64_t held = atomic_exchange_explicit(&limit->held, 0, memory_order_relaxed);
	va_start(arguments, format);
	int len = vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	if (held && len >= 0 && (size_t)len < sizeof message)
		snprintf(message + len, sizeof message - (size_t)len, " (and %llu more like it)",
		    (unsigned long long)held);
	emit(level, message);
}
