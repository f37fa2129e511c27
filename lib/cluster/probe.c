/* Who is silent: watching heartbeats, asking again, asking others, suspecting, convicting. */
#include "cluster/core.h"

#include <math.h>
#include <string.h>

#include "base/check.h"

enum { HELPERS_MAX = 3, CONFIRMATIONS_MAX = 2, ORDERED_TRIES = 5 };

struct phi_config
probe_phi(const struct cluster *c, const struct member *member)
{
	uint64_t interval_ns = member->interval_ns ? member->interval_ns : c->config.heartbeat_ns;

	return (struct phi_config){ .interval_ns = interval_ns, .max_interval_ns = 8 * interval_ns };
}

static uint64_t
suspect_at(const struct cluster *c, const struct member *member)
{
	struct phi_config config = probe_phi(c, member);

	return phi_reaches_ns(&member->phi, &config, c->quantile_suspect);
}

static uint64_t
probe_at(const struct cluster *c, const struct member *member)
{
	struct phi_config config = probe_phi(c, member);

	return phi_reaches_ns(&member->phi, &config, c->quantile_probe);
}

bool
probe_fresh(const struct cluster *c, const struct member *member)
{
	if (!member->heard_ns || !member_live(member))
		return false;
	if (!member->watched) /* it is not ours to judge, but who speaks to us lives */
		return c->now_ns < member->heard_ns + 4 * c->config.heartbeat_ns;
	return c->now_ns < suspect_at(c, member) || c->now_ns < member->vouched_ns;
}

/* --- who watches whom ---------------------------------------------------------------- */

static void
watch_set(struct cluster *c, struct member *member, bool watched, bool watching)
{
	if (watched && !member->watched) {
		/* It may have to hear of us first. */
		phi_init(&member->phi, c->now_ns + 4 * c->config.heartbeat_ns);
		member->doubted = false;
		member->probe_nonce = 0;
	}
	member->watched = watched;
	member->watching = watching;
	if (!watched)
		member->doubted = false;
}

/* Small clusters: everybody. Else on the circle of ids: the next ones watch us, we watch the ones before. */
void
probe_watch(struct cluster *c)
{
	uint16_t live[CLUSTER_MEMBERS_MAX];
	uint16_t count = 0, own = 0;

	c->watch_dirty = false;
	for (uint16_t i = 0; i < c->members.count; i++) {
		struct member *member = members_at(&c->members, i);

		if (member == c->self)
			own = count;
		if (member == c->self || member_live(member))
			live[count++] = c->members.order[i];
		else
			watch_set(c, member, false, false);
	}
	for (uint16_t i = 0; i < count; i++) {
		struct member *member = &c->members.slots[live[i]];
		uint16_t after = (uint16_t)((i + count - own) % count), before = (uint16_t)((own + count - i) % count);

		if (member != c->self)
			watch_set(c, member, before <= c->config.watchers_max, after <= c->config.watchers_max);
	}
}

/* --- probes -------------------------------------------------------------------------- */

static void
ping(struct cluster *c, struct member *member, enum peer_section_type type, const struct peer_probe *probe)
{
	struct draft draft;

	draft_open_member(&draft, c, member);
	if (draft.packet)
		peer_probe_compose(&draft.out, type, probe);
	draft_send(&draft);
}

/* Pings a member, and asks some others to do the same by their own ways. */
void
probe_start(struct cluster *c, struct member *member)
{
	struct peer_probe probe = { .target = member->id, .origin = c->self->id };
	struct member *helpers[HELPERS_MAX];
	uint32_t seen = 0;

	do
		probe.nonce = prng_next(&c->prng);
	while (probe.nonce == 0);
	member->probe_nonce = probe.nonce;
	member->probe_ns = c->now_ns;
	member->probe_nacked = false;
	c->counters.probes++;
	ping(c, member, PEER_PING, &probe);
	for (uint16_t i = 0; i < c->members.count; i++) {
		struct member *helper = members_at(&c->members, i);
		uint64_t place;

		if (helper == c->self || helper == member || helper->record.state != PEER_ALIVE)
			continue;
		place = seen < HELPERS_MAX ? seen : prng_below(&c->prng, seen + 1); /* reservoir sampling */
		if (place < HELPERS_MAX)
			helpers[place] = helper;
		seen++;
	}
	if (MUTATED(&c->config, NO_INDIRECT_PROBES))
		return;
	for (uint32_t i = 0; i < (seen < HELPERS_MAX ? seen : HELPERS_MAX); i++)
		ping(c, helpers[i], PEER_PING_REQ, &probe);
}

