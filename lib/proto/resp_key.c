/* resp_key.c - commands on keys whatever their values, and on all keys of the node: SCAN, KEYS, DBSIZE, RANDOMKEY. */
#include <stdio.h>

#include "proto/resp.h"

#include "base/bytes.h"

/* --- what is known of a key --------------------------------------------------------- */

/* The key stands last in those that have a subcommand. */
void
resp_parse_meta(struct resp_parse *p)
{
	resp_key_request(p, OP_META, p->args.at[p->command->first]);
}

void
resp_compose_type(struct resp_compose *c, const struct resp_run *run)
{
	if (!resp_failed(c, run->responses))
		resp_simple(&c->out, run->responses->status == OP_STATUS_OK ? "string" : "none");
}

/* TTL, PTTL, EXPIRETIME, PEXPIRETIME. */
void
resp_compose_ttl(struct resp_compose *c, const struct resp_run *run)
{
	const struct response *response = run->responses;
	enum resp_verb verb = run->command->verb;
	uint64_t ms = response->expiry_ms, now = c->reply->now->wall_ms;

	if (resp_failed(c, response))
		return;
	if (response->status != OP_STATUS_OK || response->expiry_ms == 0) {
		resp_integer(&c->out, response->status == OP_STATUS_OK ? -1 : -2);
		return;
	}
	if (verb == RESP_TTL || verb == RESP_PTTL)
		ms = ms > now ? ms - now : 0;
	if (verb == RESP_TTL || verb == RESP_EXPIRETIME)
		ms = (ms + 500) / 1000;
	resp_integer(&c->out, (int64_t)ms);
}

/* A key that is missing, or a failure: answered. */
static bool
is_missing(struct resp_compose *c, const struct response *response)
{
	if (response->status == OP_STATUS_OK)
		return false;
	if (!resp_failed(c, response))
		resp_null(c);
	return true;
}

void
resp_parse_object(struct resp_parse *p)
{
	struct request *request = resp_key_request(p, OP_GET, p->args.at[2]);

	if (request)
		request->flags = REQUEST_NO_BUMP;
}

/* What Redis would choose for this value when it is SET: it says what kind of value it is. */
void
resp_compose_object_encoding(struct resp_compose *c, const struct resp_run *run)
{
	struct view value = run->responses->value;
	int64_t number;

	if (is_missing(c, run->responses))
		return;
	resp_bulk_text(&c->out, resp_number(value, &number) ? "int" : value.len <= 44 ? "embstr" : "raw");
}

void
resp_compose_object_freq(struct resp_compose *c, const struct resp_run *run)
{
	if (!is_missing(c, run->responses))
		resp_integer(&c->out, (int64_t)run->responses->number);
}

void
resp_compose_object_idletime(struct resp_compose *c, const struct resp_run *run)
{
	if (!is_missing(c, run->responses))
		resp_reply(c, RESP_REPLY_IDLE_LFU);
}

void
resp_compose_object_refcount(struct resp_compose *c, const struct resp_run *run)
{
	if (!is_missing(c, run->responses))
		resp_integer(&c->out, 1);
}

void
resp_parse_memory_usage(struct resp_parse *p)
{
	const struct view *args = p->args.at;
	int64_t samples;

	if (p->args.count == 3 || (p->args.count == 5 && resp_is(args[3], "samples") && resp_number(args[4], &samples) &&
	    samples >= 0))
		resp_key_request(p, OP_META, args[2]);
	else
		resp_refuse(p, RESP_REPLY_SYNTAX);
}

/* An item's header and its position in the table (store/item.h, store/keymap.h), beside its key and value. */
enum { ITEM_OVERHEAD = 28 + 28 };

void
resp_compose_memory_usage(struct resp_compose *c, const struct resp_run *run)
{
	if (!is_missing(c, run->responses))
		resp_integer(&c->out, ITEM_OVERHEAD + (int64_t)run->requests->key.len + run->responses->total_len);
}

/* --- expiries ----------------------------------------------------------------------- */

