/* The applications on our own stack: the server's, and that of a pair's opener. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/tcpsim/sim.h"

enum { ROOM_MAX = 30000, WANTED_MAX = 5000, PAUSE_MAX_MS = 50 };

struct side {
	struct sim *sim;
	struct sim_conn *conn;
	struct server *service;
	uint32_t rig;
	uint64_t in_total, out_total;
};

static struct side
side_of(struct sim *sim, const struct rig *rig, uint16_t port)
{
	struct side side = { .sim = sim, .rig = rig == sim->rigs[1], .conn = sim_conn_of(sim, port) };

	CHECK(side.conn);
	side.service = &side.conn->service[side.rig];
	side.in_total = side.rig ? side.conn->plan.down_total : side.conn->plan.up_total;
	side.out_total = side.rig ? side.conn->plan.up_total : side.conn->plan.down_total;
	return side;
}

static void
verify(struct side *side, const uint8_t *bytes, uint32_t len)
{
	struct server *s = side->service;

	if (side->rig == 1 && !s->kicked && len) {
		s->kicked = true;
		bytes++;
		len--;
	}
	for (uint32_t i = 0; i < len; i++) {
		if (bytes[i] != sim_byte(side->conn->plan.salt, side->rig == 1, s->seen + i)) {
			sim_fail(side->sim, "a wrong byte at %llu of the server's input", (unsigned long long)(s->seen + i));
			return;
		}
	}
	s->seen += len;
	if (len)
		side->conn->progress_ns = side->sim->now_ns;
	if (s->seen > side->in_total)
		sim_fail(side->sim, "more input than was sent");
}

static void
turn_read(struct side *side, struct turn *turn)
{
	const struct plan *plan = &side->conn->plan;
	struct server *s = side->service;
	struct prng *prng = &side->sim->prng;
	uint64_t left;

	if (turn->filled && (!s->room || turn->filled > s->room_len))
		sim_fail(side->sim, "a room was filled that is not there");
	if (s->room && turn->filled < s->room_len)
		return; /* a turn for something else */
	if (s->room) {
		verify(side, s->room, turn->filled);
		free(s->room);
		s->room = NULL;
	}
	left = side->in_total - s->seen;
	if (plan->use_wanted && turn->input.len < left && !turn->finished && prng_below(prng, 3) == 0) {
		turn->wanted = (uint32_t)(left < WANTED_MAX ? left : 1 + prng_below(prng, WANTED_MAX));
		if (turn->wanted > turn->input.len)
			return;
		turn->wanted = 0;
	}
	turn->consumed = turn->input.len;
	if (side->rig == 1 && !s->kicked)
		left++;
	if (prng_below(prng, 8) == 0 && turn->input.len > 1) { /* a command that is not whole yet */
		turn->consumed = (uint32_t)prng_below(prng, turn->input.len);
		verify(side, turn->input.data, turn->consumed);
		turn->again = true;
		return;
	}
	verify(side, turn->input.data, turn->consumed);
	left = side->in_total - s->seen;
	if (plan->use_room && left && !turn->finished && prng_below(prng, 3) == 0) {
		s->room_len = (uint32_t)(1 + prng_below(prng, left < ROOM_MAX ? left : ROOM_MAX));
		s->room = malloc(s->room_len);
		turn->room = s->room;
		turn->room_len = s->room_len;
	}
}

static void
turn_write(struct side *side, struct turn *turn)
{
	static uint8_t bytes[1 << 18];
	struct server *s = side->service;
	uint64_t owed = side->out_total;
	uint32_t len;

	if (side->rig == 0 && s->seen < side->in_total)
		owed = side->out_total * s->seen / side->in_total;
	len = (uint32_t)(owed - s->written < side->conn->plan.server_chunk ? owed - s->written : side->conn->plan.server_chunk);
	if (len > sizeof bytes)
		len = sizeof bytes;
	for (uint32_t i = 0; i < len; i++)
		bytes[i] = sim_byte(side->conn->plan.salt, side->rig == 0, s->written + i);
	if (len && outq_put(turn->blocks, turn->out, bytes, len))
		s->written += len;
	turn->again |= s->written < owed;
}

