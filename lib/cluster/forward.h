/*
 * forward.h - operations on other nodes' keys: asked there, answered here, and the other way round.
 *
 * Purpose: slots that workers mail because a key is another node's (base/deferred.h) become calls
 *   to the owners; answers fill the slots, which go home. Calls of other nodes become slots for
 *   our workers, and what these answer goes back. Slots, messages, tables and time come in;
 *   messages to post and slots to mail come out, one by one, when the caller asks for them.
 *
 *   A job is one slot that waits; a call is one member asked for some of its operations.
 *     Queued  -> Asked    the message was taken by the link
 *     Asked   -> done     answered: response frames, or a status
 *             -> Waiting  the member does not own the keys: its table or ours is behind
 *             -> Queued   lost with the member's life, and only reads (writes: OWNER_TIMEOUT)
 *     Waiting -> Queued   our table has moved, or FORWARD_RETRY_NS passed: to whom owns it then
 *   A job ends when all its calls have, or at its deadline.
 *   Native slots: a call carries the client's frame; response frames are kept as they come.
 *   memcached slots (forward_memcached.c): commands become native operations, in frames of their
 *   owners; results become the slot's `answers`. Commands before a flush are asked before it, those
 *   behind it after it. The rest of a large value is pulled by ranges; every round is a new deadline. A frame with a
 *   command that says more, or is told more, than native words can, goes to each owner as a batch, as asks do.
 *   Slots of asks (forward_ask.c), for connections: the requests are the ask's own, and go to their owners in
 *   batches (proto/batch.h); responses go into the ask, and their values into blocks that are lent until the worker
 *   has composed. For another node's requests there is an ask of our own, which the workers run.
 * What an operation that was not answered comes to: OWNER_DEAD, the owner is dead and was asked
 *   nothing; OWNER_TIMEOUT, it was asked and did not answer in time, or died over it (a write);
 *   STALE_EPOCH, nobody asked took itself for the owner until the deadline; BUSY, too much is
 *   under way here, on the link, or there. PARTIAL: a flush that not all members carried out.
 * No loops: an asked node never asks on (CALL_HOPS_MAX), and says instead what is not its own.
 * Threads: none of its own; the control core's. Memory: forward_init() takes it all. Pure.
 * Invariants (forward_check): 1. a job has at least one call, or is gone. 2. calls of one job ask
 *   for different operations, flushes apart. 3. jobs ascend by deadline.
 * Bounds: FORWARD_JOBS_MAX slots wait, FORWARD_CALLS_MAX calls are out, FORWARD_SLOTS_MAX of other
 *   nodes' frames are with our workers, FORWARD_LOANS large memcached replies are gathered, FORWARD_BLOCKS bytes
 *   of batches are kept; what is beyond is answered BUSY at once.
 */
#ifndef CLUSTER_FORWARD_H
#define CLUSTER_FORWARD_H

#include "base/blocks.h"
#include "base/deferred.h"
#include "base/now.h"
#include "proto/ask.h"
#include "proto/call.h"
#include "proto/link.h"
#include "ring/table.h"

enum {
	FORWARD_JOBS_MAX = 2048,
	FORWARD_CALLS_MAX = 4096,
	FORWARD_SLOTS_MAX = 512,
	FORWARD_REFUSALS_MAX = 1024,
	/* memcached's large values: what does not fit a slot's reply has a loan. */
	FORWARD_LOANS = 8,
	FORWARD_LOAN_SIZE = SPARE_MAX * 1408, /* more cannot be answered over UDP */
	FORWARD_PULLS = 4,   /* frames of ranges on their way at once */
	FORWARD_TRIES = 4,   /* of values that change meanwhile */
	FORWARD_SHIFT_MAX = 8, /* half as many ranges in a frame, so often */
	FORWARD_MESSAGE_MAX = 16384, /* what a memcached frame becomes, at most */
	/* Batches of requests with our workers, and responses that workers compose: at most 32 of the largest. */
	FORWARD_BLOCKS = 64 << 20,
	FORWARD_LENT_MAX = 1024, /* slots that have such responses */
};

#define FORWARD_PATIENCE_NS (800 * NS_PER_MS)
/* A table on its way by gossip is there soon after. */
#define FORWARD_RETRY_NS (10 * NS_PER_MS)
/* The link takes no more answers: again then. */
#define FORWARD_AGAIN_NS NS_PER_MS

struct forward_config {
	uint64_t self; /* member id */
	uint32_t worker_count;
};

enum forward_call_state { FORWARD_FREE = 0, FORWARD_QUEUED, FORWARD_ASKED, FORWARD_WAITING };

struct forward_call {
	struct forward_call *next;             /* free list, queue, or those that wait */
	struct forward_call *before, *after;   /* of its job */
	struct forward_job *job;               /* NULL: given up while in a queue */
	uint64_t id;                           /* generation and index */
	uint64_t member, epoch, retry_ns;
	uint64_t ops;                          /* of the job, not answered yet */
	uint64_t frame;                        /* memcached: operations in the frame, in order; or ranges, see pull */
	uint32_t pull_from;                    /* offset of the first range */
	bool pull;                             /* ops are ranges of the job's pull_op */
	uint8_t state;                         /* enum forward_call_state */
};

