#include "serve/admit.h"

#include <string.h>

#include "base/bytes.h"
#include "seal/digest.h"

static void
derive(const struct admit *admit, uint64_t period, uint8_t key[16])
{
	uint8_t text[9];

	store_le64(text, period);
	for (uint8_t half = 0; half < 2; half++) {
		text[8] = half;
		store_le64(key + 8 * half, digest_siphash13(admit->secret, text, sizeof text));
	}
}

static void
set_period(struct admit *admit, uint64_t period)
{
	admit->period = period;
	derive(admit, period, admit->current);
	derive(admit, period - 1, admit->previous);
}

void
admit_init(struct admit *admit, const uint8_t secret[16], uint16_t boot)
{
	memcpy(admit->secret, secret, sizeof admit->secret);
	admit->boot = boot;
	set_period(admit, 0);
}

void
admit_turn(struct admit *admit, const struct now *now)
{
	uint64_t period = now->mono_ns / ADMIT_PERIOD_NS;

	if (__builtin_expect(period != admit->period, 0))
		set_period(admit, period);
}

static uint64_t
cookie_under(const struct admit *admit, const uint8_t key[16], const struct endpoint *peer)
{
	uint8_t address[18];

	memcpy(address, peer->ip, 16);
	store_le16(address + 16, peer->port);
	return (uint64_t)admit->boot << 48 | digest_siphash13(key, address, sizeof address) >> 16;
}

uint64_t
admit_cookie(const struct admit *admit, const struct endpoint *peer)
{
	return cookie_under(admit, admit->current, peer);
}

/* One comparison of whole words each: its time tells nothing about where they differ. */
bool
admit_proves(const struct admit *admit, const struct endpoint *peer, uint64_t cookie)
{
	return cookie == cookie_under(admit, admit->current, peer) ||
	    cookie == cookie_under(admit, admit->previous, peer);
}

static bool
prefix_has(const struct serve_prefix *prefix, const uint8_t ip[16])
{
	uint32_t bytes = prefix->bits / 8, rest = prefix->bits % 8;

	return memcmp(prefix->ip, ip, bytes) == 0 &&
	    (rest == 0 || (prefix->ip[bytes] ^ ip[bytes]) >> (8 - rest) == 0);
}

bool
admit_listed(const struct serve_prefix *prefixes, uint32_t count, const uint8_t ip[16])
{
	for (uint32_t i = 0; i < count; i++)
		if (prefix_has(&prefixes[i], ip))
			return true;
	return false;
}
