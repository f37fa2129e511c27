/*
 * api_metrics.h - /metrics; private to the control plane.
 *
 * Every counter of counter.def and drop.def, the store's, the ports' and the
 * process's figures, and in a cluster its members', in Prometheus' text format; a worker
 * or a peer is a label.
 */
#ifndef SLIPRINGD_API_METRICS_H
#define SLIPRINGD_API_METRICS_H

#include "control/http.h"
#include "slipringd/api_body.h"

/* A text to be freed and its length; NULL when memory is out. */
char *api_metrics(struct api_view *view, const struct api_sample *since, const struct http_figures *http, size_t *len);

#endif
