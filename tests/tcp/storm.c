#include "tests/tcp/storm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { PEERS = 5, RIGS = 2, ROOM_MAX = 4096, FIRST_PORT = 1000 };

/* The application on one connection of one rig. */
struct app {
	struct connection id;
	bool open;
	uint64_t consumed, written;
	uint8_t *room;
	uint32_t room_len;
};

struct peer {
	uint32_t iss, next;   /* next: number behind what it has sent in order */
	uint32_t isn, received; /* of ours: first number, and behind the farthest that was seen */
	uint16_t window;
	bool ts, known;
	uint32_t ts_recent;
	/* what the application does in its next turns */
	uint32_t write, read_max, room, wanted;
	bool pause, close, abort, again;
	struct app app[RIGS];
};

struct storm {
	struct rig *rigs[RIGS];
	struct peer peers[PEERS];
	struct { const uint8_t *at, *end; } in;
	char *failure;
};

static uint8_t
next_byte(struct storm *storm)
{
	return storm->in.at < storm->in.end ? *storm->in.at++ : 0;
}

/* By the place in the stream. Peers' first numbers are multiples of 2^16, so that it is also by the sequence number. */
static uint8_t
stream_byte(bool ours, uint32_t at)
{
	at &= 0xffff;
	return (uint8_t)(at * 131 + at / 256 * 17 + ours * 77);
}

static void
fail(struct storm *storm, const char *what)
{
	if (!storm->failure[0])
		snprintf(storm->failure, RIG_TEXT_MAX, "%s", what);
}

/* --- the application ----------------------------------------------------------------------- */

static void
take(struct storm *storm, struct app *app, const uint8_t *bytes, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		if (bytes[i] != stream_byte(false, (uint32_t)(app->consumed + i)))
			fail(storm, "a wrong byte came in");
	app->consumed += len;
}

static void
turn_write(struct peer *peer, struct app *app, struct turn *turn)
{
	static uint8_t bytes[1 << 16];

	if (!peer->write)
		return;
	for (uint32_t i = 0; i < peer->write; i++)
		bytes[i] = stream_byte(true, (uint32_t)(app->written + i));
	if (outq_put(turn->blocks, turn->out, bytes, peer->write))
		app->written += peer->write;
}

static void
app_turn(void *context, struct rig *rig, struct turn *turn)
{
	struct storm *storm = context;
	uint32_t index = turn->peer.port - FIRST_PORT, which = rig == storm->rigs[1];
	struct peer *peer = &storm->peers[index];
	struct app *app = &peer->app[which];

	CHECK(index < PEERS);
	if (turn->closed) {
		free(app->room);
		*app = (struct app){ 0 };
		return;
	}
	if (turn->opened)
		*app = (struct app){ .id = turn->id, .open = true };
	if (turn->filled && (!app->room || turn->filled > app->room_len))
		fail(storm, "a room was filled that is not there");
	if (app->room && turn->filled == app->room_len) {
		take(storm, app, app->room, turn->filled);
		free(app->room);
		app->room = NULL;
	}
	if (!app->room) /* else it is not full yet: something else has happened */
		turn->consumed = turn->input.len < peer->read_max ? turn->input.len : peer->read_max;
	take(storm, app, turn->input.data, turn->consumed);
	if (peer->room && !app->room && !turn->finished) {
		app->room_len = peer->room;
		app->room = malloc(peer->room);
		turn->room = app->room;
		turn->room_len = peer->room;
	} else if (!app->room) {
		turn->wanted = peer->wanted;
	}
	turn_write(peer, app, turn);
	turn->pause = peer->pause;
	turn->close = peer->close;
	turn->abort = peer->abort;
}

