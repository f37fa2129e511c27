/*
 * libslipring and a cluster: several loopback nodes with the real lib/serve and forwarding
 * (tests/tools/loopback_node.c), told to fall silent, to restart and to change hands.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <time.h>

#include "base/prng.h"
#include "tests/unit/loopback.h"

#define KEY(text) text, sizeof text - 1

enum { NODES = 3 };

struct fixture {
	struct loopback_cluster nodes;
	struct slipring *cache;
};

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int
setup_with(void **state, const char *options)
{
	struct fixture *f = calloc(1, sizeof *f);

	f->nodes = loopback_cluster_start(NODES, options);
	f->cache = loopback_handle(f->nodes.ports[0], NULL);
	*state = f;
	return 0;
}

static int
setup(void **state)
{
	return setup_with(state, "--workers 2");
}

static void
hasty(struct slipring_options *options)
{
	options->deadline_us = 1500000;
}

static int
setup_hasty(void **state)
{
	struct fixture *f;

	setup_with(state, "--workers 2");
	f = *state;
	slipring_close(f->cache);
	f->cache = loopback_handle(f->nodes.ports[0], hasty);
	return 0;
}

static int
setup_lossy(void **state)
{
	return setup_with(state, "--workers 2 --loss 5 --duplicate 5 --reorder 10 --seed 11");
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	slipring_close(f->cache);
	loopback_cluster_stop(&f->nodes);
	free(f);
	return 0;
}

/* Which of the nodes owns a key, from 0, as the handle has it. */
static uint32_t
owner_of(struct fixture *f, const void *key, size_t len)
{
	struct slipring_node node;

	assert_int_equal(slipring_owner(f->cache, key, len, 0, &node), SLIPRING_OK);
	for (uint32_t i = 0; i < f->nodes.count; i++)
		if (f->nodes.ports[i] == node.port)
			return i;
	fail_msg("the owner's port %u is no node's", node.port);
	return 0;
}

/* The first key "k%u" from *number on that node `owner` owns. */
static const char *
key_of(struct fixture *f, uint32_t owner, uint32_t *number)
{
	static char keys[8][16];
	static uint32_t turn;
	char *key = keys[turn++ % 8];

	do
		snprintf(key, sizeof keys[0], "k%u", (*number)++);
	while (owner_of(f, key, strlen(key)) != owner);
	return key;
}

/* A figure of a node's own STATS. */
static uint64_t
figure(struct fixture *f, uint32_t node, const char *name)
{
	struct slipring *handle = loopback_handle(f->nodes.ports[node], NULL);
	struct slipring_result r;
	const char *at;
	uint64_t value;

	assert_int_equal(slipring_stats(handle, "", &r), SLIPRING_OK);
	at = memmem(r.value, r.value_len, name, strlen(name));
	if (!at)
		fail_msg("no figure %s", name);
	value = strtoull(at + strlen(name), NULL, 10);
	slipring_close(handle);
	return value;
}

static void
each_key_goes_straight_to_its_owner(void **state)
{
	struct fixture *f = *state;
	unsigned sets[NODES] = { 0 };
	struct slipring_result r;
	char key[16];

	for (unsigned i = 0; i < 300; i++) {
		int len = snprintf(key, sizeof key, "key-%u", i);

		assert_int_equal(slipring_set(f->cache, key, (size_t)len, &i, sizeof i, 0, 0, NULL), SLIPRING_OK);
		sets[owner_of(f, key, (size_t)len)]++;
	}
	for (unsigned i = 0; i < 300; i++) {
		int len = snprintf(key, sizeof key, "key-%u", i);

		assert_int_equal(slipring_get(f->cache, key, (size_t)len, &r), SLIPRING_OK);
		assert_memory_equal(r.value, &i, sizeof i);
	}
	for (uint32_t n = 0; n < NODES; n++) {
		assert_in_range(sets[n], 60, 140);
		assert_int_equal(figure(f, n, "cmd_set "), sets[n]);
		/* A read is repeated when the machine is busy for 5 ms. */
		assert_in_range(figure(f, n, "cmd_get "), sets[n], sets[n] + 15);
		assert_in_range(figure(f, n, "forward_sent "), 0, 15);
	}
}

