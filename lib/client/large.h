/*
 * large.h - values that do not fit a frame.
 *
 * Purpose: reads pull ranges of one version, a window of them at a time, and
 *   start again (at most LARGE_RESTARTS times) when the value changed
 *   meanwhile. Writes go BEGIN, a window of chunks, COMMIT; COMMIT alone
 *   changes the store, at most once.
 * How: each range and chunk is an operation of its own, repeated like any
 *   other; a transfer only keeps count. Ranges go to whoever owns the key by then; an
 *   upload stays with one lane, and starts again at the key's owner when it is
 *   unknown there: the key has another owner, or the owner another boot.
 * Threads: the handle's.
 * Memory: SLIPRING_LARGE_MAX transfers are active, each read with a buffer of its
 *   value; others wait in line and hold their first frame's worth only.
 * Bounds: LARGE_WINDOW operations of a transfer in flight.
 */
#ifndef CLIENT_LARGE_H
#define CLIENT_LARGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "client/slipring.h"
#include "proto/request.h"

enum { LARGE_WINDOW = 32, LARGE_RESTARTS = 3 };

struct completion;
struct lane;

enum transfer_state { TRANSFER_WAITING, TRANSFER_OPENING, TRANSFER_MOVING, TRANSFER_CLOSING };

struct transfer {
	struct transfer *next;
	struct slipring *handle;
	struct lane *lane;           /* an upload's, whose client id its handle belongs to; pinned */
	enum transfer_state state;
	bool upload;
	enum slipring_status failed; /* first failure; ends when nothing is in flight */
	bool restart;                /* the failure allows another try */
	uint8_t restarts;
	uint32_t in_flight;
	uint32_t offset;             /* next byte to ask for or to send */
	uint32_t total_len, chunk_len;
	uint64_t version;            /* read: of the ranges; write: as committed */
	uint64_t upload_handle;
	struct request request;      /* key points to key[], value to the caller's bytes */
	slipring_done done;
	void *context;
	uint32_t flags;
	uint8_t *buffer;             /* read: total_len bytes */
	uint32_t first_len;
	uint8_t first[UDP_PAYLOAD_MAX];
	uint8_t key[KEY_LEN_MAX];
};

struct large {
	struct transfer *active;  /* list */
	uint32_t active_count;
	struct transfer *waiting, *waiting_last;
	struct transfer *retired; /* completed; buffers live until the next round */
};

/* A GET or GAT was answered in part: pull the rest, then call the application. */
void large_pull(struct slipring *handle, const struct completion *completion);
/* A SET too large for a frame. False: no memory. */
bool large_push(struct slipring *handle, const struct request *request,
    slipring_done done, void *context);
/* Queues what the windows allow. */
void large_step(struct slipring *handle, uint64_t now_ns);
/* Frees what completed in the round before. */
void large_tidy(struct slipring *handle);
/* Ends every transfer as CANCELLED; lanes are closed already. */
void large_close(struct slipring *handle);

#endif
