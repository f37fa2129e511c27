/*
 * An echo server over TCP-lite and a modelled peer, with a link between that loses, doubles and reorders from a
 * seed. Every byte comes once and in order, both ways; nothing is left. Far simpler than tests/tcp's simulator, and
 * quick: it is the first thing to run after a change of loss recovery.
 */
#include <time.h>

#include "tests/unit/tcp_rig.h"

enum { BYTES = 300000, QUEUE = 4096, DELAY_US = 5000, PEER_RTO_US = 250000, PEER_WINDOW = 60000, MSS = 1448 };

struct wire {
	uint64_t at_ns;
	bool to_peer;
	uint8_t flags;
	uint32_t seq, ack, len, sacks;
	uint16_t window;
	struct { uint32_t start, end; } sack[4];
	uint8_t data[1460];
};

struct model {
	struct rig_peer peer;
	bool sack;
	uint32_t iss, una, nxt, window;   /* what it sends */
	uint64_t rto_ns;
	uint32_t irs, rcv;                /* what it has received */
	uint8_t *got, *have;
	uint32_t highest;
	uint32_t dupacks;
	bool fin_sent, fin_got, done;
};

static struct wire *queue[QUEUE];
static uint32_t queue_count;
static struct prng prng;
static uint32_t loss_permille;
static uint64_t last_ns[2];        /* of each way */

static uint8_t
byte_at(uint32_t i)
{
	return (uint8_t)((i * 2654435761u) >> 13);
}

/* Puts a segment on the wire, or not, or twice, or late. */
static void
put(const struct wire *wire)
{
	uint32_t copies = prng_below(&prng, 1000) < loss_permille ? 0 : prng_below(&prng, 1000) < loss_permille / 4 ? 2 : 1;

	while (copies-- > 0 && queue_count < QUEUE) {
		struct wire *copy = malloc(sizeof *copy);

		*copy = *wire;
		copy->at_ns = rig_now_ns + DELAY_US * NS_PER_US;
		if (copy->at_ns <= last_ns[wire->to_peer])
			copy->at_ns = last_ns[wire->to_peer] + 1;
		if (prng_below(&prng, 1000) < loss_permille / 2) /* late, and overtaken */
			copy->at_ns += prng_below(&prng, 4 * NS_PER_MS);
		else
			last_ns[wire->to_peer] = copy->at_ns;
		queue[queue_count++] = copy;
	}
}

static void
model_send(struct model *m, uint8_t flags, uint32_t seq, uint32_t len)
{
	struct wire wire = { .flags = flags, .seq = seq, .ack = m->irs + 1 + m->rcv + m->fin_got, .len = len, .window = PEER_WINDOW };

	for (uint32_t i = 0; i < len; i++)
		wire.data[i] = byte_at(seq - m->iss - 1 + i);
	for (uint32_t at = m->rcv; m->sack && at < m->highest && wire.sacks < 3;) {
		uint32_t start;

		while (at < m->highest && !m->have[at])
			at++;
		start = at;
		while (at < m->highest && m->have[at])
			at++;
		if (start < at) {
			wire.sack[wire.sacks].start = m->irs + 1 + start;
			wire.sack[wire.sacks++].end = m->irs + 1 + at;
		}
	}
	put(&wire);
}

static void
model_push(struct model *m)
{
	uint32_t end = m->iss + 1 + BYTES;

	while (m->nxt != end && m->nxt - m->una < most(m->window, MSS)) {
		uint32_t len = least(MSS, end - m->nxt);

		model_send(m, TCP_ACK, m->nxt, len);
		m->nxt += len;
	}
	if (m->nxt == end && m->rcv == BYTES && !m->fin_sent) {
		model_send(m, TCP_ACK | TCP_FIN, m->nxt, 0);
		m->nxt++;
		m->fin_sent = true;
	}
}

