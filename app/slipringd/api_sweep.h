/*
 * api_sweep.h - evict, expire and clear, on every node; private to the control plane.
 *
 * How: rounds of one bounded call a node (native operations evict, expire, flush), all nodes
 *   at once, until each has said that it is through. A node that does not answer is
 *   named; the others' part is done all the same.
 * Threads: api_sweep on the HTTP thread; the rest on the cache's.
 * Bounds: CACHE_WINDOW nodes a round; after API_SWEEP_MS what is not through stays so.
 */
#ifndef SLIPRINGD_API_SWEEP_H
#define SLIPRINGD_API_SWEEP_H

#include "control/http.h"
#include "slipringd/api_view.h"
#include "slipringd/cache.h"

enum { API_SWEEP_MS = 5000, API_EVICT_DEFAULT = 100, API_EVICT_MAX = 100000 };

/* POST /v1/cache/evict, expire and clear. */
void api_sweep(struct api_view *view, struct cache *cache, const struct http_request *request,
    struct http_reply *reply);

#endif
