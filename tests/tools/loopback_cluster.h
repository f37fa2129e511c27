/*
 * loopback_cluster.h - what the nodes of loopback_node share: the burst's memory, and
 *   between nodes a link, over which lib/cluster/forward asks for other nodes' keys.
 *
 * Purpose: a cluster's data path without gossip, NIC or core: tables and states are given by
 *   commands (loopback_node.c). The link loses nothing but what goes to a node that
 *   is not there: it falls silent, as far as the sender knows.
 * Threads: one. Memory: static, and messages by malloc.
 */
#ifndef TESTS_LOOPBACK_CLUSTER_H
#define TESTS_LOOPBACK_CLUSTER_H

#include "base/check.h"
#include "cluster/forward.h"
#include "proto/topology.h"
#include "serve/serve.h"
#include "tests/tools/loopback_shim.h"

enum {
	NODES_MAX = 16,
	SPARES = 256,
	PACKET_SIZE = 2048,
	MAIL_MAX = 4 * DEFERRED_MAX * WORKER_MAX,
	LATE_MAX = 1024,
};

/* A datagram for a node that is slow. */
struct late {
	uint8_t bytes[UDP_PAYLOAD_MAX];
	uint16_t len;
	struct endpoint peer;
	uint64_t due_ns;
};

struct worker {
	struct node *node;
	int fd;
	uint16_t port;
	struct serve *serve;
	struct counters counters;
	struct deferred *mails[MAIL_MAX];
	uint32_t mail_first, mail_count;
	struct shim in, out;
	struct late *late; /* LATE_MAX, when it has been slow */
	uint32_t late_first, late_count;
};

struct node {
	uint64_t id;
	uint32_t number;         /* from 1 */
	uint8_t state;           /* as the topology will tell it */
	bool running, paused, cut;
	uint64_t slow_ns;
	uint16_t first_port;
	struct store *store;
	struct worker workers[WORKER_MAX];
	uint32_t worker_count;
	/* of a cluster */
	struct forward forward;
	struct serve_ring rings[2]; /* the one in force and the next one */
	uint32_t turn;
	const struct serve_ring *_Atomic published;
	struct deferred *core_mails[MAIL_MAX];
	uint32_t core_count;
};

struct message {
	struct message *next;
	uint32_t to;
	uint64_t from;
	uint32_t len;
	uint8_t bytes[];
};

struct cluster_of_nodes {
	struct node *nodes;
	uint32_t node_count;
	uint64_t epoch;
	struct message *first, **last;
	void *scratch;
	/* one burst at a time */
	struct burst burst;
	struct now now;
	struct pkt spare_pkts[SPARES], rx_pkts[BURST_MAX];
	uint8_t spare_bytes[SPARES][PACKET_SIZE], rx_bytes[BURST_MAX][PACKET_SIZE];
	uint32_t received;
};

static struct cluster_of_nodes all;

static inline struct node *
node_of_id(uint64_t id)
{
	for (uint32_t i = 0; i < all.node_count; i++)
		if (all.nodes[i].id == id)
			return &all.nodes[i];
	CHECK(!"a member");
	return NULL;
}

static inline void
mail_worker(struct worker *to, struct deferred *slot)
{
	CHECK(to->mail_count < MAIL_MAX);
	to->mails[(to->mail_first + to->mail_count++) % MAIL_MAX] = slot;
}

static inline enum forward_result
link_post(struct node *node, const struct forward_post *post)
{
	struct node *to = node_of_id(post->member);
	struct message *message;

	if (to->state == RING_DEAD || to->state == RING_LEFT)
		return FORWARD_UNREACHABLE;
	message = malloc(sizeof *message + post->head.len + post->body.len);
	CHECK(message);
	*message = (struct message){ .to = to->number - 1, .from = node->id, .len = post->head.len + post->body.len };
	memcpy(message->bytes, post->head.data, post->head.len);
	if (post->body.len)
		memcpy(message->bytes + post->head.len, post->body.data, post->body.len);
	*all.last = message;
	all.last = &message->next;
	return FORWARD_SENT;
}

