/*
 * Two workers as the daemon runs them (worker_main on two lcores, real mailboxes, real
 * store), each behind a net_ring port whose other end this test holds: writes that land at
 * the wrong worker are mailed, answered by their owner, and executed once however often
 * their frame comes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "base/histogram.h"
#include "base/prng.h"
#include "base/roles.h"
#include "bench/frames.h"
#include "proto/stream.h"
#include "slipringd/worker.h"
#include "store/reclaim.h"

enum { WORKERS = 2, KEYS = 16, ROUNDS = 3000, COPIES_MAX = 3, LOST_CYCLES_S = 10 };

static struct {
	struct rte_ring *to[WORKERS], *from[WORKERS];
	struct rte_mempool *pool;
	struct store *store;
	struct port *ports[WORKERS];
	struct worker *workers[WORKERS];
	struct counters counters[WORKERS];
	struct link link;
	struct native_header header;
	struct prng prng;
	char keys[KEYS][16];
	uint64_t numbers[KEYS];
} t;

/* The ports that io_start makes send to themselves; these are made of our rings. */
static void
open_port(const struct io_config *config, uint32_t i, uint8_t mac[6])
{
	struct error error;
	char name[16];

	snprintf(name, sizeof name, "to%u", i);
	t.to[i] = rte_ring_create(name, 1024, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	snprintf(name, sizeof name, "from%u", i);
	t.from[i] = rte_ring_create(name, 1024, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	assert_true(t.to[i] && t.from[i]);
	snprintf(name, sizeof name, "held%u", i);
	assert_true(rte_eth_from_rings(name, &t.to[i], 1, &t.from[i], 1, 0) >= 0);
	t.ports[i] = port_open(config, i, mac, &error);
	assert_non_null(t.ports[i]);
}

static ON_MAIN void
create_worker(uint32_t i, const uint8_t mac[6])
{
	struct worker_config config = { .idle = WORKER_ADAPTIVE, .idle_polls = 50, .idle_sleep_ms = 10,
		.net = { .ipv4 = { 10, 0, 0, 1 }, .verify_checksums = true, .tcp = true },
		.serve = { .worker = i, .worker_count = WORKERS, .store = t.store, .native_port = 7411,
			.epoch = 1, .cookie_secret = "for the cookies", .boot = 7, .version = "test",
			.counters = &t.counters[i], .connections_max = 64 } };
	struct error error;

	config.serve.protocols[SERVICE_MEMCACHED_STREAM] = &memcached_stream_protocol;
	tcp_defaults(&config.tcp);
	config.tcp.listen[0].port = 11211;
	config.tcp.listen[0].service = SERVICE_MEMCACHED_STREAM;
	config.tcp.listen_count = 1;
	config.tcp.connections_max = 64;
	config.tcp.hops_max = WORKERS - 1;

	memcpy(config.net.mac, mac, 6);
	for (uint32_t w = 0; w < WORKERS; w++) {
		config.serve.all_counters[w] = &t.counters[w];
		config.net.ports[w].port = (uint16_t)(7411 + w);
		config.net.ports[w].service = SERVICE_NATIVE;
	}
	config.net.port_count = WORKERS;
	t.workers[i] = worker_create(&config, t.ports[i], &t.counters[i], &error);
	assert_non_null(t.workers[i]);
}

static int
start(void **state)
{
	struct io_config io = { .worker_count = WORKERS, .float_lcores = true, .no_huge = true, .memory_mb = 256,
		.profile = { .driver = "net_ring", .rx_descriptors = 256, .tx_descriptors = 256, .mbufs = 8192 } };
	struct store_config store = { .shard_count = WORKERS, .memory_bytes = 64 << 20, .items_max = 16384,
		.expected_item_size = 128, .secret = "the store's own" };
	struct error error;
	uint8_t mac[6];

	(void)state;
	role_main_begin();
	assert_int_equal(io_start(&io, &error), STATUS_OK);
	assert_int_equal(reclaim_start(&error), STATUS_OK);
	t.store = store_create(&store, &error);
	assert_non_null(t.store);
	t.pool = rte_pktmbuf_pool_create("client", 8191, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	assert_non_null(t.pool);
	snprintf(io.profile.driver, sizeof io.profile.driver, "net_ring_held");
	for (uint32_t i = 0; i < WORKERS; i++) {
		open_port(&io, i, mac);
		create_worker(i, mac);
		memcpy(t.link.peer_mac, mac, 6);
	}
	memcpy(t.link.mac, "\2\0\0\0\0\7", 6);
	memcpy(t.link.ip, "\x0a\0\0\7", 4);
	memcpy(t.link.peer_ip, "\x0a\0\0\1", 4);
	t.link.port = 40000;
	for (uint32_t i = 0; i < WORKERS; i++)
		worker_connect(t.workers[i], t.workers, WORKERS);
	for (uint32_t i = 0; i < WORKERS; i++)
		assert_int_equal(io_launch(i, worker_main, t.workers[i]), STATUS_OK);
	for (uint32_t i = 0; i < KEYS; i++)
		snprintf(t.keys[i], sizeof t.keys[i], "counter-%u", i);
	t.prng.state = 20261120;
	t.header = (struct native_header){ .version = NATIVE_VERSION, .client = 77, .sequence = 1, .window = 64 };
	return 0;
}

static int
stop(void **state)
{
	struct rte_mbuf *left;

	(void)state;
	role_main_begin();
	for (uint32_t i = 0; i < WORKERS; i++)
		worker_stop(t.workers[i]);
	for (uint32_t i = 0; i < WORKERS; i++)
		io_join(i);
	for (uint32_t i = 0; i < WORKERS; i++) {
		while (rte_ring_dequeue(t.from[i], (void **)&left) == 0)
			rte_pktmbuf_free(left);
		worker_destroy(t.workers[i]);
	}
	for (uint32_t i = 0; i < WORKERS; i++)
		port_close(t.ports[i]);
	store_destroy(t.store);
	reclaim_stop();
	io_stop();
	return 0;
}

/* The client's next frame, of one operation. */
static struct request
an_operation(enum op op, uint32_t key)
{
	struct request request = { .op = (uint8_t)op };

	if (op == OP_PING)
		return request;
	request.key = view_text(t.keys[key]);
	request.slot = slot_of_key(request.key);
	if (op == OP_INCR) {
		request.flags = REQUEST_CREATE;
		request.delta = request.initial = 1;
	}
	return request;
}

static void
send_to(uint32_t worker, const struct request *request)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(t.pool);
	uint8_t *frame, *payload;
	struct writer out;
	uint16_t len;

	assert_non_null(mbuf);
	frame = rte_pktmbuf_mtod(mbuf, uint8_t *);
	payload = frame + TEMPLATE_NATIVE;
	t.header.op_count = 1;
	native_header_compose(&t.header, payload);
	out = writer_of(payload + NATIVE_HEADER_LEN, 500);
	native_request_compose(&out, request);
	len = (uint16_t)(out.at - payload);
	t.link.peer_port = (uint16_t)(7411 + worker);
	link_headers(&t.link, frame, len);
	frame_checksum(frame, (uint16_t)(TEMPLATE_NATIVE + len));
	mbuf->data_len = mbuf->pkt_len = TEMPLATE_NATIVE + len;
	assert_int_equal(rte_ring_enqueue(t.to[worker], mbuf), 0);
}

/* The next answer to the present sequence, from whichever worker; its packet is the caller's to free. */
static struct rte_mbuf *
receive(uint32_t *worker)
{
	uint64_t start = io_cycles();

	for (uint32_t i = 0;; i = (i + 1) % WORKERS) {
		struct rte_mbuf *mbuf;

		if (io_cycles() - start > LOST_CYCLES_S * io_cycles_hz())
			return NULL;
		if (rte_ring_dequeue(t.from[i], (void **)&mbuf) != 0)
			continue;
		*worker = i;
		if (load_le64(rte_pktmbuf_mtod(mbuf, uint8_t *) + TEMPLATE_SEQUENCE) == t.header.sequence)
			return mbuf;
		rte_pktmbuf_free(mbuf);
	}
}

static struct native_result
await(uint32_t *worker)
{
	struct rte_mbuf *mbuf = receive(worker);
	struct native_header header;
	struct native_result result;
	uint8_t *payload;
	struct reader in;

	assert_non_null(mbuf);
	payload = rte_pktmbuf_mtod(mbuf, uint8_t *) + TEMPLATE_NATIVE;
	assert_true(native_header_parse(view_of(payload, mbuf->data_len - TEMPLATE_NATIVE), &header));
	t.header.cookie = header.cookie;
	in = reader_of(payload + NATIVE_HEADER_LEN, mbuf->data_len - TEMPLATE_NATIVE - NATIVE_HEADER_LEN);
	if (header.error != OP_STATUS_OK)
		result = (struct native_result){ .status = header.error };
	else
		assert_true(native_result_parse(&in, &result));
	result.value = view_of(NULL, 0); /* dies with the packet */
	rte_pktmbuf_free(mbuf);
	return result;
}

static void
a_worker_challenges_and_another_takes_the_cookie(void **state)
{
	struct request ping = an_operation(OP_PING, 0);
	uint32_t worker;

	(void)state;
	send_to(0, &ping);
	assert_int_equal(await(&worker).status, OP_STATUS_UNPROVEN);
	send_to(1, &ping);
	assert_int_equal(await(&worker).status, OP_STATUS_OK);
	assert_int_equal(worker, 1);
}

/* Every copy, at whichever worker, answers the one number that the first execution gave. */
static void
repeated_increments_at_either_worker_count_once(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < ROUNDS; round++) {
		uint32_t key = (uint32_t)prng_below(&t.prng, KEYS), worker;
		uint32_t copies = 1 + (uint32_t)prng_below(&t.prng, COPIES_MAX);
		struct request request = an_operation(OP_INCR, key);

		t.header.sequence++;
		for (uint32_t i = 0; i < copies; i++)
			send_to((uint32_t)prng_below(&t.prng, WORKERS), &request);
		t.numbers[key]++;
		for (uint32_t i = 0; i < copies; i++) {
			struct native_result result = await(&worker);

			assert_int_equal(result.status, OP_STATUS_OK);
			assert_int_equal(result.number, t.numbers[key]);
			assert_int_equal(worker, request.slot % WORKERS); /* the owner answers */
		}
	}
	assert_true(counter_read(&t.counters[0], COUNTER_MAIL_RUN) > ROUNDS / 8);
	assert_true(counter_read(&t.counters[1], COUNTER_MAIL_RUN) > ROUNDS / 8);
}

static uint64_t
median_us(enum op op, bool foreign)
{
	struct histogram *histogram = calloc(1, sizeof *histogram);
	uint64_t median;

	assert_non_null(histogram);
	histogram_init(histogram);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		struct request request = an_operation(op, (uint32_t)prng_below(&t.prng, KEYS));
		uint32_t owner = request.slot % WORKERS, worker;
		uint64_t start;

		t.header.sequence++;
		start = io_cycles();
		send_to(foreign ? !owner : owner, &request);
		assert_int_equal(await(&worker).status, OP_STATUS_OK);
		histogram_record(histogram, (io_cycles() - start) * 1000000 / io_cycles_hz());
	}
	median = histogram_percentile(histogram, 50);
	free(histogram);
	return median;
}

