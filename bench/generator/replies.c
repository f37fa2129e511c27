#include <rte_ethdev.h>

#include "bench/generator/generator.h"

static void
settle(struct generator *g, struct flight *flight, uint16_t results, uint64_t now)
{
	flight->left -= results < flight->left ? results : flight->left;
	if (flight->left)
		return;
	g->in_flight--;
	g->stats.answered++;
	if (g->measuring)
		histogram_record(&g->latencies,
		    (uint64_t)((double)(now - flight->due_tsc) * 1e9 / (double)g->tsc_hz));
}

/* The flight of a sequence, or NULL when it is not awaited (late, or repeated). */
static struct flight *
flight_of(struct generator *g, uint64_t sequence)
{
	uint64_t number = (sequence - g->base) >> stride_shift(g->get.ops);
	struct flight *flight = &g->flights[number % FLIGHTS];

	return number >= g->oldest && number < g->next && flight->left ? flight : NULL;
}

static void
check_result(struct generator *g, const struct flight *flight, const struct native_result *result)
{
	uint32_t key;

	g->stats.results++;
	if (result->index >= g->get.ops) {
		g->stats.wrong++;
		return;
	}
	key = g->keys[flight->trace_at + result->index];
	if (result->status == OP_STATUS_NOT_FOUND) {
		g->stats.not_found++;
		return;
	}
	if (result->status != OP_STATUS_OK) {
		g->stats.refused++;
		return;
	}
	if (!flight->set && (result->value.len != g->options.value_len
	    || !workload_value_is(result->value.data, result->value.len, key))) {
		g->stats.wrong++;
		return;
	}
	if (g->missing)
		g->missing[key] = 0;
}

static void
take_reply(struct generator *g, const uint8_t *frame, uint32_t len, uint64_t now)
{
	struct view payload = view_of(frame + TEMPLATE_NATIVE, len - TEMPLATE_NATIVE);
	struct reader in = reader_of(payload.data + NATIVE_HEADER_LEN, payload.len - NATIVE_HEADER_LEN);
	struct native_header header;
	struct native_result result;
	struct flight *flight;
	uint16_t results = 0;

	if (!native_header_parse(payload, &header) || !(flight = flight_of(g, header.sequence)))
		return;
	if (header.cookie)
		g->cookie = header.cookie;
	if (header.error) {
		g->stats.refused++;
		settle(g, flight, UINT16_MAX, now);
		return;
	}
	while (results < header.op_count && native_result_parse(&in, &result)) {
		check_result(g, flight, &result);
		results++;
	}
	settle(g, flight, results, now);
}

static void
take_frame(struct generator *g, const uint8_t *frame, uint32_t len, uint64_t now)
{
	struct flight *flight;

	if (len < TEMPLATE_OPS || load_be16(frame + 12) != 0x0800 || frame[ETHERNET_HEADER_LEN + 9] != 17)
		return;
	if (g->options.mode != MODE_ECHO) {
		take_reply(g, frame, len, now);
		return;
	}
	flight = flight_of(g, load_le64(frame + TEMPLATE_SEQUENCE));
	if (flight)
		settle(g, flight, UINT16_MAX, now);
}

void
replies_receive(struct generator *g)
{
	struct rte_mbuf *mbufs[BURST_MAX];
	uint16_t n = rte_eth_rx_burst(PORT, 0, mbufs, BURST_MAX);
	uint64_t now = rte_rdtsc();

	if (n == 0)
		return;
	g->stats.rx_bursts++;
	g->stats.rx_frames += n;
	for (uint16_t i = 0; i < n; i++)
		take_frame(g, rte_pktmbuf_mtod(mbufs[i], uint8_t *), rte_pktmbuf_data_len(mbufs[i]), now);
	rte_pktmbuf_free_bulk(mbufs, n);
}

void
replies_expire(struct generator *g)
{
	uint64_t now = rte_rdtsc();

	for (; g->oldest < g->next; g->oldest++) {
		struct flight *flight = &g->flights[g->oldest % FLIGHTS];

		if (flight->left && now - flight->due_tsc < g->loss_tsc)
			return;
		if (flight->left) {
			flight->left = 0;
			g->in_flight--;
			g->stats.lost++;
		}
	}
}
