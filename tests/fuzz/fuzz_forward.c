/*
 * Fuzzes forwarding with what other nodes may send, and with every turn of events around it: slots of
 * workers and of clients' protocols, answers that fit their call and such that do not, tables, deaths, time.
 * After each input all is brought to an end: every slot must have come home, exactly once.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/pkt.h"
#include "cluster/forward.h"
#include "proto/answers.h"
#include "proto/ask.h"
#include "proto/batch.h"
#include "proto/memcached.h"
#include "proto/native.h"

enum { SLOTS = 24, ASKED_MAX = 256, HELD_MAX = FORWARD_SLOTS_MAX };

static struct forward forward;
static struct ring_snapshot rings[3];
static struct now now = { .mono_ns = NS_PER_SEC, .wall_ms = 1700000000000 };
static uint64_t ids[3];
static struct deferred slots[SLOTS];
static bool out[SLOTS];
static struct { uint64_t member, call, ops; uint8_t kind; } asked[ASKED_MAX];
static struct fuzz_ask {
	struct ask ask;
	struct request requests[8];
	struct response responses[8];
} asks[SLOTS]; /* of the slots */
static uint32_t asked_count;
static struct deferred *held[HELD_MAX]; /* frames of other nodes, at our workers */
static uint32_t held_count;

static const char *const commands[] = {
	"get a b c d e f g\r\n", "set a 0 0 3\r\nabc\r\nget a\r\n", "flush_all\r\nget b\r\n", "get b\r\nflush_all\r\nset b 0 -1 1\r\nx\r\n",
	"mg c v s t f\r\nmd c\r\n", "ms c 2 I C1\r\nhi\r\nmg a N30 v R9\r\nma d N60 T9 v\r\nget b\r\n",
	"mg a v\r\nflush_all\r\nmd b I\r\n", "incr d 1\r\ndecr e 2\r\n", "gat 0 f g h\r\n", "append a 0 0 1\r\n!\r\n",
};

static void
start(void)
{
	void *scratch = aligned_alloc(64, (ring_scratch_size() + 63) / 64 * 64);

	CHECK(scratch);
	for (unsigned i = 0; i < 3; i++) {
		char name[3] = { 'n', (char)('1' + i) };

		ids[i] = ring_member_id(name, 2);
	}
	for (unsigned r = 0; r < 3; r++) { /* all; without n2; n1 alone */
		rings[r].topology.epoch = r + 1;
		rings[r].topology.replication = 1;
		for (unsigned i = 0; i < 3; i++) {
			struct ring_member member = { .id = ids[i], .index = (uint16_t)i, .weight = 64,
				.state = i == 0 || r == 0 || (r == 1 && i == 2) ? RING_ALIVE : RING_LEFT };

			CHECK(ring_topology_add(&rings[r].topology, &member));
		}
		ring_build(&rings[r].topology, scratch, &rings[r].table);
	}
	free(scratch);
	CHECK(forward_init(&forward, &(struct forward_config){ .self = ids[0], .worker_count = 2 }));
	for (unsigned i = 0; i < SLOTS; i++) {
		slots[i].reply_size = DEFERRED_REPLY_CLUSTER;
		slots[i].reply = calloc(1, DEFERRED_REPLY_CLUSTER);
		CHECK(slots[i].reply);
	}
}

/* --- input ------------------------------------------------------------------------------------ */

static uint8_t
byte(struct reader *in)
{
	return reader_left(in) ? reader_u8(in) : 0;
}

static struct view
bytes(struct reader *in, uint32_t most)
{
	uint32_t len = byte(in) | (uint32_t)byte(in) << 8;

	len %= most + 1;
	return reader_view(in, len < reader_left(in) ? len : (uint32_t)reader_left(in));
}

/* --- what comes out --------------------------------------------------------------------------- */

