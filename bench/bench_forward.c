/*
 * bench_forward - a GET at a node that owns the key, and at one that has to ask the owner.
 *
 * How: one thread with a kernel UDP socket, which spins on it or sleeps (--client), speaks the native protocol to one
 *   node of a cluster only, with a closed window of single-GET frames. Keys are picked by the node's own
 *   topology: those it owns ("direct") and those of one other node ("forwarded"). The two take
 *   turns, so that whatever slows the machine slows both. Around every turn the counters of both
 *   nodes are read: TSC cycles of rounds of their workers and control cores that found work; and, where their
 *   processes are given (--pids), what their threads had from the scheduler (bench/schedstat.h).
 * Every value is compared. A request unanswered for 200 ms is lost, and reported as such.
 * One line of JSON a mode and window on stdout.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/now.h"
#include "bench/report.h"
#include "bench/schedstat.h"
#include "bench/workload.h"
#include "proto/native.h"
#include "proto/topology.h"
#include "ring/slot.h"
#include "ring/table.h"

enum { KEYS = 4096, VALUE_LEN = 64, WINDOW_MAX = 256, BATCH = 32, WINDOWS = 3, MODES = 2, TURNS_MAX = 64 };

static const uint32_t windows[WINDOWS] = { 1, 16, 128 };
static const char *const modes[MODES] = { "direct", "forwarded" };
static const uint64_t loss_ns = 200 * NS_PER_MS;

enum figure { WORKERS, CORE, ANSWERED, FIGURES };
static const char *const figure_names[FIGURES] = { "busy_cycles", "core_busy_cycles", "forward_answered" };

struct node {
	int fd;
	uint64_t cookie, sequence;
	uint8_t ip[16];
};

struct flight {
	uint64_t sequence, sent_ns;
	uint32_t key;
	bool waiting;
};

/* Whose time on a CPU, and before it, is told: two nodes' threads and the client. */
enum who { ASKED_WORKER, ASKED_CORE, OWNER_CORE, OWNER_WORKER, CLIENT, WHO };
static const char *const who_names[WHO] = { "asked_worker", "asked_core", "owner_core", "owner_worker", "client" };

struct outcome {
	struct histogram times;
	struct schedstat had[WHO];
	uint64_t answered, lost;
	double cycles[TURNS_MAX], asked[TURNS_MAX], owner[TURNS_MAX], core[TURNS_MAX];
	uint32_t turns;
	double seconds;
};

struct bench {
	const char *server, *other;
	uint16_t port;
	double seconds;
	bool sleeps; /* the client */
	long asked_pid, owner_pid; /* 0: not given */
	struct node asked, owner;
	uint64_t client;
	uint32_t keys[MODES][KEYS], key_count[MODES];
	struct flight flights[WINDOW_MAX];
	struct outcome outcomes[WINDOWS][MODES];
	struct prng prng;
};

static void
fail(const char *what, const char *why)
{
	fprintf(stderr, "bench_forward: %s: %s\n", what, why);
	exit(1);
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

/* ---- single operations ---- */

static void
node_open(struct bench *b, struct node *node, const char *server)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(b->port) };
	struct timeval timeout = { 0, 200 * 1000 };

	if (inet_pton(AF_INET, server, &to.sin_addr) != 1)
		fail(server, "not an IPv4 address");
	endpoint_map_ipv4(node->ip, (const uint8_t *)&to.sin_addr);
	node->fd = socket(AF_INET, SOCK_DGRAM, 0);
	node->sequence = 1;
	if (node->fd < 0 || connect(node->fd, (struct sockaddr *)&to, sizeof to) ||
	    setsockopt(node->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout))
		fail("socket", strerror(errno));
}

static uint16_t
compose(const struct bench *b, const struct node *node, const struct request *request, uint8_t *bytes)
{
	struct native_header header = { .version = NATIVE_VERSION, .op_count = 1, .client = b->client,
		.sequence = node->sequence, .cookie = node->cookie, .window = 1024 };
	struct writer out = writer_of(bytes, UDP_PAYLOAD_MAX);

	native_header_compose(&header, writer_take(&out, NATIVE_HEADER_LEN));
	native_request_compose(&out, request);
	CHECK(!out.failed);
	return (uint16_t)(out.at - bytes);
}

