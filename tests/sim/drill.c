/* Drills: one fault each, whose outcome is known exactly. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

static struct sim sim;

static void
open_nodes(uint64_t seed, uint16_t nodes, uint32_t mutation)
{
	struct cluster_config config;

	swarm_config(&config);
	config.mutation = mutation;
	sim_open(&sim, seed, nodes, &config);
}

static void
all_start(uint64_t seed, uint16_t nodes, uint32_t mutation)
{
	open_nodes(seed, nodes, mutation);
	for (uint16_t i = 0; i < nodes; i++)
		sim_start(&sim, i);
}

static void
run_ms(uint64_t ms)
{
	sim_run(&sim, sim.now_ns + ms * NS_PER_MS);
}

/* Milliseconds until all agree; the limit when they do not. */
static uint64_t
agreement_ms(uint64_t limit_ms)
{
	uint64_t waited = 0;

	while (waited < limit_ms && !sim.failure[0] && checker_disagreement(&sim)) {
		run_ms(10);
		waited += 10;
	}
	return waited;
}

/* --- one fault, one outcome ---------------------------------------------------------------- */

static void
cut_both(uint16_t a, uint16_t b, bool is_cut)
{
	sim_pair(&sim, a, b)->cut = sim_pair(&sim, b, a)->cut = is_cut;
	sim_disturb(&sim, a);
	sim_disturb(&sim, b);
}

/* One link of five nodes' is cut: nobody is even suspected, since others vouch. */
static void
drill_link(uint64_t seed, uint32_t mutation)
{
	all_start(seed, 5, mutation);
	run_ms(5000);
	cut_both(0, 1, true);
	run_ms(10000);
	if (sim_pair(&sim, 0, 1)->saw_suspected || sim_pair(&sim, 1, 0)->saw_suspected)
		sim_fail(&sim, "n1 or n2 suspects the other, though three nodes reach both");
}

/* A node is stopped for two seconds: on waking it accuses nobody. */
static void
drill_stopped(uint64_t seed, uint32_t mutation)
{
	all_start(seed, 5, mutation);
	run_ms(5000);
	sim_pause(&sim, 0);
	run_ms(2000);
	sim_resume(&sim, 0);
	run_ms(3000);
	for (uint16_t i = 1; i < 5; i++)
		if (sim_pair(&sim, 0, i)->saw_suspected)
			sim_fail(&sim, "n1 was stopped and blames n%u", i + 1u);
	if (agreement_ms(3000) >= 3000)
		sim_fail(&sim, "no agreement after a stop of 2 s");
}

/* A node was cut off and holds all others for Dead: coming back it convinces nobody. */
static void
drill_hearsay(uint64_t seed, uint32_t mutation)
{
	all_start(seed, 5, mutation);
	run_ms(5000);
	for (uint16_t i = 1; i < 5; i++)
		cut_both(0, i, true);
	run_ms(8000);
	for (uint16_t i = 1; i < 5; i++)
		cut_both(0, i, false);
	run_ms(5000);
	for (uint16_t a = 1; a < 5; a++)
		for (uint16_t b = 1; b < 5; b++)
			if (sim_pair(&sim, a, b)->saw_dead)
				sim_fail(&sim, "n%u believed that n%u is Dead, though it heard it", a + 1u, b + 1u);
	if (agreement_ms(8000) >= 8000)
		sim_fail(&sim, "no agreement after one node came back: %s", checker_disagreement(&sim));
}

/* Two and two: neither half decides anything. */
static void
drill_halves(uint64_t seed, uint32_t mutation)
{
	size_t epochs;

	all_start(seed, 4, mutation);
	run_ms(5000);
	epochs = sim.epoch_count;
	for (uint16_t a = 0; a < 2; a++)
		for (uint16_t b = 2; b < 4; b++)
			cut_both(a, b, true);
	run_ms(12000);
	if (sim.epoch_count != epochs)
		sim_fail(&sim, "half of the cluster decided on an epoch");
	for (uint16_t a = 0; a < 2; a++)
		for (uint16_t b = 2; b < 4; b++)
			cut_both(a, b, false);
	if (agreement_ms(10000) >= 10000)
		sim_fail(&sim, "no agreement after the halves met");
}

