/* Synchronous calls: submit one operation, go round until it is done. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "client/handle.h"
#include "ring/slot.h"

struct wait {
	struct slipring_result result;
	struct slipring *handle;
	bool done;
	char error[sizeof ((struct slipring *)0)->error];
};

/* Its error is kept: other completions may leave theirs behind. */
static void
wait_done(void *context, const struct slipring_result *result)
{
	struct wait *wait = context;

	wait->result = *result;
	wait->done = wait->handle->answered = true;
	if (result->status != SLIPRING_OK)
		memcpy(wait->error, wait->handle->error, sizeof wait->error);
}

/* Queues on a lane, waiting for room if need be, and goes round until the answer is there. */
static enum slipring_status
run_on(struct slipring *handle, struct lane *lane, const struct request *request, struct slipring_result *result)
{
	struct wait wait;
	enum slipring_status status;

	wait.handle = handle;
	wait.done = handle->answered = false;
	while ((status = handle_queue(handle, lane, request, wait_done, &wait)) == SLIPRING_WINDOW_FULL) {
		lane->pins++; /* it must not go while it is waited for */
		handle_round(handle, UINT64_MAX);
		lane->pins--;
	}
	if (status != SLIPRING_OK) {
		*result = (struct slipring_result){ .status = status };
		return status;
	}
	while (!wait.done)
		handle_round(handle, UINT64_MAX);
	handle->answered = false;
	*result = wait.result;
	if (result->status == SLIPRING_OK)
		handle->error[0] = '\0';
	else
		memcpy(handle->error, wait.error, sizeof handle->error);
	return result->status;
}

static enum slipring_status
run(struct slipring *handle, const struct slipring_request *from, struct slipring_result *result)
{
	struct slipring_result unwanted;
	struct request request;
	struct lane *lane = NULL;
	enum slipring_status status = handle->ready;

	if (!result)
		result = &unwanted;
	if (status == SLIPRING_OK) {
		handle_enter(handle);
		status = request_check(handle, from, &request);
	}
	if (status == SLIPRING_OK) {
		lane = handle_lane(handle, request.slot);
		status = lane ? SLIPRING_OK : SLIPRING_UNREACHABLE;
	}
	if (status == SLIPRING_OK)
		return run_on(handle, lane, &request, result);
	*result = (struct slipring_result){ .status = status };
	return status;
}

enum slipring_status
slipring_get(struct slipring *handle, const void *key, size_t key_len, struct slipring_result *result)
{
	return run(handle, &(struct slipring_request){ .op = SLIPRING_OP_GET, .key = key, .key_len = key_len }, result);
}

enum slipring_status
slipring_gat(struct slipring *handle, const void *key, size_t key_len, uint64_t ttl_ms,
    struct slipring_result *result)
{
	return run(handle, &(struct slipring_request){ .op = SLIPRING_OP_GAT, .key = key, .key_len = key_len,
	    .ttl_ms = ttl_ms }, result);
}

enum slipring_status
slipring_set(struct slipring *handle, const void *key, size_t key_len, const void *value, size_t value_len,
    uint32_t flags, uint64_t ttl_ms, struct slipring_result *result)
{
	return run(handle, &(struct slipring_request){ .op = SLIPRING_OP_SET, .key = key, .key_len = key_len,
	    .value = value, .value_len = value_len, .flags = flags, .ttl_ms = ttl_ms }, result);
}

enum slipring_status
slipring_add(struct slipring *handle, const void *key, size_t key_len, const void *value, size_t value_len,
    uint32_t flags, uint64_t ttl_ms, struct slipring_result *result)
{
	return run(handle, &(struct slipring_request){ .op = SLIPRING_OP_SET, .mode = SLIPRING_ADD, .key = key,
	    .key_len = key_len, .value = value, .value_len = value_len, .flags = flags, .ttl_ms = ttl_ms }, result);
}

