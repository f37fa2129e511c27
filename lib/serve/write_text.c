/* write_text.c - writes whose value is a text that Redis gives a meaning: signed and decimal numbers, parts of a value. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "serve/write_text.h"

#include "serve/decimal.h"
#include "serve/write.h"

/* Digits and '-' as Redis' string2ll takes them: no blanks, no leading zeros. */
static bool
signed_parse(struct view text, int64_t *number)
{
	bool negative = text.len > 1 && text.data[0] == '-';
	struct view digits = view_of(text.data + negative, text.len - negative);
	uint64_t n;

	if (digits.len == 0 || digits.len > 19 || (digits.data[0] == '0' && text.len > 1))
		return false;
	if (digits.data[0] == ' ' || digits.data[digits.len - 1] == ' ' || !decimal_parse(digits, &n) ||
	    n > (uint64_t)INT64_MAX + negative)
		return false;
	*number = negative ? (int64_t)(0 - n) : (int64_t)n;
	return true;
}

/* A value like the present one's, or a first one. */
static ON_WORKER struct item *
take_text(struct serve *serve, const struct now *now, const struct request *request, const struct item *old,
    uint32_t len, struct response *response)
{
	struct item *item = write_take(serve, now, request->key, len, response);

	if (item) {
		item->client_flags = old ? old->client_flags : 0;
		item_set_expiry_ms(item, old ? item_expiry_ms(old) : 0);
	}
	return item;
}

static ON_WORKER void
put_text(struct serve *serve, const struct now *now, const struct request *request, const struct item *old,
    const char *text, uint32_t len, struct response *response)
{
	struct item *item = take_text(serve, now, request, old, len, response);

	if (!item)
		return;
	memcpy(item->bytes + item->key_len, text, len);
	write_publish(serve, now, item, request->digest, response);
	if (response->status == OP_STATUS_OK)
		response->value = item_value(item);
}

void
write_signed(struct serve *serve, const struct now *now, const struct request *request, struct response *response)
{
	struct item *old = shard_find(serve->shard, now, request->key, request->digest);
	char text[DECIMAL_LEN_MAX + 1];
	int64_t number = 0, sum;
	bool negative;
	uint32_t len;

	serve_count(serve, old ? COUNTER_INCR_HITS : COUNTER_INCR_MISSES);
	if (!old && (request->flags & REQUEST_REPLACE)) {
		respond(response, OP_STATUS_NOT_FOUND);
		return;
	}
	if (old && !signed_parse(item_value(old), &number)) {
		respond(response, OP_STATUS_NOT_A_NUMBER);
		return;
	}
	if (__builtin_add_overflow(number, (int64_t)request->delta, &sum)) {
		respond(response, OP_STATUS_BAD_RANGE);
		return;
	}
	negative = sum < 0;
	text[0] = '-';
	len = negative + decimal_compose(negative ? 0 - (uint64_t)sum : (uint64_t)sum, text + negative);
	put_text(serve, now, request, old, text, len, response);
	response->number = (uint64_t)sum;
}

/* --- INCRBYFLOAT -------------------------------------------------------------------- */

/* Redis: MAX_LONG_DOUBLE_CHARS; the longest that %.17Lf writes has 4951 characters. */
enum { FLOAT_LEN_MAX = 5 * 1024 };

/* As Redis' string2ld: all of the text, by strtold. */
static bool
float_parse(struct view text, long double *number)
{
	char room[FLOAT_LEN_MAX];
	char *end;

	if (text.len == 0 || text.len >= sizeof room)
		return false;
	memcpy(room, text.data, text.len);
	room[text.len] = 0;
	if (room[0] == ' ' || (room[0] >= '\t' && room[0] <= '\r'))
		return false;
	errno = 0;
	*number = strtold(room, &end);
	if (end != room + text.len || isnan(*number))
		return false;
	return errno != ERANGE || (*number != (long double)HUGE_VAL && *number != -(long double)HUGE_VAL && *number != 0);
}

/* As Redis' ld2string for people: 17 digits behind the point, without trailing zeros. */
static uint32_t
float_compose(long double number, char text[FLOAT_LEN_MAX])
{
	uint32_t len = (uint32_t)snprintf(text, FLOAT_LEN_MAX, "%.17Lf", number);

	if (memchr(text, '.', len)) {
		while (text[len - 1] == '0')
			len--;
		if (text[len - 1] == '.')
			len--;
	}
	if (len == 2 && text[0] == '-' && text[1] == '0') {
		text[0] = '0';
		len = 1;
	}
	return len;
}

void
write_float(struct serve *serve, const struct now *now, const struct request *request, struct response *response)
{
	struct item *old = shard_find(serve->shard, now, request->key, request->digest);
	long double number = 0, delta;
	char text[FLOAT_LEN_MAX];

	serve_count(serve, old ? COUNTER_INCR_HITS : COUNTER_INCR_MISSES);
	if ((old && !float_parse(item_value(old), &number)) || !float_parse(request->value, &delta)) {
		respond(response, OP_STATUS_NOT_A_NUMBER);
		return;
	}
	number += delta;
	if (isnan(number) || isinf(number))
		respond(response, OP_STATUS_BAD_RANGE);
	else
		put_text(serve, now, request, old, text, float_compose(number, text), response);
}

/* --- SETRANGE ----------------------------------------------------------------------- */

