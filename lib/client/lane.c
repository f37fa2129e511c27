/* One worker's lane: frames out, answers in, repeats, settling. */
#include "client/lane.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "client/handle.h"

bool
lane_open(struct lane *lane, struct slipring *handle, uint16_t port)
{
	uint32_t size = 2; /* TOPOLOGY goes beside the application's first operation */

	while (size < handle->options.window)
		size <<= 1;
	*lane = (struct lane){ .handle = handle, .fd = -1, .port = port, .size = size, .mask = size - 1,
		.floor = 1, .unsent = 1, .next = 1, .retry_ns = UINT64_MAX,
		.congestion = CONGESTION_FIRST, .threshold = size };
	lane->slots = calloc(size, sizeof *lane->slots);
	lane->wires = malloc((size_t)size * sizeof *lane->wires);
	if (!lane->slots || !lane->wires) {
		handle_fail(handle, SLIPRING_NO_MEMORY, "no memory for a window of %u operations", size);
		goto failed;
	}
	lane->fd = socket_open(handle, port);
	if (lane->fd < 0)
		goto failed;
	do
		seal_random(&lane->client, sizeof lane->client);
	while (lane->client == 0); /* 0 would mean: do not remember my writes */
	return true;
failed:
	free(lane->slots);
	free(lane->wires);
	return false;
}

static struct slot *
slot_at(const struct lane *lane, uint64_t sequence)
{
	return &lane->slots[sequence & lane->mask];
}

/* The slot of an operation in flight, or NULL when it is settled or was never there. */
static struct slot *
slot_live(const struct lane *lane, uint64_t sequence)
{
	struct slot *slot = slot_at(lane, sequence);

	if (sequence < lane->floor || sequence >= lane->next || slot->sequence != sequence)
		return NULL;
	return slot;
}

void
lane_check(const struct lane *lane)
{
	uint32_t in_flight = 0;

	CHECK(lane->floor <= lane->unsent && lane->unsent <= lane->next);
	CHECK(lane->next - lane->floor <= lane->size);
	for (uint64_t s = lane->floor; s < lane->unsent; s++)
		in_flight += slot_live(lane, s) != NULL;
	CHECK(in_flight == lane->in_flight);
}

/* Ends an operation: its slot is free before its completion runs, which may queue more. */
static void
settle(struct lane *lane, struct slot *slot, enum slipring_status status, const struct native_result *result)
{
	struct slipring *handle = lane->handle;
	uint64_t sequence = slot->sequence;
	struct completion completion = { .status = status, .lane = lane, .context = slot->context,
		.done = slot->done, .tag = slot->tag,
		.key = view_of(lane->wires[sequence & lane->mask] + slot->key_at, slot->key_len) };

	if (result)
		completion.result = *result;
	if (sequence < lane->unsent)
		lane->in_flight--;
	else
		lane->queued_bytes -= slot->wire_len;
	if (lane->in_flight == 0)
		lane->retry_ns = UINT64_MAX;
	slot->sequence = 0;
	while (lane->floor < lane->next && !slot_live(lane, lane->floor))
		lane->floor++;
	if (lane->unsent < lane->floor)
		lane->unsent = lane->floor;
	handle->counters.operations++;
	slot->run(handle, &completion);
}

void
lane_close(struct lane *lane)
{
	if (!lane->slots)
		return;
	for (uint64_t s = lane->floor; s < lane->next; s++)
		if (slot_live(lane, s))
			settle(lane, slot_at(lane, s), SLIPRING_CANCELLED, NULL);
	close(lane->fd);
	free(lane->slots);
	free(lane->wires);
	lane->slots = NULL;
}

static uint32_t
wire_room(const struct lane *lane)
{
	return WIRE_MAX - handle_tag_len(lane->handle);
}

uint32_t
lane_value_max(const struct lane *lane, const struct request *request)
{
	struct request empty = *request;

	empty.value.len = 0;
	return wire_room(lane) - (uint32_t)native_request_size(&empty);
}

bool
lane_queue(struct lane *lane, const struct request *request, const struct lane_order *order, uint64_t now_ns)
{
	uint64_t sequence = lane->next;
	struct slot *slot = slot_at(lane, sequence);
	struct writer wire = writer_of(lane->wires[sequence & lane->mask], wire_room(lane));
	uint32_t before_value;

	CHECK(lane_room(lane) > 0);
	native_request_compose(&wire, request);
	if (wire.failed)
		return false;
	*slot = (struct slot){ .sequence = sequence, .run = order->run, .context = order->context,
		.done = order->done, .tag = order->tag, .op = request->op,
		.deadline_ns = now_ns + lane->handle->options.deadline_us * NS_PER_US };
	slot->wire_len = (uint16_t)(wire_room(lane) - writer_left(&wire));
	before_value = slot->wire_len - request->value.len;
	slot->key_len = (uint16_t)request->key.len;
	slot->key_at = (uint8_t)(before_value - request->key.len);
	lane->next++;
	lane->queued_bytes += slot->wire_len;
	return true;
}

