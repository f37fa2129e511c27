/* Unit tests of memcached's parser and composer; responses are scripted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/deferred.h"
#include "base/prng.h"
#include "proto/memcached.h"
#include "proto/memcached_parser.h"
#include "proto/memcached_stream.h"

enum { SPARES = 1024, PKT_ROOM = 2048, TEXT_MAX = 2 << 20 };

/* One datagram's way through parser and composer. */
static struct rig {
	uint8_t payload[2048];
	struct datagram datagram;
	struct frame frame;
	struct request requests[FRAME_OPS_MAX];
	struct response responses[FRAME_OPS_MAX];
	struct pkt pkts[SPARES];
	uint8_t rooms[SPARES][PKT_ROOM];
	struct spares spares;
	struct reply replies[SPARES];
	struct counters counters;
	struct deferred slot;
	uint8_t reply[DEFERRED_REPLY_MAX]; /* the slot's */
	char text[TEXT_MAX];
	uint32_t text_len;
} rig;

static const struct now now = { .mono_ns = 1, .wall_ms = 1700000000000ull };

static bool
parse_bytes(const void *text, size_t len)
{
	static const uint8_t header[8] = { 0x12, 0x34, 0, 0, 0, 1, 0, 0 };

	memset(&rig.frame, 0, sizeof rig.frame);
	memcpy(rig.payload, header, sizeof header);
	memcpy(rig.payload + 8, text, len);
	rig.datagram = (struct datagram){
		.payload = rig.payload, .payload_len = (uint16_t)(len + 8), .service = SERVICE_MEMCACHED,
	};
	memset(rig.responses, 0, sizeof rig.responses);
	return memcached_parse(&rig.datagram, &now, &rig.frame, rig.requests, FRAME_OPS_MAX);
}

static void
parse(const char *text)
{
	assert_true(parse_bytes(text, strlen(text)));
}

static void
give_spares(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		rig.pkts[i] = (struct pkt){ .data = rig.rooms[i], .room = PKT_ROOM };
	rig.spares = (struct spares){ rig.pkts, n, 0 };
	memset(&rig.counters, 0, sizeof rig.counters);
}

/* Composes and puts the datagrams together again, checking their headers. */
static const char *
compose(uint32_t spares)
{
	uint32_t n;

	give_spares(spares);
	n = memcached_compose(&rig.frame, rig.requests, rig.responses, &now, &rig.spares,
	    &rig.counters, rig.replies);
	assert_int_equal(n, rig.spares.used);
	rig.text_len = 0;
	for (uint32_t i = 0; i < n; i++) {
		const uint8_t *at = rig.replies[i].pkt->data + PKT_UDP_PAYLOAD_OFFSET;
		uint32_t len = rig.replies[i].payload_len;

		assert_int_equal(load_be16(at), 0x1234);
		assert_int_equal(load_be16(at + 2), i);
		assert_int_equal(load_be16(at + 4), n);
		assert_int_equal(load_be16(at + 6), 0);
		assert_true(len > 8 && len <= MEMCACHED_UDP_REPLY_MAX);
		assert_true(i == n - 1 || len == MEMCACHED_UDP_REPLY_MAX);
		assert_ptr_equal(rig.replies[i].peer, &rig.datagram.peer);
		memcpy(rig.text + rig.text_len, at + 8, len - 8);
		rig.text_len += len - 8;
	}
	rig.text[rig.text_len] = '\0';
	return rig.text;
}

static struct response
hit(const char *value)
{
	return (struct response){
		.value = view_text(value), .total_len = (uint32_t)strlen(value), .version = 77,
		.client_flags = 5, .has_item = true, .status = OP_STATUS_OK,
	};
}

/* A line alone, whose reply execution does not change. */
static void
answers(const char *text, const char *reply)
{
	parse(text);
	assert_string_equal(compose(SPARES), reply);
}

/* A single command and the reply its response makes. */
static void
with_status(const char *text, enum op_status status, const char *reply)
{
	parse(text);
	assert_int_equal(rig.frame.count, 1);
	assert_int_not_equal(rig.requests[0].op, OP_NONE);
	rig.responses[0] = (struct response){ .status = (uint8_t)status };
	assert_string_equal(compose(SPARES), reply);
}

