#include "client/hedge.h"

#include "client/slot.h"

enum {
	HEDGE_COST = 100,          /* of one hedge, in the units that a read adds percents of */
	HEDGE_CREDIT_MAX = 400,
	HEDGE_STEP = 20,           /* an answer moves the estimate by up to a 20th of itself */
};

static uint64_t
after_ns(const struct lane *lane)
{
	return lane->quantile_ns / 100 * lane->handle->options.hedge_after_percent;
}

void
hedge_sent(struct lane *lane, const struct slot *slot)
{
	struct slipring *handle = lane->handle;

	handle->hedge_credit += handle->options.hedge_percent;
	if (handle->hedge_credit > HEDGE_CREDIT_MAX)
		handle->hedge_credit = HEDGE_CREDIT_MAX;
	if (lane->quantile_ns != 0 && handle->node_count > 1 && slot->sent_ns + after_ns(lane) < lane->hedge_ns)
		lane->hedge_ns = slot->sent_ns + after_ns(lane);
}

void
hedge_answered(struct lane *lane, uint64_t rtt_ns)
{
	uint64_t step = lane->quantile_ns / HEDGE_STEP + 1;

	if (lane->quantile_ns == 0)
		lane->quantile_ns = 2 * rtt_ns;
	else if (rtt_ns > lane->quantile_ns)
		lane->quantile_ns += step * 95 / 100;
	else
		lane->quantile_ns -= step * 5 / 100;
}

/* The other path, with a cookie; without one it is fetched, for the next read that is late. */
static bool
second_path(struct lane *lane, uint64_t now_ns)
{
	if (lane->path != &lane->direct || !lane_detour_open(lane))
		return false;
	lane_probe(&lane->detour, now_ns);
	return lane->detour.cookie != 0;
}

void
hedge_reads(struct lane *lane, uint64_t now_ns)
{
	struct slipring *handle = lane->handle;
	uint64_t after = after_ns(lane);
	bool ready = second_path(lane, now_ns);

	lane->hedge_ns = UINT64_MAX;
	for (uint64_t s = lane->floor; s < lane->unsent; s++) {
		struct slot *slot = slot_live(lane, s);

		if (!slot || slot->hedged || slot->tries != 1 || !slot_reads(slot))
			continue;
		if (slot->sent_ns + after > now_ns) {
			if (slot->sent_ns + after < lane->hedge_ns)
				lane->hedge_ns = slot->sent_ns + after;
			continue;
		}
		if (!ready || handle->hedge_credit < HEDGE_COST)
			continue;
		handle->hedge_credit -= HEDGE_COST;
		handle->hedges++;
		slot->hedged = true;
		lane_send_hedge(lane, slot);
	}
	if (handle->out_count > 0)
		socket_flush(handle);
}
