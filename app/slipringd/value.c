#include "value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool
value_refuse(struct why *why, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why->text, sizeof why->text, format, arguments);
	va_end(arguments);
	return false;
}

/* Leading digits of *text into *number; false when there are none or too many. */
static bool
digits(const char **text, uint64_t *number)
{
	const char *at = *text;
	uint64_t n = 0;

	if (!isdigit((unsigned char)*at))
		return false;
	for (; isdigit((unsigned char)*at); at++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*at - '0'), &n))
			return false;
	*text = at;
	*number = n;
	return true;
}

bool
value_number_parse(const char *text, uint64_t *number, struct why *why)
{
	const char *at = text;
	uint64_t n;

	if (!digits(&at, &n) || *at)
		return value_refuse(why, "'%.40s' is not a whole number", text);
	*number = n;
	return true;
}

static const struct unit {
	const char *name;
	uint64_t factor;
} sizes[] = {
	{ "T", 1ull << 40 }, { "G", 1ull << 30 }, { "M", 1ull << 20 }, { "K", 1ull << 10 },
	{ "", 1 },
}, durations[] = {
	{ "h", 3600000000000ull }, { "m", 60000000000ull }, { "s", 1000000000ull },
	{ "ms", 1000000ull }, { "us", 1000ull }, { "ns", 1ull },
};

enum { SIZE_COUNT = sizeof sizes / sizeof *sizes, DURATION_COUNT = sizeof durations / sizeof *durations };

bool
value_size_parse(const char *text, uint64_t *bytes, struct why *why)
{
	const struct unit *unit = sizes;
	const char *at = text;
	uint64_t n;

	if (!digits(&at, &n))
		return value_refuse(why, "'%.40s' is not a size such as 64M or 2G", text);
	while (strncasecmp(at, unit->name, strlen(unit->name)) != 0)
		unit++; /* ends at "", the last */
	at += strlen(unit->name);
	if (*at && strcasecmp(at, "B") != 0 && (strcasecmp(at, "iB") != 0 || unit->factor == 1))
		return value_refuse(why, "'%.40s' is not a size such as 64M or 2G", text);
	if (__builtin_mul_overflow(n, unit->factor, &n))
		return value_refuse(why, "'%.40s' is more than any machine has", text);
	*bytes = n;
	return true;
}

