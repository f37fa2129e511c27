/*
 * link_rig.h - cluster cores joined by a model network, under simulated time from one seed.
 *
 * Purpose: what the tests, the fuzzer's seeds and the bench of the link share. Packets are lost,
 *   doubled, delayed, overtaken and damaged by chance; messages carry their number and length, so
 *   that what arrives proves itself.
 * Threads: none. Memory: static; packets in flight are bounded by RIG_PACKETS.
 */
#ifndef TESTS_SUPPORT_LINK_RIG_H
#define TESTS_SUPPORT_LINK_RIG_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/prng.h"
#include "cluster/cluster.h"

enum { RIG_NODES = 3, RIG_PACKETS = 8192 };

struct rig_packet {
	uint64_t at_ns, number;
	uint16_t from, to, len;
	uint8_t bytes[UDP_PAYLOAD_MAX];
};

struct rig {
	struct cluster nodes[RIG_NODES];
	bool up[RIG_NODES], stopped[RIG_NODES];
	uint64_t now_ns, lives, numbers;
	struct prng prng;
	double loss, duplicate, corrupt; /* of packets of data; gossip is spared unless all_packets */
	bool all_packets;
	uint64_t delay_min_ns, delay_max_ns;
	uint64_t packet_ns;              /* a link's time for one packet of data; 0: none */
	uint64_t queue_ns;               /* longest wait for that; what would wait longer is dropped */
	uint64_t wire_free_ns[RIG_NODES][RIG_NODES];
	struct rig_packet *packets;
	uint32_t order[RIG_PACKETS];     /* heap by at_ns; then the free ones */
	uint32_t packet_count;
	uint32_t dropped;
	uint64_t link_bytes;
	/* called for CLUSTER_MESSAGE, CLUSTER_LOST and news */
	void (*told)(struct rig *rig, int node, const struct cluster_action *action);
	void *user;
	struct cluster_actions actions;
};

static inline struct now
rig_now(const struct rig *rig)
{
	return (struct now){ .mono_ns = rig->now_ns };
}

static inline uint64_t
rig_id(int node)
{
	char id[16];

	return ring_member_id(id, (size_t)snprintf(id, sizeof id, "n%d", node + 1));
}

static inline void
rig_start(struct rig *rig, int node)
{
	struct cluster_config config;

	cluster_config_default(&config);
	snprintf(config.id, sizeof config.id, "n%d", node + 1);
	config.boot = 1000 + ++rig->lives;
	config.address.port = (uint16_t)(node + 1);
	config.members_max = 8;
	config.key_count = 1;
	config.link_bytes = rig->link_bytes;
	for (uint16_t i = 0; i < RIG_NODES; i++)
		config.seeds[config.seed_count++].port = (uint16_t)(i + 1);
	CHECK(cluster_init(&rig->nodes[node], &config, rig_now(rig), rig->lives));
	rig->up[node] = true;
}

static inline void
rig_stop(struct rig *rig, int node)
{
	cluster_deinit(&rig->nodes[node]);
	rig->up[node] = false;
}

static inline bool
rig_before(const struct rig *rig, uint32_t a, uint32_t b)
{
	const struct rig_packet *x = &rig->packets[rig->order[a]], *y = &rig->packets[rig->order[b]];

	return x->at_ns < y->at_ns || (x->at_ns == y->at_ns && x->number < y->number);
}

static inline void
rig_swap(struct rig *rig, uint32_t a, uint32_t b)
{
	uint32_t kept = rig->order[a];

	rig->order[a] = rig->order[b];
	rig->order[b] = kept;
}

static inline void
rig_fly(struct rig *rig, int from, int to, const struct cluster_action *action)
{
	bool spared = action->priority && !rig->all_packets;
	uint64_t at = rig->now_ns + rig->delay_min_ns + prng_below(&rig->prng, rig->delay_max_ns - rig->delay_min_ns + 1);
	struct rig_packet *packet;
	uint32_t place = rig->packet_count;

	if (!spared && prng_unit(&rig->prng) < rig->loss)
		return;
	if (rig->packet_ns && !action->priority) {
		uint64_t *wire = &rig->wire_free_ns[from][to];
		uint64_t wait = *wire > rig->now_ns ? *wire - rig->now_ns : 0;

		rig->dropped += wait > rig->queue_ns;
		if (wait > rig->queue_ns)
			return;
		*wire = rig->now_ns + wait + rig->packet_ns;
		at += wait + rig->packet_ns;
	}
	CHECK(rig->packet_count < RIG_PACKETS);
	packet = &rig->packets[rig->order[rig->packet_count++]];
	*packet = (struct rig_packet){ .at_ns = at, .number = ++rig->numbers, .from = (uint16_t)from, .to = (uint16_t)to, .len = action->len };
	memcpy(packet->bytes, action->packet, action->len);
	if (!spared && prng_unit(&rig->prng) < rig->corrupt)
		packet->bytes[prng_below(&rig->prng, action->len)] ^= (uint8_t)(1 << prng_below(&rig->prng, 8));
	for (; place > 0 && rig_before(rig, place, (place - 1) / 2); place = (place - 1) / 2)
		rig_swap(rig, place, (place - 1) / 2);
}