static void
a_handle_tells_what_it_knows(void **state)
{
	struct fixture *f = *state;
	struct slipring_node nodes[NODES + 1], owner;
	struct slipring_topology topology;
	struct slipring_cluster cluster;
	uint32_t slots = 0;

	assert_int_equal(slipring_nodes(f->cache, nodes, NODES), 1); /* the host given */
	assert_int_equal(nodes[0].port, f->nodes.ports[0]);
	assert_string_equal(nodes[0].host, "127.0.0.1");
	assert_int_equal(slipring_topology(f->cache, &topology), SLIPRING_OK);
	assert_int_equal(topology.epoch, 1);
	assert_int_equal(topology.worker_count, 2);
	assert_int_equal(topology.ports[1], f->nodes.ports[0] + 1);
	assert_int_equal(slipring_nodes(f->cache, nodes, NODES), NODES);
	for (uint32_t i = 0; i < NODES; i++) {
		slots += nodes[i].slots;
		assert_int_equal(nodes[i].state, 1);
		assert_int_equal(nodes[i].failures, 0);
		assert_true(nodes[i].id != 0);
	}
	assert_int_equal(slots, 16384);
	slipring_cluster(f->cache, &cluster);
	assert_int_equal(cluster.epoch, 1);
	assert_int_equal(cluster.member_count, NODES);
	assert_int_equal(cluster.owner_count, 1);
	assert_int_equal(slipring_owner(f->cache, KEY("k"), 1, &owner), SLIPRING_NOT_FOUND);
	assert_int_equal(slipring_owner(f->cache, "", 0, 0, &owner), SLIPRING_BAD_KEY);
}

static void
a_newer_epoch_is_followed(void **state)
{
	struct fixture *f = *state;
	struct slipring_cluster cluster;
	uint32_t number = 0, gets;
	const char *key = key_of(f, 1, &number);
	uint64_t start;

	assert_int_equal(slipring_set(f->cache, key, strlen(key), "v", 1, 0, 0, NULL), SLIPRING_OK);
	loopback_order(&f->nodes, "state 2 5"); /* it leaves: its slots go to others */
	loopback_order(&f->nodes, "topology 2");
	start = now_ms();
	/* the first answer shows the epoch; it is still right, by way of the former owner */
	for (gets = 0; owner_of(f, key, strlen(key)) == 1 && now_ms() - start < 1000; gets++)
		assert_int_equal(slipring_get(f->cache, key, strlen(key), NULL), SLIPRING_NOT_FOUND);
	assert_int_not_equal(owner_of(f, key, strlen(key)), 1);
	slipring_cluster(f->cache, &cluster);
	assert_int_equal(cluster.epoch, 2);
	assert_int_equal(cluster.topologies, 2); /* no storm of questions */
	assert_true(gets >= 1 && figure(f, 1, "forward_sent ") >= 1);
	assert_int_equal(slipring_set(f->cache, key, strlen(key), "w", 1, 0, 0, NULL), SLIPRING_OK);
	assert_int_equal(figure(f, owner_of(f, key, strlen(key)), "cmd_set "), 1);
}

static void
a_node_that_is_behind_is_not_believed(void **state)
{
	struct fixture *f = *state;
	struct slipring_cluster cluster;
	uint32_t number = 0;
	const char *keys[NODES];

	for (uint32_t i = 0; i < NODES; i++)
		keys[i] = key_of(f, i, &number);
	loopback_order(&f->nodes, "topology 7");
	loopback_order(&f->nodes, "topology 3 2"); /* node 2 only */
	for (uint64_t start = now_ms(); now_ms() - start < 400;)
		for (uint32_t i = 0; i < NODES; i++)
			assert_int_equal(slipring_set(f->cache, keys[i], strlen(keys[i]), "v", 1, 0, 0, NULL), SLIPRING_OK);
	slipring_cluster(f->cache, &cluster);
	assert_int_equal(cluster.epoch, 7);
	assert_in_range(cluster.topologies, 2, 3);
}

