/* The command line tool against a loopback node: output, exit codes, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "proto/native.h"
#include "tests/unit/loopback.h"
#include "wire/checksum.h"

static struct loopback node;
static char directory[] = "/tmp/slipring-cli-XXXXXX";
static char output[1 << 16]; /* of the last command, both streams, NUL-terminated */
static size_t output_len;

static int
start(void **state)
{
	(void)state;
	node = loopback_start(0, "--workers 2");
	return mkdtemp(directory) ? 0 : -1;
}

static int
stop(void **state)
{
	char command[64];

	(void)state;
	loopback_kill(&node, SIGTERM);
	snprintf(command, sizeof command, "rm -r %s", directory);
	return system(command);
}

static const char *
program(void)
{
	static char path[PATH_MAX];

	loopback_path(path, "slipring");
	return path;
}

/* Runs a shell line in which `slipring` is ours and talks to our node; returns its exit status. */
static int __attribute__((format(printf, 1, 2)))
shell(const char *format, ...)
{
	char script[4 * PATH_MAX], line[2 * PATH_MAX];
	va_list arguments;
	FILE *pipe;
	int status;

	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	snprintf(script, sizeof script, "export SLIPRING_HOST=127.0.0.1; slipring() { %s -p %u \"$@\"; }; cd %s; { %s; } 2>&1",
	    program(), node.port, directory, line);
	pipe = popen(script, "r");
	assert_non_null(pipe);
	output_len = fread(output, 1, sizeof output - 1, pipe);
	output[output_len] = '\0';
	status = pclose(pipe);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
values_go_in_and_come_out(void **state)
{
	(void)state;
	assert_int_equal(shell("slipring set k 'a value'"), 0);
	assert_string_equal(output, "");
	assert_int_equal(shell("slipring get k"), 0);
	assert_string_equal(output, "a value"); /* no newline when it is not a terminal */
	assert_int_equal(shell("slipring set k -- -5 && slipring get k"), 0);
	assert_string_equal(output, "-5");
	assert_int_equal(shell("slipring set k @@x && slipring get k"), 0);
	assert_string_equal(output, "@x");
	assert_int_equal(shell("head -c 1048576 /dev/urandom >big && slipring set big @big && slipring get big | cmp - big"), 0);
	assert_int_equal(shell("head -c 3000 big | slipring set part - && slipring get part >part && cmp -n 3000 part big"), 0);
	assert_int_equal(shell("slipring set empty '' && slipring get empty"), 0);
	assert_string_equal(output, "");
	assert_int_equal(shell("%s -H 127.0.0.1:%u get k", program(), node.port), 0);
	assert_string_equal(output, "@x");
	assert_int_equal(shell("slipring get missing"), 1);
	assert_string_equal(output, "slipring: no such key\n");
}

static void
options_may_stand_behind_arguments(void **state)
{
	const char *ttl;

	(void)state;
	assert_int_equal(shell("slipring set k v --ttl 1h --flags 7 && slipring meta k -j"), 0);
	assert_non_null(strstr(output, "\"flags\":7"));
	assert_non_null(ttl = strstr(output, "\"ttl_ms\":"));
	assert_in_range(strtoul(ttl + 9, NULL, 10), 3500000, 3600000);
}

static void
conditions_hold(void **state)
{
	(void)state;
	shell("slipring del c");
	assert_int_equal(shell("slipring set --replace c 1"), 1);
	assert_int_equal(shell("slipring set --add c 1"), 0);
	assert_int_equal(shell("slipring set --add c 2"), 1);
	assert_int_equal(shell("slipring set --cas 1 c 2"), 1);
	assert_int_equal(shell("v=$(slipring meta c | sed -n 's/^version *//p'); slipring set --cas $v c 3 && slipring get c"), 0);
	assert_string_equal(output, "3");
	assert_int_equal(shell("slipring del --cas 1 c"), 1);
	assert_int_equal(shell("slipring del c"), 0);
	assert_int_equal(shell("slipring del c"), 1);
	assert_int_equal(shell("slipring set --add --replace c 1"), 2);
}

static void
numbers_count(void **state)
{
	(void)state;
	assert_int_equal(shell("slipring del n; slipring incr n"), 1);
	assert_int_equal(shell("slipring incr --create 5 --ttl 1m n && slipring incr n 37 && slipring decr n 2"), 0);
	assert_string_equal(output, "5\n42\n40\n");
	assert_int_equal(shell("slipring set n text; slipring incr n"), 4);
	assert_non_null(strstr(output, "not an unsigned decimal number"));
	assert_int_equal(shell("slipring incr n -- -1"), 2);
	assert_int_equal(shell("slipring incr n 18446744073709551616"), 2);
	assert_int_equal(shell("slipring incr --ttl 1m n"), 2);
}

static void
many_keys_are_framed_by_length(void **state)
{
	(void)state;
	assert_int_equal(shell("slipring set m1 one; printf 'a\\nb' | slipring set m2 -; slipring mget m1 m2"), 0);
	assert_string_equal(output, "m1 3\none\nm2 3\na\nb\n");
	assert_int_equal(shell("slipring mget m1 nope"), 1);
	assert_non_null(strstr(output, "slipring: nope: no such key\n"));
	assert_int_equal(shell("head -c 900000 /dev/zero >z; slipring set z1 @z; slipring set z2 @z; slipring mget z1 z2 | wc -c"), 0);
	assert_string_equal(output, "1800022\n");
}

static void
any_octets_go_as_hexadecimal(void **state)
{
	(void)state;
	assert_int_equal(shell("printf '\\000\\377' | slipring set --hex 00ff0a - && slipring get -x 00FF0A"), 0);
	assert_string_equal(output, "00ff");
	assert_int_equal(shell("slipring get -j -x 00ff0a"), 0);
	assert_non_null(strstr(output, "\"key_hex\":\"00ff0a\""));
	assert_non_null(strstr(output, "\"value_hex\":\"00ff\""));
	assert_int_equal(shell("slipring get --hex abc"), 2);
	assert_int_equal(shell("slipring get --hex zz"), 2);
}

static void
the_node_is_described(void **state)
{
	(void)state;
	assert_int_equal(shell("slipring stats | grep -c '^cmd_get '"), 0);
	assert_int_equal(shell("slipring stats nonsense"), 1);
	assert_int_equal(shell("slipring ping 2 -j"), 0);
	assert_non_null(strstr(output, "\"worker\":1"));
	assert_int_equal(shell("slipring workers | wc -l"), 0);
	assert_string_equal(output, "3\n"); /* a heading and two workers */
	assert_int_equal(shell("slipring sockets | grep -c native"), 0);
	assert_string_equal(output, "2\n");
}

static void
bad_input_is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *line, *reason;
	} cases[] = {
		{ "slipring", "no command" },
		{ "slipring nonsense", "nonsense: no such command" },
		{ "slipring get", "get takes KEY" },
		{ "slipring get a b", "and no more" },
		{ "slipring get ''", "the key has 0 bytes" },
		{ "slipring get $(printf %0251d 1)", "the key has 251 bytes; keys have 1 to 250" },
		{ "slipring set k v --ttl 5x", "--ttl 5x: not a time" },
		{ "slipring set k v --ttl 0", "--ttl 0: not a time" },
		{ "slipring set k v --ttl 36501d", "not a time" },
		{ "slipring set k v --flags 4294967296", "not a whole number from 0 to 4294967295" },
		{ "slipring set k v --cas 0", "not a whole number from 1" },
		{ "slipring set k @missing", "missing: No such file" },
		{ "head -c 1048577 /dev/zero | slipring set k -", "over 1048576 bytes (1 MiB)" },
		{ "slipring get k --ttl 5", "not an option of this command" },
		{ "slipring get k --nonsense", "no such option" },
		{ "slipring get k --host", "needs an argument" },
		{ "slipring get k --timeout 2h", "not a time from 1ms to 60s" },
		{ "slipring -H n1:x get k", "n1:x: no port" },
		{ "slipring get k --port 70000", "not a whole number from 1 to 65535" },
		{ "slipring get k --key-file missing", "missing: No such file" },
		{ "echo 12 >key; slipring get k --key-file key", "not 64 hexadecimal digits" },
		{ "unset SLIPRING_HOST; slipring get k", "scripts/lab exec slipring get" },
		{ "slipring bench --quick --duration 2s", "exclude each other" },
		{ "slipring bench --pcap /nonexistent/x", "No such file" },
		{ "slipring bench --pcap x --value-size 2000", "does not fit a frame" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int status = shell("%s", cases[i].line);

		if (status != 2 || !strstr(output, cases[i].reason))
			fail_msg("%s: exit %d, \"%s\", not 2 and \"%s\"", cases[i].line, status, output, cases[i].reason);
	}
}

