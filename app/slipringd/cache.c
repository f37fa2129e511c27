#include "slipringd/cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "proto/native.h"
#include "ring/slot.h"
#include "seal/seal.h"

enum {
	STEP_MS = 100,  /* between looks at the clock while an answer is awaited */
	IDLE_MS = 1000, /* mail wakes the thread anyway */
};

struct cache {
	/* set once */
	const struct node *node;
	struct local *local;
	pthread_t thread;
	/* this thread's */
	uint64_t client, sequence;
	uint32_t room; /* bytes of values that the job at hand may still read */
	/* under the lock */
	pthread_mutex_t lock;
	struct cache_job *first, **last;
	uint32_t waiting;
	bool stop;
};

/* Requests that go out together, and where their results go. */
struct flight {
	struct cache *cache;
	const struct request *requests;
	const struct cache_op *ops; /* by request: which member is to do it; NULL: the key's owner */
	uint32_t count;
	void (*on_result)(void *context, uint32_t index, const struct native_result *result);
	void *context;
	struct deferred *slots[CACHE_WINDOW]; /* by request; NULL once home */
	uint32_t out;
	uint32_t unexecuted; /* bit i: request i */
};

_Static_assert(CACHE_WINDOW <= 32, "a bit each");

/* --- one flight ------------------------------------------------------------------------ */

static uint32_t
owner_of(const struct cache *cache, const struct request *request)
{
	return request->slot % node_config(cache->node)->io.worker_count;
}

static void
compose(struct cache *cache, const struct request *request, struct deferred *slot)
{
	const struct native_header header = { .version = NATIVE_VERSION, .op_count = 1, .client = cache->client,
		.sequence = ++cache->sequence };
	struct writer out = writer_of(slot->payload, sizeof slot->payload);

	native_header_compose(&header, writer_take(&out, NATIVE_HEADER_LEN));
	native_request_compose(&out, request);
	CHECK(!out.failed);
	slot->payload_len = (uint16_t)(out.at - slot->payload);
}

static void
depart(struct flight *flight, uint32_t index, struct deferred *slot)
{
	compose(flight->cache, &flight->requests[index], slot);
	slot->target = flight->ops ? flight->ops[index].target : 0;
	flight->slots[index] = slot;
	flight->out++;
	node_mail(flight->cache->node, owner_of(flight->cache, &flight->requests[index]), slot);
}

/* The one result of the one frame that came home in the slot. */
static bool
read_reply(const struct deferred *slot, struct native_result *result)
{
	struct reader all = reader_of(slot->reply, slot->reply_len);
	uint32_t len = reader_le16(&all);
	struct view frame = reader_view(&all, len);
	struct native_header header;
	struct reader in;

	if (all.failed || !native_header_parse(frame, &header) || header.op_count != 1)
		return false;
	in = reader_of(frame.data + NATIVE_HEADER_LEN, frame.len - NATIVE_HEADER_LEN);
	return native_result_parse(&in, result);
}

static bool
is_ours(struct flight *flight, const struct deferred *slot, uint32_t *index)
{
	for (*index = 0; *index < flight->count; ++*index)
		if (flight->slots[*index] == slot)
			return true;
	return false;
}

/* A slot is home: with an answer, unexecuted, or of a flight that was given up long ago. */
static void
arrive(struct flight *flight, struct deferred *slot)
{
	struct local *local = flight->cache->local;
	struct native_result result;
	uint32_t index;

	if ((void *)slot == flight->cache) /* a job was submitted, that is all */
		return;
	if (!is_ours(flight, slot, &index)) {
		local_give(local, slot);
		return;
	}
	flight->slots[index] = NULL;
	flight->out--;
	if (slot->reply_len == 0) { /* the worker had no packet left */
		flight->unexecuted |= 1u << index;
		local_give(local, slot);
		return;
	}
	CHECK(read_reply(slot, &result));
	flight->on_result(flight->context, index, &result);
	local_give(local, slot);
}

static ON_WORKER uint32_t
drain(struct flight *flight)
{
	struct mailbox *mailbox = local_mailbox(flight->cache->local);
	void *mails[CACHE_WINDOW];
	uint32_t n = mailbox_receive(mailbox, mails, CACHE_WINDOW);

	for (uint32_t i = 0; i < n; i++)
		arrive(flight, mails[i]);
	return n;
}

/* Sends all requests and waits for all results; false when some did not come in time. */
static ON_WORKER bool
fly(struct flight *flight)
{
	struct mailbox *mailbox = local_mailbox(flight->cache->local);
	struct now now, start;

	CHECK(flight->count <= CACHE_WINDOW);
	io_now(&start);
	for (uint32_t i = 0; i < flight->count; i++) {
		struct deferred *slot = local_take(flight->cache->local);

		if (!slot) /* workers hold them all */
			break;
		depart(flight, i, slot);
	}
	if (flight->out < flight->count)
		return false;
	while (flight->out > 0) {
		if (drain(flight) > 0)
			continue;
		io_wait(NULL, mailbox, STEP_MS);
		io_now(&now);
		if (now.mono_ns - start.mono_ns >= CACHE_PATIENCE_MS * NS_PER_MS && drain(flight) == 0)
			return false;
	}
	return true;
}

