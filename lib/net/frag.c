#include "net/frag.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "seal/digest.h"

enum { BUCKETS = 2 * FRAGS_MAX, SOURCES = 1024, NONE = UINT16_MAX, UNKNOWN = UINT16_MAX };

_Static_assert((BUCKETS & (BUCKETS - 1)) == 0 && (SOURCES & (SOURCES - 1)) == 0, "masks");
_Static_assert((int)FRAGS_LEN_MAX < (int)UNKNOWN, "an end that is not known");

/* What the fragments of one datagram have in common. */
struct key {
	uint8_t source[16], destination[16];
	uint32_t id, protocol;
};

struct place {
	struct key key;
	uint64_t since_ns;
	uint16_t next;          /* of the bucket, of the free or of the whole ones */
	uint16_t older, newer;  /* by age */
	uint16_t bucket, source;
	uint16_t end;           /* bytes of the datagram, UNKNOWN before its last fragment came */
	uint16_t got;           /* bytes of them that are here */
	uint8_t piece_count;
	bool condemned;
	struct {
		uint16_t offset, len;
	} pieces[FRAGS_PIECES];
};

struct frags {
	uint8_t secret[16];
	uint16_t free, whole, oldest, newest; /* places; NONE ends a list */
	uint32_t count;                       /* being filled */
	uint16_t buckets[BUCKETS];
	uint8_t sources[SOURCES];             /* being filled, of the sources with this hash */
	struct place places[FRAGS_MAX];
	uint8_t bytes[FRAGS_MAX][FRAGS_LEN_MAX];
};

_Static_assert(FRAGS_SOURCE_MAX <= UINT8_MAX, "sources are bytes");

struct frags *
frags_create(const uint8_t secret[16])
{
	struct frags *frags = calloc(1, sizeof *frags); /* pages come with their first use */

	if (!frags)
		return NULL;
	memcpy(frags->secret, secret, sizeof frags->secret);
	frags->free = frags->whole = frags->oldest = frags->newest = NONE;
	memset(frags->buckets, 0xff, sizeof frags->buckets);
	for (uint16_t i = FRAGS_MAX; i-- > 0;) {
		frags->places[i].next = frags->free;
		frags->free = i;
	}
	return frags;
}

void
frags_destroy(struct frags *frags)
{
	free(frags);
}

/* --- places ----------------------------------------------------------------------------- */

/* Takes a place out of its bucket and of the order of age. */
static void
unlink_place(struct frags *frags, uint16_t index)
{
	struct place *place = &frags->places[index];
	uint16_t *at = &frags->buckets[place->bucket];

	while (*at != index)
		at = &frags->places[*at].next;
	*at = place->next;
	*(place->older == NONE ? &frags->oldest : &frags->places[place->older].newer) = place->newer;
	*(place->newer == NONE ? &frags->newest : &frags->places[place->newer].older) = place->older;
	frags->sources[place->source]--;
	frags->count--;
}

static void
give_up_oldest(struct frags *frags, uint32_t *given_up)
{
	uint16_t index = frags->oldest;

	unlink_place(frags, index);
	frags->places[index].next = frags->free;
	frags->free = index;
	++*given_up;
}

static uint16_t
find(const struct frags *frags, uint16_t bucket, const struct key *key)
{
	uint16_t index = frags->buckets[bucket];

	while (index != NONE && memcmp(&frags->places[index].key, key, sizeof *key) != 0)
		index = frags->places[index].next;
	return index;
}

/* A fresh place; NONE: its source has too many, or all are whole and wait for their release. */
static uint16_t
take_place(struct frags *frags, uint64_t now_ns, const struct key *key, uint16_t bucket, uint32_t *given_up)
{
	uint16_t source = digest_siphash13(frags->secret, key->source, sizeof key->source) & (SOURCES - 1), index;
	struct place *place;

	if (frags->sources[source] == FRAGS_SOURCE_MAX)
		return NONE;
	if (frags->free == NONE && frags->oldest != NONE)
		give_up_oldest(frags, given_up);
	index = frags->free;
	if (index == NONE)
		return NONE;
	place = &frags->places[index];
	frags->free = place->next;
	*place = (struct place){ .key = *key, .since_ns = now_ns, .next = frags->buckets[bucket], .older = frags->newest,
		.newer = NONE, .bucket = bucket, .source = source, .end = UNKNOWN };
	frags->buckets[bucket] = index;
	*(frags->newest == NONE ? &frags->oldest : &frags->places[frags->newest].newer) = index;
	frags->newest = index;
	frags->sources[source]++;
	frags->count++;
	return index;
}

/* --- pieces ----------------------------------------------------------------------------- */

enum fit { FIT_NEW, FIT_KNOWN, FIT_OVERLAPS };

/* How a fragment fits what is there. One that says the same again is no harm: networks duplicate. */
static enum fit
fit(const struct place *place, const uint8_t *bytes, const struct frag *frag)
{
	uint32_t start = frag->offset, end = start + frag->bytes.len;

	for (uint8_t i = 0; i < place->piece_count; i++) {
		uint32_t other = place->pieces[i].offset, other_end = other + place->pieces[i].len;

		if (start == other && end == other_end && memcmp(bytes + start, frag->bytes.data, frag->bytes.len) == 0)
			return FIT_KNOWN;
		if (start < other_end && other < end)
			return FIT_OVERLAPS;
	}
	return FIT_NEW;
}

