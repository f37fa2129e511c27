/*
 * Many connections, and attacks: what a connection costs, that a normal client is served all the while, and that
 * everything is back where it was afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/prng.h"
#include "tests/tcp/rig.h"

enum { IDLE = 100000, CHURN = 100000, NORMAL_PORT = 7 };

/* A client that needs no more than its numbers. */
struct mini {
	uint8_t ip[16];
	uint16_t port, window;
	uint32_t seq, ack;
};

static struct rig rig;
static struct mini normal;
static struct mini *minis;     /* of connections by their number, or NULL */
static uint32_t normal_answers, answers, resets, syn_acks, large_reply;
static bool ending;

static void
say(const char *what, double figure, const char *unit)
{
	printf("  %s: %.1f %s\n", what, figure, unit);
}

/* The application: each byte is answered by one; 'L' by large_reply bytes; it closes with its peer. */
static void
app_turn(void *context, struct rig *at, struct turn *turn)
{
	static uint8_t bytes[1 << 20];

	(void)context;
	(void)at;
	if (turn->closed)
		return;
	turn->consumed = turn->input.len;
	if (turn->input.len && turn->input.data[0] == 'L')
		(void)!outq_put(turn->blocks, turn->out, bytes, large_reply);
	else if (turn->input.len && turn->input.data[0] == 'P') /* half a request */
		turn->consumed = 0;
	else if (turn->input.len)
		(void)!outq_put(turn->blocks, turn->out, bytes, turn->input.len);
	turn->close = turn->finished;
}

static struct mini *
mini_of(const struct seg *seg)
{
	uint32_t number = load_be32(seg->destination + 12) - 0x0a800000u;

	if (seg->destination_port == NORMAL_PORT)
		return &normal;
	return minis && number < IDLE ? &minis[number] : NULL;
}

static void
app_segment(void *context, struct rig *at, const struct seg *seg)
{
	struct mini *mini = mini_of(seg);

	(void)context;
	(void)at;
	resets += !!(seg->flags & SEG_RST);
	syn_acks += !!(seg->flags & SEG_SYN);
	answers += seg->payload_len > 0;
	if (!mini)
		return;
	if (mini == &normal && seg->payload_len)
		normal_answers++;
	if (mini == &normal && seg->flags & SEG_RST && !ending)
		fail_msg("the normal client was reset");
	if ((int32_t)(seg->seq + seg_len(seg) - mini->ack) > 0 || seg->flags & SEG_SYN)
		mini->ack = seg->seq + seg_len(seg);
}

static struct seg
segment(const struct mini *mini, uint8_t flags)
{
	struct seg seg = seg_none();

	memcpy(seg.source, mini->ip, 16);
	memcpy(seg.destination, rig_our_ipv4, 16);
	seg.source_port = mini->port;
	seg.destination_port = 6379;
	seg.seq = mini->seq;
	seg.ack = mini->ack;
	seg.window = mini->window;
	seg.flags = flags;
	return seg;
}

static struct mini
mini_new(uint32_t number, uint16_t port)
{
	struct mini mini = { .port = port, .window = 65535, .seq = number * 2654435761u };

	memcpy(mini.ip, rig_our_ipv4, 12);
	store_be32(mini.ip + 12, 0x0a800000u + number);
	return mini;
}

static void
send_syn(struct mini *mini)
{
	struct seg seg = segment(mini, SEG_SYN);

	seg.mss = 1460;
	seg.wscale = 7;
	seg.sack_ok = seg.ts = true;
	seg.ts = false;
	rig_in(&rig, &seg);
	mini->seq++;
}

static void
send_bytes(struct mini *mini, const char *bytes)
{
	struct seg seg = segment(mini, SEG_ACK | SEG_PSH);

	seg.payload = (const uint8_t *)bytes;
	seg.payload_len = (uint32_t)strlen(bytes);
	rig_in(&rig, &seg);
	mini->seq += seg.payload_len;
}

static void
send_flags(struct mini *mini, uint8_t flags)
{
	struct seg seg = segment(mini, flags);

	rig_in(&rig, &seg);
	mini->seq += seg_len(&seg);
}

