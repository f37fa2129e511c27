/*
 * What a message between two nodes costs, and what the link makes of a lossy wire.
 *
 *   bench_link [SAMPLES]   prints a JSON object a line (of the kinds "aead", "exchange", "bulk" and "loss")
 *
 * Medians of samples of some 100 us, so that what else the machine does hits few of them.
 * Two cluster cores in one process, packets handed over by a copy, AES-256-GCM where the CPU has it.
 * aead: sealing and opening alone, of as many bytes as a packet with one message has.
 * exchange: A posts `batch` messages and steps, B takes them, posts as many back and steps, A takes those:
 *   cycles of both ends for one message one way (post, step, seal, open, step), everything included but the network.
 *   Acknowledgements ride on the answers.
 * bulk: one way only, with the acknowledgements that go back.
 * loss: messages of 64 KiB over a wire of 100 us round trip and one packet in 4 us (2.8 Gbit/s), in simulated
 *   time: share of the wire's packets that brought something new, and time for one message of 100 bytes
 *   and its answer.
 */
#include <x86intrin.h>

#include "base/histogram.h"
#include "seal/seal.h"
#include "tests/support/link_rig.h"

enum { SAMPLES_MAX = 4001, SAMPLE_MESSAGES = 64, WARM = 4, LOSS_MESSAGES = 200, LOSS_CALLS = 2000, WIRE_MAX = 512 };

static struct rig rig;
static uint8_t bytes[CLUSTER_MESSAGE_MAX];
static uint64_t got;

/* Packets on their way, in order. */
static struct {
	uint8_t bytes[UDP_PAYLOAD_MAX];
	uint16_t from, to, len;
} wire[WIRE_MAX];
static uint32_t wire_first, wire_last;

static void
outcome(int node, const struct cluster_actions *actions)
{
	for (uint32_t i = 0; i < actions->count; i++) {
		const struct cluster_action *action = &actions->list[i];

		got += action->kind == CLUSTER_MESSAGE;
		if (action->kind != CLUSTER_SEND)
			continue;
		CHECK(wire_last - wire_first < WIRE_MAX);
		wire[wire_last % WIRE_MAX].from = (uint16_t)node;
		wire[wire_last % WIRE_MAX].to = (uint16_t)(action->to.port - 1);
		wire[wire_last % WIRE_MAX].len = action->len;
		memcpy(wire[wire_last++ % WIRE_MAX].bytes, action->packet, action->len);
	}
}

/* Steps a node, and whoever gets packets by that, until nothing moves; no time passes. */
static void
step_all(int node)
{
	struct cluster_event event = { .kind = CLUSTER_TICK };

	cluster_step(&rig.nodes[node], rig_now(&rig), &event, &rig.actions);
	outcome(node, &rig.actions);
	for (; wire_first < wire_last; wire_first++) {
		uint32_t at = wire_first % WIRE_MAX;

		event = (struct cluster_event){ .kind = CLUSTER_PACKET, .from = { .port = (uint16_t)(wire[at].from + 1) },
			.data = wire[at].bytes, .len = wire[at].len };
		cluster_step(&rig.nodes[wire[at].to], rig_now(&rig), &event, &rig.actions);
		outcome(wire[at].to, &rig.actions);
	}
}

