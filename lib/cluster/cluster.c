/* The facade: who gets which event, and when the next one is due. */
#include "cluster/cluster.h"

#include <string.h>

#include "base/check.h"
#include "cluster/core.h"

enum { VOTERS_PER_PART = 46 };
_Static_assert(PEER_HEADER_LEN + PEER_SECTION_LEN + 24 + VOTERS_PER_PART * PEER_VOTER_LEN <= PEER_PAYLOAD_MAX,
    "a part of a table fits a packet");

static uint64_t
at_most(uint64_t ns, uint64_t bound_ns)
{
	return ns < bound_ns ? ns : bound_ns;
}

/*
 * How soon silence is noticed follows the heartbeats. What a packet or two settle does not: slow heartbeats are for links
 * that stall, and nobody should wait for a minute to be let in.
 */
void
cluster_config_interval(struct cluster_config *config, uint64_t heartbeat_ns)
{
	config->heartbeat_ns = heartbeat_ns;
	config->gossip_ns = 4 * heartbeat_ns;
	config->join_ns = at_most(4 * heartbeat_ns, 500 * NS_PER_MS);
	config->reconnect_ns = at_most(20 * heartbeat_ns, 10 * NS_PER_SEC);
	config->suspicion_min_ns = 8 * heartbeat_ns;
	config->suspicion_max_ns = 24 * heartbeat_ns;
	config->pause_ns = 2 * heartbeat_ns > 100 * NS_PER_MS ? 2 * heartbeat_ns : 100 * NS_PER_MS;
	config->settle_ns = at_most(6 * heartbeat_ns, NS_PER_SEC);
	config->found_delay_ns = at_most(20 * heartbeat_ns, 4 * NS_PER_SEC);
	config->leave_ns = at_most(60 * heartbeat_ns, 15 * NS_PER_SEC);
}

void
cluster_config_default(struct cluster_config *config)
{
	memset(config, 0, sizeof *config);
	cluster_config_interval(config, 50 * NS_PER_MS);
	config->replication = 3;
	config->weight = RING_WEIGHT_DEFAULT;
	config->workers = 1;
	config->members_max = CLUSTER_MEMBERS_MAX;
	config->watchers_max = 16;
	config->dead_node_removal_enabled = true;
	config->phi_threshold = 8;
	config->dead_delay_ns = 10 * NS_PER_SEC;
	config->tombstone_ns = 24 * 3600 * NS_PER_SEC;
	config->link_bytes = LINK_BYTES_DEFAULT;
}

/* The seeds and this node, each once. */
static uint8_t
founders_of(const struct cluster_config *config, struct peer_address founders[AUTHORITY_FOUNDERS_MAX])
{
	uint8_t count = 0;

	founders[count++] = config->address;
	for (uint8_t i = 0; i < config->seed_count; i++) {
		bool there = false;

		for (uint8_t k = 0; k < count; k++)
			there |= peer_address_equal(&founders[k], &config->seeds[i]);
		if (!there)
			founders[count++] = config->seeds[i];
	}
	return count;
}

static void
authority_config_of(const struct cluster *c, struct authority_config *out)
{
	const struct cluster_config *config = &c->config;

	*out = (struct authority_config){
		.id = c->self->id, .boot = config->boot, .replication = config->replication,
		.removal = config->dead_node_removal_enabled, .dead_delay_ns = config->dead_delay_ns,
		.settle_ns = config->settle_ns, .found_delay_ns = config->found_delay_ns,
		.epoch_floor = config->epoch_floor, .mutation = config->mutation };
	out->founder_count = founders_of(config, out->founders);
}

/* No seed but itself: nobody to ask, it is a cluster of one. */
static bool
alone(const struct cluster_config *config)
{
	for (uint8_t i = 0; i < config->seed_count; i++)
		if (!peer_address_equal(&config->seeds[i], &config->address))
			return false;
	return true;
}

static struct peer_record
own_record(const struct cluster_config *config, uint8_t state)
{
	struct peer_record record = { .boot = config->boot, .incarnation = 1, .rack = config->rack,
		.address = config->address, .api = config->api, .weight = config->weight, .workers = config->workers, .state = state };

	record.id_len = (uint8_t)strnlen(config->id, PEER_ID_MAX);
	memcpy(record.id, config->id, record.id_len);
	return record;
}

