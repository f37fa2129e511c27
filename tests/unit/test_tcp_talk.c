/* Whole conversations with one peer: open, data both ways, FIN, what is lost is sent again. */
#include "tests/unit/tcp_rig.h"

static void
a_request_is_answered_in_one_segment_with_its_acknowledgement(void **state)
{
	static uint8_t bytes[RIG_ROOM];
	struct rig_peer peer = rig_connect(40000, 1000, true);
	struct tcp_segment segment;
	struct pkt pkt;

	(void)state;
	rig_segment(&pkt, &segment, bytes, &peer, TCP_ACK | TCP_PSH, peer.seq, peer.ack, 502, "PING\r\n", 6, NULL, 0);
	tcp_input(rig, rig_now_ns, &segment, 1);
	assert_int_equal(pkt.disposition, PKT_PENDING); /* offered where it stands */
	rig_serve("+PONG\r\n", 7, false);
	assert_int_equal(pkt.disposition, PKT_DONE);
	rig_flush();
	assert_int_equal(rig_input_len, 6);
	assert_memory_equal(rig_input, "PING\r\n", 6);
	assert_int_equal(rig_out_count, 1);
	assert_int_equal(rig_out[0].flags, TCP_ACK | TCP_PSH);
	assert_int_equal(rig_out[0].seq, peer.ack);
	assert_int_equal(rig_out[0].ack, peer.seq + 6);
	assert_int_equal(rig_out[0].len, 7);
	assert_memory_equal(rig_out[0].data, "+PONG\r\n", 7);
	rig_in(&peer, TCP_ACK, peer.seq + 6, peer.ack + 7, 502, NULL, 0);
	assert_int_equal(rig_out_count, 0);
	assert_null(rig_conn()->rtx);

	/* The peer closes, the application closes, LAST-ACK. */
	rig_in(&peer, TCP_ACK | TCP_FIN, peer.seq + 6, peer.ack + 7, 502, NULL, 0);
	assert_int_equal(rig_out_count, 1);
	assert_int_equal(rig_out[0].flags, TCP_ACK | TCP_FIN);
	assert_int_equal(rig_out[0].ack, peer.seq + 7);
	rig_in(&peer, TCP_ACK, peer.seq + 7, peer.ack + 8, 502, NULL, 0);
	assert_int_equal(rig_out_count, 0);
	assert_int_equal(rig_closed, 1);
	assert_int_equal(rig_reason, TCP_CLOSED);
	assert_null(rig_conn());
	assert_int_equal(tcp_blocks(rig)->used, 0);
	assert_int_equal(rig->table.count, 0);
}

static void
a_lost_reply_is_sent_again_after_the_timeout_and_ever_later(void **state)
{
	struct rig_peer peer = rig_connect(40000, 0xfffffff0, false);
	uint64_t waits[] = { 200, 400, 800 };
	static uint8_t bytes[RIG_ROOM];
	struct tcp_segment segment;
	struct pkt pkt;

	(void)state;
	rig_segment(&pkt, &segment, bytes, &peer, TCP_ACK | TCP_PSH, peer.seq, peer.ack, 502, "PING\r\n", 6, NULL, 0);
	tcp_input(rig, rig_now_ns, &segment, 1);
	rig_serve("+PONG\r\n", 7, false);
	rig_flush();
	assert_int_equal(rig_out_count, 1);
	for (uint32_t i = 0; i < 3; i++) {
		rig_wait_ms(waits[i] - 1);
		assert_int_equal(rig_out_count, 0);
		rig_wait_ms(1);
		assert_int_equal(rig_out_count, 1);
		assert_int_equal(rig_out[0].seq, peer.ack);
		assert_memory_equal(rig_out[0].data, "+PONG\r\n", 7);
	}
	assert_int_equal(counter_read(&rig_counters, COUNTER_TCP_TIMEOUTS), 3);
	rig_in(&peer, TCP_ACK, peer.seq + 6, peer.ack + 7, 502, NULL, 0);
	assert_null(rig_conn()->rtx);
	rig_wait_ms(5000);
	assert_int_equal(rig_out_count, 0);
}

static void
what_comes_in_pieces_and_out_of_order_is_read_in_order(void **state)
{
	struct rig_peer peer = rig_connect(40000, 0xffffffff, true);

	(void)state;
	rig_in(&peer, TCP_ACK, peer.seq + 3, peer.ack, 502, "def", 3);
	assert_int_equal(rig_out_count, 1);
	assert_int_equal(rig_out[0].ack, peer.seq);
	assert_int_equal(rig_out[0].options.sack_count, 1);
	assert_int_equal(rig_out[0].options.sack[0].start, peer.seq + 3);
	assert_int_equal(rig_out[0].options.sack[0].end, peer.seq + 6);
	rig_in(&peer, TCP_ACK, peer.seq + 9, peer.ack, 502, "jkl", 3);
	assert_int_equal(rig_out[0].options.sack_count, 2); /* the latest first */
	assert_int_equal(rig_out[0].options.sack[0].start, peer.seq + 9);
	rig_in(&peer, TCP_ACK, peer.seq, peer.ack, 502, "abc", 3);
	assert_int_equal(rig_out[0].ack, peer.seq + 6);
	rig_in(&peer, TCP_ACK | TCP_FIN, peer.seq + 12, peer.ack, 502, NULL, 0);
	rig_in(&peer, TCP_ACK, peer.seq + 6, peer.ack, 502, "ghi", 3);
	assert_int_equal(rig_input_len, 12);
	assert_memory_equal(rig_input, "abcdefghijkl", 12);
	assert_int_equal(rig_out[0].ack, peer.seq + 13);
	assert_null(rig_conn()->ooo);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_request_is_answered_in_one_segment_with_its_acknowledgement, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(a_lost_reply_is_sent_again_after_the_timeout_and_ever_later, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(what_comes_in_pieces_and_out_of_order_is_read_in_order, rig_setup, rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
