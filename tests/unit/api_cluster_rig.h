/*
 * api_cluster_rig.h - the control plane of a node in a cluster of five members with a real
 * partition table of two owners a slot; included by one test program each.
 */
#ifndef TESTS_API_CLUSTER_RIG_H
#define TESTS_API_CLUSTER_RIG_H

#include "api_rig.h"
#include "ring/slot.h"

static const struct {
	const char *id;
	uint8_t state, ring_state; /* ring_state 0: not in the topology */
	double phi;
} given[] = {
	{ "n1", PEER_ALIVE, RING_ALIVE, 0 },
	{ "n2", PEER_ALIVE, RING_ALIVE, 0.25 },
	{ "n3", PEER_SUSPECTED, RING_SUSPECTED, 9.5 },
	{ "n4", PEER_DEAD, RING_DEAD, 300 },
	{ "n5", PEER_JOINING, 0, 0 },
};

enum { MEMBERS = sizeof given / sizeof *given };

static inline struct peer_address
address_of(int n, uint16_t port)
{
	struct peer_address address = { .port = port };

	endpoint_map_ipv4(address.ip, (const uint8_t []){ 10, 9, 0, (uint8_t)n });
	return address;
}

static inline void
fill_members(void)
{
	struct cluster_view *cluster = &fixed_view.cluster;

	fixed_view.phase = CORE_MEMBER;
	fixed_view.mono_ns = 10 * NS_PER_SEC;
	*cluster = (struct cluster_view){ .epoch = 7, .changes = 21, .heartbeat_ns = 50 * NS_PER_MS, .phi_threshold = 8,
		.ring_size = 256, .replication_factor = 2, .count = MEMBERS };
	for (int i = 0; i < MEMBERS; i++) {
		struct cluster_member_view *member = &cluster->members[i];

		*member = (struct cluster_member_view){ .address = address_of(i + 1, 7946), .api = address_of(i + 1, 7411),
			.state = given[i].state, .phi = given[i].phi, .incarnation = (uint32_t)i + 1, .boot = 0xb007ull + (uint64_t)i,
			.heard_ns = i ? (10 * NS_PER_SEC - (uint64_t)i * 30 * NS_PER_MS) : 0, .weight = 64, .self = i == 0,
			.watched = i > 0 };
		snprintf(member->id, sizeof member->id, "%s", given[i].id);
	}
	cluster->members[4].heard_ns = 0;
}

static inline void
fill_ring(void)
{
	struct ring_topology *topology = &fixed_ring.topology;
	void *scratch = aligned_alloc(64, (ring_scratch_size() + 63) / 64 * 64);

	*topology = (struct ring_topology){ .epoch = 7, .replication = 2 };
	for (int i = 0; i < MEMBERS; i++)
		if (given[i].ring_state)
			assert_true(ring_topology_add(topology, &(struct ring_member){ .id = ring_member_id(given[i].id, 2),
			    .index = (uint16_t)i, .weight = 64, .state = given[i].ring_state }));
	assert_int_equal(ring_topology_check(topology), RING_OK);
	ring_build(topology, scratch, &fixed_ring.table);
	free(scratch);
	fixed_placed = true;
}

static inline int
start_clustered(void **state)
{
	clustered = true;
	fill_members();
	fill_ring();
	return start(state);
}

/* The body of a reply that must be as the openapi document says. */
static inline json_t *
get(const char *path_given, const char *route_path)
{
	json_t *document, *body;

	assert_int_equal(ask("GET", "/openapi.json", "", &document), 200);
	assert_int_equal(ask("GET", path_given, "", &body), 200);
	expect_members(path_given, body, at(document, (const char *const []){ "paths", route_path, "get", "responses", "200",
	    "content", "application/json", "schema", NULL }));
	json_decref(document);
	return body;
}

static inline void
expect_json(json_t *body, const char *text)
{
	json_t *wanted = json_loads(text, 0, NULL);

	assert_non_null(wanted);
	if (!json_equal(body, wanted))
		fail_msg("%s", json_dumps(body, 0));
	json_decref(wanted);
	json_decref(body);
}

/* The id of a slot's owner. */
static inline const char *
owner_of(uint16_t slot, unsigned n)
{
	uint64_t id = fixed_ring.topology.members[ring_owner(&fixed_ring.table, slot, n)].id;

	for (int i = 0; i < MEMBERS; i++)
		if (ring_member_id(given[i].id, 2) == id)
			return given[i].id;
	return NULL;
}

#endif
