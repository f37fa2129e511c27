/*
 * slot.h - one operation in flight: what the files of a lane share.
 *
 * Threads: the handle's. Memory: the lane's.
 */
#ifndef CLIENT_SLOT_H
#define CLIENT_SLOT_H

#include "base/bytes.h"
#include "client/handle.h"

static inline struct slot *
slot_at(const struct lane *lane, uint64_t sequence)
{
	return &lane->slots[sequence & lane->mask];
}

/* The slot of an operation in flight, or NULL when it is settled or was never there. */
static inline struct slot *
slot_live(const struct lane *lane, uint64_t sequence)
{
	struct slot *slot = slot_at(lane, sequence);

	if (sequence < lane->floor || sequence >= lane->next || slot->sequence != sequence)
		return NULL;
	return slot;
}

static inline uint8_t *
slot_wire(const struct lane *lane, const struct slot *slot)
{
	return lane->wires[slot->sequence & lane->mask];
}

/* Bytes of operations that a frame of this lane holds. */
static inline uint32_t
lane_wire_room(const struct lane *lane)
{
	return WIRE_MAX - handle_tag_len(lane->handle);
}

/* The slot of the key, as it travels: SLOT_COUNT and more for operations without one. */
static inline uint32_t
slot_of_wire(const struct lane *lane, const struct slot *slot)
{
	return op_has_key((enum op)slot->op) ? load_le16(slot_wire(lane, slot) + 2) : SLOT_COUNT;
}

static inline bool
slot_perhaps_executed(const struct slot *slot)
{
	return slot->tries > 0 && !(slot->clean && slot->refused);
}

/* Whether it may also be asked of another node: it changes nothing. */
static inline bool
slot_reads(const struct slot *slot)
{
	return slot->op == OP_GET || slot->op == OP_META;
}

/* How the files of a lane reach each other. */
void lane_probe(struct path *path, uint64_t now_ns);
bool lane_detour_open(struct lane *lane);
void lane_send_hedge(struct lane *lane, struct slot *slot);

/* Ends an operation: its slot is free before its completion runs, which may queue more. */
void lane_settle(struct lane *lane, struct slot *slot, enum slipring_status status,
    const struct native_result *result, const struct completion *from);

#endif
