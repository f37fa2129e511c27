/* Unit tests of lib/cluster: a few nodes whose packets are carried by hand. The simulator tests the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cluster/cluster.h"
#include "seal/seal.h"

enum { NODES = 3 };

static struct cluster nodes[NODES];
static struct cluster_actions actions;
static uint64_t now_ns;
static bool deaf[NODES];

static void
deliver(int from, const struct cluster_actions *sent)
{
	static struct cluster_actions copies[8];
	static int depth;
	struct cluster_actions *copy = &copies[depth];

	*copy = *sent;
	if (++depth < 8)
		for (uint32_t i = 0; i < copy->count; i++) {
			const struct cluster_action *action = &copy->list[i];
			int to = action->kind == CLUSTER_SEND ? action->to.port - 1 : -1;
			uint8_t packet[UDP_PAYLOAD_MAX];
			struct cluster_event event = { .kind = CLUSTER_PACKET, .from = { .port = (uint16_t)(from + 1) },
				.data = packet, .len = action->len };

			if (to < 0 || to >= NODES || deaf[to] || deaf[from] || !nodes[to].self)
				continue;
			memcpy(packet, copy->packets[(size_t)(action->packet - actions.packets[0]) / UDP_PAYLOAD_MAX], action->len);
			cluster_step(&nodes[to], (struct now){ .mono_ns = now_ns }, &event, &actions);
			deliver(to, &actions);
		}
	depth--;
}

static void
start(int node, uint64_t boot)
{
	struct cluster_config config;

	cluster_config_default(&config);
	snprintf(config.id, sizeof config.id, "n%d", node + 1);
	config.boot = boot;
	config.address.port = (uint16_t)(node + 1);
	config.members_max = 8;
	config.key_count = 1;
	config.dead_delay_ns = NS_PER_SEC;
	for (uint16_t i = 0; i < NODES; i++)
		config.seeds[config.seed_count++].port = (uint16_t)(i + 1);
	assert_true(cluster_init(&nodes[node], &config, (struct now){ .mono_ns = now_ns }, boot));
}

static void
pass(uint64_t ms)
{
	struct cluster_event tick = { .kind = CLUSTER_TICK };

	for (uint64_t i = 0; i < ms; i++) {
		now_ns += NS_PER_MS;
		for (int node = 0; node < NODES; node++)
			if (nodes[node].self && !deaf[node] && now_ns >= cluster_deadline(&nodes[node])) {
				cluster_step(&nodes[node], (struct now){ .mono_ns = now_ns }, &tick, &actions);
				deliver(node, &actions);
				cluster_check(&nodes[node]);
			}
	}
}

static uint8_t
state_of(int observer, int about)
{
	char id[16];

	snprintf(id, sizeof id, "n%d", about + 1);
	const struct member *member = members_find(&nodes[observer].members, ring_member_id(id, strlen(id)));

	return member ? member->record.state : 0;
}

static int
setup(void **state)
{
	(void)state;
	now_ns = NS_PER_SEC;
	memset(deaf, 0, sizeof deaf);
	for (int i = 0; i < NODES; i++)
		start(i, (uint64_t)(100 + i));
	pass(3000);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	for (int i = 0; i < NODES; i++)
		cluster_deinit(&nodes[i]);
	return 0;
}

static void
nodes_find_each_other_and_agree_on_one_epoch(void **state)
{
	static struct cluster_view view;

	(void)state;
	for (int i = 0; i < NODES; i++) {
		for (int k = 0; k < NODES; k++)
			assert_int_equal(state_of(i, k), PEER_ALIVE);
		assert_int_equal(cluster_topology(&nodes[i])->epoch, cluster_topology(&nodes[0])->epoch);
		assert_int_equal(cluster_topology(&nodes[i])->digest, cluster_topology(&nodes[0])->digest);
		assert_int_equal(cluster_topology(&nodes[i])->count, NODES);
		assert_int_equal(nodes[i].members.digest, nodes[0].members.digest);
	}
	cluster_view(&nodes[1], (struct now){ .mono_ns = now_ns }, &view);
	assert_int_equal(view.count, NODES);
	assert_int_equal(view.ring_size, NODES * RING_WEIGHT_DEFAULT);
	assert_true(view.epoch > 0);
}

static void
a_silent_node_is_suspected_then_dead_then_without_slots_and_comes_back(void **state)
{
	uint64_t epoch = cluster_topology(&nodes[0])->epoch;

	(void)state;
	deaf[2] = true;
	pass(300);
	assert_int_equal(state_of(0, 2), PEER_SUSPECTED);
	assert_int_equal(cluster_topology(&nodes[0])->epoch, epoch); /* Suspected keeps its traffic */
	pass(700);
	assert_int_equal(state_of(0, 2), PEER_DEAD);
	assert_int_equal(state_of(1, 2), PEER_DEAD);
	pass(3000);
	assert_int_equal(cluster_topology(&nodes[0])->epoch, epoch + 1);
	deaf[2] = false;
	pass(4000);
	for (int i = 0; i < NODES; i++) {
		assert_int_equal(state_of(i, 2), PEER_ALIVE);
		assert_int_equal(cluster_topology(&nodes[i])->epoch, epoch + 2);
	}
}