static void
check_home(struct deferred *slot)
{
	struct reader in = reader_of(slot->reply, slot->reply_len);
	uint32_t i = (uint32_t)(slot - slots);

	CHECK(i < SLOTS && out[i] && slot->to == slot->home);
	out[i] = false;
	if (slot->ask) {
		volatile uint8_t sum = 0;

		CHECK(slot->done && !slot->answered);
		for (uint64_t ops = slot->ops; ops != 0; ops &= ops - 1) {
			const struct response *response = &slot->ask->responses[__builtin_ctzll(ops)];

			CHECK(response->status != UINT8_MAX && !response->pins);
			for (uint32_t at = 0; at < response->value.len; at++)
				sum = (uint8_t)(sum + response->value.data[at]);
		}
		if (slot->lent)
			atomic_store(slot->lent, false);
		return;
	}
	if (slot->service == SERVICE_MEMCACHED) {
		CHECK(!slot->done && slot->answers && (slot->answers->ops & slot->ops) == slot->ops);
		for (uint64_t ops = slot->ops; ops != 0; ops &= ops - 1) {
			const struct response *response = &slot->answers->responses[__builtin_ctzll(ops)];
			volatile uint8_t sum = 0;

			for (uint32_t at = 0; at < response->value.len; at++)
				sum = (uint8_t)(sum + response->value.data[at]);
		}
		if (slot->lent)
			atomic_store(slot->lent, false);
		return;
	}
	CHECK(slot->done && slot->answered == (slot->home < DEFERRED_HOME_LOCAL));
	while (reader_left(&in) > 0) {
		uint16_t len = reader_le16(&in);

		CHECK(reader_take(&in, len) && len >= NATIVE_HEADER_LEN && len <= UDP_PAYLOAD_MAX);
	}
}

static void
note_asked(uint64_t member, uint8_t kind, uint64_t call, uint64_t ops)
{
	if ((kind != CALL_ASK && kind != CALL_BATCH) || asked_count == ASKED_MAX)
		return;
	asked[asked_count].kind = kind;
	asked[asked_count].member = member;
	asked[asked_count].call = call;
	asked[asked_count++].ops = ops;
}

static void
drain(struct reader *in)
{
	struct forward_post post;
	struct deferred *slot;

	while (forward_post(&forward, now, &post)) {
		struct reader message = reader_of(post.head.data, post.head.len);
		uint8_t result = byte(in);
		struct call_record record;

		CHECK(post.head.len >= CALL_RECORD_LEN && post.member != ids[0]);
		if (post.body.len > 0) /* of one record: the head is here, the body follows */
			note_asked(post.member, post.head.data[5], load_le64(post.head.data + 8), load_le64(post.head.data + 24));
		else
			while (call_record_next(&message, &record))
				note_asked(post.member, record.kind, record.call, record.ops);
		forward_posted(&forward, now, result < 200 ? FORWARD_SENT : result < 230 ? FORWARD_BUSY : FORWARD_UNREACHABLE);
	}
	while ((slot = forward_mail(&forward)) != NULL) {
		if (slot->home == DEFERRED_HOME_CORE) {
			CHECK(slot->to < 2 && held_count < HELD_MAX && !slot->done);
			held[held_count++] = slot;
		} else {
			check_home(slot);
		}
	}
	forward_check(&forward);
}

/* --- turns ------------------------------------------------------------------------------------ */

static void
new_slot(struct reader *in, bool memcached)
{
	struct datagram datagram;
	struct frame frame;
	static struct request requests[FRAME_OPS_MAX];
	struct deferred *slot = NULL;
	uint64_t all = 0, wanted;

	for (uint32_t i = 0; i < SLOTS && !slot; i++)
		slot = out[i] ? NULL : &slots[i];
	if (!slot)
		return;
	deferred_reset(slot);
	slot->home = byte(in) & 1 || memcached ? 0 : DEFERRED_HOME_LOCAL;
	slot->service = memcached ? SERVICE_MEMCACHED : SERVICE_NATIVE;
	if (memcached) {
		static const uint8_t header[8] = { 0, 1, 0, 0, 0, 1, 0, 0 };
		const char *text = commands[byte(in) % (sizeof commands / sizeof commands[0])];

		slot->payload_len = (uint16_t)(8 + strlen(text));
		memcpy(slot->payload, header, 8);
		memcpy(slot->payload + 8, text, strlen(text));
	} else {
		struct view payload = bytes(in, UDP_PAYLOAD_MAX);

		slot->payload_len = (uint16_t)payload.len;
		if (payload.len)
			memcpy(slot->payload, payload.data, payload.len);
	}
	slot->ops = UINT64_MAX;
	datagram = (struct datagram){ .payload = slot->payload, .payload_len = slot->payload_len, .deferred = slot,
		.service = slot->service };
	if (memcached ? !memcached_parse(&datagram, &now, &frame, requests, FRAME_OPS_MAX) :
	    native_parse(&datagram, &now, &frame, requests, FRAME_OPS_MAX) != NATIVE_OK)
		return; /* no worker would have mailed it */
	wanted = byte(in) | (uint64_t)byte(in) << 8 | ~0ull << 16;
	for (uint32_t i = 0; i < frame.count; i++)
		if (op_has_key(requests[i].op) || op_is_write(requests[i].op) || requests[i].op == OP_FLUSH)
			all |= 1ull << requests[i].index;
	slot->ops = all & wanted;
	if (slot->home == DEFERRED_HOME_LOCAL && byte(in) & 1)
		slot->target = ids[byte(in) % 3];
	if (slot->ops == 0)
		return;
	out[slot - slots] = true;
	forward_slot(&forward, now, slot);
}

