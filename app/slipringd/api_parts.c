#include "slipringd/api_parts.h"

#include <stdlib.h>

struct api_part *
api_parts_take(const struct api_view *view, uint32_t *count)
{
	const struct ring_topology *topology = &view->snapshot.topology;
	struct api_part *parts = calloc(topology->count + 1u, sizeof *parts);

	*count = 0;
	for (uint16_t i = 0; parts && i < topology->count; i++) {
		const struct cluster_member_view *member = api_view_member(view, i);
		struct api_part *part = &parts[*count];

		if (!ring_state_owns(topology->members[i].state))
			continue;
		part->id = topology->members[i].id;
		part->target = view->core ? part->id : 0;
		part->position = i;
		part->dead = !member || member->state == PEER_DEAD || member->state == PEER_LEFT;
		api_view_name(view, i, part->name);
		++*count;
	}
	return parts;
}
