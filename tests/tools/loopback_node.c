/*
 * loopback_node.c - nodes on loopback sockets, for tests of the client side.
 *
 * Purpose: the real lib/serve, lib/store and forwarding, on model leaves, without DPDK, root
 *   or a lab; every worker is a socket and takes its turn in one thread. A shim
 *   between socket and serve loses, doubles and reorders datagrams both ways.
 * Usage: loopback_node [--port N] [--workers N] [--memory-mb N] [--key-file FILE]
 *   [--loss PERCENT] [--duplicate PERCENT] [--reorder PERCENT] [--seed N] [--nodes N]
		{ "nodes", 1, NULL, 'n' }, { "memcached", 1, NULL, 'M' }, { "resp", 1, NULL, 'R' },
		{ "memcached-password", 1, NULL, 'P' }, { "portions", 1, NULL, 'o' }, { 0 } };
 *   Prints "ready PORT..." (of each node) when it answers; ends with its parent or on SIGTERM.
 *   Binds 127.0.0.1 only; port 0 (the default) takes free ones, one after another.
 * With more nodes than one they are a cluster n1, n2, ... of epoch 1, and lines on the
 *   standard input, each answered by "ok", do to node I:
 *	pause I, wake I      it runs no more, as under SIGSTOP; and goes on
 *	cut I, mend I        clients' datagrams are lost, but not those between nodes
 *	slow I MS            it reads each datagram so much later; 0: at once
 *	kill I, start I      it is gone, with its memory; and another boot of it is there
 *	state I STATE        of the topology to come: 1 alive, 3 dead, ... (enum ring_state)
 *	topology EPOCH [I]   a topology of the states as they are, for all nodes or one
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/native.h"
#include "seal/seal.h"
#include "store/reclaim.h"
#include "tests/tools/loopback_cluster.h"
#include "tests/tools/loopback_stream.h"

struct settings {
	uint32_t nodes, workers, memory_mb, port, memcached, resp;
	double loss, duplicate, reorder;
	uint64_t seed;
	bool authenticate;
	const char *memcached_password;
	uint8_t key[SEAL_SHARED_KEY_LEN];
};

static struct settings settings = { .nodes = 1, .workers = 1, .memory_mb = 64, .seed = 1, .memcached_password = "" };
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

/* Into the burst; one that is full loses the datagram, as a NIC does. */
static void
pass_in(struct worker *worker, const uint8_t *bytes, uint16_t len, const struct endpoint *peer)
{
	struct burst *burst = &all.burst;
	struct pkt *pkt = &all.rx_pkts[all.received];

	if (all.received == BURST_MAX || burst->datagram_count == BURST_MAX)
		return;
	*pkt = (struct pkt){ .data = all.rx_bytes[all.received++], .room = PACKET_SIZE,
		.len = (uint16_t)(PKT_UDP_PAYLOAD_OFFSET + len) };
	memcpy(pkt->data + PKT_UDP_PAYLOAD_OFFSET, bytes, len);
	burst->datagrams[burst->datagram_count++] = (struct datagram){ .pkt = pkt,
		.payload = pkt->data + PKT_UDP_PAYLOAD_OFFSET, .payload_len = len, .service = SERVICE_NATIVE,
		.peer = *peer };
	burst->datagrams[burst->datagram_count - 1].peer.local_port = worker->port;
}

static void
pass_out(struct worker *worker, const uint8_t *bytes, uint16_t len, const struct endpoint *peer)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(peer->port) };
	struct node *node = worker->node;

	memcpy(&to.sin_addr, peer->ip + 12, 4);
	/* A reply goes out by the port its request came to, whichever worker made it. */
	for (uint32_t i = 0; i < node->worker_count; i++)
		if (node->workers[i].port == peer->local_port)
			worker = &node->workers[i];
	if (!node->cut)
		(void)sendto(worker->fd, bytes, len, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
}

