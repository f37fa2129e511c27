/* What a handle knows of its nodes, told to the application. */
#include <stdio.h>
#include <string.h>

#include "base/now.h"
#include "client/handle.h"
#include "ring/slot.h"

void
slipring_cluster(const struct slipring *handle, struct slipring_cluster *cluster)
{
	*cluster = (struct slipring_cluster){ .epoch = handle->epoch, .member_count = handle->member_count,
		.owner_count = handle->rank_count, .lanes = handle->lane_count, .topologies = handle->refresh.adopted,
		.failovers = handle->failovers, .hedges = handle->hedges, .hedge_wins = handle->hedge_wins };
}

/* The round trip of the worker that was talked to last, and what is in flight to all. */
static void
tell_lanes(const struct node *from, struct slipring_node *to)
{
	uint64_t used = 0;

	for (uint32_t i = 0; i < WORKER_MAX; i++) {
		const struct lane *lane = from->lanes[i];

		if (!lane)
			continue;
		to->in_flight += lane->in_flight;
		if (lane->direct.srtt_ns == 0 || lane->used < used)
			continue;
		used = lane->used;
		to->rtt_us = lane->direct.srtt_ns < NS_PER_US ? 1 : (uint32_t)(lane->direct.srtt_ns / NS_PER_US);
	}
}

static void
tell(const struct node *from, struct slipring_node *to)
{
	*to = (struct slipring_node){ .id = from->id, .slots = from->slots, .failures = from->failures,
		.port = from->first_port, .index = from->index, .worker_count = from->worker_count, .state = from->state };
	snprintf(to->host, sizeof to->host, "%s", from->name);
	tell_lanes(from, to);
}

size_t
slipring_nodes(const struct slipring *handle, struct slipring_node *nodes, size_t size)
{
	size_t count = 0;

	for (uint32_t i = 0; i < handle->node_count; i++) {
		if (!handle->nodes[i]->known)
			continue;
		if (count < size)
			tell(handle->nodes[i], &nodes[count]);
		count++;
	}
	return count;
}

enum slipring_status
slipring_owner(struct slipring *handle, const void *key, size_t key_len, unsigned rank, struct slipring_node *node)
{
	enum slipring_status status = handle->ready;
	uint32_t slot;

	if (status == SLIPRING_OK && (!key || key_len == 0 || key_len > SLIPRING_KEY_MAX))
		return handle_fail(handle, SLIPRING_BAD_KEY, "the key has %zu bytes; keys have 1 to %d", key_len,
		    SLIPRING_KEY_MAX);
	if (status == SLIPRING_OK && !handle->refresh.learned)
		status = handle_learn(handle);
	if (status != SLIPRING_OK)
		return status;
	slot = slot_of_key(view_of(key, (uint32_t)key_len));
	if (rank >= (handle->owners ? handle->rank_count : 1))
		return handle_fail(handle, SLIPRING_NOT_FOUND, "slot %u has no owner of rank %u", slot, rank);
	tell(handle->owners ? handle->nodes[handle->owners[rank * SLOT_COUNT + slot]] : handle->home, node);
	return SLIPRING_OK;
}
