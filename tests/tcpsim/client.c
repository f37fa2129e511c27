/*
 * A client's TCP: opens, sends, receives, closes. Sound, but plain: NewReno with SACK hints, go-back after a timeout.
 * The habits that differ from system to system are in `habits`.
 */
#include <string.h>

#include "base/bytes.h"
#include "tests/tcpsim/sim.h"

static const struct {
	uint16_t mss;
	int8_t shift;
	bool ts, sack, tail_probes;
	uint32_t buffer, ack_delay_ms, ack_every;
	uint16_t syn_flags;
} habits[SIM_CLIENTS] = {
	[SIM_LINUX] = { 1460, 10, true, true, true, 131072, 40, 2, SEG_SYN },
	[SIM_WINDOWS] = { 1460, 8, false, true, false, 65536, 50, 2, SEG_SYN },
	[SIM_MACOS] = { 1460, 6, true, true, true, 131072, 100, 2, SEG_SYN | SEG_ECE | SEG_CWR },
	[SIM_FREEBSD] = { 1460, 6, true, true, false, 65536, 100, 2, SEG_SYN },
	[SIM_EVIL] = { 256, 0, false, true, false, 3000, 200, 3, SEG_SYN },
};

enum { INITIAL_RTO_MS = 1000, MIN_RTO_MS = 200, MAX_RTO_MS = 60000 };

static uint32_t
seq_of(const struct client *c, uint64_t at)
{
	return c->iss + 1 + (uint32_t)at;
}

/* The position nearest to what is known of the server's stream (or of ours). */
static uint64_t
position(uint32_t number, uint32_t first, uint64_t near)
{
	return near + (uint64_t)(int64_t)(int32_t)(number - (first + 1 + (uint32_t)near));
}

static uint32_t
clock_of(const struct sim *sim)
{
	return (uint32_t)(sim->now_ns / NS_PER_MS);
}

static uint64_t
rto_ns(const struct client *c)
{
	uint64_t rto = c->srtt_ns ? c->srtt_ns + 4 * c->rttvar_ns : INITIAL_RTO_MS * NS_PER_MS;

	if (rto < MIN_RTO_MS * NS_PER_MS)
		rto = MIN_RTO_MS * NS_PER_MS;
	rto <<= c->backoff < 8 ? c->backoff : 8;
	return rto < MAX_RTO_MS * NS_PER_MS ? rto : MAX_RTO_MS * NS_PER_MS;
}

/* --- what is sent -------------------------------------------------------------------------- */

static uint64_t
window_now(struct client *c)
{
	uint64_t used = c->rcv - c->consumed, room = c->buffer > used ? c->buffer - used : 0;
	uint64_t offered = c->right_edge > c->rcv ? c->right_edge - c->rcv : 0;

	/* Receiver's silly window (RFC 9293 3.8.6.2.2), and the edge does not retreat. */
	if (room < offered + (c->mss < c->buffer / 2 ? c->mss : c->buffer / 2))
		room = offered;
	room = room >> c->our_shift << c->our_shift;
	if (room < offered)
		room = offered;
	if (room >> c->our_shift > 65535)
		room = 65535ull << c->our_shift;
	return room;
}

static void
put_sacks(struct client *c, struct seg *seg)
{
	uint32_t max = c->ts ? 3 : 4;

	if (c->dsack_to > c->dsack_from) {
		seg->sacks[seg->sack_count][0] = c->irs + 1 + (uint32_t)c->dsack_from;
		seg->sacks[seg->sack_count++][1] = c->irs + 1 + (uint32_t)c->dsack_to;
		c->dsack_from = c->dsack_to = 0;
	}
	for (uint32_t i = 0; i < c->ahead_count && seg->sack_count < max; i++) {
		seg->sacks[seg->sack_count][0] = c->irs + 1 + (uint32_t)c->ahead[i].from;
		seg->sacks[seg->sack_count++][1] = c->irs + 1 + (uint32_t)c->ahead[i].to;
	}
}

