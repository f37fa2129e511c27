/* Unit tests of lib/net's IPv6: addresses, extension headers, UDP, ICMPv6, neighbour discovery, listeners, announcing. */
#include "base/prng.h"
#include "tests/unit/net_rig.h"

enum { L4 = FRAME_IPV6_L4, SPARES = 32 };

static struct net_shared shared;
static struct pkt spare_pkts[SPARES];
static uint8_t spare_bytes[SPARES][FRAME_ROOM];
static struct spares spares;

static const uint8_t our_link_local[16] = { 0xfe, 0x80, [11] = 0xff, 0xfe, 0, 9, 1 };
static const uint8_t group_of_ours[16] = { 0xff, 2, [11] = 1, 0xff, 0, 0, 1 }; /* of fd09::1 */
static const uint8_t all_nodes[16] = { 0xff, 2, [15] = 1 };

static void
spares_reset(void)
{
	for (int i = 0; i < SPARES; i++)
		spare_pkts[i] = (struct pkt){ .data = spare_bytes[i] + PKT_HEADROOM, .room = FRAME_ROOM - PKT_HEADROOM };
	spares = (struct spares){ spare_pkts, SPARES, 0 };
}

/* A node whose addresses are still being tried. */
static int
reset_tentative(void **state)
{
	(void)state;
	shared.duplicates = 0;
	shared.ipv6_usable = false;
	rig_init((struct net_config){ .ipv6_count = 2, .announces = true, .shared = &shared, .port_count = 3,
		.ports = { { 7, SERVICE_ECHO }, { 7946, SERVICE_PEER }, { 11211, SERVICE_MEMCACHED } } });
	spares_reset();
	return 0;
}

static int
reset(void **state)
{
	reset_tentative(state);
	net_timers(&net, 1, &spares);
	net_timers(&net, 1 + NS_PER_SEC, &spares);
	spares_reset();
	return 0;
}

/* --- UDP -------------------------------------------------------------------------------- */

static void
rfc_8200_a_udp_payload_of_every_length_becomes_a_datagram_and_its_reply_is_sound(void **state)
{
	uint8_t payload[1452];
	struct prng prng = { 42 };
	struct test_frame f;

	(void)state;
	for (uint16_t len = 0; len <= sizeof payload; len++) {
		struct reply reply;

		for (int i = 0; i < len; i++)
			payload[i] = (uint8_t)prng_next(&prng);
		frame_udp6(&f, 1000, 7, payload, len);
		assert_true(input(&f));
		assert_int_equal(datagram.payload_len, len);
		assert_int_equal(datagram.peer.port, 1000);
		assert_int_equal(datagram.peer.local, 2);
		assert_memory_equal(datagram.peer.ip, frame_peer_ip6, 16);
		assert_ptr_equal(datagram.payload, f.pkt.data + PKT_UDP_PAYLOAD_OFFSET);
		assert_memory_equal(datagram.payload, payload, len);
		assert_int_equal(net_echo(&datagram, 1, &reply), 1);
		net_output(&net, &reply, 1);
		assert_int_equal(f.pkt.disposition, PKT_SEND);
		assert_ptr_equal(f.pkt.data, f.bytes);
		assert_int_equal(f.pkt.len, L4 + 8 + len);
		assert_int_equal(f.pkt.room, FRAME_ROOM);
		assert_memory_equal(f.bytes, frame_peer_mac, 6);
		assert_memory_equal(f.bytes + 6, frame_our_mac, 6);
		assert_memory_equal(f.bytes + 22, frame_our_ip6, 16);
		assert_memory_equal(f.bytes + 38, frame_peer_ip6, 16);
		assert_int_equal(load_be16(f.bytes + L4), 7);
		assert_int_not_equal(load_be16(f.bytes + L4 + 6), 0);
		assert_int_equal(frame_sum_ipv6(f.bytes + 14, f.bytes + L4, (uint16_t)(8 + len), 17), 0);
		assert_memory_equal(f.bytes + L4 + 8, payload, len);
	}
}

static void
a_fresh_packet_has_room_for_the_headers_of_any_peer(void **state)
{
	struct endpoint peer = { .port = 1000, .local_port = 7, .local = 1 };
	struct reply reply = { .pkt = &spare_pkts[0], .payload_len = 5, .peer = &peer };

	(void)state;
	net.config.vlan = 4094;
	memcpy(peer.ip, frame_peer_ip6, 16);
	memcpy(peer.mac, frame_peer_mac, 6);
	memcpy(spare_pkts[0].data + PKT_UDP_PAYLOAD_OFFSET, "hello", 5);
	net_output(&net, &reply, 1);
	assert_ptr_equal(spare_pkts[0].data, spare_bytes[0]);
	assert_int_equal(spare_pkts[0].len, 18 + 40 + 8 + 5);
	assert_memory_equal(spare_bytes[0] + 18 + 8, our_link_local, 16); /* the address that was asked */
	assert_int_equal(frame_sum_ipv6(spare_bytes[0] + 18, spare_bytes[0] + 58, 13, 17), 0);
	assert_memory_equal(spare_bytes[0] + 66, "hello", 5);
}

static void
a_reply_too_long_for_its_peers_family_is_dropped_by_name(void **state)
{
	struct endpoint peer = { .local = 1 };
	struct reply reply = { .pkt = &spare_pkts[0], .payload_len = 1453, .peer = &peer };

	(void)state;
	net_output(&net, &reply, 1);
	assert_int_equal(spare_pkts[0].disposition, PKT_DROP);
	assert_int_equal(spare_pkts[0].drop, DROP_TX_LARGE);
}

