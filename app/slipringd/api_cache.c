#include "slipringd/api_cache.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/now.h"
#include "control/base64.h"
#include "slipringd/api_json.h"

enum { OK = 200, BAD_REQUEST = 400 };

/* A hundred years, as the client library has it. */
#define TTL_MS_MAX (100ull * 365 * 24 * 3600 * MS_PER_SEC)

/* One request on its way through the cache. */
struct errand {
	struct cache_job job;
	const struct http_request *request;
	struct http_reply *reply;
	bool envelope;  /* GET: JSON is wanted */
	bool *refused;  /* batch, by item: it was malformed, and is not among job.ops */
	uint32_t items; /* batch */
	json_t *body;   /* batch: keys and values point into it */
	struct cache_op *ops;
	uint8_t (*keys)[KEY_LEN_MAX + 1]; /* by operation; one byte more, so that too long shows */
	uint8_t *values;                  /* decoded from base64 */
};

static void
free_errand(struct errand *errand)
{
	for (uint32_t i = 0; i < errand->job.count; i++)
		free(errand->ops[i].data);
	json_decref(errand->body);
	free(errand->ops);
	free(errand->keys);
	free(errand->values);
	free(errand->refused);
	free(errand);
}

static struct errand *
make_errand(const struct http_request *request, struct http_reply *reply, uint32_t count, size_t value_bytes)
{
	struct errand *errand = calloc(1, sizeof *errand);

	if (!errand)
		return NULL;
	errand->request = request;
	errand->reply = reply;
	errand->ops = calloc(count, sizeof *errand->ops);
	errand->keys = calloc(count, sizeof *errand->keys);
	errand->refused = calloc(count, sizeof *errand->refused);
	errand->values = malloc(value_bytes + 1);
	errand->job.ops = errand->ops;
	if (errand->ops && errand->keys && errand->refused && errand->values)
		return errand;
	free_errand(errand);
	return NULL;
}

/* --- statuses ----------------------------------------------------------------------------- */

const char *
api_status_name(int status)
{
	return status == CACHE_TIMEOUT ? "timeout" : op_status_name((enum op_status)status);
}

static const char *
status_text(int status)
{
	return status == CACHE_TIMEOUT ? "the worker did not answer in time; a write may or may not have happened" :
	    op_status_text((enum op_status)status);
}

static unsigned
http_status(int status)
{
	switch (status) {
	case OP_STATUS_OK: return OK;
	case OP_STATUS_NOT_FOUND: return 404;
	case OP_STATUS_EXISTS: case OP_STATUS_NOT_STORED: return 412;
	case OP_STATUS_TOO_LARGE: return 413;
	case OP_STATUS_BAD_KEY: return BAD_REQUEST;
	case OP_STATUS_OUT_OF_MEMORY: return 507;
	case OP_STATUS_BUSY: case OP_STATUS_CHANGED: case OP_STATUS_STALE_EPOCH: case OP_STATUS_OWNER_DEAD: return 503;
	case OP_STATUS_OWNER_TIMEOUT: case CACHE_TIMEOUT: return 504;
	default: return 500;
	}
}

void
api_refuse_status(struct http_reply *reply, int status)
{
	http_refuse(reply, http_status(status), api_status_name(status), status_text(status));
}

/* --- JSON of keys and values ---------------------------------------------------------------- */

/* 64 bits do not fit a number in every JSON reader. */
static json_t *
version_json(uint64_t version)
{
	return json_sprintf("%" PRIu64, version);
}

static void
set_item(json_t *object, const struct cache_op *op)
{
	api_set_bytes(object, "value", "encoding", view_of(op->data, op->total_len));
	json_object_set_new(object, "version", version_json(op->version));
	json_object_set_new(object, "flags", json_integer(op->client_flags));
	json_object_set_new(object, "ttl_ms", op->ttl_ms == UINT64_MAX ? json_null() : json_integer((json_int_t)op->ttl_ms));
}

/* --- submitting --------------------------------------------------------------------------- */

static void
submit(struct cache *cache, struct errand *errand, uint32_t count, void (*done)(struct cache_job *job))
{
	const struct http_request *request = errand->request;
	struct http_reply *reply = errand->reply;

	errand->job.count = count;
	errand->job.done = done;
	http_later(request);
	if (cache_submit(cache, &errand->job))
		return;
	api_refuse_status(reply, OP_STATUS_BUSY);
	free_errand(errand);
	http_ready(request);
}

static void
settle(struct errand *errand)
{
	const struct http_request *request = errand->request;

	free_errand(errand);
	http_ready(request);
}

static struct errand *
out_of_memory(struct http_reply *reply)
{
	api_refuse_status(reply, OP_STATUS_OUT_OF_MEMORY);
	return NULL;
}

/* An errand of one operation on the path's key; NULL and the reply filled when there is none. */
static struct errand *
errand_of_key(const struct http_request *request, struct http_reply *reply, enum op op)
{
	struct errand *errand = make_errand(request, reply, 1, 0);

	if (!errand)
		return out_of_memory(reply);
	errand->ops[0].op = op;
	if (api_path_key(request, reply, errand->keys[0], &errand->ops[0].key))
		return errand;
	free_errand(errand);
	return NULL;
}

