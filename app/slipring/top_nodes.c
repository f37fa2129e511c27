#include "top_nodes.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "clock.h"

enum { NODES_MAX = 64, DEADLINE_US = 600000, TRY_US = 150000, STATE_DEAD = 3, STATE_LEFT = 6 };

struct top_nodes {
	struct cli *cli; /* whose handle knows the nodes */
	uint32_t count;
	struct one {
		char where[80]; /* "10.9.0.1:7411" */
		uint8_t state;
		bool listed;
		struct cli cli; /* with a handle of its own */
	} list[NODES_MAX];
};

static const char *
state_name(uint8_t state)
{
	static const char *const names[] = { "unknown", "Alive", "Suspected", "Dead", "Joining", "Leaving", "Left" };

	return names[state <= STATE_LEFT ? state : 0];
}

static struct slipring *
open_one(const struct top_nodes *nodes, const struct slipring_node *node)
{
	struct slipring_options options = nodes->cli->options;

	options.port = node->port;
	options.deadline_us = DEADLINE_US;
	options.try_timeout_us = TRY_US;
	return slipring_open(node->host, &options);
}

/* "10.9.0.1:7411", though it was named n1 on the command line: nodes say by addresses where they listen. */
static void
print_where(const struct slipring_node *node, char where[80])
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM };
	char address[64] = "";
	struct addrinfo *found;

	if (getaddrinfo(node->host, NULL, &hints, &found) == 0) {
		getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof address, NULL, 0, NI_NUMERICHOST);
		freeaddrinfo(found);
	}
	if (!address[0])
		snprintf(address, sizeof address, "%.63s", node->host);
	cli_print_place(where, 80, address, node->port);
}

/* The entry of a node, a new one when it is new; NULL: there are too many. */
static struct one *
find(struct top_nodes *nodes, const struct slipring_node *node)
{
	char where[80];
	struct one *one;

	print_where(node, where);
	for (uint32_t i = 0; i < nodes->count; i++)
		if (strcmp(nodes->list[i].where, where) == 0)
			return &nodes->list[i];
	if (nodes->count == NODES_MAX)
		return NULL;
	one = &nodes->list[nodes->count];
	*one = (struct one){ .cli = *nodes->cli };
	memcpy(one->where, where, sizeof where);
	one->cli.cache = open_one(nodes, node);
	nodes->count += one->cli.cache != NULL;
	return one->cli.cache ? one : NULL;
}

static int
by_address(const void *a, const void *b)
{
	return strverscmp(((const struct one *)a)->where, ((const struct one *)b)->where);
}

/* Members come and go while we look. */
static void
refresh(struct top_nodes *nodes)
{
	struct slipring_node known[NODES_MAX];
	size_t count = slipring_nodes(nodes->cli->cache, known, NODES_MAX);

	for (uint32_t i = 0; i < nodes->count; i++)
		nodes->list[i].listed = false;
	for (size_t i = 0; i < count && i < NODES_MAX; i++) {
		struct one *one = known[i].state ? find(nodes, &known[i]) : NULL;

		if (!one)
			continue;
		one->listed = known[i].state != STATE_LEFT;
		one->state = known[i].state;
	}
	qsort(nodes->list, nodes->count, sizeof nodes->list[0], by_address);
}

struct top_nodes *
top_nodes_open(struct cli *cli)
{
	struct slipring_cluster cluster;
	struct top_nodes *nodes;

	slipring_cluster(cli->cache, &cluster);
	if (cluster.member_count < 2)
		return NULL;
	nodes = calloc(1, sizeof *nodes);
	if (nodes)
		nodes->cli = cli;
	return nodes;
}

void
top_nodes_close(struct top_nodes *nodes)
{
	for (uint32_t i = 0; nodes && i < nodes->count; i++)
		slipring_close(nodes->list[i].cli.cache);
	free(nodes);
}

/* Whether what this handle is told comes from the node itself. */
static bool
is_itself(struct one *one)
{
	enum slipring_status status;
	json_t *sockets = stats_object(&one->cli, "sockets", &status);
	char socket[96];
	bool itself;

	snprintf(socket, sizeof socket, "udp/%s", one->where);
	itself = json_object_get(sockets, socket) != NULL;
	json_decref(sockets);
	return itself;
}

static json_t *
look_at(struct one *one)
{
	json_t *object = json_pack("{s:s, s:s}", "node", one->where, "status", state_name(one->state));
	json_t *stats = NULL, *workers = NULL;
	enum slipring_status status = SLIPRING_TIMEOUT;
	uint64_t start, rtt_ns = 0;

	if (one->state != STATE_DEAD && slipring_ping(one->cli.cache, 0) == SLIPRING_OK) {
		start = clock_ns();
		slipring_ping(one->cli.cache, 0); /* the first one may have had to prove our address */
		rtt_ns = clock_ns() - start;
		stats = stats_object(&one->cli, "", &status);
		if (stats)
			workers = stats_workers(&one->cli, &status);
	}
	if (status == SLIPRING_OK && is_itself(one)) {
		json_set_number(object, "rtt_us", rtt_ns / 1000);
		json_set_number(object, "taken_ns", clock_ns());
		json_object_set(object, "stats", stats);
		json_object_set(object, "workers", workers);
	} else {
		json_set_text(object, "error", "no answer");
	}
	json_decref(stats);
	json_decref(workers);
	return object;
}

json_t *
top_nodes_look(struct top_nodes *nodes)
{
	json_t *list = json_array();

	refresh(nodes);
	for (uint32_t i = 0; i < nodes->count; i++)
		if (nodes->list[i].listed)
			json_array_append_new(list, look_at(&nodes->list[i]));
	return list;
}
