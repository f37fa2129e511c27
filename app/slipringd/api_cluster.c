#include "slipringd/api_cluster.h"

#include <string.h>

#include "base/now.h"
#include "cluster/envelope.h"
#include "ring/slot.h"
#include "slipringd/api_json.h"

const char *
api_cluster_unready(const struct api_view *view)
{
	switch (view->now.phase) {
	case CORE_MEMBER:
		return view->placed ? NULL : "warming: no partition table yet";
	case CORE_JOINING:
		return "joining: the cluster has not taken this node in yet";
	case CORE_DRAINING:
		return "draining: its slots go to other nodes";
	case CORE_LEAVING:
		return "leaving the cluster";
	case CORE_LEFT:
		return "it has left the cluster";
	default:
		return "refused: another process has its node id, or the cluster is full";
	}
}

static const char *
ring_state_name(uint8_t state)
{
	static const char *const names[] = { "Alive", "Suspected", "Dead", "Joining", "Leaving", "Left" };

	return names[(state - 1u) % 6];
}

static bool
is_gone(const struct cluster_member_view *member)
{
	return member->state == PEER_DEAD || member->state == PEER_LEFT;
}

/* --- status ---------------------------------------------------------------------------- */

static json_t *
peer_object(const struct cluster_member_view *peer)
{
	return json_pack("{s:s, s:o, s:f, s:s, s:I}", "node_id", peer->id, "api_addr", api_address_json(&peer->api), "phi",
	    peer->phi, "status", member_state_name(peer->state), "incarnation", (json_int_t)peer->incarnation);
}

json_t *
api_cluster_status(struct api_view *view)
{
	const struct cluster_view *cluster = &view->now.cluster;
	json_t *peers = json_array(), *dead = json_array();
	int count = 0;

	api_view_take(view);
	for (uint16_t i = 0; i < cluster->count; i++) {
		const struct cluster_member_view *member = &cluster->members[i];

		count += !is_gone(member);
		if (!member->self)
			json_array_append_new(peers, peer_object(member));
		if (member->state == PEER_DEAD)
			json_array_append_new(dead, json_string(member->id));
	}
	return json_pack("{s:s, s:i, s:o, s:o, s:i, s:I, s:i, s:b}", "node_id", view->config->config->node_id, "node_count",
	    count, "peers", peers, "dead_nodes", dead, "ring_size", (int)cluster->ring_size, "epoch",
	    (json_int_t)cluster->epoch, "replication_factor", cluster->replication_factor, "read_repair_enabled", 0);
}

/* --- members and heartbeat ------------------------------------------------------------- */

static json_t *
member_object(const struct cluster_member_view *member)
{
	return json_pack("{s:s, s:s, s:f, s:I, s:o, s:o, s:b, s:i, s:I, s:o}", "node_id", member->id, "status",
	    member_state_name(member->state), "phi", member->phi, "incarnation", (json_int_t)member->incarnation, "address",
	    api_address_json(&member->address), "api_addr", api_address_json(&member->api), "self", member->self, "weight",
	    (int)member->weight, "rack", (json_int_t)member->rack, "boot", api_hex_json(member->boot));
}

json_t *
api_cluster_members(struct api_view *view)
{
	json_t *members = json_array();

	api_view_take(view);
	for (uint16_t i = 0; i < view->now.cluster.count; i++)
		json_array_append_new(members, member_object(&view->now.cluster.members[i]));
	return json_pack("{s:s, s:s, s:I, s:I, s:o}", "node_id", view->config->config->node_id, "phase",
	    core_phase_name(view->now.phase), "version", (json_int_t)view->now.cluster.changes, "epoch",
	    (json_int_t)view->now.cluster.epoch, "members", members);
}

static json_t *
heard_json(const struct api_view *view, const struct cluster_member_view *member)
{
	uint64_t now = view->now.mono_ns;

	if (member->heard_ns == 0)
		return json_null();
	return json_integer(now > member->heard_ns ? (json_int_t)((now - member->heard_ns) / NS_PER_MS) : 0);
}

