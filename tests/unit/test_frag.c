/* Unit tests of lib/net/frag.h, and of fragments on their way through net_input, of both families. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/prng.h"
#include "net/frag.h"
#include "net/net.h"
#include "tests/unit/frames.h"

static const uint8_t secret[16] = "fragments' test";
static struct frags *frags;
static struct net net;
static struct counters counters;
static struct datagram datagram;
static uint8_t bytes[FRAGS_LEN_MAX];
static struct view whole;
static uint32_t given_up;
static struct pkt spare_pkts[32];
static uint8_t spare_bytes[32][FRAME_ROOM];

static int
setup(void **state)
{
	struct prng prng = { 1 };
	struct net_config config = { .verify_checksums = true, .ipv4_len = 24, .ipv6_count = 1, .announces = true, .port_count = 2,
		.ports = { { 7, SERVICE_ECHO }, { 11211, SERVICE_MEMCACHED } } };
	struct spares spares = { spare_pkts, 32, 0 };

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)prng_next(&prng);
	frags = frags_create(secret);
	memcpy(config.mac, frame_our_mac, 6);
	memcpy(config.ipv4, frame_our_ip, 4);
	memcpy(config.ipv6[0], frame_our_ip6, 16);
	config.frags = frags;
	memset(&counters, 0, sizeof counters);
	net_init(&net, &config, &counters);
	for (int i = 0; i < 32; i++)
		spare_pkts[i] = (struct pkt){ .data = spare_bytes[i] + PKT_HEADROOM, .room = FRAME_ROOM - PKT_HEADROOM };
	net_timers(&net, 1, &spares);
	net_timers(&net, 1 + NS_PER_SEC, &spares);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	frags_check(frags);
	frags_destroy(frags);
	return 0;
}

/* Bytes from offset on, of datagram `id` of a source. */
static enum drop
take(uint64_t now_ns, uint8_t source, uint32_t id, uint16_t offset, uint16_t len, bool more)
{
	struct frag frag = { .source = { 10, source }, .destination = { 10, 1 }, .id = id, .protocol = 17, .more = more,
		.offset = offset, .bytes = view_of(bytes + offset, len) };

	return frags_take(frags, now_ns, &frag, &whole, &given_up);
}

static void
rfc_791_fragments_in_any_order_are_one_datagram(void **state)
{
	static const uint8_t orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	static const uint16_t at[4] = { 0, 1480, 2960, 3001 };

	(void)state;
	for (uint32_t i = 0; i < 6; i++) {
		for (int j = 0; j < 3; j++) {
			uint8_t n = orders[i][j];

			assert_int_equal(take(0, 1, i, at[n], at[n + 1] - at[n], n < 2), DROP_NONE);
			assert_int_equal(whole.data != NULL, j == 2);
		}
		assert_int_equal(whole.len, 3001);
		assert_memory_equal(whole.data, bytes, 3001);
		frags_check(frags);
	}
	assert_int_equal(frags_count(frags), 0);
	frags_release(frags);
}

static void
rfc_5722_fragments_that_overlap_condemn_their_datagram(void **state)
{
	(void)state;
	for (uint32_t id = 0; id < 3; id++) {
		static const uint16_t at[3] = { 8, 96, 40 }, len[3] = { 16, 16, 8 }; /* into its front, its end, its middle */

		assert_int_equal(take(0, 1, id, 16, 88, true), DROP_NONE);
		assert_int_equal(take(0, 1, id, at[id], len[id], true), DROP_FRAGMENT_OVERLAP);
		assert_int_equal(take(0, 1, id, 0, 8, true), DROP_FRAGMENT_OVERLAP); /* what is still to come, too */
		assert_int_equal(take(0, 1, id, 104, 5, false), DROP_FRAGMENT_OVERLAP);
	}
	assert_int_equal(take(FRAGS_TIMEOUT_NS, 1, 0, 0, 8, true), DROP_NONE); /* in time it is forgotten */
	assert_int_equal(given_up, 3);
}

