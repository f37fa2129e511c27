/*
 * sim.h - a network with TCP-lite on one side and modelled clients on the other, from one seed.
 *
 * Purpose: whatever the link does, every byte arrives once and in order both ways, nobody waits for
 *   ever, and nothing is left at the end. The same seed gives the same run to the bit.
 * How: discrete events on virtual time. A client is a small TCP of its own (client.c) with the habits of a known
 *   system; a pair is two instances of our own stack, each of which believes that the other one opened (pair.c).
 * Threads: one. Memory: of a run, given back by sim_close().
 */
#ifndef TESTS_TCPSIM_SIM_H
#define TESTS_TCPSIM_SIM_H

#include "base/prng.h"
#include "tests/tcp/rig.h"

enum { SIM_CONNS_MAX = 16, SIM_INTERVALS = 64, SIM_RIGS = 2 };

enum personality { SIM_LINUX, SIM_WINDOWS, SIM_MACOS, SIM_FREEBSD, SIM_EVIL, SIM_CLIENTS, SIM_PAIR = SIM_CLIENTS, SIM_KINDS };
extern const char *const sim_kind_names[SIM_KINDS];

/* Who ends a connection, and how. */
enum ending { END_CLIENT_FIN, END_SERVER_FIN, END_CLIENT_RESET, END_SERVER_ABORT, END_SERVER_EARLY, ENDINGS };

struct link {
	double loss, duplicate, reorder, corrupt;
	uint64_t delay_ns, jitter_ns;
	uint64_t byte_ns;    /* a byte's time on the wire; 0: none */
	uint64_t queue_ns;   /* the longest queue before it; longer: lost */
	uint64_t grid_ns;    /* deliveries come at multiples of this, so that bursts form; 0: as they come */
	uint64_t busy_until_ns[2];
};

/* What is to go over a connection, and how far both applications are. */
struct plan {
	uint64_t salt;
	uint64_t up_total, down_total;
	enum ending ending;
	uint64_t act_at_ns;  /* of a reset or an abort */
	uint32_t server_chunk, pause_percent;
	bool use_room, use_wanted, slow_reader, holds_window;
	uint64_t began_ns;
};

struct interval {
	uint64_t from, to;
};

enum client_state { CLIENT_WAITS, CLIENT_SYN_SENT, CLIENT_OPEN, CLIENT_DONE, CLIENT_RESET };

struct client {
	enum client_state state;
	enum personality kind;
	uint8_t ip[16], local[16]; /* its address, and the one of ours that it asked */
	uint16_t port;
	uint32_t iss, irs;
	/* sending; positions in the stream, 0 its first byte; FIN stands at up_total */
	uint64_t una, nxt, sent_max, recover;
	uint64_t window;     /* bytes from una on that the server takes */
	uint32_t wl1, wl2;
	uint32_t mss, dupacks, backoff;
	uint8_t our_shift, their_shift;
	bool ts, sack, recovering, fin_acked;
	double cwnd, ssthresh;
	uint64_t srtt_ns, rttvar_ns, rto_due, probe_due, tail_due;
	uint64_t timed_at, timed_end;
	struct interval told[SIM_INTERVALS]; /* SACKed by the server */
	uint32_t told_count;
	/* receiving */
	uint64_t rcv, consumed, buffer, read_due, ack_due;
	struct interval ahead[SIM_INTERVALS]; /* out of order, the newest first */
	uint32_t ahead_count, ack_pending;
	uint64_t fin_at;
	bool fin_got, ack_now;
	uint32_t ts_recent;
	uint64_t right_edge; /* the farthest position that we ever offered */
	uint64_t dsack_from, dsack_to;
};

/* The server's application on one connection. */
struct server {
	struct connection id;
	bool open, finished, closed, was_open, paused;
	bool kicked;         /* pair's opener: has had its first turn */
	uint8_t reason;
	uint64_t seen, written, resume_at;
	uint8_t *room;
	uint32_t room_len;
	uint32_t right_edge, last_ack, isn;
	uint8_t shift;
	bool edge_known;
};

struct sim_conn {
	enum personality kind;
	struct plan plan;
	struct client client;
	struct server service[SIM_RIGS]; /* the second one of a pair's opener */
	/* pair: what to add on the way (pair.c) */
	uint32_t add_seq[2], add_ts[2], isn[2];
	uint8_t pair_state;
	uint64_t pair_due;
	bool over;
	uint64_t progress_ns, over_ns;
};

struct packet {
	uint64_t at_ns, order;
	uint16_t conn;
	uint8_t to;          /* 0: rig 0, 1: the client (or rig 1) */
	uint32_t len;
	uint8_t bytes[];
};

struct sim {
	uint64_t seed, now_ns;
	struct prng prng;    /* of the link; plans have one of their own */
	struct rig *rigs[SIM_RIGS];
	uint64_t rig_due[SIM_RIGS];
	struct link link;
	struct sim_conn conns[SIM_CONNS_MAX];
	uint32_t conn_count;
	struct packet **heap;
	uint32_t heap_count, heap_size;
	uint64_t order, packets, lost, steps;
	uint64_t trace;
	uint64_t heal_ns;    /* from then on nothing is lost */
	bool verbose, any_reset;
	char failure[RIG_TEXT_MAX];
};

/* sim.c */
void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_say(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A world drawn from the seed: link, clients, plans. False: sim->failure says what went wrong. */
bool sim_run(struct sim *sim, const struct tcp_api *api, uint64_t seed, bool verbose);
/* One connection of `kind` moves `bytes` over a link with `loss`; returns its goodput in bytes a second, 0: failed. */
uint64_t sim_transfer(struct sim *sim, const struct tcp_api *api, uint64_t seed, enum personality kind, double loss,
    uint64_t bytes, bool down, bool verbose);
void sim_send(struct sim *sim, uint32_t conn, uint8_t to, const uint8_t *bytes, uint32_t len);
/* The same over a wire that never fails. */
void sim_send_surely(struct sim *sim, uint32_t conn, uint8_t to, const uint8_t *bytes, uint32_t len);
/* The byte at a place of a stream. */
static inline uint8_t
sim_byte(uint64_t salt, bool down, uint64_t at)
{
	uint64_t x = (at + salt + (down ? 1ull << 40 : 0)) * 0x9e3779b97f4a7c15ull;

	return (uint8_t)(x >> 56);
}

/* client.c */
void client_start(struct sim *sim, struct sim_conn *conn);
void client_input(struct sim *sim, struct sim_conn *conn, const uint8_t *bytes, uint32_t len);
void client_timers(struct sim *sim, struct sim_conn *conn);
uint64_t client_deadline(const struct sim_conn *conn);
void client_reset(struct sim *sim, struct sim_conn *conn);

/* pair.c */
void pair_start(struct sim *sim, struct sim_conn *conn);
/* A segment that rig `from` sent, on its way to the other one. */
void pair_segment(struct sim *sim, struct sim_conn *conn, uint32_t from, const struct seg *seg);
void pair_timers(struct sim *sim, struct sim_conn *conn);

/* service.c */
void service_turn(void *context, struct rig *rig, struct turn *turn);
void service_segment(void *context, struct rig *rig, const struct seg *seg);
struct sim_conn *sim_conn_of(struct sim *sim, uint16_t port);

#endif
