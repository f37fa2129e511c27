#include "slipringd/node.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proto/native.h"
#include "proto/stream.h"
#include "seal/seal.h"
#include "slipringd/facts.h"
#include "store/reclaim.h"

enum { SHARED_POLLS = 16 };

_Static_assert(PORT_TAIL_MIN >= sizeof(struct pkt_tail), "a reply's tail leaves room for where it is");

struct node {
	struct node_config config;
	struct store *store;
	struct port *ports[WORKER_MAX];
	struct worker *workers[WORKER_MAX];
	struct local *local;
	struct peer_io *peer_io;             /* these three: NULL for a single node */
	struct core *core;
	const struct serve_ring *_Atomic ring; /* in force; what workers read */
	struct net_shared net_shared;        /* of all workers */
	uint32_t launched;
	bool io_started, reclaim_started;
	struct counters counters[WORKER_MAX], core_counters;
	char worker_facts[FACTS_WORKERS_SIZE], socket_facts[FACTS_SOCKETS_SIZE]; /* for STATS */
};

static void
draw_secrets(struct node_config *config)
{
	seal_random(config->store.secret, sizeof config->store.secret);
	seal_random(config->serve.cookie_secret, sizeof config->serve.cookie_secret);
	seal_random(config->tcp.secret, sizeof config->tcp.secret);
	do
		seal_random(&config->serve.boot, sizeof config->serve.boot);
	while (config->serve.boot == 0 || config->serve.boot == NATIVE_BOOT_NOBODY);
}

static ON_MAIN enum status
open_ports(struct node *node, struct error *error)
{
	struct node_config *config = &node->config;

	for (uint32_t i = 0; i < config->io.worker_count; i++) {
		uint8_t mac[6];

		node->ports[i] = port_open(&config->io, i, mac, error);
		if (!node->ports[i])
			return error->status;
		/* All ports of a node share one MAC and IP: a frame may come in at any. */
		if (!config->has_mac) {
			memcpy(config->mac, mac, 6);
			config->has_mac = true;
		}
	}
	if (config->ipv6_count)
		net_link_local(config->mac, config->ipv6[0]);
	return STATUS_OK;
}

static void
add_port(struct net_config *net, uint16_t port, enum service service)
{
	if (port == 0)
		return;
	CHECK(net->port_count < NET_PORTS_MAX);
	net->ports[net->port_count].port = port;
	net->ports[net->port_count++].service = service;
}

static void
fill_net(struct node *node, uint32_t worker, struct net_config *net)
{
	const struct node_config *config = &node->config;
	struct port_info info;

	port_info(node->ports[worker], &info);
	memset(net, 0, sizeof *net);
	memcpy(net->mac, config->mac, 6);
	memcpy(net->ipv4, config->ipv4, 4);
	net->ipv4_len = config->ipv4_len;
	net->vlan = config->vlan;
	net->echoes_per_s = config->echoes_per_s;
	net->unreachables_per_s = config->unreachables_per_s;
	net->ipv6_count = config->ipv6_count;
	memcpy(net->ipv6, config->ipv6, sizeof net->ipv6);
	net->announces = worker == 0;
	net->shared = &node->net_shared;
	net->verify_checksums = config->io.profile.verify_checksums;
	net->tx_checksum_offload = info.tx_checksum;
	net->tcp = config->tcp.listen_count > 0;
	for (uint32_t i = 0; i < config->io.worker_count; i++)
		add_port(net, (uint16_t)(config->serve.native_port + i), SERVICE_NATIVE);
	add_port(net, config->memcached_port, SERVICE_MEMCACHED);
	add_port(net, config->echo_port, SERVICE_ECHO);
	if (config->cluster) {
		add_port(net, config->core.port, SERVICE_PEER);
		net->tell_arp = true;
	}
}

