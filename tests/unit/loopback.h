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