static void
receive_mail(struct worker *worker)
{
	struct burst *burst = &all.burst;

	while (worker->mail_count > 0 && burst->datagram_count < BURST_MAX / 2 && burst->answered_count < BURST_MAX) {
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
	struct outbox *outbox = &all.burst.outbox;

	for (uint32_t i = 0; i < outbox->count; i++) {
		if (outbox->mails[i].to != MAIL_CORE) {
			mail_worker(&node->workers[outbox->mails[i].to], outbox->mails[i].slot);
			continue;
		}
		CHECK(node->core_count < MAIL_MAX);
		node->core_mails[node->core_count++] = outbox->mails[i].slot;
	}
}

/* A slow node's datagrams wait in line; one that is full loses them. */
static void
take_late(struct worker *worker, const uint8_t *bytes, uint16_t len, const struct endpoint *peer)
{
	struct late *late;

	if (!worker->late)
		worker->late = calloc(LATE_MAX, sizeof *worker->late);
	if (worker->late_count == LATE_MAX)
		return;
	late = &worker->late[(worker->late_first + worker->late_count++) % LATE_MAX];
	memcpy(late->bytes, bytes, len);
	late->len = len;
	late->peer = *peer;
	late->due_ns = all.now.mono_ns + worker->node->slow_ns;
}

static bool
has_room(void)
{
	return all.received < BURST_MAX / 2 && all.burst.datagram_count < BURST_MAX - 2;
}

static void
receive_late(struct worker *worker)
{
	while (worker->late_count > 0 && has_room()) {
		struct late *late = &worker->late[worker->late_first];

		if (late->due_ns > all.now.mono_ns)
			break;
		worker->late_first = (worker->late_first + 1) % LATE_MAX;
		worker->late_count--;
		shim_take(worker, &worker->in, pass_in, late->bytes, late->len, &late->peer);
	}
}

static void
receive_datagrams(struct worker *worker)
{
	struct sockaddr_in from;
	uint8_t bytes[PACKET_SIZE];
	bool some = false;

	while (has_room()) {
		socklen_t from_len = sizeof from;
		ssize_t len = recvfrom(worker->fd, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
		struct endpoint peer = { .port = ntohs(from.sin_port) };

		if (len < 0)
			break;
		some = true;
		endpoint_map_ipv4(peer.ip, &from.sin_addr);
		if (len > UDP_PAYLOAD_MAX || worker->node->cut)
			continue;
		if (worker->node->slow_ns > 0)
			take_late(worker, bytes, (uint16_t)len, &peer);
		else
			shim_take(worker, &worker->in, pass_in, bytes, (uint16_t)len, &peer);
	}
	receive_late(worker);
	if (!some)
		shim_release(worker, &worker->in, pass_in, true);
}

static void
run_worker(struct worker *worker)
{
	struct burst *burst = &all.burst;

	burst->now = all.now = now_read();
	burst->datagram_count = all.received = 0;
	burst->spares.used = 0;
	for (uint32_t i = 0; i < SPARES; i++)
		all.spare_pkts[i] = (struct pkt){ .data = all.spare_bytes[i], .room = PACKET_SIZE };
	receive_mail(worker);
	receive_datagrams(worker);
	streams_before(worker, burst);
	serve_parse(worker->serve, burst);
	serve_run(worker->serve, burst);
	serve_compose(worker->serve, burst);
	for (uint32_t i = 0; i < burst->reply_count; i++)
		shim_take(worker, &worker->out, pass_out, burst->replies[i].pkt->data + PKT_UDP_PAYLOAD_OFFSET,
		    burst->replies[i].payload_len, burst->replies[i].peer);
	streams_after(worker, burst);
	if (burst->datagram_count == 0)
		shim_release(worker, &worker->out, pass_out, true);
	send_mail(worker->node);
	serve_tick(worker->serve, &burst->now, 64);
	reclaim_quiescent();
}

/* One turn of each worker and of what is between nodes. Returns whether anything moved. */
static bool
run_all(void)
{
	bool some = streams_accept(now_read().mono_ns);

	for (uint32_t n = 0; n < all.node_count; n++) {
		struct node *node = &all.nodes[n];

		for (uint32_t i = 0; i < node->worker_count && node->running && !node->paused; i++) {
			run_worker(&node->workers[i]);
			some |= all.burst.datagram_count > 0 || node->workers[i].mail_count > 0 || all.burst.reply_count > 0 ||
			    all.burst.turn_count > 0 || streams_restless(&node->workers[i]);
		}
		if (all.node_count > 1 && node->running && !node->paused)
			some |= core_run(node);
	}
	return (all.first && link_deliver()) || some;
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
	node->first_port = first;
	for (uint32_t i = 0; i < settings.workers; i++) {
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

static struct store *
start_store(uint32_t index, struct error *error)
{
	struct store_config config = { .shard_count = settings.workers, .expected_item_size = 256,
		.memory_bytes = (uint64_t)settings.memory_mb << 20, .items_max = 200000, .node = (uint16_t)index };

	seal_random(config.secret, sizeof config.secret);
	return store_create(&config, error);
}

static struct serve *
start_worker(struct worker *worker, struct serve_config *config, uint32_t number, struct error *error)
{
	worker->in = worker->out = (struct shim){ .loss = settings.loss, .duplicate = settings.duplicate,
		.reorder = settings.reorder };
	worker->in.prng.state = settings.seed + 2 * number + 64 * (worker->node->number - 1);
	worker->out.prng.state = worker->in.prng.state + 1;
	worker->counters = (struct counters){ 0 };
	worker->mail_count = worker->late_count = 0;
	config->worker = number;
	config->counters = &worker->counters;
	if (!stream_worker_start(worker))
		return NULL;
	return serve_create(config, error);
}

/* Fills a bound node with life: a boot of its own, an empty store. */
static bool
start_node(struct node *node, struct error *error)
{
	struct serve_config config = { .worker_count = settings.workers, .start_wall_ms = now_read().wall_ms,
		.native_port = node->first_port, .epoch = 1, .require_auth = settings.authenticate,
		.version = SLIPRING_VERSION, .process_id = (uint64_t)getpid(), .connections_max = CONNECTIONS_MAX,
		.protocols = { [SERVICE_MEMCACHED_STREAM] = &memcached_stream_protocol,
			[SERVICE_RESP] = &resp_stream_protocol },
		.ring = all.node_count > 1 ? &node->published : NULL };

	snprintf(config.memcached_password, sizeof config.memcached_password, "%s", settings.memcached_password);
	node->store = config.store = start_store(node->number - 1, error);
	if (!node->store)
		return false;
	memcpy(config.shared_key, settings.key, sizeof config.shared_key);
	seal_random(config.cookie_secret, sizeof config.cookie_secret);
	while (config.boot == 0 || config.boot == NATIVE_BOOT_NOBODY)
		seal_random(&config.boot, sizeof config.boot);
	for (uint32_t i = 0; i < settings.workers; i++)
		config.all_counters[i] = &node->workers[i].counters;
	for (uint32_t i = 0; i < settings.workers; i++) {
		node->workers[i].node = node;
		node->workers[i].serve = start_worker(&node->workers[i], &config, i, error);
		if (!node->workers[i].serve)
			return false;
	}
	node->running = true;
	node->paused = node->cut = false;
	node->core_count = 0;
	if (all.node_count > 1)
		CHECK(forward_init(&node->forward, &(struct forward_config){ node->id, settings.workers }));
	return true;
}

static void
stop_node(struct node *node)
{
	for (uint32_t i = 0; i < settings.workers; i++) {
		close(node->workers[i].fd);
		serve_destroy(node->workers[i].serve);
		stream_worker_stop(&node->workers[i]);
		free(node->workers[i].late);
		node->workers[i].late = NULL;
	}
	if (all.node_count > 1)
		forward_deinit(&node->forward);
	store_destroy(node->store);
	node->running = false;
}

static void
start_again(struct node *node)
{
	struct error error = { .text = "" };

	CHECK(!node->running && bind_from(node, node->first_port));
	CHECK(start_node(node, &error));
	node_publish(node, all.epoch);
}

static void
publish(uint64_t epoch, uint32_t only)
{
	if (only == 0)
		all.epoch = epoch;
	for (uint32_t i = 0; i < all.node_count; i++)
		if (all.nodes[i].running && (only == 0 || only == i + 1))
			node_publish(&all.nodes[i], epoch);
}

static void
set_state(struct node *node, uint32_t state)
{
	node->state = (uint8_t)state;
	if (state == RING_DEAD)
		node_gone(node);
}

/* One line of the standard input. */
static void
obey(const char *line)
{
	unsigned number = 0, argument = 0;
	struct node *node;
	char word[16];

	CHECK(sscanf(line, "%15s %u %u", word, &number, &argument) >= 2);
	if (strcmp(word, "topology") == 0) {
		publish(number, argument);
		return;
	}
	CHECK(number >= 1 && number <= all.node_count);
	node = &all.nodes[number - 1];
	if (strcmp(word, "pause") == 0 || strcmp(word, "wake") == 0) {
		node->paused = word[0] == 'p';
	} else if (strcmp(word, "cut") == 0 || strcmp(word, "mend") == 0) {
		node->cut = word[0] == 'c';
	} else if (strcmp(word, "slow") == 0) {
		node->slow_ns = argument * NS_PER_MS;
	} else if (strcmp(word, "kill") == 0) {
		stop_node(node);
	} else if (strcmp(word, "start") == 0) {
		start_again(node);
		node_gone(node);
	} else if (strcmp(word, "state") == 0) {
		set_state(node, argument);
	} else {
		CHECK(!"a command");
	}
}

/* Lines that have come on the standard input, one after another. */
static void
take_commands(void)
{
	static char text[256];
	static size_t len;
	ssize_t n = read(STDIN_FILENO, text + len, sizeof text - 1 - len);
	char *end;

	if (n <= 0)
		return;
	len += (size_t)n;
	text[len] = '\0';
	while ((end = strchr(text, '\n'))) {
		*end = '\0';
		obey(text);
		len -= (size_t)(end + 1 - text);
		memmove(text, end + 1, len + 1);
		printf("ok\n");
		fflush(stdout);
	}
}

static void
loop(void)
{
	static struct pollfd fds[NODES_MAX * WORKER_MAX * (1 + CONNECTIONS_MAX) + 1 + 2 * NODES_MAX];

	while (!stopping) {
		nfds_t n = 0;

		if (all.node_count > 1)
			take_commands();
		if (run_all())
			continue;
		for (uint32_t i = 0; i < all.node_count; i++)
			for (uint32_t w = 0; w < settings.workers && all.nodes[i].running && !all.nodes[i].paused; w++)
				fds[n++] = (struct pollfd){ all.nodes[i].workers[w].fd, POLLIN, 0 };
		if (all.node_count > 1)
			fds[n++] = (struct pollfd){ STDIN_FILENO, POLLIN, 0 };
		n += streams_poll(fds + n);
		poll(fds, n, 1);
	}
}

static void
read_key(const char *path)
{
	FILE *file = fopen(path, "r");
	unsigned byte;

	for (int i = 0; i < SEAL_SHARED_KEY_LEN; i++) {
		CHECK(file && fscanf(file, "%2x", &byte) == 1);
		settings.key[i] = (uint8_t)byte;
	}
	fclose(file);
	settings.authenticate = true;
}

static void
parse_arguments(int argc, char **argv)
{
	static const struct option options[] = { { "port", 1, NULL, 'p' }, { "workers", 1, NULL, 'w' },
		{ "memory-mb", 1, NULL, 'm' }, { "loss", 1, NULL, 'l' }, { "duplicate", 1, NULL, 'd' },
		{ "reorder", 1, NULL, 'r' }, { "seed", 1, NULL, 's' }, { "key-file", 1, NULL, 'k' },
		{ "nodes", 1, NULL, 'n' }, { "memcached", 1, NULL, 'M' }, { "resp", 1, NULL, 'R' },
		{ "memcached-password", 1, NULL, 'P' }, { "portions", 1, NULL, 'o' }, { 0 } };
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'p': settings.port = (uint32_t)atoi(optarg); break;
		case 'w': settings.workers = (uint32_t)atoi(optarg); break;
		case 'm': settings.memory_mb = (uint32_t)atoi(optarg); break;
		case 'l': settings.loss = atof(optarg) / 100; break;
		case 'd': settings.duplicate = atof(optarg) / 100; break;
		case 'r': settings.reorder = atof(optarg) / 100; break;
		case 's': settings.seed = strtoull(optarg, NULL, 10); break;
		case 'k': read_key(optarg); break;
		case 'n': settings.nodes = (uint32_t)atoi(optarg); break;
		case 'P': settings.memcached_password = optarg; break;
		case 'o': stream_portion = (uint32_t)atoi(optarg); break;
		case 'M': settings.memcached = (uint32_t)atoi(optarg); break;
		case 'R': settings.resp = (uint32_t)atoi(optarg); break;
		default: exit(2);
		}
	}
	stream_prng.state = settings.seed;
	CHECK(settings.workers >= 1 && settings.workers <= WORKER_MAX);
	CHECK(settings.nodes >= 1 && settings.nodes <= NODES_MAX);
}

/* All that nodes share. */
static void
prepare(void)
{
	all.nodes = calloc(settings.nodes, sizeof *all.nodes);
	all.node_count = settings.nodes;
	all.last = &all.first;
	all.scratch = aligned_alloc(64, (ring_scratch_size() + 63) / 64 * 64);
	all.burst.requests = calloc(BURST_REQUESTS_MAX, sizeof *all.burst.requests);
	all.burst.responses = calloc(BURST_REQUESTS_MAX, sizeof *all.burst.responses);
	all.burst.replies = calloc(BURST_MAX + SPARE_MAX, sizeof *all.burst.replies);
	all.burst.spares = (struct spares){ all.spare_pkts, SPARES, 0 };
	CHECK(all.nodes && all.scratch && all.burst.requests && all.burst.responses && all.burst.replies);
}

static bool
start_all(struct error *error)
{
	for (uint32_t i = 0; i < all.node_count; i++) {
		struct node *node = &all.nodes[i];
		char name[16];

		snprintf(name, sizeof name, "n%u", i + 1);
		node->id = ring_member_id(name, strlen(name));
		node->number = i + 1;
		node->state = RING_ALIVE;
		node->worker_count = settings.workers;
		if (!bind_all(node, i == 0 ? (uint16_t)settings.port : 0)) {
			snprintf(error->text, sizeof error->text, "no %u free UDP ports from %u", settings.workers, settings.port);
			return false;
		}
		if (!start_node(node, error))
			return false;
		if (!stream_listen(node, SERVICE_MEMCACHED_STREAM, settings.memcached, error) ||
		    !stream_listen(node, SERVICE_RESP, settings.resp, error))
			return false;
	}
	if (all.node_count > 1)
		publish(1, 0);
	return true;
}

static void
free_all(void)
{
	for (struct message *next; all.first; all.first = next) {
		next = all.first->next;
		free(all.first);
	}
	free(all.burst.requests);
	free(all.burst.responses);
	free(all.burst.replies);
	free(all.scratch);
	free(all.nodes);
}

int
main(int argc, char **argv)
{
	struct error error = { .text = "" };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	parse_arguments(argc, argv);
	CHECK(seal_start());
	prepare();
	if (reclaim_start(&error) == STATUS_OK)
		reclaim_register();
	if (error.text[0] || !start_all(&error)) {
		fprintf(stderr, "loopback_node: %s\n", error.text);
		return 1;
	}
	if (all.node_count > 1)
		fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	printf("ready");
	for (uint32_t i = 0; i < all.node_count; i++)
		printf(" %u", all.nodes[i].first_port);
	printf("\n");
	fflush(stdout);
	loop();
	for (uint32_t i = 0; i < all.node_count; i++)
		if (all.nodes[i].running)
			stop_node(&all.nodes[i]);
	reclaim_unregister();
	reclaim_stop();
	free_all();
	return 0;
}