void
write_range(struct serve *serve, const struct now *now, const struct request *request, struct response *response)
{
	struct item *old = shard_find(serve->shard, now, request->key, request->digest), *item;
	struct view value = request->value, before = old ? item_value(old) : view_of(NULL, 0);
	uint64_t end = (uint64_t)request->offset + value.len;
	uint32_t len = end > before.len ? (uint32_t)end : before.len;
	uint8_t *room;

	serve_count(serve, COUNTER_CMD_SET);
	if (end > VALUE_LEN_MAX) {
		respond(response, OP_STATUS_TOO_LARGE);
		return;
	}
	item = take_text(serve, now, request, old, len, response);
	if (!item)
		return;
	room = item->bytes + item->key_len;
	if (before.len > 0)
		memcpy(room, before.data, before.len);
	if (request->offset > before.len)
		memset(room + before.len, 0, request->offset - before.len);
	if (value.len > 0)
		memcpy(room + request->offset, value.data, value.len);
	write_publish(serve, now, item, request->digest, response);
}

/* --- conditions --------------------------------------------------------------------- */

/* Why a SET is not done. */
static enum op_status
set_objection(const struct request *request, const struct item *old)
{
	if ((request->flags & REQUEST_ADD) && old)
		return OP_STATUS_NOT_STORED;
	if ((request->flags & REQUEST_REPLACE) && !old)
		return OP_STATUS_NOT_STORED;
	if ((request->options & REQUEST_COMPARE) && old && !view_equal(item_value(old), request->value))
		return OP_STATUS_EXISTS;
	return OP_STATUS_OK;
}

static ON_WORKER void
store(struct serve *serve, const struct now *now, const struct request *request, const struct item *old,
    struct response *response)
{
	struct item *item = request->item;

	if (!(request->options & REQUEST_ITEM)) {
		item = write_take(serve, now, request->key, request->value.len, response);
		if (!item)
			return;
		if (request->value.len > 0)
			memcpy(item->bytes + item->key_len, request->value.data, request->value.len);
	}
	item->client_flags = request->client_flags;
	item_set_expiry_ms(item, (request->options & REQUEST_KEEP_TTL) && old ? item_expiry_ms(old) : request->expiry_ms);
	write_publish(serve, now, item, request->digest, response);
}

/* With OLD the answer is about what was there: has_item tells whether there was something. */
static void
respond_old(struct response *response, const struct item *old, enum op_status status)
{
	if (old) {
		respond_item(response, old);
		response->value = item_value(old);
	} else {
		respond(response, OP_STATUS_OK);
	}
	response->status = (uint8_t)status;
}

void
write_set_old(struct serve *serve, const struct now *now, const struct request *request, struct response *response)
{
	struct item *old = shard_find(serve->shard, now, request->key, request->digest);
	enum op_status status = set_objection(request, old);

	serve_count(serve, COUNTER_CMD_SET);
	if (status == OP_STATUS_OK) {
		store(serve, now, request, old, response);
		status = response->status;
	} else {
		if (request->options & REQUEST_ITEM)
			shard_give(serve->shard, request->item);
		respond(response, status);
	}
	if ((request->options & REQUEST_OLD) && (status == OP_STATUS_OK || status == OP_STATUS_NOT_STORED))
		respond_old(response, old, status);
}

void
write_delete_old(struct serve *serve, const struct now *now, const struct request *request, struct response *response)
{
	struct item *old = shard_find(serve->shard, now, request->key, request->digest);

	serve_count(serve, COUNTER_CMD_DELETE);
	if (!old) {
		serve_count(serve, COUNTER_DELETE_MISSES);
		respond(response, OP_STATUS_NOT_FOUND);
	} else if ((request->options & REQUEST_COMPARE) && !view_equal(item_value(old), request->value)) {
		respond(response, OP_STATUS_EXISTS);
	} else {
		serve_count(serve, COUNTER_DELETE_HITS);
		respond(response, OP_STATUS_OK);
		if (request->options & REQUEST_OLD)
			respond_old(response, old, OP_STATUS_OK);
		shard_remove(serve->shard, old, request->digest);
	}
}

/* Whether the present expiry allows the new one; 0 is none. GT and LT take none for the latest, as Redis does. */
static bool
ttl_allows(uint32_t options, uint64_t present, uint64_t expiry)
{
	if ((options & REQUEST_TTL_NONE) && present != 0)
		return false;
	if ((options & REQUEST_TTL_SOME) && present == 0)
		return false;
	if ((options & REQUEST_TTL_LATER) && (present == 0 || expiry <= present))
		return false;
	return !(options & REQUEST_TTL_EARLIER) || present == 0 || expiry < present;
}

void
write_touch_if(struct serve *serve, const struct now *now, const struct request *request, struct response *response)
{
	struct item *old = shard_find(serve->shard, now, request->key, request->digest);
	uint64_t present = old ? item_expiry_ms(old) : 0, expiry = request->expiry_ms;

	serve_count(serve, COUNTER_CMD_TOUCH);
	if (request->options & REQUEST_TTL_ADD)
		expiry += present;
	if (!old) {
		serve_count(serve, COUNTER_TOUCH_MISSES);
		respond(response, OP_STATUS_NOT_FOUND);
	} else if ((request->options & REQUEST_COMPARE) && !view_equal(item_value(old), request->value)) {
		respond(response, OP_STATUS_EXISTS);
	} else if (!ttl_allows(request->options, present, expiry)) {
		respond(response, OP_STATUS_NOT_STORED);
	} else if (expiry != 0 && (int64_t)expiry <= (int64_t)now->wall_ms) {
		serve_count(serve, COUNTER_TOUCH_HITS);
		respond_old(response, old, OP_STATUS_OK);
		shard_remove(serve->shard, old, request->digest);
	} else {
		write_touch(serve, now, request, old, expiry, response);
	}
}