struct forward_job {
	struct forward_job *before, *after; /* by deadline; free list by after */
	struct deferred *slot;
	struct forward_call *calls;
	uint64_t deadline_ns;
	uint64_t reads, flushes;            /* operations, of those kinds */
	uint64_t told;                      /* operations whose status stands below */
	uint8_t statuses[FRAME_OPS_MAX];
	/* memcached */
	bool inner;
	bool batch;                         /* some command says, or asks for, what native words do not: all go in batches */
	uint8_t tries, pull_shift;
	uint8_t pull_op;
	uint8_t pull_status;                /* of the round under way; OK so far */
	uint32_t pull_end;                  /* the value is there up to here when the round has succeeded */
	uint32_t bytes_used, bytes_size;    /* behind answers */
	uint64_t later;                     /* operations of later stages; of an ask, of later messages */
	uint64_t partial;                   /* values not whole yet; response.number: bytes that are */
	struct answers *answers;
	/* asks */
	struct ask *ask;
	struct forward_piece *pieces;       /* what values of its responses stand in */
};

/* A block with bytes of a batch. */
struct forward_piece {
	struct forward_piece *next;
	uint32_t size;
	_Alignas(8) uint8_t bytes[];
};

/* Pieces that a worker reads until it has composed. */
struct forward_lent {
	_Atomic bool out; /* cleared by the worker */
	struct forward_piece *pieces;
};

/* Another node's requests, while our workers run them and until they are answered. */
struct forward_ask {
	struct ask ask; /* first: slots name it */
	struct forward_ask *next;
	uint64_t member, call;
	uint64_t ops, stale, sent;
	struct forward_piece *piece; /* where all of it stands */
};

/* A slot for another node's frame. */
struct forward_slot {
	struct deferred deferred; /* first: a slot that comes home is one of these */
	uint64_t member, call;    /* who asked, and its number for it */
};

/* An answer without a slot: nothing was run. */
struct forward_refusal {
	uint64_t member, call, ops;
	uint8_t status;
};

struct forward_counters {
	uint64_t asked, answered;      /* operations of ours, at other nodes */
	uint64_t run;                  /* operations of others, run here */
	uint64_t stale, retried;       /* operations that met a node which does not own them; asked again */
	uint64_t owner_dead, owner_timeout, stale_epoch, busy, partial; /* operations that ended so */
	uint64_t refused;              /* operations of others not taken */
	uint64_t late;                 /* answers nobody waits for */
	uint64_t malformed;            /* messages not to be read */
	uint64_t pulls;                /* ranges of memcached's large values asked for */
};

struct forward {
	struct forward_config config;
	const struct ring_snapshot *ring; /* NULL: none yet */
	uint16_t self;                    /* our position in it */
	struct forward_job *jobs, *free_jobs, *first_job, *last_job;
	struct forward_call *calls, *free_calls;
	struct forward_queue { struct forward_call *first, *last; } queued, waiting;
	struct forward_slot *slots;
	uint8_t *replies;
	struct deferred *free_slots;
	struct forward_line { struct deferred *first, *last; } mail, home; /* to be mailed; answers to be posted */
	struct forward_refusal *refusals;
	uint32_t refusal_first, refusal_count;
	uint64_t again_ns;                /* no answer is posted before; 0: now */
	/* the message last handed out */
	enum { FORWARD_NOTHING, FORWARD_REFUSAL, FORWARD_HOME, FORWARD_BATCH, FORWARD_CALL } posting;
	uint8_t head[CALL_RECORD_LEN];
	uint32_t posting_count;           /* calls in it */
	uint8_t *message;                 /* scratch: FORWARD_MESSAGE_MAX */
	struct request *requests;         /* scratch: FRAME_OPS_MAX */
	uint8_t *loans;                   /* FORWARD_LOANS of FORWARD_LOAN_SIZE */
	_Atomic bool lent[FORWARD_LOANS]; /* cleared by the worker whose slot it was */
	struct blocks blocks;
	struct forward_lent *lents;
	uint32_t lent_count;              /* of them out, or not known to be back */
	struct forward_ask *first_ask, *last_ask; /* run, to be answered */
	uint64_t posting_ops;             /* of the first one, in the message last handed out */
	uint8_t *batch;                   /* scratch: LINK_MESSAGE_MAX */
	struct forward_counters counters;
};

/* False: no memory. */
bool forward_init(struct forward *forward, const struct forward_config *config);
void forward_deinit(struct forward *forward);

/* Another table is in force. It stays where it is until the next call. */
void forward_ring(struct forward *forward, struct now now, const struct ring_snapshot *ring);

/* A slot came by mail: one that waits for other nodes, or one of ours that a worker has run. */
void forward_slot(struct forward *forward, struct now now, struct deferred *slot);

/* A message of member `from`. */
void forward_message(struct forward *forward, struct now now, uint64_t from, struct view message);

/* The message of this tag will not arrive. */
void forward_lost(struct forward *forward, struct now now, uint64_t tag);

/* A member died or restarted: it answers nothing of what it was asked. */
void forward_gone(struct forward *forward, struct now now, uint64_t member);

/* What time brings: deadlines, retries. */
void forward_tick(struct forward *forward, struct now now);
/* When to call it: mono_ns, UINT64_MAX never. */
uint64_t forward_deadline(const struct forward *forward);

/* The next message to be posted; its views live until forward_posted(). False: none. */
struct forward_post {
	uint64_t member, tag;
	struct view head, body;
};
bool forward_post(struct forward *forward, struct now now, struct forward_post *post);

enum forward_result { FORWARD_SENT, FORWARD_BUSY, FORWARD_UNREACHABLE };
void forward_posted(struct forward *forward, struct now now, enum forward_result result);

/* The next slot to be mailed to slot->to: a worker, or its home. NULL: none. */
struct deferred *forward_mail(struct forward *forward);

void forward_check(const struct forward *forward);

#endif
