#include "slipringd/local.h"

#include <stdlib.h>

struct local {
	struct mailbox *mailbox;
	struct deferred *free;
	struct deferred slots[LOCAL_SLOTS];
	uint8_t replies[LOCAL_SLOTS][DEFERRED_REPLY_MAX];
};

struct local *
local_create(struct error *error)
{
	struct local *local = calloc(1, sizeof *local);

	if (!local) {
		error_set(error, STATUS_NO_MEMORY, "no memory for the control plane's slots");
		return NULL;
	}
	local->mailbox = mailbox_create("local", 2 * LOCAL_SLOTS, error);
	if (!local->mailbox) {
		free(local);
		return NULL;
	}
	for (uint32_t i = LOCAL_SLOTS; i-- > 0;) {
		local->slots[i].home = DEFERRED_HOME_LOCAL;
		local->slots[i].reply = local->replies[i];
		local->slots[i].reply_size = DEFERRED_REPLY_MAX;
		local_give(local, &local->slots[i]);
	}
	return local;
}

void
local_destroy(struct local *local)
{
	if (!local)
		return;
	mailbox_destroy(local->mailbox);
	free(local);
}

struct deferred *
local_take(struct local *local)
{
	struct deferred *slot = local->free;

	if (!slot)
		return NULL;
	local->free = slot->next_free;
	deferred_reset(slot);
	slot->ops = UINT64_MAX;
	slot->service = SERVICE_NATIVE;
	return slot;
}

void
local_give(struct local *local, struct deferred *slot)
{
	slot->next_free = local->free;
	local->free = slot;
}

struct mailbox *
local_mailbox(struct local *local)
{
	return local->mailbox;
}
