/* Unit tests of lib/net's IPv4 beyond the plain way: options, tags, ICMP errors both ways, limits. */
#include "base/prng.h"
#include "tests/unit/net_rig.h"

static int
reset(void **state)
{
	(void)state;
	rig_init((struct net_config){ .port_count = 1, .ports = { { 7, SERVICE_ECHO } } });
	return 0;
}

static int
reset_tagged(void **state)
{
	reset(state);
	net.config.vlan = 100;
	return 0;
}

/* --- options ---------------------------------------------------------------------------- */

static void
udp_with_options(struct test_frame *f, const uint8_t *options, uint8_t len)
{
	uint8_t *ip;

	frame_udp(f, 1000, 7, "hello", 5);
	frame_insert(f, 34, options, len);
	ip = f->bytes + 14;
	ip[0] = (uint8_t)(0x45 + len / 4);
	store_be16(ip + 2, (uint16_t)(load_be16(ip + 2) + len));
	store_be16(ip + 10, 0);
	store_be16(ip + 10, frame_checksum(0, ip, 20u + len));
}

static void
rfc_791_options_of_every_length_are_skipped_and_the_reply_stands_where_replies_stand(void **state)
{
	(void)state;
	for (uint8_t len = 4; len <= 40; len += 4) {
		uint8_t options[40] = { 7, (uint8_t)(len - 1), 4 }; /* record route, then the end of the list */
		struct test_frame f;
		struct reply reply;

		udp_with_options(&f, options, len);
		assert_true(input(&f));
		assert_ptr_equal(datagram.payload, f.pkt.data + PKT_UDP_PAYLOAD_OFFSET);
		assert_memory_equal(datagram.payload, "hello", 5);
		assert_int_equal(datagram.payload_len, 5);
		assert_memory_equal(datagram.peer.mac, frame_peer_mac, 6);
		net_echo(&datagram, 1, &reply);
		net_output(&net, &reply, 1);
		assert_int_equal(f.pkt.data[14], 0x45);
		assert_memory_equal(f.pkt.data, frame_peer_mac, 6);
		assert_int_equal(frame_checksum(0, f.pkt.data + 14, 20), 0);
	}
}

static void
rfc_7126_source_routes_are_dropped_wherever_they_stand(void **state)
{
	static const uint8_t loose[8] = { 1, 131, 7, 4, 10, 9, 0, 7 }, strict[8] = { 7, 3, 4, 137, 4, 4, 0, 0 };
	struct test_frame f;

	(void)state;
	udp_with_options(&f, loose, 8);
	expect_drop(&f, DROP_IPV4_OPTIONS);
	udp_with_options(&f, strict, 8);
	expect_drop(&f, DROP_IPV4_OPTIONS);
}

static void
options_whose_lengths_lead_nowhere_are_dropped(void **state)
{
	static const uint8_t zero[4] = { 7, 0, 0, 0 }, one[4] = { 7, 1, 0, 0 }, over[4] = { 7, 5, 0, 0 }, cut[4] = { 1, 1, 1, 7 };
	static const uint8_t *const bad[] = { zero, one, over, cut };
	struct test_frame f;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		udp_with_options(&f, bad[i], 4);
		expect_drop(&f, DROP_IPV4_OPTIONS);
	}
	udp_with_options(&f, (const uint8_t[4]){ 1, 1, 1, 1 }, 4);
	f.bytes[36] = 0; /* the checksum covers options too */
	expect_drop(&f, DROP_IPV4_CHECKSUM);
	udp_with_options(&f, (const uint8_t[4]){ 0 }, 4);
	store_be16(f.bytes + 16, 23); /* shorter than its header */
	expect_drop(&f, DROP_IPV4_HEADER);
}

/* --- padding ---------------------------------------------------------------------------- */

static void
rfc_894_padding_behind_a_packet_is_not_part_of_it(void **state)
{
	struct test_frame f;

	(void)state;
	frame_udp(&f, 1000, 7, "hello", 5);
	memset(f.bytes + 47, 0xee, 13);
	f.pkt.len = 60;
	assert_true(input(&f));
	assert_int_equal(datagram.payload_len, 5);
}

