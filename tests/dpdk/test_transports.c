/*
 * Every transport that needs no lab carries every payload length byte for byte, and
 * lib/io refuses what a port cannot send. Each case runs in a process of its own:
 * EAL starts once a process. vhost with virtio_user needs 64 free huge pages of
 * 2 MiB; as root the test adds them and takes them back, else it is skipped.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_mbuf.h>

#include "base/check.h"
#include "io/io.h"

enum { PAYLOAD_OFFSET = PKT_UDP_PAYLOAD_OFFSET, HUGE_PAGES = 64, WAIT_SECONDS = 10 };

static const struct io_profile ring = { .name = "ring", .driver = "net_ring", .rx_descriptors = 1024,
	.tx_descriptors = 1024, .mbufs = 4096, .queues = 1 };
static const struct io_profile ring_chains = { .name = "ring", .driver = "net_ring", .rx_descriptors = 1024,
	.tx_descriptors = 1024, .mbufs = 4096, .queues = 1, .external_tx = true };
static const struct io_profile vhost = { .name = "vhost", .driver = "net_vhost",
	.arguments = "iface={interface},queues=1", .rx_descriptors = 1024, .tx_descriptors = 1024,
	.mbufs = 4096, .queues = 1, .external_tx = true };
static const struct io_profile virtio_user = { .name = "virtio-user", .driver = "net_virtio_user",
	.arguments = "path={interface},queues=1,queue_size=1024", .eal = "--single-file-segments",
	.rx_descriptors = 1024, .tx_descriptors = 1024, .mbufs = 4096, .queues = 1, .external_tx = true };

/* One end of a link, in the process that has it. */
struct end {
	struct port *port;
	struct counters counters;
	struct pkt fresh[SPARE_MAX];
	struct spares spares;
	bool refers;   /* what it sends stands partly elsewhere (port_append) */
	uint16_t pins; /* of all such frames */
	uint8_t elsewhere[UDP_PAYLOAD_MAX];
};

static char socket_path[64];

/* ---- in the child ---- */

static struct end *
open_end(const struct io_profile *profile, bool huge)
{
	static struct io_config config;
	static struct end end;
	struct error error;
	uint8_t mac[6];

	config = (struct io_config){ .worker_count = 1, .float_lcores = true, .no_huge = !huge,
		.profile = *profile };
	snprintf(config.interfaces[0], sizeof config.interfaces[0], "%s", socket_path);
	config.memory_mb = io_memory_mb(&config, 0);
	if (io_start(&config, &error) != STATUS_OK || !(end.port = port_open(&config, 0, mac, &error))) {
		fprintf(stderr, "%s: %s\n", profile->driver, error.text);
		exit(1);
	}
	end.spares = (struct spares){ end.fresh, 0, 0 };
	port_refill(end.port, &end.spares);
	return &end;
}

static void
close_end(struct end *end)
{
	port_release(end->port, &end->spares);
	port_close(end->port);
	io_stop();
}

/* A different byte at every place of every frame, so that no two frames can be mistaken. */
static uint8_t
pattern(uint32_t len, uint32_t at)
{
	return (uint8_t)((len * 2654435761u + at * 40503u) >> 8);
}

/* The last bytes of a frame of `len` leave it, and are appended by reference; more or fewer of them, by the length. */
static void
append_end(struct end *end, struct pkt *pkt, uint32_t len)
{
	struct pkt_tail tail = { .data = end->elsewhere, .pins = &end->pins, .len = (uint16_t)(1 + len * 7919 % 1471 % len) };

	pkt->len = (uint16_t)(pkt->len - tail.len);
	memcpy(end->elsewhere, pkt->data + pkt->len, tail.len);
	memset(pkt->data + pkt->len, 0, tail.len);
	CHECK(outq_pin(&end->pins));
	port_append(end->port, pkt, &tail);
}

static void
send_payload(struct end *end, uint32_t len)
{
	struct pkt *pkt = spares_take(&end->spares);

	CHECK(pkt && pkt->room >= PAYLOAD_OFFSET + len);
	pkt->len = (uint16_t)(PAYLOAD_OFFSET + len);
	for (uint32_t i = 0; i < pkt->len; i++)
		pkt->data[i] = pattern(len, i);
	if (end->refers)
		append_end(end, pkt, len);
	pkt->disposition = PKT_SEND;
	port_tx(end->port, pkt, 1, &end->counters);
	port_refill(end->port, &end->spares);
}

