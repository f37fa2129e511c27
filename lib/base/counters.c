#include "base/counters.h"

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
