#include "slipringd/api_sweep.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "slipringd/api_cache.h"
#include "slipringd/api_json.h"
#include "slipringd/api_parts.h"
#include "store/store.h"

enum { BAD_REQUEST = 400, UNAVAILABLE = 503, OUT_OF_MEMORY = 507, PASSES_BUSY = 100 };

/* How far a node is. */
struct progress {
	uint32_t shard, shards; /* shards 0: not known yet */
	uint32_t left;          /* EVICT: items still to go from this shard */
	uint32_t busy;          /* times that it was */
	uint64_t cursor, items; /* items gone so far */
	int status;             /* of the last call */
	bool through;
};

struct sweep {
	struct cache_job job; /* first: what is done finds the sweep by it */
	struct cache_op ops[CACHE_WINDOW];
	uint32_t places[CACHE_WINDOW]; /* by operation: whose it is */
	struct cache *cache;
	const struct http_request *request;
	struct http_reply *reply;
	enum op op;
	uint64_t count;       /* EVICT: items of each node */
	uint64_t until_ms;
	struct api_part *parts;
	struct progress *progress; /* by part */
	uint32_t part_count, from; /* from: where the next round begins to look */
};

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void
free_sweep(struct sweep *sweep)
{
	free(sweep->parts);
	free(sweep->progress);
	free(sweep);
}

/* --- the reply ------------------------------------------------------------------------- */

static bool
is_done(const struct progress *progress)
{
	return progress->through && progress->status == OP_STATUS_OK;
}

static const char *
outcome(const struct progress *progress)
{
	return progress->through ? api_status_name(progress->status) : "unfinished";
}

/* What each node did, into the reply's object. */
static uint32_t
tell_nodes(const struct sweep *sweep, json_t *object)
{
	json_t *nodes = json_array(), *absent = json_array();
	uint64_t items = 0;
	uint32_t done = 0;

	for (uint32_t i = 0; i < sweep->part_count; i++) {
		const struct progress *progress = &sweep->progress[i];

		items += progress->items;
		done += is_done(progress);
		json_array_append_new(nodes, json_pack("{s:s, s:s, s:I}", "node_id", sweep->parts[i].name, "status",
		    outcome(progress), "items", (json_int_t)progress->items));
		if (!is_done(progress))
			json_array_append_new(absent, json_string(sweep->parts[i].name));
	}
	if (sweep->op == OP_FLUSH)
		json_object_set_new(object, "cleared", json_boolean(done == sweep->part_count));
	else
		json_object_set_new(object, "items", json_integer((json_int_t)items));
	json_object_set_new(object, "nodes", nodes);
	json_object_set_new(object, "absent", absent);
	return done;
}

static void
finish(struct sweep *sweep)
{
	const struct http_request *request = sweep->request;
	struct http_reply *reply = sweep->reply;
	json_t *object = json_object();
	uint32_t done = tell_nodes(sweep, object);

	if (done == sweep->part_count) {
		reply->json = object;
	} else {
		if (sweep->part_count == 1 && sweep->progress[0].through)
			api_refuse_status(reply, sweep->progress[0].status);
		else
			http_refuse(reply, UNAVAILABLE, "partial", "some nodes did not take part, or not to the end; absent names them");
		json_object_update(reply->json, object);
		json_decref(object);
	}
	free_sweep(sweep);
	http_ready(request);
}

/* --- rounds ---------------------------------------------------------------------------- */

/* Each shard's part of what a node is to evict. */
static uint32_t
share_of(const struct sweep *sweep, const struct progress *progress)
{
	return (uint32_t)(sweep->count / progress->shards + (progress->shard < sweep->count % progress->shards));
}

static void
next_shard(const struct sweep *sweep, struct progress *progress)
{
	progress->cursor = 0;
	if (++progress->shard >= progress->shards)
		progress->through = true;
	else
		progress->left = share_of(sweep, progress);
}

static void
take_evicted(const struct sweep *sweep, struct progress *progress, const struct cache_op *op)
{
	if (progress->shards == 0) { /* it was only asked how many it has */
		progress->shards = op->shards ? op->shards : 1;
		progress->left = share_of(sweep, progress);
		return;
	}
	progress->items += op->items;
	progress->left -= op->items < progress->left ? op->items : progress->left;
	if (progress->left == 0 || op->items == 0)
		next_shard(sweep, progress);
}

static void
take_expired(const struct sweep *sweep, struct progress *progress, const struct cache_op *op)
{
	progress->shards = op->shards;
	progress->items += op->items;
	progress->cursor = op->cursor;
	if (op->cursor == 0)
		next_shard(sweep, progress);
}

