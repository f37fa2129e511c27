#include "slipringd/compose_cluster.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <arpa/inet.h>

#include "base/endpoint.h"
#include "slipringd/peer_text.h"
#include "slipringd/resolver.h"
#include "slipringd/secrets.h"

/* One name is one seed: its first IPv4 address. */
static enum status
resolve(const struct peer_text *peer, struct peer_address *address, struct error *error)
{
	int failed = resolver_ask(peer->host, address);

	if (failed)
		return error_set(error, STATUS_INVALID, "cluster.seed_nodes: %s is no address and cannot be resolved: %s",
		    peer->host, failed == EAI_SYSTEM ? strerror(errno) : gai_strerror(failed));
	address->port = peer->port;
	return STATUS_OK;
}

static bool
is_name(const char *host)
{
	struct in_addr ip;

	return inet_pton(AF_INET, host, &ip) != 1;
}

static enum status
compose_seeds(const struct config *config, struct core_config *core, struct error *error)
{
	struct cluster_config *cluster = &core->cluster;

	for (uint32_t i = 0; i < config->cluster_seed_nodes.count; i++) {
		struct peer_text peer;
		struct why why;

		if (!peer_text_parse(config->cluster_seed_nodes.values[i], (uint16_t)config->cluster_port, &peer, &why))
			return error_set(error, STATUS_INVALID, "cluster.seed_nodes: %s", why.text);
		if (is_name(peer.host))
			snprintf(core->seed_hosts[i], sizeof core->seed_hosts[i], "%s", peer.host);
		if (resolve(&peer, &cluster->seeds[cluster->seed_count++], error) != STATUS_OK)
			return error->status;
	}
	return STATUS_OK;
}

_Static_assert((int)VALUE_LIST_MAX <= (int)CLUSTER_SEEDS_MAX, "every seed of the configuration fits");

static enum status
compose_told(const char *key, const char *text, const uint8_t ipv4[4], uint16_t port, struct peer_address *address,
    struct error *error)
{
	struct why why;

	endpoint_map_ipv4(address->ip, ipv4);
	address->port = port;
	if (*text && !peer_text_address(text, port, address, &why))
		return error_set(error, STATUS_INVALID, "%s: %s", key, why.text);
	return STATUS_OK;
}

static enum status
compose_floor(const struct config *config, struct core_config *core, struct error *error)
{
	if (mkdir(config->state_dir, 0700) != 0 && errno != EEXIST)
		return error_set(error, STATUS_IO, "state_dir: %s: %s", config->state_dir, strerror(errno));
	snprintf(core->floor_file, sizeof core->floor_file, "%s/%s.epoch", config->state_dir, config->node_id);
	return STATUS_OK;
}

static void
compose_net(const struct config *config, struct neighbour_config *net)
{
	memcpy(net->ipv4, config->ipv4.address, 4);
	net->prefix_len = config->ipv4.len;
	for (uint32_t i = 0; i < config->routes.count; i++) {
		struct neighbour_route *route = &net->routes[net->route_count];
		struct ipv4_prefix network;
		struct why why;

		if (!value_route_parse(config->routes.values[i], &network, route->router, &why))
			continue; /* verified before */
		memcpy(route->network, network.address, 4);
		route->prefix_len = network.len;
		net->route_count++;
	}
	net->has_gateway = *config->gateway && inet_pton(AF_INET, config->gateway, net->gateway) == 1;
}

static void
compose_figures(const struct config *config, struct cluster_config *cluster)
{
	cluster_config_default(cluster);
	cluster_config_interval(cluster, config->cluster_gossip_interval);
	snprintf(cluster->id, sizeof cluster->id, "%s", config->node_id);
	snprintf(cluster->name, sizeof cluster->name, "%s", config->cluster_name);
	cluster->weight = (uint16_t)config->cluster_virtual_nodes;
	cluster->workers = (uint8_t)config->workers;
	cluster->replication = (uint8_t)config->cluster_replication_factor;
	cluster->phi_threshold = config->cluster_phi_threshold;
	cluster->dead_node_removal_enabled = config->cluster_dead_node_removal_enabled;
	cluster->dead_delay_ns = config->cluster_dead_delay;
	if (*config->cluster_rack) /* 0 is no rack, and no id is 0 in both halves */
		cluster->rack = (uint32_t)ring_member_id(config->cluster_rack, strlen(config->cluster_rack)) | 1;
}

enum status
compose_cluster(const struct config *config, struct core_config *core, struct error *error)
{
	struct cluster_config *cluster = &core->cluster;

	memset(core, 0, sizeof *core);
	compose_figures(config, cluster);
	compose_net(config, &core->net);
	core->port = (uint16_t)config->cluster_port;
	if (compose_told("cluster.gossip_addr", config->cluster_gossip_addr, config->ipv4.address,
	    (uint16_t)config->cluster_port, &cluster->address, error) != STATUS_OK ||
	    compose_told("cluster.api_addr", config->cluster_api_addr, config->ipv4.address,
	    (uint16_t)config->native_port, &cluster->api, error) != STATUS_OK ||
	    compose_seeds(config, core, error) != STATUS_OK || secrets_cluster(config, cluster, error) != STATUS_OK)
		return error->status;
	return compose_floor(config, core, error);
}
