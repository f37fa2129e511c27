#include "cluster/authority.h"

#include <string.h>

#include "base/check.h"
#include "base/now.h"
#include "cluster/authority_state.h"
#include "cluster/mutation.h"

#define TICK_NS (50 * NS_PER_MS)
#define ASK_NS (100 * NS_PER_MS)

static int
ballot_compare(struct authority_ballot a, struct authority_ballot b)
{
	if (a.round != b.round)
		return a.round < b.round ? -1 : 1;
	return a.proposer < b.proposer ? -1 : a.proposer > b.proposer;
}

void
authority_table_seal(struct authority_table *table)
{
	uint64_t digest;

	table->ring.digest = ring_topology_digest(&table->ring);
	digest = table->ring.digest ^ table->ring.epoch * 0x9e3779b97f4a7c15ull;
	for (uint16_t i = 0; i < table->ring.count; i++) {
		digest = (digest ^ table->boots[i]) * 0xbf58476d1ce4e5b9ull;
		digest ^= digest >> 31;
	}
	table->digest = digest;
}

void
authority_table_copy(struct authority_table *to, const struct authority_table *from)
{
	if (to == from)
		return;
	memcpy(&to->ring, &from->ring, offsetof(struct ring_topology, members) +
	    from->ring.count * sizeof from->ring.members[0]);
	memcpy(to->boots, from->boots, from->ring.count * sizeof from->boots[0]);
	to->digest = from->digest;
}

/* The same for every order in which the list was written. */
static uint64_t
founders_digest(const struct authority_config *config)
{
	uint64_t sum = 0;

	for (uint8_t i = 0; i < config->founder_count; i++)
		sum += ring_member_id((const char *)config->founders[i].ip, 16) * (2u * config->founders[i].port + 1);
	return sum;
}

void
authority_init(struct authority *authority, const struct authority_config *config, uint64_t now_ns, uint64_t seed)
{
	memset(authority, 0, sizeof *authority);
	CHECK(config->founder_count > 0 && config->founder_count <= AUTHORITY_FOUNDERS_MAX);
	CHECK(config->replication >= 1 && config->replication <= RING_OWNERS_MAX);
	authority->config = *config;
	authority->prng.state = seed;
	authority->start_ns = now_ns;
	authority->floor = config->epoch_floor;
	authority->founding_digest = founders_digest(config);
	authority->committed.ring.replication = config->replication;
	authority->next_ns = now_ns + TICK_NS;
}

void
authority_founders(struct authority *authority, const struct peer_address *founders, uint8_t count)
{
	struct authority_config *config = &authority->config;

	CHECK(count > 0 && count <= AUTHORITY_FOUNDERS_MAX);
	if (authority->committed.ring.epoch > 0 || authority->instance > 0)
		return;
	memcpy(config->founders, founders, count * sizeof *founders);
	config->founder_count = count;
	authority->founding_digest = founders_digest(config);
	authority->phase = AUTHORITY_IDLE; /* a ballot in progress was the former list's */
}

uint64_t
authority_deadline(const struct authority *authority)
{
	return authority->next_ns;
}

/* --- voters -------------------------------------------------------------------------- */

static bool
votes_in(const struct authority_table *table, uint16_t position)
{
	return table->ring.members[position].state == RING_ALIVE;
}

static uint32_t
voter_count(const struct authority *authority)
{
	uint32_t count = 0;

	if (authority->committed.ring.epoch == 0)
		return authority->config.founder_count;
	for (uint16_t i = 0; i < authority->committed.ring.count; i++)
		count += votes_in(&authority->committed, i);
	return count;
}

static uint32_t
majority(const struct authority *authority)
{
	uint32_t count = voter_count(authority);

	return MUTATED(&authority->config, HALF_IS_MAJORITY) ? (count + 1) / 2 : count / 2 + 1;
}