static void
app_segment(void *context, struct rig *rig, const struct seg *seg)
{
	struct storm *storm = context;
	uint32_t index = seg->destination_port - FIRST_PORT;
	struct peer *peer = &storm->peers[index];

	CHECK(index < PEERS);
	if (rig == storm->rigs[1])
		return; /* the digest tells */
	if (seg->flags & SEG_SYN) {
		peer->isn = seg->seq;
		peer->received = seg->seq + 1;
		peer->ts = seg->ts;
		peer->known = true;
	}
	if (seg->ts)
		peer->ts_recent = seg->ts_value;
	if (seg->flags & SEG_RST)
		return;
	for (uint32_t i = 0; i < seg->payload_len; i++)
		if (seg->payload[i] != stream_byte(true, seg->seq - peer->isn - 1 + i))
			fail(storm, "a wrong byte was sent");
	if ((int32_t)(seg->seq + seg_len(seg) - peer->received) > 0)
		peer->received = seg->seq + seg_len(seg);
}

/* --- steps --------------------------------------------------------------------------------- */

/* Nothing, a little, a lot: by two bytes. */
static int32_t
distance(struct storm *storm)
{
	static const int32_t steps[] = { 0, 1, -1, 2, -2, 10, -10, 1460, -1460, 4096, -4096, 65535, -65535, 1 << 20, -(1 << 20),
		INT32_MAX };

	return steps[next_byte(storm) % 16];
}

static void
put(struct storm *storm, const struct peer *peer, struct seg *seg, const uint8_t *payload, uint32_t len)
{
	memcpy(seg->source, rig_our_ipv4, 16);
	memcpy(seg->destination, rig_our_ipv4, 16);
	seg->source[15] = 9;
	seg->source_port = (uint16_t)(FIRST_PORT + (peer - storm->peers));
	seg->destination_port = 6379;
	seg->window = peer->window;
	seg->payload = payload;
	seg->payload_len = len;
	if (peer->ts && !(seg->flags & SEG_SYN) && !seg->raw_len) {
		seg->ts = true;
		seg->ts_value = (uint32_t)(storm->rigs[0]->now_ns / NS_PER_MS);
		seg->ts_echo = peer->ts_recent;
	}
	for (uint32_t i = 0; i < RIGS; i++)
		rig_in(storm->rigs[i], seg);
}

static void
step_syn(struct storm *storm, struct peer *peer)
{
	struct seg seg = seg_none();
	uint8_t how = next_byte(storm);

	seg.flags = SEG_SYN;
	seg.mss = how & 1 ? 1460 : how & 2 ? 100 : 0;
	seg.wscale = how & 4 ? (int8_t)(how >> 5) : -1;
	seg.sack_ok = how & 8;
	seg.ts = how & 16;
	seg.ts_value = (uint32_t)(storm->rigs[0]->now_ns / NS_PER_MS);
	if (!peer->app[0].open) {
		peer->iss += 0x10000u * (1 + how / 64u);
		peer->next = peer->iss + 1;
	}
	seg.seq = peer->iss;
	put(storm, peer, &seg, NULL, 0);
}

/* In order or anywhere, with any flags; the bytes are always those of that place. */
static void
step_data(struct storm *storm, struct peer *peer, bool in_order)
{
	struct seg seg = seg_none();
	uint8_t payload[2048];
	uint32_t len = next_byte(storm) * 8u;

	len = len > 1460 ? 1460 : len;
	seg.flags = in_order ? SEG_ACK | SEG_PSH : next_byte(storm);
	seg.seq = peer->next + (in_order ? 0 : (uint32_t)distance(storm));
	seg.ack = peer->received + (in_order ? 0 : (uint32_t)distance(storm));
	if (seg.flags & SEG_SYN) /* a stream begins at a multiple of 2^16 */
		seg.seq &= 0xffff0000;
	for (uint32_t i = 0; i < len; i++)
		payload[i] = stream_byte(false, seg.seq - 1 + i);
	if (seg.flags & SEG_SYN)
		len = 0;
	put(storm, peer, &seg, payload, len);
	if (in_order)
		peer->next += len;
}

