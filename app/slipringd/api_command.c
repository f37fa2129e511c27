/* POST /cluster/join, leave, drain, probe: asked of the control core, which acts later. */
#include <string.h>

#include "slipringd/api_cluster.h"
#include "slipringd/log.h"
#include "slipringd/peer_text.h"

enum { ACCEPTED = 202, BAD_REQUEST = 400, NOT_FOUND = 404, CONFLICT = 409, UNAVAILABLE = 503, PEER_PORT = 7946,
	MULTICAST = 224 /* first byte of addresses that are of no one host, and beyond */ };

/* --- what each command wants ----------------------------------------------------------- */

/* The one member of the body's object, a text; NULL: refused. Lives as long as *body. */
static const char *
read_member(const struct http_request *request, struct http_reply *reply, const char *name, json_t **body)
{
	*body = json_loadb(request->body, request->body_len, JSON_REJECT_DUPLICATES, NULL);
	const char *text = json_string_value(json_object_get(*body, name));

	if (text && json_object_size(*body) == 1)
		return text;
	http_refuse(reply, BAD_REQUEST, "bad_request", strcmp(name, "address") == 0 ?
	    "the body must be JSON, {\"address\": \"ADDRESS:PORT\"}" : "the body must be JSON, {\"node_id\": \"NAME\"}");
	return NULL;
}

static bool
read_join(const struct http_request *request, struct http_reply *reply, struct core_command *command)
{
	json_t *body;
	const char *text = read_member(request, reply, "address", &body);
	struct why why = { "address must be that of one node" };
	bool good = text && peer_text_address(text, PEER_PORT, &command->address, &why) &&
	    command->address.ip[12] != 0 && command->address.ip[12] < MULTICAST;

	if (text && !good)
		http_refuse(reply, BAD_REQUEST, "bad_address", why.text);
	json_decref(body);
	return good;
}

static bool
read_probe(const struct api_view *view, const struct http_request *request, struct http_reply *reply,
    struct core_command *command)
{
	json_t *body;
	const char *text = read_member(request, reply, "node_id", &body);
	const struct cluster_member_view *member = text ? api_view_find(view, text) : NULL;

	if (text && !member)
		http_refuse(reply, NOT_FOUND, "unknown_node", "no member has this node_id; see /cluster/members");
	else if (member && member->self)
		http_refuse(reply, CONFLICT, "is_this_node", "a node does not probe itself");
	else if (member)
		command->id = ring_member_id(text, strlen(text));
	json_decref(body);
	return member && !member->self;
}

/* Whether the node is in a phase from which it can leave or drain. */
static bool
may_go(const struct api_view *view, bool leave, struct http_reply *reply)
{
	enum core_phase phase = view->now.phase;

	if (phase == CORE_MEMBER || phase == CORE_DRAINING || (leave && phase == CORE_LEAVING))
		return true;
	http_refuse(reply, CONFLICT, "not_member", phase == CORE_JOINING ? "the node has not joined yet" :
	    phase == CORE_REFUSED ? "the cluster has refused this node" : "the node is leaving, or has left");
	return false;
}

static bool
read_command(const struct api_view *view, const struct http_request *request, struct http_reply *reply,
    struct core_command *command)
{
	switch (request->route) {
	case ROUTE_CLUSTER_JOIN:
		command->kind = CLUSTER_JOIN;
		return read_join(request, reply, command);
	case ROUTE_CLUSTER_PROBE:
		command->kind = CLUSTER_PROBE;
		return read_probe(view, request, reply, command);
	case ROUTE_CLUSTER_LEAVE:
		command->kind = CLUSTER_LEAVE;
		return may_go(view, true, reply);
	default:
		command->kind = CLUSTER_DRAIN;
		return may_go(view, false, reply);
	}
}

void
api_cluster_command(struct api_view *view, const struct http_request *request, struct http_reply *reply)
{
	struct core_command command = { 0 };

	if (!view->core) {
		http_refuse(reply, CONFLICT, "not_clustered", "this node runs by itself; cluster.enabled makes it one of several");
		return;
	}
	api_view_take(view);
	if (!read_command(view, request, reply, &command))
		return;
	if (!core_command(view->core, &command)) {
		http_refuse(reply, UNAVAILABLE, "busy", "the control core has other commands to do; ask again");
		return;
	}
	log_info("%s asked for by %s %s", routes[request->route].path, request->who.by, request->who.name);
	reply->status = ACCEPTED;
	reply->json = json_pack("{s:b, s:s}", "accepted", 1, "look_at",
	    request->route == ROUTE_CLUSTER_PROBE ? "/cluster/events" : "/cluster/status");
}
