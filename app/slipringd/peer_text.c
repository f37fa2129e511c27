#include "slipringd/peer_text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "base/endpoint.h"

static bool
parse_port(const char *text, uint16_t *port, struct why *why)
{
	uint64_t number;

	if (!value_number_parse(text, &number, why))
		return false;
	if (number < 1 || number > UINT16_MAX)
		return value_refuse(why, "port %.20s is not 1..65535", text);
	*port = (uint16_t)number;
	return true;
}

static bool
is_host(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr(".-_", text[i]))
			return false;
	return len > 0;
}

bool
peer_text_parse(const char *text, uint16_t port_default, struct peer_text *peer, struct why *why)
{
	const char *at = strchr(text, '@'), *host = at ? at + 1 : text, *colon = strchr(host, ':');
	size_t host_len = colon ? (size_t)(colon - host) : strlen(host);
	char name[VALUE_NAME_SIZE] = "";

	memset(peer, 0, sizeof *peer);
	peer->port = port_default;
	if (at) {
		if ((size_t)(at - text) >= sizeof name)
			return value_refuse(why, "'%.40s': the node id before @ is longer than %zu characters", text, sizeof name - 1);
		memcpy(name, text, (size_t)(at - text));
		if (!value_name_parse(name, peer->id, why))
			return false;
	}
	if (!is_host(host, host_len) || host_len >= sizeof peer->host)
		return value_refuse(why, "'%.40s' is not a node such as 10.9.0.1, 10.9.0.1:7946 or n1@10.9.0.1:7946", text);
	memcpy(peer->host, host, host_len);
	return !colon || parse_port(colon + 1, &peer->port, why);
}

bool
peer_text_address(const char *text, uint16_t port_default, struct peer_address *address, struct why *why)
{
	struct peer_text peer;
	struct in_addr ip;

	if (!peer_text_parse(text, port_default, &peer, why))
		return false;
	if (*peer.id || inet_pton(AF_INET, peer.host, &ip) != 1 || ip.s_addr == 0)
		return value_refuse(why, "'%.40s' is not an IPv4 address and port such as 10.9.0.1:%u", text, port_default);
	endpoint_map_ipv4(address->ip, &ip);
	address->port = peer.port;
	return true;
}