/* NX XX GT LT behind the time; refused: false. */
static bool
conditions(struct resp_parse *p, uint32_t *options)
{
	static const struct {
		const char *word;
		uint32_t option;
	} words[] = {
		{ "nx", REQUEST_TTL_NONE }, { "xx", REQUEST_TTL_SOME }, { "gt", REQUEST_TTL_LATER }, { "lt", REQUEST_TTL_EARLIER },
	};

	*options = 0;
	for (uint32_t i = 3; i < p->args.held; i++) {
		uint32_t k = 0;

		while (k < 4 && !resp_is(p->args.at[i], words[k].word))
			k++;
		if (k == 4) {
			resp_refuse(p, RESP_REPLY_BAD_OPTION);
			p->pass->requests[p->pass->count - 1].length = i;
			return false;
		}
		*options |= words[k].option;
	}
	if ((*options & REQUEST_TTL_NONE) && *options != REQUEST_TTL_NONE) {
		resp_refuse(p, RESP_REPLY_NX_AND_XX);
		return false;
	}
	if ((*options & REQUEST_TTL_LATER) && (*options & REQUEST_TTL_EARLIER)) {
		resp_refuse(p, RESP_REPLY_GT_AND_LT);
		return false;
	}
	return true;
}

/* EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT. A time that has passed deletes; 1 stands for all of those. */
void
resp_parse_expire(struct resp_parse *p)
{
	enum resp_verb verb = p->command->verb;
	bool seconds = verb == RESP_EXPIRE || verb == RESP_EXPIREAT;
	int64_t base = verb == RESP_EXPIRE || verb == RESP_PEXPIRE ? (int64_t)p->pass->now->wall_ms : 0, when;
	struct request *request;
	uint32_t options;

	if (!conditions(p, &options))
		return;
	if (!resp_number(p->args.at[2], &when)) {
		resp_refuse(p, RESP_REPLY_NOT_INTEGER);
		return;
	}
	if ((seconds && __builtin_mul_overflow(when, 1000, &when)) || when > INT64_MAX - base) {
		resp_refuse(p, RESP_REPLY_BAD_EXPIRY);
		return;
	}
	when += base;
	request = resp_key_request(p, OP_TOUCH, p->args.at[1]);
	if (!request)
		return;
	request->options = options | REQUEST_PAST;
	request->expiry_ms = when <= 0 ? 1 : (uint64_t)when >> 48 ? (1ull << 48) - 1 : (uint64_t)when;
}

void
resp_parse_persist(struct resp_parse *p)
{
	struct request *request = resp_key_request(p, OP_TOUCH, p->args.at[1]);

	if (request)
		request->options = REQUEST_TTL_SOME;
}

/* 1: it was done. */
void
resp_compose_done(struct resp_compose *c, const struct resp_run *run)
{
	if (!resp_failed(c, run->responses))
		resp_integer(&c->out, run->responses->status == OP_STATUS_OK);
}

/* --- all keys ----------------------------------------------------------------------- */

void
resp_parse_flush(struct resp_parse *p)
{
	const struct resp_args *args = &p->args;

	if (args->count == 1 || (args->count == 2 && (resp_is(args->at[1], "sync") || resp_is(args->at[1], "async"))))
		resp_request(p, OP_FLUSH);
	else
		resp_refuse(p, RESP_REPLY_SYNTAX);
}

void
resp_compose_flush(struct resp_compose *c, const struct resp_run *run)
{
	if (!resp_failed(c, run->responses))
		resp_simple(&c->out, "OK");
}

static void
ask_tallies(struct resp_parse *p, uint8_t part)
{
	for (uint32_t i = 0; i < p->pass->facts->worker_count; i++) {
		struct request *request = resp_request(p, OP_KEYS);

		request->slot = (uint16_t)i;
		request->length = 1;
		request->options = REQUEST_TALLY;
		request->initial = part;
	}
}

void
resp_parse_dbsize(struct resp_parse *p)
{
	if (resp_room(p, p->pass->facts->worker_count))
		ask_tallies(p, 0);
}

void
resp_compose_dbsize(struct resp_compose *c, const struct resp_run *run)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < run->count; i++) {
		if (resp_failed(c, &run->responses[i]))
			return;
		sum += run->responses[i].total_len;
	}
	resp_integer(&c->out, (int64_t)sum);
}

