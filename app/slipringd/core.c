/* The control core's thread: what wakes it, and who gets what. */
#include "slipringd/core.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "seal/seal.h"
#include "slipringd/core_state.h"
#include "slipringd/floor.h"
#include "slipringd/log.h"

enum {
	SLEEP_MAX_US = 100 * 1000, /* the view is refreshed as often */
	SLOTS_SIZE = 4 * WORKER_MAX * DEFERRED_MAX, /* every worker's slots, and as many of the core's own */
};

/* --- one step ------------------------------------------------------------------------------ */

/* Before the step's packets leave: they may carry a vote for this epoch. */
static void
floor_keep(struct core *core)
{
	static struct log_limit limit = LOG_LIMIT(10000);
	uint64_t floor = cluster_epoch_floor(&core->cluster);
	struct error error;

	if (floor <= core->floor)
		return;
	core->floor = floor;
	if (floor_write(core->config.floor_file, floor, &error) == STATUS_OK)
		return;
	/* The cluster goes on: only if all its nodes restart at once could this number be given twice. */
	counter_add(core->counters, COUNTER_CLUSTER_FLOOR_FAILURES, 1);
	log_limited(&limit, LOG_LEVEL_ERROR, "epoch %llu is not on disk: %s", (unsigned long long)floor, error.text);
}

void
core_outcome(struct core *core)
{
	floor_keep(core);
	for (uint32_t i = 0; i < core->actions.count; i++) {
		const struct cluster_action *action = &core->actions.list[i];

		switch (action->kind) {
		case CLUSTER_SEND:
			core_net_send(core, action);
			break;
		case CLUSTER_NEWS:
			core_view_news(core, action);
			core->ring_dirty = true;
			core->over |= action->news == CLUSTER_REFUSED || action->news == CLUSTER_LEFT;
			break;
		case CLUSTER_TOPOLOGY:
			core->ring_dirty = true;
			break;
		case CLUSTER_MESSAGE:
		case CLUSTER_LOST:
			break;
		}
		calls_action(core->calls, core->now, action);
	}
}

void
core_step(struct core *core, const struct cluster_event *event)
{
	cluster_step(&core->cluster, core->now, event, &core->actions);
	core_outcome(core);
}

/* --- the loop ------------------------------------------------------------------------------ */

/* Nobody is left to be told. */
static bool
is_alone(const struct core *core)
{
	const struct members *members = &core->cluster.members;

	for (uint16_t i = 0; i < members->count; i++)
		if (members_at(members, i) != core->cluster.self && member_live(members_at(members, i)))
			return false;
	return true;
}

static ON_CORE bool
commands(struct core *core)
{
	struct core_command command;
	bool any = false;

	while (core_view_command(core, &command)) {
		if (command.kind == CLUSTER_LEAVE && is_alone(core))
			core->over = true;
		else
			core_step(core, &(struct cluster_event){ .kind = command.kind, .from = command.address, .id = command.id });
		core->view_dirty = any = true;
	}
	return any;
}

static ON_CORE bool
due(struct core *core)
{
	if (core->over || core->now.mono_ns < cluster_deadline(&core->cluster))
		return false;
	core_step(core, &(struct cluster_event){ .kind = CLUSTER_TICK });
	return true;
}

