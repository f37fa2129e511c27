#include "slipringd/api.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/http.h"
#include "control/listen.h"
#include "control/openapi.h"
#include "control/percent.h"
#include "ring/slot.h"
#include "slipringd/api_body.h"
#include "slipringd/api_cache.h"
#include "slipringd/api_cluster.h"
#include "slipringd/api_events.h"
#include "slipringd/api_keys.h"
#include "slipringd/api_metrics.h"
#include "slipringd/api_sweep.h"
#include "slipringd/log.h"
#include "slipringd/usocket.h"

enum { OK = 200, BAD_REQUEST = 400, NOT_FOUND = 404, UNAVAILABLE = 503 };

struct api {
	struct api_config config;
	struct http *http;
	struct cache *cache;
	/* on the server's thread */
	struct api_view *view;
	struct api_events events;
	struct api_sample older, newer; /* at least a second apart: a ratio needs some time to be one */
};

static void
get_health(void *context, const struct http_request *request, struct http_reply *reply)
{
	struct api *api = context;
	bool healthy;

	(void)request;
	reply->json = api_body_health(&api->config, &healthy);
	reply->status = healthy ? OK : UNAVAILABLE;
}

static void
get_ready(void *context, const struct http_request *request, struct http_reply *reply)
{
	struct api *api = context;
	bool ready;

	(void)request;
	reply->json = api_body_ready(api->view, &ready);
	reply->status = ready ? OK : UNAVAILABLE;
}

static void
get_stats(void *context, const struct http_request *request, struct http_reply *reply)
{
	struct api *api = context;

	(void)request;
	reply->json = api_body_stats(&api->config);
}

/* What the busy ratio is since. */
static const struct api_sample *
sample(struct api *api)
{
	if (io_cycles() - api->newer.cycles >= io_cycles_hz()) {
		api->older = api->newer;
		api_sample_take(&api->newer, api->config.node);
	}
	return &api->older;
}

static void
get_workers(void *context, const struct http_request *request, struct http_reply *reply)
{
	struct api *api = context;

	(void)request;
	reply->json = api_body_workers(&api->config, sample(api));
}

static void
get_metrics(void *context, const struct http_request *request, struct http_reply *reply)
{
	struct api *api = context;

	(void)request;
	reply->type = "text/plain; version=0.0.4; charset=utf-8";
	reply->text = api_metrics(api->view, sample(api), http_figures(api->http), &reply->text_len);
}

static void
get_sockets(void *context, const struct http_request *request, struct http_reply *reply)
{
	struct api *api = context;

	(void)request;
	reply->json = api_body_sockets(&api->config);
}

static void
get_config(void *context, const struct http_request *request, struct http_reply *reply)
{
	struct api *api = context;

	(void)request;
	reply->json = api_body_config(&api->config);
}

static void
get_debug_vars(void *context, const struct http_request *request, struct http_reply *reply)
{
	struct api *api = context;

	(void)request;
	reply->json = api_body_debug(api->view, http_figures(api->http));
}

static void
get_log_level(void *context, const struct http_request *request, struct http_reply *reply)
{
	(void)context;
	(void)request;
	reply->json = json_pack("{s:s}", "level", log_level_name(log_level_get()));
}

/* The body is the bare word: curl -X PUT -d debug. */
static void
put_log_level(void *context, const struct http_request *request, struct http_reply *reply)
{
	enum log_level level;
	char word[16] = "";

	size_t len = strcspn(request->body, "\r\n");
	if (len < sizeof word)
		memcpy(word, request->body, len);
	if (!log_level_parse(word, &level)) {
		http_refuse(reply, BAD_REQUEST, "bad_request", "the body must be one of error, warn, info, debug");
		return;
	}
	/* Told at the more talkative of the two levels. */
	if (level > log_level_get())
		log_level_set(level);
	log_info("log level is now %s (%s %s)", log_level_name(level), request->who.by, request->who.name);
	log_level_set(level);
	get_log_level(context, request, reply);
}

static void
get_me(void *context, const struct http_request *request, struct http_reply *reply)
{
	(void)context;
	reply->json = json_pack("{s:s, s:s, s:s}", "name", request->who.name, "by", request->who.by, "scope",
	    scope_name(request->who.scope));
}

static void
get_me_can(void *context, const struct http_request *request, struct http_reply *reply)
{
	char method[16], path[1024];
	const char *tail;
	enum route_id route;

	(void)context;
	if (!http_query(request, "method", method, sizeof method) || !http_query(request, "path", path, sizeof path)) {
		http_refuse(reply, BAD_REQUEST, "bad_request", "method and path must be given, as in ?method=GET&path=/stats");
		return;
	}
	route = route_find(method, path, &tail);
	if (route >= ROUTE_COUNT)
		http_refuse(reply, NOT_FOUND, "unknown_path", "there is no such method and path");
	else
		reply->json = json_pack("{s:b, s:s}", "allowed", request->who.scope >= routes[route].scope, "scope",
		    scope_name(routes[route].scope));
}

