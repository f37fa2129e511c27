#include "base/wheel.h"

#include <string.h>

#include "base/check.h"

#define WHEEL_HEAD 0x80000000u

enum { SLOT_BITS = 8, SLOT_MASK = WHEEL_SLOTS - 1 };

void
wheel_init(struct wheel *wheel, void *nodes, uint32_t stride, uint32_t now)
{
	memset(wheel, 0, sizeof *wheel);
	wheel->nodes = nodes;
	wheel->stride = stride;
	wheel->now = now;
}

/* The finest wheel on which `due` and the wheel's time differ by less than one turn. */
static uint32_t
slot_of(const struct wheel *wheel, uint32_t due)
{
	uint32_t level = 0;

	while (level < WHEEL_LEVELS - 1 &&
	    (due >> SLOT_BITS * level) - (wheel->now >> SLOT_BITS * level) >= WHEEL_SLOTS)
		level++;
	return level * WHEEL_SLOTS + (due >> SLOT_BITS * level & SLOT_MASK);
}

static void
mark(struct wheel *wheel, uint32_t slot, bool full)
{
	uint64_t *word = &wheel->full[slot / WHEEL_SLOTS][(slot & SLOT_MASK) / 64];
	uint64_t bit = 1ull << (slot & 63);

	*word = full ? *word | bit : *word & ~bit;
}

static void
link_node(struct wheel *wheel, uint32_t index, uint32_t slot)
{
	struct wheel_node *node = wheel_node(wheel, index);

	node->next = wheel->slots[slot];
	node->prev = WHEEL_HEAD | slot;
	if (node->next)
		wheel_node(wheel, node->next - 1)->prev = index + 1;
	wheel->slots[slot] = index + 1;
	mark(wheel, slot, true);
}

static void
unlink_node(struct wheel *wheel, uint32_t index)
{
	struct wheel_node *node = wheel_node(wheel, index);

	if (node->next)
		wheel_node(wheel, node->next - 1)->prev = node->prev;
	if (node->prev & WHEEL_HEAD) {
		uint32_t slot = node->prev & ~WHEEL_HEAD;

		wheel->slots[slot] = node->next;
		if (!node->next)
			mark(wheel, slot, false);
	} else {
		wheel_node(wheel, node->prev - 1)->next = node->next;
	}
	node->next = node->prev = 0;
}

void
wheel_remove(struct wheel *wheel, uint32_t index)
{
	if (!wheel_armed(wheel, index))
		return;
	unlink_node(wheel, index);
	wheel->count--;
}

void
wheel_put(struct wheel *wheel, uint32_t index, uint32_t due)
{
	wheel_remove(wheel, index);
	if ((int32_t)(due - wheel->now) < 0)
		due = wheel->now;
	wheel_node(wheel, index)->due = due;
	link_node(wheel, index, slot_of(wheel, due));
	wheel->count++;
}

/* How many slots after `from` the next full one is, 0 being `from` itself; WHEEL_SLOTS: none. */
static uint32_t
next_full(const struct wheel *wheel, uint32_t level, uint32_t from)
{
	for (uint32_t ahead = 0; ahead < WHEEL_SLOTS;) {
		uint32_t slot = (from + ahead) & SLOT_MASK;
		uint64_t word = wheel->full[level][slot / 64] >> (slot & 63);

		if (word) {
			ahead += (uint32_t)__builtin_ctzll(word);
			return ahead < WHEEL_SLOTS ? ahead : WHEEL_SLOTS;
		}
		ahead += 64 - (slot & 63);
	}
	return WHEEL_SLOTS;
}

/* Deals a coarse slot out whose time begins now. */
static void
deal_out(struct wheel *wheel, uint32_t level)
{
	uint32_t slot = level * WHEEL_SLOTS + (wheel->now >> SLOT_BITS * level & SLOT_MASK);
	uint32_t at = wheel->slots[slot];

	wheel->slots[slot] = 0;
	mark(wheel, slot, false);
	while (at) {
		struct wheel_node *node = wheel_node(wheel, at - 1);
		uint32_t next = node->next;

		link_node(wheel, at - 1, slot_of(wheel, node->due));
		at = next;
	}
}

/*
 * The next tick from wheel->now on at which a slot has to be looked at: a full one of the finest wheel,
 * or where a full coarse one begins. A coarse slot whose time has begun is empty (it was dealt out).
 */
static bool
next_tick(const struct wheel *wheel, uint32_t *tick)
{
	uint32_t least = UINT32_MAX, ahead = next_full(wheel, 0, wheel->now & SLOT_MASK);

	if (ahead < WHEEL_SLOTS)
		least = ahead;
	for (uint32_t level = 1; level < WHEEL_LEVELS; level++) {
		uint32_t at = wheel->now >> SLOT_BITS * level;
		uint32_t start;

		ahead = next_full(wheel, level, (at + 1) & SLOT_MASK);
		if (ahead == WHEEL_SLOTS)
			continue;
		start = ((at + 1 + ahead) << SLOT_BITS * level) - wheel->now;
		if (start < least)
			least = start;
	}
	*tick = wheel->now + least;
	return least != UINT32_MAX;
}

/* Time goes on to `to`, past nothing but empty slots; coarse slots that begin there are dealt out. */
static void
advance(struct wheel *wheel, uint32_t to)
{
	uint32_t from = wheel->now;

	wheel->now = to;
	for (uint32_t level = WHEEL_LEVELS - 1; level > 0; level--)
		if (from >> SLOT_BITS * level != to >> SLOT_BITS * level)
			deal_out(wheel, level);
}

int64_t
wheel_expire(struct wheel *wheel, uint32_t now)
{
	while ((int32_t)(now - wheel->now) >= 0) {
		uint32_t first = wheel->slots[wheel->now & SLOT_MASK], tick;

		if (first) {
			wheel_remove(wheel, first - 1);
			return first - 1;
		}
		if (wheel->now == now)
			break;
		if (!next_tick(wheel, &tick) || tick - wheel->now > now - wheel->now)
			tick = now;
		advance(wheel, tick);
	}
	return WHEEL_NONE;
}

bool
wheel_deadline(const struct wheel *wheel, uint32_t *tick)
{
	return wheel->count > 0 && next_tick(wheel, tick);
}

void
wheel_check(const struct wheel *wheel)
{
	uint32_t count = 0;

	for (uint32_t slot = 0; slot < WHEEL_LEVELS * WHEEL_SLOTS; slot++) {
		uint64_t word = wheel->full[slot / WHEEL_SLOTS][(slot & SLOT_MASK) / 64];
		uint32_t prev = WHEEL_HEAD | slot;

		CHECK((word >> (slot & 63) & 1) == (wheel->slots[slot] != 0));
		for (uint32_t at = wheel->slots[slot]; at; at = wheel_node(wheel, at - 1)->next) {
			const struct wheel_node *node = wheel_node(wheel, at - 1);

			CHECK(node->prev == prev && (int32_t)(node->due - wheel->now) >= 0);
			CHECK((node->due >> SLOT_BITS * (slot / WHEEL_SLOTS) & SLOT_MASK) == (slot & SLOT_MASK));
			prev = at;
			count++;
		}
	}
	CHECK(count == wheel->count);
}