json_t *
api_cluster_heartbeat(struct api_view *view)
{
	const struct cluster_view *cluster = &view->now.cluster;
	json_t *peers = json_array();

	api_view_take(view);
	for (uint16_t i = 0; i < cluster->count; i++) {
		const struct cluster_member_view *member = &cluster->members[i];

		if (!member->self)
			json_array_append_new(peers, json_pack("{s:s, s:s, s:f, s:b, s:o}", "node_id", member->id, "status",
			    member_state_name(member->state), "phi", member->phi, "watched", member->watched, "last_heard_ms",
			    heard_json(view, member)));
	}
	return json_pack("{s:s, s:f, s:f, s:o}", "node_id", view->config->config->node_id, "interval_ms",
	    (double)cluster->heartbeat_ns / NS_PER_MS, "phi_threshold", cluster->phi_threshold, "peers", peers);
}

/* --- figures --------------------------------------------------------------------------- */

static json_t *
states_object(const struct cluster_view *cluster)
{
	json_t *object = json_object();
	int counts[PEER_LEFT + 1] = { 0 };

	for (uint16_t i = 0; i < cluster->count; i++)
		if (cluster->members[i].state <= PEER_LEFT)
			counts[cluster->members[i].state]++;
	for (uint8_t state = PEER_JOINING; state <= PEER_LEFT; state++)
		json_object_set_new(object, member_state_name(state), json_integer(counts[state]));
	return object;
}

static json_t *
refused_object(const struct cluster_counters *counters)
{
	json_t *object = json_object();

	for (int verdict = ENVELOPE_OK + 1; verdict < ENVELOPE_VERDICT_COUNT; verdict++)
		json_object_set_new(object, envelope_verdict_name((enum envelope_verdict)verdict),
		    json_integer((json_int_t)counters->refused[verdict]));
	return object;
}

static json_t *
gossip_object(const struct cluster_counters *c)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
	    "packets_in", (json_int_t)c->packets_in, "packets_out", (json_int_t)c->packets_out, "bytes_in",
	    (json_int_t)c->bytes_in, "bytes_out", (json_int_t)c->bytes_out, "malformed", (json_int_t)c->malformed,
	    "former_life", (json_int_t)c->former_life, "unknown", (json_int_t)c->unknown, "unknown_sections",
	    (json_int_t)c->unknown_sections, "cut", (json_int_t)c->cut, "records_cut", (json_int_t)c->records_cut,
	    "refutations", (json_int_t)c->refutations, "suspicions", (json_int_t)c->suspicions, "convictions",
	    (json_int_t)c->convictions, "probes", (json_int_t)c->probes, "pauses", (json_int_t)c->pauses, "duplicates",
	    (json_int_t)c->duplicates, "full", (json_int_t)c->full);
}

/* Operations on other nodes' keys: sent is summed over the workers, the rest is the control core's. */
static json_t *
forwarded_object(const struct api_view *view)
{
	const struct counters *core = node_core_counters(view->config->node);
	json_t *object = json_object();
	uint64_t sent = 0;

	for (uint32_t i = 0; i < node_config(view->config->node)->io.worker_count; i++)
		sent += counter_read(node_counters(view->config->node, i), COUNTER_FORWARD_SENT);
	json_object_set_new(object, counter_name(COUNTER_FORWARD_SENT), json_integer((json_int_t)sent));
	for (int c = COUNTER_FORWARD_ANSWERED; c <= COUNTER_FORWARD_MALFORMED; c++)
		json_object_set_new(object, counter_name(c), json_integer(core ? (json_int_t)counter_read(core, c) : 0));
	return object;
}

json_t *
api_cluster_metrics(struct api_view *view)
{
	api_view_take(view);
	return json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o}", "node_id", view->config->config->node_id, "phase",
	    core_phase_name(view->now.phase), "epoch", (json_int_t)view->now.cluster.epoch, "membership_version",
	    (json_int_t)view->now.cluster.changes, "members", states_object(&view->now.cluster), "gossip",
	    gossip_object(&view->now.counters), "refused", refused_object(&view->now.counters), "forwarded", forwarded_object(view));
}

/* --- ring ------------------------------------------------------------------------------ */

static json_t *
place_object(const struct api_view *view, uint16_t position, uint32_t slots, uint32_t firsts)
{
	const struct ring_member *member = &view->snapshot.topology.members[position];
	char name[PEER_ID_MAX + 1];

	api_view_name(view, position, name);
	return json_pack("{s:s, s:s, s:i, s:i, s:I, s:I, s:I, s:f}", "node_id", name, "status",
	    ring_state_name(member->state), "index", (int)member->index, "weight", (int)member->weight, "rack",
	    (json_int_t)member->rack, "slots", (json_int_t)slots, "first_slots", (json_int_t)firsts, "share",
	    (double)firsts / SLOT_COUNT);
}