static uint64_t
rto_ns(const struct lane *lane)
{
	uint64_t most = lane->handle->options.try_timeout_us * NS_PER_US;
	uint64_t least = RTO_US_MIN * NS_PER_US;
	uint64_t rto = lane->srtt_ns + 4 * lane->rttvar_ns;

	if (lane->srtt_ns == 0 || rto > most)
		return most;
	return rto > least ? rto : least < most ? least : most;
}

/* When to repeat after `tries` sends: doubles each time, 3/4 to 5/4 of that at random. */
static uint64_t
repeat_after_ns(struct lane *lane, uint32_t tries)
{
	uint64_t most = RTO_US_MAX * NS_PER_US, first = rto_ns(lane);
	uint64_t wait = first << (tries - 1 < 16 ? tries - 1 : 16);

	if (wait > most)
		wait = first > most ? first : most;
	return wait - wait / 4 + prng_below(&lane->handle->prng, wait / 2 + 1);
}

static void
slot_sent(struct lane *lane, struct slot *slot, uint64_t frame, uint64_t now_ns)
{
	slot->clean = slot->tries == 0 || (slot->clean && slot->refused);
	slot->refused = slot->busy = false;
	slot->tries += slot->tries < UINT8_MAX;
	slot->sent_ns = now_ns;
	slot->due_ns = now_ns + repeat_after_ns(lane, slot->tries);
	slot->frame = frame;
	if (slot->clean)
		slot->boot = lane->boot;
	if (slot->sequence >= lane->unsent) {
		lane->unsent = slot->sequence + 1;
		lane->in_flight++;
		lane->queued_bytes -= slot->wire_len;
	} else {
		lane->handle->counters.retries++;
	}
	if (slot->due_ns < lane->retry_ns)
		lane->retry_ns = slot->due_ns;
}

/* Writes the header of a frame of len bytes, signs it, and puts it into the batch. */
static void
seal_frame(struct lane *lane, uint8_t *frame, uint64_t sequence, uint32_t count, uint32_t len)
{
	struct slipring *handle = lane->handle;
	const struct native_header header = { .version = NATIVE_VERSION, .op_count = (uint8_t)count,
		.flags = handle->options.authenticate ? NATIVE_FLAG_AUTH : 0, .client = lane->client,
		.sequence = sequence, .cookie = lane->cookie, .epoch = handle->epoch,
		.window = sequence ? (uint32_t)(sequence - lane->floor) : 0 };

	native_header_compose(&header, frame);
	if (handle->options.authenticate) {
		seal_tag(&handle->tag_key, frame, len, frame + len);
		len += NATIVE_TAG_LEN;
	}
	socket_frame_done(handle, (uint16_t)len);
}

/*
 * Packs operations from `first` on into one frame, as long as their numbers
 * follow each other, they are due and fit. Returns how many.
 */
static uint32_t
send_frame(struct lane *lane, uint64_t first, uint32_t most, uint64_t now_ns)
{
	uint8_t *frame = socket_frame(lane);
	struct writer out = writer_of(frame + NATIVE_HEADER_LEN, wire_room(lane));
	uint32_t count = 0;

	while (count < most && count < FRAME_OPS_MAX) {
		struct slot *slot = slot_live(lane, first + count);

		if (!slot || slot->due_ns > now_ns || slot->wire_len > writer_left(&out))
			break;
		writer_bytes(&out, lane->wires[slot->sequence & lane->mask], slot->wire_len);
		slot_sent(lane, slot, first, now_ns);
		count++;
	}
	if (count == 0)
		return 0;
	seal_frame(lane, frame, first, count, (uint32_t)(out.at - frame));
	return count;
}

/* A timeout is taken for congestion once a round trip, however many operations it hit. */
static void
back_off(struct lane *lane, uint64_t now_ns)
{
	if (now_ns < lane->backed_off_ns + rto_ns(lane))
		return;
	lane->backed_off_ns = now_ns;
	lane->threshold = lane->congestion / 2 > CONGESTION_MIN ? lane->congestion / 2 : CONGESTION_MIN;
	lane->congestion = lane->threshold;
}

static bool
perhaps_executed(const struct slot *slot)
{
	return slot->tries > 0 && !(slot->clean && slot->refused);
}

/* What an operation comes to whose deadline has passed, or that may not be sent again. */
static enum slipring_status
given_up(const struct lane *lane, const struct slot *slot)
{
	if (perhaps_executed(slot) && op_is_once(slot->op))
		return SLIPRING_OUTCOME_UNKNOWN;
	if (slot->busy)
		return SLIPRING_BUSY;
	return lane->network_error ? SLIPRING_UNREACHABLE : SLIPRING_TIMEOUT;
}