bool
cluster_init(struct cluster *c, const struct cluster_config *config, struct now now, uint64_t seed)
{
	struct envelope_config envelope = { .key_count = config->key_count, .insecure = config->insecure,
		.algorithm = config->algorithm, .lives_max = config->members_max * 2u, .mutation = config->mutation };
	struct authority_config authority;
	struct peer_record record;

	CHECK(config->id[0] && config->boot != 0 && config->address.port != 0 && config->weight > 0);
	CHECK(config->workers > 0);
	CHECK(config->seed_count <= CLUSTER_SEEDS_MAX && config->heartbeat_ns >= NS_PER_MS && config->watchers_max > 0);
	memset(c, 0, sizeof *c);
	c->config = *config;
	memcpy(envelope.keys, config->keys, sizeof envelope.keys);
	memcpy(envelope.name, config->name, sizeof envelope.name);
	if (!envelope_init(&c->envelope, &envelope, config->boot))
		return false;
	if (!members_init(&c->members, config->members_max) ||
	    !link_init(&c->link, config->members_max, config->link_bytes)) {
		members_deinit(&c->members);
		envelope_deinit(&c->envelope);
		return false;
	}
	c->members.mutation = config->mutation;
	c->prng.state = seed;
	c->now_ns = c->last_ns = c->deadline_ns = MUTATED(config, WALL_CLOCK) ? now.wall_ms * NS_PER_MS : now.mono_ns;
	c->standing = alone(config) ? PEER_ALIVE : PEER_JOINING;
	record = own_record(config, c->standing);
	c->self = members_add(&c->members, &record, c->now_ns);
	c->quantile_suspect = phi_quantile(config->phi_threshold);
	c->quantile_probe = phi_quantile(config->phi_threshold / 2);
	authority_config_of(c, &authority);
	authority_init(&c->authority, &authority, c->now_ns, prng_next(&c->prng));
	c->heartbeat_next_ns = c->now_ns + prng_below(&c->prng, config->heartbeat_ns);
	c->gossip_next_ns = c->now_ns + prng_below(&c->prng, config->gossip_ns);
	c->watch_next_ns = c->now_ns + config->heartbeat_ns;
	return true;
}

/* The first step: until now nobody was to call us, and nothing could be heard. */
static void
begin(struct cluster *c)
{
	c->begun = true;
	c->deadline_ns = c->now_ns;
	c->authority.start_ns = c->now_ns;
}

void
cluster_deinit(struct cluster *c)
{
	envelope_deinit(&c->envelope);
	members_deinit(&c->members);
	link_deinit(&c->link);
	explicit_bzero(c, sizeof *c);
}

/* --- the authority's messages -------------------------------------------------------- */

static void
table_part(struct draft *draft, const struct authority_table *table, uint16_t first, bool committed)
{
	struct peer_part part = { .epoch = table->ring.epoch, .digest = table->digest, .count = table->ring.count,
		.first = first, .here = (uint16_t)(table->ring.count - first), .replication = table->ring.replication };
	uint8_t *section;

	if (!draft->packet)
		return;
	if (part.here > VOTERS_PER_PART)
		part.here = VOTERS_PER_PART;
	if (writer_left(&draft->out) < PEER_SECTION_LEN + 24u + part.here * PEER_VOTER_LEN)
		return; /* it will be asked for */
	section = peer_section_begin(&draft->out, PEER_TABLE_PART, committed ? PEER_COMMITTED : 0);
	peer_part_compose(&draft->out, &part);
	for (uint16_t i = first; i < first + part.here; i++) {
		const struct ring_member *member = &table->ring.members[i];
		struct peer_voter voter = { member->id, table->boots[i], member->rack, member->index, member->weight,
			member->state };

		peer_voter_compose(&draft->out, &voter);
	}
	peer_section_end(&draft->out, section);
}

