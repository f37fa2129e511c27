/*
 * tcp.h - TCP-lite: passive opens only, one instance a worker.
 *
 * Purpose: segments, time and the application's calls come in; segments and events come out.
 *   doc/TCP.md has the requirements of RFC 9293 by name, where each is kept, and where we deviate.
 * How: a connection belongs to one lcore. In-order payload is offered where it stands in the frame; what the
 *   application leaves unread is kept. Replies are queued (base/outq.h) and cut into segments at
 *   the end of the round, so that one segment carries the acknowledgement and every reply of a burst.
 * Threads: the worker's lcore. Memory: tcp_create() takes it all, tables and blocks. Pure.
 * Invariants (tcp_check): numbered in lib/net/tcp_state.h.
 * Bounds: struct tcp_config's.
 */
#ifndef NET_TCP_H
#define NET_TCP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blocks.h"
#include "base/counters.h"
#include "base/outq.h"
#include "base/pkt.h"
#include "base/status.h"
#include "base/turn.h"

struct tcp;

enum {
	TCP_PORTS_MAX = 8,
	TCP_HEADER_LEN = 20,
	TCP_HEADER_LEN_MAX = 60,
	/* Where TCP's header stands in a packet to send, whatever its peer's family: what IPv6 and a tag need more, goes before. */
	TCP_FRAME_OFFSET = ETHERNET_HEADER_LEN + IPV4_HEADER_LEN,
};

struct tcp_config {
	struct {
		uint16_t port;   /* host order */
		uint8_t service; /* enum service */
	} listen[TCP_PORTS_MAX];
	uint32_t listen_count;
	uint32_t connections_max;     /* of this worker; 1..2^20 */
	uint32_t half_open_max;       /* beyond it SYN cookies */
	uint32_t per_source_max;      /* connections of one address; 0: no limit */
	uint64_t memory_bytes;        /* of blocks: input, output, out of order; all connections together */
	uint32_t input_max;           /* unread bytes of one connection, unless a turn wants more */
	uint32_t output_max;          /* bytes written and not acknowledged; a connection beyond is not readable */
	uint32_t rto_min_us, idle_timeout_s, keepalive_s, zero_window_s, partial_s; /* 0: never */
	uint32_t backlog_s;           /* over output_max for so long, and 1 ms a byte acknowledged; 0: for ever */
	uint32_t give_up_s;           /* RFC 9293's R2: no answer to retransmissions for so long */
	uint16_t mtu;
	uint16_t refer_min;           /* so many pinned bytes at a segment's end are referred to (tcp_frame.tail); 0: all are copied */
	uint8_t secret[16];           /* of initial sequence numbers, cookies and the table; random per boot */
	uint8_t hops_max;             /* other workers that may know a connection which this one does not: so many are asked before a RST */
	uint32_t wait_max;            /* TIME-WAIT records; beyond it the oldest goes */
	uint64_t ooo_bytes_max;       /* of blocks with input beyond a gap, all connections together */
	uint32_t resets_per_s;        /* RSTs to segments of no connection, a second */
	uint32_t challenges_per_s;    /* challenge ACKs of all connections, a second; the exact number is drawn (CVE-2016-5696) */
};

/* A segment as net_input delivers it: L2 and L3 are checked, TCP's header is not read yet. */
struct tcp_segment {
	struct pkt *pkt;
	uint8_t *header;              /* TCP header, inside pkt */
	uint16_t len;                 /* TCP header and payload, by the IP length */
	uint8_t source[16], destination[16]; /* IPv4 mapped */
	uint8_t mac[6];               /* where it came from */
	uint8_t local;                /* which of our addresses destination is (endpoint.local) */
	uint8_t hops;                 /* workers that did not know its connection */
	bool stray;                   /* by tcp_input: nor does this one; pkt is still PKT_PENDING, for the caller to hand on */
};

/* Fills *config with the defaults. */
void tcp_defaults(struct tcp_config *config);
struct tcp *tcp_create(const struct tcp_config *config, struct counters *counters, uint64_t now_ns, uint64_t seed,
    struct error *error) MUST_USE;
void tcp_destroy(struct tcp *tcp);
struct blocks *tcp_blocks(struct tcp *tcp);

/*
 * A burst of segments. Each segment's pkt becomes PKT_DONE or a named drop, but those whose payload a
 * connection offers until tcp_apply().
 */
void tcp_input(struct tcp *tcp, uint64_t now_ns, struct tcp_segment *segments, uint32_t count);
/* Retransmissions, probes, timeouts that are due. Once a round. */
void tcp_timers(struct tcp *tcp, uint64_t now_ns);
/* When tcp_timers() has something to do next; UINT64_MAX: never. */
uint64_t tcp_deadline(const struct tcp *tcp);

/*
 * Turns (base/turn.h) of connections on which something happened that the application has not seen: new bytes,
 * the peer's FIN, a room that is full, room to write again, or the end. Fills at most `max`, each connection at most once; who did not
 * come in has his turn in the next round. A connection has no turn for input while it is paused or its output is
 * over output_max. The ends of all connections are told, each once.
 */
enum tcp_reason { TCP_CLOSED = 0, TCP_RESET, TCP_TIMED_OUT, TCP_IDLE, TCP_ABORTED, TCP_NO_MEMORY, TCP_LIMIT };
uint32_t tcp_turns(struct tcp *tcp, uint64_t now_ns, struct turn *turns, uint32_t max);
/*
 * Does what the application has asked for in its turns; what it left unread is kept, and what it wrote is sent
 * by tcp_output(). After tcp_turns(), in the same round, before the frames of tcp_input() are freed.
 */
void tcp_apply(struct tcp *tcp, uint64_t now_ns, struct turn *turns, uint32_t count);
/* A paused connection has a turn again, with input or without. Nothing happens when it is gone. */
void tcp_resume(struct tcp *tcp, struct connection id);
/* RST at once, outside of a turn (shutdown, CLIENT KILL); its end is still told. */
void tcp_abort(struct tcp *tcp, struct connection id);

/*
 * Segments to send, at most `max`: written into fresh packets from `spares`, TCP header and payload behind the room that L3 needs;
 * the caller lets net write the headers before. Returns how many; the rest waits for the next call. A frame's tail
 * holds a pin, which is the caller's to give back.
 */
struct tcp_frame {
	struct pkt *pkt;
	uint16_t len;             /* TCP header and payload, tail included */
	struct pkt_tail tail;    /* the last bytes of the payload; they do not stand in pkt */
	struct endpoint peer;     /* ip, mac, local address */
};
uint32_t tcp_output(struct tcp *tcp, uint64_t now_ns, struct spares *spares, struct tcp_frame *frames, uint32_t max);

/* An ICMP error about one of our segments (RFC 5927, RFC 8201). */
struct tcp_icmp {
	uint8_t source[16], destination[16]; /* of our segment: source is ours */
	uint16_t source_port, destination_port;
	uint32_t seq;
	uint16_t mtu;             /* packet too big: of the way, IP header included; 0: unreachable of some kind, a soft error */
	uint8_t local;            /* which of our addresses source is */
	uint8_t hops;             /* workers that did not know the connection */
};
/* False: it is about no connection here, but another worker may have it: the caller hands the error on. */
bool tcp_icmp(struct tcp *tcp, uint64_t now_ns, const struct tcp_icmp *error);

/* Figures for stats; the owner lcore's. */
struct tcp_figures {
	uint32_t connections, half_open, time_wait;
	uint64_t blocks_used, blocks_peak;
};
void tcp_figures(const struct tcp *tcp, struct tcp_figures *figures);

void tcp_check(struct tcp *tcp);

#endif
