/* A fragment on its way into frag.h's memory, and the whole datagram on its way back into a packet. */
#include <string.h>

#include "net/stages.h"

static bool
is_put_together(uint8_t protocol)
{
	return protocol == WIRE_PROTOCOL_UDP || protocol == WIRE_PROTOCOL_ICMP || protocol == WIRE_PROTOCOL_ICMPV6;
}

bool
fragment_take(struct net *net, struct pkt *pkt, const struct frag *frag, uint16_t header_len, struct view *whole)
{
	enum drop why = DROP_FRAGMENT;
	uint32_t given_up = 0;

	*whole = (struct view){ 0 };
	if (net->config.frags && is_put_together(frag->protocol))
		why = frags_take(net->config.frags, net->now_ns, frag, whole, &given_up);
	if (given_up)
		counter_add(net->counters, COUNTER_REASSEMBLY_FAILED, given_up);
	if (why != DROP_NONE) {
		pkt_drop(pkt, net->counters, why);
		return false;
	}
	note(net, COUNTER_FRAGMENTS);
	if (!whole->data) {
		pkt->disposition = PKT_DONE;
		return false;
	}
	note(net, COUNTER_REASSEMBLED);
	if (whole->len > l3_room(false) || header_len + whole->len > pkt->room) {
		if (frag->protocol == WIRE_PROTOCOL_UDP)
			return true;
		pkt_drop(pkt, net->counters, DROP_FRAGMENT_LIMIT); /* an echo that no frame could carry back */
		return false;
	}
	memcpy(pkt->data + header_len, whole->data, whole->len);
	pkt->len = (uint16_t)(header_len + whole->len);
	whole->data = NULL;
	return true;
}
