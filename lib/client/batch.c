/* Operations in flight: submitting, rounds of sending and receiving, completions, multi-get. */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/now.h"
#include "client/handle.h"

void
handle_enter(struct slipring *handle)
{
	CHECK(!handle->inside); /* a completion must not wait */
	handle->error[0] = '\0';
	large_tidy(handle);
}

void
handle_finish(struct slipring *handle, slipring_done done, void *context, const struct slipring_result *result)
{
	bool inside = handle->inside;

	CHECK(handle->pending > 0);
	handle->pending--;
	handle->completed++;
	if (!done)
		return;
	handle->inside = true;
	done(context, result);
	handle->inside = inside;
}

void
handle_run(struct slipring *handle, const struct completion *completion)
{
	const struct native_result *from = &completion->result;
	bool reads = from->op == OP_GET || from->op == OP_GAT;
	bool valued = reads || from->op == OP_STATS || from->op == OP_TOPOLOGY;
	const struct slipring_result result = { .status = completion->status, .value = valued ? from->value.data : NULL,
		.value_len = from->value.len, .total_len = from->total_len, .version = from->version,
		.ttl_ms = from->ttl_ms, .number = from->number, .flags = from->client_flags };

	if (completion->status == SLIPRING_OK && reads && from->value.len < from->total_len) {
		large_pull(handle, completion);
		return;
	}
	handle_explain(handle, completion->lane, completion->status);
	handle_finish(handle, completion->done, completion->context, &result);
}

uint32_t
handle_room(struct lane *lane)
{
	uint32_t used = (uint32_t)(lane->next - lane->floor), window = lane->handle->options.window;

	return used < window && lane_ready(lane) ? window - used : 0;
}

static bool
is_large(const struct lane *lane, const struct request *request)
{
	return request->op == OP_SET && request->value.len > lane_value_max(lane, request);
}

enum slipring_status
handle_queue(struct slipring *handle, struct lane *lane, const struct request *request, slipring_done done,
    void *context)
{
	const struct lane_order order = { .run = handle_run, .done = done, .context = context };
	uint64_t now_ns = handle_now_ns();

	if (handle_room(lane) == 0)
		return SLIPRING_WINDOW_FULL;
	if (is_large(lane, request)) {
		if (!large_push(handle, request, done, context))
			return handle_fail(handle, SLIPRING_NO_MEMORY, "no memory for a large value");
	} else if (!lane_queue(lane, request, &order, now_ns)) {
		return handle_fail(handle, SLIPRING_TOO_LARGE, "the operation does not fit a frame");
	}
	handle->pending++;
	if (lane->queued_bytes >= WIRE_MAX)
		lane_push(lane, now_ns);
	return SLIPRING_OK;
}

enum slipring_status
slipring_submit(struct slipring *handle, const struct slipring_request *from)
{
	struct request request;
	enum slipring_status status = handle->ready;
	struct lane *lane;

	if (status == SLIPRING_OK)
		status = request_check(handle, from, &request);
	if (status != SLIPRING_OK)
		return status;
	lane = handle_lane(handle, request.slot);
	return lane ? handle_queue(handle, lane, &request, from->done, from->context) : SLIPRING_UNREACHABLE;
}

void
handle_round(struct slipring *handle, uint64_t until_ns)
{
	uint64_t now_ns = handle_now_ns(), timer_ns = UINT64_MAX;

	large_tidy(handle);
	if (handle->chores)
		handle_chores(handle, now_ns);
	large_step(handle, now_ns);
	for (uint32_t i = 0; i < handle->active_count; i++) {
		struct lane *lane = handle->active[i];

		while (!lane_busy(lane)) {
			handle_deactivate(lane);
			if (i == handle->active_count)
				goto done;
			lane = handle->active[i];
		}
		/* An application that was away finds its answers here, not their repeats. */
		if (lane_deadline(lane) <= now_ns)
			socket_drain(lane);
		if (handle->answered)
			return;
		lane_send(lane, now_ns);
		if (lane_deadline(lane) < timer_ns)
			timer_ns = lane_deadline(lane);
	}
done:
	if (handle->chores && refresh_deadline(handle) < timer_ns)
		timer_ns = refresh_deadline(handle);
	socket_wait(handle, timer_ns, until_ns);
	if (handle->large.active)
		large_step(handle, now_ns);
}

