#include <string.h>

#include "base/check.h"
#include "ring/score.h"
#include "ring/share.h"
#include "ring/table.h"

/* Members with one weight and one rack, or one weight and each a rack of its own: the best key is the best member. */
struct group {
	uint16_t start, count; /* of the arrays by place; full members are taken out */
	uint16_t free;         /* not yet chosen for this slot */
	uint16_t rack;         /* RING_NOBODY: each member is a rack of its own */
	uint16_t weight;
	bool fresh;            /* best is of this slot and its choices so far */
	uint64_t inverse_weight;
	uint32_t best;         /* largest key of those free */
	uint64_t best_rank;
};

/* A member in question: the least rank wins, then the lowest position. */
struct candidate {
	uint64_t rank;
	uint32_t key;
	uint16_t position, group;
};

struct scratch {
	/* By place: members of one group stand together. */
	uint32_t keys[RING_MEMBERS_MAX] __attribute__((aligned(64)));
	uint32_t low[RING_MEMBERS_MAX], high[RING_MEMBERS_MAX]; /* halves of the id */
	uint32_t tail[RING_MEMBERS_MAX];                        /* 1023 - position */
	/* By position. */
	uint16_t place[RING_MEMBERS_MAX], group_of[RING_MEMBERS_MAX];
	uint16_t left[RING_MEMBERS_MAX];       /* slots that it may still own */
	uint16_t first_left[RING_MEMBERS_MAX]; /* slots that it may still own first */
	/* By rack. */
	uint32_t rack_left[RING_MEMBERS_MAX];
	uint8_t rack_chosen[RING_MEMBERS_MAX]; /* owners of this slot */
	struct group groups[RING_MEMBERS_MAX];
	uint16_t group_count, place_count;
	bool one_weight;
	uint32_t largest;                      /* no unit has more left than this */
	uint32_t remaining;                    /* slots from this one on */
	uint16_t chosen_count;
	uint16_t racks_missing;                /* racks that do not own this slot yet */
	struct candidate chosen[RING_OWNERS_MAX];
	struct score_log log;
	struct share share;
	const struct ring_topology *topology;
};

size_t
ring_scratch_size(void)
{
	return sizeof(struct scratch);
}

/* --- before the first slot ----------------------------------------------------- */

static uint16_t
group_number(struct scratch *s, uint16_t rack, uint16_t weight)
{
	uint16_t i = 0;

	if (s->share.rack_size[rack] == 1)
		rack = RING_NOBODY;
	while (i < s->group_count && (s->groups[i].rack != rack || s->groups[i].weight != weight))
		i++;
	if (i == s->group_count) {
		s->group_count++;
		s->groups[i] = (struct group){ .rack = rack, .weight = weight, .inverse_weight = score_inverse(weight) };
	}
	return i;
}

static void
make_groups(struct scratch *s)
{
	const struct ring_topology *topology = s->topology;
	uint16_t start = 0;

	s->group_count = 0;
	for (uint16_t i = 0; i < topology->count; i++)
		if (s->share.rack[i] != RING_NOBODY) {
			s->group_of[i] = group_number(s, s->share.rack[i], topology->members[i].weight);
			s->groups[s->group_of[i]].count++;
		}
	s->one_weight = true;
	for (uint16_t g = 0; g < s->group_count; g++) {
		s->groups[g].start = start;
		start = (uint16_t)(start + s->groups[g].count);
		s->one_weight = s->one_weight && s->groups[g].weight == s->groups[0].weight;
	}
	s->place_count = start;
	for (uint16_t g = 0; g < s->group_count; g++)
		s->groups[g].count = 0;
}

static void
place_members(struct scratch *s)
{
	for (uint16_t i = 0; i < s->topology->count; i++) {
		struct group *group = &s->groups[s->group_of[i]];
		uint16_t place;

		if (s->share.rack[i] == RING_NOBODY)
			continue;
		place = (uint16_t)(group->start + group->count++);
		s->place[i] = place;
		s->low[place] = (uint32_t)s->topology->members[i].id;
		s->high[place] = (uint32_t)(s->topology->members[i].id >> 32);
		s->tail[place] = (uint32_t)(SCORE_POSITION_MASK - i);
	}
}