/* One operation, through challenges and losses; the result's value stays in `bytes`. */
static struct native_result
call(const struct bench *b, struct node *node, const struct request *request, uint8_t bytes[UDP_PAYLOAD_MAX])
{
	for (int tries = 0; tries < 50; tries++) {
		uint8_t out[UDP_PAYLOAD_MAX];
		uint16_t len = compose(b, node, request, out);
		struct native_header header;
		struct native_result result;
		struct reader in;
		ssize_t got;

		if (send(node->fd, out, len, 0) < 0)
			fail("send", strerror(errno));
		while ((got = recv(node->fd, bytes, UDP_PAYLOAD_MAX, 0)) > 0) {
			if (!native_header_parse(view_of(bytes, (uint32_t)got), &header) || header.sequence != node->sequence)
				continue;
			node->cookie = header.cookie;
			in = reader_of(bytes + NATIVE_HEADER_LEN, (size_t)got - NATIVE_HEADER_LEN);
			if (header.error || !native_result_parse(&in, &result) || result.status == OP_STATUS_BUSY)
				break;
			node->sequence++;
			return result;
		}
	}
	fail("no answer to", op_name((enum op)request->op));
	return (struct native_result){ 0 };
}

static void
read_figures(const struct bench *b, struct node *node, uint64_t figures[FIGURES])
{
	struct request request = { .op = OP_STATS };
	uint8_t bytes[UDP_PAYLOAD_MAX];

	memset(figures, 0, FIGURES * sizeof *figures);
	for (uint32_t lines = UINT32_MAX; request.offset < lines;) {
		struct native_result page = call(b, node, &request, bytes);
		const char *at = (const char *)page.value.data, *end = at + page.value.len;

		lines = page.total_len;
		if (page.status != OP_STATUS_OK || page.value.len == 0)
			break;
		for (; at < end; at = memchr(at, '\n', (size_t)(end - at)), at = at ? at + 1 : end, request.offset++)
			for (int i = 0; i < FIGURES; i++) {
				size_t len = strlen(figure_names[i]);

				if ((size_t)(end - at) > len && memcmp(at, figure_names[i], len) == 0 && at[len] == ' ')
					figures[i] = strtoull(at + len, NULL, 10);
			}
	}
}

/* ---- who owns what ---- */

static void
read_topology(struct bench *b, struct ring_topology *ring, uint8_t ips[RING_MEMBERS_MAX][16])
{
	const struct request request = { .op = OP_TOPOLOGY };
	uint8_t bytes[UDP_PAYLOAD_MAX];
	struct native_result result = call(b, &b->asked, &request, bytes);
	struct topology topology;

	if (result.status != OP_STATUS_OK || result.value.len != result.total_len ||
	    !topology_parse(result.value, &topology) || topology.rule != TOPOLOGY_RENDEZVOUS)
		fail("topology", "not that of a small cluster");
	memset(ring, 0, sizeof *ring);
	ring->replication = topology.replication;
	for (uint32_t i = 0; i < topology.node_count; i++) {
		struct topology_node node;
		struct ring_member member;

		topology_node(&topology, i, &node);
		member = (struct ring_member){ .id = node.id, .rack = node.rack, .index = node.index, .weight = node.weight,
			.state = node.state };
		memcpy(ips[node.index], node.ip, 16);
		if (!ring_topology_add(ring, &member))
			fail("topology", "a member twice");
	}
}

static void
pick_keys(struct bench *b)
{
	static uint8_t ips[RING_MEMBERS_MAX][16];
	static struct ring_topology topology;
	static struct ring_table ring;
	void *scratch = aligned_alloc(64, (ring_scratch_size() + 63) / 64 * 64);

	CHECK(scratch);
	read_topology(b, &topology, ips);
	ring_build(&topology, scratch, &ring);
	free(scratch);
	for (uint32_t i = 0; b->key_count[0] < KEYS || b->key_count[1] < KEYS; i++) {
		uint8_t key[WORKLOAD_KEY_LEN];
		const uint8_t *ip;

		workload_key(key, i);
		ip = ips[topology.members[ring_owner(&ring, slot_of_key(view_of(key, sizeof key)), 0)].index];
		for (int mode = 0; mode < MODES; mode++)
			if (memcmp(ip, mode ? b->owner.ip : b->asked.ip, 16) == 0 && b->key_count[mode] < KEYS)
				b->keys[mode][b->key_count[mode]++] = i;
		if (i > 1000 * KEYS)
			fail("keys", "the two nodes own too few");
	}
}