static struct request
request_of(struct reader *in)
{
	static const uint8_t ops[] = { OP_GET, OP_SET, OP_DELETE, OP_GUARD, OP_INCR, OP_META, OP_SETRANGE, OP_GAT };
	static const char *const keys[] = { "a", "b", "c", "d", "e", "f", "g", "h" };
	struct request request = { .op = ops[byte(in) % 8], .key = view_text(keys[byte(in) % 8]), .length = byte(in) % 4 };
	static uint8_t large[VALUE_LEN_MAX];

	if (request.op == OP_SET)
		request.value = view_of(large, byte(in) < 250 ? byte(in) : VALUE_LEN_MAX - byte(in));
	return request;
}

/* A worker mails what a connection's pass asks of other nodes. */
static void
new_ask(struct reader *in)
{
	struct deferred *slot = NULL;
	struct fuzz_ask *own;
	uint32_t count = 1 + byte(in) % 8;

	for (uint32_t i = 0; i < SLOTS && !slot; i++)
		slot = out[i] ? NULL : &slots[i];
	if (!slot)
		return;
	own = &asks[slot - slots];
	*own = (struct fuzz_ask){ .ask = { .count = count, .requests = own->requests, .responses = own->responses } };
	deferred_reset(slot);
	slot->home = 0;
	slot->service = SERVICE_ASK;
	slot->ask = &own->ask;
	for (uint32_t i = 0; i < count; i++) {
		own->requests[i] = request_of(in);
		own->requests[i].index = (uint8_t)i;
		own->responses[i].status = UINT8_MAX;
		slot->ops |= 1ull << i;
	}
	if (byte(in) % 8 == 0) { /* a flush comes alone */
		own->requests[0] = (struct request){ .op = OP_FLUSH };
		slot->ops = 1;
	}
	out[slot - slots] = true;
	forward_slot(&forward, now, slot);
}

static uint8_t batch[2 * VALUE_LEN_MAX];

/* A batch of another node's connections. */
static struct view
batch_of(struct reader *in, uint64_t *ops)
{
	struct writer to = writer_of(batch, sizeof batch);
	uint32_t count = 1 + byte(in) % 8;

	batch_head_compose(&to, count, now);
	for (uint32_t i = 0; i < count; i++) {
		struct request request = request_of(in);
		uint32_t index = i * 8 % 61;

		if (request.value.len < 256 || i == 0)
			batch_request_compose(&to, index, &request);
		*ops |= 1ull << index;
	}
	return view_of(batch, (uint32_t)(to.at - batch));
}

/* Responses to a batch, most of them of what was asked for. */
static struct view
responses_of(struct reader *in, uint64_t ops)
{
	struct writer to = writer_of(batch, sizeof batch);

	batch_head_compose(&to, (uint32_t)__builtin_popcountll(ops), now);
	for (; ops != 0; ops &= ops - 1) {
		struct response response = { .status = byte(in) % 8, .value = bytes(in, 600), .has_item = true };

		batch_response_compose(&to, (uint32_t)__builtin_ctzll(ops) + (byte(in) > 250), &response);
	}
	return view_of(batch, (uint32_t)(to.at - batch));
}

static void
message(struct reader *in, const struct call_record *record, uint64_t from)
{
	static uint8_t bytes_out[CALL_RECORD_LEN + sizeof batch];

	(void)in;
	call_record_compose(record, bytes_out);
	if (record->body.len)
		memcpy(bytes_out + CALL_RECORD_LEN, record->body.data, record->body.len);
	forward_message(&forward, now, from, view_of(bytes_out, CALL_RECORD_LEN + record->body.len));
}

