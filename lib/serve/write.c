#include "serve/write.h"

#include <string.h>

#include "serve/decimal.h"
#include "serve/write_text.h"
#include "serve/write_meta.h"

enum op_status
write_allowed(struct serve *serve, const struct request *request, const struct item *present)
{
	if (request->flags & REQUEST_CAS) {
		if (!present) {
			serve_count(serve, COUNTER_CAS_MISSES);
			return OP_STATUS_NOT_FOUND;
		}
		if (present->version != request->version) {
			serve_count(serve, COUNTER_CAS_BADVAL);
			return OP_STATUS_EXISTS;
		}
		serve_count(serve, COUNTER_CAS_HITS);
	}
	if ((request->flags & REQUEST_ADD) && present)
		return OP_STATUS_NOT_STORED;
	if ((request->flags & REQUEST_REPLACE) && !present)
		return OP_STATUS_NOT_STORED;
	return OP_STATUS_OK;
}

struct item *
write_take(struct serve *serve, const struct now *now, struct view key, uint32_t value_len,
    struct response *response)
{
	struct item *item;

	switch (shard_take(serve->shard, now, key, value_len, &item)) {
	case STORE_OK:
		return item;
	case STORE_TOO_LARGE:
		serve_count(serve, COUNTER_TOO_LARGE);
		respond(response, OP_STATUS_TOO_LARGE);
		return NULL;
	default:
		serve_count(serve, COUNTER_NO_MEMORY);
		respond(response, OP_STATUS_OUT_OF_MEMORY);
		return NULL;
	}
}

void
write_publish(struct serve *serve, const struct now *now, struct item *item, uint64_t digest,
    struct response *response)
{
	if (shard_publish(serve->shard, now, item, digest) == STORE_OK) {
		respond_item(response, item);
		response->number = 0;
	} else {
		serve_count(serve, COUNTER_NO_MEMORY);
		respond(response, OP_STATUS_OUT_OF_MEMORY);
	}
}

static uint8_t *
value_room(struct item *item)
{
	return item->bytes + item->key_len;
}

static ON_WORKER struct item *
find(struct serve *serve, const struct now *now, const struct request *request)
{
	return shard_find(serve->shard, now, request->key, request->digest);
}

/* The value came straight into its item. */
static ON_WORKER void
publish_given(struct serve *serve, const struct now *now, const struct request *request, struct response *response)
{
	request->item->client_flags = request->client_flags;
	item_set_expiry_ms(request->item, request->expiry_ms);
	write_publish(serve, now, request->item, request->digest, response);
}

/* The rest of its command is run if the key is as it was when somebody looked. */
static ON_WORKER void
guard(struct serve *serve, const struct now *now, const struct request *request, struct response *response)
{
	const struct item *item = find(serve, now, request);
	bool same = request->options & REQUEST_COMPARE ? item && view_equal(item_value(item), request->value) :
	    request->version == (item ? item->version : 0);

	respond(response, same ? OP_STATUS_OK : OP_STATUS_CHANGED);
}

static ON_WORKER void
set(struct serve *serve, const struct now *now, const struct request *request, struct response *response)
{
	struct item *item;

	if ((request->options & REQUEST_STALE) && write_meta_set_stale(serve, now, request, response))
		return;
	serve_count(serve, COUNTER_CMD_SET);
	if (request->flags & (REQUEST_ADD | REQUEST_REPLACE | REQUEST_CAS)) {
		enum op_status status = write_allowed(serve, request, find(serve, now, request));

		if (status != OP_STATUS_OK) {
			if (request->options & REQUEST_ITEM)
				shard_give(serve->shard, request->item);
			respond(response, status);
			return;
		}
	}
	if (request->options & REQUEST_ITEM) {
		publish_given(serve, now, request, response);
		return;
	}
	item = write_take(serve, now, request->key, request->value.len, response);
	if (!item)
		return;
	item->client_flags = request->client_flags;
	item_set_expiry_ms(item, request->expiry_ms);
	if (request->value.len > 0)
		memcpy(value_room(item), request->value.data, request->value.len);
	write_publish(serve, now, item, request->digest, response);
}

