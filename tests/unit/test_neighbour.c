/* Unit tests of lib/net/neighbour: asking, learning, forgetting; a rig that counts frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "net/net.h"
#include "net/neighbour.h"
#include "tests/unit/frames.h"
#include "wire/wire.h"

static struct neighbours n;
static uint64_t now_ns;
static const uint8_t n2[4] = { 10, 9, 0, 2 }, n3[4] = { 10, 9, 0, 3 }, far_away[4] = { 192, 168, 7, 7 },
	router[4] = { 10, 9, 0, 254 };
static const uint8_t mac2[6] = { 2, 0, 0, 0, 9, 2 }, mac3[6] = { 2, 0, 0, 0, 9, 3 };

static int
reset(void **state)
{
	struct neighbour_config config = { .mac = { 2, 0, 0, 0, 9, 1 }, .ipv4 = { 10, 9, 0, 1 }, .prefix_len = 24 };

	(void)state;
	now_ns = NS_PER_SEC;
	neighbour_init(&n, &config);
	return 0;
}

static enum neighbour_answer
find(const uint8_t ip[4], uint8_t mac[6])
{
	void *lost;
	enum neighbour_answer answer = neighbour_find(&n, now_ns, ip, mac, &lost);

	assert_null(lost);
	neighbour_check(&n);
	return answer;
}

/* The address that the next question is about, as last octet; 0: no question is due. */
static uint8_t
asked(void)
{
	uint8_t frame[NEIGHBOUR_FRAME_LEN];
	void *given_up;
	bool any = neighbour_ask(&n, now_ns, frame, &given_up);

	neighbour_check(&n);
	if (!any)
		return 0;
	assert_memory_equal(frame, "\xff\xff\xff\xff\xff\xff\2\0\0\0\11\1\10\6\0\1\10\0\6\4\0\1\2\0\0\0\11\1\12\11\0\1\0\0\0\0\0\0", 38);
	return frame[41];
}

static enum neighbour_news
arp(uint16_t operation, const uint8_t ip[4], const uint8_t mac[6], void **held)
{
	struct wire_arp packet = { .hardware = be16(1), .protocol = be16(WIRE_ETHERTYPE_IPV4), .hardware_len = 6,
		.protocol_len = 4, .operation = be16(operation) };
	enum neighbour_news news;
	uint8_t told[4];

	memcpy(packet.sender_mac, mac, 6);
	memcpy(packet.sender_ip, ip, 4);
	memcpy(packet.target_ip, n.config.ipv4, 4);
	news = neighbour_arp(&n, now_ns, (const uint8_t *)&packet, told, held);
	assert_memory_equal(told, ip, 4);
	neighbour_check(&n);
	return news;
}

static void
an_unknown_neighbour_is_asked_for_and_its_frame_leaves_with_the_answer(void **state)
{
	uint8_t mac[6];
	int frame;
	void *held;

	(void)state;
	assert_int_equal(find(n2, mac), NEIGHBOUR_ASKING);
	assert_null(neighbour_hold(&n, n2, &frame));
	assert_int_equal(asked(), 2);
	assert_int_equal(asked(), 0); /* once */
	assert_int_equal(arp(WIRE_ARP_REPLY, n2, mac2, &held), NEIGHBOUR_LEARNT);
	assert_ptr_equal(held, &frame);
	assert_int_equal(find(n2, mac), NEIGHBOUR_FOUND);
	assert_memory_equal(mac, mac2, 6);
	assert_int_equal(neighbour_deadline(&n), UINT64_MAX);
}

static void
the_newest_frame_is_the_one_that_is_held(void **state)
{
	uint8_t mac[6];
	int first, second;
	void *held;

	(void)state;
	find(n2, mac);
	assert_null(neighbour_hold(&n, n2, &first));
	find(n2, mac);
	assert_ptr_equal(neighbour_hold(&n, n2, &second), &first);
	assert_int_equal(asked(), 2);
	arp(WIRE_ARP_REPLY, n2, mac2, &held);
	assert_ptr_equal(held, &second);
}