/* Remembers what it voted, as far as we know: in the same life, and not Dead for long. */
static bool
unbroken(const struct authority *authority, const struct members *members, uint16_t position, uint64_t now_ns)
{
	const struct authority_table *table = &authority->committed;
	const struct member *member = members_find(members, table->ring.members[position].id);

	return !member || (member->record.boot == table->boots[position] && (member->record.state < PEER_DEAD ||
	    now_ns < member->since_ns + authority->config.dead_delay_ns));
}

/* So many voters live a new life, or none, that those who remember are no majority any more. */
static bool
recovering(const struct authority *authority, const struct members *members)
{
	const struct authority_table *table = &authority->committed;
	uint32_t left = 0, count = 0;

	if (table->ring.epoch == 0)
		return true;
	for (uint16_t i = 0; i < table->ring.count; i++) {
		count += votes_in(table, i);
		left += votes_in(table, i) && unbroken(authority, members, i, authority->now_ns);
	}
	return left < count / 2 + 1;
}

/*
 * What numbers of recoveries on this table are, modulo AUTHORITY_RECOVERY_SKIP. Different for tables that a straggler
 * may still hold: those who vote on one number are of one electorate. 0 is for those alone who found anew, without any
 * table: they may hear of a straggler's in the midst of it.
 */
static uint64_t
recovery_class(const struct authority *authority)
{
	uint64_t base = MUTATED(&authority->config, ONE_RECOVERY_NUMBER) ? 0 : authority->committed.ring.epoch;

	return base == 0 ? 0 : 1 + base % (AUTHORITY_RECOVERY_SKIP - 1);
}

/* The number that a recovery decides: well above all we know, and not below what we voted on. */
static uint64_t
recovery_epoch(const struct authority *authority)
{
	uint64_t base = authority->committed.ring.epoch, known = base > authority->floor ? base : authority->floor, least;

	if (known == 0 && authority->instance <= 1)
		return 1; /* the first of all */
	least = known + AUTHORITY_RECOVERY_SKIP;
	if (least < authority->instance)
		least = authority->instance;
	return least + (recovery_class(authority) + AUTHORITY_RECOVERY_SKIP - least % AUTHORITY_RECOVERY_SKIP) % AUTHORITY_RECOVERY_SKIP;
}

/* The number to decide next. Once a vote was given on a recovery there is no way back below it. */
static uint64_t
next_epoch(const struct authority *authority, const struct members *members)
{
	uint64_t next = authority->committed.ring.epoch + 1;

	return recovering(authority, members) || authority->instance > next ? recovery_epoch(authority) : next;
}

/* Whether a number may be decided on this table: the next one, or a recovery's that is not below ours. */
static bool
epoch_fits(const struct authority *authority, uint64_t epoch)
{
	uint64_t base = authority->committed.ring.epoch, recovery = recovery_epoch(authority);

	if (epoch < authority->instance)
		return false;
	return (base > 0 && epoch == base + 1) || epoch == recovery ||
	    (epoch > recovery && epoch % AUTHORITY_RECOVERY_SKIP == recovery_class(authority));
}

/*
 * Position of a life among the voters on a number; RING_NOBODY: it has no vote. A life that is not in
 * the table in force may have forgotten a vote of a former one on the next number: it votes on a recovery's only.
 */
static uint16_t
voter_position(const struct authority *authority, const struct members *members, uint64_t id, uint64_t boot,
    uint64_t epoch)
{
	const struct authority_table *table = &authority->committed;
	const struct member *member = members_find(members, id);
	uint16_t position;

	if (!member || member->record.boot != boot)
		return RING_NOBODY;
	if (table->ring.epoch == 0) {
		for (uint8_t i = 0; i < authority->config.founder_count; i++)
			if (peer_address_equal(&authority->config.founders[i], &member->record.address))
				return i;
		return RING_NOBODY;
	}
	position = ring_find_id(&table->ring, id);
	if (position == RING_NOBODY || !votes_in(table, position))
		return RING_NOBODY;
	if (table->boots[position] == boot || MUTATED(&authority->config, RESTARTED_VOTES))
		return position;
	if ((epoch != table->ring.epoch + 1 || MUTATED(&authority->config, RECOVERY_VOTES_NEXT)) && recovering(authority, members))
		return position;
	return RING_NOBODY;
}