static void
with_offload_the_packet_says_where_its_headers_end(void **state)
{
	struct test_frame f;
	struct reply reply;
	uint32_t sum = 17 + 13;

	(void)state;
	net.config.tx_checksum_offload = true;
	frame_udp6(&f, 1000, 7, "hello", 5);
	assert_true(input(&f));
	net_echo(&datagram, 1, &reply);
	net_output(&net, &reply, 1);
	assert_true(f.pkt.tx_checksum && f.pkt.ipv6);
	assert_int_equal(f.pkt.l2_len, 14);
	assert_int_equal(f.pkt.l3_len, 40);
	for (int i = 22; i < 54; i += 2)
		sum += load_be16(f.bytes + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	assert_int_equal(load_be16(f.bytes + L4 + 6), sum);
}

static void
rfc_8200_8_1_udp_without_a_checksum_is_dropped(void **state)
{
	struct test_frame f;

	(void)state;
	frame_udp6(&f, 1000, 7, "hello", 5);
	store_be16(f.bytes + L4 + 6, 0);
	expect_drop(&f, DROP_UDP_CHECKSUM);
	frame_udp6(&f, 1000, 7, "hello", 5);
	f.bytes[L4 + 8] = 'j';
	expect_drop(&f, DROP_UDP_CHECKSUM);
	net.config.verify_checksums = false; /* a NIC that checks sums need not know this rule */
	frame_udp6(&f, 1000, 7, "hello", 5);
	store_be16(f.bytes + L4 + 6, 0);
	expect_drop(&f, DROP_UDP_CHECKSUM);
}

static void
rfc_4443_3_1_who_sends_to_a_port_without_service_is_told(void **state)
{
	struct test_frame f, asked;

	(void)state;
	frame_udp6(&f, 1000, 9, "hello", 5);
	asked = f;
	assert_false(input(&f));
	assert_int_equal(f.pkt.disposition, PKT_SEND);
	assert_int_equal(f.pkt.len, L4 + 8 + 53);
	assert_memory_equal(f.bytes + 22, frame_our_ip6, 16);
	assert_memory_equal(f.bytes + 38, frame_peer_ip6, 16);
	assert_int_equal(f.bytes[L4], 1);
	assert_int_equal(f.bytes[L4 + 1], 4);
	assert_int_equal(frame_sum_ipv6(f.bytes + 14, f.bytes + L4, 61, 58), 0);
	assert_memory_equal(f.bytes + L4 + 8, asked.bytes + 14, 53);
	frame_udp6(&f, 1000, 7946, "hello", 5); /* other nodes have IPv4 addresses */
	assert_false(input(&f));
	assert_int_equal(drop_read(&counters, DROP_UDP_PORT), 2);
}

static void
rfc_4443_2_4_an_error_fits_the_smallest_mtu(void **state)
{
	uint8_t payload[1452] = { 0 };
	struct test_frame f;

	(void)state;
	frame_udp6(&f, 1000, 9, payload, sizeof payload);
	assert_false(input(&f));
	assert_int_equal(f.pkt.len, 14 + 1280);
	assert_int_equal(frame_sum_ipv6(f.bytes + 14, f.bytes + L4, 1240, 58), 0);
}

/* --- headers and addresses -------------------------------------------------------------- */

static void
every_bad_frame_has_its_own_name(void **state)
{
	static const struct {
		enum drop why;
		uint16_t at;
		uint8_t to;
	} cases[] = {
		{ DROP_NOT_FOR_US, 5, 7 },           /* destination MAC */
		{ DROP_IPV6_HEADER, 14, 0x40 },      /* version 4 */
		{ DROP_IPV6_HEADER, 18, 1 },         /* payload length over the frame */
		{ DROP_UDP_LENGTH, 19, 7 },
		{ DROP_NOT_FOR_US, 53, 9 },          /* destination */
		{ DROP_SOURCE_ADDRESS, 22, 0xff },   /* from a group */
		{ DROP_SOURCE_ADDRESS, 37, 1 },      /* our own */
		{ DROP_IP_PROTOCOL, 20, 6 },
		{ DROP_IP_PROTOCOL, 20, 59 },        /* no next header */
		{ DROP_IP_PROTOCOL, 20, 50 },        /* ESP */
		{ DROP_IPV6_EXTENSION, 20, 43 },     /* RFC 5095: routing */
	};
	struct test_frame f;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		frame_udp6(&f, 1000, 7, "hello", 5);
		f.bytes[cases[i].at] = cases[i].to;
		expect_drop(&f, cases[i].why);
	}
	net.config.ipv6_count = 0;
	frame_udp6(&f, 1000, 7, "hello", 5);
	expect_drop(&f, DROP_ETHERTYPE);
}

static void
rfc_4291_2_5_addresses_that_are_no_sources(void **state)
{
	static const uint8_t none[16] = { 0 }, loopback[16] = { [15] = 1 }, mapped[16] = { [10] = 0xff, 0xff, 10, 9, 0, 2 };
	static const uint8_t *const bad[] = { none, loopback, mapped };
	struct test_frame f;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		frame_udp6(&f, 1000, 7, "hello", 5);
		memcpy(f.bytes + 22, bad[i], 16);
		frame_seal_ipv6(&f, L4, 13, 17);
		expect_drop(&f, DROP_SOURCE_ADDRESS);
	}
}

