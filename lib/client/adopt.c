/* A topology takes effect: nodes by id, the table of owners, and operations that go elsewhere now. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/endpoint.h"
#include "client/handle.h"
#include "proto/topology.h"
#include "ring/table.h"

/* What a topology comes to, before it takes effect. */
struct draft {
	struct ring_snapshot ring;
	struct topology_node entries[TOPOLOGY_NODES_MAX]; /* by ascending id */
	struct node *nodes[TOPOLOGY_NODES_MAX];
	uint16_t *owners;
	uint32_t count, rank_count;
};

static int
by_id(const void *one, const void *other)
{
	uint64_t a = ((const struct topology_node *)one)->id, b = ((const struct topology_node *)other)->id;

	return (a > b) - (a < b);
}

/* The members in the table's order; false: they make no ring. */
static bool
read_members(const struct topology *topology, struct draft *draft)
{
	struct ring_topology *ring = &draft->ring.topology;

	memset(ring, 0, sizeof *ring);
	ring->epoch = topology->epoch;
	ring->replication = topology->replication;
	ring->count = topology->node_count;
	draft->count = topology->node_count;
	for (uint32_t i = 0; i < draft->count; i++)
		topology_node(topology, i, &draft->entries[i]);
	qsort(draft->entries, draft->count, sizeof draft->entries[0], by_id);
	for (uint32_t i = 0; i < draft->count; i++) {
		const struct topology_node *entry = &draft->entries[i];

		ring->members[i] = (struct ring_member){ .id = entry->id, .rack = entry->rack, .index = entry->index,
			.weight = entry->weight, .state = entry->state };
	}
	ring->digest = ring_topology_digest(ring);
	return ring_topology_check(ring) == RING_OK;
}

/* The owners of each slot; none when no member owns any. False: no memory. */
static bool
draw_owners(struct draft *draft)
{
	size_t row = SLOT_COUNT * sizeof *draft->owners;
	void *scratch = aligned_alloc(64, (ring_scratch_size() + 63) / 64 * 64);

	if (!scratch)
		return false;
	ring_build(&draft->ring.topology, scratch, &draft->ring.table);
	free(scratch);
	draft->rank_count = draft->ring.table.owner_count;
	if (draft->rank_count == 0)
		return true;
	draft->owners = malloc(draft->rank_count * row);
	if (draft->owners)
		memcpy(draft->owners, draft->ring.table.owners, draft->rank_count * row);
	return draft->owners != NULL;
}

/* Where an entry's node is: where we asked it, if the entry does not say. */
static struct node_address
address_of(const struct topology_node *entry, const struct node *asked)
{
	static const uint8_t not_said[16] = { 0 };
	struct node_address address = { 0 };

	if (memcmp(entry->ip, not_said, sizeof not_said) == 0)
		return asked->address;
	memcpy(address.ip, entry->ip, sizeof address.ip);
	return address;
}

static bool
stands_at(const struct node *node, const struct node_address *address, uint16_t first_port)
{
	return memcmp(node->address.ip, address->ip, sizeof address->ip) == 0 && node->address.scope == address->scope &&
	    node->first_port == first_port;
}

static void
print_address(const struct node_address *address, char text[INET6_ADDRSTRLEN])
{
	bool ipv4 = endpoint_is_mapped(address->ip);

	inet_ntop(ipv4 ? AF_INET : AF_INET6, address->ip + (ipv4 ? 12 : 0), text, INET6_ADDRSTRLEN);
}

/* A member of the present topology with this id, or NULL: they stand in order. */
static struct node *
find_member(const struct slipring *handle, uint64_t id)
{
	uint32_t first = 0, count = handle->member_count;

	while (count > 0) {
		uint32_t middle = first + count / 2;

		if (handle->nodes[middle]->id == id)
			return handle->nodes[middle];
		if (handle->nodes[middle]->id < id)
			first = middle + 1;
		count = handle->nodes[middle]->id < id ? count - count / 2 - 1 : count / 2;
	}
	return NULL;
}