static __attribute__((noinline)) void /* seen by profilers */
send_batch(int from, int to, uint32_t len, uint32_t batch)
{
	uint64_t all = got + batch, id = rig.nodes[to].self->id;

	for (uint32_t i = 0; i < batch; i++)
		CHECK(cluster_post(&rig.nodes[from], rig_now(&rig), id, view_of(bytes, len / 2),
		    view_of(bytes + len / 2, len - len / 2), i) == CLUSTER_POST_OK);
	while (got < all) {
		rig.now_ns += 2 * NS_PER_US;
		step_all(from);
		if (got < all && cluster_deadline(&rig.nodes[to]) <= rig.now_ns) /* the window waits for it */
			step_all(to);
	}
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
turn(bool exchange, uint32_t len, uint32_t batch)
{
	send_batch(0, 1, len, batch);
	if (exchange)
		send_batch(1, 0, len, batch);
}

static void
measure(bool exchange, uint32_t len, uint32_t batch, uint32_t count)
{
	static double samples[SAMPLES_MAX];
	uint32_t turns = SAMPLE_MESSAGES / (batch * (1 + len / 512)) + 1;

	for (uint32_t s = 0; s < count; s++) {
		uint64_t start, before;

		rig_run(&rig, 20 * NS_PER_MS); /* gossip and acknowledgements go their way outside of what is measured */
		for (int i = 0; i < WARM; i++)
			turn(exchange, len, batch);
		before = got;
		start = __rdtsc();
		for (uint32_t i = 0; i < turns; i++)
			turn(exchange, len, batch);
		samples[s] = (double)(__rdtsc() - start) / (double)(got - before);
		CHECK(got - before == (uint64_t)turns * batch * (exchange ? 2 : 1));
	}
	qsort(samples, count, sizeof samples[0], by_value);
	printf("{\"bench\":\"link\",\"kind\":\"%s\",\"bytes\":%u,\"batch\":%u,\"cycles\":%.0f,\"cycles_p10\":%.0f}\n",
	    exchange ? "exchange" : "bulk", len, batch, samples[count / 2], samples[count / 10]);
}

static void
measure_aead(uint32_t len, uint32_t count)
{
	static const uint8_t secret[AEAD_CLUSTER_KEY_LEN] = { 1 };
	static double samples[SAMPLES_MAX];
	uint32_t payload = PEER_HEADER_LEN + PEER_SECTION_LEN + LINK_HEADER_LEN + LINK_CHUNK_LEN + len;
	uint8_t packet[UDP_PAYLOAD_MAX] = { 0 };
	struct aead_key key;
	uint64_t counter = 0;

	aead_derive(&key, secret, 1, aead_best());
	for (uint32_t s = 0; s < count; s++) {
		uint64_t start = __rdtsc();

		for (int i = 0; i < SAMPLE_MESSAGES; i++) {
			aead_seal(&key, ++counter, secret, ENVELOPE_HEADER_LEN, packet, payload);
			CHECK(aead_open(&key, counter, secret, ENVELOPE_HEADER_LEN, packet, payload));
		}
		samples[s] = (double)(__rdtsc() - start) / SAMPLE_MESSAGES;
	}
	qsort(samples, count, sizeof samples[0], by_value);
	printf("{\"bench\":\"link\",\"kind\":\"aead\",\"bytes\":%u,\"cycles\":%.0f,\"cycles_p10\":%.0f}\n", len,
	    samples[count / 2], samples[count / 10]);
}

/* --- loss, in simulated time ------------------------------------------------------------ */

static uint64_t arrived_bytes, answered;

static void
count(struct rig *r, int node, const struct cluster_action *action)
{
	CHECK(action->kind != CLUSTER_LOST);
	if (action->kind != CLUSTER_MESSAGE)
		return;
	arrived_bytes += action->message.len;
	if (action->message.len < 1000 && node == 1) /* a call: answered at once */
		CHECK(cluster_post(&r->nodes[1], rig_now(r), rig_id(0), action->message, view_of(NULL, 0), 0) == CLUSTER_POST_OK);
	if (action->message.len < 1000 && node == 0)
		answered++;
}

static void
measure_loss(double loss)
{
	static struct histogram calls;
	uint32_t posted = 0;
	uint64_t start, took;

	rig_open(&rig, 1, 16 << 20);
	rig.told = count;
	rig.delay_min_ns = rig.delay_max_ns = 48 * NS_PER_US;
	rig.packet_ns = 4 * NS_PER_US;
	rig.queue_ns = NS_PER_MS;
	rig.loss = loss;
	arrived_bytes = answered = 0;
	start = rig.now_ns;
	while (arrived_bytes < (uint64_t)LOSS_MESSAGES << 16) {
		while (posted < LOSS_MESSAGES && cluster_post(&rig.nodes[0], rig_now(&rig), rig_id(1), view_of(bytes, 1 << 16),
		    view_of(NULL, 0), posted) == CLUSTER_POST_OK)
			posted++;
		CHECK(rig_next(&rig, UINT64_MAX));
	}
	took = rig.now_ns - start;
	rig_run(&rig, NS_PER_SEC);
	histogram_init(&calls);
	for (uint64_t i = 0; i < LOSS_CALLS; i++) {
		start = rig.now_ns;
		CHECK(cluster_post(&rig.nodes[0], rig_now(&rig), rig_id(1), view_of(bytes, 100), view_of(NULL, 0), i) ==
		    CLUSTER_POST_OK);
		while (answered <= i)
			CHECK(rig_next(&rig, UINT64_MAX));
		histogram_record(&calls, rig.now_ns - start);
	}
	printf("{\"bench\":\"link\",\"kind\":\"loss\",\"loss\":%g,\"megabytes_per_s\":%.1f,\"share_of_wire\":%.3f,"
	    "\"retransmitted\":%lu,\"spurious\":%lu,\"call_us\":{\"p50\":%.0f,\"p99\":%.0f,\"max\":%.0f}}\n",
	    loss, (double)arrived_bytes * 1e3 / (double)took,
	    (double)arrived_bytes / LINK_SEGMENT_MAX * (double)rig.packet_ns / (double)took,
	    rig.nodes[0].counters.link.retransmitted, rig.nodes[0].counters.link.spurious,
	    (double)histogram_percentile(&calls, 50) / 1e3, (double)histogram_percentile(&calls, 99) / 1e3,
	    (double)calls.max / 1e3);
	rig_close(&rig);
}

int
main(int argc, char **argv)
{
	static const uint32_t lens[] = { 64, 100, 200, 1024 };
	uint32_t samples = argc > 1 ? (uint32_t)atoi(argv[1]) : 501;

	CHECK(seal_start() && samples > 0 && samples <= SAMPLES_MAX);
	aead_start();
	rig_open(&rig, 1, 16 << 20);
	rig.delay_min_ns = rig.delay_max_ns = 10 * NS_PER_US;
	for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++)
		measure_aead(lens[i], samples);
	for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++)
		for (uint32_t batch = 1; batch <= 16; batch = batch == 1 ? 8 : batch * 2)
			measure(true, lens[i], batch, samples);
	measure(true, 1 << 16, 1, samples);
	measure(false, 1 << 16, 1, samples);
	rig_close(&rig);
	measure_loss(0);
	measure_loss(0.01);
	measure_loss(0.1);
	return 0;
}
