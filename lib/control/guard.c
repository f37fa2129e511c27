/* Who may pass: the Host a request names, the caller, the caller's scope. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/server.h"

enum { HOST_SIZE = 256 };

static const struct verdict fine;

struct tally {
	const char *name;
	int count;
};

static enum MHD_Result
count_header(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct tally *tally = context;

	(void)kind;
	(void)value;
	tally->count += strcasecmp(name, tally->name) == 0;
	return MHD_YES;
}

/* A header field that came twice could mean one thing to us and another to a proxy. */
static int
times_given(struct MHD_Connection *connection, const char *name)
{
	struct tally tally = { name, 0 };

	MHD_get_connection_values(connection, MHD_HEADER_KIND, count_header, &tally);
	return tally.count;
}

/* --- Host ----------------------------------------------------------------------------- */

/* Cuts "name:port" and "[address]:port" down to the name; false when the port is no number. */
static bool
cut_port(char *host)
{
	char *name_end = host[0] == '[' ? strchr(host, ']') : host + strcspn(host, ":");

	if (!name_end)
		return false;
	char *port = host[0] == '[' ? name_end + 1 : name_end;
	if (*port && (*port != ':' || port[1 + strspn(port + 1, "0123456789")]))
		return false;
	*name_end = '\0';
	if (host[0] == '[')
		memmove(host, host + 1, strlen(host));
	return *host;
}

static bool
is_address(const char *host)
{
	uint8_t address[16];

	return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/*
 * A name of somebody else's that resolves to us is how a web page reaches a service on
 * its visitor's machine (DNS rebinding); an address cannot be rebound.
 */
static bool
is_ours(const struct http_config *config, const char *host)
{
	if (is_address(host) || strcasecmp(host, "localhost") == 0)
		return true;
	for (uint32_t i = 0; i < config->host_count; i++)
		if (strcasecmp(config->hosts[i], host) == 0)
			return true;
	return false;
}

struct verdict
guard_host(const struct http *http, struct MHD_Connection *connection, bool tcp)
{
	const char *given = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
	char host[HOST_SIZE];

	if (!given || times_given(connection, "Host") != 1 || strlen(given) >= sizeof host)
		return (struct verdict){ MHD_HTTP_BAD_REQUEST, "bad_host", "one Host must be given" };
	memcpy(host, given, strlen(given) + 1);
	if (!cut_port(host))
		return (struct verdict){ MHD_HTTP_BAD_REQUEST, "bad_host", "Host is not a name or address with or without a port" };
	if (tcp && !is_ours(&http->config, host))
		return (struct verdict){ MHD_HTTP_MISDIRECTED_REQUEST, "unknown_host",
			"Host is not this node's name or address; control.host_names may list more" };
	return fine;
}

/* --- the caller ------------------------------------------------------------------------ */

/* The kernel says who opened the socket: its owner, or root. */
static struct verdict
by_unix(struct MHD_Connection *connection, struct identity *who)
{
	int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	struct ucred peer;
	socklen_t len = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || (peer.uid != 0 && peer.uid != geteuid()))
		return (struct verdict){ MHD_HTTP_FORBIDDEN, "forbidden", "this socket is for its owner and for root" };
	*who = (struct identity){ .by = "unix", .scope = SCOPE_ADMIN };
	snprintf(who->name, sizeof who->name, "uid:%u", (unsigned)peer.uid);
	return fine;
}

static void
take_on(struct identity *who, const struct token *token)
{
	*who = (struct identity){ .by = token->certificate ? "certificate" : "token", .scope = token->scope };
	memcpy(who->name, token->name, sizeof who->name);
}

static struct verdict
by_bearer(const struct http *http, struct MHD_Connection *connection, const char *given, struct identity *who)
{
	const struct token *token;

	if (times_given(connection, "Authorization") != 1 || strncasecmp(given, "Bearer ", 7) != 0)
		return (struct verdict){ MHD_HTTP_UNAUTHORIZED, "bad_token", "Authorization must be one Bearer token" };
	token = tokens_find(security_tokens(http->config.security), given + 7 + strspn(given + 7, " "));
	if (!token)
		return (struct verdict){ MHD_HTTP_UNAUTHORIZED, "bad_token", "no such token" };
	take_on(who, token);
	return fine;
}

/* With a client CA every caller needs a certificate; a token, where given, says what it may do. */
static struct verdict
by_tcp(const struct http *http, struct MHD_Connection *connection, struct identity *who)
{
	const char *given = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
	const struct token *token = NULL;
	char name[TOKEN_NAME_SIZE];

	if (http->config.security->client_ca) {
		if (!tls_peer_name(connection, name, sizeof name))
			return (struct verdict){ MHD_HTTP_UNAUTHORIZED, "no_certificate",
				"a client certificate of the configured authority is needed" };
		token = tokens_certificate(security_tokens(http->config.security), name);
	}
	if (given)
		return by_bearer(http, connection, given, who);
	if (token) {
		take_on(who, token);
		return fine;
	}
	if (http->config.security->client_ca)
		return (struct verdict){ MHD_HTTP_FORBIDDEN, "forbidden", "the tokens file gives this certificate no scope" };
	return (struct verdict){ MHD_HTTP_UNAUTHORIZED, "unauthenticated", "a bearer token is needed" };
}

struct verdict
guard_caller(const struct http *http, struct MHD_Connection *connection, bool tcp, enum control_scope wanted,
    struct identity *who)
{
	struct verdict verdict;

	*who = (struct identity){ .by = "nobody", .scope = SCOPE_NONE };
	if (wanted == SCOPE_NONE)
		return fine;
	verdict = tcp ? by_tcp(http, connection, who) : by_unix(connection, who);
	if (!verdict.status && who->scope < wanted)
		return (struct verdict){ MHD_HTTP_FORBIDDEN, "forbidden", wanted == SCOPE_ADMIN ?
			"this needs scope admin" : "this needs scope write" };
	return verdict;
}
