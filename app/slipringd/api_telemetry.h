/*
 * api_telemetry.h - /slipring/ring, /slipring/members and /slipring/workers on DPDK's telemetry socket.
 *
 * Purpose: the same figures as the control plane's, for those who watch DPDK already.
 * Threads: started and stopped on the main thread; answers are made on a thread of DPDK's.
 * Memory: a view of its own.
 */
#ifndef SLIPRINGD_API_TELEMETRY_H
#define SLIPRINGD_API_TELEMETRY_H

#include "slipringd/api.h"

struct api_telemetry;

/* NULL: no memory. */
struct api_telemetry *api_telemetry_start(const struct api_config *config);
void api_telemetry_stop(struct api_telemetry *telemetry); /* NULL is nothing */

#endif
