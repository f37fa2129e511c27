#include "transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"

enum { REDRAW_NS = 100000000, BAR_MAX = 40 };

bool
lines_open(struct cli *cli, struct lines *lines, const char *name)
{
	bool standard = strcmp(name, "-") == 0;
	struct stat facts;

	*lines = (struct lines){ .name = standard ? "standard input" : name, .cache = cli->cache,
		.fd = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC) };
	if (lines->fd < 0)
		return cli_fail(cli, EXIT_USAGE, "%s: %s", name, strerror(errno)) == EXIT_OK;
	if (fstat(lines->fd, &facts) == 0 && S_ISREG(facts.st_mode))
		lines->size = (uint64_t)facts.st_size;
	lines->input = cli_alloc(cli, INPUT_SIZE);
	lines->text = cli_alloc(cli, LINE_SIZE_MAX + 1);
	return true;
}

void
lines_close(struct lines *lines)
{
	if (lines->fd != STDIN_FILENO)
		close(lines->fd);
}

/*
 * Reads on. What has been submitted would lie unsent while a pipe keeps us waiting, so
 * it ends first. 0 at the end, and when a signal ends the wait; -1: errno says why.
 */
static ssize_t
refill(struct lines *lines)
{
	struct pollfd input = { lines->fd, POLLIN, 0 };
	ssize_t count;

	if (poll(&input, 1, 0) == 0)
		slipring_flush(lines->cache);
	do
		count = interrupted() ? 0 : read(lines->fd, lines->input, INPUT_SIZE);
	while (count < 0 && errno == EINTR);
	lines->begin = 0;
	lines->end = count > 0 ? (size_t)count : 0;
	return count;
}

/* The rest of the input up to a newline joins the line. LINE_END: there was no newline. */
static enum line
join(struct lines *lines, char problem[PROBLEM_SIZE])
{
	const char *from = lines->input + lines->begin, *newline = memchr(from, '\n', lines->end - lines->begin);
	size_t count = newline ? (size_t)(newline - from) : lines->end - lines->begin;

	if (count > LINE_SIZE_MAX - lines->len) {
		snprintf(problem, PROBLEM_SIZE, "a line over %d bytes", LINE_SIZE_MAX);
		return LINE_BAD;
	}
	memcpy(lines->text + lines->len, from, count);
	lines->len += count;
	lines->begin += count + (newline != NULL);
	lines->at += count + (newline != NULL);
	lines->text[lines->len] = '\0';
	return newline ? LINE_READ : LINE_END;
}

enum line
lines_next(struct lines *lines, char problem[PROBLEM_SIZE])
{
	enum line line;
	ssize_t count;

	lines->len = 0;
	lines->number++;
	while ((line = join(lines, problem)) == LINE_END) {
		count = refill(lines);
		if (count < 0) {
			snprintf(problem, PROBLEM_SIZE, "%s", strerror(errno));
			return LINE_BAD;
		}
		if (count == 0)
			return interrupted() || lines->len == 0 ? LINE_END : LINE_READ;
	}
	return interrupted() ? LINE_END : line;
}

void
progress_start(struct progress *progress, const char *done, bool wanted)
{
	*progress = (struct progress){ .shown = wanted && isatty(STDERR_FILENO), .done = done, .begin_ns = clock_ns() };
}

double
progress_seconds(const struct progress *progress)
{
	return (double)(clock_ns() - progress->begin_ns) / 1e9;
}

static int
columns(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static void
draw(const struct progress *progress, const struct lines *lines, uint64_t count)
{
	double seconds = progress_seconds(progress);
	int width = columns() - 45 < BAR_MAX ? columns() - 45 : BAR_MAX;
	char figures[80];

	snprintf(figures, sizeof figures, "%llu %s, %.0f/s", (unsigned long long)count, progress->done,
	    seconds > 0 ? (double)count / seconds : 0);
	if (lines->size == 0 || width < 8) {
		fprintf(stderr, "\r%.*s\033[K", columns() - 1, figures);
		return;
	}
	double share = lines->at < lines->size ? (double)lines->at / (double)lines->size : 1;
	int full = (int)(share * width);

	fprintf(stderr, "\r[%.*s%*s] %3.0f %%  %s\033[K", full, "########################################", width - full, "",
	    share * 100, figures);
}

void
progress_show(struct progress *progress, const struct lines *lines, uint64_t count)
{
	uint64_t now;

	if (!progress->shown)
		return;
	now = clock_ns();
	if (progress->drawn_ns != 0 && now - progress->drawn_ns < REDRAW_NS)
		return;
	progress->drawn_ns = now;
	draw(progress, lines, count);
}

void
progress_clear(struct progress *progress)
{
	if (progress->shown)
		fprintf(stderr, "\r\033[K");
	progress->drawn_ns = 0;
}

void
progress_end(struct progress *progress)
{
	progress_clear(progress);
	progress->shown = false;
}
