#include "watchdog.h"

#include "base/check.h"

_Static_assert(WORKER_MAX <= 32, "a bit a worker");

void
watchdog_init(struct watchdog *watchdog, uint32_t worker_count)
{
	CHECK(worker_count <= WORKER_MAX);
	watchdog->worker_count = worker_count;
	for (uint32_t i = 0; i < worker_count; i++)
		watchdog->polls[i] = 0;
}

uint32_t
watchdog_step(struct watchdog *watchdog, const uint64_t *polls)
{
	uint32_t stalled = 0;

	for (uint32_t i = 0; i < watchdog->worker_count; i++) {
		if (polls[i] == watchdog->polls[i])
			stalled |= 1u << i;
		watchdog->polls[i] = polls[i];
	}
	return stalled;
}
