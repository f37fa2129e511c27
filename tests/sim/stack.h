/*
 * stack.h - what stands on the cluster in a node: forwarding, serve and store, under the simulator.
 *
 * Purpose: each simulated node has one worker (lib/serve over lib/store, on the model leaves) and its half
 *   of forwarding (lib/cluster/forward.h), joined to its cluster core as the daemon joins them. Operations
 *   are given to random nodes as the control plane gives its own, one a slot.
 * Checked: every operation of a life that lives on is answered, once, in time; a write is executed at most
 *   once in all lives of all nodes; done means executed, and what says "not executed" means that.
 * Threads: none. Memory: grows with operations; ends with stack_close().
 */
#ifndef TESTS_SIM_STACK_H
#define TESTS_SIM_STACK_H

#include "tests/sim/sim.h"

struct stack;

/* Gives all nodes started from now on a store, and calls for them every few milliseconds until stack_quiet(). */
void stack_open(struct sim *sim);
void stack_close(struct sim *sim);
/* No operations from now on. */
void stack_quiet(struct sim *sim);
/* After healing: everything is answered, and a key written at any node is read at every other. */
void stack_verify(struct sim *sim);

/* For the engine. */
void stack_start(struct sim *sim, uint16_t node);
void stack_stop(struct sim *sim, uint16_t node);
void stack_action(struct sim *sim, uint16_t node, const struct cluster_action *action);
/* All that the node's worker and core can do now; messages are posted to its cluster core. */
void stack_pump(struct sim *sim, uint16_t node);
/* Local time at which it wants to be pumped next. */
uint64_t stack_deadline(const struct sim *sim, uint16_t node);
/* Time for another operation; returns when the next one is due. */
uint64_t stack_issue(struct sim *sim);

#endif
