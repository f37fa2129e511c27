/* resp_reply.c - pieces of replies: types of RESP2 and RESP3, errors, values. */
#include <stdarg.h>
#include <stdio.h>

#include "proto/resp.h"
#include "ring/slot.h"

void
resp_out_begin(struct resp_out *out, struct blocks *blocks, struct outq *queue)
{
	out->blocks = blocks;
	out->queue = queue;
	out->failed = out->muted = false;
	out->used = 0;
}

void
resp_flush(struct resp_out *out)
{
	if (out->used > 0 && !out->failed)
		out->failed = !outq_put(out->blocks, out->queue, out->bytes, out->used);
	out->used = 0;
}

void
resp_put(struct resp_out *out, const void *bytes, uint32_t len)
{
	if (out->muted || out->failed || len == 0)
		return;
	if (len > RESP_OUT_SIZE - out->used)
		resp_flush(out);
	if (len > RESP_OUT_SIZE) {
		out->failed = out->failed || !outq_put(out->blocks, out->queue, bytes, len);
		return;
	}
	memcpy(out->bytes + out->used, bytes, len);
	out->used += len;
}

void
resp_text(struct resp_out *out, const char *text)
{
	resp_put(out, text, (uint32_t)strlen(text));
}

void
resp_format(struct resp_out *out, const char *format, ...)
{
	char text[1024];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (len > 0)
		resp_put(out, text, (uint32_t)len < sizeof text ? (uint32_t)len : (uint32_t)sizeof text - 1);
}

/* A type's byte, a number, CRLF. */
static void
head(struct resp_out *out, char type, uint64_t number, bool negative)
{
	char digits[24];
	uint32_t at = sizeof digits;

	digits[--at] = '\n';
	digits[--at] = '\r';
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	if (negative)
		digits[--at] = '-';
	digits[--at] = type;
	resp_put(out, digits + at, (uint32_t)sizeof digits - at);
}

void
resp_integer(struct resp_out *out, int64_t number)
{
	head(out, ':', number < 0 ? 0 - (uint64_t)number : (uint64_t)number, number < 0);
}

void
resp_simple(struct resp_out *out, const char *text)
{
	resp_text(out, "+");
	resp_text(out, text);
	resp_text(out, "\r\n");
}

void
resp_error(struct resp_out *out, const char *text)
{
	resp_text(out, "-");
	resp_text(out, text);
	resp_text(out, "\r\n");
}

void
resp_bulk(struct resp_out *out, struct view bytes)
{
	head(out, '$', bytes.len, false);
	resp_put(out, bytes.data, bytes.len);
	resp_text(out, "\r\n");
}

void
resp_bulk_text(struct resp_out *out, const char *text)
{
	resp_bulk(out, view_text(text));
}

void
resp_array(struct resp_out *out, uint64_t count)
{
	head(out, '*', count, false);
}

void
resp_map(struct resp_compose *c, uint64_t pairs)
{
	head(&c->out, c->resp3 ? '%' : '*', c->resp3 ? pairs : 2 * pairs, false);
}

void
resp_set(struct resp_compose *c, uint64_t count)
{
	head(&c->out, c->resp3 ? '~' : '*', count, false);
}

void
resp_null(struct resp_compose *c)
{
	resp_text(&c->out, c->resp3 ? "_\r\n" : "$-1\r\n");
}

void
resp_null_array(struct resp_compose *c)
{
	resp_text(&c->out, c->resp3 ? "_\r\n" : "*-1\r\n");
}

void
resp_value(struct resp_compose *c, const struct response *response)
{
	struct resp_out *out = &c->out;
	struct view value = response->value;

	if (value.len < OUTQ_PIN_MIN || !response->pins || out->muted || !outq_pin(response->pins)) {
		resp_bulk(out, value);
		return;
	}
	head(out, '$', value.len, false);
	resp_flush(out);
	if (out->failed || !outq_put_pinned(out->blocks, out->queue, value, response->pins)) {
		outq_unpin(response->pins);
		out->failed = true;
	}
	resp_text(out, "\r\n");
}

