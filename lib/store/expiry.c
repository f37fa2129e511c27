#include "store/expiry.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/now.h"

/* Slots that can be named from a level's present one on: all but the one behind it, being emptied. */
enum { NOWHERE = 0, REACH = EXPIRY_SLOTS - 1 };

_Static_assert(EXPIRY_LEVELS * EXPIRY_SLOTS < 256, "waits is a byte");

enum status
expiry_init(struct expiry *expiry, uint32_t positions, struct error *error)
{
	*expiry = (struct expiry){ .positions = positions };
	for (uint32_t level = 0; level < EXPIRY_LEVELS; level++)
		for (uint32_t slot = 0; slot < EXPIRY_SLOTS; slot++)
			chain_init(&expiry->slots[level][slot], 1);
	expiry->waits = calloc(positions, 1);
	if (!expiry->waits)
		return error_set(error, STATUS_NO_MEMORY, "store: no memory for %u expiries", positions);
	return chain_pool_init(&expiry->pool, positions, 1, EXPIRY_LEVELS * EXPIRY_SLOTS, error);
}

void
expiry_deinit(struct expiry *expiry)
{
	free(expiry->waits);
	chain_pool_deinit(&expiry->pool);
}

uint64_t
expiry_bytes(const struct expiry *expiry)
{
	return expiry->positions + chain_pool_bytes(&expiry->pool);
}

static uint64_t
slot_at(uint32_t level, uint64_t ms)
{
	return (ms / MS_PER_SEC) >> (level * EXPIRY_SLOT_BITS);
}

/* A slot of level 0 is due when it is over, a higher one (to be looked at again) when it begins. */
static uint64_t
due_ms(uint32_t level, uint64_t slot)
{
	return ((slot + (level == 0)) << (level * EXPIRY_SLOT_BITS)) * MS_PER_SEC;
}

/* The first slot from the level's present one on that stands at `index`. */
static uint64_t
slot_from_index(const struct expiry *expiry, uint32_t level, uint32_t index)
{
	uint64_t now = expiry->now[level];

	return now + ((index - now) & (EXPIRY_SLOTS - 1));
}

static uint64_t
waits_until_ms(const struct expiry *expiry, uint32_t position)
{
	uint32_t at = expiry->waits[position] - 1u;
	uint32_t level = at / EXPIRY_SLOTS;

	return due_ms(level, slot_from_index(expiry, level, at % EXPIRY_SLOTS));
}

/* The slot that comes to its turn at wall_ms or last before it. */
static uint64_t
slot_due(uint32_t level, uint64_t wall_ms)
{
	return level == 0 ? slot_at(0, wall_ms) - (wall_ms >= MS_PER_SEC) : slot_at(level, wall_ms);
}

/* Levels need not walk through time in which nothing waited, nor round their slots twice. */
static void
catch_up(struct expiry *expiry, uint64_t wall_ms)
{
	for (uint32_t level = 0; level < EXPIRY_LEVELS; level++) {
		uint64_t due = slot_due(level, wall_ms);

		if (expiry->pool.used == 0 && expiry->now[level] <= due)
			expiry->now[level] = due + 1;
		else if (expiry->now[level] + EXPIRY_SLOTS <= due)
			expiry->now[level] = due + 1 - EXPIRY_SLOTS;
	}
}

/* The latest slot that can be named and does not come after the expiry's own. */
static uint64_t
slot_for(const struct expiry *expiry, uint64_t expiry_ms, uint32_t *level)
{
	uint64_t slot = slot_at(0, expiry_ms);

	*level = 0;
	if (slot < expiry->now[0])
		return expiry->now[0]; /* in the past: the very next */
	while (slot >= expiry->now[*level] + REACH) {
		uint64_t last = expiry->now[*level] + REACH - 1;

		if (*level == EXPIRY_LEVELS - 1 || slot_at(*level + 1, expiry_ms) < expiry->now[*level + 1])
			return last; /* beyond the horizon, or this level lags behind the next */
		slot = slot_at(++*level, expiry_ms);
	}
	return slot;
}

void
expiry_put(struct expiry *expiry, uint32_t position, uint64_t expiry_ms, uint64_t wall_ms)
{
	uint32_t level;
	uint64_t slot;

	catch_up(expiry, wall_ms);
	slot = slot_for(expiry, expiry_ms, &level);
	if (expiry->waits[position] != NOWHERE && waits_until_ms(expiry, position) <= due_ms(level, slot))
		return;
	if (!chain_push(&expiry->pool, &expiry->slots[level][slot % EXPIRY_SLOTS], &position)) {
		expiry->missed++;
		return;
	}
	expiry->waits[position] = (uint8_t)(1 + level * EXPIRY_SLOTS + slot % EXPIRY_SLOTS);
}

/* The next valid record of a slot that is due; false when the slot is empty. */
static bool
slot_pop(struct expiry *expiry, uint32_t level, uint32_t index, uint32_t *position)
{
	struct chain *chain = &expiry->slots[level][index];

	while (chain->count > 0) {
		*position = *chain_peek(&expiry->pool, chain);
		chain_drop(&expiry->pool, chain);
		if (expiry->waits[*position] == 1 + level * EXPIRY_SLOTS + index) {
			expiry->waits[*position] = NOWHERE;
			return true;
		}
	}
	return false;
}

bool
expiry_next(struct expiry *expiry, uint64_t wall_ms, uint32_t *position)
{
	catch_up(expiry, wall_ms);
	/* From the top, so that what moves down is found on the lower level in its turn. */
	for (uint32_t level = EXPIRY_LEVELS; level-- > 0;) {
		for (;;) {
			if (slot_pop(expiry, level, (expiry->now[level] - 1) % EXPIRY_SLOTS, position))
				return true;
			if (due_ms(level, expiry->now[level]) > wall_ms)
				break;
			expiry->now[level]++;
		}
	}
	return false;
}
