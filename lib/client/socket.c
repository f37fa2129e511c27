/* Sockets of a handle: resolving, batches out, waiting, batches in. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/endpoint.h"
#include "base/now.h"
#include "client/handle.h"

/*
 * A blocking recv returns after this long at the latest, so that overdue
 * operations are seen to: a tick or two of the kernel's timer, set once.
 */
enum { RECEIVE_TIMEOUT_US = 4000, SOCKET_BUFFER_SIZE = 4 << 20 };

void
socket_init(struct slipring *handle)
{
	for (int i = 0; i < CLIENT_BATCH; i++) {
		handle->in_parts[i] = (struct iovec){ handle->in[i], sizeof handle->in[i] };
		handle->in_messages[i].msg_hdr.msg_iov = &handle->in_parts[i];
		handle->in_messages[i].msg_hdr.msg_iovlen = 1;
	}
}

/*
 * A name with addresses of both families is taken by IPv4: topologies name members by those, and a host
 * given at open is one of them only when it stands at the same address.
 */
const char *
socket_resolve(const char *host, struct node_address *address)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM };
	struct addrinfo *found, *at;
	int error = getaddrinfo(host, NULL, &hints, &found);

	if (error)
		return error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error);
	for (at = found; at->ai_family != AF_INET && at->ai_next;)
		at = at->ai_next;
	if (at->ai_family != AF_INET)
		at = found;
	*address = (struct node_address){ 0 };
	if (at->ai_family == AF_INET) {
		endpoint_map_ipv4(address->ip, &((const struct sockaddr_in *)(const void *)at->ai_addr)->sin_addr);
	} else {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)at->ai_addr;

		memcpy(address->ip, &in6->sin6_addr, sizeof address->ip);
		address->scope = in6->sin6_scope_id;
	}
	freeaddrinfo(found);
	return NULL;
}

/* Writes where a node's port is; returns the length. */
static socklen_t
place(const struct node_address *address, uint16_t port, struct sockaddr_storage *storage)
{
	struct sockaddr_in *in = (struct sockaddr_in *)storage;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)storage;

	memset(storage, 0, sizeof *storage);
	if (endpoint_is_mapped(address->ip)) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, address->ip + 12, sizeof in->sin_addr);
		return sizeof *in;
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	in6->sin6_scope_id = address->scope;
	memcpy(&in6->sin6_addr, address->ip, sizeof in6->sin6_addr);
	return sizeof *in6;
}

int
socket_open(struct slipring *handle, const struct node *node, uint16_t port)
{
	const struct timeval timeout = { 0, RECEIVE_TIMEOUT_US };
	const int size = SOCKET_BUFFER_SIZE;
	struct sockaddr_storage address;
	socklen_t len = place(&node->address, port, &address);
	int fd = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		goto failed;
	/* A larger buffer is a help against bursts, not a need: the kernel may cut it. */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0 &&
	    connect(fd, (const struct sockaddr *)&address, len) == 0)
		return fd;
failed:
	handle_fail(handle, SLIPRING_UNREACHABLE, "no socket to %s:%u: %s", node->name, port, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Errors that the network reports for earlier datagrams, or that pass. */
static void
note_error(struct path *path, int error)
{
	if (error == EAGAIN || error == EINTR || error == ENOBUFS)
		return;
	path->network_error = error;
	/* In a cluster the next way is tried at once. */
	if (path->lane->handle->node_count > 1)
		path_waited(path->lane->handle, path, handle_now_ns());
}

/* Sends the batch. What the kernel does not take is lost like any datagram, and repeated later. */
void
socket_flush(struct slipring *handle)
{
	struct path *path = handle->out_path;
	struct mmsghdr messages[CLIENT_BATCH];
	struct iovec parts[CLIENT_BATCH];
	uint32_t sent = 0, n = handle->out_count;

	handle->out_count = 0;
	if (n == 1) {
		/* A refusal reported here is an earlier datagram's; this one was not sent. */
		for (int tries = 0; tries < 2 && send(path->fd, handle->out[0], handle->out_len[0], 0) < 0; tries++)
			note_error(path, errno);
		handle->counters.frames_sent++;
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		parts[i] = (struct iovec){ handle->out[i], handle->out_len[i] };
		messages[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &parts[i], .msg_iovlen = 1 } };
	}
	while (sent < n) {
		int done = sendmmsg(path->fd, messages + sent, n - sent, 0);

		if (done < 0)
			note_error(path, errno);
		sent += done > 0 ? (uint32_t)done : 1; /* skip the one refused */
	}
	handle->counters.frames_sent += n;
}

