/*
 * limits.h - every limit of the system, with the reason it has that value.
 *
 * Limits that follow from others are asserted at the end.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

enum {
	/* Frames a stage handles at a time: DPDK PMDs are tuned for 32. */
	BURST_MAX = 32,
	/* Lookups handed to rte_hash at once; never 64 (its all-hit mask shifts by 64). Cycles a GET of
	 * 1 M keys, frame to frame (bench_pipeline): 370 at 8, 310 at 16, 275 at 32. */
	LOOKUP_BATCH_MAX = 32,
	/* Workers of a node; one port, one shard and one mailbox each. */
	WORKER_MAX = 16,
	/* Redis Cluster's slot count: CRC-16/XMODEM of the key or its {tag}, mod this. */
	SLOT_COUNT = 16384,

	/* memcached's key limit; the native protocol's too. */
	KEY_LEN_MAX = 250,
	/* Over RESP. Redis has none; keys of some KiB are seen in the wild (URLs, serialised objects). */
	RESP_KEY_LEN_MAX = 8192,
	/* Largest value: memcached's default item size. */
	VALUE_LEN_MAX = 1 << 20,

	/* Ethernet MTU of the lab and of every profile without jumbo frames. */
	MTU = 1500,
	ETHERNET_HEADER_LEN = 14,
	VLAN_TAG_LEN = 4, /* on top of the MTU: IEEE 802.3 lets a tagged frame be so much longer */
	IPV4_HEADER_LEN = 20,
	IPV6_HEADER_LEN = 40,
	UDP_HEADER_LEN = 8,
	FRAME_LEN_MAX = ETHERNET_HEADER_LEN + MTU,
	UDP_PAYLOAD_MAX = MTU - IPV4_HEADER_LEN - UDP_HEADER_LEN,
	/* Layer 4 of a datagram put together from fragments (net/frag.h): four full frames. */
	DATAGRAM_LEN_MAX = 4 * (MTU - IPV4_HEADER_LEN),

	/* Operations of one native frame; results carry their index in one byte. */
	FRAME_OPS_MAX = 64,
	/* Requests of one burst, all frames together. */
	BURST_REQUESTS_MAX = BURST_MAX * FRAME_OPS_MAX,
	/* Fresh packets a worker keeps ready for replies that outgrow their request. */
	SPARE_MAX = 1024,

	/* Operations a worker may have mailed to others at once; more answers BUSY. */
	DEFERRED_MAX = 512,

	/* At-most-once (serve/once.h), for each owner. Clients: a new one at each of 380 CLI calls
	 * a second for a minute fill it to 0.7, where none was turned away yet; 1 MiB. */
	ONCE_CLIENTS = 1 << 15,
	/* Results: 16 clients with 1024 writes unsettled each fill a quarter, and then one set of
	 * eight in 4000 overflows; 2.5 MiB. */
	ONCE_RESULTS = 1 << 16,
	/* A client this long silent may be forgotten: its retries have ended long before, and
	 * no network keeps a datagram for half of it. */
	ONCE_IDLE_MS = 60 * 1000,
	/* Half of what half a sequence number orders. */
	ONCE_WINDOW_MAX = 1 << 30,

	/* Uploads under way at an owner: at most 64 MiB of the budget. */
	UPLOAD_MAX = 64,
	/* Gaps of one upload: 1 MiB is 756 frames of 1388 bytes; every third of them may be missing. */
	UPLOAD_SPANS_MAX = 256,
	/* An upload this long silent is given up: any client has retried by then. */
	UPLOAD_IDLE_S = 30,
	/* Turns of the secret under which address cookies are made; a cookie holds for one to two. */
	COOKIE_PERIOD_S = 600,
};

_Static_assert((ONCE_CLIENTS & (ONCE_CLIENTS - 1)) == 0 && ONCE_CLIENTS <= 1 << 16, "masks; an index has 16 bits");
_Static_assert(VALUE_LEN_MAX / 1388 / 3 < UPLOAD_SPANS_MAX, "as said above");
_Static_assert(LOOKUP_BATCH_MAX < 64, "rte_hash bulk of 64 can miss all");
_Static_assert(UDP_PAYLOAD_MAX == 1472, "documented in PROTOCOL.md"); /* the most that is received */
_Static_assert((SLOT_COUNT & (SLOT_COUNT - 1)) == 0, "slots are a mask");

#endif
