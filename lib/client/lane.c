/* One worker's lane: its life, its operations, and their moving to another. */
#include "client/lane.h"

#include <stdlib.h>

#include "base/check.h"
#include "client/slot.h"

struct lane *
lane_create(struct slipring *handle, struct node *node, uint32_t worker, uint32_t window)
{
	struct lane *lane = calloc(1, sizeof *lane);
	uint32_t most = 2;

	while (most < window)
		most <<= 1;
	if (!lane)
		goto no_memory;
	*lane = (struct lane){ .handle = handle, .node = node, .worker = worker, .most = most,
		.floor = 1, .unsent = 1, .next = 1, .retry_ns = UINT64_MAX, .early_ns = UINT64_MAX,
		.hedge_ns = UINT64_MAX, .congestion = CONGESTION_FIRST, .threshold = most,
		.size = most < LANE_SLOTS_FIRST ? most : LANE_SLOTS_FIRST, .path = &lane->direct,
		.direct.fd = -1, .detour.fd = -1 };
	lane->mask = lane->size - 1;
	lane->slots = calloc(lane->size, sizeof *lane->slots);
	lane->wires = malloc((size_t)lane->size * sizeof *lane->wires);
	if (!lane->slots || !lane->wires)
		goto no_memory;
	if (!path_open(&lane->direct, lane, node, worker))
		goto failed;
	do
		seal_random(&lane->client, sizeof lane->client);
	while (lane->client == 0); /* 0 would mean: do not remember my writes */
	return lane;
no_memory:
	handle_fail(handle, SLIPRING_NO_MEMORY, "no memory for a window of operations");
failed:
	if (lane) {
		free(lane->slots);
		free(lane->wires);
	}
	free(lane);
	return NULL;
}

void
lane_check(const struct lane *lane)
{
	uint32_t in_flight = 0;

	CHECK(lane->floor <= lane->unsent && lane->unsent <= lane->next);
	CHECK(lane->next - lane->floor <= lane->size && lane->size <= lane->most);
	for (uint64_t s = lane->floor; s < lane->unsent; s++)
		in_flight += slot_live(lane, s) != NULL;
	CHECK(in_flight == lane->in_flight);
}

/* Takes an operation out of the lane; its slot is free after. */
static void
leave(struct lane *lane, struct slot *slot)
{
	if (slot->sequence < lane->unsent)
		lane->in_flight--;
	else
		lane->queued_bytes -= slot->wire_len;
	if (lane->in_flight == 0)
		lane->retry_ns = UINT64_MAX;
	slot->sequence = 0;
	while (lane->floor < lane->next && !slot_live(lane, lane->floor))
		lane->floor++;
	if (lane->unsent < lane->floor)
		lane->unsent = lane->floor;
}

void
lane_settle(struct lane *lane, struct slot *slot, enum slipring_status status, const struct native_result *result,
    const struct completion *from)
{
	struct slipring *handle = lane->handle;
	struct completion completion = { .status = status, .lane = lane, .context = slot->context,
		.done = slot->done, .tag = slot->tag, .key = view_of(slot_wire(lane, slot) + slot->key_at, slot->key_len) };
	lane_run run = slot->run;

	if (result)
		completion.result = *result;
	if (from) {
		completion.by = from->by;
		completion.epoch = from->epoch;
	}
	leave(lane, slot);
	handle->counters.operations += !lane->own;
	run(handle, &completion);
}

void
lane_destroy(struct lane *lane)
{
	for (uint64_t s = lane->floor; s < lane->next; s++)
		if (slot_live(lane, s))
			lane_settle(lane, slot_at(lane, s), SLIPRING_CANCELLED, NULL, NULL);
	lane_detour_close(lane);
	path_close(&lane->direct);
	free(lane->slots);
	free(lane->wires);
	free(lane);
}