/* Waits for one frame; false: none came. Its pkt must be given to port_tx. */
static bool
receive(struct end *end, struct pkt *pkt)
{
	time_t give_up = time(NULL) + WAIT_SECONDS;

	while (time(NULL) < give_up)
		if (port_rx(end->port, pkt, 1, &end->counters))
			return true;
	return false;
}

static bool
is_payload(const struct pkt *pkt, uint32_t len)
{
	if (pkt->len != PAYLOAD_OFFSET + len) {
		fprintf(stderr, "payload of %u bytes: frame of %u arrived\n", len, pkt->len);
		return false;
	}
	for (uint32_t i = 0; i < pkt->len; i++)
		if (pkt->data[i] != pattern(len, i)) {
			fprintf(stderr, "payload of %u bytes: byte %u of its frame differs\n", len, i);
			return false;
		}
	return true;
}

/* Sends every length and compares what the other end sends back. */
static int
exchange(struct end *end)
{
	struct pkt pkt;

	for (uint32_t len = 1; len <= UDP_PAYLOAD_MAX; len++) {
		bool same;

		send_payload(end, len);
		if (!receive(end, &pkt)) {
			fprintf(stderr, "payload of %u bytes: nothing came back\n", len);
			return 1;
		}
		same = is_payload(&pkt, len);
		pkt.disposition = PKT_DONE;
		port_tx(end->port, &pkt, 1, &end->counters);
		if (!same)
			return 1;
	}
	return counter_read(&end->counters, COUNTER_RX_FRAMES) == UDP_PAYLOAD_MAX ? 0 : 1;
}

static int
ring_carries(void)
{
	struct end *end = open_end(&ring, false);
	int status = exchange(end);

	close_end(end);
	return status;
}

static int
vhost_sends(void)
{
	struct end *end = open_end(&vhost, true);
	struct pkt pkt;
	int status = receive(end, &pkt) ? 0 : 1; /* the peer's greeting: it is connected */

	if (status == 0) {
		pkt.disposition = PKT_DONE;
		port_tx(end->port, &pkt, 1, &end->counters);
		memset(&end->counters, 0, sizeof end->counters);
		end->refers = true;
		status = exchange(end);
		status += counter_read(&end->counters, COUNTER_TX_REFERRED) != UDP_PAYLOAD_MAX;
		status += end->pins != 0;
	}
	close_end(end);
	return status;
}

static int
virtio_user_returns(void)
{
	struct end *end = open_end(&virtio_user, true);
	struct port_info info;
	struct pkt pkt;

	/* Whatever the profile says: the switch cannot see memory that it has no file of. */
	port_info(end->port, &info);
	CHECK(info.tails == PORT_TAILS_MEMORY);
	end->refers = true;
	send_payload(end, 1);
	CHECK(counter_read(&end->counters, COUNTER_TX_REFERRED) == 0 && end->pins == 0);
	for (uint32_t i = 0; i < UDP_PAYLOAD_MAX && receive(end, &pkt); i++) {
		pkt.disposition = PKT_SEND;
		port_tx(end->port, &pkt, 1, &end->counters);
	}
	sleep(1); /* the last frame is taken from our memory */
	close_end(end);
	return counter_read(&end->counters, COUNTER_TX_FRAMES) == UDP_PAYLOAD_MAX + 1 ? 0 : 1;
}

/* Makes a frame of two buffers behind lib/io's back. */
static void
send_chain(struct end *end)
{
	struct pkt *head = spares_take(&end->spares), *tail = spares_take(&end->spares);

	CHECK(head && tail);
	head->len = 100;
	CHECK(rte_pktmbuf_append(tail->handle, 100));
	CHECK(rte_pktmbuf_chain(head->handle, tail->handle) == 0);
	head->disposition = PKT_SEND;
	port_tx(end->port, head, 1, &end->counters);
}

static void
forget(void *buffer, void *argument)
{
	(void)buffer;
	(void)argument;
}

/* A frame whose bytes stand in memory that is not the port's. */
static void
send_external(struct end *end)
{
	static uint8_t memory[1024];
	static struct rte_mbuf_ext_shared_info shared = { .free_cb = forget, .refcnt = 1 };
	struct pkt *pkt = spares_take(&end->spares);

	CHECK(pkt);
	rte_pktmbuf_attach_extbuf(pkt->handle, memory, 0, sizeof memory, &shared);
	pkt->data = memory;
	pkt->len = 100;
	pkt->disposition = PKT_SEND;
	port_tx(end->port, pkt, 1, &end->counters);
}

