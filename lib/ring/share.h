/*
 * share.h - what part of the slots each member should own.
 *
 * Purpose: fair shares by weight, as exact fractions, under the limits of the rules:
 *   a member owns a slot once, a rack with others to choose from owns it once.
 * Intuition: pour owners into vessels as wide as their weights until the wanted number
 *   per slot is in; a vessel that is full (owns every slot) takes no more. With racks
 *   enough for all owners the racks are the vessels, and members divide what their rack
 *   got. With fewer racks than owners the members are, and a rack that would get less
 *   than one owner a slot gets just that. The level stands at `level_slots` slots for
 *   `level_weight` of weight; both are found exactly, by bisection over whole weights.
 * Threads: none. Memory: the caller's.
 */
#ifndef RING_SHARE_H
#define RING_SHARE_H

#include "ring/table.h"

struct share {
	uint16_t owner_count; /* owners of a slot: min(replication, members that own) */
	uint16_t rack_count;  /* racks of members that own; a member without one is a rack */
	bool distinct;        /* racks enough: no rack owns a slot twice */
	uint32_t threshold;   /* bisected: weights above it are full vessels */
	uint64_t level_weight, level_owners; /* a free vessel gets weight * level_owners / level_weight of the slots */
	uint16_t rack[RING_MEMBERS_MAX];        /* of a position; RING_NOBODY: owns nothing */
	uint16_t rack_size[RING_MEMBERS_MAX];   /* members of a rack */
	uint32_t rack_weight[RING_MEMBERS_MAX]; /* their weights */
	uint32_t rack_name[RING_MEMBERS_MAX];   /* 0 for a member of its own */
};

void share_init(struct share *share, const struct ring_topology *topology);

/* ceil(1.02 * fair share / divisor) of a position, at most SLOT_COUNT. divisor owner_count: of first owners. */
uint16_t share_capacity(const struct share *share, const struct ring_topology *topology, uint16_t position,
    uint16_t divisor);

#endif
