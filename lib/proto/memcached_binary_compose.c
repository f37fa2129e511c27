#include "base/bytes.h"
#include "proto/memcached_binary.h"
#include "proto/memcached_stream.h"

static const struct {
	uint16_t status;
	const char *text;
} replies[] = {
	[BINARY_EMPTY] = { 0, "" },
#define BINARY_REPLY(suffix, number, words) [BINARY_##suffix] = { number, words },
#include "proto/memcached_binary_reply.def"
#undef BINARY_REPLY
};

/* What a header repeats and says. */
struct head {
	uint16_t status, key_len;
	uint8_t opcode, extras_len;
	uint32_t value_len, opaque;
	uint64_t cas;
};

static void
put_header(struct memcached_stream *out, const struct head *head)
{
	uint8_t bytes[BINARY_HEADER_LEN] = { BINARY_RESPONSE_MAGIC, head->opcode };

	store_be16(bytes + 2, head->key_len);
	bytes[4] = head->extras_len;
	store_be16(bytes + 6, head->status);
	store_be32(bytes + 8, head->extras_len + head->key_len + head->value_len);
	store_be32(bytes + 12, head->opaque);
	store_be32(bytes + 16, (uint32_t)(head->cas >> 32));
	store_be32(bytes + 20, (uint32_t)head->cas);
	memcached_stream_put(out, view_of(bytes, sizeof bytes));
}

static void
put_reply(struct memcached_stream *out, const struct request *request, enum binary_reply reply, uint64_t cas)
{
	struct view text = view_text(replies[reply].text);

	put_header(out, &(struct head){ .status = replies[reply].status, .opcode = request->verb, .value_len = text.len,
	    .opaque = request->length, .cas = cas });
	memcached_stream_put(out, text);
}

static enum binary_reply
reply_of(uint8_t opcode, enum op_status status)
{
	bool extends = opcode == BINARY_APPEND || opcode == BINARY_PREPEND;

	switch (status) {
	case OP_STATUS_OK: return BINARY_EMPTY;
	case OP_STATUS_NOT_FOUND: return BINARY_NOT_FOUND;
	case OP_STATUS_EXISTS: return BINARY_EXISTS;
	case OP_STATUS_NOT_STORED:
		return opcode == BINARY_ADD ? BINARY_EXISTS : opcode == BINARY_REPLACE ? BINARY_NOT_FOUND : BINARY_NOT_STORED;
	case OP_STATUS_NOT_A_NUMBER: return BINARY_NOT_A_NUMBER;
	case OP_STATUS_TOO_LARGE: return extends ? BINARY_NOT_STORED : BINARY_TOO_LARGE;
	case OP_STATUS_OUT_OF_MEMORY: return BINARY_NO_MEMORY;
	case OP_STATUS_BUSY: return BINARY_BUSY;
	default: return BINARY_TEMPORARY;
	}
}

/* GET, GETK, GAT, GATK, TOUCH: a hit is told even by quiet ones, a miss is not. */
static void
put_value(struct memcached_stream *out, const struct request *request, const struct response *response,
    uint8_t opcode, bool quiet)
{
	bool with_key = opcode == BINARY_GETK || opcode == BINARY_GATK;
	struct view key = with_key ? request->key : view_of(NULL, 0);
	struct view value = opcode == BINARY_TOUCH ? view_of(NULL, 0) : response->value;
	struct head head = { .opcode = request->verb, .key_len = (uint16_t)key.len, .opaque = request->length };
	uint8_t flags[4];

	if (response->status == OP_STATUS_NOT_FOUND && quiet)
		return;
	if (response->status == OP_STATUS_NOT_FOUND && with_key) { /* the key, and no text */
		head.status = replies[BINARY_NOT_FOUND].status;
		put_header(out, &head);
		memcached_stream_put(out, key);
		return;
	}
	if (response->status != OP_STATUS_OK) {
		put_reply(out, request, reply_of(opcode, response->status), 0);
		return;
	}
	head.extras_len = sizeof flags;
	head.value_len = value.len;
	head.cas = response->version;
	store_be32(flags, response->client_flags);
	put_header(out, &head);
	memcached_stream_put(out, view_of(flags, sizeof flags));
	memcached_stream_put(out, key);
	memcached_stream_value(out, value, response->pins);
}

static void
put_number(struct memcached_stream *out, const struct request *request, const struct response *response)
{
	uint8_t number[8];

	store_be32(number, (uint32_t)(response->number >> 32));
	store_be32(number + 4, (uint32_t)response->number);
	put_header(out, &(struct head){ .opcode = request->verb, .value_len = sizeof number, .opaque = request->length,
	    .cas = response->version });
	memcached_stream_put(out, view_of(number, sizeof number));
}

/* A packet for each line "name value", and an empty one. */
static void
put_stats(struct memcached_stream *out, const struct request *request, const struct response *response)
{
	const uint8_t *at = response->value.data, *end = at + response->value.len;
	struct head head = { .opcode = request->verb, .opaque = request->length };

	while (at < end) {
		const uint8_t *lf = memchr(at, '\n', (size_t)(end - at)), *stop = lf ? lf : end;
		const uint8_t *blank = memchr(at, ' ', (size_t)(stop - at));

		if (blank) {
			head.key_len = (uint16_t)(blank - at);
			head.value_len = (uint32_t)(stop - blank - 1);
			put_header(out, &head);
			memcached_stream_put(out, view_of(at, head.key_len));
			memcached_stream_put(out, view_of(blank + 1, head.value_len));
		}
		at = lf ? lf + 1 : end;
	}
	put_reply(out, request, BINARY_EMPTY, 0);
}

static void
put_response(struct memcached_stream *out, const struct request *request, const struct response *response)
{
	bool quiet;
	uint8_t opcode = memcached_binary_loud(request->verb, &quiet);

	if (request->local == BINARY_LATER)
		return;
	/* A flush that other nodes took part in keeps their status there. */
	if (request->local != BINARY_EMPTY && (opcode != BINARY_FLUSH || request->op == OP_NONE)) {
		put_reply(out, request, request->local, 0);
		return;
	}
	switch (opcode) {
	case BINARY_GET: case BINARY_GETK: case BINARY_GAT: case BINARY_GATK: case BINARY_TOUCH:
		put_value(out, request, response, opcode, quiet);
		return;
	default:
		break;
	}
	if (response->status != OP_STATUS_OK)
		put_reply(out, request, reply_of(opcode, response->status), 0);
	else if (quiet)
		return;
	else if (opcode == BINARY_INCREMENT || opcode == BINARY_DECREMENT)
		put_number(out, request, response);
	else if (opcode == BINARY_STAT && request->op != OP_NONE)
		put_stats(out, request, response);
	else
		put_reply(out, request, BINARY_EMPTY, response->has_item ? response->version : 0);
}

bool
memcached_binary_compose(struct stream_reply *reply)
{
	uint8_t gather[MEMCACHED_STREAM_GATHER];
	struct memcached_stream out = memcached_stream_of_outq(reply->blocks, reply->out, gather);

	for (uint32_t i = 0; i < reply->count; i++)
		put_response(&out, &reply->requests[i], &reply->responses[i]);
	return memcached_stream_flush(&out);
}
