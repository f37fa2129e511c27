/* The invariants of tcp_state.h, executed. */
#include "base/check.h"
#include "net/tcp_state.h"

static void
check_rtx(const struct tcp_conn *conn)
{
	struct tcp_rtx *rtx = conn->rtx;
	uint32_t seq = conn->snd_una, pipe = 0, sacked = 0, lost = 0;

	for (uint32_t i = 0; rtx && i < rtx->count; i++) {
		const struct tcp_record *record = tcp_rtx_at(rtx, i);
		bool is_sacked = record->flags & RECORD_SACKED, is_lost = record->flags & RECORD_LOST;

		CHECK(record->seq == seq && record->len > 0); /* 1 */
		seq += record->len;
		sacked += is_sacked;
		lost += is_lost;
		if (!is_sacked && (!is_lost || record->flags & RECORD_RETRANSMITTED))
			pipe += record->len;
		if (is_lost && !is_sacked && !(record->flags & RECORD_RETRANSMITTED))
			CHECK(i >= rtx->hint);
	}
	CHECK(seq == conn->snd_nxt); /* 1 */
	CHECK(!rtx || (rtx->count > 0 && rtx->pipe == pipe && rtx->sacked == sacked && rtx->lost == lost)); /* 7 */
}

static uint64_t
check_ooo(const struct tcp_conn *conn)
{
	uint32_t at = conn->rcv_nxt, count = 0, bytes = 0;
	const struct tcp_slice *last = NULL;

	for (const struct tcp_slice *slice = conn->ooo ? conn->ooo->first : NULL; slice; slice = slice->next) {
		CHECK(seq_le(at, slice->seq) && slice->len > 0); /* 6 */
		at = slice->seq + slice->len;
		last = slice;
		count++;
		bytes += slice->size;
	}
	CHECK(!conn->ooo || (conn->ooo->count == count && conn->ooo->bytes == bytes && count <= TCP_SLICES_MAX &&
	    last == conn->ooo->last));
	return bytes;
}

static void
check_conn(struct tcp *tcp, const struct tcp_conn *conn)
{
	uint32_t index = conn_index(tcp, conn), fin = conn_is(conn, CONN_FIN_SENT) && conn->rtx;

	if (conn->state == TCP_GONE) {
		CHECK(!conn->in && !conn->rtx && !conn->ooo && !conn->offer && !wheel_armed(&tcp->wheel, index)); /* 10 */
		CHECK(conn_is(conn, CONN_TURN));
		return;
	}
	CHECK(tcp_table_find(tcp, &conn->peer, tcp_hash(tcp, &conn->peer)) == tcp_ref(TCP_KIND_CONN, index)); /* 8 */
	check_rtx(conn);
	outq_check(&conn->out);
	CHECK(conn->snd_nxt - conn->snd_una <= conn->out.len + fin); /* 2 */
	CHECK(seq_le(conn->rcv_nxt, conn->rcv_adv)); /* 5 */
	if (conn->rtx && !conn_is(conn, CONN_OUTPUT))
		CHECK(conn_is(conn, CONN_TIMER)); /* 3 */
	if (conn->out.len > 0 && !conn_is(conn, CONN_OUTPUT))
		CHECK(conn_is(conn, CONN_TIMER)); /* 3 */
	if (conn_is(conn, CONN_TIMER))
		CHECK(wheel_armed(&tcp->wheel, index) && seq_le(conn->node.due, seq_max(conn->rtx_due, tcp->wheel.now))); /* 4 */
	if (conn->offer)
		CHECK(tcp->offers[conn->offer - 1].conn == index && tcp->offers[conn->offer - 1].pkt && (!conn->in || !conn->in->len)); /* 9 */
}

static void
check_queue_of_waits(const struct tcp *tcp)
{
	uint32_t count = 0;

	for (uint32_t at = tcp->wait_queue.first; at; at = tcp->waits[at - 1].next) {
		const struct tcp_wait *wait = &tcp->waits[at - 1];

		CHECK(!wait->next || seq_le(wait->due_ms, tcp->waits[wait->next - 1].due_ms)); /* 11 */
		CHECK(tcp_table_find(tcp, &wait->peer, tcp_hash(tcp, &wait->peer)) == tcp_ref(TCP_KIND_WAIT, at - 1)); /* 8 */
		count++;
	}
	CHECK(count == tcp->wait_count);
}

static void
check_queues_of_halves(const struct tcp *tcp)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i <= TCP_SYN_TRIES; i++)
		for (uint32_t at = tcp->half_queues[i].first; at; at = tcp->halves[at - 1].next) {
			const struct tcp_half *half = &tcp->halves[at - 1];

			CHECK(half->tries == i && (!half->next || seq_le(half->due_ms, tcp->halves[half->next - 1].due_ms))); /* 11 */
			CHECK(tcp_table_find(tcp, &half->peer, tcp_hash(tcp, &half->peer)) == tcp_ref(TCP_KIND_HALF, at - 1)); /* 8 */
			count++;
		}
	CHECK(count == tcp->half_count);
}

void
tcp_check(struct tcp *tcp)
{
	uint32_t conns = 0, live = 0;
	uint64_t ooo = 0;

	for (uint32_t i = 0; i < tcp->conn_next; i++) {
		if (tcp->conns[i].state == TCP_FREE)
			continue;
		check_conn(tcp, &tcp->conns[i]);
		ooo += check_ooo(&tcp->conns[i]);
		conns++;
		live += tcp->conns[i].state != TCP_GONE;
	}
	CHECK(conns == tcp->conn_used && ooo == tcp->ooo_bytes && ooo <= tcp->config.ooo_bytes_max); /* 6 */
	check_queue_of_waits(tcp);
	check_queues_of_halves(tcp);
	CHECK(tcp->table.count == live + tcp->half_count + tcp->wait_count); /* 8 */
	wheel_check(&tcp->wheel);
	blocks_check(&tcp->blocks);
}
