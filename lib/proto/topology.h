/*
 * topology.h - the value of TOPOLOGY: which slots lead where.
 *
 * Purpose: one encoder for the server, one decoder for the client.
 *  Header, 16 bytes:
 *    0 u32 epoch  4 u16 rule  6 u16 node_count  8 u16 slot_count  10 u16 node_len  12 u8 replication  13 reserved 0
 *  then node_count entries of node_len bytes, by ascending index:
 *    0 ip[16]  16 u16 index  18 u16 first_port  20 u8 worker_count  21 u8 state  22 u16 reserved 0
 *  and, with rule 2,
 *    24 u64 id  32 u32 rack  36 u16 weight  38 u16 reserved 0
 *  A later server may send longer entries: what is behind byte 24, or 40, is skipped.
 *  rule 1: every slot belongs to the only node; node_len 24, replication 0.
 *  rule 2: owners by the table that doc/RING.md computes from id, rack, weight, state
 *  and replication; node_len 40. The fields are those of struct ring_member.
 *  A client that does not know a rule sends to the node it knows: any node takes any
 *  operation.
 *  Within a node: worker = slot mod worker_count, UDP port = first_port + worker.
 *  An all-zero ip is the address the topology was asked at. With rule 2, first_port 0 says
 *  that the node asked does not know where that one is; it counts for the table all the same.
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
	TOPOLOGY_MEMBER_LEN = 40, /* of rule 2 */
	TOPOLOGY_NODES_MAX = 1024, /* versions have 10 bits for the node index */
	TOPOLOGY_SIZE_MAX = TOPOLOGY_HEADER_LEN + TOPOLOGY_NODES_MAX * TOPOLOGY_MEMBER_LEN,
	TOPOLOGY_REPLICATION_MAX = 5,
};

enum topology_rule {
	TOPOLOGY_ONE_NODE = 1,
	TOPOLOGY_RENDEZVOUS = 2, /* capped weighted rendezvous: doc/RING.md */
};

/* As enum ring_state: alive, suspected and dead ones own slots, the others do not. */
enum topology_state {
	TOPOLOGY_NODE_ALIVE = 1,
	TOPOLOGY_NODE_SUSPECTED = 2,
	TOPOLOGY_NODE_DEAD = 3, /* to be skipped */
	TOPOLOGY_NODE_JOINING = 4,
	TOPOLOGY_NODE_LEAVING = 5,
	TOPOLOGY_NODE_LEFT = 6,
};

struct topology_node {
	uint8_t ip[16];
	uint16_t index, first_port; /* first_port 0: not known where */
	uint8_t worker_count; /* 1..WORKER_MAX */
	uint8_t state;        /* enum topology_state; others may come with other rules */
	/* Rule 2 only, else 0. */
	uint16_t weight;
	uint32_t rack; /* 0: none */
	uint64_t id;
};

struct topology {
	uint32_t epoch;
	uint16_t rule, slot_count, node_count;
	uint8_t replication;     /* rule 2: 1..TOPOLOGY_REPLICATION_MAX; else 0 */
	uint16_t node_len;       /* set by parse */
	const uint8_t *entries;  /* set by parse; dies with the value parsed */
};

/* Writes the header (of rule, figures and epoch), to be followed by node_count nodes, by ascending index. */
void topology_compose(struct writer *out, const struct topology *topology);
void topology_node_compose(struct writer *out, const struct topology_node *node);   /* rule 1 */
void topology_member_compose(struct writer *out, const struct topology_node *node); /* rule 2 */

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