static void
short_frames_are_dropped_at_every_length(void **state)
{
	struct test_frame f;

	(void)state;
	for (uint16_t len = 0; len < L4 + 13; len++) {
		frame_udp6(&f, 1000, 7, "hello", 5);
		f.pkt.len = len;
		assert_false(input(&f));
		assert_int_equal(f.pkt.disposition, PKT_DROP);
	}
}

static void
what_is_sent_to_a_group_is_never_answered(void **state)
{
	struct test_frame f;

	(void)state;
	frame_udp6(&f, 1000, 7, "hello", 5);
	memcpy(f.bytes + 38, all_nodes, 16);
	memcpy(f.bytes, (const uint8_t[6]){ 0x33, 0x33, 0, 0, 0, 1 }, 6);
	frame_seal_ipv6(&f, L4, 13, 17);
	expect_drop(&f, DROP_NOT_FOR_US);
	frame_ipv6(&f, 58, 8); /* ping of all nodes */
	memcpy(f.bytes + 38, all_nodes, 16);
	f.bytes[L4] = 128;
	frame_seal_ipv6(&f, L4, 8, 58);
	expect_drop(&f, DROP_ICMP_TYPE);
	frame_udp6(&f, 1000, 7, "hello", 5); /* to us, but in a group's frame */
	memcpy(f.bytes, (const uint8_t[6]){ 0x33, 0x33, 0xff, 0, 0, 1 }, 6);
	expect_drop(&f, DROP_NOT_FOR_US);
}

/* --- extension headers ------------------------------------------------------------------ */

/* Puts a header of options of `len` bytes before what is behind the IPv6 header. */
static void
extend(struct test_frame *f, uint8_t kind, const uint8_t *options, uint8_t len)
{
	uint8_t bytes[64] = { f->bytes[20], (uint8_t)((len + 2) / 8 - 1) };

	memcpy(bytes + 2, options, len);
	f->bytes[20] = kind;
	frame_insert(f, L4, bytes, (uint16_t)(len + 2));
	store_be16(f->bytes + 18, (uint16_t)(load_be16(f->bytes + 18) + len + 2));
}

static void
rfc_8200_4_harmless_options_are_skipped_and_the_reply_stands_where_replies_stand(void **state)
{
	static const uint8_t pad[6] = { 1, 4 }, ones[6] = { 0 }, unknown[14] = { 0x1e, 12 }, alert[6] = { 5, 2, 0, 0, 1, 0 };
	struct test_frame f;
	struct reply reply;

	(void)state;
	frame_udp6(&f, 1000, 7, "hello", 5);
	extend(&f, 60, unknown, 14);
	extend(&f, 60, ones, 6);
	extend(&f, 60, pad, 6);
	extend(&f, 0, alert, 6);
	assert_true(input(&f));
	assert_ptr_equal(datagram.payload, f.pkt.data + PKT_UDP_PAYLOAD_OFFSET);
	assert_memory_equal(datagram.payload, "hello", 5);
	assert_memory_equal(datagram.peer.mac, frame_peer_mac, 6);
	net_echo(&datagram, 1, &reply);
	net_output(&net, &reply, 1);
	assert_int_equal(f.pkt.len, L4 + 13);
	assert_int_equal(f.pkt.data[20], 17);
	assert_int_equal(frame_sum_ipv6(f.pkt.data + 14, f.pkt.data + L4, 13, 17), 0);
}

static void
rfc_8200_4_2_options_that_forbid_to_go_on_are_dropped(void **state)
{
	static const uint8_t actions[] = { 0x40, 0x80, 0xc0, 0xc2 /* jumbo payload */ };
	struct test_frame f;

	(void)state;
	for (size_t i = 0; i < sizeof actions; i++) {
		frame_udp6(&f, 1000, 7, "hello", 5);
		extend(&f, 60, (const uint8_t[6]){ actions[i], 4 }, 6);
		expect_drop(&f, DROP_IPV6_EXTENSION);
	}
	frame_udp6(&f, 1000, 7, "hello", 5);
	extend(&f, 60, (const uint8_t[6]){ 1, 5 }, 6); /* beyond its header */
	expect_drop(&f, DROP_IPV6_EXTENSION);
	frame_udp6(&f, 1000, 7, "hello", 5);
	extend(&f, 60, (const uint8_t[6]){ 0, 0, 0, 0, 0, 1 }, 6); /* no length */
	expect_drop(&f, DROP_IPV6_EXTENSION);
}

static void
rfc_8200_4_1_hop_by_hop_options_stand_first_and_headers_have_an_end(void **state)
{
	static const uint8_t pad[6] = { 1, 4 };
	struct test_frame f;

	(void)state;
	frame_udp6(&f, 1000, 7, "hello", 5);
	extend(&f, 0, pad, 6);
	extend(&f, 60, pad, 6);
	expect_drop(&f, DROP_IPV6_EXTENSION);
	frame_udp6(&f, 1000, 7, "hello", 5);
	for (int i = 0; i < 9; i++)
		extend(&f, 60, pad, 6);
	expect_drop(&f, DROP_IPV6_EXTENSION);
	frame_udp6(&f, 1000, 7, "hello", 5);
	extend(&f, 60, pad, 6);
	f.bytes[L4 + 1] = 200; /* longer than the packet */
	expect_drop(&f, DROP_IPV6_HEADER);
}

/* --- ICMPv6 ----------------------------------------------------------------------------- */

