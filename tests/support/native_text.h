/*
 * native_text.h - native frames as text, for tests that compare with a script or a document.
 *
 * A request operation:  set "key" slot=12 add flags=1 ttl=0 value="x"
 * A result:             0 set ok version=7
 * Bytes: "text" with \xHH for what is not printable; more than 64: LEN bytes crc16=HHHH.
 */
#ifndef TESTS_SUPPORT_NATIVE_TEXT_H
#define TESTS_SUPPORT_NATIVE_TEXT_H

#include <inttypes.h>
#include <stdio.h>

#include "base/bytes.h"
#include "proto/native.h"
#include "proto/native_rule.h"
#include "ring/slot.h"

enum { TEXT_BYTES_MAX = 64 };

static inline void
text_bytes(FILE *out, struct view bytes)
{
	if (bytes.len > TEXT_BYTES_MAX) {
		fprintf(out, "%u bytes crc16=%04x", bytes.len, slot_crc16(bytes.data, bytes.len));
		return;
	}
	fputc('"', out);
	for (uint32_t i = 0; i < bytes.len; i++) {
		uint8_t byte = bytes.data[i];

		if (byte == '\n')
			fputs("\\n", out);
		else if (byte < ' ' || byte > '~' || byte == '"' || byte == '\\')
			fprintf(out, "\\x%02x", byte);
		else
			fputc(byte, out);
	}
	fputc('"', out);
}

static inline void
text_condition(FILE *out, const struct request *request)
{
	if (request->flags & REQUEST_ADD)
		fputs(" add", out);
	if (request->flags & REQUEST_REPLACE)
		fputs(" replace", out);
	if (request->flags & REQUEST_CAS)
		fprintf(out, " cas=%" PRIu64, request->version);
}

static inline void
text_extras(FILE *out, const struct request *request)
{
	switch (request->op) {
	case OP_SET:
	case OP_UPLOAD_BEGIN:
		fprintf(out, " flags=%u ttl=%" PRIu64, request->client_flags, request->expiry_ms);
		if (request->op == OP_UPLOAD_BEGIN)
			fprintf(out, " total=%u", request->length);
		break;
	case OP_TOUCH:
	case OP_GAT:
		fprintf(out, " ttl=%" PRIu64, request->expiry_ms);
		break;
	case OP_FLUSH:
		fprintf(out, " delay=%" PRIu64, request->expiry_ms);
		break;
	case OP_INCR:
	case OP_DECR:
		fprintf(out, " delta=%" PRIu64, request->delta);
		if (request->flags & REQUEST_CREATE)
			fprintf(out, " create=%" PRIu64 " ttl=%" PRIu64, request->initial, request->expiry_ms);
		break;
	case OP_TOPOLOGY:
	case OP_STATS:
		fprintf(out, " offset=%u", request->offset);
		break;
	case OP_KEYS:
		fprintf(out, " cursor=%" PRIu64 " limit=%u", request->handle, request->length);
		break;
	case OP_EVICT:
		fprintf(out, " count=%u", request->length);
		break;
	case OP_EXPIRE:
		fprintf(out, " cursor=%" PRIu64, request->handle);
		break;
	case OP_UPLOAD_CHUNK:
		fprintf(out, " handle=%" PRIu64 " offset=%u", request->handle, request->offset);
		break;
	case OP_UPLOAD_COMMIT:
	case OP_UPLOAD_ABORT:
		fprintf(out, " handle=%" PRIu64, request->handle);
		break;
	}
}

/* As parsed at wall time 0, so that expiries read as the ttl sent. */
static inline void
text_request(FILE *out, const struct request *request)
{
	const struct native_rule *rule = native_rule(request->op);

	fputs(op_name(request->op), out);
	if (rule->key == NATIVE_KEY_NEEDED || rule->key == NATIVE_KEY_GROUP || rule->key == NATIVE_KEY_PREFIX) {
		fputc(' ', out);
		text_bytes(out, request->key);
	}
	if (native_names_slot(rule))
		fprintf(out, " slot=%u", request->slot);
	if (request->flags & REQUEST_RANGE)
		fprintf(out, " range=%" PRIu64 ",%u,%u", request->version, request->offset, request->length);
	/* A plain GET has no more, and the rest of its request is not filled. */
	if (request->op == OP_GET)
		return;
	text_condition(out, request);
	text_extras(out, request);
	if (rule->has_value) {
		fputs(" value=", out);
		text_bytes(out, request->value);
	}
}

