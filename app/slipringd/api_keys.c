#include "slipringd/api_keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "proto/native.h"
#include "ring/slot.h"
#include "slipringd/api_cache.h"
#include "slipringd/api_json.h"
#include "slipringd/api_parts.h"

enum { BAD_REQUEST = 400, UNAVAILABLE = 503, OUT_OF_MEMORY = 507, PLACE_LEN = 28, CURSOR_LEN = PLACE_LEN + 4 };

/* Where a page begins. */
struct place {
	uint64_t member; /* id */
	uint16_t shard;
	uint32_t position;
};

struct listing {
	struct cache_job job; /* first: what is done finds the listing by it */
	struct cache_op op;
	struct cache *cache;
	const struct http_request *request;
	struct http_reply *reply;
	char prefix[KEY_LEN_MAX + 1];
	uint64_t limit, epoch;
	struct api_part *parts;
	uint32_t part_count, at; /* at: the part asked now */
	uint64_t until_ms;
	struct place place;
	json_t *keys, *absent;
	uint16_t first_owners[SLOT_COUNT]; /* positions */
};

static uint64_t
clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- cursors --------------------------------------------------------------------------- */

/* A cursor of another prefix, or one that was changed, leads nowhere good. */
static uint16_t
seal_of(const char *place, const char *prefix)
{
	return (uint16_t)(slot_crc16(place, PLACE_LEN) ^ slot_crc16(prefix, (uint32_t)strlen(prefix)) * 3u);
}

static void
cursor_print(const struct listing *listing, char text[CURSOR_LEN + 1])
{
	snprintf(text, CURSOR_LEN + 1, "%016" PRIx64 "%04x%08x", listing->place.member, listing->place.shard,
	    listing->place.position);
	snprintf(text + PLACE_LEN, 5, "%04x", seal_of(text, listing->prefix));
}

static bool
cursor_parse(struct listing *listing, const char *text)
{
	unsigned shard, position, seal;

	if (strlen(text) != CURSOR_LEN || text[strspn(text, "0123456789abcdef")] ||
	    sscanf(text, "%16" SCNx64 "%4x%8x%4x", &listing->place.member, &shard, &position, &seal) != 4)
		return false;
	listing->place.shard = (uint16_t)shard;
	listing->place.position = position;
	return seal == seal_of(text, listing->prefix);
}

/* --- the page -------------------------------------------------------------------------- */

static void
free_listing(struct listing *listing)
{
	free(listing->op.data);
	free(listing->parts);
	json_decref(listing->keys);
	json_decref(listing->absent);
	free(listing);
}

/* The end of the page: all members done, or a cursor. */
static void
finish(struct listing *listing)
{
	const struct http_request *request = listing->request;
	char cursor[CURSOR_LEN + 1];

	cursor_print(listing, cursor);
	listing->reply->json = json_pack("{s:O, s:o, s:O, s:I}", "keys", listing->keys, "cursor",
	    listing->at < listing->part_count ? json_string(cursor) : json_null(), "absent", listing->absent, "epoch",
	    (json_int_t)listing->epoch);
	free_listing(listing);
	http_ready(request);
}

static void
next_member(struct listing *listing)
{
	listing->at++;
	listing->place = (struct place){ .member = listing->at < listing->part_count ? listing->parts[listing->at].id : 0 };
}

static void
pass_over(struct listing *listing)
{
	json_array_append_new(listing->absent, json_string(listing->parts[listing->at].name));
	next_member(listing);
}

static void
take_keys(struct listing *listing)
{
	struct reader in = reader_of(listing->op.data, listing->op.total_len);
	struct view key;

	while (native_keys_next(&in, &key)) {
		json_t *object;

		if (listing->first_owners[slot_of_key(key)] != listing->parts[listing->at].position)
			continue;
		object = json_object();
		api_set_bytes(object, "key", "key_encoding", key);
		json_array_append_new(listing->keys, object);
	}
}

/* A member answered a call. */
static void
go_on(struct listing *listing)
{
	take_keys(listing);
	listing->place.position = (uint32_t)listing->op.cursor;
	if (listing->op.cursor == 0 && ++listing->place.shard >= listing->op.shards)
		next_member(listing);
}

static bool
is_full(const struct listing *listing)
{
	return json_array_size(listing->keys) >= listing->limit || clock_ms() >= listing->until_ms;
}

static void called(struct cache_job *job);

