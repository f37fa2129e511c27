/* What is believed of whom, and how it spreads: news, comparisons of tables, refutation. */
#include "cluster/core.h"

#include <string.h>

#include "base/check.h"

enum { DIGESTS_MAX = 50, WANTS_MAX = 64, TELL_MS = 20 };

/* How often news is passed on: a few times to each of a small cluster, O(log n) in a large one. */
static uint8_t
heat_of(const struct cluster *c)
{
	uint32_t log2 = 32 - (uint32_t)__builtin_clz((uint32_t)c->members.count + 1);

	return (uint8_t)(4 * log2);
}

void
gossip_tell(struct cluster *c, struct member *member)
{
	struct draft draft;

	if (member->told_ns && c->now_ns < member->told_ns + TELL_MS * NS_PER_MS)
		return;
	member->told_ns = c->now_ns;
	draft_open_member(&draft, c, member);
	draft_record(&draft, member);
	draft_send(&draft);
}

void
gossip_state(struct cluster *c, struct member *member, const struct peer_record *record)
{
	uint8_t before = member->record.state;
	bool restarted = member->record.boot != record->boot;

	members_set(&c->members, member, record, c->now_ns);
	members_heat(&c->members, member, heat_of(c));
	c->watch_dirty = true;
	if (record->state < PEER_SUSPECTED)
		member->record.accuser = 0;
	if (record->state == PEER_SUSPECTED)
		member_accuse(member, record->accuser);
	if (restarted && member != c->self)
		news_add(c, CLUSTER_RESTARTED, member, before, 0);
	if (before != record->state) {
		c->counters.changes++;
		news_add(c, CLUSTER_STATE, member, before, 0);
		if (record->state == PEER_SUSPECTED || record->state == PEER_DEAD)
			gossip_tell(c, member);
	}
}

/* --- about this node ----------------------------------------------------------------- */

void
gossip_self(struct cluster *c, uint8_t state, uint32_t above)
{
	struct peer_record record = c->self->record;

	if (above >= record.incarnation && !MUTATED(&c->config, REFUTE_SAME_INCARNATION))
		record.incarnation = above < PEER_INCARNATION_MAX ? above + 1 : PEER_INCARNATION_MAX;
	record.state = state;
	if (state == PEER_JOINING) { /* not admitted yet: nobody is told but those it greets */
		members_set(&c->members, c->self, &record, c->now_ns);
		return;
	}
	if (MUTATED(&c->config, REFUTATION_NOT_SPREAD) && state == c->self->record.state) {
		members_set(&c->members, c->self, &record, c->now_ns);
		return;
	}
	gossip_state(c, c->self, &record);
	gossip_urgent(c);
}

/* Somebody used our id at another address: ask there whether it lives (join_duplicate hears the answer). */
static void
former_life_ask(struct cluster *c, const struct peer_record *record)
{
	if (peer_address_equal(&record->address, &c->config.address) || record->state >= PEER_DEAD ||
	    (c->former_ns && c->now_ns < c->former_ns + NS_PER_SEC))
		return;
	c->former_ns = c->now_ns;
	join_send(c, &record->address, record->boot);
}

static void
self_learn(struct arrival *arrival, const struct peer_record *record)
{
	struct cluster *c = arrival->c;
	struct peer_record *own = &c->self->record;

	if (c->left || c->refused)
		return;
	if (record->boot != own->boot)
		former_life_ask(c, record);
	if (member_compare(record, own) > 0) {
		/* A former life, or an accusation: at a higher incarnation our word holds. */
		c->counters.refutations += record->boot == own->boot;
		if (record->boot == own->boot && c->health < CLUSTER_HEALTH_MAX)
			c->health++;
		if (!MUTATED(&c->config, NO_REFUTATION))
			gossip_self(c, MUTATED(&c->config, OWN_STATE_LOST) ? PEER_ALIVE : c->standing, record->incarnation);
	} else if (member_compare(record, own) < 0 && !MUTATED(&c->config, STALE_NOT_ANSWERED)) {
		draft_record(&arrival->answer, c->self);
	}
}

/* --- about others -------------------------------------------------------------------- */