static void
rfc_1122_3_3_6_a_packet_for_us_in_a_broadcast_frame_is_not_listened_to(void **state)
{
	struct test_frame f;

	(void)state;
	frame_udp(&f, 1000, 7, "hello", 5);
	memset(f.bytes, 0xff, 6);
	expect_drop(&f, DROP_NOT_FOR_US);
	frame_udp(&f, 1000, 9, "hello", 5); /* nor is an error sent because of one (3.2.2) */
	memset(f.bytes, 0xff, 6);
	expect_drop(&f, DROP_NOT_FOR_US);
	assert_int_equal(counter_read(&counters, COUNTER_ICMP_UNREACHABLE), 0);
}

/* --- tags ------------------------------------------------------------------------------- */

static void
ieee_802_1q_a_tagged_request_has_a_tagged_reply(void **state)
{
	struct test_frame f;
	struct reply reply;

	(void)state;
	frame_udp(&f, 1000, 7, "hello", 5);
	frame_tag(&f, 0xe064); /* ID 100, priority 7 */
	assert_true(input(&f));
	assert_ptr_equal(datagram.payload, f.pkt.data + PKT_UDP_PAYLOAD_OFFSET);
	assert_memory_equal(datagram.payload, "hello", 5);
	net_echo(&datagram, 1, &reply);
	net_output(&net, &reply, 1);
	assert_ptr_equal(f.pkt.data, f.bytes);
	assert_int_equal(f.pkt.len, 51);
	assert_int_equal(load_be16(f.bytes + 12), 0x8100);
	assert_int_equal(load_be16(f.bytes + 14), 100);
	assert_int_equal(load_be16(f.bytes + 16), 0x0800);
	assert_int_equal(frame_checksum(0, f.bytes + 18, 20), 0);
	assert_memory_equal(f.bytes + 46, "hello", 5);
}

static void
ieee_802_1q_what_is_answered_in_place_keeps_its_tag(void **state)
{
	static const uint8_t request[28] = { 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 9, 2, 10, 9, 0, 2, 0, 0, 0, 0, 0, 0, 10, 9, 0, 1 };
	struct test_frame f;

	(void)state;
	frame_ethernet(&f, 0x0806);
	memset(f.bytes, 0xff, 6);
	memcpy(f.bytes + 14, request, 28);
	f.pkt.len = 60;
	frame_tag(&f, 100);
	assert_false(input(&f));
	assert_int_equal(f.pkt.disposition, PKT_SEND);
	assert_ptr_equal(f.pkt.data, f.bytes);
	assert_memory_equal(f.bytes, frame_peer_mac, 6);
	assert_int_equal(load_be16(f.bytes + 12), 0x8100);
	assert_int_equal(load_be16(f.bytes + 14), 100);
	assert_int_equal(load_be16(f.bytes + 16), 0x0806);
	assert_int_equal(load_be16(f.bytes + 24), 2);

	frame_ipv4(&f, 1, 8);
	f.bytes[34] = 8;
	store_be16(f.bytes + 36, frame_checksum(0, f.bytes + 34, 8));
	frame_tag(&f, 100);
	assert_false(input(&f));
	assert_int_equal(f.pkt.disposition, PKT_SEND);
	assert_int_equal(f.pkt.len, 46);
	assert_int_equal(load_be16(f.bytes + 14), 100);
	assert_int_equal(f.bytes[38], 0);
}

static void
ieee_802_1q_frames_of_other_networks_are_dropped(void **state)
{
	struct test_frame f;

	(void)state;
	frame_udp(&f, 1000, 7, "hello", 5);
	expect_drop(&f, DROP_VLAN); /* no tag where one is due */
	frame_udp(&f, 1000, 7, "hello", 5);
	frame_tag(&f, 101);
	expect_drop(&f, DROP_VLAN);
	frame_udp(&f, 1000, 7, "hello", 5);
	frame_tag(&f, 100);
	frame_tag(&f, 100); /* twice */
	expect_drop(&f, DROP_VLAN);
	frame_udp(&f, 1000, 7, "hello", 5);
	frame_tag(&f, 100);
	f.pkt.len = 17;
	expect_drop(&f, DROP_RUNT);
	reset(state);
	frame_udp(&f, 1000, 7, "hello", 5);
	frame_tag(&f, 100); /* a tag where none is due */
	expect_drop(&f, DROP_VLAN);
	frame_udp(&f, 1000, 7, "hello", 5);
	frame_tag(&f, 0xe000); /* ID 0 names no network: only a priority */
	assert_true(input(&f));
}

/* --- ICMP ------------------------------------------------------------------------------- */

