/* Opening and closing ports. */
#include "io/port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "io/device.h"
#include "io/pool.h"
#include "io/tail.h"

/* Devices of these drivers can wake a sleeper; the others' sockets can, or nothing. */
static bool
may_interrupt(const struct port *port)
{
	return strcmp(port->driver, "net_virtio_user") == 0 || strcmp(port->driver, "pci") == 0;
}

/* Asks for RX interrupts where there may be some; a device that has none after all does without. */
static int
configure(struct port *port, uint16_t queues, struct rte_eth_conf *conf)
{
	int rc = -ENOTSUP;

	conf->intr_conf.rxq = may_interrupt(port);
	if (conf->intr_conf.rxq)
		rc = rte_eth_dev_configure(port->id, queues, queues, conf);
	if (rc != 0) {
		conf->intr_conf.rxq = 0;
		rc = rte_eth_dev_configure(port->id, queues, queues, conf);
	}
	return rc;
}

#define CHECKSUMS (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM)

/* What the device is used for, of what it offers; the same for every queue of it. */
static int
decide(struct port *port, const struct io_config *config, struct rte_eth_dev_info *info)
{
	int rc = rte_eth_dev_info_get(port->id, info);

	if (rc == 0) {
		port->tx_checksum = config->profile.checksum_offload && (info->tx_offload_capa & CHECKSUMS) == CHECKSUMS;
		port->tails = tail_decide(config, info);
	}
	return rc;
}

static enum status
configure_device(struct port *port, const struct io_config *config, struct error *error)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf = { 0 };
	uint16_t queues = (uint16_t)device_queues(config, port->worker);
	int rc = decide(port, config, &info);

	if (rc == 0 && port->owns_device) {
		if (port->tx_checksum)
			conf.txmode.offloads |= CHECKSUMS;
		if (port->tails == PORT_TAILS_REFERRED)
			conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
		if (queues > 1) {
			conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
			conf.rx_adv_conf.rss_conf.rss_hf =
			    (RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP) & info.flow_type_rss_offloads;
		}
		rc = configure(port, queues, &conf);
	}
	if (rc != 0)
		return error_set(error, STATUS_UNAVAILABLE, "interface %s: %s refused %u queue(s): %s",
		    port->interface, port->driver, queues, rte_strerror(-rc));
	return STATUS_OK;
}

/* After configure_device(), which knows what the port will do. */
static ON_MAIN enum status
create_pools(struct port *port, const struct io_config *config, struct error *error)
{
	char name[32];

	snprintf(name, sizeof name, "pkt%u", port->worker);
	port->pool = pool_create(name, config->profile.driver, config->profile.mbufs);
	if (port->pool && port->tails == PORT_TAILS_REFERRED)
		port->tail_pool = tail_pool_create(&config->profile, port->worker);
	if (port->pool && (port->tail_pool || port->tails != PORT_TAILS_REFERRED))
		return STATUS_OK;
	return error_set(error, STATUS_NO_MEMORY,
	    "no memory for %u packet buffers of worker %u (%s): free huge pages "
	    "(sysctl -w vm.nr_hugepages=N), or set huge_pages: no",
	    config->profile.mbufs, port->worker, rte_strerror(rte_errno));
}

static enum status
setup_queue(struct port *port, const struct io_config *config, struct error *error)
{
	uint16_t rx = config->profile.rx_descriptors, tx = config->profile.tx_descriptors;
	int rc = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &rx, &tx);

	if (rc == 0)
		rc = rte_eth_rx_queue_setup(port->id, port->queue, rx, SOCKET_ID_ANY, NULL, port->pool);
	if (rc == 0)
		rc = rte_eth_tx_queue_setup(port->id, port->queue, tx, SOCKET_ID_ANY, NULL);
	if (rc != 0)
		return error_set(error, STATUS_UNAVAILABLE,
		    "interface %s queue %u: %s could not set up its queues (%s); is another process "
		    "attached to it? (ip link show %s; ip link set %s xdp off)",
		    port->interface, port->queue, port->driver, rte_strerror(-rc),
		    port->interface, port->interface);
	return STATUS_OK;
}

/* AF_XDP and AF_PACKET ports have a socket to poll, which the PMD does not tell:
 * it is the one that appeared while the port was set up. */
static bool
is_device_socket(int fd)
{
	int domain;
	socklen_t len = sizeof domain;

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	    (domain == AF_PACKET || domain == 44 /* AF_XDP */);
}

enum { FD_SCAN_MAX = 1024 };

static void
mark_sockets(bool *seen)
{
	for (int fd = 0; fd < FD_SCAN_MAX; fd++)
		seen[fd] = is_device_socket(fd);
}