static void
table_send(struct arrival *arrival, struct view body)
{
	struct cluster *c = arrival->c;
	struct reader in = reader_of(body.data, body.len);
	uint64_t epoch = reader_le64(&in), digest = reader_le64(&in);
	bool committed = false;
	const struct authority_table *table = authority_find(&c->authority, epoch, digest, &committed);

	for (uint16_t first = 0; table && first < table->ring.count; first = (uint16_t)(first + VOTERS_PER_PART)) {
		struct draft draft;

		draft_open(&draft, c, &arrival->from, arrival->boot, NULL);
		table_part(&draft, table, first, committed);
		draft_send(&draft);
	}
}

static void
authority_send(struct cluster *c, const struct authority_out *out)
{
	for (uint32_t i = 0; i < out->count; i++) {
		struct member *to = members_find(&c->members, out->list[i].to);
		const struct peer_ballot *ballot = &out->list[i].ballot;
		struct draft draft;

		if (!to || to == c->self)
			continue;
		draft_open_member(&draft, c, to);
		if (draft.packet && out->list[i].kind == AUTHORITY_ASK) {
			uint8_t *section = peer_section_begin(&draft.out, PEER_TABLE_WANT, 0);

			writer_le64(&draft.out, ballot->epoch);
			writer_le64(&draft.out, ballot->digest);
			peer_section_end(&draft.out, section);
		} else if (draft.packet) {
			/* The table first, so that the ballot finds it there. */
			if (out->list[i].kind == AUTHORITY_BALLOT_TABLE && c->authority.proposal.ring.count <= VOTERS_PER_PART / 2)
				table_part(&draft, &c->authority.proposal, 0, false);
			peer_ballot_compose(&draft.out, ballot);
		}
		draft_send(&draft);
	}
	if (out->committed)
		action_add(c, CLUSTER_TOPOLOGY);
}

static void
authority_section(struct arrival *arrival, const struct peer_section *section)
{
	struct cluster *c = arrival->c;
	struct authority_out out = { .count = 0 };
	struct peer_ballot ballot;
	struct peer_part part;
	struct reader voters;

	if (section->type == PEER_BALLOT && peer_ballot_parse(section->body, &ballot))
		authority_ballot(&c->authority, &c->members, c->now_ns, arrival->member->id, arrival->boot, &ballot, &out);
	else if (section->type == PEER_TABLE_PART && peer_part_parse(section->body, &part, &voters))
		authority_part(&c->authority, &c->members, c->now_ns, &part, &voters, section->flags & PEER_COMMITTED, &out);
	else
		c->counters.malformed++;
	authority_send(c, &out);
}

static void
authority_time(struct cluster *c)
{
	struct authority_out out = { .count = 0 };

	authority_tick(&c->authority, &c->members, c->now_ns, &out);
	authority_send(c, &out);
}

/* --- packets in ---------------------------------------------------------------------- */

/* Sections that only a known life may send, and only to ours. */
static void
section_known(struct arrival *arrival, const struct peer_section *section)
{
	struct peer_heartbeat heartbeat;

	switch (section->type) {
	case PEER_HEARTBEAT:
		if (peer_heartbeat_parse(section->body, &heartbeat) && heartbeat.interval_us > 0)
			probe_heartbeat(arrival, &heartbeat);
		else
			arrival->c->counters.malformed++;
		break;
	case PEER_RECORDS:
		gossip_records(arrival, section->body);
		break;
	case PEER_DIGEST:
		gossip_digest(arrival, section->body);
		break;
	case PEER_WANT:
		gossip_want(arrival, section->body);
		break;
	case PEER_PING:
	case PEER_ACK:
	case PEER_PING_REQ:
	case PEER_NACK:
		probe_section(arrival, section);
		break;
	case PEER_BALLOT:
	case PEER_TABLE_PART:
		authority_section(arrival, section);
		break;
	case PEER_TABLE_WANT:
		table_send(arrival, section->body);
		break;
	case PEER_LINK:
		link_section(arrival, section->body);
		break;
	default:
		arrival->c->counters.unknown_sections++;
	}
}