static bool
wants_close(const struct side *side)
{
	const struct server *s = side->service;
	bool all = s->seen == side->in_total && s->written == side->out_total;

	if (side->rig == 1) /* the first to close discards what still comes, so it has everything by then */
		return all && (side->conn->plan.ending == END_CLIENT_FIN || s->finished);
	switch (side->conn->plan.ending) {
	case END_SERVER_FIN:
		return all;
	case END_SERVER_EARLY:
		return s->seen >= side->in_total / 2;
	default:
		return all && s->finished;
	}
}

static void
turn_end(struct side *side, const struct turn *turn)
{
	struct server *s = side->service;
	bool sound = side->conn->plan.ending == END_CLIENT_FIN || side->conn->plan.ending == END_SERVER_FIN;

	s->closed = true;
	s->open = false;
	s->reason = turn->reason;
	free(s->room);
	s->room = NULL;
	sim_say(side->sim, "server's end of %u: reason %u, %llu read, %llu written", turn->peer.port, turn->reason,
	    (unsigned long long)s->seen, (unsigned long long)s->written);
	if (sound && turn->reason != TCP_CLOSED)
		sim_fail(side->sim, "connection %u ends with reason %u", turn->peer.port, turn->reason);
}

void
service_turn(void *context, struct rig *rig, struct turn *turn)
{
	struct sim *sim = context;
	struct side side = side_of(sim, rig, turn->peer.port);
	struct server *s = side.service;

	if (turn->closed) {
		turn_end(&side, turn);
		return;
	}
	if (turn->opened) {
		s->id = turn->id;
		s->open = s->was_open = true;
	}
	if (s->id.index != turn->id.index || s->id.generation != turn->id.generation)
		sim_fail(sim, "a turn of another connection");
	s->paused = false;
	s->finished |= turn->finished;
	turn_read(&side, turn);
	if (sim->failure[0])
		return;
	turn_write(&side, turn);
	if (turn->finished && !s->room && turn->consumed == turn->input.len && s->seen != side.in_total)
		sim_fail(sim, "FIN after %llu of %llu bytes", (unsigned long long)s->seen, (unsigned long long)side.in_total);
	if (wants_close(&side)) {
		turn->close = true;
		turn->again = false;
		turn->room_len = 0;
		turn->room = NULL;
	} else if (!s->room && prng_below(&sim->prng, 100) < side.conn->plan.pause_percent) {
		turn->pause = true;
		turn->again = false;
		s->paused = true;
		s->resume_at = sim->now_ns + (1 + prng_below(&sim->prng, PAUSE_MAX_MS)) * NS_PER_MS;
	}
}

/* What our stack sends: on its own terms first, then over the link. */
void
service_segment(void *context, struct rig *rig, const struct seg *seg)
{
	struct sim *sim = context;
	struct side side = side_of(sim, rig, seg->destination_port);
	struct server *s = side.service;
	uint8_t bytes[SEG_BYTES_MAX];
	uint32_t edge = seg->ack + ((uint32_t)seg->window << s->shift);

	if (seg->flags & SEG_SYN) {
		s->shift = seg->wscale > 0 ? (uint8_t)seg->wscale : 0;
		s->isn = seg->seq;
		s->edge_known = false;
	} else if (seg->flags & SEG_ACK && !(seg->flags & SEG_RST) && s->was_open && !s->closed) {
		if (s->edge_known && (int32_t)(edge + (1u << s->shift) - 1 - s->right_edge) < 0)
			sim_fail(sim, "the window's right edge went back by %u", s->right_edge - edge);
		if (s->edge_known && (int32_t)(seg->ack - s->last_ack) < 0)
			sim_fail(sim, "the acknowledgement went back by %u", s->last_ack - seg->ack);
		if (!s->edge_known || (int32_t)(edge - s->right_edge) > 0)
			s->right_edge = edge;
		s->last_ack = seg->ack;
		s->edge_known = true;
	}
	if (side.conn->kind == SIM_PAIR) {
		pair_segment(sim, side.conn, side.rig, seg);
		return;
	}
	for (uint32_t i = 0; i < seg->payload_len; i++) {
		uint64_t at = (uint64_t)(seg->seq - s->isn - 1) + i;

		if (seg->payload[i] != sim_byte(side.conn->plan.salt, true, at)) {
			sim_fail(sim, "a wrong byte was sent at %llu", (unsigned long long)at);
			return;
		}
	}
	sim_send(sim, (uint32_t)(side.conn - sim->conns), 1, bytes, seg_compose(seg, bytes));
}
