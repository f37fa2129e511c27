/* Values that are referred to rather than copied: an item is pinned until the peer has its bytes and the NIC has done with them, and no longer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/tcp/rig.h"

enum { ITEMS = 100, ITEM_LEN = 3000, PORT = 1000 };

static struct rig rig;
static uint16_t pins[ITEMS];
static uint8_t items[ITEMS][ITEM_LEN];
static uint32_t to_write; /* items, in the next turn */
static uint8_t got[ITEMS * ITEM_LEN];
static uint32_t isn, got_end; /* of our stream */
static bool abort_next;
static uint16_t refer_min; /* of the instance */
static bool nic_holds;     /* what is sent (rig.h) */
static uint16_t others;    /* pins of the first item that are not ours */

static uint8_t
byte_of(uint32_t at)
{
	return (uint8_t)(at * 31 + at / 256 * 7);
}

static void
app_turn(void *context, struct rig *at, struct turn *turn)
{
	(void)context;
	(void)at;
	if (turn->closed)
		return;
	turn->consumed = turn->input.len;
	turn->abort = abort_next;
	for (uint32_t i = 0; i < to_write; i++) {
		assert_true(outq_pin(&pins[i]));
		assert_true(outq_put_pinned(turn->blocks, turn->out, view_of(items[i], ITEM_LEN), &pins[i]));
	}
	to_write = 0;
}

static void
app_segment(void *context, struct rig *at, const struct seg *seg)
{
	uint32_t place;

	(void)context;
	(void)at;
	if (seg->flags & SEG_SYN)
		isn = seg->seq;
	place = seg->seq - isn - 1;
	if (seg->payload_len == 0)
		return;
	assert_true(place + seg->payload_len <= sizeof got);
	memcpy(got + place, seg->payload, seg->payload_len);
	if (place + seg->payload_len > got_end)
		got_end = place + seg->payload_len;
}

static void
transmit(uint8_t flags, uint32_t seq, uint32_t ack, const char *bytes)
{
	struct seg seg = seg_none();

	memcpy(seg.source, rig_our_ipv4, 16);
	memcpy(seg.destination, rig_our_ipv4, 16);
	seg.source[15] = 9;
	seg.source_port = PORT;
	seg.destination_port = 6379;
	seg.flags = flags;
	seg.seq = seq;
	seg.ack = isn + 1 + ack;
	seg.window = 65535;
	seg.mss = flags & SEG_SYN ? 1460 : 0;
	seg.wscale = flags & SEG_SYN ? 7 : -1;
	seg.payload = (const uint8_t *)bytes;
	seg.payload_len = (uint32_t)strlen(bytes);
	rig_in(&rig, &seg);
	rig_round(&rig);
}

static uint32_t
pinned(void)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < ITEMS; i++)
		sum += pins[i];
	return sum;
}

/* A connection whose application has answered with `count` items. */
static void
begin(uint32_t count)
{
	struct rig_app app = { app_turn, app_segment, NULL };
	struct tcp_config config;

	rig_config(&tcp_fast_api, &config);
	config.refer_min = refer_min;
	rig_open(&rig, &tcp_fast_api, &config, &app, 3);
	rig.nic_holds = nic_holds;
	memset(pins, 0, sizeof pins);
	pins[0] = others;
	memset(got, 0, sizeof got);
	got_end = 0;
	abort_next = false;
	for (uint32_t i = 0; i < ITEMS * ITEM_LEN; i++)
		items[i / ITEM_LEN][i % ITEM_LEN] = byte_of(i);
	transmit(SEG_SYN, 0, 0, "");
	transmit(SEG_ACK, 1, 0, "");
	to_write = count;
	transmit(SEG_ACK | SEG_PSH, 1, 0, "get");
	if (!others)
		assert_int_equal(pinned(), count + rig.tail_count);
}

static void
finish(void)
{
	if (!rig_close(&rig))
		fail_msg("%s", rig.failure);
	assert_int_equal(pinned(), 0);
}

static void
right_bytes(void)
{
	for (uint32_t i = 0; i < got_end; i++)
		assert_int_equal(got[i], byte_of(i));
}

