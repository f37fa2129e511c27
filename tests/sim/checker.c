/* What must hold, whatever faults do. Looks, never acts. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

enum { TAKEN_SIZE = 1 << 16 };
#define UNDISTURBED_NS (4 * NS_PER_SEC)

/* A list with room for one more. */
static void *
grown(void *list, size_t count, size_t *size, size_t entry)
{
	if (count < *size)
		return list;
	*size = *size ? *size * 2 : 64;
	list = realloc(list, *size * entry);
	CHECK(list);
	return list;
}

/* --- one table an epoch ----------------------------------------------------------------- */

static const struct sim_epoch *
epoch_find(const struct sim *sim, uint64_t epoch)
{
	for (size_t i = sim->epoch_count; i-- > 0;)
		if (sim->epochs[i].epoch == epoch)
			return &sim->epochs[i];
	return NULL;
}

/* The newest epoch below this one. */
static const struct sim_epoch *
epoch_before(const struct sim *sim, uint64_t epoch)
{
	const struct sim_epoch *found = NULL;

	for (size_t i = 0; i < sim->epoch_count; i++)
		if (sim->epochs[i].epoch < epoch && (!found || sim->epochs[i].epoch > found->epoch))
			found = &sim->epochs[i];
	return found;
}

/* An index belongs to one node for good. */
static void
indexes_check(struct sim *sim, const struct ring_topology *ring)
{
	for (uint16_t i = 0; i < ring->count; i++) {
		uint64_t *owner = &sim->index_owner[ring->members[i].index];

		if (*owner && *owner != ring->members[i].id)
			sim_fail(sim, "epoch %" PRIu64 " gives index %u to another node", ring->epoch, ring->members[i].index);
		*owner = ring->members[i].id;
	}
}

/* Whether this node may propose that another one owns nothing any more. */
static void
removal_check(struct sim *sim, uint16_t proposer, uint16_t node, uint64_t epoch)
{
	const struct sim_node *n = &sim->nodes[node];
	uint64_t delay = n->config.dead_delay_ns - n->config.dead_delay_ns / 4; /* clocks may be slow or fast */
	uint64_t since = sim_pair(sim, proposer, node)->dead_at;

	if (n->leave_boot && sim_pair(sim, proposer, node)->seen.boot == n->leave_boot)
		return; /* this life of it was told to leave */
	if (!n->config.dead_node_removal_enabled)
		sim_fail(sim, "n%u wants n%u removed by epoch %" PRIu64 ", though nodes only watch", proposer + 1u, node + 1u, epoch);
	if (!since || sim->now_ns < since + delay)
		sim_fail(sim, "n%u wants epoch %" PRIu64 " to take n%u's slots before the delay", proposer + 1u, epoch, node + 1u);
}

static const struct sim_proposal *
proposal_find(const struct sim *sim, uint64_t digest)
{
	for (size_t i = sim->proposal_count; i-- > 0;)
		if (sim->proposals[i].digest == digest)
			return &sim->proposals[i];
	return NULL;
}

/*
 * Tables are judged when they are drawn up, by what their proposer knew then. A table that a
 * voter accepted must be finished by whoever proposes next, though its reason may be gone by then.
 */
static void
proposal_check(struct sim *sim, uint16_t node)
{
	const struct authority *authority = &sim->nodes[node].cluster.authority;
	const struct authority_table *proposal = &authority->proposal;
	const struct ring_topology *base = &authority->committed.ring;

	if (authority->phase == AUTHORITY_IDLE && proposal->digest != authority->committed.digest)
		return; /* not proposed */
	if (proposal->ring.epoch == 0 || proposal_find(sim, proposal->digest))
		return;
	sim->proposals = grown(sim->proposals, sim->proposal_count, &sim->proposal_size, sizeof *sim->proposals);
	if (base->epoch >= proposal->ring.epoch && epoch_before(sim, proposal->ring.epoch)) /* decided in the same step */
		base = epoch_before(sim, proposal->ring.epoch)->ring;
	sim->proposals[sim->proposal_count++] = (struct sim_proposal){ proposal->digest,
		base->epoch < proposal->ring.epoch ? base->epoch : 0 };
	for (uint16_t i = 0; base->epoch < proposal->ring.epoch && i < base->count; i++) {
		uint16_t position = ring_find_id(&proposal->ring, base->members[i].id);

		if (base->members[i].state == RING_ALIVE &&
		    (position == RING_NOBODY || proposal->ring.members[position].state != RING_ALIVE))
			removal_check(sim, node, sim_find(sim, base->members[i].id), proposal->ring.epoch);
	}
	if (sim->verbose)
		printf("%10.3f n%u proposes epoch %" PRIu64 " (%016" PRIx64 ")\n", (double)sim->now_ns / 1e9, node + 1u,
		    proposal->ring.epoch, proposal->digest);
}