static void
transmit(struct sim *sim, struct sim_conn *conn, uint8_t flags, uint64_t at, uint32_t len)
{
	struct client *c = &conn->client;
	struct seg seg = seg_none();
	uint8_t payload[2048], bytes[SEG_BYTES_MAX];
	uint64_t window = window_now(c);

	memcpy(seg.source, c->ip, 16);
	memcpy(seg.destination, c->local, 16);
	seg.source_port = c->port;
	seg.destination_port = 6379;
	seg.flags = flags;
	seg.seq = flags & SEG_SYN ? c->iss : seq_of(c, at);
	for (uint32_t i = 0; i < len; i++)
		payload[i] = sim_byte(conn->plan.salt, false, at + i);
	seg.payload = payload;
	seg.payload_len = len;
	if (flags & SEG_SYN) {
		seg.mss = habits[c->kind].mss;
		seg.ts = habits[c->kind].ts;
		seg.sack_ok = habits[c->kind].sack;
		seg.wscale = c->kind == SIM_EVIL ? -1 : habits[c->kind].shift;
		seg.window = (uint16_t)(c->buffer < 65535 ? c->buffer : 65535);
	} else if (flags & SEG_ACK) {
		seg.ack = c->irs + 1 + (uint32_t)c->rcv + c->fin_got;
		seg.window = (uint16_t)(window >> c->our_shift);
		if (c->rcv + window > c->right_edge)
			c->right_edge = c->rcv + window;
		seg.ts = c->ts;
		if (c->sack && !(flags & SEG_RST))
			put_sacks(c, &seg);
		c->ack_due = 0;
		c->ack_pending = 0;
		c->ack_now = false;
	}
	if (seg.ts) {
		seg.ts_value = clock_of(sim);
		seg.ts_echo = flags & SEG_ACK ? c->ts_recent : 0;
	}
	seg.lead_nops = c->kind == SIM_EVIL && seg.sack_count == 0 && sim->now_ns % 3 == 0;
	sim_send(sim, (uint32_t)(conn - sim->conns), 0, bytes, seg_compose(&seg, bytes));
}

static bool
is_told(const struct client *c, uint64_t from, uint64_t to)
{
	for (uint32_t i = 0; i < c->told_count; i++)
		if (c->told[i].from <= from && to <= c->told[i].to)
			return true;
	return false;
}

/* Sends bytes from `at` on, at most a segment; FIN with the last ones. Returns how many numbers it took. */
static uint64_t
send_from(struct sim *sim, struct sim_conn *conn, uint64_t at, uint64_t limit)
{
	struct client *c = &conn->client;
	uint64_t total = conn->plan.up_total, len = total > at ? total - at : 0;
	bool may_fin = conn->plan.ending == END_CLIENT_FIN || c->fin_got || conn->plan.ending == END_SERVER_ABORT;
	uint8_t flags = SEG_ACK;

	if (len > c->mss)
		len = c->mss;
	if (c->kind == SIM_EVIL && len > 1)
		len = 1 + prng_below(&sim->prng, len) % (prng_below(&sim->prng, 4) ? len : 1);
	if (len > limit)
		len = limit;
	if (at + len == total) {
		flags |= len ? SEG_PSH : 0;
		if (may_fin && len < limit)
			flags |= SEG_FIN;
	}
	if (len == 0 && !(flags & SEG_FIN))
		return 0;
	transmit(sim, conn, flags, at, (uint32_t)len);
	if (!c->rto_due)
		c->rto_due = sim->now_ns + rto_ns(c);
	return len + !!(flags & SEG_FIN);
}