static void
rfc_1122_4_1_3_1_who_sends_to_a_port_without_service_is_told(void **state)
{
	struct test_frame f, asked;

	(void)state;
	frame_udp(&f, 1000, 9, "hello", 5);
	asked = f;
	assert_false(input(&f));
	assert_int_equal(f.pkt.disposition, PKT_SEND);
	assert_int_equal(drop_read(&counters, DROP_UDP_PORT), 1);
	assert_int_equal(counter_read(&counters, COUNTER_ICMP_UNREACHABLE), 1);
	assert_int_equal(f.pkt.len, 14 + 20 + 8 + 33);
	assert_memory_equal(f.bytes, frame_peer_mac, 6);
	assert_memory_equal(f.bytes + 6, frame_our_mac, 6);
	assert_int_equal(frame_checksum(0, f.bytes + 14, 20), 0);
	assert_int_equal(f.bytes[23], 1);
	assert_memory_equal(f.bytes + 26, frame_our_ip, 4);
	assert_memory_equal(f.bytes + 30, frame_peer_ip, 4);
	assert_int_equal(f.bytes[34], 3);
	assert_int_equal(f.bytes[35], 3);
	assert_int_equal(frame_checksum(0, f.bytes + 34, 41), 0);
	assert_memory_equal(f.bytes + 42, asked.bytes + 14, 33);
	frame_udp(&f, 0, 9, "hello", 5); /* nobody can be asked at port 0 */
	expect_drop(&f, DROP_UDP_PORT);
}

static void
rfc_1812_4_3_2_3_an_error_has_at_most_576_bytes(void **state)
{
	uint8_t payload[1472] = { 0 };
	struct test_frame f;

	(void)state;
	frame_udp(&f, 1000, 9, payload, sizeof payload);
	assert_false(input(&f));
	assert_int_equal(f.pkt.len, 14 + 576);
	assert_int_equal(load_be16(f.bytes + 16), 576);
}

static void
rfc_1812_4_3_2_8_errors_and_echoes_keep_a_pace(void **state)
{
	struct test_frame f;
	uint32_t sent = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		frame_udp(&f, 1000, 9, "hello", 5);
		net_input(&net, NS_PER_SEC, &f.pkt, 1, &datagram);
		sent += f.pkt.disposition == PKT_SEND;
	}
	assert_int_equal(sent, NET_UNREACHABLE_BURST);
	assert_int_equal(drop_read(&counters, DROP_UDP_PORT), 1000);
	sent = 0;
	for (int i = 0; i < 1000; i++) { /* ten seconds more */
		frame_udp(&f, 1000, 9, "hello", 5);
		net_input(&net, NS_PER_SEC + (uint64_t)i * 10 * NS_PER_MS, &f.pkt, 1, &datagram);
		sent += f.pkt.disposition == PKT_SEND;
	}
	assert_in_range(sent, 10 * NET_UNREACHABLE_RATE - 2, 10 * NET_UNREACHABLE_RATE + NET_UNREACHABLE_BURST);
	sent = 0;
	for (int i = 0; i < 3 * NET_ECHO_BURST; i++) {
		frame_ipv4(&f, 1, 8);
		f.bytes[34] = 8;
		store_be16(f.bytes + 36, frame_checksum(0, f.bytes + 34, 8));
		net_input(&net, NS_PER_SEC, &f.pkt, 1, &datagram);
		sent += f.pkt.disposition == PKT_SEND;
	}
	assert_int_equal(sent, NET_ECHO_BURST);
	assert_int_equal(drop_read(&counters, DROP_ICMP_RATE), 2 * NET_ECHO_BURST);
}

static void
a_pace_is_what_the_configuration_says(void **state)
{
	struct net_config config = net.config;
	struct test_frame f;
	uint32_t sent = 0;

	(void)state;
	config.unreachables_per_s = 2; /* its share of a burst is less than one: one it is */
	net_init(&net, &config, &counters);
	for (int i = 0; i < 100; i++) { /* ten seconds */
		frame_udp(&f, 1000, 9, "hello", 5);
		net_input(&net, NS_PER_SEC + (uint64_t)i * 100 * NS_PER_MS, &f.pkt, 1, &datagram);
		sent += f.pkt.disposition == PKT_SEND;
	}
	assert_int_equal(sent, 20);
	config.echoes_per_s = NET_RATE_MAX;
	net_init(&net, &config, &counters);
	for (int i = 0; i < 3 * NET_ECHO_BURST; i++) {
		frame_ipv4(&f, 1, 8);
		f.bytes[34] = 8;
		store_be16(f.bytes + 36, frame_checksum(0, f.bytes + 34, 8));
		net_input(&net, NS_PER_SEC, &f.pkt, 1, &datagram);
		assert_int_equal(f.pkt.disposition, PKT_SEND);
	}
}