uint8_t *
socket_frame(struct path *path)
{
	struct slipring *handle = path->lane->handle;

	if (handle->out_count > 0 && (handle->out_path != path || handle->out_count == CLIENT_BATCH))
		socket_flush(handle);
	handle->out_path = path;
	return handle->out[handle->out_count];
}

void
socket_frame_done(struct slipring *handle, uint16_t len)
{
	handle->out_len[handle->out_count++] = len;
}

/* One datagram, the common case of a synchronous call. Returns whether one came. */
static bool
receive_one(struct slipring *handle, struct path *path, int flags)
{
	ssize_t len = recv(path->fd, handle->in[0], sizeof handle->in[0], flags);

	if (len < 0) {
		note_error(path, errno);
		return false;
	}
	lane_receive(path, handle->in[0], (uint32_t)len, handle_now_ns());
	return true;
}

/* All that has come to a lane, up to a batch. Returns how many datagrams. */
static int
receive_batch(struct slipring *handle, struct path *path, int flags)
{
	int n = recvmmsg(path->fd, handle->in_messages, CLIENT_BATCH, flags, NULL);
	uint64_t now_ns;

	if (n < 0) {
		note_error(path, errno);
		return 0;
	}
	now_ns = handle_now_ns();
	for (int i = 0; i < n; i++)
		lane_receive(path, handle->in[i], handle->in_messages[i].msg_len, now_ns);
	return n;
}

void
socket_drain(struct lane *lane)
{
	struct slipring *handle = lane->handle;

	while (receive_batch(handle, &lane->direct, MSG_DONTWAIT) == CLIENT_BATCH && !handle->answered)
		;
	while (path_is_open(&lane->detour) && !handle->answered &&
	    receive_batch(handle, &lane->detour, MSG_DONTWAIT) == CLIENT_BATCH)
		;
}

static bool
receive(struct slipring *handle, struct path *path, bool wait)
{
	if (path->lane->in_flight == 1)
		return receive_one(handle, path, wait ? 0 : MSG_DONTWAIT);
	return receive_batch(handle, path, wait ? MSG_WAITFORONE : MSG_DONTWAIT) > 0;
}

/* Sleeps until one of several sockets has something, or for less than a kernel tick. */
static void
sleep_on(struct slipring *handle, uint32_t n, uint64_t wait_ns)
{
	const struct timespec wait = { (time_t)(wait_ns / NS_PER_SEC), (long)(wait_ns % NS_PER_SEC) };

	for (uint32_t i = 0; i < n; i++)
		handle->polls[i] = (struct pollfd){ handle->polled[i]->fd, POLLIN, 0 };
	if (ppoll(handle->polls, n, &wait, NULL) <= 0)
		return;
	/* Completions may open lanes, for which both lists may move and grow: no pointer into them is kept. */
	for (uint32_t i = 0; i < n && !handle->answered; i++)
		if (handle->polls[i].revents)
			receive(handle, handle->polled[i], false);
}

/* Asks every socket until one has something. */
static void
spin_on(struct slipring *handle, uint32_t n, uint64_t until_ns)
{
	bool some = false;

	do {
		for (uint32_t i = 0; i < n && !handle->answered; i++)
			some |= receive(handle, handle->polled[i], false);
	} while (!some && handle_now_ns() < until_ns);
}

/*
 * One socket and time enough: a blocking recv(2), which needs no poll(2) before it,
 * but knows time by the kernel's tick only.
 */
static bool
coarse(const struct slipring *handle, uint32_t n, uint64_t now_ns, uint64_t until_ns)
{
	return n == 1 && until_ns - now_ns >= RECEIVE_TIMEOUT_US * NS_PER_US &&
	    handle->options.try_timeout_us >= RECEIVE_TIMEOUT_US && handle->options.hedge_percent == 0;
}

/* The sockets of lanes with something in flight. Returns how many. */
static uint32_t
list_sockets(struct slipring *handle)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < handle->active_count; i++) {
		struct lane *lane = handle->active[i];

		if (!lane_busy(lane))
			continue;
		handle->polled[n++] = &lane->direct;
		if (path_is_open(&lane->detour))
			handle->polled[n++] = &lane->detour;
	}
	return n;
}

void
socket_wait(struct slipring *handle, uint64_t timer_ns, uint64_t until_ns)
{
	uint64_t now_ns = handle_now_ns(), end_ns = timer_ns < until_ns ? timer_ns : until_ns;
	uint32_t n = list_sockets(handle);

	if (n == 0)
		return;
	if (end_ns <= now_ns || handle->options.spin)
		spin_on(handle, n, end_ns);
	else if (coarse(handle, n, now_ns, until_ns))
		receive(handle, handle->polled[0], true);
	else
		sleep_on(handle, n, end_ns - now_ns);
}