static void
key_is(uint32_t i, const char *key)
{
	assert_true(view_equal(rig.requests[i].key, view_text(key)));
}

static void
the_udp_header_says_one_datagram_or_nothing_is_parsed(void **state)
{
	struct datagram *d = &rig.datagram;

	(void)state;
	parse("get a\r\n");
	assert_int_equal(rig.frame.request_id, 0x1234);
	rig.payload[5] = 2;
	assert_false(memcached_parse(d, &now, &rig.frame, rig.requests, FRAME_OPS_MAX));
	rig.payload[5] = 0;
	assert_false(memcached_parse(d, &now, &rig.frame, rig.requests, FRAME_OPS_MAX));
	rig.payload[5] = 1;
	assert_true(memcached_parse(d, &now, &rig.frame, rig.requests, FRAME_OPS_MAX));
	for (uint16_t len = 0; len <= 8; len++) {
		d->payload_len = len;
		assert_false(memcached_parse(d, &now, &rig.frame, rig.requests, FRAME_OPS_MAX));
	}
	assert_false(parse_bytes("get a", 5)); /* no line is complete */
	assert_true(parse_bytes("get a\r\nget", 10)); /* one is */
	assert_int_equal(rig.frame.count, 1);
}

static void
a_get_is_one_request_a_key_and_the_last_carries_the_end(void **state)
{
	(void)state;
	parse("get a bb  ccc \r\n");
	assert_int_equal(rig.frame.count, 3);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(rig.requests[i].op, OP_GET);
		assert_int_equal(rig.requests[i].index, i);
		assert_int_equal(!!(rig.requests[i].verb & VERB_END), i == 2);
	}
	key_is(0, "a");
	key_is(2, "ccc");
	rig.responses[0] = hit("one");
	rig.responses[1].status = OP_STATUS_NOT_FOUND;
	rig.responses[2] = hit("");
	assert_string_equal(compose(SPARES), "VALUE a 5 3\r\none\r\nVALUE ccc 5 0\r\n\r\nEND\r\n");
	parse("gets a\n");
	rig.responses[0] = hit("one");
	assert_string_equal(compose(SPARES), "VALUE a 5 3 77\r\none\r\nEND\r\n");
	parse("gat 10 a b\r\n");
	assert_int_equal(rig.requests[1].op, OP_GAT);
	assert_int_equal(rig.requests[1].expiry_ms, now.wall_ms + 10000);
	answers("gat 10\r\n", "END\r\n");
	answers("gats x a\r\n", "CLIENT_ERROR invalid exptime argument\r\n");
	answers("get\r\n", "ERROR\r\n");
	answers("GET a\r\n", "ERROR\r\n");
}

static void
more_keys_than_tokens_are_cut_again(void **state)
{
	char text[256] = "get", key[8];

	(void)state;
	for (int i = 0; i < 50; i++)
		strcat(text, (snprintf(key, sizeof key, " k%02d", i), key));
	strcat(text, "   \r\n");
	parse(text);
	assert_int_equal(rig.frame.count, 50);
	for (uint32_t i = 0; i < 50; i++) {
		snprintf(key, sizeof key, "k%02u", i);
		key_is(i, key);
	}
	assert_true(rig.requests[49].verb & VERB_END);
}

static void
a_key_of_251_bytes_is_an_error_and_250_are_not(void **state)
{
	char text[700], key[252];

	(void)state;
	memset(key, 'k', sizeof key);
	snprintf(text, sizeof text, "get a %.250s\r\n", key);
	parse(text);
	assert_int_equal(rig.frame.count, 2);
	snprintf(text, sizeof text, "get a %.251s b\r\n", key);
	answers(text, "CLIENT_ERROR bad command line format\r\n");
	snprintf(text, sizeof text, "incr %.251s 1\r\nmg %.251s\r\n", key, key);
	answers(text, "CLIENT_ERROR bad command line format\r\nCLIENT_ERROR bad command line format\r\n");
	snprintf(text, sizeof text, "md %.251s\r\nms %.251s 0\r\n", key, key);
	answers(text, "CLIENT_ERROR bad command line format\r\nCLIENT_ERROR bad command line format\r\n");
	snprintf(text, sizeof text, "delete %.251s noreply\r\nmn\r\n", key);
	answers(text, "MN\r\n");
}

