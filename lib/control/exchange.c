/* One request from its header to its reply. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "control/percent.h"
#include "control/server.h"

/* What a request has brought so far. */
struct exchange {
	struct http_request request; /* first: http_later finds the exchange by it */
	struct http_reply reply;
	struct http *http;
	bool later;
	char *body; /* room for the route's limit and a NUL */
	bool too_large;
};

static const struct verdict fine;

/* To a HEAD nothing is sent, so nothing is asked for. */
static ssize_t
no_body(void *context, uint64_t at, char *out, size_t size)
{
	(void)context;
	(void)at;
	(void)out;
	(void)size;
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *
make_response(struct http *http, struct MHD_Connection *connection, struct http_reply *reply)
{
	struct MHD_Response *response;

	if (reply->stream.pull)
		return stream_response(http, connection, &reply->stream);
	if (reply->json) {
		reply->text = json_dumps(reply->json, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
		reply->type = "application/json";
		if (!reply->text)
			return NULL;
		reply->text_len = strlen(reply->text);
		reply->text[reply->text_len++] = '\n'; /* in the NUL's place: the length is given */
	}
	if (reply->length_only)
		return MHD_create_response_from_callback(reply->text_len, 1, no_body, NULL, NULL);
	if (!reply->text)
		return NULL;
	response = MHD_create_response_from_buffer(reply->text_len, reply->text, MHD_RESPMEM_MUST_FREE);
	if (response)
		reply->text = NULL;
	return response;
}

/* Out of memory: the connection is closed. */
static enum MHD_Result
answer(struct http *http, struct MHD_Connection *connection, struct http_reply *reply, const char *allow)
{
	struct MHD_Response *response = make_response(http, connection, reply);
	enum MHD_Result result = MHD_NO;

	json_decref(reply->json);
	if (response) {
		MHD_add_response_header(response, "Content-Type", reply->type);
		MHD_add_response_header(response, "Cache-Control", "no-store");
		MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
		for (uint32_t i = 0; i < reply->header_count; i++)
			MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
		if (*allow)
			MHD_add_response_header(response, "Allow", allow);
		if (reply->status == MHD_HTTP_UNAUTHORIZED)
			MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"slipring\"");
		result = MHD_queue_response(connection, reply->status, response);
		MHD_destroy_response(response);
	}
	free(reply->text);
	http->figures.by_status[reply->status]++;
	return result;
}

void
http_refuse(struct http_reply *reply, unsigned status, const char *code, const char *text)
{
	reply->status = status;
	reply->json = json_pack("{s:s, s:s}", "code", code, "error", text);
}

const char *
http_header(const struct http_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

void
http_reply_header(struct http_reply *reply, const char *name, const char *format, ...)
{
	va_list arguments;

	CHECK(reply->header_count < HTTP_HEADERS_MAX);
	reply->headers[reply->header_count].name = name;
	va_start(arguments, format);
	vsnprintf(reply->headers[reply->header_count++].value, sizeof reply->headers[0].value, format, arguments);
	va_end(arguments);
}

void
http_later(const struct http_request *request)
{
	struct exchange *exchange = (struct exchange *)(uintptr_t)request;

	exchange->later = true;
	MHD_suspend_connection(request->connection);
}

/* libmicrohttpd then calls exchange_on_request once more. Its own wake-up does not reach our poll(2). */
void
http_ready(const struct http_request *request)
{
	struct http *http = ((const struct exchange *)request)->http; /* gone once it is resumed */

	MHD_resume_connection(request->connection);
	server_wake(http);
}

static enum MHD_Result
refuse(struct http *http, struct MHD_Connection *connection, const struct verdict *verdict, const char *allow)
{
	struct http_reply reply = { 0 };

	http_refuse(&reply, verdict->status, verdict->code, verdict->text);
	return answer(http, connection, &reply, allow);
}

const char *
http_query(const struct http_request *request, const char *name, char *text, size_t size)
{
	const char *value = MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
	size_t len = value ? percent_decode(value, strlen(value), true, text, size - 1) : PERCENT_BAD;

	if (len == PERCENT_BAD || memchr(text, '\0', len))
		return NULL;
	text[len] = '\0';
	return text;
}

bool
http_has_query(const struct http_request *request, const char *name)
{
	return MHD_lookup_connection_value_n(request->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name), NULL, NULL) == MHD_YES;
}

static bool
is_tcp(struct MHD_Connection *connection)
{
	const struct link *link = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;

	return !link || link->tcp;
}

static struct verdict
check_route(enum route_id route)
{
	if (route == ROUTE_NOT_FOUND)
		return (struct verdict){ MHD_HTTP_NOT_FOUND, "unknown_path", "no such path; /openapi.json lists them" };
	if (route == ROUTE_NOT_ALLOWED)
		return (struct verdict){ MHD_HTTP_METHOD_NOT_ALLOWED, "bad_method", "this path does not take that method" };
	return fine;
}

static struct verdict
check_length(struct MHD_Connection *connection, uint32_t body_max)
{
	const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");

	if (length && strtoull(length, NULL, 10) > body_max)
		return (struct verdict){ MHD_HTTP_CONTENT_TOO_LARGE, "too_large", "the body is longer than this path takes" };
	return fine;
}

/* The header is there: everything that can be refused is refused before a byte of body is kept. */
static enum MHD_Result
begin(struct http *http, struct MHD_Connection *connection, const char *url, const char *method,
    struct exchange *exchange)
{
	struct http_request *request = &exchange->request;
	bool tcp = is_tcp(connection);
	struct verdict verdict = guard_host(http, connection, tcp);
	char allow[64] = "";

	request->connection = connection;
	request->head = strcmp(method, "HEAD") == 0;
	request->route = route_find(method, url, &request->tail);
	if (!verdict.status)
		verdict = check_route(request->route);
	if (request->route == ROUTE_NOT_ALLOWED)
		route_allowed(url, allow, sizeof allow);
	if (!verdict.status)
		verdict = guard_caller(http, connection, tcp, routes[request->route].scope, &request->who);
	if (!verdict.status)
		verdict = check_length(connection, routes[request->route].body_max);
	if (verdict.status)
		return refuse(http, connection, &verdict, allow);
	exchange->body = calloc(1, (size_t)routes[request->route].body_max + 1);
	return exchange->body ? MHD_YES : MHD_NO;
}

static void
gather(struct exchange *exchange, const char *data, size_t len)
{
	if (len > routes[exchange->request.route].body_max - exchange->request.body_len) {
		exchange->too_large = true;
		return;
	}
	memcpy(exchange->body + exchange->request.body_len, data, len);
	exchange->request.body_len += len;
}

static enum MHD_Result
finish(struct http *http, struct MHD_Connection *connection, struct exchange *exchange)
{
	static const struct verdict too_large = { MHD_HTTP_CONTENT_TOO_LARGE, "too_large",
		"the body is longer than this path takes" };
	if (exchange->too_large)
		return refuse(http, connection, &too_large, "");
	if (exchange->later)
		return answer(http, connection, &exchange->reply, "");
	exchange->request.body = exchange->body;
	exchange->reply.status = MHD_HTTP_OK;
	http->config.handlers[exchange->request.route](http->config.context, &exchange->request, &exchange->reply);
	return exchange->later ? MHD_YES : answer(http, connection, &exchange->reply, "");
}

enum MHD_Result
exchange_on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *data, size_t *data_len, void **state)
{
	struct exchange *exchange = *state;

	(void)version;
	if (!exchange) {
		*state = exchange = calloc(1, sizeof *exchange);
		if (exchange)
			exchange->http = context;
		return exchange ? begin(context, connection, url, method, exchange) : MHD_NO;
	}
	if (*data_len) {
		gather(exchange, data, *data_len);
		*data_len = 0;
		return MHD_YES;
	}
	return finish(context, connection, exchange);
}

void
exchange_on_completed(void *context, struct MHD_Connection *connection, void **state,
    enum MHD_RequestTerminationCode code)
{
	struct link *link = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
	struct exchange *exchange = *state;

	(void)context;
	(void)code;
	if (link)
		link->since_ms = server_now_ms();
	if (exchange)
		free(exchange->body);
	free(exchange);
	*state = NULL;
}
