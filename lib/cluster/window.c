#include "cluster/window.h"

#include "base/check.h"

enum { PACE_BURST = 16 }; /* segments that may leave at once after a pause; the caller's timers are not finer */

void
window_init(struct window *window)
{
	*window = (struct window){ .size = WINDOW_FIRST, .threshold = LINK_WINDOW, .reorder = WINDOW_REORDER_FIRST };
}

/* A quarter faster than the window empties, so that pacing is never what limits (RFC 9002 7.7). */
static void
interval_set(struct window *window)
{
	window->interval_ns = window->srtt_ns * 4 / (5 * window->size);
}

void
window_measured(struct window *window, uint64_t rtt_ns)
{
	uint64_t off;

	if (rtt_ns == 0)
		rtt_ns = 1;
	window->rtt_last_ns = rtt_ns;
	if (window->srtt_ns == 0) {
		window->srtt_ns = window->rtt_min_ns = rtt_ns;
		window->rttvar_ns = rtt_ns / 2;
		interval_set(window);
		return;
	}
	if (rtt_ns < window->rtt_min_ns)
		window->rtt_min_ns = rtt_ns;
	off = rtt_ns > window->srtt_ns ? rtt_ns - window->srtt_ns : window->srtt_ns - rtt_ns;
	window->rttvar_ns = (3 * window->rttvar_ns + off) / 4;
	window->srtt_ns = (7 * window->srtt_ns + rtt_ns) / 8;
	interval_set(window);
}

uint64_t
window_timeout_ns(const struct window *window)
{
	uint64_t timeout = window->srtt_ns ? window->srtt_ns + 4 * window->rttvar_ns : WINDOW_RTO_FIRST_NS;

	if (timeout < WINDOW_RTO_MIN_NS)
		timeout = WINDOW_RTO_MIN_NS;
	timeout <<= window->timeouts < WINDOW_BACKOFF_MAX ? window->timeouts : WINDOW_BACKOFF_MAX;
	return timeout < WINDOW_RTO_MAX_NS ? timeout : WINDOW_RTO_MAX_NS;
}

void
window_acknowledged(struct window *window, uint64_t order, bool full)
{
	window->timeouts = 0;
	if (!full || order <= window->recovery || window->size >= LINK_WINDOW)
		return;
	if (window->size < window->threshold) {
		window->size++;
	} else if (++window->grown >= window->size) {
		window->grown = 0;
		window->size++;
	}
}

static void
shrink(struct window *window, uint32_t size, uint64_t last)
{
	window->size_before = window->size;
	window->threshold_before = window->threshold;
	window->threshold = window->size / 2 > WINDOW_MIN ? window->size / 2 : WINDOW_MIN;
	window->size = size;
	window->grown = 0;
	window->recovery = last;
}

void
window_lost(struct window *window, uint64_t order, uint64_t last)
{
	if (order <= window->recovery)
		return;
	shrink(window, window->size / 2 > WINDOW_MIN ? window->size / 2 : WINDOW_MIN, last);
}

void
window_spurious(struct window *window)
{
	window->reorder = 2 * window->reorder < WINDOW_REORDER_MAX ? 2 * window->reorder : WINDOW_REORDER_MAX;
	if (window->size_before > window->size) {
		window->size = window->size_before;
		window->threshold = window->threshold_before;
	}
	window->size_before = 0;
}

uint64_t
window_overtaken_ns(const struct window *window)
{
	uint64_t rtt = window->srtt_ns > window->rtt_last_ns ? window->srtt_ns : window->rtt_last_ns;

	return rtt + rtt * (window->reorder / WINDOW_REORDER_FIRST) / 8; /* 9/8 at first: RFC 9002 6.1.2 */
}

bool
window_timed_out(struct window *window, uint64_t last)
{
	if (++window->timeouts < 2)
		return false;
	if (window->timeouts == 2)
		shrink(window, WINDOW_MIN, last);
	return true;
}

void
window_idle(struct window *window, uint64_t now_ns)
{
	if (window->size > WINDOW_FIRST && now_ns > window->sent_ns + window_timeout_ns(window))
		window->size = WINDOW_FIRST;
}

void
window_sent(struct window *window, uint64_t now_ns)
{
	uint64_t interval = window->interval_ns;
	uint64_t earliest = now_ns > PACE_BURST * interval ? now_ns - PACE_BURST * interval : 0;

	window->pace_ns = (window->pace_ns > earliest ? window->pace_ns : earliest) + interval;
	window->sent_ns = now_ns;
}

void
window_check(const struct window *window)
{
	CHECK(window->size >= WINDOW_MIN && window->size <= LINK_WINDOW);
	CHECK(window->threshold >= WINDOW_MIN && window->threshold <= LINK_WINDOW);
	CHECK(window->reorder >= WINDOW_REORDER_FIRST && window->reorder <= WINDOW_REORDER_MAX);
	CHECK((window->srtt_ns == 0) == (window->rtt_min_ns == 0));
}
