/*
 * tcp_rig.h - a TCP instance and one hand-written peer, for unit tests of lib/net/tcp*.c.
 *
 * Purpose: segments are made and read here by field, apart from the code under test. Time is virtual.
 * Conversations by rule of the RFCs are in tests/tcp; these tests are of the parts.
 */
#ifndef TESTS_UNIT_TCP_RIG_H
#define TESTS_UNIT_TCP_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "net/tcp_state.h"

/* Not every test needs all of it. */
#define RIG static __attribute__((unused))

enum { RIG_FRAMES = 128, RIG_ROOM = 2048, RIG_PORT = 6379 };

struct rig_seg {
	uint32_t seq, ack, len;
	uint16_t window;
	uint8_t flags;
	struct tcp_options options;
	uint8_t data[RIG_ROOM];
};

RIG struct tcp *rig;
RIG struct counters rig_counters;
RIG uint64_t rig_now_ns;
RIG struct rig_seg rig_out[RIG_FRAMES]; /* of the last rig_flush */
RIG uint32_t rig_out_count;
RIG struct turn rig_turns[32];
RIG uint32_t rig_turn_count;
RIG uint8_t rig_input[1 << 20]; /* everything that the application was given */
RIG uint32_t rig_input_len;
RIG uint32_t rig_closed;        /* last turns seen */
RIG enum tcp_reason rig_reason;

/* What the peer believes. */
struct rig_peer {
	uint16_t port;
	uint32_t seq, ack;
	bool stamps;
	uint32_t tsval, tsecr;
};

RIG struct tcp_config
rig_config(void)
{
	struct tcp_config config;

	tcp_defaults(&config);
	config.listen_count = 1;
	config.listen[0].port = RIG_PORT;
	config.listen[0].service = SERVICE_RESP;
	config.connections_max = 100;
	config.half_open_max = 16;
	config.wait_max = 8;
	config.memory_bytes = 8 << 20;
	memcpy(config.secret, "0123456789abcdef", 16);
	return config;
}

RIG void
rig_create(const struct tcp_config *config)
{
	struct error error;

	memset(&rig_counters, 0, sizeof rig_counters);
	rig_now_ns = 5000 * NS_PER_SEC;
	rig = tcp_create(config, &rig_counters, rig_now_ns, 1, &error);
	assert_non_null(rig);
	rig_out_count = rig_turn_count = rig_input_len = rig_closed = 0;
}

RIG int
rig_setup(void **state)
{
	struct tcp_config config = rig_config();

	(void)state;
	rig_create(&config);
	return 0;
}

RIG int
rig_teardown(void **state)
{
	(void)state;
	tcp_check(rig);
	tcp_destroy(rig);
	return 0;
}

/* Sends what is due and reads it. */
RIG void
rig_flush(void)
{
	static uint8_t bytes[RIG_FRAMES][RIG_ROOM];
	struct pkt pkts[RIG_FRAMES];
	struct tcp_frame frames[RIG_FRAMES];
	struct spares spares = { pkts, RIG_FRAMES, 0 };

	for (uint32_t i = 0; i < RIG_FRAMES; i++)
		pkts[i] = (struct pkt){ .data = bytes[i], .room = RIG_ROOM };
	rig_out_count = tcp_output(rig, rig_now_ns, &spares, frames, RIG_FRAMES);
	for (uint32_t i = 0; i < rig_out_count; i++) {
		const uint8_t *at = frames[i].pkt->data + TCP_FRAME_OFFSET;
		uint32_t header_len = (at[12] >> 4) * 4u;
		struct rig_seg *seg = &rig_out[i];

		*seg = (struct rig_seg){ .seq = load_be32(at + 4), .ack = load_be32(at + 8), .flags = at[13],
			.window = load_be16(at + 14), .len = frames[i].len - header_len };
		assert_true(tcp_options_parse(at + 20, header_len - 20, seg->flags & TCP_SYN, &seg->options));
		memcpy(seg->data, at + header_len, seg->len);
	}
	tcp_check(rig);
}

/* A segment of the peer; data NULL: zeros. */
RIG void
rig_segment(struct pkt *pkt, struct tcp_segment *segment, uint8_t *bytes, const struct rig_peer *peer, uint8_t flags,
    uint32_t seq, uint32_t ack, uint16_t window, const void *data, uint32_t len, const uint8_t *options, uint32_t options_len)
{
	static const uint8_t ip[16] = { [10] = 0xff, [11] = 0xff, [12] = 10, [13] = 9, [14] = 0, [15] = 254 };
	static const uint8_t our[16] = { [10] = 0xff, [11] = 0xff, [12] = 10, [13] = 9, [14] = 0, [15] = 1 };
	uint8_t stamps[12];
	uint8_t *at = bytes + TCP_FRAME_OFFSET;

	if (peer->stamps && !options) {
		tcp_options_timestamps(stamps, peer->tsval, peer->tsecr);
		options = stamps;
		options_len = 12;
	}
	store_be16(at, peer->port);
	store_be16(at + 2, RIG_PORT);
	store_be32(at + 4, seq);
	store_be32(at + 8, ack);
	at[12] = (uint8_t)((20 + options_len) / 4 << 4);
	at[13] = flags;
	store_be16(at + 14, window);
	store_be32(at + 16, 0);
	if (options_len)
		memcpy(at + 20, options, options_len);
	if (data)
		memcpy(at + 20 + options_len, data, len);
	else
		memset(at + 20 + options_len, 0, len);
	*pkt = (struct pkt){ .data = bytes, .len = (uint16_t)(TCP_FRAME_OFFSET + 20 + options_len + len), .room = RIG_ROOM };
	*segment = (struct tcp_segment){ .pkt = pkt, .header = at, .len = (uint16_t)(20 + options_len + len),
		.mac = { 2, 0, 0, 0, 9, 2 } };
	memcpy(segment->source, ip, 16);
	memcpy(segment->destination, our, 16);
}

