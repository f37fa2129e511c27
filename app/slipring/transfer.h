/*
 * transfer.h - what import and export share: lines of a file, records, a progress bar.
 *
 * Purpose: one JSON object a line,
 *     {"key":"greeting","value":"hello","flags":7,"ttl_ms":60000}
 *   with key_base64 and value_base64 (RFC 4648, padded) in place of what is no UTF-8.
 *   flags 0 and a TTL of "never" are left out.
 * Memory: a line is at most LINE_SIZE_MAX bytes, whatever the file holds.
 */
#ifndef SLIPRING_TRANSFER_H
#define SLIPRING_TRANSFER_H

#include <stdio.h>

#include "cli.h"

enum {
	INPUT_SIZE = 1 << 16,
	LINE_SIZE_MAX = 8 << 20, /* a value of 1 MiB takes at most 6 MiB, when each byte is written \u00xx */
	PROBLEM_SIZE = 200,
};

/* A file read line by line. */
struct lines {
	const char *name; /* for people */
	int fd;
	struct slipring *cache; /* has its operations ended before we wait for input, however long */
	char *input;      /* bytes read ahead: begin..end-1 */
	size_t begin, end;
	char *text;       /* the line last read, without its newline; NUL-terminated */
	size_t len;
	uint64_t number;  /* of that line, from 1 */
	uint64_t at, size; /* bytes read and in all; size 0: unknown */
};

enum line { LINE_READ, LINE_END, LINE_BAD };

/* Opens a file, or standard input for "-". False after complaining. */
bool lines_open(struct cli *cli, struct lines *lines, const char *name);
void lines_close(struct lines *lines);
/* The next line; LINE_BAD tells the problem. An interrupted wait is the end. */
enum line lines_next(struct lines *lines, char problem[PROBLEM_SIZE]);

struct record {
	uint8_t key[SLIPRING_KEY_MAX];
	size_t key_len;
	uint8_t *value; /* of malloc */
	size_t value_len;
	uint32_t flags;
	uint64_t ttl_ms; /* 0: never expires */
};

/* Fills *record, whose value is then the caller's to free. False: problem says why. */
bool record_parse(const char *line, size_t len, struct record *record, char problem[PROBLEM_SIZE]);
/* Writes a line; false when the stream failed. */
bool record_write(FILE *to, const struct record *record);

/* A bar on a terminal's standard error, redrawn ten times a second at most. */
struct progress {
	bool shown;
	const char *done; /* "stored", "exported" */
	uint64_t begin_ns, drawn_ns;
};

void progress_start(struct progress *progress, const char *done, bool wanted);
void progress_show(struct progress *progress, const struct lines *lines, uint64_t count);
/* Makes room for other lines; the bar comes back. */
void progress_clear(struct progress *progress);
void progress_end(struct progress *progress);
double progress_seconds(const struct progress *progress);

#endif
