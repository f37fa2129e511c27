#include <string.h>

#include "net/stages.h"

enum { HARDWARE_ETHERNET = 1 };

static bool
is_sound(const struct wire_arp *arp)
{
	return be16(arp->hardware) == HARDWARE_ETHERNET &&
	    be16(arp->protocol) == WIRE_ETHERTYPE_IPV4 && arp->hardware_len == 6 &&
	    arp->protocol_len == 4;
}

/* A reply, or a request by which somebody announces itself (RFC 5227 3). */
static bool
is_news(const struct wire_arp *arp)
{
	return be16(arp->operation) == WIRE_ARP_REPLY ||
	    (be16(arp->operation) == WIRE_ARP_REQUEST && memcmp(arp->sender_ip, arp->target_ip, 4) == 0);
}

static void
tell(struct pkt *pkt, struct datagram *datagram)
{
	memset(datagram, 0, sizeof *datagram);
	datagram->pkt = pkt;
	datagram->payload = pkt->data + ETHERNET_HEADER_LEN;
	datagram->payload_len = sizeof(struct wire_arp);
	datagram->service = SERVICE_ARP;
	memcpy(datagram->peer.mac, ethernet_of(pkt)->source, 6);
}

static void
answer(struct net *net, struct pkt *pkt, struct wire_arp *arp)
{
	struct wire_ethernet *ethernet = ethernet_of(pkt);

	memcpy(ethernet->destination, arp->sender_mac, 6);
	memcpy(ethernet->source, net->config.mac, 6);
	arp->operation = be16(WIRE_ARP_REPLY);
	memcpy(arp->target_mac, arp->sender_mac, 6);
	memcpy(arp->target_ip, arp->sender_ip, 4);
	memcpy(arp->sender_mac, net->config.mac, 6);
	memcpy(arp->sender_ip, net->config.ipv4, 4);
	settle_answer(net, pkt, pkt->len);
	note(net, COUNTER_ARP_REPLIES);
}

bool
arp_input(struct net *net, struct pkt *pkt, struct datagram *datagram)
{
	struct wire_arp *arp = (struct wire_arp *)(pkt->data + ETHERNET_HEADER_LEN);

	if (pkt->len < ETHERNET_HEADER_LEN + sizeof *arp || !is_sound(arp)) {
		pkt_drop(pkt, net->counters, DROP_ARP_MALFORMED);
		return false;
	}
	/* Our own announcement, come in at another port of ours. */
	if (is_our_mac(net, arp->sender_mac)) {
		pkt_drop(pkt, net->counters, DROP_NOT_FOR_US);
		return false;
	}
	if (memcmp(arp->sender_ip, net->config.ipv4, 4) == 0)
		note(net, COUNTER_ADDRESS_CONFLICTS); /* RFC 5227 2.4 */
	if (net->config.tell_arp && is_news(arp)) {
		tell(pkt, datagram);
		return true;
	}
	/* Without a neighbour table nobody wants replies and announcements: an answer goes
	 * back to the MAC its request came from. */
	if (be16(arp->operation) != WIRE_ARP_REQUEST || memcmp(arp->target_ip, net->config.ipv4, 4) != 0)
		pkt_drop(pkt, net->counters, DROP_NOT_FOR_US);
	else
		answer(net, pkt, arp);
	return false;
}

uint16_t
arp_announcement(const struct net *net, uint8_t *frame)
{
	static const uint8_t everybody[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct wire_arp *arp = (struct wire_arp *)l3_write_ethernet(frame, net->config.mac, everybody, net->config.vlan,
	    WIRE_ETHERTYPE_ARP);

	memset(arp, 0, sizeof *arp);
	arp->hardware = be16(HARDWARE_ETHERNET);
	arp->protocol = be16(WIRE_ETHERTYPE_IPV4);
	arp->hardware_len = 6;
	arp->protocol_len = 4;
	arp->operation = be16(WIRE_ARP_REQUEST);
	memcpy(arp->sender_mac, net->config.mac, 6);
	memcpy(arp->sender_ip, net->config.ipv4, 4);
	memcpy(arp->target_ip, net->config.ipv4, 4);
	return (uint16_t)((uint8_t *)(arp + 1) - frame);
}
