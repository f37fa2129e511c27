/*
 * reclaim.h - grace periods (leaf: liburcu, QSBR flavour).
 *
 * Purpose: the one grace-period system. A plain thread "grace" runs
 *   synchronize_rcu() while batches wait and publishes the number completed;
 *   owners free what is older.
 * Threads: every worker registers once, calls reclaim_quiescent() once a poll
 *   and goes offline around any wait.
 */
#ifndef STORE_RECLAIM_H
#define STORE_RECLAIM_H

#include <stdint.h>

#include "base/roles.h"
#include "base/status.h"

enum status reclaim_start(struct error *error) MUST_USE ON_MAIN; /* main thread: starts "grace" */
void reclaim_stop(void) ON_MAIN;                                /* main thread: joins it */

void reclaim_register(void) ON_WORKER;   /* this thread becomes a reader */
void reclaim_unregister(void) ON_WORKER;
void reclaim_quiescent(void) ON_WORKER;  /* this reader holds nothing: once a poll */
void reclaim_offline(void) ON_WORKER;    /* before a wait */
void reclaim_online(void) ON_WORKER;     /* after it */

/*
 * Stamp for what was unlinked before this call: it may be freed once
 * reclaim_completed() > stamp. Owner or any thread.
 */
uint64_t reclaim_stamp(void);
uint64_t reclaim_completed(void);

#endif