static void
take(const struct sweep *sweep, struct progress *progress, const struct cache_op *op)
{
	progress->status = op->status;
	if (op->status == OP_STATUS_BUSY && ++progress->busy < PASSES_BUSY)
		return;
	if (op->status != OP_STATUS_OK || op->op == OP_FLUSH)
		progress->through = true;
	else if (op->op == OP_EVICT)
		take_evicted(sweep, progress, op);
	else
		take_expired(sweep, progress, op);
}

static struct cache_op
call_of(const struct sweep *sweep, uint32_t part)
{
	const struct progress *progress = &sweep->progress[part];
	uint32_t limit = progress->left < SHARD_EVICT_MAX ? progress->left : SHARD_EVICT_MAX;

	return (struct cache_op){ .op = sweep->op, .target = sweep->parts[part].target, .slot = (uint16_t)progress->shard,
		.cursor = progress->cursor, .limit = sweep->op == OP_EVICT ? limit : 0 };
}

static void rounded(struct cache_job *job);

/* A call for each node that is not through, as many as fit; false: there is none. */
static bool
start_round(struct sweep *sweep)
{
	uint32_t count = 0, i;

	for (i = 0; i < sweep->part_count && count < CACHE_WINDOW; i++) {
		uint32_t part = (sweep->from + i) % sweep->part_count;

		if (sweep->progress[part].through)
			continue;
		sweep->places[count] = part;
		sweep->ops[count++] = call_of(sweep, part);
	}
	sweep->from += i;
	sweep->job = (struct cache_job){ .ops = sweep->ops, .count = count, .together = true, .done = rounded };
	return count > 0 && now_ms() < sweep->until_ms && cache_submit(sweep->cache, &sweep->job);
}

static void
rounded(struct cache_job *job)
{
	struct sweep *sweep = (struct sweep *)job;

	for (uint32_t i = 0; i < job->count; i++)
		take(sweep, &sweep->progress[sweep->places[i]], &sweep->ops[i]);
	if (!start_round(sweep))
		finish(sweep);
}

/* --- the request ----------------------------------------------------------------------- */

static enum op
op_of(enum route_id route)
{
	return route == ROUTE_EVICT ? OP_EVICT : route == ROUTE_EXPIRE ? OP_EXPIRE : OP_FLUSH;
}

static bool
read_count(struct sweep *sweep)
{
	char text[16];

	sweep->count = API_EVICT_DEFAULT;
	if (sweep->op != OP_EVICT || !http_has_query(sweep->request, "count"))
		return true;
	if (http_query(sweep->request, "count", text, sizeof text) &&
	    api_parse_number(text, API_EVICT_MAX, &sweep->count) && sweep->count > 0)
		return true;
	http_refuse(sweep->reply, BAD_REQUEST, "bad_request", "count must be a number from 1 to 100000");
	return false;
}

static bool
fill(struct sweep *sweep, const struct api_view *view)
{
	if (!view->placed) {
		http_refuse(sweep->reply, UNAVAILABLE, "no_topology", "the cluster has no partition table yet; see /cluster/status");
		return false;
	}
	if (!read_count(sweep))
		return false;
	sweep->parts = api_parts_take(view, &sweep->part_count);
	sweep->progress = calloc(sweep->part_count + 1u, sizeof *sweep->progress);
	if (!sweep->parts || !sweep->progress) {
		http_refuse(sweep->reply, OUT_OF_MEMORY, "out_of_memory", "no memory for the request");
		return false;
	}
	for (uint32_t i = 0; i < sweep->part_count; i++)
		if (sweep->parts[i].dead)
			sweep->progress[i] = (struct progress){ .status = OP_STATUS_OWNER_DEAD, .through = true };
	return true;
}

void
api_sweep(struct api_view *view, struct cache *cache, const struct http_request *request, struct http_reply *reply)
{
	struct sweep *sweep = calloc(1, sizeof *sweep);

	if (!sweep) {
		http_refuse(reply, OUT_OF_MEMORY, "out_of_memory", "no memory for the request");
		return;
	}
	sweep->cache = cache;
	sweep->request = request;
	sweep->reply = reply;
	sweep->op = op_of(request->route);
	sweep->until_ms = now_ms() + API_SWEEP_MS;
	api_view_take(view);
	if (!fill(sweep, view)) {
		free_sweep(sweep);
		return;
	}
	http_later(request);
	if (start_round(sweep))
		return;
	if (sweep->job.count == 0) { /* there is nobody to ask */
		finish(sweep);
		return;
	}
	free_sweep(sweep);
	api_refuse_status(reply, OP_STATUS_BUSY);
	http_ready(request);
}
