#include "slipringd/api_process.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static size_t
read_file(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t len = file ? fread(text, 1, size - 1, file) : 0;

	if (file)
		fclose(file);
	text[len] = '\0';
	return len;
}

/* Entries of /proc/self/fd but for the two of the folder and the one that reads it. */
static uint64_t
count_fds(void)
{
	DIR *folder = opendir("/proc/self/fd");
	uint64_t count = 0;

	if (!folder)
		return 0;
	while (readdir(folder))
		count++;
	closedir(folder);
	return count > 3 ? count - 3 : 0;
}

/* proc(5): start time is field 22, in ticks since the machine's start. */
static void
read_stat(struct process_figures *figures)
{
	unsigned long user, system, threads, virtual, resident;
	unsigned long long start;
	struct timespec boot, now;
	double ticks = (double)sysconf(_SC_CLK_TCK);
	char text[1024];

	read_file("/proc/self/stat", text, sizeof text);
	const char *at = strrchr(text, ')'); /* the name before it may hold anything */
	if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %lu %*d %llu %lu %lu",
	    &user, &system, &threads, &start, &virtual, &resident) != 6)
		return;
	clock_gettime(CLOCK_BOOTTIME, &boot);
	clock_gettime(CLOCK_REALTIME, &now);
	figures->cpu_seconds = (double)(user + system) / ticks;
	figures->threads = threads;
	figures->virtual_bytes = virtual;
	figures->resident_bytes = resident * (uint64_t)sysconf(_SC_PAGESIZE);
	figures->start_seconds = (uint64_t)((double)(now.tv_sec - boot.tv_sec) + (double)start / ticks);
}

void
process_figures(struct process_figures *figures)
{
	struct rlimit limit;

	*figures = (struct process_figures){ .open_fds = count_fds() };
	read_stat(figures);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		figures->max_fds = limit.rlim_cur;
}

size_t
process_arguments(char *text, size_t size)
{
	return read_file("/proc/self/cmdline", text, size);
}
