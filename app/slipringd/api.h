/*
 * api.h - the control plane: HTTP and JSON on a UNIX socket.
 *
 * Purpose: GET /healthz, /stats, /workers, /sockets, /log-level, PUT /log-level.
 *   Kernel networking and a thread of its own, so that it answers even when the
 *   data plane is saturated, and never on a worker's time.
 * Threads: api_start and api_stop on the main thread; requests on libmicrohttpd's
 *   thread, which reads relaxed counters and what is fixed after start.
 * Memory: bounded by API_CONNECTIONS_MAX connections of 32 KiB.
 * Access: whoever may open the socket, which is its owner (mode 0600).
 */
#ifndef SLIPRINGD_API_H
#define SLIPRINGD_API_H

#include "slipringd/node.h"

enum { API_CONNECTIONS_MAX = 32 };

struct api_config {
	const char *path;      /* of the socket */
	const char *node_id;
	const struct node *node;
	const _Atomic uint32_t *stalled; /* bit i: worker i does not poll; /healthz answers 503 */
};

struct api;

struct api *api_start(const struct api_config *config, struct error *error) MUST_USE;
void api_stop(struct api *api); /* removes the socket; NULL is nothing */

#endif
