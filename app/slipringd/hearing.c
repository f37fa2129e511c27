#include "hearing.h"

#include <string.h>

#include "base/check.h"

void
hearing_init(struct hearing *hearing, uint32_t worker_count)
{
	CHECK(worker_count <= WORKER_MAX);
	memset(hearing, 0, sizeof *hearing);
	hearing->worker_count = worker_count;
}

uint32_t
hearing_step(struct hearing *hearing, const struct hearing_figures *figures)
{
	uint32_t deaf = 0;

	for (uint32_t i = 0; i < hearing->worker_count; i++) {
		uint64_t heard = figures[i].heard, offered = figures[i].offered;

		if (heard != hearing->workers[i].heard || offered < hearing->workers[i].offered) {
			hearing->workers[i].heard = heard;
			hearing->workers[i].offered = offered;
			hearing->workers[i].silent = 0;
		} else if (hearing->workers[i].silent < HEARING_STEPS) {
			hearing->workers[i].silent++;
		}
		if (hearing->workers[i].silent == HEARING_STEPS && offered - hearing->workers[i].offered >= HEARING_FRAMES)
			deaf |= 1u << i;
	}
	return deaf;
}