void
resp_verbatim(struct resp_compose *c, struct resp_out *from)
{
	resp_flush(from);
	c->out.failed |= from->failed;
	if (c->out.failed || c->out.muted) {
		outq_clear(from->blocks, from->queue);
		return;
	}
	if (c->resp3) {
		head(&c->out, '=', from->queue->len + 4, false);
		resp_text(&c->out, "txt:");
	} else {
		head(&c->out, '$', from->queue->len, false);
	}
	resp_flush(&c->out);
	if (!c->out.failed)
		outq_splice(c->out.queue, from->queue);
	else
		outq_clear(from->blocks, from->queue);
	resp_text(&c->out, "\r\n");
}

/* Text sent by a client, up to a NUL and `most` bytes; line ends would end the error. */
static void
put_sent(struct resp_out *out, struct view text, uint32_t most)
{
	char clean[160];
	uint32_t len = (uint32_t)strnlen((const char *)text.data, text.len < most ? text.len : most);

	if (len > sizeof clean)
		len = sizeof clean;
	for (uint32_t i = 0; i < len; i++)
		clean[i] = text.data[i] == '\r' || text.data[i] == '\n' ? ' ' : (char)text.data[i];
	resp_put(out, clean, len);
}

static void
unknown_command(struct resp_out *out, const struct resp_args *args)
{
	uint32_t len = 0;

	resp_text(out, "-ERR unknown command '");
	put_sent(out, args->at[0], 128);
	resp_text(out, "', with args beginning with: ");
	for (uint32_t i = 1; i < args->held && len < 128; i++) {
		uint32_t most = 128 - len;
		uint32_t had = (uint32_t)strnlen((const char *)args->at[i].data, args->at[i].len < most ? args->at[i].len : most);

		resp_text(out, "'");
		put_sent(out, args->at[i], most);
		resp_text(out, "' ");
		len += had + 3;
	}
	resp_text(out, "\r\n");
}

static void
upper(struct resp_out *out, const char *name)
{
	for (; *name && *name != '|'; name++) {
		char c = *name >= 'a' && *name <= 'z' ? (char)(*name - 32) : *name;

		resp_put(out, &c, 1);
	}
}

static void
moved(struct resp_compose *c, const struct resp_args *args, const struct resp_command *command)
{
	const struct stream_facts *facts = c->reply->facts;
	uint32_t first = command->flags & RESP_FLAG_NUMKEYS ? 3 : (uint32_t)command->first;
	uint16_t slot = first < args->held ? slot_of_key(args->at[first]) : 0;
	const struct stream_node *node = resp_elsewhere(facts, slot);
	char host[RESP_HOST_SIZE];

	if (!node) {
		resp_reply(c, RESP_REPLY_STALE); /* the ring has moved between parsing and now */
		return;
	}
	resp_host(node->ip, host);
	resp_format(&c->out, "-MOVED %u %s:%u\r\n", slot, host, node->port);
}