static void
model_input(struct model *m, const struct wire *wire)
{
	uint32_t from = wire->seq - m->irs - 1;

	if (wire->flags & TCP_RST) {
		m->done = true;
		return;
	}
	m->window = (uint32_t)wire->window << 7;
	if (seq_lt(m->una, wire->ack)) {
		m->una = wire->ack;
		m->nxt = seq_max(m->nxt, m->una);
		m->dupacks = 0;
		m->rto_ns = rig_now_ns + PEER_RTO_US * NS_PER_US;
	} else if (wire->len == 0 && wire->ack == m->una && m->una != m->nxt && ++m->dupacks == 3) {
		model_send(m, TCP_ACK, m->una, least(MSS, m->iss + 1 + BYTES - m->una));
	}
	for (uint32_t i = 0; i < wire->len; i++)
		if (from + i < BYTES) {
			assert_int_equal(wire->data[i], byte_at(from + i));
			m->have[from + i] = 1;
			m->highest = most(m->highest, from + i + 1);
		}
	while (m->rcv < BYTES && m->have[m->rcv])
		m->rcv++;
	if (wire->flags & TCP_FIN && m->rcv == BYTES)
		m->fin_got = true;
	if (wire->len || wire->flags & TCP_FIN)
		model_send(m, TCP_ACK, m->nxt, 0);
	if (m->fin_got && m->fin_sent && m->una == m->nxt)
		m->done = true;
	model_push(m);
}

static void
model_timer(struct model *m)
{
	if (m->una == m->nxt || rig_now_ns < m->rto_ns)
		return;
	m->rto_ns = rig_now_ns + PEER_RTO_US * NS_PER_US;
	if (m->una == m->iss + 1 + BYTES) {
		model_send(m, TCP_ACK | TCP_FIN, m->una, 0);
		return;
	}
	m->nxt = m->una; /* go back */
	m->fin_sent = false;
	model_push(m);
}

/* What TCP-lite has to send goes on the wire. */
static void
collect(void)
{
	do {
		rig_flush();
		for (uint32_t i = 0; i < rig_out_count; i++) {
			const struct rig_seg *seg = &rig_out[i];
			struct wire wire = { .to_peer = true, .flags = seg->flags, .seq = seg->seq, .ack = seg->ack,
				.len = seg->len, .window = seg->window };

			memcpy(wire.data, seg->data, seg->len);
			put(&wire);
		}
	} while (rig_out_count == RIG_FRAMES);
}

static void
echo(void)
{
	rig_turn_count = tcp_turns(rig, rig_now_ns, rig_turns, 32);
	for (uint32_t i = 0; i < rig_turn_count; i++) {
		struct turn *turn = &rig_turns[i];

		if (turn->closed) {
			rig_closed++;
			rig_reason = turn->reason;
			continue;
		}
		turn->consumed = least(turn->input.len, 1 + (uint32_t)prng_below(&prng, 4000));
		if (turn->consumed && !outq_put(turn->blocks, turn->out, turn->input.data, turn->consumed))
			turn->consumed = 0;
		turn->again = turn->consumed < turn->input.len;
		turn->close = turn->finished && !turn->again;
	}
	tcp_apply(rig, rig_now_ns, rig_turns, rig_turn_count);
}

static void
deliver(struct model *m, struct wire *wire)
{
	/* The frame is there until the application has had its turn. */
	static uint8_t bytes[RIG_ROOM];
	static struct pkt pkt;
	uint8_t options[40] = { 1, 1, 5, (uint8_t)(2 + 8 * wire->sacks) };
	struct tcp_segment segment;

	if (wire->to_peer) {
		model_input(m, wire);
		return;
	}
	for (uint32_t i = 0; i < wire->sacks; i++) {
		store_be32(options + 4 + 8 * i, wire->sack[i].start);
		store_be32(options + 8 + 8 * i, wire->sack[i].end);
	}
	rig_segment(&pkt, &segment, bytes, &m->peer, wire->flags, wire->seq, wire->ack, wire->window, wire->data, wire->len,
	    wire->sacks ? options : NULL, wire->sacks ? 4 + 8 * wire->sacks : 0);
	tcp_input(rig, rig_now_ns, &segment, 1);
}

