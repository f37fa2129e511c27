/*
 * tcp_state.h - the state of TCP-lite: connections, and what is smaller than one; private to lib/net/tcp*.c.
 *
 * Purpose: a connection that waits costs struct tcp_conn and two table slots. What it needs only at times has
 *   a block for that time: unread input (tcp_in), segments in flight (tcp_rtx), segments out of order (tcp_ooo). A
 *   connection that is being opened, or is in TIME-WAIT, has a record of 64 bytes instead.
 * Threads: the worker's lcore.
 * Invariants (tcp_check):
 *   1. snd_una <= the first record of what is in flight <= ... <= snd_nxt, the records have no gaps, and
 *      snd_nxt - snd_una is the sum of their lengths.
 *   2. what is queued covers what was sent: snd_nxt - snd_una <= out.len (+ 1 once FIN was sent).
 *   3. something in flight, or something that the peer's window holds back => the timer is set.
 *   4. a timer that is set is in the wheel, not later than it is due.
 *   5. rcv_nxt <= rcv_adv: what the peer was offered, and never retreats.
 *   6. segments out of order are sorted, do not overlap, lie beyond rcv_nxt, and are within their bounds; the sum
 *      over connections is ooo_bytes.
 *   7. pipe is what the records say, sacked and lost are as many as are marked.
 *   8. the table leads to each connection and record that is not gone, and to nothing else.
 *   9. an offer belongs to a connection that names it, and nothing is unread beside an offer.
 *  10. a connection that is gone holds no block; blocks hold what connections hold.
 *  11. the queues of half-open and TIME-WAIT records are in order of time.
 */
#ifndef NET_TCP_STATE_H
#define NET_TCP_STATE_H

#include "base/blocks.h"
#include "base/now.h"
#include "base/prng.h"
#include "base/wheel.h"
#include "net/tcp.h"

/* Sequence numbers, modulo 2^32 (RFC 9293 3.4). */
static inline bool seq_lt(uint32_t a, uint32_t b) { return (int32_t)(a - b) < 0; }
static inline bool seq_le(uint32_t a, uint32_t b) { return (int32_t)(a - b) <= 0; }
static inline uint32_t seq_max(uint32_t a, uint32_t b) { return seq_lt(a, b) ? b : a; }
static inline uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }
static inline uint32_t most(uint32_t a, uint32_t b) { return a > b ? a : b; }

enum {
	TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16, TCP_URG = 32, /* on the wire */

	TCP_RCV_SHIFT = 7,           /* our window scale: a window up to 8 MiB in steps of 128 (RFC 7323 2) */
	TCP_MSS_MIN = 88,            /* a peer's smaller MSS is taken for this (CVE-2019-11479) */
	TCP_MSS_DEFAULT = 536, TCP_MSS_DEFAULT_IPV6 = 1220, /* RFC 9293 MUST-15 */
	TCP_TIMESTAMP_LEN = 12,      /* NOP NOP TS (RFC 7323 appendix A) */
	TCP_SACK_MAX = 4,            /* blocks of an option (RFC 2018) */
	TCP_OFFERS_MAX = 128,        /* segments whose payload is offered where it stands */
	TCP_LOOSE_MAX = 512,         /* segments of no connection that wait to be sent */
	TCP_SYN_TRIES = 5,           /* SYN-ACKs after 1, 2, 4, 8, 16 s; given up 32 s later (RFC 9293 MUST-23 would have 3 min) */
	TCP_PASS_BYTES = 65536,      /* of one connection before the next one has its turn */
	TCP_OOO_FLOOR = 65536,       /* bytes of blocks beyond gaps that a connection may hold while there are any */
	TCP_SLICES_MAX = 256, TCP_SLICE_MAX = 65536, /* blocks beyond gaps, and how large one becomes */
	TCP_RECORDS_MAX = 672,       /* segments in flight: with full ones, 970 KB */
	TCP_NONE = -1,
};

/* RFC 9293 3.3.2, after the handshake. GONE: not told yet; FREE: a place for another. */
enum tcp_state { TCP_FREE = 0, TCP_ESTABLISHED, TCP_FIN_WAIT_1, TCP_FIN_WAIT_2, TCP_CLOSE_WAIT, TCP_CLOSING,
	TCP_LAST_ACK, TCP_GONE };

