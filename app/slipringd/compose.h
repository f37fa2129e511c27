/*
 * compose.h - from what the operator said to what the modules want.
 *
 * Purpose: struct config and a profile become struct node_config; CPUs left
 *   open are chosen, the shared key is read, memory for EAL is computed.
 * Threads: main thread at start. Memory: by value.
 */
#ifndef SLIPRINGD_COMPOSE_H
#define SLIPRINGD_COMPOSE_H

#include "config.h"
#include "slipringd/node.h"

/* Errors name the key to change, or say what to run. */
enum status compose_node(const struct config *config, const struct io_profile *profile,
    struct node_config *node, struct error *error) MUST_USE;

#endif