static void
rfc_4443_4_1_an_echo_request_comes_back_with_its_bytes(void **state)
{
	struct test_frame f;

	(void)state;
	frame_ipv6(&f, 58, 64);
	f.bytes[L4] = 128;
	for (int i = 8; i < 64; i++)
		f.bytes[L4 + i] = (uint8_t)i;
	frame_seal_ipv6(&f, L4, 64, 58);
	assert_false(input(&f));
	assert_int_equal(f.pkt.disposition, PKT_SEND);
	assert_int_equal(f.bytes[L4], 129);
	assert_memory_equal(f.bytes, frame_peer_mac, 6);
	assert_memory_equal(f.bytes + 22, frame_our_ip6, 16);
	assert_memory_equal(f.bytes + 38, frame_peer_ip6, 16);
	assert_int_equal(frame_sum_ipv6(f.bytes + 14, f.bytes + L4, 64, 58), 0);
	assert_int_equal(f.bytes[L4 + 63], 63);
	frame_ipv6(&f, 58, 8);
	f.bytes[L4] = 128;
	expect_drop(&f, DROP_ICMP_CHECKSUM);
	frame_ipv6(&f, 58, 4);
	expect_drop(&f, DROP_RUNT);
	frame_ipv6(&f, 58, 8);
	f.bytes[L4] = 134; /* a router's advertisement */
	frame_seal_ipv6(&f, L4, 8, 58);
	expect_drop(&f, DROP_ICMP_TYPE);
}

static void
rfc_4443_3_2_packet_too_big_names_its_connection_and_the_mtu(void **state)
{
	struct test_frame f;
	uint8_t *icmp = f.bytes + L4, *ip = icmp + 8;

	(void)state;
	frame_ipv6(&f, 58, 8 + 40 + 8);
	icmp[0] = 2;
	store_be32(icmp + 4, 1280);
	ip[0] = 0x60;
	ip[6] = 6;
	memcpy(ip + 8, frame_our_ip6, 16);
	memcpy(ip + 24, frame_peer_ip6, 16);
	store_be16(ip + 40, 6379);
	store_be16(ip + 42, 40000);
	store_be32(ip + 44, 0x01020304);
	frame_seal_ipv6(&f, L4, 56, 58);
	assert_false(input(&f));
	assert_int_equal(f.pkt.disposition, PKT_DONE);
	assert_int_equal(net.error_count, 1);
	assert_int_equal(net.errors[0].reason, ICMP_TOO_BIG);
	assert_int_equal(net.errors[0].mtu, 1280);
	assert_int_equal(net.errors[0].local, 2);
	assert_memory_equal(net.errors[0].peer, frame_peer_ip6, 16);
	assert_int_equal(net.errors[0].peer_port, 40000);
	assert_int_equal(net.errors[0].seq, 0x01020304);
	f.pkt.disposition = PKT_PENDING;
	ip[8] = 0xfe; /* about a packet that is not ours */
	frame_seal_ipv6(&f, L4, 56, 58);
	expect_drop(&f, DROP_ICMP_TYPE);
}

/* --- neighbour discovery ---------------------------------------------------------------- */

/* Whoever is on the link can send them: a node has the addresses that it was given, and answers by the way it was asked. */
static void
rfc_6104_what_routers_say_of_themselves_changes_nothing(void **state)
{
	/* A router advertisement with an MTU and a prefix to make addresses of, and a redirect. */
	static const uint8_t advertisement[] = { 134, 0, 0, 0, 64, 0, 7, 8, [16] = 5, 1, [20] = 0, 0, 5, 0, [24] = 3, 4, 64, 0xc0,
		[40] = 0x20, 1, 0xd, 0xb8, [55] = 0 };
	static const uint8_t redirect[40] = { 137, [8] = 0xfe, 0x80, [23] = 9, [24] = 0x20, 1, [39] = 7 };
	const uint8_t *const said[] = { advertisement, redirect };
	const uint16_t len[] = { sizeof advertisement, sizeof redirect };
	struct net_config before = net.config;
	struct test_frame f;

	(void)state;
	for (uint64_t s = 2; s < 20; s++)
		net_timers(&net, s * NS_PER_SEC, &spares); /* what a start has to say is said */
	spares_reset();
	for (uint32_t i = 0; i < 4; i++) {
		frame_ipv6(&f, 58, len[i / 2]);
		f.bytes[21] = 255;
		if (i % 2) { /* to all nodes, as an advertisement is that nobody asked for */
			memcpy(f.bytes, (const uint8_t[6]){ 0x33, 0x33, 0, 0, 0, 1 }, 6);
			memcpy(f.bytes + 38, all_nodes, 16);
		}
		memcpy(f.bytes + L4, said[i / 2], len[i / 2]);
		frame_seal_ipv6(&f, L4, len[i / 2], 58);
		expect_drop(&f, DROP_ICMP_TYPE);
		net_timers(&net, NS_PER_SEC * (20 + i), &spares);
	}
	assert_memory_equal(&net.config, &before, sizeof before);
	assert_int_equal(spares.used, 0);
}

