/*
 * net.h - L2/L3 input and output for one worker: ARP, IPv4, ICMP echo, UDP.
 *
 * Purpose: a burst of frames in, datagrams out; replies in, frames out.
 * Threads: one struct net a worker. Memory: fixed. Pure.
 * Invariants: 1. after net_input every pkt is PKT_SEND (answered in place),
 *   PKT_DROP (named), or PKT_PENDING and named by exactly one datagram.
 *   2. a datagram's payload starts at data + PKT_UDP_PAYLOAD_OFFSET: frames with
 *   IPv4 options are dropped by name, so every reply can be written in place.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <stdbool.h>

#include "base/now.h"
#include "base/roles.h"
#include "base/pkt.h"

enum { NET_PORTS_MAX = 2 * WORKER_MAX + 5 };

struct net_config {
	uint8_t mac[6];
	uint8_t ipv4[4];
	bool verify_checksums;    /* false: the NIC did, or the link cannot corrupt */
	bool tx_checksum_offload; /* true: the NIC fills IPv4 and UDP checksums */
	bool tell_arp;            /* ARP replies and announcements become datagrams of SERVICE_ARP */
	struct {
		uint16_t port;
		uint8_t service; /* enum service */
	} ports[NET_PORTS_MAX];
	uint32_t port_count;
};

struct net {
	struct net_config config;
	struct counters *counters;
	uint16_t next_id;             /* IPv4 identification */
	uint8_t services[UINT16_MAX + 1]; /* enum service by UDP port */
};

/* counters: the worker's; must outlive net. */
void net_init(struct net *net, const struct net_config *config, struct counters *counters);

/*
 * Sorts a burst: ARP and ICMP echo requests become their replies in place
 * (PKT_SEND), UDP for a known port becomes a datagram (PKT_PENDING), anything
 * else is a named drop. With tell_arp, ARP that is no request for us is a datagram too: its
 * payload is the ARP packet. Returns datagrams filled (<= n <= BURST_MAX).
 */
uint32_t net_input(struct net *net, struct pkt *pkts, uint32_t n, struct datagram *datagrams) ON_WORKER;

/* Writes Ethernet, IPv4 and UDP headers before each payload; every reply's pkt becomes PKT_SEND. */
void net_output(struct net *net, const struct reply *replies, uint32_t n) ON_WORKER;

/* Answers echo-service datagrams with their own bytes; others are left. Returns replies appended. */
uint32_t net_echo(const struct datagram *datagrams, uint32_t n, struct reply *replies) ON_WORKER;

#endif