static void
section_in(struct arrival *arrival, const struct peer_section *section)
{
	struct cluster *c = arrival->c;

	if (section->type == PEER_HELLO) {
		join_hello(arrival, section);
		arrival->member = members_find(&c->members, arrival->header.sender);
		if (arrival->member && arrival->member->record.boot != arrival->boot)
			arrival->member = NULL;
	} else if (section->type == PEER_REFUSE || section->type == PEER_CONFLICT) {
		if (arrival->for_us)
			join_refused(arrival, section);
	} else if (arrival->for_us && arrival->member) {
		section_known(arrival, section);
	} else if (arrival->for_us && section->type == PEER_PING) {
		probe_section(arrival, section); /* whoever asks may know that we live */
	} else if (arrival->for_us && section->type == PEER_RECORDS) {
		gossip_records(arrival, section->body);
	}
}

/* What the header says of the sender itself. */
static void
sender_heard(struct arrival *arrival)
{
	struct cluster *c = arrival->c;
	struct member *member = arrival->member;
	struct peer_record record = member->record;
	struct authority_out out = { .count = 0 };

	member->heard_ns = c->now_ns;
	member->table_digest = arrival->header.table_digest;
	record.incarnation = arrival->header.incarnation;
	record.state = arrival->header.state;
	record.accuser = 0;
	if (member_compare(&record, &member->record) > 0)
		gossip_learn(arrival, &record);
	else if (member->record.state == PEER_SUSPECTED || member->record.state == PEER_DEAD)
		gossip_tell(c, member);
	authority_heard(&c->authority, c->now_ns, member->id, arrival->header.epoch, arrival->header.epoch_digest, &out);
	authority_send(c, &out);
}

/* A life that is not in the table, or a packet that is not meant for ours: introductions first. */
static void
sender_strange(struct arrival *arrival)
{
	struct cluster *c = arrival->c;

	if (!arrival->for_us)
		c->counters.former_life++;
	else
		c->counters.unknown++;
}

/*
 * A packet of messages alone, from a member that says nothing new of itself: it is read without what answers
 * and timers cost. False: it is not one.
 */
static bool
data_read(struct arrival *arrival, const struct reader *in)
{
	struct cluster *c = arrival->c;
	struct member *member = arrival->member;
	struct reader rest = *in;
	struct peer_section section;

	if (!arrival->for_us || !member || member->record.state >= PEER_SUSPECTED ||
	    arrival->header.incarnation != member->record.incarnation || arrival->header.state != member->record.state ||
	    arrival->header.epoch != cluster_topology(c)->epoch || arrival->header.epoch_digest != c->authority.committed.digest ||
	    !peer_section_next(&rest, &section) || section.type != PEER_LINK || reader_left(&rest) > 0)
		return false;
	member->heard_ns = c->now_ns;
	member->table_digest = arrival->header.table_digest;
	link_section(arrival, section.body);
	return true;
}

/* True: timers have nothing to do with it. */
static bool
packet_read(struct arrival *arrival, struct reader *in)
{
	struct cluster *c = arrival->c;
	struct peer_section section;
	bool hello = false;

	arrival->for_us = arrival->header.to_boot == c->config.boot || MUTATED(&c->config, BOOT_IGNORED);
	arrival->member = member_of(c, arrival->header.sender);
	if (arrival->member && (arrival->member->record.boot != arrival->boot || arrival->member == c->self))
		arrival->member = NULL;
	if (data_read(arrival, in))
		return true;
	draft_open(&arrival->answer, c, &arrival->from, arrival->boot, arrival->member);
	if (!arrival->answer.packet)
		return false;
	if (arrival->for_us && arrival->header.sender == c->self->id)
		join_duplicate(arrival);
	else if (arrival->for_us && arrival->member)
		sender_heard(arrival);
	else
		sender_strange(arrival);
	while (peer_section_next(in, &section)) {
		hello |= section.type == PEER_HELLO || section.type == PEER_REFUSE;
		section_in(arrival, &section);
	}
	c->counters.malformed += in->failed;
	if ((!arrival->for_us || !arrival->member) && !hello && arrival->header.sender != c->self->id)
		join_send(c, &arrival->from, arrival->boot);
	arrival->answer.out.failed = false;
	draft_send(&arrival->answer);
	return false;
}

