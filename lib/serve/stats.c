#include "serve/stats.h"

#include "base/bytes.h"
#include "proto/topology.h"
#include "serve/decimal.h"

static void
line_text(struct writer *out, const char *name, const char *value)
{
	writer_text(out, name);
	writer_u8(out, ' ');
	writer_text(out, value);
	writer_u8(out, '\n');
}

static void
line(struct writer *out, const char *name, uint64_t value)
{
	char digits[DECIMAL_LEN_MAX];

	writer_text(out, name);
	writer_u8(out, ' ');
	writer_bytes(out, digits, decimal_compose(value, digits));
	writer_u8(out, '\n');
}

static uint64_t
sum_counter(const struct serve *serve, enum counter counter)
{
	uint64_t core = serve->config.core_counters ? counter_read(serve->config.core_counters, counter) : 0;

	return core + counters_sum(serve->config.all_counters, serve->config.worker_count, counter);
}

static uint64_t
sum_drop(const struct serve *serve, enum drop drop)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < serve->config.worker_count; i++)
		sum += drop_read(serve->config.all_counters[i], drop);
	return sum;
}

static void
counters_group(const struct serve *serve, struct writer *out)
{
	for (uint32_t i = 0; i < COUNTER_COUNT; i++)
		line(out, counter_name(i), sum_counter(serve, i));
}

static void
drops_group(const struct serve *serve, struct writer *out)
{
	for (uint32_t i = DROP_NONE + 1; i < DROP_COUNT; i++) {
		writer_text(out, "drop_");
		line(out, drop_name(i), sum_drop(serve, i));
	}
}

static void
store_group(const struct serve *serve, struct writer *out)
{
	struct shard_stats sum;

	store_stats(serve->config.store, &sum);
#define FIGURE(name, metric, type, text) line(out, #name, sum.name);
#include "store/figure.def"
#undef FIGURE
}

static void
workers_group(const struct serve *serve, struct writer *out)
{
	if (serve->config.worker_facts)
		writer_text(out, serve->config.worker_facts);
	for (uint32_t worker = 0; worker < serve->config.worker_count; worker++) {
		for (uint32_t i = 0; i < COUNTER_COUNT; i++) {
			char digits[DECIMAL_LEN_MAX];

			if (counter_is_core(i))
				continue;
			writer_text(out, "worker");
			writer_bytes(out, digits, decimal_compose(worker, digits));
			writer_u8(out, '_');
			line(out, counter_name(i), counter_read(serve->config.all_counters[worker], i));
		}
	}
}

static uint64_t
uptime_seconds(const struct serve *serve, const struct now *now)
{
	uint64_t start_ms = serve->config.start_wall_ms;

	return now->wall_ms > start_ms ? (now->wall_ms - start_ms) / MS_PER_SEC : 0;
}

static void
all_group(const struct serve *serve, const struct now *now, struct writer *out)
{
	line_text(out, "version", serve->config.version);
	line(out, "uptime_seconds", uptime_seconds(serve, now));
	line(out, "workers", serve->config.worker_count);
	line(out, "epoch", serve->epoch);
	counters_group(serve, out);
	drops_group(serve, out);
	store_group(serve, out);
}

/* Counters that memcached knows under another name, or in another order. */
static const struct {
	const char *name;
	enum counter counter;
} memcached_counters[] = {
	{ "cmd_get", COUNTER_CMD_GET },
	{ "cmd_set", COUNTER_CMD_SET },
	{ "cmd_flush", COUNTER_CMD_FLUSH },
	{ "cmd_touch", COUNTER_CMD_TOUCH },
	{ "get_hits", COUNTER_GET_HITS },
	{ "get_misses", COUNTER_GET_MISSES },
	{ "get_expired", COUNTER_GET_EXPIRED },
	{ "delete_misses", COUNTER_DELETE_MISSES },
	{ "delete_hits", COUNTER_DELETE_HITS },
	{ "incr_misses", COUNTER_INCR_MISSES },
	{ "incr_hits", COUNTER_INCR_HITS },
	{ "decr_misses", COUNTER_DECR_MISSES },
	{ "decr_hits", COUNTER_DECR_HITS },
	{ "cas_misses", COUNTER_CAS_MISSES },
	{ "cas_hits", COUNTER_CAS_HITS },
	{ "cas_badval", COUNTER_CAS_BADVAL },
	{ "touch_hits", COUNTER_TOUCH_HITS },
	{ "touch_misses", COUNTER_TOUCH_MISSES },
	{ "store_too_large", COUNTER_TOO_LARGE },
	{ "store_no_memory", COUNTER_NO_MEMORY },
	{ "bytes_read", COUNTER_RX_BYTES },
	{ "bytes_written", COUNTER_TX_BYTES },
};