static void
nobody_there_is_exit_3(void **state)
{
	(void)state;
	assert_int_equal(shell("slipring -p 1 -t 100ms get k"), 3);
	assert_string_equal(output, "slipring: 127.0.0.1:1: Connection refused\n");
	assert_int_equal(shell("slipring -H no-such-host.invalid get k"), 3);
	assert_int_equal(shell("slipring -j -p 1 -t 100ms get k"), 3);
	assert_non_null(strstr(output, "\"status\":\"unreachable\""));
	assert_non_null(strstr(output, "\"exit\":3"));
	/* frames signed with a key that is not the node's are dropped */
	assert_int_equal(shell("printf %%064d 7 >key; slipring -t 100ms --key-file key set k v"), 3);
	assert_non_null(strstr(output, "no answer from 127.0.0.1"));
}

static void
an_answer_lost_for_good_is_exit_5(void **state)
{
	struct loopback deaf = loopback_start(0, "--loss 20 --seed 3");
	int unknown = 0, stored = 0;

	(void)state;
	/* Datagrams lost each way and little time: of 200 probes some 60 pass, and of 15 writes behind them no answer comes. */
	for (int i = 0; i < 200 && (unknown == 0 || stored == 0); i++) {
		int status = shell("slipring -p %u -t 60ms set k%d v", deaf.port, i);

		assert_true(status == 0 || status == 3 || status == 5);
		stored += status == 0;
		unknown += status == 5;
		if (status == 5)
			assert_non_null(strstr(output, "may or may not have happened"));
	}
	assert_true(unknown > 0 && stored > 0);
	loopback_kill(&deaf, SIGTERM);
}