/* Bounds are wide: two workers that sleep, and a client that spins, share two cores with others. */
static void
a_mailed_write_wakes_its_owner_soon(void **state)
{
	uint64_t own = median_us(OP_INCR, false), mailed = median_us(OP_INCR, true);

	(void)state;
	printf("median round trip: %llu us at the owner, %llu us mailed\n", (unsigned long long)own,
	    (unsigned long long)mailed);
	assert_true(mailed < 20000);
}

/* --- connections ---------------------------------------------------------------------------- */

enum { TCP_AT = TEMPLATE_NATIVE - UDP_HEADER_LEN, SYN = 2, RST = 4, ACK = 16, CLIENT_PORT = 40001,
	PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, ICMP_UNREACHABLE_TYPE = 3, CODE_PORT = 3, CODE_FRAGMENTATION = 4 };

/* The headers before layer 4, of which there are l4_len bytes. */
static void
ip_headers(uint8_t *frame, uint8_t protocol, uint16_t l4_len)
{
	uint8_t *ip = frame + ETHERNET_HEADER_LEN;

	link_headers(&t.link, frame, (uint16_t)(l4_len - UDP_HEADER_LEN));
	ip[9] = protocol;
	store_be16(ip + 10, 0);
	store_be16(ip + 10, internet_checksum(ip, IPV4_HEADER_LEN, 0));
}

