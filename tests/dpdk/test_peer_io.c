/* Packets between workers and core over real mailboxes: classes do not take each other's room, control goes first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/roles.h"
#include "cluster/envelope.h"
#include "slipringd/peer_io.h"
#include "tests/dpdk/eal.h"

enum { PAYLOAD = 100, KNOWN = 77 };

static struct peer_io *io;
static struct counters counters;
static struct mailbox *worker0;
static uint8_t buffers[SPARE_MAX][PKT_UDP_PAYLOAD_OFFSET + UDP_PAYLOAD_MAX];
static struct pkt spare_pkts[SPARE_MAX];
static struct spares spares;

static int
begin(void **state)
{
	struct error error;

	(void)state;
	memset(&counters, 0, sizeof counters);
	io = peer_io_create(2, &error);
	worker0 = mailbox_create("worker0", 64, &error);
	assert_true(io && worker0);
	peer_io_connect(io, worker0);
	spares = (struct spares){ spare_pkts, SPARE_MAX, 0 };
	for (int i = 0; i < SPARE_MAX; i++)
		spare_pkts[i] = (struct pkt){ .data = buffers[i], .room = sizeof buffers[i] };
	return 0;
}

static int
end(void **state)
{
	(void)state;
	peer_io_destroy(io);
	mailbox_destroy(worker0);
	return 0;
}

/* A packet comes in at worker 1; whether it found room. */
static bool
comes(enum envelope_class class, uint64_t boot, uint8_t version)
{
	uint8_t payload[PAYLOAD] = { version, 1, 0, (uint8_t)class };
	struct pkt pkt = { .disposition = PKT_PENDING };
	struct datagram datagram = { .pkt = &pkt, .payload = payload, .payload_len = PAYLOAD, .service = SERVICE_PEER,
		.peer = { .port = 7946 } };

	store_le64(payload + 8, boot);
	assert_int_equal(peer_io_in(io, 1, &datagram, 1, &counters), 1);
	return pkt.disposition == PKT_PENDING;
}

static uint32_t
take_all(enum peer_class class)
{
	struct peer_frame *frames[32];
	uint32_t all = 0, n;

	while ((n = peer_io_receive(io, class, frames, 32)) > 0) {
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(frames[i]->len, PAYLOAD);
		peer_io_give(io, frames, n);
		all += n;
	}
	return all;
}

static void
a_flood_of_data_leaves_room_for_control(void **state)
{
	uint64_t lives[] = { 5, KNOWN };

	(void)state;
	role_worker_begin();
	role_core_begin();
	peer_io_lives(io, lives, 2);
	for (int round = 0; round < 3; round++) { /* no frame is lost in between */
		uint32_t room = 0, before = (uint32_t)drop_read(&counters, DROP_PEER_FULL);

		while (comes(ENVELOPE_DATA, KNOWN, ENVELOPE_VERSION))
			room++;
		assert_int_equal(room, PEER_IN_FRAMES);
		assert_int_equal(drop_read(&counters, DROP_PEER_FULL), before + 1);
		assert_false(comes(ENVELOPE_CONTROL, 99, ENVELOPE_VERSION)); /* a stranger */
		assert_false(comes(ENVELOPE_CONTROL, KNOWN, 2));             /* not this protocol */
		assert_true(comes(ENVELOPE_CONTROL, KNOWN, ENVELOPE_VERSION));
		assert_int_equal(drop_read(&counters, DROP_CONTROL_FULL), 0);
		assert_int_equal(take_all(PEER_CLASS_CONTROL), 1);
		assert_int_equal(take_all(PEER_CLASS_DATA), PEER_IN_FRAMES);
	}
	peer_io_lives(io, lives, 1);
	assert_true(comes(ENVELOPE_CONTROL, KNOWN, ENVELOPE_VERSION)); /* no longer known */
	assert_int_equal(take_all(PEER_CLASS_CONTROL), 0);
	assert_int_equal(take_all(PEER_CLASS_DATA), 1);
}

static void
other_datagrams_are_left_to_others(void **state)
{
	struct pkt pkt = { .disposition = PKT_PENDING };
	struct datagram datagrams[3] = { { .pkt = &pkt, .service = SERVICE_NATIVE }, { .pkt = &pkt, .service = SERVICE_ECHO },
		{ .pkt = &pkt, .service = SERVICE_ARP, .payload = (uint8_t[PAYLOAD]){ 0 }, .payload_len = PAYLOAD } };
	struct peer_frame *frame;

	(void)state;
	role_worker_begin();
	role_core_begin();
	assert_int_equal(peer_io_in(io, 0, datagrams, 3, &counters), 1);
	assert_int_equal(peer_io_receive(io, PEER_CLASS_CONTROL, &frame, 1), 1);
	assert_int_equal(frame->kind, PEER_KIND_ARP);
	peer_io_give(io, &frame, 1);
}