/* Notes what a node voted for last. */
static void
vote_note(struct sim *sim, uint16_t node)
{
	const struct authority *authority = &sim->nodes[node].cluster.authority;
	struct sim_vote vote = { .epoch = authority->instance, .digest = authority->accepted.digest,
		.boot = sim->nodes[node].config.boot, .node = node };

	if (authority->accepted_ballot.round == 0)
		return;
	for (size_t i = sim->vote_count; i-- > 0;)
		if (sim->votes[i].digest == vote.digest && sim->votes[i].boot == vote.boot)
			return;
	if (authority->committed.ring.epoch < vote.epoch) {
		vote.base_digest = authority->committed.ring.epoch ? authority->committed.digest : 1; /* 1: the seeds */
		for (size_t i = 0; i < sim->vote_count; i++)
			if (sim->votes[i].epoch == vote.epoch && sim->votes[i].base_digest && sim->votes[i].base_digest != vote.base_digest)
				sim_fail(sim, "epoch %" PRIu64 " is voted on by the owners of two tables", vote.epoch);
	}
	sim->votes = grown(sim->votes, sim->vote_count, &sim->vote_size, sizeof *sim->votes);
	sim->votes[sim->vote_count++] = vote;
}

static bool
voted_on(const struct sim *sim, const struct authority_table *table, uint16_t node, uint64_t boot)
{
	for (size_t i = 0; i < sim->vote_count; i++)
		if (sim->votes[i].node == node && (boot == 0 || sim->votes[i].boot == boot) &&
		    sim->votes[i].epoch == table->ring.epoch && sim->votes[i].digest == table->digest)
			return true;
	return false;
}

/*
 * A table in force has the votes of most owners of the one it follows, each given by the life that
 * stands there; by any life when its number says that it starts anew from those who are left.
 */
static void
quorum_check(struct sim *sim, const struct authority_table *table)
{
	const struct sim_proposal *proposal = proposal_find(sim, table->digest);
	const struct sim_epoch *base = proposal ? epoch_find(sim, proposal->base) : NULL;
	uint32_t voters = 0, votes = 0;

	for (uint16_t i = 0; base && i < base->ring->count; i++)
		if (base->ring->members[i].state == RING_ALIVE) {
			voters++;
			votes += voted_on(sim, table, sim_find(sim, base->ring->members[i].id),
			    base->epoch + 1 == table->ring.epoch ? base->boots[i] : 0);
		}
	for (uint16_t i = 0; !base && i < sim->node_count; i++) { /* the first table: seeds vote */
		voters += i < sim->nodes[0].config.seed_count;
		votes += voted_on(sim, table, i, 0);
	}
	if (votes * 2 <= voters)
		sim_fail(sim, "epoch %" PRIu64 " is in force with the votes of %u lives of %u", table->ring.epoch, votes, voters);
}

/* A node that said it leaves owns nothing any more. */
static void
leavers_check(struct sim *sim, const struct ring_topology *ring)
{
	const struct sim_epoch *last = epoch_before(sim, ring->epoch);

	for (uint16_t i = 0; last && i < last->ring->count; i++) {
		const struct ring_member *member = &last->ring->members[i];
		uint16_t position = ring_find_id(ring, member->id), node = sim_find(sim, member->id);

		if (member->state == RING_LEAVING && position != RING_NOBODY && sim->nodes[node].leaving &&
		    ring_state_owns(ring->members[position].state))
			sim_fail(sim, "epoch %" PRIu64 " gives slots back to n%u, which is leaving", ring->epoch, node + 1u);
	}
}

