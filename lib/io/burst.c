/* Receiving and sending bursts: mbuf <-> struct pkt. */
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "base/check.h"
#include "io/port.h"

_Static_assert(PKT_HEADROOM <= RTE_PKTMBUF_HEADROOM, "fresh packets have it (base/pkt.h, invariant 3)");

enum {
	TX_RETRIES = 64,   /* rte_eth_tx_burst calls without progress before a frame is dropped */
	REFILL_BATCH = 64, /* spares topped up a call */
};

static inline void
pkt_of(struct pkt *pkt, struct rte_mbuf *mbuf)
{
	pkt->data = rte_pktmbuf_mtod(mbuf, uint8_t *);
	pkt->len = mbuf->data_len;
	pkt->room = (uint16_t)(mbuf->buf_len - mbuf->data_off);
	pkt->disposition = PKT_PENDING;
	pkt->drop = DROP_NONE;
	pkt->flow = (uint16_t)mbuf->hash.rss;
	pkt->tx_checksum = pkt->tcp = false;
	pkt->handle = mbuf;
}

uint32_t
port_rx(struct port *port, struct pkt *pkts, uint32_t n, struct counters *counters)
{
	struct rte_mbuf *mbufs[BURST_MAX];
	uint32_t got = rte_eth_rx_burst(port->id, port->queue, mbufs, (uint16_t)n);
	uint64_t bytes = 0;

	/* Headers and key of a small request stand on two lines. */
	for (uint32_t i = 0; i < got; i++) {
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], uint8_t *));
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], uint8_t *) + 64);
	}
	for (uint32_t i = 0; i < got; i++) {
		pkt_of(&pkts[i], mbufs[i]);
		bytes += mbufs[i]->pkt_len;
		if (mbufs[i]->nb_segs != 1)
			pkt_drop(&pkts[i], counters, DROP_RX_CHAIN);
	}
	if (got) {
		port->blind_us = PORT_BLIND_MIN_US;
		counter_add(counters, COUNTER_RX_FRAMES, got);
		counter_add(counters, COUNTER_RX_BYTES, bytes);
	}
	return got;
}

static void
request_checksums(struct rte_mbuf *mbuf, const struct pkt *pkt)
{
	mbuf->l2_len = pkt->l2_len;
	mbuf->l3_len = pkt->l3_len;
	mbuf->ol_flags |= (pkt->tcp ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM) |
	    (pkt->ipv6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM);
}

/* Sets an mbuf to what its pkt says; false: a chain on a port that cannot send one. */
static inline bool
finish(const struct port *port, const struct pkt *pkt, struct counters *counters)
{
	struct rte_mbuf *mbuf = pkt->handle;

	if (__builtin_expect(port->tails != PORT_TAILS_REFERRED && (mbuf->nb_segs != 1 || RTE_MBUF_HAS_EXTBUF(mbuf)), 0)) {
		counters_bump(&counters->drops[DROP_TX_CHAIN], 1);
		return false;
	}
	mbuf->pkt_len = mbuf->pkt_len - mbuf->data_len + pkt->len;
	mbuf->data_len = pkt->len;
	mbuf->data_off = (uint16_t)(pkt->data - (uint8_t *)mbuf->buf_addr); /* headers may begin elsewhere now */
	if (pkt->tx_checksum)
		request_checksums(mbuf, pkt);
	return true;
}

/* A full queue drains by itself: try again, but never for long. */
static void
transmit(struct port *port, struct rte_mbuf **mbufs, uint32_t n, struct counters *counters)
{
	uint32_t sent = 0, tails = 0;

	for (uint32_t i = 0; i < n; i++) /* before they go: the driver may free them */
		tails += mbufs[i]->nb_segs > 1;

	for (uint32_t idle = 0; sent < n && idle < TX_RETRIES;) {
		uint32_t now = rte_eth_tx_burst(port->id, port->queue, mbufs + sent, (uint16_t)(n - sent));

		idle = now ? 0 : idle + 1;
		sent += now;
	}
	counter_add(counters, COUNTER_TX_FRAMES, sent);
	if (sent < n) {
		counters_bump(&counters->drops[DROP_TX_FULL], n - sent);
		for (uint32_t i = sent; i < n; i++)
			tails -= mbufs[i]->nb_segs > 1;
		rte_pktmbuf_free_bulk(mbufs + sent, n - sent);
	}
	if (tails)
		counter_add(counters, COUNTER_TX_REFERRED, tails);
}

void
port_tx(struct port *port, struct pkt *pkts, uint32_t n, struct counters *counters)
{
	struct rte_mbuf *out[BURST_MAX];
	uint32_t count = 0;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < n; i++) {
		CHECK(pkts[i].disposition != PKT_PENDING);
		if (pkts[i].disposition != PKT_SEND || !finish(port, &pkts[i], counters)) {
			rte_pktmbuf_free(pkts[i].handle);
			continue;
		}
		bytes += rte_pktmbuf_pkt_len((struct rte_mbuf *)pkts[i].handle);
		out[count++] = pkts[i].handle;
		if (count == BURST_MAX) {
			transmit(port, out, count, counters);
			count = 0;
		}
	}
	if (count)
		transmit(port, out, count, counters);
	if (bytes)
		counter_add(counters, COUNTER_TX_BYTES, bytes);
}

static uint32_t
fill(struct port *port, struct pkt *pkts, uint32_t n)
{
	struct rte_mbuf *mbufs[REFILL_BATCH];

	if (n > REFILL_BATCH)
		n = REFILL_BATCH;
	if (rte_pktmbuf_alloc_bulk(port->pool, mbufs, n) != 0)
		return 0;
	for (uint32_t i = 0; i < n; i++)
		pkt_of(&pkts[i], mbufs[i]);
	return n;
}

void
port_refill(struct port *port, struct spares *spares)
{
	/* The used ones are at the front: move fresh ones from the end into their place. */
	uint32_t gone = spares->used;

	while (gone > 0 && spares->size > gone) {
		spares->size--;
		gone--;
		spares->pkts[gone] = spares->pkts[spares->size];
	}
	if (gone > 0)
		spares->size = 0;
	spares->used = 0;
	if (spares->size < SPARE_MAX)
		spares->size += fill(port, spares->pkts + spares->size, SPARE_MAX - spares->size);
}

void
port_release(struct port *port, struct spares *spares)
{
	(void)port;
	for (uint32_t i = spares->used; i < spares->size; i++)
		rte_pktmbuf_free(spares->pkts[i].handle);
	spares->size = spares->used = 0;
}