static int
chains_are_refused(void)
{
	struct end *end = open_end(&ring, false);
	struct pkt pkt;
	int wrong;

	send_chain(end);
	send_external(end);
	wrong = drop_read(&end->counters, DROP_TX_CHAIN) != 2;
	wrong += counter_read(&end->counters, COUNTER_TX_FRAMES) != 0;
	wrong += port_rx(end->port, &pkt, 1, &end->counters) != 0;
	close_end(end);
	return wrong;
}

static int
chains_are_sent(void)
{
	struct end *end = open_end(&ring_chains, false);
	struct pkt pkt;
	int wrong;

	send_chain(end);
	wrong = drop_read(&end->counters, DROP_TX_CHAIN) != 0;
	wrong += counter_read(&end->counters, COUNTER_TX_FRAMES) != 1;
	/* On the way in a chain is dropped by name: nothing above io knows several segments. */
	wrong += !receive(end, &pkt) || pkt.disposition != PKT_DROP || pkt.drop != DROP_RX_CHAIN;
	if (!wrong)
		port_tx(end->port, &pkt, 1, &end->counters);
	close_end(end);
	return wrong;
}

/* ---- in the parent ---- */

static pid_t
begin(int (*end)(void))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(60); /* a hung end may not hang the tests */
		signal(SIGPIPE, SIG_IGN); /* virtio_user says goodbye to a vhost that may be gone */
		exit(end());
	}
	return pid;
}

static void
ends_well(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		print_message("the process ended by signal %d\n", WTERMSIG(status));
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static long
huge_pages(const char *path, long set)
{
	FILE *file = fopen(path, set < 0 ? "r" : "w");
	long pages = -1;

	if (!file)
		return -1;
	if (set >= 0)
		fprintf(file, "%ld", set);
	else if (fscanf(file, "%ld", &pages) != 1)
		pages = -1;
	return fclose(file) == 0 ? pages : -1;
}

#define NR_HUGE "/proc/sys/vm/nr_hugepages"

static long pages_before = -1; /* -1: nothing was added */

static int
take_huge_pages(void **state)
{
	(void)state;
	if (io_huge_free_bytes() < HUGE_PAGES * 2ull << 20) {
		pages_before = huge_pages(NR_HUGE, -1);
		if (pages_before >= 0)
			huge_pages(NR_HUGE, pages_before + HUGE_PAGES);
	}
	return 0;
}

/* Takes back what was added, never below what was there: others add and take, too. */
static int
give_huge_pages(void **state)
{
	long count = huge_pages(NR_HUGE, -1);

	(void)state;
	if (pages_before >= 0 && count > pages_before)
		huge_pages(NR_HUGE, count - HUGE_PAGES > pages_before ? count - HUGE_PAGES : pages_before);
	return 0;
}

static void
a_ring_carries_every_length(void **state)
{
	(void)state;
	ends_well(begin(ring_carries));
}

static void
vhost_and_virtio_user_carry_every_length(void **state)
{
	pid_t server, client;

	(void)state;
	if (io_huge_free_bytes() < HUGE_PAGES * 2ull << 20) {
		print_message("needs %d free huge pages, and root to add them\n", HUGE_PAGES);
		skip();
	}
	snprintf(socket_path, sizeof socket_path, "/tmp/slipring-test-%d.sock", (int)getpid());
	unlink(socket_path);
	server = begin(vhost_sends);
	for (int i = 0; i < 100 && access(socket_path, F_OK); i++)
		usleep(50000);
	client = begin(virtio_user_returns);
	ends_well(server);
	ends_well(client);
	unlink(socket_path);
}

static void
a_port_that_cannot_send_chains_refuses_them(void **state)
{
	(void)state;
	ends_well(begin(chains_are_refused));
}

static void
a_port_that_can_send_chains_sends_them(void **state)
{
	(void)state;
	ends_well(begin(chains_are_sent));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ring_carries_every_length),
		cmocka_unit_test_setup_teardown(vhost_and_virtio_user_carry_every_length, take_huge_pages,
		    give_huge_pages),
		cmocka_unit_test(a_port_that_cannot_send_chains_refuses_them),
		cmocka_unit_test(a_port_that_can_send_chains_sends_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
