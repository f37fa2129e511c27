/* RESP where Redis is no oracle: portions, what connections keep, rings and MOVED, tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "proto/resp.h"
#include "ring/slot.h"
#include "tests/support/resp_end.h"

static struct resp_node *node;

static int
setup(void **state)
{
	(void)state;
	resp_end_start();
	node = resp_node_create(NULL);
	return 0;
}

/* Blocks that were not given back are found here. */
static int
teardown(void **state)
{
	(void)state;
	resp_node_destroy(node);
	resp_end_stop();
	return 0;
}

static void
expect_bytes_of(struct resp_conn *conn, const char *sent, uint32_t sent_len, const char *expected, uint32_t expected_len)
{
	uint32_t len;
	uint8_t *reply;

	resp_conn_feed(node, conn, sent, sent_len);
	reply = resp_conn_take(node, conn, &len);
	if (len != expected_len || memcmp(reply, expected, len) != 0)
		fail_msg("to %.200s\nexpected %.*s\nanswered %.*s", sent, (int)expected_len, expected, (int)len, reply);
	free(reply);
}

static void
expect(const char *sent, const char *expected)
{
	expect_bytes_of(&node->conns[0], sent, (uint32_t)strlen(sent), expected, (uint32_t)strlen(expected));
}

/* --- tables and pieces -------------------------------------------------------------- */

static void
test_commands_ascend(void **state)
{
	(void)state;
	for (uint32_t i = RESP_NONE + 2; i < RESP_VERB_COUNT; i++)
		assert_true(strcmp(resp_command(i - 1)->name, resp_command(i)->name) < 0);
}

static void
test_every_command_is_found(void **state)
{
	const struct resp_command *container;

	(void)state;
	for (uint32_t i = RESP_NONE + 1; i < RESP_VERB_COUNT; i++) {
		const struct resp_command *command = resp_command(i);
		const char *bar = strchr(command->name, '|');
		struct view args[2] = { view_text(command->name), view_text(bar ? bar + 1 : "") };

		if (bar)
			args[0].len = (uint32_t)(bar - command->name);
		assert_ptr_equal(resp_command_find(args, bar ? 2 : 1, &container), command);
	}
}