static void
set_capacities(struct scratch *s)
{
	const struct share *share = &s->share;

	memset(s->rack_left, 0, sizeof s->rack_left);
	memset(s->rack_chosen, 0, sizeof s->rack_chosen);
	s->largest = UINT32_MAX;
	for (uint16_t i = 0; i < s->topology->count; i++) {
		s->left[i] = s->first_left[i] = 0;
		if (share->rack[i] == RING_NOBODY)
			continue;
		s->left[i] = share_capacity(share, s->topology, i, 1);
		s->rack_left[share->rack[i]] += s->left[i];
		s->first_left[i] = share_capacity(share, s->topology, i, share->owner_count);
	}
}

/* --- one slot ------------------------------------------------------------------ */

static void
draw_keys(struct scratch *s, uint32_t slot)
{
	uint32_t base = score_slot(slot);

	for (uint32_t i = 0; i < s->place_count; i++)
		s->keys[i] = score_key(score_draw(base, s->low[i], s->high[i]), s->tail[i]);
	for (uint16_t g = 0; g < s->group_count; g++) {
		s->groups[g].free = s->groups[g].count;
		s->groups[g].fresh = false;
	}
}

static uint64_t
rank_of(const struct scratch *s, const struct group *group, uint32_t key)
{
	return s->one_weight ? ~key : score_cost(&s->log, key, group->inverse_weight);
}

static void
refresh(const struct scratch *s, struct group *group)
{
	const uint32_t *keys = s->keys + group->start;
	uint32_t best = 0;

	for (uint32_t i = 0; i < group->count; i++)
		best = keys[i] > best ? keys[i] : best;
	group->best = best;
	group->best_rank = rank_of(s, group, best);
	group->fresh = true;
}

static bool
better(const struct candidate *a, const struct candidate *b)
{
	return a->rank < b->rank || (a->rank == b->rank && a->position < b->position);
}

/* Puts a candidate among the chosen, best first. */
static void
take(struct scratch *s, const struct candidate *candidate)
{
	uint16_t at = s->chosen_count++;

	for (; at > 0 && better(candidate, &s->chosen[at - 1]); at--)
		s->chosen[at] = s->chosen[at - 1];
	s->chosen[at] = *candidate;
	s->racks_missing -= s->rack_chosen[s->share.rack[candidate->position]]++ == 0;
	/* Behind every key that is left: the group's `free` says when none is. */
	s->keys[s->place[candidate->position]] = 0;
	s->groups[candidate->group].free--;
	s->groups[candidate->group].fresh = false;
}

