/* Rules between keys. Each names the key whose line is to be changed. */
#include <stdarg.h>
#include <string.h>
#include <arpa/inet.h>

#include "config.h"
#include "control/listen.h"
#include "net/neighbour.h"
#include "net/net.h"
#include "peer_text.h"

struct verify {
	const struct schema *schema;
	const struct config *config;
	struct problems *problems;
};

/* "place: path: text" for a key; one that was given nowhere has no place. */
static void __attribute__((format(printf, 3, 4)))
complain(const struct verify *verify, enum config_key key, const char *format, ...)
{
	char place[PLACE_SIZE], text[260];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	config_place(verify->config, verify->schema, key, place, sizeof place);
	if (verify->config->origins[key].source == SOURCE_DEFAULT)
		problems_add(verify->problems, false, "%s: %s", verify->schema->keys[key].path, text);
	else
		problems_add(verify->problems, false, "%s: %s: %s", place, verify->schema->keys[key].path, text);
}

static void
verify_interfaces(const struct verify *verify)
{
	const struct texts *list = &verify->config->interfaces;
	uint32_t workers = verify->config->workers;

	if (list->count > 1 && list->count != workers)
		complain(verify, CONFIG_interfaces, "%u interfaces for %u workers; give one for each worker "
		    "(the same again for another of its queues), or one for all", list->count, workers);
}

static void
verify_cpus(const struct verify *verify)
{
	const struct numbers *list = &verify->config->worker_cpus;

	if (list->count && list->count != verify->config->workers)
		complain(verify, CONFIG_worker_cpus, "%u CPUs for %u workers; give one for each, or none",
		    list->count, verify->config->workers);
	for (uint32_t i = 0; i < list->count && !verify->config->float_lcores; i++)
		for (uint32_t j = 0; j < i; j++)
			if (list->values[i] == list->values[j])
				complain(verify, CONFIG_worker_cpus, "CPU %u is listed twice; two workers on one CPU "
				    "stall each other (float_lcores: true if it must be)", list->values[i]);
}

static void
verify_ports(const struct verify *verify)
{
	const struct config *config = verify->config;
	uint32_t last = config->native_port + config->workers - 1;

	if (last > 65535)
		complain(verify, CONFIG_native_port, "%u workers need ports %u..%u, and there are none past 65535",
		    config->workers, config->native_port, last);
	if (config->memcached_udp && config->memcached_port >= config->native_port &&
	    config->memcached_port <= last)
		complain(verify, CONFIG_memcached_port, "%u is one of the native ports %u..%u",
		    config->memcached_port, config->native_port, last);
	if (config->echo_port >= config->native_port && config->echo_port <= last)
		complain(verify, CONFIG_echo_port, "%u is one of the native ports %u..%u",
		    config->echo_port, config->native_port, last);
	if (config->memcached_udp && config->echo_port == config->memcached_port)
		complain(verify, CONFIG_echo_port, "%u is memcached.port too", config->echo_port);
	if (config->memcached_tcp && config->resp_enabled && config->resp_port == config->memcached_port)
		complain(verify, CONFIG_resp_port, "%u is memcached.port too; one TCP port speaks one protocol", config->resp_port);
}

static void
verify_memory(const struct verify *verify)
{
	char memory[32], ram[32];
	uint64_t ram_bytes = verify->schema->ram_bytes;

	if (verify->config->memory <= ram_bytes)
		return;
	value_size_print(verify->config->memory, memory, sizeof memory);
	value_size_print(ram_bytes >> 20 << 20, ram, sizeof ram);
	complain(verify, CONFIG_memory, "%s is more than the machine's RAM of %s; try 50%%", memory, ram);
}

/* Less than a connection's own bound, or more than there is to share, is a slip of the pen. */
static void
verify_tcp(const struct verify *verify)
{
	enum { CONNECTION_BYTES = 65536 };
	const struct config *config = verify->config;
	char given[32], memory[32];

	value_size_print(config->tcp_out_of_order, given, sizeof given);
	value_size_print(config->tcp_memory, memory, sizeof memory);
	if (config->tcp_out_of_order > config->tcp_memory)
		complain(verify, CONFIG_tcp_out_of_order, "%s is more than tcp.memory (%s), of which it is a part", given, memory);
	else if (config->tcp_out_of_order && config->tcp_out_of_order < CONNECTION_BYTES)
		complain(verify, CONFIG_tcp_out_of_order, "%s is less than one connection may need (64K); 0 gives a quarter of tcp.memory",
		    given);
}

