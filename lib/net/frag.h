/*
 * frag.h - puts IP fragments together (RFC 791, RFC 8200 4.5), for UDP and ICMP to us.
 *
 * Purpose: a datagram that a router or its sender has cut is put together again, with all that such
 *   memory lends itself to kept in bounds.
 * How: bytes are copied into one of FRAGS_MAX places, found by a keyed hash. A place lives for FRAGS_TIMEOUT_NS from
 *   its first fragment on (RFC 1122 says a minute and more; on a link where clients ask again after milliseconds,
 *   what is late by a second is never wanted); when all are taken, the oldest makes room.
 *   Fragments that overlap, or disagree about the end, condemn their datagram (RFC 5722): its place stays, without
 *   purpose, so that later fragments of it are dropped too. One that says again what is known is ignored.
 * Rejected: DPDK's rte_ip_frag, because nothing above lib/io knows an mbuf, and this is tested without one.
 * Threads: one struct frags a worker. Memory: about 6 MiB of address space, touched as far as it is used.
 * Invariants: 1. a place is free, being filled (in its bucket, and in the order of age), or whole and waiting
 *   for frags_release. 2. pieces of a place do not overlap.
 * Bounds: FRAGS_PIECES a datagram, FRAGS_LEN_MAX bytes, FRAGS_SOURCE_MAX under way of a source
 *   (of all sources that share one of 1024 hashes), FRAGS_MAX under way.
 */
#ifndef NET_FRAG_H
#define NET_FRAG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/counters.h"
#include "base/limits.h"
#include "base/now.h"
#include "base/view.h"

enum {
	FRAGS_MAX = 1024,
	FRAGS_PIECES = 4,
	FRAGS_LEN_MAX = DATAGRAM_LEN_MAX, /* layer 4 of a datagram */
	FRAGS_SOURCE_MAX = 64,
};
#define FRAGS_TIMEOUT_NS (1 * NS_PER_SEC)

_Static_assert(FRAGS_LEN_MAX == FRAGS_PIECES * (MTU - IPV4_HEADER_LEN), "as many full frames");

struct frags;

/* secret: 16 bytes nobody else knows. NULL: no memory. */
struct frags *frags_create(const uint8_t secret[16]);
void frags_destroy(struct frags *frags); /* NULL is nothing */

struct frag {
	uint8_t source[16], destination[16]; /* IPv4 mapped */
	uint32_t id;
	uint8_t protocol;
	bool more;       /* it is not the last */
	uint16_t offset; /* of its bytes in the datagram */
	struct view bytes;
};

/*
 * Takes one fragment. DROP_NONE: it was taken, and when it was the missing one, *whole is
 * all of layer 4, until frags_release; otherwise whole->data is NULL. Else: why not.
 * *given_up counts datagrams that were forgotten meanwhile.
 */
enum drop frags_take(struct frags *frags, uint64_t now_ns, const struct frag *frag, struct view *whole, uint32_t *given_up);

/* What was whole is not needed any more. Costs one comparison when nothing was. */
void frags_release(struct frags *frags);

/* Datagrams under way. */
uint32_t frags_count(const struct frags *frags);
void frags_check(const struct frags *frags);

#endif
