#include "transfer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/now.h"

enum { REDRAW_NS = 100000000, BAR_MAX = 40 };

bool
lines_open(struct cli *cli, struct lines *lines, const char *name)
{
	bool standard = strcmp(name, "-") == 0;
	struct stat facts;

	*lines = (struct lines){ .name = standard ? "standard input" : name, .file = standard ? stdin : fopen(name, "rb") };
	if (!lines->file)
		return cli_fail(cli, EXIT_USAGE, "%s: %s", name, strerror(errno)) == EXIT_OK;
	if (fstat(fileno(lines->file), &facts) == 0 && S_ISREG(facts.st_mode))
		lines->size = (uint64_t)facts.st_size;
	lines->text = cli_alloc(cli, LINE_SIZE_MAX + 1);
	return true;
}

void
lines_close(struct lines *lines)
{
	if (lines->file != stdin)
		fclose(lines->file);
}

enum line
lines_next(struct lines *lines, char problem[PROBLEM_SIZE])
{
	int byte;

	lines->len = 0;
	lines->number++;
	while ((byte = getc_unlocked(lines->file)) != EOF && byte != '\n') {
		if (lines->len == LINE_SIZE_MAX) {
			snprintf(problem, PROBLEM_SIZE, "a line over %d bytes", LINE_SIZE_MAX);
			return LINE_BAD;
		}
		lines->text[lines->len++] = (char)byte;
	}
	lines->text[lines->len] = '\0';
	lines->at += lines->len + 1;
	if (interrupted())
		return LINE_END;
	if (ferror(lines->file)) {
		snprintf(problem, PROBLEM_SIZE, "%s", strerror(errno));
		return LINE_BAD;
	}
	return byte == EOF && lines->len == 0 ? LINE_END : LINE_READ;
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

void
progress_start(struct progress *progress, const char *done, bool wanted)
{
	*progress = (struct progress){ .shown = wanted && isatty(STDERR_FILENO), .done = done, .begin_ns = now_ns() };
}

double
progress_seconds(const struct progress *progress)
{
	return (double)(now_ns() - progress->begin_ns) / 1e9;
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
	now = now_ns();
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
