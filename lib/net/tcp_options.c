/* Options: RFC 9293 3.1 and 3.2, RFC 7323, RFC 2018. */
#include <string.h>

#include "base/bytes.h"
#include "net/tcp_state.h"

enum { OPTION_END = 0, OPTION_NOP = 1, OPTION_MSS = 2, OPTION_SCALE = 3, OPTION_SACK_PERMITTED = 4, OPTION_SACK = 5,
	OPTION_TIMESTAMPS = 8, SCALE_MAX = 14 };

/*
 * One option of `len` bytes, kind and length included. One whose length is not what its RFC says is treated
 * as one that we do not know.
 */
static void
one(const uint8_t *at, uint32_t len, bool syn, struct tcp_options *options)
{
	switch (at[0]) {
	case OPTION_MSS:
		/* RFC 9293 3.7.1, MUST-14: only in a SYN. */
		if (!syn || len != 4)
			break;
		options->has_mss = true;
		options->mss = load_be16(at + 2);
		break;
	case OPTION_SCALE:
		if (!syn || len != 3)
			break;
		options->has_scale = true;
		/* RFC 7323 2.3: a shift over 14 is taken for 14. */
		options->scale = at[2] > SCALE_MAX ? SCALE_MAX : at[2];
		break;
	case OPTION_SACK_PERMITTED:
		if (syn && len == 2)
			options->has_sack_permitted = true;
		break;
	case OPTION_SACK:
		if (syn || len < 10 || (len - 2) % 8 != 0 || (len - 2) / 8 > TCP_SACK_MAX)
			break;
		options->sack_count = (uint8_t)((len - 2) / 8);
		for (uint32_t i = 0; i < options->sack_count; i++) {
			options->sack[i].start = load_be32(at + 2 + 8 * i);
			options->sack[i].end = load_be32(at + 6 + 8 * i);
		}
		break;
	case OPTION_TIMESTAMPS:
		if (len != 10)
			break;
		options->has_timestamps = true;
		options->tsval = load_be32(at + 2);
		options->tsecr = load_be32(at + 6);
		break;
	default: /* RFC 9293 MUST-6: any option that is not known is passed over by its length */
		break;
	}
}

bool
tcp_options_parse(const uint8_t *at, uint32_t len, bool syn, struct tcp_options *options)
{
	const uint8_t *end = at + len;

	memset(options, 0, offsetof(struct tcp_options, sack));
	while (at < end) {
		if (*at == OPTION_END)
			break;
		if (*at == OPTION_NOP) {
			at++;
			continue;
		}
		/* RFC 9293 MUST-7: an illegal option length must not do harm. */
		if (end - at < 2 || at[1] < 2 || at[1] > end - at)
			return false;
		one(at, at[1], syn, options);
		at += at[1];
	}
	return true;
}

/* RFC 7323 appendix A: so aligned, and so recognised at a glance. */
uint32_t
tcp_options_timestamps(uint8_t *at, uint32_t tsval, uint32_t tsecr)
{
	at[0] = at[1] = OPTION_NOP;
	at[2] = OPTION_TIMESTAMPS;
	at[3] = 10;
	store_be32(at + 4, tsval);
	store_be32(at + 8, tsecr);
	return TCP_TIMESTAMP_LEN;
}