/* The oldest tombstone makes room for a newcomer. */
static bool
room_make(struct cluster *c)
{
	struct member *oldest = NULL;

	for (uint16_t i = 0; i < c->members.count; i++) {
		struct member *member = members_at(&c->members, i);

		if (member->record.state >= PEER_DEAD && (!oldest || member->since_ns < oldest->since_ns))
			oldest = member;
	}
	if (oldest)
		members_remove(&c->members, oldest);
	return oldest != NULL;
}

static void
learn_unknown(struct cluster *c, const struct peer_record *record)
{
	uint64_t age_ns = (uint64_t)record->age_s * NS_PER_SEC;
	struct member *member;

	if (record->state >= PEER_DEAD && age_ns >= c->config.tombstone_ns)
		return; /* everybody forgets it about now */
	if (c->members.count == c->members.max && !room_make(c)) {
		c->counters.full++;
		return;
	}
	member = members_add(&c->members, record, c->now_ns);
	if (record->state >= PEER_DEAD)
		member->since_ns = c->now_ns > age_ns ? c->now_ns - age_ns : 0;
	members_heat(&c->members, member, heat_of(c));
	c->watch_dirty = true;
	c->counters.changes++;
	if (record->state == PEER_SUSPECTED)
		member_accuse(member, record->accuser);
	news_add(c, CLUSTER_STATE, member, 0, 0);
	/* An accusation of somebody unknown is passed on too, and to the accused first. */
	if (record->state == PEER_SUSPECTED || record->state == PEER_DEAD)
		gossip_tell(c, member);
}

/* News is older than what we know: whoever spreads it is told better. */
static void
learn_stale(struct arrival *arrival, struct member *member)
{
	if (!MUTATED(&arrival->c->config, STALE_NOT_ANSWERED))
		draft_record(&arrival->answer, member);
}

static void
learn_same(struct cluster *c, struct member *member, const struct peer_record *record)
{
	if (record->state == PEER_SUSPECTED && member_accuse(member, record->accuser))
		members_heat(&c->members, member, 2); /* a confirmation that others may need */
	if (MUTATED(&c->config, SAME_STATE_BUMPS)) {
		c->counters.changes++;
		members_heat(&c->members, member, heat_of(c));
	}
}

/* The death of a former life, while the present one is heard: it is told, and raises its incarnation above that. */
static bool
former_life_ends(struct cluster *c, struct member *member, const struct peer_record *record)
{
	struct draft draft;
	uint8_t *section;

	if (record->boot == member->record.boot || record->state < PEER_SUSPECTED || !probe_fresh(c, member))
		return false;
	draft_open_member(&draft, c, member);
	if (draft.packet) {
		section = peer_section_begin(&draft.out, PEER_RECORDS, 0);
		peer_record_compose(&draft.out, record);
		peer_section_end(&draft.out, section);
	}
	draft_send(&draft);
	return true;
}

void
gossip_learn(struct arrival *arrival, const struct peer_record *record)
{
	struct cluster *c = arrival->c;
	uint64_t id = ring_member_id(record->id, record->id_len);
	struct member *member = members_find(&c->members, id);
	struct peer_record taken = *record;
	int newer;

	if (member == c->self) {
		self_learn(arrival, record);
		return;
	}
	if (!member) {
		learn_unknown(c, record);
		return;
	}
	newer = member_compare(record, &member->record);
	if (MUTATED(&c->config, RANK_REVERSED) && record->incarnation == member->record.incarnation &&
	    record->boot == member->record.boot)
		newer = -newer;
	if (MUTATED(&c->config, INCARNATION_IGNORED) && newer)
		newer = 1;
	if (newer < 0) {
		learn_stale(arrival, member);
		return;
	}
	if (newer > 0 && former_life_ends(c, member, record))
		return;
	if (newer > 0 && record->state == PEER_DEAD && record->boot == member->record.boot && probe_fresh(c, member) &&
	    !MUTATED(&c->config, DEAD_FROM_HEARSAY)) {
		/* We hear it ourselves: the word of others makes it a suspect, and it is told. */
		taken.state = PEER_SUSPECTED;
		taken.accuser = arrival->header.sender;
		newer = member_compare(&taken, &member->record);
		gossip_tell(c, member);
	}
	if (newer > 0)
		gossip_state(c, member, &taken);
	else if (newer == 0)
		learn_same(c, member, &taken);
}