static void
output(struct sim *sim, struct sim_conn *conn)
{
	struct client *c = &conn->client;

	while (c->state == CLIENT_OPEN && !sim->failure[0]) {
		uint64_t flight = c->nxt - c->una, allowed = c->window < (uint64_t)c->cwnd ? c->window : (uint64_t)c->cwnd, n;

		if (c->nxt < c->sent_max && is_told(c, c->nxt, c->nxt + c->mss)) { /* going back: skip what has arrived */
			c->nxt += c->mss;
			continue;
		}
		if (flight >= allowed && !(c->nxt == conn->plan.up_total && flight <= c->window && flight < allowed + 1))
			break;
		n = send_from(sim, conn, c->nxt, allowed > flight ? allowed - flight : 1);
		if (n == 0)
			break;
		if (!c->timed_at && c->nxt == c->sent_max) {
			c->timed_at = sim->now_ns;
			c->timed_end = c->nxt + n;
		}
		c->nxt += n;
		if (c->nxt > c->sent_max)
			c->sent_max = c->nxt;
		if (habits[c->kind].tail_probes)
			c->tail_due = sim->now_ns + (c->srtt_ns ? 2 * c->srtt_ns + 2 * NS_PER_MS : NS_PER_SEC);
	}
	if (c->state == CLIENT_OPEN && c->window == 0 && c->una == c->nxt && c->una < conn->plan.up_total && !c->probe_due)
		c->probe_due = sim->now_ns + rto_ns(c);
	if (c->state == CLIENT_OPEN && c->una == c->sent_max)
		c->rto_due = c->tail_due = 0;
	if (c->ack_now && c->state == CLIENT_OPEN)
		transmit(sim, conn, SEG_ACK, c->nxt, 0);
}

/* --- what comes in ------------------------------------------------------------------------- */

static void
measure(struct client *c, uint64_t rtt)
{
	if (!c->srtt_ns) {
		c->srtt_ns = rtt ? rtt : 1;
		c->rttvar_ns = rtt / 2;
	} else {
		uint64_t off = rtt > c->srtt_ns ? rtt - c->srtt_ns : c->srtt_ns - rtt;

		c->rttvar_ns = (3 * c->rttvar_ns + off) / 4;
		c->srtt_ns = (7 * c->srtt_ns + rtt) / 8;
	}
}

static void
sacks_in(struct client *c, const struct seg *seg, struct sim *sim)
{
	if (seg->sack_count && !c->sack)
		sim_fail(sim, "a SACK block that was not permitted");
	for (uint32_t i = 0; i < seg->sack_count; i++) {
		struct interval told = { position(seg->sacks[i][0], c->iss, c->una), position(seg->sacks[i][1], c->iss, c->una) };

		if ((int64_t)told.from < 0 || told.to > c->sent_max || told.from >= told.to)
			sim_fail(sim, "a SACK block of what was not sent: %lld to %lld of %llu", (long long)told.from,
			    (long long)told.to, (unsigned long long)c->sent_max);
		if (told.to <= c->una)
			continue; /* a duplicate, told by RFC 2883 */
		if (c->told_count == SIM_INTERVALS)
			memmove(c->told, c->told + 1, --c->told_count * sizeof *c->told);
		c->told[c->told_count++] = told;
	}
}

static void
new_ack(struct sim *sim, struct sim_conn *conn, uint64_t ack)
{
	struct client *c = &conn->client;
	uint64_t acked = ack - c->una;

	if (c->timed_at && ack >= c->timed_end) {
		if (!c->backoff)
			measure(c, sim->now_ns - c->timed_at);
		c->timed_at = 0;
	}
	c->una = ack;
	if (c->nxt < c->una)
		c->nxt = c->una;
	c->backoff = c->dupacks = 0;
	c->probe_due = 0;
	conn->progress_ns = sim->now_ns;
	for (uint32_t i = 0; i < c->told_count;) {
		if (c->told[i].to <= c->una)
			c->told[i] = c->told[--c->told_count];
		else
			i++;
	}
	if (c->recovering && c->una < c->recover) {
		send_from(sim, conn, c->una, c->sent_max - c->una);
	} else if (c->recovering) {
		c->recovering = false;
		c->cwnd = c->ssthresh;
	} else if (c->cwnd < c->ssthresh) {
		c->cwnd += (double)(acked < 2ull * c->mss ? acked : 2ull * c->mss);
	} else {
		c->cwnd += (double)c->mss * (double)acked / c->cwnd;
	}
	c->rto_due = c->una < c->sent_max ? sim->now_ns + rto_ns(c) : 0;
	c->fin_acked = c->una == conn->plan.up_total + 1;
}

