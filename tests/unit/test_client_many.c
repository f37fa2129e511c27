/*
 * libslipring and a cluster of a thousand members: their topology comes in pages, lanes and
 * memory stay bounded, and members that nobody knows the place of are gone round. All
 * members are one child process that answers at any address of 127.0.0.0/8.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/endpoint.h"
#include "proto/native.h"
#include "proto/topology.h"
#include "ring/slot.h"
#include "ring/table.h"
#include "tests/unit/loopback.h"

/* What a handle takes with a thousand members; sanitizers keep shadows and fences beside it. */
#define RESIDENT_KIB_MAX (32 * 1024)
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#undef RESIDENT_KIB_MAX
#define RESIDENT_KIB_MAX (1024 * 1024)
#endif
#endif

enum { MEMBERS = 1000, EPOCH = 77, PAGE = 1400, LOST = 10 /* members without a place */ };

struct child {
	int fd;
	uint16_t port;
	uint8_t topology[TOPOLOGY_SIZE_MAX];
	uint32_t topology_len;
};

static uint64_t
member_id(uint32_t i)
{
	char name[8];

	return ring_member_id(name, (size_t)snprintf(name, sizeof name, "m%u", i));
}

static void
compose_topology(struct child *child)
{
	const struct topology header = { .epoch = EPOCH, .rule = TOPOLOGY_RENDEZVOUS, .slot_count = SLOT_COUNT,
		.node_count = MEMBERS, .replication = 3 };
	struct writer out = writer_of(child->topology, sizeof child->topology);

	topology_compose(&out, &header);
	for (uint32_t i = 0; i < MEMBERS; i++) {
		struct topology_node node = { .index = (uint16_t)i, .first_port = i < LOST ? 0 : child->port, .worker_count = 1,
			.state = TOPOLOGY_NODE_ALIVE, .weight = RING_WEIGHT_DEFAULT, .id = member_id(i) };
		const uint8_t address[] = { 127, 1, (uint8_t)(i >> 8), (uint8_t)i };

		endpoint_map_ipv4(node.ip, address);
		topology_member_compose(&out, &node);
	}
	CHECK(!out.failed);
	child->topology_len = (uint32_t)(out.at - child->topology);
}

/* The result of one operation: a page, or the address that was asked as the value. */
static void
answer_op(const struct child *child, const uint8_t *op, uint8_t index, struct in_addr asked, struct writer *out)
{
	uint32_t offset = op[0] == OP_TOPOLOGY ? load_le32(op + NATIVE_REQUEST_OP_LEN) : 0;
	struct view value = view_of(&asked, sizeof asked);
	uint32_t total = value.len;

	if (op[0] == OP_TOPOLOGY) {
		value = view_of(child->topology + offset, child->topology_len - offset);
		total = child->topology_len;
		if (value.len > PAGE)
			value.len = PAGE;
	}
	writer_u8(out, op[0]);
	writer_u8(out, op[0] == OP_GET || op[0] == OP_TOPOLOGY || op[0] == OP_PING ? OP_STATUS_OK : OP_STATUS_BUSY);
	writer_u8(out, index);
	writer_u8(out, op[0] == OP_GET ? 8 : op[0] == OP_TOPOLOGY ? 4 : 0);
	writer_le32(out, op[0] == OP_PING ? 0 : value.len);
	writer_le64(out, 0);
	if (op[0] == OP_GET)
		writer_le32(out, 0);
	if (op[0] != OP_PING) {
		writer_le32(out, total);
		writer_bytes(out, value.data, value.len);
	}
}

static uint16_t
answer_frame(const struct child *child, const uint8_t *in, struct in_addr asked, uint8_t *frame)
{
	struct native_header header = { .version = NATIVE_VERSION, .flags = NATIVE_FLAG_RESPONSE, .op_count = in[4],
		.client = load_le64(in + 8), .sequence = load_le64(in + 16), .cookie = 1ull << 48 | 1, .epoch = EPOCH };
	struct writer out = writer_of(frame + NATIVE_HEADER_LEN, UDP_PAYLOAD_MAX - NATIVE_HEADER_LEN);
	const uint8_t *op = in + NATIVE_HEADER_LEN;

	native_header_compose(&header, frame);
	for (uint8_t i = 0; i < in[4]; i++) {
		answer_op(child, op, i, asked, &out);
		op += NATIVE_REQUEST_OP_LEN + op[6] + load_le16(op + 4) + load_le32(op + 8);
	}
	CHECK(!out.failed);
	return (uint16_t)(out.at - frame);
}

