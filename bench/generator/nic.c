#include <rte_ethdev.h>

#include "bench/generator/generator.h"

void
nic_start(struct generator *g)
{
	struct rte_eth_conf conf = { 0 };
	struct rte_ether_addr mac;

	if (rte_eth_dev_count_avail() == 0)
		generator_fail("no port: give one with --vdev");
	g->pool = rte_pktmbuf_pool_create("generator", POOL_SIZE, POOL_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
	    (int)rte_socket_id());
	if (!g->pool || rte_eth_dev_configure(PORT, 1, 1, &conf)
	    || rte_eth_rx_queue_setup(PORT, 0, RING_SIZE, 0, NULL, g->pool)
	    || rte_eth_tx_queue_setup(PORT, 0, RING_SIZE, 0, NULL) || rte_eth_dev_start(PORT))
		generator_fail("the port does not start");
	rte_eth_promiscuous_enable(PORT);
	rte_eth_macaddr_get(PORT, &mac);
	memcpy(g->options.link.mac, mac.addr_bytes, 6);
}

static struct rte_mbuf *
frame_mbuf(struct generator *g, const void *frame, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(g->pool);

	if (!m)
		generator_fail("out of packet buffers");
	memcpy(rte_pktmbuf_append(m, len), frame, len);
	return m;
}

void
nic_transmit(struct generator *g, struct rte_mbuf **mbufs, uint16_t n)
{
	uint16_t sent = 0;

	for (int tries = 0; sent < n && tries < 1000; tries++)
		sent += rte_eth_tx_burst(PORT, 0, mbufs + sent, n - sent);
	g->stats.tx_full += n - sent;
	while (sent < n)
		rte_pktmbuf_free(mbufs[sent++]);
}

void
nic_ask(struct generator *g, const uint8_t *frame, uint16_t len,
    bool (*take)(struct generator *, const uint8_t *, uint32_t), const char *otherwise)
{
	for (int tries = 0; tries < 100; tries++) {
		struct rte_mbuf *m = frame_mbuf(g, frame, len);
		uint64_t end = rte_rdtsc() + g->tsc_hz / 10;

		nic_transmit(g, &m, 1);
		while (rte_rdtsc() < end) {
			bool taken;

			if (rte_eth_rx_burst(PORT, 0, &m, 1) == 0)
				continue;
			taken = take(g, rte_pktmbuf_mtod(m, uint8_t *), rte_pktmbuf_data_len(m));
			rte_pktmbuf_free(m);
			if (taken)
				return;
		}
	}
	generator_fail(otherwise);
}