/* What a flight came to: no answer, no packet, or `status` of its results. */
static ON_WORKER int
complete(struct flight *flight, const int *status)
{
	if (!fly(flight))
		return CACHE_TIMEOUT;
	return flight->unexecuted ? OP_STATUS_BUSY : *status;
}

/* The result's value dies with its slot. */
struct answer {
	struct native_result result;
	int status;
};

static void
keep_result(void *context, uint32_t index, const struct native_result *result)
{
	(void)index;
	*(struct answer *)context = (struct answer){ *result, result->status };
}

/* One request whose result has no value that matters. */
static ON_WORKER int
ask(struct cache *cache, const struct request *request, struct native_result *result)
{
	struct answer answer = { .status = CACHE_TIMEOUT };
	struct flight flight = { .cache = cache, .requests = request, .count = 1, .on_result = keep_result,
		.context = &answer };
	int status = complete(&flight, &answer.status);

	*result = answer.result;
	return status;
}

/* --- reading ------------------------------------------------------------------------------ */

struct download {
	struct cache_op *op;
	const struct request *requests;
	uint32_t room, got; /* bytes */
	int failed;   /* first status that was not OK */
};

static void
on_first(void *context, uint32_t index, const struct native_result *result)
{
	struct download *download = context;
	struct cache_op *op = download->op;

	(void)index;
	download->failed = result->status;
	if (result->status != OP_STATUS_OK)
		return;
	op->version = result->version;
	op->client_flags = result->client_flags;
	op->total_len = result->total_len;
	if (op->total_len > download->room) {
		download->failed = OP_STATUS_TOO_LARGE;
		return;
	}
	op->data = malloc((size_t)op->total_len + 1);
	if (!op->data) {
		download->failed = OP_STATUS_OUT_OF_MEMORY;
		return;
	}
	memcpy(op->data, result->value.data, result->value.len);
	download->got = result->value.len;
}

static void
on_range(void *context, uint32_t index, const struct native_result *result)
{
	struct download *download = context;
	const struct request *request = &download->requests[index];

	if (result->status != OP_STATUS_OK) {
		download->failed = result->status;
	} else {
		CHECK(result->value.len == request->length);
		memcpy(download->op->data + request->offset, result->value.data, request->length);
	}
}

static ON_WORKER int
pull_window(struct cache *cache, struct download *download, uint16_t slot)
{
	struct request requests[CACHE_WINDOW];
	struct flight flight = { .cache = cache, .requests = requests, .on_result = on_range, .context = download };

	download->requests = requests;
	for (; flight.count < CACHE_WINDOW && download->got < download->op->total_len; flight.count++) {
		uint32_t left = download->op->total_len - download->got;
		uint32_t length = left < NATIVE_GET_VALUE_MAX ? left : NATIVE_GET_VALUE_MAX;

		requests[flight.count] = (struct request){ .op = OP_GET, .flags = REQUEST_RANGE, .key = download->op->key,
			.slot = slot, .version = download->op->version, .offset = download->got, .length = length };
		download->got += length;
	}
	return complete(&flight, &download->failed);
}

static ON_WORKER int
get_once(struct cache *cache, struct cache_op *op, uint16_t slot)
{
	const struct request request = { .op = OP_GET, .key = op->key, .slot = slot };
	struct download download = { .op = op, .room = cache->room };
	struct flight flight = { .cache = cache, .requests = &request, .count = 1, .on_result = on_first,
		.context = &download };
	int status = complete(&flight, &download.failed);

	while (status == OP_STATUS_OK && download.got < op->total_len)
		status = pull_window(cache, &download, slot);
	if (status != OP_STATUS_OK) {
		free(op->data);
		op->data = NULL;
	}
	return status;
}

static ON_WORKER int
get_meta(struct cache *cache, struct cache_op *op, uint16_t slot)
{
	const struct request request = { .op = OP_META, .key = op->key, .slot = slot };
	struct native_result result;
	int status = ask(cache, &request, &result);

	if (status != OP_STATUS_OK)
		return status;
	op->version = result.version;
	op->client_flags = result.client_flags;
	op->total_len = result.total_len;
	op->ttl_ms = result.ttl_ms;
	return status;
}

