/*
 * The application of a conversation: it does in its turns what the lines before have said.
 * How it can write out of the blue: it pauses at each turn as one that waits for an answer from elsewhere, and is
 * resumed by the next line that brings something. `will live` has it not pause.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/tcp/script_state.h"

static struct peer *
peer_of(struct script *script, const uint8_t ip[16], uint16_t port)
{
	for (uint32_t i = 0; i < script->peer_count; i++)
		if (memcmp(script->peers[i].ip, ip, 16) == 0 && script->peers[i].port == port)
			return &script->peers[i];
	return NULL;
}

static void
append(struct buffer *buffer, const uint8_t *bytes, uint32_t len)
{
	if (len == 0)
		return;
	CHECK(buffer->len + len <= BUFFER_MAX);
	if (!buffer->bytes)
		buffer->bytes = malloc(BUFFER_MAX);
	CHECK(buffer->bytes);
	if (len)
		memcpy(buffer->bytes + buffer->len, bytes, len);
	buffer->len += len;
}

static void
turn_end(struct script *script, struct peer *peer, const struct turn *turn)
{
	if (peer->closed)
		script_fail(script, "the end of a connection was told twice");
	peer->closed = true;
	peer->open = false;
	peer->reason = turn->reason;
}

static void
turn_read(struct peer *peer, struct turn *turn)
{
	uint32_t len = turn->input.len;

	if (peer->room_len && turn->filled == peer->room_len) {
		append(&peer->got, peer->room, turn->filled);
		peer->room_len = 0;
	}
	if (len > peer->read_limit)
		len = (uint32_t)peer->read_limit;
	if (peer->wanted && turn->input.len < peer->wanted && !turn->finished)
		len = 0;
	append(&peer->got, turn->input.data, len);
	if (peer->read_limit != UINT64_MAX)
		peer->read_limit -= len;
	turn->consumed = len;
	peer->unread = turn->input.len - len;
	turn->wanted = peer->wanted;
	if (peer->room_next) {
		peer->room_len = peer->room_next;
		peer->room = realloc(peer->room, peer->room_len);
		turn->room = peer->room;
		turn->room_len = peer->room_len;
		peer->room_next = 0;
	}
}

void
script_app_turn(void *context, struct rig *rig, struct turn *turn)
{
	struct script *script = context;
	struct peer *peer = peer_of(script, turn->peer.ip, turn->peer.port);

	(void)rig;
	if (!peer) {
		script_fail(script, "a turn of nobody that the conversation knows");
		return;
	}
	peer->turns++;
	if (turn->closed) {
		turn_end(script, peer, turn);
		return;
	}
	if (turn->opened) {
		peer->id = turn->id;
		peer->open = true;
		peer->closed = peer->finished = false;
		peer->opened_count++;
	}
	peer->finished |= turn->finished;
	turn_read(peer, turn);
	if (peer->writes.len && outq_put(turn->blocks, turn->out, peer->writes.bytes, peer->writes.len))
		peer->writes.len = 0;
	turn->pause = peer->pause || (!peer->live && !peer->room_len);
	peer->waits = turn->pause && !peer->pause;
	turn->close = peer->close;
	turn->abort = peer->abort;
	peer->close = peer->abort = false;
}

void
script_app_segment(void *context, struct rig *rig, const struct seg *seg)
{
	struct script *script = context;
	struct peer *peer = peer_of(script, seg->destination, seg->destination_port);
	uint32_t edge;
	struct sent *sent;

	if (!peer || peer->queue_count == QUEUE_MAX) {
		script_fail(script, peer ? "too many segments unread" : "a segment to nobody that the conversation knows");
		return;
	}
	if (seg->flags & SEG_SYN) {
		peer->isn = seg->seq;
		peer->received = seg->seq + 1;
		peer->ts = seg->ts;
		peer->edge_known = false;
		peer->scale = seg->wscale > 0 ? (uint8_t)seg->wscale : 0;
	}
	if (seg->ts)
		peer->ts_recent = seg->ts_value;
	if (peer->isn && (int32_t)(seg->seq + seg_len(seg) - peer->received) > 0)
		peer->received = seg->seq + seg_len(seg);
	edge = seg->ack + ((uint32_t)seg->window << (seg->flags & SEG_SYN ? 0 : peer->scale));
	if (seg->flags & SEG_ACK && !(seg->flags & SEG_RST)) {
		/* SHLD-14; with a scale the edge may lie anywhere within the unit that the field cannot say. */
		if (peer->edge_known && !(seg->flags & SEG_SYN) && (int32_t)(edge + (1u << peer->scale) - 1 - peer->right_edge) < 0)
			script_fail(script, "the window's right edge went back by %u", peer->right_edge - edge);
		if (!(seg->flags & SEG_SYN) && (!peer->edge_known || (int32_t)(edge - peer->right_edge) > 0)) {
			peer->right_edge = edge;
			peer->edge_known = true;
		}
	}
	sent = &peer->queue[(peer->queue_head + peer->queue_count++) % QUEUE_MAX];
	sent->at_ns = rig->now_ns;
	sent->seg = *seg;
	sent->bytes = seg->payload_len ? malloc(seg->payload_len) : NULL;
	if (seg->payload_len)
		memcpy(sent->bytes, seg->payload, seg->payload_len);
	sent->seg.payload = sent->bytes;
}

