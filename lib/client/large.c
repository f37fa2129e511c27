/* Values that do not fit a frame: ranges down, chunks up. */
#include "client/large.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "client/handle.h"

static void
line_up(struct large *large, struct transfer *transfer)
{
	transfer->next = NULL;
	if (large->waiting_last)
		large->waiting_last->next = transfer;
	else
		large->waiting = transfer;
	large->waiting_last = transfer;
}

static struct transfer *
transfer_create(struct slipring *handle, slipring_done done, void *context, struct view key)
{
	struct transfer *transfer = calloc(1, sizeof *transfer);

	if (!transfer)
		return NULL;
	transfer->handle = handle;
	transfer->done = done;
	transfer->context = context;
	memcpy(transfer->key, key.data, key.len);
	transfer->request.key = view_of(transfer->key, key.len);
	return transfer;
}

/* What the first answer, or the one after a restart, says about the value. */
static void
take_first(struct transfer *transfer, const struct native_result *result)
{
	transfer->version = result->version;
	transfer->flags = result->client_flags;
	transfer->total_len = result->total_len;
	transfer->first_len = result->value.len;
	memcpy(transfer->first, result->value.data, result->value.len);
}

void
large_pull(struct slipring *handle, const struct completion *completion)
{
	struct transfer *transfer = NULL;
	struct slipring_result failed = { .status = SLIPRING_NO_MEMORY };

	if (completion->result.total_len <= VALUE_LEN_MAX)
		transfer = transfer_create(handle, completion->done, completion->context, completion->key);
	else
		failed.status = SLIPRING_BAD_REPLY;
	if (!transfer) {
		handle_explain(handle, completion->lane, failed.status);
		handle_finish(handle, completion->done, completion->context, &failed);
		return;
	}
	transfer->request.op = OP_GET;
	transfer->request.slot = slipring_slot(completion->key.data, completion->key.len) & (SLOT_COUNT - 1);
	take_first(transfer, &completion->result);
	line_up(&handle->large, transfer);
}

bool
large_push(struct slipring *handle, const struct request *request, slipring_done done, void *context)
{
	struct transfer *transfer = transfer_create(handle, done, context, request->key);
	struct view key;

	if (!transfer)
		return false;
	key = transfer->request.key;
	transfer->request = *request;
	transfer->request.key = key;
	transfer->upload = true;
	transfer->total_len = request->value.len;
	line_up(&handle->large, transfer);
	return true;
}

static void
fail(struct transfer *transfer, enum slipring_status status)
{
	bool again = transfer->upload ? status == SLIPRING_UPLOAD_UNKNOWN : status == SLIPRING_CHANGED;

	if (transfer->failed != SLIPRING_OK && !transfer->restart)
		return; /* the first final failure tells most */
	transfer->failed = status;
	transfer->restart = again && transfer->restarts < LARGE_RESTARTS;
}

/* One operation of the transfer is over. False: it went wrong, and the transfer with it. */
static bool
answered(struct transfer *transfer, const struct completion *completion)
{
	transfer->in_flight--;
	if (completion->status != SLIPRING_OK)
		fail(transfer, completion->status);
	return completion->status == SLIPRING_OK;
}

/* An upload's lane is its own from BEGIN to the end, or to the next try. */
static void
let_go(struct transfer *transfer)
{
	if (transfer->lane)
		transfer->lane->pins--;
	transfer->lane = NULL;
}

/* The lane that the next operation takes; NULL: there is none, or it has no room. */
static struct lane *
lane_of(struct transfer *transfer)
{
	struct lane *lane = transfer->lane;

	if (!lane) {
		lane = handle_lane(transfer->handle, transfer->request.slot);
		if (!lane)
			fail(transfer, SLIPRING_UNREACHABLE);
		if (lane && transfer->upload) {
			transfer->lane = lane;
			lane->pins++;
		}
	}
	return lane && handle_room(lane) > 0 ? lane : NULL;
}

/* Queues one of the transfer's operations. */
static bool
queue(struct transfer *transfer, struct lane *lane, const struct request *request, lane_run run, uint32_t tag)
{
	const struct lane_order order = { .run = run, .context = transfer, .tag = tag };

	if (!lane_queue(lane, request, &order, handle_now_ns())) {
		fail(transfer, SLIPRING_BAD_REQUEST);
		return false;
	}
	transfer->in_flight++;
	return true;
}

static bool
begin_moving(struct transfer *transfer)
{
	uint8_t *buffer;

	transfer->state = TRANSFER_MOVING;
	transfer->offset = transfer->first_len;
	if (transfer->upload)
		return true;
	transfer->chunk_len = NATIVE_GET_VALUE_MAX - handle_tag_len(transfer->handle);
	buffer = realloc(transfer->buffer, transfer->total_len ? transfer->total_len : 1);
	if (!buffer) {
		fail(transfer, SLIPRING_NO_MEMORY);
		return false;
	}
	transfer->buffer = buffer;
	memcpy(buffer, transfer->first, transfer->first_len);
	return true;
}

