/*
 * rig.h - one TCP-lite instance in a test: rounds as a worker has them, frames that do not outlive their round.
 *
 * Purpose: segments in, segments and turns out, virtual time. Every round checks what always holds: each packet is
 *   decided on, what is sent is sound, no RST answers a RST, and tcp_check().
 * How: frames of the round before are overwritten, so that a view that outlived its round shows.
 * Memory: of rig_open, until rig_close, which ends every connection and wants every block back.
 */
#ifndef TESTS_TCP_RIG_H
#define TESTS_TCP_RIG_H

#include "base/blocks.h"
#include "base/now.h"
#include "tests/tcp/api.h"
#include "tests/tcp/segment.h"

enum { RIG_TAILS_MAX = 1024, RIG_BURST = 32, RIG_FRAMES = 64, RIG_TEXT_MAX = 400, RIG_L3_ROOM = 64 };

struct rig;

struct rig_app {
	/* One turn; fills its lower part. */
	void (*turn)(void *context, struct rig *rig, struct turn *turn);
	/* A segment that our stack sent; dies with the call. */
	void (*segment)(void *context, struct rig *rig, const struct seg *seg);
	void *context;
};

/* Bytes of an item that a frame at the NIC refers to: they may not change before it is done. */
struct rig_tail {
	struct pkt_tail tail;
	uint64_t digest;
};

struct rig {
	const struct tcp_api *api;
	struct tcp *tcp;
	struct rig_app app;
	struct counters counters;
	uint64_t now_ns;
	uint64_t digest;      /* of every byte that was sent, and when */
	uint64_t sent, rounds, turns, bad_sums;
	struct tcp_segment in[RIG_BURST];
	struct pkt in_pkts[RIG_BURST];
	uint32_t in_count;
	uint16_t reset_ports[RIG_BURST]; /* of a burst that was nothing but RSTs: where they came from */
	uint32_t reset_count;
	bool aborted;         /* the application has aborted a connection since the last output */
	struct spares spares;
	struct pkt out_pkts[RIG_FRAMES];
	bool nic_holds;       /* frames that refer to an item are not done before rig_nic_done() */
	struct rig_tail tails[RIG_TAILS_MAX];
	uint32_t tail_count;
	bool silent;          /* no tcp_check (100 000 connections) */
	struct connection *live; /* by index; generation 0 where there is none, else the connection's + 1 */
	uint32_t live_size, live_count, connections_max;
	char failure[RIG_TEXT_MAX]; /* the first thing that went wrong */
	uint8_t in_bytes[RIG_BURST][SEG_BYTES_MAX + RIG_L3_ROOM];
	uint8_t out_bytes[RIG_FRAMES][SEG_BYTES_MAX + RIG_L3_ROOM];
};

extern const uint8_t rig_our_ipv4[16], rig_our_ipv6[16];

void rig_fail(struct rig *rig, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Defaults of the tests: what tcp_defaults() says, one port (RESP on 6379), a fixed secret. */
void rig_config(const struct tcp_api *api, struct tcp_config *config);
void rig_open(struct rig *rig, const struct tcp_api *api, const struct tcp_config *config, const struct rig_app *app,
    uint64_t seed);
/* Ends all connections; false (and a failure): something was not given back. */
bool rig_close(struct rig *rig);
/* Adds a segment to the burst of the next round, which comes at once when the burst is full. */
void rig_in(struct rig *rig, const struct seg *seg);
/* The same of bytes that stand for a TCP segment. */
void rig_in_raw(struct rig *rig, const uint8_t source[16], const uint8_t destination[16], const uint8_t *bytes, uint32_t len);
/* Input, turns, timers, output; again until no connection has a turn. */
void rig_round(struct rig *rig);
/* Time goes on to `until_ns`, with a round at every deadline on the way. */
void rig_wait(struct rig *rig, uint64_t until_ns);
/* The NIC has sent all that it held; the frames' pins are given back, and a failure tells of bytes that have changed meanwhile. */
void rig_nic_done(struct rig *rig);
struct tcp_figures rig_figures(const struct rig *rig);

#endif
