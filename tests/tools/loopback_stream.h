/*
 * loopback_stream.h - connections of loopback_node: the kernel's TCP where a node has net/tcp.h.
 *
 * Purpose: clients of memcached and Redis meet the real protocols and the real lib/serve without a NIC, root or a TCP
 *   of ours, so that what goes wrong there is told apart from what goes wrong in segments. Does to a turn (base/turn.h) what
 *   net/tcp.h promises. Each connection belongs to one worker, one after another.
 * Threads: one. Memory: a worker's blocks, and by malloc what came in and is not read yet.
 * Bounds: CONNECTIONS_MAX a worker; no turn for input while OUTPUT_MAX bytes wait for the peer.
 */
#ifndef TESTS_LOOPBACK_STREAM_H
#define TESTS_LOOPBACK_STREAM_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/tools/loopback_cluster.h"

enum {
	CONNECTIONS_MAX = 1024,
	INPUT_MAX = 4 << 20,
	OUTPUT_MAX = 1 << 20,
	SEND_SIZE = 256 << 10,
	STREAM_BLOCKS = 64 << 20,
};

struct conn {
	struct conn *next;
	struct connection id;
	struct endpoint peer;
	uint64_t opened_ns;
	int fd;
	uint8_t service;
	bool opened, finished, told, paused, again, closing, shut, dead;
	uint8_t *input;
	uint32_t input_len, input_size, wanted, seen;
	uint8_t *room;
	uint32_t room_len, room_used;
	struct outq out;
};

struct stream_worker {
	struct conn *first;
	struct blocks blocks;
	uint32_t generation, count;
	bool used[CONNECTIONS_MAX];
	struct connection resumed[BURST_MAX]; /* by the end of its round: the burst is the next worker's then */
	uint32_t resumed_count;
};

struct listener {
	int fd;
	struct node *node;
	uint8_t service;
	uint16_t port;
	uint32_t next; /* worker */
};

/* The most bytes that one reception takes, at random from stream_prng; 0: all there are. */
static uint32_t stream_portion;
static struct prng stream_prng;
static struct stream_worker stream_workers[NODES_MAX][WORKER_MAX];
static struct listener listeners[2 * NODES_MAX];
static uint32_t listener_count;
static struct turn stream_turns[BURST_MAX];
static struct conn *stream_turn_conns[BURST_MAX];

static inline struct stream_worker *
streams_of(const struct worker *worker)
{
	return &stream_workers[worker->node->number - 1][worker - worker->node->workers];
}

/* On the first node's port, or as many behind it as the node is; 0: not at all. */
static inline bool
stream_listen(struct node *node, uint8_t service, uint32_t first, struct error *error)
{
	uint16_t port = (uint16_t)(first + node->number - 1);
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1, fd;

	if (first == 0)
		return true;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1000) != 0) {
		snprintf(error->text, sizeof error->text, "TCP port %u is not free", port);
		return false;
	}
	listeners[listener_count++] = (struct listener){ fd, node, service, port, 0 };
	return true;
}

static inline bool
stream_worker_start(const struct worker *worker)
{
	return blocks_init(&streams_of(worker)->blocks, STREAM_BLOCKS);
}

/* Everything that its connections had is given back: checked. */
static inline void
stream_worker_stop(const struct worker *worker)
{
	struct stream_worker *s = streams_of(worker);

	for (struct conn *conn = s->first, *next; conn; conn = next) {
		next = conn->next;
		outq_clear(&s->blocks, &conn->out);
		close(conn->fd);
		free(conn->input);
		free(conn);
	}
	blocks_check(&s->blocks);
	blocks_deinit(&s->blocks);
	memset(s, 0, sizeof *s);
}

static inline void
stream_open(struct listener *listener, int fd, const struct sockaddr_in *from, uint64_t now_ns)
{
	struct node *node = listener->node;
	struct worker *worker = &node->workers[listener->next++ % node->worker_count];
	struct stream_worker *s = streams_of(worker);
	struct conn *conn = calloc(1, sizeof *conn);
	int one = 1;

	CHECK(conn);
	if (s->count == CONNECTIONS_MAX || !node->running) {
		close(fd);
		free(conn);
		return;
	}
	while (s->used[conn->id.index])
		conn->id.index++;
	s->used[conn->id.index] = true;
	s->count++;
	conn->id.generation = ++s->generation;
	conn->fd = fd;
	conn->service = listener->service;
	conn->opened_ns = now_ns;
	conn->peer = (struct endpoint){ .port = ntohs(from->sin_port), .local_port = listener->port };
	endpoint_map_ipv4(conn->peer.ip, &from->sin_addr);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	conn->next = s->first;
	s->first = conn;
}

