/*
 * net.h - L2/L3 input and output for one worker: Ethernet, VLAN, ARP, IPv4, IPv6, ICMP, UDP.
 *
 * Purpose: a burst of frames in, datagrams out; replies in, frames out.
 * How: what is in the way before a header that comes next (a tag, IPv4 options, IPv6 extension headers) is taken
 *   out by moving the headers before it up to it, and `data` with them; so later steps see one layout a family, and
 *   the payload, which is most of the frame, stays where it is. IPv6's longer header is stepped over in the
 *   same way when the datagram is handed on (base/pkt.h, invariant 3).
 * Threads: one struct net a worker; `shared` is of all. Memory: fixed; frags is the caller's. Pure.
 * Invariants: 1. after net_input every pkt is PKT_SEND (answered in place),
 *   PKT_DROP (named), PKT_DONE (consumed), or PKT_PENDING and named by exactly one datagram
 *   or TCP segment.
 *   2. a reply to a datagram may be written at data + PKT_UDP_PAYLOAD_OFFSET of its pkt. The
 *   payload stands there too, but that of a datagram put together from fragments, which is in frags
 *   until the next net_input. 3. nothing is sent to, or because of, a broadcast or multicast
 *   address but what ARP and neighbour discovery ask for. 4. no address is used before it is known that nobody
 *   else on the link has it (IPv6; RFC 4862 5.4).
 * Sources: RFC 1122, 791, 792, 768; RFC 8200, 4443, 4861, 4862, 3810; IEEE 802.1Q.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/now.h"
#include "base/roles.h"
#include "base/pkt.h"
#include "net/tcp.h"

struct frags; /* net/frag.h */

enum {
	NET_PORTS_MAX = 2 * WORKER_MAX + 5,
	NET_IPV6_MAX = 8,           /* the link-local address and seven others */
	/* A worker answers so many a second unless its configuration says otherwise, and so many at once. */
	NET_ECHO_RATE = 10000, NET_ECHO_BURST = 1000,
	NET_UNREACHABLE_RATE = 100, NET_UNREACHABLE_BURST = 20,
	NET_RATE_MAX = 1000000,
};

/* What all workers of a node know together. */
struct net_shared {
	_Atomic uint32_t duplicates; /* bit i: somebody else has IPv6 address i */
	atomic_bool ipv6_usable;     /* duplicate address detection is over */
};

struct net_config {
	uint8_t mac[6];
	uint16_t vlan;            /* frames carry this tag, both ways; 0: none */
	uint32_t echoes_per_s, unreachables_per_s; /* 1..NET_RATE_MAX; 0: NET_ECHO_RATE, NET_UNREACHABLE_RATE */
	uint8_t ipv4[4];
	uint8_t ipv4_len;         /* of its prefix; 0: not known */
	uint8_t ipv6_count;       /* 0: no IPv6 */
	uint8_t ipv6[NET_IPV6_MAX][16];
	bool verify_checksums;    /* false: the NIC did, or the link cannot corrupt */
	bool tx_checksum_offload; /* true: the NIC fills IPv4, UDP and TCP checksums */
	bool tcp;                 /* TCP is served: its segments go to `segments` */
	bool tell_arp;            /* ARP replies and announcements become datagrams of SERVICE_ARP */
	bool announces;           /* this worker, one of all, finds duplicates and tells the network of the node's addresses */
	struct net_shared *shared;/* NULL: this worker is alone */
	struct frags *frags;      /* this worker's; NULL: fragments are dropped */
	struct {
		uint16_t port;
		uint8_t service; /* enum service */
	} ports[NET_PORTS_MAX];
	uint32_t port_count;
};

enum icmp_reason {
	ICMP_TOO_BIG = 1,   /* a router cannot pass packets of this size on: mtu says what fits */
	ICMP_UNREACHABLE,   /* no way, or forbidden: may pass */
	ICMP_REFUSED,       /* the host says that there is no such protocol or port */
	ICMP_EXPIRED,       /* time to live, or time to reassemble */
	ICMP_MISUNDERSTOOD, /* parameter problem */
};