/* What a pattern begins with, whatever matches it. */
static struct view
prefix_of(struct view pattern)
{
	uint32_t len = 0;

	while (len < pattern.len && !strchr("*?[\\", pattern.data[len]) && pattern.data[len] != 0)
		len++;
	return view_of(pattern.data, len);
}

/* A page of keys from where the walk is; the composer moves on. */
static struct request *
ask_page(struct resp_parse *p, uint32_t slot, uint32_t options, uint32_t length)
{
	struct request *request = resp_request(p, OP_KEYS);

	request->slot = (uint16_t)slot;
	request->handle = p->state->memory->cursor;
	request->options = REQUEST_WIDE | options;
	request->length = length;
	p->state->memory->next++;
	p->stop = true;
	return request;
}

/* How the composer of a walk takes its next step from a page. */
enum page { PAGE_TAKEN, PAGE_AGAIN, PAGE_FAILED };

static enum page
take_page(struct resp_compose *c, const struct response *response, const struct view *pattern)
{
	struct resp_memory *memory = c->state->memory;
	struct reader in = reader_of(response->value.data, response->value.len);
	struct resp_out out;

	if (response->status == OP_STATUS_BUSY)
		return PAGE_AGAIN;
	if (response->status == OP_STATUS_BAD_RANGE) {
		memory->cursor = 0; /* a cursor that is none: nothing is there */
		return PAGE_TAKEN;
	}
	if (resp_failed(c, response)) {
		outq_clear(c->reply->blocks, &memory->gathered);
		memory->finished = true;
		return PAGE_FAILED;
	}
	resp_out_begin(&out, c->reply->blocks, &memory->gathered);
	while (reader_left(&in) > 0) {
		struct view key = reader_view(&in, reader_le16(&in));

		if (in.failed || (pattern && !resp_glob(*pattern, key, false)))
			continue;
		resp_bulk(&out, key);
		memory->gathered_count++;
	}
	resp_flush(&out);
	if (out.failed) {
		outq_clear(c->reply->blocks, &memory->gathered);
		resp_reply(c, RESP_REPLY_NO_BLOCK);
		memory->finished = true;
		return PAGE_FAILED;
	}
	memory->cursor = response->number;
	return PAGE_TAKEN;
}

/* What was gathered, as an array. */
static void
put_gathered(struct resp_compose *c)
{
	struct resp_memory *memory = c->state->memory;

	memory->finished = true;
	resp_array(&c->out, memory->gathered_count);
	resp_flush(&c->out);
	if (c->out.failed || c->out.muted)
		outq_clear(c->reply->blocks, &memory->gathered);
	else
		outq_splice(c->reply->out, &memory->gathered);
}

/* The command is answered, and whatever its parser would ask next it need not. */
static bool
is_over(struct resp_parse *p)
{
	if (!p->state->memory->finished)
		return false;
	resp_went_on(p);
	p->stop = false;
	return true;
}

static bool
goes_on(const struct resp_parse *p)
{
	return p->replayed && p->state->memory->going != RESP_NONE;
}

void
resp_parse_keys(struct resp_parse *p)
{
	if (!goes_on(p))
		resp_go_on(p);
	else if (!is_over(p))
		ask_page(p, p->state->memory->shard, 0, UINT32_MAX)->key = prefix_of(p->args.at[1]);
}

void
resp_compose_keys(struct resp_compose *c, const struct resp_run *run)
{
	struct resp_memory *memory = c->state->memory;
	struct resp_args args;

	resp_args_of(c, run, &args);
	if (take_page(c, run->responses, &args.at[1]) != PAGE_TAKEN || memory->cursor != 0)
		return;
	if (++memory->shard == c->reply->facts->worker_count)
		put_gathered(c);
}

/* --- SCAN --------------------------------------------------------------------------- */

/* A cursor is a shard and a position in it; 0 is the first shard's beginning, and the end. */
enum { CURSOR_SHARD_SHIFT = 32, SCAN_ROUNDS = 16 };

