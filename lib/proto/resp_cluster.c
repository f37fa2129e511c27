/* resp_cluster.c - CLUSTER and its kin: the ring's partitions are Redis Cluster's slots. */
#include <stdio.h>

#include "proto/resp.h"
#include "ring/slot.h"

enum { ID_SIZE = 2 * RESP_SHA1_LEN + 1 };

/* Cluster ids are 40 hexadecimal digits: the SHA-1 of the node id. */
static void
id_of(const char *name, char id[ID_SIZE])
{
	uint8_t digest[RESP_SHA1_LEN];

	resp_sha1(view_text(name), digest);
	for (uint32_t i = 0; i < RESP_SHA1_LEN; i++)
		snprintf(id + 2 * i, 3, "%02x", digest[i]);
}

void
resp_host(const uint8_t ip[16], char host[RESP_HOST_SIZE])
{
	if (endpoint_is_mapped(ip))
		snprintf(host, RESP_HOST_SIZE, "%u.%u.%u.%u", ip[12], ip[13], ip[14], ip[15]);
	else
		snprintf(host, RESP_HOST_SIZE, "%x:%x:%x:%x:%x:%x:%x:%x", ip[0] << 8 | ip[1], ip[2] << 8 | ip[3],
		    ip[4] << 8 | ip[5], ip[6] << 8 | ip[7], ip[8] << 8 | ip[9], ip[10] << 8 | ip[11], ip[12] << 8 | ip[13],
		    ip[14] << 8 | ip[15]);
}

/* The first of a slot's owners that is not dead, by position; RING_NOBODY: there is none. */
static uint16_t
owner_of(const struct ring_snapshot *ring, uint16_t slot)
{
	for (unsigned n = 0; n < RING_OWNERS_MAX; n++) {
		uint16_t position = ring_owner(&ring->table, slot, n);

		if (position != RING_NOBODY && ring->topology.members[position].state != RING_DEAD)
			return position;
	}
	return RING_NOBODY;
}

const struct stream_node *
resp_elsewhere(const struct stream_facts *facts, uint16_t slot)
{
	const struct stream_node *node;
	uint16_t owner;

	if (!facts->ring || (facts->self != RING_NOBODY && ring_owns(&facts->ring->table, slot, facts->self)))
		return NULL;
	owner = owner_of(facts->ring, slot);
	if (owner == RING_NOBODY)
		return NULL;
	node = &facts->nodes[owner];
	return node->port != 0 ? node : NULL;
}

/* --- the node, or all of them ------------------------------------------------------- */

/* What clients see of the ring: members by position; a single node is a ring of its own. */
static uint32_t
member_count(const struct stream_facts *facts)
{
	return facts->ring ? facts->ring->topology.count : 1;
}

static struct stream_node
member(const struct stream_facts *facts, uint32_t position)
{
	struct stream_node node = { .name = facts->node_name, .port = facts->resp_port };

	if (facts->ring)
		return facts->nodes[position];
	memcpy(node.ip, facts->ip, sizeof node.ip);
	return node;
}

static uint8_t
state_of(const struct stream_facts *facts, uint32_t position)
{
	return facts->ring ? facts->ring->topology.members[position].state : (uint8_t)RING_ALIVE;
}

static bool
is_self(const struct stream_facts *facts, uint32_t position)
{
	return !facts->ring || facts->self == position;
}

static uint16_t
owner(const struct stream_facts *facts, uint16_t slot)
{
	return facts->ring ? owner_of(facts->ring, slot) : 0;
}

/* Whether clients can be led to a member. */
static bool
is_shown(const struct stream_facts *facts, uint32_t position)
{
	return state_of(facts, position) != RING_LEFT && member(facts, position).port != 0;
}

/* The last slot of the run of slots with one owner that begins at `slot`. */
static uint32_t
run_end(const struct stream_facts *facts, uint32_t slot)
{
	uint16_t first = owner(facts, (uint16_t)slot);

	while (slot + 1 < SLOT_COUNT && owner(facts, (uint16_t)(slot + 1)) == first)
		slot++;
	return slot;
}

