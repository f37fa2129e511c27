#include "cluster/envelope.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"
#include "cluster/mutation.h"
#include "seal/digest.h"

enum { WINDOW_WORDS = ENVELOPE_WINDOW / 64 };

/* One life of one sender, under one key and algorithm. */
struct envelope_life {
	uint64_t boot;
	uint64_t newest;               /* highest counter taken; 0: none yet */
	uint64_t heard;                /* envelope->clock of the last packet */
	uint64_t seen[WINDOW_WORDS];   /* bit counter % 1024 */
	uint8_t key_index;
	struct aead_key key;
};

bool
envelope_init(struct envelope *envelope, const struct envelope_config *config, uint64_t boot)
{
	uint32_t buckets = 1;

	CHECK(boot != 0 && config->key_count <= ENVELOPE_KEYS_MAX && config->lives_max > 0);
	CHECK(config->insecure || config->key_count > 0);
	memset(envelope, 0, sizeof *envelope);
	envelope->config = *config;
	envelope->boot = boot;
	while (buckets < config->lives_max * 2)
		buckets *= 2;
	envelope->table_mask = buckets - 1;
	envelope->name_len = (uint32_t)strnlen(config->name, ENVELOPE_NAME_MAX);
	memcpy(envelope->ad + ENVELOPE_HEADER_LEN, config->name, envelope->name_len);
	for (uint8_t i = 0; i < config->key_count; i++)
		envelope->key_tags[i] = aead_key_tag(config->keys[i]);
	if (!config->insecure) {
		enum aead_algorithm algorithm = config->algorithm ? (enum aead_algorithm)config->algorithm : aead_best();

		aead_derive(&envelope->sealing, config->keys[0], boot, algorithm);
	}
	envelope->lives = aligned_alloc(64, (config->lives_max * sizeof *envelope->lives + 63) / 64 * 64);
	envelope->table = calloc(buckets, sizeof *envelope->table);
	if (!envelope->lives || !envelope->table) {
		envelope_deinit(envelope);
		return false;
	}
	return true;
}

void
envelope_deinit(struct envelope *envelope)
{
	for (uint32_t i = 0; i < envelope->life_count; i++)
		aead_wipe(&envelope->lives[i].key);
	aead_wipe(&envelope->sealing);
	explicit_bzero(envelope->config.keys, sizeof envelope->config.keys);
	free(envelope->lives);
	free(envelope->table);
	envelope->life_count = 0;
	envelope->lives = NULL;
	envelope->table = NULL;
}

/* Clear text: SipHash under the cluster's name, over header and payload. */
static uint64_t
clear_sum(const struct envelope *envelope, const uint8_t *packet, size_t len)
{
	uint8_t secret[16] = { 0 };

	store_le64(secret, digest_siphash13(secret, envelope->config.name, envelope->name_len));
	return digest_siphash13(secret, packet, len);
}

static inline void
put_header(uint8_t *at, uint64_t kind, uint64_t boot, uint64_t counter)
{
	store_le64(at, kind);
	store_le64(at + 8, boot);
	store_le64(at + 16, counter);
}

size_t
envelope_seal(struct envelope *envelope, uint8_t *packet, size_t len, enum envelope_class class)
{
	uint64_t kind = ENVELOPE_VERSION | (uint32_t)envelope->sealing.algorithm << 8 |
	    (uint32_t)envelope->key_tags[0] << 16 | (uint32_t)class << 24;

	put_header(packet, kind, envelope->boot, ++envelope->counter);
	if (envelope->config.insecure) {
		store_le64(packet + ENVELOPE_HEADER_LEN + len, clear_sum(envelope, packet, ENVELOPE_HEADER_LEN + len));
		return ENVELOPE_HEADER_LEN + len + ENVELOPE_CLEAR_LEN;
	}
	put_header(envelope->ad, kind, envelope->boot, envelope->counter); /* not copied: the packet's would not be there yet */
	aead_seal(&envelope->sealing, envelope->counter, envelope->ad, ENVELOPE_HEADER_LEN + envelope->name_len,
	    packet + ENVELOPE_HEADER_LEN, len);
	return ENVELOPE_HEADER_LEN + len + AEAD_TAG_LEN;
}

