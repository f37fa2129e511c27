/* Which lane an operation takes; opening lanes, and closing those that are too many. */
#include <stdlib.h>

#include "base/check.h"
#include "client/handle.h"
#include "ring/slot.h"

/* Larger or as it was; false: no memory. */
static bool
resize(void *list, size_t count, size_t size)
{
	void **at = list, *larger = realloc(*at, count * size);

	if (larger)
		*at = larger;
	return larger != NULL;
}

bool
handle_lists_ready(struct slipring *handle, uint32_t more)
{
	uint32_t size = handle->lane_size;

	if (size > 0 && handle->lane_count + more <= size)
		return true;
	size = size ? size * 2 : 8;
	if (!resize(&handle->lanes, size, sizeof(struct lane *)) ||
	    !resize(&handle->active, size + 1, sizeof(struct lane *)) ||
	    !resize(&handle->polls, 2 * (size + 1), sizeof *handle->polls) ||
	    !resize(&handle->polled, 2 * (size + 1), sizeof(struct path *)))
		return false;
	handle->lane_size = size;
	return true;
}

void
handle_activate(struct lane *lane)
{
	struct slipring *handle = lane->handle;

	CHECK(handle->active_count <= handle->lane_size);
	handle->active[handle->active_count++] = lane;
	lane->active = true;
}

void
handle_deactivate(struct lane *lane)
{
	struct slipring *handle = lane->handle;
	uint32_t i = 0;

	if (!lane->active)
		return;
	while (handle->active[i] != lane)
		i++;
	handle->active[i] = handle->active[--handle->active_count];
	lane->active = false;
}

struct lane *
handle_worker_lane(struct slipring *handle, struct node *node, uint32_t worker)
{
	struct lane *lane = node->lanes[worker];

	if (lane)
		return lane;
	if (!node->reachable || handle->lane_count >= LANES_MAX) {
		handle_fail(handle, SLIPRING_UNREACHABLE, "%s:%u: %s", node->name, node->first_port + worker,
		    node->reachable ? "too many workers are talked to already" :
		    "the node asked does not know where it is");
		return NULL;
	}
	if (!handle_lists_ready(handle, 1)) {
		handle_fail(handle, SLIPRING_NO_MEMORY, "no memory for one more worker");
		return NULL;
	}
	lane = lane_create(handle, node, worker, handle->options.window);
	if (!lane)
		return NULL;
	node->lanes[worker] = lane;
	node->lane_count++;
	handle->lanes[handle->lane_count++] = lane;
	if (handle->lane_count > LANES_KEPT)
		handle->crowded = handle->chores = true;
	return lane;
}

struct node *
handle_home(struct slipring *handle)
{
	struct node *other;

	if (node_is_up(handle->home))
		return handle->home;
	other = node_instead(handle, handle->home, SLOT_COUNT);
	return other ? other : handle->home;
}

/* Any node takes any operation: with no socket to the owner, another lane does. */
static struct lane *
any_lane(struct slipring *handle)
{
	struct lane *lane = handle_worker_lane(handle, handle->home, 0);

	return lane || handle->lane_count == 0 ? lane : handle->lanes[handle->ticks % handle->lane_count];
}

struct lane *
handle_lane(struct slipring *handle, uint32_t slot)
{
	struct node *node = handle->owners ? handle->nodes[handle->owners[slot]] : handle->home;
	struct lane *lane = handle_worker_lane(handle, node, slot % node->worker_count);

	return lane ? lane : any_lane(handle);
}

static bool
may_close(const struct lane *lane)
{
	return !lane_busy(lane) && lane->pins == 0;
}

static void
close_lane(struct slipring *handle, uint32_t i)
{
	struct lane *lane = handle->lanes[i];

	handle_deactivate(lane);
	handle->lanes[i] = handle->lanes[--handle->lane_count];
	lane->node->lanes[lane->worker] = NULL;
	lane->node->lane_count--;
	lane_destroy(lane);
}

/* The idle lane that was not used for longest, over all. */
static uint32_t
oldest_idle(const struct slipring *handle)
{
	uint32_t oldest = UINT32_MAX;

	for (uint32_t i = 0; i < handle->lane_count; i++)
		if (may_close(handle->lanes[i]) &&
		    (oldest == UINT32_MAX || handle->lanes[i]->used < handle->lanes[oldest]->used))
			oldest = i;
	return oldest;
}

/* Lanes of nodes that are gone, and idle ones that are too many. */
static void
close_lanes(struct slipring *handle)
{
	uint32_t i;

	handle->crowded = false;
	for (i = 0; i < handle->lane_count;) {
		struct lane *lane = handle->lanes[i];

		if (lane->detour.node && !lane->detour.node->known && (lane->path == &lane->direct || !lane_busy(lane)))
			lane_detour_close(lane);
		if (!lane->node->known && may_close(lane))
			close_lane(handle, i);
		else
			handle->crowded |= !handle->lanes[i++]->node->known;
	}
	while (handle->lane_count > LANES_KEPT && (i = oldest_idle(handle)) != UINT32_MAX)
		close_lane(handle, i);
	handle->crowded |= handle->lane_count > LANES_KEPT;
	adopt_tidy(handle);
}

void
handle_chores(struct slipring *handle, uint64_t now_ns)
{
	refresh_step(handle, now_ns);
	if (handle->crowded)
		close_lanes(handle);
	handle->chores = handle->crowded || handle->refresh.wanted || handle->refresh.lane;
}