static void
a_set_carries_its_value_flags_and_expiry(void **state)
{
	(void)state;
	parse("set k 4294967295 30 5\r\na\r\nbc\r\n");
	assert_int_equal(rig.requests[0].op, OP_SET);
	assert_int_equal(rig.requests[0].client_flags, 4294967295u);
	assert_int_equal(rig.requests[0].expiry_ms, now.wall_ms + 30000);
	assert_true(view_equal(rig.requests[0].value, view_text("a\r\nbc")));
	parse("add k 0 2592000 0\r\n\r\nreplace k 0 2592001 0 \r\n\r\ncas k 0 -1 1 9 noreply\r\nx\r\n");
	assert_int_equal(rig.frame.count, 3);
	assert_int_equal(rig.requests[0].flags, REQUEST_ADD);
	assert_int_equal(rig.requests[0].expiry_ms, now.wall_ms + 2592000000ull);
	assert_int_equal(rig.requests[1].flags, REQUEST_REPLACE);
	assert_int_equal(rig.requests[1].expiry_ms, 2592001000ull); /* seconds since 1970: past */
	assert_int_equal(rig.requests[2].flags, REQUEST_CAS);
	assert_int_equal(rig.requests[2].version, 9);
	assert_true(rig.requests[2].expiry_ms > 0 && rig.requests[2].expiry_ms < now.wall_ms);
	assert_true(rig.requests[2].verb & VERB_QUIET);
	parse("append k 1 0 1\r\nx\r\nprepend k 1 0 1\r\ny\r\n");
	assert_int_equal(rig.requests[0].op, OP_APPEND);
	assert_int_equal(rig.requests[1].op, OP_PREPEND);
}

static void
storage_statuses_have_memcacheds_words(void **state)
{
	const char *set = "set k 0 0 1\r\nx\r\n", *append = "append k 0 0 1\r\nx\r\n";

	(void)state;
	with_status(set, OP_STATUS_OK, "STORED\r\n");
	with_status(set, OP_STATUS_OUT_OF_MEMORY, "SERVER_ERROR out of memory storing object\r\n");
	with_status(set, OP_STATUS_TOO_LARGE, "SERVER_ERROR object too large for cache\r\n");
	with_status(set, OP_STATUS_BUSY, "SERVER_ERROR busy\r\n");
	with_status("set k 0 0 1 noreply\r\nx\r\n", OP_STATUS_OUT_OF_MEMORY, "");
	with_status("add k 0 0 1\r\nx\r\n", OP_STATUS_NOT_STORED, "NOT_STORED\r\n");
	with_status("cas k 0 0 1 1\r\nx\r\n", OP_STATUS_EXISTS, "EXISTS\r\n");
	with_status("cas k 0 0 1 1\r\nx\r\n", OP_STATUS_NOT_FOUND, "NOT_FOUND\r\n");
	with_status(append, OP_STATUS_TOO_LARGE, "NOT_STORED\r\n");
	with_status("delete k\r\n", OP_STATUS_OK, "DELETED\r\n");
	with_status("delete k\r\n", OP_STATUS_NOT_FOUND, "NOT_FOUND\r\n");
	with_status("touch k 0\r\n", OP_STATUS_OK, "TOUCHED\r\n");
	with_status("incr k 1\r\n", OP_STATUS_NOT_FOUND, "NOT_FOUND\r\n");
	with_status("flush_all\r\n", OP_STATUS_OK, "OK\r\n");
	with_status("flush_all noreply\r\n", OP_STATUS_OK, "");
}