static void
preload(struct bench *b)
{
	for (int mode = 0; mode < MODES; mode++)
		for (uint32_t i = 0; i < KEYS; i++) {
			uint8_t key[WORKLOAD_KEY_LEN], value[VALUE_LEN], bytes[UDP_PAYLOAD_MAX];
			struct request request = { .op = OP_SET, .key = view_of(key, sizeof key), .value = view_of(value, sizeof value) };

			workload_key(key, b->keys[mode][i]);
			workload_value(value, sizeof value, b->keys[mode][i]);
			request.slot = slot_of_key(request.key);
			if (call(b, mode ? &b->owner : &b->asked, &request, bytes).status != OP_STATUS_OK)
				fail("set", "refused");
		}
}

/* ---- the closed window ---- */

struct batch {
	struct mmsghdr messages[BATCH];
	struct iovec vectors[BATCH];
	uint8_t bytes[BATCH][UDP_PAYLOAD_MAX];
};

static void
batch_add(struct bench *b, struct batch *batch, uint32_t n, struct flight *flight, int mode)
{
	uint32_t index = b->keys[mode][prng_below(&b->prng, KEYS)];
	uint8_t key[WORKLOAD_KEY_LEN];
	struct request request = { .op = OP_GET, .key = view_of(key, sizeof key) };

	workload_key(key, index);
	request.slot = slot_of_key(request.key);
	*flight = (struct flight){ .sequence = b->asked.sequence, .sent_ns = now_ns(), .key = index, .waiting = true };
	batch->vectors[n] = (struct iovec){ batch->bytes[n], compose(b, &b->asked, &request, batch->bytes[n]) };
	batch->messages[n].msg_hdr = (struct msghdr){ .msg_iov = &batch->vectors[n], .msg_iovlen = 1 };
	b->asked.sequence += WINDOW_MAX; /* the flight's place is the number's remainder */
}

static uint32_t
send_more(struct bench *b, struct batch *batch, uint32_t window, int mode, struct outcome *outcome)
{
	uint64_t now = now_ns();
	uint32_t n = 0;

	for (uint32_t i = 0; i < window && n < BATCH; i++) {
		struct flight *flight = &b->flights[i];

		if (flight->waiting && now - flight->sent_ns < loss_ns)
			continue;
		outcome->lost += flight->waiting;
		b->asked.sequence = b->asked.sequence / WINDOW_MAX * WINDOW_MAX + i;
		batch_add(b, batch, n++, flight, mode);
	}
	if (n > 0 && sendmmsg(b->asked.fd, batch->messages, n, 0) < 0 && errno != EAGAIN)
		fail("send", strerror(errno));
	return n;
}

static void
take_answer(struct bench *b, struct view payload, struct outcome *outcome)
{
	struct native_header header;
	struct native_result result;
	struct flight *flight;
	struct reader in;

	if (!native_header_parse(payload, &header) || header.error)
		return;
	flight = &b->flights[header.sequence % WINDOW_MAX];
	in = reader_of(payload.data + NATIVE_HEADER_LEN, payload.len - NATIVE_HEADER_LEN);
	if (!flight->waiting || flight->sequence != header.sequence || !native_result_parse(&in, &result))
		return;
	flight->waiting = false;
	b->asked.cookie = header.cookie;
	if (result.status == OP_STATUS_BUSY) {
		outcome->lost++;
		return;
	}
	if (result.status != OP_STATUS_OK || result.value.len != VALUE_LEN ||
	    !workload_value_is(result.value.data, VALUE_LEN, flight->key))
		fail("get", op_status_name((enum op_status)result.status));
	outcome->answered++;
	histogram_record(&outcome->times, now_ns() - flight->sent_ns);
}