enum {
	CONN_TIMESTAMPS = 1 << 0,
	CONN_SACK = 1 << 1,
	CONN_IPV6 = 1 << 2,
	CONN_SCALED = 1 << 3,
	CONN_OPENED = 1 << 4,      /* has had a turn */
	CONN_FIN_IN = 1 << 5,      /* the peer's FIN is behind what came in */
	CONN_CLOSE = 1 << 6,       /* the application has closed: FIN behind what is queued, input is discarded */
	CONN_FIN_SENT = 1 << 7,
	CONN_PAUSED = 1 << 8,
	CONN_NEWS = 1 << 9,        /* something that the application has not seen */
	CONN_FORCE = 1 << 10,      /* a turn whatever there is (resumed, or asked for by `again`) */
	CONN_TURN = 1 << 11,       /* stands in the list of turns */
	CONN_OUTPUT = 1 << 12,     /* stands in the list of output */
	CONN_ACK = 1 << 13,        /* an acknowledgement is due by the end of the burst */
	CONN_OVER = 1 << 14,       /* had more queued than output_max */
	CONN_TIMER = 1 << 15,      /* rtx_due is set */
	CONN_PERSIST = 1 << 16,    /* rtx_due is of the persist timer */
	CONN_RECOVERY = 1 << 17,   /* fast recovery, until rtx->recover is acknowledged */
	CONN_LOSS = 1 << 18,       /* after a timeout, until rtx->recover is acknowledged */
	CONN_LIMITED = 1 << 19,    /* cwnd, not the application, held the last flight back */
	CONN_PROBE = 1 << 20,      /* send a window probe, or what fits into the window */
	CONN_RETRANSMIT = 1 << 21, /* the first of recovery goes out whatever the window (RFC 6675 5 (4.3)) */
	CONN_KEEPALIVE = 1 << 22,  /* send a keepalive probe */
	CONN_ZERO = 1 << 23,       /* the peer's window has held us back since zero_ms */
	CONN_PARTIAL = 1 << 24,    /* a request has been incomplete since state_ms */
	CONN_TLP = 1 << 25,        /* rtx_due is of a tail loss probe */
	CONN_RACK = 1 << 26,       /* rtx_due is of RACK's reordering window */
	CONN_ROOM = 1 << 27,       /* in->room is set */
	CONN_IMPATIENT = 1 << 28,  /* in fast recovery without SACK, a partial ACK has come */
	CONN_WIDE = 1 << 29,       /* a segment of full size has arrived: large ones do not vanish on this way */
	CONN_REORDERED = 1 << 30,  /* segments have arrived out of order (RFC 8985 6.2 step 3) */
};

/* A segment in flight. */
enum { RECORD_SACKED = 1, RECORD_LOST = 2, RECORD_RETRANSMITTED = 4, /* since it was lost */ RECORD_FIN = 8 };
struct tcp_record {
	uint32_t seq, tx_us;
	uint16_t len;           /* sequence numbers: the payload's, and FIN's */
	uint8_t flags, tries;   /* tries: times it was retransmitted */
};

/* What a connection has in flight, and how it recovers. A ring that grows. */
struct tcp_rtx {
	uint32_t pipe;          /* RFC 6675 2: what is thought to be in the network, in bytes */
	uint32_t recover;       /* RFC 6582 2, RFC 6675 2: snd_nxt when recovery began */
	uint32_t rack_us, rack_end, rack_rtt; /* RFC 8985 6.2: the newest segment that is known to have arrived */
	uint32_t reno;          /* without SACK: bytes that duplicate ACKs say have arrived */
	uint32_t tlp_end;       /* RFC 8985 7.3: snd_nxt at the probe */
	uint32_t prr_delivered, prr_out, prr_flight; /* RFC 6937 */
	uint16_t size, head, count, sacked, lost, hint; /* hint: no lost segment before this one waits */
	uint8_t tlp;            /* a tail loss probe is out, and what it was (tcp_rack.c) */
	bool tlp_new;           /* it is to be new data, beyond cwnd */
	bool tlp_old;           /* it is to be the last segment again */
	bool in_dsack_round;    /* until dsack_round is acknowledged, DSACK teaches no more (RFC 8985 6.2 step 4) */
	uint32_t fack;          /* the end of the highest segment that is known to have arrived */
	uint32_t fack_before;   /* and as it was before the ACK that is looked at, whose blocks have no order of time */
	uint32_t dsack_round;
	uint32_t undo_cwnd, undo_ssthresh, undo_max; /* before the last reduction (tcp_undo.c); undo_cwnd 0: nothing to take back */
	uint32_t undo_una;      /* snd_una then */
	uint16_t undo_resent;   /* segments sent again since then; of these the peer has proved */
	uint16_t undo_late, undo_twice; /* that it had the original: by time; by DSACK */
	struct tcp_record ring[];
};

