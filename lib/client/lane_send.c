/* One worker's lane, the way out: frames, repeats, probes, and which path they take. */
#include "base/check.h"
#include "client/slot.h"
#include "proto/topology.h"

/*
 * The only boot that may execute a slot's write, as the header says it: the owner's, as it was
 * when the write was first sent, so that neither another boot nor another owner runs what
 * the first may have run. Before anything is known of the owner, a boot that no node
 * has, which only asks for the owner's.
 */
static uint16_t
boot_for(const struct lane *lane, const struct slot *slot)
{
	bool fresh = slot->tries == 0 || (slot->clean && slot->refused);
	uint16_t boot = fresh && !slot->told ? lane->boot : slot->boot;

	if (!op_is_once((enum op)slot->op))
		return 0;
	return boot != 0 ? boot : NATIVE_BOOT_NOBODY;
}

static void
slot_sent(struct lane *lane, struct slot *slot, uint64_t frame, uint16_t boot, uint64_t now_ns)
{
	struct slipring *handle = lane->handle;

	slot->clean = slot->tries == 0 || (slot->clean && slot->refused);
	/* Nobody executes for a boot that nobody has. */
	slot->refused = boot == NATIVE_BOOT_NOBODY;
	slot->turned = false;
	slot->tries += slot->tries < UINT8_MAX;
	slot->sent_ns = now_ns;
	slot->due_ns = now_ns + path_repeat_ns(handle, lane->path, slot->tries);
	slot->frame = frame;
	if (slot->clean && !slot->told)
		slot->boot = lane->boot;
	if (slot->sequence >= lane->unsent) {
		lane->unsent = slot->sequence + 1;
		lane->in_flight++;
		lane->queued_bytes -= slot->wire_len;
		if (handle->options.hedge_percent > 0 && slot_reads(slot))
			hedge_sent(lane, slot);
	} else {
		handle->counters.retries++;
	}
	if (slot->due_ns < lane->retry_ns)
		lane->retry_ns = slot->due_ns;
}