/* If-Match: "VERSION" makes the write conditional, If-None-Match: * asks that there be no item. */
static bool
read_condition(const struct http_request *request, struct cache_op *op)
{
	const char *match = http_header(request, "If-Match"), *none = http_header(request, "If-None-Match");
	char version[24];

	if (match) {
		size_t len = strlen(match);

		if (none || len < 3 || len >= sizeof version || match[0] != '"' || match[len - 1] != '"')
			return false;
		memcpy(version, match + 1, len - 2);
		version[len - 2] = '\0';
		op->flags = REQUEST_CAS;
		return api_parse_number(version, UINT64_MAX, &op->version) && op->version != 0;
	}
	if (none && (strcmp(none, "*") != 0 || op->op != OP_SET))
		return false;
	op->flags = none ? REQUEST_ADD : 0;
	return true;
}

/* --- one key --------------------------------------------------------------------------------- */

static void
tell_item(struct http_reply *reply, const struct cache_op *op)
{
	http_reply_header(reply, "ETag", "\"%" PRIu64 "\"", op->version);
	http_reply_header(reply, "Slipring-Flags", "%" PRIu32, op->client_flags);
	if (op->ttl_ms != UINT64_MAX)
		http_reply_header(reply, "Slipring-TTL-Ms", "%" PRIu64, op->ttl_ms);
}

static void
got(struct cache_job *job)
{
	struct errand *errand = (struct errand *)job;
	struct http_reply *reply = errand->reply;
	struct cache_op *op = &errand->ops[0];

	if (op->status != OP_STATUS_OK) {
		api_refuse_status(reply, op->status);
	} else if (op->op == OP_META) {
		tell_item(reply, op);
		reply->type = "application/octet-stream";
		reply->length_only = true;
		reply->text_len = op->total_len;
	} else if (errand->envelope) {
		tell_item(reply, op);
		reply->json = json_object();
		api_set_bytes(reply->json, "key", "key_encoding", op->key);
		set_item(reply->json, op);
	} else {
		tell_item(reply, op);
		reply->type = "application/octet-stream";
		reply->text = (char *)op->data;
		reply->text_len = op->total_len;
		op->data = NULL;
	}
	settle(errand);
}

static bool
wants_json(const struct http_request *request)
{
	const char *accept = http_header(request, "Accept");

	return accept && strcasestr(accept, "application/json");
}

/* A HEAD asks for no value, and is no hit. */
void
api_cache_get(struct cache *cache, const struct http_request *request, struct http_reply *reply)
{
	struct errand *errand = errand_of_key(request, reply, request->head ? OP_META : OP_GET);

	if (!errand)
		return;
	errand->envelope = wants_json(request);
	submit(cache, errand, 1, got);
}

static void
put(struct cache_job *job)
{
	struct errand *errand = (struct errand *)job;
	const struct cache_op *op = &errand->ops[0];

	if (op->status == OP_STATUS_OK) {
		http_reply_header(errand->reply, "ETag", "\"%" PRIu64 "\"", op->version);
		errand->reply->json = json_pack("{s:o}", "version", version_json(op->version));
	} else {
		api_refuse_status(errand->reply, op->status);
	}
	settle(errand);
}

static bool
read_put(const struct http_request *request, struct cache_op *op)
{
	const char *ttl = http_header(request, "Slipring-TTL-Ms"), *flags = http_header(request, "Slipring-Flags");
	uint64_t number = 0;

	if ((ttl && !api_parse_number(ttl, TTL_MS_MAX, &op->ttl_ms)) || (flags && !api_parse_number(flags, UINT32_MAX, &number)))
		return false;
	op->client_flags = (uint32_t)number;
	op->value = view_of(request->body, (uint32_t)request->body_len);
	return read_condition(request, op);
}

static void
refuse_header(struct errand *errand)
{
	http_refuse(errand->reply, BAD_REQUEST, "bad_request", "Slipring-TTL-Ms and Slipring-Flags must be numbers, If-Match "
	    "a quoted version, If-None-Match *");
	free_errand(errand);
}

void
api_cache_put(struct cache *cache, const struct http_request *request, struct http_reply *reply)
{
	struct errand *errand = errand_of_key(request, reply, OP_SET);

	if (!errand)
		return;
	if (read_put(request, &errand->ops[0]))
		submit(cache, errand, 1, put);
	else
		refuse_header(errand);
}

static void
deleted(struct cache_job *job)
{
	struct errand *errand = (struct errand *)job;

	if (errand->ops[0].status == OP_STATUS_OK)
		errand->reply->json = json_pack("{s:b}", "deleted", 1);
	else
		api_refuse_status(errand->reply, errand->ops[0].status);
	settle(errand);
}