struct scan {
	uint64_t cursor;
	int64_t count;
	struct view pattern;
	bool has_pattern, nothing; /* nothing: a type that no key has */
};

static bool
cursor_parse(struct view text, uint64_t *cursor)
{
	*cursor = 0;
	if (text.len == 0)
		return false;
	for (uint32_t i = 0; i < text.len; i++)
		if (text.data[i] < '0' || text.data[i] > '9' || __builtin_mul_overflow(*cursor, 10, cursor) ||
		    __builtin_add_overflow(*cursor, text.data[i] - '0', cursor))
			return false;
	return true;
}

static enum resp_reply_code
scan_options(const struct resp_args *args, struct scan *scan)
{
	*scan = (struct scan){ .count = 10 };
	if (!cursor_parse(args->at[1], &scan->cursor))
		return RESP_REPLY_BAD_CURSOR;
	for (uint32_t i = 2; i < args->held; i += 2) {
		bool more = i + 1 < args->held;

		if (more && resp_is(args->at[i], "count")) {
			if (!resp_number(args->at[i + 1], &scan->count))
				return RESP_REPLY_NOT_INTEGER;
			if (scan->count < 1)
				return RESP_REPLY_SYNTAX;
		} else if (more && resp_is(args->at[i], "match")) {
			scan->pattern = args->at[i + 1];
			scan->has_pattern = true;
		} else if (more && resp_is(args->at[i], "type")) {
			scan->nothing = !resp_is(args->at[i + 1], "string");
		} else {
			return RESP_REPLY_SYNTAX;
		}
	}
	return RESP_REPLY_COMPOSED;
}

void
resp_parse_scan(struct resp_parse *p)
{
	struct resp_memory *memory = p->state->memory;
	enum resp_reply_code code;
	struct scan scan;
	uint64_t left;

	if (goes_on(p) && is_over(p))
		return;
	code = scan_options(&p->args, &scan);
	if (code != RESP_REPLY_COMPOSED) {
		resp_refuse(p, code);
		return;
	}
	if (!goes_on(p)) {
		if (!resp_go_on(p))
			return;
		memory = p->state->memory;
		memory->cursor = (uint32_t)scan.cursor;
		memory->shard = (uint32_t)(scan.cursor >> CURSOR_SHARD_SHIFT) % p->pass->facts->worker_count;
		return;
	}
	left = (uint64_t)scan.count - (memory->gathered_count < (uint64_t)scan.count ? memory->gathered_count : 0);
	ask_page(p, memory->shard, 0, left < UINT32_MAX ? (uint32_t)left : UINT32_MAX)->key =
	    scan.has_pattern ? prefix_of(scan.pattern) : view_of(NULL, 0);
}

void
resp_compose_scan(struct resp_compose *c, const struct resp_run *run)
{
	struct resp_memory *memory = c->state->memory;
	struct resp_args args;
	struct scan scan;
	uint64_t cursor;
	char text[24];

	resp_args_of(c, run, &args);
	scan_options(&args, &scan);
	if (take_page(c, run->responses, scan.nothing ? &(struct view){ NULL, 0 } : scan.has_pattern ? &scan.pattern : NULL) !=
	    PAGE_TAKEN)
		return;
	if (memory->cursor == 0)
		memory->shard++;
	cursor = memory->shard == c->reply->facts->worker_count ? 0 :
	    (uint64_t)memory->shard << CURSOR_SHARD_SHIFT | memory->cursor;
	if (cursor != 0 && memory->gathered_count < (uint64_t)scan.count && memory->next < SCAN_ROUNDS)
		return;
	snprintf(text, sizeof text, "%llu", (unsigned long long)cursor);
	resp_array(&c->out, 2);
	resp_bulk_text(&c->out, text);
	put_gathered(c);
}

/* --- RANDOMKEY ---------------------------------------------------------------------- */

enum { TALLIES, ANYWHERE, FROM_THERE_ON };

