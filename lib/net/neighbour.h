/*
 * neighbour.h - which MAC address leads to which IPv4 address.
 *
 * Purpose: frames that answer something go back to where it came from; frames that a node
 *   sends of its own accord need this table. It asks by ARP (RFC 826), learns from answers
 *   to its questions and from packets that proved themselves, and forgets with time.
 * How: an address outside the prefix leads to the router of the longest route that holds it (RFC 1812 5.2.4.3;
 *   so few are looked through faster than any tree), else to the gateway. Each entry that is being asked
 *   for holds one frame, the newest: it leaves when the answer comes. Questions are
 *   repeated every NEIGHBOUR_RETRY_NS, ever more seldom up to NEIGHBOUR_RETRY_MAX_NS, as
 *   long as somebody wants to send; an entry unconfirmed for NEIGHBOUR_FRESH_NS goes on being used
 *   while it is asked for again, for NEIGHBOUR_STALE_NS more.
 * Threads: none. Memory: the caller's, by value; held frames are the caller's pointers.
 * Invariants: 1. only an answer to a question that was asked, or a packet that proved itself,
 *   changes a MAC. 2. at most one frame is held an entry. 3. our own address has no entry.
 * Bounds: NEIGHBOUR_MAX entries; the one unused for longest makes room.
 */
#ifndef NET_NEIGHBOUR_H
#define NET_NEIGHBOUR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/now.h"

enum {
	NEIGHBOUR_MAX = 1024,
	NEIGHBOUR_FRAME_LEN = 64, /* of a question: Ethernet's shortest, and a tag */
	NEIGHBOUR_ARP_LEN = 28,
	NEIGHBOUR_ROUTES_MAX = 32,
};
#define NEIGHBOUR_RETRY_NS (100 * NS_PER_MS)
#define NEIGHBOUR_RETRY_MAX_NS (1600 * NS_PER_MS)
#define NEIGHBOUR_FRESH_NS (30 * NS_PER_SEC)
#define NEIGHBOUR_STALE_NS (30 * NS_PER_SEC)
#define NEIGHBOUR_WANTED_NS (5 * NS_PER_SEC) /* asked for so long after the last wish to send */

/* Hosts of network/prefix_len are reached by a router of our own network. */
struct neighbour_route {
	uint8_t network[4], router[4];
	uint8_t prefix_len;
};

struct neighbour_config {
	uint8_t mac[6], ipv4[4];
	uint8_t prefix_len;
	uint16_t vlan;         /* 0: questions have no tag */
	bool has_gateway;
	uint8_t gateway[4];
	uint32_t route_count;
	struct neighbour_route routes[NEIGHBOUR_ROUTES_MAX]; /* in any order; kept the longest prefix first */
};

struct neighbour {
	uint8_t ip[4], mac[6];
	bool known;            /* mac leads there, as far as we know */
	uint8_t tries;         /* questions since it was last confirmed */
	uint64_t confirmed_ns; /* known: when it was last sure */
	uint64_t wanted_ns;    /* somebody wished to send there */
	uint64_t ask_ns;       /* the next question, 0: none to be asked */
	void *held;
};

struct neighbours {
	struct neighbour_config config;
	uint16_t count;
	uint64_t deadline_ns;  /* no question is due before it; UINT64_MAX: none */
	uint16_t buckets[2 * NEIGHBOUR_MAX]; /* open hash: position + 1 */
	struct neighbour entries[NEIGHBOUR_MAX];
};

enum neighbour_answer {
	NEIGHBOUR_FOUND = 1,   /* mac is set */
	NEIGHBOUR_ASKING,      /* nobody knows yet: hold the frame */
	NEIGHBOUR_NO_WAY,      /* outside the prefix, and there is neither route nor gateway; or no host's address */
};

/* config->gateway and the routes' routers must be inside the prefix. */
void neighbour_init(struct neighbours *neighbours, const struct neighbour_config *config);

/* Where a frame to ip goes. *lost is a frame that was held by an entry which made room, or NULL. */
enum neighbour_answer neighbour_find(struct neighbours *neighbours, uint64_t now_ns, const uint8_t ip[4],
    uint8_t mac[6], void **lost);
/*
 * Keeps a frame until the way to ip is known (after NEIGHBOUR_ASKING). Returns the frame
 * that this one displaces, or NULL: the caller's again.
 */
void *neighbour_hold(struct neighbours *neighbours, const uint8_t ip[4], void *frame);

/*
 * A packet from ip proved itself; it came in from mac. Returns the frame that was held for it,
 * which can leave now, or NULL.
 */
void *neighbour_confirm(struct neighbours *neighbours, uint64_t now_ns, const uint8_t ip[4], const uint8_t mac[6]);

enum neighbour_news {
	NEIGHBOUR_IGNORED = 0, /* not asked, or says nothing new */
	NEIGHBOUR_LEARNT,
	NEIGHBOUR_CONFLICT,    /* somebody else says that our own address is his */
};
/* An ARP packet of NEIGHBOUR_ARP_LEN bytes, checked by arp_input. *ip is set to whom it tells of, *held as above. */
enum neighbour_news neighbour_arp(struct neighbours *neighbours, uint64_t now_ns, const uint8_t *arp, uint8_t ip[4],
    void **held);

/*
 * The next question that is due: writes the frame of NEIGHBOUR_FRAME_LEN bytes. False: none is. *given_up is a
 * frame that was held for longer than anybody waits, or NULL; it may be set either way.
 */
bool neighbour_ask(struct neighbours *neighbours, uint64_t now_ns, uint8_t *frame, void **given_up);
static inline uint64_t
neighbour_deadline(const struct neighbours *neighbours)
{
	return neighbours->deadline_ns;
}

void neighbour_check(const struct neighbours *neighbours);

#endif