static uint32_t
at_most(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/*
 * Whether a rack may own this slot (once more). With racks enough: once. With fewer
 * racks than owners each rack must be among them, so the last places are kept for
 * those that are missing, and a rack must keep an owner for every slot behind this.
 */
static bool
rack_allowed(const struct scratch *s, uint16_t rack)
{
	uint32_t sum = 0;

	if (s->rack_chosen[rack] == 0)
		return true;
	if (s->share.distinct || s->chosen_count + s->racks_missing >= s->share.owner_count)
		return false;
	for (uint16_t i = 0; i < s->topology->count; i++)
		if (s->share.rack[i] == rack) {
			if (s->left[i] >= s->remaining)
				return true;
			sum += s->left[i];
		}
	return s->rack_chosen[rack] + s->remaining <= sum;
}

static void
take_best(struct scratch *s)
{
	struct candidate best = { .rank = UINT64_MAX, .position = RING_NOBODY };

	for (uint16_t g = 0; g < s->group_count; g++) {
		struct group *group = &s->groups[g];
		struct candidate candidate;

		if (group->free == 0 || (group->rack != RING_NOBODY && !rack_allowed(s, group->rack)))
			continue;
		if (!group->fresh)
			refresh(s, group);
		candidate = (struct candidate){ group->best_rank, group->best, score_position(group->best), g };
		if (better(&candidate, &best))
			best = candidate;
	}
	CHECK(best.position != RING_NOBODY);
	take(s, &best);
}

/* Slots that a member's unit (its rack when racks are distinct, else itself) may still own. */
static uint32_t
unit_left(const struct scratch *s, uint16_t position)
{
	return s->share.distinct ? s->rack_left[s->share.rack[position]] : s->left[position];
}

static bool
is_chosen(const struct scratch *s, uint16_t position)
{
	for (uint16_t i = 0; i < s->chosen_count; i++)
		if (s->chosen[i].position == position)
			return true;
	return false;
}

static void
take_best_critical(struct scratch *s)
{
	struct candidate best = { .rank = UINT64_MAX, .position = RING_NOBODY };

	for (uint16_t g = 0; g < s->group_count; g++)
		for (uint16_t i = s->groups[g].start; i < s->groups[g].start + s->groups[g].count; i++) {
			struct candidate candidate = { rank_of(s, &s->groups[g], s->keys[i]), s->keys[i],
				(uint16_t)(SCORE_POSITION_MASK - s->tail[i]), g };

			if (unit_left(s, candidate.position) >= s->remaining && better(&candidate, &best) &&
			    !is_chosen(s, candidate.position) &&
			    rack_allowed(s, s->share.rack[candidate.position]))
				best = candidate;
		}
	CHECK(best.position != RING_NOBODY);
	take(s, &best);
}

/*
 * A unit owns a slot once, so what it has left beyond the remaining slots is lost, and
 * one that could own every remaining slot (critical) loses a place when this slot passes
 * it by. When no more can be lost, critical units come first. This returns how many must.
 */
static uint32_t
count_forced(struct scratch *s)
{
	uint64_t useful = 0, needed = (uint64_t)s->remaining * s->share.owner_count;
	uint32_t critical = 0, largest = 0;
	uint32_t units = s->share.distinct ? s->share.rack_count : s->topology->count;

	if (s->largest < s->remaining)
		return 0;
	for (uint32_t i = 0; i < units; i++) {
		uint32_t left = s->share.distinct ? s->rack_left[i] : s->left[i];

		largest = left > largest ? left : largest;
		useful += at_most(left, s->remaining);
		critical += left >= s->remaining;
	}
	s->largest = largest;
	CHECK(useful >= needed);
	return useful >= needed + critical ? 0 : (uint32_t)(needed + critical - useful);
}

static void
choose(struct scratch *s)
{
	s->chosen_count = 0;
	s->racks_missing = s->share.rack_count;
	for (uint32_t forced = count_forced(s); forced > 0; forced--)
		take_best_critical(s);
	while (s->chosen_count < s->share.owner_count)
		take_best(s);
}

/* The best of the owners that may own one more slot first goes to the front. */
static void
settle_first(struct scratch *s)
{
	struct candidate first;
	uint16_t n = 0;

	while (n < s->chosen_count && s->first_left[s->chosen[n].position] == 0)
		n++;
	if (n == s->chosen_count)
		return;
	first = s->chosen[n];
	memmove(&s->chosen[1], &s->chosen[0], n * sizeof first);
	s->chosen[0] = first;
	s->first_left[first.position]--;
}

/* A full member leaves its group: the group's last takes its place. */
static void
take_out(struct scratch *s, const struct candidate *full)
{
	struct group *group = &s->groups[full->group];
	uint16_t place = s->place[full->position], last = (uint16_t)(group->start + --group->count);

	s->low[place] = s->low[last];
	s->high[place] = s->high[last];
	s->tail[place] = s->tail[last];
	s->place[SCORE_POSITION_MASK - s->tail[place]] = place;
}

static void
settle(struct scratch *s, uint32_t slot, struct ring_table *table)
{
	settle_first(s);
	for (uint16_t n = 0; n < s->chosen_count; n++) {
		const struct candidate *owner = &s->chosen[n];
		uint16_t rack = s->share.rack[owner->position];

		table->owners[n][slot] = owner->position;
		s->rack_chosen[rack] = 0;
		s->rack_left[rack]--;
		if (--s->left[owner->position] == 0)
			take_out(s, owner);
	}
}

void
ring_build(const struct ring_topology *topology, void *scratch, struct ring_table *table)
{
	struct scratch *s = scratch;

	CHECK(ring_topology_check(topology) == RING_OK);
	CHECK((uintptr_t)scratch % 64 == 0);
	s->topology = topology;
	share_init(&s->share, topology);
	table->epoch = topology->epoch;
	table->digest = ring_topology_digest(topology);
	table->member_count = topology->count;
	table->owner_count = s->share.owner_count;
	table->pad = 0;
	memset(table->owners, 0xff, sizeof table->owners);
	if (table->owner_count == 0)
		return;
	score_log_init(&s->log);
	make_groups(s);
	place_members(s);
	set_capacities(s);
	for (uint32_t slot = 0; slot < SLOT_COUNT; slot++) {
		s->remaining = SLOT_COUNT - slot;
		draw_keys(s, slot);
		choose(s);
		settle(s, slot, table);
	}
}