static void
expect_sha1(const char *text, const char *expected)
{
	uint8_t digest[RESP_SHA1_LEN];
	char hex[2 * RESP_SHA1_LEN + 1];

	resp_sha1(view_text(text), digest);
	for (uint32_t i = 0; i < RESP_SHA1_LEN; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	assert_string_equal(hex, expected);
}

/* RFC 3174, 7.3, and lengths around a block's end. */
static void
test_sha1(void **state)
{
	char text[121];

	(void)state;
	expect_sha1("abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
	expect_sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
	expect_sha1("", "da39a3ee5e6b4b0d3255bfef95601890afd80709");
	memset(text, 'a', sizeof text);
	text[120] = 0;
	expect_sha1(text, "f34c1488385346a55709ba056ddd08280dd4c6d6");
	text[64] = 0;
	expect_sha1(text, "0098ba824b5c16427bd7a1122a5a442a25ec644d");
	text[55] = 0;
	expect_sha1(text, "c1c8bbdc22796e28c0e15163d20899b65621d65a");
}

static void
test_numbers(void **state)
{
	static const char *const good[] = { "0", "1", "-1", "9223372036854775807", "-9223372036854775808" };
	static const char *const bad[] = { "", "-", "-0", "00", "01", "+1", " 1", "1 ", "9223372036854775808",
		"-9223372036854775809", "99999999999999999999", "1.0", "0x1" };
	int64_t number;

	(void)state;
	for (uint32_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		char text[24];

		assert_true(resp_number(view_text(good[i]), &number));
		snprintf(text, sizeof text, "%lld", (long long)number);
		assert_string_equal(text, good[i]);
	}
	for (uint32_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(resp_number(view_text(bad[i]), &number));
}

/* A pattern of many stars takes time in proportion to the lengths' product, and not exponential. */
static void
test_glob_of_many_stars(void **state)
{
	char pattern[201], text[2001];

	(void)state;
	for (uint32_t i = 0; i < 200; i++)
		pattern[i] = i % 2 ? 'a' : '*';
	pattern[200] = 0;
	memset(text, 'a', 2000);
	text[2000] = 0;
	assert_true(resp_glob(view_text(pattern), view_text(text), false));
	text[1999] = 'b';
	assert_false(resp_glob(view_text(pattern), view_text(text), false));
}

/* --- a connection ------------------------------------------------------------------- */

static void
test_every_portion_gives_the_same(void **state)
{
	static const char sent[] = "*5\r\n$3\r\nSET\r\n$1\r\na\r\n$3\r\nxyz\r\n$2\r\nPX\r\n$5\r\n10000\r\n*2\r\n$3\r\nget\r\n$1\r\na\r\n"
	    "MGET a 'b' \"c\"\r\n*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*1\r\n$4\r\nEXEC\r\n*1\r\n$4\r\nQUIT\r\n";
	static const char expected[] = "+OK\r\n$3\r\nxyz\r\n*3\r\n$3\r\nxyz\r\n$-1\r\n$-1\r\n+OK\r\n+QUEUED\r\n*1\r\n:1\r\n+OK\r\n";

	(void)state;
	for (uint32_t cut = 1; cut < sizeof sent - 1; cut++) {
		struct resp_conn *conn = &node->conns[0];
		uint32_t len;
		uint8_t *reply;

		resp_conn_reset(node, conn);
		expect("FLUSHALL\r\n", "+OK\r\n");
		resp_conn_feed(node, conn, sent, cut);
		resp_conn_feed(node, conn, sent + cut, (uint32_t)sizeof sent - 1 - cut);
		assert_true(conn->closed);
		reply = resp_conn_take(node, conn, &len);
		assert_string_equal((char *)reply, expected);
		free(reply);
	}
}

/* A command that comes a byte at a time is not read from its beginning each time. */
static void
test_many_arguments_a_byte_at_a_time(void **state)
{
	static const char key[] = "$1\r\na\r\n";
	struct resp_conn *conn = &node->conns[0];
	uint32_t len;
	uint8_t *reply;

	(void)state;
	resp_conn_feed(node, conn, "*20001\r\n$6\r\nEXISTS\r\n", 20);
	for (uint32_t i = 0; i < 20000; i++)
		for (uint32_t k = 0; k < 7; k++)
			resp_conn_feed(node, conn, &key[k], 1);
	reply = resp_conn_take(node, conn, &len);
	assert_string_equal((char *)reply, ":0\r\n");
	free(reply);
}

static void
test_blocks_come_back_in_the_middle_of_anything(void **state)
{
	static const char load[] = "SCRIPT LOAD \"if redis.call('get',KEYS[1]) == ARGV[1] then return redis.call('del',KEYS[1]) end "
	    "return 0\"\r\n";
	const char *const sent[] = { "MULTI\r\nSET a 1\r\n", "WATCH a b c\r\n", "CLIENT SETNAME me\r\n", "SET a \"b c\"\r\n",
		"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5000\r\nabc", load,
		"*2\r\n$4\r\nMGET\r\n$3\r\nab" };

	(void)state;
	for (uint32_t i = 0; i < sizeof sent / sizeof sent[0]; i++) {
		resp_conn_feed(node, &node->conns[0], sent[i], (uint32_t)strlen(sent[i]));
		resp_conn_reset(node, &node->conns[0]);
		assert_int_equal(node->blocks.used, 0);
	}
}

static void
test_without_blocks_commands_are_refused(void **state)
{
	static const char sent[] = "CLIENT SETNAME me\r\nKEYS *\r\nMULTI\r\nPING\r\nEXEC\r\nPING\r\n";
	static const char expected[] = "-OOM no memory left for connections\r\n-OOM no memory left for connections\r\n+OK\r\n"
	    "-OOM no memory left for connections\r\n-EXECABORT Transaction discarded because of previous errors.\r\n+PONG\r\n";
	static const char before[5000] = "room for replies is there, in the block that this stands in";
	struct resp_conn *conn = &node->conns[0];
	uint32_t len;
	uint8_t *reply;

	(void)state;
	assert_true(outq_put(&node->blocks, &conn->out, before, sizeof before));
	for (uint32_t size = BLOCK_MAX; size >= 1024; size /= 2)
		while (blocks_take(&node->blocks, size))
			;
	resp_conn_feed(node, conn, sent, sizeof sent - 1);
	reply = resp_conn_take(node, conn, &len);
	assert_int_equal(len, sizeof before + sizeof expected - 1);
	assert_memory_equal(reply + sizeof before, expected, sizeof expected - 1);
	free(reply);
	/* Whoever took all blocks never gives them back: the region as a whole is. */
	blocks_deinit(&node->blocks);
	assert_true(blocks_init(&node->blocks, RESP_END_BLOCKS));
}

static void
test_names_and_info(void **state)
{
	struct resp_conn *conn = &node->conns[0];
	uint32_t len;
	uint8_t *reply;

	(void)state;
	expect("CLIENT SETNAME me\r\nCLIENT SETINFO lib-name py\r\nCLIENT SETINFO LIB-VER 1.2\r\nCLIENT SETINFO x y\r\n",
	    "+OK\r\n+OK\r\n+OK\r\n-ERR Unrecognized option 'x'\r\n");
	resp_conn_feed(node, conn, "CLIENT INFO\r\n", 13);
	reply = resp_conn_take(node, conn, &len);
	assert_non_null(strstr((char *)reply, "id=1 addr=127.0.0.1:0 laddr=127.0.0.1:0 name=me age=0 "));
	assert_non_null(strstr((char *)reply, " resp=2 lib-name=py lib-ver=1.2\n"));
	free(reply);
	expect("CLIENT ID\r\n", ":1\r\n");
	expect("CLIENT KILL ID 1\r\nPING\r\n", ":1\r\n");
	assert_true(conn->closed);
}

/* Two connections: what one queues the other does not see, and a name is its own. */
static void
test_connections_are_apart(void **state)
{
	(void)state;
	expect("MULTI\r\nSET a 1\r\n", "+OK\r\n+QUEUED\r\n");
	expect_bytes_of(&node->conns[1], "GET a\r\nCLIENT SETNAME b\r\n", 25, "$-1\r\n+OK\r\n", 10);
	expect("EXEC\r\nCLIENT GETNAME\r\n", "*1\r\n+OK\r\n$-1\r\n");
	expect_bytes_of(&node->conns[1], "GET a\r\n", 7, "$1\r\n1\r\n", 7);
}

/* --- a ring ------------------------------------------------------------------------- */

static struct ring_snapshot ring;
static const struct stream_node ring_nodes[3] = {
	{ "n1", { [10] = 0xff, 0xff, 10, 0, 0, 1 }, 6379 },
	{ "n2", { [10] = 0xff, 0xff, 10, 0, 0, 2 }, 6380 },
	{ "n3", { 0xfd, [15] = 3 }, 6379 },
};

/* Three members with one owner a slot; this node is the first. */
static void
give_ring(bool redirect)
{
	void *scratch = aligned_alloc(64, (ring_scratch_size() + 63) / 64 * 64);

	memset(&ring, 0, sizeof ring);
	ring.topology.epoch = 7;
	ring.topology.replication = 1;
	for (uint16_t i = 0; i < 3; i++)
		assert_true(ring_topology_add(&ring.topology, &(struct ring_member){ .id = i + 1, .index = i, .weight = 64,
		    .state = RING_ALIVE }));
	ring_build(&ring.topology, scratch, &ring.table);
	free(scratch);
	node->facts.ring = &ring;
	node->facts.nodes = ring_nodes;
	node->facts.self = 0;
	node->facts.redirect = redirect;
}

/* A key whose slot's owner is the member at a position. */
static void
key_of(uint16_t position, char key[16])
{
	for (uint32_t i = 0;; i++) {
		snprintf(key, 16, "k%u", i);
		if (ring_owner(&ring.table, slot_of_key(view_text(key)), 0) == position)
			return;
	}
}

static void
test_another_nodes_keys_are_moved(void **state)
{
	char own[16], second[16], third[16], sent[256], expected[256];

	(void)state;
	give_ring(true);
	key_of(0, own);
	key_of(1, second);
	key_of(2, third);
	snprintf(sent, sizeof sent, "SET %s 1\r\nGET %s\r\nGET %s\r\nMGET %s %s\r\n", own, second, third, second, own);
	snprintf(expected, sizeof expected, "+OK\r\n-MOVED %u 10.0.0.2:6380\r\n-MOVED %u fd00:0:0:0:0:0:0:3:6379\r\n"
	    "-MOVED %u 10.0.0.2:6380\r\n", slot_of_key(view_text(second)), slot_of_key(view_text(third)),
	    slot_of_key(view_text(second)));
	expect(sent, expected);
	snprintf(sent, sizeof sent, "MULTI\r\nGET %s\r\nEXEC\r\nOBJECT ENCODING %s\r\n", second, second);
	snprintf(expected, sizeof expected, "+OK\r\n-MOVED %u 10.0.0.2:6380\r\n-EXECABORT Transaction discarded because of "
	    "previous errors.\r\n-MOVED %u 10.0.0.2:6380\r\n", slot_of_key(view_text(second)), slot_of_key(view_text(second)));
	expect(sent, expected);
}

/* The next command only, and not when it is none. */
static void
test_asking(void **state)
{
	char second[16], sent[128], expected[128];

	(void)state;
	give_ring(true);
	key_of(1, second);
	snprintf(sent, sizeof sent, "ASKING\r\nTYPE %s\r\nTYPE %s\r\n", second, second);
	snprintf(expected, sizeof expected, "+OK\r\n+none\r\n-MOVED %u 10.0.0.2:6380\r\n", slot_of_key(view_text(second)));
	expect(sent, expected);
	node->facts.redirect = false;
	snprintf(sent, sizeof sent, "TYPE %s\r\n", second);
	expect(sent, "+none\r\n");
}

/* Counts slots of CLUSTER SLOTS' reply, and that each is its owner's. */
static void
test_cluster_slots(void **state)
{
	struct resp_conn *conn = &node->conns[0];
	uint32_t len, slots = 0, from, to, ports[2] = { 0, 0 };
	uint8_t *reply;

	(void)state;
	give_ring(false);
	resp_conn_feed(node, conn, "CLUSTER SLOTS\r\n", 15);
	reply = resp_conn_take(node, conn, &len);
	for (const char *at = (char *)reply; (at = strstr(at, "*3\r\n:")); at += 5) {
		const char *port = strstr(at, "*4\r\n");

		assert_int_equal(sscanf(at, "*3\r\n:%u\r\n:%u", &from, &to), 2);
		assert_int_equal(from, slots);
		slots = to + 1;
		ports[strstr(port, ":6380\r\n") == strchr(port, ':')]++;
	}
	free(reply);
	assert_int_equal(slots, SLOT_COUNT);
	assert_true(ports[0] > 0 && ports[1] > 0);
	resp_conn_feed(node, conn, "CLUSTER INFO\r\n", 14);
	reply = resp_conn_take(node, conn, &len);
	assert_non_null(strstr((char *)reply, "cluster_enabled:1\r\ncluster_state:ok\r\ncluster_slots_assigned:16384\r\n"));
	assert_non_null(strstr((char *)reply, "cluster_known_nodes:3\r\ncluster_size:3\r\ncluster_current_epoch:7\r\n"));
	free(reply);
}

static void
test_keys_of_a_slot(void **state)
{
	(void)state;
	expect("MSET {t}a 1 {t}b 2 {u}c 3\r\nCLUSTER KEYSLOT {t}a\r\n", "+OK\r\n:15891\r\n");
	expect("CLUSTER COUNTKEYSINSLOT 15891\r\nCLUSTER COUNTKEYSINSLOT 1\r\n", ":2\r\n:0\r\n");
	expect("CLUSTER GETKEYSINSLOT 15891 1\r\n", "*1\r\n$4\r\n{t}a\r\n");
	expect("CLUSTER GETKEYSINSLOT 15891 0\r\nCLUSTER COUNTKEYSINSLOT 16384\r\n", "*0\r\n-ERR Invalid or out of range slot\r\n");
}

/* SHA-1s of libraries' texts are asked for without the text. */
static void
test_known_scripts(void **state)
{
	(void)state;
	expect("SET l me\r\nEVALSHA 647c65a442733a1aa440f99908d249d13b4d6c4a 1 l other\r\n", "+OK\r\n:0\r\n");
	expect("EVALSHA 647C65A442733A1AA440F99908D249D13B4D6C4A 1 l me\r\nEXISTS l\r\n", ":1\r\n:0\r\n");
	expect("EVALSHA 96da70f7716f27d278a5218544df37fd8b0a5e4c 2 {l}1 {l}2 me 1000\r\nMGET {l}1 {l}2\r\n",
	    ":2\r\n*2\r\n$2\r\nme\r\n$2\r\nme\r\n");
}

/* An expired key is none, and a flush counts at once. */
static void
test_time(void **state)
{
	(void)state;
	expect("SET a 1 PX 100\r\nPTTL a\r\nTTL a\r\n", "+OK\r\n:100\r\n:0\r\n");
	node->now.wall_ms += 100;
	expect("GET a\r\nTTL a\r\nSET a 2 NX\r\n", "$-1\r\n:-2\r\n+OK\r\n");
	expect("MSET b 1 c 2\r\nDBSIZE\r\nFLUSHALL\r\nDBSIZE\r\nSET d 1\r\nDBSIZE\r\nSET a 1\r\nDBSIZE\r\n",
	    "+OK\r\n:3\r\n+OK\r\n:0\r\n+OK\r\n:1\r\n+OK\r\n:2\r\n");
	for (uint32_t i = 0; i < 4000; i++)
		serve_tick(node->serve, &node->now, 64);
	expect("DBSIZE\r\n", ":2\r\n");
}

#define ONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands_ascend), cmocka_unit_test(test_every_command_is_found), cmocka_unit_test(test_sha1),
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_glob_of_many_stars), ONE(test_every_portion_gives_the_same),
		ONE(test_many_arguments_a_byte_at_a_time), ONE(test_blocks_come_back_in_the_middle_of_anything),
		ONE(test_without_blocks_commands_are_refused), ONE(test_names_and_info), ONE(test_connections_are_apart),
		ONE(test_another_nodes_keys_are_moved), ONE(test_asking), ONE(test_cluster_slots), ONE(test_keys_of_a_slot),
		ONE(test_known_scripts), ONE(test_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
