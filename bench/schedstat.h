/*
 * schedstat.h - what the kernel's scheduler says of a process's threads.
 *
 * Purpose: how long threads ran, how long they were ready and waited for a CPU, and how often they were put on one:
 *   the part of a round trip that is the machine's, not the program's.
 * How: /proc/PID/task/TID/schedstat (Documentation/scheduler/sched-stats.rst of the kernel), summed over the threads
 *   whose name begins so. Threads that come or go between two looks spoil the difference: long-lived ones only.
 */
#ifndef BENCH_SCHEDSTAT_H
#define BENCH_SCHEDSTAT_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct schedstat {
	uint64_t run_ns, wait_ns, slices;
};

/* False: no such thread, or the kernel does not tell. */
static inline bool
schedstat_add(struct schedstat *sum, long pid, const char *tid, const char *prefix)
{
	struct schedstat one = { 0 };
	char path[64 + 32], name[32] = "";
	FILE *file;
	bool told;

	snprintf(path, sizeof path, "/proc/%ld/task/%.20s/comm", pid, tid);
	file = fopen(path, "r");
	told = file && fgets(name, sizeof name, file) && strncmp(name, prefix, strlen(prefix)) == 0;
	if (file)
		fclose(file);
	if (!told)
		return false;
	snprintf(path, sizeof path, "/proc/%ld/task/%.20s/schedstat", pid, tid);
	file = fopen(path, "r");
	told = file && fscanf(file, "%lu %lu %lu", &one.run_ns, &one.wait_ns, &one.slices) == 3;
	if (file)
		fclose(file);
	sum->run_ns += one.run_ns;
	sum->wait_ns += one.wait_ns;
	sum->slices += one.slices;
	return told;
}

/* Sums over a process's threads whose name begins with prefix; false when there is none. */
static inline bool
schedstat_read(struct schedstat *sum, long pid, const char *prefix)
{
	char path[64];
	struct dirent *entry;
	bool any = false;
	DIR *tasks;

	memset(sum, 0, sizeof *sum);
	snprintf(path, sizeof path, "/proc/%ld/task", pid);
	tasks = opendir(path);
	while (tasks && (entry = readdir(tasks)) != NULL)
		if (entry->d_name[0] != '.')
			any |= schedstat_add(sum, pid, entry->d_name, prefix);
	if (tasks)
		closedir(tasks);
	return any;
}

#endif