static void
help_explains_every_command(void **state)
{
	static const char *const names[] = { "get", "set", "del", "incr", "decr", "touch", "meta", "mget", "import",
		"export", "top", "stats", "ping", "workers", "sockets", "bench", "completion", "help" };

	(void)state;
	assert_int_equal(shell("slipring --help"), 0);
	assert_non_null(strstr(output, "default $SLIPRING_HOST; n1 inside the lab")); /* and nowhere else */
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char listed[32];

		snprintf(listed, sizeof listed, "\n  %s ", names[i]);
		shell("slipring --help");
		assert_non_null(strstr(output, listed));
		assert_int_equal(shell("slipring %s --help", names[i]), 0);
		assert_non_null(strstr(output, "usage: slipring"));
		assert_int_equal(shell("slipring help %s", names[i]), 0);
	}
}

static void
bench_measures_three_ways(void **state)
{
	(void)state;
	assert_int_equal(shell("slipring bench -j --duration 200ms --keys 100 --rate 500 --batch 16"), 0);
	assert_non_null(strstr(output, "\"name\":\"one at a time\""));
	assert_non_null(strstr(output, "\"name\":\"16 in flight\""));
	assert_non_null(strstr(output, "\"name\":\"open loop 500/s\""));
	assert_non_null(strstr(output, "\"p99.99\":"));
	assert_null(strstr(output, "\"failures\":1"));
	assert_int_equal(shell("slipring bench --duration 100ms --keys 100 --value-size 5000 --spin"), 0);
	assert_non_null(strstr(output, "64 in flight"));
	assert_non_null(strstr(output, "p99.99"));
}

