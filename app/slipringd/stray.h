/*
 * stray.h - TCP segments, and ICMP errors about them, that came to a worker which does not have their connection.
 *
 * Purpose: a connection belongs to the worker that its first segment came to. NICs mostly send the rest there, too, but
 *   promise nothing: a changed indirection table, a fragment, another sender's queue. ICMP errors they spread by the router that sends
 *   them, which says nothing of the connection. Such a frame goes from worker to worker until one knows its
 *   connection; when none does, the last one answers as TCP does to strangers, and passes an error over.
 * Threads: the worker's lcore. Memory: the worker's deferred slots, each with a copy of the frame.
 * Bounds: as many as slots are free; what is beyond is dropped by name, and sent again by its sender.
 */
#ifndef SLIPRINGD_STRAY_H
#define SLIPRINGD_STRAY_H

#include "slipringd/worker.h"

/* A frame came by mail: it joins the round's frames, and its slot goes home. */
void stray_accept(struct worker *w, struct deferred *slot) ON_WORKER;
/* After net_input: which segments and errors have come a way already. */
void stray_mark(struct worker *w) ON_WORKER;
/* After tcp_input and tcp_errors_input: what is not known here goes on. */
void stray_post(struct worker *w) ON_WORKER;

#endif
