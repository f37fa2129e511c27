/*
 * node.h - one node put together: store, ports, workers; started and stopped as a whole.
 *
 * Threads: node_start and node_stop on the main thread, which becomes the
 *   control core; the figures may be read by any thread while the node runs.
 * Memory: the node owns everything it starts. A failed start leaves nothing behind.
 */
#ifndef SLIPRINGD_NODE_H
#define SLIPRINGD_NODE_H

#include "io/io.h"
#include "net/tcp.h"
#include "serve/serve.h"
#include "slipringd/core_node.h"
#include "slipringd/local.h"
#include "slipringd/worker.h"
#include "store/store.h"

struct node_config {
	char name[SERVE_NAME_SIZE]; /* node id */
	struct io_config io;
	struct store_config store; /* shard_count is set from io.worker_count, secret is drawn */
	struct serve_config serve; /* what operators set: auth, allow-list, native_port; the rest is filled in */
	enum worker_idle idle;
	uint32_t idle_polls, idle_sleep_ms; /* as in struct worker_config */
	uint8_t ipv4[4], ipv4_len; /* address, and of its prefix */
	uint8_t ipv6_count;        /* 0: no IPv6; else the first is link-local, filled in once the MAC is known */
	uint8_t ipv6[NET_IPV6_MAX][16];
	uint16_t vlan;             /* 0: none */
	uint32_t echoes_per_s, unreachables_per_s; /* each worker's; 0: net.h's */
	bool has_mac;              /* mac below instead of the first port's own */
	uint8_t mac[6];
	uint16_t memcached_port;   /* 0: off */
	uint16_t echo_port;        /* 0: off */
	struct tcp_config tcp;     /* each worker's; listen_count 0: no TCP. The secret is drawn */
	bool cluster;              /* core below counts */
	struct core_config core;   /* MAC and boot are filled in */
};

struct node;

/* Starts EAL, store, ports and workers; when it returns, the node answers. */
struct node *node_start(const struct node_config *config, struct error *error) MUST_USE ON_MAIN;
/* Workers finish their round, ports are closed, memory is given back. */
void node_stop(struct node *node) ON_MAIN;

/* Figures; valid until node_stop. */
const struct node_config *node_config(const struct node *node); /* as it came to be: MAC, secrets drawn */
const struct counters *node_counters(const struct node *node, uint32_t worker);
/* IPv6 addresses (bit i: ipv6[i]) that other hosts were found to have before this one used them. */
uint32_t node_duplicates(const struct node *node);
void node_port_info(const struct node *node, uint32_t worker, struct port_info *info);
struct store *node_store(const struct node *node);
/* The slots by which the process itself asks its workers; valid until node_stop. */
struct local *node_local(const struct node *node);
/* The control core; NULL for a single node. */
struct core *node_core(const struct node *node);
/* What the control core counts, beside the workers'; NULL for a single node. */
const struct counters *node_core_counters(const struct node *node);
/* A node of a cluster tells the others that it leaves; bounded. */
void node_leave(struct node *node) ON_MAIN;
/* Mails a slot that local_take gave to a worker. Any thread. */
void node_mail(const struct node *node, uint32_t worker, struct deferred *slot);

#endif
