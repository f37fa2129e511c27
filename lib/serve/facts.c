#include "serve/facts.h"

#include <stdlib.h>

#include "serve/state.h"

bool
facts_init(struct facts *facts, const struct serve_config *config)
{
	struct stream_facts *f = &facts->facts;

	*facts = (struct facts){ 0 };
	facts->table = calloc(config->connections_max, sizeof *facts->table); /* pages come with their first use */
	f->version = config->version;
	f->node_name = config->node_name ? config->node_name : "";
	f->start_wall_ms = config->start_wall_ms;
	f->process_id = config->process_id;
	f->worker = config->worker;
	f->worker_count = config->worker_count;
	f->connections_max = config->connections_max * config->worker_count;
	f->resp_port = config->resp_port;
	f->memcached_port = config->memcached_port;
	f->redirect = config->resp_redirect;
	f->self = RING_NOBODY;
	memcpy(f->ip, config->ip, sizeof f->ip);
	for (uint32_t i = 0; i < config->worker_count; i++)
		f->counters[i] = config->all_counters[i];
	return facts->table || config->connections_max == 0;
}

void
facts_deinit(struct facts *facts)
{
	free(facts->table);
}

/* --- sums ------------------------------------------------------------------------------------ */

/* Each connection that was accepted ends in one of these. */
static uint64_t
ended(const struct counters *counters)
{
	static const enum counter ends[] = { COUNTER_TCP_CLOSED, COUNTER_TCP_RESETS_IN, COUNTER_TCP_TIMED_OUT,
		COUNTER_TCP_IDLE, COUNTER_TCP_ABORTED, COUNTER_TCP_NO_MEMORY, COUNTER_TCP_LIMIT };
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
		sum += counter_read(counters, ends[i]);
	return sum;
}

static uint64_t
operations(const struct counters *counters)
{
	static const enum counter commands[] = { COUNTER_CMD_GET, COUNTER_CMD_SET, COUNTER_CMD_DELETE, COUNTER_CMD_TOUCH,
		COUNTER_INCR_HITS, COUNTER_INCR_MISSES, COUNTER_DECR_HITS, COUNTER_DECR_MISSES };
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		sum += counter_read(counters, commands[i]);
	return sum;
}

static void
sum_counters(struct facts *facts, uint64_t now_ns)
{
	struct stream_facts *f = &facts->facts;
	uint64_t accepted = 0, gone = 0, done = 0, passed_ns = now_ns - facts->summed_ns;

	for (uint32_t i = 0; i < f->worker_count; i++) {
		gone += ended(f->counters[i]); /* first, or there might be more of them */
		accepted += counter_read(f->counters[i], COUNTER_TCP_ACCEPTED);
		done += operations(f->counters[i]);
	}
	f->connections_total = accepted;
	f->connections = accepted > gone ? (uint32_t)(accepted - gone) : 0;
	if (facts->summed_ns != 0 && passed_ns > 0)
		f->operations_per_second = (done - facts->operations) * MS_PER_SEC / (passed_ns / NS_PER_MS + 1);
	facts->operations = done;
	facts->summed_ns = now_ns;
}

static void
sum_store(struct stream_facts *f, struct store *store)
{
	struct shard_stats sum;

	store_stats(store, &sum);
	f->memory_bytes = sum.budget_bytes;
	f->store = (struct stream_store_figures){ .items = sum.items, .item_bytes = sum.item_bytes,
		.active_bytes = sum.active_bytes, .table_bytes = sum.table_bytes, .budget_bytes = sum.budget_bytes,
		.evictions = sum.evictions, .expired_reclaimed = sum.expired_reclaimed, .total_items = sum.total_items };
}

void
facts_refresh(struct serve *serve, const struct now *now)
{
	struct facts *facts = &serve->facts;

	facts->facts.ring = serve->ring ? &serve->ring->snapshot : NULL;
	facts->facts.nodes = serve->ring ? serve->ring->nodes : NULL;
	facts->facts.self = serve->ring ? serve->ring->self : RING_NOBODY;
	facts->facts.clients = facts->first ? &facts->first->client : NULL;
	if (now->mono_ns < facts->due_ns)
		return;
	facts->due_ns = now->mono_ns + FACTS_PERIOD_NS;
	sum_counters(facts, now->mono_ns);
	sum_store(&facts->facts, serve->config.store);
}

/* --- connections ----------------------------------------------------------------------------- */

void
facts_open(struct serve *serve, const struct turn *turn, const struct stream_state *state)
{
	struct facts *facts = &serve->facts;
	struct facts_client *entry = &facts->table[turn->id.index];

	*entry = (struct facts_client){ .client = { .id = facts->opened++ * facts->facts.worker_count + facts->facts.worker + 1,
		.opened_ns = turn->opened_ns, .peer = turn->peer, .service = turn->service, .state = state } };
	memcpy(entry->client.ip, facts->facts.ip, sizeof entry->client.ip);
	if (facts->first) {
		entry->client.next = &facts->first->client;
		facts->first->before = entry;
	}
	facts->first = entry;
	facts->facts.clients = &entry->client;
}

void
facts_close(struct serve *serve, uint32_t index)
{
	struct facts *facts = &serve->facts;
	struct facts_client *entry = &facts->table[index], *next = (struct facts_client *)(uintptr_t)entry->client.next;

	if (next)
		next->before = entry->before;
	if (entry->before)
		entry->before->client.next = entry->client.next;
	else
		facts->first = next;
	facts->facts.clients = facts->first ? &facts->first->client : NULL;
}

const struct stream_facts *
facts_visit(struct serve *serve, const struct turn *turn, const struct now *now)
{
	struct stream_facts *f = &serve->facts.facts;
	struct stream_client *client = &serve->facts.table[turn->id.index].client;
	const char *password = turn->service == SERVICE_RESP ? serve->config.resp_password : serve->config.memcached_password;

	f->password = *password ? password : NULL;
	f->client = client;
	if (turn->input.len > 0)
		client->heard_ns = now->mono_ns;
	client->input_len = turn->input.len;
	client->output_len = turn->out ? turn->out->len : 0;
	return f;
}