void
probe_order(struct cluster *c, struct member *member)
{
	member->probe_tries = ORDERED_TRIES;
	probe_start(c, member);
}

/* An ordered probe or its answer was lost: once more, a heartbeat later. */
static void
order_repeat(struct cluster *c, struct member *member)
{
	if (member->probe_tries == 0 || c->now_ns < member->probe_ns + c->config.heartbeat_ns)
		return;
	if (--member->probe_tries > 0)
		probe_start(c, member);
}

static void
acknowledged(struct arrival *arrival, const struct peer_probe *probe)
{
	struct cluster *c = arrival->c;
	struct member *target = members_find(&c->members, probe->target);

	if (probe->origin != c->self->id) { /* asked for somebody else: pass it on */
		struct member *origin = members_find(&c->members, probe->origin);

		if (origin && member_live(origin))
			ping(c, origin, PEER_ACK, probe);
		return;
	}
	if (!target || target->probe_nonce == 0 || target->probe_nonce != probe->nonce || MUTATED(&c->config, ACK_IGNORED))
		return;
	target->probe_nonce = 0;
	target->probe_tries = 0;
	target->vouched_ns = c->now_ns + 4 * probe_phi(c, target).interval_ns;
	target->doubted = false;
	if (c->health > 0)
		c->health--;
	news_add(c, CLUSTER_PROBED, target, target->record.state, c->now_ns - target->probe_ns);
}

static void
helped(struct arrival *arrival, const struct peer_probe *probe)
{
	struct cluster *c = arrival->c;
	struct member *target = members_find(&c->members, probe->target);

	/* Its question arrived: so much works, whatever the target does. */
	peer_probe_compose(&arrival->answer.out, PEER_NACK, probe);
	if (target && target != c->self && target->record.state != PEER_LEFT)
		ping(c, target, PEER_PING, probe);
}

void
probe_section(struct arrival *arrival, const struct peer_section *section)
{
	struct peer_probe probe;
	struct member *target;

	if (!peer_probe_parse(section->body, &probe)) {
		arrival->c->counters.malformed++;
		return;
	}
	switch (section->type) {
	case PEER_PING:
		if (probe.target == arrival->c->self->id)
			peer_probe_compose(&arrival->answer.out, PEER_ACK, &probe);
		break;
	case PEER_PING_REQ:
		helped(arrival, &probe);
		break;
	case PEER_ACK:
		acknowledged(arrival, &probe);
		break;
	default:
		target = members_find(&arrival->c->members, probe.target);
		if (target && target->probe_nonce == probe.nonce)
			target->probe_nacked = true;
	}
}

void
probe_heartbeat(struct arrival *arrival, const struct peer_heartbeat *heartbeat)
{
	struct member *member = arrival->member;
	struct phi_config config;

	if (heartbeat->sequence <= member->sequence_in)
		return; /* reordered or repeated: no news */
	member->sequence_in = heartbeat->sequence;
	member->interval_ns = heartbeat->interval_us * NS_PER_US;
	config = probe_phi(arrival->c, member);
	if (member->watched && arrival->c->now_ns >= member->phi.last_ns)
		phi_heartbeat(&member->phi, &config, arrival->c->now_ns);
	else if (member->watched)
		phi_init(&member->phi, arrival->c->now_ns);
	member->doubted = false;
	if (member->probe_tries == 0)
		member->probe_nonce = 0;
}

/* --- suspecting and convicting ------------------------------------------------------- */

/* Others who could confirm a suspicion. */
static uint32_t
witnesses(const struct cluster *c, const struct member *accused)
{
	uint32_t count = 0;

	for (uint16_t i = 0; i < c->members.count; i++) {
		const struct member *member = members_at(&c->members, i);

		count += member != c->self && member != accused && member->record.state == PEER_ALIVE;
	}
	return count;
}

/* Dead after max, sooner the more others agree (Lifeguard: Dadgar, Phillips and Currey, 2018); later if we doubt ourselves. */
static uint64_t
suspicion_ns(const struct cluster *c, uint32_t confirmations, uint32_t needed)
{
	double min = (double)c->config.suspicion_min_ns, max = (double)c->config.suspicion_max_ns, wait = max;

	if (needed > 0)
		wait = max - (max - min) * log(confirmations + 1.0) / log(needed + 1.0);
	if (wait < min)
		wait = min;
	return (uint64_t)wait * (1 + c->health);
}