/* An error about a packet of ours: a TCP segment from port 6379, sequence 0x01020304, to the peer's 40000. */
static void
error_frame(struct test_frame *f, uint8_t type, uint8_t code, uint16_t mtu, uint8_t ihl)
{
	uint8_t *icmp = f->bytes + 34, *ip = icmp + 8, *tcp = ip + 4 * ihl;
	uint16_t len = (uint16_t)(8 + 4 * ihl + 8);

	frame_ipv4(f, 1, len);
	icmp[0] = type;
	icmp[1] = code;
	store_be16(icmp + 6, mtu);
	ip[0] = (uint8_t)(0x40 | ihl);
	ip[9] = 6;
	memcpy(ip + 12, frame_our_ip, 4);
	memcpy(ip + 16, frame_peer_ip, 4);
	store_be16(tcp, 6379);
	store_be16(tcp + 2, 40000);
	store_be32(tcp + 4, 0x01020304);
	store_be16(icmp + 2, frame_checksum(0, icmp, len));
}

static void
rfc_1191_an_error_about_a_segment_names_its_connection_and_the_mtu(void **state)
{
	struct test_frame f;
	uint8_t mapped[16];

	(void)state;
	endpoint_map_ipv4(mapped, frame_peer_ip);
	for (uint8_t ihl = 5; ihl <= 15; ihl += 5) {
		error_frame(&f, 3, 4, 1400, ihl);
		assert_false(input(&f));
		assert_int_equal(f.pkt.disposition, PKT_DONE);
		assert_int_equal(net.error_count, 1);
		assert_int_equal(net.errors[0].reason, ICMP_TOO_BIG);
		assert_int_equal(net.errors[0].mtu, 1400);
		assert_int_equal(net.errors[0].seq, 0x01020304);
		assert_int_equal(net.errors[0].local_port, 6379);
		assert_int_equal(net.errors[0].peer_port, 40000);
		assert_int_equal(net.errors[0].local, ENDPOINT_IPV4);
		assert_memory_equal(net.errors[0].peer, mapped, 16);
	}
	frame_udp(&f, 1000, 7, "hello", 5);
	assert_true(input(&f)); /* the next burst knows nothing of it */
	assert_int_equal(net.error_count, 0);
}

static void
rfc_1122_4_2_3_9_errors_are_told_apart(void **state)
{
	static const struct {
		uint8_t type, code, reason;
	} cases[] = { { 3, 0, ICMP_UNREACHABLE }, { 3, 1, ICMP_UNREACHABLE }, { 3, 2, ICMP_REFUSED }, { 3, 3, ICMP_REFUSED },
		{ 3, 13, ICMP_UNREACHABLE }, { 11, 0, ICMP_EXPIRED }, { 12, 0, ICMP_MISUNDERSTOOD } };
	struct test_frame f;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		error_frame(&f, cases[i].type, cases[i].code, 0, 5);
		assert_false(input(&f));
		assert_int_equal(net.error_count, 1);
		assert_int_equal(net.errors[0].reason, cases[i].reason);
		assert_int_equal(net.errors[0].mtu, 0);
	}
	error_frame(&f, 4, 0, 0, 5); /* RFC 6633: source quench */
	expect_drop(&f, DROP_ICMP_TYPE);
	error_frame(&f, 5, 0, 0, 5); /* redirect */
	expect_drop(&f, DROP_ICMP_TYPE);
}

static void
an_error_about_what_we_did_not_send_is_dropped(void **state)
{
	struct test_frame f;

	(void)state;
	error_frame(&f, 3, 4, 1400, 5);
	f.bytes[42 + 15] ^= 1; /* from another address */
	store_be16(f.bytes + 36, 0);
	store_be16(f.bytes + 36, frame_checksum(0, f.bytes + 34, 36));
	expect_drop(&f, DROP_ICMP_TYPE);
	error_frame(&f, 3, 4, 1400, 4); /* a header shorter than any */
	expect_drop(&f, DROP_ICMP_TYPE);
	error_frame(&f, 3, 4, 1400, 5);
	f.bytes[42 + 7] = 1; /* a later fragment: what follows is no TCP header */
	store_be16(f.bytes + 36, 0);
	store_be16(f.bytes + 36, frame_checksum(0, f.bytes + 34, 36));
	expect_drop(&f, DROP_ICMP_TYPE);
	error_frame(&f, 3, 3, 0, 5);
	f.bytes[42 + 9] = 17; /* UDP's are counted, and nobody is told */
	store_be16(f.bytes + 36, 0);
	store_be16(f.bytes + 36, frame_checksum(0, f.bytes + 34, 36));
	assert_false(input(&f));
	assert_int_equal(f.pkt.disposition, PKT_DONE);
	assert_int_equal(net.error_count, 0);
	assert_int_equal(counter_read(&counters, COUNTER_ICMP_ERRORS), 1);
}