/* An ICMP error about a TCP segment of this node. Anybody can forge one: TCP must check that `seq` is in flight. */
struct icmp_error {
	struct pkt *pkt;    /* the packet that says so, PKT_DONE */
	uint8_t reason;     /* enum icmp_reason */
	uint8_t type, code; /* as on the wire, of the family that `local` says */
	uint8_t local;      /* which of our addresses sent it (endpoint.local) */
	uint8_t peer[16];   /* to whom; IPv4 mapped */
	uint16_t peer_port, local_port;
	uint32_t seq;       /* the segment's sequence number */
	uint32_t mtu;       /* ICMP_TOO_BIG: of the way, IP header included; 0: the router does not say */
	uint8_t hops;       /* workers that did not know the connection */
	bool stray;         /* by tcp_errors_input: nor does this one, and others may */
};

/* An even pace of one every interval_ns, with bursts. */
struct net_pace {
	uint64_t due_ns;              /* when the next one would be due */
	uint32_t interval_ns, burst;
};

struct net {
	struct net_config config;
	struct counters *counters;
	uint64_t now_ns;              /* of the burst */
	struct net_shared alone;      /* in the place of a missing config.shared */
	uint16_t next_id;             /* IPv4 identification */
	/* what ICMP said in the burst; net_input empties it */
	struct icmp_error errors[BURST_MAX];
	uint32_t error_count;
	/* TCP segments of the burst, each with its pkt PKT_PENDING; net_input empties it */
	struct tcp_segment segments[BURST_MAX];
	uint32_t segment_count;
	struct net_pace echo, unreachable;
	/* announcing (announce.c) */
	uint64_t start_ns, due_ns;    /* of the first net_timers; of the next step */
	uint64_t report_ns;           /* a listener report is due; 0: none */
	uint8_t step;                 /* of the announcement */
	uint8_t services[UINT16_MAX + 1]; /* enum service by UDP port */
};

/* counters: the worker's; must outlive net. */
void net_init(struct net *net, const struct net_config *config, struct counters *counters);

/* The link-local address of a MAC (RFC 4291 appendix A, RFC 4862 5.3). */
void net_link_local(const uint8_t mac[6], uint8_t ip[16]);

/* Our own address that an endpoint names; IPv4 mapped. */
void net_address(const struct net *net, uint8_t local, uint8_t ip[16]);

/*
 * Sorts a burst: ARP, neighbour solicitations and echo requests become their answers in place
 * (PKT_SEND), UDP for a known port becomes a datagram (PKT_PENDING), ICMP errors about TCP are
 * put into net->errors (PKT_DONE), TCP segments into net->segments (PKT_PENDING), fragments are kept (PKT_DONE) until their datagram is whole; anything
 * else is a named drop. With tell_arp, ARP that is no request for us is a datagram too: its
 * payload is the ARP packet. Returns datagrams filled (<= n <= BURST_MAX).
 */
uint32_t net_input(struct net *net, uint64_t now_ns, struct pkt *pkts, uint32_t n, struct datagram *datagrams) ON_WORKER;

/* Writes Ethernet, IP and UDP headers before each payload; every reply's pkt becomes PKT_SEND, or is dropped (tx_large). */
void net_output(struct net *net, const struct reply *replies, uint32_t n) ON_WORKER;

/*
 * What is due at a time: the first call of the worker that `announces` begins duplicate address detection. Takes
 * fresh packets for what there is to say. Costs one comparison when nothing is due.
 */
void net_timers(struct net *net, uint64_t now_ns, struct spares *spares) ON_WORKER;

/* Answers echo-service datagrams with their own bytes; others are left. Returns replies appended. */
uint32_t net_echo(const struct datagram *datagrams, uint32_t n, struct reply *replies) ON_WORKER;

#endif
