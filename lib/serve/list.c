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
	return key.len >= prefix.len && memcmp(key.data, prefix.data, prefix.len) == 0;
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
	struct request random;

	if (request->op == OP_KEYS && (request->options & REQUEST_RANDOM)) {
		random = *request;
		random.handle %= shard_positions(serve->shard);
		request = &random;
	}
	if (request->op == OP_KEYS && request->length == 0)
		respond(response, OP_STATUS_BAD_REQUEST); /* it would not get anywhere */
	else if (request->op != OP_EVICT && request->handle >= shard_positions(serve->shard))
		respond(response, OP_STATUS_BAD_RANGE);
	else if (request->op == OP_KEYS && (request->options & REQUEST_TALLY))
		answer(serve, response, 0, shard_live(serve->shard, now));
	else if (serve->list_left < LIST_POSITIONS || SCRATCH_SIZE - serve->scratch_used < page_size(request))
		respond(response, OP_STATUS_BUSY);
	else {
		serve->list_left -= LIST_POSITIONS;
		if (request->op == OP_KEYS)
			keys(serve, now, request, LIST_POSITIONS, response);
		else if (request->op == OP_EXPIRE)
			expire(serve, now, request, LIST_POSITIONS, response);
		else
			evict(serve, now, request, response);
	}
}