static void
ack_in(struct sim *sim, struct sim_conn *conn, const struct seg *seg)
{
	struct client *c = &conn->client;
	uint64_t ack = position(seg->ack, c->iss, c->una), window = (uint64_t)seg->window << c->their_shift;
	bool same = window == c->window;

	if ((int64_t)(ack - c->sent_max) > 0) {
		sim_fail(sim, "an ACK of what was not sent: %llu of %llu", (unsigned long long)ack, (unsigned long long)c->sent_max);
		return;
	}
	sacks_in(c, seg, sim);
	if ((int64_t)(ack - c->una) < 0)
		return;
	if ((int32_t)(seg->seq - c->wl1) > 0 || (seg->seq == c->wl1 && (int32_t)(seg->ack - c->wl2) >= 0)) {
		c->window = window;
		c->wl1 = seg->seq;
		c->wl2 = seg->ack;
	}
	if (c->window)
		c->probe_due = 0;
	if (ack > c->una) {
		new_ack(sim, conn, ack);
	} else if (seg->payload_len == 0 && same && c->una < c->nxt && !(seg->flags & SEG_FIN)) {
		if (++c->dupacks == 3 && !c->recovering && c->una < c->sent_max) {
			c->ssthresh = (double)(c->nxt - c->una) / 2;
			if (c->ssthresh < 2.0 * c->mss)
				c->ssthresh = 2.0 * c->mss;
			c->cwnd = c->ssthresh + 3.0 * c->mss;
			c->recover = c->sent_max;
			c->recovering = true;
			send_from(sim, conn, c->una, c->sent_max - c->una);
		} else if (c->recovering) {
			c->cwnd += c->mss;
		}
	}
}

/* Puts [from, to) among what is ahead of the stream, the newest first, and takes what has become whole. */
static void
ahead_put(struct client *c, uint64_t from, uint64_t to)
{
	for (uint32_t i = 0; i < c->ahead_count;) {
		if (c->ahead[i].to < from || c->ahead[i].from > to) {
			i++;
			continue;
		}
		if (c->ahead[i].from < from)
			from = c->ahead[i].from;
		if (c->ahead[i].to > to)
			to = c->ahead[i].to;
		memmove(&c->ahead[i], &c->ahead[i + 1], (--c->ahead_count - i) * sizeof *c->ahead);
	}
	if (c->ahead_count == SIM_INTERVALS)
		c->ahead_count--;
	memmove(&c->ahead[1], &c->ahead[0], c->ahead_count++ * sizeof *c->ahead);
	c->ahead[0] = (struct interval){ from, to };
	for (uint32_t i = 0; i < c->ahead_count; i++) {
		if (c->ahead[i].from <= c->rcv) {
			if (c->ahead[i].to > c->rcv)
				c->rcv = c->ahead[i].to;
			memmove(&c->ahead[i], &c->ahead[i + 1], (--c->ahead_count - i) * sizeof *c->ahead);
			return;
		}
	}
}