static void
a_bad_data_chunk_takes_its_bytes_and_no_more(void **state)
{
	(void)state;
	answers("set k 0 0 3\r\nabcd\r\n", "CLIENT_ERROR bad data chunk\r\nERROR\r\n");
	answers("set k 0 0 3\r\nabcdemn\r\n", "CLIENT_ERROR bad data chunk\r\nMN\r\n");
	answers("set k 0 0 3 noreply\r\nabcdemn\r\n", "MN\r\n");
	answers("set k 0 0 30\r\nabc\r\nmn\r\n", "CLIENT_ERROR bad data chunk\r\n");
	answers("ms k 3 q\r\nabcdemn\r\n", "CLIENT_ERROR bad data chunk\r\nMN\r\n");
}

static void
numbers_are_read_as_strtol_does(void **state)
{
	(void)state;
	answers("set k x 0 1\r\nmn\r\n", "CLIENT_ERROR bad command line format\r\nMN\r\n");
	answers("set k 0 0 -1\r\nmn\r\n", "CLIENT_ERROR bad command line format\r\nMN\r\n");
	answers("set k -1 0 0\r\nmn\r\n", "CLIENT_ERROR bad command line format\r\nMN\r\n");
	answers("set k 0 0 2147483646\r\nmn\r\n", "CLIENT_ERROR bad command line format\r\nMN\r\n");
	answers("incr k -1\r\n", "CLIENT_ERROR invalid numeric delta argument\r\n");
	answers("incr k 1x\r\n", "CLIENT_ERROR invalid numeric delta argument\r\n");
	answers("incr k 18446744073709551616\r\n", "CLIENT_ERROR invalid numeric delta argument\r\n");
	answers("incr k noreply\r\nmn\r\n", "MN\r\n");
	parse("incr k +18446744073709551615\r\ndecr k -18446744073709551615\r\nincr k \t7\t\r\n");
	assert_true(rig.requests[0].delta == UINT64_MAX && rig.requests[0].flags == REQUEST_KEEP_WIDTH);
	assert_int_equal(rig.requests[1].delta, 1);
	assert_int_equal(rig.requests[2].delta, 7);
	parse("set k 4294967297 4294967297 4294967297\r\nx\r\n"); /* 32 bits of it */
	assert_int_equal(rig.requests[0].client_flags, 1);
	assert_int_equal(rig.requests[0].value.len, 1);
	assert_int_equal(rig.requests[0].expiry_ms, now.wall_ms + 1000);
}

static void
an_oversized_set_deletes_the_old_value_and_swallows_what_there_is(void **state)
{
	(void)state;
	parse("set k 0 0 1048577\r\nabc\r\nmn\r\n");
	assert_int_equal(rig.frame.count, 1);
	assert_int_equal(rig.requests[0].op, OP_DELETE);
	rig.responses[0].status = OP_STATUS_NOT_FOUND;
	assert_string_equal(compose(SPARES), "SERVER_ERROR object too large for cache\r\n");
	answers("add k 0 0 1048577\r\n", "SERVER_ERROR object too large for cache\r\n");
	answers("add k 0 0 2147483645\r\nmn\r\n", "SERVER_ERROR object too large for cache\r\n");
	answers("ms k 1048577 q\r\n", "SERVER_ERROR object too large for cache\r\n");
	answers("ms k 2147483645\r\nmn\r\n", "SERVER_ERROR object too large for cache\r\n");
	answers("ms k 2147483646\r\nmn\r\n", "CLIENT_ERROR bad command line format\r\nMN\r\n");
	answers("ms k 1048576\r\nabc\r\n", "CLIENT_ERROR bad data chunk\r\n");
	answers("set k 0 0 1048576\r\nabc\r\n", "CLIENT_ERROR bad data chunk\r\n"); /* not too large, only not here */
	answers("append k 0 0 1048577 noreply\r\nx", "");
}

static void
delete_has_its_old_quirks(void **state)
{
	const char *usage = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n";

	(void)state;
	with_status("delete k 0\r\n", OP_STATUS_OK, "DELETED\r\n");
	with_status("delete k noreply\r\n", OP_STATUS_OK, "");
	with_status("delete k 0 noreply\r\n", OP_STATUS_OK, "");
	answers("delete k 5\r\n", usage);
	answers("delete k 00\r\n", usage);
	answers("delete k 0 0\r\n", usage);
	answers("delete k 5 noreply\r\n", "");
	answers("delete k 0 noreply x\r\n", "ERROR\r\n");
	answers("delete\r\n", "ERROR\r\n");
}