static ON_WORKER void
delete(struct serve *serve, const struct now *now, const struct request *request, struct response *response)
{
	struct item *item = find(serve, now, request);

	serve_count(serve, COUNTER_CMD_DELETE);
	if (!item) {
		serve_count(serve, COUNTER_DELETE_MISSES);
		respond(response, OP_STATUS_NOT_FOUND);
	} else if ((request->flags & REQUEST_CAS) && request->version != item->version) {
		respond(response, OP_STATUS_EXISTS);
	} else if (request->options & REQUEST_STALE) {
		write_meta_mark_stale(serve, now, request, item, response);
	} else {
		serve_count(serve, COUNTER_DELETE_HITS);
		shard_remove(serve->shard, item, request->digest);
		respond(response, OP_STATUS_OK);
	}
}

struct item *
write_take_like(struct serve *serve, const struct now *now, const struct item *old, uint32_t value_len,
    struct response *response)
{
	struct item *item = write_take(serve, now, item_key(old), value_len, response);

	if (item) {
		item->client_flags = old->client_flags;
		item_set_expiry_ms(item, item_expiry_ms(old));
	}
	return item;
}

void
write_touch(struct serve *serve, const struct now *now, const struct request *request, struct item *old,
    uint64_t expiry_ms, struct response *response)
{
	struct item *item;

	if (item_expiry_ms(old) == expiry_ms) {
		item_read(old);
		respond_item(response, old);
		response->number = 0;
		item = old;
	} else {
		item = write_take_like(serve, now, old, old->value_len, response);
		if (!item)
			return;
		item_set_expiry_ms(item, expiry_ms);
		item_set_state(item, item_state(old) | ITEM_FETCHED); /* a touch is a read, says memcached */
		memcpy(value_room(item), item_value(old).data, old->value_len);
		write_publish(serve, now, item, request->digest, response);
	}
	if (response->status != OP_STATUS_OK)
		return;
	serve_count(serve, COUNTER_TOUCH_HITS);
	if (request->op == OP_GAT) {
		item_read(item);
		response->value = item_value(item);
	}
}

static ON_WORKER void
touch(struct serve *serve, const struct now *now, const struct request *request, struct response *response)
{
	struct item *old = find(serve, now, request);

	serve_count(serve, COUNTER_CMD_TOUCH);
	if (!old) {
		serve_count(serve, COUNTER_TOUCH_MISSES);
		respond(response, OP_STATUS_NOT_FOUND);
		return;
	}
	write_touch(serve, now, request, old, request->expiry_ms, response);
}

/* INCR or DECR of a missing key that is to be created. */
static ON_WORKER void
create_number(struct serve *serve, const struct now *now, const struct request *request,
    struct response *response)
{
	char text[DECIMAL_LEN_MAX];
	uint32_t len = decimal_compose(request->initial, text);
	struct item *item = write_take(serve, now, request->key, len, response);

	if (!item)
		return;
	item->client_flags = 0;
	item_set_expiry_ms(item, request->expiry_ms);
	memcpy(value_room(item), text, len);
	write_publish(serve, now, item, request->digest, response);
	response->number = request->initial;
	response->state = RESPONSE_MADE;
}

/* memcached's arithmetic: INCR wraps at 2^64, DECR stops at 0. */
static uint64_t
counted(const struct request *request, uint64_t number)
{
	if (request->op == OP_INCR)
		return number + request->delta;
	return number > request->delta ? number - request->delta : 0;
}

