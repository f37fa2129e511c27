#include "client/node.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/now.h"
#include "client/handle.h"
#include "proto/topology.h"

struct node *
node_create(char *name, const struct node_address *address, uint16_t first_port)
{
	struct node *node = name ? calloc(1, sizeof *node) : NULL;

	if (!node) {
		free(name);
		return NULL;
	}
	node->name = name;
	node->address = *address;
	node->first_port = first_port;
	node->worker_count = 1;
	node->known = node->reachable = true;
	return node;
}

void
node_destroy(struct node *node)
{
	CHECK(node->lane_count == 0 && node->detours == 0);
	free(node->name);
	free(node);
}

void
node_failed(struct slipring *handle, struct node *node, uint64_t now_ns)
{
	uint32_t doublings = node->failures < NODE_BACKOFF_DOUBLINGS ? node->failures : NODE_BACKOFF_DOUBLINGS;
	uint64_t wait = (NODE_BACKOFF_MS_MIN * NS_PER_MS) << doublings;

	if (node->failures == 0 && handle->node_count > 1)
		handle->failovers++;
	node->failures += node->failures < UINT32_MAX;
	node->retry_ns = now_ns + wait - wait / 4 + prng_below(&handle->prng, wait / 2 + 1);
	/* The others may know more: whether its slots have another owner by now. */
	if (handle->node_count > 1)
		refresh_want(handle, NULL);
}

static bool
leads(const struct node *node, const struct node *down)
{
	return node != down && node->known && node->reachable && node_is_up(node) &&
	    node->state != TOPOLOGY_NODE_DEAD && node->state != TOPOLOGY_NODE_JOINING && node->state != TOPOLOGY_NODE_LEFT;
}

struct node *
node_instead(const struct slipring *handle, const struct node *down, uint32_t slot)
{
	uint32_t at = 0;

	for (uint32_t rank = 1; rank < handle->rank_count && slot < SLOT_COUNT; rank++) {
		struct node *node = handle->nodes[handle->owners[rank * SLOT_COUNT + slot]];

		if (leads(node, down))
			return node;
	}
	while (at < handle->node_count && handle->nodes[at] != down)
		at++;
	for (uint32_t i = 1; i <= handle->node_count; i++) {
		struct node *node = handle->nodes[(at + i) % handle->node_count];

		if (leads(node, down))
			return node;
	}
	return NULL;
}
