/*
 * api_process.h - figures of this process from /proc; private to the control plane.
 *
 * Threads: any. Memory: the caller's.
 */
#ifndef SLIPRINGD_API_PROCESS_H
#define SLIPRINGD_API_PROCESS_H

#include <stddef.h>
#include <stdint.h>

struct process_figures {
	double cpu_seconds;
	uint64_t resident_bytes, virtual_bytes, open_fds, max_fds, threads;
	uint64_t start_seconds; /* since the epoch */
};

/* What /proc does not tell is 0. */
void process_figures(struct process_figures *figures);
/* The command line, arguments ended by NUL each; returns its length. */
size_t process_arguments(char *text, size_t size);

#endif