/* Turns: everything is read and kept in rig_input. `reply`: appended to what is sent. */
RIG void
rig_serve(const void *reply, uint32_t reply_len, bool close)
{
	rig_turn_count = tcp_turns(rig, rig_now_ns, rig_turns, 32);
	for (uint32_t i = 0; i < rig_turn_count; i++) {
		struct turn *turn = &rig_turns[i];

		if (turn->closed) {
			rig_closed++;
			rig_reason = turn->reason;
			continue;
		}
		memcpy(rig_input + rig_input_len, turn->input.data ? turn->input.data : (const uint8_t *)"", turn->input.len);
		rig_input_len += turn->input.len;
		turn->consumed = turn->input.len;
		if (reply_len)
			assert_true(outq_put(turn->blocks, turn->out, reply, reply_len));
		turn->close = close || (turn->finished && !turn->input.len);
	}
	tcp_apply(rig, rig_now_ns, rig_turns, rig_turn_count);
}

/* One segment in; the application reads; what is sent is in rig_out. */
RIG enum drop
rig_in(const struct rig_peer *peer, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t window, const void *data, uint32_t len)
{
	static uint8_t bytes[RIG_ROOM];
	struct tcp_segment segment;
	struct pkt pkt;

	rig_segment(&pkt, &segment, bytes, peer, flags, seq, ack, window, data, len, NULL, 0);
	tcp_input(rig, rig_now_ns, &segment, 1);
	rig_serve(NULL, 0, false);
	assert_true(pkt.disposition == PKT_DONE || pkt.disposition == PKT_DROP);
	rig_flush();
	return pkt.drop;
}

RIG enum drop
rig_syn(struct rig_peer *peer, uint32_t seq, const uint8_t *options, uint32_t options_len)
{
	static uint8_t bytes[RIG_ROOM];
	struct tcp_segment segment;
	struct pkt pkt;

	rig_segment(&pkt, &segment, bytes, peer, TCP_SYN, seq, 0, 64240, NULL, 0, options, options_len);
	tcp_input(rig, rig_now_ns, &segment, 1);
	tcp_apply(rig, rig_now_ns, NULL, 0);
	rig_flush();
	peer->seq = seq + 1;
	if (rig_out_count == 1 && rig_out[0].flags == (TCP_SYN | TCP_ACK)) {
		peer->ack = rig_out[0].seq + 1;
		peer->tsecr = rig_out[0].options.tsval;
	}
	return pkt.drop;
}

/* Linux's options: MSS, SACK permitted, timestamps, scale. */
RIG const uint8_t rig_linux[20] = { 2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0, 1, 3, 3, 7 };
/* Windows': MSS, NOP, scale, NOP, NOP, SACK permitted. */
RIG const uint8_t rig_windows[12] = { 2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2 };

RIG struct rig_peer
rig_connect(uint16_t port, uint32_t seq, bool stamps)
{
	struct rig_peer peer = { .port = port };

	rig_syn(&peer, seq, stamps ? rig_linux : rig_windows, stamps ? sizeof rig_linux : sizeof rig_windows);
	assert_int_equal(rig_out_count, 1);
	assert_int_equal(rig_out[0].flags, TCP_SYN | TCP_ACK);
	assert_int_equal(rig_out[0].ack, seq + 1);
	peer.stamps = stamps;
	peer.tsval = 256;
	assert_int_equal(rig_in(&peer, TCP_ACK, peer.seq, peer.ack, 502, NULL, 0), DROP_NONE);
	assert_int_equal(rig_out_count, 0);
	return peer;
}

RIG void
rig_wait_ms(uint64_t ms)
{
	rig_now_ns += ms * NS_PER_MS;
	tcp_timers(rig, rig_now_ns);
	rig_serve(NULL, 0, false);
	rig_flush();
}

/* Appends to the only connection's output outside of input's turns: by a turn that is forced. */
RIG struct tcp_conn *
rig_conn(void)
{
	for (uint32_t i = 0; i < rig->conn_next; i++)
		if (rig->conns[i].state != TCP_FREE)
			return &rig->conns[i];
	return NULL;
}

#endif
