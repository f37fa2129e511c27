/*
 * api_view.h - members and partition table as the control plane tells them; private to it.
 *
 * Purpose: one picture for every route, in a cluster and out of it: a node by itself is a
 *   cluster of one, at epoch 0, that owns every slot.
 * Threads: the HTTP thread. Memory: one allocation, about 400 KiB.
 */
#ifndef SLIPRINGD_API_VIEW_H
#define SLIPRINGD_API_VIEW_H

#include <jansson.h>

#include "slipringd/api.h"
#include "slipringd/core.h"

struct api_view {
	const struct api_config *config;
	struct core *core;  /* NULL: not in a cluster */
	bool placed;        /* there is a topology in force; else snapshot.topology is empty */
	uint64_t taken_ms;
	struct core_view now;
	struct ring_snapshot snapshot;
	uint16_t members[RING_MEMBERS_MAX]; /* position in the topology -> in now.cluster.members; RING_NOBODY: forgotten */
};

enum { API_ADDRESS_SIZE = 64, API_OWNERS_SIZE = RING_OWNERS_MAX * (PEER_ID_MAX + 3) };

struct api_view *api_view_create(const struct api_config *config);
void api_view_take(struct api_view *view);
/* Unless it was taken in the last tenth of a second: for routes that are asked often. */
void api_view_take_lately(struct api_view *view);

/* The member at a position of the topology, NULL when membership has forgotten it. */
const struct cluster_member_view *api_view_member(const struct api_view *view, uint16_t position);
/* By node id, NULL when there is none. */
const struct cluster_member_view *api_view_find(const struct api_view *view, const char *node_id);
/* Its name; of a forgotten one its number in hexadecimal digits. */
void api_view_name(const struct api_view *view, uint16_t position, char name[PEER_ID_MAX + 1]);

/* The owners of a slot, first one first: "n2, n3". */
void api_view_owners(const struct api_view *view, uint16_t slot, char text[API_OWNERS_SIZE]);

/* "10.9.0.1:7411", "[fe80::1]:7411" */
void api_address_print(const struct peer_address *address, char text[API_ADDRESS_SIZE]);
json_t *api_address_json(const struct peer_address *address);
/* 64 bits that are no number to count with, as 16 hexadecimal digits. */
json_t *api_hex_json(uint64_t number);

#endif