/* Whether the fragments agree about where the datagram ends. */
static bool
end_agrees(const struct place *place, const struct frag *frag)
{
	uint32_t end = frag->offset + frag->bytes.len;

	if (frag->more)
		return place->end == UNKNOWN || end < place->end;
	if (place->end != UNKNOWN)
		return place->end == end;
	for (uint8_t i = 0; i < place->piece_count; i++)
		if ((uint32_t)place->pieces[i].offset + place->pieces[i].len > end)
			return false;
	return true;
}

/* RFC 5722 3: all of the datagram is dropped, what is still to come too. */
static enum drop
condemn(struct place *place, enum drop why)
{
	place->condemned = true;
	return why;
}

static enum drop
add(struct place *place, uint8_t *bytes, const struct frag *frag)
{
	enum fit how = fit(place, bytes, frag);

	if (how == FIT_OVERLAPS || !end_agrees(place, frag))
		return condemn(place, DROP_FRAGMENT_OVERLAP);
	if (how == FIT_KNOWN)
		return DROP_NONE;
	if (place->piece_count == FRAGS_PIECES)
		return condemn(place, DROP_FRAGMENT_LIMIT);
	memcpy(bytes + frag->offset, frag->bytes.data, frag->bytes.len);
	place->pieces[place->piece_count].offset = frag->offset;
	place->pieces[place->piece_count++].len = (uint16_t)frag->bytes.len;
	place->got += (uint16_t)frag->bytes.len;
	if (!frag->more)
		place->end = (uint16_t)(frag->offset + frag->bytes.len);
	return DROP_NONE;
}

/* RFC 791, RFC 8200 4.5: a fragment that is not the last has a multiple of 8 bytes. */
static enum drop
judge(const struct frag *frag)
{
	if (frag->bytes.len == 0 || (frag->more && frag->bytes.len % 8 != 0))
		return DROP_FRAGMENT;
	return frag->offset + frag->bytes.len > FRAGS_LEN_MAX ? DROP_FRAGMENT_LIMIT : DROP_NONE;
}

enum drop
frags_take(struct frags *frags, uint64_t now_ns, const struct frag *frag, struct view *whole, uint32_t *given_up)
{
	struct key key = { .id = frag->id, .protocol = frag->protocol };
	struct place *place;
	uint16_t bucket, index;
	enum drop why = judge(frag);

	*whole = (struct view){ 0 };
	*given_up = 0;
	while (frags->oldest != NONE && now_ns >= frags->places[frags->oldest].since_ns + FRAGS_TIMEOUT_NS)
		give_up_oldest(frags, given_up);
	memcpy(key.source, frag->source, sizeof key.source);
	memcpy(key.destination, frag->destination, sizeof key.destination);
	bucket = digest_siphash13(frags->secret, &key, sizeof key) & (BUCKETS - 1);
	index = find(frags, bucket, &key);
	if (index == NONE && why == DROP_NONE)
		index = take_place(frags, now_ns, &key, bucket, given_up);
	if (index == NONE)
		return why != DROP_NONE ? why : DROP_FRAGMENT_LIMIT;
	place = &frags->places[index];
	if (place->condemned)
		return DROP_FRAGMENT_OVERLAP;
	if (why != DROP_NONE)
		return condemn(place, why);
	why = add(place, frags->bytes[index], frag);
	if (why != DROP_NONE || place->got != place->end)
		return why;
	unlink_place(frags, index);
	place->next = frags->whole;
	frags->whole = index;
	*whole = view_of(frags->bytes[index], place->end);
	return DROP_NONE;
}

void
frags_release(struct frags *frags)
{
	while (frags->whole != NONE) {
		uint16_t index = frags->whole;

		frags->whole = frags->places[index].next;
		frags->places[index].next = frags->free;
		frags->free = index;
	}
}

uint32_t
frags_count(const struct frags *frags)
{
	return frags->count;
}

static uint32_t
list_len(const struct frags *frags, uint16_t index)
{
	uint32_t len = 0;

	for (; index != NONE; index = frags->places[index].next)
		CHECK(++len <= FRAGS_MAX);
	return len;
}

void
frags_check(const struct frags *frags)
{
	uint32_t filling = 0, by_age = 0, by_source = 0;

	for (uint32_t i = 0; i < BUCKETS; i++)
		filling += list_len(frags, frags->buckets[i]);
	for (uint16_t i = frags->oldest, older = NONE; i != NONE; older = i, i = frags->places[i].newer, by_age++) {
		const struct place *place = &frags->places[i];

		CHECK(place->older == older && place->got <= FRAGS_LEN_MAX && place->piece_count <= FRAGS_PIECES);
		for (uint8_t a = 0; a < place->piece_count; a++)
			for (uint8_t b = 0; b < a; b++)
				CHECK(place->pieces[a].offset + place->pieces[a].len <= place->pieces[b].offset ||
				    place->pieces[b].offset + place->pieces[b].len <= place->pieces[a].offset);
	}
	for (uint32_t i = 0; i < SOURCES; i++)
		by_source += frags->sources[i];
	CHECK(filling == frags->count && by_age == filling && by_source == filling);
	CHECK(filling + list_len(frags, frags->free) + list_len(frags, frags->whole) == FRAGS_MAX);
}