/* Clients that parse three numbers find the ones that our memcached is compared with. */
static void
memcached_version(const struct serve *serve, struct writer *out)
{
	writer_text(out, "version 1.6.18-slipring-");
	writer_text(out, serve->config.version);
	writer_u8(out, '\n');
}

/* Over TCP. Figures of connections are at most FACTS_PERIOD_NS old. */
static void
memcached_connections(const struct serve *serve, struct writer *out)
{
	const struct stream_facts *facts = &serve->facts.facts;

	line(out, "max_connections", facts->connections_max);
	line(out, "curr_connections", facts->connections);
	line(out, "total_connections", facts->connections_total);
	line(out, "rejected_connections", sum_counter(serve, COUNTER_TCP_NO_MEMORY) + sum_counter(serve, COUNTER_TCP_LIMIT));
	line(out, "accepting_conns", facts->connections < facts->connections_max);
}

static void
memcached_group(const struct serve *serve, const struct now *now, struct writer *out)
{
	struct shard_stats sum;

	store_stats(serve->config.store, &sum);
	if (serve->config.process_id != 0)
		line(out, "pid", serve->config.process_id);
	line(out, "uptime", uptime_seconds(serve, now));
	line(out, "time", now->wall_ms / MS_PER_SEC);
	memcached_version(serve, out);
	line(out, "pointer_size", 8 * sizeof(void *));
	memcached_connections(serve, out);
	for (uint32_t i = 0; i < sizeof memcached_counters / sizeof *memcached_counters; i++)
		line(out, memcached_counters[i].name, sum_counter(serve, memcached_counters[i].counter));
	line(out, "limit_maxbytes", sum.budget_bytes);
	line(out, "threads", serve->config.worker_count);
	line(out, "hash_bytes", sum.table_bytes);
	line(out, "bytes", sum.item_bytes);
	line(out, "curr_items", sum.items);
	line(out, "total_items", sum.total_items);
	line(out, "evictions", sum.evictions);
	line(out, "reclaimed", sum.expired_reclaimed);
}

static void
memcached_settings_group(const struct serve *serve, struct writer *out)
{
	struct shard_stats sum;

	store_stats(serve->config.store, &sum);
	line(out, "maxbytes", sum.budget_bytes);
	line(out, "maxconns", serve->facts.facts.connections_max);
	line(out, "tcpport", serve->config.memcached_port);
	line_text(out, "evictions", "on");
	line(out, "num_threads", serve->config.worker_count);
	line_text(out, "cas_enabled", "yes");
	line_text(out, "auth_enabled_sasl", serve->config.memcached_password[0] ? "yes" : "no");
	line_text(out, "binding_protocol", serve->config.memcached_password[0] ? "binary" : "auto-negotiate");
	line_text(out, "flush_enabled", "yes");
	line_text(out, "lru_crawler", "no");
	line_text(out, "lru_maintainer_thread", "no");
	line_text(out, "detail_enabled", "no");
	line_text(out, "dump_enabled", "no");
	line(out, "item_size_max", VALUE_LEN_MAX);
}

/* There are no slab classes: memcached without an item says as much. */
static void
memcached_slabs_group(const struct serve *serve, struct writer *out)
{
	struct shard_stats sum;

	store_stats(serve->config.store, &sum);
	line(out, "active_slabs", 0);
	line(out, "total_malloced", sum.active_bytes);
}