static void
the_small_commands_answer_as_memcached(void **state)
{
	(void)state;
	answers("version\r\n", "VERSION 1.6.18-slipring-" SLIPRING_VERSION "\r\n");
	answers("verbosity\r\n", "ERROR\r\n");
	answers("verbosity 1\r\nverbosity 1 2\r\n", "OK\r\nOK\r\n");
	answers("verbosity x\r\n", "CLIENT_ERROR bad command line format\r\n");
	answers("verbosity noreply\r\nverbosity 1 noreply\r\n", "");
	answers("flush_all x\r\n", "CLIENT_ERROR invalid exptime argument\r\n");
	answers("flush_all 0 0 noreply\r\n", "ERROR\r\n");
	answers("shutdown\r\n", "ERROR: shutdown not enabled\r\n");
	answers("\r\n \r\nx\r\nstats nothing\r\n", "ERROR\r\nERROR\r\nERROR\r\nERROR\r\n");
	answers("stats items\r\nstats cachedump 3 0\r\n", "END\r\nEND\r\n");
	answers("mn\r\nquit\r\nmn\r\n", "MN\r\n");
	answers("GET / HTTP/1.1\r\nmn\r\n", "");
	answers("GET / HTTP/\r\nmn\r\n", "");
	answers("stats HTTP/1.1\r\nmz HTTP/1.1\r\n", "ERROR\r\nERROR\r\n");
	parse("flush_all -1\r\nflush_all 10\r\nflush_all 2592001\r\n");
	assert_int_equal(rig.requests[0].expiry_ms, 0);
	assert_int_equal(rig.requests[1].expiry_ms, now.wall_ms + 10000);
	assert_int_equal(rig.requests[2].expiry_ms, 0);
	assert_true(parse_bytes("mn\0rest\r\nmn\r\n", 13)); /* a NUL ends the line */
	assert_string_equal(compose(SPARES), "MN\r\nMN\r\n");
}

static void
stats_lines_are_made_of_name_and_value(void **state)
{
	(void)state;
	parse("stats\r\nstats settings\r\n");
	key_is(0, "memcached");
	key_is(1, "memcached settings");
	rig.responses[0] = hit("pid 1\nuptime 2\r\n\nlast 3");
	rig.responses[1] = hit("");
	assert_string_equal(compose(SPARES),
	    "STAT pid 1\r\nSTAT uptime 2\r\nSTAT last 3\r\nEND\r\nEND\r\n");
}

static void
meta_flags_return_in_the_order_asked(void **state)
{
	(void)state;
	parse("mg foo s v f t c k O123 q\r\n");
	assert_int_equal(rig.requests[0].op, OP_GET);
	rig.responses[0] = hit("hi");
	assert_string_equal(compose(SPARES), "VA 2 s2 f5 t-1 c77 kfoo O123\r\nhi\r\n");
	parse("mg foo t T30\r\n");
	assert_int_equal(rig.requests[0].op, OP_GAT);
	assert_int_equal(rig.requests[0].flags, REQUEST_NO_VALUE | REQUEST_STATE);
	rig.responses[0] = hit("hi");
	rig.responses[0].expiry_ms = now.wall_ms + 29001;
	assert_string_equal(compose(SPARES), "HD t30\r\n");
	with_status("mg foo v k Ox\r\n", OP_STATUS_NOT_FOUND, "EN kfoo Ox\r\n");
	with_status("mg foo v k q\r\n", OP_STATUS_NOT_FOUND, "");
	with_status("mg foo u\r\n", OP_STATUS_BUSY, "SERVER_ERROR busy\r\n");
	assert_true(rig.requests[0].flags & REQUEST_NO_BUMP);
}

