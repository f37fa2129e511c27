/*
 * Any bytes on a connection of RESP: whatever portions they come in, the replies are the same, nothing is read past the
 * input, and every block comes back.
 *
 * The first byte is the seed of the portions; 0: one byte each.
 */
#include "base/prng.h"
#include "tests/support/resp_end.h"

static struct resp_node *whole, *parts;
static struct counters no_counters; /* INFO may tell of requests behind it, as far as they came with it */

static void
begin(struct resp_node *node)
{
	resp_conn_reset(node, &node->conns[0]);
	CHECK(node->blocks.used == 0);
	/* Behind everything of the input before, and its flush. */
	node->now.wall_ms += 10 * MS_PER_SEC;
	node->now.mono_ns += 10 * NS_PER_SEC;
	store_flush(node->store, &node->now, 0);
	for (uint32_t i = 0; i < 4; i++) {
		serve_tick(node->serve, &node->now, 20000);
		reclaim_quiescent();
	}
}

static uint8_t *
answer(struct resp_node *node, uint32_t *len)
{
	return resp_conn_take(node, &node->conns[0], len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t whole_len, parts_len;
	uint8_t *whole_reply, *parts_reply;
	struct prng random;

	if (!whole) {
		resp_end_start();
		whole = resp_node_create(NULL);
		parts = resp_node_create(NULL);
		whole->exact = parts->exact = whole->still = parts->still = true;
		whole->facts.counters[0] = parts->facts.counters[0] = &no_counters;
		parts->now = whole->now;
		parts->facts.start_wall_ms = whole->facts.start_wall_ms;
		for (uint32_t i = 0; i < RESP_END_CONNECTIONS; i++)
			parts->conns[i].client.opened_ns = parts->conns[i].client.heard_ns = whole->conns[i].client.opened_ns;
	}
	if (size < 1)
		return 0;
	begin(whole);
	begin(parts);
	random = (struct prng){ data[0] };
	resp_conn_feed(whole, &whole->conns[0], data + 1, (uint32_t)size - 1);
	for (size_t at = 1, part; at < size; at += part) {
		part = data[0] == 0 ? 1 : 1 + prng_next(&random) % 64;
		if (part > size - at)
			part = size - at;
		resp_conn_feed(parts, &parts->conns[0], data + at, (uint32_t)part);
	}
	whole_reply = answer(whole, &whole_len);
	parts_reply = answer(parts, &parts_len);
	CHECK(whole->conns[0].closed == parts->conns[0].closed);
	CHECK(whole_len == parts_len && memcmp(whole_reply, parts_reply, whole_len) == 0);
	free(whole_reply);
	free(parts_reply);
	return 0;
}
