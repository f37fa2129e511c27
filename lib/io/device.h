/*
 * device.h - names and arguments of the devices behind workers; private to lib/io.
 *
 * A vdev has one queue, so each worker has a device of its own (measured: AF_XDP
 * on veth refuses queue_count=2). A PCI device named by several workers is
 * shared: one port, a queue each.
 */
#ifndef IO_DEVICE_H
#define IO_DEVICE_H

#include <stddef.h>

#include "io/io.h"

enum { DEVICE_NAME_SIZE = 64 };

/* DPDK's name of worker i's device. */
void device_name(const struct io_config *config, uint32_t worker, char name[DEVICE_NAME_SIZE]);
/* Its vdev arguments, with {interface} and {queue} filled in. */
void device_arguments(const struct io_config *config, uint32_t worker, char *out, size_t size);
/* Whether an earlier worker opened the same PCI device. */
bool device_is_shared(const struct io_config *config, uint32_t worker);
/* Queues that the device of worker i is to have. */
uint32_t device_queues(const struct io_config *config, uint32_t worker);

#endif
