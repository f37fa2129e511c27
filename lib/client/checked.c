/* An application's request, checked before anything is sent, in the protocol's terms. */
#include "client/handle.h"
#include "ring/slot.h"

_Static_assert((int)SLIPRING_ADD == (int)REQUEST_ADD && (int)SLIPRING_REPLACE == (int)REQUEST_REPLACE &&
    (int)SLIPRING_CAS == (int)REQUEST_CAS && (int)SLIPRING_CREATE == (int)REQUEST_CREATE,
    "modes are the protocol's flags");
_Static_assert((int)SLIPRING_OP_GET == (int)OP_GET && (int)SLIPRING_OP_PING == (int)OP_PING,
    "operations are the protocol's");
_Static_assert((int)SLIPRING_KEY_MAX == (int)KEY_LEN_MAX && (int)SLIPRING_VALUE_MAX == (int)VALUE_LEN_MAX, "limits are the node's");
_Static_assert((int)SLIPRING_WORKERS_MAX == (int)WORKER_MAX, "limits are the node's");

/* The modes an operation takes. */
static unsigned
modes(enum slipring_op op)
{
	switch (op) {
	case SLIPRING_OP_SET:
		return SLIPRING_ADD | SLIPRING_REPLACE | SLIPRING_CAS;
	case SLIPRING_OP_DELETE:
	case SLIPRING_OP_APPEND:
	case SLIPRING_OP_PREPEND:
		return SLIPRING_CAS;
	case SLIPRING_OP_INCR:
	case SLIPRING_OP_DECR:
		return SLIPRING_CREATE;
	default:
		return 0;
	}
}

static enum slipring_status
check_key(struct slipring *handle, const struct slipring_request *from)
{
	if (from->op == SLIPRING_OP_PING)
		return SLIPRING_OK;
	if (!from->key || from->key_len == 0)
		return handle_fail(handle, SLIPRING_BAD_KEY, "the key is empty; keys have 1 to %d bytes", SLIPRING_KEY_MAX);
	if (from->key_len > SLIPRING_KEY_MAX)
		return handle_fail(handle, SLIPRING_BAD_KEY, "the key has %zu bytes; the limit is %d",
		    from->key_len, SLIPRING_KEY_MAX);
	return SLIPRING_OK;
}

static enum slipring_status
check_value(struct slipring *handle, const struct slipring_request *from)
{
	bool part = from->op == SLIPRING_OP_APPEND || from->op == SLIPRING_OP_PREPEND;

	if (!from->value && from->value_len > 0)
		return handle_fail(handle, SLIPRING_BAD_ARGUMENT, "value is NULL with a length of %zu", from->value_len);
	if (part && from->value_len > SLIPRING_APPEND_MAX)
		return handle_fail(handle, SLIPRING_TOO_LARGE, "%zu bytes to add; one call adds at most %d",
		    from->value_len, SLIPRING_APPEND_MAX);
	if (from->value_len > SLIPRING_VALUE_MAX)
		return handle_fail(handle, SLIPRING_TOO_LARGE, "the value has %zu bytes; the limit is %d (1 MiB)",
		    from->value_len, SLIPRING_VALUE_MAX);
	return SLIPRING_OK;
}

static enum slipring_status
check_rest(struct slipring *handle, const struct slipring_request *from)
{
	unsigned mode = (unsigned)from->mode;

	if (from->op < SLIPRING_OP_GET || from->op > SLIPRING_OP_PING)
		return handle_fail(handle, SLIPRING_BAD_ARGUMENT, "no operation has the number %d", (int)from->op);
	if ((mode & ~modes(from->op)) || (mode & (mode - 1)))
		return handle_fail(handle, SLIPRING_BAD_ARGUMENT, "mode %u does not go with operation %d", mode, (int)from->op);
	if (mode == SLIPRING_CAS && from->version == 0)
		return handle_fail(handle, SLIPRING_BAD_ARGUMENT, "cas with version 0; versions of items are never 0");
	if (from->ttl_ms > SLIPRING_TTL_MS_MAX)
		return handle_fail(handle, SLIPRING_BAD_ARGUMENT, "a TTL of %llu ms; the limit is 100 years (%llu ms)",
		    (unsigned long long)from->ttl_ms, SLIPRING_TTL_MS_MAX);
	return SLIPRING_OK;
}

enum slipring_status
request_check(struct slipring *handle, const struct slipring_request *from, struct request *to)
{
	enum slipring_status status = check_rest(handle, from);

	if (status == SLIPRING_OK)
		status = check_key(handle, from);
	if (status == SLIPRING_OK)
		status = check_value(handle, from);
	if (status != SLIPRING_OK)
		return status;
	*to = (struct request){ .op = (uint8_t)from->op, .flags = (uint16_t)from->mode,
		.version = from->version, .expiry_ms = from->ttl_ms, .delta = from->delta,
		.initial = from->initial, .client_flags = from->flags };
	if (op_has_key(to->op)) {
		to->key = view_of(from->key, (uint32_t)from->key_len);
		to->slot = slot_of_key(to->key);
	}
	if (to->op == OP_SET || to->op == OP_APPEND || to->op == OP_PREPEND)
		to->value = view_of(from->value, (uint32_t)from->value_len);
	return SLIPRING_OK;
}