/* One leaves, another comes: it gets an index of its own. */
static void
drill_successor(uint64_t seed, uint32_t mutation)
{
	open_nodes(seed, 5, mutation);
	for (uint16_t i = 0; i < 4; i++)
		sim_start(&sim, i);
	run_ms(5000);
	sim_command(&sim, 1, CLUSTER_LEAVE);
	run_ms(6000);
	sim_start(&sim, 4);
	if (agreement_ms(6000) >= 6000)
		sim_fail(&sim, "no agreement after one left and another came");
}

/* Two processes with one id: the second is refused, both say so, the first stays. */
static void
drill_duplicate(uint64_t seed, uint32_t mutation)
{
	open_nodes(seed, 5, mutation);
	memcpy(sim.nodes[4].config.id, sim.nodes[0].config.id, sizeof sim.nodes[0].config.id);
	sim.nodes[4].id = sim.nodes[0].id;
	for (uint16_t i = 0; i < 4; i++)
		sim_start(&sim, i);
	run_ms(4000);
	sim_start(&sim, 4);
	run_ms(4000);
	if (sim.nodes[4].cluster.standing == PEER_ALIVE || !sim.nodes[4].duplicate || !sim.nodes[0].duplicate)
		sim_fail(&sim, "a second process with n1's id was let in, or one of the two was not told");
	for (uint16_t i = 1; i < 4; i++) {
		const struct member *member = members_find(&sim.nodes[i].cluster.members, sim_id(&sim, 0));

		if (!member || member->record.boot != sim.nodes[0].config.boot || member->record.state != PEER_ALIVE)
			sim_fail(&sim, "n%u does not hold on to the first n1", i + 1u);
	}
}

static void
cut_from_all(uint16_t node, bool is_cut)
{
	for (uint16_t i = 0; i < sim.node_count; i++)
		if (i != node)
			cut_both(i, node, is_cut);
}

/* n5 is Dead, comes back, and dies again; n3, which proposes first, did not hear that it came back. The checker judges. */
static void
drill_second_death(uint64_t seed, uint32_t mutation)
{
	size_t epochs;

	all_start(seed, 5, mutation);
	run_ms(4000);
	cut_from_all(4, true);
	run_ms(700);
	cut_from_all(4, false);
	cut_from_all(2, true);
	run_ms(600);
	epochs = sim.epoch_count;
	if (!sim.failure[0])
		sim_crash(&sim, 4);
	run_ms(700);
	cut_from_all(2, false);
	run_ms(6000);
	if (sim.epoch_count == epochs)
		sim_fail(&sim, "n5 died for good and keeps its slots");
}

/*
 * Three of four restart and found anew, on slow links; in the midst of it the fourth one comes back, which still has the
 * former table. However it falls out, no number gets votes on two grounds, and all agree in the end.
 */
static void
drill_refounding(uint64_t seed, uint32_t mutation)
{
	all_start(seed, 4, mutation);
	run_ms(4000);
	for (int k = 0; k < 60 && !sim.failure[0]; k++) {
		for (uint16_t i = 0; i < 3; i++) {
			sim_crash(&sim, i);
			cut_both(i, 3, true);
		}
		sim.network.delay_min_ns = 50 * NS_PER_MS;
		sim.network.delay_max_ns = 150 * NS_PER_MS;
		for (uint16_t i = 0; i < 3; i++)
			sim_start(&sim, i);
		run_ms(600 + prng_below(&sim.prng, 1400));
		for (uint16_t i = 0; i < 3 && !sim.failure[0]; i++)
			cut_both(i, 3, false);
		run_ms(1500);
		sim.network.delay_min_ns = 100 * NS_PER_US;
		sim.network.delay_max_ns = NS_PER_MS;
		if (!sim.failure[0] && agreement_ms(20000) >= 20000)
			sim_fail(&sim, "no agreement after three of four restarted: %s", checker_disagreement(&sim));
	}
}

/* A node comes up long before its seeds: it goes on trying. */
static void
drill_late_seeds(uint64_t seed, uint32_t mutation)
{
	open_nodes(seed, 5, mutation);
	sim_start(&sim, 4);
	run_ms(10000);
	if (sim.nodes[4].cluster.standing != PEER_JOINING || cluster_topology(&sim.nodes[4].cluster)->epoch != 0)
		sim_fail(&sim, "n5 took itself for a cluster, with its seeds away");
	for (uint16_t i = 0; i < 4; i++)
		sim_start(&sim, i);
	if (agreement_ms(5000) >= 5000)
		sim_fail(&sim, "no agreement 5 s after the seeds came up: %s", checker_disagreement(&sim));
}

