#include "serve/once.h"

#include <stdlib.h>

#include "base/check.h"

struct client {
	uint64_t id;
	uint64_t floor;
	uint64_t seen_ms;    /* monotonic, plus 1; 0: never used */
	uint32_t generation; /* counts the clients this entry has held */
	uint32_t pad;
};

struct result {
	uint64_t sequence;
	uint64_t version, number;
	uint32_t client;     /* index */
	uint32_t generation; /* of the client's entry; 0: never used */
	uint32_t stamp;      /* order of remembering, wraps */
	uint8_t status;
	uint8_t pad[3];
};

_Static_assert(sizeof(struct client) == 32 && sizeof(struct result) == 40, "the header's figures");
_Static_assert((ONCE_CLIENTS & (ONCE_CLIENTS - 1)) == 0 && ONCE_RESULTS % ONCE_WAYS == 0, "masks");

struct once {
	uint64_t seed;
	uint32_t stamp;
	uint32_t asked; /* client's index of the last once_ask */
	struct client clients[ONCE_CLIENTS];
	struct result results[ONCE_RESULTS];
};

struct once *
once_create(uint64_t seed)
{
	struct once *once = calloc(1, sizeof *once);

	if (once)
		once->seed = seed;
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

static struct result *
set_of(struct once *once, uint64_t client, uint64_t sequence)
{
	uint64_t hash = mix(mix(client ^ once->seed) + sequence);

	return &once->results[hash % (ONCE_RESULTS / ONCE_WAYS) * ONCE_WAYS];
}

/* Gives an entry to a client that has none. */
static void
settle_in(struct client *entry, uint64_t id, uint64_t now_ms)
{
	uint32_t generation = entry->generation + 1;

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

static bool
is_of(const struct result *result, const struct client *entry, uint32_t index, uint64_t sequence)
{
	return result->generation == entry->generation && result->client == index && result->sequence == sequence;
}

enum once_verdict
once_ask(struct once *once, const struct now *now, uint64_t client, uint64_t sequence, uint64_t floor,
    struct once_result *result)
{
	struct client *entry = client_of(once, client, now->mono_ns / NS_PER_MS + 1);
	struct result *set = set_of(once, client, sequence);

	if (!entry)
		return ONCE_FULL;
	once->asked = (uint32_t)(entry - once->clients);
	if (floor > sequence)
		floor = sequence;
	if (floor > entry->floor)
		entry->floor = floor;
	if (sequence < entry->floor)
		return ONCE_UNKNOWN;
	for (uint32_t i = 0; i < ONCE_WAYS; i++) {
		if (!is_of(&set[i], entry, once->asked, sequence))
			continue;
		*result = (struct once_result){ set[i].version, set[i].number, set[i].status };
		return ONCE_REPLAY;
	}
	return ONCE_RUN;
}

/* Whether nobody will ask for a result: never used, its client forgotten, or below the floor. */
static bool
is_settled(const struct once *once, const struct result *result)
{
	const struct client *entry = &once->clients[result->client];

	return result->generation == 0 || result->generation != entry->generation ||
	    result->sequence < entry->floor;
}

/* Room for a result: a settled one's, else the oldest's, whose client's floor rises above it. */
static struct result *
make_room(struct once *once, struct result *set)
{
	struct result *oldest = set;

	for (uint32_t i = 0; i < ONCE_WAYS; i++) {
		if (is_settled(once, &set[i]))
			return &set[i];
		if (once->stamp - set[i].stamp > once->stamp - oldest->stamp)
			oldest = &set[i];
	}
	once->clients[oldest->client].floor = oldest->sequence + 1;
	return oldest;
}

void
once_tell(struct once *once, uint64_t client, uint64_t sequence, const struct once_result *result)
{
	struct client *entry = &once->clients[once->asked];
	struct result *room = make_room(once, set_of(once, client, sequence));

	CHECK(entry->id == client);
	*room = (struct result){ .sequence = sequence, .version = result->version, .number = result->number,
		.client = once->asked, .generation = entry->generation, .stamp = ++once->stamp,
		.status = result->status };
}
