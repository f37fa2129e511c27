#include "net/tcp.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "net/tcp_state.h"

void
tcp_defaults(struct tcp_config *config)
{
	*config = (struct tcp_config){
		.connections_max = 16384,
		.half_open_max = 1024,
		.memory_bytes = 64 << 20,
		.input_max = 65536,
		.output_max = 1 << 20,
		.rto_min_us = 200000,
		.idle_timeout_s = 0,
		.keepalive_s = 300,
		.zero_window_s = 60,
		.backlog_s = 60,
		.partial_s = 60,
		.give_up_s = 120, /* RFC 9293 3.8.3: R2 "SHOULD correspond to at least 100 seconds" */
		.mtu = MTU,
		.wait_max = 16384,
		.ooo_bytes_max = 16 << 20,
		.resets_per_s = 1000,
		.challenges_per_s = 1000,
	};
}

static enum status
verify(const struct tcp_config *config, struct error *error)
{
	if (config->listen_count > TCP_PORTS_MAX)
		return error_set(error, STATUS_INVALID, "TCP listens on at most %d ports", TCP_PORTS_MAX);
	if (config->connections_max < 1 || config->connections_max > 1 << 20)
		return error_set(error, STATUS_INVALID, "connections_max is 1 to %d", 1 << 20);
	if (config->half_open_max < 1 || config->half_open_max > 1 << 20 || config->wait_max < 1 || config->wait_max > 1 << 20)
		return error_set(error, STATUS_INVALID, "half_open_max and wait_max are 1 to %d", 1 << 20);
	if (config->mtu < 576 || config->mtu > 9216)
		return error_set(error, STATUS_INVALID, "the MTU of TCP is 576 to 9216 bytes");
	if (config->input_max < 1024 || config->input_max > BLOCK_MAX / 2)
		return error_set(error, STATUS_INVALID, "input_max is 1024 to %d bytes", BLOCK_MAX / 2);
	return STATUS_OK;
}

/* Whole cache lines, whose pages come with their first use: nothing is written to them here. */
static void *
lines(uint64_t count, uint64_t size)
{
	return aligned_alloc(64, (count * size + 63) / 64 * 64);
}

static bool
take_memory(struct tcp *tcp)
{
	const struct tcp_config *config = &tcp->config;
	uint64_t entries = (uint64_t)config->connections_max + config->half_open_max + config->wait_max;

	tcp->conns = lines(config->connections_max, sizeof *tcp->conns);
	tcp->halves = lines(config->half_open_max, sizeof *tcp->halves);
	tcp->waits = lines(config->wait_max, sizeof *tcp->waits);
	if (!tcp->conns || !tcp->halves || !tcp->waits || !tcp_table_init(&tcp->table, entries))
		return false;
	if (config->per_source_max) {
		struct tcp_table sources;

		if (!tcp_table_init(&sources, config->connections_max))
			return false;
		tcp->sources = (struct tcp_sources){ sources.slots, sources.mask };
	}
	return blocks_init(&tcp->blocks, config->memory_bytes ? config->memory_bytes : 1);
}

struct tcp *
tcp_create(const struct tcp_config *config, struct counters *counters, uint64_t now_ns, uint64_t seed,
    struct error *error)
{
	struct tcp *tcp;

	if (verify(config, error) != STATUS_OK)
		return NULL;
	tcp = lines(1, sizeof *tcp);
	if (tcp) {
		memset(tcp, 0, sizeof *tcp);
		tcp->config = *config;
		tcp->counters = counters;
		tcp->prng.state = seed;
	}
	if (!tcp || !take_memory(tcp)) {
		error_set(error, STATUS_NO_MEMORY, "no memory for %u TCP connections and %llu bytes of blocks",
		    config->connections_max, (unsigned long long)config->memory_bytes);
		tcp_destroy(tcp);
		return NULL;
	}
	tcp_now(tcp, now_ns);
	wheel_init(&tcp->wheel, &tcp->conns[0].node, sizeof *tcp->conns, tcp->now_ms);
	return tcp;
}

