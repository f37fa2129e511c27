/*
 * api.h - the two builds of TCP-lite side by side: with its fast path, and without (TCP_NO_FASTPATH).
 *
 * Purpose: one program can run the same inputs through both and compare what comes out. The second build's
 *   symbols are local to its object (scripts/tcp.mk); only its table is seen.
 */
#ifndef TESTS_TCP_API_H
#define TESTS_TCP_API_H

#include "net/tcp.h"

struct tcp_api {
	const char *name;
	void (*defaults)(struct tcp_config *config);
	struct tcp *(*create)(const struct tcp_config *config, struct counters *counters, uint64_t now_ns, uint64_t seed,
	    struct error *error);
	void (*destroy)(struct tcp *tcp);
	struct blocks *(*blocks)(struct tcp *tcp);
	void (*input)(struct tcp *tcp, uint64_t now_ns, struct tcp_segment *segments, uint32_t count);
	void (*timers)(struct tcp *tcp, uint64_t now_ns);
	uint64_t (*deadline)(const struct tcp *tcp);
	uint32_t (*turns)(struct tcp *tcp, uint64_t now_ns, struct turn *turns, uint32_t max);
	void (*apply)(struct tcp *tcp, uint64_t now_ns, struct turn *turns, uint32_t count);
	void (*resume)(struct tcp *tcp, struct connection id);
	void (*abort)(struct tcp *tcp, struct connection id);
	uint32_t (*output)(struct tcp *tcp, uint64_t now_ns, struct spares *spares, struct tcp_frame *frames, uint32_t max);
	bool (*icmp)(struct tcp *tcp, uint64_t now_ns, const struct tcp_icmp *error);
	void (*figures)(const struct tcp *tcp, struct tcp_figures *figures);
	void (*check)(struct tcp *tcp);
};

extern const struct tcp_api tcp_fast_api, tcp_slow_api;

#endif