/* Boot nonces are random already. */
static uint32_t *
bucket_of(const struct envelope *envelope, uint64_t boot)
{
	uint32_t at = (uint32_t)(boot ^ boot >> 32) & envelope->table_mask;

	while (envelope->table[at] && envelope->lives[envelope->table[at] - 1].boot != boot)
		at = (at + 1) & envelope->table_mask;
	return &envelope->table[at];
}

static void
table_rebuild(struct envelope *envelope)
{
	memset(envelope->table, 0, (envelope->table_mask + 1) * sizeof *envelope->table);
	for (uint32_t i = 0; i < envelope->life_count; i++)
		*bucket_of(envelope, envelope->lives[i].boot) = i + 1;
}

/* Keeps a life that has just proved itself; when all are taken, the longest unheard goes. */
static struct envelope_life *
life_keep(struct envelope *envelope, const struct envelope_life *life)
{
	uint32_t at = envelope->life_count;

	if (at == envelope->config.lives_max) {
		at = 0;
		for (uint32_t i = 1; i < envelope->life_count; i++)
			if (envelope->lives[i].heard < envelope->lives[at].heard)
				at = i;
		envelope->lives[at] = *life;
		table_rebuild(envelope);
	} else {
		envelope->lives[at] = *life;
		envelope->life_count++;
		*bucket_of(envelope, life->boot) = at + 1;
	}
	return &envelope->lives[at];
}

static bool
window_refuses(const struct envelope_life *life, uint64_t counter)
{
	if (counter == 0 || (counter <= life->newest && life->newest - counter >= ENVELOPE_WINDOW))
		return true;
	return counter <= life->newest && life->seen[counter % ENVELOPE_WINDOW / 64] >> counter % 64 & 1;
}

static void
window_take(struct envelope_life *life, uint64_t counter)
{
	if (counter > life->newest) {
		if (counter - life->newest >= ENVELOPE_WINDOW)
			memset(life->seen, 0, sizeof life->seen);
		else
			for (uint64_t i = life->newest + 1; i <= counter; i++)
				life->seen[i % ENVELOPE_WINDOW / 64] &= ~(1ull << i % 64);
		life->newest = counter;
	}
	life->seen[counter % ENVELOPE_WINDOW / 64] |= 1ull << counter % 64;
}

static bool
tag_right(struct envelope *envelope, const struct envelope_life *life, uint64_t counter, uint8_t *packet, size_t len)
{
	uint8_t *data = packet + ENVELOPE_HEADER_LEN;

	if (envelope->config.insecure) {
		size_t summed = len - ENVELOPE_CLEAR_LEN;

		return load_le64(packet + summed) == clear_sum(envelope, packet, summed);
	}
	return aead_open(&life->key, counter, envelope->ad, ENVELOPE_HEADER_LEN + envelope->name_len, data,
	    len - ENVELOPE_HEADER_LEN - AEAD_TAG_LEN);
}

/* Finds the sender's life, or makes a new one in *fresh; NULL: no key has this tag. */
static struct envelope_life *
life_of(struct envelope *envelope, const uint8_t *packet, struct envelope_life *fresh)
{
	uint64_t boot = load_le64(packet + 8);
	uint32_t found = *bucket_of(envelope, boot);
	uint8_t key_index = 0;

	if (!envelope->config.insecure) {
		while (key_index < envelope->config.key_count && envelope->key_tags[key_index] != packet[2])
			key_index++;
		if (key_index == envelope->config.key_count)
			return NULL;
	}
	if (found) {
		struct envelope_life *life = &envelope->lives[found - 1];

		if (envelope->config.insecure || (life->key_index == key_index && life->key.algorithm == packet[1]))
			return life;
		*fresh = *life; /* the sender went over to another key or algorithm: same window */
	} else {
		memset(fresh, 0, sizeof *fresh);
	}
	fresh->boot = boot;
	fresh->key_index = key_index;
	if (!envelope->config.insecure)
		aead_derive(&fresh->key, envelope->config.keys[key_index], boot, packet[1]);
	return fresh;
}