/* --- the commands ------------------------------------------------------------------- */

static void
put_node_of_slots(struct resp_compose *c, uint32_t position)
{
	struct stream_node node = member(c->reply->facts, position);
	char host[RESP_HOST_SIZE], id[ID_SIZE];

	resp_host(node.ip, host);
	id_of(node.name, id);
	resp_array(&c->out, 4);
	resp_bulk_text(&c->out, host);
	resp_integer(&c->out, node.port);
	resp_bulk_text(&c->out, id);
	resp_array(&c->out, 0);
}

static bool
is_led_to(const struct stream_facts *facts, uint32_t slot)
{
	uint16_t position = owner(facts, (uint16_t)slot);

	return position != RING_NOBODY && is_shown(facts, position);
}

void
resp_compose_cluster_slots(struct resp_compose *c, const struct resp_run *run)
{
	const struct stream_facts *facts = c->reply->facts;
	uint32_t runs = 0;

	(void)run;
	for (uint32_t slot = 0; slot < SLOT_COUNT; slot = run_end(facts, slot) + 1)
		runs += is_led_to(facts, slot);
	resp_array(&c->out, runs);
	for (uint32_t slot = 0, end; slot < SLOT_COUNT; slot = end + 1) {
		end = run_end(facts, slot);
		if (!is_led_to(facts, slot))
			continue;
		resp_array(&c->out, 3);
		resp_integer(&c->out, slot);
		resp_integer(&c->out, end);
		put_node_of_slots(c, owner(facts, (uint16_t)slot));
	}
}

/* Runs of slots of a member. */
static uint32_t
runs_of(const struct stream_facts *facts, uint32_t position)
{
	uint32_t runs = 0;

	for (uint32_t slot = 0; slot < SLOT_COUNT; slot = run_end(facts, slot) + 1)
		runs += owner(facts, (uint16_t)slot) == position;
	return runs;
}

static void
put_shard(struct resp_compose *c, uint32_t position)
{
	const struct stream_facts *facts = c->reply->facts;
	struct stream_node node = member(facts, position);
	char host[RESP_HOST_SIZE], id[ID_SIZE];

	resp_host(node.ip, host);
	id_of(node.name, id);
	resp_map(c, 2);
	resp_bulk_text(&c->out, "slots");
	resp_array(&c->out, 2 * runs_of(facts, position));
	for (uint32_t slot = 0, end; slot < SLOT_COUNT; slot = end + 1) {
		end = run_end(facts, slot);
		if (owner(facts, (uint16_t)slot) != position)
			continue;
		resp_integer(&c->out, slot);
		resp_integer(&c->out, end);
	}
	resp_bulk_text(&c->out, "nodes");
	resp_array(&c->out, 1);
	resp_map(c, 7);
	resp_bulk_text(&c->out, "id");
	resp_bulk_text(&c->out, id);
	resp_bulk_text(&c->out, "port");
	resp_integer(&c->out, node.port);
	resp_bulk_text(&c->out, "ip");
	resp_bulk_text(&c->out, host);
	resp_bulk_text(&c->out, "endpoint");
	resp_bulk_text(&c->out, host);
	resp_bulk_text(&c->out, "role");
	resp_bulk_text(&c->out, "master");
	resp_bulk_text(&c->out, "replication-offset");
	resp_integer(&c->out, 0);
	resp_bulk_text(&c->out, "health");
	resp_bulk_text(&c->out, state_of(facts, position) == RING_DEAD ? "failed" : "online");
}

void
resp_compose_cluster_shards(struct resp_compose *c, const struct resp_run *run)
{
	const struct stream_facts *facts = c->reply->facts;
	uint32_t count = 0;

	(void)run;
	for (uint32_t i = 0; i < member_count(facts); i++)
		count += is_shown(facts, i);
	resp_array(&c->out, count);
	for (uint32_t i = 0; i < member_count(facts); i++)
		if (is_shown(facts, i))
			put_shard(c, i);
}