/* A solicitation or advertisement for target, with the sender's MAC as an option unless nobody sends it. */
static void
nd_frame(struct test_frame *f, uint8_t type, const uint8_t target[16], bool nobody)
{
	uint16_t len = nobody ? 24 : 32;
	uint8_t *nd = f->bytes + L4;

	frame_ipv6(f, 58, len);
	memcpy(f->bytes, (const uint8_t[6]){ 0x33, 0x33, 0xff, target[13], target[14], target[15] }, 6);
	f->bytes[21] = 255;
	memcpy(f->bytes + 38, group_of_ours, 13);
	memcpy(f->bytes + 51, target + 13, 3);
	if (nobody)
		memset(f->bytes + 22, 0, 16);
	nd[0] = type;
	memcpy(nd + 8, target, 16);
	if (!nobody) {
		nd[24] = type == 135 ? 1 : 2;
		nd[25] = 1;
		memcpy(nd + 26, frame_peer_mac, 6);
	}
	frame_seal_ipv6(f, L4, len, 58);
}

static void
rfc_4861_7_2_4_a_solicitation_is_answered_with_our_mac(void **state)
{
	struct test_frame f;
	const uint8_t *nd = f.bytes + L4;

	(void)state;
	nd_frame(&f, 135, frame_our_ip6, false);
	assert_false(input(&f));
	assert_int_equal(f.pkt.disposition, PKT_SEND);
	assert_int_equal(f.pkt.len, L4 + 32);
	assert_memory_equal(f.bytes, frame_peer_mac, 6);
	assert_memory_equal(f.bytes + 6, frame_our_mac, 6);
	assert_int_equal(f.bytes[21], 255);
	assert_memory_equal(f.bytes + 22, frame_our_ip6, 16);
	assert_memory_equal(f.bytes + 38, frame_peer_ip6, 16);
	assert_int_equal(nd[0], 136);
	assert_int_equal(nd[4], 0x60); /* solicited, override */
	assert_memory_equal(nd + 8, frame_our_ip6, 16);
	assert_int_equal(nd[24], 2);
	assert_int_equal(nd[25], 1);
	assert_memory_equal(nd + 26, frame_our_mac, 6);
	assert_int_equal(frame_sum_ipv6(f.bytes + 14, nd, 32, 58), 0);
	nd_frame(&f, 135, our_link_local, false);
	assert_false(input(&f));
	assert_int_equal(f.pkt.disposition, PKT_SEND);
	assert_memory_equal(f.bytes + 22, our_link_local, 16);
}

static void
rfc_4861_7_2_4_a_probe_for_our_address_is_answered_to_all_nodes(void **state)
{
	struct test_frame f;

	(void)state;
	nd_frame(&f, 135, frame_our_ip6, true);
	assert_false(input(&f));
	assert_int_equal(f.pkt.disposition, PKT_SEND);
	assert_memory_equal(f.bytes, ((const uint8_t[6]){ 0x33, 0x33, 0, 0, 0, 1 }), 6);
	assert_memory_equal(f.bytes + 38, all_nodes, 16);
	assert_int_equal(f.bytes[L4 + 4], 0x20); /* override, but not solicited */
	assert_int_equal(frame_sum_ipv6(f.bytes + 14, f.bytes + L4, 32, 58), 0);
}

static void
rfc_4861_7_1_messages_that_are_not_valid_are_dropped(void **state)
{
	static const struct {
		uint8_t at, to;
		bool nobody;
	} cases[] = {
		{ 21, 254, false },       /* has passed a router */
		{ L4 + 1, 1, false },     /* code */
		{ L4 + 8, 0xff, false },  /* the target is a group */
		{ L4 + 25, 0, false },    /* an option of length 0 */
		{ L4 + 25, 2, false },    /* beyond the end */
		{ 21, 254, true },
	};
	struct test_frame f;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (uint8_t type = 135; type <= 136; type++) {
			nd_frame(&f, type, frame_our_ip6, cases[i].nobody);
			f.bytes[cases[i].at] = cases[i].to;
			frame_seal_ipv6(&f, L4, cases[i].nobody ? 24 : 32, 58);
			expect_drop(&f, DROP_NEIGHBOUR);
		}
	nd_frame(&f, 135, frame_our_ip6, false);
	memset(f.bytes + 22, 0, 16); /* nobody has no MAC to tell (7.1.1) */
	frame_seal_ipv6(&f, L4, 32, 58);
	expect_drop(&f, DROP_NEIGHBOUR);
	nd_frame(&f, 136, frame_our_ip6, false);
	f.bytes[L4 + 4] = 0x40; /* an answer to a question goes to who asked (7.1.2) */
	frame_seal_ipv6(&f, L4, 32, 58);
	expect_drop(&f, DROP_NEIGHBOUR);
	nd_frame(&f, 135, frame_peer_ip6, false);
	memcpy(f.bytes + 38, all_nodes, 16);
	frame_seal_ipv6(&f, L4, 32, 58);
	expect_drop(&f, DROP_NOT_FOR_US);
}

static void
rfc_4862_5_4_an_address_is_not_used_before_it_is_known_to_be_free(void **state)
{
	struct test_frame f;

	(void)state;
	net_timers(&net, 1, &spares);
	frame_udp6(&f, 1000, 7, "hello", 5);
	expect_drop(&f, DROP_NOT_FOR_US);
	nd_frame(&f, 135, frame_our_ip6, false);
	expect_drop(&f, DROP_NOT_FOR_US);
	net_timers(&net, NS_PER_SEC, &spares);
	frame_udp6(&f, 1000, 7, "hello", 5);
	expect_drop(&f, DROP_NOT_FOR_US);
	net_timers(&net, NS_PER_SEC + 1, &spares);
	frame_udp6(&f, 1000, 7, "hello", 5);
	assert_true(input(&f));
}