/* Answers from the address that was asked, whichever it was. */
static void
serve(const struct child *child)
{
	for (;;) {
		uint8_t in[2048], frame[UDP_PAYLOAD_MAX];
		_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct in_pktinfo))];
		struct sockaddr_in peer;
		struct iovec part = { in, sizeof in };
		struct msghdr message = { .msg_name = &peer, .msg_namelen = sizeof peer, .msg_iov = &part, .msg_iovlen = 1,
			.msg_control = control, .msg_controllen = sizeof control };
		struct in_pktinfo *place;

		if (recvmsg(child->fd, &message, 0) < NATIVE_HEADER_LEN)
			continue;
		place = (struct in_pktinfo *)(void *)CMSG_DATA(CMSG_FIRSTHDR(&message));
		part = (struct iovec){ frame, answer_frame(child, in, place->ipi_addr, frame) };
		place->ipi_spec_dst = place->ipi_addr;
		place->ipi_ifindex = 0;
		(void)sendmsg(child->fd, &message, 0);
	}
}

static pid_t
start(uint16_t *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 0x10000) };
	socklen_t len = sizeof address;
	struct child child = { .fd = socket(AF_INET, SOCK_DGRAM, 0) };
	int yes = 1;
	pid_t pid;

	/* A free port of one address is found first; nobody else's are used by the test. */
	assert_int_equal(bind(child.fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(getsockname(child.fd, (struct sockaddr *)&address, &len), 0);
	close(child.fd);
	child.fd = socket(AF_INET, SOCK_DGRAM, 0);
	address.sin_addr.s_addr = htonl(INADDR_ANY);
	setsockopt(child.fd, IPPROTO_IP, IP_PKTINFO, &yes, sizeof yes);
	setsockopt(child.fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2); /* where that is allowed */
	assert_int_equal(bind(child.fd, (struct sockaddr *)&address, sizeof address), 0);
	*port = child.port = ntohs(address.sin_port);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		compose_topology(&child);
		serve(&child);
	}
	close(child.fd);
	return pid;
}

static size_t
resident_kib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (size_t)usage.ru_maxrss;
}

static struct ring_snapshot ring;

/* The table as this test computes it. */
static void
build_ring(void)
{
	void *scratch = aligned_alloc(64, (ring_scratch_size() + 63) / 64 * 64);

	ring.topology = (struct ring_topology){ .epoch = EPOCH, .replication = 3 };
	for (uint32_t i = 0; i < MEMBERS; i++) {
		struct ring_member member = { .id = member_id(i), .index = (uint16_t)i, .weight = RING_WEIGHT_DEFAULT,
			.state = RING_ALIVE };

		assert_true(ring_topology_add(&ring.topology, &member));
	}
	ring_build(&ring.topology, scratch, &ring.table);
	free(scratch);
}

static void
a_thousand_members_are_asked_each_for_its_own(void **state)
{
	struct slipring_node *nodes = calloc(MEMBERS, sizeof *nodes);
	struct slipring_cluster cluster;
	struct slipring_options options;
	struct slipring *cache;
	unsigned straight = 0, asked = 0;
	size_t before;
	uint16_t port;
	pid_t child = start(&port);

	(void)state;
	build_ring();
	before = resident_kib();
	slipring_options_init(&options);
	options.port = port;
	cache = slipring_open("127.1.1.1", &options);
	assert_int_equal(slipring_ready(cache), SLIPRING_OK);
	for (unsigned i = 0; i < 3000; i++) {
		char key[16];
		int len = snprintf(key, sizeof key, "k%u", i);
		uint16_t owner = ring_owner(&ring.table, slot_of_key(view_of(key, (uint32_t)len)), 0);
		uint16_t index = ring.topology.members[owner].index;
		const uint8_t address[] = { 127, 1, (uint8_t)(index >> 8), (uint8_t)index };
		struct slipring_result r;

		assert_int_equal(slipring_get(cache, key, (size_t)len, &r), SLIPRING_OK);
		assert_int_equal(r.value_len, 4);
		if (index < LOST)
			continue; /* its place is not known: any other node */
		asked++;
		straight += memcmp(r.value, address, 4) == 0;
	}
	assert_int_equal(slipring_nodes(cache, nodes, MEMBERS), MEMBERS);
	slipring_cluster(cache, &cluster);
	assert_int_equal(cluster.epoch, EPOCH);
	assert_int_equal(cluster.member_count, MEMBERS);
	assert_int_equal(cluster.owner_count, 3);
	assert_int_equal(cluster.topologies, 1);
	/* A repeat on a busy machine may go round, the others do not. */
	assert_in_range(straight, asked - 30, asked);
	assert_in_range(cluster.lanes, 1, 130);
	print_message("%u of %u straight, %u lanes open, %zu KiB more than before\n", straight, asked, cluster.lanes,
	    resident_kib() - before);
	assert_in_range(resident_kib() - before, 0, RESIDENT_KIB_MAX);
	slipring_close(cache);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	free(nodes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thousand_members_are_asked_each_for_its_own),
	};

	return cmocka_run_group_tests_name("client and many nodes", tests, NULL, NULL);
}
