/*
 * generator.h - the parts of bench_generator and what they share.
 *
 * Purpose: one struct generator goes through them all: nic (the port), requests
 *   (frames out), replies (frames in), streams (both, over TCP connections), phases (how many when), node (cookie and
 *   counters of the server). The program itself only parses options and reports.
 * Threads: one. Memory: flights, trace and slots are taken at start.
 * Invariants: 1. in_flight is the number of flights with left > 0. 2. frame
 *   numbers oldest..next are a phase's; their sequences are base + (number << shift),
 *   so that no reply of an earlier phase is taken for one of this.
 */
#ifndef BENCH_GENERATOR_GENERATOR_H
#define BENCH_GENERATOR_GENERATOR_H

#include <stdio.h>

#include <rte_cycles.h>
#include <rte_mbuf.h>

#include "base/histogram.h"
#include "bench/tcp_client.h"

enum {
	PORT = 0,
	RING_SIZE = 1024,
	POOL_SIZE = 16383,
	POOL_CACHE = 256,
	FLIGHTS = 1 << 16, /* frames remembered; a power of two, above any window */
	LOSS_MS = 500, /* far above any queue: what takes longer was dropped */
	PRELOAD_OPS = 8,
	PRELOAD_WINDOW = 128,
	STREAM_REPLY_MAX = 4096,
};

enum mode { MODE_CLOSED, MODE_OPEN, MODE_ECHO, MODE_TCP, MODE_CONNECT };

struct options {
	enum mode mode;
	uint32_t keys, window, set_percent;
	uint64_t seed; /* of keys and arrivals */
	uint16_t ops, value_len;
	double theta, rate, seconds, warm_seconds;
	bool checksums, skip_preload, memcached;
	bool foreign; /* the server is not ours: no cookie, no counters */
	uint32_t connections;
	uint16_t echo_port; /* of a node's echo service; 0: the other end turns every frame around */
	struct link link;
};

/* One frame on its way: which keys, since when, how many results are to come. */
struct flight {
	uint64_t due_tsc;
	uint32_t trace_at;
	uint16_t left;
	bool set;
};

/* What a TCP connection waits for: the answer to its last segment, or (open) something to ask. */
enum stream_phase { STREAM_CLOSED, STREAM_SYN, STREAM_OPEN, STREAM_ASKED, STREAM_FIN, STREAM_LAST, STREAM_ABORTED };

struct stream {
	struct tcp_conn conn;
	enum stream_phase phase;
	uint32_t seq;      /* of its last segment, which may have to be sent again */
	uint32_t trace_at; /* of the keys it asked for */
	uint32_t reply_len;
	uint64_t since_tsc, due_tsc; /* its last segment; its SYN */
	uint8_t reply[STREAM_REPLY_MAX];
};

struct stats {
	uint64_t sent, answered, results, lost, wrong, not_found, refused, overrun, tx_full;
	uint64_t rx_bursts, rx_frames;
};

struct generator {
	struct options options;
	struct rte_mempool *pool;
	uint16_t *slots;
	uint32_t *trace;   /* keys of the measured run */
	const uint32_t *keys; /* what is being asked for now: the trace or the sequence 0..n-1 */
	uint32_t keys_len, keys_at;
	struct template get, set;
	struct flight *flights;
	uint64_t next, oldest; /* frame numbers; flights[number % FLIGHTS] */
	uint64_t base;         /* sequence of frame 0 */
	uint64_t cookie, client, sequence;
	uint64_t tsc_hz, loss_tsc;
	uint32_t in_flight;
	uint8_t *missing;      /* preload: keys that did not come back */
	bool measuring;
	struct stats stats;
	struct histogram latencies;
	struct prng prng;
	/* TCP */
	struct tcp_client tcp;
	struct stream *streams;
	uint32_t *ready, ready_first, ready_count; /* streams that have something to send; a ring of all */
	uint32_t reply_head, reply_size;           /* before a value; of a whole reply */
	const char *reply_tail;
	uint16_t segment_ops;
	bool segment_set, stopping;
	uint64_t swept_tsc;
};

/* What is read of STATS: lines "name value"; sums over workers are the server's. */
struct server_counters {
	uint64_t rx_frames, busy_cycles, polls_busy, get_hits, cmd_set;
};

static inline void
generator_fail(const char *text)
{
	fprintf(stderr, "bench_generator: %s\n", text);
	exit(1);
}

/* Sequences of a frame of so many operations: the next power of two, as a shift. */
static inline uint32_t
stride_shift(uint16_t ops)
{
	return ops > 1 ? 32 - (uint32_t)__builtin_clz((uint32_t)ops - 1) : 0;
}

/* nic.c: the port. */
void nic_start(struct generator *g);
/* Frames not taken by the port after many tries are freed; they will count as lost. */
void nic_transmit(struct generator *g, struct rte_mbuf **mbufs, uint16_t n);
/* Sends a frame every 100 ms until one comes back that `take` wants; ten seconds at most. */
void nic_ask(struct generator *g, const uint8_t *frame, uint16_t len,
    bool (*take)(struct generator *, const uint8_t *, uint32_t), const char *otherwise);

/* replies.c: what came, checked and settled; what did not come in time, lost. */
void replies_receive(struct generator *g);
void replies_expire(struct generator *g);

/* requests.c: n <= BURST_MAX requests, due at due_tsc[i] or now. */
void requests_send(struct generator *g, const uint64_t *due_tsc, uint16_t n);
void requests_send_now(struct generator *g, uint16_t n);

static inline bool
is_tcp(const struct options *o)
{
	return o->mode == MODE_TCP || o->mode == MODE_CONNECT;
}

/* streams.c: a segment of requests on its way on each connection; or connections that end after one reply each. */
void streams_create(struct generator *g);
/* Begins a phase of GETs or SETs on all connections, of which closed ones are opened. */
void streams_begin(struct generator *g, bool set);
void streams_run_until(struct generator *g, uint64_t end_tsc);
/* Until nothing is on its way. */
void streams_drain(struct generator *g);
/* Stores every key. */
void streams_preload(struct generator *g);
/* Resets what is open. */
void streams_abort(struct generator *g);

/* phases.c: how many, and when. */
/* Begins a phase: its frames are numbered from 0, and no earlier reply is taken for one of them. */
void phases_begin(struct generator *g, const uint32_t *keys, uint32_t keys_len, uint16_t ops, bool measuring);
void phases_run_for(struct generator *g, double seconds);
void phases_drain(struct generator *g);
/* Stores every key and reads every key back; what is missing or lost is tried again. */
void phases_preload(struct generator *g);

/* node.c: what a server is asked besides: its MAC; a node, also a cookie. */
void node_meet(struct generator *g);
struct server_counters node_counters(struct generator *g);

#endif
