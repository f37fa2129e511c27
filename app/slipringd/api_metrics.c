#include "slipringd/api_metrics.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/exposition.h"
#include "slipringd/api_process.h"

enum { NAME_SIZE = 80, LABEL_SIZE = 16 };

struct metrics {
	struct exposition e;
	const struct api_config *config;
	uint32_t workers;
	char labels[WORKER_MAX][LABEL_SIZE]; /* "0", "1", ... */
};

#define WORKER_LABELS(m, i) ((const char *const []){ "worker", (m)->labels[i], NULL })

static const struct counters *
counters_of(const struct metrics *m, uint32_t worker)
{
	return node_counters(m->config->node, worker);
}

/* Told with labels by put_counters_of_cluster(). */
static bool
is_labelled(int counter)
{
	return counter >= COUNTER_CLUSTER_PACKETS_IN && counter <= COUNTER_CLUSTER_REPLAYED;
}

/* What the control core counts, of which a node has one at most. */
static void
put_core(struct metrics *m)
{
	const struct counters *counters = node_core_counters(m->config->node);
	char name[NAME_SIZE];

	for (int c = 0; counters && c < COUNTER_COUNT; c++) {
		if (!counter_is_core(c) || counter_is_cycles(c) || is_labelled(c))
			continue;
		snprintf(name, sizeof name, "slipring_%s_total", counter_name(c));
		exposition_family(&m->e, name, "counter", counter_text(c));
		exposition_integer(&m->e, counter_read(counters, c), NULL);
	}
	if (!counters)
		return;
	exposition_family(&m->e, "slipring_core_busy_seconds_total", "counter", "time of the control core in rounds that found work");
	exposition_real(&m->e, (double)counter_read(counters, COUNTER_CORE_BUSY_CYCLES) / (double)io_cycles_hz(), NULL);
}

/* Cycles depend on the machine: time is told in seconds instead. */
static void
put_counters(struct metrics *m)
{
	char name[NAME_SIZE];

	for (int c = 0; c < COUNTER_COUNT; c++) {
		if (counter_is_cycles(c) || counter_is_core(c))
			continue;
		snprintf(name, sizeof name, "slipring_%s_total", counter_name(c));
		exposition_family(&m->e, name, "counter", counter_text(c));
		for (uint32_t i = 0; i < m->workers; i++)
			exposition_integer(&m->e, counter_read(counters_of(m, i), c), WORKER_LABELS(m, i));
	}
}

static void
put_drops(struct metrics *m)
{
	exposition_family(&m->e, "slipring_dropped_frames_total", "counter", "frames dropped, by reason");
	for (uint32_t i = 0; i < m->workers; i++)
		for (int d = DROP_NONE + 1; d < DROP_COUNT; d++)
			exposition_integer(&m->e, drop_read(counters_of(m, i), d),
			    (const char *const []){ "worker", m->labels[i], "reason", drop_name(d), NULL });
}

static void
put_busy(struct metrics *m, const struct api_sample *since)
{
	double hz = (double)io_cycles_hz();

	exposition_family(&m->e, "slipring_worker_busy_seconds_total", "counter", "time in rounds that found work");
	for (uint32_t i = 0; i < m->workers; i++)
		exposition_real(&m->e, (double)counter_read(counters_of(m, i), COUNTER_BUSY_CYCLES) / hz, WORKER_LABELS(m, i));
	exposition_family(&m->e, "slipring_worker_busy_ratio", "gauge", "share of the last seconds in rounds with work");
	for (uint32_t i = 0; i < m->workers; i++)
		exposition_real(&m->e, api_busy_ratio(m->config, since, i), WORKER_LABELS(m, i));
	exposition_family(&m->e, "slipring_worker_stalled", "gauge", "1 while the worker does not poll");
	for (uint32_t i = 0; i < m->workers; i++)
		exposition_integer(&m->e, api_stalled(m->config) >> i & 1, WORKER_LABELS(m, i));
	exposition_family(&m->e, "slipring_worker_deaf", "gauge", "1 while the worker does not receive what comes to its port");
	for (uint32_t i = 0; i < m->workers; i++)
		exposition_integer(&m->e, api_deaf(m->config) >> i & 1, WORKER_LABELS(m, i));
}

/* --- the store and the ports -------------------------------------------------------------- */