static void
compose_facts(struct node *node)
{
	struct facts_worker facts;
	struct port_info info;
	size_t at = 0;

	for (uint32_t i = 0; i < node->config.io.worker_count; i++) {
		port_info(node->ports[i], &info);
		facts_worker(&node->config, &info, i, &facts);
		facts_print_worker(&facts, i, node->worker_facts, sizeof node->worker_facts, &at);
	}
	facts_print_sockets(&node->config, node->socket_facts, sizeof node->socket_facts);
	node->config.serve.worker_facts = node->worker_facts;
	node->config.serve.socket_facts = node->socket_facts;
}

static ON_MAIN enum status
create_worker(struct node *node, uint32_t i, struct error *error)
{
	struct worker_config config = { .idle = node->config.idle, .idle_polls = node->config.idle_polls,
		.idle_sleep_ms = node->config.idle_sleep_ms, .serve = node->config.serve, .tcp = node->config.tcp };
	struct port_info info;

	/* Other nodes want this CPU, too, and the work there is may wait for one of them. */
	if (node->config.io.float_lcores && node->core && config.idle_polls > SHARED_POLLS)
		config.idle_polls = SHARED_POLLS;
	config.serve.worker = i;
	config.serve.node_name = node->config.name;
	endpoint_map_ipv4(config.serve.ip, node->config.ipv4);
	config.tcp.hops_max = (uint8_t)(node->config.io.worker_count - 1);
	config.serve.worker_count = node->config.io.worker_count;
	config.serve.store = node->store;
	config.serve.counters = &node->counters[i];
	config.serve.ring = node->core ? &node->ring : NULL;
	config.serve.protocols[SERVICE_MEMCACHED_STREAM] = &memcached_stream_protocol;
	config.serve.protocols[SERVICE_RESP] = &resp_stream_protocol;
	config.serve.core_counters = node->core ? &node->core_counters : NULL;
	for (uint32_t w = 0; w < node->config.io.worker_count; w++)
		config.serve.all_counters[w] = &node->counters[w];
	fill_net(node, i, &config.net);
	port_info(node->ports[i], &info);
	config.tcp.refer_min = config.serve.refer_min = info.tails == PORT_TAILS_REFERRED ? PORT_TAIL_MIN : 0;
	seal_random(config.fragment_secret, sizeof config.fragment_secret);
	node->workers[i] = worker_create(&config, node->ports[i], &node->counters[i], error);
	return node->workers[i] ? STATUS_OK : error->status;
}

static ON_MAIN enum status
launch_workers(struct node *node, struct error *error)
{
	uint32_t count = node->config.io.worker_count;

	for (uint32_t i = 0; i < count; i++)
		if (create_worker(node, i, error) != STATUS_OK)
			return error->status;
	for (uint32_t i = 0; i < count; i++) {
		worker_connect(node->workers[i], node->workers, count);
		worker_connect_local(node->workers[i], local_mailbox(node->local));
		if (node->core)
			worker_connect_core(node->workers[i], node->peer_io, core_slots(node->core));
	}
	if (node->core) {
		peer_io_connect(node->peer_io, node->workers[0]->mailbox);
		core_connect(node->core, node->workers[0]->mailboxes);
	}
	if (node->core && node->config.core.on_worker) {
		mailbox_move(peer_io_bell(node->peer_io), node->workers[0]->mailbox);
		worker_connect_guest(node->workers[0], &(struct worker_guest){ core_round, core_wait_us, node->core });
	}
	for (; node->launched < count; node->launched++)
		if (io_launch(node->launched, worker_main, node->workers[node->launched]) != STATUS_OK)
			return error_set(error, STATUS_UNAVAILABLE, "lcore of worker %u is busy",
			    node->launched);
	return STATUS_OK;
}

static ON_MAIN enum status
create_core(struct node *node, struct error *error)
{
	struct core_config *config = &node->config.core;

	if (!node->config.cluster)
		return STATUS_OK;
	memcpy(config->net.mac, node->config.mac, 6);
	config->resp_port = node->config.serve.resp_port;
	config->net.vlan = node->config.vlan;
	node->peer_io = peer_io_create(node->config.io.worker_count, error);
	if (!node->peer_io)
		return error->status;
	node->core = core_create(config, node->peer_io, &node->ring, &node->core_counters, error);
	explicit_bzero(config->cluster.keys, sizeof config->cluster.keys);
	return node->core ? STATUS_OK : error->status;
}

