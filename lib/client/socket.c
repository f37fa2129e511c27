/* Sockets of a handle: resolving, batches out, waiting, batches in. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

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

bool
socket_resolve(struct slipring *handle)
{
	const struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_DGRAM };
	struct addrinfo *found;
	int error = getaddrinfo(handle->host, NULL, &hints, &found);

	if (error) {
		handle->ready = handle_fail(handle, SLIPRING_NO_HOST, "cannot resolve \"%s\": %s", handle->host,
		    error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
		return false;
	}
	memcpy(&handle->address, found->ai_addr, sizeof handle->address);
	freeaddrinfo(found);
	return true;
}

int
socket_open(struct slipring *handle, uint16_t port)
{
	const struct timeval timeout = { 0, RECEIVE_TIMEOUT_US };
	const int size = SOCKET_BUFFER_SIZE;
	struct sockaddr_in address = handle->address;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		goto failed;
	/* A larger buffer is a help against bursts, not a need: the kernel may cut it. */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	address.sin_port = htons(port);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0 &&
	    connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
failed:
	handle_fail(handle, SLIPRING_UNREACHABLE, "no socket to %s:%u: %s", handle->host, port, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Errors that the network reports for earlier datagrams, or that pass. */
static void
note_error(struct lane *lane, int error)
{
	if (error != EAGAIN && error != EINTR && error != ENOBUFS)
		lane->network_error = error;
}

/* Sends the batch. What the kernel does not take is lost like any datagram, and repeated later. */
void
socket_flush(struct slipring *handle)
{
	struct lane *lane = handle->out_lane;
	struct mmsghdr messages[CLIENT_BATCH];
	struct iovec parts[CLIENT_BATCH];
	uint32_t sent = 0, n = handle->out_count;

	handle->out_count = 0;
	if (n == 1) {
		/* A refusal reported here is an earlier datagram's; this one was not sent. */
		for (int tries = 0; tries < 2 && send(lane->fd, handle->out[0], handle->out_len[0], 0) < 0; tries++)
			note_error(lane, errno);
		handle->counters.frames_sent++;
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		parts[i] = (struct iovec){ handle->out[i], handle->out_len[i] };
		messages[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &parts[i], .msg_iovlen = 1 } };
	}
	while (sent < n) {
		int done = sendmmsg(lane->fd, messages + sent, n - sent, 0);

		if (done < 0)
			note_error(lane, errno);
		sent += done > 0 ? (uint32_t)done : 1; /* skip the one refused */
	}
	handle->counters.frames_sent += n;
}

uint8_t *
socket_frame(struct lane *lane)
{
	struct slipring *handle = lane->handle;

	if (handle->out_count > 0 && (handle->out_lane != lane || handle->out_count == CLIENT_BATCH))
		socket_flush(handle);
	handle->out_lane = lane;
	return handle->out[handle->out_count];
}

void
socket_frame_done(struct slipring *handle, uint16_t len)
{
	handle->out_len[handle->out_count++] = len;
}

/* One datagram, the common case of a synchronous call. Returns whether one came. */
static bool
receive_one(struct slipring *handle, struct lane *lane, int flags)
{
	ssize_t len = recv(lane->fd, handle->in[0], sizeof handle->in[0], flags);

	if (len < 0) {
		note_error(lane, errno);
		return false;
	}
	lane_receive(lane, handle->in[0], (uint32_t)len, handle_now_ns());
	return true;
}

/* All that has come to a lane, up to a batch. Returns how many datagrams. */
static int
receive_batch(struct slipring *handle, struct lane *lane, int flags)
{
	int n = recvmmsg(lane->fd, handle->in_messages, CLIENT_BATCH, flags, NULL);
	uint64_t now_ns;

	if (n < 0) {
		note_error(lane, errno);
		return 0;
	}
	now_ns = handle_now_ns();
	for (int i = 0; i < n; i++)
		lane_receive(lane, handle->in[i], handle->in_messages[i].msg_len, now_ns);
	return n;
}

void
socket_drain(struct lane *lane)
{
	while (receive_batch(lane->handle, lane, MSG_DONTWAIT) == CLIENT_BATCH)
		;
}

static bool
receive(struct slipring *handle, struct lane *lane, bool wait)
{
	if (lane->in_flight == 1)
		return receive_one(handle, lane, wait ? 0 : MSG_DONTWAIT);
	return receive_batch(handle, lane, wait ? MSG_WAITFORONE : MSG_DONTWAIT) > 0;
}

/* Sleeps until one of several sockets has something, or for less than a kernel tick. */
static void
sleep_on(struct slipring *handle, struct lane **busy, uint32_t n, uint64_t wait_ns)
{
	struct pollfd fds[SLIPRING_WORKERS_MAX];
	const struct timespec wait = { (time_t)(wait_ns / NS_PER_SEC), (long)(wait_ns % NS_PER_SEC) };

	for (uint32_t i = 0; i < n; i++)
		fds[i] = (struct pollfd){ busy[i]->fd, POLLIN, 0 };
	if (ppoll(fds, n, &wait, NULL) <= 0)
		return;
	for (uint32_t i = 0; i < n; i++)
		if (fds[i].revents)
			receive(handle, busy[i], false);
}

/* Asks every socket until one has something. */
static void
spin_on(struct slipring *handle, struct lane **busy, uint32_t n, uint64_t until_ns)
{
	bool some = false;

	do {
		for (uint32_t i = 0; i < n; i++)
			some |= receive(handle, busy[i], false);
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
	    handle->options.try_timeout_us >= RECEIVE_TIMEOUT_US;
}

void
socket_wait(struct slipring *handle, uint64_t timer_ns, uint64_t until_ns)
{
	struct lane *busy[SLIPRING_WORKERS_MAX];
	uint64_t now_ns = handle_now_ns(), end_ns = timer_ns < until_ns ? timer_ns : until_ns;
	uint32_t n = 0;

	for (uint32_t i = 0; i < handle->lane_count; i++)
		if (lane_busy(&handle->lanes[i]))
			busy[n++] = &handle->lanes[i];
	if (n == 0)
		return;
	if (end_ns <= now_ns || handle->options.spin)
		spin_on(handle, busy, n, end_ns);
	else if (coarse(handle, n, now_ns, until_ns))
		receive(handle, busy[0], true);
	else
		sleep_on(handle, busy, n, end_ns - now_ns);
}