static ON_CORE bool
round_of(struct core *core)
{
	uint64_t start = io_cycles();
	bool busy;

	io_now(&core->now);
	counter_add(core->counters, COUNTER_CORE_ROUNDS, 1);
	busy = core_net_receive(core);
	busy |= commands(core);
	busy |= calls_receive(core->calls, core->now);
	calls_send(core->calls, core->now, &core->cluster);
	busy |= due(core);
	core_net_tick(core);
	core_net_lives(core);
	peer_io_flush(core->io);
	core_ring_tick(core);
	core_view_tick(core);
	if (busy)
		counter_add(core->counters, COUNTER_CORE_BUSY_CYCLES, io_cycles() - start);
	return busy;
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Until the next deadline; 0: it has passed. */
static ON_CORE uint32_t
wait_of(struct core *core)
{
	uint64_t deadline = earlier(neighbour_deadline(&core->neighbours), calls_deadline(core->calls));
	uint64_t wait_us;

	if (!core->over)
		deadline = earlier(deadline, cluster_deadline(&core->cluster));
	io_now(&core->now);
	if (deadline <= core->now.mono_ns)
		return 0;
	wait_us = (deadline - core->now.mono_ns + NS_PER_US - 1) / NS_PER_US;
	return wait_us < SLEEP_MAX_US ? (uint32_t)wait_us : SLEEP_MAX_US;
}

static void *
core_main(void *argument)
{
	struct core *core = argument;

	role_core_begin();
	pthread_setname_np(pthread_self(), "core");
	while (!atomic_load_explicit(&core->stop, memory_order_relaxed)) {
		uint32_t wait_us = round_of(core) ? 0 : wait_of(core);

		if (wait_us > 0)
			io_wait_us(NULL, peer_io_bell(core->io), wait_us);
	}
	return NULL;
}

bool
core_round(void *context)
{
	struct core *core = context;

	role_core_begin(); /* no other thread has it */
	return !atomic_load_explicit(&core->stop, memory_order_relaxed) && round_of(core);
}

uint32_t
core_wait_us(void *context)
{
	struct core *core = context;

	role_core_begin();
	return atomic_load_explicit(&core->stop, memory_order_relaxed) ? SLEEP_MAX_US : wait_of(core);
}

/* --- start and stop ------------------------------------------------------------------------ */

static uint64_t
draw(void)
{
	uint64_t number;

	do
		seal_random(&number, sizeof number);
	while (number == 0);
	return number;
}

static bool
init(struct core *core, struct error *error)
{
	struct cluster_config *config = &core->config.cluster;

	if (floor_read(core->config.floor_file, &core->floor, error) != STATUS_OK ||
	    floor_write(core->config.floor_file, core->floor, error) != STATUS_OK)
		return false;
	config->epoch_floor = core->floor;
	config->boot = draw();
	io_now(&core->now);
	core->slots = mailbox_create("core_slots", SLOTS_SIZE, error);
	if (!core->slots)
		return false;
	mailbox_attach(core->slots, peer_io_bell(core->io));
	error_set(error, STATUS_NO_MEMORY, "no memory for %u members", config->members_max);
	if (!core_ring_init(core))
		goto no_ring;
	if (!cluster_init(&core->cluster, config, core->now, draw()))
		goto no_cluster;
	core->calls = calls_create(core->cluster.self->id, config->workers, core->slots, error);
	if (!core->calls)
		goto no_calls;
	neighbour_init(&core->neighbours, &core->config.net);
	core_view_init(core);
	return true;

no_calls:
	cluster_deinit(&core->cluster);
no_cluster:
	core_ring_deinit(core);
no_ring:
	mailbox_destroy(core->slots);
	return false;
}

struct core *
core_create(const struct core_config *config, struct peer_io *io, const struct serve_ring *_Atomic *published,
    struct counters *counters, struct error *error)
{
	struct core *core = aligned_alloc(_Alignof(struct core), sizeof *core); /* keys want more than calloc gives */

	if (!core) {
		error_set(error, STATUS_NO_MEMORY, "no memory for the control core");
		return NULL;
	}
	memset(core, 0, sizeof *core);
	core->config = *config;
	core->io = io;
	core->published = published;
	core->counters = counters;
	if (init(core, error))
		return core;
	free(core);
	return NULL;
}

static uint32_t
absent_seeds(void *context)
{
	return atomic_load_explicit(&((struct core *)context)->absent, memory_order_relaxed);
}

static void
seed_moved(void *context, uint32_t i, const struct resolver_name *name)
{
	const uint8_t *ip = name->address.ip + 12; /* mapped */

	log_info("cluster: seed %s is at %u.%u.%u.%u now", name->host, ip[0], ip[1], ip[2], ip[3]);
	core_command(context, &(struct core_command){ .kind = CLUSTER_SEED, .address = name->address, .id = i });
}

static enum status
start_resolver(struct core *core, struct error *error)
{
	const struct cluster_config *cluster = &core->config.cluster;
	struct resolver_config config = { .count = cluster->seed_count, .step_ms = RESOLVER_STEP_MS,
		.lookup = resolver_lookup, .absent = absent_seeds, .tell = seed_moved, .context = core };

	for (uint8_t i = 0; i < cluster->seed_count; i++) {
		memcpy(config.names[i].host, core->config.seed_hosts[i], sizeof config.names[i].host);
		config.names[i].address = cluster->seeds[i];
	}
	return resolver_start(&config, &core->resolver, error);
}

enum status
core_start(struct core *core, struct error *error)
{
	int failed;

	if (start_resolver(core, error) != STATUS_OK)
		return error->status;
	failed = core->config.on_worker ? 0 : pthread_create(&core->thread, NULL, core_main, core);
	if (failed)
		return error_set(error, STATUS_UNAVAILABLE, "cannot start the control core's thread: %s", strerror(failed));
	core->started = true;
	return STATUS_OK;
}

struct mailbox *
core_slots(struct core *core)
{
	return core->slots;
}

void
core_connect(struct core *core, struct mailbox *const mailboxes[DEFERRED_HOMES])
{
	calls_connect(core->calls, mailboxes);
}

void
core_leave(struct core *core)
{
	const struct timespec step = { 0, 5 * 1000 * 1000 };
	uint64_t bound_ns = core->config.cluster.leave_ns + NS_PER_SEC;

	if (!core->started || !core_command(core, &(struct core_command){ .kind = CLUSTER_LEAVE }))
		return;
	for (uint64_t ns = 0; ns < bound_ns && core_phase(core) < CORE_LEFT; ns += (uint64_t)step.tv_nsec)
		nanosleep(&step, NULL);
	log_info("cluster %s: %s", core->config.cluster.name, core_phase(core) == CORE_LEFT ? "left" : "gone without goodbye");
}

void
core_stop(struct core *core)
{
	resolver_stop(core->resolver);
	core->resolver = NULL;
	if (!core->started)
		return;
	atomic_store_explicit(&core->stop, true, memory_order_relaxed);
	mailbox_kick(peer_io_bell(core->io));
	if (!core->config.on_worker)
		pthread_join(core->thread, NULL);
	core->started = false;
}

void
core_destroy(struct core *core)
{
	if (!core)
		return;
	core_view_deinit(core);
	core_ring_deinit(core);
	calls_destroy(core->calls);
	cluster_deinit(&core->cluster);
	mailbox_destroy(core->slots);
	explicit_bzero(&core->config, sizeof core->config);
	free(core);
}

enum core_phase
core_phase(const struct core *core)
{
	return (enum core_phase)atomic_load_explicit(&core->phase, memory_order_relaxed);
}
