/*
 * http.h - the control plane's HTTP server.
 *
 * Purpose: routes.def over a UNIX socket, whose owner may do everything, and over TCP
 *   when configured, where a bearer token or a client certificate says who calls.
 *   Before a handler runs, the request has a known route, a Host that is ours, a
 *   caller whose scope suffices, and its whole body.
 * How: one thread owns every connection: it polls both listeners (epoll, kernel
 *   networking) and runs handlers, so these may not wait but by http_later. TCP has connections of
 *   its own, so that a flood there cannot shut out the UNIX socket.
 * Errors any route may answer, as {"code": ..., "error": ...}: 400 bad_host,
 *   bad_request; 401 unauthenticated, bad_token, no_certificate; 403 forbidden; 404
 *   unknown_path; 405 bad_method; 413 too_large; 421 unknown_host.
 * Threads: http_start and http_stop on the main thread; handlers on the server's.
 * Memory: HTTP_UNIX_MAX + HTTP_TCP_MAX connections of HTTP_CONNECTION_BYTES, and the
 *   body of a request up to its route's limit.
 * Bounds: HTTP_IDLE_S without a byte, HTTP_DEADLINE_S from the end of one request (or
 *   the connection's start) to the end of the next, however slowly bytes drip. A stream has no
 *   end; its caller is overdue when it has taken nothing for HTTP_DEADLINE_S.
 */
#ifndef CONTROL_HTTP_H
#define CONTROL_HTTP_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "control/route.h"
#include "control/security.h"

enum {
	HTTP_UNIX_MAX = 32,
	HTTP_TCP_MAX = 64,
	HTTP_TCP_PER_ADDRESS_MAX = 32,
	HTTP_CONNECTION_BYTES = 32768, /* request line and header fields */
	HTTP_IDLE_S = 10,
	HTTP_DEADLINE_S = 30,
	HTTP_STATUS_MAX = 600,
	HTTP_HOSTS_MAX = 20,
};

struct identity {
	char name[TOKEN_NAME_SIZE];
	const char *by; /* "unix", "token", "certificate"; "nobody" where none was asked for */
	enum control_scope scope;
};

struct http_request {
	enum route_id route;
	const char *tail;    /* what stands for the path's "{name}", undecoded; NULL */
	struct identity who;
	const char *body;    /* NUL-ended behind its body_len bytes */
	size_t body_len;
	bool head;           /* HEAD: nobody will see the body */
	struct MHD_Connection *connection;
};

enum { HTTP_HEADERS_MAX = 6, HTTP_HEADER_VALUE_SIZE = 352 }; /* five owners' names fit */

/*
 * A reply without end: pull writes up to size bytes and returns how many, 0 when there are
 * none now (it is asked again every HTTP_STREAM_STEP_MS), HTTP_STREAM_END when it is over.
 * end is called once, when nobody will ask any more. Both on the server's thread.
 */
struct http_stream {
	size_t (*pull)(void *context, char *out, size_t size);
	void (*end)(void *context);
	void *context;
};

enum { HTTP_STREAM_STEP_MS = 100, HTTP_STREAM_BLOCK = 4096 };
#define HTTP_STREAM_END SIZE_MAX

/* One of json, text and stream; each is the server's from then on. */
struct http_reply {
	unsigned status; /* preset 200 */
	json_t *json;
	char *text;      /* of malloc */
	size_t text_len;
	struct http_stream stream; /* with pull */
	const char *type; /* of text and stream */
	bool length_only; /* to a HEAD: text_len is told, and there is no text */
	uint32_t header_count;
	struct {
		const char *name;
		char value[HTTP_HEADER_VALUE_SIZE];
	} headers[HTTP_HEADERS_MAX];
};

/* A query parameter, decoded; NULL when it is missing, has NULs or does not fit. */
const char *http_query(const struct http_request *request, const char *name, char *text, size_t size);
bool http_has_query(const struct http_request *request, const char *name);
void http_refuse(struct http_reply *reply, unsigned status, const char *code, const char *text);

/* A header field as it came, or NULL. */
const char *http_header(const struct http_request *request, const char *name);
void http_reply_header(struct http_reply *reply, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * For handlers that must wait: after http_later, request and reply stay until some thread
 * has filled the reply and called http_ready, which must come before http_stop.
 */
void http_later(const struct http_request *request);
void http_ready(const struct http_request *request);

typedef void (*http_handler)(void *context, const struct http_request *request, struct http_reply *reply);

struct http_config {
	int unix_fd, tcp_fd;           /* listening; the server's from http_start on; tcp_fd -1: none */
	struct security *security;     /* with tcp_fd; TLS where it has a certificate */
	const char *hosts[HTTP_HOSTS_MAX]; /* names by which TCP clients may call us, beside addresses and localhost */
	uint32_t host_count;
	void *context;                 /* of the handlers */
	http_handler handlers[ROUTE_COUNT];
};

struct http;

/* What config points to must live until http_stop. On failure the descriptors are closed. */
struct http *http_start(const struct http_config *config, struct error *error) MUST_USE;
void http_stop(struct http *http); /* NULL is nothing */

struct http_figures {
	uint64_t by_status[HTTP_STATUS_MAX];
	uint64_t overdue;     /* connections ended at the deadline */
	uint32_t connections; /* now */
};

/* For handlers. */
const struct http_figures *http_figures(const struct http *http);

#endif
