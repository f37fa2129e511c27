/*
 * peer.h - messages between nodes: bytes of a packet, once its envelope is open.
 *
 * Purpose: one reader and one writer for gossip, probes and the authority's ballots.
 * Format, little-endian:
 *   header, 48 bytes: 0 u8 version (1)  1 u8 state  2 u16 header_len  4 u32 incarnation
 *     8 u64 sender  16 u64 to_boot  24 u64 epoch  32 u64 epoch_digest  40 u64 table_digest
 *   then sections until the end: 0 u8 type  1 u8 flags  2 u16 len  4 body[len].
 *   So every packet is a heartbeat too: it says who speaks, in which state and
 *   incarnation, at which epoch, and (by one number) what it believes of all others.
 * Versions: a newer node may send a longer header, unknown section types, and longer
 *   bodies or records; a reader skips what it does not know. Lists state the length of
 *   their entries for this. version 0 is refused.
 * Threads: any. Memory: borrowed; views die with the packet.
 * Invariants: 1. readers never touch a byte outside the view. 2. what a reader accepts has
 *   states, counts and lengths within the bounds below.
 * Bounds: PEER_PAYLOAD_MAX bytes a packet, PEER_ID_MAX bytes of node id.
 */
#ifndef PROTO_PEER_H
#define PROTO_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/limits.h"

enum {
	PEER_VERSION = 1,
	PEER_HEADER_LEN = 48,
	PEER_SECTION_LEN = 4,
	PEER_ID_MAX = 63,
	PEER_INCARNATION_MAX = 1 << 30, /* one a refutation: more is nonsense, and would wrap */
	PEER_ENVELOPE_MAX = 40, /* what the envelope adds (cluster/envelope.h) */
	PEER_PAYLOAD_MAX = UDP_PAYLOAD_MAX - PEER_ENVELOPE_MAX,
	PEER_RECORD_LEN_MIN = 72, /* with an id of one byte, its own length included */
	PEER_RECORD_LEN_MAX = PEER_RECORD_LEN_MIN - 1 + PEER_ID_MAX,
	PEER_DIGEST_LEN = 24,
	PEER_VOTER_LEN = 28,
};

/*
 * States of a member, by rank: at one incarnation the higher rank holds. Only the
 * member itself raises its incarnation, and so comes back from Suspected and Dead.
 */
enum peer_state {
	PEER_JOINING = 1,
	PEER_ALIVE = 2,
	PEER_LEAVING = 3,
	PEER_SUSPECTED = 4,
	PEER_DEAD = 5,
	PEER_LEFT = 6,
};

enum peer_section_type {
	PEER_HELLO = 1,      /* record of the sender */
	PEER_HEARTBEAT = 2,  /* struct peer_heartbeat */
	PEER_RECORDS = 3,    /* records, one behind the other */
	PEER_DIGEST = 4,     /* u64 low, u64 high, entries: what the sender holds between these two ids */
	PEER_WANT = 5,       /* u64 ids: send these records */
	PEER_PING = 6,       /* struct peer_probe: answer ACK */
	PEER_ACK = 7,        /* struct peer_probe */
	PEER_PING_REQ = 8,   /* struct peer_probe: ping the target for me */
	PEER_NACK = 9,       /* struct peer_probe: asked, and no answer of the target is known yet */
	PEER_REFUSE = 10,    /* struct peer_conflict: your node id belongs to another process */
	PEER_CONFLICT = 11,  /* struct peer_conflict: another process tried to use your node id */
	PEER_BALLOT = 12,    /* struct peer_ballot */
	PEER_TABLE_WANT = 13,/* u64 epoch, u64 digest */
	PEER_TABLE_PART = 14,/* struct peer_part, then voters */
	PEER_LINK = 15,      /* messages of one node to another (proto/link.h); alone in a packet of the class for data */
};

enum peer_flag {
	PEER_REPLY_WANTED = 1, /* HELLO, DIGEST */
	PEER_COMMITTED = 2,    /* TABLE_PART: decided, not only proposed */
};

enum peer_refusal { PEER_REFUSED_DUPLICATE = 1, PEER_REFUSED_FULL = 2 };

struct peer_address {
	uint8_t ip[16];
	uint16_t port;
};

struct peer_header {
	uint64_t sender, to_boot, epoch, epoch_digest, table_digest;
	uint32_t incarnation;
	uint8_t state; /* enum peer_state */
};

struct peer_section {
	uint8_t type, flags;
	struct view body;
};