/* A frame of a network with jumbo frames has room for more than a node's packet. */
static void
a_packet_that_is_too_long_is_dropped_by_name(void **state)
{
	static uint8_t bytes[2000];
	struct pkt pkt = { .disposition = PKT_PENDING };
	struct datagram datagram = { .pkt = &pkt, .service = SERVICE_PEER, .payload = bytes };
	struct peer_frame *frame;

	(void)state;
	role_worker_begin();
	role_core_begin();
	for (datagram.payload_len = UDP_PAYLOAD_MAX + 1; datagram.payload_len < sizeof bytes; datagram.payload_len++) {
		uint64_t before = drop_read(&counters, DROP_UDP_LARGE);

		pkt.disposition = PKT_PENDING;
		assert_int_equal(peer_io_in(io, 0, &datagram, 1, &counters), 1);
		assert_int_equal(drop_read(&counters, DROP_UDP_LARGE), before + 1);
		assert_int_equal(peer_io_receive(io, PEER_CLASS_DATA, &frame, 1), 0);
	}
	datagram.payload_len = UDP_PAYLOAD_MAX;
	pkt.disposition = PKT_PENDING;
	assert_int_equal(peer_io_in(io, 0, &datagram, 1, &counters), 1);
	assert_int_equal(peer_io_receive(io, PEER_CLASS_DATA, &frame, 1), 1);
	assert_int_equal(frame->len, UDP_PAYLOAD_MAX);
	peer_io_give(io, &frame, 1);
}

static void
send(enum peer_class class, uint8_t name)
{
	struct peer_frame *frame = peer_io_take(io, class);

	role_core_begin();
	assert_non_null(frame);
	frame->kind = PEER_KIND_UDP;
	frame->len = PAYLOAD;
	frame->bytes[0] = name;
	peer_io_send(io, frame);
}

static void
control_leaves_first_and_no_round_takes_more_than_a_burst(void **state)
{
	struct reply replies[PEER_OUT_BURST];
	struct peer_out out;
	uint32_t rounds = 0, sent = 0;

	(void)state;
	role_worker_begin();
	role_core_begin();
	for (uint8_t i = 0; i < 100; i++)
		send(PEER_CLASS_DATA, 1);
	send(PEER_CLASS_CONTROL, 2);
	peer_io_flush(io);
	for (uint32_t n; (n = peer_io_out(io, &out, &spares, &counters)) > 0; rounds++) {
		assert_true(n <= PEER_OUT_BURST);
		assert_int_equal(peer_io_replies(&out, replies), n);
		for (uint32_t i = 0; i < n; i++) {
			assert_int_equal(replies[i].payload_len, PAYLOAD);
			assert_int_equal(replies[i].pkt->data[PKT_UDP_PAYLOAD_OFFSET], rounds == 0 && i == 0 ? 2 : 1);
		}
		sent += n;
		peer_io_done(io, &out);
		spares.used = 0;
	}
	assert_int_equal(sent, 101);
	assert_int_equal(rounds, 4);
}

static void
every_frame_comes_back_to_its_pool(void **state)
{
	struct peer_frame *frames[PEER_OUT_FRAMES];
	struct peer_out out;

	(void)state;
	role_worker_begin();
	role_core_begin();
	for (int i = 0; i < 5000; i++) {
		send(i % 3 ? PEER_CLASS_DATA : PEER_CLASS_CONTROL, 1);
		peer_io_flush(io);
		spares.used = i % 7 ? 0 : SPARE_MAX; /* without a packet, too */
		assert_int_equal(peer_io_out(io, &out, &spares, &counters), 1);
		peer_io_done(io, &out);
	}
	assert_int_equal(drop_read(&counters, DROP_NO_SPARE), 5000 / 7 + 1);
	for (uint32_t class = 0; class < PEER_CLASS_COUNT; class++) {
		for (uint32_t i = 0; i < PEER_OUT_FRAMES; i++) {
			frames[i] = peer_io_take(io, class);
			assert_non_null(frames[i]);
		}
		assert_null(peer_io_take(io, class));
		peer_io_give(io, frames, PEER_OUT_FRAMES);
	}
}

static void
a_raw_frame_is_sent_as_it_is(void **state)
{
	struct reply replies[PEER_OUT_BURST];
	struct peer_frame *frame;
	struct peer_out out;

	(void)state;
	role_worker_begin();
	role_core_begin();
	frame = peer_io_take(io, PEER_CLASS_CONTROL);
	frame->kind = PEER_KIND_RAW;
	frame->len = 60;
	memset(frame->bytes, 0x5a, 60);
	peer_io_send(io, frame);
	peer_io_flush(io);
	assert_int_equal(peer_io_out(io, &out, &spares, &counters), 1);
	assert_int_equal(peer_io_replies(&out, replies), 0);
	assert_int_equal(spare_pkts[0].disposition, PKT_SEND);
	assert_int_equal(spare_pkts[0].len, 60);
	assert_memory_equal(spare_pkts[0].data, frame->bytes, 60);
	peer_io_done(io, &out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_flood_of_data_leaves_room_for_control, begin, end),
		cmocka_unit_test_setup_teardown(other_datagrams_are_left_to_others, begin, end),
		cmocka_unit_test_setup_teardown(a_packet_that_is_too_long_is_dropped_by_name, begin, end),
		cmocka_unit_test_setup_teardown(control_leaves_first_and_no_round_takes_more_than_a_burst, begin, end),
		cmocka_unit_test_setup_teardown(every_frame_comes_back_to_its_pool, begin, end),
		cmocka_unit_test_setup_teardown(a_raw_frame_is_sent_as_it_is, begin, end),
	};

	eal_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
