/*
 * Unit tests of the daemon's configuration: value texts, the YAML reader's
 * errors with line and column, overriding, rules between keys, printing back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/slipringd/config.h"
#include "app/slipringd/profile.h"

#define GIB (1ull << 30)

static struct config config;
static struct problems problems;

/* Reads YAML text over defaults, as file "f", without the rules between keys. */
static void
read_text(const char *yaml)
{
	struct schema schema = config_schema(8 * GIB);

	memset(&config, 0, sizeof config);
	memset(&problems, 0, sizeof problems);
	snprintf(config.file, sizeof config.file, "f");
	schema_defaults(&schema, &config);
	schema_read_yaml(&schema, "f", yaml, strlen(yaml), &config, config.origins, &problems);
}

/* The same, with the rules. */
static void
verify_text(const char *yaml)
{
	struct schema schema = config_schema(8 * GIB);

	read_text(yaml);
	config_verify(&schema, &config, &problems);
}

static void
assert_problem(uint32_t index, const char *expected)
{
	if (index >= problems.count)
		fail_msg("no problem %u; expected: %s", index, expected);
	if (strncmp(problems.list[index].text, expected, strlen(expected)) != 0)
		fail_msg("problem %u is\n  %s\nexpected\n  %s", index, problems.list[index].text, expected);
}

static void
assert_no_problem(void)
{
	if (problems.count)
		fail_msg("unexpected: %s", problems.list[0].text);
}

static void
expect_yaml_problem(const char *yaml, const char *expected)
{
	read_text(yaml);
	assert_problem(0, expected);
	assert_int_equal(problems.count, 1);
}

static void
sizes_take_units_of_1024(void **state)
{
	static const struct { const char *text; uint64_t bytes; } good[] = {
		{ "0", 0 }, { "4096", 4096 }, { "1B", 1 }, { "64K", 65536 }, { "64M", 64ull << 20 },
		{ "2g", 2 * GIB }, { "2GB", 2 * GIB }, { "2GiB", 2 * GIB }, { "1T", 1024 * GIB },
	};
	static const char *const bad[] = { "", "M", "64Q", "-1", "1.5G", "64 M", "64MM", "0x10", "4iB",
		"18446744073709551616", "99999999T", "1e6" };
	struct why why;
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_true(value_size_parse(good[i].text, &bytes, &why));
		assert_int_equal(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (value_size_parse(bad[i], &bytes, &why))
			fail_msg("'%s' was taken for a size", bad[i]);
}

static void
durations_need_a_unit(void **state)
{
	static const struct { const char *text; uint64_t ns; } good[] = {
		{ "1ns", 1 }, { "10us", 10000 }, { "10ms", 10000000 }, { "5s", 5000000000 },
		{ "2m", 120000000000 }, { "1h", 3600000000000 },
	};
	static const char *const bad[] = { "", "10", "ms", "10 ms", "1.5s", "-1s", "5d", "99999999999h" };
	struct why why;
	uint64_t ns;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_true(value_duration_parse(good[i].text, &ns, &why));
		assert_int_equal(ns, good[i].ns);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (value_duration_parse(bad[i], &ns, &why))
			fail_msg("'%s' was taken for a duration", bad[i]);
}

static void
printed_sizes_and_durations_are_read_back(void **state)
{
	static const uint64_t values[] = { 0, 1, 999, 1024, 1536, 65536, 1000000, 60000000000ull, 3 * GIB, 1ull << 40,
		UINT64_MAX };
	char text[32];
	struct why why;
	uint64_t back;

	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		value_size_print(values[i], text, sizeof text);
		assert_true(value_size_parse(text, &back, &why));
		assert_int_equal(back, values[i]);
		value_duration_print(values[i], text, sizeof text);
		assert_true(value_duration_parse(text, &back, &why));
		assert_int_equal(back, values[i]);
	}
	value_size_print(64ull << 20, text, sizeof text);
	assert_string_equal(text, "64M");
	value_duration_print(10000000, text, sizeof text);
	assert_string_equal(text, "10ms");
}

static void
node_addresses_are_hosts_in_their_network(void **state)
{
	static const struct { const char *text, *why; } bad[] = {
		{ "10.9.0.1", "lacks its prefix length" },
		{ "10.9.0/24", "is not an IPv4 address" },
		{ "10.9.0.1/33", "prefix length 33" },
		{ "10.9.0.1/0", "prefix length 0" },
		{ "10.9.0.1/", "is not a whole number" },
		{ "10.9.0.0/24", "is the network address" },
		{ "10.9.0.255/24", "is the broadcast address" },
		{ "127.0.0.1/8", "no address a node can have" },
		{ "224.0.0.1/24", "no address a node can have" },
		{ "0.0.0.0/8", "no address a node can have" },
		{ "fd00::1/64", "is not an IPv4 address" },
		{ "10.9.0.1.2.3.4.5.6.7.8/24", "is not an IP address" },
	};
	struct ipv4_prefix prefix;
	struct why why;
	char text[32];

	(void)state;
	assert_true(value_ipv4_prefix_parse("10.9.0.1/24", &prefix, &why));
	assert_memory_equal(prefix.address, ((uint8_t[]){ 10, 9, 0, 1 }), 4);
	assert_int_equal(prefix.len, 24);
	value_ipv4_prefix_print(&prefix, text, sizeof text);
	assert_string_equal(text, "10.9.0.1/24");
	assert_true(value_ipv4_prefix_parse("10.9.0.0/31", &prefix, &why)); /* RFC 3021 */
	assert_true(value_ipv4_prefix_parse("10.9.0.7/32", &prefix, &why));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_false(value_ipv4_prefix_parse(bad[i].text, &prefix, &why));
		assert_non_null(strstr(why.text, bad[i].why));
	}
}

