/*
 * hearing.h - does what reaches a worker's port reach the worker?
 *
 * Purpose: a port can be deaf though its worker polls: no buffers offered to the kernel, a program
 *   detached from the interface, a queue that nobody reads. Such a node is no use to anybody, and looks well.
 * How: each step compares what a worker has received with what its port was offered: frames that the
 *   driver could not hand over and, for an interface of the kernel's that it has to itself, all that came in there.
 *   A worker that received nothing for HEARING_STEPS steps, in which at least HEARING_FRAMES came, is deaf;
 *   one frame received ends that. A port to which nothing comes is not deaf but idle, and a network that is cut is not our ears.
 * Threads: one thread steps it. Memory: fixed.
 */
#ifndef SLIPRINGD_HEARING_H
#define SLIPRINGD_HEARING_H

#include <stdint.h>

#include "base/limits.h"

enum { HEARING_STEPS = 2, HEARING_FRAMES = 8 };

/* Of one worker, since it started. */
struct hearing_figures {
	uint64_t heard;   /* frames that it received */
	uint64_t offered; /* frames that came to its port, as far as that can be told; read before `heard` */
};

struct hearing {
	struct {
		uint64_t heard, offered; /* when it last heard something */
		uint32_t silent;         /* steps since */
	} workers[WORKER_MAX];
	uint32_t worker_count;
};

void hearing_init(struct hearing *hearing, uint32_t worker_count);

/* Bit i of the result: worker i is deaf. */
uint32_t hearing_step(struct hearing *hearing, const struct hearing_figures *figures);

#endif
