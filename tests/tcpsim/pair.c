/*
 * Two of our stacks. TCP-lite only answers, so each of them is opened by a go-between that hands on what they
 * send, numbers and times shifted by what the two handshakes chose. From then on both ends are our own.
 */
#include <string.h>

#include "tests/tcpsim/sim.h"

enum { PAIR_NONE, PAIR_OPENER, PAIR_SERVER, PAIR_BOTH };

static void
send_to(struct sim *sim, struct sim_conn *conn, uint32_t rig, struct seg *seg, bool surely)
{
	uint8_t bytes[SEG_BYTES_MAX];

	memcpy(seg->source, conn->client.ip, 16);
	memcpy(seg->destination, conn->client.local, 16);
	seg->source_port = conn->client.port;
	seg->destination_port = 6379;
	(surely ? sim_send_surely : sim_send)(sim, (uint32_t)(conn - sim->conns), (uint8_t)rig, bytes, seg_compose(seg, bytes));
}

/* The opener is asked with a number of ours; the server then with the opener's. */
static void
send_syn(struct sim *sim, struct sim_conn *conn)
{
	struct seg seg = seg_none();
	bool to_server = conn->pair_state == PAIR_SERVER;

	seg.flags = SEG_SYN;
	seg.seq = to_server ? conn->isn[1] : conn->client.iss;
	seg.window = 65535;
	seg.mss = 1460;
	seg.wscale = 7;
	seg.sack_ok = conn->plan.salt & 1;
	seg.ts = conn->plan.salt & 2;
	seg.ts_value = to_server ? conn->client.ts_recent : 1;
	conn->pair_due = sim->now_ns + NS_PER_SEC;
	send_to(sim, conn, to_server ? 0 : 1, &seg, false);
}

void
pair_start(struct sim *sim, struct sim_conn *conn)
{
	conn->client.iss = (uint32_t)prng_next(&sim->prng);
	conn->client.state = CLIENT_OPEN;
	conn->pair_state = PAIR_OPENER;
	conn->progress_ns = sim->now_ns;
	send_syn(sim, conn);
}

void
pair_timers(struct sim *sim, struct sim_conn *conn)
{
	if (conn->pair_due && sim->now_ns >= conn->pair_due)
		send_syn(sim, conn);
}

/* The third step, towards `rig`. */
static void
send_third(struct sim *sim, struct sim_conn *conn, uint32_t rig)
{
	struct seg seg = seg_none();

	seg.flags = SEG_ACK;
	seg.window = 512;
	seg.seq = rig ? conn->client.iss + 1 : conn->isn[1] + 1;
	seg.ack = conn->isn[rig] + 1;
	seg.ts = conn->plan.salt & 2;
	seg.ts_value = rig ? 1 : conn->client.ts_recent;
	seg.ts_echo = rig ? conn->client.ts_recent : conn->client.wl1;
	/*
	 * A stack of ours tells its application of a connection when something has come in: the opener has a byte
	 * to begin with, before the server's first one.
	 */
	if (rig) {
		seg.payload = (const uint8_t *)"!";
		seg.payload_len = 1;
	}
	send_to(sim, conn, rig, &seg, true);
}

static void
syn_ack(struct sim *sim, struct sim_conn *conn, uint32_t from, const struct seg *seg)
{
	if (from == 1 && conn->pair_state == PAIR_OPENER) {
		conn->isn[1] = seg->seq;
		conn->client.ts_recent = seg->ts_value;
		conn->pair_state = PAIR_SERVER;
		send_syn(sim, conn);
	} else if (from == 0 && conn->pair_state == PAIR_SERVER) {
		conn->isn[0] = seg->seq;
		conn->client.wl1 = seg->ts_value;
		conn->add_seq[0] = conn->client.iss + 1 - seg->seq;
		conn->add_ts[0] = 1 - seg->ts_value;
		conn->pair_state = PAIR_BOTH;
		conn->pair_due = 0;
		send_third(sim, conn, 0);
		send_third(sim, conn, 1);
	} else if (conn->pair_state == PAIR_BOTH && seg->seq == conn->isn[from]) {
		send_third(sim, conn, from);
	}
}

void
pair_segment(struct sim *sim, struct sim_conn *conn, uint32_t from, const struct seg *seg)
{
	struct seg on = *seg;

	if (seg->flags & SEG_SYN) {
		syn_ack(sim, conn, from, seg);
		return;
	}
	if (conn->pair_state != PAIR_BOTH)
		return;
	/* The opener's numbers are used as they are; the server's are shifted. */
	if (from == 0) {
		on.seq += conn->add_seq[0];
		on.ts_value += conn->add_ts[0];
	} else {
		on.ack -= conn->add_seq[0];
		on.ts_echo -= conn->add_ts[0];
		for (uint32_t i = 0; i < on.sack_count; i++) {
			on.sacks[i][0] -= conn->add_seq[0];
			on.sacks[i][1] -= conn->add_seq[0];
		}
	}
	send_to(sim, conn, 1 - from, &on, false);
}
