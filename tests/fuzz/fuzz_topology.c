/* Fuzzes the topology's reader: what it takes is written back to the same bytes. */
#include <stdlib.h>

#include "base/check.h"
#include "proto/topology.h"

static uint8_t bytes[TOPOLOGY_SIZE_MAX];

static void
check_written_back(const struct topology *topology, const uint8_t *value, size_t size)
{
	struct writer out = writer_of(bytes, sizeof bytes);
	int32_t last = -1;

	topology_compose(&out, topology);
	for (uint32_t i = 0; i < topology->node_count; i++) {
		struct topology_node node;

		topology_node(topology, i, &node);
		CHECK(node.index > last && node.index < TOPOLOGY_NODES_MAX);
		last = node.index;
		for (uint16_t slot = 0; slot < 64; slot++)
			CHECK(topology_port(&node, slot) >= node.first_port);
		if (topology->rule == TOPOLOGY_RENDEZVOUS) {
			CHECK(node.weight > 0 && node.state >= TOPOLOGY_NODE_ALIVE && node.state <= TOPOLOGY_NODE_LEFT);
			topology_member_compose(&out, &node);
		} else {
			topology_node_compose(&out, &node);
		}
	}
	CHECK(!out.failed);
	/* Longer entries end in bytes that only a later version knows. */
	if (topology->node_len == (topology->rule == TOPOLOGY_RENDEZVOUS ? TOPOLOGY_MEMBER_LEN : TOPOLOGY_NODE_LEN))
		CHECK(out.at == bytes + size && memcmp(bytes, value, size) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct topology topology;
	uint8_t *value = malloc(size ? size : 1);

	CHECK(value);
	memcpy(value, data, size);
	if (topology_parse(view_of(value, (uint32_t)size), &topology))
		check_written_back(&topology, value, size);
	free(value);
	return 0;
}