static void
networks_have_no_bits_beyond_their_length(void **state)
{
	static const struct { const char *text, *back; } good[] = {
		{ "10.0.0.0/8", "10.0.0.0/8" }, { "10.9.0.7", "10.9.0.7/32" }, { "0.0.0.0/0", "0.0.0.0/0" },
		{ "fd00::/8", "fd00::/8" }, { "::1", "::1/128" },
	};
	struct prefix prefix;
	struct why why;
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_true(value_prefix_parse(good[i].text, &prefix, &why));
		value_prefix_print(&prefix, text, sizeof text);
		assert_string_equal(text, good[i].back);
	}
	assert_false(value_prefix_parse("10.9.0.1/24", &prefix, &why));
	assert_non_null(strstr(why.text, "the network is 10.9.0.0/24"));
	assert_false(value_prefix_parse("10.9.0.0/33", &prefix, &why));
	assert_false(value_prefix_parse("fd00::/129", &prefix, &why));
	assert_false(value_prefix_parse("all", &prefix, &why));
}

static void
mac_addresses_are_unicast(void **state)
{
	static const char *const bad[] = { "", "02:00:00:00:09", "02:00:00:00:09:01:02", "02-00-00-00-09-01",
		"0g:00:00:00:09:01", "01:00:5e:00:00:01", "00:00:00:00:00:00", "02: 0:00:00:09:01" };
	uint8_t mac[6];
	struct why why;

	(void)state;
	assert_true(value_mac_parse("02:00:00:00:09:Af", mac, &why));
	assert_memory_equal(mac, ((uint8_t[]){ 2, 0, 0, 0, 9, 0xaf }), 6);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (value_mac_parse(bad[i], mac, &why))
			fail_msg("'%s' was taken for a MAC address", bad[i]);
}

static void
every_default_is_valid_and_every_key_has_help(void **state)
{
	struct schema schema = config_schema(8 * GIB), profile = profile_schema();
	struct io_profile object;
	char allowed[160];

	(void)state;
	read_text(""); /* an empty file is all defaults; schema_defaults CHECKs each */
	assert_no_problem();
	schema_defaults(&profile, &object);
	for (uint32_t i = 0; i < schema.count; i++) {
		schema_allowed(&schema.keys[i], allowed, sizeof allowed);
		assert_true(*allowed && strlen(schema.keys[i].help) > 10);
		assert_int_equal(schema_find(&schema, schema.keys[i].path), i); /* no path twice */
	}
	assert_int_equal(config.workers, 1);
	assert_int_equal(config.native_port, 7411);
	assert_int_equal(config.memory, 256 << 20);
	assert_int_equal(config.idle_sleep, 10000000);
	assert_int_equal(config.control_cpu, NUMBER_AUTO);
	assert_false(config.memcached_udp);
}

static void
a_file_sets_every_kind_of_value(void **state)
{
	(void)state;
	read_text("# comment\n"
	    "node_id: n7\n"
	    "log_level: DEBUG\n"
	    "workers: 2\n"
	    "worker_cpus: [2, 3]\n"
	    "control_cpu: 1\n"
	    "interfaces:\n  - e0\n  - \"0000:00:05.0\"\n"
	    "ipv4: 10.9.0.1/24\n"
	    "mac: 02:00:00:00:09:01\n"
	    "memory: 50%\n"
	    "take_nic: yes\n"
	    "idle_sleep: 5ms\n"
	    "native:\n  port: 7500\n  shared_key_file: /etc/slipring/key\n"
	    "memcached: { udp: true, allow: [10.0.0.0/8, 'fd00::/8'] }\n");
	assert_no_problem();
	assert_string_equal(config.node_id, "n7");
	assert_int_equal(config.log_level, 3);
	assert_int_equal(config.worker_cpus.count, 2);
	assert_int_equal(config.worker_cpus.values[1], 3);
	assert_int_equal(config.interfaces.count, 2);
	assert_string_equal(config.interfaces.values[1], "0000:00:05.0");
	assert_int_equal(config.mac[5], 1);
	assert_int_equal(config.memory, 8 * GIB / 100 * 50 >> 20 << 20);
	assert_true(config.take_nic);
	assert_int_equal(config.native_port, 7500);
	assert_int_equal(config.memcached_allow.count, 2);
	assert_int_equal(config.memcached_allow.values[0].len, 104);
	assert_int_equal(config.origins[CONFIG_native_port].line, 16);
	assert_int_equal(config.origins[CONFIG_native_port].column, 9);
	assert_int_equal(config.origins[CONFIG_echo_port].source, SOURCE_DEFAULT);
}

static void
an_unknown_key_is_refused_with_its_line_and_the_likely_one(void **state)
{
	(void)state;
	expect_yaml_problem("node_id: n1\n\nworker: 2\n", "f:3:1: unknown key 'worker'; did you mean 'workers'?");
	expect_yaml_problem("native:\n  prot: 1\n", "f:2:3: unknown key 'native.prot'; did you mean 'native.port'?");
	expect_yaml_problem("shared_key_file: x\n",
	    "f:1:1: unknown key 'shared_key_file'; did you mean 'native.shared_key_file'?");
	expect_yaml_problem("native:\n  memory: 1G\n", "f:2:3: unknown key 'native.memory'; did you mean 'memory'?");
	expect_yaml_problem("replication_factor: 3\n",
	    "f:1:1: unknown key 'replication_factor'; did you mean 'cluster.replication_factor'?");
	expect_yaml_problem("quorum_margin: 3\n", "f:1:1: unknown key 'quorum_margin'; --help lists the keys");
	expect_yaml_problem("\"wor\\nkers\": 3\n", "f:1:1: unknown key 'wor?kers'; did you mean 'workers'?");
	expect_yaml_problem("<<: {workers: 2}\n", "f:1:1: unknown key '<<'");
}