/*
 * The node that is known already: the member of this id, if it has not moved; or one that no
 * topology has named yet, a host given at open, which then gets the name (`taken`: only once).
 */
static struct node *
find(const struct slipring *handle, const struct topology_node *entry, const struct node_address *address)
{
	struct node *member = find_member(handle, entry->id);

	if (member && stands_at(member, address, entry->first_port))
		return member;
	for (uint32_t i = handle->member_count; i < handle->node_count; i++) {
		struct node *node = handle->nodes[i];

		if (node->id == 0 && !node->taken && stands_at(node, address, entry->first_port))
			return node;
	}
	return NULL;
}

static struct node *
find_or_create(struct slipring *handle, const struct topology_node *entry, const struct node *asked)
{
	struct node_address address = address_of(entry, asked);
	char text[INET6_ADDRSTRLEN];
	struct node *node = find(handle, entry, &address);

	if (!node) {
		print_address(&address, text);
		node = node_create(strdup(text), &address, entry->first_port);
		if (node) {
			node->reachable = entry->first_port != 0;
			node->fresh = true;
		}
	}
	if (node)
		node->taken = true;
	return node;
}

/* What a topology says of a node, once nothing can fail any more. */
static void
update_node(struct slipring *handle, struct node *node, const struct topology_node *entry)
{
	if (entry->state == TOPOLOGY_NODE_DEAD && node->state != TOPOLOGY_NODE_DEAD && node_is_up(node))
		node_failed(handle, node, handle_now_ns());
	if (node->state == TOPOLOGY_NODE_DEAD && entry->state == TOPOLOGY_NODE_ALIVE)
		node_heard(node);
	node->id = entry->id;
	node->index = entry->index;
	node->state = entry->state;
	node->worker_count = entry->worker_count;
	node->known = true;
	node->slots = 0;
}

/* Members first, in the table's order; then those that are no members any more. */
static bool
take_nodes(struct slipring *handle, struct draft *draft)
{
	struct node **nodes = calloc(draft->count + handle->node_count, sizeof *nodes);
	uint32_t count = draft->count;

	if (!nodes)
		return false;
	for (uint32_t i = 0; i < handle->node_count; i++)
		handle->nodes[i]->known = false;
	for (uint32_t i = 0; i < draft->count; i++) {
		nodes[i] = draft->nodes[i];
		update_node(handle, nodes[i], &draft->entries[i]);
	}
	for (uint32_t i = 0; i < handle->node_count; i++)
		if (!handle->nodes[i]->known)
			nodes[count++] = handle->nodes[i];
	free(handle->nodes);
	handle->nodes = nodes;
	handle->node_count = count;
	handle->member_count = draft->count;
	return true;
}

static void
count_slots(struct slipring *handle)
{
	for (uint32_t slot = 0; handle->owners && slot < SLOT_COUNT; slot++)
		handle->nodes[handle->owners[slot]]->slots++;
}

/* Nodes for all entries, found or made; false: no memory, and none was made. */
static bool
draft_nodes(struct slipring *handle, struct draft *draft, const struct node *asked)
{
	uint32_t made = 0;

	while (made < draft->count && (draft->nodes[made] = find_or_create(handle, &draft->entries[made], asked)))
		made++;
	for (uint32_t i = 0; i < made; i++) {
		draft->nodes[i]->taken = false;
		if (made < draft->count && draft->nodes[i]->fresh)
			node_destroy(draft->nodes[i]);
		else
			draft->nodes[i]->fresh = false;
	}
	return made == draft->count;
}

static bool
adopt_members(struct slipring *handle, const struct topology *topology, const struct node *asked)
{
	struct draft *draft = calloc(1, sizeof *draft);
	bool done = draft && read_members(topology, draft) && draw_owners(draft) && draft_nodes(handle, draft, asked) &&
	    take_nodes(handle, draft);

	if (done) {
		free(handle->owners);
		handle->owners = draft->owners;
		handle->rank_count = draft->rank_count;
		count_slots(handle);
	} else if (draft) {
		free(draft->owners);
	}
	free(draft);
	return done;
}