void
tcp_destroy(struct tcp *tcp)
{
	if (!tcp)
		return;
	for (uint32_t i = 0; i < tcp->conn_next; i++)
		if (tcp->conns[i].state != TCP_FREE)
			outq_clear(&tcp->blocks, &tcp->conns[i].out); /* items are unpinned */
	blocks_deinit(&tcp->blocks);
	free(tcp->table.slots);
	free(tcp->sources.slots);
	free(tcp->conns);
	free(tcp->halves);
	free(tcp->waits);
	free(tcp);
}

struct blocks *
tcp_blocks(struct tcp *tcp)
{
	return &tcp->blocks;
}

/* Time never goes back here: a caller's earlier `now` is taken for the latest there was. */
void
tcp_now(struct tcp *tcp, uint64_t now_ns)
{
	if (now_ns > tcp->now_ns || tcp->now_ns == 0)
		tcp->now_ns = now_ns;
	tcp->now_us = (uint32_t)(tcp->now_ns / NS_PER_US);
	tcp->now_ms = (uint32_t)(tcp->now_ns / NS_PER_MS);
}

void
tcp_drop(struct tcp *tcp, struct tcp_segment *segment, enum drop why)
{
	if (segment->pkt->disposition == PKT_PENDING)
		pkt_drop(segment->pkt, tcp->counters, why);
}

void
tcp_done(struct tcp_segment *segment)
{
	if (segment->pkt->disposition == PKT_PENDING)
		segment->pkt->disposition = PKT_DONE;
}

bool
tcp_bucket_take(struct tcp *tcp, struct tcp_bucket *bucket, uint32_t burst, uint32_t rate)
{
	uint64_t now_ms = tcp->now_ns / NS_PER_MS, more = (now_ms - bucket->at_ms) * rate / MS_PER_SEC;

	if (bucket->at_ms == 0 || more >= burst) {
		bucket->left = burst;
		bucket->at_ms = now_ms;
	} else if (more > 0) {
		bucket->left = least(burst, bucket->left + (uint32_t)more);
		bucket->at_ms += more * MS_PER_SEC / rate;
	}
	if (bucket->left == 0)
		return false;
	bucket->left--;
	return true;
}

/* --- places --------------------------------------------------------------------------------- */

struct tcp_conn *
tcp_conn_take(struct tcp *tcp, const struct endpoint *peer, uint32_t hash)
{
	struct tcp_conn *conn;
	uint32_t generation;

	if (tcp->conn_free) {
		conn = &tcp->conns[tcp->conn_free - 1];
		tcp->conn_free = conn->turn_next;
	} else if (tcp->conn_next < tcp->config.connections_max) {
		conn = &tcp->conns[tcp->conn_next++];
		conn->generation = 0;
	} else {
		return NULL;
	}
	generation = conn->generation;
	memset(conn, 0, sizeof *conn);
	conn->generation = generation;
	conn->peer = *peer;
	conn->state = TCP_ESTABLISHED;
	tcp->conn_used++;
	tcp_table_put(tcp, hash, tcp_ref(TCP_KIND_CONN, conn_index(tcp, conn)));
	return conn;
}

void
tcp_conn_free(struct tcp *tcp, struct tcp_conn *conn)
{
	conn->turn_next = tcp->conn_free;
	tcp->conn_free = conn_index(tcp, conn) + 1;
}

/* Its last turn was had. */
void
tcp_conn_give(struct tcp *tcp, struct tcp_conn *conn)
{
	CHECK(conn->state == TCP_GONE && !conn_is(conn, CONN_TURN));
	outq_clear(&tcp->blocks, &conn->out); /* what the application wrote although it was over */
	tcp_in_clear(tcp, conn);
	conn->state = TCP_FREE;
	conn->generation++;
	tcp->conn_used--;
	if (!conn_is(conn, CONN_OUTPUT)) /* else when its place in that list comes */
		tcp_conn_free(tcp, conn);
}

static struct tcp_conn *
conn_of(struct tcp *tcp, struct connection id)
{
	struct tcp_conn *conn;

	if (id.index >= tcp->conn_next)
		return NULL;
	conn = &tcp->conns[id.index];
	return conn->generation == id.generation && conn->state != TCP_FREE ? conn : NULL;
}

/* --- lists ---------------------------------------------------------------------------------- */