static void
verify_access(const struct verify *verify)
{
	const struct config *config = verify->config;

	if (!config->ipv4.len)
		complain(verify, CONFIG_ipv4, "not given; the node needs an address to answer on: "
		    "ipv4: 10.9.0.1/24 in the configuration, or --ipv4 10.9.0.1/24");
	if (config->memcached_udp && !config->memcached_allow.count)
		complain(verify, CONFIG_memcached_udp, "memcached.allow is empty, so nobody would be answered; "
		    "list the clients' networks");
	if (config->native_require_auth && !*config->native_shared_key_file)
		complain(verify, CONFIG_native_require_auth, "native.shared_key_file is empty, so nobody could "
		    "authenticate; make a key: head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \\n'");
}

/* Whoever can reach the control plane can change the node: no way in without a token, none in clear text. */
static void
verify_control(const struct verify *verify)
{
	const struct config *config = verify->config;
	struct sockaddr_storage address;

	if (*config->control_tls_cert && !*config->control_tls_key)
		complain(verify, CONFIG_control_tls_cert, "control.tls_key is empty; a certificate needs its key");
	if (*config->control_tls_key && !*config->control_tls_cert)
		complain(verify, CONFIG_control_tls_key, "control.tls_cert is empty; a key needs its certificate");
	if (*config->control_tls_client_ca && !*config->control_tls_cert)
		complain(verify, CONFIG_control_tls_client_ca, "control.tls_cert is empty; clients show certificates only over TLS");
	if (!*config->control_listen)
		return;
	if (!listen_parse(config->control_listen, &address)) {
		complain(verify, CONFIG_control_listen, "'%s' is not an address and port such as 127.0.0.1:7480 or [::1]:7480",
		    config->control_listen);
		return;
	}
	if (!*config->control_tokens_file)
		complain(verify, CONFIG_control_listen, "control.tokens_file is empty, so nobody could be let in");
	if (!listen_is_loopback(&address) && !*config->control_tls_cert && !config->control_insecure)
		complain(verify, CONFIG_control_listen, "others can reach %s, and tokens would travel in clear text; give "
		    "control.tls_cert and control.tls_key (control.insecure: true if it must be)", config->control_listen);
}

static bool
is_near(const struct ipv4_prefix *prefix, const uint8_t ip[4])
{
	uint32_t differs = 0;

	for (int i = 0; i < 4; i++)
		differs = differs << 8 | (uint32_t)(prefix->address[i] ^ ip[i]);
	return prefix->len == 0 || differs >> (32 - prefix->len) == 0;
}

static void
verify_gateway(const struct verify *verify)
{
	const struct config *config = verify->config;
	uint8_t gateway[4], ipv6[16];

	if (!*config->gateway)
		return;
	if (inet_pton(AF_INET6, config->gateway, ipv6) == 1)
		complain(verify, CONFIG_gateway, "'%s' is an IPv6 address, and no IPv6 router needs to be named: nodes speak to each other "
		    "by IPv4, and clients are answered by the way they came", config->gateway);
	else if (inet_pton(AF_INET, config->gateway, gateway) != 1)
		complain(verify, CONFIG_gateway, "'%s' is not an IPv4 address", config->gateway);
	else if (!is_near(&config->ipv4, gateway) || memcmp(gateway, config->ipv4.address, 4) == 0)
		complain(verify, CONFIG_gateway, "%s is %s; a router is another host of ipv4's network", config->gateway,
		    is_near(&config->ipv4, gateway) ? "this node's own address" : "outside ipv4's network");
}

static void
verify_routes(const struct verify *verify)
{
	const struct config *config = verify->config;

	for (uint32_t i = 0; i < config->routes.count; i++) {
		const char *text = config->routes.values[i];
		struct ipv4_prefix network;
		uint8_t router[4];
		struct why why;

		if (!value_route_parse(text, &network, router, &why))
			complain(verify, CONFIG_routes, "%s", why.text);
		else if (!is_near(&config->ipv4, router) || memcmp(router, config->ipv4.address, 4) == 0)
			complain(verify, CONFIG_routes, "the router of '%s' is not another host of ipv4's network", text);
	}
}

_Static_assert((int)VALUE_LIST_MAX <= (int)NEIGHBOUR_ROUTES_MAX, "every route of the configuration fits");