static void
data_in(struct sim *sim, struct sim_conn *conn, const struct seg *seg)
{
	struct client *c = &conn->client;
	uint64_t at = position(seg->seq, c->irs, c->rcv), end = at + seg->payload_len, before = c->rcv;
	bool gap = c->ahead_count > 0;

	for (uint32_t i = 0; i < seg->payload_len; i++) {
		if ((int64_t)(at + i) >= 0 && seg->payload[i] != sim_byte(conn->plan.salt, true, at + i)) {
			sim_fail(sim, "a wrong byte at %llu of the client's stream", (unsigned long long)(at + i));
			return;
		}
	}
	if (seg->payload_len && (int64_t)(end - c->right_edge) > 1)
		sim_fail(sim, "data beyond the window: to %llu, the window ends at %llu", (unsigned long long)end,
		    (unsigned long long)c->right_edge);
	if (seg->payload_len && (int64_t)end > (int64_t)conn->plan.down_total)
		sim_fail(sim, "more than the server had written");
	if ((int64_t)(at - c->rcv) < 0 && seg->payload_len && c->sack && habits[c->kind].ts) {
		c->dsack_from = at;
		c->dsack_to = end < c->rcv ? end : c->rcv;
	}
	if (seg->payload_len && (int64_t)(end - c->right_edge) > 0) { /* a window probe's byte: not taken */
		c->ack_now = true;
		return;
	}
	if (end > c->rcv && (int64_t)(end - c->rcv) > 0)
		ahead_put(c, at > c->rcv ? at : c->rcv, end);
	if (seg->flags & SEG_FIN)
		c->fin_at = end;
	if (c->rcv == c->fin_at && !c->fin_got) {
		c->fin_got = true;
		c->ack_now = true;
		if (c->rcv != conn->plan.down_total && conn->plan.ending != END_SERVER_EARLY)
			sim_fail(sim, "FIN at %llu of %llu", (unsigned long long)c->rcv, (unsigned long long)conn->plan.down_total);
	}
	if (c->rcv > before)
		conn->progress_ns = sim->now_ns;
	if (!conn->plan.slow_reader && !conn->plan.holds_window)
		c->consumed = c->rcv;
	if (seg->payload_len || seg->flags & SEG_FIN) {
		c->ack_now |= c->rcv == before || gap || c->ahead_count > 0 || ++c->ack_pending >= habits[c->kind].ack_every;
		if (!c->ack_due)
			c->ack_due = sim->now_ns + habits[c->kind].ack_delay_ms * NS_PER_MS;
	}
}

static void
opened(struct sim *sim, struct sim_conn *conn, const struct seg *seg)
{
	struct client *c = &conn->client;

	if (!(seg->flags & SEG_ACK) || seg->ack != c->iss + 1)
		return;
	c->state = CLIENT_OPEN;
	c->irs = seg->seq;
	c->mss = seg->mss && seg->mss < habits[c->kind].mss ? seg->mss : habits[c->kind].mss;
	c->ts = seg->ts;
	c->sack = seg->sack_ok;
	c->their_shift = seg->wscale > 0 ? (uint8_t)seg->wscale : 0;
	c->our_shift = seg->wscale >= 0 ? (uint8_t)habits[c->kind].shift : 0;
	if ((seg->ts && !habits[c->kind].ts) || (seg->wscale >= 0 && c->kind == SIM_EVIL))
		sim_fail(sim, "the SYN-ACK offers what the SYN did not");
	if (c->ts)
		c->mss -= 12;
	c->window = seg->window;
	c->wl1 = seg->seq;
	c->wl2 = seg->ack;
	c->cwnd = 10.0 * c->mss;
	c->ssthresh = 1e9;
	c->backoff = 0;
	c->rto_due = 0;
	c->right_edge = c->buffer < 65535 ? c->buffer : 65535; /* what the SYN said */
	c->ts_recent = seg->ts_value;
	c->ack_now = true;
}

static void
rst_out(struct sim *sim, struct sim_conn *conn, const struct seg *to)
{
	struct client *c = &conn->client;
	struct seg seg = seg_none();
	uint8_t bytes[64];

	if (to->flags & SEG_RST)
		return;
	memcpy(seg.source, c->ip, 16);
	memcpy(seg.destination, c->local, 16);
	seg.source_port = c->port;
	seg.destination_port = 6379;
	seg.flags = to->flags & SEG_ACK ? SEG_RST : SEG_RST | SEG_ACK;
	seg.seq = to->flags & SEG_ACK ? to->ack : 0;
	seg.ack = to->seq + seg_len(to);
	sim_send(sim, (uint32_t)(conn - sim->conns), 0, bytes, seg_compose(&seg, bytes));
}

static void
finish(struct sim *sim, struct sim_conn *conn)
{
	struct client *c = &conn->client;

	if (c->state == CLIENT_OPEN && c->fin_got && c->fin_acked) {
		if (c->ack_now)
			transmit(sim, conn, SEG_ACK, c->nxt, 0);
		c->state = CLIENT_DONE;
		c->rto_due = c->tail_due = c->probe_due = 0;
		conn->over_ns = sim->now_ns;
		sim_say(sim, "client %u is done", c->port);
	}
}

