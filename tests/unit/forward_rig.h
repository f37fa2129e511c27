/*
 * forward_rig.h - nodes of a cluster back to back in one thread: workers' serves (serve_rig.h),
 * each with its half of forwarding, and a link between them that loses, delays and refuses as
 * it is told. For tests; no I/O, time by hand.
 */
#ifndef TESTS_FORWARD_RIG_H
#define TESTS_FORWARD_RIG_H

#define RIG_NODES 3
#include "tests/unit/serve_rig.h"
#include "tests/unit/ring_rig.h"

#include "cluster/forward.h"

enum { FLEET_MESSAGES = 4096 };

struct fleet_message {
	unsigned from;
	uint64_t to, tag;
	uint8_t *bytes;
	uint32_t len;
};

static struct fleet {
	uint32_t node_count;
	struct forward forwards[RIG_NODES];
	uint64_t ids[RIG_NODES];
	struct serve_ring rings[RIG_NODES][2]; /* the one in force and the next one */
	unsigned turns[RIG_NODES];
	const struct serve_ring *_Atomic published[RIG_NODES];
	struct fleet_message messages[FLEET_MESSAGES];
	uint32_t message_count;
	uint64_t message_bytes, messages_sent;
	/* what the link does */
	bool dead[RIG_NODES];  /* known to be: unreachable */
	bool deaf[RIG_NODES];  /* takes messages and does nothing */
	bool full;             /* the link takes nothing */
	bool backwards;        /* the last message arrives first */
	struct prng prng;
	double loss;           /* share of messages that are lost, and known to be later */
} fleet;

static inline unsigned
fleet_node(uint64_t id)
{
	for (unsigned i = 0; i < fleet.node_count; i++)
		if (fleet.ids[i] == id)
			return i;
	fail_msg("no such member");
	return 0;
}

static void (*fleet_also)(struct serve_config *); /* what else is to be configured; NULL: nothing */

static inline void
fleet_configure(struct serve_config *config)
{
	if (fleet_also)
		fleet_also(config);
	config->ring = &fleet.published[rig_node];
	config->memcached_allow_count = 1; /* of no bits: everybody */
}

/* Publishes a topology of `count` nodes, `states` by node (NULL: all alive), to one node. */
static inline void
fleet_publish(unsigned node, uint64_t epoch, uint32_t count, const uint8_t *states)
{
	struct serve_ring *ring = &fleet.rings[node][++fleet.turns[node] % 2];
	unsigned before = rig_node;

	memset(ring, 0, sizeof *ring);
	ring->snapshot.topology.replication = 1;
	ring->snapshot.topology.epoch = epoch;
	for (uint32_t i = 0; i < count; i++) {
		struct ring_member member = { .id = fleet.ids[i], .index = (uint16_t)i, .weight = RING_WEIGHT_DEFAULT,
			.state = states ? states[i] : RING_ALIVE };

		assert_true(ring_topology_add(&ring->snapshot.topology, &member));
	}
	ring_rig_build(&ring->snapshot);
	ring->self = ring_find_id(&ring->snapshot.topology, fleet.ids[node]);
	ring->epoch = (uint32_t)epoch;
	atomic_store(&fleet.published[node], ring);
	rig_node = node;
	forward_ring(&fleet.forwards[node], rig.now, &ring->snapshot);
	rig_node = before;
}

static inline void
fleet_start(uint32_t nodes, uint32_t workers)
{
	memset(&fleet, 0, sizeof fleet);
	fleet.node_count = nodes;
	fleet.prng.state = 7;
	for (rig_node = 0; rig_node < nodes; rig_node++) {
		char name[8];
		struct forward_config config = { .worker_count = workers };

		snprintf(name, sizeof name, "n%u", rig_node + 1);
		fleet.ids[rig_node] = config.self = ring_member_id(name, strlen(name));
		rig_start(workers, fleet_configure);
		assert_true(forward_init(&fleet.forwards[rig_node], &config));
		rig_prove();
	}
	rig_node = 0;
	for (unsigned i = 0; i < nodes; i++)
		fleet_publish(i, 1, nodes, NULL);
}

static inline void
fleet_forget_messages(void)
{
	for (uint32_t i = 0; i < fleet.message_count; i++)
		free(fleet.messages[i].bytes);
	fleet.message_count = 0;
}

static inline void
fleet_stop(void)
{
	fleet_forget_messages();
	for (rig_node = fleet.node_count; rig_node-- > 0;) {
		rig_stop();
		forward_deinit(&fleet.forwards[rig_node]);
		if (rig_node == 0)
			break;
	}
	rig_node = 0;
}

static inline enum forward_result
fleet_send(const struct forward_post *post)
{
	struct fleet_message *message = &fleet.messages[fleet.message_count];

	if (fleet.dead[fleet_node(post->member)])
		return FORWARD_UNREACHABLE;
	if (fleet.full)
		return FORWARD_BUSY;
	assert_true(fleet.message_count < FLEET_MESSAGES);
	fleet.message_count++;
	fleet.messages_sent++;
	*message = (struct fleet_message){ .from = rig_node, .to = post->member, .tag = post->tag,
		.len = post->head.len + post->body.len };
	message->bytes = malloc(message->len);
	memcpy(message->bytes, post->head.data, post->head.len);
	if (post->body.len)
		memcpy(message->bytes + post->head.len, post->body.data, post->body.len);
	fleet.message_bytes += message->len;
	return FORWARD_SENT;
}

