#include "base/counters.h"

#include <stddef.h>

static const struct {
	const char *name, *text;
} drops[] = {
	{ "none", "not dropped" },
#define DROP(suffix, name, text) { name, text },
#include "base/drop.def"
#undef DROP
}, counters[] = {
#define COUNTER(suffix, name, text) { name, text },
#include "base/counter.def"
#undef COUNTER
};

const char *
drop_name(enum drop drop)
{
	return drops[drop].name;
}

const char *
drop_text(enum drop drop)
{
	return drops[drop].text;
}

const char *
counter_name(enum counter counter)
{
	return counters[counter].name;
}

const char *
counter_text(enum counter counter)
{
	return counters[counter].text;
}

uint64_t
counters_sum(const struct counters *const *all, uint32_t count, enum counter counter)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sum += counter_read(all[i], counter);
	return sum;
}

static uint64_t
sum_of_kinds(const struct counters *const *all, uint32_t count, const enum counter *kinds, size_t kind_count)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < kind_count; i++)
		sum += counters_sum(all, count, kinds[i]);
	return sum;
}

uint64_t
counters_operations(const struct counters *const *all, uint32_t count)
{
	static const enum counter kinds[] = { COUNTER_CMD_GET, COUNTER_CMD_SET, COUNTER_CMD_DELETE, COUNTER_CMD_TOUCH,
		COUNTER_CMD_FLUSH, COUNTER_INCR_HITS, COUNTER_INCR_MISSES, COUNTER_DECR_HITS, COUNTER_DECR_MISSES };

	return sum_of_kinds(all, count, kinds, sizeof kinds / sizeof *kinds);
}

/* Each connection that was accepted ends in one of these. */
uint64_t
counters_ended(const struct counters *const *all, uint32_t count)
{
	static const enum counter kinds[] = { COUNTER_TCP_CLOSED, COUNTER_TCP_RESETS_IN, COUNTER_TCP_TIMED_OUT,
		COUNTER_TCP_IDLE, COUNTER_TCP_ABORTED, COUNTER_TCP_NO_MEMORY, COUNTER_TCP_LIMIT };

	return sum_of_kinds(all, count, kinds, sizeof kinds / sizeof *kinds);
}
