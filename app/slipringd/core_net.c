/* The core's packets: in from the workers, out through worker 0, and the way to a neighbour. */
#include <string.h>

#include "slipringd/core_state.h"
#include "slipringd/log.h"

enum { CONTROL_BURSTS = 8, MAPPED = 12 /* an IPv4 address starts there in 16 bytes */ };

static bool
is_ipv4(const uint8_t ip[16])
{
	static const uint8_t mapped[MAPPED] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	return memcmp(ip, mapped, sizeof mapped) == 0;
}

static void
give(struct core *core, struct peer_frame *frame)
{
	peer_io_give(core->io, &frame, 1);
}

/* A held frame that nobody will send, or one that has just been freed. */
static void
lose(struct core *core, struct peer_frame *frame)
{
	if (!frame)
		return;
	counter_add(core->counters, COUNTER_CLUSTER_UNSENT, 1);
	give(core, frame);
}

/* --- out ---------------------------------------------------------------------------------- */

static ON_CORE void
transmit(struct core *core, struct peer_frame *frame)
{
	void *lost, *displaced = NULL;

	switch (neighbour_find(&core->neighbours, core->now.mono_ns, frame->peer.ip + MAPPED, frame->peer.mac, &lost)) {
	case NEIGHBOUR_FOUND:
		peer_io_send(core->io, frame);
		break;
	case NEIGHBOUR_ASKING:
		displaced = neighbour_hold(&core->neighbours, frame->peer.ip + MAPPED, frame);
		break;
	case NEIGHBOUR_NO_WAY:
		displaced = frame;
		break;
	}
	lose(core, lost);
	lose(core, displaced);
}

void
core_net_send(struct core *core, const struct cluster_action *action)
{
	struct peer_frame *frame = is_ipv4(action->to.ip) ?
	    peer_io_take(core->io, action->priority ? PEER_CLASS_CONTROL : PEER_CLASS_DATA) : NULL;

	if (!frame) {
		counter_add(core->counters, COUNTER_CLUSTER_UNSENT, 1);
		return;
	}
	frame->kind = PEER_KIND_UDP;
	frame->len = action->len;
	memcpy(frame->peer.ip, action->to.ip, 16);
	frame->peer.port = action->to.port;
	frame->peer.local_port = core->config.port;
	memcpy(frame->bytes, action->packet, action->len);
	transmit(core, frame);
}

/* A held frame's way is known. */
static ON_CORE void
release(struct core *core, struct peer_frame *frame)
{
	if (frame)
		transmit(core, frame);
}

static ON_CORE struct peer_frame *
take_raw(struct core *core)
{
	struct peer_frame *frame = peer_io_take(core->io, PEER_CLASS_CONTROL);

	if (frame) {
		frame->kind = PEER_KIND_RAW;
		frame->len = NEIGHBOUR_FRAME_LEN;
	}
	return frame;
}

void
core_net_tick(struct core *core)
{
	while (core->now.mono_ns >= neighbour_deadline(&core->neighbours)) {
		struct peer_frame *frame = take_raw(core);
		void *given_up;
		bool asked;

		if (!frame)
			return; /* they will come back */
		asked = neighbour_ask(&core->neighbours, core->now.mono_ns, frame->bytes, &given_up);
		lose(core, given_up);
		if (!asked) {
			give(core, frame);
			continue;
		}
		counter_add(core->counters, COUNTER_ARP_ASKED, 1);
		peer_io_send(core->io, frame);
	}
}

void
core_net_lives(struct core *core)
{
	const struct members *members = &core->cluster.members;
	uint64_t boots[CLUSTER_MEMBERS_MAX];

	if (core->lives_digest == members->digest)
		return;
	core->lives_digest = members->digest;
	for (uint16_t i = 0; i < members->count; i++)
		boots[i] = members_at(members, i)->record.boot;
	peer_io_lives(core->io, boots, members->count);
}

/* --- in ----------------------------------------------------------------------------------- */

static ON_CORE void
arp_in(struct core *core, const struct peer_frame *frame)
{
	static struct log_limit limit = LOG_LIMIT(10000);
	const uint8_t *mac = frame->peer.mac;
	uint8_t ip[4];
	void *held;

	if (neighbour_arp(&core->neighbours, core->now.mono_ns, frame->bytes, ip, &held) == NEIGHBOUR_CONFLICT)
		log_limited(&limit, LOG_LEVEL_ERROR, "address %u.%u.%u.%u is this node's, and %02x:%02x:%02x:%02x:%02x:%02x "
		    "uses it too", ip[0], ip[1], ip[2], ip[3], mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	release(core, held);
}

static ON_CORE void
packet_in(struct core *core, struct peer_frame *frame)
{
	struct cluster_event event = { .kind = CLUSTER_PACKET, .data = frame->bytes, .len = frame->len };
	struct now now = core->now;

	if (core->over)
		return;
	memcpy(event.from.ip, frame->peer.ip, sizeof event.from.ip);
	event.from.port = frame->peer.port;
	cluster_step(&core->cluster, now, &event, &core->actions);
	if (core->actions.genuine)
		release(core, neighbour_confirm(&core->neighbours, now.mono_ns, frame->peer.ip + MAPPED, frame->peer.mac));
	core_outcome(core);
}

static ON_CORE uint32_t
burst_in(struct core *core, enum peer_class class)
{
	struct peer_frame *frames[CORE_BURST];
	uint32_t n = peer_io_receive(core->io, class, frames, CORE_BURST);

	for (uint32_t i = 0; i < n; i++)
		if (frames[i]->kind == PEER_KIND_ARP)
			arp_in(core, frames[i]);
		else
			packet_in(core, frames[i]);
	if (n)
		peer_io_give(core->io, frames, n);
	return n;
}

/* Control packets pass data; but for time's sake even they come in portions. */
bool
core_net_receive(struct core *core)
{
	uint32_t n = 0, got = CORE_BURST;

	for (int i = 0; i < CONTROL_BURSTS && got == CORE_BURST; i++)
		n += got = burst_in(core, PEER_CLASS_CONTROL);
	return n + burst_in(core, PEER_CLASS_DATA) > 0;
}
