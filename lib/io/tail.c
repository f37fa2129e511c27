#include "io/tail.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_eal.h>
#include <rte_mbuf.h>
#include <rte_vfio.h>

#include "base/check.h"
#include "io/port.h"

/* CACHE: of the pool, for the port's lcore. ROUND: tails of one round, before any is sent. */
enum { CACHE = 128, ROUND = 256, PRIVATE = RTE_ALIGN(sizeof(struct rte_mbuf_ext_shared_info), RTE_MBUF_PRIV_ALIGN) };

/* Drivers that read a frame with the CPU, as DPDK calls them. */
static bool
copies(const char *driver)
{
	static const char *const drivers[] = { "net_af_packet", "net_vhost", "net_ring" };

	for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++)
		if (strcmp(drivers[i], driver) == 0)
			return true;
	return false;
}

enum port_tails
tail_decide(const struct io_config *config, const struct rte_eth_dev_info *info)
{
	if (!config->profile.external_tx)
		return PORT_TAILS_OFF;
	if (!(info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS))
		return PORT_TAILS_DRIVER;
	return copies(info->driver_name) || config->shares ? PORT_TAILS_REFERRED : PORT_TAILS_MEMORY;
}

/* The IOMMU of all cards under vfio; addresses of devices are the process's own (eal.c). */
bool
io_share(void *memory, uint64_t len)
{
	uint64_t at = (uint64_t)(uintptr_t)memory;

	return rte_vfio_container_dma_map(RTE_VFIO_DEFAULT_CONTAINER_FD, at, at, len) == 0;
}

bool
io_can_share(const struct io_profile *profile)
{
	enum { TRIAL = 2 << 20 };
	void *const low = (void *)(1ull << 38); /* as store/arena.c will: an IOMMU may know 39 bits of addresses only */
	uint64_t at;
	bool can;
	void *memory;

	if (!profile->external_tx || strcmp(profile->driver, "pci") != 0 || rte_eal_iova_mode() != RTE_IOVA_VA ||
	    rte_vfio_noiommu_is_enabled() == 1)
		return false;
	memory = mmap(low, TRIAL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return false;
	at = (uint64_t)(uintptr_t)memory;
	can = io_share(memory, TRIAL);
	if (can)
		can = rte_vfio_container_dma_unmap(RTE_VFIO_DEFAULT_CONTAINER_FD, at, at, TRIAL) == 0;
	munmap(memory, TRIAL);
	return can;
}

static uint32_t
pool_count(const struct io_profile *profile)
{
	return profile->tx_descriptors + ROUND + CACHE * 3 / 2;
}

uint64_t
tail_pool_bytes(const struct io_profile *profile)
{
	if (!profile->external_tx)
		return 0;
	return (uint64_t)pool_count(profile) * rte_mempool_calc_obj_size(sizeof(struct rte_mbuf) + PRIVATE, 0, NULL);
}

struct rte_mempool *
tail_pool_create(const struct io_profile *profile, uint32_t worker)
{
	char name[32];

	snprintf(name, sizeof name, "tail%u", worker);
	return rte_pktmbuf_pool_create(name, pool_count(profile), CACHE, PRIVATE, 0, SOCKET_ID_ANY);
}

/* The NIC has done with the frame; the store may reuse the item when all else have let go of it, too. */
static void
let_go(void *bytes, void *pins)
{
	(void)bytes;
	outq_unpin(pins);
}

static bool
refer(struct port *port, struct pkt *pkt, const struct pkt_tail *tail)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(port->tail_pool);
	struct rte_mbuf_ext_shared_info *shared;
	uint8_t *bytes = (uint8_t *)(uintptr_t)tail->data; /* DPDK's buffers are not const; nobody writes to this one */

	if (!mbuf)
		return false;
	shared = rte_mbuf_to_priv(mbuf);
	shared->free_cb = let_go;
	shared->fcb_opaque = tail->pins;
	rte_mbuf_ext_refcnt_set(shared, 1);
	rte_pktmbuf_attach_extbuf(mbuf, bytes, (rte_iova_t)(uintptr_t)bytes, tail->len, shared);
	mbuf->data_len = tail->len;
	mbuf->pkt_len = tail->len;
	CHECK(rte_pktmbuf_chain(pkt->handle, mbuf) == 0);
	return true;
}

void
port_append(struct port *port, struct pkt *pkt, const struct pkt_tail *tail)
{
	if (port->tails == PORT_TAILS_REFERRED && refer(port, pkt, tail))
		return;
	CHECK((uint32_t)pkt->len + tail->len <= pkt->room);
	memcpy(pkt->data + pkt->len, tail->data, tail->len);
	pkt->len = (uint16_t)(pkt->len + tail->len);
	outq_unpin(tail->pins);
}
