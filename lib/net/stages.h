/*
 * stages.h - the steps of net_input, one file each; private to lib/net.
 *
 * Each step either settles the pkt (PKT_SEND or a named drop) and returns
 * false, or returns true: the next step goes on.
 */
#ifndef NET_STAGES_H
#define NET_STAGES_H

#include "net/net.h"
#include "wire/wire.h"

static inline struct wire_ethernet *
ethernet_of(const struct pkt *pkt)
{
	return (struct wire_ethernet *)pkt->data;
}

static inline struct wire_ipv4 *
ipv4_of(const struct pkt *pkt)
{
	return (struct wire_ipv4 *)(pkt->data + ETHERNET_HEADER_LEN);
}

/* RFC 826: answers a request for our address in place; true: *datagram holds news for the neighbour table. */
bool arp_input(struct net *net, struct pkt *pkt, struct datagram *datagram);
/* RFC 791 with our restrictions (no options, no fragments); true: for us and sound. */
bool ipv4_input(struct net *net, struct pkt *pkt);
/* RFC 792: turns an echo request into its reply in place. Settles every pkt. */
void icmp_input(struct net *net, struct pkt *pkt);
/* RFC 768: true: *datagram describes a payload for one of our services. */
bool udp_input(struct net *net, struct pkt *pkt, struct datagram *datagram);

#endif