static inline void
rig_acted(struct rig *rig, int node)
{
	for (uint32_t i = 0; i < rig->actions.count; i++) {
		const struct cluster_action *action = &rig->actions.list[i];
		int to = action->to.port - 1;

		if (action->kind != CLUSTER_SEND) {
			if (rig->told)
				rig->told(rig, node, action);
			continue;
		}
		CHECK(to >= 0 && to < RIG_NODES);
		rig_fly(rig, node, to, action);
		if (prng_unit(&rig->prng) < rig->duplicate)
			rig_fly(rig, node, to, action);
	}
}

static inline void
rig_step(struct rig *rig, int node, const struct cluster_event *event)
{
	cluster_step(&rig->nodes[node], rig_now(rig), event, &rig->actions);
	rig_acted(rig, node);
}

static inline uint32_t
rig_pop(struct rig *rig)
{
	uint32_t taken = rig->order[0];

	rig->order[0] = rig->order[--rig->packet_count];
	rig->order[rig->packet_count] = taken;
	for (uint32_t place = 0, below = 1; below < rig->packet_count; below = 2 * place + 1) {
		if (below + 1 < rig->packet_count && rig_before(rig, below + 1, below))
			below++;
		if (!rig_before(rig, below, place))
			break;
		rig_swap(rig, place, below);
		place = below;
	}
	return taken;
}

/* The next thing that happens, at the latest at until_ns; false: nothing until then. */
static inline bool
rig_next(struct rig *rig, uint64_t until_ns)
{
	uint64_t at = rig->packet_count ? rig->packets[rig->order[0]].at_ns : UINT64_MAX;
	struct cluster_event event = { .kind = CLUSTER_TICK };
	int node = -1;

	for (int i = 0; i < RIG_NODES; i++)
		if (rig->up[i] && !rig->stopped[i] && cluster_deadline(&rig->nodes[i]) < at) {
			at = cluster_deadline(&rig->nodes[i]);
			node = i;
		}
	if (at > until_ns)
		return false;
	rig->now_ns = at > rig->now_ns ? at : rig->now_ns;
	if (node >= 0) {
		rig_step(rig, node, &event);
	} else {
		struct rig_packet packet = rig->packets[rig_pop(rig)];

		event = (struct cluster_event){ .kind = CLUSTER_PACKET, .from = { .port = (uint16_t)(packet.from + 1) },
			.data = packet.bytes, .len = packet.len };
		if (rig->up[packet.to] && !rig->stopped[packet.to])
			rig_step(rig, packet.to, &event);
	}
	return true;
}

static inline void
rig_run(struct rig *rig, uint64_t ns)
{
	uint64_t until_ns = rig->now_ns + ns;

	while (rig_next(rig, until_ns))
		;
	rig->now_ns = until_ns;
}

/* All nodes up, and agreed. */
static inline void
rig_open(struct rig *rig, uint64_t seed, uint64_t link_bytes)
{
	struct rig_packet *packets = rig->packets;

	memset(rig, 0, sizeof *rig);
	rig->packets = packets ? packets : malloc(RIG_PACKETS * sizeof *packets);
	CHECK(rig->packets);
	for (uint32_t i = 0; i < RIG_PACKETS; i++)
		rig->order[i] = i;
	rig->prng.state = seed;
	rig->now_ns = NS_PER_SEC;
	rig->link_bytes = link_bytes;
	rig->delay_min_ns = 20 * NS_PER_US;
	rig->delay_max_ns = 40 * NS_PER_US;
	for (int i = 0; i < RIG_NODES; i++)
		rig_start(rig, i);
	rig_run(rig, 3 * NS_PER_SEC);
}

static inline void
rig_close(struct rig *rig)
{
	for (int i = 0; i < RIG_NODES; i++)
		if (rig->up[i])
			rig_stop(rig, i);
	free(rig->packets);
	rig->packets = NULL;
}

#endif