static void
questions_are_repeated_ever_more_seldom_and_end_when_nobody_wants_to_send(void **state)
{
	uint8_t mac[6], frame_bytes[NEIGHBOUR_FRAME_LEN];
	uint64_t start = now_ns, before = 0, gap = 0;
	int frame, questions = 0;
	void *given_up = NULL;

	(void)state;
	find(n2, mac);
	neighbour_hold(&n, n2, &frame);
	while (neighbour_deadline(&n) != UINT64_MAX) {
		now_ns = neighbour_deadline(&n);
		if (!neighbour_ask(&n, now_ns, frame_bytes, &given_up))
			continue;
		if (questions++ > 1)
			assert_true(now_ns - before >= gap);
		gap = questions > 1 ? now_ns - before : 0;
		assert_true(gap <= NEIGHBOUR_RETRY_MAX_NS);
		before = now_ns;
	}
	assert_ptr_equal(given_up, &frame);
	assert_in_range(questions, 5, 9);
	assert_in_range(now_ns - start, NEIGHBOUR_WANTED_NS, NEIGHBOUR_WANTED_NS + NEIGHBOUR_RETRY_MAX_NS);
	assert_int_equal(find(n2, mac), NEIGHBOUR_ASKING); /* and begin anew when somebody does */
	assert_int_equal(asked(), 2);
}

static void
a_known_neighbour_is_asked_again_when_it_ages_and_forgotten_when_it_is_silent(void **state)
{
	uint8_t mac[6];
	void *held;

	(void)state;
	find(n2, mac);
	asked();
	arp(WIRE_ARP_REPLY, n2, mac2, &held);
	now_ns += NEIGHBOUR_FRESH_NS - 1;
	assert_int_equal(find(n2, mac), NEIGHBOUR_FOUND);
	assert_int_equal(asked(), 0);
	now_ns += 1;
	assert_int_equal(find(n2, mac), NEIGHBOUR_FOUND); /* used while it is asked for */
	assert_int_equal(asked(), 2);
	now_ns += NEIGHBOUR_STALE_NS;
	assert_int_equal(find(n2, mac), NEIGHBOUR_ASKING);
}

static void
a_packet_that_proved_itself_confirms_and_moves_a_neighbour(void **state)
{
	uint8_t mac[6];
	int frame;
	void *held;

	(void)state;
	assert_null(neighbour_confirm(&n, now_ns, n3, mac3)); /* makes the way back known */
	assert_int_equal(find(n3, mac), NEIGHBOUR_FOUND);
	assert_memory_equal(mac, mac3, 6);
	for (int i = 0; i < 10; i++) { /* whoever talks is not asked */
		now_ns += NEIGHBOUR_FRESH_NS - 1;
		neighbour_confirm(&n, now_ns, n3, mac3);
		assert_int_equal(find(n3, mac), NEIGHBOUR_FOUND);
		assert_int_equal(asked(), 0);
	}
	neighbour_confirm(&n, now_ns, n3, mac2); /* another NIC took over */
	find(n3, mac);
	assert_memory_equal(mac, mac2, 6);
	find(n2, mac);
	neighbour_hold(&n, n2, &frame);
	held = neighbour_confirm(&n, now_ns, n2, mac2);
	assert_ptr_equal(held, &frame);
}

static void
an_answer_that_was_not_asked_for_changes_nothing(void **state)
{
	uint8_t mac[6];
	void *held;

	(void)state;
	assert_int_equal(arp(WIRE_ARP_REPLY, n2, mac3, &held), NEIGHBOUR_IGNORED);
	find(n2, mac);
	asked();
	arp(WIRE_ARP_REPLY, n2, mac2, &held);
	assert_int_equal(arp(WIRE_ARP_REPLY, n2, mac3, &held), NEIGHBOUR_IGNORED);
	find(n2, mac);
	assert_memory_equal(mac, mac2, 6);
	/* It may be true, though: so we ask. */
	assert_int_equal(asked(), 2);
	assert_int_equal(arp(WIRE_ARP_REPLY, n2, mac3, &held), NEIGHBOUR_LEARNT);
	find(n2, mac);
	assert_memory_equal(mac, mac3, 6);
}

static void
group_addresses_and_our_own_are_not_learnt(void **state)
{
	static const uint8_t group[6] = { 1, 0, 0x5e, 0, 0, 1 };
	uint8_t mac[6];
	void *held;

	(void)state;
	find(n2, mac);
	asked();
	assert_int_equal(arp(WIRE_ARP_REPLY, n2, group, &held), NEIGHBOUR_IGNORED);
	assert_int_equal(arp(WIRE_ARP_REPLY, n2, n.config.mac, &held), NEIGHBOUR_IGNORED);
	assert_null(neighbour_confirm(&n, now_ns, n2, group));
	assert_int_equal(find(n2, mac), NEIGHBOUR_ASKING);
	assert_int_equal(arp(WIRE_ARP_REQUEST, n.config.ipv4, mac3, &held), NEIGHBOUR_CONFLICT);
	assert_int_equal(arp(WIRE_ARP_REQUEST, n.config.ipv4, n.config.mac, &held), NEIGHBOUR_IGNORED); /* our echo */
}

