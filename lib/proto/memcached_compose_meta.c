#include "base/check.h"
#include "base/limits.h"
#include "base/version.h"
#include "proto/memcached_composer.h"
#include "proto/memcached_session.h"

/* The line of a request's command. */
static struct view
command_line(const struct memcached_composer *c, const struct request *request)
{
	struct view line;
	uint32_t next;
	bool found;

	if (request->text_at == MEMCACHED_HELD) {
		CHECK(c->session && c->session->held);
		return view_of(c->session->held->bytes + c->session->held->line_at, c->session->held->line_len);
	}
	found = memcached_text_line(c->text, request->text_at, &line, &next);
	CHECK(found);
	return line;
}

static void
put_flag(struct memcached_composer *c, char letter, uint64_t number)
{
	memcached_stream_char(&c->stream, ' ');
	memcached_stream_char(&c->stream, letter);
	memcached_stream_number(&c->stream, number);
}

/* Seconds left, rounded up: what was stored with T10 shows t10 at once. */
static void
put_ttl(struct memcached_composer *c, uint64_t expiry_ms)
{
	uint64_t left = expiry_ms > c->now->wall_ms ? expiry_ms - c->now->wall_ms : 0;

	if (expiry_ms == 0)
		memcached_stream_text(&c->stream, " t-1");
	else
		put_flag(c, 't', (left + MS_PER_SEC - 1) / MS_PER_SEC);
}

/* Seconds since it was stored, counted or touched: reads leave no time behind. Versions are times. */
static uint64_t
age_of(const struct memcached_composer *c, const struct response *response)
{
	uint64_t stored_ms = version_wall_ms(response->version);

	return c->now->wall_ms > stored_ms ? (c->now->wall_ms - stored_ms) / MS_PER_SEC : 0;
}

/* What a meta flag returns of an item. */
static void
put_item_flag(struct memcached_composer *c, uint8_t letter, const struct response *response)
{
	switch (letter) {
	case 's': put_flag(c, 's', response->total_len); break;
	case 't': put_ttl(c, response->expiry_ms); break;
	case 'c': put_flag(c, 'c', response->version); break;
	case 'f': put_flag(c, 'f', response->client_flags); break;
	case 'h': put_flag(c, 'h', response->state & RESPONSE_FETCHED ? 1 : 0); break;
	case 'l': put_flag(c, 'l', age_of(c, response)); break;
	default: break;
	}
}

static void
put_base64(struct memcached_composer *c, struct view key)
{
	char text[(KEY_LEN_MAX + 2) / 3 * 4];

	memcached_stream_put(&c->stream, view_of(text, memcached_text_base64(key, text)));
}

/* A key that came as base64 goes back so, and says so. */
static void
put_key(struct memcached_composer *c, const struct memcached_tokens *tokens, struct view key)
{
	bool binary = false;

	for (uint32_t i = 2; i < tokens->count && c->session; i++)
		binary |= tokens->at[i].data[0] == 'b';
	memcached_stream_text(&c->stream, " k");
	if (binary) {
		put_base64(c, key);
		memcached_stream_text(&c->stream, " b");
	} else {
		memcached_stream_put(&c->stream, key);
	}
}

/*
 * The flags a meta command returns, in the order asked for: key and opaque
 * always, of the item's figures those in `shown`. The command line is read again.
 */
static void
put_flags(struct memcached_composer *c, const struct request *request, const struct response *response,
    const char *shown)
{
	struct memcached_tokens tokens;

	memcached_text_tokens(command_line(c, request), &tokens);
	/* ms: the length stands where the others have their first flag, and is no letter. */
	for (uint32_t i = 2; i < tokens.count; i++) {
		uint8_t letter = tokens.at[i].data[0];

		if (letter == 'O') {
			memcached_stream_char(&c->stream, ' ');
			memcached_stream_put(&c->stream, tokens.at[i]);
		} else if (letter == 'k') {
			put_key(c, &tokens, request->key);
		} else if (strchr(shown, letter)) {
			put_item_flag(c, letter, response);
		}
	}
}

/* Z: another reader has the token to refill it; X: it is stale; W: this one has the token. */
static void
put_tokens(struct memcached_composer *c, uint8_t state)
{
	memcached_stream_text(&c->stream, state & RESPONSE_TOKEN_SENT ? " Z" : "");
	memcached_stream_text(&c->stream, state & RESPONSE_STALE ? " X" : "");
	memcached_stream_text(&c->stream, state & RESPONSE_WON ? " W" : "");
	memcached_composer_crlf(c);
}

