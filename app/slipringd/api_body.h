/*
 * api_body.h - the JSON bodies of the control plane; private to it.
 *
 * Names are those of counter.def, drop.def and the native protocol's STATS groups.
 * Each returns a new json_t, or NULL when memory is out.
 */
#ifndef SLIPRINGD_API_BODY_H
#define SLIPRINGD_API_BODY_H

#include <jansson.h>

#include "slipringd/api.h"

/* Busy cycles at an earlier moment, to tell the ratio since then. */
struct api_sample {
	uint64_t cycles;
	uint64_t busy[WORKER_MAX];
};

void api_sample_take(struct api_sample *sample, const struct node *node);

json_t *api_body_health(const struct api_config *config, bool *healthy);
json_t *api_body_stats(const struct api_config *config);
json_t *api_body_workers(const struct api_config *config, const struct api_sample *since);
json_t *api_body_sockets(const struct api_config *config);

#endif
