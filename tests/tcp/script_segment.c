/* Segments of a conversation: those that a peer sends, and those that are expected of us. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tcp/script_state.h"

/* A range of a number or time: N or A..B. */
struct range {
	bool set;
	uint64_t from, to;
};

/* What a line says of a segment. */
struct described {
	struct seg seg;
	bool has_ack, has_payload, has_len, psh;
	bool no_sack_ok, no_ts, no_wscale, no_sack, no_mss, has_ts_value, has_ts_echo;
	struct range window, len, at;
	uint8_t raw[40];
};

static struct range
range_of(struct script *script, const char *word, bool time)
{
	char text[64];
	const char *dots = strstr(word, "..");
	struct range range = { .set = true };

	snprintf(text, sizeof text, "%s", word);
	if (dots)
		text[dots - word] = 0;
	range.from = time ? script_time(script, text) : (uint64_t)script_number(script, text);
	range.to = !dots ? range.from : time ? script_time(script, dots + 2) : (uint64_t)script_number(script, dots + 2);
	if (time && !dots)
		range.to += 12 * NS_PER_MS; /* a few ticks of the timers' wheel */
	return range;
}

static uint8_t
flags_of(struct script *script, const char *word)
{
	static const char letters[] = "FSRPAUEC";
	uint8_t flags = 0;

	for (const char *c = word; *c && *c != '-'; c++) {
		const char *at = strchr(letters, *c);

		if (!at)
			script_fail(script, "no such flag: %s", word);
		else
			flags |= (uint8_t)(1 << (at - letters));
	}
	return flags;
}

static void
sacks_of(struct script *script, struct described *d, const char *word, uint32_t base)
{
	char text[160], *at = text, *next;

	snprintf(text, sizeof text, "%s", word);
	for (; at && d->seg.sack_count < SEG_SACKS_MAX; at = next) {
		char *colon = strchr(at, ':');

		next = strchr(at, ',');
		if (next)
			*next++ = 0;
		if (!colon) {
			script_fail(script, "a SACK block is A:B");
			return;
		}
		*colon = 0;
		d->seg.sacks[d->seg.sack_count][0] = base + (uint32_t)script_number(script, at);
		d->seg.sacks[d->seg.sack_count++][1] = base + (uint32_t)script_number(script, colon + 1);
	}
}

static void
raw_of(struct script *script, struct described *d, const char *hex)
{
	uint32_t len = 0;

	for (; hex[0] && hex[1] && len < sizeof d->raw; hex += 2) {
		unsigned byte;

		if (sscanf(hex, "%2x", &byte) != 1)
			script_fail(script, "bytes of options are hexadecimal");
		d->raw[len++] = (uint8_t)byte;
	}
	d->seg.raw = d->raw;
	d->seg.raw_len = (uint8_t)len;
}

/* Words that stand alone; true: it was one. */
static bool
describe_word(struct described *d, const char *word)
{
	const struct { const char *word; bool *flag; } words[] = { { "sackok", &d->seg.sack_ok }, { "ts", &d->seg.ts },
		{ "nosackok", &d->no_sack_ok }, { "nots", &d->no_ts }, { "nowscale", &d->no_wscale }, { "nosack", &d->no_sack },
		{ "nomss", &d->no_mss }, { "badsum", &d->seg.bad_checksum }, { "odd", &d->seg.lead_nops } };

	for (uint32_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strcmp(word, words[i].word) == 0) {
			*words[i].flag = true;
			return true;
		}
	}
	return false;
}