/* Settles what is past its deadline; a write sent under an earlier boot is never sent again. */
static void
give_up(struct lane *lane, uint64_t now_ns)
{
	for (uint64_t s = lane->floor; s < lane->next; s++) {
		struct slot *slot = slot_live(lane, s);

		if (!slot)
			continue;
		if (slot->deadline_ns <= now_ns)
			settle(lane, slot, given_up(lane, slot), NULL);
		else if (perhaps_executed(slot) && slot->boot != lane->boot && op_is_once(slot->op))
			settle(lane, slot, SLIPRING_OUTCOME_UNKNOWN, NULL);
	}
}

/* Repeats what is overdue and finds when the next is. */
static void
repeat(struct lane *lane, uint64_t now_ns)
{
	uint64_t s;

	give_up(lane, now_ns);
	lane->retry_ns = UINT64_MAX;
	for (s = lane->floor; s < lane->unsent;) {
		struct slot *slot = slot_live(lane, s);
		uint32_t count = 0;

		if (slot && slot->due_ns <= now_ns) {
			if (!slot->refused)
				back_off(lane, now_ns);
			count = send_frame(lane, s, (uint32_t)(lane->unsent - s), now_ns);
		} else if (slot && slot->due_ns < lane->retry_ns) {
			lane->retry_ns = slot->due_ns;
		}
		s += count > 0 ? count : 1;
	}
}

/*
 * Sequence 0 is no operation's: a PING under it, without a cookie, is answered by
 * a challenge at worst, and whatever the answer, it brings the cookie.
 */
static void
probe(struct lane *lane, uint64_t now_ns)
{
	const struct request ping = { .op = OP_PING };
	uint8_t *frame = socket_frame(lane);
	struct writer out = writer_of(frame + NATIVE_HEADER_LEN, wire_room(lane));

	native_request_compose(&out, &ping);
	seal_frame(lane, frame, 0, 1, (uint32_t)(out.at - frame));
	lane->probe_ns = now_ns + repeat_after_ns(lane, ++lane->probes);
}

/* The next time at which something is overdue. Deadlines are in order: the oldest's is first. */
static uint64_t
timer_ns(const struct lane *lane)
{
	uint64_t deadline = lane_busy(lane) ? slot_at(lane, lane->floor)->deadline_ns : UINT64_MAX;

	return deadline < lane->retry_ns ? deadline : lane->retry_ns;
}

void
lane_push(struct lane *lane, uint64_t now_ns)
{
	while (lane->cookie != 0 && lane->unsent < lane->next && lane->in_flight < lane->congestion)
		if (!slot_live(lane, lane->unsent))
			lane->unsent++;
		else
			send_frame(lane, lane->unsent, lane->congestion - lane->in_flight, now_ns);
	if (lane->handle->out_count > 0)
		socket_flush(lane->handle);
}

void
lane_send(struct lane *lane, uint64_t now_ns)
{
	if (now_ns >= timer_ns(lane))
		repeat(lane, now_ns);
	if (lane->cookie == 0 && lane_busy(lane) && now_ns >= lane->probe_ns)
		probe(lane, now_ns);
	lane_push(lane, now_ns);
}

uint64_t
lane_deadline(const struct lane *lane)
{
	uint64_t timer = timer_ns(lane);

	if (lane->cookie == 0 && lane_busy(lane) && lane->probe_ns < timer)
		return lane->probe_ns;
	return timer;
}

/* Round trip time as RFC 6298 smooths it; only of operations sent once (Karn's rule). */
static void
measured(struct lane *lane, const struct slot *slot, uint64_t now_ns)
{
	uint64_t rtt = now_ns - slot->sent_ns, gap;

	if (slot->tries != 1)
		return;
	if (lane->srtt_ns == 0) {
		lane->srtt_ns = rtt;
		lane->rttvar_ns = rtt / 2;
		return;
	}
	gap = rtt > lane->srtt_ns ? rtt - lane->srtt_ns : lane->srtt_ns - rtt;
	lane->rttvar_ns += gap / 4 - lane->rttvar_ns / 4;
	lane->srtt_ns += rtt / 8 - lane->srtt_ns / 8;
	if (lane->srtt_ns == 0)
		lane->srtt_ns = 1;
}

/* Slow start up to the threshold, then one more operation a window answered. */
static void
grow(struct lane *lane)
{
	if (lane->congestion >= lane->size)
		return;
	if (lane->congestion < lane->threshold || ++lane->grown >= lane->congestion) {
		lane->congestion++;
		lane->grown = 0;
	}
}

