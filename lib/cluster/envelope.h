/*
 * envelope.h - every packet between nodes, sealed.
 *
 * Purpose: proves that a packet was made by a holder of the cluster key, in this
 *   cluster, by one life of one sender, and is taken once.
 * Format: 0 u8 version (1)  1 u8 algorithm  2 u8 key tag  3 u8 class
 *   4 u32 reserved 0  8 u64 boot nonce of the sender  16 u64 counter, from 1
 *   24 ciphertext, then 16 bytes of tag. Associated data: these 24 bytes and the
 *   cluster's name. Clear text (algorithm 0, only when `insecure`): 8 bytes of
 *   SipHash under the cluster's name stand for the tag; they catch bit errors and
 *   strangers, not attackers.
 * Class: whether a packet is of the cluster's own affairs or carries data, in the clear and
 *   authenticated, so that whoever takes packets in can let the former pass the latter.
 * Replay: a window of 1024 counters per sender's life; what is older or was seen is refused.
 *   A life is remembered only after its first packet proved itself. A receiver that
 *   forgot (it restarted) is protected one layer up: packets name the life they are for.
 * Keys: the first one seals; both open, so that a new key is rolled out as second, then
 *   made first, then the old one taken out.
 * Threads: none of its own. Memory: at init, envelope_size_max bytes by lives_max.
 * Invariants: 1. the counter never repeats within a life. 2. a window's newest counter
 *   only grows. Bounds: lives_max lives; the one not heard for longest makes room.
 */
#ifndef CLUSTER_ENVELOPE_H
#define CLUSTER_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "seal/aead.h"

enum {
	ENVELOPE_VERSION = 1,
	ENVELOPE_HEADER_LEN = 24,
	ENVELOPE_CLEAR_LEN = 8, /* what stands for the tag in clear text */
	ENVELOPE_OVERHEAD_MAX = ENVELOPE_HEADER_LEN + AEAD_TAG_LEN,
	ENVELOPE_WINDOW = 1024, /* counters */
	ENVELOPE_KEYS_MAX = 2,
	ENVELOPE_NAME_MAX = 63,
};

enum envelope_class {
	ENVELOPE_CONTROL = 0, /* gossip, probes, ballots */
	ENVELOPE_DATA = 1,    /* the link */
	ENVELOPE_CLASS_COUNT
};

/* What became of a packet. */
enum envelope_verdict {
	ENVELOPE_OK = 0,
	ENVELOPE_MALFORMED,   /* too short, another version or class, or an algorithm this machine lacks */
	ENVELOPE_CLEAR,       /* clear text where it is not allowed, or sealed where clear text is the rule */
	ENVELOPE_KEY_UNKNOWN, /* no key with this tag */
	ENVELOPE_FORGED,      /* the tag is wrong: other key, other cluster, or bits changed */
	ENVELOPE_REPLAYED,    /* seen before, or older than the window */
	ENVELOPE_VERDICT_COUNT
};

struct envelope_life;

struct envelope_config {
	uint8_t keys[ENVELOPE_KEYS_MAX][AEAD_CLUSTER_KEY_LEN];
	uint8_t key_count; /* 0 only when insecure */
	bool insecure;
	uint8_t algorithm; /* enum aead_algorithm to seal with; AEAD_NONE: the best one */
	char name[ENVELOPE_NAME_MAX + 1]; /* of the cluster */
	uint32_t lives_max;
	uint32_t mutation;
};

struct envelope {
	struct envelope_config config;
	uint64_t boot;    /* of this life */
	uint64_t counter; /* of the last packet sealed */
	uint8_t key_tags[ENVELOPE_KEYS_MAX];
	uint8_t ad[ENVELOPE_HEADER_LEN + ENVELOPE_NAME_MAX];
	uint32_t name_len;
	struct aead_key sealing;
	struct envelope_life *lives;
	uint32_t *table; /* open hash over lives: index + 1 */
	uint32_t life_count, table_mask;
	uint64_t clock;  /* counts packets opened: which life was heard last */
};

/* False: no memory. boot is this process's nonce: random, never 0, never used before. */
bool envelope_init(struct envelope *envelope, const struct envelope_config *config, uint64_t boot);
void envelope_deinit(struct envelope *envelope);

/*
 * Seals len bytes that stand at packet + ENVELOPE_HEADER_LEN; returns the packet's length
 * (at most len + ENVELOPE_OVERHEAD_MAX, for which there must be room).
 */
size_t envelope_seal(struct envelope *envelope, uint8_t *packet, size_t len, enum envelope_class class);

/* What a packet claims to be, and of which life, before it is opened; one that is no packet of ours is data. */
static inline enum envelope_class
envelope_class_claimed(const uint8_t *packet, size_t len)
{
	return len > ENVELOPE_HEADER_LEN && packet[0] == ENVELOPE_VERSION && packet[3] == ENVELOPE_CONTROL ? ENVELOPE_CONTROL :
	    ENVELOPE_DATA;
}

static inline uint64_t
envelope_boot_claimed(const uint8_t *packet)
{
	return load_le64(packet + 8);
}

/* Opens a packet in place. OK: *payload and *payload_len are inside it, *boot is the sender's. */
enum envelope_verdict envelope_open(struct envelope *envelope, uint8_t *packet, size_t len, uint64_t *boot,
    uint8_t **payload, size_t *payload_len);

const char *envelope_verdict_name(enum envelope_verdict verdict);

void envelope_check(const struct envelope *envelope);

#endif