static void
convict(struct cluster *c, struct member *member)
{
	struct peer_record record = member->record;
	uint32_t needed = witnesses(c, member), confirmations = 0;

	if (needed > CONFIRMATIONS_MAX)
		needed = CONFIRMATIONS_MAX;
	if (needed >= c->config.watchers_max)
		needed = c->config.watchers_max - 1u; /* nobody else watches it */
	if (MUTATED(&c->config, NO_CONFIRMATIONS))
		needed = 0;
	for (uint8_t i = 0; i < member->accuser_count; i++)
		confirmations += member->accusers[i] != c->self->id;
	if (member->doubted)
		members_heat(&c->members, member, 2); /* our own accusation is the confirmation that others wait for */
	if (!member->doubted || confirmations < needed)
		return;
	if (c->now_ns < member->since_ns + suspicion_ns(c, confirmations, needed))
		return;
	record.state = PEER_DEAD;
	record.accuser = 0;
	c->counters.convictions++;
	gossip_state(c, member, &record);
}

static void
suspect(struct cluster *c, struct member *member)
{
	struct peer_record record = member->record;

	if (!member->doubted && !member->probe_nacked && c->health < CLUSTER_HEALTH_MAX && witnesses(c, member) > 0)
		c->health++; /* nobody at all answered: it may be us */
	member->doubted = true;
	if (record.state != PEER_SUSPECTED) {
		record.state = PEER_SUSPECTED;
		record.accuser = c->self->id;
		c->counters.suspicions++;
		gossip_state(c, member, &record);
	}
	if (member_accuse(member, c->self->id))
		members_heat(&c->members, member, 4);
}

/*
 * Our own doubt is news once. But when the member refuted it, as others heard, and still says nothing to us and to
 * nobody that we ask, it is news again: the member may have died right after.
 */
static bool
doubt_is_news(const struct cluster *c, const struct member *member)
{
	return !member->doubted ||
	    (member->record.state < PEER_SUSPECTED && c->now_ns >= member->since_ns + c->config.suspicion_min_ns);
}

static void
watch_one(struct cluster *c, struct member *member)
{
	bool silent = c->now_ns >= probe_at(c, member);

	if (silent && c->now_ns + 2 * c->config.heartbeat_ns >= member->vouched_ns &&
	    (member->probe_nonce == 0 || c->now_ns >= member->probe_ns + c->config.heartbeat_ns))
		probe_start(c, member);
	if (silent && c->now_ns >= suspect_at(c, member) && c->now_ns >= member->vouched_ns && doubt_is_news(c, member))
		suspect(c, member);
}

/* Time at which watch_one() may have something to do. */
static uint64_t
watch_deadline(const struct cluster *c, const struct member *member)
{
	uint64_t probe = probe_at(c, member), suspected = suspect_at(c, member);

	if (c->now_ns < probe)
		return probe;
	if (!member->doubted && c->now_ns < suspected)
		return suspected;
	return c->now_ns + c->config.heartbeat_ns / 4;
}

uint64_t
probe_deadline(const struct cluster *c)
{
	return c->watch_next_ns;
}

void
probe_tick(struct cluster *c)
{
	uint64_t next = UINT64_MAX;

	if (c->now_ns < c->watch_next_ns)
		return;
	if (c->now_ns < c->guard_until_ns) {
		c->watch_next_ns = c->guard_until_ns;
		return;
	}
	for (uint16_t i = 0; i < c->members.count; i++) {
		struct member *member = members_at(&c->members, i);

		if (member == c->self || !member_live(member))
			continue;
		order_repeat(c, member);
		if (member->watched) {
			uint64_t at;

			watch_one(c, member);
			at = watch_deadline(c, member);
			next = at < next ? at : next;
		}
		if (member->record.state == PEER_SUSPECTED)
			convict(c, member);
	}
	c->watch_next_ns = next > c->now_ns + c->config.heartbeat_ns ? c->now_ns + c->config.heartbeat_ns : next;
}

/* We were stopped: nobody is to blame for what we did not hear. */
void
probe_pause(struct cluster *c, uint64_t late_ns)
{
	c->counters.pauses++;
	if (MUTATED(&c->config, NO_PAUSE_GUARD))
		return;
	c->guard_until_ns = c->now_ns + 4 * c->config.heartbeat_ns;
	if (c->health < CLUSTER_HEALTH_MAX)
		c->health++;
	for (uint16_t i = 0; i < c->members.count; i++) {
		struct member *member = members_at(&c->members, i);

		if (member == c->self || !member_live(member))
			continue;
		if (member->watched)
			phi_resume(&member->phi, c->now_ns);
		member->doubted = false;
		member->since_ns += late_ns;
	}
	news_add(c, CLUSTER_PAUSED, c->self, c->self->record.state, late_ns);
}