static void
rfc_8200_4_5_a_fragment_that_comes_twice_is_no_harm(void **state)
{
	(void)state;
	assert_int_equal(take(0, 1, 1, 0, 16, true), DROP_NONE);
	assert_int_equal(take(0, 1, 1, 0, 16, true), DROP_NONE);
	assert_null(whole.data);
	assert_int_equal(take(0, 1, 1, 16, 3, false), DROP_NONE);
	assert_int_equal(whole.len, 19);
	assert_int_equal(take(0, 1, 2, 0, 16, true), DROP_NONE);
	bytes[3] ^= 1; /* the same place, other bytes: somebody else's */
	assert_int_equal(take(0, 1, 2, 0, 16, true), DROP_FRAGMENT_OVERLAP);
}

static void
fragments_must_agree_about_the_end(void **state)
{
	(void)state;
	assert_int_equal(take(0, 1, 1, 16, 8, false), DROP_NONE);
	assert_int_equal(take(0, 1, 1, 24, 8, true), DROP_FRAGMENT_OVERLAP);  /* beyond it */
	assert_int_equal(take(0, 1, 2, 16, 8, false), DROP_NONE);
	assert_int_equal(take(0, 1, 2, 32, 8, false), DROP_FRAGMENT_OVERLAP); /* a second end */
	assert_int_equal(take(0, 1, 3, 32, 8, true), DROP_NONE);
	assert_int_equal(take(0, 1, 3, 16, 8, false), DROP_FRAGMENT_OVERLAP); /* an end before what is there */
	assert_int_equal(take(0, 1, 4, 8, 8, true), DROP_NONE);
	assert_int_equal(take(0, 1, 4, 16, 8, false), DROP_NONE);
	assert_int_equal(take(0, 1, 4, 0, 8, true), DROP_NONE);
	assert_int_equal(whole.len, 24);
}

static void
rfc_791_a_fragment_before_the_last_has_a_multiple_of_eight_bytes(void **state)
{
	(void)state;
	assert_int_equal(take(0, 1, 1, 0, 12, true), DROP_FRAGMENT);
	assert_int_equal(take(0, 1, 1, 8, 0, false), DROP_FRAGMENT);
	assert_int_equal(frags_count(frags), 0);
	assert_int_equal(take(0, 1, 2, 8, 8, true), DROP_NONE); /* one such in a datagram condemns it */
	assert_int_equal(take(0, 1, 2, 0, 7, true), DROP_FRAGMENT);
	assert_int_equal(take(0, 1, 2, 0, 8, true), DROP_FRAGMENT_OVERLAP);
}

static void
a_datagram_has_its_bounds(void **state)
{
	struct frag far = { .id = 9, .protocol = 17, .offset = 65528, .bytes = view_of(bytes, 8) };

	(void)state;
	assert_int_equal(frags_take(frags, 0, &far, &whole, &given_up), DROP_FRAGMENT_LIMIT);
	assert_int_equal(take(0, 1, 1, 4440, 1480, false), DROP_NONE);
	for (uint16_t i = 0; i < 3; i++)
		assert_int_equal(take(0, 1, 1, i * 1480, 1480, true), DROP_NONE);
	assert_int_equal(whole.len, FRAGS_LEN_MAX);
	assert_memory_equal(whole.data, bytes, FRAGS_LEN_MAX);
	for (uint16_t i = 0; i < FRAGS_PIECES; i++)
		assert_int_equal(take(0, 1, 2, i * 8, 8, true), DROP_NONE);
	assert_int_equal(take(0, 1, 2, 32, 8, false), DROP_FRAGMENT_LIMIT);
}

static void
rfc_1122_3_3_2_half_a_datagram_is_forgotten_in_time(void **state)
{
	(void)state;
	assert_int_equal(take(0, 1, 1, 0, 8, true), DROP_NONE);
	assert_int_equal(take(FRAGS_TIMEOUT_NS - 1, 1, 2, 0, 8, true), DROP_NONE);
	assert_int_equal(given_up, 0);
	assert_int_equal(take(FRAGS_TIMEOUT_NS, 1, 1, 8, 8, false), DROP_NONE);
	assert_int_equal(given_up, 1);
	assert_null(whole.data); /* its first half is gone */
	assert_int_equal(frags_count(frags), 2);
}

