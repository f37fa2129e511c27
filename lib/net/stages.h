/*
 * stages.h - the steps of net_input and net_output, one file each; private to lib/net.
 *
 * Each step either settles the pkt (PKT_SEND, PKT_DONE or a named drop) and returns
 * false, or returns true: *datagram is filled, or the next step goes on.
 */
#ifndef NET_STAGES_H
#define NET_STAGES_H

#include "net/frag.h"
#include "net/l3.h"
#include "net/net.h"
#include "wire/wire.h"

/* No address; all hosts of the link (RFC 4291 2.7.1); routers that listen to reports (RFC 3810 5.2.14). */
extern const uint8_t net_unspecified[16], net_all_nodes[16];

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

static inline struct wire_ipv6 *
ipv6_of(const struct pkt *pkt)
{
	return (struct wire_ipv6 *)(pkt->data + ETHERNET_HEADER_LEN);
}

static inline bool
is_our_mac(const struct net *net, const uint8_t mac[6])
{
	return memcmp(mac, net->config.mac, 6) == 0;
}

/*
 * Takes `len` bytes out of a frame that stand `at` bytes behind its start: what is before them moves up
 * to what is behind, which stays. Headers are short, so this moves few bytes.
 */
static inline void
pkt_cut(struct pkt *pkt, uint16_t at, uint16_t len)
{
	memmove(pkt->data + len, pkt->data, at);
	pkt->data += len;
	pkt->len -= len;
	pkt->room -= len;
}

/* The reverse: room for `len` bytes. The caller knows that they are there (base/pkt.h, invariant 3). */
static inline void
pkt_widen(struct pkt *pkt, uint16_t at, uint16_t len)
{
	memmove(pkt->data - len, pkt->data, at);
	pkt->data -= len;
	pkt->len += len;
	pkt->room += len;
}

static inline void
note(struct net *net, enum counter counter)
{
	counter_add(net->counters, counter, 1);
}

/* A frame answered in place, written without its tag: `len` bytes of it. */
void settle_answer(struct net *net, struct pkt *pkt, uint16_t len);

/* due_ns is when all tokens would be back (a virtual schedule, ITU-T I.371's algorithm). False: too many. */
static inline bool
pace_allows(struct net_pace *pace, uint64_t now_ns)
{
	uint64_t due = pace->due_ns > now_ns ? pace->due_ns : now_ns;

	if (due - now_ns > (uint64_t)(pace->burst - 1) * pace->interval_ns)
		return false;
	pace->due_ns = due + pace->interval_ns;
	return true;
}

/* RFC 826: answers a request for our address in place; true: *datagram holds news for the neighbour table. */
bool arp_input(struct net *net, struct pkt *pkt, struct datagram *datagram);
/* A gratuitous request, by which others replace what they remember (RFC 5227 3). Returns the frame's length. */
uint16_t arp_announcement(const struct net *net, uint8_t *frame);

/* RFC 791: true: *datagram is filled. */
bool ipv4_input(struct net *net, struct pkt *pkt, struct datagram *datagram);
/* RFC 8200: the same. */
bool ipv6_input(struct net *net, struct pkt *pkt, struct datagram *datagram);

/*
 * A fragment of a packet for us whose headers are `header_len` bytes. False: settled; it is kept, or dropped.
 * True: the datagram is whole. It stands behind those headers in pkt then, whole->len bytes of it, and
 * whole->data is NULL; or pkt has no room for it, and whole->data is where it is (UDP only).
 */
bool fragment_take(struct net *net, struct pkt *pkt, const struct frag *frag, uint16_t header_len, struct view *whole);

/* RFC 792, 4443: an IP packet for us, all of it in pkt. Settles every pkt. */
void icmp_input(struct net *net, struct pkt *pkt);
/* `multicast`: it was sent to a group of ours. */
void icmp6_input(struct net *net, struct pkt *pkt, uint8_t local, bool multicast);
/* Tells the sender of the packet in pkt that nothing listens on its port, unless too many were told; settles pkt. */
void icmp_refuse(struct net *net, struct pkt *pkt);
void icmp6_refuse(struct net *net, struct pkt *pkt);
/* What an error quotes of layer 4: of a TCP segment it becomes one of net->errors. */
void icmp_error_note(struct net *net, struct pkt *pkt, struct icmp_error *error, uint8_t protocol, const uint8_t *l4);

/* RFC 4861, 4862: a checked ICMPv6 message of neighbour discovery or of multicast listeners. Settles every pkt. */
void nd_input(struct net *net, struct pkt *pkt, bool multicast);
/* Of our addresses, 1 + the position, even if it is not known yet that nobody else has it; 0: none of them. */
uint8_t nd_ours(const struct net *net, const uint8_t ip[16]);
/* Whether address `local` may be used: it is known that nobody else has it. */
bool nd_is_usable(const struct net *net, uint8_t local);
/* Whether ip is a group that we listen to: all nodes, or what our addresses are solicited by (RFC 4291 2.7.1). */
bool nd_is_our_group(const struct net *net, const uint8_t ip[16]);
/* Frames of our own accord; they return their length, tag and all. */
uint16_t nd_probe(const struct net *net, uint8_t local, uint8_t *frame);
uint16_t nd_advertisement(const struct net *net, uint8_t local, uint8_t *frame);
uint16_t nd_report(const struct net *net, uint8_t kind, uint8_t *frame);

/* A TCP segment of an IP packet for us: into net->segments, or dropped. */
void tcp_segment_input(struct net *net, struct pkt *pkt, uint8_t local, uint8_t *header, uint16_t len);

/* RFC 768, of an IP packet for us: true: *datagram describes a payload for one of our services. */
bool udp_input_ipv4(struct net *net, struct pkt *pkt, struct datagram *datagram);
bool udp_input_ipv6(struct net *net, struct pkt *pkt, uint8_t local, struct datagram *datagram);
/* One put together from fragments that pkt has no room for; pkt has the headers before `whole`. */
bool udp_input_large(struct net *net, struct pkt *pkt, uint8_t local, struct view whole, struct datagram *datagram);

#endif