static void
meta_sets_and_deletes_answer_in_two_letters(void **state)
{
	(void)state;
	parse("ms foo 2 T30 F5 k c Oab\r\nhi\r\n");
	assert_int_equal(rig.requests[0].client_flags, 5);
	assert_int_equal(rig.requests[0].expiry_ms, now.wall_ms + 30000);
	rig.responses[0].version = 9;
	assert_string_equal(compose(SPARES), "HD kfoo c9 Oab\r\n");
	with_status("ms foo 2 q s t f\r\nhi\r\n", OP_STATUS_OK, "");
	with_status("ms foo 2 ME c\r\nhi\r\n", OP_STATUS_NOT_STORED, "NS c0\r\n");
	assert_int_equal(rig.requests[0].flags, REQUEST_ADD);
	with_status("ms foo 2 MR C7 q\r\nhi\r\n", OP_STATUS_EXISTS, "EX\r\n");
	assert_int_equal(rig.requests[0].flags, REQUEST_CAS);
	with_status("ms foo 2 MA C0\r\nhi\r\n", OP_STATUS_NOT_STORED, "NS\r\n");
	assert_true(rig.requests[0].op == OP_APPEND && rig.requests[0].flags == 0);
	with_status("md foo q k\r\n", OP_STATUS_NOT_FOUND, "NF kfoo\r\n");
	with_status("md foo q\r\n", OP_STATUS_OK, "");
	with_status("md foo C5 O1\r\n", OP_STATUS_EXISTS, "EX O1\r\n");
	assert_true(rig.requests[0].version == 5 && rig.requests[0].flags == REQUEST_CAS);
}

static void
meta_errors_are_said_even_when_quiet(void **state)
{
	char text[256] = "mg k";

	(void)state;
	answers("mg\r\nms\r\nmd\r\nmz k\r\nma\r\nme\r\n",
	    "ERROR\r\nERROR\r\nERROR\r\nERROR\r\nERROR\r\nCLIENT_ERROR bad command line format\r\n");
	answers("mg k b\r\n", "CLIENT_ERROR invalid flag\r\n"); /* there is no room for decoded keys over UDP */
	answers("mg k q q\r\n", "CLIENT_ERROR duplicate flag\r\n");
	answers("mg k q !\r\n", "CLIENT_ERROR invalid flag\r\n");
	answers("mg k q Tx\r\n", "CLIENT_ERROR bad token in command line format\r\n");
	answers("mg k O12345678901234567890123456789012\r\n", "CLIENT_ERROR opaque token too long\r\n");
	answers("ms k q\r\n", "CLIENT_ERROR bad command line format\r\n");
	answers("ms k\r\n", "CLIENT_ERROR bad command line format\r\n");
	answers("ms k 2 MX q\r\nhi\r\nmn\r\n", "CLIENT_ERROR invalid mode for ms M token\r\nMN\r\n");
	answers("ms k 2 M q\r\nhi\r\nmn\r\n", "CLIENT_ERROR incorrect length for M token\r\nMN\r\n");
	answers("ms k 2 Fx\r\nhi\r\n", "CLIENT_ERROR bad command line format\r\n");
	answers("md k q q\r\n", "CLIENT_ERROR invalid or duplicate flag\r\n");
	strcat(text, " k s t c v f Ox q u T0 F0 C0 MS J0 D0 I P");
	with_status(strcat(text, "\r\n"), OP_STATUS_NOT_FOUND, ""); /* 19 words are read, 20 are not */
	strcpy(text + strlen(text) - 2, " L\r\n");
	answers(text, "CLIENT_ERROR options flags are too long\r\n");
	text[1] = 'd';
	answers(text, "CLIENT_ERROR options flags too long\r\n");
}

static void
what_passes_the_limit_of_operations_is_named(void **state)
{
	char text[512] = "mn\nget";

	(void)state;
	for (int i = 0; i < FRAME_OPS_MAX; i++)
		strcat(text, " k");
	strcat(text, "\n");
	answers(text, "MN\r\nSERVER_ERROR too many operations in one datagram\r\n");
	text[0] = '\0';
	for (int i = 0; i < FRAME_OPS_MAX + 3; i++)
		strcat(text, "mn\n");
	parse(text);
	assert_int_equal(rig.frame.count, FRAME_OPS_MAX);
	assert_non_null(strstr(compose(SPARES), "MN\r\nSERVER_ERROR too many operations in one datagram\r\n"));
	assert_int_equal(rig.text_len, FRAME_OPS_MAX * 4 + 50);
	text[FRAME_OPS_MAX * 3] = '\0';
	parse(text);
	assert_null(strstr(compose(SPARES), "SERVER_ERROR"));
}