static uint64_t
base_digest(const struct authority *authority)
{
	return authority->committed.ring.epoch ? authority->committed.digest : authority->founding_digest;
}

/* --- messages ------------------------------------------------------------------------ */

static struct peer_ballot *
out_add(struct authority_out *out, uint64_t to, enum authority_out_kind kind)
{
	if (out->count == AUTHORITY_OUT_MAX)
		return NULL;
	memset(&out->list[out->count], 0, sizeof out->list[0]);
	out->list[out->count].to = to;
	out->list[out->count].kind = (uint8_t)kind;
	return &out->list[out->count++].ballot;
}

static void
ask(struct authority *authority, uint64_t now_ns, uint64_t from, uint64_t epoch, uint64_t digest,
    struct authority_out *out)
{
	struct peer_ballot *wanted;

	if (authority->asked_ns + ASK_NS > now_ns && authority->asked_ns)
		return;
	wanted = out_add(out, from, AUTHORITY_ASK);
	if (!wanted)
		return;
	wanted->epoch = epoch;
	wanted->digest = digest;
	authority->asked_ns = now_ns;
}

/* A ballot of ours or an answer to one. */
static struct peer_ballot
ballot_make(const struct authority *authority, enum peer_ballot_kind kind, uint64_t epoch, struct authority_ballot number)
{
	return (struct peer_ballot){
		.kind = (uint8_t)kind, .base = authority->committed.ring.epoch, .base_digest = base_digest(authority),
		.epoch = epoch, .round = number.round, .proposer = number.proposer, .floor = authority->floor };
}

/* --- the table in force -------------------------------------------------------------- */

static void
adopt(struct authority *authority, const struct authority_table *table, struct authority_out *out)
{
	const struct ring_topology *now = &authority->committed.ring;

	if (table->ring.epoch == now->epoch && table->digest != authority->committed.digest)
		authority->conflicts++;
	if (table->ring.epoch < now->epoch || (table->ring.epoch == now->epoch && table->digest <= authority->committed.digest))
		if (!MUTATED(&authority->config, EPOCH_GOES_BACK) || table->digest == authority->committed.digest)
			return;
	authority_table_copy(&authority->committed, table);
	if (table->ring.epoch > authority->floor)
		authority->floor = table->ring.epoch;
	authority->phase = AUTHORITY_IDLE;
	authority->wanted_digest = 0;
	authority->differs_ns = 0;
	out->committed = true;
}

const struct authority_table *
authority_find(const struct authority *authority, uint64_t epoch, uint64_t digest, bool *committed)
{
	const struct authority_table *tables[] = { &authority->committed, &authority->proposal, &authority->accepted };

	for (unsigned i = 0; i < 3; i++)
		if (tables[i]->ring.epoch == epoch && tables[i]->digest == digest && epoch > 0) {
			*committed = i == 0;
			return tables[i];
		}
	return NULL;
}

static const struct authority_table *
content_of(const struct authority *authority, uint64_t epoch, uint64_t digest)
{
	bool committed;
	const struct authority_table *coming = &authority->coming;

	if (coming->ring.epoch == epoch && coming->digest == digest && authority->here_count == coming->ring.count)
		return coming;
	return authority_find(authority, epoch, digest, &committed);
}

void
authority_heard(struct authority *authority, uint64_t now_ns, uint64_t from, uint64_t epoch, uint64_t digest,
    struct authority_out *out)
{
	const struct ring_topology *now = &authority->committed.ring;
	const struct authority_table *table;
	bool older = epoch < now->epoch || (epoch == now->epoch && digest <= authority->committed.digest);

	if (epoch == 0 || (older && (!MUTATED(&authority->config, EPOCH_GOES_BACK) || digest == authority->committed.digest)))
		return;
	table = content_of(authority, epoch, digest);
	if (table)
		adopt(authority, table, out);
	else
		ask(authority, now_ns, from, epoch, digest, out);
}

/* --- acceptor ------------------------------------------------------------------------ */

