/*
 * control.h - what the main thread does while the node serves.
 *
 * Purpose: waits for a signal to stop; meanwhile feeds the service manager's
 *   watchdog as long as every worker polls and hears, logs a worker that does not, hands
 *   pages that the store has no use for back to the system, and has read again what SIGHUP asks for.
 * Threads: main thread.
 */
#ifndef SLIPRINGD_CONTROL_H
#define SLIPRINGD_CONTROL_H

#include "slipringd/faults.h"
#include "slipringd/node.h"

/* Blocks SIGTERM, SIGINT and SIGHUP; first thing in main(), so that every thread inherits it. */
void control_block_signals(void);

struct control {
	const struct node *node;
	struct faults *faults;         /* published */
	void (*reload)(void *context); /* SIGHUP came */
	void *context;
};

/*
 * Returns with the number of the signal that asked to stop, or 0 when the cluster does not let
 * this node in. From then on a
 * second one, a second or more later, ends the process at once with status 130.
 */
int control_run(const struct control *control);

#endif
