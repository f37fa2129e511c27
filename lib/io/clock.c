/* The clock: TSC between two looks at the kernel's clocks. */
#include <time.h>

#include <rte_cycles.h>

#include "io/io.h"

enum { REFRESH_US = 200 };

struct base {
	uint64_t tsc, mono_ns, wall_ms, refresh_cycles;
	double ns_per_cycle;
};

static _Thread_local struct base base;

uint64_t
io_cycles(void)
{
	return rte_rdtsc();
}

uint64_t
io_cycles_hz(void)
{
	return rte_get_tsc_hz();
}

static uint64_t
read_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

static void
refresh(uint64_t tsc)
{
	if (base.refresh_cycles == 0) {
		uint64_t hz = rte_get_tsc_hz();

		base.ns_per_cycle = 1e9 / (double)hz;
		base.refresh_cycles = hz / (1000000 / REFRESH_US);
	}
	/* Never back: what was extrapolated may be ahead of the kernel by its error. */
	uint64_t mono_ns = read_ns(CLOCK_MONOTONIC);
	uint64_t told = base.mono_ns + (uint64_t)((double)(tsc - base.tsc) * base.ns_per_cycle);

	base.mono_ns = base.tsc && mono_ns < told ? told : mono_ns;
	base.tsc = tsc;
	base.wall_ms = read_ns(CLOCK_REALTIME) / NS_PER_MS;
}

void
io_now(struct now *now)
{
	uint64_t tsc = rte_rdtsc();

	if (tsc - base.tsc >= base.refresh_cycles)
		refresh(tsc);
	now->mono_ns = base.mono_ns + (uint64_t)((double)(tsc - base.tsc) * base.ns_per_cycle);
	now->wall_ms = base.wall_ms;
}
