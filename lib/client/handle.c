/* A handle's life, its lanes and its errors. */
#include "client/handle.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/now.h"
#include "ring/slot.h"

enum {
	TRY_TIMEOUT_US_MIN = 100,
	TIMEOUT_US_MAX = 60000000,
	WINDOW_DEFAULT = 256,
	HEDGE_PERCENT_MAX = 50,
	HEDGE_AFTER_DEFAULT = 100,
	HEDGE_AFTER_MIN = 10,
	HEDGE_AFTER_MAX = 1000,
};

uint64_t
handle_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

enum slipring_status
handle_fail(struct slipring *handle, enum slipring_status status, const char *format, ...)
{
	va_list arguments;

	if (!handle)
		return status;
	va_start(arguments, format);
	vsnprintf(handle->error, sizeof handle->error, format, arguments);
	va_end(arguments);
	return status;
}

/* "n1:7411", or "n2:7411 by way of n1:7411". */
static void
name_way(const struct lane *lane, char *text, size_t size)
{
	const struct path *detour = &lane->detour;
	int len = snprintf(text, size, "%s:%u", lane->node->name, lane->direct.port);

	if (lane->path == detour && len >= 0 && (size_t)len < size)
		snprintf(text + len, size - (size_t)len, " by way of %s:%u", detour->node->name, detour->port);
}

enum slipring_status
handle_explain(struct slipring *handle, const struct lane *lane, enum slipring_status status)
{
	const char *text = slipring_status_text(status);
	char way[400];

	name_way(lane, way, sizeof way);
	switch (status) {
	case SLIPRING_OK:
		return status;
	case SLIPRING_TIMEOUT:
		return handle_fail(handle, status, "no answer from %s within %u ms", way, handle->options.deadline_us / 1000);
	case SLIPRING_UNREACHABLE:
		return handle_fail(handle, status, "%s: %s", way, strerror(lane->path->network_error));
	default:
		/* Of one node there is nothing to tell apart. */
		return handle->member_count > 1 ? handle_fail(handle, status, "%s: %s", way, text) :
		    handle_fail(handle, status, "%s", text);
	}
}

void
slipring_options_init(struct slipring_options *options)
{
	*options = (struct slipring_options){ .size = sizeof *options, .port = SLIPRING_PORT,
		.try_timeout_us = 200000, .deadline_us = 2000000, .window = WINDOW_DEFAULT,
		.hedge_after_percent = HEDGE_AFTER_DEFAULT };
}

static enum slipring_status
check_options(struct slipring *handle)
{
	const struct slipring_options *o = &handle->options;

	if (o->port == 0)
		return handle_fail(handle, SLIPRING_BAD_ARGUMENT, "port 0");
	if (o->try_timeout_us < TRY_TIMEOUT_US_MIN || o->try_timeout_us > TIMEOUT_US_MAX)
		return handle_fail(handle, SLIPRING_BAD_ARGUMENT, "try_timeout_us %u is not %d to %d", o->try_timeout_us,
		    TRY_TIMEOUT_US_MIN, TIMEOUT_US_MAX);
	if (o->deadline_us < o->try_timeout_us)
		return handle_fail(handle, SLIPRING_BAD_ARGUMENT, "deadline_us %u is less than try_timeout_us %u",
		    o->deadline_us, o->try_timeout_us);
	if (o->window < 1 || o->window > SLIPRING_WINDOW_MAX)
		return handle_fail(handle, SLIPRING_BAD_ARGUMENT, "window %u is not 1 to %d", o->window, SLIPRING_WINDOW_MAX);
	if (o->hedge_percent > HEDGE_PERCENT_MAX)
		return handle_fail(handle, SLIPRING_BAD_ARGUMENT, "hedge_percent %u is not 0 to %d", o->hedge_percent,
		    HEDGE_PERCENT_MAX);
	if (o->hedge_after_percent < HEDGE_AFTER_MIN || o->hedge_after_percent > HEDGE_AFTER_MAX)
		return handle_fail(handle, SLIPRING_BAD_ARGUMENT, "hedge_after_percent %u is not %d to %d",
		    o->hedge_after_percent, HEDGE_AFTER_MIN, HEDGE_AFTER_MAX);
	return SLIPRING_OK;
}

/* An application built against a shorter struct leaves the rest at its defaults. */
static void
take_options(struct slipring *handle, const struct slipring_options *options)
{
	slipring_options_init(&handle->options);
	if (options)
		memcpy(&handle->options, options,
		    options->size < sizeof handle->options ? options->size : sizeof handle->options);
	handle->options.size = sizeof handle->options;
	handle->prng.state = handle->options.seed;
	if (handle->options.seed == 0)
		seal_random(&handle->prng.state, sizeof handle->prng.state);
	if (handle->options.authenticate)
		seal_tag_key(&handle->tag_key, handle->options.shared_key);
	memset(handle->options.shared_key, 0, sizeof handle->options.shared_key);
}

struct slipring *
slipring_open(const char *hosts, const struct slipring_options *options)
{
	struct slipring *handle = calloc(1, sizeof *handle);

	if (!handle)
		return NULL;
	if (!seal_start()) {
		handle->ready = handle_fail(handle, SLIPRING_UNREACHABLE, "the system yields no random bytes");
		return handle;
	}
	take_options(handle, options);
	socket_init(handle);
	handle->topology.worker_count = 1;
	handle->topology.ports[0] = handle->options.port;
	handle->ready = check_options(handle);
	if (handle->ready != SLIPRING_OK || !seed_nodes(handle, hosts))
		return handle;
	handle->home = handle->nodes[0];
	handle->topology.ports[0] = handle->home->first_port;
	handle->held = true;
	refresh_want(handle, NULL);
	if (!handle_worker_lane(handle, handle->home, 0))
		handle->ready = SLIPRING_UNREACHABLE;
	return handle;
}

enum slipring_status
slipring_ready(const struct slipring *handle)
{
	return handle->ready;
}

void
slipring_close(struct slipring *handle)
{
	if (!handle)
		return;
	CHECK(!handle->inside);
	handle->ready = SLIPRING_CANCELLED; /* completions that submit again get this */
	refresh_close(handle);
	for (uint32_t i = 0; i < handle->lane_count; i++)
		lane_destroy(handle->lanes[i]);
	large_close(handle);
	for (uint32_t i = 0; i < handle->node_count; i++) {
		handle->nodes[i]->lane_count = 0;
		node_destroy(handle->nodes[i]);
	}
	free(handle->nodes);
	free(handle->owners);
	free(handle->lanes);
	free(handle->active);
	free(handle->polls);
	free(handle->polled);
	free(handle);
}

const char *
slipring_error(const struct slipring *handle)
{
	return handle->error;
}

void
slipring_counters(const struct slipring *handle, struct slipring_counters *counters)
{
	const struct lane *first = handle->home ? handle->home->lanes[0] : NULL;

	*counters = handle->counters;
	counters->rtt_us = first ? (uint32_t)(first->direct.srtt_ns / NS_PER_US) : 0;
}

unsigned
slipring_slot(const void *key, size_t key_len)
{
	return slot_of_key(view_of(key, (uint32_t)key_len));
}