static void
put_store(struct metrics *m)
{
	struct store *store = node_store(m->config->node);
	struct shard_stats stats[WORKER_MAX];
	uint32_t count = store_shard_count(store);

	for (uint32_t i = 0; i < count; i++)
		shard_stats(store_shard(store, i), &stats[i]);
#define FIGURE(name, metric, type, text) \
	exposition_family(&m->e, "slipring_store_" metric, type, text); \
	for (uint32_t i = 0; i < count; i++) \
		exposition_integer(&m->e, stats[i].name, WORKER_LABELS(m, i));
#include "store/figure.def"
#undef FIGURE
}

static void
put_ports(struct metrics *m)
{
	struct port_info info[WORKER_MAX];

	for (uint32_t i = 0; i < m->workers; i++)
		node_port_info(m->config->node, i, &info[i]);
	exposition_family(&m->e, "slipring_port_rx_missed_frames_total", "counter", "frames the card dropped for want of descriptors");
	for (uint32_t i = 0; i < m->workers; i++)
		exposition_integer(&m->e, info[i].rx_missed, WORKER_LABELS(m, i));
	exposition_family(&m->e, "slipring_port_rx_nombuf_frames_total", "counter", "frames dropped for want of buffers");
	for (uint32_t i = 0; i < m->workers; i++)
		exposition_integer(&m->e, info[i].rx_nombuf, WORKER_LABELS(m, i));
	exposition_family(&m->e, "slipring_port_tx_errors_total", "counter", "frames the card failed to send");
	for (uint32_t i = 0; i < m->workers; i++)
		exposition_integer(&m->e, info[i].tx_errors, WORKER_LABELS(m, i));
}

/* --- the process --------------------------------------------------------------------------- */

static void
put_gauge(struct metrics *m, const char *name, uint64_t value, const char *help)
{
	exposition_family(&m->e, name, "gauge", help);
	exposition_integer(&m->e, value, NULL);
}

/* Named as Prometheus' own client libraries name them. */
static void
put_process(struct metrics *m)
{
	struct process_figures p;

	process_figures(&p);
	exposition_family(&m->e, "process_cpu_seconds_total", "counter", "CPU time of the process, user and system");
	exposition_real(&m->e, p.cpu_seconds, NULL);
	put_gauge(m, "process_resident_memory_bytes", p.resident_bytes, "resident memory of the process");
	put_gauge(m, "process_virtual_memory_bytes", p.virtual_bytes, "virtual memory of the process");
	put_gauge(m, "process_open_fds", p.open_fds, "open file descriptors");
	put_gauge(m, "process_max_fds", p.max_fds, "most file descriptors the process may open");
	put_gauge(m, "process_threads", p.threads, "threads of the process");
	put_gauge(m, "process_start_time_seconds", p.start_seconds, "start of the process, since the epoch");
}

static void
put_http(struct metrics *m, const struct http_figures *http)
{
	char status[LABEL_SIZE];

	exposition_family(&m->e, "slipring_http_requests_total", "counter", "requests to the control plane, by status");
	for (int i = 0; i < HTTP_STATUS_MAX; i++) {
		if (http->by_status[i] == 0 && i != 200)
			continue;
		snprintf(status, sizeof status, "%d", i);
		exposition_integer(&m->e, http->by_status[i], (const char *const []){ "code", status, NULL });
	}
	exposition_family(&m->e, "slipring_http_overdue_connections_total", "counter", "control connections ended at their deadline");
	exposition_integer(&m->e, http->overdue, NULL);
	put_gauge(m, "slipring_http_connections", http->connections, "control connections now");
}

/* --- the cluster --------------------------------------------------------------------------- */

/* "Alive" as a label's value. */
static void
state_label(uint8_t state, char text[LABEL_SIZE])
{
	snprintf(text, LABEL_SIZE, "%s", member_state_name(state));
	text[0] = (char)tolower((unsigned char)text[0]);
}

static void
put_members(struct metrics *m, const struct cluster_view *cluster)
{
	uint64_t counts[PEER_LEFT + 1] = { 0 };
	char state[LABEL_SIZE];

	for (uint16_t i = 0; i < cluster->count; i++)
		counts[cluster->members[i].state <= PEER_LEFT ? cluster->members[i].state : 0]++;
	exposition_family(&m->e, "slipring_cluster_members", "gauge", "members by state, this node among them");
	for (uint8_t s = PEER_JOINING; s <= PEER_LEFT; s++) {
		state_label(s, state);
		exposition_integer(&m->e, counts[s], (const char *const []){ "state", state, NULL });
	}
}

