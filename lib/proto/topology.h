/*
 * topology.h - the value of TOPOLOGY: which slots lead where.
 *
 * Purpose: one encoder for the server, one decoder for the client.
 *  Header, 16 bytes:
 *    0 u32 epoch  4 u16 rule  6 u16 node_count  8 u16 slot_count  10 u16 node_len (24)  12 u32 reserved 0
 *  then node_count entries of node_len bytes, by ascending index:
 *    0 ip[16]  16 u16 index  18 u16 first_port  20 u8 worker_count  21 u8 state  22 u16 reserved 0
 *  A later server may send longer entries: what is behind byte 24 is skipped.
 *  rule 1: every slot belongs to the only node. A client that does not know a rule
 *  sends to the node it knows: any node takes any operation.
 *  Within a node: worker = slot mod worker_count, UDP port = first_port + worker.
 *  An all-zero ip is the address the topology was asked at.
 * Threads: any. Memory: borrowed. Bounds: TOPOLOGY_NODES_MAX nodes.
 */
#ifndef PROTO_TOPOLOGY_H
#define PROTO_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/limits.h"

enum {
	TOPOLOGY_HEADER_LEN = 16,
	TOPOLOGY_NODE_LEN = 24,
	TOPOLOGY_NODES_MAX = 1024, /* versions have 10 bits for the node index */
	TOPOLOGY_SIZE_MAX = TOPOLOGY_HEADER_LEN + TOPOLOGY_NODES_MAX * TOPOLOGY_NODE_LEN,
};

enum topology_rule {
	TOPOLOGY_ONE_NODE = 1,
};

enum topology_state {
	TOPOLOGY_NODE_ALIVE = 1,
};

struct topology_node {
	uint8_t ip[16];
	uint16_t index, first_port;
	uint8_t worker_count; /* 1..WORKER_MAX */
	uint8_t state;        /* enum topology_state; others may come */
};

struct topology {
	uint32_t epoch;
	uint16_t rule, slot_count, node_count;
	uint16_t node_len;       /* set by parse */
	const uint8_t *entries;  /* set by parse; dies with the value parsed */
};

/* Writes the header (of the four figures), to be followed by node_count nodes. */
void topology_compose(struct writer *out, const struct topology *topology);
void topology_node_compose(struct writer *out, const struct topology_node *node);

/* False: lengths, counts, reserved fields or the order of nodes are wrong. */
bool topology_parse(struct view value, struct topology *topology);

/* Node number i (i < node_count) of a parsed topology. */
void topology_node(const struct topology *topology, uint32_t i, struct topology_node *node);

/* The UDP port that leads to the worker of a slot. */
static inline uint16_t
topology_port(const struct topology_node *node, uint16_t slot)
{
	return (uint16_t)(node->first_port + slot % node->worker_count);
}

#endif