static void
an_owner_that_is_cut_off_is_reached_by_way_of_another(void **state)
{
	struct fixture *f = *state;
	struct slipring_cluster cluster;
	struct slipring_node node;
	uint32_t number = 0, other;
	const char *key = key_of(f, 1, &number);
	struct slipring_result r;
	uint64_t start, direct;

	assert_int_equal(slipring_set(f->cache, key, strlen(key), "0", 1, 0, 0, NULL), SLIPRING_OK);
	loopback_order(&f->nodes, "cut 2");
	start = now_ms();
	for (unsigned i = 1; i <= 20; i++) {
		assert_int_equal(slipring_incr(f->cache, key, strlen(key), 1, &r), SLIPRING_OK);
		assert_int_equal(r.number, i);
	}
	assert_in_range(now_ms() - start, 0, 1000);
	assert_int_equal(slipring_owner(f->cache, key, strlen(key), 0, &node), SLIPRING_OK);
	assert_true(node.failures > 0);
	slipring_cluster(f->cache, &cluster);
	assert_in_range(cluster.failovers, 1, 3);
	other = figure(f, 0, "forward_sent ") > 0 ? 0 : 2;
	assert_true(figure(f, other, "forward_sent ") >= 19);
	/* It is asked by a PING from time to time, and the next operations go straight again. */
	loopback_order(&f->nodes, "mend 2");
	start = now_ms();
	while (slipring_owner(f->cache, key, strlen(key), 0, &node) == SLIPRING_OK && node.failures > 0 &&
	    now_ms() - start < 5000)
		assert_int_equal(slipring_get(f->cache, key, strlen(key), &r), SLIPRING_OK);
	assert_int_equal(node.failures, 0);
	direct = figure(f, 0, "forward_sent ") + figure(f, 2, "forward_sent ");
	for (int i = 0; i < 20; i++)
		assert_int_equal(slipring_get(f->cache, key, strlen(key), &r), SLIPRING_OK);
	assert_in_range(figure(f, 0, "forward_sent ") + figure(f, 2, "forward_sent ") - direct, 0, 1);
}

static void
a_dead_owner_is_named(void **state)
{
	struct fixture *f = *state;
	uint32_t number = 0;
	const char *key = key_of(f, 1, &number);
	char place[32];
	struct slipring_result r;
	enum slipring_status status;

	snprintf(place, sizeof place, "127.0.0.1:%u by", f->nodes.ports[1] + slipring_slot(key, strlen(key)) % 2);
	assert_int_equal(slipring_set(f->cache, key, strlen(key), "v", 1, 0, 0, NULL), SLIPRING_OK);
	loopback_order(&f->nodes, "kill 2");
	/* Before it is known to be dead, the node asked waits for it. */
	status = slipring_get(f->cache, key, strlen(key), &r);
	assert_true(status == SLIPRING_OWNER_TIMEOUT || status == SLIPRING_TIMEOUT);
	loopback_order(&f->nodes, "state 2 3");
	loopback_order(&f->nodes, "topology 2");
	assert_int_equal(slipring_get(f->cache, key, strlen(key), &r), SLIPRING_OWNER_DEAD);
	if (!strstr(slipring_error(f->cache), place))
		fail_msg("\"%s\" does not name %s", slipring_error(f->cache), place);
	assert_int_equal(slipring_set(f->cache, key, strlen(key), "v", 1, 0, 0, NULL), SLIPRING_OWNER_DEAD);
	/* Later its slots have other owners. */
	loopback_order(&f->nodes, "state 2 6");
	loopback_order(&f->nodes, "topology 3");
	status = slipring_get(f->cache, key, strlen(key), &r);
	assert_true(status == SLIPRING_NOT_FOUND || status == SLIPRING_OWNER_DEAD);
	for (uint64_t start = now_ms(); status != SLIPRING_NOT_FOUND && now_ms() - start < 1000;)
		status = slipring_get(f->cache, key, strlen(key), &r);
	assert_int_equal(status, SLIPRING_NOT_FOUND);
	assert_int_equal(slipring_set(f->cache, key, strlen(key), "v", 1, 0, 0, NULL), SLIPRING_OK);
}

