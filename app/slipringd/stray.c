#include "slipringd/stray.h"

#include "base/bytes.h"
#include "base/check.h"
#include "wire/wire.h"

/* A packet of our own out of the spares, which lose it: its end is that of a received one. */
static bool
take_packet(struct worker *w, struct pkt *pkt)
{
	struct spares *spares = &w->burst.spares;

	if (spares->used == spares->size || w->stray_count == BURST_MAX)
		return false;
	*pkt = spares->pkts[--spares->size];
	return true;
}

/* The tag that net takes off a frame is put before it again. */
static void
write_frame(const struct worker *w, struct pkt *pkt, const struct deferred *slot)
{
	enum { MACS = 12 };
	uint16_t tag = w->config.net.vlan ? VLAN_TAG_LEN : 0;

	CHECK(slot->payload_len + tag <= pkt->room);
	memcpy(pkt->data, slot->payload, MACS);
	if (tag) {
		store_be16(pkt->data + MACS, WIRE_ETHERTYPE_VLAN);
		store_be16(pkt->data + MACS + 2, w->config.net.vlan);
	}
	memcpy(pkt->data + MACS + tag, slot->payload + MACS, slot->payload_len - MACS);
	pkt->len = (uint16_t)(slot->payload_len + tag);
}

void
stray_accept(struct worker *w, struct deferred *slot)
{
	struct pkt *pkt = &w->pkts[w->stray_count];

	if (take_packet(w, pkt)) {
		write_frame(w, pkt, slot);
		w->stray_hops[w->stray_count++] = slot->first_op;
	} else {
		counters_bump(&w->counters->drops[DROP_NO_SPARE], 1);
	}
	slot->done = true;
	CHECK(mailbox_send(w->mailboxes[slot->home], slot));
}

/* Workers that a frame has come by: those that were handed over stand before what the port received. */
static uint8_t
hops_of(const struct worker *w, const struct pkt *pkt)
{
	uint32_t at = (uint32_t)(pkt - w->pkts);

	return at < w->stray_count ? w->stray_hops[at] : 0;
}

void
stray_mark(struct worker *w)
{
	if (__builtin_expect(w->stray_count == 0, 1))
		return;
	for (uint32_t i = 0; i < w->net.segment_count; i++)
		w->net.segments[i].hops = hops_of(w, w->net.segments[i].pkt);
	for (uint32_t i = 0; i < w->net.error_count; i++)
		w->net.errors[i].hops = hops_of(w, w->net.errors[i].pkt);
}

/* net took headers off the front as it went: the frame begins where the IP header's Ethernet header stands now. */
static ON_WORKER void
hand_on(struct worker *w, struct pkt *pkt, uint8_t hops)
{
	struct datagram whole = { .payload = pkt->data, .payload_len = pkt->len, .service = SERVICE_FRAME };
	uint32_t to = (w->config.serve.worker + 1) % w->config.serve.worker_count;
	struct deferred *slot = NULL;

	if (whole.payload_len <= DEFERRED_PAYLOAD_MAX)
		slot = serve_slot(w->serve, &whole);
	if (!slot) {
		pkt_drop(pkt, w->counters, DROP_DEFERRED_FULL);
		return;
	}
	slot->first_op = (uint8_t)(hops + 1);
	counter_add(w->counters, COUNTER_TCP_STRAYS, 1); /* before the other worker can act on it */
	CHECK(mailbox_send(w->mailboxes[to], slot));
	pkt->disposition = PKT_DONE;
}

void
stray_post(struct worker *w)
{
	for (uint32_t i = 0; i < w->net.segment_count; i++)
		if (__builtin_expect(w->net.segments[i].stray, 0))
			hand_on(w, w->net.segments[i].pkt, w->net.segments[i].hops);
	for (uint32_t i = 0; i < w->net.error_count; i++)
		if (w->net.errors[i].stray)
			hand_on(w, w->net.errors[i].pkt, w->net.errors[i].hops);
}