static void
a_node_that_leaves_is_left_and_does_not_come_back(void **state)
{
	struct cluster_event leave = { .kind = CLUSTER_LEAVE };

	(void)state;
	cluster_step(&nodes[1], (struct now){ .mono_ns = now_ns }, &leave, &actions);
	deliver(1, &actions);
	assert_int_equal(nodes[1].self->record.state, PEER_LEAVING);
	pass(5000);
	assert_true(nodes[1].left);
	assert_int_equal(state_of(0, 1), PEER_LEFT);
	assert_int_equal(state_of(2, 1), PEER_LEFT);
	assert_true(cluster_deadline(&nodes[1]) == UINT64_MAX);
}

static void
a_restarted_node_raises_its_incarnation_over_its_former_life(void **state)
{
	uint32_t before = nodes[0].self->record.incarnation;

	(void)state;
	cluster_deinit(&nodes[0]);
	start(0, 5); /* a smaller nonce than before */
	pass(2000);
	assert_true(nodes[0].self->record.incarnation > before);
	assert_int_equal(state_of(1, 0), PEER_ALIVE);
	assert_int_equal(state_of(2, 0), PEER_ALIVE);
}

static void
garbage_is_counted_and_changes_nothing(void **state)
{
	uint64_t digest = nodes[0].members.digest;

	(void)state;
	for (size_t len = 0; len < 200; len++) {
		uint8_t packet[200];
		struct cluster_event event = { .kind = CLUSTER_PACKET, .data = packet, .len = len };

		memset(packet, (int)len, sizeof packet);
		packet[0] = 1;
		cluster_step(&nodes[0], (struct now){ .mono_ns = now_ns }, &event, &actions);
	}
	assert_int_equal(nodes[0].members.digest, digest);
	assert_true(nodes[0].counters.refused[ENVELOPE_MALFORMED] > 0);
}

/* A genuine packet of n2 to n1 with one section, whose header says it has `told` bytes behind the `len` there are. */
static void
tell(uint8_t type, uint16_t len, uint16_t told)
{
	const struct ring_topology *topology = cluster_topology(&nodes[1]);
	struct peer_header header = { .sender = nodes[1].self->id, .to_boot = nodes[0].config.boot,
		.incarnation = nodes[1].self->record.incarnation, .state = PEER_ALIVE, .epoch = topology->epoch,
		.epoch_digest = nodes[1].authority.committed.digest, .table_digest = nodes[1].members.digest };
	uint8_t packet[UDP_PAYLOAD_MAX], *section;
	struct writer out = writer_of(packet + ENVELOPE_HEADER_LEN, PEER_PAYLOAD_MAX);
	struct cluster_event event = { .kind = CLUSTER_PACKET, .from = { .port = 2 }, .data = packet };

	peer_header_compose(&out, &header);
	section = peer_section_begin(&out, type, 0);
	memset(writer_take(&out, len), 0, len);
	peer_section_end(&out, section);
	store_le16(section + 2, told);
	event.len = envelope_seal(&nodes[1].envelope, packet, (size_t)(out.at - packet) - ENVELOPE_HEADER_LEN, ENVELOPE_CONTROL);
	cluster_step(&nodes[0], (struct now){ .mono_ns = now_ns }, &event, &actions);
	assert_true(actions.genuine);
	cluster_check(&nodes[0]);
}

static void
what_a_member_says_that_cannot_be_read_is_counted_and_changes_nothing(void **state)
{
	const struct cluster_counters *counters = &nodes[0].counters;
	uint64_t digest = nodes[0].members.digest, changes = counters->changes, epoch = cluster_topology(&nodes[0])->epoch;

	(void)state;
	tell(200, 8, 8); /* of a later release, perhaps */
	assert_int_equal(counters->unknown_sections, 1);
	assert_int_equal(counters->malformed, 0);
	tell(PEER_HEARTBEAT, 8, 1400); /* longer than its packet */
	assert_int_equal(counters->malformed, 1);
	for (uint8_t type = PEER_HEARTBEAT; type <= PEER_LINK; type++) /* too short for what they are */
		tell(type, 1, 1);
	assert_true(counters->malformed >= 5);
	assert_int_equal(nodes[0].members.digest, digest);
	assert_int_equal(counters->changes, changes);
	assert_int_equal(cluster_topology(&nodes[0])->epoch, epoch);
	pass(1000);
	for (int i = 0; i < NODES; i++)
		assert_int_equal(state_of(0, i), PEER_ALIVE);
}

/* Longer than any datagram that a node sends: refused before it is looked at. */
static void
an_oversized_packet_is_refused(void **state)
{
	static uint8_t packet[65536];
	struct cluster_event event = { .kind = CLUSTER_PACKET, .from = { .port = 2 }, .data = packet };
	uint64_t before = nodes[0].counters.refused[ENVELOPE_MALFORMED];

	(void)state;
	memset(packet, 1, sizeof packet);
	for (event.len = UDP_PAYLOAD_MAX + 1; event.len < sizeof packet; event.len += 1000, before++) {
		cluster_step(&nodes[0], (struct now){ .mono_ns = now_ns }, &event, &actions);
		assert_int_equal(nodes[0].counters.refused[ENVELOPE_MALFORMED], before + 1);
		assert_false(actions.genuine);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nodes_find_each_other_and_agree_on_one_epoch, setup, teardown),
		cmocka_unit_test_setup_teardown(a_silent_node_is_suspected_then_dead_then_without_slots_and_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(a_node_that_leaves_is_left_and_does_not_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(a_restarted_node_raises_its_incarnation_over_its_former_life, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_member_says_that_cannot_be_read_is_counted_and_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(an_oversized_packet_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(garbage_is_counted_and_changes_nothing, setup, teardown),
	};

	if (!seal_start())
		return 1;
	aead_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