static bool
packet_in(struct cluster *c, const struct cluster_event *event)
{
	struct arrival arrival = { .c = c, .from = event->from };
	enum envelope_verdict verdict;
	struct reader in;
	uint8_t *payload;
	size_t len;

	c->counters.packets_in++;
	c->counters.bytes_in += event->len;
	verdict = envelope_open(&c->envelope, event->data, event->len, &arrival.boot, &payload, &len);
	c->counters.refused[verdict] += verdict != ENVELOPE_OK;
	if (verdict != ENVELOPE_OK || arrival.boot == c->config.boot)
		return false;
	c->actions->genuine = true;
	in = reader_of(payload, len);
	if (peer_header_parse(&in, &arrival.header))
		return packet_read(&arrival, &in);
	c->counters.malformed++;
	return false;
}

/* --- time and commands --------------------------------------------------------------- */

static void
heartbeats(struct cluster *c)
{
	struct draft draft;

	if (c->now_ns < c->heartbeat_next_ns)
		return;
	c->heartbeat_next_ns += c->config.heartbeat_ns;
	if (c->heartbeat_next_ns <= c->now_ns)
		c->heartbeat_next_ns = c->now_ns + c->config.heartbeat_ns;
	if (c->standing == PEER_JOINING)
		return;
	for (uint16_t i = 0; i < c->members.count; i++) {
		struct member *member = members_at(&c->members, i);
		struct peer_heartbeat heartbeat = { member->sequence_out + 1, (uint32_t)(c->config.heartbeat_ns / NS_PER_US) };

		if (!member->watching)
			continue;
		draft_open_member(&draft, c, member);
		if (draft.packet) {
			member->sequence_out++;
			peer_heartbeat_compose(&draft.out, &heartbeat);
		}
		draft_send(&draft);
	}
	gossip_sweep(c);
	if (c->health > 0 && prng_below(&c->prng, 100) == 0)
		c->health--; /* doubt fades: in about five seconds at 50 ms */
}

/* Leaving ends when the topology has done without us, or when it takes too long. */
static void
leave_tick(struct cluster *c)
{
	uint16_t position = ring_find_id(cluster_topology(c), c->self->id);
	bool gone = position == RING_NOBODY || !ring_state_owns(cluster_topology(c)->members[position].state);

	if (c->leave_at_ns == 0 || c->left)
		return;
	if (c->standing == PEER_LEAVING && (gone || c->now_ns >= c->leave_at_ns)) {
		c->standing = PEER_LEFT;
		gossip_self(c, PEER_LEFT, c->self->record.incarnation);
		c->leave_at_ns = c->now_ns + 4 * c->config.heartbeat_ns; /* say it a few times more */
	} else if (c->standing == PEER_LEFT && c->now_ns >= c->leave_at_ns) {
		c->left = true;
		news_add(c, CLUSTER_LEFT, c->self, c->self->record.state, 0);
	}
}

/*
 * A seed has another address. Before the first vote it stands for another founder, too: whoever voted on a first table
 * keeps the list that it voted for, or two lists could each have a majority.
 */
static void
seed_set(struct cluster *c, const struct cluster_event *event)
{
	struct peer_address founders[AUTHORITY_FOUNDERS_MAX];

	if (event->id >= c->config.seed_count)
		return;
	c->config.seeds[event->id] = event->from;
	authority_founders(&c->authority, founders, founders_of(&c->config, founders));
	c->reconnect_next_ns = c->now_ns;
}