static void
get_openapi(void *context, const struct http_request *request, struct http_reply *reply)
{
	(void)context;
	(void)request;
	reply->json = openapi_document(SLIPRING_VERSION);
}

/* --- the cluster ------------------------------------------------------------------------ */

static void
get_status(void *context, const struct http_request *request, struct http_reply *reply)
{
	(void)request;
	reply->json = api_cluster_status(((struct api *)context)->view);
}

static void
get_members(void *context, const struct http_request *request, struct http_reply *reply)
{
	(void)request;
	reply->json = api_cluster_members(((struct api *)context)->view);
}

static void
get_heartbeat(void *context, const struct http_request *request, struct http_reply *reply)
{
	(void)request;
	reply->json = api_cluster_heartbeat(((struct api *)context)->view);
}

static void
get_dist_metrics(void *context, const struct http_request *request, struct http_reply *reply)
{
	(void)request;
	reply->json = api_cluster_metrics(((struct api *)context)->view);
}

static void
get_ring(void *context, const struct http_request *request, struct http_reply *reply)
{
	api_cluster_ring(((struct api *)context)->view, request, reply);
}

static void
get_owners(void *context, const struct http_request *request, struct http_reply *reply)
{
	api_cluster_owners(((struct api *)context)->view, request, reply);
}

static void
get_events(void *context, const struct http_request *request, struct http_reply *reply)
{
	api_events_get(&((struct api *)context)->events, request, reply);
}

static void
post_command(void *context, const struct http_request *request, struct http_reply *reply)
{
	api_cluster_command(((struct api *)context)->view, request, reply);
}

/* --- the cache -------------------------------------------------------------------------- */

/* Who owns the key, and by which epoch: for the reply's headers. */
static void
tell_owners(struct api *api, const struct http_request *request, struct http_reply *reply)
{
	char owners[API_OWNERS_SIZE];
	uint8_t key[KEY_LEN_MAX + 1];
	size_t len = percent_decode(request->tail, strlen(request->tail), false, key, sizeof key);

	api_view_take_lately(api->view);
	if (len > KEY_LEN_MAX || !api->view->placed)
		return;
	api_view_owners(api->view, slot_of_key(view_of(key, (uint32_t)len)), owners);
	http_reply_header(reply, "Slipring-Owners", "%s", owners);
	http_reply_header(reply, "Slipring-Epoch", "%llu", (unsigned long long)api->view->snapshot.topology.epoch);
}

static void
get_cache(void *context, const struct http_request *request, struct http_reply *reply)
{
	tell_owners(context, request, reply);
	api_cache_get(((struct api *)context)->cache, request, reply);
}

static void
put_cache(void *context, const struct http_request *request, struct http_reply *reply)
{
	tell_owners(context, request, reply);
	api_cache_put(((struct api *)context)->cache, request, reply);
}

static void
delete_cache(void *context, const struct http_request *request, struct http_reply *reply)
{
	tell_owners(context, request, reply);
	api_cache_delete(((struct api *)context)->cache, request, reply);
}

static void
get_keys(void *context, const struct http_request *request, struct http_reply *reply)
{
	struct api *api = context;

	api_keys_list(api->view, api->cache, request, reply);
}

static void
post_batch(void *context, const struct http_request *request, struct http_reply *reply)
{
	api_cache_batch(((struct api *)context)->cache, request, reply);
}

static void
post_sweep(void *context, const struct http_request *request, struct http_reply *reply)
{
	struct api *api = context;

	api_sweep(api->view, api->cache, request, reply);
}

static void
get_openapi_yaml(void *context, const struct http_request *request, struct http_reply *reply)
{
	(void)context;
	(void)request;
	reply->type = "application/yaml";
	reply->text = openapi_yaml(SLIPRING_VERSION, &reply->text_len);
}

