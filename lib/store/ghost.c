#include "store/ghost.h"

#include <stdlib.h>

/* Ticks of the longest window: fine against it, and 128 times below the wrap of 16 bits. */
enum { TICKS = 512 };

enum status
ghost_init(struct ghost *ghost, uint32_t entries, uint64_t window_max, struct error *error)
{
	uint32_t set_count = entries / GHOST_WAYS + 1;

	*ghost = (struct ghost){ .set_count = set_count, .unit = window_max / TICKS + 1 };
	ghost->sets = aligned_alloc(64, set_count * sizeof ghost->sets[0]);
	if (!ghost->sets)
		return error_set(error, STATUS_NO_MEMORY, "store: no memory for %u ghost entries", entries);
	for (uint32_t i = 0; i < set_count; i++)
		ghost->sets[i] = (struct ghost_set){ { 0 }, { 0 } };
	return STATUS_OK;
}

void
ghost_deinit(struct ghost *ghost)
{
	free(ghost->sets);
}

uint64_t
ghost_bytes(const struct ghost *ghost)
{
	return (uint64_t)ghost->set_count * sizeof ghost->sets[0];
}

/* rte_hash's buckets come from the low half, so sets come from the high one. */
static struct ghost_set *
set_of(const struct ghost *ghost, uint64_t digest)
{
	return &ghost->sets[(digest >> 32) * ghost->set_count >> 32];
}

static uint16_t
fingerprint_of(uint64_t digest)
{
	return (uint16_t)digest ? (uint16_t)digest : 1;
}

static uint16_t
age(const struct ghost *ghost, const struct ghost_set *set, uint32_t way)
{
	return (uint16_t)(ghost->clock / ghost->unit) - set->times[way];
}

void
ghost_put(struct ghost *ghost, uint64_t digest, uint64_t bytes)
{
	struct ghost_set *set = set_of(ghost, digest);
	uint32_t victim = 0;

	for (uint32_t way = 0; way < GHOST_WAYS; way++) {
		if (set->fingerprints[way] == 0) {
			victim = way;
			break;
		}
		if (age(ghost, set, way) > age(ghost, set, victim))
			victim = way;
	}
	set->fingerprints[victim] = fingerprint_of(digest);
	set->times[victim] = (uint16_t)(ghost->clock / ghost->unit);
	ghost->clock += bytes;
}

bool
ghost_take(struct ghost *ghost, uint64_t digest, uint64_t window)
{
	struct ghost_set *set = set_of(ghost, digest);
	uint16_t fingerprint = fingerprint_of(digest);

	for (uint32_t way = 0; way < GHOST_WAYS; way++) {
		if (set->fingerprints[way] != fingerprint)
			continue;
		set->fingerprints[way] = 0;
		return age(ghost, set, way) <= window / ghost->unit;
	}
	return false;
}
