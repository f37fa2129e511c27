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

static void
sum_counters(struct facts *facts, uint64_t now_ns)
{
	struct stream_facts *f = &facts->facts;
	const struct counters *const *all = (const struct counters *const *)f->counters;
	uint64_t gone = counters_ended(all, f->worker_count); /* first, or there might be more of them than were accepted */
	uint64_t accepted = counters_sum(all, f->worker_count, COUNTER_TCP_ACCEPTED);
	uint64_t done = counters_operations(all, f->worker_count), passed_ns = now_ns - facts->summed_ns;

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
