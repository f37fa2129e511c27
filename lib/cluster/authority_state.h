/*
 * authority_state.h - what the parts of the authority share.
 *
 * Purpose: authority.c runs the ballots, authority_wanted.c says what to vote on.
 * Threads: none. Memory: the caller's.
 */
#ifndef CLUSTER_AUTHORITY_STATE_H
#define CLUSTER_AUTHORITY_STATE_H

#include "cluster/authority.h"

/* Sets the digests. */
void authority_table_seal(struct authority_table *table);

void authority_table_copy(struct authority_table *to, const struct authority_table *from);

/*
 * Fills *wanted (all but its epoch) with the table that membership calls for; false when
 * that is what the table in force says, or when there is nobody to own anything.
 */
bool authority_wanted(const struct authority *authority, const struct members *members, uint64_t now_ns,
    struct authority_table *wanted);

#endif
