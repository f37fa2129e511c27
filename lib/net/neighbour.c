#include "net/neighbour.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "net/l3.h"

enum { BUCKET_MASK = 2 * NEIGHBOUR_MAX - 1, NOBODY = UINT16_MAX };
_Static_assert((NEIGHBOUR_MAX & (NEIGHBOUR_MAX - 1)) == 0, "buckets are a mask");
_Static_assert(sizeof(struct wire_arp) == NEIGHBOUR_ARP_LEN, "RFC 826");

static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static uint32_t
be_of(const uint8_t ip[4])
{
	return (uint32_t)ip[0] << 24 | (uint32_t)ip[1] << 16 | (uint32_t)ip[2] << 8 | ip[3];
}

static uint32_t
mask(uint8_t prefix_len)
{
	return prefix_len ? UINT32_MAX << (32 - prefix_len) : 0;
}

static uint32_t
mask_of(const struct neighbours *n)
{
	return mask(n->config.prefix_len);
}

static bool
is_near(const struct neighbours *n, const uint8_t ip[4])
{
	return ((be_of(ip) ^ be_of(n->config.ipv4)) & mask_of(n)) == 0;
}

/* Neither the network's own address nor its broadcast (but for /31 and /32, RFC 3021), and not ours. */
static bool
is_host(const struct neighbours *n, const uint8_t ip[4])
{
	uint32_t rest = be_of(ip) & ~mask_of(n);

	if (ip[0] == 0 || ip[0] == 127 || ip[0] >= 224 || memcmp(ip, n->config.ipv4, 4) == 0)
		return false;
	return n->config.prefix_len >= 31 || !is_near(n, ip) || (rest != 0 && rest != ~mask_of(n));
}

/* Whom to ask for the way to ip; NULL: there is none. */
static const uint8_t *
next_hop(const struct neighbours *n, const uint8_t ip[4])
{
	if (!is_host(n, ip))
		return NULL;
	if (is_near(n, ip))
		return ip;
	for (uint32_t i = 0; i < n->config.route_count; i++) {
		const struct neighbour_route *route = &n->config.routes[i];

		if (((be_of(ip) ^ be_of(route->network)) & mask(route->prefix_len)) == 0)
			return route->router;
	}
	return n->config.has_gateway ? n->config.gateway : NULL;
}

/* --- the table -------------------------------------------------------------------------- */

static uint16_t *
bucket_of(struct neighbours *n, const uint8_t ip[4])
{
	uint32_t at = be_of(ip) * 2654435761u >> 16 & BUCKET_MASK;

	while (n->buckets[at] && memcmp(n->entries[n->buckets[at] - 1].ip, ip, 4) != 0)
		at = (at + 1) & BUCKET_MASK;
	return &n->buckets[at];
}

static struct neighbour *
find(struct neighbours *n, const uint8_t ip[4])
{
	uint16_t found = *bucket_of(n, ip);

	return found ? &n->entries[found - 1] : NULL;
}

static void
buckets_rebuild(struct neighbours *n)
{
	memset(n->buckets, 0, sizeof n->buckets);
	for (uint16_t i = 0; i < n->count; i++)
		*bucket_of(n, n->entries[i].ip) = (uint16_t)(i + 1);
}

static void
deadline_set(struct neighbours *n)
{
	n->deadline_ns = UINT64_MAX;
	for (uint16_t i = 0; i < n->count; i++)
		if (n->entries[i].ask_ns && n->entries[i].ask_ns < n->deadline_ns)
			n->deadline_ns = n->entries[i].ask_ns;
}

/* The last one moves into its place. Returns the frame it held. */
static void *
entry_remove(struct neighbours *n, uint16_t position)
{
	void *held = n->entries[position].held;

	n->entries[position] = n->entries[--n->count];
	buckets_rebuild(n);
	return held;
}

static uint16_t
unused_longest(const struct neighbours *n)
{
	uint16_t oldest = 0;

	for (uint16_t i = 1; i < n->count; i++)
		if (n->entries[i].wanted_ns < n->entries[oldest].wanted_ns)
			oldest = i;
	return oldest;
}

