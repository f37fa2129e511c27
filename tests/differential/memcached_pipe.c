/*
 * A node without a NIC: memcached's datagrams from a UDP socket on loopback go
 * through serve's parse, run and compose over the model store, in one thread.
 *
 *   memcached_pipe [-w WORKERS] [-m MIB]
 *
 * Prints the port it listens on. Datagram i goes to worker i mod WORKERS, so that
 * with several workers most writes travel between them in slots, as between real
 * ones. Ends at the end of its standard input.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "proto/request.h"
#include "serve/serve.h"
#include "store/reclaim.h"
#include "store/store.h"

enum { ROOM = 2048, QUEUE_SIZE = 2 * DEFERRED_MAX * WORKER_MAX };

struct worker {
	struct serve *serve;
	struct counters counters;
	struct burst burst;
	struct deferred *queue[QUEUE_SIZE]; /* its mailbox */
	uint32_t head, tail;
};

static struct pipe {
	int fd;
	uint32_t worker_count;
	struct store *store;
	struct worker workers[WORKER_MAX];
	/* Bursts are run one at a time, so one set of packets does for all workers. */
	uint8_t request_rooms[BURST_MAX][ROOM];
	uint8_t spare_rooms[SPARE_MAX][ROOM];
	struct pkt request_pkts[BURST_MAX], spare_pkts[SPARE_MAX];
	struct request requests[BURST_REQUESTS_MAX];
	struct response responses[BURST_REQUESTS_MAX];
	struct reply replies[BURST_MAX + SPARE_MAX];
} pipe_state;

static void
read_clocks(struct now *now)
{
	struct timespec mono, wall;

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &wall);
	now->mono_ns = (uint64_t)mono.tv_sec * NS_PER_SEC + (uint64_t)mono.tv_nsec;
	now->wall_ms = (uint64_t)wall.tv_sec * MS_PER_SEC + (uint64_t)wall.tv_nsec / NS_PER_MS;
}

static void
begin_burst(struct pipe *p, struct burst *burst)
{
	read_clocks(&burst->now);
	burst->datagram_count = 0;
	burst->requests = p->requests;
	burst->responses = p->responses;
	burst->replies = p->replies;
	for (uint32_t i = 0; i < SPARE_MAX; i++)
		p->spare_pkts[i] = (struct pkt){ .data = p->spare_rooms[i], .room = ROOM };
	burst->spares = (struct spares){ p->spare_pkts, SPARE_MAX, 0 };
}

static void
send_replies(const struct pipe *p, const struct burst *burst)
{
	for (uint32_t i = 0; i < burst->reply_count; i++) {
		const struct reply *reply = &burst->replies[i];
		struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(reply->peer->port) };

		memcpy(&to.sin_addr, reply->peer->ip + 12, 4);
		/* A reader that is slower than 1 MiB of datagrams: wait for it. */
		while (sendto(p->fd, reply->pkt->data + PKT_UDP_PAYLOAD_OFFSET, reply->payload_len, 0,
		    (struct sockaddr *)&to, sizeof to) < 0)
			usleep(100);
	}
}

static void
deliver_mail(struct pipe *p, const struct burst *burst)
{
	for (uint32_t i = 0; i < burst->outbox.count; i++) {
		struct worker *to = &p->workers[burst->outbox.mails[i].to];

		CHECK(to->tail - to->head < QUEUE_SIZE);
		to->queue[to->tail++ % QUEUE_SIZE] = burst->outbox.mails[i].slot;
	}
}

static void
run_burst(struct pipe *p, struct worker *worker)
{
	serve_parse(worker->serve, &worker->burst);
	serve_run(worker->serve, &worker->burst);
	serve_compose(worker->serve, &worker->burst);
	for (uint32_t i = 0; i < worker->burst.datagram_count; i++)
		CHECK(worker->burst.datagrams[i].pkt->disposition != PKT_PENDING);
	send_replies(p, &worker->burst);
	deliver_mail(p, &worker->burst);
	serve_tick(worker->serve, &worker->burst.now, 16);
	reclaim_quiescent();
}

/* Slots in a worker's mailbox: done ones are free again, others join a burst. */
static bool
run_mail(struct pipe *p, struct worker *worker)
{
	struct burst *burst = &worker->burst;

	if (worker->head == worker->tail)
		return false;
	begin_burst(p, burst);
	while (worker->head != worker->tail && burst->datagram_count < BURST_MAX) {
		struct deferred *slot = worker->queue[worker->head++ % QUEUE_SIZE];

		if (slot->done)
			serve_home(worker->serve, burst, slot);
		else
			serve_accept(slot, spares_take(&burst->spares),
			    &burst->datagrams[burst->datagram_count++]);
	}
	run_burst(p, worker);
	return true;
}