static void on_range(struct slipring *handle, const struct completion *completion);

static bool
ask_range(struct transfer *transfer, struct lane *lane, uint32_t offset, uint32_t len)
{
	struct request request = transfer->request;

	request.op = OP_GET;
	request.flags = REQUEST_RANGE;
	request.version = transfer->version;
	request.offset = offset;
	request.length = len;
	return queue(transfer, lane, &request, on_range, offset);
}

/* How much the range at this offset was to bring: ranges stand chunk_len apart behind the first part. */
static uint32_t
range_len(const struct transfer *transfer, uint32_t offset)
{
	uint32_t into = (offset - transfer->first_len) % transfer->chunk_len;
	uint32_t len = transfer->chunk_len - into;

	return len < transfer->total_len - offset ? len : transfer->total_len - offset;
}

/* A range that was cut short. Without a lane for the rest, it is all read again. */
static void
ask_rest(struct transfer *transfer, uint32_t offset, uint32_t len)
{
	struct lane *lane = lane_of(transfer);

	if (lane)
		ask_range(transfer, lane, offset, len);
	else
		fail(transfer, SLIPRING_CHANGED);
}

static void
on_range(struct slipring *handle, const struct completion *completion)
{
	struct transfer *transfer = completion->context;
	const struct view *value = &completion->result.value;
	uint32_t offset = completion->tag, len = range_len(transfer, offset);

	(void)handle;
	if (!answered(transfer, completion))
		return;
	if (value->len == 0 || value->len > len || completion->result.version != transfer->version) {
		fail(transfer, SLIPRING_BAD_REPLY);
		return;
	}
	memcpy(transfer->buffer + offset, value->data, value->len);
	if (value->len < len && transfer->failed == SLIPRING_OK)
		ask_rest(transfer, offset + value->len, len - value->len);
}

/* A read that starts again: the first part anew. */
static void
on_first(struct slipring *handle, const struct completion *completion)
{
	struct transfer *transfer = completion->context;

	(void)handle;
	if (!answered(transfer, completion))
		return;
	if (completion->result.total_len > VALUE_LEN_MAX || completion->result.value.len > sizeof transfer->first) {
		fail(transfer, SLIPRING_BAD_REPLY);
		return;
	}
	take_first(transfer, &completion->result);
	begin_moving(transfer);
}

static void
on_begun(struct slipring *handle, const struct completion *completion)
{
	struct transfer *transfer = completion->context;

	(void)handle;
	if (!answered(transfer, completion))
		return;
	transfer->upload_handle = completion->result.number;
	begin_moving(transfer);
}

static void
on_chunk(struct slipring *handle, const struct completion *completion)
{
	struct transfer *transfer = completion->context;

	(void)handle;
	answered(transfer, completion);
}

static void
on_committed(struct slipring *handle, const struct completion *completion)
{
	struct transfer *transfer = completion->context;

	(void)handle;
	transfer->upload_handle = 0;
	transfer->version = completion->result.version;
	if (answered(transfer, completion))
		transfer->state = TRANSFER_WAITING; /* all done */
}

static void
on_aborted(struct slipring *handle, const struct completion *completion)
{
	(void)handle;
	(void)completion; /* a courtesy: the node forgets uploads by itself */
}

/* Operations after BEGIN carry no key but its slot. */
static struct request
upload_request(const struct transfer *transfer, enum op op)
{
	return (struct request){ .op = op, .slot = transfer->request.slot, .handle = transfer->upload_handle };
}

static void
open_transfer(struct transfer *transfer, struct lane *lane)
{
	struct request request = transfer->request;

	if (!transfer->upload) {
		queue(transfer, lane, &request, on_first, 0);
		return;
	}
	request.op = OP_UPLOAD_BEGIN;
	request.flags = 0;
	request.value = view_of(NULL, 0);
	request.length = transfer->total_len;
	queue(transfer, lane, &request, on_begun, 0);
}

static void
move_chunk(struct transfer *transfer, struct lane *lane)
{
	struct request request = upload_request(transfer, OP_UPLOAD_CHUNK);
	uint32_t most = lane_value_max(lane, &request);
	uint32_t left = transfer->total_len - transfer->offset;

	request.offset = transfer->offset;
	request.value = view_of(transfer->request.value.data + transfer->offset, left < most ? left : most);
	if (queue(transfer, lane, &request, on_chunk, transfer->offset))
		transfer->offset += request.value.len;
}

static void
move_range(struct transfer *transfer, struct lane *lane)
{
	uint32_t len = range_len(transfer, transfer->offset);

	if (ask_range(transfer, lane, transfer->offset, len))
		transfer->offset += len;
}