/* splitmix64: spreads what little differs from one call to the next. */
static uint64_t
spread(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* A shard by its share of all keys, then a position of it, and the first key from there on. */
void
resp_parse_randomkey(struct resp_parse *p)
{
	struct resp_memory *memory = p->state->memory;

	if (!goes_on(p)) {
		resp_go_on(p);
	} else if (memory->phase == TALLIES) {
		memory->total = p->pass->facts->worker_count;
		ask_tallies(p, RESP_PART);
		memory->phase = ANYWHERE;
		p->stop = true;
	} else if (!is_over(p)) {
		struct request *request = ask_page(p, memory->shard, REQUEST_RANDOM, 1);

		request->version = memory->sum;
		request->offset = memory->phase == FROM_THERE_ON;
		if (memory->phase == ANYWHERE)
			request->handle = spread(memory->sum);
		memory->phase = FROM_THERE_ON;
	}
}

static void
choose_shard(struct resp_compose *c, const struct resp_run *run)
{
	struct resp_memory *memory = c->state->memory;
	uint64_t sum = 0, at;

	for (uint32_t i = 0; i < run->count; i++)
		sum += run->responses[i].status == OP_STATUS_OK ? run->responses[i].total_len : 0;
	memory->sum = spread(c->reply->now->mono_ns ^ sum);
	if (sum == 0) {
		resp_null(c);
		memory->finished = true;
		return;
	}
	at = memory->sum % sum;
	memory->sum = spread(memory->sum);
	for (memory->shard = 0; at >= run->responses[memory->shard].total_len; memory->shard++)
		at -= run->responses[memory->shard].total_len;
}

void
resp_compose_randomkey(struct resp_compose *c, const struct resp_run *run)
{
	struct resp_memory *memory = c->state->memory;

	if (run->part) {
		choose_shard(c, run);
		return;
	}
	if (take_page(c, run->responses, NULL) != PAGE_TAKEN)
		return;
	if (memory->gathered_count == 1) {
		resp_flush(&c->out);
		if (c->out.muted)
			outq_clear(c->reply->blocks, &memory->gathered);
		else
			outq_splice(c->reply->out, &memory->gathered);
		memory->finished = true;
	} else if (memory->cursor == 0 && ++memory->ends == 2) {
		resp_null(c);
		memory->finished = true;
	}
}

/* --- keys of one slot --------------------------------------------------------------- */

/* CLUSTER COUNTKEYSINSLOT, GETKEYSINSLOT. */
void
resp_parse_cluster_slot_keys(struct resp_parse *p)
{
	struct resp_memory *memory = p->state->memory;
	int64_t slot, most = INT64_MAX;

	if (!resp_number(p->args.at[2], &slot)) {
		resp_refuse(p, RESP_REPLY_NOT_INTEGER);
	} else if (slot < 0 || slot >= SLOT_COUNT) {
		resp_refuse(p, p->args.count == 4 ? RESP_REPLY_BAD_SLOT_KEYS : RESP_REPLY_BAD_SLOT);
	} else if (p->args.count == 4 && !resp_number(p->args.at[3], &most)) {
		resp_refuse(p, RESP_REPLY_NOT_INTEGER);
	} else if (most < 0) {
		resp_refuse(p, RESP_REPLY_BAD_SLOT_KEYS);
	} else if (most == 0) {
		resp_refuse(p, RESP_REPLY_EMPTY);
	} else if (!goes_on(p)) {
		resp_go_on(p);
	} else if (!is_over(p)) {
		uint64_t left = (uint64_t)most - memory->gathered_count;

		ask_page(p, (uint32_t)slot, REQUEST_IN_SLOT, left < UINT32_MAX ? (uint32_t)left : UINT32_MAX);
	}
}

void
resp_compose_cluster_slot_keys(struct resp_compose *c, const struct resp_run *run)
{
	struct resp_memory *memory = c->state->memory;
	bool counts = run->command->verb == RESP_CLUSTER_COUNTKEYSINSLOT;

	if (take_page(c, run->responses, NULL) != PAGE_TAKEN)
		return;
	if (counts)
		outq_clear(c->reply->blocks, &memory->gathered);
	if (memory->cursor != 0 && run->requests->length != run->responses->total_len)
		return;
	if (counts) {
		resp_integer(&c->out, (int64_t)memory->gathered_count);
		memory->finished = true;
	} else {
		put_gathered(c);
	}
}
