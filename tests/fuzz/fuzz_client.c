/*
 * What a client makes of any datagrams: answers are matched to operations in flight,
 * values of any claimed size are pulled, and nothing is settled twice. Input: records of
 * u16 length and that many bytes of a response, whose header is filled in as the
 * lane expects it unless the length's top bit is set. Time stands still but for one
 * step a record, so that repeats and deadlines are reached.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "client/handle.h"

enum { OPERATIONS = 12 };

struct outcome {
	unsigned completed, sum;
};

static void
done(void *context, const struct slipring_result *result)
{
	struct outcome *outcome = context;

	/* reading the value shows the sanitizer a bad one */
	for (size_t i = 0; result->value && i < result->value_len; i++)
		outcome->sum += ((const uint8_t *)result->value)[i];
	outcome->completed++;
}

static void
submit_all(struct slipring *handle, struct outcome *outcome)
{
	static uint8_t value[5000];

	for (int i = 0; i < OPERATIONS; i++) {
		const struct slipring_request request = { .op = (enum slipring_op)(1 + i % 11), .key = "key", .key_len = 3,
			.value = value, .value_len = i == 1 ? sizeof value : 10, .done = done, .context = outcome };

		CHECK(slipring_submit(handle, &request) == SLIPRING_OK);
	}
}

/* A response that the lane will look into: its client, flags and counts right, the rest the input's. */
static void
fill_header(const struct lane *lane, uint8_t *bytes)
{
	store_le16(bytes, NATIVE_MAGIC);
	bytes[2] = NATIVE_VERSION;
	bytes[3] = NATIVE_FLAG_RESPONSE | (bytes[3] & NATIVE_FLAG_CHALLENGE);
	bytes[5] = bytes[3] & NATIVE_FLAG_CHALLENGE ? OP_STATUS_UNPROVEN + bytes[5] % 2 : 0;
	bytes[4] = bytes[5] ? 0 : (uint8_t)(1 + bytes[4] % 4);
	store_le16(bytes + 6, 0);
	store_le64(bytes + 8, lane->client);
	store_le64(bytes + 16, lane->floor + bytes[16] % 8);
	store_le32(bytes + 36, 0);
}

static void
feed(struct slipring *handle, struct reader *in, uint64_t *now_ns)
{
	struct lane *lane = &handle->lanes[0];
	uint16_t head = reader_le16(in), len = head & 0x7ff;
	const uint8_t *from = reader_take(in, len);
	uint8_t bytes[2048];

	if (!from)
		return;
	memcpy(bytes, from, len);
	if (!(head & 0x8000) && len >= NATIVE_HEADER_LEN)
		fill_header(lane, bytes);
	lane_receive(lane, bytes, len, *now_ns);
	*now_ns += 3 * NS_PER_MS;
	large_tidy(handle);
	large_step(handle, *now_ns);
	lane_send(lane, *now_ns);
	lane_check(lane);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader in = reader_of(data, size);
	struct outcome outcome = { 0 };
	struct slipring_options options;
	struct slipring *handle;
	uint64_t now_ns;

	slipring_options_init(&options);
	options.port = 9; /* discard: nobody listens on loopback's */
	options.window = 32;
	options.seed = 1;
	handle = slipring_open("127.0.0.1", &options);
	CHECK(handle && slipring_ready(handle) == SLIPRING_OK);
	submit_all(handle, &outcome);
	/* the cookie is there, so that operations are sent at once */
	handle->lanes[0].cookie = 1ull << 48 | 1;
	handle->lanes[0].boot = 1;
	now_ns = handle_now_ns();
	large_step(handle, now_ns);
	lane_send(&handle->lanes[0], now_ns);
	while (reader_left(&in) > 0 && !in.failed)
		feed(handle, &in, &now_ns);
	slipring_close(handle);
	CHECK(outcome.completed == OPERATIONS);
	return 0;
}
