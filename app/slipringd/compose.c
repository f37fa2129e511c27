#include "compose.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "compose_cluster.h"
#include "log.h"
#include "preflight.h"
#include "secrets.h"

static bool
is_allowed(const cpu_set_t *allowed, uint32_t cpu)
{
	return cpu < CPU_SETSIZE && CPU_ISSET(cpu, allowed);
}

/* The n-th CPU this process may use, counted from 0. */
static uint32_t
nth_allowed(const cpu_set_t *allowed, uint32_t n)
{
	uint32_t cpu = 0;

	for (;; cpu++)
		if (CPU_ISSET(cpu, allowed) && n-- == 0)
			return cpu;
}

/* The first CPU goes to the control thread and the kernel's housekeeping when there are enough. */
static void
choose_cpus(const struct config *config, const cpu_set_t *allowed, struct io_config *io)
{
	uint32_t count = (uint32_t)CPU_COUNT(allowed), first = count > config->workers;

	for (uint32_t i = 0; i < config->workers; i++)
		io->worker_cpus[i] = config->worker_cpus.count ? config->worker_cpus.values[i] :
		    nth_allowed(allowed, (first + i) % count);
	io->control_cpu = config->control_cpu != NUMBER_AUTO ? config->control_cpu : nth_allowed(allowed, 0);
}

static enum status
compose_cpus(const struct config *config, struct io_config *io, struct error *error)
{
	cpu_set_t allowed;

	if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
		return error_set(error, STATUS_IO, "cannot ask for the allowed CPUs: %s", strerror(errno));
	io->float_lcores = config->float_lcores;
	if (!config->float_lcores && config->workers > (uint32_t)CPU_COUNT(&allowed))
		return error_set(error, STATUS_INVALID, "workers: %u, but only %d CPUs may be used; two workers on one CPU "
		    "stall each other (float_lcores: true if it must be)", config->workers, CPU_COUNT(&allowed));
	choose_cpus(config, &allowed, io);
	for (uint32_t i = 0; i < config->workers; i++)
		if (!is_allowed(&allowed, io->worker_cpus[i]))
			return error_set(error, STATUS_INVALID, "worker_cpus: CPU %u is not one this process may use "
			    "(see Cpus_allowed_list in /proc/self/status)", io->worker_cpus[i]);
	if (!is_allowed(&allowed, io->control_cpu))
		return error_set(error, STATUS_INVALID, "control_cpu: CPU %u is not one this process may use "
		    "(see Cpus_allowed_list in /proc/self/status)", io->control_cpu);
	return STATUS_OK;
}

/* One name for several workers gives each a queue of it (lib/io/device.c). */
static void
compose_interfaces(const struct config *config, struct io_config *io)
{
	for (uint32_t i = 0; i < config->workers && config->interfaces.count; i++)
		snprintf(io->interfaces[i], sizeof io->interfaces[i], "%s",
		    config->interfaces.values[config->interfaces.count == 1 ? 0 : i]);
}

/* A socket's path is short: who has a long run_dir does without this one. */
static void
compose_telemetry(const struct config *config, struct io_config *io)
{
	const size_t most = sizeof ((struct sockaddr_un *)0)->sun_path - sizeof "/dpdk//dpdk_telemetry.v2:1";

	if (strlen(config->run_dir) + strlen(config->node_id) > most || strlen(config->run_dir) >= sizeof io->runtime_dir) {
		log_warn("run_dir and node_id are too long for DPDK's telemetry socket; there is none");
		return;
	}
	snprintf(io->runtime_dir, sizeof io->runtime_dir, "%s", config->run_dir);
	snprintf(io->name, sizeof io->name, "%s", config->node_id);
}

static void
compose_store(const struct config *config, struct store_config *store)
{
	store->shard_count = config->workers;
	store->memory_bytes = config->memory;
	store->items_max = config->items_max;
	store->expected_item_size = config->expected_item_size;
}

static void
listen_on(struct tcp_config *tcp, uint32_t port, enum service service)
{
	tcp->listen[tcp->listen_count].port = (uint16_t)port;
	tcp->listen[tcp->listen_count++].service = (uint8_t)service;
}

static void
compose_tcp(const struct config *config, struct tcp_config *tcp)
{
	tcp_defaults(tcp);
	if (config->memcached_tcp)
		listen_on(tcp, config->memcached_port, SERVICE_MEMCACHED_STREAM);
	if (config->resp_enabled)
		listen_on(tcp, config->resp_port, SERVICE_RESP);
	tcp->zero_window_s = tcp->backlog_s = (uint32_t)(config->tcp_zero_window / NS_PER_SEC);
	tcp->partial_s = (uint32_t)(config->tcp_partial / NS_PER_SEC);
	tcp->connections_max = config->tcp_connections;
	tcp->memory_bytes = config->tcp_memory;
	tcp->per_source_max = config->tcp_per_source;
	tcp->half_open_max = config->tcp_half_open;
	tcp->idle_timeout_s = (uint32_t)(config->tcp_idle_timeout / NS_PER_SEC);
	tcp->keepalive_s = (uint32_t)(config->tcp_keepalive / NS_PER_SEC);
	tcp->wait_max = config->tcp_time_wait;
	tcp->ooo_bytes_max = config->tcp_out_of_order ? config->tcp_out_of_order : config->tcp_memory / 4;
	tcp->resets_per_s = config->tcp_resets;
	tcp->challenges_per_s = config->tcp_challenges;
	tcp->rto_min_us = (uint32_t)(config->tcp_rto_min / NS_PER_US);
}

