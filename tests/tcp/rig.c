#include "tests/tcp/rig.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

const uint8_t rig_our_ipv4[16] = { [10] = 0xff, [11] = 0xff, [12] = 10, [13] = 9, [14] = 0, [15] = 1 };
const uint8_t rig_our_ipv6[16] = { [0] = 0xfd, [15] = 1 };

void
rig_fail(struct rig *rig, const char *format, ...)
{
	va_list args;

	if (rig->failure[0])
		return;
	va_start(args, format);
	vsnprintf(rig->failure, sizeof rig->failure, format, args);
	va_end(args);
}

void
rig_config(const struct tcp_api *api, struct tcp_config *config)
{
	api->defaults(config);
	config->listen_count = 1;
	config->listen[0].port = 6379;
	config->listen[0].service = SERVICE_RESP;
	config->connections_max = 64;
	config->half_open_max = 32;
	config->per_source_max = 0;
	config->memory_bytes = 16 << 20;
	config->mtu = 1500;
	for (uint32_t i = 0; i < sizeof config->secret; i++)
		config->secret[i] = (uint8_t)(i * 37 + 11);
}

void
rig_open(struct rig *rig, const struct tcp_api *api, const struct tcp_config *config, const struct rig_app *app,
    uint64_t seed)
{
	struct error error;

	memset(rig, 0, offsetof(struct rig, in_bytes));
	rig->api = api;
	rig->app = *app;
	rig->now_ns = 1000 * NS_PER_SEC;
	rig->connections_max = config->connections_max;
	rig->spares = (struct spares){ .pkts = rig->out_pkts, .used = RIG_FRAMES };
	rig->tcp = api->create(config, &rig->counters, rig->now_ns, seed, &error);
	if (!rig->tcp) {
		fprintf(stderr, "%s\n", error.text);
		abort();
	}
}

bool
rig_close(struct rig *rig)
{
	struct tcp_figures figures;

	rig_round(rig);
	for (uint32_t i = 0; i < rig->live_size; i++)
		if (rig->live[i].generation)
			rig->api->abort(rig->tcp, (struct connection){ i, rig->live[i].generation - 1 });
	/* Connections that have had no turn yet are not known by their numbers. */
	for (uint32_t g = 0; rig_figures(rig).connections && g < 1 << 16; g++) {
		for (uint32_t i = 0; i < rig->connections_max; i++)
			rig->api->abort(rig->tcp, (struct connection){ i, g });
		rig_round(rig);
	}
	for (uint32_t i = 0; rig_figures(rig).connections && i < 1000000 / RIG_BURST; i++)
		rig_round(rig);
	rig_wait(rig, rig->now_ns + 300 * NS_PER_SEC);
	figures = rig_figures(rig);
	if (figures.connections || figures.half_open || figures.time_wait || rig->live_count)
		rig_fail(rig, "left at the end: %u connections, %u half open, %u in TIME_WAIT, %u not told", figures.connections,
		    figures.half_open, figures.time_wait, rig->live_count);
	if (rig->api->blocks(rig->tcp)->used || figures.blocks_used)
		rig_fail(rig, "left at the end: %llu bytes of blocks", (unsigned long long)rig->api->blocks(rig->tcp)->used);
	blocks_check(rig->api->blocks(rig->tcp));
	rig->api->destroy(rig->tcp);
	free(rig->live);
	rig->live = NULL;
	return !rig->failure[0];
}

/* --- in ------------------------------------------------------------------------------------ */

void
rig_in_raw(struct rig *rig, const uint8_t source[16], const uint8_t destination[16], const uint8_t *bytes, uint32_t len)
{
	uint32_t i = rig->in_count;
	struct tcp_segment *segment = &rig->in[i];
	struct pkt *pkt = &rig->in_pkts[i];

	CHECK(len <= SEG_BYTES_MAX);
	if (seg_checksum(source, destination, bytes, len) != 0) {
		rig->bad_sums++; /* net_input drops these (RFC 9293 MUST-3) */
		return;
	}
	rig->in_count++;
	*pkt = (struct pkt){ .data = rig->in_bytes[i], .len = (uint16_t)(RIG_L3_ROOM + len), .room = sizeof rig->in_bytes[i] };
	memcpy(pkt->data + RIG_L3_ROOM, bytes, len);
	*segment = (struct tcp_segment){ .pkt = pkt, .header = pkt->data + RIG_L3_ROOM, .len = (uint16_t)len,
		.mac = { 2, 0, 0, 0, 9, 2 }, .local = !endpoint_is_mapped(destination) };
	memcpy(segment->source, source, 16);
	memcpy(segment->destination, destination, 16);
	if (rig->in_count == RIG_BURST)
		rig_round(rig);
}

