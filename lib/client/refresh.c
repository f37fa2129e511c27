#include "client/refresh.h"

#include <stdlib.h>

#include "client/slot.h"
#include "proto/topology.h"

void
refresh_want(struct slipring *handle, struct node *source)
{
	struct refresh *refresh = &handle->refresh;

	refresh->wanted = handle->chores = true;
	if (source)
		refresh->source = source;
}

void
refresh_on_epoch(struct slipring *handle, uint32_t epoch, struct node *by, uint64_t now_ns)
{
	struct refresh *refresh = &handle->refresh;

	if (epoch == 0 || !refresh->learned)
		return;
	if ((int32_t)(epoch - handle->epoch) > 0 || now_ns - refresh->confirmed_ns > REFRESH_DOUBT_MS * NS_PER_MS)
		refresh_want(handle, by);
}

/* An attempt is over. What passes is tried again after a pause. */
static void
finish(struct slipring *handle, enum slipring_status status)
{
	struct refresh *refresh = &handle->refresh;
	bool passes = status == SLIPRING_TIMEOUT || status == SLIPRING_UNREACHABLE || status == SLIPRING_BUSY ||
	    status == SLIPRING_CANCELLED || status == SLIPRING_STALE_EPOCH || status == SLIPRING_OWNER_TIMEOUT ||
	    status == SLIPRING_CHANGED;

	refresh->status = status;
	refresh->finished++;
	refresh->len = 0;
	refresh->wanted = passes;
	if (!passes)
		refresh->source = NULL;
	refresh->gap_ms = !passes || refresh->gap_ms == 0 ? REFRESH_GAP_MS : refresh->gap_ms * 2;
	if (refresh->gap_ms > REFRESH_GAP_MS_MAX)
		refresh->gap_ms = REFRESH_GAP_MS_MAX;
	refresh->next_ns = handle_now_ns() + (refresh->gap_ms / 2 + prng_below(&handle->prng, refresh->gap_ms)) * NS_PER_MS;
	/* Asked of nobody else yet: what waits for a topology goes without one. */
	if (status != SLIPRING_CANCELLED)
		handle->held = false;
	handle->chores = true;
}

/* Appends a page; false: it makes no sense with those before it. */
static bool
take_page(struct refresh *refresh, const struct completion *completion)
{
	const struct native_result *page = &completion->result;

	if (page->total_len > REFRESH_SIZE_MAX || page->value.len == 0 || page->total_len < refresh->len + page->value.len)
		return false;
	if (refresh->len == 0) {
		uint8_t *bytes = realloc(refresh->bytes, page->total_len);

		if (!bytes)
			return false;
		refresh->bytes = bytes;
		refresh->total = page->total_len;
		refresh->epoch = completion->epoch;
	}
	memcpy(refresh->bytes + refresh->len, page->value.data, page->value.len);
	refresh->len += page->value.len;
	return true;
}

static void
on_page(struct slipring *handle, const struct completion *completion)
{
	struct refresh *refresh = &handle->refresh;
	enum slipring_status status = completion->status;

	handle->chores = true;
	if (status == SLIPRING_OK && refresh->len > 0 &&
	    (completion->epoch != refresh->epoch || completion->result.total_len != refresh->total))
		status = SLIPRING_CHANGED; /* the pages are of two topologies */
	if (status == SLIPRING_OK && !take_page(refresh, completion))
		status = SLIPRING_BAD_REPLY;
	if (status != SLIPRING_OK) {
		if (status != SLIPRING_CANCELLED)
			handle_explain(handle, completion->lane, status);
		finish(handle, status);
	} else {
		refresh->complete = refresh->len == refresh->total;
	}
}

/* The one that knows more, else home, else any that is up. */
static struct node *
whom(struct slipring *handle)
{
	struct node *source = handle->refresh.source, *home = handle_home(handle);
	struct node *other;

	if (source && node_is_up(source))
		return source;
	if (node_is_up(home))
		return home;
	other = node_instead(handle, home, SLOT_COUNT);
	return other ? other : home;
}

static void
close_lane(struct slipring *handle)
{
	struct lane *lane = handle->refresh.lane;

	handle->refresh.lane = NULL;
	if (!lane)
		return;
	handle_deactivate(lane);
	lane_destroy(lane);
}

/* The next page, or the first. */
static void
ask(struct slipring *handle, uint64_t now_ns)
{
	struct refresh *refresh = &handle->refresh;
	const struct request request = { .op = OP_TOPOLOGY, .offset = refresh->len };
	const struct lane_order order = { .run = on_page };

	if (refresh->len == 0 || !refresh->lane) {
		close_lane(handle);
		refresh->len = 0;
		refresh->lane = handle_lists_ready(handle, 0) ? lane_create(handle, whom(handle), 0, 1) : NULL;
		if (!refresh->lane) {
			finish(handle, SLIPRING_UNREACHABLE);
			return;
		}
		refresh->lane->own = true;
	}
	lane_queue(refresh->lane, &request, &order, now_ns);
}

static void
adopt(struct slipring *handle, uint64_t now_ns)
{
	struct refresh *refresh = &handle->refresh;
	struct view value = view_of(refresh->bytes, refresh->total);
	bool older = refresh->learned && value.len >= 4 && (int32_t)(load_le32(value.data) - handle->epoch) < 0 &&
	    handle->owners && now_ns - refresh->confirmed_ns <= REFRESH_DOUBT_MS * NS_PER_MS;
	bool done = older || adopt_topology(handle, value, refresh->lane->node);

	refresh->complete = false;
	refresh->learned |= done;
	refresh->adopted += done && !older;
	if (done && !older)
		refresh->confirmed_ns = now_ns;
	free(refresh->bytes);
	refresh->bytes = NULL;
	if (!done)
		handle_fail(handle, SLIPRING_BAD_REPLY, "the topology that %s:%u tells cannot be read", refresh->lane->node->name,
		    refresh->lane->direct.port);
	finish(handle, done ? SLIPRING_OK : SLIPRING_BAD_REPLY);
	if (done && handle->incomplete) {
		refresh->wanted = true;
		refresh->next_ns = now_ns + REFRESH_GAP_MS_MAX * NS_PER_MS;
	}
}

void
refresh_step(struct slipring *handle, uint64_t now_ns)
{
	struct refresh *refresh = &handle->refresh;
	struct lane *lane = refresh->lane;

	if (refresh->complete)
		adopt(handle, now_ns);
	/* Whom we asked is silent, and another is not: ask that one, at once. */
	if (lane && lane_busy(lane) && !node_is_up(lane->node) && node_is_up(whom(handle))) {
		close_lane(handle);
		refresh->next_ns = now_ns;
	}
	if (refresh->lane && lane_busy(refresh->lane))
		return;
	if (!refresh->wanted)
		close_lane(handle);
	else if (refresh->len > 0 || now_ns >= refresh->next_ns)
		ask(handle, now_ns);
}

uint64_t
refresh_deadline(const struct slipring *handle)
{
	const struct refresh *refresh = &handle->refresh;

	if (refresh->complete)
		return 0;
	if (!refresh->wanted || (refresh->lane && lane_busy(refresh->lane)))
		return UINT64_MAX;
	return refresh->len > 0 ? 0 : refresh->next_ns;
}

void
refresh_close(struct slipring *handle)
{
	close_lane(handle);
	free(handle->refresh.bytes);
}
