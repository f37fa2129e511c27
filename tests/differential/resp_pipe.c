/*
 * A node without a NIC that speaks RESP on loopback: one worker on model leaves, one connection after another.
 *
 *   resp_pipe [-a PASSWORD] [-s SPLIT]
 *
 * Prints the port it listens on. SPLIT: bytes are handed to the parser in portions of so many. Ends at the end of its
 * standard input.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/resp_end.h"

enum { ROOM = 1 << 20 };

static int
listen_on_loopback(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, RESP_END_CONNECTIONS) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
		perror("resp_pipe");
		exit(1);
	}
	printf("%u\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

/* All that was answered. */
static bool
send_all(struct resp_node *node, struct resp_conn *conn, int fd)
{
	uint32_t len;
	uint8_t *bytes = resp_conn_take(node, conn, &len);
	bool done = true;

	for (uint32_t at = 0; at < len && done;) {
		ssize_t sent = send(fd, bytes + at, len - at, MSG_NOSIGNAL);

		done = sent > 0;
		at += sent > 0 ? (uint32_t)sent : 0;
	}
	free(bytes);
	return done;
}

static bool
serve_one(struct resp_node *node, struct resp_conn *conn, int fd, uint32_t split)
{
	static uint8_t room[ROOM];
	ssize_t got = recv(fd, room, sizeof room, 0);

	if (got <= 0)
		return false;
	for (uint32_t at = 0; at < (uint32_t)got;) {
		uint32_t part = (uint32_t)got - at < split ? (uint32_t)got - at : split;

		resp_conn_feed(node, conn, room + at, part);
		at += part;
	}
	return send_all(node, conn, fd) && !conn->closed;
}

static void
serve_until_end(struct resp_node *node, int listener, uint32_t split)
{
	struct pollfd fds[2 + RESP_END_CONNECTIONS] = { { listener, POLLIN, 0 }, { STDIN_FILENO, POLLIN, 0 } };

	for (uint32_t i = 0; i < RESP_END_CONNECTIONS; i++)
		fds[2 + i].fd = -1;
	for (;;) {
		poll(fds, 2 + RESP_END_CONNECTIONS, -1);
		if (fds[1].revents)
			return;
		for (uint32_t i = 0; i < RESP_END_CONNECTIONS; i++) {
			struct pollfd *at = &fds[2 + i];

			if (at->fd >= 0 && at->revents && !serve_one(node, &node->conns[i], at->fd, split)) {
				close(at->fd);
				at->fd = -1;
				resp_conn_reset(node, &node->conns[i]);
			}
			if (at->fd < 0 && fds[0].revents) {
				at->fd = accept(listener, NULL, NULL);
				at->events = POLLIN;
				fds[0].revents = 0;
			}
		}
	}
}

int
main(int argc, char **argv)
{
	const char *password = NULL;
	struct resp_node *node;
	uint32_t split = UINT32_MAX;
	int option, listener;

	while ((option = getopt(argc, argv, "a:s:")) != -1) {
		if (option == 'a')
			password = optarg;
		else if (option == 's' && atoi(optarg) > 0)
			split = (uint32_t)atoi(optarg);
		else
			return fprintf(stderr, "usage: resp_pipe [-a PASSWORD] [-s SPLIT]\n"), 2;
	}
	resp_end_start();
	node = resp_node_create(password);
	node->real_time = true;
	listener = listen_on_loopback();
	serve_until_end(node, listener, split);
	resp_node_destroy(node);
	resp_end_stop();
	close(listener);
	return 0;
}
