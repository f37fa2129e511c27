/*
 * server.h - inside of struct http; private to lib/control.
 *
 * Threads: the server's own. Memory: http_start's.
 */
#ifndef CONTROL_SERVER_H
#define CONTROL_SERVER_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "control/http.h"

/* One connection, from accept to close. */
struct link {
	bool used, tcp;
	int fd;
	uint64_t since_ms; /* of its start, of the end of its last request, or of a stream's last bytes */
	struct stream *stream; /* its reply goes on; NULL */
};

enum { LINKS_MAX = HTTP_UNIX_MAX + HTTP_TCP_MAX };

struct http {
	struct http_config config;
	struct MHD_Daemon *daemons[2]; /* UNIX, TCP or NULL */
	pthread_t thread;
	bool running;
	int wake; /* eventfd */
	atomic_bool stop;
	struct link links[LINKS_MAX];
	uint64_t streams_woken_ms;
	bool streams; /* there were some then */
	struct http_figures figures;
};

/* Why a request is refused; status 0: it is not. */
struct verdict {
	unsigned status;
	const char *code, *text;
};

/* stream.c */
/* The response of a reply that goes on; NULL: no memory, and the source has ended. */
struct MHD_Response *stream_response(struct http *http, struct MHD_Connection *connection, const struct http_stream *source);
/* Asks every stream for bytes again, or ends them all; whether there are any. */
bool stream_wake(struct http *http, bool stop);

uint64_t server_now_ms(void);
void server_wake(struct http *http); /* any thread */

/* exchange.c: libmicrohttpd's callback for each piece of a request, and for its end. */
enum MHD_Result exchange_on_request(void *context, struct MHD_Connection *connection, const char *url,
    const char *method, const char *version, const char *data, size_t *data_len, void **state);
void exchange_on_completed(void *context, struct MHD_Connection *connection, void **state,
    enum MHD_RequestTerminationCode code);

/* guard.c: Host, then who calls, then whether that suffices. */
struct verdict guard_host(const struct http *http, struct MHD_Connection *connection, bool tcp);
struct verdict guard_caller(const struct http *http, struct MHD_Connection *connection, bool tcp,
    enum control_scope wanted, struct identity *who);

/* tls.c */
/* Whether certificate, key and authority fit together. */
enum status tls_check(const struct security *security, struct error *error);
/* The common name of a verified client certificate; false without one. */
bool tls_peer_name(struct MHD_Connection *connection, char *name, size_t size);

#endif