static void
put_peers(struct metrics *m, const struct cluster_view *cluster)
{
	char state[LABEL_SIZE];

	exposition_family(&m->e, "slipring_peer_phi", "gauge", "how surprising the peer's silence is; 0 when other nodes watch it");
	for (uint16_t i = 0; i < cluster->count; i++)
		if (!cluster->members[i].self)
			exposition_real(&m->e, cluster->members[i].phi, (const char *const []){ "peer", cluster->members[i].id, NULL });
	exposition_family(&m->e, "slipring_peer_state", "gauge", "1 for the state that the peer is in");
	for (uint16_t i = 0; i < cluster->count; i++)
		for (uint8_t s = PEER_JOINING; s <= PEER_LEFT && !cluster->members[i].self; s++) {
			state_label(s, state);
			exposition_integer(&m->e, cluster->members[i].state == s,
			    (const char *const []){ "peer", cluster->members[i].id, "state", state, NULL });
		}
}

static void
put_directions(struct metrics *m, const char *name, const char *help, uint64_t in, uint64_t out)
{
	exposition_family(&m->e, name, "counter", help);
	exposition_integer(&m->e, in, (const char *const []){ "direction", "in", NULL });
	exposition_integer(&m->e, out, (const char *const []){ "direction", "out", NULL });
}

static void
put_counters_of_cluster(struct metrics *m, const struct cluster_counters *counters)
{
	put_directions(m, "slipring_cluster_packets_total", "packets between nodes", counters->packets_in, counters->packets_out);
	put_directions(m, "slipring_cluster_bytes_total", "bytes of packets between nodes, envelope included", counters->bytes_in, counters->bytes_out);
	exposition_family(&m->e, "slipring_cluster_refused_packets_total", "counter", "packets that are not genuine, by reason");
	for (int v = ENVELOPE_OK + 1; v < ENVELOPE_VERDICT_COUNT; v++)
		exposition_integer(&m->e, counters->refused[v],
		    (const char *const []){ "reason", envelope_verdict_name((enum envelope_verdict)v), NULL });
}

static void
put_cluster(struct metrics *m, const struct api_view *view)
{
	const struct cluster_view *cluster = &view->now.cluster;

	put_gauge(m, "slipring_cluster_epoch", cluster->epoch, "number of the topology in force; 0: none yet");
	put_gauge(m, "slipring_cluster_ring_size", cluster->ring_size, "sum of the weights of the members that own slots");
	exposition_family(&m->e, "slipring_cluster_phase", "gauge", "1 for the phase that this node is in");
	for (int phase = CORE_JOINING; phase <= CORE_REFUSED; phase++)
		exposition_integer(&m->e, view->now.phase == (enum core_phase)phase,
		    (const char *const []){ "phase", core_phase_name((enum core_phase)phase), NULL });
	put_members(m, cluster);
	put_peers(m, cluster);
	put_counters_of_cluster(m, &view->now.counters);
}

char *
api_metrics(struct api_view *view, const struct api_sample *since, const struct http_figures *http, size_t *len)
{
	const struct api_config *config = view->config;
	struct metrics m = { .config = config, .workers = node_config(config->node)->io.worker_count };

	if (!exposition_open(&m.e))
		return NULL;
	for (uint32_t i = 0; i < WORKER_MAX; i++)
		snprintf(m.labels[i], sizeof m.labels[i], "%u", i);
	exposition_family(&m.e, "slipring_build_info", "gauge", "always 1; the labels name the release and the node");
	exposition_integer(&m.e, 1, (const char *const []){ "version", SLIPRING_VERSION, "node", config->config->node_id, NULL });
	put_counters(&m);
	put_core(&m);
	put_drops(&m);
	put_busy(&m, since);
	put_store(&m);
	put_ports(&m);
	put_process(&m);
	put_http(&m, http);
	api_view_take(view);
	if (view->core)
		put_cluster(&m, view);
	return exposition_close(&m.e, len);
}
