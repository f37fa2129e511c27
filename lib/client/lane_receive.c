/* One worker's lane, the way in: answers find their operations. */
#include "base/check.h"
#include "client/slot.h"

/* Only of operations sent once (Karn's rule), and by one path. */
static void
measured(struct path *path, const struct slot *slot, uint64_t now_ns)
{
	struct lane *lane = path->lane;

	if (slot->tries != 1)
		return;
	if (!slot->hedged)
		path_measured(path, now_ns - slot->sent_ns);
	else if (path == &lane->detour)
		lane->handle->hedge_wins++;
	if (lane->handle->options.hedge_percent > 0 && slot_reads(slot))
		hedge_answered(lane, now_ns - slot->sent_ns);
}

/* Slow start up to the threshold, then one more operation a window answered. */
static void
grow(struct lane *lane)
{
	if (lane->congestion >= lane->most)
		return;
	if (lane->congestion < lane->threshold || ++lane->grown >= lane->congestion) {
		lane->congestion++;
		lane->grown = 0;
	}
}

/*
 * The owner is not of the boot that this write may go to, and did not execute it. If
 * nobody did, it goes to the boot that was told.
 */
static void
on_stale_boot(struct lane *lane, struct slot *slot, const struct native_result *result, const struct completion *from,
    uint64_t now_ns)
{
	/* That boot would have executed what goes to it: this answers an earlier sending. */
	if (slot->told && slot->boot == result->version)
		return;
	slot->refused = true;
	if (!slot->clean || slot->told) {
		lane_settle(lane, slot, SLIPRING_OUTCOME_UNKNOWN, NULL, from);
		return;
	}
	slot->boot = (uint16_t)result->version;
	slot->told = true;
	if (lane->boot == 0)
		lane->boot = slot->boot;
	lane->retry_ns = slot->due_ns = now_ns;
}

/* A status that asks for the same operation again; false: it is final. */
static bool
asks_again(struct lane *lane, struct slot *slot, enum op_status status)
{
	switch (status) {
	case OP_STATUS_BUSY:
		slot->refused = true; /* not executed; it is repeated when due */
		break;
	case OP_STATUS_STALE_EPOCH:
		slot->refused = true;
		refresh_want(lane->handle, NULL);
		break;
	case OP_STATUS_OWNER_TIMEOUT:
		break; /* executed or not: the same number may come again */
	default:
		return false;
	}
	slot->said = (uint8_t)status;
	return !lane->own;
}

static void
on_result(struct path *path, uint64_t sequence, const struct native_result *result, const struct completion *from,
    uint64_t now_ns)
{
	struct lane *lane = path->lane;
	struct slot *slot = slot_live(lane, sequence);
	enum slipring_status status = (enum slipring_status)result->status;

	if (!slot || slot->tries == 0 || slot->op != result->op) {
		lane->handle->counters.strays++;
		return;
	}
	if (status != SLIPRING_OWNER_TIMEOUT) /* which took as long as somebody's patience */
		measured(path, slot, now_ns);
	if (asks_again(lane, slot, (enum op_status)result->status))
		return;
	if (result->status == OP_STATUS_STALE_BOOT && op_is_once((enum op)slot->op)) {
		on_stale_boot(lane, slot, result, from, now_ns);
		return;
	}
	/* This sending was not executed, but an earlier one may have been. */
	if (status == SLIPRING_OWNER_DEAD && op_is_once((enum op)slot->op) && !slot->clean)
		status = SLIPRING_OUTCOME_UNKNOWN;
	grow(lane);
	lane_settle(lane, slot, status, result, from);
}

/* Refused this often, an operation waits for its turn instead of going at once. */
enum { PROMPT_TRIES = 3 };

/* Even a probe is refused: what waits for its cookie ends likewise. */
static void
refuse_waiting(struct path *path, enum slipring_status status)
{
	struct lane *lane = path->lane;

	for (uint64_t s = lane->floor, end = lane->next; s < end && path->cookie == 0 && path == lane->path; s++)
		if (slot_live(lane, s))
			lane_settle(lane, slot_at(lane, s), status, NULL, NULL);
}

/*
 * A frame was refused as a whole: nothing of it was executed. A challenge is
 * answered by sending it again; what may have run under an earlier boot is not
 * (give_up sees to that).
 */
static void
on_refusal(struct path *path, const struct native_header *header, uint64_t now_ns)
{
	bool challenge = header->error == OP_STATUS_UNPROVEN || header->error == OP_STATUS_STALE_BOOT;
	struct lane *lane = path->lane;

	lane->handle->counters.challenges += challenge;
	if (header->sequence == 0 && !challenge)
		refuse_waiting(path, (enum slipring_status)header->error);
	for (uint64_t s = header->sequence; s < header->sequence + FRAME_OPS_MAX; s++) {
		struct slot *slot = slot_live(lane, s);

		if (!slot || slot->tries == 0 || slot->frame != header->sequence)
			continue;
		if (!challenge) {
			lane_settle(lane, slot, (enum slipring_status)header->error, NULL, NULL);
			continue;
		}
		slot->refused = true;
		if (slot->tries <= PROMPT_TRIES)
			lane->retry_ns = slot->due_ns = now_ns;
	}
}

/* Every response brings a fresh cookie; the boot in it tells a restart of the node. */
static void
take_cookie(struct path *path, const struct native_header *header, uint64_t now_ns)
{
	uint16_t boot = native_cookie_boot(header->cookie);
	struct lane *lane = path->lane;

	if (header->cookie == 0)
		return;
	/* What the earlier boot may have executed ends now; what waited for a cookie goes. */
	if (path->boot != boot && path == lane->path && lane->in_flight > 0)
		lane->retry_ns = now_ns;
	if (path == &lane->direct && path->boot != boot)
		lane->boot = boot;
	path->cookie = header->cookie;
	path->boot = boot;
	path->probes = 0;
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

static void
take_results(struct path *path, const struct native_header *header, const uint8_t *payload, uint32_t len,
    uint64_t now_ns)
{
	const struct completion from = { .by = path->node, .epoch = header->epoch };
	struct reader in = reader_of(payload + NATIVE_HEADER_LEN, len - NATIVE_HEADER_LEN);
	struct native_result result;

	while (native_result_parse(&in, &result))
		on_result(path, header->sequence + result.index, &result, &from, now_ns);
	path->lane->handle->counters.bad_frames += in.failed;
}

void
lane_receive(struct path *path, const uint8_t *payload, uint32_t len, uint64_t now_ns)
{
	struct lane *lane = path->lane;
	struct slipring *handle = lane->handle;
	struct native_header header;

	handle->counters.frames_received++;
	if (!native_header_parse(view_of(payload, len), &header) || !authentic(handle, payload, &len, &header)) {
		handle->counters.bad_frames++;
		return;
	}
	if (!expected(lane, &header)) {
		handle->counters.strays++;
		return;
	}
	path_heard(path);
	if (header.version != NATIVE_VERSION) {
		header.error = OP_STATUS_UNSUPPORTED_VERSION;
		on_refusal(path, &header, now_ns);
		return;
	}
	take_cookie(path, &header, now_ns);
	if (header.epoch != handle->epoch)
		refresh_on_epoch(handle, header.epoch, path->node, now_ns);
	else
		handle->refresh.confirmed_ns = now_ns;
	if (header.error != 0)
		on_refusal(path, &header, now_ns);
	/* The cookie is all that a probe asks for. */
	if (header.error == 0 && header.sequence != 0)
		take_results(path, &header, payload, len, now_ns);
}