static void
a_value_of_1_mib_is_754_datagrams(void **state)
{
	static uint8_t value[VALUE_LEN_MAX];
	struct prng prng = { 7 };

	(void)state;
	for (size_t i = 0; i < sizeof value; i++)
		value[i] = (uint8_t)prng_next(&prng);
	parse("get big\r\n");
	rig.responses[0] = (struct response){ .value = view_of(value, sizeof value) };
	compose(SPARES);
	assert_int_equal(rig.spares.used, 754);
	assert_memory_equal(rig.text, "VALUE big 0 1048576\r\n", 21);
	assert_memory_equal(rig.text + 21, value, sizeof value);
	assert_string_equal(rig.text + 21 + sizeof value, "\r\nEND\r\n");
}

static void
a_reply_without_room_becomes_an_error_line_and_the_next_command_is_answered(void **state)
{
	static char value[3000];

	(void)state;
	memset(value, 'v', sizeof value - 1);
	parse("mn\r\nget a b\r\nmn\r\n");
	rig.responses[1] = hit("small");
	rig.responses[2] = hit(value);
	assert_string_equal(compose(3), "MN\r\nSERVER_ERROR out of memory writing response\r\nMN\r\n");
	assert_int_equal(rig.spares.used, 1);
	compose(4);
	assert_non_null(strstr(rig.text, "small\r\nVALUE b 5 2999\r\n"));
	assert_int_equal(rig.counters.drops[DROP_NO_SPARE], 0);
	assert_string_equal(compose(0), "");
	assert_int_equal(rig.counters.drops[DROP_NO_SPARE], 1);
}

static void
a_failed_key_ends_its_get(void **state)
{
	(void)state;
	parse("gat 1 a b c\r\nmn\r\n");
	rig.responses[0] = hit("1");
	rig.responses[1].status = OP_STATUS_BUSY;
	rig.responses[2].status = OP_STATUS_BUSY;
	assert_string_equal(compose(SPARES), "VALUE a 5 1\r\n1\r\nSERVER_ERROR busy\r\nMN\r\n");
}

/* Hands the frame on at `from`; the next worker parses the same payload again. */
static void
travel(uint16_t from)
{
	rig.datagram.deferred = &rig.slot;
	rig.frame.travels = true;
	rig.frame.travel_from = from;
	assert_string_equal(compose(SPARES), "");
	assert_int_equal(rig.slot.first_op, from);
	rig.frame.travels = false;
}

static void
a_travelling_reply_keeps_the_order_of_its_commands(void **state)
{
	(void)state;
	rig.slot = (struct deferred){ .reply = rig.reply, .reply_size = sizeof rig.reply };
	parse("mn\r\ngat 1 a b\r\ndelete c\r\n");
	rig.responses[1] = hit("one");
	rig.responses[2] = hit("two");
	travel(2);
	assert_memory_equal(rig.slot.reply, "MN\r\nVALUE a 5 3\r\none\r\n", 22);
	memset(&rig.responses[1], 0xee, sizeof rig.responses[1]); /* the other worker has no response */
	travel(3);
	assert_string_equal(compose(1), /* the last spare is good for a reply that came so far */
	    "MN\r\nVALUE a 5 3\r\none\r\nVALUE b 5 3\r\ntwo\r\nEND\r\nDELETED\r\n");
}

static void
a_travelling_reply_too_long_for_its_slot_fails_that_command_only(void **state)
{
	static char value[DEFERRED_REPLY_MAX];

	(void)state;
	memset(value, 'v', sizeof value - 1);
	rig.slot = (struct deferred){ .reply = rig.reply, .reply_size = sizeof rig.reply };
	parse("mn\r\ngat 1 a b\r\nmn\r\n");
	rig.responses[1] = hit(value);
	rig.responses[2] = hit("two");
	travel(2);
	assert_string_equal(compose(SPARES), "MN\r\nSERVER_ERROR out of memory writing response\r\nMN\r\n");
}