/* Writes a group's text. False: no such group. */
static bool
write_group(const struct serve *serve, const struct now *now, struct view name, struct writer *out)
{
	if (name.len == 0)
		all_group(serve, now, out);
	else if (view_equal(name, view_text("workers")))
		workers_group(serve, out);
	else if (view_equal(name, view_text("sockets")) && serve->config.socket_facts)
		writer_text(out, serve->config.socket_facts);
	else if (view_equal(name, view_text("drops")))
		drops_group(serve, out);
	else if (view_equal(name, view_text("store")))
		store_group(serve, out);
	else if (view_equal(name, view_text("memcached")))
		memcached_group(serve, now, out);
	else if (view_equal(name, view_text("memcached settings")))
		memcached_settings_group(serve, out);
	else if (view_equal(name, view_text("memcached slabs")))
		memcached_slabs_group(serve, out);
	else if (view_equal(name, view_text("memcached sizes")))
		line_text(out, "sizes_status", "disabled"); /* as in memcached, unless it was started to keep them */
	else if (view_equal(name, view_text("memcached items")) || view_equal(name, view_text("memcached conns")))
		; /* by slab class; by file descriptor */
	else
		return false;
	return true;
}

/* Counts lines, and leaves of the text what starts at line `first`. */
static uint32_t
cut_lines(struct view *text, uint32_t first)
{
	const uint8_t *at = text->data, *end = text->data + text->len;
	const uint8_t *start = first == 0 ? at : end;
	uint32_t lines = 0;

	while (at < end) {
		at = (const uint8_t *)memchr(at, '\n', (size_t)(end - at)) + 1;
		if (++lines == first)
			start = at;
	}
	*text = view_of(start, (uint32_t)(end - start));
	return lines;
}

void
stats_execute(struct serve *serve, const struct now *now, const struct request *request,
    struct response *response)
{
	uint8_t *start = serve->scratch + serve->scratch_used;
	struct writer out = writer_of(start, SCRATCH_SIZE - serve->scratch_used);
	struct view text;

	if (!write_group(serve, now, request->key, &out)) {
		respond(response, OP_STATUS_NOT_FOUND);
		return;
	}
	if (out.failed) {
		respond(response, OP_STATUS_BUSY);
		return;
	}
	text = view_of(start, (uint32_t)(out.at - start));
	serve->scratch_used += text.len;
	respond(response, OP_STATUS_OK);
	response->total_len = cut_lines(&text, request->offset);
	response->value = text;
}

static void
respond_topology(const struct request *request, struct response *response, const uint8_t *bytes, uint32_t len)
{
	respond(response, OP_STATUS_OK);
	response->offset = request->offset < len ? request->offset : len;
	response->total_len = len;
	response->value = view_of(bytes + response->offset, len - response->offset);
}

/* Rule 1: every slot is this node's. */
static void
topology_of_one(struct serve *serve, const struct request *request, struct response *response)
{
	struct topology topology = { .epoch = serve->epoch, .rule = TOPOLOGY_ONE_NODE, .slot_count = SLOT_COUNT,
		.node_count = 1 };
	struct topology_node node = { .first_port = serve->config.native_port,
		.worker_count = (uint8_t)serve->config.worker_count, .state = TOPOLOGY_NODE_ALIVE };
	uint8_t *start = serve->scratch + serve->scratch_used;
	struct writer out = writer_of(start, SCRATCH_SIZE - serve->scratch_used);

	topology_compose(&out, &topology);
	topology_node_compose(&out, &node);
	if (out.failed) {
		respond(response, OP_STATUS_BUSY);
		return;
	}
	serve->scratch_used += (uint32_t)(out.at - start);
	respond_topology(request, response, start, (uint32_t)(out.at - start));
}

void
stats_topology(struct serve *serve, const struct request *request, struct response *response)
{
	if (serve->ring)
		respond_topology(request, response, serve->ring->topology, serve->ring->topology_len);
	else if (serve->config.ring)
		respond(response, OP_STATUS_BUSY); /* joining: nobody knows yet */
	else
		topology_of_one(serve, request, response);
}