static void
move(struct transfer *transfer)
{
	struct lane *lane;

	while (transfer->in_flight < LARGE_WINDOW && transfer->offset < transfer->total_len &&
	    transfer->failed == SLIPRING_OK && (lane = lane_of(transfer)))
		transfer->upload ? move_chunk(transfer, lane) : move_range(transfer, lane);
	if (transfer->offset == transfer->total_len && transfer->in_flight == 0 && transfer->failed == SLIPRING_OK)
		transfer->state = transfer->upload ? TRANSFER_CLOSING : TRANSFER_WAITING;
}

static void
commit(struct transfer *transfer, struct lane *lane)
{
	struct request request = upload_request(transfer, OP_UPLOAD_COMMIT);

	request.flags = transfer->request.flags & (REQUEST_ADD | REQUEST_REPLACE | REQUEST_CAS);
	request.version = transfer->request.version;
	queue(transfer, lane, &request, on_committed, 0);
}

/* Nothing is in flight and something failed: once more from the start, or the end. Returns whether it ended. */
static bool
restart_or_end(struct transfer *transfer)
{
	if (!transfer->restart) {
		const struct request abort = upload_request(transfer, OP_UPLOAD_ABORT);
		const struct lane_order order = { .run = on_aborted };

		if (transfer->upload_handle != 0 && transfer->lane && lane_ready(transfer->lane))
			lane_queue(transfer->lane, &abort, &order, handle_now_ns());
		return true;
	}
	transfer->restarts++;
	transfer->restart = false;
	transfer->failed = SLIPRING_OK;
	transfer->first_len = 0;
	transfer->upload_handle = 0;
	transfer->state = TRANSFER_OPENING;
	let_go(transfer);
	return false;
}

/* Moves one transfer on. Returns whether it has ended. */
static bool
step(struct transfer *transfer)
{
	if (transfer->failed != SLIPRING_OK && (transfer->in_flight > 0 || restart_or_end(transfer)))
		return transfer->in_flight == 0;
	if (transfer->state == TRANSFER_MOVING)
		move(transfer);
	if (transfer->in_flight == 0 && transfer->failed == SLIPRING_OK &&
	    (transfer->state == TRANSFER_OPENING || transfer->state == TRANSFER_CLOSING)) {
		struct lane *lane = lane_of(transfer);

		if (lane && transfer->state == TRANSFER_OPENING)
			open_transfer(transfer, lane);
		else if (lane)
			commit(transfer, lane);
	}
	return transfer->state == TRANSFER_WAITING;
}

/* Tells the application; the buffer lives until the next round. */
static void
end(struct slipring *handle, struct transfer *transfer, enum slipring_status status)
{
	struct slipring_result result = { .status = status };
	struct lane *lane = status == SLIPRING_CANCELLED || transfer->lane ? transfer->lane :
	    handle_lane(handle, transfer->request.slot);

	transfer->next = handle->large.retired;
	handle->large.retired = transfer;
	if (status == SLIPRING_OK) {
		result.version = transfer->version;
		result.flags = transfer->flags;
		result.value = transfer->buffer;
		result.value_len = transfer->upload ? 0 : transfer->total_len;
		result.total_len = transfer->upload ? 0 : transfer->total_len;
	}
	if (status != SLIPRING_CANCELLED && lane)
		handle_explain(handle, lane, status);
	if (status != SLIPRING_CANCELLED) /* else the lanes are gone already */
		let_go(transfer);
	handle_finish(handle, transfer->done, transfer->context, &result);
}

static void
start_waiting(struct large *large)
{
	while (large->waiting && large->active_count < SLIPRING_LARGE_MAX) {
		struct transfer *transfer = large->waiting;

		large->waiting = transfer->next;
		if (!large->waiting)
			large->waiting_last = NULL;
		transfer->next = large->active;
		large->active = transfer;
		large->active_count++;
		transfer->state = TRANSFER_OPENING;
		if (!transfer->upload)
			begin_moving(transfer);
	}
}

void
large_step(struct slipring *handle, uint64_t now_ns)
{
	struct large *large = &handle->large;
	struct transfer **at;

	(void)now_ns;
again:
	start_waiting(large);
	for (at = &large->active; *at; at = &(*at)->next) {
		struct transfer *transfer = *at;

		if (!step(transfer))
			continue;
		*at = transfer->next;
		large->active_count--;
		end(handle, transfer, transfer->failed);
		goto again; /* the application may have submitted more */
	}
}

void
large_tidy(struct slipring *handle)
{
	struct transfer *transfer;

	while ((transfer = handle->large.retired)) {
		handle->large.retired = transfer->next;
		free(transfer->buffer);
		free(transfer);
	}
}

void
large_close(struct slipring *handle)
{
	struct large *large = &handle->large;
	struct transfer *transfer;

	while ((transfer = large->active ? large->active : large->waiting)) {
		if (transfer == large->active)
			large->active = transfer->next;
		else
			large->waiting = transfer->next;
		end(handle, transfer, SLIPRING_CANCELLED);
	}
	large_tidy(handle);
}
