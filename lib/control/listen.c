#include "control/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HOST_SIZE = 64, BACKLOG = 64 };

static bool
parse_port(const char *text, uint16_t *port)
{
	unsigned long number = strtoul(text, NULL, 10);

	if (!*text || text[strspn(text, "0123456789")] || strlen(text) > 5 || number < 1 || number > 65535)
		return false;
	*port = (uint16_t)number;
	return true;
}

bool
listen_parse(const char *text, struct sockaddr_storage *address)
{
	struct sockaddr_in *four = (struct sockaddr_in *)address;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
	const char *colon = strrchr(text, ':');
	char host[HOST_SIZE];
	uint16_t port;

	if (!colon || (size_t)(colon - text) >= sizeof host || !parse_port(colon + 1, &port))
		return false;
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	memset(address, 0, sizeof *address);
	if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		return true;
	}
	size_t len = strlen(host);
	if (len < 3 || host[0] != '[' || host[len - 1] != ']')
		return false;
	host[len - 1] = '\0';
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	return inet_pton(AF_INET6, host + 1, &six->sin6_addr) == 1;
}

bool
listen_is_loopback(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

int
listen_tcp(const char *text, struct error *error)
{
	struct sockaddr_storage address;
	int on = 1, fd = -1;

	if (!listen_parse(text, &address)) {
		error_set(error, STATUS_INVALID, "control.listen %s: not an address and port such as 127.0.0.1:7480", text);
		return -1;
	}
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
	    (address.ss_family == AF_INET || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
	    bind(fd, (struct sockaddr *)&address, address.ss_family == AF_INET ? sizeof(struct sockaddr_in) :
	    sizeof(struct sockaddr_in6)) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	error_set(error, STATUS_UNAVAILABLE, "control.listen: cannot listen on %s: %s", text, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}
