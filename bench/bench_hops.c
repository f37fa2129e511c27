/*
 * bench_hops - cycles of a forwarded GET, hop by hop, over both nodes, without a NIC.
 *
 * How: two nodes in one thread: a worker's stages, the mailboxes, forwarding, the link and its
 *   envelopes, as slipringd calls them. A round takes a batch of single-GET frames of keys that the
 *   other node owns from the asked worker to the answers in packets; time stands still meanwhile.
 *   In every other round each hop is timed by itself; in the others the whole, which so does not pay for six more looks at the clock. Not in it: the NIC's drivers, Ethernet and IP headers (bench_pipeline
 *   has those), copies of packets between worker 0 and core beside one each way, and sleeping.
 * Every value is compared now and then. One line of JSON a batch size on stdout.
 */
#include <getopt.h>
#include <rte_cycles.h>
#include <rte_eal.h>

#include "base/histogram.h"
#include "bench/workload.h"
#include "cluster/forward.h"
#include "io/io.h"
#include "proto/native.h"
#include "ring/slot.h"
#include "seal/seal.h"
#include "serve/serve.h"
#include "store/reclaim.h"
#include "tests/support/link_rig.h"

enum { KEYS = 20000, VALUE_LEN = 64, ROOM = 2048, SPARES = 256, VERIFY_EVERY = 64, PACKETS = 256, SIZES = 4,
	MAILS = 16, BOX = 4096 };

static const uint32_t sizes[SIZES] = { 1, 4, 16, 32 };

enum hop { ASK, ASK_CORE, OWNER_OPEN, OWNER_RUN, OWNER_CORE, ASK_OPEN, ANSWER, HOPS };
static const char *const hop_names[HOPS] = { "asked worker: parse, route, mail", "asked core: call, seal",
	"owner core: open, slot, mail", "owner worker: run, keep", "owner core: answer, seal", "asked core: open, mail home",
	"asked worker: answer" };

struct side {
	struct store *store;
	struct serve *serve;
	struct counters counters;
	struct burst burst;
	struct pkt pkts[BURST_MAX], spares[SPARES];
	uint8_t buffers[BURST_MAX][ROOM], spare_buffers[SPARES][ROOM];
	struct forward forward;
	struct cluster *cluster;
	struct mailbox *worker, *core;
	struct serve_ring ring;
	const struct serve_ring *_Atomic published;
	struct cluster_actions actions;
};

struct packets {
	uint32_t count;
	uint16_t len[PACKETS];
	uint8_t bytes[PACKETS][UDP_PAYLOAD_MAX];
};

static struct bench {
	struct rig rig;
	struct side sides[2]; /* asked, owner */
	struct now now;
	struct packets there, back, control[2]; /* the latter: gossip to each side */
	uint64_t cookie, sequence;
	uint32_t keys[KEYS], key_count, asked[BURST_MAX];
	struct prng prng;
	uint64_t checked, packets_sent, rounds;
	struct histogram hops[HOPS], all;
} bench;

static void
fail(const char *text)
{
	fprintf(stderr, "bench_hops: %s\n", text);
	exit(1);
}

/* --- parts of a round --------------------------------------------------------------------------- */

static void
begin(struct side *side)
{
	for (uint32_t i = 0; i < side->burst.spares.used; i++)
		side->spares[i] = (struct pkt){ .data = side->spare_buffers[i], .room = ROOM };
	side->burst.spares = (struct spares){ side->spares, SPARES, 0 };
	side->burst.datagram_count = 0;
}

static void
serve_all(struct side *side)
{
	struct outbox *outbox = &side->burst.outbox;

	serve_parse(side->serve, &side->burst);
	serve_run(side->serve, &side->burst);
	serve_compose(side->serve, &side->burst);
	for (uint32_t i = 0; i < outbox->count; i++)
		CHECK(mailbox_send(outbox->mails[i].to == MAIL_CORE ? side->core : side->worker, outbox->mails[i].slot));
	reclaim_quiescent();
}

/* A worker's mail, a part of a round's room at a time, as in slipringd. */
static void
worker_mail(struct side *side)
{
	void *mails[MAILS];

	for (uint32_t n; (n = mailbox_receive(side->worker, mails, MAILS)) > 0;) {
		begin(side);
		for (uint32_t i = 0; i < n; i++) {
			struct deferred *slot = mails[i];

			if (slot->done)
				serve_home(side->serve, &side->burst, slot);
			else
				serve_accept(slot, spares_take(&side->burst.spares), &side->burst.datagrams[side->burst.datagram_count++]);
		}
		serve_all(side);
	}
}

