#include "slipringd/api_view.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/endpoint.h"

enum { LATELY_MS = 100 };

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- a node by itself ------------------------------------------------------------------ */

static void
fill_alone(struct api_view *view)
{
	const struct node_config *node = node_config(view->config->node);
	uint16_t weight = (uint16_t)view->config->config->cluster_virtual_nodes;
	struct cluster_view *cluster = &view->now.cluster;
	struct cluster_member_view *self = &cluster->members[0];
	struct ring_table *table = &view->snapshot.table;

	view->now.phase = CORE_MEMBER;
	cluster->count = 1;
	cluster->ring_size = weight;
	cluster->replication_factor = 1;
	snprintf(self->id, sizeof self->id, "%s", view->config->config->node_id);
	endpoint_map_ipv4(self->api.ip, node->ipv4);
	self->api.port = node->serve.native_port;
	self->address = self->api;
	self->state = PEER_ALIVE;
	self->weight = weight;
	self->self = true;
	view->snapshot.topology.replication = 1;
	ring_topology_add(&view->snapshot.topology, &(struct ring_member){ .id = ring_member_id(self->id, strlen(self->id)),
	    .weight = weight, .state = RING_ALIVE });
	table->digest = view->snapshot.topology.digest;
	table->owner_count = table->member_count = 1;
	memset(table->owners[1], 0xff, sizeof table->owners - sizeof table->owners[0]);
	view->placed = true;
}

struct api_view *
api_view_create(const struct api_config *config)
{
	struct api_view *view = calloc(1, sizeof *view);

	if (!view)
		return NULL;
	view->config = config;
	view->core = node_core(config->node);
	if (!view->core)
		fill_alone(view);
	return view;
}

/* --- taking ---------------------------------------------------------------------------- */

/* n2 before n10: people read it. */
static int
by_name(const void *a, const void *b)
{
	return strverscmp(((const struct cluster_member_view *)a)->id, ((const struct cluster_member_view *)b)->id);
}

static void
match_members(struct api_view *view)
{
	const struct cluster_view *cluster = &view->now.cluster;

	memset(view->members, 0xff, sizeof view->members);
	for (uint16_t i = 0; i < cluster->count; i++) {
		const char *id = cluster->members[i].id;
		uint16_t position = ring_find_id(&view->snapshot.topology, ring_member_id(id, strlen(id)));

		if (position != RING_NOBODY)
			view->members[position] = i;
	}
}

void
api_view_take(struct api_view *view)
{
	if (view->core) {
		core_view(view->core, &view->now);
		qsort(view->now.cluster.members, view->now.cluster.count, sizeof view->now.cluster.members[0], by_name);
		view->placed = core_ring(view->core, &view->snapshot);
		if (!view->placed)
			memset(&view->snapshot.topology, 0, sizeof view->snapshot.topology);
		match_members(view);
	}
	view->taken_ms = now_ms();
}

void
api_view_take_lately(struct api_view *view)
{
	if (view->taken_ms == 0 || now_ms() - view->taken_ms >= LATELY_MS)
		api_view_take(view);
}

/* --- looking --------------------------------------------------------------------------- */

const struct cluster_member_view *
api_view_member(const struct api_view *view, uint16_t position)
{
	uint16_t member = view->members[position];

	return member == RING_NOBODY ? NULL : &view->now.cluster.members[member];
}

const struct cluster_member_view *
api_view_find(const struct api_view *view, const char *node_id)
{
	for (uint16_t i = 0; i < view->now.cluster.count; i++)
		if (strcmp(view->now.cluster.members[i].id, node_id) == 0)
			return &view->now.cluster.members[i];
	return NULL;
}

void
api_view_name(const struct api_view *view, uint16_t position, char name[PEER_ID_MAX + 1])
{
	const struct cluster_member_view *member = api_view_member(view, position);

	if (member)
		memcpy(name, member->id, sizeof member->id);
	else
		snprintf(name, PEER_ID_MAX + 1, "%016" PRIx64, view->snapshot.topology.members[position].id);
}

void
api_view_owners(const struct api_view *view, uint16_t slot, char text[API_OWNERS_SIZE])
{
	char name[PEER_ID_MAX + 1];
	size_t at = 0;

	text[0] = '\0';
	for (unsigned n = 0; view->placed && n < view->snapshot.table.owner_count; n++) {
		api_view_name(view, ring_owner(&view->snapshot.table, slot, n), name);
		at += (size_t)snprintf(text + at, API_OWNERS_SIZE - at, "%s%s", n ? ", " : "", name);
	}
}

/* --- as text --------------------------------------------------------------------------- */

void
api_address_print(const struct peer_address *address, char text[API_ADDRESS_SIZE])
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	bool ipv4 = memcmp(address->ip, mapped, sizeof mapped) == 0;
	char ip[INET6_ADDRSTRLEN] = "?";

	inet_ntop(ipv4 ? AF_INET : AF_INET6, address->ip + (ipv4 ? 12 : 0), ip, sizeof ip);
	snprintf(text, API_ADDRESS_SIZE, ipv4 ? "%s:%u" : "[%s]:%u", ip, address->port);
}

json_t *
api_address_json(const struct peer_address *address)
{
	char text[API_ADDRESS_SIZE];

	api_address_print(address, text);
	return json_string(text);
}

json_t *
api_hex_json(uint64_t number)
{
	return json_sprintf("%016" PRIx64, number);
}
