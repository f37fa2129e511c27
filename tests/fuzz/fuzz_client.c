/*
 * What a client makes of any datagrams: answers are matched to operations in flight,
 * values of any claimed size are pulled, topologies of any members are adopted, and nothing
 * is settled twice. Input: records of u16 length and that many bytes of a response, whose
 * header is filled in as the lane expects it unless the length's top bit is set; with
 * bit 14 the bytes are a topology of rule 2 instead, its entries made plausible. With
 * bit 13 a response goes to the last lane opened, and to the way round if there is one.
 * Time stands still but for one step a record, so that repeats and deadlines are reached.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/endpoint.h"
#include "client/handle.h"
#include "proto/topology.h"

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

/*
 * A topology of up to 16 members on loopback: ids, indexes and ports are the input's, in
 * order and within their ranges as far as its first byte does not ask for other ones.
 */
static void
feed_topology(struct slipring *handle, const uint8_t *from, uint32_t len)
{
	uint8_t bytes[TOPOLOGY_HEADER_LEN + 16 * TOPOLOGY_MEMBER_LEN] = { 0 };
	uint32_t count = len > 4 ? (len - 4) / TOPOLOGY_MEMBER_LEN : 0;

	count = count < 1 ? 1 : count > 16 ? 16 : count;
	memcpy(bytes + TOPOLOGY_HEADER_LEN, from + (len > 4 ? 4 : 0), len > 4 ? (len - 4 < count * TOPOLOGY_MEMBER_LEN ? len - 4 :
	    count * TOPOLOGY_MEMBER_LEN) : 0);
	store_le32(bytes, handle->epoch + (len > 1 ? from[1] : 0));
	store_le16(bytes + 4, len > 0 && from[0] == 0xff ? 1 : TOPOLOGY_RENDEZVOUS);
	store_le16(bytes + 6, (uint16_t)count);
	store_le16(bytes + 8, SLOT_COUNT);
	store_le16(bytes + 10, TOPOLOGY_MEMBER_LEN);
	bytes[12] = len > 0 && from[0] == 0xff ? 0 : 1 + (len > 2 ? from[2] % 5 : 0);
	for (uint32_t i = 0; i < count && !(len > 0 && from[0] == 0xfe); i++) {
		uint8_t *entry = bytes + TOPOLOGY_HEADER_LEN + i * TOPOLOGY_MEMBER_LEN;

		endpoint_map_ipv4(entry, "\x7f\0\0\1");
		store_le16(entry + 16, (uint16_t)i);
		store_le16(entry + 18, entry[18] % 4 ? 9 : 0);
		entry[20] = 1 + entry[20] % 4;
		entry[21] = 1 + entry[21] % 6;
		store_le16(entry + 22, 0);
		store_le16(entry + 36, load_le16(entry + 36) | 1);
		store_le16(entry + 38, 0);
	}
	adopt_topology(handle, view_of(bytes, TOPOLOGY_HEADER_LEN + count * TOPOLOGY_MEMBER_LEN), handle->home);
}

/* Invariants that must hold whatever came. */
static void
check(const struct slipring *handle)
{
	for (uint32_t i = 0; i < handle->lane_count; i++)
		lane_check(handle->lanes[i]);
	for (uint32_t slot = 0; handle->owners && slot < SLOT_COUNT; slot += 61)
		for (uint32_t rank = 0; rank < handle->rank_count; rank++)
			CHECK(handle->owners[rank * SLOT_COUNT + slot] < handle->member_count);
}

static void
feed_response(struct lane *lane, uint16_t head, const uint8_t *from, uint16_t len, uint64_t now_ns)
{
	uint8_t bytes[2048];

	memcpy(bytes, from, len);
	if (!(head & 0x8000) && len >= NATIVE_HEADER_LEN)
		fill_header(lane, bytes);
	lane_receive(path_is_open(&lane->detour) && head & 0x2000 ? &lane->detour : &lane->direct, bytes, len, now_ns);
}

static void
feed(struct slipring *handle, struct reader *in, uint64_t *now_ns)
{
	uint16_t head = reader_le16(in), len = head & 0x7ff;
	const uint8_t *from = reader_take(in, len);

	if (!from)
		return;
	if (head & 0x4000)
		feed_topology(handle, from, len);
	else
		feed_response(head & 0x2000 ? handle->lanes[handle->lane_count - 1] : handle->lanes[0], head, from, len, *now_ns);
	*now_ns += 3 * NS_PER_MS;
	large_tidy(handle);
	large_step(handle, *now_ns);
	for (uint32_t i = 0; i < handle->lane_count; i++) {
		struct lane *lane = handle->lanes[i];

		lane_send(lane, *now_ns);
		/* nobody answers: the next record may */
		if (path_is_open(&lane->detour) && lane->detour.cookie == 0)
			lane->detour.cookie = 1ull << 48 | 2;
	}
	check(handle);
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
	options.hedge_percent = 50;
	options.seed = 1;
	handle = slipring_open("127.0.0.1", &options);
	CHECK(handle && slipring_ready(handle) == SLIPRING_OK);
	submit_all(handle, &outcome);
	/* the cookie is there, so that operations are sent at once */
	handle->lanes[0]->direct.cookie = 1ull << 48 | 1;
	handle->lanes[0]->direct.boot = handle->lanes[0]->boot = 1;
	handle->held = false;
	now_ns = handle_now_ns();
	large_step(handle, now_ns);
	lane_send(handle->lanes[0], now_ns);
	while (reader_left(&in) > 0 && !in.failed)
		feed(handle, &in, &now_ns);
	slipring_close(handle);
	CHECK(outcome.completed == OPERATIONS);
	return 0;
}