/* The next call of the page; false: there is none, or it cannot be made now. */
static bool
call(struct listing *listing)
{
	while (listing->at < listing->part_count && listing->parts[listing->at].dead)
		pass_over(listing);
	if (listing->at == listing->part_count || is_full(listing))
		return false;
	free(listing->op.data);
	listing->op = (struct cache_op){ .op = OP_KEYS, .key = view_text(listing->prefix), .slot = listing->place.shard,
		.target = listing->parts[listing->at].target, .cursor = listing->place.position,
		.limit = (uint32_t)(listing->limit - json_array_size(listing->keys)) };
	listing->job = (struct cache_job){ .ops = &listing->op, .count = 1, .together = true, .done = called };
	return cache_submit(listing->cache, &listing->job);
}

static void
refuse_cursor(struct listing *listing)
{
	const struct http_request *request = listing->request;

	http_refuse(listing->reply, BAD_REQUEST, "bad_cursor", "the cursor leads nowhere on its node; begin without one");
	free_listing(listing);
	http_ready(request);
}

static void
called(struct cache_job *job)
{
	struct listing *listing = (struct listing *)job;

	switch (listing->op.status) {
	case OP_STATUS_OK:
		go_on(listing);
		break;
	case OP_STATUS_BUSY: /* the page ends here; the next one tries again */
		finish(listing);
		return;
	case OP_STATUS_BAD_RANGE: case OP_STATUS_WRONG_SLOT:
		refuse_cursor(listing);
		return;
	default:
		pass_over(listing);
	}
	if (!call(listing))
		finish(listing);
}

/* --- the request ----------------------------------------------------------------------- */

static bool
read_request(struct listing *listing)
{
	const struct http_request *request = listing->request;
	struct http_reply *reply = listing->reply;
	char text[64];

	if (!http_query(request, "prefix", listing->prefix, sizeof listing->prefix)) {
		listing->prefix[0] = '\0';
		if (http_has_query(request, "prefix")) {
			http_refuse(reply, BAD_REQUEST, "bad_prefix", "prefix must be at most 250 bytes, percent-encoded, none of them 0");
			return false;
		}
	}
	listing->limit = API_KEYS_DEFAULT;
	if (http_has_query(request, "limit") && (!http_query(request, "limit", text, sizeof text) ||
	    !api_parse_number(text, API_KEYS_MAX, &listing->limit) || listing->limit == 0)) {
		http_refuse(reply, BAD_REQUEST, "bad_request", "limit must be a number from 1 to 1000");
		return false;
	}
	if (http_has_query(request, "cursor") && (!http_query(request, "cursor", text, sizeof text) ||
	    !cursor_parse(listing, text))) {
		http_refuse(reply, BAD_REQUEST, "bad_cursor", "the cursor is not one that this prefix was given");
		return false;
	}
	return true;
}

/* Where the cursor leads; a member that is gone is followed by the next one. */
static void
find_place(struct listing *listing)
{
	uint64_t member = listing->place.member;

	while (listing->at < listing->part_count && listing->parts[listing->at].id < member)
		listing->at++;
	if (listing->at < listing->part_count && listing->parts[listing->at].id != member)
		listing->place = (struct place){ .member = listing->parts[listing->at].id };
}

static bool
fill(struct listing *listing, const struct api_view *view)
{
	if (!view->placed) {
		http_refuse(listing->reply, UNAVAILABLE, "no_topology", "the cluster has no partition table yet; see /cluster/status");
		return false;
	}
	if (!read_request(listing))
		return false;
	listing->parts = api_parts_take(view, &listing->part_count);
	listing->keys = json_array();
	listing->absent = json_array();
	listing->until_ms = clock_ms() + API_KEYS_MS;
	listing->epoch = view->snapshot.topology.epoch;
	memcpy(listing->first_owners, view->snapshot.table.owners[0], sizeof listing->first_owners);
	if (!listing->parts)
		http_refuse(listing->reply, OUT_OF_MEMORY, "out_of_memory", "no memory for the page");
	return listing->parts;
}

void
api_keys_list(struct api_view *view, struct cache *cache, const struct http_request *request,
    struct http_reply *reply)
{
	struct listing *listing = calloc(1, sizeof *listing);

	if (!listing) {
		http_refuse(reply, OUT_OF_MEMORY, "out_of_memory", "no memory for the page");
		return;
	}
	listing->cache = cache;
	listing->request = request;
	listing->reply = reply;
	api_view_take(view);
	if (!fill(listing, view)) {
		free_listing(listing);
		return;
	}
	find_place(listing);
	http_later(request);
	if (call(listing))
		return;
	if (listing->at < listing->part_count) {
		http_refuse(reply, UNAVAILABLE, "busy", "too many requests to the cache wait; try again");
		free_listing(listing);
		http_ready(request);
	} else {
		finish(listing);
	}
}
