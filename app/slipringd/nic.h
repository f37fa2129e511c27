/*
 * nic.h - what the kernel knows of a network interface, read over rtnetlink.
 *
 * Purpose: facts for preflight: does it exist, is it up, who else uses it; and how much came in (control.c).
 *   Netlink and not /sys, which shows another network namespace's interfaces
 *   when it was mounted there.
 * Threads: main thread. Memory: by value.
 */
#ifndef SLIPRINGD_NIC_H
#define SLIPRINGD_NIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct nic {
	uint32_t index;
	bool up, loopback;
	uint32_t rx_queues;    /* active, not just there */
	uint32_t xdp_program;  /* id of the attached program, 0 none */
	char xdp_name[16];     /* its name, "" when it may not be asked */
	char address[64];      /* first address that is not IPv6 link-local, "" none */
	bool default_route;    /* IPv4 or IPv6 */
};

/* STATUS_UNAVAILABLE when there is no such interface here. */
enum status nic_read(const char *name, struct nic *nic, struct error *error) MUST_USE;
/* Detaches whatever XDP program is attached. */
enum status nic_detach_xdp(const struct nic *nic, struct error *error) MUST_USE;
/* Frames that came in at an interface since it was made, as the kernel counts them; 0 when there is none of the name. */
uint64_t nic_received(const char *name);
/* Names of this namespace's interfaces but lo, "a, b, c". */
void nic_names(char *text, size_t size);

#endif
