/*
 * Large values leave a worker in frames that refer to them: the daemon's poll loop, the real store, and a net_ring port whose
 * other end this test holds. As a NIC it may keep frames as long as it likes: the items they refer to must stay, whatever
 * becomes of key, connection and worker.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "base/bytes.h"
#include "base/endpoint.h"
#include "base/roles.h"
#include "bench/frames.h"
#include "proto/stream.h"
#include "slipringd/worker.h"
#include "store/reclaim.h"
#include "tests/tcp/segment.h"

enum { TCP_AT = ETHERNET_HEADER_LEN + IPV4_HEADER_LEN, CLIENT_PORT = 40001, LOST_S = 10, PART = 1400, HELD_MAX = 4096,
	VALUE_LEN = 40000, LARGE_LEN = 1000000, SETTLE_MS = 300 };

static struct {
	struct rte_ring *to, *from;
	struct rte_mempool *pool;
	struct store *store;
	struct port *port;
	struct worker *worker;
	struct counters counters;
	struct link link;
	uint32_t seq, ack;           /* ours: next to send; next expected */
	struct rte_mbuf *held[HELD_MAX]; /* frames that the NIC has not done with */
	uint64_t held_sums[HELD_MAX];
	uint32_t held_count;
	uint32_t referred, got_len;
	uint8_t got[LARGE_LEN + 4096];
} t;

/* --- a node and its client -------------------------------------------------------------------- */

static ON_MAIN void
create_worker(const uint8_t mac[6])
{
	struct worker_config config = { .idle = WORKER_ADAPTIVE, .idle_polls = 50, .idle_sleep_ms = 10,
		.net = { .ipv4 = { 10, 0, 0, 1 }, .verify_checksums = true, .tcp = true },
		.serve = { .worker_count = 1, .store = t.store, .native_port = 7411, .epoch = 1, .cookie_secret = "for the cookies",
			.boot = 7, .version = "test", .counters = &t.counters, .connections_max = 64 } };
	struct error error;

	config.serve.protocols[SERVICE_MEMCACHED_STREAM] = &memcached_stream_protocol;
	config.serve.all_counters[0] = &t.counters;
	tcp_defaults(&config.tcp);
	config.tcp.listen[0].port = 11211;
	config.tcp.listen[0].service = SERVICE_MEMCACHED_STREAM;
	config.tcp.listen_count = 1;
	config.tcp.connections_max = 64;
	config.tcp.refer_min = config.serve.refer_min = PORT_TAIL_MIN;
	config.net.ports[0].port = 7411;
	config.net.ports[0].service = SERVICE_NATIVE;
	config.net.port_count = 1;
	memcpy(config.net.mac, mac, 6);
	t.worker = worker_create(&config, t.port, &t.counters, &error);
	assert_non_null(t.worker);
	worker_connect(t.worker, &t.worker, 1);
	assert_int_equal(io_launch(0, worker_main, t.worker), STATUS_OK);
}

