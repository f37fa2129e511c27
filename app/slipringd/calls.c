#include "slipringd/calls.h"

#include <stdlib.h>

#include "base/check.h"
#include "cluster/forward.h"

struct calls {
	struct forward forward;
	struct mailbox *slots;
	struct mailbox *mailboxes[DEFERRED_HOMES];
	void *outgoing[DEFERRED_HOMES][CALLS_BURST]; /* slots by mailbox, sent together: one wake-up */
	uint32_t outgoing_count[DEFERRED_HOMES];
};

struct calls *
calls_create(uint64_t self, uint32_t worker_count, struct mailbox *slots, struct error *error)
{
	struct calls *calls = calloc(1, sizeof *calls);

	if (calls && forward_init(&calls->forward, &(struct forward_config){ .self = self, .worker_count = worker_count })) {
		calls->slots = slots;
		return calls;
	}
	free(calls);
	error_set(error, STATUS_NO_MEMORY, "no memory for operations on other nodes' keys");
	return NULL;
}

void
calls_connect(struct calls *calls, struct mailbox *const mailboxes[DEFERRED_HOMES])
{
	for (uint32_t i = 0; i < DEFERRED_HOMES; i++)
		calls->mailboxes[i] = mailboxes[i];
}

void
calls_destroy(struct calls *calls)
{
	if (!calls)
		return;
	forward_deinit(&calls->forward);
	free(calls);
}

bool
calls_receive(struct calls *calls, struct now now)
{
	void *mails[CALLS_BURST];
	uint32_t n = mailbox_receive(calls->slots, mails, CALLS_BURST);

	for (uint32_t i = 0; i < n; i++)
		forward_slot(&calls->forward, now, mails[i]);
	return n > 0;
}

void
calls_action(struct calls *calls, struct now now, const struct cluster_action *action)
{
	bool gone = action->kind == CLUSTER_NEWS && (action->news == CLUSTER_RESTARTED ||
	    (action->news == CLUSTER_STATE && (action->state == PEER_DEAD || action->state == PEER_LEFT)));

	if (action->kind == CLUSTER_MESSAGE)
		forward_message(&calls->forward, now, action->id, action->message);
	else if (action->kind == CLUSTER_LOST)
		forward_lost(&calls->forward, now, action->tag);
	else if (gone)
		forward_gone(&calls->forward, now, action->id);
}

void
calls_ring(struct calls *calls, struct now now, const struct serve_ring *ring)
{
	forward_ring(&calls->forward, now, &ring->snapshot);
}

static void
deliver(struct calls *calls, uint32_t to)
{
	uint32_t n = calls->outgoing_count[to];

	if (n > 0) /* mailboxes have room for every slot there is */
		CHECK(mailbox_send_many(calls->mailboxes[to], calls->outgoing[to], n) == n);
	calls->outgoing_count[to] = 0;
}

static enum forward_result
result_of(enum cluster_post posted)
{
	return posted == CLUSTER_POST_OK ? FORWARD_SENT : posted == CLUSTER_POST_BUSY ? FORWARD_BUSY : FORWARD_UNREACHABLE;
}

void
calls_send(struct calls *calls, struct now now, struct cluster *cluster)
{
	struct forward *forward = &calls->forward;
	struct forward_post post;
	struct deferred *slot;

	forward_tick(forward, now);
	while (forward_post(forward, now, &post))
		forward_posted(forward, now, result_of(cluster_post(cluster, now, post.member, post.head, post.body, post.tag)));
	while ((slot = forward_mail(forward)) != NULL) {
		calls->outgoing[slot->to][calls->outgoing_count[slot->to]++] = slot;
		if (calls->outgoing_count[slot->to] == CALLS_BURST)
			deliver(calls, slot->to);
	}
	for (uint32_t to = 0; to < DEFERRED_HOMES; to++)
		deliver(calls, to);
}

uint64_t
calls_deadline(const struct calls *calls)
{
	return forward_deadline(&calls->forward);
}

void
calls_count(const struct calls *calls, struct counters *counters)
{
	const struct forward_counters *c = &calls->forward.counters;
	const struct { enum counter counter; uint64_t value; } figures[] = {
		{ COUNTER_FORWARD_ANSWERED, c->answered }, { COUNTER_FORWARD_RETRIED, c->retried },
		{ COUNTER_FORWARD_OWNER_DEAD, c->owner_dead }, { COUNTER_FORWARD_OWNER_TIMEOUT, c->owner_timeout },
		{ COUNTER_FORWARD_STALE_EPOCH, c->stale_epoch }, { COUNTER_FORWARD_BUSY, c->busy },
		{ COUNTER_FORWARD_PARTIAL, c->partial }, { COUNTER_FORWARD_RUN, c->run }, { COUNTER_FORWARD_STALE, c->stale },
		{ COUNTER_FORWARD_REFUSED, c->refused }, { COUNTER_FORWARD_LATE, c->late },
		{ COUNTER_FORWARD_MALFORMED, c->malformed },
	};

	for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
		__atomic_store_n(&counters->values[figures[i].counter], figures[i].value, __ATOMIC_RELAXED);
}