static void
keep_packets(struct side *side, struct packets *out)
{
	for (uint32_t i = 0; i < side->actions.count; i++) {
		const struct cluster_action *action = &side->actions.list[i];
		struct packets *to = action->priority ? &bench.control[side == &bench.sides[0]] : out;

		if (action->kind == CLUSTER_MESSAGE)
			forward_message(&side->forward, bench.now, action->id, action->message);
		if (action->kind != CLUSTER_SEND)
			continue;
		CHECK(to->count < PACKETS);
		memcpy(to->bytes[to->count], action->packet, action->len);
		to->len[to->count++] = action->len;
	}
}

static void
core_mail(struct side *side)
{
	void *mails[128];

	for (uint32_t n; (n = mailbox_receive(side->core, mails, 128)) > 0;)
		for (uint32_t i = 0; i < n; i++)
			forward_slot(&side->forward, bench.now, mails[i]);
}

static void
core_mail_out(struct side *side)
{
	void *mails[BURST_MAX];
	uint32_t n = 0;
	struct deferred *slot;

	while ((slot = forward_mail(&side->forward)) != NULL)
		mails[n++] = slot;
	if (n > 0)
		CHECK(mailbox_send_many(side->worker, mails, n) == n);
}

static void
core_send(struct side *side, struct packets *out)
{
	struct cluster_event tick = { .kind = CLUSTER_TICK };
	struct forward_post post;

	forward_tick(&side->forward, bench.now);
	while (forward_post(&side->forward, bench.now, &post)) {
		if (cluster_post(side->cluster, bench.now, post.member, post.head, post.body, post.tag) != CLUSTER_POST_OK)
			fail("the link takes no more");
		forward_posted(&side->forward, bench.now, FORWARD_SENT);
	}
	core_mail_out(side);
	while (cluster_deadline(side->cluster) <= bench.now.mono_ns) {
		cluster_step(side->cluster, bench.now, &tick, &side->actions);
		keep_packets(side, out);
	}
}

static void
core_receive(struct side *side, struct packets *in, struct packets *out)
{
	for (uint32_t i = 0; i < in->count; i++) {
		struct cluster_event event = { .kind = CLUSTER_PACKET, .data = in->bytes[i], .len = in->len[i] };

		event.from.port = side == &bench.sides[0] ? 2 : 1;
		cluster_step(side->cluster, bench.now, &event, &side->actions);
		keep_packets(side, out);
	}
	in->count = 0;
	core_mail_out(side);
}

/* --- rounds ------------------------------------------------------------------------------------- */

static void
write_frame(uint8_t *bytes, uint32_t index, uint16_t *len)
{
	struct native_header header = { .version = NATIVE_VERSION, .op_count = 1, .client = 77, .sequence = bench.sequence++,
		.cookie = bench.cookie, .window = 1024 };
	uint8_t key[WORKLOAD_KEY_LEN];
	struct request request = { .op = OP_GET, .key = view_of(key, sizeof key) };
	struct writer out = writer_of(bytes, UDP_PAYLOAD_MAX);

	workload_key(key, index);
	request.slot = slot_of_key(request.key);
	native_header_compose(&header, writer_take(&out, NATIVE_HEADER_LEN));
	native_request_compose(&out, &request);
	*len = (uint16_t)(out.at - bytes);
}

static void
receive(uint32_t n)
{
	struct side *side = &bench.sides[0];

	begin(side);
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *payload = side->buffers[i] + PKT_UDP_PAYLOAD_OFFSET;
		uint16_t len;

		bench.asked[i] = bench.keys[prng_below(&bench.prng, bench.key_count)];
		write_frame(payload, bench.asked[i], &len);
		side->pkts[i] = (struct pkt){ .data = side->buffers[i], .room = ROOM };
		side->burst.datagrams[i] = (struct datagram){ .pkt = &side->pkts[i], .service = SERVICE_NATIVE,
			.payload = payload, .payload_len = len, .peer = { .port = 4000, .local_port = 7411 } };
	}
	side->burst.datagram_count = n;
}

static void
check(uint32_t n)
{
	const struct side *side = &bench.sides[0];
	uint64_t first = bench.sequence - n;

	if (side->burst.reply_count == 0)
		fail("no answers");
	for (uint32_t i = 0; i < side->burst.reply_count; i++) {
		const struct reply *reply = &side->burst.replies[i];
		struct view payload = view_of(reply->pkt->data + PKT_UDP_PAYLOAD_OFFSET, reply->payload_len);
		struct reader in = reader_of(payload.data + NATIVE_HEADER_LEN, payload.len - NATIVE_HEADER_LEN);
		struct native_header header;
		struct native_result result;

		if (!native_header_parse(payload, &header) || !native_result_parse(&in, &result) || result.status != OP_STATUS_OK ||
		    header.sequence < first || header.sequence >= first + n || result.value.len != VALUE_LEN ||
		    !workload_value_is(result.value.data, VALUE_LEN, bench.asked[header.sequence - first]))
			fail("a wrong answer");
		bench.checked++;
	}
}

