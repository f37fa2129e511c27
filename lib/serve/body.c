#include "serve/body.h"

#include "base/check.h"
#include "ring/slot.h"
#include "serve/route.h"
#include "serve/state.h"
#include "serve/write.h"

static bool
is_own(const struct serve *serve, uint16_t slot)
{
	return serve_owner(serve, slot) == serve->config.worker && !route_is_away(serve, slot);
}

/* Only what makes up the whole new value can stand in its item from the start. */
static bool
is_whole_value(const struct request *request)
{
	return request->op == OP_SET && !(request->options & REQUEST_COMPARE);
}

static ON_WORKER void
find_room(struct serve *serve, const struct now *now, struct blocks *blocks, struct stream_body *body)
{
	struct request *request = &body->request;
	struct response response;

	if (!op_has_key(request->op)) {
		body->status = OP_STATUS_BAD_REQUEST;
		return;
	}
	request->slot = slot_of_key(request->key);
	request->flags |= REQUEST_SLOT_KNOWN;
	if (is_own(serve, request->slot) && is_whole_value(request)) {
		body->item = write_take(serve, now, request->key, body->len, &response);
		body->status = body->item ? OP_STATUS_OK : response.status;
	} else {
		body->block = blocks_take(blocks, body->len);
		body->status = body->block ? OP_STATUS_OK : OP_STATUS_OUT_OF_MEMORY;
	}
}

struct stream_body *
body_begin(struct serve *serve, const struct now *now, struct blocks *blocks, const struct stream_pass *pass)
{
	struct view key = pass->body_request.key;
	uint32_t size = (uint32_t)sizeof(struct stream_body) + key.len;
	struct stream_body *body = blocks_take(blocks, size);

	CHECK(pass->body_len >= 1 && pass->body_len <= VALUE_LEN_MAX);
	if (!body)
		return NULL;
	*body = (struct stream_body){ .request = pass->body_request, .size = size, .len = pass->body_len };
	if (key.len > 0)
		memcpy(body->key, key.data, key.len);
	body->request.key = view_of(body->key, key.len);
	find_room(serve, now, blocks, body);
	return body;
}

static uint8_t *
bytes_of(const struct stream_body *body)
{
	return body->item ? body->item->bytes + body->item->key_len : body->block;
}

uint8_t *
body_room(struct serve *serve, struct stream_body *body, uint32_t *len)
{
	uint8_t *bytes = bytes_of(body);

	CHECK(body->filled < body->len);
	*len = body->len - body->filled;
	if (bytes)
		return bytes + body->filled;
	*len = *len < BODY_SWALLOW ? *len : BODY_SWALLOW;
	return serve->streams.swallow;
}

struct view
body_value(const struct stream_body *body)
{
	return view_of(bytes_of(body), body->len);
}

void
body_claim(struct serve *serve, struct stream_body *body, struct request *request, struct response *response)
{
	if (request->op == OP_NONE || request->op == OP_ANSWERED)
		return;
	if (body->status != OP_STATUS_OK) {
		request->op = OP_ANSWERED;
		respond(response, body->status);
	} else if (body->item && request->op == OP_SET && is_own(serve, request->slot)) {
		request->options |= REQUEST_ITEM;
		request->item = body->item;
		body->item = NULL;
	}
}

void
body_release(struct serve *serve, struct blocks *blocks, struct stream_body *body)
{
	if (body->item)
		shard_give(serve->shard, body->item);
	if (body->block)
		blocks_give(blocks, body->block, body->len);
	blocks_give(blocks, body, body->size);
}
