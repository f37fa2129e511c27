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
read_other(struct read_tally *tally, const struct request *request, const struct item *item,
    struct response *response)
{
	if (request->op == OP_GET && !((request->flags & REQUEST_RANGE) && request->offset > 0))
		tally->gets++;
	if (!item) {
		respond(response, OP_STATUS_NOT_FOUND);
	} else if (request->op == OP_META) {
		respond_item(response, item);
	} else if (request->flags & REQUEST_RANGE) {
		read_range(tally, request, item, response);
	} else {
		tally->hits++;
		item_read(item);
		respond_item(response, item);
	}
}