void
rig_in(struct rig *rig, const struct seg *seg)
{
	uint8_t bytes[SEG_BYTES_MAX];

	rig_in_raw(rig, seg->source, seg->destination, bytes, seg_compose(seg, bytes));
}

/* Whom a RST would answer a RST: everybody of a burst in which nothing else came. */
static void
note_resets(struct rig *rig)
{
	rig->reset_count = 0;
	for (uint32_t i = 0; i < rig->in_count; i++)
		if (rig->in[i].len < 20 || !(rig->in[i].header[13] & SEG_RST))
			return;
	for (uint32_t i = 0; i < rig->in_count; i++)
		rig->reset_ports[rig->reset_count++] = load_be16(rig->in[i].header);
}

/* One that the application asked for, in its turn or between rounds, is no answer. */
static bool
answers_a_reset(const struct rig *rig, const struct seg *seg)
{
	for (uint32_t i = 0; i < rig->reset_count && !rig->aborted; i++)
		if (seg->flags & SEG_RST && seg->destination_port == rig->reset_ports[i])
			return true;
	return false;
}

static void
input_settle(struct rig *rig)
{
	for (uint32_t i = 0; i < rig->in_count; i++) {
		struct pkt *pkt = &rig->in_pkts[i];

		if (pkt->disposition != PKT_DONE && pkt->disposition != PKT_DROP)
			rig_fail(rig, "a segment that nobody decided on");
		if ((pkt->disposition == PKT_DROP) != (pkt->drop != DROP_NONE))
			rig_fail(rig, "a drop without a name");
		memset(rig->in_bytes[i], 0xdd, pkt->len); /* nobody may look at it any more */
	}
	rig->in_count = 0;
}

/* --- out ----------------------------------------------------------------------------------- */

static uint64_t
digest_of(uint64_t digest, const uint8_t *bytes, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		digest = (digest ^ bytes[i]) * 0x100000001b3ull;
	return digest;
}

static void
digest_add(struct rig *rig, const uint8_t *bytes, uint32_t len)
{
	rig->digest = digest_of(rig->digest, bytes, len);
	rig->digest = (rig->digest ^ rig->now_ns) * 0x100000001b3ull;
}

void
rig_nic_done(struct rig *rig)
{
	while (rig->tail_count > 0) {
		const struct rig_tail *held = &rig->tails[--rig->tail_count];

		if (digest_of(0, held->tail.data, held->tail.len) != held->digest)
			rig_fail(rig, "bytes of a frame at the NIC have changed");
		outq_unpin(held->tail.pins);
	}
}

/* A frame's last bytes, as the NIC gathers them. */
static void
gather(struct rig *rig, const struct pkt_tail *tail, uint8_t *to)
{
	memcpy(to, tail->data, tail->len);
	CHECK(rig->tail_count < RIG_TAILS_MAX);
	rig->tails[rig->tail_count++] = (struct rig_tail){ *tail, digest_of(0, tail->data, tail->len) };
	if (!rig->nic_holds)
		rig_nic_done(rig);
}

static void
frame_out(struct rig *rig, const struct tcp_frame *frame)
{
	bool ipv6 = endpoint_is_ipv6(&frame->peer);
	uint8_t *bytes = frame->pkt->data + TCP_FRAME_OFFSET;
	const uint8_t *ours = ipv6 ? rig_our_ipv6 : rig_our_ipv4;
	struct seg seg;

	if (frame->tail.len)
		gather(rig, &frame->tail, bytes + frame->len - frame->tail.len);
	/* Layer 3 writes the checksum. */
	bytes[16] = bytes[17] = 0;
	store_be16(bytes + 16, seg_checksum(ours, frame->peer.ip, bytes, frame->len));
	seg_parse(&seg, ours, frame->peer.ip, bytes, frame->len);
	if (seg.complaint)
		rig_fail(rig, "sent a segment with %s", seg.complaint);
	if (seg.source_port != frame->peer.local_port || seg.destination_port != frame->peer.port)
		rig_fail(rig, "the ports of a segment are not those of its peer");
	if (answers_a_reset(rig, &seg))
		rig_fail(rig, "a RST was answered by a RST");
	rig->sent++;
	digest_add(rig, bytes, frame->len);
	rig->app.segment(rig->app.context, rig, &seg);
}