/* The last bytes of a slot are for error lines. */
static void
a_slot_keeps_room_for_error_lines(void **state)
{
	const uint16_t start = DEFERRED_REPLY_MAX - MEMCACHED_STREAM_RESERVE - 20;

	(void)state;
	rig.slot = (struct deferred){ .reply = rig.reply, .reply_size = sizeof rig.reply };
	parse("get a\r\nmn\r\nget a\r\nmn\r\n");
	rig.responses[0] = rig.responses[2] = hit("twenty bytes and more");
	rig.slot.reply_len = start;
	travel(3);
	assert_int_equal(rig.slot.reply_len, start + 3 * 45);
	assert_memory_equal(rig.slot.reply + start, "SERVER_ERROR out of memory writing response\r\nSERVER_ERROR", 57);
	rig.slot = (struct deferred){ .reply = rig.reply, .reply_size = sizeof rig.reply };
	rig.slot.reply_len = start - 30;
	travel(3);
	assert_memory_equal(rig.slot.reply + start - 30, "VALUE a 5 21\r\ntwenty bytes and more\r\nEND\r\nMN\r\nSERVER", 52);
}

static void
a_slot_that_is_full_ends_the_reply_and_is_counted(void **state)
{
	char text[1024] = "";
	uint32_t i = 0;

	(void)state;
	rig.slot = (struct deferred){ .reply = rig.reply, .reply_size = sizeof rig.reply };
	rig.slot.reply_len = DEFERRED_REPLY_MAX - 20;
	memset(rig.slot.reply, '.', sizeof rig.reply);
	for (; i < 10; i++)
		strcat(text, "shutdown\r\n");
	parse(text);
	rig.datagram.deferred = &rig.slot;
	rig.frame.travels = true;
	rig.frame.travel_from = 9;
	compose(SPARES);
	assert_int_equal(rig.slot.reply_len, DEFERRED_REPLY_MAX - 20);
	assert_int_equal(rig.counters.drops[DROP_NO_SPARE], 1);
	rig.frame.travels = false;
	compose(SPARES);
	assert_int_equal(rig.text_len, DEFERRED_REPLY_MAX - 20);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_udp_header_says_one_datagram_or_nothing_is_parsed),
		cmocka_unit_test(a_get_is_one_request_a_key_and_the_last_carries_the_end),
		cmocka_unit_test(more_keys_than_tokens_are_cut_again),
		cmocka_unit_test(a_key_of_251_bytes_is_an_error_and_250_are_not),
		cmocka_unit_test(a_set_carries_its_value_flags_and_expiry),
		cmocka_unit_test(storage_statuses_have_memcacheds_words),
		cmocka_unit_test(a_bad_data_chunk_takes_its_bytes_and_no_more),
		cmocka_unit_test(numbers_are_read_as_strtol_does),
		cmocka_unit_test(an_oversized_set_deletes_the_old_value_and_swallows_what_there_is),
		cmocka_unit_test(delete_has_its_old_quirks),
		cmocka_unit_test(the_small_commands_answer_as_memcached),
		cmocka_unit_test(stats_lines_are_made_of_name_and_value),
		cmocka_unit_test(meta_flags_return_in_the_order_asked),
		cmocka_unit_test(meta_sets_and_deletes_answer_in_two_letters),
		cmocka_unit_test(meta_errors_are_said_even_when_quiet),
		cmocka_unit_test(what_passes_the_limit_of_operations_is_named),
		cmocka_unit_test(a_value_of_1_mib_is_754_datagrams),
		cmocka_unit_test(a_reply_without_room_becomes_an_error_line_and_the_next_command_is_answered),
		cmocka_unit_test(a_failed_key_ends_its_get),
		cmocka_unit_test(a_travelling_reply_keeps_the_order_of_its_commands),
		cmocka_unit_test(a_travelling_reply_too_long_for_its_slot_fails_that_command_only),
		cmocka_unit_test(a_slot_keeps_room_for_error_lines),
		cmocka_unit_test(a_slot_that_is_full_ends_the_reply_and_is_counted),
	};

	return cmocka_run_group_tests_name("memcached", tests, NULL, NULL);
}
