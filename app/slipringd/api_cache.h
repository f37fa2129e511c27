/*
 * api_cache.h - /v1/cache: HTTP to cache jobs and back; private to the control plane.
 *
 * Threads: handlers on the HTTP thread; replies are filled on the cache's thread.
 * Memory: one allocation a request for its operations, given back when the reply is filled.
 */
#ifndef SLIPRINGD_API_CACHE_H
#define SLIPRINGD_API_CACHE_H

#include "control/http.h"
#include "slipringd/cache.h"

enum { API_BATCH_MAX = 256 };

void api_cache_get(struct cache *cache, const struct http_request *request, struct http_reply *reply);
void api_cache_put(struct cache *cache, const struct http_request *request, struct http_reply *reply);
void api_cache_delete(struct cache *cache, const struct http_request *request, struct http_reply *reply);
/* For the three batch routes. */
void api_cache_batch(struct cache *cache, const struct http_request *request, struct http_reply *reply);

/* Of enum op_status and CACHE_TIMEOUT: as a stable code, and as an HTTP error. */
const char *api_status_name(int status);
void api_refuse_status(struct http_reply *reply, int status);

#endif
