/*
 * api_parts.h - the members that a job of the whole cluster is for; private to the control plane.
 *
 * Purpose: those that own slots by the table in force, copied, so that a job goes on when the
 *   table changes. A node by itself is the only one, and is asked without naming it.
 * Threads: api_parts_take on the HTTP thread; what it gives belongs to one request.
 */
#ifndef SLIPRINGD_API_PARTS_H
#define SLIPRINGD_API_PARTS_H

#include "slipringd/api_view.h"

struct api_part {
	uint64_t id;       /* ring_member_id() */
	uint64_t target;   /* what a slot names: the id; 0: this node by itself */
	uint16_t position; /* in the topology */
	bool dead;         /* not to be asked */
	char name[PEER_ID_MAX + 1];
};

/* By ascending id; to be freed. NULL: no memory. */
struct api_part *api_parts_take(const struct api_view *view, uint32_t *count);

#endif