static json_t *
places_list(const struct api_view *view)
{
	uint32_t slots[RING_MEMBERS_MAX], firsts[RING_MEMBERS_MAX];
	json_t *list = json_array();

	if (!view->placed)
		return list;
	ring_shares(&view->snapshot.table, slots, firsts);
	for (uint16_t i = 0; i < view->snapshot.topology.count; i++)
		json_array_append_new(list, place_object(view, i, slots[i], firsts[i]));
	return list;
}

/* By rank, then by slot: positions in `members`. */
static json_t *
slots_list(const struct api_view *view)
{
	json_t *ranks = json_array();

	for (unsigned n = 0; view->placed && n < view->snapshot.table.owner_count; n++) {
		json_t *owners = json_array();

		for (uint16_t slot = 0; slot < SLOT_COUNT; slot++)
			json_array_append_new(owners, json_integer(ring_owner(&view->snapshot.table, slot, n)));
		json_array_append_new(ranks, owners);
	}
	return ranks;
}

void
api_cluster_ring(struct api_view *view, const struct http_request *request, struct http_reply *reply)
{
	char wanted[8] = "false";
	const struct ring_snapshot *ring = &view->snapshot;
	bool given = http_query(request, "slots", wanted, sizeof wanted);

	if (given && strcmp(wanted, "true") != 0 && strcmp(wanted, "false") != 0) {
		http_refuse(reply, 400, "bad_request", "slots must be true or false");
		return;
	}
	api_view_take(view);
	reply->json = json_pack("{s:s, s:I, s:o, s:o, s:i, s:i, s:i, s:i, s:o, s:o}", "node_id",
	    view->config->config->node_id, "epoch", (json_int_t)ring->topology.epoch, "digest",
	    api_hex_json(ring->topology.digest), "table_digest",
	    api_hex_json(view->placed ? ring_table_digest(&ring->table) : 0), "replication_factor",
	    (int)ring->topology.replication, "owners", view->placed ? (int)ring->table.owner_count : 0, "slot_count",
	    (int)SLOT_COUNT, "ring_size", (int)(view->placed ? ring_size(&ring->topology) : 0), "members",
	    places_list(view), "slots", strcmp(wanted, "true") == 0 ? slots_list(view) : json_null());
}

/* --- owners ---------------------------------------------------------------------------- */

static json_t *
owner_object(const struct api_view *view, uint16_t position)
{
	const struct cluster_member_view *member = api_view_member(view, position);
	char name[PEER_ID_MAX + 1];

	api_view_name(view, position, name);
	return json_pack("{s:s, s:o, s:s}", "node_id", name, "api_addr", member ? api_address_json(&member->api) : json_null(),
	    "status", member ? member_state_name(member->state) :
	    ring_state_name(view->snapshot.topology.members[position].state));
}

static void
fill_owners(const struct api_view *view, struct view key, struct http_reply *reply)
{
	uint16_t slot = slot_of_key(key);
	json_t *owners = json_array();

	for (unsigned n = 0; n < view->snapshot.table.owner_count; n++)
		json_array_append_new(owners, owner_object(view, ring_owner(&view->snapshot.table, slot, n)));
	reply->json = json_object();
	api_set_bytes(reply->json, "key", "key_encoding", key);
	json_object_set_new(reply->json, "slot", json_integer(slot));
	json_object_set_new(reply->json, "epoch", json_integer((json_int_t)view->snapshot.topology.epoch));
	json_object_set_new(reply->json, "owners", owners);
}

void
api_cluster_owners(struct api_view *view, const struct http_request *request, struct http_reply *reply)
{
	uint8_t room[KEY_LEN_MAX + 1];
	struct view key;

	if (!api_path_key(request, reply, room, &key))
		return;
	api_view_take_lately(view);
	if (view->placed)
		fill_owners(view, key, reply);
	else
		http_refuse(reply, 503, "no_topology", "the cluster has no partition table yet; see /cluster/status");
}