static void
epoch_note(struct sim *sim, const struct authority_table *table)
{
	const struct ring_topology *ring = &table->ring;
	struct sim_epoch *entry;

	sim->epochs = grown(sim->epochs, sim->epoch_count, &sim->epoch_size, sizeof *sim->epochs);
	/* A jump says that a majority forgot what was: it starts anew from what it sees. */
	if (epoch_before(sim, ring->epoch) && epoch_before(sim, ring->epoch)->epoch + 1 == ring->epoch) {
		leavers_check(sim, ring);
	} else {
		memset(sim->index_owner, 0, sizeof sim->index_owner);
	}
	indexes_check(sim, ring);
	quorum_check(sim, table);
	entry = &sim->epochs[sim->epoch_count++];
	*entry = (struct sim_epoch){ .epoch = ring->epoch, .digest = table->digest, .first_ns = sim->now_ns };
	entry->ring = malloc(sizeof *ring);
	entry->boots = malloc(ring->count * sizeof *entry->boots);
	CHECK(entry->ring && entry->boots);
	*entry->ring = *ring;
	memcpy(entry->boots, table->boots, ring->count * sizeof *entry->boots);
}

static void
topology_check(struct sim *sim, uint16_t node)
{
	const struct cluster *cluster = &sim->nodes[node].cluster;
	const struct ring_topology *ring = cluster_topology(cluster);
	const struct sim_epoch *known;

	vote_note(sim, node);
	known = epoch_find(sim, ring->epoch);
	if (ring_topology_check(ring) != RING_OK)
		sim_fail(sim, "n%u has a table with a fault", node + 1u);
	proposal_check(sim, node);
	if (!proposal_find(sim, cluster->authority.committed.digest))
		sim_fail(sim, "n%u has a table for epoch %" PRIu64 " that nobody proposed", node + 1u, ring->epoch);
	if (!known) {
		epoch_note(sim, &cluster->authority.committed);
		known = epoch_find(sim, ring->epoch);
	}
	if (known->digest != cluster->authority.committed.digest)
		sim_fail(sim, "epoch %" PRIu64 " has two tables, one of them on n%u", ring->epoch, node + 1u);
	if (sim->verbose)
		printf("%10.3f n%u epoch %" PRIu64 " members %u\n", (double)sim->now_ns / 1e9, node + 1u, ring->epoch, ring->count);
}

/* --- news ------------------------------------------------------------------------------ */

static bool
undisturbed(const struct sim *sim, uint16_t node)
{
	const struct sim_node *n = &sim->nodes[node];

	for (uint16_t i = 0; i < sim->node_count; i++)
		if (sim_pair(sim, node, i)->cut || sim_pair(sim, i, node)->cut || sim_pair(sim, node, i)->clogged_ns + UNDISTURBED_NS > sim->now_ns ||
		    sim_pair(sim, i, node)->clogged_ns + UNDISTURBED_NS > sim->now_ns)
			return false;
	return n->up && !n->paused && !n->leaving && sim->now_ns > n->disturbed_ns + UNDISTURBED_NS &&
	    sim->now_ns > n->started_ns + UNDISTURBED_NS;
}

/* Whether an observer had a sound source: its own ears, or anybody undisturbed who watches the other. */
static bool
should_know(const struct sim *sim, uint16_t node, uint16_t about)
{
	for (uint16_t i = 0; i < sim->node_count; i++) {
		const struct cluster *cluster = &sim->nodes[i].cluster;
		const struct member *member = sim->nodes[i].up ? members_find(&cluster->members, sim_id(sim, about)) : NULL;

		if (!member || i == about)
			continue;
		if (i == node && member->heard_ns + 150 * NS_PER_MS > cluster->now_ns)
			return true;
		if (member->watched && undisturbed(sim, i))
			return true;
	}
	return false;
}

static bool
claimed(const struct sim *sim, uint16_t by, uint16_t about, uint64_t boot, uint32_t incarnation)
{
	for (size_t i = sim->claim_count; i-- > 0;) {
		const struct sim_claim *claim = &sim->claims[i];

		if (claim->by == by && claim->about == about && claim->boot == boot && claim->incarnation == incarnation)
			return true;
	}
	return false;
}

static void
claim_note(struct sim *sim, uint16_t by, uint16_t about, uint64_t boot, uint32_t incarnation)
{
	if (claimed(sim, by, about, boot, incarnation))
		return;
	sim->claims = grown(sim->claims, sim->claim_count, &sim->claim_size, sizeof *sim->claims);
	sim->claims[sim->claim_count++] = (struct sim_claim){ boot, incarnation, by, about };
}

