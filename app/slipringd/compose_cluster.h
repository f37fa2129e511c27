/*
 * compose_cluster.h - from what the operator said of the cluster to what the core wants.
 *
 * Purpose: names are resolved, addresses parsed, keys read, the directory for the epoch is made.
 * Threads: main thread at start. Memory: by value.
 */
#ifndef SLIPRINGD_COMPOSE_CLUSTER_H
#define SLIPRINGD_COMPOSE_CLUSTER_H

#include "config.h"
#include "slipringd/core_node.h"

/* cluster.enabled is on. Errors name the key to change. */
enum status compose_cluster(const struct config *config, struct core_config *core, struct error *error) MUST_USE;

#endif
