/*
 * tail.h - bytes of a frame that stay where they are; private to lib/io.
 *
 * Purpose: a large value is not copied into its frames. A frame's own buffer has the headers and what stands before the
 *   value's bytes; these are chained behind it as an external buffer (rte_pktmbuf_attach_extbuf), an mbuf without room of its own
 *   that points into the item. Its free callback gives the frame's pin back, and only then may the store reuse the item.
 * How: mbufs of a pool of their own, whose private area holds what DPDK wants to know of an external buffer
 *   (rte_mbuf_ext_shared_info), so that nothing is allocated for a frame.
 * Which ports: those whose driver reads the bytes with the CPU, in this process: AF_PACKET's and vhost's copy them into the kernel's
 *   ring or the guest, net_ring's hands pointers on. A PCI card under vfio may, where every page that items stand in was
 *   made known to the IOMMU (io_share; addresses are the process's own).
 *   AF_XDP reaches what is registered with the kernel, a virtio_user port's switch what it has been given a file descriptor of:
 *   packet buffers only. There the bytes are copied.
 * How long: a PCI driver frees a frame when it needs its place in the queue, so the last `tx_descriptors` frames hold their items
 *   until as many others have been sent. That no write is refused for long because of it follows from its being
 *   answered: each answer takes the place of a frame.
 * Threads: port_append on the port's lcore; the callback on whatever thread frees the frame, the main one at the end.
 * Memory: EAL's, one pool a port.
 * Bounds: as many tails under way as the pool has; beyond, bytes are copied.
 */
#ifndef IO_TAIL_H
#define IO_TAIL_H

#include <rte_ethdev.h>
#include <rte_mempool.h>

#include "io/io.h"

/* What a port of this device does with tails. */
enum port_tails tail_decide(const struct io_config *config, const struct rte_eth_dev_info *info);

/* Bytes of EAL's memory that a port's pool takes at most. */
uint64_t tail_pool_bytes(const struct io_profile *profile);
/* NULL and rte_errno: no memory. */
struct rte_mempool *tail_pool_create(const struct io_profile *profile, uint32_t worker) MUST_USE ON_MAIN;

#endif
