/*
 * api_keys.h - /v1/cache/keys: the cluster's keys, a page at a time; private to the control plane.
 *
 * How: member by member in the order of their ids, shard by shard, position by position
 *   (native operation keys). The cursor says where the next page begins. A key is told by
 *   the node that owns it first; what other nodes still hold of earlier tables is left out.
 * Threads: api_keys_list on the HTTP thread; the rest on the cache's.
 * Bounds: API_KEYS_MAX keys and API_KEYS_MS a page, so a page may be short, or even empty, and
 *   have a cursor all the same.
 */
#ifndef SLIPRINGD_API_KEYS_H
#define SLIPRINGD_API_KEYS_H

#include "control/http.h"
#include "slipringd/api_view.h"
#include "slipringd/cache.h"

enum { API_KEYS_DEFAULT = 100, API_KEYS_MAX = 1000, API_KEYS_MS = 250 };

void api_keys_list(struct api_view *view, struct cache *cache, const struct http_request *request,
    struct http_reply *reply);

#endif
