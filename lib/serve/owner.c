#include "serve/owner.h"

#include "serve/write.h"

static ON_WORKER void
begin(struct serve *serve, const struct now *now, const struct frame *frame,
    const struct request *request, struct response *response)
{
	uint64_t sequence = frame->sequence + request->index;
	struct upload *upload = upload_begun(&serve->uploads, frame->client, sequence);
	struct item *item;

	if (!upload) {
		if (serve->uploads.count == UPLOAD_MAX) {
			respond(response, OP_STATUS_BUSY);
			return;
		}
		item = write_take(serve, now, request->key, request->length, response);
		if (!item)
			return;
		item->client_flags = request->client_flags;
		item_set_expiry_ms(item, request->expiry_ms);
		upload = upload_begin(&serve->uploads, now, frame->client, sequence, request->digest, item);
	}
	respond(response, OP_STATUS_OK);
	response->number = upload_handle(&serve->uploads, upload);
}

static ON_WORKER void
commit(struct serve *serve, const struct now *now, const struct request *request,
    struct upload *upload, struct response *response)
{
	uint64_t digest = upload->digest;
	struct item *item, *present;
	enum op_status status;

	if (!upload_is_whole(upload)) {
		respond(response, OP_STATUS_UPLOAD_INCOMPLETE);
		return;
	}
	serve_count(serve, COUNTER_CMD_SET);
	item = upload_end(&serve->uploads, upload);
	present = shard_find(serve->shard, now, item_key(item), digest);
	status = write_allowed(serve, request, present);
	if (status == OP_STATUS_OK) {
		write_publish(serve, now, item, digest, response);
	} else {
		shard_give(serve->shard, item);
		respond(response, status);
	}
}

/* CHUNK, COMMIT and ABORT. */
static ON_WORKER void
go_on(struct serve *serve, const struct now *now, const struct frame *frame,
    const struct request *request, struct response *response)
{
	struct upload *upload = upload_find(&serve->uploads, now, frame->client, request->handle);

	if (!upload) {
		respond(response, OP_STATUS_UPLOAD_UNKNOWN);
	} else if (request->op == OP_UPLOAD_CHUNK) {
		respond(response, upload_write(upload, request->offset, request->value));
	} else if (request->op == OP_UPLOAD_COMMIT) {
		commit(serve, now, request, upload, response);
	} else {
		shard_give(serve->shard, upload_end(&serve->uploads, upload));
		respond(response, OP_STATUS_OK);
	}
}

static ON_WORKER void
execute(struct serve *serve, const struct now *now, const struct frame *frame,
    const struct request *request, struct response *response)
{
	if (request->op == OP_UPLOAD_BEGIN)
		begin(serve, now, frame, request, response);
	else if (request->op > OP_UPLOAD_BEGIN && request->op <= OP_UPLOAD_ABORT)
		go_on(serve, now, frame, request, response);
	else
		write_execute(serve, now, request, response);
}

/* The answer again; a GAT's value as it is now. */
static ON_WORKER void
replay(struct serve *serve, const struct now *now, const struct request *request,
    const struct once_result *result, struct response *response)
{
	serve_count(serve, COUNTER_ONCE_REPLAYED);
	respond(response, result->status);
	response->number = result->number;
	response->version = result->version;
	response->has_item = result->version != 0;
	if (request->op == OP_GAT && result->status == OP_STATUS_OK) {
		struct item *item = shard_find(serve->shard, now, request->key, request->digest);

		if (!item) {
			respond(response, OP_STATUS_NOT_FOUND);
			return;
		}
		respond_item(response, item);
		response->value = item_value(item);
	}
}

/* Those statuses ask the client for the same write again. */
static bool
is_final(enum op_status status)
{
	return status != OP_STATUS_BUSY && status != OP_STATUS_UPLOAD_INCOMPLETE;
}

/*
 * A write that another boot, or another owner, may have run: what this one does not
 * remember it must not run. The version tells the boot, for writes that nobody ran.
 */
static ON_WORKER bool
is_of_another_boot(struct serve *serve, const struct frame *frame, struct response *response)
{
	if (__builtin_expect(frame->boot == 0 || frame->boot == serve->config.boot, 1))
		return false;
	serve_count(serve, COUNTER_ONCE_UNKNOWN);
	respond(response, OP_STATUS_STALE_BOOT);
	response->version = serve->config.boot;
	response->has_item = true;
	return true;
}

static ON_WORKER void
execute_once(struct serve *serve, const struct now *now, const struct frame *frame,
    const struct request *request, struct response *response)
{
	execute(serve, now, frame, request, response);
	if (is_final(response->status))
		once_tell(serve->once, request->client, request->sequence, &(struct once_result){
		    response->has_item ? response->version : 0, response->number, response->status });
}

void
owner_execute(struct serve *serve, const struct now *now, const struct frame *frame,
    const struct request *request, struct response *response)
{
	struct once_result result;

	if (!(request->flags & REQUEST_ONCE)) {
		execute(serve, now, frame, request, response);
		return;
	}
	switch (once_ask(serve->once, now, request->client, request->sequence, request->floor, &result)) {
	case ONCE_RUN:
		if (!is_of_another_boot(serve, frame, response))
			execute_once(serve, now, frame, request, response);
		break;
	case ONCE_REPLAY:
		replay(serve, now, request, &result, response);
		break;
	case ONCE_UNKNOWN:
		serve_count(serve, COUNTER_ONCE_UNKNOWN);
		respond(response, OP_STATUS_OUTCOME_UNKNOWN);
		break;
	case ONCE_FULL:
		respond(response, OP_STATUS_BUSY);
		break;
	}
}
