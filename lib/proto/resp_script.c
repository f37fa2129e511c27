/* resp_script.c - EVAL and its kin: no scripts are run, but those of locks and counters are known by sight and done by the executor. */
#include <ctype.h>
#include <stdio.h>

#include "proto/resp.h"

enum action { DELETE, DELETE_TELL, DELETE_ALL, PEXPIRE, EXPIRE, EXTEND, EXTEND_ALL, ACQUIRE_ALL, ACQUIRE, OBTAIN, LOCK, INCRBY, INCRBY_PRESENT };

static const struct {
	enum action action;
	uint8_t keys, args;
	const char *text;
} scripts[RESP_SCRIPT_COUNT] = {
#define RESP_SCRIPT(suffix, what, key_count, arg_count, canonical) \
	[RESP_SCRIPT_##suffix] = { .action = what, .keys = key_count, .args = arg_count, .text = canonical },
#include "proto/resp_script.def"
#undef RESP_SCRIPT
};

/* --- known by its text -------------------------------------------------------------- */

enum { TEXT_MAX = 512, NAMES_MAX = 4, SCRIPT_LEN_MAX = 4096 };

/* A script being written down as its tokens. */
struct tokens {
	struct view text;
	uint32_t at;
	char out[TEXT_MAX];
	uint32_t len;
	struct view names[NAMES_MAX]; /* variables declared */
	uint32_t name_count;
	bool declares;                /* behind `local` or `for` */
	bool failed;
};

static bool
is_word(int c)
{
	return isalnum(c) || c == '_';
}

static void
put(struct tokens *t, const void *bytes, uint32_t len)
{
	if (len > TEXT_MAX - t->len) {
		t->failed = true;
		return;
	}
	memcpy(t->out + t->len, bytes, len);
	t->len += len;
}

/* Comments and blanks: nothing. */
static bool
skip_blank(struct tokens *t)
{
	const char *at = (const char *)t->text.data + t->at;
	uint32_t left = t->text.len - t->at;
	const char *end;

	if (isspace((uint8_t)*at) || *at == ';') {
		t->at++;
		return true;
	}
	if (left < 2 || at[0] != '-' || at[1] != '-')
		return false;
	if (left >= 4 && at[2] == '[' && at[3] == '[') {
		end = memmem(at, left, "]]", 2);
		t->at += end ? (uint32_t)(end - at) + 2 : left;
	} else {
		end = memchr(at, '\n', left);
		t->at += end ? (uint32_t)(end - at) : left;
	}
	return true;
}

static void
put_string(struct tokens *t)
{
	uint8_t quote = t->text.data[t->at++];

	put(t, "'", 1);
	while (t->at < t->text.len && t->text.data[t->at] != quote) {
		char c = (char)tolower(t->text.data[t->at++]);

		t->failed |= c == '\\' || c == '\n' || c == '\'';
		put(t, &c, 1);
	}
	t->failed |= t->at == t->text.len;
	t->at++;
	put(t, "'", 1);
}

static bool
is_keyword(struct view word)
{
	static const char *const keywords[] = {
		"if", "then", "else", "elseif", "end", "return", "for", "in", "do", "local", "not", "or", "and", "false", "true",
	};

	for (uint32_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
		if (view_equal(word, view_text(keywords[i])))
			return true;
	return false;
}

static void
put_word(struct tokens *t)
{
	uint32_t start = t->at;
	struct view word;

	while (t->at < t->text.len && is_word(t->text.data[t->at]))
		t->at++;
	word = view_of(t->text.data + start, t->at - start);
	if (t->len > 0 && is_word(t->out[t->len - 1]))
		put(t, " ", 1);
	if (view_equal(word, view_text("pcall")))
		word = view_text("call");
	if (is_keyword(word)) {
		t->declares = view_equal(word, view_text("local")) || view_equal(word, view_text("for"));
		put(t, word.data, word.len);
		return;
	}
	for (uint32_t i = 0; i <= t->name_count && !isdigit(word.data[0]); i++) {
		char name[2] = { 'v', (char)('1' + i) };

		if (i == t->name_count && (!t->declares || i == NAMES_MAX))
			break;
		if (i == t->name_count)
			t->names[t->name_count++] = word;
		if (view_equal(word, t->names[i])) {
			put(t, name, 2);
			return;
		}
	}
	put(t, word.data, word.len);
}

enum resp_script
resp_script_of(struct view text)
{
	struct tokens t = { .text = text };

	if (text.len > SCRIPT_LEN_MAX)
		return RESP_SCRIPT_UNKNOWN;
	while (t.at < text.len && !t.failed) {
		uint8_t c = text.data[t.at];

		if (skip_blank(&t))
			continue;
		if (c == '\'' || c == '"') {
			put_string(&t);
		} else if (is_word(c)) {
			put_word(&t);
		} else {
			t.declares = t.declares && c == ',';
			put(&t, &c, 1);
			t.at++;
		}
	}
	for (uint32_t i = RESP_SCRIPT_UNKNOWN + 1; i < RESP_SCRIPT_COUNT && !t.failed; i++)
		if (view_equal(view_of(t.out, t.len), view_text(scripts[i].text)))
			return i;
	return RESP_SCRIPT_UNKNOWN;
}

/* --- known by its SHA-1 ------------------------------------------------------------- */

static const struct {
	const char *sha1;
	uint8_t script;
} known[] = {
#define RESP_KNOWN_SCRIPT(sha1, suffix) { sha1, RESP_SCRIPT_##suffix },
#include "proto/resp_script_sha1.def"
#undef RESP_KNOWN_SCRIPT
};

static void
sha1_text(const uint8_t sha1[RESP_SHA1_LEN], char text[2 * RESP_SHA1_LEN + 1])
{
	for (uint32_t i = 0; i < RESP_SHA1_LEN; i++)
		snprintf(text + 2 * i, 3, "%02x", sha1[i]);
}

static bool
sha1_parse(struct view text, uint8_t sha1[RESP_SHA1_LEN])
{
	if (text.len != 2 * RESP_SHA1_LEN)
		return false;
	for (uint32_t i = 0; i < text.len; i++) {
		int c = text.data[i], digit = isdigit(c) ? c - '0' : (c | 32) - 'a' + 10;

		if (!isxdigit(c))
			return false;
		sha1[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : sha1[i / 2] | digit);
	}
	return true;
}

enum resp_script
resp_script_known(const uint8_t sha1[RESP_SHA1_LEN])
{
	char text[2 * RESP_SHA1_LEN + 1];

	sha1_text(sha1, text);
	for (uint32_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (strcmp(known[i].sha1, text) == 0)
			return known[i].script;
	return RESP_SCRIPT_UNKNOWN;
}

/* By the connection's own, too. */
static enum resp_script
script_by_sha1(const struct resp_state *state, struct view arg)
{
	const struct resp_memory *memory = state->memory;
	uint8_t sha1[RESP_SHA1_LEN];

	if (!sha1_parse(arg, sha1))
		return RESP_SCRIPT_UNKNOWN;
	for (uint32_t i = 0; memory && i < memory->script_count && i < RESP_SCRIPTS_MAX; i++)
		if (memcmp(memory->scripts[i].sha1, sha1, sizeof sha1) == 0)
			return memory->scripts[i].kind;
	return resp_script_known(sha1);
}

/* So that EVALSHA finds it. Without a block it will be NOSCRIPT, and clients send the text again. */
static void
remember(struct resp_parse *p, struct view text, enum resp_script script)
{
	struct resp_memory *memory;
	uint8_t sha1[RESP_SHA1_LEN];
	uint32_t at;

	resp_sha1(text, sha1);
	if (resp_script_known(sha1) != RESP_SCRIPT_UNKNOWN)
		return;
	memory = resp_memory(p->state, p->pass->blocks);
	if (!memory)
		return;
	for (uint32_t i = 0; i < memory->script_count && i < RESP_SCRIPTS_MAX; i++)
		if (memcmp(memory->scripts[i].sha1, sha1, sizeof sha1) == 0)
			return;
	at = memory->script_count++ % RESP_SCRIPTS_MAX;
	memcpy(memory->scripts[at].sha1, sha1, sizeof sha1);
	memory->scripts[at].kind = (uint8_t)script;
}

/* --- EVAL --------------------------------------------------------------------------- */

static bool
is_by_sha1(enum resp_verb verb)
{
	return verb == RESP_EVALSHA || verb == RESP_EVALSHA_RO;
}

static enum resp_script
script_of(const struct resp_state *state, enum resp_verb verb, struct view arg)
{
	return is_by_sha1(verb) ? script_by_sha1(state, arg) : resp_script_of(arg);
}

/* A time to live from an argument, as an expiry; 1: it has passed. */
static bool
ttl_argument(struct resp_parse *p, struct view arg, bool seconds, uint64_t *expiry_ms)
{
	int64_t number;

	if (!resp_number(arg, &number) || (seconds && __builtin_mul_overflow(number, 1000, &number)) ||
	    __builtin_add_overflow(number, (int64_t)p->pass->now->wall_ms, &number)) {
		resp_refuse(p, RESP_REPLY_NOT_INTEGER);
		return false;
	}
	*expiry_ms = number <= 0 ? 1 : (uint64_t)number >> 48 ? (1ull << 48) - 1 : (uint64_t)number;
	return true;
}

/* One key's renewal. */
static void
ask_renewal(struct resp_parse *p, enum action action, const struct view *argv)
{
	bool adds = action == EXTEND && argv[2].len == 1 && argv[2].data[0] == '0';
	struct request *request;
	uint64_t expiry_ms;
	int64_t more;

	if (adds && !resp_number(argv[1], &more)) {
		resp_refuse(p, RESP_REPLY_NOT_INTEGER);
		return;
	}
	if (adds)
		expiry_ms = (uint64_t)more;
	else if (!ttl_argument(p, argv[1], action == EXPIRE, &expiry_ms))
		return;
	request = resp_key_request(p, OP_TOUCH, p->args.at[3]);
	if (!request)
		return;
	request->expiry_ms = expiry_ms;
	request->value = argv[0];
	request->options = REQUEST_COMPARE | REQUEST_PAST;
	if (action == EXTEND)
		request->options |= REQUEST_TTL_SOME | (adds ? REQUEST_TTL_ADD : 0);
}

static void
ask_set(struct resp_parse *p, struct view key, const struct view *argv, uint16_t flags, uint32_t options)
{
	struct request *request;
	uint64_t expiry_ms;

	if (!ttl_argument(p, argv[1], false, &expiry_ms))
		return;
	request = resp_key_request(p, OP_SET, key);
	if (!request)
		return;
	request->flags = flags;
	request->options = options;
	request->value = argv[0];
	request->expiry_ms = expiry_ms;
}

static bool
keys_are_good(struct resp_parse *p, uint32_t keys)
{
	for (uint32_t i = 0; i < keys; i++) {
		if (p->args.at[3 + i].len == 0 || p->args.at[3 + i].len > RESP_KEY_LEN_MAX) {
			resp_refuse(p, RESP_REPLY_BAD_KEY);
			return false;
		}
	}
	return true;
}

static bool
in_one_place(const struct resp_parse *p, uint32_t keys)
{
	for (uint32_t i = 1; i < keys; i++)
		if (!resp_same_place(p, p->args.at[3], p->args.at[3 + i]))
			return false;
	return true;
}

/* That every key is missing, or ours. */
static void
ask_guards(struct resp_parse *p, uint32_t keys, bool ours, const struct view *argv, uint8_t part)
{
	for (uint32_t i = 0; i < keys; i++) {
		struct request *request = resp_key_request(p, OP_GUARD, p->args.at[3 + i]);

		request->initial = part;
		request->options = ours ? REQUEST_COMPARE : 0;
		request->value = ours ? argv[0] : view_of(NULL, 0);
	}
}

static void
ask_sets(struct resp_parse *p, uint32_t keys, const struct view *argv, uint64_t expiry_ms, uint8_t part)
{
	for (uint32_t i = 0; i < keys; i++) {
		struct request *request = resp_key_request(p, OP_SET, p->args.at[3 + i]);

		request->initial = part;
		request->value = argv[0];
		request->expiry_ms = expiry_ms;
	}
}

enum { GUARDS_FIRST, SETS_THEN };

/* Keys of several workers: the guards are a pass of their own, and others may come between. */
static void
ask_all_apart(struct resp_parse *p, uint32_t keys, bool ours, const struct view *argv, uint64_t expiry_ms)
{
	struct resp_memory *memory = p->state->memory;

	if (memory->phase == GUARDS_FIRST) {
		memory->total = 2 * keys;
		memory->phase = SETS_THEN;
		ask_guards(p, keys, ours, argv, RESP_PART);
		p->stop = true;
	} else if (memory->failed) {
		resp_refuse(p, RESP_REPLY_ZERO);
		resp_went_on(p);
	} else {
		ask_sets(p, keys, argv, expiry_ms, RESP_PART);
		resp_went_on(p);
	}
}

/* Guards for all keys, then their SETs: all or none. */
static void
ask_all(struct resp_parse *p, uint32_t keys, bool ours, const struct view *argv)
{
	uint32_t first = p->pass->count;
	uint64_t expiry_ms;

	if (keys == 0) {
		resp_refuse(p, RESP_REPLY_ZERO);
	} else if (2 * keys > FRAME_OPS_MAX) {
		resp_refuse(p, RESP_REPLY_SCRIPT_ARGS);
	} else if (keys_are_good(p, keys) && ttl_argument(p, argv[1], false, &expiry_ms)) {
		if (p->replayed && p->state->memory->going != RESP_NONE) {
			ask_all_apart(p, keys, ours, argv, expiry_ms);
		} else if (!in_one_place(p, keys)) {
			resp_go_on(p);
		} else if (resp_room(p, 2 * keys)) {
			ask_guards(p, keys, ours, argv, 0);
			ask_sets(p, keys, argv, expiry_ms, 0);
			for (uint32_t i = 0; i < keys; i++)
				p->pass->requests[first + i].length = 2 * keys - i - 1;
		}
	}
}

static void
ask_deletes(struct resp_parse *p, uint32_t keys, const struct view *argv)
{
	if (keys == 0) {
		resp_refuse(p, RESP_REPLY_ZERO);
		return;
	}
	if (!resp_room(p, keys))
		return;
	for (uint32_t i = 0; i < keys; i++) {
		struct request *request = resp_request(p, OP_DELETE);

		request->key = p->args.at[3 + i];
		request->options = REQUEST_COMPARE;
		request->value = argv[0];
	}
}

/* INCRBY, or INCRBY of a key that is there. */
static void
ask_count(struct resp_parse *p, bool present, const struct view *argv)
{
	struct request *request;
	int64_t delta;

	if (!resp_number(argv[0], &delta)) {
		resp_refuse(p, RESP_REPLY_NOT_INTEGER);
		return;
	}
	request = resp_key_request(p, OP_INCR, p->args.at[3]);
	if (!request)
		return;
	request->options = REQUEST_SIGNED;
	request->flags = present ? REQUEST_REPLACE : 0;
	request->delta = (uint64_t)delta;
}

static void
ask(struct resp_parse *p, enum resp_script script, uint32_t keys, const struct view *argv)
{
	enum action action = scripts[script].action;

	switch (action) {
	case DELETE:
	case DELETE_TELL:
	case DELETE_ALL:
		if (keys_are_good(p, keys))
			ask_deletes(p, keys, argv);
		break;
	case PEXPIRE:
	case EXPIRE:
	case EXTEND:
		ask_renewal(p, action, argv);
		break;
	case ACQUIRE_ALL:
	case EXTEND_ALL:
		ask_all(p, keys, action == EXTEND_ALL, argv);
		break;
	case ACQUIRE:
		ask_set(p, p->args.at[3], argv, REQUEST_ADD, 0);
		break;
	case OBTAIN:
		ask_set(p, p->args.at[3], argv, 0, REQUEST_COMPARE);
		break;
	case LOCK:
		ask_set(p, p->args.at[3], argv, resp_is(argv[2], "yes") ? 0 : REQUEST_REPLACE, REQUEST_COMPARE);
		break;
	case INCRBY:
	case INCRBY_PRESENT:
		ask_count(p, action == INCRBY_PRESENT, argv);
		break;
	}
}

void
resp_parse_eval(struct resp_parse *p)
{
	const struct resp_args *args = &p->args;
	enum resp_verb verb = p->command->verb;
	enum resp_script script;
	int64_t keys;

	if (is_by_sha1(verb) && args->at[1].len != 2 * RESP_SHA1_LEN) {
		resp_refuse(p, RESP_REPLY_NO_SCRIPT);
	} else if (!resp_number(args->at[2], &keys)) {
		resp_refuse(p, RESP_REPLY_NOT_INTEGER);
	} else if (keys > (int64_t)args->count - 3) {
		resp_refuse(p, RESP_REPLY_BAD_NUMKEYS);
	} else if (keys < 0) {
		resp_refuse(p, RESP_REPLY_NEGATIVE_NUMKEYS);
	} else if ((script = script_of(p->state, verb, args->at[1])) == RESP_SCRIPT_UNKNOWN) {
		resp_refuse(p, is_by_sha1(verb) ? RESP_REPLY_NO_SCRIPT : RESP_REPLY_UNKNOWN_SCRIPT);
	} else if (verb == RESP_EVAL_RO || verb == RESP_EVALSHA_RO) {
		resp_refuse(p, RESP_REPLY_SCRIPT_READONLY);
	} else if (args->count > args->held || (scripts[script].keys > 0 && keys != scripts[script].keys) ||
	    args->count - 3 - (uint32_t)keys < scripts[script].args) {
		resp_refuse(p, RESP_REPLY_SCRIPT_ARGS);
	} else {
		if (verb == RESP_EVAL)
			remember(p, args->at[1], script);
		ask(p, script, (uint32_t)keys, args->at + 3 + keys);
	}
}

void
resp_compose_eval(struct resp_compose *c, const struct resp_run *run)
{
	const struct response *response = run->responses;
	struct resp_args args;
	enum action action;
	uint32_t done = 0;

	for (uint32_t i = 0; i < run->count; i++)
		done += response[i].status == OP_STATUS_OK;
	if (run->part && c->state->memory->going != RESP_NONE) {
		c->state->memory->failed = done != run->count;
		return;
	}
	resp_args_of(c, run, &args);
	action = scripts[script_of(c->state, run->command->verb, args.at[1])].action;
	if ((action == INCRBY || action == INCRBY_PRESENT) && response->status != OP_STATUS_NOT_FOUND) {
		resp_compose_number(c, run);
		return;
	}
	for (uint32_t i = 0; i < run->count; i++)
		if (resp_failed(c, &response[i]))
			return;
	switch (action) {
	case DELETE_TELL:
		resp_integer(&c->out, response->status == OP_STATUS_NOT_FOUND ? -1 : (int64_t)done);
		break;
	case EXTEND_ALL:
	case ACQUIRE_ALL:
		resp_integer(&c->out, done == run->count ? run->part ? done : done / 2 : 0);
		break;
	case OBTAIN:
		if (done)
			resp_integer(&c->out, 1);
		else
			resp_null(c);
		break;
	case INCRBY_PRESENT: /* and missing: false */
		resp_null(c);
		break;
	case LOCK:
		if (done)
			resp_simple(&c->out, "OK");
		else
			resp_null(c);
		break;
	default:
		resp_integer(&c->out, done);
		break;
	}
}

/* --- SCRIPT ------------------------------------------------------------------------- */

void
resp_parse_script_load(struct resp_parse *p)
{
	enum resp_script script = resp_script_of(p->args.at[2]);

	if (script == RESP_SCRIPT_UNKNOWN) {
		resp_refuse(p, RESP_REPLY_UNKNOWN_SCRIPT);
		return;
	}
	remember(p, p->args.at[2], script);
	resp_refuse(p, RESP_REPLY_COMPOSED);
}

void
resp_compose_script_load(struct resp_compose *c, const struct resp_run *run)
{
	uint8_t sha1[RESP_SHA1_LEN];
	char text[2 * RESP_SHA1_LEN + 1];
	struct resp_args args;

	resp_args_of(c, run, &args);
	resp_sha1(args.at[2], sha1);
	sha1_text(sha1, text);
	resp_bulk_text(&c->out, text);
}

void
resp_compose_script_exists(struct resp_compose *c, const struct resp_run *run)
{
	struct resp_args args;
	struct resp_walk walk;
	struct view arg;

	resp_args_of(c, run, &args);
	resp_array(&c->out, args.count - 2);
	for (walk = resp_walk_from(&args, 2); resp_walk_next(&walk, &arg);)
		resp_integer(&c->out, script_by_sha1(c->state, arg) != RESP_SCRIPT_UNKNOWN);
}

void
resp_parse_script_flush(struct resp_parse *p)
{
	const struct resp_args *args = &p->args;
	bool good = args->count == 2 || (args->count == 3 && (resp_is(args->at[2], "sync") || resp_is(args->at[2], "async")));

	if (good && p->state->memory)
		p->state->memory->script_count = 0;
	resp_refuse(p, good ? RESP_REPLY_OK : RESP_REPLY_BAD_SCRIPT_FLUSH);
}

void
resp_parse_script_kill(struct resp_parse *p)
{
	resp_refuse(p, RESP_REPLY_NOT_BUSY);
}