/* Heartbeats of 2 s: silence is noticed late, but nobody waits long for the first table, to come back in, or to leave. */
static void
drill_slow_heartbeats(uint64_t seed, uint32_t mutation)
{
	struct cluster_config config;

	swarm_config(&config);
	config.mutation = mutation;
	cluster_config_interval(&config, 2 * NS_PER_SEC);
	sim_open(&sim, seed, 3, &config);
	for (uint16_t i = 0; i < 3; i++)
		sim_start(&sim, i);
	if (agreement_ms(10000) >= 10000)
		sim_fail(&sim, "no table 10 s after the start: %s", checker_disagreement(&sim));
	run_ms(10000);
	sim_crash(&sim, 2);
	sim_start(&sim, 2);
	if (agreement_ms(8000) >= 8000)
		sim_fail(&sim, "n3 is not back 8 s after its restart: %s", checker_disagreement(&sim));
	sim_command(&sim, 1, CLUSTER_LEAVE);
	for (int ms = 0; ms < 20000 && !sim.failure[0] && !sim.nodes[1].cluster.left; ms += 100)
		run_ms(100);
	if (!sim.nodes[1].cluster.left)
		sim_fail(&sim, "n2 has not left after 20 s");
}

/* A probe that somebody ordered is news when it is answered, though heartbeats may come first and packets get lost. */
static void
drill_ordered_probe(uint64_t seed, uint32_t mutation)
{
	all_start(seed, 3, mutation);
	run_ms(3000);
	sim.network.loss = 0.05;
	sim.network.delay_min_ns = 15 * NS_PER_MS;
	sim.network.delay_max_ns = 30 * NS_PER_MS;
	for (int k = 0; k < 30 && !sim.failure[0]; k++) {
		uint64_t before = sim.nodes[0].probed;

		run_ms(prng_below(&sim.prng, 50));
		sim_probe(&sim, 0, 1);
		run_ms(600);
		if (sim.nodes[0].probed == before)
			sim_fail(&sim, "n1 was to probe n2, and told nothing of it");
	}
}

/* Everybody suspects n5, which refutes with the last packet that gets out, and dies: it is found dead all the same. */
static void
drill_refuted_and_dead(uint64_t seed, uint32_t mutation)
{
	all_start(seed, 5, mutation);
	run_ms(3000);
	for (int k = 0; k < 40 && !sim.failure[0]; k++) {
		for (uint16_t i = 0; i < 4; i++)
			sim_pair(&sim, 4, i)->cut = true;
		run_ms(250 + prng_below(&sim.prng, 100));
		sim_pair(&sim, 4, (uint16_t)prng_below(&sim.prng, 4))->cut = false;
		run_ms(1 + prng_below(&sim.prng, 50));
		sim_crash(&sim, 4);
		for (uint16_t i = 0; i < 4; i++)
			sim_pair(&sim, 4, i)->cut = false;
		run_ms(2500);
		for (uint16_t i = 0; i < 4; i++)
			if (!sim.failure[0] && !sim_pair(&sim, i, 4)->dead_at)
				sim_fail(&sim, "n%u does not hold n5 for Dead, 2.5 s after it died", i + 1u);
		sim_start(&sim, 4);
		if (!sim.failure[0] && agreement_ms(8000) >= 8000)
			sim_fail(&sim, "n5 is not back after 8 s: %s", checker_disagreement(&sim));
	}
}

/* A node with another key is nobody, and disturbs nobody. */
static void
drill_wrong_key(uint64_t seed, uint32_t mutation)
{
	uint64_t changes;

	open_nodes(seed, 5, mutation);
	memset(sim.nodes[4].config.keys[0], 9, sizeof sim.nodes[4].config.keys[0]);
	for (uint16_t i = 0; i < 4; i++)
		sim_start(&sim, i);
	run_ms(4000);
	changes = sim.nodes[0].cluster.counters.changes;
	sim_start(&sim, 4);
	run_ms(4000);
	for (uint16_t i = 0; i < 4; i++)
		if (members_find(&sim.nodes[i].cluster.members, sim_id(&sim, 4)))
			sim_fail(&sim, "n%u took in a node with another key", i + 1u);
	if (sim.nodes[4].cluster.members.count != 1 || sim.nodes[0].cluster.counters.changes != changes)
		sim_fail(&sim, "a node with another key changed somebody's mind");
	if (sim.nodes[0].cluster.counters.refused[ENVELOPE_KEY_UNKNOWN] + sim.nodes[0].cluster.counters.refused[ENVELOPE_FORGED] == 0)
		sim_fail(&sim, "packets under another key were not counted");
}

