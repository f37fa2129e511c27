/*
 * Fuzzes TCP-lite's parsers: any bytes as a segment, and any option bytes in segments of a connection that is
 * open, half open, or not there. The application takes what comes and answers with as much.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "tests/tcp/rig.h"

static struct rig rig;
static uint32_t isn;

static void
app_turn(void *context, struct rig *at, struct turn *turn)
{
	(void)context;
	(void)at;
	if (turn->closed)
		return;
	turn->consumed = turn->input.len;
	if (turn->input.len && turn->input.len < 4096)
		(void)!outq_put(turn->blocks, turn->out, turn->input.data, turn->input.len);
	turn->close = turn->finished;
}

static void
app_segment(void *context, struct rig *at, const struct seg *seg)
{
	(void)context;
	(void)at;
	if (seg->flags & SEG_SYN)
		isn = seg->seq;
}

/* A segment of the one peer; its numbers are right unless the input says otherwise. */
static void
segment_in(uint8_t flags, uint32_t seq, const uint8_t *options, uint8_t len)
{
	struct seg seg = seg_none();

	memcpy(seg.source, rig_our_ipv4, 16);
	memcpy(seg.destination, rig_our_ipv4, 16);
	seg.source[15] = 9;
	seg.source_port = 1000;
	seg.destination_port = 6379;
	seg.flags = flags;
	seg.seq = seq;
	seg.ack = isn + 1;
	seg.window = 1000;
	seg.raw = options;
	seg.raw_len = len;
	rig_in(&rig, &seg);
	rig_round(&rig);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig_app app = { app_turn, app_segment, NULL };
	struct tcp_config config;
	uint8_t from[16], bytes[2048];

	if (size < 4 || size > sizeof bytes)
		return 0;
	rig_config(&tcp_fast_api, &config);
	config.memory_bytes = 2 << 20;
	config.connections_max = 4;
	rig_open(&rig, &tcp_fast_api, &config, &app, data[0]);
	memcpy(from, rig_our_ipv4, 16);
	from[15] = 9;
	if (data[0] & 1) { /* options: of a SYN, and of what follows it */
		uint8_t len = (uint8_t)(size - 1 < 40 ? size - 1 : 40);

		segment_in(SEG_SYN, 0, data + 1, len);
		segment_in(SEG_ACK, 1, data[0] & 2 ? data + 1 : NULL, data[0] & 2 ? len : 0);
		segment_in(SEG_ACK | SEG_PSH, 1, data + 1, len);
	} else { /* a whole segment, its ports and checksum put right, thrice */
		segment_in(SEG_SYN, 0, NULL, 0);
		if (data[0] & 2)
			segment_in(SEG_ACK, 1, NULL, 0);
		memcpy(bytes, data + 1, size - 1);
		if (size - 1 >= 20) {
			store_be16(bytes, 1000);
			store_be16(bytes + 2, 6379);
			if (data[0] & 4)
				store_be32(bytes + 8, isn + 1);
			store_be16(bytes + 16, 0);
			store_be16(bytes + 16, seg_checksum(from, rig_our_ipv4, bytes, (uint32_t)size - 1));
		}
		for (int i = 0; i < 3; i++) {
			rig_in_raw(&rig, from, rig_our_ipv4, bytes, (uint32_t)size - 1);
			rig_round(&rig);
		}
	}
	rig_wait(&rig, rig.now_ns + 3 * NS_PER_SEC);
	if (!rig_close(&rig)) {
		fprintf(stderr, "%s\n", rig.failure);
		CHECK(!"the rig failed");
	}
	return 0;
}