static uint64_t
run(uint64_t seed, uint32_t permille, bool sack)
{
	static const uint8_t no_sack[8] = { 2, 4, 5, 180, 1, 3, 3, 0 };
	static const uint8_t with_sack[12] = { 2, 4, 5, 180, 1, 3, 3, 0, 1, 1, 4, 2 };
	struct model m = { .sack = sack, .got = calloc(BYTES, 1), .have = calloc(BYTES, 1), .window = 10000 };
	uint64_t start_ns, step;

	prng.state = seed;
	loss_permille = 0;
	memset(last_ns, 0, sizeof last_ns);
	m.peer = (struct rig_peer){ .port = 40000 };
	m.iss = (uint32_t)prng_next(&prng);
	rig_syn(&m.peer, m.iss, sack ? with_sack : no_sack, sack ? sizeof with_sack : sizeof no_sack);
	m.irs = rig_out[0].seq;
	m.una = m.nxt = m.iss + 1;
	rig_in(&m.peer, TCP_ACK, m.una, m.irs + 1, PEER_WINDOW, NULL, 0);
	start_ns = rig_now_ns;
	loss_permille = permille;
	model_push(&m);
	for (step = 0; !m.done && step < 400000; step++) {
		uint64_t due = tcp_deadline(rig);
		uint32_t first = 0;

		if (tcp_deadline(rig) > m.rto_ns && m.una != m.nxt)
			due = m.rto_ns;
		for (uint32_t i = 0; i < queue_count; i++)
			if (queue[i]->at_ns < queue[first]->at_ns)
				first = i;
		if (queue_count && queue[first]->at_ns <= due) {
			struct wire *wire = queue[first];

			queue[first] = queue[--queue_count];
			rig_now_ns = wire->at_ns > rig_now_ns ? wire->at_ns : rig_now_ns;
			deliver(&m, wire);
			free(wire);
		} else {
			rig_now_ns = due > rig_now_ns ? due : rig_now_ns;
			tcp_timers(rig, rig_now_ns);
			model_timer(&m);
		}
		echo();
		collect();
	}
	if (m.rcv != BYTES)
		printf("stopped after %llu steps, %.0f ms: %u of %u bytes, reason %d\n", (unsigned long long)step,
		    (double)(rig_now_ns - start_ns) / 1e6, m.rcv, (unsigned)BYTES, rig_reason);
	assert_int_equal(m.rcv, BYTES);
	assert_true(m.done);
	while (queue_count)
		free(queue[--queue_count]);
	free(m.got);
	free(m.have);
	return rig_now_ns - start_ns;
}

static void
every_byte_comes_once_and_in_order_at_any_loss(void **state)
{
	static const uint32_t losses[] = { 0, 1, 10, 50, 200 };
	const char *text = getenv("SLIPRING_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);

	(void)state;
	printf("seed %llu\n", (unsigned long long)seed);
	for (uint32_t i = 0; i < sizeof losses / sizeof *losses; i++)
		for (int sack = 0; sack < 2; sack++) {
			struct tcp_config config = rig_config();
			uint64_t ns;

			config.keepalive_s = 0;
			config.give_up_s = 2000; /* at 20 % nine retransmissions in a row are lost now and then */
			rig_create(&config);
			ns = run(seed + i, losses[i], sack);
			printf("loss %4.1f %%, %s: %6.0f ms, %llu again, %llu timeouts\n", losses[i] / 10.0, sack ? "SACK" : "none",
			    (double)ns / 1e6, (unsigned long long)counter_read(&rig_counters, COUNTER_TCP_RETRANSMITS),
			    (unsigned long long)counter_read(&rig_counters, COUNTER_TCP_TIMEOUTS));
			for (uint32_t w = 0; w < 2000 && tcp_deadline(rig) != UINT64_MAX; w++) {
				rig_now_ns = tcp_deadline(rig);
				tcp_timers(rig, rig_now_ns);
				echo();
				rig_flush();
			}
			assert_int_equal(tcp_blocks(rig)->used, 0);
			assert_int_equal(rig->table.count, 0);
			assert_int_equal(rig_closed, 1);
			tcp_destroy(rig);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_byte_comes_once_and_in_order_at_any_loss) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