bool
value_duration_parse(const char *text, uint64_t *ns, struct why *why)
{
	const char *at = text;
	uint64_t n;

	if (!digits(&at, &n))
		return value_refuse(why, "'%.40s' is not a duration such as 10ms or 5s", text);
	if (!*at)
		return value_refuse(why, "'%.40s' lacks a unit: ns, us, ms, s, m or h", text);
	for (int i = 0; i < DURATION_COUNT; i++) {
		if (strcmp(at, durations[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(n, durations[i].factor, &n))
			return value_refuse(why, "'%.40s' is too long a time", text);
		*ns = n;
		return true;
	}
	return value_refuse(why, "'%.40s' has an unknown unit; there are ns, us, ms, s, m and h", text);
}

bool
value_bool_parse(const char *text, bool *flag, struct why *why)
{
	static const char *const yes[] = { "true", "yes", "on" }, *const no[] = { "false", "no", "off" };

	for (int i = 0; i < 3; i++) {
		if (strcasecmp(text, yes[i]) == 0) {
			*flag = true;
			return true;
		}
		if (strcasecmp(text, no[i]) == 0) {
			*flag = false;
			return true;
		}
	}
	return value_refuse(why, "'%.40s' is neither true nor false", text);
}

bool
value_name_parse(const char *text, char name[VALUE_NAME_SIZE], struct why *why)
{
	size_t len = strlen(text);

	if (len == 0)
		return value_refuse(why, "the name is empty");
	if (len >= VALUE_NAME_SIZE)
		return value_refuse(why, "'%.40s' is longer than %d characters", text, VALUE_NAME_SIZE - 1);
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && (i == 0 || !strchr("._-", text[i])))
			return value_refuse(why, "'%.40s' has a character that names may not have "
			    "(letters, digits, then also . _ -)", text);
	memcpy(name, text, len + 1);
	return true;
}

/* Splits "ADDRESS/LEN"; *len keeps its value when there is no slash. */
static bool
split_prefix(const char *text, char *address, size_t size, uint64_t *len, struct why *why)
{
	const char *slash = strchr(text, '/');
	size_t address_len = slash ? (size_t)(slash - text) : strlen(text);

	if (address_len >= size)
		return value_refuse(why, "'%.60s' is not an IP address", text);
	memcpy(address, text, address_len);
	address[address_len] = '\0';
	return !slash || value_number_parse(slash + 1, len, why);
}

bool
value_ipv4_prefix_parse(const char *text, struct ipv4_prefix *prefix, struct why *why)
{
	char address[INET_ADDRSTRLEN];
	struct in_addr in;
	uint64_t len = 0;

	if (!strchr(text, '/'))
		return value_refuse(why, "'%.60s' lacks its prefix length, such as 10.9.0.1/24", text);
	if (!split_prefix(text, address, sizeof address, &len, why))
		return false;
	if (inet_pton(AF_INET, address, &in) != 1)
		return value_refuse(why, "'%.60s' is not an IPv4 address and prefix length, such as 10.9.0.1/24", text);
	if (len < 1 || len > 32)
		return value_refuse(why, "prefix length %llu is not 1..32", (unsigned long long)len);
	uint32_t host = ntohl(in.s_addr);
	uint32_t rest = len == 32 ? 0 : UINT32_MAX >> len;
	if (host >> 24 == 0 || host >> 24 == 127 || host >> 28 >= 14)
		return value_refuse(why, "'%.60s' is no address a node can have", text);
	if (len <= 30 && ((host & rest) == 0 || (host & rest) == rest))
		return value_refuse(why, "'%.60s' is the %s address of its network", text,
		    (host & rest) == 0 ? "network" : "broadcast");
	memcpy(prefix->address, &in.s_addr, 4);
	prefix->len = (uint8_t)len;
	return true;
}

/* RFC 4291 2.4: unicast, and neither IPv4 in disguise nor of this link alone. */
static bool
is_node_ipv6(const uint8_t ip[16])
{
	static const uint8_t none[15];

	if (memcmp(ip, none, sizeof none) == 0 || ip[0] == 0xff || (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80))
		return false;
	return memcmp(ip, none, 10) != 0; /* mapped, and addresses that only stand for IPv4's */
}

bool
value_ipv6_prefix_parse(const char *text, struct ipv6_prefix *prefix, struct why *why)
{
	char address[INET6_ADDRSTRLEN];
	uint8_t ip[16];
	uint64_t len = 0;

	if (!strchr(text, '/'))
		return value_refuse(why, "'%.60s' lacks its prefix length, such as fd09::1/64", text);
	if (!split_prefix(text, address, sizeof address, &len, why))
		return false;
	if (inet_pton(AF_INET6, address, ip) != 1)
		return value_refuse(why, "'%.60s' is not an IPv6 address and prefix length, such as fd09::1/64", text);
	if (len < 1 || len > 128)
		return value_refuse(why, "prefix length %llu is not 1..128", (unsigned long long)len);
	if (!is_node_ipv6(ip))
		return value_refuse(why, "'%.60s' is no address to give a node", text);
	memcpy(prefix->address, ip, 16);
	prefix->len = (uint8_t)len;
	return true;
}

/* Clears the bits of ip beyond len; true when one of them was set. */
static bool
clear_beyond(uint8_t ip[16], uint32_t len)
{
	bool any = false;

	for (uint32_t bit = len; bit < 128; bit++) {
		uint8_t mask = (uint8_t)(0x80 >> bit % 8);

		any |= ip[bit / 8] & mask;
		ip[bit / 8] &= (uint8_t)~mask;
	}
	return any;
}

bool
value_prefix_parse(const char *text, struct prefix *prefix, struct why *why)
{
	char address[INET6_ADDRSTRLEN], meant[64];
	struct prefix p = { .ip = { [10] = 0xff, [11] = 0xff } };
	bool ipv6 = strchr(text, ':');
	uint64_t len = ipv6 ? 128 : 32;

	if (!split_prefix(text, address, sizeof address, &len, why))
		return false;
	if (inet_pton(ipv6 ? AF_INET6 : AF_INET, address, ipv6 ? p.ip : p.ip + 12) != 1)
		return value_refuse(why, "'%.60s' is not a network such as 10.0.0.0/8 or fd00::/8", text);
	if (len > (ipv6 ? 128 : 32))
		return value_refuse(why, "prefix length %llu is not 0..%d", (unsigned long long)len, ipv6 ? 128 : 32);
	p.len = (uint8_t)(ipv6 ? len : len + 96);
	if (clear_beyond(p.ip, p.len)) {
		value_prefix_print(&p, meant, sizeof meant);
		return value_refuse(why, "'%.60s' has bits beyond its length; the network is %s", text, meant);
	}
	*prefix = p;
	return true;
}

bool
value_route_parse(const char *text, struct ipv4_prefix *network, uint8_t router[4], struct why *why)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const char *at = strchr(text, '@');
	char head[INET6_ADDRSTRLEN + 4];
	struct prefix prefix;

	if (!at || (size_t)(at - text) >= sizeof head || inet_pton(AF_INET, at + 1, router) != 1)
		return value_refuse(why, "'%.60s' is not a network and its router, such as 10.20.0.0/16@10.9.0.253", text);
	memcpy(head, text, (size_t)(at - text));
	head[at - text] = '\0';
	if (!value_prefix_parse(head, &prefix, why))
		return false;
	if (prefix.len < 97 || memcmp(prefix.ip, mapped, sizeof mapped) != 0)
		return value_refuse(why, "'%.60s' is not an IPv4 network; gateway is the way to all others", head);
	memcpy(network->address, prefix.ip + 12, 4);
	network->len = (uint8_t)(prefix.len - 96);
	return true;
}

