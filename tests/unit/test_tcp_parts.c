/* The parts of TCP-lite on their own: options, sequence numbers, timeouts, table, out-of-order queue, cookies. Seeds are printed. */
#include <time.h>

#include "net/tcp_frame.h"
#include "tests/unit/tcp_rig.h"

static uint64_t
seed_of_run(void)
{
	const char *text = getenv("SLIPRING_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);

	printf("seed %llu\n", (unsigned long long)seed);
	return seed;
}

static void
sequence_numbers_wrap(void **state)
{
	(void)state;
	assert_true(seq_lt(0xffffffff, 0) && seq_lt(0x7fffffff, 0x80000000) && seq_lt(0xfffffff0, 0x10));
	assert_false(seq_lt(0, 0xffffffff) || seq_lt(5, 5) || seq_lt(0x10, 0xfffffff0));
	assert_true(seq_le(5, 5) && seq_le(0xffffffff, 0));
	assert_int_equal(seq_max(0xffffffff, 1), 1);
	assert_int_equal(seq_max(7, 3), 7);
}

static void
options_of_clients_are_read_and_nonsense_does_no_harm(void **state)
{
	/* macOS: MSS, NOP, WS, NOP, NOP, TS, SACKOK, EOL with padding; TFO (34) is passed over. */
	static const uint8_t macos[] = { 2, 4, 5, 180, 1, 3, 3, 6, 1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 4, 2, 34, 2, 0, 9, 9, 9 };
	static const uint8_t bad[][4] = { { 2, 0, 5, 180 }, { 8, 1, 0, 0 }, { 1, 1, 1, 8 }, { 5, 5, 0, 0 } };
	static const uint8_t sack[] = { 1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 9 };
	static const uint8_t wide[] = { 3, 3, 200, 1 };
	struct tcp_options options;

	(void)state;
	assert_true(tcp_options_parse(macos, sizeof macos, true, &options));
	assert_true(options.has_mss && options.mss == 1460 && options.has_scale && options.scale == 6);
	assert_true(options.has_timestamps && options.tsval == 9 && options.has_sack_permitted);
	assert_true(tcp_options_parse(macos, sizeof macos, false, &options));
	assert_false(options.has_mss || options.has_scale || options.has_sack_permitted); /* only in a SYN */
	for (uint32_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(tcp_options_parse(bad[i], 4, true, &options));
	assert_true(tcp_options_parse(sack, sizeof sack, false, &options));
	assert_int_equal(options.sack_count, 2);
	assert_int_equal(options.sack[1].start, 0xffffffff);
	assert_int_equal(options.sack[1].end, 9);
	assert_true(tcp_options_parse(wide, sizeof wide, true, &options) && options.scale == 14);
}

static void
any_options_are_read_within_their_bounds(void **state)
{
	struct prng prng = { seed_of_run() };

	(void)state;
	for (uint32_t round = 0; round < 200000; round++) {
		uint32_t len = (uint32_t)prng_below(&prng, 41);
		uint8_t *bytes = malloc(len ? len : 1); /* exactly: the sanitizer sees any step outside */
		struct tcp_options options;

		for (uint32_t i = 0; i < len; i++)
			bytes[i] = (uint8_t)(prng_next(&prng) % (prng_below(&prng, 2) ? 12 : 256));
		tcp_options_parse(bytes, len, round & 1, &options);
		assert_true(options.sack_count <= TCP_SACK_MAX && options.scale <= 14);
		free(bytes);
	}
}

/* RFC 6298 2, by its formulas in doubles. */
static void
timeouts_follow_rfc_6298(void **state)
{
	struct prng prng = { seed_of_run() };
	struct tcp_conn conn = { 0 };
	double srtt = 0, rttvar = 0;

	(void)state;
	assert_int_equal(tcp_rto_us(rig, &conn), 1000000); /* (2.1) */
	for (uint32_t i = 0; i < 1000; i++) {
		uint32_t rtt = 100 + (uint32_t)prng_below(&prng, i < 500 ? 2000 : 900000);
		double rto;

		tcp_rtt_sample(&conn, rtt);
		if (i == 0) {
			srtt = rtt;
			rttvar = rtt / 2.0;
		} else {
			rttvar = 0.75 * rttvar + 0.25 * (srtt > rtt ? srtt - rtt : rtt - srtt);
			srtt = 0.875 * srtt + 0.125 * rtt;
		}
		rto = srtt + (4 * rttvar > 1000 ? 4 * rttvar : 1000);
		rto = rto < 200000 ? 200000 : rto;
		assert_true(tcp_rto_us(rig, &conn) > rto * 0.98 - 200 && tcp_rto_us(rig, &conn) < rto * 1.02 + 200);
	}
	conn.backoff = 3;
	assert_true(tcp_rto_us(rig, &conn) > 1000000);
	conn.backoff = 60;
	assert_int_equal(tcp_rto_us(rig, &conn), 60000000);
}

static struct endpoint
peer_of(uint32_t i)
{
	struct endpoint peer = { .port = (uint16_t)(1000 + i % 50000), .local_port = RIG_PORT };

	endpoint_map_ipv4(peer.ip, (uint8_t[4]){ 10, 0, (uint8_t)(i / 7), (uint8_t)(i % 7) });
	return peer;
}

static void
the_table_finds_what_is_in_it_and_nothing_else(void **state)
{
	enum { PLACES = 100 };
	struct prng prng = { seed_of_run() };
	bool in[PLACES] = { 0 };

	(void)state;
	for (uint32_t i = 0; i < PLACES; i++)
		rig->conns[i].peer = peer_of(i);
	for (uint32_t step = 0; step < 100000; step++) {
		uint32_t i = (uint32_t)prng_below(&prng, PLACES), k = (uint32_t)prng_below(&prng, PLACES), ref;
		struct endpoint peer = peer_of(k);

		if (in[i])
			tcp_table_remove(rig, &rig->conns[i].peer, tcp_ref(TCP_KIND_CONN, i));
		else
			tcp_table_put(rig, tcp_hash(rig, &rig->conns[i].peer), tcp_ref(TCP_KIND_CONN, i));
		in[i] = !in[i];
		ref = tcp_table_find(rig, &peer, tcp_hash(rig, &peer));
		assert_int_equal(ref, in[k] ? tcp_ref(TCP_KIND_CONN, k) : 0);
	}
	for (uint32_t i = 0; i < PLACES; i++)
		if (in[i])
			tcp_table_remove(rig, &rig->conns[i].peer, tcp_ref(TCP_KIND_CONN, i));
	assert_int_equal(rig->table.count, 0);
}

/* Random segments of a stream against a byte array that says which byte came first. */
static void
segments_out_of_order_are_a_byte_array(void **state)
{
	enum { STREAM = 20000, WINDOW = 30000 };
	struct prng prng = { seed_of_run() };

	(void)state;
	for (uint32_t round = 0; round < 300; round++) {
		uint32_t start = (uint32_t)prng_next(&prng), max = 1 + (uint32_t)prng_below(&prng, 1500), len = 0;
		struct rig_peer peer = rig_connect((uint16_t)(20000 + round), start, round & 1);
		static uint8_t first[STREAM], have[STREAM], data[1500];
		struct tcp_conn *conn;

		memset(have, 0, sizeof have);
		rig_input_len = 0;
		for (uint32_t step = 0; step < 3000 && len < STREAM; step++) {
			uint32_t at = len + (uint32_t)prng_below(&prng, 6 * max) - (uint32_t)prng_below(&prng, least(len, max) + 1);
			uint32_t size;
			enum drop why;

			if (prng_below(&prng, 4) == 0)
				at = len;
			if (at >= STREAM)
				continue;
			size = 1 + (uint32_t)prng_below(&prng, least(max, STREAM - at));
			for (uint32_t i = 0; i < size; i++)
				data[i] = (uint8_t)prng_next(&prng); /* others than before, where it overlaps */
			conn = rig_conn();
			for (uint32_t i = 0; i < size; i++) /* what is kept beyond the gap, before this one comes */
				if (!have[at + i])
					first[at + i] = data[i];
			why = rig_in(&peer, TCP_ACK, start + 1 + at, peer.ack, 502, data, size);
			memset(have, 0, sizeof have);
			len = rig_input_len;
			memset(have, 1, len);
			for (const struct tcp_slice *slice = conn->ooo ? conn->ooo->first : NULL; slice; slice = slice->next) {
				uint32_t from = slice->seq - start - 1;

				memset(have + from, 1, slice->len);
				assert_memory_equal(slice->bytes, first + from, slice->len);
			}
			if (why == DROP_NONE && at <= len)
				assert_true(len >= at + size);
			assert_memory_equal(rig_input, first, len);
			assert_int_equal(conn->rcv_nxt, start + 1 + len);
		}
		rig_in(&peer, TCP_RST, start + 1 + len, 0, 0, NULL, 0);
		assert_null(rig_conn());
		assert_int_equal(tcp_blocks(rig)->used, 0);
	}
}

/* What a connection may hold beyond a gap shrinks as the total fills: who comes late still has some. */
static void
the_bound_out_of_order_shrinks_as_the_total_fills(void **state)
{
	enum { PEERS = 12, SEGMENTS = 100, LEN = 1460 };
	uint32_t held[PEERS], some = 0;
	uint64_t before;

	(void)state;
	rig->config.ooo_bytes_max = 2 << 20;
	rig->config.input_max = 1 << 18;
	for (uint32_t i = 0; i < PEERS; i++) {
		struct rig_peer peer = rig_connect((uint16_t)(20000 + i), 1000, false);

		before = rig->ooo_bytes;
		for (uint32_t k = 0; k < SEGMENTS; k++) {
			rig_in(&peer, TCP_ACK, 1001 + 1 + k * LEN, peer.ack, 60000, NULL, LEN);
			rig_flush();
		}
		held[i] = (uint32_t)(rig->ooo_bytes - before);
		assert_true(held[i] <= TCP_OOO_FLOOR || held[i] <= (rig->config.ooo_bytes_max - before) / 2);
		assert_true(rig->ooo_bytes <= rig->config.ooo_bytes_max);
		some += held[i] > 0;
	}
	assert_true(held[0] > TCP_OOO_FLOOR);
	assert_true(held[PEERS - 1] < held[0]);
	assert_true(some >= 9);
}

static void
cookies_carry_a_connection_through_a_flood(void **state)
{
	struct rig_peer last = { 0 }, none = { .port = 55555 };
	uint32_t made = counter_read(&rig_counters, COUNTER_TCP_ACCEPTED);

	(void)state;
	for (uint16_t i = 0; i < 40; i++) { /* 16 records, then cookies */
		struct rig_peer peer = { .port = (uint16_t)(30000 + i) };

		rig_syn(&peer, 1000u * i, rig_linux, sizeof rig_linux);
		assert_int_equal(rig_out[0].flags, TCP_SYN | TCP_ACK);
		last = peer;
		last.stamps = true;
		last.tsval = 300;
	}
	assert_int_equal(counter_read(&rig_counters, COUNTER_TCP_COOKIES_SENT), 24);
	assert_int_equal(rig->half_count, 16);
	/* A guess is not believed, nor the right number from another port. */
	assert_int_equal(rig_in(&last, TCP_ACK, last.seq, last.ack + 1, 502, NULL, 0), DROP_TCP_UNKNOWN);
	assert_int_equal(rig_in(&none, TCP_ACK, last.seq, last.ack, 502, NULL, 0), DROP_TCP_UNKNOWN);
	rig_now_ns += 60 * NS_PER_SEC;
	last.tsval += 60000;
	assert_int_equal(rig_in(&last, TCP_ACK | TCP_PSH, last.seq, last.ack, 502, "hello", 5), DROP_NONE);
	assert_int_equal(counter_read(&rig_counters, COUNTER_TCP_ACCEPTED), made + 1);
	assert_memory_equal(rig_input, "hello", 5);
	assert_true(conn_is(rig_conn(), CONN_SACK) && conn_is(rig_conn(), CONN_SCALED) && rig_conn()->snd_shift == 7);
	assert_int_equal(rig_conn()->mss, 1460);
}

static void
a_cookie_is_too_old_after_two_turns_of_its_counter(void **state)
{
	struct rig_peer peer = { 0 };

	(void)state;
	for (uint16_t i = 0; i < 17; i++) {
		peer = (struct rig_peer){ .port = (uint16_t)(30000 + i) };
		rig_syn(&peer, 7, rig_windows, sizeof rig_windows);
	}
	rig_now_ns += 128 * NS_PER_SEC;
	assert_int_equal(rig_in(&peer, TCP_ACK, peer.seq, peer.ack, 502, NULL, 0), DROP_TCP_UNKNOWN);
	assert_null(rig_conn());
}

static void
an_address_has_no_more_connections_than_it_may(void **state)
{
	struct tcp_config config = rig_config();
	struct rig_peer peers[3], peer = { .port = 50009 };

	(void)state;
	config.per_source_max = 3;
	rig_create(&config);
	for (uint16_t i = 0; i < 3; i++)
		peers[i] = rig_connect((uint16_t)(50000 + i), 1000, false);
	rig_syn(&peer, 5, rig_windows, sizeof rig_windows);
	assert_int_equal(rig_in(&peer, TCP_ACK, peer.seq, peer.ack, 502, NULL, 0), DROP_TCP_SOURCE_LIMIT);
	assert_int_equal(rig_out[0].flags, TCP_RST);
	rig_in(&peers[1], TCP_RST, 1001, 0, 0, NULL, 0);
	rig_connect(50010, 9, false);
	tcp_destroy(rig);
}

/* Another worker may have the connection, as long as one is left to ask; of another port's, none has. */
static void
an_error_about_an_unknown_connection_is_for_another_worker(void **state)
{
	struct tcp_config config = rig_config();
	struct tcp_icmp error = { .source_port = RIG_PORT, .destination_port = 50000 };
	struct rig_peer peer;

	(void)state;
	config.hops_max = 1;
	rig_create(&config);
	endpoint_map_ipv4(error.source, (uint8_t[4]){ 10, 9, 0, 1 });
	endpoint_map_ipv4(error.destination, (uint8_t[4]){ 10, 9, 0, 254 });
	assert_false(tcp_icmp(rig, rig_now_ns, &error));
	assert_int_equal(counter_read(&rig_counters, COUNTER_TCP_ICMP_IGNORED), 0);
	error.hops = 1;
	assert_true(tcp_icmp(rig, rig_now_ns, &error));
	assert_int_equal(counter_read(&rig_counters, COUNTER_TCP_ICMP_IGNORED), 1);
	error.hops = 0;
	error.source_port = RIG_PORT + 1;
	assert_true(tcp_icmp(rig, rig_now_ns, &error));
	assert_int_equal(counter_read(&rig_counters, COUNTER_TCP_ICMP_IGNORED), 2);
	error.source_port = RIG_PORT;
	peer = rig_connect(50000, 1000, false);
	error.seq = peer.ack; /* nothing is in flight: it is this worker's to ignore */
	assert_true(tcp_icmp(rig, rig_now_ns, &error));
	assert_int_equal(counter_read(&rig_counters, COUNTER_TCP_ICMP_IGNORED), 3);
	tcp_destroy(rig);
}

/* What waits costs little: the figure is in doc/TCP.md. */
static void
an_idle_connection_has_no_blocks(void **state)
{
	(void)state;
	for (uint16_t i = 0; i < 100; i++)
		rig_connect((uint16_t)(1000 + i), i, true);
	assert_int_equal(tcp_blocks(rig)->used, 0);
	assert_true(sizeof(struct tcp_conn) <= 256 && sizeof(struct tcp_half) == 64 && sizeof(struct tcp_wait) <= 64);
	printf("%zu bytes a connection, %zu a table slot\n", sizeof(struct tcp_conn), sizeof(struct tcp_slot));
}

static void
a_frame_of_either_family_has_a_checksum_that_its_receiver_finds_right(void **state)
{
	static const uint8_t ours6[16] = { 0xfd, [15] = 1 }, theirs6[16] = { 0xfd, [15] = 2 };
	static struct net net;
	struct net_config config = { .mac = { 2, 0, 0, 0, 9, 1 }, .ipv4 = { 10, 9, 0, 1 }, .ipv6_count = 1, .tcp = true };

	(void)state;
	memcpy(config.ipv6[0], ours6, 16);
	net_init(&net, &config, &rig_counters);
	for (uint32_t family = 0; family < 4; family++) {
		uint8_t bytes[300] = { 0 }, *data = bytes + 100, *header = data + TCP_FRAME_OFFSET;
		struct pkt pkt = { .data = data, .room = 200 };
		struct tcp_frame frame = { .pkt = &pkt, .len = 27, .peer = { .port = 40000, .local_port = RIG_PORT, .local = family & 1 } };
		struct tcp_segment seen = { .header = header, .len = 27 };

		net.config.vlan = family & 2 ? 5 : 0;
		endpoint_map_ipv4(frame.peer.ip, (uint8_t[4]){ 10, 9, 0, 254 });
		if (family & 1)
			memcpy(frame.peer.ip, theirs6, 16);
		header[12] = 5 << 4;
		memcpy(header + 20, "payload", 7);
		tcp_frames_output(&net, &frame, 1);
		assert_int_equal(pkt.disposition, PKT_SEND);
		assert_int_equal(pkt.data + pkt.len - header, 27);
		assert_int_equal(pkt.len, 27 + 14 + (family & 2 ? 4 : 0) + (family & 1 ? 40 : 20));
		memcpy(seen.source, frame.peer.ip, 16);
		net_address(&net, frame.peer.local, seen.destination);
		assert_true(tcp_checksum_is_right(&seen));
		header[25] ^= 1;
		assert_false(tcp_checksum_is_right(&seen));
	}
}

/* The bytes that stand elsewhere count, at an even place in the segment and at an odd one. */
static void
a_checksum_runs_over_a_frame_and_its_tail(void **state)
{
	static struct net net;
	struct net_config config = { .mac = { 2, 0, 0, 0, 9, 1 }, .ipv4 = { 10, 9, 0, 1 }, .tcp = true };
	uint8_t value[700];

	(void)state;
	for (uint32_t i = 0; i < sizeof value; i++)
		value[i] = (uint8_t)(i * 37 + i / 256);
	net_init(&net, &config, &rig_counters);
	for (uint32_t here = 0; here < 40; here++)
		for (uint32_t tail_len = 1; tail_len <= sizeof value; tail_len += tail_len < 16 ? 1 : 57) {
			uint8_t bytes[1000] = { 0 }, *data = bytes + 100, *header = data + TCP_FRAME_OFFSET;
			uint16_t pins = 1;
			struct pkt pkt = { .data = data, .room = 900 };
			struct tcp_frame frame = { .pkt = &pkt, .len = (uint16_t)(20 + here + tail_len),
				.tail = { value, &pins, (uint16_t)tail_len }, .peer = { .port = 40000, .local_port = RIG_PORT } };
			struct tcp_segment seen = { .header = header, .len = frame.len };

			endpoint_map_ipv4(frame.peer.ip, (uint8_t[4]){ 10, 9, 0, 254 });
			header[12] = 5 << 4;
			memset(header + 20, 0xa5, here);
			tcp_frames_output(&net, &frame, 1);
			assert_int_equal(pkt.data + pkt.len - header, 20 + here);
			assert_int_equal(pins, 1);
			memcpy(header + 20 + here, value, tail_len);
			memcpy(seen.source, frame.peer.ip, 16);
			net_address(&net, frame.peer.local, seen.destination);
			assert_true(tcp_checksum_is_right(&seen));
			header[20 + here + tail_len / 2] ^= 1;
			assert_false(tcp_checksum_is_right(&seen));
		}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sequence_numbers_wrap),
		cmocka_unit_test(options_of_clients_are_read_and_nonsense_does_no_harm),
		cmocka_unit_test(any_options_are_read_within_their_bounds),
		TEST(timeouts_follow_rfc_6298),
		TEST(the_table_finds_what_is_in_it_and_nothing_else),
		TEST(segments_out_of_order_are_a_byte_array),
		TEST(the_bound_out_of_order_shrinks_as_the_total_fills),
		TEST(cookies_carry_a_connection_through_a_flood),
		TEST(a_cookie_is_too_old_after_two_turns_of_its_counter),
		cmocka_unit_test(an_address_has_no_more_connections_than_it_may),
		cmocka_unit_test(an_error_about_an_unknown_connection_is_for_another_worker),
		TEST(an_idle_connection_has_no_blocks),
		TEST(a_frame_of_either_family_has_a_checksum_that_its_receiver_finds_right),
		TEST(a_checksum_runs_over_a_frame_and_its_tail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