/* Rule 1, or one that this library does not know: the node that was asked takes everything. */
static bool
adopt_one(struct slipring *handle, const struct topology *topology, struct node *asked)
{
	struct topology_node entry = { .worker_count = 1 };

	for (uint32_t i = 0; i < topology->node_count; i++) {
		struct node_address address;

		topology_node(topology, i, &entry);
		address = address_of(&entry, asked);
		if (topology->rule == TOPOLOGY_ONE_NODE || stands_at(asked, &address, entry.first_port))
			break;
		entry = (struct topology_node){ .worker_count = 1 };
	}
	free(handle->owners);
	handle->owners = NULL;
	handle->rank_count = handle->member_count = 0;
	/* The other hosts given are no part of this node's cache. */
	for (uint32_t i = 0; topology->rule == TOPOLOGY_ONE_NODE && i < handle->node_count; i++)
		handle->nodes[i]->known = false;
	asked->known = true;
	asked->worker_count = entry.worker_count;
	asked->state = entry.state;
	asked->slots = SLOT_COUNT;
	if (entry.first_port != 0)
		asked->first_port = entry.first_port;
	handle->home = asked;
	return true;
}

/* Home stays who it is, unless it is no member any more. */
static void
choose_home(struct slipring *handle, struct node *asked)
{
	if (handle->home->known && handle->home->reachable)
		return;
	if (asked->known) {
		handle->home = asked;
		return;
	}
	/* Reached at an address that no member has, through a relay perhaps: it still answers. */
	if (handle->home->id == 0)
		handle->home->known = true;
	else
		handle->home = handle_home(handle);
}

static void
tell_home(struct slipring *handle, const struct topology *topology)
{
	struct slipring_topology *told = &handle->topology;

	*told = (struct slipring_topology){ .epoch = topology->epoch, .slot_count = topology->slot_count,
		.worker_count = handle->home->worker_count };
	for (uint32_t i = 0; i < told->worker_count; i++)
		told->ports[i] = (uint16_t)(handle->home->first_port + i);
	handle->epoch = topology->epoch;
}

bool
adopt_topology(struct slipring *handle, struct view value, const struct node *by)
{
	struct topology topology;
	struct node *asked = NULL;

	for (uint32_t i = 0; i < handle->node_count; i++)
		if (handle->nodes[i] == by)
			asked = handle->nodes[i];
	if (!asked || !topology_parse(value, &topology))
		return false;
	if (topology.rule == TOPOLOGY_RENDEZVOUS) {
		if (!adopt_members(handle, &topology, asked))
			return false;
		choose_home(handle, asked);
	} else if (!adopt_one(handle, &topology, asked)) {
		return false;
	}
	tell_home(handle, &topology);
	handle->incomplete = false;
	for (uint32_t i = 0; i < handle->member_count; i++)
		handle->incomplete |= handle->nodes[i]->first_port == 0;
	handle->refresh.source = NULL;
	handle->crowded = handle->chores = true;
	for (uint32_t i = 0; i < handle->lane_count; i++)
		lane_reroute(handle->lanes[i]);
	return true;
}

static void
free_node(struct slipring *handle, struct node *node)
{
	if (handle->refresh.source == node)
		handle->refresh.source = NULL;
	node_destroy(node);
}

void
adopt_tidy(struct slipring *handle)
{
	uint32_t kept = handle->member_count;

	for (uint32_t i = kept; i < handle->node_count; i++) {
		struct node *node = handle->nodes[i];

		if (node->known || node->lane_count > 0 || node->detours > 0 || node == handle->home ||
		    (handle->refresh.lane && handle->refresh.lane->node == node))
			handle->nodes[kept++] = node;
		else
			free_node(handle, node);
	}
	handle->node_count = kept;
}
