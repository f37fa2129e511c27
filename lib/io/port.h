/*
 * port.h - what a port is; private to lib/io.
 */
#ifndef IO_PORT_H
#define IO_PORT_H

#include <rte_mempool.h>

#include "io/io.h"

struct port {
	/* set once */
	uint16_t id, queue;
	int fd; /* to sleep on; -1: the device has none */
	bool tx_checksum, owns_device;
	enum port_tails tails;
	bool stopped;
	bool interrupts; /* fd tells of frames only after rte_eth_dev_rx_intr_enable */
	uint32_t worker;
	struct rte_mempool *pool;
	struct rte_mempool *tail_pool; /* of mbufs without a buffer, for bytes that stand elsewhere; NULL unless PORT_TAILS_REFERRED */
	char driver[32], interface[64];
	/* owner lcore */
	uint32_t blind_us; /* next wait without anything to wake us */
};

enum { PORT_BLIND_MIN_US = 50, PORT_BLIND_MAX_US = 1000 };

#endif