static void
what_is_far_away_goes_by_the_gateway_or_not_at_all(void **state)
{
	struct neighbour_config config = n.config;
	uint8_t mac[6];
	void *held;

	(void)state;
	assert_int_equal(find(far_away, mac), NEIGHBOUR_NO_WAY);
	config.has_gateway = true;
	memcpy(config.gateway, router, 4);
	neighbour_init(&n, &config);
	assert_int_equal(find(far_away, mac), NEIGHBOUR_ASKING);
	assert_int_equal(asked(), 254);
	arp(WIRE_ARP_REPLY, router, mac3, &held);
	assert_int_equal(find(far_away, mac), NEIGHBOUR_FOUND);
	assert_memory_equal(mac, mac3, 6);
	neighbour_confirm(&n, now_ns, far_away, mac2); /* its packets come from the router */
	find(router, mac);
	assert_memory_equal(mac, mac2, 6);
	assert_int_equal(n.count, 1);
}

static void
what_is_no_host_has_no_way(void **state)
{
	static const uint8_t none[][4] = { { 10, 9, 0, 0 }, { 10, 9, 0, 255 }, { 10, 9, 0, 1 }, { 0, 0, 0, 0 },
		{ 127, 0, 0, 1 }, { 224, 0, 0, 1 }, { 255, 255, 255, 255 } };
	struct neighbour_config config = n.config;
	uint8_t mac[6];

	(void)state;
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
		assert_int_equal(find(none[i], mac), NEIGHBOUR_NO_WAY);
	config.prefix_len = 31; /* RFC 3021: both are hosts */
	neighbour_init(&n, &config);
	assert_int_equal(find(none[0], mac), NEIGHBOUR_ASKING);
}

static void
a_full_table_makes_room_by_what_was_unused_for_longest(void **state)
{
	struct neighbour_config config = n.config;
	uint8_t mac[6], ip[4] = { 10, 9, 0, 0 };
	int frame;
	void *lost;

	(void)state;
	config.prefix_len = 16;
	neighbour_init(&n, &config);
	for (int i = 0; i < NEIGHBOUR_MAX; i++, now_ns++) {
		ip[2] = (uint8_t)(1 + (i >> 8));
		ip[3] = (uint8_t)i;
		assert_int_equal(neighbour_find(&n, now_ns, ip, mac, &lost), NEIGHBOUR_ASKING);
		if (i == 0)
			neighbour_hold(&n, ip, &frame);
	}
	assert_int_equal(n.count, NEIGHBOUR_MAX);
	ip[2] = 77;
	assert_int_equal(neighbour_find(&n, now_ns, ip, mac, &lost), NEIGHBOUR_ASKING);
	assert_ptr_equal(lost, &frame);
	neighbour_check(&n);
	assert_null(neighbour_confirm(&n, now_ns, (const uint8_t[4]){ 10, 9, 99, 9 }, mac3)); /* a stranger evicts nobody */
	assert_int_equal(n.count, NEIGHBOUR_MAX);
}

static void
rfc_1812_5_2_4_3_the_longest_route_leads(void **state)
{
	static const struct {
		uint8_t to[4], by;
	} ways[] = { { { 10, 20, 30, 4 }, 3 }, { { 10, 20, 31, 4 }, 2 }, { { 10, 21, 0, 1 }, 4 }, { { 10, 9, 0, 77 }, 77 } };
	struct neighbour_config config = n.config;
	uint8_t mac[6];
	void *lost;

	(void)state;
	config.prefix_len = 24;
	config.has_gateway = true;
	memcpy(config.gateway, (const uint8_t[4]){ 10, 9, 0, 4 }, 4);
	config.route_count = 2;
	config.routes[0] = (struct neighbour_route){ { 10, 20, 0, 0 }, { 10, 9, 0, 2 }, 16 };
	config.routes[1] = (struct neighbour_route){ { 10, 20, 30, 0 }, { 10, 9, 0, 3 }, 24 };
	neighbour_init(&n, &config);
	for (uint32_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		assert_int_equal(neighbour_find(&n, 1, ways[i].to, mac, &lost), NEIGHBOUR_ASKING);
		assert_memory_equal(n.entries[i].ip, ((const uint8_t[4]){ 10, 9, 0, ways[i].by }), 4);
	}
}