/* Unread input, and where to put what comes. */
struct tcp_in {
	uint32_t size;          /* of this block */
	uint32_t start, len;    /* unread: bytes[start, start + len) */
	uint32_t wanted;        /* no turn before so many are unread */
	uint8_t *room;
	uint32_t room_len, filled;
	uint8_t bytes[];
};

/* Input beyond a gap: a slice a block, sorted. */
struct tcp_slice {
	struct tcp_slice *next;
	uint32_t seq, len;
	uint32_t stamp;         /* when a segment last came for it; the latest is told first (RFC 2018 4) */
	uint32_t size;          /* of this block */
	uint8_t bytes[];
};

struct tcp_ooo {
	struct tcp_slice *first, *last;
	uint32_t stamp, count, bytes;
	uint32_t dsack_start, dsack_end; /* a duplicate to tell of once (RFC 2883); equal: none */
	bool has_fin;           /* FIN came, at fin_seq */
	uint32_t fin_seq;
};

struct tcp_conn {
	/* line 0: where a segment leads to, and whether it is the expected one */
	struct endpoint peer;
	uint32_t flags;
	uint32_t rcv_nxt, rcv_adv; /* next expected; right edge offered */
	uint32_t snd_una, snd_nxt;
	uint32_t snd_wnd, snd_wl1, snd_wl2; /* RFC 9293 3.3.1 */
	uint32_t ts_recent;
	/* line 1: what is sent */
	struct outq out;        /* from snd_una on */
	struct tcp_in *in;
	struct tcp_rtx *rtx;
	uint32_t ts_offset;     /* added to our clock in timestamps */
	uint16_t offer;         /* position + 1 in tcp->offers, 0: none */
	uint8_t state;          /* enum tcp_state */
	uint8_t snd_shift;      /* the peer's window scale */
	/* line 2: congestion and lists */
	uint32_t cwnd, ssthresh;
	uint32_t srtt_us, rttvar_us; /* RFC 6298; srtt 0: none measured */
	uint32_t min_rtt_us;
	uint32_t acked;         /* bytes acknowledged since cwnd grew (RFC 3465) */
	uint32_t max_wnd;       /* the largest window the peer offered */
	uint32_t last_ack;      /* Last.ACK.sent (RFC 7323 4.3) */
	uint32_t over_ms;       /* since when CONN_OVER, later by what was acknowledged */
	uint32_t last_tx_ms, last_rx_ms;
	uint32_t rtx_due;       /* tick, if CONN_TIMER */
	uint32_t turn_next, output_next; /* lists; position + 1 */
	uint16_t mss;           /* payload and options of a segment, at most */
	uint8_t dupacks, backoff;
	uint8_t dup_due;        /* duplicate ACKs to send */
	uint8_t timeouts;       /* RTOs since something was acknowledged */
	uint8_t service, reason;
	/* line 3: seldom */
	struct tcp_ooo *ooo;
	struct wheel_node node;
	uint32_t generation;
	uint32_t last_data_ms;  /* payload came, or was acknowledged */
	uint32_t state_ms;      /* closing: of the state; open: since when a request is partial */
	uint32_t zero_ms;
	uint32_t challenge_ms, opened_ms;
	uint32_t cubic_max, cubic_epoch_ms; /* RFC 9438: W_max in bytes; when avoidance began */
	uint32_t cubic_est, cubic_k_ms;     /* W_est in bytes, 0: the epoch has not begun; K */
	uint8_t keepalives;     /* probes without an answer */
	uint8_t discarded;      /* KB of input thrown away since our FIN was acknowledged */
	uint8_t reo_more;       /* RFC 8985 6.2: reo_wnd_mult - 1 */
	uint8_t reo_persist;    /* recoveries until it is forgotten */
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct tcp_conn) == 256 && offsetof(struct tcp_conn, out) == 64 &&
    offsetof(struct tcp_conn, cwnd) == 128, "four cache lines; an expected segment without loss touches three");

