/* Conversations: reading the lines, and what is neither a segment nor the application's. */
#include "tests/tcp/script.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/blocks.h"
#include "base/bytes.h"
#include "base/check.h"
#include "tests/tcp/script_state.h"

void
script_fail(struct script *script, const char *format, ...)
{
	char text[RIG_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	rig_fail(&script->rig, "%s", text);
}

/* --- words --------------------------------------------------------------------------------- */

void
script_name(struct script *script, const char *name, int64_t value)
{
	uint32_t i = 0;

	while (i < script->name_count && strcmp(script->names[i].name, name) != 0)
		i++;
	if (i == script->name_count) {
		CHECK(i < NAMES_MAX);
		script->name_count++;
	}
	snprintf(script->names[i].name, sizeof script->names[i].name, "%s", name);
	script->names[i].value = value;
}

static int64_t
factor(struct script *script, const char **at)
{
	char name[16];
	uint32_t len = 0;
	char *end;
	int64_t value;

	if (**at == '$') {
		for (++*at; isalnum((unsigned char)**at) && len < sizeof name - 1; ++*at)
			name[len++] = **at;
		name[len] = 0;
		for (uint32_t i = 0; i < script->name_count; i++)
			if (strcmp(script->names[i].name, name) == 0)
				return script->names[i].value;
		script_fail(script, "no such name: $%s", name);
		return 0;
	}
	value = strtoll(*at, &end, 0);
	if (end == *at)
		script_fail(script, "not a number: %s", *at);
	*at = end;
	return value;
}

static int64_t
product(struct script *script, const char **at)
{
	int64_t value = factor(script, at);

	while (**at == '*' || **at == '/') {
		char operator = *(*at)++;
		int64_t other = factor(script, at);

		value = operator == '*' ? value * other : other ? value / other : 0;
	}
	return value;
}

/* Sums of products of numbers and $names. */
static int64_t
sum(struct script *script, const char **at)
{
	int64_t value = product(script, at);

	while (**at == '+' || **at == '-')
		value = *(*at)++ == '+' ? value + product(script, at) : value - product(script, at);
	return value;
}

int64_t
script_number(struct script *script, const char *text)
{
	const char *at = text;
	int64_t value = sum(script, &at);

	if (*at)
		script_fail(script, "not a number: %s", text);
	return value;
}

uint64_t
script_time(struct script *script, const char *text)
{
	static const struct { const char *unit; uint64_t ns; } units[] = { { "ns", 1 }, { "us", NS_PER_US }, { "ms", NS_PER_MS },
		{ "s", NS_PER_SEC }, { "m", 60 * NS_PER_SEC }, { "h", 3600 * NS_PER_SEC } };
	const char *at = text;
	int64_t value = sum(script, &at);

	for (uint32_t i = 0; i < sizeof units / sizeof *units; i++)
		if (strcmp(at, units[i].unit) == 0)
			return (uint64_t)value * units[i].ns;
	script_fail(script, "no such time: %s", text);
	return 0;
}

bool
script_is_bytes(const char *word)
{
	return word[0] == '"' || word[0] == '@';
}

static uint32_t
unescape(uint8_t *out, const char *from)
{
	uint32_t len = 0;

	for (; *from && *from != '"'; from++) {
		unsigned byte;

		if (from[0] == '\\' && from[1] == 'x' && sscanf(from + 2, "%2x", &byte) == 1) {
			out[len++] = (uint8_t)byte;
			from += 3;
		} else if (from[0] == '\\' && from[1]) {
			from++;
			out[len++] = *from == 'n' ? '\n' : *from == 'r' ? '\r' : (uint8_t)*from;
		} else {
			out[len++] = (uint8_t)*from;
		}
	}
	return len;
}

struct view
script_bytes(struct script *script, const char *word, uint32_t from)
{
	char text[64];
	char *plus;
	uint32_t len;

	if (word[0] == '"')
		return view_of(script->word_bytes, unescape(script->word_bytes, word + 1));
	if (word[0] != '@') {
		script_fail(script, "bytes are \"...\" or @LEN: %s", word);
		return view_of(NULL, 0);
	}
	snprintf(text, sizeof text, "%s", word + 1);
	plus = strchr(text, '@'); /* @LEN@FROM */
	if (plus) {
		*plus = 0;
		from = (uint32_t)script_number(script, plus + 1);
	}
	len = (uint32_t)script_number(script, text);
	CHECK(len <= WORD_BYTES_MAX);
	for (uint32_t i = 0; i < len; i++)
		script->word_bytes[i] = (uint8_t)((from + i) * 31 + (from + i) / 256 * 7);
	return view_of(script->word_bytes, len);
}

/* Splits a line; a word in quotes keeps its spaces. */
void
script_split(struct script *script, const char *line)
{
	char *at = script->words_text;

	snprintf(script->words_text, sizeof script->words_text, "%s", line);
	script->word_count = 0;
	for (;;) {
		while (*at == ' ' || *at == '\t')
			at++;
		if (!*at || *at == '#' || script->word_count == WORDS_MAX - 8)
			return;
		script->words[script->word_count++] = at;
		if (*at == '"')
			for (at++; *at && (*at != '"' || at[-1] == '\\'); at++)
				;
		while (*at && *at != ' ' && *at != '\t')
			at++;
		if (*at)
			*at++ = 0;
	}
}

/* --- lines --------------------------------------------------------------------------------- */

static void
config_line(struct script *script)
{
	struct tcp_config *c = &script->config;
	const struct { const char *name; uint32_t *field; } fields[] = { { "connections", &c->connections_max },
		{ "half_open", &c->half_open_max }, { "per_source", &c->per_source_max }, { "input", &c->input_max },
		{ "output", &c->output_max }, { "rto_min_us", &c->rto_min_us }, { "idle_s", &c->idle_timeout_s },
		{ "keepalive_s", &c->keepalive_s }, { "zero_window_s", &c->zero_window_s }, { "partial_s", &c->partial_s },
		{ "waits", &c->wait_max }, { "resets_per_s", &c->resets_per_s }, { "challenges_per_s", &c->challenges_per_s } };

	for (uint32_t w = 1; w < script->word_count; w++) {
		char *equal = strchr(script->words[w], '=');
		uint32_t i = 0;
		int64_t value;

		if (!equal || script->open) {
			script_fail(script, "config KEY=VALUE..., before the first segment");
			return;
		}
		*equal = 0;
		value = script_number(script, equal + 1);
		while (i < sizeof fields / sizeof *fields && strcmp(fields[i].name, script->words[w]) != 0)
			i++;
		if (i < sizeof fields / sizeof *fields)
			*fields[i].field = (uint32_t)value;
		else if (strcmp(script->words[w], "memory") == 0)
			c->memory_bytes = (uint64_t)value;
		else if (strcmp(script->words[w], "mtu") == 0)
			c->mtu = (uint16_t)value;
		else
			script_fail(script, "no such setting: %s", script->words[w]);
	}
}

void
script_open(struct script *script)
{
	struct rig_app app = { script_app_turn, script_app_segment, script };
	char failure[RIG_TEXT_MAX];

	if (script->open)
		return;
	memcpy(failure, script->rig.failure, sizeof failure);
	rig_open(&script->rig, script->api, &script->config, &app, script->seed);
	memcpy(script->rig.failure, failure, sizeof failure);
	script->open = true;
}

/* peer NAME [port=N] [to=N] [host=N] [ipv6]: from now on lines are of this one. */
static void
peer_line(struct script *script, const char *word)
{
	char name[16];
	const char *dollar = strchr(word, '$');
	uint32_t i = 0;
	struct peer *peer;

	/* NAME$i: one of many */
	if (dollar)
		snprintf(name, sizeof name, "%.8s%d", word, (int)script_number(script, dollar));
	else
		snprintf(name, sizeof name, "%s", word);
	while (i < script->peer_count && strcmp(script->peers[i].name, name) != 0)
		i++;
	CHECK(i < PEERS_MAX);
	peer = script->peer = &script->peers[i];
	if (i == script->peer_count) {
		script->peer_count++;
		snprintf(peer->name, sizeof peer->name, "%s", name);
		memcpy(peer->ip, rig_our_ipv4, 16);
		memcpy(peer->local, rig_our_ipv4, 16);
		peer->ip[15] = 2;
		peer->port = (uint16_t)(40000 + i);
		peer->to = 6379;
		peer->window = 65535;
		peer->read_limit = UINT64_MAX;
	}
	for (uint32_t w = 2; w < script->word_count; w++) {
		word = script->words[w];
		if (strncmp(word, "port=", 5) == 0) {
			peer->port = (uint16_t)script_number(script, word + 5);
		} else if (strncmp(word, "to=", 3) == 0) {
			peer->to = (uint16_t)script_number(script, word + 3);
		} else if (strncmp(word, "host=", 5) == 0) {
			peer->ip[15] = (uint8_t)script_number(script, word + 5);
		} else if (strcmp(word, "ipv6") == 0) {
			memcpy(peer->ip, rig_our_ipv6, 16);
			memcpy(peer->local, rig_our_ipv6, 16);
			peer->ip[15] = 2;
		} else {
			script_fail(script, "no such word of a peer: %s", word);
		}
	}
}

static void
in_range(struct script *script, const char *what, uint64_t is, const char *word)
{
	char text[64];
	const char *dots = strstr(word, "..");
	int64_t from, to;

	snprintf(text, sizeof text, "%s", word);
	if (dots)
		text[dots - word] = 0;
	from = script_number(script, text);
	to = dots ? script_number(script, dots + 2) : from;
	if ((int64_t)is < from || (int64_t)is > to)
		script_fail(script, "%s is %llu, not %s", what, (unsigned long long)is, word);
}

/* expect WHAT N or A..B. */
static void
figure_line(struct script *script)
{
	struct tcp_figures figures = rig_figures(&script->rig);
	const char *what = script->words[1], *word = script->words[script->word_count - 1];
	uint64_t value = 0;

	if (strcmp(what, "connections") == 0) {
		value = figures.connections;
	} else if (strcmp(what, "half_open") == 0) {
		value = figures.half_open;
	} else if (strcmp(what, "time_wait") == 0) {
		value = figures.time_wait;
	} else if (strcmp(what, "blocks") == 0) {
		value = figures.blocks_used;
	} else if (strcmp(what, "drained") == 0) {
		value = script->drained;
	} else if (strcmp(what, "turns") == 0) {
		value = script->peer->turns;
	} else if (strcmp(what, "opened") == 0) {
		value = script->peer->opened_count;
	} else if (strcmp(what, "unread") == 0) {
		value = script->peer->unread;
	} else if (strcmp(what, "drop") == 0) {
		what = script->words[2];
		for (int i = 1; i < DROP_COUNT; i++)
			if (strcmp(drop_name((enum drop)i), what) == 0)
				value = drop_read(&script->rig.counters, (enum drop)i);
	} else if (strcmp(what, "counter") == 0) {
		what = script->words[2];
		for (int i = 0; i < COUNTER_COUNT; i++)
			if (strcmp(counter_name((enum counter)i), what) == 0)
				value = counter_read(&script->rig.counters, (enum counter)i);
	} else {
		script_fail(script, "no such figure: %s", what);
	}
	in_range(script, what, value, word);
}

static void
icmp_line(struct script *script)
{
	struct tcp_icmp error = { .source_port = script->peer->to, .destination_port = script->peer->port,
		.local = !endpoint_is_mapped(script->peer->local) };

	memcpy(error.source, script->peer->local, 16);
	memcpy(error.destination, script->peer->ip, 16);
	for (uint32_t i = 1; i + 1 < script->word_count; i += 2) {
		if (strcmp(script->words[i], "mtu") == 0)
			error.mtu = (uint16_t)script_number(script, script->words[i + 1]);
		else if (strcmp(script->words[i], "seq") == 0)
			error.seq = script->peer->isn + (uint32_t)script_number(script, script->words[i + 1]);
		else if (strcmp(script->words[i], "port") == 0)
			error.source_port = (uint16_t)script_number(script, script->words[i + 1]);
		else
			script_fail(script, "icmp [mtu N] seq N [port N]");
	}
	script->mark_ns = script->rig.now_ns;
	script->rig.api->icmp(script->rig.tcp, script->rig.now_ns, &error);
	rig_round(&script->rig);
}

/* What was sent and is of no interest; `gather` adds to the count. */
static void
drain(struct script *script)
{
	struct peer *peer = script->peer;

	if (strcmp(script->words[0], "gather") != 0)
		script->drained = 0;
	script->drained += peer->queue_count;
	for (; peer->queue_count; peer->queue_count--) {
		free(script->last.bytes);
		script->last = peer->queue[peer->queue_head];
		peer->queue_head = (peer->queue_head + 1) % QUEUE_MAX;
	}
}

/* bind NAME seq|ack|win|tsval|tsecr|len, of the segment that was matched (or drained) last; bind NAME = N. */
static void
bind_line(struct script *script)
{
	const char *what = script->words[2];
	const struct seg *seg = &script->last.seg;
	const struct peer *peer = script->peer;

	if (strcmp(what, "=") == 0)
		script_name(script, script->words[1], script_number(script, script->words[3]));
	else if (strcmp(what, "seq") == 0)
		script_name(script, script->words[1], seg->seq - peer->isn);
	else if (strcmp(what, "ack") == 0)
		script_name(script, script->words[1], seg->ack - peer->iss);
	else if (strcmp(what, "win") == 0)
		script_name(script, script->words[1], seg->window);
	else if (strcmp(what, "tsval") == 0)
		script_name(script, script->words[1], seg->ts_value);
	else if (strcmp(what, "len") == 0)
		script_name(script, script->words[1], seg->payload_len);
	else if (strcmp(what, "isn") == 0)
		script_name(script, script->words[1], peer->isn);
	else
		script_fail(script, "bind NAME seq|ack|win|tsval|len|isn, or = N");
}

/* Every line but those that look at what was sent wants all of it to have been expected. */
static void
nothing_left(struct script *script)
{
	char text[RIG_TEXT_MAX];

	for (uint32_t i = 0; i < script->peer_count; i++) {
		struct peer *peer = &script->peers[i];

		if (peer->queue_count == 0)
			continue;
		seg_print(&peer->queue[peer->queue_head].seg, peer->isn, peer->iss, text, sizeof text);
		script_fail(script, "sent to %s and not expected: %s, after %.3f ms", peer->name, text,
		    (double)(peer->queue[peer->queue_head].at_ns - script->mark_ns) / 1e6);
	}
}

static void
action_line(struct script *script, const char *verb)
{
	nothing_left(script);
	script_open(script);
	if (strcmp(verb, "<") == 0 || strcmp(verb, "<+") == 0) {
		script_inject(script);
	} else if (strcmp(verb, "connect") == 0) {
		script_connect(script);
	} else if (strcmp(verb, "wait") == 0) {
		rig_wait(&script->rig, script->rig.now_ns + script_time(script, script->words[1]));
	} else if (strcmp(verb, "mark") == 0) {
		script->mark_ns = script->rig.now_ns;
	} else if (strcmp(verb, "round") == 0) {
		rig_round(&script->rig);
	} else if (strcmp(verb, "icmp") == 0) {
		icmp_line(script);
	} else if (!script_app_line(script)) {
		script_fail(script, "no such line: %s", verb);
	}
}

/* check EXPRESSION RANGE, and differ A B...: no two are the same. */
static void
check_line(struct script *script)
{
	if (strcmp(script->words[0], "check") == 0) {
		in_range(script, script->words[1], (uint64_t)script_number(script, script->words[1]), script->words[2]);
		return;
	}
	for (uint32_t i = 1; i < script->word_count; i++)
		for (uint32_t k = 1; k < i; k++)
			if (script_number(script, script->words[i]) == script_number(script, script->words[k]))
				script_fail(script, "%s is the same as %s", script->words[i], script->words[k]);
}

static bool
looks_only(struct script *script, const char *verb)
{
	if (strcmp(verb, ">") == 0)
		script_expect(script, false);
	else if (strcmp(verb, "?>") == 0)
		script_expect(script, true);
	else if (strcmp(verb, "drain") == 0 || strcmp(verb, "gather") == 0)
		drain(script);
	else if (strcmp(verb, "bind") == 0 && script->word_count >= 3)
		bind_line(script);
	else if (strcmp(verb, "expect") == 0 && script->word_count >= 3)
		figure_line(script);
	else if ((strcmp(verb, "got") == 0 || strcmp(verb, "told") == 0 || strcmp(verb, "will") == 0) && script->word_count >= 2)
		script_app_line(script);
	else if (strcmp(verb, "peer") == 0 && script->word_count >= 2)
		peer_line(script, script->words[1]);
	else if (strcmp(verb, "iss") == 0 && script->word_count == 2)
		script->peer->iss = (uint32_t)script_number(script, script->words[1]);
	else if ((strcmp(verb, "check") == 0 || strcmp(verb, "differ") == 0) && script->word_count >= 3)
		check_line(script);
	else if (strcmp(verb, "silence") == 0)
		nothing_left(script);
	else
		return false;
	return true;
}

/* Lines [from, to); `repeat N` ... `end` may be nested, $i counts from 0. */
static void
lines_run(struct script *script, uint32_t from, uint32_t to)
{
	for (script->line = from; script->line < to && !script->rig.failure[0]; script->line++) {
		const char *verb;

		script_split(script, script->text->lines[script->line]);
		if (script->word_count == 0)
			continue;
		verb = script->words[0];
		if (script->verbose)
			printf("%10.3f ms  %s\n", (double)script->rig.now_ns / 1e6, script->text->lines[script->line]);
		if (strcmp(verb, "config") == 0) {
			config_line(script);
		} else if (strcmp(verb, "repeat") == 0) {
			int64_t times = script_number(script, script->words[1]);
			uint32_t begin = script->line + 1, end = begin;

			while (end < to && strcmp(script->text->lines[end], "end") != 0)
				end++;
			for (int64_t i = 0; i < times && !script->rig.failure[0]; i++) {
				script_name(script, "i", i);
				lines_run(script, begin, end);
			}
			if (!script->rig.failure[0])
				script->line = end;
		} else if (!looks_only(script, verb)) {
			action_line(script, verb);
		}
	}
	if (script->rig.failure[0] && script->line > from)
		script->line--; /* the loop has gone on */
}

/* --- files --------------------------------------------------------------------------------- */

uint32_t
script_next(const struct script_text *text, uint32_t from)
{
	while (from < text->count && strncmp(text->lines[from], "== ", 3) != 0)
		from++;
	return from;
}

void
script_run(const struct script_text *text, uint32_t at, const struct tcp_api *api, bool verbose, struct script_result *result)
{
	struct script *script = calloc(1, sizeof *script);
	uint32_t end = script_next(text, at + 1);

	CHECK(script);
	script->peers = calloc(PEERS_MAX, sizeof *script->peers);
	CHECK(script->peers);
	script->text = text;
	script->api = api;
	script->verbose = verbose;
	script->seed = at;
	rig_config(api, &script->config);
	script_split(script, "peer a");
	peer_line(script, "a");
	lines_run(script, at + 1, end);
	nothing_left(script);
	script_open(script);
	result->digest = script->rig.digest;
	if (script->rig.failure[0]) {
		snprintf(result->failure, sizeof result->failure, "%s:%u: %s\n    %s", text->file, script->line + 1,
		    script->rig.failure, script->line < text->count ? text->lines[script->line] : "");
		api->destroy(script->rig.tcp);
		free(script->rig.live);
	} else {
		for (uint32_t i = 0; i < script->peer_count; i++)
			script->peer = &script->peers[i], drain(script);
		if (!rig_close(&script->rig))
			snprintf(result->failure, sizeof result->failure, "%s:%u: at the end: %s", text->file, end, script->rig.failure);
	}
	for (uint32_t i = 0; i < script->peer_count; i++) {
		script->peer = &script->peers[i];
		drain(script);
		free(script->peer->writes.bytes);
		free(script->peer->got.bytes);
		free(script->peer->room);
	}
	free(script->last.bytes);
	free(script->peers);
	free(script);
}

void
script_load(struct script_text *text, const char *path)
{
	char line[8192];
	FILE *file = fopen(path, "r");

	if (!file) {
		perror(path);
		abort();
	}
	memset(text, 0, sizeof *text);
	text->file = path;
	while (fgets(line, sizeof line, file)) {
		line[strcspn(line, "\n")] = 0;
		text->lines = realloc(text->lines, (text->count + 1) * sizeof *text->lines);
		CHECK(text->lines);
		text->lines[text->count++] = strdup(line);
	}
	fclose(file);
}

void
script_free(struct script_text *text)
{
	for (uint32_t i = 0; i < text->count; i++)
		free(text->lines[i]);
	free(text->lines);
}