/* The value, then how long it has left; when it moved between the two, once more. */
static ON_WORKER int
get(struct cache *cache, struct cache_op *op, uint16_t slot)
{
	int status = OP_STATUS_CHANGED;

	for (int tries = 0; tries <= CACHE_RESTARTS && status == OP_STATUS_CHANGED; tries++) {
		status = get_once(cache, op, slot);
		if (status != OP_STATUS_OK)
			continue;
		struct cache_op meta = { .op = OP_META, .key = op->key };

		status = get_meta(cache, &meta, slot);
		if (status == OP_STATUS_OK && meta.version == op->version) {
			op->ttl_ms = meta.ttl_ms;
			return status;
		}
		status = status == OP_STATUS_OK || status == OP_STATUS_NOT_FOUND ? OP_STATUS_CHANGED : status;
		free(op->data);
		op->data = NULL;
	}
	return status;
}

/* --- writing ----------------------------------------------------------------------------- */

struct upload {
	const struct cache_op *op;
	uint16_t slot;
	uint64_t handle;
	uint32_t sent;
	int failed;
};

static void
on_chunk(void *context, uint32_t index, const struct native_result *result)
{
	struct upload *upload = context;

	(void)index;
	if (result->status != OP_STATUS_OK)
		upload->failed = result->status;
}

static ON_WORKER int
push_window(struct cache *cache, struct upload *upload)
{
	struct request requests[CACHE_WINDOW];
	struct flight flight = { .cache = cache, .requests = requests, .on_result = on_chunk, .context = upload };
	const struct view value = upload->op->value;

	for (; flight.count < CACHE_WINDOW && upload->sent < value.len; flight.count++) {
		uint32_t left = value.len - upload->sent, len = left < NATIVE_CHUNK_MAX ? left : NATIVE_CHUNK_MAX;

		requests[flight.count] = (struct request){ .op = OP_UPLOAD_CHUNK, .slot = upload->slot, .handle = upload->handle,
			.offset = upload->sent, .value = view_of(value.data + upload->sent, len) };
		upload->sent += len;
	}
	return complete(&flight, &upload->failed);
}

static ON_WORKER int
store_large(struct cache *cache, struct cache_op *op, uint16_t slot)
{
	struct upload upload = { .op = op, .slot = slot };
	struct request request = { .op = OP_UPLOAD_BEGIN, .key = op->key, .slot = slot, .client_flags = op->client_flags,
		.expiry_ms = op->ttl_ms, .length = op->value.len };
	struct native_result result;
	int status = ask(cache, &request, &result);

	if (status != OP_STATUS_OK)
		return status;
	upload.handle = result.number;
	while (status == OP_STATUS_OK && upload.sent < op->value.len)
		status = push_window(cache, &upload);
	request = (struct request){ .op = status == OP_STATUS_OK ? OP_UPLOAD_COMMIT : OP_UPLOAD_ABORT, .slot = slot,
		.handle = upload.handle, .flags = status == OP_STATUS_OK ? op->flags : 0, .version = op->version };
	int last = status == CACHE_TIMEOUT ? status : ask(cache, &request, &result);
	op->version = result.version;
	return status == OP_STATUS_OK ? last : status;
}

static ON_WORKER int
store(struct cache *cache, struct cache_op *op, uint16_t slot)
{
	const struct request request = { .op = OP_SET, .key = op->key, .slot = slot, .value = op->value, .flags = op->flags,
		.version = op->version, .client_flags = op->client_flags, .expiry_ms = op->ttl_ms };
	struct native_result result = { 0 };
	int status;

	if (op->value.len > VALUE_LEN_MAX)
		return OP_STATUS_TOO_LARGE;
	if (NATIVE_HEADER_LEN + native_request_size(&request) > UDP_PAYLOAD_MAX)
		return store_large(cache, op, slot);
	status = ask(cache, &request, &result);
	op->version = result.version;
	return status;
}

static ON_WORKER int
execute(struct cache *cache, struct cache_op *op)
{
	struct request request = { .op = (uint8_t)op->op, .key = op->key, .flags = op->flags, .version = op->version };
	struct native_result result;

	if (op->key.len == 0 || op->key.len > KEY_LEN_MAX)
		return OP_STATUS_BAD_KEY;
	request.slot = slot_of_key(op->key);
	switch (op->op) {
	case OP_GET:
		return get(cache, op, request.slot);
	case OP_META:
		return get_meta(cache, op, request.slot);
	case OP_SET:
		return store(cache, op, request.slot);
	case OP_DELETE:
		return ask(cache, &request, &result);
	default:
		CHECK(!"an operation that cache.h does not list");
	}
	return OP_STATUS_UNKNOWN_OP;
}

/* --- many shards, of many nodes ------------------------------------------------------------- */

