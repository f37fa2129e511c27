#include "tests/tcp/segment.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/endpoint.h"

enum { OPTION_EOL, OPTION_NOP, OPTION_MSS, OPTION_WSCALE, OPTION_SACK_OK, OPTION_SACK, OPTION_TS = 8, PROTOCOL_TCP = 6 };

static uint32_t
sum(uint32_t so_far, const uint8_t *data, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		so_far += i % 2 ? data[i] : (uint32_t)data[i] << 8;
	while (so_far >> 16)
		so_far = (so_far & 0xffff) + (so_far >> 16);
	return so_far;
}

uint16_t
seg_checksum(const uint8_t source[16], const uint8_t destination[16], const uint8_t *bytes, uint32_t len)
{
	uint32_t skip = endpoint_is_mapped(source) ? 12 : 0;
	uint32_t total = PROTOCOL_TCP + (len & 0xffff);

	total = sum(sum(total, source + skip, 16 - skip), destination + skip, 16 - skip);
	return (uint16_t)~sum(total, bytes, len);
}

static uint8_t *
put_options(const struct seg *seg, uint8_t *at)
{
	if (seg->lead_nops)
		*at++ = OPTION_NOP;
	if (seg->mss) {
		at[0] = OPTION_MSS, at[1] = 4;
		store_be16(at + 2, seg->mss);
		at += 4;
	}
	if (seg->sack_ok) {
		at[0] = OPTION_SACK_OK, at[1] = 2;
		at += 2;
	}
	if (seg->ts) {
		at[0] = OPTION_TS, at[1] = 10;
		store_be32(at + 2, seg->ts_value);
		store_be32(at + 6, seg->ts_echo);
		at += 10;
	}
	if (seg->wscale >= 0) {
		at[0] = OPTION_NOP, at[1] = OPTION_WSCALE, at[2] = 3, at[3] = (uint8_t)seg->wscale;
		at += 4;
	}
	if (seg->sack_count) {
		*at++ = OPTION_SACK;
		*at++ = (uint8_t)(2 + 8 * seg->sack_count);
		for (uint32_t i = 0; i < seg->sack_count; i++, at += 8) {
			store_be32(at, seg->sacks[i][0]);
			store_be32(at + 4, seg->sacks[i][1]);
		}
	}
	return at;
}

/* A header with nothing but timestamps has them as RFC 7323 appendix A advises: NOP NOP TS. */
static uint8_t *
put_only_ts(const struct seg *seg, uint8_t *at)
{
	*at++ = OPTION_NOP;
	*at++ = OPTION_NOP;
	return put_options(seg, at);
}

uint32_t
seg_compose(const struct seg *seg, uint8_t *out)
{
	uint8_t *at = out + 20;
	uint32_t header;

	memset(out, 0, 60);
	store_be16(out, seg->source_port);
	store_be16(out + 2, seg->destination_port);
	store_be32(out + 4, seg->seq);
	store_be32(out + 8, seg->ack);
	out[13] = seg->flags;
	store_be16(out + 14, seg->window);
	store_be16(out + 18, seg->urgent);
	if (seg->raw_len) {
		memcpy(at, seg->raw, seg->raw_len);
		at += seg->raw_len;
	} else if (seg->ts && !seg->mss && !seg->sack_ok && seg->wscale < 0 && !seg->lead_nops) {
		at = put_only_ts(seg, at);
	} else {
		at = put_options(seg, at);
	}
	header = ((uint32_t)(at - out) + 3) / 4 * 4;
	out[12] = (uint8_t)((seg->data_offset ? seg->data_offset : header / 4) << 4 | (seg->reserved & 15));
	if (seg->payload_len)
		memcpy(out + header, seg->payload, seg->payload_len);
	store_be16(out + 16, seg_checksum(seg->source, seg->destination, out, header + seg->payload_len));
	if (seg->bad_checksum)
		out[16] ^= 0x40;
	return header + seg->payload_len;
}

