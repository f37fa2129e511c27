/* Unit tests of lib/net and lib/wire: every outcome of a frame, by name. */
#include <stdlib.h>

#include "base/prng.h"
#include "tests/unit/net_rig.h"
#include "wire/checksum.h"

static int
reset(void **state)
{
	(void)state;
	rig_init((struct net_config){ .port_count = 2, .ports = { { 7, SERVICE_ECHO }, { 7411, SERVICE_NATIVE } } });
	return 0;
}

static void
an_arp_request_for_us_is_answered_in_place(void **state)
{
	static const uint8_t request[28] = { 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 9, 2, 10, 9, 0, 2,
		0, 0, 0, 0, 0, 0, 10, 9, 0, 1 };
	static const uint8_t reply[28] = { 0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 9, 1, 10, 9, 0, 1,
		2, 0, 0, 0, 9, 2, 10, 9, 0, 2 };
	struct test_frame f;

	(void)state;
	frame_ethernet(&f, 0x0806);
	memset(f.bytes, 0xff, 6);
	memcpy(f.bytes + 14, request, 28);
	f.pkt.len = 60; /* padded, as real ones are */
	assert_int_equal(net_input(&net, 0, &f.pkt, 1, &datagram), 0);
	assert_int_equal(f.pkt.disposition, PKT_SEND);
	assert_memory_equal(f.bytes, frame_peer_mac, 6);
	assert_memory_equal(f.bytes + 6, frame_our_mac, 6);
	assert_memory_equal(f.bytes + 14, reply, 28);

	frame_ethernet(&f, 0x0806);
	memcpy(f.bytes + 14, request, 28);
	f.bytes[14 + 27] = 9; /* somebody else's address */
	f.pkt.len = 60;
	expect_drop(&f, DROP_NOT_FOR_US);
	f.pkt.len = 41;
	expect_drop(&f, DROP_ARP_MALFORMED);
	f.bytes[14 + 5] = 16;
	f.pkt.len = 60;
	expect_drop(&f, DROP_ARP_MALFORMED);
}

static void
an_echo_request_comes_back_with_its_bytes(void **state)
{
	struct test_frame f;
	uint8_t *icmp = f.bytes + 34;

	(void)state;
	frame_ipv4(&f, 1, 8 + 56);
	icmp[0] = 8;
	for (int i = 8; i < 64; i++)
		icmp[i] = (uint8_t)i;
	store_be16(icmp + 2, frame_checksum(0, icmp, 64));
	assert_int_equal(net_input(&net, 0, &f.pkt, 1, &datagram), 0);
	assert_int_equal(f.pkt.disposition, PKT_SEND);
	assert_int_equal(icmp[0], 0);
	assert_int_equal(frame_checksum(0, icmp, 64), 0);
	assert_int_equal(frame_checksum(0, f.bytes + 14, 20), 0);
	assert_memory_equal(f.bytes + 30, frame_peer_ip, 4);
	assert_int_equal(icmp[63], 63);

	frame_ipv4(&f, 1, 64);
	icmp[0] = 8;
	expect_drop(&f, DROP_ICMP_CHECKSUM);
	frame_ipv4(&f, 1, 64);
	icmp[0] = 13;
	store_be16(icmp + 2, frame_checksum(0, icmp, 64));
	expect_drop(&f, DROP_ICMP_TYPE);
	frame_ipv4(&f, 1, 4);
	expect_drop(&f, DROP_RUNT);
}