static void
receive(struct pipe *p, struct worker *worker)
{
	struct burst *burst = &worker->burst;
	struct pkt *pkt = &p->request_pkts[0];
	struct sockaddr_in from;
	socklen_t from_len = sizeof from;
	struct datagram *datagram;
	ssize_t len;

	*pkt = (struct pkt){ .data = p->request_rooms[0], .room = ROOM };
	len = recvfrom(p->fd, pkt->data + PKT_UDP_PAYLOAD_OFFSET, UDP_PAYLOAD_MAX + 1, 0,
	    (struct sockaddr *)&from, &from_len);
	if (len < 0 || len > UDP_PAYLOAD_MAX)
		return;
	begin_burst(p, burst);
	datagram = &burst->datagrams[burst->datagram_count++];
	*datagram = (struct datagram){
		.pkt = pkt, .payload = pkt->data + PKT_UDP_PAYLOAD_OFFSET, .payload_len = (uint16_t)len,
		.service = SERVICE_MEMCACHED, .peer = { .port = ntohs(from.sin_port) },
	};
	endpoint_map_ipv4(datagram->peer.ip, &from.sin_addr);
	run_burst(p, worker);
}

static void
create_node(struct pipe *p, uint64_t memory_bytes)
{
	struct store_config store_config = {
		.shard_count = p->worker_count, .memory_bytes = memory_bytes, .expected_item_size = 256,
		.secret = { 1, 2, 3 },
	};
	struct serve_config config = {
		.worker_count = p->worker_count, .native_port = 7411, .epoch = 1, .boot = 1, .version = SLIPRING_VERSION,
		.memcached_allow = { { .bits = 104 } }, .memcached_allow_count = 1,
	};
	struct error error = { STATUS_OK, "" };
	struct now now;

	read_clocks(&now);
	config.start_wall_ms = now.wall_ms;
	endpoint_map_ipv4(config.memcached_allow[0].ip, "\x7f\0\0\0");
	CHECK(reclaim_start(&error) == STATUS_OK);
	reclaim_register();
	config.store = p->store = store_create(&store_config, &error);
	CHECK(p->store);
	for (uint32_t i = 0; i < p->worker_count; i++)
		config.all_counters[i] = &p->workers[i].counters;
	for (uint32_t i = 0; i < p->worker_count; i++) {
		config.worker = i;
		config.counters = &p->workers[i].counters;
		p->workers[i].serve = serve_create(&config, &error);
		CHECK(p->workers[i].serve);
	}
}

static void
destroy_node(struct pipe *p)
{
	for (uint32_t i = 0; i < p->worker_count; i++)
		serve_destroy(p->workers[i].serve);
	store_destroy(p->store);
	reclaim_unregister();
	reclaim_stop();
}

static int
listen_on_loopback(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof address;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
		perror("memcached_pipe");
		exit(1);
	}
	printf("%u\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

static void
serve_until_end(struct pipe *p)
{
	for (uint32_t turn = 0;; turn++) {
		struct pollfd fds[] = { { p->fd, POLLIN, 0 }, { STDIN_FILENO, POLLIN, 0 } };
		bool busy = true;

		poll(fds, 2, -1);
		if (fds[1].revents)
			return;
		if (fds[0].revents)
			receive(p, &p->workers[turn % p->worker_count]);
		while (busy) {
			busy = false;
			for (uint32_t i = 0; i < p->worker_count; i++)
				busy |= run_mail(p, &p->workers[i]);
		}
	}
}

int
main(int argc, char **argv)
{
	uint64_t memory_mib = 64;
	int option;

	pipe_state.worker_count = 1;
	while ((option = getopt(argc, argv, "w:m:")) != -1) {
		unsigned long number = strtoul(option == '?' ? "" : optarg, NULL, 10);

		if (option == 'w' && number >= 1 && number <= WORKER_MAX)
			pipe_state.worker_count = (uint32_t)number;
		else if (option == 'm' && number >= 1)
			memory_mib = number;
		else
			return fprintf(stderr, "usage: memcached_pipe [-w WORKERS] [-m MIB]\n"), 2;
	}
	create_node(&pipe_state, memory_mib << 20);
	pipe_state.fd = listen_on_loopback();
	serve_until_end(&pipe_state);
	destroy_node(&pipe_state);
	close(pipe_state.fd);
	return 0;
}
