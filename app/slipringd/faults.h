/*
 * faults.h - what the main thread found wrong with the workers, for those who tell of it.
 *
 * Threads: written by the main thread, read by anyone. Memory: its owner's.
 */
#ifndef SLIPRINGD_FAULTS_H
#define SLIPRINGD_FAULTS_H

#include <stdint.h>

struct faults {
	_Atomic uint32_t stalled; /* bit i: worker i does not poll (watchdog.h) */
	_Atomic uint32_t deaf;    /* bit i: worker i does not receive what comes to its port (hearing.h) */
};

#endif