static void
a_udp_payload_of_every_length_becomes_a_datagram_and_its_reply_is_sound(void **state)
{
	uint8_t payload[UDP_PAYLOAD_MAX];
	struct prng prng = { 42 };
	struct test_frame f;

	(void)state;
	for (uint16_t len = 0; len <= UDP_PAYLOAD_MAX; len++) {
			struct reply reply;
		uint16_t sum;

		for (int i = 0; i < len; i++)
			payload[i] = (uint8_t)prng_next(&prng);
		frame_udp(&f, 1000, 7, payload, len);
		assert_int_equal(net_input(&net, 0, &f.pkt, 1, &datagram), 1);
		assert_int_equal(datagram.payload_len, len);
		assert_int_equal(datagram.peer.port, 1000);
		assert_int_equal(datagram.peer.local_port, 7);
		assert_memory_equal(datagram.peer.ip + 12, frame_peer_ip, 4);
		assert_memory_equal(datagram.payload, payload, len);

		assert_int_equal(net_echo(&datagram, 1, &reply), 1);
		net_output(&net, &reply, 1);
		assert_int_equal(f.pkt.disposition, PKT_SEND);
		assert_int_equal(f.pkt.len, 42 + len);
		assert_memory_equal(f.bytes, frame_peer_mac, 6);
		assert_int_equal(frame_checksum(0, f.bytes + 14, 20), 0);
		sum = load_be16(f.bytes + 40);
		assert_int_not_equal(sum, 0);
		frame_seal_udp(&f);
		assert_int_equal(load_be16(f.bytes + 40) == 0 ? 0xffff : load_be16(f.bytes + 40), sum);
		assert_memory_equal(f.bytes + 42, payload, len);
	}
}

static void
a_reply_may_end_in_bytes_that_stand_elsewhere(void **state)
{
	uint8_t payload[200];
	uint16_t pins = 1;

	(void)state;
	for (uint32_t i = 0; i < sizeof payload; i++)
		payload[i] = (uint8_t)(i * 91 + 3);
	for (uint16_t tail_len = sizeof(struct pkt_tail); tail_len <= sizeof payload; tail_len++) {
		struct pkt_tail tail = { payload + sizeof payload - tail_len, &pins, tail_len };
		struct test_frame f;
		struct reply reply;
		uint16_t sum;

		frame_udp(&f, 1000, 7, payload, sizeof payload);
		assert_int_equal(net_input(&net, 0, &f.pkt, 1, &datagram), 1);
		assert_int_equal(net_echo(&datagram, 1, &reply), 1);
		memcpy(f.bytes + 42 + sizeof payload - tail_len, &tail, sizeof tail);
		reply.tail_len = tail_len;
		net_output(&net, &reply, 1);
		assert_int_equal(f.pkt.len, 42 + sizeof payload - tail_len);
		memcpy(f.bytes + f.pkt.len, tail.data, tail_len);
		sum = load_be16(f.bytes + 40);
		frame_seal_udp(&f);
		assert_int_equal(load_be16(f.bytes + 40) == 0 ? 0xffff : load_be16(f.bytes + 40), sum);
		assert_memory_equal(f.bytes + 42, payload, sizeof payload);
	}
}