static void
verify_ipv6(const struct verify *verify)
{
	const struct texts *texts = &verify->config->ipv6;
	struct ipv6_prefix prefixes[VALUE_LIST_MAX];
	struct why why;

	if (texts->count >= NET_IPV6_MAX)
		complain(verify, CONFIG_ipv6, "%u addresses are more than %d", texts->count, NET_IPV6_MAX - 1);
	for (uint32_t i = 0; i < texts->count; i++) {
		if (!value_ipv6_prefix_parse(texts->values[i], &prefixes[i], &why)) {
			complain(verify, CONFIG_ipv6, "%s", why.text);
			return;
		}
		for (uint32_t j = 0; j < i; j++)
			if (memcmp(prefixes[i].address, prefixes[j].address, 16) == 0)
				complain(verify, CONFIG_ipv6, "'%s' is given twice", texts->values[i]);
	}
}

static void
verify_told(const struct verify *verify, enum config_key key, const char *text)
{
	struct peer_address address;
	struct why why;

	if (*text && !peer_text_address(text, 1, &address, &why))
		complain(verify, key, "%s", why.text);
}

static void
verify_seeds(const struct verify *verify)
{
	const struct config *config = verify->config;
	struct peer_text peer;
	struct why why;

	for (uint32_t i = 0; i < config->cluster_seed_nodes.count; i++)
		if (!peer_text_parse(config->cluster_seed_nodes.values[i], (uint16_t)config->cluster_port, &peer, &why))
			complain(verify, CONFIG_cluster_seed_nodes, "%s", why.text);
}

static void
verify_cluster_port(const struct verify *verify)
{
	const struct config *config = verify->config;
	uint32_t port = config->cluster_port;

	if (port >= config->native_port && port < config->native_port + config->workers)
		complain(verify, CONFIG_cluster_port, "%u is one of the native ports", port);
	if ((config->memcached_udp && port == config->memcached_port) || port == config->echo_port)
		complain(verify, CONFIG_cluster_port, "%u is %s too", port,
		    port == config->echo_port ? "echo.port" : "memcached.port");
}

/* Whoever has the key can join, read and write: none, or one that others can read, must be meant. */
static void
verify_cluster(const struct verify *verify)
{
	const struct config *config = verify->config;

	verify_gateway(verify);
	verify_routes(verify);
	verify_ipv6(verify);
	if (config->cluster_read_repair_enabled)
		complain(verify, CONFIG_cluster_read_repair_enabled, "there is no read repair in this release: a key's data has "
		    "one owner; leave it false");
	if (!config->cluster_enabled)
		return;
	if (!*config->cluster_key_file && !config->cluster_insecure)
		complain(verify, CONFIG_cluster_enabled, "cluster.key_file is empty, so anybody could join; make a key: head -c 32 "
		    "/dev/urandom | od -An -tx1 | tr -d ' \\n' (cluster.insecure: true if it must be)");
	if (*config->cluster_key_file && config->cluster_insecure)
		complain(verify, CONFIG_cluster_insecure, "a key is given too (cluster.key_file): say one or the other");
	if (*config->cluster_previous_key_file && !*config->cluster_key_file)
		complain(verify, CONFIG_cluster_previous_key_file, "cluster.key_file is empty; the present key comes first");
	verify_told(verify, CONFIG_cluster_gossip_addr, config->cluster_gossip_addr);
	verify_told(verify, CONFIG_cluster_api_addr, config->cluster_api_addr);
	verify_seeds(verify);
	verify_cluster_port(verify);
}

/* The control socket's name follows from run_dir and node_id unless it is given. */
static void
verify_socket(const struct verify *verify, struct config *config)
{
	char path[VALUE_TEXT_SIZE + VALUE_NAME_SIZE + 8];

	if (*config->control_socket)
		return;
	snprintf(path, sizeof path, "%s/%s.sock", config->run_dir, config->node_id);
	if (strlen(path) > verify->schema->keys[CONFIG_control_socket].max)
		complain(verify, CONFIG_run_dir, "%s is too long a name for a socket", path);
	else
		memcpy(config->control_socket, path, strlen(path) + 1);
}

void
config_verify(const struct schema *schema, struct config *config, struct problems *problems)
{
	struct verify verify = { schema, config, problems };

	verify_socket(&verify, config);
	if (problems->errors)
		return; /* values that were refused hold defaults: rules about them would mislead */
	verify_interfaces(&verify);
	verify_access(&verify);
	verify_control(&verify);
	verify_cpus(&verify);
	verify_memory(&verify);
	verify_tcp(&verify);
	verify_ports(&verify);
	verify_cluster(&verify);
}