static void
rst_in(struct sim *sim, struct sim_conn *conn, const struct seg *seg)
{
	struct client *c = &conn->client;
	uint32_t next = c->irs + 1 + (uint32_t)c->rcv + c->fin_got;

	if (c->state == CLIENT_SYN_SENT ? !(seg->flags & SEG_ACK) || seg->ack != c->iss + 1 : seg->seq != next)
		return;
	if (c->state == CLIENT_OPEN && conn->plan.ending != END_SERVER_ABORT && conn->plan.ending != END_SERVER_EARLY &&
	    !conn->service[0].closed)
		sim_fail(sim, "the server resets a connection that is sound");
	c->state = CLIENT_RESET;
	conn->over_ns = sim->now_ns;
	sim->any_reset = true;
}

void
client_input(struct sim *sim, struct sim_conn *conn, const uint8_t *bytes, uint32_t len)
{
	struct client *c = &conn->client;
	struct seg seg;

	seg_parse(&seg, c->local, c->ip, bytes, len);
	if (seg.complaint) /* the link's doing: the rig looks at what is sent */
		return;
	if (c->state == CLIENT_WAITS || c->state == CLIENT_RESET) {
		rst_out(sim, conn, &seg);
	} else if (seg.flags & SEG_RST) {
		rst_in(sim, conn, &seg);
	} else if (c->state == CLIENT_SYN_SENT) {
		if (seg.flags & SEG_SYN)
			opened(sim, conn, &seg);
	} else if (c->state == CLIENT_DONE) { /* TIME-WAIT: what comes again is acknowledged again */
		if (seg_len(&seg))
			transmit(sim, conn, SEG_ACK, c->nxt, 0);
	} else if (seg.flags & SEG_SYN) {
		c->ack_now = true;
	} else {
		if (c->ts && !seg.ts)
			sim_fail(sim, "a segment without timestamps on a connection with them");
		if (seg.ts && (int32_t)(seg.ts_value - c->ts_recent) >= 0 && position(seg.seq, c->irs, c->rcv) <= c->rcv)
			c->ts_recent = seg.ts_value;
		if (seg.ts && (int32_t)(clock_of(sim) - seg.ts_echo) < 0)
			sim_fail(sim, "an echo of a time that was not yet");
		ack_in(sim, conn, &seg);
		if (c->kind == SIM_EVIL && c->ahead_count && prng_below(&sim->prng, 50) == 0)
			c->ahead_count = 0; /* reneging */
		data_in(sim, conn, &seg);
		finish(sim, conn);
	}
	output(sim, conn);
	finish(sim, conn);
}

/* --- time ---------------------------------------------------------------------------------- */

void
client_start(struct sim *sim, struct sim_conn *conn)
{
	struct client *c = &conn->client;

	c->iss = (uint32_t)prng_next(&sim->prng);
	if (prng_below(&sim->prng, 4) == 0)
		c->iss = 0u - (uint32_t)prng_below(&sim->prng, 100000); /* the numbers go round soon */
	c->buffer = habits[c->kind].buffer;
	c->mss = habits[c->kind].mss;
	c->fin_at = UINT64_MAX;
	c->state = CLIENT_SYN_SENT;
	conn->progress_ns = sim->now_ns;
	transmit(sim, conn, (uint8_t)habits[c->kind].syn_flags, 0, 0);
	c->rto_due = sim->now_ns + rto_ns(c);
	if (conn->plan.slow_reader || conn->plan.holds_window)
		c->read_due = sim->now_ns + (conn->plan.holds_window ? 3000 : 20) * NS_PER_MS;
}

void
client_reset(struct sim *sim, struct sim_conn *conn)
{
	struct client *c = &conn->client;

	if (c->state == CLIENT_OPEN)
		transmit(sim, conn, SEG_RST | SEG_ACK, c->nxt, 0);
	if (c->state != CLIENT_DONE) {
		c->state = CLIENT_RESET;
		conn->over_ns = sim->now_ns;
		sim->any_reset = true;
	}
}