/* The port of Redis' cluster bus is the client's and 10000; nothing listens there. */
static void
put_node_line(struct resp_out *out, const struct stream_facts *facts, uint32_t position)
{
	struct stream_node node = member(facts, position);
	uint8_t state = state_of(facts, position);
	char host[RESP_HOST_SIZE], id[ID_SIZE];

	resp_host(node.ip, host);
	id_of(node.name, id);
	resp_format(out, "%s %s:%u@%u %smaster%s - 0 0 %llu %s", id, host, node.port, node.port + 10000u,
	    is_self(facts, position) ? "myself," : "", state == RING_DEAD ? ",fail" : state == RING_SUSPECTED ? ",fail?" : "",
	    (unsigned long long)(facts->ring ? facts->ring->topology.epoch : 1),
	    state == RING_DEAD ? "disconnected" : "connected");
	for (uint32_t slot = 0, end; slot < SLOT_COUNT; slot = end + 1) {
		end = run_end(facts, slot);
		if (owner(facts, (uint16_t)slot) == position)
			resp_format(out, slot == end ? " %u" : " %u-%u", slot, end);
	}
	resp_text(out, "\n");
}

void
resp_compose_cluster_nodes(struct resp_compose *c, const struct resp_run *run)
{
	const struct stream_facts *facts = c->reply->facts;
	struct outq queue = { 0 };
	struct resp_out text;

	(void)run;
	resp_out_begin(&text, c->reply->blocks, &queue);
	for (uint32_t i = 0; i < member_count(facts); i++)
		if (is_shown(facts, i))
			put_node_line(&text, facts, i);
	resp_verbatim(c, &text);
}

void
resp_compose_cluster_info(struct resp_compose *c, const struct resp_run *run)
{
	const struct stream_facts *facts = c->reply->facts;
	uint32_t assigned = 0, served = 0, suspected = 0, dead = 0, size = 0;
	uint64_t epoch = facts->ring ? facts->ring->topology.epoch : 1;
	struct outq queue = { 0 };
	struct resp_out text;

	(void)run;
	for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
		assigned += facts->ring ? ring_owner(&facts->ring->table, (uint16_t)slot, 0) != RING_NOBODY : 1;
		served += owner(facts, (uint16_t)slot) != RING_NOBODY;
	}
	for (uint32_t i = 0; i < member_count(facts); i++) {
		suspected += state_of(facts, i) == RING_SUSPECTED;
		dead += state_of(facts, i) == RING_DEAD;
		size += ring_state_owns(state_of(facts, i));
	}
	resp_out_begin(&text, c->reply->blocks, &queue);
	resp_format(&text, "cluster_enabled:%d\r\ncluster_state:%s\r\ncluster_slots_assigned:%u\r\ncluster_slots_ok:%u\r\n",
	    facts->ring != NULL, served == SLOT_COUNT ? "ok" : "fail", assigned, served);
	resp_format(&text, "cluster_slots_pfail:0\r\ncluster_slots_fail:%u\r\ncluster_nodes_suspected:%u\r\n"
	    "cluster_nodes_dead:%u\r\n", SLOT_COUNT - served, suspected, dead);
	resp_format(&text, "cluster_known_nodes:%u\r\ncluster_size:%u\r\ncluster_current_epoch:%llu\r\ncluster_my_epoch:%llu\r\n",
	    member_count(facts), size, (unsigned long long)epoch, (unsigned long long)epoch);
	resp_verbatim(c, &text);
}

void
resp_compose_cluster_myid(struct resp_compose *c, const struct resp_run *run)
{
	char id[ID_SIZE];

	(void)run;
	id_of(c->reply->facts->node_name, id);
	resp_bulk_text(&c->out, id);
}

void
resp_compose_cluster_keyslot(struct resp_compose *c, const struct resp_run *run)
{
	struct resp_args args;

	resp_args_of(c, run, &args);
	resp_integer(&c->out, slot_of_key(args.at[2]));
}
