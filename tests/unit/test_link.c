/* The link: cluster cores over a model network that loses, doubles, overtakes and damages packets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "seal/seal.h"
#include "tests/support/link_rig.h"

enum { TAGS = 20000 };

/* What became of message `tag`: from one node to another. */
struct fate {
	uint8_t arrived, lost;
	uint32_t len;
	int from;
	uint64_t boot; /* the life that posted it */
};

static struct rig rig;
static struct fate fates[TAGS];
static uint32_t tag_count, arrived_count, lost_count;
static uint8_t bytes[CLUSTER_MESSAGE_MAX];
static void (*answer)(int node, const struct cluster_action *action);

/* A message proves itself: its tag, then bytes that follow from tag and place. */
static void
fill(uint64_t tag, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(tag * 31 + i * 7 + (i >> 8));
	if (len >= 8)
		store_le64(bytes, tag);
}

static void
told(struct rig *r, int node, const struct cluster_action *action)
{
	(void)r;
	if (action->kind == CLUSTER_MESSAGE) {
		uint64_t tag = load_le64(action->message.data);

		assert_true(tag < tag_count);
		assert_int_equal(action->message.len, fates[tag].len);
		fill(tag, fates[tag].len);
		assert_memory_equal(action->message.data, bytes, fates[tag].len);
		fates[tag].arrived++;
		assert_int_equal(fates[tag].arrived, 1);
		arrived_count++;
		if (answer)
			answer(node, action);
	} else if (action->kind == CLUSTER_LOST) {
		fates[action->tag].lost++;
		assert_int_equal(fates[action->tag].lost, 1);
		lost_count++;
	}
}

static enum cluster_post
post(int from, int to, uint32_t len)
{
	enum cluster_post outcome;
	uint32_t head = len / 3;

	assert_true(tag_count < TAGS && len >= 8);
	fill(tag_count, len);
	outcome = cluster_post(&rig.nodes[from], rig_now(&rig), rig_id(to), view_of(bytes, head), view_of(bytes + head, len - head),
	    tag_count);
	if (outcome == CLUSTER_POST_OK) {
		fates[tag_count] = (struct fate){ .len = len, .from = from, .boot = rig.nodes[from].config.boot };
		tag_count++;
	}
	return outcome;
}

static void
check(void)
{
	for (int i = 0; i < RIG_NODES; i++)
		if (rig.up[i])
			cluster_check(&rig.nodes[i]);
}

static void
run(uint64_t ns)
{
	rig_run(&rig, ns);
	check();
}

/* Nothing is kept for anybody. */
static void
assert_empty(void)
{
	for (int i = 0; i < RIG_NODES; i++)
		if (rig.up[i]) {
			const struct link *link = &rig.nodes[i].link;

			assert_int_equal(link->free_count, link->segments_max);
			for (uint32_t k = 0; k < link->attached_count; k++)
				assert_int_equal(link->peers[link->attached[k]].buffer, LINK_NONE);
		}
}

static void
assert_all_arrived(void)
{
	assert_int_equal(arrived_count, tag_count);
	assert_int_equal(lost_count, 0);
	assert_empty();
}

/* What a life that is still there posted arrived, or was told as lost. */
static void
assert_all_accounted(void)
{
	for (uint32_t tag = 0; tag < tag_count; tag++)
		if (rig.up[fates[tag].from] && rig.nodes[fates[tag].from].config.boot == fates[tag].boot)
			assert_true(fates[tag].arrived || fates[tag].lost);
}

static int
setup(void **state)
{
	(void)state;
	assert_true(seal_start());
	aead_start();
	rig_open(&rig, 1, 16 << 20);
	rig.told = told;
	answer = NULL;
	tag_count = arrived_count = lost_count = 0;
	check();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	rig_close(&rig);
	return 0;
}

static const struct link_counters *
counters(int node)
{
	return &rig.nodes[node].counters.link;
}

/* --- what it is for ------------------------------------------------------------------ */

static void
a_message_arrives_with_the_next_step(void **state)
{
	uint64_t before = rig.now_ns;

	(void)state;
	assert_int_equal(post(0, 1, 100), CLUSTER_POST_OK);
	assert_true(cluster_deadline(&rig.nodes[0]) <= rig.now_ns);
	while (arrived_count == 0)
		assert_true(rig_next(&rig, UINT64_MAX));
	assert_true(rig.now_ns - before <= 40 * NS_PER_US);
	run(20 * NS_PER_MS);
	assert_all_arrived();
	assert_int_equal(counters(0)->retransmitted, 0);
}

