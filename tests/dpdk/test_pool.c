/*
 * Packet pools: what a driver is told of the shared memory holds for every buffer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <rte_mbuf.h>

#include "base/roles.h"
#include "eal.h"
#include "io/pool.h"

enum { COUNT = 8192 };

struct span {
	uintptr_t first, last;
	uint32_t count;
};

static void
widen(struct rte_mempool *pool, void *argument, void *object, unsigned index)
{
	struct span *span = argument;
	uintptr_t at = (uintptr_t)object;

	(void)pool;
	(void)index;
	span->first = at < span->first ? at : span->first;
	span->last = at > span->last ? at : span->last;
	span->count++;
}

static struct span
span_of(struct rte_mempool *pool)
{
	struct span span = { .first = UINTPTR_MAX };

	rte_mempool_obj_iter(pool, widen, &span);
	return span;
}

static void
buffers_stand_without_gaps(void **state)
{
	struct rte_mempool *pool = pool_create("dense", "net_af_xdp", COUNT);
	uint32_t size = pool_buffer_bytes("net_af_xdp");
	struct span span;

	(void)state;
	assert_non_null(pool);
	span = span_of(pool);
	assert_int_equal(span.count, COUNT);
	assert_int_equal(pool->nb_mem_chunks, 1);
	assert_int_equal(size, pool->header_size + pool->elt_size + pool->trailer_size);
	assert_int_equal(span.last - span.first, (uintptr_t)(COUNT - 1) * size);
	rte_mempool_free(pool);
}

static void
buffers_are_ready_for_frames(void **state)
{
	struct rte_mempool *pool = pool_create("ready", "net_af_xdp", COUNT);
	struct rte_mbuf *mbufs[64];

	(void)state;
	assert_non_null(pool);
	assert_int_equal(rte_pktmbuf_alloc_bulk(pool, mbufs, 64), 0);
	for (uint32_t i = 0; i < 64; i++) {
		assert_int_equal(rte_pktmbuf_headroom(mbufs[i]), RTE_PKTMBUF_HEADROOM);
		assert_true(rte_pktmbuf_tailroom(mbufs[i]) >= FRAME_LEN_MAX);
	}
	rte_pktmbuf_free_bulk(mbufs, 64);
	rte_mempool_free(pool);
}

static void
a_card_keeps_its_buffers_within_pages(void **state)
{
	struct rte_mempool *pool = pool_create("pci", "pci", COUNT);

	(void)state;
	assert_non_null(pool);
	assert_true(span_of(pool).count == COUNT);
	assert_true(span_of(pool).last - span_of(pool).first <= (uintptr_t)COUNT * pool_buffer_bytes("pci"));
	rte_mempool_free(pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffers_stand_without_gaps),
		cmocka_unit_test(buffers_are_ready_for_frames),
		cmocka_unit_test(a_card_keeps_its_buffers_within_pages),
	};

	eal_start();
	role_main_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