/* Increments of a few keys; each execution shows in the number of the node that ran it. */
enum { COUNTED_KEYS = 12 };

struct tally {
	unsigned submitted, ok, unknown, none;
};

static void
count_outcome(void *context, const struct slipring_result *result)
{
	struct tally *tally = context;

	if (result->status == SLIPRING_OK)
		tally->ok++;
	else if (result->status == SLIPRING_OUTCOME_UNKNOWN)
		tally->unknown++;
	else
		tally->none++; /* certainly not executed */
}

static void
increment(struct fixture *f, struct tally *tallies, unsigned k)
{
	char key[16];
	enum slipring_status status;
	const struct slipring_request request = { .op = SLIPRING_OP_INCR, .mode = SLIPRING_CREATE, .key = key,
		.key_len = (size_t)snprintf(key, sizeof key, "n%u", k), .delta = 1, .initial = 1, .done = count_outcome,
		.context = &tallies[k] };

	while ((status = slipring_submit(f->cache, &request)) == SLIPRING_WINDOW_FULL)
		slipring_poll(f->cache, 1000);
	assert_int_equal(status, SLIPRING_OK);
	tallies[k].submitted++;
}

/* What the owner of now has counted. */
static unsigned
counted(struct fixture *f, unsigned k)
{
	struct slipring_result r;
	char key[16], number[24] = "";
	int len = snprintf(key, sizeof key, "n%u", k);
	enum slipring_status status = slipring_get(f->cache, key, (size_t)len, &r);

	if (status == SLIPRING_NOT_FOUND)
		return 0;
	assert_int_equal(status, SLIPRING_OK);
	memcpy(number, r.value, r.value_len < sizeof number - 1 ? r.value_len : sizeof number - 1);
	return (unsigned)strtoul(number, NULL, 10);
}

/* Waits until the handle goes by this epoch. */
static void
follow(struct fixture *f, uint32_t epoch)
{
	struct slipring_cluster cluster;
	struct slipring_topology topology;
	uint64_t start = now_ms();

	do {
		slipring_topology(f->cache, &topology);
		slipring_cluster(f->cache, &cluster);
	} while (cluster.epoch != epoch && now_ms() - start < 5000);
	assert_int_equal(cluster.epoch, epoch);
}

/* One fault begins or ends; at most one node is away at a time. */
static void
meddle(struct fixture *f, struct prng *prng, uint32_t *away)
{
	static const char *const begin[] = { "cut %u", "pause %u", "slow %u 30" };
	static const char *const end[] = { "mend %u", "wake %u", "slow %u 0" };
	uint32_t kind = *away / 8;

	if (*away != 0) {
		loopback_order(&f->nodes, end[kind], *away % 8);
		*away = 0;
		return;
	}
	kind = (uint32_t)prng_below(prng, 3);
	*away = kind * 8 + 1 + (uint32_t)prng_below(prng, NODES);
	loopback_order(&f->nodes, begin[kind], *away % 8);
}

static void
increments_execute_once_whatever_way_they_go(void **state)
{
	struct fixture *f = *state;
	struct tally tallies[COUNTED_KEYS] = { 0 };
	struct slipring_cluster cluster;
	struct prng prng = { getenv("SLIPRING_SEED") ? strtoull(getenv("SLIPRING_SEED"), NULL, 10) : 4 };
	uint32_t away = 0;

	for (int round = 0; round < 14; round++) {
		uint64_t until = now_ms() + 40 + prng_below(&prng, 120);

		meddle(f, &prng, &away);
		for (unsigned i = 0; now_ms() < until; i++) {
			if (i < 200)
				increment(f, tallies, (unsigned)prng_below(&prng, COUNTED_KEYS));
			slipring_poll(f->cache, 500);
		}
	}
	if (away != 0)
		meddle(f, &prng, &away);
	slipring_flush(f->cache);
	for (unsigned k = 0; k < COUNTED_KEYS; k++) {
		/* Nobody restarted, so that every outcome could be learnt. */
		assert_int_equal(tallies[k].unknown, 0);
		assert_int_equal(tallies[k].ok + tallies[k].none, tallies[k].submitted);
		assert_int_equal(counted(f, k), tallies[k].ok);
	}
	slipring_cluster(f->cache, &cluster);
	print_message("%llu failovers\n", (unsigned long long)cluster.failovers);
	assert_true(cluster.failovers > 1); /* else nothing was tried */
}