/* Nobody declares a death alone: two others found the same, or as many as are in view. */
static void
conviction_check(struct sim *sim, uint16_t node, uint16_t about, const struct cluster_action *action)
{
	const struct members *members = &sim->nodes[node].cluster.members;
	const struct member *accused = members_find(members, action->id);
	uint32_t witnesses = 0, agree = 0, needed;

	if (claimed(sim, SIM_NOBODY, about, accused->record.boot, action->incarnation))
		return; /* somebody did before, and this one was told */
	claim_note(sim, SIM_NOBODY, about, accused->record.boot, action->incarnation);
	for (uint16_t i = 0; i < sim->node_count; i++) {
		const struct member *member = members_find(members, sim_id(sim, i));

		if (i == node || i == about)
			continue;
		witnesses += member && member->record.state == PEER_ALIVE;
		agree += claimed(sim, i, about, accused->record.boot, action->incarnation);
	}
	needed = witnesses < 2 ? witnesses : 2;
	if (needed >= sim->nodes[node].config.watchers_max)
		needed = sim->nodes[node].config.watchers_max - 1u;
	if (agree < needed)
		sim_fail(sim, "n%u declares n%u Dead with %u confirmations, and %u others are Alive", node + 1u, about + 1u, agree,
		    witnesses);
}

static void
state_check(struct sim *sim, uint16_t node, const struct cluster_action *action)
{
	uint16_t about = sim_find(sim, action->id);

	if (about == SIM_NOBODY)
		return;
	if (action->state == PEER_SUSPECTED) {
		sim->suspected_count++;
		if (!sim_pair(sim, node, about)->saw_suspected)
			sim_pair(sim, node, about)->saw_suspected = sim->now_ns;
	}
	if (action->state == PEER_DEAD && action->state_before == PEER_SUSPECTED && !sim->light)
		conviction_check(sim, node, about, action);
	if (action->state == PEER_DEAD) {
		if (!sim_pair(sim, node, about)->saw_dead)
			sim_pair(sim, node, about)->saw_dead = sim->now_ns;
		if (sim->light)
			sim->false_dead += sim->nodes[about].up;
		else if (undisturbed(sim, node) && undisturbed(sim, about) && should_know(sim, node, about)) {
			sim->false_dead++;
			sim_fail(sim, "n%u holds n%u for Dead, which lives and is within reach", node + 1u, about + 1u);
		}
	}
	if (action->state == PEER_LEFT && node == about)
		sim->nodes[about].removed = true;
}

void
checker_action(struct sim *sim, uint16_t node, const struct cluster_action *action)
{
	if (action->kind == CLUSTER_TOPOLOGY && !sim->light)
		topology_check(sim, node);
	else if (action->kind == CLUSTER_NEWS && action->news == CLUSTER_STATE)
		state_check(sim, node, action);
	else if (action->kind == CLUSTER_NEWS && (action->news == CLUSTER_DUPLICATE || action->news == CLUSTER_REFUSED) &&
	    action->id == sim_id(sim, node))
		sim->nodes[node].duplicate = true;
	else if (action->kind == CLUSTER_NEWS && action->news == CLUSTER_PROBED)
		sim->nodes[node].probed++;
	if (sim->verbose && action->kind == CLUSTER_NEWS)
		printf("%10.3f n%u %s n%u %s -> %s (%u)\n", (double)sim->now_ns / 1e9, node + 1u, cluster_news_name(action->news),
		    sim_find(sim, action->id) + 1u, member_state_name(action->state_before), member_state_name(action->state),
		    action->incarnation);
}

/* --- packets and steps ------------------------------------------------------------------ */

void
checker_packet(struct sim *sim, uint16_t node, const struct sim_packet *packet, bool taken)
{
	uint64_t key = packet->number * SIM_NODES_MAX * 64ull + (uint64_t)node * 64 + sim->nodes[node].lives % 64;

	if (!taken || sim->light)
		return;
	if (packet->corrupted)
		sim_fail(sim, "n%u took a packet with a changed bit", node + 1u);
	if (!sim->taken)
		sim->taken = calloc(TAKEN_SIZE, sizeof *sim->taken);
	CHECK(sim->taken);
	if (sim->taken[packet->number % TAKEN_SIZE] == key)
		sim_fail(sim, "n%u took a packet twice", node + 1u);
	sim->taken[packet->number % TAKEN_SIZE] = key;
}

