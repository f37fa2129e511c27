/* Who may enter: hello and its answer, node ids that are taken, dead members tried again. */
#include "cluster/core.h"

#include <string.h>

void
join_send(struct cluster *c, const struct peer_address *to, uint64_t to_boot)
{
	struct peer_record record = c->self->record;
	struct draft draft;
	uint8_t *section;

	draft_open(&draft, c, to, to_boot, NULL);
	if (!draft.packet)
		return;
	section = peer_section_begin(&draft.out, PEER_HELLO, PEER_REPLY_WANTED);
	peer_record_compose(&draft.out, &record);
	peer_section_end(&draft.out, section);
	draft_send(&draft);
}

/* The id is taken by a process that lives elsewhere, as far as we can tell. */
static bool
id_taken(const struct cluster *c, const struct member *holder, const struct peer_record *record)
{
	if (holder == c->self)
		return true;
	return holder->record.boot != record->boot && !peer_address_equal(&holder->record.address, &record->address) &&
	    (holder->record.state == PEER_ALIVE || holder->record.state == PEER_LEAVING) && holder->heard_ns &&
	    (!holder->watched || probe_fresh(c, holder));
}

static void
refuse(struct arrival *arrival, const struct member *holder, const struct peer_record *record)
{
	struct cluster *c = arrival->c;
	struct peer_conflict conflict = { .boot = holder->record.boot, .address = holder->record.address,
		.reason = PEER_REFUSED_DUPLICATE };

	c->counters.duplicates++;
	peer_conflict_compose(&arrival->answer.out, PEER_REFUSE, &conflict);
	news_conflict(c, CLUSTER_DUPLICATE, holder, &record->address);
	if (holder != c->self) {
		struct draft draft;

		conflict.boot = record->boot;
		conflict.address = record->address;
		draft_open_member(&draft, c, members_find(&c->members, holder->id));
		if (draft.packet)
			peer_conflict_compose(&draft.out, PEER_CONFLICT, &conflict);
		draft_send(&draft);
	}
}

/* No room for one more, and nobody gone whose place it could have. */
static bool
table_full(const struct cluster *c)
{
	if (c->members.count < c->members.max)
		return false;
	for (uint16_t i = 0; i < c->members.count; i++)
		if (members_at(&c->members, i)->record.state >= PEER_DEAD)
			return false;
	return true;
}

static void
refuse_full(struct arrival *arrival)
{
	struct peer_conflict conflict = { .boot = arrival->c->config.boot, .address = arrival->c->config.address,
		.reason = PEER_REFUSED_FULL };

	arrival->c->counters.full++;
	peer_conflict_compose(&arrival->answer.out, PEER_REFUSE, &conflict);
}

static void
answer_hello(struct arrival *arrival)
{
	struct draft *answer = &arrival->answer;
	uint8_t *section;

	if (writer_left(&answer->out) < PEER_SECTION_LEN + peer_record_len(&arrival->c->self->record))
		return;
	section = peer_section_begin(&answer->out, PEER_HELLO, arrival->for_us ? 0 : PEER_REPLY_WANTED);
	peer_record_compose(&answer->out, &arrival->c->self->record);
	peer_section_end(&answer->out, section);
}

/* What a newcomer should know first: its own former life, then some of the others. */
static void
introduce(struct arrival *arrival, uint64_t id)
{
	struct cluster *c = arrival->c;
	struct member *former = members_find(&c->members, id);

	if (former)
		draft_record(&arrival->answer, former);
	for (uint16_t i = 0; i < c->members.count && i < 12; i++)
		if (members_at(&c->members, i)->id != id && members_at(&c->members, i) != c->self)
			draft_record(&arrival->answer, members_at(&c->members, i));
}

