/*
 * The table that workers read: made from the cluster's topology, published through one
 * pointer, made free again after a grace period.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "slipringd/core_state.h"
#include "store/reclaim.h"

bool
core_ring_init(struct core *core)
{
	bool good = true;

	core->in_force = -1;
	core->scratch = aligned_alloc(64, (ring_scratch_size() + 63) / 64 * 64);
	for (uint32_t i = 0; i < CORE_RINGS; i++) {
		core->tables[i].ring = calloc(1, sizeof *core->tables[i].ring);
		good &= core->tables[i].ring != NULL;
	}
	if (!good || !core->scratch)
		core_ring_deinit(core);
	return good && core->scratch;
}

void
core_ring_deinit(struct core *core)
{
	atomic_store(core->published, NULL);
	for (uint32_t i = 0; i < CORE_RINGS; i++)
		free(core->tables[i].ring);
	free(core->scratch);
	core->scratch = NULL;
}

/* --- TOPOLOGY's answer ----------------------------------------------------------------------- */

/* What clients are told: the topology's state, and what membership knows since then. */
static uint8_t
state_now(const struct ring_member *member, const struct member *known)
{
	if (!known || !ring_state_owns(member->state))
		return member->state;
	switch (known->record.state) {
	case PEER_SUSPECTED:
		return TOPOLOGY_NODE_SUSPECTED;
	case PEER_DEAD:
	case PEER_LEFT:
		return TOPOLOGY_NODE_DEAD;
	default:
		return member->state;
	}
}

/* Ports that make no sense would make clients refuse the whole answer. */
static bool
is_reachable(const struct peer_record *record)
{
	return record->api.port != 0 && record->workers <= WORKER_MAX && record->api.port <= 65536 - record->workers;
}

static void
member_compose(const struct core *core, struct writer *out, const struct ring_member *member, const struct member *known)
{
	/* Who is known to the topology alone is looked for at the node that is asked: it forwards. */
	struct topology_node node = { .index = member->index, .first_port = core->cluster.config.api.port,
		.worker_count = core->cluster.config.workers, .state = state_now(member, known), .weight = member->weight,
		.rack = member->rack, .id = member->id };

	if (known && is_reachable(&known->record)) {
		memcpy(node.ip, known->record.api.ip, sizeof node.ip);
		node.first_port = known->record.api.port;
		node.worker_count = known->record.workers;
	}
	topology_member_compose(out, &node);
}

static uint32_t
topology_bytes(const struct core *core, const struct ring_topology *topology, uint8_t bytes[TOPOLOGY_SIZE_MAX])
{
	struct topology header = { .epoch = (uint32_t)topology->epoch, .rule = TOPOLOGY_RENDEZVOUS, .slot_count = SLOT_COUNT,
		.node_count = topology->count, .replication = topology->replication };
	struct writer out = writer_of(bytes, TOPOLOGY_SIZE_MAX);
	uint16_t by_index[RING_MEMBERS_MAX];

	memset(by_index, 0xff, sizeof by_index);
	for (uint16_t i = 0; i < topology->count; i++)
		by_index[topology->members[i].index] = i;
	topology_compose(&out, &header);
	for (uint32_t index = 0; index < RING_MEMBERS_MAX; index++)
		if (by_index[index] != RING_NOBODY) {
			const struct ring_member *member = &topology->members[by_index[index]];

			member_compose(core, &out, member, members_find(&core->cluster.members, member->id));
		}
	CHECK(!out.failed);
	return (uint32_t)(out.at - bytes);
}

/* --- publishing ------------------------------------------------------------------------------ */

static const struct serve_ring *
ring_in_force(const struct core *core)
{
	return core->in_force < 0 ? NULL : core->tables[core->in_force].ring;
}

/* A table that nobody reads; -1: wait. */
static int32_t
table_free(struct core *core)
{
	uint64_t completed = reclaim_completed();

	for (int32_t i = 0; i < CORE_RINGS; i++) {
		struct core_table *table = &core->tables[i];

		if (i == core->in_force || table->ring == core->window.ring)
			continue;
		if (!table->used || completed > table->stamp)
			return i;
	}
	return -1;
}

static bool
is_same_topology(const struct serve_ring *ring, const struct ring_topology *topology)
{
	return ring && ring->snapshot.topology.epoch == topology->epoch && ring->snapshot.topology.digest == topology->digest;
}

/* How Redis clients reach a member: where its native clients do, on the port that all nodes serve RESP on. */
static void
name_node(const struct core *core, struct serve_ring *ring, uint16_t position)
{
	const struct member *known = members_find(&core->cluster.members, ring->snapshot.topology.members[position].id);
	struct stream_node *node = &ring->nodes[position];

	*node = (struct stream_node){ .name = ring->names[position] };
	if (!known) {
		snprintf(ring->names[position], sizeof ring->names[position], "%016llx",
		    (unsigned long long)ring->snapshot.topology.members[position].id);
		return;
	}
	snprintf(ring->names[position], sizeof ring->names[position], "%s", known->record.id);
	memcpy(node->ip, known->record.api.ip, sizeof node->ip);
	node->port = core->config.resp_port;
}

static void
ring_make(struct core *core, const struct serve_ring *before, struct serve_ring *ring)
{
	const struct ring_topology *topology = cluster_topology(&core->cluster);

	if (is_same_topology(before, topology)) {
		memcpy(&ring->snapshot, &before->snapshot, sizeof ring->snapshot);
	} else {
		ring->snapshot.topology = *topology;
		ring_build(topology, core->scratch, &ring->snapshot.table);
	}
	ring->epoch = (uint32_t)topology->epoch;
	ring->self = ring_find_id(topology, core->cluster.self->id);
	ring->topology_len = topology_bytes(core, topology, ring->topology);
	for (uint16_t i = 0; i < topology->count; i++)
		name_node(core, ring, i);
}

static bool
is_same(const struct serve_ring *a, const struct serve_ring *b)
{
	return a && a->epoch == b->epoch && a->topology_len == b->topology_len &&
	    memcmp(a->topology, b->topology, b->topology_len) == 0;
}

static ON_CORE void
publish(struct core *core, int32_t position)
{
	int32_t former = core->in_force;

	/* Release: whoever sees the pointer sees what it points to. */
	atomic_store_explicit(core->published, core->tables[position].ring, memory_order_release);
	core->tables[position].used = true;
	core->in_force = position;
	calls_ring(core->calls, core->now, core->tables[position].ring);
	if (former >= 0)
		core->tables[former].stamp = reclaim_stamp();
}

void
core_ring_tick(struct core *core)
{
	const struct serve_ring *before = ring_in_force(core);
	int32_t position;

	if (!core->ring_dirty || cluster_topology(&core->cluster)->epoch == 0)
		return;
	position = table_free(core);
	if (position < 0)
		return; /* readers still hold them; the next round asks again */
	core->ring_dirty = false;
	ring_make(core, before, core->tables[position].ring);
	if (is_same(before, core->tables[position].ring))
		return;
	publish(core, position);
	core->view_dirty = true;
	if (!before || before->snapshot.topology.epoch != ring_in_force(core)->snapshot.topology.epoch)
		core_view_epoch(core);
}