/* Since when a node holds another one for Dead, at this incarnation. */
static void
death_note(struct sim *sim, uint16_t node, uint16_t about, const struct peer_record *record)
{
	uint64_t *at = &sim_pair(sim, node, about)->dead_at, boot = sim_pair(sim, node, about)->seen.boot;

	if (record->state != PEER_DEAD) {
		*at = 0;
		return;
	}
	if (*at && boot == record->boot && sim_pair(sim, node, about)->seen.incarnation == record->incarnation)
		return;
	*at = sim->now_ns;
	for (uint16_t i = 0; i < sim->node_count && boot == 0; i++) /* heard of it first as one that is Dead for a while */
		if (sim_pair(sim, i, about)->dead_at && sim_pair(sim, i, about)->dead_at < *at)
			*at = sim_pair(sim, i, about)->dead_at;
}

/* News about one life of a member only ever gets newer. */
static void
order_check(struct sim *sim, uint16_t node)
{
	const struct members *members = &sim->nodes[node].cluster.members;

	for (uint16_t i = 0; i < members->count; i++) {
		const struct member *member = members_at(members, i);
		uint16_t about = sim_find(sim, member->id);
		const struct peer_record *record = &member->record;

		if (about == SIM_NOBODY)
			continue;
		if (sim_pair(sim, node, about)->seen.boot == record->boot && (record->incarnation < sim_pair(sim, node, about)->seen.incarnation ||
		    (record->incarnation == sim_pair(sim, node, about)->seen.incarnation && record->state < sim_pair(sim, node, about)->seen.state)))
			sim_fail(sim, "n%u went back to older news of n%u", node + 1u, about + 1u);
		death_note(sim, node, about, record);
		if (member->doubted && record->state == PEER_SUSPECTED && (sim_pair(sim, node, about)->accused.boot != record->boot ||
		    sim_pair(sim, node, about)->accused.incarnation != record->incarnation)) {
			sim_pair(sim, node, about)->accused.boot = record->boot;
			sim_pair(sim, node, about)->accused.incarnation = record->incarnation;
			claim_note(sim, node, about, record->boot, record->incarnation);
		}
		sim_pair(sim, node, about)->seen.boot = record->boot;
		sim_pair(sim, node, about)->seen.incarnation = record->incarnation;
		sim_pair(sim, node, about)->seen.state = record->state;
	}
}

/* What one node believes of a member and the other does not, whatever their digests say. */
static const char *
table_difference(const struct sim *sim, uint16_t a, uint16_t b)
{
	static char text[120];
	const struct members *ours = &sim->nodes[a].cluster.members, *theirs = &sim->nodes[b].cluster.members;

	for (uint16_t i = 0; i < ours->count; i++) {
		const struct member *member = members_at(ours, i), *other = members_find(theirs, member->id);

		if (other && member_compare(&member->record, &other->record) == 0)
			continue;
		snprintf(text, sizeof text, "n%u holds n%u for %s at %u, n%u for %s at %u", a + 1u, sim_find(sim, member->id) + 1u,
		    member_state_name(member->record.state), member->record.incarnation, b + 1u,
		    other ? member_state_name(other->record.state) : "unknown", other ? other->record.incarnation : 0);
		return text;
	}
	return NULL;
}

/* Nodes whose digests are equal believe the same. */
static void
digests_check(struct sim *sim, uint16_t node)
{
	for (uint16_t i = 0; i < sim->node_count; i++) {
		const struct sim_node *other = &sim->nodes[i];

		if (i != node && other->up && other->cluster.members.digest == sim->nodes[node].cluster.members.digest &&
		    table_difference(sim, node, i))
			sim_fail(sim, "equal digests, but %s", table_difference(sim, node, i));
	}
}

void
checker_step(struct sim *sim, uint16_t node)
{
	const struct sim_node *n = &sim->nodes[node];
	const struct cluster *cluster = &n->cluster;

	if (cluster_topology(cluster)->epoch < n->epoch)
		sim_fail(sim, "the epoch of n%u fell to %" PRIu64, node + 1u, cluster_topology(cluster)->epoch);
	sim->nodes[node].epoch = cluster_topology(cluster)->epoch;
	if (sim->light)
		return;
	if (sim->delivered > (sim->now_ns / NS_PER_SEC + 5) * (sim->node_count * (sim->node_count - 1u) * 100 + 1000))
		sim_fail(sim, "more packets than anything needs: %" PRIu64, sim->delivered);
	order_check(sim, node);
	proposal_check(sim, node);
	vote_note(sim, node);
	if (cluster->counters.cut)
		sim_fail(sim, "a step of n%u had more to say than fits", node + 1u);
	if (cluster->counters.malformed && sim->network.corrupt == 0)
		sim_fail(sim, "n%u could not read a genuine packet", node + 1u);
	if (sim->steps % 64 == 0)
		digests_check(sim, node);
	if (sim->steps % 256 == 0)
		cluster_check(cluster);
}