static void
increments_execute_once_while_slots_change_hands(void **state)
{
	struct fixture *f = *state;
	struct tally tallies[COUNTED_KEYS] = { 0 };
	struct prng prng = { getenv("SLIPRING_SEED") ? strtoull(getenv("SLIPRING_SEED"), NULL, 10) : 6 };
	uint32_t away = 0, epoch = 1;
	unsigned total = 0, unknown = 0;

	for (int round = 0; round < 14; round++) {
		uint64_t until = now_ms() + 30 + prng_below(&prng, 80);

		meddle(f, &prng, &away);
		if (round % 2) {
			loopback_order(&f->nodes, "state 2 %u", round % 4 == 1 ? 5 : 1); /* leaves, and is back */
			loopback_order(&f->nodes, "topology %u", ++epoch);
		}
		for (unsigned i = 0; now_ms() < until; i++) {
			if (i < 200)
				increment(f, tallies, (unsigned)prng_below(&prng, COUNTED_KEYS));
			slipring_poll(f->cache, 500);
		}
	}
	if (away != 0)
		meddle(f, &prng, &away);
	slipring_flush(f->cache);
	/* What each node ran is seen when it owns the key: with node 2 and without. */
	loopback_order(&f->nodes, "state 2 1");
	loopback_order(&f->nodes, "topology %u", ++epoch);
	follow(f, epoch);
	unsigned with[COUNTED_KEYS];
	bool second[COUNTED_KEYS];
	for (unsigned k = 0; k < COUNTED_KEYS; k++) {
		char key[16];

		with[k] = counted(f, k);
		second[k] = owner_of(f, key, (size_t)snprintf(key, sizeof key, "n%u", k)) == 1;
	}
	loopback_order(&f->nodes, "state 2 5");
	loopback_order(&f->nodes, "topology %u", ++epoch);
	follow(f, epoch);
	for (unsigned k = 0; k < COUNTED_KEYS; k++) {
		unsigned ran = with[k] + (second[k] ? counted(f, k) : 0);

		assert_in_range(ran, tallies[k].ok, tallies[k].ok + tallies[k].unknown);
		total += tallies[k].ok;
		unknown += tallies[k].unknown;
	}
	print_message("%u executed, %u unknown\n", total, unknown);
	assert_in_range(unknown, 0, total / 20);
}

/* Numbers of a second boot start here, so that each answer tells which boot gave it. */
enum { SECOND_BOOT = 1000000, WRITES = 150, WRITES_AFTER = 20 };

struct boots {
	unsigned first, second, unknown, none;
};

static void
tell_boot(void *context, const struct slipring_result *result)
{
	struct boots *boots = context;

	if (result->status == SLIPRING_OUTCOME_UNKNOWN)
		boots->unknown++;
	else if (result->status != SLIPRING_OK)
		boots->none++;
	else if (result->number < SECOND_BOOT)
		boots->first++;
	else
		boots->second++;
}