bool
value_mac_parse(const char *text, uint8_t mac[6], struct why *why)
{
	uint8_t byte[6], any = 0;
	bool good = strlen(text) == 17;

	for (int i = 0; good && i < 17; i++)
		good = i % 3 == 2 ? text[i] == ':' : isxdigit((unsigned char)text[i]);
	if (!good)
		return value_refuse(why, "'%.40s' is not a MAC address such as 02:00:00:00:09:01", text);
	for (int i = 0; i < 6; i++)
		any |= byte[i] = (uint8_t)strtoul(text + 3 * i, NULL, 16);
	if (byte[0] & 1)
		return value_refuse(why, "'%.40s' is a multicast address; a port needs a unicast one", text);
	if (!any)
		return value_refuse(why, "a port cannot have an all-zero MAC address");
	memcpy(mac, byte, 6);
	return true;
}

/* The largest unit that divides n. */
static void
print_in_units(uint64_t n, const struct unit *units, int count, char *text, size_t size)
{
	int i = 0;

	while (i < count - 1 && (n == 0 || n % units[i].factor != 0))
		i++;
	snprintf(text, size, "%llu%s", (unsigned long long)(n / units[i].factor), units[i].name);
}

void
value_size_print(uint64_t bytes, char *text, size_t size)
{
	print_in_units(bytes, sizes, SIZE_COUNT, text, size);
}

void
value_duration_print(uint64_t ns, char *text, size_t size)
{
	print_in_units(ns, durations, DURATION_COUNT, text, size);
}

void
value_ipv4_prefix_print(const struct ipv4_prefix *prefix, char *text, size_t size)
{
	const uint8_t *a = prefix->address;

	snprintf(text, size, "%u.%u.%u.%u/%u", a[0], a[1], a[2], a[3], prefix->len);
}

void
value_prefix_print(const struct prefix *prefix, char *text, size_t size)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	bool ipv4 = prefix->len >= 96 && memcmp(prefix->ip, mapped, 12) == 0;
	char address[INET6_ADDRSTRLEN];

	inet_ntop(ipv4 ? AF_INET : AF_INET6, ipv4 ? prefix->ip + 12 : prefix->ip, address, sizeof address);
	snprintf(text, size, "%s/%u", address, ipv4 ? prefix->len - 96u : prefix->len);
}

void
value_mac_print(const uint8_t mac[6], char *text, size_t size)
{
	snprintf(text, size, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}