static void
on_shard(void *context, uint32_t index, const struct native_result *result)
{
	struct cache_op *op = &((struct cache_job *)context)->ops[index];

	op->status = result->status;
	if (result->status != OP_STATUS_OK || op->op == OP_FLUSH)
		return;
	op->cursor = result->number;
	op->items = result->total_len;
	op->shards = result->client_flags;
	if (op->op != OP_KEYS)
		return;
	op->total_len = result->value.len;
	op->data = malloc((size_t)result->value.len + 1);
	if (op->data)
		memcpy(op->data, result->value.data, result->value.len);
	else
		op->status = OP_STATUS_OUT_OF_MEMORY;
}

static ON_WORKER void
run_together(struct cache *cache, struct cache_job *job)
{
	struct request requests[CACHE_WINDOW];
	struct flight flight = { .cache = cache, .requests = requests, .ops = job->ops, .count = job->count,
		.on_result = on_shard, .context = job };

	CHECK(job->count <= CACHE_WINDOW);
	for (uint32_t i = 0; i < job->count; i++) {
		struct cache_op *op = &job->ops[i];

		CHECK(op->op >= OP_FLUSH);
		requests[i] = (struct request){ .op = (uint8_t)op->op, .key = op->key, .slot = op->slot, .handle = op->cursor,
			.length = op->limit };
		op->status = CACHE_TIMEOUT;
	}
	fly(&flight); /* whoever has not answered in time keeps that status */
	for (uint32_t i = 0; i < job->count; i++)
		if (flight.unexecuted >> i & 1)
			job->ops[i].status = OP_STATUS_BUSY;
}

/* --- the thread ---------------------------------------------------------------------------- */

static struct cache_job *
next_job(struct cache *cache, bool *stop)
{
	struct cache_job *job;

	pthread_mutex_lock(&cache->lock);
	job = cache->first;
	*stop = cache->stop;
	if (job) {
		cache->first = job->next;
		cache->waiting--;
		if (!cache->first)
			cache->last = &cache->first;
	}
	pthread_mutex_unlock(&cache->lock);
	return job;
}

/* A timeout ends the job: whoever does not answer once would make the rest wait, too. */
static ON_WORKER void
run(struct cache *cache, struct cache_job *job, bool stopping)
{
	int status = stopping ? CACHE_TIMEOUT : OP_STATUS_OK;

	if (job->together && !stopping) {
		run_together(cache, job);
		job->done(job);
		return;
	}
	cache->room = CACHE_JOB_BYTES;
	for (uint32_t i = 0; i < job->count; i++) {
		if (status != CACHE_TIMEOUT)
			status = execute(cache, &job->ops[i]);
		job->ops[i].status = status;
		cache->room -= job->ops[i].data ? job->ops[i].total_len : 0;
	}
	job->done(job);
}

static void *
serve(void *argument)
{
	struct cache *cache = argument;
	struct flight none = { .cache = cache };
	struct cache_job *job;
	bool stop;

	role_worker_begin(); /* of its own mailbox only */
	for (;;) {
		job = next_job(cache, &stop);
		if (job)
			run(cache, job, stop);
		else if (stop)
			return NULL;
		else if (drain(&none) == 0)
			io_wait(NULL, local_mailbox(cache->local), IDLE_MS);
	}
}

bool
cache_submit(struct cache *cache, struct cache_job *job)
{
	bool taken;

	pthread_mutex_lock(&cache->lock);
	taken = !cache->stop && cache->waiting < CACHE_JOBS_MAX;
	if (taken) {
		job->next = NULL;
		*cache->last = job;
		cache->last = &job->next;
		cache->waiting++;
	}
	pthread_mutex_unlock(&cache->lock);
	if (taken) /* a full mailbox wakes the thread as well */
		(void)mailbox_send(local_mailbox(cache->local), cache);
	return taken;
}

struct cache *
cache_start(const struct node *node, struct error *error)
{
	struct cache *cache = calloc(1, sizeof *cache);

	if (!cache) {
		error_set(error, STATUS_NO_MEMORY, "no memory for the control plane");
		return NULL;
	}
	cache->node = node;
	cache->local = node_local(node);
	cache->last = &cache->first;
	pthread_mutex_init(&cache->lock, NULL);
	do
		seal_random(&cache->client, sizeof cache->client);
	while (cache->client == 0);
	if (pthread_create(&cache->thread, NULL, serve, cache) == 0) {
		pthread_setname_np(cache->thread, "control-cache");
		return cache;
	}
	error_set(error, STATUS_UNAVAILABLE, "the control plane's cache thread did not start");
	free(cache);
	return NULL;
}

void
cache_stop(struct cache *cache)
{
	pthread_mutex_lock(&cache->lock);
	cache->stop = true;
	pthread_mutex_unlock(&cache->lock);
	(void)mailbox_send(local_mailbox(cache->local), cache);
	pthread_join(cache->thread, NULL);
}

void
cache_free(struct cache *cache)
{
	if (!cache)
		return;
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}