/* Messages that wait for a paused node stay; those to one that is not there are gone. */
static inline bool
link_deliver(void)
{
	struct message *message = all.first, *kept = NULL, **kept_last = &kept;
	bool some = false;

	for (struct message *next; message; message = next) {
		struct node *to = &all.nodes[message->to];

		next = message->next;
		message->next = NULL;
		if (to->running && to->paused) {
			*kept_last = message;
			kept_last = &message->next;
			continue;
		}
		if (to->running)
			forward_message(&to->forward, all.now, message->from, view_of(message->bytes, message->len));
		some = true;
		free(message);
	}
	all.first = kept;
	all.last = kept ? kept_last : &all.first;
	return some;
}

/* One round of a node's core: its mail, its deadlines, and what comes out. */
static inline bool
core_run(struct node *node)
{
	bool some = node->core_count > 0;
	struct forward_post post;
	struct deferred *slot;

	for (uint32_t i = 0; i < node->core_count; i++)
		forward_slot(&node->forward, all.now, node->core_mails[i]);
	node->core_count = 0;
	forward_tick(&node->forward, all.now);
	while (forward_post(&node->forward, all.now, &post)) {
		forward_posted(&node->forward, all.now, link_post(node, &post));
		some = true;
	}
	while ((slot = forward_mail(&node->forward)) != NULL) {
		CHECK(slot->to < node->worker_count);
		mail_worker(&node->workers[slot->to], slot);
		some = true;
	}
	return some;
}

/* The answer of TOPOLOGY: where the sockets are. */
static inline uint32_t
topology_bytes(const struct ring_topology *ring, uint8_t *bytes)
{
	const struct topology header = { .epoch = (uint32_t)ring->epoch, .rule = TOPOLOGY_RENDEZVOUS, .slot_count = SLOT_COUNT,
		.node_count = ring->count, .replication = ring->replication };
	struct writer out = writer_of(bytes, TOPOLOGY_SIZE_MAX);

	topology_compose(&out, &header);
	for (uint16_t index = 0; index < all.node_count; index++) {
		const struct ring_member *member = &ring->members[ring_find_index(ring, index)];
		const struct node *node = node_of_id(member->id);
		struct topology_node entry = { .index = index, .first_port = node->first_port,
			.worker_count = (uint8_t)node->worker_count, .state = member->state, .weight = member->weight,
			.id = member->id };

		endpoint_map_ipv4(entry.ip, "\x7f\0\0\1");
		topology_member_compose(&out, &entry);
	}
	CHECK(!out.failed);
	return (uint32_t)(out.at - bytes);
}

/* The node goes by the states of now from here on. */
static inline void
node_publish(struct node *node, uint64_t epoch)
{
	struct serve_ring *ring = &node->rings[++node->turn % 2];

	memset(ring, 0, sizeof *ring);
	ring->snapshot.topology.replication = 1;
	ring->snapshot.topology.epoch = epoch;
	for (uint32_t i = 0; i < all.node_count; i++) {
		struct ring_member member = { .id = all.nodes[i].id, .index = (uint16_t)i, .weight = RING_WEIGHT_DEFAULT,
			.state = all.nodes[i].state };

		CHECK(ring_topology_add(&ring->snapshot.topology, &member));
	}
	ring_build(&ring->snapshot.topology, all.scratch, &ring->snapshot.table);
	ring->self = ring_find_id(&ring->snapshot.topology, node->id);
	ring->epoch = (uint32_t)epoch;
	ring->topology_len = topology_bytes(&ring->snapshot.topology, ring->topology);
	atomic_store(&node->published, ring);
	forward_ring(&node->forward, all.now, &ring->snapshot);
}

/* The others learn that a node died, or is another life. */
static inline void
node_gone(const struct node *gone)
{
	for (uint32_t i = 0; i < all.node_count; i++)
		if (&all.nodes[i] != gone && all.nodes[i].running)
			forward_gone(&all.nodes[i].forward, all.now, gone->id);
}

#endif
