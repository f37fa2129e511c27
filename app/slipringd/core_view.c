/* What other threads see of the cluster, and what they ask of it. The core never waits for them. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "slipringd/core_state.h"
#include "slipringd/log.h"

enum { ADDRESS_SIZE = 24 };

#define VIEW_NS (100 * NS_PER_MS)
#define JOINING_TOLD_NS (5 * NS_PER_SEC)

static const char *const phase_names[] = { "joining", "member", "draining", "leaving", "left", "refused" };

const char *
core_phase_name(enum core_phase phase)
{
	return phase <= CORE_REFUSED ? phase_names[phase] : "unknown";
}

void
core_view_init(struct core *core)
{
	CHECK(pthread_mutex_init(&core->window.mutex, NULL) == 0);
	core->view_dirty = true;
	role_core_begin(); /* its thread has not begun */
	core_view_tick(core);
}

void
core_view_deinit(struct core *core)
{
	pthread_mutex_destroy(&core->window.mutex);
}

/* --- news ------------------------------------------------------------------------------------ */

static const char *
state_name(uint8_t state)
{
	return state ? member_state_name(state) : "unknown";
}

static void
tell_state(const struct core_event *e)
{
	enum log_level level = e->state == PEER_SUSPECTED || e->state == PEER_DEAD ? LOG_LEVEL_WARN : LOG_LEVEL_INFO;

	if (e->state_before == 0)
		log_write(level, "cluster: %s is known, %s", e->id, state_name(e->state));
	else
		log_write(level, "cluster: %s is %s (was %s, incarnation %u)", e->id, state_name(e->state),
		    state_name(e->state_before), e->incarnation);
}

static void
address_text(const struct peer_address *address, char text[ADDRESS_SIZE])
{
	const uint8_t *ip = address->ip + 12; /* mapped */

	snprintf(text, ADDRESS_SIZE, "%u.%u.%u.%u:%u", ip[0], ip[1], ip[2], ip[3], address->port);
}

static void
tell(const struct core *core, const struct core_event *e)
{
	static struct log_limit duplicates = LOG_LIMIT(10000);
	bool own = strcmp(e->id, core->config.cluster.id) == 0;
	char address[ADDRESS_SIZE];

	address_text(&e->address, address);

	switch (e->news) {
	case CLUSTER_STATE:
		tell_state(e);
		break;
	case CLUSTER_RESTARTED:
		log_info("cluster: %s has restarted", e->id);
		break;
	case CLUSTER_FORGOTTEN:
		log_info("cluster: %s is forgotten", e->id);
		break;
	case CLUSTER_DUPLICATE:
		log_limited(&duplicates, LOG_LEVEL_ERROR, "cluster: another process, at %s, uses the node id %s%s; every node needs "
		    "one of its own", address, e->id, own ? ", which is this node's" : "");
		break;
	case CLUSTER_REFUSED:
		log_error("cluster %s does not let this node in: the node id %s belongs to another process, at %s, or the "
		    "cluster is full; give it another node_id", core->config.cluster.name, core->config.cluster.id, address);
		break;
	case CLUSTER_PAUSED:
		log_warn("cluster: this process was stopped for %llu ms", (unsigned long long)(e->ns / NS_PER_MS));
		break;
	case CLUSTER_LEFT:
		break; /* whoever asked for it tells */
	case CLUSTER_PROBED:
		log_debug("cluster: %s answered a probe after %llu us", e->id, (unsigned long long)(e->ns / NS_PER_US));
		break;
	default:
		log_info("cluster %s: epoch %llu", core->config.cluster.name, (unsigned long long)e->epoch);
	}
}

/* The newest are lost when nobody could be shown the former ones for long. */
static struct core_event *
event_add(struct core *core)
{
	struct core_event *event = &core->news[core->news_count < CORE_NEWS_MAX ? core->news_count++ : CORE_NEWS_MAX - 1];

	memset(event, 0, sizeof *event);
	event->wall_ms = core->now.wall_ms;
	event->epoch = cluster_topology(&core->cluster)->epoch;
	core->view_dirty = true;
	return event;
}

void
core_view_news(struct core *core, const struct cluster_action *action)
{
	const struct member *member = members_find(&core->cluster.members, action->id);
	struct core_event *event = event_add(core);

	event->news = action->news;
	event->state = action->state;
	event->state_before = action->state_before;
	event->incarnation = action->incarnation;
	event->ns = action->ns;
	event->address = action->to;
	if (member)
		memcpy(event->id, member->record.id, sizeof event->id);
	tell(core, event);
}