static void
errors_cut_at_any_length_are_no_harm(void **state)
{
	struct test_frame f;

	(void)state;
	for (uint16_t len = 0; len < 36; len++) {
		error_frame(&f, 3, 4, 1400, 5);
		store_be16(f.bytes + 16, (uint16_t)(20 + len));
		store_be16(f.bytes + 24, 0);
		store_be16(f.bytes + 24, frame_checksum(0, f.bytes + 14, 20));
		store_be16(f.bytes + 36, 0);
		store_be16(f.bytes + 36, frame_checksum(0, f.bytes + 34, len));
		f.pkt.len = (uint16_t)(34 + len);
		assert_false(input(&f));
		assert_int_equal(f.pkt.disposition, PKT_DROP);
		assert_int_equal(net.error_count, 0);
	}
}

/* --- addresses -------------------------------------------------------------------------- */

static void
rfc_5227_2_4_who_uses_our_address_is_counted(void **state)
{
	static const uint8_t announcement[28] = { 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 9, 2, 10, 9, 0, 1,
		0, 0, 0, 0, 0, 0, 10, 9, 0, 1 };
	struct test_frame f;

	(void)state;
	frame_ethernet(&f, 0x0806);
	memcpy(f.bytes + 14, announcement, 28);
	f.pkt.len = 60;
	input(&f);
	assert_int_equal(counter_read(&counters, COUNTER_ADDRESS_CONFLICTS), 1);
	frame_ethernet(&f, 0x0806); /* our own, come in at another of our ports */
	memcpy(f.bytes + 14, announcement, 28);
	memcpy(f.bytes + 22, frame_our_mac, 6);
	f.pkt.len = 60;
	expect_drop(&f, DROP_NOT_FOR_US);
	assert_int_equal(counter_read(&counters, COUNTER_ADDRESS_CONFLICTS), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(rfc_791_options_of_every_length_are_skipped_and_the_reply_stands_where_replies_stand, reset),
		cmocka_unit_test_setup(rfc_7126_source_routes_are_dropped_wherever_they_stand, reset),
		cmocka_unit_test_setup(options_whose_lengths_lead_nowhere_are_dropped, reset),
		cmocka_unit_test_setup(rfc_894_padding_behind_a_packet_is_not_part_of_it, reset),
		cmocka_unit_test_setup(rfc_1122_3_3_6_a_packet_for_us_in_a_broadcast_frame_is_not_listened_to, reset),
		cmocka_unit_test_setup(ieee_802_1q_a_tagged_request_has_a_tagged_reply, reset_tagged),
		cmocka_unit_test_setup(ieee_802_1q_what_is_answered_in_place_keeps_its_tag, reset_tagged),
		cmocka_unit_test_setup(ieee_802_1q_frames_of_other_networks_are_dropped, reset_tagged),
		cmocka_unit_test_setup(rfc_1122_4_1_3_1_who_sends_to_a_port_without_service_is_told, reset),
		cmocka_unit_test_setup(rfc_1812_4_3_2_3_an_error_has_at_most_576_bytes, reset),
		cmocka_unit_test_setup(rfc_1812_4_3_2_8_errors_and_echoes_keep_a_pace, reset),
		cmocka_unit_test_setup(a_pace_is_what_the_configuration_says, reset),
		cmocka_unit_test_setup(rfc_1191_an_error_about_a_segment_names_its_connection_and_the_mtu, reset),
		cmocka_unit_test_setup(rfc_1122_4_2_3_9_errors_are_told_apart, reset),
		cmocka_unit_test_setup(an_error_about_what_we_did_not_send_is_dropped, reset),
		cmocka_unit_test_setup(errors_cut_at_any_length_are_no_harm, reset),
		cmocka_unit_test_setup(rfc_5227_2_4_who_uses_our_address_is_counted, reset),
	};

	return cmocka_run_group_tests_name("net_ipv4", tests, NULL, NULL);
}