/* A connection before its handshake is over (SYN-RECEIVED). */
struct tcp_half {
	struct endpoint peer;
	uint32_t irs, iss;
	uint32_t ts_recent;
	uint32_t due_ms, sent_us;
	uint32_t next, prev;    /* queue; position + 1 */
	uint16_t mss, window;
	uint8_t flags;          /* CONN_TIMESTAMPS, _SACK, _SCALED, in one byte; 0x80: an own bit, see tcp_open.c */
	uint8_t shift, tries, service;
};
_Static_assert(sizeof(struct tcp_half) == 64, "one cache line");

/* A connection after both FINs, whose address is not used again for a while (TIME-WAIT). */
struct tcp_wait {
	struct endpoint peer;
	uint32_t snd_nxt, rcv_nxt, ts_recent, ts_offset;
	uint32_t due_ms, acked_ms; /* acked_ms: when a FIN was last acknowledged again */
	uint32_t next, prev;
	uint16_t window;
	uint8_t flags, pad;
};
_Static_assert(sizeof(struct tcp_wait) <= 64, "one cache line");

/* Records of one kind in order of time. */
struct tcp_queue {
	uint32_t first, last;   /* position + 1 */
};

enum tcp_kind { TCP_KIND_NONE = 0, TCP_KIND_CONN, TCP_KIND_HALF, TCP_KIND_WAIT };

/* Where a tuple leads: kind in the upper 2 bits, position in the lower 30. 0: nowhere. */
static inline uint32_t tcp_ref(enum tcp_kind kind, uint32_t index) { return (uint32_t)kind << 30 | index; }
static inline enum tcp_kind tcp_ref_kind(uint32_t ref) { return (enum tcp_kind)(ref >> 30); }
static inline uint32_t tcp_ref_index(uint32_t ref) { return ref & ((1u << 30) - 1); }

struct tcp_slot {
	uint32_t hash, ref;
};

struct tcp_table {
	struct tcp_slot *slots;
	uint32_t mask, count;
	uint32_t changes;       /* counts puts and removes: a ref found before one may be old */
};

/* Connections of each address. */
struct tcp_sources {
	struct tcp_slot *slots; /* hash of the address, number of connections */
	uint32_t mask;
};

struct tcp_offer {
	struct pkt *pkt;
	const uint8_t *data;
	uint32_t len;           /* 0 and pkt NULL: over */
	uint32_t conn;
};

/* Options of a segment that are looked at outside of a SYN, or in one. */
struct tcp_options {
	bool has_timestamps, has_sack_permitted, has_scale, has_mss;
	uint8_t scale, sack_count;
	uint16_t mss;
	uint32_t tsval, tsecr; /* 0 when there are none */
	struct { uint32_t start, end; } sack[TCP_SACK_MAX];
};

/* A segment whose header was read. */
struct tcp_parsed {
	struct tcp_segment *segment;
	struct endpoint peer;
	uint32_t hash, ref;
	uint32_t seq, ack;
	uint16_t window;
	uint8_t flags, header_len;
	uint8_t *payload;
	uint32_t len;           /* payload */
	struct tcp_options options;
};

/* A segment of no connection: SYN-ACK, RST, ACK of a record. */
struct tcp_loose {
	struct endpoint peer;
	uint32_t seq, ack, tsval, tsecr;
	uint16_t window, mss;   /* mss: 0 none */
	uint8_t flags, scale;   /* scale: 0xff none */
	bool has_timestamps, has_sack_permitted;
};

/* So many at once, and a steady rate. */
struct tcp_bucket {
	uint64_t at_ms;
	uint32_t left;
};

struct tcp {
	struct tcp_config config;
	struct counters *counters;
	struct blocks blocks;
	uint64_t now_ns;
	uint32_t now_ms, now_us;
	struct prng prng;
	struct tcp_table table;
	struct tcp_sources sources;
	struct tcp_conn *conns;
	struct tcp_half *halves;
	struct tcp_wait *waits;
	uint32_t conn_free, half_free, wait_free; /* lists; position + 1 */
	uint32_t conn_used, conn_next;  /* places never used begin at conn_next */
	uint32_t half_count, half_next, wait_count, wait_next, half_max;
	struct tcp_queue half_queues[TCP_SYN_TRIES + 1]; /* by tries */
	struct tcp_queue wait_queue;
	struct wheel wheel;
	uint32_t turn_first, turn_last, output_first, output_last;
	uint32_t offer_count;
	struct tcp_offer offers[TCP_OFFERS_MAX];
	uint32_t loose_first, loose_count;
	struct tcp_loose loose[TCP_LOOSE_MAX];
	uint64_t ooo_bytes;
	struct tcp_bucket challenges, resets;
	uint32_t cookies_ms;            /* when a cookie was last sent */
	bool cookies_sent;              /* ever */
};