/* Fewer nodes than copies are wanted of each key: that is as it is, and somebody should know. */
static void
tell_owners(const struct ring_snapshot *ring)
{
	uint32_t owners = ring->table.owner_count;

	if (owners < ring->topology.replication)
		log_warn("cluster: replication_factor is %u, and %u node%s slots: each key has %u owner%s", ring->topology.replication,
		    owners, owners == 1 ? " owns" : "s own", owners, owners == 1 ? "" : "s");
}

void
core_view_epoch(struct core *core)
{
	tell(core, event_add(core));
	tell_owners(&atomic_load_explicit(core->published, memory_order_relaxed)->snapshot);
}

static bool
is_heard(const struct cluster *c, const struct peer_address *address)
{
	if (peer_address_equal(address, &c->config.address))
		return true;
	for (uint16_t i = 0; i < c->members.count; i++)
		if (members_at(&c->members, i)->heard_ns && peer_address_equal(&members_at(&c->members, i)->record.address, address))
			return true;
	return false;
}

/* A node whose seeds are silent would look alive and serve nobody: somebody should know why. */
static void
joining_tell(struct core *core)
{
	const struct cluster_config *config = &core->cluster.config;
	char silent[160] = "";
	int at = 0;

	if (core->told_ns == 0)
		core->told_ns = core->now.mono_ns + JOINING_TOLD_NS;
	if (core->now.mono_ns < core->told_ns)
		return;
	core->told_ns = core->now.mono_ns + 2 * JOINING_TOLD_NS;
	for (uint8_t i = 0; i < config->seed_count && at < (int)sizeof silent - 32; i++) {
		const uint8_t *ip = config->seeds[i].ip + 12;

		if (!is_heard(&core->cluster, &config->seeds[i]))
			at += snprintf(silent + at, sizeof silent - (size_t)at, "%s%u.%u.%u.%u:%u", at ? ", " : "", ip[0], ip[1],
			    ip[2], ip[3], config->seeds[i].port);
	}
	log_warn("cluster %s: not let in yet; of %u seeds %s did not answer (their address, cluster.name, the key?)",
	    config->name, config->seed_count, at ? silent : "none");
}

/* --- showing --------------------------------------------------------------------------------- */

static enum core_phase
phase_of(const struct core *core)
{
	const struct cluster *c = &core->cluster;
	const struct ring_topology *topology = cluster_topology(c);
	uint16_t position = ring_find_id(topology, c->self->id);

	if (c->refused)
		return CORE_REFUSED;
	if (c->left || core->over)
		return CORE_LEFT;
	if (c->standing == PEER_LEAVING || c->standing == PEER_LEFT)
		return c->leave_at_ns ? CORE_LEAVING : CORE_DRAINING;
	if (position == RING_NOBODY || !ring_state_owns(topology->members[position].state))
		return CORE_JOINING;
	return CORE_MEMBER;
}

/* The cluster counts by itself; who reads counters finds the core's beside the workers'. */
static void
counters_copy(struct core *core)
{
	const struct cluster_counters *c = &core->cluster.counters;
	const struct { enum counter counter; uint64_t value; } figures[] = {
		{ COUNTER_CLUSTER_PACKETS_IN, c->packets_in }, { COUNTER_CLUSTER_PACKETS_OUT, c->packets_out },
		{ COUNTER_CLUSTER_BYTES_IN, c->bytes_in }, { COUNTER_CLUSTER_BYTES_OUT, c->bytes_out },
		{ COUNTER_CLUSTER_BAD_ENVELOPE, c->refused[ENVELOPE_MALFORMED] },
		{ COUNTER_CLUSTER_CLEAR_TEXT, c->refused[ENVELOPE_CLEAR] },
		{ COUNTER_CLUSTER_KEY_UNKNOWN, c->refused[ENVELOPE_KEY_UNKNOWN] },
		{ COUNTER_CLUSTER_FORGED, c->refused[ENVELOPE_FORGED] },
		{ COUNTER_CLUSTER_REPLAYED, c->refused[ENVELOPE_REPLAYED] },
		{ COUNTER_CLUSTER_MALFORMED, c->malformed }, { COUNTER_CLUSTER_FORMER_LIFE, c->former_life },
		{ COUNTER_CLUSTER_STRANGERS, c->unknown }, { COUNTER_CLUSTER_UNKNOWN_SECTIONS, c->unknown_sections },
		{ COUNTER_CLUSTER_CUT, c->cut + c->records_cut }, { COUNTER_CLUSTER_SUSPICIONS, c->suspicions },
		{ COUNTER_CLUSTER_CONVICTIONS, c->convictions }, { COUNTER_CLUSTER_REFUTATIONS, c->refutations },
		{ COUNTER_CLUSTER_PROBES, c->probes }, { COUNTER_CLUSTER_PAUSES, c->pauses },
		{ COUNTER_CLUSTER_DUPLICATES, c->duplicates }, { COUNTER_CLUSTER_FULL, c->full },
		{ COUNTER_CLUSTER_CHANGES, c->changes },
	};

	for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
		__atomic_store_n(&core->counters->values[figures[i].counter], figures[i].value, __ATOMIC_RELAXED);
	calls_count(core->calls, core->counters);
}

