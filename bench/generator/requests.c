#include "bench/generator/generator.h"

static const struct template *
choose(struct generator *g)
{
	uint32_t percent = g->options.set_percent;

	if (percent == 0 || percent == 100)
		return percent ? &g->set : &g->get;
	return prng_below(&g->prng, 100) < percent ? &g->set : &g->get;
}

static void
request_write(struct generator *g, struct rte_mbuf *m, uint64_t due_tsc)
{
	const struct template *t = choose(g);
	struct flight *flight = &g->flights[g->next % FLIGHTS];
	uint8_t *frame = (uint8_t *)rte_pktmbuf_append(m, t->len);

	if (g->keys_at + t->ops > g->keys_len)
		g->keys_at = 0;
	*flight = (struct flight){ .due_tsc = due_tsc, .trace_at = g->keys_at, .left = t->ops,
		.set = t == &g->set };
	template_write(t, frame, g->base + (g->next << stride_shift(t->ops)), g->cookie,
	    g->keys + g->keys_at, g->slots);
	if (g->options.checksums)
		frame_checksum(frame, t->len);
	g->keys_at += t->ops;
	g->next++;
}

void
requests_send(struct generator *g, const uint64_t *due_tsc, uint16_t n)
{
	struct rte_mbuf *mbufs[BURST_MAX];

	if (rte_pktmbuf_alloc_bulk(g->pool, mbufs, n))
		generator_fail("out of packet buffers");
	for (uint16_t i = 0; i < n; i++)
		request_write(g, mbufs[i], due_tsc[i]);
	g->in_flight += n;
	g->stats.sent += n;
	nic_transmit(g, mbufs, n);
}

void
requests_send_now(struct generator *g, uint16_t n)
{
	uint64_t due[BURST_MAX], now = rte_rdtsc();

	for (uint16_t i = 0; i < n; i++)
		due[i] = now;
	requests_send(g, due, n);
}