static void
instance_set(struct authority *authority, uint64_t epoch)
{
	authority->instance = epoch;
	authority->promised = authority->accepted_ballot = (struct authority_ballot){ 0 };
	authority->accepted.ring.epoch = 0;
}

/* What this node answers to a PREPARE or ACCEPT; kind 0: nothing. */
static struct peer_ballot
acceptor_answer(struct authority *authority, const struct members *members, uint64_t now_ns, uint64_t from,
    const struct peer_ballot *asked, struct authority_out *out)
{
	const struct authority_config *config = &authority->config;
	struct authority_ballot number = { asked->round, asked->proposer };
	struct peer_ballot answer = ballot_make(authority, PEER_REJECT, asked->epoch, number);
	const struct authority_table *table;

	if (asked->base != authority->committed.ring.epoch || asked->base_digest != base_digest(authority) ||
	    voter_position(authority, members, config->id, config->boot, asked->epoch) == RING_NOBODY)
		return (struct peer_ballot){ 0 };
	if (recovering(authority, members) && now_ns < authority->start_ns + config->found_delay_ns)
		return (struct peer_ballot){ 0 };
	if (!epoch_fits(authority, asked->epoch)) {
		answer.digest = authority->instance; /* so that the proposer comes up to it */
		return asked->floor < authority->floor || asked->epoch < authority->instance ? answer : (struct peer_ballot){ 0 };
	}
	if (asked->epoch > authority->instance)
		instance_set(authority, asked->epoch);
	if (ballot_compare(number, authority->promised) < 0 && !MUTATED(config, PROMISE_FORGOTTEN)) {
		answer.round = authority->promised.round;
		return answer;
	}
	if (asked->kind == PEER_PREPARE) {
		authority->promised = number;
		answer.kind = PEER_PROMISE;
		answer.accepted_round = authority->accepted_ballot.round;
		answer.accepted_proposer = authority->accepted_ballot.proposer;
		answer.accepted_digest = authority->accepted_ballot.round ? authority->accepted.digest : 0;
		return answer;
	}
	table = content_of(authority, asked->epoch, asked->digest);
	if (!table) {
		ask(authority, now_ns, from, asked->epoch, asked->digest, out);
		return (struct peer_ballot){ 0 };
	}
	authority->promised = authority->accepted_ballot = number;
	authority_table_copy(&authority->accepted, table);
	answer.kind = PEER_ACCEPTED;
	answer.digest = asked->digest;
	return answer;
}

/* --- proposer ------------------------------------------------------------------------ */

static void proposer_hear(struct authority *authority, const struct members *members, uint64_t now_ns, uint64_t from,
    uint64_t boot, const struct peer_ballot *answer, struct authority_out *out);

/* Id of voter number i (a founder is known once somebody has its address), or 0. */
static uint64_t
voter_id(const struct authority *authority, const struct members *members, uint16_t i)
{
	if (authority->committed.ring.epoch > 0)
		return votes_in(&authority->committed, i) ? authority->committed.ring.members[i].id : 0;
	for (uint16_t k = 0; k < members->count; k++)
		if (peer_address_equal(&members_at(members, k)->record.address, &authority->config.founders[i]) &&
		    member_live(members_at(members, k)))
			return members_at(members, k)->id;
	return 0;
}

/* Sends the ballot in progress to the voters that have not answered it. */
static void
proposer_send(struct authority *authority, const struct members *members, uint64_t now_ns, struct authority_out *out)
{
	bool accepting = authority->phase == AUTHORITY_ACCEPTING;
	struct peer_ballot ballot = ballot_make(authority, accepting ? PEER_ACCEPT : PEER_PREPARE,
	    authority->proposal.ring.epoch, authority->ballot);
	uint16_t count = authority->committed.ring.epoch ? authority->committed.ring.count : authority->config.founder_count;
	uint16_t start = (uint16_t)prng_below(&authority->prng, count);
	struct peer_ballot own;

	ballot.digest = accepting ? authority->proposal.digest : 0;
	authority->resend_ns = now_ns + ASK_NS;
	for (uint16_t k = 0; k < count; k++) {
		uint16_t i = (uint16_t)((start + k) % count);
		uint64_t to = authority->votes[i / 64] >> i % 64 & 1 ? 0 : voter_id(authority, members, i);
		struct peer_ballot *sent = to && to != authority->config.id ?
		    out_add(out, to, accepting ? AUTHORITY_BALLOT_TABLE : AUTHORITY_BALLOT) : NULL;

		if (sent)
			*sent = ballot;
	}
	own = acceptor_answer(authority, members, now_ns, authority->config.id, &ballot, out);
	if (own.kind)
		proposer_hear(authority, members, now_ns, authority->config.id, authority->config.boot, &own, out);
}

