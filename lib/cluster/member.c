#include "cluster/member.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cluster/mutation.h"
#include "ring/table.h"

bool
members_init(struct members *members, uint16_t max)
{
	memset(members, 0, sizeof *members);
	CHECK(max >= 2 && max <= RING_MEMBERS_MAX);
	members->max = max;
	members->slots = calloc(max, sizeof *members->slots);
	members->order = calloc(max, sizeof *members->order);
	if (!members->slots || !members->order) {
		members_deinit(members);
		return false;
	}
	return true;
}

void
members_deinit(struct members *members)
{
	free(members->slots);
	free(members->order);
	members->slots = NULL;
	members->order = NULL;
}

int
member_compare(const struct peer_record *a, const struct peer_record *b)
{
	if (a->incarnation != b->incarnation)
		return a->incarnation < b->incarnation ? -1 : 1;
	if (a->boot != b->boot)
		return a->boot < b->boot ? -1 : 1;
	return (int)a->state - (int)b->state;
}

static uint64_t
mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint64_t
digest_of(const struct members *members, const struct member *member)
{
	uint8_t state = MUTATED(members, DIGEST_WITHOUT_STATES) ? 0 : member->record.state;

	return mix(mix(member->id ^ mix(member->record.boot)) + ((uint64_t)member->record.incarnation << 8 | state));
}

uint16_t
members_position(const struct members *members, uint64_t id)
{
	uint16_t low = 0, high = members->count;

	while (low < high) {
		uint16_t middle = (uint16_t)((low + high) / 2);

		if (members_at(members, middle)->id < id)
			low = (uint16_t)(middle + 1);
		else
			high = middle;
	}
	return low;
}

struct member *
members_find(const struct members *members, uint64_t id)
{
	uint16_t position = members_position(members, id);

	return position < members->count && members_at(members, position)->id == id ? members_at(members, position) : NULL;
}

struct member *
members_add(struct members *members, const struct peer_record *record, uint64_t now_ns)
{
	uint64_t id = ring_member_id(record->id, record->id_len);
	uint16_t position = members_position(members, id), slot = 0;
	struct member *member;

	if (members->count == members->max)
		return NULL;
	CHECK(position == members->count || members_at(members, position)->id != id);
	while (members->slots[slot].used)
		slot++;
	member = &members->slots[slot];
	memset(member, 0, sizeof *member);
	member->used = true;
	member->id = id;
	member->record = *record;
	member->since_ns = now_ns;
	memmove(members->order + position + 1, members->order + position,
	    (size_t)(members->count - position) * sizeof *members->order);
	members->order[position] = slot;
	members->count++;
	members->digest ^= digest_of(members, member);
	return member;
}

void
members_remove(struct members *members, struct member *member)
{
	uint16_t position = members_position(members, member->id);

	CHECK(member->used && members_at(members, position) == member);
	members->digest ^= digest_of(members, member);
	members->hot_count = (uint16_t)(members->hot_count - (member->hot > 0));
	member->used = false;
	members->count--;
	memmove(members->order + position, members->order + position + 1,
	    (size_t)(members->count - position) * sizeof *members->order);
}

void
members_set(struct members *members, struct member *member, const struct peer_record *record, uint64_t now_ns)
{
	if (record->incarnation != member->record.incarnation || record->boot != member->record.boot)
		member->accuser_count = 0;
	if (record->boot != member->record.boot) {
		member->sequence_in = member->sequence_out = 0;
		member->heard_ns = member->vouched_ns = member->table_digest = 0;
		member->probe_nonce = 0;
		member->watched = member->doubted = false; /* watching it begins anew: no doubt of a former life accuses this one */
	}
	/* At another incarnation it is another suspicion, or another death: the former one was refuted. */
	if (record->state != member->record.state || record->boot != member->record.boot || (record->state >= PEER_SUSPECTED &&
	    record->incarnation != member->record.incarnation && !MUTATED(members, DEATH_NOT_RENEWED)))
		member->since_ns = now_ns;
	members->digest ^= digest_of(members, member);
	member->record = *record;
	members->digest ^= digest_of(members, member);
}

void
members_heat(struct members *members, struct member *member, uint8_t times)
{
	members->hot_count = (uint16_t)(members->hot_count + (member->hot == 0 && times > 0));
	if (times > member->hot)
		member->hot = times;
}

void
members_cool(struct members *members, struct member *member)
{
	if (member->hot > 0 && !MUTATED(members, HOT_FOR_EVER))
		members->hot_count = (uint16_t)(members->hot_count - (--member->hot == 0));
}

bool
member_accuse(struct member *member, uint64_t accuser)
{
	if (accuser == 0 || accuser == member->id || member->accuser_count == MEMBER_ACCUSERS_MAX)
		return false;
	for (uint8_t i = 0; i < member->accuser_count; i++)
		if (member->accusers[i] == accuser)
			return false;
	member->accusers[member->accuser_count++] = accuser;
	return true;
}

const char *
member_state_name(uint8_t state)
{
	static const char *const names[] = { "?", "Joining", "Alive", "Leaving", "Suspected", "Dead", "Left" };

	return names[state <= PEER_LEFT ? state : 0];
}

void
members_check(const struct members *members)
{
	uint64_t digest = 0;
	uint16_t hot_count = 0;

	CHECK(members->count <= members->max);
	for (uint16_t i = 0; i < members->count; i++) {
		const struct member *member = members_at(members, i);

		CHECK(member->used && member->record.incarnation > 0 && member->record.boot != 0);
		CHECK(i == 0 || members_at(members, (uint16_t)(i - 1))->id < member->id);
		CHECK(member->accuser_count <= MEMBER_ACCUSERS_MAX);
		digest ^= digest_of(members, member);
		hot_count = (uint16_t)(hot_count + (member->hot > 0));
		phi_check(&member->phi);
	}
	CHECK(digest == members->digest && hot_count == members->hot_count);
}