enum slipring_status
slipring_replace(struct slipring *handle, const void *key, size_t key_len, const void *value, size_t value_len,
    uint32_t flags, uint64_t ttl_ms, struct slipring_result *result)
{
	return run(handle, &(struct slipring_request){ .op = SLIPRING_OP_SET, .mode = SLIPRING_REPLACE, .key = key,
	    .key_len = key_len, .value = value, .value_len = value_len, .flags = flags, .ttl_ms = ttl_ms }, result);
}

enum slipring_status
slipring_cas(struct slipring *handle, const void *key, size_t key_len, const void *value, size_t value_len,
    uint32_t flags, uint64_t ttl_ms, uint64_t version, struct slipring_result *result)
{
	return run(handle, &(struct slipring_request){ .op = SLIPRING_OP_SET, .mode = SLIPRING_CAS, .key = key,
	    .key_len = key_len, .value = value, .value_len = value_len, .flags = flags, .ttl_ms = ttl_ms,
	    .version = version }, result);
}

enum slipring_status
slipring_delete(struct slipring *handle, const void *key, size_t key_len, uint64_t version)
{
	return run(handle, &(struct slipring_request){ .op = SLIPRING_OP_DELETE,
	    .mode = version ? SLIPRING_CAS : SLIPRING_PLAIN, .key = key, .key_len = key_len, .version = version }, NULL);
}

enum slipring_status
slipring_touch(struct slipring *handle, const void *key, size_t key_len, uint64_t ttl_ms)
{
	return run(handle, &(struct slipring_request){ .op = SLIPRING_OP_TOUCH, .key = key, .key_len = key_len,
	    .ttl_ms = ttl_ms }, NULL);
}

enum slipring_status
slipring_incr(struct slipring *handle, const void *key, size_t key_len, uint64_t delta,
    struct slipring_result *result)
{
	return run(handle, &(struct slipring_request){ .op = SLIPRING_OP_INCR, .key = key, .key_len = key_len,
	    .delta = delta }, result);
}

enum slipring_status
slipring_decr(struct slipring *handle, const void *key, size_t key_len, uint64_t delta,
    struct slipring_result *result)
{
	return run(handle, &(struct slipring_request){ .op = SLIPRING_OP_DECR, .key = key, .key_len = key_len,
	    .delta = delta }, result);
}

enum slipring_status
slipring_incr_create(struct slipring *handle, const void *key, size_t key_len, uint64_t delta, uint64_t initial,
    uint64_t ttl_ms, struct slipring_result *result)
{
	return run(handle, &(struct slipring_request){ .op = SLIPRING_OP_INCR, .mode = SLIPRING_CREATE, .key = key,
	    .key_len = key_len, .delta = delta, .initial = initial, .ttl_ms = ttl_ms }, result);
}

enum slipring_status
slipring_append(struct slipring *handle, const void *key, size_t key_len, const void *value, size_t value_len,
    struct slipring_result *result)
{
	return run(handle, &(struct slipring_request){ .op = SLIPRING_OP_APPEND, .key = key, .key_len = key_len,
	    .value = value, .value_len = value_len }, result);
}

enum slipring_status
slipring_prepend(struct slipring *handle, const void *key, size_t key_len, const void *value, size_t value_len,
    struct slipring_result *result)
{
	return run(handle, &(struct slipring_request){ .op = SLIPRING_OP_PREPEND, .key = key, .key_len = key_len,
	    .value = value, .value_len = value_len }, result);
}

enum slipring_status
slipring_meta(struct slipring *handle, const void *key, size_t key_len, struct slipring_result *result)
{
	return run(handle, &(struct slipring_request){ .op = SLIPRING_OP_META, .key = key, .key_len = key_len }, result);
}

/* An operation of the node rather than of a key, on one worker's lane. */
static enum slipring_status
run_on_worker(struct slipring *handle, unsigned worker, const struct request *request,
    struct slipring_result *result)
{
	struct node *node;
	struct lane *lane;