/* What is told of a member. */
struct peer_record {
	uint64_t boot;        /* nonce of its life */
	uint64_t accuser;     /* Suspected: who says so (an id); else 0 */
	uint32_t incarnation;
	uint32_t rack;
	uint32_t age_s;       /* Dead, Left: since when */
	struct peer_address address, api;
	uint16_t weight;
	uint8_t state;        /* enum peer_state */
	uint8_t workers;      /* 1..; its native ports are api.port .. api.port + workers - 1; behind the id on the wire */
	uint8_t id_len;       /* 1..PEER_ID_MAX */
	char id[PEER_ID_MAX + 1];
};

struct peer_digest {
	uint64_t id, boot;
	uint32_t incarnation;
	uint8_t state;
};

struct peer_heartbeat {
	uint64_t sequence; /* from 1, per receiver */
	uint32_t interval_us;
};

struct peer_probe {
	uint64_t nonce;
	uint64_t target; /* id */
	uint64_t origin; /* id of who wants to know; PING and ACK carry it through the helper */
};

struct peer_conflict {
	uint64_t boot; /* of the other process */
	struct peer_address address;
	uint8_t reason; /* enum peer_refusal */
};

enum peer_ballot_kind {
	PEER_PREPARE = 1,
	PEER_PROMISE = 2,
	PEER_ACCEPT = 3,
	PEER_ACCEPTED = 4,
	PEER_REJECT = 5,
};

/* A step of deciding `epoch` on top of `base` (cluster/authority.h). */
struct peer_ballot {
	uint64_t base, base_digest;
	uint64_t epoch;
	uint64_t digest;            /* ACCEPT, ACCEPTED: of the table voted on; REJECT: number voted on here */
	uint64_t proposer;          /* the ballot is (round, proposer) */
	uint64_t accepted_proposer; /* PROMISE: the last ballot accepted, and its table */
	uint64_t accepted_digest;
	uint64_t floor;             /* highest epoch known from former lives */
	uint32_t round, accepted_round;
	uint8_t kind;               /* enum peer_ballot_kind */
};

struct peer_part {
	uint64_t epoch, digest;
	uint16_t count, first, here; /* members of the table; position of the first one here; how many here */
	uint8_t replication;
};

struct peer_voter {
	uint64_t id, boot;
	uint32_t rack;
	uint16_t index, weight;
	uint8_t state; /* enum ring_state */
};

/* Reading. Each returns false for bytes that make no sense. */
bool peer_header_parse(struct reader *in, struct peer_header *header);
/* The next section; false at the end and when the rest is cut (in->failed tells them apart). */
bool peer_section_next(struct reader *in, struct peer_section *section);
bool peer_record_parse(struct reader *in, struct peer_record *record);
bool peer_digest_parse(struct reader *in, struct peer_digest *entry);
bool peer_heartbeat_parse(struct view body, struct peer_heartbeat *heartbeat);
bool peer_probe_parse(struct view body, struct peer_probe *probe);
bool peer_conflict_parse(struct view body, struct peer_conflict *conflict);
bool peer_ballot_parse(struct view body, struct peer_ballot *ballot);
/* Leaves *voters at the first voter; part->here of them follow. */
bool peer_part_parse(struct view body, struct peer_part *part, struct reader *voters);
bool peer_voter_parse(struct reader *in, struct peer_voter *voter);

/* Writing; what does not fit sets out->failed. */
void peer_header_compose(struct writer *out, const struct peer_header *header);
/* Opens a section; NULL when it does not fit. peer_section_end() with what it returned sets the length. */
uint8_t *peer_section_begin(struct writer *out, enum peer_section_type type, uint8_t flags);
void peer_section_end(struct writer *out, uint8_t *section);
void peer_record_compose(struct writer *out, const struct peer_record *record);
void peer_digest_compose(struct writer *out, const struct peer_digest *entry);
void peer_heartbeat_compose(struct writer *out, const struct peer_heartbeat *heartbeat);
void peer_probe_compose(struct writer *out, enum peer_section_type type, const struct peer_probe *probe);
void peer_conflict_compose(struct writer *out, enum peer_section_type type, const struct peer_conflict *conflict);
void peer_ballot_compose(struct writer *out, const struct peer_ballot *ballot);
void peer_part_compose(struct writer *out, const struct peer_part *part);
void peer_voter_compose(struct writer *out, const struct peer_voter *voter);

/* Bytes that a record takes. */
static inline uint32_t
peer_record_len(const struct peer_record *record)
{
	return PEER_RECORD_LEN_MIN - 1u + record->id_len;
}

static inline bool
peer_address_equal(const struct peer_address *a, const struct peer_address *b)
{
	return a->port == b->port && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

#endif
