#include "serve/defer.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

bool
defer_init(struct defer *defer, uint8_t home)
{
	*defer = (struct defer){ .home = home };
	defer->slots = calloc(DEFERRED_MAX, sizeof *defer->slots);
	if (!defer->slots)
		return false;
	for (uint32_t i = DEFERRED_MAX; i-- > 0;) {
		defer->slots[i].home = home;
		defer->slots[i].next_free = defer->free;
		defer->free = &defer->slots[i];
	}
	return true;
}

void
defer_deinit(struct defer *defer)
{
	free(defer->slots);
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
	slot->next_free = NULL;
	slot->ops = 0;
	slot->generation++;
	slot->payload_len = datagram->payload_len;
	slot->reply_len = 0;
	slot->first_op = slot->reply_state = 0;
	slot->service = datagram->service;
	slot->done = false;
	slot->proven = true;
	slot->peer = datagram->peer;
	memcpy(slot->payload, datagram->payload, datagram->payload_len);
	return slot;
}

void
defer_give(struct defer *defer, struct deferred *slot)
{
	CHECK(slot->home == defer->home && slot->done && !slot->next_free && defer->out > 0);
	slot->done = false;
	slot->next_free = defer->free;
	defer->free = slot;
	defer->out--;
}
