/*
 * forward_state.h - what forward.c (jobs and calls), forward_post.c (messages out), forward_memcached.c
 *   (jobs of memcached frames) and forward_owner.c (other nodes' frames) share.
 *
 * Threads: none. Memory: struct forward's. Nobody else includes this.
 */
#ifndef CLUSTER_FORWARD_STATE_H
#define CLUSTER_FORWARD_STATE_H

#include "cluster/forward.h"
#include "proto/answers.h"
#include "proto/batch.h"

/* forward.c */

/* The slot's operations parsed into forward->requests; false: not a frame that can be run. */
bool forward_parse(struct forward *forward, struct now now, struct deferred *slot, uint32_t *count);
/* What a member says to a call; `from` must be whom it asked. */
void forward_answer(struct forward *forward, struct now now, uint64_t from, const struct call_record *record);
void forward_line_add(struct forward_line *line, struct deferred *slot);
struct deferred *forward_line_take(struct forward_line *line);
void forward_mail_to(struct forward *forward, struct deferred *slot, uint8_t to);

struct forward_call *forward_queue_take(struct forward_queue *queue);
/* Back to the free ones; its number is another one then. */
void forward_call_release(struct forward *forward, struct forward_call *call);
/* Out of its job; while it stands in a queue, the queue lets go of it later. */
void forward_call_end(struct forward *forward, struct forward_call *call);
/* Operations of a call that are answered by a status of this node; a range that fails is a matter of its round. */
void forward_call_fail(const struct forward_call *call, uint64_t ops, enum op_status status);
/* The slot goes home when all calls of the job have ended, and none follow. */
void forward_finish_if_done(struct forward *forward, struct now now, struct forward_job *job);
/* Operations of a job that are answered by a status of this node. */
void forward_fail(struct forward_job *job, uint64_t ops, enum op_status status);
/* A call to be posted, appended to the queue; when there is none left, BUSY. */
struct forward_call *forward_call_add(struct forward *forward, struct forward_job *job, uint64_t member, uint64_t ops);
/* Calls to the owners of the operations named, requests [0, count) being in forward->requests. */
void forward_ask_owners(struct forward *forward, struct forward_job *job, uint32_t count, uint64_t ops);
void forward_note_kinds(struct forward *forward, struct forward_job *job, uint32_t count);
void forward_ask_all(struct forward *forward, struct forward_job *job, uint64_t ops);
/* From now on for another FORWARD_PATIENCE_NS. */
void forward_extend(struct forward *forward, struct now now, struct forward_job *job);

/* forward_memcached.c */

bool forward_memcached_init(struct forward *forward);
void forward_memcached_deinit(struct forward *forward);
/* Requests of the frame into forward->requests; returns how many. */
uint32_t forward_memcached_parse(struct forward *forward, struct now now, struct deferred *slot);
/* A place for the answers of a slot, in the slot. */
void forward_memcached_open(struct forward_job *job);
void forward_memcached_start(struct forward *forward, struct now now, struct forward_job *job);
void forward_memcached_tell(struct forward_job *job, uint64_t ops, enum op_status status);
/* Calls for operations of one owner: as many as there are frames. */
void forward_memcached_ask(struct forward *forward, struct forward_job *job, uint64_t member, uint64_t ops);
/* Appends a queued call's record to a message, in native words; false: no room. */
bool forward_memcached_compose(struct forward *forward, struct now now, const struct forward_call *call,
    struct writer *out);
/* What a record's bits say of a call's frame as the job's operations (or ranges), and the other way. */
uint64_t forward_memcached_ops(const struct forward_call *call, uint64_t bits);
uint64_t forward_memcached_bits(const struct forward_call *call, uint64_t ops);
/* Takes results out of response frames; which of the call's ops had one. */
uint64_t forward_memcached_results(struct forward *forward, struct now now, struct forward_call *call, struct view body);
/* Takes responses out of a batch; which of `ops` had one. */
uint64_t forward_memcached_batch(struct forward *forward, struct now now, struct forward_job *job, uint64_t ops,
    struct view body);
/* All calls of the job have ended: whether there are others now. */
bool forward_memcached_next(struct forward *forward, struct now now, struct forward_job *job);
/* The job ends before its time: what has no answer yet. */
void forward_memcached_cut(struct forward_job *job);
/* The slot takes the answers home. */
void forward_memcached_finish(const struct forward_job *job);

/* forward_ask.c */

bool forward_ask_init(struct forward *forward);
void forward_ask_deinit(struct forward *forward);
/* The slot's requests into forward->requests; returns how many. */
uint32_t forward_ask_parse(struct forward *forward, const struct forward_job *job);
void forward_ask_tell(struct forward_job *job, uint64_t ops, enum op_status status);
/* A call for requests of one owner; what does not fit its message comes later. */
void forward_ask_member(struct forward *forward, struct forward_job *job, uint64_t member, uint64_t ops);
/* A call's record, in forward->batch: of a connection's requests, or of a memcached frame's. */
struct call_record forward_ask_compose(struct forward *forward, struct now now, const struct forward_call *call);
/* Takes responses out of an answer; which of `ops` had one. */
uint64_t forward_ask_results(struct forward *forward, struct now now, struct forward_job *job, uint64_t ops, struct view body);
/* All calls of the job have ended: whether there was something left. */
bool forward_ask_next(struct forward *forward, struct now now, struct forward_job *job);
/* The job ends before its time. */
void forward_ask_cut(struct forward_job *job);
/* The slot takes the responses' values home. */
void forward_ask_finish(struct forward *forward, struct forward_job *job);
/* Runs requests here: for another member, or for ourselves. */
void forward_ask_run(struct forward *forward, struct now now, uint64_t from, const struct call_record *record);
/* A worker has run its part. */
void forward_ask_ran(struct forward *forward, struct now now, struct deferred *slot);
/* The next answer, in forward->batch. */
struct call_record forward_ask_answer(struct forward *forward, struct now now);
/* It was taken, or its asker is gone. */
void forward_ask_answered(struct forward *forward, bool gone);

/* forward_owner.c */
bool forward_slots_init(struct forward *forward);
void forward_slots_deinit(struct forward *forward);
/* Runs a frame here: for another member, or for ourselves when the slots have become ours meanwhile. */
void forward_run(struct forward *forward, struct now now, uint64_t from, const struct call_record *record);
/* A worker has run it. */
void forward_ran(struct forward *forward, struct now now, struct deferred *slot);
/* Refuses a caller, who may be this node. */
void forward_refuse_call(struct forward *forward, struct now now, uint64_t from, const struct call_record *record,
    uint64_t ops, enum op_status status);
/* A slot for an asker's call, forwarded; NULL: there is none. */
struct deferred *forward_slot_take(struct forward *forward, uint64_t from, const struct call_record *record);
void forward_slot_give(struct forward *forward, struct deferred *slot);
/* The worker of a request: its shard's owner; what has none goes to any. */
uint32_t forward_worker_of(const struct forward *forward, const struct request *request);
void forward_refuse(struct forward *forward, uint64_t member, uint64_t call, uint64_t ops, enum op_status status);

#endif