static void
rfc_4862_5_4_3_a_probe_of_somebody_else_takes_the_address_from_all_workers(void **state)
{
	struct test_frame f;

	(void)state;
	net_timers(&net, 1, &spares);
	nd_frame(&f, 135, frame_our_ip6, true);
	assert_false(input(&f));
	assert_int_equal(f.pkt.disposition, PKT_DONE);
	assert_int_equal(shared.duplicates, 2);
	assert_int_equal(counter_read(&counters, COUNTER_ADDRESS_CONFLICTS), 1);
	net_timers(&net, 1 + NS_PER_SEC, &spares);
	frame_udp6(&f, 1000, 7, "hello", 5);
	expect_drop(&f, DROP_NOT_FOR_US);
	nd_frame(&f, 135, frame_our_ip6, false);
	expect_drop(&f, DROP_NOT_FOR_US);
	frame_udp6(&f, 1000, 7, "hello", 5); /* whose it is may speak with us */
	memcpy(f.bytes + 22, frame_our_ip6, 16);
	memcpy(f.bytes + 38, our_link_local, 16);
	frame_seal_ipv6(&f, L4, 13, 17);
	assert_true(input(&f));
	nd_frame(&f, 135, our_link_local, false); /* the other one is free */
	assert_false(input(&f));
	assert_int_equal(f.pkt.disposition, PKT_SEND);
}

static void
rfc_4862_5_4_4_an_advertisement_of_somebody_else_does_too(void **state)
{
	struct test_frame f;

	(void)state;
	net_timers(&net, 1, &spares);
	nd_frame(&f, 136, frame_our_ip6, false);
	memcpy(f.bytes + 22, frame_our_ip6, 16); /* as Linux sends it: from the address itself */
	frame_seal_ipv6(&f, L4, 32, 58);
	assert_false(input(&f));
	assert_int_equal(shared.duplicates, 2);
	reset(state);
	frame_ipv6(&f, 58, 8); /* an echo request from our own address is still none */
	memcpy(f.bytes + 22, frame_our_ip6, 16);
	f.bytes[L4] = 128;
	frame_seal_ipv6(&f, L4, 8, 58);
	expect_drop(&f, DROP_SOURCE_ADDRESS);
	nd_frame(&f, 136, frame_our_ip6, false); /* later it is only counted: we were first */
	assert_false(input(&f));
	assert_int_equal(shared.duplicates, 0);
	assert_int_equal(counter_read(&counters, COUNTER_ADDRESS_CONFLICTS), 1);
}

static void
rfc_4862_5_4_3_our_own_probe_come_back_is_no_conflict(void **state)
{
	struct test_frame f;

	(void)state;
	net_timers(&net, 1, &spares);
	nd_frame(&f, 135, frame_our_ip6, true);
	memcpy(f.bytes + 6, frame_our_mac, 6);
	expect_drop(&f, DROP_NOT_FOR_US);
	assert_int_equal(shared.duplicates, 0);
}

/* --- announcing ------------------------------------------------------------------------- */

static uint16_t
type_of(uint32_t i)
{
	return load_be16(spare_pkts[i].data + 12);
}

/* Whether packet i is sound ICMPv6 of a type; `l4` is where it starts. */
static bool
is_icmp6(uint32_t i, uint16_t l4, uint8_t type)
{
	const uint8_t *frame = spare_pkts[i].data;

	assert_int_equal(spare_pkts[i].disposition, PKT_SEND);
	return type_of(i) == 0x86dd && frame[l4] == type &&
	    frame_sum_ipv6(frame + 14, frame + l4, (uint16_t)(spare_pkts[i].len - l4), 58) == 0;
}

static void
rfc_4862_5_4_2_a_start_is_told_in_four_steps(void **state)
{
	static const uint8_t none[16] = { 0 };

	(void)state;
	net_timers(&net, 1, &spares); /* ARP, report, a probe for each address */
	assert_int_equal(spares.used, 4);
	assert_int_equal(type_of(0), 0x0806);
	assert_memory_equal(spare_pkts[0].data, "\xff\xff\xff\xff\xff\xff\2\0\0\0\11\1\10\6\0\1\10\0\6\4\0\1\2\0\0\0\11\1"
	    "\12\11\0\1\0\0\0\0\0\0\12\11\0\1", 42);
	assert_true(is_icmp6(1, L4 + 8, 143));
	assert_true(is_icmp6(2, L4, 135) && is_icmp6(3, L4, 135));
	for (uint32_t i = 1; i < 4; i++)
		assert_memory_equal(spare_pkts[i].data + 22, none, 16);
	assert_int_equal(spare_pkts[3].data[21], 255);
	assert_memory_equal(spare_pkts[3].data, ((const uint8_t[6]){ 0x33, 0x33, 0xff, 0, 0, 1 }), 6);
	assert_memory_equal(spare_pkts[3].data + 38, group_of_ours, 16);
	assert_memory_equal(spare_pkts[3].data + L4 + 8, frame_our_ip6, 16);
	spares_reset();
	net_timers(&net, NS_PER_SEC, &spares);
	assert_int_equal(spares.used, 0);
	net_timers(&net, 1 + NS_PER_SEC, &spares); /* ARP, report, advertisements */
	assert_int_equal(spares.used, 4);
	assert_true(is_icmp6(1, L4 + 8, 143) && is_icmp6(2, L4, 136) && is_icmp6(3, L4, 136));
	assert_memory_equal(spare_pkts[1].data + 22, our_link_local, 16);
	assert_memory_equal(spare_pkts[3].data + 22, frame_our_ip6, 16);
	assert_memory_equal(spare_pkts[3].data + 38, all_nodes, 16);
	assert_int_equal(spare_pkts[3].data[L4 + 4], 0x20);
	spares_reset();
	net_timers(&net, 1 + 2 * NS_PER_SEC, &spares);
	assert_int_equal(spares.used, 3);
	spares_reset();
	net_timers(&net, 1 + 3 * NS_PER_SEC, &spares);
	assert_int_equal(spares.used, 2);
	spares_reset();
	net_timers(&net, 1000 * NS_PER_SEC, &spares);
	assert_int_equal(spares.used, 0);
	assert_int_equal(counter_read(&counters, COUNTER_ANNOUNCED), 13);
}

