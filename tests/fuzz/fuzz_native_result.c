/*
 * Fuzzes the native protocol's client side: any datagram as a response. The reader
 * must end, stay inside the datagram, and not fail on what it says is whole.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "proto/native.h"
#include "proto/topology.h"

static void
check_result(const struct native_result *result, const uint8_t *from, const uint8_t *to)
{
	struct topology topology;
	struct topology_node node;

	CHECK(result->index < FRAME_OPS_MAX);
	if (result->op == OP_KEYS) {
		struct reader keys = reader_of(result->value.data, result->value.len);
		struct view key;

		while (native_keys_next(&keys, &key))
			CHECK(key.len >= 1 && key.len <= KEY_LEN_MAX && key.data + key.len <= to);
	}
	CHECK(result->value.data >= from && result->value.data + result->value.len <= to);
	if (result->op != OP_TOPOLOGY || !topology_parse(result->value, &topology))
		return;
	for (uint32_t i = 0; i < topology.node_count; i++)
		topology_node(&topology, i, &node);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct native_header header;
	struct native_result result;
	struct reader in;
	size_t tag_len, left;
	uint8_t *payload = malloc(size ? size : 1);

	CHECK(payload);
	memcpy(payload, data, size);
	if (native_header_parse(view_of(payload, (uint32_t)size), &header) && header.version == NATIVE_VERSION) {
		CHECK((header.error == 0) == (header.op_count > 0));
		tag_len = header.flags & NATIVE_FLAG_AUTH ? NATIVE_TAG_LEN : 0;
		if (size >= NATIVE_HEADER_LEN + tag_len) {
			in = reader_of(payload + NATIVE_HEADER_LEN, size - NATIVE_HEADER_LEN - tag_len);
			left = reader_left(&in);
			while (native_result_parse(&in, &result)) {
				check_result(&result, payload, payload + size);
				CHECK(reader_left(&in) + NATIVE_RESPONSE_OP_LEN <= left); /* it gets on */
				left = reader_left(&in);
			}
			CHECK(in.failed || left == 0);
		}
	}
	free(payload);
	return 0;
}
