/* Where a tuple leads to: open addressing with linear probing, keyed by SipHash so that nobody can aim. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "net/tcp_state.h"
#include "seal/digest.h"

bool
tcp_table_init(struct tcp_table *table, uint64_t entries)
{
	uint64_t size = 64;

	while (size < 2 * entries) /* load 0.5 at most: 1.5 probes for a hit (Knuth, TAOCP 6.4) */
		size *= 2;
	table->slots = calloc(size, sizeof *table->slots);
	table->mask = (uint32_t)(size - 1);
	return table->slots != NULL;
}

uint32_t
tcp_hash(const struct tcp *tcp, const struct endpoint *peer)
{
	uint64_t words[3];

	memcpy(words, peer->ip, 16);
	words[2] = (uint64_t)peer->port << 32 | (uint64_t)peer->local_port << 16 | peer->local;
	return (uint32_t)digest_siphash13(tcp->config.secret, words, sizeof words);
}

static const struct endpoint *
peer_of(const struct tcp *tcp, uint32_t ref)
{
	uint32_t index = tcp_ref_index(ref);

	switch (tcp_ref_kind(ref)) {
	case TCP_KIND_CONN:
		return &tcp->conns[index].peer;
	case TCP_KIND_HALF:
		return &tcp->halves[index].peer;
	default:
		return &tcp->waits[index].peer;
	}
}

uint32_t
tcp_table_find(const struct tcp *tcp, const struct endpoint *peer, uint32_t hash)
{
	const struct tcp_table *table = &tcp->table;

	for (uint32_t at = hash & table->mask; table->slots[at].ref; at = (at + 1) & table->mask)
		if (table->slots[at].hash == hash && endpoint_same(peer_of(tcp, table->slots[at].ref), peer))
			return table->slots[at].ref;
	return 0;
}

void
tcp_table_put(struct tcp *tcp, uint32_t hash, uint32_t ref)
{
	struct tcp_table *table = &tcp->table;
	uint32_t at = hash & table->mask;

	while (table->slots[at].ref)
		at = (at + 1) & table->mask;
	table->slots[at] = (struct tcp_slot){ hash, ref };
	table->count++;
	table->changes++;
}

static uint32_t
slot_of(const struct tcp *tcp, const struct endpoint *peer, uint32_t ref)
{
	const struct tcp_table *table = &tcp->table;
	uint32_t at = tcp_hash(tcp, peer) & table->mask;

	for (; table->slots[at].ref != ref; at = (at + 1) & table->mask)
		CHECK(table->slots[at].ref);
	return at;
}

/* Slots behind move up, so that no marks of what was removed stay (Knuth, TAOCP 6.4, algorithm R). */
static void
close_gap(struct tcp_slot *slots, uint32_t mask, uint32_t gap)
{
	for (uint32_t at = (gap + 1) & mask; slots[at].ref; at = (at + 1) & mask)
		if (((at - slots[at].hash) & mask) >= ((at - gap) & mask)) {
			slots[gap] = slots[at];
			gap = at;
		}
	slots[gap] = (struct tcp_slot){ 0 };
}

void
tcp_table_remove(struct tcp *tcp, const struct endpoint *peer, uint32_t ref)
{
	close_gap(tcp->table.slots, tcp->table.mask, slot_of(tcp, peer, ref));
	tcp->table.count--;
	tcp->table.changes++;
}

void
tcp_table_replace(struct tcp *tcp, const struct endpoint *peer, uint32_t from, uint32_t to)
{
	tcp->table.slots[slot_of(tcp, peer, from)].ref = to;
	tcp->table.changes++;
}

/* --- how many connections an address has ---------------------------------------------------- */

static uint32_t
source_slot(const struct tcp *tcp, const uint8_t ip[16], uint32_t *hash)
{
	const struct tcp_sources *sources = &tcp->sources;
	uint32_t at;

	/* Two addresses of one hash share a count: 2^-32, and nobody can aim. */
	*hash = (uint32_t)digest_siphash13(tcp->config.secret, ip, 16);
	for (at = *hash & sources->mask; sources->slots[at].ref && sources->slots[at].hash != *hash;)
		at = (at + 1) & sources->mask;
	return at;
}

bool
tcp_sources_take(struct tcp *tcp, const uint8_t ip[16])
{
	uint32_t hash, at;

	if (!tcp->sources.slots)
		return true;
	at = source_slot(tcp, ip, &hash);
	if (tcp->sources.slots[at].ref >= tcp->config.per_source_max)
		return false;
	tcp->sources.slots[at].hash = hash;
	tcp->sources.slots[at].ref++;
	return true;
}

void
tcp_sources_give(struct tcp *tcp, const uint8_t ip[16])
{
	uint32_t hash, at;

	if (!tcp->sources.slots)
		return;
	at = source_slot(tcp, ip, &hash);
	CHECK(tcp->sources.slots[at].ref > 0);
	if (--tcp->sources.slots[at].ref == 0)
		close_gap(tcp->sources.slots, tcp->sources.mask, at);
}
