/*
 * pkt.h - a frame as everything above io sees it, and a datagram inside it.
 *
 * Purpose: no layer but io knows an mbuf. A pkt is one contiguous writable
 *   buffer with a frame in it.
 * Threads: a pkt belongs to the lcore whose burst it is in.
 * Memory: the buffer is io's; a pkt is valid from port_rx (or port_take) to
 *   port_tx, which consumes every pkt of the burst by its disposition.
 * Invariants: 1. len <= room. 2. drop != DROP_NONE exactly when disposition is PKT_DROP.
 *   3. a fresh packet has PKT_HEADROOM writable bytes before data; a received one has those
 *   that net took off the front of it (tag, longer header). `data` moves, payloads do not:
 *   a UDP payload stands at data + PKT_UDP_PAYLOAD_OFFSET for every family until net_output
 *   puts the headers before it that its peer needs.
 */
#ifndef BASE_PKT_H
#define BASE_PKT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/counters.h"
#include "base/endpoint.h"
#include "base/limits.h"

enum pkt_disposition {
	PKT_PENDING = 0, /* nobody has decided yet; dropping silently is a bug */
	PKT_SEND,        /* transmit data[0..len) */
	PKT_DROP,        /* free; `drop` says why */
	PKT_DONE,        /* free; it was consumed (answered from another buffer, or deferred) */
};

struct pkt {
	uint8_t *data; /* first byte of the Ethernet header */
	uint16_t len;  /* bytes of the frame */
	uint16_t room; /* bytes writable from data on */
	uint8_t disposition; /* enum pkt_disposition */
	uint8_t drop;        /* enum drop */
	uint16_t flow;       /* low bits of the NIC's RSS hash, 0 when there is none */
	void *handle;        /* io's */
	bool tx_checksum;    /* the NIC is to fill layer 3's and 4's checksums; then these are set: */
	uint8_t l2_len, l3_len; /* bytes of the Ethernet header with its tag, and of the IP header */
	bool ipv6, tcp;
	uint8_t pad[3];
};

_Static_assert(sizeof(struct pkt) == 32, "two pkts a cache line");

static inline void
pkt_drop(struct pkt *pkt, struct counters *counters, enum drop why)
{
	pkt->disposition = PKT_DROP;
	pkt->drop = why;
	counters_bump(&counters->drops[why], 1);
}

/*
 * Who answers on a UDP port; net maps ports to services by its configuration. PEER: other
 * nodes. ARP is no port: what ARP says that the neighbour table wants to know.
 */
enum service { SERVICE_NONE = 0, SERVICE_NATIVE, SERVICE_MEMCACHED, SERVICE_ECHO, SERVICE_PEER, SERVICE_ARP,
	SERVICE_MEMCACHED_STREAM, SERVICE_RESP, /* over TCP */
	SERVICE_FRAME, /* a whole frame: a TCP segment on its way to the worker of its connection */
	SERVICE_ASK /* no bytes: requests of another worker or node, as they are (proto/ask.h) */ };

struct deferred; /* base/deferred.h */

/*
 * One UDP payload on its way through the stages: from the wire (pkt set, deferred
 * NULL) or from another worker's mailbox (deferred set; pkt is a spare to answer in).
 */
struct datagram {
	struct pkt *pkt;       /* where the answer may be written in place */
	uint8_t *payload;      /* the request's bytes: inside pkt, deferred, or memory of net (fragments) */
	uint16_t payload_len;
	uint8_t service;       /* enum service */
	struct deferred *deferred;
	struct endpoint peer;
};

enum {
	/* Where a UDP payload starts in a packet: behind Ethernet, IPv4 and UDP, whatever its peer's family. */
	PKT_UDP_PAYLOAD_OFFSET = ETHERNET_HEADER_LEN + IPV4_HEADER_LEN + UDP_HEADER_LEN,
	/* What IPv6 and a tag need before data, beyond that. */
	PKT_HEADROOM = IPV6_HEADER_LEN - IPV4_HEADER_LEN + VLAN_TAG_LEN,
};

/*
 * Bytes that a frame refers to: they stand in an item, behind what stands in the frame itself. The frame holds one of the
 * item's pins, until the NIC has sent it (io.h, port_append).
 */
struct pkt_tail {
	const uint8_t *data;
	uint16_t *pins;
	uint16_t len; /* 0: there are none */
};

/* A composed payload that waits for net_output to write its headers. */
struct reply {
	struct pkt *pkt;             /* payload stands at data + PKT_UDP_PAYLOAD_OFFSET */
	uint16_t payload_len;        /* tail included */
	uint16_t tail_len;           /* so many of the payload's last bytes are not in pkt; in their place there, a pkt_tail tells where they are */
	const struct endpoint *peer; /* dies with the burst */
};

/* What stands in a reply's packet in the place of its tail, so that a reply without one, as most are, is not the larger for it. */
static inline struct pkt_tail
pkt_tail_at(const uint8_t *place)
{
	struct pkt_tail tail;

	memcpy(&tail, place, sizeof tail);
	return tail;
}

/* Fresh packets for replies that do not fit their request's buffer. */
struct spares {
	struct pkt *pkts; /* array of `size`; [0, used) were taken and carry dispositions */
	uint32_t size;
	uint32_t used;
};

/* The next fresh packet, or NULL when none is left. */
static inline struct pkt *
spares_take(struct spares *spares)
{
	return spares->used < spares->size ? &spares->pkts[spares->used++] : NULL;
}

#endif
