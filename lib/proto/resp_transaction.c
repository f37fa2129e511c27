/*
 * resp_transaction.c - MULTI, EXEC, DISCARD, WATCH, UNWATCH.
 *
 * MULTI queues commands as they came, in a block; EXEC makes that the connection's text and runs it. WATCH asks for the
 * versions of its keys; EXEC asks by guards whether they are the same still.
 * What is atomic: commands whose requests are one pass and run on this worker, and with guards those of one worker's keys.
 * Else EXEC runs in several passes, the guards in one of their own, and others' commands may come between. Commands
 * are always run in order, and all of them or, when a guard fails, none.
 */
#include "proto/resp.h"

#include "base/bytes.h"

void
resp_parse_multi(struct resp_parse *p)
{
	if (p->state->mode & RESP_MODE_MULTI) {
		resp_refuse(p, RESP_REPLY_NESTED);
		return;
	}
	p->state->mode |= RESP_MODE_MULTI;
	resp_refuse(p, RESP_REPLY_OK);
}

void
resp_parse_discard(struct resp_parse *p)
{
	bool multi = p->state->mode & RESP_MODE_MULTI;

	resp_refuse(p, multi ? RESP_REPLY_OK : RESP_REPLY_DISCARD_ALONE);
	if (multi)
		resp_forget_transaction(p->state, p->pass->blocks);
}

void
resp_parse_unwatch(struct resp_parse *p)
{
	/* Within EXEC the keys have been let go already. */
	if (!p->replayed)
		resp_forget_watched(p->state, p->pass->blocks);
	resp_refuse(p, RESP_REPLY_OK);
}

/* --- WATCH -------------------------------------------------------------------------- */

void
resp_parse_watch(struct resp_parse *p)
{
	uint32_t n = p->args.count - 1, had = p->state->memory ? p->state->memory->watched_count : 0;

	if (p->state->mode & RESP_MODE_MULTI) {
		resp_refuse(p, RESP_REPLY_WATCH_INSIDE);
		return;
	}
	if (had + n > RESP_WATCHED_MAX || p->args.count > p->args.held) {
		resp_refuse(p, RESP_REPLY_WATCHED_MANY);
		return;
	}
	for (uint32_t i = 1; i <= n; i++) {
		if (p->args.at[i].len == 0 || p->args.at[i].len > RESP_KEY_LEN_MAX) {
			resp_refuse(p, RESP_REPLY_BAD_KEY);
			return;
		}
	}
	if (!resp_room(p, n))
		return;
	for (uint32_t i = 1; i <= n; i++)
		resp_key_request(p, OP_META, p->args.at[i]);
	/* EXEC, which may stand behind it, wants to know the versions. */
	p->stop = true;
	p->pass->settle = true;
}

/* The entry of a key that is watched, by number: where it stands in the piece. */
static struct view
watched_key(const struct resp_piece *watched, uint32_t *at, uint64_t *version)
{
	uint32_t len = load_le32(watched->bytes + *at + 8);
	struct view key = view_of(watched->bytes + *at + 12, len);

	*version = load_le64(watched->bytes + *at);
	*at += 12 + len;
	return key;
}

static bool
is_watched(const struct resp_memory *memory, struct view key)
{
	uint64_t version;

	for (uint32_t i = 0, at = 0; i < memory->watched_count; i++)
		if (view_equal(watched_key(&memory->watched, &at, &version), key))
			return true;
	return false;
}

static bool
watch_key(struct resp_memory *memory, struct blocks *blocks, struct view key, uint64_t version)
{
	uint32_t len = memory->watched.len;
	uint8_t entry[12];

	store_le64(entry, version);
	store_le32(entry + 8, key.len);
	if (!resp_piece_add(&memory->watched, blocks, entry, sizeof entry) ||
	    !resp_piece_add(&memory->watched, blocks, key.data, key.len)) {
		memory->watched.len = len;
		return false;
	}
	memory->watched_count++;
	return true;
}

void
resp_compose_watch(struct resp_compose *c, const struct resp_run *run)
{
	struct resp_memory *memory = resp_memory(c->state, c->reply->blocks);

	for (uint32_t i = 0; i < run->count; i++)
		if (resp_failed(c, &run->responses[i]))
			return;
	for (uint32_t i = 0; i < run->count; i++) {
		const struct response *response = &run->responses[i];
		uint64_t version = response->status == OP_STATUS_OK ? response->version : 0;

		if (memory && is_watched(memory, run->requests[i].key))
			continue;
		if (!memory || !watch_key(memory, c->reply->blocks, run->requests[i].key, version)) {
			resp_reply(c, RESP_REPLY_NO_BLOCK);
			return;
		}
	}
	resp_simple(&c->out, "OK");
}