void
memcached_composer_meta_get(struct memcached_composer *c, const struct request *request,
    const struct response *response)
{
	bool value = !(request->flags & REQUEST_NO_VALUE);

	if (response->status == OP_STATUS_NOT_FOUND) {
		if (request->verb & VERB_QUIET)
			return;
		memcached_stream_text(&c->stream, "EN");
		put_flags(c, request, response, "");
		memcached_composer_crlf(c);
		return;
	}
	if (response->status != OP_STATUS_OK) {
		memcached_composer_status(c, request, response->status, LINE_NONE);
		return;
	}
	memcached_stream_text(&c->stream, value ? "VA " : "HD");
	if (value)
		memcached_stream_number(&c->stream, response->value.len);
	put_flags(c, request, response, "stcfhl");
	put_tokens(c, response->state);
	if (value) {
		memcached_stream_value(&c->stream, response->value, response->pins);
		memcached_composer_crlf(c);
	}
}

/* HD, EX, NF or NS: quiet hides HD only. ms returns the CAS value, c0 when nothing was stored. */
void
memcached_composer_meta_status(struct memcached_composer *c, const struct request *request, const struct response *response)
{
	struct response stored = { .version = 0 };
	const char *code;

	switch (memcached_composer_line_of(request, response->status, LINE_STORED)) {
	case LINE_STORED: code = "HD"; break;
	case LINE_EXISTS: code = "EX"; break;
	case LINE_NOT_FOUND: code = "NF"; break;
	case LINE_NOT_STORED: code = "NS"; break;
	default:
		memcached_composer_status(c, request, response->status, LINE_NONE);
		return;
	}
	if (response->status == OP_STATUS_OK) {
		if (request->verb & VERB_QUIET)
			return;
		stored.version = response->version;
	}
	memcached_stream_text(&c->stream, code);
	put_flags(c, request, &stored, (request->verb & VERB_MASK) == VERB_META_SET ? "c" : "");
	memcached_composer_crlf(c);
}

static void
put_count(struct memcached_composer *c, const struct request *request, const struct response *response)
{
	bool value = !(request->flags & REQUEST_NO_VALUE);
	uint64_t n = response->number;
	uint32_t digits = 1;

	for (; n >= 10; n /= 10)
		digits++;
	memcached_stream_text(&c->stream, value ? "VA " : "HD");
	if (value)
		memcached_stream_number(&c->stream, digits);
	put_flags(c, request, response, "tc");
	memcached_composer_crlf(c);
	if (value) {
		memcached_stream_number(&c->stream, response->number);
		memcached_composer_crlf(c);
	}
}

/* ma: quiet hides a number that was there before, not one that was made. */
void
memcached_composer_meta_count(struct memcached_composer *c, const struct request *request,
    const struct response *response)
{
	if (response->status == OP_STATUS_OK) {
		if (!(request->verb & VERB_QUIET) || (response->state & RESPONSE_MADE))
			put_count(c, request, response);
	} else if (response->status == OP_STATUS_NOT_FOUND || response->status == OP_STATUS_EXISTS) {
		memcached_stream_text(&c->stream, response->status == OP_STATUS_EXISTS ? "EX" : "NF");
		put_flags(c, request, response, "");
		memcached_composer_crlf(c);
	} else {
		memcached_composer_status(c, request, response->status, LINE_NONE);
	}
}

/* me: exp is the time left, negative; there are no slab classes, so cls is 0. */
void
memcached_composer_meta_debug(struct memcached_composer *c, const struct request *request,
    const struct response *response)
{
	struct memcached_tokens tokens;
	uint64_t left = response->expiry_ms > c->now->wall_ms ? response->expiry_ms - c->now->wall_ms : 0;

	if (response->status != OP_STATUS_OK) {
		if (response->status == OP_STATUS_NOT_FOUND)
			memcached_stream_text(&c->stream, "EN\r\n");
		else
			memcached_composer_status(c, request, response->status, LINE_NONE);
		return;
	}
	memcached_text_tokens(command_line(c, request), &tokens);
	memcached_stream_text(&c->stream, "ME ");
	if (tokens.count > 2 && memcached_text_is(tokens.at[2], "b") && c->session)
		put_base64(c, request->key);
	else
		memcached_stream_put(&c->stream, request->key);
	memcached_stream_text(&c->stream, " exp=-");
	memcached_stream_number(&c->stream, response->expiry_ms == 0 ? 1 : (left + MS_PER_SEC - 1) / MS_PER_SEC);
	memcached_stream_text(&c->stream, " la=");
	memcached_stream_number(&c->stream, age_of(c, response));
	memcached_stream_text(&c->stream, " cas=");
	memcached_stream_number(&c->stream, response->version);
	memcached_stream_text(&c->stream, response->state & RESPONSE_FETCHED ? " fetch=yes" : " fetch=no");
	memcached_stream_text(&c->stream, " cls=0 size=");
	memcached_stream_number(&c->stream, request->key.len + response->total_len);
	memcached_composer_crlf(c);
}
