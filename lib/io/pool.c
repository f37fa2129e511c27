#include "io/pool.h"

#include <string.h>

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>

enum { CACHE = 256, PAGE = 4096, ELEMENT = sizeof(struct rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE };

bool
pool_is_dense(const char *driver)
{
	return strcmp(driver, "pci") != 0;
}

static uint32_t
flags_of(const char *driver)
{
	return pool_is_dense(driver) ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0;
}

uint32_t
pool_buffer_bytes(const char *driver)
{
	return pool_is_dense(driver) ? rte_mempool_calc_obj_size(ELEMENT, flags_of(driver), NULL) : PAGE;
}

static bool
populate(struct rte_mempool *pool)
{
	int error = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL);

	if (error == 0) {
		rte_pktmbuf_pool_init(pool, NULL);
		error = rte_mempool_populate_default(pool);
	}
	if (error < 0) {
		rte_errno = -error;
		return false;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return true;
}

struct rte_mempool *
pool_create(const char *name, const char *driver, uint32_t count)
{
	struct rte_mempool *pool = rte_mempool_create_empty(name, count, ELEMENT, CACHE,
	    sizeof(struct rte_pktmbuf_pool_private), SOCKET_ID_ANY, flags_of(driver));

	if (!pool || populate(pool))
		return pool;
	rte_mempool_free(pool);
	return NULL;
}