void
api_cache_delete(struct cache *cache, const struct http_request *request, struct http_reply *reply)
{
	struct errand *errand = errand_of_key(request, reply, OP_DELETE);

	if (!errand)
		return;
	if (read_condition(request, &errand->ops[0]))
		submit(cache, errand, 1, deleted);
	else
		refuse_header(errand);
}

/* --- many keys ------------------------------------------------------------------------------ */

/* The bytes of a text member, decoded where `encoding` is base64; false: not that. */
static bool
read_bytes(const json_t *text, const json_t *encoding, uint8_t *room, struct view *bytes)
{
	size_t len = json_string_length(text);

	if (!json_is_string(text) || (encoding && !json_is_string(encoding)))
		return false;
	if (!encoding || strcmp(json_string_value(encoding), "utf-8") == 0) {
		*bytes = view_of(json_string_value(text), (uint32_t)len);
		return true;
	}
	len = strcmp(json_string_value(encoding), "base64") == 0 ? base64_decode(json_string_value(text), len, room) : BASE64_BAD;
	*bytes = view_of(room, (uint32_t)len);
	return len != BASE64_BAD;
}

static bool
read_integer(const json_t *value, uint64_t max, uint64_t *number)
{
	if (!value)
		return true;
	*number = (uint64_t)json_integer_value(value);
	return json_is_integer(value) && json_integer_value(value) >= 0 && *number <= max;
}

static bool
read_item(struct errand *errand, const json_t *item, struct cache_op *op, uint8_t **room)
{
	uint64_t flags = 0;

	if (!read_bytes(json_object_get(item, "key"), json_object_get(item, "key_encoding"), *room, &op->key))
		return false;
	*room += op->key.data == *room ? op->key.len : 0;
	if (errand->request->route != ROUTE_BATCH_PUT)
		return true;
	if (!read_bytes(json_object_get(item, "value"), json_object_get(item, "encoding"), *room, &op->value) ||
	    !read_integer(json_object_get(item, "ttl_ms"), TTL_MS_MAX, &op->ttl_ms) ||
	    !read_integer(json_object_get(item, "flags"), UINT32_MAX, &flags))
		return false;
	*room += op->value.data == *room ? op->value.len : 0;
	op->client_flags = (uint32_t)flags;
	return true;
}

/* One item's answer: its status always, the error's text or the item with it. */
static json_t *
item_json(enum route_id route, const struct cache_op *op)
{
	json_t *object = json_object();

	api_set_bytes(object, "key", "key_encoding", op->key);
	json_object_set_new(object, "status", json_string(api_status_name(op->status)));
	if (op->status != OP_STATUS_OK)
		json_object_set_new(object, "error", json_string(status_text(op->status)));
	else if (route == ROUTE_BATCH_GET)
		set_item(object, op);
	else if (route == ROUTE_BATCH_PUT)
		json_object_set_new(object, "version", version_json(op->version));
	return object;
}

/* The answers stand in the order of the items, those of malformed ones among them. */
static void
batch_done(struct cache_job *job)
{
	struct errand *errand = (struct errand *)job;
	json_t *list = json_array();
	const struct cache_op *op = errand->ops;

	for (uint32_t i = 0; i < errand->items; i++) {
		if (errand->refused[i])
			json_array_append_new(list, json_pack("{s:n, s:s, s:s, s:s}", "key", "key_encoding", "utf-8", "status",
			    "bad_request", "error", "the item lacks a member, or one is of another type or out of range"));
		else
			json_array_append_new(list, item_json(errand->request->route, op++));
	}
	errand->reply->json = json_pack("{s:o}", "items", list);
	settle(errand);
}

static enum op
op_of(enum route_id route)
{
	return route == ROUTE_BATCH_GET ? OP_GET : route == ROUTE_BATCH_PUT ? OP_SET : OP_DELETE;
}

void
api_cache_batch(struct cache *cache, const struct http_request *request, struct http_reply *reply)
{
	json_t *body = json_loadb(request->body, request->body_len, JSON_REJECT_DUPLICATES, NULL);
	json_t *items = json_object_get(body, "items");
	size_t count = json_array_size(items);
	struct errand *errand;
	uint32_t ops = 0;

	if (count < 1 || count > API_BATCH_MAX) {
		json_decref(body);
		http_refuse(reply, BAD_REQUEST, "bad_request", "the body must be JSON, {\"items\": [...]} with 1..256 items");
		return;
	}
	errand = make_errand(request, reply, (uint32_t)count, request->body_len);
	if (!errand) {
		json_decref(body);
		out_of_memory(reply);
		return;
	}
	errand->body = body;
	errand->items = (uint32_t)count;
	uint8_t *room = errand->values;
	for (uint32_t i = 0; i < count; i++) {
		errand->refused[i] = !read_item(errand, json_array_get(items, i), &errand->ops[ops], &room);
		errand->ops[ops].op = op_of(request->route);
		if (errand->refused[i])
			errand->ops[ops] = (struct cache_op){ 0 };
		else
			ops++;
	}
	submit(cache, errand, ops, batch_done);
}
