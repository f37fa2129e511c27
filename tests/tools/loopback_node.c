/*
 * loopback_node.c - a node on loopback UDP sockets, for tests of the client side.
 *
 * Purpose: the real lib/serve and lib/store, on model leaves, without DPDK, root
 *   or a lab; every worker is a socket and takes its turn in one thread. A shim
 *   between socket and serve loses, doubles and reorders datagrams both ways from a
 *   seed, so that a failing run can be repeated.
 * Usage: loopback_node [--port N] [--workers N] [--memory-mb N] [--key-file FILE]
 *   [--loss PERCENT] [--duplicate PERCENT] [--reorder PERCENT] [--seed N]
 *   Prints "ready PORT" when it answers; ends with its parent or on SIGTERM.
 *   Binds 127.0.0.1 only; port 0 (the default) takes free ones, one after another.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/prng.h"
#include "seal/seal.h"
#include "serve/serve.h"
#include "store/reclaim.h"

enum { SPARES = 256, PACKET_SIZE = 2048, MAIL_MAX = 2 * DEFERRED_MAX * WORKER_MAX, HELD_MAX = 8 };

struct packet {
	uint8_t bytes[PACKET_SIZE];
};

/* A datagram kept back, to be overtaken by later ones. */
struct held {
	uint8_t bytes[UDP_PAYLOAD_MAX];
	uint16_t len;
	struct endpoint peer;
	uint32_t wait; /* datagrams that may still overtake it */
};

struct shim {
	double loss, duplicate, reorder; /* 0..1 */
	struct prng prng;
	struct held held[HELD_MAX];
};

struct worker {
	int fd;
	uint16_t port;
	struct serve *serve;
	struct counters counters;
	struct deferred *mails[MAIL_MAX];
	uint32_t mail_first, mail_count;
	struct shim in, out;
};

struct node {
	struct worker workers[WORKER_MAX];
	uint32_t worker_count;
	struct burst burst;
	struct pkt spare_pkts[SPARES], rx_pkts[BURST_MAX];
	struct packet spare_bytes[SPARES], rx_bytes[BURST_MAX];
	uint32_t received;
};

static volatile sig_atomic_t stopping;

static void
on_signal(int number)
{
	(void)number;
	stopping = 1;
}

static struct now
now_read(void)
{
	struct timespec mono, wall;

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &wall);
	return (struct now){ (uint64_t)mono.tv_sec * NS_PER_SEC + (uint64_t)mono.tv_nsec,
		(uint64_t)wall.tv_sec * MS_PER_SEC + (uint64_t)wall.tv_nsec / NS_PER_MS };
}

typedef void (*shim_pass)(struct node *node, struct worker *worker, const uint8_t *bytes, uint16_t len,
    const struct endpoint *peer);

static bool
chance(struct shim *shim, double probability)
{
	return probability > 0 && prng_unit(&shim->prng) < probability;
}

/* Lets out what has been overtaken often enough; `all` when the line is quiet. */
static void
shim_release(struct node *node, struct worker *worker, struct shim *shim, shim_pass pass, bool all)
{
	for (uint32_t i = 0; i < HELD_MAX; i++) {
		struct held *held = &shim->held[i];

		if (held->len == 0 || (!all && --held->wait > 0))
			continue;
		pass(node, worker, held->bytes, held->len, &held->peer);
		held->len = 0;
	}
}

static bool
shim_hold(struct shim *shim, const uint8_t *bytes, uint16_t len, const struct endpoint *peer)
{
	for (uint32_t i = 0; i < HELD_MAX; i++) {
		struct held *held = &shim->held[i];

		if (held->len != 0)
			continue;
		memcpy(held->bytes, bytes, len);
		held->len = len;
		held->peer = *peer;
		held->wait = 2 + (uint32_t)prng_below(&shim->prng, 6);
		return true;
	}
	return false;
}

static void
shim_take(struct node *node, struct worker *worker, struct shim *shim, shim_pass pass, const uint8_t *bytes,
    uint16_t len, const struct endpoint *peer)
{
	shim_release(node, worker, shim, pass, false);
	if (chance(shim, shim->loss))
		return;
	if (chance(shim, shim->duplicate))
		pass(node, worker, bytes, len, peer);
	if (!chance(shim, shim->reorder) || !shim_hold(shim, bytes, len, peer))
		pass(node, worker, bytes, len, peer);
}

/* Into the burst; one that is full loses the datagram, as a NIC does. */
static void
pass_in(struct node *node, struct worker *worker, const uint8_t *bytes, uint16_t len, const struct endpoint *peer)
{
	struct burst *burst = &node->burst;
	struct pkt *pkt = &node->rx_pkts[node->received];

	if (node->received == BURST_MAX || burst->datagram_count == BURST_MAX)
		return;
	*pkt = (struct pkt){ .data = node->rx_bytes[node->received++].bytes, .room = PACKET_SIZE,
		.len = (uint16_t)(PKT_UDP_PAYLOAD_OFFSET + len) };
	memcpy(pkt->data + PKT_UDP_PAYLOAD_OFFSET, bytes, len);
	burst->datagrams[burst->datagram_count++] = (struct datagram){ .pkt = pkt,
		.payload = pkt->data + PKT_UDP_PAYLOAD_OFFSET, .payload_len = len, .service = SERVICE_NATIVE,
		.peer = *peer };
	burst->datagrams[burst->datagram_count - 1].peer.local_port = worker->port;
}