static void
open_normal(void)
{
	normal = mini_new(IDLE + 7, NORMAL_PORT);
	send_syn(&normal);
	rig_round(&rig);
	send_flags(&normal, SEG_ACK);
	rig_round(&rig);
	assert_int_equal(rig_figures(&rig).connections, 1);
}

/* The normal client asks and is answered in the same round. */
static void
normal_is_served(void)
{
	uint32_t before = normal_answers;

	send_bytes(&normal, "GET");
	rig_round(&rig);
	assert_int_equal(normal_answers, before + 1);
	send_flags(&normal, SEG_ACK);
}

static void
begin(uint32_t connections, uint32_t half_open, uint64_t memory)
{
	struct rig_app app = { app_turn, app_segment, NULL };
	struct tcp_config config;

	rig_config(&tcp_fast_api, &config);
	config.connections_max = connections;
	config.half_open_max = half_open;
	config.memory_bytes = memory;
	config.keepalive_s = 0;
	config.zero_window_s = 20;
	config.partial_s = 20;
	rig_open(&rig, &tcp_fast_api, &config, &app, 5);
	rig.silent = true;
	answers = normal_answers = resets = syn_acks = 0;
	ending = false;
}

/* Exactly where it was: the rig wants no connection and no block to be left. */
static void
finish(void)
{
	rig.api->check(rig.tcp);
	ending = true;
	if (!rig_close(&rig))
		fail_msg("%s", rig.failure);
	free(minis);
	minis = NULL;
}

