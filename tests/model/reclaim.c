/*
 * Model of the reclaim leaf: quiescent states by counting, with no thread.
 * Every stamp moves the clock on; a reader's quiescent state copies the clock;
 * what carries stamp s is free once every reader online has copied more than s.
 */
#include "store/reclaim.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "base/check.h"

enum { READERS_MAX = 64, OFFLINE = 0 };

static struct {
	_Atomic uint64_t clock; /* starts at 1: 0 means offline */
	struct {
		atomic_bool taken;
		_Atomic uint64_t seen;
	} readers[READERS_MAX];
} model = { .clock = 1 };

static _Thread_local int me = -1;

enum status
reclaim_start(struct error *error)
{
	(void)error;
	return STATUS_OK;
}

void
reclaim_stop(void)
{
}

void
reclaim_register(void)
{
	CHECK(me < 0);
	for (int i = 0; i < READERS_MAX && me < 0; i++)
		if (!atomic_exchange(&model.readers[i].taken, true))
			me = i;
	CHECK(me >= 0);
	reclaim_online();
}

void
reclaim_unregister(void)
{
	reclaim_offline();
	atomic_store(&model.readers[me].taken, false);
	me = -1;
}

void
reclaim_quiescent(void)
{
	CHECK(me >= 0);
	atomic_store(&model.readers[me].seen, atomic_load(&model.clock));
}

void
reclaim_offline(void)
{
	atomic_store(&model.readers[me].seen, OFFLINE);
}

void
reclaim_online(void)
{
	reclaim_quiescent();
}

uint64_t
reclaim_stamp(void)
{
	return atomic_fetch_add(&model.clock, 1);
}

uint64_t
reclaim_completed(void)
{
	uint64_t oldest = atomic_load(&model.clock);

	for (int i = 0; i < READERS_MAX; i++) {
		uint64_t seen = atomic_load(&model.readers[i].seen);

		if (seen != OFFLINE && seen < oldest)
			oldest = seen;
	}
	return oldest;
}
