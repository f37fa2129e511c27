/* Packets out: header, sections, news that fits, seal. */
#include "cluster/core.h"

#include <string.h>

#include "base/check.h"

_Static_assert((int)ENVELOPE_OVERHEAD_MAX <= (int)PEER_ENVELOPE_MAX, "a sealed packet fits a datagram");

struct cluster_action *
action_add(struct cluster *c, enum cluster_action_kind kind)
{
	struct cluster_action *action;

	if (c->actions->count == CLUSTER_ACTIONS_MAX) {
		c->counters.cut++;
		return NULL;
	}
	action = &c->actions->list[c->actions->count++];
	memset(action, 0, sizeof *action);
	action->kind = kind;
	return action;
}

void
news_add(struct cluster *c, enum cluster_news news, const struct member *member, uint8_t state_before, uint64_t ns)
{
	struct cluster_action *action = action_add(c, CLUSTER_NEWS);

	if (!action)
		return;
	action->news = news;
	action->id = member->id;
	action->state = member->record.state;
	action->state_before = state_before;
	action->incarnation = member->record.incarnation;
	action->to = member->record.address;
	action->ns = ns;
}

void
news_conflict(struct cluster *c, enum cluster_news news, const struct member *member, const struct peer_address *other)
{
	uint32_t before = c->actions->count;

	news_add(c, news, member, member->record.state, 0);
	if (c->actions->count > before)
		c->actions->list[before].to = *other;
}

void
draft_open(struct draft *draft, struct cluster *c, const struct peer_address *to, uint64_t to_boot, struct member *member)
{
	struct peer_header header = {
		.sender = c->self->id, .to_boot = to_boot, .epoch = c->authority.committed.ring.epoch,
		.epoch_digest = c->authority.committed.digest, .table_digest = c->members.digest,
		.incarnation = c->self->record.incarnation, .state = c->self->record.state };

	memset(draft, 0, sizeof *draft);
	draft->c = c;
	draft->to = *to;
	draft->member = member;
	if (c->actions->packet_count == CLUSTER_PACKETS_MAX) {
		c->counters.cut++;
		draft->out.failed = true;
		return;
	}
	draft->packet = c->actions->packets[c->actions->packet_count++];
	draft->out = writer_of(draft->packet + ENVELOPE_HEADER_LEN, PEER_PAYLOAD_MAX);
	peer_header_compose(&draft->out, &header);
	draft->start = draft->out.at;
}

void
draft_open_member(struct draft *draft, struct cluster *c, struct member *member)
{
	draft_open(draft, c, &member->record.address, member->record.boot, member);
}

bool
draft_empty(const struct draft *draft)
{
	return draft->out.at == draft->start;
}

/* The record as it stands now: with its age, and with ourselves as accuser when we are one. */
static struct peer_record
record_of(const struct cluster *c, const struct member *member)
{
	struct peer_record record = member->record;

	if (record.state >= PEER_DEAD)
		record.age_s = (uint32_t)((c->now_ns - member->since_ns) / NS_PER_SEC);
	if (record.state == PEER_SUSPECTED)
		record.accuser = member->doubted ? c->self->id : record.accuser;
	return record;
}

/* A section of one record. */
void
draft_record(struct draft *draft, struct member *member)
{
	struct peer_record record = record_of(draft->c, member);
	uint8_t *section;

	if (draft->out.failed || writer_left(&draft->out) < PEER_SECTION_LEN + peer_record_len(&record)) {
		draft->c->counters.records_cut++;
		return;
	}
	section = peer_section_begin(&draft->out, PEER_RECORDS, 0);
	peer_record_compose(&draft->out, &record);
	peer_section_end(&draft->out, section);
	draft->accusation_told |= member == draft->member;
}

/* What was heard lately, in turns, as much as fits. */
static void
news_fill(struct draft *draft)
{
	struct cluster *c = draft->c;
	uint16_t hot_left = c->members.hot_count;

	for (uint16_t k = 0; k < c->members.count && hot_left > 0; k++) {
		uint16_t position = (uint16_t)((c->hot_from + k) % c->members.count);
		struct member *member = members_at(&c->members, position);

		if (member->hot == 0)
			continue;
		hot_left--;
		if (member == draft->member && draft->accusation_told)
			continue; /* it is in here already */
		if (writer_left(&draft->out) < PEER_SECTION_LEN + peer_record_len(&member->record)) {
			c->hot_from = position;
			return;
		}
		draft_record(draft, member);
		members_cool(&c->members, member);
	}
}

void
draft_seal(struct draft *draft, enum envelope_class class)
{
	struct cluster *c = draft->c;
	struct cluster_action *action = action_add(c, CLUSTER_SEND);

	if (!action)
		return;
	action->to = draft->to;
	action->packet = draft->packet;
	action->priority = class == ENVELOPE_CONTROL;
	action->len = (uint16_t)envelope_seal(&c->envelope, draft->packet, (size_t)(draft->out.at - draft->packet) -
	    ENVELOPE_HEADER_LEN, class);
	c->counters.packets_out++;
	c->counters.bytes_out += action->len;
}

void
draft_send(struct draft *draft)
{
	struct cluster *c = draft->c;

	if (!draft->packet)
		return;
	if (draft_empty(draft)) { /* only the last packet can be given back */
		if (draft->packet == c->actions->packets[c->actions->packet_count - 1])
			c->actions->packet_count--;
		return;
	}
	CHECK(!draft->out.failed);
	if (draft->member && draft->member->record.state >= PEER_SUSPECTED && draft->member->record.state != PEER_LEFT &&
	    !draft->accusation_told) {
		draft_record(draft, draft->member); /* the accused is the first to be told */
		draft->member->told_ns = c->now_ns;
	}
	news_fill(draft);
	draft_seal(draft, ENVELOPE_CONTROL);
}
