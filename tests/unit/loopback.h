/*
 * loopback.h - a loopback node for a test, and a handle on it.
 *
 * Purpose: start tests/tools/loopback_node with a link as bad as asked for, stop
 *   it, or kill it and start another on its port.
 * Threads: one. Memory: the caller's.
 */
#ifndef TESTS_LOOPBACK_H
#define TESTS_LOOPBACK_H

#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "client/slipring.h"

struct loopback {
	pid_t pid;
	uint16_t port;
};

/* A program of this build: "tests/tools/loopback_node", "slipring". */
static inline void
loopback_path(char path[PATH_MAX], const char *name)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);

	CHECK(len > 0);
	self[len] = '\0';
	/* build/FLAVOUR/tests/unit/test_x */
	CHECK(snprintf(path, PATH_MAX, "%s/../../%s", dirname(self), name) < PATH_MAX);
}

/* Options as one text, "--loss 5 --workers 2"; port 0: any. */
static inline struct loopback
loopback_start(uint16_t port, const char *options)
{
	char path[PATH_MAX], command[PATH_MAX + 256];
	struct loopback node;
	int ends[2];
	unsigned ready;
	FILE *out;

	loopback_path(path, "tests/tools/loopback_node");
	snprintf(command, sizeof command, "exec %s --port %u %s", path, port, options);
	CHECK(pipe(ends) == 0);
	node.pid = fork();
	CHECK(node.pid >= 0);
	if (node.pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	out = fdopen(ends[0], "r");
	CHECK(out && fscanf(out, "ready %u", &ready) == 1);
	fclose(out);
	node.port = (uint16_t)ready;
	return node;
}

static inline void
loopback_kill(struct loopback *node, int how)
{
	int status;

	kill(node->pid, how);
	waitpid(node->pid, &status, 0);
	/* Asked to end, it ends well: a sanitizer's complaint fails the test. */
	CHECK(how == SIGKILL || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
	node->pid = 0;
}

/* Several nodes in one process, and the pipe by which they are told what to do. */
enum { LOOPBACK_NODES_MAX = 16 };

struct loopback_cluster {
	pid_t pid;
	uint32_t count;
	uint16_t ports[LOOPBACK_NODES_MAX];
	FILE *orders, *answers;
};

static inline struct loopback_cluster
loopback_cluster_start(uint32_t count, const char *options)
{
	char path[PATH_MAX], command[PATH_MAX + 256];
	struct loopback_cluster cluster = { .count = count };
	int in[2], out[2];
	unsigned port;

	loopback_path(path, "tests/tools/loopback_node");
	snprintf(command, sizeof command, "exec %s --nodes %u %s", path, count, options);
	CHECK(pipe(in) == 0 && pipe(out) == 0);
	cluster.pid = fork();
	CHECK(cluster.pid >= 0);
	if (cluster.pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		close(in[1]);
		close(out[0]);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	cluster.orders = fdopen(in[1], "w");
	cluster.answers = fdopen(out[0], "r");
	CHECK(cluster.orders && cluster.answers && fscanf(cluster.answers, "ready") == 0);
	for (uint32_t i = 0; i < count; i++) {
		CHECK(fscanf(cluster.answers, "%u", &port) == 1);
		cluster.ports[i] = (uint16_t)port;
	}
	CHECK(fgetc(cluster.answers) == '\n');
	return cluster;
}

/* One order as loopback_node.c has them; done when it returns. */
static inline void
loopback_order(struct loopback_cluster *cluster, const char *format, ...)
{
	char answer[8];
	va_list arguments;

	va_start(arguments, format);
	vfprintf(cluster->orders, format, arguments);
	va_end(arguments);
	fputc('\n', cluster->orders);
	fflush(cluster->orders);
	CHECK(fgets(answer, sizeof answer, cluster->answers) && strcmp(answer, "ok\n") == 0);
}

static inline void
loopback_cluster_stop(struct loopback_cluster *cluster)
{
	int status;

	kill(cluster->pid, SIGTERM);
	waitpid(cluster->pid, &status, 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	fclose(cluster->orders);
	fclose(cluster->answers);
}

static inline struct slipring *
loopback_handle(uint16_t port, void (*change)(struct slipring_options *))
{
	struct slipring_options options;
	struct slipring *handle;

	slipring_options_init(&options);
	options.port = port;
	options.try_timeout_us = 20000;
	options.deadline_us = 20000000;
	options.seed = 1;
	if (change)
		change(&options);
	handle = slipring_open("127.0.0.1", &options);
	CHECK(handle && slipring_ready(handle) == SLIPRING_OK);
	return handle;
}

#endif