static inline void
text_result(FILE *out, const struct native_result *result)
{
	fprintf(out, "%u %s %s", result->index, op_name(result->op), op_status_name(result->status));
	if (result->version)
		fprintf(out, " version=%" PRIu64, result->version);
	if (result->status != OP_STATUS_OK)
		return;
	switch (result->op) {
	case OP_GET:
	case OP_GAT:
	case OP_META:
		fprintf(out, " flags=%u total=%u", result->client_flags, result->total_len);
		break;
	case OP_TOPOLOGY:
		fprintf(out, " total=%u", result->total_len);
		break;
	case OP_STATS:
		fprintf(out, " lines=%u", result->total_len);
		break;
	case OP_INCR:
	case OP_DECR:
		fprintf(out, " number=%" PRIu64, result->number);
		break;
	case OP_UPLOAD_BEGIN:
		fprintf(out, " handle=%" PRIu64, result->number);
		break;
	case OP_KEYS:
	case OP_EVICT:
	case OP_EXPIRE:
		fprintf(out, " next=%" PRIu64 " items=%u shards=%u", result->number, result->total_len, result->client_flags);
		break;
	}
	if (result->op == OP_META && result->ttl_ms == UINT64_MAX)
		fputs(" ttl=never", out);
	else if (result->op == OP_META)
		fprintf(out, " ttl=%" PRIu64, result->ttl_ms);
	if (result->op == OP_GET || result->op == OP_GAT || result->op == OP_TOPOLOGY || result->op == OP_STATS ||
	    result->op == OP_KEYS) {
		fputs(" value=", out);
		text_bytes(out, result->value);
	}
}

/*
 * A request frame: one line for the header, one an operation, without the last newline.
 *   request [tagged] client=0x1 sequence=2 cookie=0x3 epoch=4 window=5
 */
static inline void
text_request_frame(FILE *out, struct view payload)
{
	struct datagram datagram = { .payload = (uint8_t *)payload.data, .payload_len = (uint16_t)payload.len };
	struct request requests[FRAME_OPS_MAX];
	struct frame frame;
	enum native_verdict verdict = native_parse(&datagram, &(struct now){ 0 }, &frame, requests, FRAME_OPS_MAX);

	fputs("request", out);
	if (verdict == NATIVE_NO_REQUEST) {
		fputs(" foreign", out);
		return;
	}
	if (verdict == NATIVE_WRONG_VERSION)
		fprintf(out, " version=%u", payload.data[2]);
	if (verdict == NATIVE_MALFORMED)
		fputs(" malformed", out);
	if (frame.authenticated)
		fputs(" tagged", out);
	fprintf(out, " client=0x%" PRIx64 " sequence=%" PRIu64, frame.client, frame.sequence);
	if (verdict != NATIVE_OK)
		return;
	fprintf(out, " cookie=0x%" PRIx64 " epoch=%u window=%u", frame.cookie, frame.epoch,
	    load_le32(payload.data + 36));
	for (uint32_t i = 0; i < frame.count; i++) {
		fputc('\n', out);
		if (requests[i].op == OP_NONE)
			fprintf(out, "malformed opcode=%u %s", requests[i].verb, op_status_name(requests[i].local));
		else
			text_request(out, &requests[i]);
	}
}

/* What a response frame holds between header and tag. */
static inline struct reader
text_results(struct view payload, const struct native_header *header)
{
	return reader_of(payload.data + NATIVE_HEADER_LEN, payload.len - NATIVE_HEADER_LEN -
	    (header->flags & NATIVE_FLAG_AUTH ? NATIVE_TAG_LEN : 0));
}

/*
 * A response frame, likewise:
 *   response [tagged] [challenge] [error=unproven] client=0x1 sequence=2 cookie=0x3 epoch=4
 */
static inline void
text_response_frame(FILE *out, struct view payload)
{
	struct native_result result;
	struct native_header header;
	struct reader in;

	if (!native_header_parse(payload, &header)) {
		fputs("response malformed", out);
		return;
	}
	fputs("response", out);
	if (header.flags & NATIVE_FLAG_AUTH)
		fputs(" tagged", out);
	if (header.flags & NATIVE_FLAG_CHALLENGE)
		fputs(" challenge", out);
	if (header.error)
		fprintf(out, " error=%s", op_status_name(header.error));
	fprintf(out, " client=0x%" PRIx64 " sequence=%" PRIu64 " cookie=0x%" PRIx64 " epoch=%u",
	    header.client, header.sequence, header.cookie, header.epoch);
	in = text_results(payload, &header);
	for (uint32_t i = 0; i < header.op_count && native_result_parse(&in, &result); i++) {
		fputc('\n', out);
		text_result(out, &result);
	}
	if (in.failed || reader_left(&in) > 0)
		fputs("\nresults malformed", out);
}

#endif
