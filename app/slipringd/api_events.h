/*
 * api_events.h - /cluster/events: what happens in the cluster, as server-sent events; private
 * to the control plane.
 *
 * Purpose: a stream of events, each with its number as id, so that a listener who comes back
 *   says which it has seen (Last-Event-ID). Between events a comment shows that the
 *   connection lives.
 * Threads: the HTTP thread. Memory: a listener's, of API_LISTENERS_MAX at most.
 * Source: "Server-sent events", HTML Living Standard, 9.2.
 */
#ifndef SLIPRINGD_API_EVENTS_H
#define SLIPRINGD_API_EVENTS_H

#include "control/http.h"
#include "slipringd/core.h"

enum { API_LISTENERS_MAX = 8, API_EVENTS_COMMENT_MS = 10000 };

struct api_events {
	struct core *core; /* NULL: not in a cluster */
	uint32_t listeners;
};

void api_events_get(struct api_events *events, const struct http_request *request, struct http_reply *reply);

#endif