static void
messages_posted_together_share_a_packet(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++)
		assert_int_equal(post(0, 1, 100), CLUSTER_POST_OK);
	run(20 * NS_PER_MS);
	assert_all_arrived();
	assert_int_equal(counters(0)->segments_out, 1);
	assert_int_equal(counters(1)->acks_out, 1);
}

static void
an_answer_carries_the_acknowledgement(void **state)
{
	(void)state;
	post(0, 1, 100);
	while (arrived_count == 0)
		rig_next(&rig, UINT64_MAX);
	post(1, 0, 100);
	run(20 * NS_PER_MS);
	assert_all_arrived();
	assert_int_equal(counters(1)->acks_out, 0);
	assert_int_equal(counters(0)->acks_out, 1);
}

static void
messages_of_every_length_arrive_whole(void **state)
{
	static const uint32_t lens[] = { 8, LINK_WHOLE_MAX - 1, LINK_WHOLE_MAX, LINK_WHOLE_MAX + 1, 2 * LINK_WHOLE_MAX - 4,
		2 * LINK_WHOLE_MAX - 3, 2 * LINK_WHOLE_MAX, LINK_SMALL_SIZE, LINK_SMALL_SIZE + 1, 1 << 20, CLUSTER_MESSAGE_MAX };

	(void)state;
	rig.delay_max_ns = rig.delay_min_ns; /* nothing overtakes */
	for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++)
		assert_int_equal(post(0, 1, lens[i]), CLUSTER_POST_OK);
	run(500 * NS_PER_MS);
	assert_all_arrived();
	assert_int_equal(counters(0)->retransmitted, 0);
}

static void
data_is_of_its_own_class_and_has_no_priority(void **state)
{
	struct cluster_event tick = { .kind = CLUSTER_TICK };
	uint32_t packets = 0;

	(void)state;
	post(0, 1, 5000);
	cluster_step(&rig.nodes[0], rig_now(&rig), &tick, &rig.actions);
	for (uint32_t i = 0; i < rig.actions.count; i++)
		if (rig.actions.list[i].kind == CLUSTER_SEND && !rig.actions.list[i].priority) {
			assert_int_equal(rig.actions.list[i].packet[3], ENVELOPE_DATA);
			packets++;
		}
	assert_int_equal(packets, 4);
	rig_acted(&rig, 0);
	run(20 * NS_PER_MS);
	assert_all_arrived();
}

/* --- what goes wrong ----------------------------------------------------------------- */

static void
traffic(uint32_t messages, uint32_t len_max)
{
	for (uint32_t i = 0; i < messages; i++) {
		int from = (int)prng_below(&rig.prng, RIG_NODES), to = (from + 1 + (int)prng_below(&rig.prng, RIG_NODES - 1)) % RIG_NODES;
		uint32_t len = prng_below(&rig.prng, 4) ? 8 + (uint32_t)prng_below(&rig.prng, 400) :
		    8 + (uint32_t)prng_below(&rig.prng, len_max);

		if (rig.up[from])
			post(from, to, len);
		run(prng_below(&rig.prng, 300 * NS_PER_US));
	}
}

static void
loss_is_made_good(void **state)
{
	(void)state;
	rig.loss = 0.1;
	traffic(500, 20000);
	run(2 * NS_PER_SEC);
	assert_all_arrived();
	assert_true(counters(0)->retransmitted > 0);
}

static void
a_doubled_packet_is_taken_once(void **state)
{
	(void)state;
	rig.duplicate = 0.5;
	traffic(300, 20000);
	run(NS_PER_SEC);
	assert_all_arrived();
}

static void
overtaking_is_no_loss_of_messages(void **state)
{
	(void)state;
	rig.delay_max_ns = 2 * NS_PER_MS;
	traffic(300, 60000);
	run(NS_PER_SEC);
	assert_all_arrived();
}

static void
a_damaged_packet_is_a_lost_one(void **state)
{
	(void)state;
	rig.corrupt = 0.1;
	traffic(300, 20000);
	run(2 * NS_PER_SEC);
	assert_all_arrived();
	assert_true(rig.nodes[0].counters.refused[ENVELOPE_FORGED] > 0);
}

static void
a_restarted_peer_gets_nothing_meant_for_its_former_life(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		post(0, 1, 60000);
	run(200 * NS_PER_US); /* in the middle */
	rig_stop(&rig, 1);
	rig_start(&rig, 1);
	run(3 * NS_PER_SEC);
	assert_true(lost_count > 0);
	assert_all_accounted();
	assert_empty();
	arrived_count = lost_count = 0;
	uint32_t before = tag_count;
	post(0, 1, 60000);
	post(1, 0, 60000);
	run(100 * NS_PER_MS);
	assert_int_equal(arrived_count, tag_count - before);
}