static void
a_key_given_twice_is_refused_and_both_lines_are_named(void **state)
{
	(void)state;
	expect_yaml_problem("workers: 1\nnode_id: n1\nworkers: 2\n", "f:3:1: workers is given twice; first in line 1");
	expect_yaml_problem("native:\n  port: 1\n  port: 2\n", "f:3:3: native.port is given twice; first in line 2");
	expect_yaml_problem("native:\n  port: 1\nnode_id: n1\nnative:\n  require_auth: true\n",
	    "f:4:1: native is given twice; first in line 1");
	expect_yaml_problem("native.port: 1\nnative:\n  port: 2\n", "f:3:3: native.port is given twice; first in line 1");
}

static void
a_value_out_of_range_names_the_value_and_the_range(void **state)
{
	(void)state;
	expect_yaml_problem("workers: 0\n", "f:1:10: workers: 0 is out of range (allowed: 1..16)");
	expect_yaml_problem("workers: 17\n", "f:1:10: workers: 17 is out of range (allowed: 1..16)");
	expect_yaml_problem("native:\n  port: 65536\n", "f:2:9: native.port: 65536 is out of range (allowed: 1..65535)");
	expect_yaml_problem("native:\n  port: 4294974707\n", "f:2:9: native.port: 4294974707 is out of range");
	expect_yaml_problem("memory: 1K\n",
	    "f:1:9: memory: 1K is out of range (allowed: 16M..1T, or 1%..100% of the RAM)");
	expect_yaml_problem("memory: 0%\n", "f:1:9: memory: 0% is not 1%..100% of the RAM");
	expect_yaml_problem("memory: 101%\n", "f:1:9: memory: 101% is not 1%..100% of the RAM");
	expect_yaml_problem("idle_sleep: 5s\n", "f:1:13: idle_sleep: 5s is out of range (allowed: 1ms..1s)");
	expect_yaml_problem("worker_cpus: [0, 4096]\n", "f:1:14: worker_cpus: 4096 is out of range");
}

static void
a_value_of_the_wrong_type_says_what_is_allowed(void **state)
{
	(void)state;
	expect_yaml_problem("workers: two\n", "f:1:10: workers: 'two' is not a whole number (allowed: 1..16)");
	expect_yaml_problem("workers: 1.5\n", "f:1:10: workers: '1.5' is not a whole number");
	expect_yaml_problem("workers: -1\n", "f:1:10: workers: '-1' is not a whole number");
	expect_yaml_problem("workers: [1]\n", "f:1:10: workers: a list was given where one value belongs");
	expect_yaml_problem("workers: {a: 1}\n", "f:1:10: workers: a group of keys was given where a value belongs");
	expect_yaml_problem("workers:\nnode_id: n1\n", "f:1:9: workers: no value was given");
	expect_yaml_problem("workers: ~\n", "f:1:10: workers: no value was given");
	expect_yaml_problem("memory: 64Q\n", "f:1:9: memory: '64Q' is not a size such as 64M or 2G");
	expect_yaml_problem("idle_sleep: 10\n", "f:1:13: idle_sleep: '10' lacks a unit");
	expect_yaml_problem("idle: lazy\n", "f:1:7: idle: 'lazy' is not one of the choices (allowed: busy, adaptive)");
	expect_yaml_problem("take_nic: maybe\n",
	    "f:1:11: take_nic: 'maybe' is neither true nor false (allowed: true, false)");
	expect_yaml_problem("ipv4: 10.9.0.1\n", "f:1:7: ipv4: '10.9.0.1' lacks its prefix length");
	expect_yaml_problem("mac: 1\n", "f:1:6: mac: '1' is not a MAC address");
	expect_yaml_problem("memcached:\n  allow: [10.0.0.1/8]\n", "f:2:10: memcached.allow: '10.0.0.1/8' has bits");
	expect_yaml_problem("node_id: a/b\n", "f:1:10: node_id: 'a/b' has a character that names may not have");
	expect_yaml_problem("node_id: \"\"\n", "f:1:10: node_id: the name is empty");
	expect_yaml_problem("node_id: abcdefghijklmnopqrstuvwxyz0123456789\n", "f:1:10: node_id: ");
	expect_yaml_problem("native: 7411\n", "f:1:9: native is a group; its keys belong below it, indented");
	expect_yaml_problem("interfaces: [[e0]]\n", "f:1:13: interfaces: value 1 of the list is no text or number");
	expect_yaml_problem("interfaces: [e0,, e1]\n", "f:1:17: not valid YAML: ");
	expect_yaml_problem("run_dir: \"a\\u0001b\"\n", "f:1:10: run_dir: the text has a control character in it");
	expect_yaml_problem("run_dir: \"a\\0b\"\n", "f:1:10: run_dir: the text has a NUL in it");
	expect_yaml_problem("interfaces: [0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]\n",
	    "f:1:13: interfaces: the list has more than 16 values");
}