/* Writes the header of a frame of len bytes, signs it, and puts it into the batch. */
static void
seal_frame(struct path *path, uint8_t *frame, uint64_t sequence, uint32_t count, uint16_t boot, uint32_t len)
{
	struct lane *lane = path->lane;
	struct slipring *handle = lane->handle;
	const struct native_header header = { .version = NATIVE_VERSION, .op_count = (uint8_t)count,
		.flags = handle->options.authenticate ? NATIVE_FLAG_AUTH : 0, .client = lane->client,
		.sequence = sequence, .cookie = path->cookie, .epoch = handle->epoch, .boot = boot,
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
 * follow each other, they are due, may go to one boot, and fit. Returns how many.
 */
static uint32_t
send_frame(struct lane *lane, uint64_t first, uint32_t most, uint64_t now_ns)
{
	uint8_t *frame = socket_frame(lane->path);
	struct writer out = writer_of(frame + NATIVE_HEADER_LEN, lane_wire_room(lane));
	uint32_t count = 0;
	uint16_t boot = 0;
	bool bound = false; /* a write has said which boot */

	while (count < most && count < FRAME_OPS_MAX) {
		struct slot *slot = slot_live(lane, first + count);
		uint16_t wanted;

		if (!slot || slot->due_ns > now_ns || slot->wire_len > writer_left(&out))
			break;
		wanted = boot_for(lane, slot);
		if (op_is_once((enum op)slot->op)) {
			if (bound && wanted != boot)
				break;
			bound = true;
			boot = wanted;
		}
		writer_bytes(&out, slot_wire(lane, slot), slot->wire_len);
		slot_sent(lane, slot, first, wanted, now_ns);
		count++;
	}
	if (count == 0)
		return 0;
	seal_frame(lane->path, frame, first, count, boot, (uint32_t)(out.at - frame));
	return count;
}

/* A read once more, alone in its frame, by the other path. Its own answer counts as well. */
void
lane_send_hedge(struct lane *lane, struct slot *slot)
{
	uint8_t *frame = socket_frame(&lane->detour);
	struct writer out = writer_of(frame + NATIVE_HEADER_LEN, lane_wire_room(lane));

	writer_bytes(&out, slot_wire(lane, slot), slot->wire_len);
	seal_frame(&lane->detour, frame, slot->sequence, 1, 0, (uint32_t)(out.at - frame));
}

/* A timeout is taken for congestion once a round trip, however many operations it hit. */
static void
back_off(struct lane *lane, uint64_t now_ns)
{
	if (now_ns < lane->backed_off_ns + path_rto_ns(lane->handle, lane->path))
		return;
	lane->backed_off_ns = now_ns;
	lane->threshold = lane->congestion / 2 > CONGESTION_MIN ? lane->congestion / 2 : CONGESTION_MIN;
	lane->congestion = lane->threshold;
	if (path_waited(lane->handle, lane->path, now_ns))
		lane->backed_off_ns = 0;
}

/* What an operation comes to whose deadline has passed. */
static enum slipring_status
given_up(const struct lane *lane, const struct slot *slot)
{
	if (slot_perhaps_executed(slot) && op_is_once((enum op)slot->op))
		return SLIPRING_OUTCOME_UNKNOWN;
	if (slot->said)
		return (enum slipring_status)slot->said;
	return lane->path->network_error ? SLIPRING_UNREACHABLE : SLIPRING_TIMEOUT;
}

/* The owner was started again, and the first boot may have run it. */
static bool
is_lost(const struct lane *lane, const struct slot *slot)
{
	return slot_perhaps_executed(slot) && op_is_once((enum op)slot->op) && !slot->told && slot->boot != 0 &&
	    slot->boot != lane->boot;
}

/* Settles what is past its deadline; a write sent under an earlier boot is never sent again. */
static void
give_up(struct lane *lane, uint64_t now_ns)
{
	lane->early_ns = UINT64_MAX;
	for (uint64_t s = lane->floor; s < lane->next; s++) {
		struct slot *slot = slot_live(lane, s);

		if (!slot)
			continue;
		if (slot->deadline_ns <= now_ns)
			lane_settle(lane, slot, given_up(lane, slot), NULL, NULL);
		else if (is_lost(lane, slot))
			lane_settle(lane, slot, SLIPRING_OUTCOME_UNKNOWN, NULL, NULL);
		else if (slot->deadline_ns < lane->early_ns)
			lane->early_ns = slot->deadline_ns;
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

		if (slot && slot->due_ns <= now_ns && lane->path->cookie != 0) {
			if (!slot->refused && !slot->turned)
				back_off(lane, now_ns);
			count = send_frame(lane, s, (uint32_t)(lane->unsent - s), now_ns);
		} else if (slot && slot->due_ns > now_ns && slot->due_ns < lane->retry_ns) {
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
probe(struct path *path, uint64_t now_ns)
{
	const struct request ping = { .op = OP_PING };
	struct lane *lane = path->lane;
	uint8_t *frame = socket_frame(path);
	struct writer out = writer_of(frame + NATIVE_HEADER_LEN, lane_wire_room(lane));

	native_request_compose(&out, &ping);
	seal_frame(path, frame, 0, 1, 0, (uint32_t)(out.at - frame));
	path->probe_ns = now_ns + path_repeat_ns(lane->handle, path, ++path->probes);
}

/* Fetches the cookie without which nothing else goes this way. */
void
lane_probe(struct path *path, uint64_t now_ns)
{
	if (path->cookie != 0 || now_ns < path->probe_ns)
		return;
	if (path->probes > 0)
		path_waited(path->lane->handle, path, now_ns);
	probe(path, now_ns);
}

void
lane_detour_close(struct lane *lane)
{
	if (!path_is_open(&lane->detour))
		return;
	lane->detour.node->detours--;
	path_close(&lane->detour);
	lane->path = &lane->direct;
}

/* Opens the way through another node, unless the one that is open will do. False: there is none. */
bool
lane_detour_open(struct lane *lane)
{
	struct slot *oldest = slot_live(lane, lane->floor);
	struct node *through;

	if (path_is_open(&lane->detour) && node_is_up(lane->detour.node) && lane->detour.node->known)
		return true;
	through = node_instead(lane->handle, lane->node, oldest ? slot_of_wire(lane, oldest) : SLOT_COUNT);
	lane_detour_close(lane);
	if (!through || !path_open(&lane->detour, lane, through, lane->worker % through->worker_count))
		return false;
	through->detours++;
	return true;
}

void
lane_turn(struct lane *lane, uint64_t now_ns)
{
	for (uint64_t s = lane->floor; s < lane->unsent; s++) {
		struct slot *slot = slot_live(lane, s);

		if (!slot)
			continue;
		slot->due_ns = now_ns;
		slot->turned = true;
	}
	if (lane->in_flight > 0)
		lane->retry_ns = now_ns;
}

/* A node that is down is asked by a PING from time to time, beside what goes round it. */
static void
ask_whether_up(struct lane *lane, uint64_t now_ns)
{
	struct node *node = lane->node;

	if (now_ns < node->retry_ns)
		return;
	node_failed(lane->handle, node, now_ns);
	probe(&lane->direct, now_ns);
}

/* Straight to the node while it is up, else by way of another. */
static void
steer(struct lane *lane, uint64_t now_ns)
{
	struct path *before = lane->path;
	struct node *through = lane->detour.node;

	lane->restless = false;
	if (node_is_up(lane->node) || lane->own || !lane_detour_open(lane))
		lane->path = &lane->direct;
	else
		lane->path = &lane->detour;
	if (lane->path == &lane->detour)
		ask_whether_up(lane, now_ns);
	/* What went round and comes back while its way is open is left to be answered there. */
	if (lane->path == &lane->detour ? before != lane->path || lane->detour.node != through :
	    before == &lane->detour && !path_is_open(before))
		lane_turn(lane, now_ns);
	if (lane->path == &lane->direct && lane->in_flight == 0 && lane->handle->options.hedge_percent == 0)
		lane_detour_close(lane);
}

/* The next time at which something is overdue. Deadlines are in order, but for those that early_ns tells. */
static uint64_t
timer_ns(const struct lane *lane)
{
	uint64_t deadline = lane_busy(lane) ? slot_at(lane, lane->floor)->deadline_ns : UINT64_MAX;

	if (lane->early_ns < deadline)
		deadline = lane->early_ns;
	return deadline < lane->retry_ns ? deadline : lane->retry_ns;
}

void
lane_push(struct lane *lane, uint64_t now_ns)
{
	while (lane->path->cookie != 0 && lane->unsent < lane->next && lane->in_flight < lane->congestion &&
	    (!lane->handle->held || lane->own))
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
	if (lane->handle->node_count > 1)
		steer(lane, now_ns);
	if (now_ns >= lane->hedge_ns)
		hedge_reads(lane, now_ns);
	if (now_ns >= timer_ns(lane))
		repeat(lane, now_ns);
	if (lane_busy(lane))
		lane_probe(lane->path, now_ns);
	lane_push(lane, now_ns);
}

uint64_t
lane_deadline(const struct lane *lane)
{
	const struct path *path = lane->path;
	uint64_t timer = timer_ns(lane);

	if (lane->restless)
		return 0;
	if (lane->hedge_ns < timer)
		timer = lane->hedge_ns;
	if (!lane_busy(lane))
		return timer;
	if (path->cookie == 0 && path->probe_ns < timer)
		timer = path->probe_ns;
	if (path == &lane->detour && lane->node->retry_ns < timer)
		timer = lane->node->retry_ns;
	return timer;
}