static void
pass_out(struct node *node, struct worker *worker, const uint8_t *bytes, uint16_t len, const struct endpoint *peer)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(peer->port) };

	memcpy(&to.sin_addr, peer->ip + 12, 4);
	/* A reply goes out by the port its request came to, whichever worker made it. */
	for (uint32_t i = 0; i < node->worker_count; i++)
		if (node->workers[i].port == peer->local_port)
			worker = &node->workers[i];
	(void)sendto(worker->fd, bytes, len, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
}

static void
receive_mail(struct node *node, struct worker *worker)
{
	struct burst *burst = &node->burst;

	while (worker->mail_count > 0 && burst->datagram_count < BURST_MAX / 2) {
		struct deferred *slot = worker->mails[worker->mail_first];

		worker->mail_first = (worker->mail_first + 1) % MAIL_MAX;
		worker->mail_count--;
		if (slot->done)
			serve_home(worker->serve, burst, slot);
		else
			serve_accept(slot, spares_take(&burst->spares), &burst->datagrams[burst->datagram_count++]);
	}
}

static void
send_mail(struct node *node)
{
	struct outbox *outbox = &node->burst.outbox;

	for (uint32_t i = 0; i < outbox->count; i++) {
		struct worker *to = &node->workers[outbox->mails[i].to];

		CHECK(to->mail_count < MAIL_MAX);
		to->mails[(to->mail_first + to->mail_count++) % MAIL_MAX] = outbox->mails[i].slot;
	}
}

static void
receive_datagrams(struct node *node, struct worker *worker)
{
	struct sockaddr_in from;
	uint8_t bytes[PACKET_SIZE];
	bool some = false;

	while (node->received < BURST_MAX / 2 && node->burst.datagram_count < BURST_MAX - 2) {
		socklen_t from_len = sizeof from;
		ssize_t len = recvfrom(worker->fd, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
		struct endpoint peer = { .port = ntohs(from.sin_port) };

		if (len < 0)
			break;
		some = true;
		endpoint_map_ipv4(peer.ip, &from.sin_addr);
		if (len <= UDP_PAYLOAD_MAX)
			shim_take(node, worker, &worker->in, pass_in, bytes, (uint16_t)len, &peer);
	}
	if (!some)
		shim_release(node, worker, &worker->in, pass_in, true);
}

static void
run_worker(struct node *node, struct worker *worker)
{
	struct burst *burst = &node->burst;

	burst->now = now_read();
	burst->datagram_count = node->received = 0;
	burst->spares.used = 0;
	for (uint32_t i = 0; i < SPARES; i++)
		node->spare_pkts[i] = (struct pkt){ .data = node->spare_bytes[i].bytes, .room = PACKET_SIZE };
	receive_mail(node, worker);
	receive_datagrams(node, worker);
	serve_parse(worker->serve, burst);
	serve_run(worker->serve, burst);
	serve_compose(worker->serve, burst);
	for (uint32_t i = 0; i < burst->reply_count; i++)
		shim_take(node, worker, &worker->out, pass_out, burst->replies[i].pkt->data + PKT_UDP_PAYLOAD_OFFSET,
		    burst->replies[i].payload_len, burst->replies[i].peer);
	if (burst->datagram_count == 0)
		shim_release(node, worker, &worker->out, pass_out, true);
	send_mail(node);
	serve_tick(worker->serve, &burst->now, 64);
	reclaim_quiescent();
}

static bool
quiet(const struct node *node)
{
	for (uint32_t i = 0; i < node->worker_count; i++)
		if (node->workers[i].mail_count > 0)
			return false;
	return node->burst.datagram_count == 0;
}

static void
loop(struct node *node)
{
	struct pollfd fds[WORKER_MAX];

	for (uint32_t i = 0; i < node->worker_count; i++)
		fds[i] = (struct pollfd){ node->workers[i].fd, POLLIN, 0 };
	while (!stopping) {
		for (uint32_t i = 0; i < node->worker_count; i++)
			run_worker(node, &node->workers[i]);
		if (quiet(node))
			poll(fds, node->worker_count, 1);
	}
}

static int
bind_port(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int size = 4 << 20, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool
bind_from(struct node *node, uint16_t first)
{
	for (uint32_t i = 0; i < node->worker_count; i++) {
		node->workers[i].port = (uint16_t)(first + i);
		node->workers[i].fd = bind_port((uint16_t)(first + i));
		if (node->workers[i].fd >= 0)
			continue;
		while (i-- > 0)
			close(node->workers[i].fd);
		return false;
	}
	return true;
}

static bool
bind_all(struct node *node, uint16_t port)
{
	uint16_t guess;

	if (port != 0)
		return bind_from(node, port);
	for (int tries = 0; tries < 100; tries++) {
		seal_random(&guess, sizeof guess);
		if (bind_from(node, (uint16_t)(20000 + guess % 12000)))
			return true;
	}
	return false;
}

struct settings {
	uint32_t workers, memory_mb, port;
	double loss, duplicate, reorder;
	uint64_t seed;
	bool authenticate;
	uint8_t key[SEAL_SHARED_KEY_LEN];
};

static bool
start_workers(struct node *node, const struct settings *settings, struct store *store, struct error *error)
{
	struct serve_config config = { .worker_count = settings->workers, .store = store,
		.start_wall_ms = now_read().wall_ms, .native_port = node->workers[0].port, .epoch = 1,
		.require_auth = settings->authenticate, .version = SLIPRING_VERSION };

	memcpy(config.shared_key, settings->key, sizeof config.shared_key);
	seal_random(config.cookie_secret, sizeof config.cookie_secret);
	while (config.boot == 0)
		seal_random(&config.boot, sizeof config.boot);
	for (uint32_t i = 0; i < settings->workers; i++)
		config.all_counters[i] = &node->workers[i].counters;
	for (uint32_t i = 0; i < settings->workers; i++) {
		struct worker *worker = &node->workers[i];

		worker->in = worker->out = (struct shim){ .loss = settings->loss,
			.duplicate = settings->duplicate, .reorder = settings->reorder };
		worker->in.prng.state = settings->seed + 2 * i;
		worker->out.prng.state = settings->seed + 2 * i + 1;
		config.worker = i;
		config.counters = &worker->counters;
		worker->serve = serve_create(&config, error);
		if (!worker->serve)
			return false;
	}
	return true;
}

static void
read_key(const char *path, struct settings *settings)
{
	FILE *file = fopen(path, "r");
	unsigned byte;

	for (int i = 0; i < SEAL_SHARED_KEY_LEN; i++) {
		CHECK(file && fscanf(file, "%2x", &byte) == 1);
		settings->key[i] = (uint8_t)byte;
	}
	fclose(file);
	settings->authenticate = true;
}

static void
parse_arguments(int argc, char **argv, struct settings *settings)
{
	static const struct option options[] = { { "port", 1, NULL, 'p' }, { "workers", 1, NULL, 'w' },
		{ "memory-mb", 1, NULL, 'm' }, { "loss", 1, NULL, 'l' }, { "duplicate", 1, NULL, 'd' },
		{ "reorder", 1, NULL, 'r' }, { "seed", 1, NULL, 's' }, { "key-file", 1, NULL, 'k' }, { 0 } };
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'p': settings->port = (uint32_t)atoi(optarg); break;
		case 'w': settings->workers = (uint32_t)atoi(optarg); break;
		case 'm': settings->memory_mb = (uint32_t)atoi(optarg); break;
		case 'l': settings->loss = atof(optarg) / 100; break;
		case 'd': settings->duplicate = atof(optarg) / 100; break;
		case 'r': settings->reorder = atof(optarg) / 100; break;
		case 's': settings->seed = strtoull(optarg, NULL, 10); break;
		case 'k': read_key(optarg, settings); break;
		default: exit(2);
		}
	}
	CHECK(settings->workers >= 1 && settings->workers <= WORKER_MAX);
}