static inline uint32_t
conn_index(const struct tcp *tcp, const struct tcp_conn *conn)
{
	return (uint32_t)(conn - tcp->conns);
}

static inline bool
conn_is(const struct tcp_conn *conn, uint32_t flags)
{
	return (conn->flags & flags) != 0;
}

/* Our clock as the peer sees it (RFC 7323 5.4: a tick of 1 ms). */
static inline uint32_t
conn_timestamp(const struct tcp *tcp, uint32_t offset)
{
	return tcp->now_ms + offset;
}

/* tcp.c */
void tcp_now(struct tcp *tcp, uint64_t now_ns);
void tcp_list_turn(struct tcp *tcp, struct tcp_conn *conn);
void tcp_list_output(struct tcp *tcp, struct tcp_conn *conn);
/* Something happened that the application is to see: its turn, when it may have one. */
void tcp_news(struct tcp *tcp, struct tcp_conn *conn);
struct tcp_conn *tcp_conn_take(struct tcp *tcp, const struct endpoint *peer, uint32_t hash);
/* Its place is another's. */
void tcp_conn_free(struct tcp *tcp, struct tcp_conn *conn);
void tcp_conn_give(struct tcp *tcp, struct tcp_conn *conn);
void tcp_drop(struct tcp *tcp, struct tcp_segment *segment, enum drop why);
void tcp_done(struct tcp_segment *segment);
/* False: nothing left for now. `burst` at once, `rate` a second. */
bool tcp_bucket_take(struct tcp *tcp, struct tcp_bucket *bucket, uint32_t burst, uint32_t rate);

/* tcp_table.c */
bool tcp_table_init(struct tcp_table *table, uint64_t entries);
uint32_t tcp_hash(const struct tcp *tcp, const struct endpoint *peer);
uint32_t tcp_table_find(const struct tcp *tcp, const struct endpoint *peer, uint32_t hash);
void tcp_table_put(struct tcp *tcp, uint32_t hash, uint32_t ref);
void tcp_table_remove(struct tcp *tcp, const struct endpoint *peer, uint32_t ref);
void tcp_table_replace(struct tcp *tcp, const struct endpoint *peer, uint32_t from, uint32_t to);
bool tcp_sources_take(struct tcp *tcp, const uint8_t ip[16]);
void tcp_sources_give(struct tcp *tcp, const uint8_t ip[16]);
static inline bool
endpoint_same(const struct endpoint *a, const struct endpoint *b)
{
	return memcmp(a->ip, b->ip, 16) == 0 && a->port == b->port && a->local_port == b->local_port && a->local == b->local;
}

/* tcp_options.c */
/* False: they are not well formed; what was read before is kept. */
bool tcp_options_parse(const uint8_t *at, uint32_t len, bool syn, struct tcp_options *options);
uint32_t tcp_options_timestamps(uint8_t *at, uint32_t tsval, uint32_t tsecr);

/* tcp_input.c */
void tcp_input_conn(struct tcp *tcp, struct tcp_conn *conn, struct tcp_parsed *p);

/* tcp_open.c */
void tcp_open_listen(struct tcp *tcp, struct tcp_parsed *p, bool reused, uint32_t past_seq);
void tcp_open_half(struct tcp *tcp, struct tcp_half *half, struct tcp_parsed *p);
void tcp_open_timers(struct tcp *tcp);
void tcp_half_give(struct tcp *tcp, struct tcp_half *half);
uint32_t tcp_isn(const struct tcp *tcp, const struct endpoint *peer);
uint32_t tcp_ts_offset(const struct tcp *tcp, const struct endpoint *peer);
/* An established connection with its sequence numbers; NULL: no room. */
struct tcp_conn *tcp_open_conn(struct tcp *tcp, const struct tcp_half *half, struct tcp_parsed *p);
uint8_t tcp_open_service(const struct tcp *tcp, uint16_t port);
uint16_t tcp_our_mss(const struct tcp *tcp, bool ipv6);