static void
an_item_is_pinned_until_its_last_byte_is_acknowledged(void **state)
{
	(void)state;
	begin(2);
	transmit(SEG_ACK, 4, ITEM_LEN - 1, "");
	assert_int_equal(pinned(), 2);
	transmit(SEG_ACK, 4, ITEM_LEN, "");
	assert_int_equal(pins[0], 0);
	assert_int_equal(pins[1], 1);
	transmit(SEG_ACK, 4, 2 * ITEM_LEN, "");
	assert_int_equal(pinned(), 0);
	right_bytes();
	assert_int_equal(got_end, 2 * ITEM_LEN);
	finish();
}

static void
a_multi_get_of_a_hundred_items_arrives_and_lets_go_of_all(void **state)
{
	(void)state;
	begin(ITEMS);
	for (uint32_t i = 0; i < 1000 && got_end < ITEMS * ITEM_LEN; i++) {
		rig_wait(&rig, rig.now_ns + NS_PER_MS);
		transmit(SEG_ACK, 4, got_end, "");
	}
	assert_int_equal(got_end, ITEMS * ITEM_LEN);
	transmit(SEG_ACK, 4, got_end, "");
	assert_int_equal(pinned(), 0);
	right_bytes();
	finish();
}

static void
the_first_timeout_copies_what_a_silent_peer_has_pinned_and_sends_the_old_bytes_still(void **state)
{
	(void)state;
	begin(2);
	rig_wait(&rig, rig.now_ns + 2 * NS_PER_SEC);
	assert_int_equal(pinned(), 0);
	memset(items, 0xee, sizeof items); /* the items' memory is somebody else's by now */
	memset(got, 0, sizeof got);
	got_end = 0;
	for (uint32_t i = 0, acked = 0; i < 100 && acked < 2 * ITEM_LEN; i++) {
		rig_wait(&rig, rig.now_ns + NS_PER_SEC);
		while (acked < got_end && got[acked] == byte_of(acked))
			acked++;
		if (acked)
			transmit(SEG_ACK, 4, acked, "");
		if (acked == 2 * ITEM_LEN)
			break;
	}
	assert_int_equal(got_end, 2 * ITEM_LEN);
	right_bytes();
	finish();
}

static void
every_end_of_a_connection_lets_go(void **state)
{
	(void)state;
	begin(ITEMS); /* the peer resets */
	transmit(SEG_RST, 4, 0, "");
	assert_int_equal(pinned(), 0);
	finish();

	begin(ITEMS); /* the application aborts */
	abort_next = true;
	transmit(SEG_ACK | SEG_PSH, 4, 0, "x");
	assert_int_equal(pinned(), 0);
	finish();

	begin(ITEMS); /* the peer is gone for good */
	rig_wait(&rig, rig.now_ns + 900 * NS_PER_SEC);
	assert_int_equal(pinned(), 0);
	assert_int_equal(rig_figures(&rig).connections, 0);
	finish();

	begin(ITEMS); /* the instance ends */
	rig.api->destroy(rig.tcp);
	free(rig.live);
	assert_int_equal(pinned(), 0);
}

/* --- frames that refer to items, and a NIC that takes its time ------------------------------------------------------- */

/* 3000 bytes: two segments of 1460 refer to them, the rest is below the least; each frame has a pin of its own. */
static void
a_frame_at_the_nic_keeps_an_item_that_is_acknowledged(void **state)
{
	(void)state;
	begin(1);
	assert_int_equal(rig.tail_count, 2);
	assert_int_equal(pins[0], 1 + 2);
	transmit(SEG_ACK, 4, ITEM_LEN, "");
	assert_int_equal(pins[0], 2);
	rig_nic_done(&rig);
	assert_int_equal(pins[0], 0);
	right_bytes();
	finish();
}

static void
a_retransmission_has_a_pin_of_its_own(void **state)
{
	(void)state;
	begin(1);
	for (int i = 0; i < 3; i++) /* RFC 5681 3.2: three duplicates, and the first segment goes again */
		transmit(SEG_ACK, 4, 0, "");
	assert_int_equal(counter_read(&rig.counters, COUNTER_TCP_RETRANSMITS), 1);
	assert_int_equal(rig.tail_count, 3);
	assert_int_equal(pins[0], 1 + 3);
	transmit(SEG_ACK, 4, ITEM_LEN, "");
	assert_int_equal(pins[0], 3);
	rig_nic_done(&rig);
	finish();
}