/* The ladder up; node_stop is the same ladder down, from wherever this got to. */
static ON_MAIN enum status
start(struct node *node, struct error *error)
{
	if (io_start(&node->config.io, error) != STATUS_OK)
		return error->status;
	node->io_started = true;
	if (reclaim_start(error) != STATUS_OK)
		return error->status;
	node->reclaim_started = true;
	node->config.io.shares = io_can_share(&node->config.io.profile);
	node->config.store.share = node->config.io.shares ? io_share : NULL;
	node->store = store_create(&node->config.store, error);
	if (!node->store)
		return error->status;
	if (open_ports(node, error) != STATUS_OK)
		return error->status;
	compose_facts(node);
	node->local = local_create(error);
	if (!node->local)
		return error->status;
	if (create_core(node, error) != STATUS_OK || launch_workers(node, error) != STATUS_OK)
		return error->status;
	return node->core ? core_start(node->core, error) : STATUS_OK;
}

struct node *
node_start(const struct node_config *config, struct error *error)
{
	struct node *node = aligned_alloc(64, (sizeof *node + 63) / 64 * 64);

	if (!node) {
		error_set(error, STATUS_NO_MEMORY, "no memory for the node");
		return NULL;
	}
	memset(node, 0, sizeof *node);
	node->config = *config;
	node->config.store.shard_count = config->io.worker_count;
	CHECK(seal_start());
	aead_start();
	draw_secrets(&node->config);
	if (start(node, error) == STATUS_OK)
		return node;
	node_stop(node);
	return NULL;
}

static ON_MAIN void
stop_workers(struct node *node)
{
	for (uint32_t i = 0; i < node->launched; i++)
		worker_stop(node->workers[i]);
	for (uint32_t i = 0; i < node->launched; i++)
		io_join(i);
	for (uint32_t i = 0; i < WORKER_MAX; i++)
		if (node->workers[i])
			worker_destroy(node->workers[i]);
}

void
node_stop(struct node *node)
{
	if (node->core)
		core_stop(node->core);
	stop_workers(node);
	core_destroy(node->core);
	peer_io_destroy(node->peer_io);
	local_destroy(node->local);
	for (uint32_t i = 0; i < WORKER_MAX; i++)
		if (node->ports[i])
			port_stop(node->ports[i]);
	for (uint32_t i = 0; i < WORKER_MAX; i++)
		if (node->ports[i])
			port_close(node->ports[i]);
	if (node->store)
		store_destroy(node->store);
	if (node->reclaim_started)
		reclaim_stop();
	if (node->io_started)
		io_stop();
	free(node);
}

const struct node_config *
node_config(const struct node *node)
{
	return &node->config;
}

const struct counters *
node_counters(const struct node *node, uint32_t worker)
{
	CHECK(worker < node->config.io.worker_count);
	return &node->counters[worker];
}

uint32_t
node_duplicates(const struct node *node)
{
	return atomic_load_explicit(&node->net_shared.duplicates, memory_order_relaxed);
}

void
node_port_info(const struct node *node, uint32_t worker, struct port_info *info)
{
	CHECK(worker < node->config.io.worker_count);
	port_info(node->ports[worker], info);
}

struct store *
node_store(const struct node *node)
{
	return node->store;
}

struct core *
node_core(const struct node *node)
{
	return node->core;
}

const struct counters *
node_core_counters(const struct node *node)
{
	return node->core ? &node->core_counters : NULL;
}

void
node_leave(struct node *node)
{
	if (node->core)
		core_leave(node->core);
}

struct local *
node_local(const struct node *node)
{
	return node->local;
}

void
node_mail(const struct node *node, uint32_t worker, struct deferred *slot)
{
	CHECK(worker < node->config.io.worker_count && slot->home == DEFERRED_HOME_LOCAL);
	CHECK(mailbox_send(node->workers[worker]->mailbox, slot));
}
