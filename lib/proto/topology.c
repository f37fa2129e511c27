#include "proto/topology.h"

void
topology_compose(struct writer *out, const struct topology *topology)
{
	writer_le32(out, topology->epoch);
	writer_le16(out, topology->rule);
	writer_le16(out, topology->node_count);
	writer_le16(out, topology->slot_count);
	writer_le16(out, topology->rule == TOPOLOGY_RENDEZVOUS ? TOPOLOGY_MEMBER_LEN : TOPOLOGY_NODE_LEN);
	writer_u8(out, topology->replication);
	writer_u8(out, 0);
	writer_le16(out, 0);
}

void
topology_node_compose(struct writer *out, const struct topology_node *node)
{
	writer_bytes(out, node->ip, sizeof node->ip);
	writer_le16(out, node->index);
	writer_le16(out, node->first_port);
	writer_u8(out, node->worker_count);
	writer_u8(out, node->state);
	writer_le16(out, 0);
}

void
topology_member_compose(struct writer *out, const struct topology_node *node)
{
	topology_node_compose(out, node);
	writer_le64(out, node->id);
	writer_le32(out, node->rack);
	writer_le16(out, node->weight);
	writer_le16(out, 0);
}

static bool
member_makes_sense(const uint8_t *entry)
{
	return entry[21] >= TOPOLOGY_NODE_ALIVE && entry[21] <= TOPOLOGY_NODE_LEFT &&
	    load_le16(entry + 36) != 0 && load_le16(entry + 38) == 0;
}

/* Whether every entry has workers and ports, reserved bytes are 0 and indexes ascend. */
static bool
nodes_make_sense(const struct topology *topology)
{
	int32_t last_index = -1;

	for (uint32_t i = 0; i < topology->node_count; i++) {
		const uint8_t *entry = topology->entries + (size_t)i * topology->node_len;
		uint16_t index = load_le16(entry + 16), first_port = load_le16(entry + 18);
		uint8_t workers = entry[20];

		if (index <= last_index || index >= TOPOLOGY_NODES_MAX || workers == 0 ||
		    workers > WORKER_MAX || first_port > 65536 - workers ||
		    (first_port == 0 && topology->rule != TOPOLOGY_RENDEZVOUS) ||
		    load_le16(entry + 22) != 0 ||
		    (topology->rule == TOPOLOGY_RENDEZVOUS && !member_makes_sense(entry)))
			return false;
		last_index = index;
	}
	return true;
}

/* Of the header: rule, counts and lengths. */
static bool
header_makes_sense(const struct topology *topology)
{
	if (topology->rule == 0 || topology->slot_count == 0 || topology->node_count == 0 ||
	    topology->node_count > TOPOLOGY_NODES_MAX || topology->node_len < TOPOLOGY_NODE_LEN)
		return false;
	if (topology->rule != TOPOLOGY_RENDEZVOUS)
		return topology->replication == 0;
	return topology->replication > 0 && topology->replication <= TOPOLOGY_REPLICATION_MAX &&
	    topology->slot_count == SLOT_COUNT && topology->node_len >= TOPOLOGY_MEMBER_LEN;
}

bool
topology_parse(struct view value, struct topology *topology)
{
	struct reader in = reader_of(value.data, value.len);
	uint32_t reserved;

	topology->epoch = reader_le32(&in);
	topology->rule = reader_le16(&in);
	topology->node_count = reader_le16(&in);
	topology->slot_count = reader_le16(&in);
	topology->node_len = reader_le16(&in);
	topology->replication = reader_u8(&in);
	reserved = reader_u8(&in);
	reserved |= reader_le16(&in);
	if (in.failed || reserved != 0 || !header_makes_sense(topology))
		return false;
	topology->entries = in.at;
	return reader_left(&in) == (size_t)topology->node_count * topology->node_len &&
	    nodes_make_sense(topology);
}

void
topology_node(const struct topology *topology, uint32_t i, struct topology_node *node)
{
	const uint8_t *entry = topology->entries + (size_t)i * topology->node_len;

	memcpy(node->ip, entry, sizeof node->ip);
	node->index = load_le16(entry + 16);
	node->first_port = load_le16(entry + 18);
	node->worker_count = entry[20];
	node->state = entry[21];
	node->weight = 0;
	node->rack = 0;
	node->id = 0;
	if (topology->rule == TOPOLOGY_RENDEZVOUS) {
		node->id = load_le64(entry + 24);
		node->rack = load_le32(entry + 32);
		node->weight = load_le16(entry + 36);
	}
}