static void
votes_clear(struct authority *authority)
{
	memset(authority->votes, 0, sizeof authority->votes);
	authority->vote_count = 0;
}

static void
proposer_give_up(struct authority *authority, uint64_t now_ns)
{
	authority->phase = AUTHORITY_IDLE;
	authority->retry_ns = now_ns + 100 * NS_PER_MS + prng_below(&authority->prng, 300 * NS_PER_MS);
}

static void
proposer_start(struct authority *authority, const struct members *members, uint64_t now_ns, struct authority_out *out)
{
	uint32_t round = authority->round_seen > authority->promised.round ? authority->round_seen : authority->promised.round;

	authority->ballot = (struct authority_ballot){ round + 1, authority->config.id };
	authority->round_seen = round + 1;
	authority->best = (struct authority_ballot){ 0 };
	authority->phase = AUTHORITY_PREPARING;
	authority->round_ns = now_ns;
	votes_clear(authority);
	proposer_send(authority, members, now_ns, out);
}

/* A majority promised: propose what one of them may have accepted already, or else what is wanted. */
static void
proposer_promised(struct authority *authority, const struct members *members, uint64_t now_ns, struct authority_out *out)
{
	uint64_t epoch = authority->proposal.ring.epoch;

	if (authority->best.round && !MUTATED(&authority->config, ACCEPTED_IGNORED)) {
		const struct authority_table *table = content_of(authority, epoch, authority->best_digest);

		if (!table) {
			authority->phase = AUTHORITY_FETCHING;
			ask(authority, now_ns, authority->best_from, epoch, authority->best_digest, out);
			return;
		}
		authority_table_copy(&authority->proposal, table);
	}
	authority->phase = AUTHORITY_ACCEPTING;
	votes_clear(authority);
	proposer_send(authority, members, now_ns, out);
}

static void
proposer_rejected(struct authority *authority, uint64_t now_ns, const struct peer_ballot *answer)
{
	if (answer->floor > authority->floor)
		authority->floor = answer->floor;
	if (answer->round > authority->round_seen)
		authority->round_seen = answer->round;
	if (answer->digest > authority->instance)
		instance_set(authority, answer->digest);
	proposer_give_up(authority, now_ns);
}

static void
proposer_hear(struct authority *authority, const struct members *members, uint64_t now_ns, uint64_t from,
    uint64_t boot, const struct peer_ballot *answer, struct authority_out *out)
{
	enum authority_phase asked = answer->kind == PEER_PROMISE ? AUTHORITY_PREPARING : AUTHORITY_ACCEPTING;
	uint16_t position = voter_position(authority, members, from, boot, answer->epoch);

	if (authority->phase == AUTHORITY_IDLE || position == RING_NOBODY || answer->epoch != authority->proposal.ring.epoch ||
	    answer->base != authority->committed.ring.epoch || answer->base_digest != base_digest(authority))
		return;
	if (answer->kind == PEER_REJECT) {
		proposer_rejected(authority, now_ns, answer);
		return;
	}
	if (authority->phase != asked || answer->proposer != authority->ballot.proposer ||
	    answer->round != authority->ballot.round ||
	    (asked == AUTHORITY_ACCEPTING && answer->digest != authority->proposal.digest))
		return;
	if (authority->votes[position / 64] >> position % 64 & 1 && !MUTATED(&authority->config, VOTES_COUNTED_TWICE))
		return;
	authority->votes[position / 64] |= 1ull << position % 64;
	authority->vote_count++;
	struct authority_ballot accepted = { answer->accepted_round, answer->accepted_proposer };

	if (asked == AUTHORITY_PREPARING && ballot_compare(accepted, authority->best) > 0) {
		authority->best = accepted;
		authority->best_digest = answer->accepted_digest;
		authority->best_from = from;
	}
	if (authority->vote_count < majority(authority))
		return;
	if (asked == AUTHORITY_PREPARING)
		proposer_promised(authority, members, now_ns, out);
	else
		adopt(authority, &authority->proposal, out);
}