static void
rto_fired(struct sim *sim, struct sim_conn *conn)
{
	struct client *c = &conn->client;

	c->backoff++;
	c->rto_due = sim->now_ns + rto_ns(c);
	if (c->state == CLIENT_SYN_SENT) {
		transmit(sim, conn, SEG_SYN, 0, 0);
		return;
	}
	c->ssthresh = (double)(c->sent_max - c->una) / 2;
	if (c->ssthresh < 2.0 * c->mss)
		c->ssthresh = 2.0 * c->mss;
	c->cwnd = c->mss;
	c->nxt = c->una;
	c->recovering = false;
	c->dupacks = 0;
	c->timed_at = 0;
	if (c->backoff > 2)
		c->told_count = 0; /* it may have been taken back (RFC 2018 8) */
}

static void
probe(struct sim *sim, struct sim_conn *conn)
{
	struct client *c = &conn->client;

	/* Either way of asking: an old number without data, or one byte beyond the window. */
	if (c->kind == SIM_LINUX || c->kind == SIM_FREEBSD) {
		transmit(sim, conn, SEG_ACK, c->una - 1, 0);
	} else {
		transmit(sim, conn, SEG_ACK, c->una, 1);
		if (c->sent_max < c->una + 1)
			c->sent_max = c->una + 1;
	}
	c->backoff++;
	c->probe_due = sim->now_ns + rto_ns(c);
}

static void
app_reads(struct sim *sim, struct sim_conn *conn)
{
	struct client *c = &conn->client;
	uint64_t before = window_now(c);

	if (conn->plan.holds_window) {
		c->consumed = c->rcv;
		conn->plan.holds_window = false;
		c->read_due = 0;
	} else {
		c->consumed += c->rcv - c->consumed < 4000 ? c->rcv - c->consumed : 4000;
		c->read_due = sim->now_ns + 20 * NS_PER_MS;
	}
	if (window_now(c) > before)
		c->ack_now = true;
}

void
client_timers(struct sim *sim, struct sim_conn *conn)
{
	struct client *c = &conn->client;

	if (c->state != CLIENT_OPEN && c->state != CLIENT_SYN_SENT)
		return;
	if (c->read_due && sim->now_ns >= c->read_due && c->state == CLIENT_OPEN)
		app_reads(sim, conn);
	else if (c->read_due && sim->now_ns >= c->read_due)
		c->read_due = sim->now_ns + 20 * NS_PER_MS;
	if (c->ack_due && sim->now_ns >= c->ack_due)
		c->ack_now = true;
	if (c->tail_due && sim->now_ns >= c->tail_due) {
		c->tail_due = 0;
		if (c->una < c->nxt && c->sent_max == c->nxt) { /* the last segment once more (RFC 8985 7.3) */
			uint64_t back = c->nxt - c->una < c->mss ? c->nxt - c->una : c->mss;

			send_from(sim, conn, c->nxt - back, back);
		}
	}
	if (c->rto_due && sim->now_ns >= c->rto_due) {
		c->rto_due = 0;
		if (c->state == CLIENT_SYN_SENT || c->una < c->sent_max)
			rto_fired(sim, conn);
	}
	if (c->probe_due && sim->now_ns >= c->probe_due)
		probe(sim, conn);
	output(sim, conn);
}

uint64_t
client_deadline(const struct sim_conn *conn)
{
	const struct client *c = &conn->client;
	const uint64_t dues[] = { c->rto_due, c->probe_due, c->tail_due, c->read_due, c->ack_due };
	uint64_t due = UINT64_MAX;

	if (c->state != CLIENT_OPEN && c->state != CLIENT_SYN_SENT)
		return UINT64_MAX;
	for (uint32_t i = 0; i < sizeof dues / sizeof *dues; i++)
		if (dues[i] && dues[i] < due)
			due = dues[i];
	return due;
}