/* --- after healing ---------------------------------------------------------------------- */

static const char *
pair_disagreement(const struct sim *sim, uint16_t a, uint16_t b)
{
	static char text[120];
	const struct sim_node *other = &sim->nodes[b];
	const struct member *member = members_find(&sim->nodes[a].cluster.members, sim_id(sim, b));
	uint8_t state = member ? member->record.state : 0;
	bool gone = !other->up || other->cluster.left;

	if (gone && (state == 0 || state == PEER_DEAD || state == PEER_LEFT))
		return NULL;
	if (!gone && state == (other->leaving ? PEER_LEAVING : PEER_ALIVE) && member->record.boot == other->config.boot)
		return NULL;
	if (!gone && other->leaving && state == PEER_LEFT)
		return NULL;
	snprintf(text, sizeof text, "n%u holds n%u for %s", a + 1u, b + 1u, member ? member_state_name(state) : "unknown");
	return text;
}

const char *
checker_disagreement(struct sim *sim)
{
	const struct cluster *first = NULL;
	uint16_t first_node = 0;
	static char text[120];

	for (uint16_t a = 0; a < sim->node_count; a++) {
		const struct cluster *cluster = &sim->nodes[a].cluster;

		if (!sim->nodes[a].up || cluster->left)
			continue;
		for (uint16_t b = 0; b < sim->node_count; b++) {
			const char *why = pair_disagreement(sim, a, b);

			if (why)
				return why;
		}
		if (!first) {
			first = cluster;
			first_node = a;
		}
		if (table_difference(sim, a, first_node) || table_difference(sim, first_node, a))
			return table_difference(sim, a, first_node) ? table_difference(sim, a, first_node) :
			    table_difference(sim, first_node, a);
		snprintf(text, sizeof text, "n%u differs from others: epoch %" PRIu64 ", %" PRIu64 " there", a + 1u,
		    cluster_topology(cluster)->epoch, cluster_topology(first)->epoch);
		if (cluster->authority.committed.digest != first->authority.committed.digest || cluster->members.digest !=
		    first->members.digest || cluster_topology(cluster)->epoch == 0)
			return text;
		if (!sim->nodes[a].leaving && ring_find_id(cluster_topology(cluster), sim_id(sim, a)) == RING_NOBODY)
			return "a live node is not in the table";
	}
	return NULL;
}

/* Nothing moves: no state, no epoch, no news passed on, and no more packets than heartbeats need. */
void
checker_quiet(struct sim *sim, uint64_t ns)
{
	struct { uint64_t changes, packets, epoch; } *before = calloc(sim->node_count, sizeof *before);
	double seconds = (double)ns / 1e9;

	CHECK(before);
	for (uint16_t i = 0; i < sim->node_count; i++) {
		before[i].changes = sim->nodes[i].cluster.counters.changes;
		before[i].packets = sim->nodes[i].cluster.counters.packets_out;
		before[i].epoch = cluster_topology(&sim->nodes[i].cluster)->epoch;
	}
	sim_run(sim, sim->now_ns + ns);
	for (uint16_t i = 0; i < sim->node_count && !sim->failure[0]; i++) {
		const struct cluster *cluster = &sim->nodes[i].cluster;
		/* Heartbeats to all; comparing, absent seeds and dead members on top. */
		double allowed = seconds * (20.0 * (sim->node_count - 1) * 1.2 + 25);

		if (!sim->nodes[i].up || cluster->left)
			continue;
		if (cluster->counters.changes != before[i].changes)
			sim_fail(sim, "n%u still changes its mind with nothing happening", i + 1u);
		if (cluster_topology(cluster)->epoch != before[i].epoch)
			sim_fail(sim, "n%u went to epoch %" PRIu64 " with nothing happening", i + 1u, cluster_topology(cluster)->epoch);
		if (cluster->members.hot_count != 0)
			sim_fail(sim, "n%u still passes old news on", i + 1u);
		if ((double)(cluster->counters.packets_out - before[i].packets) > allowed)
			sim_fail(sim, "n%u sends %.0f packets a second with nothing happening", i + 1u,
			    (double)(cluster->counters.packets_out - before[i].packets) / seconds);
	}
	free(before);
}