static void
a_source_can_keep_others_out_only_so_far(void **state)
{
	(void)state;
	for (uint32_t id = 0; id < FRAGS_SOURCE_MAX; id++)
		assert_int_equal(take(0, 1, id, 0, 8, true), DROP_NONE);
	assert_int_equal(take(0, 1, FRAGS_SOURCE_MAX, 0, 8, true), DROP_FRAGMENT_LIMIT);
	assert_int_equal(take(0, 2, 0, 0, 8, true), DROP_NONE);
	assert_int_equal(take(0, 1, 0, 8, 8, false), DROP_NONE);
	assert_non_null(whole.data);
	assert_int_equal(take(0, 1, FRAGS_SOURCE_MAX, 0, 8, true), DROP_NONE);
}

/* A flood from many sources: the oldest makes room, so that a datagram whose fragments come together is put together. */
static void
under_a_flood_of_halves_whole_datagrams_come_through(void **state)
{
	uint64_t forgotten = 0;

	(void)state;
	for (uint32_t i = 0; i < 20 * FRAGS_MAX; i++) {
		struct frag frag = { .id = i, .protocol = 17, .more = true, .bytes = view_of(bytes, 8) };

		memcpy(frag.source, &i, sizeof i);
		frags_take(frags, i, &frag, &whole, &given_up);
		forgotten += given_up;
		if (i % 100 == 0) {
			frags_release(frags);
			assert_int_equal(take(i, 7, i, 0, 1480, true), DROP_NONE);
			assert_int_equal(take(i, 7, i, 1480, 20, false), DROP_NONE);
			assert_int_equal(whole.len, 1500);
			assert_true(frags_count(frags) <= FRAGS_MAX);
		}
	}
	assert_true(forgotten > 18 * FRAGS_MAX);
	frags_check(frags);
}

static void
when_all_places_hold_whole_datagrams_fragments_are_dropped(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < FRAGS_MAX; i++) {
		assert_int_equal(take(0, (uint8_t)i, i, 0, 8, true), DROP_NONE);
		assert_int_equal(take(0, (uint8_t)i, i, 8, 1, false), DROP_NONE);
	}
	assert_int_equal(take(0, 1, 5000, 0, 8, true), DROP_FRAGMENT_LIMIT);
	frags_release(frags);
	assert_int_equal(take(0, 1, 5000, 0, 8, true), DROP_NONE);
}

/* Random cuts of random datagrams, mixed, some twice: what comes out is what went in. */
static void
random_cuts_in_random_order_give_the_same_bytes(void **state)
{
	struct prng prng = { getenv("SLIPRING_SEED") ? strtoull(getenv("SLIPRING_SEED"), NULL, 0) : (uint64_t)time(NULL) };
	uint32_t done = 0;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)prng.state);
	for (uint32_t id = 0; id < 3000; id++) {
		uint16_t len = (uint16_t)(1 + prng_below(&prng, FRAGS_LEN_MAX)), at[FRAGS_PIECES + 1] = { 0 };
		uint32_t pieces = 1 + (uint32_t)prng_below(&prng, FRAGS_PIECES), taken = 0;
		bool came[FRAGS_PIECES] = { false };

		for (uint32_t i = 1; i < pieces; i++)
			at[i] = (uint16_t)(at[i - 1] + 8 * (1 + prng_below(&prng, 1 + FRAGS_LEN_MAX / 8 / 8)));
		if (at[pieces - 1] >= len || pieces == 1)
			continue;
		at[pieces] = len;
		for (int tries = 0; tries < 100 && taken < pieces; tries++) {
			uint32_t i = (uint32_t)prng_below(&prng, pieces);

			assert_int_equal(take(id, 1, id, at[i], (uint16_t)(at[i + 1] - at[i]), i + 1 < pieces), DROP_NONE);
			taken += !came[i];
			came[i] = true;
			assert_int_equal(whole.data != NULL, taken == pieces);
		}
		done += taken == pieces;
		if (whole.data) {
			assert_int_equal(whole.len, len);
			assert_memory_equal(whole.data, bytes, len);
		}
		frags_release(frags);
		frags_check(frags);
	}
	assert_true(done > 500);
}