/* tcp_cookie.c */
void tcp_cookie_send(struct tcp *tcp, struct tcp_parsed *p, struct tcp_half *half);
bool tcp_cookie_accept(struct tcp *tcp, struct tcp_parsed *p, struct tcp_half *half);

/* tcp_in.c */
uint32_t tcp_in_unread(const struct tcp *tcp, const struct tcp_conn *conn);
struct view tcp_in_view(const struct tcp *tcp, const struct tcp_conn *conn);
/* In-order bytes; segment NULL: they do not stand in a frame. False: no memory, nothing was taken. */
bool tcp_in_take(struct tcp *tcp, struct tcp_conn *conn, struct tcp_segment *segment, const uint8_t *data, uint32_t len);
/* What is offered is copied, and the frame is let go. False: no memory. */
bool tcp_in_settle(struct tcp *tcp, struct tcp_conn *conn);
void tcp_in_consume(struct tcp *tcp, struct tcp_conn *conn, uint32_t len);
/* What a turn asked for; false: no memory. */
bool tcp_in_set(struct tcp *tcp, struct tcp_conn *conn, uint32_t wanted, uint8_t *room, uint32_t room_len);
void tcp_in_clear(struct tcp *tcp, struct tcp_conn *conn);
/* How many more bytes there is room for. */
uint32_t tcp_in_space(const struct tcp *tcp, const struct tcp_conn *conn);

/* tcp_ooo.c */
/* Bytes beyond a gap. False: over a bound, or no memory. */
bool tcp_ooo_put(struct tcp *tcp, struct tcp_conn *conn, uint32_t seq, const uint8_t *data, uint32_t len, bool fin);
/* Bytes that came again: they are told in the next ACK. */
void tcp_ooo_duplicate(struct tcp *tcp, struct tcp_conn *conn, uint32_t start, uint32_t end);
/* Hands on what has become in-order; true: FIN came with it. */
bool tcp_ooo_drain(struct tcp *tcp, struct tcp_conn *conn);
/* SACK blocks as an option, at most `room` bytes; returns its length with padding, 0 for none. Tells a duplicate once. */
uint32_t tcp_ooo_sack(struct tcp *tcp, struct tcp_conn *conn, uint8_t *at, uint32_t room);
void tcp_ooo_clear(struct tcp *tcp, struct tcp_conn *conn);

/* tcp_rtx.c */
enum tcp_next { TCP_NEXT_NONE, TCP_NEXT_OLD, TCP_NEXT_NEW };
struct tcp_record *tcp_rtx_at(struct tcp_rtx *rtx, uint32_t i);
/* Room for one more record; false: no memory, or as many as there may be. */
bool tcp_rtx_reserve(struct tcp *tcp, struct tcp_conn *conn);
/* len sequence numbers from snd_nxt on are sent now. There is room. */
void tcp_rtx_sent(struct tcp *tcp, struct tcp_conn *conn, uint32_t len, bool fin);
/* Record i was sent again, because it was lost or as a probe. */
void tcp_rtx_resent(struct tcp *tcp, struct tcp_conn *conn, uint32_t i, bool lost);
/* Cuts record i after `len` bytes; false: no room. */
bool tcp_rtx_split(struct tcp *tcp, struct tcp_conn *conn, uint32_t i, uint32_t len);
/* The next lost segment to send again; -1: none. */
int32_t tcp_rtx_next(struct tcp_conn *conn);
/* An acceptable ACK: what it acknowledges goes, its SACK blocks are marked, losses are found. */
void tcp_rtx_ack(struct tcp *tcp, struct tcp_conn *conn, const struct tcp_parsed *p, bool window_same);
/* The peer's window opens again over what was in flight: all that is not SACKED goes again. */
void tcp_rtx_reopened(struct tcp *tcp, struct tcp_conn *conn);
/* Segments that are larger than mss go again. */
void tcp_rtx_too_big(struct tcp *tcp, struct tcp_conn *conn);
void tcp_rtx_timeout(struct tcp *tcp, struct tcp_conn *conn);
/* Sets, moves or stops the timer by what is in flight or held back. */
void tcp_rtx_arm(struct tcp *tcp, struct tcp_conn *conn);
uint32_t tcp_rtx_flight(const struct tcp_conn *conn);
/* Bytes that cwnd lets out now. */
uint32_t tcp_rtx_room(const struct tcp_conn *conn);
uint32_t tcp_rto_us(const struct tcp *tcp, const struct tcp_conn *conn);
void tcp_rtt_sample(struct tcp_conn *conn, uint32_t rtt_us);
void tcp_rtx_clear(struct tcp *tcp, struct tcp_conn *conn);