static void
command(struct cluster *c, const struct cluster_event *event)
{
	struct member *member = members_find(&c->members, event->id);

	if (event->kind == CLUSTER_JOIN)
		join_send(c, &event->from, 0);
	else if (event->kind == CLUSTER_PROBE && member && member != c->self)
		probe_order(c, member);
	else if (event->kind == CLUSTER_SEED)
		seed_set(c, event);
	else if ((event->kind == CLUSTER_DRAIN || event->kind == CLUSTER_LEAVE) && c->standing == PEER_ALIVE) {
		c->standing = PEER_LEAVING;
		gossip_self(c, PEER_LEAVING, c->self->record.incarnation);
	}
	if (event->kind == CLUSTER_LEAVE && c->standing != PEER_LEFT && c->leave_at_ns == 0) {
		c->standing = PEER_LEAVING;
		c->leave_at_ns = c->now_ns + c->config.leave_ns;
	}
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void
timers(struct cluster *c)
{
	if (c->watch_dirty) {
		probe_watch(c);
		c->watch_next_ns = c->now_ns;
	}
	probe_tick(c);
	heartbeats(c);
	gossip_tick(c);
	gossip_urgent_tick(c);
	join_tick(c);
	leave_tick(c);
	authority_time(c);
	if (c->watch_dirty)
		probe_watch(c);
	c->deadline_ns = earlier(earlier(c->heartbeat_next_ns, c->gossip_next_ns), probe_deadline(c));
	c->deadline_ns = earlier(earlier(c->deadline_ns, c->reconnect_next_ns), authority_deadline(&c->authority));
	if (c->urgent_ns)
		c->deadline_ns = earlier(c->deadline_ns, c->urgent_ns);
	if (c->leave_at_ns)
		c->deadline_ns = earlier(c->deadline_ns, c->leave_at_ns);
}

void
cluster_step(struct cluster *c, struct now now, const struct cluster_event *event, struct cluster_actions *actions)
{
	uint64_t now_ns = MUTATED(&c->config, WALL_CLOCK) ? now.wall_ms * NS_PER_MS : now.mono_ns;
	bool quiet = event->kind == CLUSTER_TICK;

	actions->count = actions->packet_count = 0;
	actions->genuine = false;
	if (c->left)
		return;
	if (!MUTATED(&c->config, WALL_CLOCK))
		CHECK(now_ns >= c->now_ns);
	c->actions = actions;
	c->now_ns = now_ns;
	if (!c->begun)
		begin(c);
	link_begin(c);
	if (now_ns > c->deadline_ns + c->config.pause_ns) {
		probe_pause(c, now_ns - c->deadline_ns);
		link_pause(c);
	}
	if (event->kind == CLUSTER_PACKET)
		quiet = packet_in(c, event);
	else if (event->kind != CLUSTER_TICK)
		command(c, event);
	if (!quiet || now_ns >= c->deadline_ns)
		timers(c);
	link_end(c);
	c->actions = NULL;
}

uint64_t
cluster_deadline(const struct cluster *c)
{
	return c->left ? UINT64_MAX : earlier(c->deadline_ns, link_deadline(&c->link));
}

uint64_t
cluster_epoch_floor(const struct cluster *c)
{
	bool voted = c->authority.accepted_ballot.round > 0 && c->authority.instance > c->authority.floor;

	return voted ? c->authority.instance : c->authority.floor;
}

/* --- looking in ---------------------------------------------------------------------- */

void
cluster_view(const struct cluster *c, struct now now, struct cluster_view *view)
{
	view->epoch = cluster_topology(c)->epoch;
	view->changes = c->counters.changes;
	view->ring_size = ring_size(cluster_topology(c));
	view->replication_factor = c->config.replication;
	view->heartbeat_ns = c->config.heartbeat_ns;
	view->phi_threshold = c->config.phi_threshold;
	view->count = c->members.count;
	for (uint16_t i = 0; i < c->members.count; i++) {
		const struct member *member = members_at(&c->members, i);
		struct cluster_member_view *out = &view->members[i];
		struct phi_config phi = probe_phi(c, member);

		memcpy(out->id, member->record.id, sizeof out->id);
		out->address = member->record.address;
		out->api = member->record.api;
		out->state = member->record.state;
		out->incarnation = member->record.incarnation;
		out->boot = member->record.boot;
		out->rack = member->record.rack;
		out->weight = member->record.weight;
		out->heard_ns = member->heard_ns;
		out->watched = member->watched;
		out->self = member == c->self;
		out->phi = member->watched ? phi_value(&member->phi, &phi, now.mono_ns) : 0;
	}
}

void
cluster_check(const struct cluster *c)
{
	members_check(&c->members);
	authority_check(&c->authority);
	envelope_check(&c->envelope);
	link_check(&c->link);
	CHECK(members_find(&c->members, c->self->id) == c->self && c->self->record.boot == c->config.boot);
	CHECK(c->health <= CLUSTER_HEALTH_MAX);
}

const char *
cluster_news_name(enum cluster_news news)
{
	static const char *const names[] = { "none", "state", "restarted", "forgotten", "duplicate", "refused", "paused",
		"left", "probed" };

	return names[news <= CLUSTER_PROBED ? news : 0];
}