static int
start(void **state)
{
	struct io_config io = { .worker_count = 1, .float_lcores = true, .no_huge = true, .memory_mb = 256,
		.profile = { .driver = "net_ring", .rx_descriptors = 64, .tx_descriptors = 64, .mbufs = 8192, .external_tx = true } };
	struct store_config store = { .shard_count = 1, .memory_bytes = 64 << 20, .items_max = 16384,
		.expected_item_size = 128, .secret = "the store's own" };
	struct error error;
	struct port_info info;
	uint8_t mac[6];

	(void)state;
	role_main_begin();
	assert_int_equal(io_start(&io, &error), STATUS_OK);
	assert_int_equal(reclaim_start(&error), STATUS_OK);
	t.store = store_create(&store, &error);
	t.pool = rte_pktmbuf_pool_create("client", 8191, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	t.to = rte_ring_create("to", 4096, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	t.from = rte_ring_create("from", 4096, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	assert_true(t.store && t.pool && t.to && t.from);
	/* The port that io_start makes sends to itself; this one is made of our rings. */
	snprintf(io.profile.driver, sizeof io.profile.driver, "net_ring_held");
	assert_true(rte_eth_from_rings("held0", &t.to, 1, &t.from, 1, 0) >= 0);
	t.port = port_open(&io, 0, mac, &error);
	assert_non_null(t.port);
	port_info(t.port, &info);
	assert_int_equal(info.tails, PORT_TAILS_REFERRED);
	create_worker(mac);
	t.link = (struct link){ .mac = { 2, 0, 0, 0, 0, 7 }, .ip = { 10, 0, 0, 7 }, .peer_ip = { 10, 0, 0, 1 }, .port = CLIENT_PORT };
	memcpy(t.link.peer_mac, mac, 6);
	return 0;
}

static void
transmit(uint8_t flags, const void *bytes, uint32_t len)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(t.pool);
	static uint8_t segment[SEG_BYTES_MAX];
	struct seg seg = seg_none();
	uint8_t *frame, *ip;

	endpoint_map_ipv4(seg.source, t.link.ip);
	endpoint_map_ipv4(seg.destination, t.link.peer_ip);
	seg.source_port = t.link.port;
	seg.destination_port = 11211;
	seg.flags = flags;
	seg.seq = t.seq;
	seg.ack = flags & SEG_ACK ? t.ack : 0;
	seg.window = flags & SEG_SYN ? 65535 : 4096;
	seg.mss = flags & SEG_SYN ? 1460 : 0;
	seg.wscale = flags & SEG_SYN ? 4 : -1;
	seg.payload = bytes;
	seg.payload_len = len;
	len = seg_compose(&seg, segment);
	t.seq += seg_len(&seg);
	assert_non_null(mbuf);
	frame = rte_pktmbuf_mtod(mbuf, uint8_t *);
	link_headers(&t.link, frame, (uint16_t)(len - UDP_HEADER_LEN));
	ip = frame + ETHERNET_HEADER_LEN;
	ip[9] = 6;
	store_be16(ip + 10, 0);
	store_be16(ip + 10, internet_checksum(ip, IPV4_HEADER_LEN, 0));
	memcpy(frame + TCP_AT, segment, len);
	mbuf->data_len = mbuf->pkt_len = (uint16_t)(TCP_AT + len);
	assert_int_equal(rte_ring_enqueue(t.to, mbuf), 0);
}

/* The bytes of a frame, gathered; they are the caller's until the next call. */
static const uint8_t *
gather(const struct rte_mbuf *mbuf, uint32_t *len)
{
	static uint8_t bytes[2048];

	*len = 0;
	for (; mbuf; mbuf = mbuf->next) {
		memcpy(bytes + *len, rte_pktmbuf_mtod(mbuf, const uint8_t *), mbuf->data_len);
		*len += mbuf->data_len;
	}
	return bytes;
}

static uint64_t
sum_of(const struct rte_mbuf *mbuf)
{
	uint64_t sum = 0;
	uint32_t len;
	const uint8_t *bytes = gather(mbuf, &len);

	for (uint32_t i = 0; i < len; i++)
		sum = (sum ^ bytes[i]) * 0x100000001b3ull;
	return sum;
}

/* Takes the next segment into `got`, in order; `hold`: the NIC keeps the frame. False: none came within `ms`. */
static bool
receive(uint32_t ms, bool hold, struct seg *seg)
{
	uint64_t until = io_cycles() + ms * io_cycles_hz() / 1000;
	struct rte_mbuf *mbuf;
	uint8_t ours[16], theirs[16];
	const uint8_t *bytes;
	uint32_t len;

	while (rte_ring_dequeue(t.from, (void **)&mbuf) != 0)
		if (io_cycles() > until)
			return false;
	bytes = gather(mbuf, &len);
	assert_int_equal(len, mbuf->pkt_len);
	assert_int_equal(bytes[ETHERNET_HEADER_LEN + 9], 6);
	endpoint_map_ipv4(ours, t.link.ip);
	endpoint_map_ipv4(theirs, t.link.peer_ip);
	assert_int_equal(seg_checksum(theirs, ours, bytes + TCP_AT, len - TCP_AT), 0);
	seg_parse(seg, theirs, ours, bytes + TCP_AT, len - TCP_AT);
	assert_null(seg->complaint);
	if (mbuf->nb_segs > 1) {
		assert_int_equal(mbuf->nb_segs, 2);
		assert_true(RTE_MBUF_HAS_EXTBUF(mbuf->next) && mbuf->next->data_len >= PORT_TAIL_MIN);
		t.referred++;
	}
	if (seg->seq == t.ack && seg->payload_len) {
		assert_true(t.got_len + seg->payload_len <= sizeof t.got);
		memcpy(t.got + t.got_len, seg->payload, seg->payload_len);
		t.got_len += seg->payload_len;
		t.ack += seg->payload_len;
	}
	if (hold) {
		assert_true(t.held_count < HELD_MAX);
		t.held_sums[t.held_count] = sum_of(mbuf);
		t.held[t.held_count++] = mbuf;
	} else {
		rte_pktmbuf_free(mbuf);
	}
	return true;
}

static void
open_connection(void)
{
	struct seg seg;

	t.seq = 1000 + t.seq;
	transmit(SEG_SYN, NULL, 0);
	assert_true(receive(LOST_S * 1000, false, &seg));
	assert_int_equal(seg.flags, SEG_SYN | SEG_ACK);
	t.ack = seg.seq + 1;
	transmit(SEG_ACK, NULL, 0);
	t.got_len = t.referred = 0;
}

static void
reset_connection(void)
{
	transmit(SEG_RST, NULL, 0);
	t.link.port++;
}

static uint8_t
byte_of(uint32_t seed, uint32_t at)
{
	return (uint8_t)((at * 2654435761u + seed) >> 11);
}

/* Sends a request, and takes the reply until it ends with `end`. Acknowledges whatever comes. */
static void
talk(const uint8_t *request, uint32_t len, const char *end, bool hold)
{
	uint32_t end_len = (uint32_t)strlen(end);
	struct seg seg;

	t.got_len = 0;
	for (uint32_t at = 0; at < len; at += PART) {
		transmit(SEG_ACK | SEG_PSH, request + at, len - at < PART ? len - at : PART);
		if (at + PART < len)
			assert_true(receive(LOST_S * 1000, false, &seg)); /* its acknowledgement */
	}
	while (t.got_len < end_len || memcmp(t.got + t.got_len - end_len, end, end_len) != 0) {
		uint32_t before = t.got_len;

		assert_true(receive(LOST_S * 1000, hold, &seg));
		if (t.got_len != before)
			transmit(SEG_ACK, NULL, 0);
	}
}

static void
set(uint32_t seed, uint32_t value_len)
{
	static uint8_t request[LARGE_LEN + 100];
	uint32_t at = (uint32_t)sprintf((char *)request, "set key 0 0 %u\r\n", value_len);

	for (uint32_t i = 0; i < value_len; i++)
		request[at + i] = byte_of(seed, i);
	memcpy(request + at + value_len, "\r\n", 2);
	talk(request, at + value_len + 2, "STORED\r\n", false);
}

static void
get(uint32_t seed, uint32_t value_len, bool hold)
{
	char head[40];
	uint32_t head_len = (uint32_t)sprintf(head, "VALUE key 0 %u\r\n", value_len);

	talk((const uint8_t *)"get key\r\n", 9, "\r\nEND\r\n", hold);
	assert_int_equal(t.got_len, head_len + value_len + 7);
	assert_memory_equal(t.got, head, head_len);
	for (uint32_t i = 0; i < value_len; i++)
		assert_int_equal(t.got[head_len + i], byte_of(seed, i));
}

/* The NIC is done with all that it held. */
static void
release(void)
{
	for (uint32_t i = 0; i < t.held_count; i++) {
		assert_int_equal(sum_of(t.held[i]), t.held_sums[i]);
		rte_pktmbuf_free(t.held[i]);
	}
	t.held_count = 0;
}

/* Items that were replaced and are not freed yet. */
static uint64_t
retired(void)
{
	struct shard_stats stats;

	store_stats(t.store, &stats);
	return stats.retired;
}

static bool
retired_becomes(uint64_t count)
{
	for (int i = 0; i < LOST_S * 100; i++) {
		if (retired() == count)
			return true;
		usleep(10000);
	}
	return false;
}

/* --- datagrams --------------------------------------------------------------------------------- */

/* A native GET of "key"; its answer as a frame that is the caller's. */
static struct rte_mbuf *
get_native(uint64_t sequence, uint64_t cookie)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(t.pool);
	struct native_header header = { .version = NATIVE_VERSION, .client = 77, .sequence = sequence, .cookie = cookie, .window = 64,
		.op_count = 1 };
	struct request request = { .op = OP_GET, .key = view_text("key"), .slot = slot_of_key(view_text("key")) };
	struct link link = t.link;
	uint8_t *frame, *payload;
	struct writer out;
	uint16_t len;

	assert_non_null(mbuf);
	frame = rte_pktmbuf_mtod(mbuf, uint8_t *);
	payload = frame + TEMPLATE_NATIVE;
	native_header_compose(&header, payload);
	out = writer_of(payload + NATIVE_HEADER_LEN, 500);
	native_request_compose(&out, &request);
	len = (uint16_t)(out.at - payload);
	link.peer_port = 7411;
	link_headers(&link, frame, len);
	frame_checksum(frame, (uint16_t)(TEMPLATE_NATIVE + len));
	mbuf->data_len = mbuf->pkt_len = TEMPLATE_NATIVE + len;
	assert_int_equal(rte_ring_enqueue(t.to, mbuf), 0);
	for (uint64_t until = io_cycles() + LOST_S * io_cycles_hz(); io_cycles() < until;)
		if (rte_ring_dequeue(t.from, (void **)&mbuf) == 0)
			return mbuf;
	fail_msg("no answer");
	return NULL;
}

/* The answer's value is right, and so is the UDP checksum over all of it. */
static void
check_native(const struct rte_mbuf *mbuf, uint32_t seed, uint32_t value_len)
{
	uint32_t len, pseudo;
	const uint8_t *frame = gather(mbuf, &len), *ip = frame + ETHERNET_HEADER_LEN;
	struct reader in = reader_of(frame + TEMPLATE_NATIVE + NATIVE_HEADER_LEN, len - TEMPLATE_NATIVE - NATIVE_HEADER_LEN);
	struct native_result result;

	assert_true(native_result_parse(&in, &result));
	assert_int_equal(result.value.len, value_len);
	for (uint32_t i = 0; i < value_len; i++)
		assert_int_equal(result.value.data[i], byte_of(seed, i));
	pseudo = 17 + len - TCP_AT;
	for (uint32_t i = 12; i < 20; i += 2)
		pseudo += load_be16(ip + i);
	assert_int_equal(internet_checksum(frame + TCP_AT, len - TCP_AT, pseudo), 0);
}

/* --- the tests --------------------------------------------------------------------------------- */

static void
a_value_leaves_in_frames_that_refer_to_it(void **state)
{
	uint64_t before = counter_read(&t.counters, COUNTER_TX_REFERRED);

	(void)state;
	open_connection();
	set(1, VALUE_LEN);
	get(1, VALUE_LEN, false);
	assert_true(t.referred >= VALUE_LEN / 1460 - 1);
	assert_int_equal(counter_read(&t.counters, COUNTER_TX_REFERRED) - before, t.referred);
	assert_int_equal(drop_read(&t.counters, DROP_TX_CHAIN), 0);
	set(2, 2500); /* below, and above, what is pinned and what is referred to */
	get(2, 2500, false);
	set(3, 700);
	get(3, 700, false);
	reset_connection();
	assert_true(retired_becomes(0));
}

static void
an_item_that_is_overwritten_stays_while_a_frame_refers_to_it(void **state)
{
	(void)state;
	open_connection();
	set(4, VALUE_LEN);
	get(4, VALUE_LEN, true);
	assert_true(t.held_count >= VALUE_LEN / 1460);
	set(5, VALUE_LEN); /* all is acknowledged: only the frames are left to hold the old one */
	usleep(SETTLE_MS * 1000);
	assert_int_equal(retired(), 1);
	release();
	assert_true(retired_becomes(0));
	get(5, VALUE_LEN, false);
	reset_connection();
}

static void
an_item_stays_when_its_connection_is_reset(void **state)
{
	struct seg seg;

	(void)state;
	open_connection();
	set(6, VALUE_LEN);
	transmit(SEG_ACK | SEG_PSH, "get key\r\n", 9);
	while (receive(SETTLE_MS, true, &seg)) /* ten segments, and none is acknowledged */
		;
	assert_true(t.held_count >= 10);
	reset_connection();
	open_connection();
	set(7, VALUE_LEN);
	usleep(SETTLE_MS * 1000);
	assert_int_equal(retired(), 1);
	release();
	assert_true(retired_becomes(0));
	reset_connection();
}

/* Timeouts have copied the queue's bytes; what the frames hold, they hold. */
static void
a_peer_that_vanishes_holds_nothing_but_what_is_at_the_nic(void **state)
{
	struct seg seg;
	uint64_t timeouts = counter_read(&t.counters, COUNTER_TCP_TIMEOUTS);

	(void)state;
	open_connection();
	set(8, VALUE_LEN);
	transmit(SEG_ACK | SEG_PSH, "get key\r\n", 9);
	while (counter_read(&t.counters, COUNTER_TCP_TIMEOUTS) == timeouts)
		receive(50, true, &seg);
	t.link.port++; /* another client */
	t.seq = 0;
	open_connection();
	set(9, VALUE_LEN);
	usleep(SETTLE_MS * 1000);
	assert_int_equal(retired(), 1);
	release();
	assert_true(retired_becomes(0)); /* although the dead client's connection is still there */
	assert_int_equal(drop_read(&t.counters, DROP_TX_FULL), 0);
	reset_connection();
}

/* RCU keeps an item until the burst ends; a datagram that refers to it may be at the NIC for longer. */
static void
a_datagram_keeps_the_item_it_refers_to(void **state)
{
	struct native_header header;
	struct rte_mbuf *mbuf;
	uint32_t len;

	(void)state;
	open_connection();
	for (uint32_t value_len = 1000; value_len <= NATIVE_GET_VALUE_MAX; value_len += 47) {
		set(20, value_len);
		mbuf = get_native(value_len, 0);
		assert_true(native_header_parse(view_of(gather(mbuf, &len) + TEMPLATE_NATIVE, NATIVE_HEADER_LEN), &header));
		assert_int_equal(header.error, OP_STATUS_UNPROVEN);
		rte_pktmbuf_free(mbuf);
		mbuf = get_native(value_len, header.cookie);
		assert_int_equal(mbuf->nb_segs, value_len < PORT_TAIL_MIN ? 1 : 2);
		check_native(mbuf, 20, value_len);
		set(21, value_len);
		if (value_len >= PORT_TAIL_MIN && value_len < PORT_TAIL_MIN + 47) {
			usleep(SETTLE_MS * 1000);
			assert_int_equal(retired(), 1);
		}
		check_native(mbuf, 20, value_len);
		rte_pktmbuf_free(mbuf);
	}
	assert_true(retired_becomes(0));
	reset_connection();
}

/* A NIC that keeps more frames than there are mbufs to refer with: the rest is copied, and arrives the same. */
static void
bytes_are_copied_when_too_many_frames_refer(void **state)
{
	uint32_t referred;

	(void)state;
	open_connection();
	set(10, LARGE_LEN);
	get(10, LARGE_LEN, true);
	referred = t.referred;
	assert_true(referred > 256 && referred < LARGE_LEN / 1460 - 64);
	release();
	get(10, LARGE_LEN, false);
	assert_true(t.referred - referred > LARGE_LEN / 1460 - 4);
	reset_connection();
}

/* As the node stops: the worker first, then the port, which frees what the NIC has, and then the store. */
static int
stop(void **state)
{
	struct rte_mbuf *left;

	(void)state;
	open_connection();
	set(11, VALUE_LEN);
	get(11, VALUE_LEN, true);
	worker_stop(t.worker);
	io_join(0);
	while (rte_ring_dequeue(t.from, (void **)&left) == 0)
		rte_pktmbuf_free(left);
	worker_destroy(t.worker);
	release();
	port_close(t.port);
	store_destroy(t.store);
	reclaim_stop();
	io_stop();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_leaves_in_frames_that_refer_to_it),
		cmocka_unit_test(an_item_that_is_overwritten_stays_while_a_frame_refers_to_it),
		cmocka_unit_test(an_item_stays_when_its_connection_is_reset),
		cmocka_unit_test(a_peer_that_vanishes_holds_nothing_but_what_is_at_the_nic),
		cmocka_unit_test(a_datagram_keeps_the_item_it_refers_to),
		cmocka_unit_test(bytes_are_copied_when_too_many_frames_refer),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