/* --- through net_input ------------------------------------------------------------------ */

static bool
input(struct test_frame *f)
{
	return net_input(&net, 2 * NS_PER_SEC, &f->pkt, 1, &datagram) == 1;
}

/* Fragment [from, from + len) of an IPv4 packet whose layer 4 is l4[0..total). */
static void
fragment4(struct test_frame *f, const uint8_t *l4, uint8_t protocol, uint16_t from, uint16_t len, uint16_t total)
{
	uint8_t *ip = f->bytes + 14;

	frame_ipv4(f, protocol, len);
	store_be16(ip + 4, 77);
	store_be16(ip + 6, (uint16_t)(from / 8 | (from + len < total ? 0x2000 : 0)));
	store_be16(ip + 10, 0);
	store_be16(ip + 10, frame_checksum(0, ip, 20));
	memcpy(f->bytes + 34, l4 + from, len);
}

static void
fragment6(struct test_frame *f, const uint8_t *l4, uint8_t protocol, uint16_t from, uint16_t len, uint16_t total)
{
	frame_ipv6(f, 44, (uint16_t)(8 + len));
	f->bytes[54] = protocol;
	store_be16(f->bytes + 56, (uint16_t)(from | (from + len < total)));
	store_be32(f->bytes + 58, 0xabcd);
	memcpy(f->bytes + 62, l4 + from, len);
}

/* A UDP datagram to a port, as layer 4 of an IP packet of either family. */
static void
udp_l4(uint8_t *l4, uint16_t port, uint16_t payload_len, bool ipv6)
{
	uint16_t len = (uint16_t)(8 + payload_len);
	uint8_t ip[40] = { 0 };
	uint32_t pseudo = 17u + len;

	store_be16(l4, 1000);
	store_be16(l4 + 2, port);
	store_be16(l4 + 4, len);
	store_be16(l4 + 6, 0);
	memcpy(l4 + 8, bytes, payload_len);
	memcpy(ip + 8, frame_peer_ip6, 16);
	memcpy(ip + 24, frame_our_ip6, 16);
	if (!ipv6) {
		memset(ip, 0, sizeof ip);
		memcpy(ip + 8, frame_peer_ip, 4);
		memcpy(ip + 12, frame_our_ip, 4);
	}
	for (int i = 8; i < 40; i += 2)
		pseudo += load_be16(ip + i);
	store_be16(l4 + 6, frame_checksum(pseudo, l4, len));
}

static void
rfc_1122_3_3_2_a_datagram_of_one_frame_is_answered_in_its_last_fragments_packet(void **state)
{
	uint8_t l4[1480];
	struct test_frame f;
	struct reply reply;

	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		uint16_t payload_len = ipv6 ? 1452 : 1472, total = (uint16_t)(payload_len + 8);
		void (*fragment)(struct test_frame *, const uint8_t *, uint8_t, uint16_t, uint16_t, uint16_t) =
		    ipv6 ? fragment6 : fragment4;

		udp_l4(l4, 7, payload_len, ipv6);
		fragment(&f, l4, 17, 1000, (uint16_t)(total - 1000), total); /* the last one first */
		assert_false(input(&f));
		assert_int_equal(f.pkt.disposition, PKT_DONE);
		fragment(&f, l4, 17, 0, 1000, total);
		assert_true(input(&f));
		assert_int_equal(datagram.payload_len, payload_len);
		assert_ptr_equal(datagram.payload, f.pkt.data + PKT_UDP_PAYLOAD_OFFSET);
		assert_memory_equal(datagram.payload, bytes, payload_len);
		assert_int_equal(net_echo(&datagram, 1, &reply), 1);
		net_output(&net, &reply, 1);
		assert_int_equal(f.pkt.disposition, PKT_SEND);
		assert_int_equal(f.pkt.len, 1514);
	}
	assert_int_equal(counter_read(&counters, COUNTER_FRAGMENTS), 4);
	assert_int_equal(counter_read(&counters, COUNTER_REASSEMBLED), 2);
}