static inline void
stamp(uint64_t at[HOPS + 1], int hop)
{
	if (bench.rounds & 1)
		at[hop] = rte_rdtsc();
}

/* Named so that callgrind can count it. */
__attribute__((noinline)) static void
measured_round(uint64_t at[HOPS + 1])
{
	struct side *asked = &bench.sides[0], *owner = &bench.sides[1];

	at[0] = rte_rdtsc();
	serve_all(asked);
	stamp(at, 1);
	core_mail(asked);
	core_send(asked, &bench.there);
	stamp(at, 2);
	bench.packets_sent += bench.there.count;
	core_receive(owner, &bench.there, &bench.back);
	stamp(at, 3);
	worker_mail(owner);
	stamp(at, 4);
	core_mail(owner);
	core_send(owner, &bench.back);
	stamp(at, 5);
	core_receive(asked, &bench.back, &bench.there);
	stamp(at, 6);
	worker_mail(asked);
	at[HOPS] = rte_rdtsc();
}

/* Heartbeats and gossip arrive, between rounds: without them the two would hold each other for dead. */
static void
gossip(void)
{
	struct cluster_event tick = { .kind = CLUSTER_TICK };

	for (int i = 0; i < 2; i++)
		while (cluster_deadline(bench.sides[i].cluster) <= bench.now.mono_ns) {
			cluster_step(bench.sides[i].cluster, bench.now, &tick, &bench.sides[i].actions);
			keep_packets(&bench.sides[i], i ? &bench.back : &bench.there);
		}
	while (bench.control[0].count + bench.control[1].count > 0)
		for (int i = 0; i < 2; i++) {
			static struct packets in;

			in = bench.control[i];
			bench.control[i].count = 0;
			core_receive(&bench.sides[i], &in, i ? &bench.back : &bench.there);
		}
}

static void
round_of(uint32_t n, bool measure)
{
	uint64_t at[HOPS + 1];
	bool single = bench.rounds & 1;

	bench.now.mono_ns += 20 * NS_PER_US; /* acknowledgements become due as in a busy node */
	gossip();
	receive(n);
	measured_round(at);
	if (bench.rounds++ % VERIFY_EVERY == 0)
		check(n);
	if (!measure)
		return;
	for (int i = 0; single && i < HOPS; i++)
		histogram_record(&bench.hops[i], at[i + 1] - at[i]);
	if (!single)
		histogram_record(&bench.all, at[HOPS] - at[0]);
}

/* --- two nodes ---------------------------------------------------------------------------------- */

static void
publish(int i)
{
	struct side *side = &bench.sides[i];
	void *scratch = aligned_alloc(64, (ring_scratch_size() + 63) / 64 * 64);

	CHECK(scratch);
	side->ring.snapshot.topology = *cluster_topology(side->cluster);
	ring_build(&side->ring.snapshot.topology, scratch, &side->ring.snapshot.table);
	free(scratch);
	side->ring.self = ring_find_id(&side->ring.snapshot.topology, rig_id(i));
	side->ring.epoch = (uint32_t)side->ring.snapshot.topology.epoch;
	if (side->ring.self == RING_NOBODY)
		fail("the nodes did not agree");
	atomic_store(&side->published, &side->ring);
	forward_ring(&side->forward, bench.now, &side->ring.snapshot);
}

static void
open_side(int i)
{
	struct side *side = &bench.sides[i];
	struct store_config store = { .shard_count = 1, .memory_bytes = 64ull << 20, .items_max = 2 * KEYS,
		.expected_item_size = 128, .node = (uint16_t)i, .secret = "store's secret.." };
	struct serve_config serve = { .worker_count = 1, .counters = &side->counters, .native_port = 7411,
		.cookie_secret = "cookie's secret", .boot = (uint16_t)(7 + i), .version = "bench", .ring = &side->published };
	struct error error;
	char name[16];

	side->store = store_create(&store, &error);
	serve.store = side->store;
	serve.all_counters[0] = &side->counters;
	side->serve = side->store ? serve_create(&serve, &error) : NULL;
	snprintf(name, sizeof name, "worker%d", i);
	side->worker = side->serve ? mailbox_create(name, BOX, &error) : NULL;
	snprintf(name, sizeof name, "core%d", i);
	side->core = side->worker ? mailbox_create(name, BOX, &error) : NULL;
	side->cluster = &bench.rig.nodes[i];
	side->burst.requests = calloc(BURST_REQUESTS_MAX, sizeof *side->burst.requests);
	side->burst.responses = calloc(BURST_REQUESTS_MAX, sizeof *side->burst.responses);
	side->burst.replies = calloc(BURST_MAX + SPARE_MAX, sizeof *side->burst.replies);
	side->burst.spares.used = SPARES;
	side->burst.now = bench.now;
	if (!side->core || !side->burst.requests || !side->burst.responses || !side->burst.replies ||
	    !forward_init(&side->forward, &(struct forward_config){ .self = rig_id(i), .worker_count = 1 }))
		fail("no memory");
	publish(i);
}