void
authority_ballot(struct authority *authority, const struct members *members, uint64_t now_ns, uint64_t from,
    uint64_t boot, const struct peer_ballot *ballot, struct authority_out *out)
{
	authority->now_ns = now_ns;
	if (ballot->kind == PEER_PREPARE || ballot->kind == PEER_ACCEPT) {
		struct peer_ballot answer = acceptor_answer(authority, members, now_ns, from, ballot, out);
		struct peer_ballot *sent = answer.kind ? out_add(out, from, AUTHORITY_BALLOT) : NULL;

		if (sent)
			*sent = answer;
	} else {
		proposer_hear(authority, members, now_ns, from, boot, ballot, out);
	}
}

void
authority_part(struct authority *authority, const struct members *members, uint64_t now_ns,
    const struct peer_part *part, struct reader *voters, bool committed, struct authority_out *out)
{
	struct authority_table *coming = &authority->coming;
	struct peer_voter voter;

	authority->now_ns = now_ns;
	if (part->count > RING_MEMBERS_MAX || part->epoch <= authority->committed.ring.epoch)
		if (!MUTATED(&authority->config, EPOCH_GOES_BACK) && part->epoch != authority->committed.ring.epoch)
			return;
	if (coming->ring.epoch != part->epoch || coming->digest != part->digest || coming->ring.count != part->count) {
		memset(authority->here, 0, sizeof authority->here);
		authority->here_count = 0;
		coming->ring.epoch = part->epoch;
		coming->digest = part->digest;
		coming->ring.count = part->count;
		coming->ring.replication = part->replication;
	}
	for (uint16_t i = part->first; i < part->first + part->here && peer_voter_parse(voters, &voter); i++) {
		if (authority->here[i / 64] >> i % 64 & 1)
			continue;
		coming->ring.members[i] = (struct ring_member){ .id = voter.id, .rack = voter.rack, .index = voter.index,
			.weight = voter.weight, .state = voter.state };
		coming->boots[i] = voter.boot;
		authority->here[i / 64] |= 1ull << i % 64;
		authority->here_count++;
	}
	if (authority->here_count < coming->ring.count)
		return;
	authority_table_seal(coming);
	if (coming->digest != part->digest || ring_topology_check(&coming->ring) != RING_OK) {
		authority->here_count = 0; /* not what its digest said */
		coming->ring.epoch = 0;
		return;
	}
	if (committed)
		adopt(authority, coming, out);
	else if (authority->phase == AUTHORITY_FETCHING && coming->digest == authority->best_digest)
		proposer_promised(authority, members, now_ns, out);
}

/* --- when to propose ----------------------------------------------------------------- */

/* How many live voters come before this node in the order of proposing; -1: it has no vote itself. */
static int
rank_of(const struct authority *authority, const struct members *members)
{
	const struct authority_config *config = &authority->config;
	uint64_t epoch = authority->proposal.ring.epoch;
	int rank = 0;

	if (voter_position(authority, members, config->id, config->boot, epoch) == RING_NOBODY)
		return -1;
	for (uint16_t i = 0; i < members->count && members_at(members, i)->id < config->id; i++) {
		const struct member *member = members_at(members, i);

		rank += member->record.state == PEER_ALIVE &&
		    voter_position(authority, members, member->id, member->record.boot, epoch) != RING_NOBODY;
	}
	return rank < 8 ? rank : 8;
}

