#include "control/http.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control/server.h"

enum { STEP_MS = 1000 };

uint64_t
server_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void
server_wake(struct http *http)
{
	eventfd_write(http->wake, 1);
}

const struct http_figures *
http_figures(const struct http *http)
{
	return &http->figures;
}

/* --- connections ------------------------------------------------------------------- */

static void
link_open(struct http *http, struct MHD_Connection *connection, bool tcp, void **socket_context)
{
	int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;

	for (int i = 0; i < LINKS_MAX; i++) {
		if (http->links[i].used)
			continue;
		http->links[i] = (struct link){ .used = true, .tcp = tcp, .fd = fd, .since_ms = server_now_ms() };
		http->figures.connections++;
		*socket_context = &http->links[i];
		return;
	}
}

static void
on_connection(struct http *http, struct MHD_Connection *connection, bool tcp, void **socket_context,
    enum MHD_ConnectionNotificationCode what)
{
	struct link *link = *socket_context;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		link_open(http, connection, tcp, socket_context);
	} else if (link) {
		link->used = false;
		http->figures.connections--;
	}
}

static void
on_unix(void *context, struct MHD_Connection *connection, void **socket_context,
    enum MHD_ConnectionNotificationCode what)
{
	on_connection(context, connection, false, socket_context, what);
}

static void
on_tcp(void *context, struct MHD_Connection *connection, void **socket_context,
    enum MHD_ConnectionNotificationCode what)
{
	on_connection(context, connection, true, socket_context, what);
}

/* A connection past its deadline is shut down here; libmicrohttpd sees its end and closes it. */
static void
end_overdue(struct http *http, uint64_t now_ms)
{
	for (int i = 0; i < LINKS_MAX; i++) {
		struct link *link = &http->links[i];

		if (!link->used || now_ms - link->since_ms < HTTP_DEADLINE_S * 1000ull)
			continue;
		shutdown(link->fd, SHUT_RDWR);
		link->since_ms = now_ms;
		http->figures.overdue++;
	}
}

/* --- the thread -------------------------------------------------------------------- */

static int
patience(const struct http *http)
{
	MHD_UNSIGNED_LONG_LONG timeout, least = http->streams ? HTTP_STREAM_STEP_MS : STEP_MS;

	for (int i = 0; i < 2; i++)
		if (http->daemons[i] && MHD_get_timeout(http->daemons[i], &timeout) == MHD_YES && timeout < least)
			least = timeout;
	return (int)least;
}

/* Now and then, not after every event: a busy server would ask them all the time. */
static void
wake_streams(struct http *http)
{
	uint64_t now_ms = server_now_ms();

	if (now_ms - http->streams_woken_ms < HTTP_STREAM_STEP_MS)
		return;
	http->streams_woken_ms = now_ms;
	http->streams = stream_wake(http, false);
}

static void *
serve(void *argument)
{
	struct http *http = argument;
	eventfd_t woken;
	struct pollfd fds[3] = { { http->wake, POLLIN, 0 }, { -1, POLLIN, 0 }, { -1, POLLIN, 0 } };

	for (int i = 0; i < 2; i++)
		if (http->daemons[i])
			fds[i + 1].fd = MHD_get_daemon_info(http->daemons[i], MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	while (!atomic_load_explicit(&http->stop, memory_order_relaxed)) {
		if (poll(fds, 3, patience(http)) > 0 && fds[0].revents)
			eventfd_read(http->wake, &woken);
		wake_streams(http);
		for (int i = 0; i < 2; i++)
			if (http->daemons[i])
				MHD_run(http->daemons[i]);
		end_overdue(http, server_now_ms());
	}
	return NULL;
}

/* Paths and queries are decoded where they are used: a key may hold any byte. */
static size_t
leave_escaped(void *context, struct MHD_Connection *connection, char *text)
{
	(void)context;
	(void)connection;
	return strlen(text);
}

static struct MHD_Daemon *
listen_unix(struct http *http)
{
	return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, exchange_on_request, http,
	    MHD_OPTION_LISTEN_SOCKET, http->config.unix_fd, MHD_OPTION_NOTIFY_COMPLETED, exchange_on_completed, http,
	    MHD_OPTION_NOTIFY_CONNECTION, on_unix, http, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_UNIX_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
	    (unsigned)HTTP_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_CONNECTION_BYTES,
	    MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
}

static struct MHD_Daemon *
listen_tcp(struct http *http)
{
	const struct security *security = http->config.security;
	struct MHD_OptionItem trust[] = { { MHD_OPTION_HTTPS_MEM_TRUST, 0, (void *)(uintptr_t)security->client_ca },
		{ MHD_OPTION_END, 0, NULL } };
	struct MHD_OptionItem tls[] = { { MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)security->cert },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)security->key },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" },
		{ security->client_ca ? MHD_OPTION_ARRAY : MHD_OPTION_END, 0, trust }, { MHD_OPTION_END, 0, NULL } };
	struct MHD_OptionItem none[] = { { MHD_OPTION_END, 0, NULL } };

	return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (security->cert ? MHD_USE_TLS : 0), 0, NULL, NULL,
	    exchange_on_request, http, MHD_OPTION_LISTEN_SOCKET, http->config.tcp_fd, MHD_OPTION_NOTIFY_COMPLETED,
	    exchange_on_completed, http, MHD_OPTION_NOTIFY_CONNECTION, on_tcp, http, MHD_OPTION_UNESCAPE_CALLBACK,
	    leave_escaped, NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_TCP_MAX,
	    MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)HTTP_TCP_PER_ADDRESS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
	    (unsigned)HTTP_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_CONNECTION_BYTES,
	    MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, security->cert ? tls : none, MHD_OPTION_END);
}

static enum status
start(struct http *http, struct error *error)
{
	http->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	http->daemons[0] = listen_unix(http);
	if (http->config.tcp_fd >= 0 && http->daemons[0])
		http->daemons[1] = listen_tcp(http);
	if (http->wake < 0 || !http->daemons[0] || (http->config.tcp_fd >= 0 && !http->daemons[1]))
		return error_set(error, STATUS_UNAVAILABLE, "the control plane's HTTP server did not start");
	http->running = pthread_create(&http->thread, NULL, serve, http) == 0;
	if (!http->running)
		return error_set(error, STATUS_UNAVAILABLE, "the control plane's HTTP thread did not start");
	pthread_setname_np(http->thread, "control-http");
	return STATUS_OK;
}

static void
close_listener(struct MHD_Daemon *daemon, int fd)
{
	if (daemon)
		MHD_stop_daemon(daemon); /* closes it, too */
	else if (fd >= 0)
		close(fd);
}

void
http_stop(struct http *http)
{
	if (!http)
		return;
	if (http->running) {
		atomic_store_explicit(&http->stop, true, memory_order_relaxed);
		server_wake(http);
		pthread_join(http->thread, NULL);
		stream_wake(http, true); /* none may be suspended when its server stops */
	}
	close_listener(http->daemons[1], http->config.tcp_fd);
	close_listener(http->daemons[0], http->config.unix_fd);
	if (http->wake >= 0)
		close(http->wake);
	free(http);
}

struct http *
http_start(const struct http_config *config, struct error *error)
{
	struct http *http = calloc(1, sizeof *http);

	if (!http) {
		error_set(error, STATUS_NO_MEMORY, "no memory for the control plane");
		close_listener(NULL, config->unix_fd);
		close_listener(NULL, config->tcp_fd);
		return NULL;
	}
	http->config = *config;
	http->wake = -1;
	if (start(http, error) == STATUS_OK)
		return http;
	http_stop(http);
	return NULL;
}
