/*
 * link.h - messages between members: acknowledged, in pieces, at most once, in any order.
 *
 * Purpose: carries messages of up to LINK_MESSAGE_MAX bytes between two lives. Those posted
 *   between two steps share segments; a segment is numbered, kept and sent again until it is
 *   acknowledged. Small messages are handed over as they arrive; a message of several
 *   segments when its last piece has come and all segments before it have.
 *   Acknowledgements travel in every packet that goes back anyway.
 * Parts: link.c (peers, posting, what is due when), link_send.c (segments out, what was lost),
 *   link_receive.c (segments in, messages put together), window.h (how much may be on its way).
 * Sequence numbers belong to a generation, which a sender begins anew when it gives up. A
 *   receiver that gave up says so (LINK_REFUSED): nothing of that generation is taken any more. So a
 *   message is never handed over twice, and one that was given up is not waited for.
 * Given up (LOST): the peer is Dead or Left, lives a new life, refuses the generation, or did
 *   not acknowledge a segment for LINK_PATIENCE_NS. Such a message was handed over once or never.
 * Lost packets: by order of transmission, 3 later ones acknowledged or 9/8 of a round trip
 *   passed (RFC 9002 6.1, after RFC 6675 and RFC 8985), more where packets overtake each other; then
 *   one probe (window.h).
 * Threads: none. Memory: at init. Segments of both directions come from one pool; a peer takes
 *   at most as many as are left for all others (Choudhury and Hahne, "Dynamic queue length
 *   thresholds", 1998), so that one that is slow does not take all.
 *   Long messages are put together in buffers of two sizes, one a peer at a time.
 * Invariants (link_check): 1. free and held segments are all segments. 2. a peer's counts are
 *   those of its rings. 3. oldest <= next <= oldest + LINK_WINDOW. 4. the heap orders what is due.
 * Bounds: link_bytes of segments and as much of buffers a node; LINK_WINDOW segments on their way to
 *   a peer, and as many held for it.
 */
#ifndef CLUSTER_LINK_H
#define CLUSTER_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "cluster/window.h"
#include "proto/link.h"

/* Longer than a node needs to be found Dead (a second), than RTO_MAX several times, and than a stop of a second. */
#define LINK_PATIENCE_NS (2 * NS_PER_SEC)
/* An answer usually comes within this and carries the acknowledgement; a pair of nodes that exchange
 * less than a message in it does not care for one packet more. */
#define LINK_ACK_DELAY_NS (1 * NS_PER_MS)
/* A segment that found no buffer is tried again so much later. */
#define LINK_STALL_NS (1 * NS_PER_MS)

enum {
	LINK_BYTES_DEFAULT = 16 << 20,
	LINK_ACK_EVERY = 4,  /* long segments; RFC 5681 has 2, but a packet costs as much as a kilobyte here */
	LINK_ACK_COUNT = 32, /* segments of any length: an eighth of the window */
	LINK_TURN = 8,       /* packets to one peer before the next has its turn */
	LINK_SMALL_SIZE = 32 << 10, /* of the smaller buffers */
};

struct link_segment {
	uint64_t sequence;
	uint64_t order;         /* of its last transmission */
	uint64_t sent_ns, first_ns;
	uint64_t owner;         /* id of the member it is for */
	uint32_t next;          /* in a list */
	uint16_t len;           /* of data */
	uint8_t transmissions;
	uint8_t count;          /* of tags */
	bool acknowledged, lost;
	uint64_t tags[LINK_MESSAGES_MAX]; /* of the messages that end here */
	uint8_t data[LINK_SEGMENT_MAX];
};

struct link_list {
	uint32_t first, last, count; /* indexes of segments; first is LINK_NONE when empty */
};

enum { LINK_NONE = 0xffffffff };

/* Where a long message is put together. */
struct link_buffer {
	uint8_t *data;
	uint32_t size;
	uint32_t next; /* in a list */
};

/* One member's life. */
struct link_peer {
	uint64_t id, boot;   /* id 0: none */
	struct member *member;
	uint64_t due_ns;     /* UINT64_MAX: never */
	uint32_t heap_at;    /* index + 1; 0: not in the heap */
	uint32_t attached_at;
	uint32_t ready_next; /* in the list of those with something to send */
	bool ready;
	/* sending */
	bool full;           /* the window was what held back more */
	uint32_t generation;
	uint32_t held;       /* segments, both directions */
	uint32_t in_flight, lost; /* of the segments oldest..next - 1: on their way; to be sent again */
	uint64_t oldest, next;
	uint64_t lost_from;  /* none before this one is lost */
	uint64_t order, order_acknowledged; /* transmissions */
	uint64_t timer_ns;   /* timeout; 0: nothing is on its way */
	uint64_t loss_ns;    /* a segment counts as lost then; 0: none */
	uint64_t patience_ns;/* patience counts from here at the earliest */
	uint64_t pace_ns;    /* pacing holds back until then; 0: it does not */
	struct window window;
	struct link_list queue; /* not sent yet */
	/* receiving */
	bool closed;         /* nothing of this generation is taken */
	bool ack_now;
	uint32_t ack_count, ack_long;
	uint32_t generation_in; /* 0: nothing has arrived */
	uint32_t stamp_in;
	uint32_t buffer;     /* where its long message is put together, or LINK_NONE */
	uint32_t total, filled;
	uint32_t held_in;    /* pieces that wait for those before */
	uint64_t arrived;    /* all up to this one */
	uint64_t ahead[LINK_WORDS_MAX]; /* bit sequence % LINK_WINDOW: arrived, later than that */
	uint32_t ahead_count;
	uint64_t arrived_ns; /* the last segment */
	uint64_t ack_ns;     /* acknowledge then; 0: nothing to */
	uint64_t stall_ns;   /* try again then; 0: not stalled */
	uint64_t expiry_ns;  /* look then whether the sender has gone silent; 0: nothing is held */
	/* rings, by sequence % LINK_WINDOW: indexes of segments, in[] + 1 (0: none is held) */
	uint32_t out[LINK_WINDOW], in[LINK_WINDOW];
};

struct link_counters {
	uint64_t messages_out, messages_in, messages_lost;
	uint64_t busy;           /* posts refused: no memory for this peer */
	uint64_t segments_out;   /* first transmissions */
	uint64_t retransmitted, spurious; /* of them: had arrived all the same */
	uint64_t timeouts, probes, resets;
	uint64_t segments_in, duplicates, acks_out, acks_in;
	uint64_t out_of_window, no_memory, stalled, stale, refused, malformed;
};

struct link {
	struct link_peer *peers;    /* by the member's slot */
	struct link_segment *segments;
	struct link_buffer *buffers;
	uint8_t *buffer_bytes;
	uint32_t peers_max, segments_max, buffer_count, small_count;
	uint32_t segments_fresh;    /* never used yet, from here on */
	uint32_t free, free_count;  /* list of those that were; all that are free */
	uint32_t small_free, large_free, spent; /* lists of buffers; spent: handed over in the last step */
	uint32_t generation;        /* the last one given out */
	uint16_t *heap, *attached;
	uint32_t heap_count, attached_count;
	uint32_t ready_first, ready_last; /* slots */
	struct link_list losing;    /* segments whose messages are being told as lost */
	uint64_t members_digest;    /* of the members when they were last looked at */
	uint64_t now_ns;
};

/* What goes on with one peer, for people. */
struct link_view {
	uint64_t srtt_ns, timeout_ns;
	uint32_t window, in_flight, queued, held;
};

void link_check(const struct link *link);

#endif