void
script_app_ready(struct script *script)
{
	if (script->peer->open && script->peer->waits)
		script->rig.api->resume(script->rig.tcp, script->peer->id);
}

/* Gives the connection a turn. */
static void
wake(struct script *script)
{
	script->mark_ns = script->rig.now_ns;
	script->rig.api->resume(script->rig.tcp, script->peer->id);
	rig_round(&script->rig);
}

static void
check_got(struct script *script, const char *word)
{
	struct peer *peer = script->peer;
	struct view wish = { 0 };

	if (strcmp(word, "none") != 0)
		wish = script_bytes(script, word, peer->checked);
	if (peer->got.len != wish.len)
		script_fail(script, "the application has got %u bytes, not %u", peer->got.len, wish.len);
	else if (wish.len && memcmp(peer->got.bytes, wish.data, wish.len) != 0)
		script_fail(script, "the application has got other bytes than expected");
	peer->checked += peer->got.len;
	peer->got.len = 0;
}

static void
check_told(struct script *script)
{
	static const char *const reasons[] = { [TCP_CLOSED] = "closed", [TCP_RESET] = "reset", [TCP_TIMED_OUT] = "timed_out",
		[TCP_IDLE] = "idle", [TCP_ABORTED] = "aborted", [TCP_NO_MEMORY] = "no_memory", [TCP_LIMIT] = "limit" };
	const char *state = script->peer->closed ? reasons[script->peer->reason] : script->peer->finished ? "finished" :
	    script->peer->open ? "open" : "nothing";

	if (script->word_count < 2 || strcmp(script->words[1], state) != 0)
		script_fail(script, "the application was told '%s', not '%s'", state, script->words[1]);
}

/* What goes into the next turns; the line `turn` (or the next segment) brings one. */
static bool
set_line(struct script *script)
{
	struct peer *peer = script->peer;
	const char *verb = script->words[0], *word = script->word_count > 1 ? script->words[1] : "";

	if (strcmp(verb, "will") != 0)
		return false;
	if (strcmp(word, "write") == 0) {
		struct view bytes = script_bytes(script, script->words[2], peer->written);

		append(&peer->writes, bytes.data, bytes.len);
		peer->written += bytes.len;
	} else if (strcmp(word, "read") == 0) {
		peer->read_limit = strcmp(script->words[2], "all") == 0 ? UINT64_MAX : (uint64_t)script_number(script, script->words[2]);
	} else if (strcmp(word, "want") == 0) {
		peer->wanted = (uint32_t)script_number(script, script->words[2]);
	} else if (strcmp(word, "room") == 0) {
		peer->room_next = (uint32_t)script_number(script, script->words[2]);
	} else if (strcmp(word, "close") == 0) {
		peer->close = true;
	} else if (strcmp(word, "abort") == 0) {
		peer->abort = true;
	} else if (strcmp(word, "live") == 0) {
		peer->live = true;
	} else if (strcmp(word, "pause") == 0) {
		peer->pause = true;
	} else {
		script_fail(script, "no such word: will %s", word);
	}
	return true;
}

bool
script_app_line(struct script *script)
{
	const char *verb = script->words[0];

	if (set_line(script))
		return true;
	if (strcmp(verb, "got") == 0) {
		check_got(script, script->words[1]);
	} else if (strcmp(verb, "told") == 0) {
		check_told(script);
	} else if (strcmp(verb, "write") == 0 || strcmp(verb, "read") == 0 || strcmp(verb, "close") == 0 || strcmp(verb, "abort") == 0 ||
	    strcmp(verb, "room") == 0) {
		for (uint32_t i = script->word_count; i > 0; i--)
			script->words[i] = script->words[i - 1];
		script->words[0] = "will";
		script->word_count++;
		set_line(script);
		wake(script);
	} else if (strcmp(verb, "resume") == 0) {
		script->peer->pause = false;
		wake(script);
	} else if (strcmp(verb, "kill") == 0) {
		script->mark_ns = script->rig.now_ns;
		script->rig.api->abort(script->rig.tcp, script->peer->id);
		rig_round(&script->rig);
	} else {
		return false;
	}
	return true;
}