static bool
founder(const struct authority *authority, const struct member *member)
{
	for (uint8_t i = 0; i < authority->config.founder_count; i++)
		if (peer_address_equal(&authority->config.founders[i], &member->record.address))
			return true;
	return false;
}

/* A majority of those we know is in view; of the founders, before there is a table: it would be too small to go on from. */
static bool
majority_in_view(const struct authority *authority, const struct members *members)
{
	uint32_t known = 0, seen = 0, founders = 0;

	for (uint16_t i = 0; i < members->count; i++) {
		const struct member *member = members_at(members, i);

		founders += (member->record.state == PEER_ALIVE || member->record.state == PEER_LEAVING) && founder(authority, member);
	}
	if (authority->committed.ring.epoch == 0 && founders < majority(authority))
		return false;
	for (uint16_t i = 0; i < members->count; i++) {
		uint8_t state = members_at(members, i)->record.state;

		seen += state == PEER_ALIVE || state == PEER_LEAVING;
		known += state >= PEER_ALIVE && state <= PEER_DEAD &&
		    (state != PEER_DEAD || ring_find_id(&authority->committed.ring, members_at(members, i)->id) != RING_NOBODY);
	}
	return seen * 2 + (MUTATED(&authority->config, HALF_IS_MAJORITY) ? 1 : 0) > known;
}

/* Whether the table in force should change, has been so for long enough, and it is our turn. */
static bool
proposal_due(struct authority *authority, const struct members *members, uint64_t now_ns)
{
	const struct authority_config *config = &authority->config;
	int rank;

	if (!authority_wanted(authority, members, now_ns, &authority->proposal)) {
		authority->wanted_digest = 0;
		authority->differs_ns = 0;
		return false;
	}
	authority->proposal.ring.epoch = next_epoch(authority, members);
	authority_table_seal(&authority->proposal);
	if (authority->differs_ns == 0)
		authority->differs_ns = now_ns;
	if (authority->wanted_digest != authority->proposal.digest) {
		authority->wanted_digest = authority->proposal.digest;
		authority->changed_ns = now_ns;
	}
	if (now_ns < authority->changed_ns + config->settle_ns && now_ns < authority->differs_ns + 4 * config->settle_ns)
		return false;
	if (recovering(authority, members) && now_ns < authority->start_ns + config->found_delay_ns)
		return false;
	rank = rank_of(authority, members);
	return rank >= 0 && now_ns >= authority->retry_ns && majority_in_view(authority, members) &&
	    now_ns >= authority->differs_ns + config->settle_ns + (uint64_t)rank * 400 * NS_PER_MS;
}

void
authority_tick(struct authority *authority, const struct members *members, uint64_t now_ns, struct authority_out *out)
{
	authority->now_ns = now_ns;
	if (now_ns < authority->next_ns)
		return;
	authority->next_ns = now_ns + TICK_NS;
	if (authority->phase != AUTHORITY_IDLE && now_ns > authority->round_ns + NS_PER_SEC)
		proposer_give_up(authority, now_ns);
	if (authority->phase == AUTHORITY_IDLE) {
		if (proposal_due(authority, members, now_ns))
			proposer_start(authority, members, now_ns, out);
	} else if (authority->phase == AUTHORITY_FETCHING) {
		ask(authority, now_ns, authority->best_from, authority->proposal.ring.epoch, authority->best_digest, out);
	} else if (now_ns >= authority->resend_ns) {
		proposer_send(authority, members, now_ns, out);
	}
}

void
authority_check(const struct authority *authority)
{
	CHECK(authority->committed.ring.epoch <= authority->floor);
	CHECK(ring_topology_check(&authority->committed.ring) == RING_OK);
	CHECK(ballot_compare(authority->accepted_ballot, authority->promised) <= 0 ||
	    MUTATED(&authority->config, PROMISE_FORGOTTEN));
	if (authority->accepted_ballot.round)
		CHECK(authority->accepted.ring.epoch == authority->instance);
	CHECK(authority->here_count <= RING_MEMBERS_MAX);
}