void
tcp_list_turn(struct tcp *tcp, struct tcp_conn *conn)
{
	uint32_t position = conn_index(tcp, conn) + 1;

	if (conn_is(conn, CONN_TURN))
		return;
	conn->flags |= CONN_TURN;
	conn->turn_next = 0;
	if (tcp->turn_last)
		tcp->conns[tcp->turn_last - 1].turn_next = position;
	else
		tcp->turn_first = position;
	tcp->turn_last = position;
}

void
tcp_list_output(struct tcp *tcp, struct tcp_conn *conn)
{
	uint32_t position = conn_index(tcp, conn) + 1;

	if (conn_is(conn, CONN_OUTPUT) || conn->state == TCP_GONE)
		return;
	conn->flags |= CONN_OUTPUT;
	conn->output_next = 0;
	if (tcp->output_last)
		tcp->conns[tcp->output_last - 1].output_next = position;
	else
		tcp->output_first = position;
	tcp->output_last = position;
}

/* May the application be given what there is? */
static bool
is_due(const struct tcp *tcp, const struct tcp_conn *conn)
{
	const struct tcp_in *in = conn->in;

	if (conn->state == TCP_GONE)
		return true;
	if (conn_is(conn, CONN_CLOSE | CONN_PAUSED | CONN_OVER))
		return false;
	if (conn_is(conn, CONN_FORCE))
		return true;
	if (!conn_is(conn, CONN_NEWS))
		return false;
	if (conn_is(conn, CONN_FIN_IN) || !in)
		return true;
	if (conn_is(conn, CONN_ROOM) && in->filled < in->room_len)
		return false;
	return in->wanted <= tcp_in_unread(tcp, conn);
}

void
tcp_news(struct tcp *tcp, struct tcp_conn *conn)
{
	conn->flags |= CONN_NEWS;
	if (is_due(tcp, conn))
		tcp_list_turn(tcp, conn);
}

/* --- turns ---------------------------------------------------------------------------------- */

static void
fill_turn(struct tcp *tcp, struct tcp_conn *conn, struct turn *turn)
{
	*turn = (struct turn){
		.id = { conn_index(tcp, conn), conn->generation },
		.service = conn->service,
		.opened = !conn_is(conn, CONN_OPENED),
		.finished = conn_is(conn, CONN_FIN_IN),
		.closed = conn->state == TCP_GONE,
		.reason = conn->reason,
		.out = &conn->out,
		.blocks = &tcp->blocks,
		.peer = conn->peer,
		.opened_ns = tcp->now_ns - (uint64_t)(tcp->now_ms - conn->opened_ms) * NS_PER_MS,
	};
	conn->flags |= CONN_OPENED;
	if (turn->closed)
		return;
	turn->input = tcp_in_view(tcp, conn);
	if (conn_is(conn, CONN_ROOM))
		turn->filled = conn->in->filled;
}

uint32_t
tcp_turns(struct tcp *tcp, uint64_t now_ns, struct turn *turns, uint32_t max)
{
	uint32_t count = 0, last = tcp->turn_last, at = 0;

	tcp_now(tcp, now_ns);
	while (count < max && tcp->turn_first && at != last) {
		struct tcp_conn *conn;

		at = tcp->turn_first;
		conn = &tcp->conns[at - 1];
		tcp->turn_first = conn->turn_next;
		if (!tcp->turn_first)
			tcp->turn_last = 0;
		conn->flags &= ~CONN_TURN;
		if (!is_due(tcp, conn))
			continue;
		conn->flags &= ~(CONN_NEWS | CONN_FORCE);
		fill_turn(tcp, conn, &turns[count++]);
	}
	return count;
}

static void
apply_close(struct tcp *tcp, struct tcp_conn *conn)
{
	/* RFC 9293 3.10.4: in CLOSE-WAIT as in ESTABLISHED the FIN goes behind what is queued. */
	conn->flags |= CONN_CLOSE;
	conn->flags &= ~(CONN_PARTIAL | CONN_PAUSED);
	conn->state = conn->state == TCP_ESTABLISHED ? TCP_FIN_WAIT_1 : TCP_LAST_ACK;
	conn->state_ms = tcp->now_ms;
	tcp_in_clear(tcp, conn);
	tcp_ooo_clear(tcp, conn);
}