static void
receive(struct bench *b, struct batch *batch, struct outcome *outcome)
{
	int n;

	for (uint32_t i = 0; i < BATCH; i++) {
		batch->vectors[i] = (struct iovec){ batch->bytes[i], UDP_PAYLOAD_MAX };
		batch->messages[i].msg_hdr = (struct msghdr){ .msg_iov = &batch->vectors[i], .msg_iovlen = 1 };
	}
	n = recvmmsg(b->asked.fd, batch->messages, BATCH, b->sleeps ? MSG_WAITFORONE : MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++)
		take_answer(b, view_of(batch->bytes[i], batch->messages[i].msg_len), outcome);
}

static void
read_threads(const struct bench *b, struct schedstat had[WHO])
{
	const struct { long pid; const char *name; } threads[WHO] = { [ASKED_WORKER] = { b->asked_pid, "rte-worker" },
		[ASKED_CORE] = { b->asked_pid, "core" }, [OWNER_CORE] = { b->owner_pid, "core" },
		[OWNER_WORKER] = { b->owner_pid, "rte-worker" }, [CLIENT] = { getpid(), "" } };

	for (int i = 0; i < WHO && b->asked_pid; i++)
		if (!schedstat_read(&had[i], threads[i].pid, threads[i].name) && i != ASKED_CORE && i != OWNER_CORE)
			fail("no thread of the name", threads[i].name);
}

static void
add_threads(struct outcome *outcome, const struct schedstat before[WHO], const struct schedstat after[WHO])
{
	for (int i = 0; i < WHO; i++) {
		outcome->had[i].run_ns += after[i].run_ns - before[i].run_ns;
		outcome->had[i].wait_ns += after[i].wait_ns - before[i].wait_ns;
		outcome->had[i].slices += after[i].slices - before[i].slices;
	}
}