void
gossip_records(struct arrival *arrival, struct view body)
{
	struct reader in = reader_of(body.data, body.len);
	struct peer_record record;

	while (reader_left(&in) > 0) {
		if (!peer_record_parse(&in, &record)) {
			arrival->c->counters.malformed++;
			return;
		}
		gossip_learn(arrival, &record);
	}
}

/* --- comparing tables ---------------------------------------------------------------- */

static struct peer_digest
digest_entry(const struct member *member)
{
	return (struct peer_digest){ member->id, member->record.boot, member->record.incarnation, member->record.state };
}

/* A window of the table, going on where the last one ended. */
static void
digest_write(struct draft *draft, uint8_t flags)
{
	struct cluster *c = draft->c;
	uint16_t first = members_position(&c->members, c->digest_from), last = (uint16_t)(first + DIGESTS_MAX);
	uint8_t *section;

	if (first == c->members.count)
		c->digest_from = first = 0, last = DIGESTS_MAX;
	if (last > c->members.count)
		last = c->members.count;
	section = peer_section_begin(&draft->out, PEER_DIGEST, flags);
	writer_le64(&draft->out, c->digest_from);
	writer_le64(&draft->out, last == c->members.count ? UINT64_MAX : members_at(&c->members, (uint16_t)(last - 1))->id);
	for (uint16_t i = first; i < last; i++) {
		struct peer_digest entry = digest_entry(members_at(&c->members, i));

		peer_digest_compose(&draft->out, &entry);
	}
	peer_section_end(&draft->out, section);
	c->digest_from = last == c->members.count ? 0 : members_at(&c->members, (uint16_t)(last - 1))->id + 1;
}

struct comparison {
	uint64_t wants[WANTS_MAX];
	struct member *ours[DIGESTS_MAX + 1];
	uint16_t want_count, our_count;
};

static void
compare_ours(struct comparison *comparison, struct member *member)
{
	if (comparison->our_count < DIGESTS_MAX)
		comparison->ours[comparison->our_count++] = member;
}

static void
compare_theirs(struct comparison *comparison, uint64_t id)
{
	if (comparison->want_count < WANTS_MAX)
		comparison->wants[comparison->want_count++] = id;
}

static void
compare_entry(struct comparison *comparison, struct member *member, const struct peer_digest *entry)
{
	struct peer_record theirs = { .incarnation = entry->incarnation, .boot = entry->boot, .state = entry->state };
	int newer = member_compare(&theirs, &member->record);

	if (newer < 0)
		compare_ours(comparison, member);
	if (newer > 0)
		compare_theirs(comparison, entry->id);
}

/* Walks both lists, which ascend by id. False: the other list does not. */
static bool
compare(const struct cluster *c, struct reader *in, uint64_t low, uint64_t high, struct comparison *comparison)
{
	uint16_t at = members_position(&c->members, low);
	struct peer_digest entry;
	uint64_t last = 0;

	while (reader_left(in) > 0) {
		if (!peer_digest_parse(in, &entry) || entry.id <= last || entry.id < low || entry.id > high)
			return false;
		last = entry.id;
		while (at < c->members.count && members_at(&c->members, at)->id < entry.id)
			compare_ours(comparison, members_at(&c->members, at++));
		if (at < c->members.count && members_at(&c->members, at)->id == entry.id)
			compare_entry(comparison, members_at(&c->members, at++), &entry);
		else
			compare_theirs(comparison, entry.id);
	}
	while (at < c->members.count && members_at(&c->members, at)->id <= high)
		compare_ours(comparison, members_at(&c->members, at++));
	return true;
}

