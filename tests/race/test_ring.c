/*
 * The control core's tables on their way to the workers, under the thread sanitizer: one thread
 * publishes ever new ones, others read them between quiescent states, and one looks at
 * whether a table that somebody reads is ever written again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "slipringd/core_state.h"
#include "store/reclaim.h"

enum { READERS = 3, EPOCHS = 150, MEMBERS = 6 };

static struct core *core;
static const struct serve_ring *_Atomic published;
static atomic_bool stop;
static uint64_t told; /* epochs that were news */

/* What core_ring.c asks of the other files of the core. */
void
core_view_epoch(struct core *c)
{
	(void)c;
	told++;
}

void
calls_ring(struct calls *calls, struct now now, const struct serve_ring *ring)
{
	(void)calls, (void)now;
	CHECK(ring == atomic_load(&published));
}

static void
topology_set(uint64_t epoch)
{
	struct ring_topology *topology = &core->cluster.authority.committed.ring;

	memset(topology, 0, sizeof *topology);
	topology->replication = 1;
	for (uint16_t i = 0; i <= epoch % MEMBERS; i++)
		CHECK(ring_topology_add(topology, &(struct ring_member){ .id = 1000 + i, .index = i, .weight = 64,
		    .state = RING_ALIVE }));
	topology->epoch = epoch;
	core->ring_dirty = true;
}

/* All of a table speaks of one epoch. */
static void
look(const struct serve_ring *ring)
{
	struct topology answer;

	CHECK(ring->epoch == ring->snapshot.topology.epoch && ring->epoch == ring->snapshot.table.epoch);
	CHECK(ring->snapshot.table.digest == ring->snapshot.topology.digest);
	CHECK(ring->snapshot.topology.count == ring->epoch % MEMBERS + 1);
	CHECK(topology_parse(view_of(ring->topology, ring->topology_len), &answer));
	CHECK(answer.epoch == ring->epoch && answer.node_count == ring->snapshot.topology.count);
	for (uint16_t slot = 0; slot < SLOT_COUNT; slot += 1021)
		CHECK(ring_owner(&ring->snapshot.table, slot, 0) < ring->snapshot.topology.count);
}

/* A worker's burst, with a sleep now and then. */
static void *
reader_main(void *rounds)
{
	uint32_t epoch = 0;

	role_worker_begin();
	reclaim_register();
	while (!atomic_load(&stop)) {
		const struct serve_ring *ring = atomic_load_explicit(&published, memory_order_acquire);

		if (ring) {
			CHECK(ring->epoch >= epoch); /* never back */
			epoch = ring->epoch;
			look(ring);
			look(ring);
		}
		reclaim_quiescent();
		if (++*(uint64_t *)rounds % 16 == 0) {
			reclaim_offline();
			reclaim_online();
		}
	}
	reclaim_unregister();
	return NULL;
}

static int
start(void **state)
{
	struct cluster_config config;

	(void)state;
	core = calloc(1, sizeof *core);
	cluster_config_default(&config);
	memcpy(config.id, "n1", 3);
	config.boot = 1;
	config.address.port = 7946;
	config.api.port = 7411;
	config.members_max = 8;
	config.insecure = true;
	assert_true(core && cluster_init(&core->cluster, &config, (struct now){ .mono_ns = NS_PER_SEC }, 1));
	core->published = &published;
	assert_true(core_ring_init(core));
	return 0;
}

static int
end(void **state)
{
	(void)state;
	core_ring_deinit(core);
	cluster_deinit(&core->cluster);
	free(core);
	return 0;
}

static void
a_table_is_whole_while_anybody_reads_it(void **state)
{
	pthread_t threads[READERS];
	uint64_t rounds[READERS] = { 0 };

	(void)state;
	role_core_begin();
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader_main, &rounds[i]), 0);
	for (uint64_t epoch = 1; epoch <= EPOCHS; epoch++) {
		topology_set(epoch);
		while (core->ring_dirty) {
			core_ring_tick(core);
			sched_yield();
		}
		assert_int_equal(atomic_load(&published)->epoch, epoch);
	}
	atomic_store(&stop, true);
	for (int i = 0; i < READERS; i++) {
		pthread_join(threads[i], NULL);
		assert_true(rounds[i] > 0);
	}
	assert_int_equal(told, EPOCHS);
}

static void
what_says_the_same_is_not_published_again(void **state)
{
	const struct serve_ring *ring = atomic_load(&published);

	(void)state;
	role_core_begin();
	core->ring_dirty = true;
	core_ring_tick(core);
	assert_false(core->ring_dirty);
	assert_ptr_equal(atomic_load(&published), ring);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_is_whole_while_anybody_reads_it),
		cmocka_unit_test(what_says_the_same_is_not_published_again),
	};

	return cmocka_run_group_tests(tests, start, end);
}