/* A frame of the pcap: right lengths and checksums, and a payload that the node's parser takes. */
static const uint8_t *
check_frame(const uint8_t *record, const uint8_t *end, unsigned *operations)
{
	const uint8_t *frame = record + 16;
	uint32_t len = load_le32(record + 8);
	const struct wire_ipv4 *ip = (const struct wire_ipv4 *)(frame + ETHERNET_HEADER_LEN);
	const struct wire_udp *udp = (const struct wire_udp *)(ip + 1);
	uint16_t udp_len = be16(udp->len);
	uint8_t bytes[UDP_PAYLOAD_MAX];
	struct datagram datagram = { .payload = bytes, .payload_len = (uint16_t)(udp_len - UDP_HEADER_LEN) };
	struct request requests[FRAME_OPS_MAX];
	struct now now = { 1, 1 };
	struct frame parsed;

	assert_true(frame + len <= end);
	assert_int_equal(be16(ip->total_len), len - ETHERNET_HEADER_LEN);
	assert_int_equal(udp_len, len - ETHERNET_HEADER_LEN - IPV4_HEADER_LEN);
	assert_int_equal(checksum_finish(checksum_add(0, ip, sizeof *ip)), 0);
	assert_int_equal(checksum_finish(checksum_add(checksum_pseudo_ipv4(ip, udp_len), udp, udp_len)), 0);
	memcpy(bytes, udp + 1, datagram.payload_len);
	assert_int_equal(native_parse(&datagram, &now, &parsed, requests, FRAME_OPS_MAX), NATIVE_OK);
	for (uint32_t i = 0; i < parsed.count; i++)
		assert_true(requests[i].op == OP_SET || (requests[i].op == OP_GET && *operations + i >= 100));
	*operations += parsed.count;
	return frame + len;
}

static void
the_pcap_holds_frames_that_a_node_takes(void **state)
{
	static uint8_t file[1 << 20];
	const uint8_t *at = file + 24, *end;
	unsigned frames = 0, operations = 0;
	char path[64];
	FILE *in;

	(void)state;
	assert_int_equal(shell("slipring bench --pcap frames.pcap --frames 200 --keys 100 --batch 7 --value-size 99"), 0);
	snprintf(path, sizeof path, "%s/frames.pcap", directory);
	in = fopen(path, "rb");
	assert_non_null(in);
	end = file + fread(file, 1, sizeof file, in);
	fclose(in);
	assert_int_equal(load_le32(file), 0xa1b23c4d);
	for (; at < end; frames++)
		at = check_frame(at, end, &operations);
	assert_int_equal(frames, 200);
	assert_true(operations > 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_go_in_and_come_out),
		cmocka_unit_test(options_may_stand_behind_arguments),
		cmocka_unit_test(conditions_hold),
		cmocka_unit_test(numbers_count),
		cmocka_unit_test(many_keys_are_framed_by_length),
		cmocka_unit_test(any_octets_go_as_hexadecimal),
		cmocka_unit_test(the_node_is_described),
		cmocka_unit_test(bad_input_is_refused_with_a_reason),
		cmocka_unit_test(nobody_there_is_exit_3),
		cmocka_unit_test(an_answer_lost_for_good_is_exit_5),
		cmocka_unit_test(help_explains_every_command),
		cmocka_unit_test(bench_measures_three_ways),
		cmocka_unit_test(the_pcap_holds_frames_that_a_node_takes),
	};

	return cmocka_run_group_tests_name("cli", tests, start, stop);
}
