/*
 * refresh.h - asks TOPOLOGY: on connect, when a reply shows another epoch, when an
 *   owner is silent or an answer says STALE_EPOCH.
 *
 * Purpose: one question at a time, however many reasons there are, and pauses between
 *   them: REFRESH_GAP_MS after an answer, doubling up to REFRESH_GAP_MS_MAX after
 *   failures. It goes to the node that showed the epoch, else to any that is up, on
 *   a lane of its own, so that it waits behind nothing. A topology over one frame is
 *   read in pages, all of one epoch.
 *   An older epoch than ours is a node that is behind, and not asked about; unless for
 *   REFRESH_DOUBT_MS nobody confirmed ours: then the cluster was started anew.
 * Threads: the handle's. Memory: the topology's bytes while they come, 1 MiB at most.
 */
#ifndef CLIENT_REFRESH_H
#define CLIENT_REFRESH_H

#include <stdbool.h>
#include <stdint.h>

#include "client/slipring.h"

struct lane;
struct node;

enum {
	REFRESH_GAP_MS = 50,
	REFRESH_GAP_MS_MAX = 2000,
	REFRESH_DOUBT_MS = 3000,
	REFRESH_SIZE_MAX = 1 << 20,
};

struct refresh {
	bool wanted;
	bool complete;         /* bytes hold a whole topology, to be adopted at the next round */
	bool learned;          /* there was one, ever */
	uint32_t gap_ms;
	uint64_t next_ns;      /* not before */
	uint64_t confirmed_ns; /* when a reply last had our epoch */
	uint64_t finished;     /* attempts that ended, well or not */
	uint64_t adopted;      /* topologies that took effect */
	enum slipring_status status; /* of the last attempt */
	struct lane *lane;     /* NULL: nothing is being asked */
	struct node *source;   /* that is said to know more; dies with the next topology */
	uint32_t epoch;        /* of the first page */
	uint32_t len, total;
	uint8_t *bytes;
};

void refresh_want(struct slipring *handle, struct node *source);
/* A reply of `by` has another epoch than ours. */
void refresh_on_epoch(struct slipring *handle, uint32_t epoch, struct node *by, uint64_t now_ns);
/* Asks when it is time, adopts what has come. */
void refresh_step(struct slipring *handle, uint64_t now_ns);
/* When refresh_step has something to do; UINT64_MAX: not by itself. */
uint64_t refresh_deadline(const struct slipring *handle);
void refresh_close(struct slipring *handle);

#endif
