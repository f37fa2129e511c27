#include "serve/defer.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

bool
defer_init(struct defer *defer, uint8_t home, uint32_t reply_size)
{
	*defer = (struct defer){ .home = home };
	defer->slots = calloc(DEFERRED_MAX, sizeof *defer->slots);
	defer->replies = calloc(DEFERRED_MAX, reply_size); /* pages come with their first use */
	if (!defer->slots || !defer->replies) {
		defer_deinit(defer);
		return false;
	}
	for (uint32_t i = DEFERRED_MAX; i-- > 0;) {
		defer->slots[i].home = home;
		defer->slots[i].reply = defer->replies + (size_t)i * reply_size;
		defer->slots[i].reply_size = reply_size;
		defer->slots[i].next_free = defer->free;
		defer->free = &defer->slots[i];
	}
	return true;
}

void
defer_deinit(struct defer *defer)
{
	free(defer->slots);
	free(defer->replies);
}

struct deferred *
defer_take(struct defer *defer, const struct datagram *datagram)
{
	struct deferred *slot = defer->free;

	if (!slot)
		return NULL;
	CHECK(datagram->payload_len <= sizeof slot->payload);
	defer->free = slot->next_free;
	defer->out++;
	deferred_reset(slot);
	slot->payload_len = datagram->payload_len;
	slot->service = datagram->service;
	slot->peer = datagram->peer;
	memcpy(slot->payload, datagram->payload, datagram->payload_len);
	return slot;
}

void
defer_give(struct defer *defer, struct deferred *slot)
{
	CHECK(slot->home == defer->home && slot->done && !slot->next_free && defer->out > 0);
	if (slot->lent)
		atomic_store_explicit(slot->lent, false, memory_order_release);
	slot->done = false;
	slot->next_free = defer->free;
	defer->free = slot;
	defer->out--;
}