static void
answer(struct reader *in)
{
	uint32_t i;
	struct call_record record;

	if (asked_count == 0)
		return;
	i = byte(in) % asked_count;
	record = (struct call_record){ .kind = CALL_ANSWER, .call = asked[i].call, .ops = asked[i].ops,
		.stale = byte(in) & asked[i].ops, .status = byte(in) & 1 ? byte(in) % 24 : 0 };
	if (asked[i].kind == CALL_BATCH && byte(in) < 250) {
		record.kind = CALL_BATCH_ANSWER;
		if (record.status == 0)
			record.body = byte(in) < 230 ? responses_of(in, record.ops & ~record.stale) : bytes(in, 3000);
	} else if (record.status == 0) {
		record.body = bytes(in, 3000);
	}
	message(in, &record, asked[i].member);
}

/* A worker has run a frame of another node, and answered whatever. */
static void
run_held(struct reader *in)
{
	struct deferred *slot;
	struct view reply;

	if (held_count == 0)
		return;
	slot = held[--held_count];
	reply = bytes(in, 2000);
	for (uint64_t ops = slot->ask ? slot->ops : 0; ops != 0; ops &= ops - 1)
		slot->ask->responses[__builtin_ctzll(ops)] = (struct response){ .status = byte(in) % 8,
			.value = view_of(slot->reply, reply.len) };
	if (reply.len)
		memcpy(slot->reply, reply.data, reply.len);
	slot->reply_len = reply.len;
	slot->stale = byte(in) & slot->ops;
	slot->done = true;
	forward_slot(&forward, now, slot);
}

static void
turn(struct reader *in)
{
	switch (byte(in) % 12) {
	case 0:
		forward_message(&forward, now, ids[1 + byte(in) % 2], bytes(in, 3000));
		break;
	case 1: {
		uint64_t ops = byte(in) | (uint64_t)byte(in) << 8;

		message(in, &(struct call_record){ .kind = CALL_ASK, .flags = byte(in), .hops = 1 + byte(in) % 2, .call = byte(in),
			.ops = ops ? ops : 1, .body = bytes(in, CALL_FRAME_MAX) }, ids[1 + byte(in) % 2]);
		break;
	}
	case 2:
	case 3:
		answer(in);
		break;
	case 4:
		new_slot(in, false);
		break;
	case 5:
		new_slot(in, true);
		break;
	case 6:
		run_held(in);
		break;
	case 7:
		now.mono_ns += byte(in) * (uint64_t)(5 * NS_PER_MS);
		forward_tick(&forward, now);
		break;
	case 8:
		forward_ring(&forward, now, &rings[byte(in) % 3]);
		break;
	case 10:
		new_ask(in);
		break;
	case 11: {
		struct call_record record = { .kind = CALL_BATCH, .hops = 1 + byte(in) % 2, .call = byte(in) };

		record.body = batch_of(in, &record.ops);
		message(in, &record, ids[1 + byte(in) % 2]);
		break;
	}
	case 9:
		if (asked_count && byte(in) & 1)
			forward_lost(&forward, now, asked[byte(in) % asked_count].call);
		else
			forward_gone(&forward, now, ids[byte(in) % 3]);
		break;
	}
	drain(in);
}

/* Nobody answers any more. */
static void
finish(void)
{
	static const uint8_t nothing;
	struct reader none = reader_of(&nothing, 0);
	uint32_t free_slots = 0;
	uint64_t kept = 0;

	for (int i = 0; i < 100 && (forward.first_job || held_count || forward.home.first || forward.first_ask || forward.refusal_count); i++) {
		while (held_count)
			run_held(&none);
		now.mono_ns += FORWARD_PATIENCE_NS;
		forward_tick(&forward, now);
		drain(&none);
	}
	CHECK(!forward.first_job);
	for (uint32_t i = 0; i < SLOTS; i++)
		CHECK(!out[i]);
	for (const struct deferred *slot = forward.free_slots; slot; slot = slot->next_free)
		free_slots++;
	CHECK(free_slots == FORWARD_SLOTS_MAX);
	for (uint32_t i = 0; i < FORWARD_LOANS; i++)
		CHECK(!atomic_load(&forward.lent[i]));
	for (uint32_t i = 0; i < FORWARD_LENT_MAX; i++) {
		CHECK(!atomic_load(&forward.lents[i].out));
		for (const struct forward_piece *piece = forward.lents[i].pieces; piece; piece = piece->next)
			kept += blocks_rounded(piece->size);
	}
	CHECK(kept == forward.blocks.used); /* what workers have let go of, and no more */
	asked_count = 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool started;
	struct reader in = reader_of(data, size);

	if (!started)
		start();
	started = true;
	forward_ring(&forward, now, &rings[0]);
	while (reader_left(&in) > 0)
		turn(&in);
	finish();
	return 0;
}