/* No room for a fifth: it is refused and told so, and comes in when one of the four is gone. */
static void
drill_full(uint64_t seed, uint32_t mutation)
{
	open_nodes(seed, 5, mutation);
	for (uint16_t i = 0; i < 5; i++)
		sim.nodes[i].config.members_max = 4;
	for (uint16_t i = 0; i < 4; i++)
		sim_start(&sim, i);
	run_ms(4000);
	sim_start(&sim, 4);
	run_ms(3000);
	if (sim.nodes[4].cluster.standing != PEER_JOINING || !sim.nodes[4].duplicate)
		sim_fail(&sim, "n5 entered a cluster with no room, or was not told why not");
	for (uint16_t i = 0; i < 4; i++)
		if (members_find(&sim.nodes[i].cluster.members, sim_id(&sim, 4)))
			sim_fail(&sim, "n%u took in a fifth of four", i + 1u);
	if (!sim.failure[0])
		sim_crash(&sim, 3);
	run_ms(8000);
	for (uint16_t i = 0; i < 3; i++) {
		const struct member *member = members_find(&sim.nodes[i].cluster.members, sim_id(&sim, 4));

		if (!member || member->record.state != PEER_ALIVE)
			sim_fail(&sim, "n5 did not come in at n%u, when there was room", i + 1u);
	}
}

/* Key A, then A and B, then B and A, then B alone: each a rolling restart, and nobody is ever without the others. */
static void
drill_key_rotation(uint64_t seed, uint32_t mutation)
{
	static const uint8_t stages[][2] = { { 'A', 0 }, { 'A', 'B' }, { 'B', 'A' }, { 'B', 0 } };

	open_nodes(seed, 3, mutation);
	for (size_t stage = 0; stage < 4 && !sim.failure[0]; stage++)
		for (uint16_t i = 0; i < 3 && !sim.failure[0]; i++) {
			struct cluster_config *config = &sim.nodes[i].config;

			if (sim.nodes[i].up)
				sim_crash(&sim, i);
			memset(config->keys[0], stages[stage][0], sizeof config->keys[0]);
			memset(config->keys[1], stages[stage][1], sizeof config->keys[1]);
			config->key_count = stages[stage][1] ? 2 : 1;
			sim_start(&sim, i);
			if ((stage > 0 || i == 2) && agreement_ms(8000) >= 8000)
				sim_fail(&sim, "n%u is not back, in stage %zu of a change of keys: %s", i + 1u, stage, checker_disagreement(&sim));
		}
}

/* --- a liar: it holds the cluster key, is no member, and says what it likes ------------------ */

static struct {
	struct envelope envelope;
	uint16_t about;   /* it waits for news of this node */
	uint32_t told;    /* and was told this incarnation; 0: nothing yet */
} liar;

static void
liar_hears(struct sim *in, uint16_t from, const uint8_t *bytes, uint16_t len)
{
	uint8_t packet[UDP_PAYLOAD_MAX], *payload;
	struct peer_header header;
	struct peer_section section;
	struct peer_record record;
	uint64_t boot;
	size_t left;

	(void)from;
	memcpy(packet, bytes, len);
	if (envelope_open(&liar.envelope, packet, len, &boot, &payload, &left) != ENVELOPE_OK)
		return;
	struct reader reader = reader_of(payload, left);

	if (!peer_header_parse(&reader, &header))
		return;
	while (peer_section_next(&reader, &section)) {
		struct reader body = reader_of(section.body.data, section.body.len);

		while (section.type == PEER_RECORDS && reader_left(&body) > 0 && peer_record_parse(&body, &record))
			if (ring_member_id(record.id, record.id_len) == sim_id(in, liar.about))
				liar.told = record.incarnation;
	}
}

static void
liar_start(void)
{
	struct envelope_config config = { .key_count = 1, .lives_max = 64 };

	memcpy(config.keys, sim.nodes[0].config.keys, sizeof config.keys);
	memcpy(config.name, sim.nodes[0].config.name, sizeof config.name);
	if (!envelope_init(&liar.envelope, &config, 0xbad))
		sim_fail(&sim, "no memory");
	sim.stranger = liar_hears;
}