static void
what_is_no_yaml_is_refused_with_line_and_column(void **state)
{
	(void)state;
	expect_yaml_problem("workers: 1\n\tnode_id: n1\n", "f:2:1: not valid YAML: ");
	assert_non_null(strstr(problems.list[0].text, "indent with blanks, not tabs"));
	expect_yaml_problem("workers: 1\nnode_id: 'n1\n", "f:3:1: not valid YAML: ");
	expect_yaml_problem("workers: 1\n  node_id: n1\n", "f:2:10: not valid YAML: ");
	expect_yaml_problem("workers: 1\nnode_id: \xff\xfe\n", "f:2:10: not valid YAML: ");
	expect_yaml_problem("- workers\n", "f:1:1: the file must hold 'key: value' lines");
	expect_yaml_problem("workers\n", "f:1:1: the file must hold 'key: value' lines");
	expect_yaml_problem("workers: 1\n---\nworkers: 2\n", "f:3:1: a second document; one file holds one");
	expect_yaml_problem("? [a]\n: b\n", "f:1:3: a key must be a plain word");
	expect_yaml_problem("workers: *nobody\n", "f:1:10: not valid YAML: ");
}

static void
all_mistakes_of_a_file_are_told_at_once(void **state)
{
	(void)state;
	read_text("workers: 0\nnode: x\nmemory: 1\nmemory: 2\n");
	assert_int_equal(problems.errors, 4);
	assert_problem(0, "f:1:10: workers: 0 is out of range");
	assert_problem(1, "f:2:1: unknown key 'node'");
	assert_problem(2, "f:3:9: memory: 1 is out of range");
	assert_problem(3, "f:4:1: memory is given twice; first in line 3");
}

static void
a_refused_value_leaves_the_field_alone(void **state)
{
	(void)state;
	read_text("workers: 99\ninterfaces: [ok, \"\"]\nmemory: 3\n");
	assert_int_equal(problems.errors, 3);
	assert_int_equal(config.workers, 1);
	assert_int_equal(config.interfaces.count, 0);
	assert_int_equal(config.memory, 256 << 20);
}

#define GOOD "ipv4: 10.9.0.1/24\ninterfaces: [e0]\n"

static void
expect_rule(const char *yaml, const char *expected)
{
	verify_text(yaml);
	assert_problem(0, expected);
	assert_int_equal(problems.count, 1);
}

static void
a_cluster_that_cannot_be_is_refused_with_what_to_change(void **state)
{
#define CLUSTER GOOD "cluster:\n  enabled: true\n  insecure: true\n"
	(void)state;
	verify_text(CLUSTER "  seed_nodes: [n2@10.9.0.2:7946, 10.9.0.3, 'rack7.example:7000']\n  rack: r1\n");
	assert_no_problem();
	verify_text(GOOD "cluster:\n  enabled: true\n  key_file: /etc/slipring/cluster.key\n");
	assert_no_problem();
	expect_rule(GOOD "cluster:\n  enabled: true\n", "f:4:12: cluster.enabled: cluster.key_file is empty, so anybody could join");
	expect_rule(CLUSTER "  key_file: k\n", "f:5:13: cluster.insecure: a key is given too");
	expect_rule(CLUSTER "  previous_key_file: k\n", "f:6:22: cluster.previous_key_file: cluster.key_file is empty");
	expect_rule(CLUSTER "  read_repair_enabled: true\n", "f:6:24: cluster.read_repair_enabled: there is no read repair");
	expect_rule(CLUSTER "  seed_nodes: ['n2@', b]\n", "f:6:15: cluster.seed_nodes: 'n2@' is not a node such as");
	expect_rule(CLUSTER "  seed_nodes: ['n2:99999']\n", "f:6:15: cluster.seed_nodes: port 99999 is not 1..65535");
	expect_rule(CLUSTER "  seed_nodes: ['-x@n2']\n", "f:6:15: cluster.seed_nodes: '-x' has a character");
	expect_rule(CLUSTER "  seed_nodes: ['[::1]:7946']\n", "f:6:15: cluster.seed_nodes: '[::1]:7946' is not a node such as");
	expect_rule(CLUSTER "  gossip_addr: n1.example:7946\n",
	    "f:6:16: cluster.gossip_addr: 'n1.example:7946' is not an IPv4 address and port");
	expect_rule(CLUSTER "  api_addr: 0.0.0.0:7411\n", "f:6:13: cluster.api_addr: '0.0.0.0:7411' is not an IPv4 address");
	expect_rule(CLUSTER "  port: 7411\n", "f:6:9: cluster.port: 7411 is one of the native ports");
	expect_rule(CLUSTER "  port: 7000\necho: { port: 7000 }\n", "f:6:9: cluster.port: 7000 is echo.port too");
	expect_rule(GOOD "gateway: 10.8.0.1\n", "f:3:10: gateway: 10.8.0.1 is outside ipv4's network");
	expect_rule(GOOD "gateway: 10.9.0.1\n", "f:3:10: gateway: 10.9.0.1 is this node's own address");
	expect_rule(GOOD "gateway: '2001:db8:1111:2222:3333:4444:5555:6666'\n",
	    "f:3:10: gateway: '2001:db8:1111:2222:3333:4444:5555:6666' is an IPv6 address, and no IPv6 router needs to be named");
	expect_rule(GOOD "gateway: router\n", "f:3:10: gateway: 'router' is not an IPv4 address");
	verify_text(GOOD "routes: ['10.20.0.0/16@10.9.0.253', 10.30.0.0/24@10.9.0.2]\n");
	assert_no_problem();
	expect_rule(GOOD "routes: [10.20.0.0/16]\n", "f:3:9: routes: '10.20.0.0/16' is not a network and its router");
	expect_rule(GOOD "routes: ['10.20.0.1/16@10.9.0.2']\n", "f:3:9: routes: '10.20.0.1/16' has bits beyond its length");
	expect_rule(GOOD "routes: ['fd09::/64@10.9.0.2']\n", "f:3:9: routes: 'fd09::/64' is not an IPv4 network");
	expect_rule(GOOD "routes: ['10.20.0.0/16@10.8.0.2']\n", "f:3:9: routes: the router of '10.20.0.0/16@10.8.0.2' is not");
	expect_rule(GOOD "routes: ['10.20.0.0/16@10.9.0.1']\n", "f:3:9: routes: the router of '10.20.0.0/16@10.9.0.1' is not");
	expect_rule(CLUSTER "  replication_factor: 6\n", "f:6:23: cluster.replication_factor: 6 is out of range (allowed: 1..5)");
	expect_rule(CLUSTER "  virtual_nodes: 0\n", "f:6:18: cluster.virtual_nodes: 0 is out of range (allowed: 1..65535)");
	expect_rule(CLUSTER "  phi_threshold: 0\n", "f:6:18: cluster.phi_threshold: 0 is out of range (allowed: 1..16)");
#undef CLUSTER
}