/* One segment of the client's connection, to either worker; a SYN says that segments of 1460 bytes may come. */
static void
send_segment(uint32_t worker, uint8_t flags, uint32_t seq, uint32_t ack, const char *text)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(t.pool);
	uint16_t header_len = flags & SYN ? 24 : 20, len = (uint16_t)(header_len + strlen(text));
	uint8_t *frame, *tcp;

	assert_non_null(mbuf);
	frame = rte_pktmbuf_mtod(mbuf, uint8_t *);
	tcp = frame + TCP_AT;
	ip_headers(frame, PROTOCOL_TCP, len);
	memset(tcp, 0, 20);
	store_be16(tcp, CLIENT_PORT);
	store_be16(tcp + 2, 11211);
	store_be32(tcp + 4, seq);
	store_be32(tcp + 8, ack);
	tcp[12] = (uint8_t)(header_len / 4 << 4);
	tcp[13] = flags;
	store_be16(tcp + 14, 60000);
	memcpy(tcp + 20, "\2\4\5\264", header_len - 20u);
	memcpy(tcp + header_len, text, strlen(text));
	store_be16(tcp + 16, internet_checksum(tcp, len, PROTOCOL_TCP + len + load_be16(t.link.ip) + load_be16(t.link.ip + 2) +
	    load_be16(t.link.peer_ip) + load_be16(t.link.peer_ip + 2)));
	mbuf->data_len = mbuf->pkt_len = (uint16_t)(TCP_AT + len);
	assert_int_equal(rte_ring_enqueue(t.to[worker], mbuf), 0);
}

