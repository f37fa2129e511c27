/*
 * link_core.h - what the parts of the link share. Nobody else includes this.
 *
 * Threads: none. Memory: the cluster's.
 */
#ifndef CLUSTER_LINK_CORE_H
#define CLUSTER_LINK_CORE_H

#include "base/check.h"
#include "cluster/core.h"

static inline struct link_segment *
segment_at(const struct link *link, uint32_t index)
{
	return &link->segments[index];
}

static inline struct link_segment *
segment_out(const struct link *link, const struct link_peer *peer, uint64_t sequence)
{
	return &link->segments[peer->out[sequence % LINK_WINDOW]];
}

static inline uint32_t
action_room(const struct cluster *c)
{
	return CLUSTER_ACTIONS_MAX - c->actions->count;
}

/* Whether this peer may have `count` segments more. */
static inline bool
link_allowed(const struct link *link, const struct link_peer *peer, uint32_t count)
{
	return (uint64_t)peer->held + 2ull * count <= (uint64_t)link->free_count + 1;
}

/* link.c: segments, lists, who has something to send, what is due */
uint32_t link_take(struct link *link, struct link_peer *peer);
void link_give(struct link *link, struct link_peer *peer, uint32_t index);
void link_append(struct link *link, struct link_list *list, uint32_t index);
uint32_t link_remove_first(struct link *link, struct link_list *list);
void link_ready(struct link *link, struct link_peer *peer);
void link_schedule(struct link *link, struct link_peer *peer);

/* link_send.c */
/* What the peer says has arrived. False: that makes no sense. */
bool link_acknowledged(struct cluster *c, struct link_peer *peer, const struct link_header *header);
/* Sends what may leave now, at most LINK_TURN packets; true: there is more. */
bool link_flush(struct cluster *c, struct link_peer *peer);
void link_send_timers(struct cluster *c, struct link_peer *peer);
/* Gives up all that was posted and begins a new generation. */
void link_reset(struct cluster *c, struct link_peer *peer);

/* link_receive.c */
void link_segment_in(struct cluster *c, struct link_peer *peer, const struct link_header *header, struct reader *in);
void link_receive_timers(struct cluster *c, struct link_peer *peer);
/* Gives up what is half there: nothing of this generation is taken any more. */
void link_close(struct link *link, struct link_peer *peer);
/* What has arrived, as the peer is to be told. */
void link_ack_fill(struct link_peer *peer, uint64_t now_ns, struct link_header *header);
/* What was handed over in the last step may be written over. */
void link_buffers_free(struct link *link);

#endif