/* Replies that name what was sent. */
static void
named(struct resp_compose *c, const struct resp_run *run, enum resp_reply_code code)
{
	struct resp_out *out = &c->out;
	struct resp_args args;
	uint32_t last;

	if (code == RESP_REPLY_NOT_DOLLAR) {
		resp_format(out, "-ERR Protocol error: expected '$', got '%c'\r\n", (char)run->requests->length);
		return;
	}
	resp_args_of(c, run, &args);
	last = run->requests->length < args.held ? run->requests->length : 0;
	switch (code) {
	case RESP_REPLY_UNKNOWN:
		unknown_command(out, &args);
		break;
	case RESP_REPLY_UNKNOWN_SUB:
	case RESP_REPLY_SUB_ARITY:
		resp_text(out, code == RESP_REPLY_UNKNOWN_SUB ? "-ERR unknown subcommand '" :
		    "-ERR unknown subcommand or wrong number of arguments for '");
		put_sent(out, args.at[1], 128);
		resp_text(out, "'. Try ");
		upper(out, run->command->name);
		resp_text(out, " HELP.\r\n");
		break;
	case RESP_REPLY_ARITY:
		resp_format(out, "-ERR wrong number of arguments for '%s' command\r\n", run->command->name);
		break;
	case RESP_REPLY_BAD_EXPIRY:
		resp_format(out, "-ERR invalid expire time in '%s' command\r\n", run->command->name);
		break;
	case RESP_REPLY_MOVED:
		moved(c, &args, run->command);
		break;
	default:
		resp_text(out, code == RESP_REPLY_BAD_OPTION ? "-ERR Unsupported option " :
		    code == RESP_REPLY_BAD_HELLO ? "-ERR Syntax error in HELLO option '" :
		    code == RESP_REPLY_BAD_SETINFO ? "-ERR Unrecognized option '" : "-ERR Unknown client type '");
		put_sent(out, args.at[last], 128);
		resp_text(out, code == RESP_REPLY_BAD_OPTION ? "\r\n" : "'\r\n");
		break;
	}
}

static const char *const texts[RESP_REPLY_COUNT] = {
#define RESP_REPLY(suffix, text) [RESP_REPLY_##suffix] = text,
#include "proto/resp_reply.def"
#undef RESP_REPLY
};

void
resp_reply(struct resp_compose *c, enum resp_reply_code code)
{
	if (code == RESP_REPLY_NULL_BULK) {
		resp_null(c);
	} else if (code == RESP_REPLY_NULL_ARRAY) {
		resp_null_array(c);
	} else {
		resp_text(&c->out, texts[code]);
		resp_text(&c->out, "\r\n");
	}
}

void
resp_compose_reply(struct resp_compose *c, const struct resp_run *run)
{
	enum resp_reply_code code = run->requests->local;

	if (texts[code][0] == '%' && code != RESP_REPLY_NULL_BULK && code != RESP_REPLY_NULL_ARRAY)
		named(c, run, code);
	else
		resp_reply(c, code);
}

bool
resp_failed(struct resp_compose *c, const struct response *response)
{
	switch (response->status) {
	case OP_STATUS_OK:
	case OP_STATUS_NOT_FOUND:
	case OP_STATUS_EXISTS:
	case OP_STATUS_NOT_STORED:
	case OP_STATUS_CHANGED:
		return false;
	case OP_STATUS_TOO_LARGE:
		resp_reply(c, RESP_REPLY_TOO_LARGE);
		return true;
	case OP_STATUS_BAD_KEY:
		resp_reply(c, RESP_REPLY_BAD_KEY);
		return true;
	case OP_STATUS_NOT_A_NUMBER:
		resp_reply(c, RESP_REPLY_NOT_INTEGER);
		return true;
	case OP_STATUS_OUT_OF_MEMORY:
		resp_reply(c, RESP_REPLY_NO_MEMORY);
		return true;
	case OP_STATUS_BUSY:
		resp_reply(c, RESP_REPLY_BUSY);
		return true;
	case OP_STATUS_OWNER_DEAD:
		resp_reply(c, RESP_REPLY_OWNER_DEAD);
		return true;
	case OP_STATUS_OWNER_TIMEOUT:
	case OP_STATUS_OUTCOME_UNKNOWN:
		resp_reply(c, RESP_REPLY_OWNER_TIMEOUT);
		return true;
	case OP_STATUS_STALE_EPOCH:
	case OP_STATUS_WRONG_SLOT:
		resp_reply(c, RESP_REPLY_STALE);
		return true;
	case OP_STATUS_PARTIAL:
		resp_reply(c, RESP_REPLY_PARTIAL);
		return true;
	default:
		resp_reply(c, RESP_REPLY_FAILED);
		return true;
	}
}
