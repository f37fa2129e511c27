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
	/* Largest value: memcached's default item size. */
	VALUE_LEN_MAX = 1 << 20,

	/* Ethernet MTU of the lab and of every profile without jumbo frames. */
	MTU = 1500,
	ETHERNET_HEADER_LEN = 14,
	IPV4_HEADER_LEN = 20,
	UDP_HEADER_LEN = 8,
	FRAME_LEN_MAX = ETHERNET_HEADER_LEN + MTU,
	UDP_PAYLOAD_MAX = MTU - IPV4_HEADER_LEN - UDP_HEADER_LEN,

	/* Operations of one native frame; results carry their index in one byte. */
	FRAME_OPS_MAX = 64,
	/* Requests of one burst, all frames together. */
	BURST_REQUESTS_MAX = BURST_MAX * FRAME_OPS_MAX,
	/* Fresh packets a worker keeps ready for replies that outgrow their request. */
	SPARE_MAX = 1024,

	/* Operations a worker may have mailed to others at once; more answers BUSY. */
	DEFERRED_MAX = 512,
};

_Static_assert(LOOKUP_BATCH_MAX < 64, "rte_hash bulk of 64 can miss all");
_Static_assert(UDP_PAYLOAD_MAX == 1472, "documented in PROTOCOL.md");
_Static_assert((SLOT_COUNT & (SLOT_COUNT - 1)) == 0, "slots are a mask");

#endif
