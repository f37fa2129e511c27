#include "serve/read.h"

static ON_WORKER void
read_range(struct read_tally *tally, const struct request *request, const struct item *item,
    struct response *response)
{
	struct view whole = item_value(item);
	uint32_t left;

	if (request->version != 0 && request->version != item->version) {
		respond(response, OP_STATUS_CHANGED);
		return;
	}
	if (request->offset > whole.len) {
		respond(response, OP_STATUS_BAD_RANGE);
		return;
	}
	if (request->offset == 0) {
		tally->hits++;
		item_read(item);
	}
	left = whole.len - request->offset;
	respond_item(response, item);
	response->offset = request->offset;
	response->value = view_of(whole.data + request->offset,
	    request->length < left ? request->length : left);
}

void
read_state(const struct request *request, const struct item *item, struct response *response)
{
	uint8_t state = item_state(item);
	uint64_t expiry_ms = item_expiry_ms(item);
	/* Both in whole seconds, as memcached counts: what has 30 s left is not due for R30. */
	bool due = (request->options & REQUEST_RECACHE) && expiry_ms != 0 && expiry_ms + MS_PER_SEC <= request->handle;

	response->state = (uint8_t)((state & ITEM_FETCHED ? RESPONSE_FETCHED : 0) |
	    (state & ITEM_STALE ? RESPONSE_STALE : 0) | (state & ITEM_TOKEN_SENT ? RESPONSE_TOKEN_SENT : 0));
	if (!(state & ITEM_TOKEN_SENT) && (due || (state & ITEM_STALE)))
		response->state |= item_win(item) ? RESPONSE_WON : RESPONSE_TOKEN_SENT;
}

void
read_other(struct read_tally *tally, const struct request *request, const struct item *item,
    struct response *response)
{
	if (request->op == OP_GET && !((request->flags & REQUEST_RANGE) && request->offset > 0))
		tally->gets++;
	if (!item) {
		respond(response, OP_STATUS_NOT_FOUND);
	} else if (request->op == OP_META) {
		respond_item(response, item);
		response->number = __atomic_load_n(&item->freq, __ATOMIC_RELAXED) & ITEM_FREQ_MASK;
		response->state = item_state(item) & ITEM_FETCHED ? RESPONSE_FETCHED : 0;
	} else if (request->flags & REQUEST_RANGE) {
		read_range(tally, request, item, response);
	} else {
		tally->hits++;
		respond_item(response, item);
		if (request->flags & REQUEST_STATE)
			read_state(request, item, response);
		if (!(request->flags & REQUEST_NO_BUMP))
			item_read(item);
		if (!(request->flags & REQUEST_NO_VALUE))
			response->value = item_value(item);
	}
}