static void
a_datagram_longer_than_a_frame_is_for_memcached_alone(void **state)
{
	uint8_t l4[3008];
	struct test_frame f;

	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++)
		for (int echo = 0; echo < 2; echo++) {
			udp_l4(l4, echo ? 7 : 11211, 3000, ipv6);
			for (uint16_t from = 0; from < 2800; from += 1400) {
				(ipv6 ? fragment6 : fragment4)(&f, l4, 17, from, 1400, 3008);
				assert_false(input(&f));
				assert_int_equal(f.pkt.disposition, PKT_DONE);
			}
			(ipv6 ? fragment6 : fragment4)(&f, l4, 17, 2800, 208, 3008);
			if (echo) {
				assert_false(input(&f));
				assert_string_equal(drop_name(f.pkt.drop), drop_name(DROP_UDP_LARGE));
				continue;
			}
			assert_true(input(&f));
			assert_int_equal(f.pkt.disposition, PKT_PENDING);
			assert_int_equal(datagram.payload_len, 3000);
			assert_memory_equal(datagram.payload, bytes, 3000);
			assert_int_equal(datagram.peer.local, ipv6);
			assert_int_equal(datagram.peer.port, 1000);
		}
}

static void
a_datagram_put_together_must_have_the_right_checksum(void **state)
{
	uint8_t l4[1480];
	struct test_frame f;

	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		udp_l4(l4, 7, 1400, ipv6);
		l4[900] ^= 1;
		(ipv6 ? fragment6 : fragment4)(&f, l4, 17, 0, 1000, 1408);
		assert_false(input(&f));
		(ipv6 ? fragment6 : fragment4)(&f, l4, 17, 1000, 408, 1408);
		assert_false(input(&f));
		assert_string_equal(drop_name(f.pkt.drop), drop_name(DROP_UDP_CHECKSUM));
	}
}

static void
rfc_792_an_echo_request_in_fragments_comes_back_whole(void **state)
{
	uint8_t icmp[1400] = { 8 };
	struct test_frame f;

	(void)state;
	memcpy(icmp + 8, bytes, sizeof icmp - 8);
	store_be16(icmp + 2, frame_checksum(0, icmp, sizeof icmp));
	fragment4(&f, icmp, 1, 0, 800, sizeof icmp);
	assert_false(input(&f));
	fragment4(&f, icmp, 1, 800, 600, sizeof icmp);
	assert_false(input(&f));
	assert_int_equal(f.pkt.disposition, PKT_SEND);
	assert_int_equal(f.pkt.len, 34 + 1400);
	assert_int_equal(load_be16(f.bytes + 20), 0);
	assert_int_equal(f.bytes[34], 0);
	assert_memory_equal(f.bytes + 42, bytes, 1392);
	assert_int_equal(frame_checksum(0, f.bytes + 34, 1400), 0);
	for (uint16_t from = 0; from < 2800; from += 1400) { /* one that no frame can carry back */
		fragment4(&f, bytes, 1, from, 1400, 2800);
		assert_false(input(&f));
	}
	assert_string_equal(drop_name(f.pkt.drop), drop_name(DROP_FRAGMENT_LIMIT));
}

static void
rfc_1858_tcp_is_never_put_together(void **state)
{
	struct test_frame f;

	(void)state;
	fragment4(&f, bytes, 6, 0, 800, 1400);
	assert_false(input(&f));
	assert_string_equal(drop_name(f.pkt.drop), drop_name(DROP_FRAGMENT));
	fragment6(&f, bytes, 6, 0, 800, 1400);
	assert_false(input(&f));
	assert_string_equal(drop_name(f.pkt.drop), drop_name(DROP_FRAGMENT));
	assert_int_equal(frags_count(frags), 0);
	net.config.frags = NULL;
	fragment4(&f, bytes, 17, 0, 800, 1400);
	assert_false(input(&f));
	assert_string_equal(drop_name(f.pkt.drop), drop_name(DROP_FRAGMENT));
}