static void
ieee_802_1q_a_question_carries_the_tag_of_its_network(void **state)
{
	uint8_t frame[NEIGHBOUR_FRAME_LEN], mac[6];
	void *lost;

	(void)state;
	n.config.vlan = 100;
	neighbour_find(&n, 1, (const uint8_t[4]){ 10, 9, 0, 2 }, mac, &lost);
	assert_true(neighbour_ask(&n, 1, frame, &lost));
	assert_memory_equal(frame, "\xff\xff\xff\xff\xff\xff\2\0\0\0\11\1\x81\0\0\x64\10\6\0\1\10\0\6\4\0\1\2\0\0\0\11\1"
	    "\12\11\0\1\0\0\0\0\0\0\12\11\0\2", 46);
}

/* net hands on what concerns the table, and only when it is told to. */
static void
arp_replies_and_announcements_become_datagrams_when_somebody_wants_them(void **state)
{
	static const struct { uint8_t operation, sender, target; bool told; enum pkt_disposition then; } table[] = {
		{ 2, 2, 1, true, PKT_PENDING }, { 1, 2, 2, true, PKT_PENDING }, { 1, 2, 1, false, PKT_SEND },
		{ 1, 2, 3, false, PKT_DROP } };
	struct net_config config = { .mac = { 2, 0, 0, 0, 9, 1 }, .ipv4 = { 10, 9, 0, 1 } };
	static struct net net;
	static struct counters counters;

	(void)state;
	for (size_t i = 0; i < 2 * sizeof table / sizeof table[0]; i++) {
		bool tell = i & 1, told = tell && table[i / 2].told;
		struct datagram datagram;
		struct test_frame f;

		config.tell_arp = tell;
		net_init(&net, &config, &counters);
		frame_ethernet(&f, 0x0806);
		memset(f.bytes, 0xff, 6);
		memcpy(f.bytes + 14, "\0\1\10\0\6\4\0\1\2\0\0\0\11\2\12\11\0\2\0\0\0\0\0\0\12\11\0\1", 28);
		f.bytes[21] = table[i / 2].operation;
		f.bytes[31] = table[i / 2].sender;
		f.bytes[41] = table[i / 2].target;
		f.pkt.len = 60;
		assert_int_equal(net_input(&net, 0, &f.pkt, 1, &datagram), told);
		assert_int_equal(f.pkt.disposition, !tell && table[i / 2].told ? PKT_DROP : table[i / 2].then);
		if (told) {
			assert_int_equal(datagram.service, SERVICE_ARP);
			assert_int_equal(datagram.payload_len, NEIGHBOUR_ARP_LEN);
			assert_memory_equal(datagram.payload, f.bytes + 14, NEIGHBOUR_ARP_LEN);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_unknown_neighbour_is_asked_for_and_its_frame_leaves_with_the_answer, reset),
		cmocka_unit_test_setup(the_newest_frame_is_the_one_that_is_held, reset),
		cmocka_unit_test_setup(questions_are_repeated_ever_more_seldom_and_end_when_nobody_wants_to_send, reset),
		cmocka_unit_test_setup(a_known_neighbour_is_asked_again_when_it_ages_and_forgotten_when_it_is_silent, reset),
		cmocka_unit_test_setup(a_packet_that_proved_itself_confirms_and_moves_a_neighbour, reset),
		cmocka_unit_test_setup(an_answer_that_was_not_asked_for_changes_nothing, reset),
		cmocka_unit_test_setup(group_addresses_and_our_own_are_not_learnt, reset),
		cmocka_unit_test_setup(what_is_far_away_goes_by_the_gateway_or_not_at_all, reset),
		cmocka_unit_test_setup(what_is_no_host_has_no_way, reset),
		cmocka_unit_test_setup(a_full_table_makes_room_by_what_was_unused_for_longest, reset),
		cmocka_unit_test_setup(rfc_1812_5_2_4_3_the_longest_route_leads, reset),
		cmocka_unit_test_setup(ieee_802_1q_a_question_carries_the_tag_of_its_network, reset),
		cmocka_unit_test(arp_replies_and_announcements_become_datagrams_when_somebody_wants_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
