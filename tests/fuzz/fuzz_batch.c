/* Fuzzes the reader of batches: what it takes keeps the invariants, and is written back to the same. */
#include <stdlib.h>

#include "base/check.h"
#include "base/limits.h"
#include "proto/batch.h"

static const struct now now = { .mono_ns = 1, .wall_ms = 1700000000000 };

static void
check_request(const struct request *request)
{
	uint8_t *bytes = malloc(BATCH_HEAD_LEN + batch_request_size(request));
	struct writer out = writer_of(bytes, BATCH_HEAD_LEN + batch_request_size(request));
	struct batch_reader batch;
	struct request again;

	CHECK(bytes && request->index < FRAME_OPS_MAX && request->value.len <= VALUE_LEN_MAX);
	CHECK(op_has_key(request->op) ? request->key.len >= 1 && request->key.len <= RESP_KEY_LEN_MAX : request->op == OP_FLUSH);
	CHECK(!(request->options & REQUEST_ITEM) && !(request->flags & (REQUEST_FOREIGN | REQUEST_SLOT_KNOWN | REQUEST_TRUST_SLOT)));
	batch_head_compose(&out, 1, now);
	batch_request_compose(&out, request->index, request);
	CHECK(!out.failed && out.at == out.end);
	CHECK(batch_open(&batch, view_of(bytes, (uint32_t)(out.at - bytes)), now) && batch_request_next(&batch, &again));
	CHECK(again.op == request->op && again.flags == request->flags && again.options == request->options);
	CHECK(view_equal(again.key, request->key) && view_equal(again.value, request->value));
	CHECK(again.version == request->version && again.delta == request->delta && again.length == request->length);
	CHECK(!batch_request_next(&batch, &again) && !batch.in.failed);
	free(bytes);
}

static void
check_response(const struct response *response, uint32_t index)
{
	uint8_t *bytes = malloc(BATCH_HEAD_LEN + batch_response_size(response));
	struct writer out = writer_of(bytes, BATCH_HEAD_LEN + batch_response_size(response));
	struct batch_reader batch;
	struct response again;
	uint32_t at;

	CHECK(bytes && index < FRAME_OPS_MAX && response->value.len <= VALUE_LEN_MAX && !response->pins);
	batch_head_compose(&out, 1, now);
	batch_response_compose(&out, index, response);
	CHECK(!out.failed && out.at == out.end);
	CHECK(batch_open(&batch, view_of(bytes, (uint32_t)(out.at - bytes)), now) && batch_response_next(&batch, &at, &again));
	CHECK(at == index && again.status == response->status && again.number == response->number);
	CHECK(view_equal(again.value, response->value) && again.version == response->version);
	free(bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct batch_reader batch;
	struct request request;
	struct response response;
	uint32_t index;

	CHECK(copy);
	if (size > 0)
		memcpy(copy, data, size);
	if (batch_open(&batch, view_of(copy, (uint32_t)size), now))
		while (batch_request_next(&batch, &request))
			check_request(&request);
	if (batch_open(&batch, view_of(copy, (uint32_t)size), now))
		while (batch_response_next(&batch, &index, &response))
			check_response(&response, index);
	free(copy);
	return 0;
}