static void
rfc_6946_a_fragment_that_is_all_of_its_datagram_waits_for_nobody(void **state)
{
	uint8_t l4[108];
	struct test_frame f;

	(void)state;
	udp_l4(l4, 7, 100, true);
	fragment6(&f, l4, 17, 0, 50 / 8 * 8, 108); /* half of another with the same number */
	assert_false(input(&f));
	fragment6(&f, l4, 17, 0, 108, 108);
	assert_true(input(&f));
	assert_memory_equal(datagram.payload, bytes, 100);
	assert_int_equal(frags_count(frags), 1);
}

static void
rfc_6980_5_neighbour_discovery_is_not_heard_in_fragments(void **state)
{
	struct test_frame f;

	(void)state;
	fragment6(&f, bytes, 58, 0, 16, 24);
	memcpy(f.bytes, (const uint8_t[6]){ 0x33, 0x33, 0xff, 0, 0, 1 }, 6);
	memcpy(f.bytes + 38, (const uint8_t[16]){ 0xff, 2, [11] = 1, 0xff, 0, 0, 1 }, 16);
	assert_false(input(&f));
	assert_string_equal(drop_name(f.pkt.drop), drop_name(DROP_NOT_FOR_US));
	frame_ipv6(&f, 44, 8 + 24); /* to ourselves, in one fragment */
	f.bytes[21] = 255;
	f.bytes[54] = 58;
	f.bytes[62] = 135;
	memcpy(f.bytes + 70, frame_our_ip6, 16);
	store_be16(f.bytes + 64, frame_sum_ipv6(f.bytes + 14, f.bytes + 62, 24, 58));
	assert_false(input(&f));
	assert_string_equal(drop_name(f.pkt.drop), drop_name(DROP_FRAGMENT));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rfc_791_fragments_in_any_order_are_one_datagram, setup, teardown),
		cmocka_unit_test_setup_teardown(rfc_5722_fragments_that_overlap_condemn_their_datagram, setup, teardown),
		cmocka_unit_test_setup_teardown(rfc_8200_4_5_a_fragment_that_comes_twice_is_no_harm, setup, teardown),
		cmocka_unit_test_setup_teardown(fragments_must_agree_about_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(rfc_791_a_fragment_before_the_last_has_a_multiple_of_eight_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(a_datagram_has_its_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(rfc_1122_3_3_2_half_a_datagram_is_forgotten_in_time, setup, teardown),
		cmocka_unit_test_setup_teardown(a_source_can_keep_others_out_only_so_far, setup, teardown),
		cmocka_unit_test_setup_teardown(under_a_flood_of_halves_whole_datagrams_come_through, setup, teardown),
		cmocka_unit_test_setup_teardown(when_all_places_hold_whole_datagrams_fragments_are_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(random_cuts_in_random_order_give_the_same_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(rfc_1122_3_3_2_a_datagram_of_one_frame_is_answered_in_its_last_fragments_packet, setup, teardown),
		cmocka_unit_test_setup_teardown(a_datagram_longer_than_a_frame_is_for_memcached_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(a_datagram_put_together_must_have_the_right_checksum, setup, teardown),
		cmocka_unit_test_setup_teardown(rfc_792_an_echo_request_in_fragments_comes_back_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(rfc_1858_tcp_is_never_put_together, setup, teardown),
		cmocka_unit_test_setup_teardown(rfc_6946_a_fragment_that_is_all_of_its_datagram_waits_for_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(rfc_6980_5_neighbour_discovery_is_not_heard_in_fragments, setup, teardown),
	};

	return cmocka_run_group_tests_name("frag", tests, NULL, NULL);
}
