#include "base/check.h"
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
		return view_of(c->session->held->line, c->session->held->len);
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

/* What a meta flag returns of an item. */
static void
put_item_flag(struct memcached_composer *c, uint8_t letter, const struct response *response)
{
	switch (letter) {
	case 's': put_flag(c, 's', response->total_len); break;
	case 't': put_ttl(c, response->expiry_ms); break;
	case 'c': put_flag(c, 'c', response->version); break;
	case 'f': put_flag(c, 'f', response->client_flags); break;
	default: break;
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
			memcached_stream_text(&c->stream, " k");
			memcached_stream_put(&c->stream, request->key);
		} else if (strchr(shown, letter)) {
			put_item_flag(c, letter, response);
		}
	}
	memcached_composer_crlf(c);
}

void
memcached_composer_meta_get(struct memcached_composer *c, const struct request *request, const struct response *response)
{
	bool value = !(request->flags & REQUEST_NO_VALUE);

	if (response->status == OP_STATUS_NOT_FOUND) {
		if (request->verb & VERB_QUIET)
			return;
		memcached_stream_text(&c->stream, "EN");
		put_flags(c, request, response, "");
		return;
	}
	if (response->status != OP_STATUS_OK) {
		memcached_composer_status(c, request, response->status, LINE_NONE);
		return;
	}
	memcached_stream_text(&c->stream, value ? "VA " : "HD");
	if (value)
		memcached_stream_number(&c->stream, response->value.len);
	put_flags(c, request, response, "stcf");
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
}