static void
what_was_posted_to_the_dead_is_lost_once_and_they_are_unreachable(void **state)
{
	(void)state;
	rig.stopped[1] = true;
	for (int i = 0; i < 40; i++)
		assert_int_equal(post(0, 1, 30000), CLUSTER_POST_OK);
	run(3 * NS_PER_SEC);
	assert_int_equal(lost_count, 40);
	assert_int_equal(post(0, 1, 100), CLUSTER_POST_UNREACHABLE);
	assert_empty();
	rig.stopped[1] = false;
	run(3 * NS_PER_SEC);
	assert_int_equal(post(0, 1, 100), CLUSTER_POST_OK);
	run(20 * NS_PER_MS);
	assert_int_equal(arrived_count, 1);
	assert_empty();
}

static void
patience_ends_where_gossip_passes_and_data_does_not(void **state)
{
	(void)state;
	rig.loss = 1;
	for (int i = 0; i < 300; i++) /* more than a step can tell */
		assert_int_equal(post(0, 1, 1200), CLUSTER_POST_OK);
	run(LINK_PATIENCE_NS - 50 * NS_PER_MS);
	assert_int_equal(lost_count, 0);
	run(700 * NS_PER_MS);
	assert_int_equal(lost_count, 300);
	assert_int_equal(arrived_count, 0);
	rig.loss = 0;
	for (int i = 0; i < 10; i++)
		post(0, 1, 4000);
	run(100 * NS_PER_MS);
	assert_int_equal(arrived_count, 10);
	assert_empty();
}

static void
acknowledgements_alone_are_lost_and_nothing_arrives_twice(void **state)
{
	(void)state;
	post(0, 1, 100);
	post(0, 1, 9000);
	while (arrived_count < 2)
		rig_next(&rig, UINT64_MAX);
	rig.loss = 1;
	run(NS_PER_SEC);
	rig.loss = 0;
	run(NS_PER_SEC);
	assert_all_arrived();
	assert_true(counters(1)->duplicates > 0);
}

static void
a_stop_of_the_sender_ends_nobodys_patience(void **state)
{
	(void)state;
	rig.loss = 1;
	post(0, 1, 100);
	run(100 * NS_PER_MS);
	rig.stopped[0] = rig.stopped[1] = rig.stopped[2] = true;
	run(10 * NS_PER_SEC);
	rig.stopped[0] = rig.stopped[1] = rig.stopped[2] = false;
	rig.loss = 0;
	run(NS_PER_SEC);
	assert_all_arrived();
}

/* --- bounds -------------------------------------------------------------------------- */

static void
memory_is_bounded_and_one_peer_does_not_take_it_all(void **state)
{
	const struct link *link = &rig.nodes[0].link;
	uint32_t first = 0, second = 0;

	(void)state;
	rig.stopped[1] = true;
	while (post(0, 1, 1000) == CLUSTER_POST_OK)
		first++;
	assert_int_equal(post(0, 1, 1000), CLUSTER_POST_BUSY);
	assert_true(first <= link->segments_max / 2 + 1 && first >= link->segments_max / 2 - 1);
	while (post(0, 2, 1000) == CLUSTER_POST_OK)
		second++;
	assert_true(second >= link->segments_max / 4 - 1);
	check();
	run(4 * NS_PER_SEC);
	assert_int_equal(lost_count, first);
	assert_int_equal(arrived_count, second);
	assert_empty();
}

static void
a_small_node_takes_large_messages_one_by_one(void **state)
{
	(void)state;
	rig_close(&rig);
	rig_open(&rig, 2, 3 << 20);
	rig.told = told;
	rig.loss = 0.02;
	for (int i = 0; i < 12; i++) {
		while (post(i % 2, 2, 1 << 20) == CLUSTER_POST_BUSY)
			run(NS_PER_MS);
		check();
	}
	run(3 * NS_PER_SEC);
	assert_all_arrived();
}

static void
more_long_messages_than_buffers_wait_for_them(void **state)
{
	struct link *link;

	(void)state;
	rig_close(&rig);
	rig_open(&rig, 3, 8 << 20);
	rig.told = told;
	/* All but one buffer are in use elsewhere. */
	link = &rig.nodes[2].link;
	uint32_t small = link->small_free, large = link->buffers[link->large_free].next;
	link->small_free = LINK_NONE;
	link->buffers[link->large_free].next = LINK_NONE;
	for (int i = 0; i < 40; i++)
		assert_int_equal(post(i % 2, 2, 3000), CLUSTER_POST_OK);
	rig_run(&rig, 300 * NS_PER_MS);
	assert_true(counters(2)->stalled > 0);
	link->small_free = small;
	link->buffers[link->large_free].next = large;
	run(100 * NS_PER_MS);
	assert_all_arrived();
}