static void
output(struct rig *rig)
{
	struct tcp_frame frames[RIG_BURST];
	uint32_t count, passes = 0;

	do {
		for (uint32_t i = 0; i < rig->spares.used; i++) { /* what was used before */
			rig->out_pkts[i] = (struct pkt){ .data = rig->out_bytes[i], .room = sizeof rig->out_bytes[i] };
			memset(rig->out_bytes[i], 0xee, 128);
		}
		rig->spares.used = 0;
		rig->spares.size = RIG_FRAMES;
		count = rig->api->output(rig->tcp, rig->now_ns, &rig->spares, frames, RIG_BURST);
		CHECK(count <= RIG_BURST);
		for (uint32_t i = 0; i < count; i++)
			frame_out(rig, &frames[i]);
		if (++passes > 10000)
			rig_fail(rig, "output does not end");
	} while (count && !rig->failure[0]);
}

/* What the sequence of a connection's turns has to be, and who is alive. */
static void
turn_check(struct rig *rig, const struct turn *turn)
{
	uint32_t index = turn->id.index;
	struct connection *live;

	if (index >= rig->live_size) {
		uint32_t size = index + 1024;

		rig->live = realloc(rig->live, size * sizeof *rig->live);
		CHECK(rig->live);
		memset(rig->live + rig->live_size, 0, (size - rig->live_size) * sizeof *rig->live);
		rig->live_size = size;
	}
	live = &rig->live[index];
	if (turn->opened) {
		if (live->generation)
			rig_fail(rig, "a connection opened where one is");
		*live = (struct connection){ index, turn->id.generation + 1 };
		rig->live_count++;
	}
	if (live->generation != turn->id.generation + 1)
		rig_fail(rig, "a turn of a connection that was not opened, or is gone");
	if (turn->closed) {
		live->generation = 0;
		rig->live_count--;
	}
	if (turn->consumed || turn->room || turn->close || turn->abort || turn->again || turn->pause || turn->wanted)
		rig_fail(rig, "a turn whose lower part is not zero");
}

/* A connection has at most one turn in a round. */
static void
turns_check(struct rig *rig, const struct turn *turns, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		turn_check(rig, &turns[i]);
		for (uint32_t k = 0; k < i; k++)
			if (turns[i].id.index == turns[k].id.index && !turns[k].closed)
				rig_fail(rig, "two turns in one round");
	}
}

static uint32_t
one_round(struct rig *rig)
{
	struct turn turns[RIG_BURST];
	uint32_t count;

	note_resets(rig);
	rig->rounds++;
	if (rig->in_count)
		rig->api->input(rig->tcp, rig->now_ns, rig->in, rig->in_count);
	count = rig->api->turns(rig->tcp, rig->now_ns, turns, RIG_BURST);
	turns_check(rig, turns, count);
	for (uint32_t i = 0; i < count; i++) {
		rig->app.turn(rig->app.context, rig, &turns[i]);
		rig->aborted |= turns[i].abort;
	}
	rig->turns += count;
	rig->api->apply(rig->tcp, rig->now_ns, turns, count);
	input_settle(rig);
	rig->api->timers(rig->tcp, rig->now_ns);
	output(rig);
	rig->aborted = false;
	if (!rig->silent)
		rig->api->check(rig->tcp);
	return count;
}

/* Who did not come in, or asked for another turn, has it in a round right behind. */
void
rig_round(struct rig *rig)
{
	uint32_t rounds = 0;

	while (one_round(rig) && !rig->failure[0])
		if (++rounds > 100000)
			rig_fail(rig, "turns without an end");
}

void
rig_wait(struct rig *rig, uint64_t until_ns)
{
	uint32_t idle = 0;

	for (;;) {
		uint64_t due = rig->api->deadline(rig->tcp);

		if (due > until_ns || rig->failure[0])
			break;
		if (due > rig->now_ns) {
			rig->now_ns = due;
			idle = 0;
		} else if (++idle > 1000) {
			rig_fail(rig, "a deadline that does not move, %llu ns before now", (unsigned long long)(rig->now_ns - due));
			break;
		}
		rig_round(rig);
	}
	rig->now_ns = until_ns;
	rig_round(rig);
}

struct tcp_figures
rig_figures(const struct rig *rig)
{
	struct tcp_figures figures = { 0 };

	rig->api->figures(rig->tcp, &figures);
	return figures;
}
