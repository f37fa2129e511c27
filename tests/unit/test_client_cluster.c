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
		assert_int_equal(figure(f, n, "cmd_get "), sets[n]);
		assert_int_equal(figure(f, n, "forward_sent "), 0);
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
	};

	(void)setup_lossy;
	return cmocka_run_group_tests_name("client and cluster", tests, NULL, NULL);
}