static void
addresses_that_a_node_cannot_have_are_refused(void **state)
{
	static const char *const bad[] = { "::1/128", "::/64", "ff02::1/64", "fe80::1/64", "::ffff:10.9.0.1/96", "::a09:1/96" };
	char text[120];

	(void)state;
	verify_text(GOOD "ipv6: ['fd09::1/64', 2001:db8::7/128]\nvlan: 4094\n");
	assert_no_problem();
	assert_int_equal(config.ipv6.count, 2);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(text, sizeof text, GOOD "ipv6: ['%s']\n", bad[i]);
		verify_text(text);
		assert_int_equal(problems.errors, 1);
		assert_non_null(strstr(problems.list[0].text, "is no address to give a node"));
	}
	expect_rule(GOOD "ipv6: ['fd09::1']\n", "f:3:7: ipv6: 'fd09::1' lacks its prefix length");
	expect_rule(GOOD "ipv6: ['fd09::1/129']\n", "f:3:7: ipv6: prefix length 129 is not 1..128");
	expect_rule(GOOD "ipv6: [10.9.0.1/24]\n", "f:3:7: ipv6: '10.9.0.1/24' is not an IPv6 address");
	expect_rule(GOOD "ipv6: ['fd09::1/64', 'fd09:0::1/64']\n", "f:3:7: ipv6: 'fd09:0::1/64' is given twice");
	expect_rule(GOOD "ipv6: ['fd09::1/64', 'fd09::2/64', 'fd09::3/64', 'fd09::4/64', 'fd09::5/64', 'fd09::6/64', "
	    "'fd09::7/64', 'fd09::8/64']\n", "f:3:7: ipv6: 8 addresses are more than 7");
	expect_rule(GOOD "vlan: 4095\n", "f:3:7: vlan: 4095 is out of range (allowed: 0..4094)");
}

static void
rules_between_keys_name_the_line_to_change(void **state)
{
	(void)state;
	verify_text(GOOD);
	assert_no_problem();
	assert_string_equal(config.control_socket, "/run/slipring/n1.sock");
	expect_rule("interfaces: [e0]\n", "ipv4: not given; the node needs an address to answer on: ipv4: 10.9.0.1/24 in the "
	    "configuration, or --ipv4 10.9.0.1/24");
	expect_rule(GOOD "workers: 2\nworker_cpus: [1]\n", "f:4:14: worker_cpus: 1 CPUs for 2 workers");
	expect_rule(GOOD "workers: 2\nworker_cpus: [1, 1]\n", "f:4:14: worker_cpus: CPU 1 is listed twice");
	verify_text(GOOD "workers: 2\nworker_cpus: [1, 1]\nfloat_lcores: true\n");
	assert_no_problem();
	expect_rule("ipv4: 10.9.0.1/24\nworkers: 3\ninterfaces: [a, b]\n",
	    "f:3:13: interfaces: 2 interfaces for 3 workers");
	verify_text("ipv4: 10.9.0.1/24\nworkers: 2\ninterfaces: [a, a]\n"); /* a queue each */
	assert_no_problem();
	expect_rule(GOOD "native: { port: 65535 }\nworkers: 2\n", "f:3:17: native.port: 2 workers need ports");
	expect_rule(GOOD "workers: 2\nmemcached: { udp: true, port: 7412, allow: 10.0.0.0/8 }\n",
	    "f:4:31: memcached.port: 7412 is one of the native ports 7411..7412");
	expect_rule(GOOD "tcp: { out_of_order: 65M }\n", "f:3:22: tcp.out_of_order: 65M is more than tcp.memory (64M)");
	expect_rule(GOOD "tcp: { out_of_order: 32K }\n", "f:3:22: tcp.out_of_order: 32K is less than one connection may need (64K)");
	expect_rule(GOOD "tcp: { time_wait: 15 }\n", "f:3:19: tcp.time_wait: 15 is out of range (allowed: 16..1048576)");
	expect_rule(GOOD "tcp: { resets: 0 }\n", "f:3:16: tcp.resets: 0 is out of range (allowed: 1..1000000)");
	expect_rule(GOOD "tcp: { challenges: 0 }\n", "f:3:20: tcp.challenges: 0 is out of range (allowed: 1..1000000)");
	expect_rule(GOOD "icmp: { echoes: 0 }\n", "f:3:17: icmp.echoes: 0 is out of range (allowed: 1..1000000)");
	expect_rule(GOOD "icmp: { unreachables: 2000000 }\n", "f:3:23: icmp.unreachables: 2000000 is out of range (allowed: 1..1000000)");
	verify_text(GOOD "tcp: { memory: 8M, out_of_order: 8M, time_wait: 16, resets: 1, challenges: 1 }\n");
	assert_no_problem();
	expect_rule(GOOD "echo:\n  port: 7411\n", "f:4:9: echo.port: 7411 is one of the native ports");
	expect_rule(GOOD "echo:\n  port: 11211\nmemcached: { udp: on, allow: 10.0.0.0/8 }\n",
	    "f:4:9: echo.port: 11211 is memcached.port too");
	expect_rule(GOOD "resp:\n  port: 11211\n", "f:4:9: resp.port: 11211 is memcached.port too; one TCP port speaks one protocol");
	expect_rule(GOOD "memcached:\n  udp: true\n", "f:4:8: memcached.udp: memcached.allow is empty");
	expect_rule(GOOD "native:\n  require_auth: true\n",
	    "f:4:17: native.require_auth: native.shared_key_file is empty");
	expect_rule(GOOD "memory: 9G\n", "f:3:9: memory: 9G is more than the machine's RAM of 8G; try 50%");
	expect_rule(GOOD "run_dir: /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
	    "node_id: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n", "f:3:10: run_dir: /aaa");
}