	*result = (struct slipring_result){ .status = handle->ready };
	if (handle->ready != SLIPRING_OK)
		return handle->ready;
	handle_enter(handle);
	node = handle_home(handle);
	lane = handle_worker_lane(handle, node, worker % node->worker_count);
	result->status = lane ? SLIPRING_OK : SLIPRING_UNREACHABLE;
	return lane ? run_on(handle, lane, request, result) : result->status;
}

enum slipring_status
slipring_ping(struct slipring *handle, unsigned worker)
{
	const struct request ping = { .op = OP_PING };
	struct slipring_result result;

	if (worker >= handle->topology.worker_count && handle->ready == SLIPRING_OK) {
		struct slipring_topology topology; /* perhaps not asked yet */
		enum slipring_status status = slipring_topology(handle, &topology);

		if (status != SLIPRING_OK)
			return status;
	}
	if (worker >= handle->topology.worker_count)
		return handle_fail(handle, SLIPRING_BAD_ARGUMENT, "worker %u of %u", worker, handle->topology.worker_count);
	return run_on_worker(handle, worker, &ping, &result);
}

enum slipring_status
handle_learn(struct slipring *handle)
{
	struct refresh *refresh = &handle->refresh;
	uint64_t finished = refresh->finished;

	handle_enter(handle);
	refresh_want(handle, NULL);
	refresh->next_ns = 0;
	/* Whom we asked may be silent, and another be asked instead. */
	while (refresh->finished == finished || refresh->status == SLIPRING_CANCELLED)
		handle_round(handle, UINT64_MAX);
	if (refresh->status == SLIPRING_OK)
		handle->error[0] = '\0';
	return refresh->status;
}

enum slipring_status
slipring_topology(struct slipring *handle, struct slipring_topology *topology)
{
	enum slipring_status status = handle->ready;

	if (status == SLIPRING_OK)
		status = handle_learn(handle);
	if (status == SLIPRING_OK)
		*topology = handle->topology;
	return status;
}

/* Statistics grow with the node's version; more than this is no statistics. */
enum { STATS_SIZE_MAX = 1 << 20 };

static uint32_t
lines_in(const char *text, size_t len)
{
	uint32_t lines = 0;

	for (const char *at = text; len > 0 && (at = memchr(at, '\n', (size_t)(text + len - at))); at++)
		lines++;
	return lines;
}

/* Pages are pulled by line number; the text is kept like a large value until the next call. */
enum slipring_status
slipring_stats(struct slipring *handle, const char *group, struct slipring_result *result)
{
	struct request request = { .op = OP_STATS, .key = view_text(group ? group : "") };
	struct slipring_result page;
	struct transfer *kept;
	size_t len = 0;

	*result = (struct slipring_result){ .status = SLIPRING_BAD_KEY };
	if (request.key.len > KEY_LEN_MAX)
		return handle_fail(handle, SLIPRING_BAD_KEY, "the group's name has %u bytes", request.key.len);
	kept = calloc(1, sizeof *kept);
	if (kept)
		kept->buffer = malloc(STATS_SIZE_MAX);
	if (!kept || !kept->buffer) {
		free(kept);
		return result->status = handle_fail(handle, SLIPRING_NO_MEMORY, "no memory for statistics");
	}
	do {
		result->status = run_on_worker(handle, 0, &request, &page);
		if (result->status != SLIPRING_OK || page.value_len == 0 || len + page.value_len > STATS_SIZE_MAX)
			break;
		memcpy(kept->buffer + len, page.value, page.value_len);
		len += page.value_len;
		request.offset += lines_in(page.value, page.value_len);
	} while (request.offset < page.total_len);
	kept->next = handle->large.retired;
	handle->large.retired = kept;
	if (result->status == SLIPRING_OK) {
		result->value = kept->buffer;
		result->value_len = len;
	}
	return result->status;
}