/* Is more queued than there should be, and since when? */
static void
apply_over(struct tcp *tcp, struct tcp_conn *conn)
{
	if (conn->out.len <= tcp->config.output_max || conn_is(conn, CONN_OVER))
		return;
	conn->flags |= CONN_OVER;
	conn->over_ms = tcp->now_ms;
	tcp_timers_arm(tcp, conn);
}

/* Since when is a request incomplete? */
static void
apply_partial(struct tcp *tcp, struct tcp_conn *conn, bool progress)
{
	if (!conn->in || conn_is(conn, CONN_PAUSED | CONN_OVER)) /* then it is not the peer who lets us wait for more */
		conn->flags &= ~CONN_PARTIAL;
	else if (!conn_is(conn, CONN_PARTIAL) || progress) {
		conn->flags |= CONN_PARTIAL;
		conn->state_ms = tcp->now_ms;
		tcp_timers_arm(tcp, conn);
	}
}

static void
apply_turn(struct tcp *tcp, struct tcp_conn *conn, const struct turn *turn)
{
	bool room_over = conn_is(conn, CONN_ROOM) && conn->in->filled == conn->in->room_len;

	CHECK(turn->consumed <= turn->input.len);
	if (turn->abort) {
		tcp_close_reset(tcp, conn, TCP_ABORTED);
		return;
	}
	if (turn->close && !conn_is(conn, CONN_CLOSE)) {
		apply_close(tcp, conn);
	} else if (!turn->close) {
		tcp_in_consume(tcp, conn, turn->consumed);
		conn->flags = turn->pause ? conn->flags | CONN_PAUSED : conn->flags & ~CONN_PAUSED;
		if (!tcp_in_set(tcp, conn, turn->wanted, turn->room, turn->room_len) || !tcp_in_settle(tcp, conn)) {
			tcp_close_reset(tcp, conn, TCP_NO_MEMORY);
			return;
		}
		if (turn->again)
			conn->flags |= CONN_FORCE;
		apply_over(tcp, conn);
		apply_partial(tcp, conn, turn->consumed > 0 || room_over);
	}
	if (is_due(tcp, conn))
		tcp_list_turn(tcp, conn);
	tcp_list_output(tcp, conn);
}

void
tcp_apply(struct tcp *tcp, uint64_t now_ns, struct turn *turns, uint32_t count)
{
	tcp_now(tcp, now_ns);
	for (uint32_t i = 0; i < count; i++) {
		struct tcp_conn *conn = conn_of(tcp, turns[i].id);

		if (!conn)
			continue;
		if (turns[i].closed)
			tcp_conn_give(tcp, conn);
		else if (conn->state != TCP_GONE)
			apply_turn(tcp, conn, &turns[i]);
	}
	/* Who had no turn keeps what came in. */
	for (uint32_t i = 0; i < tcp->offer_count; i++)
		if (tcp->offers[i].pkt) {
			struct tcp_conn *conn = &tcp->conns[tcp->offers[i].conn];

			if (!tcp_in_settle(tcp, conn))
				tcp_close_reset(tcp, conn, TCP_NO_MEMORY);
		}
	tcp->offer_count = 0;
}

void
tcp_resume(struct tcp *tcp, struct connection id)
{
	struct tcp_conn *conn = conn_of(tcp, id);

	if (!conn || conn->state == TCP_GONE || !conn_is(conn, CONN_PAUSED))
		return;
	conn->flags &= ~CONN_PAUSED;
	conn->flags |= CONN_FORCE;
	if (is_due(tcp, conn))
		tcp_list_turn(tcp, conn);
}

void
tcp_abort(struct tcp *tcp, struct connection id)
{
	struct tcp_conn *conn = conn_of(tcp, id);

	if (conn && conn->state != TCP_GONE)
		tcp_close_reset(tcp, conn, TCP_ABORTED);
}

void
tcp_figures(const struct tcp *tcp, struct tcp_figures *figures)
{
	*figures = (struct tcp_figures){ tcp->conn_used, tcp->half_count, tcp->wait_count, tcp->blocks.used, tcp->blocks.peak };
}