static int
new_socket(const bool *seen)
{
	int found = -1;

	for (int fd = 0; fd < FD_SCAN_MAX; fd++)
		if (is_device_socket(fd) && !seen[fd])
			found = fd;
	return found;
}

/* AF_PACKET's sockets exist since probing: the worker-th one is ours. */
static int
nth_socket(uint32_t n)
{
	for (int fd = 0; fd < FD_SCAN_MAX; fd++)
		if (is_device_socket(fd) && n-- == 0)
			return fd;
	return -1;
}

static ON_MAIN enum status
start(struct port *port, const struct io_config *config, struct error *error)
{
	bool seen[FD_SCAN_MAX];
	enum status status;
	int rc = 0;

	mark_sockets(seen);
	status = configure_device(port, config, error);
	if (status == STATUS_OK)
		status = create_pools(port, config, error);
	if (status == STATUS_OK)
		status = setup_queue(port, config, error);
	if (status != STATUS_OK)
		return status;
	/* A shared device starts when its last queue is set up. */
	if (port->queue + 1u == device_queues(config, port->worker))
		rc = rte_eth_dev_start(port->id);
	if (rc != 0)
		return error_set(error, STATUS_UNAVAILABLE, "interface %s: %s did not start: %s",
		    port->interface, port->driver, rte_strerror(-rc));
	rte_eth_promiscuous_enable(port->id); /* refused by some vdevs, which see everything anyway */
	rte_eth_allmulticast_enable(port->id); /* virtual functions may not be promiscuous; IPv6's groups must come through */
	port->fd = new_socket(seen);
	if (port->fd < 0 && may_interrupt(port)) {
		port->fd = rte_eth_dev_rx_intr_ctl_q_get_fd(port->id, port->queue);
		port->interrupts = port->fd >= 0;
	}
	if (port->fd < 0 && strcmp(port->driver, "net_af_packet") == 0)
		port->fd = nth_socket(port->worker);
	return STATUS_OK;
}

static void
fill_names(struct port *port, const struct io_config *config, uint32_t worker)
{
	port->worker = worker;
	port->owns_device = !device_is_shared(config, worker);
	port->queue = device_queues(config, worker) > 1 ? (uint16_t)io_queue_of(config, worker) : 0;
	snprintf(port->driver, sizeof port->driver, "%s", config->profile.driver);
	snprintf(port->interface, sizeof port->interface, "%s", config->interfaces[worker]);
}

struct port *
port_open(const struct io_config *config, uint32_t worker, uint8_t mac[6], struct error *error)
{
	struct port *port = calloc(1, sizeof *port);
	char name[DEVICE_NAME_SIZE];
	struct rte_ether_addr address;

	if (!port) {
		error_set(error, STATUS_NO_MEMORY, "no memory for a port");
		return NULL;
	}
	fill_names(port, config, worker);
	device_name(config, worker, name);
	if (rte_eth_dev_get_port_by_name(name, &port->id) != 0) {
		error_set(error, STATUS_UNAVAILABLE,
		    "interface %s: no device %s; is it bound to a driver DPDK can use "
		    "(dpdk-devbind.py --status)?", port->interface, name);
		goto fail;
	}
	if (start(port, config, error) != STATUS_OK)
		goto fail;
	rte_eth_macaddr_get(port->id, &address);
	memcpy(mac, address.addr_bytes, 6);
	return port;
fail:
	rte_mempool_free(port->tail_pool);
	rte_mempool_free(port->pool);
	free(port);
	return NULL;
}

void
port_stop(struct port *port)
{
	if (port->owns_device && !port->stopped) {
		rte_eth_dev_stop(port->id);
		rte_eth_dev_close(port->id);
	}
	port->stopped = true;
}

void
port_close(struct port *port)
{
	port_stop(port);
	rte_mempool_free(port->tail_pool);
	rte_mempool_free(port->pool);
	free(port);
}

void
port_info(const struct port *port, struct port_info *info)
{
	struct rte_eth_stats stats = { 0 };

	memset(info, 0, sizeof *info);
	rte_eth_dev_get_name_by_port(port->id, info->device);
	memcpy(info->driver, port->driver, sizeof info->driver);
	memcpy(info->interface, port->interface, sizeof info->interface);
	info->port = port->id;
	info->queue = port->queue;
	info->numa_node = rte_eth_dev_socket_id(port->id);
	info->tails = port->tails;
	info->tx_checksum = port->tx_checksum;
	rte_eth_stats_get(port->id, &stats);
	info->rx_missed = stats.imissed;
	info->rx_nombuf = stats.rx_nombuf;
	info->tx_errors = stats.oerrors;
}
