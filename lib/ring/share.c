#include "ring/share.h"

enum { CAPACITY_PERCENT = 102 };

/* The rack's number, a new one when no member had it before. */
static uint16_t
rack_number(struct share *share, uint32_t name)
{
	uint16_t rack = 0;

	if (name == 0)
		rack = share->rack_count;
	while (rack < share->rack_count && share->rack_name[rack] != name)
		rack++;
	if (rack == share->rack_count) {
		share->rack_count++;
		share->rack_name[rack] = name;
		share->rack_size[rack] = 0;
		share->rack_weight[rack] = 0;
	}
	return rack;
}

/* Full vessels at a level just above `threshold`; *free_weight is that of the others. */
static uint32_t
full_above(const struct share *share, const struct ring_topology *topology, uint32_t threshold,
    uint64_t *free_weight)
{
	uint32_t full = 0;

	*free_weight = 0;
	for (uint16_t rack = 0; rack < share->rack_count; rack++) {
		uint32_t weight = share->rack_weight[rack];

		/* Distinct: a full rack. Otherwise: a rack held up to one owner a slot. */
		if (share->distinct ? weight > threshold : weight <= threshold)
			full++;
		else if (share->distinct)
			*free_weight += weight;
	}
	for (uint16_t i = 0; !share->distinct && i < topology->count; i++) {
		uint16_t rack = share->rack[i], weight = topology->members[i].weight;

		if (rack == RING_NOBODY || share->rack_weight[rack] <= threshold)
			continue;
		if (weight > threshold)
			full++;
		else
			*free_weight += weight;
	}
	return full;
}

/* The highest whole threshold at which the vessels hold owner_count owners a slot. */
static void
find_level(struct share *share, const struct ring_topology *topology, uint32_t total)
{
	uint32_t low = 1, high = total;
	uint64_t free_weight;

	while (low < high) {
		uint32_t middle = low + (high - low + 1) / 2;
		uint64_t full = full_above(share, topology, middle, &free_weight);

		if (full * middle + free_weight >= (uint64_t)share->owner_count * middle)
			low = middle;
		else
			high = middle - 1;
	}
	share->threshold = low;
	share->level_owners = share->owner_count - full_above(share, topology, low, &free_weight);
	share->level_weight = free_weight;
}

void
share_init(struct share *share, const struct ring_topology *topology)
{
	uint16_t members = 0;
	uint32_t total = 0;

	share->rack_count = 0;
	for (uint16_t i = 0; i < topology->count; i++) {
		const struct ring_member *member = &topology->members[i];

		share->rack[i] = RING_NOBODY;
		if (!ring_state_owns(member->state))
			continue;
		share->rack[i] = rack_number(share, member->rack);
		share->rack_size[share->rack[i]]++;
		share->rack_weight[share->rack[i]] += member->weight;
		total += member->weight;
		members++;
	}
	share->owner_count = members < topology->replication ? members : topology->replication;
	share->distinct = share->rack_count >= share->owner_count;
	if (members > 0)
		find_level(share, topology, total);
}

uint16_t
share_capacity(const struct share *share, const struct ring_topology *topology, uint16_t position,
    uint16_t divisor)
{
	uint64_t weight = topology->members[position].weight, over, under, capacity;
	uint32_t rack_weight = share->rack_weight[share->rack[position]];
	bool rack_full = share->distinct ? rack_weight > share->threshold : rack_weight <= share->threshold;

	if (rack_full) {
		over = weight;
		under = rack_weight;
	} else if (!share->distinct && weight > share->threshold) {
		over = under = 1;
	} else {
		over = weight * share->level_owners;
		under = share->level_weight;
	}
	over *= CAPACITY_PERCENT * (uint64_t)SLOT_COUNT;
	under *= 100 * (uint64_t)divisor;
	capacity = (over + under - 1) / under;
	return capacity < SLOT_COUNT ? (uint16_t)capacity : SLOT_COUNT;
}

void
ring_capacities(const struct ring_topology *topology, uint16_t *capacities)
{
	struct share share;

	share_init(&share, topology);
	for (uint16_t i = 0; i < topology->count; i++)
		capacities[i] = share.rack[i] == RING_NOBODY ? 0 : share_capacity(&share, topology, i, 1);
}