/* Words with a value behind. */
static void
describe_pair(struct script *script, struct described *d, const char *word, const char *value, uint32_t ack_base)
{
	struct seg *seg = &d->seg;

	if (strcmp(word, "ack") == 0) {
		d->has_ack = true;
		seg->ack = ack_base + (uint32_t)script_number(script, value);
	} else if (strcmp(word, "win") == 0) {
		d->window = range_of(script, value, false);
	} else if (strcmp(word, "len") == 0) {
		d->len = range_of(script, value, false);
	} else if (strcmp(word, "at") == 0) {
		d->at = range_of(script, value, true);
	} else if (strcmp(word, "mss") == 0) {
		seg->mss = (uint16_t)script_number(script, value);
	} else if (strcmp(word, "wscale") == 0) {
		seg->wscale = (int8_t)script_number(script, value);
	} else if (strcmp(word, "tsval") == 0) {
		d->has_ts_value = seg->ts = true;
		seg->ts_value = (uint32_t)script_number(script, value);
	} else if (strcmp(word, "tsecr") == 0) {
		d->has_ts_echo = seg->ts = true;
		seg->ts_echo = (uint32_t)script_number(script, value);
	} else if (strcmp(word, "sack") == 0) {
		sacks_of(script, d, value, ack_base);
	} else if (strcmp(word, "raw") == 0) {
		raw_of(script, d, value);
	} else if (strcmp(word, "offset") == 0) {
		seg->data_offset = (uint8_t)script_number(script, value);
	} else if (strcmp(word, "reserved") == 0) {
		seg->reserved = (uint8_t)script_number(script, value);
	} else if (strcmp(word, "urg") == 0) {
		seg->urgent = (uint16_t)script_number(script, value);
	} else {
		script_fail(script, "no such word of a segment: %s", word);
	}
}

/* FLAGS SEQ [word value]... [payload], from word `first` on. */
static void
describe(struct script *script, struct described *d, uint32_t first, uint32_t seq_base, uint32_t ack_base)
{
	memset(d, 0, sizeof *d);
	d->seg = seg_none();
	if (script->word_count < first + 2) {
		script_fail(script, "a segment is FLAGS SEQ ...");
		return;
	}
	d->seg.flags = flags_of(script, script->words[first]);
	d->psh = d->seg.flags & SEG_PSH;
	d->seg.seq = seq_base + (uint32_t)script_number(script, script->words[first + 1]);
	for (uint32_t i = first + 2; i < script->word_count; i++) {
		if (script_is_bytes(script->words[i])) {
			struct view bytes = script_bytes(script, script->words[i], d->seg.seq - seq_base - 1);

			d->has_payload = true;
			d->seg.payload = bytes.data;
			d->seg.payload_len = bytes.len;
		} else if (!describe_word(d, script->words[i])) {
			if (i + 1 == script->word_count)
				script_fail(script, "'%s' wants a value", script->words[i]);
			else
				describe_pair(script, d, script->words[i], script->words[i + 1], ack_base);
			i++;
		}
	}
}

static void
address(const struct peer *peer, struct seg *seg)
{
	memcpy(seg->source, peer->ip, 16);
	memcpy(seg->destination, peer->local, 16);
	seg->source_port = peer->port;
	seg->destination_port = peer->to;
}

void
script_inject(struct script *script)
{
	struct peer *peer = script->peer;
	struct described d;
	bool burst_goes_on = script->line + 1 < script->text->count && strncmp(script->text->lines[script->line + 1], "<+", 2) == 0;

	describe(script, &d, 1, peer->iss, peer->isn);
	if (d.seg.flags & SEG_SYN && !d.has_ts_value && d.seg.ts)
		d.seg.ts_value = (uint32_t)(script->rig.now_ns / NS_PER_MS);
	if (peer->ts && !d.no_ts && !(d.seg.flags & SEG_SYN) && !d.seg.raw_len)
		d.seg.ts = true;
	if (d.seg.ts && !d.has_ts_value)
		d.seg.ts_value = (uint32_t)(script->rig.now_ns / NS_PER_MS);
	if (d.seg.ts && !d.has_ts_echo && d.seg.flags & SEG_ACK)
		d.seg.ts_echo = peer->ts_recent;
	if (!d.has_ack && d.seg.flags & SEG_ACK)
		d.seg.ack = peer->received;
	if (d.window.set)
		peer->window = (uint16_t)d.window.from;
	d.seg.window = peer->window;
	address(peer, &d.seg);
	script->mark_ns = script->rig.now_ns;
	script_app_ready(script);
	rig_in(&script->rig, &d.seg);
	if (!burst_goes_on)
		rig_round(&script->rig);
}