/* An owner is killed amid writes, cut off from the client or not, and starts again. */
static void
a_restart_amid_writes_lets_none_run_twice(void **state)
{
	struct fixture *f = *state;
	unsigned second = 0, unknown = 0;
	uint32_t number = 0;

	for (int polls = 0; polls < 6; polls++) {
		const char *key = key_of(f, 1, &number);
		struct slipring *cache = loopback_handle(f->nodes.ports[0], NULL);
		struct boots boots = { 0 };
		struct slipring_result r;

		assert_int_equal(slipring_set(f->cache, key, strlen(key), "0", 1, 0, 0, NULL), SLIPRING_OK);
		assert_int_equal(slipring_get(cache, key, strlen(key), &r), SLIPRING_OK);
		for (unsigned i = 0; i < WRITES; i++) {
			assert_int_equal(slipring_submit(cache, &(struct slipring_request){ .op = SLIPRING_OP_INCR, .key = key,
			    .key_len = strlen(key), .delta = 1, .done = tell_boot, .context = &boots }), SLIPRING_OK);
			if (i == WRITES / 2)
				for (int p = 0; p < polls; p++)
					slipring_poll(cache, 0);
		}
		if (polls % 2)
			loopback_order(&f->nodes, "cut 2");
		slipring_poll(cache, 0);
		loopback_order(&f->nodes, "kill 2");
		for (unsigned i = 0; i < WRITES_AFTER; i++)
			assert_int_equal(slipring_submit(cache, &(struct slipring_request){ .op = SLIPRING_OP_INCR, .key = key,
			    .key_len = strlen(key), .delta = 1, .done = tell_boot, .context = &boots }), SLIPRING_OK);
		loopback_order(&f->nodes, "start 2");
		if (polls % 2)
			loopback_order(&f->nodes, "cut 2");
		while (slipring_set(f->cache, key, strlen(key), "1000000", 7, 0, 0, NULL) == SLIPRING_OUTCOME_UNKNOWN)
			; /* a set may simply be done again */
		slipring_flush(cache);
		assert_int_equal(boots.first + boots.second + boots.unknown + boots.none, WRITES + WRITES_AFTER);
		loopback_order(&f->nodes, "mend 2");
		assert_int_equal(slipring_incr(f->cache, key, strlen(key), 0, &r), SLIPRING_OK);
		/* Those that found the second boot before the key was there say NOT_FOUND. */
		assert_int_equal(r.number - SECOND_BOOT, boots.second);
		print_message("%u before the kill, %u after it, %u unknown, %u not at all\n", boots.first, boots.second,
		    boots.unknown, boots.none);
		second += boots.second;
		unknown += boots.unknown;
		slipring_close(cache);
	}
	assert_true(second > 0 && unknown > 0); /* else the kill hit nothing */
}