/* config_load on arguments and an environment; NULL-ended arrays. */
static enum config_action
load(const char *const *arguments, const char *const *environment)
{
	static const char *const none[] = { NULL };
	const char *argv[16] = { "slipringd" };
	enum config_action action;
	int argc = 1;

	for (; arguments && *arguments; arguments++)
		argv[argc++] = *arguments;
	memset(&problems, 0, sizeof problems);
	config_load(&config, argc, (char *const *)argv, (char *const *)(environment ? environment : none), &action,
	    &problems);
	return action;
}

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void
join_adds_a_seed_and_wants_a_cluster(void **state)
{
	(void)state;
	assert_int_equal(load(ARGS("--join", "n1@10.9.0.1:7946", "--join=10.9.0.2,10.9.0.3", "--advertise-addr", "10.9.0.7:7000",
	    "--gossip-interval", "100ms", "--cluster.insecure", "--ipv4", "10.9.0.7/24"), NULL), CONFIG_RUN);
	assert_no_problem();
	assert_true(config.cluster_enabled);
	assert_int_equal(config.cluster_seed_nodes.count, 3);
	assert_string_equal(config.cluster_seed_nodes.values[0], "n1@10.9.0.1:7946");
	assert_string_equal(config.cluster_seed_nodes.values[2], "10.9.0.3");
	assert_string_equal(config.cluster_gossip_addr, "10.9.0.7:7000");
	assert_int_equal(config.cluster_gossip_interval, 100000000);
}

static char file_name[64];