static void
step_ack(struct storm *storm, struct peer *peer)
{
	struct seg seg = seg_none();
	uint8_t how = next_byte(storm);

	seg.flags = SEG_ACK;
	seg.seq = peer->next;
	seg.ack = peer->received;
	if (how & 1)
		seg.ack += (uint32_t)distance(storm);
	if (how & 2) {
		for (seg.sack_count = 0; seg.sack_count < 1u + (how >> 6); seg.sack_count++) {
			uint32_t start = peer->received + (uint32_t)distance(storm) - next_byte(storm) * 100u;

			seg.sacks[seg.sack_count][0] = start;
			seg.sacks[seg.sack_count][1] = start + (uint32_t)distance(storm);
		}
		if (peer->ts && seg.sack_count > 3)
			seg.sack_count = 3;
	}
	if (how & 4)
		seg.ack -= next_byte(storm) * 536u;
	put(storm, peer, &seg, NULL, 0);
}

static void
step_end(struct storm *storm, struct peer *peer)
{
	struct seg seg = seg_none();
	uint8_t how = next_byte(storm);

	seg.flags = how & 1 ? SEG_RST : SEG_FIN | SEG_ACK;
	seg.seq = peer->next + (how & 2 ? (uint32_t)distance(storm) : 0);
	seg.ack = peer->received;
	put(storm, peer, &seg, NULL, 0);
}

static void
step_options(struct storm *storm, struct peer *peer)
{
	struct seg seg = seg_none();
	uint8_t raw[40];

	seg.flags = next_byte(storm) & 1 ? SEG_SYN : SEG_ACK;
	seg.seq = seg.flags & SEG_SYN ? peer->iss : peer->next;
	seg.ack = peer->received;
	seg.raw_len = next_byte(storm) % 41;
	for (uint32_t i = 0; i < seg.raw_len; i++)
		raw[i] = next_byte(storm);
	seg.raw = raw;
	if (seg.raw_len == 0)
		seg.flags = SEG_ACK;
	put(storm, peer, &seg, NULL, 0);
}

static void
step_icmp(struct storm *storm, struct peer *peer)
{
	struct tcp_icmp error = { .source_port = 6379, .destination_port = (uint16_t)(FIRST_PORT + (peer - storm->peers)) };

	memcpy(error.source, rig_our_ipv4, 16);
	memcpy(error.destination, rig_our_ipv4, 16);
	error.destination[15] = 9;
	error.mtu = (uint16_t)(next_byte(storm) * 8);
	error.seq = peer->received + (uint32_t)distance(storm);
	for (uint32_t i = 0; i < RIGS; i++)
		storm->rigs[i]->api->icmp(storm->rigs[i]->tcp, storm->rigs[i]->now_ns, &error);
}

static void
step_app(struct storm *storm, struct peer *peer)
{
	uint8_t how = next_byte(storm), n = next_byte(storm);

	switch (how % 8) {
	case 0:
		peer->write = n * 16u;
		break;
	case 1:
		peer->write = n * 250u;
		break;
	case 2:
		peer->read_max = n & 1 ? UINT32_MAX : n * 2u;
		break;
	case 3:
		peer->pause = n & 1;
		break;
	case 4:
		peer->close = n % 4 == 0;
		peer->abort = n % 16 == 1;
		break;
	case 5:
		peer->room = n & 1 ? 0 : n * 12u;
		peer->wanted = n & 2 ? n * 20u : 0;
		break;
	default:
		break;
	}
	for (uint32_t i = 0; i < RIGS; i++) {
		struct rig *rig = storm->rigs[i];

		if (peer->app[i].open && how & 8)
			rig->api->resume(rig->tcp, peer->app[i].id);
		if (peer->app[i].open && how % 8 == 7 && n % 16 == 0) {
			rig->api->abort(rig->tcp, peer->app[i].id);
			rig->aborted = true;
		}
	}
}