static void
rfc_5227_3_a_node_without_ipv6_announces_itself_three_times(void **state)
{
	(void)state;
	net.config.ipv6_count = 0;
	net.config.vlan = 100;
	for (uint64_t s = 0; s < 10; s++)
		net_timers(&net, 1 + s * NS_PER_SEC, &spares);
	assert_int_equal(spares.used, 3);
	assert_int_equal(type_of(0), 0x8100);
	assert_int_equal(load_be16(spare_pkts[0].data + 14), 100);
	assert_int_equal(load_be16(spare_pkts[0].data + 16), 0x0806);
}

static void
a_start_waits_for_packets(void **state)
{
	(void)state;
	spares.size = 0;
	net_timers(&net, 1, &spares);
	spares.size = SPARES;
	net_timers(&net, 5 * NS_PER_SEC, &spares);
	assert_int_equal(spares.used, 4);
}

static void
workers_use_the_addresses_when_the_one_that_announces_found_them_free(void **state)
{
	struct net_config config = net.config;
	static struct net other;
	struct test_frame f;

	(void)state;
	config.announces = false;
	net_init(&other, &config, &counters);
	net_timers(&other, 1, &spares);
	net_timers(&other, 5 * NS_PER_SEC, &spares);
	assert_int_equal(spares.used, 0);
	frame_udp6(&f, 1000, 7, "hello", 5);
	assert_int_equal(net_input(&other, 5 * NS_PER_SEC, &f.pkt, 1, &datagram), 0);
	net_timers(&net, 1, &spares);
	net_timers(&net, 1 + NS_PER_SEC, &spares);
	frame_udp6(&f, 1000, 7, "hello", 5);
	assert_int_equal(net_input(&other, 5 * NS_PER_SEC, &f.pkt, 1, &datagram), 1);
}

static void
rfc_3810_5_2_a_report_stands_behind_a_router_alert_and_names_each_group_once(void **state)
{
	const uint8_t *frame = spare_pkts[0].data, *report = frame + L4 + 8;

	(void)state;
	net.config.ipv6_count = 3;
	memcpy(net.config.ipv6[2], frame_our_ip6, 16);
	net.config.ipv6[2][7] = 9; /* another prefix, the same last bits */
	net.report_ns = net.due_ns = 2 * NS_PER_SEC;
	net_timers(&net, 2 * NS_PER_SEC, &spares);
	assert_int_equal(spares.used, 1);
	assert_int_equal(frame[20], 0);
	assert_int_equal(frame[21], 1);
	assert_memory_equal(frame + L4, ((const uint8_t[8]){ 58, 0, 5, 2, 0, 0, 1, 0 }), 8);
	assert_memory_equal(frame, ((const uint8_t[6]){ 0x33, 0x33, 0, 0, 0, 0x16 }), 6);
	assert_int_equal(frame[53], 0x16);
	assert_true(is_icmp6(0, L4 + 8, 143));
	assert_int_equal(load_be16(report + 6), 2);
	assert_int_equal(report[8], 2); /* what is, not what became */
	assert_memory_equal(report + 12, ((const uint8_t[16]){ 0xff, 2, [11] = 1, 0xff, 0, 9, 1 }), 16);
	assert_memory_equal(report + 32, group_of_ours, 16);
	assert_int_equal(spare_pkts[0].len, L4 + 8 + 8 + 2 * 20);
}

static void
query_frame(struct test_frame *f, uint16_t delay_ms, const uint8_t *group)
{
	frame_ipv6(f, 58, 28);
	memcpy(f->bytes, (const uint8_t[6]){ 0x33, 0x33, 0, 0, 0, 1 }, 6);
	f->bytes[21] = 1;
	f->bytes[22] = 0xfe;
	f->bytes[23] = 0x80;
	memcpy(f->bytes + 38, all_nodes, 16);
	f->bytes[L4] = 130;
	store_be16(f->bytes + L4 + 4, delay_ms);
	if (group)
		memcpy(f->bytes + L4 + 8, group, 16);
	frame_seal_ipv6(f, L4, 28, 58);
}