static struct store *
start_store(const struct settings *settings, struct error *error)
{
	struct store_config config = { .shard_count = settings->workers, .expected_item_size = 256,
		.memory_bytes = (uint64_t)settings->memory_mb << 20, .items_max = 200000 };

	seal_random(config.secret, sizeof config.secret);
	if (reclaim_start(error) != STATUS_OK)
		return NULL;
	reclaim_register();
	return store_create(&config, error);
}

int
main(int argc, char **argv)
{
	struct settings settings = { .workers = 1, .memory_mb = 64, .seed = 1 };
	struct node *node = calloc(1, sizeof *node);
	struct error error = { .text = "" };
	struct store *store;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	parse_arguments(argc, argv, &settings);
	CHECK(node && seal_start());
	node->worker_count = settings.workers;
	if (!bind_all(node, (uint16_t)settings.port)) {
		fprintf(stderr, "loopback_node: no %u free UDP ports from %u\n", settings.workers, settings.port);
		return 1;
	}
	node->burst.requests = calloc(BURST_REQUESTS_MAX, sizeof *node->burst.requests);
	node->burst.responses = calloc(BURST_REQUESTS_MAX, sizeof *node->burst.responses);
	node->burst.replies = calloc(BURST_MAX + SPARE_MAX, sizeof *node->burst.replies);
	node->burst.spares = (struct spares){ node->spare_pkts, SPARES, 0 };
	store = start_store(&settings, &error);
	if (!store || !start_workers(node, &settings, store, &error)) {
		fprintf(stderr, "loopback_node: %s\n", error.text);
		return 1;
	}
	printf("ready %u\n", node->workers[0].port);
	fflush(stdout);
	loop(node);
	for (uint32_t i = 0; i < settings.workers; i++)
		serve_destroy(node->workers[i].serve);
	store_destroy(store);
	reclaim_unregister();
	reclaim_stop();
	free(node->burst.requests);
	free(node->burst.responses);
	free(node->burst.replies);
	free(node);
	return 0;
}
