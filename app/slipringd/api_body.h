/*
 * api_body.h - the JSON bodies of the control plane; private to it.
 *
 * Names are those of counter.def, drop.def and the native protocol's STATS groups.
 * Each returns a new json_t, or NULL when memory is out.
 */
#ifndef SLIPRINGD_API_BODY_H
#define SLIPRINGD_API_BODY_H

#include <jansson.h>

#include "control/http.h"
#include "slipringd/api_view.h"

/* Busy cycles at an earlier moment, to tell the ratio since then. */
struct api_sample {
	uint64_t cycles;
	uint64_t busy[WORKER_MAX];
};

void api_sample_take(struct api_sample *sample, const struct node *node);

/* Bit i: worker i does not poll. */
uint32_t api_stalled(const struct api_config *config);
/* Bit i: worker i does not receive what comes to its port. */
uint32_t api_deaf(const struct api_config *config);
/* Share of the time since a sample that a worker spent in rounds with work, to four digits. */
double api_busy_ratio(const struct api_config *config, const struct api_sample *since, uint32_t worker);

json_t *api_body_health(const struct api_config *config, bool *healthy);
json_t *api_body_ready(struct api_view *view, bool *ready);
json_t *api_body_config(const struct api_config *config);
json_t *api_body_debug(struct api_view *view, const struct http_figures *http);
json_t *api_body_stats(const struct api_config *config);
json_t *api_body_workers(const struct api_config *config, const struct api_sample *since);
json_t *api_body_sockets(const struct api_config *config);

#endif