static void
rfc_3810_6_2_a_query_is_answered_within_its_delay(void **state)
{
	struct test_frame f;

	(void)state;
	net.step = 4;
	net.due_ns = UINT64_MAX;
	query_frame(&f, 1000, NULL);
	extend(&f, 0, (const uint8_t[6]){ 5, 2, 0, 0, 1, 0 }, 6);
	assert_false(input(&f));
	assert_int_equal(f.pkt.disposition, PKT_DONE);
	net_timers(&net, 2 * NS_PER_SEC, &spares);
	assert_int_equal(spares.used, 0);
	net_timers(&net, 3 * NS_PER_SEC, &spares);
	assert_int_equal(spares.used, 1);
	assert_true(is_icmp6(0, L4 + 8, 143));
	net_timers(&net, 9 * NS_PER_SEC, &spares);
	assert_int_equal(spares.used, 1);
	query_frame(&f, 0, group_of_ours);
	assert_false(input(&f));
	net_timers(&net, 9 * NS_PER_SEC, &spares);
	assert_int_equal(spares.used, 2);
	query_frame(&f, 0, frame_peer_ip6);
	expect_drop(&f, DROP_NOT_FOR_US);
	query_frame(&f, 0, NULL);
	f.bytes[21] = 2; /* from beyond the link */
	expect_drop(&f, DROP_NEIGHBOUR);
	query_frame(&f, 0, NULL);
	f.bytes[22] = 0xfd; /* not from a link-local address */
	frame_seal_ipv6(&f, L4, 28, 58);
	expect_drop(&f, DROP_NEIGHBOUR);
}

static void
rfc_4291_appendix_a_a_link_local_address_is_made_of_the_mac(void **state)
{
	uint8_t ip[16];

	(void)state;
	net_link_local((const uint8_t[6]){ 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde }, ip);
	assert_memory_equal(ip, ((const uint8_t[16]){ 0xfe, 0x80, [8] = 0x36, 0x56, 0x78, 0xff, 0xfe, 0x9a, 0xbc, 0xde }), 16);
	net_address(&net, 2, ip);
	assert_memory_equal(ip, frame_our_ip6, 16);
	net_address(&net, ENDPOINT_IPV4, ip);
	assert_true(endpoint_is_mapped(ip));
	assert_memory_equal(ip + 12, frame_our_ip, 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(rfc_8200_a_udp_payload_of_every_length_becomes_a_datagram_and_its_reply_is_sound, reset),
		cmocka_unit_test_setup(a_fresh_packet_has_room_for_the_headers_of_any_peer, reset),
		cmocka_unit_test_setup(a_reply_too_long_for_its_peers_family_is_dropped_by_name, reset),
		cmocka_unit_test_setup(with_offload_the_packet_says_where_its_headers_end, reset),
		cmocka_unit_test_setup(rfc_8200_8_1_udp_without_a_checksum_is_dropped, reset),
		cmocka_unit_test_setup(rfc_4443_3_1_who_sends_to_a_port_without_service_is_told, reset),
		cmocka_unit_test_setup(rfc_4443_2_4_an_error_fits_the_smallest_mtu, reset),
		cmocka_unit_test_setup(every_bad_frame_has_its_own_name, reset),
		cmocka_unit_test_setup(rfc_4291_2_5_addresses_that_are_no_sources, reset),
		cmocka_unit_test_setup(short_frames_are_dropped_at_every_length, reset),
		cmocka_unit_test_setup(what_is_sent_to_a_group_is_never_answered, reset),
		cmocka_unit_test_setup(rfc_8200_4_harmless_options_are_skipped_and_the_reply_stands_where_replies_stand, reset),
		cmocka_unit_test_setup(rfc_8200_4_2_options_that_forbid_to_go_on_are_dropped, reset),
		cmocka_unit_test_setup(rfc_8200_4_1_hop_by_hop_options_stand_first_and_headers_have_an_end, reset),
		cmocka_unit_test_setup(rfc_4443_4_1_an_echo_request_comes_back_with_its_bytes, reset),
		cmocka_unit_test_setup(rfc_4443_3_2_packet_too_big_names_its_connection_and_the_mtu, reset),
		cmocka_unit_test_setup(rfc_6104_what_routers_say_of_themselves_changes_nothing, reset),
		cmocka_unit_test_setup(rfc_4861_7_2_4_a_solicitation_is_answered_with_our_mac, reset),
		cmocka_unit_test_setup(rfc_4861_7_2_4_a_probe_for_our_address_is_answered_to_all_nodes, reset),
		cmocka_unit_test_setup(rfc_4861_7_1_messages_that_are_not_valid_are_dropped, reset),
		cmocka_unit_test_setup(rfc_4862_5_4_an_address_is_not_used_before_it_is_known_to_be_free, reset_tentative),
		cmocka_unit_test_setup(rfc_4862_5_4_3_a_probe_of_somebody_else_takes_the_address_from_all_workers, reset_tentative),
		cmocka_unit_test_setup(rfc_4862_5_4_4_an_advertisement_of_somebody_else_does_too, reset_tentative),
		cmocka_unit_test_setup(rfc_4862_5_4_3_our_own_probe_come_back_is_no_conflict, reset_tentative),
		cmocka_unit_test_setup(rfc_4862_5_4_2_a_start_is_told_in_four_steps, reset_tentative),
		cmocka_unit_test_setup(rfc_5227_3_a_node_without_ipv6_announces_itself_three_times, reset_tentative),
		cmocka_unit_test_setup(a_start_waits_for_packets, reset_tentative),
		cmocka_unit_test_setup(workers_use_the_addresses_when_the_one_that_announces_found_them_free, reset_tentative),
		cmocka_unit_test_setup(rfc_3810_5_2_a_report_stands_behind_a_router_alert_and_names_each_group_once, reset),
		cmocka_unit_test_setup(rfc_3810_6_2_a_query_is_answered_within_its_delay, reset),
		cmocka_unit_test_setup(rfc_4291_appendix_a_a_link_local_address_is_made_of_the_mac, reset),
	};

	return cmocka_run_group_tests_name("net_ipv6", tests, NULL, NULL);
}