void
gossip_digest(struct arrival *arrival, struct view body)
{
	struct reader in = reader_of(body.data, body.len);
	uint64_t low = reader_le64(&in), high = reader_le64(&in);
	struct comparison comparison;
	struct writer *out = &arrival->answer.out;

	comparison.want_count = comparison.our_count = 0;
	if (in.failed || !compare(arrival->c, &in, low, high, &comparison)) {
		arrival->c->counters.malformed++;
		return;
	}
	if (MUTATED(&arrival->c->config, NO_SYNC))
		return;
	if (comparison.want_count > 0 &&
	    writer_left(out) >= PEER_SECTION_LEN + comparison.want_count * sizeof comparison.wants[0]) {
		uint8_t *section = peer_section_begin(out, PEER_WANT, 0);

		for (uint16_t i = 0; i < comparison.want_count; i++)
			writer_le64(out, comparison.wants[i]);
		peer_section_end(out, section);
	}
	for (uint16_t i = 0; i < comparison.our_count; i++)
		draft_record(&arrival->answer, comparison.ours[i]);
}

void
gossip_want(struct arrival *arrival, struct view body)
{
	struct reader in = reader_of(body.data, body.len);

	while (reader_left(&in) >= 8) {
		struct member *member = members_find(&arrival->c->members, reader_le64(&in));

		if (member)
			draft_record(&arrival->answer, member);
	}
}

/* --- timers -------------------------------------------------------------------------- */

/* Someone to compare tables with: who differs, as far as we know, or anybody live. */
static struct member *
partner(struct cluster *c)
{
	struct member *any = NULL, *differing = NULL;
	uint32_t any_count = 0, differing_count = 0;

	for (uint16_t i = 0; i < c->members.count; i++) {
		struct member *member = members_at(&c->members, i);

		if (member == c->self || !member_live(member))
			continue;
		if (prng_below(&c->prng, ++any_count) == 0)
			any = member;
		if (member->heard_ns && member->table_digest != c->members.digest &&
		    prng_below(&c->prng, ++differing_count) == 0)
			differing = member;
	}
	return differing ? differing : any;
}

void
gossip_tick(struct cluster *c)
{
	struct member *member;
	struct draft draft;

	if (c->now_ns < c->gossip_next_ns)
		return;
	c->gossip_next_ns = c->now_ns + c->config.gossip_ns - prng_below(&c->prng, c->config.gossip_ns / 8);
	if (c->standing == PEER_JOINING)
		return;
	member = partner(c);
	if (!member || (member->table_digest == c->members.digest && member->watching))
		return; /* heartbeats tell it the same */
	draft_open_member(&draft, c, member);
	if (draft.packet)
		digest_write(&draft, PEER_REPLY_WANTED);
	draft_send(&draft);
}

void
gossip_urgent(struct cluster *c)
{
	if (c->urgent_ns == 0)
		c->urgent_ns = c->now_ns + NS_PER_MS;
}

/* What this node has to say of itself does not wait for the next heartbeat. */
void
gossip_urgent_tick(struct cluster *c)
{
	struct draft draft;

	if (c->urgent_ns == 0 || c->now_ns < c->urgent_ns)
		return;
	c->urgent_ns = 0;
	for (uint16_t i = 0; i < c->members.count; i++) {
		struct member *member = members_at(&c->members, i);

		if (!member->watching && !(member->watched && member_live(member)))
			continue;
		draft_open_member(&draft, c, member);
		draft_record(&draft, c->self);
		draft_send(&draft);
	}
}

/* Forgets tombstones whose time is over. */
void
gossip_sweep(struct cluster *c)
{
	uint64_t keep_ns = MUTATED(&c->config, TOMBSTONE_SHORT) ? 0 : c->config.tombstone_ns;

	for (uint16_t i = c->members.count; i-- > 0;) {
		struct member *member = members_at(&c->members, i);

		if (member == c->self || member->record.state < PEER_DEAD || c->now_ns < member->since_ns + keep_ns)
			continue;
		if (member->record.state == PEER_DEAD && keep_ns &&
		    ring_find_id(cluster_topology(c), member->id) != RING_NOBODY && !c->config.dead_node_removal_enabled)
			continue; /* monitor only: it stays in the ring, and so in view */
		news_add(c, CLUSTER_FORGOTTEN, member, member->record.state, 0);
		members_remove(&c->members, member);
	}
}
