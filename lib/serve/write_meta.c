#include "serve/write_meta.h"

#include "serve/read.h"

static uint8_t *
value_room(struct item *item)
{
	return item->bytes + item->key_len;
}

/* An empty item that its reader is to fill. */
static ON_WORKER void
vivify(struct serve *serve, const struct now *now, const struct request *request, struct response *response)
{
	struct item *item = write_take(serve, now, request->key, 0, response);

	if (!item)
		return;
	item_set_expiry_ms(item, request->initial);
	item_set_state(item, ITEM_TOKEN_SENT);
	write_publish(serve, now, item, request->digest, response);
	if (response->status != OP_STATUS_OK)
		return;
	response->state = RESPONSE_WON;
	if (!(request->flags & REQUEST_NO_BUMP))
		item_read(item);
	serve_count(serve, COUNTER_CMD_GET);
	serve_count(serve, COUNTER_GET_HITS);
}

/* The item with another expiry. NULL: no room, and the response says so. */
static ON_WORKER const struct item *
renew(struct serve *serve, const struct now *now, const struct request *request, const struct item *old,
    struct response *response)
{
	struct item *item;

	serve_count(serve, COUNTER_CMD_TOUCH);
	serve_count(serve, COUNTER_TOUCH_HITS);
	if (item_expiry_ms(old) == request->expiry_ms) {
		respond_item(response, old);
		return old;
	}
	item = write_take_like(serve, now, old, old->value_len, response);
	if (!item)
		return NULL;
	item_set_expiry_ms(item, request->expiry_ms);
	item_set_state(item, item_state(old));
	memcpy(value_room(item), item_value(old).data, old->value_len);
	write_publish(serve, now, item, request->digest, response);
	return response->status == OP_STATUS_OK ? item : NULL;
}

static ON_WORKER void
miss(struct serve *serve, const struct request *request, struct response *response)
{
	bool touch = !(request->options & REQUEST_KEEP_TTL);

	serve_count(serve, touch ? COUNTER_CMD_TOUCH : COUNTER_CMD_GET);
	serve_count(serve, touch ? COUNTER_TOUCH_MISSES : COUNTER_GET_MISSES);
	respond(response, OP_STATUS_NOT_FOUND);
}

void
write_meta_get(struct serve *serve, const struct now *now, const struct request *request, struct response *response)
{
	const struct item *item = shard_find(serve->shard, now, request->key, request->digest);

	if (!item && (request->options & REQUEST_VIVIFY)) {
		vivify(serve, now, request, response);
		return;
	}
	if (!item) {
		miss(serve, request, response);
		return;
	}
	if (request->options & REQUEST_KEEP_TTL) {
		serve_count(serve, COUNTER_CMD_GET);
		serve_count(serve, COUNTER_GET_HITS);
		respond_item(response, item);
	} else {
		item = renew(serve, now, request, item, response);
		if (!item)
			return;
	}
	response->number = 0;
	read_state(request, item, response);
	if (!(request->flags & REQUEST_NO_BUMP))
		item_read(item);
	if (!(request->flags & REQUEST_NO_VALUE))
		response->value = item_value(item);
}

/* A copy of an item's value and flags that is published as stale. */
void
write_meta_mark_stale(struct serve *serve, const struct now *now, const struct request *request,
    const struct item *old, struct response *response)
{
	struct item *item = write_take_like(serve, now, old, old->value_len, response);

	if (!item)
		return;
	if (!(request->options & REQUEST_KEEP_TTL))
		item_set_expiry_ms(item, request->expiry_ms);
	/* The next reader can win the token again. */
	item_set_state(item, (item_state(old) & ITEM_FETCHED) | ITEM_STALE);
	memcpy(value_room(item), item_value(old).data, old->value_len);
	write_publish(serve, now, item, request->digest, response);
}

bool
write_meta_set_stale(struct serve *serve, const struct now *now, const struct request *request,
    struct response *response)
{
	const struct item *old = shard_find(serve->shard, now, request->key, request->digest);
	struct item *item;

	if (!old || !(request->flags & REQUEST_CAS) || request->version == 0 || request->version >= old->version)
		return false;
	serve_count(serve, COUNTER_CMD_SET);
	serve_count(serve, COUNTER_CAS_HITS);
	item = write_take(serve, now, request->key, request->value.len, response);
	if (!item)
		return true;
	item->client_flags = request->client_flags;
	item_set_expiry_ms(item, item_expiry_ms(old));
	item_set_state(item, (item_state(old) & ITEM_TOKEN_SENT) | ITEM_STALE);
	if (request->value.len > 0)
		memcpy(value_room(item), request->value.data, request->value.len);
	write_publish(serve, now, item, request->digest, response);
	return true;
}