size_t
slipring_poll(struct slipring *handle, uint32_t timeout_us)
{
	uint64_t completed = handle->completed, now_ns = handle_now_ns();
	uint64_t until_ns = now_ns + timeout_us * NS_PER_US;

	handle_enter(handle);
	do {
		handle_round(handle, timeout_us ? until_ns : 0);
		if (handle->completed != completed || handle->pending == 0)
			break;
	} while (timeout_us && handle_now_ns() < until_ns);
	return handle->pending;
}

void
slipring_flush(struct slipring *handle)
{
	handle_enter(handle);
	while (handle->pending > 0)
		handle_round(handle, UINT64_MAX);
}

/* Keys of a multi-get in flight together, if there is memory for their bookkeeping; else as many as fit the stack. */
enum { MGET_MOST = 16384, MGET_LEAST = 256 };

struct mget {
	uint8_t *buffer;
	size_t used, size, left;
	enum slipring_status worst;
};

struct mget_one {
	struct mget *all;
	struct slipring_item *item;
};

static void
mget_done(void *context, const struct slipring_result *result)
{
	struct mget_one *one = context;
	struct mget *all = one->all;
	struct slipring_result *to = &one->item->result;

	all->left--;
	*to = *result;
	to->value = NULL;
	if (result->status == SLIPRING_OK && result->value_len > all->size - all->used) {
		to->status = SLIPRING_TOO_LARGE;
		to->total_len = result->value_len;
		to->value_len = 0;
	} else if (result->status == SLIPRING_OK) {
		to->value = all->buffer + all->used;
		if (result->value_len)
			memcpy(all->buffer + all->used, result->value, result->value_len);
		all->used += result->value_len;
	}
	if (to->status != SLIPRING_OK && to->status != SLIPRING_NOT_FOUND && all->worst == SLIPRING_OK)
		all->worst = to->status;
}

static void
mget_submit(struct slipring *handle, struct mget_one *one)
{
	const struct slipring_request request = { .op = SLIPRING_OP_GET, .key = one->item->key,
		.key_len = one->item->key_len, .done = mget_done, .context = one };
	enum slipring_status status;

	one->all->left++;
	while ((status = slipring_submit(handle, &request)) == SLIPRING_WINDOW_FULL)
		handle_round(handle, UINT64_MAX);
	if (status != SLIPRING_OK)
		mget_done(one, &(struct slipring_result){ .status = status });
}

/* Each key goes into its owner's window; all owners are asked at once. */
static void
mget_part(struct slipring *handle, struct mget *all, struct mget_one *ones, struct slipring_item *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		ones[i] = (struct mget_one){ all, &items[i] };
		mget_submit(handle, &ones[i]);
	}
	while (all->left > 0)
		handle_round(handle, UINT64_MAX);
}

enum slipring_status
slipring_mget(struct slipring *handle, struct slipring_item *items, size_t count, void *buffer, size_t buffer_size)
{
	struct mget all = { .buffer = buffer, .size = buffer_size };
	struct mget_one few[MGET_LEAST], *ones = few;
	size_t most = count < MGET_MOST ? count : MGET_MOST;

	handle_enter(handle);
	if (most > MGET_LEAST)
		ones = malloc(most * sizeof *ones);
	if (!ones || ones == few) {
		ones = few;
		most = MGET_LEAST;
	}
	for (size_t first = 0; first < count; first += most)
		mget_part(handle, &all, ones, items + first, count - first < most ? count - first : most);
	if (ones != few)
		free(ones);
	return all.worst;
}

size_t
slipring_compose_frame(const struct slipring_request *requests, size_t count, uint64_t client, uint64_t cookie,
    void *frame, size_t size)
{
	struct writer out;

	if (count == 0 || count > FRAME_OPS_MAX || size < NATIVE_HEADER_LEN)
		return 0;
	if (size > NATIVE_FRAME_MAX)
		size = NATIVE_FRAME_MAX;
	native_header_compose(&(struct native_header){ .version = NATIVE_VERSION, .op_count = (uint8_t)count,
	    .client = client, .sequence = 1, .cookie = cookie }, frame);
	out = writer_of((uint8_t *)frame + NATIVE_HEADER_LEN, size - NATIVE_HEADER_LEN);
	for (size_t i = 0; i < count; i++) {
		struct request request;

		if (request_check(NULL, &requests[i], &request) != SLIPRING_OK)
			return 0;
		native_request_compose(&out, &request);
	}
	return out.failed ? 0 : size - writer_left(&out);
}