/* Twice the slots; each operation finds its place by its number again. */
static bool
grow_slots(struct lane *lane)
{
	struct lane larger = *lane;

	larger.size = lane->size * 2;
	larger.mask = larger.size - 1;
	larger.slots = calloc(larger.size, sizeof *larger.slots);
	larger.wires = malloc((size_t)larger.size * sizeof *larger.wires);
	if (!larger.slots || !larger.wires) {
		free(larger.slots);
		free(larger.wires);
		return false;
	}
	for (uint64_t s = lane->floor; s < lane->next; s++) {
		const struct slot *slot = slot_live(lane, s);

		if (!slot)
			continue;
		*slot_at(&larger, s) = *slot;
		memcpy(larger.wires[s & larger.mask], slot_wire(lane, slot), slot->wire_len);
	}
	free(lane->slots);
	free(lane->wires);
	*lane = larger;
	return true;
}

bool
lane_ready(struct lane *lane)
{
	uint32_t used = (uint32_t)(lane->next - lane->floor);

	return used < lane->size || (lane->size < lane->most && grow_slots(lane));
}

uint32_t
lane_value_max(const struct lane *lane, const struct request *request)
{
	struct request empty = *request;

	empty.value.len = 0;
	return lane_wire_room(lane) - (uint32_t)native_request_size(&empty);
}

/* The next number's slot is filled: it counts from here on. */
static void
enter(struct lane *lane, const struct slot *slot)
{
	lane->next++;
	lane->queued_bytes += slot->wire_len;
	lane->used = ++lane->handle->ticks;
	if (!lane->active)
		handle_activate(lane);
}

bool
lane_queue(struct lane *lane, const struct request *request, const struct lane_order *order, uint64_t now_ns)
{
	uint64_t sequence = lane->next;
	struct slot *slot = slot_at(lane, sequence);
	struct writer wire = writer_of(lane->wires[sequence & lane->mask], lane_wire_room(lane));
	uint32_t before_value;

	CHECK(lane->next - lane->floor < lane->size);
	native_request_compose(&wire, request);
	if (wire.failed)
		return false;
	*slot = (struct slot){ .sequence = sequence, .run = order->run, .context = order->context,
		.done = order->done, .tag = order->tag, .op = request->op,
		.deadline_ns = now_ns + lane->handle->options.deadline_us * NS_PER_US };
	slot->wire_len = (uint16_t)(lane_wire_room(lane) - writer_left(&wire));
	before_value = slot->wire_len - request->value.len;
	slot->key_len = (uint16_t)request->key.len;
	slot->key_at = (uint8_t)(before_value - request->key.len);
	enter(lane, slot);
	return true;
}

/* An upload's steps belong to its lane's client; a write that may have run stays under its number. */
static bool
may_move(const struct slot *slot)
{
	return op_has_key((enum op)slot->op) && slot->op != OP_UPLOAD_BEGIN &&
	    !(op_is_once((enum op)slot->op) && slot_perhaps_executed(slot));
}

/* Under a new number, as if it had never been sent, but with its old deadline. */
static void
move(struct lane *from, struct slot *slot, struct lane *to)
{
	struct slot *place = slot_at(to, to->next);

	*place = (struct slot){ .sequence = to->next, .run = slot->run, .context = slot->context, .done = slot->done,
		.tag = slot->tag, .op = slot->op, .deadline_ns = slot->deadline_ns, .wire_len = slot->wire_len,
		.key_len = slot->key_len, .key_at = slot->key_at };
	memcpy(to->wires[to->next & to->mask], slot_wire(from, slot), slot->wire_len);
	if (slot->deadline_ns < to->early_ns)
		to->early_ns = slot->deadline_ns;
	enter(to, place);
	if (slot->tries > 0)
		to->handle->counters.retries++;
	leave(from, slot);
}

void
lane_reroute(struct lane *lane)
{
	for (uint64_t s = lane->floor; s < lane->next; s++) {
		struct slot *slot = slot_live(lane, s);
		struct lane *to;

		if (!slot || !may_move(slot))
			continue;
		to = handle_lane(lane->handle, slot_of_wire(lane, slot) % SLOT_COUNT);
		if (to && to != lane && handle_room(to) > 0)
			move(lane, slot, to);
	}
}
