/* The hosts that a handle was opened with. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/handle.h"

enum { HOST_LEN_MAX = 255 };

static bool
bad(struct slipring *handle, enum slipring_status status, const char *what, const char *host)
{
	handle->ready = handle_fail(handle, status, what, host);
	return false;
}

/*
 * Splits ":7411" off, and the brackets that an IPv6 address has before one (RFC 3986 3.2.2). Without them
 * an address with several colons is all address. 0: it is no port.
 */
static uint32_t
take_port(char *host, uint32_t otherwise)
{
	char *colon = strrchr(host, ':'), *end;
	unsigned long port;

	if (host[0] == '[') {
		char *bracket = strchr(host, ']');

		if (!bracket || (bracket[1] && bracket[1] != ':'))
			return 0;
		colon = bracket[1] ? bracket + 1 : NULL;
		memmove(host, host + 1, (size_t)(bracket - host));
		bracket[-1] = '\0';
	} else if (colon != strchr(host, ':')) {
		colon = NULL;
	}
	if (!colon)
		return otherwise;
	*colon = '\0';
	port = strtoul(colon + 1, &end, 10);
	return end == colon + 1 || *end || port > UINT16_MAX ? 0 : (uint32_t)port;
}

/* One host of the list; one that does not resolve is left out, and why stays in handle's error. */
static bool
add_host(struct slipring *handle, const char *text, size_t len)
{
	char host[HOST_LEN_MAX + 1];
	struct node_address address;
	const char *problem;
	uint32_t port;

	if (len == 0 || len > HOST_LEN_MAX || handle->node_count == SEEDS_MAX)
		return bad(handle, SLIPRING_BAD_ARGUMENT, len == 0 || len > HOST_LEN_MAX ?
		    "no host, or a name that is too long" : "more than 16 hosts", "");
	memcpy(host, text, len);
	host[len] = '\0';
	port = take_port(host, handle->options.port);
	if (port == 0 || host[0] == '\0')
		return bad(handle, SLIPRING_BAD_ARGUMENT, "\"%s\" is not host or host:port", host);
	problem = socket_resolve(host, &address);
	if (problem) {
		handle_fail(handle, SLIPRING_NO_HOST, "cannot resolve \"%s\": %s", host, problem);
		return true;
	}
	handle->nodes[handle->node_count] = node_create(strdup(host), &address, (uint16_t)port);
	if (!handle->nodes[handle->node_count])
		return bad(handle, SLIPRING_NO_MEMORY, "no memory for a host", "");
	handle->node_count++;
	return true;
}

bool
seed_nodes(struct slipring *handle, const char *hosts)
{
	const char *at = hosts ? hosts : "";

	handle->nodes = calloc(SEEDS_MAX, sizeof(struct node *));
	if (!handle->nodes)
		return bad(handle, SLIPRING_NO_MEMORY, "no memory for hosts", "");
	for (;;) {
		size_t len = strcspn(at, ",");

		if (!add_host(handle, at, len))
			return false;
		if (!at[len])
			break;
		at += len + 1;
	}
	if (handle->node_count == 0) {
		handle->ready = SLIPRING_NO_HOST;
		return false;
	}
	handle->error[0] = '\0';
	return true;
}
