/*
 * facts.h - what is fixed about a node once it runs: where its workers sit, what listens.
 *
 * Purpose: one source for the control plane's JSON and for the native protocol's
 *   STATS groups "workers" and "sockets", so that names and values agree.
 * Threads: any, after the ports are open. Memory: the caller's.
 */
#ifndef SLIPRINGD_FACTS_H
#define SLIPRINGD_FACTS_H

#include <stddef.h>

#include "slipringd/node.h"

enum {
	FACTS_SOCKETS_MAX = (WORKER_MAX + 2 + TCP_PORTS_MAX) * (1 + NET_IPV6_MAX),
	FACTS_WORKERS_SIZE = WORKER_MAX * 512,
	FACTS_SOCKETS_SIZE = FACTS_SOCKETS_MAX * 112,
};

struct facts_worker {
	uint32_t lcore, port, queue; /* queue of its interface */
	int numa;                    /* -1 unknown */
	uint64_t cycles_hz;          /* of busy_cycles */
	char cpus[32];               /* it may run on: "1", or "0-3" when lcores float */
	char device[64], driver[32], interface[64], mac[20];
	const char *large_values;    /* "referred", or why they are copied into frames: "copied:profile", ... */
};

struct facts_socket {
	char protocol[8], local[64], service[16], detail[24];
};

void facts_worker(const struct node_config *config, const struct port_info *port, uint32_t worker,
    struct facts_worker *facts);
/* Sockets on the NIC, which ss(8) cannot know; returns how many. */
uint32_t facts_sockets(const struct node_config *config, struct facts_socket sockets[FACTS_SOCKETS_MAX]);

/* STATS text: "worker0_lcore 1\n..." of one worker, appended at *at. */
void facts_print_worker(const struct facts_worker *facts, uint32_t worker, char *text, size_t size, size_t *at);
/* STATS text: "udp/10.9.0.1:7411 native worker 0\n...". */
void facts_print_sockets(const struct node_config *config, char *text, size_t size);

#endif