static void
the_window_follows_what_the_wire_takes(void **state)
{
	struct link_view view;
	uint64_t start;

	(void)state;
	rig.packet_ns = 50 * NS_PER_US; /* 20 000 packets a second */
	rig.queue_ns = 2 * NS_PER_MS;   /* 40 of them */
	start = rig.now_ns;
	for (int i = 0; i < 4; i++)
		assert_int_equal(post(0, 1, 1 << 20), CLUSTER_POST_OK);
	while (arrived_count < 4)
		assert_true(rig_next(&rig, start + 3 * NS_PER_SEC));
	check();
	assert_true(cluster_link_view(&rig.nodes[0], rig_id(1), &view));
	/* 3 220 segments take 161 ms; most of the wire was used, and few packets were dropped. */
	assert_true(rig.now_ns - start < 240 * NS_PER_MS);
	assert_true(rig.dropped < 400);
	run(100 * NS_PER_MS);
	assert_all_arrived();
}

/* --- any of it ----------------------------------------------------------------------- */

static void
whatever_happens_messages_arrive_at_most_once_or_are_told(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 30; seed++) {
		rig_close(&rig);
		tag_count = arrived_count = lost_count = 0;
		rig_open(&rig, seed, (4ull + prng_below(&(struct prng){ seed }, 12)) << 20);
		rig.told = told;
		for (int phase = 0; phase < 8; phase++) {
			int victim = (int)prng_below(&rig.prng, RIG_NODES);

			rig.loss = prng_below(&rig.prng, 2) ? 0 : 0.3 * prng_unit(&rig.prng);
			rig.duplicate = prng_below(&rig.prng, 2) ? 0 : 0.3 * prng_unit(&rig.prng);
			rig.corrupt = prng_below(&rig.prng, 2) ? 0 : 0.1 * prng_unit(&rig.prng);
			rig.delay_max_ns = rig.delay_min_ns + prng_below(&rig.prng, 3 * NS_PER_MS);
			rig.all_packets = prng_below(&rig.prng, 2);
			if (prng_below(&rig.prng, 4) == 0 && rig.up[victim]) {
				rig_stop(&rig, victim);
			} else if (!rig.up[victim]) {
				rig_start(&rig, victim);
			} else if (prng_below(&rig.prng, 4) == 0) {
				rig.stopped[victim] = true;
				traffic(20, 100000);
				run(prng_below(&rig.prng, 3 * NS_PER_SEC));
				rig.stopped[victim] = false;
			}
			traffic(40, 200000);
		}
		rig.loss = rig.duplicate = rig.corrupt = 0;
		rig.delay_max_ns = 40 * NS_PER_US;
		for (int i = 0; i < RIG_NODES; i++)
			if (!rig.up[i])
				rig_start(&rig, i);
		run(8 * NS_PER_SEC);
		assert_empty();
		assert_all_accounted();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_message_arrives_with_the_next_step, setup, teardown),
		cmocka_unit_test_setup_teardown(messages_posted_together_share_a_packet, setup, teardown),
		cmocka_unit_test_setup_teardown(an_answer_carries_the_acknowledgement, setup, teardown),
		cmocka_unit_test_setup_teardown(messages_of_every_length_arrive_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(data_is_of_its_own_class_and_has_no_priority, setup, teardown),
		cmocka_unit_test_setup_teardown(loss_is_made_good, setup, teardown),
		cmocka_unit_test_setup_teardown(a_doubled_packet_is_taken_once, setup, teardown),
		cmocka_unit_test_setup_teardown(overtaking_is_no_loss_of_messages, setup, teardown),
		cmocka_unit_test_setup_teardown(a_damaged_packet_is_a_lost_one, setup, teardown),
		cmocka_unit_test_setup_teardown(a_restarted_peer_gets_nothing_meant_for_its_former_life, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_posted_to_the_dead_is_lost_once_and_they_are_unreachable, setup, teardown),
		cmocka_unit_test_setup_teardown(patience_ends_where_gossip_passes_and_data_does_not, setup, teardown),
		cmocka_unit_test_setup_teardown(acknowledgements_alone_are_lost_and_nothing_arrives_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stop_of_the_sender_ends_nobodys_patience, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_is_bounded_and_one_peer_does_not_take_it_all, setup, teardown),
		cmocka_unit_test_setup_teardown(a_small_node_takes_large_messages_one_by_one, setup, teardown),
		cmocka_unit_test_setup_teardown(more_long_messages_than_buffers_wait_for_them, setup, teardown),
		cmocka_unit_test_setup_teardown(the_window_follows_what_the_wire_takes, setup, teardown),
		cmocka_unit_test_setup_teardown(whatever_happens_messages_arrive_at_most_once_or_are_told, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