/* One round of a node's core: its mail, then what comes out. */
static inline bool
fleet_core(void)
{
	struct forward *forward = &fleet.forwards[rig_node];
	struct forward_post post;
	struct deferred *slot;
	bool moved = rig.core_count > 0;

	for (uint32_t i = 0; i < rig.core_count; i++)
		forward_slot(forward, rig.now, rig.core_mail[i]);
	rig.core_count = 0;
	while (forward_post(forward, rig.now, &post)) {
		forward_posted(forward, rig.now, fleet_send(&post));
		moved = true;
		if (fleet.full)
			break;
	}
	while ((slot = forward_mail(forward)) != NULL) {
		moved = true;
		if (slot->to == DEFERRED_HOME_LOCAL) {
			rig.locals_home++;
			continue;
		}
		assert_true(slot->to < rig.worker_count);
		rig.workers[slot->to]->inbox[rig.workers[slot->to]->inbox_count++] = slot;
	}
	forward_check(forward);
	return moved;
}

static inline void
fleet_deliver(struct fleet_message message)
{
	unsigned before = rig_node;

	rig_node = fleet_node(message.to);
	if (fleet.deaf[rig_node] || fleet.dead[rig_node]) {
		/* silence */
	} else if (fleet.loss > 0 && prng_unit(&fleet.prng) < fleet.loss) {
		rig_node = message.from;
		if (message.tag)
			forward_lost(&fleet.forwards[rig_node], rig.now, message.tag);
	} else {
		forward_message(&fleet.forwards[rig_node], rig.now, fleet.ids[message.from],
		    view_of(message.bytes, message.len));
	}
	rig_node = before;
	free(message.bytes);
}

/* Everything moves until nothing does. */
static inline void
fleet_settle(void)
{
	unsigned before = rig_node;
	bool moved = true;

	while (moved) {
		uint32_t count = fleet.message_count;
		struct fleet_message *messages = malloc((count + 1) * sizeof *messages);

		memcpy(messages, fleet.messages, count * sizeof *messages);
		fleet.message_count = 0;
		moved = count > 0;
		for (uint32_t i = 0; i < count; i++) /* in no promised order */
			fleet_deliver(messages[fleet.backwards ? count - 1 - i : i]);
		free(messages);
		for (rig_node = 0; rig_node < fleet.node_count; rig_node++) {
			rig_settle();
			moved |= fleet_core();
			for (uint32_t w = 0; w < rig.worker_count; w++)
				moved |= rig.workers[w]->inbox_count > 0 && !rig.workers[w]->stuck;
		}
	}
	rig_node = before;
}

/* Time passes for all. */
static inline void
fleet_wait(uint64_t ns)
{
	unsigned before = rig_node;

	for (rig_node = 0; rig_node < fleet.node_count; rig_node++) {
		rig.now.mono_ns += ns;
		rig.now.wall_ms += ns / NS_PER_MS;
		forward_tick(&fleet.forwards[rig_node], rig.now);
	}
	rig_node = before;
	fleet_settle();
}

/* The node that owns a key in node 0's table. */
static inline unsigned
fleet_owner(const char *key)
{
	const struct serve_ring *ring = atomic_load(&fleet.published[0]);

	return fleet_node(ring->snapshot.topology.members[ring_owner(&ring->snapshot.table,
	    slot_of_key(view_text(key)), 0)].id);
}

/* A key of a node; several by `number`. */
static inline const char *
fleet_key_of(unsigned node, uint32_t number)
{
	static char keys[8][16];
	static uint32_t at;
	char *key = keys[at++ % 8];

	for (uint32_t i = 0;; i++) {
		snprintf(key, sizeof keys[0], "key-%u", i);
		if (fleet_owner(key) == node && number-- == 0)
			return key;
	}
}

/* Sends one operation to a node, whichever worker, and returns its only result once it has come. */
static inline struct native_result
fleet_do(unsigned node, struct request request)
{
	struct native_result result;

	rig_node = node;
	rig_clear();
	rig_frame();
	rig_add(request);
	rig_send_frame(request.key.len % rig.worker_count);
	fleet_settle();
	assert_int_equal(rig.reply_count, 1);
	assert_true(rig_result(rig.header.sequence, 0, &result));
	assert_int_equal(result.op, request.op);
	rig_next_frame();
	return result;
}

/* The reply stream of a memcached frame, as far as it has come. */
static inline const char *
fleet_text(void)
{
	static char text[1 << 21];
	size_t len = 0;

	for (uint32_t i = 0; i < rig.reply_count; i++) {
		memcpy(text + len, rig.replies[i].payload + 8, rig.replies[i].len - 8u);
		len += rig.replies[i].len - 8u;
	}
	text[len] = 0;
	return text;
}

/* Sends memcached commands in one datagram to a worker of a node; what they are answered. */
static inline const char *
fleet_say_to(unsigned node, uint32_t worker, const char *commands)
{
	uint8_t payload[UDP_PAYLOAD_MAX] = { 0x12, 0x34, 0, 0, 0, 1, 0, 0 };
	size_t len = strlen(commands);

	assert_true(len + 8 <= sizeof payload);
	rig_node = node;
	rig_clear();
	memcpy(payload + 8, commands, len);
	rig_send(worker, SERVICE_MEMCACHED, payload, (uint16_t)(len + 8));
	fleet_settle();
	return fleet_text();
}

static inline const char *
fleet_say(unsigned node, const char *commands)
{
	return fleet_say_to(node, 0, commands);
}

/* The same, when the answer is to wait for time to pass. */
static inline struct native_result
fleet_do_late(unsigned node, struct request request, uint64_t ns)
{
	struct native_result result;

	rig_node = node;
	rig_clear();
	rig_frame();
	rig_add(request);
	rig_send_frame(0);
	fleet_settle();
	assert_int_equal(rig.reply_count, 0);
	fleet_wait(ns);
	assert_int_equal(rig.reply_count, 1);
	assert_true(rig_result(rig.header.sequence, 0, &result));
	rig_next_frame();
	return result;
}

#endif
