#include "serve/list.h"

#include "base/bytes.h"
#include "proto/native.h"
#include "ring/slot.h"

/* An answer that says where to go on: position 0 is where one begins, and so the end. */
static void
answer(struct serve *serve, struct response *response, uint32_t position, uint32_t items)
{
	bool end = position == shard_positions(serve->shard);

	respond(response, OP_STATUS_OK);
	response->number = end ? 0 : position;
	response->total_len = items;
	response->client_flags = serve->config.worker_count;
}

static bool
begins_with(struct view key, struct view prefix)
{
	return prefix.len == 0 || (key.len >= prefix.len && memcmp(key.data, prefix.data, prefix.len) == 0);
}

/* Keys that are too long for a protocol's pages are left out of them. */
static bool
is_wanted(const struct request *request, struct view key)
{
	if (!(request->options & REQUEST_WIDE) && key.len > KEY_LEN_MAX)
		return false;
	if ((request->options & REQUEST_IN_SLOT) && slot_of_key(key) != request->slot)
		return false;
	return begins_with(key, request->key);
}

static uint32_t
page_size(const struct request *request)
{
	return request->options & REQUEST_WIDE ? (uint32_t)KEYS_WIDE_MAX : (uint32_t)NATIVE_KEYS_MAX;
}

static ON_WORKER void
keys(struct serve *serve, const struct now *now, const struct request *request, uint32_t steps,
    struct response *response)
{
	bool wide = request->options & REQUEST_WIDE;
	struct writer out = writer_of(serve->scratch + serve->scratch_used, page_size(request));
	uint32_t position = (uint32_t)request->handle, count = 0;
	const struct item *item;

	while (count < request->length && (item = shard_walk(serve->shard, now, &position, &steps))) {
		struct view key = item_key(item);

		if (!is_wanted(request, key))
			continue;
		if (writer_left(&out) < 2u + key.len) {
			position--; /* this one begins the next page */
			break;
		}
		if (wide)
			writer_le16(&out, (uint16_t)key.len);
		else
			writer_u8(&out, (uint8_t)key.len);
		writer_bytes(&out, key.data, key.len);
		count++;
	}
	answer(serve, response, position, count);
	response->value = view_of(serve->scratch + serve->scratch_used,
	    (uint32_t)(out.at - (serve->scratch + serve->scratch_used)));
	serve->scratch_used += response->value.len;
}

enum { RANDOM_PROBES = 64 };

/* splitmix64. */
static uint64_t
spread(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* Live items of LIST_POSITIONS positions from `from` on; *position is that of number `nth`, if there are so many. */
static ON_WORKER uint32_t
count_from(struct serve *serve, const struct now *now, uint32_t from, uint32_t nth, uint32_t *position)
{
	uint32_t steps = LIST_POSITIONS, count = 0;

	while (shard_walk(serve->shard, now, &from, &steps))
		if (count++ == nth)
			*position = from - 1;
	return count;
}

static ON_WORKER bool
probe(struct serve *serve, const struct now *now, uint64_t x, uint32_t *found)
{
	for (uint32_t i = 0; i < RANDOM_PROBES; i++) {
		uint32_t position, steps = 1;

		x = spread(x);
		*found = position = (uint32_t)(x % shard_positions(serve->shard));
		if (shard_walk(serve->shard, now, &position, &steps))
			return true;
	}
	return false;
}

/*
 * Some key: what stands at the first of several random positions where something does. In a table that is nearly empty
 * keys may stand together: any of those that follow the position asked for closely.
 */
static ON_WORKER void
random_key(struct serve *serve, const struct now *now, const struct request *request, struct response *response)
{
	struct request found = *request;
	uint32_t from = (uint32_t)(request->handle % shard_positions(serve->shard)), position = from, count;

	found.length = 1;
	if (request->offset != 0 || !probe(serve, now, request->version, &position)) {
		count = count_from(serve, now, from, 0, &position);
		if (count > 0) {
			count = count_from(serve, now, position, 0, &from);
			count_from(serve, now, position, (uint32_t)(request->version % count), &from);
			position = from;
		}
	}
	found.handle = position;
	keys(serve, now, &found, LIST_POSITIONS, response);
}

static ON_WORKER void
expire(struct serve *serve, const struct now *now, const struct request *request, uint32_t steps,
    struct response *response)
{
	uint32_t position = (uint32_t)request->handle;
	uint32_t taken = shard_expire(serve->shard, now, &position, &steps);

	answer(serve, response, position, taken);
}

static ON_WORKER void
evict(struct serve *serve, const struct now *now, const struct request *request, struct response *response)
{
	uint32_t count = request->length < SHARD_EVICT_MAX ? request->length : SHARD_EVICT_MAX;

	answer(serve, response, shard_positions(serve->shard), shard_evict(serve->shard, now, count));
}

void
list_execute(struct serve *serve, const struct now *now, const struct request *request, struct response *response)
{
	if (request->op == OP_KEYS && request->length == 0)
		respond(response, OP_STATUS_BAD_REQUEST); /* it would not get anywhere */
	else if (request->op != OP_EVICT && !(request->options & REQUEST_RANDOM) &&
	    request->handle >= shard_positions(serve->shard))
		respond(response, OP_STATUS_BAD_RANGE);
	else if (request->op == OP_KEYS && (request->options & REQUEST_TALLY))
		answer(serve, response, 0, shard_live(serve->shard, now));
	else if (serve->list_left < LIST_POSITIONS || SCRATCH_SIZE - serve->scratch_used < page_size(request))
		respond(response, OP_STATUS_BUSY);
	else {
		serve->list_left -= LIST_POSITIONS;
		if (request->op == OP_KEYS && (request->options & REQUEST_RANDOM))
			random_key(serve, now, request, response);
		else if (request->op == OP_KEYS)
			keys(serve, now, request, LIST_POSITIONS, response);
		else if (request->op == OP_EXPIRE)
			expire(serve, now, request, LIST_POSITIONS, response);
		else
			evict(serve, now, request, response);
	}
}