static const http_handler handlers[ROUTE_COUNT] = {
	[ROUTE_HEALTHZ] = get_health,
	[ROUTE_READYZ] = get_ready,
	[ROUTE_METRICS] = get_metrics,
	[ROUTE_STATS] = get_stats,
	[ROUTE_WORKERS] = get_workers,
	[ROUTE_SOCKETS] = get_sockets,
	[ROUTE_CONFIG] = get_config,
	[ROUTE_DEBUG_VARS] = get_debug_vars,
	[ROUTE_LOG_LEVEL_GET] = get_log_level,
	[ROUTE_LOG_LEVEL_PUT] = put_log_level,
	[ROUTE_ME] = get_me,
	[ROUTE_ME_CAN] = get_me_can,
	[ROUTE_OPENAPI] = get_openapi,
	[ROUTE_OPENAPI_YAML] = get_openapi_yaml,
	[ROUTE_CLUSTER_STATUS] = get_status,
	[ROUTE_CLUSTER_MEMBERS] = get_members,
	[ROUTE_CLUSTER_RING] = get_ring,
	[ROUTE_CLUSTER_HEARTBEAT] = get_heartbeat,
	[ROUTE_CLUSTER_EVENTS] = get_events,
	[ROUTE_CLUSTER_JOIN] = post_command,
	[ROUTE_CLUSTER_LEAVE] = post_command,
	[ROUTE_CLUSTER_DRAIN] = post_command,
	[ROUTE_CLUSTER_PROBE] = post_command,
	[ROUTE_OWNERS] = get_owners,
	[ROUTE_DIST_METRICS] = get_dist_metrics,
	[ROUTE_CACHE_GET] = get_cache,
	[ROUTE_CACHE_PUT] = put_cache,
	[ROUTE_CACHE_DELETE] = delete_cache,
	[ROUTE_BATCH_GET] = post_batch,
	[ROUTE_BATCH_PUT] = post_batch,
	[ROUTE_BATCH_DELETE] = post_batch,
	[ROUTE_CACHE_KEYS] = get_keys,
	[ROUTE_EVICT] = post_sweep,
	[ROUTE_EXPIRE] = post_sweep,
	[ROUTE_CLEAR] = post_sweep,
};

static struct security_files
security_files(const struct config *config)
{
	return (struct security_files){ config->control_tokens_file, config->control_tls_cert, config->control_tls_key,
		config->control_tls_client_ca };
}

enum status
api_security(const struct config *config, struct security **security, struct error *error)
{
	const struct security_files files = security_files(config);

	*security = NULL;
	if (!*config->control_listen)
		return STATUS_OK;
	*security = security_load(&files, error);
	return *security ? STATUS_OK : error->status;
}

uint32_t
api_security_check(const struct config *config, struct error errors[SECURITY_FILES])
{
	const struct security_files files = security_files(config);

	return *config->control_listen ? security_check(&files, errors) : 0;
}

enum status
api_reload(const struct config *config, struct security *security, struct error *error)
{
	const struct security_files files = security_files(config);

	return security ? security_reload(security, &files, error) : STATUS_OK;
}

_Static_assert((int)VALUE_LIST_MAX + 1 <= (int)HTTP_HOSTS_MAX, "the node's name and every host name fit");

static void
fill_http(struct api *api, struct http_config *http)
{
	const struct config *config = api->config.config;

	*http = (struct http_config){ .unix_fd = -1, .tcp_fd = -1, .security = api->config.security, .context = api };
	http->hosts[http->host_count++] = config->node_id;
	for (uint32_t i = 0; i < config->control_host_names.count; i++)
		http->hosts[http->host_count++] = config->control_host_names.values[i];
	memcpy(http->handlers, handlers, sizeof http->handlers);
}

/* The sockets, then the server, whose the sockets become. */
static enum status
start(struct api *api, struct error *error)
{
	const struct config *config = api->config.config;
	struct http_config http;

	fill_http(api, &http);
	http.unix_fd = usocket_listen(config->control_socket, error);
	if (http.unix_fd < 0)
		return error->status;
	if (*config->control_listen && (http.tcp_fd = listen_tcp(config->control_listen, error)) < 0)
		close(http.unix_fd);
	else if ((api->http = http_start(&http, error)))
		return STATUS_OK;
	unlink(config->control_socket);
	return error->status;
}

struct api *
api_start(const struct api_config *config, struct error *error)
{
	struct api *api = calloc(1, sizeof *api);

	if (!api) {
		error_set(error, STATUS_NO_MEMORY, "no memory for the control plane");
		return NULL;
	}
	api->config = *config;
	api_sample_take(&api->older, config->node);
	api->newer = api->older;
	api->events.core = node_core(config->node);
	api->view = api_view_create(&api->config);
	if (!api->view)
		error_set(error, STATUS_NO_MEMORY, "no memory for the control plane");
	else
		api->cache = cache_start(config->node, error);
	if (api->cache && start(api, error) == STATUS_OK)
		return api;
	if (api->cache)
		cache_stop(api->cache);
	cache_free(api->cache);
	free(api->view);
	free(api);
	return NULL;
}

void
api_stop(struct api *api)
{
	if (!api)
		return;
	cache_stop(api->cache); /* whoever waits for it is answered; later comers are refused */
	http_stop(api->http);
	cache_free(api->cache);
	free(api->view);
	unlink(api->config.config->control_socket);
	free(api);
}