void
join_hello(struct arrival *arrival, const struct peer_section *section)
{
	struct cluster *c = arrival->c;
	struct reader in = reader_of(section->body.data, section->body.len);
	struct peer_record record;
	struct member *holder;
	uint64_t id;

	if (!peer_record_parse(&in, &record) || record.boot != arrival->boot ||
	    (id = ring_member_id(record.id, record.id_len)) != arrival->header.sender) {
		c->counters.malformed++;
		return;
	}
	holder = members_find(&c->members, id);
	if (holder && record.boot != holder->record.boot && id_taken(c, holder, &record)) {
		if (holder != c->self || record.state == PEER_JOINING)
			refuse(arrival, holder, &record);
		return;
	}
	if (!holder && table_full(c)) {
		refuse_full(arrival);
		return;
	}
	if (arrival->for_us) {
		/* It knows our life, so this is no echo of the past. */
		gossip_learn(arrival, &record);
		if (c->standing == PEER_JOINING && !c->refused) {
			c->standing = PEER_ALIVE;
			gossip_self(c, PEER_ALIVE, c->self->record.incarnation);
		}
	}
	if (section->flags & PEER_REPLY_WANTED) {
		answer_hello(arrival);
		if (arrival->for_us)
			introduce(arrival, id);
	}
}

static void
yield(struct cluster *c, const struct peer_address *other)
{
	if (c->refused)
		return;
	c->refused = true;
	c->standing = PEER_JOINING;
	gossip_self(c, PEER_JOINING, 0);
	news_conflict(c, CLUSTER_REFUSED, c->self, other);
}

void
join_refused(struct arrival *arrival, const struct peer_section *section)
{
	struct cluster *c = arrival->c;
	struct peer_conflict conflict;

	if (!peer_conflict_parse(section->body, &conflict)) {
		c->counters.malformed++;
		return;
	}
	if (conflict.boot == c->config.boot)
		return;
	if (section->type == PEER_CONFLICT) {
		c->counters.duplicates++;
		news_conflict(c, CLUSTER_DUPLICATE, c->self, &conflict.address);
	} else if (c->standing == PEER_JOINING) {
		yield(c, &conflict.address);
	}
}

/* Two processes of one id that both entered: the smaller nonce gives way. */
void
join_duplicate(struct arrival *arrival)
{
	struct cluster *c = arrival->c;

	if (arrival->header.state == PEER_JOINING || arrival->header.state == PEER_LEFT || c->refused)
		return;
	c->counters.duplicates++;
	news_conflict(c, CLUSTER_DUPLICATE, c->self, &arrival->from);
	if (c->config.boot < arrival->boot)
		yield(c, &arrival->from);
	else
		join_send(c, &arrival->from, arrival->boot);
}

bool
cluster_lives_at(const struct cluster *c, const struct peer_address *address)
{
	for (uint16_t i = 0; i < c->members.count; i++) {
		const struct member *member = members_at(&c->members, i);

		if (member_live(member) && peer_address_equal(&member->record.address, address))
			return true;
	}
	return false;
}

/* The dead member that was not tried for longest. */
static struct member *
dead_next(struct cluster *c)
{
	struct member *next = NULL;

	for (uint16_t i = 0; i < c->members.count; i++) {
		struct member *member = members_at(&c->members, i);

		if (member->record.state == PEER_DEAD && (!next || member->tried_ns < next->tried_ns))
			next = member;
	}
	return next;
}

/* Joining: greet every seed. Later: seeds that nobody live is at, and the dead, in turns: so partitions heal. */
void
join_tick(struct cluster *c)
{
	bool joining = c->standing == PEER_JOINING;
	struct member *dead;

	if (c->now_ns < c->reconnect_next_ns)
		return;
	c->reconnect_next_ns = c->now_ns + (joining && !c->refused ? c->config.join_ns : c->config.reconnect_ns);
	if (MUTATED(&c->config, NO_RECONNECT) && !joining)
		return;
	if (c->refused) { /* ask again: the other one may have gone */
		c->refused = false;
		c->standing = PEER_JOINING;
	}
	for (uint8_t i = 0; i < c->config.seed_count; i++)
		if (!peer_address_equal(&c->config.seeds[i], &c->config.address) &&
		    (joining || !cluster_lives_at(c, &c->config.seeds[i])))
			join_send(c, &c->config.seeds[i], 0);
	dead = dead_next(c);
	if (dead) {
		dead->tried_ns = c->now_ns;
		join_send(c, &dead->record.address, dead->record.boot);
	}
}