static void
write_file(const char *text)
{
	FILE *file = fopen(file_name, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int
make_file(void **state)
{
	(void)state;
	snprintf(file_name, sizeof file_name, "/tmp/test_config.%d.yaml", (int)getpid());
	return 0;
}

static int
remove_file(void **state)
{
	(void)state;
	unlink(file_name);
	return 0;
}

static void
a_flag_wins_over_the_environment_and_that_over_the_file(void **state)
{
	char place[PLACE_SIZE], expected[PLACE_SIZE];
	struct schema schema = config_schema(8 * GIB);

	(void)state;
	write_file("ipv4: 10.9.0.1/24\ninterfaces: [e0]\nnode_id: file\nlog_level: warn\nnative:\n  port: 1000\n");
	assert_int_equal(load(ARGS("--config", file_name, "--node-id", "flag"),
	    ARGS("SLIPRING_NODE_ID=env", "SLIPRING_LOG_LEVEL=debug")), CONFIG_RUN);
	assert_no_problem();
	assert_string_equal(config.node_id, "flag");
	assert_int_equal(config.log_level, 3);
	assert_int_equal(config.native_port, 1000);
	config_place(&config, &schema, CONFIG_node_id, place, sizeof place);
	assert_string_equal(place, "--node-id");
	config_place(&config, &schema, CONFIG_log_level, place, sizeof place);
	assert_string_equal(place, "SLIPRING_LOG_LEVEL");
	config_place(&config, &schema, CONFIG_native_port, place, sizeof place);
	snprintf(expected, sizeof expected, "%s:6:9", file_name);
	assert_string_equal(place, expected);
	config_place(&config, &schema, CONFIG_idle, place, sizeof place);
	assert_string_equal(place, "default");
}

static void
flags_come_in_every_spelling(void **state)
{
	(void)state;
	write_file("ipv4: 10.9.0.1/24\ninterfaces: [e0, e1]\ntake_nic: true\nfloat_lcores: true\n");
	load(ARGS("-c", file_name, "--workers=2", "--native.port", "7500", "--no-take-nic", "--no-huge",
	    "--worker-cpus", "0, 1", "--float_lcores", "no"), NULL);
	assert_no_problem();
	assert_int_equal(config.workers, 2);
	assert_int_equal(config.native_port, 7500);
	assert_false(config.take_nic);
	assert_false(config.float_lcores);
	assert_int_equal(config.huge_pages, HUGE_PAGES_NO);
	assert_int_equal(config.worker_cpus.values[1], 1);
	load(ARGS("--config", file_name, "--workers", "2", "--take-nic", "--ipv4", "10.0.0.1/8"), NULL);
	assert_no_problem();
	assert_true(config.take_nic);
	assert_int_equal(config.ipv4.len, 8);
}

static void
lists_come_by_comma_and_groups_by_two_underscores(void **state)
{
	(void)state;
	load(NULL, ARGS("SLIPRING_IPV4=10.9.0.1/24", "SLIPRING_INTERFACES=e0,e1", "SLIPRING_WORKERS=2",
	    "SLIPRING_MEMCACHED__UDP=true", "SLIPRING_MEMCACHED__ALLOW=10.0.0.0/8,192.168.0.0/16",
	    "SLIPRING_HOST=n1", "OTHER=1", "SLIPRINGX=1"));
	assert_no_problem();
	assert_int_equal(config.interfaces.count, 2);
	assert_string_equal(config.interfaces.values[1], "e1");
	assert_int_equal(config.memcached_allow.count, 2);
	load(ARGS("--ipv4", "10.9.0.1/24"), ARGS("SLIPRING_INTERFACES="));
	assert_no_problem();
	assert_int_equal(config.interfaces.count, 0);
}

static void
bad_overrides_name_the_variable_or_the_flag(void **state)
{
	(void)state;
	load(ARGS("--ipv4", "10.9.0.1/24", "--workers", "x", "--worker", "2", "--native.port"),
	    ARGS("SLIPRING_MEMORY=lots", "SLIPRING_NATIVE__PROT=1", "SLIPRING_NATIVE__PORT=0"));
	assert_int_equal(problems.errors, 5);
	assert_problem(0, "SLIPRING_MEMORY: memory: 'lots' is not a size");
	assert_problem(1, "environment: SLIPRING_NATIVE__PROT is no key; did you mean SLIPRING_NATIVE__PORT?");
	assert_true(problems.list[1].warning);
	assert_problem(2, "SLIPRING_NATIVE__PORT: native.port: 0 is out of range (allowed: 1..65535)");
	assert_problem(3, "--workers: workers: 'x' is not a whole number (allowed: 1..16)");
	assert_problem(4, "--worker: unknown flag; did you mean --workers?");
	assert_problem(5, "--native.port: a value must follow");
	load(ARGS("slipring.yaml"), NULL);
	assert_problem(0, "'slipring.yaml': unexpected argument; a configuration file is given as --config FILE");
	load(ARGS("--config"), NULL);
	assert_problem(0, "--config: the name of a file must follow");
	load(ARGS("--config", "/nonexistent/f.yaml"), NULL);
	assert_problem(0, "/nonexistent/f.yaml: No such file or directory");
}

static void
actions_are_flags(void **state)
{
	(void)state;
	assert_int_equal(load(ARGS("--ipv4", "10.9.0.1/24", "--check-config"), NULL), CONFIG_CHECK);
	assert_int_equal(load(ARGS("--print-config", "--ipv4", "10.9.0.1/24"), NULL), CONFIG_PRINT);
	assert_int_equal(load(ARGS("--help"), NULL), CONFIG_HELP);
	assert_int_equal(load(ARGS("-h"), NULL), CONFIG_HELP);
	assert_int_equal(load(ARGS("--version"), NULL), CONFIG_VERSION);
	assert_int_equal(load(ARGS("--dump-config-scd"), NULL), CONFIG_MANUAL);
	assert_no_problem();
	/* A value that looks like an action is a value. */
	assert_int_equal(load(ARGS("--ipv4", "10.9.0.1/24", "--log-file", "--help"), NULL), CONFIG_RUN);
}

static void
the_file_may_come_from_the_environment(void **state)
{
	char variable[96];

	(void)state;
	write_file("ipv4: 10.9.0.1/24\nnode_id: from-variable\n");
	snprintf(variable, sizeof variable, "SLIPRING_CONFIG=%s", file_name);
	load(NULL, ARGS(variable));
	assert_no_problem();
	assert_string_equal(config.node_id, "from-variable");
}

/* Everything but origins and the file's name. */
static void
assert_same_values(const struct config *a, const struct config *b)
{
	struct schema schema = config_schema(0);

	for (uint32_t i = 0; i < schema.count; i++)
		if (memcmp((const char *)a + schema.keys[i].offset, (const char *)b + schema.keys[i].offset,
		    schema.keys[i].size) != 0)
			fail_msg("%s differs", schema.keys[i].path);
}

static void
the_printed_configuration_is_the_configuration(void **state)
{
	char *text = NULL;
	size_t len = 0;

	(void)state;
	verify_text("node_id: null-1\nlog_format: json\nlog_file: \"/tmp/a b: \\\"c\\\" # d\"\nrun_dir: '-x'\n"
	    "workers: 2\nworker_cpus: [1, 0]\ninterfaces: [\"a,b\", 0000:00:05.0]\nipv4: 192.168.7.9/20\n"
	    "mac: 02:00:00:00:00:07\nmemory: 1536M\nitems_max: 12345\nidle: busy\nidle_sleep: 1500us\nhuge_pages: no\n"
	    "memcached: { udp: true, allow: ['fd00::/8', 10.1.0.0/16, '::/0'] }\necho: { port: 7 }\n");
	assert_no_problem();
	struct config first = config;
	FILE *out = open_memstream(&text, &len);
	config_print(&config, out);
	fclose(out);
	assert_non_null(strstr(text, "workers: 2                               # f:5:10"));
	assert_non_null(strstr(text, "profile: af_xdp                          # default"));
	assert_non_null(strstr(text, "idle_sleep: 1500us"));
	verify_text(text);
	assert_no_problem();
	assert_same_values(&first, &config);
	free(text);
}

static void
help_and_manual_know_every_key(void **state)
{
	struct schema schema = config_schema(0);
	char *text = NULL, flag[128], variable[128];
	size_t len = 0;

	(void)state;
	FILE *out = open_memstream(&text, &len);
	config_print_help(out);
	config_print_manual(out);
	fclose(out);
	for (uint32_t i = 0; i < schema.count; i++) {
		config_flag_name(schema.keys[i].path, flag, sizeof flag);
		assert_non_null(strstr(text, flag));
	}
	config_environment_name("native.shared_key_file", variable, sizeof variable);
	assert_string_equal(variable, "SLIPRING_NATIVE__SHARED_KEY_FILE");
	free(text);
}

static struct io_profile profile;

static void
read_profile(const char *yaml)
{
	memset(&problems, 0, sizeof problems);
	profile_read(&profile, "p", "p.yaml", yaml, strlen(yaml), &problems);
}

static void
profiles_are_checked_like_the_configuration(void **state)
{
	static const struct { const char *yaml, *expected; } bad[] = {
		{ "", "p.yaml: driver: '' is not known" },
		{ "driver: net_tap\n", "p.yaml: driver: 'net_tap' is not known" },
		{ "driver: net_ring\nmbuf: 9\n", "p.yaml:2:1: unknown key 'mbuf'; did you mean 'mbufs'?" },
		{ "driver: net_ring\nmbufs: 9\n", "p.yaml:2:8: mbufs: 9 is out of range (allowed: 512..4194304)" },
		{ "driver: net_af_xdp\nmbufs: 2048\n", "p.yaml: mbufs: 2048 is too few for net_af_xdp" },
		{ "driver: net_af_xdp\nqueues: 2\n", "p.yaml: queues: 2, but only driver pci has several" },
		{ "driver: net_af_xdp\nexternal_tx: yes\n", "p.yaml: external_tx: net_af_xdp sends" },
		{ "driver: pci\nmbufs: 3000\n", "p.yaml: mbufs: 3000 is too few for pci" },
		{ "driver: pci\nrx_descriptors: 65536\n", "p.yaml:2:17: rx_descriptors: 65536 is out of range" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		read_profile(bad[i].yaml);
		assert_problem(0, bad[i].expected);
	}
	read_profile("driver: pci\nqueues: 4\nrx_descriptors: 512\neal: --single-file-segments\n"
	    "checksum_offload: true\nexternal_tx: true\n");
	assert_no_problem();
	assert_string_equal(profile.name, "p");
	assert_int_equal(profile.queues, 4);
	assert_int_equal(profile.rx_descriptors, 512);
	assert_int_equal(profile.tx_descriptors, 1024);
	assert_true(profile.external_tx && profile.checksum_offload);
}

static void
every_shipped_profile_is_found_by_name_and_valid(void **state)
{
	static const char *const names[] = { "af_xdp", "af_packet", "virtio_user", "vhost", "ring", "pci" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		memset(&problems, 0, sizeof problems);
		profile_load(&profile, names[i], &problems);
		assert_no_problem();
		assert_string_equal(profile.name, names[i]);
	}
	profile_load(&profile, "nosuch", &problems);
	assert_problem(0, "profile: no file nosuch.yaml in ");
}

static void
the_profile_directory_may_be_given(void **state)
{
	char directory[] = "/tmp/test_profiles.XXXXXX", path[64];

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/af_xdp.yaml", directory);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs("driver: net_af_xdp\nrx_descriptors: 64\nmbuf: 1\n", file);
	fclose(file);
	setenv("SLIPRING_PROFILES", directory, 1);
	memset(&problems, 0, sizeof problems);
	profile_load(&profile, "af_xdp", &problems);
	unsetenv("SLIPRING_PROFILES");
	unlink(path);
	rmdir(directory);
	assert_int_equal(profile.rx_descriptors, 64);
	assert_non_null(strstr(problems.list[0].text, "af_xdp.yaml:3:1: unknown key 'mbuf'"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_take_units_of_1024),
		cmocka_unit_test(durations_need_a_unit),
		cmocka_unit_test(printed_sizes_and_durations_are_read_back),
		cmocka_unit_test(node_addresses_are_hosts_in_their_network),
		cmocka_unit_test(networks_have_no_bits_beyond_their_length),
		cmocka_unit_test(mac_addresses_are_unicast),
		cmocka_unit_test(every_default_is_valid_and_every_key_has_help),
		cmocka_unit_test(a_file_sets_every_kind_of_value),
		cmocka_unit_test(an_unknown_key_is_refused_with_its_line_and_the_likely_one),
		cmocka_unit_test(a_key_given_twice_is_refused_and_both_lines_are_named),
		cmocka_unit_test(a_value_out_of_range_names_the_value_and_the_range),
		cmocka_unit_test(a_value_of_the_wrong_type_says_what_is_allowed),
		cmocka_unit_test(what_is_no_yaml_is_refused_with_line_and_column),
		cmocka_unit_test(all_mistakes_of_a_file_are_told_at_once),
		cmocka_unit_test(a_refused_value_leaves_the_field_alone),
		cmocka_unit_test(a_cluster_that_cannot_be_is_refused_with_what_to_change),
		cmocka_unit_test(join_adds_a_seed_and_wants_a_cluster),
		cmocka_unit_test(addresses_that_a_node_cannot_have_are_refused),
		cmocka_unit_test(rules_between_keys_name_the_line_to_change),
		cmocka_unit_test(a_flag_wins_over_the_environment_and_that_over_the_file),
		cmocka_unit_test(flags_come_in_every_spelling),
		cmocka_unit_test(lists_come_by_comma_and_groups_by_two_underscores),
		cmocka_unit_test(bad_overrides_name_the_variable_or_the_flag),
		cmocka_unit_test(actions_are_flags),
		cmocka_unit_test(the_file_may_come_from_the_environment),
		cmocka_unit_test(the_printed_configuration_is_the_configuration),
		cmocka_unit_test(help_and_manual_know_every_key),
		cmocka_unit_test(profiles_are_checked_like_the_configuration),
		cmocka_unit_test(every_shipped_profile_is_found_by_name_and_valid),
		cmocka_unit_test(the_profile_directory_may_be_given),
	};

	return cmocka_run_group_tests_name("config", tests, make_file, remove_file);
}