/* An ICMP error about a segment that the node sent from its port 11211, to either worker. */
static void
send_error(uint32_t worker, uint8_t code, uint32_t seq, uint16_t mtu)
{
	enum { QUOTE_AT = 8, LEN = QUOTE_AT + IPV4_HEADER_LEN + 8 };
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(t.pool);
	uint8_t *frame, *icmp, *quote;

	assert_non_null(mbuf);
	frame = rte_pktmbuf_mtod(mbuf, uint8_t *);
	icmp = frame + TCP_AT;
	quote = icmp + QUOTE_AT;
	ip_headers(frame, PROTOCOL_ICMP, LEN);
	memset(icmp, 0, QUOTE_AT);
	icmp[0] = ICMP_UNREACHABLE_TYPE;
	icmp[1] = code;
	store_be16(icmp + 6, mtu);
	memcpy(quote, frame + ETHERNET_HEADER_LEN, IPV4_HEADER_LEN);
	quote[9] = PROTOCOL_TCP;
	memcpy(quote + 12, t.link.peer_ip, 4);
	memcpy(quote + 16, t.link.ip, 4);
	store_be16(quote + IPV4_HEADER_LEN, 11211);
	store_be16(quote + IPV4_HEADER_LEN + 2, CLIENT_PORT);
	store_be32(quote + IPV4_HEADER_LEN + 4, seq);
	store_be16(icmp + 2, internet_checksum(icmp, LEN, 0));
	mbuf->data_len = mbuf->pkt_len = (uint16_t)(TCP_AT + LEN);
	assert_int_equal(rte_ring_enqueue(t.to[worker], mbuf), 0);
}

/* The next segment from a worker; its packet is the caller's to free. */
static struct rte_mbuf *
receive_segment(uint32_t worker)
{
	uint64_t start = io_cycles();
	struct rte_mbuf *mbuf;

	while (io_cycles() - start < LOST_CYCLES_S * io_cycles_hz()) {
		if (rte_ring_dequeue(t.from[worker], (void **)&mbuf) != 0)
			continue;
		if (rte_pktmbuf_mtod(mbuf, uint8_t *)[ETHERNET_HEADER_LEN + 9] == 6)
			return mbuf;
		rte_pktmbuf_free(mbuf);
	}
	return NULL;
}

static uint32_t
open_at(uint32_t worker)
{
	struct rte_mbuf *mbuf;
	const uint8_t *tcp;
	uint32_t seq;

	send_segment(worker, SYN, 1000, 0, "");
	mbuf = receive_segment(worker);
	assert_non_null(mbuf);
	tcp = rte_pktmbuf_mtod(mbuf, uint8_t *) + TCP_AT;
	assert_int_equal(tcp[13], SYN | ACK);
	seq = load_be32(tcp + 4) + 1;
	rte_pktmbuf_free(mbuf);
	return seq;
}

