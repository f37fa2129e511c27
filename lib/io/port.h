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
	bool multi_segs, tx_checksum, owns_device;
	uint32_t worker;
	struct rte_mempool *pool;
	char driver[32], interface[64];
};

#endif
