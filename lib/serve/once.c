#include "serve/once.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct client {
	uint64_t id;
	uint64_t floor;
	uint64_t seen_ms;    /* monotonic, plus 1; 0: never used */
	uint16_t generation; /* counts the clients this entry has held; 0 only when never used */
	uint8_t pad[6];
};

/* What tells results apart, eight to a cache line: most writes touch no more than this. */
struct tag {
	uint32_t sequence; /* its low half */
	uint16_t client;   /* index */
	uint16_t generation; /* of the client's entry; 0: never used */
};

struct result {
	uint64_t sequence;
	uint64_t version, number;
	uint32_t stamp; /* order of remembering, wraps */
	uint8_t status;
	uint8_t pad[3];
};

_Static_assert(sizeof(struct client) == 32 && sizeof(struct result) == 32, "the header's figures");
_Static_assert(ONCE_WAYS * sizeof(struct tag) == 64, "a set's tags are a cache line");

struct once {
	uint64_t seed;
	uint32_t stamp;
	uint32_t asked; /* client's index of the last once_ask */
	struct client clients[ONCE_CLIENTS];
	_Alignas(64) struct tag tags[ONCE_RESULTS];
	struct result results[ONCE_RESULTS];
};

struct once *
once_create(uint64_t seed)
{
	struct once *once = aligned_alloc(64, (sizeof *once + 63) / 64 * 64);

	if (once) {
		memset(once, 0, sizeof *once);
		once->seed = seed;
	}
	return once;
}

void
once_destroy(struct once *once)
{
	free(once);
}

static uint64_t
mix(uint64_t v)
{
	v = (v ^ (v >> 33)) * 0xff51afd7ed558ccdull;
	v = (v ^ (v >> 33)) * 0xc4ceb9fe1a85ec53ull;
	return v ^ (v >> 33);
}

/* Where the eight ways of a write's set begin, in tags and in results. */
static uint32_t
set_of(const struct once *once, uint64_t client, uint64_t sequence)
{
	uint64_t hash = mix(mix(client ^ once->seed) + sequence);

	return (uint32_t)(hash % (ONCE_RESULTS / ONCE_WAYS) * ONCE_WAYS);
}

void
once_prefetch(const struct once *once, uint64_t client, uint64_t sequence)
{
	__builtin_prefetch(&once->clients[mix(client ^ once->seed) & (ONCE_CLIENTS - 1)], 1);
	__builtin_prefetch(&once->tags[set_of(once, client, sequence)], 1);
}

/* Gives an entry to a client that has none. */
static void
settle_in(struct client *entry, uint64_t id, uint64_t now_ms)
{
	uint16_t generation = (uint16_t)(entry->generation + 1);

	*entry = (struct client){ .id = id, .seen_ms = now_ms, .generation = generation ? generation : 1 };
}

/* The client's entry, made when it has none; NULL when all neighbours are in use. */
static struct client *
client_of(struct once *once, uint64_t id, uint64_t now_ms)
{
	uint64_t first = mix(id ^ once->seed);
	struct client *idle = NULL;

	for (uint32_t i = 0; i < ONCE_PROBES; i++) {
		struct client *entry = &once->clients[(first + i) & (ONCE_CLIENTS - 1)];

		if (entry->seen_ms != 0 && entry->id == id) {
			entry->seen_ms = now_ms;
			return entry;
		}
		if (!idle && (entry->seen_ms == 0 || entry->seen_ms + ONCE_IDLE_MS < now_ms))
			idle = entry;
		if (entry->seen_ms == 0)
			break;
	}
	if (idle)
		settle_in(idle, id, now_ms);
	return idle;
}

/* The floor rises; it stays within ONCE_WINDOW_MAX of the newest, so that half a number orders. */
static void
raise_floor(struct client *entry, uint64_t sequence, uint64_t floor)
{
	if (floor > sequence)
		floor = sequence;
	if (sequence - floor > ONCE_WINDOW_MAX)
		floor = sequence - ONCE_WINDOW_MAX;
	if (floor > entry->floor)
		entry->floor = floor;
}

enum once_verdict
once_ask(struct once *once, const struct now *now, uint64_t client, uint64_t sequence, uint64_t floor,
    struct once_result *result)
{
	struct client *entry = client_of(once, client, now->mono_ns / NS_PER_MS + 1);
	uint32_t set = set_of(once, client, sequence);
	struct tag wanted;

	if (!entry)
		return ONCE_FULL;
	once->asked = (uint32_t)(entry - once->clients);
	raise_floor(entry, sequence, floor);
	if (sequence < entry->floor)
		return ONCE_UNKNOWN;
	wanted = (struct tag){ (uint32_t)sequence, (uint16_t)once->asked, entry->generation };
	for (uint32_t i = set; i < set + ONCE_WAYS; i++) {
		const struct result *known = &once->results[i];

		if (memcmp(&once->tags[i], &wanted, sizeof wanted) != 0 || known->sequence != sequence)
			continue;
		*result = (struct once_result){ known->version, known->number, known->status };
		return ONCE_REPLAY;
	}
	return ONCE_RUN;
}

/* Whether nobody will ask for a result: never used, its client forgotten, or below the floor. */
static bool
is_settled(const struct once *once, const struct tag *tag)
{
	const struct client *entry = &once->clients[tag->client];

	return tag->generation == 0 || tag->generation != entry->generation ||
	    (int32_t)(tag->sequence - (uint32_t)entry->floor) < 0;
}

/* Room for a result: a settled one's, else the oldest's, whose client's floor rises above it. */
static uint32_t
make_room(struct once *once, uint32_t set)
{
	uint32_t oldest = set;
	struct client *entry;

	for (uint32_t i = set; i < set + ONCE_WAYS; i++)
		if (is_settled(once, &once->tags[i]))
			return i;
	for (uint32_t i = set + 1; i < set + ONCE_WAYS; i++)
		if (once->stamp - once->results[i].stamp > once->stamp - once->results[oldest].stamp)
			oldest = i;
	entry = &once->clients[once->tags[oldest].client];
	if (once->results[oldest].sequence >= entry->floor)
		entry->floor = once->results[oldest].sequence + 1;
	return oldest;
}

void
once_tell(struct once *once, uint64_t client, uint64_t sequence, const struct once_result *result)
{
	struct client *entry = &once->clients[once->asked];
	uint32_t room = make_room(once, set_of(once, client, sequence));

	CHECK(entry->id == client);
	once->tags[room] = (struct tag){ (uint32_t)sequence, (uint16_t)once->asked, entry->generation };
	once->results[room] = (struct result){ .sequence = sequence, .version = result->version,
		.number = result->number, .stamp = ++once->stamp, .status = result->status };
}