static void
step_time(struct storm *storm)
{
	static const uint64_t times_us[] = { 1, 100, 1000, 5000, 10000, 40000, 100000, 200000, 250000, 500000, 1000000, 2000000,
		5000000, 30000000, 61000000, 400000000 };
	uint64_t ns = times_us[next_byte(storm) % 16] * NS_PER_US;

	for (uint32_t i = 0; i < RIGS; i++)
		rig_wait(storm->rigs[i], storm->rigs[i]->now_ns + ns);
}

static void
step(struct storm *storm)
{
	uint8_t what = next_byte(storm);
	struct peer *peer = &storm->peers[(what >> 4) % PEERS];

	switch (what % 16) {
	case 0:
		step_syn(storm, peer);
		break;
	case 1: case 2: case 3: case 4:
		step_data(storm, peer, true);
		break;
	case 5:
		step_data(storm, peer, false);
		break;
	case 6: case 7: case 8:
		step_ack(storm, peer);
		break;
	case 9:
		step_end(storm, peer);
		break;
	case 10:
		step_app(storm, peer);
		break;
	case 11:
		peer->window = (uint16_t)(next_byte(storm) << (next_byte(storm) % 9));
		break;
	case 12:
		step_options(storm, peer);
		break;
	case 13:
		step_icmp(storm, peer);
		break;
	default:
		step_time(storm);
		return;
	}
	if (what % 3) /* else the next step is in the same burst */
		for (uint32_t i = 0; i < RIGS; i++)
			rig_round(storm->rigs[i]);
}

static void
compare(struct storm *storm)
{
	for (uint32_t i = 0; i < RIGS; i++)
		if (storm->rigs[i]->failure[0])
			fail(storm, storm->rigs[i]->failure);
	if (storm->rigs[0]->digest != storm->rigs[1]->digest || storm->rigs[0]->sent != storm->rigs[1]->sent)
		fail(storm, "the fast path makes a difference");
}

static void
begin(struct storm *storm, uint8_t how)
{
	struct rig_app app = { app_turn, app_segment, storm };
	const struct tcp_api *apis[RIGS] = { &tcp_fast_api, &tcp_slow_api };
	struct tcp_config config;

	rig_config(apis[0], &config);
	config.connections_max = 4;
	config.half_open_max = how & 1 ? 2 : 8;
	config.memory_bytes = 2 << 20;
	config.input_max = how & 2 ? 4096 : 65536;
	config.output_max = how & 4 ? 4000 : 200000;
	config.wait_max = 3;
	config.keepalive_s = how & 8 ? 10 : 0;
	config.idle_timeout_s = how & 16 ? 100 : 0;
	config.per_source_max = how & 32 ? 3 : 0;
	for (uint32_t i = 0; i < RIGS; i++) {
		storm->rigs[i] = malloc(sizeof *storm->rigs[i]);
		CHECK(storm->rigs[i]);
		rig_open(storm->rigs[i], apis[i], &config, &app, how);
	}
	for (uint32_t i = 0; i < PEERS; i++) {
		storm->peers[i].iss = i * 0x33330000u;
		storm->peers[i].next = storm->peers[i].iss + 1;
		storm->peers[i].window = 65535;
		storm->peers[i].read_max = UINT32_MAX;
	}
}

bool
storm_run(const uint8_t *data, size_t size, char *failure, uint64_t *sent)
{
	struct storm storm = { .in = { data, data + size }, .failure = failure };

	failure[0] = 0;
	begin(&storm, next_byte(&storm));
	while (storm.in.at < storm.in.end && !failure[0]) {
		step(&storm);
		compare(&storm);
	}
	for (uint32_t i = 0; i < PEERS; i++) /* the end is quiet */
		storm.peers[i].write = 0;
	if (sent)
		*sent += storm.rigs[0]->sent;
	for (uint32_t i = 0; i < RIGS; i++) {
		if (!rig_close(storm.rigs[i]))
			fail(&storm, storm.rigs[i]->failure);
		free(storm.rigs[i]);
		for (uint32_t k = 0; k < PEERS; k++)
			free(storm.peers[k].app[i].room);
	}
	return !failure[0];
}
