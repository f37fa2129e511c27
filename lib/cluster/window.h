/*
 * window.h - how much a sender may have on its way to one peer, and how long it waits.
 *
 * Purpose: congestion window, round trip time, retransmission timeout and pacing, as numbers
 *   and functions of them. Counted in segments: what a packet costs here is its handling.
 * Sources: round trip and timeout by RFC 6298 with microseconds, as Vasudevan et al., "Safe and
 *   effective fine-grained TCP retransmissions for datacenter communication" (SIGCOMM 2009)
 *   show to be safe; window by RFC 5681 (slow start, additive increase, halving) once a round
 *   trip, as RFC 9002 section 7 counts it; first window by RFC 6928; pacing by RFC 9002 7.7.
 * Transmissions are numbered (`order`): losses among those up to `recovery` were answered
 *   already. A timeout alone only sends a probe (RFC 9002 6.2); a second one in a row closes
 *   the window (7.6): on a busy machine a peer that was not scheduled for a while is more
 *   likely than a network that lost everything.
 * A loss that was none (the segment had only been overtaken) is undone (Eifel, RFC 4015), and from then on
 *   more patience is had with overtaking, as RFC 8985 6.2 widens its window.
 * Threads: none. Memory: the caller's.
 * Bounds: WINDOW_MIN..LINK_WINDOW segments; waiting WINDOW_RTO_MIN_NS..WINDOW_RTO_MAX_NS.
 */
#ifndef CLUSTER_WINDOW_H
#define CLUSTER_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/now.h"
#include "proto/link.h"

enum {
	WINDOW_MIN = 2,    /* RFC 9002 7.2 */
	WINDOW_FIRST = 10, /* RFC 6928 */
	WINDOW_BACKOFF_MAX = 8,
	WINDOW_REORDER_FIRST = 3, /* RFC 9002 6.1.1 */
	WINDOW_REORDER_MAX = 96,
};

#define WINDOW_RTO_FIRST_NS (30 * NS_PER_MS) /* before a round trip was measured: several of the slowest racks' */
#define WINDOW_RTO_MIN_NS (5 * NS_PER_MS)    /* a scheduler's slice on a shared core, and the delay of acknowledgements */
#define WINDOW_RTO_MAX_NS (500 * NS_PER_MS)  /* so that patience (link.h) has room for several */

struct window {
	uint64_t srtt_ns, rttvar_ns; /* 0: none measured yet */
	uint64_t rtt_min_ns, rtt_last_ns;
	uint64_t recovery;           /* order of the last transmission when losses were last answered */
	uint64_t pace_ns;            /* the next segment leaves then */
	uint64_t sent_ns;            /* the last one left */
	uint32_t size;               /* segments */
	uint32_t threshold;          /* above it the window grows by one a round trip */
	uint32_t grown;              /* acknowledged towards the next one */
	uint32_t timeouts;           /* in a row */
	uint32_t reorder;            /* so many transmissions may overtake one */
	uint32_t size_before, threshold_before; /* the last losses; 0: nothing to undo */
	uint64_t interval_ns;        /* between segments */
};

void window_init(struct window *window);

/* A round trip was measured. */
void window_measured(struct window *window, uint64_t rtt_ns);

/* How long to wait for an acknowledgement, longer with each timeout in a row. */
uint64_t window_timeout_ns(const struct window *window);

/* A transmission was acknowledged; `full`: the window was what held the sender back. */
void window_acknowledged(struct window *window, uint64_t order, bool full);

/* A transmission was lost; `last` is the newest one. */
void window_lost(struct window *window, uint64_t order, uint64_t last);

/* What was taken for lost had arrived. */
void window_spurious(struct window *window);

/* How long one sent before another may stay away longer. */
uint64_t window_overtaken_ns(const struct window *window);

/* Nothing was heard for a timeout; true: take all that is on its way for lost. */
bool window_timed_out(struct window *window, uint64_t last);

/* Before a segment leaves: a window that was not used for a timeout says nothing of now (RFC 5681 4.1). */
void window_idle(struct window *window, uint64_t now_ns);

/* When a segment may leave, for a window that is not full. */
static inline uint64_t
window_pace_at(const struct window *window)
{
	return window->pace_ns;
}

/* One leaves. */
void window_sent(struct window *window, uint64_t now_ns);

void window_check(const struct window *window);

#endif