static inline bool
streams_accept(uint64_t now_ns)
{
	bool some = false;

	for (uint32_t i = 0; i < listener_count; i++) {
		struct sockaddr_in from;
		socklen_t len = sizeof from;
		int fd;

		while ((fd = accept4(listeners[i].fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
			stream_open(&listeners[i], fd, &from, now_ns);
			some = true;
		}
	}
	return some;
}

static inline void
conn_heard(struct conn *conn, ssize_t got)
{
	if (got == 0)
		conn->finished = true;
	else if (got < 0 && errno != EAGAIN && errno != EINTR)
		conn->dead = true;
}

static inline bool
conn_wants_input(const struct conn *conn)
{
	return !conn->finished && !conn->dead && conn->input_len < INPUT_MAX;
}

static inline uint32_t
conn_portion(uint32_t space)
{
	uint32_t most = stream_portion ? 1 + (uint32_t)prng_below(&stream_prng, stream_portion) : space;

	return most < space ? most : space;
}

/* What has come: to the room first. */
static inline void
conn_receive(struct conn *conn)
{
	ssize_t got;

	if (!conn_wants_input(conn))
		return;
	if (conn->room && conn->room_used < conn->room_len) {
		got = recv(conn->fd, conn->room + conn->room_used, conn_portion(conn->room_len - conn->room_used),
		    MSG_DONTWAIT);
		conn->room_used += got > 0 ? (uint32_t)got : 0;
		conn_heard(conn, got);
		return;
	}
	if (conn->input_size - conn->input_len < 65536) {
		conn->input_size = conn->input_size ? 2 * conn->input_size : 65536;
		conn->input = realloc(conn->input, conn->input_size);
		CHECK(conn->input);
	}
	got = recv(conn->fd, conn->input + conn->input_len, conn_portion(conn->input_size - conn->input_len), MSG_DONTWAIT);
	conn->input_len += got > 0 ? (uint32_t)got : 0;
	if (conn->closing)
		conn->input_len = 0;
	conn_heard(conn, got);
}

/* Whether it has a turn (base/turn.h): the end; else input, unless paused, or too little of it. */
static inline bool
conn_ready(const struct conn *conn)
{
	if (conn->dead)
		return true;
	if (conn->paused || conn->closing || conn->out.len > OUTPUT_MAX)
		return false;
	if (conn->room && conn->room_used < conn->room_len)
		return conn->finished && !conn->told;
	if (!conn->opened || conn->again || conn->room || (conn->finished && !conn->told))
		return true;
	return conn->input_len > conn->seen && conn->input_len >= conn->wanted;
}

static inline struct turn
conn_turn(struct conn *conn, struct blocks *blocks)
{
	bool filling = conn->room && conn->room_used < conn->room_len;
	struct turn turn = { .id = conn->id, .service = conn->service, .opened = !conn->opened, .finished = conn->finished,
		.closed = conn->dead, .input = view_of(conn->input, filling ? 0 : conn->input_len), .filled = conn->room_used,
		.out = &conn->out, .blocks = blocks, .peer = conn->peer, .opened_ns = conn->opened_ns };

	conn->opened = true;
	conn->again = false;
	conn->told |= conn->finished;
	return turn;
}

/* Bytes that a value's room takes from what is unread. */
static inline void
conn_fill(struct conn *conn)
{
	uint32_t part = conn->room_len < conn->input_len ? conn->room_len : conn->input_len;

	conn->room_used = part;
	if (part == 0)
		return;
	memcpy(conn->room, conn->input, part);
	conn->input_len -= part;
	memmove(conn->input, conn->input + part, conn->input_len);
}

static inline void
conn_resume(struct conn *conn, const struct connection *resumed, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (resumed[i].index == conn->id.index && resumed[i].generation == conn->id.generation) {
			conn->paused = false;
			conn->again = true;
		}
}

/* The turns of a worker's round join its burst. */
static inline void
streams_before(struct worker *worker, struct burst *burst)
{
	struct stream_worker *s = streams_of(worker);

	burst->turns = stream_turns;
	burst->turn_count = 0;
	for (struct conn *conn = s->first; conn; conn = conn->next) {
		conn_resume(conn, burst->resumed, burst->resumed_count);
		conn_resume(conn, s->resumed, s->resumed_count);
		conn_receive(conn);
		if (burst->turn_count == BURST_MAX || !conn_ready(conn))
			continue;
		stream_turn_conns[burst->turn_count] = conn;
		burst->turns[burst->turn_count++] = conn_turn(conn, &s->blocks);
	}
	burst->resumed_count = s->resumed_count = 0;
}

static inline void
conn_abort(struct conn *conn)
{
	struct linger linger = { 1, 0 };

	(void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	conn->dead = true;
}

static inline void
conn_apply(struct conn *conn, const struct turn *turn)
{
	CHECK(turn->consumed <= turn->input.len);
	conn->input_len -= turn->consumed;
	if (turn->consumed > 0)
		memmove(conn->input, conn->input + turn->consumed, conn->input_len);
	conn->wanted = turn->wanted;
	if (conn->room && conn->room_used == conn->room_len)
		conn->room = NULL;
	if (turn->room_len > 0) {
		conn->room = turn->room;
		conn->room_len = turn->room_len;
		conn_fill(conn);
	}
	conn->seen = conn->input_len;
	conn->paused = turn->pause;
	conn->again |= turn->again;
	conn->closing |= turn->close;
	if (turn->abort)
		conn_abort(conn);
}

static inline void
conn_send(struct conn *conn, struct blocks *blocks)
{
	static uint8_t bytes[SEND_SIZE];

	while (conn->out.len > 0 && !conn->dead) {
		uint32_t len = conn->out.len < SEND_SIZE ? conn->out.len : SEND_SIZE;
		ssize_t sent;

		outq_read(&conn->out, 0, bytes, len);
		sent = send(conn->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (sent < 0)
			conn->dead = true;
		else
			outq_drop(blocks, &conn->out, (uint32_t)sent);
	}
	if (conn->closing && !conn->shut && conn->out.len == 0) {
		shutdown(conn->fd, SHUT_WR);
		conn->shut = true;
	}
	if (conn->shut && conn->finished)
		conn->dead = true;
}

/* Does what the turns ask; sends; forgets who had his last turn. */
static inline void
streams_after(struct worker *worker, struct burst *burst)
{
	struct stream_worker *s = streams_of(worker);

	memcpy(s->resumed, burst->resumed, burst->resumed_count * sizeof *s->resumed);
	s->resumed_count = burst->resumed_count;
	burst->resumed_count = 0;
	for (uint32_t i = 0; i < burst->turn_count; i++)
		if (!burst->turns[i].closed)
			conn_apply(stream_turn_conns[i], &burst->turns[i]);
	for (struct conn **at = &s->first; *at;) {
		struct conn *conn = *at;
		bool gone = false;

		for (uint32_t i = 0; i < burst->turn_count; i++)
			gone |= stream_turn_conns[i] == conn && burst->turns[i].closed;
		if (!gone) {
			conn_send(conn, &s->blocks);
			at = &conn->next;
			continue;
		}
		outq_clear(&s->blocks, &conn->out);
		s->used[conn->id.index] = false;
		s->count--;
		close(conn->fd);
		*at = conn->next;
		free(conn->input);
		free(conn);
	}
}

/* Whether a connection could go on without anything new from outside. */
static inline bool
streams_restless(const struct worker *worker)
{
	for (const struct conn *conn = streams_of(worker)->first; conn; conn = conn->next)
		if (conn_ready(conn))
			return true;
	return streams_of(worker)->resumed_count > 0;
}

/* What to wait for; `room` at least listener_count + every connection. */
static inline nfds_t
streams_poll(struct pollfd *fds)
{
	nfds_t n = 0;

	for (uint32_t i = 0; i < listener_count; i++)
		fds[n++] = (struct pollfd){ listeners[i].fd, POLLIN, 0 };
	for (uint32_t i = 0; i < all.node_count; i++)
		for (uint32_t w = 0; w < all.nodes[i].worker_count; w++)
			for (struct conn *conn = stream_workers[i][w].first; conn; conn = conn->next)
				fds[n++] = (struct pollfd){ conn->fd,
					(short)((conn_wants_input(conn) ? POLLIN : 0) | (conn->out.len > 0 ? POLLOUT : 0)), 0 };
	return n;
}

#endif