static void
turn(struct bench *b, uint32_t window, int mode, struct outcome *outcome, bool counted)
{
	static struct batch out, in;
	static struct outcome warm;
	uint64_t before[2][FIGURES], after[2][FIGURES], start, end, answered;
	struct schedstat had[2][WHO] = { 0 };

	if (!counted)
		outcome = &warm;
	memset(b->flights, 0, sizeof b->flights);
	read_figures(b, &b->asked, before[0]);
	read_figures(b, &b->owner, before[1]);
	answered = outcome->answered;
	read_threads(b, had[0]);
	start = now_ns();
	end = start + (uint64_t)(b->seconds * 1e9);
	while (now_ns() < end) {
		send_more(b, &out, window, mode, outcome);
		receive(b, &in, outcome);
	}
	outcome->seconds += (double)(now_ns() - start) / 1e9;
	read_threads(b, had[1]);
	add_threads(outcome, had[0], had[1]);
	b->asked.sequence += WINDOW_MAX; /* what still comes is nobody's */
	read_figures(b, &b->asked, after[0]);
	read_figures(b, &b->owner, after[1]);
	answered = outcome->answered - answered;
	if (answered == 0 || outcome->turns == TURNS_MAX)
		return;
	outcome->asked[outcome->turns] = (double)(after[0][WORKERS] - before[0][WORKERS]) / (double)answered;
	outcome->owner[outcome->turns] = (double)(after[1][WORKERS] - before[1][WORKERS]) / (double)answered;
	outcome->core[outcome->turns] = (double)(after[0][CORE] - before[0][CORE] + after[1][CORE] - before[1][CORE]) /
	    (double)answered;
	outcome->cycles[outcome->turns] = outcome->asked[outcome->turns] +
	    (mode ? outcome->owner[outcome->turns] + outcome->core[outcome->turns] : 0);
	outcome->turns++;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Least, median and most of the turns. */
static void
print_figure(const char *name, const double *values, uint32_t n)
{
	double sorted[TURNS_MAX];

	memcpy(sorted, values, n * sizeof *values);
	qsort(sorted, n, sizeof *sorted, by_value);
	printf("\"%s\":{\"min\":%.0f,\"median\":%.0f,\"max\":%.0f},", name, sorted[0], sorted[n / 2], sorted[n - 1]);
}

/* Of one operation: microseconds on a CPU and waiting for one, and how often it was put on one. */
static void
print_threads(const struct outcome *o)
{
	double ops = o->answered ? (double)o->answered : 1;

	printf("\"threads\":{");
	for (int i = 0; i < WHO; i++)
		printf("%s\"%s\":{\"run_us\":%.2f,\"wait_us\":%.2f,\"slices\":%.3f}", i ? "," : "", who_names[i],
		    (double)o->had[i].run_ns / ops / 1e3, (double)o->had[i].wait_ns / ops / 1e3, (double)o->had[i].slices / ops);
	printf("},");
}

static void
print_report(const struct bench *b, uint32_t w, int mode)
{
	const struct outcome *o = &b->outcomes[w][mode];

	printf("{\"bench\":\"forward\",\"client\":\"%s\",\"mode\":\"%s\",\"window\":%u,\"value_len\":%d,\"answered\":%lu,"
	    "\"lost\":%lu,\"ops_per_s\":%.0f,", b->sleeps ? "sleeps" : "spins", modes[mode], windows[w], VALUE_LEN,
	    o->answered, o->lost, (double)o->answered / o->seconds);
	if (b->asked_pid)
		print_threads(o);
	if (o->turns > 0) {
		print_figure("busy_cycles", o->cycles, o->turns);
		print_figure("asked_worker_cycles", o->asked, o->turns);
		print_figure("owner_worker_cycles", o->owner, o->turns);
		print_figure("cores_cycles", o->core, o->turns);
	}
	report_latencies(&o->times);
	printf("}\n");
}

static void
parse_options(struct bench *b, int argc, char **argv, uint32_t *turns)
{
	static const struct option longs[] = { { "server", 1, 0, 'S' }, { "owner", 1, 0, 'o' }, { "port", 1, 0, 'p' },
		{ "seconds", 1, 0, 't' }, { "turns", 1, 0, 'n' }, { "client", 1, 0, 'c' }, { "pids", 1, 0, 'P' }, { 0 } };

	for (int letter; (letter = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
		switch (letter) {
		case 'S': b->server = optarg; break;
		case 'o': b->other = optarg; break;
		case 'p': b->port = (uint16_t)atoi(optarg); break;
		case 't': b->seconds = atof(optarg); break;
		case 'n': *turns = (uint32_t)atoi(optarg); break;
		case 'c': b->sleeps = strcmp(optarg, "sleeps") == 0; break;
		case 'P': sscanf(optarg, "%ld,%ld", &b->asked_pid, &b->owner_pid); break;
		default: b->server = NULL; break;
		}
	}
	if (!b->server || !b->other || b->seconds <= 0 || *turns == 0 || *turns > TURNS_MAX) {
		fputs("usage: bench_forward --server IP --owner IP [--port N] [--seconds S] [--turns N] [--client spins|sleeps]\n"
		    "  [--pids ASKED,OWNER]\n", stderr);
		exit(2);
	}
}

int
main(int argc, char **argv)
{
	static struct bench bench = { .port = 7411, .seconds = 0.5 };
	struct bench *b = &bench;
	uint32_t turns = 3;

	parse_options(b, argc, argv, &turns);
	b->prng.state = now_ns();
	b->client = prng_next(&b->prng) | 1;
	node_open(b, &b->asked, b->server);
	node_open(b, &b->owner, b->other);
	pick_keys(b);
	preload(b);
	for (uint32_t w = 0; w < WINDOWS; w++)
		for (int mode = 0; mode < MODES; mode++)
			histogram_init(&b->outcomes[w][mode].times);
	for (uint32_t t = 0; t <= turns; t++) /* the first one warms up */
		for (uint32_t w = 0; w < WINDOWS; w++)
			for (int mode = 0; mode < MODES; mode++)
				turn(b, windows[w], mode, &b->outcomes[w][mode], t > 0);
	for (uint32_t w = 0; w < WINDOWS; w++)
		for (int mode = 0; mode < MODES; mode++)
			print_report(b, w, mode);
	return 0;
}