static ON_WORKER void
put_number(struct serve *serve, const struct now *now, const struct request *request,
    const struct item *old, uint64_t number, struct response *response)
{
	char text[DECIMAL_LEN_MAX];
	uint32_t len = decimal_compose(number, text), room = len;
	struct item *item;

	if ((request->flags & REQUEST_KEEP_WIDTH) && room < old->value_len)
		room = old->value_len;
	item = write_take_like(serve, now, old, room, response);
	if (!item)
		return;
	if (room == old->value_len) /* memcached writes over the old number then */
		item_set_state(item, item_state(old));
	if (request->options & REQUEST_RENEW)
		item_set_expiry_ms(item, request->handle);
	memcpy(value_room(item), text, len);
	memset(value_room(item) + len, ' ', room - len);
	write_publish(serve, now, item, request->digest, response);
	response->number = number;
	response->state = 0;
}

static ON_WORKER void
count(struct serve *serve, const struct now *now, const struct request *request, struct response *response)
{
	struct item *old = find(serve, now, request);
	bool up = request->op == OP_INCR;
	uint64_t number;

	if (!old) {
		serve_count(serve, up ? COUNTER_INCR_MISSES : COUNTER_DECR_MISSES);
		if (request->flags & REQUEST_CREATE)
			create_number(serve, now, request, response);
		else
			respond(response, OP_STATUS_NOT_FOUND);
	} else if ((request->flags & REQUEST_CAS) && request->version != old->version && old->value_len > 0) {
		respond(response, OP_STATUS_EXISTS);
	} else if (!decimal_parse(item_value(old), &number)) {
		respond(response, OP_STATUS_NOT_A_NUMBER);
	} else {
		serve_count(serve, up ? COUNTER_INCR_HITS : COUNTER_DECR_HITS);
		put_number(serve, now, request, old, counted(request, number), response);
	}
}

static ON_WORKER void
join(struct serve *serve, const struct now *now, const struct request *request, struct response *response)
{
	struct item *old = find(serve, now, request), *item;
	struct view added = request->value;
	bool append = request->op == OP_APPEND;

	if (!old && (request->options & REQUEST_CREATE_EMPTY)) {
		set(serve, now, request, response);
		return;
	}
	serve_count(serve, COUNTER_CMD_SET);
	if (!old) {
		respond(response, OP_STATUS_NOT_STORED);
		return;
	}
	if ((request->flags & REQUEST_CAS) && request->version != old->version) {
		respond(response, OP_STATUS_EXISTS);
		return;
	}
	item = write_take_like(serve, now, old, old->value_len + added.len, response);
	if (!item)
		return;
	memcpy(value_room(item) + (append ? 0 : added.len), item_value(old).data, old->value_len);
	if (added.len > 0)
		memcpy(value_room(item) + (append ? old->value_len : 0), added.data, added.len);
	write_publish(serve, now, item, request->digest, response);
}

void
write_execute(struct serve *serve, const struct now *now, const struct request *request,
    struct response *response)
{
	switch (request->op) {
	case OP_SET:
		if (request->options & WRITE_SET_OLD)
			write_set_old(serve, now, request, response);
		else
			set(serve, now, request, response);
		break;
	case OP_DELETE:
		if (request->options & WRITE_DELETE_OLD)
			write_delete_old(serve, now, request, response);
		else
			delete(serve, now, request, response);
		break;
	case OP_TOUCH:
	case OP_GAT:
		if (request->flags & REQUEST_STATE) {
			write_meta_get(serve, now, request, response);
			break;
		}
		if (request->options & WRITE_TOUCH_IF) {
			write_touch_if(serve, now, request, response);
			break;
		}
		touch(serve, now, request, response);
		break;
	case OP_INCR:
	case OP_DECR:
		if (request->options & REQUEST_SIGNED)
			write_signed(serve, now, request, response);
		else if (request->options & REQUEST_FLOAT)
			write_float(serve, now, request, response);
		else
			count(serve, now, request, response);
		break;
	case OP_SETRANGE:
		write_range(serve, now, request, response);
		break;
	case OP_GUARD:
		guard(serve, now, request, response);
		break;
	default:
		join(serve, now, request, response);
		break;
	}
}