static struct neighbour *
entry_add(struct neighbours *n, uint64_t now_ns, const uint8_t ip[4], void **lost)
{
	struct neighbour *entry;

	if (n->count == NEIGHBOUR_MAX)
		*lost = entry_remove(n, unused_longest(n));
	entry = &n->entries[n->count];
	memset(entry, 0, sizeof *entry);
	memcpy(entry->ip, ip, 4);
	entry->wanted_ns = now_ns;
	*bucket_of(n, ip) = ++n->count;
	return entry;
}

static void
ask_at(struct neighbours *n, struct neighbour *entry, uint64_t ns)
{
	entry->ask_ns = ns;
	if (ns < n->deadline_ns)
		n->deadline_ns = ns;
}

/* Longer prefixes say more: they come first. */
static int
compare_routes(const void *a, const void *b)
{
	return ((const struct neighbour_route *)b)->prefix_len - ((const struct neighbour_route *)a)->prefix_len;
}

/* --- the interface ---------------------------------------------------------------------- */

void
neighbour_init(struct neighbours *n, const struct neighbour_config *config)
{
	CHECK(config->prefix_len <= 32);
	memset(n, 0, sizeof *n);
	n->config = *config;
	n->deadline_ns = UINT64_MAX;
	CHECK(config->route_count <= NEIGHBOUR_ROUTES_MAX);
	qsort(n->config.routes, n->config.route_count, sizeof *n->config.routes, compare_routes);
	for (uint32_t i = 0; i < config->route_count; i++)
		CHECK(config->routes[i].prefix_len <= 32 && is_near(n, config->routes[i].router) &&
		    is_host(n, config->routes[i].router));
	CHECK(!config->has_gateway || (is_near(n, config->gateway) && is_host(n, config->gateway)));
}

enum neighbour_answer
neighbour_find(struct neighbours *n, uint64_t now_ns, const uint8_t ip[4], uint8_t mac[6], void **lost)
{
	const uint8_t *hop = next_hop(n, ip);
	struct neighbour *entry;

	*lost = NULL;
	if (!hop)
		return NEIGHBOUR_NO_WAY;
	entry = find(n, hop);
	if (!entry)
		entry = entry_add(n, now_ns, hop, lost);
	entry->wanted_ns = now_ns;
	if (entry->known && now_ns >= entry->confirmed_ns + NEIGHBOUR_FRESH_NS + NEIGHBOUR_STALE_NS)
		entry->known = false;
	if (!entry->ask_ns && (!entry->known || now_ns >= entry->confirmed_ns + NEIGHBOUR_FRESH_NS))
		ask_at(n, entry, now_ns);
	if (!entry->known)
		return NEIGHBOUR_ASKING;
	memcpy(mac, entry->mac, 6);
	return NEIGHBOUR_FOUND;
}

void *
neighbour_hold(struct neighbours *n, const uint8_t ip[4], void *frame)
{
	struct neighbour *entry = find(n, next_hop(n, ip));
	void *displaced = entry->held;

	entry->held = frame;
	return displaced;
}

static void *
confirmed(struct neighbours *n, struct neighbour *entry, uint64_t now_ns, const uint8_t mac[6])
{
	void *held = entry->held;

	memcpy(entry->mac, mac, 6);
	entry->known = true;
	entry->confirmed_ns = now_ns;
	entry->tries = 0;
	entry->held = NULL;
	if (entry->ask_ns) {
		bool first = entry->ask_ns == n->deadline_ns;

		entry->ask_ns = 0;
		if (first)
			deadline_set(n);
	}
	return held;
}

void *
neighbour_confirm(struct neighbours *n, uint64_t now_ns, const uint8_t ip[4], const uint8_t mac[6])
{
	const uint8_t *hop = next_hop(n, ip);
	struct neighbour *entry = hop ? find(n, hop) : NULL;
	void *lost;

	if (!hop || (mac[0] & 1))
		return NULL;
	if (!entry && n->count < NEIGHBOUR_MAX) /* it will be answered, most likely */
		entry = entry_add(n, now_ns, hop, &lost);
	return entry ? confirmed(n, entry, now_ns, mac) : NULL;
}