/* --- EXEC --------------------------------------------------------------------------- */

static void
ask_guards(struct resp_parse *p, uint32_t count)
{
	const struct resp_piece *watched = &p->state->memory->spent;

	for (uint32_t i = 0, at = 0; i < count; i++) {
		struct request *request = resp_request(p, OP_GUARD);

		request->key = watched_key(watched, &at, &request->version);
	}
}

/* All of the pass's requests behind the guards run where the guards do. */
static bool
is_guarded(const struct resp_parse *p)
{
	const struct stream_pass *pass = p->pass;

	for (uint32_t i = 1; i < pass->count; i++) {
		const struct request *request = &pass->requests[i];

		if (request->op == OP_NONE)
			continue;
		if (!op_has_key(request->op) || !resp_same_place(p, pass->requests[0].key, request->key))
			return false;
	}
	return true;
}

/* Behind guards in a pass of their own. */
static void
exec_guarded(struct resp_parse *p)
{
	struct resp_memory *memory = p->state->memory;

	memory->going = RESP_NONE;
	p->stay = true;
	if (memory->failed) {
		memory->text_at = memory->text.len;
		resp_refuse(p, RESP_REPLY_NULL_ARRAY);
		p->stop = true;
	} else {
		resp_refuse(p, RESP_REPLY_COMPOSED);
	}
}

/* The queue becomes the text; its commands are asked for as far as they have room, behind EXEC's own requests. */
static void
run_queue(struct resp_parse *p, uint32_t guards)
{
	struct resp_memory *memory = p->state->memory;
	const struct resp_command *exec = p->command;
	struct view text = p->args.text;

	resp_parse_text(p);
	p->args.text = text;
	p->command = exec;
	p->retry = p->stay = false;
	if (guards == 0 || memory->text.len == 0) /* without a queue, guards of whatever places are all there is to ask */
		return;
	if (memory->text_at == memory->text.len && is_guarded(p)) {
		for (uint32_t i = 0; i < guards; i++)
			p->pass->requests[i].length = p->pass->count - i - 1;
		return;
	}
	/* Not in one pass and place: the guards by themselves, and the queue from its beginning. */
	p->pass->count = guards;
	for (uint32_t i = 0; i < guards; i++)
		p->pass->requests[i].initial = RESP_PART;
	memory->text_at = 0;
	memory->going = RESP_EXEC;
	memory->failed = false;
	memory->total = memory->done = 0;
}

void
resp_parse_exec(struct resp_parse *p)
{
	struct resp_memory *memory = p->state->memory;
	uint32_t guards;

	if (p->replayed) {
		exec_guarded(p);
		return;
	}
	if (!(p->state->mode & RESP_MODE_MULTI)) {
		resp_refuse(p, RESP_REPLY_EXEC_ALONE);
		return;
	}
	if (p->state->mode & RESP_MODE_ABORTED) {
		resp_refuse(p, RESP_REPLY_EXEC_ABORT);
		resp_forget_transaction(p->state, p->pass->blocks);
		return;
	}
	/* A pass of its own, so that as much as possible is in one. */
	if (p->pass->count > 0) {
		p->retry = true;
		return;
	}
	p->state->mode &= (uint8_t)~RESP_MODE_MULTI;
	if (!memory) {
		resp_refuse(p, RESP_REPLY_EMPTY);
		return;
	}
	guards = memory->watched_count;
	memory->text = memory->queue;
	memory->text_count = memory->queue_count;
	memory->text_at = 0;
	memory->spent = memory->watched;
	memory->queue = memory->watched = (struct resp_piece){ 0 };
	memory->queue_count = memory->watched_count = 0;
	if (guards > 0)
		ask_guards(p, guards);
	else
		resp_refuse(p, RESP_REPLY_COMPOSED);
	run_queue(p, guards);
}

void
resp_compose_exec(struct resp_compose *c, const struct resp_run *run)
{
	struct resp_memory *memory = c->state->memory;
	bool guards = run->requests->key.len > 0, failed = false;

	for (uint32_t i = 0; guards && i < run->count; i++)
		failed |= run->responses[i].status != OP_STATUS_OK;
	if (run->part) {
		memory->failed = failed;
	} else if (failed) {
		c->state->shown |= RESP_SHOWN_VOID;
		resp_null_array(c);
	} else {
		resp_array(&c->out, memory->text_count);
	}
}