/* Seeds whose names are worth looking up again. */
static uint32_t
absent_seeds(const struct core *core)
{
	const struct cluster_config *config = &core->cluster.config;
	uint32_t bits = 0;

	for (uint8_t i = 0; core->resolver && i < config->seed_count; i++)
		bits |= (uint32_t)!cluster_lives_at(&core->cluster, &config->seeds[i]) << i;
	return bits;
}

/* Under the mutex. */
static void
show(struct core *core)
{
	struct core_window *window = &core->window;

	cluster_view(&core->cluster, core->now, &window->view.cluster);
	window->view.counters = core->cluster.counters;
	window->view.phase = phase_of(core);
	window->view.mono_ns = core->now.mono_ns;
	window->ring = atomic_load_explicit(core->published, memory_order_relaxed);
	for (uint32_t i = 0; i < core->news_count; i++) {
		struct core_event *event = &window->events[window->sequence++ % CORE_EVENTS];

		*event = core->news[i];
		event->sequence = window->sequence;
	}
	core->news_count = 0;
}

void
core_view_tick(struct core *core)
{
	if (!core->view_dirty && core->now.mono_ns < core->view_ns)
		return;
	counters_copy(core);
	atomic_store_explicit(&core->phase, phase_of(core), memory_order_relaxed);
	atomic_store_explicit(&core->absent, absent_seeds(core), memory_order_relaxed);
	if (phase_of(core) == CORE_JOINING)
		joining_tell(core);
	if (pthread_mutex_trylock(&core->window.mutex) != 0) {
		core->view_dirty = true;
		return; /* somebody is copying: the next round */
	}
	show(core);
	pthread_mutex_unlock(&core->window.mutex);
	core->view_dirty = false;
	core->view_ns = core->now.mono_ns + VIEW_NS;
}

/* --- any thread ------------------------------------------------------------------------------ */

void
core_view(struct core *core, struct core_view *view)
{
	const struct core_view *shown = &core->window.view;
	size_t head = offsetof(struct cluster_view, members);

	pthread_mutex_lock(&core->window.mutex);
	memcpy(&view->cluster, &shown->cluster, head + shown->cluster.count * sizeof shown->cluster.members[0]);
	view->counters = shown->counters;
	view->phase = shown->phase;
	view->mono_ns = shown->mono_ns;
	pthread_mutex_unlock(&core->window.mutex);
}

bool
core_ring(struct core *core, struct ring_snapshot *snapshot)
{
	const struct serve_ring *ring;

	pthread_mutex_lock(&core->window.mutex);
	ring = core->window.ring;
	if (ring)
		*snapshot = ring->snapshot;
	pthread_mutex_unlock(&core->window.mutex);
	return ring != NULL;
}

uint32_t
core_events(struct core *core, uint64_t *sequence, struct core_event *events, uint32_t n)
{
	const struct core_window *window = &core->window;
	uint32_t count = 0;

	pthread_mutex_lock(&core->window.mutex);
	if (window->sequence > CORE_EVENTS && *sequence < window->sequence - CORE_EVENTS)
		*sequence = window->sequence - CORE_EVENTS;
	for (; count < n && *sequence < window->sequence; ++*sequence)
		events[count++] = window->events[*sequence % CORE_EVENTS];
	pthread_mutex_unlock(&core->window.mutex);
	return count;
}

bool
core_command(struct core *core, const struct core_command *command)
{
	struct core_window *window = &core->window;
	bool room;

	pthread_mutex_lock(&window->mutex);
	room = window->command_count < CORE_COMMANDS;
	if (room)
		window->commands[window->command_count++] = *command;
	atomic_store_explicit(&window->waiting, window->command_count, memory_order_relaxed);
	pthread_mutex_unlock(&window->mutex);
	mailbox_kick(peer_io_bell(core->io));
	return room;
}

bool
core_view_command(struct core *core, struct core_command *command)
{
	struct core_window *window = &core->window;
	bool taken;

	if (!atomic_load_explicit(&window->waiting, memory_order_relaxed) || pthread_mutex_trylock(&window->mutex) != 0)
		return false;
	taken = window->command_count > 0;
	if (taken) {
		*command = window->commands[0];
		memmove(window->commands, window->commands + 1, --window->command_count * sizeof window->commands[0]);
	}
	atomic_store_explicit(&window->waiting, window->command_count, memory_order_relaxed);
	pthread_mutex_unlock(&window->mutex);
	return taken;
}
