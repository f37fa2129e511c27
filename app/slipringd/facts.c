#include "slipringd/facts.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <arpa/inet.h>

#include "base/check.h"
#include "io/io.h"
#include "slipringd/value.h"

/* What becomes of large values, by enum port_tails. */
static const char *const tails[] = {
	[PORT_TAILS_REFERRED] = "referred", [PORT_TAILS_OFF] = "copied:profile",
	[PORT_TAILS_DRIVER] = "copied:driver", [PORT_TAILS_MEMORY] = "copied:memory",
};

void
facts_worker(const struct node_config *config, const struct port_info *port, uint32_t worker,
    struct facts_worker *facts)
{
	facts->lcore = worker + 1; /* lcore 0 is the control core (lib/io/eal.c) */
	facts->port = port->port;
	/* A vdev has one queue of its own; the interface's is what an operator knows. */
	facts->queue = io_queue_of(&config->io, worker);
	facts->numa = port->numa_node;
	facts->cycles_hz = io_cycles_hz();
	if (config->io.float_lcores)
		snprintf(facts->cpus, sizeof facts->cpus, "0-%ld", sysconf(_SC_NPROCESSORS_ONLN) - 1);
	else
		snprintf(facts->cpus, sizeof facts->cpus, "%u", config->io.worker_cpus[worker]);
	snprintf(facts->device, sizeof facts->device, "%s", port->device);
	snprintf(facts->driver, sizeof facts->driver, "%s", port->driver);
	snprintf(facts->interface, sizeof facts->interface, "%s", port->interface[0] ? port->interface : "-");
	facts->large_values = tails[port->tails];
	value_mac_print(config->mac, facts->mac, sizeof facts->mac);
}

/* One of our addresses with a port: 0 is the IPv4 one. */
static void
print_address(const struct node_config *config, uint8_t local, uint32_t port, char *text, size_t size)
{
	const uint8_t *ip = config->ipv4;
	char ipv6[INET6_ADDRSTRLEN];

	if (local == 0) {
		snprintf(text, size, "%u.%u.%u.%u:%u", ip[0], ip[1], ip[2], ip[3], port);
		return;
	}
	inet_ntop(AF_INET6, config->ipv6[local - 1], ipv6, sizeof ipv6);
	snprintf(text, size, "[%s]:%u", ipv6, port);
}

/* A service on each of our addresses. Returns how many. */
static uint32_t
add_sockets(const struct node_config *config, const char *protocol, uint32_t port, const char *service,
    const char *detail, struct facts_socket *sockets)
{
	if (port == 0)
		return 0;
	for (uint8_t local = 0; local <= config->ipv6_count; local++) {
		struct facts_socket *socket = &sockets[local];

		snprintf(socket->protocol, sizeof socket->protocol, "%s", protocol);
		print_address(config, local, port, socket->local, sizeof socket->local);
		snprintf(socket->service, sizeof socket->service, "%s", service);
		snprintf(socket->detail, sizeof socket->detail, "%s", detail);
	}
	return 1u + config->ipv6_count;
}

uint32_t
facts_sockets(const struct node_config *config, struct facts_socket sockets[FACTS_SOCKETS_MAX])
{
	uint32_t count = 0;
	char detail[24];

	CHECK(config->io.worker_count <= WORKER_MAX);
	for (uint32_t i = 0; i < config->io.worker_count; i++) {
		snprintf(detail, sizeof detail, "worker %u", i);
		count += add_sockets(config, "udp", config->serve.native_port + i, "native", detail, &sockets[count]);
	}
	count += add_sockets(config, "udp", config->memcached_port, "memcached", "all workers", &sockets[count]);
	count += add_sockets(config, "udp", config->echo_port, "echo", "all workers", &sockets[count]);
	for (uint32_t i = 0; i < config->tcp.listen_count; i++)
		count += add_sockets(config, "tcp", config->tcp.listen[i].port,
		    config->tcp.listen[i].service == SERVICE_RESP ? "resp" : "memcached", "all workers", &sockets[count]);
	return count;
}

static void __attribute__((format(printf, 4, 5)))
print(char *text, size_t size, size_t *at, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	*at += (size_t)vsnprintf(text + *at, size - *at, format, arguments);
	va_end(arguments);
	CHECK(*at < size); /* sizes in facts.h hold the longest */
}

void
facts_print_worker(const struct facts_worker *facts, uint32_t worker, char *text, size_t size, size_t *at)
{
	print(text, size, at, "worker%u_lcore %u\nworker%u_cpus %s\nworker%u_numa %d\nworker%u_port %u\n", worker,
	    facts->lcore, worker, facts->cpus, worker, facts->numa, worker, facts->port);
	print(text, size, at, "worker%u_queue %u\nworker%u_interface %s\nworker%u_device %s\nworker%u_driver %s\n", worker,
	    facts->queue, worker, facts->interface, worker, facts->device, worker, facts->driver);
	print(text, size, at, "worker%u_mac %s\nworker%u_large_values %s\nworker%u_cycles_hz %llu\n", worker, facts->mac, worker,
	    facts->large_values, worker, (unsigned long long)facts->cycles_hz);
}

void
facts_print_sockets(const struct node_config *config, char *text, size_t size)
{
	struct facts_socket sockets[FACTS_SOCKETS_MAX];
	uint32_t count = facts_sockets(config, sockets);
	size_t at = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < count; i++)
		print(text, size, &at, "%s/%s %s %s\n", sockets[i].protocol, sockets[i].local, sockets[i].service,
		    sockets[i].detail);
}