/* Tells a node of another one: in this state, at this incarnation. */
static void
liar_tells(uint16_t to, uint16_t about, uint8_t state, uint32_t incarnation)
{
	static const char name[] = "liar";
	uint64_t id = ring_member_id(name, strlen(name));
	struct peer_header header = { .sender = id, .to_boot = sim.nodes[to].config.boot, .incarnation = 1, .state = PEER_ALIVE };
	struct peer_record record = sim.nodes[about].cluster.self->record;
	uint8_t packet[UDP_PAYLOAD_MAX], *section;
	struct writer out = writer_of(packet + ENVELOPE_HEADER_LEN, PEER_PAYLOAD_MAX);

	record.state = state;
	record.incarnation = incarnation;
	record.accuser = state == PEER_SUSPECTED ? id : 0;
	liar.about = about;
	liar.told = 0;
	peer_header_compose(&out, &header);
	section = peer_section_begin(&out, PEER_RECORDS, 0);
	peer_record_compose(&out, &record);
	peer_section_end(&out, section);
	sim_stranger_send(&sim, to, packet, (uint16_t)envelope_seal(&liar.envelope, packet,
	    (size_t)(out.at - packet) - ENVELOPE_HEADER_LEN, ENVELOPE_CONTROL));
}

/* A member that is accused and hears of it is Alive again to all within 10 ms, not with its next heartbeat. */
static void
drill_refutation(uint64_t seed, uint32_t mutation)
{
	all_start(seed, 5, mutation);
	run_ms(3000);
	liar_start();
	for (int k = 0; k < 20 && !sim.failure[0]; k++) {
		uint32_t incarnation = sim.nodes[4].cluster.self->record.incarnation;

		run_ms(200 + prng_below(&sim.prng, 50));
		liar_tells(0, 4, PEER_SUSPECTED, incarnation);
		run_ms(10);
		if (sim.nodes[4].cluster.self->record.incarnation == incarnation)
			sim_fail(&sim, "n5 was accused and did not answer");
		for (uint16_t i = 0; i < 4; i++) {
			const struct member *member = members_find(&sim.nodes[i].cluster.members, sim_id(&sim, 4));

			if (!member || member->record.state != PEER_ALIVE)
				sim_fail(&sim, "n%u still suspects n5, which refuted 9 ms ago", i + 1u);
		}
	}
	envelope_deinit(&liar.envelope);
}

/* Whoever tells old news is told better, at once. */
static void
drill_stale(uint64_t seed, uint32_t mutation)
{
	all_start(seed, 5, mutation);
	run_ms(3000);
	liar_start();
	for (uint16_t about = 0; about < 5 && !sim.failure[0]; about++) {
		liar_tells(0, about, PEER_SUSPECTED, 1);
		run_ms(5);
		if (liar.told != sim.nodes[about].cluster.self->record.incarnation)
			sim_fail(&sim, "n1 was told old news of n%u and did not put it right", about + 1u);
	}
	envelope_deinit(&liar.envelope);
}

/* One false accuser, whose links are bad, kills nobody in anybody's eyes but its own. */
static void
drill_false_accuser(uint64_t seed, uint32_t mutation)
{
	all_start(seed, 5, mutation);
	run_ms(3000);
	/* n1 hears nobody and is heard by all: it suspects everybody, for ever. */
	for (uint16_t i = 1; i < 5; i++)
		sim_pair(&sim, i, 0)->cut = true;
	run_ms(20000);
	for (uint16_t a = 1; a < 5; a++)
		for (uint16_t b = 1; b < 5; b++)
			if (a != b && sim_pair(&sim, a, b)->saw_dead)
				sim_fail(&sim, "n%u held n%u for Dead, on the word of n1 alone", a + 1u, b + 1u);
}

bool
drills_run(uint64_t seed, uint32_t mutation, char *failure, size_t size)
{
	static void (*const drills[])(uint64_t, uint32_t) = { drill_link, drill_stopped, drill_hearsay, drill_halves,
		drill_successor, drill_duplicate, drill_late_seeds, drill_slow_heartbeats, drill_ordered_probe, drill_refuted_and_dead,
		drill_wrong_key, drill_full, drill_key_rotation,
		drill_second_death, drill_refounding, drill_refutation, drill_stale, drill_false_accuser };
	bool good = true;

	for (size_t i = 0; i < sizeof drills / sizeof drills[0] && good; i++) {
		drills[i](seed, mutation);
		good = !sim.failure[0];
		snprintf(failure, size, "%s", sim.failure);
		sim_close(&sim);
	}
	return good;
}