static void
parse_option(struct seg *seg, uint8_t kind, const uint8_t *at, uint8_t len)
{
	if (kind == OPTION_MSS && len == 4) {
		seg->mss = load_be16(at + 2);
	} else if (kind == OPTION_WSCALE && len == 3) {
		seg->wscale = (int8_t)at[2];
	} else if (kind == OPTION_SACK_OK && len == 2) {
		seg->sack_ok = true;
	} else if (kind == OPTION_TS && len == 10) {
		seg->ts = true;
		seg->ts_value = load_be32(at + 2);
		seg->ts_echo = load_be32(at + 6);
	} else if (kind == OPTION_SACK && len >= 10 && (len - 2) % 8 == 0 && len <= 34) {
		for (uint32_t i = 0; i < (len - 2u) / 8; i++) {
			seg->sacks[i][0] = load_be32(at + 2 + 8 * i);
			seg->sacks[i][1] = load_be32(at + 6 + 8 * i);
		}
		seg->sack_count = (len - 2u) / 8;
	} else {
		seg->complaint = "an option that we do not send";
	}
}

static void
parse_options(struct seg *seg, const uint8_t *at, const uint8_t *end)
{
	while (at < end && *at != OPTION_EOL) {
		if (*at == OPTION_NOP) {
			at++;
			continue;
		}
		if (end - at < 2 || at[1] < 2 || at[1] > end - at) {
			seg->complaint = "an option longer than the header";
			return;
		}
		parse_option(seg, at[0], at, at[1]);
		at += at[1];
	}
}

void
seg_parse(struct seg *seg, const uint8_t source[16], const uint8_t destination[16], const uint8_t *bytes, uint32_t len)
{
	uint32_t header = len >= 20 ? bytes[12] >> 4 << 2 : 0;

	*seg = seg_none();
	memcpy(seg->source, source, 16);
	memcpy(seg->destination, destination, 16);
	if (header < 20 || header > len) {
		seg->complaint = "a header longer than the segment";
		return;
	}
	seg->source_port = load_be16(bytes);
	seg->destination_port = load_be16(bytes + 2);
	seg->seq = load_be32(bytes + 4);
	seg->ack = load_be32(bytes + 8);
	seg->reserved = bytes[12] & 15;
	seg->flags = bytes[13];
	seg->window = load_be16(bytes + 14);
	seg->urgent = load_be16(bytes + 18);
	parse_options(seg, bytes + 20, bytes + header);
	seg->payload = bytes + header;
	seg->payload_len = len - header;
	if (seg->reserved)
		seg->complaint = "reserved bits that are not zero";
	if (seg_checksum(source, destination, bytes, len) != 0)
		seg->complaint = "a wrong checksum";
}

void
seg_print(const struct seg *seg, uint32_t base, uint32_t ack_base, char *out, uint32_t size)
{
	static const char letters[] = "FSRPAUEC";
	char flags[12], *f = flags;
	uint32_t used;

	for (int i = 0; i < 8; i++)
		if (seg->flags & 1 << i)
			*f++ = letters[i];
	*f = 0;
	used = (uint32_t)snprintf(out, size, "%s %u ack %u win %u len %u", f == flags ? "-" : flags, seg->seq - base,
	    seg->ack - ack_base, seg->window, seg->payload_len);
	if (seg->mss)
		used += (uint32_t)snprintf(out + used, size - used, " mss %u", seg->mss);
	if (seg->wscale >= 0)
		used += (uint32_t)snprintf(out + used, size - used, " wscale %d", seg->wscale);
	if (seg->sack_ok)
		used += (uint32_t)snprintf(out + used, size - used, " sackok");
	if (seg->ts)
		used += (uint32_t)snprintf(out + used, size - used, " ts %u %u", seg->ts_value, seg->ts_echo);
	for (uint32_t i = 0; i < seg->sack_count; i++)
		used += (uint32_t)snprintf(out + used, size - used, "%s%u:%u", i ? "," : " sack ", seg->sacks[i][0] - ack_base,
		    seg->sacks[i][1] - ack_base);
	if (seg->complaint)
		snprintf(out + used, size - used, " (%s)", seg->complaint);
}
