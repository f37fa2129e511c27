/* A handle's life, its lanes and its errors. */
#include "client/handle.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/now.h"
#include "proto/topology.h"
#include "ring/slot.h"

enum { TRY_TIMEOUT_US_MIN = 100, TIMEOUT_US_MAX = 60000000, WINDOW_DEFAULT = 256 };

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

enum slipring_status
handle_explain(struct slipring *handle, const struct lane *lane, enum slipring_status status)
{
	const char *host = handle->host, *text = slipring_status_text(status);

	switch (status) {
	case SLIPRING_OK:
		return status;
	case SLIPRING_TIMEOUT:
		return handle_fail(handle, status, "no answer from %s:%u within %u ms", host, lane->port,
		    handle->options.deadline_us / 1000);
	case SLIPRING_UNREACHABLE:
		return handle_fail(handle, status, "%s:%u: %s", host, lane->port, strerror(lane->network_error));
	default:
		return handle_fail(handle, status, "%s", text);
	}
}

void
slipring_options_init(struct slipring_options *options)
{
	*options = (struct slipring_options){ .size = sizeof *options, .port = SLIPRING_PORT,
		.try_timeout_us = 200000, .deadline_us = 2000000, .window = WINDOW_DEFAULT };
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
slipring_open(const char *host, const struct slipring_options *options)
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
	handle->lane_count = 1;
	handle->topology.worker_count = 1;
	handle->topology.ports[0] = handle->options.port;
	handle->ready = check_options(handle);
	if (handle->ready == SLIPRING_OK && (!host || strlen(host) >= sizeof handle->host || !host[0]))
		handle->ready = handle_fail(handle, SLIPRING_BAD_ARGUMENT, "no host, or a name that is too long");
	if (handle->ready != SLIPRING_OK)
		return handle;
	memcpy(handle->host, host, strlen(host) + 1);
	if (socket_resolve(handle) && !handle_worker_lane(handle, 0))
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
	for (uint32_t i = 0; i < SLIPRING_WORKERS_MAX; i++)
		lane_close(&handle->lanes[i]);
	large_close(handle);
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
	*counters = handle->counters;
	counters->rtt_us = (uint32_t)(handle->lanes[0].srtt_ns / NS_PER_US);
}

unsigned
slipring_slot(const void *key, size_t key_len)
{
	return slot_of_key(view_of(key, (uint32_t)key_len));
}

struct lane *
handle_worker_lane(struct slipring *handle, uint32_t worker)
{
	struct lane *lane = &handle->lanes[worker];

	if (!lane->slots && !lane_open(lane, handle, handle->topology.ports[worker]))
		return NULL;
	if (handle->lane_count <= worker)
		handle->lane_count = worker + 1;
	return lane;
}

/* Any worker takes any operation: with no socket to the owner, the first one does. */
struct lane *
handle_lane(struct slipring *handle, uint32_t slot)
{
	struct lane *lane = handle_worker_lane(handle, slot % handle->topology.worker_count);

	return lane ? lane : handle_worker_lane(handle, 0);
}

/* The entry of the node that was asked. */
static bool
own_node(const struct slipring *handle, const struct topology *topology, struct topology_node *node)
{
	uint8_t ip[16];

	endpoint_map_ipv4(ip, &handle->address.sin_addr);
	for (uint32_t i = 0; i < topology->node_count; i++) {
		topology_node(topology, i, node);
		if (topology->rule == TOPOLOGY_ONE_NODE || memcmp(node->ip, ip, sizeof ip) == 0)
			return node->worker_count >= 1 && node->worker_count <= SLIPRING_WORKERS_MAX;
	}
	return false;
}

bool
handle_topology(const struct slipring *handle, struct view value, struct slipring_topology *topology)
{
	struct topology parsed;
	struct topology_node node;

	if (!topology_parse(value, &parsed) || !own_node(handle, &parsed, &node))
		return false;
	*topology = (struct slipring_topology){ .epoch = parsed.epoch, .slot_count = parsed.slot_count,
		.worker_count = node.worker_count };
	for (uint32_t i = 0; i < node.worker_count; i++)
		topology->ports[i] = (uint16_t)(node.first_port + i);
	return true;
}

/* Lanes that are open stay as they are: a node's ports do not move while it runs. */
static void
learn_topology(struct slipring *handle, const struct completion *completion)
{
	struct slipring_topology topology;

	handle->topology_asked = completion->status != SLIPRING_TIMEOUT && completion->status != SLIPRING_UNREACHABLE;
	if (completion->status != SLIPRING_OK || !handle_topology(handle, completion->result.value, &topology))
		return;
	handle->topology = topology;
	handle->epoch = topology.epoch;
}

void
handle_ask_topology(struct slipring *handle, uint64_t now_ns)
{
	const struct request request = { .op = OP_TOPOLOGY };
	const struct lane_order order = { .run = learn_topology };
	struct lane *lane = &handle->lanes[0];

	if (handle->topology_asked || lane_room(lane) == 0)
		return;
	handle->topology_asked = lane_queue(lane, &request, &order, now_ns);
}