/* Record i is taken for lost. */
void tcp_rtx_lose(struct tcp_rtx *rtx, uint32_t i);
/* None is taken for lost any more, but those that were sent again already. */
void tcp_rtx_found(struct tcp_rtx *rtx);

/* tcp_undo.c */
/* The window is about to be reduced: what it is now is remembered. There is something in flight. */
void tcp_undo_begin(struct tcp_conn *conn);
void tcp_undo_resent(struct tcp_rtx *rtx);
void tcp_undo_delivered(const struct tcp *tcp, struct tcp_conn *conn, const struct tcp_record *record, const struct tcp_parsed *p);
bool tcp_undo_is_dsack(const struct tcp_parsed *p);
void tcp_undo_dsack(struct tcp_conn *conn, const struct tcp_parsed *p);
/* Takes the reduction back when all that was sent again is proved to have been needless. */
void tcp_undo_try(struct tcp *tcp, struct tcp_conn *conn);

/* tcp_rack.c */
void tcp_rack_delivered(const struct tcp *tcp, struct tcp_conn *conn, const struct tcp_record *record);
void tcp_rack_detect(struct tcp *tcp, struct tcp_conn *conn);
/* The peer has got something twice, that was no probe. */
void tcp_rack_dsack(struct tcp_conn *conn);
/* A recovery, fast or by timeout, is over. */
void tcp_rack_recovered(struct tcp_conn *conn);
uint32_t tcp_rack_probe_us(const struct tcp *tcp, const struct tcp_conn *conn);
void tcp_rack_probe(struct tcp *tcp, struct tcp_conn *conn);
void tcp_rack_acked(struct tcp *tcp, struct tcp_conn *conn, const struct tcp_parsed *p, uint32_t tlp, uint32_t tlp_end);

/* tcp_cc.c */
void tcp_cc_init(struct tcp *tcp, struct tcp_conn *conn);
void tcp_cc_acked(struct tcp *tcp, struct tcp_conn *conn, uint32_t bytes);
void tcp_cc_enter_recovery(struct tcp *tcp, struct tcp_conn *conn);
/* An ACK in recovery said that `delivered` bytes more have arrived; `forward`: snd_una has moved (RFC 6937). */
void tcp_cc_recover(struct tcp_conn *conn, uint32_t delivered, bool forward);
void tcp_cc_exit_recovery(struct tcp *tcp, struct tcp_conn *conn);
void tcp_cc_timeout(struct tcp *tcp, struct tcp_conn *conn);
void tcp_cc_restart(struct tcp *tcp, struct tcp_conn *conn);
uint32_t tcp_cc_initial(const struct tcp_conn *conn);

/* tcp_timers.c */
/* The wheel learns of a deadline of the connection that may be earlier than it knows. */
void tcp_timers_arm(struct tcp *tcp, struct tcp_conn *conn);

/* tcp_close.c */
/* The connection is over: out of the table, its memory back; it is told in its last turn. */
void tcp_close_gone(struct tcp *tcp, struct tcp_conn *conn, enum tcp_reason reason);
void tcp_close_reset(struct tcp *tcp, struct tcp_conn *conn, enum tcp_reason reason);
/* RFC 9293 3.10.7.1: the answer to a segment that belongs to nothing. */
void tcp_close_unknown(struct tcp *tcp, const struct tcp_parsed *p);
void tcp_close_wait(struct tcp *tcp, struct tcp_conn *conn);
/* A segment for a TIME-WAIT record; true: it is a SYN that may open anew, and the record is gone. */
bool tcp_close_wait_input(struct tcp *tcp, struct tcp_wait *wait, struct tcp_parsed *p);
void tcp_close_timers(struct tcp *tcp);
void tcp_wait_give(struct tcp *tcp, struct tcp_wait *wait);
/* Queues a segment of no connection. */
void tcp_loose(struct tcp *tcp, const struct tcp_loose *loose);

#endif
