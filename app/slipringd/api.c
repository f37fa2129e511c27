#include "slipringd/api.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "slipringd/api_body.h"
#include "slipringd/log.h"
#include "slipringd/usocket.h"

enum {
	BODY_SIZE = 64,          /* of what a PUT may bring: a word */
	IDLE_SECONDS = 10,       /* of a connection */
	CONNECTION_BYTES = 32768,
};

struct api {
	struct api_config config;
	struct MHD_Daemon *daemon;
	/* on libmicrohttpd's one thread */
	struct api_sample older, newer; /* at least a second apart: a ratio needs some time to be one */
};

/* What a request has brought so far. */
struct exchange {
	char body[BODY_SIZE];
	size_t len;
	bool too_long;
};

static enum MHD_Result
reply(struct MHD_Connection *connection, unsigned status, json_t *body)
{
	char *text = body ? json_dumps(body, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
	struct MHD_Response *response;
	enum MHD_Result result;

	json_decref(body);
	if (!text)
		return MHD_NO; /* out of memory: the connection is closed */
	size_t len = strlen(text);
	text[len] = '\n'; /* in the NUL's place: the length is given */
	response = MHD_create_response_from_buffer(len + 1, text, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, "Content-Type", "application/json");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, "Allow", "GET, PUT");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result
refuse(struct MHD_Connection *connection, unsigned status, const char *why)
{
	return reply(connection, status, json_pack("{s:s}", "error", why));
}

static enum MHD_Result
get_health(struct api *api, struct MHD_Connection *connection)
{
	bool healthy;
	json_t *body = api_body_health(&api->config, &healthy);

	return reply(connection, healthy ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, body);
}

static enum MHD_Result
get_stats(struct api *api, struct MHD_Connection *connection)
{
	return reply(connection, MHD_HTTP_OK, api_body_stats(&api->config));
}

static enum MHD_Result
get_workers(struct api *api, struct MHD_Connection *connection)
{
	if (io_cycles() - api->newer.cycles >= io_cycles_hz()) {
		api->older = api->newer;
		api_sample_take(&api->newer, api->config.node);
	}
	return reply(connection, MHD_HTTP_OK, api_body_workers(&api->config, &api->older));
}

static enum MHD_Result
get_sockets(struct api *api, struct MHD_Connection *connection)
{
	return reply(connection, MHD_HTTP_OK, api_body_sockets(&api->config));
}

static enum MHD_Result
get_log_level(struct api *api, struct MHD_Connection *connection)
{
	(void)api;
	return reply(connection, MHD_HTTP_OK, json_pack("{s:s}", "level", log_level_name(log_level_get())));
}

/* The body is the bare word: curl -X PUT -d debug. */
static enum MHD_Result
put_log_level(struct MHD_Connection *connection, struct exchange *exchange)
{
	enum log_level level;

	exchange->body[exchange->len] = '\0';
	exchange->body[strcspn(exchange->body, "\r\n")] = '\0';
	if (exchange->too_long || !log_level_parse(exchange->body, &level))
		return refuse(connection, MHD_HTTP_BAD_REQUEST, "the body must be one of error, warn, info, debug");
	/* Told at the more talkative of the two levels. */
	if (level > log_level_get())
		log_level_set(level);
	log_info("log level is now %s", log_level_name(level));
	log_level_set(level);
	return reply(connection, MHD_HTTP_OK, json_pack("{s:s}", "level", log_level_name(level)));
}

static const struct route {
	const char *path;
	enum MHD_Result (*get)(struct api *api, struct MHD_Connection *connection);
	enum MHD_Result (*put)(struct MHD_Connection *connection, struct exchange *exchange);
} routes[] = {
	{ "/healthz", get_health, NULL },
	{ "/stats", get_stats, NULL },
	{ "/workers", get_workers, NULL },
	{ "/sockets", get_sockets, NULL },
	{ "/log-level", get_log_level, put_log_level },
};

static enum MHD_Result
dispatch(struct api *api, struct MHD_Connection *connection, const char *url, const char *method,
    struct exchange *exchange)
{
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
		if (strcmp(routes[i].path, url) != 0)
			continue;
		if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
			return routes[i].get(api, connection);
		if (strcmp(method, "PUT") == 0 && routes[i].put)
			return routes[i].put(connection, exchange);
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "this path does not take that method");
	}
	return refuse(connection, MHD_HTTP_NOT_FOUND,
	    "no such path; there are /healthz, /stats, /workers, /sockets, /log-level");
}

static void
gather(struct exchange *exchange, const char *data, size_t len)
{
	if (exchange->len + len >= BODY_SIZE) {
		exchange->too_long = true;
		return;
	}
	memcpy(exchange->body + exchange->len, data, len);
	exchange->len += len;
}

/* libmicrohttpd calls this for the header, for each piece of body, and at the end. */
static enum MHD_Result
on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *data, size_t *data_len, void **state)
{
	struct exchange *exchange = *state;

	(void)version;
	if (!exchange) {
		*state = calloc(1, sizeof *exchange);
		return *state ? MHD_YES : MHD_NO;
	}
	if (*data_len) {
		gather(exchange, data, *data_len);
		*data_len = 0;
		return MHD_YES;
	}
	return dispatch(context, connection, url, method, exchange);
}

static void
on_completed(void *context, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
	(void)context;
	(void)connection;
	(void)code;
	free(*state);
	*state = NULL;
}

/* The connection limit is the daemon's; the listening socket becomes its own. */
static bool
listen_http(struct api *api, int fd)
{
	api->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL,
	    on_request, api, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)API_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
	    (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_END);
	return api->daemon;
}

struct api *
api_start(const struct api_config *config, struct error *error)
{
	struct api *api = calloc(1, sizeof *api);
	int fd = api ? usocket_listen(config->path, error) : -1;

	if (!api)
		error_set(error, STATUS_NO_MEMORY, "no memory for the control plane");
	if (fd < 0) {
		free(api);
		return NULL;
	}
	api->config = *config;
	api_sample_take(&api->older, config->node);
	api->newer = api->older;
	if (listen_http(api, fd))
		return api;
	error_set(error, STATUS_UNAVAILABLE, "the control plane's HTTP thread did not start");
	close(fd);
	unlink(config->path);
	free(api);
	return NULL;
}

void
api_stop(struct api *api)
{
	if (!api)
		return;
	MHD_stop_daemon(api->daemon);
	unlink(api->config.path);
	free(api);
}