static void
on_result(struct lane *lane, uint64_t sequence, const struct native_result *result, uint64_t now_ns)
{
	struct slot *slot = slot_live(lane, sequence);

	if (!slot || slot->tries == 0 || slot->op != result->op) {
		lane->handle->counters.strays++;
		return;
	}
	measured(lane, slot, now_ns);
	if (result->status == OP_STATUS_BUSY) {
		slot->busy = slot->refused = true; /* not executed; it is repeated when due */
		return;
	}
	grow(lane);
	settle(lane, slot, (enum slipring_status)result->status, result);
}

/* Refused this often, an operation waits for its turn instead of going at once. */
enum { PROMPT_TRIES = 3 };

/* Even a probe is refused: what waits for its cookie ends likewise. */
static void
refuse_waiting(struct lane *lane, enum slipring_status status)
{
	for (uint64_t s = lane->floor, end = lane->next; s < end && lane->cookie == 0; s++)
		if (slot_live(lane, s))
			settle(lane, slot_at(lane, s), status, NULL);
}

/*
 * A frame was refused as a whole: nothing of it was executed. A challenge is
 * answered by sending it again; what may have run under an earlier boot is not
 * (give_up sees to that).
 */
static void
on_refusal(struct lane *lane, const struct native_header *header, uint64_t now_ns)
{
	bool challenge = header->error == OP_STATUS_UNPROVEN || header->error == OP_STATUS_STALE_BOOT;

	lane->handle->counters.challenges += challenge;
	if (header->sequence == 0 && !challenge)
		refuse_waiting(lane, (enum slipring_status)header->error);
	for (uint64_t s = header->sequence; s < header->sequence + FRAME_OPS_MAX; s++) {
		struct slot *slot = slot_live(lane, s);

		if (!slot || slot->tries == 0 || slot->frame != header->sequence)
			continue;
		if (!challenge) {
			settle(lane, slot, (enum slipring_status)header->error, NULL);
			continue;
		}
		slot->refused = true;
		if (slot->tries <= PROMPT_TRIES)
			lane->retry_ns = slot->due_ns = now_ns;
	}
}

/* Every response brings a fresh cookie; the boot in it tells a restart of the node. */
static void
take_cookie(struct lane *lane, const struct native_header *header, uint64_t now_ns)
{
	uint16_t boot = native_cookie_boot(header->cookie);

	if (header->cookie == 0)
		return;
	if (lane->cookie != 0 && lane->boot != boot)
		lane->retry_ns = now_ns; /* what the earlier boot may have executed ends now */
	lane->cookie = header->cookie;
	lane->boot = boot;
	lane->probes = 0;
}

static bool
authentic(struct slipring *handle, const uint8_t *payload, uint32_t *len, const struct native_header *header)
{
	uint8_t tag[NATIVE_TAG_LEN];

	if (!handle->options.authenticate)
		return !(header->flags & NATIVE_FLAG_AUTH);
	if (!(header->flags & NATIVE_FLAG_AUTH) || *len < NATIVE_HEADER_LEN + NATIVE_TAG_LEN)
		return false;
	*len -= NATIVE_TAG_LEN;
	seal_tag(&handle->tag_key, payload, *len, tag);
	return seal_equal(tag, payload + *len, NATIVE_TAG_LEN);
}

/* A request of this lane that the answer may belong to: else it is late, repeated, or forged. */
static bool
expected(const struct lane *lane, const struct native_header *header)
{
	return header->client == lane->client && header->sequence < lane->unsent &&
	    (header->sequence + FRAME_OPS_MAX > lane->floor || header->sequence == 0);
}

void
lane_receive(struct lane *lane, const uint8_t *payload, uint32_t len, uint64_t now_ns)
{
	struct slipring *handle = lane->handle;
	struct native_result result;
	struct native_header header;
	struct reader in;

	handle->counters.frames_received++;
	if (!native_header_parse(view_of(payload, len), &header) || !authentic(handle, payload, &len, &header)) {
		handle->counters.bad_frames++;
		return;
	}
	if (!expected(lane, &header)) {
		handle->counters.strays++;
		return;
	}
	lane->network_error = 0;
	if (header.version != NATIVE_VERSION) {
		header.error = OP_STATUS_UNSUPPORTED_VERSION;
		on_refusal(lane, &header, now_ns);
		return;
	}
	take_cookie(lane, &header, now_ns);
	if (header.epoch != 0 && header.epoch != handle->epoch && handle->topology_asked && handle->epoch != 0)
		handle->topology_asked = false;
	if (header.error != 0)
		on_refusal(lane, &header, now_ns);
	if (header.error != 0 || header.sequence == 0)
		return; /* the cookie is all that a probe asks for */
	in = reader_of(payload + NATIVE_HEADER_LEN, len - NATIVE_HEADER_LEN);
	while (native_result_parse(&in, &result))
		on_result(lane, header.sequence + result.index, &result, now_ns);
	handle->counters.bad_frames += in.failed;
}