/* Keys of the owner, stored there. */
static void
preload(void)
{
	struct side *owner = &bench.sides[1];
	const struct ring_table *table = &owner->ring.snapshot.table;
	struct shard *shard = store_shard(owner->store, 0);

	for (uint32_t i = 0; bench.key_count < KEYS; i++) {
		uint8_t bytes[WORKLOAD_KEY_LEN];
		struct view key = view_of(bytes, sizeof bytes);
		struct item *item;

		workload_key(bytes, i);
		if (ring_owner(table, slot_of_key(key), 0) != owner->ring.self)
			continue;
		if (shard_take(shard, &bench.now, key, VALUE_LEN, &item) != STORE_OK)
			fail("the store is full");
		workload_value((uint8_t *)(uintptr_t)item_value(item).data, VALUE_LEN, i);
		if (shard_publish(shard, &bench.now, item, store_digest(owner->store, key)) != STORE_OK)
			fail("the store is full");
		bench.keys[bench.key_count++] = i;
	}
}

/* The asked worker challenges the first frame. */
static void
prove(void)
{
	struct side *asked = &bench.sides[0];
	struct native_header header;

	bench.key_count = bench.key_count ? bench.key_count : 1;
	receive(1);
	serve_parse(asked->serve, &asked->burst);
	CHECK(asked->burst.reply_count == 1);
	CHECK(native_header_parse(view_of(asked->burst.replies[0].pkt->data + PKT_UDP_PAYLOAD_OFFSET,
	    asked->burst.replies[0].payload_len), &header) && header.error == OP_STATUS_UNPROVEN);
	bench.cookie = header.cookie;
}

static void
report(uint32_t n, uint64_t packets, uint64_t rounds)
{
	printf("{\"bench\":\"hops\",\"batch\":%u,\"cycles_per_get\":{\"p50\":%.0f,\"p10\":%.0f,\"p99\":%.0f},\"packets_per_get\":%.2f,\"hops\":{",
	    n, (double)histogram_percentile(&bench.all, 50) / n, (double)histogram_percentile(&bench.all, 10) / n,
	    (double)histogram_percentile(&bench.all, 99) / n,
	    (double)packets / (double)rounds / n);
	for (int i = 0; i < HOPS; i++)
		printf("%s\"%s\":%.0f", i ? "," : "", hop_names[i], (double)histogram_percentile(&bench.hops[i], 50) / n);
	printf("}}\n");
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = { { "rounds", 1, 0, 'r' }, { "batch", 1, 0, 'b' }, { 0 } };
	char *eal[] = { "bench_hops", "-l0", "--no-pci", "--no-telemetry", "--no-huge", "--no-shconf", "-m512",
		"--log-level=error" };
	uint32_t rounds = 20000, only = 0;

	for (int letter; (letter = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
		if (letter == 'r')
			rounds = (uint32_t)atoi(optarg);
		else if (letter == 'b')
			only = (uint32_t)atoi(optarg);
		else
			return 2;
	}
	if (rte_eal_init(8, eal) < 0)
		fail("EAL did not start");
	CHECK(seal_start()); /* before any key is made: it finds out what the processor can */
	aead_start();
	role_worker_begin();
	rig_open(&bench.rig, 1, LINK_BYTES_DEFAULT);
	bench.now = (struct now){ .mono_ns = bench.rig.now_ns, .wall_ms = 1700000000000 };
	struct error error;

	if (reclaim_start(&error) != STATUS_OK)
		fail(error.text);
	reclaim_register();
	for (int i = 0; i < 2; i++)
		open_side(i);
	preload();
	prove();
	for (int s = 0; s < SIZES; s++) {
		uint64_t packets;

		if (only && sizes[s] != only)
			continue;
		histogram_init(&bench.all);
		for (int i = 0; i < HOPS; i++)
			histogram_init(&bench.hops[i]);
		for (uint32_t r = 0; r < rounds / 4; r++)
			round_of(sizes[s], false);
		packets = bench.packets_sent;
		for (uint32_t r = 0; r < rounds; r++)
			round_of(sizes[s], true);
		report(sizes[s], bench.packets_sent - packets, rounds);
	}
	return 0;
}