static uint64_t
resident(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%*s %lu", &pages), 1);
	fclose(file);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void
a_hundred_thousand_idle_connections_cost_little_and_are_all_served(void **state)
{
	uint64_t before;

	(void)state;
	begin(IDLE + 1, 4096, 64 << 20);
	minis = calloc(IDLE, sizeof *minis);
	assert_non_null(minis);
	for (uint32_t i = 0; i < IDLE; i++)
		minis[i] = mini_new(i, (uint16_t)(1024 + i % 60000));
	before = resident();
	for (uint32_t i = 0; i < IDLE; i += RIG_BURST) {
		for (uint32_t k = i; k < i + RIG_BURST && k < IDLE; k++)
			send_syn(&minis[k]);
		rig_round(&rig);
		for (uint32_t k = i; k < i + RIG_BURST && k < IDLE; k++)
			send_flags(&minis[k], SEG_ACK);
		rig_round(&rig);
	}
	assert_int_equal(rig_figures(&rig).connections, IDLE);
	assert_int_equal(rig_figures(&rig).blocks_used, 0);
	say("memory of an idle connection", (double)(resident() - before) / IDLE, "bytes");
	for (uint32_t i = 0; i < IDLE; i += 7) {
		send_bytes(&minis[i], "GET");
		if (i % 64 == 0)
			rig_round(&rig);
	}
	rig_round(&rig);
	assert_int_equal(answers, (IDLE + 6) / 7);
	for (uint32_t i = 0; i < IDLE; i += 7)
		send_flags(&minis[i], SEG_ACK);
	rig_round(&rig);
	assert_int_equal(rig_figures(&rig).blocks_used, 0);
	rig_wait(&rig, rig.now_ns + 3600 * NS_PER_SEC);
	assert_int_equal(rig_figures(&rig).connections, IDLE);
	finish();
}

static void
churn_leaves_nothing(void **state)
{
	(void)state;
	begin(64, 64, 4 << 20);
	minis = calloc(IDLE, sizeof *minis);
	assert_non_null(minis);
	open_normal();
	for (uint32_t i = 0; i < CHURN; i++) {
		struct mini *mini = &minis[i % 50000];

		*mini = mini_new(i % 50000, (uint16_t)(2000 + i / 50000));
		send_syn(mini);
		rig_round(&rig);
		send_flags(mini, SEG_ACK);
		send_bytes(mini, "GET");
		rig_round(&rig);
		send_flags(mini, SEG_ACK | SEG_FIN);
		rig_round(&rig);
		send_flags(mini, SEG_ACK);
		rig_round(&rig);
		if (i % 1000 == 0)
			normal_is_served();
		rig.now_ns += 10 * NS_PER_US;
	}
	assert_int_equal(answers - normal_answers, CHURN);
	assert_int_equal(rig_figures(&rig).connections, 1);
	finish();
}

static void
a_syn_flood_does_not_keep_a_normal_client_from_being_served_nor_a_new_one_out(void **state)
{
	struct prng prng = { 11 };
	struct mini *late;

	(void)state;
	begin(1000, 256, 4 << 20);
	open_normal();
	for (uint32_t i = 0; i < 200000; i++) {
		struct mini mini = mini_new((uint32_t)prng_below(&prng, 1 << 22) + IDLE + 8, (uint16_t)prng_next(&prng) | 1024);

		send_syn(&mini);
		if (i % 31 == 0)
			normal_is_served();
		rig.now_ns += NS_PER_US;
	}
	assert_true(rig_figures(&rig).half_open <= 256);
	minis = calloc(IDLE, sizeof *minis); /* a new client opens in the midst of it, by a cookie */
	assert_non_null(minis);
	late = &minis[5];
	*late = mini_new(5, 4000);
	send_syn(late);
	rig_round(&rig);
	send_flags(late, SEG_ACK);
	rig_round(&rig);
	assert_int_equal(rig_figures(&rig).connections, 2);
	say("SYN-ACKs to 200000 SYNs", syn_acks, "");
	finish();
}

static void
blind_resets_and_data_do_not_touch_a_normal_client(void **state)
{
	struct prng prng = { 12 };
	uint64_t before;

	(void)state;
	begin(16, 16, 4 << 20);
	open_normal();
	before = rig.sent;
	for (uint32_t i = 0; i < 100000; i++) {
		struct mini spoofed = normal;
		uint8_t flags = (uint8_t[]){ SEG_RST, SEG_SYN, SEG_ACK | SEG_PSH, SEG_FIN | SEG_ACK, SEG_RST | SEG_ACK }[i % 5];
		struct seg seg;

		do
			spoofed.seq = (uint32_t)prng_next(&prng);
		while (spoofed.seq == normal.seq);
		spoofed.ack = (uint32_t)prng_next(&prng);
		if (i % 5 >= 2 && spoofed.seq - normal.seq < 70000) /* a blind hit of data is 1 in 2^31 */
			continue;
		seg = segment(&spoofed, flags);
		seg.payload = (const uint8_t *)"evil";
		seg.payload_len = i % 5 == 2 ? 4 : 0;
		rig_in(&rig, &seg);
		if (i % 97 == 0)
			normal_is_served();
		rig.now_ns += 10 * NS_PER_US;
	}
	normal_is_served();
	say("answers to 100000 blind segments in a second", (double)(rig.sent - before - 1032), "");
	assert_true(rig.sent - before < 20000); /* bounded, the normal client's own 1032 and their ACKs included */
	finish();
}

static void
resets_to_strangers_are_bounded(void **state)
{
	struct prng prng = { 13 };

	(void)state;
	begin(16, 16, 4 << 20);
	open_normal();
	for (uint32_t i = 0; i < 100000; i++) {
		struct mini stranger = mini_new((uint32_t)prng_below(&prng, 1 << 22) + IDLE + 8, 5000);

		stranger.ack = (uint32_t)prng_next(&prng);
		send_flags(&stranger, i % 3 ? SEG_ACK : SEG_ACK | SEG_FIN);
		if (i % 97 == 0)
			normal_is_served();
		rig.now_ns += 10 * NS_PER_US;
	}
	say("RSTs to 100000 segments of strangers in a second", resets, "");
	assert_in_range(resets, 1, 5000);
	finish();
}

/* Connections 0 to count - 1 of hosts of their own. */
static void
open_minis(uint32_t count)
{
	minis = calloc(IDLE, sizeof *minis);
	assert_non_null(minis);
	for (uint32_t i = 0; i < count; i++) {
		minis[i] = mini_new(i, 3000);
		send_syn(&minis[i]);
		rig_round(&rig);
		send_flags(&minis[i], SEG_ACK);
		rig_round(&rig);
	}
	assert_int_equal(rig_figures(&rig).connections, count + 1);
}

static void
slow_readers_and_closed_windows_take_bounded_memory_and_are_ended(void **state)
{
	enum { COUNT = 200 };

	(void)state;
	begin(COUNT + 8, 64, 32 << 20);
	large_reply = 100000;
	open_normal();
	open_minis(COUNT);
	for (uint32_t i = 0; i < COUNT; i++) {
		minis[i].window = i % 2 ? 0 : 1; /* in units of 128 */
		send_bytes(&minis[i], "L");
		normal_is_served();
	}
	say("blocks held by 200 that do not read", (double)rig_figures(&rig).blocks_used / (1 << 20), "MB");
	assert_true(rig_figures(&rig).blocks_used <= 32 << 20);
	for (uint32_t second = 0; second < 60; second++) {
		for (uint32_t i = 0; i < COUNT; i++)
			send_flags(&minis[i], SEG_ACK);
		rig_wait(&rig, rig.now_ns + NS_PER_SEC);
		normal_is_served();
	}
	for (uint32_t i = 1; i < COUNT; i += 2) /* who never opens his window is gone */
		assert_true(rig_figures(&rig).connections <= COUNT / 2 + 1);
	finish();
}

static void
one_byte_segments_and_half_requests_do_not_keep_a_normal_client_waiting(void **state)
{
	enum { COUNT = 100 };

	(void)state;
	begin(COUNT + 8, 64, 16 << 20);
	open_normal();
	open_minis(COUNT);
	for (uint32_t round = 0; round < 300; round++) {
		for (uint32_t i = 0; i < COUNT; i++)
			send_bytes(&minis[i], i % 2 || round ? "x" : "P");
		normal_is_served();
		rig.now_ns += NS_PER_MS;
	}
	assert_true(rig_figures(&rig).connections == COUNT + 1);
	rig_wait(&rig, rig.now_ns + 60 * NS_PER_SEC);
	normal_is_served();
	assert_true(rig_figures(&rig).connections <= COUNT / 2 + 1); /* who holds half a request is gone */
	finish();
}

static void
floods_out_of_order_take_bounded_memory(void **state)
{
	enum { COUNT = 100 };

	(void)state;
	begin(COUNT + 8, 64, 64 << 20);
	open_normal();
	open_minis(COUNT);
	for (uint32_t k = 0; k < 400; k++) {
		for (uint32_t i = 0; i < COUNT; i++) {
			struct mini ahead = minis[i];

			ahead.seq += 2 + 3 * k; /* every third byte, never the first */
			send_bytes(&ahead, "y");
		}
		normal_is_served();
	}
	say("blocks held by 100 with 400 gaps each", (double)rig_figures(&rig).blocks_used / 1024, "KB");
	assert_true(rig_figures(&rig).blocks_used <= COUNT * 70000);
	for (uint32_t i = 0; i < COUNT; i++)
		send_flags(&minis[i], SEG_RST);
	rig_round(&rig);
	normal_is_served();
	rig_round(&rig);
	assert_int_equal(rig_figures(&rig).connections, 1);
	assert_int_equal(rig_figures(&rig).blocks_used, 0);
	finish();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hundred_thousand_idle_connections_cost_little_and_are_all_served),
		cmocka_unit_test(churn_leaves_nothing),
		cmocka_unit_test(a_syn_flood_does_not_keep_a_normal_client_from_being_served_nor_a_new_one_out),
		cmocka_unit_test(blind_resets_and_data_do_not_touch_a_normal_client),
		cmocka_unit_test(resets_to_strangers_are_bounded),
		cmocka_unit_test(slow_readers_and_closed_windows_take_bounded_memory_and_are_ended),
		cmocka_unit_test(one_byte_segments_and_half_requests_do_not_keep_a_normal_client_waiting),
		cmocka_unit_test(floods_out_of_order_take_bounded_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