static void
a_segment_at_the_wrong_worker_finds_its_connection(void **state)
{
	static const char answer[] = "VERSION ";
	uint32_t seq = open_at(0);
	bool answered = false;

	(void)state;
	send_segment(1, ACK, 1001, seq, "version\r\n");
	while (!answered) {
		struct rte_mbuf *mbuf = receive_segment(0); /* the connection's worker answers, by its own port */
		const uint8_t *tcp;

		assert_non_null(mbuf);
		tcp = rte_pktmbuf_mtod(mbuf, uint8_t *) + TCP_AT;
		answered = mbuf->data_len > TCP_AT + 20 + 8 && memcmp(tcp + (tcp[12] >> 4) * 4, answer, 8) == 0;
		rte_pktmbuf_free(mbuf);
	}
	assert_int_equal(counter_read(&t.counters[1], COUNTER_TCP_STRAYS), 1);
	send_segment(0, RST | ACK, 1010, seq, "");
}

/* Both are asked; the last one answers as to any stranger. */
static void
a_segment_of_no_connection_is_reset_once(void **state)
{
	uint64_t strays = counter_read(&t.counters[0], COUNTER_TCP_STRAYS);
	struct rte_mbuf *mbuf;

	(void)state;
	send_segment(0, ACK, 5000, 6000, "get x\r\n");
	mbuf = receive_segment(1);
	assert_non_null(mbuf);
	assert_int_equal(rte_pktmbuf_mtod(mbuf, uint8_t *)[TCP_AT + 13] & RST, RST);
	rte_pktmbuf_free(mbuf);
	assert_int_equal(counter_read(&t.counters[0], COUNTER_TCP_STRAYS), strays + 1);
}

/* Waits until a worker's counter has grown to `value`. */
static void
await_counter(uint32_t worker, enum counter counter, uint64_t value)
{
	uint64_t start = io_cycles();

	while (counter_read(&t.counters[worker], counter) < value && io_cycles() - start < LOST_CYCLES_S * io_cycles_hz())
		usleep(100);
	assert_int_equal(counter_read(&t.counters[worker], counter), value);
}

/* Worker 1 gets them as a NIC would have it that spreads by the router's address; worker 0 judges them as its own. */
static void
errors_at_the_wrong_worker_find_their_connection(void **state)
{
	uint64_t strays = counter_read(&t.counters[1], COUNTER_TCP_STRAYS);
	uint32_t seq = open_at(0);
	uint64_t ignored;

	(void)state;
	send_segment(0, ACK, 1001, seq, "version\r\n"); /* its answer is not acknowledged: it stays in flight */
	rte_pktmbuf_free(receive_segment(0));
	ignored = counter_read(&t.counters[0], COUNTER_TCP_ICMP_IGNORED);
	send_error(1, CODE_FRAGMENTATION, seq, 1000);
	await_counter(0, COUNTER_TCP_PATH_MTU, 1);
	send_error(1, CODE_PORT, seq, 0);
	await_counter(0, COUNTER_TCP_ICMP_SOFT, 1);
	send_error(1, CODE_FRAGMENTATION, seq + 100000, 600); /* not in flight: forged */
	await_counter(0, COUNTER_TCP_ICMP_IGNORED, ignored + 1);
	assert_int_equal(counter_read(&t.counters[0], COUNTER_TCP_PATH_MTU), 1);
	assert_int_equal(counter_read(&t.counters[1], COUNTER_TCP_STRAYS), strays + 3);
	send_segment(0, RST | ACK, 1010, seq, "");
}

/* Both are asked; the last one passes it over. */
static void
an_error_of_no_connection_is_passed_over_once(void **state)
{
	uint64_t strays = counter_read(&t.counters[0], COUNTER_TCP_STRAYS);
	uint64_t ignored = counter_read(&t.counters[1], COUNTER_TCP_ICMP_IGNORED);

	(void)state;
	await_counter(0, COUNTER_TCP_RESETS_IN, 2); /* the connections of the tests before are gone */
	send_error(0, CODE_PORT, 77, 0);
	await_counter(1, COUNTER_TCP_ICMP_IGNORED, ignored + 1);
	assert_int_equal(counter_read(&t.counters[0], COUNTER_TCP_STRAYS), strays + 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_worker_challenges_and_another_takes_the_cookie),
		cmocka_unit_test(repeated_increments_at_either_worker_count_once),
		cmocka_unit_test(a_mailed_write_wakes_its_owner_soon),
		cmocka_unit_test(a_segment_at_the_wrong_worker_finds_its_connection),
		cmocka_unit_test(a_segment_of_no_connection_is_reset_once),
		cmocka_unit_test(errors_at_the_wrong_worker_find_their_connection),
		cmocka_unit_test(an_error_of_no_connection_is_passed_over_once),
	};

	return cmocka_run_group_tests_name("workers over net_ring", tests, start, stop);
}