static struct slipring *
open_hosts(const char *format, ...)
{
	struct slipring_options options;
	struct slipring *cache;
	char hosts[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(hosts, sizeof hosts, format, arguments);
	va_end(arguments);
	slipring_options_init(&options);
	options.try_timeout_us = 20000;
	cache = slipring_open(hosts, &options);
	assert_non_null(cache);
	return cache;
}

static void
any_of_the_hosts_given_will_do(void **state)
{
	struct fixture *f = *state;
	struct slipring_node nodes[NODES + 1];
	struct slipring *cache;
	uint64_t start;

	/* one that refuses, one that is silent, one that does not exist */
	loopback_order(&f->nodes, "cut 2");
	cache = open_hosts("127.0.0.1:1,127.0.0.1:%u,no-such-host.invalid,127.0.0.1:%u", f->nodes.ports[1], f->nodes.ports[2]);
	assert_int_equal(slipring_ready(cache), SLIPRING_OK);
	start = now_ms();
	assert_int_equal(slipring_set(cache, KEY("k"), "v", 1, 0, 0, NULL), SLIPRING_OK);
	assert_in_range(now_ms() - start, 0, 1500);
	assert_int_equal(slipring_get(cache, KEY("k"), NULL), SLIPRING_OK);
	assert_int_equal(slipring_nodes(cache, nodes, NODES + 1), NODES); /* who is no member is forgotten */
	slipring_close(cache);

	cache = open_hosts("no-such-host.invalid,neither.invalid");
	assert_int_equal(slipring_ready(cache), SLIPRING_NO_HOST);
	assert_non_null(strstr(slipring_error(cache), "neither.invalid"));
	slipring_close(cache);
	cache = open_hosts("127.0.0.1,");
	assert_int_equal(slipring_ready(cache), SLIPRING_BAD_ARGUMENT);
	slipring_close(cache);
	cache = open_hosts("127.0.0.1:70000");
	assert_int_equal(slipring_ready(cache), SLIPRING_BAD_ARGUMENT);
	assert_string_equal(slipring_error(cache), "\"127.0.0.1\" is not host or host:port");
	slipring_close(cache);
}

static void
patient(struct slipring_options *options)
{
	options->try_timeout_us = 5000000;
}

static void
a_multi_get_asks_all_owners_at_once(void **state)
{
	enum { COUNT = 600, SLOW_MS = 100 };
	struct fixture *f = *state;
	struct slipring *cache = loopback_handle(f->nodes.ports[0], patient);
	struct slipring_item *items = calloc(COUNT, sizeof *items);
	uint32_t *keys = calloc(COUNT, sizeof *keys);
	char *buffer = malloc(COUNT * 8);
	struct slipring_cluster cluster;
	uint64_t start;

	for (uint32_t i = 0; i < COUNT; i++) {
		keys[i] = i;
		items[i] = (struct slipring_item){ .key = &keys[i], .key_len = sizeof keys[i] };
		assert_int_equal(slipring_set(f->cache, &keys[i], sizeof keys[i], &i, sizeof i, 0, 0, NULL), SLIPRING_OK);
	}
	for (unsigned n = 1; n <= NODES; n++)
		loopback_order(&f->nodes, "slow %u %u", n, SLOW_MS);
	/* the first makes contact with every worker */
	assert_int_equal(slipring_mget(cache, items, 30, buffer, COUNT * 8), SLIPRING_OK);
	start = now_ms();
	assert_int_equal(slipring_mget(cache, items, COUNT, buffer, COUNT * 8), SLIPRING_OK);
	/* one after the other, three nodes with two workers each would take 600 ms at least */
	print_message("%u ms\n", (unsigned)(now_ms() - start));
	assert_in_range(now_ms() - start, SLOW_MS, 5 * SLOW_MS);
	for (uint32_t i = 0; i < COUNT; i++) {
		assert_int_equal(items[i].result.value_len, 4);
		assert_memory_equal(items[i].result.value, &i, 4);
	}
	slipring_cluster(cache, &cluster);
	assert_int_equal(cluster.lanes, 2 * NODES);
	slipring_close(cache);
	free(items);
	free(keys);
	free(buffer);
}

/* One large value whose owner changes, or is cut off, or both, while a part of its 750 chunks is on the way. */
static void
store_amid_change(struct fixture *f, int round, const char *key, const uint8_t *value, size_t len, struct tally *tally)
{
	const struct slipring_request request = { .op = SLIPRING_OP_SET, .key = key, .key_len = strlen(key),
		.value = value, .value_len = len, .done = count_outcome, .context = tally };

	assert_int_equal(slipring_submit(f->cache, &request), SLIPRING_OK);
	for (int polls = 0; polls < 2 + round / 3; polls++)
		slipring_poll(f->cache, 0);
	assert_int_equal(tally->ok + tally->unknown + tally->none, 0);
	if (round % 3 != 1) {
		loopback_order(&f->nodes, "state 2 5");
		loopback_order(&f->nodes, "topology %u", 2 * round + 2);
	}
	if (round % 3 != 0)
		loopback_order(&f->nodes, "cut 2");
	slipring_flush(f->cache);
}

static void
large_values_go_to_their_owner_and_start_again_when_it_changes(void **state)
{
	struct fixture *f = *state;
	uint8_t *value = malloc(SLIPRING_VALUE_MAX);
	uint32_t number = 0, stored = 0;
	struct prng prng = { 9 };
	struct slipring_result r;

	for (size_t i = 0; i < SLIPRING_VALUE_MAX; i++)
		value[i] = (uint8_t)prng_next(&prng);
	for (int round = 0; round < 9; round++) {
		const char *key = key_of(f, 1, &number);
		struct tally tally = { 0 };

		store_amid_change(f, round, key, value, SLIPRING_VALUE_MAX - (size_t)round, &tally);
		/* When just the last step was on its way, nobody can tell. */
		assert_true(tally.ok == 1 || tally.unknown == 1);
		stored += tally.ok;
		assert_int_equal(slipring_get(f->cache, key, strlen(key), &r), tally.ok ? SLIPRING_OK : r.status);
		if (r.status == SLIPRING_OK) {
			assert_int_equal(r.value_len, SLIPRING_VALUE_MAX - round);
			assert_memory_equal(r.value, value, r.value_len);
		}
		loopback_order(&f->nodes, "mend 2");
		loopback_order(&f->nodes, "state 2 1");
		loopback_order(&f->nodes, "topology %u", 2 * round + 3);
		follow(f, 2 * (uint32_t)round + 3);
	}
	assert_in_range(stored, 7, 9);
	free(value);
}

static void
with_hedging(struct slipring_options *options)
{
	options->hedge_percent = 10;
}

static void
a_late_read_is_asked_of_a_second_node(void **state)
{
	struct fixture *f = *state;
	struct slipring *cache = loopback_handle(f->nodes.ports[0], with_hedging);
	uint32_t number = 0;
	const char *key = key_of(f, 1, &number);
	struct slipring_cluster cluster;
	struct slipring_node owner;
	unsigned reads = 0;
	uint64_t start;

	assert_int_equal(slipring_set(cache, key, strlen(key), "v", 1, 0, 0, NULL), SLIPRING_OK);
	/* Now and then the way to the owner takes long; the other ways lead to the same owner in time. */
	loopback_order(&f->nodes, "slow 2 2");
	for (int i = 0; i < 300; i++, reads++)
		assert_int_equal(slipring_get(cache, key, strlen(key), NULL), SLIPRING_OK);
	slipring_cluster(cache, &cluster);
	assert_in_range(cluster.hedges, 0, reads / 10 + 4);
	for (int i = 0; i < 5; i++) {
		loopback_order(&f->nodes, "cut 2");
		start = now_ms();
		assert_int_equal(slipring_get(cache, key, strlen(key), NULL), SLIPRING_OK);
		assert_in_range(now_ms() - start, 0, 500);
		loopback_order(&f->nodes, "mend 2");
		start = now_ms();
		do { /* until it is taken for up again */
			for (int n = 0; n < 30; n++, reads++)
				assert_int_equal(slipring_get(cache, key, strlen(key), NULL), SLIPRING_OK);
			assert_int_equal(slipring_owner(cache, key, strlen(key), 0, &owner), SLIPRING_OK);
		} while (owner.failures > 0 && now_ms() - start < 2000);
	}
	slipring_cluster(cache, &cluster);
	print_message("%u reads, %u hedges, %u won\n", reads, (unsigned)cluster.hedges, (unsigned)cluster.hedge_wins);
	assert_in_range(cluster.hedges, 1, reads / 10 + 4);
	assert_true(cluster.hedge_wins > 0);
	/* without the option there are none */
	slipring_cluster(f->cache, &cluster);
	assert_int_equal(cluster.hedges, 0);
	slipring_close(cache);
}

int
main(void)
{
#define CLUSTER(test, start) cmocka_unit_test_setup_teardown(test, start, teardown)
	const struct CMUnitTest tests[] = {
		CLUSTER(each_key_goes_straight_to_its_owner, setup),
		CLUSTER(a_handle_tells_what_it_knows, setup),
		CLUSTER(a_newer_epoch_is_followed, setup),
		CLUSTER(a_node_that_is_behind_is_not_believed, setup),
		CLUSTER(an_owner_that_is_cut_off_is_reached_by_way_of_another, setup),
		CLUSTER(a_dead_owner_is_named, setup_hasty),
		CLUSTER(any_of_the_hosts_given_will_do, setup),
		CLUSTER(a_multi_get_asks_all_owners_at_once, setup),
		CLUSTER(large_values_go_to_their_owner_and_start_again_when_it_changes, setup),
		CLUSTER(a_late_read_is_asked_of_a_second_node, setup),
		CLUSTER(a_restart_amid_writes_lets_none_run_twice, setup),
		CLUSTER(increments_execute_once_whatever_way_they_go, setup),
		{ "increments_execute_once_whatever_way_they_go, on a bad link", increments_execute_once_whatever_way_they_go,
			setup_lossy, teardown, NULL },
		CLUSTER(increments_execute_once_while_slots_change_hands, setup),
		{ "increments_execute_once_while_slots_change_hands, on a bad link",
			increments_execute_once_while_slots_change_hands, setup_lossy, teardown, NULL },
	};

	return cmocka_run_group_tests_name("client and cluster", tests, NULL, NULL);
}