/* "" when the segment is as described, else what differs. */
static const char *
difference(const struct described *d, const struct sent *sent, uint64_t mark_ns)
{
	const struct seg *wish = &d->seg, *is = &sent->seg;
	uint64_t after = sent->at_ns - mark_ns;

	if ((wish->flags | (d->psh ? 0 : SEG_PSH)) != (is->flags | (d->psh ? 0 : SEG_PSH)))
		return "flags";
	if (wish->seq != is->seq)
		return "seq";
	if (d->has_ack && wish->ack != is->ack)
		return "ack";
	if (d->window.set && (is->window < d->window.from || is->window > d->window.to))
		return "window";
	if (!d->len.set && wish->payload_len != is->payload_len)
		return "length";
	if (d->len.set && (is->payload_len < d->len.from || is->payload_len > d->len.to))
		return "length";
	if (d->has_payload && memcmp(wish->payload, is->payload, wish->payload_len) != 0)
		return "payload";
	if ((wish->mss && wish->mss != is->mss) || (d->no_mss && is->mss))
		return "mss";
	if ((wish->wscale >= 0 && wish->wscale != is->wscale) || (d->no_wscale && is->wscale >= 0))
		return "wscale";
	if ((wish->sack_ok && !is->sack_ok) || (d->no_sack_ok && is->sack_ok))
		return "sackok";
	if ((wish->ts && !is->ts) || (d->no_ts && is->ts))
		return "ts";
	if ((d->has_ts_value && wish->ts_value != is->ts_value) || (d->has_ts_echo && wish->ts_echo != is->ts_echo))
		return "ts";
	if ((wish->sack_count || d->no_sack) && (wish->sack_count != is->sack_count ||
	    memcmp(wish->sacks, is->sacks, wish->sack_count * sizeof wish->sacks[0]) != 0))
		return "sack";
	if (d->at.set && (after < d->at.from || after > d->at.to))
		return "time";
	return "";
}

void
script_expect(struct script *script, bool optional)
{
	struct peer *peer = script->peer;
	struct sent *sent = &peer->queue[peer->queue_head];
	struct described d;
	char text[RIG_TEXT_MAX];
	const char *what;

	describe(script, &d, 1, peer->isn, peer->iss);
	if (peer->queue_count == 0) {
		if (!optional)
			script_fail(script, "nothing was sent");
		return;
	}
	what = difference(&d, sent, script->mark_ns);
	if (what[0]) {
		seg_print(&sent->seg, peer->isn, peer->iss, text, sizeof text);
		if (!optional)
			script_fail(script, "%s: sent %s, after %.3f ms", what, text, (double)(sent->at_ns - script->mark_ns) / 1e6);
		return;
	}
	free(script->last.bytes);
	script->last = *sent;
	peer->queue_head = (peer->queue_head + 1) % QUEUE_MAX;
	peer->queue_count--;
}

static void
line(struct script *script, const char *text, const char *more)
{
	char whole[400];

	snprintf(whole, sizeof whole, "%s%s", text, more);
	script_split(script, whole);
	if (whole[0] == '<')
		script_inject(script);
	else
		script_expect(script, false);
}

/*
 * The three steps of a connection, whose words are those of the SYN, and a byte that the application reads: it
 * learns of a connection with its first turn. What follows has number 1 on both sides.
 */
void
script_connect(struct script *script)
{
	struct peer *peer = script->peer;
	char syn[200] = "", stamp[40] = "";
	uint32_t used = 0;

	for (uint32_t i = 1; i < script->word_count; i++) {
		used += (uint32_t)snprintf(syn + used, sizeof syn - used, " %s", script->words[i]);
		if (strcmp(script->words[i], "tsval") == 0 && i + 1 < script->word_count)
			snprintf(stamp, sizeof stamp, " tsval %s", script->words[i + 1]);
	}
	peer->iss--;
	line(script, "< S 0", syn);
	line(script, "> SA 0 ack 1", "");
	line(script, "< A 1", stamp);
	line(script, "< PA 1 \"!\"", stamp);
	line(script, "> A 1 ack 2", "");
	peer->iss++;
	if (peer->got.len != 1 || peer->got.bytes[0] != '!' || !peer->open)
		script_fail(script, "the application was not told of a connection and its first byte");
	peer->got.len = 0;
	peer->turns = 0;
}
