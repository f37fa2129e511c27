/*
 * forward_state.h - what forward.c (jobs and calls), forward_owner.c (other nodes' frames) share.
 *
 * Threads: none. Memory: struct forward's. Nobody else includes this.
 */
#ifndef CLUSTER_FORWARD_STATE_H
#define CLUSTER_FORWARD_STATE_H

#include "cluster/forward.h"

/* forward.c */

/* The slot's operations parsed into forward->requests; false: not a frame that can be run. */
bool forward_parse(struct forward *forward, struct now now, struct deferred *slot, uint32_t *count);
/* What a member says to a call; `from` must be whom it asked. */
void forward_answer(struct forward *forward, struct now now, uint64_t from, const struct call_record *record);
void forward_line_add(struct forward_line *line, struct deferred *slot);
struct deferred *forward_line_take(struct forward_line *line);
void forward_mail_to(struct forward *forward, struct deferred *slot, uint8_t to);

/* forward_owner.c */
bool forward_slots_init(struct forward *forward);
void forward_slots_deinit(struct forward *forward);
/* Runs a frame here: for another member, or for ourselves when the slots have become ours meanwhile. */
void forward_run(struct forward *forward, struct now now, uint64_t from, const struct call_record *record);
/* A worker has run it. */
void forward_ran(struct forward *forward, struct now now, struct deferred *slot);
void forward_refuse(struct forward *forward, uint64_t member, uint64_t call, uint64_t ops, enum op_status status);

#endif
