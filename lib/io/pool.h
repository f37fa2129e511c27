/*
 * pool.h - a port's packet buffers; private to lib/io.
 *
 * Purpose: an mbuf pool whose buffers stand one behind the other without gaps. AF_XDP's
 *   driver takes the shared memory to be (number of buffers) x (size of one) from the first
 *   on. DPDK's usual pool lets no buffer cross a page: on 4 KiB pages a buffer of 2.4 KiB
 *   takes a whole one, two of five lie behind what the kernel was told of, and each of these
 *   that is sent or offered for a frame is lost without a word, until the port is deaf.
 *   Gaps only serve devices that reach memory by physical addresses, so PCI ports keep them.
 * Threads: main thread. Memory: EAL's.
 */
#ifndef IO_POOL_H
#define IO_POOL_H

#include <rte_mempool.h>

#include "io/io.h"

/* Whether a driver's buffers may cross pages, and so leave no gaps. */
bool pool_is_dense(const char *driver);
/* Bytes that a buffer takes of EAL's memory, without huge pages. */
uint32_t pool_buffer_bytes(const char *driver);

/* `count` buffers; NULL and rte_errno: no memory. */
struct rte_mempool *pool_create(const char *name, const char *driver, uint32_t count) MUST_USE ON_MAIN;

#endif
