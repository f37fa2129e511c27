/*
 * mutation.h - deliberate protocol bugs, so that the simulator can show that it finds them.
 *
 * Purpose: MUTATED(config, NAME) is the constant 0 in every build but the simulator's own
 *   (-DCLUSTER_MUTATIONS), where config->mutation chooses at most one bug.
 * Threads: any. Memory: none.
 */
#ifndef CLUSTER_MUTATION_H
#define CLUSTER_MUTATION_H

enum mutation {
	MUTATION_NONE = 0,
#define MUTATION(suffix, text) MUTATION_##suffix,
#include "cluster/mutation.def"
#undef MUTATION
	MUTATION_COUNT
};

#ifdef CLUSTER_MUTATIONS
#define MUTATED(config, suffix) ((config)->mutation == MUTATION_##suffix)
#else
#define MUTATED(config, suffix) ((void)(config), 0)
#endif

#endif
