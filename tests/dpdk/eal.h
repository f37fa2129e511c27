/* eal.h - the least of DPDK's EAL, without huge pages, for tests of the store. */
#ifndef TESTS_DPDK_EAL_H
#define TESTS_DPDK_EAL_H

#include <rte_eal.h>

#include "base/check.h"

static inline void
eal_start(void)
{
	static char *arguments[] = { "test", "-l", "0", "--no-huge", "-m", "256", "--no-pci",
		"--no-telemetry", "--no-shconf", "--log-level", "lib.eal:4", "--iova-mode=va" };

	CHECK(rte_eal_init(sizeof arguments / sizeof arguments[0], arguments) >= 0);
}

#endif