static void
every_bad_frame_has_its_own_name(void **state)
{
	static const struct {
		enum drop why;
		uint16_t at;    /* byte changed */
		uint8_t to;
		bool seal;      /* checksums written anew after the change */
	} cases[] = {
		{ DROP_NOT_FOR_US, 5, 7, true },        /* destination MAC */
		{ DROP_VLAN, 12, 0x81, false },         /* ethertype 0x8100 */
		{ DROP_ETHERTYPE, 12, 0x86, false },
		{ DROP_IPV4_HEADER, 14, 0x65, true },   /* version 6 */
		{ DROP_IPV4_HEADER, 14, 0x44, true },   /* header length 16 */
		{ DROP_IPV4_CHECKSUM, 14, 0x46, true }, /* options that are none */
		{ DROP_IPV4_HEADER, 16, 0x7f, true },   /* total length over the frame */
		{ DROP_IPV4_CHECKSUM, 22, 63, false },  /* ttl */
		{ DROP_FRAGMENT, 20, 0x20, true },      /* MF; nothing is put together here */
		{ DROP_FRAGMENT, 21, 1, true },         /* offset */
		{ DROP_IP_PROTOCOL, 23, 6, true },
		{ DROP_SOURCE_ADDRESS, 26, 127, true },
		{ DROP_SOURCE_ADDRESS, 26, 224, true },
		{ DROP_SOURCE_ADDRESS, 29, 1, true },   /* our own */
		{ DROP_SOURCE_ADDRESS, 29, 255, true }, /* our network's broadcast */
		{ DROP_SOURCE_ADDRESS, 29, 0, true },
		{ DROP_NOT_FOR_US, 33, 9, true },
		{ DROP_UDP_LENGTH, 39, 7, false },
		{ DROP_UDP_LENGTH, 38, 5, false },
		{ DROP_UDP_CHECKSUM, 42, 'x', false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct test_frame f;

		frame_udp(&f, 1000, 7, "hello", 5);
		f.bytes[cases[i].at] = cases[i].to;
		if (cases[i].seal)
			frame_seal_udp(&f);
		expect_drop(&f, cases[i].why);
	}
}

static void
short_frames_are_runts_at_every_length(void **state)
{
	(void)state;
	for (uint16_t len = 0; len < 47; len++) {
		struct test_frame f;

		frame_udp(&f, 1000, 7, "hello", 5);
		f.pkt.len = len;
		assert_int_equal(net_input(&net, 0, &f.pkt, 1, &datagram), 0);
		assert_int_equal(f.pkt.disposition, PKT_DROP);
	}
}

static void
a_sender_without_a_udp_checksum_is_served(void **state)
{
	struct test_frame f;

	(void)state;
	frame_udp(&f, 1000, 7, "hello", 5);
	store_be16(f.bytes + 40, 0);
	assert_int_equal(net_input(&net, 0, &f.pkt, 1, &datagram), 1);
}

static void
with_offload_the_checksum_field_holds_the_pseudo_header_sum(void **state)
{
	struct test_frame f;
	struct reply reply;
	uint32_t sum = 17 + 13;

	(void)state;
	net.config.tx_checksum_offload = true;
	frame_udp(&f, 1000, 7, "hello", 5);
	assert_int_equal(net_input(&net, 0, &f.pkt, 1, &datagram), 1);
	net_echo(&datagram, 1, &reply);
	net_output(&net, &reply, 1);
	assert_true(f.pkt.tx_checksum);
	assert_int_equal(load_be16(f.bytes + 24), 0);
	for (int i = 26; i < 34; i += 2)
		sum += load_be16(f.bytes + i);
	assert_int_equal(load_be16(f.bytes + 40), (sum & 0xffff) + (sum >> 16));
}

static void
the_fast_checksum_agrees_with_the_slow_one(void **state)
{
	uint8_t bytes[256];
	struct prng prng = { 7 };

	(void)state;
	for (int round = 0; round < 2000; round++) {
		uint32_t len = (uint32_t)prng_below(&prng, sizeof bytes + 1);

		for (uint32_t i = 0; i < len; i++)
			bytes[i] = round % 3 ? (uint8_t)prng_next(&prng) : 0xff;
		assert_int_equal(be16(checksum_finish(checksum_add(0, bytes, len))),
		    frame_checksum(0, bytes, len));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_arp_request_for_us_is_answered_in_place, reset),
		cmocka_unit_test_setup(an_echo_request_comes_back_with_its_bytes, reset),
		cmocka_unit_test_setup(a_udp_payload_of_every_length_becomes_a_datagram_and_its_reply_is_sound, reset),
		cmocka_unit_test_setup(a_reply_may_end_in_bytes_that_stand_elsewhere, reset),
		cmocka_unit_test_setup(every_bad_frame_has_its_own_name, reset),
		cmocka_unit_test_setup(short_frames_are_runts_at_every_length, reset),
		cmocka_unit_test_setup(a_sender_without_a_udp_checksum_is_served, reset),
		cmocka_unit_test_setup(with_offload_the_checksum_field_holds_the_pseudo_header_sum, reset),
		cmocka_unit_test_setup(the_fast_checksum_agrees_with_the_slow_one, reset),
	};

	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
