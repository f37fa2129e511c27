/*
 * control.h - what the main thread does while the node serves.
 *
 * Purpose: waits for a signal to stop; meanwhile feeds the service manager's
 *   watchdog as long as every worker polls, logs a worker that does not, and hands
 *   pages that the store has no use for back to the system.
 * Threads: main thread.
 */
#ifndef SLIPRINGD_CONTROL_H
#define SLIPRINGD_CONTROL_H

#include "slipringd/node.h"

/* Blocks SIGTERM and SIGINT; first thing in main(), so that every thread inherits it. */
void control_block_signals(void);

/*
 * Returns with the number of the signal that asked to stop, or 0 when the cluster does not let
 * this node in. From then on a
 * second one, a second or more later, ends the process at once with status 130. Publishes in *stalled
 * which workers do not poll (bit i: worker i).
 */
int control_run(const struct node *node, _Atomic uint32_t *stalled);

#endif