static void
compose_services(const struct config *config, struct node_config *node)
{
	node->serve.native_port = (uint16_t)config->native_port;
	node->serve.require_auth = config->native_require_auth;
	node->serve.resp_redirect = config->resp_cluster == RESP_REDIRECT;
	node->serve.connections_max = config->tcp_connections;
	node->serve.resp_port = config->resp_enabled ? (uint16_t)config->resp_port : 0;
	node->serve.memcached_port = config->memcached_tcp ? (uint16_t)config->memcached_port : 0;
	node->serve.process_id = (uint64_t)getpid();
	node->echo_port = (uint16_t)config->echo_port;
	compose_tcp(config, &node->tcp);
	if (!config->memcached_udp)
		return;
	node->memcached_port = (uint16_t)config->memcached_port;
	node->serve.memcached_allow_count = config->memcached_allow.count;
	for (uint32_t i = 0; i < config->memcached_allow.count; i++) {
		memcpy(node->serve.memcached_allow[i].ip, config->memcached_allow.values[i].ip, 16);
		node->serve.memcached_allow[i].bits = config->memcached_allow.values[i].len;
	}
}

_Static_assert((int)VALUE_LIST_MAX <= (int)SERVE_PREFIXES_MAX, "every prefix of the configuration fits");

static void
compose_address(const struct config *config, struct node_config *node)
{
	static const uint8_t none[6];

	memcpy(node->ipv4, config->ipv4.address, 4);
	node->ipv4_len = config->ipv4.len;
	node->has_mac = memcmp(config->mac, none, 6) != 0;
	memcpy(node->mac, config->mac, 6);
	node->vlan = (uint16_t)config->vlan;
	node->echoes_per_s = config->icmp_echoes;
	node->unreachables_per_s = config->icmp_unreachables;
	node->ipv6_count = config->ipv6.count ? 1 : 0;
	for (uint32_t i = 0; i < config->ipv6.count && node->ipv6_count < NET_IPV6_MAX; i++) {
		struct ipv6_prefix prefix;
		struct why why;

		if (value_ipv6_prefix_parse(config->ipv6.values[i], &prefix, &why)) /* verified before */
			memcpy(node->ipv6[node->ipv6_count++], prefix.address, 16);
	}
}

/* DPDK's share: packet pools, rings, tables. The budget for items is not part of it. */
static enum status
compose_memory(const struct config *config, struct node_config *node, struct error *error)
{
	node->io.memory_mb = io_memory_mb(&node->io, store_table_bytes(&node->store));
	return preflight_memory(config, (uint64_t)node->io.memory_mb << 20, io_huge_free_bytes(), &node->io.no_huge,
	    error);
}

/* A core of its own thread that shares the worker's CPU makes the two wait for each other's time slices. */
static bool
core_on_worker(const struct config *config, const struct io_config *io)
{
	if (config->cluster_core == CORE_AUTO)
		return io->float_lcores || io->control_cpu == io->worker_cpus[0];
	return config->cluster_core == CORE_WORKER;
}

enum status
compose_node(const struct config *config, const struct io_profile *profile, struct node_config *node,
    struct error *error)
{
	memset(node, 0, sizeof *node);
	snprintf(node->name, sizeof node->name, "%s", config->node_id);
	node->io.worker_count = config->workers;
	node->io.profile = *profile;
	node->idle = config->idle == IDLE_BUSY ? WORKER_BUSY : WORKER_ADAPTIVE;
	node->idle_polls = config->idle_polls;
	node->idle_sleep_ms = (uint32_t)(config->idle_sleep / NS_PER_MS);
	node->serve.version = SLIPRING_VERSION;
	node->serve.start_wall_ms = (uint64_t)time(NULL) * MS_PER_SEC;
	compose_interfaces(config, &node->io);
	compose_telemetry(config, &node->io);
	compose_store(config, &node->store);
	compose_services(config, node);
	compose_address(config, node);
	if (secrets_native(config, &node->serve, error) != STATUS_OK || secrets_resp(config, &node->serve, error) != STATUS_OK ||
	    secrets_memcached(config, &node->serve, error) != STATUS_OK)
		return error->status;
	node->cluster = config->cluster_enabled;
	if (node->cluster && compose_cluster(config, &node->core, error) != STATUS_OK)
		return error->status;
	if (compose_cpus(config, &node->io, error) != STATUS_OK)
		return error->status;
	node->core.on_worker = core_on_worker(config, &node->io);
	return compose_memory(config, node, error);
}