static enum envelope_verdict
header_verdict(const struct envelope *envelope, const uint8_t *packet, size_t len)
{
	size_t overhead = ENVELOPE_HEADER_LEN + (envelope->config.insecure ? (size_t)ENVELOPE_CLEAR_LEN : AEAD_TAG_LEN);

	if (len < overhead || len > UDP_PAYLOAD_MAX || packet[0] != ENVELOPE_VERSION || packet[3] >= ENVELOPE_CLASS_COUNT ||
	    load_le64(packet + 8) == 0)
		return ENVELOPE_MALFORMED;
	if ((packet[1] == AEAD_NONE) != envelope->config.insecure)
		return ENVELOPE_CLEAR;
	return packet[1] == AEAD_NONE || aead_supported(packet[1]) ? ENVELOPE_OK : ENVELOPE_MALFORMED;
}

static enum envelope_verdict
life_verdict(struct envelope *envelope, const struct envelope_life *life, uint8_t *packet, size_t len)
{
	uint64_t counter = load_le64(packet + 16);

	if (window_refuses(life, counter) && !MUTATED(&envelope->config, NO_REPLAY_WINDOW))
		return ENVELOPE_REPLAYED;
	if (!tag_right(envelope, life, counter, packet, len) && !MUTATED(&envelope->config, TAG_UNCHECKED))
		return ENVELOPE_FORGED;
	return ENVELOPE_OK;
}

/* A life that has just proved itself takes the place of what was known of it, or a place of its own. */
static struct envelope_life *
life_enter(struct envelope *envelope, const struct envelope_life *fresh)
{
	uint32_t found = *bucket_of(envelope, fresh->boot);

	if (!found)
		return life_keep(envelope, fresh);
	envelope->lives[found - 1] = *fresh;
	return &envelope->lives[found - 1];
}

enum envelope_verdict
envelope_open(struct envelope *envelope, uint8_t *packet, size_t len, uint64_t *boot, uint8_t **payload,
    size_t *payload_len)
{
	enum envelope_verdict verdict = header_verdict(envelope, packet, len);
	struct envelope_life fresh, *life;

	if (verdict != ENVELOPE_OK)
		return verdict;
	memcpy(envelope->ad, packet, ENVELOPE_HEADER_LEN); /* as early as may be: AES reads it in one piece, and would wait */
	life = life_of(envelope, packet, &fresh);
	if (!life)
		return ENVELOPE_KEY_UNKNOWN;
	verdict = life_verdict(envelope, life, packet, len);
	if (life == &fresh) {
		if (verdict == ENVELOPE_OK)
			life = life_enter(envelope, &fresh);
		aead_wipe(&fresh.key);
	}
	if (verdict != ENVELOPE_OK)
		return verdict;
	window_take(life, load_le64(packet + 16));
	life->heard = ++envelope->clock;
	*boot = life->boot;
	*payload = packet + ENVELOPE_HEADER_LEN;
	*payload_len = len - ENVELOPE_HEADER_LEN - (envelope->config.insecure ? (size_t)ENVELOPE_CLEAR_LEN : AEAD_TAG_LEN);
	return ENVELOPE_OK;
}

const char *
envelope_verdict_name(enum envelope_verdict verdict)
{
	static const char *const names[ENVELOPE_VERDICT_COUNT] = { "ok", "malformed", "clear", "key_unknown", "forged",
		"replayed" };

	return verdict < ENVELOPE_VERDICT_COUNT ? names[verdict] : "unknown";
}

void
envelope_check(const struct envelope *envelope)
{
	CHECK(envelope->life_count <= envelope->config.lives_max);
	for (uint32_t i = 0; i < envelope->life_count; i++) {
		const struct envelope_life *life = &envelope->lives[i];

		CHECK(*bucket_of(envelope, life->boot) == i + 1);
		CHECK(life->newest > 0 && life->heard <= envelope->clock);
	}
}
