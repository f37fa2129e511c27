/*
 * api_cluster.h - /cluster, /v1/owners, /dist/metrics; private to the control plane.
 *
 * Threads: the HTTP thread. Memory: bodies are the caller's; the view is taken anew by each call.
 */
#ifndef SLIPRINGD_API_CLUSTER_H
#define SLIPRINGD_API_CLUSTER_H

#include "control/http.h"
#include "slipringd/api_view.h"

json_t *api_cluster_status(struct api_view *view);
json_t *api_cluster_members(struct api_view *view);
json_t *api_cluster_heartbeat(struct api_view *view);
json_t *api_cluster_metrics(struct api_view *view);
void api_cluster_ring(struct api_view *view, const struct http_request *request, struct http_reply *reply);
void api_cluster_owners(struct api_view *view, const struct http_request *request, struct http_reply *reply);

/* POST join, leave, drain and probe. */
void api_cluster_command(struct api_view *view, const struct http_request *request, struct http_reply *reply);

/* Why the node should not be sent traffic; NULL: it may. */
const char *api_cluster_unready(const struct api_view *view);

#endif
