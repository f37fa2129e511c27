/*
 * node.h - a node as the client knows it: where it is, what the topology says of
 *   it, and whether it answers.
 *
 * Purpose: one place for a node's health, whichever lane found it out. A node that was
 *   silent, or refused, is down for a while that doubles each time; meanwhile its
 *   operations go by way of another node. Then it is asked by a PING beside them, and
 *   any answer makes it up again.
 * Threads: the handle's. Memory: small; lanes are opened when a worker is first talked to.
 */
#ifndef CLIENT_NODE_H
#define CLIENT_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"

struct lane;
struct slipring;

enum {
	NODE_BACKOFF_MS_MIN = 100,
	NODE_BACKOFF_DOUBLINGS = 5, /* to 3.2 s */
	SEEDS_MAX = 16,
};

/* IPv4 mapped (RFC 4291 2.5.5.2). */
struct node_address {
	uint8_t ip[16];
	uint32_t scope; /* of a link-local address: the interface */
};

struct node {
	/* who and where */
	uint64_t id;            /* ring_member_id; 0: a host given at open that no topology has named */
	char *name;             /* as given at open, or the address: for messages */
	struct node_address address;
	uint16_t first_port;
	uint16_t index;
	uint8_t worker_count;
	uint8_t state;          /* enum topology_state; 0: not said */
	bool known;             /* in the topology in force, or given while there is none */
	bool fresh, taken;      /* while a topology is being adopted */
	bool reachable;         /* the topology says where it is */
	uint32_t slots;         /* owned first */
	/* health */
	uint32_t failures;      /* times in a row that it was found silent; 0: up */
	uint64_t retry_ns;      /* when down: ask again then */
	/* lanes */
	struct lane *lanes[WORKER_MAX];
	uint32_t lane_count;    /* open ones */
	uint32_t detours;       /* other nodes' lanes that lead through here */
};

/* Takes name over (free(3)); NULL: no memory. */
struct node *node_create(char *name, const struct node_address *address, uint16_t first_port);
/* No lane may be left, its own or through it. */
void node_destroy(struct node *node);

static inline bool
node_is_up(const struct node *node)
{
	return node->failures == 0;
}

/* It was silent or refused: down until retry_ns. */
void node_failed(struct slipring *handle, struct node *node, uint64_t now_ns);

static inline void
node_heard(struct node *node)
{
	node->failures = 0;
}

/*
 * A node that is up to lead through instead of `down`: the next owner of `slot` when it has
 * one, else the next in order. NULL: none.
 */
struct node *node_instead(const struct slipring *handle, const struct node *down, uint32_t slot);

#endif
