#include "slipringd/api_telemetry.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/counters.h"
#include "io/telemetry.h"
#include "slipringd/api_view.h"
#include "slipringd/facts.h"

struct api_telemetry {
	struct api_config config;
	struct api_view *view;
};

static void
tell_ring(void *context, struct telemetry *answer)
{
	struct api_view *view = ((struct api_telemetry *)context)->view;
	uint32_t slots[RING_MEMBERS_MAX], firsts[RING_MEMBERS_MAX];
	struct telemetry *members;
	char text[PEER_ID_MAX + 1];

	api_view_take(view);
	telemetry_number(answer, "epoch", view->snapshot.topology.epoch);
	snprintf(text, sizeof text, "%016" PRIx64, view->snapshot.topology.digest);
	telemetry_text(answer, "digest", text);
	telemetry_number(answer, "owners", view->placed ? view->snapshot.table.owner_count : 0);
	telemetry_number(answer, "ring_size", view->placed ? ring_size(&view->snapshot.topology) : 0);
	members = telemetry_open(answer, "members");
	if (view->placed)
		ring_shares(&view->snapshot.table, slots, firsts);
	for (uint16_t i = 0; view->placed && i < view->snapshot.topology.count; i++) {
		struct telemetry *member;

		api_view_name(view, i, text);
		member = telemetry_open(members, text);
		telemetry_number(member, "first_slots", firsts[i]);
		telemetry_number(member, "slots", slots[i]);
		telemetry_number(member, "weight", view->snapshot.topology.members[i].weight);
		telemetry_close(member);
	}
	telemetry_close(members);
}

static void
tell_members(void *context, struct telemetry *answer)
{
	struct api_view *view = ((struct api_telemetry *)context)->view;
	struct telemetry *members;
	char text[API_ADDRESS_SIZE];

	api_view_take(view);
	telemetry_number(answer, "epoch", view->now.cluster.epoch);
	telemetry_number(answer, "version", view->now.cluster.changes);
	members = telemetry_open(answer, "members");
	for (uint16_t i = 0; i < view->now.cluster.count; i++) {
		const struct cluster_member_view *member = &view->now.cluster.members[i];
		struct telemetry *one = telemetry_open(members, member->id);

		telemetry_text(one, "status", member_state_name(member->state));
		snprintf(text, sizeof text, "%.6g", member->phi);
		telemetry_text(one, "phi", text);
		telemetry_number(one, "incarnation", member->incarnation);
		api_address_print(&member->api, text);
		telemetry_text(one, "api_addr", text);
		telemetry_close(one);
	}
	telemetry_close(members);
}

static void
tell_worker(const struct api_config *config, uint32_t worker, struct telemetry *answer)
{
	static const enum counter shown[] = { COUNTER_POLLS, COUNTER_POLLS_BUSY, COUNTER_SLEEPS, COUNTER_RX_FRAMES,
		COUNTER_TX_FRAMES, COUNTER_CMD_GET, COUNTER_CMD_SET, COUNTER_BUSY_CYCLES };
	const struct counters *counters = node_counters(config->node, worker);
	struct telemetry *one;
	struct facts_worker facts;
	struct port_info port;
	char name[16];

	snprintf(name, sizeof name, "%u", worker);
	node_port_info(config->node, worker, &port);
	facts_worker(node_config(config->node), &port, worker, &facts);
	one = telemetry_open(answer, name);
	telemetry_number(one, "lcore", facts.lcore);
	telemetry_text(one, "cpus", facts.cpus);
	telemetry_number(one, "port", facts.port);
	telemetry_number(one, "queue", facts.queue);
	telemetry_text(one, "interface", facts.interface);
	telemetry_text(one, "driver", facts.driver);
	telemetry_number(one, "rx_missed", port.rx_missed);
	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
		telemetry_number(one, counter_name(shown[i]), counter_read(counters, shown[i]));
	telemetry_close(one);
}

static void
tell_workers(void *context, struct telemetry *answer)
{
	const struct api_config *config = &((struct api_telemetry *)context)->config;

	for (uint32_t i = 0; i < node_config(config->node)->io.worker_count; i++)
		tell_worker(config, i, answer);
}

static const struct {
	const char *name, *help;
	telemetry_answer answer;
} commands[] = {
	{ "/slipring/ring", "Topology in force: epoch, and how many slots each member owns. Takes no parameters", tell_ring },
	{ "/slipring/members", "Members of the cluster: status, phi, incarnation, address. Takes no parameters", tell_members },
	{ "/slipring/workers", "Workers: lcore, port and counters of each. Takes no parameters", tell_workers },
};

struct api_telemetry *
api_telemetry_start(const struct api_config *config)
{
	struct api_telemetry *telemetry = calloc(1, sizeof *telemetry);

	if (!telemetry)
		return NULL;
	telemetry->config = *config;
	telemetry->view = api_view_create(&telemetry->config);
	if (!telemetry->view) {
		free(telemetry);
		return NULL;
	}
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		telemetry_set(commands[i].name, commands[i].help, commands[i].answer, telemetry);
	return telemetry;
}

void
api_telemetry_stop(struct api_telemetry *telemetry)
{
	if (!telemetry)
		return;
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		telemetry_set(commands[i].name, commands[i].help, NULL, NULL);
	free(telemetry->view);
	free(telemetry);
}