enum neighbour_news
neighbour_arp(struct neighbours *n, uint64_t now_ns, const uint8_t *bytes, uint8_t ip[4], void **held)
{
	const struct wire_arp *arp = (const struct wire_arp *)bytes;
	struct neighbour *entry;

	*held = NULL;
	memcpy(ip, arp->sender_ip, 4);
	if (memcmp(arp->sender_mac, n->config.mac, 6) == 0 || (arp->sender_mac[0] & 1))
		return NEIGHBOUR_IGNORED;
	if (memcmp(arp->sender_ip, n->config.ipv4, 4) == 0)
		return NEIGHBOUR_CONFLICT;
	entry = find(n, arp->sender_ip);
	/* Unasked for, a reply proves nothing; an announcement only makes us ask. */
	if (!entry)
		return NEIGHBOUR_IGNORED;
	if (be16(arp->operation) == WIRE_ARP_REPLY && entry->tries > 0) {
		*held = confirmed(n, entry, now_ns, arp->sender_mac);
		return NEIGHBOUR_LEARNT;
	}
	if (!entry->ask_ns && memcmp(entry->mac, arp->sender_mac, 6) != 0)
		ask_at(n, entry, now_ns);
	return NEIGHBOUR_IGNORED;
}

static void
compose(const struct neighbours *n, const uint8_t target_ip[4], uint8_t *frame)
{
	struct wire_arp *arp;

	memset(frame, 0, NEIGHBOUR_FRAME_LEN);
	arp = (struct wire_arp *)l3_write_ethernet(frame, n->config.mac, broadcast, n->config.vlan, WIRE_ETHERTYPE_ARP);
	arp->hardware = be16(1);
	arp->protocol = be16(WIRE_ETHERTYPE_IPV4);
	arp->hardware_len = 6;
	arp->protocol_len = 4;
	arp->operation = be16(WIRE_ARP_REQUEST);
	memcpy(arp->sender_mac, n->config.mac, 6);
	memcpy(arp->sender_ip, n->config.ipv4, 4);
	memcpy(arp->target_ip, target_ip, 4);
}

static uint64_t
retry_ns(uint8_t tries)
{
	uint64_t ns = NEIGHBOUR_RETRY_NS << (tries < 8 ? tries : 8);

	return ns < NEIGHBOUR_RETRY_MAX_NS ? ns : NEIGHBOUR_RETRY_MAX_NS;
}

/* Nobody wants to send there any more: no questions, and the held frame is too old. */
static void *
give_up(struct neighbour *entry)
{
	void *held = entry->held;

	entry->held = NULL;
	entry->ask_ns = 0;
	entry->tries = 0;
	return held;
}

bool
neighbour_ask(struct neighbours *n, uint64_t now_ns, uint8_t *frame, void **given_up)
{
	struct neighbour *due = NULL;

	*given_up = NULL;
	if (now_ns < n->deadline_ns)
		return false;
	for (uint16_t i = 0; i < n->count && !due; i++)
		if (n->entries[i].ask_ns && n->entries[i].ask_ns <= now_ns)
			due = &n->entries[i];
	if (due && now_ns >= due->wanted_ns + NEIGHBOUR_WANTED_NS) {
		*given_up = give_up(due);
	} else if (due) {
		compose(n, due->ip, frame);
		due->ask_ns = now_ns + retry_ns(due->tries);
		due->tries += due->tries < UINT8_MAX;
	}
	deadline_set(n);
	return due && due->ask_ns;
}

void
neighbour_check(const struct neighbours *n)
{
	CHECK(n->count <= NEIGHBOUR_MAX);
	for (uint16_t i = 0; i < n->count; i++) {
		const struct neighbour *entry = &n->entries[i];

		CHECK(n->buckets[bucket_of((struct neighbours *)(uintptr_t)n, entry->ip) - n->buckets] == i + 1);
		CHECK(is_near(n, entry->ip) && is_host(n, entry->ip));
		CHECK(!entry->ask_ns || entry->ask_ns >= n->deadline_ns);
		CHECK(!entry->held || !entry->known);
	}
}