static void
a_timeout_copies_what_is_queued_and_not_what_is_at_the_nic(void **state)
{
	(void)state;
	begin(2);
	rig_wait(&rig, rig.now_ns + 2 * NS_PER_SEC);
	assert_true(counter_read(&rig.counters, COUNTER_TCP_TIMEOUTS) > 0);
	assert_true(rig.tail_count >= 4);
	assert_int_equal(pinned(), rig.tail_count); /* the frames', and none of the queue's */
	rig_nic_done(&rig);
	assert_int_equal(pinned(), 0);
	memset(items, 0xee, sizeof items); /* the items' memory is somebody else's by now */
	rig.nic_holds = false;
	got_end = 0;
	for (uint32_t acked = 0, i = 0; i < 100 && acked < 2 * ITEM_LEN; i++) {
		rig_wait(&rig, rig.now_ns + NS_PER_SEC);
		acked = got_end;
		transmit(SEG_ACK, 4, acked, "");
	}
	assert_int_equal(rig.tail_count, 0); /* copies are not referred to */
	right_bytes();
	finish();
}

static void
what_is_at_the_nic_outlives_its_connection(void **state)
{
	(void)state;
	begin(10); /* the peer resets */
	assert_true(rig.tail_count > 0);
	transmit(SEG_RST, 4, 0, "");
	assert_int_equal(rig_figures(&rig).connections, 0);
	assert_int_equal(pinned(), rig.tail_count);
	rig_nic_done(&rig);
	finish();

	begin(10); /* the worker stops: TCP goes first, then the port, and then the store */
	rig.api->destroy(rig.tcp);
	free(rig.live);
	assert_int_equal(pinned(), rig.tail_count);
	rig_nic_done(&rig);
	assert_int_equal(pinned(), 0);
}

static void
an_item_with_as_many_pins_as_can_be_counted_is_copied(void **state)
{
	(void)state;
	others = UINT16_MAX - 2; /* and one for the queue, and one for a frame */
	begin(1);
	assert_int_equal(rig.tail_count, 1);
	assert_int_equal(pins[0], UINT16_MAX);
	rig_nic_done(&rig);
	assert_int_equal(got_end, ITEM_LEN);
	right_bytes();
	transmit(SEG_ACK, 4, ITEM_LEN, "");
	assert_int_equal(pins[0], others);
	pins[0] = others = 0;
	finish();
}

static int
copies(void **state)
{
	(void)state;
	refer_min = 0;
	nic_holds = false;
	return 0;
}

static int
refers(void **state)
{
	(void)state;
	refer_min = 600; /* the third segment of an item, too */
	nic_holds = false;
	return 0;
}

static int
waits(void **state)
{
	(void)state;
	refer_min = 1024;
	nic_holds = true;
	return 0;
}

#define BOTH(f) { #f ", copied into frames", f, copies, NULL, NULL }, { #f ", referred to by frames", f, refers, NULL, NULL }

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(an_item_is_pinned_until_its_last_byte_is_acknowledged),
		BOTH(a_multi_get_of_a_hundred_items_arrives_and_lets_go_of_all),
		BOTH(the_first_timeout_copies_what_a_silent_peer_has_pinned_and_sends_the_old_bytes_still),
		BOTH(every_end_of_a_connection_lets_go),
		cmocka_unit_test_setup(a_frame_at_the_nic_keeps_an_item_that_is_acknowledged, waits),
		cmocka_unit_test_setup(a_retransmission_has_a_pin_of_its_own, waits),
		cmocka_unit_test_setup(a_timeout_copies_what_is_queued_and_not_what_is_at_the_nic, waits),
		cmocka_unit_test_setup(what_is_at_the_nic_outlives_its_connection, waits),
		cmocka_unit_test_setup(an_item_with_as_many_pins_as_can_be_counted_is_copied, waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
