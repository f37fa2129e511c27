/*
 * upload.h - values that do not fit one frame, on their way in.
 *
 * Purpose: BEGIN takes an unpublished item of the whole length from the owner's
 *   budget and answers a handle; chunks are written at their offsets; COMMIT
 *   publishes the item, when every byte has come, as one SET.
 * Rules: 1. chunks may come in any order, overlap and repeat. 2. A repeated BEGIN
 *   (client and sequence) answers the same handle. 3. A COMMIT with bytes missing
 *   answers UPLOAD_INCOMPLETE and changes nothing; any other ends the upload, and
 *   at-most-once (once.h) answers its repetitions. 4. An upload without a message
 *   for UPLOAD_IDLE_NS is given up. 5. A handle is good for the client that began,
 *   names owner, entry and generation, and dies with the process.
 * How: received bytes are a sorted list of spans; a client that sends in order
 *   with a window keeps it as short as its gaps. A chunk that would need more than
 *   UPLOAD_SPANS_MAX answers BUSY and is to be sent again when gaps have closed.
 * Threads: the owner's lcore. Memory: the table; items from the shard.
 */
#ifndef SERVE_UPLOAD_H
#define SERVE_UPLOAD_H

#include "base/limits.h"
#include "base/now.h"
#include "proto/request.h"
#include "store/store.h"

#define UPLOAD_IDLE_NS (UPLOAD_IDLE_S * NS_PER_SEC)

struct upload {
	struct item *item; /* NULL: the entry is free */
	uint64_t digest;
	uint64_t client, sequence; /* of BEGIN */
	uint64_t last_ns;          /* of the last message */
	uint32_t generation;
	uint32_t span_count;
	struct span {
		uint32_t from, to; /* bytes [from, to) have come; ascending, apart */
	} spans[UPLOAD_SPANS_MAX];
};

struct uploads {
	/* set once */
	struct shard *shard;
	uint8_t owner;
	/* owner lcore */
	uint32_t count;
	uint32_t generation; /* of the last upload begun */
	struct upload table[UPLOAD_MAX];
};

void uploads_init(struct uploads *uploads, struct shard *shard, uint8_t owner, uint32_t generation);
/* Gives up all uploads. */
void uploads_deinit(struct uploads *uploads) ON_WORKER;

/* The upload that a BEGIN of (client, sequence) has begun before, or NULL. */
struct upload *upload_begun(struct uploads *uploads, uint64_t client, uint64_t sequence);

/* Begins one with an item whose flags and expiry are set; NULL when the table is full. */
struct upload *upload_begin(struct uploads *uploads, const struct now *now, uint64_t client,
    uint64_t sequence, uint64_t digest, struct item *item);

uint64_t upload_handle(const struct uploads *uploads, const struct upload *upload);

/* The upload of a handle, if it is this client's; NULL otherwise. Counts as a message. */
struct upload *upload_find(struct uploads *uploads, const struct now *now, uint64_t client, uint64_t handle);

/* Writes a chunk: OK, BAD_RANGE or BUSY. */
enum op_status upload_write(struct upload *upload, uint32_t offset, struct view chunk);

bool upload_is_whole(const struct upload *upload);

/* Ends an upload; its item is the caller's to publish or give back. */
struct item *upload_end(struct uploads *uploads, struct upload *upload);

/* Gives up what has been silent too long. */
void uploads_tick(struct uploads *uploads, const struct now *now) ON_WORKER;

#endif
