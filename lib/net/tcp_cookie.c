/*
 * SYN cookies (RFC 4987 3.6): when there is no room for another half-open record, what it would hold goes into the initial
 * sequence number and the timestamp, and comes back in the ACK.
 *
 *   31      27 26   24 23                     0        timestamp: ... | 5 spare | 4 SACK | 3..0 window scale, 15 none
 *  | counter  |  MSS  |  SipHash-1-3           |
 *
 * A cookie holds for one to two turns of a counter of 64 s. 24 bits are guessed in 8 million tries on
 * average; each that fails costs its sender a segment, and a RST that is rate limited.
 */
#include <string.h>

#include "net/tcp_state.h"
#include "seal/digest.h"

enum { PERIOD_MS = 64000, COUNTER_BITS = 5, MAC_BITS = 24, STAMP_MASK = 63, STAMP_SACK = 16, STAMP_SCALE = 15, SCALE_NONE = 15 };

/* MSS values that clients have: 536, tunnels, IPv6, PPPoE, Ethernet, jumbo. */
static const uint16_t sizes[8] = { TCP_MSS_MIN, 536, 1220, 1380, 1440, 1452, 1460, 8940 };

static uint32_t
mac(const struct tcp *tcp, const struct endpoint *peer, uint32_t irs, uint32_t counter, uint32_t size)
{
	uint64_t words[5];

	memcpy(words, peer->ip, 16);
	words[2] = (uint64_t)peer->port << 32 | (uint64_t)peer->local_port << 16 | peer->local;
	words[3] = (uint64_t)irs << 32 | counter;
	words[4] = size;
	return (uint32_t)digest_siphash13(tcp->config.secret, words, sizeof words) & ((1u << MAC_BITS) - 1);
}

static uint32_t
counter_now(const struct tcp *tcp)
{
	return (uint32_t)(tcp->now_ns / NS_PER_MS / PERIOD_MS);
}

void
tcp_cookie_send(struct tcp *tcp, struct tcp_parsed *p, struct tcp_half *half)
{
	uint32_t size = 7, counter = counter_now(tcp), bits;

	while (size > 0 && sizes[size] > half->mss)
		size--;
	/* Without a timestamp nothing brings them back, so they must not be agreed on. */
	if (!(half->flags & CONN_TIMESTAMPS))
		half->flags &= (uint8_t)~(CONN_SACK | CONN_SCALED);
	half->iss = counter << (32 - COUNTER_BITS) | size << MAC_BITS | mac(tcp, &p->peer, half->irs, counter, size);
	bits = (half->flags & CONN_SCALED ? half->shift : SCALE_NONE) | (half->flags & CONN_SACK ? STAMP_SACK : 0);
	/* Never later than our clock: the next segment's stamp must not be older (RFC 7323 5). */
	half->sent_us = (conn_timestamp(tcp, tcp_ts_offset(tcp, &p->peer)) - STAMP_MASK - 1) & ~(uint32_t)STAMP_MASK;
	half->sent_us |= bits;
	tcp->cookies_ms = tcp->now_ms;
	tcp->cookies_sent = true;
	counter_add(tcp->counters, COUNTER_TCP_COOKIES_SENT, 1);
}

bool
tcp_cookie_accept(struct tcp *tcp, struct tcp_parsed *p, struct tcp_half *half)
{
	uint32_t cookie = p->ack - 1, irs = p->seq - 1, size = cookie >> MAC_BITS & 7, now = counter_now(tcp), counter;

	/* Only while cookies are out: at other times an ACK out of nowhere is not worth a hash. */
	if (!tcp->cookies_sent || tcp->now_ms - tcp->cookies_ms > 2 * PERIOD_MS)
		return false;
	counter = now - ((now - (cookie >> (32 - COUNTER_BITS))) & ((1u << COUNTER_BITS) - 1));
	if (now - counter > 1 || mac(tcp, &p->peer, irs, counter, size) != (cookie & ((1u << MAC_BITS) - 1))) {
		counter_add(tcp->counters, COUNTER_TCP_COOKIES_FAILED, 1);
		return false;
	}
	*half = (struct tcp_half){ .peer = p->peer, .irs = irs, .iss = cookie, .mss = sizes[size], .tries = UINT8_MAX };
	if (p->options.has_timestamps) {
		uint32_t bits = p->options.tsecr & STAMP_MASK;

		half->flags = CONN_TIMESTAMPS;
		half->ts_recent = p->options.tsval;
		if (bits & STAMP_SACK)
			half->flags |= CONN_SACK;
		if ((bits & STAMP_SCALE) != SCALE_NONE) {
			half->flags |= CONN_SCALED;
			half->shift = bits & STAMP_SCALE;
		}
	}
	counter_add(tcp->counters, COUNTER_TCP_COOKIES_ACCEPTED, 1);
	return true;
}
