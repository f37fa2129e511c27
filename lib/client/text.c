/* Names and sentences of statuses. */
#include "client/slipring.h"
#include "proto/request.h"

/* Every status of the wire has its constant here, with the same number. */
#define OP_STATUS(suffix, number, name, text) \
	_Static_assert((int)SLIPRING_##suffix == number, "statuses are numbered as on the wire");
#include "proto/op_status.def"
#undef OP_STATUS

static const struct {
	const char *name, *text;
} own[] = {
	{ "timeout", "no answer before the deadline" },
	{ "unreachable", "the node cannot be reached" },
	{ "bad_argument", "an argument is outside its range" },
	{ "window_full", "too many operations in flight on this handle; poll first" },
	{ "no_host", "the host name does not resolve" },
	{ "no_memory", "out of memory in this process" },
	{ "cancelled", "the handle was closed before an answer came" },
	{ "bad_reply", "the node answered something that cannot be read" },
};

enum { OWN_FIRST = SLIPRING_TIMEOUT, OWN_COUNT = sizeof own / sizeof own[0] };
_Static_assert(OWN_FIRST + OWN_COUNT - 1 == SLIPRING_BAD_REPLY, "each has its text");

const char *
slipring_status_name(enum slipring_status status)
{
	unsigned at = (unsigned)status - OWN_FIRST;

	return at < OWN_COUNT ? own[at].name : op_status_name((enum op_status)status);
}

const char *
slipring_status_text(enum slipring_status status)
{
	unsigned at = (unsigned)status - OWN_FIRST;

	return at < OWN_COUNT ? own[at].text : op_status_text((enum op_status)status);
}
